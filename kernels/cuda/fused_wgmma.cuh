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
 * the weights, packed at once into the A fragments of the value product, which then runs together
 * with the next tile's q k^T. Without PREFETCH_V a warpgroup fetches the values of a tile once it
 * knows that it needs them.
 *
 * skip = tile asks each warpgroup about its 64 rows, skip = slice about each 16 keys of them. What
 * is skipped would have added products with weight 0.
 *
 * x is clamped to [0, 1] by the multiply-add that makes it, on a scale on which 1 is out of reach
 * of unit vectors (make_relevance). f16 weights leave that scale for one that keeps small ones
 * clear of f16's subnormals and large ones of its end.
 *
 * A warpgroup that sees only some phases of a barrier cannot tell them by their parity, so each
 * buffer of the ring is always read by the same ones: STAGES is a multiple of KEY_GROUPS.
 *
 * With SPLIT_K > 1 a block takes only its part of the tiles, and split.cuh has the rest.
 *
 * @target sm_90a
 * @when DTYPE != F32 && HAS_WARPGROUPS
 * @tunable TILE_Q = 128 : 64 128 192 256 -- query rows a block
 * @tunable TILE_K = 64 : 32 64 128 256 -- keys a tile
 * @tunable KEY_GROUPS = 1 : 1 2 4 -- warpgroups that share rows and take turns with tiles of keys
 * @tunable STAGES = 2 : 2 3 4 6 8 -- tiles of keys in flight
 * @tunable PREFETCH_V = 1 : 0 1 -- load values with the keys (1) or once they are needed (0)
 * @tunable Q_SHARED = 0 : 0 1 -- queries in registers (0) or in shared memory (1)
 * @tunable BY_WINDOW = 0 : 0 1 -- heads in their own order (0) or the longest windows first (1)
 * @tunable OCCUPANCY = 1 : 1 2 3 4 -- blocks a multiprocessor that registers are shared out for
 * @require TILE_Q / 64 * KEY_GROUPS <= 4 && STAGES % KEY_GROUPS == 0
 * @require OCCUPANCY * (24 + TILE_Q / 64 * KEY_GROUPS * (TILE_K * 5 / 8 + DV / 2 + (Q_SHARED ? 0 : DK / 4) + 40)) <= 512
 * @require TILE_K * 3 / 4 + DV / 2 + (Q_SHARED ? 0 : DK / 4) + 40 <= 240
 * @require max(min(TILE_K, 128), DV) / 2 + 32 <= 512 / OCCUPANCY / (TILE_Q / 64 * KEY_GROUPS + 1)
 * @require OCCUPANCY * (max(TILE_K * 2 * (STAGES * DK + (PREFETCH_V ? STAGES : TILE_Q / 64 * KEY_GROUPS) * DV), (KEY_GROUPS - 1) * TILE_Q * DV * 4) + (Q_SHARED ? TILE_Q * DK * 2 : 0) + TILE_K * 8 + 384 + 1024) <= LOCAL_MEM + 1024
 * @groups ceil_div(LEN_Q, TILE_Q) * SPLIT_K, HEADS_Q, BATCH
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

#define GROUP_ROWS 64 /* rows a warpgroup */
#define ROW_GROUPS (TILE_Q / GROUP_ROWS)
#define GROUPS     (ROW_GROUPS * KEY_GROUPS) /* warpgroups */
#define THREADS    ((GROUPS + 1) * 128)
#define SLICES     (TILE_K / SLICE_K)
#define CHUNK      (TILE_K < 128 ? TILE_K : 128) /* keys of a product */
#define CHUNKS     (TILE_K / CHUNK)
#define V_TILES    (PREFETCH_V ? STAGES : GROUPS)

/*
 * Registers a thread: at launch the same for all; then the warpgroup that copies gives up all but
 * COPY_REGS of its own, and the others share out what that leaves.
 */
