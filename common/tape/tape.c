#include "common/tape/tape.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/kernel/activation.h"
#include "common/kernel/embedding.h"
#include "common/kernel/linear.h"
#include "common/kernel/loss.h"
#include "common/kernel/norm.h"

/* ---- recording ------------------------------------------------------------------------------- */

void tape_start(struct tape *t, struct arena *arena, const struct param_table *table,
                const real *params, size_t B)
{
    t->arena = arena;
    t->cost = 0;
    t->table = table;
    t->params = params;
    t->B = B;
    t->err = (struct error){0};
    t->n_nodes = 0;
    t->n_entries = 0;
}

enum rc tape_verdict(const struct tape *t, struct error *err)
{
    if (t->err.rc != RC_OK) {
        return error_set(err, t->err.rc, "%s", t->err.text);
    }
    return RC_OK;
}

static bool measuring(const struct tape *t)
{
    return t->arena == NULL;
}

/* Zeroed reals from the step arena; NULL while measuring. */
static real *take(struct tape *t, size_t n)
{
    t->cost += arena_cost(n, sizeof(real));
    return measuring(t) ? NULL : arena_take(t->arena, n, sizeof(real));
}

static size_t size_of(const struct shape *s)
{
    size_t n = 1;
    for (size_t i = 0; i < s->rank; i++) {
        n *= s->dim[i];
    }
    return n;
}

static size_t last(const struct shape *s)
{
    return s->dim[s->rank - 1];
}

/* Rows of the last dimension. */
static size_t rows(const struct shape *s)
{
    return last(s) == 0 ? 0 : size_of(s) / last(s);
}

