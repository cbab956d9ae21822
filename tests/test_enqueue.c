/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs on the caller's own memory and queues, and runs in batches, give what scr_plan_run gives,
 * bit for bit. Argument: the backend, whose driver is opened here a second time, as the caller's.
 */
#include "expect.h"
#include "plan_fixture.h"

#include "cuda_api.h"
#include "program.h"
#include "scr_features.h"
#if SCR_HAVE_OPENCL
#include "opencl_backend.h"
#endif
#include "tables.h"

#include <dlfcn.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

static const scr_problem problem = {.batch = 2,
                                    .heads_q = 2,
                                    .heads_kv = 1,
                                    .len_q = 35,
                                    .len_k = 67,
                                    .dk = 32,
                                    .dv = 16,
                                    .q_pos0 = SCR_Q_POS0_DEFAULT,
                                    .causal = true,
                                    .has_kv_len = true};

/* One of several launches with a workspace, which counts nothing, and one of a single launch. */
static const scr_config configs[] = {{.kernel = "dense"},
                                     {.kernel = "tile-skip", .skip = SCR_SKIP_TILE}};
enum { N_CONFIGS = sizeof configs / sizeof configs[0], OFFSET = 64 };

struct rig {
    scr_context *ctx;
    scr_device *dev;
    struct plan_fixture f;
    float *want[N_CONFIGS], *got; /* of f.n_o elements */
    size_t bytes;                 /* of an output */
};

/* The caller's memory: of o, bytes + OFFSET. */
struct memory {
    scr_pointers at;
    void (*poison)(struct memory *m, size_t bytes);
    void (*read)(struct memory *m, float *o, size_t offset, size_t bytes); /* waits */
    void *queue;
};

static void refuses(scr_plan *plan, const struct memory *m)
{
    scr_pointers a;

#define REFUSED(change)                                                                            \
    a = m->at;                                                                                     \
    change;                                                                                        \
    EXPECT(scr_plan_enqueue(plan, &a, m->queue) == SCR_ERR_INVALID)
    REFUSED(a.q = NULL);
    REFUSED(a.k = NULL);
    REFUSED(a.v = NULL);
    REFUSED(a.r = NULL);
    REFUSED(a.w = NULL);
    REFUSED(a.o = NULL);
    REFUSED(a.kv_len = NULL);
    REFUSED(a.o_offset = 8);
#undef REFUSED
}

static double clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A batch runs on each of its arguments, and its time is that of all. */
static void batches(struct rig *rig)
{
    enum { N_ARGS = 3, N = 30 };
    scr_args own[N_ARGS], args[N];

    for (int a = 0; a < N_ARGS; a++)
        EXPECT(plan_fixture_make_args(&rig->f, rig->dev, &own[a]) == SCR_OK);
    for (int i = 0; i < N; i++)
        args[i] = own[i % N_ARGS];
    for (int i = 0; i < N_CONFIGS && n_failed == 0; i++) {
        double all = 0;
        scr_plan *plan = NULL;
        bool same = false;
        uint32_t word;

        EXPECT(scr_plan_create(rig->dev, &problem, &configs[i], 0, &plan) == SCR_OK);
        for (int a = 0; a < N_ARGS; a++)
            EXPECT(scr_buffer_fill(own[a].o, 0, 0xff, rig->bytes) == SCR_OK);
        EXPECT(scr_plan_run_batch(plan, args, 0, &all) == SCR_ERR_INVALID);
        args[N - 1].o = NULL;
        EXPECT(scr_plan_run_batch(plan, args, N, &all) == SCR_ERR_INVALID);
        args[N - 1].o = own[(N - 1) % N_ARGS].o;
        EXPECT(scr_buffer_read(own[0].o, 0, &word, sizeof word) == SCR_OK && word == UINT32_MAX);
        /* Host and device mean the same runs; what wakes the host up late does not do so always. */
        for (int again = 0; again < 50 && !same; again++) {
            double took = clock_ns();

            EXPECT(scr_plan_run_batch(plan, args, N, &all) == SCR_OK);
            took = clock_ns() - took;
            EXPECT(all > 0 && all <= 1.02 * took);
            same = all > 0.5 * took;
        }
        EXPECT(same);
        for (int a = 0; a < N_ARGS; a++) {
            EXPECT(scr_buffer_read(own[a].o, 0, rig->got, rig->bytes) == SCR_OK);
            EXPECT(memcmp(rig->got, rig->want[i], rig->bytes) == 0);
        }
        EXPECT(scr_plan_run_batch(plan, args, 1, &all) == SCR_OK && all > 0);
        scr_plan_destroy(&plan);
    }
    for (int a = 0; a < N_ARGS; a++)
        plan_fixture_drop_args(&own[a]);
}

