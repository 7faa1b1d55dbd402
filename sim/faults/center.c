/*
 * The driver of the coordinator: round and unmasking as docs/PROTOCOL.md puts them together, its registry
 * on disk, KEEP before REPLY before CAST before MERGE. A lying coordinator is this one with its letters
 * bent (liar.c), and perhaps a second face.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/faults/faults_internal.h"

enum { PHASE_MS = 3000, UPDATE_MS = 12000, ROUND_MS = 20000, JOIN_MS = 25000 };

static RC act(struct world *w, unsigned actions, const struct letter *l, struct error *err);

/* A record of the registry failed: the program stops, and a restart continues from what is there. */
static RC kept(struct world *w, enum rc rc, const char *what, struct error *err)
{
    disk_after();
    if (rc != RC_OK) {
        char why[160];
        (void)snprintf(why, sizeof why, "%.150s", err->text);
        note(w, "  cannot keep %s: %s", what, why);
        return error_set(err, rc == RC_STATE ? RC_STATE : RC_IO, "cannot keep %s: %s", what, why);
    }
    return point(w, CENTER, err);
}

enum rc center_say(struct world *w, struct letter l, const void *raw, size_t n, struct error *err)
{
    l.from = CENTER;
    note(w, "  -> %zu: %s of round %llu", l.to, kind_name(l.kind), (unsigned long long)l.round);
    return send_letter(w, l, raw, n, err);
}

static RC say(struct world *w, struct letter l, const void *raw, size_t n, struct error *err)
{
    static unsigned char own[MASK_RAW_MAX];
    if (w->s.lie == LIE_NONE) {
        tracker_said(w, &l);
    } else {
        bool swallow = false;
        memcpy(own, raw == NULL ? "" : raw, n);
        liar_bends(w, &l, own, &n, &swallow);
        if (swallow) {
            return RC_OK;
        }
        raw = own;
    }
    const enum rc rc = center_say(w, l, raw, n, err);
    return rc == RC_OK ? point(w, CENTER, err) : rc;
}

/* ---- the masked round ------------------------------------------------------------------------ */

static struct face *face_of(struct world *w, size_t site)
{
    struct center *c = &w->center;
    for (size_t i = 0; i < c->n_faces; i++) {
        if (c->face[i].u != NULL && mask_set_has(&c->face[i].invited, site)) {
            return &c->face[i];
        }
    }
    return NULL;
}

static void close_faces(struct center *c)
{
    for (size_t i = 0; i < 2; i++) {
        unmasking_close(&c->face[i].u);
    }
    c->n_faces = 0;
}

static RC open_faces(struct world *w, struct error *err)
{
    struct center *c = &w->center;
    const struct round_machine *m = c->machine;
    struct mask_set invited[2] = {{{0}}, {{0}}};
    close_faces(c);
    for (size_t i = 0; i < m->n_sites; i++) {
        if (m->member[i] == ROUND_ACCEPTED) {
            mask_set_add(&invited[0], i);
        }
    }
    if (w->s.lie != LIE_NONE) {
        liar_opens(w, invited);
    }
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < 2 && mask_set_count(&invited[i]) > 0; i++) {
        const struct unmasking_setup setup = {.study = w->study_hash,
                                              .roster = w->roster_hash,
                                              .model = c->model_hash,
                                              .round = m->round,
                                              .terms = w->s.terms,
                                              .sign = w->sign,
                                              .invited = invited[i],
                                              .phase_ms = PHASE_MS,
                                              .update_ms = UPDATE_MS,
                                              .now_ms = w->now_ms};
        c->face[i].invited = invited[i];
        rc = unmasking_open(&setup, &c->face[i].u, err);
        c->n_faces = i + 1;
    }
    return rc;
}

