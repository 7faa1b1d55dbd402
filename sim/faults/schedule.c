/* What a seed says. Drawn once, in a fixed order, so that a seed stays the same bad day. */
#include <string.h>

#include "sim/faults/faults_internal.h"

static bool coin(struct rng *r, double chance)
{
    return rng_uniform(r) < chance;
}

static int64_t between(struct rng *r, int64_t least, int64_t most)
{
    return least + (int64_t)rng_below(r, (uint64_t)(most - least + 1));
}

/* n, floor, colluding, and t, so that the terms are ones a study may have. */
static void draw_terms(struct rng *r, size_t n, struct schedule *s)
{
    struct error err;
    size_t strangers = 0;
    do {
        s->terms = (struct mask_terms){.n_sites = n};
        s->terms.min_sites = 3 + rng_below(r, 1 + rng_below(r, n - 2));
        s->terms.max_colluding = coin(r, 0.5) ? rng_below(r, s->terms.min_sites - 1) : 0;
        strangers = n > 3 && coin(r, 0.3) ? 1 + rng_below(r, (n - 2) / 2) : 0;
        const size_t least = (n + s->terms.max_colluding + strangers) / 2 + 1;
        s->terms.threshold_least = strangers > 0 && coin(r, 0.95) ? least : 0;
    } while (mask_terms_check(&s->terms, 0, &err) != RC_OK || n - strangers < s->terms.min_sites);
    size_t order[SITES];
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
    }
    rng_shuffle(r, order, n);
    const size_t c = rng_below(r, s->terms.max_colluding + 1);
    for (size_t i = 0; i < strangers + c; i++) {
        s->colludes[order[i]] = true;
        s->stranger[order[i]] = i < strangers;
    }
}

/* As many and as few as the bound lets anybody have, mostly with room for those who drop out. */
static void draw_neighbours(struct rng *r, size_t n, struct schedule *s)
{
    struct error err;
    size_t strangers = 0;
    for (size_t i = 0; i < n; i++) {
        strangers += s->stranger[i];
    }
    do {
        s->terms.neighbours = 1 + rng_below(r, n - 1);
        s->terms.shares = 1 + rng_below(r, s->terms.neighbours);
    } while (mask_terms_check(&s->terms, coin(r, 0.95) ? strangers : 0, &err) != RC_OK);
}

static void draw_lies(struct rng *r, size_t n, struct schedule *s)
{
    const size_t lies = s->terms.neighbours > 0 ? LIES : LIES_OF_ALL;
    s->lie = coin(r, 0.5) ? (enum lie)(1 + rng_below(r, lies - 1)) : LIE_NONE;
    s->liar_site = n;
    if (coin(r, 0.25)) {
        s->liar_site = rng_below(r, n);
        s->site_lie = (enum site_lie)(1 + rng_below(r, SITE_LIES - 1));
    }
    for (size_t a = 0; a < n; a++) {
        s->declines[a] = coin(r, 0.01);
        for (size_t b = 0; b < n; b++) {
            s->unsure[a][b] = a != b && coin(r, 0.004);
        }
    }
}

static size_t party(struct rng *r, size_t n)
{
    return coin(r, 0.3) ? CENTER : rng_below(r, n);
}

static void draw_faults(struct rng *r, size_t n, struct schedule *s)
{
    static const double rates[] = {0.0, 0.0, 0.0, 0.01, 0.03, 0.1};
    s->quiet_ms = between(r, 5000, 60000);
    s->lose = rates[rng_below(r, 6)];
    s->repeat = rates[rng_below(r, 6)];
    s->damage = rates[rng_below(r, 6)] / 2;
    s->late = rates[rng_below(r, 6)];
    s->lose_update = coin(r, 0.3) ? 0.25 : 0.0;
    for (size_t i = 0; i < n; i++) {
        s->train_ms[i] = coin(r, 0.06) ? between(r, 2000, 30000) : between(r, 20, 800);
    }
    s->n_kills = coin(r, 0.5) ? rng_below(r, 1 + rng_below(r, KILLS_MAX)) : 0;
    for (size_t i = 0; i < s->n_kills; i++) {
        /* A site does some 25 things in a round, from 14 on with its update masked. */
        const size_t who = party(r, n);
        const uint64_t at = who == CENTER
                                ? 1 + rng_below(r, 500)
                                : (coin(r, 0.5) ? 14 + rng_below(r, 9) : 1 + rng_below(r, 90));
        s->kill[i] =
            (struct kill){who, at, coin(r, 0.8) ? between(r, 0, 2000) : between(r, 0, 30000)};
    }
    s->n_cuts = coin(r, 0.4) ? rng_below(r, CUTS_MAX) : 0;
    for (size_t i = 0; i < s->n_cuts; i++) {
        const int64_t from = between(r, 0, s->quiet_ms);
        s->cut[i] =
            (struct cut){party(r, n), from, from + between(r, 50, coin(r, 0.7) ? 2500 : 12000)};
    }
    s->n_full = coin(r, 0.3) ? rng_below(r, CUTS_MAX) : 0;
    for (size_t i = 0; i < s->n_full; i++) {
        const int64_t from = between(r, 0, s->quiet_ms);
        s->full[i] = (struct cut){party(r, n), from, from + between(r, 1, 6000)};
    }
}

