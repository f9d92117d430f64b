/* SPDX-License-Identifier: Apache-2.0
 * What ranks agree on, and the gradient of a batch of which each has a part: threads are the ranks,
 * and tapes compute in double, so that what is left is the rounding of sums of float gradients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "thread_link.h"
#include "train/gradient.h"
#include "train/ranks.h"

#define CLASSES 3
#define MOST    9 /* pictures */
#define RANKS   3
#define SIDE    6
#define FLOATS  (3 * SIDE * SIDE)

/* Threads count what they find wrong: cmocka's own checks are for the main one. */
static int wrong;
static void expect(bool good)
{
    if (!good)
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
}

static const size_t shares[RANKS + 1] = { 0, 4, 7, 9 };
static const float class_weights[CLASSES] = { 1.0f, 2.0f, 0.5f };
static float pictures[MOST * FLOATS];
static int32_t labels[MOST];

static void make_pictures(void)
{
    for (size_t i = 0; i < MOST * FLOATS; i++)
        pictures[i] = (float)((i * 7919 + i / FLOATS * 31) % 211) * 0.01f - 1.0f;
    for (size_t i = 0; i < MOST; i++)
        labels[i] = (int32_t)(i * 2 % CLASSES);
}

static void share_numbers(void *context, const double *numbers, double *all, size_t count)
{
    expect(hr_reduce_share(context, numbers, all, count * sizeof *numbers) == HR_OK);
}

/* A network with norms, one of them with an addition and a ReLU behind it. */
struct network {
    struct hr_kernels kernels;
    struct hr_tape_sync sync;
    struct hr_tape *tape;
    struct hr_gradient gradient;
    struct hr_loss loss;
    float *params;
};

static void open_network(struct network *net, struct hr_reduce *reduce, bool sync, bool several)
{
    struct hr_builder b;
    struct hr_graph *graph = NULL;
    memset(net, 0, sizeof *net);
    hr_kernels_init(&net->kernels, 0);
    expect(hr_builder_start(&b) == HR_OK);
    hr_value x = hr_input(&b, MOST, 3, SIDE, SIDE);
    hr_layer(&b, "first");
    x = hr_relu(&b, hr_conv_bn(&b, x, 3, 1, 8));
    hr_layer(&b, "second");
    const hr_value beside = hr_conv_bn(&b, x, 3, 1, 8);
    x = hr_relu(&b, hr_add(&b, beside, x));
    x = hr_global_pool(&b, x);
    hr_layer(&b, "fc");
    x = hr_linear(&b, x, CLASSES);
    expect(hr_builder_finish(&b, x, &graph) == HR_OK);
    net->sync = (struct hr_tape_sync){ reduce, RANKS, share_numbers };
    const struct hr_tape_options options = {
        .kernels = &net->kernels, .wide = true, .momentum = 0.9f, .sync = sync ? &net->sync : NULL
    };
    expect(hr_tape_create(&net->tape, graph, &options) == HR_OK);
    hr_graph_destroy(graph);
    net->loss = (struct hr_loss){ .class_weights = class_weights };
    net->gradient = (struct hr_gradient){
        .tape = net->tape, .loss = &net->loss, .reduce = reduce, .own_statistics = !sync
    };
    expect(hr_gradient_init(&net->gradient, several) == HR_OK);
    net->params = hr_mem_alloc(hr_tape_floats(net->tape), sizeof(float));
    for (size_t i = 0; i < hr_tape_floats(net->tape); i++)
        net->params[i] = 0.5f + (float)((int)(i * 37 % 101) - 50) * 0.01f;
}

static void close_network(struct network *net)
{
    hr_gradient_fini(&net->gradient);
    hr_tape_destroy(net->tape);
    hr_mem_free(net->params);
}

/* Adds pictures [first, last), a batch of which all ranks have a part. */
static void add(struct network *net, struct hr_reduce *reduce, size_t first, size_t last)
{
    const struct hr_batch batch = { last - first, pictures + first * FLOATS, labels + first, NULL,
                                    NULL };
    struct hr_ranks_batch all = { .pictures = batch.n };
    all.mass = hr_gradient_mass(&net->gradient, &batch);
    expect(hr_ranks_batch(reduce, &all, 1, HR_OK) == HR_OK);
    hr_gradient_add(&net->gradient, net->params, &batch, all.mass);
}

/* What one process makes of all, and how far ranks are from it. */
struct outcome {
    bool sync, several;
    float *values, *params; /* of one process */
    double gradient_off, params_off;
};

static double off(const float *a, const float *b, size_t count)
{
    double difference = 0.0, size = 0.0;
    for (size_t i = 0; i < count; i++) {
        difference = fmax(difference, fabs((double)a[i] - (double)b[i]));
        size = fmax(size, fabs((double)b[i]));
    }
    return difference / size;
}

static void train_part(struct hr_reduce *reduce, void *context)
{
    struct outcome *const o = context;
    const size_t rank = hr_reduce_rank(reduce);
    struct network net;
    open_network(&net, reduce, o->sync, o->several);
    const size_t floats = hr_tape_floats(net.tape);
    hr_gradient_begin(&net.gradient, o->several ? 2 : 1);
    if (o->several) /* pictures 0, 1, 2 first, then two more for each */
        add(&net, reduce, rank, rank + 1);
    if (o->several)
        add(&net, reduce, RANKS + 2 * rank, RANKS + 2 * (rank + 1));
    else
        add(&net, reduce, shares[rank], shares[rank + 1]);
    hr_gradient_end(&net.gradient, net.params);
    expect(hr_reduce_status(reduce) == HR_OK);
    const double gradient = off(net.gradient.values, o->values, floats);
    const double params = off(net.params, o->params, floats);
    float *all = hr_mem_alloc(RANKS, floats * sizeof *all);
    expect(hr_reduce_share(reduce, net.params, all, floats * sizeof *all) == HR_OK);
    for (size_t r = 1; r < RANKS; r++) /* running statistics, too */
        expect(memcmp(all, all + r * floats, floats * sizeof *all) == 0);
    if (rank == 0) {
        o->gradient_off = gradient;
        o->params_off = params;
    }
    hr_mem_free(all);
    close_network(&net);
}

