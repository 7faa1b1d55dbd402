#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/ledger/ledger.h"
#include "common/accountant/accountant.h"
#include "common/accountant/rdp.h"
#include "common/store/store.h"
#include "tests/support/ledger.h"
#include "tests/support/mortal_store.h"

/* ---- a site's disk --------------------------------------------------------------------------- */

/* ---- studies, requests, questions ------------------------------------------------------------ */

static const struct ledger_policy generous = {.max_epsilon_per_study = 100.0,
                                              .max_epsilon_total = 1000.0,
                                              .max_delta_per_study = 1e-3,
                                              .min_patients = 20,
                                              .min_sites = 1,
                                              .max_evaluation_epsilon = 3.0};

static struct study a_study(const char *name, double sigma)
{
    return test_ledger_study(name, 0.25, sigma);
}

static struct hash named(const char *name)
{
    return hash_of(name, strlen(name));
}

static void must(enum rc rc, const struct error *err)
{
    if (rc != RC_OK) {
        fail_msg("%s", err->text);
    }
}

static struct ledger *opened(const struct ledger_policy *policy)
{
    return test_ledger_open(test_ledger_path, policy);
}

static void join(struct ledger *l, const struct study *s)
{
    test_ledger_join(l, s, 1000);
}

static void spend(struct ledger *l, const struct study *s, uint64_t round)
{
    const struct ledger_spend p = test_ledger_round(s, round, "update");
    test_ledger_spend(l, &p);
}

static struct ledger_evaluation asked_for(const char *study, const char *request, double epsilon)
{
    return (struct ledger_evaluation){.study = named(study),
                                      .request = named(request),
                                      .epsilon = epsilon,
                                      .cohort = named("cohort"),
                                      .model = named("model"),
                                      .bytes = request, /* any that can be told apart */
                                      .n = strlen(request),
                                      .now_ms = 5000};
}

static void evaluate(struct ledger *l, const char *study, const char *request, double epsilon)
{
    struct error err = {0};
    const struct ledger_evaluation e = asked_for(study, request, epsilon);
    must(ledger_evaluate(l, &e, &err), &err);
}

static void refused(struct ledger *l, const struct ledger_evaluation *e, enum rc want,
                    const char *says)
{
    struct error err = {0};
    struct ledger_verified before = {0};
    struct ledger_verified after = {0};
    must(ledger_verify(l, &before, &err), &err);
    assert_int_equal(ledger_evaluate(l, e, &err), want);
    if (strstr(err.text, says) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, says);
    }
    must(ledger_verify(l, &after, &err), &err);
    assert_int_equal(after.evaluations, before.evaluations);
}

static bool has_stored(struct ledger *l, const char *request)
{
    struct error err = {0};
    const struct hash h = named(request);
    const void *bytes = NULL;
    size_t n = 0;
    bool found = false;
    must(ledger_evaluated(l, &h, &found, &bytes, &n, &err), &err);
    if (found) {
        assert_int_equal(n, strlen(request));
        assert_memory_equal(bytes, request, n);
    }
    return found;
}

static double total(struct ledger *l, double delta)
{
    struct error err = {0};
    double e = -1.0;
    must(ledger_epsilon(l, NULL, delta, &e, &err), &err);
    return e;
}

static void note_study(void *ctx, const struct ledger_study *s)
{
    *(struct ledger_study *)ctx = *s;
}

static struct ledger_study the_study(struct ledger *l)
{
    struct error err = {0};
    struct ledger_study s = {0};
    must(ledger_studies(l, note_study, &s, &err), &err);
    return s;
}

static void same_bits(double a, double b)
{
    assert_memory_equal(&a, &b, sizeof a);
}

/* ---- what it costs, and what allows it ------------------------------------------------------- */

static void without_a_line_in_the_policy_nothing_is_evaluated(void **state)
{
    (void)state;
    const struct study s = a_study("heart", 1.9);
    struct ledger_policy p = generous;
    p.max_evaluation_epsilon = 0.0;
    struct ledger *l = opened(&p);
    join(l, &s);
    const struct ledger_evaluation e = asked_for("heart", "first", 1e-3);
    refused(l, &e, RC_LIMIT, "max_evaluation_epsilon is 0");
    assert_false(has_stored(l, "first"));
    ledger_close(&l);
}

