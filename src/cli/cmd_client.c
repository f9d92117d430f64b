/* SPDX-License-Identifier: Apache-2.0
 * hrnet client: asks any server of the protocols that `hrnet serve` speaks, once for each picture,
 * or as a load. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/inputs.h"
#include "cli/load.h"
#include "cli/setup.h"
#include "hrnet/hrnet.h"

#define MOST_ROWS 1024

static const struct hr_flag flags[] = {
    { "protocol", 'p', HR_FLAG_CHOICE,
      "picture|v2|v2-json|grpc|paddle|paddle-grpc|paddle-general|paddlehub|tensorflow|torchserve",
      NULL, 0, 0, "how to ask (default: picture; grpc for grpc://)" },
    { "model", 'm', HR_FLAG_TEXT, "NAME", NULL, 0, 0, "the server's name of the model" },
    { "model-version", 0, HR_FLAG_TEXT, "V", "", 0, 0, "of v2 and grpc (default: the server's)" },
    { "input", 0, HR_FLAG_TEXT, "NAME", "x", 0, 0, "of the tensor that goes in" },
    { "output", 0, HR_FLAG_TEXT, "NAME", NULL, 0, 0,
      "of the tensor that comes out (default: logits; prediction of paddle-general)" },
    { "top", 'k', HR_FLAG_COUNT, "K", "5", 0, 100000, "classes to be told; 0: the whole tensor" },
    { "tensor", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "prepare pictures here and send the network's input" },
    { "rows", 0, HR_FLAG_COUNT, "N", "1", 1, MOST_ROWS, "pictures in one request" },
    { "timeout", 0, HR_FLAG_REAL, "SECONDS", "30", 0, 86400, "for one answer" },
    { "health", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "only ask whether the server is ready" },
    { "token-file", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0, "its first line is sent as bearer token" },
    { "authority", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0,
      "PEM: whose certificates are trusted (default: the system's)" },
    { "concurrency", 'c', HR_FLAG_COUNT, "N", "1", 1, 4096, "requests at a time" },
    { "requests", 'n', HR_FLAG_COUNT, "N", "0", 0, INT64_MAX, "so many in all" },
    { "duration", 'd', HR_FLAG_REAL, "SECONDS", "0", 0, 1e9, "send new ones for so long" },
    { "rate", 0, HR_FLAG_REAL, "N", "0", 0, 1e9,
      "so many a second, whether or not answers come; 0: the next after an answer" },
    { "warmup", 0, HR_FLAG_REAL, "SECONDS", "0", 0, 1e9, "not counted" },
    { "retries", 0, HR_FLAG_COUNT, "N", "0", 0, 100,
      "send a request of a load again that met no server, or one that could not now" },
    { "same", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "equal requests must get equal answers" },
    { "json", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "the figures of a load as JSON" },
    { "csv", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0, "one line for each request of a load" },
    { "svg", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0, "its percentiles as a chart" },
    { 0 },
};

struct client {
    const struct hr_args *args;
    const struct hr_client_protocol *protocol;
    struct hr_client_target target;
    char *token; /* "Bearer ..." */
    struct hr_names names;
    struct hr_client_item *items; /* [count] */
    struct hr_input *inputs;      /* [count] open files; NULL where a picture was made */
    float **tensors;              /* [count] or NULL */
    uint8_t *made;                /* a picture where none was given */
    size_t count;
    struct hr_client_request *requests; /* [request_count] */
    size_t request_count, rows;
};

/* ---- The server ---- */

/* "host:port", "[::1]:port", "host" -> host, port. */
static enum hr_status split_authority(struct hr_client_target *t, const char *text, bool tls)
{
    const size_t length = strcspn(text, "/");
    const char *end = text + length, *colon = NULL;
    const char *host = text, *host_end = end;
    if (*text == '[') {
        host = text + 1;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (!host_end)
            return hr_fail(HR_E_ARGUMENT, "'%s' is no address", text);
        colon = host_end[1] == ':' ? host_end + 1 : NULL;
    } else if ((colon = memchr(text, ':', length))) {
        host_end = colon;
    }
    t->host = hr_mem_strndup(host, (size_t)(host_end - host));
    t->port = colon ? hr_mem_strndup(colon + 1, (size_t)(end - colon - 1))
                    : hr_mem_strdup(tls ? "443" : "8001");
    return t->host && t->port ? HR_OK : HR_E_MEMORY;
}

