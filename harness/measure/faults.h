/* SPDX-License-Identifier: Apache-2.0 */
/* Faults that tests ask for (`--inject`), to show that the harness survives or finds them. */
#ifndef SCR_HARNESS_FAULTS_H
#define SCR_HARNESS_FAULTS_H

#include <screening/plan.h>

#include <stdbool.h>
#include <stddef.h>

enum scr_inject {
    SCR_INJECT_HANG = 1,             /* the driver does not come back */
    SCR_INJECT_CRASH = 2,            /* it takes the process along */
    SCR_INJECT_OOM = 4,              /* device memory is short */
    SCR_INJECT_THROTTLE = 8,         /* the clock is held down */
    SCR_INJECT_REVERSED = 16,        /* events end before they start */
    SCR_INJECT_MISSING = 32,         /* events tell no time */
    SCR_INJECT_SHORT = 64,           /* events tell a tenth of the time */
    SCR_INJECT_LONG = 262144,        /* one and a half times of it */
    SCR_INJECT_SHORT_RUN = 524288,   /* a tenth, of runs that are timed one by one */
    SCR_INJECT_DRIFT = 128,          /* the device slows down while sampled */
    SCR_INJECT_VISIT = 65536,        /* it is slow during the first visit */
    SCR_INJECT_BUSY = 131072,        /* others use the processors all the while */
    SCR_INJECT_WRONG_SKIP = 256,     /* kernels skip tiles of small weights */
    SCR_INJECT_WRONG = 512,          /* the last row of the output is wrong */
    SCR_INJECT_OVERRUN = 1024,       /* a byte behind the output is written to */
    SCR_INJECT_HARM = 16384,         /* the inputs are written to */
    SCR_INJECT_COMPILE = 2048,       /* the kernel does not compile */
    SCR_INJECT_COMPILE_CRASH = 4096, /* the compiler takes the process along */
    SCR_INJECT_COMPILE_HANG = 8192,  /* it does not come back */
    SCR_INJECT_FIXED_TIMES = 32768   /* not measured: a function of configuration and case */
};

struct scr_faults {
    unsigned kinds;   /* of enum scr_inject */
    long at;          /* the case, as --dry-run counts from 0, the tuner's shape; -1: all */
    char config[200]; /* "TILE_Q=64,skip=tile": only configurations of which all of it holds */
};

/*
 * "crash", "hang@3", "reversed,drift@0", "wrong@TILE_Q=64,TILE_K=32,case=5": names of the list
 * above in small letters, with - for _; then a case, or words of a configuration: kernel=,
 * variant=, skip=, case= and parameters. SCR_OK, or SCR_ERR_INVALID with one line in why.
 */
int scr_faults_parse(const char *text, struct scr_faults *out, char *why, size_t why_size);

static inline bool scr_faults_has(const struct scr_faults *f, enum scr_inject kind, size_t at)
{
    return (f->kinds & (unsigned)kind) != 0 && (f->at < 0 || (size_t)f->at == at);
}

/* The faults of one configuration on one case: those kinds, for any case, or none. */
struct scr_faults scr_faults_of(const struct scr_faults *f, size_t at, const scr_config *config);

/* The time of SCR_INJECT_FIXED_TIMES: from 1 ms to 2 ms. */
double scr_faults_fixed_ns(size_t at, const scr_config *config);

/* Crashes or hangs where the faults have that. */
void scr_faults_strike(const struct scr_faults *f, enum scr_inject crash, enum scr_inject hang);

#endif
