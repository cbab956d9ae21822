/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts, devices and buffers: checks the arguments, then calls the backend. */
#include "backend.h"

#include "cache.h"
#include "config.h"
#include "device_limits.h"
#include "program.h"
#include "scr_features.h"
#include "tables.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order in which devices are listed. */
static const struct scr_backend *const backends[] = {
#if SCR_HAVE_CUDA
    &scr_backend_cuda,
#endif
#if SCR_HAVE_OPENCL
    &scr_backend_opencl,
#endif
    &scr_backend_ref,
};
enum { N_BACKENDS = sizeof backends / sizeof backends[0] };

struct loaded {
    bool loaded;
    void *backend_ctx;
    char note[160];
};

struct scr_context {
    scr_log_fn log;
    void *log_user;
    struct loaded loaded[N_BACKENDS];
    struct scr_cache *cache;
    scr_device_info **devices;
    size_t n_devices;
    struct scr_tables *tables;
    struct scr_limits limits;
};

void scr_log(const scr_context *ctx, int level, const char *format, ...)
{
    char small[512];
    char *text = small;
    va_list ap;
    int n;

    if (ctx->log == NULL)
        return;
    va_start(ap, format);
    n = vsnprintf(small, sizeof small, format, ap);
    va_end(ap);
    if (n >= (int)sizeof small && (text = malloc((size_t)n + 1)) != NULL) {
        va_start(ap, format);
        vsnprintf(text, (size_t)n + 1, format, ap);
        va_end(ap);
    }
    ctx->log(ctx->log_user, level, text != NULL ? text : small);
    if (text != small)
        free(text);
}

int scr_context_add_device(scr_context *ctx, const scr_device_info *info)
{
    scr_device_info **grown = realloc(ctx->devices, (ctx->n_devices + 1) * sizeof *grown);
    scr_device_info *copy;

    if (grown == NULL)
        return SCR_ERR_NO_MEMORY;
    ctx->devices = grown;
    copy = malloc(sizeof *copy);
    if (copy == NULL)
        return SCR_ERR_NO_MEMORY;
    *copy = *info;
    scr_limits_apply(&ctx->limits, copy);
    ctx->devices[ctx->n_devices++] = copy;
    return SCR_OK;
}

int scr_context_create(const scr_context_options *options, scr_context **out)
{
    static const scr_context_options none;
    scr_context *ctx;
    char why[160];
    int status;

    if (out == NULL)
        return SCR_ERR_INVALID;
    *out = NULL;
    if (options == NULL)
        options = &none;
    ctx = calloc(1, sizeof *ctx);
    if (ctx == NULL)
        return SCR_ERR_NO_MEMORY;
    ctx->log = options->log;
    ctx->log_user = options->log_user;
    status = scr_limits_parse(options->limits, &ctx->limits, why, sizeof why);
    if (status != SCR_OK)
        scr_log(ctx, SCR_LOG_ERROR, "limits: %s", why);
    else
        status = scr_cache_open(ctx, options->cache_dir, &ctx->cache);
    for (int i = 0; i < N_BACKENDS && status == SCR_OK; i++) {
        struct loaded *l = &ctx->loaded[i];

        if (!scr_list_has(options->backends, backends[i]->name)) {
            snprintf(l->note, sizeof l->note, "not asked for");
            continue;
        }
        status = backends[i]->load(ctx, &l->backend_ctx, l->note, sizeof l->note);
        l->loaded = status == SCR_OK;
        if (l->note[0] != '\0')
            scr_log(ctx, SCR_LOG_INFO, "%s: %s", backends[i]->name, l->note);
    }
    if (status == SCR_OK)
        status = scr_tables_load(ctx, options->table, &ctx->tables);
    if (status != SCR_OK) {
        scr_context_destroy(&ctx);
        return status;
    }
    *out = ctx;
    return SCR_OK;
}

const struct scr_tables *scr_context_tables(const scr_context *ctx)
{
    return ctx->tables;
}

void scr_context_destroy(scr_context **pctx)
{
    scr_context *ctx = *pctx;

    if (ctx == NULL)
        return;
    for (int i = 0; i < N_BACKENDS; i++) {
        if (ctx->loaded[i].loaded)
            backends[i]->unload(ctx->loaded[i].backend_ctx);
    }
    scr_cache_close(&ctx->cache);
    scr_tables_free(&ctx->tables);
    for (size_t i = 0; i < ctx->n_devices; i++)
        free(ctx->devices[i]);
    free(ctx->devices);
    free(ctx);
    *pctx = NULL;
}

const struct scr_cache *scr_context_cache(const scr_context *ctx)
{
    return ctx->cache;
}

size_t scr_context_device_count(const scr_context *ctx)
{
    return ctx->n_devices;
}

const scr_device_info *scr_context_device_info(const scr_context *ctx, size_t i)
{
    return i < ctx->n_devices ? ctx->devices[i] : NULL;
}

const char *scr_context_backend_note(const scr_context *ctx, const char *backend)
{
    for (int i = 0; i < N_BACKENDS; i++) {
        if (strcmp(backends[i]->name, backend) == 0)
            return ctx->loaded[i].note;
    }
    return "not built into this library";
}

static const scr_device_info *find_info(const scr_context *ctx, const char *id)
{
    for (size_t i = 0; i < ctx->n_devices; i++) {
        if (strcmp(ctx->devices[i]->id, id) == 0)
            return ctx->devices[i];
    }
    return NULL;
}

