/* SPDX-License-Identifier: Apache-2.0 */
#include "record_members.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MEMBER(type, field, ...)                                                                   \
    {                                                                                              \
        .name = #field, .offset = offsetof(type, field), .size = sizeof(((type *)0)->field),       \
        .kind = __VA_ARGS__                                                                        \
    }

static const struct scr_member device_members[] = {
#define DEVICE(...) MEMBER(scr_device_info, __VA_ARGS__)
    DEVICE(id, TEXT),
    DEVICE(backend, TEXT),
    DEVICE(name, TEXT),
    DEVICE(vendor, TEXT),
    DEVICE(platform, TEXT),
    DEVICE(driver, TEXT),
    DEVICE(arch, TEXT),
    DEVICE(is_cpu, FLAG),
    DEVICE(has_fp16, FLAG),
    DEVICE(has_subgroups, FLAG),
    DEVICE(has_warpgroups, FLAG),
    DEVICE(sm, WHOLE),
    DEVICE(compute_units, WHOLE),
    DEVICE(max_group_size, WHOLE),
    DEVICE(global_mem, SIZE),
    DEVICE(max_alloc, SIZE),
    DEVICE(local_mem, SIZE),
    DEVICE(cache_bytes, SIZE),
    DEVICE(pci, TEXT),
};

static const struct scr_member shape_members[] = {
#define SHAPE(...) MEMBER(struct scr_shape_key, __VA_ARGS__)
    SHAPE(dtype, DTYPE), SHAPE(dtype_out, DTYPE), SHAPE(dk, WHOLE),      SHAPE(dv, WHOLE),
    SHAPE(causal, FLAG), SHAPE(batch, WHOLE),     SHAPE(heads, WHOLE),   SHAPE(kv_heads, WHOLE),
    SHAPE(len_q, WHOLE), SHAPE(len_k, WHOLE),     SHAPE(window, WINDOW), SHAPE(density, REAL),
    SHAPE(words, WORDS),
};

/* Behind kind, device, shape and config. */
static const struct scr_member result_members[] = {
#define RECORD(...) MEMBER(struct scr_record, __VA_ARGS__)
    RECORD(source, HASH),
    RECORD(space, HASH),
    RECORD(status, TEXT),
    RECORD(reason, TEXT),
    RECORD(ns, REAL),
    RECORD(lo, REAL),
    RECORD(hi, REAL),
    RECORD(n, REAL),
    RECORD(timer, TEXT),
    RECORD(cache, TEXT),
    RECORD(stop, TEXT),
    RECORD(registers, REAL),
    RECORD(spill_bytes, REAL),
    RECORD(local_bytes, REAL),
    RECORD(gain, REAL, .winner = true),
    RECORD(gain_lo, REAL, .winner = true),
    RECORD(gain_hi, REAL, .winner = true),
    RECORD(best, FLAG, .winner = true),
    RECORD(n_space, REAL, .winner = true),
    RECORD(n_tried, REAL, .winner = true),
    RECORD(regret, REAL, .winner = true, .any = true),
    RECORD(strategy, TEXT, .winner = true),
    RECORD(seed, SEED, .winner = true),
};

static const struct scr_member origin_members[] = {
    RECORD(when, TEXT),
    RECORD(host, TEXT),
    RECORD(program, TEXT),
    RECORD(from, TEXT),
};

#define N_OF(list) (sizeof(list) / sizeof *(list))

#define MEMBERS(list)                                                                              \
    {                                                                                              \
        list, N_OF(list)                                                                           \
    }
const struct scr_members scr_device_members = MEMBERS(device_members);
const struct scr_members scr_shape_members = MEMBERS(shape_members);
const struct scr_members scr_result_members = MEMBERS(result_members);
const struct scr_members scr_origin_members = MEMBERS(origin_members);

const char *const scr_record_kind_names[3] = {
    [SCR_RECORD_CANDIDATE] = "candidate",
    [SCR_RECORD_VERIFIED] = "verified",
    [SCR_RECORD_WINNER] = "winner",
};

double scr_nine_digits(double x)
{
    char text[40];

    if (!isfinite(x) || (x == floor(x) && fabs(x) < 1e15))
        return x;
    snprintf(text, sizeof text, "%.9g", x);
    return strtod(text, NULL);
}

void scr_blank_controls(char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
    }
}

void scr_words_without_folders(const char *words, char *out, size_t size)
{
    static const char mark[] = "trace:";
    const char *s = words, *found;
    size_t n = 0;

    while ((found = strstr(s, mark)) != NULL && n < size) {
        /* A word with a blank in it is quoted: 'workload=trace:/a b/c'. */
        const char *word = found, *name = found + strlen(mark), *end;

        while (word > s && word[-1] != ' ' && word[-1] != '\'')
            word--;
        end = name + strcspn(name, word > s && word[-1] == '\'' ? "'" : " ");
        for (const char *c = name; c < end; c++) {
            if (*c == '/')
                name = c + 1;
        }
        n += (size_t)snprintf(out + n, size - n, "%.*s%.*s", (int)(found + strlen(mark) - s), s,
                              (int)(end - name), name);
        s = end;
    }
    if (n < size)
        snprintf(out + n, size - n, "%s", s);
}

int scr_param_by_name(const void *a, const void *b)
{
    return strcmp(((const scr_param *)a)->name, ((const scr_param *)b)->name);
}
