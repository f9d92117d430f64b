/* SPDX-License-Identifier: Apache-2.0
 * Named tensors to requests and back, without a transport. */
#include "serve/oip.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/os.h"

#define MOST_TIMEOUT_US (UINT64_MAX / 2000) /* more is no limit */

const char *const hr_oip_extensions[] = { "binary_tensor_data",
                                          "classification",
                                          "model_configuration",
                                          "model_repository",
                                          "parameters",
                                          "statistics",
                                          NULL };

/* ---- Inputs ---- */

static size_t element_bytes(const char *datatype)
{
    return strcmp(datatype, "FP32") == 0 ? 4 : strcmp(datatype, "UINT8") == 0 ? 1 : 0;
}

/* The count of rows, and that the bytes are as many as shape and datatype say. */
static enum hr_status check_shape(const struct hr_oip_input *in, const struct hr_limits *limits,
                                  size_t *rows)
{
    size_t elements = 1;
    if (in->rank < 1 || in->rank > HR_OIP_MOST_RANK)
        return hr_fail(HR_E_SHAPE, "input '%s' has %zu dimensions", in->name, in->rank);
    for (size_t i = 0; i < in->rank; i++)
        if (in->shape[i] < 1 || !hr_size_mul(&elements, elements, (size_t)in->shape[i]))
            return hr_fail(HR_E_SHAPE, "input '%s': dimension %zu is %" PRId64, in->name, i,
                           in->shape[i]);
    if ((uint64_t)in->shape[0] > limits->items)
        return hr_fail(HR_E_LIMIT, "input '%s' has %" PRId64 " rows, over the limit of %zu",
                       in->name, in->shape[0], limits->items);
    const size_t each = element_bytes(in->datatype);
    size_t bytes;
    if (each && (!hr_size_mul(&bytes, elements, each) || bytes != in->size))
        return hr_fail(HR_E_SHAPE, "input '%s' has %zu bytes of data, its shape says %zu elements",
                       in->name, in->size, elements);
    *rows = (size_t)in->shape[0];
    return HR_OK;
}

static enum hr_status check_side(const struct hr_limits *limits, int64_t height, int64_t width)
{
    if (height > limits->most_side || width > limits->most_side)
        return hr_fail(HR_E_LIMIT, "an input of %" PRId64 "x%" PRId64 " is over the limit of %d px",
                       height, width, limits->most_side);
    return HR_OK;
}

static enum hr_status fill_tensors(struct hr_item *items, size_t rows,
                                   const struct hr_oip_input *in, const struct hr_limits *limits)
{
    if (in->rank != 4 || in->shape[1] != 3)
        return hr_fail(HR_E_SHAPE, "input '%s' of FP32 must have the shape [n,3,height,width]",
                       in->name);
    HR_TRY(check_side(limits, in->shape[2], in->shape[3]));
    for (size_t i = 0; i < rows; i++) {
        items[i].x = in->data + i * (in->size / rows);
        items[i].height = (int)in->shape[2];
        items[i].width = (int)in->shape[3];
    }
    return HR_OK;
}

static enum hr_status fill_pixels(struct hr_item *items, size_t rows, const struct hr_oip_input *in)
{
    if (in->rank != 4 || in->shape[3] != 3)
        return hr_fail(HR_E_SHAPE, "input '%s' of UINT8 must have the shape [n,height,width,3]",
                       in->name);
    for (size_t i = 0; i < rows; i++) {
        items[i].pixels = in->data + i * (in->size / rows);
        items[i].pixels_height = in->shape[1];
        items[i].pixels_width = in->shape[2];
    }
    return HR_OK;
}

