/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <ucontext.h>
#include <vector>

namespace host_gpu
{

index3 thread_index, block_index, block_size, grid_size;
unsigned char shared_memory[SHARED_BYTES] __attribute__((aligned(1024)));

namespace
{

enum { STACK_BYTES = 256 * 1024, N_BARRIERS = 17 };

struct meeting {
    void **brought = nullptr;
    void (*all)(void **, int, int) = nullptr;
    std::vector<void *> slots;
    int n = 0;
    unsigned held = 0; /* how many there have been */
};

struct group_barrier {
    int n = 0, want = 0;
    bool any = false, result = false;
    unsigned held = 0;
};

struct copy_barrier {
    unsigned arrivals = 0, pending = 0;
    long bytes = 0;
    unsigned phase = 0;

    void settle()
    {
        if (pending == 0 && bytes == 0) {
            phase ^= 1u;
            pending = arrivals;
        }
    }
};

struct task {
    void (*work)(void *);
    void *arg;
    unsigned barrier, bytes;
};

struct thread {
    ucontext_t context;
    std::unique_ptr<unsigned char[]> stack;
    bool done;
    /* What it waits for: a counter that changes, or the phase of a barrier. */
    const unsigned *counter;
    unsigned value;
    bool waits;
};

std::vector<std::unique_ptr<thread>> threads;
size_t n_threads, n_done, running;
ucontext_t scheduler;
void (*body)(void *);
void *body_user;
meeting warps[64], warpgroups[16];
group_barrier barriers[N_BARRIERS];
std::map<unsigned, copy_barrier> copy_barriers;
std::vector<task> copies;
std::vector<task> products[16]; /* `bytes` is the number of the group */
unsigned closed[16];            /* groups of each warpgroup */
uint64_t random_state = 1;

unsigned draw(unsigned below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % below;
}

void enter()
{
    body(body_user);
    threads[running]->done = true;
    n_done++;
    swapcontext(&threads[running]->context, &scheduler);
}

void wait_for(const unsigned *counter, unsigned value)
{
    thread &t = *threads[running];

    while (*counter == value) {
        t.waits = true;
        t.counter = counter;
        t.value = value;
        swapcontext(&t.context, &scheduler);
    }
    t.waits = false;
}

void land(size_t i)
{
    task t = copies[i];

    copies[i] = copies.back();
    copies.pop_back();
    t.work(t.arg);
    copy_barriers[t.barrier].bytes -= t.bytes;
    copy_barriers[t.barrier].settle();
}

void switch_to(size_t i)
{
    running = i;
    thread_index = {(unsigned)(i % block_size.x), (unsigned)(i / block_size.x % block_size.y),
                    (unsigned)(i / block_size.x / block_size.y)};
    swapcontext(&scheduler, &threads[i]->context);
}

void run_block()
{
    for (size_t i = 0; i < n_threads; i++) {
        if (i == threads.size()) {
            threads.push_back(std::make_unique<thread>());
            threads[i]->stack = std::make_unique<unsigned char[]>(STACK_BYTES);
        }
        thread &t = *threads[i];

        getcontext(&t.context);
        t.context.uc_stack.ss_sp = t.stack.get();
        t.context.uc_stack.ss_size = STACK_BYTES;
        t.context.uc_link = nullptr;
        makecontext(&t.context, enter, 0);
        t.done = t.waits = false;
    }
    n_done = 0;
    copy_barriers.clear();
    for (auto &m : warps)
        m.n = 0;
    for (auto &m : warpgroups)
        m.n = 0;
    for (auto &b : barriers)
        b.n = 0;
    memset(shared_memory, 0xff, sizeof shared_memory);
    while (n_done < n_threads) {
        const size_t start = draw((unsigned)n_threads);
        const bool backwards = draw(2) != 0;
        bool progress = false;

        for (size_t n = 0; n < n_threads; n++) {
            size_t i = (start + (backwards ? n_threads - n : n)) % n_threads;
            thread &t = *threads[i];

            if (t.done || (t.waits && *t.counter == t.value))
                continue;
            progress = true;
            switch_to(i);
        }
        for (size_t i = copies.size(); i-- > 0;) {
            if (!progress || draw(4) == 0) {
                progress = true;
                land(i);
            }
        }
        if (!progress)
            fail("the threads that are left wait for each other");
    }
    if (!copies.empty())
        fail("the block ended before its copies");
    for (auto &p : products) {
        if (!p.empty())
            fail("the block ended before its products");
    }
}

} // namespace

void fail(const char *what)
{
    fprintf(stderr, "host GPU: %s (block %u,%u,%u thread %u)\n", what, block_index.x, block_index.y,
            block_index.z, (unsigned)running);
    abort();
}

void run_grid(index3 grid, index3 block, size_t shared_bytes, void (*run)(void *), void *user)
{
    if (shared_bytes > SHARED_BYTES)
        fail("more shared memory than there is");
    block_size = block;
    grid_size = grid;
    n_threads = (size_t)block.x * block.y * block.z;
    body = run;
    body_user = user;
    for (unsigned z = 0; z < grid.z; z++) {
        for (unsigned y = 0; y < grid.y; y++) {
            for (unsigned x = 0; x < grid.x; x++) {
                block_index = {x, y, z};
                run_block();
            }
        }
    }
}

void meet(int n, void *mine, void (*all)(void **brought, int n, int unit))
{
    const int unit = (int)running / n;
    meeting &m = n == WARP ? warps[unit] : warpgroups[unit];
    const unsigned held = m.held;

    if (m.n == 0) {
        m.slots.assign((size_t)n, nullptr);
        m.all = all;
    }
    if (m.all != all)
        fail("threads of a warp or warpgroup are at different instructions");
    m.slots[running % (size_t)n] = mine;
    m.n++;
    if (m.n < n) {
        wait_for(&m.held, held);
        return;
    }
    all(m.slots.data(), n, unit);
    m.n = 0;
    m.held++;
}

bool block_barrier(int id, int n, bool mine)
{
    group_barrier &b = barriers[id];
    const unsigned held = b.held;

    if (b.n == 0) {
        b.want = n;
        b.any = false;
    }
    if (b.want != n)
        fail("threads expect different numbers at a barrier");
    b.any |= mine;
    if (++b.n < n) {
        wait_for(&b.held, held);
    } else {
        b.result = b.any;
        b.n = 0;
        b.held++;
    }
    return b.result;
}

bool block_barrier_all(bool mine)
{
    return block_barrier(0, (int)n_threads, mine);
}

void barrier_init(unsigned address, unsigned arrivals)
{
    if (address % 8 != 0)
        fail("a barrier that is not aligned");
    copy_barriers[address] = {arrivals, arrivals, 0, 0};
}

static copy_barrier &at(unsigned address)
{
    auto found = copy_barriers.find(address);

    if (found == copy_barriers.end())
        fail("a barrier that was not made");
    return found->second;
}

void barrier_arrive(unsigned address, unsigned expected_bytes)
{
    copy_barrier &b = at(address);

    if (b.pending == 0)
        fail("more threads arrive at a barrier than it has room for");
    b.pending--;
    b.bytes += expected_bytes;
    b.settle();
}

void barrier_wait(unsigned address, unsigned parity)
{
    copy_barrier &b = at(address);

    if (b.phase == parity)
        wait_for(&b.phase, parity);
}

void later(void (*work)(void *), void *arg, unsigned barrier, unsigned bytes)
{
    at(barrier);
    copies.push_back({work, arg, barrier, bytes});
}

void start_product(int unit, void (*work)(void *), void *arg)
{
    products[unit].push_back({work, arg, 0, closed[unit]});
}

void commit_products(int unit)
{
    closed[unit]++;
}

void finish_products(unsigned pending)
{
    const size_t unit = running / WARPGROUP;
    auto &mine = products[unit];
    size_t n = 0;

    while (n < mine.size() && mine[n].bytes + pending < closed[unit])
        n++;
    for (size_t i = 0; i < n; i++)
        mine[i].work(mine[i].arg);
    mine.erase(mine.begin(), mine.begin() + (long)n);
}

} // namespace host_gpu
