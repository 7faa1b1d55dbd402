/*
 * `ablations:` of a grid. An item is the study's map with another `model`, the cohort without some
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
#include "sim/sweep/sweep_internal.h"

static const char TABLE[] = "table"; /* what the features are called where the others have names */

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

/* ---- modalities and sites left out ------------------------------------------------------------ */

/* The next word of a list without twins, or NULL with an issue. */
static const char *word_at(const struct config_node *list, size_t i, const char *what,
                           struct config_issues *issues)
{
    const char *word = NULL;
    if (!config_as_text(&list->at[i], &word, issues)) {
        return NULL;
    }
    for (size_t k = 0; k < i; k++) {
        if (list->at[k].kind == CONFIG_SCALAR && strcmp(list->at[k].text, word) == 0) {
            config_issue(issues, &list->at[i], "%s: '%s' stands here twice", what, word);
            return NULL;
        }
    }
    return word;
}

static bool is_list(const struct config_node *list, const char *what, struct config_issues *issues)
{
    if (list->kind != CONFIG_LIST || list->n == 0) {
        config_issue(issues, list, "%s: must be a list of names", what);
        return false;
    }
    return true;
}

static bool drop_modality(const char *word, struct sweep_ablation *a)
{
    struct schema *schema = &a->schema;
    struct dataset *d = &a->data;
    if (strcmp(word, TABLE) == 0 && schema->n_features > 0) {
        schema->n_features = 0;
        d->n_values = d->n_codes = 0;
        return true;
    }
    for (size_t i = 0; i < schema->n_modalities; i++) {
        if (strcmp(schema->modality[i].name, word) == 0) {
            const size_t after = schema->n_modalities - i - 1;
            memmove(&schema->modality[i], &schema->modality[i + 1],
                    after * sizeof *schema->modality);
            memmove(&d->part[i], &d->part[i + 1], after * sizeof *d->part);
            schema->n_modalities--;
            d->n_parts--;
            return true;
        }
    }
    return false;
}

/* "table, course or notes" */
static void modalities_of(const struct schema *s, char *out, size_t room)
{
    size_t used = 0;
    const size_t n = s->n_modalities + (s->n_features > 0 ? 1 : 0);
    for (size_t i = 0; i < n && used < room; i++) {
        const bool table = s->n_features > 0 && i == 0;
        const char *name = table ? TABLE : s->modality[i - (s->n_features > 0 ? 1 : 0)].name;
        used += (size_t)snprintf(out + used, room - used, "%s%s",
                                 i == 0      ? ""
                                 : i + 1 < n ? ", "
                                             : " or ",
                                 name);
    }
}

static void leave_modalities(const struct config_node *list, const struct sweep *s,
                             struct sweep_ablation *a, struct config_issues *issues)
{
    char all[160] = "";
    modalities_of(&s->schema, all, sizeof all);
    for (size_t i = 0; is_list(list, "without", issues) && i < list->n; i++) {
        const char *word = word_at(list, i, "without", issues);
        if (word != NULL && !drop_modality(word, a)) {
            config_issue(issues, &list->at[i], "without: no modality is named '%.40s'; name %s",
                         word, all);
        }
    }
    if (a->schema.n_features == 0 && a->schema.n_modalities == 0) {
        config_issue(issues, list, "without: nothing is left to learn from");
    }
}

static void drop_site(struct sweep_ablation *a, size_t i)
{
    struct study *study = &a->study;
    a->left_out[sweep_data_site(&a->data, study, i)] = true;
    memmove(&study->site[i], &study->site[i + 1], (study->n_sites - i - 1) * sizeof *study->site);
    study->n_sites--;
}

/* Promises about numbers of sites become what the smaller roster can keep. */
static void leave_sites(const struct config_node *list, struct sweep_ablation *a,
                        struct config_issues *issues)
{
    struct study *study = &a->study;
    for (size_t i = 0; is_list(list, "without_sites", issues) && i < list->n; i++) {
        const char *word = word_at(list, i, "without_sites", issues);
        const size_t site = word == NULL ? 0 : study_find_site(study, word);
        if (word == NULL) {
            continue;
        }
        if (site == study->n_sites) {
            config_issue(issues, &list->at[i],
                         "without_sites: no site of the study is named '%.40s'", word);
        } else if (study->n_sites == 1) {
            config_issue(issues, &list->at[i], "without_sites: no site is left to train");
        } else {
            drop_site(a, site);
        }
    }
    study->quorum = study->quorum < study->n_sites ? study->quorum : study->n_sites;
    study->min_sites = study->min_sites < study->n_sites ? study->min_sites : study->n_sites;
    if (study->max_colluding >= study->min_sites) {
        study->max_colluding = study->min_sites - 1;
    }
    study->threshold = study->threshold < study->n_sites ? study->threshold : study->n_sites;
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
        leave_modalities(d.without, s, a, issues);
    }
    if (rc == RC_OK && d.sites != NULL) {
        leave_sites(d.sites, a, issues);
    }
    return rc == RC_OK && issues->n == before ? try_model(item, a, issues, err) : rc;
}

enum rc sweep_ablations_read(const struct config_node *list, const struct config_node *study,
                             bool base_alone, struct sweep *s, struct config_issues *issues,
                             struct error *err)
{
    const bool is_list = list != NULL && list->kind == CONFIG_LIST && list->n < SWEEP_LIST_MAX;
    if (list != NULL && !is_list) {
        config_issue(issues, list, "'ablations' is a list of at most %d", SWEEP_LIST_MAX - 1);
    }
    const size_t n = is_list ? list->n : 0;
    s->ablation = calloc(1 + n, sizeof *s->ablation);
    if (s->ablation == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu ablations", n);
    }
    s->n_ablations = 1;
    enum rc rc = begin(s, REPORT_BASE, &s->ablation[0], err);
    const struct config_node *model = study != NULL ? config_get(study, "model") : NULL;
    if (rc == RC_OK && model != NULL) { /* now, and not when the first world begins */
        rc = try_model(model, &s->ablation[0], issues, err);
    }
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        rc = read_item(&list->at[i], study, s, issues, err);
    }
    if (rc == RC_OK && issues->n > 0) {
        rc = config_verdict(issues, err);
    }
    while (base_alone && s->n_ablations > 1) {
        ablation_release(&s->ablation[--s->n_ablations]);
    }
    return rc;
}
