#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/neighbours/neighbours.h"
#include "tests/support/seed.h"

static struct neighbours plan(size_t n, size_t corrupt, size_t present)
{
    struct neighbours g = {.n_sites = n, .corrupt = corrupt, .honest = present - corrupt};
    assert_true(neighbours_plan(&g, present));
    return g;
}

static void the_figures_of_the_bound_are_these(void **state)
{
    (void)state;
    static const struct {
        size_t n, corrupt, present, each, open;
    } want[] = {{100, 10, 90, 21, 11}, {200, 20, 180, 35, 19}, {1000, 100, 900, 52, 28}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const struct neighbours g = plan(want[i].n, want[i].corrupt, want[i].present);
        assert_int_equal(g.each, want[i].each);
        assert_int_equal(g.open, want[i].open);
        assert_true(neighbours_risk(&g) <= NEIGHBOURS_RISK_LOG2);
        assert_true(neighbours_loss(&g, want[i].present) <= NEIGHBOURS_LOSS_LOG2);
    }
}

static void a_smaller_neighbourhood_is_not_enough(void **state)
{
    (void)state;
    struct neighbours g = plan(1000, 100, 900);
    for (g.each--, g.open = 1; g.open <= g.each; g.open++) {
        assert_true(neighbours_risk(&g) > NEIGHBOURS_RISK_LOG2 ||
                    neighbours_loss(&g, 900) > NEIGHBOURS_LOSS_LOG2);
    }
}

static void tails_are_exact_where_they_can_be_counted(void **state)
{
    (void)state;
    /* Two of four are drawn, one is corrupt: with chance 1/2 it is among them; four honest sites. */
    const struct neighbours one = {5, 1, 4, 2, 1};
    assert_true(fabs(neighbours_risk(&one)) < 1e-12); /* 4 x 1/2: no promise at all */
    /* Of five, one is away: a given site has drawn it with chance 1/2, and needs both. */
    const struct neighbours both = {5, 0, 4, 2, 2};
    assert_true(fabs(neighbours_loss(&both, 4) - 0.0) < 1e-12); /* 5 x 1/2 */
    const struct neighbours either = {5, 0, 3, 2, 1};
    assert_true(fabs(neighbours_loss(&either, 3) - log2(5.0 / 6.0)) <
                1e-12); /* 5 x C(2,2)/C(4,2) */
    /* Everybody holds: nobody can be cut off, and fewer than t are corrupt. */
    const struct neighbours all = {9, 2, 4, 8, 6};
    assert_true(neighbours_risk(&all) == -HUGE_VAL);
}

static void more_corrupt_sites_are_never_safer(void **state)
{
    (void)state;
    struct neighbours g = plan(300, 30, 270);
    double before = -HUGE_VAL;
    for (g.corrupt = 0; g.corrupt < 150; g.corrupt += 10) {
        const double now = neighbours_risk(&g);
        assert_true(now >= before);
        before = now;
    }
    assert_true(before > NEIGHBOURS_RISK_LOG2);
}

static void what_no_neighbourhood_can_do_is_said(void **state)
{
    (void)state;
    struct neighbours g = {.n_sites = 1000, .corrupt = 400, .honest = 200};
    assert_false(neighbours_plan(&g, 600));
    assert_int_equal(g.each, 0);
}

/* ---- the bound against every choice of whom to drop ------------------------------------------- */

enum { SMALL = 11 };

/* Holders of each site as bits. */
static void draw(struct rng *r, size_t n, size_t each, unsigned holders[SMALL])
{
    for (size_t u = 0; u < n; u++) {
        size_t other[SMALL], m = 0;
        for (size_t v = 0; v < n; v++) {
            if (v != u) {
                other[m++] = v;
            }
        }
        rng_shuffle(r, other, m);
        holders[u] = 0;
        for (size_t i = 0; i < each; i++) {
            holders[u] |= 1U << other[i];
        }
    }
}

static bool falls_apart(const unsigned holders[SMALL], size_t n, unsigned w)
{
    unsigned reached = w & (~w + 1U), before = 0;
    while (reached != before) {
        before = reached;
        for (size_t u = 0; u < n; u++) {
            if ((reached >> u & 1U) != 0) {
                reached |= holders[u] & w;
            } else if ((w >> u & 1U) != 0 && (holders[u] & reached) != 0) {
                reached |= 1U << u;
            }
        }
    }
    return reached != w;
}

/* The first sites are corrupt. Is there a set of survivors that the rules let pass and that is read in
 * parts, or a site whose secrets the corrupt can open by themselves? */
static bool read_in_parts(const struct neighbours *g, const unsigned holders[SMALL])
{
    const unsigned corrupt = (1U << g->corrupt) - 1U, all = (1U << g->n_sites) - 1U;
    for (size_t u = g->corrupt; u < g->n_sites; u++) {
        if ((size_t)__builtin_popcount(holders[u] & corrupt) >= g->open) {
            return true;
        }
    }
    for (unsigned w = 1; w <= all; w++) {
        if ((w & corrupt) != 0 || (size_t)__builtin_popcount(w) < g->honest) {
            continue;
        }
        bool passes = true;
        for (size_t u = 0; passes && u < g->n_sites; u++) {
            passes = (w >> u & 1U) == 0 ||
                     (size_t)__builtin_popcount(holders[u] & (w | corrupt)) >= g->open;
        }
        if (passes && falls_apart(holders, g->n_sites, w)) {
            return true;
        }
    }
    return false;
}

static void no_choice_of_dropouts_beats_the_bound(void **state)
{
    (void)state;
    static const struct neighbours cases[] = {
        {9, 1, 5, 4, 3}, {10, 1, 6, 4, 2}, {11, 2, 6, 5, 4}, {11, 1, 8, 3, 2}, {10, 2, 7, 6, 4}};
    enum { GRAPHS = 400 };
    size_t some = 0;
    struct rng r;
    rng_init(&r, seed_of_run(), "graphs");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct neighbours *g = &cases[i];
        const double bound = exp2(neighbours_risk(g));
        unsigned holders[SMALL];
        size_t read = 0;
        for (size_t k = 0; k < GRAPHS; k++) {
            draw(&r, g->n_sites, g->each, holders);
            read += read_in_parts(g, holders);
        }
        const double most = bound + 5.0 * sqrt(bound * (1.0 - bound) / GRAPHS);
        some += read;
        if ((double)read / GRAPHS > most) {
            fail_msg("case %zu: %zu of %d graphs are read in parts, the bound is %.4f", i, read,
                     (int)GRAPHS, bound);
        }
    }
    assert_true(some > 0); /* it has been tried on what can go wrong */
}

static void where_the_bound_is_zero_nothing_is_ever_read_in_parts(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, seed_of_run(), "safe graphs");
    for (size_t n = 6; n <= SMALL; n++) {
        struct neighbours g = plan(n, 1, n - 1);
        unsigned holders[SMALL];
        if (neighbours_risk(&g) != -HUGE_VAL) {
            continue;
        }
        for (size_t k = 0; k < 200; k++) {
            draw(&r, n, g.each, holders);
            assert_false(read_in_parts(&g, holders));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_figures_of_the_bound_are_these),
        cmocka_unit_test(a_smaller_neighbourhood_is_not_enough),
        cmocka_unit_test(tails_are_exact_where_they_can_be_counted),
        cmocka_unit_test(more_corrupt_sites_are_never_safer),
        cmocka_unit_test(what_no_neighbourhood_can_do_is_said),
        cmocka_unit_test(no_choice_of_dropouts_beats_the_bound),
        cmocka_unit_test(where_the_bound_is_zero_nothing_is_ever_read_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
