/* configs/sim: one YAML file -> cohort, study, split and grid (config_grid.c), checked against each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/store/store.h"
#include "sim/hospital/partition.h"
#include "sim/hospital/world.h"
#include "sim/sweep/config_internal.h"
#include "sim/sweep/sweep_internal.h"

/* The file's words before they become a sweep. */
struct draft {
    char name[64];
    char cohort[SWEEP_PATH_MAX];
    char study_path[SWEEP_PATH_MAX];
    const struct config_node *generate, *partition, *study, *split, *tradeoff, *attacks;
    uint64_t seed;
};

struct split_draft {
    size_t folds;
    char cohort[SWEEP_PATH_MAX];
    double hold_out;
    bool tune;
};

/* clang-format off */
#define AT(field) offsetof(struct draft, field)
static const struct config_key keys[] = {
    {.name = "name", .type = CONFIG_TEXT, .offset = AT(name), .size = 64,
     .help = "heads the report"},
    {.name = "cohort", .type = CONFIG_TEXT, .offset = AT(cohort), .size = SWEEP_PATH_MAX, .fallback = "",
     .help = "path of a cohort.yaml, from this file's folder; or `generate`"},
    {.name = "generate", .type = CONFIG_NODE, .offset = AT(generate), .fallback = "",
     .help = "map: virtual hospitals instead of a cohort"},
    {.name = "partition", .type = CONFIG_NODE, .offset = AT(partition), .fallback = "",
     .help = "map: the cohort's patients dealt out to other hospitals, by label"},
    {.name = "study", .type = CONFIG_NODE, .offset = AT(study),
     .help = "map: the study document itself; or its path, from this file's folder"},
    {.name = "split", .type = CONFIG_NODE, .offset = AT(split), .fallback = "",
     .help = "map: folds, or a fixed split; a study that is named by its path and has none trains everybody"},
    {.name = "tradeoff", .type = CONFIG_NODE, .offset = AT(tradeoff), .fallback = "",
     .help = "map: the grid of `tradeoff`"},
    {.name = "attacks", .type = CONFIG_NODE, .offset = AT(attacks), .fallback = "",
     .help = "map: how the federation is attacked"},
    {.name = "seed", .type = CONFIG_U64, .offset = AT(seed), .fallback = "1",
     .help = "of the folds, the weights and (replayed) the noise"},
};
/* Instead of the row of the same name, where the value is one word. */
static const struct config_key study_path_key =
    {.name = "study", .type = CONFIG_TEXT, .offset = AT(study_path), .size = SWEEP_PATH_MAX,
     .help = "path of a study document, from this file's folder"};
#undef AT

#define AT(field) offsetof(struct split_draft, field)
static const struct config_key split_keys[] = {
    {.name = "folds", .type = CONFIG_COUNT, .offset = AT(folds), .min = 2, .max = 100, .fallback = "5",
     .help = "folds by patient, stratified by site and label"},
    {.name = "cohort", .type = CONFIG_TEXT, .offset = AT(cohort), .size = SWEEP_PATH_MAX, .fallback = "",
     .help = "a cohort.yaml whose label says who is tested (fixed split); patients it lacks are left out"},
    {.name = "hold_out", .type = CONFIG_REAL, .offset = AT(hold_out), .max = 0.9, .fallback = "0",
     .help = "instead of such a cohort: share of each site's patients, drawn from this file's `seed`, who are tested and train nothing"},
    {.name = "tune", .type = CONFIG_BOOL, .offset = AT(tune), .fallback = "false",
     .help = "with a fixed split: folds inside its train part, test part untouched"},
};
#undef AT
/* clang-format on */

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

void sweep_config_instead(struct config_key *table, size_t n, const struct config_key *other,
                          bool instead)
{
    for (size_t i = 0; instead && i < n; i++) {
        if (strcmp(table[i].name, other->name) == 0) {
            table[i] = *other;
        }
    }
}

void sweep_print_reference(FILE *to)
{
    const struct config_part top = {"The simulation", keys, COUNT(keys)};
    const struct config_part split = {"`split`", split_keys, COUNT(split_keys)};
    config_print_parts(&top, 1, to);
    hospital_world_print_reference(to);
    config_print_parts(&split, 1, to);
    sweep_config_print_grid(to);
    sweep_ablations_print_keys(to);
    (void)fputs("\n### `attacks`\n\n", to);
    attack_params_print(to);
}

