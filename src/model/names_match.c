/* SPDX-License-Identifier: Apache-2.0
 * Which network a file of tensors is, and the one verdict on whether it fits: every parameter of
 * the network is looked for under its scheme's name, every tensor left over is accounted for. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "graph/graph.h"
#include "model/names.h"

#define PROBE_SIZE 32 /* px; parameters do not depend on the picture's size */

/* ---- Recognising ---- */

static const struct hr_tensor *find_named(const struct hr_store *store, const char *prefix,
                                          enum hr_scheme scheme, const char *canonical)
{
    char name[HR_NAME_BYTES], full[HR_NAME_BYTES + 64];
    if (hr_name_of(name, scheme, canonical) != HR_OK || !name[0])
        return NULL;
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return hr_store_find(store, full);
}

/* Does the network start under this prefix?  The stem and the first bottleneck tell it from other
 * networks that also have a conv1. */
static bool starts_at(const struct hr_store *store, const char *prefix, enum hr_scheme scheme)
{
    static const char *const must[] = { "conv_layer1_1.conv.weight", "conv_layer1_2.conv.weight",
                                        "layer1.0.conv1.conv.weight", "conv_tr1_1.conv.weight" };
    for (size_t i = 0; i < HR_COUNT(must); i++)
        if (!find_named(store, prefix, scheme, must[i]))
            return false;
    return true;
}

/* Finds scheme and prefix by the name of the stem's weights.  A student is preferred to what else a
 * distillation checkpoint holds. */
static bool find_start(struct hr_recognised *out, const struct hr_store *store)
{
    char stems[HR_SCHEME_TIMM][HR_NAME_BYTES]; /* timm's names are Microsoft's */
    bool found = false;
    for (int s = 0; s < HR_SCHEME_TIMM; s++)
        if (hr_name_of(stems[s], (enum hr_scheme)s, "conv_layer1_1.conv.weight") != HR_OK)
            return false;
    for (size_t i = 0; i < hr_store_count(store); i++) {
        const char *name = hr_store_name(store, i);
        for (int s = 0; s < HR_SCHEME_TIMM; s++) {
            char prefix[sizeof out->prefix];
            if (!hr_text_ends(name, stems[s]) || strlen(name) - strlen(stems[s]) >= sizeof prefix)
                continue;
            snprintf(prefix, sizeof prefix, "%.*s", (int)(strlen(name) - strlen(stems[s])), name);
            if (!starts_at(store, prefix, (enum hr_scheme)s) ||
                (found && !hr_text_starts(prefix, "Student.")))
                continue;
            out->scheme = (enum hr_scheme)s;
            memcpy(out->prefix, prefix, sizeof prefix);
            found = true;
        }
    }
    return found;
}

/* The traits by which zoo rows differ, read off the tensors. */
static int count_layers(const struct hr_store *store, const struct hr_recognised *is,
                        const char *format)
{
    int count = 0;
    char name[HR_NAME_BYTES];
    for (; count < 64; count++) {
        snprintf(name, sizeof name, "%s%d%s", format, count,
                 hr_text_starts(format, "layer1") ? ".conv1.conv.weight"
                                                  : ".basic_block_list.0.0.conv1.conv.weight");
        if (!find_named(store, is->prefix, is->scheme, name))
            break;
    }
    return count;
}

static bool row_fits(const struct hr_zoo_row *row, const struct hr_store *store,
                     const struct hr_recognised *is)
{
    const struct hr_tensor *width =
        find_named(store, is->prefix, is->scheme, "conv_tr1_1.conv.weight");
    const struct hr_tensor *planes =
        find_named(store, is->prefix, is->scheme, "layer1.0.conv1.conv.weight");
    const bool squeeze =
        find_named(store, is->prefix, is->scheme, "layer1.0.se.fc_squeeze.weight") != NULL;
    return width->shape.dim[0] == row->width[0] && planes->shape.dim[0] == row->layer1_planes &&
           squeeze == row->squeeze && count_layers(store, is, "layer1.") == row->layer1_blocks &&
           count_layers(store, is, "st3.stage_func_list.") == row->modules[1] &&
           count_layers(store, is, "st4.stage_func_list.") == row->modules[2];
}

