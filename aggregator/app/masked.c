/* Masked rounds: the messages MASK_* to the machine (aggregator/unmasking), its actions to messages and rows.
 * Who is in the sum is its word; the round machine hears UNMASKED or LOST. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/app/coordinator_internal.h"
#include "common/base/log.h"

/* Phases that end with something durable, as the registry numbers them. */
enum { PHASE_KEYS, PHASE_SHARES, PHASE_SURVIVORS, PHASES };

bool masked_is(const struct coordinator *c)
{
    return study_of(c)->masked;
}

bool masked_lost(const struct coordinator *c)
{
    return c->unmasking != NULL && unmasking_state(c->unmasking) == UNMASKING_FAILED;
}

/* A round's phases around the updates: what two messages and a key take, on the study's own scale. */
static int64_t phase_ms(const struct coordinator *c)
{
    const int64_t quarter = study_of(c)->round_deadline_ms / 4;
    return quarter > 1000 ? quarter : 1000;
}

int64_t masked_opening_ms(const struct coordinator *c)
{
    return 4 * phase_ms(c) + 1000;
}

static struct mask_terms terms_of(const struct coordinator *c)
{
    const struct study *s = study_of(c);
    return (struct mask_terms){.n_sites = s->n_sites,
                               .min_sites = s->min_sites,
                               .max_colluding = s->max_colluding,
                               .threshold_least = s->threshold,
                               .neighbours = s->neighbours,
                               .shares = s->neighbour_threshold};
}

bool masked_lacks_key(const struct coordinator *c, size_t site, const struct seal_card *card)
{
    const struct study_site *s = &study_of(c)->site[site];
    return masked_is(c) && memcmp(s->key, card->sign.b, sizeof s->key) != 0;
}

struct comparing {
    const struct coordinator *c;
    size_t site; /* the first whose card has another key; n_sites: none */
};

static void compare_card(void *ctx, const struct seal_card *card, int64_t enrolled_ms,
                         int64_t revoked_ms)
{
    struct comparing *k = ctx;
    const size_t site = study_find_site(study_of(k->c), card->name);
    (void)enrolled_ms;
    if (revoked_ms == 0 && site < k->site && masked_lacks_key(k->c, site, card)) {
        k->site = site;
    }
}

enum rc masked_check_cards(const struct coordinator *c, struct error *err)
{
    const struct study *s = study_of(c);
    struct comparing k = {.c = c, .site = s->n_sites};
    enum rc rc = registry_each_card(c->registry, compare_card, &k, err);
    if (rc == RC_OK && k.site < s->n_sites) {
        error_ignore(
            error_set(err, RC_INVALID,
                      "the `key:` of site '%.40s' is not that of its enrolled card, so it could "
                      "be in no sum; write the card's `sign:`",
                      s->site[k.site].name));
        rc = error_context(err, "sites, line %zu", s->site[k.site].line);
    }
    return rc;
}

enum rc masked_check(const struct coordinator *c, struct error *err)
{
    const struct study *s = study_of(c);
    for (size_t i = 0; masked_is(c) && i < s->n_sites; i++) {
        const size_t first = study_key_first(s, i);
        enum rc rc = RC_OK;
        if (!s->site[i].keyed) {
            rc = error_set(err, RC_INVALID,
                           "the study's sums are masked: site '%s' needs `key:`, the `sign:` of "
                           "its card",
                           s->site[i].name);
        } else if (first < i) { /* it would count twice among those who open a sum */
            rc = error_set(err, RC_INVALID,
                           "the study's sums are masked: the `key:` of site '%s' is that of "
                           "'%s', too; write the `sign:` of its own card",
                           s->site[i].name, s->site[first].name);
        }
        if (rc != RC_OK) {
            return error_context(err, "sites, line %zu", s->site[i].line);
        }
    }
    return RC_OK;
}

/* ---- life ------------------------------------------------------------------------------------ */

void masked_close(struct coordinator *c)
{
    unmasking_close(&c->unmasking);
}

