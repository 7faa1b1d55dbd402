/*
 * Both machines of masked sums against each other, over seeded schedules: messages are delayed,
 * repeated, reordered and lost, sites stop and restart, the coordinator is killed and rebuilt from what
 * it kept. Whatever happens, an opened sum is exactly that of the survivors it names.
 *
 *   WR_SEEDS=N test_masked_round     more schedules
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/unmasking/unmasking.h"
#include "tests/support/masked.h"

enum { IN_FLIGHT_MAX = 4096, PHASE_MS = 1000, UPDATE_MS = 5000, ROUNDS_MAX = 6, POLLS_MAX = 6 };

enum kind {
    M_ROUND,
    M_MEMBERS,
    M_PARCELS,
    M_SURVIVORS,
    M_VOTES, /* to a site */
    M_TRAINED,
    M_ANNOUNCEMENT, /* to the coordinator, from here on */
    M_DEAL,
    M_LIST,
    M_UPDATE,
    M_VOTE,
    M_REVEAL,
    M_CANNOT
};

struct message {
    enum kind kind;
    size_t site; /* the other end is the coordinator */
    uint64_t round;
    size_t n;
    struct mask_set set;
    union {
        struct mask_announcement announced[MASKED_MAX];
        struct mask_parcel parcel[MASKED_MAX];
        struct mask_vote vote[MASKED_MAX];
        struct mask_reveal reveal[MASKED_MAX];
        struct {
            struct mask_deal deal;
            struct mask_portion portion[MASKED_MAX];
        } dealt;
        uint32_t y[MASKED_WORDS];
    } u;
};

/* What the coordinator has committed. */
struct disk {
    size_t phases; /* how many are over */
    struct mask_set set[3];
    struct mask_announcement announced[MASKED_MAX];
    struct mask_deal deal[MASKED_MAX];
    struct mask_portion portion[MASKED_MAX][MASKED_MAX];
    struct mask_vote list[MASKED_MAX]; /* with the survivors */
    struct mask_set updates;           /* each durable when it arrived */
    uint32_t y[MASKED_MAX][MASKED_WORDS];
};

struct faults {
    double lose, repeat, stop, restart, kill, late;
};

struct world {
    struct masked_sites s;
    struct unmasking *c;
    struct disk disk;
    struct disk seen; /* what arrived, to be kept or lost */
    struct message *flight[IN_FLIGHT_MAX];
    size_t n_flight;
    struct mask_set stopped;
    int64_t now_ms;
    uint64_t round;
    struct faults f;
    struct rng rng;
    size_t opened, failed, dropped, killed, given_up;
};

static void send(struct world *w, const struct message *m)
{
    if (rng_uniform(&w->rng) < w->f.lose) {
        return;
    }
    const size_t copies = rng_uniform(&w->rng) < w->f.repeat ? 2 : 1;
    for (size_t i = 0; i < copies; i++) {
        assert_true(w->n_flight < IN_FLIGHT_MAX);
        struct message *copy = malloc(sizeof *copy);
        assert_non_null(copy);
        *copy = *m;
        w->flight[w->n_flight++] = copy;
    }
}

static void send_kind(struct world *w, enum kind kind, size_t site)
{
    const struct message m = {.kind = kind, .site = site, .round = w->round};
    send(w, &m);
}

/* ---- the coordinator's driver ---------------------------------------------------------------- */

static void open_round(struct world *w)
{
    struct error err;
    struct unmasking_setup setup = {.study = w->s.study,
                                    .roster = w->s.roster,
                                    .model = w->s.model,
                                    .round = w->round,
                                    .terms = w->s.terms,
                                    .sign = w->s.sign,
                                    .phase_ms = PHASE_MS,
                                    .update_ms = UPDATE_MS,
                                    .now_ms = w->now_ms};
    for (size_t i = 0; i < w->s.terms.n_sites; i++) {
        mask_set_add(&setup.invited, i);
    }
    assert_int_equal(unmasking_open(&setup, &w->c, &err), RC_OK);
}

