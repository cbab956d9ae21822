/* SPDX-License-Identifier: Apache-2.0 */
#include "tune.h"

#include "machine.h"
#include "sweep.h" /* exit statuses */
#include "tools.h"
#include "tune_state.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of sampling a candidate, and of a step of one. */
static const double TIME_LIMIT_S = 0.2, TIMEOUT_S = 120;

/* A signal handler can reach nothing else. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* The first Ctrl-C asks to finish; a second one ends the program at once. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool mine(const struct scr_tune *t, size_t shape)
{
    return shape % (size_t)t->o->n_shards == (size_t)t->o->shard - 1;
}

static size_t expected(const struct scr_tune *t, size_t shape)
{
    size_t sum = 0;

    for (int k = 0; k < SCR_N_TUNED_KERNELS; k++) {
        struct scr_space space;

        if (scr_space_create(t->info, &t->shapes.cases[shape].spec.problem,
                             scr_tuned_kernels[k].kernel, scr_tuned_kernels[k].skip,
                             &space) != SCR_OK)
            continue;
        sum += scr_tune_expected(t, &space);
        scr_space_clear(&space);
    }
    return sum;
}

static void say_end(struct scr_tune *t)
{
    char verdict[400];

    if (t->end == SCR_TUNE_BROKEN)
        fprintf(stderr, "tuner: %s\n", t->why);
    if (t->end == SCR_TUNE_STOPPED)
        fprintf(stderr, "tuner: interrupted; the same command with --resume goes on\n");
    if (t->end == SCR_TUNE_LATE)
        fprintf(stderr, "tuner: the budget is spent; the same command with --resume goes on\n");
    if (t->n_won == 0)
        return;
    if (scr_records_verdict(&t->records, verdict, sizeof verdict) == SCR_OK)
        printf("%s Next: tuner --table %s\n", verdict, t->o->records);
}

static void tune_shapes(struct scr_tune *t)
{
    size_t left = 0, total = 0, done = 0;

    for (size_t i = 0; i < t->n_tuned; i++) {
        if (!mine(t, i))
            continue;
        left++;
        total += expected(t, i);
    }
    scr_progress_start(&t->progress, stderr, 0, total > 0 ? total : 1);
    for (size_t i = 0; i < t->n_tuned && t->end == SCR_TUNE_GOES_ON; i++) {
        double now = scr_clock_s();

        if (!mine(t, i))
            continue;
        if (interrupted)
            t->end = SCR_TUNE_STOPPED;
        else if (t->end_s != 0 && now >= t->end_s)
            t->end = SCR_TUNE_LATE;
        if (t->end != SCR_TUNE_GOES_ON)
            break;
        t->done = done;
        if (t->shapes.cases[i].refused != SCR_OK)
            fprintf(stderr, "tuner: shape left out: %s\n", t->shapes.cases[i].why);
        else
            scr_tune_shape(t, i, t->end_s == 0 ? 0 : now + (t->end_s - now) / (double)left);
        done += expected(t, i);
        left--;
    }
    scr_progress_hide(&t->progress);
}

/* Reads what is there to go on with, and opens the file to append to. */
static int open_records(struct scr_tune *t, char *why, size_t why_size)
{
    int status = SCR_OK;

    if (t->o->resume) {
        status = scr_records_read(t->o->records, &t->records, why, why_size);
        if (status == SCR_ERR_NOT_FOUND)
            status = SCR_OK;
        if (status == SCR_OK && t->records.n_bad > 0)
            fprintf(stderr, "tuner: %s: %zu line%s left out: %s\n", t->o->records, t->records.n_bad,
                    t->records.n_bad == 1 ? "" : "s", t->records.first_bad);
    }
    if (status == SCR_OK)
        status = scr_record_file_open(t->o->records, &t->file, why, why_size);
    return status;
}

