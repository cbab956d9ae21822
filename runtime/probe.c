/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes. A probe's kernel takes the arguments of every kernel, of which it uses
 *
 *   q           MATRIX: x[16], y[16] of dtype, x[i] y[i] = 1;  BANDWIDTH: the buffer to read
 *   r           MATRIX: 16 zeros, from which its sums start
 *   workspace   its results, a word a work-item: the sum of its products as f32 (MATRIX), the sum
 *               of its 32-bit words modulo 2^32 (BANDWIDTH)
 *   shape       len_k: how often it repeats itself
 *
 * and declares its groups, its workspace and its work with LEN_Q, the number of compute units, and
 * LEN_K, the repeats. Repeats of MATRIX are a power of two, so that the sums are exact.
 */
#include "backend.h"
#include "config.h"
#include "program.h"
#include "ref/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    OPERANDS = 16,
    STARTS = 16,
    MAX_REPEATS = 1 << 17, /* sums stay below 2^24 */
    FILL_BYTE = 1,
};

struct scr_probe {
    scr_device *dev;
    scr_probe_kind kind;
    const struct scr_kernel_decl *decl;
    struct scr_program *program; /* the device's */
    scr_problem problem;
    scr_config config;
    scr_buffer *q, *r, *results;
    scr_pointers args;
    size_t work;
    bool ran;
    struct scr_run run;
};

/* The nth of those that suit the device; NULL where there are not so many. */
static const struct scr_kernel_decl *find_decl(const scr_device *dev, scr_probe_kind kind,
                                               const scr_problem *p, int nth)
{
    static const char *const names[] = {"probe-empty", "probe-matrix", "probe-bandwidth"};

    for (size_t i = 0; i < scr_probe_decl_count; i++) {
        const struct scr_kernel_decl *d = &scr_probe_decls[i];
        struct scr_decl_env env;

        scr_env_init(&env, dev->info, p, SCR_SKIP_NONE);
        if (strcmp(d->backend, dev->info->backend) == 0 && strcmp(d->kernel, names[kind]) == 0 &&
            d->supports(&env) && scr_decl_fits(d, &env) && nth-- == 0)
            return d;
    }
    return NULL;
}

static scr_problem problem_of(const scr_device *dev, scr_dtype dtype)
{
    scr_problem p = {
        .batch = 1,
        .heads_q = 1,
        .heads_kv = 1,
        .len_q = dev->info->compute_units > 1 ? dev->info->compute_units : 1,
        .len_k = 1,
        .dk = 16,
        .dv = 16,
        .dtype = dtype,
    };

    return p;
}

scr_dtype scr_probe_dtype(const scr_device *dev, scr_dtype dtype)
{
    scr_problem p = problem_of(dev, dtype);

    return find_decl(dev, SCR_PROBE_MATRIX, &p, 0) != NULL ? dtype : SCR_F32;
}

/* Geometry and work for a number of repeats, with the parameters in probe->config. */
static void set_repeats(scr_probe *probe, int32_t repeats)
{
    const struct scr_kernel_decl *d = probe->decl;
    struct scr_decl_env env;

    probe->problem.len_k = repeats;
    scr_env_init(&env, probe->dev->info, &probe->problem, SCR_SKIP_NONE);
    scr_env_set_tunables(&env, d, &probe->config);
    probe->work = d->work(&env);
    scr_run_set_launches(&probe->run, d, &env);
    probe->run.shape = (struct scr_shape){.len_q = probe->problem.len_q, .len_k = repeats};
}

static void drop_program(scr_probe *probe)
{
    if (probe->run.state != NULL)
        probe->dev->backend->plan_destroy(probe->program, &probe->run);
    probe->run.state = NULL;
    probe->program = NULL;
}

/* The program of the parameters in probe->config, doing one repeat. */
static int set_program(scr_probe *probe)
{
    struct scr_defines defines;
    int status;

    drop_program(probe);
    set_repeats(probe, 1);
    scr_config_defines(&probe->problem, &probe->config, 0, &defines);
    status = scr_program_get(probe->dev, probe->decl, defines.list, &probe->program);
    if (status == SCR_OK && probe->dev->backend->plan_create != NULL)
        status = probe->dev->backend->plan_create(probe->program, &probe->run);
    return status;
}

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The shorter of two runs by the host's clock: one alone may have been held up. */
static int time_run(scr_probe *probe, double *ns)
{
    *ns = 0.0;
    for (int i = 0; i < 2; i++) {
        double start = now_ns();
        int status = scr_probe_run(probe, NULL);

        if (status == SCR_OK)
            status = scr_device_synchronize(probe->dev);
        if (status != SCR_OK)
            return status;
        if (i == 0 || now_ns() - start < *ns)
            *ns = now_ns() - start;
    }
    return SCR_OK;
}

