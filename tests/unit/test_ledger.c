#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/ledger/ledger.h"
#include "common/accountant/accountant.h"
#include "common/accountant/rdp.h"
#include "common/base/rng.h"
#include "common/store/store.h"
#include "tests/support/folder.h"
#include "tests/support/ledger.h"
#include "tests/support/mortal_store.h"
#include "tests/support/seed.h"

/* ---- a site's disk, and a way to die on it --------------------------------------------------- */

static char folder[FOLDER_PATH_MAX];
static char path[FOLDER_PATH_MAX + 16];

static int make_folder(void **state)
{
    (void)state;
    const int rc = folder_make("ledger", folder);
    (void)snprintf(path, sizeof path, "%s/ledger.db", folder);
    return rc;
}

static int remove_folder(void **state)
{
    (void)state;
    test_ledger_remove(path);
    return rmdir(folder);
}

/* ---- studies, rounds, questions -------------------------------------------------------------- */

static const struct ledger_policy generous = {.max_epsilon_per_study = 100.0,
                                              .max_epsilon_total = 1000.0,
                                              .max_delta_per_study = 1e-3,
                                              .min_patients = 20,
                                              .min_sites = 1};
enum { PATIENTS = 117 };

static double cost_of(double q, double sigma, uint64_t steps, double delta)
{
    const struct mechanism m = {.q = q, .sigma = sigma, .steps = steps};
    return accountant_epsilon(&m, 1, delta);
}

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

static void join(struct ledger *l, const struct study *s)
{
    test_ledger_join(l, s, 1000);
}

static const char *state_bytes = "adapters and momentum";

static struct ledger_spend a_round(const struct study *s, uint64_t round, const char *update)
{
    struct ledger_spend p = test_ledger_round(s, round, update);
    p.site_state = state_bytes;
    p.site_state_bytes = strlen(state_bytes);
    return p;
}

static void spend(struct ledger *l, const struct study *s, uint64_t round, const char *update)
{
    const struct ledger_spend p = a_round(s, round, update);
    test_ledger_spend(l, &p);
}

static void refused(struct ledger *l, const struct ledger_spend *p, enum rc want, const char *says)
{
    struct error err = {0};
    assert_int_equal(ledger_spend(l, p, &err), want);
    if (strstr(err.text, says) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, says);
    }
}

static bool has_stored(struct ledger *l, const struct study *s, uint64_t round, const char *want)
{
    struct error err = {0};
    const struct hash h = test_ledger_hash(s);
    const void *data = NULL;
    size_t n = 0;
    bool found = false;
    assert_int_equal(ledger_stored(l, &h, round, &found, &data, &n, &err), RC_OK);
    if (found && want != NULL) {
        assert_int_equal(n, strlen(want));
        assert_memory_equal(data, want, n);
    }
    return found;
}

static uint64_t state_round(struct ledger *l, const struct study *s)
{
    struct error err = {0};
    const struct hash h = test_ledger_hash(s);
    const void *data = NULL;
    size_t n = 0;
    uint64_t round = 99;
    assert_int_equal(ledger_site_state(l, &h, &round, &data, &n, &err), RC_OK);
    if (round == 0) {
        assert_int_equal(n, 0);
    } else {
        assert_int_equal(n, strlen(state_bytes));
        assert_memory_equal(data, state_bytes, n);
    }
    return round;
}

static double total(struct ledger *l, double delta)
{
    struct error err = {0};
    double e = -1.0;
    assert_int_equal(ledger_epsilon(l, NULL, delta, &e, &err), RC_OK);
    return e;
}

