/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Google Benchmark's registry, filter and reporters for cases that time themselves.
 *
 * The library is called for what its users have tools for: --benchmark_filter, its console, JSON
 * and CSV, compare.py. It does not decide how long a case runs: it calls the case's function once
 * a repetition (--benchmark_repetitions, 1 by default) and takes the time that this reports. In
 * its reports the name of a case is "NAME/iterations:1/manual_time"; real_time is the reported
 * time, cpu_time means nothing. CSV comes at the end of the run, the rest case by case.
 *
 * The library's state is global, so this is too: one thread, scr_gbench_init first, and one run a
 * process (1.7 to 1.9 free their reporter after a run and use it again in the next). No exception
 * leaves these functions. As ever in the library, environment variables (BENCHMARK_FILTER) are
 * the defaults of its options.
 *
 * In a build without the library scr_gbench_init, _context, _register and _run return
 * SCR_ERR_UNSUPPORTED.
 */
#ifndef SCR_HARNESS_GBENCH_SHIM_H
#define SCR_HARNESS_GBENCH_SHIM_H

#include <screening/error.h>

#include <stddef.h>

SCR_BEGIN_DECLS

/* A case while its function runs. */
struct scr_gbench_case;

/*
 * Times a case and says what came out: scr_gbench_time, scr_gbench_skip or scr_gbench_fail must be
 * called; that none was is reported as a failure. Must return (no longjmp).
 */
typedef void (*scr_gbench_fn)(struct scr_gbench_case *c, void *user);

/* Seconds of one run, finite and > 0: what compare.py compares. */
void scr_gbench_time(struct scr_gbench_case *c, double seconds);

/* A named number beside the time. NaN and infinities, which JSON does not have, are left out. */
void scr_gbench_counter(struct scr_gbench_case *c, const char *name, double value);

/* A text beside the time; the last one stays. */
void scr_gbench_label(struct scr_gbench_case *c, const char *text);

/*
 * The case has no time: it was not tried or cannot be done (skip), or its result is wrong (fail).
 * The first call counts; time and counters are dropped. The library reports a skipped case from
 * 1.8 on; before, it knows errors only, and the message begins with "skipped: ".
 */
void scr_gbench_skip(struct scr_gbench_case *c, const char *message);
void scr_gbench_fail(struct scr_gbench_case *c, const char *message);

/*
 * Hands the library its options.
 *
 * program  argv[0]; kept, so it must live until the run is over
 * words    the --benchmark_* words of the command line, n of them
 * why      receives one line that names the option. Of a malformed --benchmark_context the library
 *          writes a line of its own to stderr before.
 *
 * Refused besides unknown and malformed options are those that would have the library decide how
 * long a case runs, or count what only this program knows of: --benchmark_min_time,
 * --benchmark_min_warmup_time, --benchmark_perf_counters. The file of --benchmark_out is created
 * if it is not there.
 *
 * Returns SCR_OK, SCR_ERR_INVALID, SCR_ERR_NO_MEMORY or SCR_ERR_UNSUPPORTED.
 */
int scr_gbench_init(const char *program, int n, const char *const *words, char *why,
                    size_t why_size);

/*
 * Adds a line to the context that heads a report. The library refuses a key that it has: the value
 * that came first stays, and a line on stderr says so. It does not look at keys of its own (date,
 * host_name, executable, num_cpus, mhz_per_cpu, cpu_scaling_enabled, caches, load_avg,
 * library_build_type): do not use these.
 * Returns SCR_OK, SCR_ERR_INVALID (empty key), SCR_ERR_NO_MEMORY or SCR_ERR_UNSUPPORTED.
 */
int scr_gbench_context(const char *key, const char *value);

/*
 * Adds a case. Cases run in the order in which they were registered.
 *
 * name  copied; not empty, and different for each case: it is how compare.py finds pairs
 * user  passed to fn; must live until the run is over
 *
 * Returns SCR_OK, SCR_ERR_INVALID (empty name, no function), SCR_ERR_NO_MEMORY or
 * SCR_ERR_UNSUPPORTED.
 */
int scr_gbench_register(const char *name, scr_gbench_fn fn, void *user);

/*
 * Runs the cases that --benchmark_filter matches and reports on stdout and to --benchmark_out, or
 * lists them (--benchmark_list_tests). No case is registered afterwards.
 *
 * matched  receives how many cases the filter matched
 * why      receives one line on failure
 *
 * Returns SCR_OK; SCR_ERR_NOT_FOUND: the filter matched none, or is malformed in the library's eyes
 * only, who says either on stderr;
 * SCR_ERR_INVALID: malformed filter, or a second run; SCR_ERR_NO_MEMORY; SCR_ERR_UNSUPPORTED.
 */
int scr_gbench_run(size_t *matched, char *why, size_t why_size);

SCR_END_DECLS

#endif
