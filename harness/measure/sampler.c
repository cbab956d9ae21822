/* SPDX-License-Identifier: Apache-2.0 */
#include "sampler.h"

#include "timer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_UP_RUNS = 2, MAX_CHECK_RUNS = 32, CHECKS = 3 };
static const double WARM_UP_S = 0.02;
static const double CHECK_S = 0.004;     /* of runs on each side of a cross-check */
static const double WALL_BATCH_NS = 2e5; /* below that the host's clock needs several runs */
static const double MOST_WAIT_NS = 1e5;  /* what a launch and a wait for its end may take */
static const double SHORT_RUN_NS = 5e4;  /* above it the clocks must agree within 5 % */
static const double CLOCK_EVERY_S = 0.01;
static const double BEAT_EVERY_S = 1;

/* The data of the next run; whoever waits is told that there is one. */
static scr_args next_args(struct scr_sampler *s)
{
    if (s->beat != NULL && scr_clock_s() - s->last_beat_s > BEAT_EVERY_S) {
        s->beat(s->user, "sample");
        s->last_beat_s = scr_clock_s();
    }
    s->bench->next = (s->bench->next + 1) % s->copies;
    return scr_bench_args(s->bench, s->bench->next);
}

static bool has_fault(const struct scr_sampler *s, enum scr_inject fault)
{
    return scr_faults_has(&s->faults, fault, s->at);
}

/* The device is at half its speed for a visit, or slows down to that within a second. */
static double drifted(const struct scr_sampler *s, double ns)
{
    double age = scr_clock_s() - s->start_s;

    if (s->slowed)
        ns *= 2;
    return has_fault(s, SCR_INJECT_DRIFT) ? ns * (1 + fmin(age, 1)) : ns;
}

/* What the device's events say, or a fault instead: <= 0 nothing, below -1 that they run back. */
static double event_time(const struct scr_sampler *s, double ns)
{
    if (has_fault(s, SCR_INJECT_REVERSED))
        return -fabs(ns) - 2;
    if (has_fault(s, SCR_INJECT_MISSING))
        return -1;
    if (has_fault(s, SCR_INJECT_LONG))
        return ns * 1.5;
    return has_fault(s, SCR_INJECT_SHORT) ? ns * 0.1 : ns;
}

/* A run by the device's events; *ns as event_time. */
static int run_event(struct scr_sampler *s, size_t who, double *ns)
{
    scr_args args = next_args(s);
    int status;

    *ns = -1;
    status = scr_plan_run(s->plans[who], &args, ns);
    *ns = event_time(s, *ns);
    if (has_fault(s, SCR_INJECT_SHORT_RUN))
        *ns *= 0.1;
    return status;
}

static int queue_runs(struct scr_sampler *s, size_t who, int runs)
{
    int status = SCR_OK;

    for (int i = 0; i < runs && status == SCR_OK; i++) {
        scr_args args = next_args(s);

        status = scr_plan_run(s->plans[who], &args, NULL);
    }
    return status;
}

/* Runs back to back by the host's clock; *ns is that of one. */
static int run_wall(struct scr_sampler *s, size_t who, int runs, double *ns)
{
    double start = scr_clock_s();
    int status = queue_runs(s, who, runs);

    if (status == SCR_OK)
        status = scr_device_synchronize(s->bench->dev);
    *ns = (scr_clock_s() - start) * 1e9 / runs;
    return status;
}

/* What the host takes to queue runs, all of them: the device may have to wait for it. */
static int time_queue(struct scr_sampler *s, int runs, double *ns)
{
    double start = scr_clock_s();
    int status = queue_runs(s, 0, runs);

    *ns = (scr_clock_s() - start) * 1e9;
    return status == SCR_OK ? scr_device_synchronize(s->bench->dev) : status;
}

/* Runs back to back by both clocks, which tell the time of all. *event as event_time. */
static int run_both(struct scr_sampler *s, int runs, double *event, double *wall)
{
    scr_args args[MAX_CHECK_RUNS];
    double start, ns = -1;
    int status;

    for (int i = 0; i < runs; i++)
        args[i] = next_args(s);
    start = scr_clock_s();
    status = scr_plan_run_batch(s->plans[0], args, (size_t)runs, &ns);
    *wall = (scr_clock_s() - start) * 1e9;
    *event = event_time(s, ns);
    return status;
}