static void cast(struct world *w, enum kind kind, size_t site)
{
    static struct message m;
    memset(&m, 0, sizeof m);
    m.kind = kind;
    m.site = site;
    m.round = w->round;
    if (kind == M_MEMBERS) {
        m.n = unmasking_members(w->c, m.u.announced);
    } else if (kind == M_PARCELS) {
        m.n = unmasking_parcels(w->c, site, m.u.parcel);
    } else if (kind == M_SURVIVORS) {
        m.n = unmasking_lists(w->c, site, m.u.vote);
    } else if (kind == M_VOTES) {
        m.n = unmasking_votes(w->c, m.u.vote);
    }
    m.set = *unmasking_survivors(w->c);
    send(w, &m);
}

static void cast_all(struct world *w, enum kind kind, const struct mask_set *to)
{
    for (size_t i = 0; i < w->s.terms.n_sites; i++) {
        if (mask_set_has(to, i)) {
            cast(w, kind, i);
        }
    }
}

/* The promise: an opened sum is that of its survivors, whoever they are. */
static void check_sum(struct world *w)
{
    uint32_t sum[MASKED_WORDS] = {0}, want[MASKED_WORDS] = {0};
    const struct mask_set *survivors = unmasking_survivors(w->c);
    size_t count;
    assert_true(mask_set_count(survivors) >= w->s.terms.min_sites);
    assert_true(mask_set_count(survivors) >= unmasking_threshold(w->c));
    for (size_t i = 0; i < w->s.terms.n_sites; i++) {
        for (size_t k = 0; mask_set_has(survivors, i) && k < MASKED_WORDS; k++) {
            sum[k] += w->disk.y[i][k];
            want[k] += w->s.site[i].x[k];
        }
    }
    const struct mask_stream *stream = unmasking_streams(w->c, &count);
    mask_apply(sum, MASKED_WORDS, 0, stream, count);
    assert_memory_equal(sum, want, sizeof sum);
    w->dropped += mask_set_count(unmasking_dealers(w->c)) - mask_set_count(survivors);
    w->opened++;
}

static void keep(struct world *w)
{
    static const struct mask_set *(*const set[])(
        const struct unmasking *) = {unmasking_announced, unmasking_dealers, unmasking_survivors};
    const struct mask_set updates = w->disk.updates;
    const size_t phase = (size_t)unmasking_state(w->c) - 1;
    assert_true(phase < 3);
    memcpy(w->seen.set, w->disk.set, sizeof w->seen.set);
    memcpy(w->seen.y, w->disk.y, sizeof w->seen.y);
    w->disk = w->seen;
    w->disk.updates = updates;
    w->disk.phases = phase + 1;
    w->disk.set[phase] = *set[phase](w->c);
    if (phase == UNMASKING_UPDATING) {
        struct mask_vote list[MASKED_MAX];
        const size_t n = unmasking_lists(w->c, SIZE_MAX, list);
        for (size_t i = 0; i < n; i++) {
            w->disk.list[list[i].site] = list[i];
        }
    }
}

static void do_actions(struct world *w, unsigned actions, size_t site, const struct error *err)
{
    static const struct {
        unsigned cast, reply;
        enum kind kind;
    } say[] = {
        {UNMASKING_CAST_MEMBERS, UNMASKING_REPLY_MEMBERS, M_MEMBERS},
        {UNMASKING_CAST_PARCELS, UNMASKING_REPLY_PARCELS, M_PARCELS},
        {UNMASKING_CAST_SURVIVORS, UNMASKING_REPLY_SURVIVORS, M_SURVIVORS},
        {UNMASKING_CAST_VOTES, UNMASKING_REPLY_VOTES, M_VOTES},
    };
    assert_false(actions & UNMASKING_LIAR);
    if (actions & UNMASKING_KEEP) {
        keep(w);
    }
    const struct mask_set *to[] = {unmasking_announced(w->c), unmasking_dealers(w->c),
                                   unmasking_survivors(w->c), unmasking_survivors(w->c)};
    for (size_t i = 0; i < 4; i++) {
        if (actions & say[i].cast) {
            cast_all(w, say[i].kind, to[i]);
        } else if (actions & say[i].reply) {
            cast(w, say[i].kind, site);
        }
    }
    if (actions & UNMASKING_UNMASK) {
        check_sum(w);
    }
    if (actions & UNMASKING_FAIL) {
        assert_true(strlen(err->text) > 10);
        w->failed++;
    }
}

