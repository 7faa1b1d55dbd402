/*
 * `ablations:` of a grid, and `sites:`, which is so many of them. An item is the study's map with another `model`, the cohort without some
 * modalities, the roster without some sites:
 *
 *     - {name: gmu, model: {fusion: gmu}}        keys of `model` replace the study's; with a `name`
 *                                                among them the whole map is replaced
 *     - {name: no notes, without: [notes]}       modalities by their names; `table` is the features
 *     - {name: without west, without_sites: [west]}
 *
 * The changed map is read by the reader of studies, so that its rules and its sentences hold here, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/checkpoint/checkpoint.h"
#include "common/model/model.h"
#include "sim/sweep/ablation_internal.h"

struct ablation_draft {
    char name[REPORT_ABLATION_MAX];
    const struct config_node *model, *without, *sites;
};

/* clang-format off */
#define AT(field) offsetof(struct ablation_draft, field)
static const struct config_key keys[] = {
    {.name = "name", .type = CONFIG_TEXT, .offset = AT(name), .size = REPORT_ABLATION_MAX,
     .help = "of its rows, in tables and figure"},
    {.name = "model", .type = CONFIG_NODE, .offset = AT(model), .fallback = "",
     .help = "map: keys of the study's model with other values; with `name`, another model"},
    {.name = "without", .type = CONFIG_NODE, .offset = AT(without), .fallback = "",
     .help = "list of modalities that no patient has; `table` is the features"},
    {.name = "without_sites", .type = CONFIG_NODE, .offset = AT(sites), .fallback = "",
     .help = "list of sites that do not train; their patients are tested by the others' model"},
};
#undef AT
/* clang-format on */

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

void sweep_ablations_print_keys(FILE *to)
{
    static const struct config_part part = {"`ablations` of `tradeoff`: each item", keys,
                                            COUNT(keys)};
    config_print_parts(&part, 1, to);
}

static void ablation_release(struct sweep_ablation *a)
{
    study_release(&a->study);
    free(a->schema.modality);
    free(a->left_out);
    *a = (struct sweep_ablation){0};
}

void sweep_ablations_release(struct sweep *s)
{
    for (size_t i = 0; i < s->n_ablations; i++) {
        ablation_release(&s->ablation[i]);
    }
    free(s->ablation);
    s->ablation = NULL;
    s->n_ablations = 0;
}

/* The study and the cohort as they are. */
static enum rc begin(const struct sweep *s, const char *name, struct sweep_ablation *a,
                     struct error *err)
{
    const size_t n = s->schema.n_modalities;
    (void)snprintf(a->name, sizeof a->name, "%s", name);
    a->schema = s->schema;
    a->data = *s->data;
    a->schema.modality = calloc(n + 1, sizeof *a->schema.modality);
    a->left_out = calloc(s->data->n_sites + 1, sizeof *a->left_out);
    if (a->schema.modality == NULL || a->left_out == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the ablation '%s'", name);
    }
    if (n > 0) {
        memcpy(a->schema.modality, s->schema.modality, n * sizeof *a->schema.modality);
    }
    return study_copy(&s->study, &a->study, err);
}

/* ---- another model --------------------------------------------------------------------------- */

/* `base` with the pairs of `other` in the place of its own; the arrays are the caller's. */
static struct config_node merged(const struct config_node *base, const struct config_node *other,
                                 struct config_node *key, struct config_node *at)
{
    struct config_node map = *other; /* what is wrong with it as a whole is wrong here */
    size_t n = 0;
    for (size_t i = 0; i < base->n; i++) {
        if (config_get(other, base->key[i].text) == NULL) {
            key[n] = base->key[i];
            at[n++] = base->at[i];
        }
    }
    for (size_t i = 0; i < other->n; i++) {
        key[n] = other->key[i];
        at[n++] = other->at[i];
    }
    map.n = n;
    map.key = key;
    map.at = at;
    return map;
}

