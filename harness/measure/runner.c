/* SPDX-License-Identifier: Apache-2.0 */
#include "runner.h"

#include "timer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    GUARD_BYTES = 4096, /* before and after o */
    GUARD = 0xa5,
    POISON = 0xff, /* a NaN in every storage type */
    WARM_UP_RUNS = 2,
};
static const double WARM_UP_S = 0.02;
static const double WALL_BATCH_NS = 2e5;

static size_t output_bytes(const scr_problem *p)
{
    return (size_t)p->batch * (size_t)p->heads_q * (size_t)p->len_q * (size_t)p->dv *
           scr_dtype_bytes(p->dtype_out);
}

double scr_case_memory(const struct scr_case *c)
{
    const scr_problem *p = &c->spec.problem;
    double in = (double)scr_dtype_bytes(p->dtype);
    double rows_q = (double)p->batch * p->heads_q * p->len_q;
    double rows_k = (double)p->batch * p->heads_kv * p->len_k;

    return rows_q * p->dk * in + rows_k * (p->dk + p->dv) * in + (double)output_bytes(p) +
           2.0 * GUARD_BYTES + 8.0 * p->heads_q + (p->has_kv_len ? 4.0 * p->batch : 0) +
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

static int upload(scr_device *dev, const void *host, size_t bytes, scr_buffer **out)
{
    int status = scr_buffer_create(dev, bytes, out);

    return status != SCR_OK ? status : scr_buffer_write(*out, 0, host, bytes);
}

static int bench_prepare(struct scr_bench *b)
{
    const struct scr_dataset *d = b->data;
    const scr_problem *p = &d->spec.problem;
    int status;

    if (b->ready)
        return SCR_OK;
    b->o_bytes = output_bytes(p);
    if ((status = upload(b->dev, d->q, d->q_bytes, &b->q)) != SCR_OK ||
        (status = upload(b->dev, d->k, d->k_bytes, &b->k)) != SCR_OK ||
        (status = upload(b->dev, d->v, d->v_bytes, &b->v)) != SCR_OK ||
        (status = upload(b->dev, d->r, (size_t)p->heads_q * sizeof *d->r, &b->r)) != SCR_OK ||
        (status = upload(b->dev, d->w, (size_t)p->heads_q * sizeof *d->w, &b->w)) != SCR_OK ||
        (d->kv_len != NULL &&
         (status = upload(b->dev, d->kv_len, (size_t)p->batch * sizeof *d->kv_len, &b->kv_len)) !=
             SCR_OK) ||
        (status = scr_buffer_create(b->dev, b->o_bytes + 2 * (size_t)GUARD_BYTES, &b->o)) !=
            SCR_OK) {
        scr_bench_clear(b);
        return status;
    }
    b->host = malloc(b->o_bytes + 2 * (size_t)GUARD_BYTES);
    if (b->host == NULL) {
        scr_bench_clear(b);
        return SCR_ERR_NO_MEMORY;
    }
    b->ready = true;
    return SCR_OK;
}

void scr_bench_clear(struct scr_bench *b)
{
    scr_buffer_destroy(&b->q);
    scr_buffer_destroy(&b->k);
    scr_buffer_destroy(&b->v);
    scr_buffer_destroy(&b->r);
    scr_buffer_destroy(&b->w);
    scr_buffer_destroy(&b->kv_len);
    scr_buffer_destroy(&b->o);
    free(b->host);
    b->host = NULL;
    b->ready = false;
}

const void *scr_bench_output(const struct scr_bench *b)
{
    return b->host + GUARD_BYTES;
}

static scr_args bench_args(const struct scr_bench *b)
{
    return (scr_args){.q = b->q,
                      .k = b->k,
                      .v = b->v,
                      .r = b->r,
                      .w = b->w,
                      .kv_len = b->kv_len,
                      .o = b->o,
                      .o_offset = GUARD_BYTES};
}

static int poison(struct scr_bench *b)
{
    int status = scr_buffer_fill(b->o, 0, GUARD, GUARD_BYTES);

    if (status == SCR_OK)
        status = scr_buffer_fill(b->o, GUARD_BYTES, POISON, b->o_bytes);
    if (status == SCR_OK)
        status = scr_buffer_fill(b->o, GUARD_BYTES + b->o_bytes, GUARD, GUARD_BYTES);
    return status;
}

/* FNV-1a over 64-bit words, the tail byte by byte: equal bytes, equal hash. */
static uint64_t hash_bytes(const uint8_t *data, size_t bytes)
{
    uint64_t h = 0xcbf29ce484222325u;
    size_t i = 0;

    for (; i + 8 <= bytes; i += 8) {
        uint64_t word;

        memcpy(&word, data + i, 8);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
    }
    for (; i < bytes; i++)
        h = (h ^ data[i]) * 0x100000001b3u;
    return h;
}

static void fail(struct scr_row *row, int status, struct scr_log_sink *log)
{
    const char *name = status == SCR_ERR_NO_MEMORY     ? "oom"
                       : status == SCR_ERR_COMPILE     ? "compile"
                       : status == SCR_ERR_UNSUPPORTED ? "unsupported"
                                                       : "failed";
    char line[200];

    scr_log_first(log, line, sizeof line);
    scr_row_status(row, name, "%s", line[0] != '\0' ? line : scr_status_text(status));
}

/* Reads o back and judges it. False when the row got a status. */
static bool judge(struct scr_bench *b, const struct scr_truth *truth, struct scr_log_sink *log,
                  struct scr_row *row, struct scr_run_outcome *out)
{
    struct scr_verdict v;
    int status = scr_buffer_read(b->o, 0, b->host, b->o_bytes + 2 * (size_t)GUARD_BYTES);

    if (status != SCR_OK) {
        fail(row, status, log);
        return false;
    }
    scr_truth_judge(truth, b->host + GUARD_BYTES, &v);
    row->rel_err = v.rel_err < 0 ? NAN : v.rel_err;
    row->tol = v.tol;
    row->rows_checked = (double)v.rows_checked;
    row->rows = (double)v.rows;
    row->heads_zero = v.heads_zero;
    row->heads_ill = v.heads_ill;
    out->proves_little = v.heads_zero + v.heads_hopeless == v.heads;
    out->output_hash = hash_bytes(b->host + GUARD_BYTES, b->o_bytes);
    if (!v.pass) {
        scr_row_status(row, "wrong", "%s", v.reason);
        return false;
    }
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        if (b->host[i] != GUARD || b->host[GUARD_BYTES + b->o_bytes + i] != GUARD) {
            scr_row_status(row, "wrong", "writes %s the output",
                           b->host[i] != GUARD ? "before" : "behind");
            return false;
        }
    }
    return true;
}

