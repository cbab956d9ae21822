/* SPDX-License-Identifier: Apache-2.0 */
/* Which candidate to try next. Knows nothing of devices, so that recorded spaces can be replayed.
 */
#ifndef SCR_TUNER_STRATEGY_H
#define SCR_TUNER_STRATEGY_H

#include "space.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scr_strategy { SCR_SEARCH_EXHAUSTIVE, SCR_SEARCH_LOCAL, SCR_SEARCH_RANDOM };

struct scr_search_options {
    enum scr_strategy strategy;
    uint64_t seed;
    /* 0: exhaustive all; else a fifth of the space, at least 16, at most 120 */
    size_t max_tries;
    /* candidates that may be good, such as what won nearby: local begins with the best of these */
    const size_t *starts;
    size_t n_starts;
};

enum { SCR_SEARCH_AHEAD = 64 };

/* What is asked of the caller. */
struct scr_search_step {
    size_t candidate;
    double best; /* the lowest time so far: a trial may end early once it is surely slower */
    /* untried candidates that may be asked for soon, the likeliest first: for compiling ahead */
    const size_t *next;
    size_t n_next;
};

/* Tries a candidate: its time in ns, INFINITY where it has none. Returns SCR_OK; anything else ends
 * the search. */
typedef int (*scr_try_fn)(void *user, const struct scr_search_step *step, double *ns);

struct scr_search_result {
    size_t n_tried;
    size_t *order; /* candidates in the order tried; owned */
    double *ns;    /* of each in order; owned */
    bool ended;    /* the strategy was through, else fn ended it */
};

/*
 * No candidate is tried twice; candidate 0, the default, is first. Deterministic for a seed and
 * equal answers. Returns SCR_OK, SCR_ERR_NO_MEMORY or what fn returned.
 */
int scr_search_run(const struct scr_space *space, const struct scr_search_options *options,
                   scr_try_fn fn, void *user, struct scr_search_result *out);
/* How many of n candidates are tried at most. */
size_t scr_search_tries(const struct scr_search_options *options, size_t n);

void scr_search_result_clear(struct scr_search_result *r);

/* "exhaustive", "local", "random"; -1 unknown. */
int scr_strategy_parse(const char *name);

#endif