#define COPY_REGS   24
#define LAUNCH_REGS (512 / OCCUPANCY / (GROUPS + 1) / 8 * 8)
#define FREE_REGS   ((LAUNCH_REGS * (GROUPS + 1) - COPY_REGS) / GROUPS / 8 * 8)
#define GROUP_REGS  (FREE_REGS < 240 ? FREE_REGS : 240)

/* Bytes of a row in shared memory; wider heads lie there as two halves, one behind the other. */
#define K_ROW (DK < 64 ? 2 * DK : 128)
#define V_ROW (DV < 64 ? 2 * DV : 128)

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
    unsigned long long full_k[STAGES], empty_k[STAGES];
    unsigned long long full_v[V_TILES], empty_v[STAGES];
    unsigned long long full_q;
    unsigned alive[GROUPS][4]; /* of each warp; bit s: it needs slice s of the values */
    unsigned used[STAGES];     /* counting builds: the values of that tile were needed */
    int head;                  /* of this block */
};
static_assert(sizeof(block_memory) <= Q_ALL + (RING > PARTS ? RING : PARTS) + TILE_K * 8 + 384,
              "@local");

/* y = root x of one head, where root is a power of two that keeps y below 1. */
struct relevance {
    float scale, bias; /* y = scale s + bias */
    float gain;        /* f16: weights are (gain y)^2 */
    float unscale;     /* undoes root and gain in the sum of weights */
    float live;        /* LIVE_X on the scale of y */
    bool ordered;      /* r >= 1: x > 0 needs s > 0 */
};

/*
 * Rounding leaves unit vectors with s up to 1 + 2^-6; y has room for x up to 64 times what follows
 * from that, for vectors of other lengths. f16 weights are (2^n x)^2, where n is 4 where r allows,
 * as in fused_mma.cuh, and overflow from x = 16 on; bf16 has the range of f32.
 */
__device__ __forceinline__ relevance make_relevance(float r)
{
    const int exponent = 0x7f800000;

    /* Beyond 2^24 s tells no more of x; beyond 2^60 the scales would overflow. */
    r = fminf(r, 0x1p40f);

    float room = 1.0f / fmaf(r, 0x1p-6f, 1.0f);
    float root = 0x1p-6f * __int_as_float(__float_as_int(room) & exponent);
    float inverse = 1.0f / root;
    relevance rel = {r * root,          (1.0f - r) * root, 1.0f,
                     inverse * inverse, LIVE_X * root,     r >= 1.0f};

#if SCR_DTYPE == SCR_F16
    float top = 240.0f / fmaf(r, 0x1p-9f, 1.0f);
    float wanted = fminf(16.0f, __int_as_float(__float_as_int(top) & exponent));

    rel.gain = wanted * inverse;
    rel.unscale = 1.0f / (wanted * wanted);
#endif
    return rel;
}

__device__ __forceinline__ float relevance_of(const relevance &rel, float s)
{
    return __saturatef(fmaf(rel.scale, s, rel.bias));
}

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

/* Starts the copy of ROWS rows from row0 on; `full` completes with it. */
template <int WIDTH, int ROWS>
__device__ __forceinline__ void start_copy(unsigned dst, const tensor_map *map, int row0, int head,
                                           unsigned full)
{
    barrier_expect(full, ROWS * WIDTH * 2);
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
        barrier_wait(shared_address(&memory.empty_k[at.stage]), at.parity);
        if (SCR_COUNT && tile - first >= STAGES)
            n_used += memory.used[at.stage];
        if (SCR_COUNT)
            memory.used[at.stage] = 0;
        start_copy<DK, TILE_K>(k_tile(memory, at.stage), k_map, tile * TILE_K, head,
                               shared_address(&memory.full_k[at.stage]));
        if (PREFETCH_V) {
            barrier_wait(shared_address(&memory.empty_v[at.stage]), at.parity);
            start_copy<DV, TILE_K>(v_tile(memory, at.stage), v_map, tile * TILE_K, head,
                                   shared_address(&memory.full_v[at.stage]));
        }
    }
    if (SCR_COUNT) {
        for (int n = min(end - first, STAGES); n > 0; n--) {
            at = at.stage == 0 ? position{STAGES - 1, at.parity ^ 1u}
                               : position{at.stage - 1, at.parity};
            barrier_wait(shared_address(&memory.empty_k[at.stage]), at.parity ^ 1u);
            n_used += memory.used[at.stage];
        }
        atomicAdd(&count[COUNT_QK], (unsigned)(end - first));
        atomicAdd(&count[COUNT_PV], n_used);
    }
}

