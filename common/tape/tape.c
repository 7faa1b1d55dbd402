/* Recording: nodes, lines of the books, memory, shapes. */
#include "common/tape/tape.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/tape/tape_internal.h"

void tape_start(struct tape *t, struct arena *arena, const struct param_table *table,
                const real *params, size_t B)
{
    t->arena = arena;
    t->used = 0;
    t->cost = 0;
    t->table = table;
    t->params = params;
    t->B = B;
    t->work = NULL;
    t->err = (struct error){0};
    t->n_nodes = 0;
    t->n_entries = 0;
    memset(t->last_use, 0, table->n * sizeof t->last_use[0]);
}

enum rc tape_verdict(const struct tape *t, struct error *err)
{
    if (t->err.rc != RC_OK) {
        return error_set(err, t->err.rc, "%s", t->err.text);
    }
    return RC_OK;
}

bool tape_measuring(const struct tape *t)
{
    return t->arena == NULL;
}

/* ---- memory ---------------------------------------------------------------------------------- */

real *tape_take(struct tape *t, size_t n)
{
    t->used += arena_cost(n, sizeof(real));
    t->cost = t->used > t->cost ? t->used : t->cost;
    return tape_measuring(t) ? NULL : arena_take_unset(t->arena, n, sizeof(real));
}

size_t tape_mark(const struct tape *t)
{
    return t->used;
}

void tape_rewind(struct tape *t, size_t mark)
{
    assert(mark <= t->used);
    if (!tape_measuring(t)) {
        arena_rewind(t->arena, arena_mark(t->arena) - (t->used - mark));
    }
    t->used = mark;
}

/* ---- nodes and lines ------------------------------------------------------------------------- */

static struct node *push(struct tape *t, struct shape shape, size_t n_in, struct node *const *in,
                         void (*backward)(struct tape *, struct node *))
{
    assert(n_in <= TAPE_INPUTS_MAX);
    if (t->n_nodes == TAPE_NODES_MAX) {
        if (t->err.rc == RC_OK) {
            error_ignore(
                error_set(&t->err, RC_LIMIT, "a tape has at most %d operations", TAPE_NODES_MAX));
        }
        return NULL;
    }
    struct node *n = &t->node[t->n_nodes++];
    *n = (struct node){.shape = shape, .backward = backward};
    for (size_t i = 0; i < n_in; i++) {
        if (in[i]->gone && t->err.rc == RC_OK) {
            error_ignore(error_set(&t->err, RC_INVALID,
                                   "a value is read after another operation was written over it"));
        }
        n->in[i] = in[i];
        n->wants = n->wants || in[i]->wants;
        in[i]->uses++;
    }
    return n;
}

struct node *tape_push(struct tape *t, struct shape shape, size_t n_in, struct node *const *in,
                       void (*backward)(struct tape *, struct node *))
{
    struct node *n = push(t, shape, n_in, in, backward);
    if (n != NULL) {
        n->v = tape_take(t, shape_size(&shape));
    }
    return n;
}

struct node *tape_push_view(struct tape *t, struct shape shape, struct node *x,
                            void (*backward)(struct tape *, struct node *))
{
    assert(shape_size(&shape) == shape_size(&x->shape));
    struct node *n = push(t, shape, 1, &x, backward);
    if (n != NULL) {
        n->v = x->v;
    }
    return n;
}

void tape_enter(struct tape *t, const struct node *n, struct book_entry e)
{
    if (param_at(t->table, e.param)->frozen) {
        return; /* and what lies below it need not be swept for its sake */
    }
    if (t->n_entries == TAPE_ENTRIES_MAX) {
        if (t->err.rc == RC_OK) {
            error_ignore(error_set(&t->err, RC_LIMIT, "a tape has at most %d uses of parameters",
                                   TAPE_ENTRIES_MAX));
        }
        return;
    }
    const size_t i = t->n_entries++;
    const size_t last = t->last_use[e.param.i];
    e.node = n;
    e.first_use = last == 0 ? i : t->entry[last - 1].first_use;
    e.next = 0;
    e.again = false;
    if (last != 0) {
        t->entry[last - 1].next = i + 1;
        t->entry[e.first_use].again = true;
    }
    t->last_use[e.param.i] = i + 1;
    t->node[n - t->node].wants = true;
    if (e.of != NULL) {
        t->node[e.of - t->node].booked = true;
    }
    t->entry[i] = e;
}

const real *tape_slice(const struct tape *t, const struct param *p)
{
    return tape_measuring(t) ? NULL : t->params + p->offset;
}

/* ---- inputs ---------------------------------------------------------------------------------- */

struct node *tape_input_shaped(struct tape *t, const float *values, size_t rank, const size_t *dim)
{
    assert(rank + 1 <= TAPE_RANK_MAX);
    struct shape shape = {.rank = rank + 1, .dim = {t->B}};
    memcpy(shape.dim + 1, dim, rank * sizeof *dim);
    struct node *n = tape_push(t, shape, 0, NULL, NULL);
    if (n != NULL && !tape_measuring(t)) {
        const size_t size = shape_size(&shape);
        for (size_t i = 0; i < size; i++) {
            n->v[i] = (real)values[i];
        }
    }
    return n;
}

struct node *tape_input(struct tape *t, const float *values, size_t D)
{
    return tape_input_shaped(t, values, 1, &D);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

size_t shape_size(const struct shape *s)
{
    size_t n = 1;
    for (size_t i = 0; i < s->rank; i++) {
        n *= s->dim[i];
    }
    return n;
}

size_t shape_last(const struct shape *s)
{
    return s->dim[s->rank - 1];
}

size_t shape_rows(const struct shape *s)
{
    return shape_last(s) == 0 ? 0 : shape_size(s) / shape_last(s);
}

struct shape shape_matrix(size_t B, size_t D)
{
    return (struct shape){.rank = 2, .dim = {B, D}};
}

bool shape_equal(const struct shape *a, const struct shape *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, a->rank * sizeof a->dim[0]) == 0;
}

bool param_is_vector(const struct param *p, size_t D)
{
    return p->rank == 1 && p->dim[0] == D;
}

size_t tape_positions(const struct tape *t, const struct shape *s)
{
    return t->B == 0 ? 0 : shape_rows(s) / t->B;
}

/* "[32,16]" into text. */
static const char *shape_text(const size_t *dim, size_t rank, char text[96])
{
    size_t at = 0;
    for (size_t i = 0; i < rank && at + 24 < 96; i++) {
        at += (size_t)snprintf(text + at, 96 - at, "%s%zu", i == 0 ? "[" : ",", dim[i]);
    }
    (void)snprintf(text + at, 96 - at, "]");
    return text;
}

struct node *tape_mismatch(struct tape *t, const char *op, const size_t *a, size_t rank_a,
                           const size_t *b, size_t rank_b)
{
    char ta[96];
    char tb[96];
    if (t->err.rc == RC_OK) {
        error_ignore(error_set(&t->err, RC_INVALID, "%s: shapes %s and %s do not fit", op,
                               shape_text(a, rank_a, ta), shape_text(b, rank_b, tb)));
    }
    return NULL;
}

struct node *tape_unfit(struct tape *t, const char *op, const struct node *x, const struct param *p)
{
    return tape_mismatch(t, op, x->shape.dim, x->shape.rank, p->dim, p->rank);
}
