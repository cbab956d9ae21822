/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations compiled by several processes at once, while nothing runs. */
#include "lab.h"
#include "lab_message.h"
#include "lab_state.h"
#include "runner.h"

#include <string.h>

/* A worker keeps all that it compiled in memory, so it is replaced now and then. */
enum { MAX_COMPILED = 256 };

/*
 * More bytes of a thread's memory outside registers than this are not worth a try. Fewer may lie in
 * code that hardly runs: a kernel with 280 was the fastest of all where nothing is alive.
 */
enum { MAX_SPILL_BYTES = 512 };

/* One call of scr_lab_compile. */
struct job {
    struct scr_lab *lab;
    size_t shape;
    const scr_config *configs;
    struct scr_trial *out;
    size_t n, next, n_done;
    size_t n_compilers;
};

/* Whether the device can give the workspace; else the trial is "skipped". */
static bool workspace_fits(const struct job *j, size_t i)
{
    const scr_device_info *info = j->lab->info;
    double need = (double)scr_config_workspace_bytes(
        info, &j->lab->options.shapes->cases[j->shape].spec.problem, &j->configs[i]);
    double most = (double)(info->max_alloc > 0 ? info->max_alloc : info->global_mem);
    char need_text[24], most_text[24];

    if (most == 0 || need <= most)
        return true;
    scr_format_bytes(need, need_text, sizeof need_text);
    scr_format_bytes(most, most_text, sizeof most_text);
    scr_lab_trial_status(&j->out[i], "skipped",
                         "needs %s in one piece, the device gives at most %s", need_text,
                         most_text);
    return false;
}

/* Leaves out what cannot be launched or is slow for certain. */
static void prune(const scr_device_info *info, struct scr_trial *t)
{
    const scr_resources *r = &t->resources;

    if (strcmp(t->status, "ok") != 0)
        return;
    if (r->max_group > 0 && r->max_group < r->group_size)
        scr_lab_trial_status(t, "pruned", "registers");
    else if (info->local_mem > 0 && r->local_bytes > info->local_mem)
        scr_lab_trial_status(t, "pruned", "local memory");
    else if (r->spill_bytes > MAX_SPILL_BYTES)
        scr_lab_trial_status(t, "pruned", "spills: %d bytes", (int)r->spill_bytes);
}

/* A process ended in place of an answer. */
static int lose(struct job *j, struct scr_lab_compiler *c, enum scr_heard heard)
{
    struct scr_helper_end end = scr_helper_bury(&c->helper, heard);
    bool busy = c->state == SCR_COMPILER_BUSY;

    c->state = SCR_COMPILER_IDLE;
    if (heard == SCR_HEARD_STOPPED || heard == SCR_HEARD_LATE) {
        j->lab->why[0] = '\0';
        return SCR_ERR_DEVICE;
    }
    if (!busy) {
        scr_lab_not_started(j->lab, &end);
    } else {
        scr_lab_trial_status(&j->out[c->task], end.status, "%s", end.why);
        j->n_done++;
    }
    return SCR_OK;
}

/* A process that is needed begins to start. */
static int begin_start(struct job *j, struct scr_lab_compiler *c)
{
    struct scr_lab *lab = j->lab;
    enum scr_heard heard;

    if (lab->starts_in_vain >= SCR_LAB_STARTS_IN_VAIN)
        return SCR_ERR_DEVICE;
    c->n_done = 0;
    if (scr_helper_start(&c->helper, lab->why, sizeof lab->why) != SCR_OK)
        return SCR_ERR_DEVICE;
    c->state = SCR_COMPILER_STARTS;
    heard = scr_helper_begin(&c->helper, scr_lab_greeting(lab), SCR_LAB_START_TIMEOUT_S);
    return heard == SCR_HEARD_OK ? SCR_OK : lose(j, c, heard);
}

