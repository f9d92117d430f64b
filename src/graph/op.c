/* SPDX-License-Identifier: Apache-2.0
 * Operators: one table row each, with the rule for the shape of its result, the parameters it owns
 * and its multiply-adds.  The one idea: shapes come from users' files, so a misfit is a sentence
 * and never an abort.  Knows nothing of graphs, memory or kernels.
 *
 * Letters: n images, c channels, h w plane, k output channels. */
#include "graph/op.h"

/* Upsampling goes up to 2^16: a dimension below HR_MAX_ELEMENTS times that is far from overflow. */
#define MAX_SHIFT 16

typedef enum hr_status infer_fn(struct hr_shape *out, const struct hr_attr *attr,
                                const struct hr_shape *const *in, int count);

static enum hr_status bad_input(enum hr_op op, const char *wanted, const struct hr_shape *got)
{
    return hr_fail(HR_E_SHAPE, "%s: the input must be %s, not %s", hr_op_name(op), wanted,
                   hr_shape_str(got).s);
}

/* oh = (h + 2 pad - kernel) / stride + 1, rounded down; ow alike. */
static enum hr_status infer_conv(struct hr_shape *out, const struct hr_attr *attr,
                                 const struct hr_shape *const *in, int count)
{
    const struct hr_shape *x = in[0];
    if (x->rank != 4) {
        return bad_input(HR_OP_CONV, "[n,c,h,w]", x);
    }
    if (attr->kernel < 1 || attr->stride < 1 || attr->pad < 0 || attr->channels < 1) {
        return hr_fail(HR_E_SHAPE,
                       "conv: kernel %d, stride %d and channels %d must be positive, pad %d not "
                       "negative",
                       attr->kernel, attr->stride, attr->channels, attr->pad);
    }
    struct hr_shape y = { .rank = 4, .dim = { x->dim[0], attr->channels } };
    for (int d = 2; d < 4; d++) {
        const int64_t span = x->dim[d] + 2 * (int64_t)attr->pad - attr->kernel;
        if (span < 0) {
            return hr_fail(HR_E_SHAPE, "conv: a %dx%d window does not fit input %s with padding %d",
                           attr->kernel, attr->kernel, hr_shape_str(x).s, attr->pad);
        }
        y.dim[d] = span / attr->stride + 1;
    }
    if ((count == 2) != attr->residual) {
        return hr_fail(HR_E_SHAPE, "conv: %d inputs, but the residual is %s", count,
                       attr->residual ? "on" : "off");
    }
    if (count == 2 && !hr_shape_equal(in[1], &y)) {
        return hr_fail(HR_E_SHAPE, "conv: residual %s is added to a result %s",
                       hr_shape_str(in[1]).s, hr_shape_str(&y).s);
    }
    *out = y;
    return HR_OK;
}

static enum hr_status infer_same(struct hr_shape *out, const struct hr_attr *attr,
                                 const struct hr_shape *const *in, int count)
{
    (void)attr;
    (void)count;
    *out = *in[0];
    return HR_OK;
}

static enum hr_status infer_batch_norm(struct hr_shape *out, const struct hr_attr *attr,
                                       const struct hr_shape *const *in, int count)
{
    if (in[0]->rank != 4) {
        return bad_input(HR_OP_BATCH_NORM, "[n,c,h,w]", in[0]);
    }
    return infer_same(out, attr, in, count);
}

static enum hr_status infer_add(struct hr_shape *out, const struct hr_attr *attr,
                                const struct hr_shape *const *in, int count)
{
    if (!hr_shape_equal(in[0], in[1])) {
        return hr_fail(HR_E_SHAPE, "add: shapes %s and %s differ", hr_shape_str(in[0]).s,
                       hr_shape_str(in[1]).s);
    }
    return infer_same(out, attr, in, count);
}

static enum hr_status infer_upsample(struct hr_shape *out, const struct hr_attr *attr,
                                     const struct hr_shape *const *in, int count)
{
    (void)count;
    if (in[0]->rank != 4) {
        return bad_input(HR_OP_UPSAMPLE, "[n,c,h,w]", in[0]);
    }
    if (attr->factor < 1 || attr->factor > 1 << MAX_SHIFT ||
        (attr->factor & (attr->factor - 1)) != 0) {
        return hr_fail(HR_E_SHAPE, "upsample: factor %d is not a power of two up to 2^%d",
                       attr->factor, MAX_SHIFT);
    }
    *out = *in[0];
    out->dim[2] *= attr->factor;
    out->dim[3] *= attr->factor;
    return HR_OK;
}

