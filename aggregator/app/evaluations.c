/* An evaluation that a person has asked for (`wardround-aggregator evaluate`), carried out beside a study that
 * has ended: every site that keeps the finished model is asked until it has answered, or the deadline is
 * there. What was answered is kept before anything follows from it, so a kill at any moment only delays. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/app/coordinator_internal.h"
#include "aggregator/app/report.h"
#include "common/base/log.h"
#include "common/base/text.h"

enum { ASK_AGAIN_MS = 2000 };

bool evaluations_open(const struct coordinator *c)
{
    return c->evaluating.open;
}

static RC note_answered(void *ctx, size_t site, const void *answer, size_t n, const char *reason,
                        struct error *err)
{
    struct coordinator *c = ctx;
    (void)answer;
    (void)n;
    (void)reason;
    (void)err;
    if (site < c->n_sites) {
        c->site[site].scored = true;
    }
    return RC_OK;
}

enum rc evaluations_load(struct coordinator *c, struct error *err)
{
    struct evaluating *e = &c->evaluating;
    struct registry_evaluation newest = {.asked_ms = 0};
    struct error fault = {0};
    bool found = false;
    enum rc rc =
        registry_newest_evaluation(c->registry, coordinator_study(c), &found, &newest, err);
    if (rc != RC_OK || !found || newest.closed_ms != 0 ||
        (e->open && hash_equal(&e->kept.request, &newest.request))) {
        return rc;
    }
    if (evaluation_request_verify(newest.bytes, newest.n, &c->card.sign, &e->request, &fault) !=
        RC_OK) { /* of a key that was replaced: no site would listen */
        log_event(LOG_LEVEL_ERROR, "evaluation_not_ours", "reason=\"%s\"", fault.text);
        return RC_OK;
    }
    e->kept = newest;
    e->open = true;
    e->deadline_ms = c->now_ms + (newest.deadline_ms - c->wall_ms);
    for (size_t i = 0; i < c->n_sites; i++) {
        c->site[i].scored = false;
        c->site[i].ask_ms = 0;
    }
    log_event(LOG_LEVEL_INFO, "evaluation_opened", "epsilon=%g left_ms=%" PRId64,
              e->request.epsilon, e->deadline_ms - c->now_ms);
    return registry_each_answer(c->registry, &newest.request, note_answered, c, err);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* @param answer NULL: none, for this reason */
static RC keep(struct coordinator *c, size_t site, const void *answer, size_t n, const char *reason,
               struct error *err)
{
    struct error fault = {0};
    char why[REASON_MAX];
    (void)snprintf(why, sizeof why, "%s", reason);
    text_make_printable(why);
    const enum rc rc = registry_keep_answer(c->registry, &c->evaluating.kept.request, site, answer,
                                            n, why, c->wall_ms, &fault);
    if (rc == RC_STATE) {
        refuse(c, REFUSED_OTHER, site_name(c, site), fault.text);
        return RC_OK;
    }
    if (rc != RC_OK) {
        return error_set(err, rc, "%s", fault.text);
    }
    c->site[site].scored = true;
    log_event(LOG_LEVEL_INFO, "evaluation_answered", "site=%s scores=%s reason=\"%s\"",
              site_name(c, site), answer != NULL ? "yes" : "no", why);
    return RC_OK;
}

enum rc evaluations_heard(struct coordinator *c, size_t site, const struct wire_message *m,
                          const void *raw, size_t raw_n, struct error *err)
{
    const struct evaluating *e = &c->evaluating;
    struct evaluation_counts counts;
    struct error fault = {0};
    if (!e->open || !hash_equal(&m->evaluation, &e->kept.request)) {
        return RC_OK; /* the answer to a question that was repeated, and is settled */
    }
    if (m->kind == WIRE_UNSCORED) {
        return c->site[site].scored ? RC_OK : keep(c, site, NULL, 0, m->text, err);
    }
    if (evaluation_answer_unpack(raw, raw_n, e->request.bins.n, &counts, &fault) != RC_OK) {
        refuse(c, REFUSED_MALFORMED, site_name(c, site), fault.text);
        return RC_OK;
    }
    return keep(c, site, raw, raw_n, "", err);
}

