/* SPDX-License-Identifier: Apache-2.0 */
/* A table as text: its lines, each read by itself, between the first and the last. */
#include "table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head[] = "screening-table ";

size_t scr_table_head(char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%s%d\n", head, SCR_TABLE_VERSION);
}

size_t scr_table_tail(size_t n_entries, uint64_t checksum, char *out, size_t size)
{
    return (size_t)snprintf(out, size, "end %zu %016" PRIx64 "\n", n_entries, checksum);
}

/* A table while it is read. */
struct reader {
    struct scr_table *out;
    size_t room;
    scr_table_source origin;
    int32_t line;
    size_t n_lines; /* that the last one has to count */
    uint64_t checksum;
    bool ended;
};

static bool is_end(const char *s, size_t n, const struct reader *r)
{
    char tail[64];
    size_t len = scr_table_tail(r->n_lines, r->checksum, tail, sizeof tail);

    return n + 1 == len && memcmp(s, tail, n) == 0;
}

static int add_entry(struct reader *r, const char *s, size_t n)
{
    struct scr_table *t = r->out;
    struct scr_table_entry e;
    char why[120];

    if (scr_table_entry_parse(s, n, &e, why, sizeof why) != SCR_OK) {
        if (t->n_bad++ == 0)
            snprintf(t->first_bad, sizeof t->first_bad, "line %d: %s", (int)r->line, why);
        return SCR_OK;
    }
    if (t->n == r->room) {
        size_t room = r->room == 0 ? 64 : 2 * r->room;
        struct scr_table_entry *grown = realloc(t->entries, room * sizeof *grown);

        if (grown == NULL)
            return SCR_ERR_NO_MEMORY;
        t->entries = grown;
        r->room = room;
    }
    e.origin = r->origin;
    e.line = r->line;
    t->entries[t->n++] = e;
    return SCR_OK;
}

/* s without its newline. */
static int add_line(struct reader *r, const char *s, size_t n)
{
    if (n == 0 || s[0] == '#')
        return SCR_OK;
    if (n >= 4 && memcmp(s, "end ", 4) == 0) {
        r->ended = is_end(s, n, r);
        return SCR_OK;
    }
    r->ended = false;
    r->n_lines++;
    r->checksum = scr_hash(r->checksum, s, n);
    r->checksum = scr_hash(r->checksum, "\n", 1);
    return add_entry(r, s, n);
}

static bool is_head(const char *s, size_t n)
{
    char known[32];
    size_t len = scr_table_head(known, sizeof known);

    return n + 1 == len && memcmp(s, known, n) == 0;
}

int scr_table_parse(const char *text, size_t n, scr_table_source origin, struct scr_table *out)
{
    struct reader r = {.out = out, .room = out->n, .origin = origin, .checksum = SCR_HASH_START};
    int status = SCR_OK;

    for (const char *s = text, *end = text + n; s < end && status == SCR_OK;) {
        const char *newline = memchr(s, '\n', (size_t)(end - s));
        const char *stop = newline != NULL ? newline : end;
        size_t len = (size_t)(stop - s);

        if (len > 0 && s[len - 1] == '\r')
            len--;
        if (++r.line > 1)
            status = add_line(&r, s, len);
        else if (!is_head(s, len))
            return SCR_ERR_INVALID;
        s = newline != NULL ? newline + 1 : end;
    }
    if (r.line == 0)
        return SCR_ERR_INVALID;
    out->cut |= !r.ended;
    return status;
}

void scr_table_clear(struct scr_table *t)
{
    free(t->entries);
    *t = (struct scr_table){.entries = NULL};
}
