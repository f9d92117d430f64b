/* SPDX-License-Identifier: Apache-2.0
 * Distillation: its loss against closed forms of the teacher's answers, its gradient against
 * differences, pictures without a label, and both kinds of the teacher's norms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "model/zoo.h"
#include "session/session.h"
#include "train/distill.h"

#define N       3
#define CLASSES 4
#define SIZE    32

static char path[] = "/tmp/hrnet-teacher-XXXXXX";
static struct hr_kernels kernels;
static float x[N * 3 * SIZE * SIZE];
static double answers[N][CLASSES]; /* of the teacher, with running statistics */

static int set_up(void **state)
{
    const struct hr_zoo_row *row;
    struct hr_store *store = NULL;
    struct hr_model *model = NULL;
    struct hr_packs *packs = NULL;
    struct hr_session *session = NULL;
    const struct hr_session_options options = {
        .threads = 1, .batch = N, .height = SIZE, .width = SIZE, .cpu_flags = ~0u, .exact = true
    };
    float logits[N * CLASSES];
    (void)state;
    hr_kernels_init(&kernels, hr_cpu_get()->flags);
    close(mkstemp(path));
    hr_synthetic_fill(x, N * 3 * SIZE * SIZE, "distill");
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    assert_int_equal(hr_synthetic_weights(&store, row, CLASSES), HR_OK);
    assert_int_equal(hr_store_save(store, path, HR_FORMAT_SAFETENSORS), HR_OK);
    hr_store_destroy(store);
    assert_int_equal(hr_model_open(&model, path, &(struct hr_model_options){ .classes = 0 }),
                     HR_OK);
    assert_int_equal(hr_packs_create(&packs, hr_model_weights(model)), HR_OK);
    assert_int_equal(hr_session_create(&session, model, packs, &options), HR_OK);
    hr_session_run(session, x, N, logits);
    for (int i = 0; i < N * CLASSES; i++)
        answers[i / CLASSES][i % CLASSES] = (double)logits[i];
    hr_session_destroy(session);
    hr_packs_destroy(packs);
    hr_model_unref(model);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static struct hr_distill *make(const char *words, bool batch_statistics)
{
    const struct hr_distill_options options = { path, words, batch_statistics };
    const struct hr_distill_place place = { .batch = N,
                                            .classes = CLASSES,
                                            .height = SIZE,
                                            .width = SIZE,
                                            .kernels = &kernels,
                                            .threads = 1,
                                            .cpu_flags = ~0u };
    struct hr_distill *distill = NULL;
    if (hr_distill_create(&distill, &options, &place) != HR_OK)
        fail_msg("%s", hr_last_message());
    return distill;
}

/* ---- The loss in plain formulas ---- */

static double softmax(const double *z, double temperature, int k)
{
    double sum = 0.0;
    for (int j = 0; j < CLASSES; j++)
        sum += exp(z[j] / temperature);
    return exp(z[k] / temperature) / sum;
}

static double formula(const char *kind, const float *logits, double temperature)
{
    double total = 0.0;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < CLASSES; k++) {
            double z[CLASSES];
            for (int j = 0; j < CLASSES; j++)
                z[j] = (double)logits[i * CLASSES + j];
            const double s = softmax(z, temperature, k), t = softmax(answers[i], temperature, k);
            total += strcmp(kind, "kl") == 0    ? temperature * temperature * t * log(t / s)
                     : strcmp(kind, "dml") == 0 ? 0.5 * (t - s) * log(t / s)
                                                : -t * log(s);
        }
    return total / N;
}

static double of_labels(const float *logits, const int32_t *labels)
{
    double total = 0.0;
    for (int i = 0; i < N; i++) {
        double z[CLASSES];
        for (int j = 0; j < CLASSES; j++)
            z[j] = (double)logits[i * CLASSES + j];
        total -= labels[i] >= 0 ? log(softmax(z, 1.0, labels[i])) : 0.0;
    }
    return total / N;
}

static double loss_of(struct hr_distill *d, const float *logits, const int32_t *labels,
                      float *dlogits, double scale)
{
    const struct hr_loss loss = { .kind = HR_LOSS_CROSS_ENTROPY };
    const struct hr_loss_batch b = {
        .n = N, .classes = CLASSES, .logits = logits, .labels = labels
    };
    return hr_distill_loss(d, &loss, &b, x, dlogits, scale);
}

