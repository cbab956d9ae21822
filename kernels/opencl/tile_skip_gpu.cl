/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fused pass of fused.clh over the tiles that the window reaches, with defaults for GPUs; runs
 * on any device.
 *
 * @kernel tile-skip
 * @variant gpu
 * @backend opencl
 * @summary fused; window only, skips values of what nothing passes; work-items in a grid
 * @tunable TILE_Q = 64 : 16 32 64 128 -- rows of a work-group
 * @tunable TILE_K = 32 : 16 32 64 128 -- keys of a tile
 * @tunable WG = 64 : 8 16 32 64 128 -- work-items of a work-group
 * @tunable VEC = 4 : 4 8 16 -- floats of a vector: keys in q k^T, value dims in P v
 * @tunable ROWS = 4 : 2 4 8 -- rows computed together in registers
 * @tunable UNROLL = 4 : 1 2 4 8 -- how often the inner loops of both products are unrolled
 */
#define SCR_WINDOWED 1
#include "fused.clh"
