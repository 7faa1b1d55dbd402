/**
 * @file encoder.h
 * Encoders: one modality of a batch -> a vector per sample, [B, width]. Each is a struct of sizes,
 * which the caller fills in, and of parameters, which declare fills in:
 *
 *     struct gru_encoder e = {.variables = 12, .width = 64, .layers = 1};
 *     rc = gru_encoder_declare(&table, "vitals", &e, err);    parameters "vitals.…"
 *     struct node *h = gru_encoder_record(&e, t, &series, drop);
 *
 * declare: RC_INVALID where sizes do not fit, saying which; RC_LIMIT, RC_NOMEM of the table.
 * record: arrays are borrowed until the sweep is over. `drop` NULL: no dropout. A sample depends on
 * itself alone; one whose modality is empty (length 0, no codes) has a vector all the same, and
 * whoever fuses decides not to use it.
 *
 * Encoders that keep to places of their input (steps, patches, words, features) give these as well:
 * …_positions records what the vector is the last, the mean or the summary of, for whom looks at
 * positions. All parameters are used either way, but where `spread` says otherwise.
 */
#ifndef COMMON_MODEL_ENCODER_ENCODER_H
#define COMMON_MODEL_ENCODER_ENCODER_H

#include "common/tape/tape.h"

enum { ENCODER_LAYERS_MAX = 8, ENCODER_COLUMNS_MAX = 64 };

/* ---- inputs: pointers NULL while measuring --------------------------------------------------- */

/** V variables at T steps. Values are 0 where nothing was seen. */
struct encoder_series {
    size_t T, V;
    const float *values, *seen, *since; /**< [B, T, V]; seen: 1 or 0; since: time since last seen */
    const int32_t *length;              /**< [B] steps of each sample, NULL: T */
};

/** A patient's events, in any order. */
struct encoder_events {
    size_t T;
    const float *values, *when; /**< [B, T] */
    const int32_t *code;        /**< [B, T] which variable; negative: padding */
};

/** Codes of a text, or of its n-grams. */
struct encoder_codes {
    size_t T;
    const int32_t *code; /**< [B, T], negative: padding */
};

/** A row of a table. */
struct encoder_table {
    const float *values; /**< [B, numbers] */
    const uint8_t
        *there; /**< [B, numbers + columns]: 0 = missing, not looked at; NULL: all there */
    const int32_t *codes; /**< [B, columns] */
};

/** Pixels, channels last. */
struct encoder_image {
    const float *pixels; /**< [B, height, width, channels] */
};

/** What an encoder makes of each place of its input. */
struct encoder_positions {
    struct node *x;     /**< [B, N, width]; NULL as every tape operation */
    const uint8_t *key; /**< [B, N], 0 = nothing is there; NULL: everywhere something */
};

/* ---- pieces ---------------------------------------------------------------------------------- */

struct encoder_linear {
    struct param_id w, b;
};

RC encoder_linear_declare(struct param_table *table, const char *prefix, const char *name,
                          size_t out, size_t in, struct encoder_linear *l, struct error *err);
struct node *encoder_linear_record(const struct encoder_linear *l, struct tape *t, struct node *x);

struct encoder_norm {
    struct param_id gain, shift;
};

RC encoder_norm_declare(struct param_table *table, const char *prefix, const char *name,
                        size_t width, struct encoder_norm *n, struct error *err);
struct node *encoder_norm_record(const struct encoder_norm *n, struct tape *t, struct node *x);

/** Dropout, or x itself where drop is NULL. */
struct node *encoder_drop(struct tape *t, struct node *x, const struct tape_dropout *drop);

/** One layer of a transformer's encoder. */
struct transformer_block {
    struct encoder_linear query, key, value, out, up, down;
    struct encoder_norm first, second;
};

/** A stack of blocks. */
struct transformer {
    size_t width, heads, hidden, layers; /**< hidden: of the feed-forward part */
    bool
        norm_first; /**< x + f(norm x) and GELU, as vision models have it; or norm(x + f x), ReLU */
    struct transformer_block block[ENCODER_LAYERS_MAX];
};

RC transformer_declare(struct param_table *table, const char *prefix, struct transformer *e,
                       struct error *err);
