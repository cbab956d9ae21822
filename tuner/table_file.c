/* SPDX-License-Identifier: Apache-2.0 */
/* --table: a table as text, and where it goes. */
#include "tools.h"

#include "sweep.h" /* exit statuses */

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *scr_table_text(const struct scr_table *t, size_t *size)
{
    size_t room = (t->n + 2) * SCR_TABLE_LINE, n = 0, len;
    uint64_t checksum = SCR_HASH_START;
    char *text = malloc(room);

    if (text == NULL)
        return NULL;
    n += scr_table_head(text, room);
    for (size_t i = 0; i < t->n; i++) {
        len = scr_table_entry_format(&t->entries[i], text + n, SCR_TABLE_LINE);
        if (len == 0) {
            free(text);
            return NULL;
        }
        checksum = scr_hash(checksum, text + n, len);
        n += len;
    }
    n += scr_table_tail(t->n, checksum, text + n, room - n);
    *size = n;
    return text;
}

/* Makes the folders that a file is to be in. */
static bool make_folders(char *path)
{
    for (char *s = path + 1; *s != '\0'; s++) {
        struct stat st;

        if (*s != '/')
            continue;
        *s = '\0';
        if (stat(path, &st) != 0 && mkdir(path, 0777) != 0)
            return false;
        *s = '/';
    }
    return true;
}

/* The table that every program of the user looks into; "" where there is no home. */
static void users_table(char *out, size_t size)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    out[0] = '\0';
    if (config != NULL && config[0] == '/')
        snprintf(out, size, "%s/screening/table", config);
    else if (home != NULL && home[0] == '/')
        snprintf(out, size, "%s/.config/screening/table", home);
}

static size_t n_devices(const struct scr_table *t)
{
    size_t n = t->n > 0;

    for (size_t i = 1; i < t->n; i++) {
        const struct scr_table_entry *a = &t->entries[i - 1], *b = &t->entries[i];

        n += strcmp(a->backend, b->backend) != 0 || strcmp(a->name, b->name) != 0 ||
             a->units != b->units;
    }
    return n;
}

int scr_make_table_run(const struct scr_tuner_options *o)
{
    struct scr_records records = {0};
    struct scr_table table = {0};
    char why[600] = "out of memory", path[4096], *text = NULL;
    const char *out = o->out;
    size_t size = 0, n_stale = 0;
    int result = scr_records_read_files(o, &records);

    if (result != SCR_EXIT_FINE)
        goto out;
    result = SCR_EXIT_SOME_FAILED;
    if (scr_table_from_records(&records, &table, &n_stale) != SCR_OK) {
        fprintf(stderr, "tuner: --table: out of memory\n");
        goto out;
    }
    if (n_stale > 0)
        fprintf(
            stderr,
            "tuner: --table: %zu winner%s left out: the kernel has changed since; see --stale\n",
            n_stale, n_stale == 1 ? "" : "s");
    if (table.n == 0) {
        fprintf(stderr, "tuner: --table: no winner in the records; the table stays as it is\n");
        goto out;
    }
    if (out == NULL) {
        users_table(path, sizeof path);
        out = path;
        if (path[0] == '\0') {
            fprintf(stderr, "tuner: --table: HOME is not set; expected -o TABLE\n");
            goto out;
        }
        if (!make_folders(path)) {
            fprintf(stderr, "tuner: --table: %s: its folder cannot be made\n", path);
            goto out;
        }
    }
    text = scr_table_text(&table, &size);
    if (text == NULL || scr_write_whole(out, text, size, why, sizeof why) != SCR_OK) {
        fprintf(stderr, "tuner: --table: %s\n", why);
        goto out;
    }
    result = SCR_EXIT_FINE;
    if (strcmp(out, "-") != 0)
        printf("%s: %zu entries for %zu device%s\n", out, table.n, n_devices(&table),
               n_devices(&table) == 1 ? "" : "s");
out:
    free(text);
    scr_table_clear(&table);
    scr_records_clear(&records);
    return result;
}
