/* What a ledger foretells, allows, keeps and refuses. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/ledger/ledger.h"
#include "common/accountant/accountant.h"
#include "common/accountant/rdp.h"
#include "tests/support/ledger.h"

/* Of several studies, as if planned beforehand; by the filter of this total; and the least total whose
 * filter has room for them. */
static double sum_of(const struct mechanism *m, size_t n, double delta)
{
    struct rdp_curve curve = {{0.0}};
    rdp_compose(m, n, &curve);
    return rdp_epsilon(&curve, delta, NULL);
}

static double filter_of(const struct mechanism *m, size_t n, double delta, double total)
{
    struct rdp_curve curve = {{0.0}};
    rdp_compose(m, n, &curve);
    return rdp_epsilon_at(&curve, rdp_filter_order(total, delta), delta);
}

static double room_for(const struct mechanism *m, size_t n, double delta)
{
    struct rdp_curve curve = {{0.0}};
    rdp_compose(m, n, &curve);
    for (size_t i = 0; i < RDP_ORDERS; i++) { /* a total that chooses the order that it came from */
        const double total = rdp_epsilon_at(&curve, i, delta);
        if (rdp_filter_order(total, delta) == i &&
            rdp_filter_order(nextafter(total, 0.0), delta) == i) {
            return total;
        }
    }
    fail_msg("no total is just enough for these");
    return 0.0;
}

static void refused(struct ledger *l, const struct ledger_spend *p, enum rc want, const char *says)
{
    struct error err = {0};
    assert_int_equal(ledger_spend(l, p, &err), want);
    if (strstr(err.text, says) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, says);
    }
}

