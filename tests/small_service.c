/* SPDX-License-Identifier: Apache-2.0 */
#include "small_service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "asking.h"
#include "base/mem.h"
#include "serve/json_memory.h"

hrnet_status small_open(void *context, const char *source, hrnet_model **out)
{
    struct hrnet_model_options options;
    struct hrnet_recipe recipe;
    if (strcmp(source, "bad") == 0)
        return (hrnet_status)hr_fail(HR_E_FORMAT, "/secret/folder/bad: is damaged");
    assert_int_equal(hrnet_recipe_named("opencv", &recipe), HRNET_OK);
    recipe.resize_short = SMALL_SIDE;
    recipe.crop_width = recipe.crop_height = SMALL_SIDE;
    hrnet_model_options_init(&options, sizeof options);
    options.classes = atoi(source);
    options.recipe = &recipe;
    options.labels_path = context;
    return hrnet_model_synthetic(out, "hrnet_w18_small", &options);
}

void small_service_options(struct hr_service_options *o)
{
    static const struct hr_model_source source = { "m", "1", "5" };
    *o = (struct hr_service_options){
        .limits = { .body_bytes = 1 << 20,
                    .all_body_bytes = 8 << 20,
                    .header_bytes = 16 << 10,
                    .connections = 16,
                    .items = 8,
                    .most_side = 64,
                    .head_seconds = 20,
                    .body_seconds = 20,
                    .time = { .seconds = 20 } },
        .registry = { .sources = &source, .source_count = 1, .open = small_open },
        .batcher = { .workers = 1, .decoders = 1, .queue_items = 64 },
    };
    struct hr_lane_options *lanes = &o->registry.lanes;
    *lanes = (struct hr_lane_options){ .workers = 1, .batch = SMALL_BATCH, .decoders = 1 };
    hrnet_session_options_init(&lanes->session, sizeof lanes->session);
    lanes->session.threads = 1;
    hrnet_decode_options_init(&o->batcher.decode, sizeof o->batcher.decode);
}

const struct hr_model_source small_versions[3] = { { "m", "1", "5" },
                                                   { "m", "2", "6" },
                                                   { "x", "1", "4" } };

void small_service_versions(struct hr_service_options *options)
{
    small_service_options(options);
    options->registry.sources = small_versions;
    options->registry.source_count = HR_COUNT(small_versions);
    options->registry.lanes.delay_seconds = 0.000002;
}

struct hr_service *small_service_start(const struct hr_service_options *options)
{
    struct hr_service_options usual;
    struct hr_service *service = hr_mem_alloc(1, sizeof *service);
    assert_non_null(service);
    small_service_options(&usual);
    hr_json_memory_install();
    if (hr_service_open(service, options ? options : &usual) != HR_OK ||
        hr_registry_load_all(service->registry) != HR_OK)
        fail_msg("%s", hr_last_message());
    atomic_store(&service->state, HR_SERVICE_READY);
    return service;
}

/* Static, since the frame of a test that failed is gone. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned long rounds;
} holding = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

unsigned long small_round(void)
{
    pthread_mutex_lock(&holding.mutex);
    const unsigned long round = holding.rounds;
    pthread_mutex_unlock(&holding.mutex);
    return round;
}

void small_hold(unsigned long round)
{
    pthread_mutex_lock(&holding.mutex);
    while (holding.rounds == round)
        pthread_cond_wait(&holding.changed, &holding.mutex);
    pthread_mutex_unlock(&holding.mutex);
}

void small_let_go(void)
{
    pthread_mutex_lock(&holding.mutex);
    holding.rounds++;
    pthread_cond_broadcast(&holding.changed);
    pthread_mutex_unlock(&holding.mutex);
}

void small_service_stop(struct hr_service *service)
{
    small_let_go();
    hr_service_close(service);
    hr_mem_free(service);
}

/* ---- Answers, by another way ---- */

void small_input(const char *name, float x[SMALL_FLOATS])
{
    hrnet_synthetic_input(name, SMALL_FLOATS, x);
}