static void an_evaluation_is_kept_over_a_restart_and_spent_once(void **state)
{
    (void)state;
    const struct study s = a_study("heart", 1.9);
    struct ledger *l = opened(&generous);
    join(l, &s);
    evaluate(l, "heart", "first", 1.0);
    ledger_close(&l);
    l = opened(&generous);
    assert_true(has_stored(l, "first"));
    assert_false(has_stored(l, "second"));
    struct ledger_evaluation again = asked_for("heart", "first", 1.0);
    again.bytes = "other noise";
    again.n = 11;
    refused(l, &again, RC_STATE, "in the ledger already");
    assert_true(has_stored(l, "first")); /* the old bytes */
    assert_int_equal(the_study(l).evaluations, 1);
    ledger_close(&l);
}

static void rounds_and_evaluations_are_composed_exactly(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = a_study("heart", 1.9);
    const struct hash h = named("heart");
    struct rdp_curve curve = {{0.0}};
    struct ledger *l = opened(&generous);
    join(l, &s);
    evaluate(l, "heart", "before any round", 0.5);
    same_bits(total(l, 1e-3),
              accountant_epsilon(&(struct mechanism){.pure = 0.5, .steps = 1}, 1, 1e-3));
    spend(l, &s, 1);
    spend(l, &s, 2);
    must(ledger_end_study(l, &h, 3000, &err), &err); /* what is finished may be looked at */
    evaluate(l, "heart", "after it", 1.0);
    evaluate(l, "heart", "and again", 0.5);

    const struct mechanism all[] = {{.q = 0.25, .sigma = 1.9, .steps = 6},
                                    {.pure = 0.5, .steps = 2},
                                    {.pure = 1.0, .steps = 1}};
    const struct ledger_study told = the_study(l);
    same_bits(told.epsilon_all, accountant_epsilon(all, 3, 1e-4));
    same_bits(told.epsilon_spent, accountant_epsilon(all, 1, 1e-4));
    same_bits(told.evaluation_epsilon, 2.0);
    assert_int_equal(told.evaluations, 3);
    rdp_compose(all, 3, &curve);
    same_bits(total(l, 1e-3), rdp_epsilon(&curve, 1e-3, NULL));
    ledger_close(&l);
}

static void all_evaluations_of_a_study_share_one_limit(void **state)
{
    (void)state;
    const struct study s = a_study("heart", 1.9);
    const struct study other = a_study("lung", 1.9);
    struct ledger *l = opened(&generous);
    join(l, &s);
    join(l, &other);
    evaluate(l, "heart", "first", 2.0);
    const struct ledger_evaluation more = asked_for("heart", "second", 1.001);
    refused(l, &more, RC_LIMIT, "epsilon 3.001 for all its evaluations");
    evaluate(l, "heart", "second", 1.0); /* the refused one left nothing behind */
    evaluate(l, "lung", "of another study", 3.0);
    ledger_close(&l);
}

static void an_evaluation_takes_nothing_that_was_promised(void **state)
{
    (void)state;
    const struct study s = a_study("heart", 3.0);
    const struct study other = a_study("lung", 3.0);
    struct rdp_curve curve = {{0.0}};
    struct ledger_policy p = generous;
    struct ledger *l = opened(&p);
    join(l, &s);
    join(l, &other); /* all its rounds may still come */
    spend(l, &s, 1);
    ledger_close(&l);

    const struct mechanism both[] = {{.q = 0.25, .sigma = 3.0, .steps = 42},
                                     {.pure = 1.0, .steps = 1}};
    rdp_compose(both, 2, &curve);
    for (size_t i = 0; i < RDP_ORDERS; i++) { /* a total that chooses the order it came from */
        p.max_epsilon_total = rdp_epsilon_at(&curve, i, p.max_delta_per_study);
        if (rdp_filter_order(p.max_epsilon_total, p.max_delta_per_study) == i) {
            break;
        }
    }
    struct ledger_policy tight = p;
    tight.max_epsilon_total *= 1.0 - 1e-6;
    l = opened(&tight);
    const struct ledger_evaluation e = asked_for("heart", "first", 1.0);
    refused(l, &e, RC_LIMIT, "in total epsilon");
    ledger_close(&l);
    l = opened(&p);
    evaluate(l, "heart", "first", 1.0);
    for (uint64_t r = 1; r <= 7; r++) { /* and the other study runs to its end */
        spend(l, &other, r);
    }
    ledger_close(&l);
}

