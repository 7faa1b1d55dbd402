/*
 * The driver of the coordinator: round and unmasking as docs/PROTOCOL.md puts them together, its registry
 * on disk, KEEP before REPLY before CAST before MERGE. Here: what it hears, and which machine hears it.
 * A lying coordinator is this one with its letters bent (liar.c), and perhaps a second face.
 */
#include <stdio.h>
#include <string.h>

#include "sim/faults/center_internal.h"

/* ---- records and letters --------------------------------------------------------------------- */

/* A record of the registry failed: the program stops, and a restart continues from what is there. */
enum rc center_kept(struct world *w, enum rc rc, const char *what, struct error *err)
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

enum rc center_send(struct world *w, struct letter l, const void *raw, size_t n, struct error *err)
{
    static unsigned char own[MASK_RAW_MAX];
    if (w->s.lie == LIE_NONE) {
        tracker_said(w, &l);
    } else {
        memcpy(own, raw == NULL ? "" : raw, n);
        liar_bends(w, &l, own, &n);
        raw = own;
    }
    const enum rc rc = center_say(w, l, raw, n, err);
    return rc == RC_OK ? point(w, CENTER, err) : rc;
}

/* ---- events ---------------------------------------------------------------------------------- */

static RC step(struct world *w, enum round_event event, const struct letter *l, struct error *err)
{
    const struct round_input in = {
        .event = event, .now_ms = w->now_ms, .site = l->from, .round = l->round};
    return center_act(w, round_step(w->center.machine, &in), l, err);
}

/* What the two machines hear of the same letter: the round's first, which keeps it. */
static RC tell(struct world *w, enum unmasking_event event, const struct letter *l,
               struct error *err)
{
    struct face *f = center_face_of(w, l->from);
    if (f == NULL || w->center.machine->state != ROUND_OPEN) {
        return RC_OK;
    }
    const bool of_any =
        l->kind == ACCEPT || l->kind == DECLINE; /* they name no round, or an old one */
    const struct unmasking_input in = {.event = event,
                                       .now_ms = w->now_ms,
                                       .site = l->from,
                                       .round = of_any ? unmasking_round(f->u) : l->round};
    return center_unmask(w, f, in, err);
}

/* An update counts while its phase is open, for a site whose shares are there. The round's machine hears
 * of no other one, so that its contributors are the survivors. */
static RC got_update(struct world *w, const struct letter *l, struct error *err)
{
    const struct round_machine *m = w->center.machine;
    struct face *f = center_face_of(w, l->from);
    if (m->state == ROUND_OPEN && l->round == m->round) {
        if (f == NULL) {
            return RC_OK;
        }
        if (!unmasking_wants_update(f->u, l->from) &&
            !mask_set_has(unmasking_survivors(f->u), l->from)) {
            note(w, "  too early or too late to count");
            return RC_OK;
        }
        if (f == &w->center.face[1]) {
            return tell(w, UNMASKING_GOT_UPDATE, l, err);
        }
    }
    const enum rc rc = step(w, ROUND_GOT_UPDATE, l, err);
    const bool counts = l->round == m->round && m->part[l->from] == ROUND_CONTRIBUTED;
    return rc == RC_OK && counts ? tell(w, UNMASKING_GOT_UPDATE, l, err) : rc;
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
        rc = step(w, ROUND_GOT_DECLINE, l, err);
        return rc == RC_OK ? tell(w, UNMASKING_GOT_CANNOT, l, err) : rc;
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
    case LIST:
    case VOTE:
    case REVEAL:
        return center_got_masks(w, l, err);
    case MERGE_DUE:
        return center_merge(w, err);
    case MERGED:
        return center_act(w,
                          round_step(w->center.machine,
                                     &(struct round_input){.event = ROUND_COMMITTED,
                                                           .now_ms = w->now_ms}),
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
    case WITHDRAW_DUE:
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
            return center_unmask(
                w, &c->face[i],
                (struct unmasking_input){.event = UNMASKING_TIMED_OUT, .now_ms = w->now_ms}, err);
        }
    }
    const struct round_input in = {.event = ROUND_TIMED_OUT, .now_ms = w->now_ms};
    (void)snprintf(c->lost, sizeof c->lost, "time is up");
    return center_act(w, round_step(c->machine, &in), NULL, err);
}
