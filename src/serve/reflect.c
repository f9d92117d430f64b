/* SPDX-License-Identifier: Apache-2.0
 * Answers from the compiled .proto files that the build made (serve/descriptors.h). */
#include "serve/reflect.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "serve/descriptor.pb-c.h"
#include "serve/descriptors.h"
#include "serve/grpc_message.h"
#include "serve/reflection.pb-c.h"
#include "wire/message.h"

#define MOST_SERVICES 32

/* ---- Files ---- */

/* The next file of the set: each is field 1, length-delimited. */
static bool next_file(struct hr_reader *r, struct hr_span *file)
{
    uint8_t byte;
    uint64_t size = 0;
    if (hr_reader_left(r) == 0 || hr_read_u8(r, &byte) != HR_OK || byte != 0x0a)
        return false;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (hr_read_u8(r, &byte) != HR_OK)
            return false;
        size |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    return hr_read_span(r, size, file) == HR_OK;
}

/* If `symbol` continues with `name`: what is behind it and its dot ("" at the end); else NULL. */
static const char *behind(const char *symbol, const char *name)
{
    const size_t length = strlen(name);
    if (length == 0)
        return symbol;
    if (strncmp(symbol, name, length) != 0)
        return NULL;
    symbol += length;
    return *symbol == '\0' ? symbol : *symbol == '.' && symbol[1] ? symbol + 1 : NULL;
}

static bool among(const char *rest, Hr__OneName *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rest, names[i]->name) == 0)
            return true;
    return false;
}

static bool in_message(const char *rest, const Hr__MessageNames *message)
{
    const char *inner = behind(rest, message->name);
    if (!inner)
        return false;
    if (!*inner || among(inner, message->enum_type, message->n_enum_type))
        return true;
    for (size_t i = 0; i < message->n_nested_type; i++)
        if (in_message(inner, message->nested_type[i]))
            return true;
    return false;
}

static bool defines(const Hr__FileNames *file, const char *symbol)
{
    const char *rest = behind(symbol, file->package ? file->package : "");
    if (!rest || !*rest)
        return false;
    if (among(rest, file->enum_type, file->n_enum_type))
        return true;
    for (size_t i = 0; i < file->n_message_type; i++)
        if (in_message(rest, file->message_type[i]))
            return true;
    for (size_t i = 0; i < file->n_service; i++) {
        const char *method = behind(rest, file->service[i]->name);
        if (method &&
            (!*method || among(method, file->service[i]->method, file->service[i]->n_method)))
            return true;
    }
    return false;
}

/* Is the file the one of that name, or, without a name, the one that defines the symbol? */
static enum hr_status matches(const struct hr_span *file, const char *name, const char *symbol,
                              bool *found)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *message = NULL;
    const enum hr_status status = hr_message_read(&message, &memory, &hr__file_names__descriptor,
                                                  file->data, file->size, "descriptor");
    const Hr__FileNames *names = (const Hr__FileNames *)message;
    if (status == HR_OK)
        *found = name ? names->name && strcmp(names->name, name) == 0 : defines(names, symbol);
    hr_message_memory_fini(&memory);
    return status;
}

static enum hr_status find(struct hr_span *out, const char *name, const char *symbol)
{
    struct hr_reader r = hr_reader_of(hr_descriptors, hr_descriptors_size, "descriptors");
    struct hr_span file;
    bool found = false;
    while (next_file(&r, &file)) {
        HR_TRY(matches(&file, name, symbol, &found));
        if (found) {
            *out = file;
            return HR_OK;
        }
    }
    return name ? hr_fail(HR_E_NOT_FOUND, "there is no file '%.100s'", name)
                : hr_fail(HR_E_NOT_FOUND, "nothing here is called '%.100s'", symbol);
}

enum hr_status hr_reflect_file(struct hr_span *out, const char *file_name)
{
    return find(out, file_name, NULL);
}

enum hr_status hr_reflect_symbol(struct hr_span *out, const char *symbol)
{
    return find(out, NULL, symbol);
}

/* ---- Answers ---- */

