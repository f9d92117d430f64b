/* SPDX-License-Identifier: Apache-2.0
 * hrnet train: a network from a folder of pictures. */
#include <string.h>

#include "base/launch.h"
#include "base/text.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/configure.h"
#include "cli/run_folder.h"
#include "cli/setup.h"
#include "cli/train_log.h"
#include "hrnet/hrnet.h"

static const struct hr_flag flags[] = {
    { "output", 'o', HR_FLAG_FOLDER, "FOLDER", NULL, 0, 0, "where checkpoints go (needed)" },
    { "arch", 'a', HR_FLAG_MODEL, "NAME", "HRNet_W18_C", 0, 0, "the network" },
    { "weights", 'w', HR_FLAG_FILE, "FILE", NULL, 0, 0,
      "weights to start from; a head of other classes is replaced" },
    { "teacher", 0, HR_FLAG_MODEL, "MODEL", NULL, 0, 0,
      "weights whose answers are learned, too; lists may have the label -1 then" },
    { "distill", 0, HR_FLAG_TEXT, "NAME:KEY=N,...", "dml", 0, 0,
      "how: dml, kl:temperature= or ce; all: weight=, labels= (of the labels' own loss)" },
    { "teacher-norms", 0, HR_FLAG_CHOICE, "running|batch", "running", 0, 0,
      "statistics that the teacher's norms use" },
    { "val", 0, HR_FLAG_FILE, "PATH", NULL, 0, 0, "pictures that choose the best epoch" },
    { "val-root", 0, HR_FLAG_FOLDER, "FOLDER", NULL, 0, 0, "the same of --val (else --root)" },
    { "root", 0, HR_FLAG_FOLDER, "FOLDER", NULL, 0, 0,
      "of the paths in lists (else the list's folder)" },
    { "classes", 0, HR_FLAG_COUNT, "N", "0", 0, 16777216,
      "outputs of the network; 0: as many as the data has" },
    { "resume", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "go on from the folder's checkpoint" },
    { "checkpoint", 0, HR_FLAG_TEXT, "PREFIX", NULL, 0, 0,
      "go on from a run of PaddleClas: PREFIX.pdparams, .pdopt and .pdstates" },
    { "paddle", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "write such files too: latest.pdparams, best_model.pdparams, ..." },
    { "size", 0, HR_FLAG_COUNT, "PX", "224", 29, 4096, "height and width of the input" },
    { "batch", 'b', HR_FLAG_COUNT, "N", "32", 2, 4096, "pictures a batch" },
    { "epochs", 'e', HR_FLAG_COUNT, "N", "30", 1, 1000000, "passes over the pictures" },
    { "accumulate", 0, HR_FLAG_COUNT, "N", "1", 1, 4096, "batches a step" },
    { "lr", 0, HR_FLAG_REAL, "RATE", "0", 0, 0,
      "learning rate; 0: 0.1 (or 0.001) for 256 pictures a step, scaled" },
    { "lr-batch", 0, HR_FLAG_REAL, "N", "0", 0, 0,
      "pictures a step that --lr is meant for; it is scaled to these" },
    { "warmup", 0, HR_FLAG_REAL, "EPOCHS", "0", 0, 0, "a line from 0 to the rate comes first" },
    { "schedule", 0, HR_FLAG_TEXT, "NAME:KEY=N,...", "cosine", 0, 0,
      "how the rate falls: constant, linear, cosine, cyclic, step, piecewise, multi-step, "
      "cosine-fixmatch, one-cycle or plateau" },
    { "optimizer", 0, HR_FLAG_TEXT, "NAME:KEY=N,...", "momentum", 0, 0,
      "how weights move: momentum, nesterov, sgd, adam, adamw or rmsprop" },
    { "momentum", 0, HR_FLAG_REAL, "SHARE", "0.9", 0, 0, "of momentum and nesterov" },
    { "l1", 0, HR_FLAG_REAL, "X", "0", 0, 0, "weight decay of the absolute value" },
    { "l2", 0, HR_FLAG_REAL, "X", "1e-4", 0, 0, "weight decay, added to the gradient" },
    { "decay", 0, HR_FLAG_REAL, "X", "0.01", 0, 0, "AdamW's weight decay" },
    { "no-decay-1d", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "no decay of norms and biases" },
    { "no-decay", 0, HR_FLAG_TEXT, "PART,...", NULL, 0, 0,
      "nor of parameters with such a part in their name" },
    { "clip", 0, HR_FLAG_REAL, "NORM", "0", 0, 0, "largest norm of all gradients; 0: any" },
    { "rates", 0, HR_FLAG_TEXT, "BEGIN=FACTOR,...", NULL, 0, 0,
      "factors of the rate of parameters whose name begins so" },
    { "freeze", 0, HR_FLAG_TEXT, "BEGIN,...", NULL, 0, 0, "parameters that do not move" },
    { "layer-decay", 0, HR_FLAG_REAL, "FACTOR", "1", 0, 0,
      "each part's rate over that of the part behind it" },
    { "ema", 0, HR_FLAG_REAL, "DECAY", "0", 0, 0,
      "average the weights over the steps (0.999), as models of their own" },
    { "smoothing", 0, HR_FLAG_REAL, "SHARE", "0", 0, 0, "of labels" },
    { "class-weights", 0, HR_FLAG_TEXT, "balanced|N,...", NULL, 0, 0, "of the loss" },
    { "replace-head", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "a fresh head even where --weights has as many classes" },
    { "test-size", 0, HR_FLAG_COUNT, "PX", "0", 0, 4096, "height and width in evaluation" },
    { "crop-ratio", 0, HR_FLAG_REAL, "R", "0.875", 0, 0,
      "in evaluation: of the size and the shorter side of the resized picture" },
    { "recipe", 0, HR_FLAG_CHOICE, "opencv|opencv-deploy|pillow|pillow-bicubic", "opencv", 0, 0,
      "how pictures are resized, cropped and scaled; pillow for timm's and Microsoft's weights" },
    { "resize-short", 0, HR_FLAG_COUNT, "PX", NULL, 0, 16384,
      "that shorter side itself; 0 stretches to the size" },
    { "scale", 0, HR_FLAG_REAL, "R", NULL, 0, 0, "factor of the 8-bit values" },
    { "mean", 0, HR_FLAG_TEXT, "R,G,B", NULL, 0, 0, "subtracted after scaling" },
    { "deviation", 0, HR_FLAG_TEXT, "R,G,B", NULL, 0, 0, "divided by at the end" },
    { "keep", 0, HR_FLAG_COUNT, "N", "0", 0, 1000000, "epochs of which model and state are kept" },
    { "patience", 0, HR_FLAG_COUNT, "N", "0", 0, 1000000,
      "validated epochs without a better one that end the run" },
    { "give-up", 0, HR_FLAG_COUNT, "N", "10", 0, 1000000,
      "epochs whose loss is that of a guess that end the run; 0: never" },
    { "eval-every", 0, HR_FLAG_COUNT, "N", "1", 1, 1000000,
      "validate after every Nth epoch, and after the last" },
    { "eval-from", 0, HR_FLAG_COUNT, "EPOCH", "1", 1, 1000000, "but not before this epoch" },
    { "save-steps", 0, HR_FLAG_COUNT, "N", "0", 0, INT32_MAX,
      "steps between checkpoints within an epoch" },
    { "whole", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "resize and crop the centre as in evaluation, no random crops" },
    { "least-area", 0, HR_FLAG_REAL, "SHARE", "0.08", 0, 0, "of a random crop" },
    { "flip", 0, HR_FLAG_REAL, "CHANCE", "0.5", 0, 0, "of a picture to be mirrored" },
    { "augment", 0, HR_FLAG_TEXT, "STEPS", NULL, 0, 0,
      "more of them: randaugment:n=2,m=9;erasing:p=0.25 (hrnet augment --list)" },
    { "val-split", 0, HR_FLAG_REAL, "SHARE", "0", 0, 0,
      "of each class validates, drawn by the seed, without --val" },
    { "balanced", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "every class is seen equally often" },
    { "in-order", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "the pictures of every epoch as the data has them, not shuffled" },
    { "drop-last", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "leave out a last batch of an epoch that is not full" },
    { "max-bad", 0, HR_FLAG_COUNT, "N", "100", 0, INT32_MAX,
      "pictures that may be unreadable: they are named and left out" },
    { "precision", 0, HR_FLAG_CHOICE, "fp32|bf16|fp16", "fp32", 0, 0,
      "how activations wait for the backward half; all else is fp32" },
    { "loss-scale", 0, HR_FLAG_TEXT, "NAME:KEY=N,...", NULL, 0, 0,
      "factor of the loss: none, fixed:scale= or dynamic:scale=,every=,grow=,shrink=; else dynamic "
      "with fp16, none without" },
    { "recompute", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "make results of convolutions again instead of keeping them: less memory, more time, the "
      "same "
      "bits" },
    { "seed", 0, HR_FLAG_COUNT, "N", "0", 0, INT64_MAX, "of everything random" },
    { "threads", 't', HR_FLAG_COUNT, "N", "0", 0, 1024, "of the computation; 0: all CPUs" },
    { "loaders", 0, HR_FLAG_COUNT, "N", "0", 0, 1024, "threads that load pictures; 0: all CPUs" },
    { "sync-batch-norm", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "under mpirun: norms use the statistics of all processes' pictures" },
    { "lost-after", 0, HR_FLAG_REAL, "SECONDS", "1800", 0, 0,
      "under mpirun: without an answer of a process that end the run" },
    { "cpu", 0, HR_FLAG_CHOICE, "baseline|avx2|avx512", NULL, 0, 0, "use at most this" },
    { "tensorboard", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "write event files into the folder, for TensorBoard" },
    { "log-format", 0, HR_FLAG_CHOICE, "plain|paddle", "plain", 0, 0,
      "lines of standard output; paddle: as PaddleClas prints them, and in train.log" },
    { "log-every", 0, HR_FLAG_COUNT, "N", "10", 1, 1000000, "steps between lines of paddle" },
    { "progress", 0, HR_FLAG_CHOICE, "bar|plain|json|none", NULL, 0, 0, "progress on stderr" },
    { 0 },
};