static size_t pack_phase(const struct world *w, const struct unmasking *u, size_t phase,
                         unsigned char *raw)
{
    struct mask_announcement a[SITES];
    size_t at = 0;
    if (phase == 0) {
        return mask_pack_announcements(a, unmasking_members(u, a), raw);
    }
    if (phase == 1) { /* shares as they came, one after the other */
        for (size_t i = 0; i < sites_of(w); i++) {
            if (mask_set_has(unmasking_dealers(u), i)) {
                memcpy(raw + at, w->center.shares[i], w->center.shares_bytes);
                at += w->center.shares_bytes;
            }
        }
        return at;
    }
    return mask_pack_survivors(unmasking_survivors(u), raw);
}

static RC keep_phase(struct world *w, const struct face *f, struct error *err)
{
    static unsigned char raw[SITES * (MASK_DEAL_BYTES + SITES * MASK_PORTION_BYTES)];
    const size_t phase = (size_t)unmasking_state(f->u) - 1;
    const size_t n = pack_phase(w, f->u, phase, raw);
    disk_before(w, CENTER);
    const enum rc rc = registry_keep_phase(w->center.registry, &w->study_hash,
                                           w->center.machine->round, phase, raw, n, err);
    return kept(w, rc, "a phase", err);
}

static RC say_phase(struct world *w, const struct face *f, enum kind kind, size_t to,
                    struct error *err)
{
    static unsigned char raw[MASK_RAW_MAX];
    struct mask_announcement a[SITES];
    struct mask_parcel p[SITES];
    struct mask_vote v[SITES];
    size_t n = 0;
    if (kind == MEMBERS) {
        n = mask_pack_announcements(a, unmasking_members(f->u, a), raw);
    } else if (kind == PARCELS) {
        n = mask_pack_parcels(p, unmasking_parcels(f->u, to, p), raw);
    } else if (kind == SURVIVORS) {
        n = mask_pack_survivors(unmasking_survivors(f->u), raw);
    } else {
        n = mask_pack_votes(v, unmasking_votes(f->u, v), raw);
    }
    return say(w, (struct letter){.kind = kind, .to = to, .round = unmasking_round(f->u)}, raw, n,
               err);
}

static RC say_phases(struct world *w, const struct face *f, unsigned actions, size_t site,
                     struct error *err)
{
    static const struct {
        unsigned cast, reply;
        enum kind kind;
    } table[] = {{UNMASKING_CAST_MEMBERS, UNMASKING_REPLY_MEMBERS, MEMBERS},
                 {UNMASKING_CAST_PARCELS, UNMASKING_REPLY_PARCELS, PARCELS},
                 {UNMASKING_CAST_SURVIVORS, UNMASKING_REPLY_SURVIVORS, SURVIVORS},
                 {UNMASKING_CAST_VOTES, UNMASKING_REPLY_VOTES, VOTES}};
    const struct mask_set *to[] = {unmasking_announced(f->u), unmasking_dealers(f->u),
                                   unmasking_survivors(f->u), unmasking_survivors(f->u)};
    enum rc rc = RC_OK;
    for (size_t k = 0; k < 4; k++) {
        for (size_t i = 0; rc == RC_OK && i < sites_of(w); i++) {
            const bool cast = (actions & table[k].cast) && mask_set_has(to[k], i);
            if (cast || ((actions & table[k].reply) && i == site)) {
                rc = say_phase(w, f, table[k].kind, i, err);
            }
        }
    }
    return rc;
}

/* A second face has no registry: it says its outcome to whom it holds. */
static RC second_outcome(struct world *w, const struct face *f, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sites_of(w); i++) {
        if (mask_set_has(&f->invited, i)) {
            const struct letter l = {.kind = OUTCOME,
                                     .to = i,
                                     .round = unmasking_round(f->u),
                                     .set = *unmasking_survivors(f->u)};
            rc = center_say(w, l, NULL, 0, err);
        }
    }
    return rc;
}

