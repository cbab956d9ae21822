/* SPDX-License-Identifier: Apache-2.0 */
/* What tile=auto and tile=default come to, with a table and without. */
#include "case.h"

#include "../runtime/table.h" /* not the harness's */
#include "choice.h"
#include "row.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static scr_hint hint_of(const char *workload, const char *window, int heads, int len)
{
    struct scr_dataset_spec spec = {.problem = {.heads_q = heads, .len_q = len, .len_k = len}};
    char why[200];
    scr_hint hint;

    assert_int_equal(scr_workload_parse(workload, &spec.workload, why, sizeof why), SCR_OK);
    assert_int_equal(scr_window_parse(window, &spec.window, why, sizeof why), SCR_OK);
    scr_dataset_settle(&spec);
    if (scr_choice_hint(&spec, &hint, why, sizeof why) != SCR_OK)
        hint.window = -1;
    return hint;
}

static void test_hints(void **state)
{
    scr_hint h = hint_of("planted:0.05x64", "inf", 2, 1024);

    (void)state;
    assert_true(h.pair_density == 0.05 && isinf(h.window));
    h = hint_of("skewed:0.1x64", "100", 2, 1024);
    assert_true(h.pair_density == 0.1 && h.window == 100);
    h = hint_of("iid", "5000", 2, 1024);
    assert_true(h.pair_density == 0 && h.window == 1024);
    h = hint_of("window", "auto", 2, 1024);
    assert_true(h.pair_density == 1 && h.window == 256);
    h = hint_of("ends:0", "auto", 2, 1024);
    assert_true(h.pair_density > 0 && h.pair_density <= 1e-6 && isinf(h.window));
    h = hint_of("ends:1", "inf", 2, 1024);
    assert_true(h.pair_density == 1);
    h = hint_of("iid", "init", 2, 1024); /* 2 and 256 */
    assert_true(fabs(h.window - 129) < 1e-3);
    h = hint_of("iid", "init", 2, 100); /* 2 and no more than all */
    assert_true(fabs(h.window - 51) < 1e-3);
    h = hint_of("trace:no-such-file", "auto", 2, 100);
    assert_true(h.window == -1);
    h = hint_of("trace:no-such-file", "30", 2, 100);
    assert_true(h.window == 30 && h.pair_density == 0);
}

/* A trace's own windows count as a layer's mean, or as the one head's. */
static void test_trace_hints(void **state)
{
    struct scr_dataset_spec spec = {.workload.kind = SCR_WORKLOAD_TRACE};
    char why[300] = "";
    scr_hint hint;

    (void)state;
    assert_non_null(getenv("SCR_TEST_DATA"));
    snprintf(spec.workload.path, sizeof spec.workload.path, "%s/psi16_k16v64.safetensors",
             getenv("SCR_TEST_DATA"));
    assert_int_equal(scr_dataset_shape(&spec.workload, 0, &spec.problem, why, sizeof why), SCR_OK);
    assert_int_equal(scr_choice_hint(&spec, &hint, why, sizeof why), SCR_OK);
    /* 1.82, 81.5, 63.2 and 9868, which is no more than the 1024 tokens */
    assert_true(fabs(hint.window - 292.62) < 0.01 && hint.pair_density == 0);
    spec.one_head = true;
    spec.problem.heads_q = spec.problem.heads_kv = 1;
    spec.trace_head = 1;
    assert_int_equal(scr_choice_hint(&spec, &hint, why, sizeof why), SCR_OK);
    assert_true(fabs(hint.window - 81.4919) < 0.01);
    spec.trace_head = 3;
    assert_int_equal(scr_choice_hint(&spec, &hint, why, sizeof why), SCR_OK);
    assert_true(hint.window == 1024);
    spec.window.kind = SCR_WINDOW_INIT; /* the last of four heads of the file */
    assert_int_equal(scr_choice_hint(&spec, &hint, why, sizeof why), SCR_OK);
    assert_true(fabs(hint.window - 256) < 0.01);
    spec.trace_head = 4;
    assert_int_equal(scr_choice_hint(&spec, &hint, why, sizeof why), SCR_ERR_INVALID);
    assert_non_null(strstr(why, "no head 4"));
}

/* The one case of a line of axes. */
static struct scr_case *only(struct scr_case_list *l, const scr_context *tables, const char *line)
{
    const scr_device_info *devices[] = {scr_context_device_info(tables, 0)};
    struct scr_axes axes = {0};
    char why[300] = "";

    scr_case_list_clear(l);
    l->program = "harness";
    l->tables = tables;
    assert_int_equal(scr_axes_set_line(&axes, line, why, sizeof why), SCR_OK);
    if (scr_case_list_add(l, &axes, devices, 1, 1, why, sizeof why) != SCR_OK)
        fail_msg("%s", why);
    scr_axes_clear(&axes);
    assert_int_equal(l->n, 1);
    return &l->cases[0];
}