static unsigned replayed(struct world *w, const struct unmasking_input *in)
{
    struct error err;
    return unmasking_step(w->c, in, &err);
}

/* Killed, and built again from its disk. */
static void restart_coordinator(struct world *w)
{
    const struct disk *d = &w->disk;
    unmasking_close(&w->c);
    open_round(w);
    memcpy(&w->seen, &w->disk, sizeof w->seen);
    for (size_t phase = 0; phase < d->phases; phase++) {
        for (size_t i = 0; i < w->s.terms.n_sites; i++) {
            struct unmasking_input in = {.now_ms = w->now_ms, .site = i, .round = w->round};
            if (!mask_set_has(&d->set[phase], i)) {
                continue;
            }
            in.event = (enum unmasking_event)(UNMASKING_GOT_ANNOUNCEMENT + phase);
            in.announcement = &d->announced[i];
            in.deal = &d->deal[i];
            in.portion = d->portion[i];
            in.n = mask_slots(&w->s.terms);
            in.list = &d->list[i];
            if (phase == UNMASKING_UPDATING && w->s.terms.neighbours > 0) {
                in.event = UNMASKING_GOT_LIST;
                (void)replayed(w, &in);
                in.event = UNMASKING_GOT_UPDATE;
            }
            (void)replayed(w, &in);
        }
        if ((size_t)unmasking_state(w->c) == phase) {
            const struct unmasking_input late = {.event = UNMASKING_TIMED_OUT,
                                                 .now_ms = unmasking_deadline(w->c)};
            (void)replayed(w, &late);
        }
        assert_int_equal(unmasking_state(w->c), phase + 1);
    }
    if (unmasking_state(w->c) == UNMASKING_UPDATING) { /* parts that were kept one by one */
        for (size_t i = 0; i < w->s.terms.n_sites; i++) {
            const struct unmasking_input in = {
                .event = UNMASKING_GOT_UPDATE, .now_ms = w->now_ms, .site = i, .round = w->round};
            if (mask_set_has(&d->updates, i) && unmasking_state(w->c) == UNMASKING_UPDATING) {
                const unsigned actions = replayed(w, &in);
                if (actions & UNMASKING_KEEP) {
                    keep(w);
                }
            }
        }
    }
    const struct error none = {RC_OK, ""};
    do_actions(w, unmasking_resume(w->c, w->now_ms), 0, &none);
    w->killed++;
}

