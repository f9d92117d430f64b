/* SPDX-License-Identifier: Apache-2.0
 * Optimizers.  The one idea: parameters are cut into short segments, each wholly inside one
 * parameter, and everything is a loop over segments that any thread may do. */
#include "train/optim.h"

#include <math.h>
#include <string.h>

#include "train/words.h"

#define SEGMENT   ((size_t)1 << 15) /* floats: larger leaves threads idle, smaller costs calls */
#define MAX_SLOTS 2

struct segment {
    size_t offset, count;
    float rate;
    bool decays;
};

struct hr_optim {
    struct hr_optim_options options; /* without the borrowed lists */
    struct segment *segments;
    double *squares; /* by segment */
    size_t segment_count, slot_count, floats;
    float *slots[MAX_SLOTS];
    uint64_t steps;
};

struct hr_optim_options hr_optim_defaults(enum hr_optim_kind kind)
{
    struct hr_optim_options o = { .kind = kind, .beta1 = 0.9, .beta2 = 0.999, .rho = 0.95 };
    o.momentum = kind == HR_OPTIM_MOMENTUM ? 0.9 : 0.0;
    o.epsilon = kind == HR_OPTIM_RMSPROP ? 1e-6 : 1e-8;
    o.decay = kind == HR_OPTIM_ADAMW ? 0.01 : 0.0;
    return o;
}

enum hr_status hr_optim_named(struct hr_optim_options *out, const char *text)
{
    static const char *const names[] = {
        "momentum", "nesterov", "sgd", "adam", "adamw", "rmsprop"
    };
    static const enum hr_optim_kind kinds[] = { HR_OPTIM_MOMENTUM, HR_OPTIM_MOMENTUM,
                                                HR_OPTIM_SGD,      HR_OPTIM_ADAM,
                                                HR_OPTIM_ADAMW,    HR_OPTIM_RMSPROP };
    size_t which;
    HR_TRY(hr_words_choose("optimizer", text, names, HR_COUNT(names), &which));
    *out = hr_optim_defaults(kinds[which]);
    out->nesterov = which == 1;
    return HR_OK;
}

enum hr_status hr_optim_set(struct hr_optim_options *o, const char *text)
{
    const bool adam = o->kind == HR_OPTIM_ADAM || o->kind == HR_OPTIM_ADAMW;
    const bool rms = o->kind == HR_OPTIM_RMSPROP, moves = rms || o->kind == HR_OPTIM_MOMENTUM;
    struct hr_word words[4];
    size_t count = 0;
    if (moves)
        words[count++] = (struct hr_word){ "momentum", HR_WORD_REAL, &o->momentum };
    if (rms)
        words[count++] = (struct hr_word){ "rho", HR_WORD_REAL, &o->rho };
    if (adam) {
        words[count++] = (struct hr_word){ "beta1", HR_WORD_REAL, &o->beta1 };
        words[count++] = (struct hr_word){ "beta2", HR_WORD_REAL, &o->beta2 };
    }
    if (adam || rms)
        words[count++] = (struct hr_word){ "epsilon", HR_WORD_REAL, &o->epsilon };
    if (o->kind == HR_OPTIM_ADAMW)
        words[count++] = (struct hr_word){ "decay", HR_WORD_REAL, &o->decay };
    HR_TRY(hr_words_set("optimizer", text, words, count));
    const double shares[] = { o->momentum, o->beta1, o->beta2, o->rho };
    for (size_t i = 0; i < HR_COUNT(shares); i++)
        if (!(shares[i] >= 0.0 && shares[i] < 1.0))
            return hr_fail(HR_E_ARGUMENT, "optimizer: %g is no share from 0 to less than 1",
                           shares[i]);
    if (!(o->epsilon > 0.0) || !(o->decay >= 0.0))
        return hr_fail(HR_E_ARGUMENT, "optimizer: epsilon %g and decay %g must not be negative",
                       o->epsilon, o->decay);
    return HR_OK;
}

static const char *const slot_names[][MAX_SLOTS] = {
    [HR_OPTIM_SGD] = { NULL },
    [HR_OPTIM_MOMENTUM] = { "velocity" },
    [HR_OPTIM_ADAM] = { "moment1", "moment2" },
    [HR_OPTIM_ADAMW] = { "moment1", "moment2" },
    [HR_OPTIM_RMSPROP] = { "mean_square", "momentum" },
};