/* Whoever is waited for at the opening is asked for a key. */
static struct mask_set waited_for(const struct coordinator *c)
{
    const struct round_machine *m = &c->machine;
    struct mask_set out = {{0}};
    for (size_t i = 0; i < c->n_sites; i++) {
        if (m->member[i] == ROUND_ACCEPTED && m->part[i] != ROUND_SAT_OUT) {
            mask_set_add(&out, i);
        }
    }
    return out;
}

/* Who let a phase pass that waited for it to its deadline, and was not heard of then nor since. One that is
 * slow is heard: it has a connection, which asks again and tells how far its training is. */
static struct mask_set pass_over(struct coordinator *c)
{
    struct mask_set out = {{0}};
    for (size_t i = 0; i < c->n_sites; i++) {
        c->site[i].passed_over = c->site[i].silent;
        if (c->site[i].silent) {
            mask_set_add(&out, i);
        }
    }
    return out;
}

static void note_silent(struct coordinator *c, const struct mask_set *missing)
{
    for (size_t i = 0; i < c->n_sites; i++) {
        struct site *s = &c->site[i];
        s->silent = s->silent ||
                    (mask_set_has(missing, i) && (!s->heard || s->heard_ms < c->phase_since_ms));
    }
}

/* A round was lost: without them it does not work, and numbers that are used up one after another in an instant
 * leave nobody the time to come back. */
static void wait_for_all(struct coordinator *c)
{
    for (size_t i = 0; i < c->n_sites; i++) {
        c->site[i].silent = false;
    }
}

static enum rc open_machine(struct coordinator *c, const struct mask_set *invited,
                            const struct hash *model, struct error *err)
{
    const struct study *s = study_of(c);
    struct seal_public sign[MASK_SITES_MAX];
    const char *name[MASK_SITES_MAX];
    assert(s->n_sites <= MASK_SITES_MAX);
    struct unmasking_setup setup = {.study = *coordinator_study(c),
                                    .model = *model,
                                    .round = c->machine.round,
                                    .terms = terms_of(c),
                                    .sign = sign,
                                    .invited = *invited,
                                    .silent = pass_over(c),
                                    .quorum = s->quorum,
                                    .phase_ms = phase_ms(c),
                                    .update_ms = s->round_deadline_ms,
                                    .now_ms = c->now_ms};
    for (size_t i = 0; i < s->n_sites; i++) {
        memcpy(sign[i].b, s->site[i].key, sizeof sign[i].b);
        name[i] = s->site[i].name;
    }
    setup.roster = mask_roster(name, sign, s->n_sites);
    masked_close(c);
    c->phase_since_ms = c->now_ms;
    return unmasking_open(&setup, &c->unmasking, err);
}

/* ---- what is durable ------------------------------------------------------------------------- */

static enum rc keep_phase(struct coordinator *c, size_t phase, const unsigned char *bytes, size_t n,
                          struct error *err)
{
    return registry_keep_phase(c->registry, coordinator_study(c), c->machine.round, phase, bytes, n,
                               err);
}

static enum rc keep_shares(struct coordinator *c, struct error *err)
{
    const size_t n_sites = c->n_sites;
    const struct mask_terms terms = terms_of(c);
    const size_t each = mask_shares_bytes(&terms);
    const struct mask_set *dealers = unmasking_dealers(c->unmasking);
    unsigned char *bytes = malloc(each * n_sites);
    size_t n = 0;
    if (bytes == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the shares of %zu sites", n_sites);
    }
    for (size_t i = 0; i < n_sites; i++) {
        if (mask_set_has(dealers, i)) {
            struct mask_deal deal;
            const struct mask_portion *portion = unmasking_deal(c->unmasking, i, &deal);
            n += mask_pack_shares(&deal, portion, mask_slots(&terms), bytes + n);
        }
    }
    const enum rc rc = keep_phase(c, PHASE_SHARES, bytes, n, err);
    free(bytes);
    return rc;
}

