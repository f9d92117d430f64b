/* SPDX-License-Identifier: Apache-2.0
 * The zoo: every name a model goes by finds it, others are refused with the nearest; the rule of
 * sizes is the network's own; the table of published weights is consistent. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "model/zoo.h"

static void expect(const char *name, const char *want)
{
    const struct hr_zoo_row *row;
    if (hr_zoo_find(&row, name) != HR_OK)
        fail_msg("%s", hr_last_message());
    assert_string_equal(row->name, want);
}

static void names_find_their_model(void **state)
{
    static const char *const aliases[][2] = {
        { "hrnet_w18", "HRNet_W18_C" }, /* timm */
        { "hrnet_w64", "HRNet_W64_C" },
        { "hrnet_w18.ms_aug_in1k", "HRNet_W18_C" },
        { "timm/hrnet_w48_ssld.paddle_in1k", "HRNet_W48_C" },
        { "hrnet_w18_small.gluon_in1k", "hrnet_w18_small" },
        { "hrnet_w18_small_v1", "hrnet_w18_small" },
        { "hrnet_w18_small_v2", "hrnet_w18_small_v2" },
        { "hrnetv2_w32", "HRNet_W32_C" }, /* Microsoft */
        { "hrnetv2_w44_imagenet_pretrained.pth", "HRNet_W44_C" },
        { "HRNet-W18-C", "HRNet_W18_C" },
        { "HRNet-W18-C-Small-v1", "hrnet_w18_small" },
        { "HRNet-W18-C-Small-v2", "hrnet_w18_small_v2" },
        { "hrnet_w18_small_model_v1.pth", "hrnet_w18_small" },
        { "hrnet_w18_small_model_v2.pth", "hrnet_w18_small_v2" },
        { "HRNet_W18_C_cosinelr_cutmix_300epoch.pth.tar", "HRNet_W18_C" },
        { "HRNet_W18_C_ssld", "HRNet_W18_C" }, /* PaddleClas */
        { "HRNet_W48_C_ssld_pretrained.pdparams", "HRNet_W48_C" },
        { "SE_HRNet_W64_C_ssld", "SE_HRNet_W64_C" },
        { "se_hrnet_w30", "SE_HRNet_W30_C" },
    };
    (void)state;
    assert_int_equal(hr_zoo_count(), 18);
    for (size_t i = 0; i < hr_zoo_count(); i++) {
        char lower[64] = "", upper[64] = "";
        const char *name = hr_zoo_row(i)->name;
        for (size_t k = 0; name[k]; k++) {
            lower[k] = (char)tolower((unsigned char)name[k]);
            upper[k] = (char)toupper((unsigned char)name[k]);
        }
        expect(name, name);
        expect(lower, name);
        expect(upper, name);
    }
    for (size_t i = 0; i < HR_COUNT(aliases); i++)
        expect(aliases[i][0], aliases[i][1]);
}

