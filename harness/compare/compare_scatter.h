/* SPDX-License-Identifier: Apache-2.0 */
/* How far the times of rows differ between two runs of one program, by how long the rows take. */
#ifndef SCR_HARNESS_COMPARE_SCATTER_H
#define SCR_HARNESS_COMPARE_SCATTER_H

#include <stddef.h>

enum { SCR_SCATTER_MIN_ROWS = 5, SCR_SCATTER_MAX_CLASSES = 24 };

/* A row, on the logarithmic scale. */
struct scr_scatter_row {
    double log_ns;   /* its duration */
    double distance; /* of its ratio NEW / BASE from that of rows like it; >= 0 */
    double error;    /* the part of it that the samples within the runs explain */
};

/* Rows of about one duration. */
struct scr_scatter_class {
    double log_from, log_to, log_middle; /* of the shortest, the longest, the median row; ns */
    size_t n;
    double scatter; /* of a row of median duration; a fraction */
};

/* The class of the shortest rows first. */
struct scr_scatter {
    struct scr_scatter_class classes[SCR_SCATTER_MAX_CLASSES];
    size_t n_classes;
    size_t n; /* rows it is estimated from; 0: too few, what is assumed holds */
};

/*
 * Short rows scatter more than long ones: what a launch or the clock takes does not grow with the
 * row. So each half decade of duration is a class of its own. One with fewer than ten rows is
 * joined with the next shorter one; the shortest, which has none, may have five. Neighbours of
 * which the shorter does not scatter more by 2.6 standard errors are joined, the most alike first.
 *
 * The scatter of rows is the standard deviation that their distances have without the largest 15 %,
 * or what the distance that 85 % stay below says, where that is over 1.3 times as much (heavy
 * tails), less the error. That of all rows together is averaged, as squares, with the assumed one,
 * which weighs as much as five rows. That of a class, where it is below that of all, is averaged
 * with it, as logarithms and with the same weight: a class is finer than the rest only where many
 * rows say so. It is widened by 1 + 3.5 / (5 + 0.7 rows), as Student's quantiles are wider than the
 * normal ones. Last, no class has less than one of longer rows.
 *
 * rows      sorted by this
 * assumed   a fraction; it alone holds where there are fewer than five rows
 * scratch   room for n
 */
void scr_scatter_estimate(struct scr_scatter_row *rows, size_t n, double assumed, double *scratch,
                          struct scr_scatter *out);

/*
 * Of a row of that duration: that of its class if it is longer than its median row. A shorter one
 * scatters more, as the shorter class says: in proportion between the medians of both, on
 * logarithmic scales. Below the median of the first class it goes on to grow as it does above.
 */
double scr_scatter_at(const struct scr_scatter *s, double log_ns);

/* The class a row of that duration belongs to. */
size_t scr_scatter_class_of(const struct scr_scatter *s, double log_ns);

#endif
