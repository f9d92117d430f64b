/* SPDX-License-Identifier: Apache-2.0
 * Mixed batches: targets hold what the pictures hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/mix.h"

#define N       6
#define CLASSES 4
#define H       16
#define W       24
#define FLOATS  (3 * H * W)

static float x[N * FLOATS], spare[N * FLOATS], targets[N * CLASSES];
static int32_t labels[N];

/* Picture i is all i, and shows class i % CLASSES. */
static enum hr_augment_kind mix(const char *text, uint64_t seed)
{
    struct hr_augment_chain chain = { 0 };
    struct hr_random random = hr_random_of(21, seed);
    struct hr_mix_batch batch = { N, CLASSES, H, W, x, spare, targets, labels };
    enum hr_augment_kind kind;
    assert_int_equal(hr_augment_parse(&chain, text), HR_OK);
    memset(targets, 0, sizeof targets);
    for (int i = 0; i < N; i++) {
        labels[i] = i % CLASSES;
        targets[i * CLASSES + i % CLASSES] = 1.0f;
        for (int j = 0; j < FLOATS; j++)
            x[i * FLOATS + j] = (float)i;
    }
    assert_int_equal(hr_mix_apply(&chain, &random, &batch, &kind), HR_OK);
    return kind;
}

/* The values of picture i are its own and one partner's: the partner, and the share of its own. */
static int partner_of(int i, double *share)
{
    int partner = i, own = 0;
    for (int j = 0; j < FLOATS; j++) {
        const float value = x[i * FLOATS + j];
        own += value == (float)i;
        if (value != (float)i) {
            assert_true(partner == i || partner == (int)value);
            partner = (int)value;
        }
    }
    *share = (double)own / FLOATS;
    return partner;
}

static void check_targets(int i, int partner, double share)
{
    double sum = 0.0, expected[CLASSES] = { 0 };
    int most = 0;
    expected[i % CLASSES] += share;
    expected[partner % CLASSES] += 1.0 - share;
    for (int k = 0; k < CLASSES; k++) {
        assert_true(fabs((double)targets[i * CLASSES + k] - expected[k]) < 1e-6);
        sum += (double)targets[i * CLASSES + k];
        most = targets[i * CLASSES + k] > targets[i * CLASSES + most] ? k : most;
    }
    assert_true(fabs(sum - 1.0) < 1e-6);
    assert_int_equal(labels[i], most);
}

static void mixup_mixes_values_as_it_mixes_labels(void **state)
{
    double mean = 0.0, low = 0.0;
    (void)state;
    for (uint64_t s = 0; s < 2000; s++) {
        assert_int_equal(mix("mixup:alpha=0.2", s), HR_AUGMENT_MIXUP);
        for (int i = 0; i < N; i++) { /* classes 0 and 4, 1 and 5 are one: sums tell */
            double sum = 0.0;
            for (int k = 0; k < CLASSES; k++)
                sum += (double)targets[i * CLASSES + k];
            assert_true(fabs(sum - 1.0) < 1e-6);
            for (int j = 1; j < FLOATS; j++)
                assert_true(x[i * FLOATS + j] == x[i * FLOATS]);
        }
        /* Picture 3 is the only one of its class: its own share is its target, unless it is its
         * own partner; its value is then 3 share + partner (1 - share). */
        const double share = (double)targets[3 * CLASSES + 3];
        if (share < 0.999) {
            const double partner = ((double)x[3 * FLOATS] - 3.0 * share) / (1.0 - share);
            assert_true(fabs(partner - rint(partner)) < 2e-3 && rint(partner) != 3.0);
        }
        mean += share / 2000.0;
        low += (share < 0.1) / 2000.0;
    }
    /* A Beta(0.2, 0.2) has mean 1/2 and lies below 0.1 in 0.356 of cases; one of six is alone. */
    assert_true(fabs(mean - (1.0 / 6.0 + 5.0 / 12.0)) < 0.03);
    assert_true(fabs(low - 5.0 / 6.0 * 0.356) < 0.03);
}

