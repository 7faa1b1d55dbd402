/* The noise that a study needs, and a plan that is made by the rule. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/accountant/accountant.h"
#include "common/accountant/planning.h"
#include "tests/support/study_text.h"

static void the_plan_follows_its_numbers(void **state)
{
    (void)state;
    struct study s = study_text_read(study_text_good);
    struct error err = {0};
    const double sigma = s.privacy.noise_multiplier;
    const struct mechanism m = {.q = 1.0, .sigma = sigma, .steps = 10}; /* 5 rounds of 2 steps */
    const double epsilon = accountant_epsilon(&m, 1, 1e-4);
    assert_true(epsilon <= 2.0 && epsilon > 1.999);

    s.privacy.epsilon = 1; /* half of it */
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier > 1.5 * sigma);
    s.privacy.epsilon = 2;
    s.rounds = 10; /* twice the steps */
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier > 1.3 * sigma);
    s.rounds = 5;
    s.privacy.sample_rate = 0.1;
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier < 0.7 * sigma);
    s.privacy.sample_rate = 1;
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier == sigma);

    s.privacy.epsilon = (double)INFINITY; /* an override that forgot the noise */
    assert_int_equal(study_plan(&s, &err), RC_INVALID);
    assert_true(s.privacy.noise_multiplier == sigma);
    s.privacy.noise = STUDY_NOISE_NONE;
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier == 0);
    s.privacy.epsilon = 2; /* and one that forgot to add it */
    assert_int_equal(study_plan(&s, &err), RC_INVALID);
    s.privacy.noise = STUDY_NOISE_SHARED;
    assert_int_equal(study_plan(&s, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "noise: shared needs masked: true"));
    s.privacy.noise = STUDY_NOISE_SITE;
    static const double out_of_range[] = {0, -1, (double)NAN};
    for (size_t i = 0; i < COUNT(out_of_range); i++) {
        s.privacy.epsilon = out_of_range[i];
        assert_int_equal(study_plan(&s, &err), RC_INVALID);
    }
    s.privacy.epsilon = 2;
    s.privacy.delta = 0;
    assert_int_equal(study_plan(&s, &err), RC_INVALID);
    study_release(&s);
}

#define PLANNED_ROUNDS                                                                     \
    "rounds: 100\nprivacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1.5, passes: 20, " \
    "steps_least: %d}"

/* `study_text_good` with a wish, at most 100 rounds of 2 steps, and this fewest number of steps. */
static const char *wishing(int steps_least)
{
    static char out[2048];
    char rest[2048];
    (void)snprintf(rest, sizeof rest, "%s", study_text_with(9, ""));
    char line[256];
    (void)snprintf(line, sizeof line, PLANNED_ROUNDS, steps_least);
    const char *at = strstr(rest, "rounds: 5\n");
    (void)snprintf(out, sizeof out, "%.*s%s\n%s", (int)(at - rest), rest, line,
                   at + strlen("rounds: 5\n"));
    return out;
}

static void a_wish_is_planned_by_the_rule_in_whole_rounds(void **state)
{
    (void)state;
    for (int least = 15; least <= 101; least += 43) { /* 2 steps a round: 16, 58, 102 */
        struct study s = study_text_read(wishing(least));
        struct error err = {0};
        struct planning_choice c[PLANNING_CHOICES];
        size_t n = 0, best = 0;
        const struct planning_wish wish = {.epsilon = 2,
                                           .delta = 1e-4,
                                           .passes = 20,
                                           .steps_least = (uint64_t)(least + 1) / 2 * 2,
                                           .steps_most = 200};
        assert_int_equal(planning_choose(&wish, c, &n, &best, &err), RC_OK);
        assert_int_equal(study_steps(&s), c[best].steps);
        assert_int_equal(s.rounds * 2, c[best].steps);
        assert_true(s.privacy.sample_rate == c[best].q);
        assert_true(s.privacy.noise_multiplier == c[best].sigma);
        assert_int_equal(s.wish.rounds_most, 100);
        study_release(&s);
    }
    struct study s = study_text_read(study_text_good); /* and who has none gets none */
    assert_true(s.wish.passes == 0 && s.wish.steps_least == 0 && s.wish.rounds_most == 0);
    study_release(&s);
}