static void other_names_are_refused_with_the_nearest(void **state)
{
    static const char *const refused[][2] = {
        { "HRNet_W19_C", "model 'HRNet_W19_C' is not known: did you mean HRNet_W18_C?; `hrnet "
                         "models` lists them" },
        { "SE_HRNet_W84_C", "did you mean SE_HRNet_W44_C?" },
        { "hrnet_w18_smal", "did you mean hrnet_w18_small?" },
        { "resnet50", "model 'resnet50' is not known; `hrnet models` lists them" },
        { "", "model '' is not known; `hrnet models` lists them" },
        { "_c", "model '_c' is not known" },
        { "HRNet_W18_C_C", "did you mean HRNet_W18_C?" },
        { "HRNet_W18_C_ssld_ssld", "model 'HRNet_W18_C_ssld_ssld' is not known" },
        { "HRNet_W30_C_ssld", "did you mean HRNet_W30_C?" }, /* there are no such weights */
        { "a name of more than sixty-three bytes that ends as a model does: HRNet_W18_C", "not" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(refused); i++) {
        const struct hr_zoo_row *row = NULL;
        if (hr_zoo_find(&row, refused[i][0]) != HR_E_NOT_FOUND)
            fail_msg("'%s' is found as %s", refused[i][0], row->name);
        if (!strstr(hr_last_message(), refused[i][1]))
            fail_msg("'%s' lacks '%s'", hr_last_message(), refused[i][1]);
        assert_null(row);
    }
}

/* A size is legal if the quarter of it, rounded up twice, divides by 8 (paddleclas.md 1.1). */
static void sizes_are_those_that_the_fuse_layers_take(void **state)
{
    (void)state;
    for (int64_t size = 1; size <= 2100; size++) {
        const int64_t half = (size - 1) / 2 + 1, quarter = (half - 1) / 2 + 1;
        assert_int_equal(hr_size_legal(size), quarter % 8 == 0);
        assert_int_equal(hr_size_check(size, 224) == HR_OK, quarter % 8 == 0);
        assert_int_equal(hr_size_check(64, size) == HR_OK, quarter % 8 == 0);
    }
    assert_false(hr_size_legal(0));
    assert_false(hr_size_legal(-32));
    assert_false(hr_size_legal(INT64_MIN));
}

static void illegal_sizes_are_refused_with_the_nearest(void **state)
{
    static const struct {
        int64_t height, width;
        const char *message;
    } cases[] = {
        { 225, 224,
          "height 225 does not fit the network: sizes modulo 32 must be 29, 30, 31 or 0; the "
          "nearest are 224 and 253" },
        { 224, 220,
          "width 220 does not fit the network: sizes modulo 32 must be 29, 30, 31 or 0; the "
          "nearest are 192 and 221" },
        { 28, 1,
          "height 28 does not fit the network: sizes modulo 32 must be 29, 30, 31 or 0; the "
          "nearest is 29" },
        { 0, 224, "height 0 is not a picture's: use 29 to 65536" },
        { 224, INT64_MAX, "width 9223372036854775807 is not a picture's: use 29 to 65536" },
        { 65537, 224, "height 65537 is not a picture's: use 29 to 65536" },
    };
    (void)state;
    assert_int_equal(hr_size_check(65536, 29), HR_OK);
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        assert_int_equal(hr_size_check(cases[i].height, cases[i].width), HR_E_SHAPE);
        assert_string_equal(hr_last_message(), cases[i].message);
    }
}

static void published_weights_are_consistent(void **state)
{
    (void)state;
    for (size_t i = 0; i < hr_zoo_weights_count(); i++) {
        const struct hr_zoo_weights *w = hr_zoo_weights(i);
        expect(w->architecture, w->architecture);
        expect(w->name, w->architecture); /* weights of a name are of the network of that name */
        assert_true(w->url ? strncmp(w->url, "https://", 8) == 0 : w->note != NULL);
        assert_null(strchr(w->file, '/'));
        assert_ptr_equal(hr_zoo_weights_find(w->name), w);
        assert_ptr_equal(hr_zoo_weights_find(w->file), w);
        assert_true(w->top1 == 0 || (w->top1 > 0.7 && w->top1 < 1.0));
        assert_true(w->top5 == 0 || (w->top5 > w->top1 && w->top5 < 1.0));
        assert_true(w->crop_ratio > 0.5f && w->crop_ratio <= 1.0f && hr_size_legal(w->size));
        assert_true(w->licence && w->recipe);
        if (w->sha256_prefix) {
            assert_int_equal(strspn(w->sha256_prefix, "0123456789abcdef"), 8);
            assert_non_null(strstr(w->file, w->sha256_prefix));
        }
    }
    assert_null(hr_zoo_weights_find("HRNet_W60_C"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_find_their_model),
        cmocka_unit_test(other_names_are_refused_with_the_nearest),
        cmocka_unit_test(sizes_are_those_that_the_fuse_layers_take),
        cmocka_unit_test(illegal_sizes_are_refused_with_the_nearest),
        cmocka_unit_test(published_weights_are_consistent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
