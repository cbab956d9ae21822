/* SPDX-License-Identifier: Apache-2.0 */
#include "presets.h"

#include "text.h"

#include <string.h>

/* Sizes that fill the device and that float64 can follow: a GPU needs larger ones than a CPU. */
static const struct scr_preset_line quick[] = {
    /* Where does skipping break even: runs of 64 match the tiles, runs of 4 scatter the pairs. */
    {.on = SCR_ON_CPU,
     .axes =
         "workload=planted:0.5x64,planted:0.2x64,planted:0.1x64,planted:0.05x64,planted:0.02x64,"
         "planted:0.01x64 window=inf seq=2048 kernel=masked-dense,tile-skip"},
    {.on = SCR_ON_CPU,
     .axes = "workload=planted:0.2x4,planted:0.05x4,planted:0.01x4,planted:0.001x4 window=inf "
             "seq=2048 kernel=masked-dense,tile-skip"},
    {.on = SCR_ON_GPU,
     .axes =
         "workload=planted:0.5x64,planted:0.2x64,planted:0.1x64,planted:0.05x64,planted:0.02x64,"
         "planted:0.01x64 window=inf seq=8192 heads=8 dtype=bf16 kernel=masked-dense,tile-skip"},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.2x4,planted:0.05x4,planted:0.01x4,planted:0.001x4 window=inf "
             "seq=8192 heads=8 dtype=bf16 kernel=masked-dense,tile-skip"},
    /* The same data through smaller and larger tiles: how many of the dead pairs can be skipped. */
    {.on = SCR_ON_CPU,
     .axes = "workload=planted:0.2x64,planted:0.02x64,planted:0.05x4,planted:0.001x4,iid "
             "window=inf seq=2048 kernel=tile-skip skip=tile tile=16x16,128x128"},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.2x64,planted:0.02x64,planted:0.05x4,planted:0.001x4,iid "
             "window=inf seq=8192 heads=8 dtype=bf16 kernel=tile-skip skip=tile "
             "tile=16x16,128x128"},
    /* Every tile on one small problem: which is fastest? */
    {.on = SCR_ON_CPU,
     .axes = "workload=planted:0.1x64 window=inf seq=1024 kernel=tile-skip skip=tile tile=all"},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.1x64 window=inf seq=4096 heads=8 dtype=bf16 kernel=tile-skip "
             "skip=tile tile=all"},
    /* Length against time, as a model starts out. */
    {.on = SCR_ON_CPU, .axes = "workload=iid window=init seq=256:4096:*2 skip=none,tile"},
    {.on = SCR_ON_GPU,
     .axes = "workload=iid window=init seq=256:16384:*2 heads=8 dtype=bf16 skip=none,tile"},
    /* The ends, in the shape of the planted ones: what a kernel costs where nothing is alive; and
       the window alone. */
    {.on = SCR_ON_CPU,
     .axes = "workload=iid,ends:0,ends:1 window=inf seq=2048 kernel=masked-dense,tile-skip"},
    {.on = SCR_ON_CPU, .axes = "workload=window seq=2048 kernel=masked-dense,tile-skip"},
    {.on = SCR_ON_GPU,
     .axes = "workload=iid,ends:0,ends:1 window=inf seq=8192 heads=8 dtype=bf16 "
             "kernel=masked-dense,tile-skip"},
    {.on = SCR_ON_GPU,
     .axes = "workload=window seq=8192 heads=8 dtype=bf16 kernel=masked-dense,tile-skip"},
    {.axes = NULL}};

/*
 * What is published of a device. A question a line, on data of its own, and no row that answers
 * none. The lengths of a CPU end where one run of masked-dense takes seconds; with the window off a
 * GPU has one head at the longest, as float64 goes over every pair. Peers run where length or dims
 * are the question: what they take does not depend on which pairs are alive.
 */
