/* SPDX-License-Identifier: Apache-2.0
 * The cache of packed weights, seen through kernels that pack by copying: what reaches a kernel is
 * the right weight, scale and bias whatever the stored type, and each is packed once. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/float16.h"
#include "base/mem.h"
#include "plan/pack.h"

enum { K = 3, C = 2, TAPS = 9, WEIGHTS = K * C * TAPS };

/* ---- Kernels that pack by copying ----------------------------------------------------------- */

static int packed_count;

struct copied {
    float w[WEIGHTS], bias[K];
};

static size_t conv_bytes(const struct hr_conv_shape *shape)
{
    (void)shape;
    return hr_round_up(sizeof(struct copied), 64);
}

static void conv_pack(void *packed, const struct hr_conv_shape *shape, const float *w,
                      const float *scale, const float *bias, size_t task, size_t task_count)
{
    struct copied *to = packed;
    packed_count += task == 0;
    for (size_t k = shape->k * task / task_count; k < shape->k * (task + 1) / task_count; k++) {
        for (size_t i = 0; i < C * TAPS; i++)
            to->w[k * C * TAPS + i] = w[k * C * TAPS + i] * (scale ? scale[k] : 1.0f);
        to->bias[k] = bias ? bias[k] : 0.0f;
    }
}

static const struct hr_conv_kernel copy_conv = { .packed_bytes = conv_bytes, .pack = conv_pack };
static const struct hr_conv_kernel other_conv = { .packed_bytes = conv_bytes, .pack = conv_pack };

static bool was_transposed;

static size_t linear_bytes(const struct hr_linear_shape *shape)
{
    return hr_round_up(shape->c * shape->k * sizeof(float), 64);
}

static void linear_pack(void *packed, const struct hr_linear_shape *shape, const float *w,
                        bool transposed, const float *bias, size_t task, size_t task_count)
{
    (void)bias;
    (void)task_count;
    was_transposed = transposed;
    if (task > 0)
        return;
    float *to = packed; /* [c][k] */
    for (size_t c = 0; c < shape->c; c++)
        for (size_t k = 0; k < shape->k; k++)
            to[c * shape->k + k] = transposed ? w[k * shape->c + c] : w[c * shape->k + k];
}

static const struct hr_linear_kernel copy_linear = { .packed_bytes = linear_bytes,
                                                     .pack = linear_pack };

/* ---- A graph of one convolution with its norm, and a linear layer ---------------------------- */

static struct hr_graph_param params[] = {
    { "w", { 4, { K, C, 3, 3 } } }, { "bias", { 1, { K } } }, { "gamma", { 1, { K } } },
    { "beta", { 1, { K } } },       { "mean", { 1, { K } } }, { "variance", { 1, { K } } },
    { "fc", { 2, { C, K } } },
};
static const struct hr_graph graph = { .params = params, .param_count = HR_COUNT(params) };
static const struct hr_node conv_node = {
    .op = HR_OP_CONV, .name = "conv", .attr = { .epsilon = 1e-5f }, .param = { 0, 1, 2, 3, 4, 5 }
};
static const struct hr_node plain_node = {
    .op = HR_OP_CONV, .name = "plain", .param = { 0, HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE }
};
static const struct hr_node linear_node = {
    .op = HR_OP_LINEAR, .name = "fc", .param = { 6, HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE }
};
static const struct hr_conv_shape conv_shape = { .c = C, .k = K, .kernel = 3 };
static const struct hr_linear_shape linear_shape = { .c = C, .k = K };

static float value_of(size_t i)
{
    return (float)((int)(i * 7 % 23) - 11) * 0.125f; /* exact in half precision too */
}

static void add_floats(struct hr_store *store, const struct hr_graph_param *param)
{
    size_t count;
    void *data;
    assert_int_equal(hr_shape_elements(&param->shape, &count), HR_OK);
    assert_int_equal(hr_store_add_owned(store, param->name, HR_DTYPE_F32, &param->shape, &data),
                     HR_OK);
    for (size_t i = 0; i < count; i++)
        ((float *)data)[i] = param == &params[5] ? 0.5f + (float)i : value_of(i);
}

/* All parameters as floats, but for those named in `except`. */
static struct hr_store *weights_but(const char *except)
{
    struct hr_store *store;
    assert_int_equal(hr_store_create(&store), HR_OK);
    for (size_t i = 0; i < HR_COUNT(params); i++)
        if (!except || strcmp(params[i].name, except) != 0)
            add_floats(store, &params[i]);
    return store;
}

