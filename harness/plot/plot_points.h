/* SPDX-License-Identifier: Apache-2.0 */
/* The plots there are, and which rows become which of their points. */
#ifndef SCR_HARNESS_PLOT_POINTS_H
#define SCR_HARNESS_PLOT_POINTS_H

#include "plot_labels.h"
#include "rows_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct scr_plot_point {
    const struct scr_row *row;
    char set[200];   /* "" for the common group; else the shape of the trace that this is of */
    char group[260]; /* only points of one group share a picture (of each set) */
    struct scr_plot_label colour, mark;
    double x, y, lo, hi; /* lo <= y <= hi: the error bar, or y where there is none */
    double place;        /* tells points apart that would else be one configuration; mostly 0 */
    double part[2];      /* what a kind needs beside these; said where it is set */
    bool baseline;       /* what the row was compared with, not the row */
};

struct scr_plot_points {
    size_t n;
    struct scr_plot_point *at;
};

/* Ceilings of a device for a type, NaN where they were not measured. */
struct scr_plot_peaks {
    double flop_per_s, bytes_per_s;
};

struct scr_plot_kind {
    const char *name; /* also of its script in plots/ */
    bool per_device;
    bool fixed_colours; /* the rank of a colour is its place in the palette */
    size_t min_points;  /* fewer make no picture; 0 is 1 */
    bool needs_peaks;
    bool compares; /* shows a ratio to a baseline */
    const char *title;
    const char *y_title;
    const char *note;
    const char *columns; /* what print writes, for a comment line */
    const char *needs;   /* what a sweep must have for this picture, in a few words */
    const char *colours; /* what the colours and the marks tell apart: "tiles"; may be NULL where */
    const char *marks;   /* there are never too many */
    /* Sets colour, mark, set, group, x, y, lo and hi from p->row; the rest of *p is zero. False if
     * this plot has no such row. */
    bool (*point)(struct scr_plot_point *p, const struct scr_rows_file *rows);
    /* As point, of the baseline that the row was compared with; p->baseline is set. NULL: none. */
    bool (*baseline)(struct scr_plot_point *p, const struct scr_rows_file *rows);
    /* Writes the columns, each with a tab after it. */
    void (*print)(FILE *f, const struct scr_plot_point *p);
    /* Of two points of one configuration, whether a is to be drawn rather than b. */
    bool (*better)(const struct scr_plot_point *a, const struct scr_plot_point *b);
    /* Of two groups, the one with more different x is drawn, not that with more points; one x
     * makes no picture. */
    bool wide;
};

extern const struct scr_plot_kind *const scr_plot_kinds[];
extern const size_t scr_plot_kind_count;

/* For the table of kinds. */
extern const struct scr_plot_kind scr_plot_tile_density, scr_plot_pair_density,
    scr_plot_seq_latency, scr_plot_tile_heat, scr_plot_roofline, scr_plot_time_parts,
    scr_plot_trace_heads;

/*
 * The points of the rows with status "ok", in the order of the rows.
 *
 * device  the id whose rows to take; NULL takes all
 * out     out->at has room for 2 rows->n + 1 points; they borrow the rows
 */
void scr_plot_points_collect(const struct scr_plot_kind *kind, const struct scr_rows_file *rows,
                             const char *device, struct scr_plot_points *out);

/* ---- what the kinds share ---- */

/* The error bar; an end that is unknown or on the wrong side of y is y. */
void scr_plot_set_interval(struct scr_plot_point *p, double lo, double hi);

/* Shape and length as the group; that of a trace is a set of its own. */
void scr_plot_set_shape_group(struct scr_plot_point *p);

/* Adds the state of the caches to the group: warm and cold times do not mix. */
void scr_plot_group_cache(struct scr_plot_point *p);

/* part / whole; NaN where that is no share. */
double scr_plot_share(double part, double whole);

/* Whether two rows are of one problem on one device: the kernel apart, all that a time depends on
 * but the data. */
bool scr_plot_same_shape(const struct scr_row *a, const struct scr_row *b);

bool scr_plot_is_faster(const struct scr_plot_point *a, const struct scr_plot_point *b);

#endif
