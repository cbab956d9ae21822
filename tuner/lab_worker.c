/* SPDX-License-Identifier: Apache-2.0 */
/* The side of the lab that runs and compiles candidates, and may die of them. */
#include "engine.h"
#include "helper.h"
#include "json_text.h"
#include "lab.h"
#include "lab_message.h"
#include "machine.h"
#include "runner.h"
#include "sweep.h"
#include "topology.h"
#include "worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct lab_worker {
    const struct scr_case_list *shapes;
    struct scr_devices *devices;
    const struct scr_faults *faults;
    struct scr_helper_pipes pipes;
    struct scr_machine machine;
    struct scr_engine *engines[SCR_LAB_SLOTS]; /* by slot; NULL until one is used */
};

static void tell_step(void *user, const char *step)
{
    struct lab_worker *w = user;

    scr_helper_answer(&w->pipes, json_pack("{s:s}", "step", step));
}

/* NULL when memory is exhausted. */
static struct scr_engine *engine_of(struct lab_worker *w, int slot)
{
    struct scr_engine_options options = {
        .timed = slot == 0,
        .faults = *w->faults,
        .beat = tell_step,
        .user = w,
    };

    if (w->engines[slot] == NULL)
        scr_engine_create(w->shapes, w->devices, &w->machine, &options, &w->engines[slot]);
    return w->engines[slot];
}

static void copy_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
}

static struct scr_trial trial_of(const struct scr_row *row, const scr_resources *resources)
{
    struct scr_trial t;

    scr_lab_trial_init(&t);
    scr_lab_trial_status(&t, row->status, "%s", row->reason);
    t.ns = row->t_median_ns;
    t.lo = row->t_ci_lo_ns;
    t.hi = row->t_ci_hi_ns;
    t.n = row->n_samples;
    copy_text(t.timer, sizeof t.timer, row->timer);
    if (!isnan(t.ns))
        copy_text(t.cache, sizeof t.cache, row->cache);
    copy_text(t.stop, sizeof t.stop, row->stop);
    t.pair_density = row->pair_density;
    t.resources = *resources;
    return t;
}

static bool answer_trial(struct lab_worker *w, const struct scr_trial *t)
{
    return scr_helper_answer(&w->pipes, json_pack("{s:o}", "trial", scr_lab_trial_json(t)));
}

/*
 * Runs a configuration on one row and one key: OpenCL drivers may put off a part of the compilation
 * to the first launch, and keep what comes of it where the runner finds it. The memory is zero, and
 * so is the window, which admits no pair.
 */
static int run_once(scr_device *dev, const scr_problem *p, const scr_config *config)
{
    scr_problem one = *p;
    const size_t bytes = 4096; /* enough for a row of any tensor */
    scr_buffer *buffer = NULL;
    scr_plan *plan = NULL;
    scr_args args;
    int status;

    one.batch = one.heads_q = one.heads_kv = one.len_q = one.len_k = 1;
    one.q_pos0 = 0;
    one.has_kv_len = false;
    status = scr_plan_create(dev, &one, config, 0, &plan);
    if (status == SCR_OK)
        status = scr_buffer_create(dev, bytes, &buffer);
    if (status == SCR_OK)
        status = scr_buffer_fill(buffer, 0, 0, bytes);
    args = (scr_args){.q = buffer, .k = buffer, .v = buffer, .r = buffer, .w = buffer, .o = buffer};
    if (status == SCR_OK)
        status = scr_plan_run(plan, &args, NULL);
    if (status == SCR_OK)
        status = scr_device_synchronize(dev);
    scr_plan_destroy(&plan);
    scr_buffer_destroy(&buffer);
    return status;
}

/* Compiles and forgets: what is kept is in the compile cache, or that of the driver. */
static bool compile(struct lab_worker *w, size_t shape, const scr_config *config)
{
    const struct scr_case *c = &w->shapes->cases[shape];
    struct scr_faults faults = scr_faults_of(w->faults, shape, config);
    struct scr_runner r = {.log = &w->devices->log};
    scr_resources resources = {0};
    scr_plan *plan = NULL;
    struct scr_trial t;
    struct scr_row row;
    scr_device *dev;
    int status = SCR_ERR_COMPILE;

    tell_step(w, "compile");
    scr_faults_strike(&faults, SCR_INJECT_COMPILE_CRASH, SCR_INJECT_COMPILE_HANG);
    scr_row_init(&row, c);
    scr_log_clear(&w->devices->log);
    dev = scr_devices_open(w->devices, (size_t)c->device_order);
    if (dev == NULL)
        status = SCR_ERR_DEVICE;
    else if (!scr_faults_has(&faults, SCR_INJECT_COMPILE, shape))
        status = scr_plan_create(dev, &c->spec.problem, config, 0, &plan);
    if (status == SCR_OK && strcmp(c->device->backend, "opencl") == 0)
        status = run_once(dev, &c->spec.problem, config);
    if (status != SCR_OK) {
        scr_runner_fail(&r, status, &row);
    } else {
        scr_row_status(&row, "ok", "%s", "");
        scr_plan_get_resources(plan, &resources);
    }
    scr_plan_destroy(&plan);
    t = trial_of(&row, &resources);
    return answer_trial(w, &t);
}

