#include "common/dp/crew.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <pthread.h>

/* Looks at a number before sleeping; on the machines of 2025 about 50 us. Longer than between two jobs of a
 * step; shorter than the noise or the batch that come between two steps of a real study. */
enum { LOOKS = 4000 };

struct member {
    struct crew *crew;
    size_t number;
    pthread_t thread;
};

/* The job is written by crew_do while `left` is 0, and read by who has taken a piece of it: between the two
 * stands `left`, and between the reading and the next job `done`. */
struct crew {
    crew_piece *piece;
    void *ctx;
    size_t n;
    atomic_size_t left; /* pieces that nobody has taken: n - left is the next */
    atomic_size_t done;
    atomic_size_t asleep; /* members that wait for `begin` */
    atomic_bool stop;

    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    bool waited_for; /* guarded by the lock: crew_do waits for `end` */

    struct member member[CREW_MAX];
    size_t n_threads; /* started beside the caller's */
};

/* Tells the processor that this is a loop that waits. */
#if defined(__x86_64__)
static void relax(void)
{
    __builtin_ia32_pause();
}
#elif defined(__aarch64__)
static void relax(void)
{
    __asm__ volatile("yield");
}
#else
static void relax(void) {}
#endif

static void finished(struct crew *c)
{
    const size_t n = c->n; /* of this job: after the last piece there may be another */
    if (atomic_fetch_add(&c->done, 1) + 1 == n) {
        (void)pthread_mutex_lock(&c->lock);
        if (c->waited_for) {
            (void)pthread_cond_signal(&c->end);
        }
        (void)pthread_mutex_unlock(&c->lock);
    }
}

static void take_pieces(struct crew *c, size_t number)
{
    size_t left = atomic_load(&c->left);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&c->left, &left, left - 1)) {
            c->piece(c->ctx, number, c->n - left);
            finished(c);
            left = atomic_load(&c->left);
        }
    }
}

static bool idle(struct crew *c)
{
    return atomic_load(&c->left) == 0 && !atomic_load(&c->stop);
}

/* Whoever publishes a job looks at `asleep` after `left`; here it is the other way round, so one of the
 * two sees the other. */
static void wait_for_work(struct crew *c)
{
    for (size_t i = 0; i < LOOKS && idle(c); i++) {
        relax();
    }
    if (!idle(c)) {
        return;
    }
    (void)pthread_mutex_lock(&c->lock);
    (void)atomic_fetch_add(&c->asleep, 1);
    while (idle(c)) {
        (void)pthread_cond_wait(&c->begin, &c->lock);
    }
    (void)atomic_fetch_sub(&c->asleep, 1);
    (void)pthread_mutex_unlock(&c->lock);
}

static void *work(void *arg)
{
    const struct member *m = arg;
    while (!atomic_load(&m->crew->stop)) {
        take_pieces(m->crew, m->number);
        wait_for_work(m->crew);
    }
    return NULL;
}

static void wake(struct crew *c)
{
    if (atomic_load(&c->asleep) > 0) {
        (void)pthread_mutex_lock(&c->lock);
        (void)pthread_cond_broadcast(&c->begin);
        (void)pthread_mutex_unlock(&c->lock);
    }
}

static void wait_for_the_last(struct crew *c)
{
    for (size_t i = 0; i < LOOKS && atomic_load(&c->done) < c->n; i++) {
        relax();
    }
    if (atomic_load(&c->done) == c->n) {
        return;
    }
    (void)pthread_mutex_lock(&c->lock);
    c->waited_for = true;
    while (atomic_load(&c->done) < c->n) {
        (void)pthread_cond_wait(&c->end, &c->lock);
    }
    c->waited_for = false;
    (void)pthread_mutex_unlock(&c->lock);
}

void crew_do(struct crew *c, crew_piece *piece, void *ctx, size_t n)
{
    if (c->n_threads == 0 || n < 2) {
        for (size_t i = 0; i < n; i++) {
            piece(ctx, 0, i);
        }
        return;
    }
    assert(atomic_load(&c->left) == 0);
    c->piece = piece;
    c->ctx = ctx;
    c->n = n;
    atomic_store(&c->done, 0);
    atomic_store(&c->left, n);
    wake(c);
    take_pieces(c, 0);
    wait_for_the_last(c);
}

enum rc crew_open(size_t threads, struct crew **out, struct error *err)
{
    assert(threads > 0);
    if (threads > CREW_MAX) {
        return error_set(err, RC_LIMIT, "%zu threads; at most %d", threads, CREW_MAX);
    }
    struct crew *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return error_set(err, RC_NOMEM, "no memory for threads");
    }
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->begin, NULL);
    (void)pthread_cond_init(&c->end, NULL);
    for (size_t i = 1; i < threads; i++) {
        c->member[i] = (struct member){.crew = c, .number = i};
        if (pthread_create(&c->member[i].thread, NULL, work, &c->member[i]) != 0) {
            crew_close(&c);
            return error_set(err, RC_NOMEM, "no more threads");
        }
        c->n_threads++;
    }
    *out = c;
    return RC_OK;
}

void crew_close(struct crew **cp)
{
    struct crew *c = *cp;
    if (c == NULL) {
        return;
    }
    atomic_store(&c->stop, true);
    wake(c);
    for (size_t i = 1; i <= c->n_threads; i++) {
        (void)pthread_join(c->member[i].thread, NULL);
    }
    (void)pthread_cond_destroy(&c->begin);
    (void)pthread_cond_destroy(&c->end);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
    *cp = NULL;
}
