/* SPDX-License-Identifier: Apache-2.0
 * ONNX files to graphs: constants, the input, then node after node.  Nodes come in topological
 * order (IR, "Graphs"), so one that reads what nothing before it makes is refused, and
 * with it every cycle.  Source: ONNX operator specifications, opset 7 to 25. */
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "exchange/onnx.h"
#include "exchange/onnx_operators.h"
#include "wire/message.h"
#include "wire/onnx.pb-c.h"

#define FREE_SIDE 224 /* px of an input whose size is free: what it is built for first */
#define MOST_SIDE 65536

/* ---- The graph ----------------------------------------------------------------------------- */

static enum hr_status read_nodes(struct hr_onnx_reader *r)
{
    for (size_t i = 0; i < r->graph->n_node; i++) {
        const Hr__OnnxNode *n = r->graph->node[i];
        const enum hr_status status = hr_onnx_read_node(r, n);
        if (status == HR_E_MEMORY)
            return status;
        if (status != HR_OK)
            return hr_fail_context(status, "node %zu '%.100s' (%.60s)", i, r->im->node,
                                   n->op_type ? n->op_type : "no operator");
    }
    return HR_OK;
}

static enum hr_status read_initializers(struct hr_onnx_reader *r)
{
    for (size_t i = 0; i < r->graph->n_initializer; i++) {
        const Hr__OnnxTensor *from = r->graph->initializer[i];
        struct hr_tensor t;
        enum hr_status status = hr_onnx_tensor(&t, &r->tensors, from);
        if (status == HR_OK)
            status = hr_import_constant(r->im, from->name ? from->name : "", &t);
        if (status != HR_OK)
            return hr_fail_context(status, "initializer %zu '%.100s'", i,
                                   from->name ? from->name : "");
    }
    return HR_OK;
}

/* Older files list the initializers among the inputs. */
static const Hr__OnnxValue *the_input(const struct hr_onnx_reader *r, size_t *count)
{
    const Hr__OnnxValue *found = NULL;
    const struct hr_tensor *initializer;
    *count = 0;
    for (size_t i = 0; i < r->graph->n_input; i++) {
        const Hr__OnnxValue *x = r->graph->input[i];
        if (x->name && hr_import_find_constant(r->im, x->name, &initializer) != HR_OK) {
            found = x;
            ++*count;
        }
    }
    return found;
}

/* A fixed dimension, or 0 for one that is free. */
static enum hr_status side_of(const Hr__OnnxShape *shape, size_t d, int64_t *out)
{
    *out = shape->dim[d]->has_dim_value ? shape->dim[d]->dim_value : 0;
    if (*out < 0 || *out > MOST_SIDE)
        return hr_fail(HR_E_SHAPE, "its input's dimension %zu is %lld: 1 to %d is wanted", d,
                       (long long)*out, MOST_SIDE);
    return HR_OK;
}

static enum hr_status read_input(struct hr_onnx_reader *r, struct hr_foreign *is)
{
    size_t count;
    const Hr__OnnxValue *x = the_input(r, &count);
    if (count != 1)
        return hr_fail(HR_E_UNSUPPORTED, "it has %s: a picture is wanted",
                       count ? "more than one input" : "no input");
    const Hr__OnnxTensorType *type = x->type ? x->type->tensor_type : NULL;
    const Hr__OnnxShape *shape = type ? type->shape : NULL;
    if (!shape || shape->n_dim != 4)
        return hr_fail(HR_E_UNSUPPORTED, "its input '%.100s' has no shape of 4 dimensions",
                       x->name);
    if (type->elem_type != 1 && type->elem_type != 2 && type->elem_type != 10)
        return hr_fail(HR_E_UNSUPPORTED,
                       "its input '%.100s' is of ONNX type %d: float, float16 or "
                       "uint8 is wanted",
                       x->name, (int)type->elem_type);
    int64_t dim[4];
    for (size_t d = 0; d < 4; d++)
        HR_TRY(side_of(shape, d, &dim[d]));
    const bool last = dim[1] != 3 && dim[3] == 3;
    if (!last && dim[1] != 3 && dim[1] != 0)
        return hr_fail(HR_E_UNSUPPORTED, "its input has %lld channels: 3 are wanted",
                       (long long)dim[1]);
    is->bytes = type->elem_type == 2;
    is->height = dim[last ? 1 : 2];
    is->width = dim[last ? 2 : 3];
    return hr_import_input(r->im, x->name, is->height ? is->height : FREE_SIDE,
                           is->width ? is->width : FREE_SIDE, last);
}

