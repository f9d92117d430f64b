/* SPDX-License-Identifier: Apache-2.0
 * The loop: batches, steps, evaluation, checkpoints.  Same options and seed, same bits, for any
 * number of threads, and for a run that was stopped and resumed. */
#ifndef HR_TRAIN_TRAINER_H
#define HR_TRAIN_TRAINER_H

#include "train/loss.h"
#include "train/optim.h"
#include "train/schedule.h"

struct hr_train_options {
    const char *data, *validation, *root; /* hr_dataset_open's; validation and root may be NULL */
    const char *architecture;
    const char *weights; /* to start from, a head of other classes is replaced; NULL: random */
    const char *folder;  /* of the run: checkpoints go there */
    bool resume;         /* go on from the folder's checkpoint */
    int size;            /* height and width of the network's input */
    size_t batch;
    uint64_t epochs, seed;
    enum hr_schedule_kind schedule; /* one that needs no more than a rate */
    double rate, warmup_epochs;
    struct hr_optim_options optim;
    double smoothing;
    bool crop; /* random crops, else the recipe's */
    double least_area, flip;
    unsigned threads, loader_threads; /* 0: hr_cpu_count() */
    uint32_t cpu_flags;
};

struct hr_train_progress {
    uint64_t epoch, epochs; /* from 1 */
    size_t step, steps;     /* of the epoch, from 1 */
    double loss, accuracy;  /* of the epoch so far */
    double rate;
    bool epoch_end;                            /* then also: */
    bool validated, best;                      /* best: of all epochs so far */
    double validation_loss, top1, top5;        /* shares */
    size_t arena_bytes, state_bytes, pictures; /* memory; pictures of an epoch */
};
/* After every step, and after every epoch once its checkpoint is written.  False stops. */
typedef bool hr_train_observer(void *context, const struct hr_train_progress *progress);

/* Trains.  Writes into the folder, each whole or not at all: latest.safetensors and
 * best.safetensors (models), state.safetensors (all that resuming needs).  HR_E_CANCELLED when the
 * observer stopped it; HR_E_INTERNAL naming epoch, step and layer when a value is infinite or no
 * number. */
enum hr_status hr_train(const struct hr_train_options *options, hr_train_observer *observer,
                        void *context) HR_WARN_UNUSED;

#endif
