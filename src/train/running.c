/* SPDX-License-Identifier: Apache-2.0
 * Setting a training run up.  Everything that can be wrong is found here, before hours are lost. */
#include "train/running.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/os.h"
#include "train/paddle_run.h"

#define MOMENTUM    0.9f  /* of running statistics */
#define USUAL_BATCH 256.0 /* pictures a step that the usual rates are meant for */
#define SGD_RATE    0.1   /* usual with it: PaddleClas's for HRNet (paddleclas.md 5.4) */
#define ADAM_RATE   1e-3  /* the same of the optimizers that scale the gradient themselves */
#define SUSPICIOUS  4.0   /* times the usual rate: told, since most such runs diverge */

/* ---- Learning rate ---- */

static double usual_rate(const struct hr_train_options *o, size_t pictures)
{
    const double times = (double)pictures / USUAL_BATCH;
    const bool plain = o->optim.kind == HR_OPTIM_SGD || o->optim.kind == HR_OPTIM_MOMENTUM;
    return plain ? SGD_RATE * times : ADAM_RATE * sqrt(times);
}

/* The rate before the schedule: what was asked for, scaled, or the usual one.  Linear in the
 * pictures a step (Goyal et al. 2017, arXiv 1706.02677), or by the square root where the optimizer
 * divides by the gradient's size (Malladi et al. 2022, arXiv 2205.10287). */
static void choose_rate(struct hr_running *r)
{
    const struct hr_train_options *o = r->options;
    const size_t pictures = hr_running_batch(r) * o->accumulate;
    const double usual = usual_rate(o, pictures);
    r->rate = o->rate > 0.0 || o->rate < 0.0 ? o->rate : usual;
    if (o->rate_batch > 0.0 && o->rate > 0.0) {
        r->rate = o->rate * (double)pictures / o->rate_batch;
        hr_log(HR_LOG_INFO, "learning rate %g: %g for %g pictures a step, here %zu", r->rate,
               o->rate, o->rate_batch, pictures);
    } else if (!(o->rate > 0.0 || o->rate < 0.0)) {
        hr_log(HR_LOG_INFO, "learning rate %g: the usual one for %zu pictures a step", r->rate,
               pictures);
    } else if (o->rate > SUSPICIOUS * usual) {
        hr_log(HR_LOG_WARNING,
               "learning rate %g is %.0f times the usual one for %zu pictures a step, %g", o->rate,
               o->rate / usual, pictures, usual);
    }
}

static enum hr_status make_schedule(struct hr_running *r)
{
    const struct hr_train_options *o = r->options;
    choose_rate(r);
    HR_TRY(hr_schedule_parse(&r->schedule, o->schedule, r->rate, o->epochs, r->steps));
    r->schedule.schedule.warmup_epochs = o->warmup_epochs;
    return hr_schedule_check(&r->schedule.schedule);
}

/* ---- The network ---- */

static enum hr_status make_loss(struct hr_running *r)
{
    const struct hr_train_options *o = r->options;
    const bool several = r->train.several != NULL;
    r->loss = (struct hr_loss){ .kind = several ? HR_LOSS_MULTI_LABEL : HR_LOSS_CROSS_ENTROPY,
                                .smoothing = o->smoothing };
    if (several && (o->class_weights || o->smoothing > 0.0))
        return hr_fail(HR_E_ARGUMENT, "%s: class weights and smoothing are for one label a picture",
                       o->data);
    if (!o->class_weights)
        return HR_OK;
    r->class_weights = hr_mem_alloc((size_t)r->train.class_count, sizeof *r->class_weights);
    if (!r->class_weights)
        return HR_E_MEMORY;
    r->loss.class_weights = r->class_weights;
    return hr_factors_of_classes(r->class_weights, &r->train, o->class_weights);
}

