/* SPDX-License-Identifier: Apache-2.0
 * Reading ONNX: graphs of the corpus answer as the plain interpreter says, what cannot be is
 * refused with the node and the reason, external data stay in their folder, failing memory leaks
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "exchange/onnx.h"
#include "exchange/open.h"
#include "hostile.h"
#include "wire/message.h"
#include "wire/onnx.pb-c.h"

#define CORPUS HRNET_TESTS_DIR "/fuzz/corpus/onnx/"

struct file {
    uint8_t *data;
    size_t size;
};

static struct file corpus(const char *name)
{
    char path[512];
    struct file f;
    snprintf(path, sizeof path, "%s%s", CORPUS, name);
    if (hr_file_read(path, 1 << 20, &f.data, &f.size) != HR_OK)
        fail_msg("%s", hr_last_message());
    return f;
}

/* As a message that may be changed. */
static Hr__OnnxModel *unpack(const struct file *f, struct hr_message_memory *memory)
{
    ProtobufCMessage *message = NULL;
    assert_int_equal(
        hr_message_read(&message, memory, &hr__onnx_model__descriptor, f->data, f->size, "file"),
        HR_OK);
    return (Hr__OnnxModel *)(void *)message;
}

static enum hr_status read_file(const struct file *f, struct hr_graph **graph,
                                struct hr_store **weights, struct hr_foreign *is)
{
    return hr_onnx_read(graph, weights, is, f->data, f->size, "file", NULL);
}

static int count_op(const struct hr_graph *graph, enum hr_op op)
{
    int count = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        count += graph->nodes[i].op == op;
    return count;
}

/* ---- What is read ---- */

static void graphs_are_read(void **state)
{
    static const struct {
        const char *name;
        enum hr_result result;
        int convs, norms, adds, upsamples, scales, linears;
    } cases[] = {
        { "plain.onnx", HR_RESULT_LOGITS, 1, 1, 0, 0, 0, 1 },
        { "branches.onnx", HR_RESULT_SOFTMAX, 3, 0, 2, 1, 0, 1 },
        { "squeeze.onnx", HR_RESULT_SIGMOID, 1, 0, 0, 0, 1, 3 },
        { "picture.onnx", HR_RESULT_LOGITS, 1, 1, 0, 0, 0, 1 },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct file f = corpus(cases[i].name);
        struct hr_graph *graph = NULL;
        struct hr_store *weights = NULL;
        struct hr_foreign is;
        if (read_file(&f, &graph, &weights, &is) != HR_OK)
            fail_msg("%s: %s", cases[i].name, hr_last_message());
        assert_int_equal(is.result, cases[i].result);
        assert_int_equal(count_op(graph, HR_OP_CONV), cases[i].convs);
        assert_int_equal(count_op(graph, HR_OP_BATCH_NORM), cases[i].norms);
        assert_int_equal(count_op(graph, HR_OP_ADD), cases[i].adds);
        assert_int_equal(count_op(graph, HR_OP_UPSAMPLE), cases[i].upsamples);
        assert_int_equal(count_op(graph, HR_OP_SCALE), cases[i].scales);
        assert_int_equal(count_op(graph, HR_OP_LINEAR), cases[i].linears);
        assert_int_equal(graph->values[graph->output].shape.dim[1], 4);
        assert_int_equal(hr_graph_feature(graph, "logits"), graph->output);
        hr_graph_destroy(graph);
        hr_store_destroy(weights);
        hr_mem_free(f.data);
    }
}

/* x -> (x / 255 - mean) / 0.2 belongs to the recipe. */
static void preprocessing_becomes_the_recipe(void **state)
{
    struct file f = corpus("picture.onnx");
    struct hr_graph *graph = NULL;
    struct hr_store *weights = NULL;
    struct hr_foreign is;
    (void)state;
    assert_int_equal(read_file(&f, &graph, &weights, &is), HR_OK);
    assert_true(is.bytes);
    assert_int_equal(is.steps, 3);
    assert_true(is.scale == (float)(1.0 / 255.0) && is.deviation[2] == 0.2f);
    assert_int_equal(is.height, 8);
    hr_graph_destroy(graph);
    hr_store_destroy(weights);
    hr_mem_free(f.data);
}

