/* SPDX-License-Identifier: Apache-2.0
 * The naming schemes as one table: a row names a kind of layer in every scheme.  A pattern holds
 * numbers as <s> (stage), <m> (module), <b> (branch or block), <k> (block or step), <n>
 * (convolution), <r> (index in Paddle's flat fuse list), <i> and <j> (fuse from branch j to i);
 * <b+> counts from one.  Sources: PaddleClas 2.1 and release/2.0, HRNet-Image-Classification. */
#include "model/names.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum kind { CONV, LINEAR };
enum direction { ANY, UP, DOWN }; /* of a fuse layer */

struct rule {
    enum kind kind;
    enum direction direction;
    const char *canonical;   /* Paddle 2.1 and later */
    const char *paddle_2_0;  /* release/2.0 */
    const char *conv, *norm; /* PyTorch: a convolution and its norm are two layers; NULL: none */
};

#define BLOCK_21 "st<s>.stage_func_list.<m>.basic_block_list.<b>.<k>"
#define BLOCK_20 "st<s>.stage_st<s>_<m+>.branches_func.bb_st<s>_<m+>_branch_layer_<b+>_<k+>"
#define BLOCK_PT "stage<s>.<m>.branches.<b>.<k>"
#define FUSE_21  "st<s>.stage_func_list.<m>.fuse_func.residual_func_list.<r>"
#define FUSE_20  "st<s>.stage_st<s>_<m+>.fuse_func.residual_st<s>_<m+>_layer_<i+>_<j+>"
#define INCRE_20 "last_cls.conv_cls_head_conv_<b+>"

/* clang-format off */
static const struct rule rules[] = {
    { CONV, ANY, "conv_layer1_<n>", "conv_layer1_<n>", "conv<n>", "bn<n>" },
    { CONV, ANY, "layer1.<b>.conv<n>", "la1.bb_layer2_<b+>.conv<n>",
      "layer1.<b>.conv<n>", "layer1.<b>.bn<n>" },
    { CONV, ANY, "layer1.<b>.conv_down", "la1.bb_layer2_<b+>.conv_down",
      "layer1.<b>.downsample.0", "layer1.<b>.downsample.1" },
    { LINEAR, ANY, "layer1.<b>.se.fc_squeeze", "la1.bb_layer2_<b+>.se.squeeze", NULL, NULL },
    { LINEAR, ANY, "layer1.<b>.se.fc_excitation", "la1.bb_layer2_<b+>.se.excitation", NULL, NULL },
    { CONV, ANY, "conv_tr1_1", "tr1.transition_tr1_layer_1", "transition1.0.0", "transition1.0.1" },
    { CONV, ANY, "conv_tr1_2", "tr1.transition_tr1_layer_2",
      "transition1.1.0.0", "transition1.1.0.1" },
    { CONV, ANY, "conv_tr2", "tr2.transition_tr2_layer_3",
      "transition2.2.0.0", "transition2.2.0.1" },
    { CONV, ANY, "conv_tr3", "tr3.transition_tr3_layer_4",
      "transition3.3.0.0", "transition3.3.0.1" },
    { CONV, ANY, BLOCK_21 ".conv<n>", BLOCK_20 ".conv<n>", BLOCK_PT ".conv<n>", BLOCK_PT ".bn<n>" },
    { LINEAR, ANY, BLOCK_21 ".se.fc_squeeze", BLOCK_20 ".se.squeeze", NULL, NULL },
    { LINEAR, ANY, BLOCK_21 ".se.fc_excitation", BLOCK_20 ".se.excitation", NULL, NULL },
    { CONV, UP, FUSE_21, FUSE_20,
      "stage<s>.<m>.fuse_layers.<i>.<j>.0", "stage<s>.<m>.fuse_layers.<i>.<j>.1" },
    { CONV, DOWN, FUSE_21, FUSE_20 "_<k+>",
      "stage<s>.<m>.fuse_layers.<i>.<j>.<k>.0", "stage<s>.<m>.fuse_layers.<i>.<j>.<k>.1" },
    { CONV, ANY, "last_cls.func_list.<b>.conv<n>", INCRE_20 ".conv<n>",
      "incre_modules.<b>.0.conv<n>", "incre_modules.<b>.0.bn<n>" },
    { CONV, ANY, "last_cls.func_list.<b>.conv_down", INCRE_20 ".conv_down",
      "incre_modules.<b>.0.downsample.0", "incre_modules.<b>.0.downsample.1" },
    { LINEAR, ANY, "last_cls.func_list.<b>.se.fc_squeeze", INCRE_20 ".se.squeeze", NULL, NULL },
    { LINEAR, ANY, "last_cls.func_list.<b>.se.fc_excitation", INCRE_20 ".se.excitation",
      NULL, NULL },
    { CONV, ANY, "cls_head_conv_list.<i>", "cls_head_add<i+>",
      "downsamp_modules.<i>.0", "downsamp_modules.<i>.1" },
    { CONV, ANY, "conv_last", "conv_last", "final_layer.0", "final_layer.1" },
    { LINEAR, ANY, "fc", "out", "classifier", "classifier" },
};

