/* SPDX-License-Identifier: Apache-2.0
 * Tables of metrics: ours, and the names that dashboards made for Triton ask for. */
#include "serve/model_metrics.h"

#include <inttypes.h>
#include <stdio.h>

#include "serve/stats.h"

void hr_metric_head(struct hr_text *out, const char *name, const char *type, const char *help)
{
    hr_text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The served models, each for every metric: the format wants a metric's lines together. */
struct metric {
    struct hr_text *out;
    const char *name;
    void (*print)(struct hr_text *out, const char *name, const char *labels,
                  struct hr_served *served);
};

static void print_model(void *context, const struct hr_registry_entry *entry)
{
    struct metric *m = context;
    char labels[256];
    if (!entry->served)
        return;
    snprintf(labels, sizeof labels, "model=\"%.100s\",version=\"%.40s\"", entry->name,
             entry->version);
    m->print(m->out, m->name, labels, entry->served);
}

#define COUNTER(field)                                                                            \
    static void print_##field(struct hr_text *out, const char *name, const char *labels,          \
                              struct hr_served *served)                                           \
    {                                                                                             \
        hr_text_printf(out, "%s{%s} %" PRIu64 "\n", name, labels, (uint64_t)served->stats.field); \
    }
COUNTER(success_count)
COUNTER(cancel_count)
COUNTER(fail_count)

static void print_rejects(struct hr_text *out, const char *name, const char *labels,
                          struct hr_served *served)
{
    static const char *const reasons[HR_REJECTS] = { [HR_REJECT_QUEUE] = "queue",
                                                     [HR_REJECT_DEADLINE] = "deadline",
                                                     [HR_REJECT_STOPPING] = "stopping",
                                                     [HR_REJECT_LANE] = "size" };
    for (size_t i = 0; i < HR_REJECTS; i++)
        hr_text_printf(out, "%s{%s,reason=\"%s\"} %" PRIu64 "\n", name, labels, reasons[i],
                       (uint64_t)served->stats.rejects[i]);
}

#define DURATIONS(field)                                                                 \
    static void print_##field(struct hr_text *out, const char *name, const char *labels, \
                              struct hr_served *served)                                  \
    {                                                                                    \
        hr_durations_print(&served->stats.field, name, labels, out);                     \
    }
DURATIONS(queue)
DURATIONS(decode)
DURATIONS(run)
DURATIONS(request)

static void print_batches(struct hr_text *out, const char *name, const char *labels,
                          struct hr_served *served)
{
    uint64_t count = 0, sum = 0;
    for (size_t n = 1; n <= HR_STATS_BATCHES; n++) {
        const uint64_t batches = served->stats.batches[n];
        count += batches;
        sum += n * batches;
        if ((n & (n - 1)) == 0)
            hr_text_printf(out, "%s_bucket{%s,le=\"%zu\"} %" PRIu64 "\n", name, labels, n, count);
    }
    hr_text_printf(out,
                   "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n%s_sum{%s} %" PRIu64
                   "\n%s_count{%s} %" PRIu64 "\n",
                   name, labels, count, name, labels, sum, name, labels, count);
}

/* ---- Triton's: sums of microseconds ---- */

static void print_us(struct hr_text *out, const char *name, const char *labels, uint64_t ns)
{
    hr_text_printf(out, "%s{%s} %" PRIu64 "\n", name, labels, ns / 1000);
}

#define MICROSECONDS(name_of, value)                                                            \
    static void print_##name_of##_us(struct hr_text *out, const char *name, const char *labels, \
                                     struct hr_served *served)                                  \
    {                                                                                           \
        print_us(out, name, labels, served->stats.value);                                       \
    }
MICROSECONDS(success, success_ns)
MICROSECONDS(queue, queue.sum_ns)
MICROSECONDS(decode, decode.sum_ns)
MICROSECONDS(run, run.sum_ns)

static void print_executions(struct hr_text *out, const char *name, const char *labels,
                             struct hr_served *served)
{
    uint64_t count = 0;
    for (size_t n = 1; n <= HR_STATS_BATCHES; n++)
        count += served->stats.batches[n];
    hr_text_printf(out, "%s{%s} %" PRIu64 "\n", name, labels, count);
}

static void print_failures(struct hr_text *out, const char *name, const char *labels,
                           struct hr_served *served)
{
    const struct hr_model_stats *s = &served->stats;
    const char *const reasons[] = { "REJECTED", "CANCELED", "OTHER" };
    uint64_t rejected = 0;
    for (size_t i = 0; i < HR_REJECTS; i++)
        rejected += s->rejects[i];
    const uint64_t values[] = { rejected, s->cancel_count, s->fail_count };
    for (size_t i = 0; i < HR_COUNT(values); i++)
        hr_text_printf(out, "%s{%s,reason=\"%s\"} %" PRIu64 "\n", name, labels, reasons[i],
                       values[i]);
}

/* ---- Tables ---- */

struct row {
    const char *name, *type, *help;
    void (*print)(struct hr_text *, const char *, const char *, struct hr_served *);
};

static const struct row triton_rows[] = {
    { "nv_inference_request_success", "counter", "Answered.", print_success_count },
    { "nv_inference_request_failure", "counter", "Not answered, by reason.", print_failures },
    { "nv_inference_count", "counter", "Pictures and rows computed.", print_success_count },
    { "nv_inference_exec_count", "counter", "Batches computed.", print_executions },
    { "nv_inference_request_duration_us", "counter", "From arrival to answer.", print_success_us },
    { "nv_inference_queue_duration_us", "counter", "In queues.", print_queue_us },
    { "nv_inference_compute_input_duration_us", "counter", "Decoding.", print_decode_us },
    { "nv_inference_compute_infer_duration_us", "counter", "Computing.", print_run_us },
};

static const struct row rows[] = {
    { "hrnet_answers_total", "counter", "Pictures and rows that were answered.",
      print_success_count },
    { "hrnet_failures_total", "counter", "Pictures and rows that failed.", print_fail_count },
    { "hrnet_cancelled_total", "counter", "Pictures and rows whose client went away.",
      print_cancel_count },
    { "hrnet_rejected_total", "counter", "Requests refused before they were queued, by reason.",
      print_rejects },
    { "hrnet_item_seconds", "histogram", "From arrival to answer, of one picture or row.",
      print_request },
    { "hrnet_queue_seconds", "histogram", "Time in queues, of one picture or row.", print_queue },
    { "hrnet_decode_seconds", "histogram", "Decoding and preparing one picture.", print_decode },
    { "hrnet_compute_seconds", "histogram", "Computing one batch.", print_run },
    { "hrnet_batch_items", "histogram", "Pictures and rows in a batch.", print_batches },
};

static void print_rows(struct hr_registry *registry, const struct row *table, size_t count,
                       struct hr_text *out)
{
    for (size_t i = 0; i < count; i++) {
        struct metric m = { out, table[i].name, table[i].print };
        hr_metric_head(out, m.name, table[i].type, table[i].help);
        hr_registry_index(registry, print_model, &m);
    }
}

void hr_metrics_print(struct hr_registry *registry, bool triton, struct hr_text *out)
{
    print_rows(registry, rows, HR_COUNT(rows), out);
    if (triton)
        print_rows(registry, triton_rows, HR_COUNT(triton_rows), out);
}
