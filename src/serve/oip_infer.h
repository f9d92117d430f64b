/* SPDX-License-Identifier: Apache-2.0
 * The infer route of the Open Inference Protocol over REST: JSON tensors, Triton's binary ones, and
 * mixtures. */
#ifndef HR_SERVE_OIP_INFER_H
#define HR_SERVE_OIP_INFER_H

#include "serve/call.h"

void hr_oip_infer_rest(struct hr_call *call);

#endif
