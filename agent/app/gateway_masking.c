/* Masked sums cross the gateway: the coordinator's messages go to the trainer as they came, the trainer's
 * statements are signed here. The last one is kept and said again, because a connection that breaks loses
 * what was on its way; who has it already answers with what came after. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/app/gateway_internal.h"
#include "common/base/clock.h"
#include "common/mask/mask.h"

enum { SAY_AGAIN_MS = 10000 };

bool masking_is_from_coordinator(enum wire_kind kind)
{
    return kind == WIRE_MASK_MEMBERS || kind == WIRE_MASK_PARCELS || kind == WIRE_MASK_SURVIVORS ||
           kind == WIRE_MASK_VOTES;
}

bool masking_is_from_trainer(enum wire_kind kind)
{
    return kind == WIRE_MASK_KEY || kind == WIRE_MASK_SHARES || kind == WIRE_MASK_VOTE ||
           kind == WIRE_MASK_REVEAL || kind == WIRE_MASK_LIST;
}

enum rc masking_from_coordinator(struct gateway *g, const struct wire_message *m, const void *raw,
                                 size_t raw_n, struct error *err)
{
    if (m->round != g->session.round || g->said.round != m->round) {
        return RC_OK; /* of a round that the trainer is not in */
    }
    g->out = (struct wire_message){.kind = m->kind, .study = m->study, .round = m->round};
    return pair_send(g->pair, &g->out, raw, raw_n, err);
}

/* ---- signing --------------------------------------------------------------------------------- */

/* Our own trainer knows the study's terms; here it is enough what shape its frames have. */
static_assert(MASK_SITES_MAX * MASK_REVEAL_BYTES >= MASK_SHARES_MAX, "said.raw holds both");

static enum rc sign_key(struct gateway *g, const struct hash *name, const unsigned char *frame,
                        size_t n, struct error *err)
{
    struct mask_announcement a;
    size_t count = 0;
    const struct mask_terms shape = {.n_sites = MASK_SITES_MAX,
                                     .neighbours = n > MASK_ANNOUNCEMENT_BYTES};
    const enum rc rc = mask_unpack_announcements(frame, n, &shape, &a, &count, err);
    if (rc == RC_OK) {
        mask_announcement_sign(g->keys, name, &a);
        g->said.n = mask_pack_announcements(&a, 1, g->said.raw);
    }
    return rc;
}

static enum rc sign_shares(struct gateway *g, const struct hash *name, const unsigned char *frame,
                           size_t n, struct error *err)
{
    struct mask_portion *portion = g->said.portion;
    const size_t slots = (n - MASK_DEAL_BYTES) / MASK_PORTION_BYTES;
    const bool draws = n != MASK_DEAL_BYTES + slots * MASK_PORTION_BYTES;
    const struct mask_terms shape = {.n_sites = draws ? MASK_SITES_MAX : slots,
                                     .neighbours = draws ? slots : 0};
    struct mask_deal d;
    const enum rc rc = mask_unpack_shares(frame, n, &shape, &d, portion, err);
    if (rc == RC_OK) {
        mask_deal_sign(g->keys, name, &d);
        g->said.n = mask_pack_shares(&d, portion, slots, g->said.raw);
    }
    return rc;
}

static enum rc sign_vote(struct gateway *g, const struct hash *name, const unsigned char *frame,
                         size_t n, struct error *err)
{
    struct mask_set survivors;
    struct mask_vote v;
    const enum rc rc = mask_unpack_vote(frame, n, MASK_SITES_MAX, &survivors, &v, err);
    if (rc == RC_OK) {
        mask_vote_sign(g->keys, name, &survivors, &v);
        g->said.n = mask_pack_vote(&survivors, &v, g->said.raw);
    }
    return rc;
}

static enum rc sign_list(struct gateway *g, const struct hash *name, const unsigned char *frame,
                         size_t n, struct error *err)
{
    struct mask_vote v;
    size_t one = 0;
    const enum rc rc = mask_unpack_votes(frame, n, MASK_SITES_MAX, &v, &one, err);
    if (rc == RC_OK) {
        mask_list_sign(g->keys, name, &v);
        g->said.n = mask_pack_votes(&v, 1, g->said.raw);
    }
    return rc;
}

