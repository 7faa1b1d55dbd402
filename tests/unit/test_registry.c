#include <fcntl.h>
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

#include "aggregator/registry/registry.h"
#include "aggregator/registry/registry_internal.h"
#include "common/seal/seal.h"
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
    static const char *const end[] = {"", "-wal", "-shm", "-held"};
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++) {
        char file[320];
        (void)snprintf(file, sizeof file, "%s%s", path, end[i]);
        (void)unlink(file);
    }
}

static off_t size_of(const char *end)
{
    struct stat st = {0};
    char file[320];
    (void)snprintf(file, sizeof file, "%s%s", path, end);
    assert_int_equal(stat(file, &st), 0);
    return st.st_size;
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
    r->piece_bytes = 3; /* a state of seven bytes is three pieces */
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

struct given {
    const void *bytes;
    size_t n;
};

static enum rc given_bytes(void *ctx, size_t index, const void **data, size_t *n, struct error *err)
{
    const struct given *g = ctx;
    (void)err;
    assert_int_equal(index, 0);
    *data = g->bytes;
    *n = g->n;
    return RC_OK;
}

/* One of round 1, of which somebody says that it has this hash. */
static enum rc keep_update(struct registry *r, size_t site, const void *bytes, size_t n,
                           const struct hash *hash, const struct registry_anchor *anchor,
                           int64_t now_ms, struct error *err)
{
    struct given g = {bytes, n};
    struct registry_update u = {.site = site, .hash = hash, .anchor = anchor};
    const enum rc rc = registry_keep_updates(r, &heart, 1, &u, 1, given_bytes, &g, now_ms, err);
    if (rc == RC_OK && u.refused) {
        return error_set(err, RC_STATE, "%s", u.why);
    }
    assert_int_equal(u.kept, rc == RC_OK);
    return rc;
}

static void sits_out(struct registry *r, uint64_t round, size_t site, const char *reason)
{
    struct error err = {0};
    ok(registry_keep_part(r, &heart, round, site, NULL, 0, reason, 30, &err), &err);
}

static enum rc commit(struct registry *r, uint64_t round, const char *model,
                      const bool contributed[SITES], struct error *err)
{
    char moments[8];
    (void)snprintf(moments, sizeof moments, "moment%u", (unsigned)round % 10);
    return registry_commit_round(r, &heart, round, model, strlen(model), moments, 7, contributed,
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

static bool has_state(struct registry *r, uint64_t round)
{
    struct error err = {0};
    char want[8] = "";
    unsigned char state[7] = "xxxxxx";
    if (round > 0) {
        (void)snprintf(want, sizeof want, "moment%u", (unsigned)round % 10);
    }
    ok(registry_state(r, &heart, state, sizeof state, &err), &err);
    return memcmp(state, want, sizeof state) == 0;
}

static void model_is(struct registry *r, uint64_t round, const char *want)
{
    struct error err = {0};
    uint64_t newest = 99;
    const void *model = NULL;
    size_t n = 0;
    ok(registry_model(r, &heart, &newest, &model, &n, &err), &err);
    assert_int_equal(newest, round);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(model, want, n);
    assert_true(has_state(r, round));
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
    assert_non_null(strstr(err.text, "study 'heart' is known with another document; give the "
                                     "changed one a new name"));
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
    unsigned char bytes[7];
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
    assert_int_equal(registry_model(r, &other, &round, &p, &n, &err), RC_STATE);
    assert_int_equal(registry_state(r, &other, bytes, sizeof bytes, &err), RC_STATE);
    assert_int_equal(registry_outcome(r, &other, 1, &found, contributed, SITES, &failed, reason,
                                      &err),
                     RC_STATE);
    assert_int_equal(registry_absence(r, &other, 1, 0, reason, &err), RC_STATE);
    assert_int_equal(registry_agreement(r, &other, &p, &n, &err), RC_STATE);
    assert_int_equal(registry_abort_requested(r, &other, &found, reason, &err), RC_STATE);
    assert_int_equal(registry_model_of(r, &other, 0, &p, &n, &err), RC_STATE);
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

static void an_anchor_is_kept_with_its_update_and_remembered_by_the_site_s_key(void **state)
{
    (void)state;
    struct error err = {0};
    const struct registry_anchor first = {.sign = hash_of("key", 3), .anchor = hash_of("row 1", 5)};
    const struct registry_anchor second = {.sign = first.sign, .anchor = hash_of("row 2", 5)};
    const struct hash of_2_first = hash_of("update of 2", 11);
    const struct hash of_2_second = hash_of("update of 3", 11);
    const struct hash of_0_second = hash_of("update of 0", 11);
    const struct hash other = hash_of("other key", 9);
    struct hash found = {{0}};
    bool has = true;
    struct registry *r = started(":memory:");
    everybody_accepts(r);
    ok(registry_newest_anchor(r, &first.sign, &has, &found, &err), &err);
    assert_false(has);
    ok(keep_update(r, 2, "update of 2", 11, &of_2_first, &first, 30, &err), &err);
    assert_int_equal(keep_update(r, 2, "update of 3", 11, &of_2_second, &second, 30, &err),
                     RC_STATE); /* refused: nothing of it is remembered */
    ok(registry_anchor_of(r, &heart, 1, 2, &has, &found, &err), &err);
    assert_true(has && hash_equal(&found, &first.anchor));
    ok(registry_newest_anchor(r, &first.sign, &has, &found, &err), &err);
    assert_true(has && hash_equal(&found, &first.anchor));
    update(r, 1, 1, "of an agent that says none");
    ok(registry_anchor_of(r, &heart, 1, 1, &has, &found, &err), &err);
    assert_false(has);
    ok(keep_update(r, 0, "update of 0", 11, &of_0_second, &second, 31, &err), &err);
    ok(registry_newest_anchor(r, &first.sign, &has, &found, &err), &err);
    assert_true(has && hash_equal(&found, &second.anchor));
    ok(registry_newest_anchor(r, &other, &has, &found, &err), &err);
    assert_false(has);
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

static void an_update_kept_under_a_hash_that_is_not_its_own_is_not_handed_out(void **state)
{
    (void)state;
    struct error err = {0};
    struct seen s = {0};
    const struct hash right = hash_of("one", 3);
    const struct hash wrong = hash_of("two", 3);
    struct registry *r = started(":memory:");
    everybody_accepts(r);
    ok(keep_update(r, 0, "one", 3, &right, NULL, 30, &err), &err);
    assert_int_equal(held(r, 1).n, 1);
    ok(keep_update(r, 0, "one", 3, &right, NULL, 31, &err), &err); /* again */
    ok(keep_update(r, 1, "one", 3, &wrong, NULL, 30, &err), &err);
    assert_int_equal(registry_each_update(r, &heart, 1, see, &s, &err), RC_FORMAT);
    assert_string_equal(err.text, "the registry is damaged: the update of site 1 has another hash");
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
                     "SELECT (SELECT count(*) FROM held) + (SELECT count(*) FROM place),"
                     " (SELECT count(*) FROM server_state)",
                     &st, &err),
       &err);
    ok(statement_step(st, &row, &err), &err);
    assert_int_equal(statement_i64(st, 0), 0);
    assert_int_equal(statement_i64(st, 1), 1);
    store_close(&file);
    assert_int_equal(size_of("-held"), 0);
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

/* ---- masked rounds --------------------------------------------------------------------------- */

static struct round_machine restored_masked(struct registry *r, uint64_t lost_max, enum rc want)
{
    struct error err = {0};
    struct round_machine m;
    round_init(&m, SITES, QUORUM, ROUNDS, 1000, 2000, 0);
    round_mask(&m, lost_max, 100);
    assert_int_equal(registry_restore(r, &heart, &m, &err), want);
    return m;
}

static void a_lost_round_gives_its_number_away_for_good(void **state)
{
    (void)state;
    struct error err = {0};

    struct registry *r = started(path);
    everybody_accepts(r);
    update(r, 1, 2, "masked");
    ok(registry_keep_phase(r, &heart, 1, 0, "keys", 4, &err), &err);
    ok(registry_lose_round(r, &heart, 1, "2 of 4 dealt shares", 60, &err), &err);
    assert_int_equal(registry_lose_round(r, &heart, 1, "again", 61, &err), RC_STATE);
    assert_int_equal(registry_keep_part(r, &heart, 1, 0, "late", 4, "", 1, &err), RC_STATE);
    assert_int_equal(registry_keep_phase(r, &heart, 1, 1, "late", 4, &err), RC_STATE);
    assert_int_equal(registry_open_round(r, &heart, 1, 1, &err), RC_STATE);
    registry_close(&r);
    r = opened(path);
    struct round_machine m = restored_masked(r, 1, RC_OK);
    stands(&m, ROUND_OPEN, 2);
    assert_int_equal(round_finished(&m), 0);
    assert_int_equal(round_contributors(&m), 0);
    assert_int_equal(round_restore(&m, 5), ROUND_CAST_ROUND);
    (void)restored_masked(r, 0, RC_FORMAT); /* more than the study has to spare */
    ok(registry_open_round(r, &heart, 2, 1, &err), &err);
    for (uint64_t round = 2; round <= ROUNDS + 1; round++) {
        a_whole_round(r, round, "model");
    }
    m = restored_masked(r, 1, RC_OK);
    stands(&m, ROUND_DONE, ROUNDS + 1);
    assert_int_equal(round_finished(&m), ROUNDS + 1);
    registry_close(&r);
    remove_files();
}

static void a_phase_of_a_round_ends_once(void **state)
{
    (void)state;
    struct error err = {0};
    const void *bytes = NULL;
    size_t n = 0;
    bool found = true;
    struct registry *r = started(":memory:");
    everybody_accepts(r);
    ok(registry_open_round(r, &heart, 1, 1, &err), &err);
    ok(registry_phase(r, &heart, 1, 0, &found, &bytes, &n, &err), &err);
    assert_false(found);
    ok(registry_keep_phase(r, &heart, 1, 0, "keys", 4, &err), &err);
    ok(registry_keep_phase(r, &heart, 1, 0, "keys", 4, &err), &err); /* harmless */
    assert_int_equal(registry_keep_phase(r, &heart, 1, 0, "kexs", 4, &err), RC_STATE);
    assert_int_equal(registry_keep_phase(r, &heart, 2, 0, "keys", 4, &err), RC_STATE);
    ok(registry_phase(r, &heart, 1, 0, &found, &bytes, &n, &err), &err);
    assert_true(found);
    assert_int_equal(n, 4);
    assert_memory_equal(bytes, "keys", 4);
    ok(registry_phase(r, &heart, 1, 1, &found, &bytes, &n, &err), &err);
    assert_false(found);
    a_whole_round(r, 1, "model 1");
    ok(registry_phase(r, &heart, 1, 0, &found, &bytes, &n, &err), &err);
    assert_false(found); /* of use only while the round is open */
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

/* Each on top of the one before. */
static void damage_held(size_t which)
{
    char file[320];
    (void)snprintf(file, sizeof file, "%s-held", path);
    const int fd = open(file, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    if (which == 0) {
        assert_int_equal(pwrite(fd, "U", 1, 0), 1);
    } else if (which == 1) {
        edit("UPDATE place SET at = 9223372036854775807");
    } else {
        edit("UPDATE place SET at = 0");
        assert_int_equal(ftruncate(fd, 5), 0);
    }
    (void)close(fd);
}

static void bytes_that_changed_are_never_handed_out(void **state)
{
    (void)state;
    struct error err = {0};
    uint64_t round = 0;
    const void *p = NULL;
    size_t n = 0;
    struct seen s = {0};
    unsigned char bytes[7];
    static const char *const damage[][2] = {
        {"UPDATE state_piece SET bytes = CAST('mOm' AS BLOB) WHERE piece = 0",
         "UPDATE state_piece SET bytes = CAST('mom' AS BLOB) WHERE piece = 0"},
        {"UPDATE state_piece SET bytes = zeroblob(4) WHERE piece = 2", /* more than there may be */
         "UPDATE state_piece SET bytes = CAST('1' AS BLOB) WHERE piece = 2"},
        {"UPDATE state_piece SET bytes = x'' WHERE piece = 1",
         "UPDATE state_piece SET bytes = CAST('ent' AS BLOB) WHERE piece = 1"},
        {"UPDATE state_piece SET piece = 9 WHERE piece = 0",
         "UPDATE state_piece SET piece = 0 WHERE piece = 9"}};
    struct registry *r = started(path);
    everybody_accepts(r);
    a_whole_round(r, 1, "model 1");
    update(r, 2, 1, "update of 1");
    registry_close(&r);
    for (size_t i = 0; i < 3; i++) { /* another byte, a place beyond the end, a file that was cut */
        damage_held(i);
        r = opened(path);
        assert_int_equal(registry_each_update(r, &heart, 2, see, &s, &err), RC_FORMAT);
        assert_int_equal(s.n, 0);
        registry_close(&r);
    }
    edit("DELETE FROM place");
    r = opened(path);
    assert_int_equal(registry_each_update(r, &heart, 2, see, &s, &err), RC_FORMAT);
    model_is(r, 1, "model 1");
    registry_close(&r);
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        edit(damage[i][0]);
        r = opened(path);
        assert_int_equal(registry_state(r, &heart, bytes, sizeof bytes, &err), RC_FORMAT);
        assert_non_null(strstr(err.text, "damaged"));
        registry_close(&r);
        edit(damage[i][1]);
        r = opened(path);
        model_is(r, 1, "model 1");
        assert_int_equal(registry_state(r, &heart, bytes, 6, &err), RC_FORMAT);
        registry_close(&r);
    }
    edit("UPDATE model SET bytes = x'00' WHERE round = 1");
    r = opened(path);
    assert_int_equal(registry_model(r, &heart, &round, &p, &n, &err), RC_FORMAT);
    registry_close(&r);
}

/* ---- enrolment ------------------------------------------------------------------------------- */

static struct seal_card card_of(const struct seal_keys *keys, enum seal_role role, const char *name)
{
    struct error err = {0};
    struct seal_card card = {0};
    ok(seal_card_make(keys, role, name, role == SEAL_SITE ? "" : "tcp://a.example:7100", &card,
                      &err),
       &err);
    return card;
}

/* A card of fresh keys. */
static struct seal_card fresh_card(const char *name)
{
    struct error err = {0};
    struct seal_keys *keys = NULL;
    ok(seal_keys_random(&keys, &err), &err);
    const struct seal_card card = card_of(keys, SEAL_SITE, name);
    seal_keys_close(&keys);
    return card;
}

static void enrol(struct registry *r, const struct seal_card *card, int64_t now_ms)
{
    struct error err = {0};
    ok(registry_enrol(r, card, now_ms, &err), &err);
}

static void refuses_card(struct registry *r, const struct seal_card *card, enum rc want,
                         const char *says)
{
    struct error err = {0};
    const enum rc rc = registry_enrol(r, card, 1, &err);
    if (rc != want || strstr(err.text, says) == NULL) {
        fail_msg("%s: '%s', not '%s'", rc_name(rc), err.text, says);
    }
}

struct enrolled {
    size_t n;
    struct seal_card card[8];
    int64_t enrolled_ms[8], revoked_ms[8];
};

static void see_card(void *ctx, const struct seal_card *card, int64_t enrolled_ms,
                     int64_t revoked_ms)
{
    struct enrolled *e = ctx;
    assert_true(e->n < 8);
    e->card[e->n] = *card;
    e->enrolled_ms[e->n] = enrolled_ms;
    e->revoked_ms[e->n] = revoked_ms;
    e->n++;
}

static struct enrolled cards(struct registry *r)
{
    struct error err = {0};
    struct enrolled e = {0};
    ok(registry_each_card(r, see_card, &e, &err), &err);
    return e;
}

static void same_card(const struct seal_card *a, const struct seal_card *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->role, b->role);
    assert_memory_equal(a->sign.b, b->sign.b, sizeof a->sign.b);
    assert_memory_equal(a->curve.b, b->curve.b, sizeof a->curve.b);
    assert_memory_equal(a->signature.b, b->signature.b, sizeof a->signature.b);
}

static void
an_enrolled_card_is_there_after_a_restart_and_enrolling_it_again_is_harmless(void **state)
{
    (void)state;
    const struct seal_card va = fresh_card("va");
    const struct seal_card cleveland = fresh_card("cleveland");
    struct registry *r = opened(path);
    assert_int_equal(cards(r).n, 0);
    enrol(r, &va, 5);
    enrol(r, &cleveland, 6);
    enrol(r, &va, 7);
    registry_close(&r);
    r = opened(path);
    const struct enrolled e = cards(r);
    assert_int_equal(e.n, 2);
    same_card(&e.card[0], &cleveland); /* by name */
    same_card(&e.card[1], &va);
    assert_int_equal(e.enrolled_ms[1], 5);
    assert_int_equal(e.revoked_ms[1], 0);
    registry_close(&r);
}

static void a_name_has_one_card_and_keys_belong_to_one_name(void **state)
{
    (void)state;
    struct error err = {0};
    struct seal_keys *keys = NULL;
    ok(seal_keys_random(&keys, &err), &err);
    const struct seal_card va = card_of(keys, SEAL_SITE, "va");
    const struct seal_card same_keys = card_of(keys, SEAL_SITE, "budapest");
    const struct seal_card coordinator = card_of(keys, SEAL_COORDINATOR, "heart");
    const struct seal_card same_name = fresh_card("va");
    struct seal_card one_key = fresh_card("budapest");
    one_key.curve = va.curve; /* whoever signs another's transport key does not have it */
    seal_keys_close(&keys);

    struct registry *r = opened(":memory:");
    refuses_card(r, &coordinator, RC_INVALID, "only sites are enrolled");
    enrol(r, &va, 5);
    refuses_card(r, &same_name, RC_STATE, "'va' is enrolled with other keys");
    refuses_card(r, &same_keys, RC_STATE, "is enrolled as 'va'");
    refuses_card(r, &one_key, RC_STATE, "is enrolled as 'va'");
    const struct enrolled e = cards(r);
    assert_int_equal(e.n, 1);
    same_card(&e.card[0], &va);
    registry_close(&r);
}

static void a_revoked_card_never_comes_back_and_new_keys_may(void **state)
{
    (void)state;
    struct error err = {0};
    const struct seal_card old = fresh_card("va");
    const struct seal_card new = fresh_card("va");
    const struct seal_card other = fresh_card("cleveland");
    struct registry *r = opened(path);
    assert_int_equal(registry_revoke(r, "va", "", 7, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "nobody yet"));
    enrol(r, &old, 5);
    enrol(r, &other, 5);
    assert_int_equal(registry_revoke(r, "VA", "", 7, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "cleveland, va"));
    ok(registry_revoke(r, "va", "laptop stolen", 7, &err), &err);
    ok(registry_revoke(r, "va", "again", 8, &err), &err);
    registry_close(&r);

    r = opened(path);
    struct enrolled e = cards(r);
    assert_int_equal(e.n, 2);
    assert_int_equal(e.revoked_ms[0], 0);
    assert_int_equal(e.revoked_ms[1], 7);
    refuses_card(r, &old, RC_STATE, "never come back");
    enrol(r, &new, 9);
    e = cards(r);
    assert_int_equal(e.n, 2);
    same_card(&e.card[1], &new);
    assert_int_equal(e.revoked_ms[1], 0);
    refuses_card(r, &old, RC_STATE, "va"); /* also beside the new one */
    registry_close(&r);
}

struct told {
    size_t n;
    char line[8][200];
    bool of_no_study[8];
};

static void tell(void *ctx, const struct registry_entry *e)
{
    static const struct hash none;
    struct told *t = ctx;
    assert_true(t->n < 8);
    (void)snprintf(t->line[t->n], sizeof t->line[0], "%s %s", e->what, e->detail);
    t->of_no_study[t->n] = hash_equal(&e->study, &none);
    t->n++;
}

static void people_s_deeds_are_in_the_audit_once_each(void **state)
{
    (void)state;
    struct error err = {0};
    const struct seal_card va = fresh_card("va");
    struct told t = {0};
    char fingerprint[SEAL_FINGERPRINT];
    char want[3][200];
    struct registry *r = started(":memory:");
    for (int twice = 0; twice < 2; twice++) {
        if (twice == 0) {
            enrol(r, &va, 5);
        }
        ok(registry_revoke(r, "va", "stolen", 6, &err), &err);
        ok(registry_request_abort(r, "heart", "wrong cohort", 7, &err), &err);
    }
    ok(registry_audit(r, tell, &t, &err), &err);
    seal_fingerprint(&va, fingerprint);
    (void)snprintf(want[0], sizeof want[0], "enrol 'va', fingerprint %s", fingerprint);
    (void)snprintf(want[1], sizeof want[1], "revoke 'va', fingerprint %s: stolen", fingerprint);
    (void)snprintf(want[2], sizeof want[2], "abort wrong cohort");
    assert_int_equal(t.n, 4); /* the first is the study's start */
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(t.line[i + 1], want[i]);
        assert_int_equal(t.of_no_study[i + 1], i < 2);
    }
    registry_close(&r);
}

static void a_card_that_was_changed_in_the_file_is_refused(void **state)
{
    (void)state;
    static const char *const edits[] = {
        "UPDATE card SET text = replace(text, 'va', 'vb')",
        "UPDATE card SET text = ''",
        "UPDATE card SET name = 'vb'",
        "UPDATE card SET sign = zeroblob(32)",
        "UPDATE card SET curve = zeroblob(32)",
    };
    const struct seal_card va = fresh_card("va");
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        struct error err = {0};
        struct enrolled e = {0};
        remove_files();
        struct registry *r = opened(path);
        enrol(r, &va, 5);
        registry_close(&r);
        edit(edits[i]);
        r = opened(path);
        assert_int_equal(registry_each_card(r, see_card, &e, &err), RC_FORMAT);
        assert_non_null(strstr(err.text, "damaged"));
        assert_int_equal(e.n, 0);
        registry_close(&r);
    }
}

static void another_connection_s_commit_changes_the_version_and_nothing_else_does(void **state)
{
    (void)state;
    struct error err = {0};
    const struct seal_card va = fresh_card("va");
    struct registry *running = started(path);
    struct registry *person = opened(path);
    uint64_t before = 0;
    uint64_t now = 0;
    ok(registry_version(running, &before, &err), &err);
    member(running, 0, ROUND_ACCEPTED, NULL); /* our own */
    assert_int_equal(cards(person).n, 0);     /* a reader */
    ok(registry_version(running, &now, &err), &err);
    assert_int_equal(now, before);
    model_is(running, 0, "model 0"); /* what it lends out does not keep the file as it was */
    enrol(person, &va, 5);
    ok(registry_version(running, &now, &err), &err);
    assert_int_not_equal(now, before);
    assert_int_equal(cards(running).n, 1);
    before = now;
    enrol(person, &va, 5); /* known: nothing is committed */
    ok(registry_version(running, &now, &err), &err);
    assert_int_equal(now, before);
    ok(registry_revoke(person, "va", "", 6, &err), &err);
    ok(registry_version(running, &now, &err), &err);
    assert_int_not_equal(now, before);
    registry_close(&person);
    registry_close(&running);
}

/* ---- people and studies ---------------------------------------------------------------------- */

struct studies {
    size_t n;
    struct registry_study study[4];
};

static void see_study(void *ctx, const struct registry_study *study)
{
    struct studies *s = ctx;
    assert_true(s->n < 4);
    s->study[s->n++] = *study;
}

static struct registry_study only_study(struct registry *r)
{
    struct error err = {0};
    struct studies s = {0};
    ok(registry_each_study(r, see_study, &s, &err), &err);
    assert_int_equal(s.n, 1);
    return s.study[0];
}

static void is_at(struct registry *r, enum registry_study_state state, uint64_t finished,
                  uint64_t open)
{
    const struct registry_study s = only_study(r);
    assert_int_equal(s.state, state);
    assert_int_equal(s.rounds_finished, finished);
    assert_int_equal(s.round_open, open);
}

static void the_list_of_studies_says_where_each_one_is(void **state)
{
    (void)state;
    struct error err = {0};
    struct registry *r = opened(":memory:");
    struct studies none = {0};
    ok(registry_each_study(r, see_study, &none, &err), &err);
    assert_int_equal(none.n, 0);
    registry_close(&r);

    r = started(":memory:");
    is_at(r, REGISTRY_JOINING, 0, 0);
    member(r, 0, ROUND_ACCEPTED, NULL);
    member(r, 2, ROUND_ACCEPTED, NULL);
    member(r, 3, ROUND_MEMBER_DECLINED, "beyond policy");
    ok(registry_open_round(r, &heart, 1, 25, &err), &err);
    is_at(r, REGISTRY_RUNNING, 0, 1);
    ok(registry_keep_agreement(r, &heart, 2, "signed", 6, 26, &err), &err);
    a_whole_round(r, 1, "model 1");
    is_at(r, REGISTRY_RUNNING, 1, 2);
    a_whole_round(r, 2, "model 2");
    is_at(r, REGISTRY_FINISHED, 2, 0);
    const struct registry_study s = only_study(r);
    assert_string_equal(s.name, "heart");
    assert_true(hash_equal(&s.hash, &heart));
    assert_int_equal(s.n_sites, SITES);
    assert_int_equal(s.n_accepted, 2);
    assert_int_equal(s.n_declined, 1);
    assert_int_equal(s.rounds, 2);
    assert_int_equal(s.started_ms, 10);
    assert_int_equal(s.changed_ms, 40);
    assert_string_equal(s.reason, "");
    assert_false(s.abort_requested);

    enum round_member answer = ROUND_UNKNOWN;
    char why[240] = "?";
    ok(registry_member(r, &heart, 1, &answer, why, &err), &err);
    assert_int_equal(answer, ROUND_UNKNOWN);
    assert_string_equal(why, "");
    ok(registry_member(r, &heart, 3, &answer, why, &err), &err);
    assert_int_equal(answer, ROUND_MEMBER_DECLINED);
    assert_string_equal(why, "beyond policy");
    assert_int_equal(registry_member(r, &heart, SITES, &answer, why, &err), RC_INVALID);
    registry_close(&r);
}

static void a_failed_study_is_listed_with_its_reason(void **state)
{
    (void)state;
    static const bool who[SITES] = {false, true, false, false};
    struct error err = {0};
    struct registry *r = started(":memory:");
    a_whole_round(r, 1, "model 1");
    update(r, 2, 1, "alone");
    ok(registry_commit_failure(r, &heart, 2, who, SITES, "below quorum", 50, &err), &err);
    is_at(r, REGISTRY_STUDY_FAILED, 1, 0);
    assert_string_equal(only_study(r).reason, "below quorum");
    registry_close(&r);
}

static void an_agreement_is_kept_once_and_comes_back(void **state)
{
    (void)state;
    struct error err = {0};
    const void *bytes = NULL;
    size_t n = 0;
    struct registry *r = started(path);
    assert_int_equal(registry_agreement(r, &heart, &bytes, &n, &err), RC_STATE);
    ok(registry_keep_agreement(r, &heart, ROUNDS, "signed\0bytes", 12, 20, &err), &err);
    ok(registry_keep_agreement(r, &heart, ROUNDS, "others", 6, 21, &err), &err);
    registry_close(&r);
    r = opened(path);
    ok(registry_agreement(r, &heart, &bytes, &n, &err), &err);
    assert_int_equal(n, 12);
    assert_memory_equal(bytes, "signed\0bytes", n);
    const struct hash stranger = hash_of("liver", 5);
    assert_int_equal(registry_keep_agreement(r, &stranger, 1, "x", 1, 20, &err), RC_STATE);
    registry_close(&r);
    edit("UPDATE agreement SET bytes = x'00'");
    r = opened(path);
    assert_int_equal(registry_agreement(r, &heart, &bytes, &n, &err), RC_FORMAT);
    registry_close(&r);
}

static void a_request_to_stop_is_seen_by_the_running_one_and_stays(void **state)
{
    (void)state;
    struct error err = {0};
    bool requested = true;
    char why[240] = "?";
    struct registry *running = started(path);
    struct registry *person = opened(path);
    ok(registry_abort_requested(running, &heart, &requested, why, &err), &err);
    assert_false(requested);
    assert_int_equal(registry_request_abort(person, "liver", "", 30, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "studies here: heart"));
    ok(registry_request_abort(person, "heart", "wrong cohort", 30, &err), &err);
    ok(registry_request_abort(person, "heart", "once more", 31, &err), &err);
    ok(registry_abort_requested(running, &heart, &requested, why, &err), &err);
    assert_true(requested);
    assert_string_equal(why, "wrong cohort");
    assert_true(only_study(running).abort_requested);
    registry_close(&person);
    registry_close(&running);
}

static void a_study_that_has_ended_cannot_be_stopped(void **state)
{
    (void)state;
    static const bool nobody[SITES] = {false};
    struct error err = {0};
    struct registry *r = opened(":memory:");
    assert_int_equal(registry_request_abort(r, "heart", "", 30, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "none yet"));
    registry_close(&r);
    r = started(":memory:");
    ok(registry_keep_agreement(r, &heart, 1, "signed", 6, 20, &err), &err);
    a_whole_round(r, 1, "model 1");
    assert_int_equal(registry_request_abort(r, "heart", "", 30, &err), RC_STATE);
    assert_non_null(strstr(err.text, "all of its 1 rounds are done"));
    registry_close(&r);
    r = started(":memory:");
    ok(registry_commit_failure(r, &heart, 0, nobody, SITES, "no quorum", 50, &err), &err);
    assert_int_equal(registry_request_abort(r, "heart", "", 60, &err), RC_STATE);
    assert_non_null(strstr(err.text, "no quorum"));
    registry_close(&r);
}

struct versions {
    size_t n;
    struct registry_model_row row[8];
};

static void see_version(void *ctx, const struct registry_model_row *row)
{
    struct versions *v = ctx;
    assert_true(v->n < 8);
    v->row[v->n++] = *row;
}

static void of_old_models_the_hash_stays_and_of_the_newest_the_bytes(void **state)
{
    (void)state;
    static const char *const model[] = {"model 0", "model 1", "model 2", "model 3"};
    struct error err = {0};
    struct versions v = {0};
    const void *bytes = NULL;
    size_t n = 0;
    struct registry *r = started(path);
    r->models_bytes_max = 15; /* two of seven bytes */
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        a_whole_round(r, round, model[round]);
    }
    ok(registry_each_model(r, &heart, see_version, &v, &err), &err);
    assert_int_equal(v.n, 4);
    for (size_t i = 0; i < v.n; i++) {
        const struct hash want = hash_of(model[i], 7);
        assert_int_equal(v.row[i].round, i);
        assert_int_equal(v.row[i].bytes, 7);
        assert_int_equal(v.row[i].at_ms, i == 0 ? 10 : 40);
        assert_true(hash_equal(&v.row[i].model, &want));
        assert_int_equal(v.row[i].stored, i >= 2);
        const enum rc rc = registry_model_of(r, &heart, i, &bytes, &n, &err);
        assert_int_equal(rc, i >= 2 ? RC_OK : RC_STATE);
        if (rc == RC_OK) {
            assert_int_equal(n, 7);
            assert_memory_equal(bytes, model[i], n);
        } else {
            assert_non_null(strstr(err.text, "no longer stored"));
        }
    }
    assert_int_equal(registry_model_of(r, &heart, 4, &bytes, &n, &err), RC_STATE);
    assert_non_null(strstr(err.text, "not there yet"));
    assert_int_equal(registry_model_of(r, &heart, UINT64_MAX, &bytes, &n, &err), RC_STATE);
    registry_close(&r);
    r = opened(path); /* restored as before */
    model_is(r, ROUNDS, "model 3");
    const struct round_machine m = restored(r);
    stands(&m, ROUND_DONE, ROUNDS);
    registry_close(&r);
    edit("UPDATE model SET bytes = x'00' WHERE round = 2");
    r = opened(path);
    assert_int_equal(registry_model_of(r, &heart, 2, &bytes, &n, &err), RC_FORMAT);
    registry_close(&r);
}

static void a_round_without_server_state_drops_the_one_before(void **state)
{
    (void)state;
    static const bool nobody[SITES] = {false};
    struct error err = {0};
    unsigned char none[1] = {7};
    struct registry *r = started(":memory:");
    a_whole_round(r, 1, "model 1");
    ok(registry_commit_round(r, &heart, 2, "model 2", 7, none, 0, nobody, SITES, 40, &err), &err);
    ok(registry_state(r, &heart, none, 0, &err), &err);
    assert_int_equal(none[0], 7);
    assert_int_equal(registry_state(r, &heart, none, 1, &err), RC_FORMAT);
    registry_close(&r);
}

/* What a round writes and drops makes room for the next one, and does not stay in the log. */
static void the_file_does_not_grow_with_the_rounds(void **state)
{
    (void)state;
    enum { BYTES = 400000, MANY = 12, EARLY = 3 };
    static unsigned char bytes[BYTES];
    static const bool who[SITES] = {true, true, true, true};
    struct error err = {0};
    bool resumed = false;
    off_t early = 0;
    struct registry *r = opened(path);
    r->models_bytes_max = 2 * (size_t)BYTES;
    r->piece_bytes = REGISTRY_PIECE_BYTES / 8;
    ok(registry_start(r, "heart", &heart, SITES, bytes, BYTES, 1, &resumed, &err), &err);
    for (uint64_t round = 1; round <= MANY; round++) {
        memset(bytes, (int)round, BYTES);
        for (size_t i = 0; i < SITES; i++) {
            ok(registry_keep_part(r, &heart, round, i, bytes, BYTES, "", 1, &err), &err);
        }
        ok(registry_commit_round(r, &heart, round, bytes, BYTES, bytes, BYTES, who, SITES, 1, &err),
           &err);
        assert_int_equal(size_of("-wal"), 0);
        assert_int_equal(size_of("-held"), 0);
        early = round == EARLY ? size_of("") : early;
    }
    assert_true(size_of("") <= early + 64 * 1024); /* hashes and audit entries of nine rounds */
    registry_close(&r);
}

static void one_model_larger_than_all_room_is_still_kept(void **state)
{
    (void)state;
    struct registry *r = started(":memory:");
    r->models_bytes_max = 3;
    a_whole_round(r, 1, "model 1");
    a_whole_round(r, 2, "model 2");
    model_is(r, 2, "model 2");
    registry_close(&r);
}

static void a_registry_of_the_first_program_opens_with_all_its_models(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = NULL;
    struct statement *st = NULL;
    struct store_kind first = registry_store_kind;
    struct versions v = {0};
    first.n_migrations = 1;
    heart = hash_of("heart", 5);
    ok(store_open(path, &first, &s, &err), &err);
    ok(store_prepare(s, "INSERT INTO study VALUES (1, 'heart', ?, 4, 1, 10)", &st, &err), &err);
    statement_bind_blob(st, heart.b, sizeof heart.b);
    ok(statement_run(st, &err), &err);
    ok(store_prepare(s, "INSERT INTO model VALUES (1, ?, ?, 10, ?)", &st, &err), &err);
    for (int round = 0; round < 2; round++) {
        const char *bytes = round == 0 ? "model 0" : "first";
        const struct hash hash = hash_of(bytes, strlen(bytes));
        statement_bind_i64(st, round);
        statement_bind_blob(st, hash.b, sizeof hash.b);
        statement_bind_blob(st, bytes, strlen(bytes));
        ok(statement_run(st, &err), &err);
    }
    const struct hash moments = hash_of("moment1", 7);
    ok(store_prepare(s, "INSERT INTO server_state VALUES (1, 1, ?, CAST('moment1' AS BLOB))", &st,
                     &err),
       &err);
    statement_bind_blob(st, moments.b, sizeof moments.b);
    ok(statement_run(st, &err), &err);
    store_close(&s);

    struct registry *r = opened(path);
    ok(registry_each_model(r, &heart, see_version, &v, &err), &err);
    assert_true(has_state(r, 1)); /* was in one piece, beside its hash */
    assert_int_equal(v.n, 2);
    assert_int_equal(v.row[1].bytes, 5);
    assert_true(v.row[0].stored);
    is_at(r, REGISTRY_RUNNING, 1, 2);
    a_whole_round(r, 2, "model 2");
    model_is(r, 2, "model 2");
    registry_close(&r);
}

/* registry_keep_updates of such bytes, hashed here; NULL: they cannot be had. */
struct offered {
    const char *const *bytes;
    struct hash hash[SITES];
};

static enum rc offered_bytes(void *ctx, size_t index, const void **data, size_t *n,
                             struct error *err)
{
    const struct offered *o = ctx;
    (void)err;
    *data = o->bytes[index];
    *n = o->bytes[index] != NULL ? strlen(o->bytes[index]) : 0;
    return RC_OK;
}

static enum rc together(struct registry *r, uint64_t round, struct registry_update *u,
                        const char *const *bytes, size_t count, struct error *err)
{
    struct offered o = {.bytes = bytes};
    for (size_t i = 0; i < count; i++) {
        o.hash[i] = bytes[i] != NULL ? hash_of(bytes[i], strlen(bytes[i])) : (struct hash){{0}};
        u[i].hash = &o.hash[i];
    }
    return registry_keep_updates(r, &heart, round, u, count, offered_bytes, &o, 30, err);
}

static void updates_that_arrive_together_are_kept_but_for_those_that_may_not_be(void **state)
{
    (void)state;
    static const char *const bytes[SITES] = {"update of 0", "other bytes", "after all", NULL};
    static const char *const later[1] = {"update of 3"};
    struct registry_update u[SITES] = {{.site = 0}, {.site = 1}, {.site = 2}, {.site = 3}};
    struct registry_update rest = {.site = 3};
    struct error err = {0};
    bool found = false;
    struct hash said = {{0}};
    struct registry *r = started(path);
    everybody_accepts(r);
    update(r, 1, 1, "update of 1");
    sits_out(r, 1, 2, "no quota");
    const struct registry_anchor a = {.sign = hash_of("key", 3), .anchor = hash_of("row", 3)};
    u[0].anchor = &a;
    for (int twice = 0; twice < 2; twice++) { /* the second time all is there already */
        ok(together(r, 1, u, bytes, SITES, &err), &err);
        assert_true(u[0].kept);
        assert_true(u[1].refused && !u[1].kept);
        assert_non_null(strstr(u[1].why, "site 1 has answered round 1 otherwise"));
        assert_true(u[2].refused && !u[2].kept);
        assert_false(u[3].refused || u[3].kept);
    }
    ok(registry_anchor_of(r, &heart, 1, 0, &found, &said, &err), &err);
    assert_true(found && hash_equal(&said, &a.anchor));
    assert_int_equal(held(r, 1).n, 2);
    ok(together(r, 1, &rest, later, 1, &err), &err);
    assert_true(rest.kept);
    const struct seen s = held(r, 1);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.bytes[0], "update of 0");
    assert_string_equal(s.bytes[1], "update of 1");
    registry_close(&r);
}

