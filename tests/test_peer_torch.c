/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The peers that use PyTorch, on the CPU: all that they say is verified. Skipped where PyTorch
 * cannot be imported. SCR_TEST_PYTHON is the interpreter, SCR_TEST_PEERS the folder of the peers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "peer_fixture.h"

#include <math.h>

#define SHAPE "batch=2 heads=4 dk=32 dv=32 workload=planted:0.2x8 "

/* Grouped heads, lengths that differ, every mask, every type. */
static const char *const problems[] = {
    SHAPE "kv_heads=4 seq=96 dtype=f32 causal=1 window=init",
    SHAPE "kv_heads=2 seq=77 kv=130 dtype=f32 causal=1 window=inf",
    SHAPE "kv_heads=2 seq=77 kv=130 dtype=f32 causal=1 q_pos0=0 norm=1",
    SHAPE "kv_heads=1 seq=130 kv=77 dtype=f32 causal=0 kv_len=ragged",
    SHAPE "kv_heads=4 seq=130 kv=77 dtype=f32 causal=1 kv_len=ragged norm=1",
    SHAPE "kv_heads=4 seq=96 dtype=f16 out=same causal=1 window=inf",
    SHAPE "kv_heads=2 seq=77 kv=130 dtype=f16 causal=0 window=9",
    SHAPE "kv_heads=4 seq=96 dtype=bf16 out=same causal=1 window=inf norm=1",
    SHAPE "kv_heads=2 seq=77 kv=130 dtype=bf16 causal=1 window=init",
};

static struct scr_peer *start(const char *script)
{
    char command[SCR_PEER_MAX_COMMAND], why[300] = "";
    struct scr_peer *peer;

    snprintf(command, sizeof command, "'%s' '%s/%s'", getenv("SCR_TEST_PYTHON"),
             getenv("SCR_TEST_PEERS"), script);
    if (scr_peer_start(command, NULL, &peer, why, sizeof why) != SCR_OK)
        fail_msg("%s", why);
    return peer;
}

/* Runs a kernel; prints a line for whoever looks at the log. */
static void run(struct scr_peer *peer, struct peer_fixture *f, int kernel, struct scr_row *row)
{
    const struct scr_peer_options options = {.time_limit_s = 0.05, .timeout_s = 300};

    scr_peer_row_init(peer, &f->list.cases[0], kernel, row);
    assert_true(scr_peer_run(peer, f->problem, &f->list.cases[0], kernel, &options, row));
    printf("%-15s %-14s %-4s -> %-4s %-11s error %.1e of %.0e, %.0f of %.0f rows, %3.0f samples, "
           "%.3f ms %s %s\n",
           row->peer, row->kernel, row->dtype, row->dtype_out, row->status, row->rel_err, row->tol,
           row->rows_checked, row->rows, row->n_samples, 1e-6 * row->t_median_ns, row->params,
           row->reason);
    fflush(stdout);
}

static void expect_ok(const struct scr_row *row, const char *problem)
{
    if (strcmp(row->status, "ok") != 0)
        fail_msg("%s: %s: %s: %s", problem, row->kernel, row->status, row->reason);
    assert_true(row->t_median_ns > 0 && row->n_samples >= 1);
    assert_true(row->rel_err < row->tol && row->rows_checked > 0);
    assert_string_equal(row->timer, "wall");
    assert_string_equal(row->cache, "cold");
}

static void test_screening(void **state)
{
    struct scr_peer *peer = start("torch_screening.py");
    size_t n = sizeof problems / sizeof problems[0];

    (void)state;
    assert_string_equal(scr_peer_describe(peer)->kernels[0], "eager");
    for (size_t i = 0; i < n; i++) {
        struct peer_fixture f;
        struct scr_row row;

        peer_fixture_make(&f, problems[i]);
        run(peer, &f, 0, &row);
        expect_ok(&row, problems[i]);
        assert_true(row.heads_zero < 8);
        /* Compiling takes many seconds: once. Without a compiler for it, it cannot be had. */
        if (i == n - 1) {
            run(peer, &f, 1, &row);
            if (strcmp(row.status, "failed") != 0)
                expect_ok(&row, problems[i]);
            else
                assert_non_null(strstr(row.reason, "Inductor"));
        }
        peer_fixture_clear(&f);
    }
    scr_peer_stop(&peer);
}

static void test_softmax(void **state)
{
    struct scr_peer *peer = start("torch_sdpa.py");
    const struct scr_peer_info *info = scr_peer_describe(peer);

    (void)state;
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        struct peer_fixture f;
        struct scr_row row;

        peer_fixture_make(&f, problems[i]);
        for (int kernel = 0; kernel < info->n_kernels; kernel++) {
            const char *name = info->kernels[kernel];

            run(peer, &f, kernel, &row);
            /* Versions of PyTorch differ in what their fused CPU kernel takes. */
            if (strcmp(name, "sdpa-math") == 0 ||
                (strcmp(name, "sdpa-flash") == 0 && strcmp(row.status, "unsupported") != 0)) {
                expect_ok(&row, problems[i]);
            } else {
                assert_string_equal(row.status, "unsupported");
                assert_true(row.reason[0] != '\0');
            }
        }
        peer_fixture_clear(&f);
    }
    scr_peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_screening),
        cmocka_unit_test(test_softmax),
    };
    char command[600];

    snprintf(command, sizeof command, "'%s' -c 'import torch' 2>/dev/null",
             getenv("SCR_TEST_PYTHON"));
    if (system(command) != 0) {
        printf("PyTorch cannot be imported\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
