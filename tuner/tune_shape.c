/* SPDX-License-Identifier: Apache-2.0 */
#include "tune_state.h"

#include "tools.h"

#include <math.h>
#include <string.h>

const struct scr_tuned_kernel scr_tuned_kernels[SCR_N_TUNED_KERNELS] = {
    {"tile-skip", SCR_SKIP_TILE, 4},
    {"tile-skip", SCR_SKIP_SLICE, 3},
    {"tile-skip", SCR_SKIP_NONE, 1.5},
    {"masked-dense", SCR_SKIP_NONE, 1.5},
};

/* As much as the final among the kernels takes. */
static const double FINAL_WEIGHT = 0.7;

/* Of the time for a kernel, what the search may take; the rest is for its final. */
static const double SEARCH_SHARE = 0.65;

/* When kernel k must be through, what is left until end_s being shared by weight; 0: no end. */
static double share(double end_s, int k)
{
    double now = scr_clock_s();
    double sum = FINAL_WEIGHT;

    if (end_s == 0)
        return 0;
    for (int i = k; i < SCR_N_TUNED_KERNELS; i++)
        sum += scr_tuned_kernels[i].weight;
    return now < end_s ? now + (end_s - now) * scr_tuned_kernels[k].weight / sum : now;
}

/*
 * The winner that a kernel has for the shape at hand, if its search was not cut short; NULL.
 * *none: the kernel has no candidate for it.
 */
static const struct scr_record *settled(const struct scr_tune *t, size_t shape,
                                        const struct scr_tuned_kernel *k, bool *none)
{
    const struct scr_record *known = scr_tune_find_winner(t, k->kernel, k->skip);
    struct scr_space space;

    *none = scr_space_create(t->info, &t->shapes.cases[shape].spec.problem, k->kernel, k->skip,
                             &space) != SCR_OK;
    if (*none)
        return NULL;
    if (known != NULL && !(known->n_tried >= (double)scr_tune_expected(t, &space)))
        known = NULL;
    scr_space_clear(&space);
    return known;
}

/* The density of the shape's data, from a record or a run of a default that is right; NaN. */
static int find_density(struct scr_tune *t, size_t shape, double *out)
{
    static const char *const kernels[] = {"tile-skip", "masked-dense"};
    const struct scr_case *c = &t->shapes.cases[shape];

    *out = scr_tune_known_density(t, c);
    for (size_t i = 0; i < 2 && isnan(*out); i++) {
        scr_config config = {.skip = SCR_SKIP_NONE};
        struct scr_trial trial;

        strcpy(config.kernel, kernels[i]);
        if (scr_config_resolve(t->info, &c->spec.problem, &config, NULL, 0) != SCR_OK)
            continue;
        if (scr_lab_check(t->lab, shape, &config, &trial) != SCR_OK)
            return scr_tune_give_up(t);
        *out = trial.pair_density;
    }
    return SCR_OK;
}

static double doublings(double a, double b)
{
    return a > 0 && b > 0 ? fabs(log2(a / b)) : 0;
}

/* How unlike two shapes are that are compiled alike. */
static double apart(const struct scr_shape_key *a, const struct scr_shape_key *b)
{
    return doublings(a->len_q, b->len_q) + doublings(a->len_k, b->len_k) +
           doublings((double)a->batch * a->heads, (double)b->batch * b->heads) +
           doublings(fmin(a->window, a->len_k), fmin(b->window, b->len_k)) +
           doublings(a->density, b->density) + (a->causal != b->causal);
}

const scr_config *scr_tune_nearby_winner(const struct scr_tune *t, size_t shape, int kernel)
{
    const scr_config *found = NULL;
    double least = INFINITY;

    for (size_t i = 0; i < shape; i++) {
        const struct scr_tune_settled *s = &t->settled[i];

        if (!s->has[kernel] ||
            !scr_lab_shape_verifies(&t->shapes.cases[shape], &t->shapes.cases[i]) ||
            apart(&s->key, &t->key) >= least)
            continue;
        least = apart(&s->key, &t->key);
        found = &s->winners[kernel];
    }
    return found;
}

static void remember(struct scr_tune *t, size_t shape, int kernel, const struct scr_record *winner)
{
    struct scr_tune_settled *s = &t->settled[shape];

    s->key = t->key;
    s->has[kernel] = true;
    s->winners[kernel] = winner->config;
}

