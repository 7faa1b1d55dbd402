/*
 * What is on its way, and the ways in which it does not get there. A damaged letter is one whose
 * signature no longer holds, which is tried with a real one; the programs drop it unread.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sim/faults/faults_internal.h"

const char *kind_name(enum kind kind)
{
    static const char *const name[KINDS] = {
        "STUDY",         "ROUND",     "ACK",       "OUTCOME",  "DONE",
        "MEMBERS",       "PARCELS",   "SURVIVORS", "VOTES",    "HELLO",
        "ACCEPT",        "DECLINE",   "UPDATE",    "CANNOT",   "KEY",
        "SHARES",        "LIST",      "VOTE",      "REVEAL",   "(looks at its policy)",
        "(has trained)", "(commits)", "(answer)",  "(merges)", "(merged)",
        "(withdraws)",   "(is back)"};
    return name[kind];
}

static bool before(const struct letter *a, const struct letter *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

static RC enqueue(struct world *w, struct letter l, const void *raw, size_t n, int64_t delay_ms,
                  struct error *err)
{
    if (w->n_queue == w->queue_room) {
        const size_t room = w->queue_room == 0 ? 128 : 2 * w->queue_room;
        struct letter *more = realloc(w->queue, room * sizeof *more);
        if (more == NULL) {
            return error_set(err, RC_NOMEM, "no memory for %zu letters", room);
        }
        w->queue = more;
        w->queue_room = room;
    }
    l.raw = NULL;
    l.n = n;
    if (n > 0) {
        l.raw = malloc(n);
        if (l.raw == NULL) {
            return error_set(err, RC_NOMEM, "no memory for a letter of %zu bytes", n);
        }
        memcpy(l.raw, raw, n);
    }
    l.at_ms = w->now_ms + delay_ms;
    l.number = w->numbered++;
    w->queue[w->n_queue++] = l;
    return RC_OK;
}

/* A queue of some dozens: looking at all of them is nothing beside one signature. */
static size_t first(const struct world *w)
{
    size_t at = 0;
    for (size_t i = 1; i < w->n_queue; i++) {
        at = before(&w->queue[i], &w->queue[at]) ? i : at;
    }
    return at;
}

int64_t next_letter_ms(const struct world *w)
{
    return w->n_queue == 0 ? INT64_MAX : w->queue[first(w)].at_ms;
}

bool next_letter(struct world *w, struct letter *out)
{
    if (w->n_queue == 0) {
        return false;
    }
    const size_t at = first(w);
    *out = w->queue[at];
    w->queue[at] = w->queue[--w->n_queue];
    return true;
}

void network_release(struct world *w)
{
    for (size_t i = 0; i < w->n_queue; i++) {
        free(w->queue[i].raw);
    }
    free(w->queue);
    w->queue = NULL;
    w->n_queue = w->queue_room = 0;
}

/* One site and all that its masks are shared with. */
static bool within_clique(const struct world *w, size_t site)
{
    const struct schedule *s = &w->s;
    return s->clique < sites_of(w) && w->now_ms >= s->clique_from_ms &&
           w->now_ms < s->clique_until_ms &&
           (site == s->clique || tracker_ties(w, s->clique, site));
}

bool within_cuts(const struct world *w, const struct cut *c, size_t n, size_t party)
{
    bool in = false;
    for (size_t i = 0; i < n; i++) {
        in = in || (c[i].party == party && w->now_ms >= c[i].from_ms && w->now_ms < c[i].until_ms);
    }
    return in;
}

/* Signed, then one bit is another: the receiver must see it. */
static void damage(struct world *w, const struct letter *l, const void *raw, size_t n)
{
    unsigned char one[64] = {0};
    struct seal_signature signature;
    struct error err;
    const size_t from = l->from == CENTER ? 0 : l->from;
    if (n > 0) {
        memcpy(one, raw, n < sizeof one ? n : sizeof one);
    }
    one[63] = (unsigned char)l->kind;
    seal_sign(w->site[from].keys, "bad day", one, sizeof one, &signature);
    one[rng_below(&w->rng, sizeof one)] ^= (unsigned char)(1U << rng_below(&w->rng, 8));
    if (seal_verify(&w->sign[from], "bad day", one, sizeof one, &signature, &err) == RC_OK) {
        broken(w, 1, "a damaged %s was taken for what had been signed", kind_name(l->kind));
    }
}

enum rc send_letter(struct world *w, struct letter l, const void *raw, size_t n, struct error *err)
{
    const struct schedule *s = &w->s;
    const bool quiet = w->now_ms >= s->quiet_ms;
    const size_t site = l.to == CENTER ? l.from : l.to;
    w->result->messages++;
    if (!quiet && (within_clique(w, site) || within_cuts(w, s->cut, s->n_cuts, site) ||
                   within_cuts(w, s->cut, s->n_cuts, CENTER) ||
                   rng_uniform(&w->rng) < s->lose + (l.kind == UPDATE ? s->lose_update : 0.0))) {
        w->result->lost_messages++;
        note(w, "  lost: %s", kind_name(l.kind));
        return RC_OK;
    }
    if (!quiet && rng_uniform(&w->rng) < s->damage) {
        damage(w, &l, raw, n);
        w->result->lost_messages++;
        note(w, "  damaged: %s", kind_name(l.kind));
        return RC_OK;
    }
    const size_t copies = !quiet && rng_uniform(&w->rng) < s->repeat ? 2 : 1;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < copies; i++) {
        const bool late = !quiet && rng_uniform(&w->rng) < s->late;
        const int64_t delay_ms =
            1 + (int64_t)rng_below(&w->rng, late ? 9000 : 12) + (i == 0 ? 0 : 40);
        rc = enqueue(w, l, raw, n, delay_ms, err);
    }
    return rc;
}

enum rc do_later(struct world *w, struct letter l, int64_t delay_ms, struct error *err)
{
    l.from = l.to;
    return enqueue(w, l, NULL, 0, delay_ms, err);
}

/* ---- deaths ------------------------------------------------------------------------------------ */

enum rc point(struct world *w, size_t party, struct error *err)
{
    uint64_t *points = party == CENTER ? &w->center.points : &w->site[party].points;
    (*points)++;
    for (size_t i = 0; i < w->s.n_kills; i++) {
        if (w->s.kill[i].party == party && w->s.kill[i].point == *points) {
            w->result->kills++;
            return error_set(err, RC_IO, "killed");
        }
    }
    return RC_OK;
}
