/* SPDX-License-Identifier: Apache-2.0
 * Chains of augmentations as text.  The one idea: a table of kinds with their numbers' names,
 * defaults (paddleclas.md 5.9) and ranges; parsing, printing and help walk it. */
#include "train/augment.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct number {
    const char *name;
    double initial, least, most;
    const char *words; /* "const|rand|pixel": the number is a position among them; or NULL */
    bool whole;
};

struct row {
    const char *name;
    enum hr_augment_stage stage;
    double p;
    struct number numbers[HR_AUGMENT_NUMBERS];
    const char *help;
};

#define SHARE(name, initial)                 \
    {                                        \
        name, initial, 0.0, 1.0, NULL, false \
    }
#define BYTE(name, initial)                   \
    {                                         \
        name, initial, 0.0, 255.0, NULL, true \
    }
#define COUNT(name, initial, most)           \
    {                                        \
        name, initial, 0.0, most, NULL, true \
    }
#define FLAG(name, initial)                 \
    {                                       \
        name, initial, 0.0, 1.0, NULL, true \
    }
#define FILTERS "bicubic|bilinear|random"
#define LARGEST 16384.0 /* px */

#define CROP_NUMBERS(log)                                                                  \
    {                                                                                      \
        { "area", 0.08, 1e-6, 1.0, NULL, false }, { "most", 1.0, 1e-6, 1.0, NULL, false }, \
            { "low", 3.0 / 4.0, 0.01, 100.0, NULL, false },                                \
            { "high", 4.0 / 3.0, 0.01, 100.0, NULL, false }, FLAG("log", log)              \
    }
#define MIX_NUMBERS(alpha)                            \
    {                                                 \
        {                                             \
            "alpha", alpha, 1e-3, 1000.0, NULL, false \
        }                                             \
    }

