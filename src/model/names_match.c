/* SPDX-License-Identifier: Apache-2.0
 * The one verdict on whether a file fits a network: every parameter is looked for under its
 * scheme's name, every value looked at, every tensor left over accounted for.  The first fault is
 * kept in words; the rest are counted. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "graph/graph.h"
#include "model/flaws.h"
#include "model/names.h"

#define PROBE_SIZE 32 /* px; parameters do not depend on the picture's size */

struct matching {
    const struct hr_store *file;
    struct hr_store *out;
    struct hr_match *match;
    bool *used;     /* [tensors of the file]: went into the network */
    uint8_t *flaws; /* [tensors of the file]: of their values, enum hr_flaw */
    bool head_biases;
    size_t param_count;
    char first_wrong[512];                                       /* in words; "" while nothing is */
    const char *first_extra, *first_ignored[HR_NAME_KIND_COUNT]; /* names in the file, or NULL */
};

static void fault(struct matching *m, size_t *count, const char *format, ...) HR_PRINTF(3, 4);

static void fault(struct matching *m, size_t *count, const char *format, ...)
{
    va_list args;
    ++*count;
    if (m->first_wrong[0])
        return;
    va_start(args, format);
    (void)vsnprintf(m->first_wrong, sizeof m->first_wrong, format, args);
    va_end(args);
}

/* ---- Values ---- */

/* Counts a tensor of the file as unusable if its values are; true if so. */
static bool note_flaw(struct matching *m, size_t index, const char *full, bool variance)
{
    const unsigned flaws = m->flaws[index];
    const char *flaw = NULL;
    if (flaws & HR_FLAW_NOT_FINITE)
        flaw = "holds NaN or infinity: the file is damaged or the training diverged";
    else if (variance && (flaws & HR_FLAW_NEGATIVE))
        flaw = "holds a negative variance: the file is damaged";
    if (flaws & HR_FLAW_TYPE)
        fault(m, &m->match->unusable, "%s is of type %s: floating point is wanted", full,
              hr_dtype_name(hr_store_tensor(m->file, index)->dtype));
    else if (flaw)
        fault(m, &m->match->unusable, "%s %s", full, flaw);
    return flaw || (flaws & HR_FLAW_TYPE);
}

/* Looks at all values that may be weights; `used` says which, until matching starts it afresh. */
static enum hr_status look_at_values(struct matching *m, unsigned threads)
{
    const size_t count = hr_store_count(m->file);
    if (!(m->flaws = hr_mem_alloc(count, sizeof *m->flaws)))
        return HR_E_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const enum hr_name_kind kind = hr_names_kind(&m->match->is, hr_store_name(m->file, i));
        m->used[i] = kind != HR_NAME_OPTIMIZER && kind != HR_NAME_COUNTER;
    }
    return hr_flaws_find(m->flaws, m->file, m->used, threads);
}

/* ---- Parameters ---- */

static bool is_head(const struct hr_graph_param *param)
{
    return hr_text_starts(param->name, "fc.");
}

static struct hr_shape_text stored_shape(const struct matching *m, const struct hr_shape *canonical)
{
    const struct hr_shape stored = hr_names_turned(canonical, &m->match->is);
    return hr_shape_str(&stored);
}

/* out = mean - bias of the convolution before the norm (paddleclas.md 1.3). */
static enum hr_status subtract_bias(struct matching *m, const char *canonical,
                                    const struct hr_tensor *mean, const struct hr_tensor *bias)
{
    void *data;
    size_t elements;
    HR_TRY(hr_shape_elements(&mean->shape, &elements));
    HR_TRY(hr_store_add_owned(m->out, canonical, HR_DTYPE_F32, &mean->shape, &data));
    float *difference = data, *values = hr_mem_alloc(elements, sizeof *values);
    if (!values)
        return HR_E_MEMORY;
    hr_tensor_to_f32(difference, mean);
    hr_tensor_to_f32(values, bias);
    for (size_t i = 0; i < elements; i++)
        difference[i] -= values[i];
    hr_mem_free(values);
    return HR_OK;
}