static struct shape matrix(size_t B, size_t D)
{
    return (struct shape){.rank = 2, .dim = {B, D}};
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

static struct node *mismatch(struct tape *t, const char *op, const size_t *a, size_t rank_a,
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

static struct node *push(struct tape *t, struct shape shape, struct node *a, struct node *b,
                         void (*backward)(struct tape *, struct node *))
{
    if (t->n_nodes == TAPE_NODES_MAX) {
        if (t->err.rc == RC_OK) {
            error_ignore(
                error_set(&t->err, RC_LIMIT, "a tape has at most %d operations", TAPE_NODES_MAX));
        }
        return NULL;
    }
    struct node *n = &t->node[t->n_nodes++];
    *n = (struct node){.shape = shape, .in = {a, b}, .backward = backward};
    n->v = take(t, size_of(&shape));
    n->g = take(t, size_of(&shape));
    return n;
}

static void enter(struct tape *t, struct book_entry e)
{
    if (t->n_entries == TAPE_ENTRIES_MAX) {
        if (t->err.rc == RC_OK) {
            error_ignore(error_set(&t->err, RC_LIMIT, "a tape has at most %d uses of parameters",
                                   TAPE_ENTRIES_MAX));
        }
        return;
    }
    t->entry[t->n_entries++] = e;
}

static const real *slice(const struct tape *t, const struct param *p)
{
    return measuring(t) ? NULL : t->params + p->offset;
}

/* Positions a sample has in a node: T of A [B, T, D]. */
static size_t positions(const struct tape *t, const struct shape *s)
{
    return t->B == 0 ? 0 : rows(s) / t->B;
}

struct node *tape_input(struct tape *t, const float *values, size_t D)
{
    struct node *n = push(t, matrix(t->B, D), NULL, NULL, NULL);
    if (n != NULL && !measuring(t)) {
        for (size_t i = 0; i < t->B * D; i++) {
            n->v[i] = (real)values[i];
        }
    }
    return n;
}

/* ---- linear ---------------------------------------------------------------------------------- */

static void linear_sweep(struct tape *t, struct node *n)
{
    (void)t;
    struct node *x = n->in[0];
    linear_backward_input(x->g, n->g, n->w, rows(&n->shape), last(&x->shape), last(&n->shape));
}

struct node *tape_linear(struct tape *t, struct node *x, struct param_id w)
{
    if (x == NULL) {
        return NULL;
    }
    const struct param *p = param_at(t->table, w);
    const size_t D = last(&x->shape);
    if (p->rank != 2 || p->dim[1] != D) {
        return mismatch(t, "linear", x->shape.dim, x->shape.rank, p->dim, p->rank);
    }
    const size_t O = p->dim[0];
    struct shape shape = x->shape;
    shape.dim[shape.rank - 1] = O;
    struct node *n = push(t, shape, x, NULL, linear_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->w = slice(t, p);
    if (!measuring(t)) {
        linear_forward(n->v, x->v, n->w, NULL, rows(&shape), D, O);
    }
    enter(t, (struct book_entry){.kind = BOOK_LINEAR,
                                 .param = w,
                                 .T = positions(t, &shape),
                                 .D = D,
                                 .O = O,
                                 .A = x->v,
                                 .G = n->g});
    return n;
}

/* ---- bias ------------------------------------------------------------------------------------ */

static void pass_gradient(struct node *to, const struct node *from)
{
    const size_t n = size_of(&from->shape);
    for (size_t i = 0; i < n; i++) {
        to->g[i] += from->g[i];
    }
}

static void bias_sweep(struct tape *t, struct node *n)
{
    (void)t;
    pass_gradient(n->in[0], n);
}

struct node *tape_bias(struct tape *t, struct node *x, struct param_id b)
{
    if (x == NULL) {
        return NULL;
    }
    const struct param *p = param_at(t->table, b);
    const size_t D = last(&x->shape);
    if (p->rank != 1 || p->dim[0] != D) {
        return mismatch(t, "bias", x->shape.dim, x->shape.rank, p->dim, p->rank);
    }
    struct node *n = push(t, x->shape, x, NULL, bias_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->w = slice(t, p);
    if (!measuring(t)) {
        for (size_t r = 0; r < rows(&x->shape); r++) {
            for (size_t d = 0; d < D; d++) {
                n->v[r * D + d] = x->v[r * D + d] + n->w[d];
            }
        }
    }
    enter(t, (struct book_entry){.kind = BOOK_BIAS,
                                 .param = b,
                                 .T = positions(t, &x->shape),
                                 .D = D,
                                 .O = D,
                                 .G = n->g});
    return n;
}

/* ---- layer norm ------------------------------------------------------------------------------ */

static void layer_norm_sweep(struct tape *t, struct node *n)
{
    (void)t;
    layer_norm_backward_input(n->in[0]->g, n->g, n->keep[0], n->keep[1], n->w, rows(&n->shape),
                              last(&n->shape));
}

struct node *tape_layer_norm(struct tape *t, struct node *x, struct param_id gain,
                             struct param_id shift)
{
    if (x == NULL) {
        return NULL;
    }
    const struct param *pg = param_at(t->table, gain);
    const struct param *ps = param_at(t->table, shift);
    const size_t D = last(&x->shape);
    if (pg->rank != 1 || pg->dim[0] != D) {
        return mismatch(t, "layer norm", x->shape.dim, x->shape.rank, pg->dim, pg->rank);
    }
    if (ps->rank != 1 || ps->dim[0] != D) {
        return mismatch(t, "layer norm", x->shape.dim, x->shape.rank, ps->dim, ps->rank);
    }
    const size_t N = rows(&x->shape);
    struct node *n = push(t, x->shape, x, NULL, layer_norm_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->keep[0] = take(t, N * D); /* xhat */
    n->keep[1] = take(t, N);     /* rstd */
    n->w = slice(t, pg);
    if (!measuring(t)) {
        layer_norm_forward(n->v, n->keep[0], n->keep[1], x->v, n->w, slice(t, ps), N, D);
    }
    struct book_entry e = {.kind = BOOK_GAIN,
                           .param = gain,
                           .T = positions(t, &x->shape),
                           .D = D,
                           .O = D,
                           .A = n->keep[0],
                           .G = n->g};
    enter(t, e);
    e.kind = BOOK_BIAS;
    e.param = shift;
    e.A = NULL;
    enter(t, e);
    return n;
}

/* ---- learned token --------------------------------------------------------------------------- */

static void token_sweep(struct tape *t, struct node *n)
{
    const uint8_t *present = n->aux;
    if (present == NULL) {
        return;
    }
    const size_t D = last(&n->shape);
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
    const size_t D = last(&x->shape);
    if (x->shape.rank != 2 || p->rank != 1 || p->dim[0] != D) {
        return mismatch(t, "learned token", x->shape.dim, x->shape.rank, p->dim, p->rank);
    }
    struct node *n = push(t, x->shape, x, NULL, token_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->w = slice(t, p);
    n->aux = present;
    if (!measuring(t)) {
        for (size_t b = 0; b < t->B; b++) {
            const bool have = present != NULL && present[b];
            memcpy(n->v + b * D, have ? x->v + b * D : n->w, D * sizeof *n->v);
        }
    }
    enter(t, (struct book_entry){.kind = BOOK_TOKEN,
                                 .param = token,
                                 .T = 1,
                                 .D = D,
                                 .O = D,
                                 .G = n->g,
                                 .present = present});
    return n;
}

/* ---- embedding ------------------------------------------------------------------------------- */

struct node *tape_embedding(struct tape *t, struct param_id table, const int32_t *code,
                            size_t stride)
{
    const struct param *p = param_at(t->table, table);
    const size_t one[1] = {t->B};
    if (p->rank != 2) {
        return mismatch(t, "embedding", one, 1, p->dim, p->rank);
    }
    const size_t D = p->dim[1];
    struct node *n = push(t, matrix(t->B, D), NULL, NULL, NULL);
    if (n == NULL) {
        return NULL;
    }
    if (!measuring(t)) {
        for (size_t b = 0; b < t->B; b++) {
            assert(code[b * stride] >= 0);
            assert((size_t)code[b * stride] < p->dim[0]);
        }
        embedding_forward(n->v, slice(t, p), code, stride, t->B, D);
    }
    enter(t, (struct book_entry){.kind = BOOK_EMBEDDING,
                                 .param = table,
                                 .T = 1,
                                 .D = D,
                                 .O = D,
                                 .G = n->g,
                                 .code = code,
                                 .stride = stride});
    return n;
}

/* ---- elementwise ----------------------------------------------------------------------------- */

static void relu_sweep(struct tape *t, struct node *n)
{
    (void)t;
    relu_backward(n->in[0]->g, n->g, n->in[0]->v, size_of(&n->shape));
}

static void gelu_sweep(struct tape *t, struct node *n)
{
    (void)t;
    gelu_backward(n->in[0]->g, n->g, n->in[0]->v, size_of(&n->shape));
}

static void tanh_sweep(struct tape *t, struct node *n)
{
    (void)t;
    tanh_backward(n->in[0]->g, n->g, n->v, size_of(&n->shape));
}

static struct node *elementwise(struct tape *t, struct node *x,
                                void (*forward)(real *restrict y, const real *restrict x, size_t n),
                                void (*sweep)(struct tape *, struct node *))
{
    if (x == NULL) {
        return NULL;
    }
    struct node *n = push(t, x->shape, x, NULL, sweep);
    if (n != NULL && !measuring(t)) {
        forward(n->v, x->v, size_of(&x->shape));
    }
    return n;
}

struct node *tape_relu(struct tape *t, struct node *x)
{
    return elementwise(t, x, relu_forward, relu_sweep);
}

struct node *tape_gelu(struct tape *t, struct node *x)
{
    return elementwise(t, x, gelu_forward, gelu_sweep);
}

struct node *tape_tanh(struct tape *t, struct node *x)
{
    return elementwise(t, x, tanh_forward, tanh_sweep);
}

/* ---- add, concat ----------------------------------------------------------------------------- */

static void add_sweep(struct tape *t, struct node *n)
{
    (void)t;
    pass_gradient(n->in[0], n);
    pass_gradient(n->in[1], n);
}

struct node *tape_add(struct tape *t, struct node *a, struct node *b)
{
    if (a == NULL || b == NULL) {
        return NULL;
    }
    if (a->shape.rank != b->shape.rank ||
        memcmp(a->shape.dim, b->shape.dim, sizeof a->shape.dim) != 0) {
        return mismatch(t, "add", a->shape.dim, a->shape.rank, b->shape.dim, b->shape.rank);
    }
    struct node *n = push(t, a->shape, a, b, add_sweep);
    if (n != NULL && !measuring(t)) {
        for (size_t i = 0; i < size_of(&n->shape); i++) {
            n->v[i] = a->v[i] + b->v[i];
        }
    }
    return n;
}

static void concat_sweep(struct tape *t, struct node *n)
{
    const size_t D = last(&n->in[0]->shape);
    const size_t E = last(&n->in[1]->shape);
    for (size_t b = 0; b < t->B; b++) {
        const real *g_b = n->g + b * (D + E); /* [D + E] */
        for (size_t d = 0; d < D; d++) {
            n->in[0]->g[b * D + d] += g_b[d];
        }
        for (size_t e = 0; e < E; e++) {
            n->in[1]->g[b * E + e] += g_b[D + e];
        }
    }
}

struct node *tape_concat(struct tape *t, struct node *a, struct node *b)
{
    if (a == NULL || b == NULL) {
        return NULL;
    }
    if (a->shape.rank != 2 || b->shape.rank != 2) {
        return mismatch(t, "concat", a->shape.dim, a->shape.rank, b->shape.dim, b->shape.rank);
    }
    const size_t D = last(&a->shape);
    const size_t E = last(&b->shape);
    struct node *n = push(t, matrix(t->B, D + E), a, b, concat_sweep);
    if (n != NULL && !measuring(t)) {
        for (size_t i = 0; i < t->B; i++) {
            memcpy(n->v + i * (D + E), a->v + i * D, D * sizeof *n->v);
            memcpy(n->v + i * (D + E) + D, b->v + i * E, E * sizeof *n->v);
        }
    }
    return n;
}

/* ---- loss ------------------------------------------------------------------------------------ */

static void bce_sweep(struct tape *t, struct node *n)
{
    bce_backward(n->in[0]->g, n->g, n->in[0]->v, n->keep[0], t->B);
}

struct node *tape_bce(struct tape *t, struct node *logit, const float *label)
{
    if (logit == NULL) {
        return NULL;
    }
    const struct shape want = matrix(t->B, 1);
    if (logit->shape.rank != 2 || last(&logit->shape) != 1) {
        /* [B, K] against [B] would broadcast to [B, B] elsewhere, silently */
        return mismatch(t, "binary cross-entropy", logit->shape.dim, logit->shape.rank, want.dim,
                        want.rank);
    }
    struct node *n = push(t, want, logit, NULL, bce_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->keep[0] = take(t, t->B);
    if (!measuring(t)) {
        for (size_t b = 0; b < t->B; b++) {
            n->keep[0][b] = (real)label[b];
        }
        bce_forward(n->v, logit->v, n->keep[0], t->B);
    }
    return n;
}

void tape_backward(struct tape *t, struct node *loss)
{
    assert(t->err.rc == RC_OK);
    assert(!measuring(t));
    assert(loss->shape.rank == 2);
    assert(last(&loss->shape) == 1);
    for (size_t b = 0; b < t->B; b++) {
        loss->g[b] = 1;
    }
    for (size_t i = t->n_nodes; i > 0; i--) {
        struct node *n = &t->node[i - 1];
        if (n->backward != NULL) {
            n->backward(t, n);
        }
    }
}
