/* SPDX-License-Identifier: Apache-2.0 */
#include "plot_files.h"

#include "scripts.h"
#include "text.h"

#include <screening/error.h>

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A gnuplot string: in single quotes nothing is special but the quote itself. */
static void print_quoted(FILE *f, const char *text)
{
    putc('\'', f);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            putc('\'', f);
        putc((unsigned char)*text < ' ' ? ' ' : *text, f);
    }
    putc('\'', f);
}

static void print_text(FILE *f, const char *variable, const char *text)
{
    fprintf(f, "%s = ", variable);
    print_quoted(f, text);
    putc('\n', f);
}

static void print_legend(FILE *f, const char *what, const struct scr_plot_legend *legend)
{
    size_t joined = 0;

    while (joined < legend->n && legend->at[joined].rank < SCR_RANK_APART)
        joined++;
    fprintf(f, "n_joined_%ss = %zu\n", what, joined);
    fprintf(f, "n_%ss = %zu\narray %s_title[%zu] = [", what, legend->n, what, legend->n);
    for (size_t i = 0; i < legend->n; i++) {
        fputs(i ? ", " : "", f);
        print_quoted(f, legend->at[i].text);
    }
    fputs("]\n", f);
}

static const char *script_text(const char *name)
{
    for (size_t i = 0; i < scr_plot_script_count; i++)
        if (strcmp(scr_plot_scripts[i].name, name) == 0)
            return scr_plot_scripts[i].text;
    return "";
}

/* What is doubtful of the row says little of what it was compared with. */
static void label_doubts(const struct scr_plot_kind *kind, const struct scr_plot_point *p,
                         char *out, size_t size)
{
    if (p->baseline)
        snprintf(out, size, "-");
    else
        scr_label_doubts(p->row, kind->compares, kind->needs_peaks, out, size);
}

/* Whether a line joins the points of the series of p. */
static bool is_joined(const struct scr_plot_point *p)
{
    return p->colour.rank < SCR_RANK_APART && p->mark.rank < SCR_RANK_APART;
}

/* One index block a series. */
static void print_data(FILE *f, const struct scr_plot_picture *picture)
{
    const struct scr_plot_kind *kind = picture->kind;
    const struct scr_plot_points *points = &picture->points;
    char doubts[160];

    fprintf(f, "# %s: %s\n", kind->name, kind->title);
    for (size_t i = 0; i < points->n; i++) {
        const struct scr_plot_point *p = &points->at[i];

        if (scr_plot_starts_series(points, i))
            fprintf(f, "%s# %s%s%s\n# %s\tdoubts\tworkload\n", i ? "\n\n" : "\n", p->colour.text,
                    p->mark.text[0] ? ", " : "", p->mark.text, kind->columns);
        kind->print(f, p);
        label_doubts(kind, p, doubts, sizeof doubts);
        fprintf(f, "%s\t", doubts);
        for (const char *c = p->row->workload; *c != '\0'; c++)
            putc((unsigned char)*c < ' ' ? ' ' : *c, f);
        putc('\n', f);
    }
}

static void print_range(FILE *f, const struct scr_plot_points *points)
{
    double x_min = INFINITY, x_max = 0, y_min = INFINITY, y_max = 0;

    for (size_t i = 0; i < points->n; i++) {
        const struct scr_plot_point *p = &points->at[i];

        if (p->x > 0) {
            x_min = fmin(x_min, p->x);
            x_max = fmax(x_max, p->x);
        }
        if (p->y > 0) {
            y_min = fmin(y_min, p->lo);
            y_max = fmax(y_max, p->hi);
        }
    }
    /* with a point always: gnuplot would divide whole numbers as integers */
    fprintf(f, "x_min = %#.6g; x_max = %#.6g; y_min = %#.6g; y_max = %#.6g\n",
            x_max > 0 ? x_min : 1, x_max > 0 ? x_max : 1, y_max > 0 ? y_min : 1,
            y_max > 0 ? y_max : 1);
}