/* What was thought of later has draws of its own: a seed keeps all its other faults. */
static void draw_more(struct rng *r, size_t n, bool neighbours, struct schedule *s)
{
    s->withdraws = coin(r, 0.1) ? rng_below(r, n) : SITES;
    s->withdraw_ms = between(r, 100, coin(r, 0.7) ? 4000 : 40000);
    s->clique = neighbours && coin(r, 0.2) ? rng_below(r, n) : SITES;
    s->clique_from_ms = between(r, 50, 6000);
    s->clique_until_ms = s->clique_from_ms + between(r, 500, 15000);
    s->shared = coin(r, 0.2);
    s->lie = coin(r, 0.04) ? LIE_TOO_FEW : s->lie;
}

void schedule_draw(const struct faults_params *p, struct schedule *out)
{
    struct rng r;
    memset(out, 0, sizeof *out);
    rng_init(&r, p->seed, "bad day");
    const size_t least = p->neighbours ? FAULTS_DRAWN_LEAST : FAULTS_SITES_LEAST;
    const size_t most = p->neighbours ? FAULTS_DRAWN_MOST : FAULTS_SITES_MOST;
    const size_t drawn = least + rng_below(&r, most - least + 1);
    const size_t n = p->n_sites == 0 ? drawn : p->n_sites;
    out->rounds = 1 + rng_below(&r, 3);
    out->lost_max = 1 + rng_below(&r, 4);
    draw_terms(&r, n, out);
    if (p->neighbours) {
        draw_neighbours(&r, n, out);
    }
    draw_lies(&r, n, out);
    draw_faults(&r, n, out);
    rng_init(&r, p->seed, "more of a bad day");
    draw_more(&r, n, p->neighbours, out);
}

void schedule_print(const struct schedule *s, FILE *to)
{
    static const char *const lie[LIES + 1] = {
        "honest",         "two faces",        "two survivor sets", "calls one dropped",
        "old keys",       "two member lists", "one number twice",  "one signature often",
        "wrong outcomes", "wrong boxes",      "strangers instead", "draws of its own",
        "another list",   "cuts one off",     "too few left"};
    static const char *const site_lie[SITE_LIES] = {"", "wrong shares", "signs another set",
                                                    "wrong boxes", "a made-up update"};
    (void)fprintf(
        to, "%zu sites, at least %zu, %zu may collude, t at least %zu, %llu rounds, %llu spare\n",
        s->terms.n_sites, s->terms.min_sites, s->terms.max_colluding, mask_threshold(&s->terms),
        (unsigned long long)s->rounds, (unsigned long long)s->lost_max);
    if (s->terms.neighbours > 0) {
        (void)fprintf(to, "each draws %zu neighbours, of whom %zu open a secret\n",
                      s->terms.neighbours, s->terms.shares);
    }
    (void)fprintf(to, "coordinator: %s\n", lie[s->lie]);
    for (size_t i = 0; i < s->terms.n_sites; i++) {
        (void)fprintf(to, "site %zu:%s%s%s%s trains %lld ms\n", i,
                      s->stranger[i] ? " stranger," : (s->colludes[i] ? " colludes," : ""),
                      s->liar_site == i ? " lies: " : "",
                      s->liar_site == i ? site_lie[s->site_lie] : "",
                      s->declines[i] ? " declines," : "", (long long)s->train_ms[i]);
    }
    if (s->shared) {
        (void)fprintf(to, "noise: shared\n");
    }
    if (s->withdraws < s->terms.n_sites) {
        (void)fprintf(to, "site %zu withdraws after %lld ms\n", s->withdraws,
                      (long long)s->withdraw_ms);
    }
    if (s->clique < s->terms.n_sites) {
        (void)fprintf(to, "site %zu and its neighbours are cut off from %lld to %lld ms\n",
                      s->clique, (long long)s->clique_from_ms, (long long)s->clique_until_ms);
    }
    (void)fprintf(
        to, "network: loses %g, repeats %g, damages %g, holds up %g; faults stop after %lld ms\n",
        s->lose, s->repeat, s->damage, s->late, (long long)s->quiet_ms);
}
