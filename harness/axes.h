/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The axes of a sweep: what `-a AXIS=LIST` may name, and the product of such lists. A new axis is
 * a field of struct scr_point and a line in the table of axes.c.
 */
#ifndef SCR_HARNESS_AXES_H
#define SCR_HARNESS_AXES_H

#include "dataset.h"

#include <screening/plan.h>

#include <stdbool.h>
#include <stddef.h>

/* AUTO: as the lookup table has it; DEFAULT: as the kernel's declaration has it. */
enum { SCR_TILE_AUTO = 0, SCR_TILE_ALL = -1, SCR_TILE_DEFAULT = -2 };
enum { SCR_HEAD_ALL = -1, SCR_HEAD_EACH = -2 };
enum { SCR_KV_LEN_ALL = -1 };

/* One element of the product, before it meets a device. */
struct scr_point {
    int seq; /* 0: SCR_POINT_SEQ; of a trace all tokens */
    int kv;  /* 0: as seq */
    int batch;
    int heads;
    int kv_heads; /* 0: as heads */
    int head_dim;
    int dk, dv; /* 0: head_dim */
    scr_dtype dtype;
    bool out_same; /* o in dtype, else f32 */
    bool causal, norm;
    int q_pos0;
    bool has_kv_len, ragged;
    int kv_len; /* SCR_KV_LEN_ALL, or keys that exist */
    struct scr_workload workload;
    int trace_head; /* SCR_HEAD_* or a query head of the trace, alone */
    struct scr_window window;
    double r; /* 0: the workload's own */
    char kernel[20];
    char variant[20]; /* "": the preferred one */
    scr_skip skip;
    int tile_q, tile_k; /* SCR_TILE_* or both > 0 */
    int n_params;
    scr_param params[SCR_MAX_PARAMS];
};

enum { SCR_POINT_SEQ = 1024, SCR_N_AXES = 23 };

struct scr_axis_list {
    size_t n; /* 0: not set */
    char **text;
    bool preset; /* set by scr_axes_mark_preset */
};

/* The lists of one product. Zero-initialise; scr_axes_clear frees. */
struct scr_axes {
    struct scr_axis_list lists[SCR_N_AXES];
};

/*
 * Sets one axis from "AXIS=LIST". Every value is checked.
 * why  receives one line that names the axis and says what was expected
 * Returns SCR_OK, SCR_ERR_INVALID or SCR_ERR_NO_MEMORY.
 */
int scr_axes_set(struct scr_axes *a, const char *assignment, char *why, size_t why_size);

/* Sets axes from words separated by blanks; `#` starts a comment. Contracts as above. */
int scr_axes_set_line(struct scr_axes *a, const char *line, char *why, size_t why_size);

/*
 * Replaces in `a` each axis that `over` sets; what follows from it by default (kv from seq, dk and
 * dv from head_dim, kv_heads from heads) is unset unless `over` sets it too.
 */
int scr_axes_override(struct scr_axes *a, const struct scr_axes *over);

bool scr_axes_has(const struct scr_axes *a, const char *axis);
size_t scr_axes_values(const struct scr_axes *a, const char *axis);
/* The i-th of them as it was written, borrowed. */
const char *scr_axes_value(const struct scr_axes *a, const char *axis, size_t i);
void scr_axes_clear(struct scr_axes *a);

/*
 * What is set so far comes from a preset: a trace takes no length, window or sharpness from there
 * but has its own.
 */
void scr_axes_mark_preset(struct scr_axes *a);

/* The problem of a point, with what follows from other axes; of a trace, before its file is read.
 */
scr_problem scr_point_problem(const struct scr_point *p);

/* Called for one point; a return other than 0 ends the enumeration. */
typedef int (*scr_point_fn)(void *user, const struct scr_point *p);

/* Calls fn for every point of the product, axes not set taking their defaults. */
int scr_axes_for_each(const struct scr_axes *a, scr_point_fn fn, void *user);

/* The whole number n lo <= n <= hi in decimal, and nothing else. */
bool scr_parse_int(const char *text, long lo, long hi, long *out);

/* Reads NAME=NUMBER[+NAME=NUMBER]; whether it is that. */
bool scr_params_parse(const char *text, scr_param params[SCR_MAX_PARAMS], int *n_params);

#endif