static RC unmasks(struct world *w, struct face *f, struct unmasking_input in, struct error *err)
{
    struct center *c = &w->center;
    struct error why = {0};
    const unsigned actions = unmasking_step(f->u, &in, &why);
    const bool second = f == &c->face[1];
    enum rc rc = RC_OK;
    w->result->refused += (actions & UNMASKING_PROTOCOL_ERROR) != 0;
    if (actions & (UNMASKING_PROTOCOL_ERROR | UNMASKING_FAIL)) {
        note(w, "  %s: %s", actions & UNMASKING_FAIL ? "the round is lost" : "refuses", why.text);
    }
    if (actions & UNMASKING_LIAR) {
        tracker_named(w, unmasking_liar(f->u));
    }
    if ((actions & UNMASKING_KEEP) && !second && !(actions & UNMASKING_FAIL)) {
        rc = keep_phase(w, f, err);
    }
    if (rc == RC_OK) {
        rc = say_phases(w, f, actions, in.site, err);
    }
    if (rc == RC_OK && second) {
        return (actions & UNMASKING_UNMASK) ? second_outcome(w, f, err) : RC_OK;
    }
    struct round_input round = {.now_ms = w->now_ms, .round = c->machine->round};
    if (rc == RC_OK && (actions & UNMASKING_UNMASK)) {
        round.event = ROUND_UNMASKED;
        rc = act(w, round_step(c->machine, &round), NULL, err);
    }
    if (rc == RC_OK && (actions & UNMASKING_FAIL)) {
        (void)snprintf(c->lost, sizeof c->lost, "%.190s", why.text);
        round.event = ROUND_LOST;
        rc = act(w, round_step(c->machine, &round), NULL, err);
    }
    return rc;
}

static RC got_masks(struct world *w, const struct letter *l, struct error *err)
{
    static struct mask_portion portion[SITES];
    struct center *c = &w->center;
    struct face *f = face_of(w, l->from);
    struct mask_announcement a;
    struct mask_deal d;
    struct mask_vote v;
    struct mask_set s;
    struct mask_reveal r[SITES];
    struct error bad;
    size_t n = 0;
    enum rc rc = RC_FORMAT;
    if (f == NULL || c->machine->state != ROUND_OPEN) {
        return RC_OK;
    }
    struct unmasking_input in = {.now_ms = w->now_ms, .site = l->from, .round = l->round};
    if (l->kind == KEY) {
        in.event = UNMASKING_GOT_ANNOUNCEMENT;
        in.announcement = &a;
        rc = mask_unpack_announcements(l->raw, l->n, sites_of(w), &a, &n, &bad);
    } else if (l->kind == SHARES) {
        in.event = UNMASKING_GOT_DEAL;
        in.deal = &d;
        in.portion = portion;
        in.n = sites_of(w);
        rc = mask_unpack_shares(l->raw, l->n, sites_of(w), &d, portion, &bad);
        const struct mask_set before = *unmasking_dealers(f->u);
        if (rc == RC_OK && !mask_set_has(&before, l->from)) {
            memcpy(c->shares[l->from], l->raw, l->n);
            c->shares_bytes = l->n;
        }
    } else if (l->kind == VOTE) {
        in.event = UNMASKING_GOT_VOTE;
        in.survivors = &s;
        in.vote = &v;
        rc = mask_unpack_vote(l->raw, l->n, sites_of(w), &s, &v, &bad);
    } else {
        in.event = UNMASKING_GOT_REVEAL;
        in.reveal = r;
        rc = mask_unpack_reveals(l->raw, l->n, sites_of(w), r, &in.n, &bad);
    }
    if (rc != RC_OK) {
        w->result->refused++;
        return RC_OK;
    }
    return unmasks(w, f, in, err);
}

/* ---- actions of the round's machine ---------------------------------------------------------- */

static struct mask_set contributors(const struct round_machine *m)
{
    struct mask_set s = {{0}};
    for (size_t i = 0; i < m->n_sites; i++) {
        if (m->part[i] == ROUND_CONTRIBUTED) {
            mask_set_add(&s, i);
        }
    }
    return s;
}