/* The mean behind a convolution that has a bias in this file. */
static enum hr_status fold_bias(struct matching *m, const char *canonical, const char *bias_name,
                                const struct hr_tensor *mean)
{
    char full[HR_FULL_NAME_BYTES];
    size_t index;
    snprintf(full, sizeof full, "%s%s", m->match->is.prefix, bias_name);
    if (!hr_store_index(m->file, full, &index)) {
        fault(m, &m->match->missing, "%s is missing (wanted %s, as other biases are there)", full,
              hr_shape_str(&mean->shape).s);
        return HR_OK;
    }
    const struct hr_tensor *bias = hr_store_tensor(m->file, index);
    if (!hr_shape_equal(&bias->shape, &mean->shape)) {
        fault(m, &m->match->mismatched, "%s is %s, wanted %s", full, hr_shape_str(&bias->shape).s,
              hr_shape_str(&mean->shape).s);
        return HR_OK;
    }
    return note_flaw(m, index, full, false) ? HR_OK : subtract_bias(m, canonical, mean, bias);
}

/* A parameter of the right shape. */
static enum hr_status take_param(struct matching *m, const char *canonical, const char *full,
                                 size_t index)
{
    char bias[HR_NAME_BYTES];
    struct hr_tensor t = *hr_store_tensor(m->file, index);
    if (note_flaw(m, index, full, hr_text_ends(canonical, "._variance")))
        return HR_OK;
    if (t.shape.rank == 2 && hr_scheme_is_torch(m->match->is.scheme))
        hr_tensor_transpose(&t);
    HR_TRY(hr_name_of_head_bias(bias, m->match->is.scheme, canonical));
    if (bias[0] && m->head_biases)
        return fold_bias(m, canonical, bias, &t);
    return hr_store_add(m->out, canonical, &t);
}

static enum hr_status add_fresh_head(struct matching *m, const struct hr_graph_param *param)
{
    void *zeros;
    return hr_store_add_owned(m->out, param->name, HR_DTYPE_F32, &param->shape, &zeros);
}

/* Weight and bias of the classifier may disagree on the classes: neither is called right. */
static void note_wrong_head(struct matching *m, const char *full, const struct hr_shape *stored)
{
    char weight[HR_FULL_NAME_BYTES];
    size_t index;
    if (hr_names_locate(weight, &index, m->file, &m->match->is, "fc.weight"))
        fault(m, &m->match->mismatched, "%s is %s, but %s is %s: they disagree on the classes",
              full, hr_shape_str(stored).s, weight,
              hr_shape_str(&hr_store_tensor(m->file, index)->shape).s);
}

/* Adds one parameter to m->out, or counts its fault. */
static enum hr_status match_param(struct matching *m, const struct hr_graph_param *param)
{
    char full[HR_FULL_NAME_BYTES];
    size_t index;
    const bool found = hr_names_locate(full, &index, m->file, &m->match->is, param->name);
    if (found)
        m->used[index] = true;
    if (is_head(param) && m->match->head_replaced)
        return add_fresh_head(m, param);
    if (!found) {
        fault(m, &m->match->missing, "%s is missing (wanted %s)", full,
              stored_shape(m, &param->shape).s);
        return HR_OK;
    }
    const struct hr_tensor *t = hr_store_tensor(m->file, index);
    const struct hr_shape want = hr_names_turned(&param->shape, &m->match->is);
    if (hr_shape_equal(&t->shape, &want))
        return take_param(m, param->name, full, index);
    if (strcmp(param->name, "fc.bias") == 0 && t->shape.rank == 1)
        note_wrong_head(m, full, &t->shape);
    else
        fault(m, &m->match->mismatched, "%s is %s, wanted %s", full, hr_shape_str(&t->shape).s,
              hr_shape_str(&want).s);
    return HR_OK;
}

/* Does the file have any bias of the four convolutions that have one in PyTorch?  They are used,
 * whatever becomes of the means that they belong to. */
static bool use_head_biases(struct matching *m, const struct hr_graph *graph)
{
    const struct hr_recognised *is = &m->match->is;
    char bias[HR_NAME_BYTES], full[HR_FULL_NAME_BYTES];
    bool any = false;
    for (size_t i = 0; i < graph->param_count; i++) {
        size_t index;
        if (hr_name_of_head_bias(bias, is->scheme, graph->params[i].name) != HR_OK || !bias[0])
            continue;
        snprintf(full, sizeof full, "%s%s", is->prefix, bias);
        if (hr_store_index(m->file, full, &index))
            any = m->used[index] = true;
    }
    return any;
}

