/**
 * @file tape_internal.h
 * What an operation is written with. An operation checks shapes, pushes a node, takes what its
 * backward needs, calls a kernel unless the tape is measuring, and enters a line into the books for
 * each parameter it used:
 *
 *     struct node *n = tape_push(t, shape, 1, &x, my_sweep);
 *     if (n == NULL) { return NULL; }
 *     n->w[0] = tape_slice(t, p);
 *     if (!tape_measuring(t)) { my_forward(n->v, x->v, n->w[0], ...); }
 *     tape_enter(t, n, (struct book_entry){.rule = &BOOK_LINEAR, .param = w, .T = ..., .of = n});
 *
 * A sweep adds to the gradients of its inputs; they are there, and zero before the first. One that
 * can also write, or leave out what nobody wants, says so (n->flow) and saves the zeroing, memory,
 * or its work. It finds n->n_work reals of scratch in t->work.
 */
#ifndef COMMON_TAPE_TAPE_INTERNAL_H
#define COMMON_TAPE_TAPE_INTERNAL_H

#include "common/tape/tape.h"

/** How the books are read for one kind of use of a parameter. dst [size of the slice]. */
struct book_rule {
    const char *name;
    /** dst += g_b, the gradient of one sample. */
    void (*form)(const struct book_entry *e, size_t b, real *dst);
    /** dst = g_b. NULL: zeros, then form. */
    void (*form_set)(const struct book_entry *e, size_t b, real *dst);
    /** dst += sum_b g_b. NULL: form, sample by sample. */
    void (*sum)(const struct book_entry *e, size_t B, real *dst);
    /**
     * norm_sq [B] += ||g_b||^2 without forming, in double; NULL: form.
     * @param scratch norms_scratch(e) reals, unset
     */
    void (*norms_sq)(const struct book_entry *e, size_t B, real *scratch, double *norm_sq);
    size_t (*norms_scratch)(const struct book_entry *e); /**< NULL: none */
    /** Multiply-adds a sample that norms_sq takes; NULL: fewer than forming by far. */
    size_t (*norms_cost)(const struct book_entry *e);
};

extern const struct book_rule BOOK_LINEAR;    /**< sum_t G_t^T A_t  [O, D] */
extern const struct book_rule BOOK_BIAS;      /**< sum_t G_t        [O] */
extern const struct book_rule BOOK_GAIN;      /**< sum_t G_t * A_t  [D]: scale of a normalisation */
extern const struct book_rule BOOK_TOKEN;     /**< G where absent   [D]: learned token */
extern const struct book_rule BOOK_EMBEDDING; /**< G at the codes' rows [V, D] */

/* ---- recording ------------------------------------------------------------------------------- */

bool tape_measuring(const struct tape *t);

/** A node with memory for its value, unset. NULL and an error when the tape is full. */
struct node *tape_push(struct tape *t, struct shape shape, size_t n_in, struct node *const *in,
                       void (*backward)(struct tape *, struct node *));
/** The same whose value is the memory of in[0], equal in size. */
struct node *tape_push_view(struct tape *t, struct shape shape, struct node *x,
                            void (*backward)(struct tape *, struct node *));

/** `n` reals of the step arena, *unset*; NULL while measuring. */
real *tape_take(struct tape *t, size_t n);

/** Scratch within one recording: mark, take, rewind; also while measuring. */
size_t tape_mark(const struct tape *t);
void tape_rewind(struct tape *t, size_t mark);

/** Adds a line to the books; `n` is the node that used the parameter. */
/* Nothing happens for a frozen parameter. */
void tape_enter(struct tape *t, const struct node *n, struct book_entry e);

/** Values of a parameter; NULL while measuring. */
const real *tape_slice(const struct tape *t, const struct param *p);

/** Notes "op: shapes [..] and [..] do not fit" once. @return NULL */
struct node *tape_mismatch(struct tape *t, const char *op, const size_t *a, size_t rank_a,
                           const size_t *b, size_t rank_b);
/** The same between a node and a parameter. */
struct node *tape_unfit(struct tape *t, const char *op, const struct node *x,
                        const struct param *p);

/* ---- shapes ---------------------------------------------------------------------------------- */

size_t shape_size(const struct shape *s);
size_t shape_last(const struct shape *s);
/** Rows of the last dimension. */
size_t shape_rows(const struct shape *s);
struct shape shape_matrix(size_t B, size_t D);
bool shape_equal(const struct shape *a, const struct shape *b);
/** Whether a parameter is a vector of D numbers. */
bool param_is_vector(const struct param *p, size_t D);
/** Rows a sample has in a node of this shape: T of A [B, T, D]. */
size_t tape_positions(const struct tape *t, const struct shape *s);

#endif
