/* SPDX-License-Identifier: Apache-2.0
 * Paddle's services over gRPC: a table for hr_grpc_options whose context is a struct hr_service. */
#ifndef HR_SERVE_PADDLE_GRPC_H
#define HR_SERVE_PADDLE_GRPC_H

#include "serve/grpc.h"

extern const struct hr_grpc_method hr_paddle_grpc_methods[];

#endif