/* One warpgroup's rows and its accumulators. */
struct group {
    rows<1> mine;
    float s[CHUNKS][CHUNK / 2];
    float o[DV / 2];
    unsigned weights[SLICES][4];
};

/* s = q k^T, started; q is where the rows lie if Q_SHARED. */
__device__ __forceinline__ void start_scores(group &g, unsigned q, unsigned k)
{
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
        for (int i = 0; i < DK / 16; i++) {
            const unsigned long long keys =
                matrix_at<K_ROW>(k, c * CHUNK * K_ROW + i / 4 * TILE_K * 128 + i % 4 * 32, 16);

            if (Q_SHARED)
                product<0>(g.s[c], matrix_at<K_ROW>(q, i / 4 * GROUP_ROWS * 128 + i % 4 * 32, 16),
                           keys, i != 0);
            else
                product<0>(g.s[c], g.mine.q[0][i], keys, i != 0);
        }
    }
}

/* o += weights v over the slices in need, started. */
__device__ __forceinline__ void start_values(group &g, unsigned v, unsigned need)
{
#pragma unroll
    for (int s = 0; s < SLICES; s++) {
        if (SCR_SKIP != SKIP_SLICE || need >> s & 1u)
            product<1>(g.o, g.weights[s], matrix_at<V_ROW>(v, s * SLICE_K * V_ROW, TILE_K * 128),
                       true);
    }
}

/* Until all that was started is done. */
__device__ __forceinline__ void finish(group &g)
{
    product_commit();
    product_wait<0>();
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        product_pin(g.s[c]);
    product_pin(g.o);
}

/* Element i of a chunk of s: its key within the tile, less 2 (lane % 4), and its row half. */
__device__ __forceinline__ constexpr int key_of(int c, int i)
{
    return c * CHUNK + i / 4 * 8 + i % 2;
}

__device__ __forceinline__ constexpr int half_of(int i)
{
    return i / 2 % 2;
}

