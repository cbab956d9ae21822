/* SPDX-License-Identifier: Apache-2.0 */
/* The peers of a sweep: each of their kernels on each data set and device. */
#include "peer.h"
#include "sweep_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether a case is the last of its data on its device. */
static bool ends_its_device(const struct scr_case_list *l, size_t i)
{
    return i + 1 == l->n || l->cases[i + 1].group != l->cases[i].group ||
           l->cases[i + 1].device_order != l->cases[i].device_order;
}

static void run_peer(struct scr_sweep *s, size_t index, int peer, int kernel)
{
    const struct scr_case *c = &s->list.cases[index];
    struct scr_row row;
    const char *name =
        json_string_value(json_array_get(json_array_get(s->peers, (size_t)peer), (size_t)kernel));

    if (s->o->peer_kernel != NULL && strcmp(s->o->peer_kernel, name) != 0)
        return;
    if (scr_sweep_over_budget(s)) {
        s->n_over_budget++;
        return;
    }
    scr_supervisor_run_peer(s->supervisor, peer, kernel, index, true, 0, &row);
    if (scr_sweep_find_old(s, row.repro) != NULL)
        return;
    scr_progress_show(&s->progress, s->n_rows, name);
    scr_supervisor_run_peer(s->supervisor, peer, kernel, index, false, scr_sweep_row_limit(s),
                            &row);
    if (strcmp(row.status, "ok") == 0) {
        row.t_floor_ns = NAN;
        scr_peer_relate(s->rows, s->n_rows, &row);
    }
    scr_sweep_keep(s, c, &row);
}

void scr_sweep_run_peers(struct scr_sweep *s, size_t index)
{
    for (size_t p = 0; p < json_array_size(s->peers) && ends_its_device(&s->list, index); p++) {
        for (size_t k = 0; k < json_array_size(json_array_get(s->peers, p)); k++) {
            if (!*s->stop)
                run_peer(s, index, (int)p, (int)k);
        }
    }
}

/* Starts the worker, and the peers with it; makes room for the rows. */
int scr_sweep_prepare_rows(struct scr_sweep *s)
{
    size_t kernels = 0, places = 0;
    int status = SCR_OK;

    if (s->o->n_peers > 0)
        status = scr_supervisor_start(s->supervisor, &s->peers, s->why, sizeof s->why);
    if (status != SCR_OK)
        return status;
    for (size_t p = 0; p < json_array_size(s->peers); p++) {
        json_t *names = json_array_get(s->peers, p);

        for (size_t k = 0; k < json_array_size(names); k++)
            kernels += s->o->peer_kernel == NULL ||
                       strcmp(s->o->peer_kernel, json_string_value(json_array_get(names, k))) == 0;
    }
    if (s->o->peer_kernel != NULL && kernels == 0) {
        snprintf(s->why, sizeof s->why, "--peer-kernel %s: no peer has that", s->o->peer_kernel);
        return SCR_ERR_INVALID;
    }
    for (size_t i = 0; i < s->list.n; i++)
        places += ends_its_device(&s->list, i);
    s->n_want = s->list.n + places * kernels;
    s->rows = calloc(s->n_want, sizeof *s->rows);
    if (s->rows != NULL)
        return SCR_OK;
    snprintf(s->why, sizeof s->why, "out of memory");
    return SCR_ERR_NO_MEMORY;
}