/* Every configuration, at both offsets, also with counters. */
static void same_bits(struct rig *rig, scr_device *dev, struct memory *m)
{
    for (int i = 0; i < N_CONFIGS; i++) {
        for (int counting = 0; counting < 2; counting++) {
            scr_counts counts[4], counts_again[4];
            scr_resources r;
            scr_plan *plan = NULL;
            int status =
                scr_plan_create(dev, &problem, &configs[i], counting ? SCR_PLAN_COUNT : 0, &plan);

            EXPECT(status == SCR_OK);
            if (status != SCR_OK)
                return;
            refuses(plan, m);
            for (size_t offset = 0; offset <= OFFSET; offset += OFFSET) {
                m->at.o_offset = offset;
                m->poison(m, rig->bytes + OFFSET);
                EXPECT(scr_plan_enqueue(plan, &m->at, m->queue) == SCR_OK);
                m->read(m, rig->got, offset, rig->bytes);
                EXPECT(memcmp(rig->got, rig->want[i], rig->bytes) == 0);
            }
            m->at.o_offset = 0;
            if (counting) {
                EXPECT(scr_plan_counts(plan, counts) == SCR_OK);
                EXPECT((counts[0].qk > 0) == (i == 1) && counts[0].pv <= counts[0].qk);
                /* They are those of one run, not of all so far. */
                EXPECT(scr_plan_enqueue(plan, &m->at, m->queue) == SCR_OK);
                EXPECT(scr_plan_counts(plan, counts_again) == SCR_OK);
                EXPECT(memcmp(counts, counts_again, sizeof counts) == 0);
            }
            scr_plan_get_resources(plan, &r);
            EXPECT(r.registers >= 0 && r.spill_bytes >= 0);
            EXPECT(r.local_bytes <= scr_device_get_info(dev)->local_mem);
            EXPECT(r.max_group == 0 || (r.group_size >= 1 && r.group_size <= r.max_group));
            scr_plan_destroy(&plan);
        }
    }
}

static void host_poison(struct memory *m, size_t bytes)
{
    memset(m->at.o, 0xff, bytes);
}

static void host_read(struct memory *m, float *o, size_t offset, size_t bytes)
{
    memcpy(o, (const char *)m->at.o + offset, bytes);
}

static void no_groups(const struct scr_decl_env *env, size_t out[3])
{
    (void)env;
    out[0] = 4;
    out[1] = 0;
    out[2] = 1;
}

static void some_groups(const struct scr_decl_env *env, size_t out[3])
{
    (void)env;
    out[0] = 4;
    out[1] = out[2] = 2;
}

static size_t some_bytes(const struct scr_decl_env *env)
{
    (void)env;
    return 64;
}

/* Steps without a work-group are not launched; the others keep their index. */
static void empty_steps(void)
{
    const struct scr_kernel_decl decl = {.n_steps = 4,
                                         .steps = {{"a", no_groups, some_groups, some_bytes},
                                                   {"b", some_groups, some_groups, some_bytes},
                                                   {"c", no_groups, some_groups, some_bytes},
                                                   {"d", some_groups, some_groups, some_bytes}}};
    const struct scr_decl_env env = {0};
    struct scr_run run = {.n_launches = 7};

    scr_run_set_launches(&run, &decl, &env);
    EXPECT(run.n_launches == 2);
    EXPECT(run.launches[0].step == 1 && run.launches[1].step == 3);
    EXPECT(run.launches[1].groups[0] == 4 && run.launches[1].groups[1] == 2);
    EXPECT(run.launches[1].local_bytes == 64);
}

