/* SPDX-License-Identifier: Apache-2.0
 * Trains the network that a golden file describes (its weights, pictures and labels follow from
 * names alone, see golden_train.py) and compares losses, gradients, weights and running
 * statistics. */
#include "golden_training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "model/model.h"
#include "train/loss.h"
#include "train/optim.h"
#include "train/tape.h"

/* All relative.  Which values lie on which side of a ReLU depends on the last bits of float32: six
 * orders of summation gave a second loss that was off by 4e-6 to 6e-5. */
#define FIRST_LOSS      2e-6
#define SECOND_LOSS     1e-4 /* in double: FIRST_LOSS */
#define WIDE_STEPS      4
#define NEXT_LOSSES     2e-3 /* steps 3 and 4: Paddle's own float32 needs half of it */
#define GRADIENT_NORMS  1e-3
#define WEIGHTS_AFTER_1 1e-5 /* relative to the norm, or to the largest value compared */
#define MAX_STEPS       64

struct run {
    const struct hr_zoo_row *row;
    int64_t n, height, width, classes;
    size_t steps;
    double lr;
    struct hr_pool *pool;
    struct hr_tape *tape;
    struct hr_optim *optim;
    float *params, *gradients, *x, *logits, *dlogits;
    int32_t *labels;
    double loss[MAX_STEPS];
};

struct worst {
    double first_loss, second_loss, next_losses, norms, values, weights, last;
    char norm_of[80], weight_of[80];
};

bool golden_is_training(const json_t *json)
{
    return json_object_get(json, "loss") || json_object_get(json, "gradient");
}

static enum hr_status whole(const json_t *value, const char *what, int64_t most, int64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > most)
        return hr_fail(HR_E_FORMAT, "%s is missing, or not a whole number from 1 to %lld", what,
                       (long long)most);
    *out = json_integer_value(value);
    return HR_OK;
}

static enum hr_status numbers(const json_t *array, const char *what)
{
    if (!json_is_array(array))
        return hr_fail(HR_E_FORMAT, "%s is not a list", what);
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!json_is_number(json_array_get(array, i)))
            return hr_fail(HR_E_FORMAT, "%s[%zu] is not a number", what, i);
    return HR_OK;
}

static enum hr_status read(struct run *r, const json_t *json)
{
    const char *const model = json_string_value(json_object_get(json, "model"));
    const json_t *const input = json_object_get(json, "input"),
                        *loss = json_object_get(json, "loss");
    int64_t channels;
    if (!model)
        return hr_fail(HR_E_FORMAT, "it has no model name");
    HR_TRY(hr_zoo_find(&r->row, model));
    HR_TRY(whole(json_array_get(input, 0), "input[0]", 64, &r->n));
    HR_TRY(whole(json_array_get(input, 1), "input[1]", 3, &channels));
    HR_TRY(whole(json_array_get(input, 2), "input[2]", 2048, &r->height));
    HR_TRY(whole(json_array_get(input, 3), "input[3]", 2048, &r->width));
    HR_TRY(whole(json_object_get(json, "classes"), "classes", 1 << 20, &r->classes));
    HR_TRY(numbers(loss, "loss"));
    r->steps = json_array_size(loss);
    if (channels != 3 || r->steps < 1 || r->steps > MAX_STEPS)
        return hr_fail(HR_E_FORMAT,
                       "it has %lld channels and %zu losses; 3, and 1 to %d are wanted",
                       (long long)channels, r->steps, MAX_STEPS);
    for (const char *const *key = (const char *const[]){ "lr", "momentum", "l2", NULL }; *key;
         key++)
        if (!json_is_number(json_object_get(json, *key)))
            return hr_fail(HR_E_FORMAT, "%s is missing, or not a number", *key);
    r->lr = json_number_value(json_object_get(json, "lr"));
    return HR_OK;
}