static int read_target(struct client *c, const char *url)
{
    static const struct {
        const char *scheme;
        bool grpc, tls;
    } schemes[] = { { "http://", false, false },
                    { "https://", false, true },
                    { "grpc://", true, false },
                    { "grpcs://", true, true } };
    struct hr_client_target *t = &c->target;
    for (size_t i = 0; i < HR_COUNT(schemes); i++) {
        if (!hr_text_starts(url, schemes[i].scheme))
            continue;
        t->grpc = schemes[i].grpc;
        t->tls = schemes[i].tls;
        t->base = hr_mem_strdup(url);
        enum hr_status status =
            t->base ? split_authority(t, url + strlen(schemes[i].scheme), t->tls) : HR_E_MEMORY;
        for (size_t n = status == HR_OK ? strlen(t->base) : 0; n > 0 && t->base[n - 1] == '/'; n--)
            t->base[n - 1] = '\0';
        return status == HR_OK ? -1 : hr_report((int)status);
    }
    return hr_usage_error("client",
                          "'%s': an address http://, https://, grpc:// or grpcs:// is "
                          "wanted",
                          url);
}

static int find_protocol(struct client *c)
{
    const char *name = hr_arg_text(c->args, "protocol");
    if (!name)
        name = c->target.grpc ? "grpc" : "picture";
    c->protocol = hr_client_protocols;
    while (strcmp(c->protocol->name, name) != 0)
        c->protocol++;
    if (c->protocol->grpc != c->target.grpc)
        return hr_usage_error("client", "--protocol %s goes over %s", name,
                              c->protocol->grpc ? "grpc://" : "http://");
    return -1;
}

static int read_token(struct client *c)
{
    const char *path = hr_arg_text(c->args, "token-file");
    uint8_t *data = NULL;
    size_t size = 0;
    struct hr_text value = { 0 };
    if (!path)
        return -1;
    enum hr_status status = hr_file_read(path, 65536, &data, &size);
    if (status == HR_OK) {
        size_t length = 0;
        while (length < size && data[length] > ' ' && data[length] < 0x7f)
            length++;
        hr_text_printf(&value, "Bearer %.*s", (int)length, (const char *)data);
        status = hr_text_take(&value, &c->token);
    }
    hr_mem_free(data);
    c->target.authorization = c->token;
    return status == HR_OK ? -1 : hr_report((int)status);
}

static int read_options(struct client *c, const char *url)
{
    struct hr_client_target *t = &c->target;
    int code = read_target(c, url);
    if (code < 0)
        code = find_protocol(c);
    if (code >= 0)
        return code;
    const bool general = strcmp(c->protocol->name, "paddle-general") == 0;
    t->model = hr_arg_text(c->args, "model");
    t->version = hr_arg_text(c->args, "model-version");
    t->input = hr_arg_text(c->args, "input");
    t->output = hr_arg_text(c->args, "output");
    t->authority = hr_arg_text(c->args, "authority");
    t->top = (size_t)hr_arg_count(c->args, "top");
    t->timeout_seconds = hr_arg_real(c->args, "timeout");
    c->rows = (size_t)hr_arg_count(c->args, "rows");
    if (!t->output)
        t->output = general ? "prediction" : "logits";
    if (!t->model)
        t->model = c->protocol->model;
    if (!t->model && strcmp(c->protocol->name, "picture") != 0 && !hr_arg_switch(c->args, "health"))
        return hr_usage_error("client", "--protocol %s needs --model NAME", c->protocol->name);
    if (hr_arg_switch(c->args, "tensor") && !c->protocol->tensors)
        return hr_usage_error("client", "--protocol %s takes pictures, not tensors",
                              c->protocol->name);
    return read_token(c);
}

/* ---- What is sent ---- */

static bool sends_tensors(const struct client *c)
{
    return hr_arg_switch(c->args, "tensor") || !c->protocol->pictures;
}

/* Without files: a picture that looks like nothing, the same each time. */
static enum hr_status make_picture(struct client *c)
{
    enum { SIDE = 256 };
    float *noise = hr_mem_alloc(3 * SIDE * SIDE, sizeof *noise);
    uint8_t *pixels = hr_mem_alloc(3 * SIDE * SIDE, 1);
    enum hr_status status = noise && pixels ? HR_OK : HR_E_MEMORY;
    if (status == HR_OK) {
        hrnet_synthetic_input("picture", 3 * SIDE * SIDE, noise);
        for (size_t i = 0; i < 3 * SIDE * SIDE; i++)
            pixels[i] = (uint8_t)(64 * (noise[i] + 2));
        status = (enum hr_status)hrnet_encode_png(pixels, SIDE, SIDE, &c->made,
                                                  &c->items[0].picture_bytes);
        c->items[0].picture = c->made;
        c->items[0].name = "synthetic";
    }
    hr_mem_free(noise);
    hr_mem_free(pixels);
    return status;
}

