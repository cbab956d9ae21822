/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of the caller's on the data of a case: for who searches the best one. */
#include "engine_state.h"

#include <math.h>
#include <string.h>

/* Slower than the best by this much is out: after a few samples, after two runs. */
static const double GIVE_UP = 1.3, GIVE_UP_AT_ONCE = 3;

/* The case with that configuration instead of its own. */
static struct scr_case case_of(const struct scr_engine *e, size_t index, const scr_config *config,
                               bool thorough)
{
    struct scr_case c = e->list->cases[index];

    c.order = index;
    c.group = index; /* the list need not be sorted */
    c.config = *config;
    c.why[0] = '\0';
    c.refused = scr_config_resolve(c.device, &c.spec.problem, &c.config, c.why, sizeof c.why);
    c.tile_q = c.tile_k = 0; /* nothing is counted */
    if (thorough && c.refused == SCR_OK) {
        c.tile_q = scr_config_get(&c.config, "TILE_Q", 0);
        c.tile_k = scr_config_get(&c.config, "TILE_K", 0);
        if (c.tile_q == 0 || c.tile_k == 0)
            c.tile_q = c.tile_k = 0;
    }
    return c;
}

/* The shorter of two runs by the host's clock; the first that is short enough ends it. */
static int run_twice(struct scr_engine *e, scr_plan *plan, double enough_ns, double *ns)
{
    int status = SCR_OK;

    *ns = INFINITY;
    for (int i = 0; i < 2 && status == SCR_OK && *ns > enough_ns; i++) {
        scr_args args = scr_bench_args(&e->bench, 0);
        double start = scr_clock_s();

        scr_engine_beat(e, "run");
        status = scr_plan_run(plan, &args, NULL);
        if (status == SCR_OK)
            status = scr_device_synchronize(e->bench.dev);
        *ns = fmin(*ns, (scr_clock_s() - start) * 1e9);
    }
    return status;
}

/* Whether it is so slow that it need not be sampled, or failed: the row says so then. */
static bool out_at_once(struct scr_engine *e, const struct scr_runner *r, const struct scr_case *c,
                        scr_plan *plan, double best_ns, struct scr_row *row)
{
    double floor = e->floor_wall_ns[c->device_order];
    double enough_ns = GIVE_UP_AT_ONCE * best_ns + (isnan(floor) ? 2e5 : floor);
    double ns;
    int status;

    if (!(best_ns > 0) || isinf(best_ns))
        return false;
    status = run_twice(e, plan, enough_ns, &ns);
    if (status != SCR_OK) {
        scr_runner_fail(r, status, row);
        return true;
    }
    if (ns <= enough_ns)
        return false;
    row->t_median_ns = ns;
    row->n_samples = 2;
    snprintf(row->timer, sizeof row->timer, "wall");
    snprintf(row->stop, sizeof row->stop, "slow");
    return true;
}

static void sample(struct scr_engine *e, const struct scr_runner *r, const struct scr_case *c,
                   const struct scr_checked *checked, const struct scr_try *how,
                   struct scr_row *row)
{
    struct scr_sampler sampler = scr_engine_sampler(e, c);
    struct scr_contest contest = {0};

    if (!scr_faults_has(&r->faults, SCR_INJECT_FIXED_TIMES, c->order) &&
        out_at_once(e, r, c, checked->plan, how->best_ns, row))
        return;
    if (how->best_ns > 0 && isfinite(how->best_ns))
        sampler.give_up_ns = GIVE_UP * how->best_ns;
    scr_engine_beat(e, "sample");
    scr_runner_time(r, &sampler, &checked->plan, 1, how->limit_s, checked->hash, &contest, row);
    if (!sampler.cold && !e->options.warm)
        scr_row_flag(row, "not-cold");
    scr_contest_clear(&contest);
}

void scr_engine_try(struct scr_engine *e, size_t index, const scr_config *config,
                    const struct scr_try *how, struct scr_row *row, scr_resources *resources)
{
    struct scr_case c = case_of(e, index, config, how->thorough);
    struct scr_checked checked;
    struct scr_runner r;
    bool cold;

    *resources = (scr_resources){0};
    scr_row_init(row, &c);
    if (!scr_engine_enter(e, &c, row))
        return;
    r = scr_engine_runner(e, &c);
    scr_faults_strike(&r.faults, SCR_INJECT_CRASH, SCR_INJECT_HANG);
    scr_engine_beat(e, "check");
    scr_runner_check(&r, &c, scr_engine_copies(e, &c, &cold), row, &checked);
    if (checked.plan == NULL)
        return;
    scr_plan_get_resources(checked.plan, resources);
    if (how->thorough) {
        scr_baselines_know(&e->baselines, &c, checked.hash);
        scr_engine_beat(e, "compare");
        if (c.config.skip != SCR_SKIP_NONE)
            scr_baselines_compare_unskipped(&e->baselines, &r, &c, checked.hash, row);
    }
    if (how->limit_s > 0 && strcmp(row->status, "ok") == 0)
        sample(e, &r, &c, &checked, how, row);
    scr_plan_destroy(&checked.plan);
}