/* The same of runs that are timed one by one, as samples are. */
static int run_singles(struct scr_sampler *s, int runs, double *event, double *wall)
{
    double start = scr_clock_s();
    int status = SCR_OK;

    *event = *wall = 0;
    for (int i = 0; i < runs && status == SCR_OK; i++) {
        double ns;

        status = run_event(s, 0, &ns);
        if (status == SCR_OK && !(ns > 0)) {
            *event = ns;
            return SCR_OK;
        }
        *event += ns;
    }
    *wall = (scr_clock_s() - start) * 1e9;
    return status;
}

/* What was verified has run already, so one more run warms up a slow kernel; *ns is the last. */
static int warm_up(struct scr_sampler *s, size_t who, double *ns)
{
    double start = scr_clock_s();
    int status = SCR_OK;

    *ns = 0;
    for (int i = 0; status == SCR_OK && (i < WARM_UP_RUNS || scr_clock_s() - start < WARM_UP_S);
         i++) {
        status = run_wall(s, who, 1, ns);
        if (*ns * 1e-9 > 0.1 * s->limit_s)
            break;
    }
    return status;
}

/* Of an event time: whether it is one; else the reason is noted and the host's clock chosen. */
static bool is_time(struct scr_sampler *s, double event)
{
    if (event > 0)
        return true;
    s->flag = event < -1 ? "events-reversed" : "events-missing";
    s->wall = true;
    return false;
}

bool scr_clocks_agree(double event, double wall, int runs, double launch_ns)
{
    /* What a launch and waking up may take matters beside short runs alone. */
    double more = event < SHORT_RUN_NS * runs ? fmax(launch_ns, MOST_WAIT_NS) : launch_ns;

    return event <= 1.02 * wall && wall <= 1.05 * event + more;
}

bool scr_single_runs_agree(double event, double wall, double batch, double queued, int runs)
{
    bool host_bound = batch < SHORT_RUN_NS * runs && queued > 0.8 * batch;

    return event <= 1.02 * wall && wall <= 1.05 * event + runs * MOST_WAIT_NS &&
           event >= (host_bound ? 0.15 : 0.5) * batch;
}

/*
 * Compares the two clocks on plan 0 and decides. Both measure the same runs, so that neither the
 * device's frequency nor what others do can tell them apart.
 */
static int cross_check(struct scr_sampler *s, double first_ns)
{
    int runs = (int)fmin(fmax(CHECK_S * 1e9 / fmax(first_ns, 1000), 1), MAX_CHECK_RUNS);
    double launch_ns = isnan(s->floor_wall_ns) ? MOST_WAIT_NS : 2 * s->floor_wall_ns + 5000;

    if (s->no_events) {
        s->wall = true;
        return run_wall(s, 0, runs, &s->t_wall_ns);
    }
    for (int check = 0; check < CHECKS; check++) {
        double event, wall, event_apart, wall_apart, queued = 0;
        int status = run_both(s, runs, &event, &wall);

        s->t_wall_ns = wall / runs;
        if (status != SCR_OK || !is_time(s, event))
            return status;
        s->t_event_ns = event / runs;
        status = run_singles(s, runs, &event_apart, &wall_apart);
        if (status != SCR_OK || !is_time(s, event_apart))
            return status;
        if (event < SHORT_RUN_NS * runs)
            status = time_queue(s, runs, &queued);
        if (status != SCR_OK)
            return status;
        if (scr_clocks_agree(event, wall, runs, launch_ns) &&
            scr_single_runs_agree(event_apart, wall_apart, event, queued, runs))
            return SCR_OK;
    }
    s->wall = true;
    s->flag = "events-off";
    return SCR_OK;
}

int scr_sampler_start(struct scr_sampler *s, scr_plan *const *plans, size_t n, double limit_s)
{
    double first_ns = 0;
    int status = SCR_OK;

    s->start_s = s->last_clock_s = scr_clock_s();
    s->t_wall_ns = s->t_event_ns = NAN;
    s->limit_s = limit_s;
    s->n_plans = n;
    memcpy(s->plans, plans, n * sizeof *plans);
    if (has_fault(s, SCR_INJECT_FIXED_TIMES)) {
        s->wall = true;
        for (size_t who = 0; who < n; who++)
            s->batch[who] = 1;
        return SCR_OK;
    }
    for (size_t who = 0; who < n && status == SCR_OK; who++) {
        double ns;

        status = warm_up(s, who, &ns);
        if (who == 0)
            first_ns = ns;
        s->batch[who] = ns < WALL_BATCH_NS ? (int)(WALL_BATCH_NS / fmax(ns, 100)) + 1 : 1;
    }
    return status == SCR_OK && !s->no_check ? cross_check(s, first_ns) : status;
}

