/* SPDX-License-Identifier: Apache-2.0
 * The public API, part six: inspection of data sets, and what augmentations make of pictures. */
#include "api/api.h"

#include <math.h>

#include "base/mem.h"
#include "base/text.h"
#include "train/inspect.h"
#include "train/preview.h"

#define MAX_SIZE 4096 /* px, as of training */

void hrnet_inspect_options_init(struct hrnet_inspect_options *options, size_t struct_size)
{
    const struct hrnet_inspect_options defaults = { .threads = 0 };
    HR_API_OPTIONS_INIT(struct hrnet_inspect_options, defaults);
}

static void pass_finding(void *context, const struct hr_finding *f)
{
    const struct hrnet_inspect_options *o = context;
    const struct hrnet_finding finding = { (hrnet_level)f->level, f->kind, f->validation,
                                           f->message };
    if (o->fn)
        o->fn(o->context, &finding);
}

static bool pass_progress(void *context, size_t done, size_t all)
{
    const struct hrnet_inspect_options *o = context;
    return !o->progress || o->progress(o->context, done, all) == 0;
}

/* Counts by the labels of training, to which those of validation were brought. */
static void count_into(uint64_t *counts, const struct hr_dataset *set, size_t classes)
{
    for (size_t i = 0; i < set->paths.count; i++)
        for (size_t k = 0; k < (size_t)set->class_count && k < classes; k++)
            counts[k] += set->several ? set->several[i * (size_t)set->class_count + k]
                                      : (size_t)set->labels[i] == k;
}

static enum hr_status names_of(char **out, const struct hr_dataset *set)
{
    struct hr_text text = { 0 };
    for (size_t k = 0; k < (size_t)set->class_count; k++) {
        const char *const name = k < set->classes.count ? set->classes.items[k] : "";
        hr_text_add_bytes(&text, name, strlen(name) + 1);
    }
    const enum hr_status status = hr_text_take(&text, out);
    if (status != HR_OK)
        hr_text_fini(&text);
    return status;
}

static enum hr_status fill(struct hrnet_inspection *out, struct hr_inspection *in)
{
    const size_t classes = (size_t)in->train.class_count;
    struct hrnet_inspection o = { .pictures = { in->train.paths.count, in->validation.paths.count },
                                  .missing = { in->missing[0], in->missing[1] },
                                  .unreadable = { in->unreadable[0], in->unreadable[1] },
                                  .errors = in->errors,
                                  .warnings = in->warnings,
                                  .classes = classes,
                                  .several = in->train.several != NULL };
    HR_TRY(names_of(&o.names, &in->train));
    o.counts = hr_mem_alloc(2 * classes, sizeof *o.counts);
    if (!o.counts) {
        hr_mem_free(o.names);
        return HR_E_MEMORY;
    }
    count_into(o.counts, &in->train, classes);
    if (hr_dataset_relabel(&in->validation, &in->train) == HR_OK)
        count_into(o.counts + classes, &in->validation, classes);
    *out = o;
    return HR_OK;
}

hrnet_status hrnet_inspect(const struct hrnet_inspect_options *options,
                           struct hrnet_inspection *out)
{
    struct hrnet_inspect_options o;
    struct hr_inspection in = { 0 };
    if (!options || !out)
        return hr_api_missing_argument(__func__);
    hrnet_inspect_options_init(&o, sizeof o);
    enum hr_status status = hr_api_options_copy(&o, sizeof o, options, "hrnet_inspect_options");
    if (status == HR_OK && (!o.data || o.classes < 0 || o.threads > HRNET_MAX_THREADS))
        status = hr_fail(HR_E_ARGUMENT, "inspection needs data, classes from 0, threads up to %d",
                         HRNET_MAX_THREADS);
    const struct hr_inspect_options inner = { .data = o.data,
                                              .validation = o.validation,
                                              .root = o.root,
                                              .validation_root = o.validation_root,
                                              .classes = o.classes,
                                              .quick = o.quick != 0,
                                              .threads = o.threads,
                                              .fn = pass_finding,
                                              .progress = pass_progress,
                                              .context = &o };
    if (status == HR_OK)
        status = hr_inspect(&in, &inner);
    if (status == HR_OK)
        status = fill(out, &in);
    hr_inspection_fini(&in);
    return PUBLIC(status);
}

/* ---- Previews ---- */

void hrnet_preview_options_init(struct hrnet_preview_options *options, size_t struct_size)
{
    const struct hrnet_preview_options defaults = {
        .size = 224, .rows = 3, .columns = 6, .least_area = 0.08, .flip = 0.5
    };
    HR_API_OPTIONS_INIT(struct hrnet_preview_options, defaults);
}

static enum hr_status inner_of(struct hr_preview_options *inner,
                               const struct hrnet_preview_options *o)
{
    struct hr_sample_options *const s = &inner->sample;
    if (o->size < 1 || o->size > MAX_SIZE || o->rows < 1 || o->columns < 1)
        return hr_fail(HR_E_ARGUMENT, "%d rows of %d samples of %d px: 1 and more, up to %d px",
                       o->rows, o->columns, o->size, MAX_SIZE);
    if (!(o->flip >= 0.0 && o->flip <= 1.0) || !(o->least_area > 0.0 && o->least_area <= 1.0))
        return hr_fail(HR_E_ARGUMENT, "flip %g and least area %g must be shares", o->flip,
                       o->least_area);
    HR_TRY(hr_recipe_named(&s->recipe, "opencv"));
    s->recipe.crop_width = s->recipe.crop_height = o->size;
    s->recipe.resize_short = (int)lround((double)o->size * 256.0 / 224.0);
    HR_TRY(hr_recipe_check(&s->recipe));
    s->crop = !o->whole;
    s->least_area = o->least_area;
    s->flip = o->flip;
    inner->rows = (size_t)o->rows;
    inner->columns = (size_t)o->columns;
    inner->seed = o->seed;
    inner->vary = o->vary;
    return o->augment ? hr_augment_parse(&s->augment, o->augment) : HR_OK;
}

hrnet_status hrnet_preview(const char *const *paths, size_t count,
                           const struct hrnet_preview_options *options, uint8_t **png, size_t *size)
{
    struct hrnet_preview_options o;
    struct hr_preview_options inner = { .paths = paths, .count = count };
    struct hr_image sheet = { 0 };
    if (!paths || count == 0 || !options || !png || !size)
        return hr_api_missing_argument(__func__);
    hrnet_preview_options_init(&o, sizeof o);
    enum hr_status status = hr_api_options_copy(&o, sizeof o, options, "hrnet_preview_options");
    if (status == HR_OK)
        status = inner_of(&inner, &o);
    if (status == HR_OK)
        status = hr_preview(&sheet, &inner);
    if (status == HR_OK)
        status =
            (enum hr_status)hrnet_encode_png(sheet.pixels, sheet.width, sheet.height, png, size);
    hr_image_fini(&sheet);
    return PUBLIC(status);
}