/* Tensors that the network did not use: its own by name are faults, others are ignored. */
static void count_rest(struct matching *m, const struct hr_zoo_row *row)
{
    for (size_t i = 0; i < hr_store_count(m->file); i++) {
        const char *name = hr_store_name(m->file, i);
        const enum hr_name_kind kind = hr_names_kind(&m->match->is, name);
        if (m->used[i])
            continue;
        if (kind == HR_NAME_OWN) {
            fault(m, &m->match->extra, "%s is no tensor of %s", name, row->name);
            m->first_extra = m->first_extra ? m->first_extra : name;
        } else if (m->match->ignored[kind]++ == 0) {
            m->first_ignored[kind] = name;
        }
    }
}

/* Fills m->out and counts all faults against one network, from the start. */
static enum hr_status match_row(struct matching *m, const struct hr_zoo_row *row)
{
    const struct hr_hrnet_options options = { 1, PROBE_SIZE, PROBE_SIZE, m->match->classes,
                                              HR_FUSE_PADDLE };
    struct hr_graph *graph = NULL;
    const struct hr_match *match = m->match;
    hr_store_destroy(m->out);
    *m =
        (struct matching){ .file = m->file, .match = m->match, .used = m->used, .flaws = m->flaws };
    *m->match = (struct hr_match){ .is = match->is,
                                   .classes = match->classes,
                                   .head_replaced = match->head_replaced };
    memset(m->used, 0, hr_store_count(m->file) * sizeof *m->used);
    HR_TRY(hr_store_create(&m->out));
    HR_TRY(hr_hrnet_build(&graph, row, &options));
    enum hr_status status = HR_OK;
    m->param_count = graph->param_count;
    m->head_biases = use_head_biases(m, graph);
    for (size_t i = 0; i < graph->param_count && status == HR_OK; i++)
        status = match_param(m, &graph->params[i]);
    hr_graph_destroy(graph);
    if (status == HR_OK)
        count_rest(m, row);
    return status;
}

/* ---- Verdict ---- */

static void say(struct hr_match *match, const char *format, ...) HR_PRINTF(2, 3);

/* Appends to the verdict. */
static void say(struct hr_match *match, const char *format, ...)
{
    const size_t used = strlen(match->verdict);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(match->verdict + used, sizeof match->verdict - used, format, args);
    va_end(args);
}

static void say_ignored(struct matching *m)
{
    static const char *const kinds[HR_NAME_KIND_COUNT] = { [HR_NAME_COUNTER] = "batch counters",
                                                           [HR_NAME_OPTIMIZER] = "of an optimizer",
                                                           [HR_NAME_OTHER] = "others" };
    const char *before = "; ignored: ";
    for (int kind = HR_NAME_OWN + 1; kind < HR_NAME_KIND_COUNT; kind++) {
        if (!m->match->ignored[kind])
            continue;
        say(m->match, "%s%zu %s", before, m->match->ignored[kind], kinds[kind]);
        if (kind != HR_NAME_COUNTER)
            say(m->match, " (first %.120s)", m->first_ignored[kind]);
        before = ", ";
    }
}

static size_t faults_of(const struct hr_match *match)
{
    return match->missing + match->mismatched + match->extra;
}

static void say_failed(struct matching *m, const struct hr_zoo_row *want)
{
    struct hr_match *match = m->match;
    const char *is = match->is.row->name;
    const bool other = want != match->is.row, far = faults_of(match) * 2 > m->param_count;
    say(match, "failed: ");
    if (other)
        say(match, "the file holds %s, but %s was asked for: ", is, want->name);
    say(match, "%s; %zu missing, %zu of another shape, %zu unusable, %zu extra", m->first_wrong,
        match->missing, match->mismatched, match->unusable, match->extra);
    if (m->first_extra && faults_of(match) > match->extra)
        say(match, " (first %.120s)", m->first_extra);
    if (other)
        say(match, "; use -m %s", is);
    else if (far)
        say(match, "; no known network fits, %s is the nearest: `hrnet models` lists them", is);
    else
        say(match, "; the file is incomplete or altered: fetch or export it again");
}

