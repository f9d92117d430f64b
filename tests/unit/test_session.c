/* SPDX-License-Identifier: Apache-2.0
 * Sessions: refusals before anything is planned, runs that allocate nothing and leave the caller's
 * floating-point state alone, memory as foretold; and the order of answers. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "session/session.h"

/* ---- Answers -------------------------------------------------------------------------------- */

static void equal_values_rank_by_index(void **state)
{
    (void)state;
    const float values[] = { 1, 3, 2, 3, NAN, 3, -INFINITY };
    size_t index[7] = { 0 };
    assert_int_equal(hr_top_k(index, 4, values, 7), 4);
    assert_memory_equal(index, ((size_t[]){ 1, 3, 5, 2 }), 4 * sizeof *index);
    assert_int_equal(hr_top_k(index, 100, values, 7), 7);
    assert_memory_equal(index, ((size_t[]){ 1, 3, 5, 2, 0, 6, 4 }), 7 * sizeof *index);
    assert_int_equal(hr_top_k(index, 0, values, 7), 0);
    assert_int_equal(hr_top_k(index, 3, values, 0), 0);
}

static void top_k_is_the_head_of_a_sort(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    float values[COUNT];
    size_t all[COUNT], some[COUNT];
    for (uint32_t seed = 1; seed <= 50; seed++) {
        uint32_t random = seed;
        for (size_t i = 0; i < COUNT; i++) {
            random = random * 1664525u + 1013904223u;
            values[i] = (float)(random >> 27); /* many ties */
        }
        assert_int_equal(hr_top_k(all, COUNT, values, COUNT), COUNT);
        for (size_t i = 1; i < COUNT; i++)
            assert_true(values[all[i - 1]] > values[all[i]] ||
                        (values[all[i - 1]] == values[all[i]] && all[i - 1] < all[i]));
        for (size_t k = 1; k < COUNT; k += 7) {
            assert_int_equal(hr_top_k(some, k, values, COUNT), k);
            assert_memory_equal(some, all, k * sizeof *some);
        }
    }
}

static void softmax_sums_to_one_and_survives_large_logits(void **state)
{
    (void)state;
    float p[] = { 1000, 999, 1000, -1000 };
    hr_softmax(p, p, 4);
    const double e = exp(-1.0);
    assert_true(fabs((double)p[0] - 1 / (2 + e)) < 1e-6);
    assert_true(p[0] == p[2]);
    assert_true(fabs((double)p[1] - e / (2 + e)) < 1e-6);
    assert_true(p[3] == 0.0f);
}

/* ---- Sessions ------------------------------------------------------------------------------- */

enum { SIDE = 64, CLASSES = 10, BATCH = 2, IMAGE = 3 * SIDE * SIDE };

struct fixture {
    struct hr_model *model;
    struct hr_packs *packs;
    float x[BATCH * IMAGE];
};

static int set_up(void **state)
{
    static struct fixture f;
    const struct hr_zoo_row *row;
    struct hr_store *store;
    const struct hr_model_options options = { 0 };
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    assert_int_equal(hr_synthetic_weights(&store, row, CLASSES), HR_OK);
    if (hr_model_from_store(&f.model, store, "synthetic", &options) != HR_OK)
        fail_msg("%s", hr_last_message());
    assert_int_equal(hr_packs_create(&f.packs, hr_model_weights(f.model)), HR_OK);
    hr_synthetic_fill(f.x, HR_COUNT(f.x), "session");
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    hr_packs_destroy(f->packs);
    hr_model_unref(f->model);
    return 0;
}

static struct hr_session_options options_of(unsigned threads, int64_t side)
{
    return (struct hr_session_options){
        .threads = threads, .batch = BATCH, .height = side, .width = side, .cpu_flags = ~0u
    };
}

static struct hr_session *session_of(const struct fixture *f, unsigned threads)
{
    struct hr_session *session = NULL;
    const struct hr_session_options options = options_of(threads, SIDE);
    if (hr_session_create(&session, f->model, f->packs, &options) != HR_OK)
        fail_msg("%s", hr_last_message());
    return session;
}

static void illegal_sizes_are_refused_with_the_nearest(void **state)
{
    const struct fixture *f = *state;
    struct hr_session *session = NULL;
    const struct hr_session_options options = options_of(1, 225);
    assert_int_equal(hr_session_create(&session, f->model, f->packs, &options), HR_E_SHAPE);
    assert_null(session);
    assert_non_null(strstr(hr_last_message(), "224"));
    assert_non_null(strstr(hr_last_message(), "253"));
    struct hr_session_options none = options_of(1, SIDE);
    none.batch = 0;
    assert_int_equal(hr_session_create(&session, f->model, f->packs, &none), HR_E_ARGUMENT);
}

