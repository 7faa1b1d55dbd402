/* LSTM and GRU over a sequence. A weight is fed rows of inputs and states, T a sample, so the books
 * read it like any linear layer: A and G are the operation's own, zero where a sequence has ended. */
#include <assert.h>
#include <string.h>

#include "common/kernel/gru.h"
#include "common/kernel/lstm.h"
#include "common/tape/tape_internal.h"

static bool lengths_fit(const int32_t *length, size_t B, size_t T)
{
    for (size_t b = 0; length != NULL && b < B; b++) {
        if (length[b] < 0 || (size_t)length[b] > T) {
            return false;
        }
    }
    return true;
}

static bool is_matrix(const struct param *p, size_t O, size_t D)
{
    return p->rank == 2 && p->dim[0] == O && p->dim[1] == D;
}

/* A weight [O, D] fed A, and its bias: G is shared and scaled once. */
static void enter(struct tape *t, const struct node *n, struct param_id w, struct param_id b,
                  size_t D, size_t O, real *A, real *G)
{
    struct book_entry e = {
        .rule = &BOOK_LINEAR, .param = w, .T = n->shape.dim[1], .D = D, .O = O, .A = A, .G = G};
    tape_enter(t, n, e);
    e.rule = &BOOK_BIAS;
    e.param = b;
    e.D = O;
    e.A = NULL;
    tape_enter(t, n, e);
}

/* The inputs' gradient, ready to be added to; NULL when nobody wants it. */
static real *input_gradient(struct node *x)
{
    if (x->g != NULL && x->fresh) {
        memset(x->g, 0, shape_size(&x->shape) * sizeof *x->g);
    }
    return x->g;
}

/* ---- LSTM ------------------------------------------------------------------------------------ */

enum { LSTM_A, LSTM_Z, LSTM_C };

static void lstm_sweep(struct tape *t, struct node *n)
{
    lstm_backward(input_gradient(n->in[0]), n->keep[LSTM_Z], t->work, n->g, n->keep[LSTM_C],
                  n->w[0], n->aux, t->B, n->shape.dim[1], shape_last(&n->in[0]->shape),
                  shape_last(&n->shape));
}

