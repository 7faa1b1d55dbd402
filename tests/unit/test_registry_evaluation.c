#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "aggregator/registry/registry.h"
#include "tests/support/folder.h"

static char folder[FOLDER_PATH_MAX];
static char path[FOLDER_PATH_MAX + 16];
static struct hash heart;
enum { SITES = 3 };

static int make_folder(void **state)
{
    (void)state;
    const int rc = folder_make("registry_evaluation", folder);
    (void)snprintf(path, sizeof path, "%s/registry.db", folder);
    heart = hash_of("heart", 5);
    return rc;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const end[] = {"", "-wal", "-shm", "-held"};
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++) {
        char file[FOLDER_PATH_MAX + 32];
        (void)snprintf(file, sizeof file, "%s%s", path, end[i]);
        (void)unlink(file);
    }
    return rmdir(folder);
}

static void ok(enum rc rc, const struct error *err)
{
    if (rc != RC_OK) {
        fail_msg("%s", err->text);
    }
}

static struct registry *opened(void)
{
    struct error err = {0};
    struct registry *r = NULL;
    ok(registry_open(path, &r, &err), &err);
    return r;
}

/* A study of one round and three sites, and its only round if `finished`. */
static struct registry *a_study(bool finished)
{
    struct error err = {0};
    bool resumed = false;
    const bool contributed[SITES] = {true, false, false};
    struct registry *r = opened();
    ok(registry_start(r, "heart", &heart, SITES, "model 0", 7, 10, &resumed, &err), &err);
    ok(registry_keep_agreement(r, &heart, 1, "signed", 6, 10, &err), &err);
    if (finished) {
        ok(registry_keep_member(r, &heart, 0, ROUND_ACCEPTED, NULL, 11, &err), &err);
        ok(registry_open_round(r, &heart, 1, 12, &err), &err);
        ok(registry_keep_part(r, &heart, 1, 0, "update", 6, NULL, 13, &err), &err);
        ok(registry_commit_round(r, &heart, 1, "model 1", 7, NULL, 0, contributed, SITES, 14, &err),
           &err);
    }
    return r;
}

static struct registry_evaluation a_request(const char *name)
{
    struct registry_evaluation e = {.request = hash_of(name, strlen(name)),
                                    .n = strlen(name),
                                    .asked_ms = 100,
                                    .deadline_ms = 700};
    memcpy(e.bytes, name, strlen(name));
    return e;
}

static void ask(struct registry *r, const char *name)
{
    struct error err = {0};
    const struct registry_evaluation e = a_request(name);
    ok(registry_ask_evaluation(r, &heart, &e, "epsilon 1", &err), &err);
}

struct answers {
    char text[256];
};

static enum rc note(void *ctx, size_t site, const void *answer, size_t n, const char *reason,
                    struct error *err)
{
    struct answers *a = ctx;
    const size_t used = strlen(a->text);
    (void)err;
    (void)snprintf(a->text + used, sizeof a->text - used, "%zu:%.*s(%s) ", site, (int)n,
                   answer != NULL ? (const char *)answer : "", reason);
    return RC_OK;
}

static void says(struct registry *r, const char *name, const char *want)
{
    struct error err = {0};
    struct answers a = {""};
    const struct hash request = hash_of(name, strlen(name));
    ok(registry_each_answer(r, &request, note, &a, &err), &err);
    assert_string_equal(a.text, want);
}

