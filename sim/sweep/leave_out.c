/* What an ablation leaves out of a study: modalities of all patients, sites of the roster. */
#include <stdio.h>
#include <string.h>

#include "sim/sweep/ablation_internal.h"

static const char TABLE[] = "table"; /* what the features are called where the others have names */

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

void sweep_leave_modalities(const struct config_node *list, struct sweep_ablation *a,
                            struct config_issues *issues)
{
    char all[160] = "";
    modalities_of(&a->schema, all, sizeof all);
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
static void lower_promises(struct study *study)
{
    study->quorum = study->quorum < study->n_sites ? study->quorum : study->n_sites;
    study->min_sites = study->min_sites < study->n_sites ? study->min_sites : study->n_sites;
    if (study->max_colluding >= study->min_sites) {
        study->max_colluding = study->min_sites - 1;
    }
    study->threshold = study->threshold < study->n_sites ? study->threshold : study->n_sites;
}

void sweep_leave_sites(const struct config_node *list, struct sweep_ablation *a,
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
    lower_promises(study);
}

void sweep_keep_sites(size_t n, struct sweep_ablation *a)
{
    while (a->study.n_sites > n) {
        drop_site(a, a->study.n_sites - 1);
    }
    lower_promises(&a->study);
}
