/* SPDX-License-Identifier: Apache-2.0
 * A gRPC server of some methods on loopback, and a client of it. */
#ifndef TALK_H
#define TALK_H

#include "serve/grpc.h"
#include "serve/grpc_client.h"
#include "wire/message.h"

struct talk {
    struct hr_grpc *server;
    struct hr_grpc_client *client;
    struct hr_grpc_answer answer; /* the last */
    struct hr_message_memory memory;
};

/* The tables and context are those of hr_grpc_options.  Fails the test where nothing starts. */
void talk_start(struct talk *talk, const struct hr_grpc_method *const *tables, void *context);
void talk_stop(struct talk *talk);

/* Asks and keeps the answer. */
void talk_ask(struct talk *talk, const char *path, const ProtobufCMessage *request);
/* The answer's message; valid until the next. */
ProtobufCMessage *talk_read(struct talk *talk, const ProtobufCMessageDescriptor *type);

#endif
