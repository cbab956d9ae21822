/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "backend.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *scr_skip_name(scr_skip skip)
{
    static const char *const names[] = {"none", "tile", "slice"};

    return skip >= SCR_SKIP_NONE && skip <= SCR_SKIP_SLICE ? names[skip] : "?";
}

int32_t scr_config_get(const scr_config *c, const char *name, int32_t fallback)
{
    for (int i = 0; i < c->n_params; i++) {
        if (strcmp(c->params[i].name, name) == 0)
            return c->params[i].value;
    }
    return fallback;
}

int scr_config_set(scr_config *c, const char *name, int32_t value)
{
    for (int i = 0; i < c->n_params; i++) {
        if (strcmp(c->params[i].name, name) == 0) {
            c->params[i].value = value;
            return SCR_OK;
        }
    }
    if (c->n_params >= SCR_MAX_PARAMS || strlen(name) >= sizeof c->params[0].name)
        return SCR_ERR_INVALID;
    strcpy(c->params[c->n_params].name, name);
    c->params[c->n_params++].value = value;
    return SCR_OK;
}

void scr_env_init(struct scr_decl_env *env, const scr_device_info *info, const scr_problem *p,
                  scr_skip skip)
{
    *env = (struct scr_decl_env){
        .BATCH = p->batch,
        .HEADS_Q = p->heads_q,
        .HEADS_KV = p->heads_kv,
        .LEN_Q = p->len_q,
        .LEN_K = p->len_k,
        .DK = p->dk,
        .DV = p->dv,
        .DTYPE = p->dtype,
        .DTYPE_BYTES = (long)scr_dtype_bytes(p->dtype),
        .CAUSAL = p->causal,
        .SKIP = skip,
        .SM = info->sm,
        .IS_CPU = info->is_cpu,
        .UNITS = info->compute_units,
        .LOCAL_MEM = (long)info->local_mem,
        .MAX_GROUP = info->max_group_size,
        .HAS_FP16 = info->has_fp16,
        .HAS_SUBGROUPS = info->has_subgroups,
        .HAS_WARPGROUPS = info->has_warpgroups,
    };
}

const struct scr_kernel_decl *scr_decl_find(const char *backend, const char *kernel,
                                            const char *variant)
{
    for (size_t i = 0; i < scr_kernel_decl_count; i++) {
        const struct scr_kernel_decl *d = &scr_kernel_decls[i];

        if (strcmp(d->backend, backend) == 0 && strcmp(d->kernel, kernel) == 0 &&
            strcmp(d->variant, variant) == 0)
            return d;
    }
    return NULL;
}

void scr_env_set_tunables(struct scr_decl_env *env, const struct scr_kernel_decl *decl,
                          const scr_config *c)
{
    for (int i = 0; i < decl->n_tunables; i++)
        env->tunable[i] =
            scr_config_get(c, decl->tunables[i].name, decl->tunables[i].value_default);
}

/* A grid of NVIDIA's GPUs has 2^31 - 1 blocks along x, and 65535 along y and z. */
static bool grid_fits(const struct scr_decl_env *env, const size_t groups[3])
{
    return env->SM == 0 || (groups[0] <= INT32_MAX && groups[1] <= 65535 && groups[2] <= 65535);
}

bool scr_decl_fits(const struct scr_kernel_decl *decl, const struct scr_decl_env *env)
{
    if (!decl->valid(env))
        return false;
    for (int i = 0; i < decl->n_steps; i++) {
        size_t group[3], groups[3];

        decl->steps[i].group(env, group);
        decl->steps[i].groups(env, groups);
        if (group[0] * group[1] * group[2] > (size_t)env->MAX_GROUP || !grid_fits(env, groups))
            return false;
        if (decl->steps[i].local_bytes(env) > (size_t)env->LOCAL_MEM)
            return false;
    }
    return true;
}

void scr_config_defines(const scr_problem *p, const scr_config *c, unsigned flags,
                        struct scr_defines *out)
{
    const struct {
        const char *name;
        int value;
    } fixed[] = {
        {"DK", p->dk},
        {"DV", p->dv},
        {"SCR_DTYPE", (int)p->dtype},
        {"SCR_DTYPE_OUT", (int)p->dtype_out},
        {"SCR_SKIP", (int)c->skip},
        {"SCR_COUNT", (flags & SCR_PLAN_COUNT) != 0},
    };
    int n_fixed = (int)(sizeof fixed / sizeof fixed[0]);
    int n = 0;