static double of_study(struct ledger *l, const struct study *s, double delta)
{
    struct error err = {0};
    const struct hash h = test_ledger_hash(s);
    double e = -1.0;
    assert_int_equal(ledger_epsilon(l, &h, delta, &e, &err), RC_OK);
    return e;
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

/* Bit for bit: the two are the same question. */
static void same_bits(double a, double b)
{
    assert_memory_equal(&a, &b, sizeof a);
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
    same_bits(p.max_epsilon_per_study, 2.0);
    assert_true(isinf(p.max_epsilon_total));
    same_bits(p.max_delta_per_study, 1e-5);
    assert_int_equal(p.min_patients, 50);
    assert_int_equal(p.min_sites, 1);
    assert_int_equal(p.max_colluding, 0);
    assert_int_equal(p.threshold, 0);
    assert_false(p.masked);
    same_bits(p.max_evaluation_epsilon, 0.0);
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
    struct ledger_policy p = generous;
    p.max_delta_per_study = 0.0;
    assert_int_equal(ledger_open(":memory:", &p, &l, &err), RC_INVALID);
    p = generous;
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
    struct ledger *l = test_ledger_open(":memory:", &generous);
    second.rounds = 5;

    const struct study *const s[] = {&first, &second, &same_noise};
    for (size_t i = 0; i < 3; i++) {
        const double before = total(l, generous.max_delta_per_study);
        const struct ledger_forecast f = asked(l, s[i], PATIENTS);
        assert_true(f.allowed);
        assert_string_equal(f.reason, "");
        same_bits(f.epsilon_spent, before);
        same_bits(f.epsilon_promised, before);
        same_bits(f.epsilon_left, generous.max_epsilon_total - before);
        join(l, s[i]);
        for (uint64_t r = 1; r <= s[i]->rounds; r++) {
            spend(l, s[i], r, "bytes");
            const struct ledger_forecast g = asked(l, s[i], PATIENTS);
            same_bits(g.epsilon_after, f.epsilon_after);
            same_bits(g.epsilon_study, f.epsilon_study);
        }
        same_bits(f.epsilon_study, of_study(l, s[i], s[i]->privacy.delta));
        same_bits(f.epsilon_after, total(l, generous.max_delta_per_study));
        same_bits(f.epsilon_study, cost_of(s[i]->privacy.sample_rate,
                                           s[i]->privacy.noise_multiplier, 3 * s[i]->rounds, 1e-4));
    }
    const struct mechanism all[] = {{.q = 0.25, .sigma = 1.9, .steps = 21},
                                    {.q = 0.1, .sigma = 1.3, .steps = 15},
                                    {.q = 0.25, .sigma = 1.9, .steps = 21}};
    same_bits(total(l, 1e-3), sum_of(all, 3, 1e-3));
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
    assert_true(asked(l, &s, PATIENTS).allowed);
    s.privacy.noise_multiplier *= 0.999;
    declined(l, &s, PATIENTS, "(at most 2.00");
    ledger_close(&l);
}

static void asking_writes_nothing(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct ledger_spend p = a_round(&s, 1, "bytes");
    struct ledger *l = test_ledger_open(":memory:", &generous);
    assert_true(asked(l, &s, PATIENTS).allowed);
    refused(l, &p, RC_STATE, "not joined");
    same_bits(of_study(l, &s, 1e-3), 0.0);
    assert_int_equal(ledger_end_study(l, &p.study, 5, &err), RC_STATE);
    same_bits(asked(l, &s, PATIENTS).epsilon_promised, 0.0);
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
    struct ledger *l = test_ledger_open(path, &generous);
    join(l, &s);
    join(l, &s);
    same_bits(asked(l, &s, PATIENTS).epsilon_promised, 0.0); /* its own promise is not another's */
    ledger_close(&l);
    l = test_ledger_open(path, &generous);
    join(l, &s);
    assert_int_equal(ledger_join(l, &s, &other, PATIENTS, 1, &err), RC_STATE);
    assert_string_equal(err.text, "study 'heart' is known here with another document");
    assert_int_equal(ledger_what_if(l, &s, &other, PATIENTS, &f, &err), RC_OK);
    assert_false(f.allowed);
    assert_string_equal(f.reason, err.text[0] != '\0' ? err.text : "?");
    ledger_close(&l);
}

static void a_study_beyond_policy_is_declined_with_policy_asked_and_left(void **state)
{
    (void)state;
    const struct study earlier = test_ledger_study("earlier", 0.25, 1.9);
    struct study s = test_ledger_study("heart", 0.3, 1.1);
    struct ledger_policy p = generous;
    const double asks = cost_of(0.3, 1.1, 21, 1e-4);
    const double spent = cost_of(0.25, 1.9, 21, 1e-3);
    char want[240];

    p.max_epsilon_per_study = 5.6;
    p.max_epsilon_total = 5.0;
    p.min_sites = 2;
    p.max_colluding = 1;
    struct ledger *l = test_ledger_open(":memory:", &p);
    assert_true(asks > 5.6 && spent < 5.0);
    join(l, &earlier);
    for (uint64_t r = 1; r <= earlier.rounds; r++) {
        spend(l, &earlier, r, "bytes");
    }
    const struct mechanism dear[] = {{.q = 0.25, .sigma = 1.9, .steps = 21},
                                     {.q = 0.3, .sigma = 1.1, .steps = 21}};
    (void)snprintf(want, sizeof want,
                   "site.yaml, section policy, refuses study 'heart': epsilon %.2f (at most 5.60), "
                   "in total %.2f at delta 0.001 (at most 5.00); epsilon %.2f of 5.00 is "
                   "left",
                   asks, filter_of(dear, 2, 1e-3, 5.0), 5.0 - spent);
    declined(l, &s, PATIENTS, want);

    s.privacy.noise_multiplier = 1.4; /* fits alone, not with the earlier one */
    const struct mechanism both[] = {{.q = 0.25, .sigma = 1.9, .steps = 21},
                                     {.q = 0.3, .sigma = 1.4, .steps = 21}};
    (void)snprintf(want, sizeof want,
                   "study 'heart': in total %.2f at delta 0.001 (at most 5.00); epsilon "
                   "%.2f of 5.00 is left",
                   filter_of(both, 2, 1e-3, 5.0), 5.0 - spent);
    declined(l, &s, PATIENTS, want);

    s.privacy.noise_multiplier = 20.0;
    s.privacy.delta = 2e-3;
    declined(l, &s, PATIENTS, "'heart': delta 0.002 (at most 0.001); epsilon ");
    s.privacy.delta = 1e-3;
    assert_true(asked(l, &s, PATIENTS).allowed);
    s.min_sites = 1;
    declined(l, &s, PATIENTS, "'heart': min_sites 1 (at least 2); epsilon ");
    s.min_sites = 2;
    s.max_colluding = 0;
    declined(l, &s, PATIENTS, "'heart': max_colluding 0 (at least 1); epsilon ");
    ledger_close(&l);
}

/* ---- masked sums and shared noise ------------------------------------------------------------ */

/* 21 rounds of one step, five sites, of which at least four count and one may collude. */
static struct study shared_study(void)
{
    struct study s = test_ledger_study("shared", 0.25, 1.9);
    s.local.steps = 1;
    s.rounds = 21;
    s.privacy.noise = STUDY_NOISE_SHARED;
    s.masked = true;
    s.min_sites = 4;
    s.max_colluding = 1;
    s.n_sites = 5;
    return s;
}

static void a_policy_has_floors_for_masks_and_allows_shared_noise_or_not(void **state)
{
    (void)state;
    struct study s = shared_study();
    struct ledger_policy p = generous;
    struct ledger *l = test_ledger_open(":memory:", &p);
    declined(l, &s, PATIENTS, "'shared': shared noise (shared_noise is false); epsilon ");
    s.privacy.noise = STUDY_NOISE_SITE; /* masks alone ask for nothing */
    assert_true(asked(l, &s, PATIENTS).allowed);
    ledger_close(&l);

    p.masked = true;
    p.shared_noise = true;
    p.threshold = 5;
    l = test_ledger_open(":memory:", &p);
    s = shared_study();
    declined(l, &s, PATIENTS, "'shared': threshold 4 (at least 5); epsilon ");
    s.threshold = 5;
    assert_true(asked(l, &s, PATIENTS).allowed);
    s.masked = false;
    s.privacy.noise = STUDY_NOISE_SITE;
    declined(l, &s, PATIENTS, "'shared': sums that are not masked; epsilon ");
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
    struct study s = shared_study();
    struct ledger_policy p = generous;
    struct ledger_study told = {0};
    p.shared_noise = true;
    struct ledger *l = test_ledger_open(path, &p);
    join(l, &s);
    for (uint64_t r = 1; r <= 3; r++) {
        spend(l, &s, r, "a share");
    }
    ledger_close(&l);
    l = test_ledger_open(path, &p); /* all of it is in the file */
    const double most = cost_of(0.25, 1.9, 21, 1e-4);
    const double four = 1.9 * sqrt(4.0 / 3.0); /* the noise of four sites where three's is 1.9 */
    const double reader = cost_of(0.25, four, 21, 1e-4);
    const struct ledger_forecast f = asked(l, &s, PATIENTS);
    assert_true(fabs(f.epsilon_study - most) < 1e-3 * most);
    assert_true(fabs(f.epsilon_reader - reader) < 1e-3 * reader);
    assert_true(f.epsilon_reader < 0.9 * f.epsilon_study);
    same_bits(of_study(l, &s, 1e-4), cost_of(0.25, 1.9, 3, 1e-4)); /* what the gate counts */
    assert_int_equal(ledger_studies(l, keep_study, &told, &err), RC_OK);
    assert_true(told.shared && told.masked);
    assert_int_equal(told.threshold, 4);
    same_bits(told.epsilon_most, f.epsilon_study);
    same_bits(told.reader_most, f.epsilon_reader);
    assert_true(told.reader_spent < told.epsilon_spent && told.reader_spent > 0.0);
    ledger_close(&l);

    /* Parameters of the site's own carry the study's sigma, and later sums depend on them. */
    struct study own = shared_study();
    own.model.adapter = 2;
    l = test_ledger_open(":memory:", &p);
    same_bits(asked(l, &own, PATIENTS).epsilon_reader, asked(l, &own, PATIENTS).epsilon_study);
    s.max_colluding = 0; /* nobody colludes: one view */
    same_bits(asked(l, &s, PATIENTS).epsilon_reader, asked(l, &s, PATIENTS).epsilon_study);
    ledger_close(&l);
}

static void all_objections_are_said_at_once(void **state)
{
    (void)state;
    struct study s = test_ledger_study("heart", 0.3, 1.1);
    struct ledger_policy p = generous;
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
    struct ledger_policy p = generous;
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
    struct ledger_policy p = generous;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct mechanism m = {.q = 0.25, .sigma = 1.9, .steps = 21};
    const double about = cost_of(0.25, 1.9, 21, 1e-4);
    p.max_epsilon_per_study = accountant_epsilon_against(&m, 1, 1e-4, 0.9997 * about) - 1e-7;
    struct ledger *l = test_ledger_open(":memory:", &p);
    const struct ledger_forecast f = asked(l, &s, PATIENTS);
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
    struct ledger_policy p = generous;
    const struct mechanism both = {.q = 0.25, .sigma = 2.0, .steps = 42};
    p.max_epsilon_total = room_for(&both, 1, p.max_delta_per_study);

    struct ledger_policy less = p;
    less.max_epsilon_total = nextafter(p.max_epsilon_total, 0.0);
    struct ledger *l = test_ledger_open(":memory:", &less);
    join(l, &a);
    declined(l, &b, PATIENTS, "in total"); /* one bit too much */
    ledger_close(&l);

    l = test_ledger_open(path, &p);
    join(l, &a);
    join(l, &b); /* fits to the bit */
    same_bits(total(l, p.max_delta_per_study), 0.0);
    same_bits(asked(l, &b, PATIENTS).epsilon_promised, cost_of(0.25, 2.0, 21, 1e-3));
    declined(l, &c, PATIENTS, "in total");
    for (uint64_t r = 1; r <= 7; r++) { /* none runs dry, in any order */
        spend(l, &a, r, "bytes");
        spend(l, &b, r, "bytes");
    }
    same_bits(total(l, p.max_delta_per_study), sum_of(&both, 1, p.max_delta_per_study));
    declined(l, &c, PATIENTS, "; epsilon 0.0");
    ledger_close(&l);
    test_ledger_remove(path);

    l = test_ledger_open(path, &p);
    join(l, &a);
    join(l, &b);
    spend(l, &a, 1, "bytes");
    declined(l, &c, PATIENTS, "in total");
    assert_int_equal(ledger_end_study(l, &hash_a, 7, &err), RC_OK);
    assert_int_equal(ledger_end_study(l, &hash_a, 8, &err), RC_OK); /* again: harmless */
    join(l, &c);                                                    /* into what `a` gave back */
    ledger_close(&l);
    l = test_ledger_open(path, &p);
    const struct ledger_spend more = a_round(&a, 2, "bytes");
    refused(l, &more, RC_STATE, "has ended");
    assert_int_equal(ledger_join(l, &a, &hash_a, PATIENTS, 9, &err), RC_STATE);
    assert_string_equal(err.text, "study 'a' has ended at this site");
    const struct ledger_forecast over = asked(l, &a, PATIENTS);
    assert_false(over.allowed);
    same_bits(over.epsilon_after, over.epsilon_promised);
    same_bits(over.epsilon_study, cost_of(0.25, 2.0, 3, 1e-4));
    same_bits(of_study(l, &a, 1e-3), cost_of(0.25, 2.0, 3, 1e-3)); /* spent stays spent */
    same_bits(total(l, 1e-3), cost_of(0.25, 2.0, 3, 1e-3));        /* in the total as well */
    assert_true(has_stored(l, &a, 1, "bytes"));
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
    struct ledger_policy p = generous;
    p.max_epsilon_total = cost_of(0.25, 1.9, 21, p.max_delta_per_study);
    assert_true(filter_of(&all, 1, p.max_delta_per_study, p.max_epsilon_total) >
                1.02 * p.max_epsilon_total);
    struct ledger *l = test_ledger_open(":memory:", &p);
    join(l, &a);
    declined(l, &tiny, PATIENTS, "in total");
    spend(l, &a, 1, "bytes");
    assert_int_equal(ledger_end_study(l, &hash_a, 7, &err),
                     RC_OK); /* early, perhaps for its result */
    declined(l, &tiny, PATIENTS, "in total");
    ledger_close(&l);

    p.max_epsilon_total *= 0.999; /* nor is there slack */
    l = test_ledger_open(":memory:", &p);
    declined(l, &a, PATIENTS, "in total");
    join(l, &tiny);
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
    struct ledger_policy p = generous;
    p.max_epsilon_total = room_for(some, 1, p.max_delta_per_study);
    struct ledger *l = test_ledger_open(":memory:", &p);
    join(l, &a);
    declined(l, &b, PATIENTS, "in total");
    spend(l, &a, 1, "bytes");
    assert_int_equal(ledger_end_study(l, &hash_a, 7, &err), RC_OK);
    join(l, &b); /* three steps and twenty-one, to the bit */
    ledger_close(&l);
}

static void without_noise_only_an_infinite_policy_allows_and_says_so(void **state)
{
    (void)state;
    struct study s = test_ledger_study("open", 0.25, 0.0);
    s.privacy.noise = STUDY_NOISE_NONE;
    s.privacy.epsilon = HUGE_VAL;
    s.privacy.delta = 0.0;
    struct ledger_policy p = generous;
    struct ledger *l = test_ledger_open(":memory:", &p);
    declined(l, &s, PATIENTS, "epsilon inf (at most 100.00)");
    ledger_close(&l);
    p.max_epsilon_per_study = HUGE_VAL;
    l = test_ledger_open(":memory:", &p);
    declined(l, &s, PATIENTS, "in total inf at delta 0.001");
    ledger_close(&l);
    p.max_epsilon_per_study = 5.0;
    p.max_epsilon_total = HUGE_VAL;
    l = test_ledger_open(":memory:", &p);
    declined(l, &s, PATIENTS, "; no limit in total");
    ledger_close(&l);

    p.max_epsilon_per_study = HUGE_VAL;
    l = test_ledger_open(path, &p);
    join(l, &s);
    spend(l, &s, 1, "bytes");
    ledger_close(&l);
    l = test_ledger_open(path, &p); /* infinity and zero survive the file */
    assert_true(isinf(of_study(l, &s, 1e-3)));
    assert_true(isinf(total(l, 1e-3)));
    const struct ledger_forecast f = asked(l, &s, PATIENTS);
    assert_true(f.allowed);
    assert_true(isinf(f.epsilon_left));
    join(l, &s);
    ledger_close(&l);
    l = test_ledger_open(path, &generous); /* and bind a stricter policy */
    const struct study noised = test_ledger_study("noised", 0.25, 1.9);
    declined(l, &noised, PATIENTS, "in total inf at delta 0.001");
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
    struct ledger *l = test_ledger_open(":memory:", &generous);
    for (size_t i = 0; i < 12; i++) {
        struct error err = {0};
        struct ledger_forecast f = {.epsilon_left = -7.0};
        const struct hash h = test_ledger_hash(&bad[i]);
        assert_int_equal(ledger_what_if(l, &bad[i], &h, PATIENTS, &f, &err), RC_INVALID);
        assert_int_equal(ledger_join(l, &bad[i], &h, PATIENTS, 1, &err), RC_INVALID);
        same_bits(f.epsilon_left, -7.0); /* untouched */
    }
    ledger_close(&l);
}

/* ---- spending -------------------------------------------------------------------------------- */

static void a_spend_keeps_the_bytes_and_the_site_state_over_a_restart(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    struct ledger *l = test_ledger_open(path, &generous);
    join(l, &s);
    assert_false(has_stored(l, &s, 1, NULL));
    assert_int_equal(state_round(l, &s), 0);
    spend(l, &s, 1, "the first update");
    spend(l, &s, 2, "another, of other length");
    ledger_close(&l);
    l = test_ledger_open(path, &generous);
    assert_true(has_stored(l, &s, 1, "the first update"));
    assert_true(has_stored(l, &s, 2, "another, of other length"));
    assert_false(has_stored(l, &s, 3, NULL));
    assert_false(has_stored(l, &s, UINT64_MAX, NULL));
    assert_int_equal(state_round(l, &s), 2);
    same_bits(of_study(l, &s, 1e-4), cost_of(0.25, 1.9, 6, 1e-4));
    const struct study unknown = test_ledger_study("unknown", 0.25, 1.9);
    assert_false(has_stored(l, &unknown, 1, NULL));
    assert_int_equal(state_round(l, &unknown), 0);
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
    struct ledger *l = test_ledger_open(path, &generous);
    assert_int_equal(ledger_keep_masked_round(l, &h, 1, &err), RC_STATE); /* not joined */
    join(l, &s);
    assert_int_equal(ledger_masked_round(l, &h, &round, &err), RC_OK);
    assert_int_equal(round, 0);
    assert_int_equal(ledger_keep_masked_round(l, &h, 2, &err), RC_OK);
    ledger_close(&l);
    l = test_ledger_open(path, &generous);
    assert_int_equal(ledger_masked_round(l, &h, &round, &err), RC_OK);
    assert_int_equal(round, 2);
    assert_int_equal(ledger_keep_masked_round(l, &h, 2, &err), RC_STATE);
    assert_int_equal(ledger_keep_masked_round(l, &h, 1, &err), RC_STATE);
    assert_int_equal(ledger_keep_masked_round(l, &h, 9, &err), RC_STATE);
    spend(l, &s, 8, "of the spare round");
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
    struct ledger *l = test_ledger_open(":memory:", &generous);
    join(l, &s);
    struct ledger_spend p = a_round(&s, 1, "");
    p.site_state = NULL;
    p.site_state_bytes = 0;
    assert_int_equal(ledger_spend(l, &p, &err), RC_OK);
    assert_true(has_stored(l, &s, 1, ""));
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
    struct ledger *l = test_ledger_open(":memory:", &generous);
    join(l, &s);
    spend(l, &s, 2, "two");
    struct ledger_spend p = a_round(&s, 2, "two");
    refused(l, &p, RC_STATE, "round 2 cannot be spent (again), the newest is 2");
    p = a_round(&s, 1, "one");
    refused(l, &p, RC_STATE, "round 1 cannot be spent (again), the newest is 2");
    p = a_round(&s, 0, "zero");
    refused(l, &p, RC_STATE, "has rounds 1 to 7, not 0");
    p = a_round(&s, 8, "eight");
    refused(l, &p, RC_STATE, "has rounds 1 to 7, not 8");
    p = a_round(&s, UINT64_MAX, "many");
    refused(l, &p, RC_STATE, "has rounds 1 to 7");
    spend(l, &s, 7, "rounds may be missed");
    assert_true(has_stored(l, &s, 2, "two"));
    assert_int_equal(state_round(l, &s), 7);
    const struct ledger_forecast f = asked(l, &s, PATIENTS);
    same_bits(f.epsilon_after, cost_of(0.25, 1.9, 6, 1e-3)); /* missed rounds cannot come back */
    same_bits(f.epsilon_after, f.epsilon_spent);
    ledger_close(&l);
}

static void a_round_not_trained_as_planned_is_refused(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    struct ledger *l = test_ledger_open(":memory:", &generous);
    join(l, &s);
    struct ledger_spend bad[6];
    for (size_t i = 0; i < 6; i++) {
        bad[i] = a_round(&s, 1, "bytes");
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
    same_bits(total(l, 1e-3), 0.0);
    spend(l, &s, 1, "bytes");
    ledger_close(&l);
}

static void a_policy_made_stricter_binds_the_next_spend_and_the_next_join(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct hash h = test_ledger_hash(&s);
    struct ledger_policy strict[5] = {generous, generous, generous, generous, generous};
    strict[0].max_epsilon_per_study = 0.9 * cost_of(0.25, 1.9, 21, 1e-4);
    strict[1].max_epsilon_total = 0.9 * cost_of(0.25, 1.9, 21, 1e-3);
    strict[2].max_delta_per_study = 1e-6;
    strict[3].min_sites = 3;
    strict[4].max_colluding = 2;

    struct ledger *l = test_ledger_open(path, &generous);
    join(l, &s);
    spend(l, &s, 1, "one");
    ledger_close(&l);
    for (size_t i = 0; i < 5; i++) {
        l = test_ledger_open(path, &strict[i]);
        const struct ledger_spend p = a_round(&s, 2, "two");
        refused(l, &p, RC_LIMIT, "study 'heart'");
        assert_int_equal(ledger_join(l, &s, &h, PATIENTS, 1, &err), RC_LIMIT);
        assert_false(has_stored(l, &s, 2, NULL));
        assert_int_equal(state_round(l, &s), 1);
        assert_true(has_stored(l, &s, 1, "one")); /* what was spent may still be sent again */
        ledger_close(&l);
    }
    l = test_ledger_open(path, &generous);
    for (uint64_t r = 2; r <= 6; r++) {
        spend(l, &s, r, "more");
    }
    ledger_close(&l);
    struct ledger_policy last = generous; /* covers six rounds, not the seventh: it counts itself */
    last.max_epsilon_total = cost_of(0.25, 1.9, 20, 1e-3);
    l = test_ledger_open(path, &last);
    const struct ledger_spend seventh = a_round(&s, 7, "seven");
    refused(l, &seventh, RC_LIMIT, "in total");
    ledger_close(&l);
}

struct seen {
    size_t n;
    struct ledger_row row[8];
};

static void see(void *ctx, const struct ledger_row *row)
{
    struct seen *s = ctx;
    s->row[s->n++] = *row;
}

static void rows_come_in_the_order_of_commitment(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study a = test_ledger_study("a", 0.25, 1.9);
    const struct study b = test_ledger_study("b", 0.1, 1.3);
    struct seen s = {0};
    struct ledger *l = test_ledger_open(":memory:", &generous);
    join(l, &b);
    join(l, &a);
    spend(l, &a, 2, "a2");
    spend(l, &b, 1, "b1");
    spend(l, &a, 3, "a3");
    assert_int_equal(ledger_rows(l, see, &s, &err), RC_OK);
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
        same_bits(s.row[i].mechanism.sigma, i == 1 ? 1.3 : 1.9);
        same_bits(s.row[i].clip, 1.5);
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
    struct ledger *l = test_ledger_open(":memory:", &generous);
    join(l, &s);
    for (uint64_t r = 1; r <= 4; r++) {
        spend(l, &s, r, "bytes");
        for (int k = 1; k <= 10; k++) { /* more than are remembered; each twice */
            const double delta = 1e-5 * (double)k;
            const double want = cost_of(0.25, 1.9, 3 * r, delta);
            same_bits(total(l, delta), want);
            same_bits(of_study(l, &s, delta), want);
        }
    }
    double e = 0.0;
    assert_int_equal(ledger_epsilon(l, NULL, 0.0, &e, &err), RC_INVALID);
    assert_int_equal(ledger_epsilon(l, &h, 1.0, &e, &err), RC_INVALID);
    assert_int_equal(ledger_epsilon(l, &h, (double)NAN, &e, &err), RC_INVALID);
    ledger_close(&l);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void cannot_open(enum rc want, const char *says)
{
    struct error err = {0};
    struct ledger *l = NULL;
    const enum rc rc = ledger_open(path, &generous, &l, &err);
    if (rc != want || strstr(err.text, says) == NULL) {
        fail_msg("%s: '%s', not '%s'", rc_name(rc), err.text, says);
    }
    assert_null(l);
}

static void a_file_that_is_no_ledger_is_refused_and_left_alone(void **state)
{
    (void)state;
    static const char text[] = "dear diary, today I was long enough to have been an SQLite header "
                               "of one hundred bytes, but I never was one.";
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, sizeof text, f), sizeof text);
    assert_int_equal(fclose(f), 0);
    cannot_open(RC_FORMAT, "not a database; it is damaged or not ours: put it aside");
    f = fopen(path, "rbe");
    assert_non_null(f);
    char back[sizeof text];
    assert_int_equal(fread(back, 1, sizeof back, f), sizeof back);
    assert_int_equal(fclose(f), 0);
    assert_memory_equal(back, text, sizeof text);
}

static const char *const one[] = {"CREATE TABLE x (y INTEGER) STRICT;"};

static void a_strangers_database_and_a_newer_ledger_are_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = NULL;
    const struct store_kind stranger = {
        .application_id = 0x57520009, .what = "x", .n_migrations = 1, .migration = one};
    assert_int_equal(store_open(path, &stranger, &s, &err), RC_OK);
    store_close(&s);
    cannot_open(RC_FORMAT, "not a privacy ledger");
    test_ledger_remove(path);

    struct ledger *l = test_ledger_open(path, &generous);
    ledger_close(&l);
    const char *migration[9];
    struct store_kind newer = ledger_store_kind;
    for (size_t i = 0; i < newer.n_migrations; i++) {
        migration[i] = newer.migration[i];
    }
    migration[newer.n_migrations] = one[0];
    newer.n_migrations++;
    newer.migration = migration;
    assert_int_equal(store_open(path, &newer, &s, &err), RC_OK);
    store_close(&s);
    cannot_open(RC_STATE, "newer program");
}

