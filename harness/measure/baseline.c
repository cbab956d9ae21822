/* SPDX-License-Identifier: Apache-2.0 */
#include "baseline.h"

#include "config.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Candidates that take this much longer than the best are out of the final. */
static const double HOPELESS = 1.6;

enum { BRIEF_RUNS = 5 };
static const double BRIEF_NS = 2e7; /* spent: after two runs there is none more */

static const double TUNE_LIMIT_S = 0.05; /* for each in the final, at most */

void scr_baselines_forget_data(struct scr_baselines *b)
{
    free(b->known);
    b->known = NULL;
    b->n_known = 0;
}

void scr_baselines_clear(struct scr_baselines *b)
{
    scr_baselines_forget_data(b);
    for (size_t i = 0; i < b->n_tuned; i++)
        free(b->tuned[i].shape);
    free(b->tuned);
    *b = (struct scr_baselines){0};
}

static struct scr_known *find_known(struct scr_baselines *b, const scr_config *config)
{
    for (size_t i = 0; i < b->n_known; i++) {
        if (scr_config_same(&b->known[i].config, config))
            return &b->known[i];
    }
    return NULL;
}

/* A new entry, or NULL when memory is exhausted; older pointers are void. */
static struct scr_known *add_known(struct scr_baselines *b, const scr_config *config)
{
    struct scr_known *grown = realloc(b->known, (b->n_known + 1) * sizeof *grown);

    if (grown == NULL)
        return NULL;
    b->known = grown;
    grown[b->n_known] = (struct scr_known){.config = *config, .run_ns = NAN};
    return &grown[b->n_known++];
}

void scr_baselines_know(struct scr_baselines *b, const struct scr_case *c, uint64_t hash)
{
    struct scr_known *k = find_known(b, &c->config);

    if (k == NULL)
        k = add_known(b, &c->config);
    if (k != NULL) {
        k->right = true;
        k->hash = hash;
    }
}

static void beat(const struct scr_runner *r, const char *step)
{
    if (r->beat != NULL)
        r->beat(r->user, step);
}

struct brief {
    const struct scr_runner *runner;
    scr_plan *plan;
    size_t next; /* copy of the data; they take turns, as when samples are taken */
};

/* The time of one run by the host's clock. */
static int run_once(void *user, double *ns)
{
    struct brief *b = user;
    size_t copies = b->runner->bench->n_copies > 0 ? b->runner->bench->n_copies : 1;
    scr_args args = scr_bench_args(b->runner->bench, b->next++ % copies);
    double start = scr_clock_s();
    int status = scr_plan_run(b->plan, &args, NULL);

    if (status == SCR_OK)
        status = scr_device_synchronize(b->runner->bench->dev);
    *ns = (scr_clock_s() - start) * 1e9;
    return status;
}

/* About the time of a run: one that is held up must not put a candidate out of the final. */
static double run_briefly(const struct scr_runner *r, scr_plan *plan)
{
    struct brief b = {r, plan, 0};
    double ns;

    return scr_time_least(run_once, &b, BRIEF_RUNS, BRIEF_NS, &ns) == SCR_OK ? ns : NAN;
}

/* What is known of a configuration on the data of c, which is run where nothing is. */
static struct scr_known *learn(struct scr_baselines *b, const struct scr_runner *r,
                               const struct scr_case *c, const scr_config *config, bool timed)
{
    struct scr_known *k = find_known(b, config);
    struct scr_case other = *c;
    struct scr_checked checked;
    struct scr_row row;

    if (k != NULL && (!k->right || !timed || !isnan(k->run_ns)))
        return k;
    if (k == NULL)
        k = add_known(b, config);
    if (k == NULL)
        return NULL;
    other.config = *config;
    other.tile_q = other.tile_k = 0; /* no counts: that is for the rows themselves */
    other.refused =
        scr_config_resolve(c->device, &c->spec.problem, &other.config, other.why, sizeof other.why);
    scr_row_init(&row, &other);
    scr_runner_check(r, &other, r->bench->n_copies > 0 ? r->bench->n_copies : 1, &row, &checked);
    k->right = checked.plan != NULL;
    k->hash = checked.hash;
    if (k->right && timed)
        k->run_ns = run_briefly(r, checked.plan);
    if (!k->right)
        snprintf(k->why, sizeof k->why, "%s: %.190s", row.status, row.reason);
    scr_plan_destroy(&checked.plan);
    return k;
}

static scr_config unskipped(const struct scr_case *c)
{
    scr_config config = c->config;

    config.skip = SCR_SKIP_NONE;
    return config;
}

