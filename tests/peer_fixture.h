/* SPDX-License-Identifier: Apache-2.0 */
/* A problem for peers, and the case on ref:0 that it belongs to. Include after cmocka.h. */
#ifndef SCR_TESTS_PEER_FIXTURE_H
#define SCR_TESTS_PEER_FIXTURE_H

#include "case.h"
#include "dataset.h"
#include "peer.h"
#include "truth.h"

#include <screening/screening.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct peer_fixture {
    char folder[64];
    scr_context *ctx;
    struct scr_case_list list;
    struct scr_dataset *data;
    struct scr_truth *truth;
    struct scr_peer_problem *problem;
};

/* axes: as on a line of a file of cases; they describe one data set. */
static inline void peer_fixture_make(struct peer_fixture *f, const char *axes_line)
{
    static const scr_context_options options = {.backends = "ref"};
    struct scr_axes axes = {0};
    const scr_device_info *device;
    char why[300] = "";

    memset(f, 0, sizeof *f);
    strcpy(f->folder, "/tmp/test-peer-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    assert_int_equal(scr_context_create(&options, &f->ctx), SCR_OK);
    device = scr_context_device_info(f->ctx, 0);
    f->list.program = "harness";
    if (scr_axes_set_line(&axes, "kernel=tile-skip tile=auto skip=tile", why, sizeof why) !=
            SCR_OK ||
        scr_axes_set_line(&axes, axes_line, why, sizeof why) != SCR_OK ||
        scr_case_list_add(&f->list, &axes, &device, 1, 7, why, sizeof why) != SCR_OK ||
        f->list.n == 0 ||
        scr_dataset_create(&f->list.cases[0].spec, 2, &f->data, why, sizeof why) != SCR_OK ||
        scr_truth_create(f->data, 2, UINT64_MAX, &f->truth) != SCR_OK ||
        scr_peer_problem_create(f->data, f->truth, 2, UINT64_MAX, f->folder, &f->problem, why,
                                sizeof why) != SCR_OK)
        fail_msg("%s: %s", axes_line, why);
    scr_axes_clear(&axes);
}

/* The folder must be empty by then, or this fails. */
static inline void peer_fixture_clear(struct peer_fixture *f)
{
    scr_peer_problem_destroy(&f->problem);
    scr_truth_destroy(&f->truth);
    scr_dataset_destroy(&f->data);
    scr_case_list_clear(&f->list);
    scr_context_destroy(&f->ctx);
    assert_int_equal(rmdir(f->folder), 0);
}

#endif
