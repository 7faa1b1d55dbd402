/* The trainer's part in masked sums: it holds the machine (agent/masking), since it knows the plain update
 * and no key of the network. What a statement is signed over goes before it in the raw frame: the gateway
 * signs it with this site's identity (gateway_masking.c). */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/app/trainer_internal.h"
#include "common/base/log.h"

static const struct hash *study_of(const struct trainer *t)
{
    return &t->study.agreement.study_hash;
}

bool masking_wanted(const struct trainer *t)
{
    return t->study.known && t->study.agreement.study.masked;
}

/* What is said and heard on its way between bytes and the machine: large, one message at a time. */
struct masking_room {
    unsigned char raw[HASH_BYTES + MASK_RAW_MAX];
    unsigned char frame[MASK_SITES_MAX * MASK_REVEAL_BYTES];
    struct mask_portion portion[MASK_SLOTS_MAX];
    struct mask_reveal reveal[MASK_SITES_MAX];
    union {
        struct mask_announcement announced[MASK_SITES_MAX];
        struct mask_parcel parcel[MASK_SITES_MAX];
        struct mask_vote vote[MASK_SITES_MAX];
    } heard;
    struct mask_set survivors; /* beside the lists of those in it */
};
static_assert(MASK_SITES_MAX * MASK_REVEAL_BYTES >= MASK_SHARES_MAX, "a frame holds a deal, too");

void masking_forget(struct trainer *t)
{
    masking_close(&t->masking);
    free(t->masking_room);
    t->masking_room = NULL;
}

/* ---- the roster ------------------------------------------------------------------------------ */

void masking_obstacle(const struct trainer *t, char why[ROSTER_WHY])
{
    roster_obstacle(t->folder, &t->study.agreement.study, t->study.index, why);
}

static enum rc open_machine(struct trainer *t, struct error *err)
{
    const struct study *s = &t->study.agreement.study;
    struct masking_peer peer[MASK_SITES_MAX];
    struct seal_public sign[MASK_SITES_MAX];
    const char *name[MASK_SITES_MAX];
    struct masking_setup setup = {
        .study = *study_of(t), .terms = roster_terms(s), .site = t->study.index, .peer = peer};
    if (t->masking != NULL) {
        return RC_OK;
    }
    masking_forget(t); /* of an attempt that came to nothing */
    if (s->n_sites > MASK_SITES_MAX) {
        return error_set(err, RC_INVALID, "masked sums are for at most %d sites", MASK_SITES_MAX);
    }
    for (size_t i = 0; i < s->n_sites; i++) {
        memcpy(sign[i].b, s->site[i].key, sizeof sign[i].b);
        name[i] = s->site[i].name;
        peer[i] = (struct masking_peer){.sign = sign[i],
                                        .confirmed = roster_confirmed(t->folder, &s->site[i])};
    }
    t->masking_room = calloc(1, sizeof *t->masking_room);
    if (t->masking_room == NULL) {
        return error_set(err, RC_NOMEM, "no memory for masked sums");
    }
    setup.roster = mask_roster(name, sign, s->n_sites);
    const enum rc rc = ledger_masked_round(t->ledger, study_of(t), &setup.used_round, err);
    return rc == RC_OK ? masking_open(&setup, &t->masking, err) : rc;
}

/* ---- what to say ----------------------------------------------------------------------------- */

/* @param name what the gateway signs over; NULL: nothing, the message's own signature is enough */
static enum rc say(struct trainer *t, enum wire_kind kind, const struct hash *name,
                   const unsigned char *frame, size_t n, struct error *err)
{
    unsigned char *raw = t->masking_room->raw;
    struct wire_message m = {.kind = kind,
                             .study = *study_of(t),
                             .round = masking_round(t->masking)};
    const size_t head = name != NULL ? HASH_BYTES : 0;
    if (name != NULL) {
        memcpy(raw, name->b, HASH_BYTES);
    }
    memcpy(raw + head, frame, n);
    return trainer_say(t, &m, raw, head + n, err);
}

