/* SPDX-License-Identifier: Apache-2.0 */
/* --show: records for people. */
#include "tools.h"

#include "space.h"
#include "sweep.h" /* exit statuses */
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool same_kernel(const struct scr_record *a, const struct scr_record *b)
{
    return strcmp(a->config.kernel, b->config.kernel) == 0 && a->config.skip == b->config.skip;
}

static bool same_shape(const struct scr_record *a, const struct scr_record *b)
{
    return scr_record_compare_device(a, b) == 0 && scr_record_compare_shape(a, b) == 0;
}

/* The verdict. */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The fastest kernel's winner of the shape that items[0] is of; *next: how many winners it has. */
static const struct scr_record *best_of_shape(const struct scr_record **items, size_t n,
                                              size_t *next)
{
    const struct scr_record *best = items[0];
    size_t i;

    for (i = 1; i < n && same_shape(items[0], items[i]); i++) {
        if (items[i]->best != best->best ? items[i]->best : items[i]->ns < best->ns)
            best = items[i];
    }
    *next = i;
    return best;
}

int scr_records_verdict(const struct scr_records *records, char *out, size_t size)
{
    struct scr_winners w = {0};
    int status = scr_winners_find(records, &w);
    double *gains = malloc((w.n + 1) * sizeof *gains);
    size_t n_faster = 0, n_slower = 0, n_shapes = 0, n_alone = 0;

    if (status != SCR_OK || gains == NULL) {
        free(gains);
        scr_winners_clear(&w);
        return SCR_ERR_NO_MEMORY;
    }
    for (size_t i = 0, next; i < w.n; i += next) {
        const struct scr_record *r = best_of_shape(w.items + i, w.n - i, &next);

        n_shapes++;
        if (isnan(r->gain))
            n_alone++;
        else if (r->gain_lo > 1)
            gains[n_faster++] = r->gain;
        else if (r->gain_hi < 1)
            n_slower++;
    }
    qsort(gains, n_faster, sizeof *gains, by_value);
    if (n_shapes == 0)
        snprintf(out, size, "No winner.");
    else if (n_faster == 0)
        snprintf(out, size, "Faster than the built-in default on none of %zu shape%s", n_shapes,
                 n_shapes == 1 ? "" : "s");
    else if (n_faster == 1)
        snprintf(out, size, "Faster than the built-in default on 1 of %zu shape%s, by %.2fx",
                 n_shapes, n_shapes == 1 ? "" : "s", gains[0]);
    else
        snprintf(out, size,
                 "Faster than the built-in default on %zu of %zu shapes, by %.2fx to %.2fx, median "
                 "%.2fx",
                 n_faster, n_shapes, gains[0], gains[n_faster - 1],
                 (gains[(n_faster - 1) / 2] + gains[n_faster / 2]) / 2);
    if (n_shapes > 0 && n_slower > 0)
        scr_append(out, size, "; slower on %zu.", n_slower);
    else if (n_shapes > 0)
        scr_append(out, size, "; slower on none.");
    if (n_alone > 0)
        scr_append(out, size, " Not compared on %zu.", n_alone);
    free(gains);
    scr_winners_clear(&w);
    return SCR_OK;
}

/* A winner. */

static void format_shape(const struct scr_record *r, char *out, size_t size)
{
    const struct scr_shape_key *s = &r->shape;

    snprintf(out, size, "%s dk=%d dv=%d %s q=%d k=%d heads=%d window=", scr_dtype_name(s->dtype),
             (int)s->dk, (int)s->dv, s->causal ? "causal" : "two-sided", (int)s->len_q,
             (int)s->len_k, (int)(s->batch * s->heads));
    if (isinf(s->window))
        scr_append(out, size, "inf");
    else if (s->window > 0)
        scr_append(out, size, "%.4g", s->window);
    else
        scr_append(out, size, "?");
    if (s->density > 0)
        scr_append(out, size, " density=%.3g", s->density);
    else
        scr_append(out, size, " density=?");
}

static void format_gain(const struct scr_record *r, char *out, size_t size)
{
    if (scr_config_compare(&r->config, &r->baseline) == 0)
        snprintf(out, size, "the built-in default");
    else if (isnan(r->gain))
        snprintf(out, size, "not compared");
    else if (!(r->gain_lo > 1) && !(r->gain_hi < 1))
        snprintf(out, size, "no difference (%.2fx to %.2fx)", r->gain_lo, r->gain_hi);
    else
        snprintf(out, size, "%.2fx (%.2fx to %.2fx)", r->gain, r->gain_lo, r->gain_hi);
}

