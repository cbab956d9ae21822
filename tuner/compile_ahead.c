/* SPDX-License-Identifier: Apache-2.0 */
#include "compile_ahead.h"

#include "../runtime/table.h" /* not the harness's */
#include "config.h"
#include "cuda_compile.h"
#include "scr_features.h"
#include "sweep.h" /* exit statuses */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if !SCR_HAVE_CUDA

int scr_compile_ahead_run(const struct scr_tuner_options *o)
{
    (void)o;
    fprintf(stderr, "tuner: --compile-ahead: built without the CUDA backend\n");
    return SCR_EXIT_USAGE;
}

#else

enum { MAX_THREADS = 64 };

/* A program to compile. Not to be moved: defines point into themselves. */
struct job {
    const struct scr_kernel_decl *decl;
    struct scr_defines defines;
    struct job *next;
};

struct ahead {
    const char *arch, *folder;
    scr_device_info info; /* what limits a GPU of arch has */
    struct scr_nvrtc *nvrtc;
    struct job *jobs;
    int n_jobs, n_entries, n_stale, n_others;
    pthread_mutex_t lock; /* guards what is below */
    struct job *next;
    int n_failed;
};

/* Shared memory that a block may ask for, from the CUDA programming guide's table of capabilities.
 */
static size_t shared_bytes(int sm)
{
    switch (sm) {
    case 70:
    case 72:
        return 96u << 10;
    case 75:
        return 64u << 10;
    case 80:
    case 87:
        return 163u << 10;
    case 90:
    case 100:
    case 101:
    case 103:
        return 227u << 10;
    default:
        return sm < 70 ? 48u << 10 : 99u << 10;
    }
}

static bool describe(struct ahead *a)
{
    int sm = 0, end = 0;

    if (sscanf(a->arch, "sm_%3d%n", &sm, &end) != 1 || a->arch[end] != '\0' || sm <= 0)
        return false;
    a->info = (scr_device_info){.backend = "cuda",
                                .has_fp16 = true,
                                .has_subgroups = true,
                                .has_warpgroups = sm == 90,
                                .sm = sm,
                                .compute_units = 100,
                                .max_group_size = 1024,
                                .local_mem = shared_bytes(sm)};
    return true;
}

static bool same_defines(const struct scr_defines *x, const struct scr_defines *y)
{
    int i = 0;

    for (; x->list[i] != NULL && y->list[i] != NULL; i++) {
        if (strcmp(x->list[i], y->list[i]) != 0)
            return false;
    }
    return x->list[i] == y->list[i];
}

/* Adds what a configuration of a problem is compiled with, unless that is there. */
static int add(struct ahead *a, const scr_problem *p, const scr_config *c)
{
    const struct scr_kernel_decl *decl = scr_decl_find("cuda", c->kernel, c->variant);
    struct job *job = calloc(1, sizeof *job);

    if (job == NULL)
        return SCR_ERR_NO_MEMORY;
    job->decl = decl;
    scr_config_defines(p, c, 0, &job->defines);
    for (const struct job *j = a->jobs; j != NULL; j = j->next) {
        if (j->decl == decl && same_defines(&j->defines, &job->defines)) {
            free(job);
            return SCR_OK;
        }
    }
    job->next = a->jobs;
    a->jobs = job;
    a->n_jobs++;
    return SCR_OK;
}

/* For both types that o may have. What does not fit is left out. */
static int add_resolved(struct ahead *a, scr_problem p, const scr_config *want)
{
    int status = SCR_OK;

    for (int same = 0; same < 2 && status == SCR_OK; same++) {
        scr_config c = *want;

        p.dtype_out = same ? p.dtype : SCR_F32;
        if (scr_config_resolve(&a->info, &p, &c, NULL, 0) == SCR_OK)
            status = add(a, &p, &c);
    }
    return status;
}

static scr_problem problem_of(scr_dtype dtype, int32_t dk, int32_t dv, int32_t len)
{
    return (scr_problem){.batch = 1,
                         .heads_q = 1,
                         .heads_kv = 1,
                         .len_q = len,
                         .len_k = len,
                         .dk = dk,
                         .dv = dv,
                         .q_pos0 = SCR_Q_POS0_DEFAULT,
                         .dtype = dtype};
}

static int add_default(struct ahead *a, scr_dtype dtype, int32_t dk, int32_t dv)
{
    static const scr_config none = {.kernel = "tile-skip", .skip = SCR_SKIP_TILE};

    return add_resolved(a, problem_of(dtype, dk, dv, 4096), &none);
}

static int add_entries(struct ahead *a, const struct scr_table *t)
{
    int status = SCR_OK;

    for (size_t i = 0; i < t->n && status == SCR_OK; i++) {
        const struct scr_table_entry *e = &t->entries[i];
        scr_problem p = problem_of(e->dtype, e->dk, e->dv, e->len_q);

        if (strcmp(e->backend, "cuda") != 0 || strcmp(e->arch, a->arch) != 0) {
            a->n_others++;
            continue;
        }
        if (e->source != scr_source_hash("cuda", e->config.kernel, e->config.variant) ||
            e->space != scr_space_hash("cuda", e->config.kernel, e->config.variant)) {
            a->n_stale++;
            continue;
        }
        a->n_entries++;
        p.len_k = e->len_k;
        p.causal = e->causal;
        status = add_resolved(a, p, &e->config);
        if (status == SCR_OK)
            status = add_default(a, e->dtype, e->dk, e->dv);
    }
    for (int dtype = 0; dtype < 3 && status == SCR_OK; dtype++) {
        for (int dim = 16; dim <= 128 && status == SCR_OK; dim *= 2)
            status = add_default(a, (scr_dtype)dtype, dim, dim);
    }
    return status;
}