static struct ledger_forecast asked(struct ledger *l, const struct study *s, size_t n_patients)
{
    struct error err = {0};
    struct ledger_forecast f = {0};
    const struct hash h = test_ledger_hash(s);
    if (ledger_what_if(l, s, &h, n_patients, &f, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return f;
}

/* The forecast says no with this in its sentence; joining says the same; nothing is written. */
static void declined(struct ledger *l, const struct study *s, size_t n_patients, const char *says)
{
    struct error err = {0};
    const struct hash h = test_ledger_hash(s);
    const struct ledger_forecast f = asked(l, s, n_patients);
    assert_false(f.allowed);
    if (strstr(f.reason, says) == NULL) {
        fail_msg("'%s' does not say '%s'", f.reason, says);
    }
    assert_int_equal(ledger_join(l, s, &h, n_patients, 1000, &err), RC_LIMIT);
    assert_string_equal(err.text, f.reason);
}

/* ---- policy ---------------------------------------------------------------------------------- */

static enum rc read_policy(const char *yaml, struct ledger_policy *out,
                           struct config_issues *issues)
{
    struct error err = {0};
    struct config_doc *doc = NULL;
    assert_int_equal(config_parse("site.yaml", yaml, strlen(yaml), &doc, &err), RC_OK);
    *issues = (struct config_issues){.path = "site.yaml"};
    const enum rc rc =
        ledger_policy_read(config_get(config_root(doc), "policy"), out, issues, &err);
    config_close(&doc);
    return rc;
}

static void a_policy_is_read_with_its_defaults(void **state)
{
    (void)state;
    static struct config_issues issues;
    struct ledger_policy p = {0};
    assert_int_equal(read_policy("policy:\n"
                                 "  max_epsilon_per_study: 2\n"
                                 "  max_epsilon_total: inf\n"
                                 "  max_delta_per_study: 1e-5\n"
                                 "  min_patients: 50\n",
                                 &p, &issues),
                     RC_OK);
    test_ledger_same_bits(p.max_epsilon_per_study, 2.0);
    assert_true(isinf(p.max_epsilon_total));
    test_ledger_same_bits(p.max_delta_per_study, 1e-5);
    assert_int_equal(p.min_patients, 50);
    assert_int_equal(p.min_sites, 1);
    assert_int_equal(p.max_colluding, 0);
    assert_int_equal(p.threshold, 0);
    assert_false(p.masked);
    test_ledger_same_bits(p.max_evaluation_epsilon, 0.0);
    assert_false(p.shared_noise); /* who wrote a policy before there was any did not allow it */
}

static void every_mistake_in_a_policy_is_found_and_none_becomes_a_default(void **state)
{
    (void)state;
    static struct config_issues issues;
    struct ledger_policy p = {.min_patients = 7};
    assert_int_equal(read_policy("policy:\n"
                                 "  max_epsilon_per_studdy: 2\n"
                                 "  max_epsilon_total: -1\n"
                                 "  max_delta_per_study: 1.0\n"
                                 "  min_patients: 0\n",
                                 &p, &issues),
                     RC_INVALID);
    assert_int_equal(issues.n, 5); /* a typo, three ranges, and the key that the typo meant */
    assert_non_null(strstr(issues.line[0], "did you mean 'max_epsilon_per_study'?"));
    assert_int_equal(p.min_patients, 7); /* untouched */
    assert_int_equal(read_policy("other: {}\n", &p, &issues), RC_INVALID);
    assert_int_equal(issues.n, 4); /* all that have no default */

    size_t n = 0;
    assert_non_null(ledger_policy_keys(&n));
    assert_int_equal(n, 10);
}

static void a_policy_out_of_range_opens_no_ledger(void **state)
{
    (void)state;
    struct error err = {0};
    struct ledger *l = NULL;
    struct ledger_policy p = test_ledger_generous;
    p.max_delta_per_study = 0.0;
    assert_int_equal(ledger_open(":memory:", &p, &l, &err), RC_INVALID);
    p = test_ledger_generous;
    p.max_epsilon_total = (double)NAN;
    assert_int_equal(ledger_open(":memory:", &p, &l, &err), RC_INVALID);
    assert_null(l);
    ledger_close(&l); /* NULL is fine */
}

/* ---- what-if and join ------------------------------------------------------------------------ */

static void what_was_foretold_is_to_the_bit_what_the_ledger_says_afterwards(void **state)
{
    (void)state;
    const struct study first = test_ledger_study("first", 0.25, 1.9);
    struct study second = test_ledger_study("second", 0.1, 1.3);
    const struct study same_noise = test_ledger_study("third", 0.25, 1.9);
    struct ledger *l = test_ledger_open(":memory:", &test_ledger_generous);
    second.rounds = 5;

    const struct study *const s[] = {&first, &second, &same_noise};
    for (size_t i = 0; i < 3; i++) {
        const double before = test_ledger_total(l, test_ledger_generous.max_delta_per_study);
        const struct ledger_forecast f = asked(l, s[i], TEST_LEDGER_PATIENTS);
        assert_true(f.allowed);
        assert_string_equal(f.reason, "");
        test_ledger_same_bits(f.epsilon_spent, before);
        test_ledger_same_bits(f.epsilon_promised, before);
        test_ledger_same_bits(f.epsilon_left, test_ledger_generous.max_epsilon_total - before);
        test_ledger_join_now(l, s[i]);
        for (uint64_t r = 1; r <= s[i]->rounds; r++) {
            test_ledger_spend_round(l, s[i], r, "bytes");
            const struct ledger_forecast g = asked(l, s[i], TEST_LEDGER_PATIENTS);
            test_ledger_same_bits(g.epsilon_after, f.epsilon_after);
            test_ledger_same_bits(g.epsilon_study, f.epsilon_study);
        }
        test_ledger_same_bits(f.epsilon_study, test_ledger_of_study(l, s[i], s[i]->privacy.delta));
        test_ledger_same_bits(f.epsilon_after,
                              test_ledger_total(l, test_ledger_generous.max_delta_per_study));
        test_ledger_same_bits(f.epsilon_study, test_ledger_cost(s[i]->privacy.sample_rate,
                                                                s[i]->privacy.noise_multiplier,
                                                                3 * s[i]->rounds, 1e-4));
    }
    const struct mechanism all[] = {{.q = 0.25, .sigma = 1.9, .steps = 21},
                                    {.q = 0.1, .sigma = 1.3, .steps = 15},
                                    {.q = 0.25, .sigma = 1.9, .steps = 21}};
    test_ledger_same_bits(test_ledger_total(l, 1e-3), sum_of(all, 3, 1e-3));
    ledger_close(&l);
}

static void a_study_solved_for_the_policys_epsilon_is_allowed_without_slack(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = test_ledger_study("heart", 0.2, 0.0);
    assert_int_equal(accountant_sigma(2.0, 1e-3, 0.2, 21, &s.privacy.noise_multiplier, &err),
                     RC_OK);
    s.privacy.delta = 1e-3;
    const struct ledger_policy exact = {.max_epsilon_per_study = 2.0,
                                        .max_epsilon_total = 2.0,
                                        .max_delta_per_study = 1e-3,
                                        .min_patients = 1,
                                        .min_sites = 1};
    struct ledger *l = test_ledger_open(":memory:", &exact);
    assert_true(asked(l, &s, TEST_LEDGER_PATIENTS).allowed);
    s.privacy.noise_multiplier *= 0.999;
    declined(l, &s, TEST_LEDGER_PATIENTS, "(at most 2.00");
    ledger_close(&l);
}

static void asking_writes_nothing(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct ledger_spend p = test_ledger_round_with_state(&s, 1, "bytes");
    struct ledger *l = test_ledger_open(":memory:", &test_ledger_generous);
    assert_true(asked(l, &s, TEST_LEDGER_PATIENTS).allowed);
    refused(l, &p, RC_STATE, "not joined");
    test_ledger_same_bits(test_ledger_of_study(l, &s, 1e-3), 0.0);
    assert_int_equal(ledger_end_study(l, &p.study, 5, &err), RC_STATE);
    test_ledger_same_bits(asked(l, &s, TEST_LEDGER_PATIENTS).epsilon_promised, 0.0);
    ledger_close(&l);
}

static void
joining_again_is_the_same_answer_and_another_document_of_that_name_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct hash other = hash_of("another document", 16);
    struct ledger_forecast f;
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_join_now(l, &s);
    test_ledger_join_now(l, &s);
    test_ledger_same_bits(asked(l, &s, TEST_LEDGER_PATIENTS).epsilon_promised,
                          0.0); /* its own promise is not another's */
    ledger_close(&l);
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_join_now(l, &s);
    assert_int_equal(ledger_join(l, &s, &other, TEST_LEDGER_PATIENTS, 1, &err), RC_STATE);
    assert_string_equal(err.text, "study 'heart' is known here with another document");
    assert_int_equal(ledger_what_if(l, &s, &other, TEST_LEDGER_PATIENTS, &f, &err), RC_OK);
    assert_false(f.allowed);
    assert_string_equal(f.reason, err.text[0] != '\0' ? err.text : "?");
    ledger_close(&l);
}

static void a_study_beyond_policy_is_declined_with_policy_asked_and_left(void **state)
{
    (void)state;
    const struct study earlier = test_ledger_study("earlier", 0.25, 1.9);
    struct study s = test_ledger_study("heart", 0.3, 1.1);
    struct ledger_policy p = test_ledger_generous;
    const double asks = test_ledger_cost(0.3, 1.1, 21, 1e-4);
    const double spent = test_ledger_cost(0.25, 1.9, 21, 1e-3);
    char want[240];

    p.max_epsilon_per_study = 5.6;
    p.max_epsilon_total = 5.0;
    p.min_sites = 2;
    p.max_colluding = 1;
    struct ledger *l = test_ledger_open(":memory:", &p);
    assert_true(asks > 5.6 && spent < 5.0);
    test_ledger_join_now(l, &earlier);
    for (uint64_t r = 1; r <= earlier.rounds; r++) {
        test_ledger_spend_round(l, &earlier, r, "bytes");
    }
    const struct mechanism dear[] = {{.q = 0.25, .sigma = 1.9, .steps = 21},
                                     {.q = 0.3, .sigma = 1.1, .steps = 21}};
    (void)snprintf(want, sizeof want,
                   "site.yaml, section policy, refuses study 'heart': epsilon %.2f (at most 5.60), "
                   "in total %.2f at delta 0.001 (at most 5.00); epsilon %.2f of 5.00 is "
                   "left",
                   asks, filter_of(dear, 2, 1e-3, 5.0), 5.0 - spent);
    declined(l, &s, TEST_LEDGER_PATIENTS, want);

    s.privacy.noise_multiplier = 1.4; /* fits alone, not with the earlier one */
    const struct mechanism both[] = {{.q = 0.25, .sigma = 1.9, .steps = 21},
                                     {.q = 0.3, .sigma = 1.4, .steps = 21}};
    (void)snprintf(want, sizeof want,
                   "study 'heart': in total %.2f at delta 0.001 (at most 5.00); epsilon "
                   "%.2f of 5.00 is left",
                   filter_of(both, 2, 1e-3, 5.0), 5.0 - spent);
    declined(l, &s, TEST_LEDGER_PATIENTS, want);

    s.privacy.noise_multiplier = 20.0;
    s.privacy.delta = 2e-3;
    declined(l, &s, TEST_LEDGER_PATIENTS, "'heart': delta 0.002 (at most 0.001); epsilon ");
    s.privacy.delta = 1e-3;
    assert_true(asked(l, &s, TEST_LEDGER_PATIENTS).allowed);
    s.min_sites = 1;
    declined(l, &s, TEST_LEDGER_PATIENTS, "'heart': min_sites 1 (at least 2); epsilon ");
    s.min_sites = 2;
    s.max_colluding = 0;
    declined(l, &s, TEST_LEDGER_PATIENTS, "'heart': max_colluding 0 (at least 1); epsilon ");
    ledger_close(&l);
}

static void a_policy_has_floors_for_masks_and_allows_shared_noise_or_not(void **state)
{
    (void)state;
    struct study s = test_ledger_shared_study();
    struct ledger_policy p = test_ledger_generous;
    struct ledger *l = test_ledger_open(":memory:", &p);
    declined(l, &s, TEST_LEDGER_PATIENTS,
             "'shared': shared noise (shared_noise is false); epsilon ");
    s.privacy.noise = STUDY_NOISE_SITE; /* masks alone ask for nothing */
    assert_true(asked(l, &s, TEST_LEDGER_PATIENTS).allowed);
    ledger_close(&l);

    p.masked = true;
    p.shared_noise = true;
    p.threshold = 5;
    l = test_ledger_open(":memory:", &p);
    s = test_ledger_shared_study();
    declined(l, &s, TEST_LEDGER_PATIENTS, "'shared': threshold 4 (at least 5); epsilon ");
    s.threshold = 5;
    assert_true(asked(l, &s, TEST_LEDGER_PATIENTS).allowed);
    s.masked = false;
    s.privacy.noise = STUDY_NOISE_SITE;
    declined(l, &s, TEST_LEDGER_PATIENTS, "'shared': sums that are not masked; epsilon ");
    ledger_close(&l);
}

static void keep_study(void *ctx, const struct ledger_study *s)
{
    *(struct ledger_study *)ctx = *s;
}

static void shared_noise_costs_more_against_colluding_sites_than_against_a_reader(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = test_ledger_shared_study();
    struct ledger_policy p = test_ledger_generous;
    struct ledger_study told = {0};
    p.shared_noise = true;
    struct ledger *l = test_ledger_open(test_ledger_path, &p);
    test_ledger_join_now(l, &s);
    for (uint64_t r = 1; r <= 3; r++) {
        test_ledger_spend_round(l, &s, r, "a share");
    }
    ledger_close(&l);
    l = test_ledger_open(test_ledger_path, &p); /* all of it is in the file */
    const double most = test_ledger_cost(0.25, 1.9, 21, 1e-4);
    const double four = 1.9 * sqrt(4.0 / 3.0); /* the noise of four sites where three's is 1.9 */
    const double reader = test_ledger_cost(0.25, four, 21, 1e-4);
    const struct ledger_forecast f = asked(l, &s, TEST_LEDGER_PATIENTS);
    assert_true(fabs(f.epsilon_study - most) < 1e-3 * most);
    assert_true(fabs(f.epsilon_reader - reader) < 1e-3 * reader);
    assert_true(f.epsilon_reader < 0.9 * f.epsilon_study);
    test_ledger_same_bits(test_ledger_of_study(l, &s, 1e-4),
                          test_ledger_cost(0.25, 1.9, 3, 1e-4)); /* what the gate counts */
    assert_int_equal(ledger_studies(l, keep_study, &told, &err), RC_OK);
    assert_true(told.shared && told.masked);
    assert_int_equal(told.threshold, 4);
    test_ledger_same_bits(told.epsilon_most, f.epsilon_study);
    test_ledger_same_bits(told.reader_most, f.epsilon_reader);
    assert_true(told.reader_spent < told.epsilon_spent && told.reader_spent > 0.0);
    ledger_close(&l);

    /* Parameters of the site's own carry the study's sigma, and later sums depend on them. */
    struct study own = test_ledger_shared_study();
    own.model.adapter = 2;
    l = test_ledger_open(":memory:", &p);
    test_ledger_same_bits(asked(l, &own, TEST_LEDGER_PATIENTS).epsilon_reader,
                          asked(l, &own, TEST_LEDGER_PATIENTS).epsilon_study);
    s.max_colluding = 0; /* nobody colludes: one view */
    test_ledger_same_bits(asked(l, &s, TEST_LEDGER_PATIENTS).epsilon_reader,
                          asked(l, &s, TEST_LEDGER_PATIENTS).epsilon_study);
    ledger_close(&l);
}

static void all_objections_are_said_at_once(void **state)
{
    (void)state;
    struct study s = test_ledger_study("heart", 0.3, 1.1);
    struct ledger_policy p = test_ledger_generous;
    p.max_epsilon_per_study = 5.6;
    p.max_epsilon_total = 5.0;
    p.max_delta_per_study = 1e-5;
    p.min_sites = 3;
    p.max_colluding = 1;
    p.min_patients = 118;
    s.min_sites = 1;
    s.max_colluding = 0;
    struct ledger *l = test_ledger_open(":memory:", &p);
    const struct ledger_forecast f = asked(l, &s, 117);
    static const char *const says[] = {
        ": epsilon ", "(at most 5.60), in total ", "(at most 5.00), delta 0.0001 (at most 1e-05), ",
        "min_sites 1 (at least 3), max_colluding 0 (at least 1), a cohort below min_patients"};
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++) {
        declined(l, &s, 117, says[i]);
    }
    assert_null(strstr(f.reason, "117"));
    assert_null(strstr(f.reason, "118"));
    /* Beside the longest name whole objections are left out, never halves. */
    memset(s.name, 'x', sizeof s.name - 1);
    s.name[sizeof s.name - 1] = '\0';
    declined(l, &s, 117, "xxx': epsilon ");
    const struct ledger_forecast cut = asked(l, &s, 117);
    const char *end = strchr(cut.reason, '\0');
    assert_true(end[-1] == ')' || strcmp(end - 12, "min_patients") == 0 ||
                strcmp(end - 7, "is left") == 0);
    ledger_close(&l);
}

