/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The best entry is found by passes over those with the problem's dtype and dims, level by level.
 * In the common case one pass and one test of fitness are all; where the first in rank does not
 * fit, a second pass tests each entry that is better than what it has. Nothing is allocated.
 */
#include "tables.h"

#include "backend.h"
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A factor of 8, and what rounding adds to it. */
static const float FAR = 3.0001f;

const char *scr_match_level_name(scr_match_level level)
{
    static const char *const names[] = {"device", "architecture", "vendor", "default"};

    return level >= SCR_MATCH_DEVICE && level <= SCR_MATCH_DEFAULT ? names[level] : "?";
}

const char *scr_table_source_name(scr_table_source source)
{
    static const char *const names[] = {"none", "given",  "environment",
                                        "user", "system", "built-in"};

    return source >= SCR_TABLE_NONE && source <= SCR_TABLE_BUILTIN ? names[source] : "?";
}

/* What is asked. */
struct query {
    const struct scr_tables *tables;
    const scr_device_info *info;
    const scr_problem *problem;
    const scr_config *want;
    uint32_t key;
    bool window_known, density_known;
    float at[SCR_SLOT_AXES];
    scr_choice *out; /* counts */
};

/* Entries to choose among. */
struct range {
    const struct scr_slot *slots;
    size_t n;
    bool mixed; /* of all keys and levels, not of one */
};

/* Less is better. */
struct rank {
    int unknown; /* hints given that the entry does not know; the density weighs more */
    float distance;
    uint32_t order;
};

static bool rank_less(const struct rank *a, const struct rank *b)
{
    if (a->unknown != b->unknown)
        return a->unknown < b->unknown;
    if (a->distance != b->distance)
        return a->distance < b->distance;
    return a->order < b->order;
}

/* The entry is of a kernel, skip and parameters that are wanted. */
static bool is_wanted(const struct query *q, const struct scr_slot *s)
{
    const scr_config *want = q->want;
    const scr_config *c;

    if (want == NULL)
        return s->best;
    if (s->skip != want->skip)
        return false;
    c = &q->tables->all.entries[s->order].config;
    if (strcmp(s->decl != NULL ? s->decl->kernel : c->kernel, want->kernel) != 0)
        return false;
    if (want->variant[0] != '\0' &&
        strcmp(s->decl != NULL ? s->decl->variant : c->variant, want->variant) != 0)
        return false;
    for (int i = 0; i < want->n_params; i++) {
        if (scr_config_get(c, want->params[i].name, INT32_MIN) != want->params[i].value)
            return false;
    }
    return true;
}

/* False where an axis is further off than a table may be used for. */
static bool measure(const struct query *q, const struct scr_slot *s, struct rank *rank)
{
    bool skip_axis[SCR_SLOT_AXES] = {
        [SCR_SLOT_WINDOW] = s->any_window, [SCR_SLOT_DENSITY] = s->any_density};
    float worst = 0, sum = 0;

    for (int i = 0; i < SCR_SLOT_AXES; i++) {
        float d = skip_axis[i] ? 0 : fabsf(q->at[i] - s->at[i]);

        sum += d;
        worst = d > worst ? d : worst;
    }
    rank->distance = sum;
    rank->unknown = 2 * (q->density_known && s->any_density) + (q->window_known && s->any_window);
    rank->order = s->order;
    return worst <= FAR;
}

static bool workspace_fits(const struct query *q, size_t bytes)
{
    return q->info->max_alloc == 0 || bytes <= q->info->max_alloc;
}

/* The device can run it, on this problem. */
static bool fits(const struct query *q, const struct scr_slot *s)
{
    const scr_config *c = &q->tables->all.entries[s->order].config;
    struct scr_decl_env env;

    if (!s->sound)
        return false;
    scr_env_init(&env, q->info, q->problem, c->skip);
    for (int i = 0; i < c->n_params; i++)
        env.tunable[i] = c->params[i].value; /* in the declaration's order */
    return s->decl->supports(&env) && scr_decl_fits(s->decl, &env) &&
           workspace_fits(q, s->decl->workspace(&env));
}

/*
 * The first in rank of a level, NULL: none. The pass that does not ask what fits counts what is
 * passed over, the other what does not fit.
 */
static const struct scr_slot *find_best(const struct query *q, const struct range *r,
                                        scr_match_level level, bool fitting, struct rank *best)
{
    const struct scr_slot *found = NULL;

    for (size_t i = 0; i < r->n; i++) {
        const struct scr_slot *s = &r->slots[i];
        struct rank rank;

        if (r->mixed && (s->key != q->key ||
                         scr_entry_level(&q->tables->all.entries[s->order], q->info) != level))
            continue;
        if ((!s->any_window && !q->window_known) || (!s->any_density && !q->density_known) ||
            !is_wanted(q, s))
            continue;
        if (s->stale) {
            q->out->stale += !fitting;
            continue;
        }
        if (!measure(q, s, &rank)) {
            q->out->far += !fitting;
            continue;
        }
        if (found != NULL && !rank_less(&rank, best))
            continue;
        if (fitting && !fits(q, s)) {
            q->out->unfit++;
            continue;
        }
        found = s;
        *best = rank;
    }
    return found;
}

static bool choose(const struct query *q, const struct range *r, scr_match_level level)
{
    struct rank rank;
    const struct scr_slot *s = find_best(q, r, level, false, &rank);
    const struct scr_table_entry *e;
    scr_choice *out = q->out;

    if (s != NULL && !fits(q, s))
        s = find_best(q, r, level, true, &rank);
    if (s == NULL)
        return false;
    e = &q->tables->all.entries[s->order];
    out->config = e->config;
    out->level = level;
    out->source = e->origin;
    out->distance = (double)rank.distance;
    out->any_window = s->any_window;
    out->any_density = s->any_density;
    out->entry = e;
    return true;
}

