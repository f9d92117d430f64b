/* SPDX-License-Identifier: Apache-2.0
 * The factor of the loss and what moves it. */
#include "train/scaler.h"

#include "base/compiler.h"
#include "train/words.h"

#define MOST_IN_A_ROW 100 /* overflows of a fixed factor: more and nothing is learned */

static enum hr_status check(const struct hr_scaler_options *o)
{
    if (!(o->scale >= 1.0))
        return hr_fail(HR_E_ARGUMENT, "loss scale: scale is %g, a number from 1 is wanted",
                       o->scale);
    if (!(o->every >= 1.0) || !(o->grow >= 1.0) || !(o->shrink > 0.0 && o->shrink < 1.0))
        return hr_fail(HR_E_ARGUMENT,
                       "loss scale: every %g and grow %g must be at least 1, shrink %g between 0 "
                       "and 1",
                       o->every, o->grow, o->shrink);
    return HR_OK;
}

enum hr_status hr_scaler_parse(struct hr_scaler_options *out, const char *text)
{
    static const char *const names[] = { "none", "fixed", "dynamic" };
    struct hr_scaler_options o = { .scale = 1.0, .every = 2000.0, .grow = 2.0, .shrink = 0.5 };
    const struct hr_word words[] = { { "scale", HR_WORD_REAL, &o.scale },
                                     { "every", HR_WORD_REAL, &o.every },
                                     { "grow", HR_WORD_REAL, &o.grow },
                                     { "shrink", HR_WORD_REAL, &o.shrink } };
    static const size_t counts[] = { 0, 1, HR_COUNT(words) };
    size_t which;
    HR_TRY(hr_words_choose("loss scale", text, names, HR_COUNT(names), &which));
    o.kind = (enum hr_scaler_kind)which;
    if (o.kind != HR_SCALER_NONE)
        o.scale = o.kind == HR_SCALER_FIXED ? 128.0 : 65536.0;
    HR_TRY(hr_words_set("loss scale", text, words, counts[which]));
    HR_TRY(check(&o));
    *out = o;
    return HR_OK;
}

struct hr_scaler hr_scaler_start(const struct hr_scaler_options *options)
{
    return (struct hr_scaler){ .scale = options->kind == HR_SCALER_NONE ? 1.0 : options->scale };
}

void hr_scaler_good(struct hr_scaler *s, const struct hr_scaler_options *options)
{
    s->row = 0;
    s->good++;
    if (options->kind == HR_SCALER_DYNAMIC && (double)s->good >= options->every) {
        s->scale *= options->grow;
        s->good = 0;
    }
}

bool hr_scaler_overflow(struct hr_scaler *s, const struct hr_scaler_options *options)
{
    if (options->kind == HR_SCALER_NONE || (options->kind == HR_SCALER_DYNAMIC && s->scale <= 1.0))
        return false;
    s->good = 0;
    s->skipped++;
    s->row++;
    if (options->kind == HR_SCALER_FIXED)
        return s->row <= MOST_IN_A_ROW;
    s->scale *= options->shrink;
    s->scale = s->scale < 1.0 ? 1.0 : s->scale;
    return true;
}
