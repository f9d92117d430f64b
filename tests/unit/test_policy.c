/* SPDX-License-Identifier: Apache-2.0
 * Policies against Pillow's and timm's own operations fed with the same random numbers, bit for bit
 * (tests/data/augment/make_policies.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "train/policy.h"

#define AUGMENT HRNET_TESTS_DIR "/data/augment/"

#define W 24
#define H 20

static const uint8_t fill[3] = { 124, 116, 104 };

static struct hr_image picture(void)
{
    struct hr_image p = { 0 };
    assert_int_equal(hr_image_init(&p, W, H), HR_OK);
    for (int i = 0; i < W * H * 3; i++)
        p.pixels[i] = (uint8_t)((i % 3 * 60 + i / 3 % W * 7 + i / (3 * W) * 3) % 256);
    return p;
}

static struct hr_image made(const char *text, uint64_t seed)
{
    struct hr_augment_chain chain = { 0 };
    struct hr_random random = hr_random_of(31, seed);
    struct hr_image p = picture();
    assert_int_equal(hr_augment_parse(&chain, text), HR_OK);
    assert_int_equal(hr_policy_apply(&chain.steps[0], fill, &random, &p), HR_OK);
    assert_true(p.width == W && p.height == H);
    return p;
}

static void pictures_follow_from_their_stream(void **state)
{
    static const char *const kinds[] = { "autoaugment",
                                         "randaugment:n=2,m=9",
                                         "timm:rand-m9-mstd0.5-inc1",
                                         "timm:rand-m9-n16-w0",
                                         "timm:original-mstd0.5",
                                         "timm:v0",
                                         "timm:v0r",
                                         "timm:originalr",
                                         "timm:rand-m9-n16-tweights",
                                         "timm:rand-m9-n16-t3aw",
                                         "timm:rand-m9-t3a-p1.0",
                                         "timm:3a",
                                         "timm:augmix-m5-w4-d2",
                                         "timm:augmix-m5-w4-d2-b1",
                                         "augmix:depth=0,severity=5,coeff=1" };
    (void)state;
    for (size_t k = 0; k < HR_COUNT(kinds); k++) {
        struct hr_image plain = picture();
        int changed = 0;
        for (uint64_t seed = 0; seed < 60; seed++) {
            struct hr_image a = made(kinds[k], seed), b = made(kinds[k], seed);
            assert_memory_equal(a.pixels, b.pixels, W * H * 3);
            changed += memcmp(a.pixels, plain.pixels, W * H * 3) != 0;
            hr_image_fini(&a);
            hr_image_fini(&b);
        }
        assert_true(changed > 30);
        hr_image_fini(&plain);
    }
}

static void as_timm_and_paddleclas(void **state)
{
    const struct hr_decode_options options = hr_decode_defaults();
    FILE *list = fopen(AUGMENT "policies.txt", "r");
    char text[64], expected[72], got[65];
    unsigned seed;
    int lines = 0, wrong = 0;
    uint8_t *data = NULL;
    size_t size = 0;
    (void)state;
    assert_non_null(list);
    assert_int_equal(hr_file_read(AUGMENT "cup.ppm", options.max_bytes, &data, &size), HR_OK);
    while (fscanf(list, "%63s %u %71s", text, &seed, expected) == 3) {
        struct hr_augment_chain chain = { 0 };
        struct hr_random random = hr_random_of(31, seed);
        struct hr_image p = { 0 };
        struct hr_sha256 h;
        uint8_t digest[32];
        assert_int_equal(hr_image_decode(&p, NULL, data, size, "cup.ppm", &options), HR_OK);
        assert_int_equal(hr_augment_parse(&chain, text), HR_OK);
        assert_int_equal(hr_policy_apply(&chain.steps[0], fill, &random, &p), HR_OK);
        hr_sha256_init(&h);
        hr_sha256_update(&h, p.pixels, (size_t)(p.width * p.height) * 3);
        hr_sha256_final(&h, digest);
        hr_hex(got, digest);
        if (strcmp(got, expected) != 0) {
            print_error("%s %u differs\n", text, seed);
            wrong++;
        }
        hr_image_fini(&p);
        lines++;
    }
    fclose(list);
    hr_mem_free(data);
    assert_int_equal(wrong, 0);
    assert_int_equal(lines, 525);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_timm_and_paddleclas),
        cmocka_unit_test(pictures_follow_from_their_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
