/**
 * @file bench_models.h
 * The models that bench_train measures, written with tape operations. One logit per sample.
 *
 *   tab    64 -> 256 -> 128 -> 1, relu
 *   ts     LSTM, 48 steps of 32 features, hidden 128, last state -> 1
 *   img    1x64x64: three blocks of conv 3x3, group norm, relu, max pool 2 (the last: global average)
 *   tx     64 tokens of 2048, d = 128, sinusoid positions, 2 post-norm blocks of 4 heads and ff 256
 *   multi  all four with 64 outputs each -> concat -> relu -> 128 -> relu -> 1
 */
#ifndef TESTS_BENCH_BENCH_MODELS_H
#define TESTS_BENCH_BENCH_MODELS_H

#include "common/tape/tape.h"

enum bench_kind { BENCH_TAB, BENCH_TS, BENCH_IMG, BENCH_TX, BENCH_MULTI };
enum { BENCH_KINDS = 5 };
extern const char *const bench_name[BENCH_KINDS];

enum {
    TAB_IN = 64,
    TS_STEPS = 48,
    TS_IN = 32,
    IMG_SIDE = 64,
    TX_TOKENS = 64,
    TX_WORDS = 2048,
    TX_BLOCKS = 2
};

struct dense {
    struct param_id w, b;
};

struct scale_shift {
    struct param_id gain, shift;
};

struct bench_model {
    enum bench_kind kind;
    struct param_table table;
    struct dense tab[3];
    struct dense lstm, ts_out;
    struct param_id conv[3];
    struct scale_shift group[3];
    struct dense img_out;
    struct param_id words;
    struct {
        struct dense q, k, v, o, up, down;
        struct scale_shift first, second;
    } block[TX_BLOCKS];
    struct dense tx_out;
    struct dense fuse[2];
};

/** Inputs of B samples; those that the model does not read may be NULL. */
struct bench_batch {
    const float *tab;     /**< [B, 64] */
    const float *ts;      /**< [B, 48, 32] */
    const float *img;     /**< [B, 64, 64, 1] */
    const int32_t *words; /**< [B, 64] */
    const float *label;   /**< [B] */
};

RC bench_model_open(enum bench_kind kind, struct bench_model *out, struct error *err);
void bench_model_release(struct bench_model *m);

/** Records samples from `at` on. @return loss [B, 1] */
struct node *bench_model_loss(const struct bench_model *m, struct tape *t,
                              const struct bench_batch *batch, size_t at);

/** Multiply-adds of the products of one sample's forward pass. */
double bench_model_products(const struct bench_model *m);

#endif
