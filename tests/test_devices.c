/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices the harness takes when it is not told, of lists made up. */
#include "devices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char no_compiler[] = "only kernels compiled ahead: NVRTC not found";

/* Ids, comma separated; "opencl:c0" is a CPU. The device chosen first; why: what is said. */
static const char *best_of(const char *ids, const char *cuda_note, char why[200])
{
    static scr_device_info found[8];
    struct scr_devices d = {.found = found};
    int status;

    memset(found, 0, sizeof found);
    for (const char *s = ids; *s != '\0'; s += s[0] == ',') {
        scr_device_info *info = &found[d.n_found++];
        size_t n = strcspn(s, ","), n_backend = strcspn(s, ":");

        assert_true(n < sizeof info->id && n_backend < sizeof info->backend);
        memcpy(info->id, s, n);
        memcpy(info->backend, s, n_backend);
        info->is_cpu = strstr(info->id, ":c") != NULL || strcmp(info->backend, "ref") == 0;
        s += n;
    }
    snprintf(d.notes[0], sizeof d.notes[0], "%s", cuda_note);
    status = scr_devices_choose(&d, NULL, false, why, 200);
    assert_int_equal(status, d.n > 0 ? SCR_OK : SCR_ERR_NOT_FOUND);
    return d.n > 0 ? d.info[0]->id : "";
}

static void test_best(void **state)
{
    char why[200];

    (void)state;
    assert_string_equal(best_of("cuda:0,opencl:0.0,opencl:c0,ref:0", "", why), "cuda:0");
    assert_string_equal(why, "");
    assert_string_equal(best_of("opencl:c0,opencl:0.0,ref:0", "no driver", why), "opencl:0.0");
    assert_string_equal(why, "");
    assert_string_equal(best_of("opencl:c0,ref:0", "no driver", why), "opencl:c0");
    assert_string_equal(best_of("ref:0", "no driver", why), "ref:0");
    assert_string_equal(best_of("", "no driver", why), "");
    assert_string_equal(why, "no device found");
}

static void test_without_compiler(void **state)
{
    char why[200];

    (void)state;
    assert_string_equal(best_of("cuda:0,opencl:0.0,opencl:c0,ref:0", no_compiler, why),
                        "opencl:0.0");
    assert_string_equal(why, "cuda:0 is left out: only kernels compiled ahead: NVRTC not found; "
                             "--device cuda:0 takes it all the same");
    assert_string_equal(best_of("cuda:0,opencl:c0,ref:0", no_compiler, why), "opencl:c0");
    assert_true(why[0] != '\0');
    assert_string_equal(best_of("cuda:0", no_compiler, why), "cuda:0");
    assert_string_equal(why, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best),
        cmocka_unit_test(test_without_compiler),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
