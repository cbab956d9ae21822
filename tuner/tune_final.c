/* SPDX-License-Identifier: Apache-2.0 */
/* Who wins: only what is right on all verifying shapes, and faster than what it replaces. */
#include "tune_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Slower in the search than this many times the best: no finalist. */
static const double NEAR_BEST = 1.25;

/* Sampling in a final, in time limits of a candidate. */
static const double FINAL_LIMITS = 3;

/* Runs a configuration on a shape. SCR_OK, and *right; else t->end says why. */
static int check(struct scr_tune *t, size_t shape, const scr_config *config,
                 struct scr_record *record, bool *right)
{
    struct scr_trial trial;
    char reason[sizeof record->reason];
    int status = scr_lab_check(t->lab, shape, config, &trial);

    if (status != SCR_OK)
        return scr_tune_give_up(t);
    *right = strcmp(trial.status, "ok") == 0;
    /* What the device or kernel cannot do on a verifying shape proves nothing. */
    if (strcmp(trial.status, "unsupported") == 0) {
        *right = true;
        return SCR_OK;
    }
    if (*right && record->n_verified < SCR_RECORD_SHAPES)
        scr_lab_shape_name(&t->shapes.cases[shape], record->verified[record->n_verified++],
                           sizeof record->verified[0]);
    if (*right)
        return SCR_OK;
    scr_tune_record_trial(record, &trial);
    scr_lab_shape_name(&t->shapes.cases[shape], reason, 90);
    snprintf(record->reason, sizeof record->reason, "%.85s: %.110s", reason, trial.reason);
    return SCR_OK;
}

/*
 * Whether a configuration is right on the shape and all that verify it; from its record where there
 * is one.
 */
static int verify(struct scr_tune *t, size_t shape, const scr_config *config, bool *right)
{
    const struct scr_record *known = scr_tune_find_verified(t, config);
    struct scr_record record;
    int status = SCR_OK;

    if (known != NULL) {
        *right = strcmp(known->status, "ok") == 0;
        return SCR_OK;
    }
    scr_tune_record(t, SCR_RECORD_VERIFIED, config, &record);
    snprintf(record.status, sizeof record.status, "ok");
    *right = true;
    for (size_t i = t->n_tuned; i < t->shapes.n && *right && status == SCR_OK; i++) {
        if (t->shapes.cases[i].refused == SCR_OK &&
            scr_lab_shape_verifies(&t->shapes.cases[shape], &t->shapes.cases[i]))
            status = check(t, i, config, &record, right);
    }
    if (*right && status == SCR_OK)
        status = check(t, shape, config, &record, right);
    if (status != SCR_OK)
        return status;
    record.ns = record.lo = record.hi = record.n = NAN;
    scr_tune_keep(t, &record, 1);
    return t->end == SCR_TUNE_GOES_ON ? SCR_OK : SCR_ERR_DEVICE;
}

struct field {
    scr_config configs[SCR_MAX_FINALISTS];
    size_t n;
};

static size_t place_of(const struct field *f, const scr_config *c)
{
    size_t i = 0;

    while (i < f->n && !scr_config_same(&f->configs[i], c))
        i++;
    return i;
}

/* Adds what is right and not there yet. */
static int enter(struct scr_tune *t, size_t shape, const scr_config *c, struct field *f)
{
    bool right;
    int status;

    if (f->n == SCR_MAX_FINALISTS || place_of(f, c) < f->n)
        return SCR_OK;
    status = verify(t, shape, c, &right);
    if (status == SCR_OK && right)
        f->configs[f->n++] = *c;
    return status;
}

/*
 * What the tables in force give for the shape and the kernel and skip of `first` (NULL: of all);
 * false: nothing but the default.
 */
static bool incumbent_of(const struct scr_tune *t, size_t shape, const scr_config *first,
                         scr_config *out)
{
    scr_config want = {.skip = first != NULL ? first->skip : SCR_SKIP_NONE};
    const scr_hint hint = {.window = t->key.window, .pair_density = t->key.density};
    scr_choice choice;

    if (first != NULL)
        strcpy(want.kernel, first->kernel);
    if (scr_lookup_for(t->tables, t->info, &t->shapes.cases[shape].spec.problem, &hint,
                       first != NULL ? &want : NULL, &choice) != SCR_OK ||
        choice.level == SCR_MATCH_DEFAULT)
        return false;
    *out = choice.config;
    return true;
}

/* The best few of the search that are right; a wrong one gives its place to the next. */
static int enter_best(struct scr_tune *t, size_t shape, const struct scr_tune_search *s,
                      double end_s, struct field *f)
{
    bool *seen = calloc(s->space.n, sizeof *seen);
    double best = INFINITY;
    int status = SCR_OK;

    if (seen == NULL)
        return SCR_ERR_NO_MEMORY;
    while (f->n < SCR_MAX_FINALISTS && status == SCR_OK) {
        size_t next = s->space.n, before = f->n;

        for (size_t i = 0; i < s->space.n; i++) {
            if (!seen[i] && isfinite(s->ns[i]) && (next == s->space.n || s->ns[i] < s->ns[next]))
                next = i;
        }
        if (next == s->space.n || s->ns[next] > NEAR_BEST * best ||
            (isfinite(best) && end_s != 0 && scr_clock_s() > end_s))
            break;
        seen[next] = true;
        if (place_of(f, &s->space.candidates[next].config) < f->n) {
            best = fmin(best, s->ns[next]);
            continue;
        }
        status = enter(t, shape, &s->space.candidates[next].config, f);
        if (f->n > before)
            best = fmin(best, s->ns[next]);
    }
    free(seen);
    return status;
}