static void updates_that_end_a_round_need_no_bytes_and_are_named_in_its_outcome(void **state)
{
    (void)state;
    static const bool three[SITES] = {true, true, true, false};
    struct error err = {0};
    struct registry *r = started(path);
    bool found = false;
    struct hash said = {{0}};
    const struct hash one = hash_of("update of 1", 11);
    const struct hash two = hash_of("update of 2", 11);
    const struct registry_anchor a = {.sign = hash_of("key", 3), .anchor = hash_of("row", 3)};
    struct registry_update last[] = {{.site = 1, .hash = &one, .anchor = &a},
                                     {.site = 2, .hash = &two}};
    everybody_accepts(r);
    update(r, 1, 0, "update of 0");
    sits_out(r, 1, 2, "no quota");
    assert_int_equal(registry_commit_round_with(r, &heart, 1, last, 2, "m", 1, "moment1", 7, three,
                                                SITES, 40, &err),
                     RC_STATE); /* one has answered otherwise: none is kept */
    assert_non_null(strstr(err.text, "site 2 has answered round 1 otherwise"));
    assert_int_equal(held(r, 1).n, 1);
    const struct round_machine m = restored(r);
    stands(&m, ROUND_OPEN, 1);
    err = (struct error){0};
    assert_int_equal(registry_commit_round_with(r, &heart, 1, last, 1, "m", 1, "moment1", 7, three,
                                                SITES, 40, &err),
                     RC_STATE); /* and nobody is named whose update did not come */
    static const bool both[SITES] = {true, true, false, false};
    err = (struct error){0};
    ok(registry_commit_round_with(r, &heart, 1, last, 1, "m", 1, "moment1", 7, both, SITES, 40,
                                  &err),
       &err);
    model_is(r, 1, "m");
    ok(registry_anchor_of(r, &heart, 1, 1, &found, &said, &err), &err);
    assert_true(found && hash_equal(&said, &a.anchor));
    assert_int_equal(registry_keep_part(r, &heart, 1, 1, "other", 5, "", 1, &err), RC_STATE);
    registry_close(&r);
}

