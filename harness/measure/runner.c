/* SPDX-License-Identifier: Apache-2.0 */
#include "runner.h"

#include "backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REPEATS = 8 }; /* copies that a plan must repeat its bits on */

double scr_case_memory(const struct scr_case *c, size_t copies)
{
    const scr_problem *p = &c->spec.problem;

    return scr_bench_memory(p, copies) +
           (double)scr_config_workspace_bytes(c->device, p, &c->config);
}

void scr_format_bytes(double bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    int unit = 0;

    for (; bytes >= 999.5 && unit < 5; unit++)
        bytes /= 1000;
    snprintf(out, size, "%.*f %s", unit > 0 && bytes < 99.95 ? 1 : 0, bytes, units[unit]);
}

void scr_runner_fail(const struct scr_runner *r, int status, struct scr_row *row)
{
    const char *name = status == SCR_ERR_NO_MEMORY     ? "oom"
                       : status == SCR_ERR_COMPILE     ? "compile"
                       : status == SCR_ERR_UNSUPPORTED ? "unsupported"
                                                       : "failed";
    char line[200];

    scr_log_first(r->log, line, sizeof line);
    scr_row_status(row, name, "%s", line[0] != '\0' ? line : scr_status_text(status));
}

/* What a fault does once the output is written. */
static int spoil(const struct scr_runner *r, const struct scr_case *c)
{
    static const struct {
        enum scr_inject fault;
        enum scr_spoil what;
    } kinds[] = {{SCR_INJECT_WRONG, SCR_SPOIL_ROW},
                 {SCR_INJECT_OVERRUN, SCR_SPOIL_BEHIND},
                 {SCR_INJECT_HARM, SCR_SPOIL_QUERIES}};
    int status = SCR_OK;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && status == SCR_OK; i++) {
        if (scr_faults_has(&r->faults, kinds[i].fault, c->order))
            status = scr_bench_spoil(r->bench, 0, kinds[i].what);
    }
    return status;
}

/* Flags of the plans of a case. */
static unsigned plan_flags(const struct scr_runner *r, const struct scr_case *c)
{
    bool seeded = scr_faults_has(&r->faults, SCR_INJECT_WRONG_SKIP, c->order) &&
                  c->config.skip != SCR_SKIP_NONE;

    return seeded ? SCR_PLAN_FAULT_SKIP : 0;
}

/* Reads the output of copy 0 and judges it. False when the row got a status. */
static bool judge(const struct scr_runner *r, struct scr_row *row, struct scr_checked *out)
{
    struct scr_bench *b = r->bench;
    struct scr_verdict v;
    const char *overrun;
    int status = scr_bench_read(b, 0);

    if (status != SCR_OK) {
        scr_runner_fail(r, status, row);
        return false;
    }
    scr_truth_judge(r->truth, scr_bench_output(b), &v);
    scr_row_judge(row, &v);
    out->proves_little = v.heads_zero + v.heads_hopeless == v.heads;
    out->hash = scr_bench_hash(b);
    snprintf(row->output_hash, sizeof row->output_hash, "%016llx", (unsigned long long)out->hash);
    overrun = scr_bench_overrun(b);
    if (v.pass && overrun != NULL)
        scr_row_status(row, "wrong", "writes %s the output", overrun);
    return v.pass && overrun == NULL;
}

bool scr_runner_judge_counts(const struct scr_case *c, size_t head, const scr_counts *n,
                             const struct scr_densities *d, struct scr_row *row)
{
    int heads = c->spec.problem.heads_q;
    bool skips = c->config.skip != SCR_SKIP_NONE;
    /* Tiles that a kernel takes untested follow on four in a row that it found to be needed. */
    unsigned long long unasked = (unsigned long long)scr_config_get(&c->config, "UNASKED", 0);
    unsigned long long most =
        d->tiles_maybe + unasked * (d->tiles_maybe > 3 ? d->tiles_maybe - 3 : 0);
    unsigned long long low = skips ? d->tiles_sure : n->qk;
    unsigned long long high = skips && most < n->qk ? most : n->qk;

    if (n->qk <= d->tiles_admissible && n->pv <= n->qk && n->pv >= low && n->pv <= high)
        return true;
    scr_row_status(row, "wrong",
                   "tiles of head %d of batch %d: pv %llu is not in [%llu, %llu], or qk %llu is "
                   "above the %llu admissible",
                   (int)head % heads, (int)head / heads, (unsigned long long)n->pv, low, high,
                   (unsigned long long)n->qk, (unsigned long long)d->tiles_admissible);
    return false;
}

