/* SPDX-License-Identifier: Apache-2.0 */
/*
 * masked-dense: every tile of the causal range, the mask multiplied in; nothing is skipped.
 *
 * @backend cuda
 * @kernel masked-dense
 * @variant wgmma
 * @summary one fused pass over every tile of the causal range, warpgroup products
 * @step masked_dense
 */
#define ENTRY        masked_dense
#define MASKED_DENSE 1
#include "fused_wgmma.cuh"