static void beside_a_study_that_took_the_whole_total_there_is_no_room(void **state)
{
    (void)state;
    struct ledger_policy p = generous;
    const struct study s = a_study("heart", 1.9);
    const struct mechanism whole = {.q = 0.25, .sigma = 1.9, .steps = 21};
    p.max_epsilon_total = accountant_epsilon(&whole, 1, p.max_delta_per_study);
    struct ledger *l = opened(&p);
    join(l, &s);
    const struct ledger_evaluation e = asked_for("heart", "first", 0.01);
    spend(l, &s, 1);
    refused(l, &e, RC_LIMIT, "only as the only one");
    ledger_close(&l);
}

static void what_makes_no_evaluation_is_refused(void **state)
{
    (void)state;
    const struct study s = a_study("heart", 1.9);
    struct ledger *l = opened(&generous);
    join(l, &s);
    const double bad[] = {0.0, -1.0, (double)NAN, HUGE_VAL};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct ledger_evaluation e = asked_for("heart", "first", bad[i]);
        refused(l, &e, RC_INVALID, "must be a number above 0");
    }
    const struct ledger_evaluation e = asked_for("lung", "first", 1.0);
    refused(l, &e, RC_STATE, "has not joined");
    ledger_close(&l);
}

/* ---- the file -------------------------------------------------------------------------------- */

/* What somebody with the file and SQLite could do. */
static void edit(const char *sql)
{
    struct error err = {0};
    struct store *s = NULL;
    struct statement *st = NULL;
    must(store_open(test_ledger_path, &ledger_store_kind, &s, &err), &err);
    must(store_prepare(s, sql, &st, &err), &err);
    must(statement_run(st, &err), &err);
    store_close(&s);
}

static void cannot_open(enum rc want, const char *says)
{
    struct error err = {0};
    struct ledger *l = NULL;
    assert_int_equal(ledger_open(test_ledger_path, &generous, &l, &err), want);
    if (strstr(err.text, says) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, says);
    }
}

static void a_ledger_with_two_evaluations(void)
{
    const struct study s = a_study("heart", 1.9);
    test_ledger_remove(test_ledger_path);
    struct ledger *l = opened(&generous);
    join(l, &s);
    evaluate(l, "heart", "first", 1.0);
    evaluate(l, "heart", "second", 0.5);
    ledger_close(&l);
}

static void an_edited_or_shortened_ledger_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        enum rc rc;
        const char *says;
    } edits[] = {
        {"UPDATE evaluation SET epsilon = 0.1 WHERE number = 1", RC_FORMAT, "was edited"},
        {"UPDATE evaluation SET request = zeroblob(32) WHERE number = 2", RC_FORMAT, "was edited"},
        {"UPDATE evaluation SET cohort = zeroblob(32) WHERE number = 2", RC_FORMAT, "was edited"},
        {"UPDATE evaluation SET model = zeroblob(32) WHERE number = 2", RC_FORMAT, "was edited"},
        {"UPDATE evaluation SET released = zeroblob(32) WHERE number = 2", RC_FORMAT, "was edited"},
        {"UPDATE evaluation SET at_ms = 1 WHERE number = 1", RC_FORMAT, "was edited"},
        {"UPDATE evaluation SET link = zeroblob(32) WHERE number = 2", RC_FORMAT, "was edited"},
        {"DELETE FROM evaluation WHERE number = 1", RC_FORMAT, "was edited"},
        {"DELETE FROM evaluation WHERE number = 2", RC_STATE,
         "older than its own mark: evaluation 2 is missing"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        a_ledger_with_two_evaluations();
        edit(edits[i].sql);
        cannot_open(edits[i].rc, edits[i].says);
    }
}

static void stored_bytes_that_changed_never_leave(void **state)
{
    (void)state;
    struct error err = {0};
    struct ledger_verified v = {0};
    const struct hash h = named("second");
    const void *bytes = NULL;
    size_t n = 0;
    bool found = false;
    a_ledger_with_two_evaluations();
    struct ledger *l = opened(&generous);
    must(ledger_verify(l, &v, &err), &err);
    assert_int_equal(v.evaluations, 2);
    ledger_close(&l);
    edit("UPDATE evaluation SET bytes = x'00' WHERE number = 2");
    l = opened(&generous);
    assert_int_equal(ledger_evaluated(l, &h, &found, &bytes, &n, &err), RC_FORMAT);
    assert_int_equal(ledger_verify(l, &v, &err), RC_FORMAT);
    assert_non_null(strstr(err.text, "the stored bytes of evaluation 2"));
    ledger_close(&l);
}

