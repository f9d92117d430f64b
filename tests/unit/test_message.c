/* SPDX-License-Identifier: Apache-2.0
 * Messages: what is written is read again, cut-off bytes are refused, memory has a budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"
#include "wire/onnx.pb-c.h"

static Hr__OnnxModel *read_model(struct hr_message_memory *memory, const void *data, size_t size,
                                 enum hr_status want)
{
    ProtobufCMessage *message = NULL;
    const enum hr_status status =
        hr_message_read(&message, memory, &hr__onnx_model__descriptor, data, size, "test");
    if (status != want)
        fail_msg("status %d: %s", (int)status, hr_last_message());
    return (Hr__OnnxModel *)(void *)message;
}

static void messages_come_back(void **state)
{
    Hr__OnnxModel model = HR__ONNX_MODEL__INIT;
    Hr__OnnxGraph graph = HR__ONNX_GRAPH__INIT;
    Hr__OnnxTensor tensor = HR__ONNX_TENSOR__INIT, *tensors[] = { &tensor };
    struct hr_message_memory memory = { 0 };
    static uint8_t weights[100000];
    char *file = NULL;
    size_t size = 0;
    (void)state;
    memset(weights, 7, sizeof weights);
    tensor.has_raw_data = 1;
    tensor.raw_data = (ProtobufCBinaryData){ sizeof weights, weights };
    tensor.name = (char *)(uintptr_t) "w";
    graph.n_initializer = 1;
    graph.initializer = tensors;
    model.graph = &graph;
    FILE *stream = open_memstream(&file, &size);
    assert_non_null(stream);
    assert_int_equal(hr_message_write(&model.base, stream, "test"), HR_OK);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(size, protobuf_c_message_get_packed_size(&model.base));
    Hr__OnnxModel *back = read_model(&memory, file, size, HR_OK);
    assert_string_equal(back->graph->initializer[0]->name, "w");
    assert_int_equal(back->graph->initializer[0]->raw_data.len, sizeof weights);
    assert_memory_equal(back->graph->initializer[0]->raw_data.data, weights, sizeof weights);
    hr_message_memory_fini(&memory);
    for (size_t cut = 1; cut < size; cut += 1 + cut / 3) {
        (void)read_model(&memory, file, size - cut, HR_E_FORMAT);
        hr_message_memory_fini(&memory);
    }
    free(file);
}

/* Nodes of two bytes each: a structure of a hundred and more for every one. */
static void memory_has_a_budget(void **state)
{
    enum { NODES = 2000000, HEAD = 6 };
    struct hr_message_memory memory = { 0 };
    uint8_t *file = malloc(HEAD + 2 * NODES);
    size_t at = 0;
    (void)state;
    assert_non_null(file);
    file[at++] = 0x3a; /* the graph: its length as a varint of four bytes and a bit */
    for (unsigned shift = 0; shift < 28; shift += 7)
        file[at++] = (uint8_t)((2u * NODES >> shift & 127) | (shift < 21 ? 128 : 0));
    for (size_t i = 0; i < NODES; i++) {
        file[at++] = 0x0a;
        file[at++] = 0;
    }
    (void)read_model(&memory, file, at, HR_E_LIMIT);
    hr_message_memory_fini(&memory);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(messages_come_back),
                                        cmocka_unit_test(memory_has_a_budget) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
