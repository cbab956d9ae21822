/* SPDX-License-Identifier: Apache-2.0 */
#include "commit.h"
#include "compile_ahead.h"
#include "sweep.h" /* exit statuses */
#include "tools.h"
#include "tune.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* As in the harness: a closed standard stream must not become the next file that is opened. */
static bool occupy_standard_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int run(const struct scr_tuner_options *o, int argc, char **argv)
{
    switch (o->mode) {
    case SCR_TUNER_TUNE:
        return scr_tune_run(o, argc, argv);
    case SCR_TUNER_SHOW:
        return scr_show_run(o);
    case SCR_TUNER_MERGE:
        return scr_merge_run(o);
    case SCR_TUNER_TABLE:
        return scr_make_table_run(o);
    case SCR_TUNER_LOOKUP:
        return scr_ask_run(o);
    case SCR_TUNER_STALE:
        return scr_stale_run(o);
    case SCR_TUNER_EXPORT:
        return scr_export_run(o);
    case SCR_TUNER_AHEAD:
        return scr_compile_ahead_run(o);
    case SCR_TUNER_HELP:
        scr_tuner_help(stdout);
        return SCR_EXIT_FINE;
    case SCR_TUNER_VERSION:
        printf("tuner %s (%s)\n", scr_version_text(), SCR_COMMIT);
        return SCR_EXIT_FINE;
    case SCR_TUNER_NONE:
        break;
    }
    return SCR_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct scr_tuner_options o;
    char why[600];
    int result = SCR_EXIT_USAGE;

    if (!occupy_standard_streams())
        return SCR_EXIT_SOME_FAILED;
    if (scr_tuner_options_parse(argc, argv, &o, why, sizeof why) != SCR_OK)
        fprintf(stderr, "tuner: %s\n", why);
    else
        result = run(&o, argc, argv);
    scr_tuner_options_clear(&o);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "tuner: standard output cannot be written%s%s\n", errno != 0 ? ": " : "",
                errno != 0 ? strerror(errno) : "");
        if (result == SCR_EXIT_FINE)
            result = SCR_EXIT_SOME_FAILED;
    }
    return result;
}