/* Runs a counting build. False when the row got a status. */
static bool count(const struct scr_runner *r, const struct scr_case *c, uint64_t hash,
                  struct scr_row *row)
{
    const scr_problem *p = &c->spec.problem;
    size_t n = (size_t)p->batch * (size_t)p->heads_q;
    scr_counts *counts = calloc(n, sizeof *counts);
    scr_args args = scr_bench_args(r->bench, 0);
    scr_plan *plan = NULL;
    uint64_t qk = 0, pv = 0, slices = 0, admissible = 0;
    int status = SCR_ERR_NO_MEMORY;
    bool good = false;

    if (counts == NULL)
        goto out;
    if (r->beat != NULL)
        r->beat(r->user, "count");
    status =
        scr_plan_create(r->bench->dev, p, &c->config, SCR_PLAN_COUNT | plan_flags(r, c), &plan);
    if (status == SCR_OK)
        status = scr_bench_poison(r->bench, 0);
    if (status == SCR_OK)
        status = scr_plan_run(plan, &args, NULL);
    if (status == SCR_OK)
        status = scr_plan_counts(plan, counts);
    if (status == SCR_OK)
        status = scr_bench_read(r->bench, 0);
    if (status != SCR_OK)
        goto out;
    /* What is counted must be what is timed. */
    good = scr_bench_hash(r->bench) == hash;
    if (!good)
        scr_row_status(row, "wrong", "the counting build gives other bits");
    for (size_t i = 0; i < n; i++) {
        struct scr_densities d;

        scr_truth_head_densities(r->truth, i, c->tile_q, c->tile_k, &d);
        good = good && scr_runner_judge_counts(c, i, &counts[i], &d, row);
        admissible += d.tiles_admissible;
        qk += counts[i].qk;
        pv += counts[i].pv;
        slices += counts[i].pv_slices;
    }
    row->qk_tiles = (double)qk;
    row->pv_tiles = (double)pv;
    row->pv_slices = (double)slices;
    if (admissible > 0) {
        row->qk_executed = (double)qk / (double)admissible;
        row->pv_executed = (double)pv / (double)admissible;
    }
out:
    if (status != SCR_OK)
        scr_runner_fail(r, status, row);
    scr_plan_destroy(&plan);
    free(counts);
    return good;
}

/* What "auto" came to: one window for all heads, or the workload's own. */
static void resolve_window(const struct scr_dataset *data, int heads, struct scr_row *row)
{
    bool same = true;

    for (int h = 1; h < heads; h++)
        same &= data->w[h] == data->w[0];
    if (!same)
        snprintf(row->window, sizeof row->window, "own");
    else if (isinf(data->w[0]))
        snprintf(row->window, sizeof row->window, "inf");
    else
        snprintf(row->window, sizeof row->window, "%.9g", (double)data->w[0]);
}

/* Densities are known for tiles of whole blocks only. */
static bool blocks_known(const struct scr_case *c)
{
    return c->tile_q > 0 && c->tile_q % 16 == 0 && c->tile_k % 16 == 0;
}

