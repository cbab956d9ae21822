/* SPDX-License-Identifier: Apache-2.0 */
/* Peers of every manner: what becomes of their rows. SCR_TEST_PEER is the fake peer's command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "peer_fixture.h"
#include "softmax_truth.h"
#include "timer.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#define SMALL "workload=planted:0.3x8 batch=2 heads=2 kv_heads=1 seq=24 kv=32 dk=16 dv=32"

static const struct scr_peer_options timed = {.time_limit_s = 0.1, .timeout_s = 60};

static struct scr_peer *start(const char *more)
{
    char command[SCR_PEER_MAX_COMMAND], why[300] = "";
    struct scr_peer *peer;

    snprintf(command, sizeof command, "%s %s", getenv("SCR_TEST_PEER"), more);
    if (scr_peer_start(command, NULL, &peer, why, sizeof why) != SCR_OK)
        fail_msg("%s", why);
    return peer;
}

static int find(const struct scr_peer *peer, const char *kernel)
{
    const struct scr_peer_info *info = scr_peer_describe(peer);

    for (int i = 0; i < info->n_kernels; i++) {
        if (strcmp(info->kernels[i], kernel) == 0)
            return i;
    }
    fail_msg("no kernel %s", kernel);
    return -1;
}

static void run(struct scr_peer *peer, struct peer_fixture *f, const char *kernel,
                const struct scr_peer_options *options, struct scr_row *row)
{
    int k = find(peer, kernel);

    scr_peer_row_init(peer, &f->list.cases[0], k, row);
    assert_true(scr_peer_run(peer, f->problem, &f->list.cases[0], k, options, row));
}

/* The row has the status, all of the reason's words, and no time where it is not ok. */
static void expect(struct scr_peer *peer, struct peer_fixture *f, const char *kernel,
                   const char *status, const char *reason)
{
    struct scr_peer_options options = timed;
    struct scr_row row;

    if (strcmp(status, "timeout") == 0)
        options.timeout_s = 1;
    run(peer, f, kernel, &options, &row);
    if (strcmp(row.status, status) != 0 || strstr(row.reason, reason) == NULL)
        fail_msg("%s: %s: %s", kernel, row.status, row.reason);
    assert_string_equal(row.kernel, kernel);
    assert_true(isnan(row.t_median_ns) == (strcmp(status, "ok") != 0));
}

static void test_describes_itself(void **state)
{
    struct scr_peer *peer = start("softmax");
    const struct scr_peer_info *info = scr_peer_describe(peer);
    json_t *json = scr_peer_json(peer);

    (void)state;
    assert_string_equal(info->name, "fake");
    assert_string_equal(info->version, "1.0");
    assert_string_equal(info->op, "softmax");
    assert_string_equal(info->kernels[0], "right");
    assert_string_equal(json_string_value(json_object_get(json, "peer")), "fake");
    assert_int_equal(json_array_size(json_object_get(json, "kernels")), info->n_kernels);
    json_decref(json);
    scr_peer_stop(&peer);
    assert_null(peer);
}

static void test_a_row_that_is_right(void **state)
{
    struct peer_fixture f;
    struct scr_peer *peer = start("screening");
    struct scr_row row;

    (void)state;
    peer_fixture_make(&f, SMALL);
    run(peer, &f, "right", &timed, &row);
    assert_string_equal(row.status, "ok");
    assert_string_equal(row.peer, "fake");
    assert_string_equal(row.op, "screening");
    assert_string_equal(row.variant, "1.0");
    assert_string_equal(row.params, "answer=42");
    assert_string_equal(row.device, "ref:0");
    assert_string_equal(row.skip, "");
    assert_true(isnan(row.tile_q));
    assert_string_equal(row.timer, "wall");
    assert_string_equal(row.cache, "cold");
    assert_string_equal(row.stop, "count");
    assert_string_equal(row.flags, "");
    assert_true(row.n_samples == 20 && row.t_median_ns == 1009.5 && row.t_min_ns == 1000);
    assert_true(row.t_ci_lo_ns > 1000 && row.t_ci_hi_ns < 1019);
    assert_true(row.rel_err > 0 && row.rel_err < 1e-6 && row.tol == 1e-5);
    assert_true(row.rows_checked == 2 * 2 * 24 && row.rows == row.rows_checked);
    assert_true(row.pair_density > 0);
    assert_non_null(strstr(row.repro, "harness --sweep --device ref:0 -a workload=planted:0.3x8"));
    assert_non_null(strstr(row.repro, " --peer-kernel right"));
    run(peer, &f, "few", &timed, &row);
    assert_true(row.n_samples == 3 && row.t_median_ns == 2 && isnan(row.t_ci_lo_ns));
    run(peer, &f, "warm", &timed, &row);
    assert_string_equal(row.cache, "warm");
    assert_string_equal(row.flags, "not-cold,host-bound");
    scr_peer_stop(&peer);
    peer_fixture_clear(&f);
}

