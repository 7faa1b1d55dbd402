/* A ledger as files: edited, cut off, put back, copied; what notices it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/ledger/ledger.h"
#include "common/store/store.h"
#include "tests/support/ledger.h"

/* ---- files ----------------------------------------------------------------------------------- */

static void cannot_open(enum rc want, const char *says)
{
    struct error err = {0};
    struct ledger *l = NULL;
    const enum rc rc = ledger_open(test_ledger_path, &test_ledger_generous, &l, &err);
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
    FILE *f = fopen(test_ledger_path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, sizeof text, f), sizeof text);
    assert_int_equal(fclose(f), 0);
    cannot_open(RC_FORMAT, "not a database; it is damaged or not ours: put it aside");
    f = fopen(test_ledger_path, "rbe");
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
    assert_int_equal(store_open(test_ledger_path, &stranger, &s, &err), RC_OK);
    store_close(&s);
    cannot_open(RC_FORMAT, "not a privacy ledger");
    test_ledger_remove(test_ledger_path);

    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    ledger_close(&l);
    const char *migration[9];
    struct store_kind newer = ledger_store_kind;
    for (size_t i = 0; i < newer.n_migrations; i++) {
        migration[i] = newer.migration[i];
    }
    migration[newer.n_migrations] = one[0];
    newer.n_migrations++;
    newer.migration = migration;
    assert_int_equal(store_open(test_ledger_path, &newer, &s, &err), RC_OK);
    store_close(&s);
    cannot_open(RC_STATE, "newer program");
}

/* What somebody with the file and SQLite could do. */
static void edit(const char *sql)
{
    struct error err = {0};
    struct store *s = NULL;
    struct statement *st = NULL;
    assert_int_equal(store_open(test_ledger_path, &ledger_store_kind, &s, &err), RC_OK);
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
    test_ledger_remove(test_ledger_path);
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_join_now(l, &a);
    test_ledger_join_now(l, &b);
    test_ledger_join_now(l, &c);
    test_ledger_spend_round(l, &a, 1, "a1");
    test_ledger_spend_round(l, &b, 1, "b1");
    test_ledger_spend_round(l, &a, 2, "a2");
    ledger_close(&l);
}

static void and_a_masked_one(void)
{
    struct ledger_policy p = test_ledger_generous;
    p.shared_noise = true;
    const struct study s = test_ledger_shared_study();
    struct ledger *l = test_ledger_open(test_ledger_path, &p);
    test_ledger_join_now(l, &s);
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
    struct ledger *l =
        test_ledger_open(test_ledger_path, &test_ledger_generous); /* unedited it opens */
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
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_join_now(l, &s);
    test_ledger_spend_round(l, &s, 1, "one");
    ledger_close(&l);
    copy_file(test_ledger_path, test_ledger_beside(".old"));
    copy_file(test_ledger_beside(".mark"), test_ledger_beside(".mark.old"));
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_spend_round(l, &s, 2, "two");
    ledger_close(&l);
    copy_file(test_ledger_path, test_ledger_beside(".newest"));

    copy_file(test_ledger_beside(".old"), test_ledger_path);
    cannot_open(RC_STATE, "spend 2 is missing");
    copy_file(test_ledger_beside(".newest"), test_ledger_path);
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    assert_true(test_ledger_has(l, &s, 2, "two"));
    ledger_close(&l);

    copy_file(test_ledger_beside(".old"),
              test_ledger_path); /* both put back: said in the README, not noticed */
    copy_file(test_ledger_beside(".mark.old"), test_ledger_beside(".mark"));
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_spend_round(l, &s, 2, "another two");
    ledger_close(&l);
    copy_file(test_ledger_beside(".newest"),
              test_ledger_path); /* and then the other branch is no longer the same ledger */
    cannot_open(RC_STATE, "spend 2 is another one");
    (void)unlink(test_ledger_beside(".old"));
    (void)unlink(test_ledger_beside(".newest"));
    (void)unlink(test_ledger_beside(".mark.old"));
}