static enum hr_status fill_pictures(struct hr_item *items, size_t rows,
                                    const struct hr_oip_input *in)
{
    struct hr_reader r = hr_reader_of(in->data, in->size, "BYTES");
    if (in->rank > 2 || (in->rank == 2 && in->shape[1] != 1))
        return hr_fail(HR_E_SHAPE, "input '%s' of BYTES must have the shape [n] or [n,1]",
                       in->name);
    for (size_t i = 0; i < rows; i++) {
        uint32_t length;
        struct hr_span span;
        if (hr_read_u32le(&r, &length) != HR_OK || hr_read_span(&r, length, &span) != HR_OK)
            return hr_fail(HR_E_FORMAT, "input '%s': element %zu is cut off", in->name, i);
        items[i].picture = span.data;
        items[i].picture_bytes = span.size;
    }
    if (hr_reader_left(&r) > 0)
        return hr_fail(HR_E_FORMAT, "input '%s' has more data than its shape says", in->name);
    return HR_OK;
}

static enum hr_status fill_items(struct hr_item *items, size_t rows, const struct hr_oip_input *in,
                                 const struct hr_limits *limits)
{
    if (strcmp(in->datatype, "FP32") == 0)
        return fill_tensors(items, rows, in, limits);
    if (strcmp(in->datatype, "UINT8") == 0)
        return fill_pixels(items, rows, in);
    return fill_pictures(items, rows, in);
}

static enum hr_status check_inputs(const struct hr_oip_input *inputs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(inputs[i].name, HR_OIP_INPUT) != 0)
            return hr_fail(HR_E_ARGUMENT, "the model has no input '%.60s': its input is '%s'",
                           inputs[i].name, HR_OIP_INPUT);
    if (count != 1)
        return hr_fail(HR_E_ARGUMENT, "the model takes one input, not %zu", count);
    const char *type = inputs[0].datatype;
    if (strcmp(type, "BYTES") != 0 && element_bytes(type) == 0)
        return hr_fail(HR_E_ARGUMENT,
                       "input '%s' may be FP32 [n,3,height,width], UINT8 [n,height,width,3] or "
                       "BYTES [n], not %.20s",
                       HR_OIP_INPUT, type);
    return HR_OK;
}

static bool is_scores(const struct hr_oip_wanted *wanted)
{
    return strcmp(wanted->name, HR_OIP_SCORES) == 0;
}

static enum hr_status check_outputs(const struct hr_oip_question *q)
{
    if (q->wanted_count > HR_OIP_MOST_OUTPUTS)
        return hr_fail(HR_E_ARGUMENT, "more than %d outputs are asked for", HR_OIP_MOST_OUTPUTS);
    for (size_t i = 0; i < q->wanted_count; i++)
        if (!is_scores(&q->wanted[i]) && strcmp(q->wanted[i].name, HR_OIP_OUTPUT) != 0)
            return hr_fail(HR_E_ARGUMENT,
                           "the model has no output '%.60s': there are '%s' and '%s'",
                           q->wanted[i].name, HR_OIP_OUTPUT, HR_OIP_SCORES);
    return HR_OK;
}

enum hr_status hr_oip_begin(struct hr_oip_infer *f, struct hr_service *service,
                            const struct hr_oip_question *q)
{
    const struct hr_limits *limits = &service->limits;
    size_t rows;
    HR_TRY(hr_registry_find(service->registry, &f->served, q->model, q->version));
    HR_TRY(check_inputs(q->inputs, q->input_count));
    HR_TRY(check_shape(&q->inputs[0], limits, &rows));
    HR_TRY(check_outputs(q));
    const size_t classes = (size_t)f->served->info.classes;
    f->request.items = hr_mem_alloc(rows, sizeof *f->request.items);
    f->logits = hr_mem_alloc(rows, classes * sizeof *f->logits);
    if (!f->request.items || !f->logits)
        return HR_E_MEMORY;
    HR_TRY(fill_items(f->request.items, rows, &q->inputs[0], limits));
    for (size_t i = 0; i < rows; i++) {
        f->request.items[i].name = "picture";
        f->request.items[i].logits = f->logits + i * classes;
    }
    f->request.served = f->served;
    f->request.count = rows;
    if (q->timeout_us && q->timeout_us < MOST_TIMEOUT_US)
        f->request.deadline_ns = hr_os_now_ns() + 1000 * q->timeout_us;
    return HR_OK;
}

