/* SPDX-License-Identifier: Apache-2.0
 * The models' metrics in the Prometheus text format 0.0.4. */
#ifndef HR_SERVE_MODEL_METRICS_H
#define HR_SERVE_MODEL_METRICS_H

#include <stdbool.h>

#include "base/text.h"
#include "serve/registry.h"

/* The HELP and TYPE lines of a metric. */
void hr_metric_head(struct hr_text *out, const char *name, const char *type, const char *help);
/* All metrics of all loaded models; Triton's names too. */
void hr_metrics_print(struct hr_registry *registry, bool triton, struct hr_text *out);

#endif
