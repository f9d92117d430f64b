/* SPDX-License-Identifier: Apache-2.0
 * Maps against those that PyTorch's hooks gave in float64 (golden/explain/golden_explain.py): every
 * method, stage and branch, on every rung of the ladder, with one thread and three; and failing
 * memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/os.h"
#include "hostile.h"
#include "kernel/kernel.h"
#include "session/occlusion.h"
#include "tensor/npy.h"
#include "train/explain.h"

#define TOLERANCE 5e-4 /* of a map's largest value; float32 reaches 1e-4 */
#define EARLY     2e-2 /* before stage 3, where a ReLU that rounding turns over shows: 4e-3 */

static const char *const names[] = { "stem",     "layer1",   "stage2.0", "stage2.1",
                                     "stage3.0", "stage3.1", "stage3.2", "stage4.0",
                                     "stage4.1", "stage4.2", "stage4.3", "incre.0",
                                     "incre.1",  "incre.2",  "incre.3",  "last" };

struct golden {
    const char *architecture;
    int classes;
    int64_t height, width;
    struct hr_map file;
    struct hr_store *maps;
    struct hr_model *model;
    float *x;
};

static void must(enum hr_status status)
{
    if (status != HR_OK)
        fail_msg("%s", hr_last_message());
}

static void open_golden(struct golden *g)
{
    const struct hr_zoo_row *row;
    const struct hr_model_options options = { 0 };
    struct hr_store *weights = NULL;
    char path[256], name[32];
    snprintf(path, sizeof path, HRNET_TESTS_DIR "/golden/explain/%s-%dx%d.npz", g->architecture,
             (int)g->height, (int)g->width);
    must(hr_map_open(&g->file, path));
    must(hr_store_create(&g->maps));
    must(hr_npz_read(g->maps, g->file.data, g->file.size, path));
    must(hr_zoo_find(&row, g->architecture));
    must(hr_synthetic_weights(&weights, row, g->classes));
    must(hr_model_from_store(&g->model, weights, "golden", &options));
    const size_t floats = (size_t)(3 * g->height * g->width);
    g->x = hr_mem_alloc(floats, sizeof *g->x);
    assert_non_null(g->x);
    snprintf(name, sizeof name, "input:1x%dx%d", (int)g->height, (int)g->width);
    hr_synthetic_fill(g->x, floats, name);
}

static void close_golden(struct golden *g)
{
    hr_mem_free(g->x);
    hr_model_unref(g->model);
    hr_store_destroy(g->maps);
    hr_map_close(&g->file);
}

static void compare(const struct golden *g, const char *name, const float *got, int64_t count)
{
    const struct hr_tensor *want = hr_store_find(g->maps, name);
    size_t elements;
    double largest = 0, error = 0;
    assert_non_null(want);
    must(hr_shape_elements(&want->shape, &elements));
    assert_int_equal(elements, count);
    const float *w = want->data;
    for (size_t i = 0; i < elements; i++) {
        largest = fmax(largest, fabs((double)w[i]));
        error = fmax(error, fabs((double)got[i] - (double)w[i]));
    }
    const bool early = strstr(name, "stem") || strstr(name, "layer1") || strstr(name, "stage2");
    if (!(error <= (early ? EARLY : TOLERANCE) * largest))
        fail_msg("%s: %s differs by %g of %g", g->architecture, name, error, largest);
}

static void check_maps(const struct golden *g, struct hr_explainer *e)
{
    float *map = hr_mem_alloc((size_t)(g->height * g->width), sizeof *map);
    assert_non_null(map);
    for (size_t i = 0; i < HR_COUNT(names); i++) {
        const struct hr_shape s = hr_explainer_shape(e, i);
        char name[48];
        hr_explainer_map(e, HR_EXPLAIN_GRAD_CAM, i, map);
        snprintf(name, sizeof name, "gradcam.%s", names[i]);
        compare(g, name, map, s.dim[2] * s.dim[3]);
        hr_explainer_map(e, HR_EXPLAIN_LAYER_CAM, i, map);
        snprintf(name, sizeof name, "layercam.%s", names[i]);
        compare(g, name, map, s.dim[2] * s.dim[3]);
    }
    const struct hr_shape last = hr_explainer_shape(e, HR_COUNT(names) - 1);
    hr_explainer_map(e, HR_EXPLAIN_CAM, HR_COUNT(names) - 1, map);
    compare(g, "cam", map, last.dim[2] * last.dim[3]);
    hr_mem_free(map);
}