static int test_ref(struct rig *rig)
{
    const struct plan_fixture *f = &rig->f;
    const scr_native none = {0};
    scr_problem whole = problem;
    scr_device *dev = rig->dev;
    scr_plan *plan = NULL;
    scr_resources r;
    float *o = malloc(rig->bytes + OFFSET);
    struct memory m = {
        .at = {.q = f->q, .k = f->k, .v = f->v, .r = f->r, .w = f->w, .kv_len = f->kv_len, .o = o},
        .poison = host_poison,
        .read = host_read,
    };

    EXPECT(o != NULL);
    empty_steps();
    same_bits(rig, dev, &m);
    /* Without kv_len in the problem the pointer is not followed. */
    whole.has_kv_len = false;
    EXPECT(scr_plan_create(dev, &whole, &configs[1], 0, &plan) == SCR_OK);
    m.at.kv_len = (const void *)16;
    EXPECT(scr_plan_enqueue(plan, &m.at, NULL) == SCR_OK);
    scr_plan_get_resources(plan, &r);
    EXPECT(r.registers == 0 && r.group_size == 0 && r.max_group == 0 && r.local_bytes == 0);
    scr_plan_destroy(&plan);
    EXPECT(scr_device_attach(rig->ctx, "ref:0", &none, &dev) == SCR_ERR_UNSUPPORTED);
    EXPECT(dev == NULL);
    EXPECT(scr_device_attach(rig->ctx, "ref:1", &none, &dev) == SCR_ERR_NOT_FOUND);
    EXPECT(scr_device_attach(rig->ctx, "cuda", &none, &dev) == SCR_ERR_NOT_FOUND);
    free(o);
    return 0;
}

#if SCR_HAVE_OPENCL
static struct opencl_api cl;
static __typeof__(clGetKernelWorkGroupInfo) *real_group_info;

/* Beyond what the library uses. */
static __typeof__(clCreateSubDevices) *create_sub_devices;

static bool load_opencl(void)
{
    void *loader = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

    if (loader == NULL)
        return false;
#define LOAD(name)                                                                                 \
    cl.name = (__typeof__(cl.name))dlsym(loader, "cl" #name);                                      \
    if (cl.name == NULL)                                                                           \
        return false;
    OPENCL_FUNCTIONS(LOAD)
#undef LOAD
    create_sub_devices = (__typeof__(create_sub_devices))dlsym(loader, "clCreateSubDevices");
    return create_sub_devices != NULL;
}

/* The device of "opencl:P.D". */
static cl_device_id find_device(const char *id)
{
    cl_platform_id platforms[16];
    cl_device_id devices[16];
    cl_uint n_platforms = 0, n_devices = 0;
    unsigned p = 0, d = 0;

    if (sscanf(id, "opencl:%u.%u", &p, &d) != 2 ||
        cl.GetPlatformIDs(16, platforms, &n_platforms) != CL_SUCCESS || p >= n_platforms ||
        cl.GetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, 16, devices, &n_devices) != CL_SUCCESS ||
        d >= n_devices)
        return NULL;
    return devices[d];
}

static void cl_poison(struct memory *m, size_t bytes)
{
    const cl_uint ones = 0xffffffffu;

    EXPECT(cl.EnqueueFillBuffer(m->queue, m->at.o, &ones, sizeof ones, 0, bytes, 0, NULL, NULL) ==
           CL_SUCCESS);
}

static void cl_read(struct memory *m, float *o, size_t offset, size_t bytes)
{
    EXPECT(cl.EnqueueReadBuffer(m->queue, m->at.o, CL_TRUE, offset, bytes, o, 0, NULL, NULL) ==
           CL_SUCCESS);
}

static cl_mem cl_upload(cl_context context, const void *data, size_t n)
{
    cl_int error;
    cl_mem mem = cl.CreateBuffer(context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, n * 4,
                                 (void *)data, &error);

    EXPECT(mem != NULL);
    return mem;
}

static cl_uint references(cl_command_queue queue)
{
    cl_uint n = 0;

    EXPECT(cl.GetCommandQueueInfo(queue, CL_QUEUE_REFERENCE_COUNT, sizeof n, &n, NULL) ==
           CL_SUCCESS);
    return n;
}

/* A driver's threads may hold a queue for a moment after its last command has ended. */
static bool is_sole_reference(cl_command_queue queue)
{
    for (int tries = 0; tries < 1000 && references(queue) != 1; tries++)
        usleep(1000);
    return references(queue) == 1;
}

