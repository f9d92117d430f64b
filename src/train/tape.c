/* SPDX-License-Identifier: Apache-2.0
 * Graph -> tape.  The one idea: walk the nodes and append forward steps, then walk back and append
 * the steps of their gradients; a value's gradient is written by the first of its readers that the
 * walk meets and added to by the others.  Knows the order; how an operator becomes steps is
 * tape_conv.c, tape_norm.c and tape_eltwise.c. */
#include "train/tape.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/os.h"
#include "graph/rewrite.h"
#include "train/tape_build.h"

/* ---- Making ---- */

static hr_tape_lower_fn *const lower_of[HR_OP_COUNT] = {
    [HR_OP_CONV] = hr_tape_conv,        [HR_OP_BATCH_NORM] = hr_tape_norm,
    [HR_OP_RELU] = hr_tape_sum,         [HR_OP_ADD] = hr_tape_sum,
    [HR_OP_UPSAMPLE] = hr_tape_sum,     [HR_OP_SUM] = hr_tape_sum,
    [HR_OP_GLOBAL_POOL] = hr_tape_pool, [HR_OP_LINEAR] = hr_tape_conv,
    [HR_OP_SIGMOID] = hr_tape_sigmoid,  [HR_OP_SCALE] = hr_tape_scale,
};

static enum hr_status place_params(struct hr_tape *t, const struct hr_graph *g)
{
    t->params = hr_mem_alloc(g->param_count, sizeof *t->params);
    if (!t->params)
        return HR_E_MEMORY;
    t->param_count = g->param_count;
    for (size_t i = 0; i < g->node_count; i++)
        for (int role = 0; role < HR_ROLE_COUNT; role++)
            if (g->nodes[i].param[role] != HR_NONE)
                t->params[g->nodes[i].param[role]].role = (enum hr_role)role;
    for (size_t i = 0; i < g->param_count; i++) {
        struct hr_tape_param *p = &t->params[i];
        p->name = hr_arena_printf(&t->names, "%s", g->params[i].name);
        if (!p->name)
            return HR_E_MEMORY;
        p->shape = g->params[i].shape;
        HR_TRY(hr_shape_elements(&p->shape, &p->count));
        p->offset = t->floats;
        p->trainable = p->role != HR_ROLE_MEAN && p->role != HR_ROLE_VARIANCE;
        t->floats += hr_round_up(p->count, 16);
    }
    return HR_OK;
}

/* The node that makes the first of the features; a frozen tape needs no gradient before it. */
static int32_t first_node_wanted(const struct hr_tape_build *b)
{
    const struct hr_tape_options *o = &b->tape->options;
    int32_t first = o->frozen && o->feature_count ? INT32_MAX : -1;
    for (size_t i = 0; o->frozen && i < o->feature_count; i++) {
        const hr_value v = hr_graph_feature(b->graph, o->features[i]);
        if (b->graph->values[v].producer < first)
            first = b->graph->values[v].producer;
    }
    return first;
}

static void make_values(struct hr_tape_build *b)
{
    const int32_t first = first_node_wanted(b);
    const struct hr_graph *g = b->graph;
    const struct hr_tape_options *o = &b->tape->options;
    const size_t vector = o->wide ? 1 : o->kernels->eltwise.vector_floats;
    for (size_t v = 0; v < g->value_count; v++) {
        const struct hr_shape *s = &g->values[v].shape;
        b->values[v] = (struct hr_tape_value){
            .c = (size_t)s->dim[1],
            .h = s->rank > 2 ? (size_t)s->dim[2] : 1,
            .w = s->rank > 3 ? (size_t)s->dim[3] : 1,
            .stride = hr_round_up((size_t)s->dim[1], vector),
            .block = -1,
            .gradient = -1,
            .saved = -1,
            .packed = -1,
            .wants_gradient =
                (hr_value)v != g->input ? g->values[v].producer >= first : o->input_gradient,
        };
    }
    for (size_t i = 0; i < g->node_count; i++) {
        const struct hr_node *const node = &g->nodes[i];
        for (int k = 0; k < node->input_count; k++) {
            b->uses[node->in[k]]++;
            if (node->op == HR_OP_CONV || node->op == HR_OP_LINEAR || node->op == HR_OP_SCALE)
                b->wanted[node->in[k]] = true;
        }
        if (node->op == HR_OP_RELU || node->attr.relu) /* its sign tells where gradients pass */
            b->wanted[node->out] = true;
    }
    b->uses[g->output]++;
    for (size_t i = 0; i < o->feature_count; i++)
        b->uses[hr_graph_feature(g, o->features[i])]++;
}