static void only_a_finished_study_is_evaluated_and_once_at_a_time(void **state)
{
    (void)state;
    struct error err = {0};
    struct registry_evaluation seen = {.asked_ms = 0};
    const struct registry_evaluation second = a_request("second");
    bool found = true;
    struct registry *r = a_study(false);
    assert_int_equal(registry_ask_evaluation(r, &heart, &second, "", &err), RC_STATE);
    assert_non_null(strstr(err.text, "has no finished model"));
    registry_close(&r);
    r = a_study(true);
    ok(registry_newest_evaluation(r, &heart, &found, &seen, &err), &err);
    assert_false(found);
    ask(r, "first");
    assert_int_equal(registry_ask_evaluation(r, &heart, &second, "", &err), RC_STATE);
    assert_non_null(strstr(err.text, "is being evaluated already"));
    const struct hash first = hash_of("first", 5);
    ok(registry_close_evaluation(r, &first, "0 of 3", 300, &err), &err);
    ok(registry_close_evaluation(r, &first, "again", 400, &err), &err);
    ask(r, "second");
    ok(registry_newest_evaluation(r, &heart, &found, &seen, &err), &err);
    assert_true(found && seen.closed_ms == 0 && seen.n == 6 && seen.deadline_ms == 700);
    assert_memory_equal(seen.bytes, "second", 6);
    registry_close(&r);
}

static void answers_are_kept_over_a_restart_and_the_first_one_stands(void **state)
{
    (void)state;
    struct error err = {0};
    struct registry_evaluation seen = {.asked_ms = 0};
    const struct hash first = hash_of("first", 5);
    bool found = false;
    struct registry *r = a_study(true);
    ask(r, "first");
    ok(registry_keep_answer(r, &first, 2, "counts", 6, NULL, 200, &err), &err);
    ok(registry_keep_answer(r, &first, 0, NULL, 0, "policy", 201, &err), &err);
    registry_close(&r);
    r = opened();
    ok(registry_keep_answer(r, &first, 2, "counts", 6, NULL, 202, &err), &err); /* again */
    ok(registry_keep_answer(r, &first, 0, NULL, 0, "other words", 203, &err), &err);
    assert_int_equal(registry_keep_answer(r, &first, 2, "others", 6, NULL, 204, &err), RC_STATE);
    assert_int_equal(registry_keep_answer(r, &first, 2, NULL, 0, "no", 204, &err), RC_STATE);
    assert_int_equal(registry_keep_answer(r, &first, 0, "counts", 6, NULL, 204, &err), RC_STATE);
    says(r, "first", "0:(policy) 2:counts() ");
    ok(registry_close_evaluation(r, &first, "1 of 3", 300, &err), &err);
    assert_int_equal(registry_keep_answer(r, &first, 1, "late", 4, NULL, 301, &err), RC_STATE);
    ok(registry_keep_answer(r, &first, 2, "counts", 6, NULL, 302, &err), &err); /* said again */
    says(r, "first", "0:(policy) 2:counts() ");
    ok(registry_newest_evaluation(r, &heart, &found, &seen, &err), &err);
    assert_int_equal(seen.closed_ms, 300);
    const struct hash nobody = hash_of("nobody", 6);
    assert_int_equal(registry_keep_answer(r, &nobody, 1, "x", 1, NULL, 1, &err), RC_STATE);
    registry_close(&r);
}

static void note_entry(void *ctx, const struct registry_entry *entry)
{
    struct answers *a = ctx;
    const size_t used = strlen(a->text);
    if (strncmp(entry->what, "evaluat", 7) == 0) {
        (void)snprintf(a->text + used, sizeof a->text - used, "%s: %s; ", entry->what,
                       entry->detail);
    }
}

static void the_audit_tells_of_both_ends(void **state)
{
    (void)state;
    struct error err = {0};
    struct answers a = {""};
    const struct hash first = hash_of("first", 5);
    struct registry *r = a_study(true);
    ask(r, "first");
    ok(registry_close_evaluation(r, &first, "2 of 3", 300, &err), &err);
    ok(registry_audit(r, note_entry, &a, &err), &err);
    assert_string_equal(a.text, "evaluate: epsilon 1; evaluated: 2 of 3; ");
    registry_close(&r);
}

int main(void)
{
#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        ON_DISK(only_a_finished_study_is_evaluated_and_once_at_a_time),
        ON_DISK(answers_are_kept_over_a_restart_and_the_first_one_stands),
        ON_DISK(the_audit_tells_of_both_ends),
    };
    return cmocka_run_group_tests_name("registry_evaluation", tests, NULL, NULL);
}
