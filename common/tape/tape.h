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
 * the same calls will need, tape_backward too where it is called: that sum sizes the arena.
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

enum {
    TAPE_RANK_MAX = 4,
    TAPE_NODES_MAX = 8704,
    TAPE_ENTRIES_MAX = 4352,
    TAPE_INPUTS_MAX = 6,
    TAPE_KEEPS_MAX = 8
};

struct tape;
struct book_rule;

struct shape {
    size_t rank;
    size_t dim[TAPE_RANK_MAX]; /**< [0] is B */
};

/** What an operation's sweep asks of its inputs' gradients. */
enum node_flow {
    FLOW_ADDS,    /**< += to every input's g, whether or not the input wants one */
    FLOW_WRITES,  /**< = where in->fresh, else +=; leaves out inputs whose g is NULL */
    FLOW_SAME,    /**< each input's gradient is n's own: no backward, often one memory for both */
    FLOW_IN_PLACE /**< like FLOW_WRITES, of in[0], whose g may be the memory of n->g */
};

/** One recorded operation. */
struct node {
    struct shape shape;
    real *v; /**< value [shape] */
    real *g; /**< gradient [shape]: during the sweep, and after it where an entry reads it */
    enum node_flow flow;
    bool wants;    /**< a parameter is above it: its gradient is asked for */
    bool booked;   /**< an entry reads g after the sweep */
    bool spare;    /**< no sweep reads v of it: an operation may write its own over it */
    bool gone;     /**< another operation's value is in v */
    bool fresh;    /**< g is unset: nobody has written to it */
    size_t uses;   /**< operations that read it */
    size_t memory; /**< of g: number in the tape's list, 0 = none */
    struct node *in[TAPE_INPUTS_MAX];
    void (*backward)(struct tape *t, struct node *n);
    const real *w[2];           /**< parameter slices, where the operation has them */
    real *keep[TAPE_KEEPS_MAX]; /**< what backward needs beside in and w */
    const void *aux;            /**< labels, presence bits or codes; borrowed */
    size_t number[8];           /**< sizes the operation remembers */
    size_t n_work;              /**< reals of scratch that backward finds in t->work, unset */
};

/** Where an entry's part of the norms comes from: book.c. */
enum book_how { BOOK_GHOST, BOOK_KEEP, BOOK_DROP, BOOK_WITH_ANOTHER };

/**
 * One line of the books: how an operation used a parameter. A and G are rows grouped by sample: row
 * b*T + t.
 */
struct book_entry {
    const struct book_rule *rule; /**< which product gives the per-sample gradient */
    struct param_id param;
    size_t T, D, O;          /**< A [B, T, D], G [B, T, O] */
    real *A;                 /**< NULL where the rule needs none */
    real *G;                 /**< the entry's own, or set by the sweep: the gradient of `of` */
    const struct node *of;   /**< the node whose gradient G is; NULL: G is the operation's own */
    const int32_t *code;     /**< embedding: code[b * stride + t]; < 0 = padding */
    size_t stride;           /**< embedding: from one sample's codes to the next's */
    const uint8_t *present;  /**< token: [B]; 0 = the token was used; NULL: everywhere */
    const struct node *node; /**< what recorded it: sizes and keeps beyond the above */
    size_t first_use, next;  /**< entries of the same parameter: the first; the next + 1, or 0 */
    bool again;              /**< the parameter has several uses (told of the first) */
    enum book_how how;
    size_t kept_in, kept_at; /**< memory of the sweep, 0 = none, and reals from its start */
    real *kept; /**< [B, size of the slice] each sample's gradient, all uses, or NULL */
};

/** Memory of gradients during a sweep; taken again by others when its users are done. */
struct gradient_memory {
    real *g;
    size_t n;     /**< reals */
    size_t users; /**< nodes whose gradient it is now */
    bool kept;    /**< an entry reads it after the sweep */
    bool scaled;  /**< by book_weighted_sum */
    size_t lent;  /**< reals in which the book keeps gradients, once it is free */
};