/* Killed behind the write, or before the cut: bytes that no row names are written over, and cut off. */
static void what_a_kill_left_behind_the_updates_counts_for_nothing(void **state)
{
    (void)state;
    struct error err = {0};
    bool resumed = false;
    struct registry *r = started(path);
    everybody_accepts(r);
    update(r, 1, 0, "update of 0");
    registry_close(&r);
    char file[320];
    (void)snprintf(file, sizeof file, "%s-held", path);
    FILE *f = fopen(file, "abe");
    assert_non_null(f);
    assert_int_equal(fwrite("left by a kill", 1, 14, f), 14);
    assert_int_equal(fclose(f), 0);
    r = opened(path);
    update(r, 1, 1, "of 1");
    assert_int_equal(size_of("-held"), 11 + 14);
    const struct seen s = held(r, 1);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.bytes[0], "update of 0");
    assert_string_equal(s.bytes[1], "of 1");
    ok(registry_start(r, "heart", &heart, SITES, "model 0", 7, 2, &resumed, &err), &err);
    assert_true(resumed);
    assert_int_equal(size_of("-held"), 11 + 4);
    assert_int_equal(held(r, 1).n, 2);
    registry_close(&r);
}

enum { LARGE_N = (1 << 19) + 777, PAGE = 4096 };
static unsigned char large_bytes[SITES][LARGE_N + 2 * PAGE];

