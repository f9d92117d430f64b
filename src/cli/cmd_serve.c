/* SPDX-License-Identifier: Apache-2.0
 * hrnet serve: from flags to the server of src/serve. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/setup.h"
#include "hrnet/hrnet.h"
#include "serve/server.h"

static const struct hr_flag flags[] = {
    { "host", 0, HR_FLAG_TEXT, "ADDRESS", "127.0.0.1", 0, 0, "numeric address to listen at" },
    { "public", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "allow a --host that other machines can reach" },
    { "port", 'p', HR_FLAG_COUNT, "N", "8000", 0, 65535, "of HTTP; 0: any free one" },
    { "grpc-port", 0, HR_FLAG_COUNT, "N", NULL, 0, 65535,
      "of gRPC; 0: any free one (default: the one above --port)" },
    { "paddle-port", 0, HR_FLAG_COUNT, "N", NULL, 0, 65535,
      "of gRPC as Paddle Serving has it; 0: any free one (default: none; theirs is 9993)" },
    { "no-grpc", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "HTTP only" },
    { "repository", 0, HR_FLAG_FOLDER, "FOLDER", NULL, 0, 0,
      "serve every FOLDER/MODEL/VERSION/file" },
    { "allow-load", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "let clients load and unload the models of this server" },
    { "batch", 'b', HR_FLAG_COUNT, "N", "0", 0, HR_MOST_BATCH,
      "largest batch; 0: what measuring finds best" },
    { "batch-budget", 0, HR_FLAG_REAL, "SECONDS", "0.5", 0, 3600,
      "a batch may take so long, when it is chosen" },
    { "batch-delay", 0, HR_FLAG_REAL, "SECONDS", NULL, 0, 60,
      "wait so long for a batch to fill (default: from measured times)" },
    { "workers", 0, HR_FLAG_COUNT, "N", "1", 1, 256, "batches computed side by side" },
    { "decoders", 0, HR_FLAG_COUNT, "N", "0", 0, 256, "threads that decode; 0: one a CPU" },
    { "queue", 0, HR_FLAG_COUNT, "N", "256", 1, 1000000,
      "pictures and rows in the server; more are refused" },
    { "timeout", 0, HR_FLAG_REAL, "SECONDS", "30", 0, 86400, "of one request; 0: no limit" },
    { "timeout-of", 0, HR_FLAG_TEXT, "PATH=SECONDS,...", NULL, 0, 0,
      "of requests at these paths and below" },
    { "max-body", 0, HR_FLAG_BYTES, "SIZE", "64M", 0, 0, "of one request" },
    { "max-memory", 0, HR_FLAG_BYTES, "SIZE", "1G", 0, 0, "of all bodies together" },
    { "max-header", 0, HR_FLAG_BYTES, "SIZE", "32K", 0, 0, "of one request's head" },
    { "max-items", 0, HR_FLAG_COUNT, "N", "64", 1, 4096, "pictures or rows of one request" },
    { "max-side", 0, HR_FLAG_COUNT, "N", "1024", 32, 16384, "of a tensor's picture, px" },
    { "max-connections", 0, HR_FLAG_COUNT, "N", "512", 1, 65536, "at once" },
    { "max-connections-of-one", 0, HR_FLAG_COUNT, "N", "0", 0, 65536,
      "of one address; 0: no limit" },
    { "head-timeout", 0, HR_FLAG_REAL, "SECONDS", "60", 0, 86400,
      "to send a request's head, and for an idle connection" },
    { "body-timeout", 0, HR_FLAG_REAL, "SECONDS", "60", 0, 86400,
      "to send a body, and to take an answer" },
    { "rate", 0, HR_FLAG_REAL, "N", "0", 0, 1000000,
      "requests a second of one address; 0: no limit" },
    { "burst", 0, HR_FLAG_REAL, "N", "0", 0, 1000000, "requests at once; 0: as --rate" },
    { "tls-certificate", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0, "PEM; with --tls-key: HTTPS" },
    { "tls-key", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0, "PEM" },
    { "token-file", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0,
      "one token a line; requests need one of them" },
    { "cors", 0, HR_FLAG_TEXT, "ORIGIN", NULL, 0, 0, "pages of this origin may read answers" },
    { "access-log", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0,
      "a line of JSON for each request; -: standard error" },
    { "triton-metrics", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "print Triton's metric names too" },
    { "drain", 0, HR_FLAG_REAL, "SECONDS", "0", 0, 3600,
      "after SIGTERM: unready, but still answering" },
    { "finish", 0, HR_FLAG_REAL, "SECONDS", "30", 0, 3600, "then: for what is being computed" },
    { 0 },
};

/* ---- Models ---- */

#define MOST_MODELS 64

struct models {
    const struct hr_args *args;
    struct hr_model_source sources[MOST_MODELS];
    char names[MOST_MODELS][128], versions[MOST_MODELS][32];
    size_t count;
    struct hr_time_limits time;
};

