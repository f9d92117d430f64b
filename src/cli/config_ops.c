/* SPDX-License-Identifier: Apache-2.0
 * PaddleClas's lists of picture operations, in which each entry is a map of one name to its
 * arguments (or to nothing). */
#include <string.h>

#include "cli/config_keys.h"
#include "cli/literal.h"

enum form {
    PLAIN,
    ARITHMETIC, /* "1.0/255.0" */
    SIDES,      /* a side in px, or [width, height] */
    STRETCH,    /* the same; the picture's aspect is not kept */
    LEAST,      /* [least, 1.0], of which the first counts */
};

struct argument {
    const char *name;
    const char *train, *eval; /* flags that take it, of `hrnet train` and `hrnet eval`, or NULL */
    const char *only;         /* words that are possible, as in hr_config_key */
    enum form form;
};

struct operation {
    const char *name;
    const struct argument *arguments; /* ended by name NULL */
};

static enum hr_status give_arithmetic(const struct hr_config_sink *sink, const char *flag,
                                      const struct hr_value *value)
{
    struct hr_value number = { .kind = HR_VALUE_REAL,
                               .origin = value->origin,
                               .line = value->line };
    if (value->kind != HR_VALUE_TEXT)
        return hr_config_give(sink, flag, value);
    if (!hr_literal_arithmetic(value->text, &number.real))
        return hr_config_refuse(HR_E_FORMAT, value, "'%.80s' is no number", value->text);
    return hr_config_give(sink, flag, &number);
}

static enum hr_status give_sides(const struct hr_config_sink *sink, const char *flag,
                                 const struct hr_value *value)
{
    const bool pair = value->kind == HR_VALUE_LIST && value->count == 2 &&
                      value->items[0]->kind == HR_VALUE_INT &&
                      value->items[1]->kind == HR_VALUE_INT;
    if (!pair && value->kind != HR_VALUE_INT)
        return hr_config_refuse(HR_E_FORMAT, value,
                                "a side in pixels or [width, height] is wanted");
    const struct hr_value *const width = pair ? value->items[0] : value;
    const struct hr_value *const height = pair ? value->items[1] : value;
    const char *const text =
        width->integer == height->integer
            ? hr_arena_printf(sink->arena, "%lld", (long long)width->integer)
            : hr_arena_printf(sink->arena, "%lldx%lld", (long long)height->integer,
                              (long long)width->integer);
    return text ? sink->give(sink->context, flag, text, value) : HR_E_MEMORY;
}

static enum hr_status give_argument(const struct hr_config_sink *sink, const struct argument *a,
                                    const struct hr_value *value)
{
    const char *const flag = sink->evaluates ? a->eval : a->train;
    if (!flag || value->kind == HR_VALUE_NULL)
        return HR_OK;
    switch (a->form) {
    case ARITHMETIC:
        return give_arithmetic(sink, flag, value);
    case STRETCH:
        HR_TRY(sink->give(sink->context, "resize-short", "0", value));
        return give_sides(sink, flag, value);
    case SIDES:
        return give_sides(sink, flag, value);
    case LEAST:
        if (value->kind != HR_VALUE_LIST || value->count != 2 ||
            !hr_config_is_word(value->items[1], "1|1.0"))
            return hr_config_refuse(HR_E_UNSUPPORTED, value, "[least, 1.0] is wanted");
        return hr_config_give(sink, flag, value->items[0]);
    case PLAIN:
        break;
    }
    return hr_config_give(sink, flag, value);
}

