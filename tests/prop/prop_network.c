/* SPDX-License-Identifier: Apache-2.0
 * Properties of whole networks: the same bits whatever the batch, the position in it, the number of
 * threads, the instruction set or the neighbours in other threads; a picture moved by a stride
 * moves its feature maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "network.h"
#include "scalar_network.h"

enum { BATCH = 3, CLASSES = 7, SIDE = 64, IMAGE = 3 * SIDE * SIDE };

struct fixture {
    const struct hr_zoo_row *row[2]; /* without and with squeeze-and-excitation */
    struct hr_store *weights[2];
    float x[BATCH * IMAGE];
};
static struct fixture f;

static int set_up(void **state)
{
    (void)state;
    const char *const names[] = { "hrnet_w18_small", "SE_HRNet_W18_C" };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hr_zoo_find(&f.row[i], names[i]), HR_OK);
        assert_int_equal(hr_synthetic_weights(&f.weights[i], f.row[i], CLASSES), HR_OK);
    }
    hr_synthetic_fill(f.x, HR_COUNT(f.x), "properties");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        hr_store_destroy(f.weights[i]);
    return 0;
}

struct setting {
    int model;
    size_t batch;
    unsigned threads;
    const char *isa; /* NULL: the best */
    bool fast;       /* kernels that reorder sums too */
    bool waves;      /* branches side by side */
    int side;        /* 0: SIDE */
    const char *feature;
    enum hr_fuse_order order;
};

/* A network of the fixture; `kernels` is borrowed until test_network_fini(). */
static struct test_network network(const struct setting *s, struct hr_kernels *kernels)
{
    struct test_network net = { 0 };
    if (s->isa)
        assert_true(test_kernels_up_to(kernels, s->isa));
    else
        hr_kernels_init(kernels, hr_cpu_get()->flags);
    const int side = s->side ? s->side : SIDE;
    const struct test_network_options options = {
        .row = f.row[s->model],
        .hrnet = { (int64_t)s->batch, side, side, CLASSES, s->order },
        .weights = f.weights[s->model],
        .plan = { .kernels = kernels,
                  .threads = s->threads,
                  .exact = !s->fast,
                  .side_by_side = s->waves,
                  .features = &s->feature,
                  .feature_count = s->feature ? 1 : 0 },
    };
    if (test_network_init(&net, &options) != HR_OK)
        fail_msg("%s", hr_last_message());
    return net;
}

/* Logits of the first n images of the fixture. */
static void logits_of(const struct setting *s, size_t n, float *logits)
{
    struct hr_kernels kernels;
    struct test_network net = network(s, &kernels);
    test_network_run(&net, n, f.x, logits);
    test_network_fini(&net);
}

static void batches_equal_single_runs(void **state)
{
    (void)state;
    for (int model = 0; model < 2; model++)
        for (int fast = 0; fast < 2; fast++) {
            struct hr_kernels kernels;
            float one[BATCH * CLASSES], all[BATCH * CLASSES];
            struct setting s = { .model = model, .batch = 1, .threads = 2, .fast = fast };
            struct test_network net = network(&s, &kernels);
            for (size_t i = 0; i < BATCH; i++)
                test_network_run(&net, 1, f.x + i * IMAGE, one + i * CLASSES);
            test_network_fini(&net);
            s.batch = BATCH;
            net = network(&s, &kernels);
            for (size_t n = 1; n <= BATCH; n++) {
                memset(all, 0, sizeof all);
                test_network_run(&net, n, f.x, all);
                assert_memory_equal(all, one, n * CLASSES * sizeof *all);
            }
            test_network_fini(&net);
        }
}

