/* SPDX-License-Identifier: Apache-2.0
 * Exports through the public API: what is written is opened again by the same API, wrong arguments
 * are refused, a failed export leaves the file that was there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hrnet/hrnet.h"

struct fixture {
    char folder[32], path[64];
    hrnet_model *model;
};

static int setup(void **state)
{
    static struct fixture f = { .folder = "/tmp/hrnet_export_XXXXXX" };
    struct hrnet_model_options options;
    hrnet_model_options_init(&options, sizeof options);
    options.classes = 3;
    if (!mkdtemp(f.folder) ||
        hrnet_model_synthetic(&f.model, "hrnet_w18_small", &options) != HRNET_OK)
        return -1;
    snprintf(f.path, sizeof f.path, "%s/x.onnx", f.folder);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hrnet_model_release(f->model);
    unlink(f->path);
    return rmdir(f->folder); /* no temporary file is left */
}

static struct hrnet_export_options defaults(void)
{
    struct hrnet_export_options options;
    hrnet_export_options_init(&options, sizeof options);
    return options;
}

static void a_model_comes_back(void **state)
{
    const struct fixture *f = *state;
    struct hrnet_export_report report = { 1 };
    struct hrnet_export_options options = defaults();
    struct hrnet_model_info info;
    hrnet_model *back = NULL;
    assert_int_equal(options.opset, 17);
    if (hrnet_model_export(f->model, f->path, NULL, &report) != HRNET_OK)
        fail_msg("%s", hrnet_last_error());
    assert_true(report.error == 0);
    options.half = 1;
    options.preprocess = 1;
    options.result = HRNET_RESULT_SOFTMAX;
    assert_int_equal(hrnet_model_export(f->model, f->path, &options, &report), HRNET_OK);
    assert_true(report.error > 0 && report.error < 1e-2);
    assert_int_equal(hrnet_model_open(&back, f->path, NULL), HRNET_OK);
    assert_int_equal(hrnet_model_describe(back, &info), HRNET_OK);
    assert_string_equal(info.architecture, "hrnet_w18_small");
    assert_string_equal(info.format, "ONNX");
    assert_string_equal(info.scheme, "graph");
    assert_int_equal(info.classes, 3);
    hrnet_model_release(back);
}

static void wrong_arguments_are_refused(void **state)
{
    const struct fixture *f = *state;
    struct hrnet_export_options options = defaults();
    assert_int_equal(hrnet_model_export(NULL, f->path, NULL, NULL), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_model_export(f->model, NULL, NULL, NULL), HRNET_E_ARGUMENT);
    options.result = (hrnet_result)3;
    assert_int_equal(hrnet_model_export(f->model, f->path, &options, NULL), HRNET_E_ARGUMENT);
    options = (struct hrnet_export_options){ 0 };
    assert_int_equal(hrnet_model_export(f->model, f->path, &options, NULL), HRNET_E_ARGUMENT);
}

static void a_failed_export_changes_nothing(void **state)
{
    const struct fixture *f = *state;
    struct hrnet_export_options options = defaults();
    char text[16] = { 0 };
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    fputs("mine", file);
    fclose(file);
    options.opset = 10;
    assert_int_equal(hrnet_model_export(f->model, f->path, &options, NULL), HRNET_E_ARGUMENT);
    assert_non_null(strstr(hrnet_last_error(), "opset 10 is not written: 11 to 21 are"));
    file = fopen(f->path, "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof text - 1, file), 4);
    fclose(file);
    assert_string_equal(text, "mine");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_model_comes_back),
                                        cmocka_unit_test(wrong_arguments_are_refused),
                                        cmocka_unit_test(a_failed_export_changes_nothing) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
