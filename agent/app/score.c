#include "agent/app/score.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/train/train.h"

enum { PHYSICAL_BATCH = 256 };

/* What the ledger knows of the study: the site's own parameters, and whether it trained at all.
 * A folder without a ledger can score as well, with the parameters that everybody has. */
static RC own_part(struct scorer *s, struct error *err)
{
    const struct agreement *a = &s->model.agreement;
    const bool adapter = s->model.model.table.P > s->model.model.table.S;
    struct ledger *ledger = NULL;
    const void *state = NULL;
    size_t n = 0;

    enum rc rc = site_ledger(&s->site, &ledger, err);
    s->ledger_known = rc == RC_OK;
    if (rc == RC_OK) {
        rc = ledger_site_state(ledger, &a->study_hash, &s->trained_round, &state, &n, err);
    } else if (rc == RC_STATE) {
        rc = RC_OK;
    }
    if (rc == RC_OK) {
        rc = train_parameters(&s->model.model, &a->study, s->model.params, n > 0 ? state : NULL, n,
                              s->params, err);
    }
    ledger_close(&ledger); /* and the bytes of `state` with it */
    if (rc != RC_OK) {
        return rc;
    }
    s->adapter = !adapter                ? SCORER_NO_ADAPTER
                 : s->trained_round != 0 ? SCORER_OWN_ADAPTER
                                         : SCORER_INITIAL_ADAPTER;
    if (s->adapter == SCORER_INITIAL_ADAPTER) {
        (void)fprintf(
            stderr,
            "wardround-agent: warning: the model has adapters, and the ledger of '%s' has "
            "none of its own for study '%s': scores come from the shared part alone\n",
            s->site.name, a->study.name);
    }
    return RC_OK;
}

enum rc scorer_open(const char *folder, const char *model, struct scorer *out,
                    struct config_issues *issues, struct error *err)
{
    struct scorer s = {0};
    bool there = false;

    enum rc rc = site_open(folder, &s.site, issues, err);
    if (rc == RC_OK) {
        rc = site_look(model, &there, err);
    }
    if (rc == RC_OK && !there) {
        rc = error_set(err, RC_IO,
                       "there is no model file '%.120s'; finished models are in '%.90s/models'",
                       model, folder);
    }
    if (rc == RC_OK) {
        rc = checkpoint_read(model, &s.model, err);
    }
    if (rc == RC_OK) {
        rc = agreement_fits(&s.model.agreement, &s.site.schema, err);
        if (rc != RC_OK) {
            rc = error_context(err,
                               "this model is of another study, '%.63s', than cohort.yaml is for",
                               s.model.agreement.study.name);
        }
    }
    if (rc == RC_OK) {
        s.params = calloc(s.model.model.table.P + 1, sizeof *s.params);
        rc = s.params != NULL ? own_part(&s, err)
                              : error_set(err, RC_NOMEM, "no memory for the model");
    }
    if (rc == RC_OK) {
        *out = s;
        s = (struct scorer){0}; /* ownership moved */
    }
    scorer_release(&s);
    return rc;
}

void scorer_release(struct scorer *s)
{
    if (s->params != NULL) { /* adapters never leave, nor do they stay behind in memory */
        hash_wipe(s->params, s->model.model.table.P * sizeof *s->params);
    }
    free(s->params);
    checkpoint_release(&s->model);
    site_release(&s->site);
    *s = (struct scorer){0};
}

size_t scorer_outputs(const struct scorer *s)
{
    return s->model.model.layout.n_outputs;
}

enum rc scorer_score(const struct scorer *s, const float *values, const int32_t *codes, size_t n,
                     double *probability, struct error *err)
{
    const struct batch batch = {.B = n, .values = values, .codes = codes};
    return model_score(&s->model.model, s->params, &batch, PHYSICAL_BATCH, probability, err);
}

enum rc scorer_score_dataset(const struct scorer *s, const struct dataset *d, double *probability,
                             struct error *err)
{
    size_t *row = calloc(d->n_rows + 1, sizeof *row);
    size_t *who = calloc(d->n_rows + 1, sizeof *who);
    enum rc rc = RC_OK;
    if (row == NULL || who == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu rows", d->n_rows);
        goto out;
    }
    for (size_t p = 0; p < d->n_patients; p++) {
        for (size_t i = d->first_row[p]; i < d->first_row[p + 1]; i++) {
            row[i] = i;
            who[i] = p;
        }
    }
    rc = train_score(&s->model.model, s->params, d, row, who, d->n_rows, probability, err);
out:
    free(row);
    free(who);
    return rc;
}

void scorer_short_id(const struct scorer *s, char out[SCORER_ID_ROOM])
{
    char hex[HASH_HEX];
    hash_hex(&s->model.id, hex);
    (void)snprintf(out, SCORER_ID_ROOM, "%s", hex);
}

const char *scorer_adapter_name(const struct scorer *s)
{
    static const char *const name[SCORER_ADAPTERS] = {
        [SCORER_NO_ADAPTER] = "none",
        [SCORER_OWN_ADAPTER] = "own",
        [SCORER_INITIAL_ADAPTER] = "initial",
    };
    return name[s->adapter];
}
