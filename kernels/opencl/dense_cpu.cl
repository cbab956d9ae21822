/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three-step kernel of dense.clh with defaults for processors.
 *
 * @kernel dense
 * @variant cpu
 * @backend opencl
 * @summary q k^T, relevance and P v as three passes through memory; one work-item, long vectors
 * @when IS_CPU == 1
 * @tunable TILE_Q = 32 : 16 32 64 128 -- rows of a work-group
 * @tunable TILE_K = 64 : 16 32 64 128 -- keys of a tile
 * @tunable WG = 1 : 1 -- work-items of a work-group
 * @tunable VEC = 16 : 4 8 16 -- floats of a vector: keys in q k^T, value dims in P v
 * @tunable ROWS = 8 : 2 4 8 16 -- rows computed together in registers
 */
#include "dense.clh"
