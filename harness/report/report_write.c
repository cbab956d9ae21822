/* SPDX-License-Identifier: Apache-2.0 */
#include "report_write.h"

#include "case.h"
#include "document.h"
#include "table.h"
#include "text.h"
#include "verdict.h"

#include <screening/error.h>

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct report {
    struct scr_document doc;
    const char *dir;
    const json_t *run;
    const struct scr_row *rows;
    size_t n;
    const struct scr_plot_summary *plots;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static void fact(struct report *r, const char *name, const char *value)
{
    if (value[0] != '\0')
        scr_document_fact(&r->doc, name, value);
}

static void write_command_line(const struct report *r, char *out, size_t size)
{
    const json_t *words = json_object_get(json_object_get(r->run, "options"), "command");
    const json_t *word;
    size_t i;

    out[0] = '\0';
    json_array_foreach(words, i, word)
    {
        char quoted[1000];

        scr_shell_quote(json_is_string(word) ? json_string_value(word) : "?", quoted,
                        sizeof quoted);
        scr_append(out, size, "%s%s", i > 0 ? " " : "", quoted);
    }
}

/* Adds "BEFORE NUMBER UNIT", the unit with a prefix, where peaks has the key. */
static void append_peak(char *out, size_t size, const json_t *peaks, const char *key,
                        const char *before, const char *unit)
{
    const json_t *value = json_object_get(peaks, key);
    double x = json_number_value(value) / 1e9;

    if (json_is_number(value))
        scr_append(out, size, "%s%s%.3g %s%s", out[0] != '\0' ? ", " : "", before,
                   x < 1000 ? x : x / 1000, x < 1000 ? "G" : "T", unit);
}

/* The rate of a type, which some devices multiply as f32: then it is the same measurement. */
static void append_rate(char *out, size_t size, const json_t *peaks, const char *key,
                        const char *type)
{
    const json_t *f32 = json_object_get(peaks, "f32_flop_per_s");
    const json_t *rate = json_object_get(peaks, key);
    char before[16];

    snprintf(before, sizeof before, "%s ", type);
    if (json_is_number(rate) && json_is_number(f32) &&
        json_number_value(rate) == json_number_value(f32))
        scr_append(out, size, ", %s as f32", type);
    else
        append_peak(out, size, peaks, key, before, "FLOP/s");
}

/* A line for the device and, where its ceilings were measured, one for them. */
static void write_devices(struct report *r)
{
    const json_t *devices = json_object_get(r->run, "devices");
    const json_t *d;
    size_t i;

    json_array_foreach(devices, i, d)
    {
        const json_t *peaks = json_object_get(json_object_get(r->run, "peaks"), text_of(d, "id"));
        char name[100], line[500] = "";

        snprintf(name, sizeof name, "Device %.60s", text_of(d, "id"));
        scr_append(line, sizeof line, "%s", text_of(d, "name"));
        if (text_of(d, "driver")[0] != '\0')
            scr_append(line, sizeof line, ", driver %s", text_of(d, "driver"));
        fact(r, name, line);
        line[0] = '\0';
        append_peak(line, sizeof line, peaks, "f32_flop_per_s", "f32 ", "FLOP/s");
        append_rate(line, sizeof line, peaks, "f16_flop_per_s", "f16");
        append_rate(line, sizeof line, peaks, "bf16_flop_per_s", "bf16");
        append_peak(line, sizeof line, peaks, "bandwidth_bytes_per_s", "memory ", "B/s");
        if (json_is_number(json_object_get(peaks, "floor_ns")))
            scr_append(line, sizeof line, "%san empty kernel %.3g us", line[0] != '\0' ? ", " : "",
                       json_number_value(json_object_get(peaks, "floor_ns")) / 1e3);
        snprintf(name, sizeof name, "Ceilings of %.60s, measured", text_of(d, "id"));
        fact(r, name, line);
    }
}

/* Adds "WHAT COUNT" where any row is so. */
static void append_count(char *out, size_t size, size_t count, size_t all, const char *what)
{
    if (count == all)
        scr_append(out, size, "%s%s", out[0] != '\0' ? "; " : "", what);
    else if (count > 0)
        scr_append(out, size, "%s%zu rows %s", out[0] != '\0' ? "; " : "", count, what);
}

static void write_timing(struct report *r)
{
    size_t timed = 0, cold = 0, warm = 0, events = 0, wall = 0;
    char line[400] = "";

    for (size_t i = 0; i < r->n; i++) {
        const struct scr_row *row = &r->rows[i];

        if (strcmp(row->status, "ok") != 0 || !isfinite(row->t_median_ns))
            continue;
        timed++;
        cold += strcmp(row->cache, "cold") == 0;
        warm += strcmp(row->cache, "warm") == 0;
        events += strcmp(row->timer, "event") == 0;
        wall += strcmp(row->timer, "wall") == 0;
    }
    if (timed == 0)
        return;
    append_count(line, sizeof line, cold, timed, "cold caches");
    append_count(line, sizeof line, warm, timed, "warm caches");
    append_count(line, sizeof line, events, timed, "by the device's events");
    append_count(line, sizeof line, wall, timed, "by the host's clock");
    scr_append(line, sizeof line, "; medians with their 95 %% intervals");
    fact(r, "Timing", line);
}

/* How many output rows were compared, where that is not all of them. */
static void write_checking(struct report *r)
{
    char line[300] = "every result that has a time was compared with float64";
    const struct scr_row *sampled = NULL;
    size_t ok = 0, unverified = 0;
    bool same = true;

    for (size_t i = 0; i < r->n; i++) {
        const struct scr_row *row = &r->rows[i];

        ok += strcmp(row->status, "ok") == 0;
        unverified += strcmp(row->status, "ok") == 0 && isnan(row->rel_err);
        if (!scr_row_has_result(row) || isnan(row->rel_err))
            continue;
        if (row->rows_checked < row->rows && sampled == NULL)
            sampled = row;
        same &= sampled != NULL && row->rows_checked == sampled->rows_checked &&
                row->rows == sampled->rows;
    }
    if (ok == 0)
        return;
    if (unverified > 0)
        snprintf(line, sizeof line, "compared with float64, but for %zu rows without an error",
                 unverified);
    if (sampled != NULL && same)
        scr_append(line, sizeof line, ", on %.0f of %.0f output rows", sampled->rows_checked,
                   sampled->rows);
    else if (sampled != NULL)
        scr_append(line, sizeof line, ", on as many output rows as `checked` says, else on all");
    fact(r, "Checking", line);
}

static void write_head(struct report *r)
{
    const json_t *machine = json_object_get(r->run, "machine");
    const json_t *options = json_object_get(r->run, "options");
    char line[4096];

    scr_document_facts_begin(&r->doc);
    snprintf(line, sizeof line, "%s%s%s", text_of(r->run, "start"),
             text_of(r->run, "finish")[0] != '\0' ? " to " : "", text_of(r->run, "finish"));
    fact(r, "Run", line);
    /* "cpu" alone is what older runs have */
    snprintf(line, sizeof line, "%s%s%s",
             text_of(machine, text_of(machine, "summary")[0] != '\0' ? "summary" : "cpu"),
             text_of(machine, "os")[0] != '\0' ? "; " : "", text_of(machine, "os"));
    fact(r, "Machine", line);
    write_devices(r);
    write_timing(r);
    write_checking(r);
    if (text_of(r->run, "version")[0] != '\0') {
        snprintf(line, sizeof line, "%s, commit %s, %s", text_of(r->run, "version"),
                 text_of(r->run, "commit"), text_of(r->run, "compiler"));
        fact(r, "Program", line);
    }
    if (json_is_integer(json_object_get(options, "seed"))) {
        snprintf(line, sizeof line, "%lld",
                 (long long)json_integer_value(json_object_get(options, "seed")));
        fact(r, "Seed", line);
    }
    scr_document_facts_end(&r->doc);
}

static void write_verdict(struct report *r)
{
    char lines[4096];

    scr_verdict(r->rows, r->n, lines, sizeof lines);
    if (r->doc.html)
        fputs("<div class=\"verdict\">\n", r->doc.f);
    for (char *s = lines; *s != '\0';) {
        size_t len = strcspn(s, "\n");
        bool last = s[len] == '\0';

        s[len] = '\0';
        if (*s == ' ')
            scr_document_command(&r->doc, s + strspn(s, " "));
        else
            scr_document_paragraph(&r->doc, s);
        s += len + !last;
    }
    if (r->doc.html)
        fputs("</div>\n", r->doc.f);
}

static void write_pictures(struct report *r)
{
    if (r->plots == NULL || r->plots->n_drawn == 0)
        return;
    scr_document_heading(&r->doc, "Pictures");
    for (int i = 0; i < r->plots->n_drawn; i++)
        scr_document_picture(&r->doc, r->dir, r->plots->drawn[i], r->plots->title[i]);
}

static int write_tables(struct report *r)
{
    enum scr_table_style style = r->doc.html ? SCR_TABLE_HTML : SCR_TABLE_MARKDOWN;
    size_t without = 0;
    int status = SCR_OK;

    for (size_t i = 0; i < r->n; i++)
        without += !scr_row_has_result(&r->rows[i]);
    if (without < r->n) {
        scr_document_heading(&r->doc, "Results");
        scr_document_paragraph(
            &r->doc,
            "Densities are over the pairs and tiles inside mask and window. qk/pv%: the part of "
            "the tiles whose products the kernel really computed, from a counting build. Ratios: "
            "with their 95 % intervals, of times that were taken in turns beside the row: not of "
            "the times of two rows. Ideal: time in proportion to tile density. Roof: executed "
            "FLOP and bytes against the measured ceilings. ~: too few samples for an interval. "
            "Stop: why sampling ended, `interval` (it is within 1 %), `time` (the limit) or "
            "`count`. wide-interval: more than +-5 %, or fewer than 6 samples.");
    }
    if (!r->doc.html && without < r->n) {
        status = scr_table_print_results(r->rows, r->n, SCR_TABLE_BRIEF, r->doc.f);
        fputs("\n<details><summary>All columns</summary>\n\n", r->doc.f);
    }
    if (status == SCR_OK)
        status = scr_table_print_results(r->rows, r->n, style, r->doc.f);
    if (!r->doc.html && without < r->n)
        fputs("\n</details>\n", r->doc.f);
    if (status != SCR_OK || without == 0)
        return status;
    scr_document_heading(&r->doc, "Rows without a result");
    scr_table_print_rest(r->rows, r->n, style, r->doc.f);
    return SCR_OK;
}

static void write_reproduce(struct report *r)
{
    char line[4096];

    write_command_line(r, line, sizeof line);
    scr_document_heading(&r->doc, "To repeat it");
    if (line[0] != '\0')
        scr_document_command(&r->doc, line);
    scr_document_paragraph(&r->doc,
                           "rows.jsonl, beside this report, has every row with all its columns and "
                           "the command that repeats it; run.json has the machine and the options; "
                           "--plot FOLDER draws the pictures again.");
}

static int write_report(struct report *r)
{
    int status;

    scr_document_begin(&r->doc, "Screening attention: results");
    if (text_of(r->run, "note")[0] != '\0')
        scr_document_paragraph(&r->doc, text_of(r->run, "note"));
    write_verdict(r);
    write_head(r);
    write_pictures(r);
    status = write_tables(r);
    write_reproduce(r);
    scr_document_end(&r->doc);
    return status;
}

static int write_csv(struct report *r)
{
    scr_row_write_csv_header(r->doc.f);
    for (size_t i = 0; i < r->n; i++)
        scr_row_write_csv(&r->rows[i], r->doc.f);
    return SCR_OK;
}

/* Writes DIR/NAME by `write`, which writes to r->doc. */
static int write_file(struct report *r, const char *name, int (*write)(struct report *r), char *why,
                      size_t why_size)
{
    char path[4096], part[4096];
    int status = SCR_ERR_INVALID;
    bool good;

    if (snprintf(path, sizeof path, "%s/%s", r->dir, name) >= (int)sizeof path ||
        snprintf(part, sizeof part, "%s/%s.part", r->dir, name) >= (int)sizeof part) {
        snprintf(why, why_size, "%.80s...: name too long", r->dir);
        return SCR_ERR_INVALID;
    }
    r->doc = (struct scr_document){.f = fopen(part, "we"), .html = strstr(name, ".html") != NULL};
    if (r->doc.f != NULL) {
        status = write(r);
        good = !ferror(r->doc.f);
        if (fclose(r->doc.f) != 0 || !good || rename(part, path) != 0)
            status = SCR_ERR_INVALID;
    }
    if (status == SCR_ERR_NO_MEMORY)
        snprintf(why, why_size, "out of memory");
    else if (status != SCR_OK)
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
    return status;
}

int scr_report_write(const char *dir, const struct scr_row *rows, size_t n,
                     const struct scr_plot_summary *plots, char *why, size_t why_size)
{
    struct report r = {.dir = dir, .rows = rows, .n = n, .plots = plots};
    char path[4096];
    json_error_t error;
    json_t *run;
    int status;

    snprintf(path, sizeof path, "%s/run.json", dir);
    run = json_load_file(path, 0, &error);
    if (run == NULL) {
        snprintf(why, why_size, "%s: %s", path, error.text);
        return SCR_ERR_INVALID;
    }
    r.run = run;
    status = write_file(&r, "rows.csv", write_csv, why, why_size);
    if (status == SCR_OK)
        status = write_file(&r, "report.md", write_report, why, why_size);
    if (status == SCR_OK)
        status = write_file(&r, "report.html", write_report, why, why_size);
    json_decref(run);
    return status;
}
