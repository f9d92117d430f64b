/* SPDX-License-Identifier: Apache-2.0
 * What the files behind import.h share: values by name, and the parameters of the newest layer. */
#ifndef HR_EXCHANGE_IMPORT_VALUES_H
#define HR_EXCHANGE_IMPORT_VALUES_H

#include "exchange/import.h"

/* ---- Values ---- */

/* NULL if nothing has that name; the name may be NULL.  Valid until the next definition. */
const struct hr_import_value *hr_import_look_up(const struct hr_import *im, const char *name);
/* HR_E_FORMAT: it reads a name that nothing before it makes. */
enum hr_status hr_import_unknown(const char *name) HR_WARN_UNUSED;
/* HR_E_FORMAT for a name that is taken; a failure of the builder, which sticks, shows here too. */
enum hr_status hr_import_define(struct hr_import *im,
                                const struct hr_import_value *value) HR_WARN_UNUSED;
enum hr_status hr_import_define_result(struct hr_import *im, const char *name, hr_value value,
                                       enum hr_form form) HR_WARN_UNUSED;
/* The same value under another name, changed a little. */
enum hr_status hr_import_define_like(struct hr_import *im, const char *name,
                                     const struct hr_import_value *value) HR_WARN_UNUSED;

/* An activation that a layer may read: the first layer fixes what was done to the picture. */
enum hr_status hr_import_operand(struct hr_import *im, const char *name,
                                 const struct hr_import_value **out) HR_WARN_UNUSED;
/* One that is [n,c,h,w]. */
enum hr_status hr_import_map_operand(struct hr_import *im, const char *name,
                                     const struct hr_import_value **out) HR_WARN_UNUSED;
const struct hr_shape *hr_import_shape_of(const struct hr_import *im,
                                          const struct hr_import_value *value);

/* ---- The newest layer ---- */

/* Names the layers that come next after the node, if no layer has that name yet. */
void hr_import_name_layer(struct hr_import *im);
/* Gives the newest layer a constant as parameter; a [1,k] or [k,1,1] is as good as [k]. */
enum hr_status hr_import_give(struct hr_import *im, enum hr_role role,
                              const struct hr_tensor *tensor, const char *from) HR_WARN_UNUSED;
/* Gives the newest layer a vector of equal values, for the caller to change. */
enum hr_status hr_import_give_vector(struct hr_import *im, enum hr_role role, float value,
                                     float **out) HR_WARN_UNUSED;
/* Refuses constants that are no floating point, or not finite. */
enum hr_status hr_import_check_values(const struct hr_tensor *t, const char *name) HR_WARN_UNUSED;
bool hr_import_all_finite(const float *values, size_t count);

#endif
