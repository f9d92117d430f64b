/* SPDX-License-Identifier: Apache-2.0
 * Every model by name: a table row says how to build it and what was published about it. */
#ifndef HR_MODEL_ZOO_H
#define HR_MODEL_ZOO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

struct hr_zoo_row {
    const char *name; /* "HRNet_W18_C" */
    int width[4];     /* channels of branches 0..3 */
    int layer1_blocks, layer1_planes;
    int modules[3];         /* of stages 2, 3, 4 */
    int blocks;             /* basic blocks per branch and module */
    bool squeeze;           /* squeeze-and-excitation */
    uint64_t parameters;    /* trainable, 1000 classes (paddleclas.md 1.5) */
    uint64_t multiply_adds; /* 224x224, 1000 classes */
};
size_t hr_zoo_count(void);
const struct hr_zoo_row *hr_zoo_row(size_t index);
/* By name or alias (timm's hrnet_w18, Microsoft's hrnet_w18_c / hrnetv2_w18..., the _ssld names;
 * case-insensitive). HR_E_NOT_FOUND with the nearest name. */
enum hr_status hr_zoo_find(const struct hr_zoo_row **out, const char *name) HR_WARN_UNUSED;

/* Published figures and weight addresses of one set of weights ("HRNet_W18_C_ssld", timm tags). */
struct hr_zoo_weights {
    const char *name;                         /* as `hrnet pull` takes it */
    const char *architecture;                 /* a row's name */
    const char *url;                          /* NULL: not to be had by a program */
    const char *file;                         /* name in the cache */
    const char *sha256_prefix;                /* eight hex digits or NULL */
    const char *recipe;                       /* "opencv", ... */
    float crop_ratio;                         /* 0.875 */
    int size;                                 /* 224 */
    double top1, top5;                        /* published, 0 if none */
    double flops_printed, parameters_printed; /* the page's columns in G and M, 0 if none */
    const char *note;                         /* the page's quirks, or NULL */
    const char *licence;
};
size_t hr_zoo_weights_count(void);
const struct hr_zoo_weights *hr_zoo_weights(size_t index);
const struct hr_zoo_weights *hr_zoo_weights_find(const char *name); /* NULL if none */

/* Input sizes: legal iff n mod 32 is 29, 30, 31 or 0.  hr_size_check names the nearest legal ones
 * ("height 225 does not fit: ... use 224 or 253"). */
bool hr_size_legal(int64_t size);
enum hr_status hr_size_check(int64_t height, int64_t width) HR_WARN_UNUSED;

#endif
