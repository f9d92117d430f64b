/* SPDX-License-Identifier: Apache-2.0
 * The loader.  The one idea: a ring of batches; threads claim samples in order and fill the batches
 * that the caller has not taken yet.  A sample's random stream is its epoch and place in it. */
#include "train/loader.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "train/mix.h"

#define RING 3 /* batches: the one in use, the next, and one to even things out */

#define MESSAGE_BYTES 512

/* What became of a sample. */
struct made {
    size_t index; /* in the data set */
    enum hr_status status;
    char message[MESSAGE_BYTES];
};

struct slot {
    float *x, *targets, *spare; /* the last two only where there are targets */
    int32_t *labels;
    size_t *index;     /* in the data set, of the good ones */
    struct made *made; /* [batch], as they were asked for */
    size_t done, good; /* good: behind the first `ready` */
    bool ready;
    enum hr_status status; /* of mixing */
};

struct hr_loader {
    struct hr_loader_options options;
    size_t *order;
    size_t sample_floats, batches;
    size_t count;  /* samples of an epoch that are made here */
    bool soft;     /* there are targets */
    size_t *known; /* [pictures]: is bad, and was told: its name's place + 1; the caller's */
    struct hr_loader_counts counts;
    enum hr_status started_well; /* the epoch has an order */
    struct slot slots[RING];
    pthread_t *threads;
    unsigned started;
    pthread_mutex_t lock;
    pthread_cond_t work, ready;
    /* Under the lock: */
    uint64_t epoch;
    size_t claimed, taken, running; /* samples claimed, batches taken, samples being made */
    bool quit;
};

/* Where this loader's share of a batch begins in the order of all, and where the next one's does.
 */
static size_t first_of(const struct hr_loader *l, size_t batch, size_t share)
{
    const size_t all = l->options.batch * l->options.shares;
    const size_t left = l->options.set->paths.count - batch * all;
    return batch * all + (left < all ? left : all) * share / l->options.shares;
}

static size_t batch_size(const struct hr_loader *l, size_t batch)
{
    return first_of(l, batch, l->options.share + 1) - first_of(l, batch, l->options.share);
}

/* Streams of samples (use 2) and batches (use 4) leave room for those of the shuffling. */
static struct hr_random stream_of(const struct hr_loader *l, uint64_t epoch, size_t place,
                                  uint64_t use)
{
    struct hr_random random = hr_random_of(l->options.seed, epoch << 8 | use);
    return hr_random_of(hr_random_next(&random), place);
}

/* Moves the good samples of a batch together, in order. */
static void close_ranks(struct hr_loader *l, struct slot *slot, size_t count)
{
    const size_t classes = (size_t)l->options.set->class_count;
    slot->good = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t index = slot->made[i].index, to = slot->good;
        if (slot->made[i].status != HR_OK)
            continue;
        if (to != i)
            memcpy(slot->x + to * l->sample_floats, slot->x + i * l->sample_floats,
                   l->sample_floats * sizeof(float));
        slot->index[to] = index;
        slot->labels[to] = l->options.set->labels[index];
        if (l->soft)
            hr_dataset_targets(l->options.set, index, slot->targets + to * classes);
        slot->good++;
    }
}

/* The whole batch is there: what is bad goes, what mixes is mixed. */
static void finish(struct hr_loader *l, uint64_t epoch, size_t batch, struct slot *slot)
{
    const struct hr_recipe *r = &l->options.sample.recipe;
    const size_t part = batch * l->options.shares + l->options.share;
    struct hr_random random = stream_of(l, epoch, part, 4);
    enum hr_augment_kind kind;
    close_ranks(l, slot, batch_size(l, batch));
    struct hr_mix_batch mix = { .n = slot->good,
                                .classes = (size_t)l->options.set->class_count,
                                .height = r->crop_height,
                                .width = r->crop_width,
                                .x = slot->x,
                                .spare = slot->spare,
                                .targets = slot->targets,
                                .labels = slot->labels };
    slot->status = HR_OK;
    if (l->soft && slot->good > 0)
        slot->status = hr_mix_apply(&l->options.sample.augment, &random, &mix, &kind);
}

/* The `claim`th sample of this loader: all its batches but the last are full. */
static void make_one(struct hr_loader *l, uint64_t epoch, size_t claim)
{
    const size_t batch = claim / l->options.batch, at = claim % l->options.batch;
    const size_t place = first_of(l, batch, l->options.share) + at;
    struct slot *slot = &l->slots[batch % RING];
    struct made *made = &slot->made[at];
    struct hr_random random = stream_of(l, epoch, place, 2);
    made->index = l->order[place];
    made->status = hr_sample_make(&l->options.sample, l->options.set->paths.items[made->index],
                                  &random, slot->x + at * l->sample_floats);
    if (made->status != HR_OK)
        snprintf(made->message, sizeof made->message, "%s", hr_last_message());
    pthread_mutex_lock(&l->lock);
    if (++slot->done == batch_size(l, batch)) {
        pthread_mutex_unlock(&l->lock);
        finish(l, epoch, batch, slot);
        pthread_mutex_lock(&l->lock);
        slot->ready = true;
    }
    l->running--;
    pthread_cond_broadcast(&l->ready);
}

