/* SPDX-License-Identifier: Apache-2.0 */
/* The helper's side of helper.h. */
#include "helper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_pipe(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

bool scr_helper_pipes_open(struct scr_helper_pipes *p)
{
    int in, null;

    *p = (struct scr_helper_pipes){NULL, NULL};
    if (!is_pipe(STDIN_FILENO) || !is_pipe(SCR_HELPER_FD))
        return false;
    in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, SCR_HELPER_FD + 1);
    fcntl(SCR_HELPER_FD, F_SETFD, FD_CLOEXEC);
    null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    close(null);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    p->requests = in >= 0 ? fdopen(in, "r") : NULL;
    p->answers = fdopen(SCR_HELPER_FD, "w");
    return p->requests != NULL && p->answers != NULL;
}

void scr_helper_pipes_close(struct scr_helper_pipes *p)
{
    if (p->requests != NULL)
        fclose(p->requests);
    if (p->answers != NULL)
        fclose(p->answers);
    *p = (struct scr_helper_pipes){NULL, NULL};
}

json_t *scr_helper_next(struct scr_helper_pipes *p)
{
    return json_loadf(p->requests, JSON_DISABLE_EOF_CHECK, NULL);
}

bool scr_helper_answer(struct scr_helper_pipes *p, json_t *message)
{
    bool sent = message != NULL && json_dumpf(message, p->answers, JSON_COMPACT) == 0 &&
                fputc('\n', p->answers) != EOF && fflush(p->answers) == 0;

    json_decref(message);
    return sent;
}
