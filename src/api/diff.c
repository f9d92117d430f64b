/* SPDX-License-Identifier: Apache-2.0
 * The public API, part six: where two models part: in their weights, then in what they make of one
 * input, layer by layer, then in their answers. */
#include "api/api.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"

struct diff {
    struct hr_model *a, *b;
    double tolerance;
    hrnet_difference_fn *fn;
    void *context;
    struct hrnet_diff_report *report;
};

void hrnet_diff_options_init(struct hrnet_diff_options *options, size_t struct_size)
{
    HR_API_OPTIONS_INIT(struct hrnet_diff_options, { .tolerance = 1e-4 });
}

static void tell(const struct diff *d, hrnet_diff_kind kind, const char *name, double difference,
                 const char *note)
{
    const struct hrnet_difference line = { kind, name, difference, note };
    if (d->fn)
        d->fn(d->context, &line);
}

/* ---- Weights ------------------------------------------------------------------------------- */

static enum hr_status compare_values(const struct hr_tensor *a, const struct hr_tensor *b,
                                     double *error)
{
    const float *x, *y;
    float *made_x = NULL, *made_y = NULL;
    size_t count;
    HR_TRY(hr_shape_elements(&a->shape, &count));
    enum hr_status status = hr_tensor_floats(&x, &made_x, a);
    if (status == HR_OK)
        status = hr_tensor_floats(&y, &made_y, b);
    if (status == HR_OK)
        *error = hr_api_relative_error(y, x, count);
    hr_mem_free(made_x);
    hr_mem_free(made_y);
    return status;
}

static bool turned(const struct hr_shape *a, const struct hr_shape *b)
{
    return a->rank == 2 && b->rank == 2 && a->dim[0] == b->dim[1] && a->dim[1] == b->dim[0];
}

static enum hr_status compare_tensors(const struct diff *d, const char *name,
                                      const struct hr_tensor *a, const struct hr_tensor *b)
{
    char note[400] = "";
    double error = INFINITY;
    if (!b || !a)
        snprintf(note, sizeof note, "missing in %s", a ? "B" : "A");
    else if (!hr_shape_equal(&a->shape, &b->shape))
        snprintf(note, sizeof note, "%s: %s and %s",
                 turned(&a->shape, &b->shape) ? "transposed" : "other shapes",
                 hr_shape_str(&a->shape).s, hr_shape_str(&b->shape).s);
    else
        HR_TRY(compare_values(a, b, &error));
    d->report->weights++;
    if (error == 0)
        return HR_OK;
    d->report->weights_differing++;
    tell(d, HRNET_DIFF_WEIGHTS, name, error, note);
    return HR_OK;
}

/* Have the stores a name in common?  If not, tensors are compared by their place. */
static bool share_names(const struct hr_store *a, const struct hr_store *b)
{
    for (size_t i = 0; i < hr_store_count(a); i++)
        if (hr_store_find(b, hr_store_name(a, i)))
            return true;
    return false;
}

static enum hr_status compare_weights(const struct diff *d)
{
    const struct hr_store *a = hr_model_weights(d->a), *b = hr_model_weights(d->b);
    const bool by_name = share_names(a, b);
    for (size_t i = 0; i < hr_store_count(a); i++) {
        const char *name = hr_store_name(a, i);
        const struct hr_tensor *other = by_name                 ? hr_store_find(b, name)
                                        : i < hr_store_count(b) ? hr_store_tensor(b, i)
                                                                : NULL;
        HR_TRY(compare_tensors(d, name, hr_store_tensor(a, i), other));
    }
    for (size_t i = 0; i < hr_store_count(b); i++)
        if (by_name ? !hr_store_find(a, hr_store_name(b, i)) : i >= hr_store_count(a))
            HR_TRY(compare_tensors(d, hr_store_name(b, i), NULL, hr_store_tensor(b, i)));
    return HR_OK;
}

/* ---- Recipes ------------------------------------------------------------------------------- */

static void compare_recipes(const struct diff *d)
{
    const struct hr_recipe *a = hr_model_recipe(d->a), *b = hr_model_recipe(d->b);
    if (a->resize == b->resize && a->resize_short == b->resize_short &&
        a->crop_width == b->crop_width && a->crop_height == b->crop_height &&
        hr_recipe_same_normalisation(a, b))
        return;
    d->report->recipes_differ = 1;
    tell(d, HRNET_DIFF_RECIPE, a->name, INFINITY, b->name);
}

/* ---- Runs ---------------------------------------------------------------------------------- */

/* What one model makes of the input. */
struct side {
    struct hr_packs *packs;
    struct hr_session *session;
    float *logits;
};

static enum hr_status run_side(struct side *s, struct hr_model *model, const float *x,
                               const struct hr_session_options *options)
{
    HR_TRY(hr_packs_create(&s->packs, hr_model_weights(model)));
    HR_TRY(hr_session_create(&s->session, model, s->packs, options));
    s->logits = hr_mem_alloc((size_t)hr_model_classes(model), sizeof *s->logits);
    if (!s->logits)
        return HR_E_MEMORY;
    hr_session_run(s->session, x, 1, s->logits);
    return HR_OK;
}