/* The norm that makes x, if only one node reads it and nothing else is behind it yet. */
static int32_t sole_norm(const struct hr_tape_build *b, hr_value x)
{
    const int32_t producer = b->graph->values[x].producer;
    if (producer < 0 || b->uses[x] != 1 || b->graph->nodes[producer].op != HR_OP_BATCH_NORM ||
        b->absorbed[producer])
        return -1;
    return producer;
}

/* A norm whose only reader is a ReLU, or an addition to something of the same size, does that too:
 * its own result then is never stored. */
static void absorb_norms(struct hr_tape_build *b)
{
    for (size_t i = 0; i < b->graph->node_count; i++) {
        const struct hr_node *node = &b->graph->nodes[i];
        const bool sum = node->op == HR_OP_SUM && node->input_count == 2 &&
                         node->attr.shift[0] == 0 && node->attr.shift[1] == 0 &&
                         node->in[0] != node->in[1];
        b->norm_of[i] = -1;
        if (node->op == HR_OP_RELU || sum)
            b->norm_of[i] = sole_norm(b, node->in[sum]);
        if (sum && b->norm_of[i] < 0)
            b->norm_of[i] = sole_norm(b, node->in[0]);
        if (b->norm_of[i] >= 0)
            b->absorbed[b->norm_of[i]] = true;
    }
}

static enum hr_status check_node(const struct hr_node *node)
{
    const bool norm_inside = node->op == HR_OP_CONV && node->param[HR_ROLE_GAMMA] != HR_NONE;
    if (!lower_of[node->op] || node->attr.residual || (node->attr.relu && node->op != HR_OP_SUM) ||
        norm_inside)
        return hr_fail(HR_E_UNSUPPORTED,
                       "%s (%s) cannot be trained: it was rewritten for inference", node->name,
                       hr_op_name(node->op));
    return HR_OK;
}

#define INPUT_ROWS 256 /* pixels at once: 16 KiB of them */

static void input_rows(const void *context, size_t first, size_t last)
{
    const struct hr_tape_run *run = context;
    const struct hr_tape_value *v = &run->tape->input;
    const struct hr_layout_call call = { .n = run->n,
                                         .c = v->c,
                                         .pixels = v->h * v->w,
                                         .stride = v->stride,
                                         .x = run->x,
                                         .y = hr_tape_at(run, v->block) };
    uint16_t *const keep = hr_tape_half_at(run, v->packed);
    const struct hr_tape_options *const o = &run->tape->options;
    for (size_t row = first; row < last && !o->wide; row += INPUT_ROWS) {
        const size_t end = last - row < INPUT_ROWS ? last : row + INPUT_ROWS;
        o->kernels->eltwise.to_nhwc(&call, row, end);
        if (keep) /* while they are in the cache */
            o->kernels->train.half.pack(keep + row * v->stride, call.y + row * v->stride,
                                        (end - row) * v->stride, o->half);
    }
    for (size_t row = first; row < last && o->wide; row++)
        for (size_t c = 0; c < v->c; c++)
            hr_tape_put(
                run, v->block, row * v->stride + c,
                (double)run->x[(row / call.pixels * v->c + c) * call.pixels + row % call.pixels]);
}

