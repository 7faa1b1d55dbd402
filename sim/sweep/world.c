/* One (cell, fold): derive the studies, run them as fleets, score the tested patients. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/store/hold.h"
#include "sim/fleet/fleet.h"
#include "sim/sweep/curve_internal.h"

struct ledger_policy sweep_permissive(void)
{
    return (struct ledger_policy){.max_epsilon_per_study = HUGE_VAL,
                                  .max_epsilon_total = HUGE_VAL,
                                  .max_delta_per_study = 0.999,
                                  .min_patients = 0,
                                  .min_sites = 1,
                                  .shared_noise = true};
}

/* The base study with the cell's noise, and perhaps one site alone (roster index `only`). */
static enum rc derive(const struct sweep_world *w, size_t only, const char *name, size_t nominal,
                      struct study *out, struct error *err)
{
    enum rc rc = study_copy(&w->cell.ablation->study, out, err);
    if (rc != RC_OK) {
        return rc;
    }
    out->seed = w->cell.seed;
    out->privacy.noise = w->cell.noise;
    out->privacy.epsilon = w->cell.epsilon;
    out->privacy.delta = w->cell.delta;
    out->privacy.noise_multiplier = w->plan.noise_multiplier;
    out->privacy.sample_rate = w->plan.sample_rate;
    out->rounds = w->plan.rounds;
    out->local.steps = w->steps > 0 ? w->steps : out->local.steps;
    if (only != SIZE_MAX) {
        out->n_sites = 1;
        out->quorum = 1;
        out->min_sites = 1;
        out->max_colluding = 0;
        out->masked = false;
        out->sites_per_round = 0;
        out->threshold = 0;
        out->spare_rounds = 0;
        (void)snprintf(out->site[0].name, sizeof out->site[0].name, "%s", name);
        out->site[0].nominal = nominal;
    }
    rc = study_check_masking(out, err);
    if (rc != RC_OK) { /* an ablation that left too few sites, say */
        study_release(out);
        rc = error_context(err, "the study of ablation '%s'", w->cell.ablation->name);
    }
    return rc;
}

/* Training patients, one site of the dataset after another, each in the dataset's order. */
struct trained {
    size_t *index; /* [n_patients] */
    size_t *first; /* [n_sites + 2] where the patients of each begin, one place further */
};

static void trained_release(struct trained *t)
{
    free(t->index);
    free(t->first);
    *t = (struct trained){0};
}

static bool trains(const struct sweep_world *w, size_t p)
{
    const bool *left_out = w->cell.ablation->left_out;
    return !left_out[w->cell.ablation->data.site[p]] && sweep_trains(w->s, w->part, p, w->fold);
}

static enum rc trained_open(const struct sweep_world *w, struct trained *out, struct error *err)
{
    const struct dataset *d = &w->cell.ablation->data;
    struct trained t = {.index = calloc(d->n_patients + 1, sizeof *t.index),
                        .first = calloc(d->n_sites + 2, sizeof *t.first)};
    if (t.index == NULL || t.first == NULL) {
        trained_release(&t);
        return error_set(err, RC_NOMEM, "no memory for a fold of %zu patients", d->n_patients);
    }
    for (size_t p = 0; p < d->n_patients; p++) {
        t.first[d->site[p] + 2] += trains(w, p) ? 1 : 0;
    }
    for (size_t k = 0; k < d->n_sites; k++) {
        t.first[k + 2] += t.first[k + 1];
    }
    for (size_t p = 0; p < d->n_patients; p++) { /* first[k + 1]: from where k begins to its end */
        if (trains(w, p)) {
            t.index[t.first[d->site[p] + 1]++] = p;
        }
    }
    *out = t;
    return RC_OK;
}

/* Of one site of the dataset (or of all: site = SIZE_MAX). */
static enum rc pick(const struct sweep_world *w, const struct trained *t, size_t site,
                    struct dataset **out, struct error *err)
{
    const struct dataset *d = &w->cell.ablation->data;
    return site == SIZE_MAX ? dataset_pick(d, t->index, t->first[d->n_sites], out, err)
                            : dataset_pick_site(d, site, t->index + t->first[site],
                                                t->first[site + 1] - t->first[site], out, err);
}

