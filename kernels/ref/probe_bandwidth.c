/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads q once and sums it; each call a piece of its own, from one end to the other.
 *
 * @backend ref
 * @kernel probe-bandwidth
 * @variant c
 * @summary sums what it reads
 * @host scr_ref_probe_bandwidth
 * @workspace LEN_Q * 16 * 4
 * @work LEN_Q * 16 * 256 * LEN_K
 */
#include "ref/probe.h"

#include <screening/problem.h>

enum { WORDS = 64 }; /* of one repeat */

static void sum_words(void *user, size_t index)
{
    const struct scr_host_call *call = user;
    size_t n = (size_t)call->problem->len_k;
    const uint32_t *in = (const uint32_t *)call->q + index * n * WORDS;
    uint32_t sum[WORDS] = {0};
    uint32_t total = 0;

    for (size_t i = 0; i < n; i++) {
        for (int j = 0; j < WORDS; j++)
            sum[j] += in[i * WORDS + (size_t)j];
    }
    for (int j = 0; j < WORDS; j++)
        total += sum[j];
    ((uint32_t *)call->workspace)[index] = total;
}

void scr_ref_probe_bandwidth(const struct scr_host_call *call)
{
    call->parallel_for(call->pool, (size_t)call->problem->len_q * PROBE_PARTS, sum_words,
                       (void *)call);
}