/* Who takes part in a race. */
struct racers {
    size_t n;
    scr_plan *plans[SCR_MAX_CONTESTANTS];
    uint64_t hash[SCR_MAX_CONTESTANTS];
    size_t which[SCR_MAX_CONTESTANTS]; /* of the caller's configurations */
};

/* Checks each and keeps the plans of those that are right. */
static void line_up(struct scr_engine *e, const struct scr_case *cases, size_t n,
                    struct scr_row *rows, struct racers *out)
{
    out->n = 0;
    for (size_t i = 0; i < n; i++) {
        struct scr_checked checked;
        struct scr_runner r;
        bool cold;

        if (!scr_engine_enter(e, &cases[i], &rows[i]))
            continue;
        r = scr_engine_runner(e, &cases[i]);
        scr_faults_strike(&r.faults, SCR_INJECT_CRASH, SCR_INJECT_HANG);
        scr_engine_beat(e, "check");
        scr_runner_check(&r, &cases[i], scr_engine_copies(e, &cases[i], &cold), &rows[i], &checked);
        if (checked.plan == NULL)
            continue;
        out->plans[out->n] = checked.plan;
        out->hash[out->n] = checked.hash;
        out->which[out->n++] = i;
    }
}

static void fill_times(const struct scr_contest *contest, size_t who, struct scr_row *row)
{
    struct scr_time_stats t;

    if (scr_contest_describe(contest, who, &t) != SCR_OK || t.n == 0)
        return;
    snprintf(row->stop, sizeof row->stop, "%s", contest->stop);
    row->t_median_ns = t.median;
    row->t_ci_lo_ns = t.ci_lo;
    row->t_ci_hi_ns = t.ci_hi;
    row->n_samples = (double)t.n;
}

/* Samples the racers; what comes of it goes into rows and ratios. */
static int run_race(struct scr_engine *e, const struct scr_case *c, const struct racers *racers,
                    double limit_s, struct scr_row *rows, struct scr_ratio *ratio)
{
    struct scr_sampler sampler = scr_engine_sampler(e, c);
    struct scr_runner r = scr_engine_runner(e, c);
    struct scr_contest contest = {0};
    size_t n = racers->n;
    bool first = racers->which[0] == 0; /* else there is nothing to relate to */
    int status;

    scr_engine_beat(e, "sample");
    status = scr_sampler_start(&sampler, racers->plans, n, limit_s);
    if (status == SCR_OK)
        status = scr_contest_run(scr_sampler_take, &sampler, n, limit_s, &contest);
    if (status == SCR_OK && sampler.n_bad > 0 && !sampler.wall) {
        sampler.wall = true;
        scr_contest_clear(&contest);
        status = scr_contest_run(scr_sampler_take, &sampler, n, limit_s, &contest);
    }
    for (size_t i = 0; i < n && status == SCR_OK; i++) {
        struct scr_row *row = &rows[racers->which[i]];

        fill_times(&contest, i, row);
        snprintf(row->cache, sizeof row->cache, "%s", sampler.cold ? "cold" : "warm");
        scr_sampler_report(&sampler, row);
        if (!scr_runner_repeats(&r, racers->plans[i], sampler.copies, racers->hash[i], row))
            scr_row_forget_times(row);
        else if (first)
            status = scr_contest_ratio(&contest, 0, i, &ratio[racers->which[i]]);
    }
    scr_contest_clear(&contest);
    for (size_t i = 0; i < n && status != SCR_OK; i++) {
        scr_row_forget_times(&rows[racers->which[i]]);
        scr_runner_fail(&r, status, &rows[racers->which[i]]);
    }
    return status;
}

int scr_engine_race(struct scr_engine *e, size_t index, const scr_config *configs, size_t n,
                    double limit_s, struct scr_row *rows, struct scr_ratio *ratio)
{
    struct scr_case cases[SCR_MAX_CONTESTANTS];
    struct racers racers;
    int status = SCR_OK;

    for (size_t i = 0; i < n; i++)
        ratio[i] = (struct scr_ratio){NAN, NAN, NAN};
    if (n == 0 || n > SCR_MAX_CONTESTANTS)
        return SCR_ERR_INVALID;
    for (size_t i = 0; i < n; i++) {
        cases[i] = case_of(e, index, &configs[i], false);
        scr_row_init(&rows[i], &cases[i]);
    }
    line_up(e, cases, n, rows, &racers);
    if (racers.n > 0)
        status = run_race(e, &cases[racers.which[0]], &racers, limit_s, rows, ratio);
    for (size_t i = 0; i < racers.n; i++)
        scr_plan_destroy(&racers.plans[i]);
    /* Without the first there is nothing that the others could be compared with. */
    for (size_t i = 0; i < n && isnan(rows[0].t_median_ns); i++)
        ratio[i] = (struct scr_ratio){NAN, NAN, NAN};
    return status;
}