/* CAM is exact: its mean and the head's bias are the logit. */
static void check_cam_sum(const struct golden *g, struct hr_explainer *e, size_t chosen,
                          const float *logits)
{
    const struct hr_shape s = hr_explainer_shape(e, HR_COUNT(names) - 1);
    const float *bias = hr_store_find(hr_model_weights(g->model), "fc.bias")->data;
    float map[64];
    double sum = 0;
    const int64_t pixels = s.dim[2] * s.dim[3];
    assert_in_range(pixels, 1, 64);
    hr_explainer_map(e, HR_EXPLAIN_CAM, HR_COUNT(names) - 1, map);
    for (int64_t p = 0; p < pixels; p++)
        sum += (double)map[p];
    const double logit = sum / (double)pixels + (double)bias[chosen];
    assert_true(fabs(logit - (double)logits[chosen]) < 1e-4 * fabs((double)logits[chosen]));
}

static void check_rung(const struct golden *g, uint32_t flags, unsigned threads)
{
    const struct hr_explainer_options options = { .threads = threads,
                                                  .cpu_flags = flags,
                                                  .height = g->height,
                                                  .width = g->width,
                                                  .features = names,
                                                  .feature_count = HR_COUNT(names) };
    struct hr_explainer *e = NULL;
    float logits[1000];
    must(hr_explainer_create(&e, g->model, &options));
    const float *want = hr_store_find(g->maps, "class")->data;
    const size_t chosen = hr_explainer_run(e, g->x, -1, logits);
    assert_true((float)chosen == *want);
    compare(g, "logits", logits, g->classes);
    check_maps(g, e);
    check_cam_sum(g, e, chosen, logits);
    /* Of another class, and back: nothing of a run stays. */
    assert_int_equal(hr_explainer_run(e, g->x, 3, logits), 3);
    check_cam_sum(g, e, 3, logits);
    assert_int_equal(hr_explainer_run(e, g->x, (int)chosen, logits), chosen);
    check_maps(g, e);
    hr_explainer_destroy(e);
}

static void check_occlusion(const struct golden *g, size_t batch)
{
    const struct hr_session_options options = {
        .threads = 2, .batch = batch, .height = g->height, .width = g->width, .cpu_flags = ~0u
    };
    const struct hr_occlusion occlusion = { .class_index = -1, .side = 24, .step = 16 };
    struct hr_packs *packs = NULL;
    struct hr_session *session = NULL;
    float map[64], logits[1000];
    size_t chosen;
    must(hr_packs_create(&packs, hr_model_weights(g->model)));
    must(hr_session_create(&session, g->model, packs, &options));
    must(hr_occlusion_run(session, g->x, &occlusion, map, logits, &chosen));
    assert_true((float)chosen == *(const float *)hr_store_find(g->maps, "class")->data);
    compare(g, "logits", logits, g->classes);
    compare(g, "occlusion", map,
            hr_occlusion_places(g->height, 16) * hr_occlusion_places(g->width, 16));
    hr_session_destroy(session);
    hr_packs_destroy(packs);
}

static void plain_network(void **state)
{
    struct golden g = { .architecture = "HRNet_W18_C", .classes = 1000, .height = 64, .width = 64 };
    (void)state;
    open_golden(&g);
    uint32_t flags = 0;
    for (size_t i = 0; i < hr_isa_count; i++) {
        flags |= hr_isa_ladder[i].need;
        if ((hr_cpu_get()->flags & flags) == flags)
            check_rung(&g, flags, 1);
    }
    check_rung(&g, ~0u, 3);
    check_occlusion(&g, 1);
    check_occlusion(&g, 7);
    close_golden(&g);
}