/* What follows a layer's name. */
static const struct suffix {
    enum kind kind;
    const char *canonical, *paddle_2_0;
    bool of_norm; /* PyTorch: belongs to the norm's layer */
    const char *torch;
} suffixes[] = {
    { CONV, ".conv.weight", "._conv.weight", false, ".weight" },
    { CONV, ".bn.weight", "._batch_norm.weight", true, ".weight" },
    { CONV, ".bn.bias", "._batch_norm.bias", true, ".bias" },
    { CONV, ".bn._mean", "._batch_norm._mean", true, ".running_mean" },
    { CONV, ".bn._variance", "._batch_norm._variance", true, ".running_var" },
    { LINEAR, ".weight", ".weight", false, ".weight" },
    { LINEAR, ".bias", ".bias", false, ".bias" },
};

/* How the names of each scheme begin: a tensor there that is not of the network means that the
 * file is of another network. */
static const char *const heads[HR_SCHEME_COUNT][16] = {
    [HR_SCHEME_PADDLE] = { "conv_layer1_", "layer1.", "conv_tr", "st2.", "st3.", "st4.",
                           "last_cls.", "cls_head_conv_list.", "conv_last.", "fc." },
    [HR_SCHEME_PADDLE_2_0] = { "conv_layer1_", "la1.", "tr1.", "tr2.", "tr3.", "st2.", "st3.",
                               "st4.", "last_cls.", "cls_head_add", "conv_last.", "out." },
    [HR_SCHEME_MICROSOFT] = { "conv1.", "bn1.", "conv2.", "bn2.", "layer1.", "transition",
                              "stage", "incre_modules.", "downsamp_modules.", "final_layer.",
                              "classifier." },
    [HR_SCHEME_TIMM] = { "conv1.", "bn1.", "conv2.", "bn2.", "layer1.", "transition", "stage",
                         "incre_modules.", "downsamp_modules.", "final_layer.", "classifier." },
};
/* clang-format on */

const char *hr_scheme_name(enum hr_scheme scheme)
{
    static const char *const names[HR_SCHEME_COUNT] = {
        [HR_SCHEME_PADDLE] = "Paddle 2.1",
        [HR_SCHEME_PADDLE_2_0] = "Paddle 2.0",
        [HR_SCHEME_MICROSOFT] = "Microsoft",
        [HR_SCHEME_TIMM] = "timm",
    };
    return (unsigned)scheme < HR_SCHEME_COUNT ? names[scheme] : "unknown";
}

bool hr_scheme_is_torch(enum hr_scheme scheme)
{
    return scheme == HR_SCHEME_MICROSOFT || scheme == HR_SCHEME_TIMM;
}

static bool scheme_owns(enum hr_scheme scheme, const char *name)
{
    for (size_t i = 0; i < HR_COUNT(heads[scheme]) && heads[scheme][i]; i++)
        if (hr_text_starts(name, heads[scheme][i]))
            return true;
    return false;
}

/* What optimizers append to a parameter's name, before a number maybe: Paddle's accumulators and
 * master copies, PyTorch's buffers. */
static bool is_optimizers(const char *name)
{
    static const char *const endings[] = {
        "_velocity",      "_moment",       "_moment1",        "_moment2",   "_beta1_pow_acc",
        "_beta2_pow_acc", "_inf_norm",     "_mean_square",    "_mean_grad", "_momentum",
        "_fp32_master",   "master_weight", "momentum_buffer", ".exp_avg",   ".exp_avg_sq",
    };
    size_t size = strlen(name), digits = 0;
    while (digits < size && name[size - 1 - digits] >= '0' && name[size - 1 - digits] <= '9')
        digits++;
    if (digits > 0 && digits < size && name[size - 1 - digits] == '_')
        size -= digits + 1;
    for (size_t i = 0; i < HR_COUNT(endings); i++) {
        const size_t length = strlen(endings[i]);
        if (length <= size && memcmp(name + size - length, endings[i], length) == 0)
            return true;
    }
    return false;
}

enum hr_name_kind hr_names_kind(const struct hr_recognised *is, const char *name)
{
    if (is_optimizers(name))
        return HR_NAME_OPTIMIZER;
    if (!hr_text_starts(name, is->prefix))
        return HR_NAME_OTHER;
    if (hr_text_ends(name, ".num_batches_tracked"))
        return HR_NAME_COUNTER;
    return scheme_owns(is->scheme, name + strlen(is->prefix)) ? HR_NAME_OWN : HR_NAME_OTHER;
}