/* Adds the words of list, comma between them, that out does not have yet. */
static void add_words(const char *list, char *out, size_t size)
{
    while (*list != '\0') {
        size_t n = strcspn(list, ",");
        char word[40];

        snprintf(word, sizeof word, "%.*s", (int)n, list);
        if (strstr(out, word) == NULL)
            scr_append(out, size, "%s%s", out[0] != '\0' ? ", " : "", word);
        list += n + (list[n] == ',');
    }
}

static void append_left_out(const struct scr_plot_legend *legend, const char *what, char *out,
                            size_t size)
{
    if (legend->n < legend->n_all)
        scr_append(out, size, "%zu of %zu %s shown. ", legend->n, legend->n_all,
                   what != NULL ? what : "lines");
}

/* What is wrong with points, and what was left out. */
static void print_notes(FILE *f, const struct scr_plot_picture *picture)
{
    const struct scr_plot_kind *kind = picture->kind;
    const struct scr_plot_points *points = &picture->points;
    char doubts[120] = "", circled[160] = "", note[400] = "";
    bool tiles_differ = false, other_operator = false, apart = false;

    for (size_t i = 0; i < points->n; i++) {
        const struct scr_row *r = points->at[i].row;
        char words[160];

        label_doubts(kind, &points->at[i], words, sizeof words);
        if (strcmp(words, "-") != 0)
            add_words(words, doubts, sizeof doubts);
        apart |= !is_joined(&points->at[i]);
        tiles_differ |=
            points->at[i].place == 0 && !points->at[i].baseline &&
            (r->tile_q != points->at[0].row->tile_q || r->tile_k != points->at[0].row->tile_k);
        other_operator |= strcmp(r->op, "softmax") == 0;
    }
    print_text(f, "note", kind->note);
    if (kind->per_device && doubts[0] != '\0')
        snprintf(circled, sizeof circled, "Circled, to be taken with care: %s.", doubts);
    if (kind->compares && apart)
        scr_append(note, sizeof note,
                   "Not joined: with a window, whose own gain is in the speedup. ");
    if (other_operator)
        scr_append(note, sizeof note, "softmax: another operator. ");
    if (kind->per_device && tiles_differ)
        scr_append(note, sizeof note, "Each point: the fastest tile measured. ");
    append_left_out(&picture->colours, kind->colours, note, sizeof note);
    append_left_out(&picture->marks, kind->marks, note, sizeof note);
    print_text(f, "note2", note[0] != '\0' ? note : circled);
    print_text(f, "note3", note[0] != '\0' ? circled : "");
}

static void print_subtitles(FILE *f, const struct scr_plot_picture *picture)
{
    const struct scr_plot_points *points = &picture->points;
    const struct scr_plot_point *p = &points->at[0];
    char text[300];
    size_t other = 0;
    bool several = false; /* shapes: those of traces are their own */

    if (picture->kind->per_device)
        snprintf(text, sizeof text, "%.90s (%.32s)",
                 p->row->device_name[0] ? p->row->device_name : "unnamed device", p->row->device);
    else
        snprintf(text, sizeof text, "How many dead pairs can be skipped tile by tile?");
    print_text(f, "subtitle", text);
    while (other < points->n && points->at[other].set[0] != '\0')
        other++;
    p = &points->at[other < points->n ? other : 0];
    for (size_t i = 0; i < points->n; i++)
        several |= strcmp(points->at[i].set, p->set) != 0;
    snprintf(text, sizeof text, "%.*s%s", (int)strcspn(p->group, "\n"), p->group,
             !several            ? ""
             : p->set[0] == '\0' ? "; traces: their own"
                                 : "; the other series: their own");
    print_text(f, "subtitle2", text);
}