static void graphs_become_models(void **state)
{
    struct file f = corpus("branches.onnx");
    struct hr_model *model;
    (void)state;
    if (hr_exchange_open_memory(&model, f.data, f.size, "file", NULL) != HR_OK)
        fail_msg("%s", hr_last_message());
    hr_mem_free(f.data); /* the model needs it no more */
    assert_null(hr_model_row(model));
    assert_int_equal(hr_model_format(model), HR_FORMAT_ONNX);
    assert_int_equal(hr_model_recipe(model)->crop_height, 8);
    assert_string_equal(hr_model_scheme(model), "graph");
    hr_model_unref(model);
}

/* ---- What is refused ---- */

static char *const nothing = (char *)(uintptr_t) "nothing";

static void unknown_operator(Hr__OnnxModel *m)
{
    strcpy(m->graph->node[2]->op_type, "Elu"); /* shorter than Relu */
}

static void dangling_input(Hr__OnnxModel *m)
{
    strcpy(m->graph->node[2]->input[0], "z");
}

static void a_cycle(Hr__OnnxModel *m)
{
    strcpy(m->graph->node[1]->input[0], "d");
}

static void made_twice(Hr__OnnxModel *m)
{
    strcpy(m->graph->node[2]->output[0], "c");
}

static void a_type_that_lies(Hr__OnnxModel *m)
{
    m->graph->initializer[0]->data_type = 11;
}

static void a_huge_shape(Hr__OnnxModel *m)
{
    m->graph->initializer[0]->dims[0] = INT64_MAX;
}

static void a_negative_shape(Hr__OnnxModel *m)
{
    m->graph->initializer[0]->dims[0] = -4;
}

static void other_channels(Hr__OnnxModel *m)
{
    m->graph->initializer[0]->dims[0] = 3;
    m->graph->initializer[0]->dims[1] = 4;
}

static void groups(Hr__OnnxModel *m)
{
    Hr__OnnxAttribute *a = m->graph->node[0]->attribute[0];
    strcpy(a->name, "group");
    a->has_i = 1;
    a->i = 3;
}

static void a_picture_of_four_channels(Hr__OnnxModel *m)
{
    m->graph->input[0]->type->tensor_type->shape->dim[1]->dim_value = 4;
}

static void a_huge_picture(Hr__OnnxModel *m)
{
    m->graph->input[0]->type->tensor_type->shape->dim[2]->dim_value = INT64_MAX;
}

static void no_such_output(Hr__OnnxModel *m)
{
    m->graph->output[0]->name = nothing;
}

static void output_is_a_map(Hr__OnnxModel *m)
{
    strcpy(m->graph->output[0]->name, "d");
}

static void old_opset(Hr__OnnxModel *m)
{
    m->opset_import[0]->version = 6;
}

static void not_a_number(Hr__OnnxModel *m)
{
    memset(m->graph->initializer[0]->raw_data.data, 0xff, 4);
}

static void outside(Hr__OnnxModel *m)
{
    static Hr__OnnxEntry where = HR__ONNX_ENTRY__INIT, *entries[] = { &where };
    Hr__OnnxTensor *t = m->graph->initializer[0];
    where.key = (char *)(uintptr_t) "location";
    where.value = (char *)(uintptr_t) "../x";
    t->has_data_location = 1;
    t->data_location = 1;
    t->n_external_data = 1;
    t->external_data = entries;
}

static void quantised(Hr__OnnxModel *m)
{
    m->graph->node[0]->op_type = (char *)(uintptr_t) "QuantizeLinear";
}

static void quantised_as_it_runs(Hr__OnnxModel *m)
{
    m->graph->node[0]->op_type = (char *)(uintptr_t) "DynamicQuantizeLinear";
}