/* What somebody with the file and SQLite could do. */
static void edit(const char *sql)
{
    struct error err = {0};
    struct store *s = NULL;
    struct statement *st = NULL;
    assert_int_equal(store_open(path, &ledger_store_kind, &s, &err), RC_OK);
    assert_int_equal(store_prepare(s, "PRAGMA foreign_keys = OFF", &st, &err), RC_OK);
    assert_int_equal(statement_run(st, &err), RC_OK);
    assert_int_equal(store_prepare(s, sql, &st, &err), RC_OK);
    if (statement_run(st, &err) != RC_OK) {
        fail_msg("%s: %s", sql, err.text);
    }
    store_close(&s);
}

/* The third has spent nothing yet. */
static void a_ledger_with_three_studies(void)
{
    const struct study a = test_ledger_study("a", 0.25, 1.9);
    const struct study b = test_ledger_study("b", 0.1, 1.3);
    const struct study c = test_ledger_study("c", 0.1, 1.3);
    test_ledger_remove(path);
    struct ledger *l = test_ledger_open(path, &generous);
    join(l, &a);
    join(l, &b);
    join(l, &c);
    spend(l, &a, 1, "a1");
    spend(l, &b, 1, "b1");
    spend(l, &a, 2, "a2");
    ledger_close(&l);
}