static void to_coordinator(struct world *w, const struct message *m)
{
    struct unmasking_input in = {
        .now_ms = w->now_ms, .site = m->site, .round = m->round, .n = m->n};
    struct error err;
    switch (m->kind) {
    case M_ANNOUNCEMENT:
        in.event = UNMASKING_GOT_ANNOUNCEMENT;
        in.announcement = &m->u.announced[0];
        if (m->round == w->round && unmasking_state(w->c) == UNMASKING_ANNOUNCING) {
            w->seen.announced[m->site] = m->u.announced[0];
        }
        break;
    case M_DEAL:
        in.event = UNMASKING_GOT_DEAL;
        in.deal = &m->u.dealt.deal;
        in.portion = m->u.dealt.portion;
        if (m->round == w->round && unmasking_state(w->c) == UNMASKING_DEALING) {
            w->seen.deal[m->site] = m->u.dealt.deal;
            memcpy(w->seen.portion[m->site], m->u.dealt.portion, sizeof m->u.dealt.portion);
        }
        break;
    case M_LIST:
        in.event = UNMASKING_GOT_LIST;
        in.list = &m->u.vote[0];
        break;
    case M_UPDATE:
        in.event = UNMASKING_GOT_UPDATE;
        if (m->round == w->round && unmasking_state(w->c) == UNMASKING_UPDATING) {
            mask_set_add(&w->disk.updates, m->site);
            memcpy(w->disk.y[m->site], m->u.y, sizeof m->u.y);
        }
        break;
    case M_VOTE:
        in.event = UNMASKING_GOT_VOTE;
        in.survivors = &m->set;
        in.vote = &m->u.vote[0];
        break;
    case M_REVEAL:
        in.event = UNMASKING_GOT_REVEAL;
        in.reveal = m->u.reveal;
        break;
    case M_CANNOT:
    case M_ROUND:
    case M_MEMBERS:
    case M_PARCELS:
    case M_SURVIVORS:
    case M_VOTES:
    case M_TRAINED:
        in.event = UNMASKING_GOT_CANNOT;
        break;
    }
    const unsigned actions = unmasking_step(w->c, &in, &err);
    do_actions(w, actions, m->site, &err);
}

/* ---- a site's driver ------------------------------------------------------------------------- */

static void answer(struct world *w, size_t site, uint64_t round, unsigned actions)
{
    static struct message m;
    memset(&m, 0, sizeof m);
    m.site = site;
    m.round = round;
    m.n = mask_slots(&w->s.terms);
    if (actions & MASKING_SAY_ANNOUNCEMENT) {
        assert_true(w->s.site[site].kept >= round);
        m.kind = M_ANNOUNCEMENT;
        m.u.announced[0] = masked_announcement(&w->s, site);
        send(w, &m);
    }
    if (actions & MASKING_SAY_DEAL) {
        m.kind = M_DEAL;
        m.u.dealt.deal = masked_deal(&w->s, site, m.u.dealt.portion);
        send(w, &m);
    }
    if (actions & MASKING_SAY_LIST) {
        m.kind = M_LIST;
        m.u.vote[0] = w->s.site[site].list;
        send(w, &m);
    }
    if (actions & MASKING_CAN_MASK) {
        m.kind = M_TRAINED;
        send(w, &m);
    }
    if (actions & MASKING_SAY_VOTE) {
        m.kind = M_VOTE;
        m.u.vote[0] = masked_vote(&w->s, site, &m.set);
        send(w, &m);
    }
    if (actions & MASKING_SAY_REVEAL) {
        m.kind = M_REVEAL;
        m.n = masking_reveal(w->s.site[site].m, m.u.reveal);
        send(w, &m);
    }
    if (actions & MASKING_GIVE_UP) {
        w->given_up++;
        m.kind = M_CANNOT;
        send(w, &m);
    }
}

static void trained(struct world *w, size_t site, uint64_t round)
{
    static struct message m;
    struct masked_site *s = &w->s.site[site];
    struct error err;
    memcpy(s->y, s->x, sizeof s->y);
    if (masking_mask(s->m, round, s->y, MASKED_WORDS, &err) != RC_OK) {
        assert_memory_equal(s->y, s->x, sizeof s->y);
        return; /* restarted, or a second copy */
    }
    memset(&m, 0, sizeof m);
    m.kind = M_UPDATE;
    m.site = site;
    m.round = round;
    memcpy(m.u.y, s->y, sizeof m.u.y);
    send(w, &m);
    send(w, &m); /* as its session would until the ACK */
}

static void to_site(struct world *w, const struct message *m)
{
    struct error err;
    unsigned actions = MASKING_NOTHING;
    if (m->kind == M_ROUND) {
        actions = masked_open(&w->s, m->site, m->round, &err);
    } else if (m->kind == M_MEMBERS) {
        actions = masked_members(&w->s, m->site, m->round, m->u.announced, m->n, &err);
    } else if (m->kind == M_PARCELS) {
        actions = masked_parcels(&w->s, m->site, m->round, m->u.parcel, m->n, &err);
    } else if (m->kind == M_SURVIVORS) {
        actions = masked_survivors_listed(&w->s, m->site, m->round, &m->set, m->u.vote, m->n, &err);
    } else if (m->kind == M_VOTES) {
        actions = masked_votes(&w->s, m->site, m->round, m->u.vote, m->n, &err);
    } else {
        trained(w, m->site, m->round);
    }
    answer(w, m->site, m->round, actions);
}

