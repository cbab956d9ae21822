/* SPDX-License-Identifier: Apache-2.0 */
/* The search of one kernel and skip for a shape: strategy, compiling ahead, timing. */
#include "tune_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A space of no more points is tried whole unless the user wants otherwise. */
enum { SMALL_SPACE = 48 };

/* Of a kernel; starts for more of them are left out. */
enum { MAX_VARIANTS = 4, MAX_STARTS = SCR_N_TUNED_KERNELS + SCR_TUNER_STARTS * MAX_VARIANTS };

struct run {
    struct scr_tune *t;
    struct scr_tune_search *s;
    size_t shape;
    double end_s;
    bool *compiled;
    size_t n_at_once, n_started;
};

enum scr_strategy scr_tune_strategy(const struct scr_tune *t, const struct scr_space *space)
{
    if (t->o->strategy >= 0)
        return (enum scr_strategy)t->o->strategy;
    return space->n <= SMALL_SPACE ? SCR_SEARCH_EXHAUSTIVE : SCR_SEARCH_LOCAL;
}

size_t scr_tune_expected(const struct scr_tune *t, const struct scr_space *space)
{
    const struct scr_search_options options = {.strategy = scr_tune_strategy(t, space),
                                               .max_tries = (size_t)t->o->tries};

    return scr_search_tries(&options, space->n);
}

static bool wants_compiling(const struct run *r, size_t i)
{
    return !r->compiled[i] && isnan(r->s->ns[i]) &&
           scr_tune_find(r->t, SCR_RECORD_CANDIDATE, &r->s->space.candidates[i].config) == NULL;
}

/* The candidate, and as many more as compile beside it: those that are likely to be asked next. */
static size_t batch_of(const struct run *r, const struct scr_search_step *step, size_t *out)
{
    size_t n = 0;

    out[n++] = step->candidate;
    for (size_t j = 0; j < step->n_next && n < r->n_at_once; j++) {
        if (wants_compiling(r, step->next[j]))
            out[n++] = step->next[j];
    }
    return n;
}

/* Notes what does not compile. SCR_OK or not where t->end says why. */
static int compile(struct run *r, const struct scr_search_step *step)
{
    size_t batch[1 + SCR_SEARCH_AHEAD];
    scr_config *configs;
    struct scr_trial *trials;
    size_t n = batch_of(r, step, batch);
    int status = SCR_ERR_NO_MEMORY;

    configs = malloc(n * sizeof *configs);
    trials = malloc(n * sizeof *trials);
    if (configs != NULL && trials != NULL) {
        for (size_t k = 0; k < n; k++)
            configs[k] = r->s->space.candidates[batch[k]].config;
        status = scr_lab_compile(r->t->lab, r->shape, configs, n, trials);
    }
    for (size_t k = 0; status == SCR_OK && k < n; k++) {
        struct scr_record record;

        r->compiled[batch[k]] = true;
        if (strcmp(trials[k].status, "ok") == 0)
            continue;
        scr_tune_record(r->t, SCR_RECORD_CANDIDATE, &configs[k], &record);
        scr_tune_record_trial(&record, &trials[k]);
        scr_tune_keep(r->t, &record, 1);
    }
    free(configs);
    free(trials);
    return status;
}

void scr_tune_set_end(struct scr_tune *t, double end_s)
{
    t->part_end_s = end_s;
    scr_lab_set_end(t->lab, end_s != 0 ? fmin(end_s, t->end_s) : t->end_s);
}

/* Where the lab did not answer: the budget, the user, or no process to be had. */
int scr_tune_give_up(struct scr_tune *t)
{
    if (t->stop != NULL && *t->stop) {
        t->end = SCR_TUNE_STOPPED;
    } else if (t->end_s != 0 && scr_clock_s() >= t->end_s) {
        t->end = SCR_TUNE_LATE;
    } else if (t->part_end_s != 0 && scr_clock_s() >= t->part_end_s) {
        return SCR_ERR_DEVICE; /* what is left of the budget is for others */
    } else if (t->end == SCR_TUNE_GOES_ON) {
        t->end = SCR_TUNE_BROKEN;
        snprintf(t->why, sizeof t->why, "%s", scr_lab_why(t->lab));
    }
    return SCR_ERR_DEVICE;
}

static void show(struct run *r, const scr_config *c)
{
    struct scr_tune *t = r->t;
    char shape[120], text[400];

    scr_lab_shape_name(&t->shapes.cases[r->shape], shape, sizeof shape);
    snprintf(text, sizeof text, "%s %s/%s: %s skip=%s, candidate %zu of at most %zu", t->info->id,
             scr_dtype_name(t->key.dtype), shape, c->kernel, scr_skip_name(c->skip), r->n_started,
             scr_tune_expected(t, &r->s->space));
    scr_progress_show(&t->progress, t->done, text);
}

