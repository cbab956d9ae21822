/* SPDX-License-Identifier: Apache-2.0 */
/* The plots there are, and which rows become which of their points. */
#ifndef SCR_HARNESS_PLOT_POINTS_H
#define SCR_HARNESS_PLOT_POINTS_H

#include "plot_rows.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* What a colour or a point shape stands for; sorted by rank, then by text. */
struct scr_plot_label {
    int rank;
    char text[56];
};

struct scr_plot_point {
    const struct scr_plot_row *row;
    char set[40];    /* "" for the common group; else the trace that this is of */
    char group[200]; /* only points of one group share a picture (of each set) */
    struct scr_plot_label colour, mark;
    double x, y, lo, hi; /* lo <= y <= hi: the error bar, or y where there is none */
};

struct scr_plot_points {
    size_t n;
    struct scr_plot_point *at;
};

struct scr_plot_kind {
    const char *name; /* also of its script in plots/ */
    bool per_device;
    bool fixed_colours; /* the rank of a colour is its place in the palette */
    const char *title;
    const char *y_title;
    const char *note;
    const char *columns; /* what print writes, for a comment line */
    /* Sets colour, mark, set, group, x, y, lo and hi from p->row; the rest of *p is zero. False if
     * this plot has no such row. */
    bool (*point)(struct scr_plot_point *p);
    /* Writes the columns, each with a tab after it. */
    void (*print)(FILE *f, const struct scr_plot_point *p);
    /* Of two points of one configuration, whether a is to be drawn rather than b. */
    bool (*better)(const struct scr_plot_point *a, const struct scr_plot_point *b);
    /* Of two groups, the one with more different x is drawn, not that with more points. */
    bool wide;
};

extern const struct scr_plot_kind scr_plot_kinds[];
extern const size_t scr_plot_kind_count;

/*
 * The points of the rows with status "ok", in the order of the rows.
 *
 * device  the id whose rows to take; NULL takes all
 * out     out->at has room for rows->n + 1 points; they borrow the rows
 */
void scr_plot_points_collect(const struct scr_plot_kind *kind, const struct scr_plot_rows *rows,
                             const char *device, struct scr_plot_points *out);

#endif
