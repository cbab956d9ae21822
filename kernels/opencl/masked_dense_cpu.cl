/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fused pass of fused.clh over every tile of the causal range, with defaults for processors.
 *
 * @kernel masked-dense
 * @variant cpu
 * @backend opencl
 * @summary one fused pass over the causal range, mask multiplied in; one work-item, long vectors
 * @when IS_CPU == 1
 * @tunable TILE_Q = 32 : 16 32 64 128 -- rows of a work-group
 * @tunable TILE_K = 64 : 16 32 64 128 -- keys of a tile
 * @tunable WG = 1 : 1 -- work-items of a work-group
 * @tunable VEC = 16 : 4 8 16 -- floats of a vector: keys in q k^T, value dims in P v
 * @tunable ROWS = 8 : 2 4 8 16 -- rows computed together in registers
 * @tunable UNROLL = 1 : 1 2 4 8 -- how often the inner loops of both products are unrolled
 */
#define SCR_WINDOWED 0
#include "fused.clh"
