/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "axes.h"
#include "case.h"
#include "decl.h"
#include "devices_fixture.h"
#include "enumerate.h"
#include "options.h"

#include <screening/error.h>

#include <stdlib.h>
#include <string.h>

struct seen {
    int n;
    struct scr_point points[64];
};

static int keep(void *user, const struct scr_point *p)
{
    struct seen *s = user;

    assert_true(s->n < 64);
    s->points[s->n++] = *p;
    return 0;
}

/* The points of a line of axes. */
static struct seen *points(const char *line)
{
    struct seen *s = calloc(1, sizeof *s);
    struct scr_axes axes = {0};
    char why[300] = "";

    assert_non_null(s);
    assert_int_equal(scr_axes_set_line(&axes, line, why, sizeof why), SCR_OK);
    assert_int_equal(scr_axes_for_each(&axes, keep, s), SCR_OK);
    scr_axes_clear(&axes);
    return s;
}

static void ranges_are_expanded(void **state)
{
    struct seen *s = points("seq=512:4096:*2 kernel=dense skip=none");
    const int lengths[] = {512, 1024, 2048, 4096};

    (void)state;
    assert_int_equal(s->n, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(s->points[i].seq, lengths[i]);
    free(s);

    s = points("batch=1,64:256:+64 kernel=dense skip=none");
    assert_int_equal(s->n, 5);
    assert_int_equal(s->points[0].batch, 1);
    assert_int_equal(s->points[1].batch, 64);
    assert_int_equal(s->points[4].batch, 256);
    free(s);

    /* The last value is met only when a step lands on it. */
    s = points("seq=10:25:+10 kernel=dense skip=none");
    assert_int_equal(s->n, 2);
    assert_int_equal(s->points[1].seq, 20);
    free(s);
}

static void products_and_defaults(void **state)
{
    struct seen *s = points("dtype=f16,bf16 causal=0,1 kernel=tile-skip skip=tile,slice # note");

    (void)state;
    assert_int_equal(s->n, 8);
    assert_int_equal(s->points[0].head_dim, 64);
    assert_int_equal(s->points[0].q_pos0, SCR_Q_POS0_DEFAULT);
    assert_int_equal(s->points[7].dtype, SCR_BF16);
    assert_true(s->points[7].causal);
    assert_int_equal(s->points[7].skip, SCR_SKIP_SLICE);
    free(s);
}

static void ends_are_two_workloads(void **state)
{
    struct seen *s = points("workload=ends kernel=dense skip=none");

    (void)state;
    assert_int_equal(s->n, 2);
    assert_true(s->points[0].workload.density == 0);
    assert_true(s->points[1].workload.density == 1);
    free(s);
}

static void trace_heads(void **state)
{
    struct seen *s = points("workload=trace:f trace_head=all,each,0:6:+3 kernel=dense skip=none");
    const int heads[] = {SCR_HEAD_ALL, SCR_HEAD_EACH, 0, 3, 6};

    (void)state;
    assert_int_equal(s->n, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(s->points[i].trace_head, heads[i]);
    free(s);
    s = points("kernel=dense skip=none");
    assert_int_equal(s->points[0].trace_head, SCR_HEAD_ALL);
    free(s);
}

/* The cases of a line of axes on the C kernels; `why` receives the line of a failure. */
static int cases_of(const char *line, struct scr_case_list *l, char *why, size_t why_size)
{
    static const scr_device_info ref = {.id = "ref:0", .backend = "ref", .is_cpu = true};
    const scr_device_info *devices[] = {&ref};
    struct scr_axes axes = {0};
    int status;

    *l = (struct scr_case_list){0};
    assert_int_equal(scr_axes_set_line(&axes, line, why, why_size), SCR_OK);
    status = scr_case_list_add(l, &axes, devices, 1, 1, why, why_size);
    scr_axes_clear(&axes);
    return status;
}

/* A head is a case with data of its own, and its command names it. */
static void a_trace_gives_a_case_a_head(void **state)
{
    const char *folder = getenv("SCR_TEST_DATA");
    struct scr_case_list l;
    char line[600], why[300] = "", name[SCR_CASE_TEXT], repro[2048];

    (void)state;
    assert_non_null(folder);
    snprintf(line, sizeof line,
             "workload=trace:%s/psi16_k16v64.safetensors trace_head=all,each kernel=masked-dense",
             folder);
    assert_int_equal(cases_of(line, &l, why, sizeof why), SCR_OK);
    scr_case_list_sort(&l);
    assert_int_equal(l.n, 5);
    assert_int_equal(l.n_groups, 5);
    for (int i = 0; i < 5; i++) {
        const struct scr_case *c = &l.cases[i];
        char word[30];

        scr_case_name(c, name, sizeof name);
        scr_case_repro(c, "--sweep", repro, sizeof repro);
        assert_int_equal(c->spec.problem.heads_q, i == 0 ? 4 : 1);
        assert_int_equal(c->spec.problem.len_q, 1024);
        assert_int_equal(c->spec.one_head, i > 0);
        if (i == 0) {
            assert_null(strstr(name, "head="));
            assert_null(strstr(repro, "trace_head"));
            continue;
        }
        assert_int_equal(c->spec.trace_head, i - 1);
        assert_int_equal(c->spec.problem.heads_kv, 1);
        snprintf(word, sizeof word, " head=%d", i - 1);
        assert_non_null(strstr(name, word));
        snprintf(word, sizeof word, " -a trace_head=%d ", i - 1);
        assert_non_null(strstr(repro, word));
    }
    scr_case_list_clear(&l);

    snprintf(line, sizeof line,
             "workload=trace:%s/psi16_k16v64.safetensors trace_head=4 kernel=dense", folder);
    assert_int_equal(cases_of(line, &l, why, sizeof why), SCR_ERR_INVALID);
    assert_non_null(strstr(why, "are 0 to 3"));
    scr_case_list_clear(&l);
    assert_int_equal(cases_of("workload=planted:0.1x64 trace_head=0", &l, why, sizeof why),
                     SCR_ERR_INVALID);
    assert_string_equal(why, "-a trace_head: workload planted:0.1x64 is not a trace");
    scr_case_list_clear(&l);
}

static void key_lengths(void **state)
{
    struct seen *s = points("kv_len=none,full,ragged,0,7 kernel=dense skip=none");
    struct scr_case_list l;
    char why[300] = "", repro[2048];

    (void)state;
    assert_int_equal(s->n, 5);
    assert_true(!s->points[0].has_kv_len && s->points[1].has_kv_len && s->points[2].ragged);
    assert_int_equal(s->points[1].kv_len, SCR_KV_LEN_ALL);
    assert_true(s->points[3].has_kv_len && s->points[3].kv_len == 0 && s->points[4].kv_len == 7);
    free(s);

    /* A number above kv has no meaning, kv itself is "full". */
    assert_int_equal(
        cases_of("seq=9 kv=7 kv_len=0,6,7,8 kernel=dense skip=none", &l, why, sizeof why), SCR_OK);
    assert_int_equal(l.n, 3);
    assert_non_null(strstr(l.dropped, "kv_len 8 is above kv"));
    for (int i = 0; i < 3; i++) {
        static const char *const said[] = {"-a kv_len=0 ", "-a kv_len=6 ", "-a kv_len=full "};

        scr_case_repro(&l.cases[i], "--check", repro, sizeof repro);
        assert_non_null(strstr(repro, said[i]));
        assert_int_equal(l.cases[i].spec.kv_missing, i == 0 ? 7 : i == 1 ? 1 : 0);
    }
    scr_case_list_clear(&l);
}

static void tiles_and_params(void **state)
{
    struct seen *s = points("tile=64x32,all,auto param=WG=64+VEC=2 kernel=dense skip=none");

    (void)state;
    assert_int_equal(s->n, 3);
    assert_int_equal(s->points[0].tile_q, 64);
    assert_int_equal(s->points[0].tile_k, 32);
    assert_int_equal(s->points[1].tile_q, SCR_TILE_ALL);
    assert_int_equal(s->points[2].tile_q, SCR_TILE_AUTO);
    assert_int_equal(s->points[0].n_params, 2);
    assert_string_equal(s->points[0].params[1].name, "VEC");
    assert_int_equal(s->points[0].params[1].value, 2);
    free(s);
}

static void bad_words_are_refused_by_name(void **state)
{
    static const struct {
        const char *assignment, *said;
    } bad[] = {
        {"sqe=3", "did you mean 'seq'"},
        {"nonsense=3", "expected seq kv"},
        {"seq", "not AXIS=LIST"},
        {"seq=", "empty value"},
        {"seq=1,,2", "empty value"},
        {"seq=1,", "empty value"},
        {"seq=0", "1 to 16777216"},
        {"seq=-4", "1 to 16777216"},
        {"seq=4k", "1 to 16777216"},
        {"seq=99999999999999999999", "1 to 16777216"},
        {"seq=1:2", "not a range"},
        {"seq=1:2:3", "not a range"},
        {"seq=1:2:+1:2", "not a range"},
        {"seq=1:8:+0", "never ends"},
        {"seq=1:8:*1", "never ends"},
        {"seq=1:8:*-2", "never ends"},
        {"seq=0:8:*2", "never ends"},
        {"seq=8:1:+1", "empty"},
        {"seq=1:16777216:+1", "more than 1000000 values"},
        {"seq=1:nan:+1", "not a range"},
        {"head_dim=48", "16, 32, 64 or 128"},
        {"dtype=f64", "f32, f16 or bf16"},
        {"kernel=sparse", "dense, masked-dense or tile-skip"},
        {"variant=nosuch", "variant"},
        {"tile=64", "64x64"},
        {"tile=64x", "64x64"},
        {"tile=x64", "64x64"},
        {"tile=0x64", "64x64"},
        {"skip=all", "none, tile or slice"},
        {"r=0", "> 0"},
        {"r=nan", "> 0"},
        {"r=inf", "> 0"},
        {"window=-1", "> 0"},
        {"trace_head=-1", "all (the layer as one case), each"},
        {"trace_head=every", "all (the layer as one case), each"},
        {"window=nan", "> 0"},
        {"workload=planted:2", "planted"},
        {"causal=yes", "0 or 1"},
        {"kv_len=half", "ragged"},
        {"kv_len=-1", "number of keys"},
        {"param=WG", "NAME=NUMBER"},
        {"param=WG=", "NAME=NUMBER"},
        {"param==3", "NAME=NUMBER"},
        {"param=A=1+", "NAME=NUMBER"},
        {"param=NOSUCH=1", "no kernel has a parameter 'NOSUCH'"},
        {"param=TILE_Q=32+NOSUCH=1", "no kernel has a parameter 'NOSUCH'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct scr_axes axes = {0};
        char why[300] = "";

        if (scr_axes_set(&axes, bad[i].assignment, why, sizeof why) != SCR_ERR_INVALID)
            fail_msg("%s was taken", bad[i].assignment);
        if (strstr(why, bad[i].said) == NULL || strchr(why, '\n') != NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].assignment, why, bad[i].said);
        scr_axes_clear(&axes);
    }
}

static void overrides_drop_what_follows(void **state)
{
    struct scr_axes axes = {0}, over = {0};
    struct seen *s = calloc(1, sizeof *s);
    char why[300];

    (void)state;
    assert_int_equal(scr_axes_set_line(&axes, "seq=8 kv=16 dk=16 dv=128 kernel=dense skip=none",
                                       why, sizeof why),
                     SCR_OK);
    assert_int_equal(scr_axes_set_line(&over, "seq=32 head_dim=64", why, sizeof why), SCR_OK);
    assert_int_equal(scr_axes_override(&axes, &over), SCR_OK);
    assert_int_equal(scr_axes_for_each(&axes, keep, s), SCR_OK);
    assert_int_equal(s->n, 1);
    assert_int_equal(s->points[0].seq, 32);
    assert_int_equal(s->points[0].kv, 0);
    assert_int_equal(s->points[0].dk, 0);
    assert_int_equal(s->points[0].dv, 0);
    free(s);
    scr_axes_clear(&axes);
    scr_axes_clear(&over);
}

/* A preset's lengths, windows and sharpness are for drawn data; what a user says holds for all. */
static void a_trace_keeps_its_own(void **state)
{
    struct scr_axes axes = {0}, over = {0};
    struct seen *s = calloc(1, sizeof *s);
    char why[300];

    (void)state;
    assert_int_equal(
        scr_axes_set_line(&axes, "seq=8 window=inf r=3 kernel=dense skip=none", why, sizeof why),
        SCR_OK);
    scr_axes_mark_preset(&axes);
    assert_int_equal(scr_axes_set_line(&over, "workload=trace:f,iid r=5", why, sizeof why), SCR_OK);
    assert_int_equal(scr_axes_override(&axes, &over), SCR_OK);
    assert_int_equal(scr_axes_for_each(&axes, keep, s), SCR_OK);
    assert_int_equal(s->n, 2);
    assert_int_equal(s->points[0].workload.kind, SCR_WORKLOAD_TRACE);
    assert_int_equal(s->points[0].seq, 0);
    assert_int_equal(s->points[0].window.kind, SCR_WINDOW_AUTO);
    assert_true(s->points[0].r == 5);
    assert_int_equal(s->points[1].seq, 8);
    assert_int_equal(s->points[1].window.kind, SCR_WINDOW_INF);
    free(s);
    scr_axes_clear(&axes);
    scr_axes_clear(&over);
}

/* The cases of a preset on a made-up device; axes: words of -a. False: no kernel is built for it.
 */
static bool cases_of_preset(const char *preset, int device, const char *axes,
                            struct scr_case_list *l, int *status, char *why, size_t why_size)
{
    struct scr_devices devices = {.n = 1, .info = {&made_up[device]}};
    struct scr_options o = {.preset = preset, .mode = SCR_MODE_SWEEP, .seed = 1};
    double limit_s;
    bool there = false;

    for (size_t i = 0; i < scr_kernel_decl_count && !there; i++)
        there = strcmp(scr_kernel_decls[i].backend, made_up[device].backend) == 0;
    *l = (struct scr_case_list){0};
    assert_int_equal(scr_axes_set_line(&o.axes, axes, why, why_size), SCR_OK);
    if (there)
        *status = scr_enumerate(&o, &devices, l, &limit_s, why, why_size);
    scr_axes_clear(&o.axes);
    return there;
}

/* Of a sorted list. */
static size_t data_sets_with_peers(const struct scr_case_list *l)
{
    size_t n = 0;
    bool seen = false;

    for (size_t i = 0; i < l->n; i++) {
        seen &= i > 0 && l->cases[i].group == l->cases[i - 1].group;
        n += !seen && !l->cases[i].no_peers;
        seen |= !l->cases[i].no_peers;
    }
    return n;
}

static bool has_case(const struct scr_case_list *l, int len, int dk, int dv, const char *kernel)
{
    for (size_t i = 0; i < l->n; i++) {
        const scr_problem *p = &l->cases[i].spec.problem;

        if (p->len_q == len && p->dk == dk && p->dv == dv &&
            strcmp(l->cases[i].config.kernel, kernel) == 0)
            return true;
    }
    return false;
}

/* What is published of a device: the shapes that it must have, in no more rows than are told. */
static void full_presets(void **state)
{
    static const struct {
        int device, longest, longest_dense;
        size_t rows, data_sets, with_peers;
    } classes[] = {{REF, 16384, 8192, 180, 70, 12}, {CUDA, 131072, 16384, 210, 80, 20}};
    char why[300] = "";

    (void)state;
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        struct scr_case_list l;
        int status = SCR_OK;

        if (!cases_of_preset("full", classes[i].device, "", &l, &status, why, sizeof why))
            continue;
        assert_int_equal(status, SCR_OK);
        assert_in_range(l.n, classes[i].rows / 2, classes[i].rows);
        assert_in_range(l.n_groups, classes[i].data_sets / 2, classes[i].data_sets);
        assert_in_range(data_sets_with_peers(&l), 10, classes[i].with_peers);
        assert_true(has_case(&l, 512, 64, 64, "tile-skip"));
        assert_true(has_case(&l, classes[i].longest, 64, 64, "masked-dense"));
        assert_true(has_case(&l, classes[i].longest_dense, 64, 64, "dense"));
        assert_false(has_case(&l, 2 * classes[i].longest_dense, 64, 64, "dense"));
        assert_true(has_case(&l, classes[i].device == REF ? 4096 : 8192, 16, 64, "tile-skip"));
        assert_true(has_case(&l, classes[i].device == REF ? 4096 : 8192, 128, 128, "tile-skip"));
        for (size_t j = 0; j < l.n; j++)
            assert_true(l.cases[j].refused == SCR_OK || l.cases[j].tile_q == 16);
        scr_case_list_clear(&l);
    }
}

/* Two layers, which every device times against masked-dense and against softmax attention. */
static void trained_preset(void **state)
{
    static const int devices[] = {REF, CUDA};
    char why[300] = "";

    (void)state;
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        struct scr_case_list l;
        int status = SCR_OK;

        if (!cases_of_preset("trained", devices[i], "", &l, &status, why, sizeof why))
            continue;
        assert_int_equal(status, SCR_OK);
        assert_int_equal(l.n_groups, 2);
        assert_int_equal(l.n, 2 * 4); /* masked-dense and three ways to skip */
        assert_int_equal(data_sets_with_peers(&l), 2);
        for (size_t j = 0; j < l.n; j++) {
            assert_int_equal(l.cases[j].spec.window.kind, SCR_WINDOW_TRAINED);
            assert_int_equal(l.cases[j].refused, SCR_OK);
        }
        scr_case_list_clear(&l);
    }
}

