/* SPDX-License-Identifier: Apache-2.0
 * Named tensors to requests and back: every shape and size that does not fit, products that would
 * overflow, and the answers' forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "hostile.h"
#include "serve/oip.h"
#include "small_service.h"

static struct hr_service *service;
static float x[SMALL_FLOATS], logits[SMALL_CLASSES];

static int set_up(void **state)
{
    (void)state;
    service = small_service_start(NULL);
    small_input("oip", x);
    small_logits(service, x, logits);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    small_service_stop(service);
    return 0;
}

static struct hr_oip_input tensor(const char *datatype, size_t rank, const int64_t *shape,
                                  const void *data, size_t size)
{
    struct hr_oip_input in = {
        .name = "x", .datatype = datatype, .rank = rank, .data = data, .size = size
    };
    memcpy(in.shape, shape, (rank < HR_OIP_MOST_RANK ? rank : HR_OIP_MOST_RANK) * sizeof *shape);
    return in;
}

static struct hr_oip_input good_tensor(void)
{
    static const int64_t shape[] = { 1, 3, SMALL_SIDE, SMALL_SIDE };
    return tensor("FP32", 4, shape, x, sizeof x);
}

static enum hr_status begin(const struct hr_oip_input *in)
{
    struct hr_oip_infer infer = { 0 };
    const struct hr_oip_question question = { .inputs = in, .input_count = 1 };
    const enum hr_status status = hr_oip_begin(&infer, service, &question);
    hr_oip_fini(&infer);
    return status;
}

/* ---- What does not fit ---- */

#define LARGE ((int64_t)1 << 62)

static void shapes_that_do_not_fit_are_refused(void **state)
{
    static const struct {
        const char *datatype;
        size_t rank;
        int64_t shape[HR_OIP_MOST_RANK];
        size_t size;
        enum hr_status status;
    } cases[] = {
        { "FP32", 4, { 1, 3, 32, 32 }, sizeof x, HR_OK },
        { "FP32", 4, { 1, 3, 32, 32 }, sizeof x - 1, HR_E_SHAPE },
        { "FP32", 4, { 1, 3, 32, 32 }, sizeof x - 4, HR_E_SHAPE },
        { "FP32", 4, { 1, 3, 32, 31 }, sizeof x, HR_E_SHAPE },
        { "FP32", 4, { 2, 3, 32, 32 }, sizeof x, HR_E_SHAPE },
        { "FP32", 4, { 0, 3, 32, 32 }, 0, HR_E_SHAPE },
        { "FP32", 4, { -1, 3, 32, 32 }, sizeof x, HR_E_SHAPE },
        { "FP32", 4, { 1, -3, -32, 32 }, sizeof x, HR_E_SHAPE }, /* their product fits */
        { "FP32", 4, { 1, 1, 96, 32 }, sizeof x, HR_E_SHAPE },
        { "FP32", 3, { 3, 32, 32 }, sizeof x, HR_E_SHAPE },
        { "FP32", 5, { 1, 1, 3, 32, 32 }, sizeof x, HR_E_SHAPE },
        { "FP32", 0, { 0 }, 0, HR_E_SHAPE },
        { "FP32", 9, { 1, 3, 32, 32, 1, 1, 1, 1 }, sizeof x, HR_E_SHAPE },
        { "FP32", 4, { 1, 3, LARGE, LARGE }, 0, HR_E_SHAPE }, /* over 2^64 */
        { "FP32", 4, { 1, 3, LARGE, 4 }, sizeof x, HR_E_SHAPE },
        { "FP32", 2, { 4, LARGE }, 0, HR_E_SHAPE },      /* four bytes each: 2^66 */
        { "FP32", 4, { 9, 3, 1, 1 }, 108, HR_E_LIMIT },  /* rows */
        { "FP32", 4, { 1, 3, 1, 65 }, 780, HR_E_LIMIT }, /* px */
        { "FP32", 4, { 1, 3, 65, 1 }, 780, HR_E_LIMIT },
        { "UINT8", 4, { 1, 64, 64, 3 }, sizeof x, HR_OK },
        { "UINT8", 4, { 1, 64, 64, 3 }, sizeof x - 1, HR_E_SHAPE },
        { "UINT8", 4, { 1, 3, 64, 64 }, sizeof x, HR_E_SHAPE },
        { "UINT8", 2, { 1, 12288 }, sizeof x, HR_E_SHAPE },
        { "UINT8", 4, { 1, LARGE, LARGE, 16 }, 0, HR_E_SHAPE },
        { "FP64", 4, { 1, 3, 32, 32 }, 2 * sizeof x, HR_E_ARGUMENT },
        { "INT8", 4, { 1, 3, 32, 32 }, SMALL_FLOATS, HR_E_ARGUMENT },
        { "", 4, { 1, 3, 32, 32 }, sizeof x, HR_E_ARGUMENT },
        { "fp32", 4, { 1, 3, 32, 32 }, sizeof x, HR_E_ARGUMENT },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        const struct hr_oip_input in =
            tensor(cases[i].datatype, cases[i].rank, cases[i].shape, x, cases[i].size);
        const enum hr_status status = begin(&in);
        if (status != cases[i].status)
            fail_msg("case %zu: %d, not %d: %s", i, status, cases[i].status, hr_last_message());
    }
}