static enum rc say_deal(struct trainer *t, struct error *err)
{
    struct masking_room *room = t->masking_room;
    const struct mask_terms terms = roster_terms(&t->study.agreement.study);
    const struct mask_deal deal = masking_deal(t->masking, room->portion);
    const size_t n = mask_pack_shares(&deal, room->portion, mask_slots(&terms), room->frame);
    return say(t, WIRE_MASK_SHARES, masking_members(t->masking), room->frame, n, err);
}

static enum rc say_reveal(struct trainer *t, struct error *err)
{
    struct masking_room *room = t->masking_room;
    const size_t n = masking_reveal(t->masking, room->reveal);
    const size_t bytes = mask_pack_reveals(room->reveal, n, room->frame);
    const enum rc rc = say(t, WIRE_MASK_REVEAL, NULL, room->frame, bytes, err);
    hash_wipe(room->reveal, n * sizeof *room->reveal);
    return rc;
}

/* The gateway's TRAIN of this round gets its one answer: why not. After the update was masked there is
 * nothing to take back. The machine may be in no round at all: after a restart. */
static enum rc give_up(struct trainer *t, uint64_t round, const char *why, struct error *err)
{
    log_event(LOG_LEVEL_WARN, "masked_round_given_up", "study=%s round=%llu reason=\"%s\"",
              t->study.agreement.study.name, (unsigned long long)round, why);
    return round_give_up(t, round, why, err);
}

static enum rc step(struct trainer *t, const struct masking_input *in, struct error *err)
{
    struct error why = {0};
    enum rc rc = RC_OK;
    const unsigned actions = masking_step(t->masking, in, &why);
    if (actions & MASKING_PROTOCOL_ERROR) {
        refusals_note(&t->refusals, REFUSED_PROTOCOL, why.text);
        /* Masks that are made for one model must never hide what was trained on another: a coordinator
         * that gave each site its own could choose models on which all but one add nothing. */
        return in->event == MASKING_OPENED ? give_up(t, in->round, why.text, err) : RC_OK;
    }
    if (actions & MASKING_KEEP_ROUND) {
        rc = ledger_keep_masked_round(t->ledger, study_of(t), masking_used(t->masking), &why);
        if (rc != RC_OK) {
            const struct masking_input closed = {.event = MASKING_CLOSED, .round = in->round};
            struct error ignored = {0};
            (void)masking_step(t->masking, &closed, &ignored);
            return rc == RC_STATE ? give_up(t, in->round, why.text, err)
                                  : error_set(err, rc, "%s", why.text);
        }
    }
    if (actions & MASKING_SAY_ANNOUNCEMENT) {
        unsigned char frame[MASK_ANNOUNCEMENT_BYTES + MASK_DRAW_BYTES];
        const struct mask_announcement a = masking_announcement(t->masking);
        rc = say(t, WIRE_MASK_KEY, masking_attempt(t->masking), frame,
                 mask_pack_announcements(&a, 1, frame), err);
    }
    if (rc == RC_OK && (actions & MASKING_SAY_DEAL)) {
        rc = say_deal(t, err);
    }
    if (rc == RC_OK && (actions & MASKING_SAY_LIST)) {
        unsigned char frame[MASK_VOTE_BYTES];
        const struct mask_vote v = masking_list(t->masking);
        rc = say(t, WIRE_MASK_LIST, masking_clique(t->masking), frame,
                 mask_pack_votes(&v, 1, frame), err);
    }
    if (rc == RC_OK && (actions & MASKING_CAN_MASK)) {
        rc = round_can_mask(t, err);
    }
    if (rc == RC_OK && (actions & MASKING_SAY_VOTE)) {
        unsigned char frame[MASK_SET_BYTES_MAX + MASK_VOTE_BYTES];
        struct mask_set survivors;
        const struct mask_vote v = masking_vote(t->masking, &survivors);
        rc = say(t, WIRE_MASK_VOTE, masking_clique(t->masking), frame,
                 mask_pack_vote(&survivors, &v, frame), err);
    }
    if (rc == RC_OK && (actions & MASKING_SAY_REVEAL)) {
        rc = say_reveal(t, err);
    }
    return rc == RC_OK && (actions & MASKING_GIVE_UP) ? give_up(t, in->round, why.text, err) : rc;
}

