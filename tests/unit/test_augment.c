/* SPDX-License-Identifier: Apache-2.0
 * Chains of augmentations as text: defaults, ranges, timm's strings, messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "train/augment.h"

static struct hr_augment_chain chain_of(const char *text)
{
    struct hr_augment_chain chain = { 0 };
    if (hr_augment_parse(&chain, text) != HR_OK)
        fail_msg("%s: %s", text, hr_last_message());
    return chain;
}

static void defaults_are_those_of_paddleclas(void **state)
{
    const struct hr_augment_chain c = chain_of(
        "randaugment;erasing;cutout;gridmask;augmix;mixup:p=0.5;cutmix:p=0.25;fmix:p=0.25;");
    (void)state;
    assert_int_equal(c.count, 8);
    assert_true(c.steps[0].number[HR_RAND_N] == 2.0 && c.steps[0].number[HR_RAND_M] == 5.0);
    assert_true(c.steps[1].p == 0.5 && c.steps[1].number[HR_ERASE_LEAST] == 0.02 &&
                c.steps[1].number[HR_ERASE_MOST] == 0.4 &&
                c.steps[1].number[HR_ERASE_ASPECT] == 0.3 &&
                c.steps[1].number[HR_ERASE_TRIES] == 100.0);
    assert_true(c.steps[2].number[HR_CUTOUT_HOLES] == 1.0);
    assert_true(c.steps[3].number[HR_GRID_RATIO] == 0.5 && c.steps[3].p == 1.0);
    assert_true(c.steps[4].p == 0.5 && c.steps[4].number[HR_AUGMIX_COEFF] == 0.1 &&
                c.steps[4].number[HR_AUGMIX_WIDTH] == 3.0);
    assert_true(c.steps[5].number[HR_MIX_ALPHA] == 1.0 && c.steps[5].p == 0.5);
    assert_true(c.steps[6].number[HR_MIX_ALPHA] == 0.2);
    assert_true(c.steps[7].number[HR_MIX_DECAY] == 3.0);
    assert_ptr_equal(hr_augment_find(&c, HR_STAGE_FLOATS), &c.steps[1]);
    assert_null(hr_augment_find(&c, HR_STAGE_CROP));
}

static void what_is_printed_parses_to_the_same(void **state)
{
    struct hr_augment_chain all = { 0 };
    struct hr_text text = { 0 };
    (void)state;
    for (int kind = 0; kind < HR_AUGMENT_KINDS; kind++) {
        if (kind == HR_AUGMENT_RESIZED_CROP || kind == HR_AUGMENT_PAD_CROP)
            continue;
        if (all.count == HR_MAX_AUGMENTS || kind == HR_AUGMENT_MIXUP)
            break;
        assert_int_equal(hr_augment_parse(&all, hr_augment_name((enum hr_augment_kind)kind)),
                         HR_OK);
    }
    all.steps[0].number[HR_CROP_AREA] = 1.0 / 3.0;
    hr_augment_print(&all, &text);
    const struct hr_augment_chain again = chain_of(hr_text_str(&text));
    assert_int_equal(again.count, all.count);
    for (size_t i = 0; i < all.count; i++)
        assert_memory_equal(&again.steps[i], &all.steps[i], sizeof all.steps[i]);
    hr_text_fini(&text);
}

static void timm_strings_are_read_as_they_are(void **state)
{
    const struct hr_augment_step rand =
        chain_of("timm:rand-m9-n3-mstd0.5-inc1-mmax12-p0.7-w0,p=0.9,filter=random").steps[0];
    const struct hr_augment_step mix = chain_of("timm:augmix-m5-w4-d2-a0.5").steps[0];
    const struct hr_augment_step original = chain_of("timm:original-mstd0.5").steps[0];
    const struct hr_augment_step pairs = chain_of("timm:policy=v0r,m=3").steps[0];
    (void)state;
    assert_true(rand.p == 0.9 && rand.number[HR_TIMM_M] == 9.0 && rand.number[HR_TIMM_N] == 3.0);
    assert_true(rand.number[HR_TIMM_MSTD] == 0.5 && rand.number[HR_TIMM_INC] == 1.0);
    assert_true(rand.number[HR_TIMM_MMAX] == 12.0 && rand.number[HR_TIMM_CHANCE] == 0.7);
    assert_true(rand.number[HR_TIMM_WEIGHTS] == 1.0 && rand.number[HR_TIMM_FILTER] == 2.0);
    assert_true(mix.number[HR_TIMM_POLICY] == HR_TIMM_AUGMIX && mix.number[HR_TIMM_M] == 5.0);
    assert_true(mix.number[HR_TIMM_N] == 4.0 && mix.number[HR_TIMM_DEPTH] == 2.0);
    assert_true(mix.number[HR_TIMM_ALPHA] == 0.5 && mix.number[HR_TIMM_MSTD] > 100.0);
    assert_true(mix.number[HR_TIMM_BLENDED] == 0.0);
    assert_true(chain_of("timm:augmix-b1").steps[0].number[HR_TIMM_BLENDED] == 1.0);
    assert_true(chain_of("timm:rand-mstd1-tweights").steps[0].number[HR_TIMM_WEIGHTS] == 2.0);
    assert_true(chain_of("timm:rand-t3aw-m4").steps[0].number[HR_TIMM_WEIGHTS] == 4.0);
    assert_true(chain_of("timm:3a-mstd1").steps[0].number[HR_TIMM_POLICY] == HR_TIMM_THREE);
    assert_true(original.number[HR_TIMM_POLICY] == HR_TIMM_ORIGINAL);
    assert_true(original.number[HR_TIMM_MSTD] == 0.5);
    assert_true(pairs.number[HR_TIMM_POLICY] == HR_TIMM_V0R && pairs.number[HR_TIMM_M] == 3.0);
}

static void what_makes_no_sense_is_named(void **state)
{
    static const char *const bad[][2] = {
        { "randagument", "did you mean randaugment" },
        { "erasing:aera=1", "'aera' is not known" },
        { "erasing:p", "'p' is not name=value" },
        { "erasing:p=1.5", "p is '1.5': it must be a number from 0 to 1" },
        { "erasing:mode=noise", "must be one of const|rand|pixel" },
        { "erasing:least=0.5", "least 0.5 is above most 0.4" },
        { "randaugment:n=1.5", "must be a whole number" },
        { "randaugment:m=nan", "must be a number" },
        { "timm:rand-x9", "'x9' is not known" },
        { "timm:fast", "must be one of rand|original" },
        { "timm:rand-t3b", "weights is '3b': it must be one of equal|w0|weights|3a|3aw" },
        { "timm:augmix-tweights", "'tweights' is not known" },
        { "timm:rand-m9x", "'9x'" },
        { "crop;padcrop", "2 steps decide the crop" },
        { "mixup;cutmix", "add up to 2" },
        { "crop:low=2,high=1", "low 2 is above high 1" },
        { "gray;gray;gray;gray;gray;gray;gray;gray;gray;gray;gray;gray;gray;gray;gray;gray;gray",
          "more than 16 steps" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(bad); i++) {
        struct hr_augment_chain chain = chain_of("flip");
        assert_int_equal(hr_augment_parse(&chain, bad[i][0]), HR_E_ARGUMENT);
        if (!strstr(hr_last_message(), bad[i][1]))
            fail_msg("'%s' does not say '%s'", hr_last_message(), bad[i][1]);
        assert_int_equal(chain.count, 1);
    }
}

static void help_names_every_kind(void **state)
{
    struct hr_text text = { 0 };
    (void)state;
    hr_augment_help(&text);
    for (int kind = 0; kind < HR_AUGMENT_KINDS; kind++)
        assert_non_null(strstr(hr_text_str(&text), hr_augment_name((enum hr_augment_kind)kind)));
    hr_text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_paddleclas),
        cmocka_unit_test(what_is_printed_parses_to_the_same),
        cmocka_unit_test(timm_strings_are_read_as_they_are),
        cmocka_unit_test(what_makes_no_sense_is_named),
        cmocka_unit_test(help_names_every_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