/* Of the newest finished round, as it was committed. */
static RC outcome_letter(struct world *w, struct letter *l, struct error *err)
{
    struct center *c = &w->center;
    bool found = false, failed = false, contributed[SITES] = {false};
    char reason[240];
    l->round = round_finished(c->machine);
    const enum rc rc = registry_outcome(c->registry, &w->study_hash, l->round, &found, contributed,
                                        sites_of(w), &failed, reason, err);
    if (rc == RC_OK && found) {
        for (size_t i = 0; i < sites_of(w); i++) {
            if (contributed[i]) {
                mask_set_add(&l->set, i);
            }
        }
        l->model = c->model_hash;
    } else {
        l->set = contributors(c->machine);
    }
    return rc == RC_OK ? RC_OK : error_set(err, RC_IO, "cannot read the registry");
}

static RC reply(struct world *w, size_t site, enum kind kind, struct error *err)
{
    const struct round_machine *m = w->center.machine;
    struct letter l = {.kind = kind, .to = site, .round = m->round};
    enum rc rc = RC_OK;
    if (kind == ROUND) {
        l.left_ms = round_left_ms(m, w->now_ms);
        l.model = w->center.model_hash;
    }
    if (kind == OUTCOME) {
        rc = outcome_letter(w, &l, err);
    }
    return rc == RC_OK ? say(w, l, NULL, 0, err) : rc;
}

static RC keep(struct world *w, unsigned actions, const struct letter *l, bool *dropped,
               struct error *err)
{
    struct center *c = &w->center;
    struct round_machine *m = c->machine;
    enum rc rc = RC_OK;
    if (actions & ROUND_KEEP_MEMBER) {
        disk_before(w, CENTER);
        rc = registry_keep_member(c->registry, &w->study_hash, l->from, m->member[l->from],
                                  l->reason, w->now_ms, err);
        rc = kept(w, rc, "an answer", err);
    }
    if (rc == RC_OK && (actions & ROUND_KEEP_PART)) {
        const bool update = l->kind == UPDATE;
        const uint64_t round = l->kind == ACCEPT ? m->round : l->round;
        disk_before(w, CENTER);
        rc = registry_keep_part(c->registry, &w->study_hash, round, l->from, update ? l->raw : NULL,
                                update ? l->n : 0, update ? NULL : "sits it out", w->now_ms, err);
        if (rc == RC_STATE) {
            disk_after();
            *dropped = true;
            return RC_OK;
        }
        rc = kept(w, rc, "a part", err);
    }
    if (rc == RC_OK && (actions & ROUND_KEEP_LOST)) {
        disk_before(w, CENTER);
        rc = registry_lose_round(c->registry, &w->study_hash, m->round - 1,
                                 c->lost[0] != '\0' ? c->lost : "time is up", w->now_ms, err);
        rc = kept(w, rc, "a lost round", err);
        c->lost[0] = '\0';
        w->result->lost_rounds++;
    }
    if (rc == RC_OK && (actions & ROUND_KEEP_FAILURE)) {
        bool contributed[SITES] = {false};
        const struct mask_set who = contributors(m);
        for (size_t i = 0; i < m->n_sites; i++) {
            contributed[i] = mask_set_has(&who, i);
        }
        disk_before(w, CENTER);
        rc = registry_commit_failure(c->registry, &w->study_hash, m->round, contributed, m->n_sites,
                                     c->lost[0] != '\0' ? c->lost : "below the quorum", w->now_ms,
                                     err);
        rc = kept(w, rc, "the failure", err);
    }
    return rc;
}