static bool decays(const struct hr_tape_param *p, const struct hr_optim_options *o)
{
    if (o->no_decay_one_dim && p->shape.rank < 2)
        return false;
    for (size_t i = 0; i < o->no_decay_count; i++)
        if (strstr(p->name, o->no_decay[i]))
            return false;
    return true;
}

static enum hr_status cut(struct hr_optim *optim, const struct hr_tape *tape,
                          const struct hr_optim_options *o)
{
    size_t capacity = 0;
    for (size_t i = 0; i < hr_tape_param_count(tape); i++) {
        const struct hr_tape_param *p = hr_tape_param(tape, i);
        const float rate = o->rates ? o->rates[i] : 1.0f;
        if (!p->trainable || rate == 0.0f)
            continue;
        for (size_t at = 0; at < p->count; at += SEGMENT) {
            HR_TRY(hr_mem_grow((void **)&optim->segments, &capacity, optim->segment_count + 1,
                               sizeof *optim->segments));
            optim->segments[optim->segment_count++] =
                (struct segment){ .offset = p->offset + at,
                                  .count = p->count - at < SEGMENT ? p->count - at : SEGMENT,
                                  .rate = rate,
                                  .decays = decays(p, o) };
        }
    }
    return HR_OK;
}

enum hr_status hr_optim_create(struct hr_optim **out, const struct hr_tape *tape,
                               const struct hr_optim_options *options)
{
    struct hr_optim *optim = hr_mem_alloc(1, sizeof *optim);
    if (!optim)
        return HR_E_MEMORY;
    optim->options = *options;
    optim->floats = hr_tape_floats(tape);
    enum hr_status status = cut(optim, tape, options);
    optim->options.no_decay = NULL;
    optim->options.rates = NULL;
    if (status == HR_OK) {
        optim->squares = hr_mem_alloc(optim->segment_count, sizeof *optim->squares);
        status = optim->squares ? HR_OK : HR_E_MEMORY;
    }
    for (size_t i = 0; status == HR_OK && i < MAX_SLOTS && slot_names[options->kind][i]; i++) {
        optim->slots[i] = hr_mem_alloc(optim->floats, sizeof(float));
        optim->slot_count += optim->slots[i] != NULL;
        status = optim->slots[i] ? HR_OK : HR_E_MEMORY;
    }
    if (status == HR_OK)
        *out = optim;
    else
        hr_optim_destroy(optim);
    return status;
}

void hr_optim_destroy(struct hr_optim *optim)
{
    if (!optim)
        return;
    for (size_t i = 0; i < MAX_SLOTS; i++)
        hr_mem_free(optim->slots[i]);
    hr_mem_free(optim->squares);
    hr_mem_free(optim->segments);
    hr_mem_free(optim);
}

size_t hr_optim_slot_count(const struct hr_optim *optim)
{
    return optim->slot_count;
}

float *hr_optim_slot(struct hr_optim *optim, size_t index)
{
    return optim->slots[index];
}

const char *hr_optim_slot_name(const struct hr_optim *optim, size_t index)
{
    return slot_names[optim->options.kind][index];
}

uint64_t hr_optim_steps(const struct hr_optim *optim)
{
    return optim->steps;
}

void hr_optim_set_steps(struct hr_optim *optim, uint64_t steps)
{
    optim->steps = steps;
}

/* ---- The step ---- */

struct job {
    const struct hr_optim *optim;
    float *params;
    const float *gradients;
    float shrink; /* of the gradients, by clipping */
    double rate, correct1, correct2;
};

static void run(struct hr_pool *pool, hr_task_fn *fn, struct job *job)
{
    const size_t tasks = job->optim->segment_count;
    if (pool)
        hr_pool_run(pool, fn, job, tasks);
    else
        for (size_t i = 0; i < tasks; i++)
            fn(job, i, tasks);
}

static void norm_task(void *context, size_t task, size_t task_count)
{
    const struct job *job = context;
    const struct segment *s = &job->optim->segments[task];
    double sum = 0.0;
    (void)task_count;
    for (size_t i = 0; i < s->count; i++) {
        const double g = (double)job->gradients[s->offset + i];
        sum += g * g;
    }
    job->optim->squares[task] = sum;
}

double hr_optim_norm(const struct hr_optim *optim, const float *gradients, struct hr_pool *pool)
{
    struct job job = { .optim = optim, .gradients = gradients };
    double sum = 0.0;
    run(pool, norm_task, &job);
    for (size_t i = 0; i < optim->segment_count; i++)
        sum += optim->squares[i];
    return sqrt(sum);
}

