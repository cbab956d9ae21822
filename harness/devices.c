/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"

#include "child.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static const char *const backend_names[SCR_N_BACKENDS] = {"cuda", "opencl", "ref"};
static const double SURVEY_LIMIT_S = 60; /* many GPUs take their time to wake up */

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

/* Copies what the context found. */
static int take_found(struct scr_devices *d)
{
    d->n_found = scr_context_device_count(d->ctx);
    d->found = calloc(d->n_found + 1, sizeof *d->found);
    if (d->found == NULL)
        return SCR_ERR_NO_MEMORY;
    for (size_t i = 0; i < d->n_found; i++)
        d->found[i] = *scr_context_device_info(d->ctx, i);
    for (int i = 0; i < SCR_N_BACKENDS; i++)
        snprintf(d->notes[i], sizeof d->notes[i], "%s",
                 scr_context_backend_note(d->ctx, backend_names[i]));
    return SCR_OK;
}

static void init(struct scr_devices *d)
{
    memset(d, 0, sizeof *d);
    pthread_mutex_init(&d->log.lock, NULL);
}

int scr_devices_load(struct scr_devices *d, const char *backends, const char *limits)
{
    scr_context_options options = {
        .log = keep_first, .log_user = &d->log, .backends = backends, .limits = limits};
    int status;

    init(d);
    snprintf(d->backends, sizeof d->backends, "%s",
             backends != NULL ? backends : "cuda,opencl,ref");
    status = scr_context_create(&options, &d->ctx);
    return status == SCR_OK ? take_found(d) : status;
}

/* What a child looks for. */
struct wanted {
    char backends[40];
    const char *limits;
};

/* In the child: what was found, as bytes: the notes, then the devices. */
static const char *found_bytes(void *user, size_t *size)
{
    const struct wanted *w = user;
    struct scr_devices d;
    char *bytes;

    if (scr_devices_load(&d, w->backends, w->limits) != SCR_OK)
        return NULL;
    *size = sizeof d.notes + d.n_found * sizeof *d.found;
    bytes = malloc(*size);
    if (bytes == NULL)
        return NULL;
    memcpy(bytes, d.notes, sizeof d.notes);
    memcpy(bytes + sizeof d.notes, d.found, d.n_found * sizeof *d.found);
    return bytes;
}

/* Asks a child for the devices of some backends and adds them. False and why when it failed. */
static bool survey(struct scr_devices *d, const char *backends, const char *limits, char *why,
                   size_t why_size)
{
    struct wanted wanted = {.limits = limits};
    struct answer {
        char notes[SCR_N_BACKENDS][200];
        scr_device_info found[];
    } * answer;
    size_t n;
    scr_device_info *grown;

    snprintf(wanted.backends, sizeof wanted.backends, "%s", backends);
    answer = scr_child_ask(found_bytes, &wanted, SURVEY_LIMIT_S, &n, why, why_size);
    if (answer == NULL)
        return false;
    n = (n - sizeof answer->notes) / sizeof answer->found[0];
    grown = realloc(d->found, (d->n_found + n + 1) * sizeof *grown);
    if (grown != NULL) {
        d->found = grown;
        memcpy(d->found + d->n_found, answer->found, n * sizeof *grown);
        d->n_found += n;
    }
    for (int i = 0; i < SCR_N_BACKENDS; i++) {
        if (strstr(backends, backend_names[i]) != NULL)
            memcpy(d->notes[i], answer->notes[i], sizeof d->notes[i]);
    }
    scr_append(d->backends, sizeof d->backends, "%s%s", d->backends[0] != '\0' ? "," : "",
               backends);
    free(answer);
    return grown != NULL;
}

int scr_devices_survey(struct scr_devices *d, const char *limits)
{
    char why[200];

    init(d);
    if (survey(d, "cuda,opencl,ref", limits, why, sizeof why))
        return SCR_OK;
    for (int i = 0; i < SCR_N_BACKENDS; i++) {
        if (!survey(d, backend_names[i], limits, why, sizeof why))
            snprintf(d->notes[i], sizeof d->notes[i], "looking for its devices %.150s", why);
    }
    return d->n_found > 0 ? SCR_OK : SCR_ERR_DEVICE;
}