static const struct scr_preset_line full[] = {
    /* The ladder by length, at 5 % of the pairs. The matrix of dense grows with the square. */
    {.on = SCR_ON_CPU,
     .axes = "workload=planted:0.05x64 window=inf seq=512:16384:*2 kernel=masked-dense,tile-skip"},
    {.on = SCR_ON_CPU, .axes = "workload=planted:0.05x64 window=inf seq=512:8192:*2 kernel=dense"},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.05x64 window=inf seq=512:16384:*2 heads=8 dtype=bf16"},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.05x64 window=inf seq=131072 heads=1 dtype=bf16 "
             "kernel=masked-dense,tile-skip skip=tile,slice"},
    /* By length as a model starts out. */
    {.on = SCR_ON_CPU,
     .axes =
         "workload=iid window=init seq=512:16384:*2 kernel=masked-dense,tile-skip skip=tile,slice"},
    {.on = SCR_ON_GPU,
     .axes = "workload=iid window=init seq=512:131072:*2 heads=8 dtype=bf16 "
             "kernel=masked-dense,tile-skip skip=tile,slice"},
    /* How many pairs are alive by chance, by threshold; eight heads have eight windows. */
    {.on = SCR_ON_CPU,
     .axes =
         "workload=iid window=init r=1.2,1.5,2 seq=128:2048:*4 heads=8 kernel=tile-skip skip=tile",
     .no_peers = true},
    {.on = SCR_ON_CPU,
     .axes = "workload=iid window=init r=1.2,1.5,2 seq=2048 heads=8 dk=16 dv=64 kernel=tile-skip "
             "skip=tile",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes = "workload=iid window=init r=1.2,1.5,2 seq=128:2048:*4,32768 heads=8 dtype=bf16 "
             "kernel=tile-skip skip=tile",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes = "workload=iid window=init r=1.2,1.5,2 seq=2048,32768 heads=8 dk=16 dv=64 dtype=bf16 "
             "kernel=tile-skip skip=tile",
     .no_peers = true},
    /* Where does skipping break even? Runs of 64 match the tiles, runs of 4 scatter the pairs. */
    {.on = SCR_ON_CPU,
     .axes =
         "workload=planted:0.5x64,planted:0.2x64,planted:0.1x64,planted:0.05x64,planted:0.02x64,"
         "planted:0.01x64,planted:0.5x16,planted:0.2x16,planted:0.1x16,planted:0.05x16,"
         "planted:0.02x16,planted:0.01x16,planted:0.5x4,planted:0.2x4,planted:0.1x4,planted:0.05x4,"
         "planted:0.02x4,planted:0.01x4,ends:0,ends:1 window=inf seq=4096 "
         "kernel=tile-skip skip=tile,slice",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes =
         "workload=planted:0.5x64,planted:0.2x64,planted:0.1x64,planted:0.05x64,planted:0.02x64,"
         "planted:0.01x64,planted:0.5x16,planted:0.2x16,planted:0.1x16,planted:0.05x16,"
         "planted:0.02x16,planted:0.01x16,planted:0.5x4,planted:0.2x4,planted:0.1x4,planted:0.05x4,"
         "planted:0.02x4,planted:0.01x4,ends:0,ends:1 window=inf seq=8192 "
         "heads=8 dtype=bf16 kernel=tile-skip skip=tile,slice",
     .no_peers = true},
    /* The same in the dims of the paper, and in large ones. */
    {.on = SCR_ON_CPU,
     .axes =
         "workload=planted:0.2x64,planted:0.05x64,planted:0.01x64,planted:0.05x16,ends:0,ends:1 "
         "window=inf seq=4096 dk=16 dv=64 kernel=tile-skip skip=tile,slice",
     .no_peers = true},
    {.on = SCR_ON_CPU,
     .axes =
         "workload=planted:0.2x64,planted:0.05x64,planted:0.01x64,planted:0.05x16,ends:0,ends:1 "
         "window=inf seq=4096 head_dim=128 kernel=tile-skip skip=tile,slice",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes =
         "workload=planted:0.2x64,planted:0.05x64,planted:0.01x64,planted:0.05x16,ends:0,ends:1 "
         "window=inf seq=8192 heads=8 dk=16 dv=64 dtype=bf16 kernel=tile-skip skip=tile,slice",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.2x64,planted:0.05x64,planted:0.01x64,ends:0,ends:1 "
             "window=inf seq=8192 heads=8 head_dim=128 dtype=bf16 kernel=tile-skip skip=tile,slice",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.05x64 window=inf seq=8192 heads=8 dk=16 dv=64 dtype=bf16 "
             "kernel=masked-dense,tile-skip"},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.05x64 window=inf seq=8192 heads=8 head_dim=128 dtype=bf16 "
             "kernel=masked-dense,tile-skip"},
    /* The other types. */
    {.on = SCR_ON_CPU,
     .axes = "workload=planted:0.05x64,ends:1 window=inf seq=4096 dtype=f16,bf16 kernel=tile-skip "
             "skip=tile,slice",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.2x64,planted:0.05x64,planted:0.01x64,ends:1 window=inf seq=8192 "
             "heads=8 dtype=f16 kernel=tile-skip skip=tile,slice",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes =
         "workload=planted:0.05x64,ends:1 window=inf seq=4096 heads=8 dtype=f32 kernel=tile-skip "
         "skip=tile,slice",
     .no_peers = true},
    /* A window over such data, over no structure at all, and alone; of another length than above,
     * whose picture is of density alone. */
    {.on = SCR_ON_CPU,
     .axes =
         "workload=planted:0.05x64 window=256,init seq=2048 kernel=tile-skip skip=none,tile,slice",
     .no_peers = true},
    {.on = SCR_ON_CPU,
     .axes = "workload=iid window=256,inf seq=2048 kernel=tile-skip skip=none,tile,slice",
     .no_peers = true},
    {.on = SCR_ON_CPU,
     .axes = "workload=window window=256 seq=2048 kernel=tile-skip skip=none,tile,slice",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes =
         "workload=planted:0.05x64 window=256,init seq=4096 heads=8 dtype=bf16 kernel=tile-skip "
         "skip=none,tile,slice",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes = "workload=iid window=256,inf seq=4096 heads=8 dtype=bf16 kernel=tile-skip "
             "skip=none,tile,slice",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes = "workload=window window=256 seq=4096 heads=8 dtype=bf16 kernel=tile-skip "
             "skip=none,tile,slice",
     .no_peers = true},
    /* Smaller and larger tiles: how many dead pairs can be skipped, and which is fastest? */
    {.on = SCR_ON_CPU,
     .axes = "workload=planted:0.2x64,planted:0.02x64,planted:0.05x16,planted:0.05x4 window=inf "
             "seq=4096 kernel=tile-skip skip=tile tile=16x16,128x128",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.2x64,planted:0.02x64,planted:0.05x16,planted:0.05x4 window=inf "
             "seq=8192 heads=8 dtype=bf16 kernel=tile-skip skip=tile tile=16x16,128x128",
     .no_peers = true},
    {.on = SCR_ON_CPU,
     .axes = "workload=planted:0.1x64 window=inf seq=2048 kernel=tile-skip skip=tile tile=all",
     .no_peers = true},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.1x64 window=inf seq=8192 heads=8 dtype=bf16 kernel=tile-skip "
             "skip=tile tile=all",
     .no_peers = true},
    {.axes = NULL}};

