/* SPDX-License-Identifier: Apache-2.0
 * Learning rates against their formulas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "train/schedule.h"

#define EPOCHS 90
#define STEPS  20

static void is(double rate, double want)
{
    if (!(fabs(rate - want) <= 1e-12))
        print_error("%.17g is not %.17g\n", rate, want);
    assert_true(fabs(rate - want) <= 1e-12);
}

static struct hr_schedule of(enum hr_schedule_kind kind)
{
    return hr_schedule_defaults(kind, 0.4, EPOCHS, STEPS);
}

static void constant_linear_and_cosine(void **state)
{
    struct hr_schedule s = of(HR_SCHEDULE_CONSTANT);
    (void)state;
    is(hr_schedule_rate(&s, 0), 0.4);
    is(hr_schedule_rate(&s, 1799), 0.4);
    s = of(HR_SCHEDULE_LINEAR);
    s.end = 0.1;
    s.power = 2.0;
    is(hr_schedule_rate(&s, 0), 0.4);
    is(hr_schedule_rate(&s, 450), 0.3 * 0.75 * 0.75 + 0.1);
    is(hr_schedule_rate(&s, 1800), 0.1);
    is(hr_schedule_rate(&s, 5000), 0.1);
    s = of(HR_SCHEDULE_COSINE);
    is(hr_schedule_rate(&s, 0), 0.4);
    is(hr_schedule_rate(&s, 600), 0.3);
    is(hr_schedule_rate(&s, 900), 0.2);
    is(hr_schedule_rate(&s, 1800), 0.0);
}

static void steps_and_pieces(void **state)
{
    static const double boundaries[] = { 30, 60, 80 }, values[] = { 0.1, 0.02, 0.5, 0.003 };
    struct hr_schedule s = of(HR_SCHEDULE_STEP);
    (void)state;
    is(hr_schedule_rate(&s, 599), 0.4);
    is(hr_schedule_rate(&s, 600), 0.04);
    is(hr_schedule_rate(&s, 1799), 0.004);
    s = of(HR_SCHEDULE_PIECEWISE);
    s.boundaries = boundaries;
    s.values = values;
    s.boundary_count = 3;
    is(hr_schedule_rate(&s, 0), 0.1);
    is(hr_schedule_rate(&s, 600), 0.02);
    is(hr_schedule_rate(&s, 1599), 0.5);
    is(hr_schedule_rate(&s, 1600), 0.003);
    s.kind = HR_SCHEDULE_MULTI_STEP;
    s.gamma = 0.5;
    is(hr_schedule_rate(&s, 599), 0.4);
    is(hr_schedule_rate(&s, 1200), 0.1);
    is(hr_schedule_rate(&s, 1700), 0.05);
}

/* PaddleClas with a learning rate: a tenth every 30 epochs, whatever else is asked for. */
static void piecewise_quirk(void **state)
{
    static const double asked[] = { 10, 20 }, rates[] = { 1, 2, 3 };
    static const double usual[] = { 30, 60, 90 }, usual_rates[] = { 0.1, 0.01, 0.001, 0.0001 };
    double boundaries[5], values[5];
    struct hr_schedule s = hr_schedule_defaults(HR_SCHEDULE_PIECEWISE, 0.1, 120, STEPS);
    (void)state;
    s.boundaries = asked;
    s.values = rates;
    s.boundary_count = 2;
    assert_true(hr_schedule_piecewise_quirk(&s, boundaries, values));
    assert_int_equal(s.boundary_count, 3);
    is(hr_schedule_rate(&s, 599), 0.1);
    is(hr_schedule_rate(&s, 600), 0.01);
    is(hr_schedule_rate(&s, 1800), 0.0001);
    s.boundaries = usual;
    s.values = usual_rates;
    assert_false(hr_schedule_piecewise_quirk(&s, boundaries, values));
    s.epochs = 30;
    (void)hr_schedule_piecewise_quirk(&s, boundaries, values);
    assert_int_equal(s.boundary_count, 0);
    is(hr_schedule_rate(&s, 599), 0.1);
}

