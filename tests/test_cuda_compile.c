/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every CUDA kernel compiles with NVRTC, which needs no GPU, for sm_80, sm_90 and sm_120.
 *
 * By itself, at the default tunables: each pair of head dims with one type, of tile-skip with one
 * or two, each of them with one kind of skipping, on one of the three architectures, all in turn;
 * and some combinations of tunables at (64, 64). With --all: all of them on all three, with every
 * type of output and with counting. The lines say how many of how many. The default configuration
 * must not spill registers at (16, 64), (64, 64) and (128, 128). Every value of every tunable
 * compiles, too; those of SPLIT_K and UNROLL must not spill either. Every probe compiles too,
 * without spills, and so does the tile-skip that skips too much. Where nothing
 * may spill, ptxas must not serialize warpgroup products either.
 *
 * Exit status 77 where NVRTC is not found.
 */
#include "backend.h"
#include "config.h"
#include "cuda_compile.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_THREADS = 64 };

struct job {
    const struct scr_kernel_decl *decl;
    scr_problem problem;
    scr_config config;
    int sm;
    unsigned flags; /* of scr_plan_create */
    bool no_spills; /* fail on spills too */
};

struct jobs {
    struct job *items;
    size_t n, capacity;
};

struct run {
    struct scr_nvrtc *nvrtc;
    const struct jobs *jobs;
    pthread_mutex_t lock; /* of everything below, and of the output */
    size_t next;
    size_t n_failed;
};

/* As large as its architecture has it: what fits no device need not compile. */
static scr_device_info device_of(int sm)
{
    scr_device_info info = {
        .id = "cuda:0",
        .backend = "cuda",
        .sm = sm,
        .compute_units = 108,
        .max_group_size = 1024,
        .has_fp16 = true,
        .has_subgroups = true,
        .has_warpgroups = sm == 90,
        .local_mem = sm == 80   ? 163u * 1024u
                     : sm == 90 ? 227u * 1024u
                                : 99u * 1024u,
    };

    return info;
}

static scr_problem problem_of(scr_dtype dtype, int dk, int dv)
{
    scr_problem p = {
        .batch = 1,
        .heads_q = 1,
        .heads_kv = 1,
        .len_q = 1024,
        .len_k = 1024,
        .dk = dk,
        .dv = dv,
        .q_pos0 = SCR_Q_POS0_DEFAULT,
        .dtype = dtype,
        .dtype_out = SCR_F32,
        .causal = true,
    };

    return p;
}

static int add(struct jobs *jobs, const struct job *job)
{
    if (jobs->n == jobs->capacity) {
        size_t capacity = jobs->capacity != 0 ? 2 * jobs->capacity : 256;
        struct job *grown = realloc(jobs->items, capacity * sizeof *grown);

        if (grown == NULL)
            return SCR_ERR_NO_MEMORY;
        jobs->items = grown;
        jobs->capacity = capacity;
    }
    jobs->items[jobs->n++] = *job;
    return SCR_OK;
}

static scr_config config_of(const struct scr_kernel_decl *d, int skip)
{
    scr_config c = {.skip = (scr_skip)skip};

    snprintf(c.kernel, sizeof c.kernel, "%s", d->kernel);
    snprintf(c.variant, sizeof c.variant, "%s", d->variant);
    return c;
}

/* The default configuration of one problem; nothing where the kernel does not support it. */
static int add_default(struct jobs *jobs, const struct scr_kernel_decl *d, struct job job, int skip)
{
    scr_device_info info = device_of(job.sm);

    job.decl = d;
    job.config = config_of(d, skip);
    if (scr_config_resolve(&info, &job.problem, &job.config, NULL, 0) != SCR_OK)
        return SCR_OK;
    return add(jobs, &job);
}

static const int dims[] = {16, 32, 64, 128};
static const int sms[] = {80, 90, 120};