    for (int i = 0; i < n_fixed; i++)
        snprintf(out->text[n++], sizeof out->text[0], "%s=%d", fixed[i].name, fixed[i].value);
    if (flags & SCR_PLAN_FAULT_SKIP)
        snprintf(out->text[n++], sizeof out->text[0], "SCR_FAULT_SKIP=1");
    for (int i = 0; i < c->n_params; i++)
        snprintf(out->text[n++], sizeof out->text[0], "%s=%d", c->params[i].name,
                 (int)c->params[i].value);
    for (int i = 0; i < n; i++)
        out->list[i] = out->text[i];
    out->list[n] = NULL;
}

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static void
explain(char *why, size_t size, const char *format, ...)
{
    va_list ap;

    if (why == NULL || size == 0)
        return;
    va_start(ap, format);
    vsnprintf(why, size, format, ap);
    va_end(ap);
}

static const struct scr_tunable *find_tunable(const struct scr_kernel_decl *d, const char *name)
{
    for (int i = 0; i < d->n_tunables; i++) {
        if (strcmp(d->tunables[i].name, name) == 0)
            return &d->tunables[i];
    }
    return NULL;
}

/* How many places in the list of values lie between a value and the default. */
static int steps_from_default(const struct scr_tunable *t, int value_index)
{
    for (int i = 0; i < t->n_values; i++) {
        if (t->values[i] == t->value_default)
            return abs(i - value_index);
    }
    return INT_MAX / SCR_MAX_TUNABLES;
}

/*
 * Depth-first over the tunables that c leaves open; keeps in best the complete assignment with the
 * fewest steps away from the defaults. The spaces hold a few thousand points at most, and branches
 * no better than the best are cut.
 */
struct completion {
    const struct scr_kernel_decl *decl;
    struct scr_decl_env env;
    bool fixed[SCR_MAX_TUNABLES];
    long best[SCR_MAX_TUNABLES];
    int best_cost;
};

static void complete_from(struct completion *s, int index, int cost)
{
    const struct scr_tunable *t = &s->decl->tunables[index];

    if (cost >= s->best_cost)
        return;
    if (index == s->decl->n_tunables) {
        if (scr_decl_fits(s->decl, &s->env)) {
            memcpy(s->best, s->env.tunable, sizeof s->best);
            s->best_cost = cost;
        }
        return;
    }
    if (s->fixed[index]) {
        complete_from(s, index + 1, cost);
        return;
    }
    for (int away = 0; away < t->n_values; away++) {
        for (int i = 0; i < t->n_values; i++) {
            if (steps_from_default(t, i) != away)
                continue;
            s->env.tunable[index] = t->values[i];
            complete_from(s, index + 1, cost + away);
        }
    }
}

static bool complete(const struct scr_kernel_decl *d, const struct scr_decl_env *env, scr_config *c)
{
    struct completion s = {.decl = d, .env = *env, .best_cost = INT_MAX};

    for (int i = 0; i < d->n_tunables; i++) {
        for (int j = 0; j < c->n_params; j++) {
            if (strcmp(d->tunables[i].name, c->params[j].name) == 0) {
                s.fixed[i] = true;
                s.env.tunable[i] = c->params[j].value;
            }
        }
    }
    complete_from(&s, 0, 0);
    if (s.best_cost == INT_MAX)
        return false;
    c->n_params = 0;
    for (int i = 0; i < d->n_tunables; i++)
        scr_config_set(c, d->tunables[i].name, (int32_t)s.best[i]);
    snprintf(c->variant, sizeof c->variant, "%s", d->variant);
    return true;
}

/* Every parameter of c is one of d's, with one of its values. */
static bool params_known(const struct scr_kernel_decl *d, const scr_config *c, char *why,
                         size_t why_size)
{
    for (int i = 0; i < c->n_params; i++) {
        const struct scr_tunable *t = find_tunable(d, c->params[i].name);
        bool known = false;

        if (t == NULL) {
            explain(why, why_size, "%s/%s has no parameter %s", d->kernel, d->variant,
                    c->params[i].name);
            return false;
        }
        for (int j = 0; j < t->n_values; j++)
            known |= t->values[j] == c->params[i].value;
        if (!known) {
            explain(why, why_size, "%s/%s does not offer %s = %d", d->kernel, d->variant, t->name,
                    (int)c->params[i].value);
            return false;
        }
    }
    return true;
}