static struct outcome compare(bool sync, bool several)
{
    struct network alone;
    struct outcome o = { .sync = sync, .several = several };
    make_pictures();
    open_network(&alone, NULL, false, several);
    hr_gradient_begin(&alone.gradient, several ? 2 : 1);
    if (several)
        add(&alone, NULL, 0, RANKS);
    add(&alone, NULL, several ? RANKS : 0, MOST);
    hr_gradient_end(&alone.gradient, alone.params);
    o.values = alone.gradient.values;
    o.params = alone.params;
    test_ranks_run(&(struct test_ranks){ RANKS, 0, -1, train_part, &o });
    close_network(&alone);
    assert_int_equal(wrong, 0);
    return o;
}

static void parts_of_a_batch_have_its_gradient(void **state)
{
    (void)state;
    wrong = 0;
    for (int several = 0; several < 2; several++) {
        const struct outcome o = compare(true, several != 0);
        assert_true(o.gradient_off < 1e-6 && o.params_off < 1e-7);
    }
    assert_true(compare(false, false).gradient_off > 1e-2); /* it can fail */
}

static void agree(struct hr_reduce *reduce, void *context)
{
    const size_t rank = hr_reduce_rank(reduce);
    struct hr_ranks_batch batch = { .pictures = 3 + rank, .left_out = rank, .mass = 0.5 };
    (void)context;
    expect(hr_ranks_batch(reduce, &batch, 3, HR_OK) == HR_OK);
    expect(batch.pictures == 12 && batch.left_out == 3);
    expect(fabs(batch.mass - 1.5) < 1e-12);
    batch = (struct hr_ranks_batch){ .pictures = 3 + rank };
    expect(hr_ranks_batch(reduce, &batch, 4, HR_OK) == HR_OK);
    expect(batch.pictures == 0 && batch.left_out == 12); /* rank 0 has too few */
    struct hr_evaluation seen = { .loss = 2.0 * (double)rank, .pictures = 2, .top1 = rank };
    expect(hr_ranks_seen(reduce, &seen, 1.0 + (double)rank, HR_OK) == HR_OK);
    expect(seen.pictures == 6 && seen.top1 == 3);
    expect(fabs(seen.loss - (0.0 * 1 + 1.0 * 2 + 2.0 * 3) / 6.0 * 6.0) < 1e-12);
    bool stop = rank == 2;
    expect(hr_ranks_stop(reduce, &stop) == HR_OK && stop);
    stop = false;
    expect(hr_ranks_stop(reduce, &stop) == HR_OK && !stop);
    expect(hr_ranks_compare(reduce, "the same") == HR_OK);
    expect(hr_ranks_compare(reduce, rank == 1 ? "a" : "b") == HR_E_MISMATCH);
    expect(strstr(hr_last_message(), "process 1 was started with other settings") != NULL);
    batch = (struct hr_ranks_batch){ .pictures = 3 };
    const enum hr_status status = rank == 1 ? hr_fail(HR_E_FORMAT, "1.jpg is bad") : HR_OK;
    expect(hr_ranks_batch(reduce, &batch, 1, status) == HR_E_FORMAT);
    expect(strcmp(hr_last_message(), "process 1 of 3: 1.jpg is bad") == 0);
}

static void all_draw_the_same_conclusions(void **state)
{
    (void)state;
    wrong = 0;
    test_ranks_run(&(struct test_ranks){ RANKS, 0, -1, agree, NULL });
    assert_int_equal(wrong, 0);
}

/* ---- A rank without memory ---- */

static _Thread_local bool starves;

static void *allocate(void *context, size_t bytes, size_t align)
{
    (void)context;
    return starves ? NULL : aligned_alloc(align, hr_round_up(bytes, align));
}

static void release(void *context, void *block)
{
    (void)context;
    free(block);
}

/* Rank 1 has none: what ranks agree on needs none, and what does fails on all. */
static void agree_without_memory(struct hr_reduce *reduce, void *context)
{
    const size_t rank = hr_reduce_rank(reduce);
    struct hr_bad_list list = { 0 };
    bool is_new;
    if (rank == 0)
        expect(hr_bad_add(&list, 5, "5.jpg: text", 2, &is_new) == HR_OK);
    starves = rank == 1;
    agree(reduce, context);
    expect(hr_ranks_give_bad(reduce, &list) == HR_E_MEMORY);
    expect(strstr(hr_last_message(), "process 1 of 3: out of memory") != NULL);
    expect(list.count == (rank == 1 ? 0 : 1));
    starves = false;
    expect(hr_reduce_agree(reduce, HR_OK) == HR_OK); /* they still march together */
    hr_bad_fini(&list);
}

static void a_rank_without_memory_is_no_lost_one(void **state)
{
    (void)state;
    wrong = 0;
    test_ranks_run(&(struct test_ranks){ RANKS, 0, -1, agree_without_memory, NULL });
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct hr_allocator allocator = { allocate, release, NULL };
    hr_mem_set_allocator(&allocator);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_a_batch_have_its_gradient),
        cmocka_unit_test(all_draw_the_same_conclusions),
        cmocka_unit_test(a_rank_without_memory_is_no_lost_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
