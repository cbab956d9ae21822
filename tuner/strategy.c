/* SPDX-License-Identifier: Apache-2.0 */
#include "strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_TRIES = 16, MAX_TRIES = 120, N_PLACES = 16, MAX_NEIGHBOURS = 2 * (SCR_MAX_PARAMS + 2) };

struct search {
    const struct scr_space *space;
    struct scr_search_result *out;
    scr_try_fn fn;
    void *user;
    size_t max_tries;
    uint64_t random;
    double *ns; /* by candidate; negative: not tried */
    size_t best;
    size_t next[SCR_SEARCH_AHEAD]; /* of the step to come */
    size_t n_next;
    int status; /* of fn, when it ended the search */
};

/* splitmix64 */
static uint64_t draw(struct search *s)
{
    uint64_t x = s->random += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static size_t draw_below(struct search *s, size_t n)
{
    return (size_t)(draw(s) % n);
}

static bool tried(const struct search *s, size_t i)
{
    return s->ns[i] >= 0;
}

static bool at_end(const struct search *s)
{
    return s->status != SCR_OK || s->out->n_tried >= s->max_tries;
}

/* Its time; INFINITY where the search is over and it was not tried. */
static double evaluate(struct search *s, size_t i)
{
    const struct scr_search_step step = {
        .candidate = i,
        .best = tried(s, s->best) ? s->ns[s->best] : INFINITY,
        .next = s->next,
        .n_next = s->n_next,
    };
    double ns = INFINITY;

    s->n_next = 0;
    if (tried(s, i))
        return s->ns[i];
    if (at_end(s))
        return INFINITY;
    s->status = s->fn(s->user, &step, &ns);
    if (s->status != SCR_OK)
        return INFINITY;
    if (!(ns >= 0))
        ns = INFINITY;
    s->out->order[s->out->n_tried] = i;
    s->out->ns[s->out->n_tried++] = ns;
    s->ns[i] = ns;
    if (!tried(s, s->best) || ns < s->ns[s->best])
        s->best = i;
    return ns;
}

static void shuffle(struct search *s, size_t *items, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = draw_below(s, i), item = items[i - 1];

        items[i - 1] = items[j];
        items[j] = item;
    }
}

/* Log time as a sum of one term for each axis and place on it. */
struct model {
    double mean;
    double term[SCR_MAX_PARAMS + 2][N_PLACES];
};

static double *term_of(struct model *m, int axis, const struct scr_candidate *c)
{
    return &m->term[axis][c->at[axis] % N_PLACES];
}

/* The terms of one axis from what the others leave over of the times. */
static void fit_axis(const struct search *s, struct model *m, int axis, double no_time)
{
    double sum[N_PLACES] = {0};
    int count[N_PLACES] = {0};

    for (size_t t = 0; t < s->out->n_tried; t++) {
        const struct scr_candidate *c = &s->space->candidates[s->out->order[t]];
        double rest = (isfinite(s->out->ns[t]) ? log(s->out->ns[t]) : no_time) - m->mean;

        for (int a = 0; a < s->space->n_axes; a++)
            rest -= a != axis ? *term_of(m, a, c) : 0;
        sum[c->at[axis] % N_PLACES] += rest;
        count[c->at[axis] % N_PLACES]++;
    }
    /* drawn towards 0, the more the less is known */
    for (int i = 0; i < N_PLACES; i++)
        m->term[axis][i] = sum[i] / (count[i] + 0.5);
}

/* False where too few have a time. */
static bool fit(const struct search *s, struct model *m)
{
    enum { SWEEPS = 8, FEW = 4 };
    double highest = 0;
    size_t n = 0;

    *m = (struct model){0};
    for (size_t t = 0; t < s->out->n_tried; t++) {
        if (!isfinite(s->out->ns[t]) || s->out->ns[t] <= 0)
            continue;
        highest = fmax(highest, s->out->ns[t]);
        m->mean += log(s->out->ns[t]);
        n++;
    }
    if (n < FEW)
        return false;
    m->mean /= (double)n;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        for (int a = 0; a < s->space->n_axes; a++)
            fit_axis(s, m, a, log(4 * highest));
    }
    return true;
}

/*
 * The untried candidates that a model of what is known thinks best of, the best first; returns how
 * many: 0 where too little is known.
 */
