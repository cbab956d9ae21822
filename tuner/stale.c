/* SPDX-License-Identifier: Apache-2.0 */
/* --stale: what was tuned for a kernel that has changed since, and what to run again. */
#include "tools.h"

#include "../runtime/tables.h"
#include "sweep.h" /* exit statuses */
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* An entry of a table, or a winner among records. */
struct tuned {
    const char *where; /* the table or the file, as the user knows it */
    struct scr_table_entry e;
};

struct pile {
    struct tuned *items;
    size_t n, n_fresh;
};

static bool is_stale(const struct scr_table_entry *e)
{
    uint64_t source = scr_source_hash(e->backend, e->config.kernel, e->config.variant);

    /* 0: there is no such kernel any more. */
    return source == 0 || source != e->source ||
           scr_space_hash(e->backend, e->config.kernel, e->config.variant) != e->space;
}

static int put(struct pile *p, const char *where, const struct scr_table_entry *e)
{
    struct tuned *grown;

    if (!is_stale(e)) {
        p->n_fresh++;
        return SCR_OK;
    }
    grown = realloc(p->items, (p->n + 1) * sizeof *grown);
    if (grown == NULL)
        return SCR_ERR_NO_MEMORY;
    p->items = grown;
    p->items[p->n++] = (struct tuned){where, *e};
    return SCR_OK;
}

static int put_winners(struct pile *p, const char *path, const struct scr_records *records,
                       size_t first)
{
    int status = SCR_OK;

    for (size_t i = first; i < records->n && status == SCR_OK; i++) {
        const struct scr_record *r = &records->items[i];
        struct scr_table_entry e = {
            .config = r->config,
            .source = r->source,
            .space = r->space,
            .dtype = r->shape.dtype,
            .dk = r->shape.dk,
            .dv = r->shape.dv,
            .causal = r->shape.causal,
            .len_q = r->shape.len_q,
            .len_k = r->shape.len_k,
            .heads = r->shape.batch * r->shape.heads,
        };

        if (r->kind != SCR_RECORD_WINNER)
            continue;
        snprintf(e.backend, sizeof e.backend, "%s", r->device.backend);
        snprintf(e.name, sizeof e.name, "%s", r->device.name);
        status = put(p, path, &e);
    }
    return status;
}

/* One line a table or file, device and kernel. */
static int compare(const void *pa, const void *pb)
{
    const struct tuned *a = pa, *b = pb;
    int order = strcmp(a->where, b->where);

    if (order == 0)
        order = strcmp(a->e.backend, b->e.backend);
    if (order == 0)
        order = strcmp(a->e.name, b->e.name);
    if (order == 0)
        order = strcmp(a->e.config.kernel, b->e.config.kernel);
    if (order == 0)
        order = strcmp(a->e.config.variant, b->e.config.variant);
    return order;
}

static int by_number(const void *a, const void *b)
{
    return (*(const int32_t *)a > *(const int32_t *)b) -
           (*(const int32_t *)a < *(const int32_t *)b);
}

static bool same_device(const struct tuned *a, const struct tuned *b)
{
    return strcmp(a->where, b->where) == 0 && strcmp(a->e.backend, b->e.backend) == 0 &&
           strcmp(a->e.name, b->e.name) == 0;
}

/* " -a seq=512,1024": the values that occur. */
static void add_axis(const struct tuned *items, size_t n, const char *axis, size_t offset,
                     char *out, size_t size)
{
    int32_t *values = malloc(n * sizeof *values);

    if (values == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        values[i] = *(const int32_t *)(const void *)((const char *)&items[i].e + offset);
    qsort(values, n, sizeof *values, by_number);
    scr_append(out, size, " -a %s=", axis);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || values[i] != values[i - 1])
            scr_append(out, size, "%s%d", i > 0 ? "," : "", (int)values[i]);
    }
    free(values);
}

static bool is_there(const struct scr_table_entry *e)
{
    return scr_source_hash(e->backend, e->config.kernel, e->config.variant) != 0;
}

