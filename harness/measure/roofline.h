/* SPDX-License-Identifier: Apache-2.0 */
/* How near a row's time comes to what the device and the sparsity allow. */
#ifndef SCR_HARNESS_ROOFLINE_H
#define SCR_HARNESS_ROOFLINE_H

#include "peak.h"
#include "row.h"

/*
 * Fills in floor, executed FLOP, bytes, percent of ideal and of the roofline of a row that is ok
 * and was timed, and flags what cannot be.
 *
 * FLOP are those of tiles that ran, by the counting build: 2 dk a pair for q k^T, 2 dv for the
 * values, rows and keys beyond the last left out. With skip = slice they are unknown: only the
 * kernel knows the size of its slices. masked-dense runs every tile of the causal range, so the
 * ideal is its time times the part of those tiles that is live: where there is a window, that is
 * less than the tile density, which counts tiles in the window only. The row has its bytes already
 * (runner.h). Memory is a ceiling of cold caches only.
 */
void scr_roofline_fill(const struct scr_peak *peak, struct scr_row *row);

#endif