/* Reads a table, NULL: the one built in. An exit status; complains. */
static int read_table(const char *path, struct scr_table *t)
{
    char *text = NULL;
    size_t size = 0, n;
    char part[4096];
    FILE *from = NULL, *to = NULL;
    int status = SCR_EXIT_USAGE;

    if (path == NULL)
        return scr_table_parse(scr_builtin_table, scr_builtin_table_size, SCR_TABLE_BUILTIN, t) ==
                       SCR_OK
                   ? SCR_EXIT_FINE
                   : SCR_EXIT_SOME_FAILED;
    from = fopen(path, "rb");
    to = open_memstream(&text, &size);
    if (from == NULL || to == NULL) {
        fprintf(stderr, "tuner: %s: %s\n", path, strerror(errno));
        goto done;
    }
    while ((n = fread(part, 1, sizeof part, from)) > 0)
        fwrite(part, 1, n, to);
    if (ferror(from) || fflush(to) != 0) {
        fprintf(stderr, "tuner: %s: %s\n", path, strerror(errno));
        goto done;
    }
    if (scr_table_parse(text, size, SCR_TABLE_GIVEN, t) != SCR_OK) {
        fprintf(stderr, "tuner: %s: not a table of a version that is known here\n", path);
        goto done;
    }
    if (t->n_bad != 0)
        fprintf(stderr, "tuner: %s: %zu lines passed over: %s\n", path, t->n_bad, t->first_bad);
    status = SCR_EXIT_FINE;
done:
    if (from != NULL)
        fclose(from);
    if (to != NULL)
        fclose(to);
    free(text);
    return status;
}

static void *work(void *user)
{
    struct ahead *a = user;

    pthread_mutex_lock(&a->lock);
    while (a->next != NULL) {
        const struct job *job = a->next;
        char why[1000];
        int status;

        a->next = job->next;
        pthread_mutex_unlock(&a->lock);
        status = scr_cuda_compile_ahead(a->nvrtc, job->decl, job->defines.list, a->arch, a->folder,
                                        why, sizeof why);
        pthread_mutex_lock(&a->lock);
        if (status == SCR_OK)
            continue;
        /* The first says it; what stands in the way of one, a folder or NVRTC, does so of all. */
        if (a->n_failed++ == 0)
            fprintf(stderr, "tuner: %s\n", why);
        if (status != SCR_ERR_COMPILE)
            a->next = NULL;
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static int compile_all(struct ahead *a, int n_threads)
{
    pthread_t threads[MAX_THREADS];
    int started = 0;

    a->next = a->jobs;
    while (started < n_threads && started < MAX_THREADS &&
           pthread_create(&threads[started], NULL, work, a) == 0)
        started++;
    if (started == 0)
        work(a);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (a->n_failed == 0)
        return SCR_EXIT_FINE;
    fprintf(stderr,
            "tuner: --compile-ahead: %d of %d programs failed; above is why the first did\n",
            a->n_failed, a->n_jobs);
    return SCR_EXIT_SOME_FAILED;
}

int scr_compile_ahead_run(const struct scr_tuner_options *o)
{
    struct ahead a = {.arch = o->arch, .folder = o->ahead, .lock = PTHREAD_MUTEX_INITIALIZER};
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    struct scr_table table = {0};
    char why[256];
    int status;

    if (!describe(&a)) {
        fprintf(stderr, "tuner: --arch: '%s' is not an architecture such as sm_90\n", o->arch);
        return SCR_EXIT_USAGE;
    }
    if (scr_nvrtc_load(&a.nvrtc, why, sizeof why) != SCR_OK) {
        fprintf(stderr, "tuner: --compile-ahead: %s\n", why);
        return SCR_EXIT_USAGE;
    }
    status = read_table(o->n_files != 0 ? o->files[0] : NULL, &table);
    if (status != SCR_EXIT_FINE)
        goto done;
    if (add_entries(&a, &table) != SCR_OK) {
        fprintf(stderr, "tuner: out of memory\n");
        status = SCR_EXIT_SOME_FAILED;
        goto done;
    }
    status = compile_all(&a, o->jobs != 0 ? o->jobs : (int)(online > 0 ? online : 1));
    if (status == SCR_EXIT_FINE)
        printf("%d programs for %s in %s: the defaults, and those of %d table entries "
               "(passed over: %d stale, %d of other devices)\n",
               a.n_jobs, a.arch, a.folder, a.n_entries, a.n_stale, a.n_others);
done:
    while (a.jobs != NULL) {
        struct job *job = a.jobs;

        a.jobs = job->next;
        free(job);
    }
    scr_table_clear(&table);
    scr_nvrtc_unload(&a.nvrtc);
    return status;
}

#endif
