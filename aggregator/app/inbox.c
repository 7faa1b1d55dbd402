/* One message of a site, already proved to be its own: an event of the machine, a chunk, a credit,
 * or a word of progress. */
#include "aggregator/app/coordinator_internal.h"
#include "common/base/log.h"

static void heard(struct coordinator *c, size_t i, const struct wire_message *m)
{
    struct site *s = &c->site[i];
    c->live_due = true; /* it tells when each was heard of */
    if (!s->heard) {
        log_event(LOG_LEVEL_INFO, "site_connected", "site=%s program=\"%s\"", site_name(c, i),
                  m->kind == WIRE_HELLO ? m->text : "");
    }
    s->heard = true;
    s->heard_ms = c->now_ms;
    s->silent = false;
}

static void progressed(struct coordinator *c, size_t i, const struct wire_message *m)
{
    struct site *s = &c->site[i];
    if (m->round == c->machine.round) {
        downloads_arrived(c, i);
    }
    if (m->round == s->progress_round && m->step == s->step) {
        return;
    }
    s->progress_round = m->round;
    s->step = m->step;
    s->steps = m->steps;
    s->moved_ms = c->now_ms;
    c->live_due = true;
    if (s->stalled) {
        s->stalled = false;
        log_event(LOG_LEVEL_INFO, "site_moves_again", "site=%s round=%llu step=%llu of=%llu",
                  site_name(c, i), (unsigned long long)m->round, (unsigned long long)m->step,
                  (unsigned long long)m->steps);
    }
}

/* What is an event of the machine as it stands. */
static enum rc answered(struct coordinator *c, size_t site, const struct wire_message *m,
                        struct error *err)
{
    struct said said = {.event = ROUND_GOT_HELLO, .site = site, .round = m->round};
    if (m->kind == WIRE_ACCEPT) {
        said.event = ROUND_GOT_ACCEPT;
    }
    if (m->kind == WIRE_DECLINE) {
        said.event = ROUND_GOT_DECLINE;
        said.reason = m->text;
    }
    if (m->kind == WIRE_CANNOT) {
        said.event = ROUND_GOT_CANNOT;
        said.reason = m->text;
        if (m->round == c->machine.round) {
            uploads_drop(c, site, false);
        }
    }
    return coordinator_step(c, &said, err);
}

static void said_goodbye(struct coordinator *c, size_t site)
{
    if (coordinator_ended(c) && !c->site[site].goodbye) {
        downloads_arrived(c, site);
        c->site[site].goodbye = true;
        c->live_due = true;
        log_event(LOG_LEVEL_INFO, "site_said_goodbye", "site=%s", site_name(c, site));
    }
}

static enum rc take(struct coordinator *c, size_t site, const struct wire_message *m,
                    const struct net_frames *f, struct error *err)
{
    const bool answers = m->kind == WIRE_UPDATE || m->kind == WIRE_CANNOT;
    if (answers && m->round == c->machine.round) {
        downloads_arrived(c, site);
    }
    if (m->kind == WIRE_UPDATE) {
        return uploads_offer(c, site, m, err);
    }
    if (m->kind == WIRE_CHUNK) {
        uploads_chunk(c, site, m, f->raw, f->raw_n);
        return RC_OK;
    }
    if (m->kind == WIRE_CREDIT) {
        downloads_credit(c, site, m);
        return RC_OK;
    }
    if (m->kind == WIRE_PULSE) {
        progressed(c, site, m);
        return RC_OK;
    }
    if (m->kind == WIRE_MASK_KEY || m->kind == WIRE_MASK_SHARES || m->kind == WIRE_MASK_VOTE ||
        m->kind == WIRE_MASK_REVEAL || m->kind == WIRE_MASK_LIST) {
        return masked_heard(c, site, m, f->raw, f->raw_n, err);
    }
    if (m->kind == WIRE_SCORES || m->kind == WIRE_UNSCORED) {
        return evaluations_heard(c, site, m, f->raw, f->raw_n, err);
    }
    if (m->kind == WIRE_GOODBYE) {
        said_goodbye(c, site);
        return RC_OK;
    }
    return answered(c, site, m, err);
}

static bool is_answer(enum wire_kind kind)
{
    return kind != WIRE_CHUNK && kind != WIRE_CREDIT && kind != WIRE_PULSE;
}

enum rc inbox_take(struct coordinator *c, size_t peer, const struct net_frames *frames,
                   struct error *err)
{
    struct wire_message m;
    if (!peers_admit(c, peer, frames, &m)) {
        return RC_OK;
    }
    if (m.kind == WIRE_PROBE) {
        return answer_probe(c, peer, err);
    }
    heard(c, peer, &m);
    enum rc rc = RC_OK;
    if (c->site[peer].upload.state == UPLOAD_ARRIVED && is_answer(m.kind)) {
        rc = uploads_settle(c, err); /* what it said first stands */
    }
    return rc == RC_OK ? take(c, peer, &m, frames, err) : rc;
}
