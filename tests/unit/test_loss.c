/* SPDX-License-Identifier: Apache-2.0
 * Losses against closed forms, their gradients against differences of their values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/loss.h"

#define N 3
#define K 4

static const float logits[N * K] = { 1.0f, -2.0f, 0.5f,  0.0f, 3.0f, 3.0f,
                                     -1.f, 0.25f, -0.5f, 2.0f, 1.0f, -4.f };
static const float teacher[N * K] = { 0.0f, 1.0f, -0.5f, 2.0f, 0.0f, 3.0f,
                                      1.0f, -1.f, 0.75f, 1.0f, 0.5f, 0.0f };
static const float targets[N * K] = { 0.1f, 0.2f, 0.3f, 0.4f, 1.0f, 0.0f,
                                      0.0f, 0.0f, 0.0f, 1.0f, 1.0f, 0.5f };
static const int32_t labels[N] = { 2, 0, 1 };

static void close_to(double a, double b)
{
    if (!(fabs(a - b) <= 1e-6 * (1.0 + fabs(b))))
        print_error("%.12g is not %.12g\n", a, b);
    assert_true(fabs(a - b) <= 1e-6 * (1.0 + fabs(b)));
}

static double softmax(const float *z, int k)
{
    double sum = 0.0;
    for (int j = 0; j < K; j++)
        sum += exp((double)z[j]);
    return exp((double)z[k]) / sum;
}

/* The gradient, times 2.5, is that of the value. */
static void check_gradient(const struct hr_loss *loss, struct hr_loss_batch batch)
{
    float z[N * K], dz[N * K];
    memcpy(z, logits, sizeof z);
    batch.logits = z;
    (void)hr_loss_value(loss, &batch, dz, 2.5);
    for (int i = 0; i < N * K; i++) {
        const float keep = z[i];
        z[i] = keep + 0.0078125f;
        const double above = hr_loss_value(loss, &batch, NULL, 1.0);
        z[i] = keep - 0.0078125f;
        const double below = hr_loss_value(loss, &batch, NULL, 1.0);
        z[i] = keep;
        const double want = 2.5 * (above - below) / 0.015625;
        assert_true(fabs((double)dz[i] - want) < 2e-5);
    }
}

static struct hr_loss_batch batch_of(const float *soft)
{
    return (struct hr_loss_batch){
        .n = N, .classes = K, .logits = logits, .labels = soft ? NULL : labels, .targets = soft
    };
}

static void cross_entropy_is_minus_log_of_the_label(void **state)
{
    const struct hr_loss loss = { .kind = HR_LOSS_CROSS_ENTROPY };
    const struct hr_loss_batch batch = batch_of(NULL);
    double want = 0.0;
    (void)state;
    for (int i = 0; i < N; i++)
        want -= log(softmax(logits + i * K, labels[i])) / N;
    close_to(hr_loss_value(&loss, &batch, NULL, 1.0), want);
    check_gradient(&loss, batch);
}

static void smoothing_mixes_in_the_uniform_target(void **state)
{
    const struct hr_loss loss = { .kind = HR_LOSS_CROSS_ENTROPY, .smoothing = 0.1 };
    const struct hr_loss_batch batch = batch_of(NULL);
    double want = 0.0;
    (void)state;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < K; k++)
            want -= ((k == labels[i] ? 0.9 : 0.0) + 0.1 / K) * log(softmax(logits + i * K, k)) / N;
    close_to(hr_loss_value(&loss, &batch, NULL, 1.0), want);
    check_gradient(&loss, batch);
}

static void soft_targets_are_not_normalised(void **state)
{
    const struct hr_loss loss = { .kind = HR_LOSS_CROSS_ENTROPY };
    const struct hr_loss_batch batch = batch_of(targets);
    double want = 0.0;
    (void)state;
    for (int i = 0; i < N * K; i++)
        want -= (double)targets[i] * log(softmax(logits + i / K * K, i % K)) / N;
    close_to(hr_loss_value(&loss, &batch, NULL, 1.0), want);
    check_gradient(&loss, batch);
}

