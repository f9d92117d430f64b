/* SPDX-License-Identifier: Apache-2.0
 * Checks every kernel of every rung against the references, and times them.
 *   check_kernels                      all checks
 *   check_kernels --filter TEXT        only kernels with TEXT in their name
 *   check_kernels --case NAME "NUMBERS"  the one case that a failure printed
 *   check_kernels --bench [--width W] [--batch N] [--filter TEXT]   CSV
 *   check_kernels --errors [--width W]   CSV: distance from float64 on real layers */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"

#define CANARY_FLOATS                                                          \
    32 /* on each side; a NaN, so that one read too many shows in sums as well \
        */
#define CANARY_BITS 0x7fc0beefu

void *check_bytes(size_t bytes)
{
    void *const block = aligned_alloc(64, (bytes + 64) / 64 * 64);
    if (!block) {
        fprintf(stderr, "check_kernels: out of memory\n");
        exit(2);
    }
    memset(block, 0xa5, bytes);
    return block;
}

static void canary_put(float *at)
{
    const uint32_t bits = CANARY_BITS;
    for (size_t i = 0; i < CANARY_FLOATS; i++)
        memcpy(at + i, &bits, sizeof bits);
}

float *check_buffer(size_t count)
{
    float *const block = check_bytes((count + 2 * CANARY_FLOATS) * sizeof(float));
    canary_put(block);
    canary_put(block + CANARY_FLOATS + count);
    return block + CANARY_FLOATS;
}

bool check_canary(const float *buffer, size_t count)
{
    for (size_t i = 0; i < CANARY_FLOATS; i++) {
        const float *const sides[2] = { buffer - CANARY_FLOATS + i, buffer + count + i };
        for (size_t s = 0; s < 2; s++) {
            uint32_t bits;
            memcpy(&bits, sides[s], sizeof bits);
            if (bits != CANARY_BITS)
                return false;
        }
    }
    return true;
}

void check_free(float *buffer)
{
    if (buffer)
        free(buffer - CANARY_FLOATS);
}

uint32_t check_random(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)*seed * below >> 32);
}

static float uniform(uint32_t *seed)
{
    return (float)((int32_t)check_random(seed, 1u << 24) - (1 << 23)) * 0x1p-23f;
}

void check_fill(float *x, size_t count, enum check_fill fill, uint32_t *seed)
{
    for (size_t i = 0; i < count; i++) {
        const float value = uniform(seed);
        const uint32_t pick = check_random(seed, 16);
        switch (fill) {
        case FILL_ZERO:
            x[i] = pick & 1 ? 0.0f : -0.0f;
            break;
        case FILL_HUGE:
            x[i] = pick < 8 ? value : value * 3e38f;
            break;
        case FILL_DENORMAL:
            x[i] = pick < 8 ? value * 1e-19f : value * 1e-40f;
            break;
        case FILL_INFINITE:
            x[i] = pick ? value : copysignf(INFINITY, value);
            break;
        default:
            x[i] = value;
        }
    }
}

bool check_same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

void hr_kernels_simde_avx2(struct hr_kernels *kernels);
void hr_kernels_simde_avx512(struct hr_kernels *kernels);

/* For rungs whose instructions (`need`) this CPU lacks: the same files on portable intrinsics. */
static const struct hr_isa simde_rungs[] = {
#if CHECK_SIMDE
    { "avx2-simde", HR_CPU_AVX2, hr_kernels_simde_avx2 },
    { "avx512-simde", HR_CPU_AVX512, hr_kernels_simde_avx512 },
#endif
    { NULL, 0, NULL },
};

static bool wanted(const struct check *check, const char *name)
{
    return !check->filter || strstr(name, check->filter);
}

