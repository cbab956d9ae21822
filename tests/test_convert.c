/* SPDX-License-Identifier: Apache-2.0 */
/* Storage conversions against their definition: every 16-bit pattern, and rounding between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/convert.h"

#include <math.h>
#include <string.h>

static float from_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

/* The value of a finite pattern with `fraction` fraction bits and an exponent bias. */
static double value_of(uint16_t h, int fraction, int bias)
{
    int exponent = (h & 0x7fff) >> fraction;
    int mantissa = h & ((1 << fraction) - 1);
    double x = exponent == 0 ? ldexp(mantissa, 1 - bias - fraction)
                             : ldexp(mantissa + (1 << fraction), exponent - bias - fraction);

    return h & 0x8000 ? -x : x;
}

static void every_f16_pattern(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= 0xffff; i++) {
        uint16_t h = (uint16_t)i;
        float f = scr_f16_to_f32(h);

        if ((h & 0x7fff) > 0x7c00) {
            assert_true(isnan(f));
            assert_true((scr_f32_to_f16(f) & 0x7fff) > 0x7c00);
            continue;
        }
        if ((h & 0x7fff) == 0x7c00)
            assert_true(isinf(f) && (f < 0) == (h >> 15));
        else
            assert_true((double)f == value_of(h, 10, 15));
        assert_int_equal(scr_f32_to_f16(f), h);
    }
}

static void every_bf16_pattern(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= 0xffff; i++) {
        uint16_t h = (uint16_t)i;
        float f = scr_bf16_to_f32(h);

        if ((h & 0x7fff) > 0x7f80) {
            assert_true(isnan(f));
            assert_true((scr_f32_to_bf16(f) & 0x7fff) > 0x7f80);
            continue;
        }
        if ((h & 0x7fff) == 0x7f80)
            assert_true(isinf(f));
        else
            assert_true((double)f == value_of(h, 7, 127));
        assert_int_equal(scr_f32_to_bf16(f), h);
    }
}

/* Between neighbours: the middle goes to the even one, one step beside it to the nearer. */
static void check_rounding(uint16_t low, float (*widen)(uint16_t), uint16_t (*narrow)(float))
{
    float a = widen(low), b = widen((uint16_t)(low + 1));
    float middle = a + (b - a) / 2;

    assert_int_equal(narrow(middle), low & 1 ? low + 1 : low);
    assert_int_equal(narrow(nextafterf(middle, a)), low);
    assert_int_equal(narrow(nextafterf(middle, b)), low + 1);
    assert_int_equal(narrow(-middle), 0x8000 | (low & 1 ? low + 1 : low));
}

static void rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint16_t h = 0; h < 0x7bff; h++)
        check_rounding(h, scr_f16_to_f32, scr_f32_to_f16);
    for (uint16_t h = 1; h < 0x7f7f; h++)
        check_rounding(h, scr_bf16_to_f32, scr_f32_to_bf16);
}

static void overflow_and_nan(void **state)
{
    (void)state;
    assert_int_equal(scr_f32_to_f16(65504.0f), 0x7bff);
    assert_int_equal(scr_f32_to_f16(nextafterf(65520.0f, 0)), 0x7bff);
    assert_int_equal(scr_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(scr_f32_to_f16(-1e30f), 0xfc00);
    assert_int_equal(scr_f32_to_f16(INFINITY), 0x7c00);
    assert_int_equal(scr_f32_to_f16(1e-30f), 0);
    assert_int_equal(scr_f32_to_f16(-0.0f), 0x8000);
    /* a NaN whose payload is all in the bits cut off */
    assert_true((scr_f32_to_f16(from_bits(0x7f800001)) & 0x7fff) > 0x7c00);
    assert_true((scr_f32_to_bf16(from_bits(0x7f800001)) & 0x7fff) > 0x7f80);
    assert_int_equal(scr_f32_to_bf16(from_bits(0x7f7fffff)), 0x7f80);
    assert_int_equal(scr_f32_to_bf16(-INFINITY), 0xff80);
}

static void arrays(void **state)
{
    static const float in[5] = {0.0f, 1.0f, -0.333333343f, 1e-6f, 1000.25f};

    (void)state;
    for (int t = SCR_F32; t <= SCR_BF16; t++) {
        float stored[5], narrow[5];
        double wide[5];

        scr_store_f32(stored, in, (scr_dtype)t, 5);
        scr_load_f32(narrow, stored, (scr_dtype)t, 5);
        scr_load_f64(wide, stored, (scr_dtype)t, 5);
        for (int i = 0; i < 5; i++) {
            float expected = t == SCR_F32   ? in[i]
                             : t == SCR_F16 ? scr_f16_to_f32(scr_f32_to_f16(in[i]))
                                            : scr_bf16_to_f32(scr_f32_to_bf16(in[i]));

            assert_true(narrow[i] == expected);
            assert_true(wide[i] == (double)expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_f16_pattern),
        cmocka_unit_test(every_bf16_pattern),
        cmocka_unit_test(rounds_to_nearest_even),
        cmocka_unit_test(overflow_and_nan),
        cmocka_unit_test(arrays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
