/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the two libraries that fake_nvml.c makes: newer, older. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nvml.h"

#include <screening/error.h>

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PCI "0000:65:00.0"

struct fixture {
    const char *newer, *older;
};

static int set_up(void **state)
{
    struct fixture *f = *state;

    setenv("SCR_NVML", f->newer, 1);
    unsetenv("FAKE_NVML_INIT");
    unsetenv("FAKE_NVML_QUERY");
    unsetenv("FAKE_NVML_REASONS");
    return 0;
}

static void refused(const char *pci, int status, const char *expected)
{
    struct scr_nvml *nvml = NULL;
    char why[300] = "";

    assert_int_equal(scr_nvml_open(pci, &nvml, why, sizeof why), status);
    assert_null(nvml);
    if (strstr(why, expected) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, expected);
}

static void sample_once(struct scr_clock_sample *s)
{
    struct scr_nvml *nvml = NULL;
    char why[300];

    assert_int_equal(scr_nvml_open(PCI, &nvml, why, sizeof why), SCR_OK);
    assert_true(scr_nvml_sample(nvml, s));
    scr_nvml_close(&nvml);
    assert_null(nvml);
}

static void test_values(void **state)
{
    struct scr_clock_sample s;

    (void)state;
    sample_once(&s);
    assert_true(s.sm_mhz == 1755);
    assert_true(s.sm_max_mhz == 1980);
    assert_true(s.temperature_c == 61);
    assert_true(s.power_w == 412.5);
    assert_true(s.throttled == 0);
}

static void test_reasons(void **state)
{
    /* The bits as nvidia-smi -q numbers them. */
    static const struct {
        const char *bits;
        int throttled;
    } cases[] = {{"0x1", 0},   {"0x2", 0},   {"0x4", 1},   {"0x8", 1},
                 {"0x10", 0},  {"0x20", 1},  {"0x40", 1},  {"0x80", 1},
                 {"0x100", 0}, {"0x113", 0}, {"0x115", 1}, {"0x800000000", 0}};
    struct scr_clock_sample s;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("FAKE_NVML_REASONS", cases[i].bits, 1);
        sample_once(&s);
        if (s.throttled != cases[i].throttled)
            fail_msg("reasons %s: throttled is %g", cases[i].bits, s.throttled);
    }
}

static void test_older_library(void **state)
{
    struct fixture *f = *state;
    struct scr_clock_sample s;

    setenv("SCR_NVML", f->older, 1);
    setenv("FAKE_NVML_REASONS", "0x40", 1);
    sample_once(&s);
    assert_true(s.throttled == 1);
    assert_true(s.sm_mhz == 1755);
    assert_true(isnan(s.temperature_c));
}

static void all_unknown(const struct scr_clock_sample *s)
{
    assert_true(isnan(s->sm_mhz) && isnan(s->sm_max_mhz) && isnan(s->temperature_c) &&
                isnan(s->power_w) && isnan(s->throttled));
}

static void test_not_supported(void **state)
{
    struct scr_clock_sample s;
    struct scr_nvml *nvml = NULL;
    char why[300];

    (void)state;
    setenv("FAKE_NVML_QUERY", "3", 1);
    setenv("FAKE_NVML_REASONS", "0x40", 1);
    assert_int_equal(scr_nvml_open(PCI, &nvml, why, sizeof why), SCR_OK);
    assert_false(scr_nvml_sample(nvml, &s));
    all_unknown(&s);
    scr_nvml_close(&nvml);
    memset(&s, 0, sizeof s);
    assert_false(scr_nvml_sample(NULL, &s));
    all_unknown(&s);
    scr_nvml_close(&nvml);
}

static void test_refusals(void **state)
{
    (void)state;
    refused("0000:66:00.0", SCR_ERR_NOT_FOUND, "0000:66:00.0: Not Found");
    refused("", SCR_ERR_NOT_FOUND, "PCI address");
    setenv("FAKE_NVML_INIT", "9", 1);
    refused(PCI, SCR_ERR_DEVICE, "Driver Not Loaded");
    setenv("SCR_NVML", "/nowhere/libnvidia-ml.so", 1);
    refused(PCI, SCR_ERR_NOT_FOUND, "/nowhere/libnvidia-ml.so, which cannot be loaded");
    setenv("SCR_NVML", "libm.so.6", 1);
    refused(PCI, SCR_ERR_NOT_FOUND, "libm.so.6 has no nvmlInit_v2");
}

/* Each start has its end, also where the device is not found. */
static void test_balance(void **state)
{
    struct fixture *f = *state;
    struct scr_nvml *one = NULL, *two = NULL;
    void *library = dlopen(f->newer, RTLD_NOW);
    int *users = library != NULL ? dlsym(library, "fake_nvml_users") : NULL;
    struct scr_clock_sample s;
    char why[300];

    assert_non_null(users);
    refused("0000:66:00.0", SCR_ERR_NOT_FOUND, "Not Found");
    assert_int_equal(*users, 0);
    assert_int_equal(scr_nvml_open(PCI, &one, why, sizeof why), SCR_OK);
    assert_int_equal(scr_nvml_open(PCI, &two, why, sizeof why), SCR_OK);
    assert_int_equal(*users, 2);
    scr_nvml_close(&one);
    assert_true(scr_nvml_sample(two, &s));
    scr_nvml_close(&two);
    assert_int_equal(*users, 0);
    dlclose(library);
}

int main(int argc, char **argv)
{
    struct fixture f = {argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : ""};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(test_values, set_up, NULL, &f),
        cmocka_unit_test_prestate_setup_teardown(test_reasons, set_up, NULL, &f),
        cmocka_unit_test_prestate_setup_teardown(test_older_library, set_up, NULL, &f),
        cmocka_unit_test_prestate_setup_teardown(test_not_supported, set_up, NULL, &f),
        cmocka_unit_test_prestate_setup_teardown(test_refusals, set_up, NULL, &f),
        cmocka_unit_test_prestate_setup_teardown(test_balance, set_up, NULL, &f),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