/* The study's map with the changed model, read as any study. */
static enum rc read_model(const struct config_node *study, const struct config_node *change,
                          struct sweep_ablation *a, struct config_issues *issues, struct error *err)
{
    const struct config_node *own = config_get(study, "model");
    const bool whole = config_get(change, "name") != NULL;
    const size_t n = study->n + own->n + change->n + 2;
    struct config_node *key = calloc(n, sizeof *key);
    struct config_node *at = calloc(n, sizeof *at);
    struct study changed = {0};
    enum rc rc = RC_OK;
    if (key == NULL || at == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for the ablation '%s'", a->name);
        goto out;
    }
    const struct config_node model = whole ? *change : merged(own, change, key, at);
    const struct config_node word = {.kind = CONFIG_SCALAR, .text = "model", .line = change->line};
    const struct config_node one = {.kind = CONFIG_MAP, .n = 1, .key = &word, .at = &model};
    struct config_node map = merged(study, &one, key + own->n + change->n, at + own->n + change->n);
    map.line = change->line;
    map.column = change->column;
    rc = study_read(&map, &changed, issues, err);
    if (rc == RC_OK) {
        study_release(&a->study);
        a->study = changed;
    }
out:
    free(key);
    free(at);
    return rc;
}

static enum rc change_model(const struct config_node *study, const struct config_node *change,
                            struct sweep_ablation *a, struct config_issues *issues,
                            struct error *err)
{
    if (change->kind != CONFIG_MAP || change->n == 0) {
        config_issue(issues, change, "model: must be a map of what differs, as in {fusion: gmu}");
        return RC_OK;
    }
    if (study == NULL) {
        config_issue(issues, change,
                     "model: the study is another file; write its map here, under study:, to vary "
                     "its model");
        return RC_OK;
    }
    const enum rc rc = read_model(study, change, a, issues, err);
    return rc == RC_INVALID && issues->n > 0 ? RC_OK : rc; /* told with the others */
}

/* ---- the list -------------------------------------------------------------------------------- */

/* A checkpoint to begin with is there and fits, before anything is trained. */
static enum rc try_start(const struct study *study, const struct model *model, struct error *why)
{
    real *params = calloc(model->table.P + 1, sizeof *params);
    const enum rc rc = params == NULL ? error_set(why, RC_NOMEM, "no memory for a model")
                                      : checkpoint_first(study, model, params, why);
    free(params);
    return rc;
}

/* A model that cannot be made of these words and modalities is a mistake of where they stand. */
static enum rc try_model(const struct config_node *item, const struct sweep_ablation *a,
                         struct config_issues *issues, struct error *err)
{
    struct model model = {0};
    struct error why = {0};
    enum rc rc = model_open(&a->study.model, &a->schema, &model, &why);
    if (rc == RC_OK && a->study.start.there) {
        rc = try_start(&a->study, &model, &why);
    }
    model_release(&model);
    if (rc == RC_INVALID || rc == RC_LIMIT) {
        config_issue(issues, item, "%s", why.text);
        return RC_OK;
    }
    return rc == RC_OK ? RC_OK : error_set(err, rc, "%s", why.text);
}

/* What masks ask of a study holds for its federations of fewer sites, too: not found out after hours. */
static void try_masking(const struct config_node *item, const struct sweep *s,
                        const struct sweep_ablation *a, struct config_issues *issues)
{
    bool federated = false;
    for (size_t i = 0; i < s->n_modes; i++) {
        federated = federated || s->mode[i] == SWEEP_FEDERATED;
    }
    struct error why = {0};
    if (federated && study_check_masking(&a->study, &why) != RC_OK) {
        config_issue(issues, item, "'%s': %s", a->name, why.text);
    }
}

static enum rc read_item(const struct config_node *item, const struct config_node *study,
                         struct sweep *s, struct config_issues *issues, struct error *err)
{
    struct sweep_ablation *a = &s->ablation[s->n_ablations];
    struct ablation_draft d = {0};
    const size_t before = issues->n;
    if (item->kind != CONFIG_MAP) {
        config_issue(issues, item, "an ablation is a map, as in {name: gmu, model: {fusion: gmu}}");
        return RC_OK;
    }
    config_bind(item, keys, COUNT(keys), &d, issues);
    for (size_t i = 0; d.name[0] != '\0' && i < s->n_ablations; i++) {
        if (strcmp(s->ablation[i].name, d.name) == 0) {
            config_issue(issues, config_get(item, "name"), "name: '%s' is %s", d.name,
                         i == 0 ? "the study itself; choose another" : "another ablation's");
        }
    }
    if (issues->n == before && d.model == NULL && d.without == NULL && d.sites == NULL) {
        config_issue(issues, item, "an ablation changes something: model, without, without_sites");
    }
    s->n_ablations++; /* from here on it is released with the others */
    enum rc rc = begin(s, d.name, a, err);
    if (rc == RC_OK && d.model != NULL) {
        rc = change_model(study, d.model, a, issues, err);
    }
    if (rc == RC_OK && d.without != NULL) {
        sweep_leave_modalities(d.without, a, issues);
    }
    if (rc == RC_OK && d.sites != NULL) {
        sweep_leave_sites(d.sites, a, issues);
    }
    return rc == RC_OK && issues->n == before ? try_model(item, a, issues, err) : rc;
}

