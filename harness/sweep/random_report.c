/* SPDX-License-Identifier: Apache-2.0 */
#include "random_report.h"

#include "decl.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Below this part of the admissible pairs, "few" are alive. */
static const double FEW = 0.05;

static bool ran(const struct scr_row *row)
{
    return strcmp(row->status, "ok") == 0 || strcmp(row->status, "wrong") == 0;
}

static size_t count_status(const struct scr_row *rows, size_t n, const char *status)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += strcmp(rows[i].status, status) == 0;
    return count;
}

/* The reasons of those that did not run, each once. */
static void print_reasons(const struct scr_row *rows, size_t n, FILE *f)
{
    for (size_t i = 0; i < n; i++) {
        size_t count = 0;
        bool first = true;

        if (ran(&rows[i]))
            continue;
        for (size_t j = 0; j < n; j++) {
            bool same = strcmp(rows[i].status, rows[j].status) == 0 &&
                        strcmp(rows[i].reason, rows[j].reason) == 0;

            first &= !same || j >= i;
            count += same;
        }
        if (first)
            fprintf(f, "  %zu %s: %s\n", count, rows[i].status, rows[i].reason);
    }
}

/* How many pairs of the problems that ran were alive. */
static void print_pairs(const struct scr_row *rows, size_t n, FILE *f)
{
    size_t none = 0, few = 0, many = 0, all = 0, outside = 0, zero = 0;

    for (size_t i = 0; i < n; i++) {
        const struct scr_row *r = &rows[i];

        if (!ran(r))
            continue;
        zero += r->heads_zero == r->batch * r->heads;
        if (!(r->pairs_admissible > 0))
            outside++;
        else if (r->pairs_live == 0)
            none++;
        else if (r->pairs_live == r->pairs_admissible)
            all++;
        else if (r->pairs_live < FEW * r->pairs_admissible)
            few++;
        else
            many++;
    }
    fprintf(
        f,
        "  pairs alive: none in %zu, few (below %g %%) in %zu, many in %zu, all in %zu; no pair "
        "in mask and window in %zu; reference all zero in %zu\n",
        none, 100 * FEW, few, many, all, outside, zero);
}

static void print_lengths(const struct scr_row *rows, size_t n, FILE *f)
{
    size_t ragged = 0, grouped = 0, norm = 0, bidirectional = 0, types[3] = {0};
    double longest = 0;

    for (size_t i = 0; i < n; i++) {
        const struct scr_row *r = &rows[i];

        if (!ran(r))
            continue;
        ragged += strcmp(r->kv_len, "none") != 0 && strcmp(r->kv_len, "full") != 0;
        grouped += r->kv_heads < r->heads;
        norm += r->norm;
        bidirectional += !r->causal;
        longest = r->seq_q > longest ? r->seq_q : longest;
        longest = r->seq_k > longest ? r->seq_k : longest;
        for (scr_dtype t = SCR_F32; t <= SCR_BF16; t++)
            types[t] += strcmp(r->dtype, scr_dtype_name(t)) == 0;
    }
    fprintf(f,
            "  f32 %zu, f16 %zu, bf16 %zu; keys missing %zu, grouped heads %zu, norm %zu, "
            "bidirectional %zu; longest %.0f tokens\n",
            types[SCR_F32], types[SCR_F16], types[SCR_BF16], ragged, grouped, norm, bidirectional,
            longest);
}

/* Of each kernel that a device's backend has, with 0 of those that were never run. */
static void print_kernels(const struct scr_row *rows, size_t n, const scr_device_info *device,
                          FILE *f)
{
    const char *comma = "";

    fprintf(f, "  %s:", device->id);
    for (size_t k = 0; k < scr_kernel_decl_count; k++) {
        const struct scr_kernel_decl *d = &scr_kernel_decls[k];
        size_t count = 0;

        if (strcmp(d->backend, device->backend) != 0)
            continue;
        for (size_t i = 0; i < n; i++)
            count += ran(&rows[i]) && strcmp(rows[i].device, device->id) == 0 &&
                     strcmp(rows[i].kernel, d->kernel) == 0 &&
                     strcmp(rows[i].variant, d->variant) == 0;
        fprintf(f, "%s %s/%s %zu", comma, d->kernel, d->variant, count);
        comma = ",";
    }
    fputc('\n', f);
}

void scr_random_report(const struct scr_row *rows, size_t n, const struct scr_options *o,
                       const struct scr_devices *devices, FILE *f)
{
    size_t right = count_status(rows, n, "ok"), wrong = count_status(rows, n, "wrong");
    size_t unsupported = count_status(rows, n, "unsupported");

    fprintf(f,
            "random: seed %llu: %zu of %d problems ran: %zu right, %zu wrong; %zu unsupported, %zu "
            "failed\n",
            (unsigned long long)o->seed, right + wrong, o->n_random, right, wrong, unsupported,
            n - right - wrong - unsupported);
    print_reasons(rows, n, f);
    print_pairs(rows, n, f);
    print_lengths(rows, n, f);
    for (size_t i = 0; i < devices->n; i++)
        print_kernels(rows, n, devices->info[i], f);
}