/* Is there a sample to make whose place in the ring is free? */
static bool may_claim(const struct hr_loader *l)
{
    const size_t first_free = (l->taken > 0 ? l->taken - 1 : 0) + RING;
    return l->claimed < l->count && l->claimed / l->options.batch < first_free;
}

static void *worker(void *context)
{
    struct hr_loader *l = context;
    pthread_mutex_lock(&l->lock);
    while (!l->quit) {
        if (!may_claim(l)) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        const size_t claim = l->claimed++;
        const uint64_t epoch = l->epoch;
        l->running++;
        pthread_mutex_unlock(&l->lock);
        make_one(l, epoch, claim); /* comes back with the lock */
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static enum hr_status start_threads(struct hr_loader *l)
{
    int error = 0;
    while (error == 0 && l->started < l->options.threads) {
        error = hr_thread_start(&l->threads[l->started], worker, l);
        l->started += error == 0;
    }
    if (error != 0)
        return hr_fail(HR_E_MEMORY, "cannot start a thread to load pictures: %s", strerror(error));
    return HR_OK;
}

static enum hr_status fill_slot(const struct hr_loader *l, struct slot *slot)
{
    const size_t batch = l->options.batch, classes = (size_t)l->options.set->class_count;
    const size_t spare = l->sample_floats > classes ? l->sample_floats : classes;
    slot->x = hr_mem_alloc(batch, l->sample_floats * sizeof(float));
    slot->labels = hr_mem_alloc(batch, sizeof *slot->labels);
    slot->index = hr_mem_alloc(batch, sizeof *slot->index);
    slot->made = hr_mem_alloc(batch, sizeof *slot->made);
    if (l->soft) {
        slot->targets = hr_mem_alloc(batch, classes * sizeof(float));
        slot->spare = hr_mem_alloc(batch, spare * sizeof(float));
    }
    return slot->x && slot->labels && slot->index && slot->made &&
                   (!l->soft || (slot->targets && slot->spare))
               ? HR_OK
               : HR_E_MEMORY;
}

static enum hr_status fill(struct hr_loader *l)
{
    const struct hr_recipe *r = &l->options.sample.recipe;
    const size_t count = l->options.set->paths.count;
    l->sample_floats = (size_t)3 * (size_t)r->crop_width * (size_t)r->crop_height;
    l->batches =
        (count + l->options.batch * l->options.shares - 1) / (l->options.batch * l->options.shares);
    if (l->batches > 0)
        l->count = (l->batches - 1) * l->options.batch + batch_size(l, l->batches - 1);
    l->claimed = l->count; /* nothing to do before an epoch starts */
    l->order = hr_mem_alloc(count, sizeof *l->order);
    l->threads = hr_mem_alloc(l->options.threads, sizeof *l->threads);
    l->known = hr_mem_alloc(count, sizeof *l->known);
    l->soft = l->options.set->several ||
              hr_augment_find(&l->options.sample.augment, HR_STAGE_BATCH) != NULL;
    if (!l->order || !l->threads || !l->known)
        return HR_E_MEMORY;
    for (size_t i = 0; i < RING; i++)
        HR_TRY(fill_slot(l, &l->slots[i]));
    return start_threads(l);
}

enum hr_status hr_loader_create(struct hr_loader **out, const struct hr_loader_options *options)
{
    struct hr_loader *l = hr_mem_alloc(1, sizeof *l);
    if (!l)
        return HR_E_MEMORY;
    l->options = *options;
    l->options.shares = options->shares ? options->shares : 1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->ready, NULL);
    const enum hr_status status = fill(l);
    if (status == HR_OK)
        *out = l;
    else
        hr_loader_destroy(l);
    return status;
}

void hr_loader_destroy(struct hr_loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (unsigned i = 0; i < l->started; i++)
        pthread_join(l->threads[i], NULL);
    pthread_cond_destroy(&l->ready);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->lock);
    for (size_t i = 0; i < RING; i++) {
        hr_mem_free(l->slots[i].x);
        hr_mem_free(l->slots[i].targets);
        hr_mem_free(l->slots[i].spare);
        hr_mem_free(l->slots[i].labels);
        hr_mem_free(l->slots[i].index);
        hr_mem_free(l->slots[i].made);
    }
    hr_names_fini(&l->counts.names);
    hr_mem_free(l->counts.met);
    hr_mem_free(l->known);
    hr_mem_free(l->threads);
    hr_mem_free(l->order);
    hr_mem_free(l);
}