/* Looks at the device's clock now and then: asking takes longer than some kernels. */
static void look_at_clock(struct scr_sampler *s, bool now)
{
    struct scr_clock_sample c;
    bool seen;

    if (!now && scr_clock_s() - s->last_clock_s < CLOCK_EVERY_S)
        return;
    seen = scr_nvml_sample(s->nvml, &c);
    if (has_fault(s, SCR_INJECT_THROTTLE)) {
        seen = true;
        c.throttled = 1;
    }
    if (seen && c.throttled == 1)
        s->n_throttled += s->n_unseen;
    if (seen && s->n_clock < SCR_MAX_CLOCK_SAMPLES) {
        s->clock_mhz[s->n_clock] = c.sm_mhz;
        s->temperature_c[s->n_clock] = c.temperature_c;
        s->power_w[s->n_clock++] = c.power_w;
    }
    s->n_unseen = 0;
    s->last_clock_s = scr_clock_s();
}

int scr_sampler_take(void *user, size_t who, double *ns)
{
    struct scr_sampler *s = user;
    int status = SCR_OK;

    /* Where one copy shall be in the cache, the plan before has put something else there. */
    if (s->copies == 1 && s->n_plans > 1)
        status = run_wall(s, who, 1, ns);
    if (status == SCR_OK)
        status = s->wall ? run_wall(s, who, s->batch[who], ns) : run_event(s, who, ns);
    if (has_fault(s, SCR_INJECT_FIXED_TIMES))
        *ns = scr_faults_fixed_ns(s->at, scr_plan_config(s->plans[who]));
    s->n_bad += !(*ns > 0);
    *ns = *ns > 0 ? drifted(s, *ns) : NAN;
    if (who == 0) {
        s->least_ns = *ns > 0 && (s->n_good == 0 || *ns < s->least_ns) ? *ns : s->least_ns;
        s->n_good += *ns > 0;
        s->n_samples++;
        s->n_unseen++;
        look_at_clock(s, false);
    }
    return status;
}

/* Whether others leave the processors alone, at once or after a while. */
static bool is_calm(struct scr_sampler *s, bool wait)
{
    if (s->calm == NULL)
        return true;
    return !has_fault(s, SCR_INJECT_BUSY) &&
           (wait ? scr_calm_wait(s->calm, s->beat, s->user) : scr_calm_is(s->calm));
}

int scr_sampler_visit(struct scr_sampler *s, bool first)
{
    double ns;
    int status = SCR_OK;

    s->slowed = first && has_fault(s, SCR_INJECT_VISIT);
    s->calm_before = is_calm(s, true);
    s->n_before = s->n_samples;
    for (size_t who = 0; who < s->n_plans && status == SCR_OK && !first; who++)
        status = warm_up(s, who, &ns);
    return status;
}

void scr_sampler_leave(struct scr_sampler *s)
{
    size_t n = s->n_samples - s->n_before;

    s->n_visited += n;
    if (s->calm_before && is_calm(s, false))
        s->n_calm += n;
}

void scr_sampler_restart(struct scr_sampler *s)
{
    s->n_good = s->n_visited = s->n_calm = 0;
}

bool scr_sampler_was_disturbed(const struct scr_sampler *s)
{
    return s->n_visited > 0 && 2 * s->n_calm <= s->n_visited;
}

bool scr_sampler_wants_more(struct scr_sampler *s)
{
    return scr_sampler_was_disturbed(s) && is_calm(s, true);
}

bool scr_sampler_hopeless(const struct scr_sampler *s)
{
    return s->give_up_ns > 0 && s->n_good >= SCR_MIN_SAMPLES && s->least_ns > s->give_up_ns;
}

void scr_sampler_report(struct scr_sampler *s, struct scr_row *row)
{
    look_at_clock(s, true);
    snprintf(row->timer, sizeof row->timer, "%s", s->wall ? "wall" : "event");
    row->t_wall_ns = s->t_wall_ns;
    row->t_event_ns = s->t_event_ns;
    if (s->flag != NULL)
        scr_row_flag(row, s->flag);
    if (s->n_throttled > 0)
        scr_row_flag(row, "throttled");
    if (scr_sampler_was_disturbed(s))
        scr_row_flag(row, "busy");
    if (s->n_clock > 0) {
        row->n_throttled = (double)s->n_throttled;
        row->clock_mhz = scr_median(s->clock_mhz, s->n_clock);
        row->temperature_c = scr_median(s->temperature_c, s->n_clock);
        row->power_w = scr_median(s->power_w, s->n_clock);
    }
}