static void names_that_there_are_not_are_refused(void **state)
{
    struct hr_oip_input in[2] = { good_tensor(), good_tensor() };
    struct hr_oip_wanted wanted[9] = { { .name = "softmax" } };
    struct hr_oip_question questions[] = {
        { .inputs = in, .input_count = 2 },
        { .inputs = in, .input_count = 0 },
        { .inputs = in, .input_count = 1, .wanted = wanted, .wanted_count = 1 },
        { .inputs = in, .input_count = 1, .wanted = wanted, .wanted_count = 9 },
        { .inputs = in, .input_count = 1, .model = "other" },
        { .inputs = in, .input_count = 1, .version = "2" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(questions); i++) {
        struct hr_oip_infer infer = { 0 };
        assert_int_equal(hr_oip_begin(&infer, service, &questions[i]),
                         i < 4 ? HR_E_ARGUMENT : HR_E_NOT_FOUND);
        hr_oip_fini(&infer);
    }
    in[0].name = "input";
    assert_int_equal(begin(in), HR_E_ARGUMENT);
    assert_non_null(strstr(hr_last_message(), "'x'"));
}

/* ---- BYTES ---- */

/* Whether an input of that shape takes these bytes; from a block of just their size. */
struct bytes_case {
    size_t rank;
    int64_t shape[2];
    enum hr_status status;
};

static void take_bytes(void *context, const uint8_t *data, size_t size)
{
    struct bytes_case *c = context;
    const struct hr_oip_input in = tensor("BYTES", c->rank, c->shape, data, size);
    c->status = begin(&in);
}

static void elements_of_bytes_fill_their_data(void **state)
{
    static const uint8_t two[] = { 2, 0, 0, 0, 'a', 'b', 0, 0, 0, 0 };
    static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 'a' };
    static const struct {
        const uint8_t *data;
        size_t size, rank;
        int64_t shape[2];
        enum hr_status status;
    } cases[] = {
        { two, 10, 1, { 2 }, HR_OK },       { two, 10, 2, { 2, 1 }, HR_OK },
        { two, 6, 1, { 1 }, HR_OK },        { two, 10, 1, { 1 }, HR_E_FORMAT },
        { two, 10, 1, { 3 }, HR_E_FORMAT }, { two, 10, 2, { 1, 2 }, HR_E_SHAPE },
        { two, 5, 1, { 1 }, HR_E_FORMAT },  { two, 3, 1, { 1 }, HR_E_FORMAT },
        { two, 0, 1, { 1 }, HR_E_FORMAT },  { huge, 5, 1, { 1 }, HR_E_FORMAT },
        { two, 10, 1, { 9 }, HR_E_LIMIT },  { two, 10, 1, { LARGE }, HR_E_LIMIT },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct bytes_case c = { cases[i].rank, { cases[i].shape[0], cases[i].shape[1] }, HR_OK };
        hostile_copy(cases[i].data, cases[i].size, take_bytes, &c);
        if (c.status != cases[i].status)
            fail_msg("case %zu: %d: %s", i, c.status, hr_last_message());
    }
}

/* ---- Answers ---- */

static void run(struct hr_oip_infer *infer, const struct hr_oip_question *question)
{
    if (hr_oip_begin(infer, service, question) != HR_OK ||
        hr_batcher_run(service->batcher, &infer->request) != HR_OK ||
        hr_oip_answer(infer, question) != HR_OK)
        fail_msg("%s", hr_last_message());
}

static void the_declared_output_is_the_sessions(void **state)
{
    const struct hr_oip_input in = good_tensor();
    const struct hr_oip_question question = { .inputs = &in, .input_count = 1, .binary = true };
    struct hr_oip_infer infer = { 0 };
    (void)state;
    run(&infer, &question);
    assert_int_equal(infer.output_count, 1);
    const struct hr_oip_output *o = &infer.outputs[0];
    assert_string_equal(o->name, "logits");
    assert_string_equal(o->datatype, "FP32");
    assert_true(o->shape[0] == 1 && o->shape[1] == SMALL_CLASSES && o->binary);
    assert_int_equal(o->size, sizeof logits);
    assert_memory_equal(o->data, logits, sizeof logits);
    hr_oip_fini(&infer);
}

/* "value:index" of BYTES: the index of an element. */
static size_t index_of(const uint8_t **at, char text[64])
{
    const size_t length = hr_load_u32le(*at);
    assert_true(length < 64);
    memcpy(text, *at + 4, length);
    text[length] = '\0';
    *at += 4 + length;
    return (size_t)atol(strchr(text, ':') + 1);
}

