/* SPDX-License-Identifier: Apache-2.0
 * Load on a server: many requests at once, or at a fixed rate, and what became of each. */
#ifndef HR_CLI_LOAD_H
#define HR_CLI_LOAD_H

#include "cli/client.h"

struct hr_load_options {
    unsigned concurrency;    /* connections, one request each at a time */
    uint64_t requests;       /* 0: as many as the duration allows */
    double duration_seconds; /* 0: until the requests are done */
    double rate;             /* requests a second; 0: the next as soon as one is answered */
    unsigned retries;        /* of a request that met no server, or one that could not now */
    double warmup_seconds;   /* what begins earlier is not counted */
    bool same;               /* answers to one request must be equal */
};

struct hr_load_record {
    double start_seconds;   /* since the beginning */
    double latency_seconds; /* at a rate: since the time at which it was due, so that a late start
                               is the server's fault too */
    int code;
    unsigned retries;
    bool good, different; /* different: good, but not what was answered first */
    uint32_t request;
    uint64_t bytes;
};

#define HR_LOAD_REASONS 8
struct hr_load_result {
    struct hr_load_record *records; /* [count], by start */
    size_t count, good, different, retries;
    /* Good answers that came between the end of the warm-up and that of the duration (or the last
     * answer), and how long that was: what is under way at either end cancels out. */
    size_t completed;
    double seconds;
    struct {
        char text[160];
        uint64_t count;
    } reasons[HR_LOAD_REASONS]; /* of failures, as far as there is room */
};

/* Sends requests[request_count] in turn.  HR_OK whatever became of them; SIGINT ends it early. */
enum hr_status hr_load_run(struct hr_load_result *out, const struct hr_client_target *target,
                           const struct hr_client_protocol *protocol,
                           const struct hr_client_request *requests, size_t request_count,
                           const struct hr_load_options *options) HR_WARN_UNUSED;
void hr_load_result_fini(struct hr_load_result *result);

/* The latency of good answers that `share` of them do not exceed, seconds; sorted[count] from
 * hr_load_latencies(). */
double hr_load_percentile(const double *sorted, size_t count, double share);
/* Latencies of the good, sorted; hr_mem_free().  NULL without memory. */
double *hr_load_latencies(const struct hr_load_result *result);

/* cli/load_report.c */
struct hr_load_report {
    const char *protocol;
    size_t pictures; /* a request */
    const struct hr_load_options *options;
    const struct hr_load_result *result;
};
enum hr_status hr_load_print(const struct hr_load_report *report, bool json, FILE *out);
enum hr_status hr_load_write_csv(const struct hr_load_report *report, const char *path);
enum hr_status hr_load_write_svg(const struct hr_load_report *report, const char *path);

#endif
