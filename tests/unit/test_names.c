/* SPDX-License-Identifier: Apache-2.0
 * The naming schemes are bijections for every model, and every model is recognised from its tensors
 * alone, under each scheme and under the usual wrappers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "graph/graph.h"
#include "hostile.h"
#include "model/names.h"

#define LARGEST ((size_t)1 << 23) /* elements of the largest parameter, rounded up */

static float *zeros;

/* The canonical tensors of a row, all views of one block of zeros. */
static struct hr_store *canonical(const struct hr_zoo_row *row, int classes)
{
    const struct hr_hrnet_options options = { 1, 32, 32, classes, HR_FUSE_PADDLE };
    struct hr_graph *graph = NULL;
    struct hr_store *store = NULL;
    assert_int_equal(hr_hrnet_build(&graph, row, &options), HR_OK);
    assert_int_equal(hr_store_create(&store), HR_OK);
    for (size_t i = 0; i < graph->param_count; i++) {
        struct hr_tensor t = { .dtype = HR_DTYPE_F32, .shape = graph->params[i].shape };
        size_t elements = 0;
        assert_int_equal(hr_shape_elements(&t.shape, &elements), HR_OK);
        assert_true(elements <= LARGEST);
        t.data = zeros;
        hr_tensor_set_contiguous(&t);
        assert_int_equal(hr_store_add(store, graph->params[i].name, &t), HR_OK);
    }
    hr_graph_destroy(graph);
    return store;
}

/* The same tensors under a prefix. */
static struct hr_store *prefixed(const struct hr_store *store, const char *prefix)
{
    struct hr_store *out = NULL;
    assert_int_equal(hr_store_create(&out), HR_OK);
    for (size_t i = 0; i < hr_store_count(store); i++) {
        char name[512];
        snprintf(name, sizeof name, "%s%s", prefix, hr_store_name(store, i));
        assert_int_equal(hr_store_add(out, name, hr_store_tensor(store, i)), HR_OK);
    }
    return out;
}

/* Matches a file and expects every canonical tensor back. */
static void check_back(const struct hr_store *file, const struct hr_store *want,
                       const struct hr_zoo_row *row, int classes, enum hr_scheme scheme,
                       const char *prefix)
{
    struct hr_store *back = NULL;
    struct hr_match match;
    if (hr_names_match(&back, &match, file, NULL, 0, false, 2) != HR_OK)
        fail_msg("%s, %s: %s", row->name, hr_scheme_name(scheme), match.verdict);
    assert_ptr_equal(match.is.row, row);
    assert_int_equal(match.is.scheme, scheme);
    assert_int_equal(match.classes, classes);
    assert_string_equal(match.is.prefix, prefix);
    assert_int_equal(match.missing + match.extra + match.mismatched, 0);
    assert_int_equal(hr_store_count(back), hr_store_count(want));
    for (size_t i = 0; i < hr_store_count(want); i++) {
        assert_string_equal(hr_store_name(back, i), hr_store_name(want, i));
        assert_true(
            hr_shape_equal(&hr_store_tensor(back, i)->shape, &hr_store_tensor(want, i)->shape));
    }
    hr_store_destroy(back);
}

/* The store refuses a name that occurs twice, so a scheme that exports is injective; that all come
 * back makes it a bijection. */
static void every_row_and_scheme(void **state)
{
    (void)state;
    for (size_t i = 0; i < hr_zoo_count(); i++) {
        const struct hr_zoo_row *row = hr_zoo_row(i);
        const int classes = (int)(3 + i);
        struct hr_store *want = canonical(row, classes);
        for (int s = 0; s < HR_SCHEME_COUNT; s++) {
            struct hr_store *file = NULL;
            const enum hr_status status = hr_names_export(&file, want, (enum hr_scheme)s);
            if (row->squeeze && s >= HR_SCHEME_MICROSOFT) {
                assert_int_equal(status, HR_E_UNSUPPORTED);
                assert_non_null(strstr(hr_last_message(), "squeeze"));
                continue;
            }
            assert_int_equal(status, HR_OK);
            check_back(file, want, row, classes, (enum hr_scheme)s, "");
            if (s == HR_SCHEME_MICROSOFT && row->width[0] == 18 && row->blocks == 4)
                assert_int_equal(hr_store_count(file), 1956);
            hr_store_destroy(file);
        }
        hr_store_destroy(want);
    }
}

