/* SPDX-License-Identifier: Apache-2.0 */
#include "compare_print.h"

#include "text.h"

#include <screening/error.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 100, LABEL_AT = 66, MAX_ROWS = 60, MAX_NAMED = 8, FIELD = 260, LABEL = 1200 };

/* What tells rows apart, in the order in which a person would say it. */
typedef void (*field_fn)(const struct scr_row *r, char *out);

#define TEXT_FIELD(field, prefix)                                                                  \
    static void field_##field(const struct scr_row *r, char *out)                                  \
    {                                                                                              \
        if (r->field[0] != '\0')                                                                   \
            snprintf(out, FIELD, prefix "%s", r->field);                                           \
    }
#define NUMBER_FIELD(field)                                                                        \
    static void field_##field(const struct scr_row *r, char *out)                                  \
    {                                                                                              \
        if (isfinite(r->field))                                                                    \
            snprintf(out, FIELD, #field "=%.6g", r->field);                                        \
    }
TEXT_FIELD(device, "")
TEXT_FIELD(peer, "peer=")
TEXT_FIELD(op, "")
TEXT_FIELD(kernel, "")
TEXT_FIELD(variant, "")
TEXT_FIELD(dtype, "")
TEXT_FIELD(dtype_out, "out=")
TEXT_FIELD(window, "window=")
TEXT_FIELD(kv_len, "kv_len=")
TEXT_FIELD(cache, "")
NUMBER_FIELD(batch)
NUMBER_FIELD(heads)
NUMBER_FIELD(kv_heads)
NUMBER_FIELD(dk)
NUMBER_FIELD(dv)
NUMBER_FIELD(q_pos0)
NUMBER_FIELD(r)
NUMBER_FIELD(trace_head)

static void field_skip(const struct scr_row *r, char *out)
{
    if (strcmp(r->kernel, "tile-skip") == 0)
        snprintf(out, FIELD, "skip=%s", r->skip);
}

static void field_tile(const struct scr_row *r, char *out)
{
    if (isfinite(r->tile_q))
        snprintf(out, FIELD, "%.0fx%.0f", r->tile_q, r->tile_k);
}

/* The parameters, without the tile. */
static void field_params(const struct scr_row *r, char *out)
{
    for (const char *s = r->params; *s != '\0';) {
        size_t n = strcspn(s, " ");

        if (strncmp(s, "TILE_Q=", 7) != 0 && strncmp(s, "TILE_K=", 7) != 0)
            scr_append(out, FIELD, "%s%.*s", out[0] != '\0' ? " " : "", (int)n, s);
        s += n + (s[n] == ' ');
    }
}

static void field_workload(const struct scr_row *r, char *out)
{
    const char *slash = strncmp(r->workload, "trace:", 6) == 0 ? strrchr(r->workload, '/') : NULL;

    snprintf(out, FIELD, "%s%.200s", slash != NULL ? "trace:" : "",
             slash != NULL ? slash + 1 : r->workload);
}

static void field_seq(const struct scr_row *r, char *out)
{
    if (r->seq_q == r->seq_k)
        snprintf(out, FIELD, "seq=%.0f", r->seq_q);
    else
        snprintf(out, FIELD, "seq=%.0f kv=%.0f", r->seq_q, r->seq_k);
}

static void field_causal(const struct scr_row *r, char *out)
{
    snprintf(out, FIELD, "%s", r->causal ? "causal" : "bidirectional");
}

static void field_norm(const struct scr_row *r, char *out)
{
    snprintf(out, FIELD, "norm=%d", r->norm);
}

static void field_seed(const struct scr_row *r, char *out)
{
    snprintf(out, FIELD, "seed=%llu", (unsigned long long)r->seed);
}

static const field_fn fields[] = {
    field_device,  field_peer,   field_op,     field_kernel,    field_skip,     field_tile,
    field_variant, field_params, field_dtype,  field_dtype_out, field_workload, field_trace_head,
    field_seq,     field_window, field_r,      field_batch,     field_heads,    field_kv_heads,
    field_dk,      field_dv,     field_causal, field_norm,      field_q_pos0,   field_kv_len,
    field_seed,    field_cache,
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

struct printer {
    const struct scr_compare_options *o;
    const struct scr_comparison *c;
    bool varies[N_FIELDS]; /* among all rows of the comparison */
    const struct scr_row *any;
    bool markdown;
    FILE *f;
};

static void note_row(struct printer *p, const struct scr_row *r)
{
    if (p->any == NULL)
        p->any = r;
    for (int i = 0; i < N_FIELDS; i++) {
        char first[FIELD] = "", here[FIELD] = "";

        fields[i](p->any, first);
        fields[i](r, here);
        p->varies[i] |= strcmp(first, here) != 0;
    }
}

static void join_fields(const struct printer *p, const struct scr_row *r, bool varying, char *out,
                        size_t size)
{
    out[0] = '\0';
    for (int i = 0; i < N_FIELDS; i++) {
        char field[FIELD] = "";

        if (p->varies[i] != varying)
            continue;
        fields[i](r, field);
        if (field[0] != '\0')
            scr_append(out, size, "%s%s", out[0] != '\0' ? " " : "", field);
    }
}

/* What tells a row from the others. */
static void label(const struct printer *p, const struct scr_row *r, char *out, size_t size)
{
    join_fields(p, r, true, out, size);
    if (out[0] == '\0')
        snprintf(out, size, "%s %s", r->device, r->kernel);
}

/* Broken at blanks to the width; lines after the first are indented. */
static void print_indented(const char *text, size_t at, size_t indent, FILE *f)
{
    while (strlen(text) > WIDTH - at) {
        size_t cut = WIDTH - at;

        while (cut > 0 && text[cut] != ' ')
            cut--;
        if (cut == 0)
            cut = strcspn(text, " ");
        if (text[cut] == '\0')
            break;
        fprintf(f, "%.*s\n%*s", (int)cut, text, (int)indent, "");
        text += cut + 1;
        at = indent;
    }
    fprintf(f, "%s\n", text);
}

static void say(const struct printer *p, const char *text)
{
    if (p->markdown)
        fprintf(p->f, "- %s\n", text);
    else
        print_indented(text, 0, 2, p->f);
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static const char *change_text(enum scr_change change)
{
    static const char *const texts[] = {
        [SCR_CHANGE_NONE] = "no difference", [SCR_CHANGE_FASTER] = "faster",
        [SCR_CHANGE_SLOWER] = "slower",      [SCR_CHANGE_REGRESSION] = "REGRESSION",
        [SCR_CHANGE_WRONG] = "WRONG",        [SCR_CHANGE_BROKEN] = "BROKEN",
        [SCR_CHANGE_MENDED] = "mended",      [SCR_CHANGE_UNKNOWN] = "not compared",
    };

    return texts[change];
}

static void append_duration(double log_ns, char *out, size_t size)
{
    double ns = exp(log_ns);
    const char *unit = ns < 1e6 ? "us" : ns < 1e9 ? "ms" : "s";
    double in_unit = ns / (ns < 1e6 ? 1e3 : ns < 1e9 ? 1e6 : 1e9);

    scr_append(out, size, "%.*f %s", in_unit < 10, in_unit, unit);
}

/* How much slower a row would have to be: on a device, from its shortest rows to its longest. */
static void append_found(const struct scr_compared_device *d, char *out, size_t size)
{
    const struct scr_scatter *s = &d->scatter;
    size_t last = s->n_classes - 1;

    if (lround(100 * d->found[0]) == lround(100 * d->found[last])) {
        scr_append(out, size, "%.2fx on %s", d->found[last], d->now->device);
        return;
    }
    scr_append(out, size, "%.2fx (rows of ", d->found[0]);
    append_duration(s->classes[0].log_middle, out, size);
    scr_append(out, size, ") to %.2fx (", d->found[last]);
    append_duration(s->classes[last].log_middle, out, size);
    scr_append(out, size, ") on %s", d->now->device);
}

/* Not "there is none": what is too small to be told from how runs differ is not found. */
static void append_no_regression(const struct scr_comparison *c, char *out, size_t size)
{
    scr_append(out, size,
               "No regression found in %zu row%s: one would have had to be slower by about ",
               c->n_timed, plural(c->n_timed));
    for (size_t i = 0; i < c->n_devices; i++) {
        scr_append(out, size, "%s", i > 0 ? ", " : "");
        append_found(&c->devices[i], out, size);
    }
    scr_append(out, size, ".");
}

static void print_verdict(const struct printer *p)
{
    const struct scr_comparison *c = p->c;
    size_t wrong = scr_comparison_count(c, SCR_CHANGE_WRONG) + c->n_wrong_only_now;
    size_t broken = scr_comparison_count(c, SCR_CHANGE_BROKEN);
    size_t slower = scr_comparison_count(c, SCR_CHANGE_REGRESSION);
    size_t groups = 0;
    char text[LABEL] = "";

    for (size_t i = 0; i < c->n_groups; i++)
        groups += c->groups[i].change == SCR_CHANGE_REGRESSION;
    if (wrong > 0)
        scr_append(text, sizeof text, "WRONG: %zu row%s of NEW %s wrong. ", wrong, plural(wrong),
                   wrong == 1 ? "is" : "are");
    if (slower + broken + groups > 0)
        scr_append(text, sizeof text, "REGRESSION:");
    if (slower > 0)
        scr_append(text, sizeof text, " %zu of %zu row%s slower by more than %g %%.", slower,
                   c->n_timed, plural(c->n_timed), 100 * c->max_regress);
    if (groups > 0)
        scr_append(text, sizeof text, " Rows together are slower by more than %g %%, see below.",
                   100 * c->max_regress);
    if (broken > 0)
        scr_append(text, sizeof text, " %zu row%s that ran in BASE %s not in NEW.", broken,
                   plural(broken), broken == 1 ? "does" : "do");
    if (slower + broken + groups == 0 && c->n_timed > 0)
        append_no_regression(c, text, sizeof text);
    else if (c->n_timed == 0)
        scr_append(text, sizeof text, "%sNo times were compared.", text[0] != '\0' ? " " : "");
    if (c->matches.n_only_base > 0)
        scr_append(text, sizeof text, " %zu of %zu row%s of BASE %s not in NEW%s.",
                   c->matches.n_only_base, c->n_pairs + c->matches.n_only_base,
                   plural(c->n_pairs + c->matches.n_only_base),
                   c->matches.n_only_base == 1 ? "is" : "are",
                   c->unfinished ? ", which was not run to its end" : "");
    if (p->markdown)
        fprintf(p->f, "**%s**\n\n", text);
    else
        print_indented(text, 0, 2, p->f);
}

static void print_source(const struct printer *p, const char *name, const char *path,
                         const struct scr_rows_file *file)
{
    struct scr_compare_header header;
    char text[LABEL] = "";

    scr_compare_header_read(path, &header);
    scr_append(text, sizeof text, "%s: %.600s, %zu row%s", name, path, file->n, plural(file->n));
    if (header.commit[0] != '\0')
        scr_append(text, sizeof text, ", commit %s", header.commit);
    if (header.end[0] != '\0' && strcmp(header.end, "complete") != 0)
        scr_append(text, sizeof text, "; its run did not do everything (end: %s)", header.end);
    if (file->cut_bytes > 0)
        scr_append(text, sizeof text, "; its last line is unfinished and was left out");
    if (file->n_repeated > 0)
        scr_append(text, sizeof text, "; %zu repeat%s an earlier command", file->n_repeated,
                   file->n_repeated == 1 ? "s" : "");
    say(p, text);
}

static void append_shift(const struct scr_shift *s, enum scr_change change, char *out, size_t size)
{
    scr_append(out, size, "%.3fx [%.3f, %.3f]", s->ratio, s->lo, s->hi);
    if (change == SCR_CHANGE_NONE)
        scr_append(out, size, " no difference");
    else
        scr_append(out, size, " %s%s", s->ratio > 1 ? "slower" : "faster",
                   change == SCR_CHANGE_REGRESSION ? " (REGRESSION)" : "");
}

static void print_groups(const struct printer *p, const struct scr_compared_device *d)
{
    for (size_t i = 0; i < p->c->n_groups; i++) {
        const struct scr_compared_group *g = &p->c->groups[i];
        char text[LABEL] = "";

        if (strcmp(g->like->device, d->now->device) != 0)
            continue;
        if (!g->whole_device && g->change == SCR_CHANGE_NONE)
            continue;
        scr_append(text, sizeof text, "%s: all %zu rows%s%s%s%s together: ", d->now->device, g->n,
                   g->whole_device ? "" : " of ", g->whole_device ? "" : g->like->kernel,
                   g->whole_device || g->like->peer[0] == '\0' ? "" : " by ",
                   g->whole_device ? "" : g->like->peer);
        append_shift(&g->shift, g->change, text, sizeof text);
        say(p, text);
    }
}

/* How far rows of a class scatter, what can be found there, and how many rows agree. */
static void print_class(const struct printer *p, const struct scr_compared_device *d, size_t i)
{
    const struct scr_scatter_class *c = &d->scatter.classes[i];
    char text[LABEL] = "";

    scr_append(text, sizeof text, "%s: ", d->now->device);
    if (d->scatter.n == 0) {
        scr_append(text, sizeof text,
                   "too few rows to see how far runs scatter; %.0f %% is assumed; a row",
                   100 * c->scatter);
    } else {
        scr_append(text, sizeof text, "rows of ");
        append_duration(c->log_from, text, sizeof text);
        scr_append(text, sizeof text, " to ");
        append_duration(c->log_to, text, sizeof text);
        scr_append(text, sizeof text, " scatter by %.1f %% between the runs; one",
                   100 * c->scatter);
    }
    scr_append(text, sizeof text, " must be some %.2f times slower to be found; %zu of %zu agree",
               d->found[i], d->n_agree[i], c->n);
    say(p, text);
}

static void print_devices(const struct printer *p)
{
    for (size_t i = 0; i < p->c->n_devices; i++) {
        const struct scr_compared_device *d = &p->c->devices[i];
        char text[LABEL] = "";

        if (strcmp(d->base->device_name, d->now->device_name) != 0)
            scr_append(text, sizeof text, "%s is another device: %s in BASE, %s in NEW",
                       d->now->device, d->base->device_name, d->now->device_name);
        else
            scr_append(text, sizeof text, "%s is %s", d->now->device, d->now->device_name);
        say(p, text);
        print_groups(p, d);
        for (size_t j = 0; j < d->scatter.n_classes; j++)
            print_class(p, d, j);
    }
}

/* The rows of all devices whose times do not differ by more than runs of one program do. */
static void print_agreement(const struct printer *p)
{
    const struct scr_comparison *c = p->c;
    size_t agree = scr_comparison_count(c, SCR_CHANGE_NONE);
    size_t faster = scr_comparison_count(c, SCR_CHANGE_FASTER);
    char text[LABEL] = "";

    if (c->n_timed == 0)
        return;
    scr_append(text, sizeof text,
               "%zu of %zu row%s agree%s: the interval of the ratio, scatter allowed for, holds 1; "
               "%zu %s faster, %zu slower",
               agree, c->n_timed, plural(c->n_timed), agree == 1 ? "s" : "", faster,
               faster == 1 ? "is" : "are", c->n_timed - agree - faster);
    say(p, text);
}

/* Rows whose times say little, because other programs worked during a run. */
static void print_busy(const struct printer *p)
{
    size_t n = p->c->n_busy;
    char text[LABEL];

    if (n == 0)
        return;
    snprintf(text, sizeof text,
             "%zu row%s busy in one of the runs or both: the processors were slow or used by "
             "others, and a row twice as slow is not counted as a regression by itself",
             n, n == 1 ? " was" : "s were");
    say(p, text);
}

static void print_common(const struct printer *p)
{
    char text[LABEL];

    join_fields(p, p->any, false, text, sizeof text);
    if (text[0] != '\0' && p->c->n_pairs > 1) {
        char line[LABEL + 20];

        snprintf(line, sizeof line, "All rows: %s", text);
        say(p, line);
    }
}

static void print_ends(const struct printer *p)
{
    const struct scr_compared *ends[2];

    if (p->c->n_timed < 2)
        return;
    ends[0] = &p->c->pairs[0];
    ends[1] = &p->c->pairs[p->c->n_timed - 1];
    for (int i = 0; i < 2; i++) {
        char text[LABEL + 100], name[LABEL];

        label(p, ends[i]->rows.now, name, sizeof name);
        snprintf(text, sizeof text, "%s: %.3fx %s", i == 0 ? "Slowest" : "Fastest",
                 ends[i]->shift.ratio, name);
        say(p, text);
    }
}

static void print_time(const struct printer *p, double ns)
{
    fprintf(p->f, p->markdown ? " %.*f |" : "%11.*f", ns < 1e6 ? 4 : 3, 1e-6 * ns);
}

static void print_pair(const struct printer *p, const struct scr_compared *pair)
{
    const struct scr_shift *s = &pair->shift;
    char name[2 * LABEL], interval[40], min[20] = "-";

    label(p, pair->rows.now, name, sizeof name);
    if (pair->rows.other_config) {
        char tile[2][FIELD] = {"", ""};

        field_tile(pair->rows.base, tile[0]);
        field_tile(pair->rows.now, tile[1]);
        if (strcmp(tile[0], tile[1]) != 0)
            scr_append(name, sizeof name, " (tile %s in BASE, %s in NEW)", tile[0], tile[1]);
        else
            scr_append(name, sizeof name, " (%s%s%s in BASE)", pair->rows.base->variant,
                       pair->rows.base->params[0] != '\0' ? " " : "", pair->rows.base->params);
    }
    snprintf(interval, sizeof interval, "[%.3f, %.*f]", s->lo, s->hi < 10 ? 3 : 1, s->hi);
    if (isfinite(s->min_ratio))
        snprintf(min, sizeof min, "%.3fx", s->min_ratio);
    if (p->markdown)
        fprintf(p->f, "| %.3fx | %s | %s |", s->ratio, interval, min);
    else
        fprintf(p->f, "%6.3fx %-15s%8s", s->ratio, interval, min);
    print_time(p, pair->rows.base->t_median_ns);
    print_time(p, pair->rows.now->t_median_ns);
    if (p->markdown) {
        fprintf(p->f, " %s | %s |\n", change_text(pair->change), name);
    } else {
        fprintf(p->f, "  %-13s ", change_text(pair->change));
        print_indented(name, LABEL_AT + 3, 8, p->f);
    }
}

static void print_table(const struct printer *p)
{
    size_t n = p->c->n_timed, left_out = 0;

    if (n == 0)
        return;
    fputs(p->markdown
              ? "\n| NEW/BASE | 98 % interval | minimum | BASE ms | NEW ms | result | row |\n"
                "|---:|---|---:|---:|---:|---|---|\n"
              : "\n  ratio 98 % interval   minimum    BASE ms     NEW ms  result        "
                "row\n",
          p->f);
    for (size_t i = 0; i < n; i++) {
        bool near_end = i < MAX_ROWS / 4 || i + MAX_ROWS / 4 >= n;

        if (!p->markdown && n > MAX_ROWS && !near_end && p->c->pairs[i].change == SCR_CHANGE_NONE)
            left_out++;
        else
            print_pair(p, &p->c->pairs[i]);
    }
    if (left_out > 0)
        fprintf(p->f, "%zu more rows with no difference; Markdown lists them all.\n", left_out);
    fputc('\n', p->f);
    say(p, "A ratio is the time in NEW over that in BASE: above 1 is slower. The intervals are "
           "simultaneous: with a chance of 98 % all of them hold at once. A regression is also "
           "slower by more than "
           "the limit in its fastest sample.");
}

/* Rows whose state, not time, changed. */
static void print_changed(const struct printer *p)
{
    for (size_t i = p->c->n_timed; i < p->c->n_pairs; i++) {
        const struct scr_compared *pair = &p->c->pairs[i];
        const struct scr_row *b = pair->rows.now;
        char text[2 * LABEL], name[LABEL];

        if (pair->change == SCR_CHANGE_UNKNOWN)
            continue;
        label(p, b, name, sizeof name);
        snprintf(text, sizeof text, "%s: %s in BASE, %s in NEW%s%s: %s", change_text(pair->change),
                 pair->rows.base->status, b->status, b->reason[0] != '\0' ? " because " : "",
                 b->reason, name);
        say(p, text);
        if (pair->change == SCR_CHANGE_WRONG || pair->change == SCR_CHANGE_BROKEN)
            fprintf(p->f, p->markdown ? "  `%s`\n" : "  %s\n", b->repro);
    }
}

/* One line a reason, with the first row that has it. */
static void print_unknown(const struct printer *p)
{
    const struct scr_compared *pairs = p->c->pairs;

    for (size_t i = p->c->n_timed; i < p->c->n_pairs; i++) {
        size_t count = 0;
        bool told = pairs[i].change != SCR_CHANGE_UNKNOWN;
        char text[2 * LABEL], name[LABEL];

        for (size_t j = p->c->n_timed; j < p->c->n_pairs && !told; j++) {
            bool like =
                pairs[j].change == SCR_CHANGE_UNKNOWN && strcmp(pairs[i].why, pairs[j].why) == 0;

            told = like && j < i;
            count += like;
        }
        if (told)
            continue;
        label(p, pairs[i].rows.now, name, sizeof name);
        snprintf(text, sizeof text, "Not compared, %zu row%s: %s; the first: %s", count,
                 plural(count), pairs[i].why, name);
        say(p, text);
    }
}

static void print_alone(const struct printer *p, const char *where,
                        const struct scr_row *const *rows, size_t n)
{
    char text[LABEL + 200], name[LABEL];

    if (n == 0)
        return;
    snprintf(text, sizeof text, "Only in %s: %zu row%s%s", where, n, plural(n),
             n <= MAX_NAMED ? "" : ", the first:");
    say(p, text);
    for (size_t i = 0; i < n && i < MAX_NAMED; i++) {
        label(p, rows[i], name, sizeof name);
        snprintf(text, sizeof text, "  %s%s%s", name,
                 strcmp(rows[i]->status, "ok") != 0 ? ": " : "",
                 strcmp(rows[i]->status, "ok") != 0 ? rows[i]->status : "");
        say(p, text);
    }
}

int scr_compare_print(const struct scr_compare_options *o, const struct scr_rows_file *base,
                      const struct scr_rows_file *now, const struct scr_comparison *c, FILE *f)
{
    struct printer p = {.o = o, .c = c, .markdown = o->format == SCR_COMPARE_MARKDOWN, .f = f};

    for (size_t i = 0; i < now->n; i++)
        note_row(&p, &now->rows[i]);
    for (size_t i = 0; i < c->matches.n_only_base; i++)
        note_row(&p, c->matches.only_base[i]);
    print_verdict(&p);
    print_source(&p, "BASE", o->base, base);
    print_source(&p, "NEW", o->now, now);
    if (c->matches.n_repeated > 0)
        fprintf(f, "%s%zu row%s left out: the same configuration comes again later in its file\n",
                p.markdown ? "- " : "", c->matches.n_repeated, plural(c->matches.n_repeated));
    if (p.any != NULL)
        print_common(&p);
    print_devices(&p);
    print_agreement(&p);
    print_busy(&p);
    print_ends(&p);
    print_table(&p);
    print_changed(&p);
    print_unknown(&p);
    print_alone(&p, "BASE", c->matches.only_base, c->matches.n_only_base);
    print_alone(&p, "NEW", c->matches.only_now, c->matches.n_only_now);
    return ferror(f) ? SCR_ERR_DEVICE : SCR_OK;
}
