/* SPDX-License-Identifier: Apache-2.0
 * Models and sessions through the public API: a session keeps its model alive, sessions of many
 * threads share one model and give the same bits, feature maps by name, steps and times, files
 * written and read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hrnet/hrnet.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"

#define SIDE     64
#define BATCH    2
#define CLASSES  5
#define IMAGE    (3 * SIDE * SIDE)
#define SESSIONS 4
#define ROUNDS   3

static float x[BATCH * IMAGE], want[BATCH * CLASSES];

static hrnet_model *model_of(const char *architecture)
{
    struct hrnet_model_options options;
    hrnet_model *model = NULL;
    hrnet_model_options_init(&options, sizeof options);
    options.classes = CLASSES;
    if (hrnet_model_synthetic(&model, architecture, &options) != HRNET_OK)
        fail_msg("%s", hrnet_last_error());
    return model;
}

static hrnet_session *session_of(hrnet_model *model, unsigned threads, const char *const *features)
{
    struct hrnet_session_options options;
    hrnet_session *session = NULL;
    hrnet_session_options_init(&options, sizeof options);
    options.threads = threads;
    options.batch = BATCH;
    options.height = options.width = SIDE;
    options.features = features;
    if (hrnet_session_create(&session, model, &options) != HRNET_OK)
        fail_msg("%s", hrnet_last_error());
    return session;
}

static int set_up(void **state)
{
    hrnet_model *model = model_of("hrnet_w18_small");
    hrnet_session *session = session_of(model, 1, NULL);
    hrnet_synthetic_input("sessions", BATCH * IMAGE, x);
    assert_int_equal(hrnet_session_run(session, x, BATCH, want), HRNET_OK);
    hrnet_session_destroy(session);
    *state = model;
    return 0;
}

static int tear_down(void **state)
{
    hrnet_model_release(*state);
    return 0;
}

/* ---- Sharing ---- */

static void a_session_keeps_its_model(void **state)
{
    float logits[BATCH * CLASSES];
    struct hrnet_session_info info;
    hrnet_model *model = model_of("hrnet_w18_small");
    hrnet_session *first = session_of(model, 1, NULL), *second = session_of(model, 2, NULL);
    (void)state;
    hrnet_model_release(model);
    assert_int_equal(hrnet_session_run(first, x, BATCH, logits), HRNET_OK);
    assert_memory_equal(logits, want, sizeof want);
    hrnet_session_destroy(first);
    assert_int_equal(hrnet_session_run(second, x, BATCH, logits), HRNET_OK);
    assert_memory_equal(logits, want, sizeof want);
    assert_int_equal(hrnet_session_describe(second, &info), HRNET_OK);
    assert_int_equal(info.classes, CLASSES);
    assert_int_equal(info.height, SIDE);
    hrnet_session_destroy(second);
}

/* The sanitizer of threads runs this too: sessions are made, run and destroyed side by side, the
 * last one after its model was released. */
static void *live_in_a_thread(void *context)
{
    hrnet_model *model = context;
    float logits[BATCH * CLASSES];
    struct hrnet_model_info info;
    size_t same = 0;
    for (int round = 0; round < ROUNDS; round++) {
        hrnet_session *session = session_of(model, 1 + (unsigned)round % 2, NULL);
        if (hrnet_model_describe(model, &info) == HRNET_OK &&
            hrnet_session_run(session, x, BATCH, logits) == HRNET_OK &&
            memcmp(logits, want, sizeof want) == 0)
            same++;
        hrnet_session_destroy(session);
    }
    return (void *)(uintptr_t)same;
}

static void sessions_of_many_threads_share_a_model(void **state)
{
    pthread_t threads[SESSIONS];
    hrnet_model *model = model_of("hrnet_w18_small");
    hrnet_session *last = session_of(model, 2, NULL);
    float logits[BATCH * CLASSES];
    (void)state;
    for (int i = 0; i < SESSIONS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, live_in_a_thread, model), 0);
    assert_int_equal(hrnet_session_run(last, x, BATCH, logits), HRNET_OK);
    for (int i = 0; i < SESSIONS; i++) {
        void *same = NULL;
        pthread_join(threads[i], &same);
        assert_int_equal((uintptr_t)same, ROUNDS);
    }
    hrnet_model_release(model);
    assert_memory_equal(logits, want, sizeof want);
    hrnet_session_destroy(last);
}

/* ---- Feature maps, steps ---- */