static enum hr_status infer_sum(struct hr_shape *out, const struct hr_attr *attr,
                                const struct hr_shape *const *in, int count)
{
    struct hr_shape first = { 0 };
    for (int i = 0; i < count; i++) {
        struct hr_shape term = *in[i];
        if (term.rank != 4) {
            return bad_input(HR_OP_SUM, "[n,c,h,w]", in[i]);
        }
        if (attr->shift[i] > MAX_SHIFT) {
            return hr_fail(HR_E_SHAPE, "sum: term %d is upsampled by 2^%d, more than 2^%d", i,
                           attr->shift[i], MAX_SHIFT);
        }
        term.dim[2] <<= attr->shift[i];
        term.dim[3] <<= attr->shift[i];
        if (i == 0) {
            first = term;
        } else if (!hr_shape_equal(&term, &first)) {
            return hr_fail(HR_E_SHAPE, "sum: term %d is %s once upsampled, but term 0 is %s", i,
                           hr_shape_str(&term).s, hr_shape_str(&first).s);
        }
    }
    *out = first;
    return HR_OK;
}

static enum hr_status infer_global_pool(struct hr_shape *out, const struct hr_attr *attr,
                                        const struct hr_shape *const *in, int count)
{
    (void)attr;
    (void)count;
    if (in[0]->rank != 4) {
        return bad_input(HR_OP_GLOBAL_POOL, "[n,c,h,w]", in[0]);
    }
    *out = (struct hr_shape){ .rank = 2, .dim = { in[0]->dim[0], in[0]->dim[1] } };
    return HR_OK;
}

static enum hr_status infer_linear(struct hr_shape *out, const struct hr_attr *attr,
                                   const struct hr_shape *const *in, int count)
{
    (void)count;
    if (in[0]->rank != 2) {
        return bad_input(HR_OP_LINEAR, "[n,c]", in[0]);
    }
    if (attr->channels < 1) {
        return hr_fail(HR_E_SHAPE, "linear: %d outputs; at least 1 is needed", attr->channels);
    }
    *out = (struct hr_shape){ .rank = 2, .dim = { in[0]->dim[0], attr->channels } };
    return HR_OK;
}

static enum hr_status infer_scale(struct hr_shape *out, const struct hr_attr *attr,
                                  const struct hr_shape *const *in, int count)
{
    const struct hr_shape *x = in[0], *s = in[1];
    if (x->rank != 4) {
        return bad_input(HR_OP_SCALE, "[n,c,h,w]", x);
    }
    if (s->rank != 2 || s->dim[0] != x->dim[0] || s->dim[1] != x->dim[1]) {
        return hr_fail(HR_E_SHAPE, "scale: factors %s do not fit input %s", hr_shape_str(s).s,
                       hr_shape_str(x).s);
    }
    if ((count == 3) != attr->residual) {
        return hr_fail(HR_E_SHAPE, "scale: %d inputs, but the residual is %s", count,
                       attr->residual ? "on" : "off");
    }
    if (count == 3 && !hr_shape_equal(in[2], x)) {
        return hr_fail(HR_E_SHAPE, "scale: residual %s is added to a result %s",
                       hr_shape_str(in[2]).s, hr_shape_str(x).s);
    }
    return infer_same(out, attr, in, count);
}

/* How many inputs an operator takes, and the shape of what it makes of them. */
static const struct infer_row {
    int fewest, most;
    infer_fn *infer;
} infer_of[HR_OP_COUNT] = {
    [HR_OP_CONV] = { 1, 2, infer_conv },
    [HR_OP_BATCH_NORM] = { 1, 1, infer_batch_norm },
    [HR_OP_RELU] = { 1, 1, infer_same },
    [HR_OP_ADD] = { 2, 2, infer_add },
    [HR_OP_UPSAMPLE] = { 1, 1, infer_upsample },
    [HR_OP_SUM] = { 1, HR_MAX_INPUTS, infer_sum },
    [HR_OP_GLOBAL_POOL] = { 1, 1, infer_global_pool },
    [HR_OP_LINEAR] = { 1, 1, infer_linear },
    [HR_OP_SIGMOID] = { 1, 1, infer_same },
    [HR_OP_SCALE] = { 2, 3, infer_scale },
};