/* The user names the traces; then there is the layer with all kernels, and each head of it. */
static void presets_of_traces(void **state)
{
    static const char *const wrong[] = {"", "workload=iid", "workload=trace:f,iid"};
    const char *folder = getenv("SCR_TEST_DATA");
    char why[300], line[600];
    struct scr_case_list l;
    int status = SCR_OK;

    (void)state;
    assert_non_null(folder);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (!cases_of_preset("traces", REF, wrong[i], &l, &status, why, sizeof why))
            skip();
        assert_int_equal(status, SCR_ERR_INVALID);
        assert_non_null(strstr(why, "--preset traces: "));
        assert_non_null(strstr(why, "-a workload=trace:"));
        scr_case_list_clear(&l);
    }
    snprintf(line, sizeof line, "workload=trace:%s/psi16_k16v64.safetensors", folder);
    cases_of_preset("traces", REF, line, &l, &status, why, sizeof why);
    assert_int_equal(status, SCR_OK);
    /* masked-dense and three ways to skip of the layer; those three of each of its heads */
    assert_int_equal(l.n, 4 + 4 * 3);
    assert_int_equal(l.n_groups, 5);
    assert_int_equal(data_sets_with_peers(&l), 1);
    scr_case_list_clear(&l);
}

/* Parses a command line; returns the status. */
static int parse(const char *line, char *why, size_t why_size)
{
    char words[300], *argv[20], *rest = NULL;
    struct scr_options o;
    int argc = 0, status;

    snprintf(words, sizeof words, "harness %s", line);
    for (char *w = strtok_r(words, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest))
        argv[argc++] = w;
    argv[argc] = NULL;
    status = scr_options_parse(argc, argv, &o, why, why_size);
    scr_options_clear(&o);
    return status;
}