static void unknown_features_are_named(void **state)
{
    const struct fixture *f = *state;
    struct hr_session *session = NULL;
    const char *const wanted[] = { "stage9.7" };
    struct hr_session_options options = options_of(1, SIDE);
    options.features = wanted;
    options.feature_count = 1;
    assert_int_equal(hr_session_create(&session, f->model, f->packs, &options), HR_E_NOT_FOUND);
    assert_non_null(strstr(hr_last_message(), "stage9.7"));
}

static char notice[256];

static void keep_notice(void *context, enum hr_log_level level, const char *message)
{
    (void)context;
    (void)level;
    strncpy(notice, message, sizeof notice - 1);
}

static void too_many_threads_are_clamped_with_a_notice(void **state)
{
    const unsigned have = hr_cpu_count();
    notice[0] = 0;
    hr_log_set(keep_notice, NULL);
    struct hr_session *session = session_of(*state, 0);
    assert_int_equal(hr_session_threads(session), have);
    assert_string_equal(notice, "");
    hr_session_destroy(session);
    session = session_of(*state, have + 7);
    hr_log_set(NULL, NULL);
    assert_int_equal(hr_session_threads(session), have);
    assert_non_null(strstr(notice, "threads"));
    hr_session_destroy(session);
}

static bool denormals_live(void)
{
    volatile float tiny = FLT_MIN;
    tiny *= 0.5f;
    return tiny != 0.0f;
}

static void the_floating_point_state_is_the_callers(void **state)
{
    const struct fixture *f = *state;
    float logits[BATCH * CLASSES];
    struct hr_session *session = session_of(f, 2);
    assert_true(denormals_live());
    hr_session_run(session, f->x, BATCH, logits);
    assert_true(denormals_live());
    hr_session_destroy(session);
}

/* ---- Memory --------------------------------------------------------------------------------- */

static size_t live_bytes; /* asked for and not given back */
static bool refuse;

static void *counting_allocate(void *context, size_t bytes, size_t align)
{
    (void)context;
    const size_t head = align > sizeof(size_t) ? align : sizeof(size_t);
    uint8_t *block = refuse ? NULL : aligned_alloc(align, hr_round_up(head + bytes, align));
    if (!block)
        return NULL;
    memcpy(block + head - sizeof bytes, &bytes, sizeof bytes);
    memcpy(block + head - 2 * sizeof bytes, &head, sizeof head);
    __atomic_add_fetch(&live_bytes, bytes, __ATOMIC_RELAXED);
    return block + head;
}

static void counting_release(void *context, void *block)
{
    size_t bytes, head;
    (void)context;
    if (!block)
        return;
    memcpy(&bytes, (uint8_t *)block - sizeof bytes, sizeof bytes);
    memcpy(&head, (uint8_t *)block - 2 * sizeof bytes, sizeof head);
    __atomic_sub_fetch(&live_bytes, bytes, __ATOMIC_RELAXED);
    free((uint8_t *)block - head);
}

static void memory_is_foretold_and_runs_take_none(void **state)
{
    const struct fixture *f = *state;
    float logits[BATCH * CLASSES], again[BATCH * CLASSES];
    const struct hr_allocator counting = { counting_allocate, counting_release, NULL };
    hr_mem_set_allocator(&counting);
    struct hr_packs *packs = NULL;
    struct hr_session *session = NULL;
    const struct hr_session_options options = options_of(2, SIDE);
    assert_int_equal(hr_packs_create(&packs, hr_model_weights(f->model)), HR_OK);
    assert_int_equal(hr_session_create(&session, f->model, packs, &options), HR_OK);
    const double foretold = (double)hr_session_bytes(session), really = (double)live_bytes;
    refuse = true;
    hr_session_run(session, f->x, BATCH, logits);
    hr_session_run(session, f->x, BATCH, again);
    refuse = false;
    hr_session_destroy(session);
    hr_packs_destroy(packs);
    const size_t left = live_bytes;
    hr_mem_set_allocator(&(struct hr_allocator){ 0 });
    assert_memory_equal(logits, again, sizeof logits);
    assert_true(fabs(really - foretold) <= 0.1 * foretold);
    assert_int_equal(left, 0);
}

/* Whether kernels of this machine's CPU are there to choose from: plain ones come in one form. */
static bool has_choice(const struct hr_session *session)
{
    return strcmp(hr_session_isa(session), "baseline") != 0;
}