/* Where that of each site lies: from the beginning of a page on, or not. */
static unsigned char *large_of(size_t site)
{
    return large_bytes[site] + (PAGE - (uintptr_t)large_bytes[site] % PAGE) + site % 2 * 3;
}

static enum rc is_large(void *ctx, size_t site, const void *bytes, size_t n, struct error *err)
{
    size_t *seen = ctx;
    (void)err;
    if (site == 1) {
        assert_int_equal(n, 8);
        assert_memory_equal(bytes, "of a few", 8);
    } else {
        assert_int_equal(n, LARGE_N - site);
        assert_memory_equal(bytes, large_of(site), n);
    }
    ++*seen;
    return RC_OK;
}

/* Past the page cache what it is aligned for, the rest through it. */
static void large_updates_come_back_as_they_were_wherever_they_lay(void **state)
{
    (void)state;
    struct error err = {0};
    struct registry *r = started(path);
    everybody_accepts(r);
    for (size_t i = SITES; i-- > 0;) {
        unsigned char *bytes = large_of(i);
        for (size_t k = 0; k < LARGE_N; k++) {
            bytes[k] = (unsigned char)(k * 31 + (k >> 8) * 7 + i);
        }
        const void *given = i == 1 ? (const void *)"of a few" : bytes;
        ok(registry_keep_part(r, &heart, 1, i, given, i == 1 ? 8 : LARGE_N - i, NULL, 30, &err),
           &err);
    }
    for (size_t again = 0; again < 2; again++) {
        size_t seen = 0;
        ok(registry_each_update(r, &heart, 1, is_large, &seen, &err), &err);
        assert_int_equal(seen, SITES);
        registry_close(&r);
        r = opened(path);
    }
    registry_close(&r);
}