/** One recording. Large: keep it in a process or round arena, not on a stack. */
struct tape {
    struct arena *arena; /**< NULL: measuring */
    size_t used;         /**< bytes taken now */
    size_t cost;         /**< the most that was taken at one time: what the arena must hold */
    const struct param_table *table;
    const real *params; /**< [P]; unused while measuring */
    size_t B;
    real *work;       /**< scratch of the node that is being swept */
    struct error err; /**< the first failure, sticky */
    size_t n_nodes, n_entries, n_memory, n_free;
    struct gradient_memory memory[TAPE_NODES_MAX + 1]; /**< [0] stands for none */
    size_t free[TAPE_NODES_MAX + 1];                   /**< numbers of those without users */
    size_t last_use[PARAM_MAX]; /**< of each parameter: number of its last entry + 1, 0 = none */
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
/** @param values [B, dim[0], …] floats, rank + 1 <= TAPE_RANK_MAX, NULL while measuring */
struct node *tape_input_shaped(struct tape *t, const float *values, size_t rank, const size_t *dim);

/* ---- parameter operations: each leaves a book entry ----------------------------------------- */

/** x [B, …, D], w [O, D] -> [B, …, O] = x w^T. */
struct node *tape_linear(struct tape *t, struct node *x, struct param_id w);
/** x [B, …, D], b [D] -> x + b. */
struct node *tape_bias(struct tape *t, struct node *x, struct param_id b);
/** x [B, …, D], w [O, D], b [O] -> x w^T + b: the two in one. */
struct node *tape_affine(struct tape *t, struct node *x, struct param_id w, struct param_id b);
/** Layer norm over the last dimension (Ba et al. 2016); gain [D], shift [D]. */
struct node *tape_layer_norm(struct tape *t, struct node *x, struct param_id gain,
                             struct param_id shift);
/** x [B, D], or the learned token [D] where present[b] = 0; present NULL: the token everywhere. */
struct node *tape_token(struct tape *t, struct node *x, struct param_id token,
                        const uint8_t *present);
/** table [V, D], codes [B] at `stride` -> [B, D]. codes NULL while measuring. */
struct node *tape_embedding(struct tape *t, struct param_id table, const int32_t *code,
                            size_t stride);
/** table [V, D], code [B, T] -> [B, T, D]; zeros where code < 0 (padding). */
struct node *tape_embedding_sequence(struct tape *t, struct param_id table, const int32_t *code,
                                     size_t T);

/** x [B, F], w and b [F, E] -> x_f w_f + b_f [B, F, E]: a token for each number. */
struct node *tape_features(struct tape *t, struct node *x, struct param_id w, struct param_id b);

/**
 * x [B, T, D], w [4H, D + H] (rows i, f, g, o; columns x_t, h_{t-1}), b [4H] -> all states
 * [B, T, H] (kernel/lstm.h). length [B] in [0, T], NULL: T; states from there on are 0.
 */
struct node *tape_lstm(struct tape *t, struct node *x, struct param_id w, struct param_id b,
                       const int32_t *length);

/** Of a GRU: w [3H, D] and b [3H] of the inputs, u [3H, H] and d [3H] of the states. */
struct tape_gru_params {
    struct param_id w, b, u, d;
};
/** x [B, T, D] -> all states [B, T, H] (kernel/gru.h); length as in tape_lstm. */
struct node *tape_gru(struct tape *t, struct node *x, const struct tape_gru_params *p,
                      const int32_t *length);

/* ---- the rest -------------------------------------------------------------------------------- */

struct node *tape_relu(struct tape *t, struct node *x);
/**
 * The same in the memory of x, which nothing else may read, before or after: for a product, a
 * convolution or a normalisation whose output is only this one's input. Else: RC_INVALID.
 */
struct node *tape_relu_over(struct tape *t, struct node *x);
struct node *tape_gelu(struct tape *t, struct node *x);
struct node *tape_tanh(struct tape *t, struct node *x);
/** a + b, equal shapes. */
struct node *tape_add(struct tape *t, struct node *a, struct node *b);
/** [B, …, D] and [B, …, E], equal but for the last -> [B, …, D + E]. */
struct node *tape_concat(struct tape *t, struct node *a, struct node *b);
/** n >= 1 nodes side by side along the last dimension. */
struct node *tape_concat_all(struct tape *t, size_t n, struct node *const *x);
/** The same numbers as [B, dim[0], …], rank + 1 <= TAPE_RANK_MAX: a view, nothing is copied. */
struct node *tape_reshape(struct tape *t, struct node *x, size_t rank, const size_t *dim);
/** Sigmoid and binary cross-entropy: logit [B, 1], label [B] -> loss [B, 1], one per sample. */
struct node *tape_bce(struct tape *t, struct node *logit, const float *label);

/* The losses below are also of each sample by itself, [B, 1]; kernel/loss.h has the equations. */
/** logit [B, K], label [B, K], known [B, K] or NULL: mean over the labels that are known. */
struct node *tape_multilabel(struct tape *t, struct node *logit, const float *label,
                             const uint8_t *known);
/** logit [B, K], label [B] below K, negative: not known. */
struct node *tape_cross_entropy(struct tape *t, struct node *logit, const int32_t *label);
/** logit [B, 1], label [B] 0 or 1; alpha in (0, 1), gamma >= 0. */
struct node *tape_focal(struct tape *t, struct node *logit, const float *label, double alpha,
                        double gamma);

/* ---- numbers with numbers -------------------------------------------------------------------- */

struct node *tape_sigmoid(struct tape *t, struct node *x);
/** Softmax over the last dimension. */
struct node *tape_softmax(struct tape *t, struct node *x);
/** a * b, equal shapes; or b's last dimension is 1: one number of b for a row of a. */
struct node *tape_mul(struct tape *t, struct node *a, struct node *b);
/** scale x + shift, by constants. */
struct node *tape_scale(struct tape *t, struct node *x, double scale, double shift);
/** a [B, N, K], b [B, K, M] -> [B, N, M]. */
struct node *tape_matmul(struct tape *t, struct node *a, struct node *b);

/** Whose coins: a sample's depend on seed, its number and the place on the tape, not on its batch. */
struct tape_dropout {
    double rate;            /**< of numbers that become 0, [0, 1); in steps of 2^-16 */
    uint64_t seed;          /**< another one each step */
    const uint64_t *sample; /**< [B] numbers of the samples; NULL while measuring */
};
/** Zeros at random and the rest scaled up; x itself at rate 0. */
struct node *tape_dropout(struct tape *t, struct node *x, const struct tape_dropout *d);

/* ---- positions: x [B, N, D] ------------------------------------------------------------------ */

/**
 * q [B, N, D]; k, v [B, M, D] -> [B, N, D], `heads` dividing D (kernel/attention.h). key [B, M]: 0 =
 * nobody looks there; NULL: all are there. A sample without keys has 0.
 */
struct node *tape_attention(struct tape *t, struct node *q, struct node *k, struct node *v,
                            size_t heads, const uint8_t *key);
/** The mean of the positions that are there ([B, N], NULL: all) -> [B, D]; of none: 0. */
struct node *tape_masked_mean(struct tape *t, struct node *x, const uint8_t *there);
/** Position length[b] - 1 of each sample -> [B, D]; 0 where length is 0. NULL: the last. */
struct node *tape_last(struct tape *t, struct node *x, const int32_t *length);
/** One position -> [B, D]. */
struct node *tape_select(struct tape *t, struct node *x, size_t position);
/** Columns [from, from + width) of the last dimension, any rank. */
struct node *tape_part(struct tape *t, struct node *x, size_t from, size_t width);
/** n >= 1 nodes [B, D] as positions -> [B, n, D]. */
struct node *tape_stack(struct tape *t, size_t n, struct node *const *x);
/** Positions of b after those of a: [B, N, D] and [B, M, D] -> [B, N + M, D]. */
struct node *tape_chain(struct tape *t, struct node *a, struct node *b);
/** x plus fixed sinusoids of the position (Vaswani et al. 2017, 3.5). */
struct node *tape_sinusoids(struct tape *t, struct node *x);

/** x [B, H, W, C] -> [B, H W / p^2, p p C]: squares in reading order; p divides H and W. */
struct node *tape_patches(struct tape *t, struct node *x, size_t p);

/* ---- what a sample may lack: there = 0 where it does ------------------------------------------ */

/** a [B, …] of the samples that are there [B], b's of the others; b NULL: zeros. Equal shapes. */
struct node *tape_choose(struct tape *t, struct node *a, struct node *b, const uint8_t *there);
/** x [B, K] -> softmax over those that are there [B, K], 0 of the others; of none: 0. */
struct node *tape_softmax_there(struct tape *t, struct node *x, const uint8_t *there);
/** x [B, N, D] -> the positions that are there [B, N] in their order, then zeros. */
struct node *tape_pack(struct tape *t, struct node *x, const uint8_t *there);
/**
 * Average of probabilities: logit [B, K] -> [B, 1], the logit of sum_k a_k sigmoid(logit_k), where a
 * is the softmax of score [B, K] (NULL: equal shares) over those that are there [B, K]. Of none: 0.
 */
struct node *tape_mixture(struct tape *t, struct node *logit, struct node *score,
                          const uint8_t *there);

/** n bytes of the step arena, unset, for masks; NULL while measuring. */
uint8_t *tape_bytes(struct tape *t, size_t n);
/** length [B]: how many of N are there [B, N], in the step arena; NULL while measuring. */
const int32_t *tape_counts(struct tape *t, const uint8_t *there, size_t N);
/** there [B, T] = code >= 0, in the step arena; NULL while measuring. */
const uint8_t *tape_coded(struct tape *t, const int32_t *code, size_t T);
/** there [B, T] = position < length (NULL: all), in the step arena; NULL while measuring. */
const uint8_t *tape_within(struct tape *t, const int32_t *length, size_t T);
/** there [B, N] (NULL: all) between `before` and `after` positions that always are. Likewise. */
const uint8_t *tape_flanked(struct tape *t, size_t before, const uint8_t *there, size_t N,
                            size_t after);

/**
 * One sweep from `loss` [B, 1], the last node recorded. Each sample's loss counts with weight 1:
 * gradients are those of the samples' own losses, and weighting (clipping) comes afterwards, on the
 * books.
 */
void tape_backward(struct tape *t, struct node *loss);

#endif
