/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocks of threads of a GPU that does not exist: each thread is a context of its own, one runs
 * at a time, and it changes hands only where a thread waits for others. In which order they run,
 * when a copy lands and when a product is done is drawn at random, within what the programming
 * model allows; threads that wait for each other in vain are reported, and end the process.
 *
 * What no stand-in can show: the speed of anything, data races within a warp's instruction, and
 * fences between ordinary and asynchronous accesses that are missing.
 */
#ifndef SCR_HOST_GPU_MACHINE_H
#define SCR_HOST_GPU_MACHINE_H

#include <cstddef>
#include <cstdint>

namespace host_gpu
{

struct index3 {
    unsigned x, y, z;
};

enum { WARP = 32, WARPGROUP = 128, SHARED_BYTES = 227 * 1024 };

/* Of the thread that runs now. */
extern index3 thread_index, block_index, block_size, grid_size;
/* Of the block that runs now; holds NaNs when it starts. */
extern unsigned char shared_memory[SHARED_BYTES] __attribute__((aligned(1024)));

/* A launch: `body` once a thread, with the user pointer. Returns when all blocks are done. */
void run_grid(index3 grid, index3 block, size_t shared_bytes, void (*body)(void *), void *user);

/*
 * All n threads of a unit (WARP, WARPGROUP) meet here, the last one runs `all` on what each
 * brought, in order of the threads. Threads of one unit that meet for different ends are reported.
 */
void meet(int n, void *mine, void (*all)(void **brought, int n, int unit));

/* Barrier `id` of the block: n threads, and whether any of them says so. */
bool block_barrier(int id, int n, bool mine);
/* As above, for all threads of the block that have not ended. */
bool block_barrier_all(bool mine);

/* Barriers in shared memory, by address. */
void barrier_init(unsigned address, unsigned arrivals);
void barrier_arrive(unsigned address, unsigned expected_bytes);
void barrier_wait(unsigned address, unsigned parity);

/* Does `work(arg)` at some time before a thread waits in vain; then barrier has that many bytes. */
void later(void (*work)(void *arg), void *arg, unsigned barrier, unsigned bytes);

/*
 * The same of a product of a warpgroup. It belongs to the group of products that the next
 * commit_products closes, and is done at the latest when all but `pending` of the groups that are
 * closed must be; finish_products is for the running thread's warpgroup.
 */
void start_product(int unit, void (*work)(void *arg), void *arg);
void commit_products(int unit);
void finish_products(unsigned pending);

/* Ends the process with a message that names block and thread. */
[[noreturn]] void fail(const char *what);

} // namespace host_gpu

#endif