static const struct {
    void (*break_it)(Hr__OnnxModel *m);
    enum hr_status status;
    const char *says;
} hostile[] = {
    { unknown_operator, HR_E_UNSUPPORTED, "node 2 'd' (Elu): the operator Elu is not supported" },
    { dangling_input, HR_E_FORMAT, "node 2 'd' (Relu): it reads 'z', which nothing before it" },
    { a_cycle, HR_E_FORMAT, "node 1 'c' (BatchNormalization): it reads 'd', which nothing" },
    { made_twice, HR_E_FORMAT, "'c' is made twice" },
    { a_type_that_lies, HR_E_FORMAT, "initializer 0 'w': shape [4,3,3,3] of F64 does not take" },
    { a_huge_shape, HR_E_LIMIT, "initializer 0 'w'" },
    { a_negative_shape, HR_E_SHAPE, "initializer 0 'w'" },
    { other_channels, HR_E_SHAPE, "its weight 'w' has shape [3,4,3,3]: [3,3,3,3] is wanted" },
    { groups, HR_E_UNSUPPORTED, "groups and dilations are not supported" },
    { a_picture_of_four_channels, HR_E_UNSUPPORTED, "4 channels: 3 are wanted" },
    { a_huge_picture, HR_E_SHAPE, "1 to 65536 is wanted" },
    { no_such_output, HR_E_FORMAT, "it reads 'nothing'" },
    { output_is_a_map, HR_E_UNSUPPORTED, "the result 'd' is a map" },
    { old_opset, HR_E_UNSUPPORTED, "opset 6: 7 to 25 are known" },
    { not_a_number, HR_E_MISMATCH, "its weights 'w' hold NaN or infinity" },
    { outside, HR_E_UNSUPPORTED, "a model in memory has no external data" },
    { quantised, HR_E_UNSUPPORTED, "quantised networks are not supported yet" },
    { quantised_as_it_runs, HR_E_UNSUPPORTED, "quantised networks are not supported yet" },
};

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < HR_COUNT(hostile); i++) {
        struct file f = corpus("plain.onnx"), broken;
        struct hr_graph *graph = NULL;
        struct hr_store *weights = NULL;
        struct hr_foreign is;
        struct hr_message_memory memory = { 0 };
        Hr__OnnxModel *m = unpack(&f, &memory);
        hostile[i].break_it(m);
        broken.size = hr__onnx_model__get_packed_size(m);
        broken.data = malloc(broken.size);
        assert_non_null(broken.data);
        hr__onnx_model__pack(m, broken.data);
        hr_message_memory_fini(&memory);
        const enum hr_status status = read_file(&broken, &graph, &weights, &is);
        if (status != hostile[i].status || !strstr(hr_last_message(), hostile[i].says))
            fail_msg("case %zu: %d: %s", i, (int)status, hr_last_message());
        assert_null(graph);
        free(broken.data);
        hr_mem_free(f.data);
    }
}

/* ---- External data ---- */

/* `other`: of a second initializer, or NULL. */
static void make_external(const char *path, const char *location, const char *other)
{
    static Hr__OnnxEntry where = HR__ONNX_ENTRY__INIT, *entries[] = { &where };
    struct file f = corpus("plain.onnx");
    struct hr_message_memory memory = { 0 };
    Hr__OnnxModel *m = unpack(&f, &memory);
    Hr__OnnxTensor *t = m->graph->initializer[0];
    where.key = (char *)(uintptr_t) "location";
    where.value = (char *)(uintptr_t)location;
    t->has_raw_data = 0;
    t->has_data_location = 1;
    t->data_location = 1;
    t->n_external_data = 1;
    t->external_data = entries;
    if (other) {
        static Hr__OnnxEntry there = HR__ONNX_ENTRY__INIT, *others[] = { &there };
        Hr__OnnxTensor *u = m->graph->initializer[1];
        there.key = where.key;
        there.value = (char *)(uintptr_t)other;
        u->has_raw_data = 0;
        u->has_data_location = 1;
        u->data_location = 1;
        u->n_external_data = 1;
        u->external_data = others;
    }
    const size_t size = hr__onnx_model__get_packed_size(m);
    uint8_t *bytes = malloc(size);
    FILE *file = fopen(path, "wb");
    assert_true(bytes && file);
    hr__onnx_model__pack(m, bytes);
    hr_message_memory_fini(&memory);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    free(bytes);
    hr_mem_free(f.data);
}

