/* SPDX-License-Identifier: Apache-2.0
 * What `hrnet client` asks of servers: requests that are made once and sent many times, the
 * protocols that they are made for, and the connections that they go over. */
#ifndef HR_CLI_CLIENT_H
#define HR_CLI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/status.h"

/* Where to, and how. */
struct hr_client_target {
    char *base;        /* "http://host:8000/prefix" without a slash at the end; of HTTP */
    char *host, *port; /* of gRPC */
    bool grpc, tls;
    const char *model, *version; /* version: "" for the server's choice */
    const char *input, *output;  /* names of tensors */
    size_t top;                  /* classes to be told; 0: whole tensors, where there is a choice */
    const char *authorization;   /* value of that header, or NULL */
    const char *authority;       /* PEM file of who is trusted under TLS, or NULL: the system */
    double timeout_seconds;
};

/* A picture as it is to be sent: its file, or the network's input. */
struct hr_client_item {
    const char *name;
    const void *picture;
    size_t picture_bytes;
    const float *x; /* [3][height][width], or NULL */
    int height, width;
};

struct hr_client_request {
    char *path;               /* behind target->base, or of the gRPC method */
    const char *content_type; /* static; NULL: none is sent */
    size_t json_bytes;        /* Inference-Header-Content-Length, if has_json_bytes */
    bool has_json_bytes;
    bool get; /* without a body */
    struct hr_buffer body;
};
void hr_client_request_fini(struct hr_client_request *request);

struct hr_client_answer {
    int code; /* of HTTP or gRPC; -1: none came */
    bool good;
    size_t json_bytes;     /* Inference-Header-Content-Length, 0: none */
    struct hr_buffer body; /* of gRPC: the message */
    char message[512];     /* what was wrong */
};
void hr_client_answer_fini(struct hr_client_answer *answer);

struct hr_client_protocol {
    const char *name;
    bool grpc;
    bool tensors, pictures; /* what may be sent */
    const char *model;      /* the usual name of the model, or NULL: it must be given */
    bool named_tensors;     /* input and output have names */
    enum hr_status (*make)(struct hr_client_request *request, const struct hr_client_target *target,
                           const struct hr_client_item *items, size_t count);
    /* Of an answer whose code is good: sets good = false and message where the body says so. */
    void (*check)(struct hr_client_answer *answer);
    /* The part that must be the same each time (no timing): NULL: the whole body. */
    enum hr_status (*essence)(const struct hr_client_answer *answer, struct hr_buffer *out);
    enum hr_status (*print)(const struct hr_client_answer *answer, FILE *out);
};
extern const struct hr_client_protocol hr_client_protocols[]; /* ended by name NULL */

/* "Is it ready?" as the transport asks it. */
enum hr_status hr_client_make_health(struct hr_client_request *request,
                                     const struct hr_client_target *target) HR_WARN_UNUSED;

/* cli/client_grpc.c: rows' functions of gRPC. */
enum hr_status hr_client_grpc_infer(struct hr_client_request *request,
                                    const struct hr_client_target *target,
                                    const struct hr_client_item *items, size_t count);
enum hr_status hr_client_grpc_essence(const struct hr_client_answer *answer, struct hr_buffer *out);
enum hr_status hr_client_grpc_print(const struct hr_client_answer *answer, FILE *out);
enum hr_status hr_client_grpc_pipeline(struct hr_client_request *request,
                                       const struct hr_client_target *target,
                                       const struct hr_client_item *items, size_t count);
void hr_client_grpc_pipeline_check(struct hr_client_answer *answer);
enum hr_status hr_client_grpc_pipeline_print(const struct hr_client_answer *answer, FILE *out);
enum hr_status hr_client_general(struct hr_client_request *request,
                                 const struct hr_client_target *target,
                                 const struct hr_client_item *items, size_t count);
void hr_client_general_check(struct hr_client_answer *answer);
enum hr_status hr_client_general_print(const struct hr_client_answer *answer, FILE *out);
enum hr_status hr_client_grpc_health(struct hr_client_request *request);
/* serving_status of a health answer: is it SERVING? */
bool hr_client_grpc_is_serving(const struct hr_client_answer *answer);

/* One connection, one thread at a time; connects when it must. */
struct hr_client_connection;
enum hr_status hr_client_connect(struct hr_client_connection **out,
                                 const struct hr_client_target *target) HR_WARN_UNUSED;
void hr_client_disconnect(struct hr_client_connection *connection); /* NULL is allowed */
/* Sends a request and waits.  Any end of it is an answer; *answer is overwritten, the caller frees
 * it. */
void hr_client_ask(struct hr_client_connection *connection, const struct hr_client_request *request,
                   const struct hr_client_protocol *protocol, struct hr_client_answer *answer);

#endif
