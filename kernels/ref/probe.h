/* SPDX-License-Identifier: Apache-2.0 */
/* The C probes; screening/probe.h says what they are for, runtime/probe.c what they are given. */
#ifndef SCR_KERNELS_REF_PROBE_H
#define SCR_KERNELS_REF_PROBE_H

#include "decl.h"

void scr_ref_probe_empty(const struct scr_host_call *call);
void scr_ref_probe_matrix(const struct scr_host_call *call);
void scr_ref_probe_bandwidth(const struct scr_host_call *call);

/* Calls of a body a thread: more than one, so that a thread held up leaves its share to others. */
enum { PROBE_PARTS = 16 };

#endif
