/* import: every cell of the cohort is checked; all of it, or nothing, goes into site.db. */
#include <stdio.h>

#include "agent/app/report.h"
#include "agent/app/site.h"
#include "agent/app/words.h"
#include "common/store/store.h"

static enum rc import(const struct site *site, struct config_issues *issues,
                      struct cohort_summary *found, struct error *err)
{
    char path[SITE_PATH_MAX];
    struct store *store = NULL;
    enum rc rc = site_path(site->folder, "site.db", path, err);
    if (rc == RC_OK) {
        rc = store_open(path, &cohort_store_kind, &store, err);
    }
    if (rc == RC_OK) {
        rc = cohort_import(&site->schema, site->name, store, issues, found, err);
    }
    store_close(&store);
    return rc;
}

static json_t *modalities(const struct schema *s, const struct cohort_summary *found)
{
    json_t *all = json_object();
    for (size_t i = 0; i < s->n_modalities; i++) {
        const struct cohort_found *m = &found->modality[i];
        json_t *o = json_object();
        const struct {
            const char *key;
            size_t n;
        } count[] = {{"rows", m->n_records},          {"items", m->n_items},
                     {"outside_window", m->n_beside}, {"missing", m->n_missing},
                     {"not_listed", m->n_unlisted},   {"unknown_ids", m->n_unknown}};
        for (size_t k = 0; k < sizeof count / sizeof count[0]; k++) {
            (void)json_object_set_new(o, count[k].key, json_integer((json_int_t)count[k].n));
        }
        (void)json_object_set_new(all, s->modality[i].name, o);
    }
    return all;
}

static enum rc say(const struct words *w, const struct site *site,
                   const struct cohort_summary *found, struct error *err)
{
    char version[HASH_HEX];
    hash_hex(&found->version, version);
    if (w->json) {
        json_t *o = json_object();
        (void)json_object_set_new(o, "site", json_string(site->name));
        (void)json_object_set_new(o, "patients", json_integer((json_int_t)found->n_patients));
        (void)json_object_set_new(o, "rows", json_integer((json_int_t)found->n_rows));
        if (site->schema.n_classes > 0) {
            (void)json_object_set_new(o, "classes",
                                      json_integer((json_int_t)site->schema.n_classes));
        } else {
            (void)json_object_set_new(o, "positive", json_integer((json_int_t)found->n_positive));
        }
        (void)json_object_set_new(o, "missing_cells",
                                  json_integer((json_int_t)found->n_missing_cells));
        if (site->schema.n_modalities > 0) {
            (void)json_object_set_new(o, "modalities", modalities(&site->schema, found));
        }
        (void)json_object_set_new(o, "version", json_string(version));
        return report_print(o, err);
    }
    const size_t C = site->schema.n_classes;
    (void)printf("imported %zu patients (%zu rows, %zu %s, %zu cells missing) of site '%s'\n"
                 "version %s\n",
                 found->n_patients, found->n_rows, C > 0 ? C : found->n_positive,
                 C > 0 ? "classes" : "positive", found->n_missing_cells, site->name, version);
    for (size_t i = 0; i < site->schema.n_modalities; i++) {
        const struct cohort_found *m = &found->modality[i];
        (void)printf(
            "%s: %zu of %zu rows have it (%zu items; left out: %zu outside of the window, %zu "
            "missing, %zu not listed, %zu of unknown ids)\n",
            site->schema.modality[i].name, m->n_records, found->n_rows, m->n_items, m->n_beside,
            m->n_missing, m->n_unlisted, m->n_unknown);
    }
    for (size_t i = 0; i < found->n_warnings && i < COHORT_WARNINGS_SHOWN; i++) {
        (void)fprintf(stderr, "wardround-agent: warning: %s\n", found->warning[i]);
    }
    return RC_OK;
}

enum rc command_import(const struct words *w, bool *yes, struct config_issues *issues,
                       struct error *err)
{
    struct site site = {0};
    struct ledger *ledger = NULL;
    struct cohort_summary found = {0};

    enum rc rc = site_open(w->folder, &site, issues, err);
    if (rc == RC_OK) {
        rc = site_ledger_first(&site, &ledger, err);
    }
    ledger_close(&ledger);
    if (rc == RC_OK) {
        rc = import(&site, issues, &found, err);
    }
    if (rc == RC_OK) {
        rc = say(w, &site, &found, err);
    }
    *yes = true;
    site_release(&site);
    return rc;
}