/* "4 sites": the first four of the roster train. All of them are the base. */
static enum rc read_count(const struct config_node *item, struct sweep *s,
                          struct config_issues *issues, struct error *err)
{
    size_t n = 0;
    char name[REPORT_ABLATION_MAX];
    if (!config_as_count(item, &n, issues)) {
        return RC_OK;
    }
    if (n == 0 || n > s->study.n_sites) {
        config_issue(issues, item, "sites: a number from 1 to the study's %zu", s->study.n_sites);
        return RC_OK;
    }
    if (n == s->study.n_sites) {
        return RC_OK;
    }
    (void)snprintf(name, sizeof name, "%zu site%s", n, n > 1 ? "s" : "");
    for (size_t i = 0; i < s->n_ablations; i++) {
        if (strcmp(s->ablation[i].name, name) == 0) {
            config_issue(issues, item, "sites: '%s' is there already", name);
            return RC_OK;
        }
    }
    struct sweep_ablation *a = &s->ablation[s->n_ablations++];
    const enum rc rc = begin(s, name, a, err);
    if (rc == RC_OK) {
        sweep_keep_sites(n, a);
        a->first_sites = n;
    }
    return rc;
}

/* The items of a list; 0 where there is none, or no list. */
static size_t items_of(const struct config_node *list, const char *what,
                       struct config_issues *issues)
{
    if (list == NULL) {
        return 0;
    }
    if (list->kind != CONFIG_LIST || list->n >= SWEEP_LIST_MAX) {
        config_issue(issues, list, "'%s' is a list of at most %d", what, SWEEP_LIST_MAX - 1);
        return 0;
    }
    if (list->n == 0) {
        config_issue(issues, list, "'%s' is empty; list at least one, or leave the key away", what);
    }
    return list->n;
}

enum rc sweep_ablations_read(const struct sweep_changes *changes, const struct config_node *study,
                             bool base_alone, struct sweep *s, struct config_issues *issues,
                             struct error *err)
{
    const size_t n = items_of(changes->ablations, "ablations", issues);
    const size_t n_counts = items_of(changes->sites, "sites", issues);
    s->ablation = calloc(1 + n + n_counts, sizeof *s->ablation);
    if (s->ablation == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu ablations", n + n_counts);
    }
    s->n_ablations = 1;
    enum rc rc = begin(s, REPORT_BASE, &s->ablation[0], err);
    s->ablation[0].first_sites = s->study.n_sites;
    const struct config_node *model = study != NULL ? config_get(study, "model") : NULL;
    if (rc == RC_OK && model != NULL) { /* now, and not when the first world begins */
        rc = try_model(model, &s->ablation[0], issues, err);
    }
    for (size_t i = 0; rc == RC_OK && i < n + n_counts; i++) {
        const struct config_node *item =
            i < n ? &changes->ablations->at[i] : &changes->sites->at[i - n];
        const size_t told = issues->n, there = s->n_ablations;
        rc = i < n ? read_item(item, study, s, issues, err) : read_count(item, s, issues, err);
        if (rc == RC_OK && !base_alone && issues->n == told && s->n_ablations > there) {
            try_masking(item, s, &s->ablation[there], issues);
        }
    }
    if (rc == RC_OK && issues->n > 0) {
        rc = config_verdict(issues, err);
    }
    while (base_alone && s->n_ablations > 1) {
        ablation_release(&s->ablation[--s->n_ablations]);
    }
    return rc;
}