static void fill_data(const struct scr_case *c, const struct scr_dataset *data,
                      const struct scr_densities *d, struct scr_row *row)
{
    int heads = c->spec.problem.heads_q;
    bool same = true;

    snprintf(row->data_hash, sizeof row->data_hash, "%016llx", (unsigned long long)data->hash);
    for (int h = 1; h < heads; h++)
        same &= data->r[h] == data->r[0];
    row->r = same ? (double)data->r[0] : NAN;
    if (c->spec.window.kind == SCR_WINDOW_AUTO)
        resolve_window(data, heads, row);
    row->pairs_admissible = (double)d->pairs_admissible;
    row->pairs_live = (double)d->pairs_live;
    row->pairs_near_tau = (double)d->pairs_near_tau;
    if (d->pairs_admissible > 0)
        row->pair_density = (double)d->pairs_live / (double)d->pairs_admissible;
    if (blocks_known(c)) {
        row->tiles_admissible = (double)d->tiles_admissible;
        row->tiles_live = (double)d->tiles_live;
        if (d->tiles_admissible > 0)
            row->tile_density = (double)d->tiles_live / (double)d->tiles_admissible;
    }
}

/*
 * Bytes that the case must move: each query and output once, keys within the windows once (all of
 * the causal range for kernels that do not look at windows), values likewise, but of tile-skip no
 * more than the tiles whose value product ran.
 */
static double moved_bytes(const struct scr_dataset *d, const struct scr_case *c,
                          const struct scr_row *row)
{
    const scr_problem *p = &c->spec.problem;
    bool skips = strcmp(c->config.kernel, "tile-skip") == 0;
    double in = (double)scr_dtype_bytes(p->dtype), out = (double)scr_dtype_bytes(p->dtype_out);
    double rows_q = (double)p->batch * p->heads_q * p->len_q;
    double keys = scr_bench_keys(d, skips);
    double values = skips ? fmin(keys, row->pv_tiles * row->tile_k) : keys;

    return rows_q * p->dk * in + keys * p->dk * in + values * p->dv * in + rows_q * p->dv * out;
}

/* Bytes of device memory that may be used. 0: not known. */
static double memory_of(const struct scr_runner *r, const struct scr_case *c)
{
    double have = (double)c->device->global_mem;
    double host = 0.8 * (double)r->host_memory;

    return c->device->is_cpu && host > 0 && (have == 0 || have > host) ? host : have;
}

/* Of q, k, v and o the largest, bytes. */
static double largest_buffer(const scr_problem *p)
{
    double in = (double)scr_dtype_bytes(p->dtype), out = (double)scr_dtype_bytes(p->dtype_out);
    double rows_q = (double)p->batch * p->heads_q * p->len_q;
    double rows_k = (double)p->batch * p->heads_kv * p->len_k;

    return fmax(fmax(rows_q * p->dk * in, rows_q * p->dv * out), rows_k * fmax(p->dk, p->dv) * in);
}

/* Whether the case fits; else the row says what it needs. */
static bool fits(const struct scr_runner *r, const struct scr_case *c, size_t copies,
                 struct scr_row *row)
{
    double have = memory_of(r, c);
    double piece;
    char need_text[24], have_text[24];

    row->mem_peak_bytes = scr_case_memory(c, copies);
    row->workspace_bytes =
        (double)scr_config_workspace_bytes(c->device, &c->spec.problem, &c->config);
    row->working_set_bytes = scr_bench_copy_bytes(&c->spec.problem) + row->workspace_bytes;
    scr_format_bytes(row->mem_peak_bytes, need_text, sizeof need_text);
    if (have > 0 && row->mem_peak_bytes > have) {
        scr_format_bytes(have, have_text, sizeof have_text);
        scr_row_status(row, "skipped", "needs %s of device memory, the device has %s", need_text,
                       have_text);
        return false;
    }
    piece = fmax(row->workspace_bytes, largest_buffer(&c->spec.problem));
    if (c->device->max_alloc > 0 && piece > (double)c->device->max_alloc) {
        scr_format_bytes(piece, need_text, sizeof need_text);
        scr_format_bytes((double)c->device->max_alloc, have_text, sizeof have_text);
        scr_row_status(row, "skipped", "needs %s in one piece, the device gives at most %s",
                       need_text, have_text);
        return false;
    }
    return true;
}