static enum hr_status prepare(struct client *c, size_t i, const struct hrnet_recipe *recipe)
{
    const struct hrnet_decode_options decode = hr_setup_decode(c->args);
    struct hr_client_item *item = &c->items[i];
    c->tensors[i] = hr_mem_alloc((size_t)3 * (size_t)recipe->crop_height,
                                 (size_t)recipe->crop_width * sizeof(float));
    if (!c->tensors[i])
        return HR_E_MEMORY;
    item->x = c->tensors[i];
    item->height = recipe->crop_height;
    item->width = recipe->crop_width;
    return (enum hr_status)hrnet_preprocess_memory(recipe, item->picture, item->picture_bytes,
                                                   item->name, &decode, c->tensors[i], NULL);
}

static enum hr_status open_items(struct client *c)
{
    const size_t limit = (size_t)hr_arg_bytes(c->args, "max-bytes");
    for (int i = 1; i < c->args->operand_count; i++)
        HR_TRY(hr_inputs_expand(&c->names, c->args->operands[i]));
    c->count = c->names.count ? c->names.count : 1;
    c->items = hr_mem_alloc(c->count, sizeof *c->items);
    c->inputs = hr_mem_alloc(c->count, sizeof *c->inputs);
    c->tensors = hr_mem_alloc(c->count, sizeof *c->tensors);
    if (!c->items || !c->inputs || !c->tensors)
        return HR_E_MEMORY;
    if (c->names.count == 0)
        return make_picture(c);
    for (size_t i = 0; i < c->count; i++) {
        HR_TRY(hr_input_open(&c->inputs[i], c->names.items[i], limit));
        c->items[i].name = c->names.items[i];
        c->items[i].picture = c->inputs[i].data;
        c->items[i].picture_bytes = c->inputs[i].size;
    }
    return HR_OK;
}

static int prepare_items(struct client *c)
{
    struct hrnet_recipe recipe;
    if (!sends_tensors(c))
        return -1;
    enum hr_status status = (enum hr_status)hrnet_recipe_named("opencv", &recipe);
    const int code = status == HR_OK ? hr_setup_recipe(&recipe, c->args, &recipe) : -1;
    if (code >= 0)
        return code;
    for (size_t i = 0; i < c->count && status == HR_OK; i++)
        status = prepare(c, i, &recipe);
    return status == HR_OK ? -1 : hr_report_input((int)status);
}

/* Requests of `rows` pictures each, in order, around the corner where they do not come out even. */
static enum hr_status make_requests(struct client *c)
{
    struct hr_client_item row[MOST_ROWS];
    c->request_count = (c->count + c->rows - 1) / c->rows;
    c->requests = hr_mem_alloc(c->request_count, sizeof *c->requests);
    if (!c->requests)
        return HR_E_MEMORY;
    for (size_t i = 0; i < c->request_count; i++) {
        for (size_t k = 0; k < c->rows; k++)
            row[k] = c->items[(i * c->rows + k) % c->count];
        HR_TRY(c->protocol->make(&c->requests[i], &c->target, row, c->rows));
    }
    return HR_OK;
}

/* ---- Asking ---- */

/* The exit code of an answer that is not good. */
static int failure_code(const struct hr_client_answer *answer)
{
    return answer->code < 0 ? hrnet_status_exit_code(HRNET_E_IO) : 1;
}

static int ask_each(struct client *c, struct hr_client_connection *connection)
{
    int code = 0;
    for (size_t i = 0; i < c->request_count; i++) {
        struct hr_client_answer answer;
        const char *name = c->items[i * c->rows % c->count].name;
        hr_client_ask(connection, &c->requests[i], c->protocol, &answer);
        if (answer.good) {
            printf("%s\n", name);
            const enum hr_status status = c->protocol->print(&answer, stdout);
            if (status != HR_OK)
                code = hr_report((int)status);
        } else {
            fprintf(stderr, "hrnet: %s: %s\n", name, answer.message);
            code = failure_code(&answer);
        }
        hr_client_answer_fini(&answer);
    }
    return code;
}

static int ask_health(struct client *c, struct hr_client_connection *connection)
{
    struct hr_client_request request = { 0 };
    struct hr_client_answer answer = { 0 };
    int code = 0;
    const enum hr_status status = hr_client_make_health(&request, &c->target);
    if (status != HR_OK) {
        code = hr_report((int)status);
    } else {
        hr_client_ask(connection, &request, NULL, &answer);
        if (answer.good && c->target.grpc && !hr_client_grpc_is_serving(&answer)) {
            answer.good = false;
            snprintf(answer.message, sizeof answer.message, "the server is not ready");
        }
        if (!answer.good) {
            fprintf(stderr, "hrnet: %s: %s\n", c->target.base, answer.message);
            code = failure_code(&answer);
        }
    }
    hr_client_answer_fini(&answer);
    hr_client_request_fini(&request);
    return code;
}