#define RATIO_PX 16000 /* so that ratios of three digits are whole pixels */

struct run {
    const struct hr_args *args;
    struct hr_train_log log;
    bool told;
    struct hrnet_train_progress last;
};

/* Once, when the first step is done. */
static void begin(struct run *run, const struct hrnet_train_progress *p)
{
    run->told = true;
    hr_progress_hide(&run->log.progress);
    if (hr_run_folder_begin(run->log.folder, run->args, p) != HRNET_OK)
        fprintf(stderr, "hrnet: %s\n", hrnet_last_error());
    if (!hr_train_log_open(&run->log))
        fprintf(stderr, "hrnet: %s/train.log cannot be written\n", run->log.folder);
}

static int observe(void *context, const struct hrnet_train_progress *p)
{
    struct run *run = context;
    run->last = *p;
    if (!run->told)
        begin(run, p);
    if (!p->epoch_end) {
        hr_train_log_step(&run->log, p);
        return hr_interrupted();
    }
    hr_train_log_epoch(&run->log, p);
    if (hr_run_folder_curves(run->log.folder) != HRNET_OK)
        fprintf(stderr, "hrnet: %s\n", hrnet_last_error());
    return hr_interrupted();
}

static int wants_stop(void *context)
{
    (void)context;
    return hr_interrupted();
}

