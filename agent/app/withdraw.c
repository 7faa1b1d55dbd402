/*
 * withdraw: a person's no, for good. The consent file comes first: the trainer looks there between
 * steps. Then the ledger gives back what was promised and not spent. Each is harmless if repeated,
 * so a withdrawal that was cut off is finished by the next.
 */
#include <stdio.h>

#include "agent/app/people.h"
#include "agent/app/report.h"
#include "agent/app/site.h"
#include "agent/app/words.h"
#include "common/base/clock.h"

static enum rc end_in_ledger(const struct words *w, const struct hash *study,
                             struct config_issues *issues, struct error *err)
{
    struct site site = {0};
    struct ledger *ledger = NULL;
    char path[SITE_PATH_MAX];
    char cohort[SITE_PATH_MAX];
    bool has_ledger = true;
    bool has_cohort = true;
    enum rc rc = site_path(w->folder, "ledger.db", path, err);
    if (rc == RC_OK) {
        rc = site_path(w->folder, "site.db", cohort, err);
    }
    if (rc == RC_OK) {
        rc = site_look(path, &has_ledger, err);
    }
    if (rc == RC_OK) {
        rc = site_look(cohort, &has_cohort, err);
    }
    if (rc == RC_OK && !has_ledger && !has_cohort) {
        return RC_OK; /* nothing was ever imported, hence nothing joined */
    }
    if (rc == RC_OK) {
        rc = site_open(w->folder, &site, issues, err);
    }
    if (rc == RC_OK) {
        rc = site_ledger(&site, &ledger, err);
    }
    if (rc == RC_OK) {
        rc = ledger_end_study(ledger, study, clock_wall_ms(), err);
        if (rc == RC_STATE) { /* never joined: nothing was promised */
            rc = RC_OK;
        }
    }
    ledger_close(&ledger);
    site_release(&site);
    issues->n = 0; /* what they say is not "nothing was done" */
    return rc == RC_OK ? RC_OK
                       : error_context(err, "withdrawn, but the ledger still holds its promise; "
                                            "mend this and withdraw again");
}

static enum rc say(const struct words *w, const struct hash *study, struct error *err)
{
    char hex[HASH_HEX];
    hash_hex(study, hex);
    if (w->json) {
        json_t *o = json_object();
        (void)json_object_set_new(o, "study", json_string(w->arg));
        (void)json_object_set_new(o, "hash", json_string(hex));
        (void)json_object_set_new(o, "state", json_string("withdrawn"));
        return report_print(o, err);
    }
    (void)printf("withdrawn from '%s' (%.12s), for good: nothing more is trained or sent for it. "
                 "The agent tells the coordinator, now if it runs or when it runs next. What was "
                 "sent before stays sent, and spent.\n",
                 w->arg, hex);
    return RC_OK;
}

static enum rc check_reason(const char *reason, struct error *err)
{
    for (const char *c = reason; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            return error_set(err, RC_INVALID, "the reason must be one line of plain text");
        }
    }
    return RC_OK;
}

enum rc command_withdraw(const struct words *w, bool *yes, struct config_issues *issues,
                         struct error *err)
{
    struct consent *consent = NULL;
    struct hash study;
    char by[CONSENT_BY_MAX];
    char path[SITE_PATH_MAX];
    bool there = false;

    *yes = true;
    people_name(by, sizeof by);
    const char *reason = w->reason != NULL ? w->reason : "";
    enum rc rc = check_reason(reason, err);
    if (rc == RC_OK) {
        rc = site_path(w->folder, "consent.db", path, err);
    }
    if (rc == RC_OK) {
        rc = site_look(path, &there, err);
    }
    if (rc == RC_OK && !there) {
        rc = site_may_lack_consent(w->folder, err);
        if (rc == RC_OK) {
            rc =
                error_set(err, RC_INVALID,
                          "no study was ever offered to '%s': nothing to withdraw from", w->folder);
        }
    }
    if (rc == RC_OK) { /* a broken site.yaml must not keep a hospital in a study */
        rc = site_consent(w->folder, &consent, err);
    }
    if (rc == RC_OK) {
        rc = consent_withdraw(consent, w->arg, by, reason, clock_wall_ms(), &study, err);
    }
    consent_close(&consent);
    if (rc == RC_OK) {
        rc = end_in_ledger(w, &study, issues, err);
    }
    if (rc == RC_OK) {
        rc = say(w, &study, err);
    }
    return rc;
}