static void check_gradient(struct hr_distill *d, float *logits, const int32_t *labels)
{
    float dlogits[N * CLASSES], ignored[N * CLASSES];
    const float h = 1.0f / 64;
    (void)loss_of(d, logits, labels, dlogits, 2.0);
    for (int i = 0; i < N * CLASSES; i++) {
        const float keep = logits[i];
        logits[i] = keep + h;
        const double above = loss_of(d, logits, labels, ignored, 1.0);
        logits[i] = keep - h;
        const double below = loss_of(d, logits, labels, ignored, 1.0);
        logits[i] = keep;
        assert_true(fabs((double)dlogits[i] - (above - below) / (double)h) < 1e-3);
    }
}

static void test_losses(void **state)
{
    static const struct {
        const char *words, *kind;
        double temperature, weight, labels;
    } cases[] = { { "dml", "dml", 1.0, 1.0, 0.0 },
                  { "ce:weight=0.5", "ce", 1.0, 0.5, 0.0 },
                  { "kl:temperature=4,weight=2", "kl", 4.0, 2.0, 0.0 },
                  { "dml:labels=0.25", "dml", 1.0, 1.0, 0.25 } };
    const int32_t labels[N] = { 2, -1, 0 }, unknown[N] = { -1, -1, -1 };
    float logits[N * CLASSES];
    (void)state;
    hr_synthetic_fill(logits, N * CLASSES, "student");
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_distill *d = make(cases[i].words, false);
        float dlogits[N * CLASSES];
        const double teachers =
            cases[i].weight * formula(cases[i].kind, logits, cases[i].temperature);
        const double wanted = teachers + cases[i].labels * of_labels(logits, labels);
        assert_int_equal(hr_distill_uses_labels(d), cases[i].labels > 0.0);
        assert_true(fabs(loss_of(d, logits, labels, dlogits, 1.0) - wanted) < 1e-6 * wanted);
        assert_true(fabs(loss_of(d, logits, unknown, dlogits, 1.0) - teachers) < 1e-6 * teachers);
        check_gradient(d, logits, labels);
        hr_distill_destroy(d);
    }
}

/* A student that says what the teacher says has nothing to learn; batch statistics say other
 * things, the same ones each time. */
static void test_norms(void **state)
{
    const int32_t labels[N] = { 0, 1, 2 };
    float logits[N * CLASSES], dlogits[N * CLASSES], again[N * CLASSES];
    (void)state;
    for (int i = 0; i < N * CLASSES; i++)
        logits[i] = (float)answers[i / CLASSES][i % CLASSES];
    struct hr_distill *running = make("dml", false), *batch = make("dml", true);
    assert_true(fabs(loss_of(running, logits, labels, dlogits, 1.0)) < 1e-12);
    for (int i = 0; i < N * CLASSES; i++)
        assert_true(fabsf(dlogits[i]) < 1e-6f);
    const double other = loss_of(batch, logits, labels, dlogits, 1.0);
    assert_true(other > 1e-3);
    assert_true(loss_of(batch, logits, labels, again, 1.0) == other);
    assert_memory_equal(dlogits, again, sizeof again);
    assert_true(hr_distill_bytes(batch) > 0 && hr_distill_bytes(running) > 0);
    hr_distill_destroy(running);
    hr_distill_destroy(batch);
}

static void check_refused(const char *words, size_t classes, enum hr_status status,
                          const char *because)
{
    const struct hr_distill_options options = { path, words, false };
    const struct hr_distill_place place = { .batch = N,
                                            .classes = classes,
                                            .height = SIZE,
                                            .width = SIZE,
                                            .kernels = &kernels,
                                            .cpu_flags = ~0u };
    struct hr_distill *distill = NULL;
    assert_int_equal(hr_distill_create(&distill, &options, &place), status);
    if (!strstr(hr_last_message(), because))
        fail_msg("message is: %s", hr_last_message());
    assert_null(distill);
}

static void test_refused(void **state)
{
    (void)state;
    check_refused("dlm", CLASSES, HR_E_ARGUMENT, "distillation 'dlm' is not known");
    check_refused("dml:temperature=2", CLASSES, HR_E_ARGUMENT, "temperature");
    check_refused("kl:temperature=0", CLASSES, HR_E_ARGUMENT, "must be above 0");
    check_refused("dml", CLASSES + 1, HR_E_MISMATCH, "knows 4 classes, the student 5");
}

static void test_description(void **state)
{
    struct hr_distill *d = make("kl:temperature=4", false);
    struct hr_text text = { 0 };
    (void)state;
    assert_int_equal(hr_distill_describe(d, &text), HR_OK);
    assert_non_null(strstr(text.data, "distill kl:temperature=4 batch-statistics 0 teacher "));
    assert_true(strlen(text.data) > 64 + 40);
    hr_text_fini(&text);
    hr_distill_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_norms),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_description),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