/* The reference that a peer is held to is the one of its operator. */
static void test_operators(void **state)
{
    static const char *const axes[] = {
        SMALL " causal=1",
        SMALL " causal=0 window=inf",
        SMALL " causal=1 q_pos0=0 kv_len=ragged",
        SMALL " causal=1 q_pos0=-5",
        "workload=window window=9 batch=1 heads=4 kv_heads=2 seq=40 kv=17 dk=32 dv=16",
    };

    (void)state;
    for (int softmax = 0; softmax < 2; softmax++) {
        struct scr_peer *peer = start(softmax ? "softmax" : "screening");

        for (size_t i = 0; i < sizeof axes / sizeof axes[0]; i++) {
            struct peer_fixture f;

            peer_fixture_make(&f, axes[i]);
            expect(peer, &f, "right", "ok", "");
            expect(peer, &f, "one-wrong", "wrong", "row ");
            expect(peer, &f, "a-nan", "wrong", "NaN");
            peer_fixture_clear(&f);
        }
        scr_peer_stop(&peer);
    }
}

static void test_a_peer_that_misbehaves(void **state)
{
    static const struct {
        const char *kernel, *status, *reason;
    } all[] = {
        {"unsupported", "unsupported", "not on a?Monday"},
        {"oom", "oom", "4 PB are too many"},
        {"failed", "failed", "ValueError: first line"},
        {"crash", "crashed", "signal 11 (Segmentation fault): about to go"},
        {"leaves", "crashed", "exit status 3: no more today"},
        {"hang", "timeout", "no answer within 1 s: thinking"},
        {"babble", "failed", "no JSON object: 'Loading weights... ?[32m100 %'"},
        {"flood", "failed", "4 MiB without a newline"},
        {"noise", "ok", ""},
        {"other-id", "failed", "another \"id\""},
        {"no-output", "failed", "no output"},
        {"bad-file", "failed", "peer-o.safetensors"},
        {"bad-shape", "failed", "not of shape [2,2,24,32]"},
        {"bad-name", "failed", "no tensor \"o\" of type f32"},
        {"no-times", "failed", "\"t_ns\" is not a list"},
        {"bad-times", "failed", "no time above 0"},
        {"bad-timer", "failed", "\"timer\" is neither"},
        {"no-status", "failed", "no \"status\""},
    };
    struct peer_fixture f;
    struct scr_peer *peer = start("screening");

    (void)state;
    peer_fixture_make(&f, SMALL);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        expect(peer, &f, all[i].kernel, all[i].status, all[i].reason);
        /* Whatever it was, it has cost that row and no other. */
        expect(peer, &f, "right", "ok", "");
    }
    scr_peer_stop(&peer);
    peer_fixture_clear(&f);
}

static void test_checks_without_times(void **state)
{
    static const struct scr_peer_options untimed = {.timeout_s = 60};
    struct peer_fixture f;
    struct scr_peer *peer = start("screening");
    struct scr_row row;

    (void)state;
    peer_fixture_make(&f, SMALL);
    run(peer, &f, "no-times", &untimed, &row);
    assert_string_equal(row.status, "ok");
    assert_true(isnan(row.t_median_ns));
    run(peer, &f, "one-wrong", &untimed, &row);
    assert_string_equal(row.status, "wrong");
    scr_peer_stop(&peer);
    peer_fixture_clear(&f);
}

static volatile sig_atomic_t interrupted;

