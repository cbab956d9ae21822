/* SPDX-License-Identifier: Apache-2.0 */
#include "axes.h"

#include "decl.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LEN = 1 << 24, MAX_VALUES = 1000000, MAX_VALUE_CHARS = 600 };

struct axis {
    const char *name;
    const char *expected;
    const char *initial; /* list used when the axis is not set */
    /* Reads one value into the point; false when it is none. */
    bool (*apply)(const struct axis *axis, const char *text, struct scr_point *p);
    bool ranges; /* A:B:*F and A:B:+S are understood */
    size_t offset;
    long lo, hi;
};

bool scr_parse_int(const char *text, long lo, long hi, long *out)
{
    char *end;
    long n;

    if (*text == '\0' || (*text != '-' && (*text < '0' || *text > '9')))
        return false;
    errno = 0;
    n = strtol(text, &end, 10);
    if (errno != 0 || *end != '\0' || n < lo || n > hi)
        return false;
    *out = n;
    return true;
}

static bool apply_int(const struct axis *axis, const char *text, struct scr_point *p)
{
    long n;

    if (!scr_parse_int(text, axis->lo, axis->hi, &n))
        return false;
    *(int *)((char *)p + axis->offset) = (int)n;
    return true;
}

static bool apply_int_or_auto(const struct axis *axis, const char *text, struct scr_point *p)
{
    if (strcmp(text, "auto") == 0) {
        *(int *)((char *)p + axis->offset) = 0;
        return true;
    }
    return apply_int(axis, text, p);
}

static bool apply_dim(const struct axis *axis, const char *text, struct scr_point *p)
{
    int n;

    if (!apply_int(axis, text, p))
        return false;
    n = *(int *)((char *)p + axis->offset);
    return n == 16 || n == 32 || n == 64 || n == 128;
}

static bool apply_bool(const struct axis *axis, const char *text, struct scr_point *p)
{
    if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
        return false;
    *(bool *)((char *)p + axis->offset) = *text == '1';
    return true;
}

static bool apply_dtype(const struct axis *axis, const char *text, struct scr_point *p)
{
    (void)axis;
    for (scr_dtype t = SCR_F32; t <= SCR_BF16; t++) {
        if (strcmp(text, scr_dtype_name(t)) == 0) {
            p->dtype = t;
            return true;
        }
    }
    return false;
}

static bool apply_out(const struct axis *axis, const char *text, struct scr_point *p)
{
    (void)axis;
    p->out_same = strcmp(text, "same") == 0;
    return p->out_same || strcmp(text, "f32") == 0;
}

static bool apply_kernel(const struct axis *axis, const char *text, struct scr_point *p)
{
    (void)axis;
    for (size_t i = 0; i < scr_kernel_decl_count; i++) {
        if (strcmp(text, scr_kernel_decls[i].kernel) == 0) {
            snprintf(p->kernel, sizeof p->kernel, "%s", text);
            return true;
        }
    }
    return false;
}

static bool apply_variant(const struct axis *axis, const char *text, struct scr_point *p)
{
    bool known = strcmp(text, "auto") == 0;

    (void)axis;
    for (size_t i = 0; i < scr_kernel_decl_count; i++)
        known |= strcmp(text, scr_kernel_decls[i].variant) == 0;
    snprintf(p->variant, sizeof p->variant, "%s", strcmp(text, "auto") == 0 ? "" : text);
    return known;
}

static bool apply_tile(const struct axis *axis, const char *text, struct scr_point *p)
{
    static const struct {
        const char *text;
        int tile;
    } words[] = {{"auto", SCR_TILE_AUTO}, {"default", SCR_TILE_DEFAULT}, {"all", SCR_TILE_ALL}};
    char first[16];
    const char *x = strchr(text, 'x');
    long q, k;

    (void)axis;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i].text) == 0) {
            p->tile_q = p->tile_k = words[i].tile;
            return true;
        }
    }
    if (x == NULL || (size_t)(x - text) >= sizeof first)
        return false;
    snprintf(first, sizeof first, "%.*s", (int)(x - text), text);
    if (!scr_parse_int(first, 1, 4096, &q) || !scr_parse_int(x + 1, 1, 4096, &k))
        return false;
    p->tile_q = (int)q;
    p->tile_k = (int)k;
    return true;
}

