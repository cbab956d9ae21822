/* SPDX-License-Identifier: Apache-2.0 */
/* The side of the lab that asks: one process that runs candidates. lab_compile.c has the others. */
#include "lab.h"

#include "json_text.h"
#include "lab_message.h"
#include "lab_state.h"
#include "machine.h"
#include "sampler.h"
#include "topology.h"
#include "worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Loading drivers and making the list of shapes, which reads traces. */
const double SCR_LAB_START_TIMEOUT_S = 180;

int scr_lab_create(const struct scr_lab_options *o, struct scr_lab **out)
{
    struct scr_lab *lab = calloc(1, sizeof *lab);
    struct scr_helper helper = {
        .argv = o->argv, .backends = o->backends, .stop = o->stop, .end_s = o->end_s};

    *out = lab;
    if (lab == NULL)
        return SCR_ERR_NO_MEMORY;
    lab->options = *o;
    lab->info = o->shapes->n > 0 ? o->shapes->cases[0].device : NULL;
    lab->runner = helper;
    for (int i = 0; i < SCR_LAB_MAX_COMPILERS; i++)
        lab->compilers[i].helper = helper;
    signal(SIGPIPE, SIG_IGN);
    return SCR_OK;
}

void scr_lab_destroy(struct scr_lab **plab)
{
    struct scr_lab *lab = *plab;

    if (lab == NULL)
        return;
    scr_helper_clear(&lab->runner);
    for (int i = 0; i < SCR_LAB_MAX_COMPILERS; i++)
        scr_helper_clear(&lab->compilers[i].helper);
    free(lab);
    *plab = NULL;
}

void scr_lab_set_end(struct scr_lab *lab, double end_s)
{
    lab->options.end_s = lab->runner.end_s = end_s;
    for (int i = 0; i < SCR_LAB_MAX_COMPILERS; i++)
        lab->compilers[i].helper.end_s = end_s;
}

const char *scr_lab_why(const struct scr_lab *lab)
{
    return lab->why;
}

json_t *scr_lab_greeting(const struct scr_lab *lab)
{
    const struct scr_machine *m = lab->options.machine;

    return json_pack("{s:i, s:o}", "lab", SCR_LAB_PROTOCOL, "xml",
                     scr_json_text(m != NULL && m->topology != NULL ? m->topology->xml : NULL));
}

bool scr_lab_greeted(struct scr_lab *lab, const json_t *hello)
{
    const char *theirs = json_string_value(json_object_get(hello, "digest"));
    const char *why = json_string_value(json_object_get(hello, "why"));
    char ours[20];

    snprintf(ours, sizeof ours, "%016llx",
             (unsigned long long)scr_worker_digest(lab->options.shapes));
    if (json_integer_value(json_object_get(hello, "hello")) != SCR_LAB_PROTOCOL || theirs == NULL ||
        why == NULL)
        why = "the worker process sent no greeting";
    else if (strcmp(theirs, ours) != 0)
        why = "the worker process found other devices or shapes";
    snprintf(lab->why, sizeof lab->why, "%s", why);
    lab->starts_in_vain = why[0] == '\0' ? 0 : lab->starts_in_vain + 1;
    return why[0] == '\0';
}

void scr_lab_not_started(struct scr_lab *lab, const struct scr_helper_end *end)
{
    lab->why[0] = '\0';
    if (end->heard == SCR_HEARD_STOPPED || end->heard == SCR_HEARD_LATE)
        return;
    lab->starts_in_vain++;
    snprintf(lab->why, sizeof lab->why, "the worker process did not start: %s", end->why);
}

/* Makes sure that the runner waits for requests. */
static int start_runner(struct scr_lab *lab)
{
    enum scr_heard heard;
    struct scr_helper_end end;
    json_t *hello;
    bool good;

    if (lab->runner.pid != 0)
        return SCR_OK;
    if (lab->starts_in_vain >= SCR_LAB_STARTS_IN_VAIN)
        return SCR_ERR_DEVICE;
    lab->n_served = 0;
    if (scr_helper_start(&lab->runner, lab->why, sizeof lab->why) != SCR_OK)
        return SCR_ERR_DEVICE;
    heard = scr_helper_ask(&lab->runner, scr_lab_greeting(lab), SCR_LAB_START_TIMEOUT_S, &hello);
    if (heard != SCR_HEARD_OK) {
        end = scr_helper_bury(&lab->runner, heard);
        scr_lab_not_started(lab, &end);
        return SCR_ERR_DEVICE;
    }
    good = scr_lab_greeted(lab, hello);
    json_decref(hello);
    if (!good) {
        scr_helper_collect(&lab->runner, true, NULL);
        return SCR_ERR_DEVICE;
    }
    return SCR_OK;
}

/* The trials and ratios of an answer. False where it is not one for n configurations. */
static bool take_answer(const json_t *answer, size_t n, struct scr_trial *out,
                        struct scr_ratio *ratio)
{
    const json_t *trials = json_object_get(answer, "trials");
    const json_t *ratios = json_object_get(answer, "ratios");