/* *n_possible counts those left out as well. */
static int add_defaults(struct jobs *jobs, const struct scr_kernel_decl *d, bool all,
                        size_t *n_possible)
{
    int n_skips = strcmp(d->kernel, "tile-skip") == 0 ? 3 : 1;

    for (int n = 0; n < 3 * 16 * n_skips * 3 * 2 * 2; n++) {
        int dtype = n % 3, dk = n / 3 % 4, dv = n / 12 % 4, skip = n / 48 % n_skips;
        int sm = n / (48 * n_skips) % 3, flags = n / (144 * n_skips);
        scr_problem p = problem_of((scr_dtype)dtype, dims[dk], dims[dv]);
        struct job job = {.sm = sms[sm], .flags = flags % 2 ? SCR_PLAN_COUNT : 0};

        if (flags / 2)
            p.dtype_out = p.dtype;
        if (flags / 2 && dtype == SCR_F32)
            continue;
        job.problem = p;
        job.no_spills = (dk == 0 && dv == 2) || (dk == 2 && dv == 2) || (dk == 3 && dv == 3);
        ++*n_possible;
        /* What is for one target alone compiles for that one, sm_90. */
        if (!all && (flags != 0 || sm != (d->target != NULL ? 1 : (dk + 2 * dv + dtype) % 3)))
            continue;
        if (!all && n_skips == 1 && dtype != (dk + dv) % 3)
            continue;
        if (!all && n_skips > 1 && (skip != (dtype + dk + dv) % 3 || (dtype + dk + dv) % 2 != 0))
            continue;
        if (add_default(jobs, d, job, skip) != SCR_OK)
            return SCR_ERR_NO_MEMORY;
    }
    return SCR_OK;
}

struct enumeration {
    struct jobs *jobs;
    struct job job;
};

static int add_enumerated(void *user, const scr_config *c)
{
    struct enumeration *e = user;

    e->job.config = *c;
    return add(e->jobs, &e->job);
}

static int add_tunables(struct jobs *jobs, const struct scr_kernel_decl *d)
{
    int skip = strcmp(d->kernel, "tile-skip") == 0 ? SCR_SKIP_SLICE : SCR_SKIP_NONE;

    for (size_t i = 0; i < sizeof sms / sizeof sms[0]; i++) {
        scr_device_info info = device_of(sms[i]);
        struct enumeration e = {.jobs = jobs};
        scr_config partial = config_of(d, skip);

        e.job.decl = d;
        e.job.sm = sms[i];
        e.job.problem = problem_of(SCR_F16, 64, 64);
        int status =
            scr_config_enumerate(&info, &e.job.problem, &partial, NULL, add_enumerated, &e);

        if (status != SCR_OK && status != SCR_ERR_UNSUPPORTED)
            return status;
    }
    return SCR_OK;
}

/*
 * Each value of each tunable, the others at or near their defaults, on one of the architectures in
 * turn. With the split of the keys and with other unrolling nothing spills where the default does
 * not.
 */
static int add_values(struct jobs *jobs, const struct scr_kernel_decl *d)
{
    const bool mma = strcmp(d->variant, "mma") == 0 || strcmp(d->variant, "wgmma") == 0;
    int n = 0;

    for (int t = 0; t < d->n_tunables; t++) {
        const struct scr_tunable *tunable = &d->tunables[t];

        for (int i = 0; i < tunable->n_values; i++, n++) {
            struct job job = {.decl = d, .sm = sms[n % 3]};
            scr_device_info info = device_of(job.sm);

            if (tunable->values[i] == tunable->value_default)
                continue;
            job.problem = problem_of((scr_dtype)(mma ? 1 + n % 2 : n % 3), 64, 64);
            job.config = config_of(d, strcmp(d->kernel, "tile-skip") == 0 ? n % 3 : 0);
            job.no_spills =
                strcmp(tunable->name, "SPLIT_K") == 0 || strcmp(tunable->name, "UNROLL") == 0;
            scr_config_set(&job.config, tunable->name, tunable->values[i]);
            if (scr_config_resolve(&info, &job.problem, &job.config, NULL, 0) != SCR_OK)
                continue;
            if (add(jobs, &job) != SCR_OK)
                return SCR_ERR_NO_MEMORY;
        }
    }
    return SCR_OK;
}

