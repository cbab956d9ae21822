/* SPDX-License-Identifier: Apache-2.0 */
/* A build without Google Benchmark says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gbench_shim.h"

static void job_run(struct scr_gbench_case *c, void *user)
{
    (void)user;
    scr_gbench_time(c, 1);
}

static void test_unsupported(void **state)
{
    static const char *const words[] = {"--benchmark_list_tests"};
    static const char *const line = "--benchmark_*: built without Google Benchmark";
    char why[100] = "";
    size_t matched = 99;

    (void)state;
    assert_int_equal(scr_gbench_init("test", 1, words, why, sizeof why), SCR_ERR_UNSUPPORTED);
    assert_string_equal(why, line);
    assert_int_equal(scr_gbench_context("a", "b"), SCR_ERR_UNSUPPORTED);
    assert_int_equal(scr_gbench_register("a", job_run, NULL), SCR_ERR_UNSUPPORTED);
    why[0] = '\0';
    assert_int_equal(scr_gbench_run(&matched, why, sizeof why), SCR_ERR_UNSUPPORTED);
    assert_int_equal(matched, 0);
    assert_string_equal(why, line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unsupported)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
