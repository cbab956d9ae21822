/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * masked-dense and tile-skip on Hopper's warpgroup products and bulk tensor copies, f16 and bf16:
 * the operator of kernels/README.md in one pass, nothing stored. The including file sets ENTRY, and
 * MASKED_DENSE to 1 for the former.
 *
 * A block owns TILE_Q query rows of one head. Warpgroups of four warps own 64 of them each, with
 * their q fragments and their part of o in registers; KEY_GROUPS warpgroups share the same rows and
 * take turns with the tiles of keys, and their parts are added, in order, at the end. A thread of
 * one more warpgroup copies tiles of TILE_K keys, and with PREFETCH_V their values, into a ring of
 * STAGES buffers.
 *
 * Per tile and warpgroup: s = q k^T into registers; a vote on whether any pair has x > 0; if so,
 * the weights, packed into the A fragments of the value product. Without PREFETCH_V a warpgroup
 * fetches the values of a tile once it knows that it needs them.
 *
 * With PIPELINE a warpgroup's products run beside its other work. The value product of one tile and
 * the q k^T of the next are started together, q k^T first, so that the former runs while the next
 * weights are made; in search of a tile that needs values, the next tile's q k^T runs while this
 * one's is tested. Without it less is held in registers, and more blocks share a multiprocessor.
 *
 * skip = tile asks each warpgroup about its 64 rows, skip = slice about each 16 keys of them. What
 * is skipped would have added products with weight 0, so it does not matter to o what is asked:
 * after four tiles in a row that needed values, UNASKED tiles are taken without a vote; after four
 * that needed none, VOTE_TILES tiles are tested for one vote, and gone through one by one if it says
 * that there is something.
 *
 * A warpgroup that sees only some phases of a barrier cannot tell them by their parity, so each
 * buffer of the ring is always read by the same ones: STAGES is a multiple of KEY_GROUPS. Each of
 * them holds a tile while it waits for its next, so there are two buffers for each at least.
 *
 * With SPLIT_K > 1 a block takes only its part of the tiles, and split.cuh has the rest.
 *
 * @target sm_90a
 * @when DTYPE != F32 && HAS_WARPGROUPS
 * @tunable TILE_Q = 128 : 64 128 192 256 -- query rows a block
 * @tunable TILE_K = 64 : 32 64 128 256 -- keys a tile
 * @tunable KEY_GROUPS = 1 : 1 2 4 -- warpgroups that share rows and take turns with tiles of keys
 * @tunable STAGES = 4 : 2 3 4 6 8 -- tiles of keys in flight
 * @tunable PREFETCH_V = 1 : 0 1 -- load values with the keys (1) or once they are needed (0)
 * @tunable Q_SHARED = 0 : 0 1 -- queries in registers (0) or in shared memory (1)
 * @tunable PIPELINE = 1 : 0 1 -- a warpgroup's products run beside its other work (1)
 * @tunable UNASKED = 8 : 0 8 16 32 64 128 -- tiles taken without a test after four in a row that needed values
 * @tunable VOTE_TILES = 1 : 1 2 4 -- tiles a vote, after four in a row that needed none
 * @tunable OCCUPANCY = 1 : 1 2 3 4 -- blocks a multiprocessor that registers are shared out for
 * @require PIPELINE || (UNASKED == 0 && VOTE_TILES == 1)
 * @require VOTE_TILES == 1 || STAGES >= (VOTE_TILES + 2) * KEY_GROUPS
 * @require TILE_Q / 64 * KEY_GROUPS <= 4 && STAGES % KEY_GROUPS == 0 && STAGES >= 2 * KEY_GROUPS
 * @require OCCUPANCY * (24 + TILE_Q / 64 * KEY_GROUPS * (TILE_K * 5 / 8 + DV / 2 + (Q_SHARED ? 0 : DK / 4) + 40)) <= 512
 * @require TILE_K * 3 / 4 + DV / 2 + (Q_SHARED ? 0 : DK / 4) + 40 <= 240
 * @require max(min(TILE_K, 128), DV) / 2 + 32 <= 512 / OCCUPANCY / (TILE_Q / 64 * KEY_GROUPS + 1)
 * @require OCCUPANCY * (max(TILE_K * 2 * (STAGES * DK + (PREFETCH_V ? STAGES : TILE_Q / 64 * KEY_GROUPS) * DV), (KEY_GROUPS - 1) * TILE_Q * DV * 4) + (Q_SHARED ? TILE_Q * DK * 2 : 0) + TILE_K * 8 + 384 + 1024) <= LOCAL_MEM + 1024
 * @groups LONG_HEADS > 0 ? ceil_div(LEN_Q, TILE_Q) * (min(LONG_HEADS, HEADS_Q) * (SPLIT_K - 1) + HEADS_Q) : HEADS_Q * max(LEN_Q, LEN_K) * (DK + DV) * DTYPE_BYTES <= 33554432 ? HEADS_Q : ceil_div(LEN_Q, TILE_Q) * SPLIT_K, LONG_HEADS > 0 ? 1 : HEADS_Q * max(LEN_Q, LEN_K) * (DK + DV) * DTYPE_BYTES <= 33554432 ? ceil_div(LEN_Q, TILE_Q) * SPLIT_K : HEADS_Q, BATCH
 * @group (TILE_Q / 64 * KEY_GROUPS + 1) * 128
 * @local max(TILE_K * 2 * (STAGES * DK + (PREFETCH_V ? STAGES : TILE_Q / 64 * KEY_GROUPS) * DV), (KEY_GROUPS - 1) * TILE_Q * DV * 4) + (Q_SHARED ? TILE_Q * DK * 2 : 0) + TILE_K * 8 + 384
 * @tensor_map k: TILE_K
 * @tensor_map v: TILE_K
 * @tensor_map q: 64
 */