static void count_row(void *ctx, const struct ledger_evaluation_row *row)
{
    struct ledger_evaluation_row *all = ctx;
    assert_true(row->number >= 1 && row->number <= 2);
    all[row->number - 1] = *row;
}

static void rows_say_what_was_asked_and_what_left(void **state)
{
    (void)state;
    struct error err = {0};
    struct ledger_evaluation_row row[2] = {{0}};
    const struct hash second = named("second");
    a_ledger_with_two_evaluations();
    struct ledger *l = NULL;
    must(ledger_open_view(test_ledger_path, &generous, &l, &err), &err);
    must(ledger_evaluations(l, count_row, row, &err), &err);
    ledger_close(&l);
    assert_string_equal(row[1].study, "heart");
    same_bits(row[0].epsilon, 1.0);
    same_bits(row[1].epsilon, 0.5);
    assert_int_equal(row[1].at_ms, 5000);
    assert_int_equal(row[1].bytes, 6);
    assert_memory_equal(&row[1].request, &second, sizeof second);
    assert_memory_equal(&row[1].released, &second, sizeof second); /* the bytes are the name */
}

static void child_evaluates(int die_at)
{
    struct error err = {0};
    struct ledger *l = NULL;
    const struct ledger_evaluation e = asked_for("heart", "first", 1.0);
    if (ledger_open(test_ledger_path, &generous, &l, &err) != RC_OK) {
        _exit(99);
    }
    mortal_restart();
    mortal_die_at = die_at;
    _exit((int)ledger_evaluate(l, &e, &err));
}

static void killed_at_any_point_an_evaluation_is_whole_or_absent(void **state)
{
    (void)state;
    const struct study s = a_study("heart", 1.9);
    size_t n_absent = 0;
    size_t n_whole = 0;
    for (int point = 0;; point++) {
        test_ledger_remove(test_ledger_path);
        struct ledger *l = opened(&generous);
        join(l, &s);
        ledger_close(&l);

        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            child_evaluates(point);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        const bool survived = WIFEXITED(status);
        assert_true(survived ? WEXITSTATUS(status) == RC_OK : WTERMSIG(status) == SIGKILL);

        l = opened(&generous);
        const bool found = has_stored(l, "first");
        same_bits(the_study(l).evaluation_epsilon, found ? 1.0 : 0.0);
        if (!found) {
            assert_int_equal(n_whole, 0);       /* once durable, always durable */
            evaluate(l, "heart", "first", 1.0); /* nothing had left */
        }
        n_absent += !found;
        n_whole += found;
        ledger_close(&l);
        if (survived) {
            break;
        }
    }
    assert_true(n_absent >= 10);
    assert_true(n_whole >= 2); /* killed after the commit, and not at all */
}

int main(void)
{
#define ON_DISK(test) \
    cmocka_unit_test_setup_teardown(test, test_ledger_make_folder, test_ledger_remove_folder)
    const struct CMUnitTest tests[] = {
        ON_DISK(without_a_line_in_the_policy_nothing_is_evaluated),
        ON_DISK(an_evaluation_is_kept_over_a_restart_and_spent_once),
        ON_DISK(rounds_and_evaluations_are_composed_exactly),
        ON_DISK(all_evaluations_of_a_study_share_one_limit),
        ON_DISK(an_evaluation_takes_nothing_that_was_promised),
        ON_DISK(beside_a_study_that_took_the_whole_total_there_is_no_room),
        ON_DISK(what_makes_no_evaluation_is_refused),
        ON_DISK(an_edited_or_shortened_ledger_is_refused),
        ON_DISK(stored_bytes_that_changed_never_leave),
        ON_DISK(rows_say_what_was_asked_and_what_left),
        ON_DISK(killed_at_any_point_an_evaluation_is_whole_or_absent),
    };
    return cmocka_run_group_tests_name("ledger_evaluation", tests, NULL, NULL);
}
