/* SPDX-License-Identifier: Apache-2.0
 * Operators: every row of the list has its columns; what does not fit is told in one sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "graph/op.h"
#include "scalar_graph.h"

#define SHAPE4(n, c, h, w) ((struct hr_shape){ .rank = 4, .dim = { n, c, h, w } })
#define SHAPE2(n, c)       ((struct hr_shape){ .rank = 2, .dim = { n, c } })

/* A case that fits, one row an operator: walked, so that a new operator without a row fails. */
static const struct fitting {
    struct hr_attr attr;
    struct hr_shape in[HR_MAX_INPUTS];
    int count;
    const char *out;
    uint64_t multiply_adds;
    const char *params[HR_ROLE_COUNT];
} fitting[HR_OP_COUNT] = {
    [HR_OP_CONV] = { { .kernel = 3, .stride = 2, .pad = 1, .channels = 5, .residual = true },
                     { { 4, { 2, 3, 7, 8 } }, { 4, { 2, 5, 4, 4 } } },
                     2,
                     "[2,5,4,4]",
                     2 * 5 * 4 * 4 * 27,
                     { "[5,3,3,3]", "[5]", "[5]", "[5]", "[5]", "[5]" } },
    [HR_OP_BATCH_NORM] = { { .epsilon = 1e-5f },
                           { { 4, { 2, 3, 7, 8 } } },
                           1,
                           "[2,3,7,8]",
                           0,
                           { NULL, NULL, "[3]", "[3]", "[3]", "[3]" } },
    [HR_OP_RELU] = { .in = { { 2, { 2, 3 } } }, .count = 1, .out = "[2,3]" },
    [HR_OP_ADD] = { .in = { { 4, { 1, 2, 3, 4 } }, { 4, { 1, 2, 3, 4 } } },
                    .count = 2,
                    .out = "[1,2,3,4]" },
    [HR_OP_UPSAMPLE] = { { .factor = 4 },
                         { { 4, { 1, 2, 3, 5 } } },
                         1,
                         "[1,2,12,20]",
                         0,
                         { NULL } },
    [HR_OP_SUM] = { { .shift = { 0, 1, 2 } },
                    { { 4, { 1, 2, 8, 4 } }, { 4, { 1, 2, 4, 2 } }, { 4, { 1, 2, 2, 1 } } },
                    3,
                    "[1,2,8,4]",
                    0,
                    { NULL } },
    [HR_OP_GLOBAL_POOL] = { .in = { { 4, { 2, 9, 7, 7 } } }, .count = 1, .out = "[2,9]" },
    [HR_OP_LINEAR] = { { .channels = 10 },
                       { { 2, { 3, 4 } } },
                       1,
                       "[3,10]",
                       3 * 4 * 10,
                       { "[4,10]", "[10]" } },
    [HR_OP_SIGMOID] = { .in = { { 2, { 2, 3 } } }, .count = 1, .out = "[2,3]" },
    [HR_OP_SCALE] = { .in = { { 4, { 2, 3, 7, 8 } }, { 2, { 2, 3 } } },
                      .count = 2,
                      .out = "[2,3,7,8]" },
};

static void every_operator_has_its_columns(void **state)
{
    (void)state;
    for (enum hr_op op = 0; op < HR_OP_COUNT; op++) {
        const struct fitting *f = &fitting[op];
        const struct hr_shape *in[HR_MAX_INPUTS];
        struct hr_shape out;
        for (int i = 0; i < HR_MAX_INPUTS; i++)
            in[i] = &f->in[i];
        assert_true(hr_op_name(op)[0] != '\0');
        assert_true(scalar_graph_knows(op));
        if (!f->out)
            fail_msg("%s has no fitting case in this test", hr_op_name(op));
        if (hr_op_infer(&out, op, &f->attr, in, f->count) != HR_OK)
            fail_msg("%s", hr_last_message());
        assert_string_equal(hr_shape_str(&out).s, f->out);
        assert_int_equal(hr_op_multiply_adds(op, &f->attr, in, f->count, &out), f->multiply_adds);
        for (enum hr_role role = 0; role < HR_ROLE_COUNT; role++) {
            struct hr_shape shape;
            const bool has = hr_op_param_shape(&shape, op, &f->attr, in[0], role);
            assert_int_equal(has, f->params[role] != NULL);
            if (has)
                assert_string_equal(hr_shape_str(&shape).s, f->params[role]);
            assert_true(hr_role_name(role)[0] != '\0');
        }
        assert_int_equal(hr_op_infer(&out, op, &f->attr, in, 0), HR_E_SHAPE);
        assert_int_equal(hr_op_infer(&out, op, &f->attr, in, HR_MAX_INPUTS + 1), HR_E_SHAPE);
    }
}

struct misfit {
    enum hr_op op;
    struct hr_attr attr;
    struct hr_shape in[3];
    int count;
    const char *message;
};

