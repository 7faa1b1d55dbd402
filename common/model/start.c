/* Which numbers of a model come from a checkpoint, and what their hash is. */
#include "common/model/model.h"

bool model_starts(const struct study_start *start, const struct param *p)
{
    bool fresh = false;
    for (size_t i = 0; i < start->n_fresh; i++) {
        fresh = fresh || param_is_in(p, start->fresh[i]);
    }
    return p->scope == PARAM_SHARED && !fresh;
}

struct hash model_start_hash(const struct model *m, const struct study_start *start,
                             const real *params)
{
    struct hasher h;
    hasher_init(&h);
    for (size_t i = 0; i < m->table.n; i++) {
        const struct param *p = &m->table.param[i];
        if (model_starts(start, p)) {
            hasher_bytes(&h, params + p->offset, p->size * sizeof *params);
        }
    }
    return hasher_final(&h);
}