static void side_fini(struct side *s)
{
    hr_session_destroy(s->session);
    hr_packs_destroy(s->packs);
    hr_mem_free(s->logits);
}

/* A feature map of both; the first that differs is where they part. */
static enum hr_status compare_feature(const struct diff *d, const struct side *a,
                                      const struct side *b, size_t index, const char *name)
{
    const struct hr_shape *shape = hr_plan_feature_shape(hr_session_plan(a->session), index);
    size_t count;
    HR_TRY(hr_shape_elements(shape, &count));
    float *x = hr_mem_alloc(count, sizeof *x), *y = hr_mem_alloc(count, sizeof *y);
    const enum hr_status status = x && y ? HR_OK : HR_E_MEMORY;
    if (status == HR_OK) {
        hr_session_feature(a->session, 1, index, x);
        hr_session_feature(b->session, 1, index, y);
        const double error = hr_api_relative_error(y, x, count);
        if (error > d->tolerance && !d->report->parts_at[0])
            snprintf(d->report->parts_at, sizeof d->report->parts_at, "%s", name);
        if (error > 0)
            tell(d, HRNET_DIFF_ACTIVATIONS, name, error, "");
    }
    hr_mem_free(x);
    hr_mem_free(y);
    return status;
}

static enum hr_status compare_runs(const struct diff *d, const float *x, int64_t height,
                                   int64_t width)
{
    const char *const *names = hrnet_feature_names();
    const bool alike = hr_model_row(d->a) && hr_model_row(d->a) == hr_model_row(d->b);
    struct hr_session_options options = {
        .batch = 1, .height = height, .width = width, .cpu_flags = ~0u
    };
    struct side a = { 0 }, b = { 0 };
    if (alike)
        for (options.features = names; names[options.feature_count + 1];)
            options.feature_count++; /* all but the logits, the last */
    enum hr_status status = run_side(&a, d->a, x, &options);
    if (status == HR_OK)
        status = run_side(&b, d->b, x, &options);
    for (size_t i = 0; i < options.feature_count && status == HR_OK; i++)
        status = compare_feature(d, &a, &b, i, names[i]);
    if (status == HR_OK) {
        d->report->logits_difference =
            hr_api_relative_error(b.logits, a.logits, (size_t)hr_model_classes(d->a));
        if (d->report->logits_difference > 0)
            tell(d, HRNET_DIFF_LOGITS, "logits", d->report->logits_difference, "");
    }
    side_fini(&a);
    side_fini(&b);
    return status;
}

static enum hr_status run_both(const struct diff *d, const struct hrnet_diff_options *o)
{
    const struct hr_recipe *recipe = hr_model_recipe(d->a);
    const int64_t height = o->x ? o->height : recipe->crop_height;
    const int64_t width = o->x ? o->width : recipe->crop_width;
    const size_t count = (size_t)(3 * height * width);
    if (o->x)
        return compare_runs(d, o->x, height, width);
    float *x = hr_mem_alloc(count, sizeof *x);
    if (!x)
        return HR_E_MEMORY;
    hr_synthetic_fill(x, count, "diff");
    const enum hr_status status = compare_runs(d, x, height, width);
    hr_mem_free(x);
    return status;
}

static enum hr_status diff_all(const struct diff *d, const struct hrnet_diff_options *o)
{
    struct hrnet_diff_report *r = d->report;
    HR_TRY(compare_weights(d));
    compare_recipes(d);
    if (hr_model_classes(d->a) != hr_model_classes(d->b)) {
        snprintf(r->parts_at, sizeof r->parts_at, "classes");
        r->logits_difference = INFINITY;
        tell(d, HRNET_DIFF_LOGITS, "classes", INFINITY, "the models have other numbers of classes");
        return HR_OK;
    }
    HR_TRY(run_both(d, o));
    r->same_answers = r->logits_difference <= d->tolerance && !r->parts_at[0];
    if (!r->same_answers && !r->parts_at[0])
        snprintf(r->parts_at, sizeof r->parts_at, "logits");
    return HR_OK;
}

hrnet_status hrnet_model_diff(hrnet_model *a, hrnet_model *b,
                              const struct hrnet_diff_options *options, hrnet_difference_fn *fn,
                              void *context, struct hrnet_diff_report *out)
{
    struct hrnet_diff_options o = { .tolerance = 1e-4 };
    struct hrnet_diff_report report = { 0 };
    if (!a || !b || !out)
        return hr_api_missing_argument(__func__);
    if (options) {
        const enum hr_status copied =
            hr_api_options_copy(&o, sizeof o, options, "hrnet_diff_options");
        if (copied != HR_OK)
            return PUBLIC(copied);
    }
    if (!(o.tolerance >= 0) || (o.x && (o.height < 1 || o.width < 1)))
        return PUBLIC(hr_fail(HR_E_ARGUMENT, "diff: the tolerance must be 0 or more, and an input "
                                             "needs its height and width"));
    const struct diff d = { a->model, b->model, o.tolerance, fn, context, &report };
    const enum hr_status status = diff_all(&d, &o);
    if (status == HR_OK)
        *out = report;
    return PUBLIC(status);
}