/* clang-format on */
#include "fragments.cuh"
#include "ptx_sm90.cuh"
#include "split.cuh"
#include "warpgroup.cuh"

#define ROW_GROUPS (TILE_Q / GROUP_ROWS)
#define GROUPS     (ROW_GROUPS * KEY_GROUPS) /* warpgroups */
#define THREADS    ((GROUPS + 1) * 128)
#define V_TILES    (PREFETCH_V ? STAGES : GROUPS)

/*
 * Registers a thread: at launch the same for all; then the warpgroup that copies gives up all but
 * COPY_REGS of its own, and the others share out what that leaves.
 */
#define COPY_REGS   24
#define LAUNCH_REGS (512 / OCCUPANCY / (GROUPS + 1) / 8 * 8)
#define FREE_REGS   ((LAUNCH_REGS * (GROUPS + 1) - COPY_REGS) / GROUPS / 8 * 8)
#define GROUP_REGS  (FREE_REGS < 240 ? FREE_REGS : 240)

#define K_TILE (TILE_K * DK * 2)
#define V_TILE (TILE_K * DV * 2)
#define RING   (STAGES * K_TILE + V_TILES * V_TILE)
#define PARTS  ((KEY_GROUPS - 1) * TILE_Q * DV * 4)
#define Q_TILE (GROUP_ROWS * DK * 2) /* of a warpgroup */
#define Q_ALL  (Q_SHARED ? ROW_GROUPS * Q_TILE : 0)

struct block_memory {
    /* Queries; the ring, tiles of keys, then tiles of values; at the end the parts of o. */
    unsigned char tiles[Q_ALL + (RING > PARTS ? RING : PARTS)];
    float2 column[TILE_K]; /* cos and sin of pi jj / (2 w) */
    unsigned long long full[STAGES], empty[STAGES];
    unsigned long long full_v[GROUPS]; /* without PREFETCH_V */
    unsigned long long full_q;
    unsigned alive[GROUPS][4]; /* of each warp; bit s: it needs slice s of the values */
    unsigned used[STAGES];     /* counting builds: the values of that tile were needed */
};
static_assert(sizeof(block_memory) <= Q_ALL + (RING > PARTS ? RING : PARTS) + TILE_K * 8 + 384,
              "@local");

/* Where the ring stands: buffer and parity of its phase. */
struct position {
    int stage;
    unsigned parity;

    __device__ __forceinline__ position after(int tiles) const
    {
        int s = stage + tiles;

        return s >= STAGES ? position{s - STAGES, parity ^ 1u} : position{s, parity};
    }
};

