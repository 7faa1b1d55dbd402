/* Evaluations: a finished model on the patients that no round was trained on, as score histograms with noise.
 * Every request is decided here, from its signature, the policy and the ledger; what was answered once is
 * answered with the same bytes for ever. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/app/trainer_internal.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/checkpoint/checkpoint.h"
#include "common/evaluation/request.h"

/* What may be told of why there are no histograms: nothing that was read off patients. */
struct refusal_text {
    char text[240];
};

static enum rc say(struct trainer *t, const struct evaluation_request *r, enum wire_kind kind,
                   const char *text, const void *raw, size_t raw_n, struct error *err)
{
    struct wire_message m = {.kind = kind,
                             .study = r->study,
                             .evaluation = evaluation_request_hash(r)};
    wire_set_text(&m, text);
    return trainer_say(t, &m, raw, raw_n, err);
}

static enum rc refuse(struct trainer *t, const struct evaluation_request *r, const char *why,
                      struct error *err)
{
    log_event(LOG_LEVEL_WARN, "evaluation_refused", "epsilon=%g reason=\"%s\"", r->epsilon, why);
    return say(t, r, WIRE_UNSCORED, why, NULL, 0, err);
}

/* ---- scoring --------------------------------------------------------------------------------- */

/* The held-out patients' rows, one patient after the other. */
struct bench {
    struct arena memory;
    size_t *row, *who; /* [rows] */
    size_t *first;     /* [patients + 1] of each, in row */
    double *row_score; /* [rows] */
    double *score, *label;
    size_t rows, patients;
    real *params; /* [P] */
    size_t P;
};

static void bench_release(struct bench *b)
{
    arena_wipe(&b->memory); /* patients' scores, and adapters */
    arena_release(&b->memory);
}

static RC bench_reserve(struct bench *b, const struct dataset *d, size_t P, struct error *err)
{
    const enum rc rc =
        arena_init(&b->memory,
                   2 * arena_cost(d->n_rows, sizeof(size_t)) +
                       arena_cost(d->n_patients + 1, sizeof(size_t)) +
                       arena_cost(d->n_rows, sizeof(double)) +
                       2 * arena_cost(d->n_patients, sizeof(double)) + arena_cost(P, sizeof(real)),
                   err);
    if (rc != RC_OK) {
        return rc;
    }
    b->row = arena_take(&b->memory, d->n_rows, sizeof(size_t));
    b->who = arena_take(&b->memory, d->n_rows, sizeof(size_t));
    b->first = arena_take(&b->memory, d->n_patients + 1, sizeof(size_t));
    b->row_score = arena_take(&b->memory, d->n_rows, sizeof(double));
    b->score = arena_take(&b->memory, d->n_patients, sizeof(double));
    b->label = arena_take(&b->memory, d->n_patients, sizeof(double));
    b->params = arena_take(&b->memory, P, sizeof(real));
    b->P = P;
    return RC_OK;
}

static void pick_held_out(struct bench *b, const struct study *study, const struct dataset *d)
{
    for (size_t p = 0; p < d->n_patients; p++) {
        if (!study_holds_out(study, &d->patient[p])) {
            continue;
        }
        b->first[b->patients] = b->rows;
        b->label[b->patients++] = (double)d->label[p];
        for (size_t i = d->first_row[p]; i < d->first_row[p + 1]; i++) {
            b->row[b->rows] = i;
            b->who[b->rows++] = p;
        }
    }
    b->first[b->patients] = b->rows;
}

/* A patient's score is the mean of its rows', as in `evaluate` and the simulator. */
static RC score(struct trainer *t, const struct checkpoint *c, struct bench *b, struct error *err)
{
    const struct agreement *a = &c->agreement;
    uint64_t round = 0;
    const void *state = NULL;
    size_t n = 0;
    enum rc rc = ledger_site_state(t->ledger, &a->study_hash, &round, &state, &n, err);
    if (rc == RC_OK) {
        rc = train_parameters(&c->model, &a->study, c->params, round > 0 ? state : NULL, n,
                              b->params, err);
    }
    if (rc == RC_OK) {
        rc = train_score(&c->model, b->params, t->data, b->row, b->who, b->rows, b->row_score, err);
    }
    for (size_t p = 0; rc == RC_OK && p < b->patients; p++) {
        for (size_t i = b->first[p]; i < b->first[p + 1]; i++) {
            b->score[p] += b->row_score[i];
        }
        b->score[p] /= (double)(b->first[p + 1] - b->first[p]);
    }
    return rc;
}

