/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling, its stopping rule, and comparisons, on made-up clocks. */
#include "philox.h"
#include "timer.h"

#include <screening/error.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Normal noise from a seeded stream. */
static double normal(uint32_t stream, uint64_t i)
{
    double u = scr_philox_uniform(5, stream, 2 * i), v = scr_philox_uniform(5, stream, 2 * i + 1);

    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

struct clock {
    uint32_t stream;
    uint64_t calls;
    double mean[3], noise, drift; /* drift: growth per call, a part of the first value */
    size_t taken[3];
    double slow_s; /* what a sample of contestant `slow` takes in truth */
    size_t slow;
    int fail_at;
};

static int read_clock(void *user, size_t who, double *ns)
{
    struct clock *c = user;
    double slow = 1 + c->drift * (double)c->calls;

    if (c->fail_at > 0 && c->calls >= (uint64_t)c->fail_at)
        return SCR_ERR_DEVICE;
    *ns = c->mean[who] * slow * (1 + c->noise * normal(c->stream, c->calls));
    c->calls++;
    c->taken[who]++;
    if (who == c->slow && c->slow_s > 0) {
        double start = scr_clock_s();

        while (scr_clock_s() - start < c->slow_s) {
        }
    }
    return SCR_OK;
}

static int read_one(void *user, double *ns)
{
    return read_clock(user, 0, ns);
}

static void steady_clock_stops_early(void **state)
{
    struct clock c = {.mean = {1000}, .noise = 0.001, .slow_s = 0.0005};
    struct scr_time_result t;

    (void)state;
    assert_int_equal(scr_time_sample(read_one, &c, 10, &t), SCR_OK);
    assert_string_equal(t.stop, "interval");
    /* 50 ms, and a look some samples later; few where others have the processor. */
    assert_in_range(t.stats.n, SCR_MIN_SAMPLES, 140);
    assert_true(fabs(t.stats.median - 1000) < 2);
    assert_true(t.stats.ci_lo <= t.stats.median && t.stats.median <= t.stats.ci_hi);
}

static void noise_takes_more_samples(void **state)
{
    struct clock c = {.mean = {1000}, .noise = 0.05, .stream = 1, .slow_s = 0.0005};
    struct scr_time_result t;

    (void)state;
    assert_int_equal(scr_time_sample(read_one, &c, 10, &t), SCR_OK);
    assert_string_equal(t.stop, "interval");
    assert_true(t.stats.n > 60);
    assert_true(t.stats.ci_hi <= 1.01 * t.stats.median && t.stats.ci_lo >= 0.99 * t.stats.median);
}

static void time_limit_ends_what_never_settles(void **state)
{
    struct clock c = {.mean = {1000, 1000}, .noise = 0.5, .slow_s = 0.001, .slow = 0};
    struct scr_contest contest;

    (void)state;
    assert_int_equal(scr_contest_run(read_clock, &c, 2, 0.02, &contest), SCR_OK);
    assert_string_equal(contest.stop, "time");
    assert_true(contest.rounds >= SCR_MIN_SAMPLES);
    scr_contest_clear(&contest);
}

/* How often the interval of 100 samples holds the value about which they scatter; each sample takes
 * over `memory` of the deviation of the one before. */
static double coverage(double memory)
{
    enum { TRIALS = 400, N = 100 };
    int held = 0;

    for (uint32_t i = 0; i < TRIALS; i++) {
        struct scr_time_stats s;
        double x[N], deviation = normal(1000 + i, 0);

        for (size_t j = 0; j < N; j++) {
            deviation = memory * deviation + sqrt(1 - memory * memory) * normal(1000 + i, j + 1);
            x[j] = 1000 + 10 * deviation;
        }
        scr_time_describe(x, N, &s);
        held += s.ci_lo <= 1000 && 1000 <= s.ci_hi;
    }
    return (double)held / TRIALS;
}

static void intervals_hold_the_value(void **state)
{
    (void)state;
    print_message("independent %.3f, alike 0.5 %.3f, 0.9 %.3f\n", coverage(0), coverage(0.5),
                  coverage(0.9));
    assert_true(coverage(0) >= 0.93);
    assert_true(coverage(0.5) >= 0.9);
    assert_true(coverage(0.9) >= 0.75);
}

static void failure_is_passed_on(void **state)
{
    struct clock c = {.mean = {1000}, .noise = 0.5, .fail_at = 7};
    struct scr_time_result t;

    (void)state;
    assert_int_equal(scr_time_sample(read_one, &c, 10, &t), SCR_ERR_DEVICE);
}

static void outliers_are_counted_and_kept(void **state)
{
    double x[] = {10, 11, 12, 13, 14, 15, 16, 17, 18, 1000, -500};
    struct scr_time_stats s;

    (void)state;
    scr_time_describe(x, 11, &s);
    assert_int_equal(s.n, 11);
    assert_int_equal(s.n_outliers, 2);
    assert_true(s.min == -500);
}

/* One that takes far longer is sampled six times at least, and then less often. */
static void slow_contestant_sits_out(void **state)
{
    struct clock c = {.mean = {1000, 5000}, .noise = 0.2, .slow_s = 0.0005, .slow = 1};
    struct scr_contest contest;
    struct scr_ratio ratio;

    (void)state;
    assert_int_equal(scr_contest_run(read_clock, &c, 2, 0.5, &contest), SCR_OK);
    assert_true(c.taken[1] >= SCR_MIN_SAMPLES);
    assert_true(c.taken[1] < c.taken[0]);
    assert_int_equal(scr_contest_ratio(&contest, 1, 0, &ratio), SCR_OK);
    assert_true(ratio.lo <= ratio.value && ratio.value <= ratio.hi);
    assert_true(ratio.lo < 5 && 5 < ratio.hi);
    scr_contest_clear(&contest);
}

/* The clock slows down without end while sampling: times drift, the ratio stays. */
static void drift_leaves_the_ratio(void **state)
{
    struct clock c = {.mean = {1000, 1300}, .noise = 0.002, .drift = 0.01};
    struct scr_contest contest;
    struct scr_ratio ratio;
    struct scr_time_stats stats;

    (void)state;
    assert_int_equal(scr_contest_run(read_clock, &c, 2, 10, &contest), SCR_OK);
    assert_int_equal(scr_contest_describe(&contest, 0, &stats), SCR_OK);
    assert_true(stats.q3 > 1.5 * stats.q1);
    assert_int_equal(scr_contest_ratio(&contest, 1, 0, &ratio), SCR_OK);
    assert_true(fabs(ratio.value - 1.3) < 0.02);
    scr_contest_clear(&contest);
}

/* Of many A/A comparisons about one in twenty has an interval without 1. */
static void equal_variants_show_no_difference(void **state)
{
    enum { TRIALS = 200 };
    int outside = 0;

    (void)state;
    for (int i = 0; i < TRIALS; i++) {
        struct clock c = {.mean = {1000, 1000}, .noise = 0.03, .stream = 100 + (uint32_t)i};
        struct scr_contest contest;
        struct scr_ratio ratio;

        assert_int_equal(scr_contest_run(read_clock, &c, 2, 10, &contest), SCR_OK);
        assert_int_equal(scr_contest_ratio(&contest, 1, 0, &ratio), SCR_OK);
        outside += ratio.lo > 1 || ratio.hi < 1;
        scr_contest_clear(&contest);
    }
    print_message("%d of %d intervals do not hold 1\n", outside, TRIALS);
    assert_in_range(outside, 1, TRIALS / 8);
}

/* A clock that takes twice as long during the first of two visits. */
static void what_slows_one_visit_shows(void **state)
{
    struct clock c = {.mean = {2000, 2000}, .noise = 0.001, .slow_s = 0.0005};
    struct scr_contest contest;
    struct scr_time_stats stats;

    (void)state;
    assert_int_equal(scr_contest_open(2, &contest), SCR_OK);
    assert_int_equal(scr_contest_visit(read_clock, &c, 2, 0.1, &contest), SCR_OK);
    assert_false(scr_contest_is_unsteady(&contest, 0));
    c.mean[0] = c.mean[1] = 1000;
    assert_int_equal(scr_contest_visit(read_clock, &c, 2, 0.1, &contest), SCR_OK);
    assert_int_equal(contest.n_visits, 2);
    assert_int_equal(contest.begin[0], 0);
    /* When it was as long as the first, the samples did not agree. */
    assert_true(contest.rounds > 2 * contest.begin[1]);
    assert_true(scr_contest_is_unsteady(&contest, 0) && scr_contest_is_unsteady(&contest, 1));
    assert_int_equal(scr_contest_describe(&contest, 0, &stats), SCR_OK);
    assert_true(stats.min < 1010 && stats.median < 1010);
    scr_contest_clear(&contest);
}

/* Two visits that agree are as good as one, and take no more. */
static void visits_that_agree_settle(void **state)
{
    struct clock c = {.mean = {1000}, .noise = 0.001, .slow_s = 0.0005};
    struct scr_contest contest;
    size_t first;

    (void)state;
    assert_int_equal(scr_contest_open(1, &contest), SCR_OK);
    assert_int_equal(scr_contest_visit(read_clock, &c, 2, 10, &contest), SCR_OK);
    assert_string_equal(contest.stop, "interval");
    first = contest.rounds;
    assert_int_equal(scr_contest_visit(read_clock, &c, 2, 10, &contest), SCR_OK);
    assert_string_equal(contest.stop, "interval");
    assert_in_range(contest.rounds, 2 * first, 200);
    assert_false(scr_contest_is_unsteady(&contest, 0));
    for (size_t i = contest.n_visits; i < SCR_MAX_VISITS; i++)
        assert_int_equal(scr_contest_visit(read_clock, &c, 2, 10, &contest), SCR_OK);
    assert_int_equal(scr_contest_visit(read_clock, &c, 2, 10, &contest), SCR_ERR_INVALID);
    scr_contest_clear(&contest);
}

/* Six samples of a slow kernel are six in two visits as well. */
static void slow_samples_are_shared_out(void **state)
{
    struct clock c = {.mean = {1000}, .noise = 0.001, .slow_s = 0.002};
    struct scr_contest contest;

    (void)state;
    assert_int_equal(scr_contest_open(1, &contest), SCR_OK);
    assert_int_equal(scr_contest_visit(read_clock, &c, 2, 0.004, &contest), SCR_OK);
    assert_in_range(contest.rounds, 1, SCR_MIN_SAMPLES / 2);
    assert_int_equal(scr_contest_visit(read_clock, &c, 2, 0.004, &contest), SCR_OK);
    assert_in_range(contest.rounds, 2, SCR_MIN_SAMPLES);
    scr_contest_clear(&contest);
}

static void few_samples_give_no_interval(void **state)
{
    double ns[2 * SCR_MAX_SAMPLES];
    struct scr_contest c = {.n = 2, .rounds = 5, .ns = ns};
    struct scr_ratio ratio;

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        ns[i] = 2;
        ns[SCR_MAX_SAMPLES + i] = 1;
    }
    assert_int_equal(scr_contest_ratio(&c, 0, 1, &ratio), SCR_OK);
    assert_true(ratio.value == 2);
    assert_true(isnan(ratio.lo) && isnan(ratio.hi));
}