static void features_have_names(void **state)
{
    const char *const *names = hrnet_feature_names();
    hrnet_session *session = session_of(*state, 2, names);
    float logits[BATCH * CLASSES], *map = malloc(sizeof(float) * BATCH * 256 * 16 * 16);
    int64_t shape[4];
    size_t count = 0;
    assert_int_equal(hrnet_session_feature(session, "pool", map), HRNET_E_ARGUMENT);
    assert_non_null(strstr(hrnet_last_error(), "nothing was run"));
    assert_int_equal(hrnet_session_run(session, x, BATCH, logits), HRNET_OK);
    assert_memory_equal(logits, want, sizeof want);
    for (; names[count]; count++) {
        assert_int_equal(hrnet_session_feature_shape(session, names[count], shape), HRNET_OK);
        assert_int_equal(shape[0], BATCH);
        assert_true(shape[1] * (shape[2] ? shape[2] * shape[3] : 1) <= 256 * 16 * 16);
        assert_int_equal(hrnet_session_feature(session, names[count], map), HRNET_OK);
    }
    assert_int_equal(count, 18);
    assert_int_equal(hrnet_session_feature_shape(session, "stage4.3", shape), HRNET_OK);
    assert_memory_equal(shape, ((int64_t[]){ BATCH, 128, 2, 2 }), sizeof shape);
    assert_int_equal(hrnet_session_feature_shape(session, "pool", shape), HRNET_OK);
    assert_memory_equal(shape, ((int64_t[]){ BATCH, 2048, 0, 0 }), sizeof shape);
    assert_int_equal(hrnet_session_feature(session, "logits", map), HRNET_OK);
    assert_memory_equal(map, want, sizeof want);
    assert_int_equal(hrnet_session_feature(session, "stage4.4", map), HRNET_E_NOT_FOUND);
    hrnet_session_destroy(session);
    free(map);
}

static void unknown_features_and_options_are_refused(void **state)
{
    static const char *const wrong[] = { "stage4.0", "stage4.4", NULL };
    struct hrnet_session_options options;
    hrnet_session *session = NULL;
    hrnet_session_options_init(&options, sizeof options);
    options.features = wrong;
    assert_int_equal(hrnet_session_create(&session, *state, &options), HRNET_E_NOT_FOUND);
    assert_non_null(strstr(hrnet_last_error(), "stage4.4"));
    options.features = NULL;
    options.batch = 0;
    assert_int_equal(hrnet_session_create(&session, *state, &options), HRNET_E_ARGUMENT);
    options.batch = 1025;
    assert_int_equal(hrnet_session_create(&session, *state, &options), HRNET_E_ARGUMENT);
    options.batch = 1;
    options.threads = 1025;
    assert_int_equal(hrnet_session_create(&session, *state, &options), HRNET_E_ARGUMENT);
    options.threads = 1;
    options.width = -1;
    assert_int_equal(hrnet_session_create(&session, *state, &options), HRNET_E_ARGUMENT);
    options.width = 33;
    assert_int_equal(hrnet_session_create(&session, *state, &options), HRNET_E_SHAPE);
    options.width = 0;
    options.cpu = "mmx";
    assert_int_equal(hrnet_session_create(&session, *state, &options), HRNET_E_ARGUMENT);
    assert_non_null(strstr(hrnet_last_error(), "mmx"));
    assert_null(session);
}

static void steps_have_names_and_times(void **state)
{
    hrnet_session *session = session_of(*state, 1, NULL);
    struct hrnet_session_info info;
    struct hrnet_step_info step;
    float logits[BATCH * CLASSES];
    uint64_t multiply_adds = 0, total = 0;
    int peaks = 0;
    assert_int_equal(hrnet_session_describe(session, &info), HRNET_OK);
    uint64_t *ns = calloc(info.step_count, sizeof *ns);
    assert_int_equal(hrnet_session_profile(session, x, BATCH, logits, ns), HRNET_OK);
    assert_memory_equal(logits, want, sizeof want);
    for (size_t i = 0; i < info.step_count; i++) {
        assert_int_equal(hrnet_session_step(session, i, &step), HRNET_OK);
        assert_true(step.name && step.op && step.kernel && step.out[0] == BATCH);
        multiply_adds += step.multiply_adds;
        peaks += step.at_peak;
        total += ns[i];
    }
    assert_int_equal(peaks, 1);
    assert_true(total > 0 && info.arena_bytes > 0 && info.packed_bytes > 0);
    assert_true(multiply_adds > 100000000);
    assert_int_equal(hrnet_session_step(session, info.step_count, &step), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_session_run(session, x, 0, logits), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_session_run(session, x, BATCH + 1, logits), HRNET_E_ARGUMENT);
    hrnet_session_destroy(session);
    free(ns);
}