static enum hr_status read_opset(struct hr_onnx_reader *r, const Hr__OnnxModel *model)
{
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const Hr__OnnxOpset *o = model->opset_import[i];
        if (!o->domain || !o->domain[0] || strcmp(o->domain, "ai.onnx") == 0)
            r->opset = o->version;
    }
    if (r->opset < 7 || r->opset > 25)
        return hr_fail(HR_E_UNSUPPORTED, "its operators are those of opset %lld: 7 to 25 are known",
                       (long long)r->opset);
    return HR_OK;
}

static enum hr_status read_metadata(struct hr_store *weights, const Hr__OnnxModel *model)
{
    for (size_t i = 0; i < model->n_metadata_props; i++) {
        const Hr__OnnxEntry *e = model->metadata_props[i];
        if (e->key && e->value)
            HR_TRY(hr_store_set_meta(weights, e->key, e->value));
    }
    return HR_OK;
}

static enum hr_status read_graph(struct hr_onnx_reader *r, struct hr_foreign *is,
                                 struct hr_graph **graph, struct hr_store **weights)
{
    HR_TRY(read_initializers(r));
    HR_TRY(read_input(r, is));
    HR_TRY(read_nodes(r));
    if (r->graph->n_output < 1 || !r->graph->output[0]->name)
        return hr_fail(HR_E_FORMAT, "the graph has no output");
    hr_import_tell(r->im, is);
    HR_TRY(hr_import_finish(r->im, r->graph->output[0]->name, graph, weights));
    is->result = r->im->result;
    return HR_OK;
}

static enum hr_status read_model(struct hr_onnx_reader *r, const Hr__OnnxModel *model,
                                 struct hr_foreign *is, struct hr_graph **graph,
                                 struct hr_store **weights)
{
    if (!model->graph || model->graph->n_node == 0)
        return hr_fail(HR_E_FORMAT, "it holds no graph");
    r->graph = model->graph;
    if (model->producer_name && strcmp(model->producer_name, "pytorch") == 0)
        is->recipe = "pillow-bicubic"; /* timm's */
    HR_TRY(read_opset(r, model));
    HR_TRY(hr_import_init(r->im));
    HR_TRY(read_metadata(r->im->weights, model));
    return read_graph(r, is, graph, weights);
}

bool hr_onnx_sniff(const void *data, size_t size)
{
    /* ir_version, field 1, a varint below 32, and then another known field. */
    const uint8_t *b = data;
    return size > 3 && b[0] == 0x08 && b[1] > 0 && b[1] < 32 &&
           (b[2] == 0x12 || b[2] == 0x1a || b[2] == 0x22 || b[2] == 0x28 || b[2] == 0x32 ||
            b[2] == 0x3a || b[2] == 0x42 || b[2] == 0x72);
}

/* The weights are views of the message and of external data: that memory becomes the store's. */
static enum hr_status keep_memory(struct hr_store *weights, struct hr_message_memory *memory,
                                  struct hr_onnx_tensors *tensors)
{
    while (memory->count) {
        HR_TRY(hr_store_take_block(weights, memory->blocks[memory->count - 1]));
        memory->count--;
    }
    for (size_t i = 0; i < tensors->file_count; i++)
        HR_TRY(hr_store_take_map(weights, &tensors->files[i].map));
    return HR_OK;
}

enum hr_status hr_onnx_read(struct hr_graph **graph, struct hr_store **weights,
                            struct hr_foreign *is, const void *data, size_t size, const char *name,
                            const char *folder)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *message = NULL;
    struct hr_import im = { 0 };
    struct hr_onnx_reader r = { .im = &im, .tensors = { .memory = &memory, .folder = folder } };
    struct hr_graph *made = NULL;
    struct hr_store *store = NULL;
    *is = (struct hr_foreign){ 0 };
    enum hr_status status =
        hr_message_read(&message, &memory, &hr__onnx_model__descriptor, data, size, name);
    if (status == HR_OK) {
        status = read_model(&r, (const Hr__OnnxModel *)(const void *)message, is, &made, &store);
        if (status != HR_OK && status != HR_E_MEMORY)
            status = hr_fail_context(status, "%s", name);
    }
    if (status == HR_OK)
        status = keep_memory(store, &memory, &r.tensors);
    if (status == HR_OK) {
        hr_store_set_format(store, HR_FORMAT_ONNX);
        *graph = made;
        *weights = store;
        made = NULL;
        store = NULL;
    }
    hr_import_fini(&im); /* views first, then what they look at */
    hr_graph_destroy(made);
    hr_store_destroy(store);
    hr_onnx_tensors_fini(&r.tensors);
    hr_message_memory_fini(&memory);
    return status;
}
