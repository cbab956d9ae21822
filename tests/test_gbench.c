/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Google Benchmark shim. The library runs once a process, so a test starts this program with
 * --benchmark_* words: then it is a benchmark of six cases. TEST_GBENCH_SCALE multiplies times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gbench_shim.h"

#include <jansson.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_CASES = 6 };
static const char *const names[N_CASES] = {"skipped", "timed/a", "timed/b",
                                           "failed",  "silent",  "flaky"};

struct job {
    int index, calls;
    double scale;
};

static void job_run(struct scr_gbench_case *c, void *user)
{
    struct job *job = user;

    job->calls++;
    scr_gbench_label(c, "no label");
    scr_gbench_label(c, "tile=64x32 \"x\"");
    scr_gbench_counter(c, "tile_density", 0.25 * job->calls);
    scr_gbench_counter(c, "nan", NAN);
    scr_gbench_counter(c, "infinite", -INFINITY);
    switch (job->index) {
    case 0:
        scr_gbench_time(c, 1);
        scr_gbench_skip(c, "no memory for this");
        scr_gbench_fail(c, "too late");
        break;
    case 1:
        scr_gbench_time(c, 2e-3 * job->scale);
        break;
    case 2:
        scr_gbench_counter(c, "only_b", 8);
        scr_gbench_time(c, 3e-6 * job->calls * job->scale);
        break;
    case 3:
        scr_gbench_fail(c, "rel_err 1 > 1e-5");
        scr_gbench_skip(c, "too late");
        break;
    case 4:
        scr_gbench_time(c, NAN); /* is no time */
        break;
    default:
        if (job->calls == 2)
            scr_gbench_fail(c, "the second time");
        scr_gbench_time(c, 1e-3);
        break;
    }
}

/* Exit status as the harness has it: 0, or 2 and a line on stderr. */
static int benchmark_main(int argc, char **argv)
{
    struct job jobs[N_CASES] = {0};
    const char *scale = getenv("TEST_GBENCH_SCALE");
    char why[300] = "";
    size_t matched = 99;
    int status = scr_gbench_init(argv[0], argc - 1, (const char *const *)argv + 1, why, sizeof why);

    if (status == SCR_OK)
        status = scr_gbench_context("screening_commit", "abc+");
    for (int i = 0; i < N_CASES && status == SCR_OK; i++) {
        jobs[i] = (struct job){.index = i, .scale = scale != NULL ? atof(scale) : 1};
        status = scr_gbench_register(names[i], job_run, &jobs[i]);
    }
    if (status == SCR_OK)
        status = scr_gbench_run(&matched, why, sizeof why);
    if (status != SCR_OK) {
        fprintf(stderr, "status %d: %s\n", status, why);
        return 2;
    }
    fprintf(stderr, "matched %zu calls", matched);
    for (int i = 0; i < N_CASES; i++)
        fprintf(stderr, " %d", jobs[i].calls);
    status = scr_gbench_run(&matched, why, sizeof why);
    fprintf(stderr, "\nagain: status %d matched %zu: %s\n", status, matched, why);
    return 0;
}

struct output {
    int status;
    char *out, *err;
};

static char *read_all(FILE *f)
{
    char *text = NULL;
    size_t size, n;
    char buffer[4096];
    FILE *memory = open_memstream(&text, &size);

    assert_non_null(f);
    assert_non_null(memory);
    while ((n = fread(buffer, 1, sizeof buffer, f)) > 0)
        fwrite(buffer, 1, n, memory);
    fclose(memory);
    return text;
}

/* words and environment are put into a shell's line. */
static struct output start(const char *environment, const char *words)
{
    struct output output;
    char line[2048], self[1024], err_path[] = "/tmp/test_gbench_XXXXXX";
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    int fd = mkstemp(err_path);
    FILE *f;