/* Who was asked and is not in the sum: the reason stays with the round. */
static enum rc keep_absences(struct coordinator *c, struct error *err)
{
    const struct round_machine *m = &c->machine;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < c->n_sites; i++) {
        if (m->member[i] != ROUND_ACCEPTED || m->part[i] != ROUND_WAITED_FOR) {
            continue;
        }
        char reason[REASON_MAX];
        absence_at_deadline(c, i, reason);
        uploads_drop(c, i, false);
        rc = registry_keep_part(c->registry, coordinator_study(c), m->round, i, NULL, 0, reason,
                                c->wall_ms, err);
        log_event(LOG_LEVEL_WARN, "site_not_in_the_sum", "site=%s round=%llu reason=\"%s\"",
                  site_name(c, i), (unsigned long long)m->round, reason);
    }
    return rc;
}

/* What the phase before the present one ended with. */
static enum rc keep(struct coordinator *c, struct error *err)
{
    struct unmasking *u = c->unmasking;
    static unsigned char bytes[MASK_SITES_MAX * (MASK_ANNOUNCEMENT_BYTES + MASK_DRAW_BYTES)];
    static struct mask_announcement a[MASK_SITES_MAX];
    if (unmasking_state(u) == UNMASKING_DEALING) {
        const size_t n = unmasking_members(u, a);
        return keep_phase(c, PHASE_KEYS, bytes, mask_pack_announcements(a, n, bytes), err);
    }
    if (unmasking_state(u) == UNMASKING_UPDATING) {
        return keep_shares(c, err);
    }
    static struct mask_vote list[MASK_SITES_MAX];
    const size_t n = mask_pack_survivors(unmasking_survivors(u), list,
                                         unmasking_lists(u, SIZE_MAX, list), bytes);
    const enum rc rc = keep_absences(c, err);
    return rc == RC_OK ? keep_phase(c, PHASE_SURVIVORS, bytes, n, err) : rc;
}

/* ---- saying ---------------------------------------------------------------------------------- */

static enum rc say(struct coordinator *c, size_t site, enum wire_kind kind, struct error *err)
{
    static unsigned char raw[MASK_RAW_MAX];
    static union {
        struct mask_announcement announced[MASK_SITES_MAX];
        struct mask_parcel parcel[MASK_SITES_MAX];
        struct mask_vote vote[MASK_SITES_MAX];
    } u;
    struct wire_message m = {.kind = kind, .round = c->machine.round};
    size_t n;
    if (kind == WIRE_MASK_MEMBERS) {
        n = mask_pack_announcements(u.announced, unmasking_members(c->unmasking, u.announced), raw);
    } else if (kind == WIRE_MASK_PARCELS) {
        n = mask_pack_parcels(u.parcel, unmasking_parcels(c->unmasking, site, u.parcel), raw);
    } else if (kind == WIRE_MASK_SURVIVORS) {
        n = mask_pack_survivors(unmasking_survivors(c->unmasking), u.vote,
                                unmasking_lists(c->unmasking, site, u.vote), raw);
    } else {
        n = mask_pack_votes(u.vote, unmasking_votes(c->unmasking, u.vote), raw);
    }
    return answer_send(c, site, &m, raw, n, NULL, err);
}

static enum rc cast(struct coordinator *c, enum wire_kind kind, const struct mask_set *to,
                    struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < c->n_sites; i++) {
        if (mask_set_has(to, i) && c->site[i].heard) {
            rc = say(c, i, kind, err);
        }
    }
    return rc;
}

