/* SPDX-License-Identifier: Apache-2.0
 * What the files of the public API share: the opaque objects and the checks of arguments. */
#ifndef HR_API_API_H
#define HR_API_API_H

#include <string.h>

#include "hrnet/hrnet.h"
#include "image/recipe.h"
#include "model/model.h"
#include "plan/pack.h"
#include "session/session.h"

#define PUBLIC(status) ((hrnet_status)(status))

#define HRNET_MAX_THREADS 1024
#define HRNET_MAX_SIDE    16384 /* px */

/* A model and what its sessions share.  Both counts end together. */
struct hrnet_model {
    struct hr_model *model;
    struct hr_packs *packs;
    int references; /* one of the caller, one a session; atomic */
};

struct hrnet_session {
    struct hrnet_model *model;
    struct hr_session *session;
    size_t batch, last_batch; /* last_batch: n of the last run, for feature maps */
    const char **features;    /* owned array of static names, feature_count */
    size_t feature_count;
};

/* "what 7 is out of range: there are 5". */
hrnet_status hr_api_out_of_range(const char *what, size_t index, size_t count);
hrnet_status hr_api_missing_argument(const char *function);

/* HR_E_MISMATCH for a classifier that was never trained. */
enum hr_status hr_api_head_check(const struct hr_model *model) HR_WARN_UNUSED;

/* Flags that leave just the rungs up to `isa` (NULL: all); HR_E_ARGUMENT for an unknown one. */
enum hr_status hr_api_cpu_flags(const char *isa, uint32_t *flags) HR_WARN_UNUSED;

/* The two faces of a recipe; checked: refuses values out of range. */
struct hrnet_recipe hr_api_recipe_outer(const struct hr_recipe *recipe);
enum hr_status hr_api_recipe_checked(struct hr_recipe *out,
                                     const struct hrnet_recipe *recipe) HR_WARN_UNUSED;

/* Logits of the synthetic input of that name, which the caller frees. */
enum hr_status hr_api_answer(float **out, struct hr_model *model, struct hr_packs *packs,
                             int64_t height, int64_t width, const char *input) HR_WARN_UNUSED;

/* Largest difference over the largest wanted value; huge when one is not finite. */
double hr_api_relative_error(const float *got, const float *want, size_t count);

/* Option structs grow at their end: what the caller's version lacks keeps its default, what only a
 * later version has is zero. */
#define HR_API_OPTIONS_INIT(type, defaults)                                            \
    do {                                                                               \
        type full = defaults;                                                          \
        if (!options || struct_size < sizeof(size_t))                                  \
            return;                                                                    \
        if (struct_size > sizeof full)                                                 \
            memset(options, 0, struct_size);                                           \
        full.struct_size = struct_size;                                                \
        memcpy(options, &full, struct_size < sizeof full ? struct_size : sizeof full); \
    } while (0)

/* Copies the part of *options that the caller's version has over the defaults in *full.  Refuses a
 * struct_size that was never set, and set options that this version lacks.  name: of the struct. */
enum hr_status hr_api_options_copy(void *full, size_t full_size, const void *options,
                                   const char *name) HR_WARN_UNUSED;

#endif