static void and_a_masked_one(void)
{
    struct ledger_policy p = generous;
    p.shared_noise = true;
    const struct study s = shared_study();
    struct ledger *l = test_ledger_open(path, &p);
    join(l, &s);
    ledger_close(&l);
}

static void an_edited_ledger_is_refused(void **state)
{
    (void)state;
    static const char *const edits[] = {
        "UPDATE study SET rounds = 1000 WHERE id = 1",
        "UPDATE study SET sigma = 9 WHERE id = 2",
        "UPDATE study SET name = 'd' WHERE id = 2",
        "UPDATE study SET q = 0.2 WHERE id = 3",
        "UPDATE study SET sigma = 9 WHERE id = 3",
        "UPDATE study SET steps = 1 WHERE id = 3",
        "UPDATE study SET clip = 1 WHERE id = 3",
        "UPDATE study SET epsilon = 1 WHERE id = 3",
        "UPDATE study SET delta = 1e-9 WHERE id = 3",
        "UPDATE study SET max_colluding = 9 WHERE id = 3",
        "UPDATE study SET link = zeroblob(32) WHERE id = 3",
        "UPDATE study SET min_sites = 0 WHERE id = 1",
        "UPDATE study SET masked = 1 WHERE id = 1",
        "UPDATE study SET threshold = 3 WHERE id = 1",
        "UPDATE study SET reader_sigma = 9 WHERE id = 1",
        "UPDATE study SET threshold = 3 WHERE id = 4",
        "UPDATE study SET reader_sigma = 9 WHERE id = 4",
        "UPDATE study SET reader_sigma = NULL WHERE id = 4",
        "UPDATE study SET masked = 0, threshold = 0, reader_sigma = NULL WHERE id = 4",
        "UPDATE study SET hash = zeroblob(32) WHERE id = 1",
        "DELETE FROM study WHERE id = 1",
        "UPDATE study SET id = 5 WHERE id = 3",
        "UPDATE spend SET sigma = 9 WHERE sequence = 1",
        "UPDATE spend SET steps = 1 WHERE sequence = 3",
        "UPDATE spend SET round = 5 WHERE sequence = 3",
        "UPDATE spend SET round = 8 WHERE sequence = 3",
        "UPDATE spend SET study = 2 WHERE sequence = 3",
        "UPDATE spend SET cohort = zeroblob(32) WHERE sequence = 2",
        "UPDATE spend SET released = zeroblob(32) WHERE sequence = 2",
        "UPDATE spend SET at_ms = 0 WHERE sequence = 1",
        "UPDATE spend SET clip = 9 WHERE sequence = 3",
        "UPDATE spend SET model = zeroblob(32) WHERE sequence = 1",
        "UPDATE spend SET link = zeroblob(32) WHERE sequence = 3",
        "DELETE FROM spend WHERE sequence = 1",
        "DELETE FROM spend WHERE sequence = 2",
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        a_ledger_with_three_studies();
        and_a_masked_one();
        edit(edits[i]);
        cannot_open(RC_FORMAT, "damaged or was edited");
    }
    a_ledger_with_three_studies();
    struct ledger *l = test_ledger_open(path, &generous); /* unedited it opens */
    ledger_close(&l);
}

