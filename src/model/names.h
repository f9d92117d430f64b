/* SPDX-License-Identifier: Apache-2.0
 * Parameter-name schemes as tables: Paddle 2.1+ (canonical), Paddle release-2.0, PyTorch
 * (Microsoft and timm, equal but for head biases), under any of the known wrapper prefixes. */
#ifndef HR_MODEL_NAMES_H
#define HR_MODEL_NAMES_H

#include "model/hrnet.h"
#include "tensor/store.h"

enum hr_scheme {
    HR_SCHEME_PADDLE,
    HR_SCHEME_PADDLE_2_0,
    HR_SCHEME_MICROSOFT,
    HR_SCHEME_TIMM,
    HR_SCHEME_COUNT
};
const char *
hr_scheme_name(enum hr_scheme scheme); /* "Paddle 2.1", "Paddle 2.0", "Microsoft", "timm" */

/* The name that `scheme` gives to a canonical parameter of `row` ("" in *out if the scheme has no
 * such tensor).  out[256]. */
enum hr_status hr_name_of(char out[256], enum hr_scheme scheme, const struct hr_zoo_row *row,
                          const char *canonical) HR_WARN_UNUSED;

/* What a file of weights is, from its tensors alone. */
struct hr_recognised {
    const struct hr_zoo_row *row;
    enum hr_scheme scheme;
    int classes;
    char prefix[64]; /* wrapper that was stripped: "module.", "Student.", ... or "" */
};
/* HR_E_MISMATCH when it is no HRNet, saying what was looked for and found. */
enum hr_status hr_names_recognise(struct hr_recognised *out,
                                  const struct hr_store *store) HR_WARN_UNUSED;

/* What happened to a head of another class count. */
struct hr_match {
    struct hr_recognised is;
    size_t missing, extra, mismatched;
    char verdict[512]; /* one sentence: complete, head replaced, or failed and why and the cure */
};

/* Maps a file's tensors to canonical names and shapes in a new store (views where possible; linear
 * weights of PyTorch become [in,out] by strides; head biases b are folded: mean' = mean - b).
 * `expect` NULL: whatever the file is; else HR_E_MISMATCH if it is another architecture.
 * classes 0: the file's; else they must agree unless replace_head, which makes a head of `classes`
 * outputs (zeros: uniform scores, to be trained).  NaN or infinity in a weight is HR_E_MISMATCH
 * naming the tensor.  Fails with the verdict as message; *match is filled either way. */
enum hr_status hr_names_match(struct hr_store **out, struct hr_match *match,
                              const struct hr_store *file, const struct hr_zoo_row *expect,
                              int classes, bool replace_head) HR_WARN_UNUSED;

/* The reverse: the canonical store's tensors under another scheme's names and shapes, in that
 * scheme's order (PyTorch: num_batches_tracked 0, head biases 0 for Microsoft). */
enum hr_status hr_names_export(struct hr_store **out, const struct hr_store *canonical,
                               const struct hr_zoo_row *row, int classes,
                               enum hr_scheme scheme) HR_WARN_UNUSED;

#endif