static void more_threads_are_foretold(void **state)
{
    hrnet_session *session = session_of(*state, 1, NULL);
    struct hrnet_session_options options;
    struct hrnet_session_info info;
    struct hrnet_foretold one, steps, waves;
    float logits[BATCH * CLASSES];
    assert_int_equal(hrnet_session_describe(session, &info), HRNET_OK);
    uint64_t *ns = calloc(info.step_count, sizeof *ns);
    assert_int_equal(hrnet_session_profile(session, x, BATCH, logits, ns), HRNET_OK);
    assert_int_equal(hrnet_session_foretell(session, ns, 1, HRNET_ORDER_STEPS, &one), HRNET_OK);
    assert_int_equal(hrnet_session_foretell(session, ns, 8, HRNET_ORDER_STEPS, &steps), HRNET_OK);
    assert_int_equal(hrnet_session_foretell(session, ns, 8, HRNET_ORDER_AUTO, &waves), HRNET_OK);
    assert_true(one.ms > 0 && one.waves == info.step_count && steps.waves == info.step_count);
    assert_true(waves.waves < steps.waves && waves.chain_ms < one.ms);
    assert_int_equal(hrnet_session_foretell(session, ns, 0, HRNET_ORDER_AUTO, &one),
                     HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_session_foretell(session, ns, 8, (hrnet_order)3, &one),
                     HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_session_foretell(session, NULL, 8, HRNET_ORDER_AUTO, &one),
                     HRNET_E_ARGUMENT);
    hrnet_session_destroy(session);
    if (hrnet_cpu_count() > 1) { /* times of two threads say nothing about one */
        session = session_of(*state, 2, NULL);
        assert_int_equal(hrnet_session_foretell(session, ns, 8, HRNET_ORDER_AUTO, &one),
                         HRNET_E_ARGUMENT);
        hrnet_session_destroy(session);
    }
    free(ns);
    hrnet_session_options_init(&options, sizeof options);
    options.batch = BATCH;
    options.height = info.height;
    options.width = info.width;
    options.order = HRNET_ORDER_WAVES;
    assert_int_equal(hrnet_session_create(&session, *state, &options), HRNET_OK);
    assert_int_equal(hrnet_session_run(session, x, BATCH, logits), HRNET_OK);
    assert_memory_equal(logits, want, sizeof want);
    hrnet_session_destroy(session);
    session = NULL;
    options.order = (hrnet_order)3;
    assert_int_equal(hrnet_session_create(&session, *state, &options), HRNET_E_ARGUMENT);
    assert_null(session);
}

static void count_told(void *context, const struct hrnet_tuned *tuned)
{
    assert_true(tuned->count > 0 && tuned->kernel == 3 && tuned->chosen && tuned->winner);
    ++*(size_t *)context;
}

static void tuning_is_kept_in_a_file(void **state)
{
    char path[] = "/tmp/hrnet_tuned_XXXXXX", lock[64];
    hrnet_session *session = session_of(*state, 1, NULL);
    struct hrnet_session_options options;
    struct hrnet_session_info info;
    float logits[BATCH * CLASSES];
    size_t told = 0;
    close(mkstemp(path)); /* an empty file is a damaged one */
    snprintf(lock, sizeof lock, "%s.lock", path);
    assert_int_equal(hrnet_session_describe(session, &info), HRNET_OK);
    assert_int_equal(hrnet_session_tune(session, path, count_told, &told), HRNET_OK);
    assert_true(told > 0 || strcmp(info.isa, "baseline") == 0);
    assert_int_equal(hrnet_session_tune(session, NULL, NULL, NULL), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_session_tune(session, "/nonexistent/x", NULL, NULL), HRNET_E_IO);
    hrnet_session_destroy(session);
    hrnet_session_options_init(&options, sizeof options);
    options.batch = BATCH;
    options.height = info.height;
    options.width = info.width;
    options.tuning_file = path;
    assert_int_equal(hrnet_session_create(&session, *state, &options), HRNET_OK);
    assert_int_equal(hrnet_session_run(session, x, BATCH, logits), HRNET_OK);
    for (int i = 0; i < BATCH * CLASSES; i++)
        assert_true(fabsf(logits[i] - want[i]) <= 5e-4f * fabsf(want[i]) + 5e-4f);
    hrnet_session_destroy(session);
    unlink(lock);
    unlink(path);
}

/* ---- Files ---- */

static void runs_equal(hrnet_model *model, float limit)
{
    hrnet_session *session = session_of(model, 1, NULL);
    float logits[BATCH * CLASSES];
    assert_int_equal(hrnet_session_run(session, x, BATCH, logits), HRNET_OK);
    for (int i = 0; i < BATCH * CLASSES; i++)
        assert_true(fabsf(logits[i] - want[i]) <= limit);
    hrnet_session_destroy(session);
}

static void written_files_give_the_same_answers(void **state)
{
    char path[] = "/tmp/hrnet-sessions-XXXXXX";
    const int fd = mkstemp(path);
    for (int format = HRNET_FILE_HRNET; format <= HRNET_FILE_TORCH; format++) {
        hrnet_model *model = NULL;
        assert_int_equal(hrnet_model_save(*state, path, (hrnet_file_format)format), HRNET_OK);
        assert_int_equal(hrnet_model_open(&model, path, NULL), HRNET_OK);
        runs_equal(model, 1e-5f);
        hrnet_model_release(model);
    }
    assert_int_equal(hrnet_model_save(*state, path, (hrnet_file_format)(HRNET_FILE_HALF + 1)),
                     HRNET_E_ARGUMENT);
    close(fd);
    unlink(path);
}

