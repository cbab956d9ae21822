/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three-step kernel of dense.clh with defaults for GPUs; runs on any device.
 *
 * @kernel dense
 * @variant gpu
 * @backend opencl
 * @summary q k^T, relevance and P v as three passes through memory; work-items in a grid
 * @tunable TILE_Q = 64 : 16 32 64 128 -- rows of a work-group
 * @tunable TILE_K = 32 : 16 32 64 128 -- keys of a tile
 * @tunable WG = 64 : 8 16 32 64 128 -- work-items of a work-group
 * @tunable VEC = 4 : 4 8 16 -- floats of a vector: keys in q k^T, value dims in P v
 * @tunable ROWS = 4 : 2 4 8 -- rows computed together in registers
 */
#include "dense.clh"