/* Of one table or file and device; what this build has no kernel for is not tuned again. */
static void print_command(const struct tuned *items, size_t n)
{
    char words[1000] = "";
    bool square = true, causal[2] = {false, false}, any = false;

    for (size_t i = 0; i < n; i++) {
        any |= is_there(&items[i].e);
        causal[items[i].e.causal] = true;
    }
    if (!any)
        return;

    scr_append(words, sizeof words, " -a dtype=");
    for (int t = SCR_F32, shown = 0; t <= SCR_BF16; t++) {
        bool there = false;

        for (size_t i = 0; i < n; i++)
            there |= items[i].e.dtype == (scr_dtype)t;
        if (there)
            scr_append(words, sizeof words, "%s%s", shown++ > 0 ? "," : "",
                       scr_dtype_name((scr_dtype)t));
    }
    for (size_t i = 0; i < n; i++)
        square &= items[i].e.len_q == items[i].e.len_k;
#define ADD(axis, field)                                                                           \
    add_axis(items, n, axis, offsetof(struct scr_table_entry, field), words, sizeof words)
    ADD("dk", dk);
    ADD("dv", dv);
    ADD("seq", len_q);
    if (!square)
        ADD("kv", len_k);
    ADD("heads", heads);
#undef ADD
    if (causal[0])
        scr_append(words, sizeof words, " -a causal=0%s", causal[1] ? ",1" : "");
    printf("    tuner --tune --device %s%s\n", items[0].e.backend, words);
}

int scr_stale_run(const struct scr_tuner_options *o)
{
    struct scr_records records = {0};
    struct pile p = {0};
    scr_context *ctx = NULL;
    const struct scr_tables *tables;
    int status = scr_tuner_open_tables(&ctx), result = SCR_EXIT_FINE;

    tables = status == SCR_OK ? scr_context_tables(ctx) : NULL;
    for (size_t i = 0; tables != NULL && i < tables->all.n && status == SCR_OK; i++) {
        const struct scr_table_entry *e = &tables->all.entries[i];

        status = put(&p, tables->paths[e->origin], e);
    }
    for (int i = 0; i < o->n_files && status == SCR_OK && result == SCR_EXIT_FINE; i++) {
        struct scr_tuner_options one = {.files = &o->files[i], .n_files = 1};
        size_t first = records.n;

        result = scr_records_read_files(&one, &records);
        if (result == SCR_EXIT_FINE)
            status = put_winners(&p, o->files[i], &records, first);
    }
    if (result != SCR_EXIT_FINE)
        goto out;
    if (status != SCR_OK) {
        fprintf(stderr, "tuner: --stale: %s\n", scr_status_text(status));
        result = SCR_EXIT_SOME_FAILED;
        goto out;
    }
    if (p.n > 0)
        qsort(p.items, p.n, sizeof *p.items, compare);
    for (size_t i = 0, next, first = 0; i < p.n; i = next) {
        const struct tuned *t = &p.items[i];

        for (next = i; next < p.n && compare(t, &p.items[next]) == 0;)
            next++;
        printf("%s: %s %s/%s on %s: %zu stale: %s\n", t->where, t->e.backend, t->e.config.kernel,
               t->e.config.variant, t->e.name, next - i,
               is_there(&t->e) ? "the kernel has changed since" : "this build has no such kernel");
        if (next < p.n && same_device(t, &p.items[next]))
            continue;
        print_command(p.items + first, next - first);
        first = next;
    }
    if (p.n > 0)
        printf("%zu of %zu stale: passed over in every lookup. Tune again as above, with the "
               "workloads\nand windows that matter, then tuner --table\n",
               p.n, p.n + p.n_fresh);
    else
        printf("Nothing is stale: %zu entries and winners are of the kernels of this build\n",
               p.n_fresh);
    result = p.n > 0 ? SCR_EXIT_WRONG : SCR_EXIT_FINE;
out:
    free(p.items);
    scr_records_clear(&records);
    scr_context_destroy(&ctx);
    return result;
}
