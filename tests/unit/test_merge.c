#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/merge/merge.h"
#include "aggregator/merge/robust_internal.h"
#include "common/update/update.h"

enum { S = 4, SITES = 3 };

static struct study_site sites[SITES] = {{.name = "a", .nominal = 100},
                                         {.name = "b", .nominal = 300},
                                         {.name = "c", .nominal = 600}};

static struct study make_study(void)
{
    return (struct study){
        .name = "s",
        .server = {.rule = STUDY_FEDAVG, .rate = 1.0, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-3},
        .rounds = 2,
        .fraction_bits = 24,
        .n_sites = SITES,
        .site = sites};
}

static void add(struct merge *m, size_t site, const double *delta)
{
    struct error err = {0};
    unsigned char bytes[4 * S];
    assert_int_equal(update_encode(delta, S, (double)sites[site].nominal / 1000.0, 24, bytes, &err),
                     RC_OK);
    assert_int_equal(merge_add(m, site, bytes, sizeof bytes, &err), RC_OK);
}

static const double delta[SITES][S] = {{1.0, 0.0, -1.0, 0.5},
                                       {0.0, 2.0, 1.0, 0.5},
                                       {-1.0, 1.0, 0.0, 0.5}};

static void fedavg_adds_the_mean_weighted_by_public_sizes(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = make_study();
    struct merge *m = NULL;
    real model[S] = {1, 1, 1, 1};
    unsigned char st[3 * S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, NULL, S, &m, &err), RC_OK);
    for (size_t k = 0; k < SITES; k++) {
        add(m, k, delta[k]);
    }
    assert_int_equal(merge_finish(m, 1, model, st, merge_state_bytes(&s, S), &err), RC_OK);
    const double want[S] = {1.0 + 0.1 - 0.6, 1.0 + 0.6 + 0.6, 1.0 - 0.1 + 0.3, 1.5};
    for (size_t i = 0; i < S; i++) {
        assert_true(fabs((double)model[i] - want[i]) < 1e-6);
    }
    merge_close(&m);
}

static void those_who_are_missing_are_divided_out(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = make_study();
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[3 * S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, NULL, S, &m, &err), RC_OK);
    add(m, 0, delta[0]);
    add(m, 1, delta[1]);
    assert_int_equal(merge_finish(m, 1, model, st, merge_state_bytes(&s, S), &err), RC_OK);
    const double want[S] = {0.25, 1.5, 0.5, 0.5};
    for (size_t i = 0; i < S; i++) {
        assert_true(fabs((double)model[i] - want[i]) < 1e-6);
    }
    merge_close(&m);
}

static void fedadam_follows_its_algorithm_over_two_rounds(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = make_study();
    s.server.rule = STUDY_FEDADAM;
    s.server.rate = 0.1;
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[3 * S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, NULL, S, &m, &err), RC_OK);
    double w = 0.0;
    double first = 0.0;
    double second = 0.0;
    for (uint64_t round = 1; round <= 2; round++) {
        merge_restart(m);
        add(m, 2, delta[2]);
        assert_int_equal(merge_finish(m, round, model, st, merge_state_bytes(&s, S), &err), RC_OK);
        first = 0.9 * first + 0.1 * -1.0;
        second = 0.99 * second + 0.01;
        w += 0.1 * first / (sqrt(second) + 1e-3);
        assert_true(fabs((double)model[0] - w) < 1e-6);
    }
    merge_close(&m);
}

/* One number, two rounds, with mean 1 and then -0.5. */
static void follows(struct study s, const double want[2])
{
    struct error err = {0};
    static const double mean[2][S] = {{1.0, 1.0, 1.0, 1.0}, {-0.5, -0.5, -0.5, -0.5}};
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[3 * S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, NULL, S, &m, &err), RC_OK);
    for (uint64_t round = 1; round <= 2; round++) {
        merge_restart(m);
        add(m, 1, mean[round - 1]);
        assert_false(merge_again(m));
        assert_int_equal(merge_finish(m, round, model, st, merge_state_bytes(&s, S), &err), RC_OK);
        for (size_t i = 0; i < S; i++) {
            if (!(fabs((double)model[i] - want[round - 1]) < 1e-6)) {
                fail_msg("round %d: %.9g, want %.9g", (int)round, (double)model[i],
                         want[round - 1]);
            }
        }
    }
    merge_close(&m);
}

