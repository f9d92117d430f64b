/* SPDX-License-Identifier: Apache-2.0
 * The loop: batches, steps, evaluation, checkpoints.  Same options and seed, same bits, for any
 * number of threads, and for a run that was stopped and resumed. */
#ifndef HR_TRAIN_TRAINER_H
#define HR_TRAIN_TRAINER_H

#include "train/augment.h"
#include "train/distill.h"
#include "train/factors.h"
#include "train/loss.h"
#include "train/optim.h"
#include "train/scaler.h"
#include "train/schedule.h"

struct hr_train_options {
    const char *data, *validation, *root; /* hr_dataset_open's; validation and root may be NULL */
    const char *validation_root;          /* NULL: root */
    int classes;                          /* of the network; 0: as many as the data has */
    const char *architecture;
    const char *weights;    /* to start from, a head of other classes is replaced; NULL: random */
    bool replace_head;      /* and so is one of as many */
    const char *folder;     /* of the run: checkpoints go there */
    bool resume;            /* go on from the folder's checkpoint */
    bool paddle;            /* write Paddle's files too: latest.pdparams, .pdopt, .pdstates ... */
    const char *checkpoint; /* prefix of such files to go on from, in a fresh folder; or NULL */
    int size;               /* height and width of the network's input */
    int test_size;          /* the same when it is evaluated; 0: size */
    const struct hr_recipe *recipe; /* all but its sizes count, and crop_width / resize_short
                                       instead of crop_ratio; NULL: "opencv" */
    double crop_ratio; /* of that size and the shorter side that pictures are resized to */
    size_t batch;
    size_t accumulate; /* batches a step, 1 */
    uint64_t epochs, seed;
    const char *schedule; /* hr_schedule_parse's */
    double rate;          /* 0: by the optimizer and the pictures a step, which is logged */
    double rate_batch;    /* pictures a step that the rate is meant for; it is scaled.  0: these */
    double warmup_epochs;
    struct hr_optim_options optim; /* but its rates */
    struct hr_factor_options factors;
    double average; /* decay of the averaged weights (EMA); 0: there are none */
    double smoothing;
    const char *class_weights;         /* hr_factors_of_classes's, or NULL */
    struct hr_distill_options distill; /* teacher NULL: none */
    bool crop;                         /* random crops, else the recipe's */
    double least_area, flip;
    struct hr_augment_chain augment; /* on top of them */
    double held_back;  /* share of the training pictures that validate, without `validation` */
    bool balanced;     /* every class equally often */
    size_t most_bad;   /* pictures that may be unreadable; they are left out */
    uint64_t keep;     /* epochs of which all files are kept */
    uint64_t give_up;  /* epochs behind the warm-up whose loss is that of a guess, in a row, which
                          end  the run; 0: never */
    uint64_t patience; /* epochs without a better one that end the run; 0: never */
    bool drop_last;    /* of an epoch: a batch that is not full */
    bool in_order;     /* the pictures of every epoch, as the data has them */
    uint64_t eval_every, eval_from; /* validate after epochs from eval_from on that eval_every
                                       divides, and after the last; 0 counts as 1 */
    uint64_t save_steps;            /* steps between two checkpoints within an epoch; 0: none */
    bool events;                    /* write TensorBoard's event files */
    bool recompute;                 /* the tape's */
    enum hr_half half;              /* the tape's */
    struct hr_scaler_options scaler;
    unsigned threads, loader_threads; /* 0: hr_cpu_count() */
    uint32_t cpu_flags;
    /* Of several processes, where `batch` is of each: */
    bool sync_norms;             /* norms use the statistics of all of them */
    double lost_seconds;         /* without an answer that end the run; 0: hr_reduce's */
    bool (*stop)(void *context); /* asked often: is a stop wanted?  NULL: never */
};

struct hr_train_progress {
    uint64_t epoch, epochs; /* from 1 */
    size_t step, steps;     /* of the epoch, from 1 */
    size_t step_pictures;
    double loss, accuracy, accuracy5; /* of the epoch so far */
    double rate, norm;                /* of the step; norm of its gradient before clipping */
    double load_seconds;              /* that the step waited for pictures */
    double step_seconds;              /* that it took */
    double step_loss;
    bool epoch_end;                     /* then also: */
    bool validated, best;               /* best: of all epochs so far */
    double validation_loss, top1, top5; /* shares */
    bool averaged, average_best;        /* the same of the averaged weights */
    double average_loss, average_top1, average_top5;
    double best_top1;        /* of all epochs so far, or map; -1: none was validated */
    bool several;            /* labels a picture: then top1 are those with all labels right, and */
    double map, average_map; /* mean average precision in validation, which chooses the best */
    const char *data_hash;   /* hr_running's; valid during the call */
    int classes;
    size_t arena_bytes, state_bytes, pictures; /* memory; pictures of an epoch */
    double loss_scale;
    size_t skipped;       /* steps of the run that were left out because the gradient overflowed */
    size_t bad, left_out; /* hr_loader_counts of the training pictures; bad: of validation too */
};
/* After every step, and after every epoch once its checkpoint is written.  False stops. */
typedef bool hr_train_observer(void *context, const struct hr_train_progress *progress);

/* Trains.  Writes into the folder, each whole or not at all: latest.safetensors and
 * best.safetensors (models), with averaged weights average.safetensors and
 * best-average.safetensors, epoch-N.safetensors and epoch-N.state.safetensors of the last `keep`
 * epochs, state.safetensors (all that resuming needs), and hr_journal's tables.  HR_E_CANCELLED
 * when the observer stopped it, with a checkpoint of the last step; HR_E_INTERNAL naming epoch,
 * step and layer when a value is infinite or no number, or saying that nothing is learned.
 *
 * Of several processes that were started together each takes its part of every batch.  The first
 * one alone observes and writes, and has the message where all fail; where another is lost it
 * writes a checkpoint of the last whole step. */
enum hr_status hr_train(const struct hr_train_options *options, hr_train_observer *observer,
                        void *context) HR_WARN_UNUSED;

#endif
