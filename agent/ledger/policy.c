#include <math.h>

#include "agent/ledger/ledger.h"

/* A delta of 0.1 says nothing about a tenth of the patients: a slip, not a policy. */
#define DELTA_LEAST 1e-30
#define DELTA_MOST  0.1
#define COHORT_MOST 1e9

static const struct config_key keys[] = {
    {.name = "max_epsilon_per_study",
     .type = CONFIG_REAL,
     .offset = offsetof(struct ledger_policy, max_epsilon_per_study),
     .min = 0,
     .max = HUGE_VAL,
     .help =
         "largest epsilon of one study, at the study's delta; inf allows studies without noise"},
    {.name = "max_epsilon_total",
     .type = CONFIG_REAL,
     .offset = offsetof(struct ledger_policy, max_epsilon_total),
     .min = 0,
     .max = HUGE_VAL,
     .help = "largest epsilon of all studies together, at max_delta_per_study; or inf"},
    {.name = "max_delta_per_study",
     .type = CONFIG_REAL,
     .offset = offsetof(struct ledger_policy, max_delta_per_study),
     .min = DELTA_LEAST,
     .max = DELTA_MOST,
     .help = "largest delta of one study; well below one in the number of patients"},
    {.name = "min_patients",
     .type = CONFIG_COUNT,
     .offset = offsetof(struct ledger_policy, min_patients),
     .min = 1,
     .max = COHORT_MOST,
     .help = "smallest cohort that takes part in a study"},
    {.name = "min_sites",
     .type = CONFIG_COUNT,
     .offset = offsetof(struct ledger_policy, min_sites),
     .min = 1,
     .max = STUDY_SITES_MAX,
     .fallback = "1",
     .help = "least min_sites that a study must promise; noise of the site's own needs no company"},
    {.name = "max_colluding",
     .type = CONFIG_COUNT,
     .offset = offsetof(struct ledger_policy, max_colluding),
     .min = 0,
     .max = STUDY_SITES_MAX,
     .fallback = "0",
     .help = "least max_colluding that a study must withstand"},
    {.name = "masked",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct ledger_policy, masked),
     .fallback = "false",
     .help = "true: only studies in which the coordinator reads nothing but sums"},
    {.name = "threshold",
     .type = CONFIG_COUNT,
     .offset = offsetof(struct ledger_policy, threshold),
     .min = 0,
     .max = STUDY_SITES_MAX,
     .fallback = "0",
     .help = "masked studies: least number of sites that must agree to open a sum"},
    {.name = "shared_noise",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct ledger_policy, shared_noise),
     .fallback = "false",
     .help = "true: studies may share noise, which protects patients only while all but "
             "max_colluding of min_sites sites are honest; false: only noise of this site's own"},
    {.name = "max_evaluation_epsilon",
     .type = CONFIG_REAL,
     .offset = offsetof(struct ledger_policy, max_evaluation_epsilon),
     .min = 0,
     .max = HUGE_VAL,
     .fallback = "0",
     .help =
         "largest epsilon of all evaluations of one study together: score histograms with noise "
         "of this site's own, which the coordinator reads also in masked studies; 0: none"},
};

const struct config_key *ledger_policy_keys(size_t *n)
{
    *n = sizeof keys / sizeof keys[0];
    return keys;
}

enum rc ledger_policy_read(const struct config_node *map, struct ledger_policy *out,
                           struct config_issues *issues, struct error *err)
{
    struct ledger_policy p = {0};
    const size_t before = issues->n; /* what other maps of the file did wrong is not our verdict */

    config_bind(map, keys, sizeof keys / sizeof keys[0], &p, issues);
    if (issues->n > before) {
        return config_verdict(issues, err);
    }
    *out = p;
    return RC_OK;
}
