/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call that does nothing: what waking the threads and waiting for them takes.
 *
 * @backend ref
 * @kernel probe-empty
 * @variant c
 * @summary does nothing
 * @host scr_ref_probe_empty
 * @work 0
 */
#include "ref/probe.h"

static void nothing(void *user, size_t index)
{
    (void)user;
    (void)index;
}

void scr_ref_probe_empty(const struct scr_host_call *call)
{
    call->parallel_for(call->pool, 1, nothing, NULL);
}
