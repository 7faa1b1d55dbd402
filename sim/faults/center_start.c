/* The coordinator's start, and its start again: both machines from what its registry holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/faults/center_internal.h"

enum { ROUND_MS = 20000, JOIN_MS = 25000 };

/* Feeds a new machine what was kept of one phase. *over: the phase had ended. */
static RC refeed(struct world *w, struct face *f, size_t phase, bool *over, struct error *err)
{
    static struct mask_announcement a[SITES];
    static struct mask_portion portion[SITES];
    struct center *c = &w->center;
    const size_t shares = mask_shares_bytes(&w->s.terms);
    const void *bytes = NULL;
    struct error none;
    struct mask_set s;
    struct mask_vote list[SITES];
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
        rc = mask_unpack_announcements(raw, n, &w->s.terms, a, &count, err);
        in.event = UNMASKING_GOT_ANNOUNCEMENT;
    } else if (phase == 1) {
        count = n / shares;
        in.event = UNMASKING_GOT_DEAL;
        in.n = mask_slots(&w->s.terms);
    } else {
        rc = mask_unpack_survivors(raw, n, sites_of(w), &s, list, &count, err);
        for (size_t i = 0; rc == RC_OK && i < count; i++) {
            in.event = UNMASKING_GOT_LIST;
            in.site = list[i].site;
            in.list = &list[i];
            (void)unmasking_step(f->u, &in, &none);
        }
        count = sites_of(w);
        in.event = UNMASKING_GOT_UPDATE;
    }
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        if (phase == 0) {
            in.site = a[i].site;
            in.announcement = &a[i];
        } else if (phase == 1) {
            rc = mask_unpack_shares(raw + i * shares, shares, &w->s.terms, &d, portion, err);
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
    enum rc rc = center_open_faces(w, err);
    bool over = true;
    for (size_t phase = 0; rc == RC_OK && over && phase < 3; phase++) {
        rc = refeed(w, f, phase, &over, err);
    }
    if (rc != RC_OK) {
        return error_set(err, RC_IO, "cannot read what was kept of the round");
    }
    rc = center_say_phases(w, f, unmasking_resume(f->u, w->now_ms), SIZE_MAX, err);
    for (size_t i = 0; rc == RC_OK && i < sites_of(w) && c->machine->state == ROUND_OPEN; i++) {
        const enum round_part part = c->machine->part[i];
        struct unmasking_input in = {.now_ms = w->now_ms, .site = i, .round = c->machine->round};
        const bool out = part == ROUND_SAT_OUT || c->machine->member[i] != ROUND_ACCEPTED;
        in.event = part == ROUND_CONTRIBUTED ? UNMASKING_GOT_UPDATE : UNMASKING_GOT_CANNOT;
        if ((part == ROUND_CONTRIBUTED || out) && c->face[0].u != NULL &&
            unmasking_round(c->face[0].u) == in.round) {
            rc = center_unmask(w, f, in, err);
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
    round_mask(c->machine, w->s.lost_max, (int64_t)4 * CENTER_PHASE_MS);
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
        return center_act(w, actions, NULL, err);
    }
    rc = center_open_faces(w, err); /* so that opening the round again does not make other ones */
    if (rc == RC_OK) {
        rc = center_act(w, actions, NULL, err);
    }
    return rc == RC_OK && c->machine->state == ROUND_OPEN ? resume(w, err) : rc;
}

void center_stop(struct center *c)
{
    registry_close(&c->registry);
    free(c->machine);
    center_close_faces(c);
    *c = (struct center){.life = c->life + 1, .points = c->points};
}
