/* ledger --export: the ledger as a report for the data-protection officer. Nothing in the site's folder changes. */
#include <stdio.h>

#include "agent/app/report.h"
#include "agent/app/site.h"
#include "agent/app/words.h"
#include "agent/dossier/dossier.h"
#include "common/base/clock.h"

/* How it ended, people and the trainer have written into the consent file. */
static void set_state(void *ctx, const struct consent_row *row)
{
    struct dossier *r = ctx;
    for (size_t i = 0; i < r->n_studies; i++) {
        struct dossier_study *s = &r->study[i];
        if (!hash_equal(&s->ledger.hash, &row->study)) {
            continue;
        }
        if (row->state == CONSENT_WITHDRAWN) {
            s->state = DOSSIER_WITHDRAWN;
        } else if (row->ended_ms != 0) {
            s->state = row->done ? DOSSIER_DONE : DOSSIER_FAILED;
        }
    }
}

/* Without it the report is complete but for a word; it says so. */
static void set_states(const struct site *site, struct dossier *r, char *remark, size_t room)
{
    char path[SITE_PATH_MAX];
    struct consent *consent = NULL;
    struct error err = {0};
    if (r->n_studies == 0) {
        return;
    }
    enum rc rc = site_path(site->folder, "consent.db", path, &err);
    if (rc == RC_OK) {
        rc = consent_open_reading(path, &consent, &err);
    }
    if (rc == RC_OK) {
        rc = consent_each(consent, set_state, r, &err);
    }
    consent_close(&consent);
    if (rc != RC_OK) {
        (void)snprintf(
            remark, room,
            "How studies ended, and from which the hospital withdrew, is not known: the record of "
            "consents cannot be read (%s).",
            err.text);
        r->remark = remark;
    }
}

static RC ask_witnesses(const struct site_witnesses *witnesses, const struct error *unread,
                        struct ledger *ledger, struct dossier *r, struct error *err)
{
    struct error fault = *unread;
    if (fault.rc == RC_OK) {
        error_ignore(site_witnessed(witnesses, ledger, &fault));
    }
    r->receipts = witnesses->n;
    return dossier_note(r, &fault, err);
}

static RC say(const struct words *w, const struct dossier *r, struct error *err)
{
    char path[3][SITE_PATH_MAX];
    static const char *const name[3] = {"ledger.html", "studies.csv", "rounds.csv"};
    for (size_t i = 0; i < 3; i++) {
        const enum rc rc = site_path(w->to, name[i], path[i], err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (w->json) {
        json_t *faults = json_array();
        for (size_t i = 0; i < r->n_faults; i++) {
            (void)json_array_append_new(faults, json_string(r->fault[i].text));
        }
        return report_print(json_pack("{s:s, s:b, s:o, s:s?, s:s, s:s, s:s, s:I, s:I}", "site",
                                      r->site, "sound", r->n_faults == 0, "faults", faults,
                                      "remark", r->remark, "html", path[0], "studies_csv", path[1],
                                      "rounds_csv", path[2], "studies", (json_int_t)r->n_studies,
                                      "rounds", (json_int_t)r->n_rows),
                            err);
    }
    (void)printf(
        "written: %s (to read and print), %s, %s: studies %zu, rounds %zu. It stays inside the "
        "hospital: the page says why\n",
        path[0], path[1], path[2], r->n_studies, r->n_rows);
    if (r->remark != NULL) {
        (void)fprintf(stderr, "wardround-agent: %s\n", r->remark);
    }
    return RC_OK;
}

enum rc command_export(const struct words *w, bool *yes, struct config_issues *issues,
                       struct error *err)
{
    struct site site = {0};
    struct ledger *ledger = NULL;
    struct site_witnesses witnesses = {0};
    struct error unread = {0}; /* why there are none to ask */
    char remark[512];
    struct dossier r = {.version = WARDROUND_VERSION, .now_ms = clock_wall_ms()};

    enum rc rc = site_open(w->folder, &site, issues, err);
    if (rc == RC_OK) {
        rc = dossier_may_write(w->to, err);
    }
    if (rc == RC_OK) { /* before the view begins: what was signed later, it cannot hold */
        error_ignore(site_witnesses(&site, false, &witnesses, &unread));
        rc = site_ledger_view(&site, &ledger, err);
    }
    if (rc == RC_OK) {
        r.site = site.name;
        r.policy = site.policy;
        rc = dossier_gather(ledger, &r, err);
    }
    if (rc == RC_OK) {
        rc = ask_witnesses(&witnesses, &unread, ledger, &r, err);
    }
    site_witnesses_release(&witnesses);
    ledger_close(&ledger);
    if (rc == RC_OK) {
        set_states(&site, &r, remark, sizeof remark);
        rc = dossier_write(&r, w->to, err);
    }
    if (rc == RC_OK) {
        rc = say(w, &r, err);
    }
    if (rc == RC_OK && r.n_faults > 0) {
        rc = error_set(err, r.fault[0].rc, "NOT VERIFIED, and exported all the same: %.180s",
                       r.fault[0].text);
    }
    *yes = true;
    dossier_release(&r);
    site_release(&site);
    return rc;
}
