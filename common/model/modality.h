/**
 * @file modality.h
 * One modality of a batch, through the encoder that the study names for it and the site's adapter, as a
 * vector [B, width], or as a vector for each of its positions. Which encoder, `table`, `series`, `image`
 * and `notes` of the study's model say.
 */
#ifndef COMMON_MODEL_MODALITY_H
#define COMMON_MODEL_MODALITY_H

#include "common/model/encoder/cnn.h"
#include "common/model/encoder/encoder.h"
#include "common/model/encoder/tcn.h"
#include "common/schema/schema.h"
#include "common/study/study.h"

/** Residual bottleneck (Houlsby et al. 2019), h + W2 relu(W1 h + b1) + b2; stays at the site. */
struct adapter {
    bool there;
    struct encoder_linear down, up;
};

/** "prefix.down.weight"…, all PARAM_SITE, W2 = b2 = 0. Bottleneck 0: none. */
RC adapter_declare(struct param_table *table, const char *prefix, size_t bottleneck, size_t width,
                   struct adapter *a, struct error *err);
/** Without one, h itself. */
struct node *adapter_record(const struct adapter *a, struct tape *t, struct node *h);

struct modality_kind;

/** Plain after modality_declare. */
struct modality {
    const struct modality_kind *kind;
    bool looked_at;           /**< the study's fusion looks at positions */
    size_t width, part;       /**< part: index into the layout's; the table has none */
    size_t shift;             /**< image: pixels that it moves by, at most, while training */
    size_t n_values, n_codes; /**< of a table */
    size_t categories[ENCODER_COLUMNS_MAX];
    struct param_id column[ENCODER_COLUMNS_MAX]; /**< mlp: embeddings of the categorical features */
    struct schema_part layout;
    struct encoder_linear in, out; /**< mlp: both; cnn, tcn: out, where widths differ */
    struct feature_transformer features;
    struct gru_encoder gru;
    struct lstm_encoder lstm;
    struct summary_encoder summary;
    struct series_transformer series;
    struct event_transformer events;
    struct tcn tcn;
    struct cnn cnn;
    struct vit vit;
    struct ngram_bag bag;
    struct text_transformer text;
    struct adapter adapter;
};

/** The table: features of the schema. @retval RC_INVALID no such encoder (lists them), or sizes */
RC modality_table(struct param_table *table, const struct study_model *spec,
                  const struct schema *schema, struct modality *m, struct error *err);
/** Part `part` of the layout, named `name` in the table of parameters. @retval as modality_table */
RC modality_part(struct param_table *table, const struct study_model *spec,
                 const struct schema_layout *layout, size_t part, const char *name,
                 struct modality *m, struct error *err);

/** [B, width]; drop NULL: no dropout. */
struct node *modality_record(const struct modality *m, struct tape *t, const struct batch *batch,
                             const struct tape_dropout *drop);

/**
 * How many positions it has: steps of a series, cells or patches of an image, words of a note, features
 * of a table and their summary. 1: only a vector (mlp, bag, summary), or one position, which is as little.
 */
size_t modality_count(const struct modality *m);
/** Whether the fusion is to have modality_positions of it, and not modality_record. */
bool modality_gives_positions(const struct modality *m);
/** [B, modality_count, width] and where there is something. The adapter is on each. */
struct encoder_positions modality_positions(const struct modality *m, struct tape *t,
                                            const struct batch *batch,
                                            const struct tape_dropout *drop);

#endif