static void run_input(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct hr_tape_value *v = step->detail;
    hr_tape_ranges(run, input_rows, run, run->n * v->h * v->w, v->stride);
}

static enum hr_status forward(struct hr_tape_build *b)
{
    struct hr_tape *t = b->tape;
    const struct hr_graph *g = b->graph;
    struct hr_tape_value *x = &b->values[g->input];
    x->block = hr_tape_block(b, hr_tape_value_floats(t, x));
    (void)hr_tape_keep(b, g->input);
    HR_TRY(hr_tape_step(b, &(struct hr_tape_step){ .name = "pictures",
                                                   .kernel = "to_nhwc",
                                                   .run = run_input,
                                                   .detail = hr_tape_detail(b, x, sizeof *x),
                                                   .writes = x->block,
                                                   .floats = x->h * x->w * x->stride }));
    for (size_t i = 0; i < g->node_count; i++) {
        const struct hr_node *node = &g->nodes[i];
        HR_TRY(check_node(node));
        if (b->norm_of[i] >= 0)
            HR_TRY(hr_tape_norm_with(b, &g->nodes[b->norm_of[i]], node));
        else if (!b->absorbed[i])
            HR_TRY(lower_of[node->op](b, node));
        if (!b->absorbed[i])
            HR_TRY(hr_tape_pack(b, node->out));
    }
    t->forward_count = t->step_count;
    (void)hr_tape_use(b, b->values[g->output].block); /* still there when it is copied */
    return HR_OK;
}

static void run_output_gradient(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct hr_tape_value *v = step->detail;
    for (size_t i = 0; i < run->n; i++)
        for (size_t k = 0; k < v->stride; k++)
            hr_tape_put(run, v->gradient, i * v->stride + k,
                        k < v->c ? (double)run->dlogits[i * v->c + k] : 0.0);
}

/* A frozen tape ends at its first feature. */
static bool goes_on(const struct hr_tape_build *b, const struct hr_node *node)
{
    bool wanted = !b->tape->options.frozen;
    for (int i = 0; i < node->input_count; i++)
        wanted = wanted || b->values[node->in[i]].wants_gradient;
    return wanted && b->values[node->out].gradient >= 0;
}

/* Where the parameters of a node end; 0 without. */
static size_t params_end(const struct hr_tape_build *b, const struct hr_node *node)
{
    size_t end = 0;
    for (int role = 0; role < HR_ROLE_COUNT; role++) {
        if (node->param[role] == HR_NONE)
            continue;
        const struct hr_tape_param *p = &b->tape->params[node->param[role]];
        const size_t its = p->offset + hr_round_up(p->count, 16);
        end = its > end ? its : end;
    }
    return end;
}

/* Gradients before this place are still to be made when those of the records from `done` on are. */
static size_t final_from(const struct hr_tape_build *b, size_t done)
{
    size_t from = 0;
    for (size_t i = 0; i < done; i++) {
        const struct hr_node *const node = b->records[i].node;
        const int32_t norm = b->norm_of[node - b->graph->nodes];
        const size_t end = params_end(b, node);
        const size_t norm_end = norm < 0 ? 0 : params_end(b, &b->graph->nodes[norm]);
        from = end > from ? end : from;
        from = norm_end > from ? norm_end : from;
    }
    return from;
}

/* A step between two that finish something leaves as much as was final before. */
static void hold_ready(struct hr_tape *t)
{
    for (size_t i = t->forward_count + 1; i < t->step_count; i++)
        if (t->steps[i].ready > t->steps[i - 1].ready)
            t->steps[i].ready = t->steps[i - 1].ready;
}