/* What the caller of OpenCL has, on a device. */
struct cl_caller {
    cl_device_id device;
    cl_context context;
    cl_command_queue queue, second, unordered; /* the last may be NULL */
    struct memory m;
};

static void cl_caller_make(struct cl_caller *c, const struct rig *rig, cl_device_id device)
{
    const struct plan_fixture *f = &rig->f;
    cl_int error;

    memset(c, 0, sizeof *c);
    c->device = device;
    c->context = cl.CreateContext(NULL, 1, &c->device, NULL, NULL, &error);
    EXPECT(c->context != NULL);
    c->queue = cl.CreateCommandQueue(c->context, device, 0, &error);
    c->second = cl.CreateCommandQueue(c->context, device, CL_QUEUE_PROFILING_ENABLE, &error);
    c->unordered =
        cl.CreateCommandQueue(c->context, device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &error);
    EXPECT(c->queue != NULL && c->second != NULL);
    c->m.at.q = cl_upload(c->context, f->q, f->n_q);
    c->m.at.k = cl_upload(c->context, f->k, f->n_k);
    c->m.at.v = cl_upload(c->context, f->v, f->n_v);
    c->m.at.r = cl_upload(c->context, f->r, (size_t)problem.heads_q);
    c->m.at.w = cl_upload(c->context, f->w, (size_t)problem.heads_q);
    c->m.at.kv_len = cl_upload(c->context, f->kv_len, (size_t)problem.batch);
    c->m.at.o = cl.CreateBuffer(c->context, CL_MEM_READ_WRITE, rig->bytes + OFFSET, NULL, &error);
    EXPECT(c->m.at.o != NULL);
    c->m.poison = cl_poison;
    c->m.read = cl_read;
    c->m.queue = c->queue;
}

static void cl_caller_drop(struct cl_caller *c)
{
    const void *memory[] = {c->m.at.q, c->m.at.k,      c->m.at.v, c->m.at.r,
                            c->m.at.w, c->m.at.kv_len, c->m.at.o};

    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        cl.ReleaseMemObject((cl_mem)memory[i]);
    EXPECT(is_sole_reference(c->queue));
    cl.ReleaseCommandQueue(c->queue);
    cl.ReleaseCommandQueue(c->second);
    if (c->unordered != NULL)
        cl.ReleaseCommandQueue(c->unordered);
    cl.ReleaseContext(c->context);
}

/* Objects that do not belong together, or are not enough. */
static void refuses_natives(struct rig *rig, const struct cl_caller *c)
{
    const char *id = scr_device_get_info(rig->dev)->id;
    cl_int error;
    cl_context other = cl.CreateContext(NULL, 1, &c->device, NULL, NULL, &error);
    const scr_native bad[] = {
        {0},
        {.context = c->context},
        {.device = c->device},
        {.context = other, .device = c->device, .queue = c->queue},
        {.context = c->context, .device = c->device, .queue = c->unordered},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        scr_device *dev = NULL;

        if (i == 4 && c->unordered == NULL)
            continue;
        EXPECT(scr_device_attach(rig->ctx, id, &bad[i], &dev) == SCR_ERR_INVALID);
        EXPECT(dev == NULL);
        EXPECT(scr_device_attach(rig->ctx, "opencl", &bad[i], &dev) == SCR_ERR_INVALID);
    }
    cl.ReleaseContext(other);
}

/* A driver that gives the kernels of one device less than the device has. */
static cl_int small_groups(cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info what,
                           size_t size, void *value, size_t *size_ret)
{
    static const size_t one = 1;

    if (what != CL_KERNEL_WORK_GROUP_SIZE)
        return real_group_info(kernel, device, what, size, value, size_ret);
    memcpy(value, &one, sizeof one);
    return CL_SUCCESS;
}

/* Then a plan is refused when it is made, not when it runs. */
static void refuses_groups(struct rig *rig)
{
    struct cl_dev *d = rig->dev->impl;
    const struct opencl_api *real = d->cl;
    struct opencl_api poor = *real;
    struct scr_program *prog = rig->dev->programs;
    struct scr_run run = {.n_launches = 1, .launches = {{.groups = {1, 1, 1}, .group = {2, 1, 1}}}};

    EXPECT(prog != NULL);
    real_group_info = real->GetKernelWorkGroupInfo;
    poor.GetKernelWorkGroupInfo = small_groups;
    d->cl = &poor;
    EXPECT(scr_backend_opencl.plan_create(prog, &run) == SCR_ERR_UNSUPPORTED);
    EXPECT(run.state == NULL);
    d->cl = real;
    EXPECT(scr_backend_opencl.plan_create(prog, &run) == SCR_OK);
    if (run.state != NULL)
        scr_backend_opencl.plan_destroy(prog, &run);
}

