/* A ledger as a report sees it: one view, also of a ledger that is damaged or may not be written. */
#include <math.h>
#include <setjmp.h>
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
#include "common/store/store.h"
#include "tests/support/ledger.h"

static const struct ledger_policy policy = {.max_epsilon_per_study = 50.0,
                                            .max_epsilon_total = 80.0,
                                            .max_delta_per_study = 1e-3,
                                            .min_patients = 20,
                                            .min_sites = 1};

static struct study a_study(const char *name, double sigma)
{
    return test_ledger_study(name, 0.25, sigma);
}

static void must(enum rc rc, const struct error *err)
{
    if (rc != RC_OK) {
        fail_msg("%s", err->text);
    }
}

static struct ledger *opened(void)
{
    return test_ledger_open(test_ledger_path, &policy);
}

static struct ledger *viewed(void)
{
    struct error err = {0};
    struct ledger *l = NULL;
    must(ledger_open_view(test_ledger_path, &policy, &l, &err), &err);
    return l;
}

static void spend(struct ledger *l, const struct study *s, uint64_t round, const char *update)
{
    struct ledger_spend p = test_ledger_round(s, round, update);
    p.site_state = "kept";
    p.site_state_bytes = 4;
    test_ledger_spend(l, &p);
}

/* Study a: rounds 1 and 3, ended. Study b: round 2 of 7. Study c: joined only. */
static void a_ledger(void)
{
    const struct study a = a_study("a", 1.9);
    const struct study b = a_study("b", 2.5);
    const struct study c = a_study("c", 3.0);
    struct error err = {0};
    struct ledger *l = opened();
    test_ledger_join(l, &a, 1000);
    test_ledger_join(l, &b, 1001);
    spend(l, &a, 1, "one");
    spend(l, &b, 2, "three");
    spend(l, &a, 3, "");
    test_ledger_join(l, &c, 1002);
    const struct hash h = hash_of("a", 1);
    must(ledger_end_study(l, &h, 5000, &err), &err);
    ledger_close(&l);
}

/* What somebody with the file and SQLite could do, the tables' own checks turned off. */
static void edit(const char *sql)
{
    struct error err = {0};
    struct store *s = NULL;
    struct statement *st = NULL;
    must(store_open(test_ledger_path, &ledger_store_kind, &s, &err), &err);
    must(store_prepare(s, "PRAGMA foreign_keys = OFF", &st, &err), &err);
    must(statement_run(st, &err), &err);
    must(store_prepare(s, "PRAGMA ignore_check_constraints = ON", &st, &err), &err);
    must(statement_run(st, &err), &err);
    must(store_prepare(s, sql, &st, &err), &err);
    must(statement_run(st, &err), &err);
    store_close(&s);
}

enum { MOST = 8 };

struct seen {
    size_t n_studies, n_rows;
    struct ledger_study study[MOST];
    struct ledger_row row[MOST];
};

static void see_study(void *ctx, const struct ledger_study *s)
{
    struct seen *all = ctx;
    assert_true(all->n_studies < MOST);
    all->study[all->n_studies++] = *s;
}

static void see_row(void *ctx, const struct ledger_row *r)
{
    struct seen *all = ctx;
    assert_true(all->n_rows < MOST);
    all->row[all->n_rows++] = *r;
}

static struct seen looked(struct ledger *l)
{
    struct error err = {0};
    struct seen all = {0};
    must(ledger_studies(l, see_study, &all, &err), &err);
    must(ledger_rows(l, see_row, &all, &err), &err);
    return all;
}

static double cost(double sigma, uint64_t steps, double delta)
{
    const struct mechanism m = {.q = 0.25, .sigma = sigma, .steps = steps};
    return accountant_epsilon(&m, 1, delta);
}

static void near(double x, double want)
{
    if (!(fabs(x - want) <=
          1e-3 * want)) { /* the accountant may look closer where a limit is near */
        fail_msg("%.9g is not %.9g", x, want);
    }
}

