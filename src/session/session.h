/* SPDX-License-Identifier: Apache-2.0
 * A plan with memory and threads: made ready once, then run without allocating or failing. */
#ifndef HR_SESSION_SESSION_H
#define HR_SESSION_SESSION_H

#include <stdbool.h>

#include "base/status.h"
#include "model/model.h"
#include "plan/plan.h"

/* As hrnet_order of the public header. */
enum hr_order { HR_ORDER_AUTO, HR_ORDER_STEPS, HR_ORDER_WAVES };

struct hr_session_options {
    unsigned threads;      /* 0: hr_cpu_count(); more than that is clamped, with a log notice */
    size_t batch;          /* largest batch, >= 1 */
    int64_t height, width; /* input size; 0: the recipe's */
    uint32_t cpu_flags;    /* hr_cpu_flag bits to use at most: ~0u for all */
    bool exact;            /* only kernels that add in the plain order: equal bits on every CPU */
    bool lean_memory;      /* smaller packed weights, slower */
    bool bits_of_batch;    /* kernels for the batch, not for one image */
    enum hr_order order;
    const struct hr_tuning *tuning; /* as hr_plan_options.tuning */
    const char *const *features;
    size_t feature_count;
};

struct hr_session; /* one caller at a time; sessions share their model and run concurrently */

/* Refuses illegal sizes before anything is planned, naming the nearest legal ones.  References the
 * model; `packs` (of the model's weights) outlives the session. */
enum hr_status hr_session_create(struct hr_session **out, struct hr_model *model,
                                 struct hr_packs *packs,
                                 const struct hr_session_options *options) HR_WARN_UNUSED;
void hr_session_destroy(struct hr_session *session); /* NULL is allowed */

const struct hr_plan *hr_session_plan(const struct hr_session *session);
struct hr_model *hr_session_model(const struct hr_session *session);
unsigned hr_session_threads(const struct hr_session *session);
const char *hr_session_isa(const struct hr_session *session);
/* Do branches run side by side?  Decided by threads and batch if `wanted` leaves it open. */
bool hr_session_side_by_side(enum hr_order wanted, unsigned threads, size_t batch);
/* All memory this session holds: arena, packed weights (shared), tables. */
size_t hr_session_bytes(const struct hr_session *session);

/* x float32 [n,3,h,w], logits [n,classes].  n in 1..batch.  Allocates nothing; the caller's
 * floating-point state is restored. */
void hr_session_run(struct hr_session *session, const float *x, size_t n, float *logits);
/* The same, telling each step's time. */
void hr_session_profile(struct hr_session *session, const float *x, size_t n, float *logits,
                        hr_step_observer *observer, void *context);
/* Copies a feature map of the last run of n images. */
void hr_session_feature(const struct hr_session *session, size_t n, size_t index, float *out);

/* Indices of the k largest of values[count], best first, the lower index first among equals;
 * NaN sorts last.  k is clamped to count; returns it.  Allocates nothing. */
size_t hr_top_k(size_t *index, size_t k, const float *values, size_t count);
/* p = softmax(logits), by subtracting the largest; sums in double.  p may be logits. */
void hr_softmax(float *p, const float *logits, size_t count);
/* p = 1 / (1 + exp(-logits)), in double.  p may be logits. */
void hr_sigmoid_scores(float *p, const float *logits, size_t count);

#endif