static void every_position_in_a_batch_is_alike(void **state)
{
    (void)state;
    struct hr_kernels kernels;
    struct setting s = { .batch = BATCH, .threads = 2, .fast = true };
    struct test_network net = network(&s, &kernels);
    static float x[BATCH * IMAGE];
    float logits[BATCH * CLASSES], turned[BATCH * CLASSES];
    test_network_run(&net, BATCH, f.x, logits);
    for (size_t shift = 1; shift < BATCH; shift++) {
        for (size_t i = 0; i < BATCH; i++)
            memcpy(x + i * IMAGE, f.x + (i + shift) % BATCH * IMAGE, IMAGE * sizeof *x);
        test_network_run(&net, BATCH, x, turned);
        for (size_t i = 0; i < BATCH; i++)
            assert_memory_equal(turned + i * CLASSES, logits + (i + shift) % BATCH * CLASSES,
                                CLASSES * sizeof *logits);
    }
    test_network_fini(&net);
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    for (int model = 0; model < 2; model++)
        for (int fast = 0; fast < 2; fast++) {
            float want[BATCH * CLASSES], got[BATCH * CLASSES];
            struct setting s = { .model = model, .batch = BATCH, .threads = 1, .fast = fast };
            logits_of(&s, BATCH, want);
            for (int i = 0; i < 8; i++) { /* 2 to 5 threads, one step after the other or waves */
                s.threads = 2 + (unsigned)i / 2;
                s.waves = i % 2;
                for (size_t n = 1; n <= BATCH; n += BATCH - 1) {
                    logits_of(&s, n, got);
                    assert_memory_equal(got, want, n * CLASSES * sizeof *want);
                }
            }
        }
}

static void every_instruction_set_gives_the_same_bits(void **state)
{
    (void)state;
    float want[CLASSES], got[CLASSES];
    struct setting s = { .batch = 1, .threads = 1, .isa = "baseline" };
    logits_of(&s, 1, want);
    for (size_t i = 1; i < hr_isa_count; i++) {
        struct hr_kernels kernels;
        if (!test_kernels_up_to(&kernels, hr_isa_ladder[i].name)) {
            print_message("this CPU has no %s\n", hr_isa_ladder[i].name);
            continue;
        }
        s.isa = hr_isa_ladder[i].name;
        logits_of(&s, 1, got);
        assert_memory_equal(got, want, sizeof want);
    }
}

/* Both orders of the fuse sums, against a program that knows neither graphs nor kernels. */
static void both_fuse_orders_equal_the_scalar_program(void **state)
{
    (void)state;
    const enum hr_fuse_order orders[] = { HR_FUSE_PADDLE, HR_FUSE_MICROSOFT };
    float want[2][CLASSES], got[CLASSES];
    for (size_t i = 0; i < 2; i++) {
        const struct setting s = { .batch = 1, .threads = 2, .order = orders[i] };
        logits_of(&s, 1, got);
        const uint32_t fp = hr_fp_enter();
        scalar_network(f.row[0], f.weights[0], orders[i], f.x, SIDE, SIDE, want[i], CLASSES);
        hr_fp_leave(fp);
        assert_memory_equal(got, want[i], sizeof got);
    }
    assert_memory_not_equal(want[0], want[1], sizeof want[0]);
}

/* Two windows of one large picture, 32 px apart, run on their own: where borders cannot be seen,
 * the feature map of one is the other's moved by 8. */
