/* Finished worlds on a disk: archive_schema.c has the format. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/store/hold.h"
#include "sim/sweep/archive_internal.h"

/* ---- what matters ---------------------------------------------------------------------------- */

/* Who is tested when, apart from seeds. */
static struct hash hash_of_split(const struct sweep *s)
{
    struct hasher h;
    hasher_init(&h);
    hasher_u64(&h, s->folds);
    hasher_u64(&h, s->tune);
    hasher_u64(&h, s->test != NULL);
    for (size_t p = 0; s->test != NULL && p < s->data->n_patients; p++) {
        hasher_u64(&h, s->test[p]);
    }
    return hasher_final(&h);
}

/* A study less what its cells vary; a wish stands for the plans that come of it. */
static enum rc hash_of_ablation(const struct sweep_ablation *a, struct hash *out, struct error *err)
{
    struct study plain = {0};
    const enum rc rc = study_copy(&a->study, &plain, err);
    if (rc != RC_OK) {
        return rc;
    }
    struct hasher h;
    hasher_init(&h);
    plain.seed = 0;
    plain.privacy.noise = STUDY_NOISE_NONE;
    plain.privacy.epsilon = plain.privacy.delta = plain.privacy.noise_multiplier = 0.0;
    if (plain.wish.passes > 0.0) {
        hasher_f64(&h, plain.wish.passes);
        hasher_u64(&h, plain.wish.steps_least);
        hasher_u64(&h, plain.wish.rounds_most);
        plain.privacy.sample_rate = 0.0;
        plain.rounds = 0;
    }
    const struct hash schema = schema_hash(&a->schema);
    const struct hash study = study_hash(&plain, &schema);
    hasher_bytes(&h, study.b, sizeof study.b);
    for (size_t k = 0; k < a->data.n_sites; k++) {
        hasher_u64(&h, a->left_out[k]);
    }
    *out = hasher_final(&h);
    study_release(&plain);
    return RC_OK;
}

static enum rc same(const void *there, size_t n, const struct hash *want, const char *what,
                    struct error *err)
{
    if (n == sizeof want->b && memcmp(there, want->b, n) == 0) {
        return RC_OK;
    }
    return error_set(err, RC_INVALID,
                     "it holds results of %s, which has changed since; choose another --out, or "
                     "delete the file to begin anew",
                     what);
}

/* A curve cannot be had afterwards: models are not kept. */
static enum rc same_curves(int64_t there, size_t want, struct error *err)
{
    if (there == (int64_t)want) {
        return RC_OK;
    }
    return error_set(
        err, RC_INVALID,
        "it holds results with curves: %lld, and curves: is %zu now; say curves: %lld, "
        "choose another --out, or delete the file to begin anew",
        (long long)there, want, (long long)there);
}

/* ---- what is there, and what is asked for --------------------------------------------------------- */

static enum rc check_sweep(struct sweep_archive *a, const struct sweep *s, struct error *err)
{
    const struct hash split = hash_of_split(s);
    struct statement *st = NULL;
    bool row = false;
    enum rc rc =
        store_prepare(a->store, "SELECT version, cohort, split, curves FROM sweep", &st, err);
    if (rc == RC_OK) {
        rc = statement_step(st, &row, err);
    }
    if (rc == RC_OK && row) {
        size_t n = 0;
        const char *version = statement_text(st, 0);
        if (strcmp(version, WARDROUND_VERSION) != 0) {
            rc = error_set(err, RC_INVALID,
                           "it holds results of version %.20s and this is %s, whose figures may "
                           "differ; choose another --out",
                           version, WARDROUND_VERSION);
        }
        const void *cohort = statement_blob(st, 1, &n);
        rc = rc == RC_OK ? same(cohort, n, &s->data->version, "another cohort", err) : rc;
        const void *folds = statement_blob(st, 2, &n);
        rc = rc == RC_OK ? same(folds, n, &split, "another split", err) : rc;
        rc = rc == RC_OK ? same_curves(statement_i64(st, 3), s->curves, err) : rc;
    }
    statement_close(&st);
    if (rc != RC_OK || row) {
        return rc;
    }
    rc = store_prepare(a->store, "INSERT INTO sweep VALUES (1, ?, ?, ?, ?)", &st, err);
    if (rc == RC_OK) {
        statement_bind_text(st, WARDROUND_VERSION);
        statement_bind_blob(st, s->data->version.b, sizeof s->data->version.b);
        statement_bind_blob(st, split.b, sizeof split.b);
        statement_bind_i64(st, (int64_t)s->curves);
        rc = statement_run(st, err);
    }
    statement_close(&st);
    return rc;
}