/* @param[out] why "" if `out` is there */
static RC count(struct trainer *t, const struct evaluation_request *r, const struct checkpoint *c,
                struct evaluation_counts *out, struct refusal_text *why, struct error *err)
{
    struct bench b = {.rows = 0};
    struct error fault = {0};
    enum rc rc = bench_reserve(&b, t->data, c->model.table.P, err);
    if (rc == RC_OK) {
        pick_held_out(&b, &c->agreement.study, t->data);
        rc = score(t, c, &b, err);
    }
    if (rc == RC_OK &&
        evaluation_count(&r->bins, b.score, b.label, b.patients, out, &fault) != RC_OK) {
        (void)snprintf(why->text, sizeof why->text,
                       "the model gives no probabilities of a label that is 0 or 1");
    }
    bench_release(&b);
    return rc;
}

/* ---- deciding -------------------------------------------------------------------------------- */

/* The finished model as this site keeps it, if it is the one that is asked about. */
static RC open_model(struct trainer *t, const struct evaluation_request *r, const char *study,
                     struct checkpoint *out, struct refusal_text *why, struct error *err)
{
    char name[STUDY_NAME_MAX + 32];
    char path[SITE_PATH_MAX];
    struct error fault = {0};
    (void)snprintf(name, sizeof name, "models/%s.safetensors", study);
    enum rc rc = site_path(t->folder, name, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = checkpoint_read(path, out, &fault);
    if (rc == RC_NOMEM) {
        return error_set(err, rc, "%s", fault.text);
    }
    if (rc != RC_OK) { /* the sentence names a path of the hospital's: it stays here */
        log_event(LOG_LEVEL_ERROR, "model_not_read", "reason=\"%s\"", fault.text);
        (void)snprintf(why->text, sizeof why->text, "this site cannot read the finished model");
    } else if (!hash_equal(&out->id, &r->model) ||
               !hash_equal(&out->agreement.study_hash, &r->study) || out->round != r->round) {
        (void)snprintf(why->text, sizeof why->text, "this site has another model of that name");
    } else if (agreement_fits(&out->agreement, &t->site.schema, &fault) != RC_OK) {
        (void)snprintf(why->text, sizeof why->text,
                       "the cohort of this site is no longer one of that study");
    } else if (out->agreement.schema.n_classes > 0) {
        (void)snprintf(why->text, sizeof why->text,
                       "the label is one of several classes, and histograms are of yes and no");
    } else if (!(out->agreement.study.held_out > 0.0)) {
        (void)snprintf(why->text, sizeof why->text,
                       "the study has kept no patients out of training (held_out)");
    }
    return RC_OK;
}

struct wanted {
    const struct hash *study;
    char name[CONSENT_NAME_MAX];
    bool withdrawn, done;
};

static void look(void *ctx, const struct consent_row *row)
{
    struct wanted *w = ctx;
    if (hash_equal(&row->study, w->study)) {
        (void)snprintf(w->name, sizeof w->name, "%s", row->name);
        w->withdrawn = row->state == CONSENT_WITHDRAWN;
        w->done = row->state == CONSENT_APPROVED && row->done;
    }
}

static RC commit(struct trainer *t, const struct evaluation_request *r, const char *study,
                 const struct evaluation_counts *counts, struct refusal_text *why,
                 struct error *err)
{
    struct evaluation_counts noised;
    unsigned char bytes[EVALUATION_ANSWER_BYTES_MAX];
    struct error fault = {0};
    evaluation_release(counts, r->epsilon, &t->entropy, &noised);
    const struct ledger_evaluation e = {.study = r->study,
                                        .request = evaluation_request_hash(r),
                                        .epsilon = r->epsilon,
                                        .cohort = t->data->version,
                                        .model = r->model,
                                        .bytes = bytes,
                                        .n = evaluation_answer_pack(&noised, bytes),
                                        .now_ms = clock_wall_ms()};
    const enum rc rc = ledger_evaluate(t->ledger, &e, &fault);
    if (rc == RC_LIMIT || rc == RC_STATE) {
        (void)snprintf(why->text, sizeof why->text, "%s", fault.text);
        return RC_OK;
    }
    if (rc != RC_OK) { /* perhaps committed: a fresh start looks into the ledger */
        return error_set(err, rc, "%s", fault.text);
    }
    log_event(LOG_LEVEL_INFO, "evaluation_spent", "study=%s round=%llu epsilon=%g", study,
              (unsigned long long)r->round, r->epsilon);
    return RC_OK;
}

/* @param[out] why "" if it is in the ledger now */
static RC evaluate(struct trainer *t, const struct evaluation_request *r, const char *study,
                   struct refusal_text *why, struct error *err)
{
    struct checkpoint c = {.round = 0};
    struct evaluation_counts counts = {.bins = 0};
    enum rc rc = RC_OK;
    if (!t->study.joined) { /* people may have changed site.yaml since */
        struct error fault = {0};
        if (trainer_reopen(t, &fault) != RC_OK) {
            log_event(LOG_LEVEL_ERROR, "site_not_reopened", "reason=\"%s\"", fault.text);
            (void)snprintf(why->text, sizeof why->text, "this site cannot read its own settings");
            return RC_OK;
        }
    }
    if (!(t->site.policy.max_evaluation_epsilon > 0.0)) { /* nobody's score is asked for nothing */
        (void)snprintf(why->text, sizeof why->text,
                       "site.yaml, section policy, allows no evaluations "
                       "(max_evaluation_epsilon is 0)");
        return RC_OK;
    }
    rc = open_model(t, r, study, &c, why, err);
    if (rc == RC_OK && why->text[0] == '\0') {
        rc = count(t, r, &c, &counts, why, err);
    }
    if (rc == RC_OK && why->text[0] == '\0') {
        rc = commit(t, r, study, &counts, why, err);
    }
    checkpoint_release(&c);
    hash_wipe(&counts, sizeof counts);
    return rc;
}

/* The ledger's bytes, and no others. */
static RC say_stored(struct trainer *t, const struct evaluation_request *r, bool *found,
                     struct error *err)
{
    const struct hash request = evaluation_request_hash(r);
    const void *bytes = NULL;
    size_t n = 0;
    const enum rc rc = ledger_evaluated(t->ledger, &request, found, &bytes, &n, err);
    return rc == RC_OK && *found ? say(t, r, WIRE_SCORES, "", bytes, n, err) : rc;
}

static RC answer(struct trainer *t, const struct evaluation_request *r, struct error *err)
{
    struct wanted w = {.study = &r->study};
    struct refusal_text why = {""};
    bool found = false;
    enum rc rc = consent_each(t->consent, look, &w, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (w.withdrawn) {
        return refuse(t, r, "the hospital has withdrawn from this study", err);
    }
    if (!w.done) {
        return refuse(t, r, "this site has not finished that study", err);
    }
    rc = say_stored(t, r, &found, err);
    if (rc != RC_OK || found) {
        return rc;
    }
    rc = evaluate(t, r, w.name, &why, err);
    if (rc == RC_OK && why.text[0] == '\0') {
        return say_stored(t, r, &found, err);
    }
    return rc == RC_OK ? refuse(t, r, why.text, err) : rc;
}

enum rc evaluation_asked(struct trainer *t, const struct wire_message *m, const void *raw,
                         size_t raw_n, struct error *err)
{
    struct evaluation_request r;
    struct error fault = {0};
    enum rc rc = evaluation_request_verify(raw, raw_n, &t->coordinator.sign, &r, &fault);
    if (rc == RC_OK) {
        const struct hash name = evaluation_request_hash(&r);
        if (!hash_equal(&name, &m->evaluation) || !hash_equal(&r.study, &m->study)) {
            rc = error_set(&fault, RC_AUTH, "the evaluation is another one than its message names");
        }
    }
    if (rc != RC_OK) {
        refusals_note(&t->refusals, REFUSED_SIGNATURE, fault.text);
        return RC_OK;
    }
    return t->final.wanted ? RC_OK
                           : answer(t, &r, err); /* its model is coming; we are asked again */
}
