/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tuner's lab: what becomes of candidates that are right, wrong, slow, hang or crash. The
 * program is its own worker: test_lab DEVICE FAULTS [--worker BACKENDS].
 */
#include "axes.h"
#include "devices.h"
#include "lab.h"
#include "sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { TUNED, TAIL, ONE_ROW, N_SHAPES, N_CONFIGS = 4 };

static const char *program;
static const char *device_name;   /* as --device takes it */
static const char *backends = ""; /* those that can be loaded */

static int add_shape(struct scr_devices *d, const char *lengths, struct scr_case_list *list)
{
    struct scr_axes axes = {0};
    char why[200];
    int status = scr_axes_set_line(&axes,
                                   "head_dim=32 heads=2 window=inf workload=planted:0.2x16 "
                                   "kernel=tile-skip skip=tile tile=auto",
                                   why, sizeof why);

    if (status == SCR_OK)
        status = scr_axes_set_line(&axes, lengths, why, sizeof why);
    if (status == SCR_OK)
        status = scr_case_list_add(list, &axes, d->info, 1, 1, why, sizeof why);
    scr_axes_clear(&axes);
    return status;
}

/* The shapes on one device; lab and worker make the same. */
static int make_shapes(struct scr_devices *d, const char *device, struct scr_case_list *list)
{
    static const char *const lengths[N_SHAPES] = {"seq=128", "seq=77 kv=133", "seq=1 kv=40"};
    char why[200];
    int status = scr_devices_choose(d, device, false, why, sizeof why);

    *list = (struct scr_case_list){.program = "test_lab"};
    for (int i = 0; i < N_SHAPES && status == SCR_OK; i++)
        status = add_shape(d, lengths[i], list);
    return status;
}

static int be_worker(char **argv)
{
    struct scr_faults faults = {.at = -1};
    struct scr_case_list shapes = {0};
    struct scr_devices d;
    char why[200] = "";
    int result = 1;

    if (argv[2][0] != '\0' && scr_faults_parse(argv[2], &faults, why, sizeof why) != SCR_OK)
        fprintf(stderr, "%s\n", why);
    else if (scr_devices_load(&d, argv[4], NULL) == SCR_OK &&
             make_shapes(&d, argv[1], &shapes) == SCR_OK) {
        result = scr_lab_worker(&shapes, &d, &faults);
        scr_case_list_clear(&shapes);
        scr_devices_clear(&d);
    }
    return result;
}

/* A lab and what it needs. */
struct place {
    struct scr_devices devices;
    struct scr_case_list shapes;
    char *argv[4];
    volatile sig_atomic_t stop;
    struct scr_lab *lab;
    scr_config configs[N_CONFIGS];
    int n;
};

static int take_config(void *user, const scr_config *c)
{
    struct place *p = user;

    p->configs[p->n++] = *c;
    return p->n == N_CONFIGS;
}

static void set_up(struct place *p, const char *faults, double timeout_s)
{
    struct scr_lab_options o = {
        .argv = p->argv,
        .backends = backends,
        .shapes = &p->shapes,
        .n_tuned = 1,
        .n_compilers = 3,
        .timeout_s = timeout_s,
        .stop = &p->stop,
    };
    scr_config partial = {.kernel = "tile-skip", .skip = SCR_SKIP_TILE};
    const struct scr_case *c;

    memset(p, 0, sizeof *p);
    assert_int_equal(scr_devices_survey(&p->devices, NULL), SCR_OK);
    assert_int_equal(make_shapes(&p->devices, device_name, &p->shapes), SCR_OK);
    assert_int_equal(p->shapes.n, N_SHAPES);
    c = &p->shapes.cases[TUNED];
    scr_config_enumerate(c->device, &c->spec.problem, &partial, "TILE_Q,TILE_K", take_config, p);
    assert_int_equal(p->n, N_CONFIGS);
    p->argv[0] = (char *)(uintptr_t)program;
    p->argv[1] = (char *)(uintptr_t)device_name;
    p->argv[2] = (char *)(uintptr_t)faults;
    assert_int_equal(scr_lab_create(&o, &p->lab), SCR_OK);
}

static void tear_down(struct place *p)
{
    scr_lab_destroy(&p->lab);
    assert_null(p->lab);
    scr_case_list_clear(&p->shapes);
    scr_devices_clear(&p->devices);
}

/* "FAULT@TILE_Q=a,TILE_K=b" of a configuration, and `more`. */
static const char *fault_of(const char *fault, const scr_config *c, const char *more)
{
    static char text[200];

    snprintf(text, sizeof text, "%s@TILE_Q=%d,TILE_K=%d%s", fault,
             (int)scr_config_get(c, "TILE_Q", 0), (int)scr_config_get(c, "TILE_K", 0), more);
    return text;
}