/* ---- schedules ------------------------------------------------------------------------------- */

static void deliver_one(struct world *w)
{
    const size_t i = rng_below(&w->rng, w->n_flight);
    struct message *m = w->flight[i];
    w->flight[i] = w->flight[--w->n_flight];
    if (m->kind >= M_ANNOUNCEMENT) {
        to_coordinator(w, m);
    } else if (!mask_set_has(&w->stopped, m->site)) {
        to_site(w, m);
    }
    free(m);
}

static bool over(const struct world *w)
{
    return unmasking_state(w->c) >= UNMASKING_DONE;
}

static void accidents(struct world *w)
{
    const size_t site = rng_below(&w->rng, w->s.terms.n_sites);
    if (rng_uniform(&w->rng) < w->f.stop) {
        mask_set_add(&w->stopped, site);
    }
    if (rng_uniform(&w->rng) < w->f.restart) {
        masked_restart(&w->s, site);
    }
    if (rng_uniform(&w->rng) < w->f.kill && !over(w)) {
        restart_coordinator(w);
    }
}

/* The network is quiet: sites ask where things stand; if that brings nothing, the deadline. */
static void quiet(struct world *w, size_t *polls)
{
    struct error err;
    if ((*polls)++ < POLLS_MAX) {
        for (size_t i = 0; i < w->s.terms.n_sites; i++) {
            const struct unmasking_input poll = {
                .event = UNMASKING_GOT_POLL, .now_ms = w->now_ms, .site = i, .round = w->round};
            if (!mask_set_has(&w->stopped, i)) {
                send_kind(w, M_ROUND, i);
                do_actions(w, unmasking_step(w->c, &poll, &err), i, &err);
            }
        }
        return;
    }
    *polls = 0;
    w->now_ms = unmasking_deadline(w->c);
    const struct unmasking_input late = {.event = UNMASKING_TIMED_OUT, .now_ms = w->now_ms};
    const unsigned actions = unmasking_step(w->c, &late, &err);
    do_actions(w, actions, 0, &err);
}

static void play_round(struct world *w)
{
    size_t polls = 0;
    memset(&w->disk, 0, sizeof w->disk);
    memset(&w->seen, 0, sizeof w->seen);
    open_round(w);
    for (size_t i = 0; i < w->s.terms.n_sites; i++) {
        send_kind(w, M_ROUND, i);
    }
    while (!over(w)) {
        accidents(w);
        if (!over(w) && w->n_flight > 0 && rng_uniform(&w->rng) >= w->f.late) {
            deliver_one(w);
        } else if (!over(w)) {
            quiet(w, &polls);
        }
    }
    unmasking_close(&w->c); /* what is still in flight reaches the next round */
}

static void play(struct world *w, uint64_t seed, struct mask_terms terms, struct faults f)
{
    masked_init(&w->s, terms, seed);
    rng_init(&w->rng, seed, "schedule");
    w->f = f;
    for (w->round = 1; w->round <= ROUNDS_MAX; w->round++) {
        play_round(w);
        if (mask_set_count(&w->stopped) + terms.min_sites > terms.n_sites) {
            memset(&w->stopped, 0, sizeof w->stopped); /* people started them again */
        }
    }
    while (w->n_flight > 0) {
        free(w->flight[--w->n_flight]);
    }
    masked_release(&w->s);
}

static size_t seeds(size_t otherwise)
{
    const char *text = getenv("WR_SEEDS");
    return text != NULL ? strtoul(text, NULL, 10) : otherwise;
}