/* Doubles the repeats until a run takes long enough; *rate is then its work a nanosecond. */
static int lengthen(scr_probe *probe, double *rate)
{
    const double long_enough_ns = 4e6;
    double ns;
    int status;

    set_repeats(probe, 1);
    /* The first run of a program may include part of its compilation. */
    status = time_run(probe, &ns);
    for (int32_t repeats = 1; status == SCR_OK; repeats *= 2) {
        set_repeats(probe, repeats);
        status = time_run(probe, &ns);
        if (ns >= long_enough_ns || repeats == MAX_REPEATS)
            break;
    }
    *rate = status == SCR_OK && ns > 0.0 ? (double)probe->work / ns : 0.0;
    return status;
}

static size_t least(size_t a, size_t b)
{
    return b != 0 && b < a ? b : a;
}

static size_t bytes_to_read(const scr_device_info *info)
{
    size_t bytes = (size_t)(info->is_cpu ? 64 : 1024) << 20;

    if (bytes < 4 * info->cache_bytes)
        bytes = 4 * info->cache_bytes;
    return least(least(bytes, info->global_mem / 4), info->max_alloc);
}

static int make_operands(scr_probe *probe)
{
    float values[2 * OPERANDS];
    char stored[sizeof values];
    size_t bytes = 2 * OPERANDS * scr_dtype_bytes(probe->problem.dtype);
    int status;

    for (int i = 0; i < OPERANDS; i++) {
        float x = (i % 3 == 0 ? 0.5f : i % 3 == 1 ? 1.0f : 2.0f) * (i % 2 == 0 ? 1.0f : -1.0f);

        values[i] = x;
        values[OPERANDS + i] = 1.0f / x;
    }
    scr_store_f32(stored, values, probe->problem.dtype, 2 * OPERANDS);
    status = scr_buffer_create(probe->dev, bytes, &probe->q);
    if (status == SCR_OK)
        status = scr_buffer_write(probe->q, 0, stored, bytes);
    if (status == SCR_OK)
        status = scr_buffer_create(probe->dev, STARTS * sizeof(float), &probe->r);
    if (status == SCR_OK)
        status = scr_buffer_fill(probe->r, 0, 0, STARTS * sizeof(float));
    return status;
}

static int make_results(scr_probe *probe)
{
    struct scr_decl_env env;
    size_t bytes;
    int status;

    scr_env_init(&env, probe->dev->info, &probe->problem, SCR_SKIP_NONE);
    scr_env_set_tunables(&env, probe->decl, &probe->config);
    bytes = probe->decl->workspace(&env);
    scr_buffer_destroy(&probe->results);
    status = scr_buffer_create(probe->dev, bytes, &probe->results);
    probe->run.workspace = probe->results;
    return status;
}

/* So that a later check sees what later runs wrote. */
static int clear_results(scr_probe *probe)
{
    probe->ran = false;
    return scr_buffer_fill(probe->results, 0, 0, scr_buffer_bytes(probe->results));
}

/* One declaration of a MATRIX probe with a value of its tunable, if it has one. */
struct way {
    const struct scr_kernel_decl *decl;
    scr_config config;
    int32_t repeats;
    double rate; /* work a nanosecond */
};

static int take_way(scr_probe *probe, const struct way *way)
{
    int status;

    drop_program(probe);
    probe->decl = way->decl;
    probe->config = way->config;
    status = make_results(probe);
    if (status == SCR_OK)
        status = set_program(probe);
    return status;
}

/* Keeps in *best the faster of it and this one, whose results must be right. */
static int try_way(scr_probe *probe, struct way *way, struct way *best)
{
    int status = take_way(probe, way);

    if (status == SCR_OK)
        status = lengthen(probe, &way->rate);
    if (status == SCR_OK)
        status = scr_probe_check(probe);
    way->repeats = probe->problem.len_k;
    if (status == SCR_OK && (best->decl == NULL || way->rate >= best->rate))
        *best = *way;
    return status;
}

/* The fastest of all ways that the device has; one that fails is left out, if another does not. */
static int make_matrix(scr_probe *probe)
{
    struct way best = {.decl = NULL};
    const struct scr_kernel_decl *d;
    int failure = SCR_OK;
    int status = make_operands(probe);

    if (status != SCR_OK)
        return status;
    for (int nth = 0; (d = find_decl(probe->dev, SCR_PROBE_MATRIX, &probe->problem, nth)) != NULL;
         nth++) {
        for (int i = 0; i < (d->n_tunables != 0 ? d->tunables[0].n_values : 1); i++) {
            struct way way = {.decl = d};

            if (d->n_tunables != 0)
                scr_config_set(&way.config, d->tunables[0].name, d->tunables[0].values[i]);
            status = try_way(probe, &way, &best);
            if (status != SCR_OK)
                failure = status;
        }
    }
    if (best.decl == NULL)
        return failure;
    status = take_way(probe, &best);
    if (status == SCR_OK) {
        set_repeats(probe, best.repeats);
        status = clear_results(probe);
    }
    return status;
}