static void a_file_in_memory_is_a_file(void **state)
{
    char path[] = "/tmp/hrnet-sessions-XXXXXX";
    const int fd = mkstemp(path);
    struct hr_map map = { 0 };
    struct hrnet_verify_report report;
    struct hrnet_model_info info;
    struct hrnet_recipe recipe;
    hrnet_model *model = NULL;
    assert_int_equal(hrnet_model_save(*state, path, HRNET_FILE_HRNET), HRNET_OK);
    assert_int_equal(hr_map_open(&map, path), HR_OK);
    assert_int_equal(hrnet_model_open_memory(&model, map.data, map.size, "mine", NULL), HRNET_OK);
    runs_equal(model, 0);
    assert_int_equal(hrnet_model_verify(model, &report), HRNET_OK);
    assert_true(report.checksum_passed && report.self_test_passed);
    assert_int_equal(hrnet_model_describe(model, &info), HRNET_OK);
    assert_string_equal(info.architecture, "hrnet_w18_small");
    assert_int_equal(hrnet_model_recipe(model, &recipe), HRNET_OK);
    assert_int_equal(recipe.crop_width, 224);
    assert_string_equal(hrnet_model_label(model, CLASSES), "");
    assert_string_equal(hrnet_model_label(model, -1), "");
    hrnet_model_release(model);
    /* Synthetic weights were never stored, so nothing can be compared with. */
    assert_int_equal(hrnet_model_verify(*state, &report), HRNET_E_MISMATCH);
    assert_int_equal(report.checksum_stored, 0);
    hr_map_close(&map);
    close(fd);
    unlink(path);
}

/* A model with several labels a picture says so in every form that it takes. */
static void what_makes_scores_stays_with_the_model(void **state)
{
    static const hrnet_file_format formats[] = { HRNET_FILE_HRNET, HRNET_FILE_PADDLE,
                                                 HRNET_FILE_TORCH, HRNET_FILE_HALF };
    const float logits[CLASSES] = { 0, 1, -2, 30, -200 };
    float scores[CLASSES];
    char path[] = "/tmp/hrnet_scores_XXXXXX";
    const int fd = mkstemp(path);
    struct hrnet_model_options options;
    struct hrnet_model_info info;
    hrnet_model *model, *back;
    assert_true(fd >= 0);
    hrnet_model_scores(*state, logits, scores);
    assert_true(fabsf(scores[0] + scores[1] + scores[2] + scores[3] + scores[4] - 1) < 1e-6f);
    hrnet_model_options_init(&options, sizeof options);
    options.classes = CLASSES;
    options.activation = HRNET_RESULT_SIGMOID;
    assert_int_equal(hrnet_model_synthetic(&model, "hrnet_w18_small", &options), HRNET_OK);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        assert_int_equal(hrnet_model_save(model, path, formats[i]), HRNET_OK);
        assert_int_equal(hrnet_model_open(&back, path, NULL), HRNET_OK);
        assert_int_equal(hrnet_model_describe(back, &info), HRNET_OK);
        assert_int_equal(info.activation, HRNET_RESULT_SIGMOID);
        hrnet_model_scores(back, logits, scores);
        for (int k = 0; k < CLASSES; k++)
            assert_true(fabs((double)scores[k] - 1 / (1 + exp(-(double)logits[k]))) < 1e-7);
        hrnet_model_release(back);
    }
    options.activation = (hrnet_result)3;
    assert_int_equal(hrnet_model_open(&back, path, &options), HRNET_E_ARGUMENT);
    options.activation = HRNET_RESULT_SOFTMAX;
    assert_int_equal(hrnet_model_open(&back, path, &options), HRNET_OK);
    assert_int_equal(hrnet_model_describe(back, &info), HRNET_OK);
    assert_int_equal(info.activation, HRNET_RESULT_SOFTMAX);
    hrnet_model_release(back);
    hrnet_model_release(model);
    close(fd);
    unlink(path);
}

#define TEST(name) cmocka_unit_test(name)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_keeps_its_model),  TEST(sessions_of_many_threads_share_a_model),
        TEST(features_have_names),        TEST(unknown_features_and_options_are_refused),
        TEST(steps_have_names_and_times), TEST(more_threads_are_foretold),
        TEST(tuning_is_kept_in_a_file),   TEST(written_files_give_the_same_answers),
        TEST(a_file_in_memory_is_a_file), TEST(what_makes_scores_stays_with_the_model),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
