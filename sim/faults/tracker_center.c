/* What an honest coordinator owes: outcomes as they were kept, numbers and sets that never change, the true
 * sum, the right name of a liar; and to everybody an end in time. */
#include <string.h>

#include "sim/faults/tracker_internal.h"

static void outcome_said(struct world *w, const struct letter *l)
{
    struct tracker *t = w->tracker;
    bool found = false, failed = false, contributed[SITES] = {false};
    char reason[240];
    struct error err;
    struct mask_set kept = {{0}};
    const enum rc rc = registry_outcome(w->center.registry, &w->study_hash, l->round, &found,
                                        contributed, sites_of(w), &failed, reason, &err);
    for (size_t i = 0; i < sites_of(w); i++) {
        if (contributed[i]) {
            mask_set_add(&kept, i);
        }
    }
    if (rc != RC_OK || !found || failed) {
        broken(w, 4, "the outcome of round %llu is told, and no transaction has it",
               (unsigned long long)l->round);
    } else if (!mask_set_equal(&kept, &l->set)) {
        broken(w, 7, "the outcome of round %llu that is told is not the one that was kept",
               (unsigned long long)l->round);
    }
    if (l->round < ROUNDS_MAX && t->opened[l->round].there &&
        !mask_set_equal(&t->opened[l->round].set, &l->set)) {
        broken(w, 7, "the outcome of round %llu names others than are in its sum",
               (unsigned long long)l->round);
    }
    if (l->round < ROUNDS_MAX) {
        t->over[l->round] = true;
    }
}

/* A number is opened from one model, and never after a later one. */
static void round_said(struct world *w, const struct letter *l)
{
    struct tracker *t = w->tracker;
    if (l->round >= ROUNDS_MAX) {
        broken(w, 3, "round %llu is beyond the plan", (unsigned long long)l->round);
        return;
    }
    for (uint64_t r = l->round; r < ROUNDS_MAX; r++) {
        if (t->over[r] || (r > l->round && t->opened_number[r])) {
            broken(w, 3, "round %llu opens again", (unsigned long long)l->round);
            return;
        }
    }
    if (t->opened_number[l->round] && !hash_equal(&t->model_of[l->round], &l->model)) {
        broken(w, 3, "round %llu opens from two models", (unsigned long long)l->round);
    }
    t->opened_number[l->round] = true;
    t->model_of[l->round] = l->model;
}

void tracker_said(struct world *w, const struct letter *l)
{
    struct tracker *t = w->tracker;
    if (l->kind == OUTCOME) {
        outcome_said(w, l);
    } else if (l->kind == ROUND) {
        round_said(w, l);
    } else if (l->kind == SURVIVORS && l->round < ROUNDS_MAX) {
        const struct mask_set *now = unmasking_survivors(w->center.face[0].u);
        if (t->cast[l->round].there && !mask_set_equal(&t->cast[l->round].set, now)) {
            broken(w, 5, "an honest coordinator tells two survivor sets of round %llu",
                   (unsigned long long)l->round);
        }
        t->cast[l->round].there = true;
        t->cast[l->round].set = *now;
    }
}

void tracker_opened(struct world *w, uint64_t round, const struct mask_set *survivors,
                    const uint32_t *sum)
{
    struct tracker *t = w->tracker;
    uint32_t want[WORDS] = {0};
    bool lied = false;
    w->result->opened++;
    for (size_t i = 0; i < t->n_masked; i++) {
        const struct masked *m = &t->masked[i];
        const bool in = mask_set_has(survivors, m->site);
        if (m->round != round) {
            continue;
        }
        lied = lied || (in && w->s.liar_site == m->site);
        w->result->dropped_sites += !in;
        for (size_t k = 0; in && k < WORDS; k++) {
            want[k] += m->x[k];
        }
    }
    if (w->s.lie == LIE_NONE && !lied && memcmp(sum, want, sizeof want) != 0) {
        broken(w, 1, "the opened sum of round %llu is not that of its survivors",
               (unsigned long long)round);
    }
    t->opened[round].there = true;
    t->opened[round].set = *survivors;
}

void tracker_named(struct world *w, size_t site)
{
    if (w->s.lie == LIE_NONE && site != w->s.liar_site) {
        broken(w, 8, "site %zu is named a liar and has not lied", site);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

struct spent {
    uint64_t rounds;
    bool shared;
};

static void look_up(void *ctx, const struct ledger_study *study)
{
    struct spent *s = ctx;
    s->rounds = study->rounds_spent;
    s->shared = study->shared;
}

/* Whether its round was opened or lost: what left stays spent, and as the mechanism that it was. */
static void spent_stays(struct world *w, const struct hospital *h)
{
    const struct tracker *t = w->tracker;
    struct spent s = {.rounds = 0};
    struct error err;
    uint64_t left = 0;
    for (size_t i = 0; i < t->n_masked; i++) { /* one for each number: promise 3 */
        left += t->masked[i].site == h->index && t->masked[i].sent;
    }
    if (left > 0 && (ledger_studies(h->ledger, look_up, &s, &err) != RC_OK || s.rounds < left ||
                     s.shared != w->s.shared)) {
        broken(w, 12, "%llu updates have left site %zu, its ledger has %llu rounds%s",
               (unsigned long long)left, h->index, (unsigned long long)s.rounds,
               s.shared == w->s.shared ? "" : ", and another noise");
    }
}

void tracker_end(struct world *w, bool in_time)
{
    const struct round_machine *m = w->center.machine;
    if (!liars(w) && !in_time) {
        broken(w, 6, "the faults have stopped and the study does not end: the coordinator is %s%s",
               m == NULL ? "away" : "in ", m == NULL ? "" : round_state_name(m->state));
    }
    for (size_t i = 0; i < sites_of(w); i++) {
        if (w->site[i].up && is_honest(w, i)) {
            spent_stays(w, &w->site[i]);
        }
        const struct session *s = &w->site[i].session;
        const bool busy = s->state == SESSION_TRAINING || s->state == SESSION_SPENT ||
                          s->state == SESSION_SEND || s->state == SESSION_SPEND;
        if (w->site[i].up && is_honest(w, i) && busy && w->now_ms > s->round_deadline_ms + 60000) {
            broken(w, 6, "site %zu is still in round %llu, a minute after its deadline", i,
                   (unsigned long long)s->round);
        }
    }
}