/* Tunes the one device that is chosen. */
static int tune_device(const struct scr_tuner_options *o, const struct scr_devices *devices,
                       const struct scr_machine *machine, char **argv)
{
    const scr_context_options tables = {.backends = "ref"};
    struct scr_tune t = {
        .o = o,
        .info = devices->info[0],
        .shapes.program = argv[0],
        .stop = &interrupted,
        .limit_s = o->time_limit_s > 0 ? o->time_limit_s : TIME_LIMIT_S,
        .end_s = o->budget_s > 0 ? scr_clock_s() + o->budget_s : 0,
    };
    struct scr_lab_options lab = {
        .argv = argv,
        .backends = devices->backends,
        .shapes = &t.shapes,
        .machine = machine,
        .timeout_s = o->timeout_s > 0 ? o->timeout_s : TIMEOUT_S,
        .stop = &interrupted,
        .end_s = t.end_s,
    };
    char why[700] = "out of memory";
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int result = SCR_EXIT_SOME_FAILED;
    int status;

    gethostname(t.host, sizeof t.host - 1);
    t.jobs = o->jobs > 0 ? o->jobs : cores > 0 ? (int)cores : 1;
    lab.n_compilers = t.jobs;
    status = scr_lab_shapes(&o->axes, t.info, o->seed, &t.shapes, &t.n_tuned, why, sizeof why);
    lab.n_tuned = t.n_tuned;
    if (status == SCR_OK) {
        t.settled = calloc(t.n_tuned, sizeof *t.settled);
        status = t.settled != NULL ? SCR_OK : SCR_ERR_NO_MEMORY;
    }
    if (status == SCR_OK)
        status = open_records(&t, why, sizeof why);
    if (status == SCR_ERR_INVALID)
        result = SCR_EXIT_USAGE;
    if (status == SCR_OK)
        status = scr_context_create(&tables, &t.tables);
    if (status == SCR_OK)
        status = scr_lab_create(&lab, &t.lab);
    if (status != SCR_OK) {
        fprintf(stderr, "tuner: %s\n", why);
        goto out;
    }
    tune_shapes(&t);
    say_end(&t);
    result = t.end == SCR_TUNE_STOPPED        ? SCR_EXIT_INTERRUPTED
             : t.end == SCR_TUNE_BROKEN       ? SCR_EXIT_SOME_FAILED
             : t.n_shapes > 0 && t.n_won == 0 ? SCR_EXIT_SOME_FAILED
             : t.end == SCR_TUNE_LATE         ? SCR_EXIT_FINE
             : t.n_won < t.n_shapes           ? SCR_EXIT_SOME_FAILED
                                              : SCR_EXIT_FINE;
out:
    scr_lab_destroy(&t.lab);
    scr_context_destroy(&t.tables);
    scr_record_file_close(&t.file);
    scr_records_clear(&t.records);
    free(t.settled);
    scr_case_list_clear(&t.shapes);
    return result;
}

/* The process that touches drivers. */
static int serve(const struct scr_tuner_options *o, char **argv)
{
    struct scr_devices devices;
    struct scr_case_list shapes = {.program = argv[0]};
    char why[700] = "";
    size_t n_tuned;
    int result = SCR_EXIT_SOME_FAILED;
    int status;

    /* Ctrl-C on the terminal is for the process that asks. */
    signal(SIGINT, SIG_IGN);
    status = scr_devices_load(&devices, o->worker, NULL);
    if (status == SCR_OK)
        status = scr_devices_choose(&devices, o->device, false, why, sizeof why);
    if (status == SCR_OK)
        status =
            scr_lab_shapes(&o->axes, devices.info[0], o->seed, &shapes, &n_tuned, why, sizeof why);
    if (status == SCR_OK)
        result = scr_lab_worker(&shapes, &devices, &o->faults);
    else
        fprintf(stderr, "tuner: %s\n", why[0] != '\0' ? why : scr_status_text(status));
    scr_case_list_clear(&shapes);
    scr_devices_clear(&devices);
    return result;
}

int scr_tune_run(const struct scr_tuner_options *o, int argc, char **argv)
{
    struct scr_devices devices;
    struct scr_machine machine = {0};
    char why[700];
    int result;
    int status;

    if (o->worker != NULL)
        return serve(o, argv);
    catch_signals();
    /* Before a driver is loaded: see topology.h. */
    scr_machine_describe(&machine);
    status = scr_devices_survey(&devices, NULL);
    if (status != SCR_OK) {
        fprintf(stderr, "tuner: no device found: %s\n", scr_status_text(status));
        result = SCR_EXIT_SOME_FAILED;
    } else if (scr_devices_choose(&devices, o->device, false, why, sizeof why) != SCR_OK) {
        fprintf(stderr, "tuner: %s\n", why);
        result = SCR_EXIT_NO_DEVICE;
    } else if (devices.n > 1) {
        result = scr_tune_devices(o, devices.info, devices.n, argc, argv, &interrupted);
    } else {
        result = tune_device(o, &devices, &machine, argv);
    }
    scr_devices_clear(&devices);
    scr_machine_clear(&machine);
    return result;
}
