/* SPDX-License-Identifier: Apache-2.0 */
#include "sampler.h"

#include "timer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_UP_RUNS = 2, MAX_CHECK_RUNS = 32, CHECKS = 3 };
static const double WARM_UP_S = 0.02;
static const double CHECK_S = 0.004;        /* of runs on each side of a cross-check */
static const double WALL_BATCH_NS = 2e5;    /* below that the host's clock needs several runs */
static const double UNKNOWN_FLOOR_NS = 1e5; /* what a launch may cost where it was not measured */
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

/* A run by the device's events; *ns <= 0 where they tell nothing, below -1 where they run back. */
static int run_event(struct scr_sampler *s, size_t who, double *ns)
{
    scr_args args = next_args(s);
    int status = scr_plan_run(s->plans[who], &args, ns);

    if (has_fault(s, SCR_INJECT_REVERSED))
        *ns = -fabs(*ns) - 2;
    if (has_fault(s, SCR_INJECT_MISSING))
        *ns = -1;
    if (has_fault(s, SCR_INJECT_SHORT))
        *ns *= 0.1;
    return status;
}

/* Runs back to back by the host's clock; *ns is that of one. */
static int run_wall(struct scr_sampler *s, size_t who, int runs, double *ns)
{
    double start = scr_clock_s();
    int status = SCR_OK;

    for (int i = 0; i < runs && status == SCR_OK; i++) {
        scr_args args = next_args(s);

        status = scr_plan_run(s->plans[who], &args, NULL);
    }
    if (status == SCR_OK)
        status = scr_device_synchronize(s->bench->dev);
    *ns = (scr_clock_s() - start) * 1e9 / runs;
    return status;
}

/* Whether an event time and a wall time, both of one run, can be of the same device. */
static bool agree(const struct scr_sampler *s, double event, double wall)
{
    double launch = isnan(s->floor_wall_ns) ? UNKNOWN_FLOOR_NS : 2 * s->floor_wall_ns + 5000;
    double gap = isnan(s->floor_ns) ? 2000 : 2 * s->floor_ns + 2000;

    return event <= 1.1 * wall + gap && wall <= 1.1 * event + launch;
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

/* Compares the two clocks on plan 0 and decides. */
static int cross_check(struct scr_sampler *s, double first_ns)
{
    int runs = (int)fmin(fmax(CHECK_S * 1e9 / fmax(first_ns, 1000), 1), MAX_CHECK_RUNS);
    double events[MAX_CHECK_RUNS];
    int status = SCR_OK;

    for (int check = 0; check < CHECKS && status == SCR_OK; check++) {
        status = run_wall(s, 0, runs, &s->t_wall_ns);
        if (s->no_events)
            break;
        for (int i = 0; i < runs && status == SCR_OK; i++) {
            status = run_event(s, 0, &events[i]);
            if (status == SCR_OK && !(events[i] > 0)) {
                s->flag = events[i] < -1 ? "events-reversed" : "events-missing";
                s->wall = true;
                return SCR_OK;
            }
        }
        s->t_event_ns = status == SCR_OK ? scr_median(events, (size_t)runs) : NAN;
        if (status == SCR_OK && agree(s, s->t_event_ns, s->t_wall_ns))
            return SCR_OK;
    }
    s->wall = true;
    s->flag = s->no_events ? NULL : "events-off";
    return status;
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