static const struct row rows[HR_AUGMENT_KINDS] = {
    [HR_AUGMENT_CROP] = { "crop", HR_STAGE_CROP, 1.0, CROP_NUMBERS(0.0),
                          "a random part, an aspect first, then an area that fits" },
    [HR_AUGMENT_RESIZED_CROP] = { "resizedcrop", HR_STAGE_CROP, 1.0, CROP_NUMBERS(1.0),
                                  "a random part, ten tries for area and aspect, else the centre" },
    [HR_AUGMENT_PAD_CROP] = { "padcrop",
                              HR_STAGE_CROP,
                              1.0,
                              { COUNT("px", 4.0, LARGEST), BYTE("fill", 0.0) },
                              "as evaluation, then moved by up to px; edges are fill" },
    [HR_AUGMENT_FLIP] = { "flip", HR_STAGE_PIXELS, 0.5, { { 0 } }, "left becomes right" },
    [HR_AUGMENT_VERTICAL_FLIP] = { "vflip", HR_STAGE_PIXELS, 0.5, { { 0 } }, "top becomes bottom" },
    [HR_AUGMENT_AUTO] = { "autoaugment",
                          HR_STAGE_PIXELS,
                          1.0,
                          { BYTE("fill", 128.0) },
                          "AutoAugment's 25 policies for ImageNet" },
    [HR_AUGMENT_RAND] = { "randaugment",
                          HR_STAGE_PIXELS,
                          1.0,
                          { COUNT("n", 2.0, 16.0),
                            { "m", 5.0, 0.0, 10.0, NULL, false },
                            BYTE("fill", 128.0) },
                          "n of 14 operations at strength m of 10" },
    [HR_AUGMENT_TIMM] = { "timm",
                          HR_STAGE_PIXELS,
                          1.0,
                          { { "policy", 0.0, 0.0, 6.0, "rand|original|originalr|v0|v0r|augmix|3a",
                              true },
                            { "m", 10.0, 0.0, 100.0, NULL, false },
                            { "n", 2.0, 1.0, 16.0, NULL, true },
                            { "mstd", 0.0, 0.0, 1e6, NULL, false },
                            { "mmax", 10.0, 0.0, 100.0, NULL, false },
                            FLAG("inc", 0.0),
                            SHARE("chance", 0.5),
                            { "weights", 0.0, 0.0, 4.0, "equal|w0|weights|3a|3aw", true },
                            COUNT("depth", 0.0, 16.0),
                            { "alpha", 1.0, 1e-3, 1000.0, NULL, false },
                            { "filter", 0.0, 0.0, 2.0, FILTERS, true },
                            FLAG("blended", 0.0) },
                          "timm's strings: rand-m9-mstd0.5-inc1, rand-tweights, original, v0, 3a, "
                          "augmix-m3-w3-b1" },
    [HR_AUGMENT_AUGMIX] = { "augmix",
                            HR_STAGE_PIXELS,
                            0.5,
                            { { "coeff", 0.1, 1e-3, 1000.0, NULL, false },
                              { "width", 3.0, 1.0, 16.0, NULL, true },
                              COUNT("depth", 1.0, 16.0),
                              { "severity", 1.0, 0.1, 10.0, NULL, false } },
                            "width chains of operations, mixed; depth 0: 1 to 3 at random" },
    [HR_AUGMENT_JITTER] = { "jitter",
                            HR_STAGE_PIXELS,
                            1.0,
                            { { "brightness", 0.0, 0.0, 10.0, NULL, false },
                              { "contrast", 0.0, 0.0, 10.0, NULL, false },
                              { "saturation", 0.0, 0.0, 10.0, NULL, false },
                              { "hue", 0.0, 0.0, 0.5, NULL, false } },
                            "colours by up to these shares, in random order" },
    [HR_AUGMENT_GRAY] = { "gray", HR_STAGE_PIXELS, 0.1, { { 0 } }, "without colour" },
    [HR_AUGMENT_ROTATION] = { "rotation",
                              HR_STAGE_PIXELS,
                              1.0,
                              { { "degrees", 15.0, 0.0, 180.0, NULL, false },
                                { "filter", 1.0, 0.0, 2.0, FILTERS, true },
                                BYTE("fill", 128.0) },
                              "turned by up to degrees either way" },
    [HR_AUGMENT_ERASING] = { "erasing",
                             HR_STAGE_FLOATS,
                             0.5,
                             { { "mode", 0.0, 0.0, 2.0, "const|rand|pixel", true },
                               { "least", 0.02, 1e-6, 1.0, NULL, false },
                               { "most", 0.4, 1e-6, 1.0, NULL, false },
                               { "aspect", 0.3, 0.01, 1.0, NULL, false },
                               FLAG("log", 0.0),
                               { "tries", 100.0, 1.0, 1000.0, NULL, true },
                               { "mean", 0.0, -100.0, 100.0, NULL, false } },
                             "a random rectangle; noise of one colour (rand) or of pixels" },
    [HR_AUGMENT_CUTOUT] = { "cutout",
                            HR_STAGE_FLOATS,
                            1.0,
                            { { "holes", 1.0, 1.0, 64.0, NULL, true },
                              COUNT("length", 0.0, LARGEST),
                              { "fill", 0.0, -100.0, 100.0, NULL, false } },
                            "square holes; length 0: half of the picture" },
    [HR_AUGMENT_HIDE] = { "hide",
                          HR_STAGE_FLOATS,
                          1.0,
                          { SHARE("chance", 0.5), { "scale", 0.0, 0.0, 100.0, NULL, false } },
                          "cells of 0, 16, 32, 44 or 56 px times scale; scale 0: as of 224 px" },
    [HR_AUGMENT_GRID_MASK] = { "gridmask",
                               HR_STAGE_FLOATS,
                               1.0,
                               { COUNT("d1", 0.0, LARGEST),
                                 COUNT("d2", 0.0, LARGEST),
                                 { "rotate", 1.0, 1.0, 360.0, NULL, true },
                                 SHARE("ratio", 0.5),
                                 FLAG("mode", 0.0) },
                               "a grid of period d1 to d2 px; 0: 96 and 224 as of 224 px" },
    [HR_AUGMENT_MIXUP] = { "mixup", HR_STAGE_BATCH, 1.0, MIX_NUMBERS(1.0),
                           "pictures and labels of a batch mixed with another order of it" },
    [HR_AUGMENT_CUTMIX] = { "cutmix", HR_STAGE_BATCH, 1.0, MIX_NUMBERS(0.2),
                            "a rectangle from another picture, labels by area" },
    [HR_AUGMENT_FMIX] = { "fmix",
                          HR_STAGE_BATCH,
                          1.0,
                          { { "alpha", 1.0, 1e-3, 1000.0, NULL, false },
                            { "decay", 3.0, 0.1, 10.0, NULL, false } },
                          "cloudy parts from another picture, labels by area" },
};

const char *hr_augment_name(enum hr_augment_kind kind)
{
    return rows[kind].name;
}

