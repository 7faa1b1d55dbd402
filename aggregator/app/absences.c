/* Why a site is not among those who answered, for the lines of a round and the outcome that sites hear.
 * Reasons that were kept go first; the others come from what was heard of the site. */
#include <stdio.h>
#include <string.h>

#include "aggregator/app/coordinator_internal.h"
#include "aggregator/app/report.h"

static int64_t seconds_since(const struct coordinator *c, int64_t then_ms)
{
    return (c->now_ms - then_ms) / 1000;
}

/* A study that was over when this program began is not told anew by what happened to cards since. */
bool absence_is_revoked(const struct coordinator *c, size_t site)
{
    const struct peer *p = &c->peer[site];
    return p->known && !p->allowed && (c->over_since_ms == 0 || p->revoked_ms <= c->over_since_ms);
}

/* Of a site that has not answered the study. */
static void unanswered(const struct coordinator *c, size_t site, char out[REASON_MAX])
{
    const struct site *s = &c->site[site];
    if (absence_is_revoked(c, site)) {
        (void)snprintf(out, REASON_MAX, "%s", REPORT_REVOKED);
    } else if (c->over_since_ms != 0) {
        (void)snprintf(out, REASON_MAX, "%s", REPORT_NO_ANSWER);
    } else if (!c->peer[site].known) {
        (void)snprintf(out, REASON_MAX, "%s", REPORT_NOT_ENROLLED);
    } else if (!s->heard) {
        (void)snprintf(out, REASON_MAX, "%s", REPORT_NEVER_HEARD);
    } else {
        (void)snprintf(out, REASON_MAX, "%s; heard of %lld s ago", REPORT_NOT_ACCEPTED,
                       (long long)seconds_since(c, s->heard_ms));
    }
}

void absence_at_deadline(const struct coordinator *c, size_t site, char out[REASON_MAX])
{
    static const char late[] = "no answer before the deadline";
    const struct site *s = &c->site[site];
    if (absence_is_revoked(c, site)) {
        (void)snprintf(out, REASON_MAX, "%s", REPORT_REVOKED);
    } else if (s->upload.state == UPLOAD_RUNNING) {
        (void)snprintf(out, REASON_MAX, "%s; its update was on its way, %llu of %llu chunks", late,
                       (unsigned long long)s->upload.in.held,
                       (unsigned long long)s->upload.in.chunks);
    } else if (s->upload.state == UPLOAD_QUEUED) {
        (void)snprintf(out, REASON_MAX, "%s; its update waited to be fetched", late);
    } else if (s->progress_round == c->machine.round) {
        (void)snprintf(out, REASON_MAX, "%s; last progress: step %llu of %llu, %lld s ago", late,
                       (unsigned long long)s->step, (unsigned long long)s->steps,
                       (long long)seconds_since(c, s->moved_ms));
    } else if (s->passed_over && s->heard) {
        (void)snprintf(out, REASON_MAX, "silent, and not waited for; last heard of %lld s ago",
                       (long long)seconds_since(c, s->heard_ms));
    } else if (s->heard) {
        (void)snprintf(out, REASON_MAX, "%s; last heard of %lld s ago", late,
                       (long long)seconds_since(c, s->heard_ms));
    } else {
        (void)snprintf(out, REASON_MAX, "%s; %s", late, REPORT_NEVER_HEARD);
    }
}

enum rc absence_in_round(struct coordinator *c, uint64_t round, size_t site, char out[REASON_MAX],
                         struct error *err)
{
    enum round_member answer = ROUND_UNKNOWN;
    char said[REASON_MAX] = "";
    enum rc rc = registry_absence(c->registry, coordinator_study(c), round, site, out, err);
    if (rc == RC_OK) {
        rc = registry_member(c->registry, coordinator_study(c), site, &answer, said, err);
    }
    if (rc != RC_OK || strcmp(out, "did not answer") != 0) {
        return rc; /* somebody said why */
    }
    if (answer == ROUND_UNKNOWN) {
        unanswered(c, site, out);
    } else if (answer == ROUND_ACCEPTED && c->machine.state == ROUND_FAILED &&
               round == c->machine.round) {
        /* Who missed the deadline has its reason in the registry. So the round ended before it. A masked
         * one may be lost after a site had answered: the study's reason names who had not. */
        (void)snprintf(out, REASON_MAX, "%s",
                       masked_is(c) ? "no sum was opened" : "had not answered yet");
    }
    return RC_OK;
}