static RC replies(struct world *w, unsigned actions, size_t to, struct error *err)
{
    static const struct {
        enum round_action action;
        enum kind kind;
    } message[] = {{ROUND_REPLY_STUDY, STUDY},
                   {ROUND_REPLY_OUTCOME, OUTCOME},
                   {ROUND_REPLY_ROUND, ROUND},
                   {ROUND_REPLY_ACK, ACK},
                   {ROUND_REPLY_DONE, DONE}};
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sizeof message / sizeof message[0]; i++) {
        if (actions & message[i].action) {
            rc = reply(w, to, message[i].kind, err);
        }
    }
    return rc;
}

static RC cast(struct world *w, enum kind kind, struct error *err)
{
    const struct round_machine *m = w->center.machine;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < m->n_sites; i++) {
        const bool accepted = m->member[i] == ROUND_ACCEPTED;
        if (kind == DONE || (accepted && kind == OUTCOME) ||
            (accepted && m->part[i] == ROUND_WAITED_FOR)) {
            rc = reply(w, i, kind, err);
        }
    }
    return rc;
}

static RC open_round(struct world *w, struct error *err)
{
    struct center *c = &w->center;
    disk_before(w, CENTER);
    enum rc rc =
        registry_open_round(c->registry, &w->study_hash, c->machine->round, w->now_ms, err);
    rc = kept(w, rc, "that a round opens", err);
    if (rc == RC_OK &&
        (c->face[0].u == NULL || unmasking_round(c->face[0].u) != c->machine->round)) {
        rc = open_faces(w, err);
    }
    return rc == RC_OK ? cast(w, ROUND, err) : rc;
}

static RC act(struct world *w, unsigned actions, const struct letter *l, struct error *err)
{
    bool dropped = false;
    w->result->refused += (actions & ROUND_PROTOCOL_ERROR) != 0;
    enum rc rc = keep(w, actions, l, &dropped, err);
    if (rc != RC_OK || dropped) {
        return rc;
    }
    if (l != NULL && l->from != CENTER) {
        rc = replies(w, actions, l->from, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_OUTCOME)) {
        rc = cast(w, OUTCOME, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_ROUND)) {
        rc = open_round(w, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_DONE)) {
        close_faces(&w->center);
        rc = cast(w, DONE, err);
    }
    if (rc == RC_OK && (actions & ROUND_MERGE)) {
        rc = do_later(w, (struct letter){.kind = MERGE_DUE, .to = CENTER, .life = w->center.life},
                      3, err);
    }
    return rc;
}

/* ---- merging --------------------------------------------------------------------------------- */

struct sum {
    const struct mask_set *of;
    struct mask_set seen;
    uint32_t numbers[WORDS];
};

static RC add_update(void *ctx, size_t site, const void *update, size_t n, struct error *err)
{
    struct sum *s = ctx;
    uint32_t y[WORDS];
    if (!mask_set_has(s->of, site)) {
        return RC_OK;
    }
    if (n != sizeof y) {
        return error_set(err, RC_FORMAT, "an update of %zu bytes", n);
    }
    memcpy(y, update, sizeof y);
    for (size_t i = 0; i < WORDS; i++) {
        s->numbers[i] += y[i];
    }
    mask_set_add(&s->seen, site);
    return RC_OK;
}

static RC merge_and_commit(struct world *w, struct error *err)
{
    struct center *c = &w->center;
    const struct round_machine *m = c->machine;
    const struct unmasking *u = c->face[0].u;
    struct sum sum = {.of = unmasking_survivors(u)};
    bool contributed[SITES] = {false};
    uint32_t model[WORDS];
    size_t n;
    enum rc rc = registry_each_update(c->registry, &w->study_hash, m->round, add_update, &sum, err);
    if (rc != RC_OK) {
        return error_set(err, RC_IO, "cannot read the updates");
    }
    const struct mask_stream *stream = unmasking_streams(u, &n);
    mask_apply(sum.numbers, WORDS, 0, stream, n);
    tracker_opened(w, m->round, unmasking_survivors(u), sum.numbers);
    const struct mask_set who = contributors(m);
    for (size_t i = 0; i < m->n_sites; i++) {
        contributed[i] = mask_set_has(&who, i);
    }
    for (size_t i = 0; i < WORDS; i++) {
        model[i] = c->model[i] + sum.numbers[i];
    }
    disk_before(w, CENTER);
    rc = registry_commit_round(c->registry, &w->study_hash, m->round, model, sizeof model, NULL, 0,
                               contributed, m->n_sites, w->now_ms, err);
    rc = kept(w, rc, "model and outcome", err);
    if (rc != RC_OK) {
        return rc;
    }
    memcpy(c->model, model, sizeof model);
    c->model_hash = hash_of(model, sizeof model);
    return do_later(w, (struct letter){.kind = MERGED, .to = CENTER, .life = c->life}, 2, err);
}

