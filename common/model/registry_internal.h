/**
 * @file registry_internal.h
 * One line of the model registry: how a kind of model declares and records itself.
 */
#ifndef COMMON_MODEL_REGISTRY_INTERNAL_H
#define COMMON_MODEL_REGISTRY_INTERNAL_H

#include "common/model/modality.h"
#include "common/model/model.h"

struct model_kind {
    const char *name;
    RC (*declare)(struct model *m, const struct schema *schema, struct error *err);
    struct node *(*record)(const struct model *m, struct tape *t, const struct batch *batch);
    /** [B, 1]; NULL: binary cross-entropy of the logit */
    struct node *(*loss)(const struct model *m, struct tape *t, const struct batch *batch);
};

RC logistic_declare(struct model *m, const struct schema *schema, struct error *err);
struct node *logistic_record(const struct model *m, struct tape *t, const struct batch *batch);

RC additive_declare(struct model *m, const struct schema *schema, struct error *err);
struct node *additive_record(const struct model *m, struct tape *t, const struct batch *batch);

RC mlp_declare(struct model *m, const struct schema *schema, struct error *err);
struct node *mlp_record(const struct model *m, struct tape *t, const struct batch *batch);

/** Embedding tables "code<k>" [schema_code_count(k), width] for every categorical. */
RC codes_declare(struct model *m, const struct schema *schema, size_t width, enum param_init init,
                 struct error *err);
struct node *codes_record(const struct model *m, struct tape *t, const struct batch *batch,
                          size_t k);

RC multimodal_declare(struct model *m, const struct schema *schema, struct error *err);
/** Part of the layout and slices [*first, *end) of the table that belong to the encoder of a modality,
 *  by its name in the cohort; false: none is named so. The table of features is not asked for: every
 *  site has it. */
bool multimodal_slices(const struct model *m, const char *modality, size_t *part, size_t *first,
                       size_t *end);
/** "labs, notes": names to choose from. */
void multimodal_list(const struct model *m, char *out, size_t room);
struct node *multimodal_record(const struct model *m, struct tape *t, const struct batch *batch);
struct node *multimodal_loss(const struct model *m, struct tape *t, const struct batch *batch);

#endif
