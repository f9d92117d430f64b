/* SPDX-License-Identifier: Apache-2.0
 * gRPC's health checking (grpc.health.v1), a table for hr_grpc_options, whose context is a struct
 * hr_service. */
#ifndef HR_SERVE_HEALTH_H
#define HR_SERVE_HEALTH_H

#include "serve/grpc.h"

extern const struct hr_grpc_method hr_health_methods[];

#endif
