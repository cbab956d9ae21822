/* SPDX-License-Identifier: Apache-2.0 */
/* --lookup: what the tables in force give for a shape, and why. */
#include "tools.h"

#include "../runtime/tables.h"
#include "devices.h"
#include "sweep.h" /* exit statuses */
#include "text.h"
#include "workload.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct asker {
    const struct scr_axes *axes;
    const scr_context *ctx;
    const scr_device_info *info;
    size_t n_asked;
    int result;
};

/* Of what is given, what a program that calls the library would know. */
static scr_hint hint_of(const struct scr_axes *axes, const struct scr_point *p,
                        const scr_problem *problem)
{
    const struct scr_workload *w = &p->workload;
    scr_hint hint = {0};
    double sum = 0;

    if (scr_axes_has(axes, "window") && p->window.kind == SCR_WINDOW_INF)
        hint.window = INFINITY;
    else if (scr_axes_has(axes, "window") && p->window.kind == SCR_WINDOW_VALUE)
        hint.window = fmin(p->window.value, problem->len_k);
    if (scr_axes_has(axes, "window") && p->window.kind == SCR_WINDOW_INIT) {
        for (int h = 0; h < problem->heads_q; h++)
            sum += fmin(scr_window_init(h, problem->heads_q), problem->len_k);
        hint.window = sum / problem->heads_q;
    }
    if (scr_axes_has(axes, "workload") && scr_workload_is_planted(w))
        hint.pair_density = w->density;
    else if (scr_axes_has(axes, "workload") && w->kind == SCR_WORKLOAD_ENDS)
        hint.pair_density = w->density > 0 ? 1 : 1e-9;
    else if (scr_axes_has(axes, "workload") && w->kind == SCR_WORKLOAD_WINDOW)
        hint.pair_density = 1;
    return hint;
}

/* Where something of the configuration is given. */
static bool is_wanted(const struct scr_axes *axes)
{
    return scr_axes_has(axes, "kernel") || scr_axes_has(axes, "skip") ||
           scr_axes_has(axes, "variant") || scr_axes_has(axes, "tile") ||
           scr_axes_has(axes, "param");
}

static int want_of(const struct scr_point *p, scr_config *want)
{
    *want = (scr_config){.skip = p->skip, .n_params = p->n_params};
    snprintf(want->kernel, sizeof want->kernel, "%s", p->kernel);
    snprintf(want->variant, sizeof want->variant, "%s", p->variant);
    memcpy(want->params, p->params, sizeof want->params);
    if (strcmp(p->kernel, "tile-skip") != 0)
        want->skip = SCR_SKIP_NONE;
    if (p->tile_q > 0 && (scr_config_set(want, "TILE_Q", p->tile_q) != SCR_OK ||
                          scr_config_set(want, "TILE_K", p->tile_k) != SCR_OK))
        return SCR_ERR_INVALID;
    return SCR_OK;
}

static void format_known(const char *name, double x, char *out, size_t size)
{
    if (x == 0)
        scr_append(out, size, " %s=?", name);
    else if (isinf(x))
        scr_append(out, size, " %s=inf", name);
    else
        scr_append(out, size, " %s=%.4g", name, x);
}

static void print_question(const struct asker *a, const scr_problem *p, const scr_hint *hint,
                           const scr_config *want)
{
    char hints[120] = "";

    format_known("window", hint->window, hints, sizeof hints);
    format_known("density", hint->pair_density, hints, sizeof hints);
    if (is_wanted(a->axes))
        scr_append(hints, sizeof hints, ", %s%s%s", want->kernel,
                   want->skip != SCR_SKIP_NONE ? " skip=" : "",
                   want->skip != SCR_SKIP_NONE ? scr_skip_name(want->skip) : "");
    printf("%s%s: %s dk=%d dv=%d causal=%d q=%d k=%d heads=%d%s\n", a->n_asked > 0 ? "\n" : "",
           a->info->id[0] != '\0' ? a->info->id : a->info->name, scr_dtype_name(p->dtype),
           (int)p->dk, (int)p->dv, p->causal, (int)p->len_q, (int)p->len_k,
           (int)(p->batch * p->heads_q), hints);
}

