/* SPDX-License-Identifier: Apache-2.0 */
/* Plans and their runs. */
#include "cuda_backend.h"
#include "program.h"

#include <stdlib.h>

/* struct scr_run's state. */
struct cuda_plan {
    scr_cu_event start, end;
};

static int function_number(const scr_device *dev, scr_cu_function function, int what)
{
    int value = 0;

    return CHECK(dev, cuFuncGetAttribute, &value, what, function) == SCR_OK ? value : 0;
}

/* Bytes of shared memory of a block: the kernel's own and those of the launch. */
static size_t shared_bytes(const scr_device *dev, const struct module *m,
                           const struct scr_launch *l)
{
    int own = function_number(dev, m->functions[l->step], SCR_CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);

    return (size_t)own + l->local_bytes;
}

/* The most threads that a block of a launch's kernel can have. */
static int max_group(const scr_device *dev, const struct module *m, const struct scr_launch *l)
{
    return function_number(dev, m->functions[l->step], SCR_CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
}

static int check_launches(const struct scr_program *prog, const struct scr_run *run)
{
    const scr_device *dev = prog->dev;
    const struct module *m = prog->impl;
    int status = SCR_OK;

    for (int i = 0; i < run->n_launches && status == SCR_OK; i++) {
        const struct scr_launch *l = &run->launches[i];

        status = scr_launch_check(prog, l, max_group(dev, m, l), shared_bytes(dev, m, l));
    }
    return status;
}

/* Asks for the dynamic shared memory of each launch, so that launching need not. */
static int raise_shared_limits(struct scr_program *prog, const struct scr_run *run)
{
    scr_device *dev = prog->dev;
    struct module *m = prog->impl;
    int status = SCR_OK;

    pthread_mutex_lock(&dev->mutex);
    for (int i = 0; status == SCR_OK && i < run->n_launches; i++) {
        const struct scr_launch *l = &run->launches[i];

        /* Only ever more: another plan of this program may need what it has asked for. */
        if (l->local_bytes <= m->shared_limit[l->step])
            continue;
        status = CHECK(dev, cuFuncSetAttribute, m->functions[l->step],
                       SCR_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)l->local_bytes);
        if (status == SCR_OK)
            m->shared_limit[l->step] = l->local_bytes;
    }
    pthread_mutex_unlock(&dev->mutex);
    return status;
}

/* The context is current. */
static void destroy_events(scr_device *dev, struct cuda_plan *plan)
{
    if (plan->start != NULL)
        CHECK(dev, cuEventDestroy, plan->start);
    if (plan->end != NULL)
        CHECK(dev, cuEventDestroy, plan->end);
}

int scr_cuda_plan_create(struct scr_program *prog, struct scr_run *run)
{
    scr_device *dev = prog->dev;
    struct cuda_plan *plan = calloc(1, sizeof *plan);
    int status;

    if (plan == NULL)
        return SCR_ERR_NO_MEMORY;
    status = scr_cuda_enter(dev);
    if (status != SCR_OK)
        goto fail;
    status = check_launches(prog, run);
    if (status == SCR_OK)
        status = raise_shared_limits(prog, run);
    if (status == SCR_OK)
        status = CHECK(dev, cuEventCreate, &plan->start, SCR_CU_EVENT_DEFAULT);
    if (status == SCR_OK)
        status = CHECK(dev, cuEventCreate, &plan->end, SCR_CU_EVENT_DEFAULT);
    if (status != SCR_OK)
        destroy_events(dev, plan);
    scr_cuda_leave(dev);
    if (status != SCR_OK)
        goto fail;
    run->state = plan;
    return SCR_OK;
fail:
    free(plan);
    return status;
}

void scr_cuda_plan_destroy(struct scr_program *prog, struct scr_run *run)
{
    if (scr_cuda_enter(prog->dev) == SCR_OK) {
        destroy_events(prog->dev, run->state);
        scr_cuda_leave(prog->dev);
    }
    free(run->state);
    run->state = NULL;
}

void scr_cuda_plan_get_resources(struct scr_program *prog, const struct scr_run *run,
                                 scr_resources *out)
{
    const scr_device *dev = prog->dev;
    const struct module *m = prog->impl;

    if (scr_cuda_enter(dev) != SCR_OK)
        return;
    for (int i = 0; i < run->n_launches; i++) {
        const struct scr_launch *l = &run->launches[i];
        scr_cu_function f = m->functions[l->step];

        scr_resources_add(out, function_number(dev, f, SCR_CU_FUNC_ATTRIBUTE_NUM_REGS),
                          function_number(dev, f, SCR_CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES), l,
                          max_group(dev, m, l), shared_bytes(dev, m, l));
    }
    scr_cuda_leave(dev);
}

static int launch(scr_device *dev, const struct module *m, const struct scr_launch *l,
                  scr_cu_stream stream, void **parameters)
{
    return CHECK(dev, cuLaunchKernel, m->functions[l->step], (unsigned)l->groups[0],
                 (unsigned)l->groups[1], (unsigned)l->groups[2], (unsigned)l->group[0],
                 (unsigned)l->group[1], (unsigned)l->group[2], (unsigned)l->local_bytes, stream,
                 parameters, NULL);
}

static scr_cu_pointer address_of(const void *p)
{
    return (scr_cu_pointer)(uintptr_t)p;
}