/* ---- start ----------------------------------------------------------------------------------- */

/* Feeds a new machine what was kept of one phase. *over: the phase had ended. */
static RC refeed(struct world *w, struct face *f, size_t phase, bool *over, struct error *err)
{
    static struct mask_announcement a[SITES];
    static struct mask_portion portion[SITES];
    struct center *c = &w->center;
    const size_t shares = MASK_DEAL_BYTES + sites_of(w) * MASK_PORTION_BYTES;
    const void *bytes = NULL;
    struct error none;
    struct mask_set s;
    struct mask_deal d;
    size_t n = 0, count = 0;
    enum rc rc = registry_phase(c->registry, &w->study_hash, c->machine->round, phase, over, &bytes,
                                &n, err);
    if (rc != RC_OK || !*over) {
        return rc;
    }
    const unsigned char *raw = bytes;
    struct unmasking_input in = {.now_ms = w->now_ms, .round = c->machine->round};
    if (phase == 0) {
        rc = mask_unpack_announcements(raw, n, sites_of(w), a, &count, err);
        in.event = UNMASKING_GOT_ANNOUNCEMENT;
    } else if (phase == 1) {
        count = n / shares;
        in.event = UNMASKING_GOT_DEAL;
        in.n = sites_of(w);
    } else {
        rc = mask_unpack_survivors(raw, n, sites_of(w), &s, err);
        count = sites_of(w);
        in.event = UNMASKING_GOT_UPDATE;
    }
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        if (phase == 0) {
            in.site = a[i].site;
            in.announcement = &a[i];
        } else if (phase == 1) {
            rc = mask_unpack_shares(raw + i * shares, shares, sites_of(w), &d, portion, err);
            in.site = d.site;
            in.deal = &d;
            in.portion = portion;
            memcpy(c->shares[d.site], raw + i * shares, shares);
            c->shares_bytes = shares;
        } else {
            in.site = i;
        }
        if (rc == RC_OK && (phase < 2 || mask_set_has(&s, i))) {
            (void)unmasking_step(f->u, &in, &none);
        }
    }
    if (rc == RC_OK && (size_t)unmasking_state(f->u) == phase) {
        in = (struct unmasking_input){.event = UNMASKING_TIMED_OUT,
                                      .now_ms = unmasking_deadline(f->u)};
        (void)unmasking_step(f->u, &in, &none);
    }
    return rc;
}

/* The present round's machine again, from what was kept; what it casts, and answers of its phase. */
static RC resume(struct world *w, struct error *err)
{
    struct center *c = &w->center;
    struct face *f = &c->face[0];
    enum rc rc = open_faces(w, err);
    bool over = true;
    for (size_t phase = 0; rc == RC_OK && over && phase < 3; phase++) {
        rc = refeed(w, f, phase, &over, err);
    }
    if (rc != RC_OK) {
        return error_set(err, RC_IO, "cannot read what was kept of the round");
    }
    rc = say_phases(w, f, unmasking_resume(f->u, w->now_ms), SIZE_MAX, err);
    for (size_t i = 0; rc == RC_OK && i < sites_of(w) && c->machine->state == ROUND_OPEN; i++) {
        const enum round_part part = c->machine->part[i];
        struct unmasking_input in = {.now_ms = w->now_ms, .site = i, .round = c->machine->round};
        in.event = part == ROUND_CONTRIBUTED ? UNMASKING_GOT_UPDATE : UNMASKING_GOT_CANNOT;
        if (part != ROUND_WAITED_FOR && c->face[0].u != NULL &&
            unmasking_round(c->face[0].u) == in.round) {
            rc = unmasks(w, f, in, err);
        }
    }
    return rc;
}

