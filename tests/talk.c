/* SPDX-License-Identifier: Apache-2.0 */
#include "talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "serve/grpc_message.h"

void talk_start(struct talk *talk, const struct hr_grpc_method *const *tables, void *context)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    char port[8];
    struct hr_grpc_options options;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 8) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(port, sizeof port, "%u", ntohs(address.sin_port));
    hr_grpc_options_init(&options);
    options.tables = tables;
    options.context = context;
    *talk = (struct talk){ 0 };
    assert_int_equal(hr_grpc_start(&talk->server, fd, &options), HR_OK);
    const struct hr_grpc_client_options client = { "127.0.0.1", port, NULL, NULL, 1 << 20 };
    assert_int_equal(hr_grpc_client_create(&talk->client, &client), HR_OK);
}

void talk_stop(struct talk *talk)
{
    hr_message_memory_fini(&talk->memory);
    hr_buffer_fini(&talk->answer.message);
    hr_grpc_client_destroy(talk->client);
    hr_grpc_stop(talk->server);
}

void talk_ask(struct talk *talk, const char *path, const ProtobufCMessage *request)
{
    struct hr_buffer bytes = { 0 };
    assert_int_equal(hr_grpc_pack(&bytes, request), HR_OK);
    hr_buffer_fini(&talk->answer.message);
    assert_int_equal(
        hr_grpc_client_call(talk->client, path, bytes.data, bytes.size, 20, &talk->answer), HR_OK);
    hr_buffer_fini(&bytes);
}

ProtobufCMessage *talk_read(struct talk *talk, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = NULL;
    hr_message_memory_fini(&talk->memory);
    assert_int_equal(hr_message_read(&message, &talk->memory, type, talk->answer.message.data,
                                     talk->answer.message.size, "answer"),
                     HR_OK);
    return message;
}
