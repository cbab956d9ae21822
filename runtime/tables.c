/* SPDX-License-Identifier: Apache-2.0 */
#include "tables.h"

#include "backend.h"
#include "config.h"
#include "scr_features.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t MAX_FILE = (size_t)256 << 20;
static const double LEAST_DENSITY = 1e-6; /* below, nothing is alive: all the same */

uint64_t scr_source_hash(const char *backend, const char *kernel, const char *variant)
{
    const struct scr_kernel_decl *d = scr_decl_find(backend, kernel, variant);

    return d != NULL ? d->source_hash : 0;
}

static uint64_t hash_decl_space(const struct scr_kernel_decl *d)
{
    uint64_t hash = SCR_HASH_START;
    char word[24];

    for (int i = 0; i < d->n_tunables; i++) {
        const struct scr_tunable *t = &d->tunables[i];

        hash = scr_hash(hash, t->name, strlen(t->name) + 1);
        for (int j = 0; j < t->n_values; j++) {
            snprintf(word, sizeof word, "%d ", t->values[j]);
            hash = scr_hash(hash, word, strlen(word));
        }
    }
    return hash;
}

uint64_t scr_space_hash(const char *backend, const char *kernel, const char *variant)
{
    const struct scr_kernel_decl *d = scr_decl_find(backend, kernel, variant);

    return d != NULL ? hash_decl_space(d) : 0;
}

scr_match_level scr_entry_level(const struct scr_table_entry *e, const scr_device_info *info)
{
    if (strcmp(e->backend, info->backend) != 0)
        return SCR_MATCH_DEFAULT;
    if (e->units == info->compute_units && strcmp(e->name, info->name) == 0)
        return SCR_MATCH_DEVICE;
    if (e->arch[0] != '\0' && strcmp(e->arch, info->arch) == 0)
        return SCR_MATCH_ARCH;
    if (e->vendor[0] != '\0' && strcmp(e->vendor, info->vendor) == 0 && e->is_cpu == info->is_cpu)
        return SCR_MATCH_VENDOR;
    return SCR_MATCH_DEFAULT;
}

uint32_t scr_slot_key(scr_dtype dtype, int32_t dk, int32_t dv, bool causal)
{
    if (dk < 0 || dk >= 1 << 14 || dv < 0 || dv >= 1 << 14)
        return UINT32_MAX;
    return (uint32_t)dtype << 29 | (uint32_t)causal << 28 | (uint32_t)dk << 14 | (uint32_t)dv;
}

void scr_slot_place(double len_q, double len_k, double heads, double window, double density,
                    float at[SCR_SLOT_AXES])
{
    at[SCR_SLOT_LEN_Q] = log2f((float)len_q);
    at[SCR_SLOT_LEN_K] = log2f((float)len_k);
    at[SCR_SLOT_HEADS] = log2f((float)heads);
    at[SCR_SLOT_WINDOW] = window > 0 ? log2f((float)fmin(window, len_k)) : 0;
    at[SCR_SLOT_DENSITY] = density > 0 ? log2f((float)fmax(density, LEAST_DENSITY)) : 0;
}

/*
 * Brings the parameters into the declaration's order. False where one is missing, is unknown or has
 * a value that its tunable has not, or where the kernel has no such skip.
 */
static bool make_sound(const struct scr_kernel_decl *d, scr_config *c)
{
    scr_config full = *c;

    if (c->n_params != d->n_tunables ||
        (c->skip != SCR_SKIP_NONE && strcmp(d->kernel, "tile-skip") != 0))
        return false;
    full.n_params = 0;
    for (int i = 0; i < d->n_tunables; i++) {
        const struct scr_tunable *t = &d->tunables[i];
        int32_t value = scr_config_get(c, t->name, INT32_MIN);
        bool known = false;

        for (int j = 0; j < t->n_values; j++)
            known |= t->values[j] == value;
        if (!known || scr_config_set(&full, t->name, value) != SCR_OK)
            return false;
    }
    *c = full;
    return true;
}

