/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether other programs use the processors, and waiting until they do not. A device that is the
 * processors is slow as long as others have one of them, which no sample shows.
 */
#ifndef SCR_HARNESS_CALM_H
#define SCR_HARNESS_CALM_H

#include <stdbool.h>

/* Told while it is waited; as scr_beat_fn. */
typedef void (*scr_calm_beat_fn)(void *user, const char *step);

struct scr_calm {
    int threads;     /* of the machine */
    double start_s;  /* since when what is waited counts */
    double waited_s; /* in all */
};

/* From now on. */
void scr_calm_start(struct scr_calm *c, int threads);

/*
 * Threads of others that run or would like to, in the middle of three looks within 2 ms; this
 * process must have one thread at work only. 0 where the system does not tell.
 */
int scr_calm_others(void);

/* Whether the others are so few that they do not count: a tenth of the processors. */
bool scr_calm_is(const struct scr_calm *c);

/*
 * Waits until it is calm, but in all no longer than 1 s and a tenth of the time since the start, so
 * that a busy machine does not hold up a sweep.
 * Returns whether it is calm.
 */
bool scr_calm_wait(struct scr_calm *c, scr_calm_beat_fn beat, void *user);

#endif