/* ---- the high-water mark --------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
    char bytes[1 << 12];
    FILE *in = fopen(from, "rbe");
    FILE *out = fopen(to, "wbe");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t n = 0; (n = fread(bytes, 1, sizeof bytes, in)) > 0;) {
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    }
    assert_int_equal(fclose(out), 0);
    (void)fclose(in);
}

static const char *beside(const char *end)
{
    static char name[2][320];
    static size_t at;
    at = 1 - at;
    (void)snprintf(name[at], sizeof name[at], "%s%s", path, end);
    return name[at];
}

static long long marked_spends(void)
{
    long long newest = -1;
    FILE *f = fopen(beside(".mark"), "re");
    assert_non_null(f);
    for (long place = 0; place < 2; place++) { /* of 512 bytes, the second one perhaps empty */
        long long n = -1;
        assert_int_equal(fseek(f, place * 512, SEEK_SET), 0);
        if (fscanf(f, "wardround ledger mark 2 study %*d %*[0-9a-f] spend %lld %*[0-9a-f]", &n) ==
            1) {
            newest = n > newest ? n : newest;
        }
    }
    (void)fclose(f);
    assert_true(newest >= 0);
    return newest;
}

static void a_ledger_whose_end_was_cut_off_is_refused(void **state)
{
    (void)state;
    a_ledger_with_three_studies();
    edit("DELETE FROM site_state");
    edit("DELETE FROM released WHERE sequence = 3");
    edit("DELETE FROM spend WHERE sequence = 3"); /* what is left is a chain without a fault */
    cannot_open(RC_STATE, "older than its own mark: spend 3 is missing");
    cannot_open(RC_STATE, "put back the newest copy"); /* nor does asking heal it */
    a_ledger_with_three_studies();
    edit("DELETE FROM study WHERE id = 3");
    cannot_open(RC_STATE, "older than its own mark: study 3 is missing");
}

static void an_old_copy_that_was_put_back_is_refused_until_the_newest_is(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    struct ledger *l = test_ledger_open(path, &generous);
    join(l, &s);
    spend(l, &s, 1, "one");
    ledger_close(&l);
    copy_file(path, beside(".old"));
    copy_file(beside(".mark"), beside(".mark.old"));
    l = test_ledger_open(path, &generous);
    spend(l, &s, 2, "two");
    ledger_close(&l);
    copy_file(path, beside(".newest"));

    copy_file(beside(".old"), path);
    cannot_open(RC_STATE, "spend 2 is missing");
    copy_file(beside(".newest"), path);
    l = test_ledger_open(path, &generous);
    assert_true(has_stored(l, &s, 2, "two"));
    ledger_close(&l);

    copy_file(beside(".old"), path); /* both put back: said in the README, not noticed */
    copy_file(beside(".mark.old"), beside(".mark"));
    l = test_ledger_open(path, &generous);
    spend(l, &s, 2, "another two");
    ledger_close(&l);
    copy_file(beside(".newest"), path); /* and then the other branch is no longer the same ledger */
    cannot_open(RC_STATE, "spend 2 is another one");
    (void)unlink(beside(".old"));
    (void)unlink(beside(".newest"));
    (void)unlink(beside(".mark.old"));
}

static void what_was_spent_may_leave_as_it_is_only_if_the_ledger_holds_just_that(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct hash h = test_ledger_hash(&s);
    const struct hash want = hash_of("one", 3);
    struct ledger *l = test_ledger_open(path, &generous);
    struct error err = {0};
    struct hash got = {{0}};
    join(l, &s);
    spend(l, &s, 1, "one");
    assert_int_equal(ledger_stored_as(l, &h, 1, "one", 3, &got, &err), RC_OK);
    assert_true(hash_equal(&got, &want));
    assert_int_equal(ledger_stored_as(l, &h, 1, "oNe", 3, &got, &err), RC_FORMAT);
    assert_int_equal(ledger_stored_as(l, &h, 1, "one", 2, &got, &err), RC_FORMAT);
    assert_int_equal(ledger_stored_as(l, &h, 2, "one", 3, &got, &err), RC_FORMAT);
    ledger_close(&l);
}

static void a_total_of_nothing_refuses_with_a_sentence(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct study more = test_ledger_study("more", 0.25, 1.9);
    const struct hash hash = test_ledger_hash(&more);
    struct ledger_policy nothing = generous;
    struct ledger_forecast f = {0};
    struct error err = {0};
    double spent = 0.0;
    struct ledger *l = test_ledger_open(path, &generous);
    join(l, &s);
    spend(l, &s, 1, "one");
    ledger_close(&l);
    nothing.max_epsilon_total = 0.0; /* what a hospital writes that wants no more of it */
    l = test_ledger_open(path, &nothing);
    assert_int_equal(ledger_epsilon(l, NULL, 1e-3, &spent, &err), RC_OK);
    assert_true(spent > 0.0);
    assert_int_equal(ledger_what_if(l, &more, &hash, PATIENTS, &f, &err), RC_OK);
    assert_false(f.allowed);
    assert_true(f.epsilon_left == 0.0);
    ledger_close(&l);
}

