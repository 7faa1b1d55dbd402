/* From a plan to rows: subjects, runs, scores, rates. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/accountant/pld.h"
#include "common/accountant/rdp.h"
#include "common/base/clock.h"
#include "sim/attack/attack_internal.h"

struct attack {
    struct attack_setup setup;
    struct attack_group group[ATTACK_SUBJECTS];
    struct attack_trials
        reference; /* of ordinary patients, without noise; runs = 0: not made yet */
};

const char *attack_view_name(enum attack_view v)
{
    static const char *const name[] = {"update", "sum", "model"};
    return name[v];
}

/* ---- opening ------------------------------------------------------------------------------------ */

/* Trains a model of the study without noise and without any canary, or takes the one that is there. */
static enum rc pilot(const struct attack_setup *s, const struct attack_world *w, struct error *err)
{
    const struct attack_origin origin = {
        .setup = s, .what = "pilot", .study = s->open, .seed = s->seed, .each = w->group->each};
    const size_t bytes = s->model->table.P * sizeof *w->params;
    struct attack_kept kept = {.data = w->params, .n = bytes};
    bool found = false;
    if (s->archive == NULL) {
        return attack_world_run(w, err);
    }
    enum rc rc = attack_archive_begin(s->archive, &origin, &kept.key, err);
    if (rc == RC_OK) {
        rc = attack_archive_find(s->archive, &kept, &found, err);
    }
    if (rc != RC_OK || found) {
        return rc;
    }
    const int64_t begun = clock_monotonic_ms();
    rc = attack_world_run(w, err);
    kept.seconds = (double)(clock_monotonic_ms() - begun) / 1000.0;
    rc = rc == RC_OK ? attack_archive_keep(s->archive, &kept, err) : rc;
    return rc == RC_OK ? attack_archive_settle(s->archive, err) : rc;
}

/* That model says what each is to look like. */
static enum rc make_canaries(struct attack *a, struct error *err)
{
    struct attack_group *g = &a->group[ATTACK_CANARY];
    const struct attack_setup *s = &a->setup;
    real *params = calloc(s->model->table.P + 1, sizeof *params);
    bool *nobody = calloc(g->n + 1, sizeof *nobody);
    enum rc rc = RC_OK;
    if (params == NULL || nobody == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for a pilot run");
    }
    const struct attack_world w = {.group = g,
                                   .study = s->open,
                                   .model = s->model,
                                   .in = nobody,
                                   .seed = s->seed,
                                   .params = params};
    if (rc == RC_OK) {
        rc = pilot(s, &w, err);
    }
    if (rc == RC_OK) {
        rc = attack_canaries_make(g, s->schema, s->model, params, s->seed, err);
    }
    free(params);
    free(nobody);
    return rc;
}

enum rc attack_open(const struct attack_setup *setup, struct attack **out, struct error *err)
{
    assert(setup->open->privacy.noise == STUDY_NOISE_NONE);
    const struct attack_params *p = setup->params;
    if (setup->schema->n_classes > 0) {
        return error_set(err, RC_INVALID,
                         "attacks are on labels that are yes or no, and this one is one of %zu "
                         "classes",
                         setup->schema->n_classes);
    }
    struct attack *a = calloc(1, sizeof *a);
    if (a == NULL) {
        return error_set(err, RC_NOMEM, "no memory for an attack");
    }
    a->setup = *setup;
    enum rc rc = attack_group_open(setup->open, setup->data, ATTACK_PATIENT, p->patients,
                                   setup->seed, &a->group[ATTACK_PATIENT], err);
    if (rc == RC_OK) {
        rc = attack_group_open(setup->open, setup->data, ATTACK_CANARY, p->canaries, setup->seed,
                               &a->group[ATTACK_CANARY], err);
    }
    if (rc == RC_OK) {
        rc = make_canaries(a, err);
    }
    for (size_t i = 0; rc == RC_OK && i < ATTACK_SUBJECTS; i++) {
        rc = attack_group_ready(&a->group[i], err);
    }
    if (rc == RC_OK) {
        *out = a;
        a = NULL; /* ownership moved */
    }
    attack_close(&a);
    return rc;
}

void attack_close(struct attack **ap)
{
    struct attack *a = *ap;
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < ATTACK_SUBJECTS; i++) {
        attack_group_release(&a->group[i]);
    }
    attack_trials_release(&a->reference);
    free(a);
    *ap = NULL;
}

/* ---- one plan ------------------------------------------------------------------------------------ */

static size_t runs_for(const struct attack *a, enum attack_subject kind, bool open)
{
    const size_t coins = a->group[kind].n;
    const size_t wanted = (a->setup.params->trials + coins - 1) / coins;
    const size_t references = a->setup.params->references;
    return kind == ATTACK_PATIENT && open && wanted < references ? references : wanted;
}

/* The runs without noise are made once: for their own rows, and as references. */
static enum rc need_references(struct attack *a, struct error *err)
{
    return a->reference.runs > 0
               ? RC_OK
               : attack_trials_open(&a->setup, &a->group[ATTACK_PATIENT], a->setup.open, 0,
                                    runs_for(a, ATTACK_PATIENT, true), &a->reference, err);
}