static enum hr_status make_optim(struct hr_running *r)
{
    struct hr_optim_options optim = r->options->optim;
    r->rates = hr_mem_alloc(hr_tape_param_count(r->tape), sizeof *r->rates);
    if (!r->rates)
        return HR_E_MEMORY;
    HR_TRY(hr_factors_of_rates(r->rates, r->tape, &r->options->factors));
    optim.rates = r->rates;
    return hr_optim_create(&r->optim, r->tape, &optim);
}

static enum hr_status make_vectors(struct hr_running *r)
{
    const struct hr_train_options *o = r->options;
    const size_t floats = hr_tape_floats(r->tape);
    const size_t classes = (size_t)r->train.class_count;
    r->gradient.tape = r->tape;
    r->gradient.pool = r->pool;
    r->gradient.loss = &r->loss;
    r->gradient.distill = r->distill;
    r->gradient.reduce = r->reduce;
    r->gradient.own_statistics = !o->sync_norms;
    HR_TRY(hr_gradient_init(&r->gradient, r->options->accumulate > 1));
    r->params = hr_mem_alloc(floats, sizeof *r->params);
    r->outputs = hr_mem_alloc(r->options->batch, classes * sizeof *r->outputs);
    if (r->options->average > 0.0)
        r->average = hr_mem_alloc(floats, sizeof *r->average);
    const bool made = r->params && r->outputs && (r->average || !(r->options->average > 0.0));
    return made ? HR_OK : HR_E_MEMORY;
}

/* Where it cannot, the step fails at its end (hr_reduce_status). */
static void share_numbers(void *context, const double *numbers, double *all, size_t count)
{
    (void)!hr_reduce_share(context, numbers, all, count * sizeof *numbers);
}

static enum hr_status make_tape(struct hr_running *r)
{
    const struct hr_train_options *o = r->options;
    const struct hr_hrnet_options net = { (int64_t)o->batch, o->size, o->size, r->train.class_count,
                                          HR_FUSE_PADDLE };
    struct hr_graph *graph = NULL;
    hr_kernels_init(&r->kernels, hr_cpu_get()->flags & o->cpu_flags);
    /* A team even of one: in it denormals count as zero, as they do in larger ones. */
    HR_TRY(hr_pool_create(&r->pool, o->threads ? o->threads : hr_cpu_count()));
    HR_TRY(hr_hrnet_build(&graph, r->row, &net));
    const struct hr_tape_options tape = { .kernels = &r->kernels,
                                          .pool = r->pool,
                                          .recompute = o->recompute,
                                          .half = o->half,
                                          .sync = r->reduce && o->sync_norms ? &r->sync : NULL,
                                          .momentum = MOMENTUM };
    r->sync = (struct hr_tape_sync){ r->reduce, r->ranks, share_numbers };
    const enum hr_status status = hr_tape_create(&r->tape, graph, &tape);
    hr_graph_destroy(graph);
    return status;
}

static enum hr_status make_teacher(struct hr_running *r)
{
    const struct hr_train_options *o = r->options;
    const struct hr_distill_place place = { .batch = o->batch,
                                            .classes = (size_t)r->train.class_count,
                                            .height = o->size,
                                            .width = o->size,
                                            .kernels = &r->kernels,
                                            .pool = r->pool,
                                            .threads = o->threads,
                                            .cpu_flags = o->cpu_flags };
    return o->distill.teacher ? hr_distill_create(&r->distill, &o->distill, &place) : HR_OK;
}

/* ---- Starting weights ---- */

/* Paddle's defaults: convolutions normal of deviation sqrt(2 / fan in), linear layers uniform
 * within 1 / sqrt(fan in), norms the identity. */
