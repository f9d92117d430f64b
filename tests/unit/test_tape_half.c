/* SPDX-License-Identifier: Apache-2.0
 * Activations that wait in 16 bits: what backward makes again lets the same values pass as forward
 * did; without them it is the same, also where all of it is made again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/cpu.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/hrnet.h"
#include "model/model.h"
#include "train/tape_build.h"

#define SIZE    64
#define BATCH   4
#define CLASSES 3
#define MOST    1024

/* Forward's results by layer, as hashes of their bits, and of which are positive. */
struct seen {
    const struct hr_tape *tape;
    size_t step, count, again;
    const char *names[MOST];
    enum hr_tape_kind kinds[MOST];
    uint64_t bits[MOST], positive[MOST];
    bool same_bits; /* wanted */
};

static void hashes(const struct hr_tape *tape, const struct hr_tape_step *step, uint64_t *bits,
                   uint64_t *positive)
{
    const float *const x =
        (const float *)(const void *)(tape->arena + tape->blocks[step->writes].offset);
    bool relu = true;
    *bits = *positive = 1;
    for (size_t i = 0; i < BATCH * step->floats; i++) {
        uint32_t word;
        memcpy(&word, &x[i], sizeof word);
        *bits = hr_hash_mix(*bits ^ word);
        *positive = hr_hash_mix(*positive ^ (x[i] > 0.0f));
        relu = relu && !(x[i] < 0.0f);
    }
    *positive = relu ? *positive : 0; /* any, without a ReLU behind it */
}

static void observe(void *context, enum hr_tape_kind kind, const char *layer, const char *kernel,
                    uint64_t nanoseconds)
{
    struct seen *const s = context;
    const struct hr_tape_step *const step = &s->tape->steps[s->step++];
    uint64_t bits, positive;
    (void)kernel, (void)nanoseconds;
    assert_string_equal(step->name, layer);
    if (kind == HR_TAPE_CONV || kind == HR_TAPE_NORM) {
        assert_true(s->count < MOST);
        s->names[s->count] = layer;
        s->kinds[s->count] = kind;
        hashes(s->tape, step, &s->bits[s->count], &s->positive[s->count]);
        s->count++;
        return;
    }
    if (kind != HR_TAPE_CONV_AGAIN && kind != HR_TAPE_NORM_AGAIN)
        return;
    const enum hr_tape_kind first = kind == HR_TAPE_CONV_AGAIN ? HR_TAPE_CONV : HR_TAPE_NORM;
    size_t i = 0;
    while (i < s->count && (s->kinds[i] != first || strcmp(s->names[i], layer) != 0))
        i++;
    assert_true(i < s->count);
    hashes(s->tape, step, &bits, &positive);
    const bool norm = kind == HR_TAPE_NORM_AGAIN;
    if ((norm && positive != s->positive[i]) || (s->same_bits && bits != s->bits[i]))
        fail_msg("%s is made again otherwise", layer);
    s->again++;
}

static void run(enum hr_half half, bool recompute, const char *architecture)
{
    const struct hr_hrnet_options net = { BATCH, SIZE, SIZE, CLASSES, HR_FUSE_PADDLE };
    struct seen seen = { .same_bits = !half };
    const struct hr_zoo_row *row;
    struct hr_graph *graph = NULL;
    struct hr_tape *tape = NULL;
    struct hr_kernels kernels;
    struct hr_store *weights = NULL;
    hr_kernels_init(&kernels, hr_cpu_get()->flags);
    assert_int_equal(hr_zoo_find(&row, architecture), HR_OK);
    assert_int_equal(hr_hrnet_build(&graph, row, &net), HR_OK);
    const struct hr_tape_options options = {
        .kernels = &kernels, .half = half, .recompute = recompute, .momentum = 0.9f
    };
    assert_int_equal(hr_tape_create(&tape, graph, &options), HR_OK);
    hr_graph_destroy(graph);
    const size_t floats = hr_tape_floats(tape);
    float *const params = hr_mem_alloc(floats, sizeof *params);
    float *const gradients = hr_mem_alloc(floats, sizeof *gradients);
    float *const x = hr_mem_alloc((size_t)BATCH * 3 * SIZE * SIZE, sizeof *x);
    float logits[BATCH * CLASSES], dlogits[BATCH * CLASSES];
    assert_int_equal(hr_synthetic_weights(&weights, row, CLASSES), HR_OK);
    assert_int_equal(hr_tape_load(tape, weights, params), HR_OK);
    hr_store_destroy(weights);
    hr_synthetic_fill(x, (size_t)BATCH * 3 * SIZE * SIZE, "halves");
    for (size_t i = 0; i < HR_COUNT(dlogits); i++)
        dlogits[i] = i % 2 ? 0.1f : -0.1f;
    seen.tape = tape;
    hr_tape_observe(tape, observe, &seen);
    hr_tape_forward(tape, params, BATCH, x, logits);
    hr_tape_backward(tape, params, dlogits, gradients, NULL);
    assert_true(seen.again > 20);
    hr_mem_free(params);
    hr_mem_free(gradients);
    hr_mem_free(x);
    hr_tape_destroy(tape);
}

static void relus_let_the_same_values_pass(void **state)
{
    (void)state;
    run(HR_HALF_BF16, false, "hrnet_w18_small");
    run(HR_HALF_F16, false, "SE_HRNet_W18_C");
    run(HR_HALF_BF16, true, "SE_HRNet_W18_C");
    run(HR_HALF_F16, true, "hrnet_w18_small");
}

static void what_is_recomputed_is_what_was(void **state)
{
    (void)state;
    run(HR_HALF_NONE, false, "hrnet_w18_small");
    run(HR_HALF_NONE, true, "SE_HRNet_W18_C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relus_let_the_same_values_pass),
        cmocka_unit_test(what_is_recomputed_is_what_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