static void options_without_effect_are_refused(void **state)
{
    static const char *const refused[][2] = {
        {"--check --format json", "--format has no effect with --check"},
        {"--format json --check", "--format has no effect with --check"},
        {"--sweep --strict", "--strict has no effect with --sweep"},
        {"--strict", "--strict has no effect with --sweep"},
        {"--eval a b --out c", "--out has no effect with --eval"},
        {"--eval a b --seed 3", "--seed has no effect with --eval"},
        {"--eval a b --preset quick", "--preset has no effect with --eval"},
        {"--plot d --device ref", "--device has no effect with --plot"},
        {"--plot d -a seq=3", "-a has no effect with --plot"},
        {"--list-devices --dry-run", "--dry-run has no effect with --list-devices"},
    };
    static const char *const taken[] = {
        "--sweep --device ref --preset quick --out d --format csv --budget 5 --seed 2 -a seq=3",
        "--check --strict --cases f --budget 5 --out d",
        "--eval a b --dry-run --device ref -a causal=1",
        "--dry-run --format json",
        "--plot d --help",
    };
    char why[300];

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(parse(refused[i][0], why, sizeof why), SCR_ERR_INVALID);
        assert_string_equal(why, refused[i][1]);
    }
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        if (parse(taken[i], why, sizeof why) != SCR_OK)
            fail_msg("%s: %s", taken[i], why);
    }
}

