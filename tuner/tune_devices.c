/* SPDX-License-Identifier: Apache-2.0 */
/* Several devices: a process each, which is this program with --device and --shard at its end. */
#include "tune_state.h"

#include "sweep.h" /* exit statuses */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Whether two devices are alike and so share the shapes of the job, side by side. Those that are
 * the host's processors would slow each other down, unless times are made up.
 */
static bool are_alike(const struct scr_tuner_options *o, const scr_device_info *a,
                      const scr_device_info *b)
{
    bool apart = (!a->is_cpu && !b->is_cpu) || (o->faults.kinds & SCR_INJECT_FIXED_TIMES) != 0;

    return apart && strcmp(a->backend, b->backend) == 0 && strcmp(a->name, b->name) == 0 &&
           strcmp(a->platform, b->platform) == 0 && strcmp(a->driver, b->driver) == 0 &&
           a->compute_units == b->compute_units &&
           (a->pci[0] == '\0' || strcmp(a->pci, b->pci) != 0);
}

/* Part `part` of `n_parts` of this process's own share. */
static pid_t start(const struct scr_tuner_options *o, const char *id, int part, int n_parts,
                   int argc, char **argv)
{
    char shard[48], device[64], dashes[] = "--device", shard_option[] = "--shard";
    char **words = malloc(((size_t)argc + 5) * sizeof *words);
    pid_t pid;

    if (words == NULL)
        return -1;
    memcpy(words, argv, (size_t)argc * sizeof *words);
    snprintf(device, sizeof device, "%s", id);
    snprintf(shard, sizeof shard, "%d/%d", part * o->n_shards + o->shard, n_parts * o->n_shards);
    words[argc] = dashes;
    words[argc + 1] = device;
    words[argc + 2] = shard_option;
    words[argc + 3] = shard;
    words[argc + 4] = NULL;
    fflush(stdout);
    fflush(stderr);
    pid = fork();
    if (pid == 0) {
        execv("/proc/self/exe", words);
        fprintf(stderr, "tuner: %s cannot be tuned: %s\n", id, strerror(errno));
        _exit(SCR_EXIT_SOME_FAILED);
    }
    free(words);
    return pid;
}

/* The one that says more of two exit statuses. */
static int worse(int a, int b)
{
    if (a == SCR_EXIT_INTERRUPTED || b == SCR_EXIT_INTERRUPTED)
        return SCR_EXIT_INTERRUPTED;
    return a > b ? a : b;
}

/* Waits for a process; a signal that this one got is passed on by the terminal, or here. */
static int wait_for(pid_t pid, const volatile sig_atomic_t *stop)
{
    bool told = false;
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return SCR_EXIT_SOME_FAILED;
        if (*stop && !told)
            kill(pid, SIGTERM);
        told = *stop;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : SCR_EXIT_SOME_FAILED;
}

int scr_tune_devices(const struct scr_tuner_options *o, const scr_device_info *const *devices,
                     size_t n, int argc, char **argv, const volatile sig_atomic_t *stop)
{
    bool done[SCR_MAX_DEVICES] = {false};
    int result = SCR_EXIT_FINE;

    for (size_t i = 0; i < n && !*stop; i++) {
        const scr_device_info *group[SCR_MAX_DEVICES];
        pid_t pids[SCR_MAX_DEVICES];
        int n_group = 0;

        if (done[i])
            continue;
        for (size_t j = i; j < n; j++) {
            bool in = j == i;

            for (int k = 0; k < n_group && !in; k++)
                in = k == 0 && !done[j] && are_alike(o, devices[i], devices[j]);
            if (!in)
                continue;
            group[n_group++] = devices[j];
            done[j] = true;
        }
        for (int k = 0; k < n_group; k++)
            pids[k] = start(o, group[k]->id, k, n_group, argc, argv);
        for (int k = 0; k < n_group; k++)
            result = worse(result, pids[k] > 0 ? wait_for(pids[k], stop) : SCR_EXIT_SOME_FAILED);
    }
    return *stop ? SCR_EXIT_INTERRUPTED : result;
}