static void write_zeros(const char *path, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < size; i++)
        fputc(0, file);
    fclose(file);
}

/* Touches every byte: a mapping that is gone would end the test. */
static void read_all(const struct hr_store *store)
{
    for (size_t i = 0; i < hr_store_count(store); i++) {
        const struct hr_tensor *t = hr_store_tensor(store, i);
        size_t elements;
        double sum = 0;
        assert_int_equal(hr_shape_elements(&t->shape, &elements), HR_OK);
        float *values = malloc(elements * sizeof *values);
        assert_non_null(values);
        hr_tensor_to_f32(values, t);
        for (size_t k = 0; k < elements; k++)
            sum += (double)values[k];
        assert_true(sum == sum);
        free(values);
    }
}

static void external_data_stay_in_their_folder(void **state)
{
    char folder[] = "/tmp/hrnet_onnx_XXXXXX", path[128], data[128], other[128], link[128];
    struct hr_model *model = NULL;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/m.onnx", folder);
    snprintf(data, sizeof data, "%s/m.data", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    static const struct {
        const char *location, *says;
    } cases[] = { { "../m.data", "is not beside the file" },
                  { "/etc/passwd", "lies outside the folder" },
                  { "link", "lies outside the model's folder" },
                  { "../../etc/passwd", "lies outside the model's folder" },
                  { "m.data", "does not take the 8 bytes given" } };
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        make_external(path, cases[i].location, NULL);
        write_zeros(data, 8);
        assert_int_not_equal(hr_exchange_open(&model, path, NULL), HR_OK);
        if (!strstr(hr_last_message(), cases[i].says))
            fail_msg("%s: %s", cases[i].location, hr_last_message());
    }
    write_zeros(data, 4 * 3 * 9 * 4);
    if (hr_exchange_open(&model, path, NULL) != HR_OK)
        fail_msg("%s", hr_last_message());
    hr_model_unref(model);
    /* A second file, and the first once more by another name. */
    snprintf(other, sizeof other, "%s/n.data", folder);
    write_zeros(other, 16);
    for (int i = 0; i < 2; i++) {
        make_external(path, "m.data", i ? "./n.data" : "n.data");
        if (hr_exchange_open(&model, path, NULL) != HR_OK)
            fail_msg("%s", hr_last_message());
        unlink(other); /* the model holds what it needs */
        read_all(hr_model_weights(model));
        hr_model_unref(model);
        write_zeros(other, 16);
    }
    make_external(path, "m.data", "./m.data");
    assert_int_not_equal(hr_exchange_open(&model, path, NULL), HR_OK);
    assert_non_null(strstr(hr_last_message(), "does not take the 432 bytes given"));
    unlink(other);
    unlink(path);
    unlink(data);
    unlink(link);
    rmdir(folder);
}

/* ---- Failing memory ---- */

static void memory_may_fail_anywhere(void **state)
{
    static uint8_t bytes[4096];
    struct file f = corpus("squeeze.onnx");
    struct hr_model *model = NULL;
    enum hr_status status = HR_E_MEMORY;
    size_t n = 0;
    (void)state;
    assert_true(f.size <= sizeof bytes);
    memcpy(bytes, f.data, f.size);
    hr_mem_free(f.data);
    for (; status == HR_E_MEMORY && n < 100000; n++) {
        hostile_memory_limit(n);
        status = hr_exchange_open_memory(&model, bytes, f.size, "file", NULL);
    }
    hostile_memory_limit(SIZE_MAX);
    if (status == HR_OK)
        hr_model_unref(model);
    (void)hostile_memory_restore();
    if (status != HR_OK)
        fail_msg("after %zu allocations: %s", n, hr_last_message());
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_are_read),
        cmocka_unit_test(preprocessing_becomes_the_recipe),
        cmocka_unit_test(graphs_become_models),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(external_data_stay_in_their_folder),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