static int classes_of(const struct hr_store *store, const struct hr_recognised *is)
{
    const struct hr_tensor *head = find_named(store, is->prefix, is->scheme, "fc.weight");
    if (!head || head->shape.rank != 2)
        return 0;
    const int64_t classes = head->shape.dim[hr_scheme_is_torch(is->scheme) ? 0 : 1];
    return classes >= 1 && classes <= INT32_MAX ? (int)classes : 0;
}

enum hr_status hr_names_recognise(struct hr_recognised *out, const struct hr_store *store)
{
    struct hr_recognised is = { 0 };
    if (!find_start(&is, store))
        return hr_fail(HR_E_MISMATCH,
                       "the %zu tensors are no HRNet's: none is named like its stem "
                       "(conv_layer1_1.conv.weight in Paddle, conv1.weight in PyTorch); the first "
                       "is '%.80s'",
                       hr_store_count(store),
                       hr_store_count(store) ? hr_store_name(store, 0) : "missing");
    for (size_t i = 0; i < hr_zoo_count() && !is.row; i++)
        if (row_fits(hr_zoo_row(i), store, &is))
            is.row = hr_zoo_row(i);
    if (!is.row)
        return hr_fail(
            HR_E_MISMATCH,
            "the tensors are an HRNet's, but of no known one: branch 0 has %d channels, "
            "layer1 %d blocks; `hrnet models` lists the known",
            (int)find_named(store, is.prefix, is.scheme, "conv_tr1_1.conv.weight")->shape.dim[0],
            count_layers(store, &is, "layer1."));
    const char *made_by = hr_store_meta(store, "format");
    if (is.scheme == HR_SCHEME_MICROSOFT && made_by && strcmp(made_by, "pt") == 0)
        is.scheme = HR_SCHEME_TIMM;
    is.classes = classes_of(store, &is);
    *out = is;
    return HR_OK;
}

/* ---- Matching ---- */

struct matching {
    const struct hr_store *file;
    struct hr_store *out;
    struct hr_match *match;
    size_t used;           /* tensors of the file that went into the network */
    char first_wrong[400]; /* the first parameter that does not fit, in words */
};

static bool is_linear_weight(const struct hr_graph_param *param)
{
    return param->shape.rank == 2;
}

static void swap_sides(struct hr_tensor *t)
{
    const int64_t dim = t->shape.dim[0], stride = t->stride[0];
    t->shape.dim[0] = t->shape.dim[1];
    t->stride[0] = t->stride[1];
    t->shape.dim[1] = dim;
    t->stride[1] = stride;
}

/* HR_OK if all are finite.  For floats by their exponents, which vectorises. */
static enum hr_status check_finite(const struct hr_tensor *t, size_t elements, const char *name)
{
    bool finite = true;
    if (t->dtype == HR_DTYPE_F32 && hr_tensor_contiguous(t)) {
        const uint8_t *bytes = t->data;
        uint32_t bad = 0;
        for (size_t i = 0; i < elements; i++) {
            uint32_t bits;
            memcpy(&bits, bytes + 4 * i, sizeof bits);
            bad |= (bits & 0x7f800000u) == 0x7f800000u;
        }
        finite = !bad;
    } else {
        float *values = hr_mem_alloc_raw(elements, sizeof *values);
        if (!values)
            return HR_E_MEMORY;
        hr_tensor_to_f32(values, t);
        for (size_t i = 0; i < elements && finite; i++)
            finite = isfinite(values[i]);
        hr_mem_free(values);
    }
    return finite ? HR_OK
                  : hr_fail(HR_E_MISMATCH,
                            "tensor %s holds NaN or infinity: the file is damaged or the "
                            "training diverged",
                            name);
}

