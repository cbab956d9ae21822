/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/oracle.h"

#include <math.h>
#include <string.h>

enum { MAX_DIM = 128, LANES = 8 };

/*
 * Admissible keys of one row form one range [begin, end): the largest distance below w, cut at the
 * query when causal, at 0 and at the keys that exist.
 */
struct key_range {
    int64_t begin, end;
};

static struct key_range admissible_keys(const struct scr_oracle_input *in, int b, float w,
                                        int64_t position)
{
    const scr_problem *p = in->problem;
    int64_t keys = p->len_k;
    /* Positions stay within 2^26, so a wider window ends nothing. */
    int64_t reach = w < 0x1p27f ? (int64_t)ceil((double)w) - 1 : (int64_t)1 << 27;
    struct key_range range;

    if (in->kv_len != NULL && in->kv_len[b] < keys)
        keys = in->kv_len[b] > 0 ? in->kv_len[b] : 0;
    range.begin = position - reach;
    range.end = p->causal ? position + 1 : position + reach + 1;
    if (range.begin < 0)
        range.begin = 0;
    if (range.end > keys)
        range.end = keys;
    if (range.end < range.begin)
        range.end = range.begin;
    return range;
}

/* n is a multiple of LANES; independent sums let the compiler use vector registers. */
static double dot(const double *x, const double *y, int n)
{
    double sum[LANES] = {0};

    for (int i = 0; i < n; i += LANES) {
        for (int l = 0; l < LANES; l++)
            sum[l] += x[i + l] * y[i + l];
    }
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

/* row += weight * v; returns |v|^2. */
static double add_value(double *restrict row, double weight, const double *v, int n)
{
    double sum[LANES] = {0};

    for (int i = 0; i < n; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            row[i + l] += weight * v[i + l];
            sum[l] += v[i + l] * v[i + l];
        }
    }
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

static double square(double x)
{
    return x * x;
}

/* TanhNorm in place; returns the factor that every element was multiplied by. */
static double tanh_norm(double *h, int n)
{
    double norm = sqrt(dot(h, h, n));
    double factor = norm > 0 ? tanh(norm) / norm : 1.0;

    for (int i = 0; i < n; i++)
        h[i] *= factor;
    return factor;
}

/* P v over the keys of one row, what f32 may make of it, and the flags of its blocks. */
static void add_keys(const struct scr_oracle_input *in, int h, int64_t position,
                     struct key_range range, const double *q, const double *k, const double *v,
                     double *o, struct scr_oracle_row *row, struct scr_oracle_stats *stats,
                     uint8_t *block_row)
{
    const double pi = 3.14159265358979323846;
    const scr_problem *p = in->problem;
    double size = in->size > 1 ? in->size : 1;
    double r = in->r[h];
    double w = in->w[h];
    double eps = r * SCR_ORACLE_EPS * size;
    double band = r * SCR_ORACLE_BAND * size;
    double drift_s = p->dtype == SCR_F32 ? 0.0 : r * SCR_ORACLE_DRIFT * size * p->dk / 128;
    double drift = 0; /* of the row; errors of one sign add up */

    for (int64_t j = range.begin; j < range.end; j++) {
        double x = 1.0 - r * (1.0 - dot(q, k + j * p->dk, p->dk));
        unsigned flags = SCR_BLOCK_ADMISSIBLE;

        if (x > 0)
            flags |= SCR_BLOCK_LIVE;
        if (x > band)
            flags |= SCR_BLOCK_SURE;
        if (x > -band)
            flags |= SCR_BLOCK_MAYBE;
        if (block_row != NULL)
            block_row[j / SCR_BLOCK] |= (uint8_t)flags;
        stats->pairs_live += x > 0;
        stats->pairs_near_tau += fabs(x) <= band;
        row->maybe |= x > -band;
        if (o != NULL && x > -band) {
            double c = isinf(w) ? 1.0 : cos(pi * (double)(j - position) / w);
            double m = (1.0 + c) / 2.0;
            double a = x > 0 ? x * x : 0.0;
            double slope_s = 2.0 * ((x > 0 ? x : 0.0) + eps) * eps * m;
            double slope_c = isinf(w) ? 0.0 : 2.0 * a * sqrt(m) * SCR_ORACLE_EPS;
            double v2 = add_value(o, a * m, v + j * p->dv, p->dv);

            double rounding2 = (square(slope_s) + square(slope_c)) * v2;

            drift += 2.0 * (x > 0 ? x : 0.0) * drift_s * m * sqrt(v2);
            row->rounding2 += rounding2;
            row->rounding4 += square(rounding2);
            row->terms2 += square(a * m) * v2;
        }
    }
    row->drift2 = square(drift);
}

void scr_oracle_rows(const struct scr_oracle_input *in, int b, int h, int row0, int n_rows,
                     double *o, struct scr_oracle_row *rows, struct scr_oracle_stats *stats,
                     uint8_t *blocks)
{
    const scr_problem *p = in->problem;
    int64_t head_q = (int64_t)b * p->heads_q + h;
    int64_t head_kv = (int64_t)b * p->heads_kv + h / (p->heads_q / p->heads_kv);
    const double *q = in->q + head_q * p->len_q * p->dk;
    const double *k = in->k + head_kv * p->len_k * p->dk;
    const double *v = in->v + head_kv * p->len_k * p->dv;
    int64_t blocks_k = ((int64_t)p->len_k + SCR_BLOCK - 1) / SCR_BLOCK;

    for (int i = row0; i < row0 + n_rows; i++) {
        int64_t position = (int64_t)scr_problem_q_pos0(p) + i;
        struct key_range range = admissible_keys(in, b, in->w[h], position);
        uint8_t *block_row = blocks != NULL ? blocks + i / SCR_BLOCK * blocks_k : NULL;
        struct scr_oracle_row row = {0};
        double sum[MAX_DIM] = {0};

        stats->pairs_admissible += (uint64_t)(range.end - range.begin);
        add_keys(in, h, position, range, q + (int64_t)i * p->dk, k, v, o != NULL ? sum : NULL, &row,
                 stats, block_row);
        if (o == NULL)
            continue;
        /* TanhNorm shrinks an error at most by its factor: it acts so across h, more along h. */
        if (p->tanh_norm) {
            double factor2 = square(tanh_norm(sum, p->dv));

            row.rounding2 *= factor2;
            row.rounding4 *= square(factor2);
            row.drift2 *= factor2;
            row.terms2 *= factor2;
        }
        row.norm2 = dot(sum, sum, p->dv);
        memcpy(o + (int64_t)(i - row0) * p->dv, sum, sizeof *o * (size_t)p->dv);
        stats->norm2 += row.norm2;
        stats->rounding2 += row.rounding2;
        stats->rounding4 += row.rounding4;
        stats->drift2 += row.drift2;
        if (rows != NULL)
            rows[i - row0] = row;
    }
}
