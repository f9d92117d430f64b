/* SPDX-License-Identifier: Apache-2.0
 * Explanations and drawings through the public API: what is refused, which class is meant, that a
 * map is the tool's for the same input, and pictures made of maps. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <hrnet/hrnet.h>
#include <string.h>

#define CLASSES 7
#define SIZE    64
#define CAT     HRNET_TESTS_DIR "/data/pictures/cat_420.jpg"

#define REFUSED(function, ...)                                     \
    do {                                                           \
        assert_int_equal(function(__VA_ARGS__), HRNET_E_ARGUMENT); \
        assert_non_null(strstr(hrnet_last_error(), #function));    \
    } while (0)

static float x[3 * SIZE * SIZE];

static int set_up(void **state)
{
    struct hrnet_model_options options;
    hrnet_model *model = NULL;
    hrnet_model_options_init(&options, sizeof options);
    options.classes = CLASSES;
    if (hrnet_model_synthetic(&model, "hrnet_w18_small", &options) != HRNET_OK)
        return 1;
    hrnet_synthetic_input("picture", sizeof x / sizeof *x, x);
    *state = model;
    return 0;
}

static int tear_down(void **state)
{
    hrnet_model_release(*state);
    return 0;
}

static hrnet_explainer *explainer_of(hrnet_model *model, const char *const *features)
{
    struct hrnet_explainer_options options;
    hrnet_explainer *e = NULL;
    hrnet_explainer_options_init(&options, sizeof options);
    options.height = options.width = SIZE;
    options.features = features;
    if (hrnet_explainer_create(&e, model, &options) != HRNET_OK)
        fail_msg("%s", hrnet_last_error());
    return e;
}

static hrnet_session *session_of(hrnet_model *model)
{
    struct hrnet_session_options options;
    hrnet_session *session = NULL;
    hrnet_session_options_init(&options, sizeof options);
    options.height = options.width = SIZE;
    options.batch = 3;
    assert_int_equal(hrnet_session_create(&session, model, &options), HRNET_OK);
    return session;
}

static void maps_of_one_class(void **state)
{
    static const char *const features[] = { "stage4.0", "last", NULL };
    hrnet_explainer *e = explainer_of(*state, features);
    hrnet_session *session = session_of(*state);
    float logits[CLASSES], want[CLASSES], map[16 * 16], other[16 * 16], sum = 0;
    int64_t rows, columns;
    int chosen = -2;
    size_t best;
    assert_int_equal(hrnet_explainer_map(e, HRNET_EXPLAIN_CAM, "last", map), HRNET_E_ARGUMENT);
    assert_non_null(strstr(hrnet_last_error(), "nothing was run"));
    assert_int_equal(hrnet_explainer_run(e, x, -1, logits, &chosen), HRNET_OK);
    assert_int_equal(hrnet_session_run(session, x, 1, want), HRNET_OK);
    hrnet_top_k(want, CLASSES, 1, &best);
    assert_int_equal(chosen, best);
    for (int k = 0; k < CLASSES; k++)
        assert_float_equal(logits[k], want[k], 1e-3f);
    assert_int_equal(hrnet_explainer_map_size(e, "stage4.0", &rows, &columns), HRNET_OK);
    assert_true(rows == 16 && columns == 16);
    assert_int_equal(hrnet_explainer_map(e, HRNET_EXPLAIN_LAYER_CAM, "stage4.0", map), HRNET_OK);
    for (int i = 0; i < 256; i++) {
        assert_true(map[i] >= 0);
        sum += map[i];
    }
    assert_true(sum > 0);
    assert_int_equal(hrnet_explainer_run(e, x, (chosen + 1) % CLASSES, logits, &chosen), HRNET_OK);
    assert_int_equal(chosen, (best + 1) % CLASSES);
    assert_int_equal(hrnet_explainer_map(e, HRNET_EXPLAIN_LAYER_CAM, "stage4.0", other), HRNET_OK);
    assert_memory_not_equal(map, other, sizeof map);
    assert_int_equal(hrnet_explainer_map(e, HRNET_EXPLAIN_GRAD_CAM, "last", map), HRNET_OK);
    hrnet_session_destroy(session);
    hrnet_explainer_destroy(e);
}

static void explainers_refuse(void **state)
{
    hrnet_explainer *e = explainer_of(*state, NULL), *none = NULL;
    struct hrnet_explainer_options options;
    float logits[CLASSES], map[16];
    int64_t rows, columns;
    int chosen;
    REFUSED(hrnet_explainer_create, NULL, *state, NULL);
    REFUSED(hrnet_explainer_create, &none, NULL, NULL);
    REFUSED(hrnet_explainer_run, NULL, x, -1, logits, &chosen);
    REFUSED(hrnet_explainer_run, e, NULL, -1, logits, &chosen);
    REFUSED(hrnet_explainer_run, e, x, -1, NULL, &chosen);
    REFUSED(hrnet_explainer_run, e, x, -1, logits, NULL);
    REFUSED(hrnet_explainer_map_size, NULL, "last", &rows, &columns);
    REFUSED(hrnet_explainer_map_size, e, NULL, &rows, &columns);
    REFUSED(hrnet_explainer_map, NULL, HRNET_EXPLAIN_CAM, "last", map);
    REFUSED(hrnet_explainer_map, e, HRNET_EXPLAIN_CAM, "last", NULL);
    assert_int_equal(hrnet_explainer_run(e, x, CLASSES, logits, &chosen), HRNET_E_ARGUMENT);
    assert_non_null(strstr(hrnet_last_error(), "class 7"));
    assert_int_equal(hrnet_explainer_run(e, x, -2, logits, &chosen), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_explainer_map_size(e, "stage4.0", &rows, &columns), HRNET_E_NOT_FOUND);
    assert_int_equal(hrnet_explainer_map(e, (hrnet_explain_method)3, "last", map),
                     HRNET_E_ARGUMENT);
    hrnet_explainer_options_init(&options, sizeof options);
    options.height = options.width = 65;
    assert_int_equal(hrnet_explainer_create(&none, *state, &options), HRNET_E_SHAPE);
    options.height = -1;
    assert_int_equal(hrnet_explainer_create(&none, *state, &options), HRNET_E_ARGUMENT);
    hrnet_explainer_options_init(&options, sizeof options);
    options.cpu = "abacus";
    assert_int_equal(hrnet_explainer_create(&none, *state, &options), HRNET_E_ARGUMENT);
    options.struct_size = 0;
    assert_int_equal(hrnet_explainer_create(&none, *state, &options), HRNET_E_ARGUMENT);
    assert_null(none);
    hrnet_explainer_destroy(NULL);
    hrnet_explainer_destroy(e);
}

static void cam_is_of_what_the_head_pools(void **state)
{
    static const char *const features[] = { "stage4.0", NULL };
    hrnet_explainer *e = explainer_of(*state, features);
    float logits[CLASSES], map[16 * 16];
    int chosen;
    assert_int_equal(hrnet_explainer_run(e, x, 0, logits, &chosen), HRNET_OK);
    assert_int_equal(hrnet_explainer_map(e, HRNET_EXPLAIN_CAM, "stage4.0", map), HRNET_E_ARGUMENT);
    assert_non_null(strstr(hrnet_last_error(), "'last'"));
    hrnet_explainer_destroy(e);
}

static int stop(void *context, uint64_t done, uint64_t all)
{
    *(uint64_t *)context = done;
    return done < all;
}

static void occlusion_covers_places(void **state)
{
    hrnet_session *session = session_of(*state);
    struct hrnet_occlusion_options options;
    float logits[CLASSES], want[CLASSES], map[16], whole[1];
    int64_t rows, columns;
    int chosen;
    uint64_t done = 0;
    hrnet_occlusion_options_init(&options, sizeof options);
    assert_int_equal(hrnet_occlusion_map_size(session, &options, &rows, &columns), HRNET_OK);
    assert_true(rows == 4 && columns == 4);
    assert_int_equal(hrnet_occlusion_map(session, x, &options, map, logits, &chosen), HRNET_OK);
    assert_int_equal(hrnet_session_run(session, x, 1, want), HRNET_OK);
    assert_memory_equal(logits, want, sizeof want);
    /* One square over all of it: the answer to a picture of the mean colour is left. */
    static const float nothing[3 * SIZE * SIZE];
    options.side = 4 * SIZE;
    options.step = 2 * SIZE;
    options.class_index = 2;
    assert_int_equal(hrnet_occlusion_map(session, x, &options, whole, logits, &chosen), HRNET_OK);
    assert_int_equal(chosen, 2);
    assert_int_equal(hrnet_session_run(session, nothing, 1, want), HRNET_OK);
    assert_true(whole[0] == logits[2] - want[2]);
    options.side = options.step = 16;
    options.progress = stop;
    options.context = &done;
    assert_int_equal(hrnet_occlusion_map(session, x, &options, map, logits, &chosen),
                     HRNET_E_CANCELLED);
    assert_int_equal(done, 3);
    REFUSED(hrnet_occlusion_map, NULL, x, NULL, map, logits, &chosen);
    REFUSED(hrnet_occlusion_map, session, NULL, NULL, map, logits, &chosen);
    REFUSED(hrnet_occlusion_map, session, x, NULL, NULL, logits, &chosen);
    REFUSED(hrnet_occlusion_map, session, x, NULL, map, NULL, &chosen);
    REFUSED(hrnet_occlusion_map, session, x, NULL, map, logits, NULL);
    REFUSED(hrnet_occlusion_map_size, NULL, NULL, &rows, &columns);
    options.step = 0;
    assert_int_equal(hrnet_occlusion_map_size(session, &options, &rows, &columns),
                     HRNET_E_ARGUMENT);
    options.step = 16;
    options.class_index = 70;
    assert_int_equal(hrnet_occlusion_map(session, x, &options, map, logits, &chosen),
                     HRNET_E_ARGUMENT);
    hrnet_session_destroy(session);
}