    assert_true(n > 0);
    assert_true(fd >= 0);
    self[n] = '\0';
    snprintf(line, sizeof line, "%s '%s' %s 2>'%s'", environment, self, words, err_path);
    f = popen(line, "r");
    output.out = read_all(f);
    output.status = pclose(f);
    output.status = WIFEXITED(output.status) ? WEXITSTATUS(output.status) : -1;
    f = fdopen(fd, "r");
    output.err = read_all(f);
    fclose(f);
    unlink(err_path);
    return output;
}

static void output_clear(struct output *output)
{
    free(output->out);
    free(output->err);
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("'%s' is not in:\n%s", part, text);
}

/* Starts with JSON on stdout; must succeed. */
static json_t *start_json(const char *words, const char *expected_err)
{
    char line[512];
    struct output output;
    json_error_t error;
    json_t *root;

    snprintf(line, sizeof line, "--benchmark_format=json %s", words);
    output = start("", line);
    if (output.status != 0)
        fail_msg("status %d: %s", output.status, output.err);
    assert_has(output.err, expected_err);
    root = json_loads(output.out, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("%s in:\n%s", error.text, output.out);
    output_clear(&output);
    return root;
}

/* The index-th of the entries of a case. */
static const json_t *entry(const json_t *root, const char *run_name, int index)
{
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(root, "benchmarks"), i, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "run_name")), run_name) == 0 &&
            index-- == 0)
            return item;
    }
    fail_msg("%s is not there", run_name);
    return NULL;
}

static double number(const json_t *item, const char *key)
{
    const json_t *value = json_object_get(item, key);

    assert_true(json_is_number(value));
    return json_number_value(value);
}

static const char *text(const json_t *item, const char *key)
{
    const char *value = json_string_value(json_object_get(item, key));

    return value != NULL ? value : "";
}

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-9 * expected))
        fail_msg("%.17g is not %.17g", value, expected);
}

static void test_json(void **state)
{
    json_t *root = start_json("--benchmark_context=who=me", "matched 6 calls 1 1 1 1 1 1\n"
                                                            "again: status -1 matched 0: ");
    const json_t *context = json_object_get(root, "context");
    const json_t *item;

    (void)state;
    assert_string_equal(text(context, "screening_commit"), "abc+");
    assert_string_equal(text(context, "who"), "me");
    assert_int_equal(json_array_size(json_object_get(root, "benchmarks")), N_CASES);

    item = entry(root, "timed/a/iterations:1/manual_time", 0);
    assert_string_equal(text(item, "name"), "timed/a/iterations:1/manual_time");
    assert_near(number(item, "real_time"), 2e6);
    assert_string_equal(text(item, "time_unit"), "ns");
    assert_near(number(item, "iterations"), 1);
    assert_near(number(item, "tile_density"), 0.25);
    assert_string_equal(text(item, "label"), "tile=64x32 \"x\"");
    assert_null(json_object_get(item, "nan"));
    assert_null(json_object_get(item, "infinite"));
    assert_null(json_object_get(item, "error_occurred"));
    json_decref(root);
}

static void test_without_time(void **state)
{
    json_t *root = start_json("--benchmark_filter='skipped|failed|silent'", "calls 1 0 0 1 1 0\n");
    const json_t *item = entry(root, "skipped/iterations:1/manual_time", 0);

    (void)state;
    if (json_is_true(json_object_get(item, "skipped"))) {
        assert_string_equal(text(item, "skip_message"), "no memory for this");
    } else {
        assert_true(json_is_true(json_object_get(item, "error_occurred")));
        assert_string_equal(text(item, "error_message"), "skipped: no memory for this");
    }
    assert_true(number(item, "real_time") == 0);
    item = entry(root, "failed/iterations:1/manual_time", 0);
    assert_true(json_is_true(json_object_get(item, "error_occurred")));
    assert_string_equal(text(item, "error_message"), "rel_err 1 > 1e-5");
    item = entry(root, "silent/iterations:1/manual_time", 0);
    assert_true(json_is_true(json_object_get(item, "error_occurred")));
    assert_string_equal(text(item, "error_message"), "no time was reported");
    json_decref(root);
}