static void a_small_cohort_is_declined_without_saying_how_small(void **state)
{
    (void)state;
    struct ledger_policy p = test_ledger_generous;
    p.min_patients = 118;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    struct ledger *l = test_ledger_open(":memory:", &p);
    assert_true(asked(l, &s, 118).allowed);
    declined(l, &s, 117, "a cohort below min_patients; epsilon 1000.00 of 1000.00 is left");
    const struct ledger_forecast f = asked(l, &s, 117);
    assert_null(strstr(f.reason, "117"));
    assert_null(strstr(f.reason, "118"));
    ledger_close(&l);
}

static void figures_that_differ_are_never_printed_alike(void **state)
{
    (void)state;
    struct ledger_policy p = test_ledger_generous;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct mechanism m = {.q = 0.25, .sigma = 1.9, .steps = 21};
    const double about = test_ledger_cost(0.25, 1.9, 21, 1e-4);
    p.max_epsilon_per_study = accountant_epsilon_against(&m, 1, 1e-4, 0.9997 * about) - 1e-7;
    struct ledger *l = test_ledger_open(":memory:", &p);
    const struct ledger_forecast f = asked(l, &s, TEST_LEDGER_PATIENTS);
    double a = 0.0;
    double b = 0.0;
    assert_int_equal(
        sscanf(f.reason,
               "site.yaml, section policy, refuses study 'heart': epsilon %lf (at most %lf", &a,
               &b),
        2);
    assert_true(a > b);
    ledger_close(&l);
}

