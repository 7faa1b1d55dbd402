/*
 * approve: what waits, and a person's yes. Before the yes is written down, the study is read again
 * from the bytes that the coordinator signed, and what it costs is shown. A study that the policy
 * refuses is not approved: the agent would have to decline it, and a decline is final.
 */
#include <stdio.h>

#include "agent/app/offer.h"
#include "agent/app/people.h"
#include "agent/app/report.h"
#include "agent/app/roster.h"
#include "agent/app/words.h"
#include "common/base/clock.h"

/* ---- the list -------------------------------------------------------------------------------- */

struct listing {
    json_t *rows; /**< NULL: printed */
    size_t n, n_waiting;
    const char *folder;
};

static void list_row(void *ctx, const struct consent_row *row)
{
    struct listing *l = ctx;
    char hex[HASH_HEX];
    char day[PEOPLE_DAY];
    const bool ended = row->ended_ms != 0;
    const char *state = !ended ? consent_state_name(row->state) : row->done ? "finished" : "failed";
    hash_hex(&row->study, hex);
    people_day(ended                           ? row->ended_ms
               : row->state == CONSENT_OFFERED ? row->offered_ms
                                               : row->decided_ms,
               day);
    l->n++;
    l->n_waiting += row->state == CONSENT_OFFERED && !ended;
    if (l->rows == NULL) {
        (void)printf("%-20s %.12s  of %s  %s %s %s%s%s\n", row->name, hex, row->coordinator, state,
                     ended ? "on" : "since", day,
                     row->by[0] == '\0' ? ""
                     : ended            ? ", approved by "
                                        : " by ",
                     row->by);
        return;
    }
    json_t *o = json_object();
    (void)json_object_set_new(o, "study", json_string(row->name));
    (void)json_object_set_new(o, "hash", json_string(hex));
    (void)json_object_set_new(o, "coordinator", json_string(row->coordinator));
    (void)json_object_set_new(o, "state", json_string(state));
    (void)json_object_set_new(o, "by", json_string(row->by));
    (void)json_object_set_new(o, "reason", json_string(row->reason));
    (void)json_object_set_new(o, "offered_ms", json_integer((json_int_t)row->offered_ms));
    (void)json_object_set_new(o, "decided_ms", json_integer((json_int_t)row->decided_ms));
    (void)json_object_set_new(o, "ended_ms", json_integer((json_int_t)row->ended_ms));
    (void)json_array_append_new(l->rows, o);
}

static enum rc list(const struct words *w, struct consent *consent, struct error *err)
{
    struct listing l = {.rows = w->json ? json_array() : NULL};
    const enum rc rc = consent_each(consent, list_row, &l, err);
    if (rc != RC_OK) {
        json_decref(l.rows);
        return rc;
    }
    if (w->json) {
        json_t *o = json_object();
        (void)json_object_set_new(o, "studies", l.rows);
        return report_print(o, err);
    }
    if (l.n == 0) {
        (void)printf("No study was offered yet. The coordinator offers one while the agent runs: "
                     "wardround-agent run %s\n",
                     w->folder);
    } else if (l.n_waiting > 0) {
        (void)printf("Next: wardround-agent approve %s STUDY\n", w->folder);
    }
    return RC_OK;
}

/* ---- one study ------------------------------------------------------------------------------- */

/* What the policy, the cohort or the roster says; `why` is "" where nothing stands in the way. */
static enum rc foretell(const struct site *site, const struct agreement *a,
                        struct ledger_forecast *f, char why[240], struct error *err)
{
    struct ledger *ledger = NULL;
    struct dataset *data = NULL;
    struct error misfit = {0};
    why[0] = '\0';
    enum rc rc = site_ledger(site, &ledger, err);
    if (rc == RC_OK) {
        rc = site_dataset(site, &data, err);
    }
    if (rc == RC_OK) {
        rc = ledger_what_if(ledger, &a->study, &a->study_hash, data->n_patients, f, err);
    }
    dataset_close(&data);
    ledger_close(&ledger);
    if (rc != RC_OK) {
        return rc;
    }
    rc = agreement_fits_site(a, &site->schema, site->name, &misfit);
    if (rc == RC_OK) {
        rc = offer_model(site, &a->study, &misfit);
    }
    if (rc == RC_NOMEM) {
        return error_set(err, rc, "%s", misfit.text);
    }
    if (rc != RC_OK) {
        (void)snprintf(why, 240, "%s", misfit.text);
    } else if (!f->allowed) {
        (void)snprintf(why, 240, "%s", f->reason);
    }
    return RC_OK;
}

static void show(const struct site *site, const struct agreement *a,
                 const struct ledger_forecast *f)
{
    const struct study *s = &a->study;
    char hex[HASH_HEX];
    hash_hex(&a->study_hash, hex);
    (void)printf("study '%s' (%.12s): %s model, %zu rounds of %zu steps, %zu features\n", s->name,
                 hex, s->model.name, s->rounds, s->local.steps, a->schema.n_features);
    (void)printf(
        "  costs    epsilon %.6g at delta %g (%s noise, multiplier %.4f, sampling rate %.6g)\n",
        f->epsilon_study, s->privacy.delta, study_noise_name(s->privacy.noise),
        s->privacy.noise_multiplier, s->privacy.sample_rate);
    (void)printf("  ledger   epsilon %.6g spent, %.6g after it, of %.6g at delta %g\n",
                 f->epsilon_spent, f->epsilon_after, site->policy.max_epsilon_total,
                 site->policy.max_delta_per_study);
    if (s->masked) {
        char masks[ROSTER_WHY];
        offer_masks(s, masks);
        (void)printf("  masked   %s\n", masks);
        roster_obstacle(site->folder, s, study_find_site(s, site->name), masks);
        if (masks[0] != '\0') {
            (void)printf("  waits    %s\n", masks);
        }
    }
    if (s->privacy.noise == STUDY_NOISE_SHARED) {
        (void)printf("  shared   that epsilon needs %zu sites that add their share of the noise; "
                     "against who reads models only it is %.6g\n",
                     s->min_sites - s->max_colluding, f->epsilon_reader);
    }
    (void)printf("  sites   ");
    for (size_t i = 0; i < s->n_sites && i < 12; i++) {
        (void)printf(" %s", s->site[i].name);
    }
    (void)printf("%s (%zu; a round counts with %zu)\n", s->n_sites > 12 ? " ..." : "", s->n_sites,
                 s->quorum);
}

