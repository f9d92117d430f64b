/* SPDX-License-Identifier: Apache-2.0
 * What covering a place of the picture does to an answer (Zeiler and Fergus 2014, arXiv
 * 1311.2901). */
#ifndef HR_SESSION_OCCLUSION_H
#define HR_SESSION_OCCLUSION_H

#include "session/session.h"

struct hr_occlusion {
    int class_index;    /* whose logit is looked at; -1: of the best answer */
    int64_t side, step; /* px: of the square, and from one square's centre to the next */
    /* Called now and then; false stops.  May be NULL. */
    bool (*observer)(void *context, size_t done, size_t all);
    void *context;
};

/* Rows or columns of the map over `pixels`: one a step, the last may be cut. */
int64_t hr_occlusion_places(int64_t pixels, int64_t step);

/* x [3,h,w] of the session's size -> map [rows][columns]: how far the class's logit falls when a
 * square around the middle of that place is set to 0, the recipe's mean colour.  logits [classes]
 * are those of the whole picture; *chosen the class.  Uses the session's whole batch.
 * HR_E_CANCELLED when stopped. */
enum hr_status hr_occlusion_run(struct hr_session *session, const float *x,
                                const struct hr_occlusion *occlusion, float *map, float *logits,
                                size_t *chosen) HR_WARN_UNUSED;

#endif
