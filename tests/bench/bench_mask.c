/*
 * What masked sums cost: one whole round of both machines, with real signatures and masks, no network
 * and no disk.
 *
 *   bench_mask [NUMBERS [SITES [DROPPED]]]        100 sites, 10 of which deal shares and send no update
 *
 * Above 128 sites they draw neighbours: as many as the bound wants where as many may collude as drop out.
 *
 * Times are of the thread's own clock (CPU): of one site, and of the coordinator.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/masking/masking.h"
#include "aggregator/unmasking/unmasking.h"
#include "common/neighbours/neighbours.h"
#include "tests/bench/bench_words.h"

enum { ROUND = 1 };

/* Of one round; site 0 is the one that is measured. */
struct bench {
    size_t sites, dropped, numbers;
    struct mask_terms terms;
    size_t sent, received; /* bytes of site 0, beside its update */
    struct seal_keys *keys[MASK_SITES_MAX];
    struct seal_public sign[MASK_SITES_MAX];
    struct masking_peer peer[MASK_SITES_MAX];
    struct masking *site[MASK_SITES_MAX];
    struct unmasking *coordinator;
    struct mask_announcement announced[MASK_SITES_MAX];
    struct mask_parcel parcel[MASK_SITES_MAX];
    struct mask_vote vote[MASK_SITES_MAX];
    struct hash study, roster, model;
    uint32_t *sum, *update;
    double site_ms, coordinator_ms;
};
static struct bench b;
static unsigned char raw[MASK_RAW_MAX];

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void stop_if(bool wrong, const char *why)
{
    if (wrong) {
        (void)fprintf(stderr, "bench_mask: %s\n", why);
        exit(1);
    }
}

static unsigned site_step(size_t i, struct masking_input in)
{
    struct error err = {RC_OK, ""};
    in.round = ROUND;
    const double since = now_ms();
    const unsigned actions = masking_step(b.site[i], &in, &err);
    b.site_ms += i == 0 ? now_ms() - since : 0;
    stop_if((actions & (MASKING_GIVE_UP | MASKING_PROTOCOL_ERROR)) != 0, err.text);
    return actions;
}

static unsigned coordinator_step(size_t i, struct unmasking_input in)
{
    struct error err = {RC_OK, ""};
    in.round = ROUND;
    in.site = i;
    const double since = now_ms();
    const unsigned actions = unmasking_step(b.coordinator, &in, &err);
    b.coordinator_ms += now_ms() - since;
    stop_if((actions & (UNMASKING_FAIL | UNMASKING_PROTOCOL_ERROR)) != 0, err.text);
    return actions;
}

static struct mask_terms terms_of(size_t sites, size_t dropped)
{
    struct mask_terms t = {.n_sites = sites, .min_sites = 3};
    if (sites > MASK_COMPLETE_MAX) {
        struct neighbours g = {.n_sites = sites, .corrupt = dropped, .honest = sites - 2 * dropped};
        t.min_sites = sites - dropped;
        t.max_colluding = dropped;
        stop_if(!neighbours_plan(&g, sites - dropped), "no neighbourhood is large enough");
        t.neighbours = g.each;
        t.shares = g.open;
    }
    return t;
}

static void start(void)
{
    static char text[MASK_SITES_MAX][8];
    const char *name[MASK_SITES_MAX];
    const struct mask_terms terms = b.terms;
    struct unmasking_setup setup = {
        .round = ROUND, .terms = terms, .sign = b.sign, .phase_ms = 1, .update_ms = 1};
    struct error err;
    for (size_t i = 0; i < b.sites; i++) {
        struct seal_curve curve;
        stop_if(seal_keys_random(&b.keys[i], &err) != RC_OK, "no keys");
        seal_keys_public(b.keys[i], &b.sign[i], &curve);
        b.peer[i] = (struct masking_peer){b.sign[i], true};
        (void)snprintf(text[i], sizeof text[i], "site%zu", i);
        name[i] = text[i];
        mask_set_add(&setup.invited, i);
    }
    b.study = hash_of("study", 5);
    b.model = hash_of("model", 5);
    b.roster = mask_roster(name, b.sign, b.sites);
    setup.study = b.study;
    setup.model = b.model;
    setup.roster = b.roster;
    stop_if(unmasking_open(&setup, &b.coordinator, &err) != RC_OK, "no coordinator");
    for (size_t i = 0; i < b.sites; i++) {
        const struct masking_setup of_site = {
            .study = b.study, .roster = b.roster, .terms = terms, .site = i, .peer = b.peer};
        stop_if(masking_open(&of_site, &b.site[i], &err) != RC_OK, "no site");
    }
}

