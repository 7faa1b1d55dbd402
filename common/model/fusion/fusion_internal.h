/**
 * @file fusion_internal.h
 * One fusion: what it can do, how it declares itself and what it writes on the tape. Beyond
 * fusion.c nobody asks what `missing` is: what a fusion is given is there, stands for what is not, or
 * is 0 and said to be absent.
 */
#ifndef COMMON_MODEL_FUSION_FUSION_INTERNAL_H
#define COMMON_MODEL_FUSION_FUSION_INTERNAL_H

#include "common/model/encoder/encoder_internal.h"
#include "common/model/fusion/fusion.h"

/** Modalities ready to be fused. */
struct fusion_parts {
    size_t M;
    struct node *h[FUSION_MODALITIES_MAX]; /**< [B, width_in[m]]; 0 where absent */
    struct node *x[FUSION_MODALITIES_MAX]; /**< [B, N_m, D_m]: positions, or h as the only one */
    const uint8_t *key[FUSION_MODALITIES_MAX];  /**< [B, N_m] of x */
    const uint8_t *here[FUSION_MODALITIES_MAX]; /**< [B] */
    const uint8_t *present;                     /**< [B, M]: the same */
    const uint8_t *all;                         /**< [B]: none is absent */
    const struct tape_dropout *drop;
};

struct fusion_kind {
    const char *name;
    size_t M_min;
    bool skips;     /**< knows what to do without a modality */
    bool logit;     /**< ends in one */
    bool projects;  /**< has a width */
    bool heads;     /**< divides it */
    bool hides;     /**< has hidden numbers */
    bool layers;    /**< has layers */
    bool positions; /**< reads x and key, not h */
    RC(*declare)
    (struct fusion *f, struct param_table *table, const char *prefix,
     struct error *err); /**< NULL: no parameters */
    struct node *(*record)(const struct fusion *f, struct tape *t, const struct fusion_parts *p);
    size_t (*width)(const struct fusion *f); /**< NULL: f->width */
    /** of one that ends in a logit: what it is trained by; NULL: cross-entropy of the logit */
    struct node *(*loss)(const struct fusion *f, struct tape *t, const struct fusion_parts *p,
                         const float *label);
};

extern const struct fusion_kind FUSION_CONCAT, FUSION_PROJECTED, FUSION_GATE, FUSION_GMU,
    FUSION_GMU_HEADS, FUSION_CROSS_ATTENTION, FUSION_ASYMMETRIC, FUSION_ATTENTION, FUSION_MEDFUSE,
    FUSION_HIERARCHICAL, FUSION_LATE, FUSION_TRI_BRANCH;

/** "in<m>": W_m [width, width_in[m]] and b_m of every modality. */
RC fusion_project_declare(struct fusion *f, struct param_table *table, const char *prefix,
                          struct error *err);
/** W_m h_m + b_m; 0 where absent. */
struct node *fusion_project(const struct fusion *f, struct tape *t, const struct fusion_parts *p,
                            size_t m);

/** z a + (1 - z) b of two modalities, z [B, 1] or [B, D]; of the one that is there: itself. */
struct node *fusion_blend(struct tape *t, const struct fusion_parts *p, struct node *z,
                          struct node *a, struct node *b);

/**
 * "in<m>.query", "key", "value": W [width, in[m]] of every modality, but a key of none that has one
 * position, since whoever looks there finds it whole, and a query only of those that look elsewhere.
 * @param looks [m * M + n]: whether m looks at n
 */
RC fusion_look_declare(struct fusion *f, struct param_table *table, const char *prefix,
                       const size_t *in, const bool *looks, struct error *err);
/** Queries, keys and values [B, N_m, width] of every modality, NULL where there are none. */
struct fusion_look {
    struct node *query[FUSION_MODALITIES_MAX], *key[FUSION_MODALITIES_MAX],
        *value[FUSION_MODALITIES_MAX];
};
struct fusion_look fusion_look_record(const struct fusion *f, struct tape *t,
                                      struct node *const *x);
/** What the positions of modality `of` find at those of `at`, on average [B, width]. */
struct node *fusion_look_at(const struct fusion *f, struct tape *t, const struct fusion_parts *p,
                            const struct fusion_look *l, size_t of, size_t at);
/** Numbers in a position of modality m: of x[m] above. */
size_t fusion_position_width(const struct fusion *f, size_t m);

/* Masks of bytes in the step arena; NULL while measuring. */
/** The columns [B] of [B, M]. */
const uint8_t *fusion_column(struct tape *t, const uint8_t *there, size_t M, size_t m);
/** [B]: all of [B, M]. */
const uint8_t *fusion_all(struct tape *t, const uint8_t *there, size_t M);

#endif
