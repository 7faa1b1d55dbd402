/**
 * @file tape.h
 * A model is a function that records operations on a tape. Recording computes values; one backward
 * sweep computes gradients of the nodes and fills the *books*: what each parameter operation was fed
 * (A) and the gradient that came back (G). No parameter gradient is formed here: book.h reads
 * per-sample norms and weighted sums off the books (ghost clipping, Li et al. 2021, with
 * book-keeping, Bu et al. 2023).
 *
 * Every node's first dimension is B, the sample; no operation mixes samples.
 *
 * Errors stick: an operation whose shapes do not fit notes one sentence with both shapes and
 * returns NULL; operations given NULL return NULL; tape_verdict tells. So a model reads like its
 * equations.
 *
 * Memory is the caller's step arena. A measuring tape (arena NULL) computes nothing and sums what
 * the same recording will need: that sum sizes the arena.
 */
#ifndef COMMON_TAPE_TAPE_H
#define COMMON_TAPE_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/kernel/real.h"
#include "common/tape/params.h"

enum { TAPE_RANK_MAX = 4, TAPE_NODES_MAX = 8704, TAPE_ENTRIES_MAX = 4352 };

struct tape;

struct shape {
    size_t rank;
    size_t dim[TAPE_RANK_MAX]; /**< [0] is B */
};

/** One recorded operation. */
struct node {
    struct shape shape;
    real *v; /**< value [shape] */
    real *g; /**< gradient [shape], zero until the sweep */
    struct node *in[2];
    void (*backward)(struct tape *t, struct node *n);
    const real *w;   /**< parameter slice, where the operation has one */
    real *keep[2];   /**< what backward needs beside in and w */
    const void *aux; /**< labels, presence bits or codes; borrowed */
    size_t number;   /**< a size the operation remembers */
};

/** How a parameter operation was used; which product gives its per-sample gradient. */
enum book_kind {
    BOOK_LINEAR,   /**< sum_t G_t^T A_t  [O, D] */
    BOOK_BIAS,     /**< sum_t G_t        [D] */
    BOOK_GAIN,     /**< sum_t G_t * A_t  [D]: scale of a normalisation */
    BOOK_TOKEN,    /**< G where absent   [D]: learned token */
    BOOK_EMBEDDING /**< G at the code's row [V, D] */
};

/** One line of the books. A and G are rows grouped by sample: row b*T + t. */
struct book_entry {
    enum book_kind kind;
    struct param_id param;
    size_t T, D, O; /**< A [B, T, D], G [B, T, O]; BIAS, GAIN, TOKEN, EMBEDDING: O = D */
    real *A;        /**< NULL for BIAS, TOKEN, EMBEDDING */
    real *G;
    const int32_t *code; /**< EMBEDDING: [B] at `stride` */
    size_t stride;
    const uint8_t *present; /**< TOKEN: [B]; 0 = the token was used; NULL: everywhere */
};

/** One recording. Large: keep it in a process or round arena, not on a stack. */
struct tape {
    struct arena *arena; /**< NULL: measuring */
    size_t cost;         /**< bytes taken, or to be taken */
    const struct param_table *table;
    const real *params; /**< [P]; unused while measuring */
    size_t B;
    struct error err; /**< the first failure, sticky */
    size_t n_nodes, n_entries;
    struct node node[TAPE_NODES_MAX];
    struct book_entry entry[TAPE_ENTRIES_MAX];
};

/** A fresh recording of B samples; the arena keeps its mark, the caller rewinds it. */
void tape_start(struct tape *t, struct arena *arena, const struct param_table *table,
                const real *params, size_t B);

/** RC_OK, or the first failure of the recording. */
RC tape_verdict(const struct tape *t, struct error *err);

/* ---- inputs: copied, so that a dropped sample can be blanked without touching the caller's --- */

/** @param values [B, D] floats, NULL while measuring */
struct node *tape_input(struct tape *t, const float *values, size_t D);

/* ---- parameter operations: each leaves a book entry ----------------------------------------- */

/** x [B, …, D], w [O, D] -> [B, …, O] = x w^T. */
struct node *tape_linear(struct tape *t, struct node *x, struct param_id w);
/** x [B, …, D], b [D] -> x + b. */
struct node *tape_bias(struct tape *t, struct node *x, struct param_id b);
/** Layer norm over the last dimension (Ba et al. 2016); gain [D], shift [D]. */
struct node *tape_layer_norm(struct tape *t, struct node *x, struct param_id gain,
                             struct param_id shift);
/** x [B, D], or the learned token [D] where present[b] = 0; present NULL: the token everywhere. */
struct node *tape_token(struct tape *t, struct node *x, struct param_id token,
                        const uint8_t *present);
/** table [V, D], codes [B] at `stride` -> [B, D]. codes NULL while measuring. */
struct node *tape_embedding(struct tape *t, struct param_id table, const int32_t *code,
                            size_t stride);

/* ---- the rest -------------------------------------------------------------------------------- */

struct node *tape_relu(struct tape *t, struct node *x);
struct node *tape_gelu(struct tape *t, struct node *x);
struct node *tape_tanh(struct tape *t, struct node *x);
/** a + b, equal shapes. */
struct node *tape_add(struct tape *t, struct node *a, struct node *b);
/** [B, D] and [B, E] -> [B, D + E]. */
struct node *tape_concat(struct tape *t, struct node *a, struct node *b);
/** Sigmoid and binary cross-entropy: logit [B, 1], label [B] -> loss [B, 1], one per sample. */
struct node *tape_bce(struct tape *t, struct node *logit, const float *label);

/**
 * One sweep from `loss` [B, 1]. Each sample's loss counts with weight 1: gradients are those of the
 * samples' own losses, and weighting (clipping) comes afterwards, on the books.
 */
void tape_backward(struct tape *t, struct node *loss);

#endif
