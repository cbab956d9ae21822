/* SPDX-License-Identifier: Apache-2.0 */
#include "calm.h"

#include "timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LOOKS = 3 };
static const long LOOK_NS = 1000000, NAP_NS = 20000000;
static const double PATIENCE_S = 1, PATIENCE_SHARE = 0.1;

static void nap(long ns)
{
    const struct timespec t = {.tv_nsec = ns};

    nanosleep(&t, NULL);
}

void scr_calm_start(struct scr_calm *c, int threads)
{
    *c = (struct scr_calm){.threads = threads, .start_s = scr_clock_s()};
}

/* Of the whole machine, without the thread that asks. */
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

bool scr_calm_is(const struct scr_calm *c)
{
    return 10 * scr_calm_others() <= c->threads;
}

bool scr_calm_wait(struct scr_calm *c, scr_calm_beat_fn beat, void *user)
{
    double last_beat_s = scr_clock_s();

    while (!scr_calm_is(c)) {
        double before = scr_clock_s();

        if (c->waited_s >= PATIENCE_S + PATIENCE_SHARE * (before - c->start_s))
            return false;
        if (beat != NULL && before - last_beat_s > 1) {
            beat(user, "wait");
            last_beat_s = before;
        }
        nap(NAP_NS);
        c->waited_s += scr_clock_s() - before;
    }
    return true;
}