enum hr_augment_stage hr_augment_stage(enum hr_augment_kind kind)
{
    return rows[kind].stage;
}

static size_t number_count(const struct row *row)
{
    size_t count = 0;
    while (count < HR_AUGMENT_NUMBERS && row->numbers[count].name)
        count++;
    return count;
}

const struct hr_augment_step *hr_augment_find(const struct hr_augment_chain *chain,
                                              enum hr_augment_stage stage)
{
    for (size_t i = 0; i < chain->count; i++)
        if (rows[chain->steps[i].kind].stage == stage)
            return &chain->steps[i];
    return NULL;
}

/* ---- Reading ---- */

/* Cuts text at the first `mark`; returns what follows it, or NULL. */
static char *cut(char *text, char mark)
{
    char *const at = strchr(text, mark);
    if (at)
        *at = '\0';
    return at ? at + 1 : NULL;
}

static enum hr_status unknown(const char *where, const char *name, const char *const *names,
                              size_t count)
{
    const char *const near = hr_nearest_name(name, names, count);
    return hr_fail(HR_E_ARGUMENT, "augmentation%s%s: '%.40s' is not known%s%s", *where ? " " : "",
                   where, name, near ? ": did you mean " : "", near ? near : "");
}

static enum hr_status find_kind(enum hr_augment_kind *out, const char *name)
{
    const char *names[HR_AUGMENT_KINDS];
    for (size_t i = 0; i < HR_AUGMENT_KINDS; i++) {
        names[i] = rows[i].name;
        if (strcmp(rows[i].name, name) == 0) {
            *out = (enum hr_augment_kind)i;
            return HR_OK;
        }
    }
    return unknown("", name, names, HR_AUGMENT_KINDS);
}

/* The position of a word in "a|b|c", or -1. */
static int position(const char *words, const char *word)
{
    const size_t length = strlen(word);
    int index = 0;
    for (const char *at = words; *at; index++) {
        const size_t here = strcspn(at, "|");
        if (here == length && memcmp(at, word, length) == 0)
            return index;
        at += here + (at[here] == '|');
    }
    return -1;
}

static enum hr_status read_number(double *out, const struct row *row, const struct number *n,
                                  const char *text)
{
    if (n->words) {
        const int index = position(n->words, text);
        if (index < 0)
            return hr_fail(HR_E_ARGUMENT, "augmentation %s: %s is '%.40s': it must be one of %s",
                           row->name, n->name, text, n->words);
        *out = index;
        return HR_OK;
    }
    double value;
    if (hr_parse_f64(text, &value) != HR_OK || !(value >= n->least && value <= n->most) ||
        (n->whole && value != floor(value)))
        return hr_fail(HR_E_ARGUMENT,
                       "augmentation %s: %s is '%.40s': it must be a %snumber from %g to %g",
                       row->name, n->name, text, n->whole ? "whole " : "", n->least, n->most);
    *out = value;
    return HR_OK;
}

static enum hr_status read_pair(struct hr_augment_step *step, const struct row *row, char *pair)
{
    static const struct number chance = { "p", 1.0, 0.0, 1.0, NULL, false };
    const char *names[HR_AUGMENT_NUMBERS + 1] = { "p" };
    const size_t count = number_count(row);
    const char *const value = cut(pair, '=');
    if (!value)
        return hr_fail(HR_E_ARGUMENT, "augmentation %s: '%.40s' is not name=value", row->name,
                       pair);
    if (strcmp(pair, "p") == 0)
        return read_number(&step->p, row, &chance, value);
    for (size_t i = 0; i < count; i++) {
        names[i + 1] = row->numbers[i].name;
        if (strcmp(row->numbers[i].name, pair) == 0)
            return read_number(&step->number[i], row, &row->numbers[i], value);
    }
    return unknown(row->name, pair, names, count + 1);
}

