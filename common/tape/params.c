#include "common/tape/params.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"

enum rc param_add(struct param_table *t, const char *name, enum param_scope scope,
                  enum param_init init, size_t rank, const size_t *dims, struct param_id *out,
                  struct error *err)
{
    assert(rank >= 1);
    assert(rank <= PARAM_RANK_MAX);
    assert(t->P == 0);
    if (t->n == PARAM_MAX) {
        return error_set(err, RC_LIMIT, "a model has at most %d parameter slices", PARAM_MAX);
    }
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->param[i].name, name) == 0) {
            return error_set(err, RC_INVALID, "parameter '%s' is declared twice", name);
        }
    }
    if (t->n == t->room) {
        const size_t room = t->room == 0 ? 16 : 2 * t->room;
        struct param *more = realloc(t->param, room * sizeof *more);
        if (more == NULL) {
            return error_set(err, RC_NOMEM, "no memory for the parameter table");
        }
        t->param = more;
        t->room = room;
    }
    struct param p = {.scope = scope, .init = init, .rank = rank, .size = 1};
    if (snprintf(p.name, sizeof p.name, "%s", name) >= (int)sizeof p.name) {
        return error_set(err, RC_LIMIT, "parameter name '%.40s…' is too long", name);
    }
    for (size_t i = 0; i < rank; i++) {
        assert(dims[i] > 0);
        p.dim[i] = dims[i];
        p.size *= dims[i];
    }
    t->param[t->n] = p;
    out->i = t->n++;
    return RC_OK;
}

void param_table_seal(struct param_table *t)
{
    size_t at = 0;
    for (int scope = PARAM_SHARED; scope <= PARAM_SITE; scope++) {
        for (size_t i = 0; i < t->n; i++) {
            if ((int)t->param[i].scope == scope) {
                t->param[i].offset = at;
                at += t->param[i].size;
            }
        }
        if (scope == PARAM_SHARED) {
            t->S = at;
        }
    }
    t->P = at;
}

void param_table_release(struct param_table *t)
{
    free(t->param);
    *t = (struct param_table){0};
}

const struct param *param_at(const struct param_table *t, struct param_id id)
{
    assert(id.i < t->n);
    return &t->param[id.i];
}

bool param_is_in(const struct param *p, const char *block)
{
    const size_t n = strlen(block);
    return strncmp(p->name, block, n) == 0 && (p->name[n] == '\0' || p->name[n] == '.');
}

bool param_decays(const struct param *p)
{
    const char *dot = strrchr(p->name, '.');
    return !p->frozen && p->rank >= 2 && strcmp(dot == NULL ? p->name : dot + 1, "bias") != 0;
}

void param_init_values(const struct param_table *t, uint64_t seed, real *params)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct param *p = &t->param[i];
        real *v = params + p->offset; /* [size] */
        struct rng r;
        char stream[sizeof "weights " + PARAM_NAME_MAX];
        (void)snprintf(stream, sizeof stream, "weights %s", p->name);
        rng_init(&r, seed, stream);
        const double bound = sqrt(3.0 / (double)p->dim[p->rank - 1]);
        for (size_t j = 0; j < p->size; j++) {
            switch (p->init) {
            case PARAM_ZERO:
                v[j] = 0;
                break;
            case PARAM_ONE:
                v[j] = 1;
                break;
            case PARAM_GATES:
                v[j] = j / (p->size / 4) == 1 ? 1 : 0;
                break;
            case PARAM_FAN_IN:
                v[j] = (real)(bound * (2.0 * rng_uniform(&r) - 1.0));
                break;
            }
        }
    }
}