static void squeeze_and_excitation(void **state)
{
    struct golden g = {
        .architecture = "SE_HRNet_W18_C", .classes = 10, .height = 64, .width = 96
    };
    (void)state;
    open_golden(&g);
    check_rung(&g, ~0u, 1);
    check_occlusion(&g, 4);
    close_golden(&g);
}

/* One feature alone: the tape ends there, the map is the same. */
static void one_feature_is_enough(void **state)
{
    struct golden g = {
        .architecture = "SE_HRNet_W18_C", .classes = 10, .height = 64, .width = 96
    };
    float map[16 * 24], logits[10];
    (void)state;
    open_golden(&g);
    for (size_t i = 0; i < HR_COUNT(names); i++) {
        const struct hr_explainer_options options = { .threads = 1,
                                                      .cpu_flags = ~0u,
                                                      .height = g.height,
                                                      .width = g.width,
                                                      .features = &names[i],
                                                      .feature_count = 1 };
        struct hr_explainer *e = NULL;
        char name[48];
        must(hr_explainer_create(&e, g.model, &options));
        (void)hr_explainer_run(e, g.x, -1, logits);
        hr_explainer_map(e, HR_EXPLAIN_LAYER_CAM, 0, map);
        const struct hr_shape s = hr_explainer_shape(e, 0);
        snprintf(name, sizeof name, "layercam.%s", names[i]);
        compare(&g, name, map, s.dim[2] * s.dim[3]);
        hr_explainer_destroy(e);
    }
    close_golden(&g);
}

static bool stop(void *context, size_t done, size_t all)
{
    (void)all;
    *(size_t *)context = done;
    return false;
}

static void what_fails_is_told(void **state)
{
    static const char *const unknown[] = { "stage4.9" };
    struct golden g = {
        .architecture = "SE_HRNet_W18_C", .classes = 10, .height = 64, .width = 96
    };
    struct hr_explainer_options options = { .threads = 1,
                                            .cpu_flags = ~0u,
                                            .height = g.height,
                                            .width = g.width,
                                            .features = unknown,
                                            .feature_count = 1 };
    struct hr_explainer *e = NULL;
    (void)state;
    open_golden(&g);
    assert_int_equal(hr_explainer_create(&e, g.model, &options), HR_E_NOT_FOUND);
    assert_non_null(strstr(hr_last_message(), "stage4.9"));
    options.features = &names[15];
    for (size_t n = 0; n < 8; n++) {
        hostile_memory_limit(n);
        const enum hr_status status = hr_explainer_create(&e, g.model, &options);
        assert_int_equal(hostile_memory_held(), 0);
        (void)hostile_memory_restore();
        assert_int_equal(status, HR_E_MEMORY);
        assert_null(e);
    }
    const struct hr_session_options plan = {
        .threads = 1, .batch = 2, .height = g.height, .width = g.width, .cpu_flags = ~0u
    };
    size_t done = 0, chosen;
    const struct hr_occlusion occlusion = {
        .side = 8, .step = 32, .observer = stop, .context = &done
    };
    struct hr_packs *packs = NULL;
    struct hr_session *session = NULL;
    float map[6], logits[10];
    must(hr_packs_create(&packs, hr_model_weights(g.model)));
    must(hr_session_create(&session, g.model, packs, &plan));
    assert_int_equal(hr_occlusion_run(session, g.x, &occlusion, map, logits, &chosen),
                     HR_E_CANCELLED);
    assert_int_equal(done, 2);
    hostile_memory_limit(1);
    assert_int_equal(hr_occlusion_run(session, g.x, &occlusion, map, logits, &chosen), HR_E_MEMORY);
    (void)hostile_memory_restore();
    hr_session_destroy(session);
    hr_packs_destroy(packs);
    close_golden(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_network),
        cmocka_unit_test(squeeze_and_excitation),
        cmocka_unit_test(one_feature_is_enough),
        cmocka_unit_test(what_fails_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
