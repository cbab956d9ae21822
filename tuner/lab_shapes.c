/* SPDX-License-Identifier: Apache-2.0 */
#include "lab_shapes.h"

#include "text.h"
#include "workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the tuner does with a shape is its own choice. */
static const char fixed[] = "kernel=tile-skip skip=none tile=auto variant=auto param=auto";
static const char *const fixed_axes[] = {"kernel", "skip", "tile", "variant", "param"};

/* Lengths that fill the device, dims of today's models, windows and none, many pairs and few. */
static const char *const on_cpu[] = {
    "workload=planted:0.5x64,planted:0.05x64,planted:0.005x64 window=inf seq=1024",
    "workload=iid window=init seq=1024",
    "workload=planted:0.05x64,planted:0.005x64 window=inf seq=2048 dk=16 dv=64",
    "workload=iid window=init seq=2048 dk=16 dv=64",
    "workload=planted:0.5x64,planted:0.05x64 window=inf seq=512 head_dim=128",
    "workload=iid window=init seq=2048 head_dim=128",
    "workload=planted:0.005x64 window=inf seq=4096",
    "workload=iid window=init seq=4096",
    "workload=planted:0.25x8 window=trained seq=4096 dk=16 dv=64",
    "workload=planted:0.024x4 window=trained seq=4096",
};
static const char *const on_gpu[] = {
    "workload=planted:0.5x64,planted:0.05x64,planted:0.005x64 window=inf seq=4096",
    "workload=iid window=init seq=4096",
    "workload=planted:0.05x64,planted:0.005x64 window=inf seq=8192 dk=16 dv=64",
    "workload=iid window=init seq=8192 dk=16 dv=64",
    "workload=planted:0.5x64,planted:0.05x64 window=inf seq=2048 head_dim=128",
    "workload=iid window=init seq=8192 head_dim=128",
    "workload=planted:0.005x64 window=inf seq=16384",
    "workload=iid window=init seq=16384",
    "workload=planted:0.25x8 window=trained seq=8192 dk=16 dv=64",
    "workload=planted:0.024x4 window=trained seq=8192",
};

