/* SPDX-License-Identifier: Apache-2.0 */
#include "presets.h"

#include <stddef.h>
#include <string.h>

/* Sizes that fill the device and that float64 can follow: a GPU needs larger ones than a CPU. */
static const struct scr_preset_line quick[] = {
    /* Where does skipping break even: runs of 64 match the tiles, runs of 4 scatter the pairs. */
    {SCR_ON_CPU,
     "workload=planted:0.5x64,planted:0.2x64,planted:0.1x64,planted:0.05x64,planted:0.02x64,"
     "planted:0.01x64 window=inf seq=2048 kernel=masked-dense,tile-skip"},
    {SCR_ON_CPU, "workload=planted:0.2x4,planted:0.05x4,planted:0.01x4,planted:0.001x4 window=inf "
                 "seq=2048 kernel=masked-dense,tile-skip"},
    {SCR_ON_GPU,
     "workload=planted:0.5x64,planted:0.2x64,planted:0.1x64,planted:0.05x64,planted:0.02x64,"
     "planted:0.01x64 window=inf seq=8192 heads=8 dtype=bf16 kernel=masked-dense,tile-skip"},
    {SCR_ON_GPU, "workload=planted:0.2x4,planted:0.05x4,planted:0.01x4,planted:0.001x4 window=inf "
                 "seq=8192 heads=8 dtype=bf16 kernel=masked-dense,tile-skip"},
    /* The same data through smaller and larger tiles: how many of the dead pairs can be skipped. */
    {SCR_ON_CPU, "workload=planted:0.2x64,planted:0.02x64,planted:0.05x4,planted:0.001x4,iid "
                 "window=inf seq=2048 kernel=tile-skip skip=tile tile=16x16,128x128"},
    {SCR_ON_GPU, "workload=planted:0.2x64,planted:0.02x64,planted:0.05x4,planted:0.001x4,iid "
                 "window=inf seq=8192 heads=8 dtype=bf16 kernel=tile-skip skip=tile "
                 "tile=16x16,128x128"},
    /* Every tile on one small problem: which is fastest? */
    {SCR_ON_CPU, "workload=planted:0.1x64 window=inf seq=1024 kernel=tile-skip skip=tile tile=all"},
    {SCR_ON_GPU, "workload=planted:0.1x64 window=inf seq=4096 heads=8 dtype=bf16 kernel=tile-skip "
                 "skip=tile tile=all"},
    /* Length against time, as a model starts out. */
    {SCR_ON_CPU, "workload=iid window=init seq=256:4096:*2 skip=none,tile"},
    {SCR_ON_GPU, "workload=iid window=init seq=256:16384:*2 heads=8 dtype=bf16 skip=none,tile"},
    /* The ends, in the shape of the planted ones: what a kernel costs where nothing is alive; and
       the window alone. */
    {SCR_ON_CPU, "workload=iid,ends:0,ends:1 window=inf seq=2048 kernel=masked-dense,tile-skip"},
    {SCR_ON_CPU, "workload=window seq=2048 kernel=masked-dense,tile-skip"},
    {SCR_ON_GPU, "workload=iid,ends:0,ends:1 window=inf seq=8192 heads=8 dtype=bf16 "
                 "kernel=masked-dense,tile-skip"},
    {SCR_ON_GPU, "workload=window seq=8192 heads=8 dtype=bf16 kernel=masked-dense,tile-skip"},
    {SCR_ON_ANY, NULL}};

static const struct scr_preset_line full[] = {
    {SCR_ON_ANY,
     "workload=planted:0.5x64,planted:0.2x64,planted:0.1x64,planted:0.05x64,planted:0.02x64,"
     "planted:0.01x64,planted:0.5x16,planted:0.2x16,planted:0.1x16,planted:0.05x16,planted:0.02x16,"
     "planted:0.01x16,planted:0.2x4,planted:0.1x4,planted:0.05x4,planted:0.02x4,planted:0.01x4,"
     "planted:0.001x4 window=inf seq=4096 heads=4 head_dim=64 dtype=f32,f16,bf16 "
     "kernel=masked-dense,tile-skip"},
    {SCR_ON_ANY,
     "workload=planted:0.1x64,planted:0.01x64,planted:0.01x4 window=inf seq=4096 heads=4 dk=16 "
     "dv=64 dtype=f32,f16,bf16 kernel=masked-dense,tile-skip"},
    {SCR_ON_ANY,
     "workload=planted:0.05x64 window=inf seq=2048 heads=4 kernel=masked-dense,tile-skip tile=all "
     "skip=tile,slice"},
    {SCR_ON_ANY, "workload=iid window=init,inf seq=256:16384:*2 heads=4 dtype=f32,f16,bf16"},
    {SCR_ON_ANY,
     "workload=iid,ends:0,ends:1,window window=auto seq=4096 heads=4 dtype=f32,f16,bf16 "
     "kernel=masked-dense,tile-skip"},
    {SCR_ON_ANY, NULL}};

/* Small shapes that meet every branch: types, dims, masks, tails, grouped heads, few and no live.
 */
static const struct scr_preset_line check[] = {
    {SCR_ON_ANY, "workload=iid r=1.1 seq=130 dk=16,32,64,128 dv=16,32,64,128 dtype=f32,f16,bf16"},
    {SCR_ON_ANY,
     "workload=iid r=1.1 seq=1,17,64,65,200 causal=0,1 norm=0,1 dtype=f32,f16,bf16 out=same"},
    {SCR_ON_ANY,
     "workload=iid r=1.1 seq=1,37 kv=1,150 q_pos0=auto,0,-5,140 causal=0,1 window=9,inf"},
    {SCR_ON_ANY,
     "workload=iid r=1.1 batch=3 heads=4 kv_heads=1,2,4 seq=100 kv=170 kv_len=full,ragged "
     "causal=0,1 window=init"},
    {SCR_ON_ANY,
     "workload=iid,planted:0.05x16,window,ends:0,ends:1 seq=333 causal=0,1 dtype=f32,f16,bf16"},
    {SCR_ON_ANY, "workload=planted:0.1x16 seq=257 window=0.5,1,1.5,33,1000 causal=0,1"},
    {SCR_ON_ANY,
     "workload=planted:0.05x16,ends:1 seq=200 tile=all causal=0,1 kernel=masked-dense,tile-skip"},
    {SCR_ON_ANY, NULL}};

static const struct scr_preset presets[] = {
    {"quick", "about two minutes on two cores", 0.3, quick},
    {"full", "all types, longer sequences, every tile", 2.0, full},
    {"check", "small shapes of every kind; what --check runs by itself", 0.05, check},
};

const struct scr_preset *scr_preset_find(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    }
    return NULL;
}