/* ---- events ---------------------------------------------------------------------------------- */

enum rc masking_opened(struct trainer *t, uint64_t round, const struct hash *model,
                       struct error *err)
{
    struct mask_seed seed;
    const struct masking_input in = {
        .event = MASKING_OPENED, .round = round, .model = model, .seed = &seed};
    enum rc rc = open_machine(t, err);
    if (rc != RC_OK) {
        return rc;
    }
    entropy_bytes(&t->entropy, seed.b, sizeof seed.b);
    rc = step(t, &in, err);
    hash_wipe(&seed, sizeof seed);
    return rc;
}

enum rc masking_over(struct trainer *t, const struct wire_message *m, struct error *err)
{
    const struct masking_input in = {.event = MASKING_CLOSED, .round = m->round};
    struct mask_set contributors;
    struct error why = {0};
    if (t->masking == NULL) {
        return RC_OK;
    }
    static_assert(sizeof contributors.b <= sizeof m->contributed, "both have a bit for each site");
    memcpy(contributors.b, m->contributed, sizeof contributors.b);
    if (masking_outcome(t->masking, m->round, &contributors, &why) == RC_AUTH) {
        log_event(LOG_LEVEL_ERROR, "outcome_contradicted", "study=%s reason=\"%s\"",
                  t->study.agreement.study.name, why.text);
    }
    return step(t, &in, err);
}

bool masking_is_ready(const struct trainer *t, uint64_t round)
{
    return t->masking != NULL && masking_round(t->masking) == round &&
           masking_state(t->masking) == MASKING_READY;
}

static enum rc unpack(const struct trainer *t, const struct wire_message *m, const void *raw,
                      size_t raw_n, struct masking_input *in, struct error *err)
{
    const struct mask_terms terms = roster_terms(&t->study.agreement.study);
    const size_t n_sites = terms.n_sites;
    struct masking_room *room = t->masking_room;
    switch ((int)m->kind) {
    case WIRE_MASK_MEMBERS:
        in->event = MASKING_GOT_MEMBERS;
        in->announced = room->heard.announced;
        return mask_unpack_announcements(raw, raw_n, &terms, room->heard.announced, &in->n, err);
    case WIRE_MASK_PARCELS:
        in->event = MASKING_GOT_PARCELS;
        in->parcel = room->heard.parcel;
        return mask_unpack_parcels(raw, raw_n, &terms, room->heard.parcel, &in->n, err);
    case WIRE_MASK_SURVIVORS:
        in->event = MASKING_GOT_SURVIVORS;
        in->survivors = &room->survivors;
        in->vote = room->heard.vote;
        return mask_unpack_survivors(raw, raw_n, n_sites, &room->survivors, room->heard.vote,
                                     &in->n, err);
    default:
        in->event = MASKING_GOT_VOTES;
        in->vote = room->heard.vote;
        return mask_unpack_votes(raw, raw_n, n_sites, room->heard.vote, &in->n, err);
    }
}

enum rc masking_heard(struct trainer *t, const struct wire_message *m, const void *raw,
                      size_t raw_n, struct error *err)
{
    struct masking_input in = {.round = m->round};
    struct error why = {0};
    if (t->masking == NULL) {
        return RC_OK; /* we have said nothing in any round of this life */
    }
    if (unpack(t, m, raw, raw_n, &in, &why) != RC_OK) {
        refusals_note(&t->refusals, REFUSED_MALFORMED, why.text);
        return RC_OK;
    }
    return step(t, &in, err);
}