static enum hr_status backward(struct hr_tape_build *b)
{
    struct hr_tape_value *y = &b->values[b->graph->output];
    bool add;
    (void)hr_tape_gradient(b, b->graph->output, &add);
    HR_TRY(hr_tape_step(b, &(struct hr_tape_step){ .name = "loss",
                                                   .kernel = "copy",
                                                   .run = run_output_gradient,
                                                   .detail = hr_tape_detail(b, y, sizeof *y),
                                                   .writes = y->gradient,
                                                   .floats = y->stride }));
    for (size_t i = b->record_count; i-- > 0;) {
        const struct hr_tape_record *r = &b->records[i];
        if (goes_on(b, r->node))
            HR_TRY(r->back(b, r->node, r->detail));
        b->tape->steps[b->tape->step_count - 1].ready = final_from(b, i);
    }
    hold_ready(b->tape);
    (void)hr_tape_use(b, b->values[b->graph->input].gradient);
    return HR_OK;
}

/* Features stay where they are until the next run. */
static enum hr_status keep_features(struct hr_tape_build *b)
{
    struct hr_tape *t = b->tape;
    t->features = hr_mem_alloc(t->options.feature_count, sizeof *t->features);
    if (!t->features)
        return HR_E_MEMORY;
    for (size_t i = 0; i < t->options.feature_count; i++) {
        t->features[i] = b->values[hr_graph_feature(b->graph, t->options.features[i])];
        (void)hr_tape_use(b, t->features[i].block);
        (void)hr_tape_use(b, t->features[i].gradient);
    }
    return HR_OK;
}

static enum hr_status make_shared(struct hr_tape *t, const struct hr_tape_build *b)
{
    const size_t ranks = t->options.sync ? t->options.sync->ranks : 0;
    size_t widest = 0;
    for (size_t i = 0; i < b->graph->value_count; i++)
        widest = b->values[i].stride > widest ? b->values[i].stride : widest;
    if (!t->options.sync)
        return HR_OK;
    t->images = hr_mem_alloc(ranks, sizeof *t->images);
    t->shared = hr_mem_alloc(ranks, 2 * widest * sizeof *t->shared);
    return t->images && t->shared ? HR_OK : HR_E_MEMORY;
}

static enum hr_status fill(struct hr_tape_build *b)
{
    struct hr_tape *t = b->tape;
    const struct hr_graph *g = b->graph;
    b->values = hr_mem_alloc(g->value_count, sizeof *b->values);
    b->wanted = hr_mem_alloc(g->value_count, sizeof *b->wanted);
    b->uses = hr_mem_alloc(g->value_count, sizeof *b->uses);
    b->norm_of = hr_mem_alloc(g->node_count, sizeof *b->norm_of);
    b->absorbed = hr_mem_alloc(g->node_count, sizeof *b->absorbed);
    b->records = hr_mem_alloc(g->node_count, sizeof *b->records);
    if (!b->values || !b->wanted || !b->uses || !b->norm_of || !b->absorbed || !b->records)
        return HR_E_MEMORY;
    t->batch = (size_t)g->values[g->input].shape.dim[0];
    HR_TRY(place_params(t, g));
    make_values(b);
    HR_TRY(make_shared(t, b));
    absorb_norms(b);
    HR_TRY(forward(b));
    if (!t->options.forward_only)
        HR_TRY(backward(b));
    HR_TRY(keep_features(b));
    t->input = b->values[g->input];
    t->output = b->values[g->output];
    HR_TRY(hr_memory_place(t->blocks, t->block_count, &t->arena_bytes));
    t->arena = hr_mem_alloc_raw(t->arena_bytes, 1);
    if (!t->arena)
        return HR_E_MEMORY;
    hr_mem_prefer_huge(t->arena, t->arena_bytes);
    return HR_OK;
}