/* `path` from the folder of the file that names it. */
static enum rc beside(const char *file, const char *path, char out[SWEEP_PATH_MAX],
                      struct error *err)
{
    const char *slash = strrchr(file, '/');
    const int folder = slash == NULL || path[0] == '/' ? 0 : (int)(slash - file + 1);
    if (snprintf(out, SWEEP_PATH_MAX, "%.*s%s", folder, file, path) >= SWEEP_PATH_MAX) {
        return error_set(err, RC_LIMIT, "the path '%.40s…' is too long", path);
    }
    return RC_OK;
}

/* ---- cohort ---------------------------------------------------------------------------------- */

static enum rc import(const char *path, struct schema *schema, struct dataset **data,
                      struct config_issues *issues, struct error *err)
{
    struct store *store = NULL;
    struct cohort_summary summary = {0};
    enum rc rc = schema_open(path, schema, issues, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = store_open(":memory:", &cohort_store_kind, &store, err);
    if (rc == RC_OK) {
        rc = cohort_import(schema, NULL, store, issues, &summary, err);
    }
    if (rc == RC_OK) {
        rc = dataset_open(schema, store, data, err);
    }
    store_close(&store);
    return rc;
}

/* The cohort's patients at the hospitals of `partition:`. */
static enum rc partition(const struct draft *d, struct sweep *s, struct config_issues *issues,
                         struct error *err)
{
    struct hospital_partition p;
    struct dataset *dealt = NULL;
    enum rc rc = hospital_partition_read(d->partition, &p, issues, err);
    if (rc == RC_OK) {
        rc = hospital_partition_deal(&p, d->seed, s->data, &dealt, err);
    }
    if (rc == RC_OK) {
        dataset_close(&s->data);
        s->data = dealt;
    }
    return rc;
}

static enum rc read_cohort(const char *file, const struct draft *d, struct sweep *s,
                           struct config_issues *issues, struct error *err)
{
    if ((d->generate != NULL) == (d->cohort[0] != '\0')) {
        return error_set(err, RC_INVALID, "'%s' must name one of: cohort, generate", file);
    }
    if (d->generate != NULL && d->partition != NULL) {
        return error_set(err, RC_INVALID,
                         "'%s': partition: deals out a cohort's patients; generated hospitals have "
                         "theirs",
                         file);
    }
    if (d->generate != NULL) {
        struct hospital_world w;
        const enum rc rc = hospital_world_read(d->generate, &w, issues, err);
        return rc == RC_OK ? hospital_world_generate(&w, d->seed, &s->schema, &s->data, err) : rc;
    }
    char path[SWEEP_PATH_MAX];
    enum rc rc = beside(file, d->cohort, path, err);
    if (rc == RC_OK) {
        rc = import(path, &s->schema, &s->data, issues, err);
    }
    return rc == RC_OK && d->partition != NULL ? partition(d, s, issues, err) : rc;
}

/* ---- study ----------------------------------------------------------------------------------- */

/* What is wrong with the cohort is said when it is read. A generated one has no schema before that. */
static enum rc check_lacks(const char *file, const struct draft *d, const char *study,
                           struct config_issues *issues, struct error *err)
{
    struct config_issues unsaid = {0};
    struct error ignored = {0};
    struct schema schema = {0};
    char path[SWEEP_PATH_MAX];
    if (d->cohort[0] == '\0' || beside(file, d->cohort, path, &ignored) != RC_OK ||
        schema_open(path, &schema, &unsaid, &ignored) != RC_OK) {
        return RC_OK;
    }
    const enum rc rc = study == NULL ? agreement_lacks_known(d->study, &schema, issues, err)
                                     : agreement_lacks_known_in(study, &schema, issues, err);
    schema_release(&schema);
    return rc;
}

static enum rc read_study(const char *file, const struct draft *d, struct sweep *s,
                          struct config_issues *issues, struct error *err)
{
    if (d->study != NULL) {
        const enum rc known = check_lacks(file, d, NULL, issues, err);
        return known == RC_OK ? study_read(d->study, &s->study, issues, err) : known;
    }
    char path[SWEEP_PATH_MAX];
    enum rc rc = beside(file, d->study_path, path, err);
    if (rc == RC_OK) {
        rc = check_lacks(file, d, path, issues, err);
    }
    return rc == RC_OK ? study_open(path, &s->study, issues, err) : rc;
}

/* The study as hospitals are asked to agree to it: nothing of it may be varied. */
static enum rc read_whole(const char *file, const struct draft *d, const struct sweep_overrides *o,
                          struct sweep *s, struct config_issues *issues, struct error *err)
{
    char study[SWEEP_PATH_MAX];
    char cohort[SWEEP_PATH_MAX];
    if (o->has_epsilon || o->has_delta || o->has_noise) {
        return error_set(err, RC_INVALID,
                         "'%s' has no split:, so it runs its study as the document says; leave "
                         "--epsilon, --delta and --noise away, or add split: {folds: 5}",
                         file);
    }
    if (d->cohort[0] == '\0') {
        return error_set(err, RC_INVALID,
                         "'%s' has no split:, so it needs a cohort: whose features the study reads",
                         file);
    }
    if (o->ledgers != NULL) {
        return error_set(err, RC_INVALID,
                         "'%s' has no split:, and a whole study keeps its ledgers in memory; leave "
                         "--ledgers away",
                         file);
    }
    enum rc rc = beside(file, d->study_path, study, err);
    if (rc == RC_OK) {
        rc = beside(file, d->cohort, cohort, err);
    }
    if (rc == RC_OK) {
        rc = agreement_open(study, cohort, &s->agreement, issues, err);
    }
    if (rc == RC_OK) {
        rc = study_copy(&s->agreement.study, &s->study, err);
    }
    if (rc == RC_OK) {
        rc = import(cohort, &s->schema, &s->data, issues, err);
    }
    s->whole = true;
    s->jobs = 1;
    s->n_seeds = 1;
    s->seed[0] = o->has_seed ? o->seed : d->seed;
    return rc;
}

static enum rc check_roster(const struct sweep *s, struct error *err)
{
    for (size_t i = 0; i < s->study.n_sites; i++) {
        bool found = false;
        for (size_t k = 0; k < s->data->n_sites; k++) {
            found = found || strcmp(s->data->site_name[k], s->study.site[i].name) == 0;
        }
        if (!found) {
            return error_set(err, RC_INVALID,
                             "site '%s' is on the study's roster and has no patient in the cohort",
                             s->study.site[i].name);
        }
    }
    for (size_t k = 0; k < s->data->n_sites; k++) {
        if (study_find_site(&s->study, s->data->site_name[k]) == s->study.n_sites) {
            return error_set(err, RC_INVALID,
                             "site '%s' has patients and is not on the study's roster; add it to "
                             "sites:",
                             s->data->site_name[k]);
        }
    }
    return RC_OK;
}

/* ---- split ----------------------------------------------------------------------------------- */

/* Keeps the patients that the split cohort knows, and marks those it labels as tested. */
static enum rc fixed_split(struct sweep *s, const struct dataset *split, struct error *err)
{
    struct dataset *kept = NULL;
    size_t *index = calloc(s->data->n_patients + 1, sizeof *index);
    bool *test = calloc(s->data->n_patients + 1, sizeof *test);
    enum rc rc = RC_OK;
    if (index == NULL || test == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for the split");
    }
    size_t n = 0;
    size_t q = 0; /* both are in the order of ids */
    for (size_t p = 0; rc == RC_OK && p < s->data->n_patients; p++) {
        while (q < split->n_patients && strcmp(split->patient_id[q], s->data->patient_id[p]) < 0) {
            q++;
        }
        if (q < split->n_patients && strcmp(split->patient_id[q], s->data->patient_id[p]) == 0) {
            test[n] = split->label[q] > 0.5f;
            index[n++] = p;
        }
    }
    if (rc == RC_OK && n != split->n_patients) {
        rc = error_set(err, RC_INVALID,
                       "the split names %zu patients, and the cohort has %zu of them",
                       split->n_patients, n);
    }
    if (rc == RC_OK) {
        rc = dataset_pick(s->data, index, n, &kept, err);
    }
    if (rc == RC_OK) {
        dataset_close(&s->data);
        s->data = kept;
        s->test = test;
        test = NULL;
    }
    free(index);
    free(test);
    return rc;
}

/* The same number of each site's patients, to the nearest, whatever the seeds of the grid: a fixed split. */
static enum rc hold_out(struct sweep *s, double share, uint64_t seed, struct error *err)
{
    const struct dataset *d = s->data;
    size_t *first = calloc(d->n_sites + 1, sizeof *first);
    size_t *index = calloc(d->n_patients + 1, sizeof *index);
    bool *test = calloc(d->n_patients + 1, sizeof *test);
    enum rc rc = RC_OK;
    if (first == NULL || index == NULL || test == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for the split");
        goto out;
    }
    for (size_t p = 0; p < d->n_patients; p++) {
        first[d->site[p] + 1]++;
    }
    for (size_t k = 0; k < d->n_sites; k++) {
        first[k + 1] += first[k];
    }
    for (size_t p = d->n_patients; p-- > 0;) {
        index[--first[d->site[p] + 1]] = p; /* first[k + 1] becomes where k begins */
    }
    for (size_t k = 0; k < d->n_sites; k++) {
        char stream[96];
        struct rng r;
        const size_t end = k + 1 < d->n_sites ? first[k + 2] : d->n_patients;
        const size_t n = end - first[k + 1];
        (void)snprintf(stream, sizeof stream, "held out at %s", d->site_name[k]);
        rng_init(&r, seed, stream);
        rng_shuffle(&r, index + first[k + 1], n);
        for (size_t i = 0; i < (size_t)(share * (double)n + 0.5); i++) {
            test[index[first[k + 1] + i]] = true;
        }
    }
    s->test = test;
    test = NULL;
out:
    free(first);
    free(index);
    free(test);
    return rc;
}

static enum rc read_split(const char *file, const struct draft *d, struct sweep *s,
                          struct config_issues *issues, struct error *err)
{
    struct split_draft split = {.folds = 5};
    if (d->split != NULL) {
        config_bind(d->split, split_keys, COUNT(split_keys), &split, issues);
        const struct config_node *folds = config_get(d->split, "folds");
        if (folds != NULL && !split.tune && (split.hold_out > 0.0 || split.cohort[0] != '\0')) {
            config_issue(issues, folds,
                         "folds: whom %s names is tested once, without folds; leave them away, or "
                         "say tune: true, for folds of the others alone",
                         split.hold_out > 0.0 ? "hold_out" : "cohort");
        }
    }
    if (issues->n > 0) {
        return config_verdict(issues, err);
    }
    s->folds = split.folds;
    s->tune = split.tune;
    if (split.hold_out > 0.0 && split.cohort[0] != '\0') {
        return error_set(err, RC_INVALID,
                         "'%s': split: names who is tested by cohort, or by hold_out; write one",
                         file);
    }
    if (split.hold_out > 0.0) {
        return hold_out(s, split.hold_out, d->seed, err);
    }
    if (split.cohort[0] == '\0') {
        return split.tune
                   ? error_set(err, RC_INVALID,
                               "'%s': tune needs a fixed split; name its cohort, or hold_out", file)
                   : RC_OK;
    }
    char path[SWEEP_PATH_MAX];
    struct schema schema = {0};
    struct dataset *data = NULL;
    enum rc rc = beside(file, split.cohort, path, err);
    if (rc == RC_OK) {
        rc = import(path, &schema, &data, issues, err);
    }
    if (rc == RC_OK) {
        rc = fixed_split(s, data, err);
    }
    dataset_close(&data);
    schema_release(&schema);
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* `study:` is a map, or one word: the path of one. */
static void bind_draft(const struct config_node *root, struct draft *d,
                       struct config_issues *issues)
{
    struct config_key table[COUNT(keys)];
    const struct config_node *study = config_get(root, "study");
    memcpy(table, keys, sizeof keys);
    sweep_config_instead(table, COUNT(table), &study_path_key,
                         study != NULL && study->kind == CONFIG_SCALAR);
    config_bind(root, table, COUNT(table), d, issues);
}

static enum rc read_all(const char *path, bool grid, const struct config_node *root,
                        const struct sweep_overrides *overrides, struct sweep *s,
                        struct config_issues *issues, struct error *err)
{
    struct draft d = {0};
    struct sweep_changes changes = {0};
    if (config_get(root, "rounds") != NULL && config_get(root, "sites") != NULL) {
        return error_set(err, RC_INVALID,
                         "'%s' is a study document; a simulation names it as study: beside its "
                         "cohort (see configs/sim/heart_study.yaml)",
                         path);
    }
    bind_draft(root, &d, issues);
    if (issues->n > 0) {
        return config_verdict(issues, err);
    }
    memcpy(s->name, d.name, sizeof s->name);
    s->attacks = attack_params_default();
    if (d.attacks != NULL) {
        const enum rc rc = attack_params_read(d.attacks, &s->attacks, issues, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (d.study == NULL && d.split == NULL && d.partition != NULL) {
        return error_set(err, RC_INVALID,
                         "'%s': a study document runs on the sites that it names; partition: needs "
                         "split: {folds: 5}",
                         path);
    }
    if (d.study == NULL && d.split == NULL && grid) {
        return error_set(err, RC_INVALID,
                         "'%s' has no split:, so nobody is left to be tested; add split: {folds: "
                         "5} for a tradeoff",
                         path);
    }
    if (d.study == NULL && d.split == NULL) {
        const enum rc whole = read_whole(path, &d, overrides, s, issues, err);
        return whole == RC_OK ? check_roster(s, err) : whole;
    }
    enum rc rc = read_study(path, &d, s, issues, err);
    if (rc == RC_OK && (grid || d.tradeoff != NULL)) {
        if (d.tradeoff == NULL) {
            return error_set(err, RC_INVALID,
                             "'%s' has no tradeoff: map; see configs/sim/demo.yaml", path);
        }
        changes = sweep_config_grid(d.tradeoff, s, issues);
        if (issues->n > 0) {
            return config_verdict(issues, err);
        }
    }
    if (rc == RC_OK && !grid) {
        sweep_config_cell(s, d.seed);
    }
    if (rc == RC_OK) {
        rc = sweep_config_override(s, overrides, err);
    }
    if (rc == RC_OK) {
        rc = read_cohort(path, &d, s, issues, err);
    }
    if (rc == RC_OK) {
        rc = read_split(path, &d, s, issues, err);
    }
    if (rc == RC_OK) {
        rc = check_roster(s, err);
    }
    issues->path = path; /* not the cohort's: ablations stand in this file */
    return rc == RC_OK ? sweep_ablations_read(&changes, d.study, !grid, s, issues, err) : rc;
}

enum rc sweep_open(const char *path, bool grid, const struct sweep_overrides *overrides,
                   struct sweep *out, struct config_issues *issues, struct error *err)
{
    struct config_doc *doc = NULL;
    struct sweep s = {0};
    issues->path = path;
    enum rc rc = config_open(path, &doc, err);
    if (rc == RC_OK) {
        rc = read_all(path, grid, config_root(doc), overrides, &s, issues, err);
    }
    if (rc == RC_OK) {
        sweep_grid_lay(&s);
        *out = s;
        s = (struct sweep){0};
    }
    sweep_release(&s);
    config_close(&doc);
    return rc;
}

enum rc sweep_generated(const char *path, struct hospital_world *out, uint64_t *seed,
                        struct config_issues *issues, struct error *err)
{
    struct config_doc *doc = NULL;
    struct draft d = {0};
    issues->path = path;
    enum rc rc = config_open(path, &doc, err);
    if (rc == RC_OK) {
        bind_draft(config_root(doc), &d, issues);
        rc = issues->n > 0 ? config_verdict(issues, err) : RC_OK;
    }
    if (rc == RC_OK && d.generate == NULL) {
        rc = error_set(err, RC_INVALID,
                       "'%s' has no generate: map, and only hospitals that it makes are written; "
                       "see configs/sim/icu_small.yaml",
                       path);
    }
    if (rc == RC_OK) {
        rc = hospital_world_read(d.generate, out, issues, err);
    }
    if (rc == RC_OK) {
        *seed = d.seed;
    }
    config_close(&doc);
    return rc;
}

void sweep_release(struct sweep *s)
{
    sweep_ablations_release(s);
    dataset_close(&s->data);
    schema_release(&s->schema);
    study_release(&s->study);
    agreement_release(&s->agreement);
    free(s->test);
    *s = (struct sweep){0};
}