static size_t promising(const struct search *s, size_t *out, size_t room)
{
    struct model m;
    double guesses[SCR_SEARCH_AHEAD];
    size_t n = 0;

    room = room < SCR_SEARCH_AHEAD ? room : SCR_SEARCH_AHEAD;
    if (room == 0 || !fit(s, &m))
        return 0;
    for (size_t i = 0; i < s->space->n; i++) {
        double guess = 0;
        size_t at;

        if (tried(s, i))
            continue;
        for (int a = 0; a < s->space->n_axes; a++)
            guess += *term_of(&m, a, &s->space->candidates[i]);
        if (n == room && !(guess < guesses[n - 1]))
            continue;
        for (at = n < room ? n++ : n - 1; at > 0 && guess < guesses[at - 1]; at--) {
            guesses[at] = guesses[at - 1];
            out[at] = out[at - 1];
        }
        guesses[at] = guess;
        out[at] = i;
    }
    return n;
}

/* Notes candidates that may come after `now`, as long as there is room. */
static void expect(struct search *s, size_t now, const size_t *items, size_t n)
{
    for (size_t i = 0; i < n && s->n_next < SCR_SEARCH_AHEAD; i++) {
        bool there = items[i] == now || tried(s, items[i]);

        for (size_t j = 0; j < s->n_next && !there; j++)
            there = s->next[j] == items[i];
        if (!there)
            s->next[s->n_next++] = items[i];
    }
}

static void expect_around(struct search *s, size_t now, size_t centre)
{
    size_t near[MAX_NEIGHBOURS];

    expect(s, now, near, scr_space_neighbours(s->space, centre, near, MAX_NEIGHBOURS));
}

static void expect_promising(struct search *s, size_t now)
{
    size_t found[SCR_SEARCH_AHEAD];

    expect(s, now, found, promising(s, found, SCR_SEARCH_AHEAD));
}

/* Where the step from a to b leads when it is taken once more, or b where it leads nowhere. */
static size_t same_step(const struct search *s, size_t a, size_t b)
{
    const struct scr_candidate *c = s->space->candidates;
    size_t next[MAX_NEIGHBOURS];
    size_t n = scr_space_neighbours(s->space, b, next, MAX_NEIGHBOURS);

    for (size_t i = 0; i < n; i++) {
        bool on = true;

        for (int axis = 0; axis < s->space->n_axes && on; axis++) {
            int first = c[b].at[axis] - c[a].at[axis];
            int second = c[next[i]].at[axis] - c[b].at[axis];

            on = (first > 0) == (second > 0) && (first < 0) == (second < 0);
        }
        if (on)
            return next[i];
    }
    return b;
}

/*
 * Goes downhill until nothing next to it is better: to the first neighbour that is, and on in that
 * direction for as long as it helps, which takes far fewer trials than comparing all of them.
 */
static size_t descend(struct search *s, size_t from)
{
    bool moved = true;
    size_t at = from;

    expect_around(s, at, at);
    evaluate(s, at);
    while (moved && !at_end(s)) {
        size_t near[MAX_NEIGHBOURS];
        size_t n = scr_space_neighbours(s->space, at, near, MAX_NEIGHBOURS);

        moved = false;
        shuffle(s, near, n);
        for (size_t i = 0; i < n && !moved && !at_end(s); i++) {
            size_t before = at, now = near[i];

            expect(s, now, near + i + 1, n - i - 1);
            expect_around(s, now, now);
            expect_promising(s, now);
            if (!(evaluate(s, now) < s->ns[at]))
                continue;
            moved = true;
            for (size_t further = same_step(s, before, now); further != now;
                 further = same_step(s, before, now)) {
                expect_around(s, further, now);
                expect_around(s, further, further);
                if (!(evaluate(s, further) < s->ns[now]))
                    break;
                before = now;
                now = further;
            }
            at = now;
        }
    }
    return at;
}

static int apart(const struct scr_space *space, size_t i, size_t j)
{
    int sum = 0;

    for (int a = 0; a < space->n_axes; a++)
        sum += abs(space->candidates[i].at[a] - space->candidates[j].at[a]);
    return sum;
}

