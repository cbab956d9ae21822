/* SPDX-License-Identifier: Apache-2.0 */
#include "calm.h"

#include "timer.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LOOKS = 3 };
static const long LOOK_NS = 1000000, NAP_NS = 20000000;
static const double PATIENCE_S = 1, PATIENCE_SHARE = 0.1, ROW_PATIENCE_S = 2;
static const double RATE_S = 0.003;
static const double SLOW = 1.35; /* what neighbours on the same cores do now and then is less */

/*
 * Left of the best rate after a minute. A clock that is higher while the processors are cold is
 * forgotten soon; a neighbour that halves the rate is still one after three minutes.
 */
static const double KEPT = 0.9;

static void nap(long ns)
{
    const struct timespec t = {.tv_nsec = ns};

    nanosleep(&t, NULL);
}

void scr_calm_start(struct scr_calm *c, int threads)
{
    double now = scr_clock_s();

    *c =
        (struct scr_calm){.threads = threads, .rate = scr_calm_rate, .start_s = now, .best_s = now};
    if (threads >= sysconf(_SC_NPROCESSORS_ONLN))
        c->others = scr_calm_others;
}

void scr_calm_row(struct scr_calm *c)
{
    c->row_waited_s = 0;
}

/* Of the whole host, without the thread that asks. */
static double running_now(void)
{
    FILE *f = fopen("/proc/loadavg", "r");
    int running = 0;

    if (f == NULL)
        return 0;
    if (fscanf(f, "%*s %*s %*s %d/", &running) != 1)
        running = 0;
    fclose(f);
    return running > 1 ? running - 1 : 0;
}

int scr_calm_others(void)
{
    double n[LOOKS];

    for (int i = 0; i < LOOKS; i++) {
        if (i > 0)
            nap(LOOK_NS);
        n[i] = running_now();
    }
    return (int)scr_median(n, LOOKS);
}

struct part {
    pthread_t thread;
    int cpu;
    double end_s;
    double done;
    float sum; /* so that the work is not left out */
};

/* Independent sums: they fill the units that hardware threads of one core share. */
static void *work(void *arg)
{
    enum { SUMS = 64, STEPS = 200 };
    struct part *p = arg;
    float x[SUMS] = {0};
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(p->cpu, &set);
    /* Else the system may start several on one processor; where it refuses, so be it. */
    sched_setaffinity(0, sizeof set, &set);
    do {
        for (int k = 0; k < STEPS; k++) {
            for (int i = 0; i < SUMS; i++)
                x[i] = x[i] * 0.999f + 0.5f;
        }
        p->done++;
    } while (scr_clock_s() < p->end_s);
    for (int i = 0; i < SUMS; i++)
        p->sum += x[i];
    return NULL;
}

double scr_calm_rate(void)
{
    double start = scr_clock_s(), done = 0;
    struct part *parts = calloc(CPU_SETSIZE, sizeof *parts);
    int n = 0;
    cpu_set_t set;

    if (parts == NULL || sched_getaffinity(0, sizeof set, &set) != 0)
        CPU_ZERO(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &set))
            continue;
        parts[n] = (struct part){.cpu = cpu, .end_s = start + RATE_S};
        if (pthread_create(&parts[n].thread, NULL, work, &parts[n]) != 0)
            break;
        n++;
    }
    for (int i = 0; i < n; i++) {
        pthread_join(parts[i].thread, NULL);
        done += parts[i].done;
    }
    free(parts);
    return done / (scr_clock_s() - start);
}

/* In the middle of several looks: a core that is lost now and then is not lost in all of them. */
static bool is_slow(struct scr_calm *c)
{
    double rates[LOOKS], rate, now;

    for (int i = 0; i < LOOKS; i++)
        rates[i] = c->rate();
    rate = scr_median(rates, LOOKS);
    now = scr_clock_s();
    c->best = fmax(c->best * pow(KEPT, (now - c->best_s) / 60), rate);
    c->best_s = now;
    return SLOW * rate < c->best;
}

bool scr_calm_is(struct scr_calm *c)
{
    return (c->others == NULL || 10 * c->others() <= c->threads) && !is_slow(c);
}

/* Looks are part of what is waited. */
static void count_wait(struct scr_calm *c, double *since_s)
{
    double now = scr_clock_s();

    c->waited_s += now - *since_s;
    c->row_waited_s += now - *since_s;
    *since_s = now;
}

static bool is_patient(const struct scr_calm *c)
{
    return c->row_waited_s < ROW_PATIENCE_S &&
           c->waited_s < PATIENCE_S + PATIENCE_SHARE * (scr_clock_s() - c->start_s);
}

bool scr_calm_wait(struct scr_calm *c, scr_calm_beat_fn beat, void *user)
{
    double since = scr_clock_s(), last_beat = since;
    bool calm = scr_calm_is(c);

    if (calm)
        return true;
    count_wait(c, &since);
    while (!calm && is_patient(c)) {
        nap(NAP_NS);
        calm = scr_calm_is(c);
        count_wait(c, &since);
        if (beat != NULL && since - last_beat > 1) {
            beat(user, "wait");
            last_beat = since;
        }
    }
    return calm;
}
