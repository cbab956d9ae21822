/* SPDX-License-Identifier: Apache-2.0 */
#include "space.h"

#include "config.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* How far another variant is, in doublings of a parameter: farther than any of the same. */
enum { OTHER_VARIANT = 512 };

struct builder {
    struct scr_space *space;
    size_t room;
    const struct scr_kernel_decl *decl;
    struct scr_decl_env env;
    struct scr_candidate now;
};

static int push(struct builder *b)
{
    struct scr_space *s = b->space;

    if (s->n == b->room) {
        size_t room = b->room == 0 ? 64 : 2 * b->room;
        struct scr_candidate *grown = realloc(s->candidates, room * sizeof *grown);

        if (grown == NULL)
            return SCR_ERR_NO_MEMORY;
        s->candidates = grown;
        b->room = room;
    }
    s->candidates[s->n++] = b->now;
    return SCR_OK;
}

/* Why scr_decl_fits refuses, or NULL: the counter of that reason. */
static size_t *refusal(struct builder *b)
{
    size_t largest = 0;

    if (!b->decl->valid(&b->env))
        return &b->space->n_constraints;
    for (int i = 0; i < b->decl->n_steps; i++) {
        size_t group[3];

        b->decl->steps[i].group(&b->env, group);
        if (group[0] * group[1] * group[2] > largest)
            largest = group[0] * group[1] * group[2];
    }
    if (largest > (size_t)b->env.MAX_GROUP)
        return &b->space->n_group_size;
    return scr_decl_fits(b->decl, &b->env) ? NULL : &b->space->n_local_memory;
}

static int visit(struct builder *b, int index)
{
    const struct scr_tunable *t = &b->decl->tunables[index];
    int status = SCR_OK;

    if (index == b->decl->n_tunables) {
        size_t *why = refusal(b);

        b->space->n_all++;
        if (why == NULL)
            return push(b);
        (*why)++;
        return SCR_OK;
    }
    for (int i = 0; i < t->n_values && status == SCR_OK; i++) {
        b->env.tunable[index] = t->values[i];
        b->now.config.params[index].value = t->values[i];
        b->now.at[2 + index] = i;
        status = visit(b, index + 1);
    }
    return status;
}

static int add_variant(struct builder *b, const struct scr_kernel_decl *decl, int at, scr_skip skip)
{
    scr_config *c = &b->now.config;

    b->decl = decl;
    b->now = (struct scr_candidate){.config.skip = skip};
    b->now.at[0] = at;
    b->now.at[1] = (int)skip;
    /* Names are bounded by the generator of the declarations. */
    strcpy(c->kernel, decl->kernel);
    strcpy(c->variant, decl->variant);
    for (int i = 0; i < decl->n_tunables; i++) {
        if (scr_config_set(c, decl->tunables[i].name, decl->tunables[i].value_default) != SCR_OK)
            return SCR_ERR_UNSUPPORTED;
    }
    if (decl->n_tunables + 2 > b->space->n_axes)
        b->space->n_axes = decl->n_tunables + 2;
    return visit(b, 0);
}

/* Moves the default to the front; the others keep their order. */
static void default_first(struct scr_space *s, const scr_config *first)
{
    size_t i = 0;
    struct scr_candidate found;

    while (i < s->n && !scr_config_same(&s->candidates[i].config, first))
        i++;
    if (i == s->n)
        return;
    found = s->candidates[i];
    memmove(s->candidates + 1, s->candidates, i * sizeof found);
    s->candidates[0] = found;
}

int scr_space_create(const scr_device_info *info, const scr_problem *p, const char *kernel,
                     scr_skip skip, struct scr_space *out)
{
    struct builder b = {.space = out};
    scr_config first = {.skip = skip};
    int variant = 0;
    int status;

    *out = (struct scr_space){0};
    if (strlen(kernel) >= sizeof first.kernel)
        return SCR_ERR_UNSUPPORTED;
    strcpy(first.kernel, kernel);
    if (scr_config_resolve(info, p, &first, NULL, 0) != SCR_OK)
        return SCR_ERR_UNSUPPORTED;
    scr_env_init(&b.env, info, p, skip);
    for (size_t i = 0; i < scr_kernel_decl_count; i++) {
        const struct scr_kernel_decl *d = &scr_kernel_decls[i];

        if (strcmp(d->backend, info->backend) != 0 || strcmp(d->kernel, kernel) != 0 ||
            !d->supports(&b.env))
            continue;
        status = add_variant(&b, d, variant++, skip);
        if (status != SCR_OK) {
            scr_space_clear(out);
            return status;
        }
    }
    default_first(out, &first);
    return SCR_OK;
}

void scr_space_clear(struct scr_space *s)
{
    free(s->candidates);
    *s = (struct scr_space){0};
}

/* The axis in which two points of a variant differ, -1 none, -2 several; *by: how far. */
static int differ(const struct scr_space *s, size_t i, size_t j, int *by)
{
    int axis = -1;

    for (int a = 0; a < s->n_axes; a++) {
        int d = s->candidates[j].at[a] - s->candidates[i].at[a];

        if (d == 0)
            continue;
        if (axis != -1)
            return -2;
        axis = a;
        *by = d;
    }
    return axis;
}

/* How far apart two configurations of different variants are, in doublings of shared parameters. */
static int apart(const scr_config *a, const scr_config *b)
{
    int sum = 0;

    for (int i = 0; i < a->n_params; i++) {
        int32_t x = a->params[i].value;
        int32_t y = scr_config_get(b, a->params[i].name, INT32_MIN);

        if (y == INT32_MIN)
            continue;
        for (; x > y && x > 0; x /= 2)
            sum++;
        for (; y > x && y > 0; y /= 2)
            sum++;
    }
    return sum;
}

size_t scr_space_nearest(const struct scr_space *s, const scr_config *c)
{
    size_t nearest = 0;
    int least = INT_MAX;

    for (size_t i = 0; i < s->n; i++) {
        const scr_config *other = &s->candidates[i].config;
        int far = apart(c, other) + (strcmp(c->variant, other->variant) != 0 ? OTHER_VARIANT : 0);

        if (far < least) {
            least = far;
            nearest = i;
        }
    }
    return nearest;
}

size_t scr_space_neighbours(const struct scr_space *s, size_t i, size_t *out, size_t room)
{
    /* by axis the nearest below and above; of other variants, which have other axes, the most
     * alike */
    size_t near[SCR_MAX_PARAMS + 2][2];
    int step[SCR_MAX_PARAMS + 2][2] = {{0}};
    const struct scr_candidate *c = &s->candidates[i];
    size_t n = 0;

    for (size_t j = 0; j < s->n; j++) {
        const struct scr_candidate *other = &s->candidates[j];
        int by = 0, axis, side, length;

        if (j == i)
            continue;
        if (other->at[0] != c->at[0]) {
            axis = 0;
            side = other->at[0] > c->at[0];
            length =
                OTHER_VARIANT * abs(other->at[0] - c->at[0]) + apart(&c->config, &other->config);
        } else {
            axis = differ(s, i, j, &by);
            if (axis < 0)
                continue;
            side = by > 0;
            length = abs(by);
        }
        if (step[axis][side] == 0 || length < step[axis][side]) {
            step[axis][side] = length;
            near[axis][side] = j;
        }
    }
    for (int a = 0; a < s->n_axes; a++) {
        for (int side = 0; side < 2; side++) {
            if (step[a][side] != 0 && n < room)
                out[n++] = near[a][side];
        }
    }
    return n;
}
