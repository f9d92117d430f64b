/* SPDX-License-Identifier: Apache-2.0
 * Flags that several commands share, and what they set up: recipe, model, session. */
#ifndef HR_CLI_SETUP_H
#define HR_CLI_SETUP_H

#include "base/text.h"
#include "cli/flags.h"
#include "hrnet/hrnet.h"

extern const struct hr_flag hr_model_flags[];   /* --weights --classes --labels --fuse-order */
extern const struct hr_flag hr_recipe_flags[];  /* --recipe --size --crop-ratio ... */
extern const struct hr_flag hr_session_flags[]; /* --threads --cpu */
extern const struct hr_flag hr_decode_flags[];  /* --max-pixels --max-bytes --no-orientation */
extern const struct hr_flag hr_model_flag[];    /* -m */

/* All return -1 to go on, else the exit code of an error that was printed. */

/* Opens the model that -m / --weights (or `operand`, when the command names the model itself)
 * mean.  A known architecture without weights is made with synthetic ones if `synthetic`. */
int hr_setup_model(hrnet_model **out, const struct hr_args *args, const char *operand,
                   bool synthetic);
/* The same without printing, for a program that goes on.  *code becomes the exit code of a usage
 * error, which was printed nevertheless; else it stays. */
hrnet_status hr_setup_open(hrnet_model **out, const struct hr_args *args, const char *model,
                           bool synthetic, int *code);
/* The recipe of the flags over `base`. */
int hr_setup_recipe(struct hrnet_recipe *out, const struct hr_args *args,
                    const struct hrnet_recipe *base);
bool hr_setup_recipe_given(const struct hr_args *args);
struct hrnet_session_options hr_setup_session_options(const struct hr_args *args);
int hr_setup_create(hrnet_session **out, hrnet_model *model, const struct hr_args *args,
                    const struct hrnet_session_options *options);
int hr_setup_session(hrnet_session **out, hrnet_model *model, const struct hr_args *args,
                     size_t batch, int height, int width, const char *const *features);
/* Where `hrnet tune` keeps what it measured on this CPU with this build; it need not exist. */
enum hr_status hr_setup_tuning(struct hr_text *out) HR_WARN_UNUSED;
struct hrnet_decode_options hr_setup_decode(const struct hr_args *args);

/* Warnings of the library go to stderr as "hrnet: ...". */
void hr_setup_log(void);

#endif
