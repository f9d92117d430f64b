/* SPDX-License-Identifier: Apache-2.0
 * Who may come in, and how often: bearer tokens from a file, and a bucket of requests for each
 * client address. */
#ifndef HR_SERVE_GATE_H
#define HR_SERVE_GATE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/status.h"

struct hr_gate;

struct hr_gate_options {
    const char *token_file; /* one token a line, # comments; NULL: none is asked for */
    double rate, burst;     /* requests a second of one address, and at once; 0: no limit */
};

enum hr_status hr_gate_create(struct hr_gate **out,
                              const struct hr_gate_options *options) HR_WARN_UNUSED;
void hr_gate_destroy(struct hr_gate *gate); /* NULL is allowed */
/* Reads the tokens again; on failure the old ones stay. */
enum hr_status hr_gate_reload(struct hr_gate *gate) HR_WARN_UNUSED;

/* The value of an Authorization header, or NULL.  The time taken tells nothing of the tokens. */
bool hr_gate_may_enter(struct hr_gate *gate, const char *authorization);
/* 0: go on; else the seconds after which the client may ask again. */
unsigned hr_gate_rate(struct hr_gate *gate, const struct sockaddr *client);

#endif