void scr_baselines_compare_unskipped(struct scr_baselines *b, const struct scr_runner *r,
                                     const struct scr_case *c, uint64_t hash, struct scr_row *row)
{
    scr_config config = unskipped(c);
    const struct scr_known *k = learn(b, r, c, &config, false);

    if (k == NULL || !k->right)
        scr_row_status(row, "failed", "nothing to compare the bits with: skip = none is %.140s",
                       k != NULL ? k->why : "out of memory");
    else if (k->hash != hash)
        scr_row_status(row, "wrong", "differs from skip = none");
}

static void name_params(const scr_config *config, char *out, size_t size)
{
    out[0] = '\0';
    for (int i = 0; i < config->n_params; i++)
        scr_append(out, size, "%s%s=%d", i > 0 ? " " : "", config->params[i].name,
                   (int)config->params[i].value);
}

/* All that decides which masked-dense is the fastest. */
static void name_shape(const struct scr_case *c, char *out, size_t size)
{
    const scr_problem *p = &c->spec.problem;

    snprintf(out, size, "%s %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d ", c->device->id, p->batch,
             p->heads_q, p->heads_kv, p->len_q, p->len_k, p->dk, p->dv, p->q_pos0, (int)p->dtype,
             (int)p->dtype_out, p->causal, p->tanh_norm, p->has_kv_len, c->spec.ragged_kv_len,
             c->spec.kv_missing);
    scr_window_name(&c->spec.window, out + strlen(out), size - strlen(out));
    if (c->spec.window.kind == SCR_WINDOW_AUTO) {
        scr_append(out, size, " ");
        scr_workload_name(&c->spec.workload, out + strlen(out), size - strlen(out));
    }
    if (c->spec.one_head)
        scr_append(out, size, " head %d", c->spec.trace_head);
    scr_append(out, size, " %s ", c->masked.variant);
    name_params(&c->masked, out + strlen(out), size - strlen(out));
}

struct tiles {
    size_t n;
    scr_config *config;
};

static int add_tile(void *user, const scr_config *config)
{
    struct tiles *t = user;

    if (t->n == SCR_MAX_CONTESTANTS)
        return 1;
    t->config[t->n++] = *config;
    return 0;
}

size_t scr_masked_candidates(const struct scr_case *c, scr_config out[SCR_MAX_CONTESTANTS])
{
    scr_config partial = {.kernel = "masked-dense"};
    struct tiles t = {0, out};

    if (c->masked.kernel[0] != '\0')
        add_tile(&t, &c->masked);
    scr_config_enumerate(c->device, &c->spec.problem, &partial, "TILE_Q,TILE_K", add_tile, &t);
    for (size_t i = 1; i < t.n && c->masked.kernel[0] != '\0'; i++) {
        if (scr_config_same(&out[i], &c->masked))
            out[i--] = out[--t.n]; /* the tables have one of the tiles */
    }
    return t.n;
}

/* The one with the lowest median, sampled side by side. False: none could run. */
static bool race(const struct scr_runner *r, const struct scr_case *c,
                 const struct scr_sampler *sampler, double limit_s, const scr_config *configs,
                 size_t n_configs, scr_config *best)
{
    struct scr_sampler s = *sampler;
    scr_plan *plans[SCR_MAX_CONTESTANTS] = {NULL};
    struct scr_contest contest = {0};
    struct scr_time_stats stats;
    double best_ns = INFINITY;
    size_t n = 0, winner = 0;
    size_t which[SCR_MAX_CONTESTANTS];
    int status;

    for (size_t i = 0; i < n_configs; i++) {
        if (scr_plan_create(r->bench->dev, &c->spec.problem, &configs[i], 0, &plans[n]) == SCR_OK)
            which[n++] = i;
    }
    status = n > 0 ? SCR_OK : SCR_ERR_NOT_FOUND;
    if (status == SCR_OK && n > 1)
        status = scr_sampler_start(&s, plans, n, limit_s);
    if (status == SCR_OK && n > 1)
        status = scr_contest_run(scr_sampler_take, &s, n, limit_s, &contest);
    for (size_t i = 0; i < n && status == SCR_OK && n > 1; i++) {
        status = scr_contest_describe(&contest, i, &stats);
        if (stats.median < best_ns) {
            best_ns = stats.median;
            winner = i;
        }
    }
    scr_contest_clear(&contest);
    for (size_t i = 0; i < n; i++)
        scr_plan_destroy(&plans[i]);
    if (status == SCR_OK)
        *best = configs[which[winner]];
    return status == SCR_OK;
}