static void cycles(void **state)
{
    struct hr_schedule s = of(HR_SCHEDULE_CYCLIC);
    (void)state;
    s.peak = 1.0;
    s.up = 2;
    s.down = 3;
    is(hr_schedule_rate(&s, 0), 0.4);
    is(hr_schedule_rate(&s, 20), 0.7);
    is(hr_schedule_rate(&s, 40), 1.0);
    is(hr_schedule_rate(&s, 60), 0.8);
    is(hr_schedule_rate(&s, 140), 1.0);
    s = of(HR_SCHEDULE_COSINE_FIXMATCH);
    is(hr_schedule_rate(&s, 900), 0.4 * cos(3.14159265358979323846 * 7 / 32));
    s.cycles = 1.0;
    is(hr_schedule_rate(&s, 1500), 0.0);
    s = hr_schedule_defaults(HR_SCHEDULE_ONE_CYCLE, 1.0, 1, 100);
    is(hr_schedule_rate(&s, 0), 0.04);
    is(hr_schedule_rate(&s, 29), 1.0);
    is(hr_schedule_rate(&s, 64), 0.0001 + 0.9999 / 2);
    is(hr_schedule_rate(&s, 99), 0.0001);
}

static void warm_up_comes_first(void **state)
{
    struct hr_schedule s = of(HR_SCHEDULE_COSINE);
    (void)state;
    s.warmup_epochs = 5;
    s.warmup_start = 0.1;
    is(hr_schedule_rate(&s, 0), 0.1);
    is(hr_schedule_rate(&s, 50), 0.25);
    is(hr_schedule_rate(&s, 100), 0.4);
    is(hr_schedule_rate(&s, 950), 0.2); /* 850 of 1700 */
    s.by_epoch = true;
    is(hr_schedule_rate(&s, 19), 0.1);
    is(hr_schedule_rate(&s, 20), 0.16);
    is(hr_schedule_rate(&s, 99), 0.34);
    is(hr_schedule_rate(&s, 100), 0.4);
    is(hr_schedule_rate(&s, 119), 0.4);
    is(hr_schedule_rate(&s, 120), 0.2 * (1.0 + cos(3.14159265358979323846 / 85)));
}

static void plateaus(void **state)
{
    struct hr_plateau p = hr_plateau_of(1.0, false);
    (void)state;
    p.patience = 2;
    p.cooldown = 1;
    p.least_rate = 0.05;
    for (int i = 0; i < 3; i++)
        hr_plateau_tell(&p, 1.0); /* first seen, then bad twice */
    is(p.rate, 1.0);
    hr_plateau_tell(&p, 0.99995); /* within the threshold */
    is(p.rate, 0.1);
    for (int i = 0; i < 3; i++)
        hr_plateau_tell(&p, 2.0); /* one of rest, two bad */
    is(p.rate, 0.1);
    hr_plateau_tell(&p, 0.5);
    for (int i = 0; i < 3; i++)
        hr_plateau_tell(&p, 0.6);
    is(p.rate, 0.05);
    p = hr_plateau_of(1.0, true);
    p.patience = 0;
    hr_plateau_tell(&p, 0.5);
    hr_plateau_tell(&p, 0.6);
    is(p.rate, 1.0);
    hr_plateau_tell(&p, 0.6);
    is(p.rate, 0.1);
}

/* The rates of a line of schedules.txt, which PaddlePaddle's own schedules gave. */
static void as_paddle(char *line)
{
    static const double metrics[] = { .5, .6, .6, .60003, .59, .7, .7, .7, .2, .9, .9, .9 };
    char *rest = NULL;
    const char *const text = strtok_r(line, "\t", &rest);
    struct hr_schedule_words w;
    assert_int_equal(hr_schedule_parse(&w, text, 0.4, 12, 5), HR_OK);
    w.schedule.warmup_epochs = atof(strtok_r(NULL, "\t", &rest));
    assert_int_equal(hr_schedule_check(&w.schedule), HR_OK);
    const bool waits = w.schedule.kind == HR_SCHEDULE_PLATEAU;
    uint64_t at = 0;
    for (const char *rate; (rate = strtok_r(NULL, "\t", &rest)); at++) {
        const double got = waits ? w.plateau.rate
                                 : hr_schedule_rate(&w.schedule, w.schedule.by_epoch ? at * 5 : at);
        if (fabs(got - atof(rate)) > 1e-12)
            print_error("%s, %llu: %.17g is not %s\n", text, (unsigned long long)at, got, rate);
        assert_true(fabs(got - atof(rate)) <= 1e-12);
        if (waits)
            hr_plateau_tell(&w.plateau, metrics[at]);
    }
    assert_int_equal(at, w.schedule.by_epoch ? 12 : 60);
}

