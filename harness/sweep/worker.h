/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that touches drivers, so that a kernel or driver that hangs or crashes costs one row.
 * It is this program again with the same command line and --worker; it makes the same list of
 * cases and runs those that it is asked for. JSON lines: requests on standard input, answers on
 * SCR_WORKER_FD; standard output goes to standard error.
 *
 *   first request  {"xml": hwloc's topology or null}
 *   first answer   {"hello": SCR_WORKER_PROTOCOL, "digest": of the list, "kernels": of each peer,
 * "why": ""}
 *   {"do": "run", "case": index, "limit": s}                  {"row": {...}, "little": bool}
 *   {"do": "peak", "device": order, "limit": s}               {"peak": {...}, "why": "", "bound":
 * ""}
 *   {"do": "floor", "device": order, "ns": x or null}         no answer
 *   {"do": "peer", "peer": i, "kernel": k, "case": index,
 *    "init": bool, "folder": of the run, "limit": s}          {"row": {...}}
 *   before each step of an answer  {"step": what}
 */
#ifndef SCR_HARNESS_WORKER_H
#define SCR_HARNESS_WORKER_H

#include "case.h"
#include "devices.h"
#include "options.h"

#include <stdint.h>

enum { SCR_WORKER_PROTOCOL = 1, SCR_WORKER_FD = 3 };

/* Serves until standard input ends. Returns the exit status. */
int scr_worker_run(const struct scr_options *o, struct scr_devices *devices,
                   const struct scr_case_list *list);

/* Equal for equal lists. */
uint64_t scr_worker_digest(const struct scr_case_list *list);

#endif
