/* SPDX-License-Identifier: Apache-2.0
 * The loader.  The one idea: a ring of batches; threads claim samples in order and fill the batches
 * that the caller has not taken yet.  A sample's random stream is its epoch and place in it. */
#include "train/loader.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/pool.h"

#define RING 3 /* batches: the one in use, the next, and one to even things out */

struct slot {
    float *x;
    int32_t *labels;
    size_t done;
    size_t bad; /* place of its first bad picture in the epoch, SIZE_MAX for none */
    enum hr_status status;
    char message[1024];
};

struct hr_loader {
    struct hr_loader_options options;
    size_t *order;
    size_t sample_floats, batches;
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

static size_t batch_size(const struct hr_loader *l, size_t batch)
{
    const size_t left = l->options.set->paths.count - batch * l->options.batch;
    return left < l->options.batch ? left : l->options.batch;
}

/* Streams of samples leave room for those of the shuffling. */
static struct hr_random stream_of(const struct hr_loader *l, uint64_t epoch, size_t place)
{
    struct hr_random random = hr_random_of(l->options.seed, epoch << 8 | 2);
    return hr_random_of(hr_random_next(&random), place);
}

static void make_one(struct hr_loader *l, uint64_t epoch, size_t place)
{
    struct slot *slot = &l->slots[place / l->options.batch % RING];
    const size_t index = l->order[place], at = place % l->options.batch;
    struct hr_random random = stream_of(l, epoch, place);
    const enum hr_status status =
        hr_sample_make(&l->options.sample, l->options.set->paths.items[index], &random,
                       slot->x + at * l->sample_floats);
    pthread_mutex_lock(&l->lock);
    slot->labels[at] = l->options.set->labels[index];
    if (status != HR_OK && place < slot->bad) {
        slot->bad = place;
        slot->status = status;
        snprintf(slot->message, sizeof slot->message, "%s", hr_last_message());
    }
    slot->done++;
    l->running--;
    pthread_cond_broadcast(&l->ready);
}

/* Is there a sample to make whose place in the ring is free? */
static bool may_claim(const struct hr_loader *l)
{
    const size_t first_free = (l->taken > 0 ? l->taken - 1 : 0) + RING;
    return l->claimed < l->options.set->paths.count && l->claimed / l->options.batch < first_free;
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
        const size_t place = l->claimed++;
        const uint64_t epoch = l->epoch;
        l->running++;
        pthread_mutex_unlock(&l->lock);
        make_one(l, epoch, place); /* comes back with the lock */
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

static enum hr_status fill(struct hr_loader *l)
{
    const struct hr_recipe *r = &l->options.sample.recipe;
    const size_t count = l->options.set->paths.count;
    l->sample_floats = (size_t)3 * (size_t)r->crop_width * (size_t)r->crop_height;
    l->batches = (count + l->options.batch - 1) / l->options.batch;
    l->claimed = count; /* nothing to do before an epoch starts */
    l->order = hr_mem_alloc(count, sizeof *l->order);
    l->threads = hr_mem_alloc(l->options.threads, sizeof *l->threads);
    if (!l->order || !l->threads)
        return HR_E_MEMORY;
    for (size_t i = 0; i < RING; i++) {
        l->slots[i].x = hr_mem_alloc(l->options.batch, l->sample_floats * sizeof(float));
        l->slots[i].labels = hr_mem_alloc(l->options.batch, sizeof(int32_t));
        if (!l->slots[i].x || !l->slots[i].labels)
            return HR_E_MEMORY;
    }
    return start_threads(l);
}

enum hr_status hr_loader_create(struct hr_loader **out, const struct hr_loader_options *options)
{
    struct hr_loader *l = hr_mem_alloc(1, sizeof *l);
    if (!l)
        return HR_E_MEMORY;
    l->options = *options;
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
        hr_mem_free(l->slots[i].labels);
    }
    hr_mem_free(l->threads);
    hr_mem_free(l->order);
    hr_mem_free(l);
}

static void clear_slot(struct slot *slot)
{
    slot->done = 0;
    slot->bad = SIZE_MAX;
    slot->status = HR_OK;
}

void hr_loader_start(struct hr_loader *l, uint64_t epoch, size_t batch)
{
    const size_t count = l->options.set->paths.count;
    pthread_mutex_lock(&l->lock);
    l->claimed = count;
    while (l->running > 0) /* of an epoch that was left before its end */
        pthread_cond_wait(&l->ready, &l->lock);
    for (size_t i = 0; i < RING; i++)
        clear_slot(&l->slots[i]);
    if (l->options.shuffle)
        hr_dataset_shuffle(l->order, count, l->options.seed, epoch);
    else
        for (size_t i = 0; i < count; i++)
            l->order[i] = i;
    l->epoch = epoch;
    l->taken = batch < l->batches ? batch : l->batches;
    l->claimed = batch < l->batches ? batch * l->options.batch : count;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
}

enum hr_status hr_loader_next(struct hr_loader *l, struct hr_batch *batch)
{
    enum hr_status status = HR_OK;
    pthread_mutex_lock(&l->lock);
    const size_t index = l->taken;
    *batch = (struct hr_batch){ 0 };
    if (index < l->batches) {
        struct slot *slot = &l->slots[index % RING];
        if (index > 0)
            clear_slot(&l->slots[(index - 1) % RING]);
        l->taken++;
        pthread_cond_broadcast(&l->work);
        while (slot->done < batch_size(l, index))
            pthread_cond_wait(&l->ready, &l->lock);
        *batch = (struct hr_batch){ batch_size(l, index), slot->x, slot->labels,
                                    l->order + index * l->options.batch };
        if (slot->status != HR_OK)
            status = hr_fail(slot->status, "%s", slot->message);
    }
    pthread_mutex_unlock(&l->lock);
    return status;
}

size_t hr_loader_batches(const struct hr_loader *l)
{
    return l->batches;
}
