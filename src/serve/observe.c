/* SPDX-License-Identifier: Apache-2.0
 * The access log and the metrics page. */
#include "serve/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "serve/json_memory.h"
#include "serve/model_metrics.h"
#include "serve/service.h"

#define CODES 600 /* requests are counted by code; gRPC's are below 100 */

struct hr_observe {
    char *path;
    int file; /* -1: no log */
    pthread_mutex_t mutex;
    uint64_t start_ns;
    atomic_uint_least64_t http[CODES], grpc[32];
    struct hr_durations durations;
};

/* ---- Traces ---- */

static bool is_hex(const char *text, size_t count, bool *zero)
{
    *zero = true;
    for (size_t i = 0; i < count; i++) {
        if (!strchr("0123456789abcdef", text[i]) || !text[i])
            return false;
        *zero = *zero && text[i] == '0';
    }
    return true;
}

/* version 00 (or a later one that begins the same way), trace id, parent id, flags; no id is 0. */
static bool is_traceparent(const char *text)
{
    bool zero;
    if (!text || strlen(text) < HR_TRACEPARENT - 1 || text[2] != '-' || text[35] != '-' ||
        text[52] != '-' || strncmp(text, "ff", 2) == 0)
        return false;
    if (text[55] && (strncmp(text, "00", 2) == 0 || text[55] != '-'))
        return false;
    return is_hex(text, 2, &zero) && is_hex(text + 3, 32, &zero) && !zero &&
           is_hex(text + 36, 16, &zero) && !zero && is_hex(text + 53, 2, &zero);
}

void hr_trace_begin(char out[HR_TRACEPARENT], const char *incoming)
{
    uint64_t random[3];
    if (getrandom(random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random[0] = random[1] = random[2] = hr_os_now_ns() | 1;
    snprintf(out, HR_TRACEPARENT, "00-%016" PRIx64 "%016" PRIx64 "-%016" PRIx64 "-00", random[0],
             random[1] | 1, random[2] | 1);
    if (is_traceparent(incoming)) {
        memcpy(out + 3, incoming + 3, 32);
        memcpy(out + 53, incoming + 53, 2);
    }
}

/* ---- The log ---- */

static void open_log(struct hr_observe *o)
{
    const int file = strcmp(o->path, "-") == 0
                         ? dup(STDERR_FILENO)
                         : open(o->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    pthread_mutex_lock(&o->mutex);
    const int old = o->file;
    if (file >= 0)
        o->file = file;
    pthread_mutex_unlock(&o->mutex);
    if (file >= 0 && old >= 0)
        close(old);
}

enum hr_status hr_observe_create(struct hr_observe **out, const char *log_path)
{
    struct hr_observe *o = hr_mem_alloc(1, sizeof *o);
    if (!o)
        return HR_E_MEMORY;
    o->file = -1;
    o->start_ns = hr_os_now_ns();
    pthread_mutex_init(&o->mutex, NULL);
    if (log_path) {
        o->path = hr_mem_strdup(log_path);
        if (o->path)
            open_log(o);
        if (o->file < 0) {
            hr_observe_destroy(o);
            return hr_fail(HR_E_IO, "%s: cannot be appended to: %s", log_path, strerror(errno));
        }
    }
    *out = o;
    return HR_OK;
}

void hr_observe_destroy(struct hr_observe *o)
{
    if (!o)
        return;
    if (o->file >= 0)
        close(o->file);
    hr_mem_free(o->path);
    pthread_mutex_destroy(&o->mutex);
    hr_mem_free(o);
}

void hr_observe_reopen(struct hr_observe *o)
{
    if (o->path)
        open_log(o);
}

static void stamp(char out[40])
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    const size_t length = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + length, 40 - length, ".%03ldZ", now.tv_nsec / 1000000);
}

static double ms(uint64_t ns)
{
    return (double)(ns / 1000) / 1e3;
}

static char *format_line(const struct hr_log_line *line, uint64_t ns)
{
    char time[40], trace[33];
    stamp(time);
    snprintf(trace, sizeof trace, "%.32s", line->traceparent + 3);
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s?, s:i, s:s, s:s, s:I, s:I, s:f}", "time", time, "protocol",
                  line->protocol, "method", line->method, "path", line->path, "code", line->code,
                  "client", line->client, "trace", trace, "bytes_in", (json_int_t)line->bytes_in,
                  "bytes_out", (json_int_t)line->bytes_out, "ms", ms(ns));
    if (o && line->items)
        json_object_update_new(o, json_pack("{s:s, s:I, s:i, s:f, s:f, s:f}", "model", line->model,
                                            "items", (json_int_t)line->items, "batch",
                                            (int)line->batch, "decode_ms", ms(line->decode_ns),
                                            "queue_ms", ms(line->queue_ns), "run_ms",
                                            ms(line->run_ns)));
    char *text = hr_json_dump(o);
    json_decref(o);
    return text;
}

/* One write a line, so that lines of threads do not mix.  A full disk loses lines, not requests. */
static void write_line(struct hr_observe *o, const struct hr_log_line *line, uint64_t ns)
{
    char *text = format_line(line, ns);
    const size_t length = text ? strlen(text) : 0;
    if (text) {
        text[length] = '\n';
        pthread_mutex_lock(&o->mutex);
        (void)!write(o->file, text, length + 1);
        pthread_mutex_unlock(&o->mutex);
    }
    hr_json_release(text);
}

void hr_observe_request(struct hr_observe *o, const struct hr_log_line *line)
{
    const uint64_t ns = hr_os_now_ns() - line->start_ns;
    const size_t code = (size_t)(line->code < 0 ? 0 : line->code);
    if (strcmp(line->protocol, "grpc") == 0)
        atomic_fetch_add(&o->grpc[code < 32 ? code : 31], 1);
    else
        atomic_fetch_add(&o->http[code < CODES ? code : CODES - 1], 1);
    hr_durations_add(&o->durations, ns);
    if (o->file >= 0)
        write_line(o, line, ns);
}

/* ---- Metrics ---- */

static void print_codes(struct hr_text *out, const char *protocol, atomic_uint_least64_t *counts,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t value = atomic_load_explicit(&counts[i], memory_order_relaxed);
        if (value)
            hr_text_printf(out, "hrnet_requests_total{protocol=\"%s\",code=\"%zu\"} %" PRIu64 "\n",
                           protocol, i, value);
    }
}

void hr_observe_print(struct hr_observe *o, struct hr_service *service, struct hr_text *out)
{
    hr_metric_head(out, "hrnet_requests_total", "counter", "Requests by protocol and code.");
    print_codes(out, "http", o->http, CODES);
    print_codes(out, "grpc", o->grpc, 32);
    hr_metric_head(out, "hrnet_request_seconds", "histogram",
                   "From the head of a request to its answer.");
    hr_durations_print(&o->durations, "hrnet_request_seconds", "", out);
    hr_metric_head(out, "hrnet_queue_items", "gauge", "Pictures and rows in the server now.");
    hr_text_printf(out, "hrnet_queue_items %zu\n", hr_batcher_load(service->batcher));
    hr_metric_head(out, "hrnet_requests_now", "gauge", "Requests being answered now.");
    hr_text_printf(out, "hrnet_requests_now %" PRIu64 "\n", (uint64_t)service->requests_now);
    hr_metric_head(out, "hrnet_uptime_seconds", "gauge", "Since the start.");
    hr_text_printf(out, "hrnet_uptime_seconds %.3f\n",
                   1e-9 * (double)(hr_os_now_ns() - o->start_ns));
    hr_metrics_print(service->registry, service->triton_metrics, out);
}
