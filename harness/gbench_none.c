/* SPDX-License-Identifier: Apache-2.0 */
/* gbench_shim.h in a build without Google Benchmark. No case can be registered, so none reports. */
#include "gbench_shim.h"

#include <stdio.h>

static int unsupported(char *why, size_t why_size)
{
    snprintf(why, why_size, "--benchmark_*: built without Google Benchmark");
    return SCR_ERR_UNSUPPORTED;
}

void scr_gbench_time(struct scr_gbench_case *c, double seconds)
{
    (void)c;
    (void)seconds;
}

void scr_gbench_counter(struct scr_gbench_case *c, const char *name, double value)
{
    (void)c;
    (void)name;
    (void)value;
}

void scr_gbench_label(struct scr_gbench_case *c, const char *text)
{
    (void)c;
    (void)text;
}

void scr_gbench_skip(struct scr_gbench_case *c, const char *message)
{
    (void)c;
    (void)message;
}

void scr_gbench_fail(struct scr_gbench_case *c, const char *message)
{
    (void)c;
    (void)message;
}

int scr_gbench_init(const char *program, int n, const char *const *words, char *why,
                    size_t why_size)
{
    (void)program;
    (void)n;
    (void)words;
    return unsupported(why, why_size);
}

int scr_gbench_context(const char *key, const char *value)
{
    (void)key;
    (void)value;
    return SCR_ERR_UNSUPPORTED;
}

int scr_gbench_register(const char *name, scr_gbench_fn fn, void *user)
{
    (void)name;
    (void)fn;
    (void)user;
    return SCR_ERR_UNSUPPORTED;
}

int scr_gbench_run(size_t *matched, char *why, size_t why_size)
{
    *matched = 0;
    return unsupported(why, why_size);
}