static void what_another_study_was_promised_is_not_given_twice(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study a = test_ledger_study("a", 0.25, 2.0);
    const struct study b = test_ledger_study("b", 0.25, 2.0);
    const struct study c = test_ledger_study("c", 0.2, 1.85);
    const struct hash hash_a = test_ledger_hash(&a);
    struct ledger_policy p = test_ledger_generous;
    const struct mechanism both = {.q = 0.25, .sigma = 2.0, .steps = 42};
    p.max_epsilon_total = room_for(&both, 1, p.max_delta_per_study);

    struct ledger_policy less = p;
    less.max_epsilon_total = nextafter(p.max_epsilon_total, 0.0);
    struct ledger *l = test_ledger_open(":memory:", &less);
    test_ledger_join_now(l, &a);
    declined(l, &b, TEST_LEDGER_PATIENTS, "in total"); /* one bit too much */
    ledger_close(&l);

    l = test_ledger_open(test_ledger_path, &p);
    test_ledger_join_now(l, &a);
    test_ledger_join_now(l, &b); /* fits to the bit */
    test_ledger_same_bits(test_ledger_total(l, p.max_delta_per_study), 0.0);
    test_ledger_same_bits(asked(l, &b, TEST_LEDGER_PATIENTS).epsilon_promised,
                          test_ledger_cost(0.25, 2.0, 21, 1e-3));
    declined(l, &c, TEST_LEDGER_PATIENTS, "in total");
    for (uint64_t r = 1; r <= 7; r++) { /* none runs dry, in any order */
        test_ledger_spend_round(l, &a, r, "bytes");
        test_ledger_spend_round(l, &b, r, "bytes");
    }
    test_ledger_same_bits(test_ledger_total(l, p.max_delta_per_study),
                          sum_of(&both, 1, p.max_delta_per_study));
    declined(l, &c, TEST_LEDGER_PATIENTS, "; epsilon 0.0");
    ledger_close(&l);
    test_ledger_remove(test_ledger_path);

    l = test_ledger_open(test_ledger_path, &p);
    test_ledger_join_now(l, &a);
    test_ledger_join_now(l, &b);
    test_ledger_spend_round(l, &a, 1, "bytes");
    declined(l, &c, TEST_LEDGER_PATIENTS, "in total");
    assert_int_equal(ledger_end_study(l, &hash_a, 7, &err), RC_OK);
    assert_int_equal(ledger_end_study(l, &hash_a, 8, &err), RC_OK); /* again: harmless */
    test_ledger_join_now(l, &c);                                    /* into what `a` gave back */
    ledger_close(&l);
    l = test_ledger_open(test_ledger_path, &p);
    const struct ledger_spend more = test_ledger_round_with_state(&a, 2, "bytes");
    refused(l, &more, RC_STATE, "has ended");
    assert_int_equal(ledger_join(l, &a, &hash_a, TEST_LEDGER_PATIENTS, 9, &err), RC_STATE);
    assert_string_equal(err.text, "study 'a' has ended at this site");
    const struct ledger_forecast over = asked(l, &a, TEST_LEDGER_PATIENTS);
    assert_false(over.allowed);
    test_ledger_same_bits(over.epsilon_after, over.epsilon_promised);
    test_ledger_same_bits(over.epsilon_study, test_ledger_cost(0.25, 2.0, 3, 1e-4));
    test_ledger_same_bits(test_ledger_of_study(l, &a, 1e-3),
                          test_ledger_cost(0.25, 2.0, 3, 1e-3)); /* spent stays spent */
    test_ledger_same_bits(test_ledger_total(l, 1e-3),
                          test_ledger_cost(0.25, 2.0, 3, 1e-3)); /* in the total as well */
    assert_true(test_ledger_has(l, &a, 1, "bytes"));
    ledger_close(&l);
}

