/* SPDX-License-Identifier: Apache-2.0
 * Both forms from one message.  Source: Paddle Serving's general_model_config.proto and the files
 * that its converter writes; free dimensions are left out. */
#include "exchange/serving.h"

#include <string.h>

#include "wire/message.h"
#include "wire/paddle.pb-c.h"

#define FLOAT32 1

/* One end of the program; name and alias are only read. */
static void fill(Hr__PaddleServingVar *var, const char *name, const char *alias,
                 const struct hr_shape *shape, int32_t dims[HR_MAX_RANK])
{
    hr__paddle_serving_var__init(var);
    var->name = (char *)(uintptr_t)name;
    var->alias_name = (char *)(uintptr_t)alias;
    var->has_is_lod_tensor = var->has_type = 1;
    var->type = FLOAT32;
    var->shape = dims;
    for (int d = 0; d < shape->rank; d++)
        if (shape->dim[d] > 0 && d > 0) /* the batch is not told */
            dims[var->n_shape++] = (int32_t)shape->dim[d];
}

static void put_text(FILE *file, const char *end, const char *type, const Hr__PaddleServingVar *var)
{
    fprintf(file, "%s {\n  name: \"%s\"\n  alias_name: \"%s\"\n  is_lod_tensor: false\n  %s: %d\n",
            end, var->name, var->alias_name, type, (int)var->type);
    for (size_t d = 0; d < var->n_shape; d++)
        fprintf(file, "  shape: %d\n", (int)var->shape[d]);
    fputs("}\n", file);
}

/* The value that a program fetches, as the operator that makes it has it. */
static const struct hr_program_slot *result_of(const struct hr_program *program)
{
    const struct hr_program_op *fetch = &program->ops[program->op_count - 1];
    for (size_t i = program->op_count - 1; i-- > 0;)
        for (size_t k = 0; k < program->ops[i].out_count; k++)
            if (strcmp(program->ops[i].out[k].value, fetch->in[0].value) == 0)
                return &program->ops[i].out[k];
    return NULL;
}

enum hr_status hr_serving_write(const struct hr_program *program, bool text, FILE *file,
                                const char *name)
{
    const struct hr_program_slot *picture = &program->ops[0].out[0], *result = result_of(program);
    Hr__PaddleServingConfig message = HR__PADDLE_SERVING_CONFIG__INIT;
    Hr__PaddleServingVar in, out, *ins[] = { &in }, *outs[] = { &out };
    int32_t in_dims[HR_MAX_RANK], out_dims[HR_MAX_RANK];
    if (!result)
        return hr_fail(HR_E_INTERNAL, "%s: the program fetches what nothing makes", name);
    fill(&in, picture->value, "inputs", &picture->shape, in_dims);
    fill(&out, result->value, "prediction", &result->shape, out_dims);
    if (text) {
        put_text(file, "feed_var", "feed_type", &in);
        put_text(file, "fetch_var", "fetch_type", &out);
        return HR_OK;
    }
    message.feed_var = ins;
    message.fetch_var = outs;
    message.n_feed_var = message.n_fetch_var = 1;
    return hr_message_write(&message.base, file, name);
}
