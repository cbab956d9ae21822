/* SPDX-License-Identifier: Apache-2.0 */
#include "peak_run.h"

#include "enumerate.h"
#include "supervisor.h"
#include "sweep.h"

#include <stdio.h>

static const double LIMIT_S = 1; /* for a device */

int scr_peak_run(const struct scr_options *o, const struct scr_devices *devices,
                 const struct scr_machine *machine, char *const *argv)
{
    struct scr_case_list list = {.program = argv[0]};
    struct scr_supervisor_options supervise = {
        .argv = argv,
        .backends = devices->backends,
        .machine = machine,
        .list = &list,
        .timeout_s = o->timeout_s,
    };
    struct scr_supervisor *supervisor = NULL;
    int result = SCR_EXIT_FINE;
    double time_limit_s;
    char why[700];

    /* The worker makes the same list, though nothing of it will run. */
    if (scr_enumerate(o, devices, &list, &time_limit_s, why, sizeof why) != SCR_OK ||
        scr_supervisor_create(&supervise, &supervisor) != SCR_OK) {
        fprintf(stderr, "harness: --peak: out of memory\n");
        result = SCR_EXIT_SOME_FAILED;
    }
    for (size_t i = 0; i < devices->n && supervisor != NULL; i++) {
        struct scr_peak peak;
        char bound[200];

        scr_supervisor_peak(supervisor, (int)i, LIMIT_S, &peak, bound, sizeof bound, why,
                            sizeof why);
        scr_peak_print(devices->info[i], &peak, stdout);
        fflush(stdout);
        if (why[0] != '\0') {
            fprintf(stderr, "harness: %s: %s\n", devices->info[i]->id, why);
            result = SCR_EXIT_SOME_FAILED;
        }
    }
    scr_supervisor_destroy(&supervisor);
    scr_case_list_clear(&list);
    return result;
}