static void keys(void)
{
    for (size_t i = 0; i < b.sites; i++) {
        struct mask_seed seed = {{(unsigned char)i, 7}};
        (void)site_step(
            i, (struct masking_input){.event = MASKING_OPENED, .model = &b.model, .seed = &seed});
        const double since = now_ms();
        struct mask_announcement a = masking_announcement(b.site[i]);
        mask_announcement_sign(b.keys[i], masking_attempt(b.site[i]), &a);
        b.site_ms += i == 0 ? now_ms() - since : 0;
        b.sent += i == 0 ? mask_pack_announcements(&a, 1, raw) : 0;
        (void)coordinator_step(i, (struct unmasking_input){.event = UNMASKING_GOT_ANNOUNCEMENT,
                                                           .announcement = &a});
    }
}

static void shares(void)
{
    static struct mask_portion portion[MASK_SLOTS_MAX];
    const size_t n = unmasking_members(b.coordinator, b.announced);
    b.received += mask_pack_announcements(b.announced, n, raw);
    for (size_t i = 0; i < b.sites; i++) {
        (void)site_step(i, (struct masking_input){
                               .event = MASKING_GOT_MEMBERS, .announced = b.announced, .n = n});
        const double since = now_ms();
        struct mask_deal d = masking_deal(b.site[i], portion);
        mask_deal_sign(b.keys[i], masking_members(b.site[i]), &d);
        b.site_ms += i == 0 ? now_ms() - since : 0;
        b.sent += i == 0 ? mask_pack_shares(&d, portion, mask_slots(&b.terms), raw) : 0;
        (void)coordinator_step(i, (struct unmasking_input){.event = UNMASKING_GOT_DEAL,
                                                           .deal = &d,
                                                           .portion = portion,
                                                           .n = mask_slots(&b.terms)});
    }
}

static void updates(void)
{
    struct error err;
    for (size_t i = 0; i < b.sites; i++) {
        double since = now_ms();
        const size_t n = unmasking_parcels(b.coordinator, i, b.parcel);
        b.coordinator_ms += now_ms() - since;
        b.received += i == 0 ? mask_pack_parcels(b.parcel, n, raw) : 0;
        (void)site_step(
            i, (struct masking_input){.event = MASKING_GOT_PARCELS, .parcel = b.parcel, .n = n});
    }
    for (size_t i = 0; i < b.sites; i++) {
        if (i >= b.sites - b.dropped) {
            (void)coordinator_step(i, (struct unmasking_input){.event = UNMASKING_GOT_CANNOT});
            continue;
        }
        for (size_t w = 0; w < b.numbers; w++) {
            b.update[w] = (uint32_t)(i + w);
        }
        double since = now_ms();
        stop_if(masking_mask(b.site[i], ROUND, b.update, b.numbers, &err) != RC_OK, "no mask");
        const double took = now_ms() - since;
        if (i == 0) {
            b.site_ms += took;
            (void)printf("a site:          %9.2f ms to mask its update\n", took);
        }
        for (size_t w = 0; w < b.numbers; w++) {
            b.sum[w] += b.update[w];
        }
        if (b.terms.neighbours > 0) {
            struct mask_vote list = masking_list(b.site[i]);
            since = now_ms();
            mask_list_sign(b.keys[i], masking_clique(b.site[i]), &list);
            b.site_ms += i == 0 ? now_ms() - since : 0;
            b.sent += i == 0 ? mask_pack_votes(&list, 1, raw) : 0;
            (void)coordinator_step(i, (struct unmasking_input){.event = UNMASKING_GOT_LIST,
                                                               .list = &list});
        }
        (void)coordinator_step(i, (struct unmasking_input){.event = UNMASKING_GOT_UPDATE});
    }
}

