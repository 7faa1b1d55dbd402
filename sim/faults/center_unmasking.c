/*
 * The driver's side of the machine of one masked sum: whom it invites, what of each phase is kept before
 * it is said, and what a letter of its phases is.
 */
#include <stdio.h>
#include <string.h>

#include "sim/faults/center_internal.h"

enum { UPDATE_MS = 12000 };

struct face *center_face_of(struct world *w, size_t site)
{
    struct center *c = &w->center;
    for (size_t i = 0; i < c->n_faces; i++) {
        if (c->face[i].u != NULL && mask_set_has(&c->face[i].invited, site)) {
            return &c->face[i];
        }
    }
    return NULL;
}

void center_close_faces(struct center *c)
{
    for (size_t i = 0; i < 2; i++) {
        unmasking_close(&c->face[i].u);
    }
    c->n_faces = 0;
}

enum rc center_open_faces(struct world *w, struct error *err)
{
    struct center *c = &w->center;
    const struct round_machine *m = c->machine;
    struct mask_set invited[2] = {{{0}}, {{0}}};
    struct mask_set silent = {{0}};
    center_close_faces(c);
    for (size_t i = 0; i < m->n_sites; i++) {
        if (c->silent[i]) {
            mask_set_add(&silent, i);
        }
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
                                              .silent = silent,
                                              .phase_ms = CENTER_PHASE_MS,
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
    struct mask_vote v[SITES];
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
    return mask_pack_survivors(unmasking_survivors(u), v, unmasking_lists(u, SIZE_MAX, v), raw);
}

static RC keep_phase(struct world *w, const struct face *f, struct error *err)
{
    static unsigned char raw[sizeof w->center.shares];
    const size_t phase = (size_t)unmasking_state(f->u) - 1;
    const size_t n = pack_phase(w, f->u, phase, raw);
    disk_before(w, CENTER);
    const enum rc rc = registry_keep_phase(w->center.registry, &w->study_hash,
                                           w->center.machine->round, phase, raw, n, err);
    return center_kept(w, rc, "a phase", err);
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
        n = mask_pack_survivors(unmasking_survivors(f->u), v, unmasking_lists(f->u, to, v), raw);
    } else {
        n = mask_pack_votes(v, unmasking_votes(f->u, v), raw);
    }
    return center_send(w, (struct letter){.kind = kind, .to = to, .round = unmasking_round(f->u)},
                       raw, n, err);
}

enum rc center_say_phases(struct world *w, const struct face *f, unsigned actions, size_t site,
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

/* Sterner than the program, which asks also whether a site was heard of in the phase: who is not waited for is
 * nobody's safety. */
static void note_silent(struct world *w, const struct unmasking_input *in,
                        const struct mask_set *missing)
{
    for (size_t i = 0; in->event == UNMASKING_TIMED_OUT && i < sites_of(w); i++) {
        w->center.silent[i] = w->center.silent[i] || mask_set_has(missing, i);
    }
    if (in->event != UNMASKING_TIMED_OUT && in->site < sites_of(w)) {
        w->center.silent[in->site] = false;
    }
}

enum rc center_unmask(struct world *w, struct face *f, struct unmasking_input in, struct error *err)
{
    struct center *c = &w->center;
    struct error why = {0};
    const enum unmasking_state before = unmasking_state(f->u);
    const struct mask_set missing = unmasking_waited_for(f->u);
    const unsigned actions = unmasking_step(f->u, &in, &why);
    if (in.event != UNMASKING_TIMED_OUT || unmasking_state(f->u) != before) {
        note_silent(w, &in, &missing);
    }
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
        rc = center_say_phases(w, f, actions, in.site, err);
    }
    if (rc == RC_OK && second) {
        return (actions & UNMASKING_UNMASK) ? second_outcome(w, f, err) : RC_OK;
    }
    struct round_input round = {.now_ms = w->now_ms, .round = c->machine->round};
    if (rc == RC_OK && (actions & UNMASKING_UNMASK)) {
        round.event = ROUND_UNMASKED;
        rc = center_act(w, round_step(c->machine, &round), NULL, err);
    }
    if (rc == RC_OK && (actions & UNMASKING_FAIL)) {
        (void)snprintf(c->lost, sizeof c->lost, "%.190s", why.text);
        round.event = ROUND_LOST;
        rc = center_act(w, round_step(c->machine, &round), NULL, err);
    }
    return rc;
}

enum rc center_got_masks(struct world *w, const struct letter *l, struct error *err)
{
    static struct mask_portion portion[SITES];
    struct center *c = &w->center;
    struct face *f = center_face_of(w, l->from);
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
        rc = mask_unpack_announcements(l->raw, l->n, &w->s.terms, &a, &n, &bad);
    } else if (l->kind == SHARES) {
        in.event = UNMASKING_GOT_DEAL;
        in.deal = &d;
        in.portion = portion;
        in.n = mask_slots(&w->s.terms);
        rc = mask_unpack_shares(l->raw, l->n, &w->s.terms, &d, portion, &bad);
        const struct mask_set before = *unmasking_dealers(f->u);
        if (rc == RC_OK && !mask_set_has(&before, l->from)) {
            memcpy(c->shares[l->from], l->raw, l->n);
            c->shares_bytes = l->n;
        }
    } else if (l->kind == LIST) {
        in.event = UNMASKING_GOT_LIST;
        in.list = &v;
        rc =
            mask_unpack_votes(l->raw, l->n > MASK_VOTE_BYTES ? 0 : l->n, sites_of(w), &v, &n, &bad);
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
    return center_unmask(w, f, in, err);
}
