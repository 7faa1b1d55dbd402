/*
 * Any byte string is a study: four bytes of plan (sites, quorum, rounds, sites a round), then four bytes
 * an event (which, site, round, time passed). An event beyond the last one kills the coordinator,
 * who comes back from what the KEEP_* actions had made durable. The promises of docs/PROTOCOL.md
 * that the coordinator can keep alone hold after each.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "aggregator/round/round.h"

enum { SITES = 8, ROUNDS = 8, PLAN_BYTES = 4, EVENT_BYTES = 4, PRESENT_BYTE = 0xff };

/* What the registry would hold. */
struct disk {
    enum round_member member[SITES];
    enum round_part part[ROUNDS + 2][SITES];
    uint64_t finished;
    bool failed;
    uint64_t failed_round;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void keep(struct disk *d, const struct round_machine *m, uint64_t round, unsigned actions,
                 const struct round_input *in)
{
    if (actions & ROUND_KEEP_MEMBER) {
        d->member[in->site] = m->member[in->site];
    }
    if (actions & ROUND_KEEP_PART) {
        assert(round == d->finished + 1);
        enum round_part *part = &d->part[round][in->site];
        const enum round_part answer =
            in->event == ROUND_GOT_UPDATE ? ROUND_CONTRIBUTED : ROUND_SAT_OUT;
        assert(*part == ROUND_WAITED_FOR || *part == answer); /* the first answer stands */
        *part = answer;
    }
    if (in->event == ROUND_COMMITTED && (actions & ROUND_CAST_OUTCOME)) {
        d->finished++;
    }
    if (actions & ROUND_KEEP_FAILURE) {
        assert(!d->failed);
        d->failed = true;
        d->failed_round = m->round;
    }
}

static void rebuild(const struct disk *d, struct round_machine *m, const struct round_machine *plan,
                    int64_t now_ms)
{
    round_init(m, plan->n_sites, plan->quorum, plan->rounds, plan->join_ms, plan->round_ms, now_ms);
    if (plan->per_round > 0) {
        round_sample(m, plan->per_round, plan->seed);
    }
    memcpy(m->member, d->member, m->n_sites * sizeof *m->member);
    memcpy(m->part, d->part[d->finished + 1], m->n_sites * sizeof *m->part);
    bool open = d->finished > 0;
    for (size_t i = 0; i < m->n_sites; i++) {
        open = open || m->part[i] != ROUND_WAITED_FOR;
    }
    m->state = d->failed ? ROUND_FAILED : open ? ROUND_OPEN : ROUND_JOINING;
    m->round = d->failed ? d->failed_round : open ? d->finished + 1 : 0;
}

static void hold(const struct round_machine *m, const struct disk *d, unsigned actions)
{
    assert((unsigned)m->state < ROUND_STATES);
    assert(m->round <= m->rounds);
    assert((m->state == ROUND_JOINING) <= (m->round == 0));
    assert(round_finished(m) == d->finished);
    if (actions & ROUND_MERGE) {
        assert(m->state == ROUND_MERGING);
        assert(round_contributors(m) >= m->quorum);
    }
    if (actions & ROUND_CAST_ROUND) {
        assert(m->state == ROUND_OPEN);
    }
    if (m->state == ROUND_DONE) {
        assert(d->finished == m->rounds);
        assert(!d->failed);
    }
    assert((m->state == ROUND_FAILED) == d->failed);
    if (m->state == ROUND_JOINING || m->state == ROUND_OPEN) {
        assert(m->deadline_ms < ROUND_NEVER);
    }
    if (m->state == ROUND_OPEN || m->state == ROUND_MERGING) {
        for (size_t i = 0; i < m->n_sites; i++) { /* a crash would not change who is in */
            const enum round_part part = m->part[i];
            assert((part == ROUND_NOT_DRAWN ? ROUND_WAITED_FOR : part) == d->part[m->round][i]);
            assert(m->member[i] == d->member[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct round_machine m, before, again;
    struct disk d;
    memset(&d, 0, sizeof d);
    if (size < PLAN_BYTES) {
        return 0;
    }
    const size_t n_sites = 1 + data[0] % SITES;
    int64_t now_ms = 0;
    round_init(&m, n_sites, 1 + data[1] % n_sites, 1 + data[2] % ROUNDS, 20000, 30000, now_ms);
    if (data[3] % (n_sites + 1) >= m.quorum) {
        round_sample(&m, data[3] % (n_sites + 1), data[3]);
    }

    for (size_t i = PLAN_BYTES; i + EVENT_BYTES <= size; i += EVENT_BYTES) {
        now_ms += 100 * (int64_t)data[i + 3];
        const unsigned which = data[i] % (ROUND_EVENTS + 1u);
        if (which == ROUND_EVENTS) {
            rebuild(&d, &again, &m, now_ms);
            const struct round_input crash = {.event = ROUND_TIMED_OUT};
            const unsigned actions = round_restore(&again, now_ms);
            assert(!(actions & (ROUND_KEEP_MEMBER | ROUND_KEEP_PART | ROUND_PROTOCOL_ERROR)));
            keep(&d, &again, again.round, actions, &crash);
            m = again;
            hold(&m, &d, actions);
            continue;
        }
        const struct round_input in = {.event = (enum round_event)which,
                                       .now_ms = now_ms,
                                       .site = data[i + 1] % (SITES + 1u),
                                       .round =
                                           data[i + 2] == PRESENT_BYTE ? m.round : data[i + 2]};
        memcpy(&before, &m, sizeof m);
        const unsigned actions = round_step(&m, &in);
        if (actions & ROUND_PROTOCOL_ERROR) {
            assert(actions == ROUND_PROTOCOL_ERROR);
            assert(memcmp(&m, &before, sizeof m) == 0);
            continue;
        }
        assert(m.round >= before.round);
        assert(m.round <= before.round + 1);
        if (before.state == ROUND_DONE || before.state == ROUND_FAILED) {
            assert(m.state == before.state);
        }
        if (in.event == ROUND_ABORTED) {
            assert(m.state == ROUND_FAILED || m.state == ROUND_DONE);
        }
        keep(&d, &m, before.round, actions, &in);
        hold(&m, &d, actions);
    }
    return 0;
}