static enum rc say_all(struct coordinator *c, unsigned actions, size_t site, struct error *err)
{
    static const struct {
        unsigned reply, cast;
        enum wire_kind kind;
        const struct mask_set *(*to)(const struct unmasking *m);
    } message[] = {
        {UNMASKING_REPLY_MEMBERS, UNMASKING_CAST_MEMBERS, WIRE_MASK_MEMBERS, unmasking_announced},
        {UNMASKING_REPLY_PARCELS, UNMASKING_CAST_PARCELS, WIRE_MASK_PARCELS, unmasking_dealers},
        {UNMASKING_REPLY_SURVIVORS, UNMASKING_CAST_SURVIVORS, WIRE_MASK_SURVIVORS,
         unmasking_survivors},
        {UNMASKING_REPLY_VOTES, UNMASKING_CAST_VOTES, WIRE_MASK_VOTES, unmasking_survivors}};
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sizeof message / sizeof message[0]; i++) {
        if (actions & message[i].reply) {
            rc = say(c, site, message[i].kind, err);
        }
        if (rc == RC_OK && (actions & message[i].cast)) {
            rc = cast(c, message[i].kind, message[i].to(c->unmasking), err);
        }
    }
    return rc;
}

/* ---- actions --------------------------------------------------------------------------------- */

static enum rc act(struct coordinator *c, unsigned actions, size_t site, const struct error *why,
                   struct error *err)
{
    enum rc rc = RC_OK;
    if (actions & UNMASKING_LIAR) {
        log_event(LOG_LEVEL_ERROR, "masking_liar", "site=%s round=%llu",
                  site_name(c, unmasking_liar(c->unmasking)), (unsigned long long)c->machine.round);
    }
    if (actions & UNMASKING_PROTOCOL_ERROR) {
        refuse(c, REFUSED_PROTOCOL, site_name(c, site), why->text);
    }
    if (actions & UNMASKING_KEEP) {
        log_event(LOG_LEVEL_INFO, "masked_phase", "round=%llu keys=%zu shares=%zu updates=%zu",
                  (unsigned long long)c->machine.round,
                  mask_set_count(unmasking_announced(c->unmasking)),
                  mask_set_count(unmasking_dealers(c->unmasking)),
                  mask_set_count(unmasking_survivors(c->unmasking)));
        rc = keep(c, err);
    }
    if (rc == RC_OK) {
        rc = say_all(c, actions, site, err);
    }
    if (rc == RC_OK && (actions & UNMASKING_UNMASK)) {
        rc = coordinator_step(c, &(struct said){.event = ROUND_UNMASKED}, err);
    }
    if (rc == RC_OK && (actions & UNMASKING_FAIL)) {
        (void)snprintf(c->why, sizeof c->why, "round %llu: %.200s",
                       (unsigned long long)c->machine.round, why->text);
        rc = coordinator_step(c, &(struct said){.event = ROUND_LOST}, err);
    }
    return rc;
}

/* Who could have kept a phase from being too small when its time was up: the first few by name. */
static void name_missing(const struct coordinator *c, const struct mask_set *missing,
                         struct error *why)
{
    enum { NAMED = 3 };
    size_t n = 0;
    for (size_t i = 0; i < c->n_sites; i++) {
        size_t used = strlen(why->text);
        if (mask_set_has(missing, i) && n++ < NAMED && used < sizeof why->text) {
            (void)snprintf(why->text + used, sizeof why->text - used, "%s %.*s",
                           n == 1 ? "; without" : "", 24, site_name(c, i));
        }
    }
    const size_t used = strlen(why->text);
    if (n > NAMED && used < sizeof why->text) {
        (void)snprintf(why->text + used, sizeof why->text - used, " and %zu more", n - NAMED);
    }
}

static enum rc step(struct coordinator *c, struct unmasking_input in, struct error *err)
{
    struct error why = {0};
    const struct mask_set missing = unmasking_waited_for(c->unmasking);
    const enum unmasking_state before = unmasking_state(c->unmasking);
    in.now_ms = c->now_ms;
    const unsigned actions = unmasking_step(c->unmasking, &in, &why);
    if ((actions & UNMASKING_FAIL) && in.event == UNMASKING_TIMED_OUT) {
        name_missing(c, &missing, &why);
    }
    if (unmasking_state(c->unmasking) != before) {
        if (actions & UNMASKING_FAIL) {
            wait_for_all(c);
        } else if (in.event == UNMASKING_TIMED_OUT) {
            note_silent(c, &missing);
        }
        c->phase_since_ms = c->now_ms;
    }
    return act(c, actions, in.site, &why, err);
}

