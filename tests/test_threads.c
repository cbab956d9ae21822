/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that create, run and destroy plans on one device: results are those of one thread, bit
 * for bit. Argument: the backend. Built with -Db_sanitize=thread it also finds races.
 */
#include "plan_fixture.h"

#include "backend.h"

#include <pthread.h>
#include <unistd.h>

enum { N_THREADS = 8, N_ROUNDS = 12, N_PROBLEMS = 3, N_CONFIGS = 4 };

static const scr_problem problems[N_PROBLEMS] = {
    {.batch = 1,
     .heads_q = 2,
     .heads_kv = 1,
     .len_q = 37,
     .len_k = 70,
     .dk = 16,
     .dv = 32,
     .q_pos0 = SCR_Q_POS0_DEFAULT,
     .causal = true},
    {.batch = 2,
     .heads_q = 2,
     .heads_kv = 2,
     .len_q = 1,
     .len_k = 90,
     .dk = 32,
     .dv = 16,
     .q_pos0 = SCR_Q_POS0_DEFAULT,
     .has_kv_len = true},
    {.batch = 1,
     .heads_q = 3,
     .heads_kv = 3,
     .len_q = 65,
     .len_k = 65,
     .dk = 16,
     .dv = 32,
     .q_pos0 = SCR_Q_POS0_DEFAULT},
};

static const scr_config configs[N_CONFIGS] = {
    {.kernel = "tile-skip", .skip = SCR_SKIP_TILE},
    {.kernel = "dense"},
    {.kernel = "masked-dense"},
    {.kernel = "tile-skip", .skip = SCR_SKIP_TILE, .n_params = 1, .params = {{"TILE_K", 32}}},
};

struct shared {
    scr_context *ctx;
    scr_device *dev;
    struct plan_fixture fixtures[N_PROBLEMS];
    float *alone[N_PROBLEMS][N_CONFIGS]; /* what one thread got */
    pthread_barrier_t start;
};

struct thread {
    struct shared *shared;
    int index;
    int failed; /* the first status that was not SCR_OK */
    int wrong;  /* results */
    int ran;
};

/* One plan from its creation to its end, run twice: enqueued, and waited for. */
static int one_plan(struct thread *t, const struct plan_fixture *f, const scr_config *c,
                    const float *alone)
{
    scr_device *dev = t->shared->dev;
    unsigned flags = t->index % 4 == 3 ? SCR_PLAN_COUNT : 0;
    scr_counts counts[8];
    scr_resources resources;
    scr_plan *plan = NULL;
    scr_args a = {0};
    float *o = malloc(f->n_o * sizeof *o);
    double ns = 0.0;
    int status = o != NULL ? scr_plan_create(dev, &f->p, c, flags, &plan) : SCR_ERR_NO_MEMORY;

    if (status == SCR_OK)
        status = plan_fixture_make_args(f, dev, &a);
    for (int run = 0; run < 2 && status == SCR_OK; run++) {
        status = scr_plan_run(plan, &a, run == 0 ? NULL : &ns);
        if (status == SCR_OK)
            status = scr_buffer_read(a.o, 0, o, f->n_o * sizeof *o);
        if (status == SCR_OK)
            t->wrong += memcmp(o, alone, f->n_o * sizeof *o) != 0;
        if (status == SCR_OK)
            status = scr_buffer_fill(a.o, 0, 0xff, f->n_o * sizeof *o);
        t->ran++;
    }
    if (status == SCR_OK && flags != 0) {
        status = scr_plan_counts(plan, counts);
        t->wrong += status == SCR_OK && strcmp(c->kernel, "dense") != 0 && counts[0].qk == 0;
    }
    if (status == SCR_OK)
        scr_plan_get_resources(plan, &resources);
    scr_plan_destroy(&plan);
    plan_fixture_drop_args(&a);
    free(o);
    return status;
}

/* A lookup, and a plan by it: right, if not by the same kernel. */
static int one_tuned(struct thread *t, const struct plan_fixture *f)
{
    scr_choice choice;
    scr_plan *plan = NULL;
    scr_args a = {0};
    float *o = malloc(f->n_o * sizeof *o);
    int status =
        o != NULL ? scr_lookup(t->shared->dev, &f->p, NULL, NULL, &choice) : SCR_ERR_NO_MEMORY;

    if (status == SCR_OK)
        status = scr_plan_create_tuned(t->shared->dev, &f->p, NULL, 0, &plan);
    if (status == SCR_OK)
        status = plan_fixture_make_args(f, t->shared->dev, &a);
    if (status == SCR_OK)
        status = scr_plan_run(plan, &a, NULL);
    if (status == SCR_OK)
        status = scr_buffer_read(a.o, 0, o, f->n_o * sizeof *o);
    t->wrong += status == SCR_OK && !(plan_fixture_error(f, o) < 1e-4);
    scr_plan_destroy(&plan);
    plan_fixture_drop_args(&a);
    free(o);
    return status;
}

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    struct shared *s = t->shared;

    pthread_barrier_wait(&s->start);
    for (int round = 0; round < N_ROUNDS && t->failed == SCR_OK; round++) {
        /* First all ask for the same program, then each for others. */
        int which = round == 0 ? 0 : t->index * 5 + round;
        int i = which % N_PROBLEMS, j = which / N_PROBLEMS % N_CONFIGS;

        t->failed = one_plan(t, &s->fixtures[i], &configs[j], s->alone[i][j]);
        if (t->failed == SCR_OK && round % 4 == 1)
            t->failed = one_tuned(t, &s->fixtures[i]);
        if (t->failed == SCR_OK && round % 6 == 5) {
            scr_device *own = NULL;

            t->failed = scr_device_open(s->ctx, scr_device_get_info(s->dev)->id, &own);
            scr_device_close(&own);
        }
    }
    return NULL;
}