static void test_repetitions(void **state)
{
    /* The environment would have the library call the cases more often. */
    struct output output = start("BENCHMARK_MIN_WARMUP_TIME=1", "--benchmark_repetitions=4");
    json_t *root =
        start_json("--benchmark_repetitions=3 --benchmark_filter=timed", "calls 0 3 3 0 0 0\n");
    const json_t *item;

    (void)state;
    assert_has(output.err, "matched 6 calls 4 4 4 4 4 4\n");
    output_clear(&output);
    for (int i = 0; i < 3; i++) {
        item = entry(root, "timed/b/iterations:1/manual_time", i);
        assert_string_equal(text(item, "run_type"), "iteration");
        assert_near(number(item, "real_time"), 3e3 * (i + 1));
        assert_near(number(item, "tile_density"), 0.25 * (i + 1));
    }
    json_decref(root);

    root = start_json("--benchmark_repetitions=3 --benchmark_filter=flaky", "calls 0 0 0 0 0 3\n");
    item = entry(root, "flaky/iterations:1/manual_time", 1);
    assert_string_equal(text(item, "error_message"), "the second time");
    item = entry(root, "flaky/iterations:1/manual_time", 3); /* of two */
    assert_string_equal(text(item, "aggregate_name"), "mean");
    assert_near(number(item, "real_time"), 1e6);
    json_decref(root);

    root = start_json("--benchmark_repetitions=3 --benchmark_report_aggregates_only=true "
                      "--benchmark_filter=timed/b --benchmark_time_unit=us",
                      "calls 0 0 3 0 0 0\n");
    item = entry(root, "timed/b/iterations:1/manual_time", 1);
    assert_string_equal(text(item, "aggregate_name"), "median");
    assert_near(number(item, "real_time"), 6);
    json_decref(root);
}

static void test_filter(void **state)
{
    struct output output = start("", "--benchmark_list_tests --benchmark_filter='^timed'");

    (void)state;
    assert_int_equal(output.status, 0);
    assert_string_equal(output.out,
                        "timed/a/iterations:1/manual_time\ntimed/b/iterations:1/manual_time\n");
    assert_has(output.err, "matched 2 calls 0 0 0 0 0 0\n");
    output_clear(&output);

    output = start("", "--benchmark_filter=-timed --benchmark_format=csv");
    assert_int_equal(output.status, 0);
    assert_has(output.err, "matched 4 calls 1 0 0 1 1 1\n");
    assert_has(output.out, "\"failed/iterations:1/manual_time\",");
    output_clear(&output);

    output = start("BENCHMARK_FILTER=timed/b", "--benchmark_color=false");
    assert_int_equal(output.status, 0);
    assert_has(output.err, "matched 1 calls 0 0 1 0 0 0\n");
    assert_has(output.out, "timed/b/iterations:1/manual_time       3000 ns");
    output_clear(&output);

    output = start("", "--benchmark_filter=absent");
    assert_int_equal(output.status, 2);
    assert_has(output.err, "status -6: --benchmark_filter: 'absent' matches no case\n");
    output_clear(&output);
}

/* The first case has no counter, a later one has its own. */
static void assert_csv(const char *csv)
{
    assert_has(csv, ",\"only_b\",\"tile_density\"\n");
    assert_has(csv, "\n\"skipped/iterations:1/manual_time\",");
    assert_has(csv, ",,0.25\n\"timed/b/iterations:1/manual_time\",1,3000,");
    assert_has(csv, ",8,0.25\n\"failed/iterations:1/manual_time\",");
}

static void test_csv(void **state)
{
    char path[] = "/tmp/test_gbench_csv_XXXXXX", words[200];
    int fd = mkstemp(path);
    struct output output;
    char *csv;
    FILE *f;

    (void)state;
    assert_true(fd >= 0);
    snprintf(words, sizeof words,
             "--benchmark_format=csv --benchmark_out_format=csv "
             "--benchmark_out=%s",
             path);
    output = start("", words);
    assert_int_equal(output.status, 0);
    assert_csv(output.out);
    f = fdopen(fd, "r");
    csv = read_all(f);
    fclose(f);
    unlink(path);
    assert_csv(csv);
    free(csv);
    output_clear(&output);
}