static bool is_open(const struct coordinator *c)
{
    return c->unmasking != NULL && c->machine.state == ROUND_OPEN &&
           unmasking_round(c->unmasking) == c->machine.round;
}

enum rc masked_open_round(struct coordinator *c, struct error *err)
{
    const struct mask_set invited = waited_for(c);
    /* A round that was resumed has its machine already. */
    return is_open(c) ? RC_OK : open_machine(c, &invited, &c->sent_as.hash, err);
}

bool masked_wants_update(const struct coordinator *c, size_t site)
{
    /* one that said CANNOT and found its update again is welcome, too */
    return is_open(c) && unmasking_wants_update(c->unmasking, site);
}

enum rc masked_said(struct coordinator *c, const struct said *said, struct error *err)
{
    static const enum unmasking_event event[ROUND_EVENTS] = {
        [ROUND_GOT_ACCEPT] = UNMASKING_GOT_POLL,
        [ROUND_GOT_DECLINE] = UNMASKING_GOT_CANNOT,
        [ROUND_GOT_UPDATE] = UNMASKING_GOT_UPDATE,
        [ROUND_GOT_CANNOT] = UNMASKING_GOT_CANNOT,
    };
    const bool concerns = said->event == ROUND_GOT_ACCEPT || said->event == ROUND_GOT_DECLINE ||
                          said->event == ROUND_GOT_UPDATE || said->event == ROUND_GOT_CANNOT;
    if (!concerns || !is_open(c)) {
        return RC_OK;
    }
    const bool of_round = said->event == ROUND_GOT_UPDATE || said->event == ROUND_GOT_CANNOT;
    const struct unmasking_input in = {.event = event[said->event],
                                       .site = said->site,
                                       .round = of_round ? said->round : c->machine.round};
    return step(c, in, err);
}

enum rc masked_timers(struct coordinator *c, struct error *err)
{
    if (!is_open(c) || c->now_ms < unmasking_deadline(c->unmasking)) {
        return RC_OK;
    }
    return step(c, (struct unmasking_input){.event = UNMASKING_TIMED_OUT}, err);
}

int64_t masked_due_ms(const struct coordinator *c)
{
    return is_open(c) ? unmasking_deadline(c->unmasking) : INT64_MAX;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Large; one at a time. */
static struct mask_portion portions[MASK_SLOTS_MAX];
static struct mask_reveal reveals[MASK_SITES_MAX];
static struct mask_announcement announced[MASK_SITES_MAX];

enum rc masked_heard(struct coordinator *c, size_t site, const struct wire_message *m,
                     const void *raw, size_t raw_n, struct error *err)
{
    struct unmasking_input in = {.site = site, .round = m->round, .portion = portions};
    const struct mask_terms terms = terms_of(c);
    struct mask_deal deal;
    struct mask_set survivors;
    struct mask_vote vote;
    struct error why = {0};
    enum rc rc;
    if (!is_open(c)) {
        return RC_OK; /* a delayed copy, or a study that is not masked */
    }
    if (m->kind == WIRE_MASK_KEY) {
        in.event = UNMASKING_GOT_ANNOUNCEMENT;
        in.announcement = announced;
        rc = mask_unpack_announcements(raw, raw_n, &terms, announced, &in.n, &why);
    } else if (m->kind == WIRE_MASK_SHARES) {
        in.event = UNMASKING_GOT_DEAL;
        in.deal = &deal;
        in.n = mask_slots(&terms);
        rc = mask_unpack_shares(raw, raw_n, &terms, &deal, portions, &why);
    } else if (m->kind == WIRE_MASK_LIST) {
        in.event = UNMASKING_GOT_LIST;
        in.list = &vote;
        rc = mask_unpack_votes(raw, raw_n > MASK_VOTE_BYTES ? 0 : raw_n, c->n_sites, &vote, &in.n,
                               &why);
    } else if (m->kind == WIRE_MASK_VOTE) {
        in.event = UNMASKING_GOT_VOTE;
        in.survivors = &survivors;
        in.vote = &vote;
        rc = mask_unpack_vote(raw, raw_n, c->n_sites, &survivors, &vote, &why);
    } else {
        in.event = UNMASKING_GOT_REVEAL;
        in.reveal = reveals;
        rc = mask_unpack_reveals(raw, raw_n, c->n_sites, reveals, &in.n, &why);
    }
    if (rc != RC_OK) {
        refuse(c, REFUSED_MALFORMED, site_name(c, site), why.text);
        return RC_OK;
    }
    return step(c, in, err);
}

/* ---- after a restart ------------------------------------------------------------------------- */

/* Who was asked for a key. If that is over, whoever gave one, and has perhaps said CANNOT since. */
static enum rc invited_before(struct coordinator *c, struct mask_set *invited, struct error *err)
{
    const struct mask_terms terms = terms_of(c);
    const void *kept = NULL;
    size_t n = 0;
    size_t count = 0;
    bool over = false;
    *invited = waited_for(c);
    enum rc rc = registry_phase(c->registry, coordinator_study(c), c->machine.round, PHASE_KEYS,
                                &over, &kept, &n, err);
    if (rc != RC_OK || !over) {
        return rc;
    }
    rc = mask_unpack_announcements(kept, n, &terms, announced, &count, err);
    *invited = (struct mask_set){{0}};
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        mask_set_add(invited, announced[i].site);
    }
    return rc;
}