/* Rows [batch x heads][length] of one tensor, as struct scr_tensor_map has it. */
static int make_tensor_map(scr_device *dev, const struct scr_run *run,
                           const struct scr_run_map *want, scr_cu_tensor_map *out)
{
    static const uint32_t dense[] = {1, 1, 1};
    const scr_problem *p = run->problem;
    const bool is_q = want->tensor == 'q';
    const void *address = is_q ? run->args->q : want->tensor == 'k' ? run->args->k : run->args->v;
    const uint64_t width = (uint64_t)(want->tensor == 'v' ? p->dv : p->dk);
    const uint64_t bytes = width * scr_dtype_bytes(p->dtype);
    const uint64_t lengths[] = {width, (uint64_t)(is_q ? p->len_q : p->len_k),
                                (uint64_t)p->batch * (uint64_t)(is_q ? p->heads_q : p->heads_kv)};
    const uint64_t strides[] = {bytes, bytes * lengths[1]};
    const uint32_t box[] = {width < 64 ? (uint32_t)width : 64, (uint32_t)want->box_rows, 1};
    const int swizzle = bytes >= 128  ? SCR_CU_TENSOR_MAP_SWIZZLE_128B
                        : bytes == 64 ? SCR_CU_TENSOR_MAP_SWIZZLE_64B
                                      : SCR_CU_TENSOR_MAP_SWIZZLE_32B;

    return CHECK(dev, cuTensorMapEncodeTiled, out, SCR_CU_TENSOR_MAP_DATA_TYPE_UINT16, 3,
                 (void *)(uintptr_t)address, lengths, strides, box, dense,
                 SCR_CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, SCR_CU_TENSOR_MAP_L2_PROMOTION_256B,
                 SCR_CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

/* Zeroes the counters and enqueues the steps; the context is current. */
static int enqueue_all(struct scr_program *prog, const struct scr_run *run, scr_cu_stream stream,
                       scr_cu_tensor_map *maps)
{
    scr_device *dev = prog->dev;
    const scr_pointers *args = run->args;
    scr_cu_pointer q = address_of(args->q), k = address_of(args->k), v = address_of(args->v);
    scr_cu_pointer r = address_of(args->r), w = address_of(args->w);
    scr_cu_pointer kv_len = address_of(args->kv_len);
    scr_cu_pointer o = address_of(args->o) + args->o_offset;
    scr_cu_pointer workspace = address_of(scr_buffer_memory(run->workspace));
    scr_cu_pointer counters = address_of(scr_buffer_memory(run->counters));
    struct scr_shape shape = run->shape;
    /* A function takes as many as it has parameters. */
    void *parameters[] = {&q,         &k,        &v,     &r,       &w,       &kv_len,  &o,
                          &workspace, &counters, &shape, &maps[0], &maps[1], &maps[2], &maps[3]};
    int status = SCR_OK;

    if (run->counters != NULL)
        status = CHECK(dev, cuMemsetD8Async, counters, 0, run->counters->bytes, stream);
    for (int i = 0; status == SCR_OK && i < run->n_launches; i++)
        status = launch(dev, prog->impl, &run->launches[i], stream, parameters);
    return status;
}

/* From plan->start to all that was enqueued since; waits. The context is current. */
static int read_time(scr_device *dev, const struct cuda_plan *plan, scr_cu_stream stream,
                     double *ns)
{
    float milliseconds = 0.0f;
    int status = CHECK(dev, cuEventRecord, plan->end, stream);

    if (status == SCR_OK)
        status = CHECK(dev, cuEventSynchronize, plan->end);
    if (status == SCR_OK)
        status = CHECK(dev, cuEventElapsedTime, &milliseconds, plan->start, plan->end);
    *ns = (double)milliseconds * 1e6;
    return status;
}

int scr_cuda_time_begin(struct scr_program *prog, const struct scr_run *run)
{
    scr_device *dev = prog->dev;
    const struct cuda_plan *plan = run->state;
    int status = scr_cuda_enter(dev);

    if (status != SCR_OK)
        return status;
    status = CHECK(dev, cuEventRecord, plan->start, ((const struct gpu *)dev->impl)->stream);
    scr_cuda_leave(dev);
    return status;
}

int scr_cuda_time_end(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    scr_device *dev = prog->dev;
    int status = scr_cuda_enter(dev);

    if (status != SCR_OK)
        return status;
    status = read_time(dev, run->state, ((const struct gpu *)dev->impl)->stream, ns);
    scr_cuda_leave(dev);
    return status;
}

int scr_cuda_run(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    scr_device *dev = prog->dev;
    const struct gpu *gpu = dev->impl;
    const struct cuda_plan *plan = run->state;
    scr_cu_stream stream = run->queue != NULL ? run->queue : gpu->stream;
    scr_cu_tensor_map maps[SCR_MAX_TENSOR_MAPS];
    int status = scr_cuda_enter(dev);

    if (status != SCR_OK)
        return status;
    /* The device must not wait for the host between the events. */
    for (int i = 0; status == SCR_OK && i < run->n_maps; i++)
        status = make_tensor_map(dev, run, &run->maps[i], &maps[i]);
    if (status == SCR_OK && ns != NULL)
        status = CHECK(dev, cuEventRecord, plan->start, stream);
    if (status == SCR_OK)
        status = enqueue_all(prog, run, stream, maps);
    if (status == SCR_OK && run->counters != NULL && stream != gpu->stream)
        status = CHECK(dev, cuStreamSynchronize, stream);
    if (ns != NULL && status == SCR_OK)
        status = read_time(dev, plan, stream, ns);
    scr_cuda_leave(dev);
    return status;
}
