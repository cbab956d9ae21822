/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fused pass of fused_gpu.clh over the tiles that the window reaches; runs on any device.
 *
 * @kernel tile-skip
 * @variant gpu
 * @backend opencl
 * @summary fused; window only, skips values of what nothing passes; work-items in a grid
 */
#define SCR_WINDOWED 1
#include "fused_gpu.clh"