static void wrappers_are_stripped(void **state)
{
    static const char *const prefixes[] = { "module.", "Student.", "base_model.", "backbone.",
                                            "model.module." };
    const struct hr_zoo_row *row;
    (void)state;
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    struct hr_store *want = canonical(row, 7), *file = NULL;
    assert_int_equal(hr_names_export(&file, want, HR_SCHEME_MICROSOFT), HR_OK);
    for (size_t i = 0; i < HR_COUNT(prefixes); i++) {
        struct hr_store *wrapped = prefixed(file, prefixes[i]);
        check_back(wrapped, want, row, 7, HR_SCHEME_MICROSOFT, prefixes[i]);
        hr_store_destroy(wrapped);
    }
    /* A distillation checkpoint: the student counts, the teacher is left alone. */
    struct hr_store *both = prefixed(file, "Teacher.");
    for (size_t i = 0; i < hr_store_count(file); i++) {
        char name[512];
        snprintf(name, sizeof name, "Student.%s", hr_store_name(file, i));
        assert_int_equal(hr_store_add(both, name, hr_store_tensor(file, i)), HR_OK);
    }
    check_back(both, want, row, 7, HR_SCHEME_MICROSOFT, "Student.");
    hr_store_destroy(both);
    hr_store_destroy(file);
    hr_store_destroy(want);
}

/* running_mean' = running_mean - bias of the convolution before it. */
static void head_biases_fold(void **state)
{
    const struct hr_zoo_row *row;
    struct hr_store *file = NULL, *back = NULL;
    struct hr_match match;
    (void)state;
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    struct hr_store *want = canonical(row, 2);
    assert_int_equal(hr_names_export(&file, want, HR_SCHEME_MICROSOFT), HR_OK);
    const struct hr_tensor *bias = hr_store_find(file, "final_layer.0.bias");
    assert_non_null(bias);
    float *values = (float *)(uintptr_t)bias->data; /* owned by the exported store */
    for (int i = 0; i < 2048; i++)
        values[i] = (float)i * 0.25f;
    assert_int_equal(hr_names_match(&back, &match, file, NULL, 0, false, 2), HR_OK);
    const float *mean = hr_store_find(back, "conv_last.bn._mean")->data;
    for (int i = 0; i < 2048; i++)
        assert_true(mean[i] == 0.0f - (float)i * 0.25f);
    hr_store_destroy(back);
    values[5] = INFINITY;
    assert_int_equal(hr_names_match(&back, &match, file, NULL, 0, false, 2), HR_E_MISMATCH);
    assert_non_null(strstr(match.verdict, "final_layer.0.bias"));
    hr_store_destroy(file);
    hr_store_destroy(want);
}

static void strangers_are_refused(void **state)
{
    struct hr_store *store = NULL, *back = NULL;
    struct hr_match match;
    const struct hr_tensor t = { .dtype = HR_DTYPE_F32, .shape = { 1, { 3 } }, .data = zeros };
    (void)state;
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_int_equal(hr_names_match(&back, &match, store, NULL, 0, false, 2), HR_E_MISMATCH);
    assert_int_equal(hr_store_add(store, "conv1.weight", &t), HR_OK);
    assert_int_equal(hr_names_match(&back, &match, store, NULL, 0, false, 2), HR_E_MISMATCH);
    assert_non_null(strstr(match.verdict, "conv1.weight"));
    hr_store_destroy(store);
}

/* `file` without tensor `skip`, or with one row more in it. */
static struct hr_store *damaged(const struct hr_store *file, size_t at, bool drop)
{
    struct hr_store *out = NULL;
    assert_int_equal(hr_store_create(&out), HR_OK);
    for (size_t i = 0; i < hr_store_count(file); i++) {
        struct hr_tensor t = *hr_store_tensor(file, i);
        if (i == at && drop)
            continue;
        if (i == at)
            t.shape.dim[0]++;
        assert_int_equal(hr_store_add(out, hr_store_name(file, i), &t), HR_OK);
    }
    return out;
}

static void expect_named(const struct hr_store *file, const struct hr_store *bad, size_t at,
                         bool drop)
{
    struct hr_store *back = NULL;
    struct hr_match match;
    const char *name = hr_store_name(file, at);
    const enum hr_status status = hr_names_match(&back, &match, bad, NULL, 0, false, 2);
    if (hr_text_ends(name, "num_batches_tracked")) {
        assert_int_equal(status, HR_OK);
        hr_store_destroy(back);
        return;
    }
    assert_int_equal(status, HR_E_MISMATCH);
    assert_non_null(strstr(match.verdict, name));
    if (match.missing != drop || match.mismatched != !drop)
        fail_msg("%s", match.verdict);
    assert_int_equal(match.mismatched, !drop);
    assert_int_equal(match.extra + match.unusable, 0);
    /* Of a head whose two tensors disagree on the classes, neither is called right. */
    if (!strstr(match.verdict, "they disagree"))
        assert_non_null(strstr(match.verdict, hr_shape_str(&hr_store_tensor(file, at)->shape).s));
}

static void check_fault(const struct hr_store *file, size_t at, bool drop)
{
    struct hr_store *bad = damaged(file, at, drop);
    expect_named(file, bad, at, drop);
    hr_store_destroy(bad);
}

