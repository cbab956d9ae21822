/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_matrix.clh with one work-item a work-group and long vectors.
 *
 * @backend opencl
 * @kernel probe-matrix
 * @variant cpu
 * @summary f32 multiply-adds in registers, one work-item, long vectors
 * @when IS_CPU == 1
 * @tunable CHAINS = 6 : 3 6 8 -- independent sums
 * @step probe
 * @groups LEN_Q * 16
 * @group 1
 * @workspace LEN_Q * 16 * 4
 * @work LEN_Q * 16 * 2 * 16 * CHAINS * 16 * LEN_K
 */
#define WG  1
#define VEC 16
#include "probe_matrix.clh"