/* The same, of configuration i; those of a device are always the same. */
static const char *fault_at(const char *fault, int i, const char *more)
{
    struct place p;
    const char *text;

    set_up(&p, "", 1);
    text = fault_of(fault, &p.configs[i], more);
    tear_down(&p);
    return text;
}

static void check(struct place *p, size_t shape, int i, const char *status, const char *reason)
{
    struct scr_trial t;

    assert_int_equal(scr_lab_check(p->lab, shape, &p->configs[i], &t), SCR_OK);
    if (strcmp(t.status, status) != 0 || strstr(t.reason, reason) == NULL)
        fail_msg("'%s: %s' is not '%s: %s'", t.status, t.reason, status, reason);
    assert_true(isnan(t.ns));
}

static void right_ones_are_checked_and_timed(void **state)
{
    struct place p;
    struct scr_trial t;

    (void)state;
    set_up(&p, "", 60);
    for (size_t shape = 0; shape < N_SHAPES; shape++)
        check(&p, shape, 0, "ok", "");
    assert_int_equal(scr_lab_time(p.lab, TUNED, &p.configs[0], 0.5, INFINITY, &t), SCR_OK);
    assert_string_equal(t.status, "ok");
    assert_true(t.n >= 6 && t.lo <= t.ns && t.ns <= t.hi && t.lo > 0);
    assert_true(strcmp(t.stop, "time") == 0 || strcmp(t.stop, "interval") == 0 ||
                strcmp(t.stop, "count") == 0);
    assert_true(t.timer[0] != '\0' && t.cache[0] != '\0');
    assert_true(t.pair_density > 0 && t.pair_density < 1);
    assert_true(t.resources.group_size > 0 || strcmp(device_name, "ref") == 0);
    tear_down(&p);
}

static void slow_ones_are_given_up(void **state)
{
    struct scr_trial first, t;
    struct place p;

    (void)state;
    set_up(&p, "", 60);
    assert_int_equal(scr_lab_time(p.lab, TUNED, &p.configs[0], 0.5, INFINITY, &first), SCR_OK);
    assert_string_equal(first.status, "ok");
    /* Sampled, but not to the end. A best that leaves noise no chance. */
    assert_int_equal(scr_lab_time(p.lab, TUNED, &p.configs[0], 0.5, first.ns / 20, &t), SCR_OK);
    assert_string_equal(t.status, "ok");
    assert_string_equal(t.stop, "slow");
    assert_true(t.n <= 8 && t.ns > first.ns / 20);
    /* What keeps up is not given up. */
    assert_int_equal(scr_lab_time(p.lab, TUNED, &p.configs[0], 0.5, 100 * first.ns, &t), SCR_OK);
    assert_string_not_equal(t.stop, "slow");
    tear_down(&p);
}

/* A configuration that cannot be is no worker's end. */
static void refused_ones_say_why(void **state)
{
    struct place p;

    (void)state;
    set_up(&p, "", 60);
    scr_config_set(&p.configs[0], "TILE_Q", 7);
    check(&p, TUNED, 0, "unsupported", "");
    check(&p, TUNED, 1, "ok", "");
    tear_down(&p);
}

static void wrong_at_one_shape_only(void **state)
{
    struct place p;

    (void)state;
    set_up(&p, fault_at("wrong", 0, ",case=1"), 60);
    check(&p, TUNED, 0, "ok", "");
    check(&p, TAIL, 1, "ok", "");
    check(&p, TAIL, 0, "wrong", "");
    check(&p, ONE_ROW, 0, "ok", "");
    tear_down(&p);
}