/* A document that leaves 20, 40 or 80 rounds to the plan, and averages from this one on. */
static const char *wishing_and_averaging(size_t from)
{
    static char out[2048];
    static const char line[] = "server: {rule: fedavg}\n";
    const char *wish = wishing(40);
    const char *at = strstr(wish, line);
    assert_non_null(at);
    (void)snprintf(out, sizeof out, "%.*sserver: {average_iterates: true, average_from: %zu}\n%s",
                   (int)(at - wish), wish, from, at + sizeof line - 1);
    return out;
}

static void an_average_begins_in_the_shortest_plan_at_the_latest(void **state)
{
    (void)state;
    struct study s = study_text_read(wishing_and_averaging(20));
    assert_int_equal(s.server.average_from, 20);
    study_release(&s);
    struct config_issues issues;
    struct error err = {0};
    assert_int_equal(study_text_try(wishing_and_averaging(21), &s, &issues, &err), RC_INVALID);
    assert_int_equal(issues.n, 1);
    assert_non_null(strstr(issues.line[0], "average_from: is 21, must be at most the 20 rounds of "
                                           "the shortest plan"));
}

static void a_wish_is_planned_anew_for_another_epsilon_and_for_none(void **state)
{
    (void)state;
    struct study s = study_text_read(wishing(40));
    struct error err = {0};
    const double sigma = s.privacy.noise_multiplier;
    s.rounds = 77; /* only what came of it */
    s.privacy.sample_rate = 1;
    s.privacy.epsilon = 1;
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_int_equal(s.rounds, 20);
    assert_true(s.privacy.sample_rate == 0.5 && s.privacy.noise_multiplier > sigma);
    s.rounds = 77;
    s.privacy.noise = STUDY_NOISE_NONE;
    s.privacy.epsilon = (double)INFINITY;
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_int_equal(s.rounds, 20);
    assert_true(s.privacy.sample_rate == 0.5 && s.privacy.noise_multiplier == 0);
    study_release(&s);
}

static void only_what_comes_of_a_wish_is_hashed(void **state)
{
    (void)state;
    struct study s = study_text_read(wishing(40));
    const struct hash schema = hash_of("schema", 6);
    const struct hash before = study_hash(&s, &schema);
    s.wish = (struct study_wish){0};
    const struct hash after = study_hash(&s, &schema);
    assert_true(hash_equal(&before, &after));
    study_release(&s);
}

static enum rc take(const char *text, const struct study_choice *choice, struct study *out,
                    struct error *err)
{
    static struct config_issues issues;
    memset(&issues, 0, sizeof issues);
    return study_parse_chosen("s.yaml", text, strlen(text), choice, out, &issues, err);
}

