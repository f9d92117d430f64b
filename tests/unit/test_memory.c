/* SPDX-License-Identifier: Apache-2.0
 * Placing values in the arena: nothing alive overlaps, nothing is wasted that need not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "plan/memory.h"

static size_t place(struct hr_block *blocks, size_t count)
{
    size_t bytes = 0;
    assert_int_equal(hr_memory_place(blocks, count, &bytes), HR_OK);
    assert_int_equal(bytes % 64, 0);
    return bytes;
}

static void a_chain_needs_two_places(void **state)
{
    (void)state;
    struct hr_block chain[8];
    for (size_t i = 0; i < HR_COUNT(chain); i++)
        chain[i] = (struct hr_block){ "v", 1000, 0, i, i + 1, -1, 0 };
    assert_int_equal(place(chain, HR_COUNT(chain)), 2 * 1024);
}

static void taking_over_shares_the_place(void **state)
{
    (void)state;
    struct hr_block chain[8];
    for (size_t i = 0; i < HR_COUNT(chain); i++)
        chain[i] = (struct hr_block){ "v", 1000, 0, i, i + 1, (int32_t)i - 1, 0 };
    assert_int_equal(place(chain, HR_COUNT(chain)), 1024);
    /* Counted once at each hand-over. */
    for (size_t step = 0; step <= HR_COUNT(chain); step++)
        assert_int_equal(hr_memory_alive(chain, HR_COUNT(chain), step), 1024);
}

static void small_blocks_fill_gaps(void **state)
{
    (void)state;
    /* The first lives throughout; the second dies early and leaves a gap for two small ones. */
    struct hr_block blocks[] = {
        { "long", 512, 0, 0, 9, -1, 0 },  { "short", 256, 0, 0, 3, -1, 0 },
        { "a", 128, 0, 5, 9, -1, 0 },     { "b", 128, 0, 5, 9, -1, 0 },
        { "outside", 0, 0, 0, 9, -1, 0 },
    };
    assert_int_equal(place(blocks, HR_COUNT(blocks)), 768);
    assert_int_equal(hr_memory_alive(blocks, HR_COUNT(blocks), 2), 768);
    assert_int_equal(hr_memory_alive(blocks, HR_COUNT(blocks), 4), 512);
}

static void nothing_to_place(void **state)
{
    (void)state;
    assert_int_equal(place(NULL, 0), 0);
    struct hr_block outside = { "input", 0, 0, 0, 100, -1, 0 };
    assert_int_equal(place(&outside, 1), 0);
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Which block's memory is it in the end? */
static int32_t root(const struct hr_block *blocks, int32_t i)
{
    while (blocks[i].onto >= 0)
        i = blocks[i].onto;
    return i;
}

static void check_no_overlap(const struct hr_block *b, int32_t count, size_t arena)
{
    for (int32_t i = 0; i < count; i++) {
        assert_int_equal(b[i].offset % 64, 0);
        assert_true(b[i].offset + b[i].bytes <= arena);
        if (b[i].onto >= 0)
            assert_int_equal(b[i].offset, b[b[i].onto].offset);
        for (int32_t j = 0; j < i; j++) {
            const bool together = b[i].first <= b[j].last && b[j].first <= b[i].last;
            const bool apart =
                b[i].offset + b[i].bytes <= b[j].offset || b[j].offset + b[j].bytes <= b[i].offset;
            if (together && root(b, i) != root(b, j))
                assert_true(apart);
        }
    }
}

static void random_lifetimes_never_overlap(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 200; seed++) {
        struct hr_block b[40];
        uint32_t random = seed;
        const int32_t count = 1 + (int32_t)(next(&random) % HR_COUNT(b));
        size_t peak = 0;
        for (int32_t i = 0; i < count; i++) {
            b[i] = (struct hr_block){ "v", 1 + next(&random) % 5000, 0, (size_t)i, 0, -1, 0 };
            b[i].last = b[i].first + next(&random) % 10;
            const int32_t from = i > 0 ? (int32_t)(next(&random) % (uint32_t)i) : -1;
            if (from >= 0 && b[from].last == b[i].first && next(&random) % 2) {
                b[i].onto = from;
                for (int32_t j = 0; j < i; j++)
                    if (b[j].onto == from)
                        b[i].onto = -1; /* one heir only */
                if (b[i].onto >= 0)
                    b[i].bytes = b[from].bytes;
            }
        }
        const size_t arena = place(b, (size_t)count);
        check_no_overlap(b, count, arena);
        for (size_t step = 0; step < 60; step++) {
            const size_t alive = hr_memory_alive(b, (size_t)count, step);
            peak = alive > peak ? alive : peak;
        }
        assert_true(arena >= peak);
        assert_true(arena <= 2 * peak);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_needs_two_places),
        cmocka_unit_test(taking_over_shares_the_place),
        cmocka_unit_test(small_blocks_fill_gaps),
        cmocka_unit_test(nothing_to_place),
        cmocka_unit_test(random_lifetimes_never_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