struct node *tape_lstm(struct tape *t, struct node *x, struct param_id w, struct param_id b,
                       const int32_t *length)
{
    if (x == NULL) {
        return NULL;
    }
    const struct param *pw = param_at(t->table, w);
    const struct param *pb = param_at(t->table, b);
    const size_t D = shape_last(&x->shape);
    const size_t H = pw->dim[0] / 4;
    if (x->shape.rank != 3 || H == 0 || !is_matrix(pw, 4 * H, D + H)) {
        return tape_unfit(t, "lstm", x, pw);
    }
    if (!param_is_vector(pb, 4 * H)) {
        return tape_mismatch(t, "lstm", pw->dim, pw->rank, pb->dim, pb->rank);
    }
    const size_t T = x->shape.dim[1];
    assert(lengths_fit(length, t->B, T));
    struct node *n =
        tape_push(t, (struct shape){.rank = 3, .dim = {t->B, T, H}}, 1, &x, lstm_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->flow = FLOW_WRITES;
    n->aux = length;
    n->w[0] = tape_slice(t, pw);
    n->n_work = 2 * t->B * H;
    n->keep[LSTM_A] = tape_take(t, t->B * T * (D + H));
    n->keep[LSTM_Z] = tape_take(t, t->B * T * 4 * H);
    n->keep[LSTM_C] = tape_take(t, t->B * T * H);
    if (!tape_measuring(t)) {
        lstm_forward(n->v, n->keep[LSTM_A], n->keep[LSTM_Z], n->keep[LSTM_C], x->v, n->w[0],
                     tape_slice(t, pb), length, t->B, T, D, H);
    }
    enter(t, n, w, b, D + H, 4 * H, n->keep[LSTM_A], n->keep[LSTM_Z]);
    return n;
}

/* ---- GRU ------------------------------------------------------------------------------------- */

enum { GRU_A, GRU_E, GRU_P, GRU_Q };

static void gru_sweep(struct tape *t, struct node *n)
{
    gru_backward(input_gradient(n->in[0]), n->keep[GRU_P], n->keep[GRU_Q], t->work, n->g,
                 n->keep[GRU_E], n->w[0], n->w[1], n->aux, t->B, n->shape.dim[1],
                 shape_last(&n->in[0]->shape), shape_last(&n->shape));
}

struct node *tape_gru(struct tape *t, struct node *x, const struct tape_gru_params *p,
                      const int32_t *length)
{
    if (x == NULL) {
        return NULL;
    }
    const struct param *w = param_at(t->table, p->w);
    const struct param *u = param_at(t->table, p->u);
    const struct param *b = param_at(t->table, p->b);
    const struct param *d = param_at(t->table, p->d);
    const size_t D = shape_last(&x->shape);
    const size_t H = w->dim[0] / 3;
    if (x->shape.rank != 3 || H == 0 || !is_matrix(w, 3 * H, D)) {
        return tape_unfit(t, "gru", x, w);
    }
    const struct param *odd = !is_matrix(u, 3 * H, H)      ? u
                              : !param_is_vector(b, 3 * H) ? b
                              : !param_is_vector(d, 3 * H) ? d
                                                           : NULL;
    if (odd != NULL) {
        return tape_mismatch(t, "gru", w->dim, w->rank, odd->dim, odd->rank);
    }
    const size_t T = x->shape.dim[1];
    assert(lengths_fit(length, t->B, T));
    struct node *n = tape_push(t, (struct shape){.rank = 3, .dim = {t->B, T, H}}, 1, &x, gru_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->flow = FLOW_WRITES;
    n->aux = length;
    n->w[0] = tape_slice(t, w);
    n->w[1] = tape_slice(t, u);
    n->n_work = t->B * H;
    n->keep[GRU_A] = tape_take(t, t->B * T * D);
    n->keep[GRU_E] = tape_take(t, t->B * T * H);
    n->keep[GRU_P] = tape_take(t, t->B * T * 3 * H);
    n->keep[GRU_Q] = tape_take(t, t->B * T * 3 * H);
    if (!tape_measuring(t)) {
        gru_forward(n->v, n->keep[GRU_A], n->keep[GRU_E], n->keep[GRU_P], n->keep[GRU_Q], x->v,
                    n->w[0], n->w[1], tape_slice(t, b), tape_slice(t, d), length, t->B, T, D, H);
    }
    enter(t, n, p->w, p->b, D, 3 * H, n->keep[GRU_A], n->keep[GRU_P]);
    enter(t, n, p->u, p->d, H, 3 * H, n->keep[GRU_E], n->keep[GRU_Q]);
    return n;
}

/* ---- the last state -------------------------------------------------------------------------- */

/* Where sample b's last position begins in x [B, T, D]; SIZE_MAX: it has none. */
static size_t last_at(const int32_t *length, size_t b, size_t T, size_t D)
{
    const size_t L = length == NULL ? T : (size_t)length[b];
    return L == 0 ? SIZE_MAX : (b * T + L - 1) * D;
}

static void last_sweep(struct tape *t, struct node *n)
{
    const size_t D = shape_last(&n->shape);
    for (size_t b = 0; b < t->B; b++) {
        const size_t at = last_at(n->aux, b, n->in[0]->shape.dim[1], D);
        for (size_t d = 0; at != SIZE_MAX && d < D; d++) {
            n->in[0]->g[at + d] += n->g[b * D + d];
        }
    }
}

struct node *tape_last(struct tape *t, struct node *x, const int32_t *length)
{
    if (x == NULL) {
        return NULL;
    }
    if (x->shape.rank != 3) {
        return tape_mismatch(t, "last state", x->shape.dim, x->shape.rank,
                             (size_t[]){t->B, 0, shape_last(&x->shape)}, 3);
    }
    const size_t T = x->shape.dim[1];
    const size_t D = x->shape.dim[2];
    assert(lengths_fit(length, t->B, T));
    struct node *n = tape_push(t, shape_matrix(t->B, D), 1, &x, last_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->aux = length;
    for (size_t b = 0; b < t->B && !tape_measuring(t); b++) {
        const size_t at = last_at(length, b, T, D);
        if (at == SIZE_MAX) {
            memset(n->v + b * D, 0, D * sizeof *n->v);
        } else {
            memcpy(n->v + b * D, x->v + at, D * sizeof *n->v);
        }
    }
    return n;
}
