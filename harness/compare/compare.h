/* SPDX-License-Identifier: Apache-2.0 */
/* --compare: whether a run is slower than an earlier one of the same sweep, row by row. */
#ifndef SCR_HARNESS_COMPARE_H
#define SCR_HARNESS_COMPARE_H

#include "compare_match.h"
#include "compare_scatter.h"
#include "row.h"

#include <stddef.h>
#include <stdio.h>

/* Exit status of a comparison that found a regression. */
enum { SCR_EXIT_SLOWER = 4 };

enum scr_compare_format { SCR_COMPARE_TABLE, SCR_COMPARE_MARKDOWN };

struct scr_compare_options {
    const char *base, *now; /* directories of runs, or rows.jsonl files */
    double max_regress;     /* how much slower is too slow, such as 0.05; >= 0 */
    enum scr_compare_format format;
};

/*
 * Compares, and prints verdict and table to `out`.
 *
 * why  receives one line where the status is 2
 * Returns the exit status: 1 where a row is wrong that BASE does not have as wrong, else 4 on a
 * regression, else 2 for files that cannot be read or where nothing can be compared, else 5 where
 * rows of BASE are missing and NEW's run.json says that it did not end, else 0. A NEW that ended
 * without some rows of BASE was asked for less: the verdict says so, the status does not.
 */
int scr_compare_run(const struct scr_compare_options *o, FILE *out, char *why, size_t why_size);

enum scr_change {
    SCR_CHANGE_NONE,       /* no difference: the interval holds 1 */
    SCR_CHANGE_FASTER,     /* the interval is below 1 */
    SCR_CHANGE_SLOWER,     /* the interval is above 1, but it is no regression */
    SCR_CHANGE_REGRESSION, /* beyond the limit, see struct scr_shift */
    SCR_CHANGE_WRONG,      /* wrong in NEW and not in BASE */
    SCR_CHANGE_BROKEN,     /* ok in BASE, tried in vain in NEW: a regression too */
    SCR_CHANGE_MENDED,     /* wrong or tried in vain in BASE, ok in NEW */
    SCR_CHANGE_UNKNOWN,    /* cannot be compared; the reason is given */
};

/*
 * A quotient of times, NEW / BASE, above 1 slower. Two runs of one program differ by more than the
 * intervals within them say: the clock drifts, memory lies elsewhere, neighbours work. So intervals
 * hold three parts, added as squares on the logarithmic scale:
 *
 *   within   the row's two intervals of the median (5 % each way where there are too few samples),
 *            and half of what the medians lie above the fastest samples: a disturbed row is trusted
 *            less
 *   scatter  from run to run, row by row, as a function of how long a row takes; estimated by
 *            scr_scatter_estimate from the distances of the rows of a device from the median of
 *            their kernel's rows. Assumed is what the median row lies above its fastest sample, but
 *            at least 3 %
 *   drift    of all rows of a device together, which two runs cannot show: a third of the scatter,
 *            but at least 1 %
 *
 * Rows together are judged by their medians; their scatter is the geometric mean.
 *
 * A row that other programs disturbed (`busy`) in a run may be twice as slow there in its fastest
 * sample as well, and where they did so in both runs, not in equal measure. A fourth part, log 2,
 * is added to its interval, and to that of rows together the mean of it: being disturbed alone does
 * not make a regression.
 *
 * lo and hi are made wide enough to hold for all lines of the comparison at once: each side misses
 * with a chance of 1 % in all (Bonferroni). A regression must be slower by this interval, slower
 * than the limit by its own 95 % interval, and all this by its fastest sample as well, for a
 * disturbance slows the median long before it slows the minimum.
 */
struct scr_shift {
    double ratio, lo, hi;
    double min_ratio; /* of the fastest samples; NaN: not known */
};

struct scr_compared {
    struct scr_match rows;
    enum scr_change change;
    struct scr_shift shift; /* NaN unless times were compared */
    char why[120];          /* SCR_CHANGE_UNKNOWN */
};

/* Rows that share a device, or a device and a kernel, by their medians; five rows or more. */
struct scr_compared_group {
    const struct scr_row *like;
    bool whole_device;
    size_t n;
    enum scr_change change;
    struct scr_shift shift;
};

struct scr_compared_device {
    const struct scr_row *base, *now; /* a row of each file on the device */
    size_t n;                         /* rows whose times were compared */
    struct scr_scatter scatter;
    /* By class of the scatter. */
    size_t n_agree[SCR_SCATTER_MAX_CLASSES]; /* rows that changed in no way: SCR_CHANGE_NONE */
    /* A row of median duration that is this many times slower is found in half of the cases. */
    double found[SCR_SCATTER_MAX_CLASSES];
};

/* Pointers go into the rows given; arrays are owned. */
struct scr_comparison {
    double max_regress;
    struct scr_matches matches;
    struct scr_compared *pairs; /* slowest first; those without a shift at the end */
    size_t n_pairs, n_timed;
    struct scr_compared_group *groups; /* a device, then its kernels */
    size_t n_groups;
    struct scr_compared_device *devices;
    size_t n_devices;
    size_t n_busy;           /* rows of those that were disturbed in a run */
    size_t n_wrong_only_now; /* rows that BASE lacks and that are wrong */
    bool unfinished;         /* NEW's header says that it did not do all it was asked for */
};

/* What the run.json beside a run's rows says; "" where there is none. */
struct scr_compare_header {
    char commit[64];
    char end[32]; /* complete, interrupted, budget, ...; a run that was killed: "not at all" */
};

void scr_compare_header_read(const char *path, struct scr_compare_header *out);

/* SCR_OK or SCR_ERR_NO_MEMORY. Clear it in any case; set unfinished after it. */
int scr_compare_rows(const struct scr_row *base, size_t n_base, const struct scr_row *now,
                     size_t n_now, double max_regress, struct scr_comparison *out);
void scr_comparison_clear(struct scr_comparison *c);

/* Pairs that changed in that way. */
size_t scr_comparison_count(const struct scr_comparison *c, enum scr_change change);

/* 1, 4, 2, 5 or 0 as scr_compare_run says. */
int scr_comparison_status(const struct scr_comparison *c);

#endif