static void note_wrong(struct matching *m, const char *format, const char *name,
                       const struct hr_shape *is, const struct hr_shape *want)
{
    if (!m->first_wrong[0])
        snprintf(m->first_wrong, sizeof m->first_wrong, format, name, is ? hr_shape_str(is).s : "",
                 hr_shape_str(want).s);
}

/* mean - bias of the convolution before the norm, in store-owned memory (paddleclas.md 1.3). */
static enum hr_status fold_head_bias(struct matching *m, const char *canonical,
                                     const struct hr_tensor *mean, const char *bias_name,
                                     bool *folded)
{
    char full[HR_NAME_BYTES + 64];
    float *sum, *bias;
    size_t elements;
    snprintf(full, sizeof full, "%s%s", m->match->is.prefix, bias_name);
    const struct hr_tensor *b = bias_name[0] ? hr_store_find(m->file, full) : NULL;
    *folded = b != NULL;
    if (!b)
        return HR_OK;
    m->used++;
    if (!hr_shape_equal(&b->shape, &mean->shape))
        return hr_fail(HR_E_MISMATCH, "tensor %s is %s, wanted %s", full, hr_shape_str(&b->shape).s,
                       hr_shape_str(&mean->shape).s);
    HR_TRY(hr_shape_elements(&mean->shape, &elements));
    HR_TRY(check_finite(b, elements, full));
    HR_TRY(hr_store_add_owned(m->out, canonical, HR_DTYPE_F32, &mean->shape, (void **)&sum));
    if (!(bias = hr_mem_alloc(elements, sizeof *bias)))
        return HR_E_MEMORY;
    hr_tensor_to_f32(sum, mean);
    hr_tensor_to_f32(bias, b);
    for (size_t i = 0; i < elements; i++)
        sum[i] -= bias[i];
    hr_mem_free(bias);
    return HR_OK;
}

static enum hr_status add_fresh_head(struct matching *m, const struct hr_graph_param *param)
{
    void *zeros;
    return hr_store_add_owned(m->out, param->name, HR_DTYPE_F32, &param->shape, &zeros);
}

static bool is_head(const struct hr_graph_param *param)
{
    return hr_text_starts(param->name, "fc.");
}

/* Adds one parameter, or counts it as missing or mismatched. */
static enum hr_status match_param(struct matching *m, const struct hr_graph_param *param)
{
    const struct hr_recognised *is = &m->match->is;
    const struct hr_tensor *found = find_named(m->file, is->prefix, is->scheme, param->name);
    char bias_name[HR_NAME_BYTES];
    size_t elements;
    bool folded;
    m->used += found != NULL;
    if (is_head(param) && m->match->head_replaced)
        return add_fresh_head(m, param);
    if (!found) {
        m->match->missing++;
        note_wrong(m, "%s is missing%s (wanted %s)", param->name, NULL, &param->shape);
        return HR_OK;
    }
    struct hr_tensor t = *found;
    if (is_linear_weight(param) && hr_scheme_is_torch(is->scheme) && t.shape.rank == 2)
        swap_sides(&t);
    if (!hr_shape_equal(&t.shape, &param->shape)) {
        m->match->mismatched++;
        note_wrong(m, "%s is %s, wanted %s", param->name, &t.shape, &param->shape);
        return HR_OK;
    }
    if (t.dtype != HR_DTYPE_F32 && t.dtype != HR_DTYPE_F16 && t.dtype != HR_DTYPE_BF16 &&
        t.dtype != HR_DTYPE_F64)
        return hr_fail(HR_E_UNSUPPORTED, "tensor %s is of type %s: floating point is wanted",
                       param->name, hr_dtype_name(t.dtype));
    HR_TRY(hr_shape_elements(&t.shape, &elements));
    HR_TRY(check_finite(&t, elements, param->name));
    HR_TRY(hr_name_of_head_bias(bias_name, is->scheme, param->name));
    HR_TRY(fold_head_bias(m, param->name, &t, bias_name, &folded));
    return folded ? HR_OK : hr_store_add(m->out, param->name, &t);
}

