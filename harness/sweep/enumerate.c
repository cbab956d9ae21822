/* SPDX-License-Identifier: Apache-2.0 */
#include "enumerate.h"

#include "presets.h"
#include "random_list.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct maker {
    const struct scr_options *o;
    const struct scr_devices *devices;
    struct scr_case_list *list;
    char why[700];
};

/* preset: the line is of one, and so gives way to more of what the user says. */
static int add_product(struct maker *s, const char *line, enum scr_preset_on on, bool preset)
{
    const scr_device_info *devices[SCR_MAX_DEVICES];
    struct scr_axes axes = {0};
    int status = scr_axes_set_line(&axes, line, s->why, sizeof s->why);

    for (size_t i = 0; i < s->devices->n; i++) {
        const scr_device_info *info = s->devices->info[i];

        devices[i] = on == SCR_ON_ANY || info->is_cpu == (on == SCR_ON_CPU) ? info : NULL;
    }
    if (preset)
        scr_axes_mark_preset(&axes);
    if (status == SCR_OK)
        status = scr_axes_override(&axes, &s->o->axes);
    if (status == SCR_OK)
        status = scr_case_list_add(s->list, &axes, devices, s->devices->n, s->o->seed, s->why,
                                   sizeof s->why);
    scr_axes_clear(&axes);
    return status;
}

static int add_file(struct maker *s, const char *path)
{
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    int number = 0;
    int status = SCR_OK;

    if (f == NULL) {
        snprintf(s->why, sizeof s->why, "--cases %s: %s", path, strerror(errno));
        return SCR_ERR_INVALID;
    }
    while (status == SCR_OK && getline(&line, &room, f) >= 0) {
        number++;
        if (line[strspn(line, " \t\r\n")] == '\0' || line[strspn(line, " \t")] == '#')
            continue;
        status = add_product(s, line, SCR_ON_ANY, false);
        if (status != SCR_OK) {
            char inner[sizeof s->why];

            snprintf(inner, sizeof inner, "%s", s->why);
            snprintf(s->why, sizeof s->why, "%.400s:%d: %.280s", path, number, inner);
        }
    }
    if (status == SCR_OK && ferror(f)) {
        snprintf(s->why, sizeof s->why, "--cases %s: %s", path, strerror(errno));
        status = SCR_ERR_INVALID;
    }
    free(line);
    fclose(f);
    return status;
}

const char *scr_enumerate_preset(const struct scr_options *o)
{
    if (o->n_cases > 0 || o->n_random > 0)
        return "none";
    if (o->preset != NULL)
        return o->preset;
    return o->mode == SCR_MODE_SWEEP ? "quick" : "check";
}

/*
 * A sweep's line that tries tiles asks about its own workload: for another one the user asks for
 * tiles, if any are wanted.
 */
static bool is_moot(const struct scr_options *o, const struct scr_preset_line *line)
{
    return o->mode == SCR_MODE_SWEEP && strstr(line->axes, " tile=") != NULL &&
           scr_axes_has(&o->axes, "workload");
}

/* Traces are the user's to name, and a preset of traces has nothing to say of other workloads. */
static int check_traces(struct maker *s, const struct scr_preset *preset)
{
    size_t n = scr_axes_values(&s->o->axes, "workload");
    const char *other = NULL;

    for (size_t i = 0; i < n && other == NULL; i++) {
        const char *text = scr_axes_value(&s->o->axes, "workload", i);

        if (strncmp(text, "trace:", 6) != 0)
            other = text;
    }
    if (!preset->of_traces || (n > 0 && other == NULL))
        return SCR_OK;
    snprintf(s->why, sizeof s->why,
             "--preset %s: %.80s%sname recorded layers, such as -a "
             "workload=trace:a.safetensors,trace:b.safetensors",
             preset->name, other != NULL ? other : "", other != NULL ? " is none; " : "");
    return SCR_ERR_INVALID;
}

static int enumerate(struct maker *s, const struct scr_preset *preset)
{
    int status = s->o->n_cases == 0 ? check_traces(s, preset) : SCR_OK;

    for (int i = 0; i < s->o->n_cases && status == SCR_OK; i++)
        status = add_file(s, s->o->cases[i]);
    if (s->o->n_cases == 0) {
        for (const struct scr_preset_line *l = preset->lines; l->axes && status == SCR_OK; l++) {
            s->list->no_peers = l->no_peers;
            if (!is_moot(s->o, l))
                status = add_product(s, l->axes, l->on, true);
        }
        s->list->no_peers = false;
    }
    if (status != SCR_OK)
        return status;
    scr_case_list_sort(s->list);
    if (s->list->n > 0)
        return SCR_OK;
    snprintf(s->why, sizeof s->why, "no configuration is left%s%s",
             s->list->dropped[0] != '\0' ? ": " : "; the axes describe none", s->list->dropped);
    return SCR_ERR_INVALID;
}

/* What a command must say to time as these options do: a command without a preset is "quick". */
static void describe_timing(const struct scr_options *o, double time_limit_s, char *out,
                            size_t size)
{
    out[0] = '\0';
    if (o->warm)
        scr_append(out, size, "--cache warm");
    if (time_limit_s != scr_preset_find("quick")->time_limit_s)
        scr_append(out, size, "%s--time-limit %.9gs", out[0] != '\0' ? " " : "", time_limit_s);
}

static void print_warning(void *user, int level, const char *text)
{
    (void)user;
    if (level <= SCR_LOG_WARNING)
        fprintf(stderr, "harness: %s\n", text);
}

/*
 * The list with the lookup tables of the devices' context, or of one without a driver where the
 * devices were only surveyed: both read the same files.
 */
static int enumerate_tuned(struct maker *s, const struct scr_preset *preset)
{
    const scr_context_options no_driver = {.log = print_warning, .backends = ""};
    scr_context *own = NULL;
    int status = SCR_OK;

    if (s->devices->ctx == NULL)
        status = scr_context_create(&no_driver, &own);
    if (status != SCR_OK) {
        snprintf(s->why, sizeof s->why, "%s", scr_status_text(status));
        return status;
    }
    s->list->tables = own != NULL ? own : s->devices->ctx;
    status = enumerate(s, preset);
    s->list->tables = NULL;
    scr_context_destroy(&own);
    return status;
}

int scr_enumerate(const struct scr_options *o, const struct scr_devices *devices,
                  struct scr_case_list *list, double *time_limit_s, char *why, size_t why_size)
{
    bool timed = o->mode == SCR_MODE_SWEEP;
    bool preset_named = o->n_cases == 0 && o->n_random == 0;
    const char *name = scr_enumerate_preset(o);
    const struct scr_preset *preset = scr_preset_find(preset_named ? name
                                                      : timed      ? "quick"
                                                                   : "check");
    struct maker s = {.o = o, .devices = devices, .list = list};
    int status;

    if (o->n_random > 0) {
        *time_limit_s = 0;
        return scr_random_list(o, devices, list, why, why_size);
    }
    *time_limit_s = !timed ? 0 : o->time_limit_s > 0 ? o->time_limit_s : preset->time_limit_s;
    list->limits = o->limits;
    if (timed)
        describe_timing(o, *time_limit_s, list->extra, sizeof list->extra);
    status = enumerate_tuned(&s, preset);
    snprintf(why, why_size, "%s", s.why);
    return status;
}