/* Its plan is fixed beforehand, so it may have what its privacy-loss distribution says; but then what
 * comes after it could depend on it, and only the filter would hold. */
static void a_first_study_may_have_all_and_then_it_stays_the_only_one(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study a = test_ledger_study("a", 0.25, 1.9);
    struct study tiny = test_ledger_study("tiny", 0.01, 50.0);
    const struct hash hash_a = test_ledger_hash(&a);
    const struct mechanism all = {.q = 0.25, .sigma = 1.9, .steps = 21};
    struct ledger_policy p = test_ledger_generous;
    p.max_epsilon_total = test_ledger_cost(0.25, 1.9, 21, p.max_delta_per_study);
    assert_true(filter_of(&all, 1, p.max_delta_per_study, p.max_epsilon_total) >
                1.02 * p.max_epsilon_total);
    struct ledger *l = test_ledger_open(":memory:", &p);
    test_ledger_join_now(l, &a);
    declined(l, &tiny, TEST_LEDGER_PATIENTS, "in total");
    test_ledger_spend_round(l, &a, 1, "bytes");
    assert_int_equal(ledger_end_study(l, &hash_a, 7, &err),
                     RC_OK); /* early, perhaps for its result */
    declined(l, &tiny, TEST_LEDGER_PATIENTS, "in total");
    ledger_close(&l);

    p.max_epsilon_total *= 0.999; /* nor is there slack */
    l = test_ledger_open(":memory:", &p);
    declined(l, &a, TEST_LEDGER_PATIENTS, "in total");
    test_ledger_join_now(l, &tiny);
    ledger_close(&l);
}

static void what_joined_under_the_filter_leaves_room_when_it_ends_early(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study a = test_ledger_study("a", 0.25, 1.9);
    const struct study b = test_ledger_study("b", 0.25, 1.9);
    const struct hash hash_a = test_ledger_hash(&a);
    const struct mechanism some[] = {{.q = 0.25, .sigma = 1.9, .steps = 24}};
    struct ledger_policy p = test_ledger_generous;
    p.max_epsilon_total = room_for(some, 1, p.max_delta_per_study);
    struct ledger *l = test_ledger_open(":memory:", &p);
    test_ledger_join_now(l, &a);
    declined(l, &b, TEST_LEDGER_PATIENTS, "in total");
    test_ledger_spend_round(l, &a, 1, "bytes");
    assert_int_equal(ledger_end_study(l, &hash_a, 7, &err), RC_OK);
    test_ledger_join_now(l, &b); /* three steps and twenty-one, to the bit */
    ledger_close(&l);
}

static void without_noise_only_an_infinite_policy_allows_and_says_so(void **state)
{
    (void)state;
    struct study s = test_ledger_study("open", 0.25, 0.0);
    s.privacy.noise = STUDY_NOISE_NONE;
    s.privacy.epsilon = HUGE_VAL;
    s.privacy.delta = 0.0;
    struct ledger_policy p = test_ledger_generous;
    struct ledger *l = test_ledger_open(":memory:", &p);
    declined(l, &s, TEST_LEDGER_PATIENTS, "epsilon inf (at most 100.00)");
    ledger_close(&l);
    p.max_epsilon_per_study = HUGE_VAL;
    l = test_ledger_open(":memory:", &p);
    declined(l, &s, TEST_LEDGER_PATIENTS, "in total inf at delta 0.001");
    ledger_close(&l);
    p.max_epsilon_per_study = 5.0;
    p.max_epsilon_total = HUGE_VAL;
    l = test_ledger_open(":memory:", &p);
    declined(l, &s, TEST_LEDGER_PATIENTS, "; no limit in total");
    ledger_close(&l);

    p.max_epsilon_per_study = HUGE_VAL;
    l = test_ledger_open(test_ledger_path, &p);
    test_ledger_join_now(l, &s);
    test_ledger_spend_round(l, &s, 1, "bytes");
    ledger_close(&l);
    l = test_ledger_open(test_ledger_path, &p); /* infinity and zero survive the file */
    assert_true(isinf(test_ledger_of_study(l, &s, 1e-3)));
    assert_true(isinf(test_ledger_total(l, 1e-3)));
    const struct ledger_forecast f = asked(l, &s, TEST_LEDGER_PATIENTS);
    assert_true(f.allowed);
    assert_true(isinf(f.epsilon_left));
    test_ledger_join_now(l, &s);
    ledger_close(&l);
    l = test_ledger_open(test_ledger_path, &test_ledger_generous); /* and bind a stricter policy */
    const struct study noised = test_ledger_study("noised", 0.25, 1.9);
    declined(l, &noised, TEST_LEDGER_PATIENTS, "in total inf at delta 0.001");
    ledger_close(&l);
}