/* Index of the first slot that is not before a key and level. */
static size_t lower_bound(const struct scr_device_index *d, uint32_t key, int level)
{
    size_t lo = 0, hi = d->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct scr_slot *s = &d->slots[mid];

        if (s->key < key || (s->key == key && s->level < level))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool choose_any_level(const struct query *q, const struct scr_device_index *d)
{
    struct range r = {.slots = q->tables->slots, .n = q->tables->all.n, .mixed = true};
    size_t from = d != NULL ? lower_bound(d, q->key, SCR_MATCH_DEVICE) : 0;

    for (int level = SCR_MATCH_DEVICE; level < SCR_MATCH_DEFAULT; level++) {
        if (d != NULL) {
            size_t end = from;

            while (end < d->n && d->slots[end].key == q->key && d->slots[end].level == level)
                end++;
            r = (struct range){.slots = d->slots + from, .n = end - from};
            from = end;
        }
        if (choose(q, &r, (scr_match_level)level))
            return true;
    }
    return false;
}

static int resolve_default(const struct query *q, scr_config *c)
{
    int status = scr_config_resolve(q->info, q->problem, c, NULL, 0);

    if (status == SCR_OK && !workspace_fits(q, scr_config_workspace_bytes(q->info, q->problem, c)))
        status = SCR_ERR_UNSUPPORTED;
    return status;
}

/* What the declaration says: of the kernel that is wanted, else of the first of these that fits. */
static int choose_default(const struct query *q)
{
    static const scr_config kernels[] = {
        {.kernel = "tile-skip", .skip = SCR_SKIP_TILE},
        {.kernel = "masked-dense"},
        {.kernel = "dense"},
    };
    int first = SCR_OK;

    q->out->level = SCR_MATCH_DEFAULT;
    q->out->source = SCR_TABLE_NONE;
    if (q->want != NULL) {
        q->out->config = *q->want;
        return scr_config_resolve(q->info, q->problem, &q->out->config, NULL, 0);
    }
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        int status;

        q->out->config = kernels[i];
        status = resolve_default(q, &q->out->config);
        if (status == SCR_OK)
            return SCR_OK;
        first = first == SCR_OK ? status : first;
    }
    return first;
}

/* index: that of the device, NULL: it has none. */
static int look_up(const struct scr_tables *t, const struct scr_device_index *index,
                   const scr_device_info *info, const scr_problem *p, const scr_hint *hint,
                   const scr_config *want, scr_choice *out)
{
    scr_hint known = hint != NULL ? *hint : (scr_hint){.window = 0};
    struct query q = {.tables = t, .info = info, .problem = p, .want = want, .out = out};

    memset(out, 0, sizeof *out);
    if (scr_problem_validate(p, NULL) != SCR_OK)
        return SCR_ERR_INVALID;
    q.key = scr_slot_key(p->dtype, p->dk, p->dv, p->causal);
    q.window_known = known.window > 0;
    q.density_known = known.pair_density > 0;
    scr_slot_place(p->len_q, p->len_k, (double)p->batch * p->heads_q, known.window,
                   fmin(known.pair_density, 1), q.at);
    if (t->all.n > 0 && choose_any_level(&q, index))
        return SCR_OK;
    return choose_default(&q);
}

int scr_tables_lookup(const struct scr_tables *t, const scr_device_info *info, const scr_problem *p,
                      const scr_hint *hint, const scr_config *want, scr_choice *out)
{
    const struct scr_device_index *index = NULL;

    for (size_t i = 0; i < t->n_devices && index == NULL; i++)
        index = t->devices[i].info == info ? &t->devices[i] : NULL;
    return look_up(t, index, info, p, hint, want, out);
}

int scr_lookup_for(const scr_context *ctx, const scr_device_info *info, const scr_problem *p,
                   const scr_hint *hint, const scr_config *want, scr_choice *out)
{
    return scr_tables_lookup(scr_context_tables(ctx), info, p, hint, want, out);
}

int scr_lookup(const scr_device *dev, const scr_problem *p, const scr_hint *hint,
               const scr_config *want, scr_choice *out)
{
    const struct scr_tables *t = scr_context_tables(dev->ctx);

    if (dev->index != NULL)
        return look_up(t, dev->index, dev->info, p, hint, want, out);
    return scr_tables_lookup(t, dev->info, p, hint, want, out);
}

int scr_plan_create_tuned(scr_device *dev, const scr_problem *p, const scr_hint *hint,
                          unsigned flags, scr_plan **out)
{
    struct query by_default = {.info = dev->info, .problem = p};
    scr_choice choice, other = {.entry = NULL};
    int status;

    *out = NULL;
    status = scr_lookup(dev, p, hint, NULL, &choice);
    if (status != SCR_OK)
        return status;
    status = scr_plan_create(dev, p, &choice.config, flags, out);
    if (status == SCR_OK || choice.entry == NULL ||
        (status != SCR_ERR_COMPILE && status != SCR_ERR_NO_MEMORY && status != SCR_ERR_UNSUPPORTED))
        return status;
    by_default.out = &other;
    if (choose_default(&by_default) != SCR_OK || scr_config_same(&choice.config, &other.config))
        return status;
    scr_log(dev->ctx, SCR_LOG_WARNING,
            "%s: %s/%s as the %s table has it (line %d): %s; the default is used", dev->info->id,
            choice.config.kernel, choice.config.variant, scr_table_source_name(choice.source),
            (int)((const struct scr_table_entry *)choice.entry)->line, scr_status_text(status));
    return scr_plan_create(dev, p, &other.config, flags, out);
}
