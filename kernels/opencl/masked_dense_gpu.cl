/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fused pass of fused_gpu.clh over every tile of the causal range; runs on any device.
 *
 * @kernel masked-dense
 * @variant gpu
 * @backend opencl
 * @summary one fused pass over the causal range, mask multiplied in; work-items in a grid
 */
#define SCR_WINDOWED 0
#include "fused_gpu.clh"