static void what_was_spent_may_leave_as_it_is_only_if_the_ledger_holds_just_that(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct hash h = test_ledger_hash(&s);
    const struct hash want = hash_of("one", 3);
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    struct error err = {0};
    struct hash got = {{0}};
    test_ledger_join_now(l, &s);
    test_ledger_spend_round(l, &s, 1, "one");
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
    struct ledger_policy nothing = test_ledger_generous;
    struct ledger_forecast f = {0};
    struct error err = {0};
    double spent = 0.0;
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_join_now(l, &s);
    test_ledger_spend_round(l, &s, 1, "one");
    ledger_close(&l);
    nothing.max_epsilon_total = 0.0; /* what a hospital writes that wants no more of it */
    l = test_ledger_open(test_ledger_path, &nothing);
    assert_int_equal(ledger_epsilon(l, NULL, 1e-3, &spent, &err), RC_OK);
    assert_true(spent > 0.0);
    assert_int_equal(ledger_what_if(l, &more, &hash, TEST_LEDGER_PATIENTS, &f, &err), RC_OK);
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
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_join_now(l, &s);
    test_ledger_spend_round(l, &s, 1, "one");
    const struct hash first = anchor_of(l, &s, 1);
    test_ledger_spend_round(l, &s, 2, "two");
    const struct hash second = anchor_of(l, &s, 2);
    ledger_close(&l);
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
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

    test_ledger_remove(
        test_ledger_path); /* the same rows at the same times: the key is another first */
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_join_now(l, &s);
    test_ledger_spend_round(l, &s, 1, "one");
    const struct hash elsewhere = anchor_of(l, &s, 1);
    assert_false(hash_equal(&first, &elsewhere));
    assert_false(knows(l, &first));
    ledger_close(&l);
}

static void what_was_put_back_with_its_mark_lacks_the_anchor_of_what_it_forgot(void **state)
{
    (void)state;
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_join_now(l, &s);
    test_ledger_spend_round(l, &s, 1, "one");
    const struct hash first = anchor_of(l, &s, 1);
    ledger_close(&l);
    copy_file(test_ledger_path, test_ledger_beside(".old"));
    copy_file(test_ledger_beside(".mark"), test_ledger_beside(".mark.old"));
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_spend_round(l, &s, 2, "two");
    const struct hash second = anchor_of(l, &s, 2);
    ledger_close(&l);
    copy_file(test_ledger_beside(".old"), test_ledger_path);
    copy_file(test_ledger_beside(".mark.old"), test_ledger_beside(".mark"));
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    assert_true(knows(l, &first));
    assert_false(knows(l, &second));
    test_ledger_spend_round(l, &s, 2, "another two"); /* nor does going on hide it */
    assert_false(knows(l, &second));
    const struct hash other = anchor_of(l, &s, 2);
    assert_false(hash_equal(&second, &other));
    ledger_close(&l);
    (void)unlink(test_ledger_beside(".old"));
    (void)unlink(test_ledger_beside(".mark.old"));
}

