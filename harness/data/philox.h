/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Philox4x32-10, a counter-based generator: the same key and counter give the same four words
 * everywhere, in any order and on any number of threads.
 *
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
#ifndef SCR_HARNESS_PHILOX_H
#define SCR_HARNESS_PHILOX_H

#include <stdint.h>

static inline void scr_philox(uint64_t key, const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];

    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)c0 * 0xD2511F53u;
        uint64_t product1 = (uint64_t)c2 * 0xCD9E8D57u;

        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* A number in (0, 1) from two words, exact in double. */
static inline double scr_philox_unit(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 12;

    return ((double)bits + 0.5) * 0x1p-52;
}

/* The number in (0, 1) of a stream at an index. */
static inline double scr_philox_uniform(uint64_t seed, uint32_t stream, uint64_t index)
{
    uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), 0, stream};
    uint32_t words[4];

    scr_philox(seed, counter, words);
    return scr_philox_unit(words[0], words[1]);
}

#endif
