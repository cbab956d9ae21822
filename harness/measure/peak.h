/* SPDX-License-Identifier: Apache-2.0 */
/* The ceilings of a device, measured: multiply-add rate by storage type, bandwidth, launch floor.
 */
#ifndef SCR_HARNESS_PEAK_H
#define SCR_HARNESS_PEAK_H

#include <jansson.h>
#include <screening/screening.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* NaN where unknown. */
struct scr_peak {
    double floor_ns;       /* empty kernel by the device's events, median */
    double floor_wall_ns;  /* empty kernels launched back to back, a launch, by the host's clock */
    double f32, f16, bf16; /* FLOP/s of multiply-adds on that storage, f32 sums */
    double bandwidth;      /* bytes/s read from memory */
};

/*
 * Measures with the probes of screening/probe.h, about time_limit_s long beside their compilation.
 *
 * Rates are the highest of the medians of three series: a median, since one lucky sample is not
 * sustained; the highest, since what disturbs a series only slows it. The floors are the lowest of
 * three medians likewise. Times are the device's events; where these are missing, or say less than
 * half or more than all of the time by the host's clock, runs are timed in batches by that clock,
 * and floor_ns stays unknown. Results of every series are checked.
 *
 * A probe that cannot be made, fails or computes something wrong leaves its value NaN; the others
 * are measured all the same. Returns SCR_OK, or the first such failure's status with one line in
 * why.
 */
int scr_peak_measure(scr_device *dev, double time_limit_s, struct scr_peak *out, char *why,
                     size_t why_size);

/* FLOP/s for a storage type. */
double scr_peak_flop_per_s(const struct scr_peak *peak, scr_dtype dtype);

/*
 * {"f32_flop_per_s", "f16_flop_per_s", "bf16_flop_per_s", "bandwidth_bytes_per_s", "floor_ns",
 * "floor_wall_ns"}, null where unknown. A new object, or NULL when memory is exhausted.
 */
json_t *scr_peak_json(const struct scr_peak *peak);

/*
 * The reverse. What is missing or no number becomes NaN. False where object is none (NULL, say), or
 * a value is neither number nor null.
 */
bool scr_peak_from_json(const json_t *object, struct scr_peak *peak);

/* A block of lines for people. */
void scr_peak_print(const scr_device_info *info, const struct scr_peak *peak, FILE *f);

#endif