/** x [B, N, width] -> [B, N, width]; key [B, N]: 0 = nobody looks there. */
struct node *transformer_record(const struct transformer *e, struct tape *t, struct node *x,
                                const uint8_t *key, const struct tape_dropout *drop);

/* ---- series ---------------------------------------------------------------------------------- */

/** (values, seen, since) of every step, side by side: [B, T, 3V]. */
struct node *encoder_series_record(struct tape *t, const struct encoder_series *x);

struct gru_encoder {
    size_t variables, width, layers;
    struct tape_gru_params layer[ENCODER_LAYERS_MAX];
};

RC gru_encoder_declare(struct param_table *table, const char *prefix, struct gru_encoder *e,
                       struct error *err);
struct node *gru_encoder_record(const struct gru_encoder *e, struct tape *t,
                                const struct encoder_series *x, const struct tape_dropout *drop);
/** The state after each step. */
struct encoder_positions gru_encoder_positions(const struct gru_encoder *e, struct tape *t,
                                               const struct encoder_series *x,
                                               const struct tape_dropout *drop);

/** Statistics of each variable over all steps. */
struct summary_encoder {
    size_t variables, width;
    struct encoder_linear in, out;
};

RC summary_encoder_declare(struct param_table *table, const char *prefix, struct summary_encoder *e,
                           struct error *err);
struct node *summary_encoder_record(const struct summary_encoder *e, struct tape *t,
                                    const struct encoder_series *x,
                                    const struct tape_dropout *drop);

enum { SERIES_LEVELS = 4 };

/** Of each variable: last value, mean, its square, and share of the steps at which it was seen; 0 where it
 *  was not. No parameters: a linear model's input. @return [B, SERIES_LEVELS V] */
struct node *series_levels_record(struct tape *t, const struct encoder_series *x);

enum { SERIES_SHAPE = 2 };

/** Of each variable: its rise and its swing (shape.c); 0 where fewer than three steps saw it. No
 *  parameters. @return [B, SERIES_SHAPE V] */
struct node *series_shape_record(struct tape *t, const struct encoder_series *x);

struct lstm_encoder {
    size_t variables, width, layers;
    struct encoder_linear layer[ENCODER_LAYERS_MAX];
};

RC lstm_encoder_declare(struct param_table *table, const char *prefix, struct lstm_encoder *e,
                        struct error *err);
struct node *lstm_encoder_record(const struct lstm_encoder *e, struct tape *t,
                                 const struct encoder_series *x, const struct tape_dropout *drop);
/** The state after each step. */
struct encoder_positions lstm_encoder_positions(const struct lstm_encoder *e, struct tape *t,
                                                const struct encoder_series *x,
                                                const struct tape_dropout *drop);

struct series_transformer {
    size_t variables;
    struct encoder_linear in;
    struct transformer body; /**< its sizes: width, heads, hidden, layers */
};

RC series_transformer_declare(struct param_table *table, const char *prefix,
                              struct series_transformer *e, struct error *err);
struct node *series_transformer_record(const struct series_transformer *e, struct tape *t,
                                       const struct encoder_series *x,
                                       const struct tape_dropout *drop);
/** Of each step. */
struct encoder_positions series_transformer_positions(const struct series_transformer *e,
                                                      struct tape *t,
                                                      const struct encoder_series *x,
                                                      const struct tape_dropout *drop);

struct event_curve {
    struct encoder_linear in;
    struct param_id out;
};

struct event_transformer {
    size_t variables;
    bool spread; /**< only positions are asked for: nothing has shares */
    struct param_id variable, share_out;
    struct event_curve value, time;
    struct encoder_linear share;
    struct transformer body; /**< its sizes: width, heads, hidden, layers */
};

RC event_transformer_declare(struct param_table *table, const char *prefix,
                             struct event_transformer *e, struct error *err);
struct node *event_transformer_record(const struct event_transformer *e, struct tape *t,
                                      const struct encoder_events *x,
                                      const struct tape_dropout *drop);
/** Of each event. */
struct encoder_positions event_transformer_positions(const struct event_transformer *e,
                                                     struct tape *t, const struct encoder_events *x,
                                                     const struct tape_dropout *drop);

/* ---- tables ---------------------------------------------------------------------------------- */