static void tidying_apart_changes_when_and_not_what(void **state)
{
    (void)state;
    struct registry *r = started(path);
    everybody_accepts(r);
    registry_tidy_apart(r);
    update(r, 1, 0, "update of 0");
    update(r, 1, 2, "update of 2");
    const bool two[SITES] = {true, false, true, false};
    struct error err = {0};
    ok(commit(r, 1, "model 1", two, &err), &err);
    assert_int_equal(size_of("-held"), 22);
    assert_true(size_of("-wal") > 0);
    struct registry *other = opened(path); /* as if it had been killed here */
    model_is(other, 1, "model 1");
    registry_close(&other);
    registry_tidy(r);
    assert_int_equal(size_of("-held"), 0);
    assert_true(size_of("-wal") > 0); /* not worth a wait yet */
    model_is(r, 1, "model 1");
    registry_close(&r);
}

/* The end of round 1 and an update of round 2, kept together. */
static void end_and_begin(struct registry *r)
{
    struct error err = {0};
    const bool two[SITES] = {true, false, true, false};
    registry_tidy_apart(r);
    ok(registry_together(r, &err), &err);
    ok(commit(r, 1, "model 1", two, &err), &err);
    ok(registry_open_round(r, &heart, 2, 40, &err), &err);
    update(r, 2, 1, "of the next one");
    model_is(r, 1, "model 1");
}