static void fedavgm_keeps_a_share_of_its_last_step(void **state)
{
    (void)state;
    struct study s = make_study();
    s.server.rule = STUDY_FEDAVGM;
    s.server.rate = 0.5;
    s.server.momentum = 0.8;
    /* m = 1, then 0.8 - 0.5 */
    follows(s, (const double[2]){0.5, 0.5 + 0.5 * 0.3});
    assert_int_equal(merge_state_bytes(&s, S), S * sizeof(double));
}

/* v = 0.01, then, being below 0.25, 0.01 + 0.01 * 0.25; FedAdam would have 0.99 * 0.01 + 0.0025. */
static void fedyogi_follows_its_algorithm_over_two_rounds(void **state)
{
    (void)state;
    struct study s = make_study();
    s.server.rule = STUDY_FEDYOGI;
    s.server.rate = 0.1;
    const double first = 0.1 * 0.1 / (0.1 + 1e-3);
    const double second = first + 0.1 * (0.9 * 0.1 - 0.1 * 0.5) / (sqrt(0.0125) + 1e-3);
    follows(s, (const double[2]){first, second});
    assert_int_equal(merge_state_bytes(&s, S), 2 * S * sizeof(double));
}

/* v = 0.5 falls towards a smaller square, by a step that does not depend on v. */
static void fedyogi_forgets_a_large_gradient_slowly(void **state)
{
    (void)state;
    struct study s = make_study();
    s.server.rule = STUDY_FEDYOGI;
    s.server.beta1 = 0.0;
    s.server.beta2 = 0.5;
    const double first = 1.0 / (sqrt(0.5) + 1e-3);
    const double second = first - 0.5 / (sqrt(0.5 - 0.5 * 0.25) + 1e-3);
    follows(s, (const double[2]){first, second});
}

/* ---- robust means ---------------------------------------------------------------------------- */

enum { FIVE = 5 };

static struct study_site five_sites[FIVE] = {{.name = "a", .nominal = 100},
                                             {.name = "b", .nominal = 300},
                                             {.name = "c", .nominal = 600},
                                             {.name = "d", .nominal = 20},
                                             {.name = "e", .nominal = 50}};

static struct study five(enum study_combine combine, size_t trim)
{
    struct study s = make_study();
    s.server.combine = combine;
    s.server.trim = trim;
    s.n_sites = FIVE;
    s.site = five_sites;
    return s;
}

/* The last one lies. */
static const double said[FIVE][S] = {{1.0, 5.0, -1.0, 0.5},
                                     {2.0, 4.0, -2.0, 0.5},
                                     {4.0, 3.0, -3.0, 0.5},
                                     {3.0, 1.0, -7.0, 0.5},
                                     {900.0, -900.0, 0.0, 900.0}};

/* The sites before `n` through whole windows of `window_bytes`. */
static void combined(const struct study *s, size_t n, size_t window_bytes, real mean[S])
{
    struct error err = {0};
    struct robust *r = NULL;
    size_t windows = 0;
    bool more = true;
    assert_int_equal(robust_open(s, NULL, S, window_bytes, &r, &err), RC_OK);
    for (; more; windows++) {
        for (size_t k = 0; k < n; k++) {
            unsigned char bytes[4 * S];
            assert_int_equal(update_encode(said[k], S, study_weight(s, k), 16, bytes, &err), RC_OK);
            robust_add(r, k, bytes);
        }
        more = robust_next(r);
    }
    assert_int_equal(windows, window_bytes > 4 * S * FIVE ? 1 : window_bytes > 40 ? 2 : S);
    memcpy(mean, robust_mean(r), S * sizeof *mean);
    robust_close(&r);
    robust_close(&r);
}

static void agrees(const struct study *s, size_t n, const double want[S])
{
    static const size_t window_bytes[] = {1, 60, 1000}; /* of one number, of three, of all */
    for (size_t w = 0; w < 3; w++) {
        real mean[S];
        combined(s, n, window_bytes[w], mean);
        for (size_t i = 0; i < S; i++) {
            /* the grid over the smallest weight: 2^-17 / (20 / 1070) = 4e-4 */
            if (!(fabs((double)mean[i] - want[i]) < 5e-4)) {
                fail_msg("number %zu: %.9g, want %.9g", i, (double)mean[i], want[i]);
            }
        }
    }
}