static enum hr_status take_argument(const struct hr_config_sink *sink, const struct operation *op,
                                    const char *name, const struct hr_value *value)
{
    const char *names[32];
    size_t count = 0;
    for (const struct argument *a = op->arguments; a->name; a++) {
        names[count++] = a->name;
        if (strcmp(a->name, name) != 0)
            continue;
        if (a->only && !hr_config_is_word(value, a->only))
            return hr_config_refuse(HR_E_UNSUPPORTED, value, "%s.%s can only be %s here", op->name,
                                    name, a->only);
        return give_argument(sink, a, value);
    }
    const char *const near = hr_nearest_name(name, names, count);
    return hr_config_refuse(HR_E_FORMAT, value, "%s has no '%.80s'%s%s%s", op->name, name,
                            near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* One entry of the list, by the table. */
static enum hr_status take_operation(const struct hr_config_sink *sink,
                                     const struct hr_value *entry,
                                     const struct operation *operations, size_t count)
{
    const char *names[32];
    if (entry->kind != HR_VALUE_MAP || entry->count != 1)
        return hr_config_refuse(HR_E_FORMAT, entry,
                                "an operation is wanted, as '- ResizeImage: {size: 224}'");
    const struct hr_value *const arguments = entry->items[0];
    for (size_t i = 0; i < count; i++) {
        names[i] = operations[i].name;
        if (strcmp(operations[i].name, entry->keys[0]) != 0)
            continue;
        if (arguments->kind != HR_VALUE_MAP && arguments->kind != HR_VALUE_NULL)
            return hr_config_refuse(HR_E_FORMAT, arguments, "%s has arguments with names",
                                    operations[i].name);
        for (size_t k = 0; k < arguments->count; k++)
            HR_TRY(take_argument(sink, &operations[i], arguments->keys[k], arguments->items[k]));
        return HR_OK;
    }
    const char *const near = hr_nearest_name(entry->keys[0], names, count);
    return hr_config_refuse(HR_E_UNSUPPORTED, entry, "the operation '%.80s' is not known%s%s%s",
                            entry->keys[0], near ? ": did you mean '" : "", near ? near : "",
                            near ? "'?" : "");
}

static enum hr_status check_list(const struct hr_value *value)
{
    if (value->kind != HR_VALUE_LIST)
        return hr_config_refuse(HR_E_FORMAT, value, "a list of operations is wanted");
    return HR_OK;
}

/* ---- The operations ---- */

static const struct argument decode[] = {
    { "to_rgb", NULL, NULL, "True", PLAIN },
    { "to_np", NULL, NULL, "False", PLAIN },
    { "channel_first", NULL, NULL, "False", PLAIN },
    { "backend", NULL, NULL, "cv2", PLAIN },
    { NULL, NULL, NULL, NULL, PLAIN },
};
static const struct argument resize[] = {
    { "resize_short", "resize-short", "resize-short", NULL, PLAIN },
    { "size", "test-size", "size", NULL, STRETCH },
    { "interpolation", NULL, NULL, "None|bilinear", PLAIN },
    { "backend", NULL, NULL, "cv2", PLAIN },
    { "return_numpy", NULL, NULL, "", PLAIN },
    { NULL, NULL, NULL, NULL, PLAIN },
};
static const struct argument crop[] = {
    { "size", "test-size", "size", NULL, SIDES },
    { NULL, NULL, NULL, NULL, PLAIN },
};
static const struct argument train_resize[] = {
    { "resize_short", "resize-short", NULL, NULL, PLAIN },
    { "size", "size", NULL, NULL, STRETCH },
    { "interpolation", NULL, NULL, "None|bilinear", PLAIN },
    { "backend", NULL, NULL, "cv2", PLAIN },
    { "return_numpy", NULL, NULL, "", PLAIN },
    { NULL, NULL, NULL, NULL, PLAIN },
};
static const struct argument train_crop[] = {
    { "size", "size", NULL, NULL, SIDES },
    { NULL, NULL, NULL, NULL, PLAIN },
};
static const struct argument normalize[] = {
    { "scale", "scale", "scale", NULL, ARITHMETIC },
    { "mean", "mean", "mean", NULL, PLAIN },
    { "std", "deviation", "deviation", NULL, PLAIN },
    { "order", NULL, NULL, "|hwc", PLAIN },
    { "output_fp16", NULL, NULL, "False", PLAIN },
    { "channel_num", NULL, NULL, "3", PLAIN },
    { NULL, NULL, NULL, NULL, PLAIN },
};
static const struct argument rand_crop[] = {
    { "size", "size", NULL, NULL, SIDES },
    { "scale", "least-area", NULL, NULL, LEAST },
    { "ratio", NULL, NULL, "None", PLAIN },
    { "interpolation", NULL, NULL, "None|bilinear", PLAIN },
    { "backend", NULL, NULL, "cv2", PLAIN },
    { "use_log_aspect", NULL, NULL, "False", PLAIN },
    { NULL, NULL, NULL, NULL, PLAIN },
};
static const struct argument rand_flip[] = {
    { "flip_code", NULL, NULL, "1", PLAIN },
    { NULL, NULL, NULL, NULL, PLAIN },
};
static const struct argument none[] = { { NULL, NULL, NULL, NULL, PLAIN } };

static const struct operation eval_operations[] = {
    { "DecodeImage", decode },       { "ResizeImage", resize }, { "CropImage", crop },
    { "NormalizeImage", normalize }, { "ToCHWImage", none },
};
static const struct operation train_operations[] = {
    { "DecodeImage", decode },      { "ResizeImage", train_resize },
    { "CropImage", train_crop },    { "RandCropImage", rand_crop },
    { "RandFlipImage", rand_flip }, { "NormalizeImage", normalize },
    { "ToCHWImage", none },
};

static const struct hr_value *find_operation(const struct hr_value *list, const char *name)
{
    for (size_t i = 0; list && list->kind == HR_VALUE_LIST && i < list->count; i++)
        if (hr_value_get(list->items[i], name))
            return hr_value_get(list->items[i], name);
    return NULL;
}

enum hr_status hr_config_take_eval_ops(const struct hr_config_sink *sink,
                                       const struct hr_value *value, const struct hr_value *root)
{
    const struct hr_value *const other = find_operation(
        hr_config_at(root, "DataLoader.Train.dataset.transform_ops"), "NormalizeImage");
    const struct hr_value *const own = find_operation(value, "NormalizeImage");
    struct hr_text a = { 0 }, b = { 0 };
    HR_TRY(check_list(value));
    for (size_t i = 0; i < value->count; i++)
        HR_TRY(take_operation(sink, value->items[i], eval_operations, HR_COUNT(eval_operations)));
    if (!own || !other || sink->evaluates)
        return HR_OK;
    hr_value_print(&a, own);
    hr_value_print(&b, other);
    const enum hr_status status = a.status != HR_OK ? a.status : b.status;
    const bool same = strcmp(hr_text_str(&a), hr_text_str(&b)) == 0;
    hr_text_fini(&a);
    hr_text_fini(&b);
    return status != HR_OK || same
               ? status
               : hr_config_refuse(HR_E_UNSUPPORTED, own,
                                  "NormalizeImage must be the same for Train and Eval");
}

enum hr_status hr_config_take_train_ops(const struct hr_config_sink *sink,
                                        const struct hr_value *value, const struct hr_value *root)
{
    (void)root;
    if (sink->evaluates)
        return HR_OK;
    HR_TRY(check_list(value));
    for (size_t i = 0; i < value->count; i++)
        HR_TRY(take_operation(sink, value->items[i], train_operations, HR_COUNT(train_operations)));
    if (!find_operation(value, "RandCropImage"))
        HR_TRY(sink->give(sink->context, "whole", "1", value));
    return sink->give(sink->context, "flip", find_operation(value, "RandFlipImage") ? "0.5" : "0",
                      value);
}

enum hr_status hr_config_take_batch_ops(const struct hr_config_sink *sink,
                                        const struct hr_value *value, const struct hr_value *root)
{
    (void)root;
    if (sink->evaluates || value->kind == HR_VALUE_NULL)
        return HR_OK;
    return hr_config_refuse(HR_E_UNSUPPORTED, value, "batch_transform_ops are not possible yet");
}
