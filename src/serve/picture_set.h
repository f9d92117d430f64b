/* SPDX-License-Identifier: Apache-2.0
 * Several pictures for one model: what every route that takes pictures does. */
#ifndef HR_SERVE_PICTURE_SET_H
#define HR_SERVE_PICTURE_SET_H

#include <jansson.h>

#include "serve/call.h"

struct hr_pictures {
    struct hr_request request;
    struct hr_served *served;
    float *logits;     /* [count, classes] */
    char (*names)[32]; /* "picture 2" */
    size_t classes;
    size_t *index;        /* scratch of hr_pictures_top */
    float *probabilities; /* [classes], of the last hr_pictures_top */
};

/* Finds the model and makes room for `count` pictures.  model, version: NULL or "" as of
 * hr_registry_find. */
enum hr_status hr_pictures_begin(struct hr_pictures *p, struct hr_service *service,
                                 const char *model, const char *version,
                                 size_t count) HR_WARN_UNUSED;
/* The bytes are borrowed until the run has ended. */
void hr_pictures_set(struct hr_pictures *p, size_t i, const void *data, size_t size);
/* Of the text of a base 64 picture: decodes it into `bytes`. */
enum hr_status hr_pictures_set_base64(struct hr_pictures *p, size_t i, const char *text,
                                      size_t size, struct hr_buffer *bytes) HR_WARN_UNUSED;
/* The k best classes of a picture that was answered: their indices (valid until the next call);
 * p->probabilities has all. */
const size_t *hr_pictures_top(struct hr_pictures *p, size_t i, size_t k);
void hr_pictures_fini(struct hr_pictures *p);

/* The HTTP code for a picture that failed: 415 for what is no picture, 422 for a broken one. */
int hr_picture_code(const struct hr_item *item);

/* {"class_ids","scores","label_names"} as `hrnet predict --format json` has them. */
json_t *hr_pictures_classes(struct hr_pictures *p, size_t i, size_t k);

#endif