/* At 128x128, where planes are large enough for both kinds of kernel. */
static void lean_memory_takes_less_and_answers_alike(void **state)
{
    const struct fixture *f = *state;
    float logits[2][BATCH * CLASSES], largest = 0;
    size_t bytes[2];
    bool choice = false;
    for (int lean = 0; lean < 2; lean++) {
        struct hr_session_options options = options_of(1, 2 * SIDE);
        struct hr_session *session = NULL;
        static float x[BATCH * IMAGE * 4];
        hr_synthetic_fill(x, HR_COUNT(x), "lean");
        options.lean_memory = lean;
        assert_int_equal(hr_session_create(&session, f->model, f->packs, &options), HR_OK);
        bytes[lean] = hr_plan_memory(hr_session_plan(session)).weight_bytes;
        choice = has_choice(session);
        hr_session_run(session, x, BATCH, logits[lean]);
        hr_session_destroy(session);
    }
    assert_true(choice ? bytes[1] < bytes[0] : bytes[1] == bytes[0]);
    for (size_t i = 0; i < BATCH * CLASSES; i++)
        largest = fmaxf(largest, fabsf(logits[0][i]));
    for (size_t i = 0; i < BATCH * CLASSES; i++)
        assert_true(fabsf(logits[0][i] - logits[1][i]) <= 5e-4f * largest);
}

/* Positions and part batches of one session still agree; beside kernels for one image, within
 * what Winograd may differ. */
static void bits_of_a_batch_are_its_own(void **state)
{
    enum { COUNT = 8 };
    const struct fixture *f = *state;
    float *const x = calloc(COUNT * IMAGE, sizeof *x), largest = 0;
    float logits[2][COUNT * CLASSES], alone[CLASSES];
    struct hr_session *session[2] = { NULL, NULL };
    assert_non_null(x);
    hr_synthetic_fill(x, COUNT * IMAGE, "bits");
    memcpy(x + (COUNT - 1) * IMAGE, x, IMAGE * sizeof *x);
    for (int i = 0; i < 2; i++) {
        struct hr_session_options options = options_of(2, SIDE);
        options.batch = COUNT;
        options.bits_of_batch = i;
        assert_int_equal(hr_session_create(&session[i], f->model, f->packs, &options), HR_OK);
        hr_session_run(session[i], x, COUNT, logits[i]);
    }
    const bool others = hr_plan_memory(hr_session_plan(session[0])).weight_bytes !=
                        hr_plan_memory(hr_session_plan(session[1])).weight_bytes;
    assert_int_equal(others, has_choice(session[0])); /* other kernels */
    assert_memory_equal(logits[1], logits[1] + (COUNT - 1) * CLASSES, sizeof alone);
    hr_session_run(session[1], x, 1, alone);
    assert_memory_equal(alone, logits[1], sizeof alone);
    for (size_t i = 0; i < COUNT * CLASSES; i++)
        largest = fmaxf(largest, fabsf(logits[0][i]));
    for (size_t i = 0; i < COUNT * CLASSES; i++)
        assert_true(fabsf(logits[0][i] - logits[1][i]) <= 5e-4f * largest);
    hr_session_destroy(session[0]);
    hr_session_destroy(session[1]);
    free(x);
}

static void count_steps(void *context, size_t step, uint64_t nanoseconds)
{
    (void)nanoseconds;
    assert_int_equal(step, (*(size_t *)context)++);
}

static void features_and_profiles_belong_to_the_run(void **state)
{
    const struct fixture *f = *state;
    const char *const wanted[] = { "pool", "stage2.1" };
    struct hr_session_options options = options_of(2, SIDE);
    struct hr_session *session = NULL;
    float logits[BATCH * CLASSES], plain[BATCH * CLASSES];
    static float pool[BATCH * 2048], one[BATCH * 2048];
    size_t steps = 0;
    options.features = wanted;
    options.feature_count = HR_COUNT(wanted);
    assert_int_equal(hr_session_create(&session, f->model, f->packs, &options), HR_OK);
    const struct hr_plan *plan = hr_session_plan(session);
    hr_session_profile(session, f->x, BATCH, logits, count_steps, &steps);
    assert_int_equal(steps, hr_plan_step_count(plan));
    const struct hr_shape *shape = hr_plan_feature_shape(plan, 0);
    assert_int_equal(shape->rank, 2);
    assert_int_equal(shape->dim[1], 2048);
    hr_session_feature(session, BATCH, 0, pool);
    hr_session_run(session, f->x + IMAGE, 1, plain);
    hr_session_feature(session, 1, 0, one);
    assert_memory_equal(one, pool + 2048, 2048 * sizeof *one);
    assert_memory_equal(plain, logits + CLASSES, CLASSES * sizeof *plain);
    assert_int_equal(hr_plan_feature_shape(plan, 1)->dim[2], SIDE / 8);
    hr_session_destroy(session);
}