static int make_slots(struct scr_tables *t)
{
    const struct scr_kernel_decl *last = NULL;
    uint64_t space = 0;

    t->slots = calloc(t->all.n + 1, sizeof *t->slots);
    if (t->slots == NULL)
        return SCR_ERR_NO_MEMORY;
    for (size_t i = 0; i < t->all.n; i++) {
        struct scr_table_entry *e = &t->all.entries[i];
        struct scr_slot *s = &t->slots[i];

        s->key = scr_slot_key(e->dtype, e->dk, e->dv, e->causal);
        s->order = (uint32_t)i;
        s->skip = (uint8_t)e->config.skip;
        s->best = e->best;
        s->any_window = e->window == 0;
        s->any_density = e->density == 0;
        s->decl = scr_decl_find(e->backend, e->config.kernel, e->config.variant);
        if (s->decl != NULL && s->decl != last)
            space = hash_decl_space(last = s->decl);
        s->stale = s->decl == NULL || s->decl->source_hash != e->source || space != e->space;
        s->sound = !s->stale && make_sound(s->decl, &e->config);
        scr_slot_place(e->len_q, e->len_k, e->heads, e->window, e->density, s->at);
    }
    return SCR_OK;
}

static int compare_slots(const void *left, const void *right)
{
    const struct scr_slot *a = left, *b = right;

    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->level != b->level)
        return a->level < b->level ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

int scr_device_index_make(const struct scr_tables *t, const scr_device_info *info,
                          struct scr_device_index *d)
{
    *d = (struct scr_device_index){.info = info};
    d->slots = malloc((t->all.n + 1) * sizeof *d->slots);
    if (d->slots == NULL)
        return SCR_ERR_NO_MEMORY;
    for (size_t i = 0; i < t->all.n; i++) {
        scr_match_level level = scr_entry_level(&t->all.entries[i], info);

        if (level == SCR_MATCH_DEFAULT)
            continue;
        d->slots[d->n] = t->slots[i];
        d->slots[d->n++].level = (uint8_t)level;
    }
    if (d->n > 0)
        qsort(d->slots, d->n, sizeof *d->slots, compare_slots);
    return SCR_OK;
}

static int make_indices(struct scr_tables *t, const scr_device_info *const *devices, size_t n)
{
    int status = SCR_OK;

    t->devices = calloc(n + 1, sizeof *t->devices);
    if (t->devices == NULL)
        return SCR_ERR_NO_MEMORY;
    t->n_devices = n;
    for (size_t i = 0; i < n && status == SCR_OK; i++)
        status = scr_device_index_make(t, devices[i], &t->devices[i]);
    return status;
}

