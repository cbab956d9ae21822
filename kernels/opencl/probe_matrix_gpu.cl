/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_matrix.clh with enough work-items that each multiprocessor always has some to run.
 *
 * @backend opencl
 * @kernel probe-matrix
 * @variant gpu
 * @summary f32 multiply-adds in registers, many work-items
 * @tunable CHAINS = 4 : 2 4 8 -- independent sums
 * @step probe
 * @groups LEN_Q * 64
 * @group 64
 * @workspace LEN_Q * 64 * 64 * 4
 * @work LEN_Q * 64 * 64 * 2 * 4 * CHAINS * 16 * LEN_K
 */
#define WG  64
#define VEC 4
#include "probe_matrix.clh"
