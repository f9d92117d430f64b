/* SPDX-License-Identifier: Apache-2.0
 * Which pixels an answer comes from, as a picture: the class activation map laid over the crop. */
#ifndef HR_SERVE_HEAT_H
#define HR_SERVE_HEAT_H

#include "base/text.h"
#include "hrnet/hrnet.h"

struct hr_heat;

enum hr_status hr_heat_create(struct hr_heat **out) HR_WARN_UNUSED;
void hr_heat_destroy(struct hr_heat *heat); /* NULL is allowed */

/* Adds "data:image/png;base64,..." of a picture's best class to *out.  One picture of a model at a
 * time: HR_E_DEADLINE when that is not this one's turn by deadline_ns.  The first call for a model
 * takes the memory of its backward half, until the model is released. */
enum hr_status hr_heat_draw(struct hr_heat *heat, hrnet_model *model, const void *picture,
                            size_t size, const struct hrnet_decode_options *decode,
                            uint64_t deadline_ns, struct hr_text *out) HR_WARN_UNUSED;

#endif
