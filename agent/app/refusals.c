#include "agent/app/refusals.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

enum { LOG_EVERY_MS = 10000 };

static const char *const names[] = {
    [REFUSED_SIGNATURE] = "signature",
    [REFUSED_MALFORMED] = "malformed",
    [REFUSED_VERSION] = "version",
    [REFUSED_ADDRESS] = "address",
    [REFUSED_REPLAY] = "replay",
    [REFUSED_KIND] = "kind",
    [REFUSED_STUDY] = "study",
    [REFUSED_PROTOCOL] = "protocol",
    [REFUSED_AGREEMENT] = "agreement",
    [REFUSED_CHUNK] = "chunk",
    [REFUSED_LATE_CHUNK] = "late_chunk",
    [REFUSED_CREDIT] = "credit",
    [REFUSED_LATE_CREDIT] = "late_credit",
};
static_assert(sizeof names / sizeof names[0] == REFUSALS, "one name per kind");
static_assert(REFUSALS * 24 < REFUSALS_TEXT, "room for each kind and a number of ten digits");

void refusals_note(struct refusals *r, enum refusal kind, const char *why)
{
    const int64_t now_ms = clock_monotonic_ms();
    r->n[kind]++;
    r->unlogged[kind]++;
    if (r->logged_ms[kind] != 0 && now_ms - r->logged_ms[kind] < LOG_EVERY_MS) {
        return;
    }
    log_event(LOG_LEVEL_WARN, "message_refused",
              "kind=%s count=%" PRIu64 " since_last_line=%" PRIu64 " reason=\"%s\"", names[kind],
              r->n[kind], r->unlogged[kind], why);
    r->logged_ms[kind] = now_ms > 0 ? now_ms : 1;
    r->unlogged[kind] = 0;
}

const char *refusals_text(const struct refusals *r, char out[REFUSALS_TEXT])
{
    size_t used = 0;
    (void)snprintf(out, REFUSALS_TEXT, "none");
    for (size_t i = 0; i < REFUSALS; i++) {
        if (r->n[i] > 0 && used < REFUSALS_TEXT) {
            const int n = snprintf(out + used, REFUSALS_TEXT - used, "%s%s=%" PRIu64,
                                   used > 0 ? " " : "", names[i], r->n[i]);
            used += n > 0 ? (size_t)n : 0;
        }
    }
    return out;
}