static void numbers_that_make_no_mechanism_are_refused(void **state)
{
    (void)state;
    const struct study good = test_ledger_study("heart", 0.25, 1.9);
    struct study bad[12];
    for (size_t i = 0; i < 12; i++) {
        bad[i] = good;
    }
    bad[0].privacy.sample_rate = 0.0;
    bad[1].privacy.sample_rate = 1.5;
    bad[2].privacy.noise_multiplier = (double)NAN;
    bad[3].privacy.noise_multiplier = 0.0;   /* says site noise */
    bad[4].privacy.noise = STUDY_NOISE_NONE; /* but has a multiplier: would be charged too little */
    bad[5].privacy.noise = STUDY_NOISE_SHARED; /* the coordinator would see a share of the noise */
    bad[6].privacy.delta = 0.0;
    bad[7].privacy.delta = 1.0;
    bad[8].privacy.clip = 0.0;
    bad[9].local.steps = SIZE_MAX;
    bad[10].rounds = 0;
    bad[11].name[0] = '\0';
    struct ledger *l = test_ledger_open(":memory:", &test_ledger_generous);
    for (size_t i = 0; i < 12; i++) {
        struct error err = {0};
        struct ledger_forecast f = {.epsilon_left = -7.0};
        const struct hash h = test_ledger_hash(&bad[i]);
        assert_int_equal(ledger_what_if(l, &bad[i], &h, TEST_LEDGER_PATIENTS, &f, &err),
                         RC_INVALID);
        assert_int_equal(ledger_join(l, &bad[i], &h, TEST_LEDGER_PATIENTS, 1, &err), RC_INVALID);
        test_ledger_same_bits(f.epsilon_left, -7.0); /* untouched */
    }
    ledger_close(&l);
}

/* ---- spending -------------------------------------------------------------------------------- */

static void a_spend_keeps_the_bytes_and_the_site_state_over_a_restart(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_join_now(l, &s);
    assert_false(test_ledger_has(l, &s, 1, NULL));
    assert_int_equal(test_ledger_state_round(l, &s), 0);
    test_ledger_spend_round(l, &s, 1, "the first update");
    test_ledger_spend_round(l, &s, 2, "another, of other length");
    ledger_close(&l);
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    assert_true(test_ledger_has(l, &s, 1, "the first update"));
    assert_true(test_ledger_has(l, &s, 2, "another, of other length"));
    assert_false(test_ledger_has(l, &s, 3, NULL));
    assert_false(test_ledger_has(l, &s, UINT64_MAX, NULL));
    assert_int_equal(test_ledger_state_round(l, &s), 2);
    test_ledger_same_bits(test_ledger_of_study(l, &s, 1e-4), test_ledger_cost(0.25, 1.9, 6, 1e-4));
    const struct study unknown = test_ledger_study("unknown", 0.25, 1.9);
    assert_false(test_ledger_has(l, &unknown, 1, NULL));
    assert_int_equal(test_ledger_state_round(l, &unknown), 0);
    ledger_close(&l);
}

static void the_number_of_a_masked_round_is_kept_once_and_only_grows(void **state)
{
    (void)state;
    struct error err = {0};
    uint64_t round = 9;
    struct study s = test_ledger_study("heart", 0.25, 1.9);
    s.masked = true;
    s.n_sites = 3;
    s.min_sites = 3;
    s.spare_rounds = 1; /* a lost round takes a number, so there are eight */
    const struct hash h = test_ledger_hash(&s);
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    assert_int_equal(ledger_keep_masked_round(l, &h, 1, &err), RC_STATE); /* not joined */
    test_ledger_join_now(l, &s);
    assert_int_equal(ledger_masked_round(l, &h, &round, &err), RC_OK);
    assert_int_equal(round, 0);
    assert_int_equal(ledger_keep_masked_round(l, &h, 2, &err), RC_OK);
    ledger_close(&l);
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    assert_int_equal(ledger_masked_round(l, &h, &round, &err), RC_OK);
    assert_int_equal(round, 2);
    assert_int_equal(ledger_keep_masked_round(l, &h, 2, &err), RC_STATE);
    assert_int_equal(ledger_keep_masked_round(l, &h, 1, &err), RC_STATE);
    assert_int_equal(ledger_keep_masked_round(l, &h, 9, &err), RC_STATE);
    test_ledger_spend_round(l, &s, 8, "of the spare round");
    assert_int_equal(ledger_keep_masked_round(l, &h, 8, &err), RC_OK);
    assert_int_equal(ledger_end_study(l, &h, 5, &err), RC_OK);
    assert_int_equal(ledger_masked_round(l, &h, &round, &err), RC_OK);
    assert_int_equal(round, 8);
    ledger_close(&l);
}

static void an_empty_update_and_no_site_state_are_kept_as_such(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    struct ledger *l = test_ledger_open(":memory:", &test_ledger_generous);
    test_ledger_join_now(l, &s);
    struct ledger_spend p = test_ledger_round_with_state(&s, 1, "");
    p.site_state = NULL;
    p.site_state_bytes = 0;
    assert_int_equal(ledger_spend(l, &p, &err), RC_OK);
    assert_true(test_ledger_has(l, &s, 1, ""));
    const void *data = NULL;
    size_t n = 9;
    uint64_t round = 0;
    assert_int_equal(ledger_site_state(l, &p.study, &round, &data, &n, &err), RC_OK);
    assert_int_equal(round, 1);
    assert_int_equal(n, 0);
    ledger_close(&l);
}

