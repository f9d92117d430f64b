/* SPDX-License-Identifier: Apache-2.0
 * Arithmetic of an imported graph.  With a constant it is preprocessing of the picture, which goes
 * into the recipe, or a factor or bias a channel, which is a norm, or the bias that a product came
 * without; between activations it is a sum or a scale. */
#include "exchange/import.h"

#include <string.h>

#include "exchange/import_values.h"

#define PLAIN_EPSILON 1e-5f /* of norms that stand for a factor or a bias: 1 - it + it is 1 */

/* A constant that is one number, or one a channel, spread over channels[count]. */
static enum hr_status per_channel(const struct hr_tensor *t, const char *name, int axis_from_end,
                                  float *channels, size_t count)
{
    size_t elements;
    const int at = t->shape.rank - axis_from_end;
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    if (elements != 1 && !(at >= 0 && (size_t)t->shape.dim[at] == elements && elements == count))
        return hr_fail(HR_E_UNSUPPORTED,
                       "the constant '%.100s' of shape %s is neither one number nor one a channel "
                       "(%zu)",
                       name, hr_shape_str(&t->shape).s, count);
    HR_TRY(hr_import_check_values(t, name));
    hr_tensor_to_f32(channels, t);
    for (size_t i = elements; i < count; i++)
        channels[i] = channels[0];
    return HR_OK;
}

/* Arithmetic on the picture goes into the recipe: y = (x * scale - mean) / deviation. */
static void normalise(struct hr_import *im, char op, const float c[3])
{
    const bool uniform = c[0] == c[1] && c[0] == c[2];
    if (op == '*' && im->steps == 0 && uniform) {
        im->scale *= c[0];
        return;
    }
    for (int i = 0; i < 3; i++) {
        if (op == '*')
            im->deviation[i] /= c[i];
        else if (op == '/')
            im->deviation[i] *= c[i];
        else if (op == '-')
            im->mean[i] += c[i] * im->deviation[i];
        else
            im->mean[i] -= c[i] * im->deviation[i];
    }
}

static enum hr_status normalise_picture(struct hr_import *im, const char *out, char op,
                                        const struct hr_import_value *x, const char *constant)
{
    const struct hr_tensor *t;
    struct hr_import_value like = *x;
    float c[3];
    HR_TRY(hr_import_find_constant(im, constant, &t));
    HR_TRY(per_channel(t, constant, x->channels_last ? 1 : 3, c, 3));
    if (x->picture != im->steps + 1)
        return hr_fail(HR_E_UNSUPPORTED, "the picture is normalised in two ways");
    normalise(im, op, c);
    im->steps++;
    like.picture++;
    return hr_import_define_like(im, out, &like);
}

/* A factor or a bias a channel is a norm with mean 0 and variance 1. */
static enum hr_status affine(struct hr_import *im, const char *out, char op,
                             const struct hr_import_value *x, const struct hr_tensor *t,
                             const char *constant)
{
    const hr_value in = x->value;
    const size_t count = (size_t)hr_import_shape_of(im, x)->dim[1];
    float *gamma, *beta, *other;
    hr_import_name_layer(im);
    const hr_value y = hr_batch_norm(&im->builder, in, PLAIN_EPSILON);
    HR_TRY(hr_import_give_vector(im, HR_ROLE_GAMMA, 1, &gamma));
    HR_TRY(hr_import_give_vector(im, HR_ROLE_BETA, 0, &beta));
    HR_TRY(hr_import_give_vector(im, HR_ROLE_MEAN, 0, &other));
    HR_TRY(hr_import_give_vector(im, HR_ROLE_VARIANCE, 1 - PLAIN_EPSILON, &other));
    HR_TRY(per_channel(t, constant, 3, op == '*' || op == '/' ? gamma : beta, count));
    for (size_t i = 0; i < count; i++) {
        if (op == '/')
            gamma[i] = 1 / gamma[i];
        if (op == '-')
            beta[i] = -beta[i];
    }
    if (!hr_import_all_finite(gamma, count))
        return hr_fail(HR_E_MISMATCH, "it divides by 0");
    return hr_import_define_result(im, out, y, HR_FORM_MAP);
}

