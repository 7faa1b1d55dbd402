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

#include "aggregator/registry/registry.h"
#include "common/store/store.h"
#include "tests/support/mortal_store.h"

/* ---- a coordinator's disk, and a way to die on it -------------------------------------------- */

static char folder[256];
static char path[300];

static int make_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/wr_registry_XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/registry.db", folder);
    return 0;
}

static void remove_files(void)
{
    static const char *const end[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++) {
        char file[320];
        (void)snprintf(file, sizeof file, "%s%s", path, end[i]);
        (void)unlink(file);
    }
}

static int remove_folder(void **state)
{
    (void)state;
    remove_files();
    return rmdir(folder);
}

/* ---- one study of four sites and three rounds ------------------------------------------------ */

enum { SITES = 4, ROUNDS = 3, QUORUM = 2 };
static struct hash heart;

static struct registry *opened(const char *where)
{
    struct error err = {0};
    struct registry *r = NULL;
    if (registry_open(where, &r, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return r;
}

static struct registry *started(const char *where)
{
    struct error err = {0};
    struct registry *r = opened(where);
    bool resumed = true;
    heart = hash_of("heart", 5);
    assert_int_equal(registry_start(r, "heart", &heart, SITES, "model 0", 7, 10, &resumed, &err),
                     RC_OK);
    assert_false(resumed);
    return r;
}

static void ok(enum rc rc, const struct error *err)
{
    if (rc != RC_OK) {
        fail_msg("%s", err->text);
    }
}

static void member(struct registry *r, size_t site, enum round_member answer, const char *reason)
{
    struct error err = {0};
    ok(registry_keep_member(r, &heart, site, answer, reason, 20, &err), &err);
}

static void everybody_accepts(struct registry *r)
{
    for (size_t i = 0; i < SITES; i++) {
        member(r, i, ROUND_ACCEPTED, NULL);
    }
}

static void update(struct registry *r, uint64_t round, size_t site, const char *bytes)
{
    struct error err = {0};
    ok(registry_keep_part(r, &heart, round, site, bytes, strlen(bytes), NULL, 30, &err), &err);
}

static void sits_out(struct registry *r, uint64_t round, size_t site, const char *reason)
{
    struct error err = {0};
    ok(registry_keep_part(r, &heart, round, site, NULL, 0, reason, 30, &err), &err);
}

static enum rc commit(struct registry *r, uint64_t round, const char *model,
                      const bool contributed[SITES], struct error *err)
{
    return registry_commit_round(r, &heart, round, model, strlen(model), "moments", 7, contributed,
                                 SITES, 40, err);
}

/* Sites 0 and 2 contribute. */
static void a_whole_round(struct registry *r, uint64_t round, const char *model)
{
    static const bool who[SITES] = {true, false, true, false};
    struct error err = {0};
    update(r, round, 0, "update of 0");
    update(r, round, 2, "update of 2");
    ok(commit(r, round, model, who, &err), &err);
}

static void model_is(struct registry *r, uint64_t round, const char *want)
{
    struct error err = {0};
    uint64_t newest = 99;
    const void *model = NULL;
    const void *state = NULL;
    size_t n = 0;
    size_t state_n = 99;
    ok(registry_model(r, &heart, &newest, &model, &n, &state, &state_n, &err), &err);
    assert_int_equal(newest, round);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(model, want, n);
    assert_int_equal(state_n, round > 0 ? 7 : 0);
    if (round > 0) {
        assert_memory_equal(state, "moments", 7);
    }
}

static struct round_machine restored(struct registry *r)
{
    struct error err = {0};
    struct round_machine m;
    round_init(&m, SITES, QUORUM, ROUNDS, 1000, 2000, 0);
    ok(registry_restore(r, &heart, &m, &err), &err);
    return m;
}

static void stands(const struct round_machine *m, enum round_state state, uint64_t round)
{
    assert_string_equal(round_state_name(m->state), round_state_name(state));
    assert_int_equal(m->round, round);
}

struct seen {
    size_t n;
    size_t site[SITES];
    char bytes[SITES][32];
};

static enum rc see(void *ctx, size_t site, const void *bytes, size_t n, struct error *err)
{
    struct seen *s = ctx;
    (void)err;
    assert_in_range(n, 0, 31);
    s->site[s->n] = site;
    memcpy(s->bytes[s->n], bytes, n);
    s->bytes[s->n][n] = '\0';
    s->n++;
    return RC_OK;
}

static struct seen held(struct registry *r, uint64_t round)
{
    struct error err = {0};
    struct seen s = {0};
    ok(registry_each_update(r, &heart, round, see, &s, &err), &err);
    return s;
}

/* ---- the study ------------------------------------------------------------------------------- */

static void a_study_starts_once_and_is_resumed_with_its_model(void **state)
{
    (void)state;
    struct error err = {0};
    struct registry *r = started(path);
    model_is(r, 0, "model 0");
    registry_close(&r);
    registry_close(&r); /* NULL is fine */
    r = opened(path);
    bool resumed = false;
    ok(registry_start(r, "heart", &heart, SITES, "another", 7, 11, &resumed, &err), &err);
    assert_true(resumed);
    model_is(r, 0, "model 0");
    registry_close(&r);
}

static void a_name_a_hash_and_a_roster_belong_together(void **state)
{
    (void)state;
    struct error err = {0};
    struct registry *r = started(":memory:");
    const struct hash other = hash_of("other", 5);
    bool resumed = true;
    assert_int_equal(registry_start(r, "heart", &other, SITES, "m", 1, 1, &resumed, &err),
                     RC_STATE);
    assert_string_equal(err.text, "study 'heart' is known with another document");
    assert_int_equal(registry_start(r, "liver", &heart, SITES, "m", 1, 1, &resumed, &err),
                     RC_STATE);
    assert_int_equal(registry_start(r, "heart", &heart, 3, "m", 1, 1, &resumed, &err), RC_STATE);
    assert_int_equal(registry_start(r, "liver", &other, 0, "m", 1, 1, &resumed, &err), RC_INVALID);
    assert_int_equal(registry_start(r, "liver", &other, ROUND_SITES_MAX + 1, "m", 1, 1, &resumed,
                                    &err),
                     RC_INVALID);
    assert_true(resumed); /* untouched */
    ok(registry_start(r, "liver", &other, 2, "m", 1, 1, &resumed, &err), &err);
    assert_false(resumed);
    model_is(r, 0, "model 0"); /* studies do not mix */
    registry_close(&r);
}

static void an_unknown_study_is_refused_by_every_question(void **state)
{
    (void)state;
    struct error err = {0};
    struct registry *r = started(":memory:");
    const struct hash other = hash_of("other", 5);
    const bool who[SITES] = {false};
    struct round_machine m;
    struct seen s = {0};
    bool found = false;
    bool failed = false;
    bool contributed[SITES];
    char reason[240];
    uint64_t round = 0;
    const void *p = NULL;
    size_t n = 0;
    round_init(&m, SITES, QUORUM, ROUNDS, 1, 1, 0);
    assert_int_equal(registry_restore(r, &other, &m, &err), RC_STATE);
    assert_int_equal(registry_keep_member(r, &other, 0, ROUND_ACCEPTED, "", 1, &err), RC_STATE);
    assert_int_equal(registry_keep_part(r, &other, 1, 0, "u", 1, "", 1, &err), RC_STATE);
    assert_int_equal(registry_open_round(r, &other, 1, 1, &err), RC_STATE);
    assert_int_equal(registry_each_update(r, &other, 1, see, &s, &err), RC_STATE);
    assert_int_equal(registry_commit_round(r, &other, 1, "m", 1, "s", 1, who, SITES, 1, &err),
                     RC_STATE);
    assert_int_equal(registry_commit_failure(r, &other, 0, who, SITES, "", 1, &err), RC_STATE);
    assert_int_equal(registry_model(r, &other, &round, &p, &n, &p, &n, &err), RC_STATE);
    assert_int_equal(registry_outcome(r, &other, 1, &found, contributed, SITES, &failed, reason,
                                      &err),
                     RC_STATE);
    assert_int_equal(registry_absence(r, &other, 1, 0, reason, &err), RC_STATE);
    registry_close(&r);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void an_answer_to_the_study_stands_and_no_means_no(void **state)
{
    (void)state;
    struct error err = {0};
    struct registry *r = started(":memory:");
    member(r, 1, ROUND_ACCEPTED, NULL);
    member(r, 1, ROUND_ACCEPTED, "again");
    member(r, 3, ROUND_MEMBER_DECLINED, "beyond policy");
    member(r, 3, ROUND_MEMBER_DECLINED, "another reason");
    assert_int_equal(registry_keep_member(r, &heart, 3, ROUND_ACCEPTED, "", 1, &err), RC_STATE);
    assert_int_equal(registry_keep_member(r, &heart, SITES, ROUND_ACCEPTED, "", 1, &err),
                     RC_INVALID);
    assert_int_equal(registry_keep_member(r, &heart, 0, ROUND_UNKNOWN, "", 1, &err), RC_INVALID);
    struct round_machine m = restored(r);
    stands(&m, ROUND_JOINING, 0);
    static const enum round_member want[SITES] = {ROUND_UNKNOWN, ROUND_ACCEPTED, ROUND_UNKNOWN,
                                                  ROUND_MEMBER_DECLINED};
    assert_memory_equal(m.member, want, sizeof want);
    member(r, 1, ROUND_MEMBER_DECLINED, "withdraws");
    m = restored(r);
    assert_int_equal(m.member[1], ROUND_MEMBER_DECLINED);

    char reason[240];
    ok(registry_absence(r, &heart, 1, 3, reason, &err), &err);
    assert_string_equal(reason, "beyond policy"); /* the first */
    ok(registry_absence(r, &heart, 1, 0, reason, &err), &err);
    assert_string_equal(reason, "did not answer");
    registry_close(&r);
}

static void the_first_answer_to_a_round_stands(void **state)
{
    (void)state;
    struct error err = {0};
    struct registry *r = started(":memory:");
    everybody_accepts(r);
    update(r, 1, 2, "update of 2");
    update(r, 1, 2, "update of 2"); /* the same bytes are harmless */
    assert_int_equal(registry_keep_part(r, &heart, 1, 2, "update of 3", 11, "", 1, &err), RC_STATE);
    assert_int_equal(registry_keep_part(r, &heart, 1, 2, "update of", 9, "", 1, &err), RC_STATE);
    assert_int_equal(registry_keep_part(r, &heart, 1, 2, NULL, 0, "no", 1, &err), RC_STATE);
    sits_out(r, 1, 0, "too few patients in this step");
    sits_out(r, 1, 0, "another reason");
    assert_int_equal(registry_keep_part(r, &heart, 1, 0, "late", 4, "", 1, &err), RC_STATE);
    assert_int_equal(registry_keep_part(r, &heart, 1, 0, "", 0, "", 1, &err), RC_STATE);
    assert_int_equal(registry_keep_part(r, &heart, 2, 1, "early", 5, "", 1, &err), RC_STATE);
    assert_int_equal(registry_keep_part(r, &heart, 0, 1, "none", 4, "", 1, &err), RC_STATE);
    assert_int_equal(registry_keep_part(r, &heart, UINT64_MAX, 1, "many", 4, "", 1, &err),
                     RC_STATE);
    assert_int_equal(registry_keep_part(r, &heart, 1, SITES, "who", 3, "", 1, &err), RC_INVALID);
    const struct seen s = held(r, 1);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.site[0], 2);
    assert_string_equal(s.bytes[0], "update of 2");
    char reason[240];
    ok(registry_absence(r, &heart, 1, 0, reason, &err), &err);
    assert_string_equal(reason, "too few patients in this step");
    ok(registry_absence(r, &heart, 1, 2, reason, &err), &err);
    assert_string_equal(reason, "");
    registry_close(&r);
}

static enum rc stop_at_second(void *ctx, size_t site, const void *bytes, size_t n,
                              struct error *err)
{
    struct seen *s = ctx;
    if (s->n == 1) {
        return error_set(err, RC_NUMERIC, "site %zu is one too many", site);
    }
    return see(ctx, site, bytes, n, err);
}

static void updates_come_in_order_of_sites_and_stop_at_the_first_failure(void **state)
{
    (void)state;
    struct error err = {0};
    struct registry *r = started(":memory:");
    everybody_accepts(r);
    update(r, 1, 3, "three");
    update(r, 1, 0, ""); /* an update may be empty */
    sits_out(r, 1, 2, "no");
    update(r, 1, 1, "one");
    const struct seen s = held(r, 1);
    assert_int_equal(s.n, 3);
    static const size_t site[] = {0, 1, 3};
    static const char *const bytes[] = {"", "one", "three"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(s.site[i], site[i]);
        assert_string_equal(s.bytes[i], bytes[i]);
    }
    struct seen t = {0};
    assert_int_equal(registry_each_update(r, &heart, 1, stop_at_second, &t, &err), RC_NUMERIC);
    assert_string_equal(err.text, "site 1 is one too many");
    assert_int_equal(held(r, 1).n, 3); /* and can be asked again */
    assert_int_equal(registry_each_update(r, &heart, 2, see, &t, &err), RC_STATE);
    registry_close(&r);
}

/* ---- outcomes -------------------------------------------------------------------------------- */

static void outcome_is(struct registry *r, uint64_t round, bool failed, const char *reason,
                       const bool want[SITES])
{
    struct error err = {0};
    bool found = false;
    bool who[SITES] = {true, true, true, true};
    bool is_failed = !failed;
    char text[240] = "?";
    ok(registry_outcome(r, &heart, round, &found, who, SITES, &is_failed, text, &err), &err);
    assert_true(found);
    assert_int_equal(is_failed, failed);
    assert_string_equal(text, reason);
    assert_memory_equal(who, want, SITES);
}

static bool has_outcome(struct registry *r, uint64_t round)
{
    struct error err = {0};
    bool found = true;
    bool failed = false;
    bool who[SITES];
    char text[240];
    ok(registry_outcome(r, &heart, round, &found, who, SITES, &failed, text, &err), &err);
    return found;
}

static void a_committed_round_has_model_state_and_outcome_and_drops_its_updates(void **state)
{
    (void)state;
    static const bool who[SITES] = {true, false, true, false};
    struct error err = {0};
    struct registry *r = started(path);
    everybody_accepts(r);
    assert_false(has_outcome(r, 0));
    assert_false(has_outcome(r, 1));
    sits_out(r, 1, 1, "no");
    a_whole_round(r, 1, "model 1, longer");
    a_whole_round(r, 2, "model 2");
    registry_close(&r);
    r = opened(path);
    model_is(r, 2, "model 2");
    outcome_is(r, 1, false, "", who);
    outcome_is(r, 2, false, "", who);
    assert_false(has_outcome(r, 3));
    assert_false(has_outcome(r, UINT64_MAX));
    struct seen s = {0};
    assert_int_equal(registry_each_update(r, &heart, 2, see, &s, &err), RC_STATE);
    update(r, 1, 0, "update of 0"); /* a late copy of what was kept is harmless */
    assert_int_equal(registry_keep_part(r, &heart, 1, 3, "too late", 8, "", 1, &err), RC_STATE);
    char reason[240];
    ok(registry_absence(r, &heart, 1, 1, reason, &err), &err);
    assert_string_equal(reason, "no");
    registry_close(&r);

    struct store *file = NULL; /* nothing of the updates is left, and one server state */
    struct statement *st = NULL;
    bool row = false;
    ok(store_open(path, &registry_store_kind, &file, &err), &err);
    ok(store_prepare(file,
                     "SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM server_state)", &st,
                     &err),
       &err);
    ok(statement_step(st, &row, &err), &err);
    assert_int_equal(statement_i64(st, 0), 0);
    assert_int_equal(statement_i64(st, 1), 1);
    store_close(&file);
}

static void an_outcome_names_exactly_the_sites_whose_updates_are_held(void **state)
{
    (void)state;
    static const bool bad[][SITES] = {
        {true, false, false, false}, /* leaves out 2 */
        {true, true, true, false},   /* 1 sent nothing */
        {true, false, true, true},   /* 3 sits out */
        {false, false, false, false},
    };
    static const bool who[SITES] = {true, false, true, false};
    struct error err = {0};
    struct registry *r = started(":memory:");
    everybody_accepts(r);
    update(r, 1, 0, "update of 0");
    update(r, 1, 2, "update of 2");
    sits_out(r, 1, 3, "no");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(commit(r, 1, "model 1", bad[i], &err), RC_STATE);
    }
    assert_int_equal(registry_commit_round(r, &heart, 1, "m", 1, "s", 1, who, SITES - 1, 1, &err),
                     RC_INVALID);
    assert_int_equal(commit(r, 2, "model 2", who, &err), RC_STATE);
    assert_int_equal(commit(r, 2, "model 2", bad[3], &err), RC_STATE); /* not the next one */
    assert_int_equal(commit(r, 0, "model 0", who, &err), RC_STATE);
    model_is(r, 0, "model 0");
    assert_int_equal(held(r, 1).n, 2);
    ok(commit(r, 1, "model 1", who, &err), &err);
    assert_int_equal(commit(r, 1, "model 1 again", who, &err), RC_STATE);
    model_is(r, 1, "model 1");
    registry_close(&r);
}

static void a_failed_study_keeps_its_reason_and_takes_nothing_more(void **state)
{
    (void)state;
    static const bool who[SITES] = {false, false, false, true};
    static const bool nobody[SITES] = {false};
    struct error err = {0};
    struct registry *r = started(path);
    everybody_accepts(r);
    a_whole_round(r, 1, "model 1");
    update(r, 2, 3, "alone");
    assert_int_equal(registry_commit_failure(r, &heart, 1, who, SITES, "x", 1, &err), RC_STATE);
    assert_int_equal(registry_commit_failure(r, &heart, 0, who, SITES, "x", 1, &err), RC_STATE);
    ok(registry_commit_failure(r, &heart, 2, who, SITES, "1 of 4 contributed, quorum is 2", 50,
                               &err),
       &err);
    registry_close(&r);
    r = opened(path);
    outcome_is(r, 2, true, "1 of 4 contributed, quorum is 2", who);
    assert_int_equal(registry_commit_failure(r, &heart, 2, who, SITES, "y", 1, &err), RC_STATE);
    assert_int_equal(commit(r, 2, "model 2", who, &err), RC_STATE);
    assert_int_equal(registry_keep_part(r, &heart, 2, 0, "late", 4, "", 1, &err), RC_STATE);
    assert_int_equal(registry_open_round(r, &heart, 2, 1, &err), RC_STATE);
    model_is(r, 1, "model 1");
    const struct round_machine m = restored(r);
    stands(&m, ROUND_FAILED, 2);
    assert_int_equal(round_finished(&m), 1);
    registry_close(&r);
    remove_files();

    r = started(path); /* nobody wanted it */
    ok(registry_commit_failure(r, &heart, 0, nobody, SITES, "nobody accepted", 50, &err), &err);
    outcome_is(r, 0, true, "nobody accepted", nobody);
    const struct round_machine j = restored(r);
    stands(&j, ROUND_FAILED, 0);
    registry_close(&r);
}

/* ---- after a crash --------------------------------------------------------------------------- */

static void a_restored_machine_is_the_one_that_was_killed(void **state)
{
    (void)state;
    struct error err = {0};
    struct registry *r = started(":memory:");
    struct round_machine m = restored(r);
    stands(&m, ROUND_JOINING, 0);
    everybody_accepts(r);
    m = restored(r);
    stands(&m, ROUND_JOINING, 0); /* everybody is in: it opens round 1 at once */
    assert_int_equal(round_restore(&m, 5), ROUND_CAST_ROUND);

    update(r, 1, 2, "update of 2");
    sits_out(r, 1, 1, "no");
    m = restored(r);
    stands(&m, ROUND_OPEN, 1);
    static const enum round_part part[SITES] = {ROUND_WAITED_FOR, ROUND_SAT_OUT, ROUND_CONTRIBUTED,
                                                ROUND_WAITED_FOR};
    assert_memory_equal(m.part, part, sizeof part);
    assert_int_equal(m.quorum, QUORUM);
    assert_int_equal(m.rounds, ROUNDS);
    assert_int_equal(round_restore(&m, 5), ROUND_CAST_ROUND);

    a_whole_round(r, 1, "model 1");
    m = restored(r);
    stands(&m, ROUND_OPEN, 2);
    assert_int_equal(round_contributors(&m), 0); /* parts are of the present round */
    assert_int_equal(round_restore(&m, 5), ROUND_CAST_OUTCOME | ROUND_CAST_ROUND);

    for (size_t i = 0; i < SITES; i++) {
        update(r, 2, i, "u");
    }
    m = restored(r);
    stands(&m, ROUND_OPEN, 2);
    assert_int_equal(round_restore(&m, 5), ROUND_CAST_OUTCOME | ROUND_MERGE);
    const bool all[SITES] = {true, true, true, true};
    ok(commit(r, 2, "model 2", all, &err), &err);
    a_whole_round(r, 3, "model 3");
    m = restored(r);
    stands(&m, ROUND_DONE, 3);
    assert_int_equal(round_contributors(&m), 2); /* of the last round */
    assert_int_equal(round_restore(&m, 5), ROUND_CAST_OUTCOME | ROUND_CAST_DONE);

    round_init(&m, SITES - 1, QUORUM, ROUNDS, 1, 1, 0);
    assert_int_equal(registry_restore(r, &heart, &m, &err), RC_STATE);
    round_init(&m, SITES, QUORUM, 2, 1, 1, 0);
    assert_int_equal(registry_restore(r, &heart, &m, &err), RC_FORMAT);
    stands(&m, ROUND_JOINING, 0); /* untouched */
    registry_close(&r);
}

static void an_announced_round_is_open_after_a_restart_also_without_an_answer(void **state)
{
    (void)state;
    struct error err = {0};
    struct registry *r = started(path);
    member(r, 0, ROUND_ACCEPTED, NULL);
    member(r, 2, ROUND_ACCEPTED, NULL); /* quorum; the deadline of joining opens round 1 */
    ok(registry_open_round(r, &heart, 1, 25, &err), &err);
    ok(registry_open_round(r, &heart, 1, 26, &err), &err);
    assert_int_equal(registry_open_round(r, &heart, 2, 25, &err), RC_STATE);
    assert_int_equal(registry_open_round(r, &heart, 0, 25, &err), RC_STATE);
    registry_close(&r);
    r = opened(path);
    const struct round_machine m = restored(r);
    stands(&m, ROUND_OPEN, 1);
    assert_int_equal(m.member[1], ROUND_UNKNOWN);
    registry_close(&r);
}

static void who_accepted_too_late_for_a_round_is_not_waited_for_after_a_restart(void **state)
{
    (void)state;
    struct registry *r = started(":memory:");
    for (size_t i = 0; i < 3; i++) {
        member(r, i, ROUND_ACCEPTED, NULL);
    }
    update(r, 1, 0, "update of 0");
    member(r, 3, ROUND_ACCEPTED, NULL); /* killed before its part, or while merging: it has none */
    struct round_machine m = restored(r);
    assert_int_equal(m.part[3], ROUND_SAT_OUT);
    assert_int_equal(m.part[1], ROUND_WAITED_FOR);
    a_whole_round(r, 1, "model 1");
    m = restored(r);
    stands(&m, ROUND_OPEN, 2);
    assert_int_equal(m.part[3], ROUND_WAITED_FOR); /* from the next round on */
    registry_close(&r);
}

/* ---- audit and files ------------------------------------------------------------------------- */

struct log {
    size_t n;
    char line[32][200];
};

static void note(void *ctx, const struct registry_entry *e)
{
    struct log *l = ctx;
    assert_true(hash_equal(&e->study, &heart));
    assert_int_equal(e->sequence, l->n + 1);
    (void)snprintf(l->line[l->n], sizeof l->line[0], "%s %s", e->what, e->detail);
    l->n++;
}

static void the_audit_tells_the_story_in_order(void **state)
{
    (void)state;
    static const bool who[SITES] = {false, true, false, false};
    struct error err = {0};
    struct registry *r = started(":memory:");
    member(r, 0, ROUND_ACCEPTED, NULL);
    member(r, 0, ROUND_ACCEPTED, NULL);
    member(r, 1, ROUND_ACCEPTED, NULL);
    member(r, 2, ROUND_ACCEPTED, NULL);
    member(r, 3, ROUND_MEMBER_DECLINED, "beyond policy");
    ok(registry_open_round(r, &heart, 1, 25, &err), &err);
    a_whole_round(r, 1, "model 1");
    update(r, 2, 1, "alone");
    ok(registry_commit_failure(r, &heart, 2, who, SITES, "below quorum", 50, &err), &err);

    struct log l = {0};
    ok(registry_audit(r, note, &l, &err), &err);
    char hex[2][HASH_HEX];
    struct hash h = hash_of("model 0", 7);
    hash_hex(&h, hex[0]);
    h = hash_of("model 1", 7);
    hash_hex(&h, hex[1]);
    char first[200];
    char round[200];
    (void)snprintf(first, sizeof first, "start 'heart', 4 sites; model %s", hex[0]);
    (void)snprintf(round, sizeof round, "round round 1, 2 of 4: 0 2; model %s", hex[1]);
    const char *const want[] = {first,
                                "accept site 0",
                                "accept site 1",
                                "accept site 2",
                                "decline site 3: beyond policy",
                                "open round 1",
                                round,
                                "failure round 2, 1 of 4: 1; below quorum"};
    assert_int_equal(l.n, sizeof want / sizeof want[0]);
    for (size_t i = 0; i < l.n; i++) {
        assert_string_equal(l.line[i], want[i]);
    }
    registry_close(&r);
}

static void last_link(void *ctx, const struct registry_entry *e)
{
    *(struct hash *)ctx = e->link;
}

static void an_entry_is_bound_to_all_before_it(void **state)
{
    (void)state;
    struct error err = {0};
    struct hash link[2];
    for (int i = 0; i < 2; i++) { /* they differ in the first site's reason only */
        struct registry *r = started(":memory:");
        member(r, 0, ROUND_MEMBER_DECLINED, i == 0 ? "policy" : "no patients");
        member(r, 1, ROUND_ACCEPTED, NULL);
        ok(registry_audit(r, last_link, &link[i], &err), &err);
        registry_close(&r);
    }
    assert_false(hash_equal(&link[0], &link[1]));
}

static void cannot_open(enum rc want, const char *says)
{
    struct error err = {0};
    struct registry *r = NULL;
    const enum rc rc = registry_open(path, &r, &err);
    if (rc != want || strstr(err.text, says) == NULL) {
        fail_msg("%s: '%s', not '%s'", rc_name(rc), err.text, says);
    }
    assert_null(r);
}

static void edit(const char *sql)
{
    struct error err = {0};
    struct store *s = NULL;
    struct statement *st = NULL;
    ok(store_open(path, &registry_store_kind, &s, &err), &err);
    ok(store_prepare(s, sql, &st, &err), &err);
    ok(statement_run(st, &err), &err);
    store_close(&s);
}

static void an_edited_audit_a_stranger_and_a_newer_file_are_refused(void **state)
{
    (void)state;
    static const char *const edits[] = {
        "UPDATE audit SET detail = 'site 2' WHERE sequence = 2",
        "UPDATE audit SET what = 'decline' WHERE sequence = 2",
        "UPDATE audit SET at_ms = 0 WHERE sequence = 3",
        "UPDATE audit SET study = zeroblob(32) WHERE sequence = 1",
        "UPDATE audit SET link = zeroblob(32) WHERE sequence = 5",
        "UPDATE audit SET sequence = 9 WHERE sequence = 5",
        "DELETE FROM audit WHERE sequence = 1",
        "DELETE FROM audit WHERE sequence = 4",
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        remove_files();
        struct registry *r = started(path);
        everybody_accepts(r);
        registry_close(&r);
        edit(edits[i]);
        cannot_open(RC_FORMAT, "damaged or was edited");
    }
    remove_files();

    static const char *const one[] = {"CREATE TABLE x (y INTEGER) STRICT;"};
    struct error err = {0};
    struct store *s = NULL;
    const struct store_kind stranger = {
        .application_id = 0x57520009, .what = "x", .n_migrations = 1, .migration = one};
    ok(store_open(path, &stranger, &s, &err), &err);
    store_close(&s);
    cannot_open(RC_FORMAT, "not a study registry");
    remove_files();

    struct registry *r = started(path);
    registry_close(&r);
    const char *migration[9];
    struct store_kind newer = registry_store_kind;
    memcpy(migration, newer.migration, newer.n_migrations * sizeof migration[0]);
    migration[newer.n_migrations] = one[0];
    newer.n_migrations++;
    newer.migration = migration;
    ok(store_open(path, &newer, &s, &err), &err);
    store_close(&s);
    cannot_open(RC_STATE, "newer program");
}

static void bytes_that_changed_are_never_handed_out(void **state)
{
    (void)state;
    struct error err = {0};
    uint64_t round = 0;
    const void *p = NULL;
    size_t n = 0;
    struct seen s = {0};
    struct registry *r = started(path);
    everybody_accepts(r);
    a_whole_round(r, 1, "model 1");
    update(r, 2, 1, "update of 1");
    registry_close(&r);
    edit("UPDATE held SET bytes = x'00'");
    r = opened(path);
    assert_int_equal(registry_each_update(r, &heart, 2, see, &s, &err), RC_FORMAT);
    assert_int_equal(s.n, 0);
    registry_close(&r);
    edit("DELETE FROM held");
    r = opened(path);
    assert_int_equal(registry_each_update(r, &heart, 2, see, &s, &err), RC_FORMAT);
    model_is(r, 1, "model 1");
    registry_close(&r);
    edit("UPDATE server_state SET bytes = x'00'");
    r = opened(path);
    assert_int_equal(registry_model(r, &heart, &round, &p, &n, &p, &n, &err), RC_FORMAT);
    registry_close(&r);
    edit("UPDATE model SET bytes = x'00' WHERE round = 1");
    r = opened(path);
    assert_int_equal(registry_model(r, &heart, &round, &p, &n, &p, &n, &err), RC_FORMAT);
    registry_close(&r);
}

/* ---- killed ---------------------------------------------------------------------------------- */

enum deed { START, ACCEPT, PART, ROUND, FAILURE, DEEDS };

static enum rc do_it(struct registry *r, enum deed deed, struct error *err)
{
    static const bool two[SITES] = {true, false, true, false};
    const struct hash other = hash_of("other", 5);
    bool resumed = false;
    switch (deed) {
    case START:
        return registry_start(r, "liver", &other, SITES, "m", 1, 1, &resumed, err);
    case ACCEPT:
        return registry_keep_member(r, &heart, 3, ROUND_ACCEPTED, "", 1, err);
    case PART:
        return registry_keep_part(r, &heart, 2, 1, "update of 1", 11, "", 1, err);
    case ROUND:
        return commit(r, 2, "model 2", two, err);
    case FAILURE:
        return registry_commit_failure(r, &heart, 2, two, SITES, "below", 1, err);
    case DEEDS:
        break;
    }
    return RC_INVALID;
}

static void prepare(void)
{
    remove_files();
    struct registry *r = started(path);
    for (size_t i = 0; i < 3; i++) {
        member(r, i, ROUND_ACCEPTED, NULL);
    }
    a_whole_round(r, 1, "model 1");
    update(r, 2, 0, "update of 0");
    update(r, 2, 2, "update of 2");
    registry_close(&r);
}

static void child_does(enum deed deed, int point)
{
    struct error err = {0};
    struct registry *r = NULL;
    if (registry_open(path, &r, &err) != RC_OK) {
        _exit(100);
    }
    mortal_restart();
    mortal_die_at = point;
    _exit((int)do_it(r, deed, &err)); /* without closing: the next one finds the log as it is */
}

/* Everything that one transaction wrote, counted in one number: 0 none of it, `all` all. */
static size_t written(struct registry *r, enum deed deed)
{
    static const char *const what[DEEDS] = {"start 'liver'", "accept site 3", "", "round round 2",
                                            "failure round 2"};
    struct error err = {0};
    struct log l = {0};
    const struct hash of_heart = heart;
    size_t n = 0;
    if (deed == START) {
        heart = hash_of("other", 5);
        uint64_t round = 9;
        const void *p = NULL;
        size_t size = 0;
        n += registry_model(r, &heart, &round, &p, &size, &p, &size, &err) == RC_OK;
        heart = of_heart;
        return n;
    }
    ok(registry_audit(r, note, &l, &err), &err);
    for (size_t i = 0; deed != PART && i < l.n; i++) {
        n += strncmp(l.line[i], what[deed], strlen(what[deed])) == 0;
    }
    const struct round_machine m = restored(r);
    if (deed == ACCEPT) {
        n += m.member[3] == ROUND_ACCEPTED;
    }
    if (deed == PART) {
        n += m.part[1] == ROUND_CONTRIBUTED;
        n += held(r, 2).n == 3; /* fails where the part is there without its bytes */
    }
    if (deed == ROUND) {
        uint64_t round = 0;
        const void *p = NULL;
        size_t size = 0;
        ok(registry_model(r, &heart, &round, &p, &size, &p, &size, &err), &err);
        n += round == 2;
        n += has_outcome(r, 2);
        n += m.round == 3;
    }
    if (deed == FAILURE) {
        n += m.state == ROUND_FAILED;
        n += has_outcome(r, 2);
    }
    return n;
}

static void killed_at_any_point_a_transaction_is_whole_or_absent(void **state)
{
    (void)state;
    static const size_t all[DEEDS] = {1, 2, 2, 4, 3};
    for (enum deed deed = START; deed < DEEDS; deed++) {
        size_t n_whole = 0;
        for (int point = 0;; point++) {
            prepare();
            const pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0) {
                child_does(deed, point);
            }
            int status = 0;
            assert_int_equal(waitpid(child, &status, 0), child);
            const bool survived = WIFEXITED(status);
            assert_true(survived ? WEXITSTATUS(status) == RC_OK : WTERMSIG(status) == SIGKILL);

            struct registry *r = opened(path); /* the audit chain holds */
            const size_t n = written(r, deed);
            assert_true(n == 0 || n == all[deed]);
            assert_true(n > 0 || n_whole == 0); /* once durable, always durable */
            n_whole += n > 0;
            if (n == 0) { /* and can be done again */
                struct error err = {0};
                ok(do_it(r, deed, &err), &err);
                assert_int_equal(written(r, deed), all[deed]);
            }
            registry_close(&r);
            if (survived) {
                break;
            }
        }
        assert_int_equal(n_whole, 2); /* killed right after the commit, and not at all */
    }
}

