/* SPDX-License-Identifier: Apache-2.0 */
#include "tools.h"

static void complain(void *user, int level, const char *text)
{
    (void)user;
    if (level <= SCR_LOG_WARNING)
        fprintf(stderr, "tuner: %s\n", text);
}

int scr_tuner_open_tables(scr_context **out)
{
    scr_context_options options = {.log = complain, .backends = "", .cache_dir = ""};

    return scr_context_create(&options, out);
}
