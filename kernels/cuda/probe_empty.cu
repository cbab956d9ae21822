/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread that does nothing: the floor under every time of the device.
 *
 * @backend cuda
 * @kernel probe-empty
 * @variant any
 * @summary does nothing
 * @work 0
 * @step probe
 * @groups 1
 * @group 1
 */
#include "common.cuh"

extern "C" __global__ void probe(const storage *q, const storage *k, const storage *v,
                                 const float *r, const float *w, const int *kv_len, float *o,
                                 float *workspace, unsigned *counters, scr_shape shape)
{
}