static enum hr_status start(struct run *r, const json_t *json,
                            const struct golden_training_settings *settings, bool wide)
{
    const struct hr_hrnet_options net = { r->n, r->height, r->width, (int)r->classes,
                                          HR_FUSE_PADDLE };
    struct hr_optim_options optim = hr_optim_defaults(HR_OPTIM_MOMENTUM);
    struct hr_graph *graph = NULL;
    struct hr_store *weights = NULL;
    optim.momentum = json_number_value(json_object_get(json, "momentum"));
    optim.l2 = json_number_value(json_object_get(json, "l2"));
    if (settings->threads > 1)
        HR_TRY(hr_pool_create(&r->pool, settings->threads));
    if (wide && r->steps > WIDE_STEPS)
        r->steps = WIDE_STEPS;
    const struct hr_tape_options tape = { .kernels = settings->kernels,
                                          .pool = r->pool,
                                          .exact = !settings->fast,
                                          .wide = wide,
                                          .momentum = 0.9f };
    HR_TRY(hr_hrnet_build(&graph, r->row, &net));
    enum hr_status status = hr_tape_create(&r->tape, graph, &tape);
    hr_graph_destroy(graph);
    HR_TRY(status);
    const size_t floats = hr_tape_floats(r->tape), outputs = (size_t)(r->n * r->classes);
    r->params = hr_mem_alloc(floats, sizeof *r->params);
    r->gradients = hr_mem_alloc(floats, sizeof *r->gradients);
    r->x = hr_mem_alloc((size_t)(r->n * 3 * r->height * r->width), sizeof *r->x);
    r->logits = hr_mem_alloc(outputs, sizeof *r->logits);
    r->dlogits = hr_mem_alloc(outputs, sizeof *r->dlogits);
    r->labels = hr_mem_alloc((size_t)r->n, sizeof *r->labels);
    if (!r->params || !r->gradients || !r->x || !r->logits || !r->dlogits || !r->labels)
        return HR_E_MEMORY;
    HR_TRY(hr_optim_create(&r->optim, r->tape, &optim));
    HR_TRY(hr_synthetic_weights(&weights, r->row, (int)r->classes));
    status = hr_tape_load(r->tape, weights, r->params);
    hr_store_destroy(weights);
    return status;
}

static void finish(struct run *r)
{
    hr_optim_destroy(r->optim);
    hr_tape_destroy(r->tape);
    hr_pool_destroy(r->pool);
    hr_mem_free(r->params);
    hr_mem_free(r->gradients);
    hr_mem_free(r->x);
    hr_mem_free(r->logits);
    hr_mem_free(r->dlogits);
    hr_mem_free(r->labels);
}

/* Loss and gradients of step t. */
static void forward_backward(struct run *r, size_t t)
{
    const struct hr_loss loss = { .kind = HR_LOSS_CROSS_ENTROPY };
    char name[80];
    snprintf(name, sizeof name, "input:t%zu:%lldx%lldx%lld", t, (long long)r->n,
             (long long)r->height, (long long)r->width);
    hr_synthetic_fill(r->x, (size_t)(r->n * 3 * r->height * r->width), name);
    for (int64_t i = 0; i < r->n; i++)
        r->labels[i] = (int32_t)((3 * i + (int64_t)t) % r->classes);
    hr_tape_forward(r->tape, r->params, (size_t)r->n, r->x, r->logits);
    const struct hr_loss_batch batch = {
        .n = (size_t)r->n, .classes = (size_t)r->classes, .logits = r->logits, .labels = r->labels
    };
    r->loss[t] = hr_loss_value(&loss, &batch, r->dlogits, 1.0);
    hr_tape_backward(r->tape, r->params, r->dlogits, r->gradients, NULL);
}

/* ---- Comparing ---- */

static double distance(double a, double b)
{
    const double d = fabs(a - b);
    return isnan(d) ? INFINITY : d;
}

static const struct hr_tape_param *find(const struct run *r, const char *name)
{
    for (size_t i = 0; i < hr_tape_param_count(r->tape); i++)
        if (strcmp(hr_tape_param(r->tape, i)->name, name) == 0)
            return hr_tape_param(r->tape, i);
    return NULL;
}

/* Differences of a parameter's norm and of its samples, over the norm and the largest sample. */
static enum hr_status compare(const struct run *r, const char *name, const json_t *sample,
                              const float *vector, double *norm_error, double *value_error)
{
    const struct hr_tape_param *p = find(r, name);
    const json_t *index = json_object_get(sample, "index"),
                 *value = json_object_get(sample, "value");
    const double want = json_number_value(json_object_get(sample, "norm"));
    double squares = 0.0, worst = 0.0, largest = 0.0;
    if (!p)
        return hr_fail(HR_E_MISMATCH, "%s has no parameter %s", r->row->name, name);
    HR_TRY(numbers(index, name));
    HR_TRY(numbers(value, name));
    if (json_array_size(index) != json_array_size(value) || !(want > 0.0))
        return hr_fail(HR_E_FORMAT, "%s: a norm, and as many values as indices are wanted", name);
    for (size_t i = 0; i < p->count; i++)
        squares += (double)vector[p->offset + i] * (double)vector[p->offset + i];
    for (size_t i = 0; i < json_array_size(index); i++) {
        const json_int_t at = json_integer_value(json_array_get(index, i));
        if (at < 0 || (size_t)at >= p->count)
            return hr_fail(HR_E_FORMAT, "%s has no element %lld", name, (long long)at);
        const double is = json_number_value(json_array_get(value, i));
        worst = fmax(worst, distance((double)vector[p->offset + (size_t)at], is));
        largest = fmax(largest, fabs(is));
    }
    *norm_error = distance(sqrt(squares), want) / want;
    *value_error = worst / largest;
    return HR_OK;
}