/* One answer of a phase that is over; what it would have caused has happened. */
static enum rc feed(struct coordinator *c, struct unmasking_input in, struct error *err)
{
    struct error why = {0};
    in.round = c->machine.round;
    in.now_ms = c->now_ms;
    const unsigned actions = unmasking_step(c->unmasking, &in, &why);
    return actions & UNMASKING_PROTOCOL_ERROR
               ? error_set(err, RC_FORMAT, "the registry is damaged: a masked round's answers: %s",
                           why.text)
               : RC_OK;
}

static enum rc feed_keys(struct coordinator *c, const void *raw, size_t n, struct error *err)
{
    const struct mask_terms terms = terms_of(c);
    size_t count = 0;
    enum rc rc = mask_unpack_announcements(raw, n, &terms, announced, &count, err);
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        rc = feed(c,
                  (struct unmasking_input){.event = UNMASKING_GOT_ANNOUNCEMENT,
                                           .site = announced[i].site,
                                           .announcement = &announced[i]},
                  err);
    }
    return rc;
}

static enum rc feed_shares(struct coordinator *c, const unsigned char *raw, size_t n,
                           struct error *err)
{
    const struct mask_terms terms = terms_of(c);
    const size_t each = mask_shares_bytes(&terms);
    struct mask_deal deal;
    enum rc rc = RC_OK;
    for (size_t at = 0; rc == RC_OK && at + each <= n; at += each) {
        rc = mask_unpack_shares(raw + at, each, &terms, &deal, portions, err);
        if (rc == RC_OK) {
            rc = feed(c,
                      (struct unmasking_input){.event = UNMASKING_GOT_DEAL,
                                               .site = deal.site,
                                               .deal = &deal,
                                               .portion = portions,
                                               .n = mask_slots(&terms)},
                      err);
        }
    }
    return rc;
}

static enum rc feed_survivors(struct coordinator *c, const void *raw, size_t n, struct error *err)
{
    static struct mask_vote list[MASK_SITES_MAX];
    struct mask_set set;
    size_t lists = 0;
    enum rc rc = mask_unpack_survivors(raw, n, c->n_sites, &set, list, &lists, err);
    for (size_t i = 0; rc == RC_OK && i < lists; i++) {
        rc = feed(c,
                  (struct unmasking_input){
                      .event = UNMASKING_GOT_LIST, .site = list[i].site, .list = &list[i]},
                  err);
    }
    for (size_t i = 0; rc == RC_OK && i < c->n_sites; i++) {
        if (mask_set_has(&set, i)) {
            rc = feed(c, (struct unmasking_input){.event = UNMASKING_GOT_UPDATE, .site = i}, err);
        }
    }
    return rc;
}

