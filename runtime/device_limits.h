/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that appear with less than they have: struct scr_context_options' limits. */
#ifndef SCR_RUNTIME_DEVICE_LIMITS_H
#define SCR_RUNTIME_DEVICE_LIMITS_H

#include <screening/device.h>

struct scr_limits {
    size_t local_mem;  /* 0: as it is */
    int32_t max_group; /* likewise */
    bool no_fp16, no_subgroups, no_sm;
    char text[64]; /* as given; "": none */
};

/*
 * text  a comma list as in struct scr_context_options, or NULL
 * why   receives one line on failure
 * Returns SCR_OK or SCR_ERR_INVALID.
 */
int scr_limits_parse(const char *text, struct scr_limits *out, char *why, size_t why_size);

/* Takes away what is beyond them, and says so in the name. */
void scr_limits_apply(const struct scr_limits *limits, scr_device_info *info);

#endif