static int make_bandwidth(scr_probe *probe)
{
    size_t repeats;
    int status = set_program(probe);

    if (status != SCR_OK)
        return status;
    repeats = bytes_to_read(probe->dev->info) / probe->work;
    set_repeats(probe, repeats > 1 ? (int32_t)repeats : 1);
    status = scr_buffer_create(probe->dev, probe->work, &probe->q);
    if (status == SCR_OK)
        status = scr_buffer_fill(probe->q, 0, FILL_BYTE, probe->work);
    if (status == SCR_OK)
        status = make_results(probe);
    if (status == SCR_OK)
        status = clear_results(probe);
    return status;
}

int scr_probe_create(scr_device *dev, scr_probe_kind kind, scr_dtype dtype, scr_probe **out)
{
    scr_probe *probe;
    int status;

    *out = NULL;
    if (kind < SCR_PROBE_EMPTY || kind > SCR_PROBE_BANDWIDTH || dtype < SCR_F32 || dtype > SCR_BF16)
        return SCR_ERR_INVALID;
    probe = calloc(1, sizeof *probe);
    if (probe == NULL)
        return SCR_ERR_NO_MEMORY;
    probe->dev = dev;
    probe->kind = kind;
    probe->problem =
        problem_of(dev, kind == SCR_PROBE_MATRIX ? scr_probe_dtype(dev, dtype) : SCR_F32);
    probe->run.problem = &probe->problem;
    probe->run.config = &probe->config;
    probe->run.args = &probe->args;
    probe->decl = find_decl(dev, kind, &probe->problem, 0);
    if (probe->decl == NULL)
        status = SCR_ERR_UNSUPPORTED;
    else if (kind == SCR_PROBE_MATRIX)
        status = make_matrix(probe);
    else if (kind == SCR_PROBE_BANDWIDTH)
        status = make_bandwidth(probe);
    else
        status = set_program(probe);
    if (status != SCR_OK) {
        scr_probe_destroy(&probe);
        return status;
    }
    *out = probe;
    return SCR_OK;
}

void scr_probe_destroy(scr_probe **pprobe)
{
    scr_probe *probe = *pprobe;

    if (probe == NULL)
        return;
    drop_program(probe);
    scr_buffer_destroy(&probe->q);
    scr_buffer_destroy(&probe->r);
    scr_buffer_destroy(&probe->results);
    free(probe);
    *pprobe = NULL;
}

double scr_probe_work(const scr_probe *probe)
{
    return (double)probe->work;
}

int scr_probe_run(scr_probe *probe, double *ns)
{
    int status;

    probe->args =
        (scr_pointers){.q = scr_buffer_memory(probe->q), .r = scr_buffer_memory(probe->r)};
    status = probe->dev->backend->run(probe->program, &probe->run, ns);
    probe->ran = status == SCR_OK;
    return status == SCR_ERR_UNSUPPORTED ? SCR_ERR_DEVICE : status;
}

/* The word that every work-item must have left: all have the same share of the work. */
static uint32_t expected_word(const scr_probe *probe, size_t n_results)
{
    float products = (float)(probe->work / 2 / n_results);
    uint32_t bits;

    if (probe->kind == SCR_PROBE_BANDWIDTH)
        return (uint32_t)(probe->work / 4 / n_results) * (0x01010101u * FILL_BYTE);
    memcpy(&bits, &products, sizeof bits);
    return bits;
}

int scr_probe_check(scr_probe *probe)
{
    size_t n_wrong = 0;
    size_t n, bytes;
    uint32_t *words;
    int status;

    if (!probe->ran)
        return SCR_ERR_INVALID;
    if (probe->results == NULL)
        return scr_device_synchronize(probe->dev);
    bytes = scr_buffer_bytes(probe->results);
    n = bytes / sizeof *words;
    words = malloc(bytes);
    if (words == NULL)
        return SCR_ERR_NO_MEMORY;
    status = scr_buffer_read(probe->results, 0, words, bytes);
    for (size_t i = 0; status == SCR_OK && i < n; i++)
        n_wrong += words[i] != expected_word(probe, n);
    free(words);
    if (status == SCR_OK && n_wrong == 0)
        status = clear_results(probe);
    if (n_wrong == 0)
        return status;
    scr_log(probe->dev->ctx, SCR_LOG_ERROR, "%s: %zu of %zu results of %s are wrong",
            probe->dev->info->id, n_wrong, n, probe->decl->kernel);
    return SCR_ERR_DEVICE;
}