static void moved_pictures_have_moved_maps(void **state)
{
    (void)state;
    enum { LARGE = 160, WINDOW = 128, CHANNELS_MAX = 256, MAP = WINDOW / 4, MOVE = 8, BORDER = 7 };
    static float picture[3 * LARGE * LARGE], x[3 * WINDOW * WINDOW];
    static float map[2][CHANNELS_MAX * MAP * MAP];
    struct hr_kernels kernels;
    float logits[CLASSES];
    hr_synthetic_fill(picture, HR_COUNT(picture), "moved");
    struct setting s = { .batch = 1, .threads = 2, .side = WINDOW, .feature = "layer1" };
    struct test_network net = network(&s, &kernels);
    const size_t channels = (size_t)hr_plan_feature_shape(net.plan, 0)->dim[1];
    assert_true(channels <= CHANNELS_MAX);
    for (size_t i = 0; i < 2; i++) {
        for (size_t row = 0; row < 3 * WINDOW; row++) {
            const size_t from = row / WINDOW * LARGE + row % WINDOW + i * 32;
            memcpy(x + row * WINDOW, picture + from * LARGE + i * 32, WINDOW * sizeof *x);
        }
        test_network_run(&net, 1, x, logits);
        hr_plan_feature(net.plan, net.arena, 1, 0, map[i]);
    }
    for (size_t c = 0; c < channels; c++)
        for (size_t y = BORDER; y + MOVE + BORDER < MAP; y++)
            for (size_t z = BORDER; z + MOVE + BORDER < MAP; z++)
                assert_true(map[1][(c * MAP + y) * MAP + z] ==
                            map[0][(c * MAP + y + MOVE) * MAP + z + MOVE]);
    test_network_fini(&net);
}

/* ---- Concurrency ---------------------------------------------------------------------------- */

struct tenant {
    struct hr_packs *packs;
    const struct hr_kernels *kernels;
    pthread_t thread;
    size_t batch;
    bool failed;
    float logits[2 * CLASSES];
};

/* Plans (racing for the packed weights) and runs twice. */
static void *live(void *argument)
{
    struct tenant *t = argument;
    const struct hr_hrnet_options hrnet = { (int64_t)t->batch, SIDE, SIDE, CLASSES,
                                            HR_FUSE_PADDLE };
    const struct hr_plan_options options = { .kernels = t->kernels, .threads = 2 };
    struct hr_graph *graph = NULL;
    struct hr_pool *pool = NULL;
    struct hr_plan *plan = NULL;
    uint8_t *arena = NULL;
    t->failed = hr_hrnet_build(&graph, f.row[0], &hrnet) != HR_OK ||
                hr_rewrite_all(graph, NULL, 0) != HR_OK || hr_pool_create(&pool, 2) != HR_OK ||
                hr_plan_create(&plan, graph, t->packs, &options, pool) != HR_OK ||
                !(arena = hr_mem_alloc(hr_plan_arena_bytes(plan), 1));
    for (int i = 0; i < 2 && !t->failed; i++)
        hr_plan_run(plan, arena, pool, t->batch, f.x, t->logits, NULL, NULL);
    hr_mem_free(arena);
    hr_plan_destroy(plan);
    hr_pool_destroy(pool);
    hr_graph_destroy(graph);
    return NULL;
}

static void sessions_share_weights_and_run_side_by_side(void **state)
{
    (void)state;
    struct hr_kernels kernels;
    struct hr_packs *packs;
    struct tenant tenants[4];
    float want[2 * CLASSES];
    const struct setting s = { .batch = 2, .threads = 1, .fast = true };
    logits_of(&s, 2, want);
    hr_kernels_init(&kernels, hr_cpu_get()->flags);
    assert_int_equal(hr_packs_create(&packs, f.weights[0]), HR_OK);
    for (size_t i = 0; i < HR_COUNT(tenants); i++) {
        tenants[i] = (struct tenant){ .packs = packs, .kernels = &kernels, .batch = 1 + i % 2 };
        assert_int_equal(pthread_create(&tenants[i].thread, NULL, live, &tenants[i]), 0);
    }
    for (size_t i = 0; i < HR_COUNT(tenants); i++) {
        pthread_join(tenants[i].thread, NULL);
        assert_false(tenants[i].failed);
        assert_memory_equal(tenants[i].logits, want, tenants[i].batch * CLASSES * sizeof *want);
    }
    hr_packs_destroy(packs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_equal_single_runs),
        cmocka_unit_test(every_position_in_a_batch_is_alike),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(every_instruction_set_gives_the_same_bits),
        cmocka_unit_test(both_fuse_orders_equal_the_scalar_program),
        cmocka_unit_test(moved_pictures_have_moved_maps),
        cmocka_unit_test(sessions_share_weights_and_run_side_by_side),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
