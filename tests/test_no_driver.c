/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library without CUDA and OpenCL, or with an OpenCL loader that is too old: the linker sends
 * its calls of dlopen and dlsym here (--wrap).
 */
#include "expect.h"
#include "plan_fixture.h"

#include <dlfcn.h>

static bool no_driver = true;
static const char *missing = ""; /* symbol that no library has */

void *__real_dlopen(const char *name, int flags);
void *__real_dlsym(void *library, const char *symbol);
void *__wrap_dlopen(const char *name, int flags);
void *__wrap_dlsym(void *library, const char *symbol);

void *__wrap_dlopen(const char *name, int flags)
{
    return no_driver ? NULL : __real_dlopen(name, flags);
}

void *__wrap_dlsym(void *library, const char *symbol)
{
    return strcmp(symbol, missing) == 0 ? NULL : __real_dlsym(library, symbol);
}

/* Nothing of a driver is called where it is not there, whatever a program has. */
static void attach_refused(scr_context *ctx, const char *backend)
{
    int objects[3];
    const scr_native natives[] = {{.queue = &objects[0]},
                                  {.context = &objects[1], .device = &objects[2]}};

    for (size_t i = 0; i < sizeof natives / sizeof natives[0]; i++) {
        scr_device *dev = NULL;

        EXPECT(scr_device_attach(ctx, backend, &natives[i], &dev) == SCR_ERR_NOT_FOUND);
        EXPECT(dev == NULL);
    }
}

static void test_none(void)
{
    static const scr_problem problem = {.batch = 1,
                                        .heads_q = 2,
                                        .heads_kv = 1,
                                        .len_q = 9,
                                        .len_k = 17,
                                        .dk = 16,
                                        .dv = 16,
                                        .q_pos0 = SCR_Q_POS0_DEFAULT};
    const scr_context_options options = {.table = "", .cache_dir = ""};
    const scr_config config = {.kernel = "tile-skip", .skip = SCR_SKIP_TILE};
    struct plan_fixture f;
    scr_context *ctx = NULL;
    scr_device *dev = NULL;
    float *o;

    EXPECT(scr_context_create(&options, &ctx) == SCR_OK);
    EXPECT(scr_context_device_count(ctx) == 1);
    EXPECT(scr_context_backend_note(ctx, "cuda")[0] != '\0');
    EXPECT(scr_context_backend_note(ctx, "opencl")[0] != '\0');
    attach_refused(ctx, "opencl");
    attach_refused(ctx, "cuda");
    EXPECT(scr_device_open(ctx, "ref:0", &dev) == SCR_OK);
    EXPECT(plan_fixture_make(&f, &problem));
    o = malloc(f.n_o * sizeof *o);
    EXPECT(o != NULL && plan_fixture_run(&f, dev, &config, o) == SCR_OK &&
           plan_fixture_error(&f, o) < 1e-4);
    free(o);
    plan_fixture_free(&f);
    scr_device_close(&dev);
    scr_context_destroy(&ctx);
}

static void test_old_loader(void)
{
    const scr_context_options options = {.backends = "opencl", .table = "", .cache_dir = ""};
    scr_context *ctx = NULL;

    no_driver = false;
    missing = "clEnqueueFillBuffer";
    EXPECT(scr_context_create(&options, &ctx) == SCR_OK);
    EXPECT(scr_context_device_count(ctx) == 0);
    EXPECT(scr_context_backend_note(ctx, "opencl")[0] != '\0');
    attach_refused(ctx, "opencl");
    scr_context_destroy(&ctx);
}

int main(void)
{
    test_none();
    test_old_loader();
    return n_failed != 0;
}
