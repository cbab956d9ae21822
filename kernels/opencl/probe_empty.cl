/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One work-item that does nothing: the floor under every time of the device.
 *
 * @backend opencl
 * @kernel probe-empty
 * @variant any
 * @summary does nothing
 * @work 0
 * @step probe
 * @groups 1
 * @group 1
 */
#include "probe.clh"

__kernel void probe(PROBE_ARGS(float, float))
{
}
