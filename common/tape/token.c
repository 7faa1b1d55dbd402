/* A learned token in the place of what is absent. */
#include <string.h>

#include "common/tape/tape_internal.h"

static void token_form(const struct book_entry *e, size_t b, real *dst)
{
    for (size_t d = 0; (e->present == NULL || !e->present[b]) && d < e->D; d++) {
        dst[d] += e->G[b * e->D + d];
    }
}

const struct book_rule BOOK_TOKEN = {.name = "token", .form = token_form};

static void token_sweep(struct tape *t, struct node *n)
{
    const uint8_t *present = n->aux;
    if (present == NULL) {
        return;
    }
    const size_t D = shape_last(&n->shape);
    for (size_t b = 0; b < t->B; b++) {
        for (size_t d = 0; present[b] && d < D; d++) {
            n->in[0]->g[b * D + d] += n->g[b * D + d];
        }
    }
}

struct node *tape_token(struct tape *t, struct node *x, struct param_id token,
                        const uint8_t *present)
{
    if (x == NULL) {
        return NULL;
    }
    const struct param *p = param_at(t->table, token);
    const size_t D = shape_last(&x->shape);
    if (x->shape.rank != 2 || !param_is_vector(p, D)) {
        return tape_unfit(t, "learned token", x, p);
    }
    struct node *n = tape_push(t, x->shape, 1, &x, token_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->aux = present;
    if (!tape_measuring(t)) {
        const real *learned = tape_slice(t, p);
        for (size_t b = 0; b < t->B; b++) {
            const bool have = present != NULL && present[b];
            memcpy(n->v + b * D, have ? x->v + b * D : learned, D * sizeof *n->v);
        }
    }
    tape_enter(t, n,
               (struct book_entry){.rule = &BOOK_TOKEN,
                                   .param = token,
                                   .T = 1,
                                   .D = D,
                                   .O = D,
                                   .of = n,
                                   .present = present});
    return n;
}
