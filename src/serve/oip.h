/* SPDX-License-Identifier: Apache-2.0
 * The Open Inference Protocol v2 without its transport: what tensors a model takes and gives, how
 * named tensors become a request, and how its answers become named tensors.  REST and gRPC are both
 * clothes of this.
 *
 * Letters: n rows of a batch, c = 3, h w px, k classes. */
#ifndef HR_SERVE_OIP_H
#define HR_SERVE_OIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "serve/service.h"

#define HR_OIP_INPUT        "x" /* FP32 [n,3,h,w]; or BYTES [n]: pictures; or UINT8 [n,h,w,3] */
#define HR_OIP_OUTPUT       "logits"        /* FP32 [n,k] */
#define HR_OIP_SCORES       "probabilities" /* asked for by name only */
#define HR_OIP_MOST_RANK    8
#define HR_OIP_MOST_OUTPUTS 8
#define HR_OIP_PLATFORM     "hrnet"

/* Names of the extensions, NULL-terminated. */
extern const char *const hr_oip_extensions[];

struct hr_oip_input {
    const char *name, *datatype;
    int64_t shape[HR_OIP_MOST_RANK];
    size_t rank;
    const uint8_t *data; /* little-endian, row-major; BYTES: u32 length and bytes each */
    size_t size;         /* bytes; must be what shape and datatype say */
};

struct hr_oip_wanted {
    const char *name;
    size_t classification; /* k, or 0 for the tensor itself */
    bool binary;           /* REST's; not looked at here */
};

struct hr_oip_output {
    const char *name, *datatype; /* "FP32" or "BYTES" */
    int64_t shape[2];
    uint8_t *data; /* as of an input; the infer's */
    size_t size;
    bool binary;
};

/* What is asked.  Everything is borrowed until hr_oip_answer() has returned. */
struct hr_oip_question {
    const char *model, *version; /* version: "" or NULL for the highest */
    const struct hr_oip_input *inputs;
    size_t input_count;
    const struct hr_oip_wanted *wanted;
    size_t wanted_count; /* 0: the declared output */
    bool binary;         /* then its .binary */
    uint64_t timeout_us; /* the client's wish, 0: none; the server's own limit counts, too */
};

/* One inference.  Zero-initialise; fini frees at any time when no request is running. */
struct hr_oip_infer {
    struct hr_request request;
    struct hr_served *served;
    float *logits; /* [n,k] */
    struct hr_oip_output outputs[HR_OIP_MOST_OUTPUTS];
    size_t output_count;
};

/* Finds the model and makes the request: checks names, datatypes, shapes and sizes.  Then run
 * infer->request (hr_batcher_run or _submit), then call hr_oip_answer(). */
enum hr_status hr_oip_begin(struct hr_oip_infer *infer, struct hr_service *service,
                            const struct hr_oip_question *question) HR_WARN_UNUSED;
/* After done: fills the outputs; or the failure of the first item that failed. */
enum hr_status hr_oip_answer(struct hr_oip_infer *infer,
                             const struct hr_oip_question *question) HR_WARN_UNUSED;
void hr_oip_fini(struct hr_oip_infer *infer);

#endif