/* Runs each candidate briefly, then races those that are not hopeless, and what the tables have. */
static bool tune(struct scr_baselines *b, const struct scr_runner *r, const struct scr_case *c,
                 const struct scr_sampler *sampler, double limit_s, scr_config *best)
{
    scr_config all[SCR_MAX_CONTESTANTS], final[SCR_MAX_CONTESTANTS];
    size_t n = scr_masked_candidates(c, all), n_final = 0;
    double fastest = INFINITY;

    for (size_t i = 0; i < n; i++) {
        const struct scr_known *k;

        beat(r, "tune masked-dense");
        k = learn(b, r, c, &all[i], true);
        if (k != NULL && k->right)
            fastest = fmin(fastest, k->run_ns);
    }
    for (size_t i = 0; i < n; i++) {
        const struct scr_known *k = find_known(b, &all[i]);
        bool of_tables = c->masked.kernel[0] != '\0' && scr_config_same(&all[i], &c->masked);

        if (k != NULL && k->right && (of_tables || k->run_ns <= HOPELESS * fastest))
            final[n_final++] = all[i];
    }
    beat(r, "race masked-dense");
    return race(r, c, sampler, fmin(limit_s, TUNE_LIMIT_S), final, n_final, best);
}

/* The best masked-dense for the shape of c, tuned on first use. */
static const struct scr_tuned *tuned_for(struct scr_baselines *b, const struct scr_runner *r,
                                         const struct scr_case *c,
                                         const struct scr_sampler *sampler, double limit_s)
{
    char shape[1600]; /* a path of 511 and 12 parameters of 32 characters are 1150 */
    struct scr_tuned *grown, *t;

    name_shape(c, shape, sizeof shape);
    for (size_t i = 0; i < b->n_tuned; i++) {
        if (strcmp(b->tuned[i].shape, shape) == 0)
            return &b->tuned[i];
    }
    grown = realloc(b->tuned, (b->n_tuned + 1) * sizeof *grown);
    if (grown == NULL)
        return NULL;
    b->tuned = grown;
    t = &grown[b->n_tuned];
    *t = (struct scr_tuned){.shape = strdup(shape)};
    if (t->shape == NULL)
        return NULL;
    b->n_tuned++;
    t->found = tune(b, r, c, sampler, limit_s, &t->config);
    return t;
}

/* In the visits of a row, but none in addition. */
static int visit_alone(struct scr_sampler *s, double limit_s, struct scr_contest *contest)
{
    size_t planned = s->visits > 0 ? s->visits : 1;
    int status = scr_contest_open(1, contest);

    for (size_t i = 0; i < planned && status == SCR_OK; i++) {
        status = scr_sampler_visit(s, i == 0);
        if (status == SCR_OK)
            status = scr_contest_visit(scr_sampler_take, s, planned, limit_s, contest);
        scr_sampler_leave(s);
    }
    return status;
}

/* Samples a rival alone, because it is too slow to take turns. */
static void sample_alone(const struct scr_runner *r, const struct scr_case *c,
                         const struct scr_sampler *sampler, double limit_s, struct scr_known *k)
{
    struct scr_sampler s = *sampler;
    struct scr_contest contest = {0};
    scr_plan *plan = NULL;
    int status;

    beat(r, "sample a baseline");
    s.no_check = true; /* by the clock that the row itself has */
    k->wall = s.wall;
    status = scr_plan_create(r->bench->dev, &c->spec.problem, &k->config, 0, &plan);
    if (status == SCR_OK)
        status = scr_sampler_start(&s, &plan, 1, limit_s);
    if (status == SCR_OK)
        status = visit_alone(&s, limit_s, &contest);
    if (status == SCR_OK)
        scr_contest_describe(&contest, 0, &k->times);
    k->busy = scr_sampler_was_disturbed(&s);
    scr_contest_clear(&contest);
    scr_plan_destroy(&plan);
}

static void add_rival(struct scr_baselines *b, const struct scr_runner *r, const struct scr_case *c,
                      double limit_s, enum scr_role role, const scr_config *config,
                      struct scr_rivals *out)
{
    struct scr_known *k;
    scr_plan **plan = &out->plans[out->n];

    if (scr_config_same(config, &c->config))
        return;
    beat(r, "check a baseline");
    k = learn(b, r, c, config, true);
    if (k == NULL || !k->right)
        return;
    out->has[role] = true;
    out->config[role] = *config;
    if (k->run_ns * 1e-9 * SCR_MIN_SAMPLES > 2 * limit_s)
        return;
    if (scr_plan_create(r->bench->dev, &c->spec.problem, config, 0, plan) == SCR_OK)
        out->place[role] = out->n++;
}

/* The dense case of the same data and device, or NULL. */
static const struct scr_case *dense_beside(const struct scr_case_list *list,
                                           const struct scr_case *c)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct scr_case *other = &list->cases[i];

        if (other->group == c->group && other->device_order == c->device_order &&
            other->refused == SCR_OK && strcmp(other->config.kernel, "dense") == 0)
            return other;
    }
    return NULL;
}

