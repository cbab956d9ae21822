/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCR_HARNESS_PARALLEL_H
#define SCR_HARNESS_PARALLEL_H

#include <stddef.h>

/*
 * Calls body(user, i) for every i in [0, n) on up to `threads` threads, the calling one among them,
 * and returns when all are done. Uses fewer threads where the system gives no more.
 */
void scr_parallel_for(int threads, size_t n, void (*body)(void *user, size_t i), void *user);

#endif