__device__ __forceinline__ unsigned q_tile(const block_memory &memory, int row_group)
{
    return shared_address(memory.tiles) + row_group * Q_TILE;
}

__device__ __forceinline__ unsigned k_tile(const block_memory &memory, int stage)
{
    return shared_address(memory.tiles) + Q_ALL + stage * K_TILE;
}

__device__ __forceinline__ unsigned v_tile(const block_memory &memory, int number)
{
    return shared_address(memory.tiles) + Q_ALL + STAGES * K_TILE + number * V_TILE;
}

/* Starts the copy of ROWS rows from row0 on; `full` has been told to expect them. */
template <int WIDTH, int ROWS>
__device__ __forceinline__ void start_copy(unsigned dst, const tensor_map *map, int row0, int head,
                                           unsigned full)
{
#pragma unroll
    for (int column = 0; column < WIDTH; column += 64)
        copy_box(dst + column * 2 * ROWS, map, column, row0, head, full);
}

/* The thread that copies. */
__device__ __forceinline__ void produce(block_memory &memory, const tensor_map *k_map,
                                        const tensor_map *v_map, int first, int end, int head,
                                        unsigned *count)
{
    position at = {0, 1};
    unsigned n_used = 0;

    for (int tile = first; tile < end; tile++, at = at.after(1)) {
        const unsigned full = shared_address(&memory.full[at.stage]);

        barrier_wait(shared_address(&memory.empty[at.stage]), at.parity);
        if (SCR_COUNT && tile - first >= STAGES)
            n_used += memory.used[at.stage];
        if (SCR_COUNT)
            memory.used[at.stage] = 0;
        barrier_expect(full, K_TILE + (PREFETCH_V ? V_TILE : 0));
        start_copy<DK, TILE_K>(k_tile(memory, at.stage), k_map, tile * TILE_K, head, full);
        if (PREFETCH_V)
            start_copy<DV, TILE_K>(v_tile(memory, at.stage), v_map, tile * TILE_K, head, full);
    }
    if (SCR_COUNT) {
        for (int n = min(end - first, STAGES); n > 0; n--) {
            at = at.stage == 0 ? position{STAGES - 1, at.parity ^ 1u}
                               : position{at.stage - 1, at.parity};
            barrier_wait(shared_address(&memory.empty[at.stage]), at.parity ^ 1u);
            n_used += memory.used[at.stage];
        }
        atomicAdd(&count[COUNT_QK], (unsigned)(end - first));
        atomicAdd(&count[COUNT_PV], n_used);
    }
}

/*
 * The tiles of keys [*first, *end) every pair of which with positions [p0, p0 + n_rows) is
 * admissible.
 */
__device__ __forceinline__ void whole_tiles(const window &win, int p0, int n_rows, int tile_k,
                                            int *first, int *end)
{
    const int lo = max(0, p0 + n_rows - 1 - win.reach);
    const int hi = max(0, min(p0 + win.offset + 1, win.n_keys));

    *first = (lo + tile_k - 1) / tile_k;
    *end = hi / tile_k;
}

/* What of a tile's values the warpgroup needs: bit s for slice s, or any bit for the whole tile. */
template <bool ORDERED>
__device__ __forceinline__ unsigned vote(const relevance &rel, const scores &s,
                                         block_memory &memory, int number)
{
    if (SCR_SKIP == SKIP_NONE)
        return ALL;
    if (SCR_SKIP == SKIP_TILE)
        return group_says(1 + number, tile_live<ORDERED>(rel, s)) ? ALL : 0;
    unsigned mine = each_slice<ORDERED, 0, CHUNK / SLICE_K - 1>::alive(rel, s);

    if (CHUNKS == 2)
        mine |= each_slice<ORDERED, CHUNKS - 1, CHUNK / SLICE_K - 1>::alive(rel, s);
    if (threadIdx.x % 32 == 0)
        memory.alive[number][threadIdx.x / 32 % 4] = mine;
    threads_sync(1 + number, 128);
    mine = memory.alive[number][0] | memory.alive[number][1] | memory.alive[number][2] |
           memory.alive[number][3];
    threads_sync(1 + number, 128);
    return __shfl_sync(FULL_WARP, mine, 0);
}