/* ---- anchors --------------------------------------------------------------------------------- */

static struct hash anchor_of(struct ledger *l, const struct study *s, uint64_t round)
{
    const struct hash study = test_ledger_hash(s);
    struct hash anchor = {{0}};
    struct error err = {0};
    bool found = false;
    if (ledger_anchor(l, &study, round, &found, &anchor, &err) != RC_OK || !found) {
        fail_msg("round %llu: %s", (unsigned long long)round, found ? err.text : "not found");
    }
    return anchor;
}

static bool knows(struct ledger *l, const struct hash *anchor)
{
    struct error err = {0};
    bool found = false;
    if (ledger_has_anchor(l, anchor, &found, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return found;
}

static void an_anchor_is_the_same_for_ever_and_of_one_row_of_one_ledger(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct hash study = test_ledger_hash(&s);
    struct error err = {0};
    bool found = true;
    struct ledger *l = test_ledger_open(path, &generous);
    join(l, &s);
    spend(l, &s, 1, "one");
    const struct hash first = anchor_of(l, &s, 1);
    spend(l, &s, 2, "two");
    const struct hash second = anchor_of(l, &s, 2);
    ledger_close(&l);
    l = test_ledger_open(path, &generous);
    const struct hash again = anchor_of(l, &s, 1);
    struct hash none = second;
    assert_true(hash_equal(&first, &again));
    assert_false(hash_equal(&first, &second));
    assert_true(knows(l, &first));
    assert_true(knows(l, &second));
    assert_int_equal(ledger_anchor(l, &study, 3, &found, &none, &err), RC_OK);
    assert_false(found);
    assert_int_equal(ledger_anchor(l, &study, UINT64_MAX, &found, &none, &err), RC_OK);
    assert_false(found);
    ledger_close(&l);

    test_ledger_remove(path); /* the same rows at the same times: the key is another first */
    l = test_ledger_open(path, &generous);
    join(l, &s);
    spend(l, &s, 1, "one");
    const struct hash elsewhere = anchor_of(l, &s, 1);
    assert_false(hash_equal(&first, &elsewhere));
    assert_false(knows(l, &first));
    ledger_close(&l);
}

static void what_was_put_back_with_its_mark_lacks_the_anchor_of_what_it_forgot(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    struct ledger *l = test_ledger_open(path, &generous);
    join(l, &s);
    spend(l, &s, 1, "one");
    const struct hash first = anchor_of(l, &s, 1);
    ledger_close(&l);
    copy_file(path, beside(".old"));
    copy_file(beside(".mark"), beside(".mark.old"));
    l = test_ledger_open(path, &generous);
    spend(l, &s, 2, "two");
    const struct hash second = anchor_of(l, &s, 2);
    ledger_close(&l);
    copy_file(beside(".old"), path);
    copy_file(beside(".mark.old"), beside(".mark"));
    l = test_ledger_open(path, &generous);
    assert_true(knows(l, &first));
    assert_false(knows(l, &second));
    spend(l, &s, 2, "another two"); /* nor does going on hide it */
    assert_false(knows(l, &second));
    const struct hash other = anchor_of(l, &s, 2);
    assert_false(hash_equal(&second, &other));
    ledger_close(&l);
    (void)unlink(beside(".old"));
    (void)unlink(beside(".mark.old"));
}

static void a_mark_that_lags_is_brought_up_and_one_that_is_gone_stays_so_until_a_spend(void **state)
{
    (void)state;
    a_ledger_with_three_studies();
    assert_int_equal(marked_spends(), 3);
    copy_file(beside(".mark"), beside(".lags"));
    struct ledger *l = test_ledger_open(path, &generous);
    const struct study a = test_ledger_study("a", 0.25, 1.9);
    spend(l, &a, 3, "a3");
    ledger_close(&l);
    assert_int_equal(marked_spends(), 4);
    copy_file(beside(".lags"), beside(".mark")); /* killed between the commit and the mark */
    l = test_ledger_open(path, &generous);
    ledger_close(&l);
    assert_int_equal(marked_spends(), 4);
    assert_int_equal(unlink(beside(".mark")), 0); /* taken away: looking does not hide that */
    struct ledger_verified v = {0};
    struct error err = {0};
    l = test_ledger_open(path, &generous);
    assert_int_equal(ledger_verify(l, &v, &err), RC_OK);
    assert_false(v.marked);
    assert_int_equal(access(beside(".mark"), F_OK), -1);
    spend(l, &a, 4, "a4");
    assert_int_equal(marked_spends(), 5);
    assert_int_equal(ledger_verify(l, &v, &err), RC_OK);
    assert_true(v.marked);
    ledger_close(&l);
    (void)unlink(beside(".lags"));
}

static void a_mark_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    char fits[400];
    char more[410];
    (void)snprintf(fits, sizeof fits, "wardround ledger mark 1\nstudy 0 %s\nspend 0 %s\n", zeros,
                   zeros);
    (void)snprintf(more, sizeof more, "%s\n", fits);
    const char *const bad[] = {"", "wardround ledger mark 2\n", "wardround ledger mark 1\n",
                               "wardround ledger mark 1\nstudy 1 00\nspend 0 00\n", more};
    for (size_t i = 0; i <= sizeof bad / sizeof bad[0]; i++) {
        a_ledger_with_three_studies();
        FILE *f = fopen(beside(".mark"), "we");
        assert_non_null(f);
        assert_true(fputs(i == 0 ? fits : bad[i - 1], f) >= 0);
        assert_int_equal(fclose(f), 0);
        if (i == 0) { /* an empty ledger's of an earlier version, and it lags */
            struct ledger *l = test_ledger_open(path, &generous);
            ledger_close(&l);
            assert_int_equal(marked_spends(), 3); /* and is of this version now */
        } else {
            cannot_open(RC_FORMAT, "is no mark of this ledger");
        }
    }
}

/* As a power cut leaves it in the middle of a sector, which disks promise not to. */
static void of_two_marks_the_whole_one_counts_and_none_is_no_mark(void **state)
{
    (void)state;
    for (int torn = 0; torn < 3; torn++) { /* one, the other one, both */
        a_ledger_with_three_studies();
        FILE *f = fopen(beside(".mark"), "r+e");
        assert_non_null(f);
        for (long place = 0; place < 2; place++) {
            if (torn == place || torn == 2) {
                assert_int_equal(fseek(f, place * 512 + 100, SEEK_SET), 0);
                assert_true(fputs("?", f) >= 0);
            }
        }
        assert_int_equal(fclose(f), 0);
        if (torn == 2) {
            cannot_open(RC_FORMAT, "is no mark of this ledger");
            continue;
        }
        assert_true(marked_spends() >= 2); /* lags by one at most */
        struct ledger *l = test_ledger_open(path, &generous);
        ledger_close(&l);
        assert_int_equal(marked_spends(), 3);
    }
}

static void without_a_mark_that_can_be_written_nothing_may_leave(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct ledger_spend p = a_round(&s, 1, "one");
    struct ledger *l = test_ledger_open(path, &generous);
    join(l, &s);
    assert_int_equal(rename(beside(".mark"), beside(".kept")), 0);
    assert_int_equal(symlink(beside(".kept"), beside(".mark")), 0); /* is not written through */
    assert_int_equal(ledger_spend(l, &p, &err), RC_IO);
    assert_non_null(strstr(err.text, "make room"));
    ledger_close(&l);
    cannot_open(RC_IO, "make room");
    assert_int_equal(rename(beside(".kept"), beside(".mark")), 0);
    l = test_ledger_open(path, &generous); /* it was committed: the stored bytes may leave now */
    assert_true(has_stored(l, &s, 1, "one"));
    ledger_close(&l);
}

/* ---- verifying, copying ----------------------------------------------------------------------- */

static void verify_looks_at_every_row_and_all_stored_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *edit, *says;
    } edits[] = {
        {"UPDATE released SET bytes = x'00' WHERE sequence = 2", "stored bytes of spend 2"},
        {"DELETE FROM released WHERE sequence = 3", "stored bytes of spend 3"},
        {"UPDATE site_state SET bytes = x'00' WHERE study = 2", "site's state in study 2"},
        {"UPDATE spend SET at_ms = 0 WHERE sequence = 1", "spend 1 does not fit"},
    };
    struct error err = {0};
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        struct ledger_verified v = {0};
        a_ledger_with_three_studies();
        struct ledger *l = test_ledger_open(path, &generous);
        assert_int_equal(ledger_verify(l, &v, &err), RC_OK);
        assert_true(v.studies == 3 && v.spends == 3 && v.updates == 3 && v.site_states == 2);
        edit(edits[i].edit); /* under the eyes of the one who has it open */
        assert_int_equal(ledger_verify(l, &v, &err), RC_FORMAT);
        assert_non_null(strstr(err.text, edits[i].says));
        assert_int_equal(v.spends, 3);
        ledger_close(&l);
    }
}

