/* SPDX-License-Identifier: Apache-2.0
 * A sheet that shows what augmentations make of pictures. */
#ifndef HR_TRAIN_PREVIEW_H
#define HR_TRAIN_PREVIEW_H

#include "train/sample.h"

struct hr_preview_options {
    const char *const *paths; /* of pictures, which take turns; count >= 1 */
    size_t count;
    struct hr_sample_options sample;
    size_t rows, columns; /* of samples; each row begins with the plain picture */
    uint64_t seed;
    const char *vary; /* "m=1,5,9": a row for each value of that number, in place of `rows`; the
                         same draws in every row.  Or NULL */
};

/* out is initialised by the call.  A row is a batch where the chain mixes batches; captions tell
 * the draw, or the shares of a mixed picture. */
enum hr_status hr_preview(struct hr_image *out,
                          const struct hr_preview_options *options) HR_WARN_UNUSED;

#endif