size_t sweep_data_site(const struct dataset *data, const struct study *study, size_t roster)
{
    for (size_t i = 0; i < data->n_sites; i++) {
        if (strcmp(data->site_name[i], study->site[roster].name) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Scores the tested patients of one site (or all): the mean probability of each one's rows. */
static enum rc score_site(const struct sweep_world *w, const struct model *model,
                          const real *params, size_t site, struct error *err)
{
    const struct dataset *d = &w->cell.ablation->data;
    size_t *row = calloc(d->n_rows + 1, sizeof *row);
    size_t *who = calloc(d->n_rows + 1, sizeof *who);
    const size_t C = sweep_outputs(w->s);
    double *probability = calloc(d->n_rows * C + 1, sizeof *probability);
    size_t n = 0;
    enum rc rc = RC_OK;
    if (row == NULL || who == NULL || probability == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu rows", d->n_rows);
        goto out;
    }
    for (size_t p = 0; p < d->n_patients; p++) {
        const bool tested = w->part[p] == w->fold && (site == SIZE_MAX || d->site[p] == site);
        for (size_t i = d->first_row[p]; tested && i < d->first_row[p + 1]; i++) {
            row[n] = i;
            who[n++] = p;
        }
    }
    rc = train_score(model, params, d, row, who, n, probability, err);
    if (rc != RC_OK) {
        goto out;
    }
    for (size_t k = 0; k < n * C; k++) {
        w->score[who[k / C] * C + k % C] = 0.0;
    }
    for (size_t k = 0; k < n * C; k++) {
        const size_t p = who[k / C];
        w->score[p * C + k % C] += probability[k] / (double)(d->first_row[p + 1] - d->first_row[p]);
    }
out:
    free(row);
    free(who);
    free(probability);
    return rc;
}

enum rc sweep_failed(const struct study *study, const struct fleet_result *r, struct error *err)
{
    const char *why = "";
    for (size_t i = 0; i < study->n_sites && why[0] == '\0'; i++) {
        why = r->site[i].declined;
    }
    return error_set(err, RC_STATE, "study '%s' failed in round %llu: %s%s%s", study->name,
                     (unsigned long long)(r->rounds + 1), r->reason, why[0] != '\0' ? "; " : "",
                     why);
}

static uint64_t fleet_seed(const struct sweep_world *w, size_t only)
{
    struct hasher h;
    hasher_init(&h);
    hasher_u64(&h, w->cell.seed);
    hasher_u64(&h, w->fold);
    hasher_u64(&h, (uint64_t)w->cell.mode);
    hasher_u64(&h, (uint64_t)only);
    const struct hash digest = hasher_final(&h);
    uint64_t seed;
    memcpy(&seed, digest.b, sizeof seed);
    return seed;
}

/* They have no part in the model. */
enum rc sweep_score_left_out(const struct sweep_world *w, const struct sweep_scene *scene,
                             const real *global, struct error *err)
{
    const struct sweep_ablation *a = w->cell.ablation;
    if (w->cell.mode != SWEEP_FEDERATED) {
        return RC_OK;
    }
    enum rc rc = train_parameters(scene->model, scene->study, global, NULL, 0, scene->params, err);
    for (size_t k = 0; rc == RC_OK && k < a->data.n_sites; k++) {
        if (a->left_out[k]) {
            rc = score_site(w, scene->model, scene->params, k, err);
        }
    }
    return rc;
}

/* What a ledger spent, at the site of the dataset that it is of, or (SIZE_MAX) at all that were trained on. */
static void note_epsilon(struct sweep_world *w, size_t of, double spent)
{
    const size_t from = of == SIZE_MAX ? 0 : of;
    const size_t to = of == SIZE_MAX ? w->s->data->n_sites : of + 1;
    for (size_t k = from; k < to; k++) {
        if (of != SIZE_MAX || !w->cell.ablation->left_out[k]) {
            w->epsilon[k] = fmax(w->epsilon[k], spent);
        }
    }
}

/* Without parameters of their own they all use the same ones. */
static bool alike(const struct sweep_world *w, const struct sweep_scene *scene)
{
    return scene->model->table.P == scene->model->table.S && w->cell.mode == SWEEP_FEDERATED;
}

size_t sweep_scored_apart(const struct sweep_world *w, const struct sweep_scene *scene)
{
    return alike(w, scene) ? 1 : scene->study->n_sites;
}

enum rc sweep_score_site(const struct sweep_world *w, const struct sweep_scene *scene, size_t i,
                         const real *global, const void *state, size_t state_bytes,
                         struct error *err)
{
    const enum rc rc = train_parameters(scene->model, scene->study, global, state, state_bytes,
                                        scene->params, err);
    return rc == RC_OK ? score_site(w, scene->model, scene->params,
                                    alike(w, scene) ? SIZE_MAX : scene->of[i], err)
                       : rc;
}

/* Each site's patients by its own parameters; where no site has any, all of them at once by those of all. */
static enum rc score_sites(const struct sweep_world *w, const struct sweep_scene *scene,
                           const struct fleet_result *r, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sweep_scored_apart(w, scene); i++) {
        const struct fleet_site_result *site = &r->site[i];
        rc = sweep_score_site(w, scene, i, r->model, site->state, site->state_bytes, err);
    }
    return rc;
}

/* Of a world: all of them, as far as the process may have so many files open (file, log and its index) and
 * memory goes, of which an open one takes a quarter of a megabyte. Opening one again costs as much as all that
 * a site does with it. */
enum { LEDGERS_MOST = 1024, LEDGERS_LEAST = 16, FILES_OF_A_LEDGER = 3, OTHER_FILES = 200 };

static size_t ledgers_open(size_t worlds)
{
    const rlim_t wanted = (rlim_t)worlds * LEDGERS_MOST * FILES_OF_A_LEDGER + OTHER_FILES;
    struct rlimit files = {.rlim_cur = 0};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < wanted) {
        files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &files);
        (void)getrlimit(RLIMIT_NOFILE, &files);
    }
    const rlim_t has = files.rlim_cur > OTHER_FILES ? files.rlim_cur - OTHER_FILES : 0;
    const rlim_t n = has / ((rlim_t)worlds * FILES_OF_A_LEDGER);
    return n > LEDGERS_MOST ? LEDGERS_MOST : n < LEDGERS_LEAST ? LEDGERS_LEAST : (size_t)n;
}