/* The name of a model that was given none: of the file without folder and suffix. */
static void name_of_source(char out[128], const char *source)
{
    const char *synthetic = strchr(source, ':');
    const char *base = hr_os_base_name(synthetic ? synthetic + 1 : source);
    snprintf(out, 128, "%.100s", base);
    char *dot = strrchr(out, '.');
    if (dot && dot != out && hr_cache_is_path(source))
        *dot = '\0';
}

/* [NAME[:VERSION]=]MODEL */
static int parse_model(struct models *m, const char *operand)
{
    const char *equals = hr_cache_is_path(operand) ? NULL : strchr(operand, '=');
    char *name = m->names[m->count], *version = m->versions[m->count];
    if (m->count == MOST_MODELS)
        return hr_usage_error("serve", "more than %d models", MOST_MODELS);
    const char *source = equals ? equals + 1 : operand;
    strcpy(version, "1");
    if (equals) {
        const size_t length = (size_t)(equals - operand);
        const char *colon = memchr(operand, ':', length);
        const size_t name_length = colon ? (size_t)(colon - operand) : length;
        if (name_length == 0 || name_length > 100 || (colon && (size_t)(equals - colon) > 20))
            return hr_usage_error("serve", "'%s': NAME=MODEL or NAME:VERSION=MODEL is wanted",
                                  operand);
        snprintf(name, 128, "%.*s", (int)name_length, operand);
        if (colon)
            snprintf(version, 32, "%.*s", (int)(equals - colon) - 1, colon + 1);
    } else {
        name_of_source(name, source);
    }
    m->sources[m->count++] =
        (struct hr_model_source){ .name = name, .version = version, .source = source };
    return -1;
}

/* The only file of a folder, as KServe mounts a model; anything else is opened as it is. */
static hrnet_status open_model(void *context, const char *source, hrnet_model **out)
{
    const struct models *m = context;
    struct hr_names files = { 0 };
    int code = -1;
    if (hr_os_kind(source) == HR_OS_FOLDER && hr_os_walk(&files, source, true) == HR_OK &&
        files.count == 1)
        source = files.items[0];
    const hrnet_status status = hr_setup_open(out, m->args, source, false, &code);
    hr_names_fini(&files);
    return status;
}

/* ---- Options ---- */

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* *time is what --timeout and --timeout-of say. */
static int check_flags(const struct hr_args *args, struct hr_time_limits *time)
{
    const char *host = hr_arg_text(args, "host");
    *time = (struct hr_time_limits){ .seconds = hr_arg_real(args, "timeout") };
    if (hr_time_limits_parse(time, hr_arg_text(args, "timeout-of")) != HR_OK)
        return hr_usage_error("serve", "--timeout-of %s", hr_last_message());
    if (!hr_arg_switch(args, "public") && !is_loopback(host))
        return hr_usage_error("serve",
                              "--host %s can be reached by other machines: add --public if that "
                              "is meant, and think of --token-file and --tls-certificate",
                              host);
    if (!hr_arg_text(args, "tls-certificate") != !hr_arg_text(args, "tls-key"))
        return hr_usage_error("serve", "--tls-certificate and --tls-key go together");
    if (args->operand_count == 0 && !hr_arg_text(args, "repository"))
        return hr_usage_error("serve", "a MODEL or --repository is wanted");
    return -1;
}

static struct hr_limits limits_of(const struct hr_args *args, const struct hr_time_limits *time)
{
    return (struct hr_limits){
        .body_bytes = hr_arg_bytes(args, "max-body"),
        .all_body_bytes = hr_arg_bytes(args, "max-memory"),
        .header_bytes = hr_arg_bytes(args, "max-header"),
        .connections = (unsigned)hr_arg_count(args, "max-connections"),
        .connections_of_one = (unsigned)hr_arg_count(args, "max-connections-of-one"),
        .items = (size_t)hr_arg_count(args, "max-items"),
        .most_side = (int)hr_arg_count(args, "max-side"),
        .head_seconds = hr_arg_real(args, "head-timeout"),
        .body_seconds = hr_arg_real(args, "body-timeout"),
        .time = *time,
    };
}

static struct hr_lane_options lanes_of(const struct hr_args *args)
{
    const unsigned decoders = (unsigned)hr_arg_count(args, "decoders");
    return (struct hr_lane_options){
        .workers = (unsigned)hr_arg_count(args, "workers"),
        .session = hr_setup_session_options(args),
        .decoders = decoders ? decoders : hrnet_cpu_count(),
        .batch = (size_t)hr_arg_count(args, "batch"),
        .budget_seconds = hr_arg_real(args, "batch-budget"),
        .delay_seconds = hr_arg_text(args, "batch-delay") ? hr_arg_real(args, "batch-delay") : -1,
    };
}

