/* Actions -> messages. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/app/coordinator_internal.h"
#include "common/base/log.h"

#define PROGRAM "wardround-aggregator " WARDROUND_VERSION

/* ---- sending --------------------------------------------------------------------------------- */

enum rc answer_send_named(struct coordinator *c, size_t peer, struct wire_message *m,
                          const void *raw, bool *sent, struct error *err)
{
    struct error fault = {0};
    bool out = false;
    size_t n = 0;

    (void)snprintf(m->from, sizeof m->from, "%s", c->card.name);
    (void)snprintf(m->to, sizeof m->to, "%s", c->peer[peer].card.name);
    if (m->kind != WIRE_PROBED) {
        m->study = *coordinator_study(c);
    }
    m->version = c->peer[peer].version;
    m->together = m->version == 0 ? m->together : 0;
    m->epoch = c->epoch;
    m->sequence = ++c->sequence;
    enum rc rc = wire_seal_named(m, c->keys, c->header, sizeof c->header, &n, &fault);
    if (rc != RC_OK) { /* our own mistake; the others need not pay for it */
        log_event(LOG_LEVEL_ERROR, "message_not_sealed", "to=%s reason=\"%s\"", m->to, fault.text);
    } else {
        rc = net_server_send(c->server, peer, c->header, n, raw, m->raw_bytes, &out, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (sent != NULL) {
        *sent = out;
    }
    return RC_OK;
}

enum rc answer_send(struct coordinator *c, size_t peer, struct wire_message *m, const void *raw,
                    size_t raw_n, bool *sent, struct error *err)
{
    struct error large = {0};
    if (wire_set_raw(m, raw, raw_n, &large) != RC_OK) {
        m->raw_bytes = raw_n; /* sealing refuses it */
    }
    return answer_send_named(c, peer, m, raw, sent, err);
}

/* ---- who contributed ------------------------------------------------------------------------- */

/* Appends what still fits. */
static void say(char *text, size_t room, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void say(char *text, size_t room, const char *fmt, ...)
{
    const size_t used = strlen(text);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text + used, room - used, fmt, args);
    va_end(args);
}

enum rc answer_recall_round(struct coordinator *c, uint64_t round, struct error *err)
{
    struct ending *e = &c->newest;
    bool found = false;
    bool failed = false;
    char reason[REASON_MAX] = "";
    size_t n = 0;

    *e = (struct ending){.round = round};
    enum rc rc = registry_outcome(c->registry, coordinator_study(c), round, &found, e->contributed,
                                  c->n_sites, &failed, reason, err);
    if (rc != RC_OK) {
        return rc;
    }
    for (size_t i = 0; i < c->n_sites; i++) {
        n += e->contributed[i];
    }
    say(e->text, sizeof e->text, "%zu of %zu:", n, c->n_sites);
    for (size_t i = 0; i < c->n_sites; i++) {
        if (e->contributed[i]) {
            say(e->text, sizeof e->text, " %s", site_name(c, i));
        }
    }
    for (size_t i = 0; i < c->n_sites; i++) {
        if (e->contributed[i]) {
            continue;
        }
        rc = absence_in_round(c, round, i, reason, err);
        if (rc != RC_OK) {
            return rc;
        }
        say(e->text, sizeof e->text, "; %s: %s", site_name(c, i), reason);
    }
    return RC_OK;
}

/* ---- messages -------------------------------------------------------------------------------- */

static void set_contributed(const struct coordinator *c, struct wire_message *m)
{
    m->n_sites = c->n_sites;
    for (size_t i = 0; i < c->n_sites; i++) {
        if (c->newest.contributed[i]) {
            m->contributed[i / 8] |= (unsigned char)(1U << (i % 8));
        }
    }
}

static void set_outcome(const struct coordinator *c, struct wire_message *m)
{
    m->round = c->newest.round;
    m->tensor = c->tensor;
    set_contributed(c, m);
    wire_set_text(m, c->newest.text);
}

static void set_done(const struct coordinator *c, struct wire_message *m)
{
    m->done = c->machine.state == ROUND_DONE;
    if (round_finished(&c->machine) > 0) {
        set_outcome(c, m);
    }
    if (!m->done) {
        wire_set_text(m, c->failure[0] != '\0' ? c->failure : "the study failed");
    }
}

/* Whose files were put back from an old copy hears of it before it spends on. */
static enum rc set_newest_anchor(struct coordinator *c, size_t site, struct wire_message *m,
                                 struct error *err)
{
    const struct hash key = site_key(c, site);
    bool found = false;
    return registry_newest_anchor(c->registry, &key, &found, &m->anchor, err);
}

/* Of the update of the present round, if one is kept. */
static enum rc set_kept_anchor(struct coordinator *c, size_t site, struct wire_message *m,
                               struct error *err)
{
    const struct site *s = &c->site[site];
    bool found = false;
    if (s->knows_anchor) {
        m->anchor = s->anchor;
        return RC_OK;
    }
    return registry_anchor_of(c->registry, coordinator_study(c), m->round, site, &found, &m->anchor,
                              err);
}

enum rc answer_reply(struct coordinator *c, size_t site, enum wire_kind kind, struct error *err)
{
    const struct round_machine *m = &c->machine;
    struct wire_message out = {.kind = kind};
    if (kind == WIRE_STUDY) {
        const enum rc rc = set_newest_anchor(c, site, &out, err);
        return rc != RC_OK ? rc
                           : answer_send(c, site, &out, c->signed_bytes, c->signed_n, NULL, err);
    }
    if (kind == WIRE_ROUND) {
        out.round = m->round;
        out.tensor = c->sent_as;
        out.left_ms = round_left_ms(m, c->now_ms);
    }
    if (kind == WIRE_ACK) {
        out.round = m->round;
        const enum rc rc = set_kept_anchor(c, site, &out, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (kind == WIRE_OUTCOME) {
        set_outcome(c, &out);
    }
    if (kind == WIRE_DONE) {
        set_done(c, &out);
    }
    return answer_send(c, site, &out, NULL, 0, NULL, err);
}

enum rc answer_cast(struct coordinator *c, enum wire_kind kind, enum audience audience,
                    struct error *err)
{
    const struct round_machine *m = &c->machine;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < c->n_sites; i++) {
        const bool accepted = m->member[i] == ROUND_ACCEPTED;
        const bool wanted = audience == EVERYBODY || (accepted && audience == ACCEPTED) ||
                            (accepted && m->part[i] == ROUND_WAITED_FOR);
        if (wanted && c->site[i].heard) {
            rc = answer_reply(c, i, kind, err);
        }
    }
    return rc;
}

enum rc answer_probe(struct coordinator *c, size_t peer, struct error *err)
{
    struct wire_message out = {.kind = WIRE_PROBED, .now_ms = c->wall_ms};
    wire_set_text(&out, PROGRAM);
    return answer_send(c, peer, &out, NULL, 0, NULL, err);
}
