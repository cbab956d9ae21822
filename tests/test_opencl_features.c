/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenCL devices may lack, and what they may claim: the linker sends the library's calls of
 * dlsym here (--wrap), which stands between it and the driver. A device that lists sub-groups and
 * halves which its compiler refuses, one whose programs have no binary, one whose queues have no
 * times; and limits, which hide extensions that are there. Each gives right results.
 */
#include "expect.h"
#include "plan_fixture.h"

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include <dlfcn.h>

void *__real_dlsym(void *library, const char *symbol);
void *__wrap_dlsym(void *library, const char *symbol);

/* How the driver behaves. */
static bool claims, no_binary, no_times;
static const char *refused; /* option that its compiler refuses, or NULL */
static int n_builds, n_refused;

static __typeof__(clGetDeviceInfo) *get_device_info;
static __typeof__(clGetProgramInfo) *get_program_info;
static __typeof__(clBuildProgram) *build_program;
static __typeof__(clCreateCommandQueue) *create_queue;

static cl_int CL_API_CALL fake_device_info(cl_device_id d, cl_device_info what, size_t size,
                                           void *value, size_t *n)
{
    static const char extensions[] = "cl_khr_subgroups cl_khr_fp16";

    if (what != CL_DEVICE_EXTENSIONS || !claims)
        return get_device_info(d, what, size, value, n);
    if (n != NULL)
        *n = sizeof extensions;
    if (value != NULL && size < sizeof extensions)
        return CL_INVALID_VALUE;
    if (value != NULL)
        memcpy(value, extensions, sizeof extensions);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL fake_program_info(cl_program p, cl_program_info what, size_t size,
                                            void *value, size_t *n)
{
    return what == CL_PROGRAM_BINARY_SIZES && no_binary ? CL_INVALID_VALUE
                                                        : get_program_info(p, what, size, value, n);
}

static cl_int CL_API_CALL fake_build(cl_program p, cl_uint n, const cl_device_id *devices,
                                     const char *options,
                                     void(CL_CALLBACK *notify)(cl_program, void *), void *user)
{
    n_builds += options[0] != '\0'; /* of a binary there are none */
    if (refused != NULL && strstr(options, refused) != NULL) {
        n_refused++;
        return CL_BUILD_PROGRAM_FAILURE;
    }
    return build_program(p, n, devices, options, notify, user);
}

static cl_command_queue CL_API_CALL fake_queue(cl_context c, cl_device_id d,
                                               cl_command_queue_properties p, cl_int *error)
{
    if (no_times && (p & CL_QUEUE_PROFILING_ENABLE) != 0) {
        *error = CL_INVALID_QUEUE_PROPERTIES;
        return NULL;
    }
    return create_queue(c, d, p, error);
}

void *__wrap_dlsym(void *library, const char *symbol)
{
    void *real = __real_dlsym(library, symbol);

#define STAND_IN(name, pointer, fake)                                                              \
    if (strcmp(symbol, name) == 0 && real != NULL) {                                               \
        pointer = (__typeof__(pointer))real;                                                       \
        return (void *)(fake);                                                                     \
    }
    STAND_IN("clGetDeviceInfo", get_device_info, fake_device_info)
    STAND_IN("clGetProgramInfo", get_program_info, fake_program_info)
    STAND_IN("clBuildProgram", build_program, fake_build)
    STAND_IN("clCreateCommandQueue", create_queue, fake_queue)
#undef STAND_IN
    return real;
}

static scr_context *open_context(const char *folder, const char *limits)
{
    const scr_context_options options = {
        .backends = "opencl", .table = "", .cache_dir = folder, .limits = limits};
    scr_context *ctx = NULL;

    EXPECT(scr_context_create(&options, &ctx) == SCR_OK);
    n_builds = n_refused = 0;
    return ctx;
}

/* On the first device, in groups of several items, with a vote of sub-groups where it has them. */
static void run(scr_context *ctx, double *ns)
{
    const scr_problem problem = {.batch = 1,
                                 .heads_q = 2,
                                 .heads_kv = 1,
                                 .len_q = 37,
                                 .len_k = 53,
                                 .dk = 16,
                                 .dv = 16,
                                 .q_pos0 = SCR_Q_POS0_DEFAULT};
    const scr_config config = {.kernel = "tile-skip", .variant = "gpu", .skip = SCR_SKIP_TILE};
    struct plan_fixture f;
    scr_device *dev = NULL;
    scr_plan *plan = NULL;
    scr_args args = {0};
    float *o;

    EXPECT(scr_device_open(ctx, scr_context_device_info(ctx, 0)->id, &dev) == SCR_OK);
    EXPECT(plan_fixture_make(&f, &problem));
    o = malloc(f.n_o * sizeof *o);
    EXPECT(o != NULL && plan_fixture_run(&f, dev, &config, o) == SCR_OK &&
           plan_fixture_error(&f, o) < 1e-4);
    EXPECT(scr_plan_create(dev, &problem, &config, 0, &plan) == SCR_OK &&
           plan_fixture_make_args(&f, dev, &args) == SCR_OK &&
           scr_plan_run(plan, &args, ns) == SCR_OK);
    plan_fixture_drop_args(&args);
    scr_plan_destroy(&plan);
    free(o);
    plan_fixture_free(&f);
    scr_device_close(&dev);
    scr_context_destroy(&ctx);
}

/* Extensions that are listed and refused: built without sub-groups, then without halves, too. */
static void test_claims(void)
{
    scr_context *ctx = open_context("", NULL);
    double ns;

    claims = true;
    scr_context_destroy(&ctx);
    ctx = open_context("", "fp16=0");
    EXPECT(!scr_context_device_info(ctx, 0)->has_fp16);
    EXPECT(scr_context_device_info(ctx, 0)->has_subgroups);
    refused = "-DSCR_HAS_SUBGROUPS=1";
    run(ctx, &ns);
    EXPECT(n_refused == 1 && n_builds == 2);

    ctx = open_context("", NULL);
    EXPECT(scr_context_device_info(ctx, 0)->has_fp16);
    refused = "-DSCR_HAS_FP16=1";
    run(ctx, &ns);
    EXPECT(n_refused == 2 && n_builds == 3);

    /* Hidden, nothing of either is tried. */
    ctx = open_context("", "fp16=0,subgroups=0");
    EXPECT(!scr_context_device_info(ctx, 0)->has_fp16);
    EXPECT(!scr_context_device_info(ctx, 0)->has_subgroups);
    refused = "_SUBGROUPS=1";
    run(ctx, &ns);
    EXPECT(n_refused == 0 && n_builds == 1);
    refused = NULL;
    claims = false;
}

/* The device has no program binary: each start compiles, and nothing else happens. */
static void test_no_binary(void)
{
    char folder[] = "/tmp/scr-test-features-XXXXXX", command[64];
    double ns;

    EXPECT(mkdtemp(folder) != NULL);
    for (int i = 0; i < 4; i++) {
        no_binary = i < 2;
        run(open_context(folder, NULL), &ns);
        EXPECT(n_builds == (i < 3));
    }
    snprintf(command, sizeof command, "rm -rf %s", folder);
    EXPECT(system(command) == 0);
}

static void test_no_times(void)
{
    double ns = 0;

    no_times = true;
    run(open_context("", NULL), &ns);
    EXPECT(ns < 0);
    no_times = false;
}

int main(void)
{
    scr_context *ctx = open_context("", NULL);
    bool none = scr_context_device_count(ctx) == 0;

    scr_context_destroy(&ctx);
    if (none)
        return 77;
    test_claims();
    test_no_binary();
    test_no_times();
    return n_failed != 0;
}
