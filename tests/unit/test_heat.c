/* SPDX-License-Identifier: Apache-2.0
 * The map of an answer as a picture of the crop's size; several threads get theirs in turn; a
 * failure leaves the turn to the next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/base64.h"
#include "base/os.h"
#include "base/pool.h"
#include "serve/heat.h"
#include "small_pictures.h"
#include "small_service.h"

static const uint32_t blocks[6] = { 0xff0000, 0x00ff00, 0x0000ff, 0xffff00, 0x808080, 0x102030 };

struct drawer {
    struct hr_heat *heat;
    hrnet_model *model;
    struct hr_span picture;
    struct hr_text text;
    enum hr_status status;
};

static void *draw(void *argument)
{
    struct drawer *d = argument;
    struct hrnet_decode_options decode;
    hrnet_decode_options_init(&decode, sizeof decode);
    d->status = hr_heat_draw(d->heat, d->model, d->picture.data, d->picture.size, &decode,
                             UINT64_MAX, &d->text);
    return NULL;
}

static void each_gets_the_same_map(void **state)
{
    struct hr_buffer png = { 0 }, map = { 0 };
    struct drawer drawers[3];
    pthread_t threads[3];
    hrnet_model *model = NULL;
    struct hr_heat *heat = NULL;
    static const char begin[] = "data:image/png;base64,";
    (void)state;
    make_block_png(&png, blocks, 1);
    assert_int_equal(small_open(NULL, "5", &model), HRNET_OK);
    assert_int_equal(hr_heat_create(&heat), HR_OK);
    for (size_t i = 0; i < 3; i++) {
        drawers[i] = (struct drawer){ .heat = heat, .model = model, .picture = span_of(&png) };
        assert_int_equal(hr_thread_start(&threads[i], draw, &drawers[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(drawers[i].status, HR_OK);
        assert_string_equal(hr_text_str(&drawers[i].text), hr_text_str(&drawers[0].text));
    }
    const char *text = hr_text_str(&drawers[0].text);
    assert_memory_equal(text, begin, sizeof begin - 1);
    assert_int_equal(
        hr_base64_decode(&map, text + sizeof begin - 1, strlen(text) - sizeof begin + 1), HR_OK);
    assert_memory_equal(map.data + 12, "IHDR\0\0\0\x20\0\0\0\x20", 12); /* 32x32 */
    hr_buffer_fini(&map);
    for (size_t i = 0; i < 3; i++)
        hr_text_fini(&drawers[i].text);
    hr_heat_destroy(heat);
    hrnet_model_release(model);
    hr_buffer_fini(&png);
}

static void what_cannot_be_drawn_is_told(void **state)
{
    struct hr_buffer png = { 0 };
    struct hrnet_decode_options decode;
    struct hr_text text = { 0 };
    hrnet_model *model = NULL;
    struct hr_heat *heat = NULL;
    (void)state;
    make_block_png(&png, blocks, 1);
    hrnet_decode_options_init(&decode, sizeof decode);
    assert_int_equal(small_open(NULL, "5", &model), HRNET_OK);
    assert_int_equal(hr_heat_create(&heat), HR_OK);
    assert_int_equal(hr_heat_draw(heat, model, "text", 4, &decode, UINT64_MAX, &text), HR_E_FORMAT);
    assert_int_equal(text.size, 0);
    decode.max_pixels = 10;
    assert_int_equal(hr_heat_draw(heat, model, png.data, png.size, &decode, UINT64_MAX, &text),
                     HR_E_LIMIT);
    hrnet_decode_options_init(&decode, sizeof decode); /* and it is not taken for good */
    assert_int_equal(
        hr_heat_draw(heat, model, png.data, png.size, &decode, hr_os_now_ns() + 1, &text),
        HR_OK); /* nobody is before it */
    hr_text_fini(&text);
    hr_heat_destroy(heat);
    hr_heat_destroy(NULL);
    hrnet_model_release(model);
    hr_buffer_fini(&png);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_gets_the_same_map),
                                        cmocka_unit_test(what_cannot_be_drawn_is_told) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
