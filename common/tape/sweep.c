/*
 * The backward sweep: gradients of the nodes, last recorded first.
 *
 * A node's gradient is needed from the sweep of its first consumer to its own, and after it only where
 * an entry of the books reads it. So gradients take turns in a few pieces of memory. Where a node has
 * one consumer that passes its gradient on unchanged, or changes it number by number, both share one.
 * While measuring the same happens without memory, so the foretold cost is exact.
 */
#include <assert.h>
#include <string.h>

#include "common/tape/tape_internal.h"

static void hold(struct tape *t, struct node *n, size_t memory)
{
    struct gradient_memory *m = &t->memory[memory];
    m->users++;
    m->kept = m->kept || n->booked;
    n->memory = memory;
    n->g = m->g;
}

static void let_go(struct tape *t, const struct node *n)
{
    struct gradient_memory *m = &t->memory[n->memory];
    m->users--;
    if (m->users == 0 && !m->kept) {
        t->free[t->n_free++] = n->memory;
    }
}

/* The smallest free piece that is large enough, but not more than four times so; or a new one. */
static void take_memory(struct tape *t, struct node *n)
{
    const size_t need = shape_size(&n->shape);
    size_t best = t->n_free;
    for (size_t i = 0; i < t->n_free; i++) {
        const size_t have = t->memory[t->free[i]].n;
        if (have >= need && have / 4 <= need &&
            (best == t->n_free || have < t->memory[t->free[best]].n)) {
            best = i;
        }
    }
    if (best < t->n_free) {
        const size_t memory = t->free[best];
        t->free[best] = t->free[--t->n_free];
        hold(t, n, memory);
    } else {
        t->n_memory++;
        t->memory[t->n_memory] = (struct gradient_memory){.g = tape_take(t, need), .n = need};
        hold(t, n, t->n_memory);
    }
    n->fresh = true;
}

static void zero_if_fresh(const struct tape *t, struct node *n)
{
    if (n->fresh && !tape_measuring(t)) {
        memset(n->g, 0, shape_size(&n->shape) * sizeof *n->g);
    }
    n->fresh = false;
}

/* x is read by nobody else and its gradient has not begun: it may have n's memory. */
static bool may_share(const struct node *x)
{
    return x->memory == 0 && x->uses == 1;
}

static void pass_on(struct tape *t, const struct node *n, struct node *x)
{
    if (may_share(x)) {
        hold(t, x, n->memory);
        return;
    }
    if (x->memory == 0) {
        take_memory(t, x);
    }
    if (!tape_measuring(t) && x->fresh) {
        memcpy(x->g, n->g, shape_size(&n->shape) * sizeof *x->g);
    } else if (!tape_measuring(t)) {
        const size_t size = shape_size(&n->shape);
        for (size_t i = 0; i < size; i++) {
            x->g[i] += n->g[i];
        }
    }
    x->fresh = false;
}

static bool among(struct node *const *in, size_t k, const struct node *x)
{
    for (size_t i = 0; i < k; i++) {
        if (in[i] == x) {
            return true;
        }
    }
    return false;
}

/* Memory for the gradients of n's inputs, as its sweep expects it. */
static void prepare(struct tape *t, const struct node *n)
{
    for (size_t k = 0; k < TAPE_INPUTS_MAX && n->in[k] != NULL; k++) {
        struct node *x = n->in[k];
        if (!x->wants && n->flow != FLOW_ADDS) {
            continue;
        }
        const struct gradient_memory *m = &t->memory[n->memory];
        if (n->flow == FLOW_IN_PLACE && may_share(x) && m->users == 1 && !m->kept) {
            hold(t, x, n->memory);
            x->fresh = true;
        } else if (x->memory == 0) {
            take_memory(t, x);
        }
        if (n->flow == FLOW_ADDS || among(n->in, k, x)) {
            zero_if_fresh(t, x);
        }
    }
}

static void sweep_node(struct tape *t, struct node *n)
{
    if (n->memory == 0) { /* recorded and never used: the gradient is zero */
        take_memory(t, n);
        zero_if_fresh(t, n);
    }
    if (n->flow == FLOW_SAME) {
        for (size_t k = 0; k < TAPE_INPUTS_MAX && n->in[k] != NULL; k++) {
            if (n->in[k]->wants) {
                pass_on(t, n, n->in[k]);
            }
        }
    } else {
        prepare(t, n);
        const size_t mark = tape_mark(t);
        t->work = tape_take(t, n->n_work);
        if (n->backward != NULL && !tape_measuring(t)) {
            n->backward(t, n);
        }
        tape_rewind(t, mark);
        for (size_t k = 0; k < TAPE_INPUTS_MAX && n->in[k] != NULL; k++) {
            n->in[k]->fresh = false;
        }
    }
    let_go(t, n);
}

void tape_backward(struct tape *t, struct node *loss)
{
    assert(t->err.rc == RC_OK);
    assert(loss == &t->node[t->n_nodes - 1]);
    assert(loss->shape.rank == 2);
    assert(shape_last(&loss->shape) == 1);
    t->n_memory = 0;
    t->n_free = 0;
    t->memory[0] = (struct gradient_memory){0};
    take_memory(t, loss);
    for (size_t b = 0; b < t->B && !tape_measuring(t); b++) {
        loss->g[b] = 1;
    }
    loss->fresh = false;
    for (size_t i = t->n_nodes; i > 0; i--) {
        struct node *n = &t->node[i - 1];
        if (n->wants) {
            sweep_node(t, n);
        } else if (n->memory != 0) { /* a sweep wrote to it that leaves nothing out */
            let_go(t, n);
        }
    }
    for (size_t i = 0; i < t->n_entries; i++) {
        struct book_entry *e = &t->entry[i];
        if (e->of != NULL) {
            e->G = e->of->g;
        }
    }
}