static void a_copy_is_a_ledger_and_writes_over_nothing(void **state)
{
    (void)state;
    struct error err = {0};
    struct ledger_verified v = {0};
    const struct study a = test_ledger_study("a", 0.25, 1.9);
    char copy[320];
    (void)snprintf(copy, sizeof copy, "%s.copy", path);
    a_ledger_with_three_studies();
    struct ledger *l = test_ledger_open(path, &generous);
    assert_int_equal(ledger_backup(l, copy, &err), RC_OK);
    spend(l, &a, 3, "later");
    assert_int_equal(ledger_backup(l, copy, &err), RC_STATE);
    assert_non_null(strstr(err.text, "there already"));
    assert_int_equal(ledger_backup(l, "/nowhere/at/all", &err), RC_IO);
    const double spent = total(l, 1e-3);
    ledger_close(&l);
    l = test_ledger_open(copy, &generous);
    assert_int_equal(ledger_verify(l, &v, &err), RC_OK);
    assert_int_equal(v.spends, 3);
    assert_true(total(l, 1e-3) < spent);
    ledger_close(&l);
    copy_file(copy, path); /* put back in the place of the newer one */
    cannot_open(RC_STATE, "spend 4 is missing");
    static const char *const end[] = {"", "-wal", "-shm", ".mark"};
    for (size_t i = 0; i < 4; i++) {
        char file[340];
        (void)snprintf(file, sizeof file, "%s%s", copy, end[i]);
        (void)unlink(file);
    }
}

static void a_row_is_bound_to_all_before_it(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    struct error err = {0};
    struct hash link[2];
    for (int i = 0; i < 2; i++) { /* they differ in the bytes of round 1 only */
        test_ledger_remove(path);
        struct ledger *l = test_ledger_open(path, &generous);
        join(l, &s);
        spend(l, &s, 1, i == 0 ? "one" : "two");
        spend(l, &s, 2, "same");
        ledger_close(&l);

        struct store *file = NULL;
        struct statement *st = NULL;
        bool row = false;
        size_t n = 0;
        assert_int_equal(store_open(path, &ledger_store_kind, &file, &err), RC_OK);
        assert_int_equal(
            store_prepare(file, "SELECT link FROM spend WHERE sequence = 2", &st, &err), RC_OK);
        assert_int_equal(statement_step(st, &row, &err), RC_OK);
        const void *b = statement_blob(st, 0, &n);
        assert_int_equal(n, sizeof link[i].b);
        memcpy(link[i].b, b, n);
        store_close(&file);
    }
    assert_false(hash_equal(&link[0], &link[1]));
}

static void stored_bytes_that_changed_are_never_handed_out(void **state)
{
    (void)state;
    static const char *const edits[] = {"UPDATE released SET bytes = x'00' WHERE sequence = 3",
                                        "DELETE FROM released WHERE sequence = 3"};
    const struct study a = test_ledger_study("a", 0.25, 1.9);
    const struct hash h = test_ledger_hash(&a);
    struct error err = {0};
    const void *data = NULL;
    size_t n = 77;
    bool found = false;
    uint64_t round = 77;
    for (size_t i = 0; i < 2; i++) {
        a_ledger_with_three_studies();
        edit(edits[i]);
        struct ledger *l = test_ledger_open(path, &generous);
        assert_int_equal(ledger_stored(l, &h, 2, &found, &data, &n, &err), RC_FORMAT);
        assert_false(found);
        assert_true(has_stored(l, &a, 1, "a1"));
        ledger_close(&l);
    }
    a_ledger_with_three_studies();
    edit("UPDATE site_state SET bytes = x'0102' WHERE study = 1");
    struct ledger *l = test_ledger_open(path, &generous);
    assert_int_equal(ledger_site_state(l, &h, &round, &data, &n, &err), RC_FORMAT);
    assert_int_equal(round, 77);
    ledger_close(&l);
}

/* ---- two processes, and killed ones ---------------------------------------------------------- */

static void two_connections_share_one_budget_and_one_truth(void **state)
{
    (void)state;
    const struct study a = test_ledger_study("a", 0.25, 1.9);
    const struct study b = test_ledger_study("b", 0.25, 1.9);
    struct ledger_policy p = generous;
    p.max_epsilon_total = cost_of(0.25, 1.9, 21, 1e-3); /* room for one of the two */
    struct ledger *x = test_ledger_open(path, &p);
    struct ledger *y = test_ledger_open(path, &p);
    assert_true(asked(y, &b, PATIENTS).allowed);
    join(x, &a);
    declined(y, &b, PATIENTS, "in total");
    join(y, &a);
    spend(x, &a, 1, "of x");
    const struct ledger_spend again = a_round(&a, 1, "of y");
    refused(y, &again, RC_STATE, "cannot be spent (again)");
    assert_true(has_stored(y, &a, 1, "of x"));
    spend(y, &a, 2, "of y");
    spend(x, &a, 3, "of x");
    same_bits(total(x, 1e-3), total(y, 1e-3));
    ledger_close(&x);
    ledger_close(&y);
    x = test_ledger_open(path, &p); /* the chain holds */
    ledger_close(&x);
}

/* In a child: never returns. Exit status is the rc of the spend. */
static void child_spends(const struct study *s, const char *update, int gate, int point)
{
    struct error err = {0};
    struct ledger *l = NULL;
    const struct ledger_spend p = a_round(s, 1, update);
    if (ledger_open(path, &generous, &l, &err) != RC_OK) {
        _exit(100);
    }
    char go;
    if (gate >= 0 && read(gate, &go, 1) != 0) { /* opens when the parent closes its end */
        _exit(101);
    }
    mortal_restart();
    mortal_die_at = point;
    const enum rc rc = ledger_spend(l, &p, &err);
    _exit((int)rc); /* without closing: the next one finds the log as it is */
}

static void of_two_processes_racing_for_a_round_one_spends(void **state)
{
    (void)state;
    static const char *const update[2] = {"of the first child", "of the second"};
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    for (int run = 0; run < 5; run++) {
        test_ledger_remove(path);
        struct ledger *l = test_ledger_open(path, &generous);
        join(l, &s);
        ledger_close(&l);

        int gate[2];
        pid_t child[2];
        assert_int_equal(pipe(gate), 0);
        for (int i = 0; i < 2; i++) {
            child[i] = fork();
            assert_true(child[i] >= 0);
            if (child[i] == 0) {
                (void)close(gate[1]);
                child_spends(&s, update[i], gate[0], -1);
            }
        }
        (void)close(gate[0]);
        (void)close(gate[1]);
        int rc[2];
        for (int i = 0; i < 2; i++) {
            int status = 0;
            assert_int_equal(waitpid(child[i], &status, 0), child[i]);
            assert_true(WIFEXITED(status));
            rc[i] = WEXITSTATUS(status);
        }
        assert_true((rc[0] == RC_OK && rc[1] == RC_STATE) || (rc[1] == RC_OK && rc[0] == RC_STATE));
        l = test_ledger_open(path, &generous);
        assert_true(has_stored(l, &s, 1, update[rc[0] == RC_OK ? 0 : 1]));
        same_bits(total(l, 1e-3), cost_of(0.25, 1.9, 3, 1e-3));
        ledger_close(&l);
    }
}