/* They wait for the disk, not for a processor. */
enum { LEDGER_DESKS = 16 };

/* Where roster sites have their patients from: datasets of their own, or the one of all. */
struct patients {
    struct dataset *const *data;  /* NULL: */
    struct fleet_cohorts cohorts; /* these */
};

/* Runs one study and scores: roster site i owns dataset site `of[i]`. */
static enum rc run_study(struct sweep_world *w, const struct study *study,
                         const struct model *model, const struct patients *patients,
                         const size_t *of, size_t only, struct error *err)
{
    char folder[SWEEP_PATH_MAX];
    int held = -1;
    struct fleet_result r = {0};
    struct sweep_curve curve = {0};
    struct ledger_policy *policy = calloc(study->n_sites, sizeof *policy);
    real *params = calloc(model->table.P + 1, sizeof *params);
    const struct sweep_scene scene = {.study = study, .model = model, .of = of, .params = params};
    enum rc rc;

    if (policy == NULL || params == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for a world of %zu sites", study->n_sites);
        goto out;
    }
    rc = sweep_curve_open(&curve, w, &scene, err);
    if (rc != RC_OK) {
        goto out;
    }
    for (size_t i = 0; i < study->n_sites; i++) {
        policy[i] = sweep_permissive();
    }
    const bool kept = w->s->ledgers[0] != '\0' && w->steps == 0; /* not of an estimate */
    if (kept) {
        rc = sweep_ledgers_folder(w, w->cell.mode == SWEEP_LOCAL_ONLY ? study->site[0].name : "",
                                  folder, &held, err);
        if (rc != RC_OK) {
            goto out;
        }
    }
    const struct fleet_params p = {.study = study,
                                   .schema = &w->cell.ablation->schema,
                                   .model = model,
                                   .data = (const struct dataset *const *)patients->data,
                                   .cohorts = patients->cohorts,
                                   .policy = policy,
                                   .folder = kept ? folder : NULL,
                                   .ledgers_open = ledgers_open(sweep_worlds(w->s)),
                                   .desks = kept ? LEDGER_DESKS : 0,
                                   .seed = fleet_seed(w, only),
                                   .train_threads = sweep_train_threads(w->s, sweep_worlds(w->s)),
                                   .watch = sweep_curve_watch(&curve)};
    rc = fleet_run(&p, &r, err);
    if (rc != RC_OK) {
        goto out;
    }
    if (!r.done) {
        rc = sweep_failed(study, &r, err);
        goto out;
    }
    w->rounds_s += r.rounds_s;
    rc = score_sites(w, &scene, &r, err);
    if (rc != RC_OK) {
        goto out;
    }
    for (size_t i = 0; i < study->n_sites; i++) {
        note_epsilon(w, of[i], r.site[i].epsilon_spent);
    }
    rc = sweep_score_left_out(w, &scene, r.model, err);
out:
    sweep_curve_close(&curve);
    fleet_result_release(&r);
    store_let_go(&held);
    free(policy);
    free(params);
    return rc;
}

/* Sites of a world whose patients are taken out of the dataset of all each time that one trains. */
struct lent {
    const struct sweep_world *w;
    const struct trained *trained;
    const size_t *of;
};

static enum rc lend(void *ctx, size_t site, struct dataset **out, struct error *err)
{
    const struct lent *l = ctx;
    return pick(l->w, l->trained, l->of[site], out, err);
}