static int n_made; /* programs that were begun */

/* The first fails, while the other threads wait for it. */
static int first_fails(struct scr_program *prog, const char *const *defines)
{
    usleep(20000);
    return __atomic_fetch_add(&n_made, 1, __ATOMIC_RELAXED) == 0
               ? SCR_ERR_COMPILE
               : scr_backend_ref.program_create(prog, defines);
}

static void *create_plan(void *arg)
{
    struct thread *t = arg;
    scr_plan *plan = NULL;

    pthread_barrier_wait(&t->shared->start);
    t->failed = scr_plan_create(t->shared->dev, &problems[0], &configs[0], 0, &plan);
    scr_plan_destroy(&plan);
    return NULL;
}

/* A program that fails for one thread is tried again by one of those that wait, once. */
static int fail_once(scr_context *ctx)
{
    struct scr_backend spoilt = scr_backend_ref;
    struct shared s = {.ctx = ctx};
    struct thread threads[N_THREADS];
    pthread_t ids[N_THREADS];
    int n_failed = 0;

    if (scr_device_open(ctx, "ref:0", &s.dev) != SCR_OK)
        return 1;
    spoilt.program_create = first_fails;
    s.dev->backend = &spoilt;
    pthread_barrier_init(&s.start, NULL, N_THREADS);
    for (int i = 0; i < N_THREADS; i++) {
        threads[i] = (struct thread){.shared = &s, .index = i};
        if (pthread_create(&ids[i], NULL, create_plan, &threads[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(ids[i], NULL);
        n_failed += threads[i].failed == SCR_ERR_COMPILE;
        n_failed += threads[i].failed != SCR_OK && threads[i].failed != SCR_ERR_COMPILE ? 100 : 0;
    }
    pthread_barrier_destroy(&s.start);
    s.dev->backend = &scr_backend_ref;
    scr_device_close(&s.dev);
    if (n_failed != 1 || n_made != 2)
        printf("%d threads failed instead of 1, %d programs were made instead of 2\n", n_failed,
               n_made);
    return n_failed != 1 || n_made != 2;
}

/* What one thread gets on a device of its own, so that the threads compile everything anew. */
static int run_alone(struct shared *s)
{
    scr_device *dev = NULL;
    int status = scr_device_open(s->ctx, scr_device_get_info(s->dev)->id, &dev);

    for (int i = 0; i < N_PROBLEMS && status == SCR_OK; i++) {
        for (int j = 0; j < N_CONFIGS && status == SCR_OK; j++) {
            s->alone[i][j] = malloc(s->fixtures[i].n_o * sizeof(float));
            status = plan_fixture_run(&s->fixtures[i], dev, &configs[j], s->alone[i][j]);
            if (status == SCR_OK && !(plan_fixture_error(&s->fixtures[i], s->alone[i][j]) < 1e-4)) {
                printf("problem %d, configuration %d: wrong with one thread\n", i, j);
                status = SCR_ERR_DEVICE;
            }
        }
    }
    scr_device_close(&dev);
    return status;
}

static int run_threads(struct shared *s)
{
    struct thread threads[N_THREADS];
    pthread_t ids[N_THREADS];
    int bad = 0, ran = 0;

    pthread_barrier_init(&s->start, NULL, N_THREADS);
    for (int i = 0; i < N_THREADS; i++) {
        threads[i] = (struct thread){.shared = s, .index = i};
        if (pthread_create(&ids[i], NULL, thread_main, &threads[i]) != 0) {
            printf("cannot start %d threads\n", N_THREADS);
            exit(1); /* the others wait for this one */
        }
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(ids[i], NULL);
        if (threads[i].failed != SCR_OK || threads[i].wrong != 0) {
            printf("thread %d: %s, %d results differ\n", i, scr_status_text(threads[i].failed),
                   threads[i].wrong);
            bad++;
        }
        ran += threads[i].ran;
    }
    pthread_barrier_destroy(&s->start);
    printf("%d runs by %d threads, %d threads failed\n", ran, N_THREADS, bad);
    return bad != 0 || ran != N_THREADS * N_ROUNDS * 2;
}

int main(int argc, char **argv)
{
    struct shared s = {0};
    int failed = 0;

    if (!plan_fixture_open(argc > 1 ? argv[1] : "ref", &s.ctx, &s.dev))
        return 77;
    for (int i = 0; i < N_PROBLEMS; i++)
        failed |= !plan_fixture_make(&s.fixtures[i], &problems[i]);
    if (!failed)
        failed = run_alone(&s) != SCR_OK || run_threads(&s);
    if (argc < 2 || strcmp(argv[1], "ref") == 0)
        failed |= fail_once(s.ctx);
    for (int i = 0; i < N_PROBLEMS; i++) {
        plan_fixture_free(&s.fixtures[i]);
        for (int j = 0; j < N_CONFIGS; j++)
            free(s.alone[i][j]);
    }
    scr_device_close(&s.dev);
    scr_context_destroy(&s.ctx);
    return failed;
}