/* One section of timm's strings, "mstd0.5": letters, then a number. */
static enum hr_status read_timm_section(struct hr_augment_step *step, const char *text)
{
    static const struct {
        const char *key;
        int at;
    } keys[] = { { "m", HR_TIMM_M },       { "n", HR_TIMM_N },     { "mstd", HR_TIMM_MSTD },
                 { "mmax", HR_TIMM_MMAX }, { "inc", HR_TIMM_INC }, { "p", HR_TIMM_CHANCE },
                 { "w", HR_TIMM_WEIGHTS }, { "d", HR_TIMM_DEPTH }, { "a", HR_TIMM_ALPHA },
                 { "b", HR_TIMM_BLENDED } };
    const struct row *row = &rows[HR_AUGMENT_TIMM];
    const size_t length = strcspn(text, "0123456789.");
    const bool augmix = (int)step->number[HR_TIMM_POLICY] == HR_TIMM_AUGMIX;
    if (text[0] == 't' && (int)step->number[HR_TIMM_POLICY] == HR_TIMM_RAND) /* a set of its own */
        return read_number(&step->number[HR_TIMM_WEIGHTS], row, &row->numbers[HR_TIMM_WEIGHTS],
                           text + 1);
    for (size_t i = 0; i < HR_COUNT(keys); i++) {
        if (strlen(keys[i].key) != length || strncmp(keys[i].key, text, length) != 0)
            continue;
        if (keys[i].at == HR_TIMM_WEIGHTS && augmix)
            return read_number(&step->number[HR_TIMM_N], row, &row->numbers[HR_TIMM_N],
                               text + length);
        if (keys[i].at == HR_TIMM_WEIGHTS) /* w0, of older versions */
            return read_number(&step->number[HR_TIMM_WEIGHTS], row, &row->numbers[HR_TIMM_WEIGHTS],
                               text);
        return read_number(&step->number[keys[i].at], row, &row->numbers[keys[i].at],
                           text + length);
    }
    return hr_fail(
        HR_E_ARGUMENT,
        "augmentation timm: '%.40s' is not known: m, n, mstd, mmax, inc, p, w0, tweights, "
        "t3a, t3aw, and of augmix m, w, d, a, b, mstd, each letter with a number",
        text);
}

static enum hr_status read_timm(struct hr_augment_step *step, char *text)
{
    const struct row *row = &rows[HR_AUGMENT_TIMM];
    char *rest = cut(text, '-');
    HR_TRY(read_number(&step->number[HR_TIMM_POLICY], row, &row->numbers[HR_TIMM_POLICY], text));
    if ((int)step->number[HR_TIMM_POLICY] == HR_TIMM_AUGMIX) {
        step->number[HR_TIMM_M] = step->number[HR_TIMM_N] = 3.0;
        step->number[HR_TIMM_MSTD] = 1000.0; /* above 100: evenly from 0 to m */
    }
    for (char *section = rest; section; section = rest) {
        rest = cut(section, '-');
        HR_TRY(read_timm_section(step, section));
    }
    return HR_OK;
}

static enum hr_status read_step(struct hr_augment_step *step, char *text)
{
    char *rest = cut(text, ':');
    HR_TRY(find_kind(&step->kind, text));
    const struct row *row = &rows[step->kind];
    step->p = row->p;
    for (size_t i = 0; i < HR_AUGMENT_NUMBERS; i++)
        step->number[i] = row->numbers[i].initial;
    if (step->kind == HR_AUGMENT_TIMM && rest && *rest && rest[strcspn(rest, "=,")] != '=') {
        char *const numbers = cut(rest, ',');
        HR_TRY(read_timm(step, rest));
        rest = numbers;
    }
    for (char *pair = rest; pair && *pair; pair = rest) {
        rest = cut(pair, ',');
        HR_TRY(read_pair(step, row, pair));
    }
    return HR_OK;
}

/* ---- What fits together ---- */

static enum hr_status check_pair(const struct hr_augment_step *step, int low, int high)
{
    const struct row *row = &rows[step->kind];
    if (step->number[low] <= step->number[high])
        return HR_OK;
    return hr_fail(HR_E_ARGUMENT, "augmentation %s: %s %g is above %s %g", row->name,
                   row->numbers[low].name, step->number[low], row->numbers[high].name,
                   step->number[high]);
}

