/* SPDX-License-Identifier: Apache-2.0
 * Counted answers against counts by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "train/metrics.h"

#define CLASSES 3

/* Logits whose softmax is p. */
static void logits_of(float *z, const double *p)
{
    for (int k = 0; k < CLASSES; k++)
        z[k] = (float)log(p[k]);
}

static void is(double got, double want)
{
    if (fabs(got - want) > 1e-6)
        fail_msg("%.9g is not %.9g", got, want);
}

static void answers_are_counted(void **state)
{
    static const double p[5][CLASSES] = {
        { 0.90, 0.06, 0.04 }, { 0.20, 0.70, 0.10 }, { 0.25, 0.15, 0.60 },
        { 0.05, 0.93, 0.02 }, { 0.30, 0.36, 0.34 },
    };
    static const int32_t labels[5] = { 0, 0, 2, 2, 1 };
    static const size_t index[5] = { 10, 11, 12, 13, 14 };
    struct hr_evaluation e = { .classes = CLASSES };
    float z[5 * CLASSES];
    (void)state;
    for (int i = 0; i < 5; i++)
        logits_of(z + CLASSES * i, p[i]);
    assert_int_equal(hr_evaluation_init(&e, 8), HR_OK);
    const struct hr_batch first = { .n = 2, .labels = labels, .index = index };
    const struct hr_batch second = { .n = 3, .labels = labels + 2, .index = index + 2 };
    assert_int_equal(hr_evaluation_count(&e, z, &first, 0.5), HR_OK);
    assert_int_equal(hr_evaluation_count(&e, z + 2 * CLASSES, &second, 1.0), HR_OK);
    assert_int_equal(e.pictures, 5);
    assert_int_equal(e.top1, 3);
    assert_int_equal(e.top5, 5);
    is(e.loss, 4.0);
    static const uint64_t confusion[CLASSES * CLASSES] = { 1, 1, 0, 0, 1, 0, 0, 1, 1 };
    assert_memory_equal(e.confusion, confusion, sizeof confusion);
    assert_int_equal(e.mistake_count, 2);
    assert_int_equal(e.mistakes[0].index, 13);
    assert_int_equal(e.mistakes[0].truth, 2);
    assert_int_equal(e.mistakes[0].answer, 1);
    is(e.mistakes[0].confidence, 0.93);
    is(e.mistakes[0].truth_probability, 0.02);
    assert_int_equal(e.mistakes[1].index, 11);
    /* 0.93 and 0.90 share the bin from 13/15 to 14/15, one is right. */
    is(hr_evaluation_ece(&e), (fabs(1 - 1.83) + 0.70 + 0.40 + fabs(1 - 0.36)) / 5.0);
    assert_int_equal(e.bins[13].pictures, 2);
    assert_int_equal(e.bins[13].right, 1);
    hr_evaluation_fini(&e);
}

static void the_worst_mistakes_stay(void **state)
{
    static const double confidences[] = { 0.5, 0.9, 0.6, 0.9, 0.7, 0.8 };
    static const size_t want[] = { 1, 3, 5 };
    struct hr_evaluation e = { .classes = CLASSES };
    (void)state;
    assert_int_equal(hr_evaluation_init(&e, 3), HR_OK);
    for (size_t i = 0; i < 6; i++) {
        const double rest = (1.0 - confidences[i]) / 2.0;
        const double p[CLASSES] = { rest, confidences[i], rest };
        const int32_t label = 0;
        const struct hr_batch batch = { .n = 1, .labels = &label, .index = &i };
        float z[CLASSES];
        logits_of(z, p);
        assert_int_equal(hr_evaluation_count(&e, z, &batch, 0.0), HR_OK);
    }
    assert_int_equal(e.mistake_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(e.mistakes[i].index, want[i]);
    hr_evaluation_fini(&e);
}

static void nothing_is_needed_to_count(void **state)
{
    static const int32_t label = 1;
    static const float z[CLASSES] = { 0.0f, 1000.0f, -1000.0f };
    const struct hr_batch batch = { .n = 1, .labels = &label };
    struct hr_evaluation plain = { .classes = CLASSES }, none = { .classes = CLASSES };
    (void)state;
    assert_int_equal(hr_evaluation_count(&plain, z, &batch, 0.25), HR_OK);
    assert_int_equal(plain.top1, 1);
    is(hr_evaluation_ece(&none), 0.0);
    assert_int_equal(hr_evaluation_init(&none, 0), HR_OK);
    hr_evaluation_fini(&none);
}

/* Scores of class 0: 3 shown, 2 not, 1 shown, 1 not; of class 1: shown once, never said. */
static void several_labels(void **state)
{
    static const float z[] = { 3, -1, 2, -2, 1, -3, 1, -4 };
    static const float targets[] = { 1, 0, 0, 1, 1, 0, 0, 0 };
    const struct hr_batch batch = { .n = 4, .targets = targets };
    struct hr_evaluation e = { .classes = 2, .several = true };
    (void)state;
    assert_int_equal(hr_evaluation_init(&e, 0), HR_OK);
    assert_int_equal(hr_evaluation_count(&e, z, &batch, 0.5), HR_OK);
    assert_int_equal(hr_evaluation_count(&e, z, &batch, 1.5), HR_OK);
    assert_int_equal(hr_evaluation_finish(&e), HR_OK);
    is(e.loss, 1.0);
    assert_int_equal(e.pictures, 8);
    assert_int_equal(e.top1, 4);
    assert_int_equal(e.labels[0].truth, 4);
    assert_int_equal(e.labels[0].answers, 8);
    assert_int_equal(e.labels[0].right, 4);
    assert_int_equal(e.labels[1].answers, 0);
    is(e.labels[0].average_precision, (1.0 + 0.5) / 2.0);
    is(e.labels[1].average_precision, 0.5);
    is(e.map, 0.625);
    is(hr_evaluation_hamming(&e), 6.0 / 16.0);
    hr_evaluation_fini(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_counted),
        cmocka_unit_test(the_worst_mistakes_stay),
        cmocka_unit_test(nothing_is_needed_to_count),
        cmocka_unit_test(several_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