/* Killed before it was settled, the disk has what it had, and its updates' bytes, too. */
static void what_is_kept_together_counts_when_it_is_settled_and_spoils_nothing_before(void **state)
{
    (void)state;
    struct error err = {0};
    int status = 1;
    struct registry *r = started(path);
    registry_tidy_apart(r);
    ok(registry_together(r, &err), &err);
    everybody_accepts(r);
    ok(registry_settle(r, &err), &err);
    update(r, 1, 0, "update of 0");
    update(r, 1, 2, "update of 2");
    registry_close(&r);
    (void)fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        r = opened(path);
        end_and_begin(r);
        _exit(0); /* nothing is closed */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    r = opened(path);
    model_is(r, 0, "model 0");
    const struct seen before = held(r, 1);
    assert_int_equal(before.n, 2);
    assert_string_equal(before.bytes[0], "update of 0");
    assert_string_equal(before.bytes[1], "update of 2");
    end_and_begin(r);
    ok(registry_settle(r, &err), &err);
    registry_close(&r);
    r = opened(path);
    model_is(r, 1, "model 1");
    const struct seen after = held(r, 2);
    assert_int_equal(after.n, 1);
    assert_string_equal(after.bytes[0], "of the next one");
    registry_close(&r);
}

static enum rc count_bytes(void *ctx, size_t site, const void *update, size_t n, struct error *err)
{
    (void)site;
    (void)update;
    (void)err;
    *(size_t *)ctx += n;
    return RC_OK;
}