static enum hr_status check_chain(const struct hr_augment_chain *chain)
{
    size_t crops = 0;
    double chance = 0.0;
    for (size_t i = 0; i < chain->count; i++) {
        const struct hr_augment_step *step = &chain->steps[i];
        const enum hr_augment_stage stage = rows[step->kind].stage;
        crops += stage == HR_STAGE_CROP;
        chance += stage == HR_STAGE_BATCH ? step->p : 0.0;
        if (step->kind == HR_AUGMENT_CROP || step->kind == HR_AUGMENT_RESIZED_CROP) {
            HR_TRY(check_pair(step, HR_CROP_AREA, HR_CROP_MOST));
            HR_TRY(check_pair(step, HR_CROP_LOW, HR_CROP_HIGH));
        } else if (step->kind == HR_AUGMENT_ERASING) {
            HR_TRY(check_pair(step, HR_ERASE_LEAST, HR_ERASE_MOST));
        } else if (step->kind == HR_AUGMENT_GRID_MASK) {
            HR_TRY(check_pair(step, HR_GRID_D1, HR_GRID_D2));
        }
    }
    if (crops > 1)
        return hr_fail(HR_E_ARGUMENT, "augmentation: %zu steps decide the crop: only one can",
                       crops);
    if (chance > 1.0 + 1e-9)
        return hr_fail(HR_E_ARGUMENT,
                       "augmentation: the chances p of mixing batches add up to %g: one is drawn a "
                       "batch, so at most 1",
                       chance);
    return HR_OK;
}

enum hr_status hr_augment_parse(struct hr_augment_chain *chain, const char *text)
{
    struct hr_augment_chain made = *chain;
    enum hr_status status = HR_OK;
    char *const copy = hr_mem_strdup(text);
    if (!copy)
        return HR_E_MEMORY;
    for (char *step = copy, *rest; status == HR_OK && step; step = rest) {
        rest = cut(step, ';');
        if (*step == '\0')
            continue;
        if (made.count == HR_MAX_AUGMENTS)
            status = hr_fail(HR_E_ARGUMENT, "augmentation: more than %d steps", HR_MAX_AUGMENTS);
        else
            status = read_step(&made.steps[made.count++], step);
    }
    hr_mem_free(copy);
    if (status == HR_OK)
        status = check_chain(&made);
    if (status == HR_OK)
        *chain = made;
    return status;
}

static bool has_number(const struct hr_augment_step *step, const char *name)
{
    const struct row *row = &rows[step->kind];
    for (size_t i = 0; i < number_count(row); i++)
        if (strcmp(row->numbers[i].name, name) == 0)
            return true;
    return strcmp(name, "p") == 0;
}

enum hr_status hr_augment_set(struct hr_augment_chain *chain, const char *pair)
{
    struct hr_augment_chain made = *chain;
    char name[32], copy[96];
    size_t found = 0;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(pair, "="), pair);
    enum hr_status status = HR_OK;
    for (size_t i = 0; status == HR_OK && i < made.count; i++) {
        if (!has_number(&made.steps[i], name))
            continue;
        snprintf(copy, sizeof copy, "%s", pair); /* which reading cuts up */
        status = read_pair(&made.steps[i], &rows[made.steps[i].kind], copy);
        found++;
    }
    if (status == HR_OK && found == 0)
        status = hr_fail(HR_E_ARGUMENT, "augmentation: no step has a number '%s'", name);
    if (status == HR_OK)
        status = check_chain(&made);
    if (status == HR_OK)
        *chain = made;
    return status;
}

/* ---- Writing ---- */

static void print_number(struct hr_text *out, const struct number *n, double value)
{
    const char *at = n->words;
    if (!at) {
        hr_text_printf(out, "%s=%.17g", n->name, value);
        return;
    }
    for (int i = (int)value; i > 0; i--)
        at += strcspn(at, "|") + 1;
    hr_text_printf(out, "%s=", n->name);
    hr_text_add_bytes(out, at, strcspn(at, "|"));
}

void hr_augment_print(const struct hr_augment_chain *chain, struct hr_text *out)
{
    for (size_t i = 0; i < chain->count; i++) {
        const struct hr_augment_step *step = &chain->steps[i];
        const struct row *row = &rows[step->kind];
        hr_text_printf(out, "%s%s:p=%.17g", i ? ";" : "", row->name, step->p);
        for (size_t j = 0; j < number_count(row); j++) {
            hr_text_add(out, ",");
            print_number(out, &row->numbers[j], step->number[j]);
        }
    }
}

void hr_augment_help(struct hr_text *out)
{
    for (size_t i = 0; i < HR_AUGMENT_KINDS; i++) {
        const struct row *row = &rows[i];
        hr_text_printf(out, "%-12s %s\n%-12s p=%g", row->name, row->help, "", row->p);
        for (size_t j = 0; j < number_count(row); j++)
            if (row->numbers[j].words)
                hr_text_printf(out, ", %s=%s", row->numbers[j].name, row->numbers[j].words);
            else
                hr_text_printf(out, ", %s=%.4g", row->numbers[j].name, row->numbers[j].initial);
        hr_text_add(out, "\n");
    }
}
