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
    PAIR,       /* two numbers for the two words in `word`, "area|most" */
    NAMELESS,   /* text that stands in front of the step's words, as timm's */
};

struct argument {
    const char *name;
    const char *train, *eval; /* flags that take it, of `hrnet train` and `hrnet eval`, or NULL */
    const char *only;         /* words that are possible, as in hr_config_key; NULL: any */
    enum form form;
    const char *word; /* that takes it in the operation's step; or NULL */
};

struct operation {
    const char *name;
    const struct argument *arguments; /* ended by name NULL */
    const char *step;                 /* of --augment that it becomes, or NULL */
};

/* What the operations of a list become: steps of --augment. */
struct steps {
    struct hr_text all, front, words; /* front and words: of the operation that is read */
};

static enum hr_status number_of(double *out, const struct hr_value *value)
{
    if (value->kind == HR_VALUE_TEXT && hr_literal_arithmetic(value->text, out))
        return HR_OK;
    if (value->kind != HR_VALUE_INT && value->kind != HR_VALUE_REAL)
        return hr_config_refuse(HR_E_FORMAT, value, "a number is wanted, not '%.80s'",
                                value->text ? value->text : "a list");
    *out = value->real;
    return HR_OK;
}

static enum hr_status give_arithmetic(const struct hr_config_sink *sink, const char *flag,
                                      const struct hr_value *value)
{
    struct hr_value number = { .kind = HR_VALUE_REAL,
                               .origin = value->origin,
                               .line = value->line };
    HR_TRY(number_of(&number.real, value));
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
    case PLAIN:
    case PAIR:
    case NAMELESS:
        break;
    }
    return hr_config_give(sink, flag, value);
}

/* ",word=number" of the step; of a bool 0 or 1, of text itself. */
static enum hr_status add_number(struct steps *steps, const char *word, size_t length,
                                 const struct hr_value *value)
{
    struct hr_value number = { .kind = HR_VALUE_REAL };
    if (value->kind == HR_VALUE_BOOL) {
        number.real = (double)value->integer;
    } else if (value->kind == HR_VALUE_TEXT && !hr_literal_arithmetic(value->text, &number.real)) {
        hr_text_printf(&steps->words, ",%.*s=%s", (int)length, word, value->text);
        return steps->words.status;
    } else {
        HR_TRY(number_of(&number.real, value));
    }
    hr_text_printf(&steps->words, ",%.*s=", (int)length, word);
    hr_value_print(&steps->words, &number);
    return steps->words.status;
}

static enum hr_status add_words(struct steps *steps, const struct argument *a,
                                const struct hr_value *value)
{
    const size_t length = strcspn(a->word, "|");
    if (value->kind == HR_VALUE_NULL)
        return HR_OK;
    if (a->form == NAMELESS) {
        hr_text_add(&steps->front, value->text ? value->text : "");
        return steps->front.status;
    }
    if (a->form != PAIR)
        return add_number(steps, a->word, length, value);
    if (value->kind != HR_VALUE_LIST || value->count != 2)
        return hr_config_refuse(HR_E_FORMAT, value, "two numbers are wanted");
    HR_TRY(add_number(steps, a->word, length, value->items[0]));
    return add_number(steps, a->word + length + 1, strlen(a->word + length + 1), value->items[1]);
}

