/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run allocates nothing, takes no lock and opens no file: calls from the library's own code are
 * counted (the linker's --wrap), those inside drivers are not. Argument: the backend.
 */
#include "plan_fixture.h"

#include <pthread.h>
#include <stdarg.h>

enum { ALLOCATIONS, LOCKS, FILES, N_KINDS };
static const char *const kind_names[N_KINDS] = {"allocations", "locks", "files opened"};
static int counts[N_KINDS];

#define WRAP(kind, type, name, parameters, arguments)                                              \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        __atomic_fetch_add(&counts[kind], 1, __ATOMIC_RELAXED);                                    \
        return __real_##name arguments;                                                            \
    }

WRAP(ALLOCATIONS, void *, malloc, (size_t n), (n))
WRAP(ALLOCATIONS, void *, calloc, (size_t n, size_t size), (n, size))
WRAP(ALLOCATIONS, void *, realloc, (void *p, size_t n), (p, n))
WRAP(ALLOCATIONS, int, posix_memalign, (void **p, size_t a, size_t n), (p, a, n))
WRAP(ALLOCATIONS, char *, strdup, (const char *s), (s))
WRAP(LOCKS, int, pthread_mutex_lock, (pthread_mutex_t * m), (m))
WRAP(FILES, FILE *, fopen, (const char *path, const char *mode), (path, mode))

static int count_of(int kind)
{
    return __atomic_load_n(&counts[kind], __ATOMIC_RELAXED);
}

static void count_anew(void)
{
    for (int i = 0; i < N_KINDS; i++)
        __atomic_store_n(&counts[i], 0, __ATOMIC_RELAXED);
}

static int quiet(const char *what, const char *backend, int allowed_locks)
{
    int bad = 0;

    for (int i = 0; i < N_KINDS; i++) {
        int n = count_of(i);

        if (n > (i == LOCKS ? allowed_locks : 0)) {
            printf("%s: %s: %d %s\n", backend, what, n, kind_names[i]);
            bad = 1;
        }
    }
    return bad;
}

int main(int argc, char **argv)
{
    const char *backend = argc > 1 ? argv[1] : "ref";
    static const scr_problem problem = {.batch = 1,
                                        .heads_q = 2,
                                        .heads_kv = 2,
                                        .len_q = 40,
                                        .len_k = 40,
                                        .dk = 16,
                                        .dv = 16,
                                        .q_pos0 = SCR_Q_POS0_DEFAULT};
    static const scr_config configs[] = {{.kernel = "dense"},
                                         {.kernel = "masked-dense"},
                                         {.kernel = "tile-skip", .skip = SCR_SKIP_SLICE}};
    enum { N_RUNS = 10 };
    /* Those of ref's threads, which screening/plan.h excepts. */
    int locks = strcmp(backend, "ref") == 0 ? 1 << 20 : 0;
    struct plan_fixture f;
    scr_context *ctx = NULL;
    scr_device *dev = NULL;
    int failed = 0;

    if (!plan_fixture_open(backend, &ctx, &dev))
        return 77;
    failed |= !plan_fixture_make(&f, &problem);
    count_anew();
    for (size_t i = 0; i < sizeof configs / sizeof configs[0] && !failed; i++) {
        scr_plan *plan = NULL;
        scr_args a = {0};
        scr_choice choice;
        double ns = 0.0;

        failed |= plan_fixture_make_args(&f, dev, &a) != SCR_OK ||
                  scr_plan_create(dev, &problem, &configs[i], SCR_PLAN_COUNT, &plan) != SCR_OK;
        /* The count counts: a plan cannot be made without memory. */
        failed |= count_of(ALLOCATIONS) == 0 || count_of(LOCKS) == 0;
        count_anew();
        for (int run = 0; run < N_RUNS && !failed; run++)
            failed |= scr_plan_run(plan, &a, run % 2 == 0 ? NULL : &ns) != SCR_OK;
        failed |= quiet("running", backend, locks);
        count_anew();
        failed |= scr_lookup(dev, &problem, NULL, NULL, &choice) != SCR_OK;
        failed |= quiet("looking up", backend, 0);
        scr_plan_destroy(&plan);
        plan_fixture_drop_args(&a);
    }
    plan_fixture_free(&f);
    scr_device_close(&dev);
    scr_context_destroy(&ctx);
    return failed;
}
