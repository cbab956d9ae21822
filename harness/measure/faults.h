/* SPDX-License-Identifier: Apache-2.0 */
/* Faults that tests ask for (`--inject`), to show that the harness survives or finds them. */
#ifndef SCR_HARNESS_FAULTS_H
#define SCR_HARNESS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

enum scr_inject {
    SCR_INJECT_HANG = 1,        /* the driver does not come back */
    SCR_INJECT_CRASH = 2,       /* it takes the process along */
    SCR_INJECT_OOM = 4,         /* device memory is short */
    SCR_INJECT_THROTTLE = 8,    /* the clock is held down */
    SCR_INJECT_REVERSED = 16,   /* events end before they start */
    SCR_INJECT_MISSING = 32,    /* events tell no time */
    SCR_INJECT_SHORT = 64,      /* events tell a tenth of the time */
    SCR_INJECT_DRIFT = 128,     /* the device slows down while sampled */
    SCR_INJECT_WRONG_SKIP = 256 /* kernels skip tiles of small weights */
};

struct scr_faults {
    unsigned kinds; /* of enum scr_inject */
    long at;        /* the case, as --dry-run counts from 0; -1: all */
};

/*
 * "crash", "hang@3", "reversed,drift@0": names of the list above in small letters, with - for _.
 * SCR_OK, or SCR_ERR_INVALID with one line in why.
 */
int scr_faults_parse(const char *text, struct scr_faults *out, char *why, size_t why_size);

static inline bool scr_faults_has(const struct scr_faults *f, enum scr_inject kind, size_t at)
{
    return (f->kinds & (unsigned)kind) != 0 && (f->at < 0 || (size_t)f->at == at);
}

#endif