/* What `rung` adds to the references. */
static void check_rung(struct check *check, const struct hr_isa *rung)
{
    struct hr_kernels base, own;
    hr_kernels_init(&base, 0);
    own = base;
    own.conv_count = 0;
    rung->overlay(&own);
    check->rung = rung->name;
    check->vector = own.eltwise.vector_floats;
    const size_t before = check->ran;
    for (size_t i = 0; i < own.conv_count; i++)
        if (own.conv[i] != &hr_conv_ref && wanted(check, own.conv[i]->name))
            check_conv(check, own.conv[i]);
    if (own.linear != base.linear && wanted(check, own.linear->name))
        check_linear(check, own.linear);
    if (own.eltwise.sum != base.eltwise.sum && wanted(check, "eltwise"))
        check_eltwise(check, &own.eltwise);
    if (own.train.norm.stats != base.train.norm.stats && wanted(check, "train"))
        check_train(check, &base, &own);
    printf("%-14s %6zu cases\n", rung->name, check->ran - before);
}

static int repeat_case(struct check *check, const char *name, const char *text)
{
    const uint32_t host = hr_cpu_get()->flags;
    for (size_t r = 0; r < hr_isa_count + HR_COUNT(simde_rungs) - 1; r++) {
        const struct hr_isa *const rung =
            r < hr_isa_count ? &hr_isa_ladder[r] : &simde_rungs[r - hr_isa_count];
        if (((host & rung->need) == rung->need) != (r < hr_isa_count))
            continue;
        struct hr_kernels own = { 0 };
        rung->overlay(&own);
        check->rung = rung->name;
        check->vector = own.eltwise.vector_floats;
        for (size_t i = 0; i < own.conv_count; i++)
            if (strcmp(own.conv[i]->name, name) == 0)
                check_conv_case(check, own.conv[i], text);
        if (own.linear && strcmp(own.linear->name, name) == 0)
            check_linear_case(check, own.linear, text);
    }
    printf("%zu cases, %zu failed\n", check->ran, check->failed);
    return check->ran == 0 || check->failed > 0;
}

int main(int argc, char **argv)
{
    struct check check = { 0 };
    bool bench = false, errors = false;
    int width = 18, batch = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0)
            bench = true;
        else if (strcmp(argv[i], "--errors") == 0)
            errors = true;
        else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
            check.filter = argv[++i];
        else if (strcmp(argv[i], "--width") == 0 && i + 1 < argc)
            width = atoi(argv[++i]);
        else if (strcmp(argv[i], "--batch") == 0 && i + 1 < argc)
            batch = atoi(argv[++i]);
        else if (strcmp(argv[i], "--case") == 0 && i + 2 < argc)
            return repeat_case(&check, argv[i + 1], argv[i + 2]);
        else {
            fprintf(stderr, "usage: check_kernels [--filter TEXT] [--case NAME NUMBERS] "
                            "[--bench [--width W] [--batch N]] [--errors [--width W]]\n");
            return 2;
        }
    }
    const uint32_t host = hr_cpu_get()->flags;
    if (bench || errors) {
        struct hr_kernels kernels;
        hr_kernels_init(&kernels, host);
        if (bench)
            bench_conv(&kernels, width, (size_t)batch, check.filter);
        else
            errors_print(&kernels, width);
        return 0;
    }
    for (size_t r = 0; r < hr_isa_count; r++)
        if ((host & hr_isa_ladder[r].need) == hr_isa_ladder[r].need)
            check_rung(&check, &hr_isa_ladder[r]);
        else
            printf("%-14s not on this CPU\n", hr_isa_ladder[r].name);
    for (size_t r = 1; !check.filter && r < hr_isa_count; r++) {
        struct hr_kernels kernels;
        uint32_t flags = 0;
        for (size_t i = 0; i <= r; i++)
            flags |= hr_isa_ladder[i].need;
        hr_kernels_init(&kernels, host & flags);
        if (strcmp(kernels.isa, hr_isa_ladder[r].name) == 0)
            check_errors(&check, &kernels);
    }
    check.slow = true;
    for (size_t r = 0; simde_rungs[r].name; r++)
        if ((host & simde_rungs[r].need) != simde_rungs[r].need)
            check_rung(&check, &simde_rungs[r]);
    printf("%zu cases, %zu failed\n", check.ran, check.failed);
    return check.failed > 0;
}