static bool has_reader(const struct hr_graph *g, hr_value x)
{
    for (size_t i = 0; i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i].input_count; k++)
            if (g->nodes[i].in[k] == x)
                return true;
    return false;
}

/* The bias of a product that came without. */
static enum hr_status late_bias(struct hr_import *im, const char *out,
                                const struct hr_import_value *x, const struct hr_tensor *t,
                                const char *constant)
{
    struct hr_import_value like = *x;
    const size_t count = (size_t)hr_import_shape_of(im, x)->dim[1];
    if (has_reader(im->builder.graph, x->value))
        return hr_fail(HR_E_UNSUPPORTED, "its product is read without its bias, too");
    HR_TRY(per_channel(t, constant, x->form == HR_FORM_VECTOR ? 1 : 3, like.bias, count));
    im->values[x - im->values].spent = true;
    like.bias = NULL;
    return hr_import_define_like(im, out, &like);
}

static enum hr_status with_constant(struct hr_import *im, const char *out, char op, const char *a,
                                    const char *constant)
{
    const struct hr_import_value *x;
    const struct hr_tensor *t;
    HR_TRY(hr_import_find(im, a, &x));
    if (x->picture)
        return normalise_picture(im, out, op, x, constant);
    HR_TRY(hr_import_operand(im, a, &x));
    HR_TRY(hr_import_find_constant(im, constant, &t));
    if (x->form == HR_FORM_MAP)
        return affine(im, out, op, x, t, constant);
    if (op == '+' && x->bias)
        return late_bias(im, out, x, t, constant);
    return hr_fail(HR_E_UNSUPPORTED,
                   "arithmetic with the constant '%.100s' is supported as bias of "
                   "a product only",
                   constant);
}

/* The longer sum goes to the left, where it can grow: a + b is b + a to the bit. */
static enum hr_status add_maps(struct hr_import *im, const char *out,
                               const struct hr_import_value *a, const struct hr_import_value *b)
{
    const struct hr_graph *g = im->builder.graph;
    const int32_t made_by[2] = { g->values[a->value].producer, g->values[b->value].producer };
    const bool swap = made_by[1] >= 0 && g->nodes[made_by[1]].op == HR_OP_ADD &&
                      !(made_by[0] >= 0 && g->nodes[made_by[0]].op == HR_OP_ADD);
    const hr_value left = swap ? b->value : a->value, right = swap ? a->value : b->value;
    hr_import_name_layer(im);
    return hr_import_define_result(im, out, hr_add(&im->builder, left, right), HR_FORM_MAP);
}

enum hr_status hr_import_arithmetic(struct hr_import *im, const char *out, char op, const char *a,
                                    const char *b)
{
    const struct hr_import_value *x = hr_import_look_up(im, a), *y = hr_import_look_up(im, b);
    if (!x || !y)
        return hr_import_unknown(x ? b : a);
    if (!x->constant && y->constant)
        return with_constant(im, out, op, a, b);
    if (x->constant && !y->constant && (op == '+' || op == '*'))
        return with_constant(im, out, op, b, a);
    HR_TRY(hr_import_operand(im, a, &x));
    HR_TRY(hr_import_operand(im, b, &y));
    if (op == '+' && x->form == HR_FORM_MAP && y->form == HR_FORM_MAP)
        return add_maps(im, out, x, y);
    if (op == '*' && x->form == HR_FORM_PIXEL && y->form == HR_FORM_MAP) {
        const struct hr_import_value *swap = x;
        x = y;
        y = swap;
    }
    if (op != '*' || x->form != HR_FORM_MAP || y->form != HR_FORM_PIXEL)
        return hr_fail(HR_E_UNSUPPORTED, "'%c' of shapes %s and %s is not supported", op,
                       hr_shape_str(hr_import_shape_of(im, x)).s,
                       hr_shape_str(hr_import_shape_of(im, y)).s);
    hr_import_name_layer(im);
    return hr_import_define_result(im, out, hr_scale(&im->builder, x->value, y->value),
                                   HR_FORM_MAP);
}