static void say_approved(const struct words *w, const struct site *site, const struct study *s,
                         const char *by)
{
    char cards[ROSTER_WHY] = "";
    if (s->masked) {
        roster_obstacle(site->folder, s, study_find_site(s, site->name), cards);
    }
    (void)printf("approved by %s. The agent takes part %s; to take it back: wardround-agent "
                 "withdraw %s %s\n",
                 by, cards[0] == '\0' ? "from now on" : "once those cards are confirmed", w->folder,
                 s->name);
}

static enum rc say_json(const struct agreement *a, const struct ledger_forecast *f, const char *why,
                        bool approved, const char *by, struct error *err)
{
    const struct study *s = &a->study;
    char hex[HASH_HEX];
    hash_hex(&a->study_hash, hex);
    json_t *sites = json_array();
    for (size_t i = 0; i < s->n_sites; i++) {
        (void)json_array_append_new(sites, json_string(s->site[i].name));
    }
    json_t *o = json_object();
    (void)json_object_set_new(o, "study", json_string(s->name));
    (void)json_object_set_new(o, "hash", json_string(hex));
    (void)json_object_set_new(o, "rounds", json_integer((json_int_t)s->rounds));
    (void)json_object_set_new(o, "sites", sites);
    (void)json_object_set_new(o, "epsilon_study", report_number(f->epsilon_study));
    (void)json_object_set_new(o, "epsilon_reader", report_number(f->epsilon_reader));
    (void)json_object_set_new(o, "noise", json_string(study_noise_name(s->privacy.noise)));
    (void)json_object_set_new(o, "masked", json_boolean(s->masked));
    (void)json_object_set_new(o, "delta", json_real(s->privacy.delta));
    (void)json_object_set_new(o, "sample_rate", json_real(s->privacy.sample_rate));
    (void)json_object_set_new(o, "steps", json_integer((json_int_t)study_steps(s)));
    (void)json_object_set_new(o, "noise_multiplier", json_real(s->privacy.noise_multiplier));
    (void)json_object_set_new(o, "epsilon_spent", report_number(f->epsilon_spent));
    (void)json_object_set_new(o, "epsilon_after", report_number(f->epsilon_after));
    (void)json_object_set_new(o, "approved", json_boolean(approved));
    (void)json_object_set_new(o, "by", json_string(approved ? by : ""));
    (void)json_object_set_new(o, "reason", json_string(why));
    return report_print(o, err);
}

/* @param[out] yes false: something stands in the way, and it was said */
static enum rc approve(const struct words *w, const struct site *site, struct consent *consent,
                       const struct hash *study, bool *yes, struct error *err)
{
    struct agreement a = {0};
    struct ledger_forecast f = {0};
    char why[240];
    char by[CONSENT_BY_MAX];
    char hex[HASH_HEX];
    struct hash same;

    enum rc rc = offer_open(site, study, &a, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = foretell(site, &a, &f, why, err);
    if (rc == RC_OK && !w->json) {
        show(site, &a, &f);
    }
    *yes = rc == RC_OK && why[0] == '\0';
    people_name(by, sizeof by);
    hash_hex(study, hex);
    if (*yes) { /* by the whole hash: what was shown is what is approved */
        rc = consent_decide(consent, hex, CONSENT_APPROVED, by, clock_wall_ms(), &same, err);
    }
    if (rc == RC_OK && w->json) {
        rc = say_json(&a, &f, why, *yes, by, err);
    } else if (rc == RC_OK && *yes) {
        say_approved(w, site, &a.study, by);
    } else if (rc == RC_OK) {
        (void)printf("not approved: %s\nIt waits on: mend that and approve it again, or say no: "
                     "wardround-agent withdraw %s %s\n",
                     why, w->folder, a.study.name);
    }
    agreement_release(&a);
    return rc;
}

enum rc command_approve(const struct words *w, bool *yes, struct config_issues *issues,
                        struct error *err)
{
    struct site site = {0};
    struct consent *consent = NULL;
    struct offer x = {0};
    struct hash study;

    *yes = true;
    enum rc rc = site_open(w->folder, &site, issues, err);
    if (rc == RC_OK) {
        rc = site_consent(site.folder, &consent, err);
    }
    if (rc == RC_OK && w->arg == NULL) {
        rc = list(w, consent, err);
        goto out;
    }
    if (rc == RC_OK) {
        rc = offer_find(consent, w->arg, &x, err);
    }
    if (rc == RC_OK && x.n == 1 && !x.over) {
        rc = approve(w, &site, consent, &x.study, yes, err);
    } else if (rc == RC_OK) { /* has the sentence for none, for several, for withdrawn and ended */
        rc = consent_decide(consent, w->arg, CONSENT_APPROVED, "nobody", 0, &study, err);
    }
out:
    consent_close(&consent);
    site_release(&site);
    return rc;
}