/* What our own trainer sends is whole, or the pair is broken. */
static enum rc sign(struct gateway *g, enum wire_kind kind, const unsigned char *raw, size_t raw_n,
                    struct error *err)
{
    struct hash name;
    const size_t least = kind == WIRE_MASK_KEY      ? MASK_ANNOUNCEMENT_BYTES
                         : kind == WIRE_MASK_SHARES ? MASK_DEAL_BYTES + MASK_PORTION_BYTES
                         : kind == WIRE_MASK_LIST   ? MASK_VOTE_BYTES
                                                    : MASK_SET_BYTES + MASK_VOTE_BYTES;
    const size_t most = kind == WIRE_MASK_KEY      ? MASK_ANNOUNCEMENT_BYTES + MASK_DRAW_BYTES
                        : kind == WIRE_MASK_SHARES ? MASK_SHARES_MAX
                        : kind == WIRE_MASK_LIST   ? MASK_VOTE_BYTES
                                                   : MASK_SET_BYTES_MAX + MASK_VOTE_BYTES;
    if (kind == WIRE_MASK_REVEAL) {
        if (raw_n > sizeof g->said.raw) {
            return error_set(err, RC_FORMAT, "the trainer showed more shares than there are sites");
        }
        memcpy(g->said.raw, raw, raw_n);
        g->said.n = raw_n;
        return RC_OK;
    }
    if (raw_n < HASH_BYTES + least || raw_n > HASH_BYTES + most) {
        return error_set(err, RC_FORMAT, "the trainer's %s has %zu bytes", wire_kind_name(kind),
                         raw_n);
    }
    memcpy(name.b, raw, HASH_BYTES);
    raw += HASH_BYTES;
    raw_n -= HASH_BYTES;
    if (kind == WIRE_MASK_KEY) {
        return sign_key(g, &name, raw, raw_n, err);
    }
    return kind == WIRE_MASK_SHARES ? sign_shares(g, &name, raw, raw_n, err)
           : kind == WIRE_MASK_LIST ? sign_list(g, &name, raw, raw_n, err)
                                    : sign_vote(g, &name, raw, raw_n, err);
}

/* ---- saying ---------------------------------------------------------------------------------- */

static enum rc say(struct gateway *g, struct error *err)
{
    bool sent = false;
    g->out = (struct wire_message){.kind = g->said.kind, .study = g->study, .round = g->said.round};
    g->said.due_ms = clock_monotonic_ms() + SAY_AGAIN_MS;
    return gateway_say(g, &g->out, g->said.raw, g->said.n, &sent, err);
}

enum rc masking_from_trainer(struct gateway *g, const struct wire_message *m, const void *raw,
                             size_t raw_n, struct error *err)
{
    g->said.round = 0; /* what stands there is overwritten */
    const enum rc rc = sign(g, m->kind, raw, raw_n, err);
    if (rc != RC_OK) {
        return rc;
    }
    g->said.kind = m->kind;
    g->said.round = m->round;
    return say(g, err);
}

void masking_settled(struct gateway *g, uint64_t round)
{
    if (g->said.round <= round) {
        g->said.round = 0;
    }
}

void masking_reconnected(struct gateway *g)
{
    g->said.due_ms = 0;
}

int64_t masking_due_ms(const struct gateway *g)
{
    return g->said.round != 0 ? g->said.due_ms : INT64_MAX;
}

enum rc masking_tick(struct gateway *g, struct error *err)
{
    if (g->said.round == 0 || clock_monotonic_ms() < g->said.due_ms) {
        return RC_OK;
    }
    if (g->said.round < g->session.round || g->session.state == SESSION_DONE ||
        g->session.state == SESSION_DECLINED) {
        g->said.round = 0;
        return RC_OK;
    }
    return say(g, err);
}