/* ---- Outputs ---- */

/* [n,k] BYTES "value:index[:label]", best first, as Triton's classification extension. */
static enum hr_status classify(const struct hr_oip_infer *f, const float *values, size_t k,
                               struct hr_buffer *out)
{
    const size_t classes = (size_t)f->served->info.classes, rows = f->request.count;
    size_t *index = hr_mem_alloc(k, sizeof *index);
    struct hr_text text = { 0 };
    if (!index)
        return HR_E_MEMORY;
    for (size_t i = 0; i < rows && text.status == HR_OK; i++) {
        const float *row = values + i * classes;
        hrnet_top_k(row, classes, k, index);
        for (size_t j = 0; j < k; j++) {
            const char *label = hrnet_model_label(f->served->model, (int)index[j]);
            text.size = 0;
            hr_text_printf(&text, "%f:%zu%s%s", (double)row[index[j]], index[j], *label ? ":" : "",
                           label);
            hr_buffer_put_u32le(out, (uint32_t)text.size);
            hr_buffer_put(out, hr_text_str(&text), text.size);
        }
    }
    const enum hr_status status = text.status != HR_OK ? text.status : out->status;
    hr_text_fini(&text);
    hr_mem_free(index);
    return status;
}

static enum hr_status add_output(struct hr_oip_infer *f, const struct hr_oip_wanted *wanted)
{
    const size_t classes = (size_t)f->served->info.classes, rows = f->request.count;
    const bool scores = is_scores(wanted);
    struct hr_buffer bytes = { 0 };
    const size_t k = wanted->classification < classes ? wanted->classification : classes;
    float *values = hr_mem_alloc(rows, classes * sizeof *values);
    if (!values)
        return HR_E_MEMORY;
    for (size_t i = 0; i < rows; i++)
        if (scores)
            hrnet_model_scores(f->served->model, f->logits + i * classes, values + i * classes);
        else
            memcpy(values + i * classes, f->logits + i * classes, classes * sizeof *values);
    struct hr_oip_output *o = &f->outputs[f->output_count];
    *o = (struct hr_oip_output){ .name = scores ? HR_OIP_SCORES : HR_OIP_OUTPUT,
                                 .datatype = k ? "BYTES" : "FP32",
                                 .shape = { (int64_t)rows, (int64_t)(k ? k : classes) },
                                 .binary = wanted->binary };
    enum hr_status status = HR_OK;
    if (k) {
        status = classify(f, values, k, &bytes);
        hr_mem_free(values);
        o->data = bytes.data;
        o->size = bytes.size;
    } else {
        o->data = (uint8_t *)values; /* little-endian, as every CPU this runs on */
        o->size = rows * classes * sizeof *values;
    }
    f->output_count++;
    return status;
}

enum hr_status hr_oip_answer(struct hr_oip_infer *f, const struct hr_oip_question *q)
{
    const struct hr_oip_wanted declared = { .name = HR_OIP_OUTPUT, .binary = q->binary };
    const struct hr_item *failure = hr_request_failure(&f->request);
    if (failure)
        return hr_fail(failure->status, "%s", failure->message);
    if (q->wanted_count == 0)
        return add_output(f, &declared);
    for (size_t i = 0; i < q->wanted_count; i++)
        HR_TRY(add_output(f, &q->wanted[i]));
    return HR_OK;
}

void hr_oip_fini(struct hr_oip_infer *f)
{
    for (size_t i = 0; i < f->output_count; i++)
        hr_mem_free(f->outputs[i].data);
    hr_mem_free(f->request.items);
    hr_mem_free(f->logits);
    hr_served_release(f->served);
    *f = (struct hr_oip_infer){ 0 };
}
