/* Processes that race for a ledger, and processes that die in it. */
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
#include "common/base/rng.h"
#include "tests/support/ledger.h"
#include "tests/support/mortal_store.h"
#include "tests/support/seed.h"

/* In a child: never returns. Exit status is the rc of the spend. */
static void child_spends(const struct study *s, const char *update, int gate, int point)
{
    struct error err = {0};
    struct ledger *l = NULL;
    const struct ledger_spend p = test_ledger_round_with_state(s, 1, update);
    if (ledger_open(test_ledger_path, &test_ledger_generous, &l, &err) != RC_OK) {
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
        test_ledger_remove(test_ledger_path);
        struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
        test_ledger_join_now(l, &s);
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
        l = test_ledger_open(test_ledger_path, &test_ledger_generous);
        assert_true(test_ledger_has(l, &s, 1, update[rc[0] == RC_OK ? 0 : 1]));
        test_ledger_same_bits(test_ledger_total(l, 1e-3), test_ledger_cost(0.25, 1.9, 3, 1e-3));
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
        test_ledger_remove(test_ledger_path);
        struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
        test_ledger_join_now(l, &s);
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

        l = test_ledger_open(test_ledger_path, &test_ledger_generous);
        struct test_ledger_seen rows = {0};
        struct error err = {0};
        assert_int_equal(ledger_rows(l, test_ledger_see, &rows, &err), RC_OK);
        const bool found = test_ledger_has(l, &s, 1, "finished update");
        assert_int_equal(test_ledger_marked(), found ? 1 : 0); /* wherever it was killed */
        assert_int_equal(rows.n, found ? 1 : 0);
        assert_int_equal(test_ledger_state_round(l, &s), found ? 1 : 0);
        test_ledger_same_bits(test_ledger_of_study(l, &s, 1e-3),
                              found ? test_ledger_cost(0.25, 1.9, 3, 1e-3) : 0.0);
        if (!found) {
            assert_int_equal(n_whole, 0);                       /* once durable, always durable */
            test_ledger_spend_round(l, &s, 1, "trained again"); /* nothing had left */
        }
        n_absent += !found;
        n_whole += found;
        test_ledger_spend_round(l, &s, 2, "the next round");
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
    if (ledger_open(test_ledger_path, p, &l, &err) != RC_OK) {
        _exit(100);
    }
    for (;;) {
        const struct study s = year(at.study);
        const struct hash h = test_ledger_hash(&s);
        const enum rc joined = ledger_join(l, &s, &h, TEST_LEDGER_PATIENTS, 1000, &err);
        if (joined == RC_LIMIT) {
            _exit(0); /* the budget is used up */
        }
        while (joined == RC_OK && at.round < s.rounds) {
            const struct ledger_spend spend =
                test_ledger_round_with_state(&s, at.round + 1, "bytes");
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
    struct ledger_policy p = test_ledger_generous;
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
        struct ledger *l = test_ledger_open(test_ledger_path, &p);
        assert_int_equal(ledger_verify(l, &v, &err), RC_OK);
        assert_int_equal(ledger_rows(l, newest_of, &at, &err), RC_OK);
        assert_true(v.spends >= spent); /* no answer was in vain */
        assert_true(v.spends <= spent + 1 && v.updates == v.spends);
        assert_int_equal(test_ledger_marked(), v.spends);
        assert_true(test_ledger_total(l, p.max_delta_per_study) <= p.max_epsilon_total);
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
            l = test_ledger_open(test_ledger_path, &p);
            assert_int_equal(ledger_verify(l, &v, &err), RC_OK);
            assert_int_equal(v.spends, spent);
            assert_true(test_ledger_total(l, p.max_delta_per_study) <= p.max_epsilon_total);
            ledger_close(&l);
            test_ledger_remove(test_ledger_path);
            spent = 0;
            used_up++;
        }
    }
    print_message("%zu lives, %d of them killed; %zu budgets used up\n", lives, KILLS, used_up);
    assert_true(used_up >= 3);
}

int main(void)
{
#define ON_DISK(test) \
    cmocka_unit_test_setup_teardown(test, test_ledger_make_folder, test_ledger_remove_folder)
    const struct CMUnitTest tests[] = {
        ON_DISK(of_two_processes_racing_for_a_round_one_spends),
        ON_DISK(killed_at_any_point_a_spend_is_whole_or_absent),
        ON_DISK(five_hundred_kills_lose_no_spend_and_overspend_nothing),
    };
    return cmocka_run_group_tests_name("ledger_kills", tests, NULL, NULL);
}