static enum rc feed_phase(struct coordinator *c, size_t phase, bool *over, struct error *err)
{
    const void *kept = NULL;
    size_t n = 0;
    struct error why = {0};
    enum rc rc = registry_phase(c->registry, coordinator_study(c), c->machine.round, phase, over,
                                &kept, &n, err);
    if (rc != RC_OK || !*over) {
        return rc;
    }
    rc = phase == PHASE_KEYS     ? feed_keys(c, kept, n, err)
         : phase == PHASE_SHARES ? feed_shares(c, kept, n, err)
                                 : feed_survivors(c, kept, n, err);
    if (rc == RC_OK && (size_t)unmasking_state(c->unmasking) == phase) { /* by its deadline */
        const struct unmasking_input in = {.event = UNMASKING_TIMED_OUT,
                                           .now_ms = unmasking_deadline(c->unmasking)};
        (void)unmasking_step(c->unmasking, &in, &why);
    }
    if (rc == RC_OK && (size_t)unmasking_state(c->unmasking) != phase + 1) {
        rc = error_set(err, RC_FORMAT,
                       "the registry is damaged: a masked round's phase %zu does not end as it did",
                       phase);
    }
    return rc;
}

/* Under this name of the round's model. */
static enum rc resume_as(struct coordinator *c, const struct mask_set *invited,
                         const struct hash *model, struct error *err)
{
    bool over = true;
    enum rc rc = open_machine(c, invited, model, err);
    for (size_t phase = 0; rc == RC_OK && over && phase < PHASES; phase++) {
        rc = feed_phase(c, phase, &over, err);
    }
    return rc;
}

enum rc masked_resume(struct coordinator *c, struct error *err)
{
    static_assert((int)UNMASKING_ANNOUNCING == (int)PHASE_KEYS, "phases count as states do");
    static_assert((int)UNMASKING_UPDATING == (int)PHASE_SURVIVORS, "phases count as states do");
    struct mask_set invited;
    enum rc rc = invited_before(c, &invited, err);
    if (rc == RC_OK) {
        rc = resume_as(c, &invited, &c->sent_as.hash, err);
    }
    if (rc == RC_FORMAT) { /* or did an older program ask for them? */
        struct error ignored = {0};
        const struct hash before = hash_before_trees(c->sent, c->sent_as.bytes);
        c->outdated = resume_as(c, &invited, &before, &ignored) == RC_OK;
        rc = c->outdated ? RC_OK : rc;
    }
    if (rc == RC_OK) {
        (void)unmasking_resume(c->unmasking, c->now_ms); /* nobody is heard of yet: they ask */
    }
    return rc;
}

enum rc masked_settle(struct coordinator *c, struct error *err)
{
    const struct round_machine *m = &c->machine;
    enum rc rc = RC_OK;
    const uint64_t round = m->round;
    if (c->outdated) { /* what would be said now has a name that no answer before it has */
        c->outdated = false;
        (void)snprintf(c->why, sizeof c->why,
                       "round %llu: it was begun by an older program, which named the model "
                       "otherwise, and cannot be gone on with",
                       (unsigned long long)round);
        return coordinator_step(c, &(struct said){.event = ROUND_LOST}, err);
    }
    for (size_t i = 0; rc == RC_OK && is_open(c) && m->round == round && i < c->n_sites; i++) {
        struct unmasking_input in = {.site = i, .round = round};
        if (m->part[i] == ROUND_CONTRIBUTED &&
            unmasking_state(c->unmasking) == UNMASKING_UPDATING) { /* its list comes again */
            in.event = UNMASKING_GOT_UPDATE;
            rc = step(c, in, err);
        } else if (m->part[i] == ROUND_SAT_OUT || m->member[i] != ROUND_ACCEPTED) {
            in.event = UNMASKING_GOT_CANNOT;
            rc = step(c, in, err);
        }
    }
    return rc;
}
