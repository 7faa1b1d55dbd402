/* The model on its way out: each site asks for its chunks by credit, and all are served from the one
 * copy that we hold. */
#include <stdio.h>

#include "aggregator/app/coordinator_internal.h"
#include "common/base/log.h"

enum {
    RETRY_MS = 100 /* a full queue; the site asks again by itself if this helps nothing */
};

/* What sites may ask for: a round's model as rounds send it, and after the end the finished one as it is. */
static const struct wire_tensor *served(const struct coordinator *c)
{
    return coordinator_ended(c) ? &c->tensor : &c->sent_as;
}

static void log_delivered(const struct coordinator *c, size_t site)
{
    const struct transfer_out *out = &c->site[site].download.out;
    log_event(LOG_LEVEL_INFO, "model_delivered", "site=%s chunks=%llu sent=%llu most_for_one=%llu",
              site_name(c, site), (unsigned long long)out->chunks, (unsigned long long)out->sent,
              (unsigned long long)out->most);
}

void downloads_arrived(struct coordinator *c, size_t site)
{
    struct transfer_out *out = &c->site[site].download.out;
    if (hash_equal(&out->hash, &served(c)->hash) && transfer_out_arrived(out)) {
        log_delivered(c, site);
    }
}

void downloads_credit(struct coordinator *c, size_t site, const struct wire_message *m)
{
    struct download *d = &c->site[site].download;
    struct error err = {0};
    if (c->machine.member[site] != ROUND_ACCEPTED) {
        refuse(c, REFUSED_CREDIT, site_name(c, site), "asks for a model without having accepted");
        return;
    }
    if (!hash_equal(&m->tensor.hash, &served(c)->hash) || m->tensor.bytes != served(c)->bytes) {
        c->refusals.late_credits++; /* for the model of a round that is over */
        return;
    }
    if (!hash_equal(&d->out.hash, &served(c)->hash)) {
        transfer_out_init(&d->out, &served(c)->hash, served(c)->bytes);
    }
    const bool had_all = transfer_out_done(&d->out);
    transfer_out_together(&d->out, m->together);
    if (transfer_out_credit(&d->out, m->first, m->until, m->resume, &err) != RC_OK) {
        refuse(c, REFUSED_CREDIT, site_name(c, site), err.text);
        return;
    }
    if (transfer_out_done(&d->out) && !had_all) {
        log_delivered(c, site);
    }
    d->credit_ms = c->now_ms;
    d->retry_ms = c->now_ms;
}

/* Has it asked lately, for the model as it is now? Who does not ask any more gets nothing, and what
 * was sent to it no longer counts as on its way. */
static bool active(const struct coordinator *c, const struct download *d)
{
    return d->credit_ms >= 0 && c->now_ms - d->credit_ms < TRANSFER_STALL_MS &&
           hash_equal(&d->out.hash, &served(c)->hash);
}

static uint64_t on_the_way(const struct coordinator *c)
{
    uint64_t n = 0;
    for (size_t i = 0; i < c->n_sites; i++) {
        const struct download *d = &c->site[i].download;
        if (active(c, d) && d->out.next > d->out.acknowledged) {
            n += d->out.next - d->out.acknowledged;
        }
    }
    return n;
}

/* The frame's hash, computed for the first site that gets the chunk. */
static enum rc name_chunk(struct coordinator *c, struct wire_message *m, const void *bytes,
                          size_t n, struct error *err)
{
    if (n == served(c)->bytes) { /* the whole: it has its name */
        m->raw = served(c)->hash;
        m->raw_bytes = n;
        return RC_OK;
    }
    transfer_hashes_of(&c->chunks, &served(c)->hash, served(c)->bytes);
    const struct hash *known = transfer_hashes_find(&c->chunks, &served(c)->hash, m->first, n);
    if (known != NULL) {
        m->raw = *known;
        m->raw_bytes = n;
        return RC_OK;
    }
    const enum rc rc = wire_set_raw(m, bytes, n, err);
    if (rc == RC_OK) {
        transfer_hashes_keep(&c->chunks, &served(c)->hash, m->first, n, &m->raw);
    }
    return rc;
}

/* One message to one site. *moved: so many chunks went. */
static enum rc serve(struct coordinator *c, size_t site, uint64_t room, uint64_t *moved,
                     int64_t *due_ms, struct error *err)
{
    struct download *d = &c->site[site].download;
    struct wire_message m = {.kind = WIRE_CHUNK, .tensor = *served(c)};
    uint64_t offset = 0;
    size_t n = 0;
    bool sent = false;
    if (!active(c, d) || !transfer_out_next(&d->out, &m.first, &offset, &n)) {
        return RC_OK;
    }
    if (transfer_chunks(n) > room) { /* when others say that they hold theirs */
        *due_ms = c->now_ms + RETRY_MS < *due_ms ? c->now_ms + RETRY_MS : *due_ms;
        return RC_OK;
    }
    if (c->now_ms >= d->retry_ms) {
        const void *model = coordinator_ended(c) ? (const void *)c->params : c->sent;
        const unsigned char *bytes = (const unsigned char *)model + offset;
        enum rc rc = name_chunk(c, &m, bytes, n, err);
        if (rc == RC_OK) {
            rc = answer_send_named(c, site, &m, bytes, &sent, err);
        }
        if (rc != RC_OK) {
            return rc;
        }
        if (sent) {
            *moved = transfer_chunks(n);
            transfer_out_sent(&d->out);
            return RC_OK;
        }
        d->retry_ms = c->now_ms + RETRY_MS;
    }
    *due_ms = d->retry_ms < *due_ms ? d->retry_ms : *due_ms;
    return RC_OK;
}

/* A message each in turn, so that no site waits for another's whole window. Who begins moves on. */
enum rc downloads_pump(struct coordinator *c, int64_t *due_ms, struct error *err)
{
    const uint64_t most = CHUNKS_ON_THE_WAY + CHUNKS_A_SITE * (uint64_t)c->n_sites;
    uint64_t room = on_the_way(c);
    room = room < most ? most - room : 0;
    bool any = true;
    while (any && room > 0) {
        any = false;
        for (size_t k = 0; room > 0 && k < c->n_sites; k++) {
            const size_t i = (c->next_download + k) % c->n_sites;
            uint64_t moved = 0;
            const enum rc rc = serve(c, i, room, &moved, due_ms, err);
            if (rc != RC_OK) {
                return rc;
            }
            room -= moved;
            any = any || moved > 0;
        }
    }
    c->next_download = (c->next_download + 1) % c->n_sites;
    return RC_OK;
}