static enum hr_status take_argument(const struct hr_config_sink *sink, const struct operation *op,
                                    const char *name, const struct hr_value *value,
                                    struct steps *steps)
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
        return a->word ? add_words(steps, a, value) : give_argument(sink, a, value);
    }
    const char *const near = hr_nearest_name(name, names, count);
    return hr_config_refuse(HR_E_FORMAT, value, "%s has no '%.80s'%s%s%s", op->name, name,
                            near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* The arguments of an operation; what it is of a step goes behind steps->all. */
static enum hr_status take_arguments(const struct hr_config_sink *sink, const struct operation *op,
                                     const struct hr_value *arguments, struct steps *steps)
{
    if (arguments->kind != HR_VALUE_MAP && arguments->kind != HR_VALUE_NULL)
        return hr_config_refuse(HR_E_FORMAT, arguments, "%s has arguments with names", op->name);
    steps->front.size = steps->words.size = 0;
    for (size_t k = 0; k < arguments->count; k++)
        HR_TRY(take_argument(sink, op, arguments->keys[k], arguments->items[k], steps));
    const bool front = steps->front.size > 0, words = steps->words.size > 0;
    if (!op->step || (op->step[0] == '?' && !words))
        return HR_OK;
    hr_text_printf(&steps->all, "%s%s%s", steps->all.size ? ";" : "",
                   op->step + (op->step[0] == '?'), front || words ? ":" : "");
    hr_text_add_bytes(&steps->all, hr_text_str(&steps->front), steps->front.size);
    hr_text_add_bytes(&steps->all, hr_text_str(&steps->words) + (words && !front),
                      steps->words.size - (words && !front));
    return steps->all.status;
}

/* `key` by the table, with these arguments. */
static enum hr_status take_operation(const struct hr_config_sink *sink, const char *key,
                                     const struct hr_value *arguments,
                                     const struct operation *operations, size_t count,
                                     struct steps *steps)
{
    const char *names[48];
    for (size_t i = 0; i < count; i++) {
        names[i] = operations[i].name;
        if (strcmp(operations[i].name, key) == 0)
            return take_arguments(sink, &operations[i], arguments, steps);
    }
    const char *const near = hr_nearest_name(key, names, count);
    return hr_config_refuse(HR_E_UNSUPPORTED, arguments, "the operation '%.80s' is not known%s%s%s",
                            key, near ? ": did you mean '" : "", near ? near : "",
                            near ? "'?" : "");
}

static enum hr_status take_list(const struct hr_config_sink *sink, const struct hr_value *list,
                                const struct operation *operations, size_t count,
                                struct steps *steps)
{
    if (list->kind != HR_VALUE_LIST)
        return hr_config_refuse(HR_E_FORMAT, list, "a list of operations is wanted");
    for (size_t i = 0; i < list->count; i++) {
        const struct hr_value *const entry = list->items[i];
        if (entry->kind != HR_VALUE_MAP || entry->count != 1)
            return hr_config_refuse(HR_E_FORMAT, entry,
                                    "an operation is wanted, as '- ResizeImage: {size: 224}'");
        HR_TRY(take_operation(sink, entry->keys[0], entry->items[0], operations, count, steps));
    }
    return HR_OK;
}

static void end_steps(struct steps *steps)
{
    hr_text_fini(&steps->all);
    hr_text_fini(&steps->front);
    hr_text_fini(&steps->words);
}

/* ---- The operations ---- */

static const struct argument decode[] = {
    { "to_rgb", NULL, NULL, "True", PLAIN, NULL },
    { "to_np", NULL, NULL, "False", PLAIN, NULL },
    { "channel_first", NULL, NULL, "False", PLAIN, NULL },
    { "backend", NULL, NULL, "cv2|pil", PLAIN, NULL },
    { NULL, NULL, NULL, NULL, PLAIN, NULL },
};
static const struct argument resize[] = {
    { "resize_short", "resize-short", "resize-short", NULL, PLAIN, NULL },
    { "size", "test-size", "size", NULL, STRETCH, NULL },
    { "interpolation", NULL, NULL, "None|bilinear|bicubic", PLAIN, NULL },
    { "backend", NULL, NULL, "cv2|pil", PLAIN, NULL },
    { "return_numpy", NULL, NULL, "", PLAIN, NULL },
    { NULL, NULL, NULL, NULL, PLAIN, NULL },
};
static const struct argument crop[] = {
    { "size", "test-size", "size", NULL, SIDES, NULL },
    { NULL, NULL, NULL, NULL, PLAIN, NULL },
};
static const struct argument train_resize[] = {
    { "resize_short", "resize-short", NULL, NULL, PLAIN, NULL },
    { "size", "size", NULL, NULL, STRETCH, NULL },
    { "interpolation", NULL, NULL, "None|bilinear|bicubic", PLAIN, NULL },
    { "backend", NULL, NULL, "cv2|pil", PLAIN, NULL },
    { "return_numpy", NULL, NULL, "", PLAIN, NULL },
    { NULL, NULL, NULL, NULL, PLAIN, NULL },
};
static const struct argument train_crop[] = {
    { "size", "size", NULL, NULL, SIDES, NULL },
    { NULL, NULL, NULL, NULL, PLAIN, NULL },
};
static const struct argument normalize[] = {
    { "scale", "scale", "scale", NULL, ARITHMETIC, NULL },
    { "mean", "mean", "mean", NULL, PLAIN, NULL },
    { "std", "deviation", "deviation", NULL, PLAIN, NULL },
    { "order", NULL, NULL, "|hwc", PLAIN, NULL },
    { "output_fp16", NULL, NULL, "False", PLAIN, NULL },
    { "channel_num", NULL, NULL, "3", PLAIN, NULL },
    { NULL, NULL, NULL, NULL, PLAIN, NULL },
};
#define END                                 \
    {                                       \
        NULL, NULL, NULL, NULL, PLAIN, NULL \
    }
#define WORD(name, word)                    \
    {                                       \
        name, NULL, NULL, NULL, PLAIN, word \
    }
#define WORDS(name, words)                  \
    {                                       \
        name, NULL, NULL, NULL, PAIR, words \
    }
#define ONLY(name, only)                    \
    {                                       \
        name, NULL, NULL, only, PLAIN, NULL \
    }

static const struct argument rand_crop[] = {
    { "size", "size", NULL, NULL, SIDES, NULL },
    WORDS("scale", "area|most"),
    WORDS("ratio", "low|high"),
    WORD("use_log_aspect", "log"),
    ONLY("interpolation", "None|bilinear|bicubic"),
    ONLY("backend", "cv2|pil"),
    END,
};
static const struct argument resized_crop[] = {
    { "size", "size", NULL, NULL, SIDES, NULL },
    WORDS("scale", "area|most"),
    WORDS("ratio", "low|high"),
    ONLY("interpolation", "None|bilinear"),
    END,
};
static const struct argument pad_crop[] = {
    { "size", "size", NULL, NULL, SIDES, NULL },
    WORD("padding_num", "px"),
    ONLY("prob", "1|1.0"),
    END,
};
static const struct argument rand_flip[] = { ONLY("flip_code", "1"), END };
static const struct argument flip[] = { WORD("prob", "p"), END };
static const struct argument rand_augment[] = { WORD("num_layers", "n"), WORD("magnitude", "m"),
                                                END };
static const struct argument timm[] = {
    { "config_str", NULL, NULL, NULL, NAMELESS, "policy" },
    WORD("prob", "p"),
    WORD("interpolation", "filter"),
    ONLY("img_size", ""),
    ONLY("mean", ""),
    END,
};
static const struct argument augmix[] = {
    WORD("prob", "p"),
    WORD("aug_prob_coeff", "coeff"),
    WORD("mixture_width", "width"),
    WORD("mixture_depth", "depth"),
    WORD("aug_severity", "severity"),
    END,
};
static const struct argument jitter[] = {
    WORD("prob", "p"),
    WORD("brightness", "brightness"),
    WORD("contrast", "contrast"),
    WORD("saturation", "saturation"),
    WORD("hue", "hue"),
    END,
};
static const struct argument gray[] = { WORD("p", "p"), WORD("prob", "p"), END };
static const struct argument rotation[] = { WORD("prob", "p"), WORD("degrees", "degrees"),
                                            WORD("interpolation", "filter"), END };
static const struct argument erasing[] = {
    WORD("EPSILON", "p"), WORD("sl", "least"),      WORD("sh", "most"),
    WORD("r1", "aspect"), WORD("attempt", "tries"), WORD("use_log_aspect", "log"),
    WORD("mode", "mode"), ONLY("mean", ""),         END,
};
static const struct argument cutout[] = { WORD("n_holes", "holes"), WORD("length", "length"), END };
static const struct argument grid_mask[] = {
    WORD("d1", "d1"),
    WORD("d2", "d2"),
    WORD("rotate", "rotate"),
    WORD("ratio", "ratio"),
    WORD("mode", "mode"),
    WORD("prob", "p"),
    END,
};
static const struct argument mix[] = {
    WORD("alpha", "alpha"), WORD("prob", "p"), ONLY("class_num", ""), ONLY("epsilon", ""), END,
};
static const struct argument fmix[] = {
    WORD("alpha", "alpha"),
    WORD("decay_power", "decay"),
    WORD("prob", "p"),
    ONLY("class_num", ""),
    ONLY("max_soft", "0|0.0"),
    ONLY("reformulate", "False"),
    END,
};
static const struct argument none[] = { END };

static const struct operation eval_operations[] = {
    { "DecodeImage", decode, NULL }, { "ResizeImage", resize, NULL },
    { "CropImage", crop, NULL },     { "NormalizeImage", normalize, NULL },
    { "ToCHWImage", none, NULL },
};
/* A '?' in front: only where the operation has words. */
static const struct operation train_operations[] = {
    { "DecodeImage", decode, NULL },
    { "ResizeImage", train_resize, NULL },
    { "CropImage", train_crop, NULL },
    { "RandCropImage", rand_crop, "?crop" },
    { "RandomResizedCrop", resized_crop, "resizedcrop" },
    { "CropWithPadding", pad_crop, "padcrop" },
    { "RandFlipImage", rand_flip, NULL },
    { "RandomHorizontalFlip", flip, "flip" },
    { "AutoAugment", none, "autoaugment" },
    { "RandAugment", rand_augment, "randaugment" },
    { "TimmAutoAugment", timm, "timm" },
    { "AugMix", augmix, "augmix" },
    { "ColorJitter", jitter, "jitter" },
    { "RandomGrayscale", gray, "gray" },
    { "RandomRotation", rotation, "rotation" },
    { "NormalizeImage", normalize, NULL },
    { "RandomErasing", erasing, "erasing" },
    { "Cutout", cutout, "cutout" },
    { "HideAndSeek", none, "hide" },
    { "GridMask", grid_mask, "gridmask" },
    { "ToCHWImage", none, NULL },
};
static const struct operation batch_operations[] = {
    { "MixupOperator", mix, "mixup" },
    { "CutmixOperator", mix, "cutmix" },
    { "FmixOperator", fmix, "fmix" },
};

static const struct hr_value *find_operation(const struct hr_value *list, const char *name)
{
    for (size_t i = 0; list && list->kind == HR_VALUE_LIST && i < list->count; i++)
        if (hr_value_get(list->items[i], name))
            return hr_value_get(list->items[i], name);
    return NULL;
}

static bool has_operation(const struct hr_value *list, const char *name)
{
    return find_operation(list, name) != NULL;
}

/* Both lists must normalise in the same way. */
static enum hr_status check_normalisation(const struct hr_value *own, const struct hr_value *other)
{
    struct hr_text a = { 0 }, b = { 0 };
    if (!own || !other)
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

/* The recipe whose resizing is the operation's; NULL: OpenCV's, the usual one. */
static enum hr_status resizing_of(const char **recipe, const struct hr_value *operation)
{
    const struct hr_value *const backend = hr_value_get(operation, "backend");
    const struct hr_value *const filter = hr_value_get(operation, "interpolation");
    const bool pillow = backend && hr_config_is_word(backend, "pil");
    const bool bicubic = filter && hr_config_is_word(filter, "bicubic");
    *recipe = pillow ? (bicubic ? "pillow-bicubic" : "pillow") : NULL;
    return bicubic && !pillow ? hr_config_refuse(HR_E_UNSUPPORTED, filter,
                                                 "bicubic can only be Pillow's here: backend: pil")
                              : HR_OK;
}

/* What resizes in one of the lists. */
static const struct hr_value *resizer(const struct hr_value *list)
{
    const struct hr_value *const random = find_operation(list, "RandCropImage");
    return random ? random : find_operation(list, "ResizeImage");
}

/* Training and evaluation resize in the same way, since the model has one recipe. */
static enum hr_status give_resizing(const struct hr_config_sink *sink, const struct hr_value *list,
                                    const struct hr_value *other)
{
    const struct hr_value *const own = resizer(list), *const theirs = resizer(other);
    const char *recipe = NULL, *second = NULL;
    HR_TRY(resizing_of(&recipe, own));
    HR_TRY(resizing_of(&second, theirs));
    if (own && theirs && (recipe != second) && (!recipe || !second || strcmp(recipe, second) != 0))
        return hr_config_refuse(HR_E_UNSUPPORTED, own,
                                "Train and Eval must resize with the same backend and "
                                "interpolation here");
    return recipe ? sink->give(sink->context, "recipe", recipe, own) : HR_OK;
}

enum hr_status hr_config_take_eval_ops(const struct hr_config_sink *sink,
                                       const struct hr_value *value, const struct hr_value *root)
{
    struct steps steps = { .all = { 0 } };
    const enum hr_status status =
        take_list(sink, value, eval_operations, HR_COUNT(eval_operations), &steps);
    const struct hr_value *const train =
        hr_config_at(root, "DataLoader.Train.dataset.transform_ops");
    end_steps(&steps);
    HR_TRY(status);
    HR_TRY(give_resizing(sink, value, sink->evaluates ? NULL : train));
    if (sink->evaluates)
        return HR_OK;
    return check_normalisation(find_operation(value, "NormalizeImage"),
                               find_operation(train, "NormalizeImage"));
}

/* Operations on batches; OpSampler's are a map of several, one of which is drawn. */
static enum hr_status take_batch_ops(const struct hr_config_sink *sink, const struct hr_value *list,
                                     struct steps *steps)
{
    const size_t count = HR_COUNT(batch_operations);
    const struct hr_value *const sampler = find_operation(list, "OpSampler");
    if (!sampler)
        return take_list(sink, list, batch_operations, count, steps);
    if (list->count != 1 || sampler->kind != HR_VALUE_MAP)
        return hr_config_refuse(HR_E_UNSUPPORTED, list,
                                "OpSampler stands alone, with a map of operations");
    for (size_t i = 0; i < sampler->count; i++)
        HR_TRY(take_operation(sink, sampler->keys[i], sampler->items[i], batch_operations, count,
                              steps));
    return HR_OK;
}

static enum hr_status take_all_ops(const struct hr_config_sink *sink, const struct hr_value *value,
                                   const struct hr_value *batch, struct steps *steps)
{
    HR_TRY(take_list(sink, value, train_operations, HR_COUNT(train_operations), steps));
    if (batch && batch->kind != HR_VALUE_NULL)
        HR_TRY(take_batch_ops(sink, batch, steps));
    if (steps->all.size == 0)
        return HR_OK;
    const char *const text = hr_arena_printf(sink->arena, "%s", hr_text_str(&steps->all));
    return text ? sink->give(sink->context, "augment", text, value) : HR_E_MEMORY;
}

enum hr_status hr_config_take_train_ops(const struct hr_config_sink *sink,
                                        const struct hr_value *value, const struct hr_value *root)
{
    static const char *const crops[] = { "RandCropImage", "RandomResizedCrop", "CropWithPadding" };
    struct steps steps = { .all = { 0 } };
    bool cropped = false;
    if (sink->evaluates)
        return HR_OK;
    const enum hr_status status = take_all_ops(
        sink, value, hr_config_at(root, "DataLoader.Train.dataset.batch_transform_ops"), &steps);
    end_steps(&steps);
    HR_TRY(status);
    HR_TRY(give_resizing(sink, value, hr_config_at(root, "DataLoader.Eval.dataset.transform_ops")));
    for (size_t i = 0; i < HR_COUNT(crops); i++)
        cropped = cropped || has_operation(value, crops[i]);
    if (!cropped)
        HR_TRY(sink->give(sink->context, "whole", "1", value));
    return sink->give(sink->context, "flip", has_operation(value, "RandFlipImage") ? "0.5" : "0",
                      value);
}