static struct mask_terms drawn_terms(struct rng *rng)
{
    struct mask_terms t = {.n_sites = 3 + rng_below(rng, MASKED_MAX - 2)};
    t.min_sites = 3 + rng_below(rng, t.n_sites - 2);
    t.max_colluding = rng_below(rng, t.min_sites - 1);
    return t;
}

/* Neighbourhoods of few sites, of which some are too small now and then: as many as the bound allows. */
static struct mask_terms drawn_neighbours(struct rng *rng)
{
    struct mask_terms t;
    struct error err;
    do {
        t = drawn_terms(rng);
        t.neighbours = 1 + rng_below(rng, t.n_sites);
        t.shares = 1 + rng_below(rng, t.neighbours);
    } while (t.n_sites < 6 || mask_terms_check(&t, 0, &err) != RC_OK);
    return t;
}

static void play_many(struct mask_terms (*draw)(struct rng *rng), size_t n)
{
    static struct world w;
    size_t opened = 0, failed = 0, dropped = 0, killed = 0, given_up = 0;
    print_message("seeds 1 to %zu\n", n);
    for (uint64_t seed = 1; seed <= n; seed++) {
        struct rng rng;
        rng_init(&rng, seed, "faults");
        const struct mask_terms terms = draw(&rng);
        const double rough = rng_uniform(&rng);
        const struct faults f = {.lose = .03 * rough,
                                 .repeat = .2 * rough,
                                 .stop = .005 * rng_uniform(&rng),
                                 .restart = .005 * rng_uniform(&rng),
                                 .kill = .004 * rng_uniform(&rng),
                                 .late = .002 * rng_uniform(&rng)};
        memset(&w, 0, sizeof w);
        play(&w, seed, terms, f);
        opened += w.opened;
        failed += w.failed;
        dropped += w.dropped;
        killed += w.killed;
        given_up += w.given_up;
        assert_int_equal(w.opened + w.failed, ROUNDS_MAX);
    }
    print_message(
        "%zu opened, %zu failed, %zu dropped out in opened ones, %zu coordinators killed, "
        "%zu gave up\n",
        opened, failed, dropped, killed, given_up);
    assert_true(opened > n && failed > 0 && dropped > 0 && killed > 0 && given_up > 0);
}

static void an_opened_sum_is_exactly_its_survivors_whatever_the_schedule(void **state)
{
    (void)state;
    play_many(drawn_terms, seeds(60));
}

static void so_it_is_where_sites_mask_with_the_neighbours_that_they_draw(void **state)
{
    (void)state;
    play_many(drawn_neighbours, seeds(30));
}

static void a_round_without_faults_opens_with_everybody_and_no_timer(void **state)
{
    (void)state;
    static struct world w;
    for (size_t n = 3; n <= MASKED_MAX; n++) {
        memset(&w, 0, sizeof w);
        play(&w, n, (struct mask_terms){n, n, 0, 0, 0, 0}, (struct faults){0});
        assert_int_equal(w.opened, ROUNDS_MAX);
        assert_int_equal(w.given_up, 0);
        assert_int_equal(w.now_ms, 0);
    }
}

static void so_it_does_with_neighbours(void **state)
{
    (void)state;
    static struct world w;
    for (size_t n = 6; n <= MASKED_MAX; n++) {
        const struct mask_terms terms = {n, n, 1, 0, n / 2 + 1, n / 2};
        memset(&w, 0, sizeof w);
        play(&w, n, terms, (struct faults){0});
        assert_int_equal(w.opened, ROUNDS_MAX);
        assert_int_equal(w.given_up, 0);
        assert_int_equal(w.now_ms, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_without_faults_opens_with_everybody_and_no_timer),
        cmocka_unit_test(so_it_does_with_neighbours),
        cmocka_unit_test(an_opened_sum_is_exactly_its_survivors_whatever_the_schedule),
        cmocka_unit_test(so_it_is_where_sites_mask_with_the_neighbours_that_they_draw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