/* Every value of a probe's tunable, every architecture and type it is for. */
static int add_probe(struct jobs *jobs, const struct scr_kernel_decl *d)
{
    static const int all_sms[] = {80, 90, 100, 120};
    int n_values = d->n_tunables != 0 ? d->tunables[0].n_values : 1;

    for (size_t i = 0; i < 4 * 3 * (size_t)n_values; i++) {
        scr_device_info info = device_of(all_sms[i % 4]);
        struct job job = {.decl = d, .sm = all_sms[i % 4], .no_spills = true};
        struct scr_decl_env env;

        job.problem = problem_of((scr_dtype)(i / 4 % 3), 16, 16);
        job.config = config_of(d, SCR_SKIP_NONE);
        scr_env_init(&env, &info, &job.problem, SCR_SKIP_NONE);
        if (!d->supports(&env))
            continue;
        if (d->n_tunables != 0)
            scr_config_set(&job.config, d->tunables[0].name, d->tunables[0].values[i / 12]);
        if (add(jobs, &job) != SCR_OK)
            return SCR_ERR_NO_MEMORY;
    }
    return SCR_OK;
}

/* tile-skip with its fault for tests, in each type and kind of skipping. */
static int add_faults(struct jobs *jobs, const struct scr_kernel_decl *d)
{
    for (int n = 0; n < 9; n++) {
        struct job job = {.sm = 90, .flags = SCR_PLAN_FAULT_SKIP};

        job.problem = problem_of((scr_dtype)(n % 3), 64, 64);
        if (add_default(jobs, d, job, n / 3) != SCR_OK)
            return SCR_ERR_NO_MEMORY;
    }
    return SCR_OK;
}

/* Keeps about `keep` items, at a step prime to the small factors of the axes, so that what stays
 * covers every value of every axis. */
static void thin(struct jobs *jobs, size_t keep)
{
    static const size_t steps[] = {1,  5,  7,   11,  13,  17,  23,   31,   41,   53,
                                   71, 97, 127, 211, 331, 503, 1009, 2003, 4001, 8009};
    size_t step = steps[sizeof steps / sizeof steps[0] - 1];
    size_t kept = 0;

    for (size_t i = sizeof steps / sizeof steps[0]; i-- > 0;) {
        if (jobs->n / steps[i] <= keep)
            step = steps[i];
    }
    for (size_t i = 0; i < jobs->n; i += step)
        jobs->items[kept++] = jobs->items[i];
    jobs->n = kept;
}

static void print_job(const struct job *job)
{
    printf("%s/%s %s->%s dk=%d dv=%d skip=%s flags=%x sm_%d", job->config.kernel,
           job->config.variant, scr_dtype_name(job->problem.dtype),
           scr_dtype_name(job->problem.dtype_out), (int)job->problem.dk, (int)job->problem.dv,
           scr_skip_name(job->config.skip), job->flags, job->sm);
    for (int i = 0; i < job->config.n_params; i++)
        printf(" %s=%d", job->config.params[i].name, (int)job->config.params[i].value);
}

/* The log of ptxas -v tells bytes spilled, entry by entry. */
static bool spills(const char *log)
{
    static const char words[] = " bytes spill ";

    for (const char *s = strstr(log, words); s != NULL; s = strstr(s + 1, words)) {
        if (s == log || s[-1] != '0' || (s - log > 1 && s[-2] >= '0' && s[-2] <= '9'))
            return true;
    }
    return false;
}

static int compile(const struct scr_nvrtc *nvrtc, const struct job *job,
                   struct scr_cuda_image *image)
{
    struct scr_defines defines;

    scr_config_defines(&job->problem, &job->config, job->flags, &defines);
    return scr_cuda_compile(nvrtc, job->decl, defines.list, job->sm, true, image);
}

static void *work(void *user)
{
    struct run *run = user;

    pthread_mutex_lock(&run->lock);
    while (run->next < run->jobs->n) {
        const struct job *job = &run->jobs->items[run->next++];
        struct scr_cuda_image image;
        const char *failure = NULL;
        int status;

        pthread_mutex_unlock(&run->lock);
        status = compile(run->nvrtc, job, &image);
        pthread_mutex_lock(&run->lock);
        if (status != SCR_OK)
            failure = scr_status_text(status);
        else if (image.is_ptx && job->sm <= 90)
            failure = "no cubin";
        else if (job->no_spills && !image.is_ptx && spills(image.log))
            failure = "registers spill";
        else if (job->no_spills && strstr(image.log, "serialized") != NULL)
            failure = "products run one by one";
        if (failure != NULL) {
            run->n_failed++;
            print_job(job);
            printf(": %s\n%s\n", failure, image.log != NULL ? image.log : "");
        }
        scr_cuda_image_clear(&image);
    }
    pthread_mutex_unlock(&run->lock);
    return NULL;
}