static struct hrnet_train_options options_of(const struct hr_args *args)
{
    struct hrnet_train_options o;
    hrnet_train_options_init(&o, sizeof o);
    o.data = args->operands[0];
    o.validation = hr_arg_text(args, "val");
    o.root = hr_arg_text(args, "root");
    o.classes = (int)hr_arg_count(args, "classes");
    o.validation_root = hr_arg_text(args, "val-root");
    o.architecture = hr_arg_text(args, "arch");
    o.folder = hr_arg_text(args, "output");
    o.resume = hr_arg_switch(args, "resume");
    o.checkpoint = hr_arg_text(args, "checkpoint");
    o.distill = hr_arg_text(args, "distill");
    o.teacher_batch_statistics = strcmp(hr_arg_text(args, "teacher-norms"), "batch") == 0;
    o.paddle = hr_arg_switch(args, "paddle");
    o.size = (int)hr_arg_count(args, "size");
    o.batch = (int)hr_arg_count(args, "batch");
    o.epochs = (int)hr_arg_count(args, "epochs");
    o.seed = (uint64_t)hr_arg_count(args, "seed");
    o.schedule = hr_arg_text(args, "schedule");
    o.optimizer = hr_arg_text(args, "optimizer");
    o.rate = hr_arg_real(args, "lr");
    o.warmup_epochs = hr_arg_real(args, "warmup");
    o.momentum = hr_arg_real(args, "momentum");
    o.l2 = hr_arg_real(args, "l2");
    o.decay = hr_arg_real(args, "decay");
    o.clip_norm = hr_arg_real(args, "clip");
    o.smoothing = hr_arg_real(args, "smoothing");
    o.whole = hr_arg_switch(args, "whole");
    o.least_area = hr_arg_real(args, "least-area");
    o.flip = hr_arg_real(args, "flip");
    o.augment = hr_arg_text(args, "augment");
    o.held_back = hr_arg_real(args, "val-split");
    o.balanced = hr_arg_switch(args, "balanced");
    o.most_bad = (int)hr_arg_count(args, "max-bad");
    o.threads = (unsigned)hr_arg_count(args, "threads");
    o.loader_threads = (unsigned)hr_arg_count(args, "loaders");
    o.cpu = hr_arg_text(args, "cpu");
    o.replace_head = hr_arg_switch(args, "replace-head");
    o.test_size = (int)hr_arg_count(args, "test-size");
    o.crop_ratio = hr_arg_real(args, "crop-ratio");
    o.accumulate = (int)hr_arg_count(args, "accumulate");
    o.rate_batch = hr_arg_real(args, "lr-batch");
    o.l1 = hr_arg_real(args, "l1");
    o.no_decay_one_dim = hr_arg_switch(args, "no-decay-1d");
    o.no_decay = hr_arg_text(args, "no-decay");
    o.rates = hr_arg_text(args, "rates");
    o.freeze = hr_arg_text(args, "freeze");
    o.layer_decay = hr_arg_real(args, "layer-decay");
    o.average = hr_arg_real(args, "ema");
    o.class_weights = hr_arg_text(args, "class-weights");
    o.keep = (int)hr_arg_count(args, "keep");
    o.patience = (int)hr_arg_count(args, "patience");
    o.save_steps = (int)hr_arg_count(args, "save-steps");
    o.drop_last = hr_arg_switch(args, "drop-last");
    o.in_order = hr_arg_switch(args, "in-order");
    o.give_up = (int)hr_arg_count(args, "give-up");
    o.eval_every = (int)hr_arg_count(args, "eval-every");
    o.eval_from = (int)hr_arg_count(args, "eval-from");
    o.tensorboard = hr_arg_switch(args, "tensorboard");
    o.precision = hr_arg_text(args, "precision");
    o.loss_scale = hr_arg_text(args, "loss-scale");
    o.recompute = hr_arg_switch(args, "recompute");
    o.sync_batch_norm = hr_arg_switch(args, "sync-batch-norm");
    o.lost_seconds = hr_arg_real(args, "lost-after");
    o.stop = wants_stop;
    return o;
}