static int once(struct client *c, int (*ask)(struct client *, struct hr_client_connection *))
{
    struct hr_client_connection *connection = NULL;
    const enum hr_status status = hr_client_connect(&connection, &c->target);
    const int code = status == HR_OK ? ask(c, connection) : hr_report((int)status);
    hr_client_disconnect(connection);
    return code;
}

static enum hr_status report_load(const struct client *c, const struct hr_load_options *options,
                                  const struct hr_load_result *result)
{
    const char *csv = hr_arg_text(c->args, "csv"), *svg = hr_arg_text(c->args, "svg");
    const struct hr_load_report report = {
        .protocol = c->protocol->name, .pictures = c->rows, .options = options, .result = result
    };
    HR_TRY(hr_load_print(&report, hr_arg_switch(c->args, "json"), stdout));
    if (csv)
        HR_TRY(hr_load_write_csv(&report, csv));
    return svg ? hr_load_write_svg(&report, svg) : HR_OK;
}

static int load(struct client *c)
{
    struct hr_load_result result = { 0 };
    const struct hr_load_options options = {
        .concurrency = (unsigned)hr_arg_count(c->args, "concurrency"),
        .requests = (uint64_t)hr_arg_count(c->args, "requests"),
        .duration_seconds = hr_arg_real(c->args, "duration"),
        .rate = hr_arg_real(c->args, "rate"),
        .retries = (unsigned)hr_arg_count(c->args, "retries"),
        .warmup_seconds = hr_arg_real(c->args, "warmup"),
        .same = hr_arg_switch(c->args, "same"),
    };
    enum hr_status status =
        hr_load_run(&result, &c->target, c->protocol, c->requests, c->request_count, &options);
    if (status == HR_OK)
        status = report_load(c, &options, &result);
    const bool good = result.count > 0 && result.good == result.count && result.different == 0;
    hr_load_result_fini(&result);
    return status != HR_OK ? hr_report((int)status) : good ? 0 : 1;
}

/* ---- The command ---- */

static void close_client(struct client *c)
{
    for (size_t i = 0; c->requests && i < c->request_count; i++)
        hr_client_request_fini(&c->requests[i]);
    for (size_t i = 0; c->inputs && i < c->count; i++)
        hr_input_close(&c->inputs[i]);
    for (size_t i = 0; c->tensors && i < c->count; i++)
        hr_mem_free(c->tensors[i]);
    hr_mem_free(c->requests);
    hr_mem_free(c->inputs);
    hr_mem_free(c->tensors);
    hr_mem_free(c->items);
    hrnet_free(c->made);
    hr_names_fini(&c->names);
    hr_mem_free(c->token);
    hr_mem_free(c->target.base);
    hr_mem_free(c->target.host);
    hr_mem_free(c->target.port);
}

static int ask(struct client *c)
{
    if (hr_arg_switch(c->args, "health"))
        return once(c, ask_health);
    enum hr_status status = open_items(c);
    if (status != HR_OK)
        return hr_report_input((int)status);
    const int code = prepare_items(c);
    if (code >= 0)
        return code;
    status = make_requests(c);
    if (status != HR_OK)
        return hr_report((int)status);
    return hr_arg_count(c->args, "requests") > 0 || hr_arg_real(c->args, "duration") > 0
               ? load(c)
               : once(c, ask_each);
}

static int client(const struct hr_args *args)
{
    struct client c = { .args = args };
    int code = read_options(&c, args->operands[0]);
    if (code < 0)
        code = ask(&c);
    close_client(&c);
    return code;
}

static const struct hr_flag *const groups[] = { flags, hr_recipe_flags, hr_decode_flags, NULL };

const struct hr_command hr_command_client = {
    .name = "client",
    .operands = "URL [PICTURE...]",
    .takes = HR_FLAG_FILE,
    .summary = "ask a server, or put load on it",
    .examples = "hrnet client http://127.0.0.1:8000 cat.jpg\n"
                "hrnet client grpc://127.0.0.1:8001 -m w18 photos/ -k 3\n"
                "hrnet client http://127.0.0.1:8000 -p v2 -m w18 --tensor cat.jpg -c 16 -d 10\n"
                "hrnet client http://127.0.0.1:8000 cat.jpg -d 60 --rate 20 -c 32 --svg p.svg",
    .groups = groups,
    .least_operands = 1,
    .most_operands = -1,
    .run = client,
};