static void fill_random(struct hr_running *r, size_t i)
{
    const struct hr_tape_param *p = hr_tape_param(r->tape, i);
    struct hr_random random = hr_random_of(r->options->seed, i << 8 | 3);
    float *const w = r->params + p->offset;
    const double inputs =
        p->shape.rank == 2 ? (double)p->shape.dim[0] : (double)p->count / (double)p->shape.dim[0];
    const bool ones = p->role == HR_ROLE_GAMMA || p->role == HR_ROLE_VARIANCE;
    for (size_t j = 0; j < p->count; j++)
        w[j] = p->role != HR_ROLE_WEIGHT ? (ones ? 1.0f : 0.0f)
               : p->shape.rank == 4      ? (float)(sqrt(2.0 / inputs) * hr_random_normal(&random))
                                    : (float)(hr_random_between(&random, -1.0, 1.0) / sqrt(inputs));
}

/* The file's weights; *fresh: without its classifier, because it has another or none, or is not to
 * keep it. */
static enum hr_status load_weights(struct hr_running *r, bool *fresh)
{
    struct hr_model_options options = { .architecture = r->row->name };
    const int classes = r->train.class_count;
    struct hr_model *model = NULL;
    enum hr_status status = HR_OK;
    *fresh = r->options->replace_head ||
             hr_model_open(&model, r->options->weights, &options) != HR_OK ||
             hr_model_classes(model) != classes || hr_model_head_untrained(model);
    if (*fresh) {
        hr_model_unref(model);
        model = NULL;
        options.classes = classes;
        options.replace_head = true;
        status = hr_model_open(&model, r->options->weights, &options);
    }
    if (status == HR_OK)
        status = hr_tape_load(r->tape, hr_model_weights(model), r->params);
    hr_model_unref(model);
    return status;
}

static enum hr_status start_weights(struct hr_running *r)
{
    const bool from_file = r->options->weights != NULL;
    bool fresh = true;
    if (from_file)
        HR_TRY(load_weights(r, &fresh));
    for (size_t i = 0; i < hr_tape_param_count(r->tape); i++)
        if (!from_file || (fresh && hr_text_starts(hr_tape_param(r->tape, i)->name, "fc.")))
            fill_random(r, i);
    if (r->average)
        memcpy(r->average, r->params, hr_tape_floats(r->tape) * sizeof *r->params);
    return HR_OK;
}

/* ---- All ---- */

static const char *or_none(const char *text)
{
    return text ? text : "none";
}

/* All settings that decide the bits of a run. */
static enum hr_status describe(struct hr_running *r)
{
    const struct hr_train_options *o = r->options;
    const struct hr_optim_options *p = &o->optim;
    struct hr_text *const w = &r->what;
    hr_text_printf(
        w, "%s classes %d pictures %zu of %.16s size %d batch %zu accumulate %zu epochs %llu ",
        r->row->name, r->train.class_count, r->train.paths.count, r->data_hash, o->size,
        hr_running_batch(r), o->accumulate, (unsigned long long)o->epochs);
    hr_text_printf(w, "seed %llu schedule %s rate %.17g warm-up %.17g average %.17g ",
                   (unsigned long long)o->seed, o->schedule, r->rate, o->warmup_epochs, o->average);
    hr_text_printf(w, "optimizer %d momentum %.17g nesterov %d beta %.17g %.17g rho %.17g ",
                   (int)p->kind, p->momentum, p->nesterov, p->beta1, p->beta2, p->rho);
    hr_text_printf(w, "epsilon %.17g l1 %.17g l2 %.17g decay %.17g not-one-dim %d not", p->epsilon,
                   p->l1, p->l2, p->decay, p->no_decay_one_dim);
    for (size_t i = 0; i < p->no_decay_count; i++)
        hr_text_printf(w, " %s", p->no_decay[i]);
    hr_text_printf(w, " clip %.17g rates %s freeze %s layer-decay %.17g ", p->clip_norm,
                   or_none(o->factors.rates), or_none(o->factors.freeze), o->factors.layer_decay);
    hr_text_printf(w, "smoothing %.17g class-weights %s crop %d area %.17g flip %.17g recipe ",
                   o->smoothing, or_none(o->class_weights), o->crop, o->least_area, o->flip);
    hr_recipe_print(&r->recipe, w);
    hr_text_printf(w, " held-back %.17g balanced %d augment ", o->held_back, o->balanced);
    hr_augment_print(&o->augment, w);
    if (o->half)
        hr_text_printf(w, " precision %s%s", o->half == HR_HALF_F16 ? "fp16" : "bf16",
                       o->recompute ? " recomputed" : "");
    if (o->scaler.kind != HR_SCALER_NONE)
        hr_text_printf(w, " loss-scale %d %.17g every %.17g grow %.17g shrink %.17g",
                       (int)o->scaler.kind, o->scaler.scale, o->scaler.every, o->scaler.grow,
                       o->scaler.shrink);
    if (o->sync_norms)
        hr_text_printf(w, " sync-batch-norm 1");
    if (o->drop_last || o->in_order)
        hr_text_printf(w, " drop-last %d in-order %d", o->drop_last, o->in_order);
    if (r->schedule.schedule.kind == HR_SCHEDULE_PLATEAU && (o->eval_every > 1 || o->eval_from > 1))
        hr_text_printf(w, " eval-every %llu from %llu", (unsigned long long)o->eval_every,
                       (unsigned long long)o->eval_from);
    return r->distill ? hr_distill_describe(r->distill, w) : w->status;
}