static void a_large_update_that_an_older_program_hashed_in_one_piece_is_handed_out(void **state)
{
    (void)state;
    static unsigned char large[HASH_TREE_FROM + 1];
    struct error err = {0};
    struct registry *r = started(path);
    const struct hash before = hash_before_trees(large, sizeof large);
    const struct hash now = hash_of(large, sizeof large);
    assert_false(hash_equal(&before, &now));
    everybody_accepts(r);
    ok(keep_update(r, 0, large, sizeof large, &before, NULL, 30, &err), &err);
    ok(keep_update(r, 1, large, sizeof large, &now, NULL, 30, &err), &err);
    size_t n = 0;
    ok(registry_each_update(r, &heart, 1, count_bytes, &n, &err), &err);
    assert_int_equal(n, 2 * sizeof large);
    registry_close(&r);
}

static void updates_that_an_older_program_held_in_the_database_are_handed_out(void **state)
{
    (void)state;
    struct registry *r = started(path);
    everybody_accepts(r);
    update(r, 1, 0, "update of 0");
    update(r, 1, 2, "update of 2");
    registry_close(&r);
    edit("DELETE FROM place WHERE site = 2");
    edit("INSERT INTO held VALUES (1, 1, 2, CAST('update of 2' AS BLOB))");
    r = opened(path);
    const struct seen s = held(r, 1);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.bytes[0], "update of 0");
    assert_string_equal(s.bytes[1], "update of 2");
    registry_close(&r);
}

/* ---- killed ---------------------------------------------------------------------------------- */

enum deed { START, ACCEPT, PART, TOGETHER, ROUND, FAILURE, ENROL, REVOKE, AGREE, ABORT, DEEDS };

static struct seal_card enrolled_card,
    new_card; /* made by prepare: parent and child have the same */

static enum rc keep_two(struct registry *r, struct error *err)
{
    static const char *const bytes[] = {"update of 1", "update of 3"};
    struct registry_update u[] = {{.site = 1}, {.site = 3}};
    return together(r, 2, u, bytes, 2, err);
}

/* Round 2 ends, well or not, with an update of site 1 that arrived last. */
static enum rc end_with_one(struct registry *r, bool failed, struct error *err)
{
    static const bool three[SITES] = {true, true, true, false};
    const struct hash last = hash_of("update of 1", 11);
    const struct registry_update u = {.site = 1, .hash = &last};
    if (failed) {
        return registry_commit_failure_with(r, &heart, 2, &u, 1, three, SITES, "below", 1, err);
    }
    return registry_commit_round_with(r, &heart, 2, &u, 1, "model 2", 7, "moment2", 7, three, SITES,
                                      40, err);
}

