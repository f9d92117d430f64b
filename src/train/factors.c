/* SPDX-License-Identifier: Apache-2.0
 * Factors in words.  Knows how the parts of a network are called and in which order they come. */
#include "train/factors.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "train/words.h"

#define PART 128 /* bytes of a name: the longest parameter has half */

/* How the parts of a network begin, in the order of the computation; depth counts from the stem. */
static const struct {
    const char *begin;
    int depth;
} parts[] = {
    { "conv_layer1_", 0 }, { "layer1.", 1 },    { "conv_tr1_", 2 },           { "st2.", 2 },
    { "conv_tr2.", 3 },    { "st3.", 3 },       { "conv_tr3.", 4 },           { "st4.", 4 },
    { "last_cls.", 5 },    { "conv_last.", 5 }, { "cls_head_conv_list.", 5 }, { "fc.", 6 },
};
#define DEPTH 6

static int depth_of(const char *name)
{
    for (size_t i = 0; i < HR_COUNT(parts); i++)
        if (hr_text_starts(name, parts[i].begin))
            return parts[i].depth;
    return 0;
}

static enum hr_status no_such(const char *begin)
{
    struct hr_text known = { 0 };
    for (size_t i = 0; i < HR_COUNT(parts); i++)
        hr_text_printf(&known, "%s%s", i ? ", " : "", parts[i].begin);
    const enum hr_status status =
        hr_fail(HR_E_ARGUMENT, "no parameter's name begins with '%s': they begin with %s", begin,
                hr_text_str(&known));
    hr_text_fini(&known);
    return status;
}

/* One "begin=factor" of a list; lengths[i]: of the beginning that parameter i has now. */
static enum hr_status apply(float *factors, size_t *lengths, const struct hr_tape *tape,
                            const char *begin, double factor)
{
    const size_t length = strlen(begin);
    bool found = false;
    for (size_t i = 0; i < hr_tape_param_count(tape); i++) {
        if (length == 0 || !hr_text_starts(hr_tape_param(tape, i)->name, begin))
            continue;
        found = true;
        if (length >= lengths[i]) {
            factors[i] *= (float)factor;
            lengths[i] = length;
        }
    }
    return found ? HR_OK : no_such(begin);
}

static enum hr_status apply_list(float *factors, size_t *lengths, const struct hr_tape *tape,
                                 const char *text, bool frozen)
{
    char part[PART];
    while (hr_words_next(&text, ',', part, sizeof part)) {
        char *const equals = frozen ? NULL : strchr(part, '=');
        double factor = 0.0;
        if (equals)
            *equals = '\0';
        if (!frozen && (!equals || hr_parse_f64(equals + 1, &factor) != HR_OK || factor < 0.0 ||
                        !isfinite(factor)))
            return hr_fail(HR_E_ARGUMENT, "rates: '%s' is not NAME=FACTOR, 0 or larger", part);
        HR_TRY(apply(factors, lengths, tape, part, factor));
    }
    return HR_OK;
}

enum hr_status hr_factors_of_rates(float *factors, const struct hr_tape *tape,
                                   const struct hr_factor_options *o)
{
    const size_t count = hr_tape_param_count(tape);
    if (!(o->layer_decay > 0.0) || !isfinite(o->layer_decay))
        return hr_fail(HR_E_ARGUMENT, "layer decay %g: a number above 0 is wanted", o->layer_decay);
    size_t *const lengths = hr_mem_alloc(count, sizeof *lengths);
    if (!lengths)
        return HR_E_MEMORY;
    for (size_t i = 0; i < count; i++)
        factors[i] = 1.0f;
    enum hr_status status = apply_list(factors, lengths, tape, o->rates, false);
    if (status == HR_OK)
        status = apply_list(factors, lengths, tape, o->freeze, true);
    for (size_t i = 0; i < count; i++)
        factors[i] *= (float)pow(o->layer_decay, DEPTH - depth_of(hr_tape_param(tape, i)->name));
    hr_mem_free(lengths);
    return status;
}

/* ---- Classes ---- */

static enum hr_status balanced(float *weights, const struct hr_dataset *set)
{
    const size_t classes = (size_t)set->class_count;
    size_t *const counts = hr_mem_alloc(classes, sizeof *counts);
    if (!counts)
        return HR_E_MEMORY;
    for (size_t i = 0; i < set->paths.count; i++)
        counts[set->labels[i]]++;
    for (size_t k = 0; k < classes; k++)
        weights[k] = counts[k]
                         ? (float)((double)set->paths.count / ((double)classes * (double)counts[k]))
                         : 0.0f;
    hr_mem_free(counts);
    return HR_OK;
}

enum hr_status hr_factors_of_classes(float *weights, const struct hr_dataset *set, const char *text)
{
    char part[PART];
    int32_t count = 0;
    if (strcmp(text, "balanced") == 0)
        return balanced(weights, set);
    for (; hr_words_next(&text, ',', part, sizeof part); count++) {
        double value;
        if (hr_parse_f64(part, &value) != HR_OK || !(value > 0.0) || !isfinite(value))
            return hr_fail(HR_E_ARGUMENT, "class weight '%s': a number above 0 is wanted", part);
        if (count < set->class_count)
            weights[count] = (float)value;
    }
    if (count != set->class_count)
        return hr_fail(HR_E_ARGUMENT,
                       "%d class weights for %d classes: one each is wanted, or "
                       "'balanced'",
                       (int)count, (int)set->class_count);
    return HR_OK;
}
