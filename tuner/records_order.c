/* SPDX-License-Identifier: Apache-2.0 */
/* Orders of records, and the winners among them. */
#include "tools.h"

#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ORDER(a, b)                                                                                \
    do {                                                                                           \
        if ((a) != (b))                                                                            \
            return (a) < (b) ? -1 : 1;                                                             \
    } while (0)
#define ORDER_TEXT(a, b)                                                                           \
    do {                                                                                           \
        int order_ = strcmp(a, b);                                                                 \
        if (order_ != 0)                                                                           \
            return order_ < 0 ? -1 : 1;                                                            \
    } while (0)

int scr_record_compare_device(const struct scr_record *a, const struct scr_record *b)
{
    ORDER_TEXT(a->device.backend, b->device.backend);
    ORDER_TEXT(a->device.name, b->device.name);
    ORDER(a->device.compute_units, b->device.compute_units);
    return 0;
}

int scr_record_compare_shape(const struct scr_record *a, const struct scr_record *b)
{
    const struct scr_shape_key *s = &a->shape, *t = &b->shape;
    int64_t heads_s = (int64_t)s->batch * s->heads, heads_t = (int64_t)t->batch * t->heads;

    ORDER(s->dtype, t->dtype);
    ORDER(s->dk, t->dk);
    ORDER(s->dv, t->dv);
    ORDER(s->causal, t->causal);
    ORDER(s->len_q, t->len_q);
    ORDER(s->len_k, t->len_k);
    ORDER(heads_s, heads_t);
    ORDER(s->window, t->window);
    ORDER(s->density, t->density);
    return 0;
}

int scr_config_compare(const scr_config *a, const scr_config *b)
{
    ORDER_TEXT(a->kernel, b->kernel);
    ORDER(a->skip, b->skip);
    ORDER_TEXT(a->variant, b->variant);
    for (int i = 0; i < a->n_params && i < b->n_params; i++) {
        ORDER_TEXT(a->params[i].name, b->params[i].name);
        ORDER(a->params[i].value, b->params[i].value);
    }
    ORDER(a->n_params, b->n_params);
    return 0;
}

bool scr_record_is_stale(const struct scr_record *r)
{
    const char *backend = r->device.backend;
    const scr_config *c = &r->config;
    uint64_t source = scr_source_hash(backend, c->kernel, c->variant);

    return source == 0 || source != r->source ||
           scr_space_hash(backend, c->kernel, c->variant) != r->space;
}

/* What a table has one entry for: device, shape, kernel and skip. */
static int compare_keys(const struct scr_record *a, const struct scr_record *b)
{
    int order = scr_record_compare_device(a, b);

    if (order == 0)
        order = scr_record_compare_shape(a, b);
    if (order != 0)
        return order;
    ORDER_TEXT(a->config.kernel, b->config.kernel);
    ORDER(a->config.skip, b->config.skip);
    return 0;
}

/* Among equal keys the one that counts comes first. */
static int compare_winners(const void *pa, const void *pb)
{
    const struct scr_record *a = *(const struct scr_record *const *)pa;
    const struct scr_record *b = *(const struct scr_record *const *)pb;
    int order = compare_keys(a, b);

    if (order != 0)
        return order;
    ORDER_TEXT(b->when, a->when);
    ORDER(a->ns, b->ns);
    order = scr_config_compare(&a->config, &b->config);
    if (order != 0)
        return order;
    ORDER(scr_record_id(a), scr_record_id(b));
    return 0;
}

int scr_winners_find(const struct scr_records *records, struct scr_winners *out)
{
    size_t n = 0, kept = 0;

    *out = (struct scr_winners){.items = malloc((records->n + 1) * sizeof(struct scr_record *))};
    if (out->items == NULL)
        return SCR_ERR_NO_MEMORY;
    for (size_t i = 0; i < records->n; i++) {
        const struct scr_record *r = &records->items[i];

        if (r->kind == SCR_RECORD_WINNER && strcmp(r->status, "ok") == 0 && r->ns > 0 &&
            isfinite(r->ns))
            out->items[n++] = r;
    }
    qsort(out->items, n, sizeof(struct scr_record *), compare_winners);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || compare_keys(out->items[kept - 1], out->items[i]) != 0)
            out->items[kept++] = out->items[i];
    }
    out->n = kept;
    return SCR_OK;
}

void scr_winners_clear(struct scr_winners *w)
{
    free(w->items);
    *w = (struct scr_winners){0};
}

void scr_format_ns(double ns, char *out, size_t size)
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
    size_t i = 0;

    while (i < 3 && ns < units[i].unit)
        i++;
    if (isfinite(ns))
        snprintf(out, size, "%.4g %s", ns / units[i].unit, units[i].name);
    else
        snprintf(out, size, "?");
}

void scr_format_config(const scr_config *c, char *out, size_t size)
{
    snprintf(out, size, "%s", c->variant);
    for (int i = 0; i < c->n_params; i++)
        scr_append(out, size, " %s=%d", c->params[i].name, (int)c->params[i].value);
}
