/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This program, started again as a helper that may hang, crash or be killed at no one's cost but
 * its own. Requests go to its standard input, answers come from its descriptor SCR_HELPER_FD, both
 * as lines of JSON. Before each step of an answer it sends {"step": what}.
 */
#ifndef SCR_HARNESS_HELPER_H
#define SCR_HARNESS_HELPER_H

#include <jansson.h>

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

enum { SCR_HELPER_FD = 3 };

/* Why there is no answer. */
enum scr_heard {
    SCR_HEARD_OK,
    SCR_HEARD_SILENT,  /* too long */
    SCR_HEARD_GONE,    /* the helper's end of the pipe is closed */
    SCR_HEARD_GARBLED, /* for the caller: it is not an answer to what was asked */
    SCR_HEARD_STOPPED, /* *stop was raised and the answer did not come soon */
    SCR_HEARD_LATE,    /* end_s has come, and the answer did not soon after */
};

/* Zero-initialise and set what the first block has. */
struct scr_helper {
    char *const *argv;    /* of this program; the helper gets it too, NULL at its end */
    const char *backends; /* follows there as --worker BACKENDS */
    const volatile sig_atomic_t *stop; /* or NULL */
    double end_s;                      /* by scr_clock_s; 0: none */
    /* A message that is neither a step nor an answer: true where it was that; or NULL. */
    bool (*note)(void *user, const json_t *message);
    void *user;

    pid_t pid; /* 0: it does not run */
    int to, from;
    char *text; /* received, not yet taken */
    size_t n_text, room;
    char step[80];              /* the last that it told of */
    double timeout_s, deadline; /* of the request that it has */
    double stop_s;              /* when *stop was seen, 0: not yet */
};

/*
 * Starts one. It does not outlive the thread that calls this, and Ctrl-C does not reach it. A
 * caller ignores SIGPIPE. SCR_OK, or SCR_ERR_DEVICE with one line in why.
 */
int scr_helper_start(struct scr_helper *h, char *why, size_t why_size);

/* Sends a line that has no answer, and drops the message. */
enum scr_heard scr_helper_tell(struct scr_helper *h, json_t *message, double timeout_s);

/*
 * Sends a request, drops it and waits for the answer, for timeout_s in each step; the step
 * "reference", which is this program's own code and takes what it takes, has no limit.
 * answer  receives a new reference; NULL unless SCR_HEARD_OK
 */
enum scr_heard scr_helper_ask(struct scr_helper *h, json_t *request, double timeout_s,
                              json_t **answer);

/*
 * The same in parts, for several helpers at once: begin, then wait and take until there is an
 * answer or it is not SCR_HEARD_OK. take does not wait; SCR_HEARD_OK with *answer NULL: not yet.
 */
enum scr_heard scr_helper_begin(struct scr_helper *h, json_t *request, double timeout_s);
enum scr_heard scr_helper_take(struct scr_helper *h, json_t **answer);

/* Sleeps until one of them, NULLs left out, has something to take, or for a second at most. */
void scr_helpers_wait(struct scr_helper *const *helpers, size_t n);

/*
 * Closes the pipes and collects the process, killed or not; nothing where none runs. One that waits
 * in the kernel for a device may not end: it is left behind, and false returned.
 * status  as waitpid gives it; may be NULL
 */
bool scr_helper_collect(struct scr_helper *h, bool kill_it, int *status);

/* What became of a request without an answer. */
struct scr_helper_end {
    enum scr_heard heard;
    const char *status; /* as a row has it: "crashed", "timeout", "failed" or "skipped" */
    char why[200];
};

/* Ends a helper that did not answer and says how it ended. */
struct scr_helper_end scr_helper_bury(struct scr_helper *h, enum scr_heard heard);

/* Collects it and frees what is left. */
void scr_helper_clear(struct scr_helper *h);

/* The helper's side. */
struct scr_helper_pipes {
    FILE *requests, *answers;
};

/*
 * Takes the pipes, and keeps them from what drivers print, read and start. False where there are
 * none: this process was not started by scr_helper_start. Close it in any case.
 */
bool scr_helper_pipes_open(struct scr_helper_pipes *p);
void scr_helper_pipes_close(struct scr_helper_pipes *p);

/* The next request, or NULL at the end. */
json_t *scr_helper_next(struct scr_helper_pipes *p);

/* Writes one line and drops the message. */
bool scr_helper_answer(struct scr_helper_pipes *p, json_t *message);

#endif
