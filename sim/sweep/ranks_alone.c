/* A build without MPI. */
#include "sim/sweep/ranks_internal.h"

enum rc sweep_ranks_begin(struct error *err)
{
    (void)err;
    return RC_OK;
}

size_t sweep_rank(void)
{
    return 0;
}

size_t sweep_ranks(void)
{
    return 1;
}

void sweep_ranks_end(bool failed)
{
    (void)failed;
}

void ranks_share_plans(struct sweep_plan *plan, size_t n)
{
    (void)plan;
    (void)n;
}

enum rc ranks_serve(struct pool *pool, struct error *err)
{
    (void)pool;
    (void)err;
    return RC_OK;
}

bool ranks_take(struct pool *pool, size_t *world)
{
    (void)pool;
    (void)world;
    return false; /* nobody has another rank than 0 */
}

void ranks_give(struct pool *pool, size_t world, enum rc rc, const struct sweep_world *w,
                const struct error *err)
{
    (void)pool;
    (void)world;
    (void)rc;
    (void)w;
    (void)err;
}

void ranks_bye(void) {}
