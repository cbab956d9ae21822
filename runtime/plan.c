/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: a resolved configuration, its compiled program and its launch geometry. */
#include "backend.h"
#include "config.h"
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scr_plan {
    scr_device *dev;
    scr_problem problem;
    scr_config config;
    struct scr_program *program; /* the device's */
    bool ran;
    scr_buffer *workspace;
    scr_buffer *counters;
    struct scr_run run;
};

static size_t counter_bytes(const scr_problem *p)
{
    return (size_t)p->batch * (size_t)p->heads_q * SCR_COUNTERS * sizeof(uint32_t);
}

int scr_plan_create(scr_device *dev, const scr_problem *p, const scr_config *c, unsigned flags,
                    scr_plan **out)
{
    const char *invalid = "";
    char why[160] = "";
    const struct scr_kernel_decl *decl;
    struct scr_decl_env env;
    struct scr_defines defines;
    scr_plan *plan;
    size_t workspace;
    int status;

    *out = NULL;
    if (scr_problem_validate(p, &invalid) != SCR_OK) {
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s", invalid);
        return SCR_ERR_INVALID;
    }
    plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return SCR_ERR_NO_MEMORY;
    plan->dev = dev;
    plan->problem = *p;
    plan->problem.q_pos0 = scr_problem_q_pos0(p);
    plan->config = *c;
    status = scr_config_resolve(dev->info, p, &plan->config, why, sizeof why);
    if (status != SCR_OK) {
        scr_log(dev->ctx, SCR_LOG_ERROR, "%s", why);
        goto fail;
    }
    decl = scr_decl_find(dev->info->backend, plan->config.kernel, plan->config.variant);
    scr_env_init(&env, dev->info, &plan->problem, plan->config.skip);
    scr_env_set_tunables(&env, decl, &plan->config);
    scr_run_set_launches(&plan->run, decl, &env);
    scr_config_defines(p, &plan->config, flags, &defines);
    status = scr_program_get(dev, decl, defines.list, &plan->program);
    if (status != SCR_OK)
        goto fail;
    workspace = decl->workspace(&env);
    if (workspace != 0) {
        status = scr_buffer_create(dev, workspace, &plan->workspace);
        if (status != SCR_OK)
            goto fail;
    }
    if (flags & SCR_PLAN_COUNT) {
        status = scr_buffer_create(dev, counter_bytes(p), &plan->counters);
        if (status != SCR_OK)
            goto fail;
    }
    if (dev->backend->plan_create != NULL) {
        status = dev->backend->plan_create(plan->program, &plan->run);
        if (status != SCR_OK)
            goto fail;
    }
    plan->run.problem = &plan->problem;
    plan->run.config = &plan->config;
    plan->run.workspace = plan->workspace;
    plan->run.counters = plan->counters;
    plan->run.fault_skip = (flags & SCR_PLAN_FAULT_SKIP) != 0;
    plan->run.shape = (struct scr_shape){
        .batch = p->batch,
        .heads_q = p->heads_q,
        .heads_kv = p->heads_kv,
        .len_q = p->len_q,
        .len_k = p->len_k,
        .q_pos0 = plan->problem.q_pos0,
        .flags = (p->causal ? SCR_SHAPE_CAUSAL : 0) | (p->tanh_norm ? SCR_SHAPE_TANH_NORM : 0) |
                 (p->has_kv_len ? SCR_SHAPE_HAS_KV_LEN : 0),
    };
    *out = plan;
    return SCR_OK;
fail:
    scr_plan_destroy(&plan);
    return status;
}

void scr_plan_destroy(scr_plan **pplan)
{
    scr_plan *plan = *pplan;

    if (plan == NULL)
        return;
    if (plan->run.state != NULL)
        plan->dev->backend->plan_destroy(plan->program, &plan->run);
    scr_buffer_destroy(&plan->workspace);
    scr_buffer_destroy(&plan->counters);
    free(plan);
    *pplan = NULL;
}

const scr_config *scr_plan_config(const scr_plan *plan)
{
    return &plan->config;
}

size_t scr_plan_workspace_bytes(const scr_plan *plan)
{
    return plan->workspace != NULL ? scr_buffer_bytes(plan->workspace) : 0;
}

static bool holds(const scr_plan *plan, const scr_buffer *buf, size_t offset, int64_t rows,
                  int64_t row_bytes)
{
    size_t need = (size_t)rows * (size_t)row_bytes;

    return buf != NULL && buf->dev == plan->dev && offset <= buf->bytes &&
           need <= buf->bytes - offset;
}

