/* SPDX-License-Identifier: Apache-2.0 */
/* The ref backend: plain C on the host's processors. One device, ref:0, which is always there. */
#include "backend.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/*
 * Threads that wait for work between runs. A job is announced by a new `generation`; whoever takes
 * part draws indices from `next` until none is left. One caller at a time has the threads; another
 * does its work alone, which on a machine that is busy anyway is as quick.
 */
struct pool {
    pthread_mutex_t caller; /* held by the one whose job it is */
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    pthread_t *threads;
    int n_threads; /* besides the calling one */
    unsigned generation;
    int busy;
    bool stop;
    size_t n, next;
    void (*body)(void *user, size_t i);
    void *user;
};

static void take_part(struct pool *pool)
{
    for (;;) {
        size_t i = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED);

        if (i >= pool->n)
            return;
        pool->body(pool->user, i);
    }
}

static void *thread_main(void *arg)
{
    struct pool *pool = arg;
    unsigned seen = 0;

    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (pool->generation == seen && !pool->stop)
            pthread_cond_wait(&pool->work, &pool->mutex);
        if (pool->stop)
            break;
        seen = pool->generation;
        pthread_mutex_unlock(&pool->mutex);
        take_part(pool);
        pthread_mutex_lock(&pool->mutex);
        if (--pool->busy == 0)
            pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static void pool_for(void *arg, size_t n, void (*body)(void *user, size_t i), void *user)
{
    struct pool *pool = arg;

    if (pthread_mutex_trylock(&pool->caller) != 0) {
        for (size_t i = 0; i < n; i++)
            body(user, i);
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->n = n;
    pool->next = 0;
    pool->body = body;
    pool->user = user;
    pool->busy = pool->n_threads;
    pool->generation++;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    take_part(pool);
    pthread_mutex_lock(&pool->mutex);
    while (pool->busy > 0)
        pthread_cond_wait(&pool->done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    pthread_mutex_unlock(&pool->caller);
}

static void pool_destroy(struct pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->n_threads; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->mutex);
    pthread_mutex_destroy(&pool->caller);
    free(pool->threads);
    free(pool);
}

/* Runs with fewer threads where the system gives no more. */
static struct pool *pool_create(int threads)
{
    struct pool *pool = calloc(1, sizeof *pool);

    if (pool == NULL)
        return NULL;
    pthread_mutex_init(&pool->caller, NULL);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->threads = calloc((size_t)threads, sizeof *pool->threads);
    if (pool->threads == NULL) {
        pool_destroy(pool);
        return NULL;
    }
    for (int i = 0; i < threads - 1; i++) {
        if (pthread_create(&pool->threads[i], NULL, thread_main, pool) != 0)
            break;
        pool->n_threads++;
    }
    return pool;
}

static int available_threads(void)
{
    cpu_set_t set;
    long n;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

/* The value of the first line of /proc/cpuinfo with that key; out keeps its content if none. */
static void read_cpuinfo(const char *key, char *out, size_t size)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[512];

    if (f == NULL)
        return;
    while (fgets(line, sizeof line, f) != NULL) {
        char *value = strchr(line, ':');

        if (value == NULL || strncmp(line, key, strlen(key)) != 0)
            continue;
        value += 1 + strspn(value + 1, " \t");
        value[strcspn(value, "\n")] = '\0';
        if (value[0] != '\0')
            snprintf(out, size, "%.*s", (int)size - 1, value);
        break;
    }
    fclose(f);
}

static size_t known_size(long value, long unit)
{
    return value > 0 && unit > 0 ? (size_t)value * (size_t)unit : 0;
}

/* Reads one number of a file of the system's: "32768K", "0-7,64-71" (the first). 0: no such file.
 */
static bool read_number(const char *format, int cpu, int index, unsigned long *out)
{
    char path[80];
    FILE *f;
    bool good;

    snprintf(path, sizeof path, format, cpu, index);
    f = fopen(path, "r");
    if (f == NULL)
        return false;
    good = fscanf(f, "%lu", out) == 1;
    fclose(f);
    return good;
}

/* All last-level caches together. The system's files first: sysconf gives ten times as much on some
 * AMD processors. */
static size_t cache_bytes(void)
{
    unsigned long kib, first;
    size_t bytes = 0, instances = 0;
    int last = -1;

    for (int i = 0; i < 8; i++) {
        if (!read_number("/sys/devices/system/cpu/cpu%d/cache/index%d/size", 0, i, &kib))
            break;
        if (kib * 1024 > bytes) {
            bytes = kib * 1024;
            last = i;
        }
    }
    /* A cache belongs to the first of the processors that share it. */
    for (int cpu = 0; last >= 0; cpu++) {
        if (!read_number("/sys/devices/system/cpu/cpu%d/cache/index%d/shared_cpu_list", cpu, last,
                         &first))
            break;
        instances += first == (unsigned long)cpu;
    }
    bytes *= instances > 0 ? instances : 1;
#ifdef _SC_LEVEL3_CACHE_SIZE
    if (bytes == 0)
        bytes = known_size(sysconf(_SC_LEVEL3_CACHE_SIZE), 1);
#endif
    return bytes;
}

static int ref_load(scr_context *ctx, void **backend_ctx, char *note, size_t note_size)
{
    scr_device_info info = {
        .id = "ref:0",
        .backend = "ref",
        .name = "CPU",
        .platform = "C",
        .is_cpu = true,
        .compute_units = available_threads(),
        .max_group_size = 1 << 20,
        .global_mem = known_size(sysconf(_SC_PHYS_PAGES), sysconf(_SC_PAGESIZE)),
        .local_mem = (size_t)1 << 30, /* nothing limits the C kernels */
        .cache_bytes = cache_bytes(),
    };
    struct utsname system;

    (void)note;
    (void)note_size;
    *backend_ctx = NULL;
#if defined(__clang__)
    snprintf(info.driver, sizeof info.driver, "clang %s", __clang_version__);
#elif defined(__GNUC__)
    snprintf(info.driver, sizeof info.driver, "gcc %s", __VERSION__);
#endif
    if (uname(&system) == 0)
        snprintf(info.arch, sizeof info.arch, "%.*s", (int)sizeof info.arch - 1, system.machine);
    read_cpuinfo("model name", info.name, sizeof info.name);
    read_cpuinfo("vendor_id", info.vendor, sizeof info.vendor);
    return scr_context_add_device(ctx, &info);
}

static void ref_unload(void *backend_ctx)
{
    (void)backend_ctx;
}

static int ref_open(scr_device *dev)
{
    dev->impl = pool_create(dev->info->compute_units);
    return dev->impl != NULL ? SCR_OK : SCR_ERR_NO_MEMORY;
}

static void ref_close(scr_device *dev)
{
    pool_destroy(dev->impl);
}

/* Every call has finished when it returns. */
static int ref_synchronize(scr_device *dev)
{
    (void)dev;
    return SCR_OK;
}

static int ref_buffer_create(scr_buffer *buf)
{
    return posix_memalign(&buf->impl, 64, buf->bytes) == 0 ? SCR_OK : SCR_ERR_NO_MEMORY;
}

static void ref_buffer_destroy(scr_buffer *buf)
{
    free(buf->impl);
}

static int ref_buffer_write(scr_buffer *buf, size_t offset, const void *host, size_t bytes)
{
    memcpy((char *)buf->impl + offset, host, bytes);
    return SCR_OK;
}

static int ref_buffer_read(scr_buffer *buf, size_t offset, void *host, size_t bytes)
{
    memcpy(host, (const char *)buf->impl + offset, bytes);
    return SCR_OK;
}

static int ref_buffer_fill(scr_buffer *buf, size_t offset, uint8_t byte, size_t bytes)
{
    memset((char *)buf->impl + offset, byte, bytes);
    return SCR_OK;
}

/* The kernels are compiled in and read their parameters from the call. */
static int ref_program_create(struct scr_program *prog, const char *const *defines)
{
    (void)defines;
    prog->impl = NULL;
    return SCR_OK;
}

static void ref_program_destroy(struct scr_program *prog)
{
    (void)prog;
}

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int ref_run(struct scr_program *prog, const struct scr_run *run, double *ns)
{
    const scr_pointers *args = run->args;
    struct scr_host_call call = {
        .problem = run->problem,
        .config = run->config,
        .q = args->q,
        .k = args->k,
        .v = args->v,
        .r = args->r,
        .w = args->w,
        .kv_len = args->kv_len,
        .o = args->o != NULL ? (char *)args->o + args->o_offset : NULL,
        .workspace = scr_buffer_memory(run->workspace),
        .counters = scr_buffer_memory(run->counters),
        .live_root = run->fault_skip ? 0.25f : 0.0f,
        .parallel_for = pool_for,
        .pool = prog->dev->impl,
    };
    double start;

    if (run->counters != NULL)
        memset(run->counters->impl, 0, run->counters->bytes);
    start = now_ns();
    prog->decl->host(&call);
    if (ns != NULL)
        *ns = now_ns() - start;
    return SCR_OK;
}

const struct scr_backend scr_backend_ref = {
    .name = "ref",
    .load = ref_load,
    .unload = ref_unload,
    .open = ref_open,
    .close = ref_close,
    .synchronize = ref_synchronize,
    .buffer_create = ref_buffer_create,
    .buffer_destroy = ref_buffer_destroy,
    .buffer_write = ref_buffer_write,
    .buffer_read = ref_buffer_read,
    .buffer_fill = ref_buffer_fill,
    .program_create = ref_program_create,
    .program_destroy = ref_program_destroy,
    .run = ref_run,
};
