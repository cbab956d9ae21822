/* SPDX-License-Identifier: Apache-2.0 */
#include "cache.h"

#include "cache_file.h"
#include "scr_features.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct scr_cache {
    char *folder; /* "": none */
    bool given;   /* the folder is the caller's choice */
    char *ahead;  /* colon list */
};

/* What a folder may grow to; a program has some ten or hundred kilobytes. */
static const uint64_t folder_limit = (uint64_t)512 << 20;

/* "A/B", or "A" where b is NULL; NULL when memory is short. */
static char *join(const char *a, const char *b)
{
    size_t bytes = strlen(a) + (b != NULL ? strlen(b) + 1 : 0) + 1;
    char *text = malloc(bytes);

    if (text != NULL)
        snprintf(text, bytes, "%s%s%s", a, b != NULL ? "/" : "", b != NULL ? b : "");
    return text;
}

static char *find_folder(const char *given)
{
    const char *own = secure_getenv("SCR_CACHE_DIR");
    const char *xdg = secure_getenv("XDG_CACHE_HOME");
    const char *home = secure_getenv("HOME");

    if (given != NULL)
        return join(given, NULL);
    if (own != NULL)
        return join(own, NULL);
    if (xdg != NULL && xdg[0] == '/') /* its specification has relative ones ignored */
        return join(xdg, "screening");
    if (home != NULL && home[0] != '\0')
        return join(home, ".cache/screening");
    return join("", NULL);
}

static char *find_ahead(void)
{
    const char *own = secure_getenv("SCR_KERNELS");
    size_t bytes;
    char *text;

    if (own == NULL || own[0] == '\0')
        return join(SCR_KERNELS_DIR, NULL);
    bytes = strlen(own) + sizeof ":" SCR_KERNELS_DIR;
    text = malloc(bytes);
    if (text != NULL)
        snprintf(text, bytes, "%s:%s", own, SCR_KERNELS_DIR);
    return text;
}

int scr_cache_open(const scr_context *ctx, const char *folder, struct scr_cache **out)
{
    struct scr_cache *cache = calloc(1, sizeof *cache);
    struct stat st;

    *out = cache;
    if (cache == NULL)
        return SCR_ERR_NO_MEMORY;
    cache->folder = find_folder(folder);
    cache->given = folder != NULL;
    cache->ahead = find_ahead();
    if (cache->folder == NULL || cache->ahead == NULL) {
        scr_cache_close(out);
        return SCR_ERR_NO_MEMORY;
    }
    /* Programs are run: nobody else may put some there. */
    if (cache->folder[0] != '\0' && stat(cache->folder, &st) == 0 && (st.st_mode & S_IWOTH) != 0) {
        scr_log(ctx, SCR_LOG_WARNING,
                "compile cache %s not used: every user may write to it (chmod o-w)", cache->folder);
        cache->folder[0] = '\0';
    }
    return SCR_OK;
}

void scr_cache_close(struct scr_cache **pcache)
{
    if (*pcache == NULL)
        return;
    free((*pcache)->folder);
    free((*pcache)->ahead);
    free(*pcache);
    *pcache = NULL;
}

/* The text that stands in the file; NULL when memory is short. */
static char *key_text(const struct scr_cache_key *key, bool ahead)
{
    const struct scr_kernel_decl *d = key->decl;
    size_t size = 0;
    char *text = NULL;
    FILE *f = open_memstream(&text, &size);

    if (f == NULL)
        return NULL;
    fprintf(f, "library %s\nbackend %s\nkernel %s\nvariant %s\nsource %016" PRIx64 "\ntarget %s\n",
            scr_version_text(), d->backend, d->kernel, d->variant, d->source_hash, key->target);
    if (!ahead)
        fprintf(f, "device %s\ndriver %s\n", key->device, key->driver);
    for (int i = 0; key->defines[i] != NULL; i++)
        fprintf(f, "define %s\n", key->defines[i]);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* Looks into one folder; says on SCR_LOG_DEBUG what came of it. */
static int get_from(const scr_context *ctx, const char *folder, const struct scr_cache_key *key,
                    const char *text, void **data, size_t *size)
{
    char name[SCR_CACHE_NAME];
    const char *why;
    int status = scr_cache_file_read(folder, text, data, size, &why);

    scr_cache_file_name(text, name);
    if (status == SCR_OK)
        scr_log(ctx, SCR_LOG_DEBUG, "cache: %s is in %s/%s", key->decl->file, folder, name);
    else
        scr_log(ctx, SCR_LOG_DEBUG, "cache: %s is not in %s/%s: %s", key->decl->file, folder, name,
                why);
    return status;
}

int scr_cache_get(const scr_context *ctx, const struct scr_cache_key *key, void **data,
                  size_t *size)
{
    const struct scr_cache *cache = scr_context_cache(ctx);
    char folder[PATH_MAX];
    int status = SCR_ERR_NOT_FOUND;
    char *text = key_text(key, false);

    *data = NULL;
    *size = 0;
    if (text == NULL)
        return SCR_ERR_NO_MEMORY;
    if (cache->folder[0] != '\0')
        status = get_from(ctx, cache->folder, key, text, data, size);
    free(text);
    if (status != SCR_ERR_NOT_FOUND)
        return status;
    text = key_text(key, true);
    if (text == NULL)
        return SCR_ERR_NO_MEMORY;
    for (const char *s = cache->ahead; status == SCR_ERR_NOT_FOUND && *s != '\0';) {
        size_t n = strcspn(s, ":");

        if (n != 0 && n < sizeof folder) {
            snprintf(folder, sizeof folder, "%.*s", (int)n, s);
            status = get_from(ctx, folder, key, text, data, size);
        }
        s += n + (s[n] == ':');
    }
    free(text);
    return status;
}

bool scr_cache_keeps(const scr_context *ctx, bool driver_has_own)
{
    const struct scr_cache *cache = scr_context_cache(ctx);

    return cache->folder[0] != '\0' && (cache->given || !driver_has_own);
}

void scr_cache_put(const scr_context *ctx, const struct scr_cache_key *key, const void *data,
                   size_t size)
{
    const struct scr_cache *cache = scr_context_cache(ctx);
    char *text;
    int error;

    if (cache->folder[0] == '\0')
        return;
    text = key_text(key, false);
    if (text == NULL)
        return;
    error = scr_cache_file_write(cache->folder, text, data, size);
    if (error == ENOENT && (error = scr_cache_folder_make(cache->folder, 0700)) == 0)
        error = scr_cache_file_write(cache->folder, text, data, size);
    if (error != 0)
        scr_log(ctx, SCR_LOG_DEBUG, "cache: %s not kept in %s: %s", key->decl->file, cache->folder,
                strerror(error));
    else
        scr_cache_folder_trim(cache->folder, folder_limit);
    free(text);
}

int scr_cache_put_ahead(const char *folder, const struct scr_cache_key *key, const void *data,
                        size_t size, char *why, size_t why_size)
{
    char *text = key_text(key, true);
    int error = text != NULL ? scr_cache_folder_make(folder, 0777) : ENOMEM;

    if (error == 0)
        error = scr_cache_file_write(folder, text, data, size);
    free(text);
    if (error == 0)
        return SCR_OK;
    snprintf(why, why_size, "%s: %s", folder, strerror(error));
    return SCR_ERR_INVALID;
}
