/* SPDX-License-Identifier: Apache-2.0
 * Counters and histograms that any thread may add to at any time. */
#ifndef HR_SERVE_STATS_H
#define HR_SERVE_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

/* Durations, with bounds that double from 1 ms to 16 s; the last bucket is all above. */
#define HR_DURATION_BUCKETS 16
struct hr_durations {
    atomic_uint_least64_t buckets[HR_DURATION_BUCKETS];
    atomic_uint_least64_t sum_ns;
};
void hr_durations_add(struct hr_durations *d, uint64_t ns);
/* Upper bound of a bucket in seconds; the last has none: infinity. */
double hr_durations_bound(size_t bucket);
/* Lines of the Prometheus text format 0.0.4: NAME_bucket, NAME_sum, NAME_count.  labels: "" or
 * `model="w18",version="1"`. */
void hr_durations_print(const struct hr_durations *d, const char *name, const char *labels,
                        struct hr_text *out);

#define HR_STATS_BATCHES 64 /* larger ones count as this */

/* Why a request is refused at the door. */
enum hr_reject {
    HR_REJECT_QUEUE,    /* it is full */
    HR_REJECT_DEADLINE, /* would pass before its answer */
    HR_REJECT_STOPPING, /* the server ends */
    HR_REJECT_LANE,     /* inputs of too many sizes, or no memory for one more */
    HR_REJECTS
};

/* Of one version of a model; what Triton's statistics extension tells. */
struct hr_model_stats {
    atomic_uint_least64_t success_count, success_ns; /* items that were answered */
    atomic_uint_least64_t fail_count, fail_ns, cancel_count;
    atomic_uint_least64_t rejects[HR_REJECTS];
    atomic_uint_least64_t last_ms;     /* of the last answer, since 1970 */
    struct hr_durations queue, decode; /* of an item */
    struct hr_durations run;           /* of a batch */
    struct hr_durations request;       /* of an item, from submit to answer */
    atomic_uint_least64_t batches[HR_STATS_BATCHES + 1], batches_ns[HR_STATS_BATCHES + 1];
};

#endif