enum hr_status hr_tape_create(struct hr_tape **out, struct hr_graph *graph,
                              const struct hr_tape_options *options)
{
    assert(!options->frozen || !options->wide);
    assert(!options->half || (!options->frozen && !options->wide && !options->feature_count));
    assert(!options->sync || !options->frozen);
    HR_TRY(hr_rewrite_pin_features(graph, options->features, options->feature_count));
    HR_TRY(hr_rewrite_fuse_sums(graph));
    struct hr_tape *tape = hr_mem_alloc(1, sizeof *tape);
    if (!tape)
        return HR_E_MEMORY;
    tape->options = *options;
    struct hr_tape_build b = { .tape = tape, .graph = graph };
    const enum hr_status status = fill(&b);
    hr_mem_free(b.values);
    hr_mem_free(b.wanted);
    hr_mem_free(b.uses);
    hr_mem_free(b.norm_of);
    hr_mem_free(b.absorbed);
    hr_mem_free(b.records);
    if (status == HR_OK)
        *out = tape;
    else
        hr_tape_destroy(tape);
    return status;
}

void hr_tape_destroy(struct hr_tape *tape)
{
    if (!tape)
        return;
    hr_mem_free(tape->arena);
    hr_mem_free(tape->blocks);
    hr_mem_free(tape->steps);
    hr_mem_free(tape->params);
    hr_mem_free(tape->features);
    hr_mem_free(tape->images);
    hr_mem_free(tape->shared);
    hr_arena_fini(&tape->names);
    hr_mem_free(tape);
}

/* ---- Asking ---- */

size_t hr_tape_param_count(const struct hr_tape *tape)
{
    return tape->param_count;
}

const struct hr_tape_param *hr_tape_param(const struct hr_tape *tape, size_t index)
{
    return &tape->params[index];
}

size_t hr_tape_floats(const struct hr_tape *tape)
{
    return tape->floats;
}

size_t hr_tape_arena_bytes(const struct hr_tape *tape)
{
    return tape->arena_bytes;
}

size_t hr_tape_batch(const struct hr_tape *tape)
{
    return tape->batch;
}

size_t hr_tape_classes(const struct hr_tape *tape)
{
    return tape->output.c;
}

enum hr_status hr_tape_load(const struct hr_tape *tape, const struct hr_store *store, float *params)
{
    for (size_t i = 0; i < tape->param_count; i++) {
        const struct hr_tape_param *p = &tape->params[i];
        const struct hr_tensor *t = hr_store_find(store, p->name);
        if (!t || !hr_shape_equal(&t->shape, &p->shape))
            return hr_fail(HR_E_MISMATCH, "%s: %s is wanted, the weights have %s", p->name,
                           hr_shape_str(&p->shape).s, t ? hr_shape_str(&t->shape).s : "none");
    }
    memset(params, 0, tape->floats * sizeof *params);
    for (size_t i = 0; i < tape->param_count; i++)
        hr_tensor_to_f32(params + tape->params[i].offset,
                         hr_store_find(store, tape->params[i].name));
    return HR_OK;
}

enum hr_status hr_tape_save(const struct hr_tape *tape, const float *params, struct hr_store *store)
{
    for (size_t i = 0; i < tape->param_count; i++) {
        const struct hr_tape_param *p = &tape->params[i];
        void *data;
        HR_TRY(hr_store_add_owned(store, p->name, HR_DTYPE_F32, &p->shape, &data));
        memcpy(data, params + p->offset, p->count * sizeof *params);
    }
    return HR_OK;
}

void hr_tape_observe(struct hr_tape *tape, hr_tape_observer *observer, void *context)
{
    tape->observer = observer;
    tape->observer_context = context;
}

void hr_tape_on_ready(struct hr_tape *tape, hr_tape_ready *ready, void *context)
{
    tape->ready = ready;
    tape->ready_context = context;
}

/* ---- Running ---- */

static void run_steps(const struct hr_tape_run *run, size_t first, size_t last)
{
    const struct hr_tape *t = run->tape;
    const uint32_t fp = hr_fp_enter(); /* as the pool's workers, so that bits do not depend on it */
    if (t->options.pool)
        hr_pool_begin(t->options.pool);
    for (size_t i = first; i < last; i++) {
        const struct hr_tape_step *step = &t->steps[i];
        const uint64_t before = t->observer ? hr_os_now_ns() : 0;
        step->run(step, run);
        if (t->observer)
            t->observer(t->observer_context, step->kind, step->name, step->kernel,
                        hr_os_now_ns() - before);
        if (t->ready && !run->keep_statistics)
            t->ready(t->ready_context, step->ready);
    }
    if (t->options.pool)
        hr_pool_end(t->options.pool);
    hr_fp_leave(fp);
}

