/* SPDX-License-Identifier: Apache-2.0
 * The gRPC server of a service: its listener, limits, tokens, rates and log. */
#ifndef HR_SERVE_GRPC_SERVICE_H
#define HR_SERVE_GRPC_SERVICE_H

#include "serve/grpc.h"
#include "serve/service.h"

struct hr_grpc_service_options {
    const char *host;                        /* a numeric address */
    uint16_t port;                           /* 0: any free one */
    const char *certificate_file, *key_file; /* PEM; both or neither NULL */
    const struct hr_grpc_method *const *tables;
};

/* Tables of the ports: the Open Inference Protocol; Paddle's services. */
extern const struct hr_grpc_method *const hr_grpc_oip_tables[], *const hr_grpc_paddle_tables[];

/* Listens and answers; *port is the one that it got.  HR_E_IO when the address cannot be had. */
enum hr_status hr_grpc_service_start(struct hr_grpc **out, uint16_t *port,
                                     struct hr_service *service,
                                     const struct hr_grpc_service_options *options) HR_WARN_UNUSED;
/* Takes certificate and key from their files again for new connections; on failure the old stay. */
enum hr_status hr_grpc_service_reload(struct hr_grpc *server,
                                      const struct hr_grpc_service_options *options) HR_WARN_UNUSED;

#endif
