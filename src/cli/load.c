/* SPDX-License-Identifier: Apache-2.0
 * Worker threads, each with a connection, that take the next request when they are free. */
#include "cli/load.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/pool.h"
#include "serve/grpc.h"

#define RETRY_NS \
    UINT64_C(50000000) /* before the first time again, twice that before the second ... */

struct load {
    const struct hr_client_target *target;
    const struct hr_client_protocol *protocol;
    const struct hr_client_request *requests;
    size_t request_count;
    const struct hr_load_options *options;
    uint64_t begin_ns;
    atomic_uint_least64_t next;
    pthread_mutex_t mutex;   /* of what follows */
    struct hr_buffer *first; /* [request_count] essence of the first answer */
    bool *known;             /* [request_count] */
    struct hr_load_result result;
    size_t capacity;
    double last_seconds; /* the last answer came */
    enum hr_status status;
    char message[512];
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- Answers ---- */

static bool is_different(struct load *l, size_t request, const struct hr_client_answer *answer)
{
    struct hr_buffer essence = { 0 };
    bool different = false;
    enum hr_status status = HR_OK;
    if (l->protocol->essence)
        status = l->protocol->essence(answer, &essence);
    else
        hr_buffer_put(&essence, answer->body.data, answer->body.size);
    pthread_mutex_lock(&l->mutex);
    if (status != HR_OK || essence.status != HR_OK) {
        different = true;
    } else if (!l->known[request]) {
        l->known[request] = true;
        l->first[request] = essence;
        essence = (struct hr_buffer){ 0 };
    } else {
        const struct hr_buffer *first = &l->first[request];
        different = first->size != essence.size ||
                    (essence.size > 0 && memcmp(first->data, essence.data, essence.size) != 0);
    }
    pthread_mutex_unlock(&l->mutex);
    hr_buffer_fini(&essence);
    return different;
}

static void count_reason(struct hr_load_result *result, const char *text)
{
    for (size_t i = 0; i < HR_LOAD_REASONS; i++) {
        if (result->reasons[i].count > 0 &&
            strncmp(result->reasons[i].text, text, sizeof result->reasons[i].text - 1) != 0)
            continue;
        snprintf(result->reasons[i].text, sizeof result->reasons[i].text, "%.159s", text);
        result->reasons[i].count++;
        return;
    }
}

static void keep_record(struct load *l, const struct hr_load_record *record, const char *message)
{
    const struct hr_load_options *o = l->options;
    struct hr_load_result *result = &l->result;
    const double end = record->start_seconds + record->latency_seconds;
    pthread_mutex_lock(&l->mutex);
    l->last_seconds = fmax(l->last_seconds, end);
    if (record->good && end >= o->warmup_seconds &&
        (o->duration_seconds <= 0 || end <= o->duration_seconds))
        result->completed++;
    if (record->start_seconds < o->warmup_seconds) {
        pthread_mutex_unlock(&l->mutex);
        return;
    }
    if (hr_mem_grow((void **)&result->records, &l->capacity, result->count + 1,
                    sizeof *result->records) == HR_OK) {
        result->records[result->count++] = *record;
        result->good += record->good;
        result->different += record->different;
        result->retries += record->retries;
        if (!record->good)
            count_reason(result, message);
    } else if (l->status == HR_OK) {
        l->status = HR_E_MEMORY;
        snprintf(l->message, sizeof l->message, "%s", hr_last_message());
    }
    pthread_mutex_unlock(&l->mutex);
}

/* ---- Workers ---- */

static void sleep_until(uint64_t at_ns)
{
    for (uint64_t now_ns = hr_os_now_ns(); now_ns < at_ns && !interrupted;
         now_ns = hr_os_now_ns()) {
        const uint64_t ns = at_ns - now_ns < 100000000 ? at_ns - now_ns : 100000000;
        const struct timespec time = { 0, (long)ns };
        nanosleep(&time, NULL);
    }
}

/* When request `index` is to be sent; false: there is none any more. */
static bool is_due(const struct load *l, uint64_t index, uint64_t *due_ns)
{
    const struct hr_load_options *o = l->options;
    *due_ns =
        o->rate > 0 ? l->begin_ns + (uint64_t)(1e9 * (double)index / o->rate) : hr_os_now_ns();
    return !interrupted && (o->requests == 0 || index < o->requests) &&
           (o->duration_seconds <= 0 ||
            *due_ns < l->begin_ns + (uint64_t)(1e9 * o->duration_seconds));
}

/* No server, a proxy without one (502), or one that is busy or going away. */
static bool may_retry(const struct load *l, const struct hr_client_answer *answer)
{
    if (answer->good)
        return false;
    return answer->code < 0 || (l->target->grpc ? answer->code == HR_GRPC_UNAVAILABLE
                                                : answer->code == 502 || answer->code == 503);
}

/* Sends a request until it is answered; returns how often again. */
static unsigned ask(struct load *l, struct hr_client_connection *connection, size_t request,
                    struct hr_client_answer *answer)
{
    for (unsigned retries = 0;; retries++) {
        hr_client_ask(connection, &l->requests[request], l->protocol, answer);
        if (retries == l->options->retries || interrupted || !may_retry(l, answer))
            return retries;
        hr_client_answer_fini(answer);
        sleep_until(hr_os_now_ns() + RETRY_NS * (retries + 1));
    }
}

static void *work(void *argument)
{
    struct load *l = argument;
    struct hr_client_connection *connection = NULL;
    const enum hr_status status = hr_client_connect(&connection, l->target);
    uint64_t index, due_ns;
    if (status != HR_OK) {
        pthread_mutex_lock(&l->mutex);
        l->status = status;
        snprintf(l->message, sizeof l->message, "%s", hr_last_message());
        pthread_mutex_unlock(&l->mutex);
        return NULL;
    }
    while (is_due(l, index = atomic_fetch_add(&l->next, 1), &due_ns)) {
        struct hr_client_answer answer;
        const size_t request = (size_t)(index % l->request_count);
        sleep_until(due_ns);
        const unsigned retries = ask(l, connection, request, &answer);
        const uint64_t end_ns = hr_os_now_ns();
        const struct hr_load_record record = {
            .start_seconds = 1e-9 * (double)(due_ns - l->begin_ns),
            .latency_seconds = 1e-9 * (double)(end_ns - due_ns),
            .code = answer.code,
            .retries = retries,
            .good = answer.good,
            .different = answer.good && l->options->same && is_different(l, request, &answer),
            .request = (uint32_t)request,
            .bytes = answer.body.size,
        };
        keep_record(l, &record, answer.message);
        hr_client_answer_fini(&answer);
    }
    hr_client_disconnect(connection);
    return NULL;
}

static int by_start(const void *a, const void *b)
{
    const double x = ((const struct hr_load_record *)a)->start_seconds;
    const double y = ((const struct hr_load_record *)b)->start_seconds;
    return (x > y) - (x < y);
}

static void summarise(struct load *l)
{
    const struct hr_load_options *o = l->options;
    struct hr_load_result *result = &l->result;
    const double end =
        o->duration_seconds > 0 ? fmin(o->duration_seconds, l->last_seconds) : l->last_seconds;
    if (result->count > 0)
        qsort(result->records, result->count, sizeof *result->records, by_start);
    result->seconds = fmax(0, end - o->warmup_seconds);
}

static enum hr_status run_workers(struct load *l)
{
    const unsigned count = l->options->concurrency;
    pthread_t *threads = hr_mem_alloc(count, sizeof *threads);
    unsigned started = 0;
    if (!threads)
        return HR_E_MEMORY;
    l->begin_ns = hr_os_now_ns();
    while (started < count && hr_thread_start(&threads[started], work, l) == 0)
        started++;
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    hr_mem_free(threads);
    if (started < count)
        return hr_fail(HR_E_MEMORY, "only %u of %u threads could be started", started, count);
    return l->status == HR_OK ? HR_OK : hr_fail(l->status, "%s", l->message);
}

enum hr_status hr_load_run(struct hr_load_result *out, const struct hr_client_target *target,
                           const struct hr_client_protocol *protocol,
                           const struct hr_client_request *requests, size_t request_count,
                           const struct hr_load_options *options)
{
    struct load l = { .target = target,
                      .protocol = protocol,
                      .requests = requests,
                      .request_count = request_count,
                      .options = options };
    const struct sigaction ours = { .sa_handler = interrupt };
    struct sigaction before;
    l.first = hr_mem_alloc(request_count, sizeof *l.first);
    l.known = hr_mem_alloc(request_count, sizeof *l.known);
    pthread_mutex_init(&l.mutex, NULL);
    sigaction(SIGINT, &ours, &before);
    const enum hr_status status = l.first && l.known ? run_workers(&l) : HR_E_MEMORY;
    sigaction(SIGINT, &before, NULL);
    pthread_mutex_destroy(&l.mutex);
    for (size_t i = 0; l.first && i < request_count; i++)
        hr_buffer_fini(&l.first[i]);
    hr_mem_free(l.first);
    hr_mem_free(l.known);
    if (status == HR_OK) {
        summarise(&l);
        *out = l.result;
    } else {
        hr_load_result_fini(&l.result);
    }
    return status;
}

void hr_load_result_fini(struct hr_load_result *result)
{
    hr_mem_free(result->records);
    result->records = NULL;
}

/* ---- Percentiles ---- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double *hr_load_latencies(const struct hr_load_result *result)
{
    double *sorted = hr_mem_alloc(result->count, sizeof *sorted);
    size_t n = 0;
    for (size_t i = 0; sorted && i < result->count; i++)
        if (result->records[i].good)
            sorted[n++] = result->records[i].latency_seconds;
    if (n > 0)
        qsort(sorted, n, sizeof *sorted, by_value);
    return sorted;
}

double hr_load_percentile(const double *sorted, size_t count, double share)
{
    const double rank = ceil(share * (double)count); /* nearest rank */
    if (count == 0)
        return 0;
    return sorted[rank < 1 ? 0 : rank > (double)count ? count - 1 : (size_t)rank - 1];
}
