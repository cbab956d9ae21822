/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that touches drivers, so that a kernel or driver that hangs or crashes costs one row.
 * It is this program again with the same command line and --worker; it makes the same list of
 * cases and runs those that it is asked for. JSON lines: requests on standard input, answers on
 * SCR_HELPER_FD (helper.h); standard output goes to standard error.
 *
 *   first request  {"xml": hwloc's topology or null,
 *                   "peers": null, or what an earlier worker answered: start them when asked}
 *   first answer   {"hello": SCR_WORKER_PROTOCOL, "digest": of the list,
 *                   "peers": scr_peer_json of each, "why": ""}
 *   {"do": "run", "case": index, "limit": s}                  {"row": {...}, "little": bool}
 *   {"do": "peak", "device": order, "limit": s}               {"peak": {...}, "why": "", "bound":
 * ""}
 *   {"do": "floor", "device": order, "ns": x}                  no answer
 *   {"do": "peer", "peer": i, "kernel": k, "case": index,
 *    "folder": of the run, "limit": s}                        {"row": {...}}
 *   before each step of an answer  {"step": what}
 *   when a peer was started        {"group": process group, "peer": i}
 */
#ifndef SCR_HARNESS_WORKER_H
#define SCR_HARNESS_WORKER_H

#include "case.h"
#include "options.h"

#include <stdint.h>

enum { SCR_WORKER_PROTOCOL = 1 };

/*
 * Serves until standard input ends. Returns the exit status: SCR_EXIT_USAGE, and says so, where
 * nobody asks by the protocol.
 * program  for the repro of rows
 */
int scr_worker_run(const struct scr_options *o, const char *program);

/* Equal for equal lists. */
uint64_t scr_worker_digest(const struct scr_case_list *list);

#endif