/* All of a regular file; *text is the caller's to free. 0 or an errno. */
static int read_file(const char *path, char **text, size_t *size)
{
    /* Without O_NONBLOCK a pipe in its place would hold up the program. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    int error = 0;
    size_t n = 0;

    *text = NULL;
    if (fd < 0)
        return errno;
    if (fstat(fd, &st) != 0)
        error = errno;
    else if (!S_ISREG(st.st_mode))
        error = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    else if ((uintmax_t)st.st_size > MAX_FILE)
        error = EFBIG;
    else if ((*text = malloc((size_t)st.st_size + 1)) == NULL)
        error = ENOMEM;
    while (error == 0 && n < (size_t)st.st_size) {
        ssize_t got = read(fd, *text + n, (size_t)st.st_size - n);

        if (got < 0 && errno != EINTR)
            error = errno;
        if (got == 0)
            break;
        n += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    *size = n;
    return error;
}

static void warn(const scr_context *ctx, const char *path, const struct scr_table *t)
{
    if (t->n_bad > 0)
        scr_log(ctx, SCR_LOG_WARNING, "table %s: %zu line%s left out; the first is %s", path,
                t->n_bad, t->n_bad == 1 ? " is" : "s are", t->first_bad);
    if (t->cut)
        scr_log(ctx, SCR_LOG_WARNING,
                "table %s: the last line, which counts the others, is missing or disagrees: the "
                "table was cut or changed",
                path);
}

/* Puts the entries of more behind those of t. */
static int append(struct scr_table *t, const struct scr_table *more)
{
    struct scr_table_entry *grown;

    if (more->n == 0)
        return SCR_OK;
    grown = realloc(t->entries, (t->n + more->n) * sizeof *grown);
    if (grown == NULL)
        return SCR_ERR_NO_MEMORY;
    memcpy(grown + t->n, more->entries, more->n * sizeof *grown);
    t->entries = grown;
    t->n += more->n;
    return SCR_OK;
}

static int add_text(const scr_context *ctx, struct scr_tables *t, scr_table_source source,
                    const char *path, const char *text, size_t size)
{
    struct scr_table one = {.entries = NULL};
    int status = scr_table_parse(text, size, source, &one);

    if (status == SCR_ERR_INVALID) {
        scr_log(ctx, SCR_LOG_WARNING,
                "table %s: not read: its first line is not 'screening-table %d'", path,
                SCR_TABLE_VERSION);
        status = SCR_OK;
    } else if (status == SCR_OK) {
        warn(ctx, path, &one);
        status = append(&t->all, &one);
    }
    scr_table_clear(&one);
    t->paths[source] = strdup(path);
    return t->paths[source] != NULL ? status : SCR_ERR_NO_MEMORY;
}

/* wanted: it is a fault if the file is not there. */
static int add_file(const scr_context *ctx, struct scr_tables *t, scr_table_source source,
                    const char *path, bool wanted)
{
    char *text;
    size_t size = 0;
    int status = SCR_OK;
    int error;

    if (path == NULL || path[0] == '\0')
        return SCR_OK;
    error = read_file(path, &text, &size);
    if (error == 0)
        status = add_text(ctx, t, source, path, text, size);
    else if (wanted || (error != ENOENT && error != ENOTDIR))
        scr_log(ctx, SCR_LOG_WARNING, "table %s: not read: %s", path,
                error == EINVAL ? "not a regular file" : strerror(error));
    free(text);
    return status;
}

int scr_tables_read(const scr_context *ctx, const struct scr_table_places *places,
                    const scr_device_info *const *devices, size_t n_devices,
                    struct scr_tables **out)
{
    struct scr_tables *t = calloc(1, sizeof *t);
    int status;

    *out = NULL;
    if (t == NULL)
        return SCR_ERR_NO_MEMORY;
    status = add_file(ctx, t, SCR_TABLE_GIVEN, places->given, true);
    if (status == SCR_OK)
        status = add_file(ctx, t, SCR_TABLE_ENV, places->env, true);
    if (status == SCR_OK)
        status = add_file(ctx, t, SCR_TABLE_USER, places->user, false);
    if (status == SCR_OK)
        status = add_file(ctx, t, SCR_TABLE_SYSTEM, places->system, false);
    if (status == SCR_OK && places->builtin != NULL)
        status = add_text(ctx, t, SCR_TABLE_BUILTIN, "built into the library", places->builtin,
                          places->builtin_size);
    if (status == SCR_OK)
        status = make_slots(t);
    if (status == SCR_OK)
        status = make_indices(t, devices, n_devices);
    if (status != SCR_OK) {
        scr_tables_free(&t);
        return status;
    }
    *out = t;
    return SCR_OK;
}

/* The user's table, or "". */
static void user_path(char *out, size_t size)
{
    const char *config = secure_getenv("XDG_CONFIG_HOME");
    const char *home = secure_getenv("HOME");
    int n = 0;

    out[0] = '\0';
    if (config != NULL && config[0] == '/')
        n = snprintf(out, size, "%s/screening/table", config);
    else if (home != NULL && home[0] == '/')
        n = snprintf(out, size, "%s/.config/screening/table", home);
    if (n < 0 || (size_t)n >= size)
        out[0] = '\0';
}

int scr_tables_load(const scr_context *ctx, const char *given, struct scr_tables **out)
{
    struct scr_table_places places = {.given = given};
    size_t n = scr_context_device_count(ctx);
    const scr_device_info **devices;
    char user[4096];
    int status;

    *out = NULL;
    devices = calloc(n + 1, sizeof *devices);
    if (devices == NULL)
        return SCR_ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        devices[i] = scr_context_device_info(ctx, i);
    if (given == NULL) {
        user_path(user, sizeof user);
        places = (struct scr_table_places){
            .env = secure_getenv("SCR_TABLE"),
            .user = user,
            .system = SCR_SYSCONFDIR "/screening/table",
            .builtin = scr_builtin_table,
            .builtin_size = scr_builtin_table_size,
        };
    }
    status = scr_tables_read(ctx, &places, devices, n, out);
    free(devices);
    return status;
}

void scr_tables_free(struct scr_tables **pt)
{
    struct scr_tables *t = *pt;

    if (t == NULL)
        return;
    for (size_t i = 0; t->devices != NULL && i < t->n_devices; i++)
        free(t->devices[i].slots);
    for (size_t i = 0; i < sizeof t->paths / sizeof t->paths[0]; i++)
        free(t->paths[i]);
    free(t->devices);
    free(t->slots);
    scr_table_clear(&t->all);
    free(t);
    *pt = NULL;
}