/* Tensors that the network did not use: those that look like its own are wrong. */
static void count_extra(struct matching *m, const struct hr_zoo_row *row)
{
    const struct hr_recognised *is = &m->match->is;
    const size_t skip = strlen(is->prefix);
    for (size_t i = 0; i < hr_store_count(m->file); i++) {
        const char *name = hr_store_name(m->file, i);
        if (!hr_text_starts(name, is->prefix) || hr_text_ends(name, "num_batches_tracked") ||
            !hr_scheme_owns(is->scheme, name + skip))
            m->match->ignored++;
    }
    const size_t own = hr_store_count(m->file) - m->match->ignored;
    m->match->extra = own > m->used ? own - m->used : 0;
    if (m->match->extra && !m->first_wrong[0])
        snprintf(m->first_wrong, sizeof m->first_wrong,
                 "the file has tensors that %s does not have", row->name);
}

static void say(struct hr_match *match, const char *format, ...) HR_PRINTF(2, 3);

static void say(struct hr_match *match, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(match->verdict, sizeof match->verdict, format, args);
    va_end(args);
}

static enum hr_status give_verdict(struct matching *m, const struct hr_zoo_row *want,
                                   size_t param_count)
{
    struct hr_match *match = m->match;
    const char *prefix = match->is.prefix[0] ? ", prefix " : "";
    if (match->missing || match->mismatched || match->extra) {
        const bool other = want != match->is.row;
        say(match, "failed: %s%s%s%s%s%s; %zu missing, %zu of another shape, %zu extra; %s%s",
            other ? "the file holds " : "", other ? match->is.row->name : "", other ? ", but " : "",
            other ? want->name : "", other ? " was asked for: " : "", m->first_wrong,
            match->missing, match->mismatched, match->extra,
            other ? "use -m " : "the file is incomplete or altered: fetch or export it again",
            other ? match->is.row->name : "");
        return hr_fail(HR_E_MISMATCH, "%s", match->verdict);
    }
    if (match->head_replaced)
        say(match,
            "body complete, head replaced (%d -> %d classes) as asked: %zu tensors of %s matched "
            "(%s names%s%s); the new head must be trained",
            match->is.classes, match->classes, param_count - 2, want->name,
            hr_scheme_name(match->is.scheme), prefix, match->is.prefix);
    else
        say(match, "complete: all %zu tensors of %s with %d classes matched (%s names%s%s)",
            param_count, want->name, match->classes, hr_scheme_name(match->is.scheme), prefix,
            match->is.prefix);
    return HR_OK;
}

/* The head's class count against what was asked for. */
static enum hr_status settle_classes(struct hr_match *match, int classes, bool replace_head)
{
    if (replace_head && classes < 1) {
        say(match, "failed: a fresh head was asked for without its number of classes: name it");
        return hr_fail(HR_E_ARGUMENT, "%s", match->verdict);
    }
    match->classes = classes ? classes : match->is.classes;
    match->head_replaced = replace_head && classes != match->is.classes;
    if (match->classes < 1) {
        say(match, "failed: the file has no classifier (fc.weight): ask for a fresh head with "
                   "--replace-head N and train it");
        return hr_fail(HR_E_MISMATCH, "%s", match->verdict);
    }
    if (match->classes != match->is.classes && !match->head_replaced) {
        say(match,
            "failed: fc.weight is [2048,%d], but %d classes were asked for ([2048,%d]); leave "
            "--classes out to use the file's %d, or use --replace-head %d to train a new head",
            match->is.classes, classes, classes, match->is.classes, classes);
        return hr_fail(HR_E_MISMATCH, "%s", match->verdict);
    }
    return HR_OK;
}

