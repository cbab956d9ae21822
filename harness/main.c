/* SPDX-License-Identifier: Apache-2.0 */
#include "commit.h"
#include "compare.h"
#include "devices.h"
#include "enumerate.h"
#include "eval.h"
#include "machine.h"
#include "options.h"
#include "peak_run.h"
#include "plot.h"
#include "run_folder.h"
#include "sweep.h"
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

/* Of a command that is resumed. */
enum { MAX_WORDS = 1000 };

/* A signal handler can reach nothing else. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* The first Ctrl-C asks to finish the row; a second one ends the program at once. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND | SA_RESTART};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int run_plot(const char *dir)
{
    char why[300];
    struct scr_plot_summary summary = {0};
    int status = scr_plot_dir(dir, &summary, why, sizeof why);

    if (status == SCR_OK && summary.n_drawn == 0) {
        fprintf(stderr, "harness: --plot %s: no plot: no row in rows.jsonl was measured for one\n",
                dir);
        return SCR_EXIT_SOME_FAILED;
    }
    if (status == SCR_OK) {
        printf("Plots: %s/plots\n", dir);
        return SCR_EXIT_FINE;
    }
    fprintf(stderr, "harness: --plot: %s\n", why);
    return status == SCR_ERR_INVALID ? SCR_EXIT_USAGE : SCR_EXIT_SOME_FAILED;
}

static int run_worker(const struct scr_options *o, const char *program)
{
    struct scr_case_list list = {.program = program};
    struct scr_devices devices;
    double time_limit_s;
    char why[400];
    int result = SCR_EXIT_SOME_FAILED;

    /* The supervisor looks after Ctrl-C. */
    signal(SIGINT, SIG_IGN);
    if (scr_devices_load(&devices, o->worker) != SCR_OK)
        fprintf(stderr, "harness: the worker cannot load %s\n", o->worker);
    else if (scr_devices_choose(&devices, o->device, true, why, sizeof why) != SCR_OK ||
             scr_enumerate(o, &devices, &list, &time_limit_s, why, sizeof why) != SCR_OK)
        fprintf(stderr, "harness: worker: %s\n", why);
    else
        result = scr_worker_run(o, &devices, &list);
    scr_case_list_clear(&list);
    scr_devices_clear(&devices);
    return result;
}

static int run_on_devices(const struct scr_options *o, int argc, char **argv)
{
    struct scr_devices devices;
    struct scr_machine machine = {0};
    char why[400];
    int result = SCR_EXIT_FINE;
    int status;

    /* A worker that died is noticed by what it does not answer. */
    signal(SIGPIPE, SIG_IGN);
    /* Before a driver is loaded: see topology.h. */
    if (o->mode != SCR_MODE_LIST_DEVICES && !o->dry_run)
        scr_machine_describe(&machine);
    status =
        o->mode == SCR_MODE_EVAL ? scr_devices_load(&devices, NULL) : scr_devices_survey(&devices);
    if (status != SCR_OK) {
        fprintf(stderr, "harness: no device found: %s\n", scr_status_text(status));
        result = SCR_EXIT_SOME_FAILED;
    } else if (o->mode == SCR_MODE_LIST_DEVICES) {
        scr_devices_print(&devices, stdout);
    } else if (scr_devices_choose(&devices, o->device, o->mode != SCR_MODE_EVAL, why, sizeof why) !=
               SCR_OK) {
        fprintf(stderr, "harness: %s\n", why);
        result = SCR_EXIT_NO_DEVICE;
    } else if (o->mode == SCR_MODE_EVAL) {
        result = scr_eval_run(o, &devices, &machine);
    } else if (o->mode == SCR_MODE_PEAK) {
        result = scr_peak_run(o, &devices, &machine, argv);
    } else {
        catch_signals();
        result = scr_sweep_run(o, &devices, &machine, argc, argv, &interrupted);
    }
    scr_devices_clear(&devices);
    scr_machine_clear(&machine);
    return result;
}

/* Does again what the command in a run's folder says, but for the rows that are there. */
static int run_resumed(const char *dir)
{
    char why[700];
    char *words[MAX_WORDS + 1];
    struct scr_options o = {0};
    json_t *command = scr_run_folder_command(dir, why, sizeof why);
    int n = (int)json_array_size(command);
    int result = SCR_EXIT_USAGE;

    if (command == NULL) {
        fprintf(stderr, "harness: --resume %s\n", why);
        return result;
    }
    if (n > MAX_WORDS)
        n = MAX_WORDS;
    for (int i = 0; i < n; i++)
        words[i] = (char *)(uintptr_t)json_string_value(json_array_get(command, (size_t)i));
    words[n] = NULL;
    if (scr_options_parse(n, words, &o, why, sizeof why) != SCR_OK) {
        fprintf(stderr, "harness: --resume %s: run.json: %s\n", dir, why);
    } else {
        o.resume_dir = dir;
        result = run_on_devices(&o, n, words);
    }
    scr_options_clear(&o);
    json_decref(command);
    return result;
}

static int run_compare(const struct scr_options *o)
{
    struct scr_compare_options compare = {
        .base = o->compare_base,
        .now = o->compare_new,
        .max_regress = o->max_regress,
        .format = o->formats & SCR_FORMAT_MD ? SCR_COMPARE_MARKDOWN : SCR_COMPARE_TABLE,
    };
    char why[700] = "";
    int result = scr_compare_run(&compare, stdout, why, sizeof why);

    if (why[0] != '\0')
        fprintf(stderr, "harness: --compare: %s\n", why);
    return result;
}

int main(int argc, char **argv)
{
    struct scr_options o;
    char why[400];
    int result = SCR_EXIT_FINE;

    if (scr_options_parse(argc, argv, &o, why, sizeof why) != SCR_OK) {
        fprintf(stderr, "harness: %s\n", why);
        result = SCR_EXIT_USAGE;
    } else if (o.mode == SCR_MODE_HELP) {
        scr_options_help(stdout);
    } else if (o.mode == SCR_MODE_VERSION) {
        printf("harness %s (%s)\n", scr_version_text(), SCR_COMMIT);
    } else if (o.worker != NULL) {
        result = run_worker(&o, argv[0]);
    } else if (o.mode == SCR_MODE_RESUME) {
        result = run_resumed(o.resume_dir);
    } else if (o.mode == SCR_MODE_COMPARE) {
        result = run_compare(&o);
    } else if (o.mode == SCR_MODE_PLOT) {
        result = run_plot(o.plot_dir);
    } else {
        result = run_on_devices(&o, argc, argv);
    }
    scr_options_clear(&o);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "harness: standard output cannot be written%s%s\n", errno != 0 ? ": " : "",
                errno != 0 ? strerror(errno) : "");
        if (result == SCR_EXIT_FINE)
            result = SCR_EXIT_SOME_FAILED;
    }
    return result;
}
