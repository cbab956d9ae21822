/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tile-skip: only tiles that meet mask and window, and of those only the value products that
 * some pair needs.
 *
 * @backend cuda
 * @kernel tile-skip
 * @variant wgmma
 * @summary one fused pass, skips outside the window and below the threshold, warpgroup products
 * @step tile_skip
 */
#define ENTRY        tile_skip
#define MASKED_DENSE 0
#include "fused_wgmma.cuh"
