/* The study in hand: verified, offered to people, joined, ended. Nothing that the gateway or the
 * coordinator says can join a study that its signature, this site's policy and a person (or a line of
 * site.yaml) have not all allowed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/app/offer.h"
#include "agent/app/trainer_internal.h"
#include "agent/app/whole_file.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/checkpoint/checkpoint.h"

static enum rc answer(struct trainer *t, enum wire_policy policy, const char *reason,
                      struct error *err)
{
    struct wire_message m = {.kind = WIRE_POLICY,
                             .study = t->study.agreement.study_hash,
                             .policy = policy};
    if (policy != WIRE_POLICY_YES) {
        wire_set_text(&m, reason);
    }
    return trainer_say(t, &m, NULL, 0, err);
}

/* Logged when it changes; the person who reads it can do something about it. */
static enum rc wait_for_people(struct trainer *t, const char *why, struct error *err)
{
    const bool again = t->study.pending && strcmp(t->study.waits, why) == 0;
    t->study.pending = true;
    (void)snprintf(t->study.waits, sizeof t->study.waits, "%s", why);
    if (again) {
        return RC_OK;
    }
    log_event(LOG_LEVEL_WARN, "study_waits", "study=%s reason=\"%s\"",
              t->study.agreement.study.name, why);
    return answer(t, WIRE_POLICY_PENDING, why, err);
}

static enum rc refuse(struct trainer *t, const char *why, struct error *err)
{
    t->study.pending = false;
    log_event(LOG_LEVEL_WARN, "study_declined", "study=%s reason=\"%s\"",
              t->study.agreement.study.name, why);
    return answer(t, WIRE_POLICY_NO, why, err);
}

/* ---- the signed bytes ------------------------------------------------------------------------ */

static enum rc agreement_path(const struct trainer *t, const struct hash *study,
                              char path[SITE_PATH_MAX], struct error *err)
{
    char hex[HASH_HEX];
    char name[HASH_HEX + 32];
    hash_hex(study, hex);
    (void)snprintf(name, sizeof name, "studies/%s.agreement", hex);
    return site_path(t->folder, name, path, err);
}

/* Proof of what was asked for, and by whom; and what a trainer that was restarted reads. */
static enum rc keep_agreement(const struct trainer *t, const void *raw, size_t raw_n,
                              struct error *err)
{
    char path[SITE_PATH_MAX];
    const enum rc rc = agreement_path(t, &t->study.agreement.study_hash, path, err);
    return rc == RC_OK ? whole_file_write(path, raw, raw_n, err) : rc;
}

static enum rc load_agreement(struct trainer *t, const struct hash *study, struct error *err)
{
    char path[SITE_PATH_MAX];
    unsigned char *raw = NULL;
    size_t n = 0;
    struct agreement a = {0};
    enum rc rc = agreement_path(t, study, path, err);
    if (rc == RC_OK) {
        rc = whole_file_read(path, AGREEMENT_BYTES_MAX, &raw, &n, err);
    }
    if (rc == RC_OK) {
        rc = agreement_verify(raw, n, &t->coordinator.sign, &a, err);
    }
    free(raw);
    if (rc != RC_OK) {
        return rc;
    }
    if (!hash_equal(&a.study_hash, study)) {
        agreement_release(&a);
        return error_set(err, RC_FORMAT, "'%s' holds another study than its name says", path);
    }
    study_forget(t);
    t->study.agreement = a;
    t->study.known = true;
    return RC_OK;
}

/* For the coordinator: with the words that the person gave for it, if any. */
static void withdrawal_text(struct trainer *t, char text[240])
{
    char why[CONSENT_REASON_MAX] = "";
    struct error ignored = {0};
    error_ignore(consent_reason(t->consent, &t->study.agreement.study_hash, why, &ignored));
    (void)snprintf(text, 240, "the hospital has withdrawn from this study%s%s",
                   why[0] != '\0' ? ": " : "", why);
}

/* ---- deciding -------------------------------------------------------------------------------- */