static void a_round_is_spent_once_and_never_backwards(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    struct ledger *l = test_ledger_open(":memory:", &test_ledger_generous);
    test_ledger_join_now(l, &s);
    test_ledger_spend_round(l, &s, 2, "two");
    struct ledger_spend p = test_ledger_round_with_state(&s, 2, "two");
    refused(l, &p, RC_STATE, "round 2 cannot be spent (again), the newest is 2");
    p = test_ledger_round_with_state(&s, 1, "one");
    refused(l, &p, RC_STATE, "round 1 cannot be spent (again), the newest is 2");
    p = test_ledger_round_with_state(&s, 0, "zero");
    refused(l, &p, RC_STATE, "has rounds 1 to 7, not 0");
    p = test_ledger_round_with_state(&s, 8, "eight");
    refused(l, &p, RC_STATE, "has rounds 1 to 7, not 8");
    p = test_ledger_round_with_state(&s, UINT64_MAX, "many");
    refused(l, &p, RC_STATE, "has rounds 1 to 7");
    test_ledger_spend_round(l, &s, 7, "rounds may be missed");
    assert_true(test_ledger_has(l, &s, 2, "two"));
    assert_int_equal(test_ledger_state_round(l, &s), 7);
    const struct ledger_forecast f = asked(l, &s, TEST_LEDGER_PATIENTS);
    test_ledger_same_bits(
        f.epsilon_after, test_ledger_cost(0.25, 1.9, 6, 1e-3)); /* missed rounds cannot come back */
    test_ledger_same_bits(f.epsilon_after, f.epsilon_spent);
    ledger_close(&l);
}

static void a_round_not_trained_as_planned_is_refused(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    struct ledger *l = test_ledger_open(":memory:", &test_ledger_generous);
    test_ledger_join_now(l, &s);
    struct ledger_spend bad[6];
    for (size_t i = 0; i < 6; i++) {
        bad[i] = test_ledger_round_with_state(&s, 1, "bytes");
    }
    bad[0].mechanism.steps = 4;
    bad[1].mechanism.steps = 2;
    bad[2].mechanism.q = 0.2;
    bad[3].mechanism.sigma = nextafter(1.9, 2.0);
    bad[4].clip = 1.0;
    bad[5].mechanism.sigma = (double)NAN;
    for (size_t i = 0; i < 6; i++) {
        refused(l, &bad[i], RC_STATE, "was not trained as planned");
    }
    test_ledger_same_bits(test_ledger_total(l, 1e-3), 0.0);
    test_ledger_spend_round(l, &s, 1, "bytes");
    ledger_close(&l);
}

static void a_policy_made_stricter_binds_the_next_spend_and_the_next_join(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct hash h = test_ledger_hash(&s);
    struct ledger_policy strict[5] = {test_ledger_generous, test_ledger_generous,
                                      test_ledger_generous, test_ledger_generous,
                                      test_ledger_generous};
    strict[0].max_epsilon_per_study = 0.9 * test_ledger_cost(0.25, 1.9, 21, 1e-4);
    strict[1].max_epsilon_total = 0.9 * test_ledger_cost(0.25, 1.9, 21, 1e-3);
    strict[2].max_delta_per_study = 1e-6;
    strict[3].min_sites = 3;
    strict[4].max_colluding = 2;

    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_join_now(l, &s);
    test_ledger_spend_round(l, &s, 1, "one");
    ledger_close(&l);
    for (size_t i = 0; i < 5; i++) {
        l = test_ledger_open(test_ledger_path, &strict[i]);
        const struct ledger_spend p = test_ledger_round_with_state(&s, 2, "two");
        refused(l, &p, RC_LIMIT, "study 'heart'");
        assert_int_equal(ledger_join(l, &s, &h, TEST_LEDGER_PATIENTS, 1, &err), RC_LIMIT);
        assert_false(test_ledger_has(l, &s, 2, NULL));
        assert_int_equal(test_ledger_state_round(l, &s), 1);
        assert_true(test_ledger_has(l, &s, 1, "one")); /* what was spent may still be sent again */
        ledger_close(&l);
    }
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    for (uint64_t r = 2; r <= 6; r++) {
        test_ledger_spend_round(l, &s, r, "more");
    }
    ledger_close(&l);
    struct ledger_policy last =
        test_ledger_generous; /* covers six rounds, not the seventh: it counts itself */
    last.max_epsilon_total = test_ledger_cost(0.25, 1.9, 20, 1e-3);
    l = test_ledger_open(test_ledger_path, &last);
    const struct ledger_spend seventh = test_ledger_round_with_state(&s, 7, "seven");
    refused(l, &seventh, RC_LIMIT, "in total");
    ledger_close(&l);
}

static void rows_come_in_the_order_of_commitment(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study a = test_ledger_study("a", 0.25, 1.9);
    const struct study b = test_ledger_study("b", 0.1, 1.3);
    struct test_ledger_seen s = {0};
    struct ledger *l = test_ledger_open(":memory:", &test_ledger_generous);
    test_ledger_join_now(l, &b);
    test_ledger_join_now(l, &a);
    test_ledger_spend_round(l, &a, 2, "a2");
    test_ledger_spend_round(l, &b, 1, "b1");
    test_ledger_spend_round(l, &a, 3, "a3");
    assert_int_equal(ledger_rows(l, test_ledger_see, &s, &err), RC_OK);
    assert_int_equal(s.n, 3);
    static const char *const name[] = {"a", "b", "a"};
    static const uint64_t round[] = {2, 1, 3};
    static const char *const bytes[] = {"a2", "b1", "a3"};
    for (size_t i = 0; i < 3; i++) {
        const struct hash want = hash_of(bytes[i], 2);
        assert_int_equal(s.row[i].sequence, i + 1);
        assert_string_equal(s.row[i].study, name[i]);
        assert_int_equal(s.row[i].round, round[i]);
        assert_int_equal(s.row[i].at_ms, 2000 + (int64_t)round[i]);
        assert_int_equal(s.row[i].mechanism.steps, 3);
        test_ledger_same_bits(s.row[i].mechanism.sigma, i == 1 ? 1.3 : 1.9);
        test_ledger_same_bits(s.row[i].clip, 1.5);
        assert_true(hash_equal(&s.row[i].update, &want));
    }
    ledger_close(&l);
}