static void misfits_are_told_in_one_sentence(void **state)
{
    const struct misfit misfits[] = {
        { HR_OP_CONV,
          { 3, 1, 1, 8, .relu = true },
          { SHAPE2(1, 3) },
          1,
          "conv: the input must be [n,c,h,w], not [1,3]" },
        { HR_OP_CONV,
          { 3, 0, 1, 8, .relu = true },
          { SHAPE4(1, 3, 8, 8) },
          1,
          "conv: kernel 3, stride 0 and channels 8 must be positive, pad 1 not negative" },
        { HR_OP_CONV,
          { 5, 1, 0, 8, .relu = true },
          { SHAPE4(1, 3, 4, 8) },
          1,
          "conv: a 5x5 window does not fit input [1,3,4,8] with padding 0" },
        { HR_OP_CONV,
          { 3, 1, 1, 8, .residual = true },
          { SHAPE4(1, 3, 8, 8) },
          1,
          "conv: 1 inputs, but the residual is on" },
        { HR_OP_CONV,
          { 3, 1, 1, 8, .residual = true },
          { SHAPE4(1, 3, 8, 8), SHAPE4(1, 8, 8, 7) },
          2,
          "conv: residual [1,8,8,7] is added to a result [1,8,8,8]" },
        { HR_OP_ADD,
          { 0 },
          { SHAPE4(1, 18, 57, 56), SHAPE4(1, 18, 56, 56) },
          2,
          "add: shapes [1,18,57,56] and [1,18,56,56] differ" },
        { HR_OP_ADD, { 0 }, { SHAPE4(1, 18, 57, 56) }, 1, "add: 1 inputs; it takes 2 to 2" },
        { HR_OP_UPSAMPLE,
          { .factor = 3 },
          { SHAPE4(1, 2, 3, 4) },
          1,
          "upsample: factor 3 is not a power of two up to 2^16" },
        { HR_OP_UPSAMPLE,
          { .factor = 1 << 30 },
          { SHAPE4(1, 1, (int64_t)1 << 39, 1) },
          1,
          "upsample: factor 1073741824 is not a power of two up to 2^16" },
        { HR_OP_SUM,
          { .shift = { 0, 1 } },
          { SHAPE4(1, 2, 7, 8), SHAPE4(1, 2, 4, 4) },
          2,
          "sum: term 1 is [1,2,8,8] once upsampled, but term 0 is [1,2,7,8]" },
        { HR_OP_SUM,
          { .shift = { 200 } },
          { SHAPE4(1, 2, 7, 8) },
          1,
          "sum: term 0 is upsampled by 2^200, more than 2^16" },
        { HR_OP_GLOBAL_POOL,
          { 0 },
          { SHAPE2(1, 2) },
          1,
          "global_pool: the input must be [n,c,h,w], not [1,2]" },
        { HR_OP_LINEAR,
          { .channels = 7 },
          { SHAPE4(1, 2, 3, 4) },
          1,
          "linear: the input must be [n,c], not [1,2,3,4]" },
        { HR_OP_LINEAR,
          { .channels = 0 },
          { SHAPE2(1, 2) },
          1,
          "linear: 0 outputs; at least 1 is needed" },
        { HR_OP_SCALE,
          { 0 },
          { SHAPE4(2, 3, 7, 8), SHAPE2(1, 3) },
          2,
          "scale: factors [1,3] do not fit input [2,3,7,8]" },
        { HR_OP_SCALE,
          { 0 },
          { SHAPE4(2, 3, 7, 8), SHAPE2(2, 3), SHAPE4(2, 3, 7, 8) },
          3,
          "scale: 3 inputs, but the residual is off" },
        { HR_OP_RELU,
          { 0 },
          { SHAPE4(1, 0, 3, 4) },
          1,
          "relu: input [1,0,3,4] has a dimension below 1" },
        { HR_OP_UPSAMPLE,
          { .factor = 1 << 16 },
          { SHAPE4(1, 1024, 64, 64) },
          1,
          "upsample: result [1,1024,4194304,4194304] has more than 1099511627776 elements" },
        { HR_OP_RELU,
          { 0 },
          { SHAPE4(INT64_MAX, INT64_MAX, 1, 1) },
          1,
          "relu: input [9223372036854775807,9223372036854775807,1,1] has more than "
          "1099511627776 elements" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(misfits); i++) {
        const struct misfit *m = &misfits[i];
        const struct hr_shape *in[] = { &m->in[0], &m->in[1], &m->in[2] };
        struct hr_shape out = SHAPE2(123, 4);
        assert_int_not_equal(hr_op_infer(&out, m->op, &m->attr, in, m->count), HR_OK);
        assert_string_equal(hr_last_message(), m->message);
        assert_string_equal(hr_shape_str(&out).s, "[123,4]"); /* untouched */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_has_its_columns),
        cmocka_unit_test(misfits_are_told_in_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
