/* Who may speak, and whether this is really what they said. */
#include <stdio.h>
#include <string.h>

#include "aggregator/app/coordinator_internal.h"
#include "common/base/log.h"

/* ---- cards ----------------------------------------------------------------------------------- */

/* On the roster: its index there. Others (they may ask whether we are here) stand behind. */
static struct peer *place_of(struct coordinator *c, const char *name)
{
    const size_t on_roster = study_find_site(study_of(c), name);
    if (on_roster < c->n_sites) {
        return &c->peer[on_roster];
    }
    for (size_t i = c->n_sites; i < NET_PEERS_MAX; i++) {
        if (!c->peer[i].known || strcmp(c->peer[i].card.name, name) == 0) {
            return &c->peer[i];
        }
    }
    return NULL;
}

static bool same_keys(const struct seal_card *a, const struct seal_card *b)
{
    return memcmp(&a->sign, &b->sign, sizeof a->sign) == 0 &&
           memcmp(&a->curve, &b->curve, sizeof a->curve) == 0;
}

static void take_card(void *ctx, const struct seal_card *card, int64_t enrolled_ms,
                      int64_t revoked_ms)
{
    struct coordinator *c = ctx;
    struct peer *p = place_of(c, card->name);
    struct error err = {0};
    (void)enrolled_ms;

    if (p == NULL) {
        log_event(LOG_LEVEL_WARN, "too_many_cards", "site=%s reason=\"only %d can connect\"",
                  card->name, (int)NET_PEERS_MAX);
        return;
    }
    const size_t peer = (size_t)(p - c->peer);
    p->revoked_ms = revoked_ms;
    const bool fresh = !p->known || !same_keys(&p->card, card);
    if (revoked_ms != 0) {
        if (p->allowed) {
            log_event(LOG_LEVEL_WARN, "peer_revoked", "site=%s", card->name);
        }
        net_server_forbid(c->server, peer);
        p->allowed = false;
    } else if (fresh || !p->allowed) {
        p->allowed = net_server_allow(c->server, peer, &card->curve, &err) == RC_OK;
        log_event(p->allowed ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
                  p->allowed ? "peer_admitted" : "peer_not_admitted",
                  "site=%s roster=%s reason=\"%s\"", card->name, peer < c->n_sites ? "yes" : "no",
                  p->allowed ? "" : err.text);
    }
    if (fresh && revoked_ms == 0 && peer < c->n_sites && masked_lacks_key(c, peer, card)) {
        log_event(
            LOG_LEVEL_ERROR, "card_not_of_the_study",
            "site=%s reason=\"its sums are masked, and the study has another key for this site "
            "than its card; a new study with the card's sign: can have it\"",
            card->name);
    }
    if (fresh) {
        p->order = (struct wire_order){0};
        p->card = *card;
        p->known = true;
    }
}

enum rc peers_load(struct coordinator *c, struct error *err)
{
    enum rc rc = registry_version(c->registry, &c->version, err);
    if (rc == RC_OK) {
        rc = registry_each_card(c->registry, take_card, c, err);
    }
    if (rc == RC_OK) {
        rc = registry_abort_requested(c->registry, coordinator_study(c), &c->abort_wanted,
                                      c->abort_reason, err);
    }
    if (rc == RC_OK) {
        rc = evaluations_load(c, err);
    }
    return rc;
}