static void a_plan_of_somebody_else_is_checked_and_not_made_again(void **state)
{
    (void)state;
    char text[2048];
    (void)snprintf(text, sizeof text, "%s", wishing(40)); /* 20, 40 or 80 rounds of 2 steps */
    struct study s = study_text_read(text), t;
    struct error err = {0};
    const struct hash schema = hash_of("schema", 6);
    const struct study_choice chosen = study_choice_of(&s);
    assert_true(chosen.planned);
    assert_int_equal(take(text, &chosen, &t, &err), RC_OK);
    const struct hash a = study_hash(&s, &schema), b = study_hash(&t, &schema);
    assert_true(hash_equal(&a, &b));
    study_release(&t);

    struct study_choice other = chosen; /* not the best, and yet one that the rule compares */
    other.rounds = s.rounds == 40 ? 80 : 40;
    other.sample_rate = 20.0 / (double)(2 * other.rounds);
    other.sigma = 50;
    assert_int_equal(take(text, &other, &t, &err), RC_OK);
    assert_int_equal(t.rounds, other.rounds);
    assert_true(t.privacy.sample_rate == other.sample_rate && t.privacy.noise_multiplier == 50);
    study_release(&t);

    const struct {
        struct study_choice choice;
        enum rc rc;
        const char *word;
    } bad[] = {
        {{chosen.sigma, false, 0, 0}, RC_FORMAT, "none came with it"},
        {{0.99 * chosen.sigma, true, chosen.sample_rate, chosen.rounds}, RC_INVALID, "more than"},
        {{chosen.sigma, true, nextafter(chosen.sample_rate, 1), chosen.rounds}, RC_INVALID, "give"},
        {{chosen.sigma, true, nextafter(chosen.sample_rate, 0), chosen.rounds}, RC_INVALID, "give"},
        {{chosen.sigma, true, (double)NAN, chosen.rounds}, RC_INVALID, "give"},
        {{50, true, 0.5, 21}, RC_INVALID, "not among those"},
        {{50, true, 1, 10}, RC_INVALID, "not among those"},
        {{50, true, 0.0625, 160}, RC_INVALID, "from 1 to 100"},
        {{50, true, 1, 0}, RC_INVALID, "from 1 to 100"},
        {{50, true, 1, SIZE_MAX}, RC_INVALID, "from 1 to 100"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct study untouched;
        memset(&t, 0xa5, sizeof t);
        untouched = t;
        if (take(text, &bad[i].choice, &t, &err) != bad[i].rc ||
            strstr(err.text, bad[i].word) == NULL) {
            fail_msg("%zu: %s '%s', want '%s'", i, rc_name(err.rc), err.text, bad[i].word);
        }
        assert_memory_equal(&t, &untouched, sizeof t);
    }
    assert_int_equal(take(study_text_good, &chosen, &t, &err), RC_FORMAT);
    assert_non_null(strstr(err.text, "states its rate and rounds itself"));
    study_release(&s);
}

/* What the ledger computes and compares, to the last bit. */
static void a_carried_sigma_is_compared_exactly(void **state)
{
    (void)state;
    struct study s = study_text_read(study_text_good);
    struct error err = {0};
    const double solved = s.privacy.noise_multiplier;
    const double carried = 1.2345678901234567 * solved;
    const struct mechanism m = {.q = 1.0, .sigma = carried, .steps = 10};
    const double cost = accountant_epsilon(&m, 1, 1e-4);

    s.privacy.epsilon = cost;
    assert_int_equal(study_take_sigma(&s, carried, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier == carried);
    s.privacy.epsilon = nextafter(cost, 0);
    s.privacy.noise_multiplier = solved;
    assert_int_equal(study_take_sigma(&s, carried, &err), RC_INVALID);
    assert_true(s.privacy.noise_multiplier == solved); /* untouched */
    char number[32];
    (void)snprintf(number, sizeof number, "%.17g", cost);
    assert_non_null(strstr(err.text, number));
    (void)snprintf(number, sizeof number, "%.17g", s.privacy.epsilon);
    assert_non_null(strstr(err.text, number));

    s.privacy.epsilon = 2;
    assert_int_equal(study_take_sigma(&s, solved, &err), RC_OK);
    assert_int_equal(study_take_sigma(&s, solved - 1e-6, &err), RC_INVALID);
    s.privacy.clip = 1e-6; /* so that updates can carry it */
    assert_int_equal(study_take_sigma(&s, 1e6, &err), RC_OK);
    assert_int_equal(study_take_sigma(&s, 1.0000001e6, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, (double)NAN, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, HUGE_VAL, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, 0, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, -1, &err), RC_INVALID);

    s.privacy.noise = STUDY_NOISE_NONE;
    assert_int_equal(study_take_sigma(&s, solved, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, (double)NAN, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, 0, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier == 0);
    study_release(&s);
}

/* As long runs of `v = m v + z` have it: squares of what each z counts in the changes of one round, summed. */
static double variance_by_hand(double m, size_t steps)
{
    double sum = 0.0;
    for (size_t back = 0; back < 5000; back++) { /* steps before the round's end */
        double counts = 0.0;
        for (size_t t = 0; t < steps; t++) { /* v_t of the round, the last one first */
            counts += back >= t ? pow(m, (double)(back - t)) : 0.0;
        }
        sum += counts * counts;
    }
    return sum;
}

static void noise_that_updates_cannot_carry_is_refused_with_what_to_write(void **state)
{
    (void)state;
    struct study s;
    struct config_issues issues;
    struct error err = {0};
    char text[2048];
    (void)snprintf(text, sizeof text, "%s",
                   study_text_with(9,
                                   "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 10000}"));
    assert_int_equal(study_text_try(text, &s, &issues, &err), RC_INVALID);
    assert_int_equal(issues.n, 1);
    const char *const line = issues.line[0];
    assert_non_null(strstr(line, "s.yaml:9:33: error: noise: site with clip 10000, sigma "));
    assert_non_null(strstr(line,
                           " in a round at site 'c.d_E-9'; updates with fraction_bits: 20 end "
                           "at 2048, so rounds would be lost; lower clip or rate"));

    char *bits = strstr(text, "fraction_bits: 20");
    const char *advice = strstr(line, "or write fraction_bits: ");
    assert_non_null(bits);
    assert_non_null(advice);
    const int wide = (int)strtol(advice + strlen("or write fraction_bits: "), NULL, 10);
    assert_in_range(wide, 8, 19);
    bits[15] = (char)('0' + (wide + 1) / 10);
    bits[16] = (char)('0' + (wide + 1) % 10);
    assert_int_equal(study_text_try(text, &s, &issues, &err), RC_INVALID);
    bits[15] = (char)('0' + wide / 10);
    bits[16] = (char)('0' + wide % 10);
    s = study_text_read(text);
    const double sigma = s.privacy.noise_multiplier;
    s.fraction_bits = 20; /* as signed by a coordinator that does not look */
    assert_int_equal(study_take_sigma(&s, sigma, &err), RC_INVALID);
    s.local.optimiser = STUDY_ADAM;
    assert_int_equal(study_take_sigma(&s, sigma, &err), RC_OK);
    s.local.optimiser = STUDY_SGD;
    s.privacy.noise = STUDY_NOISE_NONE; /* what a clip bounds there nobody knows */
    assert_int_equal(study_take_sigma(&s, 0, &err), RC_OK);
    study_release(&s);
}

static void the_noise_of_a_round_is_that_of_its_steps_and_of_the_momentum_before(void **state)
{
    (void)state;
    static const struct {
        double momentum;
        size_t steps;
    } of[] = {{0.0, 1}, {0.0, 7}, {0.9, 1}, {0.9, 3}, {0.5, 40}, {0.99, 5}};
    struct study s = study_text_read(study_text_good);
    struct error err = {0};
    const double sigma = 1000.0; /* at any epsilon */
    for (size_t i = 0; i < COUNT(of); i++) {
        s.local.momentum = of[i].momentum;
        s.local.steps = of[i].steps;
        const double one = sigma * s.privacy.clip / (s.privacy.sample_rate * 7.0) *
                           sqrt(variance_by_hand(of[i].momentum, of[i].steps));
        const double most = 0x1p11 / (14.0 * one); /* 2^31 in units of 2^-20 */
        s.local.rate = most * (1.0 - 1e-9);
        assert_int_equal(study_take_sigma(&s, sigma, &err), RC_OK);
        s.local.rate = most * (1.0 + 1e-9);
        assert_int_equal(study_take_sigma(&s, sigma, &err), RC_INVALID);
    }
    study_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_follows_its_numbers),
        cmocka_unit_test(a_wish_is_planned_by_the_rule_in_whole_rounds),
        cmocka_unit_test(an_average_begins_in_the_shortest_plan_at_the_latest),
        cmocka_unit_test(a_wish_is_planned_anew_for_another_epsilon_and_for_none),
        cmocka_unit_test(only_what_comes_of_a_wish_is_hashed),
        cmocka_unit_test(a_plan_of_somebody_else_is_checked_and_not_made_again),
        cmocka_unit_test(a_carried_sigma_is_compared_exactly),
        cmocka_unit_test(noise_that_updates_cannot_carry_is_refused_with_what_to_write),
        cmocka_unit_test(the_noise_of_a_round_is_that_of_its_steps_and_of_the_momentum_before),
    };
    return cmocka_run_group_tests_name("study_plan", tests, NULL, NULL);
}