static int ask(void *user, const struct scr_point *p)
{
    struct asker *a = user;
    scr_problem problem = scr_point_problem(p);
    scr_hint hint;
    scr_config want;
    scr_choice choice;
    char text[2000], reason[300] = "";
    const char *why = "";
    int status;

    if (strcmp(p->kernel, "tile-skip") != 0 && p->skip != SCR_SKIP_NONE &&
        !scr_axes_has(a->axes, "skip"))
        return SCR_OK;
    a->result = SCR_EXIT_USAGE;
    if (p->workload.kind == SCR_WORKLOAD_TRACE &&
        scr_dataset_shape(&p->workload, p->seq, &problem, reason, sizeof reason) != SCR_OK) {
        fprintf(stderr, "tuner: --lookup: %s\n", reason);
        return SCR_ERR_INVALID;
    }
    if (scr_problem_validate(&problem, &why) != SCR_OK) {
        fprintf(stderr, "tuner: --lookup: %s\n", why);
        return SCR_ERR_INVALID;
    }
    if (want_of(p, &want) != SCR_OK) {
        fprintf(stderr, "tuner: --lookup: -a param: too many parameters beside the tile\n");
        return SCR_ERR_INVALID;
    }
    a->result = SCR_EXIT_FINE;
    hint = hint_of(a->axes, p, &problem);
    print_question(a, &problem, &hint, &want);
    a->n_asked++;
    status = scr_lookup_for(a->ctx, a->info, &problem, &hint, is_wanted(a->axes) ? &want : NULL,
                            &choice);
    if (status != SCR_OK) {
        fflush(stdout);
        scr_config_resolve(a->info, &problem, &want, reason, sizeof reason);
        fprintf(stderr, "tuner: --lookup: %s\n",
                reason[0] != '\0' ? reason : scr_status_text(status));
        a->result = SCR_EXIT_SOME_FAILED;
        return status;
    }
    scr_choice_explain(a->ctx, &choice, text, sizeof text);
    printf("%s", text);
    return SCR_OK;
}

/* Shared memory that a block may have, by compute capability. */
static size_t cuda_local_mem(int sm)
{
    return sm >= 90               ? (size_t)227 << 10
           : sm == 80 || sm == 87 ? (size_t)163 << 10
           : sm >= 86             ? (size_t)99 << 10
           : sm == 75             ? (size_t)64 << 10
                                  : (size_t)48 << 10;
}

/*
 * A device that is in a table but not here, by its name. Tables have no limits: those that devices
 * of the kind commonly have are taken.
 */
static bool find_in_tables(const struct scr_table *t, const char *name, scr_device_info *out)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct scr_table_entry *e = &t->entries[i];

        if (strcmp(e->name, name) != 0)
            continue;
        *out = (scr_device_info){
            .is_cpu = e->is_cpu,
            .has_fp16 = true,
            .has_subgroups = true,
            .compute_units = e->units,
            .max_group_size = 1024,
            .global_mem = (size_t)8 << 30,
            .max_alloc = (size_t)4 << 30,
            .local_mem = (size_t)48 << 10,
        };
        snprintf(out->backend, sizeof out->backend, "%s", e->backend);
        snprintf(out->name, sizeof out->name, "%s", e->name);
        snprintf(out->vendor, sizeof out->vendor, "%s", e->vendor);
        snprintf(out->arch, sizeof out->arch, "%s", e->arch);
        if (sscanf(e->arch, "sm_%d", &out->sm) == 1 && strcmp(e->backend, "cuda") == 0) {
            out->local_mem = cuda_local_mem(out->sm);
            out->has_warpgroups = out->sm == 90;
        }
        return true;
    }
    return false;
}

/* Where no kernel is named one question is asked, not one a kernel and skip. */
static int ask_about(struct asker *a)
{
    struct scr_axes axes = {0};
    char why[200];
    int status = scr_axes_override(&axes, a->axes);

    if (status == SCR_OK && !scr_axes_has(&axes, "kernel"))
        status = scr_axes_set(&axes, "kernel=tile-skip", why, sizeof why);
    if (status == SCR_OK && !scr_axes_has(&axes, "skip") && !is_wanted(a->axes))
        status = scr_axes_set(&axes, "skip=tile", why, sizeof why);
    if (status == SCR_OK)
        scr_axes_for_each(&axes, ask, a);
    else
        a->result = SCR_EXIT_SOME_FAILED;
    scr_axes_clear(&axes);
    return a->result;
}

int scr_ask_run(const struct scr_tuner_options *o)
{
    struct scr_devices devices;
    scr_context *tables = NULL;
    struct asker a = {.axes = &o->axes, .result = SCR_EXIT_FINE};
    scr_device_info named;
    char why[600];
    int status = scr_devices_load(&devices, NULL, NULL);
    int result = SCR_EXIT_SOME_FAILED;

    if (status == SCR_OK)
        status = scr_tuner_open_tables(&tables);
    a.ctx = tables;
    if (status != SCR_OK) {
        fprintf(stderr, "tuner: --lookup: %s\n", scr_status_text(status));
    } else if (scr_devices_choose(&devices, o->device, false, why, sizeof why) == SCR_OK) {
        result = SCR_EXIT_FINE;
        for (size_t i = 0; i < devices.n && result == SCR_EXIT_FINE; i++) {
            a.info = devices.info[i];
            result = ask_about(&a);
        }
    } else if (o->device != NULL &&
               find_in_tables(&scr_context_tables(tables)->all, o->device, &named)) {
        a.info = &named;
        result = ask_about(&a);
        if (result == SCR_EXIT_FINE)
            printf("the device is not here: its limits are taken to be common ones\n");
    } else {
        fprintf(stderr, "tuner: %s; no table names it either\n", why);
        result = SCR_EXIT_NO_DEVICE;
    }
    scr_context_destroy(&tables);
    scr_devices_clear(&devices);
    return result;
}
