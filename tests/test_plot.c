/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plot.h"

#include <screening/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A device name that would break a script that did not quote it. */
#define DEVICE_NAME "Test_GPU @ 2'GHz {x}^2 `ls`"

struct fixture {
    char dir[64];
    struct scr_plot_summary summary;
    char why[512];
};

static int set_up(void **state)
{
    struct fixture *t = calloc(1, sizeof *t);

    if (t == NULL)
        return -1;
    strcpy(t->dir, "/tmp/scr-plot-XXXXXX");
    *state = t;
    return mkdtemp(t->dir) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {
        "tile_density-cuda_0", "tile_density-ref_0", "pair_density",
        "seq_latency-cuda_0",  "seq_latency-ref_0",  "tile_heat-cuda_0",
        "roofline-cuda_0",     "time_parts-cuda_0",  "trace_heads-cuda_0",
    };
    static const char *const exts[] = {"dat", "gp", "svg", "png"};
    struct fixture *t = *state;
    char path[256];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (size_t e = 0; e < 4; e++) {
            snprintf(path, sizeof path, "%s/plots/%s.%s", t->dir, names[i], exts[e]);
            unlink(path);
        }
    snprintf(path, sizeof path, "%s/plots", t->dir);
    rmdir(path);
    snprintf(path, sizeof path, "%s/rows.jsonl", t->dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/run.json", t->dir);
    unlink(path);
    rmdir(t->dir);
    free(t);
    return 0;
}

static void write_file(const struct fixture *t, const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", t->dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void write_rows(const struct fixture *t, const char *text)
{
    write_file(t, "rows.jsonl", text);
}

/* One row; `extra` comes last and so replaces what stands before it. */
static char *add_row(char *at, const char *extra)
{
    return at +
           sprintf(
               at,
               "{\"status\":\"ok\",\"device\":\"cuda:0\",\"device_name\":\"" DEVICE_NAME
               "\",\"kernel\":\"tile-skip\",\"dtype\":\"f16\",\"batch\":1,\"heads\":8,"
               "\"kv_heads\":8,\"seq_q\":1024,\"seq_k\":1024,\"dk\":64,\"dv\":64,"
               "\"causal\":true,\"tile_q\":64,\"tile_k\":64,\"skip\":\"tile\",\"r\":16,"
               "\"window\":\"inf\",\"workload\":\"planted:0.1x64\",\"t_median_ns\":2000,"
               "\"t_ci_lo_ns\":1900,\"t_ci_hi_ns\":2100,\"n_samples\":20,\"pairs_admissible\":1000,"
               "\"pairs_live\":100,\"tiles_admissible\":100,\"tiles_live\":20,"
               "\"speedup_vs_masked\":2.5,\"speedup_vs_masked_lo\":2.4,"
               "\"speedup_vs_masked_hi\":2.6,\"rel_err\":1e-4%s}\n",
               extra);
}

/* The text of plots/NAME.EXT, to be freed; NULL if there is no such file. */
static char *read_plot(const struct fixture *t, const char *name_ext)
{
    char path[256];
    char *text = NULL;
    size_t size = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/plots/%s", t->dir, name_ext);
    f = fopen(path, "r");
    if (f == NULL)
        return NULL;
    if (getdelim(&text, &size, '\0', f) < 0) {
        free(text);
        text = NULL;
    }
    fclose(f);
    return text;
}

static void assert_plot_has(const struct fixture *t, const char *name_ext, const char *wanted)
{
    char *text = read_plot(t, name_ext);

    assert_non_null(text);
    if (strstr(text, wanted) == NULL)
        fail_msg("%s has no '%s':\n%s", name_ext, wanted, text);
    free(text);
}

static void assert_plot_lacks(const struct fixture *t, const char *name_ext, const char *unwanted)
{
    char *text = read_plot(t, name_ext);

    assert_non_null(text);
    if (strstr(text, unwanted) != NULL)
        fail_msg("%s has '%s':\n%s", name_ext, unwanted, text);
    free(text);
}

/* Data and scripts do not need gnuplot. */
static void plot_data(struct fixture *t)
{
    int status = scr_plot_dir(t->dir, &t->summary, t->why, sizeof t->why);

    if (status != SCR_OK && status != SCR_ERR_NOT_FOUND)
        fail_msg("%d: %s", status, t->why);
}

static void test_writes_all(void **state)
{
    struct fixture *t = *state;
    char rows[4096], *at = rows;
    int status;

    at = add_row(at, "");
    at = add_row(at, ",\"workload\":\"ends:0\",\"tiles_live\":0,\"pairs_live\":0");
    at = add_row(at, ",\"device\":\"ref:0\",\"t_ci_lo_ns\":null,\"t_ci_hi_ns\":null");
    at = add_row(at, ",\"device\":\"ref:0\",\"seq_q\":512,\"seq_k\":512");
    write_rows(t, rows);
    status = scr_plot_dir(t->dir, &t->summary, t->why, sizeof t->why);
    assert_int_equal(t->summary.n_drawn, 4);
    assert_int_equal(t->summary.n_left_out, 9);
    assert_string_equal(t->summary.left_out[0],
                        "seq_latency-cuda_0: needs times of at least two sequence lengths of one "
                        "shape");
    assert_string_equal(t->summary.drawn[0], "tile_density-cuda_0");
    assert_plot_has(t, "tile_density-cuda_0.dat",
                    "# planted, runs of 64, skip=tile\n"
                    "# tile_density\tspeedup_vs_masked\tlo\thi\tpair_density\tt_median_ns\ttile\t"
                    "doubts\tworkload\n"
                    "0.2\t2.5\t2.4\t2.6\t0.1\t2000\t64x64\t-\tplanted:0.1x64\n");
    assert_plot_has(t, "tile_density-cuda_0.dat", "\n0\t2.5\t");
    assert_plot_has(t, "seq_latency-ref_0.dat",
                    "\n1024\t2\t2\t2\t64x64\twide-interval\tplanted:0.1x64\n");
    if (status == SCR_ERR_NOT_FOUND) {
        print_message("gnuplot is not installed\n");
        skip();
    }
    if (status != SCR_OK)
        fail_msg("%d: %s", status, t->why);
    assert_plot_has(t, "tile_density-cuda_0.svg", "GHz {x}^2 `ls` (cuda:0)");
    for (int i = 0; i < t->summary.n_drawn; i++) {
        char path[256];
        struct stat st;

        snprintf(path, sizeof path, "%s/plots/%s.png", t->dir, t->summary.drawn[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_true(st.st_size > 1000);
    }
}

static void test_draws_like_with_like(void **state)
{
    struct fixture *t = *state;
    char rows[8192], *at = rows;

    at = add_row(at, "");
    at = add_row(at, ",\"workload\":\"planted:0.2x64\"");
    /* the same configuration with other tiles: one slower, one faster */
    at = add_row(at, ",\"speedup_vs_masked\":1.5,\"tile_q\":16");
    at = add_row(at, ",\"speedup_vs_masked\":3.5,\"tile_q\":32");
    at = add_row(at, ",\"dtype\":\"f32\",\"speedup_vs_masked\":7.5");
    at = add_row(at, ",\"status\":\"wrong\",\"speedup_vs_masked\":8.5");
    at = add_row(at, ",\"speedup_vs_masked\":null");
    at = add_row(at, ",\"tiles_live\":101,\"speedup_vs_masked\":9.5");
    at = add_row(at, ",\"workload\":\"trace:data/some.safetensors\",\"dk\":16");
    write_rows(t, rows);
    plot_data(t);
    assert_plot_has(t, "tile_density-cuda_0.dat", "\n0.2\t3.5\t");
    assert_plot_has(t, "tile_density-cuda_0.dat", "# trace some, w inf, skip=tile\n");
    assert_plot_lacks(t, "tile_density-cuda_0.dat", "\t1.5\t");
    assert_plot_lacks(t, "tile_density-cuda_0.dat", "\t7.5\t");
    assert_plot_lacks(t, "tile_density-cuda_0.dat", "\t8.5\t");
    assert_plot_lacks(t, "tile_density-cuda_0.dat", "\t9.5\t");
    assert_plot_has(t, "tile_density-cuda_0.gp", "subtitle2 = 'f16, dk 64");
    /* tile density by tile: all sizes stay */
    assert_plot_has(t, "pair_density.dat", "# tile 16x64, planted, runs of 64\n");
    assert_plot_has(t, "pair_density.dat", "# tile 32x64, planted, runs of 64\n");
}

static void test_torn_and_malformed_lines(void **state)
{
    struct fixture *t = *state;
    char rows[4096], *at = rows;

    at = add_row(at, "");
    strcpy(at, "\n{\"status\":\"ok\",\"dev");
    write_rows(t, rows);
    plot_data(t);
    assert_int_equal(t->summary.n_drawn, 2);

    strcat(at, "\n");
    write_rows(t, rows);
    assert_int_equal(scr_plot_dir(t->dir, &t->summary, t->why, sizeof t->why), SCR_ERR_INVALID);
    assert_non_null(strstr(t->why, "rows.jsonl:3:"));

    strcpy(at, "[1]\n");
    write_rows(t, rows);
    assert_int_equal(scr_plot_dir(t->dir, &t->summary, t->why, sizeof t->why), SCR_ERR_INVALID);
    assert_non_null(strstr(t->why, "rows.jsonl:2: not a row"));
}

static void test_nothing_to_draw(void **state)
{
    struct fixture *t = *state;

    assert_int_equal(scr_plot_dir(t->dir, NULL, t->why, sizeof t->why), SCR_ERR_INVALID);
    assert_non_null(strstr(t->why, "rows.jsonl"));
    write_rows(t, "");
    assert_int_equal(scr_plot_dir(t->dir, &t->summary, t->why, sizeof t->why), SCR_OK);
    assert_int_equal(t->summary.n_drawn, 0);
    assert_int_equal(t->summary.n_left_out, 7);
    assert_string_equal(t->summary.left_out[3],
                        "tile_heat-unknown: needs three rows that differ in tile alone, as of "
                        "-a tile=all");
}

static void test_without_gnuplot(void **state)
{
    struct fixture *t = *state;
    const char *path = getenv("PATH");
    char *saved = strdup(path != NULL ? path : "");
    char rows[2048];
    int status;

    assert_non_null(saved);
    add_row(rows, "");
    write_rows(t, rows);
    setenv("PATH", t->dir, 1);
    status = scr_plot_dir(t->dir, &t->summary, t->why, sizeof t->why);
    setenv("PATH", saved, 1);
    free(saved);
    assert_int_equal(status, SCR_ERR_NOT_FOUND);
    assert_non_null(strstr(t->why, "gnuplot is not installed"));
    assert_int_equal(t->summary.n_drawn, 2);
    assert_plot_has(t, "tile_density-cuda_0.gp", "name = 'tile_density-cuda_0'\n");
}

/* Draws, and passes on what gnuplot says of the scripts where it is installed. */
static void plot_all(struct fixture *t)
{
    int status = scr_plot_dir(t->dir, &t->summary, t->why, sizeof t->why);

    if (status != SCR_OK && status != SCR_ERR_NOT_FOUND)
        fail_msg("%d: %s", status, t->why);
}

static void test_doubtful_points_say_so(void **state)
{
    struct fixture *t = *state;
    char rows[8192], *at = rows;

    at = add_row(at, ",\"flags\":\"events-missing\"");
    at = add_row(at, ",\"workload\":\"planted:0.2x64\",\"flags\":\"events-missing,throttled\"");
    at = add_row(at, ",\"workload\":\"planted:0.3x64\",\"flags\":\"apart\",\"rel_err\":null");
    write_rows(t, rows);
    plot_all(t);
    assert_plot_has(t, "tile_density-cuda_0.dat", "\t-\tplanted:0.1x64\n");
    assert_plot_has(t, "tile_density-cuda_0.dat", "\tthrottled\tplanted:0.2x64\n");
    assert_plot_has(t, "tile_density-cuda_0.dat", "\tapart,unverified\tplanted:0.3x64\n");
    assert_plot_has(t, "tile_density-cuda_0.gp", "care: throttled, apart, unverified.");
    /* An interval without the other end is none. */
    assert_plot_lacks(t, "tile_density-cuda_0.dat", "nan");
}

static void test_warm_and_cold_do_not_mix(void **state)
{
    struct fixture *t = *state;
    char rows[8192], *at = rows;

    at = add_row(at, ",\"cache\":\"cold\"");
    at = add_row(at, ",\"cache\":\"cold\",\"workload\":\"planted:0.2x64\"");
    at = add_row(at, ",\"cache\":\"warm\",\"speedup_vs_masked\":9.5");
    write_rows(t, rows);
    plot_data(t);
    assert_plot_lacks(t, "tile_density-cuda_0.dat", "\t9.5\t");
    assert_plot_has(t, "tile_density-cuda_0.gp", ", cold cache'");
}

static void test_peers_are_lines_of_their_own(void **state)
{
    struct fixture *t = *state;
    char rows[8192], *at = rows;

    at = add_row(at, "");
    at = add_row(at,
                 ",\"peer\":\"torch\",\"op\":\"softmax\",\"kernel\":\"sdpa-flash\",\"skip\":\"\","
                 "\"dtype_out\":\"f16\",\"tile_q\":null,\"t_median_ns\":700,\"t_ci_lo_ns\":690,"
                 "\"t_ci_hi_ns\":710");
    /* A peer may call its kernel as we do. */
    at = add_row(at, ",\"peer\":\"torch\",\"speedup_vs_masked\":7.5,\"t_median_ns\":100");
    at = add_row(at, ",\"seq_q\":2048,\"seq_k\":2048");
    write_rows(t, rows);
    plot_all(t);
    assert_plot_has(t, "seq_latency-cuda_0.dat", "# sdpa-flash (softmax)\n");
    assert_plot_has(t, "seq_latency-cuda_0.dat", "# tile-skip (torch)\n");
    assert_plot_has(t, "seq_latency-cuda_0.dat", "# tile-skip, skip=tile\n");
    assert_plot_has(t, "seq_latency-cuda_0.gp", "softmax: another operator.");
    assert_plot_lacks(t, "tile_density-cuda_0.dat", "\t7.5\t");
}

static void test_masked_dense_with_its_best_tile(void **state)
{
    struct fixture *t = *state;
    char rows[16384], *at = rows;

    at = add_row(at, ",\"t_masked_ns\":5000,\"flags\":\"throttled\"");
    at = add_row(at, ",\"skip\":\"slice\",\"t_masked_ns\":7000");
    at = add_row(at, ",\"skip\":\"none\",\"t_masked_ns\":5500");
    at = add_row(at, ",\"kernel\":\"masked-dense\",\"skip\":\"none\",\"t_median_ns\":9000");
    /* Of other data, warm, or of a peer: not the same. */
    at = add_row(at, ",\"workload\":\"iid\",\"t_masked_ns\":1000");
    at = add_row(at, ",\"cache\":\"warm\",\"t_masked_ns\":1000");
    at = add_row(at, ",\"seq_q\":2048,\"seq_k\":2048,\"t_masked_ns\":20000");
    /* Without a comparison the row itself is what there is. */
    at = add_row(at, ",\"kernel\":\"masked-dense\",\"skip\":\"none\",\"seq_q\":4096,"
                     "\"seq_k\":4096,\"t_median_ns\":90000");
    write_rows(t, rows);
    plot_all(t);
    assert_plot_has(t, "seq_latency-cuda_0.dat",
                    "# masked-dense, tuned\n# seq_k\tt_median_us\tlo\thi\ttile\tdoubts\t"
                    "workload\n1024\t5.5\t5.5\t5.5\tbest\t-\tplanted:0.1x64\n2048\t20\t");
    assert_plot_has(t, "seq_latency-cuda_0.dat", "\n4096\t90\t");
    assert_plot_lacks(t, "seq_latency-cuda_0.dat", "\n1024\t9\t");
}

static void test_windows_stand_apart(void **state)
{
    struct fixture *t = *state;
    char rows[16384], *at = rows;

    at = add_row(at, "");
    at = add_row(at, ",\"workload\":\"planted:0.2x64\",\"window\":\"128\"");
    at = add_row(at, ",\"workload\":\"trace:a.safetensors\",\"window\":\"own\"");
    at = add_row(at, ",\"workload\":\"trace:a.safetensors\",\"trace_head\":0,\"window\":\"9\","
                     "\"heads\":1");
    at = add_row(at, ",\"workload\":\"trace:a.safetensors\",\"trace_head\":1,\"window\":\"7\","
                     "\"heads\":1");
    write_rows(t, rows);
    plot_all(t);
    /* The heads of a trace are not its layer. */
    assert_plot_has(t, "tile_density-cuda_0.gp",
                    "n_colours = 3\narray colour_title[3] = ['planted, runs of 64', 'trace a', "
                    "'trace a, heads']");
    assert_plot_has(t, "tile_density-cuda_0.gp", "n_joined_colours = 1\n");
    assert_plot_has(t, "tile_density-cuda_0.gp", "series_joined[1] = 1\n");
    assert_plot_has(t, "tile_density-cuda_0.gp", "series_joined[3] = 0\n");
    assert_plot_has(t, "tile_density-cuda_0.gp", "; traces: their own'");
    assert_plot_has(t, "tile_density-cuda_0.gp", "Not joined: with a window");
    assert_plot_has(t, "pair_density.gp", "series_joined[4] = 0\n");
}

static void test_says_what_is_left_out(void **state)
{
    struct fixture *t = *state;
    char rows[16384], extra[80], *at = rows;

    for (int q = 0; q < 4; q++)
        for (int k = 0; k < 4; k++) {
            snprintf(extra, sizeof extra, ",\"tile_q\":%d,\"tile_k\":%d", 16 << q, 16 << k);
            at = add_row(at, extra);
        }
    write_rows(t, rows);
    plot_all(t);
    assert_plot_has(t, "pair_density.gp", "8 of 16 tiles shown.");
}

static void test_tiles_make_a_map(void **state)
{
    struct fixture *t = *state;
    char rows[16384], *at = rows;

    at = add_row(at, ",\"t_median_ns\":3000,\"tile_q\":16");
    at = add_row(at, ",\"t_median_ns\":2500,\"tile_q\":32");
    at = add_row(at, "");
    /* The same tile with other parameters: the fastest counts. */
    at = add_row(at, ",\"params\":\"TILE_Q=64 WG=8\",\"t_median_ns\":1950");
    at = add_row(at, ",\"tile_k\":32,\"seq_q\":512,\"seq_k\":512");
    /* Sizes that are no powers of two have a place, too. */
    at = add_row(at, ",\"t_median_ns\":2200,\"tile_q\":192");
    at = add_row(at, ",\"t_median_ns\":2300,\"tile_q\":256");
    write_rows(t, rows);
    plot_all(t);
    assert_plot_has(t, "tile_heat-cuda_0.svg", ">192<");
    assert_plot_has(t, "tile_heat-cuda_0.svg", ">256<");
    assert_plot_has(t, "tile_heat-cuda_0.dat", "\n64\t64\t1.95\t");
    assert_plot_has(t, "tile_heat-cuda_0.dat", "\n16\t64\t3\t");
    assert_plot_lacks(t, "tile_heat-cuda_0.dat", "\n64\t64\t2\t");
    assert_plot_lacks(t, "tile_heat-cuda_0.dat", "\n64\t32\t");
}

static void test_traces_alone_have_shapes_of_their_own(void **state)
{
    struct fixture *t = *state;
    char rows[8192], *at = rows;

    at = add_row(at, ",\"workload\":\"trace:a.safetensors\",\"window\":\"own\"");
    at = add_row(at, ",\"workload\":\"trace:b.safetensors\",\"window\":\"own\",\"dk\":16");
    write_rows(t, rows);
    plot_data(t);
    assert_plot_has(t, "tile_density-cuda_0.gp", "; the other series: their own'");
}

static void test_roofline_needs_ceilings(void **state)
{
    static const char flop[] =
        ",\"flop\":2e6,\"bytes\":1e4,\"flop_per_s\":1e12,\"pct_roofline\":50,\"bound\":\"compute\"";
    struct fixture *t = *state;
    char rows[4096];

    add_row(rows, flop);
    write_rows(t, rows);
    plot_data(t);
    assert_null(read_plot(t, "roofline-cuda_0.gp"));
    write_file(t, "run.json",
               "{\"peaks\":{\"cuda:0\":{\"f16_flop_per_s\":null,\"bandwidth_bytes_per_s\":null}}}");
    plot_data(t);
    assert_null(read_plot(t, "roofline-cuda_0.gp"));
    write_file(t, "run.json",
               "{\"peaks\":{\"cuda:0\":{\"f32_flop_per_s\":1e12,"
               "\"f16_flop_per_s\":2e12,\"bandwidth_bytes_per_s\":null}}}");
    plot_all(t);
    assert_plot_has(t, "roofline-cuda_0.gp", "peak_flop = 2e+12; peak_bytes = 0 ");
    assert_plot_has(t, "roofline-cuda_0.dat", "\n200\t1e+12\t9.52381e+11\t1.05263e+12\t50\t");
}

static void test_parts_of_the_time(void **state)
{
    struct fixture *t = *state;
    char rows[16384], *at = rows;

    at = add_row(at, ",\"t_floor_ns\":100");
    at = add_row(at, ",\"t_floor_ns\":100,\"workload\":\"planted:0.2x64\",\"tiles_live\":40,"
                     "\"t_median_ns\":2400");
    write_rows(t, rows);
    plot_data(t);
    assert_null(read_plot(t, "time_parts-cuda_0.dat"));
    /* Of another tile, warm, or without its floor: not the same program. */
    at = add_row(at, ",\"t_floor_ns\":100,\"workload\":\"ends:0\",\"tiles_live\":0,\"tile_q\":32");
    at = add_row(at, ",\"t_floor_ns\":100,\"workload\":\"ends:0\",\"tiles_live\":0,"
                     "\"cache\":\"warm\"");
    write_rows(t, rows);
    plot_data(t);
    assert_null(read_plot(t, "time_parts-cuda_0.dat"));
    at = add_row(at, ",\"t_floor_ns\":100,\"workload\":\"ends:0\",\"tiles_live\":0,"
                     "\"t_median_ns\":1500");
    write_rows(t, rows);
    plot_all(t);
    assert_plot_has(t, "time_parts-cuda_0.dat", "\n0.2\t2\t1.9\t2.1\t0.1\t1.4\t0.5\t-\t");
    assert_plot_has(t, "time_parts-cuda_0.dat", "\n0.4\t2.4\t1.9\t2.4\t0.1\t1.4\t0.9\t-\t");
    /* Other families of workloads stand in one picture with these. */
    at = add_row(at, ",\"t_floor_ns\":100,\"workload\":\"iid\",\"tiles_live\":60,"
                     "\"t_median_ns\":2500,\"r\":2");
    write_rows(t, rows);
    plot_all(t);
    assert_plot_has(t, "time_parts-cuda_0.dat", "\n0.6\t2.5\t");
    assert_plot_has(t, "time_parts-cuda_0.dat", "\n0.4\t2.4\t");
}

static void test_heads_of_a_trace(void **state)
{
    struct fixture *t = *state;
    char rows[16384], *at = rows;

    at = add_row(at, ",\"workload\":\"trace:a.safetensors\",\"trace_head\":0,\"window\":\"9\"");
    at = add_row(at, ",\"workload\":\"trace:a.safetensors\",\"trace_head\":1,\"window\":\"inf\"");
    at = add_row(at, ",\"workload\":\"trace:a.safetensors\",\"trace_head\":2,\"window\":\"own\"");
    at = add_row(at, ",\"workload\":\"trace:a.safetensors\",\"window\":\"auto\"");
    write_rows(t, rows);
    plot_all(t);
    assert_plot_has(t, "trace_heads-cuda_0.dat", "\n0.2\t2\t1.9\t2.1\t9\t0.1\t0\t64x64\t-\t");
    assert_plot_has(t, "trace_heads-cuda_0.dat", "\tinf\t0.1\t1\t");
    assert_plot_has(t, "trace_heads-cuda_0.dat", "\tnan\t0.1\t2\t");
    /* Without any window there is one panel. */
    at = rows;
    at = add_row(at, ",\"workload\":\"trace:a.safetensors\",\"trace_head\":0,\"window\":\"own\"");
    at = add_row(at, ",\"workload\":\"trace:a.safetensors\",\"trace_head\":1,\"window\":\"own\"");
    write_rows(t, rows);
    plot_all(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_writes_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_draws_like_with_like, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_torn_and_malformed_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_to_draw, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_gnuplot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_doubtful_points_say_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_warm_and_cold_do_not_mix, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_peers_are_lines_of_their_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_masked_dense_with_its_best_tile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_windows_stand_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_says_what_is_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tiles_make_a_map, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_traces_alone_have_shapes_of_their_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_roofline_needs_ceilings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_of_the_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_heads_of_a_trace, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