static bool try_one(struct lab_worker *w, int slot, size_t shape, const scr_config *config,
                    const struct scr_try *how)
{
    struct scr_engine *e = engine_of(w, slot);
    scr_resources resources;
    struct scr_trial t;
    struct scr_row row;

    if (e == NULL)
        return false;
    scr_engine_try(e, shape, config, how, &row, &resources);
    t = trial_of(&row, &resources);
    return answer_trial(w, &t);
}

static bool race(struct lab_worker *w, int slot, size_t shape, const json_t *list, double limit_s)
{
    struct scr_engine *e = engine_of(w, slot);
    size_t n = json_array_size(list);
    struct scr_ratio ratio[SCR_MAX_CONTESTANTS];
    scr_config configs[SCR_MAX_CONTESTANTS];
    struct scr_row *rows = NULL;
    json_t *trials, *ratios;
    bool good = e != NULL && n > 0 && n <= SCR_MAX_CONTESTANTS;

    for (size_t i = 0; good && i < n; i++)
        good = scr_lab_config_from_json(json_array_get(list, i), &configs[i]);
    if (good)
        rows = calloc(n, sizeof *rows);
    if (rows == NULL)
        return false;
    trials = json_array();
    ratios = json_array();
    scr_engine_race(e, shape, configs, n, limit_s, rows, ratio);
    for (size_t i = 0; i < n; i++) {
        struct scr_trial t = trial_of(&rows[i], &(scr_resources){0});

        json_array_append_new(trials, scr_lab_trial_json(&t));
        json_array_append_new(ratios, scr_lab_ratio_json(&ratio[i]));
    }
    free(rows);
    return scr_helper_answer(&w->pipes,
                             json_pack("{s:o, s:o}", "trials", trials, "ratios", ratios));
}

static bool serve_one(struct lab_worker *w, const json_t *request)
{
    const char *what = json_string_value(json_object_get(request, "do"));
    json_int_t shape = json_integer_value(json_object_get(request, "shape"));
    json_int_t slot = json_integer_value(json_object_get(request, "slot"));
    double limit_s = json_number_value(json_object_get(request, "limit"));
    double best_ns = scr_lab_number_from(json_object_get(request, "best"));
    bool thorough = json_is_true(json_object_get(request, "thorough"));
    struct scr_try how = {thorough, limit_s, isnan(best_ns) ? INFINITY : best_ns};
    scr_config config;

    if (what == NULL || shape < 0 || (size_t)shape >= w->shapes->n || slot < 0 ||
        slot >= SCR_LAB_SLOTS)
        return false;
    if (strcmp(what, "race") == 0)
        return race(w, (int)slot, (size_t)shape, json_object_get(request, "configs"), limit_s);
    if (!scr_lab_config_from_json(json_object_get(request, "config"), &config))
        return false;
    if (strcmp(what, "try") == 0)
        return try_one(w, (int)slot, (size_t)shape, &config, &how);
    return strcmp(what, "compile") == 0 && compile(w, (size_t)shape, &config);
}

/* Opens the device and answers the first request. */
static bool greet(struct lab_worker *w, const json_t *first)
{
    struct scr_topology *topology = NULL;
    const char *xml = json_string_value(json_object_get(first, "xml"));
    char digest[20], why[200] = "";

    if (xml != NULL)
        scr_topology_import(xml, true, &topology);
    scr_machine_describe_by(&w->machine, topology);
    tell_step(w, "open");
    if (w->shapes->n == 0) {
        snprintf(why, sizeof why, "there are no shapes");
    } else if (scr_devices_open(w->devices, (size_t)w->shapes->cases[0].device_order) == NULL) {
        scr_log_first(&w->devices->log, why, sizeof why);
        if (why[0] == '\0')
            snprintf(why, sizeof why, "the device does not open");
    }
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)scr_worker_digest(w->shapes));
    return scr_helper_answer(&w->pipes, json_pack("{s:i, s:s, s:o}", "hello", SCR_LAB_PROTOCOL,
                                                  "digest", digest, "why", scr_json_text(why)));
}

int scr_lab_worker(const struct scr_case_list *shapes, struct scr_devices *devices,
                   const struct scr_faults *faults)
{
    struct lab_worker w = {.shapes = shapes, .devices = devices, .faults = faults};
    json_t *request = scr_helper_pipes_open(&w.pipes) ? scr_helper_next(&w.pipes) : NULL;
    int result = SCR_EXIT_SOME_FAILED;
    bool good;

    /* Who asks looks after Ctrl-C. */
    signal(SIGINT, SIG_IGN);
    if (json_object_get(request, "lab") == NULL) {
        fprintf(stderr, "tuner: --worker is for the tuner itself\n");
        json_decref(request);
        scr_helper_pipes_close(&w.pipes);
        return SCR_EXIT_USAGE;
    }
    good = greet(&w, request);
    json_decref(request);
    while (good && (request = scr_helper_next(&w.pipes)) != NULL) {
        good = serve_one(&w, request);
        json_decref(request);
    }
    if (good)
        result = SCR_EXIT_FINE;
    for (int i = 0; i < SCR_LAB_SLOTS; i++)
        scr_engine_destroy(&w.engines[i]);
    scr_machine_clear(&w.machine);
    scr_helper_pipes_close(&w.pipes);
    return result;
}