int scr_config_resolve(const scr_device_info *info, const scr_problem *p, scr_config *c, char *why,
                       size_t why_size)
{
    struct scr_decl_env env;
    int status = SCR_ERR_NOT_FOUND;

    if (scr_problem_validate(p, NULL) != SCR_OK || c->skip < SCR_SKIP_NONE ||
        c->skip > SCR_SKIP_SLICE) {
        explain(why, why_size, "invalid problem");
        return SCR_ERR_INVALID;
    }
    if (strcmp(c->kernel, "tile-skip") != 0 && c->skip != SCR_SKIP_NONE) {
        explain(why, why_size, "%s knows skip = none only", c->kernel);
        return SCR_ERR_UNSUPPORTED;
    }
    explain(why, why_size, "%s has no kernel %s%s%s", info->backend, c->kernel,
            c->variant[0] ? "/" : "", c->variant);
    scr_env_init(&env, info, p, c->skip);
    for (size_t i = 0; i < scr_kernel_decl_count; i++) {
        const struct scr_kernel_decl *d = &scr_kernel_decls[i];

        if (strcmp(d->backend, info->backend) != 0 || strcmp(d->kernel, c->kernel) != 0)
            continue;
        if (c->variant[0] != '\0' && strcmp(d->variant, c->variant) != 0)
            continue;
        if (!d->supports(&env)) {
            if (status == SCR_ERR_NOT_FOUND)
                explain(why, why_size, "%s/%s does not support this problem on %s", d->kernel,
                        d->variant, info->id);
            status = SCR_ERR_UNSUPPORTED;
            continue;
        }
        if (!params_known(d, c, why, why_size)) {
            status = SCR_ERR_UNSUPPORTED;
            continue;
        }
        if (complete(d, &env, c))
            return SCR_OK;
        explain(why, why_size, "no values of %s/%s fit %s with those given", d->kernel, d->variant,
                info->id);
        status = SCR_ERR_UNSUPPORTED;
    }
    return status;
}

bool scr_config_same(const scr_config *a, const scr_config *b)
{
    if (strcmp(a->kernel, b->kernel) != 0 || strcmp(a->variant, b->variant) != 0 ||
        a->skip != b->skip || a->n_params != b->n_params)
        return false;
    for (int i = 0; i < a->n_params; i++) {
        const char *name = a->params[i].name;

        /* Present in b: two different fallbacks would give two answers. */
        if (scr_config_get(b, name, 0) != a->params[i].value ||
            scr_config_get(b, name, 1) != a->params[i].value)
            return false;
    }
    return true;
}

bool scr_list_has(const char *list, const char *name)
{
    size_t n = strlen(name);

    if (list == NULL)
        return true;
    for (const char *s = list; *s != '\0';) {
        size_t len = strcspn(s, ",");

        if (len == n && strncmp(s, name, n) == 0)
            return true;
        s += len + (s[len] == ',');
    }
    return false;
}

static int enumerate_from(const scr_device_info *info, const scr_problem *p,
                          const struct scr_kernel_decl *d, const char *free_params, int index,
                          scr_config *c, scr_config_fn fn, void *user)
{
    const struct scr_tunable *t = &d->tunables[index];
    int status = SCR_OK;
    bool fixed;
    scr_config next;

    if (index == d->n_tunables) {
        next = *c;
        return scr_config_resolve(info, p, &next, NULL, 0) == SCR_OK ? fn(user, &next) : SCR_OK;
    }
    fixed = scr_config_get(c, t->name, INT32_MIN) != INT32_MIN;
    if (fixed || !scr_list_has(free_params, t->name))
        return enumerate_from(info, p, d, free_params, index + 1, c, fn, user);
    for (int i = 0; i < t->n_values && status == SCR_OK; i++) {
        next = *c;
        scr_config_set(&next, t->name, t->values[i]);
        status = enumerate_from(info, p, d, free_params, index + 1, &next, fn, user);
    }
    return status;
}

int scr_config_enumerate(const scr_device_info *info, const scr_problem *p,
                         const scr_config *partial, const char *free_params, scr_config_fn fn,
                         void *user)
{
    scr_config c = *partial;
    scr_config probe = *partial;
    const struct scr_kernel_decl *d;
    int status;

    /* The variant first: the free parameters are the ones it declares. */
    status = scr_config_resolve(info, p, &probe, NULL, 0);
    if (status != SCR_OK)
        return status;
    strcpy(c.variant, probe.variant);
    d = scr_decl_find(info->backend, c.kernel, c.variant);
    return enumerate_from(info, p, d, free_params, 0, &c, fn, user);
}

size_t scr_config_workspace_bytes(const scr_device_info *info, const scr_problem *p,
                                  const scr_config *c)
{
    struct scr_decl_env env;
    scr_config full = *c;
    const struct scr_kernel_decl *d;

    if (scr_config_resolve(info, p, &full, NULL, 0) != SCR_OK)
        return 0;
    d = scr_decl_find(info->backend, full.kernel, full.variant);
    scr_env_init(&env, info, p, full.skip);
    scr_env_set_tunables(&env, d, &full);
    return d->workspace(&env);
}