/* No single tensor decides what a file is: whichever is lost or altered, it is named, with the
 * shape that it should have. */
static void every_fault_is_named(void **state)
{
    const struct hr_zoo_row *row;
    (void)state;
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    struct hr_store *want = canonical(row, 6), *file = NULL;
    for (int s = 0; s < HR_SCHEME_COUNT; s++) {
        assert_int_equal(hr_names_export(&file, want, (enum hr_scheme)s), HR_OK);
        for (size_t i = 0; i < hr_store_count(file); i++) {
            check_fault(file, i, true);
            if (hr_store_tensor(file, i)->shape.rank > 0)
                check_fault(file, i, false);
        }
        hr_store_destroy(file);
    }
    hr_store_destroy(want);
}

/* users.md C10 (c), A026, A036: a file of one network for another names both, with the first shapes
 * or tensors that differ and their count. */
static void another_network_is_named(void **state)
{
    static const struct {
        const char *is, *want, *words[4];
    } cases[] = {
        { "HRNet_W32_C",
          "HRNet_W48_C",
          { "the file holds HRNet_W32_C, but HRNet_W48_C was asked for", "conv_tr1_1.conv.weight",
            "[32,256,3,3], wanted [48,256,3,3]", "use -m HRNet_W32_C" } },
        { "HRNet_W64_C",
          "SE_HRNet_W64_C",
          { "layer1.0.se.fc_squeeze.weight is missing (wanted [256,16])", "448 missing",
            "0 of another shape", "0 extra; use -m HRNet_W64_C" } },
        { "SE_HRNet_W64_C",
          "HRNet_W64_C",
          { "layer1.0.se.fc_squeeze.weight is no tensor of HRNet_W64_C", "0 missing", "448 extra",
            "use -m SE_HRNet_W64_C" } },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        const struct hr_zoo_row *is, *expect;
        struct hr_store *back = NULL;
        struct hr_match match;
        assert_int_equal(hr_zoo_find(&is, cases[i].is), HR_OK);
        assert_int_equal(hr_zoo_find(&expect, cases[i].want), HR_OK);
        struct hr_store *file = canonical(is, 9);
        assert_int_equal(hr_names_match(&back, &match, file, expect, 0, false, 2), HR_E_MISMATCH);
        for (size_t k = 0; k < HR_COUNT(cases[i].words); k++)
            if (!strstr(match.verdict, cases[i].words[k]))
                fail_msg("'%s' lacks '%s'", match.verdict, cases[i].words[k]);
        hr_store_destroy(file);
    }
}

/* One scalar-valued tensor more. */
static void add_stranger(struct hr_store *store, const char *name)
{
    const struct hr_tensor t = { .dtype = HR_DTYPE_F32, .shape = { 1, { 1 } }, .data = zeros };
    assert_int_equal(hr_store_add(store, name, &t), HR_OK);
}

/* Optimizers' tensors, counters and other wrappers are no fault, and the verdict tells of them; a
 * tensor named like the network's own is one. */
static void the_rest_is_accounted_for(void **state)
{
    static const char *const optimizers[] = { "Student.fc.weight_velocity_0",
                                              "Student.conv_last.bn.bias_moment1_0",
                                              "Student.fc.bias_beta2_pow_acc_0",
                                              "Student.fc.weight_fp32_master_0",
                                              "Student.fc.weight.master_weight" };
    const struct hr_zoo_row *row;
    struct hr_store *back = NULL;
    struct hr_match match;
    (void)state;
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    struct hr_store *want = canonical(row, 7), *file = prefixed(want, "Student.");
    for (size_t i = 0; i < HR_COUNT(optimizers); i++)
        add_stranger(file, optimizers[i]);
    add_stranger(file, "Teacher.fc.bias");
    add_stranger(file, "loss.centers");
    check_back(file, want, row, 7, HR_SCHEME_PADDLE, "Student.");
    assert_int_equal(hr_names_match(&back, &match, file, NULL, 0, false, 2), HR_OK);
    hr_store_destroy(back);
    assert_int_equal(match.ignored[HR_NAME_OPTIMIZER], HR_COUNT(optimizers));
    assert_int_equal(match.ignored[HR_NAME_OTHER], 2);
    assert_non_null(strstr(match.verdict, "; ignored: 5 of an optimizer (first "
                                          "Student.fc.weight_velocity_0), 2 others (first "
                                          "Teacher.fc.bias)"));
    add_stranger(file, "Student.st3.stage_func_list.9.odd");
    assert_int_equal(hr_names_match(&back, &match, file, NULL, 0, false, 2), HR_E_MISMATCH);
    assert_int_equal(match.extra, 1);
    assert_non_null(strstr(match.verdict, "Student.st3.stage_func_list.9.odd is no tensor of"));
    hr_store_destroy(file);
    hr_store_destroy(want);
}