static void every_study_is_told_with_what_it_was_joined_for_and_what_it_costs(void **state)
{
    (void)state;
    a_ledger();
    struct ledger *l = opened();
    const struct seen all = looked(l);
    ledger_close(&l);
    assert_int_equal(all.n_studies, 3);
    const struct ledger_study *a = &all.study[0];
    const struct ledger_study *b = &all.study[1];
    const struct ledger_study *c = &all.study[2];
    assert_string_equal(a->name, "a");
    const struct hash h = hash_of("a", 1);
    assert_true(hash_equal(&a->hash, &h));
    assert_true(a->number == 1 && b->number == 2 && c->number == 3);
    assert_true(a->round.q == 0.25 && a->round.sigma == 1.9 && a->round.steps == 3);
    assert_true(a->rounds == 7 && a->clip == 1.5 && a->epsilon == 4.0 && a->delta == 1e-4);
    assert_true(a->min_sites == 2 && a->max_colluding == 1);
    assert_true(a->joined_ms == 1000 && a->ended && a->ended_ms == 5000);
    assert_true(b->joined_ms == 1001 && !b->ended);
    assert_true(a->rounds_spent == 2 && a->newest == 3 && a->spent_steps == 6);
    assert_int_equal(a->promised_steps, 0); /* ended */
    assert_true(b->rounds_spent == 1 && b->newest == 2 && b->spent_steps == 3);
    assert_int_equal(b->promised_steps, 15); /* round 1 can no longer come */
    assert_true(c->rounds_spent == 0 && c->newest == 0 && c->promised_steps == 21);
    assert_true(a->sound && b->sound && c->sound);
    near(a->epsilon_spent, cost(1.9, 6, 1e-4));
    assert_true(a->epsilon_most == a->epsilon_spent);
    near(b->epsilon_spent, cost(2.5, 3, 1e-4));
    near(b->epsilon_most, cost(2.5, 18, 1e-4));
    assert_true(c->epsilon_spent == 0.0);
    near(c->epsilon_most, cost(3.0, 21, 1e-4));
}

static void rows_say_how_much_left_and_where_they_stand_in_the_chain(void **state)
{
    (void)state;
    a_ledger();
    struct ledger *l = opened();
    const struct seen all = looked(l);
    ledger_close(&l);
    assert_int_equal(all.n_rows, 3);
    assert_string_equal(all.row[1].study, "b");
    assert_true(all.row[1].stored && all.row[1].update_bytes == 5);
    const struct hash want = hash_of("three", 5);
    assert_true(hash_equal(&all.row[1].update, &want));
    assert_true(all.row[2].stored && all.row[2].update_bytes == 0);
    assert_true(all.row[2].at_ms == 2003 && all.row[2].round == 3 && all.row[2].sequence == 3);
    const struct hash zero = {{0}};
    assert_false(hash_equal(&all.row[0].link, &zero));
    assert_false(hash_equal(&all.row[0].link, &all.row[1].link));
}

static void totals_are_what_the_ledger_judges_with(void **state)
{
    (void)state;
    struct error err = {0};
    struct ledger_totals t = {0};
    double spent = 0.0;
    struct ledger *l = opened();
    must(ledger_totals(l, &t, &err), &err); /* of an empty one */
    assert_true(t.spent == 0.0 && t.promised == 0.0 && t.filter == 0.0 && t.left == 80.0);
    ledger_close(&l);
    a_ledger();
    l = opened();
    must(ledger_totals(l, &t, &err), &err);
    must(ledger_epsilon(l, NULL, 1e-3, &spent, &err), &err);
    assert_true(t.delta == 1e-3);
    assert_true(t.spent == spent);
    assert_true(t.spent < t.promised && t.promised <= t.filter);
    assert_true(t.left == 80.0 - t.promised);
    const struct study d = a_study("d", 2.0);
    const struct hash h = hash_of("d", 1);
    struct ledger_forecast f = {0};
    must(ledger_what_if(l, &d, &h, 117, &f, &err), &err);
    assert_true(f.epsilon_spent == t.spent && f.epsilon_promised == t.promised);
    ledger_close(&l);
}

static void a_view_stands_still_while_a_trainer_spends(void **state)
{
    (void)state;
    const struct study b = a_study("b", 2.5);
    const struct study d = a_study("d", 2.5);
    struct error err = {0};
    struct ledger_verified v = {0};
    struct ledger_totals before = {0};
    struct ledger_totals after = {0};
    a_ledger();
    struct ledger *trainer = opened();
    struct ledger *l = viewed();
    must(ledger_totals(l, &before, &err), &err);
    spend(trainer, &b, 3, "late"); /* would wait for a minute if the view held it up */
    test_ledger_join(trainer, &d, 3000);
    const struct seen all = looked(l);
    assert_true(all.n_studies == 3 && all.n_rows == 3);
    must(ledger_verify(l, &v, &err), &err); /* the mark has gone on, too: no false alarm */
    assert_true(v.marked && v.studies == 3 && v.spends == 3 && v.updates == 3);
    must(ledger_totals(l, &after, &err), &err);
    assert_memory_equal(&before, &after, sizeof before);
    ledger_close(&l);
    l = viewed();
    assert_int_equal(looked(l).n_rows, 4);
    ledger_close(&l);
    ledger_close(&trainer);
}

