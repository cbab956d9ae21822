/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fused pass of fused_cpu.clh over every tile of the causal range.
 *
 * @kernel masked-dense
 * @variant cpu
 * @backend opencl
 * @summary one fused pass over the causal range, mask multiplied in; one work-item, long vectors
 * @when IS_CPU == 1
 * @workspace SPLIT_K == 1 ? 0 : SPLIT_K * BATCH * HEADS_Q * LEN_Q * DV * 4
 */
#define SCR_WINDOWED 0
#include "fused_cpu.clh"
