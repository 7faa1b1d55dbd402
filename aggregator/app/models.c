/* models: what has been trained, and one version of it as a file that scores patients. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/app/folder.h"
#include "aggregator/app/overview.h"
#include "aggregator/app/report.h"
#include "aggregator/app/words.h"
#include "common/checkpoint/checkpoint.h"
#include "common/model/model.h"

/* ---- listing --------------------------------------------------------------------------------- */

struct listing {
    const struct words *words;
    const struct registry_study *study;
    size_t n;
    json_t *rows; /* NULL: for people */
};

static bool is_wanted(const struct words *w, uint64_t round)
{
    return !w->has_round || w->round == round;
}

static void list_row(void *ctx, const struct registry_model_row *m)
{
    struct listing *l = ctx;
    char hex[HASH_HEX];
    char when[REPORT_TIME];
    if (!is_wanted(l->words, m->round)) {
        return;
    }
    l->n++;
    hash_hex(&m->model, hex);
    if (l->rows != NULL) {
        (void)json_array_append_new(
            l->rows, json_pack("{s:s, s:I, s:s, s:I, s:I, s:b}", "study", l->study->name, "round",
                               (json_int_t)m->round, "model", hex, "bytes", (json_int_t)m->bytes,
                               "at_ms", (json_int_t)m->at_ms, "stored", m->stored));
        return;
    }
    report_time(m->at_ms, when);
    (void)printf("%-20s round %-6" PRIu64 " %s %12zu bytes  %s%s\n", l->study->name, m->round, hex,
                 m->bytes, when, m->stored ? "" : "  (no longer stored)");
}

/* ---- choosing -------------------------------------------------------------------------------- */

static RC no_such_study(const struct overview *o, const char *name, struct error *err)
{
    char names[140] = "none yet";
    size_t used = 0;
    for (size_t i = 0; i < o->n_studies && used < sizeof names; i++) {
        const int n = snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "",
                               o->study[i].study.name);
        used += n > 0 ? (size_t)n : 0;
    }
    return error_set(err, RC_INVALID, "no study is named '%.40s'; studies here: %s", name, names);
}

static RC find_study(const struct overview *o, const char *name, const struct registry_study **out,
                     struct error *err)
{
    for (size_t i = 0; i < o->n_studies; i++) {
        if (strcmp(o->study[i].study.name, name) == 0) {
            *out = &o->study[i].study;
            return RC_OK;
        }
    }
    return no_such_study(o, name, err);
}

static RC list(const struct words *w, struct registry *r, const struct overview *o,
               const struct registry_study *only, struct error *err)
{
    struct listing l = {.words = w, .rows = w->json ? json_array() : NULL};
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < o->n_studies; i++) {
        l.study = &o->study[i].study;
        if (only == NULL || l.study == only) {
            rc = registry_each_model(r, &l.study->hash, list_row, &l, err);
        }
    }
    if (rc != RC_OK) {
        json_decref(l.rows);
        return rc;
    }
    if (only != NULL && w->has_round && l.n == 0) {
        json_decref(l.rows);
        return error_set(err, RC_STATE,
                         "study '%s' has no model of round %" PRIu64 "; the newest is of round "
                         "%" PRIu64,
                         only->name, w->round, only->rounds_finished);
    }
    if (w->json) {
        return report_print(json_pack("{s:o}", "models", l.rows), err);
    }
    if (l.n == 0) {
        (void)printf("no models yet: they come with studies (wardround-aggregator run)\n");
    }
    return RC_OK;
}

/* ---- saving ---------------------------------------------------------------------------------- */

/* The registry's bytes are the parameters as they lie in memory. */
static RC copy_params(struct registry *r, const struct registry_study *study, uint64_t round,
                      const struct model *model, real **out, struct error *err)
{
    const size_t want = model->table.S * sizeof **out;
    const void *bytes = NULL;
    size_t n = 0;
    const enum rc rc = registry_model_of(r, &study->hash, round, &bytes, &n, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (n != want) {
        return error_set(err, RC_FORMAT,
                         "the registry is damaged: the model of study '%s' has %zu bytes, its "
                         "agreement says %zu",
                         study->name, n, want);
    }
    *out = malloc(want > 0 ? want : 1);
    if (*out == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the model");
    }
    memcpy(*out, bytes, want);
    return RC_OK;
}

static RC save(const struct words *w, struct registry *r, const struct overview *o,
               const struct registry_study *study, struct error *err)
{
    const uint64_t round = w->has_round ? w->round : study->rounds_finished;
    struct agreement a = {0};
    struct model model = {0};
    real *params = NULL;

    enum rc rc = overview_agreement(r, &o->card, &study->hash, &a, err);
    if (rc == RC_OK) {
        rc = model_open(&a.study.model, &a.schema, &model, err);
    }
    if (rc == RC_OK) {
        rc = copy_params(r, study, round, &model, &params, err);
    }
    if (rc == RC_OK) {
        rc = checkpoint_write_new(w->save, &a, &model, round, params, err);
    }
    if (rc == RC_OK && w->json) {
        const struct hash hash = hash_of(params, model.table.S * sizeof *params);
        rc = report_print(json_pack("{s:s, s:I, s:o, s:s}", "study", study->name, "round",
                                    (json_int_t)round, "model", report_hash(&hash), "saved",
                                    w->save),
                          err);
    } else if (rc == RC_OK) {
        (void)printf("saved the model of study '%s' after round %" PRIu64 " of %" PRIu64
                     " as %s%s\n",
                     study->name, round, study->rounds + study->rounds_lost, w->save,
                     study->state == REGISTRY_FINISHED && round == study->rounds_finished
                         ? ""
                         : " (not the study's final model)");
    }
    free(params);
    model_release(&model);
    agreement_release(&a);
    return rc;
}

/* ---- the command ----------------------------------------------------------------------------- */

enum rc command_models(const struct words *w, enum verdict *verdict, struct config_issues *issues,
                       struct error *err)
{
    struct folder f = {0};
    struct overview o = {0};
    struct registry *r = NULL;
    const struct registry_study *study = NULL;

    (void)verdict;
    enum rc rc = folder_open(w->folder, &f, issues, err);
    if (rc == RC_OK) {
        rc = folder_registry(&f, &r, err);
    }
    if (rc == RC_OK) {
        rc = overview_read(&f, r, &o, err);
    }
    if (rc == RC_OK && w->arg != NULL) {
        rc = find_study(&o, w->arg, &study, err);
    }
    if (rc == RC_OK) {
        rc = w->save != NULL && study != NULL ? save(w, r, &o, study, err)
                                              : list(w, r, &o, study, err);
    }
    overview_release(&o);
    registry_close(&r);
    return rc;
}