static enum rc check_ablation(struct sweep_archive *a, const struct sweep_ablation *ablation,
                              struct error *err)
{
    struct hash hash;
    struct statement *st = NULL;
    bool row = false;
    enum rc rc = hash_of_ablation(ablation, &hash, err);
    if (rc == RC_OK) {
        rc = store_prepare(a->store, "SELECT hash FROM ablation WHERE name = ?", &st, err);
    }
    if (rc == RC_OK) {
        statement_bind_text(st, ablation->name);
        rc = statement_step(st, &row, err);
    }
    if (rc == RC_OK && row) {
        char what[REPORT_ABLATION_MAX + 32];
        size_t n = 0;
        const void *there = statement_blob(st, 0, &n);
        (void)snprintf(what, sizeof what, "another study '%s'", ablation->name);
        rc = same(there, n, &hash, what, err);
    }
    statement_close(&st);
    if (rc != RC_OK || row) {
        return rc;
    }
    rc = store_prepare(a->store, "INSERT INTO ablation VALUES (?, ?)", &st, err);
    if (rc == RC_OK) {
        statement_bind_text(st, ablation->name);
        statement_bind_blob(st, hash.b, sizeof hash.b);
        rc = statement_run(st, err);
    }
    statement_close(&st);
    return rc;
}

static enum rc check(struct sweep_archive *a, const struct sweep *s, struct error *err)
{
    enum rc rc = store_begin(a->store, err);
    if (rc == RC_OK) {
        rc = check_sweep(a, s, err);
    }
    for (size_t i = 0; rc == RC_OK && i < s->n_ablations; i++) {
        rc = check_ablation(a, &s->ablation[i], err);
    }
    if (rc == RC_OK) {
        rc = store_commit(a->store, err);
    }
    store_rollback(a->store);
    return rc;
}

/* ---- open, close ----------------------------------------------------------------------------- */

static enum rc prepare(struct sweep_archive *a, struct error *err)
{
    const struct {
        const char *sql;
        struct statement **st;
    } all[] = {
        {"SELECT id FROM cell WHERE ablation = ? AND mode = ? AND noise = ? AND epsilon = ?"
         " AND delta = ? AND seed = ?",
         &a->find_cell},
        {"INSERT INTO cell (ablation, mode, noise, epsilon, delta, seed, sites, rounds,"
         " sample_rate, noise_multiplier) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
         &a->add_cell},
        {"SELECT seconds, outcome FROM world WHERE cell = ? AND fold = ?", &a->find_world},
        {"INSERT INTO world VALUES (?, ?, ?, ?)", &a->add_world},
        {"UPDATE cell SET seconds = ?, auroc = ?, auroc_low = ?, auroc_high = ?,"
         " auroc_site_mean = ?, auprc = ?, ece = ?, accuracy = ?, accuracy_site_mean = ?"
         " WHERE id = ?",
         &a->finish_cell},
    };
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sizeof all / sizeof all[0]; i++) {
        rc = store_prepare(a->store, all[i].sql, all[i].st, err);
    }
    return rc;
}