static void class_weights_weigh_the_mean(void **state)
{
    static const float weights[K] = { 1.0f, 3.0f, 0.5f, 2.0f };
    const struct hr_loss loss = { .kind = HR_LOSS_CROSS_ENTROPY, .class_weights = weights };
    const struct hr_loss_batch batch = batch_of(NULL);
    double want = 0.0, sum = 0.0;
    (void)state;
    for (int i = 0; i < N; i++) {
        want -= (double)weights[labels[i]] * log(softmax(logits + i * K, labels[i]));
        sum += (double)weights[labels[i]];
    }
    close_to(hr_loss_value(&loss, &batch, NULL, 1.0), want / sum);
    check_gradient(&loss, batch);
}

static void multi_label_is_a_mean_of_sigmoids(void **state)
{
    struct hr_loss loss = { .kind = HR_LOSS_MULTI_LABEL };
    const struct hr_loss_batch batch = batch_of(targets);
    double want = 0.0;
    (void)state;
    for (int i = 0; i < N * K; i++) {
        const double p = 1.0 / (1.0 + exp(-(double)logits[i])), y = (double)targets[i];
        want -= y * log(p) + (1.0 - y) * log(1.0 - p);
    }
    close_to(hr_loss_value(&loss, &batch, NULL, 1.0), want / (N * K));
    check_gradient(&loss, batch);
    loss.sum_classes = true;
    close_to(hr_loss_value(&loss, &batch, NULL, 1.0), want / N);
    check_gradient(&loss, batch);
}

static void kl_is_that_of_tempered_softmaxes(void **state)
{
    const struct hr_loss loss = { .kind = HR_LOSS_KL, .temperature = 2.0 };
    struct hr_loss_batch batch = batch_of(NULL);
    double want = 0.0;
    (void)state;
    batch.teacher = teacher;
    for (int i = 0; i < N; i++) {
        float s[K], t[K];
        for (int k = 0; k < K; k++) {
            s[k] = logits[i * K + k] / 2.0f;
            t[k] = teacher[i * K + k] / 2.0f;
        }
        for (int k = 0; k < K; k++)
            want += 4.0 * softmax(t, k) * log(softmax(t, k) / softmax(s, k)) / N;
    }
    close_to(hr_loss_value(&loss, &batch, NULL, 1.0), want);
    check_gradient(&loss, batch);
}

static void dml_is_half_of_both_divergences(void **state)
{
    const struct hr_loss loss = { .kind = HR_LOSS_DML };
    struct hr_loss_batch batch = batch_of(NULL);
    double want = 0.0;
    (void)state;
    batch.teacher = teacher;
    for (int i = 0; i < N * K; i++) {
        const double s = softmax(logits + i / K * K, i % K),
                     t = softmax(teacher + i / K * K, i % K);
        want += 0.5 * (t * log(t / s) + s * log(s / t)) / N;
    }
    close_to(hr_loss_value(&loss, &batch, NULL, 1.0), want);
    check_gradient(&loss, batch);
}

static void no_logit_is_too_large(void **state)
{
    static const float huge[2] = { 3e38f, -3e38f };
    static const int32_t first = 0, second = 1;
    const struct hr_loss loss = { .kind = HR_LOSS_CROSS_ENTROPY };
    struct hr_loss_batch batch = { .n = 1, .classes = 2, .logits = huge, .labels = &first };
    float dz[2];
    (void)state;
    close_to(hr_loss_value(&loss, &batch, dz, 1.0), 0.0);
    assert_true(dz[0] == 0.0f && dz[1] == 0.0f);
    batch.labels = &second;
    close_to(hr_loss_value(&loss, &batch, dz, 1.0), 6e38);
    assert_true(dz[0] == 1.0f && dz[1] == -1.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy_is_minus_log_of_the_label),
        cmocka_unit_test(smoothing_mixes_in_the_uniform_target),
        cmocka_unit_test(soft_targets_are_not_normalised),
        cmocka_unit_test(class_weights_weigh_the_mean),
        cmocka_unit_test(multi_label_is_a_mean_of_sigmoids),
        cmocka_unit_test(kl_is_that_of_tempered_softmaxes),
        cmocka_unit_test(dml_is_half_of_both_divergences),
        cmocka_unit_test(no_logit_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
