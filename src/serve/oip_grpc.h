/* SPDX-License-Identifier: Apache-2.0
 * The Open Inference Protocol over gRPC, as the clients of Triton and KServe speak it: a table for
 * hr_grpc_options, whose context is a struct hr_service. */
#ifndef HR_SERVE_OIP_GRPC_H
#define HR_SERVE_OIP_GRPC_H

#include "serve/grpc.h"

extern const struct hr_grpc_method hr_oip_grpc_methods[];

/* serve/oip_grpc_infer.c */
void hr_oip_grpc_infer(struct hr_grpc_call *call, struct hr_buffer *message);
void hr_oip_grpc_infer_gone(struct hr_grpc_call *call);
void hr_oip_grpc_stream(struct hr_grpc_call *call, struct hr_buffer *message);
void hr_oip_grpc_stream_end(struct hr_grpc_call *call);
void hr_oip_grpc_stream_gone(struct hr_grpc_call *call);

/* serve/oip_grpc_repository.c */
void hr_oip_grpc_index(struct hr_grpc_call *call, struct hr_buffer *message);
void hr_oip_grpc_load(struct hr_grpc_call *call, struct hr_buffer *message);
void hr_oip_grpc_unload(struct hr_grpc_call *call, struct hr_buffer *message);

#endif