void small_logits(struct hr_service *service, const float x[SMALL_FLOATS],
                  float logits[SMALL_CLASSES])
{
    struct hr_served *served = NULL;
    struct hrnet_session_options options;
    hrnet_session *session = NULL;
    assert_int_equal(hr_registry_find(service->registry, &served, "m", NULL), HR_OK);
    hrnet_session_options_init(&options, sizeof options);
    options.threads = 1;
    options.height = options.width = SMALL_SIDE;
    assert_int_equal(hrnet_session_create(&session, served->model, &options), HRNET_OK);
    assert_int_equal(hrnet_session_run(session, x, 1, logits), HRNET_OK);
    hrnet_session_destroy(session);
    hr_served_release(served);
}

void small_picture_logits(struct hr_service *service, struct hr_span picture,
                          float logits[SMALL_CLASSES])
{
    float x[SMALL_FLOATS];
    struct hr_served *served = NULL;
    assert_int_equal(hr_registry_find(service->registry, &served, "m", NULL), HR_OK);
    assert_int_equal(hrnet_preprocess_memory(&served->recipe, picture.data, picture.size, "picture",
                                             hr_batcher_decode_options(service->batcher), x, NULL),
                     HRNET_OK);
    hr_served_release(served);
    small_logits(service, x, logits);
}

void small_scores(struct hr_service *service, const float logits[SMALL_CLASSES],
                  float scores[SMALL_CLASSES])
{
    struct hr_served *served = NULL;
    assert_int_equal(hr_registry_find(service->registry, &served, "m", NULL), HR_OK);
    hrnet_model_scores(served->model, logits, scores);
    hr_served_release(served);
}

/* ---- Requests over HTTP ---- */

static struct small_answer ask(struct hr_service *service, const char *head, const void *body,
                               size_t size, bool leaves)
{
    struct asking asking = { .leaves = leaves };
    struct hr_call call;
    struct hr_buffer text = { 0 };
    size_t used;
    hr_buffer_put(&text, head, strlen(head));
    hr_buffer_put(&text, "\n\n", 2);
    assert_true(asking_read(&asking, text.data, text.size, &used));
    hr_buffer_fini(&text);
    const bool met = asking_route(&asking, &call, service, body, size);
    assert_false(asking.attended);
    struct small_answer answer = { .code = !met        ? call.allowed[0] ? 405 : 404
                                           : call.code ? call.code
                                                       : 200,
                                   .type = call.content_type,
                                   .size = call.answer.size,
                                   .json_bytes = call.json_bytes,
                                   .retry_seconds = call.retry_seconds };
    hr_buffer_put(&call.answer, "", 1);
    answer.buffer = call.answer;
    answer.bytes = answer.buffer.data;
    const size_t json_bytes = answer.json_bytes ? answer.json_bytes : answer.size;
    if ((!answer.type || answer.json_bytes || strcmp(answer.type, "application/json") == 0) && met)
        answer.json = json_loadb((const char *)answer.bytes, json_bytes, 0, NULL);
    return answer;
}

struct small_answer small_ask(struct hr_service *service, const char *head, const void *body,
                              size_t size)
{
    return ask(service, head, body, size, false);
}

struct small_answer small_ask_and_leave(struct hr_service *service, const char *head,
                                        const void *body, size_t size)
{
    return ask(service, head, body, size, true);
}

void small_answer_fini(struct small_answer *answer)
{
    json_decref(answer->json);
    hr_buffer_fini(&answer->buffer);
}

void small_refuses(struct hr_service *service, const char *head, const char *body, int code,
                   const char *word)
{
    struct small_answer answer = small_ask(service, head, body, strlen(body));
    const char *error = json_string_value(json_object_get(answer.json, "error"));
    if (answer.code != code || !error || !strstr(error, word))
        fail_msg("%s: %d %s, not %d ...%s...", head, answer.code, (const char *)answer.bytes, code,
                 word);
    small_answer_fini(&answer);
}
