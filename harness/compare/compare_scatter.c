/* SPDX-License-Identifier: Apache-2.0 */
#include "compare_scatter.h"

#include "timer.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* The constants of scr_scatter_estimate's comment. */
enum { MIN_CLASS = 10, ASSUMED_ROWS = 5 };
#define TRIMMED       0.15
#define SIGMA_OF_TAIL 0.6947 /* standard deviation / the distance that 85 of 100 stay below */
#define HEAVY_TAIL    1.3
#define LEAST_SCATTER 0.003 /* rows that do not differ at all are no proof of less */
#define PI            3.14159265358979323846
#ifndef TOLD_APART
#define TOLD_APART 2.6
#endif
/* Student's quantile over the normal one, far out: 1 + STUDENT / degrees of freedom. */
#define STUDENT 3.5
#define FREEDOM 0.7 /* degrees of freedom a row */

static int by_duration(const void *pa, const void *pb)
{
    const struct scr_scatter_row *a = pa, *b = pb;

    return (a->log_ns > b->log_ns) - (a->log_ns < b->log_ns);
}

static double half_decade(const struct scr_scatter_row *r)
{
    return floor(2 * r->log_ns / log(10));
}

/* z for which a standard normal number is within -z and z with chance p. */
static double two_sided_quantile(double p)
{
    double lo = 0, hi = 10;

    for (int i = 0; i < 60; i++) {
        double z = (lo + hi) / 2;

        if (erf(z / sqrt(2)) < p)
            lo = z;
        else
            hi = z;
    }
    return lo;
}

/* What the distances of these rows say, and nothing else. A few far out show in `tails` only. */
static double own_scatter(const struct scr_scatter_row *rows, size_t n, bool tails, double *scratch)
{
    size_t kept = n - (size_t)(TRIMMED * (double)n + 0.5);
    double part = (double)kept / (double)n, z = two_sided_quantile(part);
    double of_normal = kept < n ? 1 - z * sqrt(2 / PI) * exp(-z * z / 2) / part : 1;
    double square = 0, error, tail;

    for (size_t i = 0; i < n; i++)
        scratch[i] = rows[i].error;
    error = scr_median(scratch, n);
    for (size_t i = 0; i < n; i++)
        scratch[i] = rows[i].distance;
    scr_median(scratch, n); /* sorts */
    for (size_t i = 0; i < kept; i++)
        square += scratch[i] * scratch[i] / (double)kept / of_normal;
    tail = SIGMA_OF_TAIL * scratch[(size_t)(0.85 * (double)n)];
    if (tails && tail > HEAVY_TAIL * sqrt(square))
        square = tail * tail;
    return sqrt(fmax(0, square - error * error));
}

static double scatter_of_all(double own, size_t n, double assumed)
{
    return sqrt((ASSUMED_ROWS * assumed * assumed + (double)n * own * own) /
                (ASSUMED_ROWS + (double)n));
}

static double scatter_of_class(double own, size_t n, double of_all)
{
    double log_own = log(fmax(LEAST_SCATTER, own));
    double both = (ASSUMED_ROWS * log(of_all) + (double)n * log_own) / (ASSUMED_ROWS + (double)n);

    return fmax(own, exp(both));
}

/* Where the class begins whose last row is rows[end - 1]. */
static size_t begin_of_class(const struct scr_scatter_row *rows, size_t end)
{
    size_t begin = end;

    while (begin > 0 &&
           (end - begin < MIN_CLASS || half_decade(&rows[begin - 1]) == half_decade(&rows[begin])))
        begin--;
    return begin < SCR_SCATTER_MIN_ROWS ? 0 : begin;
}

/* Classes next to each other while they are made: rows from begin[i] to before begin[i + 1]. */
struct cuts {
    size_t begin[SCR_SCATTER_MAX_CLASSES + 1];
    double own[SCR_SCATTER_MAX_CLASSES];
    size_t n;
};

static void cut(const struct scr_scatter_row *rows, size_t n, double *scratch, struct cuts *c)
{
    size_t ends[SCR_SCATTER_MAX_CLASSES], end = n;

    c->n = 0;
    while (end > 0) {
        ends[c->n++] = end;
        end = c->n < SCR_SCATTER_MAX_CLASSES ? begin_of_class(rows, end) : 0;
    }
    c->begin[0] = 0;
    for (size_t i = 0; i < c->n; i++) {
        c->begin[i + 1] = ends[c->n - 1 - i];
        c->own[i] = own_scatter(&rows[c->begin[i]], c->begin[i + 1] - c->begin[i], false, scratch);
    }
}

