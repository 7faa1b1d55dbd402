/* what-if, and ledger --what-if: what a study would cost, and whether the policy allows it. */
#include <stdio.h>
#include <string.h>

#include "agent/app/offer.h"
#include "agent/app/report.h"
#include "agent/app/roster.h"
#include "agent/app/words.h"
#include "common/study/study.h"

/* On the roster; and a warning for this hospital alone if its public size is far from the truth. */
static enum rc check_roster(const struct study *study, const struct site *site, size_t n,
                            struct error *err)
{
    const size_t at = study_find_site(study, site->name);
    if (at == study->n_sites) {
        return error_set(err, RC_INVALID,
                         "study '%s' has no site '%s' on its roster; its coordinator can add it",
                         study->name, site->name);
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
    (void)json_object_set_new(o, "epsilon_reader", report_number(f->epsilon_reader));
    (void)json_object_set_new(o, "noise", json_string(study_noise_name(study->privacy.noise)));
    (void)json_object_set_new(o, "masked", json_boolean(study->masked));
    (void)json_object_set_new(o, "delta", json_real(study->privacy.delta));
    (void)json_object_set_new(o, "sample_rate", json_real(study->privacy.sample_rate));
    (void)json_object_set_new(o, "rounds", json_integer((json_int_t)study->rounds));
    (void)json_object_set_new(o, "steps", json_integer((json_int_t)study_steps(study)));
    (void)json_object_set_new(o, "noise_multiplier", json_real(study->privacy.noise_multiplier));
    (void)json_object_set_new(o, "masked", json_boolean(study->masked));
    if (study->masked) {
        (void)json_object_set_new(o, "min_sites", json_integer((json_int_t)study->min_sites));
        (void)json_object_set_new(o, "threshold", json_integer((json_int_t)study_threshold(study)));
        (void)json_object_set_new(o, "max_colluding",
                                  json_integer((json_int_t)study->max_colluding));
        (void)json_object_set_new(o, "spare_rounds", json_integer((json_int_t)study->spare_rounds));
    }
    (void)json_object_set_new(o, "planned", json_boolean(study->wish.passes > 0.0));
    (void)json_object_set_new(o, "epsilon_spent", report_number(f->epsilon_spent));
    (void)json_object_set_new(o, "epsilon_promised", report_number(f->epsilon_promised));
    (void)json_object_set_new(o, "max_epsilon_total",
                              report_number(site->policy.max_epsilon_total));
    (void)json_object_set_new(o, "max_epsilon_per_study",
                              report_number(site->policy.max_epsilon_per_study));
    (void)json_object_set_new(o, "epsilon_after", report_number(f->epsilon_after));
    (void)json_object_set_new(o, "epsilon_left", report_number(f->epsilon_left));
    (void)json_object_set_new(o, "max_evaluation_epsilon",
                              report_number(site->policy.max_evaluation_epsilon));
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
    (void)printf(
        "study '%s': epsilon %.6g at delta %g (noise multiplier %.6f, %zu steps at sampling "
        "rate %.6g%s)\n"
        "ledger:  epsilon %.6g now, %.6g after it, at delta %g; the policy allows %.6g\n",
        study->name, f->epsilon_study, study->privacy.delta, study->privacy.noise_multiplier,
        study_steps(study), study->privacy.sample_rate,
        study->wish.passes > 0.0 ? ", planned by the rule" : "", f->epsilon_spent, f->epsilon_after,
        site->policy.max_delta_per_study, site->policy.max_epsilon_total);
    if (study->masked) {
        char masks[ROSTER_WHY];
        offer_masks(study, masks);
        (void)printf("masked:  %s\n", masks);
        roster_obstacle(site->folder, study, study_find_site(study, site->name), masks);
        if (masks[0] != '\0') {
            (void)printf("waits:   %s\n", masks);
        }
    }
    if (study->privacy.noise == STUDY_NOISE_SHARED) {
        (void)printf("shared:  that epsilon is against the coordinator with %zu of the sites, and "
                     "needs %zu that add their share of the noise; against who reads models only "
                     "it is %.6g\n",
                     study->max_colluding, study->min_sites - study->max_colluding,
                     f->epsilon_reader);
    }
    if (site->policy.max_evaluation_epsilon > 0.0) {
        (void)printf("besides: its coordinator may ask how good its model is here, for epsilon "
                     "%.6g in all (max_evaluation_epsilon); the total holds for that, too\n",
                     site->policy.max_evaluation_epsilon);
    }
    (void)printf("%s%s\n", f->allowed ? "allowed" : "refused: ", f->reason);
    return RC_OK;
}

/* A path is a file; any other word is the name of a study that was offered. */
static bool is_path(const char *word)
{
    const char *dot = strrchr(word, '.');
    return strchr(word, '/') != NULL || (dot != NULL && strcmp(dot, ".yaml") == 0);
}

static enum rc from_file(const char *path, const struct site *site, struct agreement *out,
                         struct config_issues *issues, struct error *err)
{
    bool there = false;
    enum rc rc = site_look(path, &there, err);
    if (rc == RC_OK && !there) {
        rc = error_set(err, RC_IO,
                       "there is no study file '%.120s'; name the document that the coordinator "
                       "sent, or a study that `wardround-agent approve %.60s` lists",
                       path, site->folder);
    }
    if (rc == RC_OK) {
        rc = agreement_lacks_known_in(path, &site->schema, issues, err);
    }
    if (rc == RC_OK) {
        rc = study_open(path, &out->study, issues, err);
    }
    if (rc == RC_OK) {
        const struct hash schema = schema_hash(&site->schema);
        out->study_hash = study_hash(&out->study, &schema);
    }
    return rc;
}

static enum rc from_offer(const char *word, const struct site *site, struct agreement *out,
                          struct error *err)
{
    struct consent *consent = NULL;
    struct offer found = {0};
    enum rc rc = site_consent(site->folder, &consent, err);
    if (rc == RC_OK) {
        rc = offer_find(consent, word, &found, err);
    }
    consent_close(&consent);
    if (rc == RC_OK && found.n != 1) {
        rc = error_set(
            err, RC_INVALID,
            "%s study '%.60s' was offered here; `wardround-agent approve %.60s` lists them "
            "(a file is named with a '/' or .yaml)",
            found.n == 0 ? "no" : "more than one", word, site->folder);
    }
    return rc == RC_OK ? offer_open(site, &found.study, out, err) : rc;
}

enum rc command_what_if(const struct words *w, bool *yes, struct config_issues *issues,
                        struct error *err)
{
    struct site site = {0};
    struct agreement a = {0}; /* of a file only the study and its hash */
    struct ledger *ledger = NULL;
    struct dataset *data = NULL;
    struct ledger_forecast f = {0};
    const char *word = w->what_if != NULL ? w->what_if : w->arg;

    enum rc rc = site_open(w->folder, &site, issues, err);
    if (rc == RC_OK) {
        rc = site_ledger(&site, &ledger, err);
    }
    if (rc == RC_OK) {
        rc = is_path(word) ? from_file(word, &site, &a, issues, err)
                           : from_offer(word, &site, &a, err);
    }
    if (rc == RC_OK) {
        rc = site_dataset(&site, &data, err);
    }
    if (rc == RC_OK) {
        rc = check_roster(&a.study, &site, data->n_patients, err);
    }
    if (rc == RC_OK) {
        rc = offer_model(&site, &a.study, err);
    }
    if (rc == RC_OK) {
        rc = ledger_what_if(ledger, &a.study, &a.study_hash, data->n_patients, &f, err);
    }
    if (rc == RC_OK) {
        rc = say(w, &site, &a.study, &f, err);
        *yes = f.allowed;
    }
    dataset_close(&data);
    ledger_close(&ledger);
    agreement_release(&a);
    site_release(&site);
    return rc;
}
