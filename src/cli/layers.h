/* SPDX-License-Identifier: Apache-2.0
 * The steps of a network beside what this machine allows: measured, printed, drawn. */
#ifndef HR_CLI_LAYERS_H
#define HR_CLI_LAYERS_H

#include <jansson.h>
#include <stdio.h>

#include "hrnet/hrnet.h"

struct hr_layer {
    struct hrnet_step_info step;
    double us;            /* median of the rounds */
    double bound_us;      /* no less is possible; see hr_layers_measure */
    const char *bound_by; /* "arithmetic", "weights" or "data" */
};

struct hr_layers {
    struct hr_layer *layer;
    size_t count, rounds;
    double peak_gflops;                 /* of the threads together, as the next two */
    double memory_gbytes, cache_gbytes; /* a second */
    double sum_ms, whole_ms, bound_ms;  /* of the medians; of whole runs between; of bounds */
};

#define HR_LAYER_FLAG 0.7 /* steps that reach less of their bound are flagged */

/* Runs whole and step by step in turn for `seconds`, at least 7 times each.  A step's bound is the
 * larger of its kernel's arithmetic at the measured peak and its weights at the measured rate of
 * memory; of a step with neither, its activations at the rate of a core's own cache.  x and logits
 * are for info->batch images.  Returns -1, or the exit code of an error that was printed. */
int hr_layers_measure(struct hr_layers *out, hrnet_session *session,
                      const struct hrnet_session_info *info, double peak_gflops, const float *x,
                      float *logits, double seconds);
void hr_layers_fini(struct hr_layers *layers);

double
hr_layer_reached(const struct hr_layer *layer); /* share of its bound, 1: no faster is possible */
void hr_layers_print(const struct hr_layers *layers);
void hr_layers_csv(const struct hr_layers *layers);
json_t *hr_layers_json(const struct hr_layers *layers); /* an array; NULL without memory */
/* Bars to `path`; returns 0, or the exit code of an error that was printed. */
int hr_layers_svg(const struct hr_layers *layers, const char *title, const char *path);

#endif