/* ---- time ------------------------------------------------------------------------------------ */

static bool is_asked(const struct coordinator *c, size_t site)
{
    return c->machine.member[site] == ROUND_ACCEPTED && c->peer[site].allowed;
}

/* Whoever has said GOODBYE keeps the model that the question is about. */
static RC ask(struct coordinator *c, struct error *err)
{
    const struct registry_evaluation *kept = &c->evaluating.kept;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < c->n_sites; i++) {
        struct site *s = &c->site[i];
        if (!is_asked(c, i) || s->scored || !s->goodbye || c->now_ms < s->ask_ms) {
            continue;
        }
        struct wire_message m = {.kind = WIRE_EVALUATE, .evaluation = kept->request};
        s->ask_ms = c->now_ms + ASK_AGAIN_MS;
        rc = answer_send(c, i, &m, kept->bytes, kept->n, NULL, err);
    }
    return rc;
}

static void absence(const struct coordinator *c, size_t site, char out[REASON_MAX])
{
    const struct site *s = &c->site[site];
    if (c->machine.member[site] == ROUND_MEMBER_DECLINED) {
        (void)snprintf(out, REASON_MAX, "has declined the study");
    } else if (c->machine.member[site] != ROUND_ACCEPTED) {
        (void)snprintf(out, REASON_MAX, "%s", REPORT_NO_ANSWER);
    } else if (!c->peer[site].allowed) {
        (void)snprintf(out, REASON_MAX, "%s", REPORT_REVOKED);
    } else if (!s->heard) {
        (void)snprintf(out, REASON_MAX, "%s", REPORT_NEVER_HEARD);
    } else {
        (void)snprintf(out, REASON_MAX, "no answer before the deadline; last heard of %lld s ago",
                       (long long)((c->now_ms - s->heard_ms) / 1000));
    }
}

static RC count_scores(void *ctx, size_t site, const void *answer, size_t n, const char *reason,
                       struct error *err)
{
    (void)site;
    (void)n;
    (void)reason;
    (void)err;
    *(size_t *)ctx += answer != NULL;
    return RC_OK;
}

static RC close_it(struct coordinator *c, struct error *err)
{
    struct evaluating *e = &c->evaluating;
    char detail[128];
    size_t n = 0;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < c->n_sites; i++) {
        if (!c->site[i].scored) {
            char why[REASON_MAX];
            absence(c, i, why);
            rc = keep(c, i, NULL, 0, why, err);
        }
    }
    if (rc == RC_OK) {
        rc = registry_each_answer(c->registry, &e->kept.request, count_scores, &n, err);
    }
    if (rc == RC_OK) {
        (void)snprintf(detail, sizeof detail, "%zu of %zu contributed; epsilon %g", n, c->n_sites,
                       e->request.epsilon);
        rc = registry_close_evaluation(c->registry, &e->kept.request, detail, c->wall_ms, err);
    }
    if (rc == RC_OK) {
        e->open = false;
        log_event(LOG_LEVEL_INFO, "evaluation_closed", "contributed=%zu of=%zu", n, c->n_sites);
        tell_evaluated(c, n);
    }
    return rc;
}

enum rc evaluations_timers(struct coordinator *c, struct error *err)
{
    size_t waiting = 0;
    if (!c->evaluating.open || !coordinator_ended(c)) {
        return RC_OK;
    }
    for (size_t i = 0; i < c->n_sites; i++) {
        waiting += is_asked(c, i) && !c->site[i].scored;
    }
    return waiting == 0 || c->now_ms >= c->evaluating.deadline_ms ? close_it(c, err) : ask(c, err);
}
