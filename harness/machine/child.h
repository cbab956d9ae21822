/* SPDX-License-Identifier: Apache-2.0 */
/* Code that may crash or hang, run in a process of its own for the bytes that it makes. */
#ifndef SCR_HARNESS_CHILD_H
#define SCR_HARNESS_CHILD_H

#include <stddef.h>

/* Returns size bytes, or NULL on failure. */
typedef const char *(*scr_child_fn)(void *user, size_t *size);

/*
 * Calls fn in a forked child whose standard output and error are dropped, and returns a copy of its
 * bytes with a NUL behind them; free() it. size, which may be NULL, receives their number. NULL
 * when the child failed, crashed or took longer than limit_s seconds (it is killed): why then says
 * so as a predicate ("took longer than 5 s").
 *
 * The child may use what any program may only if this process has one thread: otherwise a lock that
 * another thread held stays locked, which shows as a child that takes too long.
 */
void *scr_child_ask(scr_child_fn fn, void *user, double limit_s, size_t *size, char *why,
                    size_t why_size);

#endif