/* The recipe that flags ask for, if they do; its sizes are those of evaluation. */
static int set_recipe(struct hrnet_train_options *o, struct hrnet_recipe *recipe,
                      const struct hr_args *args)
{
    const bool short_given = hr_arg_text(args, "resize-short") != NULL;
    if (!short_given && !hr_arg_text(args, "scale") && !hr_arg_text(args, "mean") &&
        !hr_arg_text(args, "deviation") && strcmp(hr_arg_text(args, "recipe"), "opencv") == 0)
        return -1;
    if (hrnet_recipe_named("opencv", recipe) != HRNET_OK)
        return hr_report(HRNET_E_ARGUMENT);
    const int code = hr_setup_recipe(recipe, args, recipe);
    if (short_given && o->test_size)
        recipe->crop_width = recipe->crop_height = o->test_size;
    if (!short_given && code < 0) { /* it is the ratio that counts */
        recipe->crop_width = recipe->crop_height = (int)(RATIO_PX * o->crop_ratio + 0.5);
        recipe->resize_short = RATIO_PX;
    }
    o->recipe = recipe;
    return code;
}

/* A file, or the fetched weights of that name. */
static int set_weights(const char **out, struct hr_text *path, const char *name)
{
    if (!name)
        return -1;
    const enum hr_status status = hr_cache_resolve(path, name);
    *out = path->data;
    return status == HR_OK ? -1 : hr_report((int)status);
}

