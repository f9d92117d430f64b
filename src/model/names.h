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

bool hr_scheme_is_torch(enum hr_scheme scheme); /* Linear weights are [out,in] */

#define HR_PREFIX_BYTES    64
#define HR_NAME_BYTES      256 /* of a parameter's name; the longest canonical one has 75 */
#define HR_FULL_NAME_BYTES (HR_PREFIX_BYTES + HR_NAME_BYTES)

/* The name that `scheme` gives to a canonical parameter; "" if the scheme has no such tensor. */
enum hr_status hr_name_of(char out[HR_NAME_BYTES], enum hr_scheme scheme,
                          const char *canonical) HR_WARN_UNUSED;
/* For a canonical mean whose convolution has a bias in this scheme: that bias's name; else "". */
enum hr_status hr_name_of_head_bias(char out[HR_NAME_BYTES], enum hr_scheme scheme,
                                    const char *canonical) HR_WARN_UNUSED;

/* What a file of weights is, from its tensors alone. */
struct hr_recognised {
    const struct hr_zoo_row *row;
    enum hr_scheme scheme;
    int classes;                  /* 0 when there is no classifier */
    char prefix[HR_PREFIX_BYTES]; /* wrapper that was stripped: "module.", "Student.", ... or "" */
};
/* A file that lacks tensors or has altered ones is still recognised, as the nearest network.
 * HR_E_MISMATCH when it is no HRNet, saying what was looked for and found. */
enum hr_status hr_names_recognise(struct hr_recognised *out,
                                  const struct hr_store *store) HR_WARN_UNUSED;
/* The row that the file's names and shapes, all counted, fit best; of `is` scheme and prefix are
 * used.  Slow (builds every network): for files that fit none. */
enum hr_status hr_names_nearest(const struct hr_zoo_row **out, const struct hr_store *store,
                                const struct hr_recognised *is) HR_WARN_UNUSED;

/* Two networks differ in far more than one in so many parameters. */
#define HR_NAMES_DISTANCE 10

/* What a tensor of a file is, by its name. */
enum hr_name_kind {
    HR_NAME_OWN,       /* of the network, or would be: one that it does not have is a fault */
    HR_NAME_COUNTER,   /* num_batches_tracked */
    HR_NAME_OPTIMIZER, /* velocities, moments, master copies */
    HR_NAME_OTHER,     /* of another wrapper, of a loss, of anything else */
    HR_NAME_KIND_COUNT
};
enum hr_name_kind hr_names_kind(const struct hr_recognised *is, const char *name);

/* Where a canonical parameter lies in a file, and its name there (canonical if the scheme has no
 * name for it); false if it is not there. */
bool hr_names_locate(char full[HR_FULL_NAME_BYTES], size_t *index, const struct hr_store *store,
                     const struct hr_recognised *is, const char *canonical);
/* A canonical shape as the scheme stores it, or back: linear weights of PyTorch are turned. */
struct hr_shape hr_names_turned(const struct hr_shape *shape, const struct hr_recognised *is);

/* How a file fitted a network. */
struct hr_match {
    struct hr_recognised is;
    size_t missing, extra, mismatched;
    size_t unusable; /* no floating point, NaN or infinity, a negative variance */
    size_t ignored[HR_NAME_KIND_COUNT];
    int classes;        /* of the result */
    bool head_replaced; /* the classifier is fresh (zeros), to be trained */
    char verdict[1024]; /* one sentence: complete, head replaced, or failed and why and the cure */
};

/* Maps a file's tensors to canonical names and shapes in a new store (views where possible; linear
 * weights of PyTorch become [in,out] by strides; head biases b are folded: mean' = mean - b).
 * `expect` NULL: whatever the file is; else HR_E_MISMATCH if it is another architecture.
 * classes 0: the file's; else they must agree unless replace_head, which makes a head of `classes`
 * outputs (zeros: uniform scores, to be trained).  `threads` look at the values (hr_flaws_find).
 * Fails with the verdict as message, which names the first wrong tensor as the file does, with both
 * shapes; *match is filled either way. */
enum hr_status hr_names_match(struct hr_store **out, struct hr_match *match,
                              const struct hr_store *file, const struct hr_zoo_row *expect,
                              int classes, bool replace_head, unsigned threads) HR_WARN_UNUSED;

/* The reverse: the canonical store's tensors under another scheme's names and shapes, in that
 * scheme's order; views, so that `canonical` must outlive it (PyTorch: num_batches_tracked 0, head
 * biases 0). */
enum hr_status hr_names_export(struct hr_store **out, const struct hr_store *canonical,
                               enum hr_scheme scheme) HR_WARN_UNUSED;

#endif
