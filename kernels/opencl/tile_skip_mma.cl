/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tile-skip on NVIDIA's tensor cores, by fused_mma.clh: only tiles that the window reaches, and of
 * those only the value products that some pair needs.
 *
 * @kernel tile-skip
 * @variant mma
 * @backend opencl
 * @summary fused; window only, skips values of what nothing passes; NVIDIA's tensor cores
 */
#define SCR_WINDOWED 1
#include "fused_mma.clh"
