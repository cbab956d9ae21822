/* SPDX-License-Identifier: Apache-2.0 */
/* The peers of a sweep: each of their kernels on each data set and device. */
#include "peer.h"
#include "sweep_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same_place(const struct scr_case *a, const struct scr_case *b)
{
    return a->group == b->group && a->device_order == b->device_order;
}

/* Whether a case is the last of its data on its device, and peers are to run on them. */
static bool ends_its_device(const struct scr_case_list *l, size_t i)
{
    bool wanted = false;

    if (i + 1 < l->n && same_place(&l->cases[i + 1], &l->cases[i]))
        return false;
    for (size_t j = i + 1; j > 0 && same_place(&l->cases[j - 1], &l->cases[i]) && !wanted; j--)
        wanted = !l->cases[j - 1].no_peers;
    return wanted;
}

/* Whether the user wants a peer's kernel. */
static bool is_wanted(const struct scr_sweep *s, const char *kernel)
{
    return s->o->peer_kernel == NULL || strcmp(s->o->peer_kernel, kernel) == 0;
}

static void run_peer(struct scr_sweep *s, size_t index, int peer, const struct scr_peer_info *info,
                     int kernel)
{
    const struct scr_case *c = &s->list.cases[index];
    struct scr_row row;

    scr_peer_row_identify(info, s->o->peers[peer], c, kernel, &row);
    if (json_is_true(json_object_get(s->peer_rows, row.repro)) ||
        scr_sweep_find_old(s, row.repro) != NULL)
        return;
    if (scr_sweep_over_budget(s)) {
        s->n_over_budget++;
        return;
    }
    scr_progress_show(&s->progress, s->n_rows, info->kernels[kernel]);
    if (!scr_sweep_has_row(s, c,
                           scr_supervisor_run_peer(s->supervisor, peer, kernel, index,
                                                   scr_sweep_row_limit(s), &row),
                           &row))
        return;
    if (strcmp(row.status, "ok") == 0) {
        row.t_floor_ns = NAN;
        scr_peer_relate(s->rows, s->n_rows, &row);
    }
    json_object_set_new_nocheck(s->peer_rows, row.repro, json_true());
    scr_sweep_keep(s, c, &row);
}

void scr_sweep_run_peers(struct scr_sweep *s, size_t index)
{
    for (size_t p = 0; p < json_array_size(s->peers) && ends_its_device(&s->list, index); p++) {
        struct scr_peer_info info;

        if (!scr_peer_info_from_json(json_array_get(s->peers, p), &info))
            continue;
        for (int k = 0; k < info.n_kernels; k++) {
            if (!*s->stop && is_wanted(s, info.kernels[k]))
                run_peer(s, index, (int)p, &info, k);
        }
    }
}

/* Notes which rows are wanted of a peer; how many of its kernels. */
static int want_rows(struct scr_sweep *s, int peer, const struct scr_peer_info *info)
{
    struct scr_row row;
    int kernels = 0;

    for (int k = 0; k < info->n_kernels; k++) {
        if (!is_wanted(s, info->kernels[k]))
            continue;
        kernels++;
        for (size_t i = 0; i < s->list.n; i++) {
            if (!ends_its_device(&s->list, i))
                continue;
            scr_peer_row_identify(info, s->o->peers[peer], &s->list.cases[i], k, &row);
            json_object_set_new_nocheck(s->peer_rows, row.repro, json_false());
        }
    }
    return kernels;
}

bool scr_sweep_wants_peer_row(const struct scr_sweep *s, const char *repro)
{
    return json_object_get(s->peer_rows, repro) != NULL;
}

void scr_sweep_clean_up_peers(const struct scr_sweep *s)
{
    if (s->has_folder && s->o->n_peers > 0)
        scr_peer_remove_files(s->folder.dir);
}

int scr_sweep_prepare_rows(struct scr_sweep *s)
{
    int kernels = 0;

    if (s->o->n_peers > 0 &&
        scr_supervisor_start(s->supervisor, &s->peers, s->why, sizeof s->why) != SCR_OK)
        return SCR_ERR_DEVICE;
    s->peer_rows = json_object();
    for (size_t p = 0; p < json_array_size(s->peers); p++) {
        struct scr_peer_info info;

        if (scr_peer_info_from_json(json_array_get(s->peers, p), &info))
            kernels += want_rows(s, (int)p, &info);
    }
    if (s->o->peer_kernel != NULL && kernels == 0) {
        snprintf(s->why, sizeof s->why, "--peer-kernel %s: no peer has that", s->o->peer_kernel);
        return SCR_ERR_INVALID;
    }
    s->n_want = scr_sweep_to_run(s) + json_object_size(s->peer_rows);
    return SCR_OK;
}