static void rates_are_paddles(void **state)
{
    char line[4096];
    size_t count = 0;
    FILE *const file = fopen(HRNET_TESTS_DIR "/data/paddle/optim/schedules.txt", "r");
    (void)state;
    assert_non_null(file);
    for (; fgets(line, sizeof line, file); count++)
        as_paddle(line);
    fclose(file);
    assert_int_equal(count, 29);
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const double falling[] = { 2, 1 }, values[] = { 1, 1, 1 };
    struct hr_schedule s[6];
    static const char *const words[] = { "rate",     "no steps", "warm-up",
                                         "boundary", "lengths",  "needs boundaries" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(s); i++)
        s[i] = of(HR_SCHEDULE_STEP);
    assert_int_equal(hr_schedule_check(&s[0]), HR_OK);
    s[0].rate = NAN;
    s[1].steps_per_epoch = 0;
    s[2].warmup_epochs = 91;
    s[3].kind = HR_SCHEDULE_PIECEWISE;
    s[3].boundaries = falling;
    s[3].values = values;
    s[3].boundary_count = 2;
    s[4].every = 0;
    s[5].kind = HR_SCHEDULE_PIECEWISE;
    for (size_t i = 0; i < HR_COUNT(s); i++) {
        assert_int_equal(hr_schedule_check(&s[i]), HR_E_ARGUMENT);
        assert_non_null(strstr(hr_last_message(), words[i]));
    }
}

static struct hr_schedule_words said(const char *text)
{
    static struct hr_schedule_words w;
    assert_int_equal(hr_schedule_parse(&w, text, 0.4, EPOCHS, STEPS), HR_OK);
    assert_int_equal(hr_schedule_check(&w.schedule), HR_OK);
    return w;
}

static double rate_of(const char *text, uint64_t step)
{
    struct hr_schedule_words w = said(text);
    w.schedule.boundaries = w.boundaries.values; /* it moved */
    w.schedule.values = w.values.values;
    return hr_schedule_rate(&w.schedule, step);
}

static void words_make_schedules(void **state)
{
    (void)state;
    is(rate_of("constant", 1000), 0.4);
    is(rate_of("linear:end=0.1,power=2", 450), 0.3 * 0.75 * 0.75 + 0.1);
    is(rate_of("step:every=10,gamma=0.5", 200), 0.2);
    is(rate_of("step:every=10,gamma=0.5,by-epoch", 219), 0.2);
    is(rate_of("piecewise:at=30/60,values=0.1/0.02/0.003", 600), 0.02);
    is(rate_of("multi-step:at=30/60,gamma=0.5", 1200), 0.1);
    is(rate_of("cyclic:peak=1,up=2,down=4", 40), 1.0);
    is(rate_of("cosine-fixmatch:warmup-steps=100,cycles=0.5", 50), 0.2);
    is(rate_of("cosine-fixmatch:warmup-steps=100,cycles=0.5", 950), 0.4 * sqrt(0.5));
    is(rate_of("piecewise:paddle,at=10/20,values=1/2/3", 600), 0.04);
    const struct hr_schedule_words w = said("plateau:factor=0.5,patience=3,cooldown=2,least=1e-3");
    is(w.plateau.factor, 0.5);
    is(w.plateau.least_rate, 1e-3);
    assert_int_equal(w.plateau.patience, 3);
    assert_int_equal(w.plateau.cooldown, 2);
}

static void wrong_words_are_refused(void **state)
{
    static const char *const texts[] = {
        "cosin",        "cosine:every=3",      "piecewise:at=30,values=0.1",
        "step:every=x", "plateau:patience=-1", "piecewise:values=0.1/0.2"
    };
    struct hr_schedule_words w;
    (void)state;
    for (size_t i = 0; i < HR_COUNT(texts); i++)
        assert_int_equal(hr_schedule_parse(&w, texts[i], 0.4, EPOCHS, STEPS), HR_E_ARGUMENT);
    assert_int_equal(hr_schedule_parse(&w, "piecewise:paddle", 0.4, 1000000, STEPS), HR_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_linear_and_cosine),
        cmocka_unit_test(steps_and_pieces),
        cmocka_unit_test(piecewise_quirk),
        cmocka_unit_test(cycles),
        cmocka_unit_test(warm_up_comes_first),
        cmocka_unit_test(plateaus),
        cmocka_unit_test(rates_are_paddles),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(words_make_schedules),
        cmocka_unit_test(wrong_words_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