/* Takes pairs outside mask and window to an s that no threshold lets pass. */
__device__ __forceinline__ void mask_scores(group &g, const window &win, int j0)
{
    const int mine = j0 + threadIdx.x % 4 * 2;
    int low[2];
    unsigned width[2];

#pragma unroll
    for (int half = 0; half < 2; half++) {
        int high = min(g.mine.p[0][half] + win.offset, win.n_keys - 1) - mine;

        low[half] = g.mine.p[0][half] + win.offset - (int)win.span - mine;
        width[half] = (unsigned)(high - low[half]);
        if (high < low[half]) { /* none */
            low[half] = 1 << 30;
            width[half] = 0;
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
        for (int i = 0; i < CHUNK / 2; i++) {
            if ((unsigned)(key_of(c, i) - low[half_of(i)]) > width[half_of(i)])
                g.s[c][i] = __int_as_float((int)0xff800000);
        }
    }
}

/*
 * Whether a pair among elements [from, from + n) of a chunk has x > 0. The largest s decides, as
 * x never falls with s. As bits, floats above 0 are in the order of integers, and those below are
 * less than any of them, which is all that it takes where s <= 0 cannot pass.
 */
template <int FROM, int N>
__device__ __forceinline__ bool any_live(const relevance &rel, const float (&s)[CHUNK / 2])
{
    float largest;

    if (rel.ordered) {
        int top = __float_as_int(s[FROM]);

#pragma unroll
        for (int i = FROM + 1; i + 1 < FROM + N; i += 2)
            top = max(max(top, __float_as_int(s[i])), __float_as_int(s[i + 1]));
        top = max(top, __float_as_int(s[FROM + N - 1]));
        largest = __int_as_float(top);
    } else {
        largest = s[FROM];
#pragma unroll
        for (int i = FROM + 1; i < FROM + N; i++)
            largest = fmaxf(largest, s[i]);
    }
    /* A NaN must not hide what is alive beside it. */
    return relevance_of(rel, largest) > rel.live || largest != largest;
}

template <int C, int S> struct each_slice {
    static __device__ __forceinline__ unsigned alive(const relevance &rel, const group &g)
    {
        unsigned mine = __any_sync(FULL_WARP, any_live<S * 8, 8>(rel, g.s[C])) ? 1u : 0u;

        return mine << (C * CHUNK / SLICE_K + S) | each_slice<C, S - 1>::alive(rel, g);
    }
};
template <int C> struct each_slice<C, -1> {
    static __device__ __forceinline__ unsigned alive(const relevance &, const group &)
    {
        return 0;
    }
};

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
__device__ __forceinline__ unsigned vote(const relevance &rel, const group &g, block_memory &memory,
                                         int number)
{
    if (SCR_SKIP == SKIP_NONE)
        return 1;
    if (SCR_SKIP == SKIP_TILE) {
        bool live = false;

#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            live |= any_live<0, CHUNK / 2>(rel, g.s[c]);
        return group_any(1 + number, live) ? 1 : 0;
    }
    unsigned mine = each_slice<0, CHUNK / SLICE_K - 1>::alive(rel, g);

    if (CHUNKS == 2)
        mine |= each_slice<CHUNKS - 1, CHUNK / SLICE_K - 1>::alive(rel, g);
    if (threadIdx.x % 32 == 0)
        memory.alive[number][threadIdx.x / 32 % 4] = mine;
    threads_sync(1 + number, 128);
    mine = memory.alive[number][0] | memory.alive[number][1] | memory.alive[number][2] |
           memory.alive[number][3];
    threads_sync(1 + number, 128);
    return mine;
}

/* Weights of all pairs, packed. */
template <bool OPEN>
__device__ __forceinline__ void weigh(group &g, const relevance &rel, const window &win,
                                      const float2 *column, int j0)
{
    float row_cos[2], row_sin[2];

    if (!OPEN) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            /* Half turns, taken into [-1, 1], where the device's quick functions are off by 2^-20:
             * far less than f16 and bf16 round weights by. */
            float turns = __fmul_rn((float)(g.mine.p[0][half] - j0), win.turn);
            float angle =
                __fmul_rn(__fmaf_rn(-2.0f, rintf(__fmul_rn(0.5f, turns)), turns), 3.14159265f);

            row_cos[half] = __fmul_rn(rel.gain, __cosf(angle));
            row_sin[half] = __fmul_rn(rel.gain, __sinf(angle));
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
#pragma unroll
        for (int n = 0; n < CHUNK / 8; n++) {
            const int slice = c * CHUNK / SLICE_K + n / 2;
            float4 col;

            if (!OPEN)
                col = *(const float4 *)&column[key_of(c, n * 4) + threadIdx.x % 4 * 2];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float a[2];

#pragma unroll
                for (int e = 0; e < 2; e++) {
                    float y = relevance_of(rel, g.s[c][n * 4 + half * 2 + e]);

                    if (!OPEN) {
                        float cos_j = e ? col.z : col.x;
                        float sin_j = e ? col.w : col.y;

                        y = __fmul_rn(
                            y, __fmaf_rn(row_cos[half], cos_j, __fmul_rn(row_sin[half], sin_j)));
                        a[e] = __fmul_rn(y, y);
                    } else if (SCR_DTYPE == SCR_F16) {
                        a[e] = __fmul_rn(__fmul_rn(y, rel.gain * rel.gain), y);
                    } else {
                        a[e] = __fmul_rn(y, y);
                    }
                }
                g.weights[slice][n % 2 * 2 + half] = pack(a[0], a[1]);
            }
        }
    }
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
 * The head that is the nth by window, the longest first; of equal ones in their order. More heads
 * than a warp has lanes stay as they are. For a whole warp.
 */
