/* SPDX-License-Identifier: Apache-2.0
 * Which kernel was measured to be the fastest for a shape, and the file that remembers it.  The
 * file is only ever a hint: what is missing, damaged or of another machine counts as empty. */
#ifndef HR_PLAN_TUNING_H
#define HR_PLAN_TUNING_H

#include <stdint.h>

#include "base/status.h"
#include "base/text.h"
#include "kernel/conv.h"

/* Batch and threads are no part of it: a picture has the same bits in any batch, on any thread. */
struct hr_tuning_row {
    int64_t shape[7]; /* kernel, stride, pad, c, k, h, w */
    char name[48];    /* of the kernel; its end is the instruction set: "conv_direct_avx2" */
};

/* Zero-initialised is empty. */
struct hr_tuning {
    struct hr_tuning_row *rows;
    size_t count, capacity;
};
void hr_tuning_fini(struct hr_tuning *tuning);

struct hr_tuning_row hr_tuning_row(const struct hr_conv_shape *shape, const char *name);
/* Takes the place of the row of the same shape and instruction set. */
enum hr_status hr_tuning_put(struct hr_tuning *tuning,
                             const struct hr_tuning_row *row) HR_WARN_UNUSED;
/* The kernel's name for a shape, of this instruction set, or NULL. */
const char *hr_tuning_find(const struct hr_tuning *tuning, const struct hr_conv_shape *shape,
                           const char *isa);

/* Reads the file at `path` into an empty *out.  No such file, a damaged one or one of another
 * `machine` (a line of text: CPU and build) leave it empty; damage is logged.  Fails only without
 * memory. */
enum hr_status hr_tuning_read(struct hr_tuning *out, const char *path,
                              const char *machine) HR_WARN_UNUSED;
/* Puts the rows of `news` over those of the file, which is replaced as a whole; programs that do so
 * at once wait for each other (PATH.lock). */
enum hr_status hr_tuning_add(const char *path, const char *machine,
                             const struct hr_tuning *news) HR_WARN_UNUSED;

#endif