#define POINT "seq=512 heads=2 workload=planted:0.05x64 window=inf kernel=tile-skip skip=tile "

static void test_cases(void **state)
{
    scr_context_options options = {.backends = "ref", .table = ""};
    struct scr_table_entry e = {.len_q = 1024,
                                .len_k = 1024,
                                .heads = 2,
                                .window = INFINITY,
                                .density = 0.04,
                                .ns = 1000,
                                .causal = true,
                                .dk = 64,
                                .dv = 64};
    char path[] = "/tmp/screening-choice-XXXXXX", line[SCR_TABLE_LINE], repro[2048];
    struct scr_case_list l = {.program = "harness"};
    scr_context *none, *some;
    const struct scr_case *c;
    const scr_device_info *info;
    static struct scr_row row;
    int tile_q, fd = mkstemp(path);
    uint64_t sum = SCR_HASH_START;
    FILE *f;

    (void)state;
    assert_int_equal(scr_context_create(&options, &none), SCR_OK);
    c = only(&l, none, POINT);
    assert_string_equal(c->choice, "default");
    assert_string_equal(c->masked.kernel, ""); /* no table, nothing for the baseline */
    tile_q = c->tile_q;
    /* An entry that has another tile than the default. */
    info = scr_context_device_info(none, 0);
    strcpy(e.backend, info->backend);
    strcpy(e.name, info->name);
    e.is_cpu = info->is_cpu;
    e.units = info->compute_units;
    e.config = c->config;
    scr_config_set(&e.config, "TILE_Q", tile_q == 16 ? 32 : 16);
    f = fdopen(fd, "w");
    assert_non_null(f);
    scr_table_head(line, sizeof line);
    fputs(line, f);
    for (int masked = 0; masked < 2; masked++) {
        if (masked) {
            e.config = (scr_config){.kernel = "masked-dense"};
            assert_int_equal(scr_config_resolve(info, &c->spec.problem, &e.config, NULL, 0),
                             SCR_OK);
            scr_config_set(&e.config, "TILE_Q", 16);
            scr_config_set(&e.config, "TILE_K", 128);
            e.density = 0; /* any: it does not matter to masked-dense */
        }
        e.source = scr_source_hash("ref", e.config.kernel, e.config.variant);
        e.space = scr_space_hash("ref", e.config.kernel, e.config.variant);
        assert_true(scr_table_entry_format(&e, line, sizeof line) > 0);
        fputs(line, f);
        sum = scr_hash(sum, line, strlen(line));
    }
    scr_table_tail(2, sum, line, sizeof line);
    fputs(line, f);
    fclose(f);
    options.table = path;
    assert_int_equal(scr_context_create(&options, &some), SCR_OK);
    c = only(&l, some, POINT "tile=auto");
    assert_string_equal(c->choice, "device given");
    assert_int_equal(c->tile_q, tile_q == 16 ? 32 : 16);
    scr_row_init(&row, c);
    assert_string_equal(row.choice, "device given");
    assert_string_equal(c->masked.kernel, "masked-dense");
    assert_int_equal(scr_config_get(&c->masked, "TILE_Q", 0), 16);
    assert_int_equal(scr_config_get(&c->masked, "TILE_K", 0), 128);
    /* What repeats it names the tile, so that another table makes no difference. */
    scr_case_repro(c, "--sweep", repro, sizeof repro);
    assert_non_null(strstr(repro, c->tile_q == 16 ? "-a tile=16x" : "-a tile=32x"));
    c = only(&l, some, POINT); /* auto is the default of the axis */
    assert_string_equal(c->choice, "device given");
    c = only(&l, some, POINT "tile=default");
    assert_string_equal(c->choice, "default");
    assert_int_equal(c->tile_q, tile_q);
    c = only(&l, some, POINT "tile=32x32");
    assert_string_equal(c->choice, "given");
    assert_int_equal(scr_config_get(&c->masked, "TILE_K", 0), 128); /* whatever its own tile */
    assert_int_equal(c->tile_q, 32);
    c = only(&l, some, POINT "window=2"); /* too far */
    assert_string_equal(c->choice, "default");
    c = only(&l, some, POINT "workload=iid"); /* its density is not known */
    assert_string_equal(c->choice, "default");
    c = only(&l, some,
             "seq=512 heads=2 workload=planted:0.05x64 window=inf kernel=tile-skip "
             "skip=slice"); /* of which the table has nothing */
    assert_string_equal(c->choice, "default");
    c = only(&l, none, POINT);
    assert_string_equal(c->choice, "default");
    scr_case_list_clear(&l);
    scr_context_destroy(&none);
    scr_context_destroy(&some);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_trace_hints),
        cmocka_unit_test(test_cases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