static void faults_cost_themselves(void **state)
{
    static const struct {
        const char *fault, *status, *reason;
    } faults[] = {
        {"wrong", "wrong", ""},          {"overrun", "wrong", "writes behind the output"},
        {"crash", "crashed", "in step"}, {"oom", "oom", ""},
        {"compile", "compile", ""},      {"hang", "timeout", "no answer for"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        bool hangs = strcmp(faults[i].fault, "hang") == 0;
        struct scr_trial t;
        struct place p;

        set_up(&p, fault_at(faults[i].fault, 1, ""), 60);
        check(&p, TUNED, 0, "ok", "");
        tear_down(&p);
        /* Now that all is compiled a step is short, also on a busy machine. */
        set_up(&p, fault_at(faults[i].fault, 1, ""), hangs ? 10 : 60);
        if (!hangs)
            check(&p, TUNED, 0, "ok", "");
        check(&p, TUNED, 1, faults[i].status, faults[i].reason);
        check(&p, TUNED, 0, "ok", "");
        if (!hangs) {
            assert_int_equal(scr_lab_time(p.lab, TUNED, &p.configs[1], 0.02, INFINITY, &t), SCR_OK);
            assert_string_equal(t.status, faults[i].status);
            assert_true(isnan(t.ns));
        }
        tear_down(&p);
    }
}

/* Who suffers from what another did to the process is tried again in a new one. */
static void harm_is_not_blamed_on_others(void **state)
{
    struct scr_trial t;
    struct place p;

    (void)state;
    set_up(&p, fault_at("harm", 0, ""), 60);
    /* Given up at once, so that nothing is found out. */
    assert_int_equal(scr_lab_time(p.lab, TUNED, &p.configs[0], 0.02, 1, &t), SCR_OK);
    assert_string_equal(t.status, "ok");
    assert_string_equal(t.stop, "slow");
    assert_int_equal(scr_lab_time(p.lab, TUNED, &p.configs[1], 0.02, INFINITY, &t), SCR_OK);
    assert_string_equal(t.status, "ok");
    /* Who did it is found out. */
    check(&p, TUNED, 0, "wrong", "");
    check(&p, TUNED, 1, "ok", "");
    tear_down(&p);
}

static void races_have_ratios(void **state)
{
    enum { TRIES = 6 };
    bool like = false;
    scr_config configs[3];
    struct scr_trial t[3], alone;
    struct scr_ratio ratio[3];
    struct place p;

    (void)state;
    set_up(&p, fault_at("wrong", 1, ""), 60);
    configs[0] = configs[2] = p.configs[0];
    configs[1] = p.configs[1];
    /* The same against itself; again where others had the processor. */
    for (int i = 0; i < TRIES; i++) {
        assert_int_equal(scr_lab_race(p.lab, TUNED, configs, 3, 0.1, t, ratio), SCR_OK);
        if (ratio[2].value > 0.67 && ratio[2].value < 1.5)
            break;
    }
    assert_string_equal(t[0].status, "ok");
    assert_string_equal(t[1].status, "wrong");
    assert_string_equal(t[2].status, "ok");
    assert_true(ratio[2].value > 0.67 && ratio[2].value < 1.5);
    assert_true(ratio[2].lo <= ratio[2].value && ratio[2].value <= ratio[2].hi);
    assert_true(isnan(ratio[1].value) && isnan(t[1].ns));
    assert_true(ratio[0].value == 1);
    assert_true(t[0].n >= 6 && t[0].ns > 0);

    /* Another against it, as when each is timed alone: within what a busy machine does. */
    configs[1] = p.configs[N_CONFIGS - 1];
    for (int i = 0; i < TRIES && !like; i++) {
        assert_int_equal(scr_lab_race(p.lab, TUNED, configs, 2, 0.1, t, ratio), SCR_OK);
        assert_int_equal(scr_lab_time(p.lab, TUNED, &configs[1], 0.1, INFINITY, &alone), SCR_OK);
        like = fabs(log(ratio[1].value / (t[0].ns / t[1].ns))) < log(1.5) &&
               fabs(log(alone.ns / t[1].ns)) < log(4);
    }
    assert_true(like);

    /* Without the first there is nothing to relate to. */
    configs[0] = p.configs[1];
    assert_int_equal(scr_lab_race(p.lab, TUNED, configs, 2, 0.02, t, ratio), SCR_OK);
    assert_string_equal(t[0].status, "wrong");
    assert_string_equal(t[1].status, "ok");
    assert_true(isnan(ratio[0].value) && isnan(ratio[1].value));
    assert_int_equal(scr_lab_race(p.lab, TUNED, configs, SCR_MAX_CONTESTANTS + 1, 0.02, t, ratio),
                     SCR_ERR_INVALID);
    tear_down(&p);
}

static void compilers_work_side_by_side(void **state)
{
    struct scr_trial t[N_CONFIGS];
    struct place p;

    (void)state;
    set_up(&p, "", 60);
    /* Twice: the second time the processes are there. */
    for (int round = 0; round < 2; round++) {
        assert_int_equal(scr_lab_compile(p.lab, TUNED, p.configs, N_CONFIGS, t), SCR_OK);
        for (int i = 0; i < N_CONFIGS; i++) {
            assert_string_equal(t[i].status, "ok");
            assert_true(t[i].resources.group_size > 0 || strcmp(device_name, "ref") == 0);
            assert_true(isnan(t[i].ns));
        }
    }
    assert_int_equal(scr_lab_compile(p.lab, TUNED, p.configs, 0, t), SCR_OK);
    scr_config_set(&p.configs[1], "TILE_Q", 7);
    assert_int_equal(scr_lab_compile(p.lab, TUNED, p.configs, N_CONFIGS, t), SCR_OK);
    assert_string_equal(t[0].status, "ok");
    assert_string_equal(t[1].status, "unsupported");
    tear_down(&p);
}

static void compiler_faults_cost_themselves(void **state)
{
    static const struct {
        const char *fault, *status;
    } faults[] = {
        {"compile", "compile"}, {"compile-crash", "crashed"}, {"compile-hang", "timeout"}};

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct scr_trial t[N_CONFIGS];
        struct place p;

        set_up(&p, fault_at(faults[i].fault, 2, ""), i == 2 ? 10 : 60);
        assert_int_equal(scr_lab_compile(p.lab, TUNED, p.configs, N_CONFIGS, t), SCR_OK);
        for (int j = 0; j < N_CONFIGS; j++)
            assert_string_equal(t[j].status, j == 2 ? faults[i].status : "ok");
        tear_down(&p);
    }
}