/* By how many standard errors the rows before c->begin[i + 1] scatter more than those behind. */
static double told_apart(const struct cuts *c, size_t i)
{
    double n = FREEDOM * (double)(c->begin[i + 1] - c->begin[i]);
    double m = FREEDOM * (double)(c->begin[i + 2] - c->begin[i + 1]);
    double ratio = fmax(LEAST_SCATTER, c->own[i]) / fmax(LEAST_SCATTER, c->own[i + 1]);

    return log(ratio) / sqrt(1 / (2 * n) + 1 / (2 * m));
}

/* Joins neighbours, those that are most alike first, until all are told apart. */
static void join_alike(const struct scr_scatter_row *rows, double *scratch, struct cuts *c)
{
    while (c->n > 1) {
        size_t at = 0;

        for (size_t i = 1; i + 1 < c->n; i++) {
            if (told_apart(c, i) < told_apart(c, at))
                at = i;
        }
        if (told_apart(c, at) >= TOLD_APART)
            return;
        c->n--;
        for (size_t i = at + 1; i <= c->n; i++) {
            c->begin[i] = c->begin[i + 1];
            c->own[i] = i < c->n ? c->own[i + 1] : 0;
        }
        c->own[at] =
            own_scatter(&rows[c->begin[at]], c->begin[at + 1] - c->begin[at], false, scratch);
    }
}

static struct scr_scatter_class class_of(const struct scr_scatter_row *rows, size_t n)
{
    return (struct scr_scatter_class){
        .log_from = rows[0].log_ns,
        .log_to = rows[n - 1].log_ns,
        .log_middle = (rows[(n - 1) / 2].log_ns + rows[n / 2].log_ns) / 2,
        .n = n,
    };
}

void scr_scatter_estimate(struct scr_scatter_row *rows, size_t n, double assumed, double *scratch,
                          struct scr_scatter *out)
{
    struct cuts c = {.begin = {0, n}, .n = 1};
    double of_all, least = 0;

    *out = (struct scr_scatter){.n = n < SCR_SCATTER_MIN_ROWS ? 0 : n};
    if (n == 0)
        return;
    qsort(rows, n, sizeof *rows, by_duration);
    if (out->n > 0) {
        cut(rows, n, scratch, &c);
        join_alike(rows, scratch, &c);
    }
    out->n_classes = c.n;
    of_all = out->n > 0 ? scatter_of_all(own_scatter(rows, n, true, scratch), n, assumed) : assumed;
    for (size_t i = c.n; i-- > 0;) {
        struct scr_scatter_class *class = &out->classes[i];

        *class = class_of(&rows[c.begin[i]], c.begin[i + 1] - c.begin[i]);
        class->scatter = of_all;
        if (c.n > 1)
            class->scatter = scatter_of_class(
                own_scatter(&rows[c.begin[i]], class->n, true, scratch), class->n, of_all);
        if (out->n > 0)
            class->scatter *= 1 + STUDENT / (ASSUMED_ROWS + FREEDOM * (double)class->n);
        least = class->scatter = fmax(least, class->scatter);
    }
}

double scr_scatter_at(const struct scr_scatter *s, double log_ns)
{
    const struct scr_scatter_class *c = s->classes;
    size_t i = 0;
    double slope;

    while (i + 2 < s->n_classes && log_ns > c[i + 1].log_middle)
        i++;
    if (s->n_classes < 2)
        return c[0].scatter;
    if (log_ns >= c[i + 1].log_middle)
        return c[i + 1].scatter;
    if (log_ns >= c[i].log_middle && log_ns < c[i + 1].log_from)
        return c[i].scatter;
    slope = log(c[i].scatter / c[i + 1].scatter) / (c[i + 1].log_middle - c[i].log_middle);
    /* No faster than a fixed time within rows that become shorter. */
    if (log_ns < c[i].log_middle)
        slope = fmin(slope, 1);
    return c[i].scatter * exp(slope * (c[i].log_middle - log_ns));
}

size_t scr_scatter_class_of(const struct scr_scatter *s, double log_ns)
{
    size_t i = 0;

    while (i + 1 < s->n_classes && log_ns >= s->classes[i + 1].log_from)
        i++;
    return i;
}