static void test_out(void **state)
{
    char path[] = "/tmp/test_gbench_out_XXXXXX", words[200];
    int fd = mkstemp(path);
    struct output output;
    json_t *root;

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    snprintf(words, sizeof words, "--benchmark_out=%s --benchmark_filter=timed", path);
    output = start("", words);
    assert_int_equal(output.status, 0);
    assert_has(output.out, "timed/a");
    root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    assert_near(number(entry(root, "timed/a/iterations:1/manual_time", 0), "real_time"), 2e6);
    json_decref(root);
    output_clear(&output);

    unlink(path);
}

static void test_refused(void **state)
{
    static const struct {
        const char *environment, *words, *line;
    } cases[] = {
        {"", "--benchmark_format=xml",
         "--benchmark_format: 'xml' is not one of console, json, csv"},
        {"", "--benchmark_out_format=", "--benchmark_out_format: '' is not one of"},
        {"", "--benchmark_time_unit=h", "--benchmark_time_unit: 'h' is not one of ns, us, ms, s"},
        {"", "--benchmark_repetitions=0", "--benchmark_repetitions: '0' is not a number from 1"},
        {"", "--benchmark_repetitions=-1", "--benchmark_repetitions: '-1' is not"},
        {"", "--benchmark_repetitions=3x", "--benchmark_repetitions: '3x' is not"},
        {"", "--benchmark_min_time=2", "--benchmark_min_time has no meaning here"},
        {"", "--benchmark_min_warmup_time=1", "--benchmark_min_warmup_time has no meaning here"},
        {"", "--benchmark_perf_counters=CYCLES", "--benchmark_perf_counters has no meaning here"},
        {"", "--benchmark_filter='a('", "--benchmark_filter: 'a(' is no regular expression: "},
        {"", "--benchmark_filter='-['", "--benchmark_filter: '-[' is no regular expression: "},
        {"", "--benchmark_flter=a", "--benchmark_flter=a: Google Benchmark does not know it"},
        {"", "--benchmark_format", "--benchmark_format: Google Benchmark does not know it"},
        {"", "--benchmark_context=a", "--benchmark_context=a: Google Benchmark does not know it"},
        {"", "--benchmark_color=", "Google Benchmark does not know what a BENCHMARK_*"},
        {"", "--benchmark_out=/no/such/file", "--benchmark_out: '/no/such/file' cannot be written"},
        {"BENCHMARK_FORMAT=xml", "--benchmark_list_tests", "does not know what a BENCHMARK_*"},
        {"BENCHMARK_OUT=/no/such/file", "--benchmark_list_tests", "/no/such/file' cannot be"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct output output = start(cases[i].environment, cases[i].words);

        if (output.status != 2 || strstr(output.err, cases[i].line) == NULL ||
            strstr(output.err, "status -1: ") == NULL || output.out[0] != '\0')
            fail_msg("%s %s: status %d, %s%s", cases[i].environment, cases[i].words, output.status,
                     output.out, output.err);
        output_clear(&output);
    }
}

static void test_arguments(void **state)
{
    (void)state;
    assert_int_equal(scr_gbench_register("", job_run, NULL), SCR_ERR_INVALID);
    assert_int_equal(scr_gbench_register("a", NULL, NULL), SCR_ERR_INVALID);
    assert_int_equal(scr_gbench_context("", "a"), SCR_ERR_INVALID);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),    cmocka_unit_test(test_without_time),
        cmocka_unit_test(test_filter),  cmocka_unit_test(test_repetitions),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_out),
        cmocka_unit_test(test_csv),     cmocka_unit_test(test_arguments),
    };

    if (argc > 1)
        return benchmark_main(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