enum rc sweep_archive_open(const char *path, const struct sweep *s, struct sweep_archive **out,
                           struct error *err)
{
    struct sweep_archive *a = calloc(1, sizeof *a);
    enum rc rc = RC_OK;
    if (a == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the results of a sweep");
    }
    a->held = -1;
    rc = store_hold(path, "--out", &a->held, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = store_open(path, &archive_kind, &a->store, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = check(a, s, err);
    if (rc == RC_OK) {
        rc = prepare(a, err);
    }
    if (rc != RC_OK) {
        rc = error_context(err, "'%s'", path);
        goto out;
    }
    *out = a;
    a = NULL;
out:
    sweep_archive_close(&a);
    return rc;
}

size_t sweep_archive_kept(const struct sweep_archive *a)
{
    return a->kept;
}

void sweep_archive_close(struct sweep_archive **a)
{
    if (*a == NULL) {
        return;
    }
    store_close(&(*a)->store);
    store_let_go(&(*a)->held); /* after the store */
    free(*a);
    *a = NULL;
}

/* ---- worlds ---------------------------------------------------------------------------------- */

static void bind_cell(struct statement *st, const struct sweep_cell *cell)
{
    statement_reset(st);
    statement_bind_text(st, cell->ablation->name);
    statement_bind_text(st, sweep_mode_name(cell->mode));
    statement_bind_text(st, study_noise_name(cell->noise));
    statement_bind_real(st, cell->epsilon);
    statement_bind_real(st, cell->delta);
    statement_bind_i64(st, (int64_t)cell->seed);
}

static enum rc find_cell(struct sweep_archive *a, const struct sweep_cell *cell, int64_t *id,
                         struct error *err)
{
    bool row = false;
    bind_cell(a->find_cell, cell);
    const enum rc rc = statement_step(a->find_cell, &row, err);
    *id = rc == RC_OK && row ? statement_i64(a->find_cell, 0) : 0;
    statement_reset(a->find_cell);
    return rc;
}

enum rc archive_find(struct sweep_archive *a, struct sweep_world *w, bool *found, double *seconds,
                     struct error *err)
{
    int64_t id = 0;
    size_t n = 0;
    *found = false;
    enum rc rc = find_cell(a, &w->cell, &id, err);
    if (rc != RC_OK || id == 0) {
        return rc;
    }
    statement_reset(a->find_world);
    statement_bind_i64(a->find_world, id);
    statement_bind_i64(a->find_world, (int64_t)w->fold);
    rc = statement_step(a->find_world, found, err);
    if (rc == RC_OK && *found) {
        *seconds = statement_real(a->find_world, 0);
        const void *outcome = statement_blob(a->find_world, 1, &n);
        rc = sweep_outcome_unpack(w, outcome, n, err);
    }
    statement_reset(a->find_world);
    return rc;
}

static enum rc add_cell(struct sweep_archive *a, const struct sweep_world *w, int64_t *id,
                        struct error *err)
{
    enum rc rc = find_cell(a, &w->cell, id, err);
    if (rc != RC_OK || *id != 0) {
        return rc;
    }
    bind_cell(a->add_cell, &w->cell);
    statement_bind_i64(a->add_cell, (int64_t)w->cell.ablation->study.n_sites);
    statement_bind_i64(a->add_cell, (int64_t)w->plan.rounds);
    statement_bind_real(a->add_cell, w->plan.sample_rate);
    statement_bind_real(a->add_cell, w->plan.noise_multiplier);
    rc = statement_run(a->add_cell, err);
    return rc == RC_OK ? find_cell(a, &w->cell, id, err) : rc;
}

static enum rc add_world(struct sweep_archive *a, const struct sweep_world *w, int64_t id,
                         double seconds, struct error *err)
{
    const size_t n = sweep_outcome_bytes(w);
    unsigned char *outcome = malloc(n + 1);
    if (outcome == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the outcome of a fold");
    }
    sweep_outcome_pack(w, outcome);
    statement_reset(a->add_world);
    statement_bind_i64(a->add_world, id);
    statement_bind_i64(a->add_world, (int64_t)w->fold);
    statement_bind_real(a->add_world, seconds);
    statement_bind_blob(a->add_world, outcome, n);
    const enum rc rc = statement_run(a->add_world, err);
    statement_reset(a->add_world); /* it borrowed the bytes */
    free(outcome);
    return rc;
}

static enum rc finish_cell(struct sweep_archive *a, int64_t id, const struct report_row *row,
                           struct error *err)
{
    const double figure[] = {row->seconds,    row->auroc,           row->auroc_low,
                             row->auroc_high, row->auroc_site_mean, row->auprc,
                             row->ece,        row->accuracy,        row->accuracy_site_mean};
    statement_reset(a->finish_cell);
    for (size_t i = 0; i < sizeof figure / sizeof figure[0]; i++) {
        if (isnan(figure[i])) {
            statement_bind_null(a->finish_cell);
        } else {
            statement_bind_real(a->finish_cell, figure[i]);
        }
    }
    statement_bind_i64(a->finish_cell, id);
    return statement_run(a->finish_cell, err);
}

enum rc archive_keep(struct sweep_archive *a, const struct sweep_world *w, double seconds,
                     const struct report_row *row, struct error *err)
{
    int64_t id = 0;
    enum rc rc = store_begin(a->store, err);
    if (rc == RC_OK) {
        rc = add_cell(a, w, &id, err);
    }
    if (rc == RC_OK) {
        rc = add_world(a, w, id, seconds, err);
    }
    if (rc == RC_OK && row != NULL) {
        rc = finish_cell(a, id, row, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(a->store, err);
    }
    store_rollback(a->store);
    a->kept += rc == RC_OK ? 1 : 0;
    return rc;
}
