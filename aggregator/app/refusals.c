/* What was not listened to. A refusal is no proof of a lie (a delayed copy is refused, too), so no
 * peer is dropped for one; it is counted by kind, and the log hears of it now and then. */
#include <assert.h>

#include "aggregator/app/coordinator_internal.h"
#include "common/base/log.h"

enum { LOG_EVERY_MS = 10000 };

static const struct {
    const char *name, *event;
} refusals[] = {
    [REFUSED_SIGNATURE] = {"signature", "refused_signature"},
    [REFUSED_MALFORMED] = {"malformed", "refused_malformed"},
    [REFUSED_VERSION] = {"version", "refused_version"},
    [REFUSED_ADDRESS] = {"address", "refused_address"},
    [REFUSED_REPLAY] = {"replay", "refused_replay"},
    [REFUSED_KIND] = {"kind", "refused_kind"},
    [REFUSED_STUDY] = {"study", "refused_study"},
    [REFUSED_ROSTER] = {"roster", "refused_stranger"},
    [REFUSED_PROTOCOL] = {"protocol", "refused_by_protocol"},
    [REFUSED_SIZE] = {"size", "refused_update_size"},
    [REFUSED_OTHER] = {"other_update", "refused_other_update"},
    [REFUSED_CHUNK] = {"chunk", "refused_chunk"},
    [REFUSED_CREDIT] = {"credit", "refused_credit"},
};
static_assert(sizeof refusals / sizeof refusals[0] == REFUSALS, "one name per kind");

void refuse(struct coordinator *c, enum refusal kind, const char *from, const char *why)
{
    struct refusals *r = &c->refusals;
    r->n[kind]++;
    r->unlogged[kind]++;
    c->live_due = true;
    /* Per kind, not per peer: a thousand peers must not fill the disk either. */
    if (r->logged_ms[kind] != 0 && c->now_ms - r->logged_ms[kind] < LOG_EVERY_MS) {
        return;
    }
    log_event(LOG_LEVEL_WARN, refusals[kind].event, "from=%s reason=\"%s\" since_last_line=%llu",
              from, why, (unsigned long long)r->unlogged[kind]);
    r->logged_ms[kind] = c->now_ms > 0 ? c->now_ms : 1;
    r->unlogged[kind] = 0;
}

const char *refusal_name(enum refusal kind)
{
    return refusals[kind].name;
}

/* Who is not let in has sent no message: only the door's counter tells of it. An agent tries every two
 * seconds, so the log is told now and then. */
void refusals_at_the_door(struct coordinator *c)
{
    struct refusals *r = &c->refusals;
    const uint64_t n = net_server_counts(c->server)->refused_key;
    if (n == r->door_seen) {
        return;
    }
    r->door_seen = n;
    c->live_due = true;
    if (r->door_logged_ms != 0 && c->now_ms - r->door_logged_ms < LOG_EVERY_MS) {
        return;
    }
    log_event(
        LOG_LEVEL_WARN, "refused_key",
        "since_last_line=%llu total=%llu reason=\"a key of no enrolled card; if a site waits, "
        "enrol its card: wardround-aggregator enrol %s SITE.card\"",
        (unsigned long long)(n - r->door_logged), (unsigned long long)n, c->folder.path);
    r->door_logged = n;
    r->door_logged_ms = c->now_ms > 0 ? c->now_ms : 1;
}

uint64_t refusals_total(const struct coordinator *c)
{
    const struct net_counts *door = net_server_counts(c->server);
    uint64_t total =
        door->refused_key + door->dropped_revoked + door->dropped_malformed + door->dropped_endless;
    for (size_t i = 0; i < REFUSALS; i++) {
        total += c->refusals.n[i];
    }
    return total;
}
