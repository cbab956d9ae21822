/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --merge: the union of files of records. Any order and any grouping of the inputs give the same
 * bytes: records stand in an order of their own, and what is kept of where they came from is a set.
 */
#include "tools.h"

#include "sweep.h" /* exit statuses */

#include <stdlib.h>
#include <string.h>

/* Stands for more names than there is room for; together with any name it stays itself. */
static const char MANY[] = "many";

enum { MOST_BAD_LINES = 20 };

/* A file of something else has nothing but bad lines: not all of them are said. */
static void note_bad_line(void *user, const char *path, size_t line, const char *why)
{
    size_t *n = user;

    if (++*n <= MOST_BAD_LINES)
        fprintf(stderr, "tuner: %s:%zu: left out: %s\n", path, line, why);
}

/* A set of names, as text: sorted, each once, a comma between. */
static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void set_from(char *names[], size_t n, char *out, size_t size)
{
    size_t used = 0;
    bool fits = true;

    qsort(names, n, sizeof *names, by_name);
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
            continue;
        fits = fits && strcmp(names[i], MANY) != 0 && used + strlen(names[i]) + 2 <= size;
        if (fits)
            used +=
                (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? "," : "", names[i]);
    }
    if (!fits)
        snprintf(out, size, "%s", MANY);
}

static void unite_from(char *from, size_t size, const char *other)
{
    char text[2 * sizeof(((struct scr_record *)0)->from) + 2];
    char *names[sizeof text / 2 + 1], *rest = text, *name;
    size_t n = 0;

    snprintf(text, sizeof text, "%s,%s", from, other);
    while ((name = strsep(&rest, ",")) != NULL) {
        if (*name != '\0')
            names[n++] = name;
    }
    set_from(names, n, from, size);
}

/* The file's name without folders, as it may stand in a list. */
static void file_name(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;

    if (strlen(name) >= size)
        name = MANY;
    snprintf(out, size, "%s", name);
    for (char *s = out; *s != '\0'; s++) {
        if (*s == ',' || (unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
            *s = '_';
    }
}

int scr_records_read_files(const struct scr_tuner_options *o, struct scr_records *out)
{
    char why[600], name[sizeof out->items->from];

    for (int i = 0; i < o->n_files; i++) {
        size_t first = out->n, n_bad = 0;

        if (scr_records_read_noting(o->files[i], out, note_bad_line, &n_bad, why, sizeof why) !=
            SCR_OK) {
            fprintf(stderr, "tuner: %s\n", why);
            return SCR_EXIT_USAGE;
        }
        if (n_bad > MOST_BAD_LINES)
            fprintf(stderr, "tuner: %s: %zu more lines left out\n", o->files[i],
                    n_bad - MOST_BAD_LINES);
        file_name(o->files[i], name, sizeof name);
        for (size_t j = first; j < out->n; j++) {
            struct scr_record *r = &out->items[j];

            unite_from(r->from, sizeof r->from, r->from[0] == '\0' ? name : "");
        }
    }
    return SCR_EXIT_FINE;
}

struct item {
    const struct scr_record *record;
    char *text; /* of all but `from` */
};

#define ORDER(a, b)                                                                                \
    do {                                                                                           \
        if ((a) != (b))                                                                            \
            return (a) < (b) ? -1 : 1;                                                             \
    } while (0)

/* People look for a device, a shape and a kernel; the text settles what is left. */
static int compare_items(const void *pa, const void *pb)
{
    const struct item *a = pa, *b = pb;
    const struct scr_record *r = a->record, *s = b->record;
    int order = scr_record_compare_device(r, s);

    if (order == 0)
        order = scr_record_compare_shape(r, s);
    if (order == 0)
        order = strcmp(r->shape.words, s->shape.words);
    if (order == 0)
        order = strcmp(r->config.kernel, s->config.kernel);
    if (order != 0)
        return order;
    ORDER(r->config.skip, s->config.skip);
    order = strcmp(r->when, s->when);
    if (order != 0)
        return order;
    ORDER(r->kind, s->kind);
    return strcmp(a->text, b->text);
}

static char *text_of(const struct scr_record *r)
{
    struct scr_record copy = *r;
    json_t *j;
    char *text;

    copy.from[0] = '\0';
    j = scr_record_json(&copy);
    text = j != NULL ? json_dumps(j, SCR_RECORD_DUMP) : NULL;
    json_decref(j);
    return text;
}

int scr_records_unite(struct scr_records *records)
{
    struct item *items = calloc(records->n + 1, sizeof *items);
    struct scr_record *sorted = malloc((records->n + 1) * sizeof *sorted);
    size_t n = 0, n_all = records->n;
    int status = SCR_ERR_NO_MEMORY;

    if (items == NULL || sorted == NULL)
        goto out;
    for (size_t i = 0; i < records->n; i++) {
        items[i] = (struct item){&records->items[i], text_of(&records->items[i])};
        if (items[i].text == NULL)
            goto out;
    }
    qsort(items, records->n, sizeof *items, compare_items);
    for (size_t i = 0; i < records->n; i++) {
        if (n > 0 && strcmp(items[i].text, items[i - 1].text) == 0)
            unite_from(sorted[n - 1].from, sizeof sorted[0].from, items[i].record->from);
        else
            sorted[n++] = *items[i].record;
    }
    if (n > 0)
        memcpy(records->items, sorted, n * sizeof *sorted);
    records->n = n;
    status = SCR_OK;
out:
    for (size_t i = 0; items != NULL && i < n_all; i++)
        free(items[i].text);
    free(items);
    free(sorted);
    return status;
}

static char *lines_of(const struct scr_records *records, size_t *size)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, size);
    bool fine = f != NULL;

    for (size_t i = 0; i < records->n && fine; i++) {
        json_t *j = scr_record_json(&records->items[i]);

        fine = j != NULL && json_dumpf(j, f, SCR_RECORD_DUMP) == 0 && putc('\n', f) != EOF;
        json_decref(j);
    }
    if (f != NULL && fclose(f) != 0)
        fine = false;
    if (!fine) {
        free(text);
        text = NULL;
    }
    return text;
}

int scr_merge_run(const struct scr_tuner_options *o)
{
    struct scr_records records = {0};
    char why[600] = "out of memory", *text = NULL;
    size_t size = 0, n_read;
    int result = scr_records_read_files(o, &records);

    if (result != SCR_EXIT_FINE)
        goto out;
    n_read = records.n;
    result = SCR_EXIT_SOME_FAILED;
    if (scr_records_unite(&records) != SCR_OK || (text = lines_of(&records, &size)) == NULL ||
        scr_write_whole(o->out, text, size, why, sizeof why) != SCR_OK) {
        fprintf(stderr, "tuner: --merge: %s\n", why);
        goto out;
    }
    result = SCR_EXIT_FINE;
    if (strcmp(o->out, "-") != 0)
        printf("%s: %zu records from %d file%s; %zu more than once, %zu lines left out\n", o->out,
               records.n, o->n_files, o->n_files == 1 ? "" : "s", n_read - records.n,
               records.n_bad);
out:
    free(text);
    scr_records_clear(&records);
    return result;
}
