/**
 * @file score.h
 * A finished model, ready to score this hospital's patients: for predict and evaluate.
 */
#ifndef AGENT_APP_SCORE_H
#define AGENT_APP_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/app/site.h"
#include "common/checkpoint/checkpoint.h"

/** Where the site's own parameters come from. */
enum scorer_adapter {
    SCORER_NO_ADAPTER,      /**< the model has none */
    SCORER_OWN_ADAPTER,     /**< trained here, from the ledger */
    SCORER_INITIAL_ADAPTER, /**< never trained here: as they began */
    SCORER_ADAPTERS
};

/** Owned; released by scorer_release. Zeroed is empty. */
struct scorer {
    struct site site;
    struct checkpoint model;
    real *params; /**< [P] */
    enum scorer_adapter adapter;
    uint64_t trained_round; /**< the newest round of this study in the ledger; 0: none */
    bool ledger_known;      /**< false: there was no ledger to ask */
};

/**
 * Opens the folder and the model file, checks that the model reads what this site has, and asks the
 * ledger for this site's own part. Warnings go to stderr.
 * @retval RC_INVALID the model does not fit, and why; others as site_open, checkpoint_read
 */
RC scorer_open(const char *folder, const char *model, struct scorer *out,
               struct config_issues *issues, struct error *err);
void scorer_release(struct scorer *s);

/** Numbers a record that scoring writes: 1, or one for each class of the label. */
size_t scorer_outputs(const struct scorer *s);
/** Probabilities of `n` rows in the site's layout. @param[out] probability [n, scorer_outputs] */
RC scorer_score(const struct scorer *s, const float *values, const int32_t *codes, size_t n,
                double *probability, struct error *err);
/** All rows of a cohort, with their modalities. @param probability [d->n_rows, scorer_outputs] @retval RC_NOMEM */
RC scorer_score_dataset(const struct scorer *s, const struct dataset *d, double *probability,
                        struct error *err);

/** The id's first 16 digits: short for people, long enough to tell models apart. */
enum { SCORER_ID_ROOM = 17 };
void scorer_short_id(const struct scorer *s, char out[SCORER_ID_ROOM]);
/** "none", "own", "initial". */
const char *scorer_adapter_name(const struct scorer *s);

#endif