static void cutmix_cuts_a_rectangle(void **state)
{
    (void)state;
    for (uint64_t s = 0; s < 500; s++) {
        assert_int_equal(mix("cutmix:alpha=1", s), HR_AUGMENT_CUTMIX);
        for (int i = 0; i < N; i++) {
            double share;
            const int partner = partner_of(i, &share);
            int top = H, bottom = -1, left = W, right = -1, count = 0;
            for (int j = 0; j < H * W; j++) {
                assert_true(x[i * FLOATS + j] == x[i * FLOATS + 2 * H * W + j]);
                if (x[i * FLOATS + j] == (float)i)
                    continue;
                top = j / W < top ? j / W : top;
                bottom = j / W > bottom ? j / W : bottom;
                left = j % W < left ? j % W : left;
                right = j % W > right ? j % W : right;
                count++;
            }
            assert_int_equal(count, count ? (bottom - top + 1) * (right - left + 1) : 0);
            if (partner != i)
                check_targets(i, partner, share);
        }
    }
}

static void fmix_takes_its_share_of_pixels(void **state)
{
    (void)state;
    for (uint64_t s = 0; s < 200; s++) {
        assert_int_equal(mix("fmix", s), HR_AUGMENT_FMIX);
        for (int i = 0; i < N; i++) {
            double share;
            const int partner = partner_of(i, &share);
            const double target = (double)targets[i * CLASSES + i % CLASSES];
            if (partner != i && partner % CLASSES != i % CLASSES)
                assert_true(fabs(target - share) < 1.0 / (H * W) + 1e-6);
        }
    }
}

/* The mask against the sum over all frequencies, written out. */
static double cloud(const double *spectrum, int h, int w, int y, int x_)
{
    double sum = 0.0;
    for (int k = 0; k < h; k++)
        for (int l = 0; l <= w / 2; l++) {
            const double angle = 6.283185307179586 * ((double)(k * y) / h + (double)(l * x_) / w);
            const double *c = spectrum + 2 * (k * (w / 2 + 1) + l);
            sum += (l == 0 || 2 * l == w ? 1.0 : 2.0) * (c[0] * cos(angle) - c[1] * sin(angle));
        }
    return sum;
}

static void check_mask(int h, int w)
{
    struct hr_random random = hr_random_of(5, 6), again = random;
    double spectrum[2 * 16 * 16], least = INFINITY, most = -INFINITY;
    uint8_t mask[16 * 16];
    int ones = 0;
    assert_int_equal(hr_mix_mask(mask, h, w, 3.0, 50, &random), HR_OK);
    for (int k = 0; k < h; k++)
        for (int l = 0; l <= w / 2; l++) {
            const double fy = (2 * k < h ? k : k - h) / (double)h, fx = l / (double)w;
            const double f = fmax(hypot(fx, fy), 1.0 / (h > w ? h : w));
            for (int part = 0; part < 2; part++)
                spectrum[2 * (k * (w / 2 + 1) + l) + part] = hr_random_normal(&again) / (f * f * f);
        }
    for (int i = 0; i < h * w; i++) {
        const double value = cloud(spectrum, h, w, i / w, i % w);
        ones += mask[i];
        least = mask[i] && value < least ? value : least;
        most = !mask[i] && value > most ? value : most;
    }
    assert_int_equal(ones, 50);
    assert_true(least >= most - 1e-9);
}

static void masks_are_clouds(void **state)
{
    (void)state;
    check_mask(12, 16);
    check_mask(13, 9);
}

static void one_is_drawn_by_its_chance(void **state)
{
    int counts[HR_AUGMENT_KINDS + 1] = { 0 };
    (void)state;
    for (uint64_t s = 0; s < 2000; s++)
        counts[mix("mixup:p=0.5;cutmix:p=0.3;gray", s)]++;
    assert_true(abs(counts[HR_AUGMENT_MIXUP] - 1000) < 70);
    assert_true(abs(counts[HR_AUGMENT_CUTMIX] - 600) < 65);
    assert_true(abs(counts[HR_AUGMENT_KINDS] - 400) < 60);
    assert_int_equal(mix("mixup:p=0", 1), HR_AUGMENT_KINDS);
    for (int i = 0; i < N; i++)
        check_targets(i, i, 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixup_mixes_values_as_it_mixes_labels),
        cmocka_unit_test(cutmix_cuts_a_rectangle),
        cmocka_unit_test(fmix_takes_its_share_of_pixels),
        cmocka_unit_test(masks_are_clouds),
        cmocka_unit_test(one_is_drawn_by_its_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