static enum hr_status match_all(struct matching *m, const struct hr_zoo_row *want)
{
    const struct hr_hrnet_options options = { 1, PROBE_SIZE, PROBE_SIZE, m->match->classes,
                                              HR_FUSE_PADDLE };
    struct hr_graph *graph = NULL;
    HR_TRY(hr_hrnet_build(&graph, want, &options));
    enum hr_status status = HR_OK;
    for (size_t i = 0; i < graph->param_count && status == HR_OK; i++)
        status = match_param(m, &graph->params[i]);
    if (status == HR_OK) {
        count_extra(m, want);
        status = give_verdict(m, want, graph->param_count);
    } else {
        say(m->match, "failed: %s", hr_last_message());
    }
    hr_graph_destroy(graph);
    return status;
}

enum hr_status hr_names_match(struct hr_store **out, struct hr_match *match,
                              const struct hr_store *file, const struct hr_zoo_row *expect,
                              int classes, bool replace_head)
{
    struct matching m = { .file = file, .match = match };
    *match = (struct hr_match){ 0 };
    enum hr_status status = hr_names_recognise(&match->is, file);
    if (status != HR_OK) {
        say(match, "failed: %s", hr_last_message());
        return status;
    }
    HR_TRY(settle_classes(match, classes, replace_head));
    HR_TRY(hr_store_create(&m.out));
    status = match_all(&m, expect ? expect : match->is.row);
    if (status == HR_OK)
        *out = m.out;
    else
        hr_store_destroy(m.out);
    return status;
}

/* ---- The way back ---- */

static enum hr_status export_counter(struct hr_store *out, const char *variance_name)
{
    static const struct hr_shape scalar = { 0 };
    char name[HR_NAME_BYTES];
    void *zero;
    const size_t layer = strlen(variance_name) - strlen("running_var");
    snprintf(name, sizeof name, "%.*snum_batches_tracked", (int)layer, variance_name);
    return hr_store_add_owned(out, name, HR_DTYPE_I64, &scalar, &zero);
}

static enum hr_status export_tensor(struct hr_store *out, const char *canonical,
                                    const struct hr_tensor *tensor, enum hr_scheme scheme)
{
    char name[HR_NAME_BYTES], bias[HR_NAME_BYTES];
    struct hr_tensor t = *tensor;
    void *zeros;
    HR_TRY(hr_name_of(name, scheme, canonical));
    if (!name[0])
        return hr_fail(HR_E_UNSUPPORTED,
                       "the %s scheme has no name for %s: squeeze-and-excitation models exist in "
                       "Paddle's schemes only",
                       hr_scheme_name(scheme), canonical);
    if (t.shape.rank == 2 && hr_scheme_is_torch(scheme))
        swap_sides(&t);
    HR_TRY(hr_store_add(out, name, &t));
    if (!hr_scheme_is_torch(scheme))
        return HR_OK;
    HR_TRY(hr_name_of_head_bias(bias, scheme, canonical));
    if (bias[0])
        HR_TRY(hr_store_add_owned(out, bias, HR_DTYPE_F32, &t.shape, &zeros));
    return hr_text_ends(name, "running_var") ? export_counter(out, name) : HR_OK;
}

enum hr_status hr_names_export(struct hr_store **out, const struct hr_store *canonical,
                               enum hr_scheme scheme)
{
    struct hr_store *store = NULL;
    HR_TRY(hr_store_create(&store));
    enum hr_status status = HR_OK;
    for (size_t i = 0; i < hr_store_count(canonical) && status == HR_OK; i++)
        status = export_tensor(store, hr_store_name(canonical, i), hr_store_tensor(canonical, i),
                               scheme);
    if (status == HR_OK && scheme == HR_SCHEME_TIMM)
        status = hr_store_set_meta(store, "format", "pt");
    if (status == HR_OK)
        *out = store;
    else
        hr_store_destroy(store);
    return status;
}