/* ---- Drawings ---- */

static void maps_become_pictures(void **state)
{
    static const float map[] = { -4, 0, 1, 2 };
    uint8_t rgb[2 * 2 * 3];
    (void)state;
    memset(rgb, 255, sizeof rgb);
    assert_int_equal(hrnet_draw_overlay(rgb, 2, 2, map, 2, 2), HRNET_OK);
    assert_memory_equal(rgb, rgb + 3, 3); /* what is below 0 looks like 0 */
    assert_true(rgb[9] > rgb[10] && rgb[9] > rgb[11]);
    assert_int_equal(hrnet_draw_map(rgb, 2, 2, map, 2, 2), HRNET_OK);
    assert_memory_equal(rgb, ((uint8_t[]){ 4, 4, 14 }), 3);
    assert_memory_equal(rgb + 9, ((uint8_t[]){ 255, 244, 200 }), 3);
    REFUSED(hrnet_draw_overlay, NULL, 2, 2, map, 2, 2);
    REFUSED(hrnet_draw_overlay, rgb, 2, 2, NULL, 2, 2);
    REFUSED(hrnet_draw_map, NULL, 2, 2, map, 2, 2);
    REFUSED(hrnet_draw_map, rgb, 2, 2, NULL, 2, 2);
    assert_int_equal(hrnet_draw_overlay(rgb, 0, 2, map, 2, 2), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_draw_map(rgb, 2, 2, map, 2, 0), HRNET_E_ARGUMENT);
}

