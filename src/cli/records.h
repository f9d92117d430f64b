/* SPDX-License-Identifier: Apache-2.0
 * One record a picture, in every output format of predict. */
#ifndef HR_CLI_RECORDS_H
#define HR_CLI_RECORDS_H

#include <stdio.h>

#include "cli/pipeline.h"
#include "hrnet/hrnet.h"

enum hr_record_format {
    HR_RECORD_TEXT,
    HR_RECORD_JSON,
    HR_RECORD_JSONL,
    HR_RECORD_CSV,
    HR_RECORD_TSV,
    HR_RECORD_PADDLECLAS,
};

struct hr_record_writer {
    enum hr_record_format format;
    FILE *out;
    const hrnet_model *model;
    size_t k;
    size_t written;
};

void hr_records_begin(struct hr_record_writer *w);
/* p: probabilities [classes] and index[top]: the classes to tell, best first (none for an error).
 * Of text and paddleclas formats, errors go to stderr instead. */
void hr_records_add(struct hr_record_writer *w, const struct hr_picture_slot *slot, const float *p,
                    const size_t *index, size_t top);
void hr_records_end(struct hr_record_writer *w);

#endif
