/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this process has the processors to itself, and waiting until it has. A device that is the
 * processors is slow as long as others use one of them, or, on a virtual machine, the core that it
 * shares with a neighbour; no sample shows that, nor does the system's accounting show the latter.
 */
#ifndef SCR_HARNESS_CALM_H
#define SCR_HARNESS_CALM_H

#include <stdbool.h>

/* Told while it is waited; as scr_beat_fn. */
typedef void (*scr_calm_beat_fn)(void *user, const char *step);

struct scr_calm {
    int threads; /* processors that this process may use */
    /* The looks; set at the start, to be replaced by tests. */
    int (*others)(void); /* NULL: none, as what it tells is of more than those processors */
    double (*rate)(void);

    double best;     /* the highest rate so far, slowly forgotten; 0 none */
    double best_s;   /* when it was that */
    double start_s;  /* since when what is waited counts */
    double waited_s; /* in all */
    double row_waited_s;
};

/*
 * From now on. Where `threads` are but a part of the host's processors (a batch system, taskset),
 * what runs on the others does not count: then only the rate is looked at.
 */
void scr_calm_start(struct scr_calm *c, int threads);

/* Another row begins, with what may be waited for one. */
void scr_calm_row(struct scr_calm *c);

/*
 * Threads of others on the host that run or would like to, in the middle of three looks within
 * 2 ms; this process must have one thread at work only. 0 where the system does not tell.
 */
int scr_calm_others(void);

/*
 * Floating-point work that the processors of the calling thread do together within 3 ms, a thread
 * bound to each; a number to be held against others of this process. 0 where it cannot be had.
 */
double scr_calm_rate(void);

/*
 * Whether others want no more than a tenth of the processors, and these, in the middle of three
 * looks, are not slower than 1.35 times what they were at best; of that a tenth is forgotten in a
 * minute.
 */
bool scr_calm_is(struct scr_calm *c);

/*
 * Waits until it is calm, but for a row no longer than 2 s, and in all no longer than 1 s and a
 * tenth of the time since the start, so that a busy machine does not hold up a sweep.
 * Returns whether it is calm.
 */
bool scr_calm_wait(struct scr_calm *c, scr_calm_beat_fn beat, void *user);

#endif