static void a_mark_that_lags_is_brought_up_and_one_that_is_gone_stays_so_until_a_spend(void **state)
{
    (void)state;
    a_ledger_with_three_studies();
    assert_int_equal(test_ledger_marked(), 3);
    copy_file(test_ledger_beside(".mark"), test_ledger_beside(".lags"));
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    const struct study a = test_ledger_study("a", 0.25, 1.9);
    test_ledger_spend_round(l, &a, 3, "a3");
    ledger_close(&l);
    assert_int_equal(test_ledger_marked(), 4);
    copy_file(test_ledger_beside(".lags"),
              test_ledger_beside(".mark")); /* killed between the commit and the mark */
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    ledger_close(&l);
    assert_int_equal(test_ledger_marked(), 4);
    assert_int_equal(unlink(test_ledger_beside(".mark")),
                     0); /* taken away: looking does not hide that */
    struct ledger_verified v = {0};
    struct error err = {0};
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    assert_int_equal(ledger_verify(l, &v, &err), RC_OK);
    assert_false(v.marked);
    assert_int_equal(access(test_ledger_beside(".mark"), F_OK), -1);
    test_ledger_spend_round(l, &a, 4, "a4");
    assert_int_equal(test_ledger_marked(), 5);
    assert_int_equal(ledger_verify(l, &v, &err), RC_OK);
    assert_true(v.marked);
    ledger_close(&l);
    (void)unlink(test_ledger_beside(".lags"));
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
        FILE *f = fopen(test_ledger_beside(".mark"), "we");
        assert_non_null(f);
        assert_true(fputs(i == 0 ? fits : bad[i - 1], f) >= 0);
        assert_int_equal(fclose(f), 0);
        if (i == 0) { /* an empty ledger's of an earlier version, and it lags */
            struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
            ledger_close(&l);
            assert_int_equal(test_ledger_marked(), 3); /* and is of this version now */
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
        FILE *f = fopen(test_ledger_beside(".mark"), "r+e");
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
        assert_true(test_ledger_marked() >= 2); /* lags by one at most */
        struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
        ledger_close(&l);
        assert_int_equal(test_ledger_marked(), 3);
    }
}

static void without_a_mark_that_can_be_written_nothing_may_leave(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    const struct ledger_spend p = test_ledger_round_with_state(&s, 1, "one");
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_join_now(l, &s);
    assert_int_equal(rename(test_ledger_beside(".mark"), test_ledger_beside(".kept")), 0);
    assert_int_equal(symlink(test_ledger_beside(".kept"), test_ledger_beside(".mark")),
                     0); /* is not written through */
    assert_int_equal(ledger_spend(l, &p, &err), RC_IO);
    assert_non_null(strstr(err.text, "make room"));
    ledger_close(&l);
    cannot_open(RC_IO, "make room");
    assert_int_equal(rename(test_ledger_beside(".kept"), test_ledger_beside(".mark")), 0);
    l = test_ledger_open(
        test_ledger_path,
        &test_ledger_generous); /* it was committed: the stored bytes may leave now */
    assert_true(test_ledger_has(l, &s, 1, "one"));
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
        struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
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
    (void)snprintf(copy, sizeof copy, "%s.copy", test_ledger_path);
    a_ledger_with_three_studies();
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    assert_int_equal(ledger_backup(l, copy, &err), RC_OK);
    test_ledger_spend_round(l, &a, 3, "later");
    assert_int_equal(ledger_backup(l, copy, &err), RC_STATE);
    assert_non_null(strstr(err.text, "there already"));
    assert_int_equal(ledger_backup(l, "/nowhere/at/all", &err), RC_IO);
    const double spent = test_ledger_total(l, 1e-3);
    ledger_close(&l);
    l = test_ledger_open(copy, &test_ledger_generous);
    assert_int_equal(ledger_verify(l, &v, &err), RC_OK);
    assert_int_equal(v.spends, 3);
    assert_true(test_ledger_total(l, 1e-3) < spent);
    ledger_close(&l);
    copy_file(copy, test_ledger_path); /* put back in the place of the newer one */
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
        test_ledger_remove(test_ledger_path);
        struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
        test_ledger_join_now(l, &s);
        test_ledger_spend_round(l, &s, 1, i == 0 ? "one" : "two");
        test_ledger_spend_round(l, &s, 2, "same");
        ledger_close(&l);

        struct store *file = NULL;
        struct statement *st = NULL;
        bool row = false;
        size_t n = 0;
        assert_int_equal(store_open(test_ledger_path, &ledger_store_kind, &file, &err), RC_OK);
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
        struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
        assert_int_equal(ledger_stored(l, &h, 2, &found, &data, &n, &err), RC_FORMAT);
        assert_false(found);
        assert_true(test_ledger_has(l, &a, 1, "a1"));
        ledger_close(&l);
    }
    a_ledger_with_three_studies();
    edit("UPDATE site_state SET bytes = x'0102' WHERE study = 1");
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    assert_int_equal(ledger_site_state(l, &h, &round, &data, &n, &err), RC_FORMAT);
    assert_int_equal(round, 77);
    ledger_close(&l);
}