/* Asks the driver for more than any device has. */
static int exhaust(scr_device *dev)
{
    scr_buffer *all = NULL;
    int status = scr_buffer_create(dev, SIZE_MAX / 2, &all);

    scr_buffer_destroy(&all);
    return status;
}

void scr_runner_check(const struct scr_runner *r, const struct scr_case *c, size_t copies,
                      struct scr_row *row, struct scr_checked *out)
{
    bool blocks = blocks_known(c);
    struct scr_bench *b = r->bench;
    struct scr_densities d;
    scr_args args;
    int status = SCR_OK;

    *out = (struct scr_checked){0};
    scr_truth_densities(r->truth, blocks ? c->tile_q : 0, blocks ? c->tile_k : 0, &d);
    fill_data(c, b->data, &d, row);
    if (c->refused != SCR_OK) {
        scr_row_status(row, "unsupported", "%s", c->why);
        return;
    }
    if (!fits(r, c, copies, row))
        return;
    scr_log_clear(r->log);
    if (scr_faults_has(&r->faults, SCR_INJECT_OOM, c->order))
        status = exhaust(b->dev);
    if (scr_faults_has(&r->faults, SCR_INJECT_COMPILE, c->order))
        status = SCR_ERR_COMPILE;
    if (status == SCR_OK)
        status = scr_bench_prepare(b, copies);
    if (status == SCR_OK)
        status =
            scr_plan_create(b->dev, &c->spec.problem, &c->config, plan_flags(r, c), &out->plan);
    if (status == SCR_OK)
        status = scr_bench_poison(b, 0);
    if (status == SCR_OK) {
        args = scr_bench_args(b, 0);
        status = scr_plan_run(out->plan, &args, NULL);
    }
    if (status == SCR_OK)
        status = spoil(r, c);
    if (status == SCR_OK)
        status = scr_device_synchronize(b->dev);
    if (status != SCR_OK) {
        scr_runner_fail(r, status, row);
        scr_plan_destroy(&out->plan);
        return;
    }
    if (!judge(r, row, out) ||
        (blocks && strcmp(c->config.kernel, "tile-skip") == 0 && !count(r, c, out->hash, row))) {
        scr_plan_destroy(&out->plan);
        return;
    }
    row->bytes = moved_bytes(b->data, c, row);
    scr_row_status(row, "ok", "%s", "");
}

static void fill_times(const struct scr_time_stats *t, const char *stop, struct scr_row *row)
{
    snprintf(row->stop, sizeof row->stop, "%s", stop);
    row->t_median_ns = t->median;
    row->t_ci_lo_ns = t->ci_lo;
    row->t_ci_hi_ns = t->ci_hi;
    row->t_min_ns = t->min;
    row->t_q1_ns = t->q1;
    row->t_q3_ns = t->q3;
    row->n_samples = (double)t->n;
    row->n_outliers = (double)t->n_outliers;
}

/* On the first copy, the last, and some between. */
bool scr_runner_repeats(const struct scr_runner *r, scr_plan *plan, size_t copies, uint64_t hash,
                        struct scr_row *row)
{
    struct scr_bench *b = r->bench;
    size_t n = copies < MAX_REPEATS ? copies : MAX_REPEATS;
    const char *overrun = NULL;
    int status = SCR_OK;
    bool same = true;

    for (size_t j = 0; j < n && status == SCR_OK && same && overrun == NULL; j++) {
        size_t i = n > 1 ? j * (copies - 1) / (n - 1) : 0;
        scr_args args = scr_bench_args(b, i);

        if (r->beat != NULL)
            r->beat(r->user, "repeat");
        status = scr_bench_poison(b, i);
        if (status == SCR_OK)
            status = scr_plan_run(plan, &args, NULL);
        if (status == SCR_OK)
            status = scr_bench_read(b, i);
        same = status == SCR_OK && scr_bench_hash(b) == hash;
        overrun = status == SCR_OK ? scr_bench_overrun(b) : NULL;
    }
    if (status != SCR_OK)
        scr_runner_fail(r, status, row);
    else if (!same)
        scr_row_status(row, "wrong", "two runs gave different bits");
    else if (overrun != NULL)
        scr_row_status(row, "wrong", "writes %s the output", overrun);
    return same && overrun == NULL;
}