static void tiles_become_a_sheet(void **state)
{
    const uint8_t red[] = { 255, 0, 0 };
    const struct hrnet_tile tiles[] = { { red, 1, 1, NULL }, { NULL, 0, 0, "x" } };
    const struct hrnet_tile empty = { red, 0, 1, NULL };
    uint8_t *rgb = NULL;
    int64_t width = 0, height = 0;
    (void)state;
    assert_int_equal(hrnet_draw_sheet(tiles, 2, 5, &rgb, &width, &height), HRNET_OK);
    assert_int_equal(width, 8 + 2 * 9);
    assert_memory_equal(rgb + (8 * width + 8) * 3, red, 3);
    hrnet_free(rgb);
    REFUSED(hrnet_draw_sheet, NULL, 2, 2, &rgb, &width, &height);
    REFUSED(hrnet_draw_sheet, tiles, 2, 2, NULL, &width, &height);
    REFUSED(hrnet_draw_sheet, tiles, 2, 2, &rgb, NULL, &height);
    REFUSED(hrnet_draw_sheet, tiles, 2, 2, &rgb, &width, NULL);
    assert_int_equal(hrnet_draw_sheet(tiles, 0, 2, &rgb, &width, &height), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_draw_sheet(&empty, 1, 1, &rgb, &width, &height), HRNET_E_ARGUMENT);
}

static void thumbnails_fit(void **state)
{
    static uint8_t bytes[1 << 20];
    uint8_t *rgb = NULL;
    int64_t width = 0, height = 0;
    FILE *file = fopen(CAT, "rb");
    (void)state;
    assert_non_null(file);
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(hrnet_thumbnail(bytes, size, NULL, NULL, 60, 60, &rgb, &width, &height),
                     HRNET_OK);
    assert_int_equal(width, 60);
    assert_in_range(height, 20, 60);
    hrnet_free(rgb);
    assert_int_equal(hrnet_thumbnail("x", 1, "x", NULL, 60, 60, &rgb, &width, &height),
                     HRNET_E_FORMAT);
    assert_int_equal(hrnet_thumbnail(bytes, size, NULL, NULL, 0, 60, &rgb, &width, &height),
                     HRNET_E_ARGUMENT);
    REFUSED(hrnet_thumbnail, NULL, 1, "x", NULL, 1, 1, &rgb, &width, &height);
    REFUSED(hrnet_thumbnail, "x", 1, "x", NULL, 1, 1, NULL, &width, &height);
    REFUSED(hrnet_thumbnail, "x", 1, "x", NULL, 1, 1, &rgb, NULL, &height);
    REFUSED(hrnet_thumbnail, "x", 1, "x", NULL, 1, 1, &rgb, &width, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_of_one_class),
        cmocka_unit_test(explainers_refuse),
        cmocka_unit_test(cam_is_of_what_the_head_pools),
        cmocka_unit_test(occlusion_covers_places),
        cmocka_unit_test(maps_become_pictures),
        cmocka_unit_test(tiles_become_a_sheet),
        cmocka_unit_test(thumbnails_fit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