/* The pictures of every rank. */
static void count_images(struct hr_tape *tape, size_t n)
{
    const struct hr_tape_sync *const sync = tape->options.sync;
    const double mine = (double)n;
    tape->all_images = mine;
    if (!sync)
        return;
    sync->share(sync->context, &mine, tape->images, 1);
    tape->all_images = 0.0;
    for (size_t i = 0; i < sync->ranks; i++)
        tape->all_images += tape->images[i];
}

void hr_tape_forward(struct hr_tape *tape, float *params, size_t n, const float *x, float *logits)
{
    count_images(tape, n);
    const struct hr_tape_run run = { .tape = tape, .n = n, .x = x, .params = params };
    run_steps(&run, 0, tape->forward_count);
    tape->last_n = n;
    const struct hr_tape_value *y = &tape->output;
    for (size_t i = 0; i < n * y->c; i++)
        logits[i] = (float)hr_tape_get(&run, y->block, i / y->c * y->stride + i % y->c);
}

/* A block of a value's size, [n,h,w,c] with gaps, as [n,c,h,w] without. */
static void copy_dense(const struct hr_tape_run *run, const struct hr_tape_value *v, int32_t block,
                       float *out)
{
    const size_t pixels = v->h * v->w;
    for (size_t i = 0; i < run->n * v->c * pixels; i++)
        out[i] = (float)hr_tape_get(
            run, block, (i / pixels / v->c * pixels + i % pixels) * v->stride + i / pixels % v->c);
}

void hr_tape_backward(struct hr_tape *tape, float *params, const float *dlogits, float *gradients,
                      float *dx)
{
    const struct hr_tape_run run = { .tape = tape,
                                     .n = tape->last_n,
                                     .dlogits = dlogits,
                                     .params = params,
                                     .gradients = gradients };
    if (gradients)
        memset(gradients, 0, tape->floats * sizeof *gradients);
    run_steps(&run, tape->forward_count, tape->step_count);
    if (dx && tape->input.gradient >= 0)
        copy_dense(&run, &tape->input, tape->input.gradient, dx);
}

struct hr_shape hr_tape_feature_shape(const struct hr_tape *tape, size_t index)
{
    const struct hr_tape_value *v = &tape->features[index];
    return (struct hr_shape){
        .rank = 4, .dim = { (int64_t)tape->batch, (int64_t)v->c, (int64_t)v->h, (int64_t)v->w }
    };
}

void hr_tape_feature(const struct hr_tape *tape, size_t index, float *value, float *gradient)
{
    const struct hr_tape_run run = { .tape = tape, .n = tape->last_n };
    const struct hr_tape_value *v = &tape->features[index];
    if (value)
        copy_dense(&run, v, v->block, value);
    if (gradient && v->gradient >= 0)
        copy_dense(&run, v, v->gradient, gradient);
    else if (gradient) /* the answer does not depend on it */
        memset(gradient, 0, run.n * v->c * v->h * v->w * sizeof *gradient);
}

const char *hr_tape_find_bad(struct hr_tape *tape, float *params, size_t n, const float *x)
{
    const struct hr_tape_run run = {
        .tape = tape, .n = n, .x = x, .params = params, .keep_statistics = true
    };
    for (size_t i = 0; i < tape->forward_count; i++) {
        const struct hr_tape_step *step = &tape->steps[i];
        run_steps(&run, i, i + 1);
        for (size_t j = 0; j < n * step->floats; j++)
            if (!isfinite(hr_tape_get(&run, step->writes, j)))
                return step->name;
    }
    return NULL;
}