size_t hr_running_batch(const struct hr_running *r)
{
    return r->options->batch * r->ranks;
}

enum hr_status hr_running_path(char **out, const struct hr_running *r, const char *name)
{
    struct hr_text text = { 0 };
    hr_text_printf(&text, "%s/%s", r->options->folder, name);
    return hr_text_take(&text, out);
}

struct hr_checkpoint_vectors hr_running_vectors(const struct hr_running *r)
{
    return (struct hr_checkpoint_vectors){ r->tape, r->params, r->average, r->optim, NULL };
}

size_t hr_running_state_bytes(const struct hr_running *r)
{
    const size_t vectors = 2 + hr_optim_slot_count(r->optim) + (r->average != NULL) +
                           (r->gradient.sum != NULL) + (r->reduce != NULL);
    return vectors * hr_tape_floats(r->tape) * sizeof(float) +
           (r->distill ? hr_distill_bytes(r->distill) : 0);
}

struct hr_running_bad hr_running_bad_sets(struct hr_running *r)
{
    return (struct hr_running_bad){ { { "training", &r->train, &r->bad.list },
                                      { "validation", &r->validation, &r->bad_validation.list } } };
}

/* From the folder's checkpoint. */
static enum hr_status go_on(struct hr_running *r)
{
    const struct hr_running_bad bad = hr_running_bad_sets(r);
    struct hr_checkpoint_vectors vectors = hr_running_vectors(r);
    struct hr_text table = { 0 };
    vectors.bad = &table;
    enum hr_status status = hr_checkpoint_load(&r->at, r->state, hr_text_str(&r->what), &vectors);
    if (status == HR_OK)
        status = hr_bad_parse(hr_text_str(&table), bad.sets, HR_COUNT(bad.sets));
    hr_text_fini(&table);
    return status;
}

static enum hr_status resume_or_start(struct hr_running *r)
{
    const struct hr_train_options *o = r->options;
    const struct hr_checkpoint_vectors vectors = hr_running_vectors(r);
    HR_TRY(hr_os_make_folders(o->folder));
    r->at = (struct hr_checkpoint){ .best = -1.0,
                                    .best_average = -1.0,
                                    .least_loss = INFINITY,
                                    .plateau = r->schedule.plateau,
                                    .scaler = hr_scaler_start(&o->scaler) };
    const struct hr_paddle_run paddle = { &vectors, &r->schedule.schedule, &o->optim };
    if (hr_os_kind(r->state) != HR_OS_FILE)
        return o->checkpoint ? hr_paddle_run_load(&paddle, &r->at, o->checkpoint)
                             : start_weights(r);
    if (!o->resume)
        return hr_fail(HR_E_ARGUMENT,
                       "%s holds a training run: go on with it (resume), or name "
                       "another folder",
                       o->folder);
    HR_TRY(go_on(r));
    if (r->at.ranks != r->ranks)
        hr_log(HR_LOG_INFO,
               "the run so far was of %llu processes, now there are %zu: as many pictures a step, "
               "but sums and norms are others, and so are the bits",
               (unsigned long long)r->at.ranks, r->ranks);
    return HR_OK;
}

