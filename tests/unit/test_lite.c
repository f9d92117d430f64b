/* SPDX-License-Identifier: Apache-2.0
 * A Paddle-Lite file made with Google's flatbuffers package (data/lite/make_lite.py): its tensors,
 * what is refused, every cut and flipped bit, failing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "hostile.h"
#include "model/model.h"
#include "tensor/store.h"

struct file {
    uint8_t *data;
    size_t size;
};

static struct file open_file(void)
{
    struct file f;
    assert_int_equal(
        hr_file_read(HRNET_TESTS_DIR "/fuzz/corpus/store/paddle_lite", 1 << 20, &f.data, &f.size),
        HR_OK);
    return f;
}

static void tensors_are_recovered(void **state)
{
    struct file f = open_file();
    struct hr_store *store = NULL;
    float values[6];
    (void)state;
    if (hr_store_open_memory(&store, f.data, f.size, "x.nb") != HR_OK)
        fail_msg("%s", hr_last_message());
    assert_int_equal(hr_store_format(store), HR_FORMAT_PADDLE_LITE);
    assert_int_equal(hr_store_count(store), 3);
    assert_string_equal(hr_store_meta(store, "paddle_lite.version"), "v2.12");
    const struct hr_tensor *w = hr_store_find(store, "conv.w");
    assert_string_equal(hr_shape_str(&w->shape).s, "[2,3,1,1]");
    hr_tensor_to_f32(values, w);
    for (int i = 0; i < 6; i++)
        assert_true(values[i] == (float)i);
    const struct hr_tensor *b = hr_store_find(store, "conv.b");
    assert_int_equal(b->dtype, HR_DTYPE_F16);
    hr_tensor_to_f32(values, b);
    assert_true(values[0] == 0.5f && values[1] == -2.0f);
    assert_int_equal(hr_store_find(store, "steps")->dtype, HR_DTYPE_I64);
    hr_store_destroy(store);
    hr_mem_free(f.data);
}

static void no_model_is_made_of_it(void **state)
{
    struct file f = open_file();
    struct hr_model *model = NULL;
    (void)state;
    assert_int_equal(hr_model_open_memory(&model, f.data, f.size, "x.nb", NULL), HR_E_UNSUPPORTED);
    assert_non_null(strstr(hr_last_message(), "x.nb: Paddle-Lite's optimiser"));
    assert_non_null(strstr(hr_last_message(), "the 3 tensors"));
    hr_mem_free(f.data);
}

static void refuse(struct file *f, size_t at, uint8_t byte, const char *says)
{
    struct hr_store *store = NULL;
    const uint8_t was = f->data[at];
    f->data[at] = byte;
    assert_int_not_equal(hr_store_open_memory(&store, f->data, f->size, "x.nb"), HR_OK);
    if (!strstr(hr_last_message(), says))
        fail_msg("'%s' lacks '%s'", hr_last_message(), says);
    f->data[at] = was;
}

static void what_is_wrong_is_told(void **state)
{
    struct file f = open_file();
    const size_t params = 2 + 16 + 8 + 12;
    (void)state;
    refuse(&f, 0, 1, "meta version 1: 2 is known");
    refuse(&f, params, 1, "parameters are of version 1");
    refuse(&f, params + 4, 5, "a header of 5 bytes");
    refuse(&f, params + 12, 2, "parameter 0: its size is wrong");
    refuse(&f, params + 16, 3, "parameter 0: its size is wrong");
    refuse(&f, 25, 1, "x.nb"); /* a network longer than the file */
    hr_mem_free(f.data);
}

/* Whatever opens has tensors that can be read. */
static void look(void *context, const uint8_t *data, size_t size)
{
    struct hr_store *store = NULL;
    (void)context;
    if (hr_store_open_memory(&store, data, size, "hostile") != HR_OK)
        return;
    for (size_t i = 0; i < hr_store_count(store); i++) {
        const struct hr_tensor *t = hr_store_tensor(store, i);
        uint8_t bytes[1024];
        size_t elements;
        assert_int_equal(hr_shape_elements(&t->shape, &elements), HR_OK);
        if (elements * hr_dtype_bytes(t->dtype) <= sizeof bytes)
            hr_tensor_gather(bytes, t);
    }
    hr_store_destroy(store);
}

static void hostile_bytes_do_no_harm(void **state)
{
    struct file f = open_file();
    (void)state;
    hostile_cuts(f.data, f.size, look, NULL);
    hostile_flips(f.data, f.size, look, NULL);
    hostile_mutations(f.data, f.size, 1, 20000, look, NULL);
    hr_mem_free(f.data);
}

static void failing_memory_is_reported(void **state)
{
    struct file f = open_file();
    struct hr_store *store = NULL;
    enum hr_status status = HR_E_MEMORY;
    unsigned n = 0;
    (void)state;
    for (; status != HR_OK && n < 50; n++) {
        hostile_memory_limit(n);
        status = hr_store_open_memory(&store, f.data, f.size, "x.nb");
        if (status != HR_OK)
            assert_int_equal(hostile_memory_held(), 0);
        (void)hostile_memory_restore();
        assert_true(status == HR_OK || status == HR_E_MEMORY);
    }
    assert_in_range(n, 4, 49);
    hr_store_destroy(store);
    hr_mem_free(f.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_recovered),      cmocka_unit_test(no_model_is_made_of_it),
        cmocka_unit_test(what_is_wrong_is_told),      cmocka_unit_test(hostile_bytes_do_no_harm),
        cmocka_unit_test(failing_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
