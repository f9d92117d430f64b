/* SPDX-License-Identifier: Apache-2.0
 * Loss scaling: words, and how the factor moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/compiler.h"
#include "train/scaler.h"

static void words(void **state)
{
    struct hr_scaler_options o;
    (void)state;
    assert_int_equal(hr_scaler_parse(&o, "none"), HR_OK);
    assert_true(o.kind == HR_SCALER_NONE && hr_scaler_start(&o).scale == 1.0);
    assert_int_equal(hr_scaler_parse(&o, "fixed"), HR_OK);
    assert_true(o.kind == HR_SCALER_FIXED && o.scale == 128.0);
    assert_int_equal(hr_scaler_parse(&o, "dynamic:scale=8,every=3,shrink=0.25"), HR_OK);
    assert_true(o.kind == HR_SCALER_DYNAMIC && o.scale == 8.0 && o.every == 3.0);
    assert_true(o.grow == 2.0 && o.shrink == 0.25);
    static const struct {
        const char *text, *word;
    } bad[] = { { "dinamic", "did you mean dynamic" }, { "fixed:every=3", "every" },
                { "fixed:scale=0.5", "scale is 0.5" }, { "dynamic:scale=many", "'many'" },
                { "dynamic:shrink=1", "shrink 1" },    { "none:scale=2", "scale" } };
    for (size_t i = 0; i < HR_COUNT(bad); i++) {
        assert_int_equal(hr_scaler_parse(&o, bad[i].text), HR_E_ARGUMENT);
        assert_non_null(strstr(hr_last_message(), bad[i].word));
    }
}

static void it_grows_and_shrinks(void **state)
{
    struct hr_scaler_options o;
    (void)state;
    assert_int_equal(hr_scaler_parse(&o, "dynamic:scale=4,every=3"), HR_OK);
    struct hr_scaler s = hr_scaler_start(&o);
    hr_scaler_good(&s, &o);
    hr_scaler_good(&s, &o);
    assert_true(s.scale == 4.0);
    assert_true(hr_scaler_overflow(&s, &o) && s.scale == 2.0 && s.skipped == 1);
    for (int i = 0; i < 3; i++) { /* the two good ones before do not count */
        assert_true(s.scale == 2.0);
        hr_scaler_good(&s, &o);
    }
    assert_true(s.scale == 4.0 && s.good == 0);
    assert_true(hr_scaler_overflow(&s, &o) && hr_scaler_overflow(&s, &o) && s.scale == 1.0);
    assert_false(hr_scaler_overflow(&s, &o)); /* it is not the factor's fault */
    assert_int_equal(s.skipped, 3);
}

static void a_fixed_one_stays(void **state)
{
    struct hr_scaler_options o;
    (void)state;
    assert_int_equal(hr_scaler_parse(&o, "fixed:scale=4"), HR_OK);
    struct hr_scaler s = hr_scaler_start(&o);
    for (int i = 0; i < 100; i++)
        assert_true(hr_scaler_overflow(&s, &o) && s.scale == 4.0);
    struct hr_scaler better = s;
    assert_false(hr_scaler_overflow(&s, &o));
    hr_scaler_good(&better, &o);
    assert_true(hr_scaler_overflow(&better, &o));
    assert_int_equal(hr_scaler_parse(&o, "none"), HR_OK);
    s = hr_scaler_start(&o);
    assert_false(hr_scaler_overflow(&s, &o));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(it_grows_and_shrinks),
        cmocka_unit_test(a_fixed_one_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
