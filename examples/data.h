/* SPDX-License-Identifier: Apache-2.0 */
/* What the examples compute on, and what they compare with. Nothing of the library is in here. */
#ifndef EXAMPLES_DATA_H
#define EXAMPLES_DATA_H

#include <math.h>

enum { T = 512, D = 32 }; /* tokens and head dim of the one head */

#define SHARPNESS 4.0f /* r: a pair counts where q . k > 1 - 1/r */

/* Rows of unit length around eight directions: some pairs are alike, most are not. */
static void fill_rows(float *x, unsigned seed)
{
    for (int i = 0; i < T; i++) {
        double sum = 0.0;

        for (int j = 0; j < D; j++) {
            seed = seed * 1664525u + 1013904223u;
            x[i * D + j] = (j == i % 8) + 0.1f * ((float)(seed >> 8) / 8388608.0f - 1.0f);
            sum += x[i * D + j] * x[i * D + j];
        }
        for (int j = 0; j < D; j++)
            x[i * D + j] /= (float)sqrt(sum);
    }
}

/* The operator by its definition, causal, without a window, in double: the largest difference
 * from o, relative to the largest result. */
static double worst_error(const float *q, const float *k, const float *v, const float *o)
{
    double worst = 0.0, largest = 0.0;

    for (int i = 0; i < T; i++) {
        double h[D] = {0};

        for (int j = 0; j <= i; j++) {
            double s = 0.0, a;

            for (int d = 0; d < D; d++)
                s += (double)q[i * D + d] * k[j * D + d];
            a = fmax(0.0, 1.0 - SHARPNESS * (1.0 - s));
            for (int d = 0; d < D; d++)
                h[d] += a * a * v[j * D + d];
        }
        for (int d = 0; d < D; d++) {
            largest = fmax(largest, fabs(h[d]));
            worst = fmax(worst, isnan(o[i * D + d]) ? INFINITY : fabs(h[d] - o[i * D + d]));
        }
    }
    return worst / largest;
}

#endif
