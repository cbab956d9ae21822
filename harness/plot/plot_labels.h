/* SPDX-License-Identifier: Apache-2.0 */
/* What the pictures call the rows: names of lines, of groups that compare, of doubts. */
#ifndef SCR_HARNESS_PLOT_LABELS_H
#define SCR_HARNESS_PLOT_LABELS_H

#include "row.h"

#include <stdbool.h>
#include <stddef.h>

/* Labels of this rank and above name points that no line joins. */
enum { SCR_RANK_APART = 100000 };

/* What a colour or a point shape stands for; sorted by rank, then by text. */
struct scr_plot_label {
    int rank;
    char text[56];
};

bool scr_label_is_trace(const struct scr_row *r);

/* "trace:data/a.safetensors" is "trace a"; the others stay as they are. */
void scr_label_workload(const struct scr_row *r, char *out, size_t size);

/*
 * The workload without its density, which is what varies along a line, and any finite window.
 * Points with a window stand apart: they differ in more than their density. Single heads of a trace
 * are not its layer.
 */
void scr_label_family(const struct scr_row *r, struct scr_plot_label *out);

/*
 * The kernel and how it skips. The rank of our own is 1 to 5, a place in the palette; that of
 * peers is 6 or more, and their text names the program or that they are another operator.
 */
void scr_label_kernel(const struct scr_row *r, struct scr_plot_label *out);

/* Type, dims, heads, masks: what must agree in any comparison of times. */
void scr_label_shape(const struct scr_row *r, char *out, size_t size);

/*
 * Why the row is to be taken with care: its flags other than those that only say which timer was
 * used, those of the comparison with a baseline unless `compared`, that of the roofline unless
 * `roofline`; "wide-interval"
 * where the interval of its time is wide; "unverified" where it was held to no reference; comma
 * between them, "-" none.
 */
void scr_label_doubts(const struct scr_row *r, bool compared, bool roofline, char *out,
                      size_t size);

#endif