static bool auto_approved(const struct trainer *t)
{
    const struct study *s = &t->study.agreement.study;
    for (size_t i = 0; i < t->site.n_auto; i++) {
        if (strcmp(t->site.auto_approve[i].coordinator, t->coordinator.name) == 0 &&
            s->privacy.epsilon <= t->site.auto_approve[i].max_epsilon) {
            return true;
        }
    }
    return false;
}

/* What stands between this study and the site, whatever people decide; "" if nothing does. */
static enum rc obstacle(struct trainer *t, char why[240], struct error *err)
{
    const struct agreement *a = &t->study.agreement;
    struct error fault = {0};
    struct ledger_forecast f = {0};
    why[0] = '\0';
    enum rc rc = agreement_fits_site(a, &t->site.schema, t->site.name, &fault);
    if (rc == RC_OK) {
        rc = offer_model(&t->site, &a->study, &fault);
    }
    if (rc == RC_NOMEM) { /* says nothing of the study, and a decline would be final */
        return error_set(err, rc, "%s", fault.text);
    }
    if (rc != RC_OK) {
        (void)snprintf(why, 240, "%s", fault.text);
        return RC_OK;
    }
    t->study.index = study_find_site(&a->study, t->site.name);
    rc = ledger_what_if(t->ledger, &a->study, &a->study_hash, t->data->n_patients, &f, &fault);
    if (rc != RC_OK && rc != RC_INVALID) {
        return error_set(err, rc, "%s", fault.text);
    }
    if (rc == RC_INVALID || !f.allowed) {
        (void)snprintf(why, 240, "%s", rc == RC_INVALID ? fault.text : f.reason);
    }
    return RC_OK;
}

static enum rc open_model(struct trainer *t, struct error *err)
{
    if (t->study.model_open) {
        return RC_OK;
    }
    const enum rc rc =
        model_open(&t->study.agreement.study.model, &t->site.schema, &t->study.model, err);
    t->study.model_open = rc == RC_OK;
    return rc;
}

static enum rc join(struct trainer *t, struct error *err)
{
    const struct agreement *a = &t->study.agreement;
    struct error refusal = {0};
    enum rc rc = ledger_join(t->ledger, &a->study, &a->study_hash, t->data->n_patients,
                             clock_wall_ms(), &refusal);
    if (rc == RC_LIMIT || rc == RC_STATE || rc == RC_INVALID) {
        return refuse(t, refusal.text, err);
    }
    if (rc != RC_OK) {
        return error_set(err, rc, "%s", refusal.text);
    }
    rc = open_model(t, err);
    if (rc != RC_OK) {
        return rc;
    }
    t->study.pending = false;
    t->study.joined = true;
    log_event(LOG_LEVEL_INFO, "study_joined", "study=%s rounds=%zu epsilon=%g delta=%g",
              a->study.name, a->study.rounds, a->study.privacy.epsilon, a->study.privacy.delta);
    const char *lacking = agreement_not_said(a, &t->site.schema, t->site.name);
    if (lacking != NULL) { /* no obstacle: the model is a little worse than it could be */
        log_event(LOG_LEVEL_WARN, "study_expects_more",
                  "study=%s modality=%s reason=\"this site has no files of it; its coordinator can "
                  "write lacks: [%s] for it\"",
                  a->study.name, lacking, lacking);
    }
    return answer(t, WIRE_POLICY_YES, "", err);
}

/* A line of site.yaml may stand for a person; it is recorded as one. */
static enum rc let_policy_approve(struct trainer *t, enum consent_state *state, struct error *err)
{
    struct hash which;
    char hex[HASH_HEX];
    if (*state != CONSENT_OFFERED || !auto_approved(t)) {
        return RC_OK;
    }
    hash_hex(&t->study.agreement.study_hash, hex);
    const enum rc rc =
        consent_decide(t->consent, hex, CONSENT_APPROVED, "policy: auto_approve in site.yaml",
                       clock_wall_ms(), &which, err);
    *state = rc == RC_OK ? CONSENT_APPROVED : *state;
    return rc;
}

/* The coordinator remembers an update of ours that this ledger does not hold: everything here was put back
 * from an old copy, and what was spent since is forgotten. Not a reason to decline for ever: a person can
 * put back the newest copy. */