/* How much slower the next best candidate was, both timed in the search; NaN: there is none. */
static double margin_of(const struct scr_records *records, const struct scr_record *winner)
{
    double own = NAN, next = NAN;

    for (size_t i = 0; i < records->n; i++) {
        const struct scr_record *r = &records->items[i];
        double *ns;

        if (r->kind != SCR_RECORD_CANDIDATE || strcmp(r->status, "ok") != 0 || !(r->ns > 0) ||
            r->source != winner->source || !same_kernel(r, winner) || !same_shape(r, winner))
            continue;
        ns = scr_config_compare(&r->config, &winner->config) == 0 ? &own : &next;
        *ns = fmin(*ns, r->ns); /* the number, where one is NaN */
    }
    return next / (isnan(own) ? winner->ns : own) - 1;
}

/* What the limits leave out of the space before anything is compiled, as the declaration is now. */
static void print_left_out(const struct scr_record *r)
{
    const struct scr_shape_key *k = &r->shape;
    const scr_problem p = {
        .batch = k->batch,
        .heads_q = k->heads,
        .heads_kv = k->kv_heads,
        .len_q = k->len_q,
        .len_k = k->len_k,
        .dk = k->dk,
        .dv = k->dv,
        .q_pos0 = SCR_Q_POS0_DEFAULT,
        .dtype = k->dtype,
        .dtype_out = k->dtype_out,
        .causal = k->causal,
    };
    struct scr_space s;

    if (scr_space_create(&r->device, &p, r->config.kernel, r->config.skip, &s) != SCR_OK)
        return;
    if (s.n_all > s.n && r->n_space == (double)s.n) {
        const struct {
            size_t n;
            const char *why;
        } reasons[] = {{s.n_constraints, "constraints"},
                       {s.n_group_size, "work-group size"},
                       {s.n_local_memory, "local memory"}};
        const char *before = "";

        printf("\n      %zu more do not fit: ", s.n_all - s.n);
        for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
            if (reasons[i].n == 0)
                continue;
            printf("%s%zu %s", before, reasons[i].n, reasons[i].why);
            before = ", ";
        }
    }
    scr_space_clear(&s);
}

static void print_winner(const struct scr_records *records, const struct scr_record *r, bool best)
{
    char time[32], gain[60], config[400], name[48];
    double margin = margin_of(records, r);

    scr_format_ns(r->ns, time, sizeof time);
    format_gain(r, gain, sizeof gain);
    scr_format_config(&r->config, config, sizeof config);
    snprintf(name, sizeof name, "%s%s%s", r->config.kernel,
             r->config.skip != SCR_SKIP_NONE ? " skip=" : "",
             r->config.skip != SCR_SKIP_NONE ? scr_skip_name(r->config.skip) : "");
    printf("  %c %-22s %10s  %s", best ? '*' : ' ', name, time, gain);
    if (margin > 1)
        printf("; next best %.3gx slower", margin + 1);
    else if (margin > 0)
        printf("; next best %+.1f %%", 100 * margin);
    else if (margin <= 0)
        printf("; next best as fast in the search");
    printf("\n      %s\n", config);
    printf("      ");
    if (r->n_tried > 0 && r->n_space > 0)
        printf("%.0f of %.0f tried%s%s", r->n_tried, r->n_space, r->strategy[0] != '\0' ? ", " : "",
               r->strategy);
    else
        printf("not searched");
    if (isfinite(r->regret))
        printf("; regret %.1f %%", 100 * r->regret);
    printf("; right on %d shape%s", r->n_verified, r->n_verified == 1 ? "" : "s");
    printf("; %.10s%s", r->when, scr_record_is_stale(r) ? "; stale: the kernel has changed" : "");
    print_left_out(r);
    printf("\n");
}

/* What came of the others. */

struct tally {
    char text[240];
    size_t n;
};

static int by_count(const void *pa, const void *pb)
{
    const struct tally *a = pa, *b = pb;

    return a->n != b->n ? (a->n < b->n ? 1 : -1) : strcmp(a->text, b->text);
}

static int by_text(const void *pa, const void *pb)
{
    return strcmp(((const struct tally *)pa)->text, ((const struct tally *)pb)->text);
}