static void clear_slot(struct slot *slot)
{
    slot->done = slot->good = 0;
    slot->ready = false;
}

void hr_loader_start(struct hr_loader *l, uint64_t epoch, size_t batch)
{
    const size_t count = l->options.set->paths.count;
    pthread_mutex_lock(&l->lock);
    l->claimed = l->count;
    while (l->running > 0) /* of an epoch that was left before its end */
        pthread_cond_wait(&l->ready, &l->lock);
    for (size_t i = 0; i < RING; i++)
        clear_slot(&l->slots[i]);
    l->counts.left_out = 0;
    l->started_well = HR_OK;
    if (l->options.balanced)
        l->started_well = hr_dataset_balance(l->order, l->options.set, l->options.seed, epoch);
    else if (l->options.shuffle)
        hr_dataset_shuffle(l->order, count, l->options.seed, epoch);
    else
        for (size_t i = 0; i < count; i++)
            l->order[i] = i;
    l->epoch = epoch;
    const bool well = l->started_well == HR_OK && batch < l->batches;
    l->taken = well ? batch : l->batches;
    l->claimed = well ? batch * l->options.batch : l->count;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
}

/* A failure that is the picture's own, and not this machine's. */
static bool is_bad_picture(enum hr_status status)
{
    return status != HR_E_MEMORY && status != HR_E_INTERNAL;
}

static enum hr_status meet(struct hr_loader *l, size_t picture)
{
    struct hr_loader_counts *const c = &l->counts;
    HR_TRY(hr_mem_grow((void **)&c->met, &c->met_capacity, c->met_count + 1, sizeof *c->met));
    c->met[c->met_count++] = (struct hr_loader_met){ picture, l->known[picture] - 1 };
    return HR_OK;
}

/* Names each bad picture of a batch the first time it is met. */
static enum hr_status tell_bad(struct hr_loader *l, const struct slot *slot, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct made *made = &slot->made[i];
        const bool is_known = l->known[made->index] > 0;
        if (made->status == HR_OK)
            continue;
        if (!is_known && (!is_bad_picture(made->status) || l->options.most_bad == 0))
            return hr_fail(is_bad_picture(made->status) ? HR_E_IO : made->status, "%s",
                           made->message);
        if (!is_known) {
            HR_TRY(hr_names_add(&l->counts.names, made->message));
            l->known[made->index] = l->counts.names.count;
        }
        HR_TRY(meet(l, made->index));
        if (is_known)
            continue;
        if (++l->counts.bad > l->options.most_bad)
            return hr_fail(HR_E_IO, "%zu pictures are bad, and at most %zu may be: %s",
                           l->counts.bad, l->options.most_bad, made->message);
        if (!l->options.quiet)
            hr_log(HR_LOG_WARNING, "%s: left out", made->message);
    }
    return HR_OK;
}

/* Takes the next batch out of the ring, whatever is in it. */
static struct slot *take(struct hr_loader *l, size_t *index)
{
    pthread_mutex_lock(&l->lock);
    *index = l->taken;
    struct slot *slot = *index < l->batches ? &l->slots[*index % RING] : NULL;
    if (slot) {
        if (*index > 0)
            clear_slot(&l->slots[(*index - 1) % RING]);
        l->taken++;
        pthread_cond_broadcast(&l->work);
        while (!slot->ready && batch_size(l, *index) > 0)
            pthread_cond_wait(&l->ready, &l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return slot;
}

enum hr_status hr_loader_next(struct hr_loader *l, struct hr_batch *batch)
{
    const size_t least = l->options.least;
    size_t index;
    *batch = (struct hr_batch){ 0 };
    HR_TRY(l->started_well);
    for (struct slot *slot; (slot = take(l, &index));) {
        HR_TRY(tell_bad(l, slot, batch_size(l, index)));
        if (slot->status != HR_OK)
            return hr_fail(slot->status, "out of memory to mix a batch");
        if (slot->good > 0 && slot->good >= least) {
            *batch = (struct hr_batch){ slot->good, slot->x, slot->labels,
                                        l->soft ? slot->targets : NULL, slot->index };
            return HR_OK;
        }
        l->counts.left_out += slot->good;
        if (least > 0)
            return HR_OK;
    }
    return HR_OK;
}

size_t hr_loader_batches(const struct hr_loader *l)
{
    return l->batches;
}

const struct hr_loader_counts *hr_loader_counts(const struct hr_loader *l)
{
    return &l->counts;
}