static enum hr_status compare_all(const struct run *r, const json_t *samples, const float *vector,
                                  double *norms, double *values, char where[80])
{
    const char *name;
    json_t *sample;
    /* The samples' names come from the file: the iteration ends at its end. */
    json_object_foreach((json_t *)(uintptr_t)samples, name, sample)
    {
        double norm, value;
        HR_TRY(compare(r, name, sample, vector, &norm, &value));
        if (norm > *norms)
            snprintf(where, 80, "%s", name);
        *norms = fmax(*norms, norm);
        *values = fmax(*values, value);
    }
    return HR_OK;
}

static enum hr_status train(struct run *r, const json_t *json, struct worst *w)
{
    double ignored = 0.0;
    char nowhere[80];
    for (size_t t = 0; t < r->steps; t++) {
        forward_backward(r, t);
        const double want = json_number_value(json_array_get(json_object_get(json, "loss"), t));
        const double error = distance(r->loss[t], want) / want;
        if (t == 0)
            w->first_loss = error;
        else if (t == 1)
            w->second_loss = error;
        else if (t < 4)
            w->next_losses = fmax(w->next_losses, error);
        if (t == 0)
            HR_TRY(compare_all(r, json_object_get(json, "gradient"), r->gradients, &w->norms,
                               &w->values, w->norm_of));
        hr_optim_step(r->optim, r->params, r->gradients, 0.0, r->lr, r->pool);
        if (t == 0) {
            double values = 0.0;
            HR_TRY(compare_all(r, json_object_get(json, "after_step_1"), r->params, &w->weights,
                               &values, w->weight_of));
            w->weights = fmax(w->weights, values);
        }
    }
    if (r->steps < json_array_size(json_object_get(json, "loss")))
        return HR_OK;
    return compare_all(r, json_object_get(json, "after_last"), r->params, &w->last, &ignored,
                       nowhere);
}

/* One run, and what is said of it. */
static bool check_run(const json_t *json, const char *name,
                      const struct golden_training_settings *settings, bool wide)
{
    struct run r = { 0 };
    struct worst w = { 0 };
    const uint64_t begin = hr_os_now_ns();
    enum hr_status status = read(&r, json);
    if (status == HR_OK)
        status = start(&r, json, settings, wide);
    if (status == HR_OK)
        status = train(&r, json, &w);
    const bool good = status == HR_OK && w.first_loss <= FIRST_LOSS &&
                      w.second_loss <= (wide ? FIRST_LOSS : SECOND_LOSS) &&
                      w.next_losses <= NEXT_LOSSES && w.norms <= GRADIENT_NORMS &&
                      w.weights <= WEIGHTS_AFTER_1;
    if (status != HR_OK)
        printf("%s: cannot check: %s\n", name, hr_last_message());
    else
        printf("%s, %s: %s: the first loss differs by %.1e, the second by %.1e, the next two by "
               "%.1e; gradient norms by %.1e (%s), values by %.1e; weights and statistics after "
               "step 1 by %.1e (%s); %.2f s\n",
               name, wide ? "activations in double" : settings->kernels->isa,
               good ? "ok" : "FAILED", w.first_loss, w.second_loss, w.next_losses, w.norms,
               w.norm_of, w.values, w.weights, w.weight_of,
               (double)(hr_os_now_ns() - begin) * 1e-9);
    fflush(stdout);
    finish(&r);
    return good;
}

bool golden_training_check(const json_t *json, const char *name,
                           const struct golden_training_settings *settings)
{
    bool good = true;
    if (settings->float32)
        good = check_run(json, name, settings, false);
    if (settings->wide)
        good = check_run(json, name, settings, true) && good;
    return good;
}