static void the_median_counts_every_site_the_same_and_no_liar(void **state)
{
    (void)state;
    struct study s = five(STUDY_MEDIAN, 0);
    s.fraction_bits = 16; /* 900 fits */
    agrees(&s, 5, (const double[S]){3.0, 3.0, -2.0, 0.5});
    agrees(&s, 4, (const double[S]){2.5, 3.5, -2.5, 0.5}); /* even: between the two in the middle */
    agrees(&s, 1, said[0]);
}

static void the_trimmed_mean_cuts_off_both_ends(void **state)
{
    (void)state;
    struct study s = five(STUDY_TRIMMED_MEAN, 1);
    s.fraction_bits = 16;
    agrees(&s, 5, (const double[S]){3.0, 8.0 / 3.0, -2.0, 0.5});
    agrees(&s, 4, (const double[S]){2.5, 3.5, -2.5, 0.5});
    s.server.trim = 2;
    agrees(&s, 5, (const double[S]){3.0, 3.0, -2.0, 0.5}); /* of five the median */
    agrees(&s, 3, (const double[S]){2.0, 4.0, -2.0, 0.5}); /* fewer came: one is left */
}

static void the_servers_rule_is_fed_with_the_robust_mean(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = five(STUDY_MEDIAN, 0);
    s.server.rule = STUDY_FEDAVGM;
    s.server.momentum = 0.5;
    s.server.rate = 2.0;
    s.fraction_bits = 16;
    struct merge *m = NULL;
    real model[S] = {1, 1, 1, 1};
    unsigned char st[S * sizeof(double)] = {0};
    unsigned char bytes[4 * S];
    assert_int_equal(merge_open(&s, NULL, S, &m, &err), RC_OK);
    for (uint64_t round = 1; round <= 2; round++) {
        merge_restart(m);
        for (size_t k = FIVE; k-- > 0;) { /* in any order */
            assert_int_equal(update_encode(said[k], S, study_weight(&s, k), 16, bytes, &err),
                             RC_OK);
            assert_int_equal(merge_add(m, k, bytes, sizeof bytes, &err), RC_OK);
        }
        assert_int_equal(merge_add(m, 2, bytes, sizeof bytes, &err), RC_STATE);
        assert_false(merge_again(m)); /* a small model is one window */
        assert_int_equal(merge_finish(m, round, model, st, sizeof st, &err), RC_OK);
    }
    assert_true(fabs((double)model[0] - (1.0 + 2.0 * 3.0 + 2.0 * 4.5)) < 5e-3);
    assert_true(fabs((double)model[3] - (1.0 + 2.0 * 0.5 + 2.0 * 0.75)) < 5e-3);
    merge_restart(m);
    assert_int_equal(merge_add(m, 2, bytes, sizeof bytes - 4, &err), RC_FORMAT);
    merge_close(&m);
}

/* ---- modalities that some sites lack --------------------------------------------------------- */

/* Numbers 1 and 2 are the encoder of what "b" lacks. */
static const struct study_span middle_span = {1, 3};
static struct study_site with_lacking[SITES] = {{.name = "a", .nominal = 100},
                                                {.name = "b", .nominal = 300, .lacks = 1},
                                                {.name = "c", .nominal = 600}};

static struct study lacking(void)
{
    struct study s = make_study();
    s.model.n_lacked = 1;
    s.site = with_lacking;
    return s;
}

static void who_lacks_a_modality_has_no_weight_in_its_encoder(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = lacking();
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[1];
    static const double of_b[S] = {0.0, 0.0, 0.0, 0.5}; /* it sends zeros there */
    assert_int_equal(merge_open(&s, &middle_span, S, &m, &err), RC_OK);
    add(m, 0, delta[0]);
    add(m, 1, of_b);
    add(m, 2, delta[2]);
    assert_int_equal(merge_finish(m, 1, model, st, 0, &err), RC_OK);
    const double want[S] = {0.1 - 0.6, 600.0 / 700.0, -100.0 / 700.0, 0.5};
    for (size_t i = 0; i < S; i++) {
        assert_true(fabs((double)model[i] - want[i]) < 1e-6);
    }
    merge_close(&m);
}