/* The first rank has the files; the others get what it has. */
static enum hr_status begin_state(struct hr_running *r)
{
    const struct hr_checkpoint_vectors vectors = hr_running_vectors(r);
    enum hr_status status = HR_OK;
    if (r->reduce)
        HR_TRY(hr_ranks_compare(r->reduce, hr_text_str(&r->what)));
    if (hr_reduce_rank(r->reduce) == 0)
        status = resume_or_start(r);
    r->at.ranks = r->ranks;
    HR_TRY(hr_reduce_agree(r->reduce, status));
    if (!r->reduce)
        return HR_OK;
    HR_TRY(hr_ranks_tell_state(r->reduce, &r->at, &vectors));
    HR_TRY(hr_ranks_give_bad(r->reduce, &r->bad.list));
    return hr_ranks_give_bad(r->reduce, &r->bad_validation.list);
}

/* All but the state. */
static enum hr_status prepare(struct hr_running *r)
{
    const struct hr_train_options *const options = r->options;
    if (options->batch < 2 || options->accumulate < 1)
        return hr_fail(HR_E_ARGUMENT,
                       "batch %zu, %zu of them a step: batch norm needs at least 2 pictures, and a "
                       "step a batch",
                       options->batch, options->accumulate);
    if (!(options->average >= 0.0 && options->average < 1.0))
        return hr_fail(HR_E_ARGUMENT, "average %g: a decay from 0 to less than 1 is wanted",
                       options->average);
    HR_TRY(hr_zoo_find(&r->row, options->architecture));
    HR_TRY(hr_running_open_data(r));
    HR_TRY(hr_running_make_loaders(r));
    HR_TRY(make_schedule(r));
    HR_TRY(make_tape(r));
    HR_TRY(make_teacher(r));
    HR_TRY(make_loss(r));
    HR_TRY(make_optim(r));
    HR_TRY(make_vectors(r));
    HR_TRY(hr_running_path(&r->state, r, "state.safetensors"));
    return describe(r);
}

enum hr_status hr_running_start(struct hr_running *r, const struct hr_train_options *options)
{
    r->options = options;
    HR_TRY(hr_reduce_open(&r->reduce));
    r->ranks = hr_reduce_ranks(r->reduce);
    if (options->lost_seconds > 0.0)
        hr_reduce_patience(r->reduce, options->lost_seconds);
    HR_TRY(hr_reduce_agree(r->reduce, prepare(r)));
    return begin_state(r);
}

void hr_running_end(struct hr_running *r, bool together)
{
    hr_reduce_destroy(r->reduce, together);
    hr_bad_fini(&r->bad.list);
    hr_bad_fini(&r->bad_validation.list);
    hr_loader_destroy(r->loader);
    hr_loader_destroy(r->validator);
    hr_optim_destroy(r->optim);
    hr_gradient_fini(&r->gradient);
    hr_distill_destroy(r->distill);
    hr_tape_destroy(r->tape);
    hr_pool_destroy(r->pool);
    hr_mem_free(r->params);
    hr_mem_free(r->average);
    hr_mem_free(r->rates);
    hr_mem_free(r->class_weights);
    hr_mem_free(r->outputs);
    hr_mem_free(r->state);
    hr_text_fini(&r->what);
    hr_labels_fini(&r->labels);
    hr_dataset_fini(&r->train);
    hr_dataset_fini(&r->validation);
}