enum rc center_start(struct world *w, struct error *err)
{
    static const uint32_t first[WORDS] = {0};
    struct center *c = &w->center;
    char path[600];
    bool resumed = false;
    uint64_t round = 0;
    const void *model = NULL;
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/registry.db", w->p->folder);
    c->machine = calloc(1, sizeof *c->machine);
    if (c->machine == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the coordinator");
    }
    disk_before(w, CENTER);
    enum rc rc = registry_open(path, &c->registry, err);
    if (rc == RC_OK) {
        rc = registry_start(c->registry, w->study.name, &w->study_hash, sites_of(w), first,
                            sizeof first, w->now_ms, &resumed, err);
    }
    disk_after();
    if (rc == RC_OK) {
        rc = registry_model(c->registry, &w->study_hash, &round, &model, &n, err);
    }
    if (rc != RC_OK || n != sizeof c->model) {
        return error_set(err, RC_IO, "its registry does not open");
    }
    memcpy(c->model, model, sizeof c->model);
    c->model_hash = hash_of(c->model, sizeof c->model);
    c->up = true;
    round_init(c->machine, sites_of(w), w->study.quorum, w->study.rounds, JOIN_MS, ROUND_MS,
               w->now_ms);
    round_mask(c->machine, w->s.lost_max, (int64_t)4 * PHASE_MS);
    if (!resumed) {
        return RC_OK;
    }
    rc = registry_restore(c->registry, &w->study_hash, c->machine, err);
    if (rc != RC_OK) {
        return error_set(err, RC_IO, "its registry does not read");
    }
    const unsigned actions = round_restore(c->machine, w->now_ms);
    note(w, "  comes back: %s, round %llu", round_state_name(c->machine->state),
         (unsigned long long)c->machine->round);
    if (c->machine->state != ROUND_OPEN) {
        return act(w, actions, NULL, err);
    }
    rc = open_faces(w, err); /* so that opening the round again does not make other ones */
    if (rc == RC_OK) {
        rc = act(w, actions, NULL, err);
    }
    return rc == RC_OK && c->machine->state == ROUND_OPEN ? resume(w, err) : rc;
}

void center_stop(struct center *c)
{
    registry_close(&c->registry);
    free(c->machine);
    close_faces(c);
    *c = (struct center){.life = c->life + 1, .points = c->points};
}

/* ---- events ---------------------------------------------------------------------------------- */

static RC step(struct world *w, enum round_event event, const struct letter *l, struct error *err)
{
    const struct round_input in = {
        .event = event, .now_ms = w->now_ms, .site = l->from, .round = l->round};
    return act(w, round_step(w->center.machine, &in), l, err);
}

/* What the two machines hear of the same letter: the round's first, which keeps it. */
static RC tell(struct world *w, enum unmasking_event event, const struct letter *l,
               struct error *err)
{
    struct face *f = face_of(w, l->from);
    if (f == NULL || w->center.machine->state != ROUND_OPEN) {
        return RC_OK;
    }
    const struct unmasking_input in = {.event = event,
                                       .now_ms = w->now_ms,
                                       .site = l->from,
                                       .round = event == UNMASKING_GOT_POLL ? unmasking_round(f->u)
                                                                            : l->round};
    return unmasks(w, f, in, err);
}

/* An update counts while its phase is open, for a site whose shares are there. The round's machine hears
 * of no other one, so that its contributors are the survivors. */
