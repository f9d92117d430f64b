/* SPDX-License-Identifier: Apache-2.0
 * The keys of PaddleClas's files (paddleclas.md 5.4 to 5.9) and what each becomes. */
#ifndef HR_CLI_CONFIG_KEYS_H
#define HR_CLI_CONFIG_KEYS_H

#include "cli/config.h"

struct hr_config_key {
    const char *path;  /* "Global.epochs"; '#' is any place of a list; "Infer.*" is all below */
    const char *train; /* the flag of hrnet train that takes the scalar; NULL: none */
    const char *eval;  /* and of hrnet eval */
    const char *only;  /* words, "False|None": other values are refused; "" anything is fine */
    /* Takes the value instead. */
    enum hr_status (*take)(const struct hr_config_sink *sink, const struct hr_value *value,
                           const struct hr_value *root);
};
extern const struct hr_config_key hr_config_keys[];
extern const size_t hr_config_key_count;

/* The flag gets the scalar's text, a list's items with commas between; None gives nothing. */
enum hr_status hr_config_give(const struct hr_config_sink *sink, const char *flag,
                              const struct hr_value *value) HR_WARN_UNUSED;
/* The value at "A.B" below a map, or NULL. */
const struct hr_value *hr_config_at(const struct hr_value *root, const char *path);
/* Is the value, as text, one of the words "A|B"?  "" has them all. */
bool hr_config_is_word(const struct hr_value *value, const char *words);
/* As text that names the place: "FILE:7" or "-o Global.epochs=3"; in the arena, NULL: no memory. */
const char *hr_config_origin(struct hr_arena *arena, const struct hr_value *value);
/* HR_E_UNSUPPORTED or HR_E_FORMAT: "ORIGIN: message". */
enum hr_status hr_config_refuse(enum hr_status status, const struct hr_value *value,
                                const char *format, ...) HR_PRINTF(3, 4) HR_WARN_UNUSED;

/* HR_E_FORMAT: "WHAT has no 'KEY': did you mean 'NEAR'?", with the nearest of the names. */
enum hr_status hr_config_unknown_word(const struct hr_value *value, const char *what,
                                      const char *key, const char *const *names,
                                      size_t count) HR_WARN_UNUSED;

/* Optimizer, with its schedule, and Loss.Train. */
enum hr_status hr_config_take_optimizer(const struct hr_config_sink *sink,
                                        const struct hr_value *value, const struct hr_value *root);
enum hr_status hr_config_take_loss(const struct hr_config_sink *sink, const struct hr_value *value,
                                   const struct hr_value *root);

/* DataLoader.{Train,Eval}.dataset.transform_ops; the first with .batch_transform_ops. */
enum hr_status hr_config_take_train_ops(const struct hr_config_sink *sink,
                                        const struct hr_value *value, const struct hr_value *root);
enum hr_status hr_config_take_eval_ops(const struct hr_config_sink *sink,
                                       const struct hr_value *value, const struct hr_value *root);

#endif