static int try_candidate(void *user, const struct scr_search_step *step, double *ns)
{
    struct run *r = user;
    struct scr_tune *t = r->t;
    size_t i = step->candidate;
    const scr_config *config = &r->s->space.candidates[i].config;
    const struct scr_record *known = scr_tune_find(t, SCR_RECORD_CANDIDATE, config);
    struct scr_record record;
    struct scr_trial trial;
    int status = SCR_OK;

    r->n_started++;
    if (known == NULL) {
        show(r, config);
        if (t->stop != NULL && *t->stop)
            return scr_tune_give_up(t);
        if (r->end_s != 0 && scr_clock_s() >= r->end_s)
            return SCR_ERR_NOT_FOUND; /* the search has had its time; the final follows */
        if (!r->compiled[i])
            status = compile(r, step);
        if (status != SCR_OK)
            return scr_tune_give_up(t);
        known = scr_tune_find(t, SCR_RECORD_CANDIDATE, config);
    }
    if (known == NULL && t->end == SCR_TUNE_GOES_ON) {
        status = scr_lab_time(t->lab, r->shape, config, t->limit_s, step->best, &trial);
        if (status != SCR_OK)
            return scr_tune_give_up(t);
        scr_tune_record(t, SCR_RECORD_CANDIDATE, config, &record);
        scr_tune_record_trial(&record, &trial);
        scr_tune_keep(t, &record, 1);
        known = &record;
    }
    if (t->end != SCR_TUNE_GOES_ON)
        return SCR_ERR_DEVICE;
    t->done++;
    *ns = strcmp(known->status, "ok") == 0 && known->ns > 0 ? known->ns : INFINITY;
    r->s->ns[i] = *ns;
    return SCR_OK;
}

/* Adds the candidate most like a configuration. */
static void add_start(const struct scr_space *space, const scr_config *like, size_t *starts,
                      size_t *n)
{
    size_t i = scr_space_nearest(space, like);

    for (size_t j = 0; j < *n; j++) {
        if (starts[j] == i)
            return;
    }
    if (i != 0 && *n < MAX_STARTS)
        starts[(*n)++] = i;
}

/* Adds the parameters that the user named, for each variant that has them all. */
static void add_given(const struct scr_tune *t, size_t shape, int kernel,
                      const struct scr_space *space, size_t *starts, size_t *n)
{
    const scr_problem *p = &t->shapes.cases[shape].spec.problem;

    for (int g = 0; g < t->o->n_starts; g++) {
        const struct scr_tuner_start *given = &t->o->starts[g];
        const char *variant = NULL;

        for (size_t i = 0; i < space->n; i++) {
            const scr_config *first = &space->candidates[i].config;
            scr_config like = {.skip = scr_tuned_kernels[kernel].skip, .n_params = given->n_params};

            if (variant != NULL && strcmp(variant, first->variant) == 0)
                continue;
            variant = first->variant;
            memcpy(like.kernel, first->kernel, sizeof like.kernel);
            memcpy(like.variant, first->variant, sizeof like.variant);
            memcpy(like.params, given->params, sizeof like.params);
            if (scr_config_resolve(t->info, p, &like, NULL, 0) == SCR_OK)
                add_start(space, &like, starts, n);
        }
    }
}

int scr_tune_search_run(struct scr_tune *t, size_t shape, int kernel, double end_s,
                        struct scr_tune_search *out)
{
    const struct scr_tuned_kernel *k = &scr_tuned_kernels[kernel];
    struct run r = {.t = t, .s = out, .shape = shape, .end_s = end_s, .n_at_once = 1};
    size_t starts[MAX_STARTS];
    struct scr_search_options options = {
        .seed = t->o->seed, .max_tries = (size_t)t->o->tries, .starts = starts};
    const scr_config *like;
    int status;

    *out = (struct scr_tune_search){0};
    status = scr_space_create(t->info, &t->shapes.cases[shape].spec.problem, k->kernel, k->skip,
                              &out->space);
    if (status != SCR_OK)
        return status;
    like = scr_tune_nearby_winner(t, shape, kernel);
    if (like != NULL)
        add_start(&out->space, like, starts, &options.n_starts);
    for (int i = 0; i < kernel; i++) {
        if (t->settled[shape].has[i])
            add_start(&out->space, &t->settled[shape].winners[i], starts, &options.n_starts);
    }
    add_given(t, shape, kernel, &out->space, starts, &options.n_starts);
    scr_tune_set_end(t, end_s);
    out->strategy = options.strategy = scr_tune_strategy(t, &out->space);
    if (t->jobs > 1)
        r.n_at_once = (size_t)t->jobs;
    out->ns = malloc((out->space.n + 1) * sizeof *out->ns);
    r.compiled = calloc(out->space.n + 1, sizeof *r.compiled);
    status = SCR_ERR_NO_MEMORY;
    if (out->ns != NULL && r.compiled != NULL) {
        for (size_t i = 0; i < out->space.n; i++)
            out->ns[i] = NAN;
        status = scr_search_run(&out->space, &options, try_candidate, &r, &out->result);
    }
    free(r.compiled);
    if (status == SCR_ERR_NO_MEMORY) {
        t->end = SCR_TUNE_BROKEN;
        snprintf(t->why, sizeof t->why, "out of memory");
    }
    return t->end == SCR_TUNE_GOES_ON ? SCR_OK : SCR_ERR_DEVICE;
}

void scr_tune_search_clear(struct scr_tune_search *s)
{
    scr_space_clear(&s->space);
    scr_search_result_clear(&s->result);
    free(s->ns);
    *s = (struct scr_tune_search){0};
}
