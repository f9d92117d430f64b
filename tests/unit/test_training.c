/* SPDX-License-Identifier: Apache-2.0
 * Training through the public API: what is refused, what the callback sees, how it stops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hrnet/hrnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/os.h"

static char folder[64], data[96], out[96];

static void picture(int class_index, int number)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%c", data, 'a' + class_index);
    assert_int_equal(hr_os_make_folders(path), HR_OK);
    snprintf(path, sizeof path, "%s/%c/%d.ppm", data, 'a' + class_index, number);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fprintf(file, "P6 32 32 255\n");
    for (int i = 0; i < 3 * 32 * 32; i++)
        fputc((i * 7 + number * 31 + class_index * 90) % 251, file);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hrnet-training-%ld", (long)getpid());
    snprintf(data, sizeof data, "%s/data", folder);
    snprintf(out, sizeof out, "%s/run", folder);
    for (int i = 0; i < 10; i++)
        picture(i % 2, i);
    return 0;
}

static int tear_down(void **state)
{
    char command[96];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct hrnet_train_options options_of(void)
{
    struct hrnet_train_options o;
    hrnet_train_options_init(&o, sizeof o);
    o.data = data;
    o.validation = data;
    o.folder = out;
    o.architecture = "hrnet_w18_small";
    o.size = 32;
    o.batch = 4;
    o.epochs = 2;
    o.rate = 0.001;
    return o;
}

struct seen {
    int calls, epochs, stop_at;
    struct hrnet_train_progress last;
};

static int observe(void *context, const struct hrnet_train_progress *progress)
{
    struct seen *seen = context;
    seen->calls++;
    seen->epochs += progress->epoch_end != 0;
    seen->last = *progress;
    return seen->calls == seen->stop_at;
}

static void steps_and_epochs_are_told(void **state)
{
    const struct hrnet_train_options o = options_of();
    struct seen seen = { 0 };
    (void)state;
    assert_int_equal(hrnet_train(&o, observe, &seen), HRNET_OK);
    assert_int_equal(seen.calls, 2 * (3 + 1)); /* three steps of 4, 4 and 2 pictures, and an end */
    assert_int_equal(seen.epochs, 2);
    assert_int_equal(seen.last.steps, 3);
    assert_int_equal(seen.last.pictures, 10);
    assert_true(seen.last.validated && seen.last.top5 == 1.0 && seen.last.top1 >= 0.5);
    assert_true(seen.last.activation_bytes > 0 && seen.last.state_bytes > 0);
}

static void a_finished_run_has_nothing_left_to_do(void **state)
{
    struct hrnet_train_options o = options_of();
    struct seen seen = { 0 };
    (void)state;
    assert_int_equal(hrnet_train(&o, observe, &seen), HRNET_E_ARGUMENT);
    assert_non_null(strstr(hrnet_last_error(), "resume"));
    o.resume = 1;
    assert_int_equal(hrnet_train(&o, observe, &seen), HRNET_OK);
    assert_int_equal(seen.calls, 0);
}

static void the_callback_stops_it(void **state)
{
    struct hrnet_train_options o = options_of();
    struct seen seen = { .stop_at = 2 };
    char other[128];
    (void)state;
    snprintf(other, sizeof other, "%s/other", folder);
    o.folder = other;
    assert_int_equal(hrnet_train(&o, observe, &seen), HRNET_E_CANCELLED);
    assert_int_equal(seen.calls, 2);
}

/* Right and wrong answers add up, and the epoch's own validation said the same. */
static void evaluation_counts(void **state)
{
    struct hrnet_evaluate_options o;
    struct hrnet_evaluation e;
    hrnet_model *model = NULL;
    char path[160];
    uint64_t all = 0;
    (void)state;
    snprintf(path, sizeof path, "%s/latest.safetensors", out);
    assert_int_equal(hrnet_model_open(&model, path, NULL), HRNET_OK);
    hrnet_evaluate_options_init(&o, sizeof o);
    assert_int_equal(hrnet_evaluate(model, &o, &e), HRNET_E_ARGUMENT);
    o.data = data;
    o.batch = 3;
    assert_int_equal(hrnet_evaluate(model, &o, &e), HRNET_OK);
    assert_int_equal(e.classes, 2);
    assert_int_equal(e.pictures, 10);
    assert_int_equal(e.top5, 10);
    assert_int_equal(e.confusion[0] + e.confusion[3], e.top1);
    assert_int_equal(e.confusion[0] + e.confusion[1], 5);
    for (int i = 0; i < 4; i++)
        all += e.confusion[i];
    assert_int_equal(all, 10);
    hrnet_free(e.confusion);
    hrnet_model_release(model);
}