struct series {
    const double *ns; /* ends with a negative one, which is a failure */
    int taken;
};

static int take_next(void *user, double *ns)
{
    struct series *s = user;

    *ns = s->ns[s->taken++];
    return *ns < 0 ? SCR_ERR_DEVICE : SCR_OK;
}

static void least_of_a_few(void **state)
{
    const double held_up[] = {3e6, 15e3, 16e3, -1}, slow[] = {3e9, 1e9, -1}, last[] = {4, 5, 6, -1};
    struct series s = {held_up, 0};
    double least;

    (void)state;
    assert_int_equal(scr_time_least(take_next, &s, 3, 2e7, &least), SCR_OK);
    assert_true(least == 15e3);
    assert_int_equal(s.taken, 3);
    s = (struct series){slow, 0};
    assert_int_equal(scr_time_least(take_next, &s, 3, 2e7, &least), SCR_OK);
    assert_true(least == 1e9);
    assert_int_equal(s.taken, 2);
    s = (struct series){last, 0};
    assert_int_equal(scr_time_least(take_next, &s, 4, 15, &least), SCR_OK);
    assert_int_equal(s.taken, 3);
    s = (struct series){slow, 0};
    assert_int_equal(scr_time_least(take_next, &s, 3, 1e12, &least), SCR_ERR_DEVICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steady_clock_stops_early),
        cmocka_unit_test(noise_takes_more_samples),
        cmocka_unit_test(time_limit_ends_what_never_settles),
        cmocka_unit_test(intervals_hold_the_value),
        cmocka_unit_test(failure_is_passed_on),
        cmocka_unit_test(outliers_are_counted_and_kept),
        cmocka_unit_test(slow_contestant_sits_out),
        cmocka_unit_test(drift_leaves_the_ratio),
        cmocka_unit_test(equal_variants_show_no_difference),
        cmocka_unit_test(what_slows_one_visit_shows),
        cmocka_unit_test(visits_that_agree_settle),
        cmocka_unit_test(slow_samples_are_shared_out),
        cmocka_unit_test(few_samples_give_no_interval),
        cmocka_unit_test(least_of_a_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
