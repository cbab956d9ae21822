/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libscreening: screening attention (arXiv:2604.01178, section 3) with the kernel that is fastest
 * on the caller's device. This header includes the whole public interface.
 *
 * Manners that hold everywhere:
 *   - functions that can fail return SCR_OK (0) or a negative SCR_ERR_*; details (the driver's own
 *     code, a build log) go to the log callback of the context;
 *   - nothing exits, aborts, prints or keeps global state;
 *   - a context, its tables and its devices may be used by any number of threads at once, and so
 * may different plans and buffers of one device; one plan or buffer is used by one thread at a
 * time;
 *   - scr_x_destroy(&p) accepts a pointer to NULL and leaves p NULL.
 */
#ifndef SCREENING_SCREENING_H
#define SCREENING_SCREENING_H

#include <screening/device.h>
#include <screening/error.h>
#include <screening/plan.h>
#include <screening/probe.h>
#include <screening/problem.h>
#include <screening/tuning.h>
#include <screening/version.h>

#endif