static void previews_are_drawn(void **state)
{
    struct hrnet_preview_options o;
    uint8_t *png = NULL;
    size_t size = 0;
    char path[160];
    const char *const paths[] = { path, path };
    (void)state;
    snprintf(path, sizeof path, "%s/a/0.ppm", data);
    hrnet_preview_options_init(&o, sizeof o);
    o.size = 32;
    o.augment = "randaugment;mixup";
    assert_int_equal(hrnet_preview(paths, 2, &o, &png, &size), HRNET_OK);
    assert_true(size > 100 && memcmp(png, "\x89PNG", 4) == 0);
    hrnet_free(png);
    o.vary = "q=1";
    assert_int_equal(hrnet_preview(paths, 1, &o, &png, &size), HRNET_E_ARGUMENT);
    assert_non_null(strstr(hrnet_last_error(), "no step has a number 'q'"));
    o.rows = 0;
    assert_int_equal(hrnet_preview(paths, 1, &o, &png, &size), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_preview(paths, 0, &o, &png, &size), HRNET_E_ARGUMENT);
}

static void count_findings(void *context, const struct hrnet_finding *finding)
{
    int *const found = context;
    found[finding->level]++;
    assert_non_null(finding->message);
}

static void data_are_inspected(void **state)
{
    struct hrnet_inspect_options o;
    struct hrnet_inspection in;
    int found[3] = { 0 };
    (void)state;
    hrnet_inspect_options_init(&o, sizeof o);
    assert_int_equal(hrnet_inspect(&o, &in), HRNET_E_ARGUMENT);
    o.data = o.validation = data;
    o.fn = count_findings;
    o.context = found;
    assert_int_equal(hrnet_inspect(&o, &in), HRNET_OK);
    assert_int_equal(in.errors, 10); /* every picture is in both */
    assert_int_equal(found[HRNET_ERROR], 10);
    assert_int_equal(found[HRNET_WARNING], (int)in.warnings);
    assert_int_equal(in.classes, 2);
    assert_true(in.pictures[0] == 10 && in.pictures[1] == 10);
    assert_true(in.counts[0] == 5 && in.counts[3] == 5);
    assert_string_equal(in.names, "a");
    assert_string_equal(in.names + 2, "b");
    hrnet_free(in.counts);
    hrnet_free(in.names);
}

static void augmentations_are_listed(void **state)
{
    char *const kinds = hrnet_augment_kinds();
    (void)state;
    assert_non_null(kinds);
    assert_non_null(strstr(kinds, "randaugment"));
    assert_non_null(strstr(kinds, "alpha=0.2"));
    hrnet_free(kinds);
}

static void a_step_is_timed(void **state)
{
    struct hrnet_timing_options o;
    struct hrnet_timing t;
    (void)state;
    hrnet_timing_options_init(&o, sizeof o);
    assert_true(o.size == 224 && o.batch == 16 && o.classes == 1000);
    assert_int_equal(hrnet_time_training(&o, &t), HRNET_E_ARGUMENT); /* no architecture */
    o.architecture = "hrnet_w18_small";
    o.size = 32;
    o.batch = 2;
    o.classes = 3;
    o.seconds = 0.0;
    assert_int_equal(hrnet_time_training(&o, &t), HRNET_OK);
    assert_true(t.steps == 3 && t.conv_ms > 0.0 && t.activation_bytes > 0);
    o.batch = 1;
    assert_int_equal(hrnet_time_training(&o, &t), HRNET_E_ARGUMENT);
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct hrnet_train_options o[8];
    static const char *const words[] = { "architecture", "batch",     "epochs",  "smoothing",
                                         "cosine",       "optimizer", "rate -1", "size" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(o); i++)
        o[i] = options_of();
    o[0].architecture = NULL;
    o[1].batch = 1;
    o[2].epochs = 0;
    o[3].smoothing = 1.0;
    o[4].schedule = "cosin";
    o[5].optimizer = "lion";
    o[6].rate = -1;
    o[7].size = 33;
    for (size_t i = 0; i < HR_COUNT(o); i++) {
        assert_int_not_equal(hrnet_train(&o[i], NULL, NULL), HRNET_OK);
        if (i < 7 && !strstr(hrnet_last_error(), words[i]))
            fail_msg("'%s' does not say '%s'", hrnet_last_error(), words[i]);
    }
    assert_int_equal(hrnet_train(NULL, NULL, NULL), HRNET_E_ARGUMENT);
    memset(&o[0], 0, sizeof o[0]);
    assert_int_equal(hrnet_train(&o[0], NULL, NULL), HRNET_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_and_epochs_are_told),
        cmocka_unit_test(a_finished_run_has_nothing_left_to_do),
        cmocka_unit_test(the_callback_stops_it),
        cmocka_unit_test(evaluation_counts),
        cmocka_unit_test(data_are_inspected),
        cmocka_unit_test(previews_are_drawn),
        cmocka_unit_test(augmentations_are_listed),
        cmocka_unit_test(a_step_is_timed),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