static void say_address(const struct hr_args *args, const char *scheme, uint16_t port)
{
    const char *host = hr_arg_text(args, "host");
    const bool v6 = strchr(host, ':') != NULL;
    printf(" %s%s://%s%s%s:%u", scheme, hr_arg_text(args, "tls-certificate") ? "s" : "",
           v6 ? "[" : "", host, v6 ? "]" : "", port);
}

static void say_ready(void *context, uint16_t port, uint16_t grpc_port, uint16_t paddle_port)
{
    printf("listening on");
    say_address(context, "http", port);
    if (grpc_port)
        say_address(context, "grpc", grpc_port);
    if (paddle_port)
        say_address(context, "grpc", paddle_port);
    printf("\n");
    fflush(stdout);
}

/* Port 0 is any free one; the one above that as well. */
static int grpc_port_of(const struct hr_args *args)
{
    const int port = (int)hr_arg_count(args, "port");
    if (hr_arg_switch(args, "no-grpc"))
        return -1;
    return hr_arg_text(args, "grpc-port") ? (int)hr_arg_count(args, "grpc-port")
           : port                         ? (port + 1) % 65536
                                          : 0;
}

static struct hr_service_options service_of(struct models *models, const struct hr_args *args)
{
    const struct hr_lane_options lanes = lanes_of(args);
    return (struct hr_service_options){
        .limits = limits_of(args, &models->time),
        .registry = { .sources = models->sources,
                      .source_count = models->count,
                      .folder = hr_arg_text(args, "repository"),
                      .open = open_model,
                      .open_context = models,
                      .lanes = lanes },
        .batcher = { .workers = lanes.workers,
                     .decoders = lanes.decoders,
                     .queue_items = (size_t)hr_arg_count(args, "queue"),
                     .in_turns = lanes.workers == 1 && (lanes.session.threads == 0 ||
                                                        lanes.session.threads >= hrnet_cpu_count()),
                     .decode = hr_setup_decode(args) },
        .gate = { .token_file = hr_arg_text(args, "token-file"),
                  .rate = hr_arg_real(args, "rate"),
                  .burst = hr_arg_real(args, "burst") },
        .log_path = hr_arg_text(args, "access-log"),
        .cors_origin = hr_arg_text(args, "cors"),
        .may_load = hr_arg_switch(args, "allow-load"),
        .triton_metrics = hr_arg_switch(args, "triton-metrics"),
    };
}

static void fill_options(struct hr_server_options *o, struct models *models,
                         const struct hr_args *args)
{
    *o = (struct hr_server_options){
        .http = { .host = hr_arg_text(args, "host"),
                  .port = (uint16_t)hr_arg_count(args, "port"),
                  .certificate_file = hr_arg_text(args, "tls-certificate"),
                  .key_file = hr_arg_text(args, "tls-key") },
        .grpc_port = grpc_port_of(args),
        .paddle_port =
            hr_arg_text(args, "paddle-port") ? (int)hr_arg_count(args, "paddle-port") : -1,
        .service = service_of(models, args),
        .drain_seconds = hr_arg_real(args, "drain"),
        .finish_seconds = hr_arg_real(args, "finish"),
        .ready = say_ready,
        .context = (void *)(uintptr_t)args,
    };
}

static enum hr_status run_server(const struct hr_server_options *options)
{
#if HRNET_SERVE
    return hr_server_run(options);
#else
    (void)options;
    return hr_fail(HR_E_UNSUPPORTED,
                   "this build has no server: it was configured with HRNET_SERVE=OFF");
#endif
}

static int serve(const struct hr_args *args)
{
    struct hr_server_options options;
    struct models *models = hr_mem_alloc(1, sizeof *models);
    int code = models ? check_flags(args, &models->time) : hr_report(HRNET_E_MEMORY);
    for (int i = 0; i < args->operand_count && code < 0; i++)
        code = parse_model(models, args->operands[i]);
    if (code < 0) {
        models->args = args;
        fill_options(&options, models, args);
        const enum hr_status status = run_server(&options);
        code = status == HR_OK ? 0 : hr_report((int)status);
    }
    hr_mem_free(models);
    return code;
}

static const struct hr_flag *const groups[] = { flags,           hr_model_flags,
                                                hr_recipe_flags, hr_session_flags,
                                                hr_decode_flags, NULL };

const struct hr_command hr_command_serve = {
    .name = "serve",
    .operands = "[[NAME[:VERSION]=]MODEL...]",
    .takes = HR_FLAG_MODEL,
    .summary = "answer requests over HTTP and gRPC",
    .examples = "hrnet serve HRNet_W18_C_ssld          # then open http://127.0.0.1:8000\n"
                "curl --data-binary @cat.jpg http://127.0.0.1:8000/v1/classify\n"
                "hrnet serve cats=cats.safetensors dogs:3=dogs.onnx --port 9000\n"
                "hrnet serve --repository models/ --host 0.0.0.0 --public --token-file tokens",
    .groups = groups,
    .least_operands = 0,
    .most_operands = -1,
    .run = serve,
};
