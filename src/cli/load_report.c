/* SPDX-License-Identifier: Apache-2.0
 * What a load was like: a table, JSON, CSV of every request, percentiles as a chart. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/os.h"
#include "cli/load.h"
#include "cli/svg.h"

static const struct {
    const char *name;
    double share;
} percentiles[] = {
    { "50 %", 0.5 },  { "75 %", 0.75 },    { "90 %", 0.9 },    { "95 %", 0.95 },
    { "99 %", 0.99 }, { "99.9 %", 0.999 }, { "longest", 1.0 },
};

static double mean_of(const double *sorted, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += sorted[i];
    return count > 0 ? sum / (double)count : 0;
}

static double rate_of(const struct hr_load_result *r)
{
    return r->seconds > 0 ? (double)r->completed / r->seconds : 0;
}

static void print_text(const struct hr_load_report *report, const double *sorted, FILE *out)
{
    const struct hr_load_result *r = report->result;
    fprintf(out, "%s, %u at a time", report->protocol, report->options->concurrency);
    if (report->options->rate > 0)
        fprintf(out, ", %g a second", report->options->rate);
    fprintf(out, ", %.1f s\n%zu good, %zu failed", r->seconds, r->good, r->count - r->good);
    if (report->options->same)
        fprintf(out, ", %zu different", r->different);
    if (report->options->retries > 0)
        fprintf(out, ", %zu sent again", r->retries);
    fprintf(out, "\n%.1f requests/s, %.1f pictures/s\n", rate_of(r),
            rate_of(r) * (double)report->pictures);
    fprintf(out, "%9s  %9.2f ms\n", "mean", 1e3 * mean_of(sorted, r->good));
    for (size_t i = 0; i < HR_COUNT(percentiles); i++)
        fprintf(out, "%9s  %9.2f ms\n", percentiles[i].name,
                1e3 * hr_load_percentile(sorted, r->good, percentiles[i].share));
    for (size_t i = 0; i < HR_LOAD_REASONS && r->reasons[i].count > 0; i++)
        fprintf(out, "%" PRIu64 " times: %s\n", r->reasons[i].count, r->reasons[i].text);
}

static json_t *milliseconds(double seconds)
{
    return json_real(1e3 * seconds);
}

static enum hr_status print_json(const struct hr_load_report *report, const double *sorted,
                                 FILE *out)
{
    const struct hr_load_result *r = report->result;
    json_t *reasons = json_array();
    for (size_t i = 0; i < HR_LOAD_REASONS && r->reasons[i].count > 0; i++)
        json_array_append_new(reasons,
                              json_pack("{s:I, s:s?}", "count", (json_int_t)r->reasons[i].count,
                                        "message", r->reasons[i].text));
    const double *s = sorted;
    json_t *value = json_pack(
        "{s:s, s:i, s:f, s:f, s:i, s:i, s:i, s:i, s:f, s:f, s:{s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o}, "
        "s:o}",
        "protocol", report->protocol, "concurrency", (int)report->options->concurrency, "rate",
        report->options->rate, "seconds", r->seconds, "good", (int)r->good, "failed",
        (int)(r->count - r->good), "different", (int)r->different, "sent_again", (int)r->retries,
        "requests_per_second", rate_of(r), "pictures_per_second",
        rate_of(r) * (double)report->pictures, "latency_ms", "mean",
        milliseconds(mean_of(s, r->good)), "p50", milliseconds(hr_load_percentile(s, r->good, 0.5)),
        "p75", milliseconds(hr_load_percentile(s, r->good, 0.75)), "p90",
        milliseconds(hr_load_percentile(s, r->good, 0.9)), "p95",
        milliseconds(hr_load_percentile(s, r->good, 0.95)), "p99",
        milliseconds(hr_load_percentile(s, r->good, 0.99)), "p999",
        milliseconds(hr_load_percentile(s, r->good, 0.999)), "longest",
        milliseconds(hr_load_percentile(s, r->good, 1)), "failures", reasons);
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(value);
    if (!text)
        return hr_fail(HR_E_MEMORY, "out of memory");
    fprintf(out, "%s\n", text);
    free(text);
    return HR_OK;
}

enum hr_status hr_load_print(const struct hr_load_report *report, bool json, FILE *out)
{
    enum hr_status status = HR_OK;
    double *sorted = hr_load_latencies(report->result);
    if (!sorted)
        return HR_E_MEMORY;
    if (json)
        status = print_json(report, sorted, out);
    else
        print_text(report, sorted, out);
    hr_mem_free(sorted);
    return status;
}

enum hr_status hr_load_write_csv(const struct hr_load_report *report, const char *path)
{
    struct hr_replace file = { 0 };
    HR_TRY(hr_replace_begin(&file, path));
    fputs("start_s,latency_ms,code,good,different,sent_again,request,bytes\n", file.file);
    for (size_t i = 0; i < report->result->count; i++) {
        const struct hr_load_record *r = &report->result->records[i];
        fprintf(file.file, "%.6f,%.3f,%d,%d,%d,%u,%u,%" PRIu64 "\n", r->start_seconds,
                1e3 * r->latency_seconds, r->code, r->good, r->different, r->retries, r->request,
                r->bytes);
    }
    return hr_replace_commit(&file);
}

enum hr_status hr_load_write_svg(const struct hr_load_report *report, const char *path)
{
    struct hr_bar bars[HR_COUNT(percentiles)];
    char notes[HR_COUNT(percentiles)][32], title[160];
    struct hr_replace file = { 0 };
    double *sorted = hr_load_latencies(report->result);
    if (!sorted)
        return HR_E_MEMORY;
    for (size_t i = 0; i < HR_COUNT(percentiles); i++) {
        const double seconds =
            hr_load_percentile(sorted, report->result->good, percentiles[i].share);
        snprintf(notes[i], sizeof notes[i], "%.2f ms", 1e3 * seconds);
        bars[i] = (struct hr_bar){ percentiles[i].name, notes[i], seconds, 1 };
    }
    hr_mem_free(sorted);
    snprintf(title, sizeof title, "Latency of %zu requests, %s, %u at a time: %.1f a second",
             report->result->good, report->protocol, report->options->concurrency,
             rate_of(report->result));
    HR_TRY(hr_replace_begin(&file, path));
    hr_svg_bars(file.file, title, bars, HR_COUNT(bars));
    return hr_replace_commit(&file);
}
