/* The backward sweep: gradients of the nodes, last recorded first. */
#include <assert.h>
#include <string.h>

#include "common/tape/tape_internal.h"

void tape_pass_gradient(struct node *to, const struct node *from)
{
    const size_t n = shape_size(&from->shape);
    for (size_t i = 0; i < n; i++) {
        to->g[i] += from->g[i];
    }
}

static void start_gradients(struct tape *t)
{
    for (size_t i = 0; i < t->n_nodes; i++) {
        struct node *n = &t->node[i];
        const size_t size = shape_size(&n->shape);
        n->g = tape_take(t, size);
        if (!tape_measuring(t)) {
            memset(n->g, 0, size * sizeof *n->g);
        }
    }
}

void tape_backward(struct tape *t, struct node *loss)
{
    assert(t->err.rc == RC_OK);
    assert(loss == &t->node[t->n_nodes - 1]);
    assert(loss->shape.rank == 2);
    assert(shape_last(&loss->shape) == 1);
    start_gradients(t);
    for (size_t b = 0; b < t->B && !tape_measuring(t); b++) {
        loss->g[b] = 1;
    }
    for (size_t i = t->n_nodes; i > 0; i--) {
        struct node *n = &t->node[i - 1];
        const size_t mark = tape_mark(t);
        t->work = tape_take(t, n->n_work);
        if (n->backward != NULL && !tape_measuring(t)) {
            n->backward(t, n);
        }
        tape_rewind(t, mark);
    }
    for (size_t i = 0; i < t->n_entries; i++) {
        struct book_entry *e = &t->entry[i];
        if (e->of != NULL) {
            e->G = e->of->g;
        }
    }
}
