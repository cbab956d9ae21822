/* SPDX-License-Identifier: Apache-2.0 */
/* The devices that a run uses: loading, choosing, opening, and what their drivers say. */
#ifndef SCR_HARNESS_DEVICES_H
#define SCR_HARNESS_DEVICES_H

#include <screening/screening.h>

#include <pthread.h>
#include <stdio.h>

enum { SCR_MAX_DEVICES = 64 };

/* Keeps the first line of the first error logged since it was last cleared. */
struct scr_log_sink {
    pthread_mutex_t lock;
    char first[200];
};

enum { SCR_N_BACKENDS = 3 };

struct scr_devices {
    struct scr_log_sink log;
    scr_context *ctx; /* NULL: surveyed only, none can be opened */
    size_t n_found;
    scr_device_info *found; /* owned */
    char notes[SCR_N_BACKENDS][200];
    char backends[40]; /* comma list of those that can be loaded */
    size_t n;          /* chosen */
    const scr_device_info *info[SCR_MAX_DEVICES];
    scr_device *open[SCR_MAX_DEVICES]; /* NULL until scr_devices_open */
};

/*
 * Loads backends and finds their devices; none is chosen yet.
 * backends  comma list, NULL all
 * limits    as in struct scr_context_options, or NULL
 * Returns SCR_OK or SCR_ERR_*. Clear it in any case.
 */
int scr_devices_load(struct scr_devices *d, const char *backends, const char *limits);

/*
 * Finds the devices without loading a driver into this process: a child does that (child.h has its
 * contract). A backend whose driver takes the child along is left out, and its note says so.
 */
int scr_devices_survey(struct scr_devices *d, const char *limits);

void scr_devices_clear(struct scr_devices *d);

/*
 * Chooses devices. selection: comma list of ids ("cuda:0"), backend names ("opencl": all of its
 * devices) or "all"; NULL is the best device and, with with_cpu, the CPU beside it.
 * Best: the first CUDA device, else the first OpenCL device that is no CPU, else the CPU. The CPU:
 * the first OpenCL CPU device, else ref:0. Without a compiler for CUDA (its note says so) a CUDA
 * device is the last choice.
 *
 * why  receives one line on failure, with the backend's note; on success one on a device that was
 *      left out for want of a compiler, else ""
 * Returns SCR_OK or SCR_ERR_NOT_FOUND.
 */
int scr_devices_choose(struct scr_devices *d, const char *selection, bool with_cpu, char *why,
                       size_t why_size);

/* Opens chosen device i on first use. NULL where the driver refuses: the log says why. */
scr_device *scr_devices_open(struct scr_devices *d, size_t i);

/* The list for a person; for a backend without a device the reason. */
void scr_devices_print(const struct scr_devices *d, FILE *f);

void scr_log_clear(struct scr_log_sink *log);
/* Copies the line kept; "" when there was none. */
void scr_log_first(struct scr_log_sink *log, char *out, size_t size);

#endif