static void an_encoder_stays_where_nobody_who_came_has_its_modality(enum study_combine combine)
{
    struct error err = {0};
    struct study s = lacking();
    s.server.rule = STUDY_FEDADAM;
    s.server.combine = combine;
    s.server.average_iterates = true;
    s.rounds = 3;
    struct merge *m = NULL;
    real model[S] = {1, 2, 3, 4};
    real before[S];
    double st[3 * S] = {0}, had[3 * S];
    static const double of_b[S] = {0.25, 0.0, 0.0, 0.5};
    assert_int_equal(merge_open(&s, &middle_span, S, &m, &err), RC_OK);
    for (uint64_t round = 1; round <= 2; round++) {
        memcpy(before, model, sizeof before);
        memcpy(had, st, sizeof had);
        merge_restart(m);
        if (round == 1) {
            add(m, 0, delta[1]);
        }
        add(m, 1, of_b);
        assert_false(merge_again(m));
        assert_int_equal(merge_finish(m, round, model, (unsigned char *)st, sizeof st, &err),
                         RC_OK);
    }
    assert_true(model[0] != before[0] && model[3] != before[3]);
    for (size_t i = middle_span.first; i < middle_span.end; i++) {
        assert_true(model[i] == before[i]);
        assert_true(st[i] == had[i] && st[S + i] == had[S + i]); /* moments */
        assert_true(st[i] != 0.0);
        assert_true(st[2 * S + i] == had[2 * S + i] + (double)model[i]); /* iterates */
    }
    merge_close(&m);
}

static void an_encoder_that_nobody_trained_stays_with_its_moments(void **state)
{
    (void)state;
    an_encoder_stays_where_nobody_who_came_has_its_modality(STUDY_MEAN);
    an_encoder_stays_where_nobody_who_came_has_its_modality(STUDY_MEDIAN);
}

static void a_median_is_of_those_that_have_the_modality(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = lacking();
    s.server.combine = STUDY_MEDIAN;
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[1];
    static const double of_b[S] = {0.0, 0.0, 0.0, 0.5};
    assert_int_equal(merge_open(&s, &middle_span, S, &m, &err), RC_OK);
    add(m, 0, delta[0]);
    add(m, 1, of_b);
    add(m, 2, delta[2]);
    assert_false(merge_again(m));
    assert_int_equal(merge_finish(m, 1, model, st, 0, &err), RC_OK);
    static const double want[S] = {0.0, 0.5, -0.5, 0.5}; /* of three, of two, of two, of three */
    for (size_t i = 0; i < S; i++) {
        assert_true(fabs((double)model[i] - want[i]) < 1e-6);
    }
    merge_close(&m);
}

static void averaged_iterates_are_the_last_rounds_model(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = make_study();
    s.server.average_iterates = true;
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[3 * S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, NULL, S, &m, &err), RC_OK);
    for (uint64_t round = 1; round <= 2; round++) {
        merge_restart(m);
        add(m, 2, delta[2]);
        assert_int_equal(merge_finish(m, round, model, st, merge_state_bytes(&s, S), &err), RC_OK);
    }
    assert_true(fabs((double)model[1] - 1.5) < 1e-6); /* of 1 and 2 */
    merge_close(&m);
}

static void iterates_are_averaged_from_the_round_that_the_study_says(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = make_study();
    s.server.average_iterates = true;
    s.server.average_from = 3;
    s.rounds = 5;
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, NULL, S, &m, &err), RC_OK);
    assert_int_equal(merge_state_bytes(&s, S), sizeof st);
    for (uint64_t round = 1; round <= 5; round++) {
        merge_restart(m);
        add(m, 2, delta[2]);
        assert_int_equal(merge_finish(m, round, model, st, sizeof st, &err), RC_OK);
        if (round < 5) {
            assert_true(fabs((double)model[1] - (double)round) < 1e-6);
        }
    }
    assert_true(fabs((double)model[1] - 4.0) < 1e-6); /* of 3, 4 and 5 */
    merge_close(&m);
}

static void a_mean_from_the_last_round_on_is_the_last_rounds_model(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = make_study();
    s.server.average_iterates = true;
    s.server.average_from = s.rounds;
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, NULL, S, &m, &err), RC_OK);
    for (uint64_t round = 1; round <= s.rounds; round++) {
        merge_restart(m);
        add(m, 2, delta[2]);
        assert_int_equal(merge_finish(m, round, model, st, sizeof st, &err), RC_OK);
    }
    assert_true(fabs((double)model[1] - (double)s.rounds) < 1e-6);
    merge_close(&m);
}

