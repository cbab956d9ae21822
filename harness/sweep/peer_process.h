/* SPDX-License-Identifier: Apache-2.0 */
/* A child that is talked to in lines: its start, its lines with a time limit, its end. */
#ifndef SCR_HARNESS_PEER_PROCESS_H
#define SCR_HARNESS_PEER_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct scr_process {
    pid_t pid; /* 0: none runs */
    int in;    /* a socket, so that writing to a dead child is an error and no signal */
    int out, err;
    char *text; /* what came and was not taken, [room] */
    size_t used, taken, room;
    char partial[200]; /* the line that stderr is in */
    size_t partial_used;
    char last_error[200]; /* the last line with a word in it that came on stderr, or "" */
};

/*
 * Starts a program in a process group of its own. It is killed when the thread that calls ends. All
 * but the three standard streams is closed to it.
 *
 * command  words as a shell reads them, quotes and variables among them; one program and its
 *          arguments, for it is started by "exec"
 * why      receives one line on failure
 * Returns SCR_OK, SCR_ERR_NO_MEMORY or SCR_ERR_DEVICE.
 */
int scr_process_start(struct scr_process *p, const char *command, char *why, size_t why_size);

/* Whether it was started and has not ended. */
bool scr_process_runs(const struct scr_process *p);

/* Sends a line, `text` without its newline. False where the child does not take it. */
bool scr_process_send(struct scr_process *p, const char *text);

enum scr_line {
    SCR_LINE_THERE,
    SCR_LINE_LATE,    /* the time is up */
    SCR_LINE_ENDED,   /* the child closed its output */
    SCR_LINE_LONG,    /* over 4 MiB without a newline */
    SCR_LINE_STOPPED, /* *stop was raised */
};

/*
 * Waits up to limit_s seconds for a line and keeps up with stderr meanwhile.
 *
 * stop  looked at five times a second, may be NULL
 * line  receives the line without its newline, valid until the next call; bytes: its length
 */
enum scr_line scr_process_read(struct scr_process *p, double limit_s,
                               const volatile sig_atomic_t *stop, char **line, size_t *bytes);

/*
 * Closes the child's input, gives it grace_s seconds to end and kills its group. Harmless where
 * none runs.
 *
 * how  receives "exit status 3", "signal 11 (Segmentation fault)" or "killed" (by this call); may
 *      be NULL
 */
void scr_process_end(struct scr_process *p, double grace_s, char *how, size_t how_size);

#endif