void scr_rivals_find(struct scr_baselines *b, const struct scr_case_list *list,
                     const struct scr_runner *r, const struct scr_case *c,
                     const struct scr_sampler *sampler, double limit_s, struct scr_rivals *out)
{
    const struct scr_case *dense = dense_beside(list, c);
    const struct scr_tuned *masked;
    scr_config none = unskipped(c);

    *out = (struct scr_rivals){.n = 1};
    if (strcmp(c->config.kernel, "masked-dense") == 0)
        return;
    masked = tuned_for(b, r, c, sampler, limit_s);
    if (masked != NULL && masked->found)
        add_rival(b, r, c, limit_s, SCR_ROLE_MASKED, &masked->config, out);
    if (c->config.skip != SCR_SKIP_NONE)
        add_rival(b, r, c, limit_s, SCR_ROLE_NO_SKIP, &none, out);
    if (dense != NULL)
        add_rival(b, r, c, limit_s, SCR_ROLE_DENSE, &dense->config, out);
}

void scr_rivals_sample_alone(struct scr_baselines *b, const struct scr_runner *r,
                             const struct scr_case *c, const struct scr_sampler *sampler,
                             double limit_s, const struct scr_rivals *rivals)
{
    struct scr_sampler s = *sampler;

    /* What the row's own sampling has left in there. */
    s.n_samples = s.n_unseen = s.n_throttled = s.n_clock = s.n_bad = 0;
    scr_sampler_restart(&s);
    for (int role = 0; role < SCR_N_ROLES; role++) {
        struct scr_known *k = rivals->has[role] && rivals->place[role] == 0
                                  ? find_known(b, &rivals->config[role])
                                  : NULL;

        if (k != NULL && (k->times.n == 0 || k->wall != sampler->wall))
            sample_alone(r, c, &s, limit_s, k);
    }
}

void scr_rivals_clear(struct scr_rivals *rivals)
{
    for (size_t i = 1; i < rivals->n; i++)
        scr_plan_destroy(&rivals->plans[i]);
}

/* The quotient of two medians that were not sampled together, with their intervals combined. */
static struct scr_ratio ratio_apart(const struct scr_time_stats *a, const struct scr_time_stats *b)
{
    double lo = hypot(log(a->ci_lo / a->median), log(b->ci_hi / b->median));
    double hi = hypot(log(a->ci_hi / a->median), log(b->ci_lo / b->median));
    double value = a->median / b->median;

    return (struct scr_ratio){value, value * exp(-lo), value * exp(hi)};
}

static struct scr_ratio relate_one(struct scr_baselines *b, const struct scr_rivals *rivals,
                                   const struct scr_contest *contest, enum scr_role role,
                                   struct scr_time_stats *rival, struct scr_row *row)
{
    struct scr_ratio ratio = {NAN, NAN, NAN};
    const struct scr_known *k;
    struct scr_time_stats own;

    rival->median = NAN;
    if (rivals->place[role] > 0) {
        if (scr_contest_describe(contest, rivals->place[role], rival) == SCR_OK)
            scr_contest_ratio(contest, rivals->place[role], 0, &ratio);
        return ratio;
    }
    k = rivals->has[role] ? find_known(b, &rivals->config[role]) : NULL;
    if (k == NULL || k->times.n == 0 || scr_contest_describe(contest, 0, &own) != SCR_OK)
        return ratio;
    *rival = k->times;
    scr_row_flag(row, "apart");
    if (k->busy)
        scr_row_flag(row, "busy");
    return ratio_apart(rival, &own);
}

void scr_rivals_relate(struct scr_baselines *b, const struct scr_case *c,
                       const struct scr_rivals *rivals, const struct scr_contest *contest,
                       struct scr_row *row)
{
    struct scr_known *own = find_known(b, &c->config);
    struct scr_time_stats rival;
    struct scr_ratio ratio;

    if (own != NULL && scr_contest_describe(contest, 0, &own->times) == SCR_OK) {
        own->wall = strcmp(row->timer, "wall") == 0;
        own->busy = scr_row_has_flag(row, "busy");
    }
    ratio = relate_one(b, rivals, contest, SCR_ROLE_MASKED, &rival, row);
    row->speedup_vs_masked = ratio.value;
    row->speedup_vs_masked_lo = ratio.lo;
    row->speedup_vs_masked_hi = ratio.hi;
    row->t_masked_ns = rival.median;
    if (rivals->has[SCR_ROLE_MASKED])
        name_params(&rivals->config[SCR_ROLE_MASKED], row->masked_params,
                    sizeof row->masked_params);
    ratio = relate_one(b, rivals, contest, SCR_ROLE_NO_SKIP, &rival, row);
    row->vs_no_skip = ratio.value;
    row->vs_no_skip_lo = ratio.lo;
    row->vs_no_skip_hi = ratio.hi;
    ratio = relate_one(b, rivals, contest, SCR_ROLE_DENSE, &rival, row);
    row->speedup_vs_dense = ratio.value;
    row->speedup_vs_dense_lo = ratio.lo;
    row->speedup_vs_dense_hi = ratio.hi;
}
