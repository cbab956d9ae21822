/* SPDX-License-Identifier: Apache-2.0 */
/* A sweep's cases as Google Benchmark's. */
#include "gbench_shim.h"
#include "sweep_state.h"
#include "text.h"

#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* As the library reads the value of a switch. */
static bool is_true(const char *value)
{
    static const char *const no[] = {"0", "f", "n", "no", "off", "false"};

    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        if (strcasecmp(value, no[i]) == 0)
            return false;
    }
    return true;
}

/* The last value given to a flag ("" to one without "="), the environment's, or NULL. */
static const char *value_of(const struct scr_options *o, const char *flag, const char *variable)
{
    const char *value = getenv(variable);
    size_t len = strlen(flag);

    for (int i = 0; i < o->n_gbench; i++) {
        const char *rest = o->gbench[i] + len;

        if (strncmp(o->gbench[i], flag, len) == 0 && (*rest == '\0' || *rest == '='))
            value = *rest == '=' ? rest + 1 : rest;
    }
    return value;
}

bool scr_sweep_gbench_lists(const struct scr_options *o)
{
    const char *value =
        o->n_gbench > 0 ? value_of(o, "--benchmark_list_tests", "BENCHMARK_LIST_TESTS") : NULL;

    return value != NULL && is_true(value);
}

/* A case as Google Benchmark calls it. */
struct bench_job {
    struct scr_sweep *s;
    size_t index;
    bool over_budget;
};

static void report_case(struct scr_gbench_case *g, const struct scr_row *row)
{
    if (strcmp(row->status, "wrong") == 0 || scr_sweep_in_vain(row)) {
        scr_gbench_fail(g, row->reason);
        return;
    }
    if (isnan(row->t_median_ns)) {
        scr_gbench_skip(g, row->reason);
        return;
    }
    scr_gbench_time(g, 1e-9 * row->t_median_ns);
    scr_gbench_label(g, row->flags);
    scr_gbench_counter(g, "t_ci_lo_ns", row->t_ci_lo_ns);
    scr_gbench_counter(g, "t_ci_hi_ns", row->t_ci_hi_ns);
    scr_gbench_counter(g, "samples", row->n_samples);
    scr_gbench_counter(g, "pair_density", row->pair_density);
    scr_gbench_counter(g, "tile_density", row->tile_density);
    scr_gbench_counter(g, "qk_executed", row->qk_executed);
    scr_gbench_counter(g, "pv_executed", row->pv_executed);
    scr_gbench_counter(g, "vs_masked", row->speedup_vs_masked);
    scr_gbench_counter(g, "vs_no_skip", row->vs_no_skip);
    scr_gbench_counter(g, "pct_ideal", row->pct_ideal);
    scr_gbench_counter(g, "pct_roofline", row->pct_roofline);
    scr_gbench_counter(g, "rel_err", row->rel_err);
}

static void run_job(struct scr_gbench_case *g, void *user)
{
    struct bench_job *job = user;
    struct scr_sweep *s = job->s;
    const struct scr_case *c = &s->list.cases[job->index];
    const struct scr_row *old;
    struct scr_row row;
    bool little;

    scr_case_repro(c, "--sweep", row.repro, sizeof row.repro);
    old = scr_sweep_find_old(s, row.repro);
    if (old != NULL) {
        report_case(g, old);
    } else if (*s->stop || s->broken != SCR_OK) {
        scr_gbench_skip(g, *s->stop ? "interrupted" : s->why);
    } else if (scr_sweep_over_budget(s)) {
        s->n_over_budget += !s->done[job->index] && !job->over_budget;
        job->over_budget = true;
        scr_gbench_skip(g, "the time budget is spent");
    } else if (!scr_sweep_measure(s, job->index, &row, &little)) {
        scr_gbench_skip(g, "could not be run");
    } else {
        report_case(g, &row);
        /* Of a case that is repeated the first row stays. */
        if (!s->done[job->index])
            scr_sweep_keep(s, c, &row);
        s->done[job->index] = true;
    }
}

/* "ref:0/tile-skip/skip=tile/64x64/f32/iid/.../c/...": easy to filter, and different for each. */
static void name_job(const struct scr_case *c, char *out, size_t size)
{
    char text[SCR_CASE_TEXT];
    size_t n = 0;

    scr_case_name(c, text, sizeof text);
    scr_append(text, sizeof text, " %s", c->config.variant);
    for (int i = 0; i < c->config.n_params; i++) {
        const scr_param *p = &c->config.params[i];

        if (strcmp(p->name, "TILE_Q") != 0 && strcmp(p->name, "TILE_K") != 0)
            scr_append(text, sizeof text, " %s=%d", p->name, (int)p->value);
    }
    for (const char *s = text; *s != '\0' && n + 1 < size; s++) {
        if (*s != '[' && *s != ']')
            out[n++] = *s == ' ' ? '/' : *s == ',' ? 'x' : *s;
    }
    out[n] = '\0';
}

/*
 * As the library does it: extended expressions, found anywhere in the name that it will report, "-"
 * in front for all but these. Done here as well because a sweep must know how much it has to do
 * before it begins.
 */
int scr_sweep_filter_gbench(struct scr_sweep *s)
{
    const char *filter = value_of(s->o, "--benchmark_filter", "BENCHMARK_FILTER");
    bool all_but = filter != NULL && *filter == '-';
    char name[SCR_ROW_TEXT], reason[100];
    regex_t compiled;
    int error;

    if (filter == NULL || *filter == '\0' || strcmp(filter, "all") == 0)
        return SCR_OK;
    error = regcomp(&compiled, filter + all_but, REG_EXTENDED | REG_NOSUB);
    if (error != 0) {
        regerror(error, &compiled, reason, sizeof reason);
        snprintf(s->why, sizeof s->why, "--benchmark_filter: '%s' is no regular expression: %s",
                 filter, reason);
        return SCR_ERR_INVALID;
    }
    s->n_want = 0;
    for (size_t i = 0; i < s->list.n; i++) {
        name_job(&s->list.cases[i], name, sizeof name);
        scr_append(name, sizeof name, "/iterations:1/manual_time");
        s->n_want += (regexec(&compiled, name, 0, NULL, 0) == 0) != all_but;
    }
    regfree(&compiled);
    if (s->n_want > 0)
        return SCR_OK;
    snprintf(s->why, sizeof s->why, "--benchmark_filter: '%s' matches no case", filter);
    return SCR_ERR_NOT_FOUND;
}

/* Runs the cases by way of Google Benchmark, which chooses among them and reports. */
int scr_sweep_run_gbench(struct scr_sweep *s)
{
    struct bench_job *jobs = calloc(s->list.n, sizeof *jobs);
    char name[SCR_ROW_TEXT], line[300];
    size_t matched = 0;
    int status = SCR_OK;

    if (jobs == NULL)
        return SCR_ERR_NO_MEMORY;
    scr_machine_line(s->machine, line, sizeof line);
    scr_gbench_context("screening_machine", line);
    scr_gbench_context("screening_commit",
                       json_string_value(json_object_get(s->folder.header, "commit")));
    for (size_t i = 0; i < s->list.n && status == SCR_OK; i++) {
        jobs[i] = (struct bench_job){.s = s, .index = i};
        name_job(&s->list.cases[i], name, sizeof name);
        status = scr_gbench_register(name, run_job, &jobs[i]);
    }
    if (status == SCR_OK)
        status = scr_gbench_run(&matched, s->why, sizeof s->why);
    free(jobs);
    return s->broken != SCR_OK ? s->broken : status;
}
