/* SPDX-License-Identifier: Apache-2.0 */
/* What record.c writes and record_read.c reads: a list of members each for a record, its device and
 * its shape. */
#ifndef SCR_TUNER_RECORD_MEMBERS_H
#define SCR_TUNER_RECORD_MEMBERS_H

#include "record.h"

enum scr_member_kind {
    TEXT,
    WORDS,  /* text that may name files */
    REAL,   /* null where it is NaN or not finite */
    WHOLE,  /* int32_t >= 0 */
    SIZE,   /* size_t */
    FLAG,   /* bool */
    HASH,   /* uint64_t as 16 hex digits */
    SEED,   /* uint64_t as a number */
    DTYPE,  /* scr_dtype by name */
    WINDOW, /* "inf", a number, or null for 0 */
};

struct scr_member {
    const char *name;
    enum scr_member_kind kind;
    bool winner; /* of winners only */
    bool any;    /* REAL: may be negative */
    size_t offset, size;
};

struct scr_members {
    const struct scr_member *list;
    size_t n;
};

extern const struct scr_members scr_device_members, scr_shape_members;
/* Of the record itself: before `verified`, and behind it. */
extern const struct scr_members scr_result_members, scr_origin_members;
extern const char *const scr_record_kind_names[3];

/* What is kept of a number: nine digits, so that it is written as it was read. */
double scr_nine_digits(double x);

/* Control characters, which would garble a terminal or a table, become blanks. */
void scr_blank_controls(char *s);

/* "-a workload=trace:/home/me/t.safetensors" says trace:t.safetensors on every machine. */
void scr_words_without_folders(const char *words, char *out, size_t size);

/* For qsort: parameters by name. */
int scr_param_by_name(const void *a, const void *b);

#endif