/*
 * Holds the counts of one head to its densities. Without a skip every tile that is visited has its
 * value product; with one, the tiles that have a live pair, and no other: f32 rounding next to tau
 * decides for the few between sure and maybe. False when the row got a status.
 */
static bool judge_counts(const struct scr_case *c, size_t head, const scr_counts *n,
                         const struct scr_densities *d, struct scr_row *row)
{
    int heads = c->spec.problem.heads_q;
    bool skips = c->config.skip != SCR_SKIP_NONE;
    unsigned long long low = skips ? d->tiles_sure : n->qk;
    unsigned long long high = skips ? d->tiles_maybe : n->qk;

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
static bool count(const struct scr_case *c, struct scr_bench *b, const struct scr_truth *truth,
                  struct scr_log_sink *log, struct scr_row *row)
{
    const scr_problem *p = &c->spec.problem;
    size_t n = (size_t)p->batch * (size_t)p->heads_q;
    scr_counts *counts = calloc(n, sizeof *counts);
    scr_args args = bench_args(b);
    scr_plan *plan = NULL;
    uint64_t qk = 0, pv = 0, slices = 0, admissible = 0;
    int status = SCR_ERR_NO_MEMORY;
    bool good = false;

    if (counts == NULL)
        goto out;
    status = scr_plan_create(b->dev, p, &c->config, SCR_PLAN_COUNT, &plan);
    if (status == SCR_OK)
        status = scr_plan_run(plan, &args, NULL);
    if (status == SCR_OK)
        status = scr_plan_counts(plan, counts);
    if (status != SCR_OK)
        goto out;
    good = true;
    for (size_t i = 0; i < n; i++) {
        struct scr_densities d;

        scr_truth_head_densities(truth, i, c->tile_q, c->tile_k, &d);
        good = good && judge_counts(c, i, &counts[i], &d, row);
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
        fail(row, status, log);
    scr_plan_destroy(&plan);
    free(counts);
    return good;
}

struct sampler {
    scr_plan *plan;
    scr_device *dev;
    scr_args args;
    bool wall;
    int batch; /* runs a sample, wall timing only */
};

static int run_wall(struct sampler *s, int runs, double *ns)
{
    double start = scr_clock_s();
    int status = SCR_OK;

    for (int i = 0; i < runs && status == SCR_OK; i++)
        status = scr_plan_run(s->plan, &s->args, NULL);
    if (status == SCR_OK)
        status = scr_device_synchronize(s->dev);
    *ns = (scr_clock_s() - start) * 1e9 / runs;
    return status;
}

static int sample(void *user, double *ns)
{
    struct sampler *s = user;

    return s->wall ? run_wall(s, s->batch, ns) : scr_plan_run(s->plan, &s->args, ns);
}

/* Warms up and decides which clock to trust. */
static int prepare_sampler(struct sampler *s, double limit_s)
{
    double start = scr_clock_s();

    for (int i = 0; i < WARM_UP_RUNS || (scr_clock_s() - start < WARM_UP_S && i < 1000); i++) {
        double before = scr_clock_s();
        double ns;
        int status = scr_plan_run(s->plan, &s->args, &ns);
        double wall = (scr_clock_s() - before) * 1e9;

        if (status != SCR_OK)
            return status;
        /* A device cannot have worked for longer than the host waited. */
        if (!(ns > 0) || ns > 1.01 * wall + 2000)
            s->wall = true;
        /* The run that was verified has warmed up a slow kernel already. */
        if (scr_clock_s() - start > limit_s)
            break;
    }
    s->batch = 1;
    if (s->wall && scr_clock_s() - start < limit_s) {
        double ns;
        int status = run_wall(s, 1, &ns);

        if (status != SCR_OK)
            return status;
        if (ns < WALL_BATCH_NS)
            s->batch = (int)(WALL_BATCH_NS / (ns > 100 ? ns : 100)) + 1;
    }
    return SCR_OK;
}

static int time_plan(scr_plan *plan, struct scr_bench *b, double limit_s, struct scr_row *row)
{
    struct sampler s = {.plan = plan, .dev = b->dev, .args = bench_args(b)};
    struct scr_time_result t;
    int status;

    /* The C kernels know no clock but the host's. */
    s.wall = strcmp(scr_device_get_info(b->dev)->backend, "ref") == 0;
    status = prepare_sampler(&s, limit_s);
    if (status == SCR_OK)
        status = scr_time_sample(sample, &s, limit_s, &t);
    if (status != SCR_OK)
        return status;
    snprintf(row->timer, sizeof row->timer, "%s", s.wall ? "wall" : "event");
    snprintf(row->cache, sizeof row->cache, "warm");
    snprintf(row->stop, sizeof row->stop, "%s", t.stop);
    row->t_median_ns = t.stats.median;
    row->t_ci_lo_ns = t.stats.ci_lo;
    row->t_ci_hi_ns = t.stats.ci_hi;
    row->t_min_ns = t.stats.min;
    row->t_q1_ns = t.stats.q1;
    row->t_q3_ns = t.stats.q3;
    row->n_samples = (double)t.stats.n;
    return SCR_OK;
}

static void forget_times(struct scr_row *row)
{
    row->t_median_ns = row->t_ci_lo_ns = row->t_ci_hi_ns = row->t_min_ns = NAN;
    row->t_q1_ns = row->t_q3_ns = NAN;
}

/* Times the plan; what was timed must have written the right bits, too. False: see the row. */
static bool time_and_judge(scr_plan *plan, struct scr_bench *b, const struct scr_truth *truth,
                           double limit_s, struct scr_log_sink *log, struct scr_row *row,
                           uint64_t hash)
{
    struct scr_run_outcome again;
    int status = poison(b);

    if (status == SCR_OK)
        status = time_plan(plan, b, limit_s, row);
    if (status != SCR_OK) {
        fail(row, status, log);
        return false;
    }
    if (!judge(b, truth, log, row, &again)) {
        forget_times(row);
        return false;
    }
    if (again.output_hash != hash) {
        scr_row_status(row, "wrong", "two runs gave different bits");
        forget_times(row);
        return false;
    }
    return true;
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
    if (c->tile_q > 0) {
        row->tiles_admissible = (double)d->tiles_admissible;
        row->tiles_live = (double)d->tiles_live;
        if (d->tiles_admissible > 0)
            row->tile_density = (double)d->tiles_live / (double)d->tiles_admissible;
    }
}

/* Whether the case fits; else the row says what it needs. */
static bool fits(const struct scr_case *c, size_t host_memory, struct scr_row *row)
{
    double have = (double)c->device->global_mem;
    char need_text[24], have_text[24];

    row->mem_peak_bytes = scr_case_memory(c);
    row->workspace_bytes =
        (double)scr_config_workspace_bytes(c->device, &c->spec.problem, &c->config);
    if (c->device->is_cpu && (have == 0 || have > 0.8 * (double)host_memory) && host_memory > 0)
        have = 0.8 * (double)host_memory;
    scr_format_bytes(row->mem_peak_bytes, need_text, sizeof need_text);
    if (have > 0 && row->mem_peak_bytes > have) {
        scr_format_bytes(have, have_text, sizeof have_text);
        scr_row_status(row, "skipped", "needs %s of device memory, the device has %s", need_text,
                       have_text);
        return false;
    }
    if (c->device->max_alloc > 0 && row->workspace_bytes > (double)c->device->max_alloc) {
        scr_format_bytes(row->workspace_bytes, need_text, sizeof need_text);
        scr_format_bytes((double)c->device->max_alloc, have_text, sizeof have_text);
        scr_row_status(row, "skipped", "needs %s in one piece, the device gives at most %s",
                       need_text, have_text);
        return false;
    }
    return true;
}

void scr_case_run(const struct scr_case *c, struct scr_bench *b, const struct scr_truth *truth,
                  const struct scr_run_options *options, struct scr_log_sink *log,
                  struct scr_row *row, struct scr_run_outcome *out)
{
    /* Densities are known for tiles of whole blocks only. */
    bool blocks = c->tile_q > 0 && c->tile_q % 16 == 0 && c->tile_k % 16 == 0;
    struct scr_densities d;
    scr_plan *plan = NULL;
    scr_args args;
    int status;

    *out = (struct scr_run_outcome){0};
    scr_truth_densities(truth, blocks ? c->tile_q : 0, blocks ? c->tile_k : 0, &d);
    fill_data(c, b->data, &d, row);
    if (!blocks)
        row->tiles_admissible = row->tiles_live = NAN;
    if (c->refused != SCR_OK) {
        scr_row_status(row, "unsupported", "%s", c->why);
        return;
    }
    if (!fits(c, options->host_memory, row))
        return;
    scr_log_clear(log);
    status = bench_prepare(b);
    if (status == SCR_OK)
        status = scr_plan_create(b->dev, &c->spec.problem, &c->config, 0, &plan);
    if (status == SCR_OK)
        status = poison(b);
    if (status == SCR_OK) {
        args = bench_args(b);
        status = scr_plan_run(plan, &args, NULL);
    }
    if (status == SCR_OK)
        status = scr_device_synchronize(b->dev);
    if (status != SCR_OK) {
        fail(row, status, log);
        goto done;
    }
    if (!judge(b, truth, log, row, out))
        goto done;
    if (blocks && strcmp(c->config.kernel, "tile-skip") == 0 && !count(c, b, truth, log, row))
        goto done;
    if (options->time_limit_s > 0 &&
        !time_and_judge(plan, b, truth, options->time_limit_s, log, row, out->output_hash))
        goto done;
    out->has_output = true;
    scr_row_status(row, "ok", "%s", "");
done:
    scr_plan_destroy(&plan);
}