static int started;

static void count_start(void *user, pid_t group)
{
    (void)user;
    started += group > 0;
}

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* A process is gone before long, or is a zombie that somebody else has to collect. */
static bool gone(int pid)
{
    for (int i = 0; i < 6000; i++) {
        char path[40], state = 'Z';
        FILE *f;

        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        f = fopen(path, "r");
        if (f == NULL)
            return true;
        if (fscanf(f, "%*d %*s %c", &state) != 1)
            state = 'Z';
        fclose(f);
        if (state == 'Z')
            return true;
        usleep(10000);
    }
    return false;
}

static void read_pids(const char *path, int pids[2])
{
    FILE *f = NULL;

    for (int i = 0; i < 6000 && f == NULL; i++) {
        f = fopen(path, "r");
        if (f != NULL && fscanf(f, "%d %d", &pids[0], &pids[1]) != 2) {
            fclose(f);
            f = NULL;
        }
        usleep(10000);
    }
    assert_non_null(f);
    fclose(f);
    unlink(path);
}

static void test_a_peer_that_quits(void **state)
{
    struct peer_fixture f;
    struct scr_peer *peer = start("screening");

    (void)state;
    peer_fixture_make(&f, SMALL);
    expect(peer, &f, "quits", "ok", "");
    sleep(2); /* it ends a tenth of a second after its answer */
    expect(peer, &f, "right", "ok", "");
    scr_peer_stop(&peer);
    peer_fixture_clear(&f);
}

/* What is known of a peer makes the same row as the peer does, and starts it only when asked. */
static void test_recall(void **state)
{
    struct peer_fixture f;
    struct scr_peer *first = start("screening"), *peer;
    const char *command = getenv("SCR_TEST_PEER");
    json_t *json = scr_peer_json(first);
    struct scr_peer_info info, other;
    struct scr_row row, same;

    (void)state;
    peer_fixture_make(&f, SMALL);
    assert_true(scr_peer_info_from_json(json, &info));
    assert_memory_equal(&info, scr_peer_describe(first), sizeof info);
    scr_peer_row_init(first, &f.list.cases[0], 1, &row);
    scr_peer_row_identify(&info, json_string_value(json_object_get(json, "command")),
                          &f.list.cases[0], 1, &same);
    assert_string_equal(row.repro, same.repro);
    assert_string_equal(row.kernel, same.kernel);
    assert_false(scr_peer_info_from_json(json_null(), &other));
    assert_int_equal(scr_peer_recall(command, &info, NULL, &peer), SCR_OK);
    expect(peer, &f, "right", "ok", "");
    scr_peer_stop(&peer);
    assert_int_equal(scr_peer_recall("false", &info, NULL, &peer), SCR_OK);
    expect(peer, &f, "right", "failed",
           "does not start again: ended (exit status 1) before its greeting");
    scr_peer_stop(&peer);
    strcpy(info.version, "0.9");
    assert_int_equal(scr_peer_recall(command, &info, NULL, &peer), SCR_OK);
    expect(peer, &f, "right", "failed", "says that it is another");
    scr_peer_stop(&peer);
    json_decref(json);
    scr_peer_stop(&first);
    peer_fixture_clear(&f);
}

/* Ends the wait at once, with what the peer had started itself. */
static void test_interrupt(void **state)
{
    char command[SCR_PEER_MAX_COMMAND], pid_file[100], why[300];
    const struct scr_peer_watch watch = {.stop = &interrupted, .started = count_start};
    struct peer_fixture f;
    struct scr_peer *peer;
    struct scr_row row;
    double begin;
    int pids[2];

    (void)state;
    peer_fixture_make(&f, SMALL);
    snprintf(pid_file, sizeof pid_file, "%s/pids", f.folder);
    snprintf(command, sizeof command, "%s screening %s", getenv("SCR_TEST_PEER"), pid_file);
    signal(SIGALRM, interrupt);
    interrupted = started = 0;
    assert_int_equal(scr_peer_start(command, &watch, &peer, why, sizeof why), SCR_OK);
    assert_int_equal(started, 1);
    begin = scr_clock_s();
    alarm(3);
    scr_peer_row_init(peer, &f.list.cases[0], find(peer, "hang"), &row);
    assert_false(scr_peer_run(peer, f.problem, &f.list.cases[0], find(peer, "hang"), &timed, &row));
    assert_true(scr_clock_s() - begin < timed.timeout_s - 10);
    read_pids(pid_file, pids);
    assert_true(gone(pids[0]));
    assert_true(gone(pids[1]));
    scr_peer_stop(&peer);
    peer_fixture_clear(&f);
}

