/* SPDX-License-Identifier: Apache-2.0
 * Listening sockets. */
#ifndef HR_SERVE_LISTEN_H
#define HR_SERVE_LISTEN_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

/* A socket (blocking) that listens at a numeric address; port 0: any free one.  HR_E_IO when the
 * address cannot be had, naming it. */
enum hr_status hr_listen(int *out, const char *host, uint16_t port) HR_WARN_UNUSED;
/* The port that a socket is bound to; 0 if it is to none. */
uint16_t hr_listen_port(int socket);

#endif