static int run_training(const struct hrnet_train_options *o, const struct hr_args *args)
{
    struct run run = { .args = args };
    run.log.folder = o->folder;
    run.log.paddle = strcmp(hr_arg_text(args, "log-format"), "paddle") == 0;
    run.log.every = (uint64_t)hr_arg_count(args, "log-every");
    run.log.rate_name = hr_train_log_rate_name(o->schedule, o->warmup_epochs > 0.0);
    const bool first = hr_launch_get().rank == 0; /* of several: it alone speaks of the run */
    hr_interrupt_watch();
    hr_terminate_watch();
    if (!first)
        hrnet_set_log(NULL, NULL);
    hr_progress_start(&run.log.progress, first ? hr_arg_text(args, "progress") : "none", "train",
                      "steps");
    const hrnet_status status = hrnet_train(o, observe, &run);
    hr_train_log_close(&run.log);
    if (run.last.skipped > 0)
        fprintf(stderr, "hrnet: %llu steps were left out because the gradient overflowed\n",
                (unsigned long long)run.last.skipped);
    if (run.last.bad > 0)
        fprintf(stderr,
                "hrnet: %llu of %llu pictures were bad and left out: %s/bad_pictures.csv names "
                "them\n",
                (unsigned long long)run.last.bad, (unsigned long long)run.last.pictures, o->folder);
    if (status != HRNET_OK && !first && *hrnet_last_error() == '\0')
        return hrnet_status_exit_code(status); /* the first process says why */
    return status == HRNET_OK ? 0 : hr_report((int)status);
}

static int train(const struct hr_args *args)
{
    struct hrnet_train_options o = options_of(args);
    struct hrnet_recipe recipe;
    struct hr_text weights = { 0 }, teacher = { 0 };
    if (hr_arg_switch(args, "print-config")) {
        hr_args_print(args, stdout);
        return 0;
    }
    if (!o.folder)
        return hr_usage_error("train", "train needs --output FOLDER for its checkpoints");
    int code = set_recipe(&o, &recipe, args);
    if (code < 0)
        code = set_weights(&o.weights, &weights, hr_arg_text(args, "weights"));
    if (code < 0)
        code = set_weights(&o.teacher, &teacher, hr_arg_text(args, "teacher"));
    if (code < 0)
        code = run_training(&o, args);
    hr_text_fini(&weights);
    hr_text_fini(&teacher);
    return code;
}

static const struct hr_flag *const groups[] = { hr_config_flags_without_letter, flags, NULL };

const struct hr_command hr_command_train = {
    .name = "train",
    .operands = "PICTURES",
    .takes = HR_FLAG_FOLDER,
    .summary = "train a network on a folder of class folders, or a list",
    .examples =
        "hrnet train flowers/train --val flowers/val -o run --weights w18.pdparams --lr 0.01\n"
        "hrnet train train_list.txt --root images -o run --epochs 120 --schedule step\n"
        "hrnet train flowers/train --val flowers/val -o run --resume  # after an interruption\n"
        "mpirun -n 4 hrnet train flowers/train --val flowers/val -o run -b 32  # 128 a step\n"
        "hrnet train pictures.txt -o run -a HRNet_W18_C --teacher HRNet_W48_C_ssld   # "
        "distillation",
    .groups = groups,
    .least_operands = 1,
    .most_operands = 1,
    .run = train,
};