/* The services of the server's methods: "inference.GRPCInferenceService" of its paths, each once.
 */
static size_t list_services(struct hr_grpc_call *call, char names[MOST_SERVICES][100])
{
    const struct hr_grpc_method *const *tables = hr_grpc_tables(hr_grpc_call_server(call));
    size_t count = 0;
    for (size_t i = 0; tables[i]; i++)
        for (const struct hr_grpc_method *m = tables[i]; m->path; m++) {
            const size_t length = strcspn(m->path + 1, "/");
            size_t same = 0;
            while (same < count &&
                   (strncmp(names[same], m->path + 1, length) != 0 || names[same][length] != '\0'))
                same++;
            if (same < count || count == MOST_SERVICES || length >= sizeof names[0])
                continue;
            memcpy(names[count], m->path + 1, length);
            names[count++][length] = '\0';
        }
    return count;
}

static void answer_services(struct hr_grpc_call *call,
                            Grpc__Reflection__V1__ServerReflectionResponse *response)
{
    static const Grpc__Reflection__V1__ServiceResponse empty =
        GRPC__REFLECTION__V1__SERVICE_RESPONSE__INIT;
    char names[MOST_SERVICES][100];
    Grpc__Reflection__V1__ListServiceResponse list =
        GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    Grpc__Reflection__V1__ServiceResponse services[MOST_SERVICES], *pointers[MOST_SERVICES];
    list.n_service = list_services(call, names);
    list.service = pointers;
    for (size_t i = 0; i < list.n_service; i++) {
        services[i] = empty;
        services[i].name = names[i];
        pointers[i] = &services[i];
    }
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    response->list_services_response = &list;
    hr_grpc_send_message(call, &response->base);
}

static void answer_error(struct hr_grpc_call *call, int code, char *text,
                         Grpc__Reflection__V1__ServerReflectionResponse *response)
{
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    error.error_code = code;
    error.error_message = text;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    response->error_response = &error;
    hr_grpc_send_message(call, &response->base);
}

static void answer_file(struct hr_grpc_call *call, const char *name, const char *symbol,
                        Grpc__Reflection__V1__ServerReflectionResponse *response)
{
    Grpc__Reflection__V1__FileDescriptorResponse files =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    struct hr_span file;
    const enum hr_status status = find(&file, name, symbol);
    if (status != HR_OK) {
        char text[256];
        strncpy(text, hr_last_message(), sizeof text - 1);
        text[sizeof text - 1] = '\0';
        answer_error(call, hr_status_info(status)->grpc, text, response);
        return;
    }
    ProtobufCBinaryData bytes = { file.size, (uint8_t *)(uintptr_t)file.data };
    files.n_file_descriptor_proto = 1;
    files.file_descriptor_proto = &bytes;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    response->file_descriptor_response = &files;
    hr_grpc_send_message(call, &response->base);
}

static void answer(struct hr_grpc_call *call,
                   Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    static char unknown[] = "nothing here has extensions";
    Grpc__Reflection__V1__ServerReflectionResponse response =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    response.valid_host = request->host;
    response.original_request = request;
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        answer_services(call, &response);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        answer_file(call, request->file_by_filename, NULL, &response);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        answer_file(call, NULL, request->file_containing_symbol, &response);
        break;
    default:
        answer_error(call, hr_status_info(HR_E_NOT_FOUND)->grpc, unknown, &response);
    }
}

static void message(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *request = NULL;
    const enum hr_status status = hr_message_read(
        &request, &memory, &grpc__reflection__v1__server_reflection_request__descriptor,
        bytes->data, bytes->size, "the request");
    if (status == HR_OK)
        answer(call, (Grpc__Reflection__V1__ServerReflectionRequest *)request);
    else
        hr_grpc_finish(call, status);
    hr_message_memory_fini(&memory);
}

const struct hr_grpc_method hr_reflection_methods[] = {
    { "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", HR_GRPC_STREAM | HR_GRPC_EARLY,
      message, NULL, NULL, NULL },
    { "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      HR_GRPC_STREAM | HR_GRPC_EARLY, message, NULL, NULL, NULL },
    { 0 },
};