/* Which colour and which mark each series has. */
static void print_series(FILE *f, const struct scr_plot_picture *picture)
{
    const struct scr_plot_points *points = &picture->points;
    size_t n_series = 0;

    for (size_t i = 0; i < points->n; i++)
        n_series += scr_plot_starts_series(points, i);
    fprintf(f,
            "n_series = %zu\narray series_colour[%zu]\narray series_mark[%zu]\n"
            "array series_joined[%zu]\n",
            n_series, n_series, n_series, n_series);
    n_series = 0;
    for (size_t i = 0; i < points->n; i++) {
        const struct scr_plot_point *p = &points->at[i];

        if (!scr_plot_starts_series(points, i))
            continue;
        n_series++;
        fprintf(f, "series_colour[%zu] = %zu; series_mark[%zu] = %zu; series_joined[%zu] = %d\n",
                n_series, scr_plot_legend_index(&picture->colours, &p->colour), n_series,
                scr_plot_legend_index(&picture->marks, &p->mark), n_series, is_joined(p));
    }
}

static double known(double peak)
{
    return peak > 0 && isfinite(peak) ? peak : 0;
}

/* Ranks up to 5 have their places in the palette, the others follow one by one. */
static int fixed_colour(const struct scr_plot_legend *colours, size_t i)
{
    int place = 6;

    if (colours->at[i].rank < 6)
        return colours->at[i].rank;
    for (size_t j = 0; j < i; j++)
        place += colours->at[j].rank >= 6;
    return place;
}

static void print_script(FILE *f, const char *name, const struct scr_plot_picture *picture)
{
    const struct scr_plot_kind *kind = picture->kind;
    const struct scr_plot_legend *colours = &picture->colours;

    fprintf(f, "# Draws %s.svg and %s.png from %s.dat; run it here: gnuplot %s.gp\n", name, name,
            name, name);
    print_text(f, "name", name);
    print_text(f, "title", kind->title);
    print_text(f, "y_title", kind->y_title);
    print_subtitles(f, picture);
    print_notes(f, picture);
    print_range(f, &picture->points);
    print_legend(f, "colour", colours);
    fprintf(f, "array colour_id[%zu] = [", colours->n);
    for (size_t i = 0; i < colours->n; i++)
        fprintf(f, "%s%d", i ? ", " : "",
                kind->fixed_colours ? fixed_colour(colours, i) : (int)i + 1);
    fputs("]\n", f);
    fprintf(f, "peak_flop = %.6g; peak_bytes = %.6g # per second; 0: not measured\n",
            known(picture->peaks.flop_per_s), known(picture->peaks.bytes_per_s));
    print_legend(f, "mark", &picture->marks);
    print_series(f, picture);
    fprintf(f, "\n%s\n%s", script_text("style"), script_text(kind->name));
}

/* Opens DIR/NAME.EXT for writing; NULL with a line in why. */
static FILE *open_file(const char *dir, const char *name, const char *ext, char *why,
                       size_t why_size)
{
    char path[4096];
    FILE *f = NULL;

    errno = ENAMETOOLONG;
    if (snprintf(path, sizeof path, "%s/%s.%s", dir, name, ext) < (int)sizeof path)
        f = fopen(path, "w");
    if (f == NULL)
        snprintf(why, why_size, "cannot write %s.%s: %s", name, ext, strerror(errno));
    return f;
}

static int close_file(FILE *f, const char *name, char *why, size_t why_size)
{
    bool bad = ferror(f) != 0;

    if (fclose(f) == 0 && !bad)
        return SCR_OK;
    snprintf(why, why_size, "cannot write %s: %s", name, strerror(errno));
    return SCR_ERR_INVALID;
}

int scr_plot_files_write(const char *dir, const char *name, const struct scr_plot_picture *picture,
                         char *why, size_t why_size)
{
    FILE *f = open_file(dir, name, "dat", why, why_size);
    int status;

    if (f == NULL)
        return SCR_ERR_INVALID;
    print_data(f, picture);
    status = close_file(f, name, why, why_size);
    if (status != SCR_OK)
        return status;
    f = open_file(dir, name, "gp", why, why_size);
    if (f == NULL)
        return SCR_ERR_INVALID;
    print_script(f, name, picture);
    return close_file(f, name, why, why_size);
}