static double limit_of(const struct scr_tune *t, size_t n, double end_s)
{
    double limit = FINAL_LIMITS * t->limit_s;
    double left = end_s != 0 ? (end_s - scr_clock_s()) / (double)(n + 1) : limit;

    return left < limit ? (left > t->limit_s / 2 ? left : t->limit_s / 2) : limit;
}

/* Races a field. SCR_OK or t->end says why. */
static int race(struct scr_tune *t, size_t shape, const struct field *f, double end_s,
                struct scr_trial *trials, struct scr_ratio *ratios)
{
    if (scr_lab_race(t->lab, shape, f->configs, f->n, limit_of(t, f->n, end_s), trials, ratios) !=
        SCR_OK)
        return scr_tune_give_up(t);
    return SCR_OK;
}

/*
 * The place of the winner: the first, which it is to replace, unless another is surely faster; of
 * those the fastest. n: none of them ran.
 */
static size_t winner_of(const struct field *f, const struct scr_trial *trials,
                        const struct scr_ratio *ratios)
{
    size_t w = 0;

    if (strcmp(trials[0].status, "ok") == 0) {
        for (size_t i = 1; i < f->n; i++) {
            if (ratios[i].lo > 1 && (w == 0 || ratios[i].value > ratios[w].value))
                w = i;
        }
        return w;
    }
    w = f->n;
    for (size_t i = 1; i < f->n; i++) {
        if (strcmp(trials[i].status, "ok") == 0 && (w == f->n || trials[i].ns < trials[w].ns))
            w = i;
    }
    return w;
}

static void take_verified(const struct scr_tune *t, struct scr_record *r)
{
    const struct scr_record *verified = scr_tune_find_verified(t, &r->config);

    if (verified == NULL)
        return;
    memcpy(r->verified, verified->verified, sizeof r->verified);
    r->n_verified = verified->n_verified;
}

static void set_gain(struct scr_record *r, struct scr_ratio gain)
{
    r->gain = gain.value;
    r->gain_lo = gain.lo;
    r->gain_hi = gain.hi;
}

/* What a race came to. */
struct outcome {
    struct scr_trial trials[SCR_MAX_FINALISTS];
    size_t winner;
    struct scr_ratio gain; /* over the default; NaN: that did not run */
};

/*
 * What the winner leaves on the table, known where all of the space was tried: against the fastest
 * of the final, which has the fastest of the search; times of the search are of different moments.
 */
static double regret_of(const struct scr_tune_search *s, const struct field *f,
                        const struct outcome *out)
{
    double least = INFINITY;

    if (s->result.n_tried < s->space.n)
        return NAN;
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(out->trials[i].status, "ok") == 0)
            least = fmin(least, out->trials[i].ns);
    }
    return out->trials[out->winner].ns / least - 1;
}

/*
 * Races a field, the first of which wins unless another is surely faster, and relates the winner to
 * the default, which takes its place where that is surely faster. SCR_OK; SCR_ERR_NOT_FOUND where
 * none ran; else t->end says why.
 */
static int settle(struct scr_tune *t, size_t shape, const struct field *f, const scr_config *first,
                  double end_s, struct outcome *out)
{
    struct field two = {.configs = {*first}, .n = 2};
    struct scr_ratio ratios[SCR_MAX_FINALISTS];
    struct scr_trial again[2];
    size_t d = place_of(f, first), w;
    int status = race(t, shape, f, end_s, out->trials, ratios);

    if (status != SCR_OK)
        return status;
    w = out->winner = winner_of(f, out->trials, ratios);
    if (w == f->n)
        return SCR_ERR_NOT_FOUND;
    out->gain = (struct scr_ratio){1, 1, 1};
    if (w == d)
        return SCR_OK;
    out->gain = (struct scr_ratio){NAN, NAN, NAN};
    if (d == f->n || strcmp(out->trials[d].status, "ok") != 0)
        return SCR_OK;
    if (d == 0) {
        out->gain = ratios[w];
        return SCR_OK;
    }
    two.configs[1] = f->configs[w];
    status = race(t, shape, &two, end_s, again, ratios);
    if (status != SCR_OK)
        return status;
    out->gain = ratios[1];
    if (out->gain.hi < 1) {
        out->winner = d;
        out->gain = (struct scr_ratio){1, 1, 1};
    }
    return SCR_OK;
}

