/* SPDX-License-Identifier: Apache-2.0
 * hrnet bench --train: the time of a training step and of its parts. */
#include "cli/bench_train.h"

#include <jansson.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/setup.h"
#include "hrnet/hrnet.h"

static void print_text(const struct hrnet_timing_options *o, const struct hrnet_timing *t)
{
    const double forward = t->conv_ms + t->norm_ms;
    const double backward = t->conv_data_ms + t->conv_weights_ms + t->conv_again_ms +
                            t->norm_grad_ms + t->norm_again_ms;
    printf("training %s on %s (%s), %u thread%s, batch %d at %dx%d, %s%s\n", o->architecture,
           hrnet_cpu_name(), t->isa, t->threads, t->threads == 1 ? "" : "s", o->batch, o->size,
           o->size, o->precision, o->recompute ? ", recomputed" : "");
    printf("  median %.1f ms a step, least %.1f (%llu steps); %.2f pictures/s\n", t->median_ms,
           t->least_ms, (unsigned long long)t->steps, 1e3 * o->batch / t->median_ms);
    printf("  forward %.1f ms: convolutions %.1f, norms %.1f\n", forward, t->conv_ms, t->norm_ms);
    printf(
        "  backward %.1f ms: of inputs %.1f, of weights %.1f, norms %.1f, norms made again %.1f, "
        "convolutions made again %.1f\n",
        backward, t->conv_data_ms, t->conv_weights_ms, t->norm_grad_ms, t->norm_again_ms,
        t->conv_again_ms);
    printf("  sums, pooling and copies %.1f ms, loss %.1f, optimizer %.1f", t->other_ms, t->loss_ms,
           t->optimizer_ms);
    if (o->pictures)
        printf("; loader %.1f a batch, beside the computation", t->loader_ms);
    printf("\n  memory: %.2f GB of activations, %.2f GB of weights, gradients and states\n",
           (double)t->activation_bytes / 1e9, (double)t->state_bytes / 1e9);
}

static void print_json(const struct hrnet_timing_options *o, const struct hrnet_timing *t)
{
    json_t *line =
        json_pack("{s:i, s:s, s:s, s:s, s:i, s:i, s:i, s:s, s:f, s:f, s:i, s:f}", "schema", 1,
                  "train", o->architecture, "cpu", hrnet_cpu_name(), "isa", t->isa, "threads",
                  (int)t->threads, "batch", o->batch, "size", o->size, "precision", o->precision,
                  "median_ms", t->median_ms, "least_ms", t->least_ms, "steps", (int)t->steps,
                  "pictures_per_s", 1e3 * o->batch / t->median_ms);
    const struct {
        const char *name;
        double value;
    } parts[] = {
        { "conv_ms", t->conv_ms },
        { "conv_data_ms", t->conv_data_ms },
        { "conv_weights_ms", t->conv_weights_ms },
        { "conv_again_ms", t->conv_again_ms },
        { "norm_ms", t->norm_ms },
        { "norm_grad_ms", t->norm_grad_ms },
        { "norm_again_ms", t->norm_again_ms },
        { "other_ms", t->other_ms },
        { "loss_ms", t->loss_ms },
        { "optimizer_ms", t->optimizer_ms },
        { "loader_ms", t->loader_ms },
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        json_object_set_new(line, parts[i].name, json_real(parts[i].value));
    json_object_set_new(line, "activation_bytes", json_integer((json_int_t)t->activation_bytes));
    json_object_set_new(line, "state_bytes", json_integer((json_int_t)t->state_bytes));
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    printf("%s\n", text ? text : "{}");
    free(text);
    json_decref(line);
}

int hr_bench_train(const struct hr_args *args)
{
    struct hrnet_timing_options o;
    struct hrnet_timing t;
    const char *size = hr_arg_text(args, "size");
    hrnet_timing_options_init(&o, sizeof o);
    o.architecture = args->operands[0];
    o.pictures = hr_arg_text(args, "pictures");
    o.cpu = hr_arg_text(args, "cpu");
    o.batch = (int)hr_arg_count(args, "batch");
    o.threads = (unsigned)hr_arg_count(args, "threads");
    o.seconds = hr_arg_real(args, "duration");
    o.exact = hr_arg_switch(args, "exact");
    o.precision = hr_arg_text(args, "precision");
    o.recompute = hr_arg_switch(args, "recompute");
    if (size)
        o.size = atoi(size);
    const hrnet_status status = hrnet_time_training(&o, &t);
    if (status != HRNET_OK)
        return hr_report((int)status);
    if (hr_arg_switch(args, "json"))
        print_json(&o, &t);
    else
        print_text(&o, &t);
    return 0;
}