static bool args_ok(const scr_plan *plan, const scr_args *a)
{
    const scr_problem *p = &plan->problem;
    int64_t in = (int64_t)scr_dtype_bytes(p->dtype);
    int64_t out = (int64_t)scr_dtype_bytes(p->dtype_out);
    int64_t rows_q = (int64_t)p->batch * p->heads_q * p->len_q;
    int64_t rows_k = (int64_t)p->batch * p->heads_kv * p->len_k;

    return holds(plan, a->q, 0, rows_q, p->dk * in) && holds(plan, a->k, 0, rows_k, p->dk * in) &&
           holds(plan, a->v, 0, rows_k, p->dv * in) && holds(plan, a->r, 0, p->heads_q, 4) &&
           holds(plan, a->w, 0, p->heads_q, 4) && a->o_offset % 16 == 0 &&
           holds(plan, a->o, a->o_offset, rows_q, p->dv * out) &&
           (!p->has_kv_len || holds(plan, a->kv_len, 0, p->batch, 4));
}

static int run_on(scr_plan *plan, const scr_pointers *args, void *queue, double *ns)
{
    struct scr_run run = plan->run;
    int status;

    run.args = args;
    run.queue = queue;
    status = plan->dev->backend->run(plan->program, &run, ns);
    plan->ran = status == SCR_OK;
    /* The plan was accepted, so what a driver refuses now is its own failure. */
    return status == SCR_ERR_UNSUPPORTED ? SCR_ERR_DEVICE : status;
}

static int run_buffers(scr_plan *plan, const scr_args *args, double *ns)
{
    const scr_pointers pointers = {
        .q = scr_buffer_memory(args->q),
        .k = scr_buffer_memory(args->k),
        .v = scr_buffer_memory(args->v),
        .r = scr_buffer_memory(args->r),
        .w = scr_buffer_memory(args->w),
        .kv_len = plan->problem.has_kv_len ? scr_buffer_memory(args->kv_len) : NULL,
        .o = scr_buffer_memory(args->o),
        .o_offset = args->o_offset,
    };
    return run_on(plan, &pointers, NULL, ns);
}

int scr_plan_run(scr_plan *plan, const scr_args *args, double *ns)
{
    return args_ok(plan, args) ? run_buffers(plan, args, ns) : SCR_ERR_INVALID;
}

/* Of a backend whose runs end when they return. */
static int add_up_runs(scr_plan *plan, const scr_args *args, size_t n, double *ns)
{
    int status = SCR_OK;

    *ns = 0;
    for (size_t i = 0; i < n && status == SCR_OK; i++) {
        double one;

        status = run_buffers(plan, &args[i], &one);
        if (status == SCR_OK && one < 0) {
            *ns = one;
            return status;
        }
        *ns += one;
    }
    return status;
}

int scr_plan_run_batch(scr_plan *plan, const scr_args *args, size_t n, double *ns)
{
    const struct scr_backend *backend = plan->dev->backend;
    int status, end;

    if (n == 0)
        return SCR_ERR_INVALID;
    for (size_t i = 0; i < n; i++) {
        if (!args_ok(plan, &args[i]))
            return SCR_ERR_INVALID;
    }
    if (backend->time_begin == NULL)
        return add_up_runs(plan, args, n, ns);
    status = backend->time_begin(plan->program, &plan->run);
    if (status != SCR_OK)
        return status;
    for (size_t i = 0; i < n && status == SCR_OK; i++)
        status = run_buffers(plan, &args[i], NULL);
    end = backend->time_end(plan->program, &plan->run, ns);
    plan->ran = status == SCR_OK && end == SCR_OK;
    return status != SCR_OK ? status : end;
}

static bool aligned(const scr_plan *plan, const void *p)
{
    size_t alignment = plan->dev->backend->alignment;

    return p != NULL && (alignment == 0 || (uintptr_t)p % alignment == 0);
}

int scr_plan_enqueue(scr_plan *plan, const scr_pointers *args, void *queue)
{
    scr_pointers pointers = *args;

    if (!aligned(plan, args->q) || !aligned(plan, args->k) || !aligned(plan, args->v) ||
        !aligned(plan, args->o) || args->o_offset % 16 != 0 || args->r == NULL || args->w == NULL ||
        (plan->problem.has_kv_len && args->kv_len == NULL))
        return SCR_ERR_INVALID;
    if (!plan->problem.has_kv_len)
        pointers.kv_len = NULL;
    return run_on(plan, &pointers, queue, NULL);
}

void scr_plan_get_resources(const scr_plan *plan, scr_resources *out)
{
    memset(out, 0, sizeof *out);
    if (plan->dev->backend->plan_get_resources != NULL)
        plan->dev->backend->plan_get_resources(plan->program, &plan->run, out);
}

int scr_plan_counts(scr_plan *plan, scr_counts *counts)
{
    if (plan->counters == NULL || !plan->ran)
        return SCR_ERR_INVALID;
    return scr_buffer_read(plan->counters, 0, counts, counter_bytes(&plan->problem));
}
