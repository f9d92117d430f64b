/* SPDX-License-Identifier: Apache-2.0
 * Histograms with fixed bounds: adding is two atomic additions and a look-up of the bucket. */
#include "serve/stats.h"

#include <inttypes.h>

double hr_durations_bound(size_t bucket)
{
    return 1e-3 * (double)(1u << bucket);
}

void hr_durations_add(struct hr_durations *d, uint64_t ns)
{
    size_t bucket = 0;
    while (bucket + 1 < HR_DURATION_BUCKETS && ns > (uint64_t)1000000 << bucket)
        bucket++;
    atomic_fetch_add_explicit(&d->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&d->sum_ns, ns, memory_order_relaxed);
}

void hr_durations_print(const struct hr_durations *d, const char *name, const char *labels,
                        struct hr_text *out)
{
    const char *comma = labels[0] ? "," : "";
    const char *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
    uint64_t sum = 0;
    for (size_t i = 0; i < HR_DURATION_BUCKETS; i++) {
        sum += atomic_load_explicit(&d->buckets[i], memory_order_relaxed);
        if (i + 1 < HR_DURATION_BUCKETS)
            hr_text_printf(out, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, labels, comma,
                           hr_durations_bound(i), sum);
        else
            hr_text_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma,
                           sum);
    }
    /* The buckets' own sum, so that count and +Inf agree while others add. */
    hr_text_printf(out, "%s_sum%s%s%s %.9g\n%s_count%s%s%s %" PRIu64 "\n", name, open, labels,
                   close, (double)atomic_load_explicit(&d->sum_ns, memory_order_relaxed) / 1e9,
                   name, open, labels, close, sum);
}
