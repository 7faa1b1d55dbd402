/* What happens because time passes, or because the coordinator's people decided something. */
#include <stdio.h>

#include "aggregator/app/coordinator_internal.h"
#include "aggregator/app/report.h"
#include "common/base/log.h"

static bool waited_for(const struct coordinator *c, size_t i)
{
    return c->machine.member[i] == ROUND_ACCEPTED && c->machine.part[i] == ROUND_WAITED_FOR;
}

/* The reasons become durable just before the machine decides without these sites: if we die between,
 * a restart finds that they sit the round out and decides the same. */
static enum rc time_is_up(struct coordinator *c, struct error *err)
{
    const struct round_machine *m = &c->machine;
    for (size_t i = 0; m->state == ROUND_OPEN && i < c->n_sites; i++) {
        if (!waited_for(c, i)) {
            continue;
        }
        char reason[REASON_MAX];
        absence_at_deadline(c, i, reason);
        const enum rc rc = registry_keep_part(c->registry, coordinator_study(c), m->round, i, NULL,
                                              0, reason, c->wall_ms, err);
        if (rc != RC_OK) {
            return rc;
        }
        log_event(LOG_LEVEL_WARN, "site_missed_deadline", "site=%s round=%llu reason=\"%s\"",
                  site_name(c, i), (unsigned long long)m->round, reason);
    }
    return coordinator_step(c, &(struct said){.event = ROUND_TIMED_OUT}, err);
}

/* Nobody waits for a site whose card was revoked, as long as the quorum does not need it: with new
 * keys it may be back before the deadline. */
static enum rc skip_revoked(struct coordinator *c, struct error *err)
{
    const struct round_machine *m = &c->machine;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && m->state == ROUND_OPEN && i < c->n_sites; i++) {
        if (!waited_for(c, i) || c->peer[i].allowed) {
            continue;
        }
        size_t left = round_contributors(m);
        for (size_t k = 0; k < c->n_sites; k++) {
            left += waited_for(c, k) && k != i;
        }
        if (left >= m->quorum) {
            const struct said said = {
                .event = ROUND_GOT_CANNOT, .site = i, .round = m->round, .reason = REPORT_REVOKED};
            uploads_drop(c, i, false);
            rc = coordinator_step(c, &said, err);
        }
    }
    return rc;
}

/* Alive is whose counter moves, not who answers. For the log; the deadline decides. */
static void watch_progress(struct coordinator *c)
{
    for (size_t i = 0; c->machine.state == ROUND_OPEN && i < c->n_sites; i++) {
        struct site *s = &c->site[i];
        if (waited_for(c, i) && !s->stalled && c->now_ms - s->moved_ms >= SITE_STALLED_MS) {
            s->stalled = true;
            c->live_due = true;
            log_event(LOG_LEVEL_WARN, "site_stalled", "site=%s round=%llu step=%llu of=%llu",
                      site_name(c, i), (unsigned long long)c->machine.round,
                      (unsigned long long)(s->progress_round == c->machine.round ? s->step : 0),
                      (unsigned long long)(s->progress_round == c->machine.round ? s->steps : 0));
        }
    }
}

enum rc coordinator_timers(struct coordinator *c, struct error *err)
{
    const struct round_machine *m = &c->machine;
    enum rc rc = RC_OK;
    if (c->abort_wanted && (m->state == ROUND_JOINING || m->state == ROUND_OPEN)) {
        c->abort_wanted = false;
        (void)snprintf(c->why, sizeof c->why, "aborted by the coordinator%s%s",
                       c->abort_reason[0] != '\0' ? ": " : "", c->abort_reason);
        rc = coordinator_step(c, &(struct said){.event = ROUND_ABORTED}, err);
    }
    if (rc == RC_OK) {
        rc = skip_revoked(c, err);
    }
    if (rc == RC_OK) {
        rc = masked_timers(c, err);
    }
    if (rc == RC_OK && c->now_ms >= m->deadline_ms) {
        rc = time_is_up(c, err);
    }
    if (rc == RC_OK) {
        rc = evaluations_timers(c, err);
    }
    watch_progress(c);
    return rc;
}
