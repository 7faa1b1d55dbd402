#include <stdlib.h>
#include <string.h>

#include <mpi.h>
#include <poll.h>

#include "sim/sweep/ranks_internal.h"

enum tag { WANT = 1, DONE, BYE, WORLD };

/* Before what a world left behind. */
struct head {
    uint64_t world, rc;
    double seconds;
};

static bool begun; /* MPI is one for a process, whoever asks */

enum rc sweep_ranks_begin(struct error *err)
{
    int level = MPI_THREAD_SINGLE;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level) != MPI_SUCCESS ||
        level < MPI_THREAD_SERIALIZED) {
        return error_set(err, RC_STATE, "this MPI does not let several threads call it in turn");
    }
    begun = true;
    return RC_OK;
}

static int ask(int (*question)(MPI_Comm, int *))
{
    int answer = 0;
    (void)question(MPI_COMM_WORLD, &answer);
    return answer;
}

size_t sweep_rank(void)
{
    return begun ? (size_t)ask(MPI_Comm_rank) : 0;
}

size_t sweep_ranks(void)
{
    return begun ? (size_t)ask(MPI_Comm_size) : 1;
}

void sweep_ranks_end(bool failed)
{
    if (begun && failed && sweep_ranks() > 1) {
        (void)MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE); /* the others wait for what will not come */
    }
    if (begun) {
        (void)MPI_Finalize();
    }
    begun = false;
}

void ranks_share_plans(struct sweep_plan *plan, size_t n)
{
    if (sweep_ranks() > 1) {
        (void)MPI_Bcast(plan, (int)(n * sizeof *plan), MPI_BYTE, 0, MPI_COMM_WORLD);
    }
}

/* ---- rank 0 ---------------------------------------------------------------------------------- */

static enum rc take_in(struct pool *pool, int from, unsigned char *bytes, int n, struct error *err)
{
    struct head head;
    if ((size_t)n < sizeof head) {
        return error_set(err, RC_FORMAT, "rank %d sent %d bytes for a world", from, n);
    }
    memcpy(&head, bytes, sizeof head);
    if (head.world >= sweep_worlds(pool->s)) {
        return error_set(err, RC_FORMAT, "rank %d speaks of a world that there is not", from);
    }
    struct sweep_world w = pool_world(pool, (size_t)head.world);
    struct error why = {0};
    enum rc rc = (enum rc)head.rc;
    if (rc == RC_OK) {
        rc = sweep_outcome_unpack(&w, bytes + sizeof head, (size_t)n - sizeof head, &why);
    } else {
        rc = error_set(&why, rc, "rank %d: %.*s", from, n - (int)sizeof head,
                       (const char *)bytes + sizeof head);
    }
    pool->seconds[head.world] = head.seconds;
    pool_finish(pool, (size_t)head.world, rc, &w, &why);
    return RC_OK;
}

static enum rc answer(struct pool *pool, const MPI_Status *asked, bool *bye, struct error *err)
{
    int n = 0;
    enum rc rc = RC_OK;
    (void)MPI_Get_count(asked, MPI_BYTE, &n);
    unsigned char *bytes = malloc((size_t)n + 1);
    if (bytes == NULL) {
        return error_set(err, RC_NOMEM, "no memory for a message of %d bytes", n);
    }
    (void)MPI_Recv(bytes, n, MPI_BYTE, asked->MPI_SOURCE, asked->MPI_TAG, MPI_COMM_WORLD,
                   MPI_STATUS_IGNORE);
    if (asked->MPI_TAG == WANT) {
        size_t world = 0;
        const uint64_t next = pool_take(pool, &world) ? world : RANKS_STOP;
        (void)MPI_Send(&next, sizeof next, MPI_BYTE, asked->MPI_SOURCE, WORLD, MPI_COMM_WORLD);
    } else if (asked->MPI_TAG == DONE) {
        rc = take_in(pool, asked->MPI_SOURCE, bytes, n, err);
    }
    *bye = asked->MPI_TAG == BYE;
    free(bytes);
    return rc;
}

enum rc ranks_serve(struct pool *pool, struct error *err)
{
    size_t left = sweep_ranks() - 1;
    enum rc rc = RC_OK;
    while (rc == RC_OK && left > 0) {
        MPI_Status asked;
        int there = 0;
        bool bye = false;
        (void)MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &asked);
        if (!there) {
            (void)poll(NULL, 0, 1); /* a blocking receive would turn in circles on a processor */
            continue;
        }
        rc = answer(pool, &asked, &bye, err);
        left -= bye ? 1 : 0;
    }
    return rc;
}

/* ---- the others ------------------------------------------------------------------------------ */

bool ranks_take(struct pool *pool, size_t *world)
{
    uint64_t next = RANKS_STOP;
    (void)pool;
    (void)MPI_Send(&next, 0, MPI_BYTE, 0, WANT, MPI_COMM_WORLD);
    (void)MPI_Recv(&next, sizeof next, MPI_BYTE, 0, WORLD, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    *world = (size_t)next;
    return next != RANKS_STOP;
}

void ranks_give(struct pool *pool, size_t world, enum rc rc, const struct sweep_world *w,
                const struct error *err)
{
    const size_t n = rc == RC_OK ? sweep_outcome_bytes(w) : strlen(err->text);
    struct head head = {.world = world, .rc = rc, .seconds = pool->seconds[world]};
    unsigned char *bytes = malloc(sizeof head + n + 1);
    if (bytes == NULL) {
        (void)MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
        return;
    }
    memcpy(bytes, &head, sizeof head);
    if (rc == RC_OK) {
        sweep_outcome_pack(w, bytes + sizeof head);
    } else {
        memcpy(bytes + sizeof head, err->text, n);
    }
    (void)MPI_Send(bytes, (int)(sizeof head + n), MPI_BYTE, 0, DONE, MPI_COMM_WORLD);
    free(bytes);
}

void ranks_bye(void)
{
    (void)MPI_Send(NULL, 0, MPI_BYTE, 0, BYE, MPI_COMM_WORLD);
}