static const char *const verifying[] = {
    "workload=iid r=1.1 seq=67 kv=150 window=inf",
    "workload=planted:0.05x16 seq=333 window=init norm=1",
    "workload=iid r=1.1 seq=1 kv=257 window=inf",
    "workload=iid r=1.1 seq=17 window=9",
    "workload=ends:0,ends:1 seq=130 window=inf",
    "workload=iid r=1.1 batch=3 heads=4 kv_heads=2 seq=100 kv=170 kv_len=ragged window=init",
    "workload=planted:0.1x16 seq=129 window=33 causal=0",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int add(struct scr_case_list *l, const char *line, const struct scr_axes *over,
               const scr_device_info *device, uint64_t seed, char *why, size_t why_size)
{
    struct scr_axes axes = {0};
    int status = scr_axes_set_line(&axes, line, why, why_size);

    if (status == SCR_OK && over != NULL)
        status = scr_axes_override(&axes, over);
    if (status == SCR_OK)
        status = scr_axes_set_line(&axes, fixed, why, why_size);
    if (status == SCR_OK)
        status = scr_case_list_add(l, &axes, &device, 1, seed, why, why_size);
    scr_axes_clear(&axes);
    return status;
}

static bool any_axis(const struct scr_axes *axes)
{
    for (size_t i = 0; i < SCR_N_AXES; i++) {
        if (axes->lists[i].n > 0)
            return true;
    }
    return false;
}

/* Leaves out cases from `from` on whose data an earlier one has. */
static void drop_repetitions(struct scr_case_list *l, size_t from)
{
    size_t kept = from;

    for (size_t i = from; i < l->n; i++) {
        bool repeated = false;

        for (size_t j = 0; j < kept && !repeated; j++)
            repeated = strcmp(l->cases[j].data_words, l->cases[i].data_words) == 0;
        if (repeated)
            free(l->cases[i].data_words);
        else
            l->cases[kept++] = l->cases[i];
    }
    l->n = kept;
}

bool scr_lab_shape_verifies(const struct scr_case *tuned, const struct scr_case *other)
{
    const scr_problem *a = &tuned->spec.problem, *b = &other->spec.problem;

    return a->dtype == b->dtype && a->dtype_out == b->dtype_out && a->dk == b->dk && a->dv == b->dv;
}

static int add_verifying(struct scr_case_list *l, size_t n_tuned, const scr_device_info *device,
                         uint64_t seed, char *why, size_t why_size)
{
    int status = SCR_OK;

    for (size_t i = 0; i < n_tuned && status == SCR_OK; i++) {
        scr_problem p = l->cases[i].spec.problem;
        bool seen = false;

        for (size_t j = 0; j < i && !seen; j++)
            seen = scr_lab_shape_verifies(&l->cases[i], &l->cases[j]);
        for (size_t k = 0; k < COUNT(verifying) && !seen && status == SCR_OK; k++) {
            char line[300];

            snprintf(line, sizeof line, "%s dtype=%s out=%s dk=%d dv=%d", verifying[k],
                     scr_dtype_name(p.dtype), p.dtype_out == SCR_F32 ? "f32" : "same", p.dk, p.dv);
            status = add(l, line, NULL, device, seed, why, why_size);
        }
    }
    return status;
}

int scr_lab_shapes(const struct scr_axes *axes, const scr_device_info *device, uint64_t seed,
                   struct scr_case_list *out, size_t *n_tuned, char *why, size_t why_size)
{
    const char *const *lines = device->is_cpu ? on_cpu : on_gpu;
    int status = SCR_OK;

    for (size_t i = 0; i < COUNT(fixed_axes); i++) {
        if (scr_axes_has(axes, fixed_axes[i])) {
            snprintf(why, why_size, "-a %s: is what the tuner chooses; expected axes of a shape",
                     fixed_axes[i]);
            return SCR_ERR_INVALID;
        }
    }
    if (any_axis(axes)) {
        status = add(out, "", axes, device, seed, why, why_size);
    } else {
        for (size_t i = 0; i < COUNT(on_cpu) && status == SCR_OK; i++) {
            char line[300];

            snprintf(line, sizeof line, "%s%s", lines[i],
                     device->is_cpu ? "" : " heads=8 dtype=bf16");
            status = add(out, line, NULL, device, seed, why, why_size);
        }
    }
    if (status != SCR_OK)
        return status;
    drop_repetitions(out, 0);
    *n_tuned = out->n;
    if (out->n == 0) {
        snprintf(why, why_size, "no shape is left%s%s", out->dropped[0] != '\0' ? ": " : "",
                 out->dropped);
        return SCR_ERR_INVALID;
    }
    status = add_verifying(out, *n_tuned, device, seed, why, why_size);
    for (size_t i = 0; i < out->n; i++)
        out->cases[i].order = i;
    return status;
}

void scr_lab_shape_name(const struct scr_case *c, char *out, size_t size)
{
    const scr_problem *p = &c->spec.problem;
    char workload[540], window[32];
    const char *text = workload;

    scr_workload_name(&c->spec.workload, workload, sizeof workload);
    if (c->spec.workload.kind == SCR_WORKLOAD_TRACE && strrchr(workload, '/') != NULL)
        text = strrchr(workload, '/') + 1;
    scr_window_name(&c->spec.window, window, sizeof window);
    snprintf(out, size, "%.60s %d x %d window=%s%s%s", text, p->len_q, p->len_k, window,
             p->causal ? "" : " bidirectional", p->has_kv_len ? " kv_len" : "");
}

double scr_lab_round_density(double pair_density)
{
    char text[32];

    if (isnan(pair_density))
        return 0;
    if (pair_density < 1e-6)
        return 1e-6;
    snprintf(text, sizeof text, "%.1e", pair_density < 1 ? pair_density : 1);
    return strtod(text, NULL);
}

int scr_lab_shape_key(const struct scr_case *c, double pair_density, struct scr_shape_key *out,
                      char *why, size_t why_size)
{
    const scr_problem *p = &c->spec.problem;

    *out = (struct scr_shape_key){
        .dtype = p->dtype,
        .dtype_out = p->dtype_out,
        .dk = p->dk,
        .dv = p->dv,
        .causal = p->causal,
        .batch = p->batch,
        .heads = p->heads_q,
        .kv_heads = p->heads_kv,
        .len_q = p->len_q,
        .len_k = p->len_k,
        .density = scr_lab_round_density(pair_density),
    };
    if (strlen(c->data_words) >= sizeof out->words) {
        snprintf(why, why_size, "the path of the trace is too long");
        return SCR_ERR_INVALID;
    }
    strcpy(out->words, c->data_words);
    return scr_dataset_mean_window(&c->spec, &out->window, why, why_size);
}