static enum rc bounds_of(const struct study *study, /* as claimed */
                         struct pld **out, struct error *err)
{
    enum { POINTS = 1 << 15 };
    const struct mechanism m = {.q = study->privacy.sample_rate,
                                .sigma = study->privacy.noise_multiplier,
                                .steps = study_steps(study)};
    struct rdp_curve curve = {{0.0}};
    if (study->privacy.noise == STUDY_NOISE_NONE) {
        return RC_OK;
    }
    rdp_compose(&m, 1, &curve);
    return pld_open(&m, 1, &curve, 1e-7, POINTS, out, err);
}

/* Rows of one group. `own` runs are under `study`; models are compared with `references`. */
static enum rc make_rows(const struct attack *a, enum attack_subject kind,
                         const struct study *study, const struct attack_trials *own,
                         const struct attack_trials *references, const struct pld *pld,
                         struct attack_row *row, size_t *n, struct error *err)
{
    const size_t trials = own->runs * own->n;
    const struct attack_runs target = {own->runs, own->n, own->in, own->score[ATTACK_MODEL]};
    const struct attack_runs compare = {references->runs, references->n, references->in,
                                        references->score[ATTACK_MODEL]};
    enum rc rc = RC_OK;
    double *ratio = calloc(trials + 1, sizeof *ratio);
    if (ratio == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu trials", trials);
    }
    rc = attack_lira(&target, &compare, ratio, err);
    for (int v = ATTACK_UPDATE; rc == RC_OK && v < ATTACK_VIEWS; v++) {
        const bool of_model = v == ATTACK_MODEL;
        const double *score = of_model ? ratio : own->score[v];
        struct attack_row r = {.subject = kind,
                               .view = (enum attack_view)v,
                               .noise = study->privacy.noise,
                               .epsilon = study->privacy.noise == STUDY_NOISE_NONE
                                              ? HUGE_VAL
                                              : study->privacy.epsilon,
                               .delta = study->privacy.delta,
                               .references = of_model ? compare.runs - (own == references) : 0,
                               .runs = own->runs,
                               .epsilon_low_gaussian = (double)NAN};
        (void)snprintf(r.method, sizeof r.method, "%s",
                       of_model ? "LiRA, online" : "matched gradients");
        rc = attack_rates(score, own->in, trials, pld, &r, err);
        if (rc == RC_OK && !of_model && pld != NULL && study->privacy.sample_rate >= 1.0 &&
            a->group[kind].each == 1) {
            rc = attack_audit_gaussian(score, own->in, trials, r.delta, &r.epsilon_low_gaussian,
                                       err);
        }
        if (rc == RC_OK) {
            row[(*n)++] = r;
        }
    }
    free(ratio);
    return rc;
}

/* Trains what is missing of them. */
static enum rc train_all(const struct attack *a, struct attack_trials *const all[], size_t n,
                         struct error *err)
{
    struct attack_count count = {0};
    enum rc rc = RC_OK;
    for (size_t i = 0; i < n; i++) {
        count.of += attack_trials_missing(all[i]);
    }
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        rc = attack_trials_train(&a->setup, all[i], &count, err);
    }
    return rc;
}

enum rc attack_cell_against(struct attack *a, const struct study *study,
                            const struct study *claimed, struct attack_row row[ATTACK_ROWS_MAX],
                            size_t *n, struct error *err)
{
    const bool open = study->privacy.noise == STUDY_NOISE_NONE;
    struct attack_trials patients = {0};
    struct attack_trials canaries = {0};
    struct pld *pld = NULL;
    size_t rows = 0;
    if (study->privacy.noise == STUDY_NOISE_SHARED) {
        return error_set(err, RC_INVALID,
                         "attacks do not read updates with shared noise yet: leave `noise: shared` "
                         "away, or say `noise: site`");
    }
    enum rc rc = bounds_of(claimed, &pld, err);
    if (rc == RC_OK) {
        rc = need_references(a, err);
    }
    if (rc == RC_OK && !open) {
        rc = attack_trials_open(&a->setup, &a->group[ATTACK_PATIENT], study, 1,
                                runs_for(a, ATTACK_PATIENT, open), &patients, err);
    }
    if (rc == RC_OK) {
        rc = attack_trials_open(&a->setup, &a->group[ATTACK_CANARY], study, 2,
                                runs_for(a, ATTACK_CANARY, open), &canaries, err);
    }
    if (rc == RC_OK) {
        struct attack_trials *const all[] = {&a->reference, &patients, &canaries};
        rc = train_all(a, all, sizeof all / sizeof all[0], err);
    }
    const struct attack_trials *own = open ? &a->reference : &patients;
    if (rc == RC_OK) {
        rc = make_rows(a, ATTACK_PATIENT, study, own, &a->reference, pld, row, &rows, err);
    }
    if (rc == RC_OK) {
        rc = make_rows(a, ATTACK_CANARY, study, &canaries, &canaries, pld, row, &rows, err);
    }
    for (size_t i = 0; i < rows; i++) {
        row[i].seconds = attack_trials_seconds(row[i].subject == ATTACK_PATIENT ? own : &canaries);
    }
    if (rc == RC_OK) {
        *n = rows;
    }
    attack_trials_release(&patients);
    attack_trials_release(&canaries);
    pld_close(&pld);
    return rc;
}

enum rc attack_cell(struct attack *a, const struct study *study,
                    struct attack_row row[ATTACK_ROWS_MAX], size_t *n, struct error *err)
{
    return attack_cell_against(a, study, study, row, n, err);
}