/* Planes of 112x112 and 56x56 are so large that images of a batch go through them in turn. */
static void images_in_turn_have_the_bits_of_images_alone(void **state)
{
    enum { LARGE = 224, COUNT = 3, FLOATS = 3 * LARGE * LARGE, MAP = 64 * 112 * 112 };
    const struct fixture *f = *state;
    const char *const wanted[] = { "stem" };
    struct hr_session *session[2] = { NULL, NULL };
    float *const x = calloc(COUNT * FLOATS, sizeof *x), *const map =
                                                            calloc((1 + COUNT) * MAP, sizeof *map);
    float alone[COUNT][CLASSES], together[COUNT * CLASSES];
    size_t arena[2], steps = 0;
    assert_true(x && map);
    hr_synthetic_fill(x, COUNT * FLOATS, "turns");
    for (int i = 0; i < 2; i++) {
        struct hr_session_options options = options_of(2, LARGE);
        options.batch = i ? COUNT : 1;
        options.features = wanted;
        options.feature_count = HR_COUNT(wanted);
        assert_int_equal(hr_session_create(&session[i], f->model, f->packs, &options), HR_OK);
        arena[i] = hr_plan_memory(hr_session_plan(session[i])).arena_bytes;
    }
    for (size_t i = 0; i < COUNT; i++)
        hr_session_run(session[0], x + i * FLOATS, 1, alone[i]);
    hr_session_feature(session[0], 1, 0, map); /* of the last */
    const size_t floats = (size_t)hr_plan_feature_shape(hr_session_plan(session[0]), 0)->dim[1] *
                          (size_t)hr_plan_feature_shape(hr_session_plan(session[0]), 0)->dim[2] *
                          (size_t)hr_plan_feature_shape(hr_session_plan(session[0]), 0)->dim[3];
    assert_true(floats <= MAP);
    hr_session_profile(session[1], x, COUNT, together, count_steps, &steps);
    assert_int_equal(steps, hr_plan_step_count(hr_session_plan(session[1])));
    assert_memory_equal(together, alone, sizeof alone);
    hr_session_feature(session[1], COUNT, 0, map + MAP);
    assert_memory_equal(map, map + MAP + (COUNT - 1) * floats, floats * sizeof *map);
    hr_session_run(session[1], x + FLOATS, 2, together);
    assert_memory_equal(together, alone[1], 2 * sizeof alone[1]);
    assert_true(!has_choice(session[0]) || arena[1] < COUNT * arena[0]);
    hr_session_destroy(session[0]);
    hr_session_destroy(session[1]);
    free(x);
    free(map);
}

struct tenant {
    const struct fixture *f;
    pthread_t thread;
    enum hr_status status;
    float logits[BATCH * CLASSES];
};

static void *live(void *argument)
{
    struct tenant *t = argument;
    struct hr_session *session = NULL;
    const struct hr_session_options options = options_of(2, SIDE);
    t->status = hr_session_create(&session, t->f->model, t->f->packs, &options);
    for (int i = 0; i < 3 && t->status == HR_OK; i++)
        hr_session_run(session, t->f->x, BATCH, t->logits);
    hr_session_destroy(session);
    return NULL;
}

static void sessions_of_one_model_run_side_by_side(void **state)
{
    const struct fixture *f = *state;
    struct tenant tenants[3];
    float want[BATCH * CLASSES];
    struct hr_session *session = session_of(f, 1);
    hr_session_run(session, f->x, BATCH, want);
    hr_session_destroy(session);
    for (size_t i = 0; i < HR_COUNT(tenants); i++) {
        tenants[i] = (struct tenant){ .f = f };
        assert_int_equal(pthread_create(&tenants[i].thread, NULL, live, &tenants[i]), 0);
    }
    for (size_t i = 0; i < HR_COUNT(tenants); i++) {
        pthread_join(tenants[i].thread, NULL);
        assert_int_equal(tenants[i].status, HR_OK);
        assert_memory_equal(tenants[i].logits, want, sizeof want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_values_rank_by_index),
        cmocka_unit_test(top_k_is_the_head_of_a_sort),
        cmocka_unit_test(softmax_sums_to_one_and_survives_large_logits),
        cmocka_unit_test(illegal_sizes_are_refused_with_the_nearest),
        cmocka_unit_test(unknown_features_are_named),
        cmocka_unit_test(too_many_threads_are_clamped_with_a_notice),
        cmocka_unit_test(the_floating_point_state_is_the_callers),
        cmocka_unit_test(memory_is_foretold_and_runs_take_none),
        cmocka_unit_test(lean_memory_takes_less_and_answers_alike),
        cmocka_unit_test(bits_of_a_batch_are_its_own),
        cmocka_unit_test(features_and_profiles_belong_to_the_run),
        cmocka_unit_test(images_in_turn_have_the_bits_of_images_alone),
        cmocka_unit_test(sessions_of_one_model_run_side_by_side),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