void scr_devices_clear(struct scr_devices *d)
{
    for (size_t i = 0; i < d->n; i++)
        scr_device_close(&d->open[i]);
    scr_context_destroy(&d->ctx);
    free(d->found);
    pthread_mutex_destroy(&d->log.lock);
}

scr_device *scr_devices_open(struct scr_devices *d, size_t i)
{
    if (d->open[i] == NULL && d->ctx != NULL)
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
    for (size_t i = 0; i < d->n_found; i++) {
        const scr_device_info *info = &d->found[i];

        if (strcmp(info->backend, backend) == 0 && (cpu < 0 || info->is_cpu == cpu))
            return info;
    }
    return NULL;
}

static int choose_word(struct scr_devices *d, const char *word, char *why, size_t why_size)
{
    const char *note = NULL;
    bool found = false;
    char backend[16];

    for (size_t i = 0; i < d->n_found; i++) {
        const scr_device_info *info = &d->found[i];

        if (strcmp(word, "all") == 0 || strcmp(word, info->backend) == 0 ||
            strcmp(word, info->id) == 0) {
            add(d, info);
            found = true;
        }
    }
    if (found)
        return SCR_OK;
    snprintf(backend, sizeof backend, "%.*s", (int)strcspn(word, ":"), word);
    for (int i = 0; i < SCR_N_BACKENDS; i++) {
        if (strcmp(backend, backend_names[i]) == 0)
            note = d->notes[i];
    }
    if (note == NULL) {
        snprintf(why, why_size,
                 "--device %s: no such device; expected all, cuda, opencl, ref or an id that "
                 "harness --list-devices shows",
                 word);
        return SCR_ERR_NOT_FOUND;
    }
    snprintf(why, why_size, "--device %s: not found%s%s%s", word, note[0] != '\0' ? " (" : "", note,
             note[0] != '\0' ? ")" : "; harness --list-devices shows what is there");
    return SCR_ERR_NOT_FOUND;
}

static const char *note_of(const struct scr_devices *d, const char *backend)
{
    for (int i = 0; i < SCR_N_BACKENDS; i++) {
        if (strcmp(backend, backend_names[i]) == 0)
            return d->notes[i];
    }
    return "";
}

int scr_devices_choose(struct scr_devices *d, const char *selection, bool with_cpu, char *why,
                       size_t why_size)
{
    const scr_device_info *cpu, *best, *limited = NULL;

    why[0] = '\0';
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
    if (best != NULL && note_of(d, "cuda")[0] != '\0') {
        limited = best;
        best = NULL;
    }
    if (best == NULL)
        best = first(d, "opencl", 0);
    if (best != NULL)
        add(d, best);
    if (cpu != NULL && (best == NULL || with_cpu))
        add(d, cpu);
    if (d->n == 0 && limited != NULL)
        add(d, limited);
    else if (limited != NULL)
        snprintf(why, why_size, "%s is left out: %s; --device %s takes it all the same",
                 limited->id, note_of(d, "cuda"), limited->id);
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
    if (info->has_warpgroups)
        fprintf(f, "  warpgroups");
    if (info->pci[0] != '\0')
        fprintf(f, "  pci %s", info->pci);
    fputc('\n', f);
}

void scr_devices_print(const struct scr_devices *d, FILE *f)
{
    for (size_t i = 0; i < d->n_found; i++)
        print_device(&d->found[i], f);
    for (int i = 0; i < SCR_N_BACKENDS; i++) {
        if (first(d, backend_names[i], -1) == NULL) {
            fprintf(f, "%-11s none (%s)\n", backend_names[i],
                    d->notes[i][0] != '\0' ? d->notes[i] : "no device found");
        } else if (d->notes[i][0] != '\0') {
            fprintf(f, "%-11s %s\n", backend_names[i], d->notes[i]);
        }
    }
}
