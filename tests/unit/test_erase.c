/* SPDX-License-Identifier: Apache-2.0
 * What is taken away of a picture: shapes, shares, chances. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "train/erase.h"

#define H 40
#define W 56

static float x[3][H][W];

struct box {
    int top, bottom, left, right, count; /* of what is not 1 any more; bottom and right inclusive */
};

/* Fills x with ones, applies the step, finds what changed; planes agree on where. */
static struct box apply(const char *text, uint64_t seed)
{
    struct hr_augment_chain chain = { 0 };
    struct hr_random random = hr_random_of(11, seed);
    struct box b = { H, -1, W, -1, 0 };
    assert_int_equal(hr_augment_parse(&chain, text), HR_OK);
    for (int i = 0; i < 3 * H * W; i++)
        (&x[0][0][0])[i] = 1.0f;
    assert_int_equal(hr_erase_apply(&chain.steps[0], &random, &x[0][0][0], H, W), HR_OK);
    for (int i = 0; i < H; i++)
        for (int j = 0; j < W; j++) {
            assert_int_equal(x[0][i][j] != 1.0f, x[1][i][j] != 1.0f);
            assert_int_equal(x[0][i][j] != 1.0f, x[2][i][j] != 1.0f);
            if (x[0][i][j] == 1.0f)
                continue;
            b.top = i < b.top ? i : b.top;
            b.bottom = i > b.bottom ? i : b.bottom;
            b.left = j < b.left ? j : b.left;
            b.right = j > b.right ? j : b.right;
            b.count++;
        }
    return b;
}

static int area(const struct box *b)
{
    return (b->bottom - b->top + 1) * (b->right - b->left + 1);
}

static void erasing_takes_one_rectangle_of_its_area(void **state)
{
    double sum = 0.0;
    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        const struct box b = apply("erasing:mean=-2", i);
        const double share = (double)b.count / (H * W);
        const double aspect = (double)(b.bottom - b.top + 1) / (b.right - b.left + 1);
        assert_int_equal(b.count, area(&b));
        assert_true(share > 0.012 && share < 0.43);
        assert_true(aspect > 0.2 && aspect < 4.5);
        assert_true(x[1][b.top][b.left] == -2.0f && x[2][b.bottom][b.right] == -2.0f);
        sum += share / 2000.0;
    }
    assert_true(sum > 0.17 && sum < 0.22); /* 0.21, less what does not fit */
}

static void erasing_with_noise(void **state)
{
    double sum = 0.0, squares = 0.0;
    (void)state;
    struct box b = apply("erasing:mode=rand,least=0.3,most=0.3", 3);
    assert_true(x[0][b.top][b.left] == x[0][b.bottom][b.right]);
    assert_true(x[0][b.top][b.left] != x[1][b.top][b.left]);
    b = apply("erasing:mode=pixel,least=0.39,most=0.4,log=1", 3);
    for (int i = b.top; i <= b.bottom; i++)
        for (int j = b.left; j <= b.right; j++) {
            sum += (double)x[2][i][j] / b.count;
            squares += (double)x[2][i][j] * (double)x[2][i][j] / b.count;
        }
    assert_true(fabs(sum) < 0.15 && fabs(squares - 1.0) < 0.25);
}

static void cutout_is_half_a_picture_unless_told(void **state)
{
    int whole = 0, clipped = 0;
    (void)state;
    for (uint64_t i = 0; i < 500; i++) {
        const struct box b = apply("cutout", i);
        const int high = b.bottom - b.top + 1, wide = b.right - b.left + 1;
        assert_int_equal(b.count, area(&b));
        assert_true(high <= 20 && wide <= 20 && high >= 10 && wide >= 10);
        whole += high == 20 && wide == 20;
        clipped += high < 20 || wide < 20;
        const struct box c = apply("cutout:length=8,fill=0.5", i);
        assert_true(c.count <= 64 && x[0][c.top][c.left] == 0.5f);
    }
    assert_true(whole > 100 && clipped > 100);
}

static void hiding_takes_half_of_the_cells(void **state)
{
    double share = 0.0;
    int untouched = 0;
    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        const struct box b = apply("hide:scale=0.25", i);
        share += (double)b.count / (H * W) / 2000.0;
        untouched += b.count == 0;
        assert_int_equal(b.count > 0 ? b.top % 2 == 0 || b.top % 11 == 0 : 1, 1);
    }
    assert_true(fabs(share - 0.4) < 0.02); /* half, but for the fifth without a grid */
    assert_true(untouched > 330 && untouched < 470);
    assert_int_equal(apply("hide:chance=0", 1).count, 0);
}

/* Bars of half the period each way leave a quarter; with mode 1 the quarter goes. */
static void a_grid_leaves_a_quarter(void **state)
{
    double share = 0.0, inverse = 0.0, turned = 0.0;
    (void)state;
    for (uint64_t i = 0; i < 500; i++) {
        share += (double)apply("gridmask:d1=8,d2=20", i).count / (H * W) / 500.0;
        inverse += (double)apply("gridmask:d1=8,d2=20,mode=1", i).count / (H * W) / 500.0;
        turned += (double)apply("gridmask:d1=8,d2=20,rotate=90", i).count / (H * W) / 500.0;
    }
    assert_true(fabs(share - 0.75) < 0.02 && fabs(share + inverse - 1.0) < 1e-9);
    assert_true(turned > 0.73 && turned < 0.85); /* corners that a turned mask lacks are gone */
    const struct box b = apply("gridmask:d1=10,d2=10,ratio=0.3", 7);
    int bars = 0; /* a row that is not all gone: three of ten columns are */
    for (int i = 0; i < H; i++) {
        int gone = 0;
        for (int j = 0; j < 50; j++)
            gone += x[0][i][j] == 0.0f;
        assert_true(gone == 50 || gone == 15);
        bars += gone == 50;
    }
    assert_int_equal(bars, 12);
    assert_true(b.count > 0);
    apply("gridmask", 1); /* lengths as of 224 px */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(erasing_takes_one_rectangle_of_its_area),
        cmocka_unit_test(erasing_with_noise),
        cmocka_unit_test(cutout_is_half_a_picture_unless_told),
        cmocka_unit_test(hiding_takes_half_of_the_cells),
        cmocka_unit_test(a_grid_leaves_a_quarter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