static RC got_update(struct world *w, const struct letter *l, struct error *err)
{
    const struct round_machine *m = w->center.machine;
    struct face *f = face_of(w, l->from);
    if (m->state == ROUND_OPEN && l->round == m->round) {
        if (f == NULL) {
            return RC_OK;
        }
        const struct mask_set wanted = unmasking_waited_for(f->u);
        const bool first =
            unmasking_state(f->u) == UNMASKING_UPDATING && mask_set_has(&wanted, l->from);
        if (!first && !mask_set_has(unmasking_survivors(f->u), l->from)) {
            note(w, "  too late to count");
            return RC_OK;
        }
        if (f == &w->center.face[1]) {
            return tell(w, UNMASKING_GOT_UPDATE, l, err);
        }
    }
    const enum rc rc = step(w, ROUND_GOT_UPDATE, l, err);
    return rc == RC_OK && l->round == m->round ? tell(w, UNMASKING_GOT_UPDATE, l, err) : rc;
}

enum rc center_handle(struct world *w, const struct letter *l, struct error *err)
{
    enum rc rc = point(w, CENTER, err);
    if (rc != RC_OK || (w->s.lie != LIE_NONE && liar_hears(w, l, err))) {
        return rc;
    }
    switch (l->kind) {
    case HELLO:
        return step(w, ROUND_GOT_HELLO, l, err);
    case ACCEPT:
        rc = step(w, ROUND_GOT_ACCEPT, l, err);
        return rc == RC_OK ? tell(w, UNMASKING_GOT_POLL, l, err) : rc;
    case DECLINE:
        return step(w, ROUND_GOT_DECLINE, l, err);
    case UPDATE:
        return got_update(w, l, err);
    case CANNOT:
        rc = step(w, ROUND_GOT_CANNOT, l, err);
        return rc == RC_OK && w->center.machine->state == ROUND_OPEN &&
                       l->round == w->center.machine->round &&
                       w->center.machine->part[l->from] == ROUND_SAT_OUT
                   ? tell(w, UNMASKING_GOT_CANNOT, l, err)
                   : rc;
    case KEY:
    case SHARES:
    case VOTE:
    case REVEAL:
        return got_masks(w, l, err);
    case MERGE_DUE:
        return merge_and_commit(w, err);
    case MERGED:
        return act(w,
                   round_step(w->center.machine,
                              &(struct round_input){.event = ROUND_COMMITTED, .now_ms = w->now_ms}),
                   NULL, err);
    case STUDY:
    case ROUND:
    case ACK:
    case OUTCOME:
    case DONE:
    case MEMBERS:
    case PARCELS:
    case SURVIVORS:
    case VOTES:
    case CHECK_DUE:
    case TRAIN_DUE:
    case COMMIT_DUE:
    case ANSWER:
    case COME_BACK:
    case KINDS:
        break;
    }
    return error_set(err, RC_STATE, "%s does not go to the coordinator", kind_name(l->kind));
}

int64_t center_deadline(const struct center *c)
{
    int64_t at = c->machine->deadline_ms;
    for (size_t i = 0; c->machine->state == ROUND_OPEN && i < c->n_faces; i++) {
        const int64_t own = unmasking_deadline(c->face[i].u);
        at = own < at ? own : at;
    }
    return at;
}

enum rc center_time_out(struct world *w, struct error *err)
{
    struct center *c = &w->center;
    for (size_t i = 0; c->machine->state == ROUND_OPEN && i < c->n_faces; i++) {
        if (unmasking_deadline(c->face[i].u) <= w->now_ms) {
            return unmasks(
                w, &c->face[i],
                (struct unmasking_input){.event = UNMASKING_TIMED_OUT, .now_ms = w->now_ms}, err);
        }
    }
    const struct round_input in = {.event = ROUND_TIMED_OUT, .now_ms = w->now_ms};
    (void)snprintf(c->lost, sizeof c->lost, "time is up");
    return act(w, round_step(c->machine, &in), NULL, err);
}
