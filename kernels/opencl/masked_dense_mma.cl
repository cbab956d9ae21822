/* SPDX-License-Identifier: Apache-2.0 */
/*
 * masked-dense on NVIDIA's tensor cores, by fused_mma.clh: every tile of the causal range, the mask
 * multiplied in; nothing is skipped.
 *
 * @kernel masked-dense
 * @variant mma
 * @backend opencl
 * @summary one fused pass over the causal range, mask multiplied in; NVIDIA's tensor cores
 */
#define SCR_WINDOWED 0
#include "fused_mma.clh"