static void durations(void **state)
{
    double s;

    (void)state;
    assert_true(scr_parse_duration("90", &s) && s == 90);
    assert_true(scr_parse_duration("90s", &s) && s == 90);
    assert_true(scr_parse_duration("5m", &s) && s == 300);
    assert_true(scr_parse_duration("1.5h", &s) && s == 5400);
    assert_false(scr_parse_duration("", &s));
    assert_false(scr_parse_duration("0", &s));
    assert_false(scr_parse_duration("-1", &s));
    assert_false(scr_parse_duration("5 m", &s));
    assert_false(scr_parse_duration("1e400", &s));
    assert_false(scr_parse_duration("nan", &s));
    assert_false(scr_parse_duration("0x10", &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_expanded),
        cmocka_unit_test(products_and_defaults),
        cmocka_unit_test(ends_are_two_workloads),
        cmocka_unit_test(trace_heads),
        cmocka_unit_test(a_trace_gives_a_case_a_head),
        cmocka_unit_test(key_lengths),
        cmocka_unit_test(tiles_and_params),
        cmocka_unit_test(bad_words_are_refused_by_name),
        cmocka_unit_test(overrides_drop_what_follows),
        cmocka_unit_test(a_trace_keeps_its_own),
        cmocka_unit_test(options_without_effect_are_refused),
        cmocka_unit_test(durations),
        cmocka_unit_test(full_presets),
        cmocka_unit_test(trained_preset),
        cmocka_unit_test(presets_of_traces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
