/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the points of a plot are drawn, and in what order. */
#ifndef SCR_HARNESS_PLOT_CHOOSE_H
#define SCR_HARNESS_PLOT_CHOOSE_H

#include "plot_points.h"

#include <stdbool.h>
#include <stddef.h>

/* Colours, or point shapes, of a picture. */
struct scr_plot_legend {
    size_t n;
    size_t n_all; /* before some were left out */
    struct scr_plot_label *at;
};

/* What one picture shows. Points of one colour and mark are a series and stand together. */
struct scr_plot_picture {
    const struct scr_plot_kind *kind;
    struct scr_plot_points points; /* borrowed */
    struct scr_plot_legend colours, marks;
    struct scr_plot_peaks peaks; /* of the device and type; set by who has them */
};

/*
 * A picture must compare like with like, so of all points this keeps one group: the type, dims and
 * masks with the most points or, in a wide kind, the most different x. A trace has a shape
 * of its own and is drawn beside the group. Of the points that differ in tile or seed alone the
 * best stays, where the kind does not place them by tile, and of the colours and marks as many as
 * can be told apart.
 *
 * points  at least one; reordered, and those not kept are overwritten. out->points shares the array
 * out     free with scr_plot_picture_free, after a failure too
 * Returns SCR_OK or SCR_ERR_NO_MEMORY.
 */
int scr_plot_choose(const struct scr_plot_kind *kind, const struct scr_plot_points *points,
                    struct scr_plot_picture *out);
void scr_plot_picture_free(struct scr_plot_picture *picture);

/* Whether point i is the first of its series. */
bool scr_plot_starts_series(const struct scr_plot_points *points, size_t i);

/* 1-based, as gnuplot counts; 0 where the label is left out. */
size_t scr_plot_legend_index(const struct scr_plot_legend *legend, const struct scr_plot_label *l);

#endif
