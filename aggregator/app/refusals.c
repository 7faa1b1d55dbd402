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

uint64_t refusals_total(const struct refusals *r)
{
    uint64_t total = 0;
    for (size_t i = 0; i < REFUSALS; i++) {
        total += r->n[i];
    }
    return total;
}