int scr_tune_final(struct scr_tune *t, size_t shape, struct scr_tune_search *s, double end_s,
                   struct scr_record *winner)
{
    static const char *const strategies[] = {"exhaustive", "local", "random"};
    const scr_config *first = &s->space.candidates[0].config;
    struct field f = {.n = 0};
    struct outcome outcome;
    scr_config incumbent;
    int status = SCR_OK;

    scr_tune_set_end(t, 0);
    if (incumbent_of(t, shape, first, &incumbent))
        status = enter(t, shape, &incumbent, &f);
    if (status == SCR_OK)
        status = enter(t, shape, first, &f);
    if (status == SCR_OK)
        status = enter_best(t, shape, s, end_s, &f);
    if (status != SCR_OK || f.n == 0)
        return status != SCR_OK ? status : SCR_ERR_NOT_FOUND;
    status = settle(t, shape, &f, first, end_s, &outcome);
    if (status != SCR_OK)
        return status;
    scr_tune_record(t, SCR_RECORD_WINNER, &f.configs[outcome.winner], winner);
    scr_tune_record_trial(winner, &outcome.trials[outcome.winner]);
    winner->baseline = *first;
    set_gain(winner, outcome.gain);
    winner->n_space = (double)s->space.n;
    winner->n_tried = (double)s->result.n_tried;
    winner->regret = regret_of(s, &f, &outcome);
    snprintf(winner->strategy, sizeof winner->strategy, "%s", strategies[s->strategy]);
    take_verified(t, winner);
    scr_tune_keep(t, winner, 1);
    return t->end == SCR_TUNE_GOES_ON ? SCR_OK : SCR_ERR_DEVICE;
}

/* A second later where need be: of two records of a winner the newer one counts. */
static void after(struct scr_record *r, const struct scr_record *before)
{
    char *second = r->when + 17;

    if (strcmp(r->when, before->when) != 0)
        return;
    /* A minute may have a 60th second. */
    if (second[1] < '9')
        second[1]++;
    else if (second[0] < '6')
        memcpy(second, (const char[]){(char)(second[0] + 1), '0'}, 2);
}

static bool same_kernel(const scr_config *a, const scr_config *b)
{
    return strcmp(a->kernel, b->kernel) == 0 && a->skip == b->skip;
}

/* The winner of a kernel as it did in the race of all of them: those times can be compared. */
static void record_again(struct scr_tune *t, const struct scr_record *winner,
                         const scr_config *config, const struct scr_trial *trial,
                         struct scr_record *out)
{
    scr_tune_record(t, SCR_RECORD_WINNER, config, out);
    scr_tune_record_trial(out, trial);
    out->baseline = winner->baseline;
    set_gain(out, (struct scr_ratio){winner->gain, winner->gain_lo, winner->gain_hi});
    out->n_space = winner->n_space;
    out->n_tried = winner->n_tried;
    out->regret = winner->regret;
    memcpy(out->strategy, winner->strategy, sizeof out->strategy);
    take_verified(t, out);
    after(out, winner);
}

int scr_tune_final_of_all(struct scr_tune *t, size_t shape, const struct scr_record *winners,
                          size_t n, double end_s, struct scr_record *best)
{
    scr_config first = {.kernel = "tile-skip", .skip = SCR_SKIP_TILE};
    struct field f = {.n = 0};
    struct outcome outcome;
    struct scr_record race[SCR_N_TUNED_KERNELS + 1];
    const scr_config *config;
    scr_config incumbent;
    size_t of = 0, n_race = 0;
    int status = SCR_OK;

    scr_tune_set_end(t, 0);
    for (size_t i = 0; incumbent_of(t, shape, NULL, &incumbent) && i < n; i++) {
        if (same_kernel(&winners[i].config, &incumbent) && status == SCR_OK)
            status = enter(t, shape, &incumbent, &f);
    }
    for (size_t i = 0; i < n; i++) {
        if (place_of(&f, &winners[i].config) == f.n)
            f.configs[f.n++] = winners[i].config;
    }
    if (status == SCR_OK && scr_config_resolve(t->info, &t->shapes.cases[shape].spec.problem,
                                               &first, NULL, 0) == SCR_OK)
        status = enter(t, shape, &first, &f);
    if (status == SCR_OK)
        status = settle(t, shape, &f, &first, end_s, &outcome);
    if (status != SCR_OK)
        return status;
    config = &f.configs[outcome.winner];
    for (size_t i = 0; i < n; i++) {
        const struct scr_trial *trial = &outcome.trials[place_of(&f, &winners[i].config)];

        if (same_kernel(&winners[i].config, config))
            of = i;
        else if (strcmp(trial->status, "ok") == 0)
            record_again(t, &winners[i], &winners[i].config, trial, &race[n_race++]);
    }
    record_again(t, &winners[of], config, &outcome.trials[outcome.winner], best);
    best->baseline = first;
    best->best = true;
    set_gain(best, outcome.gain);
    race[n_race++] = *best;
    /* At once: where a kill leaves a part of a race, a resumed run adds a whole one to it. */
    scr_tune_keep(t, race, n_race);
    return t->end == SCR_TUNE_GOES_ON ? SCR_OK : SCR_ERR_DEVICE;
}