/*
 * Layers as two small trained models have them: many short windows and a few long ones; inside them
 * a quarter of the pairs alive where the dims are small, a fortieth, scattered, where they are
 * large; by 16 x 16 tiles about as many as in theirs.
 */
static const struct scr_preset_line trained[] = {
    {.on = SCR_ON_CPU,
     .axes = "workload=planted:0.25x8 window=trained seq=4096 heads=8 dk=16 dv=64 "
             "kernel=masked-dense,tile-skip"},
    {.on = SCR_ON_CPU,
     .axes = "workload=planted:0.024x4 window=trained seq=4096 heads=8 "
             "kernel=masked-dense,tile-skip"},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.25x8 window=trained seq=8192 heads=16 dk=16 dv=64 dtype=f16 "
             "kernel=masked-dense,tile-skip"},
    {.on = SCR_ON_GPU,
     .axes = "workload=planted:0.024x4 window=trained seq=8192 heads=16 dtype=f16 "
             "kernel=masked-dense,tile-skip"},
    {.axes = NULL}};

/* Recorded layers, as the user names them: each with the ladder, then head by head. A CPU takes
 * minutes for dense on a whole layer. */
static const struct scr_preset_line traces[] = {
    {.on = SCR_ON_CPU, .axes = "trace_head=all kernel=masked-dense,tile-skip"},
    {.on = SCR_ON_CPU, .axes = "trace_head=each kernel=tile-skip", .no_peers = true},
    {.on = SCR_ON_GPU, .axes = "trace_head=all dtype=f16"},
    {.on = SCR_ON_GPU, .axes = "trace_head=each dtype=f16 kernel=tile-skip", .no_peers = true},
    {.axes = NULL}};

/* Small shapes that meet every branch: types, dims, masks, tails, grouped heads, few and no live.
 */
static const struct scr_preset_line check[] = {
    {.axes = "workload=iid r=1.1 seq=130 dk=16,32,64,128 dv=16,32,64,128 dtype=f32,f16,bf16"},
    {.axes =
         "workload=iid r=1.1 seq=1,17,64,65,200 causal=0,1 norm=0,1 dtype=f32,f16,bf16 out=same"},
    {.axes = "workload=iid r=1.1 seq=1,37 kv=1,150 q_pos0=auto,0,-5,140 causal=0,1 window=9,inf"},
    {.axes = "workload=iid r=1.1 batch=3 heads=4 kv_heads=1,2,4 seq=100 kv=170 kv_len=full,ragged "
             "causal=0,1 window=init"},
    {.axes =
         "workload=iid,planted:0.05x16,window,ends:0,ends:1 seq=333 causal=0,1 dtype=f32,f16,bf16"},
    {.axes = "workload=planted:0.1x16 seq=257 window=0.5,1,1.5,33,1000 causal=0,1"},
    {.axes = "workload=planted:0.05x16,ends:1 seq=200 tile=all causal=0,1 "
             "kernel=masked-dense,tile-skip"},
    {.axes = NULL}};

static const struct scr_preset presets[] = {
    {"quick", 0.3, quick, false},  {"full", 0.5, full, false},    {"trained", 0.5, trained, false},
    {"traces", 0.5, traces, true}, {"check", 0.05, check, false},
};
enum { N_PRESETS = sizeof presets / sizeof presets[0] };

const struct scr_preset *scr_preset_find(const char *name)
{
    for (size_t i = 0; i < N_PRESETS; i++) {
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    }
    return NULL;
}

void scr_preset_names(char *out, size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < N_PRESETS; i++)
        scr_append(out, size, "%s%s", i > 0 ? ", " : "", presets[i].name);
}
