/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes records of a made-up device, for tests of the tuner's tools: make_records FILE [old].
 * With "old" their kernels have changed since.
 */
#include "records_fixture.h"

static int put(struct scr_record_file *f, struct scr_record *r, bool old)
{
    fixture_refresh(r);
    if (old)
        r->source ^= 1;
    return scr_record_file_append(f, r, 1);
}

static const double densities[] = {0.05, 0.5, 1};
/* Times in us of TILE_Q 16, 32 and 64 for these. */
static const double times[3][3] = {{100, 110, 150}, {500, 450, 460}, {990, 950, 900}};

static int put_shape(struct scr_record_file *f, int d, bool old)
{
    static const char *const failures[][2] = {{"pruned", "registers"},
                                              {"pruned", "spills: 128 bytes"},
                                              {"wrong", "head 3: error 0.2"},
                                              {"timeout", "no step in 120 s"}};
    int best = 0, status = SCR_OK;
    struct scr_record r;

    for (int t = 0; t < 3 && status == SCR_OK; t++) {
        r = fixture_record(SCR_RECORD_CANDIDATE);
        r.shape.density = densities[d];
        scr_config_set(&r.config, "TILE_Q", 16 << t);
        r.ns = times[d][t] * 1e3;
        if (times[d][t] < times[d][best])
            best = t;
        status = put(f, &r, old);
    }
    for (int i = 0; i < 4 && status == SCR_OK; i++) {
        r = fixture_record(SCR_RECORD_CANDIDATE);
        r.shape.density = densities[d];
        scr_config_set(&r.config, "TILE_Q", 128);
        scr_config_set(&r.config, "TILE_K", 16 << i);
        r.ns = r.lo = r.hi = r.n = NAN;
        snprintf(r.status, sizeof r.status, "%s", failures[i][0]);
        snprintf(r.reason, sizeof r.reason, "%s", failures[i][1]);
        status = put(f, &r, old);
    }
    r = fixture_record(SCR_RECORD_WINNER);
    r.shape.density = densities[d];
    scr_config_set(&r.config, "TILE_Q", 16 << best);
    scr_config_set(&r.baseline, "TILE_Q", 128);
    r.ns = times[d][best] * 1e3;
    r.gain = 1.62 - 0.31 * d;
    r.gain_lo = r.gain - 0.02;
    r.gain_hi = r.gain + 0.02;
    if (status == SCR_OK)
        status = put(f, &r, old);
    r.config.skip = SCR_SKIP_NONE;
    snprintf(r.config.kernel, sizeof r.config.kernel, "masked-dense");
    r.ns *= 2;
    r.best = false;
    r.regret = NAN;
    return status == SCR_OK ? put(f, &r, old) : status;
}

int main(int argc, char **argv)
{
    struct scr_record_file *f = NULL;
    bool old = argc > 2 && strcmp(argv[2], "old") == 0;
    char why[600] = "usage: make_records FILE [old]";
    int status = argc < 2 ? SCR_ERR_INVALID : scr_record_file_open(argv[1], &f, why, sizeof why);

    if (status != SCR_OK) {
        fprintf(stderr, "make_records: %s\n", why);
        return 2;
    }
    for (int d = 0; d < 3 && status == SCR_OK; d++)
        status = put_shape(f, d, old);
    scr_record_file_close(&f);
    return status == SCR_OK ? 0 : 1;
}
