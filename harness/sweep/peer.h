/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers: other programs that run on the problems of a sweep and whose outputs and times become
 * rows. They are spoken to in JSON lines, see harness/peers/README.md. A peer that crashes, hangs
 * or babbles costs the row it was asked for and is started anew for the next.
 */
#ifndef SCR_HARNESS_PEER_H
#define SCR_HARNESS_PEER_H

#include "case.h"
#include "row.h"
#include "truth.h"

#include <jansson.h>

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SCR_PEER_PROTOCOL = 1, SCR_PEER_MAX_KERNELS = 32, SCR_PEER_MAX_COMMAND = 500 };

struct scr_peer;

/* What a peer says of itself. */
struct scr_peer_info {
    char name[40];
    char version[80];
    char op[12]; /* screening, softmax */
    char kernels[SCR_PEER_MAX_KERNELS][32];
    int n_kernels;
};

/* Who looks on; what is NULL is left out. */
struct scr_peer_watch {
    const volatile sig_atomic_t *stop; /* ends a wait when it is raised; outlives the peer */
    /* Told the process group each time the program is started. */
    void (*started)(void *user, pid_t group);
    void *user;
};

/*
 * Starts a program and waits, up to two minutes, for it to say what it is. It is killed when the
 * calling thread ends.
 *
 * command  a program and its arguments, as a shell reads them; at most SCR_PEER_MAX_COMMAND bytes;
 *          copied
 * watch    copied, may be NULL
 * why      receives one line on failure, which names the command
 * Returns SCR_OK, SCR_ERR_INVALID (empty, too long; says what is no greeting), SCR_ERR_DEVICE (does
 * not start, ends, is silent; or *stop) or SCR_ERR_NO_MEMORY.
 */
int scr_peer_start(const char *command, const struct scr_peer_watch *watch, struct scr_peer **out,
                   char *why, size_t why_size);

/* A peer that scr_peer_start has described before. It is started when it is first asked: where it
 * does not start then, that costs a row. SCR_OK or SCR_ERR_NO_MEMORY. */
int scr_peer_recall(const char *command, const struct scr_peer_info *info,
                    const struct scr_peer_watch *watch, struct scr_peer **out);
void scr_peer_stop(struct scr_peer **peer);

const struct scr_peer_info *scr_peer_describe(const struct scr_peer *peer);

/* {"command", "peer", "version", "operator", "kernels"} for the header of a run, or NULL. */
json_t *scr_peer_json(const struct scr_peer *peer);

/* Reads what scr_peer_json wrote. False where it is not that. */
bool scr_peer_info_from_json(const json_t *object, struct scr_peer_info *info);

/* A dataset in a file, for all peers and devices. */
struct scr_peer_problem;

/*
 * Writes peer-data.safetensors to `folder`, where peers will put peer-o.safetensors: one problem a
 * folder at a time.
 *
 * data, truth  outlive it
 * max_pairs    as for scr_truth_create, for the reference of softmax peers
 * why          receives one line on failure
 * Returns SCR_OK, SCR_ERR_INVALID or SCR_ERR_NO_MEMORY.
 */
int scr_peer_problem_create(const struct scr_dataset *data, const struct scr_truth *truth,
                            int threads, uint64_t max_pairs, const char *folder,
                            struct scr_peer_problem **out, char *why, size_t why_size);
/* Removes the files. */
void scr_peer_problem_destroy(struct scr_peer_problem **problem);

/* Removes the files of a problem whose process was killed. */
void scr_peer_remove_files(const char *folder);

struct scr_peer_options {
    double time_limit_s; /* of sampling; 0: check only */
    double timeout_s;    /* without an answer for so long the peer is killed */
    bool warm;           /* the cache state to measure in */
    size_t cache_bytes;  /* last-level cache of the device, 0 unknown */
};

/*
 * The row of a peer's kernel before it has run: what identifies it, its repro (--peer COMMAND
 * --peer-kernel NAME) among it, and no result.
 *
 * c       any case of that data and device
 * kernel  in [0, n_kernels)
 */
void scr_peer_row_init(const struct scr_peer *peer, const struct scr_case *c, int kernel,
                       struct scr_row *row);

/* The same, of a peer that need not run here. */
void scr_peer_row_identify(const struct scr_peer_info *info, const char *command,
                           const struct scr_case *c, int kernel, struct scr_row *row);

/*
 * Has a peer run one of its kernels on the problem and the device of case c, verifies what it
 * computed and fills in the row (from scr_peer_row_init). Every failure becomes the row's status:
 *
 * ok           right; times are there unless time_limit_s is 0
 * wrong        differs from the reference of the peer's operator
 * timeout      no answer in time;  crashed: the peer ended instead of answering
 * unsupported oom failed   as the peer says; failed also where its answer breaks the protocol
 *
 * Returns false when *stop was raised: the row is not to be kept.
 */
bool scr_peer_run(struct scr_peer *peer, struct scr_peer_problem *problem, const struct scr_case *c,
                  int kernel, const struct scr_peer_options *options, struct scr_row *row);

/*
 * Sets vs_softmax or vs_framework of a peer's row that is ok: its median over that of the fastest
 * tile-skip row of this program that is ok and ran on the same data, device, masks, type and cache
 * state; the interval combines both medians' on the logarithmic scale. The two were not
 * interleaved, which is flagged ("apart"). Nothing is set where there is no such row, or where the
 * peer gave fewer than SCR_MIN_SAMPLES samples.
 */
void scr_peer_relate(const struct scr_row *ours, size_t n_ours, struct scr_row *row);

#endif