/* The fastest kernel's winner, where all that is to be done for the shape is done; NULL. */
static const struct scr_record *all_settled(struct scr_tune *t, size_t shape)
{
    for (int k = 0; k < SCR_N_TUNED_KERNELS; k++) {
        bool none;
        const struct scr_record *known = settled(t, shape, &scr_tuned_kernels[k], &none);

        if (known == NULL && !none)
            return NULL;
        if (known != NULL)
            remember(t, shape, k, known);
    }
    return scr_tune_find_winner(t, NULL, SCR_SKIP_NONE);
}

/* Searches and settles one kernel and skip. SCR_OK and *has; else t->end says why. */
static int tune_kernel(struct scr_tune *t, size_t shape, int kernel, double end_s,
                       struct scr_record *winner, bool *has)
{
    bool none;
    const struct scr_record *known = settled(t, shape, &scr_tuned_kernels[kernel], &none);
    struct scr_tune_search search;
    double search_s = end_s != 0 ? scr_clock_s() + SEARCH_SHARE * (end_s - scr_clock_s()) : 0;
    size_t before = t->done;
    int status;

    *has = known != NULL;
    if (known != NULL) {
        *winner = *known;
        remember(t, shape, kernel, winner);
        return SCR_OK;
    }
    status = scr_tune_search_run(t, shape, kernel, search_s, &search);
    if (status == SCR_OK) {
        double start = scr_clock_s();

        status = scr_tune_final(t, shape, &search, end_s, winner);
        t->final_s = fmax(t->final_s, scr_clock_s() - start);
    }
    *has = status == SCR_OK;
    if (*has)
        remember(t, shape, kernel, winner);
    if (search.space.n > 0)
        t->done = before + scr_tune_expected(t, &search.space);
    scr_tune_search_clear(&search);
    return t->end == SCR_TUNE_GOES_ON ? SCR_OK : SCR_ERR_DEVICE;
}

static void print_winner(struct scr_tune *t, size_t shape, const struct scr_record *r)
{
    char name[120], time[32], config[200];

    scr_lab_shape_name(&t->shapes.cases[shape], name, sizeof name);
    scr_format_ns(r->ns, time, sizeof time);
    scr_format_config(&r->config, config, sizeof config);
    scr_progress_hide(&t->progress);
    printf("%s %s %d/%d: %s, ", scr_dtype_name(r->shape.dtype), name, (int)r->shape.dk,
           (int)r->shape.dv, time);
    if (isnan(r->gain))
        printf("not compared with the default");
    else if (scr_config_same(&r->config, &r->baseline))
        printf("the default stays");
    else
        printf("%.2fx (%.2f to %.2f) of the default's speed", r->gain, r->gain_lo, r->gain_hi);
    printf(": %s skip=%s %s\n", r->config.kernel, scr_skip_name(r->config.skip), config);
    fflush(stdout);
}

void scr_tune_shape(struct scr_tune *t, size_t shape, double share_end_s)
{
    struct scr_case *c = &t->shapes.cases[shape];
    struct scr_record winners[SCR_N_TUNED_KERNELS], best;
    const struct scr_record *known;
    char name[120];
    double density;
    size_t n = 0;

    t->n_shapes++;
    scr_lab_shape_name(c, name, sizeof name);
    scr_tune_set_end(t, 0);
    if (find_density(t, shape, &density) != SCR_OK)
        return;
    if (scr_lab_shape_key(c, density, &t->key, t->why, sizeof t->why) != SCR_OK) {
        t->end = SCR_TUNE_BROKEN;
        return;
    }
    known = all_settled(t, shape);
    if (known != NULL) {
        t->n_won++;
        print_winner(t, shape, known);
        return;
    }
    for (int k = 0; k < SCR_N_TUNED_KERNELS; k++) {
        bool has;

        /* Better no winner of this kernel than none of all. */
        if (n > 0 && share_end_s != 0 && share_end_s - scr_clock_s() < t->final_s)
            break;
        if (tune_kernel(t, shape, k, share(share_end_s, k), &winners[n], &has) != SCR_OK)
            return;
        n += has;
    }
    scr_progress_hide(&t->progress);
    if (n == 0) {
        fprintf(stderr, "tuner: %s: no configuration is right; --show says what came of each\n",
                name);
        return;
    }
    if (scr_tune_final_of_all(t, shape, winners, n, share_end_s, &best) != SCR_OK)
        return;
    t->n_won++;
    print_winner(t, shape, &best);
}
