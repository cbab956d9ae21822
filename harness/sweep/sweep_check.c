/* SPDX-License-Identifier: Apache-2.0 */
/* --check: the cases, on several workers side by side where --jobs asks for them. */
#include "config.h"
#include "random_draw.h"
#include "roofline.h"
#include "sweep_state.h"

#include <screening/error.h>

#include <pthread.h>
#include <string.h>

/* What the threads, one a worker, take their cases from. All of it, and the sweep, is locked. */
struct pool {
    struct scr_sweep *s;
    pthread_mutex_t lock;
    pthread_cond_t settled_more;
    size_t next;
    size_t settled; /* cases that count as run: all but the unsupported */
    size_t pending; /* taken, not yet settled or found unsupported */
};

/* Who works for the pool. */
struct hand {
    struct pool *pool;
    struct scr_supervisor *supervisor;
};

size_t scr_sweep_chunk(const struct scr_case_list *l, size_t i)
{
    const struct scr_case *first = &l->cases[i];
    size_t n = 1;

    for (; i + n < l->n; n++) {
        const struct scr_case *c = &l->cases[i + n];
        bool same_build = l->n_spare > 0 && n < SCR_RANDOM_SHARE &&
                          c->device_order == first->device_order &&
                          c->spec.problem.dtype_out == first->spec.problem.dtype_out &&
                          scr_config_same(&c->config, &first->config);

        if (c->group != first->group && !same_build)
            break;
    }
    return n;
}

static bool ended(const struct scr_sweep *s)
{
    return *s->stop || s->broken != SCR_OK;
}

/* Takes the cases that a worker runs next, maybe none. False: there are no more. */
static bool take(struct pool *p, size_t *first, size_t *n)
{
    struct scr_sweep *s = p->s;
    size_t want = scr_sweep_to_run(s);

    while (p->next >= want && p->settled + p->pending >= want && p->pending > 0 && !ended(s))
        pthread_cond_wait(&p->settled_more, &p->lock);
    if (ended(s) || p->next >= s->list.n || (p->next >= want && p->settled >= want))
        return false;
    *first = p->next;
    *n = 1; /* spare cases one by one, as they are wanted */
    if (p->next < want)
        *n = scr_sweep_chunk(&s->list, p->next);
    if (p->next<want && * n> want - p->next)
        *n = want - p->next;
    p->next += *n;
    p->pending += *n;
    return true;
}

/* Notes what came of a case. */
static void settle(struct hand *h, size_t index, enum scr_reply outcome, struct scr_row *row,
                   bool little)
{
    struct pool *p = h->pool;
    struct scr_sweep *s = p->s;
    const struct scr_case *c = &s->list.cases[index];

    if (scr_sweep_has_row(s, c, outcome, row)) {
        scr_case_repro(c, "--check", row->repro, sizeof row->repro);
        if (strcmp(row->status, "ok") == 0) {
            scr_roofline_fill(&s->peaks[c->device_order], row);
            s->tally[c->device_order].little += little;
        }
        scr_sweep_keep(s, c, row);
    }
}

/* Runs one case. Called locked, and unlocks while the worker is at work. */
static void run_one(struct hand *h, size_t index)
{
    struct pool *p = h->pool;
    struct scr_sweep *s = p->s;
    struct scr_row row = {.status = ""};
    enum scr_reply outcome;
    bool little;

    if (!s->done[index] && !ended(s) && scr_sweep_over_budget(s)) {
        s->n_over_budget++;
    } else if (!s->done[index] && !ended(s)) {
        scr_sweep_announce(s, index);
        pthread_mutex_unlock(&p->lock);
        outcome = scr_supervisor_run(h->supervisor, index, s->time_limit_s, &row, &little);
        pthread_mutex_lock(&p->lock);
        settle(h, index, outcome, &row, little);
    }
    p->pending--;
    p->settled += strcmp(row.status, "unsupported") != 0 && !s->done[index];
    pthread_cond_broadcast(&p->settled_more);
}

static void *work(void *user)
{
    struct hand *h = user;
    struct pool *p = h->pool;
    size_t first, n;

    pthread_mutex_lock(&p->lock);
    while (take(p, &first, &n)) {
        for (size_t i = first; i < first + n; i++)
            run_one(h, i);
    }
    pthread_mutex_unlock(&p->lock);
    /* Here, as a worker ends with the thread that started it. */
    if (h->supervisor != p->s->supervisor)
        scr_supervisor_destroy(&h->supervisor);
    return NULL;
}

int scr_sweep_check_cases(struct scr_sweep *s)
{
    struct pool pool = {.s = s};
    struct hand hands[SCR_MAX_JOBS];
    pthread_t threads[SCR_MAX_JOBS];
    int n = 1;

    for (size_t i = 0; i < s->n_rows; i++) /* of the run that is resumed */
        pool.settled += strcmp(s->rows[i].status, "unsupported") != 0;
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.settled_more, NULL);
    hands[0] = (struct hand){&pool, s->supervisor};
    for (; n < s->o->jobs; n++) {
        hands[n] = (struct hand){.pool = &pool};
        if (scr_supervisor_create(&s->supervise, &hands[n].supervisor) != SCR_OK)
            break;
        if (pthread_create(&threads[n], NULL, work, &hands[n]) != 0) {
            scr_supervisor_destroy(&hands[n].supervisor);
            break;
        }
    }
    work(&hands[0]);
    for (int i = 1; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_cond_destroy(&pool.settled_more);
    pthread_mutex_destroy(&pool.lock);
    return s->broken;
}