int main(void)
{
#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        ON_DISK(a_study_starts_once_and_is_resumed_with_its_model),
        cmocka_unit_test(a_name_a_hash_and_a_roster_belong_together),
        cmocka_unit_test(an_unknown_study_is_refused_by_every_question),
        cmocka_unit_test(an_answer_to_the_study_stands_and_no_means_no),
        cmocka_unit_test(the_first_answer_to_a_round_stands),
        cmocka_unit_test(updates_come_in_order_of_sites_and_stop_at_the_first_failure),
        ON_DISK(a_committed_round_has_model_state_and_outcome_and_drops_its_updates),
        cmocka_unit_test(an_outcome_names_exactly_the_sites_whose_updates_are_held),
        ON_DISK(a_failed_study_keeps_its_reason_and_takes_nothing_more),
        cmocka_unit_test(a_restored_machine_is_the_one_that_was_killed),
        ON_DISK(an_announced_round_is_open_after_a_restart_also_without_an_answer),
        cmocka_unit_test(who_accepted_too_late_for_a_round_is_not_waited_for_after_a_restart),
        cmocka_unit_test(the_audit_tells_the_story_in_order),
        cmocka_unit_test(an_entry_is_bound_to_all_before_it),
        ON_DISK(an_edited_audit_a_stranger_and_a_newer_file_are_refused),
        ON_DISK(bytes_that_changed_are_never_handed_out),
        ON_DISK(killed_at_any_point_a_transaction_is_whole_or_absent),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
