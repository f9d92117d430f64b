/* SPDX-License-Identifier: Apache-2.0
 * Random crops: inside the picture, of the promised shapes and areas, repeatable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/sample.h"

static struct hr_augment_step crop_of(const char *text)
{
    struct hr_augment_chain chain = { 0 };
    assert_int_equal(hr_augment_parse(&chain, text), HR_OK);
    return chain.steps[0];
}

static void crops_lie_inside(void **state)
{
    static const int64_t sizes[][2] = { { 1, 1 },     { 1, 500 },   { 500, 1 },
                                        { 640, 480 }, { 333, 500 }, { 17, 23 } };
    const struct hr_augment_step steps[] = { crop_of("crop"), crop_of("resizedcrop"),
                                             crop_of("crop:log=1,low=0.1,high=10") };
    (void)state;
    for (size_t s = 0; s < HR_COUNT(sizes); s++)
        for (uint64_t i = 0; i < 3000; i++) {
            struct hr_random random = hr_random_of(3, i);
            const struct hr_rectangle r =
                hr_sample_rectangle(&steps[i % 3], &random, sizes[s][0], sizes[s][1]);
            assert_true(r.x >= 0 && r.y >= 0 && r.width >= 1 && r.height >= 1);
            assert_true(r.x + r.width <= sizes[s][0] && r.y + r.height <= sizes[s][1]);
        }
}

static void areas_and_aspects_are_spread(void **state)
{
    double area = 0.0, smallest = 1.0, largest = 0.0, left = 0.0;
    const struct hr_augment_step step = crop_of("crop");
    (void)state;
    for (uint64_t i = 0; i < 4000; i++) {
        struct hr_random random = hr_random_of(4, i);
        const struct hr_rectangle r = hr_sample_rectangle(&step, &random, 1000, 1000);
        const double share = (double)(r.width * r.height) / 1e6;
        const double aspect = (double)r.width / (double)r.height;
        assert_true(aspect > 0.74 && aspect < 1.35);
        area += share / 4000.0;
        left += (double)r.x / (double)(1000 - r.width + 1) / 4000.0;
        smallest = share < smallest ? share : smallest;
        largest = share > largest ? share : largest;
    }
    assert_true(smallest > 0.078 && smallest < 0.09 && largest > 0.95);
    assert_true(area > 0.46 && area < 0.53); /* up to 1, or to what the aspect leaves: 0.89 */
    assert_true(fabs(left - 0.5) < 0.02);
}

static void a_sample_follows_from_its_stream(void **state)
{
    struct hr_sample_options o = { .crop = true, .least_area = 0.3, .flip = 0.5 };
    static float a[3 * 32 * 32], b[3 * 32 * 32];
    int differ = 0;
    (void)state;
    assert_int_equal(hr_recipe_named(&o.recipe, "opencv"), HR_OK);
    o.recipe.crop_width = o.recipe.crop_height = 32;
    for (uint64_t i = 0; i < 8; i++) {
        struct hr_random first = hr_random_of(1, i), second = hr_random_of(1, i);
        const char *const path = HRNET_TESTS_DIR "/data/pictures/cat_420.jpg";
        assert_int_equal(hr_sample_make(&o, path, &first, a), HR_OK);
        differ += memcmp(a, b, sizeof a) != 0;
        assert_int_equal(hr_sample_make(&o, path, &second, b), HR_OK);
        assert_memory_equal(a, b, sizeof a);
    }
    assert_int_equal(differ, 8);
}

static void without_crop_and_flip_it_is_the_recipe(void **state)
{
    struct hr_sample_options o = { .flip = 0.0 };
    struct hr_random random = hr_random_of(1, 1);
    static float x[3 * 224 * 224], flipped[3 * 224 * 224];
    const char *const path = HRNET_TESTS_DIR "/data/pictures/cat_420.jpg";
    (void)state;
    assert_int_equal(hr_recipe_named(&o.recipe, "opencv"), HR_OK);
    assert_int_equal(hr_sample_make(&o, path, &random, x), HR_OK);
    o.flip = 1.0;
    assert_int_equal(hr_sample_make(&o, path, &random, flipped), HR_OK);
    for (int row = 0; row < 3 * 224; row++)
        for (int i = 0; i < 224; i++)
            assert_true(x[row * 224 + i] == flipped[row * 224 + 223 - i]);
    assert_int_equal(hr_sample_make(&o, "/nowhere.jpg", &random, x), HR_E_NOT_FOUND);
    assert_non_null(strstr(hr_last_message(), "/nowhere.jpg"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crops_lie_inside),
        cmocka_unit_test(areas_and_aspects_are_spread),
        cmocka_unit_test(a_sample_follows_from_its_stream),
        cmocka_unit_test(without_crop_and_flip_it_is_the_recipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
