/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCREENING_PROBE_H
#define SCREENING_PROBE_H

#include <screening/device.h>
#include <screening/export.h>
#include <screening/problem.h>

SCR_BEGIN_DECLS

/** What a probe finds out about a device. */
typedef enum scr_probe_kind {
    SCR_PROBE_EMPTY = 0,     /**< a kernel that does nothing: the floor under every time */
    SCR_PROBE_MATRIX = 1,    /**< multiply-adds with f32 sums, operands at hand: the FLOP/s that a
                                  kernel of this library can at most reach */
    SCR_PROBE_BANDWIDTH = 2, /**< reads a buffer from end to end: bytes/s of the memory */
} scr_probe_kind;

/** A small kernel that runs into one limit of its device. Belongs to its device. */
typedef struct scr_probe scr_probe;

/**
 * Compiles a probe, allocates what it reads and chooses how much it does.
 *
 * EMPTY is one work-group of one work-item.
 *
 * MATRIX does multiply-adds as the kernels do for this storage type: CUDA mma.sync for f16 and bf16
 * from sm_80 on, on Hopper also wgmma, f32 arithmetic elsewhere. Creation tries every way that the
 * probes' files offer, keeps the fastest whose results are right, and repeats it until a run takes
 * 4 ms by the host's clock; all of it takes some ten milliseconds beside compilation. The
 * operands are powers of two, which cost a device less power than most: a peak rather a little too
 * high than too low.
 *
 * BANDWIDTH reads four times the last-level cache once, at least 64 MiB on a processor and 1 GiB on
 * a GPU, but no more than a quarter of the device's memory.
 *
 * @param kind   of enum scr_probe_kind
 * @param dtype  MATRIX: storage type whose arithmetic is asked for; else not read
 * @return SCR_OK, SCR_ERR_INVALID, SCR_ERR_UNSUPPORTED (the backend has no such probe),
 *         SCR_ERR_COMPILE, SCR_ERR_NO_MEMORY, SCR_ERR_DEVICE
 */
SCR_API int scr_probe_create(scr_device *dev, scr_probe_kind kind, scr_dtype dtype,
                             scr_probe **out);
SCR_API void scr_probe_destroy(scr_probe **probe);

/**
 * The type that kernels for this storage type multiply on a device: the same, or SCR_F32 where they
 * convert. A MATRIX probe of either finds the same rate.
 */
SCR_API scr_dtype scr_probe_dtype(const scr_device *dev, scr_dtype dtype);

/** What one run does: floating-point operations (MATRIX), bytes read (BANDWIDTH), 0 (EMPTY). */
SCR_API double scr_probe_work(const scr_probe *probe);

/**
 * Runs the probe once.
 *
 * @param ns  as in scr_plan_run: NULL to enqueue; else wait and receive the device's own time in
 *            nanoseconds, negative if the device could not tell
 * @return SCR_OK, SCR_ERR_DEVICE, SCR_ERR_NO_MEMORY (drivers may allocate late)
 */
SCR_API int scr_probe_run(scr_probe *probe, double *ns);

/**
 * Waits for the last run and looks at its results: each work-item leaves the sum of its products or
 * of the words it read, which is known beforehand. Nothing is known of EMPTY. Results that are
 * right are then cleared, so that the next check speaks of the runs after this one.
 *
 * @return SCR_OK, SCR_ERR_DEVICE (a result is wrong, said in the log; or the driver's error),
 *         SCR_ERR_NO_MEMORY, SCR_ERR_INVALID (not run since it was made or checked)
 */
SCR_API int scr_probe_check(scr_probe *probe);

SCR_END_DECLS

#endif