/* Every dimension at least 1, and the bytes of the whole as float32 within size_t. */
static enum hr_status check_extent(enum hr_op op, const char *what, const struct hr_shape *shape)
{
    for (int d = 0; d < shape->rank; d++) {
        if (shape->dim[d] < 1) {
            return hr_fail(HR_E_SHAPE, "%s: %s %s has a dimension below 1", hr_op_name(op), what,
                           hr_shape_str(shape).s);
        }
    }
    size_t count;
    enum hr_status status = hr_shape_elements(shape, &count);
    if (status == HR_OK && count > HR_MAX_ELEMENTS) {
        status = HR_E_LIMIT;
    }
    if (status != HR_OK) {
        return hr_fail(HR_E_LIMIT, "%s: %s %s has more than %lld elements", hr_op_name(op), what,
                       hr_shape_str(shape).s, (long long)HR_MAX_ELEMENTS);
    }
    return HR_OK;
}

enum hr_status hr_op_infer(struct hr_shape *out, enum hr_op op, const struct hr_attr *attr,
                           const struct hr_shape *const *in, int count)
{
    const struct infer_row *row = &infer_of[op];
    if (!row->infer) {
        return hr_fail(HR_E_INTERNAL, "%s: no rule for its shape", hr_op_name(op));
    }
    if (count < row->fewest || count > row->most) {
        return hr_fail(HR_E_SHAPE, "%s: %d inputs; it takes %d to %d", hr_op_name(op), count,
                       row->fewest, row->most);
    }
    for (int i = 0; i < count; i++) {
        HR_TRY(check_extent(op, "input", in[i]));
    }
    struct hr_shape result;
    HR_TRY(row->infer(&result, attr, in, count));
    HR_TRY(check_extent(op, "result", &result));
    *out = result;
    return HR_OK;
}

const char *hr_op_name(enum hr_op op)
{
    static const char *const names[HR_OP_COUNT] = {
#define OP_NAME(id, name) [HR_OP_##id] = name,
        HR_OP_LIST(OP_NAME)
#undef OP_NAME
    };
    return names[op];
}

const char *hr_role_name(enum hr_role role)
{
    static const char *const names[HR_ROLE_COUNT] = {
        [HR_ROLE_WEIGHT] = "weight", [HR_ROLE_BIAS] = "bias", [HR_ROLE_GAMMA] = "gamma",
        [HR_ROLE_BETA] = "beta",     [HR_ROLE_MEAN] = "mean", [HR_ROLE_VARIANCE] = "variance",
    };
    return names[role];
}

/* Parameters an operator may own, as a set of roles. */
#define ROLE(id) (1u << HR_ROLE_##id)
#define NORM     (ROLE(GAMMA) | ROLE(BETA) | ROLE(MEAN) | ROLE(VARIANCE))
static const unsigned roles_of[HR_OP_COUNT] = {
    [HR_OP_CONV] = ROLE(WEIGHT) | ROLE(BIAS) | NORM,
    [HR_OP_BATCH_NORM] = NORM,
    [HR_OP_LINEAR] = ROLE(WEIGHT) | ROLE(BIAS),
};

bool hr_op_param_shape(struct hr_shape *out, enum hr_op op, const struct hr_attr *attr,
                       const struct hr_shape *in, enum hr_role role)
{
    if (!(roles_of[op] & (1u << role))) {
        return false;
    }
    const int64_t c = in->dim[1], k = op == HR_OP_BATCH_NORM ? c : attr->channels;
    if (role != HR_ROLE_WEIGHT) {
        *out = (struct hr_shape){ .rank = 1, .dim = { k } };
    } else if (op == HR_OP_LINEAR) {
        *out = (struct hr_shape){ .rank = 2, .dim = { c, k } };
    } else {
        *out = (struct hr_shape){ .rank = 4, .dim = { k, c, attr->kernel, attr->kernel } };
    }
    return true;
}

/* Multiply-adds per element of the result; operators without a row cost none. */
typedef uint64_t cost_fn(const struct hr_attr *attr, const struct hr_shape *x);

static uint64_t cost_conv(const struct hr_attr *attr, const struct hr_shape *x)
{
    return (uint64_t)x->dim[1] * (uint64_t)attr->kernel * (uint64_t)attr->kernel;
}

static uint64_t cost_linear(const struct hr_attr *attr, const struct hr_shape *x)
{
    (void)attr;
    return (uint64_t)x->dim[1];
}

static cost_fn *const cost_of[HR_OP_COUNT] = {
    [HR_OP_CONV] = cost_conv,
    [HR_OP_LINEAR] = cost_linear,
};

uint64_t hr_op_multiply_adds(enum hr_op op, const struct hr_attr *attr,
                             const struct hr_shape *const *in, int count,
                             const struct hr_shape *out)
{
    if (!cost_of[op] || count < 1) {
        return 0;
    }
    uint64_t elements = 1;
    for (int d = 0; d < out->rank; d++) {
        elements *= (uint64_t)out->dim[d];
    }
    return elements * cost_of[op](attr, in[0]);
}
