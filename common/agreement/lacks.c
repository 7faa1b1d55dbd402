/* A study document before it is read: whether each modality that a site of it lacks is one at all. A
 * document by itself cannot say that, and would call a misspelt one a modality that few sites have. */
#include <stdio.h>
#include <string.h>

#include "common/agreement/agreement.h"

/* "notes, xray" */
static void list_modalities(const struct schema *schema, char *out, size_t room)
{
    size_t used = 0;
    (void)snprintf(out, room, "none");
    for (size_t i = 0; i < schema->n_modalities && used < room; i++) {
        const int n =
            snprintf(out + used, room - used, "%s%s", i == 0 ? "" : ", ", schema->modality[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
}

static bool is_modality(const struct schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->n_modalities; i++) {
        if (strcmp(schema->modality[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void check_list(const struct config_node *list, const struct schema *schema,
                       struct config_issues *issues)
{
    char all[160];
    const char *name = NULL;
    for (size_t i = 0; i < list->n; i++) {
        if (config_as_text(&list->at[i], &name, NULL) && name[0] != '\0' &&
            !is_modality(schema, name)) {
            list_modalities(schema, all, sizeof all);
            config_issue(issues, &list->at[i],
                         "lacks: '%.40s' is no modality of the cohort; there are: %s", name, all);
        }
    }
}

static const struct config_node *list_at(const struct config_node *map, const char *key)
{
    const struct config_node *node =
        map != NULL && map->kind == CONFIG_MAP ? config_get(map, key) : NULL;
    return node != NULL && node->kind == CONFIG_LIST ? node : NULL;
}

enum rc agreement_lacks_known(const struct config_node *study, const struct schema *schema,
                              struct config_issues *issues, struct error *err)
{
    const size_t before = issues->n;
    const struct config_node *sites = list_at(study, "sites");
    for (size_t i = 0; sites != NULL && i < sites->n; i++) {
        const struct config_node *lacks = list_at(&sites->at[i], "lacks");
        if (lacks != NULL) {
            check_list(lacks, schema, issues);
        }
    }
    return issues->n == before ? RC_OK : config_verdict(issues, err);
}

enum rc agreement_lacks_known_in(const char *path, const struct schema *schema,
                                 struct config_issues *issues, struct error *err)
{
    struct config_doc *doc = NULL;
    enum rc rc = config_open(path, &doc, err);
    if (rc == RC_OK) {
        issues->path = path;
        rc = agreement_lacks_known(config_root(doc), schema, issues, err);
    }
    config_close(&doc);
    return rc;
}