/* The gradient of element i, clipped and with decay. */
static inline float decayed(const struct hr_optim_options *o, const struct segment *s, float shrink,
                            const float *g, const float *w, size_t i)
{
    float value = g[i] * shrink;
    if (s->decays) {
        const float sign = w[i] > 0.0f ? 1.0f : w[i] < 0.0f ? -1.0f : 0.0f;
        value += (float)o->l2 * w[i];
        value += (float)o->l1 * sign;
    }
    return value;
}

static void momentum_segment(const struct job *job, const struct segment *s, float *w,
                             const float *g, float *v)
{
    const struct hr_optim_options *o = &job->optim->options;
    const float mu = (float)o->momentum, rate = (float)job->rate * s->rate;
    for (size_t i = 0; i < s->count; i++) {
        const float d = decayed(o, s, job->shrink, g, w, i);
        v[i] = mu * v[i] + d;
        w[i] -= rate * (o->nesterov ? d + mu * v[i] : v[i]);
    }
}

static void adam_segment(const struct job *job, const struct segment *s, float *w, const float *g,
                         float *m, float *v)
{
    const struct hr_optim_options *o = &job->optim->options;
    const float b1 = (float)o->beta1, b2 = (float)o->beta2, epsilon = (float)o->epsilon;
    const float rate = (float)(job->rate * (double)s->rate / job->correct1);
    const float inverse = (float)(1.0 / sqrt(job->correct2));
    const bool apart = o->kind == HR_OPTIM_ADAMW && s->decays;
    const float keep = apart ? (float)(1.0 - job->rate * (double)s->rate * o->decay) : 1.0f;
    for (size_t i = 0; i < s->count; i++) {
        const float d = decayed(o, s, job->shrink, g, w, i);
        m[i] = b1 * m[i] + (1.0f - b1) * d;
        v[i] = b2 * v[i] + (1.0f - b2) * (d * d);
        w[i] = keep * w[i] - rate * m[i] / (sqrtf(v[i]) * inverse + epsilon);
    }
}

static void rmsprop_segment(const struct job *job, const struct segment *s, float *w,
                            const float *g, float *r, float *v)
{
    const struct hr_optim_options *o = &job->optim->options;
    const float rho = (float)o->rho, mu = (float)o->momentum, epsilon = (float)o->epsilon;
    const float rate = (float)job->rate * s->rate;
    for (size_t i = 0; i < s->count; i++) {
        const float d = decayed(o, s, job->shrink, g, w, i);
        r[i] = rho * r[i] + (1.0f - rho) * (d * d);
        v[i] = mu * v[i] + rate * d / sqrtf(r[i] + epsilon);
        w[i] -= v[i];
    }
}

static void step_task(void *context, size_t task, size_t task_count)
{
    const struct job *job = context;
    const struct segment *s = &job->optim->segments[task];
    const struct hr_optim_options *o = &job->optim->options;
    float *const w = job->params + s->offset;
    const float *const g = job->gradients + s->offset;
    float *slot[MAX_SLOTS] = { NULL };
    (void)task_count;
    for (size_t i = 0; i < job->optim->slot_count; i++)
        slot[i] = job->optim->slots[i] + s->offset;
    switch (o->kind) {
    case HR_OPTIM_SGD:
        for (size_t i = 0; i < s->count; i++)
            w[i] -= (float)job->rate * s->rate * decayed(o, s, job->shrink, g, w, i);
        break;
    case HR_OPTIM_MOMENTUM:
        momentum_segment(job, s, w, g, slot[0]);
        break;
    case HR_OPTIM_ADAM:
    case HR_OPTIM_ADAMW:
        adam_segment(job, s, w, g, slot[0], slot[1]);
        break;
    case HR_OPTIM_RMSPROP:
        rmsprop_segment(job, s, w, g, slot[0], slot[1]);
        break;
    }
}

void hr_optim_step(struct hr_optim *optim, float *params, const float *gradients, double norm,
                   double rate, struct hr_pool *pool)
{
    const double clip = optim->options.clip_norm, t = (double)++optim->steps;
    struct job job = { .optim = optim,
                       .params = params,
                       .gradients = gradients,
                       .shrink = clip > 0.0 && norm > clip ? (float)(clip / norm) : 1.0f,
                       .rate = rate,
                       .correct1 = 1.0 - pow(optim->options.beta1, t),
                       .correct2 = 1.0 - pow(optim->options.beta2, t) };
    run(pool, step_task, &job);
}
