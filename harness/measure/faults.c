/* SPDX-License-Identifier: Apache-2.0 */
#include "faults.h"

#include "axes.h"

#include <screening/error.h>

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum scr_inject kind;
} faults[] = {
    {"hang", SCR_INJECT_HANG},
    {"crash", SCR_INJECT_CRASH},
    {"oom", SCR_INJECT_OOM},
    {"throttle", SCR_INJECT_THROTTLE},
    {"reversed", SCR_INJECT_REVERSED},
    {"missing", SCR_INJECT_MISSING},
    {"short", SCR_INJECT_SHORT},
    {"drift", SCR_INJECT_DRIFT},
    {"wrong-skip", SCR_INJECT_WRONG_SKIP},
};

int scr_faults_parse(const char *text, struct scr_faults *out, char *why, size_t why_size)
{
    size_t end = strcspn(text, "@");

    *out = (struct scr_faults){.at = -1};
    for (size_t i = 0; i < end;) {
        size_t len = strcspn(text + i, ",@");
        unsigned kind = 0;

        for (size_t j = 0; j < sizeof faults / sizeof faults[0]; j++) {
            if (strlen(faults[j].name) == len && strncmp(text + i, faults[j].name, len) == 0)
                kind = faults[j].kind;
        }
        if (kind == 0) {
            snprintf(why, why_size, "--inject: '%.*s' is no fault", (int)len, text + i);
            return SCR_ERR_INVALID;
        }
        out->kinds |= kind;
        i += len + (text[i + len] == ',');
    }
    if (out->kinds != 0 && text[end - 1] != ',' &&
        (text[end] == '\0' || scr_parse_int(text + end + 1, 0, 1000000, &out->at)))
        return SCR_OK;
    snprintf(why, why_size, "--inject: '%s' is not FAULT[,FAULT][@CASE]", text);
    return SCR_ERR_INVALID;
}