    if (ratio == NULL)
        return scr_lab_trial_from_json(json_object_get(answer, "trial"), out);
    if (json_array_size(trials) != n || json_array_size(ratios) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!scr_lab_trial_from_json(json_array_get(trials, i), &out[i]) ||
            !scr_lab_ratio_from_json(json_array_get(ratios, i), &ratio[i]))
            return false;
    }
    return true;
}

/* Whether something went wrong that may have done harm to the process or the device. */
static bool harmed(const struct scr_trial *trials, size_t n)
{
    static const char *const bad[] = {"wrong", "failed", "crashed", "timeout"};

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < sizeof bad / sizeof bad[0]; j++) {
            if (strcmp(trials[i].status, bad[j]) == 0)
                return true;
        }
    }
    return false;
}

static void set_all(struct scr_trial *out, size_t n, const char *status, const char *reason)
{
    for (size_t i = 0; i < n; i++) {
        scr_lab_trial_init(&out[i]);
        scr_lab_trial_status(&out[i], status, "%s", reason);
    }
}

/*
 * Sends a request once; ratio NULL: for one configuration.
 * fresh  the process had run nothing before
 */
static int ask_once(struct scr_lab *lab, json_t *request, size_t n, struct scr_trial *out,
                    struct scr_ratio *ratio, bool *fresh)
{
    enum scr_heard heard;
    struct scr_helper_end end;
    json_t *answer;

    if (start_runner(lab) != SCR_OK) {
        set_all(out, n, "skipped", lab->why[0] != '\0' ? lab->why : "interrupted");
        return SCR_ERR_DEVICE;
    }
    *fresh = lab->n_served++ == 0;
    heard = scr_helper_ask(&lab->runner, json_incref(request), lab->options.timeout_s, &answer);
    if (heard == SCR_HEARD_OK && !take_answer(answer, n, out, ratio))
        heard = SCR_HEARD_GARBLED;
    json_decref(answer);
    if (heard != SCR_HEARD_OK) {
        end = scr_helper_bury(&lab->runner, heard);
        set_all(out, n, end.status, end.why);
        lab->why[0] = '\0';
        return heard == SCR_HEARD_STOPPED || heard == SCR_HEARD_LATE ? SCR_ERR_DEVICE : SCR_OK;
    }
    if (harmed(out, n))
        scr_helper_collect(&lab->runner, true, NULL);
    return SCR_OK;
}

/* Sends a request, drops it, and sends it again where others may be to blame for what came. */
static int ask(struct scr_lab *lab, json_t *request, size_t n, struct scr_trial *out,
               struct scr_ratio *ratio)
{
    bool fresh = true;
    int status;

    for (size_t i = 0; ratio != NULL && i < n; i++)
        ratio[i] = (struct scr_ratio){NAN, NAN, NAN};
    status = request != NULL ? ask_once(lab, request, n, out, ratio, &fresh) : SCR_ERR_NO_MEMORY;
    /* A second timeout would cost as much as the first, and blames the candidate nearly always. */
    if (status == SCR_OK && !fresh && harmed(out, n) && strcmp(out[0].status, "timeout") != 0)
        status = ask_once(lab, request, n, out, ratio, &fresh);
    json_decref(request);
    return status;
}

/* Verifying shapes are small and run for every candidate: each keeps its data. */
static int slot_of(const struct scr_lab *lab, size_t shape)
{
    size_t n_tuned = lab->options.n_tuned;

    return shape < n_tuned ? 0 : 1 + (int)((shape - n_tuned) % (SCR_LAB_SLOTS - 1));
}

static json_t *try_request(const struct scr_lab *lab, size_t shape, const scr_config *config,
                           bool thorough, double limit_s, double best_ns)
{
    return json_pack("{s:s, s:I, s:i, s:o, s:b, s:f, s:o}", "do", "try", "shape", (json_int_t)shape,
                     "slot", slot_of(lab, shape), "config", scr_lab_config_json(config), "thorough",
                     (int)thorough, "limit", limit_s, "best", scr_lab_number(best_ns));
}

int scr_lab_check(struct scr_lab *lab, size_t shape, const scr_config *config,
                  struct scr_trial *out)
{
    return ask(lab, try_request(lab, shape, config, true, 0, NAN), 1, out, NULL);
}

int scr_lab_time(struct scr_lab *lab, size_t shape, const scr_config *config, double limit_s,
                 double best_ns, struct scr_trial *out)
{
    return ask(lab, try_request(lab, shape, config, false, limit_s, best_ns), 1, out, NULL);
}

int scr_lab_race(struct scr_lab *lab, size_t shape, const scr_config *configs, size_t n,
                 double limit_s, struct scr_trial *out, struct scr_ratio *ratio)
{
    json_t *list = json_array();

    if (n == 0 || n > SCR_MAX_CONTESTANTS) {
        json_decref(list);
        return SCR_ERR_INVALID;
    }
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, scr_lab_config_json(&configs[i]));
    return ask(lab,
               json_pack("{s:s, s:I, s:i, s:o, s:f}", "do", "race", "shape", (json_int_t)shape,
                         "slot", slot_of(lab, shape), "configs", list, "limit", limit_s),
               n, out, ratio);
}
