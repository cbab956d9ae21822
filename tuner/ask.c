/* SPDX-License-Identifier: Apache-2.0 */
/* --lookup: what the tables in force give for a shape, and why. */
#include "tools.h"

#include "../runtime/tables.h"
#include "choice.h"
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
static int hint_of(const struct scr_axes *axes, const struct scr_dataset_spec *spec, scr_hint *hint,
                   char *why, size_t why_size)
{
    int status = scr_choice_hint(spec, hint, why, why_size);

    if (!scr_axes_has(axes, "window") && spec->workload.kind != SCR_WORKLOAD_TRACE)
        hint->window = 0;
    if (!scr_axes_has(axes, "workload"))
        hint->pair_density = 0;
    return status;
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

static int refuse(struct asker *a, const char *why)
{
    fflush(stdout);
    fprintf(stderr, "tuner: --lookup: %s\n", why);
    a->result = SCR_EXIT_USAGE;
    return SCR_ERR_INVALID;
}

/* About the data of a spec, of which p has the kernel. */
static int ask_spec(struct asker *a, const struct scr_point *p, const struct scr_dataset_spec *spec)
{
    const scr_problem *problem = &spec->problem;
    struct scr_dataset_spec settled = *spec;
    scr_hint hint;
    scr_config want;
    scr_choice choice;
    char text[2000], reason[300] = "";
    const char *why = "";
    int status;

    if (scr_problem_validate(problem, &why) != SCR_OK)
        return refuse(a, why);
    if (want_of(p, &want) != SCR_OK)
        return refuse(a, "-a param: too many parameters beside the tile");
    scr_dataset_settle(&settled);
    status = hint_of(a->axes, &settled, &hint, reason, sizeof reason);
    if (status != SCR_OK)
        return refuse(a, status == SCR_ERR_INVALID ? reason : scr_status_text(status));
    print_question(a, problem, &hint, &want);
    a->n_asked++;
    status =
        scr_lookup_for(a->ctx, a->info, problem, &hint, is_wanted(a->axes) ? &want : NULL, &choice);
    if (status != SCR_OK) {
        fflush(stdout);
        scr_config_resolve(a->info, problem, &want, reason, sizeof reason);
        fprintf(stderr, "tuner: --lookup: %s\n",
                reason[0] != '\0' ? reason : scr_status_text(status));
        a->result = SCR_EXIT_SOME_FAILED;
        return status;
    }
    scr_choice_explain(a->ctx, &choice, text, sizeof text);
    printf("%s", text);
    return SCR_OK;
}

/* About one head of a trace. */
static int ask_head(struct asker *a, const struct scr_point *p,
                    const struct scr_dataset_spec *layer, int head)
{
    struct scr_dataset_spec spec = *layer;

    spec.one_head = true;
    spec.trace_head = head;
    spec.problem.heads_q = spec.problem.heads_kv = 1;
    return ask_spec(a, p, &spec);
}

static int ask(void *user, const struct scr_point *p)
{
    struct asker *a = user;
    struct scr_dataset_spec spec = {
        .problem = scr_point_problem(p), .workload = p->workload, .window = p->window, .r = p->r};
    char reason[300] = "";
    int status = SCR_OK;

    if (strcmp(p->kernel, "tile-skip") != 0 && p->skip != SCR_SKIP_NONE &&
        !scr_axes_has(a->axes, "skip"))
        return SCR_OK;
    if (scr_dataset_shape(&p->workload, p->seq, &spec.problem, reason, sizeof reason) != SCR_OK)
        return refuse(a, reason);
    if (p->trace_head == SCR_HEAD_ALL)
        return ask_spec(a, p, &spec);
    if (p->workload.kind != SCR_WORKLOAD_TRACE)
        return refuse(a, "-a trace_head: the workload is not a trace");
    if (p->trace_head != SCR_HEAD_EACH)
        return ask_head(a, p, &spec, p->trace_head);
    for (int head = 0; head < spec.problem.heads_q && status == SCR_OK; head++)
        status = ask_head(a, p, &spec, head);
    return status;
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