static enum hr_status make_conv(struct hr_packs *packs, const struct hr_node *node,
                                const struct hr_conv_kernel *kernel,
                                const struct hr_conv_shape *shape, const void **out)
{
    const struct hr_pack_job job = {
        .node = node, .conv = kernel, .conv_shape = shape, .out = out
    };
    return hr_packs_make(packs, &graph, &job, 1, NULL);
}

static const struct copied *pack(struct hr_packs *packs, const struct hr_node *node,
                                 const struct hr_conv_kernel *kernel)
{
    const void *packed = NULL;
    assert_int_equal(make_conv(packs, node, kernel, &conv_shape, &packed), HR_OK);
    return packed;
}

static void check_folded(const struct copied *got)
{
    for (size_t k = 0; k < K; k++) {
        const double scale = (double)value_of(k) / sqrt((double)(0.5f + (float)k) + (double)1e-5f);
        const double bias =
            (double)value_of(k) + ((double)value_of(k) - (double)value_of(k)) * scale;
        for (size_t i = 0; i < C * TAPS; i++)
            assert_true(got->w[k * C * TAPS + i] == value_of(k * C * TAPS + i) * (float)scale);
        assert_true(got->bias[k] == (float)bias);
    }
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void norm_is_folded_in_double(void **state)
{
    (void)state;
    struct hr_store *store = weights_but(NULL);
    struct hr_packs *packs;
    assert_int_equal(hr_packs_create(&packs, store), HR_OK);
    check_folded(pack(packs, &conv_node, &copy_conv));
    hr_packs_destroy(packs);
    hr_store_destroy(store);
}

static void each_is_packed_once(void **state)
{
    (void)state;
    struct hr_store *store = weights_but(NULL);
    struct hr_packs *packs;
    assert_int_equal(hr_packs_create(&packs, store), HR_OK);
    packed_count = 0;
    const struct copied *first = pack(packs, &conv_node, &copy_conv);
    assert_ptr_equal(pack(packs, &conv_node, &copy_conv), first);
    assert_int_equal(packed_count, 1);
    /* The plane is no part of it: another picture size shares the packed form. */
    struct hr_conv_shape larger = conv_shape;
    larger.h = larger.w = larger.oh = larger.ow = 99;
    const void *again = NULL;
    assert_int_equal(make_conv(packs, &conv_node, &copy_conv, &larger, &again), HR_OK);
    assert_ptr_equal(again, first);
    assert_ptr_not_equal(pack(packs, &conv_node, &other_conv), first);
    assert_int_equal(packed_count, 2);
    assert_int_equal(hr_packs_bytes(packs), 2 * conv_bytes(&conv_shape));
    hr_packs_destroy(packs);
    hr_store_destroy(store);
}

/* The weight as another type, and as a view with turned strides. */
static void other_types_and_strides_are_converted(void **state)
{
    (void)state;
    const enum hr_dtype types[] = { HR_DTYPE_F16, HR_DTYPE_BF16, HR_DTYPE_F64 };
    for (size_t t = 0; t < HR_COUNT(types); t++) {
        struct hr_store *store = weights_but("w");
        void *data;
        assert_int_equal(hr_store_add_owned(store, "w", types[t], &params[0].shape, &data), HR_OK);
        for (size_t i = 0; i < WEIGHTS; i++) {
            if (types[t] == HR_DTYPE_F64)
                ((double *)data)[i] = (double)value_of(i);
            else
                ((uint16_t *)data)[i] = types[t] == HR_DTYPE_F16 ? hr_f32_to_f16(value_of(i))
                                                                 : hr_f32_to_bf16(value_of(i));
        }
        struct hr_packs *packs;
        assert_int_equal(hr_packs_create(&packs, store), HR_OK);
        check_folded(pack(packs, &conv_node, &copy_conv));
        hr_packs_destroy(packs);
        hr_store_destroy(store);
    }
}

static void turned_and_unaligned_views_are_read_right(void **state)
{
    (void)state;
    static HR_ALIGNED(4) uint8_t bytes[WEIGHTS * sizeof(float) + 1];
    struct hr_tensor t = { .dtype = HR_DTYPE_F32, .shape = params[0].shape };
    for (int turned = 0; turned < 2; turned++) {
        struct hr_store *store = weights_but("w");
        hr_tensor_set_contiguous(&t);
        t.data = bytes + 1; /* any alignment is allowed */
        if (turned) {       /* stored as [r][s][k][c] */
            t.stride[0] = C;
            t.stride[1] = 1;
            t.stride[2] = 3 * K * C;
            t.stride[3] = K * C;
        }
        for (size_t i = 0; i < WEIGHTS; i++) {
            const int64_t at[] = { (int64_t)(i / (C * TAPS)), (int64_t)(i / TAPS % C),
                                   (int64_t)(i / 3 % 3), (int64_t)(i % 3) };
            int64_t offset = 0;
            for (int d = 0; d < 4; d++)
                offset += at[d] * t.stride[d];
            const float value = value_of(i);
            memcpy(bytes + 1 + (size_t)offset * sizeof value, &value, sizeof value);
        }
        assert_int_equal(hr_store_add(store, "w", &t), HR_OK);
        struct hr_packs *packs;
        assert_int_equal(hr_packs_create(&packs, store), HR_OK);
        check_folded(pack(packs, &conv_node, &copy_conv));
        hr_packs_destroy(packs);
        hr_store_destroy(store);
    }
}

static void a_layer_without_norm_has_its_own_weights(void **state)
{
    (void)state;
    struct hr_store *store = weights_but(NULL);
    struct hr_packs *packs;
    assert_int_equal(hr_packs_create(&packs, store), HR_OK);
    const struct copied *got = pack(packs, &plain_node, &copy_conv);
    for (size_t i = 0; i < WEIGHTS; i++)
        assert_true(got->w[i] == value_of(i));
    for (size_t k = 0; k < K; k++)
        assert_true(got->bias[k] == 0.0f);
    hr_packs_destroy(packs);
    hr_store_destroy(store);
}

static void linear_weights_are_read_as_they_lie(void **state)
{
    (void)state;
    for (int turned = 0; turned < 2; turned++) {
        struct hr_store *store = weights_but("fc");
        float data[C * K]; /* [c][k], or [k][c] seen through swapped strides */
        struct hr_tensor t = { .dtype = HR_DTYPE_F32, .shape = params[6].shape, .data = data };
        t.stride[0] = turned ? 1 : K;
        t.stride[1] = turned ? C : 1;
        for (size_t c = 0; c < C; c++)
            for (size_t k = 0; k < K; k++)
                data[turned ? k * C + c : c * K + k] = value_of(c * K + k);
        assert_int_equal(hr_store_add(store, "fc", &t), HR_OK);
        struct hr_packs *packs;
        const void *packed = NULL;
        assert_int_equal(hr_packs_create(&packs, store), HR_OK);
        const struct hr_pack_job job = { .node = &linear_node,
                                         .linear = &copy_linear,
                                         .linear_shape = &linear_shape,
                                         .out = &packed };
        assert_int_equal(hr_packs_make(packs, &graph, &job, 1, NULL), HR_OK);
        assert_int_equal(was_transposed, turned);
        for (size_t i = 0; i < (size_t)C * K; i++)
            assert_true(((const float *)packed)[i] == value_of(i));
        hr_packs_destroy(packs);
        hr_store_destroy(store);
    }
}

/* A parameter replaced by one of `shape` filled with `value`: what is the message? */
static void expect_failure(const char *name, const struct hr_shape *shape, float value,
                           const char *part)
{
    struct hr_store *store = weights_but(name);
    if (shape) {
        size_t count;
        void *data;
        assert_int_equal(hr_shape_elements(shape, &count), HR_OK);
        assert_int_equal(hr_store_add_owned(store, name, HR_DTYPE_F32, shape, &data), HR_OK);
        for (size_t i = 0; i < count; i++)
            ((float *)data)[i] = value;
    }
    struct hr_packs *packs;
    int untouched = 0;
    const void *packed = &untouched;
    assert_int_equal(hr_packs_create(&packs, store), HR_OK);
    assert_int_equal(make_conv(packs, &conv_node, &copy_conv, &conv_shape, &packed), HR_E_MISMATCH);
    assert_non_null(strstr(hr_last_message(), strcmp(name, "gamma") == 0 ? "variance" : name));
    assert_non_null(strstr(hr_last_message(), part));
    assert_ptr_equal(packed, &untouched);
    assert_int_equal(hr_packs_bytes(packs), 0);
    hr_packs_destroy(packs);
    hr_store_destroy(store);
}

static void failures_name_the_parameter(void **state)
{
    (void)state;
    const struct hr_shape short_vector = { 1, { K - 1 } }, vector = { 1, { K } };
    expect_failure("w", NULL, 0, "no such tensor");
    expect_failure("mean", NULL, 0, "no such tensor");
    expect_failure("beta", &short_vector, 0, "[2]");
    expect_failure("variance", &vector, -1.0f, "not finite");
    expect_failure("gamma", &vector, 3e38f, "weight 3e+38");
}

/* ---- Many tensors, and one of many pieces ---- */

enum { MANY = 41, LARGE = 17, LARGE_K = 40000 };

static size_t rows_of(size_t tensor)
{
    return tensor == LARGE ? LARGE_K : 1 + tensor * 97 % 500;
}

static size_t rows_bytes(const struct hr_conv_shape *shape)
{
    return hr_round_up(shape->k * C * TAPS * sizeof(float), 64);
}

static void rows_pack(void *packed, const struct hr_conv_shape *shape, const float *w,
                      const float *scale, const float *bias, size_t task, size_t task_count)
{
    const size_t row = (size_t)C * TAPS;
    (void)scale;
    (void)bias;
    for (size_t i = row * (shape->k * task / task_count);
         i < row * (shape->k * (task + 1) / task_count); i++)
        ((float *)packed)[i] = 2 * w[i];
}

static const struct hr_conv_kernel rows_conv = { .packed_bytes = rows_bytes, .pack = rows_pack };

static void many_tensors_share_the_rounds(void **state)
{
    struct hr_graph_param many[MANY];
    struct hr_node nodes[MANY];
    struct hr_conv_shape shapes[MANY];
    struct hr_pack_job jobs[MANY];
    const void *packed[MANY];
    char names[MANY][16];
    struct hr_store *store;
    struct hr_pool *pool;
    (void)state;
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_int_equal(hr_pool_create(&pool, 3), HR_OK);
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "w%zu", i);
        many[i] = (struct hr_graph_param){ names[i], { 4, { (int64_t)rows_of(i), C, 3, 3 } } };
        nodes[i] = plain_node;
        nodes[i].param[HR_ROLE_WEIGHT] = (int32_t)i;
        shapes[i] = (struct hr_conv_shape){ .c = C, .k = rows_of(i), .kernel = 3 };
        jobs[i] = (struct hr_pack_job){
            .node = &nodes[i], .conv = &rows_conv, .conv_shape = &shapes[i], .out = &packed[i]
        };
        add_floats(store, &many[i]);
    }
    const struct hr_graph wide = { .params = many, .param_count = MANY };
    for (int team = 0; team < 2; team++) {
        struct hr_packs *packs;
        assert_int_equal(hr_packs_create(&packs, store), HR_OK);
        assert_int_equal(hr_packs_make(packs, &wide, jobs, MANY, team ? pool : NULL), HR_OK);
        for (size_t t = 0; t < MANY; t++)
            for (size_t i = 0; i < rows_of(t) * C * TAPS; i++)
                assert_true(((const float *)packed[t])[i] == 2 * value_of(i));
        hr_packs_destroy(packs);
    }
    /* A fault in the middle leaves those before it packed, and nothing else remembered. */
    struct hr_packs *packs;
    size_t bytes = 0;
    for (size_t i = 0; i < MANY - 1; i++)
        bytes += rows_bytes(&shapes[i]);
    nodes[MANY - 1].param[HR_ROLE_BIAS] = 0; /* of another length */
    assert_int_equal(hr_packs_create(&packs, store), HR_OK);
    assert_int_equal(hr_packs_make(packs, &wide, jobs, MANY, pool), HR_E_MISMATCH);
    assert_int_equal(hr_packs_bytes(packs), bytes);
    for (size_t t = 0; t < MANY - 1; t++)
        for (size_t i = 0; i < rows_of(t) * C * TAPS; i++)
            assert_true(((const float *)packed[t])[i] == 2 * value_of(i));
    hr_packs_destroy(packs);
    hr_pool_destroy(pool);
    hr_store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norm_is_folded_in_double),
        cmocka_unit_test(each_is_packed_once),
        cmocka_unit_test(other_types_and_strides_are_converted),
        cmocka_unit_test(turned_and_unaligned_views_are_read_right),
        cmocka_unit_test(a_layer_without_norm_has_its_own_weights),
        cmocka_unit_test(linear_weights_are_read_as_they_lie),
        cmocka_unit_test(failures_name_the_parameter),
        cmocka_unit_test(many_tensors_share_the_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
