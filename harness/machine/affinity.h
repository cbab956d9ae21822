/* SPDX-License-Identifier: Apache-2.0 */
/* The host's processors near a device, and the calling thread bound to them. */
#ifndef SCR_HARNESS_AFFINITY_H
#define SCR_HARNESS_AFFINITY_H

#include <screening/device.h>

#include <hwloc.h>

#include <stdbool.h>
#include <stddef.h>

struct scr_topology;

enum { SCR_AFFINITY_TEXT = 200 }; /* room for the text of a binding */

/*
 * A GPU is found by its PCI address, info->pci. A device that is the host's processors (C kernels,
 * PoCL) has all that this process may use: hwloc's OpenCL component lists no such device.
 *
 * topology  may be NULL
 * near      receives the processors, never more than topology->allowed; unchanged where topology
 *           is NULL; may be NULL
 * text      receives one line for the run header: "package 0, NUMA node 1 (16 cores)", or "not
 *           bound: " and the reason
 * False where the processors near the device are not known or may not be used; near are then all
 * that may be.
 */
bool scr_affinity_find(const struct scr_topology *topology, const scr_device_info *info,
                       hwloc_bitmap_t near, char *text, size_t size);

/*
 * Binds the calling thread to what scr_affinity_find says; a thread that was bound to another
 * device is thereby released. Threads that it starts later inherit this: call it before the device
 * is opened, on the thread that uses it. Threads that are there already, such as the workers of
 * PoCL, keep what they have.
 * False where text starts with "not bound": the thread may then use all that the process may.
 */
bool scr_affinity_bind(const struct scr_topology *topology, const scr_device_info *info, char *text,
                       size_t size);

/*
 * Gives the calling thread all processors that the process may use, for work that is not a device's
 * (making data, the reference). topology may be NULL: nothing is done.
 */
void scr_affinity_release(const struct scr_topology *topology);

#endif