/*
 * Values of keys past the last one are whatever lies in memory: weight 0 times NaN would count. A
 * tile that warpgroups share is cleared by each of them before its own product, with the same
 * zeros.
 */
__device__ __forceinline__ void clear_values(unsigned char *v, int n_rows, int number)
{
    for (int i = threadIdx.x % 128; i < (TILE_K - n_rows) * V_ROW / 16; i += 128) {
#pragma unroll
        for (int half = 0; half < DV * 2 / V_ROW; half++)
            *(int4 *)(v + half * TILE_K * 128 + n_rows * V_ROW + i * 16) = make_int4(0, 0, 0, 0);
    }
    fence_async();
    threads_sync(1 + number, 128);
}

/*
 * Adds the parts of warpgroups that share rows into the first one's. The whole block meets here,
 * the threads that copied, too: a race checker takes warps that have ended for ones that have come.
 */
__device__ __forceinline__ void add_parts(block_memory &memory, group &g, int number)
{
    float *parts = (float *)(memory.tiles + Q_ALL);
    const int row_group = number / KEY_GROUPS;
    const int key_group = number % KEY_GROUPS;

    /* All have done with the ring. */
    threads_sync(15, GROUPS * 128);
    if (key_group != 0) {
        float *part = parts + ((key_group - 1) * ROW_GROUPS + row_group) * (DV / 2) * 128;

#pragma unroll
        for (int i = 0; i < DV / 2; i++)
            part[i * 128 + threadIdx.x % 128] = g.o[i];
    }
    threads_sync(14, THREADS);
    if (key_group != 0)
        return;
    for (int other = 1; other < KEY_GROUPS; other++) {
        const float *part = parts + ((other - 1) * ROW_GROUPS + row_group) * (DV / 2) * 128;

#pragma unroll
        for (int i = 0; i < DV / 2; i++)
            g.o[i] = __fadd_rn(g.o[i], part[i * 128 + threadIdx.x % 128]);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, OCCUPANCY)
    ENTRY(const storage *__restrict__ q, const storage *, const storage *,
          const float *__restrict__ r, const float *__restrict__ w, const int *__restrict__ kv_len,
          output *__restrict__ o, float *workspace, unsigned *counters, scr_shape shape,
          const __grid_constant__ tensor_map k_map, const __grid_constant__ tensor_map v_map,
          const __grid_constant__ tensor_map q_map)
{
    extern __shared__ __align__(1024) unsigned char shared[];
    block_memory &memory = *(block_memory *)shared;
    const int b = blockIdx.z;
    const assignment work = assign(shape, w);
    const int h = work.h;
    const long long head = (long long)b * shape.heads_q + h;
    const int head_kv = b * shape.heads_kv + h / (shape.heads_q / shape.heads_kv);
    const int row0 = work.row0;
    const int row_end = min(row0 + TILE_Q, shape.len_q);
    const window win = make_window(w[h], shape.flags, key_count(shape, kv_len, b));
    int first, end;
    unsigned *count = counters + head * SCR_COUNTERS;

    key_tiles(win, shape.flags, MASKED_DENSE, shape.q_pos0 + row0, shape.q_pos0 + row_end - 1,
              TILE_K, &first, &end);

    const int parts = take_part(work.part, work.max_parts, &first, &end);

    if (work.part >= parts)
        return;

    /* Through a shuffle, so that the compiler sees that a warp takes branches as one. */
    const int warp = __shfl_sync(FULL_WARP, (int)threadIdx.x / 32, 0);
    const int number = warp / 4; /* of the warpgroup */

    if (threadIdx.x == GROUPS * 128) {
        prefetch_map(&k_map);
        prefetch_map(&v_map);
        for (int i = 0; i < STAGES; i++) {
            barrier_init(shared_address(&memory.full[i]), 1);
            barrier_init(shared_address(&memory.empty[i]), ROW_GROUPS * 4);
        }
        for (int i = 0; i < GROUPS; i++)
            barrier_init(shared_address(&memory.full_v[i]), 1);
        barrier_init(shared_address(&memory.full_q), ROW_GROUPS);
        barrier_init_done();
    }
    __syncthreads();

    if (number == GROUPS) {
        give_registers<COPY_REGS>();
        if (threadIdx.x == GROUPS * 128) {
#pragma unroll
            for (int i = 0; Q_SHARED && i < ROW_GROUPS; i++) {
                barrier_expect(shared_address(&memory.full_q), Q_TILE);
                start_copy<DK, GROUP_ROWS>(q_tile(memory, i), &q_map, row0 + i * GROUP_ROWS, head,
                                           shared_address(&memory.full_q));
            }
            produce(memory, &k_map, &v_map, first, end, head_kv, count);
        }
        if (KEY_GROUPS > 1) {
            __syncwarp();
            threads_sync(14, THREADS);
        }
        return;
    }
    take_registers<GROUP_REGS>();

    for (int jj = threadIdx.x; jj < TILE_K; jj += GROUPS * 128)
        sincospif(__fmul_rn((float)jj, win.turn), &memory.column[jj].y, &memory.column[jj].x);
    threads_sync(15, GROUPS * 128);

    const int group_row0 = row0 + number / KEY_GROUPS * GROUP_ROWS;
    const int warp_row0 = group_row0 + warp % 4 * 16;
    const relevance rel = make_relevance(r[h]);
    group g;
    int group_first = 0, group_end = 0;
    int whole_first = 0, whole_end = 0; /* the tiles that need no mask */
    unsigned count_slices = 0;

    if (group_row0 < row_end)
        key_tiles(win, shape.flags, MASKED_DENSE, shape.q_pos0 + group_row0,
                  shape.q_pos0 + min(group_row0 + GROUP_ROWS, row_end) - 1, TILE_K, &group_first,
                  &group_end);
    group_end = min(group_end, end);
    if (group_row0 + GROUP_ROWS <= shape.len_q)
        whole_tiles(win, shape.q_pos0 + group_row0, GROUP_ROWS, TILE_K, &whole_first, &whole_end);
    if (Q_SHARED)
        place_rows(g.mine, warp_row0, shape.len_q, shape.q_pos0);
    else
        load_rows(g.mine, q + head * shape.len_q * DK, warp_row0, shape.len_q, shape.q_pos0);
#pragma unroll
    for (int i = 0; i < DV / 2; i++)
        g.o[i] = 0.0f;

    int tile = first + number % KEY_GROUPS;
    position at = position{0, 0}.after(number % KEY_GROUPS);
    unsigned v_parity = 0;
    const unsigned q_at = q_tile(memory, number / KEY_GROUPS);
    int live_run = 0, dead_run = 0; /* tiles in a row that needed values, and that needed none */
    int careful = 0;                /* tiles before it are asked about one by one */

    auto wait_full = [&](position where) {
        barrier_wait(shared_address(&memory.full[where.stage]), where.parity);
    };
    /* A buffer that is given back is soon filled again, so no lane may still wait for this time. */
    auto release = [&](position where) {
        __syncwarp();
        if (threadIdx.x % 32 == 0)
            barrier_arrive(shared_address(&memory.empty[where.stage]));
    };
    auto advance = [&] {
        tile += KEY_GROUPS;
        at = at.after(KEY_GROUPS);
    };
    /* Gives back the tiles before `until`, which have nothing for these rows. */
    auto pass = [&](int until) {
#pragma unroll 1
        while (tile < until) {
            wait_full(at);
            release(at);
            advance();
        }
    };
    auto start_keys = [&](scores &s, position where) {
        start_scores(g, s, q_at, k_tile(memory, where.stage));
        product_commit();
    };
    auto values_at = [&](position where) {
        return v_tile(memory, PREFETCH_V ? where.stage : number);
    };
    /* The value product alone, to its end. */
    auto multiply = [&](position where, unsigned need) {
        product_fence();
        if (SCR_SKIP == SKIP_SLICE)
            start_slices(g, values_at(where), need);
        else
            start_values(g, values_at(where));
        product_commit();
        product_wait<0>();
        product_pin(g.o);
    };
    /* Beside it the scores of the tile at hand, which are there when it returns. */
    auto start_both = [&](position where) {
        unsigned keys = k_tile(memory, at.stage);
        unsigned values = values_at(where);

        if (DK != DV) { /* else ptxas sees by itself that they are the warp's */
            keys = warp_uniform(keys);
            values = warp_uniform(values);
        }
        product_fence();
        start_scores(g, g.s, q_at, keys);
        product_commit();
        start_values(g, values);
        product_commit();
    };
    auto note = [&](unsigned need) {
        if (SCR_COUNT) {
            if (need != 0 && threadIdx.x % 32 == 0)
                atomicOr(&memory.used[at.stage], 1u);
            count_slices += SCR_SKIP == SKIP_SLICE ? __popc(need) : need != 0;
        }
    };
    /* What of the values of the tile at hand is needed: the answer of a vote. */
    auto hear = [&](unsigned need) {
        note(need);
        live_run = need != 0 ? live_run + 1 : 0;
        dead_run = need != 0 ? 0 : dead_run + 1;
        return need;
    };
    auto ask = [&](const scores &s) { return hear(vote<true>(rel, s, memory, number)); };
    auto weigh_any = [&](scores &s) {
        if (win.open)
            weigh<true>(g, s, rel, win, memory.column, tile * TILE_K);
        else
            weigh<false>(g, s, rel, win, memory.column, tile * TILE_K);
    };
    /* The values of the tile at hand are needed, and none are in use. */
    auto fetch = [&] {
        if (PREFETCH_V)
            return;
        release(at);
        threads_sync(1 + number, 128); /* all have done with the values before */
        if (threadIdx.x % 128 == 0) {
            barrier_expect(shared_address(&memory.full_v[number]), V_TILE);
            start_copy<DV, TILE_K>(v_tile(memory, number), &v_map, tile * TILE_K, head_kv,
                                   shared_address(&memory.full_v[number]));
        }
    };
    auto wait_values = [&] {
        if (PREFETCH_V)
            return;
        barrier_wait(shared_address(&memory.full_v[number]), v_parity);
        v_parity ^= 1u;
    };
    auto clear_past = [&] {
        if (tile * TILE_K + TILE_K > win.n_keys && win.n_keys < shape.len_k)
            clear_values(&memory.tiles[v_tile(memory, PREFETCH_V ? at.stage : number) -
                                       shared_address(memory.tiles)],
                         win.n_keys - tile * TILE_K, number);
    };
    auto done_with = [&](position where) {
        if (PREFETCH_V)
            release(where);
    };
    /* r < 1, where nearly all is alive, has a test of its own and is left out of the pipeline. */
    const bool one_by_one = !PIPELINE || (SCR_SKIP != SKIP_NONE && !rel.ordered);
    auto masked = [&](int t) { return t < whole_first || t >= whole_end; };

    pass(min(group_first, end));
    if (Q_SHARED)
        barrier_wait(shared_address(&memory.full_q), 0);
    while (tile < group_end) {
        unsigned need = 0;
        position before = at;

        /* On to a tile that needs values; nothing is under way. */
        if (one_by_one || SCR_SKIP == SKIP_NONE || masked(tile) ||
            (VOTE_TILES > 1 && tile < careful)) {
            wait_full(at);
            product_fence();
            start_keys(g.s, at);
            product_wait<0>();
            pin_scores(g.s);
            if (masked(tile))
                mask_scores(g, g.s, win, tile * TILE_K);
            need = rel.ordered ? ask(g.s) : hear(vote<false>(rel, g.s, memory, number));
            if (need == 0) {
                release(at);
                advance();
                continue;
            }
            fetch();
            weigh_any(g.s);
            pack_weights(g, g.s);
            wait_values();
            clear_past();
            if (one_by_one) {
                multiply(at, need);
                done_with(at);
                advance();
                continue;
            }
            before = at;
            advance();
        } else {
            const int limit = min(group_end, whole_end);
            scores ahead;
            auto half = [&](scores &s, scores &next) {
                const bool more = tile + KEY_GROUPS < limit;
                const position other = more ? at.after(KEY_GROUPS) : at;

                if (more)
                    wait_full(other);
                product_fence();
                start_keys(next, other);
                pin_scores(s); /* the test comes after the start */
                need = ask(s);
                product_wait<0>();
                pin_scores(next);
                before = at;
                if (need == 0) {
                    release(at);
                } else {
                    fetch();
                    weigh_any(s);
                    pack_weights(g, s);
                    wait_values();
                }
                advance();
                return need != 0 || !more || (VOTE_TILES > 1 && dead_run == 4);
            };

            wait_full(at);
            product_fence();
            start_keys(g.s, at);
            product_wait<0>();
            pin_scores(g.s);
            if (VOTE_TILES > 1 && dead_run >= 4 && tile + VOTE_TILES * KEY_GROUPS < limit) {
                position start;

                do {
                    bool live = false;
                    auto test = [&](scores &s, scores &next) {
                        advance();
                        wait_full(at);
                        product_fence();
                        start_keys(next, at);
                        pin_scores(s);
                        live |= tile_live<true>(rel, s);
                        product_wait<0>();
                        pin_scores(next);
                    };

                    start = at;
#pragma unroll
                    for (int i = 0; i < VOTE_TILES; i += 2) {
                        test(g.s, ahead);
                        test(ahead, g.s);
                    }
                    if (group_says(1 + number, live)) {
                        careful = tile;
                        tile -= VOTE_TILES * KEY_GROUPS;
                        at = start;
                        dead_run = 0;
                        break;
                    }
#pragma unroll
                    for (int i = 0; i < VOTE_TILES; i++)
                        release(start.after(i * KEY_GROUPS));
                } while (tile + VOTE_TILES * KEY_GROUPS < limit);
                dead_run = 0;
                continue;
            }
            for (;;) {
                if (half(g.s, ahead) || half(ahead, g.s))
                    break;
            }
            if (need == 0)
                continue;
        }

        /* Weights of `before` are packed and its values are there. */
        for (;;) {
            if (tile >= group_end) {
                multiply(before, need);
                done_with(before);
                break;
            }
            wait_full(at);
            if (UNASKED > 0 && (SCR_SKIP == SKIP_NONE || live_run >= 4) && tile >= whole_first) {
                int n = min(UNASKED, (min(whole_end, group_end) - 1 - tile) / KEY_GROUPS);

#pragma unroll 1
                for (; n > 0; n--) {
                    start_both(before);
                    if (STAGES > 2 * KEY_GROUPS)
                        wait_full(at.after(KEY_GROUPS));
                    product_wait<1>();
                    pin_scores(g.s);
                    weigh_any(g.s);
                    product_wait<0>();
                    product_pin(g.o);
                    done_with(before);
                    note(ALL);
                    fetch();
                    pack_weights(g, g.s);
                    wait_values();
                    before = at;
                    advance();
                    if (STAGES <= 2 * KEY_GROUPS)
                        wait_full(at);
                    need = ALL;
                }
            }
            if (SCR_SKIP == SKIP_SLICE && need != ALL) {
                multiply(before, need);
                product_fence();
                start_keys(g.s, at);
                product_wait<0>();
                pin_scores(g.s);
            } else {
                start_both(before);
                product_wait<1>();
                pin_scores(g.s);
            }
            if (masked(tile))
                mask_scores(g, g.s, win, tile * TILE_K);
            need = ask(g.s);
            if (need != 0)
                weigh_any(g.s);
            product_wait<0>();
            product_pin(g.o);
            done_with(before);
            if (need == 0) {
                release(at);
                advance();
                break;
            }
            fetch();
            pack_weights(g, g.s);
            wait_values();
            clear_past();
            before = at;
            advance();
        }
    }
    pass(end);

    if (KEY_GROUPS > 1)
        add_parts(memory, g, number);
    if (number % KEY_GROUPS == 0) {
        float(&acc)[1][DV / 8][4] = reinterpret_cast<float(&)[1][DV / 8][4]>(g.o);

        if (parts > 1)
            store_part(workspace + part_at(shape, work.part, head), acc, warp_row0, shape.len_q,
                       rel.unscale);
        else
            store_rows(o + head * shape.len_q * DV, acc, warp_row0, shape.len_q, rel.unscale,
                       shape.flags & SCR_SHAPE_TANH_NORM);
    }
    if (SCR_COUNT && threadIdx.x % 128 == 0)
        atomicAdd(&count[COUNT_PV_SLICES], count_slices);
}