__device__ __forceinline__ int head_by_window(const float *w, int n_heads, int nth)
{
    const int lane = threadIdx.x % 32;
    const float mine = lane < n_heads ? w[lane] : -1.0f;
    int before = 0;

    if (n_heads > 32)
        return nth;
    for (int i = 0; i < n_heads; i++) {
        float other = __shfl_sync(FULL_WARP, mine, i);

        before += other > mine || (other == mine && i < lane);
    }
    return __ffs(__ballot_sync(FULL_WARP, lane < n_heads && before == nth)) - 1;
}

/* Adds the parts of warpgroups that share rows into the first one's. */
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
    threads_sync(15, GROUPS * 128);
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
    /* Through a shuffle, so that the compiler sees that a warp takes branches as one. */
    const int warp = __shfl_sync(FULL_WARP, (int)threadIdx.x / 32, 0);
    const int number = warp / 4; /* of the warpgroup */
    const int b = blockIdx.z;

    if (threadIdx.x == GROUPS * 128) {
        prefetch_map(&k_map);
        prefetch_map(&v_map);
        for (int i = 0; i < STAGES; i++) {
            barrier_init(shared_address(&memory.full_k[i]), 1);
            barrier_init(shared_address(&memory.empty_k[i]), ROW_GROUPS * 4);
            barrier_init(shared_address(&memory.empty_v[i]), ROW_GROUPS * 4);
        }
        for (int i = 0; i < V_TILES; i++)
            barrier_init(shared_address(&memory.full_v[i]), 1);
        barrier_init(shared_address(&memory.full_q), ROW_GROUPS);
        barrier_init_done();
    }
    if (BY_WINDOW && warp == 0) {
        const int by_window = head_by_window(w, shape.heads_q, blockIdx.y);

        if (threadIdx.x == 0)
            memory.head = by_window;
    }
    __syncthreads();

    const int h = BY_WINDOW ? memory.head : blockIdx.y;
    const long long head = (long long)b * shape.heads_q + h;
    const int head_kv = b * shape.heads_kv + h / (shape.heads_q / shape.heads_kv);
    const bool causal = shape.flags & SCR_SHAPE_CAUSAL;
    /* The longest rows of a causal mask come last: start with them. */
    const unsigned block = causal ? gridDim.x - 1 - blockIdx.x : blockIdx.x;
    const int row0 = block / SPLIT_K * TILE_Q;
    const int row_end = min(row0 + TILE_Q, shape.len_q);
    const window win = make_window(w[h], shape.flags, key_count(shape, kv_len, b));
    int first, end;
    unsigned *count = counters + head * SCR_COUNTERS;

    key_tiles(win, shape.flags, MASKED_DENSE, shape.q_pos0 + row0, shape.q_pos0 + row_end - 1,
              TILE_K, &first, &end);
    take_part(block % SPLIT_K, &first, &end);

    if (number == GROUPS) {
        give_registers<COPY_REGS>();
        if (threadIdx.x == GROUPS * 128) {
#pragma unroll
            for (int i = 0; Q_SHARED && i < ROW_GROUPS; i++)
                start_copy<DK, GROUP_ROWS>(q_tile(memory, i), &q_map, row0 + i * GROUP_ROWS, head,
                                           shared_address(&memory.full_q));
            produce(memory, &k_map, &v_map, first, end, head_kv, count);
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
    bool under_way = false; /* the value product of the tile `before` */
    position before = at;

    auto wait_k = [&](position where) {
        barrier_wait(shared_address(&memory.full_k[where.stage]), where.parity);
    };
    /* A buffer that is given back is soon filled again, so no lane may still wait for this time. */
    auto free_k = [&](position where) {
        __syncwarp();
        if (threadIdx.x % 32 == 0)
            barrier_arrive(shared_address(&memory.empty_k[where.stage]));
    };
    auto free_v = [&](position where) {
        __syncwarp();
        if (PREFETCH_V && threadIdx.x % 32 == 0)
            barrier_arrive(shared_address(&memory.empty_v[where.stage]));
    };
    /* Gives back the tiles before `until`, which have nothing for these rows. */
    auto pass = [&](int until) {
#pragma unroll 1
        for (; tile < until; tile += KEY_GROUPS, at = at.after(KEY_GROUPS)) {
            wait_k(at);
            free_k(at);
            if (PREFETCH_V)
                barrier_wait(shared_address(&memory.full_v[at.stage]), at.parity);
            free_v(at);
        }
    };

    pass(min(group_first, end));
    if (Q_SHARED)
        barrier_wait(shared_address(&memory.full_q), 0);
    for (;;) {
        unsigned need = 0;

        /* On to the next tile that needs values. */
        for (; tile < group_end; tile += KEY_GROUPS, at = at.after(KEY_GROUPS)) {
            wait_k(at);
            product_fence();
            start_scores(g, q_tile(memory, number / KEY_GROUPS), k_tile(memory, at.stage));
            finish(g);
            if (!SCR_COUNT)
                free_k(at);
            if (under_way)
                free_v(before);
            under_way = false;
            if (tile < whole_first || tile >= whole_end)
                mask_scores(g, win, tile * TILE_K);
            need = __shfl_sync(FULL_WARP, vote(rel, g, memory, number), 0);
            if (SCR_COUNT) {
                if (need != 0 && threadIdx.x % 32 == 0)
                    atomicOr(&memory.used[at.stage], 1u);
                free_k(at);
                count_slices += SCR_SKIP == SKIP_SLICE ? __popc(need) : need;
            }
            if (need != 0)
                break;
            if (PREFETCH_V)
                barrier_wait(shared_address(&memory.full_v[at.stage]), at.parity);
            free_v(at);
        }
        if (need == 0)
            break;

        const int j0 = tile * TILE_K;
        const unsigned v = v_tile(memory, PREFETCH_V ? at.stage : number);
        const unsigned full_v = shared_address(&memory.full_v[PREFETCH_V ? at.stage : number]);

        if (!PREFETCH_V) {
            if (SCR_SKIP == SKIP_NONE)
                threads_sync(1 + number, 128); /* all have done with the tile before */
            if (threadIdx.x % 128 == 0)
                start_copy<DV, TILE_K>(v, &v_map, j0, head_kv, full_v);
        }
        if (win.open)
            weigh<true>(g, rel, win, memory.column, j0);
        else
            weigh<false>(g, rel, win, memory.column, j0);
        barrier_wait(full_v, PREFETCH_V ? at.parity : v_parity);
        v_parity ^= 1u;
        if (j0 + TILE_K > win.n_keys && win.n_keys < shape.len_k)
            clear_values(&memory.tiles[v - shared_address(memory.tiles)], win.n_keys - j0, number);
        product_fence();
        start_values(g, v, need);
        product_commit();
        under_way = true;
        before = at;
        tile += KEY_GROUPS;
        at = at.after(KEY_GROUPS);
    }
    finish(g);
    if (under_way)
        free_v(before);
    pass(end);

    if (KEY_GROUPS > 1)
        add_parts(memory, g, number);
    if (number % KEY_GROUPS == 0) {
        float(&acc)[1][DV / 8][4] = reinterpret_cast<float(&)[1][DV / 8][4]>(g.o);

        if (SPLIT_K > 1)
            store_part(workspace + part_at(shape, block % SPLIT_K, head), acc, warp_row0,
                       shape.len_q, rel.unscale);
        else
            store_rows(o + head * shape.len_q * DV, acc, warp_row0, shape.len_q, rel.unscale,
                       shape.flags & SCR_SHAPE_TANH_NORM);
    }
    if (SCR_COUNT && threadIdx.x % 128 == 0)
        atomicAdd(&count[COUNT_PV_SLICES], count_slices);
}