/* Gives an idle process something to do: to start, or the next configuration. */
static int employ(struct job *j, struct scr_lab_compiler *c)
{
    enum scr_heard heard;

    if (c->n_done >= MAX_COMPILED)
        scr_helper_collect(&c->helper, true, NULL);
    if (c->helper.pid == 0)
        return begin_start(j, c);
    while (j->next < j->n && !workspace_fits(j, j->next)) {
        j->next++;
        j->n_done++;
    }
    if (j->next == j->n)
        return SCR_OK;
    c->task = j->next++;
    c->state = SCR_COMPILER_BUSY;
    heard = scr_helper_begin(&c->helper,
                             json_pack("{s:s, s:I, s:o}", "do", "compile", "shape",
                                       (json_int_t)j->shape, "config",
                                       scr_lab_config_json(&j->configs[c->task])),
                             j->lab->options.timeout_s);
    return heard == SCR_HEARD_OK ? SCR_OK : lose(j, c, heard);
}

/* Takes what a process has said. */
static int hear(struct job *j, struct scr_lab_compiler *c)
{
    json_t *answer;
    enum scr_heard heard = scr_helper_take(&c->helper, &answer);
    bool good;

    if (heard != SCR_HEARD_OK)
        return lose(j, c, heard);
    if (answer == NULL)
        return SCR_OK;
    if (c->state == SCR_COMPILER_STARTS) {
        good = scr_lab_greeted(j->lab, answer);
        if (!good)
            scr_helper_collect(&c->helper, true, NULL);
    } else {
        good = scr_lab_trial_from_json(json_object_get(answer, "trial"), &j->out[c->task]);
        if (good) {
            prune(j->lab->info, &j->out[c->task]);
            c->n_done++;
            j->n_done++;
        }
    }
    json_decref(answer);
    if (c->state == SCR_COMPILER_BUSY && !good)
        return lose(j, c, SCR_HEARD_GARBLED);
    c->state = SCR_COMPILER_IDLE;
    return SCR_OK;
}

/* Whether one has not come up yet: it must not do so while something is timed. */
static bool one_starts(const struct job *j)
{
    for (size_t i = 0; i < j->n_compilers; i++) {
        if (j->lab->compilers[i].state == SCR_COMPILER_STARTS)
            return true;
    }
    return false;
}

/* Ends who is busy; what was not done says so. */
static void abandon(struct job *j)
{
    const char *why = j->lab->why;

    for (size_t i = 0; i < j->n_compilers; i++) {
        struct scr_lab_compiler *c = &j->lab->compilers[i];

        if (c->state != SCR_COMPILER_IDLE)
            scr_helper_collect(&c->helper, true, NULL);
        c->state = SCR_COMPILER_IDLE;
    }
    for (size_t i = 0; i < j->n; i++) {
        if (j->out[i].status[0] == '\0')
            scr_lab_trial_status(&j->out[i], "skipped", "%s", why[0] != '\0' ? why : "interrupted");
    }
}

int scr_lab_compile(struct scr_lab *lab, size_t shape, const scr_config *configs, size_t n,
                    struct scr_trial *out)
{
    size_t most = lab->options.n_compilers > 0 ? (size_t)lab->options.n_compilers : 1;
    struct job j = {.lab = lab, .shape = shape, .configs = configs, .out = out, .n = n};
    int status = SCR_OK;

    most = most < SCR_LAB_MAX_COMPILERS ? most : SCR_LAB_MAX_COMPILERS;
    j.n_compilers = n < most ? n : most;
    for (size_t i = 0; i < n; i++)
        scr_lab_trial_init(&out[i]);
    while (status == SCR_OK && (j.n_done < n || one_starts(&j))) {
        struct scr_helper *waited[SCR_LAB_MAX_COMPILERS];
        size_t n_waited = 0;

        for (size_t i = 0; i < j.n_compilers && status == SCR_OK; i++) {
            struct scr_lab_compiler *c = &lab->compilers[i];

            if (c->state == SCR_COMPILER_IDLE && j.next < n)
                status = employ(&j, c);
            if (c->state != SCR_COMPILER_IDLE)
                waited[n_waited++] = &c->helper;
        }
        if (status == SCR_OK && n_waited > 0)
            scr_helpers_wait(waited, n_waited);
        for (size_t i = 0; i < j.n_compilers && status == SCR_OK; i++) {
            if (lab->compilers[i].state != SCR_COMPILER_IDLE)
                status = hear(&j, &lab->compilers[i]);
        }
    }
    if (status != SCR_OK)
        abandon(&j);
    return status;
}
