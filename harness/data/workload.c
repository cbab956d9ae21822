/* SPDX-License-Identifier: Apache-2.0 */
/* The notation of workloads and windows. */
#include "workload.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_RUN = 64, MAX_RUN = 1 << 24 };
#define DEFAULT_DENSITY 0.1
#define MIN_DENSITY     1e-6

/* The workloads that are written NAME, NAME:D or NAME:DxL. */
static const struct {
    const char *name;
    enum scr_workload_kind kind;
    double max_density;
} planted[] = {
    {"planted", SCR_WORKLOAD_PLANTED, 1},
    {"shuffled", SCR_WORKLOAD_SHUFFLED, 1},
    {"skewed", SCR_WORKLOAD_SKEWED, 0.5},
};
enum { N_PLANTED = sizeof planted / sizeof planted[0] };

static int refuse(char *why, size_t why_size, const char *text, const char *expected)
{
    snprintf(why, why_size, "'%.60s': %s", text, expected);
    return SCR_ERR_INVALID;
}

/* Reads a finite number that starts with a digit; returns what follows it, or NULL. */
static const char *read_number(const char *text, double *out)
{
    char *end;

    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return NULL;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        *out = 0;
        return text + 1;
    }
    *out = strtod(text, &end);
    return end != text && isfinite(*out) ? end : NULL;
}

/* D or DxL after the colon of planted[which]. */
static int parse_planted(const char *text, const char *args, int which, struct scr_workload *out,
                         char *why, size_t why_size)
{
    char expected[100];
    const char *rest = read_number(args, &out->density);
    long run;
    char *end;

    snprintf(expected, sizeof expected,
             "expected %s:DENSITYxRUN with a density above 0 up to %g and a run of tokens",
             planted[which].name, planted[which].max_density);
    if (rest == NULL ||
        !(out->density >= MIN_DENSITY && out->density <= planted[which].max_density))
        return refuse(why, why_size, text, expected);
    if (*rest == '\0')
        return SCR_OK;
    if (*rest != 'x' || !isdigit((unsigned char)rest[1]))
        return refuse(why, why_size, text, expected);
    run = strtol(rest + 1, &end, 10);
    if (*end != '\0' || run < 1 || run > MAX_RUN)
        return refuse(why, why_size, text, expected);
    out->run = (int)run;
    return SCR_OK;
}

int scr_workload_parse(const char *text, struct scr_workload *out, char *why, size_t why_size)
{
    const char *colon = strchr(text, ':');
    size_t n = colon != NULL ? (size_t)(colon - text) : strlen(text);
    const char *args = colon != NULL ? colon + 1 : NULL;

    *out = (struct scr_workload){.kind = SCR_WORKLOAD_IID};
    if (strcmp(text, "iid") == 0)
        return SCR_OK;
    if (strcmp(text, "window") == 0) {
        out->kind = SCR_WORKLOAD_WINDOW;
        return SCR_OK;
    }
    for (int i = 0; i < N_PLANTED; i++) {
        if (n != strlen(planted[i].name) || strncmp(text, planted[i].name, n) != 0)
            continue;
        out->kind = planted[i].kind;
        out->density = DEFAULT_DENSITY;
        out->run = DEFAULT_RUN;
        return args == NULL ? SCR_OK : parse_planted(text, args, i, out, why, why_size);
    }
    if (n == strlen("ends") && strncmp(text, "ends", n) == 0) {
        out->kind = SCR_WORKLOAD_ENDS;
        out->density = -1;
        if (args == NULL)
            return SCR_OK;
        out->density = args[0] == '1';
        if (strcmp(args, "0") != 0 && strcmp(args, "1") != 0)
            return refuse(why, why_size, text, "expected ends:0 (nothing alive) or ends:1");
        return SCR_OK;
    }
    if (n == strlen("trace") && strncmp(text, "trace", n) == 0) {
        out->kind = SCR_WORKLOAD_TRACE;
        if (args == NULL || args[0] == '\0')
            return refuse(why, why_size, text, "expected trace:FILE");
        if (strlen(args) >= sizeof out->path)
            return refuse(why, why_size, text, "the path is too long");
        strcpy(out->path, args);
        return SCR_OK;
    }
    return refuse(why, why_size, text,
                  "unknown workload; there are iid, planted:DxL, shuffled:DxL, skewed:DxL, window, "
                  "ends:0, ends:1, trace:FILE");
}

bool scr_workload_is_planted(const struct scr_workload *w)
{
    for (int i = 0; i < N_PLANTED; i++)
        if (planted[i].kind == w->kind)
            return true;
    return false;
}

/* The shortest decimal that reads back as the same double; whole numbers without an exponent. */
static void format_number(double x, char out[32])
{
    if (x == trunc(x) && fabs(x) < 1e9) {
        snprintf(out, 32, "%.0f", x);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, x);
        if (strtod(out, NULL) == x)
            return;
    }
}

void scr_workload_name(const struct scr_workload *w, char *out, size_t size)
{
    char density[32];

    switch (w->kind) {
    case SCR_WORKLOAD_IID:
        snprintf(out, size, "iid");
        break;
    case SCR_WORKLOAD_PLANTED:
    case SCR_WORKLOAD_SHUFFLED:
    case SCR_WORKLOAD_SKEWED:
        format_number(w->density, density);
        for (int i = 0; i < N_PLANTED; i++)
            if (planted[i].kind == w->kind)
                snprintf(out, size, "%s:%sx%d", planted[i].name, density, w->run);
        break;
    case SCR_WORKLOAD_WINDOW:
        snprintf(out, size, "window");
        break;
    case SCR_WORKLOAD_ENDS:
        snprintf(out, size, "%s", w->density < 0 ? "ends" : w->density > 0 ? "ends:1" : "ends:0");
        break;
    case SCR_WORKLOAD_TRACE:
        snprintf(out, size, "trace:%s", w->path);
        break;
    }
}

int scr_window_parse(const char *text, struct scr_window *out, char *why, size_t why_size)
{
    const char *rest;

    *out = (struct scr_window){.kind = SCR_WINDOW_AUTO};
    if (strcmp(text, "auto") == 0)
        return SCR_OK;
    if (strcmp(text, "inf") == 0) {
        out->kind = SCR_WINDOW_INF;
        return SCR_OK;
    }
    if (strcmp(text, "init") == 0) {
        out->kind = SCR_WINDOW_INIT;
        return SCR_OK;
    }
    if (strcmp(text, "trained") == 0) {
        out->kind = SCR_WINDOW_TRAINED;
        return SCR_OK;
    }
    out->kind = SCR_WINDOW_VALUE;
    rest = read_number(text, &out->value);
    /* It must stay a positive finite number as f32. */
    if (rest == NULL || *rest != '\0' || !(out->value >= 0x1p-100 && out->value <= 0x1p100))
        return refuse(why, why_size, text,
                      "expected a window above 0 in tokens, inf, init, trained or auto");
    return SCR_OK;
}

void scr_window_name(const struct scr_window *w, char *out, size_t size)
{
    char value[32];

    switch (w->kind) {
    case SCR_WINDOW_AUTO:
        snprintf(out, size, "auto");
        break;
    case SCR_WINDOW_VALUE:
        format_number(w->value, value);
        snprintf(out, size, "%s", value);
        break;
    case SCR_WINDOW_INF:
        snprintf(out, size, "inf");
        break;
    case SCR_WINDOW_INIT:
        snprintf(out, size, "init");
        break;
    case SCR_WINDOW_TRAINED:
        snprintf(out, size, "trained");
        break;
    }
}
