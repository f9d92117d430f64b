/* SPDX-License-Identifier: Apache-2.0
 * A picture's crop and tensor. */
#include "cli/subject.h"

#include <stdio.h>

#include "base/mem.h"
#include "cli/inputs.h"
#include "cli/setup.h"

static hrnet_status read_both(struct hr_subject *s, const struct hrnet_recipe *recipe,
                              const struct hr_input *input,
                              const struct hrnet_decode_options *decode)
{
    struct hrnet_picture_report report = { 0 };
    hrnet_status status =
        hrnet_preprocess_crop(recipe, input->data, input->size, s->name, decode, s->rgb, &report);
    if (status == HRNET_OK)
        status =
            hrnet_preprocess_memory(recipe, input->data, input->size, s->name, decode, s->x, NULL);
    if (report.warning[0])
        fprintf(stderr, "hrnet: %s: %s\n", s->name, report.warning);
    return status;
}

int hr_subject_open(struct hr_subject *subject, const hrnet_model *model,
                    const struct hr_args *args, const char *name)
{
    const struct hrnet_decode_options decode = hr_setup_decode(args);
    struct hrnet_recipe recipe;
    struct hr_input input = { 0 };
    hrnet_model_recipe(model, &recipe);
    *subject = (struct hr_subject){ .name = name,
                                    .width = recipe.crop_width,
                                    .height = recipe.crop_height };
    const size_t floats = (size_t)recipe.crop_width * (size_t)recipe.crop_height * 3;
    subject->rgb = hr_mem_alloc(floats, 1);
    subject->x = hr_mem_alloc(floats, sizeof *subject->x);
    hrnet_status status = subject->rgb && subject->x ? HRNET_OK : HRNET_E_MEMORY;
    if (status == HRNET_OK)
        status = (hrnet_status)hr_input_open(&input, name, decode.max_bytes);
    if (status == HRNET_OK)
        status = read_both(subject, &recipe, &input, &decode);
    hr_input_close(&input);
    return status == HRNET_OK ? -1 : hr_report_input((int)status);
}

void hr_subject_close(struct hr_subject *subject)
{
    hr_mem_free(subject->rgb);
    hr_mem_free(subject->x);
    *subject = (struct hr_subject){ 0 };
}