/* A device of a backend that has loaded something, or NULL. info may be NULL. */
static scr_device *device_create(scr_context *ctx, const char *backend, const scr_device_info *info)
{
    scr_device *dev = calloc(1, sizeof *dev);

    if (dev == NULL)
        return NULL;
    dev->ctx = ctx;
    dev->info = info;
    for (int i = 0; i < N_BACKENDS; i++) {
        if (strcmp(backends[i]->name, backend) == 0) {
            dev->backend = backends[i];
            dev->backend_ctx = ctx->loaded[i].backend_ctx;
        }
    }
    pthread_mutex_init(&dev->mutex, NULL);
    pthread_cond_init(&dev->built, NULL);
    return dev;
}

static void device_free(scr_device *dev)
{
    if (dev->index != NULL)
        free(dev->index->slots);
    free(dev->index);
    pthread_cond_destroy(&dev->built);
    pthread_mutex_destroy(&dev->mutex);
    free(dev);
}

int scr_device_open(scr_context *ctx, const char *id, scr_device **out)
{
    const scr_device_info *info = find_info(ctx, id);
    scr_device *dev;
    int status;

    *out = NULL;
    if (info == NULL)
        return SCR_ERR_NOT_FOUND;
    dev = device_create(ctx, info->backend, info);
    if (dev == NULL)
        return SCR_ERR_NO_MEMORY;
    status = dev->backend->open(dev);
    if (status != SCR_OK) {
        device_free(dev);
        return status;
    }
    *out = dev;
    return SCR_OK;
}

/* id is the name of a backend that found its driver. */
static bool names_backend(const scr_context *ctx, const char *id)
{
    for (int i = 0; i < N_BACKENDS; i++) {
        if (strcmp(backends[i]->name, id) == 0)
            return ctx->loaded[i].loaded && ctx->loaded[i].backend_ctx != NULL;
    }
    return false;
}

/* A device that the context does not list has an index of the tables for itself. */
static int add_index(scr_device *dev)
{
    if (dev->info != &dev->attached)
        return SCR_OK;
    dev->index = calloc(1, sizeof *dev->index);
    return dev->index != NULL
               ? scr_device_index_make(scr_context_tables(dev->ctx), dev->info, dev->index)
               : SCR_ERR_NO_MEMORY;
}

int scr_device_attach(scr_context *ctx, const char *id, const scr_native *native, scr_device **out)
{
    const scr_device_info *info = find_info(ctx, id);
    scr_device *dev;
    int status;

    *out = NULL;
    if (info == NULL && !names_backend(ctx, id))
        return SCR_ERR_NOT_FOUND;
    dev = device_create(ctx, info != NULL ? info->backend : id, info);
    if (dev == NULL)
        return SCR_ERR_NO_MEMORY;
    status = dev->backend->attach != NULL ? dev->backend->attach(dev, native) : SCR_ERR_UNSUPPORTED;
    if (status != SCR_OK) {
        device_free(dev);
        return status;
    }
    if (dev->info == &dev->attached)
        scr_limits_apply(&ctx->limits, &dev->attached);
    status = add_index(dev);
    if (status != SCR_OK) {
        scr_device_close(&dev);
        return status;
    }
    *out = dev;
    return SCR_OK;
}

void scr_device_close(scr_device **pdev)
{
    if (*pdev == NULL)
        return;
    scr_programs_destroy(*pdev);
    (*pdev)->backend->close(*pdev);
    device_free(*pdev);
    *pdev = NULL;
}

const scr_device_info *scr_device_get_info(const scr_device *dev)
{
    return dev->info;
}

int scr_device_synchronize(scr_device *dev)
{
    return dev->backend->synchronize(dev);
}

int scr_buffer_create(scr_device *dev, size_t bytes, scr_buffer **out)
{
    scr_buffer *buf;
    int status;

    *out = NULL;
    if (bytes == 0)
        return SCR_ERR_INVALID;
    if (dev->info->max_alloc != 0 && bytes > dev->info->max_alloc)
        return SCR_ERR_NO_MEMORY;
    buf = calloc(1, sizeof *buf);
    if (buf == NULL)
        return SCR_ERR_NO_MEMORY;
    buf->dev = dev;
    buf->bytes = bytes;
    status = dev->backend->buffer_create(buf);
    if (status != SCR_OK) {
        free(buf);
        return status;
    }
    *out = buf;
    return SCR_OK;
}

void scr_buffer_destroy(scr_buffer **pbuf)
{
    if (*pbuf == NULL)
        return;
    (*pbuf)->dev->backend->buffer_destroy(*pbuf);
    free(*pbuf);
    *pbuf = NULL;
}

size_t scr_buffer_bytes(const scr_buffer *buf)
{
    return buf->bytes;
}

static bool in_range(const scr_buffer *buf, size_t offset, size_t bytes)
{
    return offset <= buf->bytes && bytes <= buf->bytes - offset;
}

int scr_buffer_write(scr_buffer *buf, size_t offset, const void *host, size_t bytes)
{
    if (!in_range(buf, offset, bytes))
        return SCR_ERR_INVALID;
    return bytes == 0 ? SCR_OK : buf->dev->backend->buffer_write(buf, offset, host, bytes);
}

int scr_buffer_read(scr_buffer *buf, size_t offset, void *host, size_t bytes)
{
    if (!in_range(buf, offset, bytes))
        return SCR_ERR_INVALID;
    return bytes == 0 ? SCR_OK : buf->dev->backend->buffer_read(buf, offset, host, bytes);
}

int scr_buffer_fill(scr_buffer *buf, size_t offset, uint8_t byte, size_t bytes)
{
    if (!in_range(buf, offset, bytes))
        return SCR_ERR_INVALID;
    return bytes == 0 ? SCR_OK : buf->dev->backend->buffer_fill(buf, offset, byte, bytes);
}