static enum hr_status give_verdict(struct matching *m, const struct hr_zoo_row *want)
{
    struct hr_match *match = m->match;
    const size_t tensors = hr_store_count(m->out);
    if (faults_of(match) || match->unusable) {
        say_failed(m, want);
        return hr_fail(HR_E_MISMATCH, "%s", match->verdict);
    }
    if (match->head_replaced)
        say(match, "body complete, head replaced (%d -> %d classes) as asked: %zu tensors of %s",
            match->is.classes, match->classes, tensors - 2, want->name);
    else
        say(match, "complete: all %zu tensors of %s with %d classes", tensors, want->name,
            match->classes);
    say(match, " matched (%s names%s%s)", hr_scheme_name(match->is.scheme),
        match->is.prefix[0] ? ", prefix " : "", match->is.prefix);
    if (match->head_replaced)
        say(match, "; the new head must be trained");
    say_ignored(m);
    return HR_OK;
}

/* ---- Classes ---- */

/* The head's class count against what was asked for. */
static enum hr_status settle_classes(struct hr_match *match, const struct hr_store *file,
                                     int classes, bool replace_head)
{
    char weight[HR_FULL_NAME_BYTES];
    size_t index;
    const bool found = hr_names_locate(weight, &index, file, &match->is, "fc.weight");
    match->classes = classes ? classes : match->is.classes;
    match->head_replaced = replace_head;
    if (replace_head && classes < 1) {
        say(match, "failed: a fresh head was asked for without its number of classes: name it");
        return hr_fail(HR_E_ARGUMENT, "%s", match->verdict);
    }
    if (match->is.classes < 1 && !replace_head) {
        say(match,
            "failed: the file has no classifier (%s %s): ask for a fresh head with "
            "--replace-head N and train it",
            weight, found ? "is no matrix" : "is missing");
        return hr_fail(HR_E_MISMATCH, "%s", match->verdict);
    }
    if (match->classes == match->is.classes || match->head_replaced)
        return HR_OK;
    const struct hr_shape is = { 2, { 2048, match->is.classes } }, want = { 2, { 2048, classes } };
    const struct hr_shape is_stored = hr_names_turned(&is, &match->is);
    const struct hr_shape want_stored = hr_names_turned(&want, &match->is);
    say(match,
        "failed: %s is %s, but %d classes were asked for (%s); leave --classes out to use the "
        "file's %d, or use --replace-head %d to train a new head",
        weight, hr_shape_str(&is_stored).s, classes, hr_shape_str(&want_stored).s,
        match->is.classes, classes);
    return hr_fail(HR_E_MISMATCH, "%s", match->verdict);
}

/* What few traits suggest may be wrong in a damaged file: then all tensors decide. */
static enum hr_status match_nearest(struct matching *m, const struct hr_zoo_row *expect)
{
    const struct hr_zoo_row *nearest;
    HR_TRY(match_row(m, expect ? expect : m->match->is.row));
    if (faults_of(m->match) * HR_NAMES_DISTANCE <= m->param_count)
        return HR_OK;
    HR_TRY(hr_names_nearest(&nearest, m->file, &m->match->is));
    const bool again = !expect && nearest != m->match->is.row;
    m->match->is.row = nearest;
    return again ? match_row(m, nearest) : HR_OK;
}

enum hr_status hr_names_match(struct hr_store **out, struct hr_match *match,
                              const struct hr_store *file, const struct hr_zoo_row *expect,
                              int classes, bool replace_head, unsigned threads)
{
    struct matching m = { .file = file, .match = match };
    *match = (struct hr_match){ 0 };
    enum hr_status status = hr_names_recognise(&match->is, file);
    if (status != HR_OK) {
        say(match, "failed: %s", hr_last_message());
        return status;
    }
    HR_TRY(settle_classes(match, file, classes, replace_head));
    if (!(m.used = hr_mem_alloc(hr_store_count(file), sizeof *m.used)))
        return HR_E_MEMORY;
    status = look_at_values(&m, threads);
    if (status == HR_OK)
        status = match_nearest(&m, expect);
    if (status == HR_OK)
        status = give_verdict(&m, expect ? expect : match->is.row);
    else
        say(match, "failed: %s", hr_last_message());
    if (status == HR_OK) {
        *out = m.out;
        m.out = NULL;
    }
    hr_store_destroy(m.out);
    hr_mem_free(m.used);
    hr_mem_free(m.flaws);
    return status;
}
