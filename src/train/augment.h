/* SPDX-License-Identifier: Apache-2.0
 * Augmentations as data: an ordered chain of steps, each a kind, a chance and numbers.
 *
 * Written as text (what --augment takes, and what a reader of configurations should build):
 *
 *     randaugment:n=2,m=9;erasing:p=0.25,mode=pixel;mixup:alpha=0.2,p=0.5;cutmix:alpha=1,p=0.5
 *
 * Names of kinds and numbers are rows of the table in augment.c (`hrnet help augment` lists them);
 * what is not given has the row's default.  timm's own strings are a kind's text as they are:
 * "timm:rand-m9-mstd0.5-inc1", "timm:augmix-m5-w4-d2-b1", "timm:original-mstd0.5", "timm:3a".
 *
 * A chain runs in this order, whatever order it is written in: what decides the crop (one at most;
 * it replaces the random crop of the training options), flips (which replace the option `flip`) and
 * everything else on 8-bit pixels in the order given, then normalisation, then what erases, in the
 * order given, on normalised floats (0 is the mean colour).  Of the steps that mix a batch one is
 * drawn a batch, by their chances p, which must not add up to more than 1; the rest of the chance
 * leaves the batch alone.
 *
 * Names in PaddleClas: crop RandCropImage, resizedcrop RandomResizedCrop, padcrop CropWithPadding,
 * flip RandFlipImage 1 and RandomHorizontalFlip, vflip RandFlipImage 0, autoaugment
 * (ImageNetPolicy), randaugment RandAugment, timm TimmAutoAugment, augmix AugMix, jitter
 * ColorJitter (and RandomApply around it: p), gray RandomGrayscale, rotation RandomRotation,
 * erasing RandomErasing (p: EPSILON), cutout, hide HideAndSeek, gridmask GridMask, mixup
 * MixupOperator, cutmix CutmixOperator, fmix FmixOperator; OpSampler's probabilities are p. */
#ifndef HR_TRAIN_AUGMENT_H
#define HR_TRAIN_AUGMENT_H

#include <stdint.h>

#include "base/text.h"

enum hr_augment_kind {
    HR_AUGMENT_CROP,
    HR_AUGMENT_RESIZED_CROP,
    HR_AUGMENT_PAD_CROP,
    HR_AUGMENT_FLIP,
    HR_AUGMENT_VERTICAL_FLIP,
    HR_AUGMENT_AUTO,
    HR_AUGMENT_RAND,
    HR_AUGMENT_TIMM,
    HR_AUGMENT_AUGMIX,
    HR_AUGMENT_JITTER,
    HR_AUGMENT_GRAY,
    HR_AUGMENT_ROTATION,
    HR_AUGMENT_ERASING,
    HR_AUGMENT_CUTOUT,
    HR_AUGMENT_HIDE,
    HR_AUGMENT_GRID_MASK,
    HR_AUGMENT_MIXUP,
    HR_AUGMENT_CUTMIX,
    HR_AUGMENT_FMIX,
    HR_AUGMENT_KINDS
};

enum hr_augment_stage {
    HR_STAGE_CROP,   /* decides the crop */
    HR_STAGE_PIXELS, /* 8-bit crop */
    HR_STAGE_FLOATS, /* normalised planes */
    HR_STAGE_BATCH   /* whole batches, with targets */
};

#define HR_AUGMENT_NUMBERS 12

struct hr_augment_step {
    enum hr_augment_kind kind;
    double p;                          /* chance that it is applied */
    double number[HR_AUGMENT_NUMBERS]; /* by the kind's row; words are their position in the list */
};

/* Positions in `number`, by kind. */
enum { HR_CROP_AREA, HR_CROP_MOST, HR_CROP_LOW, HR_CROP_HIGH, HR_CROP_LOG };
enum { HR_PAD_PX, HR_PAD_FILL };
enum { HR_RAND_N, HR_RAND_M, HR_RAND_FILL };
enum { HR_AUTO_FILL };
enum {
    HR_TIMM_POLICY,
    HR_TIMM_M,
    HR_TIMM_N, /* layers; augmix: width */
    HR_TIMM_MSTD,
    HR_TIMM_MMAX,
    HR_TIMM_INC,
    HR_TIMM_CHANCE, /* of each layer */
    HR_TIMM_WEIGHTS,
    HR_TIMM_DEPTH,
    HR_TIMM_ALPHA,
    HR_TIMM_FILTER,
    HR_TIMM_BLENDED
};
enum {
    HR_TIMM_RAND,
    HR_TIMM_ORIGINAL,
    HR_TIMM_ORIGINALR,
    HR_TIMM_V0,
    HR_TIMM_V0R,
    HR_TIMM_AUGMIX,
    HR_TIMM_THREE
};
enum { HR_AUGMIX_COEFF, HR_AUGMIX_WIDTH, HR_AUGMIX_DEPTH, HR_AUGMIX_SEVERITY };
enum { HR_JITTER_BRIGHTNESS, HR_JITTER_CONTRAST, HR_JITTER_SATURATION, HR_JITTER_HUE };
enum { HR_ROTATION_DEGREES, HR_ROTATION_FILTER, HR_ROTATION_FILL };
enum {
    HR_ERASE_MODE,
    HR_ERASE_LEAST,
    HR_ERASE_MOST,
    HR_ERASE_ASPECT,
    HR_ERASE_LOG,
    HR_ERASE_TRIES,
    HR_ERASE_MEAN
};
enum { HR_ERASE_CONST, HR_ERASE_RAND, HR_ERASE_PIXEL };
enum { HR_CUTOUT_HOLES, HR_CUTOUT_LENGTH, HR_CUTOUT_FILL };
enum { HR_HIDE_CHANCE, HR_HIDE_SCALE };
enum { HR_GRID_D1, HR_GRID_D2, HR_GRID_ROTATE, HR_GRID_RATIO, HR_GRID_MODE };
enum { HR_MIX_ALPHA, HR_MIX_DECAY };

#define HR_MAX_AUGMENTS 16

struct hr_augment_chain { /* zero-initialised is empty; copy freely */
    struct hr_augment_step steps[HR_MAX_AUGMENTS];
    size_t count;
};

/* Appends the steps of `text` and checks the chain.  HR_E_ARGUMENT naming what is wrong, with the
 * nearest name; the chain is then untouched. */
enum hr_status hr_augment_parse(struct hr_augment_chain *chain, const char *text) HR_WARN_UNUSED;
/* Gives the number of "name=value" to every step that has it.  HR_E_ARGUMENT where none has. */
enum hr_status hr_augment_set(struct hr_augment_chain *chain, const char *pair) HR_WARN_UNUSED;
/* The chain as text with every number, which parses to the same chain. */
void hr_augment_print(const struct hr_augment_chain *chain, struct hr_text *out);

const char *hr_augment_name(enum hr_augment_kind kind);
enum hr_augment_stage hr_augment_stage(enum hr_augment_kind kind);
/* One line a kind: "randaugment  n=2,m=5,fill=128  two of 14 operations ...". */
void hr_augment_help(struct hr_text *out);
/* The step of a stage (the first), or NULL. */
const struct hr_augment_step *hr_augment_find(const struct hr_augment_chain *chain,
                                              enum hr_augment_stage stage);

#endif
