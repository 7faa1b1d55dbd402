/*
 * A finished model without a study having run, for tests of what comes after one.
 *
 *   make_model write FILE STUDY.yaml COHORT.yaml ROUND [NUMBER...]
 *       a model file; the shared parameters in the order of the table, or as they begin
 *   make_model train STUDY.yaml SITE_DIR SITE
 *       round 1 at this site, from the beginning, into SITE_DIR/ledger.db: the cohort must be imported
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ledger/ledger.h"
#include "agent/train/train.h"
#include "common/checkpoint/checkpoint.h"
#include "common/cohort/cohort.h"
#include "common/store/store.h"

static struct error err;
static struct config_issues issues;

/* A tool for tests: the first failure is the end. */
static void must(enum rc rc)
{
    if (rc != RC_OK) {
        config_print_issues(&issues, stderr);
        (void)fprintf(stderr, "make_model: %s\n", err.text);
        exit(1);
    }
}

static real *begin(const struct agreement *a, struct model *m)
{
    must(model_open(&a->study.model, &a->schema, m, &err));
    real *params = calloc(m->table.P + 1, sizeof *params);
    if (params == NULL) {
        exit(1);
    }
    param_init_values(&m->table, a->study.seed, params);
    return params;
}

static void write_model(int n, char **word)
{
    struct agreement a = {0};
    struct model m = {0};
    must(agreement_open(word[1], word[2], &a, &issues, &err));
    real *params = begin(&a, &m);
    if (n > 4 && (size_t)(n - 4) != m.table.S) {
        (void)fprintf(stderr, "make_model: %d numbers for %zu parameters\n", n - 4, m.table.S);
        exit(1);
    }
    for (int i = 4; i < n; i++) {
        params[i - 4] = strtof(word[i], NULL);
    }
    must(checkpoint_write(word[0], &a, &m, strtoull(word[3], NULL, 10), params, &err));
    free(params);
    model_release(&m);
    agreement_release(&a);
}

static void spend(struct ledger *ledger, const struct agreement *a, const struct hash *cohort,
                  const struct train_result *r)
{
    const struct study *s = &a->study;
    const struct ledger_spend spend = {
        .study = a->study_hash,
        .round = 1,
        .mechanism = {.q = s->privacy.sample_rate,
                      .sigma = s->privacy.noise_multiplier,
                      .steps = s->local.steps},
        .clip = s->privacy.clip,
        .cohort = *cohort,
        .update = r->update,
        .update_bytes = r->update_bytes,
        .site_state = r->site_state,
        .site_state_bytes = r->site_state_bytes,
        .now_ms = 1,
    };
    must(ledger_spend(ledger, &spend, &err));
}

static void train(const char *study, const char *folder, const char *site)
{
    const struct ledger_policy policy = {.max_epsilon_per_study = HUGE_VAL,
                                         .max_epsilon_total = HUGE_VAL,
                                         .max_delta_per_study = 0.5,
                                         .min_patients = 1,
                                         .min_sites = 1};
    char path[512];
    struct agreement a = {0};
    struct model m = {0};
    struct store *store = NULL;
    struct dataset *data = NULL;
    struct ledger *ledger = NULL;
    struct entropy entropy;
    struct train_result r = {0};

    (void)snprintf(path, sizeof path, "%s/cohort.yaml", folder);
    must(agreement_open(study, path, &a, &issues, &err));
    (void)snprintf(path, sizeof path, "%s/site.db", folder);
    must(store_open(path, &cohort_store_kind, &store, &err));
    must(dataset_open(&a.schema, store, &data, &err));
    (void)snprintf(path, sizeof path, "%s/ledger.db", folder);
    must(ledger_open(path, &policy, &ledger, &err));
    must(ledger_join(ledger, &a.study, &a.study_hash, data->n_patients, 1, &err));
    must(entropy_init(&entropy, &err));
    real *params = begin(&a, &m);
    const struct train_job job = {.study = &a.study,
                                  .model = &m,
                                  .data = data,
                                  .site = study_find_site(&a.study, site),
                                  .round = 1,
                                  .global = params};
    must(train_round(&job, &entropy, &r, &err));
    spend(ledger, &a, &data->version, &r);
    train_result_release(&r);
    entropy_release(&entropy);
    free(params);
    ledger_close(&ledger);
    dataset_close(&data);
    store_close(&store);
    model_release(&m);
    agreement_release(&a);
}

int main(int argc, char **argv)
{
    if (argc >= 6 && strcmp(argv[1], "write") == 0) {
        write_model(argc - 2, argv + 2);
        return 0;
    }
    if (argc == 5 && strcmp(argv[1], "train") == 0) {
        train(argv[2], argv[3], argv[4]);
        return 0;
    }
    (void)fprintf(stderr, "make_model write FILE STUDY COHORT ROUND [NUMBER...]\n"
                          "make_model train STUDY SITE_DIR SITE\n");
    return 2;
}