/* Each site's own copy; where few of the sites train in a round none, and a copy of those few for as long as it
 * takes: a thousand copies would be the whole cohort once more. */
static enum rc run_lent(struct sweep_world *w, const struct study *study, const struct model *model,
                        const struct trained *trained, const size_t *of, struct error *err)
{
    struct lent lent = {.w = w, .trained = trained, .of = of};
    size_t *n = calloc(study->n_sites, sizeof *n);
    if (n == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu sites", study->n_sites);
    }
    for (size_t i = 0; i < study->n_sites; i++) {
        n[i] = trained->first[of[i] + 1] - trained->first[of[i]];
    }
    const struct patients patients = {.cohorts = {.ctx = &lent, .n_patients = n, .open = lend}};
    const enum rc rc = run_study(w, study, model, &patients, of, SIZE_MAX, err);
    free(n);
    return rc;
}

static enum rc run_copied(struct sweep_world *w, const struct study *study,
                          const struct model *model, const struct trained *trained,
                          const size_t *of, struct error *err)
{
    const size_t n = study->n_sites;
    struct dataset **data = calloc(n, sizeof(struct dataset *));
    enum rc rc = data != NULL ? RC_OK : error_set(err, RC_NOMEM, "no memory for %zu sites", n);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        rc = pick(w, trained, of[i], &data[i], err);
    }
    if (rc == RC_OK) {
        const struct patients patients = {.data = data};
        rc = run_study(w, study, model, &patients, of, SIZE_MAX, err);
    }
    for (size_t i = 0; data != NULL && i < n; i++) {
        dataset_close(&data[i]);
    }
    free(data);
    return rc;
}

static enum rc federated(struct sweep_world *w, const struct model *model, struct error *err)
{
    struct study study = {0};
    const struct study *base = &w->cell.ablation->study;
    size_t *of = calloc(base->n_sites, sizeof *of);
    struct trained trained = {0};
    enum rc rc = derive(w, SIZE_MAX, NULL, 0, &study, err);
    if (rc == RC_OK && of == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu sites", base->n_sites);
    }
    if (rc == RC_OK) {
        rc = trained_open(w, &trained, err);
    }
    for (size_t i = 0; rc == RC_OK && i < base->n_sites; i++) {
        of[i] = sweep_data_site(&w->cell.ablation->data, base, i);
    }
    if (rc == RC_OK) {
        rc = study.sites_per_round > 0 ? run_lent(w, &study, model, &trained, of, err)
                                       : run_copied(w, &study, model, &trained, of, err);
    }
    free(of);
    trained_release(&trained);
    study_release(&study);
    return rc;
}

/* One site alone, or (only = SIZE_MAX) everybody's patients in one place. */
static enum rc alone(struct sweep_world *w, const struct model *model, size_t only,
                     struct error *err)
{
    const struct study *base = &w->cell.ablation->study;
    const bool pooled = only == SIZE_MAX;
    const size_t of = pooled ? SIZE_MAX : sweep_data_site(&w->cell.ablation->data, base, only);
    struct study study = {0};
    struct dataset *data = NULL;
    struct trained trained = {0};
    enum rc rc = derive(w, pooled ? 0 : only, pooled ? "pooled" : base->site[only].name,
                        pooled ? study_nominal_total(base) : base->site[only].nominal, &study, err);
    if (rc == RC_OK) {
        study.site[0].lacks = pooled ? 0 : base->site[only].lacks;
        rc = trained_open(w, &trained, err);
    }
    if (rc == RC_OK) {
        rc = pick(w, &trained, of, &data, err);
    }
    if (rc == RC_OK) {
        const struct patients patients = {.data = &data};
        rc = run_study(w, &study, model, &patients, &of, pooled ? SIZE_MAX - 1 : only, err);
    }
    dataset_close(&data);
    trained_release(&trained);
    study_release(&study);
    return rc;
}

enum rc sweep_world_run(struct sweep_world *w, struct error *err)
{
    const struct sweep_ablation *a = w->cell.ablation;
    struct model model = {0};
    enum rc rc = model_open(&a->study.model, &a->schema, &model, err);
    if (rc == RC_OK) {
        switch (w->cell.mode) {
        case SWEEP_POOLED:
            rc = alone(w, &model, SIZE_MAX, err);
            break;
        case SWEEP_FEDERATED:
            rc = federated(w, &model, err);
            break;
        case SWEEP_LOCAL_ONLY:
            for (size_t i = 0; rc == RC_OK && i < a->study.n_sites; i++) {
                rc = alone(w, &model, i, err);
            }
            break;
        }
    }
    model_release(&model);
    return rc;
}
