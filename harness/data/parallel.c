/* SPDX-License-Identifier: Apache-2.0 */
#include "parallel.h"

#include <pthread.h>

enum { MAX_THREADS = 256 };

struct job {
    size_t n, next;
    void (*body)(void *user, size_t i);
    void *user;
};

static void *take_part(void *arg)
{
    struct job *job = arg;

    for (;;) {
        size_t i = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED);

        if (i >= job->n)
            return NULL;
        job->body(job->user, i);
    }
}

void scr_parallel_for(int threads, size_t n, void (*body)(void *user, size_t i), void *user)
{
    struct job job = {.n = n, .body = body, .user = user};
    pthread_t started[MAX_THREADS];
    int n_started = 0;

    while (n_started < MAX_THREADS && n_started + 1 < threads && (size_t)n_started + 1 < n) {
        if (pthread_create(&started[n_started], NULL, take_part, &job) != 0)
            break;
        n_started++;
    }
    take_part(&job);
    for (int i = 0; i < n_started; i++)
        pthread_join(started[i], NULL);
}