/* Matches text[0..size) with a pattern; numbers go to var[letter - 'a']. */
static bool pattern_match(const char *pattern, const char *text, size_t size, int *var)
{
    const char *end = text + size;

    while (*pattern) {
        if (*pattern == '<') {
            int value = 0, digits = 0;

            for (; text < end && *text >= '0' && *text <= '9' && digits < 4; text++, digits++)
                value = value * 10 + (*text - '0');
            if (digits == 0)
                return false;
            var[pattern[1] - 'a'] = value;
            pattern += 3;
        } else {
            if (text == end || *text != *pattern)
                return false;
            text++;
            pattern++;
        }
    }
    return text == end;
}

/* Appends to a name: no heap, so that a lookup by name cannot fail for want of memory.  A name too
 * long is cut (canonical names, of which they are made, are bounded by the network). */
static void name_add(char out[HR_NAME_BYTES], const char *text)
{
    const size_t used = strlen(out);
    snprintf(out + used, HR_NAME_BYTES - used, "%s", text);
}

/* Appends a pattern with its numbers filled in. */
static void pattern_print(char out[HR_NAME_BYTES], const char *pattern, const int *var)
{
    while (*pattern) {
        char piece[16] = { *pattern, 0 };
        size_t size = 1;
        if (*pattern == '<') {
            const bool from_one = pattern[2] == '+';
            snprintf(piece, sizeof piece, "%d", var[pattern[1] - 'a'] + from_one);
            size = from_one ? 4 : 3;
        }
        name_add(out, piece);
        pattern += size;
    }
}

/* Paddle's flat fuse index r of a module with `branches` branches -> i, j, and the step k of a
 * chain of strided convolutions (paddleclas.md 2.3). */
static enum direction fuse_position(int branches, int r, int *var)
{
    int next = 0;

    for (int i = 0; i < branches; i++) {
        for (int j = 0; j < branches; j++) {
            int length = j > i ? 1 : i - j;

            if (r >= next && r < next + length) {
                var['i' - 'a'] = i;
                var['j' - 'a'] = j;
                var['k' - 'a'] = r - next;
                return j > i ? UP : DOWN;
            }
            next += length;
        }
    }
    return ANY;
}

static const struct rule *find_rule(enum kind kind, const char *layer, size_t size, int *var)
{
    for (size_t i = 0; i < HR_COUNT(rules); i++) {
        const struct rule *rule = &rules[i];

        if (rule->kind != kind || !pattern_match(rule->canonical, layer, size, var))
            continue;
        if (rule->direction == ANY ||
            fuse_position(var['s' - 'a'], var['r' - 'a'], var) == rule->direction)
            return rule;
    }
    return NULL;
}

static void print_name(char out[HR_NAME_BYTES], enum hr_scheme scheme, const struct rule *rule,
                       const struct suffix *suffix, const int *var)
{
    if (scheme == HR_SCHEME_PADDLE_2_0) {
        pattern_print(out, rule->paddle_2_0, var);
        name_add(out, suffix->paddle_2_0);
    } else if (rule->conv) {
        pattern_print(out, suffix->of_norm ? rule->norm : rule->conv, var);
        name_add(out, suffix->torch);
    }
}

enum hr_status hr_name_of(char out[HR_NAME_BYTES], enum hr_scheme scheme, const char *canonical)
{
    int var[26] = { 0 };

    if (scheme == HR_SCHEME_PADDLE) {
        snprintf(out, HR_NAME_BYTES, "%s", canonical);
        return HR_OK;
    }
    for (size_t i = 0; i < HR_COUNT(suffixes); i++) {
        const struct rule *rule;

        if (!hr_text_ends(canonical, suffixes[i].canonical))
            continue;
        rule = find_rule(suffixes[i].kind, canonical,
                         strlen(canonical) - strlen(suffixes[i].canonical), var);
        if (!rule)
            continue;
        out[0] = 0;
        print_name(out, scheme, rule, &suffixes[i], var);
        return HR_OK;
    }
    return hr_fail(HR_E_INTERNAL, "'%s' is no parameter of a known kind of layer", canonical);
}

enum hr_status hr_name_of_head_bias(char out[HR_NAME_BYTES], enum hr_scheme scheme,
                                    const char *canonical)
{
    char weight[HR_NAME_BYTES];
    size_t layer = strlen(canonical);

    out[0] = 0;
    if (!hr_scheme_is_torch(scheme) || !(hr_text_starts(canonical, "cls_head_conv_list.") ||
                                         hr_text_starts(canonical, "conv_last.")))
        return HR_OK;
    while (layer > 0 && canonical[layer - 1] != '.')
        layer--;
    if (!hr_text_ends(canonical, ".bn._mean"))
        return HR_OK;
    snprintf(weight, sizeof weight, "%.*s.conv.weight", (int)(layer - strlen(".bn.")), canonical);
    HR_TRY(hr_name_of(out, scheme, weight));
    strcpy(out + strlen(out) - strlen("weight"), "bias");
    return HR_OK;
}
