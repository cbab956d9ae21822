/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What NVIDIA's driver tells of a GPU's clock, by its management library NVML, which is loaded at
 * run time.
 */
#ifndef SCR_HARNESS_NVML_H
#define SCR_HARNESS_NVML_H

#include <stdbool.h>
#include <stddef.h>

/* One opened GPU. Use from one thread at a time. */
struct scr_nvml;

/* NaN: the driver does not tell. */
struct scr_clock_sample {
    double sm_mhz;        /* now */
    double sm_max_mhz;    /* the most that the GPU can do */
    double temperature_c; /* of the die */
    double power_w;       /* of the board; most GPUs tell the mean of the last second */
    /* 1 while power, heat or a brake signal hold the clock down, 0 else. An idle GPU, a clock that
     * a user has set and clocks held together by sync boost count as 0. */
    double throttled;
};

/*
 * Loads NVML (libnvidia-ml.so.1, or the file that the environment variable SCR_NVML names) and
 * opens the GPU with the PCI address of scr_device_info, "0000:65:00.0".
 *
 * why  receives one line on failure
 * Returns SCR_OK; SCR_ERR_NOT_FOUND: no NVML, or it does not know the GPU; SCR_ERR_DEVICE: NVML
 * cannot start; SCR_ERR_NO_MEMORY.
 */
int scr_nvml_open(const char *pci, struct scr_nvml **out, char *why, size_t why_size);

/*
 * Asks for everything once: four calls into the driver, which take the host far longer than a
 * launch. Keep it outside of what is timed, and ask no more often than every 10 ms: the values
 * change no faster.
 * False, and all is NaN, where the driver tells nothing or nvml is NULL.
 */
bool scr_nvml_sample(const struct scr_nvml *nvml, struct scr_clock_sample *out);

void scr_nvml_close(struct scr_nvml **nvml);

#endif