static enum rc forgotten(struct trainer *t, bool *yes, struct error *err)
{
    static const struct hash none = {{0}};
    bool found = true;
    const enum rc rc = hash_equal(&t->study.anchor, &none)
                           ? RC_OK
                           : ledger_has_anchor(t->ledger, &t->study.anchor, &found, err);
    *yes = !found;
    return rc;
}

static enum rc decide(struct trainer *t, struct error *err)
{
    const struct agreement *a = &t->study.agreement;
    enum consent_state state = CONSENT_UNKNOWN;
    char why[240];
    bool lost = false;
    enum rc rc = consent_offer(t->consent, &a->study_hash, a->study.name, t->coordinator.name,
                               a->document, clock_wall_ms(), err);
    if (rc == RC_STATE) {
        return refuse(t, err->text, err);
    }
    if (rc == RC_OK) {
        rc = consent_state(t->consent, &a->study_hash, &state, err);
    }
    if (rc == RC_OK) {
        rc = obstacle(t, why, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (state == CONSENT_WITHDRAWN) {
        t->study.withdrawn_said = true;
        withdrawal_text(t, why);
        return refuse(t, why, err);
    }
    rc = forgotten(t, &lost, err);
    if (rc != RC_OK || lost) {
        return rc != RC_OK
                   ? rc
                   : wait_for_people(t,
                                     "the coordinator holds an update of this site that its "
                                     "ledger does not know: an old copy was put back; put "
                                     "back the newest copy of the whole folder",
                                     err);
    }
    if (why[0] == '\0' && t->study.agreement.study.masked) {
        masking_obstacle(t, why); /* cards may still come: nothing is declined for it */
        if (why[0] != '\0') {
            return wait_for_people(t, why, err);
        }
    }
    if (why[0] == '\0') {
        rc = let_policy_approve(t, &state, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (state == CONSENT_APPROVED) { /* policy says no to what a person said yes to: it is no */
        return why[0] == '\0' ? join(t, err) : refuse(t, why, err);
    }
    if (why[0] == '\0') {
        (void)snprintf(why, sizeof why,
                       "a person must read and approve it: wardround-agent approve %s %s",
                       t->folder, a->study.name);
    }
    return wait_for_people(t, why, err);
}

enum rc study_arrived(struct trainer *t, const struct wire_message *m, const void *raw,
                      size_t raw_n, struct error *err)
{
    struct agreement a = {0};
    struct error fault = {0};
    enum rc rc = agreement_verify(raw, raw_n, &t->coordinator.sign, &a, &fault);
    if (rc == RC_NOMEM) {
        return error_set(err, rc, "%s", fault.text);
    }
    if (rc == RC_OK && !hash_equal(&a.study_hash, &m->study)) {
        agreement_release(&a);
        rc = error_set(&fault, RC_AUTH, "the study is another one than its message names");
    }
    if (rc != RC_OK) { /* without a verified study there is nothing to answer about */
        refusals_note(&t->refusals, REFUSED_AGREEMENT, fault.text);
        return RC_OK;
    }
    const bool same = t->study.known && hash_equal(&a.study_hash, &t->study.agreement.study_hash);
    if (same) {
        agreement_release(&a);
    } else {
        round_release(
            t); /* nothing of one study may be committed in another; nobody waits for it */
        study_forget(t);
        t->study.agreement = a;
        t->study.known = true;
    }
    t->study.anchor = m->anchor;
    t->study.pending = false; /* a question gets an answer, also when it is the same again */
    if (!t->study.joined) {   /* people may have changed site.yaml, cohort or policy since */
        rc = trainer_reopen(t, &fault);
        if (rc != RC_OK) {
            return wait_for_people(t, fault.text, err);
        }
    }
    rc = keep_agreement(t, raw, raw_n, err);
    return rc == RC_OK ? decide(t, err) : rc;
}

/* ---- people change their mind ---------------------------------------------------------------- */

bool study_is_withdrawn(struct trainer *t)
{
    enum consent_state state = CONSENT_UNKNOWN;
    struct error ignored = {0};
    return t->study.known && !t->study.withdrawn_said &&
           consent_state(t->consent, &t->study.agreement.study_hash, &state, &ignored) == RC_OK &&
           state == CONSENT_WITHDRAWN;
}

static enum rc withdraw(struct trainer *t, struct error *err)
{
    struct error why = {0};
    const struct hash *study = &t->study.agreement.study_hash;
    const enum rc rc = ledger_end_study(t->ledger, study, clock_wall_ms(), &why);
    if (rc != RC_OK && rc != RC_STATE) { /* STATE: it was never joined */
        return error_set(err, rc, "%s", why.text);
    }
    round_release(t);
    masking_forget(t);
    t->study.withdrawn_said = true;
    t->study.joined = false;
    t->study.pending = false;
    log_event(LOG_LEVEL_WARN, "study_withdrawn", "study=%s", t->study.agreement.study.name);
    struct wire_message m = {.kind = WIRE_WITHDRAWN, .study = *study};
    char text[240];
    withdrawal_text(t, text);
    wire_set_text(&m, text);
    return trainer_say(t, &m, NULL, 0, err);
}

enum rc study_poll_consent(struct trainer *t, struct error *err)
{
    if (study_is_withdrawn(t)) {
        return withdraw(t, err);
    }
    if (!t->study.pending) {
        return RC_OK;
    }
    struct error fault = {0};
    const enum rc rc = trainer_reopen(t, &fault);
    return rc == RC_OK ? decide(t, err) : wait_for_people(t, fault.text, err);
}

/* ---- the end --------------------------------------------------------------------------------- */

static enum rc say_goodbye(struct trainer *t, const struct hash *study, struct error *err)
{
    struct wire_message m = {.kind = WIRE_GOODBYE, .study = *study};
    return trainer_say(t, &m, NULL, 0, err);
}

static enum rc save_model(struct trainer *t, const struct wire_message *done, struct error *err)
{
    const struct agreement *a = &t->study.agreement;
    enum rc rc = open_model(t, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (done->tensor.bytes != t->study.model.table.S * sizeof(real)) {
        return error_set(err, RC_FORMAT, "the final model has another size than study '%s' says",
                         a->study.name);
    }
    t->final.wanted = true;
    t->final.round = done->round;
    t->final.tensor = done->tensor;
    return transfer_in_open(&t->final.in, NULL, &done->tensor.hash, done->tensor.bytes,
                            clock_monotonic_ms(), err);
}

enum rc study_ended(struct trainer *t, const struct wire_message *m, struct error *err)
{
    struct error why = {0};
    enum rc rc = round_keep_receipt(t, err); /* who is told GOODBYE may stop us */
    if (rc != RC_OK) {
        return rc;
    }
    rc = ledger_end_study(t->ledger, &m->study, clock_wall_ms(), &why);
    if (rc != RC_OK && rc != RC_STATE) {
        return error_set(err, rc, "%s", why.text);
    }
    rc = consent_end(t->consent, &m->study, m->done, clock_wall_ms(), err);
    if (rc != RC_OK) {
        return rc;
    }
    round_release(t);
    masking_forget(t);
    if (!t->study.known || !hash_equal(&m->study, &t->study.agreement.study_hash)) {
        rc = load_agreement(t, &m->study, &why);
        if (rc != RC_OK) { /* a study that never got as far as being shown to us */
            return say_goodbye(t, &m->study, err);
        }
    }
    t->study.joined = false;
    t->study.pending = false;
    if (!m->done) {
        return say_goodbye(t, &m->study, err);
    }
    rc = save_model(t, m, &why);
    if (rc != RC_OK) {
        log_event(LOG_LEVEL_ERROR, "model_not_fetched", "reason=\"%s\"", why.text);
        return say_goodbye(t, &m->study, err);
    }
    return RC_OK;
}

void study_forget(struct trainer *t)
{
    if (t->study.model_open) {
        model_release(&t->study.model);
    }
    agreement_release(&t->study.agreement);
    masking_forget(t);
    t->study = (struct trainer_study){0};
}
