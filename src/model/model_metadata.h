/* SPDX-License-Identifier: Apache-2.0
 * What of a model is metadata of its file, as docs/formats.md has it: values to text and back.
 * Which of them a file must have is model.c's to say. */
#ifndef HR_MODEL_MODEL_METADATA_H
#define HR_MODEL_MODEL_METADATA_H

#include "image/recipe.h"
#include "model/labels.h"
#include "tensor/store.h"

/* "hrnet.labels": a JSON list of texts; HR_E_FORMAT if it is something else. */
enum hr_status hr_labels_from_json(struct hr_labels *out, const char *text) HR_WARN_UNUSED;
enum hr_status hr_model_set_labels(struct hr_store *store,
                                   const struct hr_labels *labels) HR_WARN_UNUSED;

/* "hrnet.self_test": a JSON list of `count` numbers, owned by the caller. */
enum hr_status hr_self_test_from_json(float **out, const char *text, int count) HR_WARN_UNUSED;
enum hr_status hr_model_set_self_test(struct hr_store *store, const float *logits,
                                      int count) HR_WARN_UNUSED;

/* "hrnet.recipe". */
enum hr_status hr_model_set_recipe(struct hr_store *store,
                                   const struct hr_recipe *recipe) HR_WARN_UNUSED;

#endif
