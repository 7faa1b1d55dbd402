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

#include "agent/consent/consent.h"
#include "common/store/store.h"

static char folder[64];
static char path[96];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/wardround-consent.XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/consent.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const end[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++) {
        char file[128];
        (void)snprintf(file, sizeof file, "%s%s", path, end[i]);
        (void)unlink(file);
    }
    return rmdir(folder);
}

static struct consent *opened(void)
{
    struct consent *c = NULL;
    struct error err = {0};
    if (consent_open(path, &c, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return c;
}

/* A hash that begins with this byte repeated four times, and ends with another. */
static struct hash hash(unsigned char first, unsigned char last)
{
    struct hash h = {{0}};
    memset(h.b, first, 4);
    h.b[HASH_BYTES - 1] = last;
    return h;
}

static enum rc offer(struct consent *c, const struct hash *h, const char *name, struct error *err)
{
    return consent_offer(c, h, name, "unibas", "study: heart\n", 1000, err);
}

static enum consent_state state_of(struct consent *c, const struct hash *h)
{
    struct error err = {0};
    enum consent_state s = CONSENT_UNKNOWN;
    assert_int_equal(consent_state(c, h, &s, &err), RC_OK);
    return s;
}

static enum rc decide(struct consent *c, const char *name, enum consent_state d, struct error *err)
{
    struct hash which;
    return consent_decide(c, name, d, "anna", 2000, &which, err);
}

static void collect(void *ctx, const struct consent_row *row)
{
    char *to = ctx;
    const size_t used = strlen(to);
    (void)snprintf(to + used, 512 - used, "%s/%s/%s/%s/%s/%lld/%lld/%s", row->name,
                   row->coordinator, consent_state_name(row->state), row->by, row->reason,
                   (long long)row->offered_ms, (long long)row->decided_ms, row->document);
}

static void a_study_waits_until_somebody_approves_it(void **state)
{
    (void)state;
    struct consent *c = opened();
    struct error err = {0};
    struct hash which = {{0}};
    const struct hash h = hash(0xab, 1);
    char all[512] = "";

    assert_int_equal(state_of(c, &h), CONSENT_UNKNOWN);
    assert_int_equal(offer(c, &h, "heart", &err), RC_OK);
    assert_int_equal(state_of(c, &h), CONSENT_OFFERED);
    assert_int_equal(consent_decide(c, "heart", CONSENT_APPROVED, "anna", 2000, &which, &err),
                     RC_OK);
    assert_true(hash_equal(&which, &h));
    assert_int_equal(state_of(c, &h), CONSENT_APPROVED);
    assert_int_equal(consent_each(c, collect, all, &err), RC_OK);
    assert_string_equal(all, "heart/unibas/approved/anna//1000/2000/study: heart\n");
    consent_close(&c);
    assert_null(c);
}

static void studies_are_listed_in_order_of_arrival(void **state)
{
    (void)state;
    struct consent *c = opened();
    struct error err = {0};
    const struct hash first = hash(0xff, 1);
    const struct hash second = hash(0x01, 1);
    char all[512] = "";
    assert_int_equal(offer(c, &first, "zebra", &err), RC_OK);
    assert_int_equal(offer(c, &second, "ant", &err), RC_OK);
    assert_int_equal(decide(c, "zebra", CONSENT_APPROVED, &err), RC_OK);
    assert_int_equal(consent_each(c, collect, all, &err), RC_OK);
    assert_true(strncmp(all, "zebra/", 6) == 0);
    assert_non_null(strstr(all, "\nant/unibas/waits for approval///1000/0/"));
    consent_close(&c);
}

static void an_offer_repeated_changes_nothing(void **state)
{
    (void)state;
    struct consent *c = opened();
    struct error err = {0};
    const struct hash h = hash(0xab, 1);
    char before[512] = "";
    char after[512] = "";
    assert_int_equal(offer(c, &h, "heart", &err), RC_OK);
    assert_int_equal(decide(c, "heart", CONSENT_APPROVED, &err), RC_OK);
    assert_int_equal(consent_each(c, collect, before, &err), RC_OK);
    assert_int_equal(consent_offer(c, &h, "heart", "other", "else", 9999, &err), RC_OK);
    assert_int_equal(consent_each(c, collect, after, &err), RC_OK);
    assert_string_equal(before, after);
    consent_close(&c);
}

static void a_name_belongs_to_one_document(void **state)
{
    (void)state;
    struct consent *c = opened();
    struct error err = {0};
    const struct hash h = hash(0xab, 1);
    const struct hash other = hash(0xcd, 1);
    assert_int_equal(offer(c, &h, "heart", &err), RC_OK);
    assert_int_equal(offer(c, &other, "heart", &err), RC_STATE);
    assert_non_null(strstr(err.text, "a name of its own"));
    assert_int_equal(offer(c, &h, "lung", &err), RC_STATE);
    assert_non_null(strstr(err.text, "known here as 'heart'"));
    assert_int_equal(state_of(c, &other), CONSENT_UNKNOWN);
    consent_close(&c);
}

static void withdrawn_is_final(void **state)
{
    (void)state;
    struct consent *c = opened();
    struct error err = {0};
    const struct hash h = hash(0xab, 1);
    assert_int_equal(offer(c, &h, "heart", &err), RC_OK);
    assert_int_equal(decide(c, "heart", CONSENT_WITHDRAWN, &err), RC_OK);
    assert_int_equal(decide(c, "heart", CONSENT_APPROVED, &err), RC_STATE);
    assert_non_null(strstr(err.text, "a new one under another name")); /* ours, not SQLite's */
    assert_int_equal(offer(c, &h, "heart", &err), RC_OK);
    assert_int_equal(state_of(c, &h), CONSENT_WITHDRAWN);
    consent_close(&c);

    /* also for a program that does not ask us */
    struct store *s = NULL;
    struct statement *st = NULL;
    assert_int_equal(store_open(path, &consent_store_kind, &s, &err), RC_OK);
    assert_int_equal(store_prepare(s, "UPDATE study SET state = 2", &st, &err), RC_OK);
    assert_int_equal(statement_run(st, &err), RC_STATE);
    statement_close(&st);
    assert_int_equal(store_prepare(s, "DELETE FROM study", &st, &err), RC_OK);
    assert_int_equal(statement_run(st, &err), RC_STATE);
    store_close(&s);
}

static void who_decided_first_stands(void **state)
{
    (void)state;
    struct consent *c = opened();
    struct error err = {0};
    struct hash which;
    const struct hash h = hash(0xab, 1);
    char all[512] = "";
    assert_int_equal(offer(c, &h, "heart", &err), RC_OK);
    assert_int_equal(decide(c, "heart", CONSENT_APPROVED, &err), RC_OK);
    assert_int_equal(consent_decide(c, "heart", CONSENT_APPROVED, "ben", 3000, &which, &err),
                     RC_OK);
    assert_int_equal(consent_each(c, collect, all, &err), RC_OK);
    assert_non_null(strstr(all, "/anna//1000/2000/"));
    assert_int_equal(consent_withdraw(c, "heart", "ben", "the board", 4000, &which, &err), RC_OK);
    assert_int_equal(consent_withdraw(c, "heart", "eve", "a lie", 5000, &which, &err), RC_OK);
    all[0] = '\0';
    assert_int_equal(consent_each(c, collect, all, &err), RC_OK);
    assert_non_null(strstr(all, "/withdrawn/ben/the board/1000/4000/"));
    consent_close(&c);
}

static void listed_ended(void *ctx, const struct consent_row *row)
{
    char *to = ctx;
    const size_t used = strlen(to);
    (void)snprintf(to + used, 512 - used, "%s %lld %d;", row->name, (long long)row->ended_ms,
                   row->done);
}

static void a_study_that_has_ended_is_not_decided_about_any_more(void **state)
{
    (void)state;
    struct consent *c = opened();
    struct error err = {0};
    const struct hash done = hash(0xab, 1);
    const struct hash failed = hash(0xcd, 1);
    const struct hash left = hash(0xef, 1);
    const struct hash never = hash(0x11, 1);
    const int64_t end_ms = INT64_C(1764201234567); /* 2025-11-26 */
    char all[512] = "";
    assert_int_equal(offer(c, &done, "done", &err), RC_OK);
    assert_int_equal(offer(c, &failed, "failed", &err), RC_OK);
    assert_int_equal(offer(c, &left, "left", &err), RC_OK);
    assert_int_equal(decide(c, "done", CONSENT_APPROVED, &err), RC_OK);
    assert_int_equal(decide(c, "left", CONSENT_WITHDRAWN, &err), RC_OK);
    assert_int_equal(consent_end(c, &done, true, end_ms, &err), RC_OK);
    assert_int_equal(consent_end(c, &done, false, end_ms + 1, &err), RC_OK); /* again */
    assert_int_equal(consent_end(c, &failed, false, end_ms, &err), RC_OK);
    assert_int_equal(consent_end(c, &left, true, end_ms, &err), RC_OK);
    assert_int_equal(consent_end(c, &never, true, end_ms, &err), RC_OK);
    assert_int_equal(consent_each(c, listed_ended, all, &err), RC_OK);
    assert_string_equal(all, "done 1764201234567 1;failed 1764201234567 0;left 0 0;");

    assert_int_equal(decide(c, "done", CONSENT_APPROVED, &err), RC_STATE);
    assert_string_equal(err.text,
                        "study 'done' has ended here on 2025-11-26; nothing is left to approve");
    assert_int_equal(decide(c, "failed", CONSENT_WITHDRAWN, &err), RC_STATE);
    assert_string_equal(
        err.text, "study 'failed' has ended here on 2025-11-26; nothing is left to withdraw from");
    assert_int_equal(offer(c, &done, "done", &err), RC_STATE);
    assert_int_equal(state_of(c, &done), CONSENT_APPROVED);
    assert_int_equal(state_of(c, &failed), CONSENT_OFFERED);
    assert_int_equal(decide(c, "left", CONSENT_WITHDRAWN, &err), RC_OK); /* said before */
    assert_int_equal(decide(c, "nobody", CONSENT_APPROVED, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "none waits"));
    consent_close(&c);
}

static void a_reason_is_kept_for_the_coordinator(void **state)
{
    (void)state;
    struct consent *c = opened();
    struct error err = {0};
    struct hash which;
    const struct hash h = hash(0xab, 1);
    char reason[CONSENT_REASON_MAX] = "?";
    char longer[CONSENT_REASON_MAX + 1];
    memset(longer, 'x', sizeof longer);
    longer[CONSENT_REASON_MAX] = '\0';

    assert_int_equal(offer(c, &h, "heart", &err), RC_OK);
    assert_int_equal(consent_reason(c, &h, reason, &err), RC_OK);
    assert_string_equal(reason, "");
    assert_int_equal(consent_withdraw(c, "heart", "anna", longer, 1, &which, &err), RC_LIMIT);
    assert_int_equal(state_of(c, &h), CONSENT_OFFERED);
    longer[CONSENT_REASON_MAX - 1] = '\0';
    assert_int_equal(consent_withdraw(c, "heart", "anna", longer, 1, &which, &err), RC_OK);
    assert_int_equal(consent_reason(c, &h, reason, &err), RC_OK);
    assert_string_equal(reason, longer);
    consent_close(&c);
}

static void a_hash_may_be_shortened_while_it_fits_one_study(void **state)
{
    (void)state;
    struct consent *c = opened();
    struct error err = {0};
    struct hash which = {{0}};
    const struct hash a = hash(0xab, 1);
    const struct hash b = hash(0xab, 2);
    char hex[HASH_HEX];
    assert_int_equal(offer(c, &a, "heart", &err), RC_OK);
    assert_int_equal(decide(c, "abababa", CONSENT_APPROVED, &err), RC_INVALID); /* 7 digits */
    assert_int_equal(consent_decide(c, "ABababab", CONSENT_APPROVED, "anna", 1, &which, &err),
                     RC_OK);
    assert_true(hash_equal(&which, &a));
    assert_int_equal(offer(c, &b, "lung", &err), RC_OK);
    assert_int_equal(decide(c, "abababab", CONSENT_WITHDRAWN, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "fits 2 studies"));
    hash_hex(&b, hex);
    assert_int_equal(decide(c, hex, CONSENT_WITHDRAWN, &err), RC_OK);
    assert_int_equal(state_of(c, &a), CONSENT_APPROVED);
    assert_int_equal(state_of(c, &b), CONSENT_WITHDRAWN);
    consent_close(&c);
}

/* A coordinator that names a study like the digits of another does not get the other's approval. */
static void a_name_made_of_another_studys_digits_fits_two(void **state)
{
    (void)state;
    struct consent *c = opened();
    struct error err = {0};
    const struct hash a = hash(0xab, 1);
    const struct hash b = hash(0xcd, 1);
    assert_int_equal(offer(c, &a, "heart", &err), RC_OK);
    assert_int_equal(offer(c, &b, "abababab", &err), RC_OK);
    assert_int_equal(decide(c, "abababab", CONSENT_APPROVED, &err), RC_INVALID);
    assert_int_equal(decide(c, "cdcdcdcd", CONSENT_APPROVED, &err), RC_OK);
    assert_int_equal(state_of(c, &a), CONSENT_OFFERED);
    consent_close(&c);
}

static void an_unknown_study_names_those_that_wait(void **state)
{
    (void)state;
    struct consent *c = opened();
    struct error err = {0};
    const struct hash a = hash(0xab, 1);
    const struct hash b = hash(0xcd, 1);
    assert_int_equal(decide(c, "hart", CONSENT_APPROVED, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "none waits"));
    assert_int_equal(offer(c, &a, "heart", &err), RC_OK);
    assert_int_equal(offer(c, &b, "lung", &err), RC_OK);
    assert_int_equal(decide(c, "hart", CONSENT_APPROVED, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "waiting: heart, lung"));
    assert_int_equal(decide(c, "%", CONSENT_APPROVED, &err), RC_INVALID); /* no patterns */
    assert_int_equal(decide(c, "", CONSENT_APPROVED, &err), RC_INVALID);
    consent_close(&c);
}

static void a_decision_is_seen_by_the_trainer_at_once(void **state)
{
    (void)state;
    struct consent *trainer = opened();
    struct consent *person = opened();
    struct error err = {0};
    const struct hash h = hash(0xab, 1);
    assert_int_equal(offer(trainer, &h, "heart", &err), RC_OK);
    assert_int_equal(decide(person, "heart", CONSENT_APPROVED, &err), RC_OK);
    assert_int_equal(state_of(trainer, &h), CONSENT_APPROVED);
    assert_int_equal(decide(person, "heart", CONSENT_WITHDRAWN, &err), RC_OK);
    assert_int_equal(state_of(trainer, &h), CONSENT_WITHDRAWN);
    consent_close(&person);
    consent_close(&trainer);
}

static void a_decision_outlives_a_crash(void **state)
{
    (void)state;
    const struct hash h = hash(0xab, 1);
    (void)fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error err = {0};
        struct consent *c = NULL;
        const int failed = consent_open(path, &c, &err) != RC_OK ||
                           offer(c, &h, "heart", &err) != RC_OK ||
                           decide(c, "heart", CONSENT_WITHDRAWN, &err) != RC_OK;
        _exit(failed); /* nothing closed */
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct consent *c = opened();
    assert_int_equal(state_of(c, &h), CONSENT_WITHDRAWN);
    consent_close(&c);
}

static void the_file_is_private_and_a_strangers_is_refused(void **state)
{
    (void)state;
    struct consent *c = opened();
    struct error err = {0};
    struct stat st = {0};
    struct store *s = NULL;
    static const char *const other[] = {"CREATE TABLE t (x INTEGER) STRICT;"};
    const struct store_kind stranger = {77, "other", 1, other};
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    consent_close(&c);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(store_open(path, &stranger, &s, &err), RC_OK);
    store_close(&s);
    assert_int_equal(consent_open(path, &c, &err), RC_FORMAT);
    assert_null(c);
}

/* For a report: it may not make a record of consents where one was lost. */
static void read_only_it_is_read_and_never_made(void **state)
{
    (void)state;
    struct consent *c = NULL;
    struct error err = {0};
    char all[512] = "";
    const struct hash h = hash(0xab, 1);
    assert_int_equal(consent_open_reading(path, &c, &err), RC_IO);
    assert_null(c);
    assert_int_equal(access(path, F_OK), -1);
    struct consent *trainer = opened();
    assert_int_equal(offer(trainer, &h, "heart", &err), RC_OK);
    assert_int_equal(consent_open_reading(path, &c, &err), RC_OK);
    assert_int_equal(decide(trainer, "heart", CONSENT_WITHDRAWN, &err), RC_OK);
    assert_int_equal(consent_each(c, collect, all, &err), RC_OK);
    assert_non_null(strstr(all, "heart"));
    assert_int_equal(state_of(c, &h), CONSENT_WITHDRAWN);
    assert_int_not_equal(consent_end(c, &h, true, 9000, &err), RC_OK);
    consent_close(&c);
    consent_close(&trainer);
}

static void every_state_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(consent_state_name(CONSENT_UNKNOWN), "unknown");
    assert_string_equal(consent_state_name(CONSENT_OFFERED), "waits for approval");
    assert_string_equal(consent_state_name(CONSENT_APPROVED), "approved");
    assert_string_equal(consent_state_name(CONSENT_WITHDRAWN), "withdrawn");
}

#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(a_study_waits_until_somebody_approves_it),
        WITH_FOLDER(studies_are_listed_in_order_of_arrival),
        WITH_FOLDER(an_offer_repeated_changes_nothing),
        WITH_FOLDER(a_name_belongs_to_one_document),
        WITH_FOLDER(withdrawn_is_final),
        WITH_FOLDER(who_decided_first_stands),
        WITH_FOLDER(a_study_that_has_ended_is_not_decided_about_any_more),
        WITH_FOLDER(a_reason_is_kept_for_the_coordinator),
        WITH_FOLDER(a_hash_may_be_shortened_while_it_fits_one_study),
        WITH_FOLDER(a_name_made_of_another_studys_digits_fits_two),
        WITH_FOLDER(an_unknown_study_names_those_that_wait),
        WITH_FOLDER(a_decision_is_seen_by_the_trainer_at_once),
        WITH_FOLDER(a_decision_outlives_a_crash),
        WITH_FOLDER(the_file_is_private_and_a_strangers_is_refused),
        WITH_FOLDER(read_only_it_is_read_and_never_made),
        cmocka_unit_test(every_state_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