/* ---- rest ------------------------------------------------------------------------------------ */

static size_t size_of(const char *path)
{
    struct stat st = {0};
    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

/* What a spend leaves to do: in a rest it is done when it is much, and the spends themselves do not do it any more. */
static void a_rest_carries_the_log_over_when_it_is_much_and_a_spend_does_not(void **state)
{
    (void)state;
    static unsigned char update[3000000]; /* 733 pages */
    const struct study s = test_ledger_study("heart", 0.25, 1.9);
    struct ledger *l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    test_ledger_join_now(l, &s);
    ledger_rest(l);
    const size_t file = size_of(test_ledger_path);
    for (uint64_t round = 1; round <= 3; round++) {
        struct ledger_spend spend = test_ledger_round_with_state(&s, round, "");
        memset(update, (int)round, sizeof update);
        spend.update = update;
        spend.update_bytes = sizeof update;
        test_ledger_spend(l, &spend);
    }
    assert_int_equal(size_of(test_ledger_path), file); /* 2200 pages wait */
    ledger_rest(l);
    assert_true(size_of(test_ledger_path) > 3 * sizeof update);
    const size_t log = size_of(test_ledger_beside("-wal"));
    test_ledger_spend_round(l, &s, 4, "small");
    assert_int_equal(size_of(test_ledger_beside("-wal")), log); /* begun anew in its place */
    ledger_close(&l);
    l = test_ledger_open(test_ledger_path, &test_ledger_generous);
    assert_true(test_ledger_has(l, &s, 3, NULL));
    assert_true(test_ledger_has(l, &s, 4, "small"));
    ledger_close(&l);
}

int main(void)
{
#define ON_DISK(test) \
    cmocka_unit_test_setup_teardown(test, test_ledger_make_folder, test_ledger_remove_folder)
    const struct CMUnitTest tests[] = {
        ON_DISK(a_file_that_is_no_ledger_is_refused_and_left_alone),
        ON_DISK(a_strangers_database_and_a_newer_ledger_are_refused),
        ON_DISK(an_edited_ledger_is_refused),
        ON_DISK(a_ledger_whose_end_was_cut_off_is_refused),
        ON_DISK(an_old_copy_that_was_put_back_is_refused_until_the_newest_is),
        ON_DISK(what_was_spent_may_leave_as_it_is_only_if_the_ledger_holds_just_that),
        ON_DISK(a_total_of_nothing_refuses_with_a_sentence),
        ON_DISK(an_anchor_is_the_same_for_ever_and_of_one_row_of_one_ledger),
        ON_DISK(what_was_put_back_with_its_mark_lacks_the_anchor_of_what_it_forgot),
        ON_DISK(a_mark_that_lags_is_brought_up_and_one_that_is_gone_stays_so_until_a_spend),
        ON_DISK(a_mark_that_is_none_is_refused),
        ON_DISK(of_two_marks_the_whole_one_counts_and_none_is_no_mark),
        ON_DISK(without_a_mark_that_can_be_written_nothing_may_leave),
        ON_DISK(verify_looks_at_every_row_and_all_stored_bytes),
        ON_DISK(a_copy_is_a_ledger_and_writes_over_nothing),
        ON_DISK(a_row_is_bound_to_all_before_it),
        ON_DISK(stored_bytes_that_changed_are_never_handed_out),
        ON_DISK(a_rest_carries_the_log_over_when_it_is_much_and_a_spend_does_not),
    };
    return cmocka_run_group_tests_name("ledger_files", tests, NULL, NULL);
}