enum { GIVEN_UP = 1 };

static int take_or_give_up(void *user, size_t who, double *ns)
{
    return scr_sampler_hopeless(user) ? GIVEN_UP : scr_sampler_take(user, who, ns);
}

/* What scr_runner_time was given, and what came of the check between visits. */
struct sampling {
    const struct scr_runner *r;
    struct scr_sampler *s;
    size_t n;
    double limit_s;
    uint64_t hash;
    struct scr_row *row;
    bool checked, repeats;
};

static int run_visit(const struct sampling *x, struct scr_contest *contest)
{
    size_t planned = x->s->visits > 0 ? x->s->visits : 1;
    int status = scr_sampler_visit(x->s, contest->n_visits == 0);

    if (status == SCR_OK)
        status = scr_contest_visit(x->n == 1 ? take_or_give_up : scr_sampler_take, x->s, planned,
                                   x->limit_s, contest);
    scr_sampler_leave(x->s);
    if (status != GIVEN_UP)
        return status;
    contest->stop = "slow";
    return SCR_OK;
}

/* Whether there is to be another: as planned, or because others disturbed too many. */
static bool visit_again(struct scr_sampler *s, const struct scr_contest *contest)
{
    return contest->n_visits < s->visits ||
           (contest->n_visits < SCR_MAX_VISITS && contest->rounds < SCR_MAX_SAMPLES &&
            scr_sampler_wants_more(s));
}

/*
 * Visits as long as there are to be more. Whether the bits repeat is checked after the first, which
 * moves the next one away from it; where they do not, or the plan was given up, that is all.
 */
static int run_visits(struct sampling *x, struct scr_contest *contest)
{
    int status = scr_contest_open(x->n, contest);

    while (status == SCR_OK) {
        status = run_visit(x, contest);
        if (status != SCR_OK || strcmp(contest->stop, "slow") == 0)
            break;
        if (!x->checked)
            x->repeats = scr_runner_repeats(x->r, x->s->plans[0], x->s->copies, x->hash, x->row);
        x->checked = true;
        if (!x->repeats || !visit_again(x->s, contest))
            break;
    }
    return status;
}

bool scr_runner_time(const struct scr_runner *r, struct scr_sampler *s, scr_plan *const *plans,
                     size_t n, double limit_s, uint64_t hash, struct scr_contest *contest,
                     struct scr_row *row)
{
    struct sampling x = {r, s, n, limit_s, hash, row, false, true};
    struct scr_time_stats stats;
    int status;

    *contest = (struct scr_contest){0};
    status = scr_sampler_start(s, plans, n, limit_s);
    if (status == SCR_OK)
        status = run_visits(&x, contest);
    if (status == SCR_OK && x.repeats && s->n_bad > 0 && !s->wall) {
        /* Events that fail now and then are not to be trusted at all. */
        s->wall = true;
        s->flag = "events-missing";
        scr_sampler_restart(s);
        scr_contest_clear(contest);
        status = run_visits(&x, contest);
    }
    if (!x.repeats)
        return false;
    if (status == SCR_OK)
        status = scr_contest_describe(contest, 0, &stats);
    if (status == SCR_OK && stats.n == 0)
        status = SCR_ERR_DEVICE;
    if (status != SCR_OK) {
        scr_runner_fail(r, status, row);
        return false;
    }
    fill_times(&stats, contest->stop, row);
    snprintf(row->cache, sizeof row->cache, "%s", s->cold ? "cold" : "warm");
    row->cache_copies = (double)s->copies;
    scr_sampler_report(s, row);
    if (scr_contest_is_unsteady(contest, 0))
        scr_row_flag(row, "unsteady");
    return true;
}
