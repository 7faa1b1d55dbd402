/**
 * @file model.h
 * Models by name. A model declares its parameters from the study's words and the cohort's schema,
 * and records one physical batch on a tape as a logit per patient, or one for each class. No backward code and no privacy
 * code lives here.
 *
 *   logistic   z = w x + b + sum_k e_k[code_k]            logistic regression; a categorical's
 *                                                         embedding of width 1 is its one-hot weights
 *              of a label with C classes z has C numbers, and this is softmax regression
 *   mlp        h = [x; E_1[code_1]; …]; h = act(LN(W h + b)) per hidden width; z = head(adapter(h))
 *
 *   additive   z = w [x; x_c^2; l_1; …] + b + sum_k e_k[code_k]
 *                                                         continuous features x_c and the levels l_m of each
 *                                                         series on a grid, too; with `points` a series' shape,
 *                                                         an image's contrasts, a note's words
 *                                                         (encoder/additive.c)
 *   multimodal h_m = adapter_m(encoder_m(x_m)) of every modality, of each position where the fusion
 *              looks at positions; z = fusion(those that are there);
 *              logit = w2 relu(W1 z + b1) + b2, or the fusion's own
 *
 * The adapter is residual, h + W2 relu(W1 h + b1) + b2 with W2 = b2 = 0 at the start, and `site`:
 * trained, clipped and noised with the rest, never sent (METHODS.md 5.2, R1). So are gains and shifts of
 * normalisations where the study says `site_norm` (after FedBN, Li et al. 2021).
 */
#ifndef COMMON_MODEL_MODEL_H
#define COMMON_MODEL_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/model/modality.h"
#include "common/schema/schema.h"
#include "common/study/study.h"
#include "common/tape/tape.h"

enum { MODEL_LAYERS_MAX = STUDY_HIDDEN_MAX, MODEL_CODES_MAX = SCHEMA_FEATURES_MAX };

struct model_layer {
    struct param_id w, b, gain, shift;
};

/** Plain after model_open; parameters' places, not their values. Read only, shared by threads. */
struct model {
    const struct model_kind *kind; /**< entry of the registry */
    struct study_model spec;
    struct schema_layout layout;
    struct param_table table;
    struct param_id *code_table; /**< [layout.n_codes] */
    size_t n_squares;
    size_t
        *square; /**< additive: [n_squares] which of the table's numbers are squared, too; owned */
    struct model_layer layer[MODEL_LAYERS_MAX];
    struct adapter adapter;
    struct model_layer head;                  /**< w and b */
    struct multimodal *multi;                 /**< owned; NULL of other models */
    struct study_span span[STUDY_BLOCKS_MAX]; /**< [spec.n_lacked] shared numbers of the encoders of
                                                   the modalities that some site lacks */
    size_t lacked_part[STUDY_BLOCKS_MAX];     /**< and which parts of the layout these are */
};

/**
 * @retval RC_INVALID no model or activation of that name (lists them), or a spec it cannot take, such
 *                    as one whose sites lack a modality that the cohort does not have, or that freezes
 *                    a block that the model does not have (lists them)
 * @retval RC_NOMEM
 */
RC model_open(const struct study_model *spec, const struct schema *schema, struct model *out,
              struct error *err);
void model_release(struct model *m);

/** Does a slice of the model come from the checkpoint that the study begins from? Shared ones do that are
 *  in no block of start->fresh. */
bool model_starts(const struct study_start *start, const struct param *p);
/** Hash of the bytes of what is taken from it, in the order of the table: start->numbers. Of a whole
 *  model it is that of the model. @param params [S] */
struct hash model_start_hash(const struct model *m, const struct study_start *start,
                             const real *params);

/** Records the batch. @return logit [B, layout.n_outputs], NULL with the tape's error set */
struct node *model_logit(const struct model *m, struct tape *t, const struct batch *batch);
/**
 * Records the batch and what it is trained by: a loss of each patient by itself. Of most models the
 * cross-entropy of the logit and batch->label (of several classes batch->class_of), NULL while measuring.
 * @return loss [B, 1], NULL with the tape's error set
 */
struct node *model_loss(const struct model *m, struct tape *t, const struct batch *batch);

/**
 * Bytes of step arena that a training or scoring step over at most B patients takes. The tape is left
 * with the training step measured on it.
 */
RC model_step_cost(const struct model *m, struct tape *t, size_t B, size_t *cost,
                   struct error *err);

/**
 * Probabilities for B patients: sigmoid of the logits, or their softmax over classes, in slices of at most
 * `physical`.
 * @param params [P]  @param[out] probability [B, layout.n_outputs]  @retval RC_NOMEM
 */
RC model_score(const struct model *m, const real *params, const struct batch *batch,
               size_t physical, double *probability, struct error *err);

/** The names, for messages and --help. */
size_t model_names(const char *const **name);

#endif
