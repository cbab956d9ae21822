/* SPDX-License-Identifier: Apache-2.0 */
/* What a lookup answered, in words. */
#include "table_text.h"
#include "tables.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void put_config(struct scr_text *t, const scr_config *c)
{
    scr_text_put(t, "%s/%s skip=%s", c->kernel, c->variant, scr_skip_name(c->skip));
    for (int i = 0; i < c->n_params; i++)
        scr_text_put(t, " %s=%d", c->params[i].name, (int)c->params[i].value);
    scr_text_put(t, "\n");
}

static void put_device(struct scr_text *t, const scr_choice *c, const struct scr_table_entry *e)
{
    scr_text_put(t, "level %s: measured on %s (%s, %d unit%s)", scr_match_level_name(c->level),
                 e->name, e->backend, (int)e->units, e->units == 1 ? "" : "s");
    if (c->level == SCR_MATCH_DEVICE)
        scr_text_put(t, ", as this device is\n");
    else if (c->level == SCR_MATCH_ARCH)
        scr_text_put(t, ", of the same architecture, %s\n", e->arch);
    else
        scr_text_put(t, ", of the same vendor, %s\n", e->vendor);
}

static void put_hint(struct scr_text *t, const char *name, double x)
{
    scr_text_put(t, " %s=", name);
    if (x == 0)
        scr_text_put(t, "any");
    else
        scr_text_put_real(t, x);
}

static void put_entry(struct scr_text *t, const char *path, const scr_choice *c,
                      const struct scr_table_entry *e)
{
    if (e->origin == SCR_TABLE_BUILTIN)
        scr_text_put(t, "table %s, line %d\n", path, (int)e->line);
    else
        scr_text_put(t, "table %s, line %d (%s)\n", path, (int)e->line,
                     scr_table_source_name(e->origin));
    scr_text_put(t, "entry %s dk=%d dv=%d causal=%d len_q=%d len_k=%d heads=%d",
                 scr_dtype_name(e->dtype), (int)e->dk, (int)e->dv, e->causal, (int)e->len_q,
                 (int)e->len_k, (int)e->heads);
    put_hint(t, "window", e->window);
    put_hint(t, "density", e->density);
    scr_text_put(t, ": ");
    scr_text_put_real(t, round(e->ns / 10) / 100);
    scr_text_put(t, " us%s; record %016llx\n", e->best ? ", the fastest of all kernels" : "",
                 (unsigned long long)e->from);
    scr_text_put(t, "distance ");
    scr_text_put_real(t, round(c->distance * 100) / 100);
    scr_text_put(t, " (powers of two, over lengths, heads%s%s)\n", c->any_window ? "" : ", window",
                 c->any_density ? "" : ", density");
}

static void put_passed(struct scr_text *t, int32_t n, const char *why)
{
    if (n > 0)
        scr_text_put(t, "passed over: %d %s, %s\n", (int)n, n == 1 ? "entry" : "entries", why);
}

size_t scr_tables_explain(const struct scr_tables *tables, const scr_choice *c, char *text,
                          size_t size)
{
    struct scr_text t = {.out = text, .size = size};
    const struct scr_table_entry *e = c->entry;

    if (size > 0)
        text[0] = '\0';
    put_config(&t, &c->config);
    if (e != NULL) {
        put_device(&t, c, e);
        put_entry(&t, tables->paths[e->origin], c, e);
    } else {
        scr_text_put(&t,
                     "level default: none of %zu table entr%s is for such a device and "
                     "problem; the values that the kernel declares, or the nearest that fit\n",
                     tables->all.n, tables->all.n == 1 ? "y" : "ies");
    }
    put_passed(&t, c->stale, "made from another version of the kernel");
    put_passed(&t, c->unfit, "which do not fit the device or the problem");
    put_passed(&t, c->far, "over 8 times off in a length, the heads, the window or the density");
    return t.n;
}

size_t scr_choice_explain(const scr_context *ctx, const scr_choice *c, char *text, size_t size)
{
    return scr_tables_explain(scr_context_tables(ctx), c, text, size);
}
