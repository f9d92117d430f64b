/* SPDX-License-Identifier: Apache-2.0
 * How long a request may take, by the path that it asks for. */
#ifndef HR_SERVE_TIME_LIMITS_H
#define HR_SERVE_TIME_LIMITS_H

#include <stddef.h>

#include "base/status.h"

#define HR_MOST_TIME_LIMITS 32

/* Seconds from submit to answer; 0: no limit. */
struct hr_time_limits {
    double seconds; /* where no path below fits */
    size_t count;
    struct hr_time_limit {
        char path[128]; /* "/v1/classify": it and all below it */
        double seconds;
    } of[HR_MOST_TIME_LIMITS];
};

/* Adds those of "PATH=SECONDS,PATH=SECONDS"; text may be NULL.  HR_E_ARGUMENT names what is wrong,
 * and then nothing of *limits counts. */
enum hr_status hr_time_limits_parse(struct hr_time_limits *limits, const char *text) HR_WARN_UNUSED;

/* Of the longest path that fits. */
double hr_time_limit(const struct hr_time_limits *limits, const char *path);

#endif