/* A driver whose events are counted, and which takes only so many kernels. */
static struct {
    const struct opencl_api *real;
    int events, left;
} watched;

static cl_int watched_enqueue(cl_command_queue queue, cl_kernel kernel, cl_uint dims,
                              const size_t *offset, const size_t *global, const size_t *local,
                              cl_uint n_wait, const cl_event *wait, cl_event *event)
{
    cl_int error;

    if (watched.left-- == 0)
        return CL_OUT_OF_RESOURCES;
    error = watched.real->EnqueueNDRangeKernel(queue, kernel, dims, offset, global, local, n_wait,
                                               wait, event);
    watched.events += error == CL_SUCCESS && event != NULL;
    return error;
}

static cl_int watched_release(cl_event event)
{
    watched.events--;
    return watched.real->ReleaseEvent(event);
}

/* A batch keeps no event, also where a run of it fails, and the next is none the worse for it. */
static void keeps_no_event(struct rig *rig)
{
    struct cl_dev *d = rig->dev->impl;
    struct opencl_api counting = *d->cl;
    scr_args args[3];

    watched.real = d->cl;
    counting.EnqueueNDRangeKernel = watched_enqueue;
    counting.ReleaseEvent = watched_release;
    d->cl = &counting;
    EXPECT(plan_fixture_make_args(&rig->f, rig->dev, &args[0]) == SCR_OK);
    args[1] = args[2] = args[0];
    for (int i = 0; i < N_CONFIGS; i++) {
        scr_plan *plan = NULL;
        double ns = 0;

        EXPECT(scr_plan_create(rig->dev, &problem, &configs[i], 0, &plan) == SCR_OK);
        for (int fail_at = 0; fail_at < 9; fail_at++) {
            watched.left = fail_at;
            EXPECT((scr_plan_run_batch(plan, args, 3, &ns) == SCR_OK) == (watched.left >= 0));
            EXPECT(watched.events == 0);
            watched.left = INT_MAX;
            EXPECT(scr_plan_run_batch(plan, args, 1 + fail_at % 3, &ns) == SCR_OK && ns > 0);
            EXPECT(watched.events == 0);
        }
        EXPECT(scr_device_synchronize(rig->dev) == SCR_OK);
        scr_plan_destroy(&plan);
    }
    plan_fixture_drop_args(&args[0]);
    d->cl = watched.real;
}

