/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"

#include <string.h>

static const char *const backend_names[] = {"cuda", "opencl", "ref"};
enum { N_BACKENDS = sizeof backend_names / sizeof backend_names[0] };

static void keep_first(void *user, int level, const char *text)
{
    struct scr_log_sink *log = user;

    if (level != SCR_LOG_ERROR)
        return;
    pthread_mutex_lock(&log->lock);
    if (log->first[0] == '\0') {
        text += strspn(text, "\r\n \t");
        snprintf(log->first, sizeof log->first, "%.*s", (int)strcspn(text, "\r\n"), text);
    }
    pthread_mutex_unlock(&log->lock);
}

void scr_log_clear(struct scr_log_sink *log)
{
    pthread_mutex_lock(&log->lock);
    log->first[0] = '\0';
    pthread_mutex_unlock(&log->lock);
}

void scr_log_first(struct scr_log_sink *log, char *out, size_t size)
{
    pthread_mutex_lock(&log->lock);
    snprintf(out, size, "%s", log->first);
    pthread_mutex_unlock(&log->lock);
}

int scr_devices_init(struct scr_devices *d)
{
    scr_context_options options = {.log = keep_first, .log_user = &d->log};
    int status;

    memset(d, 0, sizeof *d);
    pthread_mutex_init(&d->log.lock, NULL);
    status = scr_context_create(&options, &d->ctx);
    if (status != SCR_OK)
        pthread_mutex_destroy(&d->log.lock);
    return status;
}

void scr_devices_clear(struct scr_devices *d)
{
    if (d->ctx == NULL)
        return;
    for (size_t i = 0; i < d->n; i++)
        scr_device_close(&d->open[i]);
    scr_context_destroy(&d->ctx);
    pthread_mutex_destroy(&d->log.lock);
}

scr_device *scr_devices_open(struct scr_devices *d, size_t i)
{
    if (d->open[i] == NULL)
        scr_device_open(d->ctx, d->info[i]->id, &d->open[i]);
    return d->open[i];
}

static void add(struct scr_devices *d, const scr_device_info *info)
{
    for (size_t i = 0; i < d->n; i++) {
        if (d->info[i] == info)
            return;
    }
    if (d->n < SCR_MAX_DEVICES)
        d->info[d->n++] = info;
}

/* The first device of a backend; cpu: 0 or 1 asks for one that is or is not a CPU, -1 any. */
static const scr_device_info *first(const struct scr_devices *d, const char *backend, int cpu)
{
    for (size_t i = 0; i < scr_context_device_count(d->ctx); i++) {
        const scr_device_info *info = scr_context_device_info(d->ctx, i);

        if (strcmp(info->backend, backend) == 0 && (cpu < 0 || info->is_cpu == cpu))
            return info;
    }
    return NULL;
}

static int choose_word(struct scr_devices *d, const char *word, char *why, size_t why_size)
{
    const char *note = "";
    bool is_backend = false;
    bool found = false;
    char backend[16];

    for (size_t i = 0; i < scr_context_device_count(d->ctx); i++) {
        const scr_device_info *info = scr_context_device_info(d->ctx, i);

        if (strcmp(word, "all") == 0 || strcmp(word, info->backend) == 0 ||
            strcmp(word, info->id) == 0) {
            add(d, info);
            found = true;
        }
    }
    if (found)
        return SCR_OK;
    snprintf(backend, sizeof backend, "%.*s", (int)strcspn(word, ":"), word);
    for (int i = 0; i < N_BACKENDS; i++)
        is_backend |= strcmp(backend, backend_names[i]) == 0;
    if (!is_backend) {
        snprintf(why, why_size,
                 "--device %s: no such device; expected all, cuda, opencl, ref or an id that "
                 "--list-devices shows",
                 word);
        return SCR_ERR_NOT_FOUND;
    }
    note = scr_context_backend_note(d->ctx, backend);
    snprintf(why, why_size, "--device %s: not found%s%s%s", word, note[0] != '\0' ? " (" : "", note,
             note[0] != '\0' ? ")" : "; --list-devices shows what is there");
    return SCR_ERR_NOT_FOUND;
}

int scr_devices_choose(struct scr_devices *d, const char *selection, bool with_cpu, char *why,
                       size_t why_size)
{
    const scr_device_info *cpu, *best;

    if (selection != NULL) {
        for (const char *s = selection;;) {
            size_t len = strcspn(s, ",");
            char word[64];
            int status;

            snprintf(word, sizeof word, "%.*s", (int)len, s);
            status = choose_word(d, word, why, why_size);
            if (status != SCR_OK || s[len] == '\0')
                return status;
            s += len + 1;
        }
    }
    cpu = first(d, "opencl", 1);
    if (cpu == NULL)
        cpu = first(d, "ref", -1);
    best = first(d, "cuda", -1);
    if (best == NULL)
        best = first(d, "opencl", 0);
    if (best != NULL)
        add(d, best);
    if (cpu != NULL && (best == NULL || with_cpu))
        add(d, cpu);
    if (d->n > 0)
        return SCR_OK;
    snprintf(why, why_size, "no device found");
    return SCR_ERR_NOT_FOUND;
}

static void print_bytes(FILE *f, const char *what, size_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double x = (double)bytes;
    int unit = 0;

    if (bytes == 0)
        return;
    for (; x >= 1024 && unit < 4; unit++)
        x /= 1024;
    fprintf(f, "  %s %.*f %s", what, x < 10 && unit > 1 ? 1 : 0, x, units[unit]);
}

static void print_device(const scr_device_info *info, FILE *f)
{
    fprintf(f, "%-11s %s%s%s\n", info->id, info->name, info->arch[0] != '\0' ? ", " : "",
            info->arch);
    fprintf(f, "%-11s driver %s%s%s\n", "", info->driver,
            info->platform[0] != '\0' ? "; platform " : "", info->platform);
    fprintf(f, "%-11s %d unit%s", "", (int)info->compute_units,
            info->compute_units == 1 ? "" : "s");
    print_bytes(f, "memory", info->global_mem);
    print_bytes(f, "local", info->local_mem);
    print_bytes(f, "cache", info->cache_bytes);
    if (info->is_cpu)
        fprintf(f, "  cpu");
    if (info->has_fp16)
        fprintf(f, "  fp16");
    if (info->has_subgroups)
        fprintf(f, "  subgroups");
    if (info->pci[0] != '\0')
        fprintf(f, "  pci %s", info->pci);
    fputc('\n', f);
}

void scr_devices_print(const struct scr_devices *d, FILE *f)
{
    for (size_t i = 0; i < scr_context_device_count(d->ctx); i++)
        print_device(scr_context_device_info(d->ctx, i), f);
    for (int i = 0; i < N_BACKENDS; i++) {
        if (first(d, backend_names[i], -1) == NULL) {
            const char *note = scr_context_backend_note(d->ctx, backend_names[i]);

            fprintf(f, "%-11s none (%s)\n", backend_names[i],
                    note[0] != '\0' ? note : "no device found");
        }
    }
}