static enum rc do_it(struct registry *r, enum deed deed, struct error *err)
{
    const struct hash other = hash_of("other", 5);
    bool resumed = false;
    r->models_bytes_max = 7; /* so that a round also drops old bytes */
    switch (deed) {
    case START:
        return registry_start(r, "liver", &other, SITES, "m", 1, 1, &resumed, err);
    case ACCEPT:
        return registry_keep_member(r, &heart, 3, ROUND_ACCEPTED, "", 1, err);
    case PART:
        return registry_keep_part(r, &heart, 2, 1, "update of 1", 11, "", 1, err);
    case TOGETHER:
        return keep_two(r, err);
    case ROUND:
        return end_with_one(r, false, err);
    case FAILURE:
        return end_with_one(r, true, err);
    case ENROL:
        return registry_enrol(r, &new_card, 1, err);
    case REVOKE:
        return registry_revoke(r, "va", "stolen", 1, err);
    case AGREE:
        return registry_keep_agreement(r, &heart, ROUNDS, "signed", 6, 1, err);
    case ABORT:
        return registry_request_abort(r, "heart", "stop", 1, err);
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
    enrolled_card = fresh_card("va");
    new_card = fresh_card("cleveland");
    enrol(r, &enrolled_card, 1);
    registry_close(&r);
}

/* The two files as prepare left them, so that a hundred lives begin without a hundred preparations. */
static struct remembered {
    const char *end;
    unsigned char bytes[1 << 20];
    size_t n;
} before[2] = {{.end = ""}, {.end = "-held"}};

static FILE *remembered_file(const struct remembered *b, const char *mode)
{
    char file[320];
    (void)snprintf(file, sizeof file, "%s%s", path, b->end);
    FILE *f = fopen(file, mode);
    assert_non_null(f);
    return f;
}

static void remember(void)
{
    for (size_t i = 0; i < 2; i++) {
        struct remembered *b = &before[i];
        FILE *f = remembered_file(b, "rbe");
        b->n = fread(b->bytes, 1, sizeof b->bytes, f);
        assert_int_equal(fclose(f), 0);
        assert_in_range(b->n, 1, sizeof b->bytes - 1);
    }
}

static void begin_again(void)
{
    remove_files();
    for (size_t i = 0; i < 2; i++) {
        const struct remembered *b = &before[i];
        FILE *f = remembered_file(b, "wbe");
        assert_int_equal(fwrite(b->bytes, 1, b->n, f), b->n);
        assert_int_equal(fclose(f), 0);
    }
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

struct entries {
    const char *like;
    size_t n;
};

static void count_entry(void *ctx, const struct registry_entry *e)
{
    struct entries *c = ctx;
    char line[200];
    (void)snprintf(line, sizeof line, "%s %s", e->what, e->detail);
    c->n += strncmp(line, c->like, strlen(c->like)) == 0;
}

/* "" of who has answered. */
static bool has_answered(struct registry *r, size_t site, uint64_t round)
{
    struct error err = {0};
    char reason[240] = "";
    ok(registry_absence(r, &heart, round, site, reason, &err), &err);
    return reason[0] == '\0';
}

static bool is_new_card(struct registry *r, bool revoked)
{
    const struct enrolled e = cards(r);
    return revoked ? e.revoked_ms[e.n - 1] != 0 : e.n == 2;
}

/* What one transaction wrote beside its audit entry. */
static int written_of(struct registry *r, enum deed deed)
{
    struct error err = {0};
    const void *p = NULL;
    size_t size = 0;
    uint64_t round = 0;
    bool wanted = false;
    char why[240];
    struct versions v = {0};
    const struct hash other = hash_of("other", 5);
    const struct round_machine m = restored(r);
    switch (deed) {
    case START:
        return registry_model(r, &other, &round, &p, &size, &err) == RC_OK;
    case ACCEPT:
        return m.member[3] == ROUND_ACCEPTED;
    case PART:
        return (m.part[1] == ROUND_CONTRIBUTED) +
               (held(r, 2).n == 3); /* fails where the part is there without its bytes */
    case TOGETHER:
        return (int)held(r, 2).n - 2;
    case ROUND:
        ok(registry_model(r, &heart, &round, &p, &size, &err), &err);
        ok(registry_each_model(r, &heart, see_version, &v, &err), &err);
        return (round == 2) + has_outcome(r, 2) + (m.round == 3) + (v.n == 3) + !v.row[1].stored +
               has_state(r, 2) + has_answered(r, 1, 2);
    case FAILURE:
        return (m.state == ROUND_FAILED) + has_outcome(r, 2) + has_answered(r, 1, 2);
    case ENROL:
        return is_new_card(r, false);
    case REVOKE:
        return is_new_card(r, true);
    case AGREE:
        return registry_agreement(r, &heart, &p, &size, &err) == RC_OK;
    case ABORT:
        ok(registry_abort_requested(r, &heart, &wanted, why, &err), &err);
        return wanted;
    case DEEDS:
        break;
    }
    return 0;
}

/* Everything that one transaction wrote, counted in one number: 0 none of it, `all` all. */
static size_t written(struct registry *r, enum deed deed)
{
    static const char *const what[DEEDS] = {
        "start 'liver'", "accept site 3",     "?", "?",         "round round 2", "failure round 2",
        "enrol 'clev",   "revoke 'va', fing", "?", "abort stop"};
    struct error err = {0};
    struct entries c = {.like = what[deed]};
    ok(registry_audit(r, count_entry, &c, &err), &err);
    return c.n + (size_t)written_of(r, deed);
}

static void killed_at_any_point_a_transaction_is_whole_or_absent(void **state)
{
    (void)state;
    prepare();
    remember();
    static const size_t all[DEEDS] = {2, 2, 2, 2, 8, 4, 2, 2, 1, 2};
    for (enum deed deed = START; deed < DEEDS; deed++) {
        size_t n_whole = 0;
        for (int point = 0;; point++) {
            begin_again();
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
        /* Killed right after the commit, and not at all; where the updates are cut off, in that, too. */
        assert_int_equal(n_whole, deed == ROUND || deed == FAILURE ? 6 : 2);
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
        cmocka_unit_test(an_anchor_is_kept_with_its_update_and_remembered_by_the_site_s_key),
        cmocka_unit_test(the_first_answer_to_a_round_stands),
        cmocka_unit_test(updates_come_in_order_of_sites_and_stop_at_the_first_failure),
        cmocka_unit_test(an_update_kept_under_a_hash_that_is_not_its_own_is_not_handed_out),
        ON_DISK(a_committed_round_has_model_state_and_outcome_and_drops_its_updates),
        cmocka_unit_test(an_outcome_names_exactly_the_sites_whose_updates_are_held),
        ON_DISK(a_failed_study_keeps_its_reason_and_takes_nothing_more),
        cmocka_unit_test_setup_teardown(a_lost_round_gives_its_number_away_for_good, make_folder,
                                        remove_folder),
        cmocka_unit_test(a_phase_of_a_round_ends_once),
        cmocka_unit_test(a_restored_machine_is_the_one_that_was_killed),
        ON_DISK(an_announced_round_is_open_after_a_restart_also_without_an_answer),
        cmocka_unit_test(who_accepted_too_late_for_a_round_is_not_waited_for_after_a_restart),
        cmocka_unit_test(the_audit_tells_the_story_in_order),
        cmocka_unit_test(an_entry_is_bound_to_all_before_it),
        ON_DISK(an_edited_audit_a_stranger_and_a_newer_file_are_refused),
        ON_DISK(bytes_that_changed_are_never_handed_out),
        ON_DISK(an_enrolled_card_is_there_after_a_restart_and_enrolling_it_again_is_harmless),
        cmocka_unit_test(a_name_has_one_card_and_keys_belong_to_one_name),
        ON_DISK(a_revoked_card_never_comes_back_and_new_keys_may),
        cmocka_unit_test(people_s_deeds_are_in_the_audit_once_each),
        ON_DISK(a_card_that_was_changed_in_the_file_is_refused),
        ON_DISK(another_connection_s_commit_changes_the_version_and_nothing_else_does),
        cmocka_unit_test(the_list_of_studies_says_where_each_one_is),
        cmocka_unit_test(a_failed_study_is_listed_with_its_reason),
        ON_DISK(an_agreement_is_kept_once_and_comes_back),
        ON_DISK(a_request_to_stop_is_seen_by_the_running_one_and_stays),
        cmocka_unit_test(a_study_that_has_ended_cannot_be_stopped),
        ON_DISK(of_old_models_the_hash_stays_and_of_the_newest_the_bytes),
        cmocka_unit_test(a_round_without_server_state_drops_the_one_before),
        ON_DISK(the_file_does_not_grow_with_the_rounds),
        ON_DISK(updates_that_arrive_together_are_kept_but_for_those_that_may_not_be),
        ON_DISK(large_updates_come_back_as_they_were_wherever_they_lay),
        ON_DISK(tidying_apart_changes_when_and_not_what),
        ON_DISK(what_is_kept_together_counts_when_it_is_settled_and_spoils_nothing_before),
        ON_DISK(a_large_update_that_an_older_program_hashed_in_one_piece_is_handed_out),
        ON_DISK(updates_that_end_a_round_need_no_bytes_and_are_named_in_its_outcome),
        ON_DISK(what_a_kill_left_behind_the_updates_counts_for_nothing),
        ON_DISK(updates_that_an_older_program_held_in_the_database_are_handed_out),
        cmocka_unit_test(one_model_larger_than_all_room_is_still_kept),
        ON_DISK(a_registry_of_the_first_program_opens_with_all_its_models),
        ON_DISK(killed_at_any_point_a_transaction_is_whole_or_absent),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
