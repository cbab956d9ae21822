/* SPDX-License-Identifier: Apache-2.0 */
#include "commit.h"
#include "compare.h"
#include "devices.h"
#include "enumerate.h"
#include "eval.h"
#include "help.h"
#include "machine.h"
#include "options.h"
#include "peak_run.h"
#include "plot.h"
#include "report_write.h"
#include "rows_file.h"
#include "run_folder.h"
#include "sweep.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A signal handler can reach nothing else. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/*
 * A standard stream that the caller closed would become the next file that is opened, and take what
 * is meant for the stream. Read-only, so that printing to a closed stream still fails.
 */
static bool occupy_standard_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The first Ctrl-C asks to finish the row; a second one ends the program at once. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND | SA_RESTART};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/*
 * Reports show the pictures, so they are written again. A published folder has no report.html, and
 * its report.md, which says more, is left alone.
 */
static int report_again(const char *dir, const struct scr_plot_summary *plots, char *why,
                        size_t why_size)
{
    char page[PATH_MAX];
    struct scr_rows_file rows = {0};
    int status;

    snprintf(page, sizeof page, "%s/report.html", dir);
    if (access(page, F_OK) != 0)
        return SCR_OK;
    status = scr_rows_file_read(dir, &rows, why, why_size);
    if (status == SCR_OK)
        status = scr_report_write(dir, rows.rows, rows.n, plots, why, why_size);
    scr_rows_file_clear(&rows);
    return status;
}

static int run_plot(const char *dir)
{
    char why[300];
    struct scr_plot_summary summary = {0};
    int status = scr_plot_dir(dir, &summary, why, sizeof why);

    if (status == SCR_OK)
        status = report_again(dir, &summary, why, sizeof why);
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
    status = o->mode == SCR_MODE_EVAL ? scr_devices_load(&devices, NULL, o->limits)
                                      : scr_devices_survey(&devices, o->limits);
    if (status != SCR_OK) {
        fprintf(stderr, "harness: no device found: %s\n", scr_status_text(status));
        result = SCR_EXIT_SOME_FAILED;
    } else if (o->mode == SCR_MODE_LIST_DEVICES) {
        scr_devices_print(&devices, stdout);
    } else {
        status = scr_devices_choose(&devices, o->device, o->mode != SCR_MODE_EVAL, why, sizeof why);
        if (why[0] != '\0')
            fprintf(stderr, "harness: %s\n", why);
        if (status != SCR_OK) {
            result = SCR_EXIT_NO_DEVICE;
        } else if (o->mode == SCR_MODE_EVAL) {
            result = scr_eval_run(o, &devices, &machine);
        } else if (o->mode == SCR_MODE_PEAK) {
            result = scr_peak_run(o, &devices, &machine, argv);
        } else {
            catch_signals();
            result = scr_sweep_run(o, &devices, &machine, argc, argv, &interrupted);
        }
    }
    scr_devices_clear(&devices);
    scr_machine_clear(&machine);
    return result;
}

/* Names in a command are meant from where it was given. *dir becomes absolute where that is left.
 */
static void go_where_it_began(const char *cwd, const char **dir, char **absolute)
{
    char here[PATH_MAX];

    *absolute = NULL;
    if (cwd == NULL || getcwd(here, sizeof here) == NULL || strcmp(here, cwd) == 0)
        return;
    *absolute = realpath(*dir, NULL);
    if (*absolute != NULL && chdir(cwd) == 0)
        *dir = *absolute;
    else
        fprintf(
            stderr,
            "harness: --resume %s: it began in %s (%s); files that it names are looked up here\n",
            *dir, cwd, strerror(errno));
}

/*
 * Does again what the command in a run's folder says, but for the rows that are there. Times that
 * are given here come last in the command, and so replace those in it.
 */
static int run_resumed(const struct scr_options *given)
{
    const struct {
        const char *name;
        double seconds;
    } times[] = {{"--budget", given->budget_s},
                 {"--timeout", given->timeout_s},
                 {"--time-limit", given->time_limit_s}};
    enum { N_TIMES = sizeof times / sizeof times[0] };
    char why[700], values[N_TIMES][32];
    const char *dir = given->resume_dir;
    char *absolute = NULL;
    struct scr_options o = {0};
    json_t *options = scr_run_folder_options(dir, why, sizeof why);
    json_t *command = json_object_get(options, "command");
    size_t n = json_array_size(command), i;
    const char **words = malloc((n + 2 * N_TIMES + 1) * sizeof *words);
    int result = SCR_EXIT_USAGE;

    if (options == NULL || words == NULL) {
        fprintf(stderr, "harness: --resume %s\n", options == NULL ? why : "out of memory");
        goto out;
    }
    for (i = 0; i < n; i++)
        words[i] = json_string_value(json_array_get(command, i));
    for (i = 0; i < N_TIMES; i++) {
        if (times[i].seconds <= 0)
            continue;
        snprintf(values[i], sizeof values[i], "%.9gs", times[i].seconds);
        words[n++] = times[i].name;
        words[n++] = values[i];
    }
    words[n] = NULL;
    go_where_it_began(json_string_value(json_object_get(options, "cwd")), &dir, &absolute);
    if (scr_options_parse((int)n, (char **)(uintptr_t)words, &o, why, sizeof why) != SCR_OK) {
        fprintf(stderr, "harness: --resume %s: %s\n", dir, why);
    } else if ((o.mode != SCR_MODE_SWEEP && o.mode != SCR_MODE_CHECK) || o.dry_run ||
               o.worker != NULL) {
        fprintf(stderr, "harness: --resume %s: the command in run.json is no sweep\n", dir);
    } else {
        o.resume_dir = dir;
        result = run_on_devices(&o, (int)n, (char **)(uintptr_t)words);
    }
    scr_options_clear(&o);
out:
    free(absolute);
    free(words);
    json_decref(options);
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

    if (!occupy_standard_streams())
        return SCR_EXIT_SOME_FAILED;
    if (scr_options_parse(argc, argv, &o, why, sizeof why) != SCR_OK) {
        fprintf(stderr, "harness: %s\n", why);
        result = SCR_EXIT_USAGE;
    } else if (o.mode == SCR_MODE_HELP) {
        (o.help_axes ? scr_help_axes : scr_help)(stdout);
    } else if (o.mode == SCR_MODE_VERSION) {
        printf("harness %s (%s)\n", scr_version_text(), SCR_COMMIT);
    } else if (o.worker != NULL) {
        result = scr_worker_run(&o, argv[0]);
    } else if (o.mode == SCR_MODE_RESUME) {
        result = run_resumed(&o);
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