/* "spills: 128 bytes" and "spills: 64 bytes" are one reason. How many there are. */
static size_t print_tally(const struct scr_records *records, const struct scr_record *device,
                          bool pruned, const char *title)
{
    enum { MOST = 8 };
    struct tally *t = calloc(records->n + 1, sizeof *t);
    size_t n = 0, kinds = 0, total = 0;

    for (size_t i = 0; t != NULL && i < records->n; i++) {
        const struct scr_record *r = &records->items[i];
        bool is_pruned = strcmp(r->status, "pruned") == 0 || strcmp(r->status, "skipped") == 0 ||
                         strcmp(r->status, "unsupported") == 0;

        if (r->kind == SCR_RECORD_WINNER || strcmp(r->status, "ok") == 0 || is_pruned != pruned ||
            scr_record_compare_device(r, device) != 0)
            continue;
        if (pruned)
            snprintf(t[n].text, sizeof t[n].text, "%.*s", (int)strcspn(r->reason, ":"), r->reason);
        else
            snprintf(t[n].text, sizeof t[n].text, "%s", r->status);
        if (t[n].text[0] == '\0')
            snprintf(t[n].text, sizeof t[n].text, "%s", r->status);
        t[n++].n = 1;
    }
    if (n > 0)
        qsort(t, n, sizeof *t, by_text);
    for (size_t i = 0; i < n; i++) {
        total++;
        if (kinds > 0 && strcmp(t[kinds - 1].text, t[i].text) == 0)
            t[kinds - 1].n++;
        else
            t[kinds++] = t[i];
    }
    if (kinds > 0)
        qsort(t, kinds, sizeof *t, by_count);
    if (total > 0)
        printf("\n  %s: %zu (", title, total);
    for (size_t i = 0; i < kinds && i < MOST; i++)
        printf("%s%zu %s", i > 0 ? ", " : "", t[i].n, t[i].text);
    if (kinds > MOST)
        printf(", ...");
    if (total > 0)
        printf(")");
    free(t);
    return total;
}

/* The first failure of each status in full: what a person needs to look into it. */
static void print_failures(const struct scr_records *records, const struct scr_record *device)
{
    static const char *const statuses[] = {"wrong",   "crashed", "timeout",
                                           "compile", "oom",     "failed"};

    for (size_t s = 0; s < sizeof statuses / sizeof statuses[0]; s++) {
        for (size_t i = 0; i < records->n; i++) {
            const struct scr_record *r = &records->items[i];
            char config[400];

            if (strcmp(r->status, statuses[s]) != 0 || scr_record_compare_device(r, device) != 0)
                continue;
            scr_format_config(&r->config, config, sizeof config);
            printf("\n    %s, the first: %s %s%s%s", statuses[s], r->config.kernel, config,
                   r->reason[0] != '\0' ? ": " : "", r->reason);
            break;
        }
    }
}

static void print_device(const struct scr_record *r)
{
    char host[80] = "";

    if (r->host[0] != '\0')
        snprintf(host, sizeof host, ", on %s", r->host);
    printf("%s: %s, %d units%s\n", r->device.backend, r->device.name, (int)r->device.compute_units,
           host);
    if (r->device.driver[0] != '\0')
        printf("  driver %s\n", r->device.driver);
}

static int by_device(const void *a, const void *b)
{
    return scr_record_compare_device(*(const struct scr_record *const *)a,
                                     *(const struct scr_record *const *)b);
}

int scr_show_run(const struct scr_tuner_options *o)
{
    struct scr_records records = {0};
    struct scr_winners w = {0};
    const struct scr_record **devices = NULL;
    char verdict[300];
    size_t at = 0, n_rest;
    bool starred = false;
    int result = scr_records_read_files(o, &records);

    if (result != SCR_EXIT_FINE)
        goto out;
    devices = malloc((records.n + 1) * sizeof(struct scr_record *));
    if (devices == NULL || scr_records_unite(&records) != SCR_OK ||
        scr_winners_find(&records, &w) != SCR_OK ||
        scr_records_verdict(&records, verdict, sizeof verdict) != SCR_OK) {
        fprintf(stderr, "tuner: --show: out of memory\n");
        result = SCR_EXIT_SOME_FAILED;
        goto out;
    }
    for (size_t i = 0; i < records.n; i++)
        devices[i] = &records.items[i];
    qsort(devices, records.n, sizeof(struct scr_record *), by_device);
    for (size_t d = 0; d < records.n; d++) {
        if (d > 0 && scr_record_compare_device(devices[d], devices[d - 1]) == 0)
            continue;
        print_device(devices[d]);
        while (at < w.n && scr_record_compare_device(w.items[at], devices[d]) == 0) {
            char shape[200];
            size_t n;
            const struct scr_record *best = best_of_shape(w.items + at, w.n - at, &n);

            starred |= n > 1;
            format_shape(best, shape, sizeof shape);
            printf("\n  %s\n", shape);
            for (size_t i = at; i < at + n; i++)
                print_winner(&records, w.items[i], w.items[i] == best && n > 1);
            at += n;
        }
        n_rest = print_tally(&records, devices[d], true, "Left out before they ran");
        n_rest += print_tally(&records, devices[d], false, "Failed");
        print_failures(&records, devices[d]);
        printf(n_rest > 0 ? "\n\n" : "\n");
    }
    if (starred)
        printf(
            "* is taken where no kernel is asked for: all of a shape ran in turn, and no other is "
            "surely faster.\nGains are over a kernel's own default, of * over that of tile-skip "
            "skip=tile.\n\n");
    if (records.n == 0)
        printf("No records.\n");
    else
        printf("%s\n", verdict);
    result = w.n > 0 ? SCR_EXIT_FINE : SCR_EXIT_SOME_FAILED;
out:
    free(devices);
    scr_winners_clear(&w);
    scr_records_clear(&records);
    return result;
}
