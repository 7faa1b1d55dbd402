/**
 * @file fusion.h
 * Fusions: vectors of M modalities -> one vector per sample, or its logit. Chosen by name:
 *
 *     struct fusion f = {.M = 2, .width_in = {64, 32}, .width = 64, .heads = 4};
 *     rc = fusion_declare(&table, "fusion", "gmu", &f, err);         parameters "fusion.…"
 *     struct node *z = fusion_record(&f, t, &x, drop);               [B, fusion_width(&f)]
 *
 *     concat            [h_1; …; h_M]
 *     projected         [norm(W_1 h_1); …; norm(W_M h_M)]
 *     gate              a weight for each modality
 *     gmu               a weight for each number of each modality (Arevalo et al. 2017)
 *     gmu_heads         the same in subspaces (Jiang et al. 2021)
 *     cross_attention   each modality's positions look at the others'
 *     asymmetric        the primary looks at the others, each of them at the primary (ITCFN)
 *     attention         self-attention over those that are there and a summary, then the mean: the
 *                       default
 *     medfuse           an LSTM over those that are there (Hayat et al. 2022)
 *     hierarchical      pairs, then the pairs
 *     late              the average of the modalities' probabilities: a logit
 *     tri_branch        the same with a branch that sees all, and a loss for each branch (TNF, Zheng
 *                       et al. 2024): a logit
 *
 * Parameters of modality m: "prefix.in<m>…", "prefix.token<m>"; what several share has other names.
 *
 * An absent modality's vector has no influence, whatever it holds, and the gradient that flows to it
 * is 0. What stands in its place is `missing`:
 *
 *   skip    nothing; the others are fused as if there were no more. A sample without any has the
 *           vector that is made of nothing, zeros (of `attention` what the summary sees alone), or the logit 0.
 *           Not for concat, projected and hierarchical, which need every vector.
 *   token   a learned vector; where a modality has positions, one position.
 *   zero    zeros: a baseline.
 */
#ifndef COMMON_MODEL_FUSION_FUSION_H
#define COMMON_MODEL_FUSION_FUSION_H

#include "common/model/encoder/encoder.h"

enum { FUSION_MODALITIES_MAX = 8, FUSION_HEADS_MAX = 16, FUSION_PAIRS_MAX = 28 };

/** The name that is meant where none is given. */
#define FUSION_DEFAULT "attention"

enum fusion_missing { FUSION_SKIP, FUSION_TOKEN, FUSION_ZERO };

struct fusion_kind;

/** Self-attention: the body's sizes come from the fusion's. */
struct fusion_attention {
    struct param_id summary;
    struct transformer body;
    struct encoder_norm last;
};

/** Plain. The caller sets what stands before `kind`; fusion_declare the rest. */
struct fusion {
    size_t M;                               /**< modalities, 1 to FUSION_MODALITIES_MAX */
    size_t width_in[FUSION_MODALITIES_MAX]; /**< of each vector */
    /** of each position, where a modality gives positions to a fusion that reads them; 0: none */
    size_t token_in[FUSION_MODALITIES_MAX];
    size_t width;  /**< that modalities are projected to; not of concat, late, tri_branch */
    size_t heads;  /**< dividing width: gmu_heads and whatever attends */
    size_t layers; /**< attention: blocks */
    size_t
        hidden; /**< of attention's feed-forward part, medfuse's state, tri_branch's joint branch */
    size_t primary; /**< asymmetric: which one */
    bool learned;   /**< tri_branch: weights are parameters; else equal */
    enum fusion_missing missing;

    const struct fusion_kind *kind;
    struct param_id token[FUSION_MODALITIES_MAX];    /**< in place of what is absent */
    struct encoder_linear in[FUSION_MODALITIES_MAX]; /**< projection, or a modality's own head */
    struct encoder_norm norm[FUSION_MODALITIES_MAX];
    bool asks[FUSION_MODALITIES_MAX]; /**< has a query */
    struct param_id query[FUSION_MODALITIES_MAX], key[FUSION_MODALITIES_MAX],
        value[FUSION_MODALITIES_MAX];
    struct param_id found[FUSION_MODALITIES_MAX]; /**< asymmetric: factor of what is found at it */
    struct param_id finds[FUSION_MODALITIES_MAX]; /**< and of what it finds at the primary */
    struct encoder_linear gate[FUSION_MODALITIES_MAX][FUSION_HEADS_MAX];
    struct encoder_linear pair[FUSION_PAIRS_MAX];
    struct encoder_linear joint, out;
    struct param_id weights; /**< tri_branch */
    struct fusion_attention attention;
};

/** A batch of encoded modalities; pointers NULL while measuring. */
struct fusion_input {
    size_t M;                   /**< as declared */
    struct node *const *h;      /**< [M] vectors [B, width_in[m]] */
    struct node *const *tokens; /**< [M] positions [B, N_m, token_in[m]], NULL where there are none;
                                     NULL: nowhere. Such a modality's vector is its only position. */
    const uint8_t *const *key;  /**< [M] [B, N_m], 0 = nobody looks there; NULL: all are there */
    const uint8_t *present;     /**< [B, M], 0 = absent; NULL: all there */
};

/**
 * Declares the parameters of the fusion called `name`.
 * @retval RC_INVALID no such name (all are listed), or a size that does not fit; RC_LIMIT, RC_NOMEM
 */
RC fusion_declare(struct param_table *table, const char *prefix, const char *name, struct fusion *f,
                  struct error *err);

/** Numbers in the fused vector; 1 where it is a logit. */
size_t fusion_width(const struct fusion *f);
/** Whether what is recorded is the logit itself: late, tri_branch. */
bool fusion_ends_in_logit(const struct fusion *f);
/** Whether it looks at positions (tokens) rather than at vectors: cross_attention, asymmetric. */
bool fusion_reads_positions(const struct fusion *f);
/** The same of a name, before anything is declared; false where there is no such fusion. */
bool fusion_looks_at_positions(const char *name);
/** The names, i < fusion_count(); NULL beyond. */
const char *fusion_name(size_t i);
size_t fusion_count(void);

/** @return [B, fusion_width], or NULL where tape_verdict says why. @param drop NULL: no dropout */
struct node *fusion_record(const struct fusion *f, struct tape *t, const struct fusion_input *x,
                           const struct tape_dropout *drop);

/**
 * What a fusion that ends in a logit is trained by, for each sample: of tri_branch a loss of every
 * branch, of others the cross-entropy of the logit. @param label [B], 0 or 1, NULL while measuring
 * @return [B, 1]
 */
struct node *fusion_loss(const struct fusion *f, struct tape *t, const struct fusion_input *x,
                         const float *label, const struct tape_dropout *drop);

/**
 * Modality dropout, for training: a thinner `present` in the step arena; NULL while measuring. Each
 * modality of a sample that is there is dropped at coins->rate; where that would be all k of them,
 * one, drawn evenly, stays: so each goes with probability rate - rate^k / k. A sample's coins depend
 * on the seed and its number, not on its batch.
 * @param present [B, M], NULL: all there
 */
const uint8_t *fusion_thin(struct tape *t, const uint8_t *present, size_t M,
                           const struct tape_dropout *coins);

#endif
