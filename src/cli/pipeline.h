/* SPDX-License-Identifier: Apache-2.0
 * Pictures decoded ahead of the computing, in order: one thread fills a ring of batches. */
#ifndef HR_CLI_PIPELINE_H
#define HR_CLI_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/os.h"
#include "hrnet/hrnet.h"

/* One picture of a batch. */
struct hr_picture_slot {
    const char *name;
    bool decoded;
    char error[512]; /* why not */
    int exit_code;   /* of the error */
    struct hrnet_picture_report report;
    uint8_t *thumbnail; /* RGB, where the pipeline makes them; of the pipeline */
    int64_t thumbnail_width, thumbnail_height;
};

struct hr_batch {
    struct hr_picture_slot *slots; /* [count], in input order */
    float *x;                      /* [decoded_count,3,h,w]: the decoded ones, without gaps */
    size_t count, decoded_count;
};

struct hr_pipeline;
struct hr_pipeline_options {
    const struct hr_names *inputs;
    struct hrnet_recipe recipe;
    struct hrnet_decode_options decode;
    size_t batch;
    bool strict;   /* a truncated picture is an error, not a warning */
    int thumbnail; /* px: the side of the box that thumbnails fit into; 0: none are made */
};

hrnet_status hr_pipeline_create(struct hr_pipeline **out,
                                const struct hr_pipeline_options *options);
/* The next batch, or NULL at the end; valid until the next call. */
const struct hr_batch *hr_pipeline_next(struct hr_pipeline *pipeline);
/* Stops decoding; safe at any time.  NULL is allowed. */
void hr_pipeline_destroy(struct hr_pipeline *pipeline);

#endif