static void a_site_counts_once(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = make_study();
    struct merge *m = NULL;
    const unsigned char bytes[4 * S] = {0};
    assert_int_equal(merge_open(&s, NULL, S, &m, &err), RC_OK);
    assert_int_equal(merge_add(m, 1, bytes, sizeof bytes, &err), RC_OK);
    assert_int_equal(merge_add(m, 1, bytes, sizeof bytes, &err), RC_STATE);
    assert_int_equal(merge_add(m, 0, bytes, sizeof bytes - 4, &err), RC_FORMAT);
    assert_non_null(strstr(err.text, "site 'a'"));
    merge_restart(m);
    assert_int_equal(merge_add(m, 1, bytes, sizeof bytes, &err), RC_OK);
    merge_close(&m);
    merge_close(&m);
}

static void a_model_that_is_not_finite_is_never_made(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = make_study();
    s.server.rate = HUGE_VAL;
    struct merge *m = NULL;
    real model[S] = {1, 2, 3, 4};
    unsigned char st[3 * S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, NULL, S, &m, &err), RC_OK);
    add(m, 2, delta[2]);
    assert_int_equal(merge_finish(m, 1, model, st, merge_state_bytes(&s, S), &err), RC_NUMERIC);
    assert_true(model[0] == 1 && model[3] == 4);
    assert_int_equal(merge_finish(m, 1, model, st, merge_state_bytes(&s, S) + 1, &err), RC_FORMAT);
    merge_close(&m);
}

static void a_model_too_large_for_its_numbers_is_never_made(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = make_study();
    s.server.rate = 1e39; /* finite in double, and more than a float can be */
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[1];
    assert_int_equal(merge_open(&s, NULL, S, &m, &err), RC_OK);
    add(m, 2, delta[2]);
    assert_int_equal(merge_finish(m, 1, model, st, 0, &err), RC_NUMERIC);
    assert_true(model[0] == 0);
    merge_close(&m);
}

static void a_rule_keeps_only_what_it_needs(void **state)
{
    (void)state;
    struct study s = make_study();
    assert_int_equal(merge_state_bytes(&s, S), 0);
    s.server.average_iterates = true;
    assert_int_equal(merge_state_bytes(&s, S), S * sizeof(double));
    s.server.rule = STUDY_FEDADAM;
    assert_int_equal(merge_state_bytes(&s, S), 3 * S * sizeof(double));
    s.server.average_iterates = false;
    assert_int_equal(merge_state_bytes(&s, S), 2 * S * sizeof(double));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fedavg_adds_the_mean_weighted_by_public_sizes),
        cmocka_unit_test(those_who_are_missing_are_divided_out),
        cmocka_unit_test(fedadam_follows_its_algorithm_over_two_rounds),
        cmocka_unit_test(fedavgm_keeps_a_share_of_its_last_step),
        cmocka_unit_test(fedyogi_follows_its_algorithm_over_two_rounds),
        cmocka_unit_test(fedyogi_forgets_a_large_gradient_slowly),
        cmocka_unit_test(the_median_counts_every_site_the_same_and_no_liar),
        cmocka_unit_test(the_trimmed_mean_cuts_off_both_ends),
        cmocka_unit_test(the_servers_rule_is_fed_with_the_robust_mean),
        cmocka_unit_test(who_lacks_a_modality_has_no_weight_in_its_encoder),
        cmocka_unit_test(an_encoder_that_nobody_trained_stays_with_its_moments),
        cmocka_unit_test(a_median_is_of_those_that_have_the_modality),
        cmocka_unit_test(averaged_iterates_are_the_last_rounds_model),
        cmocka_unit_test(iterates_are_averaged_from_the_round_that_the_study_says),
        cmocka_unit_test(a_mean_from_the_last_round_on_is_the_last_rounds_model),
        cmocka_unit_test(a_site_counts_once),
        cmocka_unit_test(a_model_that_is_not_finite_is_never_made),
        cmocka_unit_test(a_model_too_large_for_its_numbers_is_never_made),
        cmocka_unit_test(a_rule_keeps_only_what_it_needs),
    };
    return cmocka_run_group_tests_name("aggregator/merge", tests, NULL, NULL);
}