static void votes(void)
{
    static struct mask_reveal reveal[MASK_SITES_MAX];
    const size_t survivors = b.sites - b.dropped;
    for (size_t i = 0; i < survivors; i++) {
        struct mask_set set = *unmasking_survivors(b.coordinator);
        const size_t n_lists = unmasking_lists(b.coordinator, i, b.vote);
        (void)site_step(i, (struct masking_input){.event = MASKING_GOT_SURVIVORS,
                                                  .survivors = &set,
                                                  .vote = b.vote,
                                                  .n = n_lists});
        const double since = now_ms();
        struct mask_vote v = masking_vote(b.site[i], &set);
        mask_vote_sign(b.keys[i], masking_clique(b.site[i]), &set, &v);
        b.site_ms += i == 0 ? now_ms() - since : 0;
        if (i == 0) {
            b.received += mask_pack_survivors(&set, b.vote, n_lists, raw);
            b.sent += mask_pack_vote(&set, &v, raw);
        }
        (void)coordinator_step(i, (struct unmasking_input){
                                      .event = UNMASKING_GOT_VOTE, .survivors = &set, .vote = &v});
    }
    const size_t n_votes = unmasking_votes(b.coordinator, b.vote);
    b.received += mask_pack_votes(b.vote, n_votes, raw);
    for (size_t i = 0; i < survivors; i++) {
        (void)site_step(
            i, (struct masking_input){.event = MASKING_GOT_VOTES, .vote = b.vote, .n = n_votes});
        const size_t n = masking_reveal(b.site[i], reveal);
        b.sent += i == 0 ? mask_pack_reveals(reveal, n, raw) : 0;
        (void)coordinator_step(
            i, (struct unmasking_input){.event = UNMASKING_GOT_REVEAL, .reveal = reveal, .n = n});
    }
}

static void unmask(void)
{
    size_t count;
    const size_t survivors = b.sites - b.dropped;
    stop_if(unmasking_state(b.coordinator) != UNMASKING_DONE, "the sum did not open");
    const double since = now_ms();
    const struct mask_stream *stream = unmasking_streams(b.coordinator, &count);
    mask_apply(b.sum, b.numbers, 0, stream, count);
    const double took = now_ms() - since;
    b.coordinator_ms += took;
    (void)printf("the coordinator: %9.2f ms to take %zu streams off the sum\n", took, count);
    for (size_t w = 0; w < b.numbers; w++) {
        const size_t want = survivors * (survivors - 1) / 2 + survivors * w;
        stop_if(b.sum[w] != (uint32_t)want, "the sum is wrong");
    }
}

static size_t number(int argc, char **argv, int i, size_t otherwise)
{
    static const char *const what[] = {"", "NUMBERS", "SITES", "DROPPED"};
    return argc > i ? bench_number("bench_mask", what[i], argv[i], 0, 1000000000) : otherwise;
}

int main(int argc, char **argv)
{
    bench_help(argc, argv,
               "bench_mask [NUMBERS [SITES [DROPPED]]]: processor time of a masked sum, of one "
               "site and of the\n"
               "coordinator\n"
               "  bench_mask 1000000 100 10\n");
    bench_words("bench_mask", argc, 3);
    b.numbers = number(argc, argv, 1, 1000000);
    b.sites = number(argc, argv, 2, 100);
    b.dropped = number(argc, argv, 3, 10);
    if (b.numbers < 1 || b.sites < 3 || b.sites > MASK_SITES_MAX || 2 * b.dropped >= b.sites) {
        (void)fprintf(
            stderr, "usage: bench_mask [NUMBERS [SITES (3..1024) [DROPPED (fewer than half)]]]\n");
        return 2;
    }
    b.terms = terms_of(b.sites, b.dropped);
    b.sum = calloc(b.numbers, sizeof *b.sum);
    b.update = calloc(b.numbers, sizeof *b.update);
    stop_if(b.sum == NULL || b.update == NULL, "no memory");
    start();
    (void)printf("%zu numbers, %zu sites, %zu dropped before their update\n", b.numbers, b.sites,
                 b.dropped);
    if (b.terms.neighbours > 0) {
        (void)printf("each draws %zu neighbours, of whom %zu open a secret\n", b.terms.neighbours,
                     b.terms.shares);
    }
    keys();
    shares();
    updates();
    votes();
    unmask();
    (void)printf("a site:          %9.2f ms in all\n", b.site_ms);
    (void)printf("the coordinator: %9.2f ms in all, without adding updates up\n", b.coordinator_ms);
    (void)printf("a site sends:    %9zu bytes beside its update\n", b.sent);
    (void)printf("a site receives: %9zu bytes\n", b.received);
    for (size_t i = 0; i < b.sites; i++) {
        masking_close(&b.site[i]);
        seal_keys_close(&b.keys[i]);
    }
    unmasking_close(&b.coordinator);
    free(b.sum);
    free(b.update);
    return 0;
}