struct feature_transformer {
    size_t numbers, columns;                /**< of which the table consists */
    size_t categories[ENCODER_COLUMNS_MAX]; /**< of each column */
    struct param_id token_w, token_b, summary;
    struct param_id column[ENCODER_COLUMNS_MAX];
    struct encoder_norm last;
    struct transformer body;
};

RC feature_transformer_declare(struct param_table *table, const char *prefix,
                               struct feature_transformer *e, struct error *err);
struct node *feature_transformer_record(const struct feature_transformer *e, struct tape *t,
                                        const struct encoder_table *x,
                                        const struct tape_dropout *drop);
/** The summary, which is always there, then numbers and columns: 1 + numbers + columns positions. */
struct encoder_positions feature_transformer_positions(const struct feature_transformer *e,
                                                       struct tape *t,
                                                       const struct encoder_table *x,
                                                       const struct tape_dropout *drop);

/* ---- notes ----------------------------------------------------------------------------------- */

/**
 * Hashes the words of a text, and its pairs of neighbouring words, into [0, V): a vocabulary that
 * nobody's notes were needed for. A word is a run of letters and digits, ASCII in lower case; every
 * byte beyond ASCII is a letter, so UTF-8 stays whole.
 * @param n_max 1: words; 2: words and pairs
 * @param V 1 to INT32_MAX
 * @param[out] code [room]; the rest is -1
 * @return how many codes the text has; those beyond `room` are left out
 */
size_t ngram_codes(const char *text, size_t bytes, size_t n_max, size_t V, int32_t *code,
                   size_t room);

/** Of each code in [0, V) how often a text has it, over the root of how many codes the text has: a vector of
 *  length 1 where none is there twice, and never above the root of `T`. No parameters; V floats a sample.
 *  @return [B, V] */
struct node *word_counts_record(struct tape *t, const struct encoder_codes *x, size_t V);

struct ngram_bag {
    size_t vocabulary, embedding, width;
    struct param_id table;
    struct encoder_linear out;
};

RC ngram_bag_declare(struct param_table *table, const char *prefix, struct ngram_bag *e,
                     struct error *err);
struct node *ngram_bag_record(const struct ngram_bag *e, struct tape *t,
                              const struct encoder_codes *x, const struct tape_dropout *drop);

struct text_transformer {
    size_t vocabulary;
    struct param_id table;
    struct transformer body;
};

RC text_transformer_declare(struct param_table *table, const char *prefix,
                            struct text_transformer *e, struct error *err);
struct node *text_transformer_record(const struct text_transformer *e, struct tape *t,
                                     const struct encoder_codes *x,
                                     const struct tape_dropout *drop);
/** Of each code; padding has nothing. */
struct encoder_positions text_transformer_positions(const struct text_transformer *e,
                                                    struct tape *t, const struct encoder_codes *x,
                                                    const struct tape_dropout *drop);

/* ---- images ---------------------------------------------------------------------------------- */

enum { IMAGE_SIZES = 4, IMAGE_CONTRASTS = 3 * IMAGE_SIZES };

/**
 * Of each plane of an image how much detail it has at four sizes, and the brightest and darkest of it
 * (contrasts.c). No parameters.
 * @param planes [B, channels, height, width]; NULL while measuring
 * @param there [B]: 0 = no image, all zeros; NULL: all have one
 * @return [B, IMAGE_CONTRASTS channels]
 */
struct node *image_contrasts_record(struct tape *t, const float *planes, const uint8_t *there,
                                    size_t channels, size_t height, size_t width);

struct vit {
    size_t height, width, channels, patch;
    struct encoder_linear in;
    struct param_id positions;
    struct encoder_norm last;
    struct transformer body;
};

RC vit_declare(struct param_table *table, const char *prefix, struct vit *e, struct error *err);
struct node *vit_record(const struct vit *e, struct tape *t, const struct encoder_image *x,
                        const struct tape_dropout *drop);
/** Of each patch, in reading order: vit_patches of them. */
struct encoder_positions vit_positions(const struct vit *e, struct tape *t,
                                       const struct encoder_image *x,
                                       const struct tape_dropout *drop);
size_t vit_patches(const struct vit *e);

#endif