static void a_damaged_ledger_can_be_looked_at_and_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *edit, *says;
        size_t rows;
        bool adds_up;
    } edits[] = {
        {"UPDATE spend SET at_ms = 7 WHERE sequence = 2", "spend 2", 3, true},
        {"UPDATE released SET bytes = x'00' WHERE sequence = 2", "stored bytes of spend 2", 3,
         true},
        {"DELETE FROM released WHERE sequence = 2", "stored bytes of spend 2", 3, true},
        {"DELETE FROM spend WHERE sequence = 3", "spend 3 is missing", 2, true},
        {"DELETE FROM study WHERE id = 2", "study 3", 3, true},
        {"UPDATE study SET q = 7 WHERE id = 2", "study 2", 3, false},
        {"UPDATE study SET sigma = -1 WHERE id = 2", "study 2", 3, false},
        {"UPDATE study SET rounds = 1 WHERE id = 2", "study 2", 3, false},
        {"UPDATE study SET rounds = -1 WHERE id = 2", "study 2", 3, false},
        {"UPDATE study SET steps = 0 WHERE id = 3", "study 3", 3, false},
        {"UPDATE spend SET steps = -9 WHERE sequence = 2", "spend 2", 3, false},
        {"UPDATE spend SET round = -9 WHERE sequence = 2", "spend 2", 3, false},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        struct error err = {0};
        struct ledger_verified v = {0};
        struct ledger_totals t = {0};
        struct ledger *l = NULL;
        a_ledger();
        edit(edits[i].edit);
        assert_int_equal(ledger_open_view(test_ledger_path, &policy, &l, &err), RC_OK);
        assert_int_not_equal(ledger_verify(l, &v, &err), RC_OK);
        if (strstr(err.text, edits[i].says) == NULL) {
            fail_msg("%s: %s", edits[i].edit, err.text);
        }
        const struct seen all = looked(l);
        assert_int_equal(all.n_rows, edits[i].rows);
        assert_int_equal(ledger_totals(l, &t, &err), edits[i].adds_up ? RC_OK : RC_FORMAT);
        for (size_t k = 0; k < all.n_studies; k++) {
            assert_true(all.study[k].sound != isnan(all.study[k].epsilon_spent));
        }
        ledger_close(&l);
        assert_int_equal(test_ledger_remove_folder(NULL), 0);
        assert_int_equal(mkdir(test_ledger_folder, 0700), 0);
    }
}

static void a_view_compares_with_the_mark_and_never_writes_one(void **state)
{
    (void)state;
    struct error err = {0};
    struct ledger_verified v = {0};
    char mark[320];
    (void)snprintf(mark, sizeof mark, "%s.mark", test_ledger_path);
    a_ledger();
    assert_int_equal(unlink(mark), 0);
    struct ledger *l = viewed();
    must(ledger_verify(l, &v, &err), &err);
    assert_false(v.marked); /* nothing to compare with: the reader is told */
    ledger_close(&l);
    assert_int_equal(access(mark, F_OK), -1);
    FILE *f = fopen(mark, "we");
    assert_non_null(f);
    assert_true(fputs("no mark", f) >= 0);
    assert_int_equal(fclose(f), 0);
    l = viewed();
    assert_int_equal(ledger_verify(l, &v, &err), RC_FORMAT);
    assert_non_null(strstr(err.text, "is no mark of this ledger"));
    assert_int_equal(looked(l).n_rows, 3);
    ledger_close(&l);
}

/* A child that is nobody in particular, since root may write everywhere. */
static int look_as_nobody(void)
{
    const pid_t child = fork();
    if (child == 0) {
        struct error err = {0};
        struct ledger_verified v = {0};
        struct ledger *l = NULL;
        if (getuid() == 0 && setuid(65534) != 0) {
            _exit(2);
        }
        if (ledger_open_view(test_ledger_path, &policy, &l, &err) != RC_OK ||
            ledger_verify(l, &v, &err) != RC_OK) {
            (void)fprintf(stderr, "%s\n", err.text);
            _exit(3);
        }
        ledger_close(&l);
        _exit(v.marked && v.spends == 3 ? 0 : 4);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_ledger_that_may_not_be_written_can_be_looked_at(void **state)
{
    (void)state;
    char mark[320];
    (void)snprintf(mark, sizeof mark, "%s.mark", test_ledger_path);
    a_ledger();
    assert_int_equal(chmod(test_ledger_path, 0444), 0);
    assert_int_equal(chmod(mark, 0444), 0);
    assert_int_equal(chmod(test_ledger_folder, 0555), 0);
    const int status = look_as_nobody();
    assert_int_equal(chmod(test_ledger_folder, 0755), 0);
    assert_int_equal(status, 0);
}

int main(void)
{
#define ON_DISK(f) \
    cmocka_unit_test_setup_teardown(f, test_ledger_make_folder, test_ledger_remove_folder)
    const struct CMUnitTest tests[] = {
        ON_DISK(every_study_is_told_with_what_it_was_joined_for_and_what_it_costs),
        ON_DISK(rows_say_how_much_left_and_where_they_stand_in_the_chain),
        ON_DISK(totals_are_what_the_ledger_judges_with),
        ON_DISK(a_view_stands_still_while_a_trainer_spends),
        ON_DISK(a_damaged_ledger_can_be_looked_at_and_says_so),
        ON_DISK(a_view_compares_with_the_mark_and_never_writes_one),
        ON_DISK(a_ledger_that_may_not_be_written_can_be_looked_at),
    };
#undef ON_DISK
    return cmocka_run_group_tests_name("ledger_view", tests, NULL, NULL);
}
