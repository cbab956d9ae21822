/* SPDX-License-Identifier: Apache-2.0 */
#include "commit.h"
#include "devices.h"
#include "eval.h"
#include "machine.h"
#include "options.h"
#include "plot.h"
#include "sweep.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

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

static int run_on_devices(const struct scr_options *o, int argc, char **argv)
{
    struct scr_devices devices;
    struct scr_machine machine;
    char why[400];
    int result = SCR_EXIT_FINE;
    int status = scr_devices_init(&devices);

    if (status != SCR_OK) {
        fprintf(stderr, "harness: %s\n", scr_status_text(status));
        return SCR_EXIT_SOME_FAILED;
    }
    if (o->mode == SCR_MODE_LIST_DEVICES) {
        scr_devices_print(&devices, stdout);
    } else if (scr_devices_choose(&devices, o->device, o->mode != SCR_MODE_EVAL, why, sizeof why) !=
               SCR_OK) {
        fprintf(stderr, "harness: %s\n", why);
        result = SCR_EXIT_NO_DEVICE;
    } else {
        scr_machine_describe(&machine);
        if (o->mode == SCR_MODE_EVAL) {
            result = scr_eval_run(o, &devices, &machine);
        } else {
            catch_signals();
            result = scr_sweep_run(o, &devices, &machine, argc, argv, &interrupted);
        }
    }
    scr_devices_clear(&devices);
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
