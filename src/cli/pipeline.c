/* SPDX-License-Identifier: Apache-2.0
 * A producer thread and a ring of two batches: memory is bounded, order is kept. */
#include "cli/pipeline.h"

#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/pool.h"
#include "cli/inputs.h"

#define RING 2

struct hr_pipeline {
    struct hr_pipeline_options options;
    struct hr_batch ring[RING];
    size_t tensor_floats; /* of one picture */
    size_t made, taken;   /* batches; made - taken are ready or in use */
    bool in_use, done, stop, started;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

static void fail_slot(struct hr_picture_slot *slot, hrnet_status status, const char *message)
{
    snprintf(slot->error, sizeof slot->error, "%s", message);
    slot->exit_code = hrnet_status_exit_code(status);
}

static void decode_slot(const struct hr_pipeline *p, struct hr_picture_slot *slot, float *x)
{
    struct hr_input input = { 0 };
    hrnet_status status =
        (hrnet_status)hr_input_open(&input, slot->name, p->options.decode.max_bytes);
    if (status == HRNET_OK)
        status = hrnet_preprocess_memory(&p->options.recipe, input.data, input.size, slot->name,
                                         &p->options.decode, x, &slot->report);
    if (status != HRNET_OK) {
        fail_slot(slot, status, hrnet_last_error());
    } else if (p->options.strict && slot->report.truncated) {
        char message[512];
        snprintf(message, sizeof message, "%.300s: the picture is truncated (%.100s)", slot->name,
                 slot->report.warning);
        fail_slot(slot, HRNET_E_FORMAT, message);
    } else {
        slot->decoded = true;
    }
    if (slot->decoded && p->options.thumbnail > 0 &&
        hrnet_thumbnail(input.data, input.size, slot->name, &p->options.decode,
                        p->options.thumbnail, p->options.thumbnail, &slot->thumbnail,
                        &slot->thumbnail_width, &slot->thumbnail_height) != HRNET_OK)
        slot->thumbnail = NULL; /* a page without it tells as much */
    hr_input_close(&input);
}

static void fill_batch(struct hr_pipeline *p, struct hr_batch *batch, size_t first)
{
    const size_t left = p->options.inputs->count - first;
    batch->count = left < p->options.batch ? left : p->options.batch;
    batch->decoded_count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        hrnet_free(batch->slots[i].thumbnail);
        batch->slots[i] = (struct hr_picture_slot){ .name = p->options.inputs->items[first + i] };
        decode_slot(p, &batch->slots[i], batch->x + batch->decoded_count * p->tensor_floats);
        batch->decoded_count += batch->slots[i].decoded;
    }
}

/* Waits for a free batch; false when told to stop. */
static bool await_room(struct hr_pipeline *p)
{
    pthread_mutex_lock(&p->mutex);
    while (!p->stop && p->made - p->taken >= RING)
        pthread_cond_wait(&p->changed, &p->mutex);
    const bool go = !p->stop;
    pthread_mutex_unlock(&p->mutex);
    return go;
}

static void announce(struct hr_pipeline *p, bool done)
{
    pthread_mutex_lock(&p->mutex);
    p->made += !done;
    p->done = done;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

static void *produce(void *argument)
{
    struct hr_pipeline *p = argument;
    for (size_t at = 0; at < p->options.inputs->count; at += p->options.batch) {
        if (!await_room(p))
            return NULL;
        fill_batch(p, &p->ring[at / p->options.batch % RING], at);
        announce(p, false);
    }
    announce(p, true);
    return NULL;
}

const struct hr_batch *hr_pipeline_next(struct hr_pipeline *p)
{
    pthread_mutex_lock(&p->mutex);
    if (p->in_use) {
        p->taken++;
        p->in_use = false;
        pthread_cond_broadcast(&p->changed);
    }
    while (p->made == p->taken && !p->done)
        pthread_cond_wait(&p->changed, &p->mutex);
    p->in_use = p->made > p->taken;
    const struct hr_batch *batch = p->in_use ? &p->ring[p->taken % RING] : NULL;
    pthread_mutex_unlock(&p->mutex);
    return batch;
}

hrnet_status hr_pipeline_create(struct hr_pipeline **out, const struct hr_pipeline_options *options)
{
    struct hr_pipeline *p = hr_mem_alloc(1, sizeof *p);
    if (!p)
        return HRNET_E_MEMORY;
    p->options = *options;
    p->tensor_floats =
        (size_t)3 * (size_t)options->recipe.crop_height * (size_t)options->recipe.crop_width;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->changed, NULL);
    for (size_t i = 0; i < RING; i++) {
        p->ring[i].slots = hr_mem_alloc(options->batch, sizeof *p->ring[i].slots);
        p->ring[i].x = hr_mem_alloc(options->batch, p->tensor_floats * sizeof(float));
        if (!p->ring[i].slots || !p->ring[i].x) {
            hr_pipeline_destroy(p);
            return HRNET_E_MEMORY;
        }
    }
    p->started = hr_thread_start(&p->thread, produce, p) == 0;
    if (!p->started) {
        hr_pipeline_destroy(p);
        return (hrnet_status)hr_fail(HR_E_MEMORY, "the decoding thread could not be started");
    }
    *out = p;
    return HRNET_OK;
}

void hr_pipeline_destroy(struct hr_pipeline *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    p->stop = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    if (p->started)
        pthread_join(p->thread, NULL);
    for (size_t i = 0; i < RING; i++) {
        for (size_t s = 0; p->ring[i].slots && s < p->options.batch; s++)
            hrnet_free(p->ring[i].slots[s].thumbnail);
        hr_mem_free(p->ring[i].slots);
        hr_mem_free(p->ring[i].x);
    }
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
    hr_mem_free(p);
}
