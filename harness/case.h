/* SPDX-License-Identifier: Apache-2.0 */
/* One configuration on one device, and the list of them that a sweep runs. */
#ifndef SCR_HARNESS_CASE_H
#define SCR_HARNESS_CASE_H

#include "axes.h"
#include "choice.h"
#include "dataset.h"

#include <screening/screening.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { SCR_CASE_TEXT = 1024, SCR_MAX_CASES = 100000 };

struct scr_case {
    struct scr_dataset_spec spec;
    int max_len;                   /* trace: the first tokens only; 0: it is not cut */
    const char *program;           /* as invoked, for the command that repeats the case */
    const char *extra;             /* words of that command, see struct scr_case_list */
    const char *limits;            /* likewise */
    const scr_device_info *device; /* owned by the context */
    int device_order;
    scr_config config;            /* complete where refused is SCR_OK */
    scr_config masked;            /* masked-dense as the tables have it here, for the baseline;
                                     kernel "" where they have none */
    int refused;                  /* what scr_config_resolve said */
    char why[160];                /* when refused */
    int tile_q, tile_k;           /* 0: the kernel has none */
    char choice[SCR_CHOICE_TEXT]; /* where the parameters come from: "given", or of choice.h */
    char *data_words;             /* what decides the data, as command-line words; owned */
    bool no_peers;                /* of the list when it was added; peers need one case without */
    size_t group;                 /* equal for cases with equal data */
    size_t order;                 /* as enumerated */
};

struct scr_case_list {
    struct scr_case *cases;
    size_t n, n_groups;
    /* Whose tables tile=auto looks up; NULL: none. Read while cases are added. */
    const scr_context *tables;
    bool no_peers; /* of the cases that are added next */
    /* Given to the cases; set both before the first is added, and do not move the list. */
    const char *program;
    const char *limits;  /* --limit of that command, or NULL */
    char extra[80];      /* options that change what is measured, "--cache warm", or "" */
    char dropped[160];   /* why the last point without a meaning was left out, or "" */
    bool kernel_missing; /* a backend lacks a kernel or variant that was named */
    size_t n_spare;      /* of --random, the last ones: each is there for one that is unsupported */
};

/*
 * Appends the cases of one product on the given devices. Points without a meaning (a skip for a
 * kernel that has none, heads no multiple of kv_heads) are left out; what a device refuses stays,
 * as a case with its reason. What "auto" comes to is filled in where that is known before the data
 * is there (window and r of drawn workloads), a trace's length from its file. A device may be NULL:
 * its place is kept and nothing runs on it.
 *
 * why  receives one line on failure
 * Returns SCR_OK, SCR_ERR_INVALID (a trace that cannot be read, too many cases) or
 * SCR_ERR_NO_MEMORY.
 */
int scr_case_list_add(struct scr_case_list *l, const struct scr_axes *axes,
                      const scr_device_info *const *devices, size_t n_devices, uint64_t seed,
                      char *why, size_t why_size);

/*
 * Groups by data, then by device; within those masked-dense, dense, tile-skip with skip none, tile,
 * slice, so that every baseline comes before the rows that need it. Drops repetitions; what is left
 * of them has no_peers where all had it.
 */
void scr_case_list_sort(struct scr_case_list *l);
void scr_case_list_clear(struct scr_case_list *l);

/* The configurations, a line each, and their number. */
void scr_case_list_print(const struct scr_case_list *l, FILE *f);

/* One line for a person: "opencl:0.0 tile-skip skip=tile 64x64 f32 planted:0.1x64 seq=2048 ...". */
void scr_case_name(const struct scr_case *c, char *out, size_t size);

/*
 * The command that runs this case and no other; `mode` is "--sweep" or "--check", which is not
 * timed and so has no use for the extra words.
 */
void scr_case_repro(const struct scr_case *c, const char *mode, char *out, size_t size);

/* The value of the axis kv_len: "none", "full", "ragged" or a number. */
void scr_case_kv_len(const struct scr_case *c, char *out, size_t size);

/* Whether two such commands run the same case, be it with another --time-limit. */
bool scr_case_repro_same(const char *a, const char *b);

/* Quotes a word for a POSIX shell where it needs that. Returns what snprintf would. */
int scr_shell_quote(const char *word, char *out, size_t size);

#endif