/* A harness that is killed leaves no peer at work. */
static void test_ends_with_the_harness(void **state)
{
    char more[120], pid_file[100];
    struct peer_fixture f;
    pid_t child;
    int pids[2];

    (void)state;
    peer_fixture_make(&f, SMALL);
    snprintf(pid_file, sizeof pid_file, "%s/pids", f.folder);
    snprintf(more, sizeof more, "screening %s", pid_file);
    child = fork();
    if (child == 0) {
        struct scr_peer *peer = start(more);
        struct scr_row row;

        run(peer, &f, "hang", &timed, &row);
        _exit(0);
    }
    assert_true(child > 0);
    read_pids(pid_file, pids);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(gone(pids[0]));
    kill(pids[1], SIGKILL);
    peer_fixture_clear(&f);
}

static void test_commands_that_are_no_peers(void **state)
{
    static const struct {
        const char *command, *said;
        int status;
    } all[] = {
        {"sh -c 'exit 5'", "ended (exit status 5) before its greeting", SCR_ERR_DEVICE},
        {"/nonexistent/peer", "(exit status 127) before its greeting: ", SCR_ERR_DEVICE},
        {"true", "--peer true: ended (exit status 0) before its greeting", SCR_ERR_DEVICE},
        {"sh -c 'echo usage: x; sleep 100'", "no JSON object: 'usage: x'", SCR_ERR_INVALID},
        {"sh -c 'echo [1]; sleep 100'", "no JSON object", SCR_ERR_INVALID},
        {"sh -c 'echo {}; sleep 100'", "no greeting", SCR_ERR_INVALID},
        {"echo '{\"hello\":2}'", "another version", SCR_ERR_INVALID},
        {"echo '{\"hello\":1,\"peer\":\"a b\"}'", "not a short name", SCR_ERR_INVALID},
        {"echo '{\"hello\":1,\"peer\":\"a\",\"operator\":\"linear\"}'", "\"operator\"",
         SCR_ERR_INVALID},
        {"echo '{\"hello\":1,\"peer\":\"a\",\"operator\":\"softmax\",\"kernels\":[]}'",
         "\"kernels\"", SCR_ERR_INVALID},
        {"echo '{\"hello\":1,\"peer\":\"a\",\"operator\":\"softmax\",\"kernels\":[\"b\",\"b\"]}'",
         "twice", SCR_ERR_INVALID},
        {"", "--peer: a command is missing", SCR_ERR_INVALID},
        {" \t", "--peer: a command is missing", SCR_ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct scr_peer *peer;
        char why[300] = "";

        assert_int_equal(scr_peer_start(all[i].command, NULL, &peer, why, sizeof why),
                         all[i].status);
        assert_null(peer);
        if (strstr(why, all[i].said) == NULL || strncmp(why, "--peer", 6) != 0)
            fail_msg("%s: %s", all[i].command, why);
    }
}

/* Where rows are sampled, an error among those that are not is not seen, a NaN is. */
static void test_softmax_sample(void **state)
{
    struct scr_softmax_truth *all, *some;
    struct scr_verdict v;
    struct peer_fixture f;
    size_t n = 2 * 160 * 16;
    float *o = calloc(n, sizeof *o);

    (void)state;
    assert_non_null(o);
    peer_fixture_make(&f, "workload=iid batch=1 heads=2 seq=160 dk=16 dv=16 causal=1");
    assert_int_equal(scr_softmax_truth_create(f.data, 2, UINT64_MAX, &all), SCR_OK);
    assert_int_equal(scr_softmax_truth_create(f.data, 2, 1, &some), SCR_OK);
    scr_softmax_truth_judge(all, o, SCR_F32, &v);
    assert_false(v.pass);
    /* Row 0 sees key 0 alone: its output is v_0. */
    memcpy(o, f.data->v, 16 * sizeof *o);
    scr_softmax_truth_judge(some, o, SCR_F32, &v);
    assert_false(v.pass);
    assert_non_null(strstr(v.reason, "row 1 of head 0"));
    o[80 * 16] = NAN;
    memset(o + 16, 0, 15 * 16 * sizeof *o);
    scr_softmax_truth_judge(some, o, SCR_F32, &v);
    assert_false(v.pass);
    scr_softmax_truth_destroy(&all);
    scr_softmax_truth_destroy(&some);
    peer_fixture_clear(&f);
    free(o);
}

static struct scr_row made_row(const char *peer, const char *kernel, double lo, double median,
                               double hi)
{
    struct scr_row row = {.t_ci_lo_ns = lo,
                          .t_median_ns = median,
                          .t_ci_hi_ns = hi,
                          .n_samples = SCR_MIN_SAMPLES,
                          .causal = true,
                          .vs_softmax = NAN,
                          .vs_framework = NAN};

    strcpy(row.status, "ok");
    strcpy(row.data_hash, "0123");
    strcpy(row.device, "ref:0");
    strcpy(row.dtype, "f16");
    strcpy(row.cache, "cold");
    strcpy(row.op, "screening");
    strcpy(row.peer, peer);
    strcpy(row.kernel, kernel);
    return row;
}

static void test_relate(void **state)
{
    struct scr_row ours[] = {
        made_row("", "masked-dense", 1, 1, 1),    made_row("", "tile-skip", 190, 200, 210),
        made_row("", "tile-skip", 90, 100, 110),  made_row("", "tile-skip", 1, 1, 1),
        made_row("", "tile-skip", 1, 1, 1),       made_row("other", "tile-skip", 1, 1, 1),
        made_row("", "tile-skip", NAN, NAN, NAN),
    };
    struct scr_row row = made_row("p", "eager", 400, 400, 400);
    struct scr_row soft = made_row("p", "flash", 380, 400, 420);
    size_t n = sizeof ours / sizeof ours[0];

    (void)state;
    strcpy(ours[3].status, "wrong");
    ours[4].causal = false;
    strcpy(soft.op, "softmax");
    scr_peer_relate(ours, n, &row);
    assert_true(row.vs_framework == 4 && isnan(row.vs_softmax));
    /* The peer's interval is a point: what is left is that of the 100 ns. */
    assert_true(fabs(row.vs_framework_lo - 400.0 / 110) < 1e-12);
    assert_true(fabs(row.vs_framework_hi - 400.0 / 90) < 1e-12);
    assert_string_equal(row.flags, "apart");
    scr_peer_relate(ours, n, &soft);
    assert_true(soft.vs_softmax == 4 && isnan(soft.vs_framework));
    assert_true(soft.vs_softmax_lo < 400.0 / 110 && soft.vs_softmax_lo > 380.0 / 110);
    assert_true(soft.vs_softmax_hi > 400.0 / 90 && soft.vs_softmax_hi < 420.0 / 90);
    /* Too few samples for an interval. */
    row = made_row("p", "eager", 400, NAN, NAN);
    row.n_samples = SCR_MIN_SAMPLES - 1;
    scr_peer_relate(ours, n, &row);
    assert_true(isnan(row.vs_framework));
    assert_string_equal(row.flags, "");
    /* Nothing to compare with. */
    row = made_row("p", "eager", 400, 400, 400);
    strcpy(row.dtype, "f32");
    scr_peer_relate(ours, n, &row);
    assert_true(isnan(row.vs_framework));
    assert_string_equal(row.flags, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_describes_itself),
        cmocka_unit_test(test_a_row_that_is_right),
        cmocka_unit_test(test_operators),
        cmocka_unit_test(test_a_peer_that_misbehaves),
        cmocka_unit_test(test_checks_without_times),
        cmocka_unit_test(test_a_peer_that_quits),
        cmocka_unit_test(test_recall),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_ends_with_the_harness),
        cmocka_unit_test(test_commands_that_are_no_peers),
        cmocka_unit_test(test_softmax_sample),
        cmocka_unit_test(test_relate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
