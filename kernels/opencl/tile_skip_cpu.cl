/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * The fused pass of fused_cpu.clh over the tiles that the window reaches.
 *
 * @kernel tile-skip
 * @variant cpu
 * @backend opencl
 * @summary fused; window only, skips q k^T by balls of keys, values of what nothing passes; one work-item
 * @when IS_CPU == 1
 * @tunable BALL = 1 : 0 1 -- enclose the keys of each tile in a ball, to skip its q k^T
 * @workspace ((SPLIT_K == 1 ? 0 : SPLIT_K * BATCH * HEADS_Q * LEN_Q * DV) + (BALL && SKIP ? BATCH * HEADS_KV * ceil_div(LEN_K, TILE_K) * (DK + 16) : 0)) * 4
 * @step balls
 * @groups BALL && SKIP && LEN_Q >= 64 ? ceil_div(LEN_K, TILE_K) : 0, HEADS_KV, BATCH
 * @group 1
 */
/* clang-format on */
#define SCR_WINDOWED 1
#include "fused_cpu.clh"