/* Of a few random candidates, the one farthest from all that were tried; n: there is none left. */
static size_t far_from_tried(struct search *s)
{
    enum { LOTS = 64 };
    size_t n = s->space->n, found = n;
    int found_far = 0;

    for (int lot = 0; lot < LOTS; lot++) {
        size_t i = draw_below(s, n);
        int far = SCR_MAX_PARAMS * 64;

        if (tried(s, i))
            continue;
        for (size_t t = 0; t < s->out->n_tried; t++) {
            int d = apart(s->space, i, s->out->order[t]);

            far = d < far ? d : far;
        }
        if (found == n || far > found_far) {
            found = i;
            found_far = far;
        }
    }
    for (size_t i = 0, start = draw_below(s, n); found == n && i < n; i++) {
        if (!tried(s, (start + i) % n))
            found = (start + i) % n;
    }
    return found;
}

/*
 * From the best of the default and the caller's starts, then again and again from the best of a few
 * points: some far from all others, some of which a model of all so far thinks well.
 */
static void search_local(struct search *s, const struct scr_search_options *o)
{
    enum { FAR = 2, PROMISING = 3 };
    size_t n = s->space->n;

    expect(s, 0, o->starts, o->n_starts);
    expect_around(s, 0, 0);
    evaluate(s, 0);
    for (size_t i = 0; i < o->n_starts; i++) {
        expect(s, o->starts[i], o->starts + i + 1, o->n_starts - i - 1);
        expect_around(s, o->starts[i], o->starts[i]);
        evaluate(s, o->starts[i]);
    }
    descend(s, s->best);
    while (!at_end(s) && s->out->n_tried < n) {
        size_t start = n;

        for (int i = 0; i < FAR + PROMISING && !at_end(s); i++) {
            size_t next = n;

            if (i < FAR)
                next = far_from_tried(s);
            else
                promising(s, &next, 1);
            if (next == n)
                continue;
            expect_promising(s, next);
            evaluate(s, next);
            if (start == n || (tried(s, next) && s->ns[next] < s->ns[start]))
                start = next;
        }
        if (start < n)
            descend(s, start);
    }
}

/* All of them, as they come or shuffled; the default first. */
static int search_in_order(struct search *s, bool shuffled)
{
    size_t n = s->space->n;
    size_t *order = malloc(n * sizeof *order);

    if (order == NULL)
        return SCR_ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    if (shuffled)
        shuffle(s, order + 1, n - 1);
    for (size_t i = 0; i < n && !at_end(s); i++) {
        expect(s, order[i], order + i + 1, n - i - 1);
        evaluate(s, order[i]);
    }
    free(order);
    return SCR_OK;
}

size_t scr_search_tries(const struct scr_search_options *o, size_t n)
{
    size_t max = o->max_tries;

    if (max == 0 && o->strategy == SCR_SEARCH_EXHAUSTIVE)
        max = n;
    else if (max == 0)
        max = n / 5 < MIN_TRIES ? MIN_TRIES : n / 5 > MAX_TRIES ? MAX_TRIES : n / 5;
    return max < n ? max : n;
}

int scr_search_run(const struct scr_space *space, const struct scr_search_options *options,
                   scr_try_fn fn, void *user, struct scr_search_result *out)
{
    struct search s = {
        .space = space,
        .out = out,
        .fn = fn,
        .user = user,
        .max_tries = scr_search_tries(options, space->n),
        .random = options->seed,
    };
    int status = SCR_OK;

    *out = (struct scr_search_result){0};
    if (space->n == 0) {
        out->ended = true;
        return SCR_OK;
    }
    s.ns = malloc(space->n * sizeof *s.ns);
    out->order = malloc(space->n * sizeof *out->order);
    out->ns = malloc(space->n * sizeof *out->ns);
    if (s.ns == NULL || out->order == NULL || out->ns == NULL) {
        status = SCR_ERR_NO_MEMORY;
        goto out;
    }
    for (size_t i = 0; i < space->n; i++)
        s.ns[i] = -1;
    if (options->strategy == SCR_SEARCH_LOCAL)
        search_local(&s, options);
    else
        status = search_in_order(&s, options->strategy == SCR_SEARCH_RANDOM);
    if (status == SCR_OK)
        status = s.status;
    out->ended = status == SCR_OK;
out:
    free(s.ns);
    if (status == SCR_ERR_NO_MEMORY && s.status == SCR_OK)
        scr_search_result_clear(out);
    return status;
}

void scr_search_result_clear(struct scr_search_result *r)
{
    free(r->order);
    free(r->ns);
    *r = (struct scr_search_result){0};
}

int scr_strategy_parse(const char *name)
{
    static const char *const names[] = {"exhaustive", "local", "random"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) == 0)
            return i;
    }
    return -1;
}