/* A part of a device is not in the list, so it is described when it is attached. */
static void sub_device(struct rig *rig, cl_device_id device)
{
    const cl_device_partition_property half[] = {CL_DEVICE_PARTITION_BY_COUNTS, 1,
                                                 CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    const scr_device_info *whole = scr_device_get_info(rig->dev);
    cl_device_id part = NULL;
    scr_device *dev = NULL;
    struct cl_caller c;
    cl_uint n = 0;

    if (create_sub_devices(device, half, 1, &part, &n) != CL_SUCCESS || n != 1) {
        printf("left out: the device cannot be divided\n");
        return;
    }
    cl_caller_make(&c, rig, part);
    EXPECT(scr_device_attach(rig->ctx, whole->id, &(scr_native){.queue = c.queue}, &dev) ==
           SCR_ERR_INVALID);
    EXPECT(scr_device_attach(rig->ctx, "opencl", &(scr_native){.queue = c.queue}, &dev) == SCR_OK);
    if (dev != NULL) {
        EXPECT(scr_device_get_info(dev) != whole);
        EXPECT(strcmp(scr_device_get_info(dev)->backend, "opencl") == 0);
        EXPECT(scr_device_get_info(dev)->compute_units == 1);
        EXPECT(dev->index != NULL && dev->index->info == scr_device_get_info(dev));
        same_bits(rig, dev, &c.m);
    }
    scr_device_close(&dev);
    cl_caller_drop(&c);
}

static int test_opencl(struct rig *rig)
{
    const char *id = scr_device_get_info(rig->dev)->id;
    cl_device_id device;
    struct cl_caller c;

    if (!load_opencl() || (device = find_device(id)) == NULL) {
        printf("%s: cannot be found a second time\n", id);
        return 1;
    }
    cl_caller_make(&c, rig, device);
    const scr_native natives[] = {
        {.queue = c.queue},
        {.context = c.context, .device = device, .queue = c.second},
        {.context = c.context, .device = device},
    };
    for (size_t i = 0; i < sizeof natives / sizeof natives[0]; i++) {
        scr_device *dev = NULL;
        void *queues[] = {c.queue, c.second, c.unordered};

        EXPECT(scr_device_attach(rig->ctx, i == 1 ? id : "opencl", &natives[i], &dev) == SCR_OK);
        if (dev == NULL)
            continue;
        EXPECT(scr_device_get_info(dev) == scr_device_get_info(rig->dev));
        for (size_t j = 0; j < 3; j++) {
            c.m.queue = queues[j];
            if (c.m.queue != NULL)
                same_bits(rig, dev, &c.m);
        }
        scr_device_close(&dev);
        EXPECT(is_sole_reference(c.queue));
    }
    refuses_natives(rig, &c);
    refuses_groups(rig);
    keeps_no_event(rig);
    cl_caller_drop(&c);
    sub_device(rig, device);
    return 0;
}
#else
static int test_opencl(struct rig *rig)
{
    (void)rig;
    return 77;
}
#endif

static struct scr_cu_driver cu;

static bool load_cuda(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

    if (driver == NULL)
        return false;
#define LOAD(name, symbol, parameters)                                                             \
    *(void **)&cu.name = dlsym(driver, symbol);                                                    \
    if (cu.name == NULL)                                                                           \
        return false;
    SCR_CU_FUNCTIONS(LOAD)
#undef LOAD
    return cu.cuInit(0) == SCR_CU_SUCCESS;
}

static scr_cu_pointer address(const void *p)
{
    return (scr_cu_pointer)(uintptr_t)p;
}

static void cu_poison(struct memory *m, size_t bytes)
{
    EXPECT(cu.cuMemsetD8Async(address(m->at.o), 0xff, bytes, m->queue) == SCR_CU_SUCCESS);
}

static void cu_read(struct memory *m, float *o, size_t offset, size_t bytes)
{
    EXPECT(cu.cuMemcpyDtoHAsync(o, address(m->at.o) + offset, bytes, m->queue) == SCR_CU_SUCCESS);
    EXPECT(cu.cuStreamSynchronize(m->queue) == SCR_CU_SUCCESS);
}

static void *cu_upload(const void *data, size_t n, scr_cu_stream stream)
{
    scr_cu_pointer p = 0;

    EXPECT(cu.cuMemAlloc(&p, n * 4) == SCR_CU_SUCCESS);
    if (data != NULL) {
        EXPECT(cu.cuMemcpyHtoDAsync(p, data, n * 4, stream) == SCR_CU_SUCCESS);
        EXPECT(cu.cuStreamSynchronize(stream) == SCR_CU_SUCCESS);
    }
    return (void *)(uintptr_t)p;
}

static void cu_memory_make(struct memory *m, const struct rig *rig, scr_cu_stream stream)
{
    const struct plan_fixture *f = &rig->f;

    *m = (struct memory){.poison = cu_poison, .read = cu_read, .queue = stream};
    m->at.q = cu_upload(f->q, f->n_q, stream);
    m->at.k = cu_upload(f->k, f->n_k, stream);
    m->at.v = cu_upload(f->v, f->n_v, stream);
    m->at.r = cu_upload(f->r, (size_t)problem.heads_q, stream);
    m->at.w = cu_upload(f->w, (size_t)problem.heads_q, stream);
    m->at.kv_len = cu_upload(f->kv_len, (size_t)problem.batch, stream);
    m->at.o = cu_upload(NULL, (rig->bytes + OFFSET) / 4, stream);
}

static void cu_memory_drop(struct memory *m)
{
    const void *memory[] = {m->at.q, m->at.k, m->at.v, m->at.r, m->at.w, m->at.kv_len, m->at.o};

    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        EXPECT(cu.cuMemFree(address(memory[i])) == SCR_CU_SUCCESS);
}

static int test_cuda(struct rig *rig)
{
    const char *id = scr_device_get_info(rig->dev)->id;
    scr_cu_device gpu;
    scr_cu_context context, popped;
    scr_cu_stream stream = NULL;
    scr_device *dev = NULL;
    struct memory m;
    scr_pointers unaligned;
    scr_plan *plan = NULL;

    if (!load_cuda() || cu.cuDeviceGet(&gpu, atoi(strchr(id, ':') + 1)) != SCR_CU_SUCCESS ||
        cu.cuDevicePrimaryCtxRetain(&context, gpu) != SCR_CU_SUCCESS) {
        printf("%s: cannot be opened a second time\n", id);
        return 1;
    }
    EXPECT(cu.cuCtxPushCurrent(context) == SCR_CU_SUCCESS);
    EXPECT(cu.cuStreamCreate(&stream, SCR_CU_STREAM_NON_BLOCKING) == SCR_CU_SUCCESS);
    cu_memory_make(&m, rig, stream);
    /* An opened device shares the primary context, so it takes its memory and streams. */
    same_bits(rig, rig->dev, &m);
    const scr_native natives[] = {
        {.queue = stream}, {.context = context, .queue = stream}, {.context = context}};
    for (size_t i = 0; i < sizeof natives / sizeof natives[0]; i++) {
        EXPECT(scr_device_attach(rig->ctx, id, &natives[i], &dev) == SCR_OK);
        if (dev != NULL)
            same_bits(rig, dev, &m);
        scr_device_close(&dev);
    }
    /* The legacy default stream, which a caller names by its handle. */
    m.queue = (void *)1;
    same_bits(rig, rig->dev, &m);
    EXPECT(scr_plan_create(rig->dev, &problem, &configs[1], 0, &plan) == SCR_OK);
    unaligned = m.at;
    unaligned.k = (const char *)m.at.k + 4;
    EXPECT(scr_plan_enqueue(plan, &unaligned, stream) == SCR_ERR_INVALID);
    scr_plan_destroy(&plan);
    EXPECT(scr_device_attach(rig->ctx, "cuda", &natives[0], &dev) == SCR_ERR_NOT_FOUND);
    /* The caller's context is current still. */
    EXPECT(cu.cuStreamSynchronize(stream) == SCR_CU_SUCCESS);
    cu_memory_drop(&m);
    EXPECT(cu.cuStreamDestroy(stream) == SCR_CU_SUCCESS);
    EXPECT(cu.cuCtxPopCurrent(&popped) == SCR_CU_SUCCESS && popped == context);
    EXPECT(cu.cuDevicePrimaryCtxRelease(gpu) == SCR_CU_SUCCESS);
    return 0;
}

int main(int argc, char **argv)
{
    const char *backend = argc > 1 ? argv[1] : "ref";
    struct rig rig = {0};
    int skipped = 0;

    if (!plan_fixture_open(backend, &rig.ctx, &rig.dev))
        return 77;
    EXPECT(plan_fixture_make(&rig.f, &problem));
    rig.bytes = rig.f.n_o * sizeof(float);
    rig.got = malloc(rig.bytes);
    EXPECT(rig.got != NULL);
    for (int i = 0; i < N_CONFIGS; i++) {
        rig.want[i] = malloc(rig.bytes);
        EXPECT(rig.want[i] != NULL &&
               plan_fixture_run(&rig.f, rig.dev, &configs[i], rig.want[i]) == SCR_OK &&
               plan_fixture_error(&rig.f, rig.want[i]) < 1e-4);
    }
    if (n_failed == 0)
        batches(&rig);
    if (n_failed == 0)
        skipped = strcmp(backend, "cuda") == 0     ? test_cuda(&rig)
                  : strcmp(backend, "opencl") == 0 ? test_opencl(&rig)
                                                   : test_ref(&rig);
    for (int i = 0; i < N_CONFIGS; i++)
        free(rig.want[i]);
    free(rig.got);
    plan_fixture_free(&rig.f);
    scr_device_close(&rig.dev);
    scr_context_destroy(&rig.ctx);
    return n_failed != 0 ? 1 : skipped;
}