static void classes_come_best_first(void **state)
{
    const struct hr_oip_input in = good_tensor();
    const struct hr_oip_wanted wanted[] = { { .name = "logits", .classification = 2 },
                                            { .name = "probabilities", .classification = 99 },
                                            { .name = "probabilities" } };
    const struct hr_oip_question question = {
        .inputs = &in, .input_count = 1, .wanted = wanted, .wanted_count = HR_COUNT(wanted)
    };
    struct hr_oip_infer infer = { 0 };
    size_t order[SMALL_CLASSES];
    char text[64], want[64];
    float scores[SMALL_CLASSES], sum = 0;
    (void)state;
    run(&infer, &question);
    assert_int_equal(infer.output_count, 3);
    hrnet_top_k(logits, SMALL_CLASSES, SMALL_CLASSES, order);
    const uint8_t *at = infer.outputs[0].data;
    assert_int_equal(infer.outputs[0].shape[1], 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(index_of(&at, text), order[i]);
        snprintf(want, sizeof want, "%f:%zu", (double)logits[order[i]], order[i]);
        assert_string_equal(text, want); /* no label, no colon behind */
    }
    assert_ptr_equal(at, infer.outputs[0].data + infer.outputs[0].size);
    at = infer.outputs[1].data; /* as many as there are */
    assert_int_equal(infer.outputs[1].shape[1], SMALL_CLASSES);
    for (size_t i = 0; i < SMALL_CLASSES; i++)
        assert_int_equal(index_of(&at, text), order[i]);
    memcpy(scores, infer.outputs[2].data, sizeof scores);
    for (size_t i = 0; i < SMALL_CLASSES; i++)
        sum += scores[i];
    assert_true(sum > 0.9999f && sum < 1.0001f);
    hr_oip_fini(&infer);
}

static void a_failed_row_fails_the_answer(void **state)
{
    static const uint8_t rows[] = { 4, 0, 0, 0, 'j', 'u', 'n', 'k' };
    const struct hr_oip_input in = tensor("BYTES", 1, (const int64_t[]){ 1 }, rows, sizeof rows);
    const struct hr_oip_question question = { .inputs = &in, .input_count = 1 };
    struct hr_oip_infer infer = { 0 };
    (void)state;
    assert_int_equal(hr_oip_begin(&infer, service, &question), HR_OK);
    assert_int_equal(hr_batcher_run(service->batcher, &infer.request), HR_OK);
    assert_int_equal(hr_oip_answer(&infer, &question), HR_E_FORMAT);
    assert_int_equal(infer.output_count, 0);
    hr_oip_fini(&infer);
}

static void without_memory_nothing_is_left(void **state)
{
    const struct hr_oip_input in = good_tensor();
    const struct hr_oip_wanted wanted[] = { { .name = "logits", .classification = 2 },
                                            { .name = "probabilities" } };
    const struct hr_oip_question question = {
        .inputs = &in, .input_count = 1, .wanted = wanted, .wanted_count = HR_COUNT(wanted)
    };
    bool failed = true;
    (void)state;
    for (unsigned n = 0; failed; n++) {
        struct hr_oip_infer infer = { 0 };
        hostile_memory_fail(n);
        enum hr_status status = hr_oip_begin(&infer, service, &question);
        for (size_t i = 0; status == HR_OK && i < SMALL_CLASSES; i++)
            infer.logits[i] = logits[i]; /* not run: other threads' memory would count */
        if (status == HR_OK)
            status = hr_oip_answer(&infer, &question);
        hr_oip_fini(&infer);
        assert_int_equal(hostile_memory_held(), 0);
        failed = hostile_memory_restore();
        assert_int_equal(status, failed ? HR_E_MEMORY : HR_OK);
    }
}

static void a_time_limit_is_taken(void **state)
{
    static const uint64_t asked_us[] = { 0, 1000000, 3600000000, UINT64_MAX };
    static const uint64_t seconds[] = { 0, 1, 3600, 0 };
    const struct hr_oip_input in = good_tensor();
    (void)state;
    for (size_t i = 0; i < HR_COUNT(asked_us); i++) {
        struct hr_oip_infer infer = { 0 };
        const struct hr_oip_question question = { .inputs = &in,
                                                  .input_count = 1,
                                                  .timeout_us = asked_us[i] };
        const uint64_t before_ns = hr_os_now_ns();
        assert_int_equal(hr_oip_begin(&infer, service, &question), HR_OK);
        const uint64_t asked_ns = seconds[i] * 1000000000;
        if (seconds[i] == 0)
            assert_int_equal(infer.request.deadline_ns, 0);
        else
            assert_in_range(infer.request.deadline_ns, before_ns + asked_ns,
                            hr_os_now_ns() + asked_ns);
        hr_oip_fini(&infer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
        cmocka_unit_test(names_that_there_are_not_are_refused),
        cmocka_unit_test(elements_of_bytes_fill_their_data),
        cmocka_unit_test(the_declared_output_is_the_sessions),
        cmocka_unit_test(classes_come_best_first),
        cmocka_unit_test(a_failed_row_fails_the_answer),
        cmocka_unit_test(without_memory_nothing_is_left),
        cmocka_unit_test(a_time_limit_is_taken),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