static void a_wish_to_stop_is_heard(void **state)
{
    struct scr_trial t[N_CONFIGS];
    struct scr_ratio ratio[2];
    struct place p;

    (void)state;
    set_up(&p, "", 60);
    check(&p, ONE_ROW, 0, "ok", "");
    p.stop = 1;
    assert_int_equal(scr_lab_check(p.lab, TUNED, &p.configs[0], t), SCR_ERR_DEVICE);
    assert_string_equal(t[0].status, "skipped");
    assert_string_equal(t[0].reason, "interrupted");
    assert_int_equal(scr_lab_race(p.lab, TUNED, p.configs, 2, 1, t, ratio), SCR_ERR_DEVICE);
    assert_int_equal(scr_lab_compile(p.lab, TUNED, p.configs, N_CONFIGS, t), SCR_ERR_DEVICE);
    for (int i = 0; i < N_CONFIGS; i++)
        assert_string_equal(t[i].status, "skipped");
    assert_string_equal(scr_lab_why(p.lab), "");
    tear_down(&p);
}

static void no_worker_is_told(void **state)
{
    struct scr_trial t[N_CONFIGS];
    struct place p;

    (void)state;
    /* The workers cannot read that, and end. */
    set_up(&p, "fire", 60);
    assert_int_equal(scr_lab_check(p.lab, TUNED, &p.configs[0], t), SCR_ERR_DEVICE);
    assert_non_null(strstr(scr_lab_why(p.lab), "did not start"));
    assert_non_null(strstr(t[0].reason, "did not start"));
    assert_int_equal(scr_lab_compile(p.lab, TUNED, p.configs, N_CONFIGS, t), SCR_ERR_DEVICE);
    assert_string_equal(t[N_CONFIGS - 1].status, "skipped");
    assert_non_null(strstr(scr_lab_why(p.lab), "did not start"));
    tear_down(&p);
}

/* Whether this machine has such a device; notes what can be loaded. */
static bool has_device(const char *name)
{
    static char loadable[40];
    struct scr_devices d;
    char why[200];
    bool has = scr_devices_survey(&d, NULL) == SCR_OK &&
               scr_devices_choose(&d, name, false, why, sizeof why) == SCR_OK;

    snprintf(loadable, sizeof loadable, "%s", d.backends);
    backends = loadable;
    scr_devices_clear(&d);
    return has;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_ones_are_checked_and_timed),
        cmocka_unit_test(slow_ones_are_given_up),
        cmocka_unit_test(refused_ones_say_why),
        cmocka_unit_test(wrong_at_one_shape_only),
        cmocka_unit_test(faults_cost_themselves),
        cmocka_unit_test(harm_is_not_blamed_on_others),
        cmocka_unit_test(races_have_ratios),
        cmocka_unit_test(compilers_work_side_by_side),
        cmocka_unit_test(compiler_faults_cost_themselves),
        cmocka_unit_test(a_wish_to_stop_is_heard),
        cmocka_unit_test(no_worker_is_told),
    };

    if (argc == 5 && strcmp(argv[3], "--worker") == 0)
        return be_worker(argv);
    program = argv[0];
    device_name = argc > 1 ? argv[1] : "ref";
    if (!has_device(device_name)) {
        fprintf(stderr, "no device %s\n", device_name);
        return 77;
    }
    return cmocka_run_group_tests_name(device_name, tests, NULL, NULL);
}
