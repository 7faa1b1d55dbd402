/* what-if, and ledger --what-if: what a study would cost, and whether the policy allows it. */
#include <stdio.h>

#include "agent/app/report.h"
#include "agent/app/site.h"
#include "agent/app/words.h"
#include "common/study/study.h"

/* On the roster; and a warning for this hospital alone if its public size is far from the truth. */
static enum rc check_roster(const struct study *study, const struct site *site, size_t n,
                            struct error *err)
{
    const size_t at = study_find_site(study, site->name);
    if (at == study->n_sites) {
        return error_set(err, RC_INVALID, "study '%s' has no site '%s' on its roster", study->name,
                         site->name);
    }
    const double ratio = (double)n / (double)study->site[at].nominal;
    if (ratio > 2.0 || ratio < 0.5) {
        (void)fprintf(stderr,
                      "wardround-agent: warning: the study plans with %zu patients here, far from "
                      "the cohort's size; its steps will be too large or too small\n",
                      study->site[at].nominal);
    }
    return RC_OK;
}

static enum rc say_json(const struct site *site, const struct study *study,
                        const struct ledger_forecast *f, struct error *err)
{
    json_t *o = json_object();
    (void)json_object_set_new(o, "study", json_string(study->name));
    (void)json_object_set_new(o, "epsilon_study", report_number(f->epsilon_study));
    (void)json_object_set_new(o, "delta", json_real(study->privacy.delta));
    (void)json_object_set_new(o, "noise_multiplier", json_real(study->privacy.noise_multiplier));
    (void)json_object_set_new(o, "epsilon_spent", report_number(f->epsilon_spent));
    (void)json_object_set_new(o, "epsilon_promised", report_number(f->epsilon_promised));
    (void)json_object_set_new(o, "max_epsilon_total",
                              report_number(site->policy.max_epsilon_total));
    (void)json_object_set_new(o, "max_epsilon_per_study",
                              report_number(site->policy.max_epsilon_per_study));
    (void)json_object_set_new(o, "epsilon_after", report_number(f->epsilon_after));
    (void)json_object_set_new(o, "epsilon_left", report_number(f->epsilon_left));
    (void)json_object_set_new(o, "allowed", json_boolean(f->allowed));
    (void)json_object_set_new(o, "reason", json_string(f->reason));
    return report_print(o, err);
}

static enum rc say(const struct words *w, const struct site *site, const struct study *study,
                   const struct ledger_forecast *f, struct error *err)
{
    if (w->json) {
        return say_json(site, study, f, err);
    }
    (void)printf("study '%s': epsilon %.6g at delta %g (noise multiplier %.6f, %zu steps)\n"
                 "ledger:  epsilon %.6g now, %.6g after it, at delta %g; the policy allows %.6g\n",
                 study->name, f->epsilon_study, study->privacy.delta,
                 study->privacy.noise_multiplier, study_steps(study), f->epsilon_spent,
                 f->epsilon_after, site->policy.max_delta_per_study,
                 site->policy.max_epsilon_total);
    (void)printf("%s%s\n", f->allowed ? "allowed" : "refused: ", f->reason);
    return RC_OK;
}

enum rc command_what_if(const struct words *w, bool *yes, struct config_issues *issues,
                        struct error *err)
{
    struct site site = {0};
    struct study study = {0};
    struct ledger *ledger = NULL;
    struct dataset *data = NULL;
    struct ledger_forecast f = {0};

    enum rc rc = site_open(w->folder, &site, issues, err);
    if (rc == RC_OK) {
        rc = site_ledger(&site, &ledger, err);
    }
    if (rc == RC_OK) {
        rc = study_open(w->what_if != NULL ? w->what_if : w->arg, &study, issues, err);
    }
    if (rc == RC_OK) {
        rc = site_dataset(&site, &data, err);
    }
    if (rc == RC_OK) {
        rc = check_roster(&study, &site, data->n_patients, err);
    }
    if (rc == RC_OK) {
        const struct hash schema = schema_hash(&site.schema);
        const struct hash h = study_hash(&study, &schema);
        rc = ledger_what_if(ledger, &study, &h, data->n_patients, &f, err);
    }
    if (rc == RC_OK) {
        rc = say(w, &site, &study, &f, err);
        *yes = f.allowed;
    }
    dataset_close(&data);
    ledger_close(&ledger);
    study_release(&study);
    site_release(&site);
    return rc;
}