static void answers_stay_right_when_many_questions_are_asked(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct hash h = test_ledger_hash(&s);
    struct ledger *l = test_ledger_open(":memory:", &test_ledger_generous);
    test_ledger_join_now(l, &s);
    for (uint64_t r = 1; r <= 4; r++) {
        test_ledger_spend_round(l, &s, r, "bytes");
        for (int k = 1; k <= 10; k++) { /* more than are remembered; each twice */
            const double delta = 1e-5 * (double)k;
            const double want = test_ledger_cost(0.25, 1.9, 3 * r, delta);
            test_ledger_same_bits(test_ledger_total(l, delta), want);
            test_ledger_same_bits(test_ledger_of_study(l, &s, delta), want);
        }
    }
    double e = 0.0;
    assert_int_equal(ledger_epsilon(l, NULL, 0.0, &e, &err), RC_INVALID);
    assert_int_equal(ledger_epsilon(l, &h, 1.0, &e, &err), RC_INVALID);
    assert_int_equal(ledger_epsilon(l, &h, (double)NAN, &e, &err), RC_INVALID);
    ledger_close(&l);
}

/* ---- two processes, and killed ones ---------------------------------------------------------- */

static void two_connections_share_one_budget_and_one_truth(void **state)
{
    (void)state;
    const struct study a = test_ledger_study("a", 0.25, 1.9);
    const struct study b = test_ledger_study("b", 0.25, 1.9);
    struct ledger_policy p = test_ledger_generous;
    p.max_epsilon_total = test_ledger_cost(0.25, 1.9, 21, 1e-3); /* room for one of the two */
    struct ledger *x = test_ledger_open(test_ledger_path, &p);
    struct ledger *y = test_ledger_open(test_ledger_path, &p);
    assert_true(asked(y, &b, TEST_LEDGER_PATIENTS).allowed);
    test_ledger_join_now(x, &a);
    declined(y, &b, TEST_LEDGER_PATIENTS, "in total");
    test_ledger_join_now(y, &a);
    test_ledger_spend_round(x, &a, 1, "of x");
    const struct ledger_spend again = test_ledger_round_with_state(&a, 1, "of y");
    refused(y, &again, RC_STATE, "cannot be spent (again)");
    assert_true(test_ledger_has(y, &a, 1, "of x"));
    test_ledger_spend_round(y, &a, 2, "of y");
    test_ledger_spend_round(x, &a, 3, "of x");
    test_ledger_same_bits(test_ledger_total(x, 1e-3), test_ledger_total(y, 1e-3));
    ledger_close(&x);
    ledger_close(&y);
    x = test_ledger_open(test_ledger_path, &p); /* the chain holds */
    ledger_close(&x);
}

int main(void)
{
#define ON_DISK(test) \
    cmocka_unit_test_setup_teardown(test, test_ledger_make_folder, test_ledger_remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_policy_is_read_with_its_defaults),
        cmocka_unit_test(every_mistake_in_a_policy_is_found_and_none_becomes_a_default),
        cmocka_unit_test(a_policy_out_of_range_opens_no_ledger),
        cmocka_unit_test(what_was_foretold_is_to_the_bit_what_the_ledger_says_afterwards),
        cmocka_unit_test(a_study_solved_for_the_policys_epsilon_is_allowed_without_slack),
        cmocka_unit_test(asking_writes_nothing),
        ON_DISK(joining_again_is_the_same_answer_and_another_document_of_that_name_is_refused),
        cmocka_unit_test(a_study_beyond_policy_is_declined_with_policy_asked_and_left),
        cmocka_unit_test(a_policy_has_floors_for_masks_and_allows_shared_noise_or_not),
        ON_DISK(shared_noise_costs_more_against_colluding_sites_than_against_a_reader),
        cmocka_unit_test(all_objections_are_said_at_once),
        cmocka_unit_test(a_small_cohort_is_declined_without_saying_how_small),
        cmocka_unit_test(figures_that_differ_are_never_printed_alike),
        ON_DISK(what_another_study_was_promised_is_not_given_twice),
        cmocka_unit_test(a_first_study_may_have_all_and_then_it_stays_the_only_one),
        cmocka_unit_test(what_joined_under_the_filter_leaves_room_when_it_ends_early),
        ON_DISK(without_noise_only_an_infinite_policy_allows_and_says_so),
        cmocka_unit_test(numbers_that_make_no_mechanism_are_refused),
        ON_DISK(a_spend_keeps_the_bytes_and_the_site_state_over_a_restart),
        ON_DISK(the_number_of_a_masked_round_is_kept_once_and_only_grows),
        cmocka_unit_test(an_empty_update_and_no_site_state_are_kept_as_such),
        cmocka_unit_test(a_round_is_spent_once_and_never_backwards),
        cmocka_unit_test(a_round_not_trained_as_planned_is_refused),
        ON_DISK(a_policy_made_stricter_binds_the_next_spend_and_the_next_join),
        cmocka_unit_test(rows_come_in_the_order_of_commitment),
        cmocka_unit_test(answers_stay_right_when_many_questions_are_asked),
        ON_DISK(two_connections_share_one_budget_and_one_truth),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