static bool apply_skip(const struct axis *axis, const char *text, struct scr_point *p)
{
    (void)axis;
    for (scr_skip s = SCR_SKIP_NONE; s <= SCR_SKIP_SLICE; s++) {
        if (strcmp(text, scr_skip_name(s)) == 0) {
            p->skip = s;
            return true;
        }
    }
    return false;
}

static bool parse_real(const char *text, double *out)
{
    char *end;

    if (*text == '\0' || strspn(text, "0123456789.eE+-") != strlen(text))
        return false;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static bool apply_r(const struct axis *axis, const char *text, struct scr_point *p)
{
    (void)axis;
    if (strcmp(text, "auto") == 0) {
        p->r = 0;
        return true;
    }
    return parse_real(text, &p->r) && p->r > 0 && p->r <= 1e6;
}

static bool apply_window(const struct axis *axis, const char *text, struct scr_point *p)
{
    char why[160];

    (void)axis;
    return scr_window_parse(text, &p->window, why, sizeof why) == SCR_OK;
}

static bool apply_workload(const struct axis *axis, const char *text, struct scr_point *p)
{
    char why[160];

    (void)axis;
    return scr_workload_parse(text, &p->workload, why, sizeof why) == SCR_OK;
}

static bool apply_trace_head(const struct axis *axis, const char *text, struct scr_point *p)
{
    if (strcmp(text, "all") == 0 || strcmp(text, "each") == 0) {
        p->trace_head = *text == 'a' ? SCR_HEAD_ALL : SCR_HEAD_EACH;
        return true;
    }
    return apply_int(axis, text, p);
}

static bool apply_q_pos0(const struct axis *axis, const char *text, struct scr_point *p)
{
    if (strcmp(text, "auto") == 0) {
        p->q_pos0 = SCR_Q_POS0_DEFAULT;
        return true;
    }
    return apply_int(axis, text, p);
}

static bool apply_kv_len(const struct axis *axis, const char *text, struct scr_point *p)
{
    long n;

    p->kv_len = SCR_KV_LEN_ALL;
    p->ragged = strcmp(text, "ragged") == 0;
    p->has_kv_len = strcmp(text, "none") != 0;
    if (p->ragged || !p->has_kv_len || strcmp(text, "full") == 0)
        return true;
    if (!scr_parse_int(text, axis->lo, axis->hi, &n))
        return false;
    p->kv_len = (int)n;
    return true;
}

/* NAME=NUMBER[+NAME=NUMBER...]: parameters that the kernel's declaration names. */
bool scr_params_parse(const char *text, scr_param params[SCR_MAX_PARAMS], int *n_params)
{
    *n_params = 0;
    while (*n_params < SCR_MAX_PARAMS) {
        scr_param *param = &params[*n_params];
        size_t name = strcspn(text, "=");
        size_t number = text[name] == '=' ? strcspn(text + name + 1, "+") : 0;
        char digits[16];
        long n;

        if (name == 0 || name >= sizeof param->name || number == 0 || number >= sizeof digits)
            return false;
        snprintf(param->name, sizeof param->name, "%.*s", (int)name, text);
        snprintf(digits, sizeof digits, "%.*s", (int)number, text + name + 1);
        if (!scr_parse_int(digits, -1000000, 1000000, &n))
            return false;
        param->value = (int32_t)n;
        ++*n_params;
        text += name + 1 + number;
        if (*text == '\0')
            return true;
        text++;
    }
    return false;
}

static bool apply_param(const struct axis *axis, const char *text, struct scr_point *p)
{
    (void)axis;
    p->n_params = 0;
    return strcmp(text, "auto") == 0 || scr_params_parse(text, p->params, &p->n_params);
}

#define AT(field) offsetof(struct scr_point, field)
#define LENGTH    "a length from 1 to 16777216"
#define HEADS     "a number from 1 to 65535"
#define DIM       "16, 32, 64 or 128"
static const struct axis axes[] = {
    {"seq", LENGTH ", or auto", "auto", apply_int_or_auto, true, AT(seq), 1, MAX_LEN},
    {"kv", LENGTH ", or auto (as seq)", "auto", apply_int_or_auto, true, AT(kv), 1, MAX_LEN},
    {"batch", HEADS, "1", apply_int, true, AT(batch), 1, 65535},
    {"heads", HEADS, "2", apply_int, true, AT(heads), 1, 65535},
    {"kv_heads", HEADS ", or auto (as heads)", "auto", apply_int_or_auto, true, AT(kv_heads), 1,
     65535},
    {"head_dim", DIM, "64", apply_dim, true, AT(head_dim), 16, 128},
    {"dk", DIM, NULL, apply_dim, true, AT(dk), 16, 128},
    {"dv", DIM, NULL, apply_dim, true, AT(dv), 16, 128},
    {"dtype", "f32, f16 or bf16", "f32", apply_dtype, false, 0, 0, 0},
    {"out", "f32 or same", "f32", apply_out, false, 0, 0, 0},
    {"causal", "0 or 1", "1", apply_bool, false, AT(causal), 0, 0},
    {"norm", "0 or 1", "0", apply_bool, false, AT(norm), 0, 0},
    {"q_pos0", "a position within 16777216 of 0, or auto", "auto", apply_q_pos0, true, AT(q_pos0),
     -MAX_LEN, MAX_LEN},
    {"kv_len", "none, full, ragged or a number of keys from 0", "none", apply_kv_len, true, 0, 0,
     MAX_LEN},
    {"workload", "iid, planted, shuffled or skewed[:D[xRUN]], window, ends[:0|:1] or trace:FILE",
     "iid", apply_workload, false, 0, 0, 0},
    {"trace_head", "all (the layer as one case), each, or a query head from 0", "all",
     apply_trace_head, true, AT(trace_head), 0, 65534},
    {"window", "a number > 0, inf, init, trained or auto", "auto", apply_window, true, 0, 0, 0},
    {"r", "a number > 0, or auto", "auto", apply_r, true, 0, 0, 0},
    {"kernel", "dense, masked-dense or tile-skip", "dense,masked-dense,tile-skip", apply_kernel,
     false, 0, 0, 0},
    {"variant", "the name of a kernel's variant, or auto", "auto", apply_variant, false, 0, 0, 0},
    {"tile", "QxK such as 64x64, all, default or auto", "auto", apply_tile, false, 0, 0, 0},
    {"skip", "none, tile or slice", "none,tile,slice", apply_skip, false, 0, 0, 0},
    {"param", "NAME=NUMBER[+NAME=NUMBER], or auto", "auto", apply_param, false, 0, 0, 0},
};
enum { N_AXES = sizeof axes / sizeof axes[0] };
_Static_assert((int)N_AXES <= (int)SCR_N_AXES, "struct scr_axes holds every axis");

static int find_axis(const char *name, size_t len)
{
    for (int i = 0; i < N_AXES; i++) {
        if (strlen(axes[i].name) == len && strncmp(axes[i].name, name, len) == 0)
            return i;
    }
    return -1;
}

static int min3(int a, int b, int c)
{
    int m = a < b ? a : b;

    return m < c ? m : c;
}

/* Levenshtein distance of two short names. */
static int distance(const char *a, size_t len_a, const char *b)
{
    enum { MAX = 16 };
    int row[MAX + 1];
    int len_b = (int)strlen(b);

    if (len_a > MAX || len_b > MAX)
        return MAX;
    for (int j = 0; j <= len_b; j++)
        row[j] = j;
    for (int i = 1; i <= (int)len_a; i++) {
        int diagonal = row[0];

        row[0] = i;
        for (int j = 1; j <= len_b; j++) {
            int above = row[j];

            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[len_b];
}

static void unknown_axis(const char *name, size_t len, char *why, size_t why_size)
{
    int best = 0;
    size_t n;

    for (int i = 1; i < N_AXES; i++) {
        if (distance(name, len, axes[i].name) < distance(name, len, axes[best].name))
            best = i;
    }
    if (distance(name, len, axes[best].name) <= 2) {
        snprintf(why, why_size, "-a: unknown axis '%.*s'; did you mean '%s'?", (int)len, name,
                 axes[best].name);
        return;
    }
    n = (size_t)snprintf(why, why_size, "-a: unknown axis '%.*s'; expected", (int)len, name);
    for (int i = 0; i < N_AXES && n < why_size; i++)
        n += (size_t)snprintf(why + n, why_size - n, " %s", axes[i].name);
}

static void list_clear(struct scr_axis_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->text[i]);
    free(l->text);
    *l = (struct scr_axis_list){0};
}

static int list_add(struct scr_axis_list *l, const char *text)
{
    /* Grows at powers of two. */
    if ((l->n & (l->n - 1)) == 0) {
        char **grown = realloc(l->text, (l->n == 0 ? 1 : 2 * l->n) * sizeof *grown);

        if (grown == NULL)
            return SCR_ERR_NO_MEMORY;
        l->text = grown;
    }
    l->text[l->n] = strdup(text);
    if (l->text[l->n] == NULL)
        return SCR_ERR_NO_MEMORY;
    l->n++;
    return SCR_OK;
}

/* Every name is a parameter of some kernel; else the first that is none is named. */
static bool params_exist(const struct scr_point *p, char *why, size_t why_size)
{
    for (int i = 0; i < p->n_params; i++) {
        bool known = false;

        for (size_t d = 0; d < scr_kernel_decl_count && !known; d++) {
            for (int t = 0; t < scr_kernel_decls[d].n_tunables && !known; t++)
                known = strcmp(scr_kernel_decls[d].tunables[t].name, p->params[i].name) == 0;
        }
        if (!known) {
            snprintf(why, why_size, "-a param: no kernel has a parameter '%s'", p->params[i].name);
            return false;
        }
    }
    return true;
}

static int add_value(const struct axis *axis, struct scr_axis_list *l, const char *text, char *why,
                     size_t why_size)
{
    struct scr_point scratch = {0};

    if (strcmp(axis->name, "workload") == 0 && strcmp(text, "ends") == 0) {
        int status = list_add(l, "ends:0");

        return status != SCR_OK ? status : list_add(l, "ends:1");
    }
    if (!axis->apply(axis, text, &scratch)) {
        snprintf(why, why_size, "-a %s: '%s' is not a value; expected %s", axis->name, text,
                 axis->expected);
        return SCR_ERR_INVALID;
    }
    if (!params_exist(&scratch, why, why_size))
        return SCR_ERR_INVALID;
    return list_add(l, text);
}

/* FIRST:LAST:*FACTOR or FIRST:LAST:+STEP. */
static int add_range(const struct axis *axis, struct scr_axis_list *l, const char *text, char *why,
                     size_t why_size)
{
    char part[3][32];
    double first, last, step;
    bool times;
    int n = 0;

    for (const char *s = text; n < 3; n++) {
        size_t len = strcspn(s, ":");

        if (len == 0 || len >= sizeof part[0] || (n < 2) != (s[len] == ':'))
            break;
        snprintf(part[n], sizeof part[0], "%.*s", (int)len, s);
        s += len + 1;
    }
    if (n < 3 || (part[2][0] != '*' && part[2][0] != '+') || !parse_real(part[0], &first) ||
        !parse_real(part[1], &last) || !parse_real(part[2] + 1, &step)) {
        snprintf(why, why_size,
                 "-a %s: '%s' is not a range; expected FIRST:LAST:*FACTOR or "
                 "FIRST:LAST:+STEP",
                 axis->name, text);
        return SCR_ERR_INVALID;
    }
    times = part[2][0] == '*';
    if (times ? step <= 1 || first <= 0 : step <= 0) {
        snprintf(why, why_size, "-a %s: '%s' never ends; expected %s", axis->name, text,
                 times ? "a first value > 0 and a factor > 1" : "a step > 0");
        return SCR_ERR_INVALID;
    }
    if (last < first) {
        snprintf(why, why_size, "-a %s: '%s' is empty; the first value is above the last",
                 axis->name, text);
        return SCR_ERR_INVALID;
    }
    if ((times ? log(last / first) / log(step) : (last - first) / step) >= MAX_VALUES) {
        snprintf(why, why_size, "-a %s: '%s' has more than %d values", axis->name, text,
                 MAX_VALUES);
        return SCR_ERR_INVALID;
    }
    for (int i = 0;; i++) {
        double x = times ? first * pow(step, i) : first + step * i;
        char value[32];
        int status;

        if (x > last * (1 + 1e-12) + 1e-12)
            return SCR_OK;
        snprintf(value, sizeof value, "%.12g", x);
        status = add_value(axis, l, value, why, why_size);
        if (status != SCR_OK)
            return status;
    }
}

int scr_axes_set(struct scr_axes *a, const char *assignment, char *why, size_t why_size)
{
    size_t name = strcspn(assignment, "=");
    struct scr_axis_list list = {0};
    const char *s = assignment + name + 1;
    int status = SCR_OK;
    int index;

    if (assignment[name] != '=') {
        snprintf(why, why_size, "-a: '%s' is not AXIS=LIST", assignment);
        return SCR_ERR_INVALID;
    }
    index = find_axis(assignment, name);
    if (index < 0) {
        unknown_axis(assignment, name, why, why_size);
        return SCR_ERR_INVALID;
    }
    for (;;) {
        const struct axis *axis = &axes[index];
        size_t len = strcspn(s, ",");
        char value[MAX_VALUE_CHARS];

        if (len == 0 || len >= sizeof value) {
            snprintf(why, why_size, "-a %s: %s value; expected %s", axis->name,
                     len == 0 ? "an empty" : "too long a", axis->expected);
            status = SCR_ERR_INVALID;
            break;
        }
        snprintf(value, sizeof value, "%.*s", (int)len, s);
        if (axis->ranges && strchr(value, ':') != NULL)
            status = add_range(axis, &list, value, why, why_size);
        else
            status = add_value(axis, &list, value, why, why_size);
        if (status == SCR_OK && list.n > MAX_VALUES) {
            snprintf(why, why_size, "-a %s: more than %d values", axis->name, MAX_VALUES);
            status = SCR_ERR_INVALID;
        }
        if (status != SCR_OK || s[len] == '\0')
            break;
        s += len + 1;
    }
    if (status != SCR_OK) {
        if (status == SCR_ERR_NO_MEMORY)
            snprintf(why, why_size, "out of memory");
        list_clear(&list);
        return status;
    }
    list_clear(&a->lists[index]);
    a->lists[index] = list;
    return SCR_OK;
}

int scr_axes_set_line(struct scr_axes *a, const char *line, char *why, size_t why_size)
{
    size_t end = strcspn(line, "#");
    char *copy = strndup(line, end);
    char *rest = NULL;
    int status = SCR_OK;

    if (copy == NULL) {
        snprintf(why, why_size, "out of memory");
        return SCR_ERR_NO_MEMORY;
    }
    for (char *word = strtok_r(copy, " \t\r\n", &rest); word != NULL && status == SCR_OK;
         word = strtok_r(NULL, " \t\r\n", &rest))
        status = scr_axes_set(a, word, why, why_size);
    free(copy);
    return status;
}

int scr_axes_override(struct scr_axes *a, const struct scr_axes *over)
{
    static const struct {
        const char *axis, *follower;
    } follows[] = {{"seq", "kv"}, {"head_dim", "dk"}, {"head_dim", "dv"}, {"heads", "kv_heads"}};

    for (size_t i = 0; i < sizeof follows / sizeof follows[0]; i++) {
        if (scr_axes_has(over, follows[i].axis))
            list_clear(&a->lists[find_axis(follows[i].follower, strlen(follows[i].follower))]);
    }
    for (int i = 0; i < N_AXES; i++) {
        if (over->lists[i].n == 0)
            continue;
        list_clear(&a->lists[i]);
        a->lists[i].preset = over->lists[i].preset;
        for (size_t j = 0; j < over->lists[i].n; j++) {
            int status = list_add(&a->lists[i], over->lists[i].text[j]);

            if (status != SCR_OK)
                return status;
        }
    }
    return SCR_OK;
}

size_t scr_axes_values(const struct scr_axes *a, const char *axis)
{
    int index = find_axis(axis, strlen(axis));

    return index < 0 ? 0 : a->lists[index].n;
}

const char *scr_axes_value(const struct scr_axes *a, const char *axis, size_t i)
{
    return a->lists[find_axis(axis, strlen(axis))].text[i];
}

bool scr_axes_has(const struct scr_axes *a, const char *axis)
{
    return scr_axes_values(a, axis) > 0;
}

void scr_axes_mark_preset(struct scr_axes *a)
{
    for (int i = 0; i < N_AXES; i++)
        a->lists[i].preset = a->lists[i].n > 0;
}

void scr_axes_clear(struct scr_axes *a)
{
    for (int i = 0; i < N_AXES; i++)
        list_clear(&a->lists[i]);
}

static bool from_preset(const struct scr_axes *a, const char *axis)
{
    return a->lists[find_axis(axis, strlen(axis))].preset;
}

/* What a preset says for drawn data is not for a trace. */
static void keep_own(const struct scr_axes *a, struct scr_point *p)
{
    if (p->workload.kind != SCR_WORKLOAD_TRACE)
        return;
    if (from_preset(a, "seq"))
        p->seq = 0;
    if (from_preset(a, "window"))
        p->window = (struct scr_window){.kind = SCR_WINDOW_AUTO};
    if (from_preset(a, "r"))
        p->r = 0;
}

static int each_from(const struct scr_axes *a, int index, struct scr_point *p, scr_point_fn fn,
                     void *user)
{
    struct scr_point next;
    int status = SCR_OK;

    if (index == N_AXES) {
        keep_own(a, p);
        return fn(user, p);
    }
    if (a->lists[index].n == 0)
        return each_from(a, index + 1, p, fn, user);
    for (size_t i = 0; i < a->lists[index].n && status == SCR_OK; i++) {
        next = *p;
        axes[index].apply(&axes[index], a->lists[index].text[i], &next);
        status = each_from(a, index + 1, &next, fn, user);
    }
    return status;
}

scr_problem scr_point_problem(const struct scr_point *p)
{
    int seq = p->seq != 0 ? p->seq : SCR_POINT_SEQ;

    return (scr_problem){
        .batch = p->batch,
        .heads_q = p->heads,
        .heads_kv = p->kv_heads != 0 ? p->kv_heads : p->heads,
        .len_q = seq,
        .len_k = p->kv != 0 ? p->kv : seq,
        .dk = p->dk != 0 ? p->dk : p->head_dim,
        .dv = p->dv != 0 ? p->dv : p->head_dim,
        .q_pos0 = p->q_pos0,
        .dtype = p->dtype,
        .dtype_out = p->out_same ? p->dtype : SCR_F32,
        .causal = p->causal,
        .tanh_norm = p->norm,
        .has_kv_len = p->has_kv_len,
    };
}

int scr_axes_for_each(const struct scr_axes *a, scr_point_fn fn, void *user)
{
    struct scr_axes full = {0};
    struct scr_point p = {0};
    char assignment[80];
    char why[160];
    int status = SCR_OK;

    for (int i = 0; i < N_AXES && status == SCR_OK; i++) {
        if (axes[i].initial == NULL)
            continue;
        snprintf(assignment, sizeof assignment, "%s=%s", axes[i].name, axes[i].initial);
        status = scr_axes_set(&full, assignment, why, sizeof why);
    }
    if (status == SCR_OK)
        status = scr_axes_override(&full, a);
    if (status == SCR_OK)
        status = each_from(&full, 0, &p, fn, user);
    scr_axes_clear(&full);
    return status;
}