static int compile_all(struct run *run)
{
    pthread_t threads[MAX_THREADS];
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int started = 0;

    while (started < MAX_THREADS && started < (online > 1 ? online : 1) &&
           pthread_create(&threads[started], NULL, work, run) == 0)
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return started != 0 ? SCR_OK : SCR_ERR_NO_MEMORY;
}

/* What `fill` adds of one declaration; none at all is a failure. */
static int compile_extra(struct run *run, const struct scr_kernel_decl *d, const char *what,
                         int (*fill)(struct jobs *jobs, const struct scr_kernel_decl *d))
{
    struct jobs jobs = {0};
    int status = fill(&jobs, d);

    run->jobs = &jobs;
    run->next = 0;
    if (status == SCR_OK)
        status = compile_all(run);
    run->n_failed += jobs.n == 0;
    printf("%s: %zu %s\n", d->file, jobs.n, what);
    free(jobs.items);
    return status;
}

static int compile_extras(struct run *run)
{
    int status = SCR_OK;

    for (size_t i = 0; i < scr_probe_decl_count && status == SCR_OK; i++) {
        if (strcmp(scr_probe_decls[i].backend, "cuda") == 0)
            status = compile_extra(run, &scr_probe_decls[i], "configurations", add_probe);
    }
    for (size_t i = 0; i < scr_kernel_decl_count && status == SCR_OK; i++) {
        if (strcmp(scr_kernel_decls[i].backend, "cuda") == 0 &&
            strcmp(scr_kernel_decls[i].kernel, "tile-skip") == 0)
            status = compile_extra(run, &scr_kernel_decls[i], "with the fault", add_faults);
        if (status == SCR_OK && strcmp(scr_kernel_decls[i].backend, "cuda") == 0 &&
            scr_kernel_decls[i].n_tunables != 0)
            status = compile_extra(run, &scr_kernel_decls[i], "with one value changed", add_values);
    }
    return status;
}

int main(int argc, char **argv)
{
    bool all = argc > 1 && strcmp(argv[1], "--all") == 0;
    struct run run = {.lock = PTHREAD_MUTEX_INITIALIZER};
    int status = SCR_OK;
    size_t n_kernels = 0;
    char why[256];
    int major, minor;

    if (scr_nvrtc_load(&run.nvrtc, why, sizeof why) != SCR_OK) {
        printf("skipped: %s\n", why);
        return 77;
    }
    scr_nvrtc_get_version(run.nvrtc, &major, &minor);
    printf("NVRTC %d.%d\n", major, minor);
    for (size_t i = 0; i < scr_kernel_decl_count && status == SCR_OK; i++) {
        const struct scr_kernel_decl *d = &scr_kernel_decls[i];
        struct jobs defaults = {0}, tunables = {0};
        size_t n_defaults = 0, n_tunables;

        if (strcmp(d->backend, "cuda") != 0)
            continue;
        n_kernels++;
        status = add_defaults(&defaults, d, all, &n_defaults);
        if (status == SCR_OK && d->n_tunables != 0)
            status = add_tunables(&tunables, d);
        n_tunables = tunables.n;
        if (defaults.n == 0 || (d->n_tunables != 0 && n_tunables == 0)) {
            printf("%s: no configuration is valid\n", d->file);
            run.n_failed++;
        }
        if (!all)
            thin(&tunables, 6);
        run.jobs = &defaults;
        run.next = 0;
        if (status == SCR_OK)
            status = compile_all(&run);
        run.jobs = &tunables;
        run.next = 0;
        if (status == SCR_OK)
            status = compile_all(&run);
        printf("%s: %zu of %zu default configurations, %zu of %zu others\n", d->file, defaults.n,
               n_defaults, tunables.n, n_tunables);
        free(defaults.items);
        free(tunables.items);
    }
    if (status == SCR_OK)
        status = compile_extras(&run);
    scr_nvrtc_unload(&run.nvrtc);
    if (status != SCR_OK)
        printf("%s\n", scr_status_text(status));
    if (n_kernels == 0)
        printf("no CUDA kernel is declared\n");
    printf("%zu failed\n", run.n_failed);
    return status != SCR_OK || n_kernels == 0 || run.n_failed != 0;
}