/* The same file with one tensor of other content. */
static void expect_unusable(const struct hr_store *file, const char *name, enum hr_dtype dtype,
                            const float *values, const char *why)
{
    struct hr_store *bad = NULL, *back = NULL;
    struct hr_match match;
    assert_int_equal(hr_store_create(&bad), HR_OK);
    for (size_t i = 0; i < hr_store_count(file); i++) {
        struct hr_tensor t = *hr_store_tensor(file, i);
        if (strcmp(hr_store_name(file, i), name) == 0) {
            t.dtype = dtype;
            t.data = values;
        }
        assert_int_equal(hr_store_add(bad, hr_store_name(file, i), &t), HR_OK);
    }
    assert_int_equal(hr_names_match(&back, &match, bad, NULL, 0, false, 2), HR_E_MISMATCH);
    assert_non_null(strstr(match.verdict, name));
    assert_non_null(strstr(match.verdict, why));
    assert_int_equal(match.unusable, 1);
    assert_int_equal(match.missing + match.mismatched + match.extra, 0);
    hr_store_destroy(bad);
}

static void unusable_values_are_counted_and_named(void **state)
{
    static float values[2048];
    const struct hr_zoo_row *row;
    struct hr_store *file = NULL;
    (void)state;
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    struct hr_store *want = canonical(row, 7);
    assert_int_equal(hr_names_export(&file, want, HR_SCHEME_MICROSOFT), HR_OK);
    values[2047] = -1e-3f;
    expect_unusable(want, "conv_last.bn._variance", HR_DTYPE_F32, values, "negative variance");
    expect_unusable(file, "final_layer.1.running_var", HR_DTYPE_F32, values, "negative variance");
    values[2047] = NAN;
    expect_unusable(want, "conv_last.bn._mean", HR_DTYPE_F32, values, "NaN or infinity");
    expect_unusable(want, "conv_last.bn._mean", HR_DTYPE_I32, values, "is of type I32");
    hr_store_destroy(file);
    hr_store_destroy(want);
}

static void a_fresh_head_needs_its_classes(void **state)
{
    const struct hr_zoo_row *row;
    struct hr_store *back = NULL;
    struct hr_match match;
    (void)state;
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    struct hr_store *want = canonical(row, 10);
    assert_int_equal(hr_names_match(&back, &match, want, NULL, 0, true, 1), HR_E_ARGUMENT);
    assert_int_equal(hr_names_match(&back, &match, want, NULL, 5, true, 1), HR_OK);
    assert_true(match.head_replaced);
    assert_int_equal(hr_store_find(back, "fc.weight")->shape.dim[1], 5);
    hr_store_destroy(back);
    hr_store_destroy(want);
}

/* Half precision is widened to be looked at: without memory for that the file is not damaged. */
static void scarce_memory_is_said_to_be_so(void **state)
{
    const struct hr_zoo_row *row;
    struct hr_store *half = NULL, *back = NULL;
    struct hr_match match;
    (void)state;
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    struct hr_store *want = canonical(row, 10);
    assert_int_equal(hr_store_create(&half), HR_OK);
    for (size_t i = 0; i < hr_store_count(want); i++) {
        struct hr_tensor t = *hr_store_tensor(want, i);
        t.dtype = HR_DTYPE_F16;
        assert_int_equal(hr_store_add(half, hr_store_name(want, i), &t), HR_OK);
    }
    enum hr_status status = HR_E_MEMORY;
    for (size_t n = 0; status != HR_OK && n < 100000; n += 1 + n / 64) {
        hostile_memory_limit(n);
        status = hr_names_match(&back, &match, half, NULL, 0, false, 2);
        if (status != HR_OK && status != HR_E_MEMORY)
            break;
    }
    hostile_memory_limit(SIZE_MAX);
    if (status == HR_OK)
        hr_store_destroy(back);
    (void)hostile_memory_restore();
    if (status != HR_OK)
        fail_msg("status %d: %s", (int)status, match.verdict);
    hr_store_destroy(half);
    hr_store_destroy(want);
}

static int setup(void **state)
{
    (void)state;
    zeros = hr_mem_alloc(LARGEST, sizeof *zeros);
    return zeros ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    hr_mem_free(zeros);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_row_and_scheme),
                                        cmocka_unit_test(wrappers_are_stripped),
                                        cmocka_unit_test(head_biases_fold),
                                        cmocka_unit_test(strangers_are_refused),
                                        cmocka_unit_test(every_fault_is_named),
                                        cmocka_unit_test(another_network_is_named),
                                        cmocka_unit_test(the_rest_is_accounted_for),
                                        cmocka_unit_test(unusable_values_are_counted_and_named),
                                        cmocka_unit_test(a_fresh_head_needs_its_classes),
                                        cmocka_unit_test(scarce_memory_is_said_to_be_so) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