static void killed_at_any_point_a_spend_is_whole_or_absent(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    size_t n_absent = 0;
    size_t n_whole = 0;
    for (int point = 0;; point++) {
        test_ledger_remove(path);
        struct ledger *l = test_ledger_open(path, &generous);
        join(l, &s);
        ledger_close(&l);

        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            child_spends(&s, "finished update", -1, point);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        const bool survived = WIFEXITED(status);
        assert_true(survived ? WEXITSTATUS(status) == RC_OK : WTERMSIG(status) == SIGKILL);

        l = test_ledger_open(path, &generous);
        struct seen rows = {0};
        struct error err = {0};
        assert_int_equal(ledger_rows(l, see, &rows, &err), RC_OK);
        const bool found = has_stored(l, &s, 1, "finished update");
        assert_int_equal(marked_spends(), found ? 1 : 0); /* wherever it was killed */
        assert_int_equal(rows.n, found ? 1 : 0);
        assert_int_equal(state_round(l, &s), found ? 1 : 0);
        same_bits(of_study(l, &s, 1e-3), found ? cost_of(0.25, 1.9, 3, 1e-3) : 0.0);
        if (!found) {
            assert_int_equal(n_whole, 0);     /* once durable, always durable */
            spend(l, &s, 1, "trained again"); /* nothing had left */
        }
        n_absent += !found;
        n_whole += found;
        spend(l, &s, 2, "the next round");
        ledger_close(&l);
        if (survived) {
            break;
        }
    }
    /* begin, find, 2 x compose, chain end, three rows: before and after each; then the commit. */
    assert_true(n_absent >= 16);
    assert_true(n_whole >=
                2); /* killed after the commit, while the mark is written, and not at all */
}

/* What a hospital does for years: joins, spends, ends, is killed, begins again. Each answer that it got
 * before it died is a promise. */
static struct study year(int i)
{
    char name[16];
    (void)snprintf(name, sizeof name, "s%d", i);
    return test_ledger_study(name, 0.25, 2.0);
}

struct years {
    int study;      /* in hand */
    uint64_t round; /* newest that is known to be spent in it */
};

/* One life: spends on from where the ledger stands, says each spend that was answered, and dies. */
static void one_life(const struct ledger_policy *p, struct years at, int point, int say)
{
    struct error err = {0};
    struct ledger *l = NULL;
    mortal_restart();
    mortal_die_at = point;
    if (ledger_open(path, p, &l, &err) != RC_OK) {
        _exit(100);
    }
    for (;;) {
        const struct study s = year(at.study);
        const struct hash h = test_ledger_hash(&s);
        const enum rc joined = ledger_join(l, &s, &h, PATIENTS, 1000, &err);
        if (joined == RC_LIMIT) {
            _exit(0); /* the budget is used up */
        }
        while (joined == RC_OK && at.round < s.rounds) {
            const struct ledger_spend spend = a_round(&s, at.round + 1, "bytes");
            const enum rc rc = ledger_spend(l, &spend, &err);
            if (rc != RC_OK && rc != RC_STATE) {
                _exit(101);
            }
            at.round++;
            if (write(say, "1", 1) != 1) {
                _exit(102);
            }
        }
        if (joined == RC_OK && ledger_end_study(l, &h, 1000, &err) != RC_OK) {
            _exit(103);
        }
        at = (struct years){.study = at.study + 1};
    }
}

static void newest_of(void *ctx, const struct ledger_row *row)
{
    struct years *at = ctx;
    at->study = (int)strtol(row->study + 1, NULL, 10);
    at->round = row->round;
}

static void five_hundred_kills_lose_no_spend_and_overspend_nothing(void **state)
{
    (void)state;
    enum { KILLS = 500 };
    const uint64_t seed = seed_of_run();
    struct ledger_policy p = generous;
    struct rng r;
    size_t spent = 0; /* known to be in the ledger */
    size_t lives = 0;
    size_t used_up = 0;
    rng_init(&r, seed, "kills");
    p.max_epsilon_total = 6.0;
    for (int kills = 0; kills < KILLS; lives++) {
        struct error err = {0};
        struct ledger_verified v = {0};
        struct years at = {0, 0};
        int said[2];
        char byte = 0;
        size_t answered = 0;
        int status = 0;
        struct ledger *l = test_ledger_open(path, &p);
        assert_int_equal(ledger_verify(l, &v, &err), RC_OK);
        assert_int_equal(ledger_rows(l, newest_of, &at, &err), RC_OK);
        assert_true(v.spends >= spent); /* no answer was in vain */
        assert_true(v.spends <= spent + 1 && v.updates == v.spends);
        assert_int_equal(marked_spends(), v.spends);
        assert_true(total(l, p.max_delta_per_study) <= p.max_epsilon_total);
        ledger_close(&l);
        spent = v.spends;

        assert_int_equal(pipe(said), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(said[0]);
            one_life(&p, at, (int)rng_below(&r, 400), said[1]);
        }
        (void)rng_below(&r, 400); /* as the child did */
        (void)close(said[1]);
        while (read(said[0], &byte, 1) == 1) {
            answered++;
        }
        (void)close(said[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        spent += answered;
        kills += WIFSIGNALED(status);
        if (WIFEXITED(status)) { /* nothing is left to spend: a new ledger */
            assert_int_equal(WEXITSTATUS(status), 0);
            l = test_ledger_open(path, &p);
            assert_int_equal(ledger_verify(l, &v, &err), RC_OK);
            assert_int_equal(v.spends, spent);
            assert_true(total(l, p.max_delta_per_study) <= p.max_epsilon_total);
            ledger_close(&l);
            test_ledger_remove(path);
            spent = 0;
            used_up++;
        }
    }
    print_message("%zu lives, %d of them killed; %zu budgets used up\n", lives, KILLS, used_up);
    assert_true(used_up >= 3);
}

int main(void)
{
#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
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
        ON_DISK(the_number_of_a_masked_round_is_kept_once_and_only_grows),
        ON_DISK(a_spend_keeps_the_bytes_and_the_site_state_over_a_restart),
        cmocka_unit_test(an_empty_update_and_no_site_state_are_kept_as_such),
        cmocka_unit_test(a_round_is_spent_once_and_never_backwards),
        cmocka_unit_test(a_round_not_trained_as_planned_is_refused),
        ON_DISK(a_policy_made_stricter_binds_the_next_spend_and_the_next_join),
        cmocka_unit_test(rows_come_in_the_order_of_commitment),
        cmocka_unit_test(answers_stay_right_when_many_questions_are_asked),
        ON_DISK(a_file_that_is_no_ledger_is_refused_and_left_alone),
        ON_DISK(a_strangers_database_and_a_newer_ledger_are_refused),
        ON_DISK(an_edited_ledger_is_refused),
        ON_DISK(a_ledger_whose_end_was_cut_off_is_refused),
        ON_DISK(an_old_copy_that_was_put_back_is_refused_until_the_newest_is),
        ON_DISK(a_total_of_nothing_refuses_with_a_sentence),
        ON_DISK(an_anchor_is_the_same_for_ever_and_of_one_row_of_one_ledger),
        ON_DISK(what_was_put_back_with_its_mark_lacks_the_anchor_of_what_it_forgot),
        ON_DISK(a_mark_that_lags_is_brought_up_and_one_that_is_gone_stays_so_until_a_spend),
        ON_DISK(a_mark_that_is_none_is_refused),
        ON_DISK(what_was_spent_may_leave_as_it_is_only_if_the_ledger_holds_just_that),
        ON_DISK(of_two_marks_the_whole_one_counts_and_none_is_no_mark),
        ON_DISK(without_a_mark_that_can_be_written_nothing_may_leave),
        ON_DISK(verify_looks_at_every_row_and_all_stored_bytes),
        ON_DISK(a_copy_is_a_ledger_and_writes_over_nothing),
        ON_DISK(a_row_is_bound_to_all_before_it),
        ON_DISK(stored_bytes_that_changed_are_never_handed_out),
        ON_DISK(two_connections_share_one_budget_and_one_truth),
        ON_DISK(of_two_processes_racing_for_a_round_one_spends),
        ON_DISK(killed_at_any_point_a_spend_is_whole_or_absent),
        ON_DISK(five_hundred_kills_lose_no_spend_and_overspend_nothing),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