enum rc peers_refresh(struct coordinator *c, struct error *err)
{
    uint64_t version = 0;
    const enum rc rc = registry_version(c->registry, &version, err);
    if (rc != RC_OK || version == c->version) {
        return rc;
    }
    c->live_due = true;
    return peers_load(c, err);
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool from_a_site(enum wire_kind kind)
{
    switch (kind) {
    case WIRE_HELLO:
    case WIRE_ACCEPT:
    case WIRE_DECLINE:
    case WIRE_UPDATE:
    case WIRE_CANNOT:
    case WIRE_GOODBYE:
    case WIRE_PROBE:
    case WIRE_PULSE:
    case WIRE_CHUNK:
    case WIRE_CREDIT:
    case WIRE_MASK_KEY:
    case WIRE_MASK_SHARES:
    case WIRE_MASK_VOTE:
    case WIRE_MASK_REVEAL:
    case WIRE_MASK_LIST:
    case WIRE_SCORES:
    case WIRE_UNSCORED:
        return true;
    case WIRE_UNSPECIFIED:
    case WIRE_STUDY:
    case WIRE_ROUND:
    case WIRE_ACK:
    case WIRE_OUTCOME:
    case WIRE_DONE:
    case WIRE_PROBED:
    case WIRE_MASK_MEMBERS:
    case WIRE_MASK_PARCELS:
    case WIRE_MASK_SURVIVORS:
    case WIRE_MASK_VOTES:
    case WIRE_EVALUATE:
    case WIRE_TRAIN:
    case WIRE_CANCEL:
    case WIRE_COMMIT:
    case WIRE_RECEIPT:
    case WIRE_POLICY:
    case WIRE_TRAINED:
    case WIRE_STORED:
    case WIRE_COMMITTED:
    case WIRE_NOT_COMMITTED:
    case WIRE_WITHDRAWN:
    case WIRE_READY:
        break;
    }
    return false;
}

/* The coarse kinds of wire_open in ours. */
static enum refusal unreadable(enum rc rc)
{
    if (rc == RC_AUTH) {
        return REFUSED_SIGNATURE;
    }
    return rc == RC_STATE ? REFUSED_VERSION : REFUSED_MALFORMED;
}

static bool concerns_us(struct coordinator *c, size_t peer, const struct wire_message *m)
{
    struct peer *p = &c->peer[peer];
    if (m->kind == WIRE_PROBE) {
        return true;
    }
    if (peer >= c->n_sites) {
        if (p->told_stranger) { /* it will go on saying HELLO: once is enough for the log */
            c->refusals.n[REFUSED_ROSTER]++;
        } else {
            char why[REASON_MAX];
            (void)snprintf(why, sizeof why,
                           "study '%s' does not name it; a study that is to have it is a new one, "
                           "with it in `sites:`",
                           study_of(c)->name);
            refuse(c, REFUSED_ROSTER, p->card.name, why);
            p->told_stranger = true;
        }
        return false;
    }
    const bool unnamed = m->kind == WIRE_HELLO || /* chunks name what they are of */
                         ((m->kind == WIRE_CHUNK || m->kind == WIRE_CREDIT) &&
                          hash_equal(&m->study, &(struct hash){{0}}));
    if (!unnamed && !hash_equal(&m->study, coordinator_study(c))) {
        char hex[HASH_HEX];
        char why[REASON_MAX];
        hash_hex(&m->study, hex);
        (void)snprintf(why, sizeof why, "%s about study %.16s, which is not the one running here",
                       wire_kind_name(m->kind), hex);
        refuse(c, REFUSED_STUDY, p->card.name, why);
        return false;
    }
    return true;
}

bool peers_admit(struct coordinator *c, size_t peer, const struct net_frames *f,
                 struct wire_message *out)
{
    struct peer *p = &c->peer[peer];
    struct error err = {0};
    struct wire_message m;

    const enum rc rc = wire_open_leaves(f->header, f->header_n, f->raw, f->raw_n, &p->card.sign, &m,
                                        &c->leaves, &err);
    if (rc != RC_OK) {
        refuse(c, unreadable(rc), p->card.name, err.text);
        return false;
    }
    if (strcmp(m.from, p->card.name) != 0 || strcmp(m.to, c->card.name) != 0) {
        char why[REASON_MAX];
        (void)snprintf(why, sizeof why, "says it is from '%s' to '%s'; we are '%s'", m.from, m.to,
                       c->card.name);
        refuse(c, REFUSED_ADDRESS, p->card.name, why);
        return false;
    }
    if (wire_order_take(&p->order, &m, &err) != RC_OK) {
        refuse(c, REFUSED_REPLAY, p->card.name, err.text);
        return false;
    }
    if (!from_a_site(m.kind)) {
        refuse(c, REFUSED_KIND, p->card.name, wire_kind_name(m.kind));
        return false;
    }
    if (!concerns_us(c, peer, &m)) {
        return false;
    }
    p->version = m.version;
    *out = m;
    return true;
}
