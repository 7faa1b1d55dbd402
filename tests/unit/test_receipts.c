#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <dirent.h>

#include "agent/receipts/receipts.h"

static char base[256];
static char folder[300];

static int make_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(base, sizeof base, "%s/wr_receipts_XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(base) == NULL) {
        return -1;
    }
    (void)snprintf(folder, sizeof folder, "%s/receipts", base);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    DIR *d = opendir(folder);
    for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
        char path[600];
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        (void)unlink(path);
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    (void)rmdir(folder);
    return rmdir(base);
}

/* ---- a coordinator that signs ---------------------------------------------------------------- */

struct signer {
    struct seal_keys *keys;
    struct seal_public sign;
    unsigned char frame[sizeof(struct seal_signature) + WIRE_PACKED_MAX];
    size_t n;
};

static struct signer a_signer(void)
{
    struct signer s = {.keys = NULL};
    struct seal_curve curve;
    struct error err = {0};
    if (seal_keys_random(&s.keys, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    seal_keys_public(s.keys, &s.sign, &curve);
    return s;
}

static struct hash filled(unsigned char with)
{
    struct hash h;
    memset(h.b, with, sizeof h.b);
    return h;
}

static unsigned version; /* of the protocol; 0: today's */

/* anchor 0: none */
static void signs(struct signer *s, enum wire_kind kind, uint64_t round, unsigned char anchor)
{
    struct wire_message m;
    struct error err = {0};
    memset(&m, 0, sizeof m);
    m.kind = kind;
    m.version = version;
    (void)snprintf(m.from, sizeof m.from, "coordinator");
    (void)snprintf(m.to, sizeof m.to, "north");
    m.epoch = 7;
    m.sequence = round;
    m.study = filled(0x51);
    m.round = round;
    m.anchor = filled(anchor);
    m.step = kind == WIRE_PULSE;
    m.steps = kind == WIRE_PULSE;
    if (wire_seal(&m, NULL, 0, s->keys, s->frame, sizeof s->frame, &s->n, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
}

static void keeps(struct signer *s, uint64_t round)
{
    struct error err = {0};
    signs(s, WIRE_ACK, round, (unsigned char)(0xa0 + round));
    if (receipts_keep(folder, s->frame, s->n, &s->sign, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
}

static const char *file_of(const struct signer *s)
{
    static char path[600];
    size_t at = (size_t)snprintf(path, sizeof path, "%s/", folder);
    for (size_t i = 0; i < sizeof s->sign.b; i++) {
        at += (size_t)snprintf(path + at, sizeof path - at, "%02x", s->sign.b[i]);
    }
    return path;
}

static void append(const struct signer *s, const char *text)
{
    FILE *f = fopen(file_of(s), "ae");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* ---- what is read ---------------------------------------------------------------------------- */

struct seen {
    size_t n;
    uint64_t sum; /* of rounds */
    struct receipt last;
};

static enum rc note(void *ctx, const struct receipt *r, struct error *err)
{
    struct seen *seen = ctx;
    (void)err;
    seen->n++;
    seen->sum += r->round;
    seen->last = *r;
    return RC_OK;
}

static struct seen read_all(bool newest_only)
{
    struct seen seen = {.n = 0};
    struct error err = {0};
    if (receipts_each(folder, newest_only, note, &seen, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return seen;
}

static void is_refused(enum rc want, const char *says)
{
    struct seen seen = {.n = 0};
    struct error err = {0};
    const enum rc rc = receipts_each(folder, false, note, &seen, &err);
    if (rc != want || strstr(err.text, says) == NULL) {
        fail_msg("want %s with '%s', got %s: %s", rc_name(want), says, rc_name(rc), err.text);
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void a_folder_that_is_not_there_holds_none(void **state)
{
    (void)state;
    assert_int_equal(read_all(false).n, 0);
    assert_int_equal(read_all(true).n, 0);
}

static void what_was_signed_is_read_as_it_was_kept(void **state)
{
    (void)state;
    struct signer s = a_signer();
    keeps(&s, 1);
    keeps(&s, 2);
    const struct seen all = read_all(false);
    assert_int_equal(all.n, 2);
    assert_int_equal(all.sum, 3);
    assert_string_equal(all.last.from, "coordinator");
    assert_string_equal(all.last.to, "north");
    assert_memory_equal(&all.last.signer, &s.sign, sizeof s.sign);
    const struct hash study = filled(0x51);
    const struct hash anchor = filled(0xa2);
    assert_true(hash_equal(&all.last.study, &study));
    assert_true(hash_equal(&all.last.anchor, &anchor));
    seal_keys_close(&s.keys);
}

/* A hospital's agent is replaced in the midst of a study, or between two; it is no reason to doubt its ledger. */
static void receipts_of_earlier_versions_of_the_protocol_are_read(void **state)
{
    (void)state;
    struct signer s = a_signer();
    for (version = WIRE_FIRST; version < WIRE_VERSION; version++) {
        keeps(&s, version);
    }
    assert_int_equal(read_all(true).last.round, WIRE_VERSION - 1);
    assert_int_equal(read_all(false).n, WIRE_VERSION - WIRE_FIRST);
    version = WIRE_VERSION + 1;
    signs(&s, WIRE_ACK, version, 0xa1);
    struct error err = {0};
    assert_int_equal(receipts_keep(folder, s.frame, s.n, &s.sign, &err), RC_STATE);
    version = 0;
    seal_keys_close(&s.keys);
}

static void of_each_key_the_newest_is_found_without_reading_the_rest(void **state)
{
    (void)state;
    struct signer one = a_signer();
    struct signer two = a_signer();
    keeps(&one, 1);
    append(&one, "not a receipt, and nobody looks at it here\n");
    for (uint64_t round = 2; round <= 90; round++) { /* more than what is read from the end */
        keeps(&one, round);
    }
    keeps(&two, 7);
    const struct seen newest = read_all(true);
    assert_int_equal(newest.n, 2);
    assert_int_equal(newest.sum, 97);
    is_refused(RC_FORMAT, ":2: not a signed message in hexadecimal");
    seal_keys_close(&one.keys);
    seal_keys_close(&two.keys);
}

static void a_line_that_a_crash_cut_off_is_no_receipt_and_goes_with_the_next(void **state)
{
    (void)state;
    struct signer s = a_signer();
    keeps(&s, 1);
    append(&s, "0a1b2c");
    assert_int_equal(read_all(false).sum, 1);
    assert_int_equal(read_all(true).sum, 1);
    keeps(&s, 2);
    assert_int_equal(read_all(false).sum, 3);
    assert_int_equal(read_all(true).sum, 2);
    seal_keys_close(&s.keys);
}

static void nothing_but_an_ack_with_an_anchor_is_kept(void **state)
{
    (void)state;
    struct signer s = a_signer();
    struct signer other = a_signer();
    struct error err = {0};
    signs(&s, WIRE_ACK, 1, 0);
    assert_int_equal(receipts_keep(folder, s.frame, s.n, &s.sign, &err), RC_FORMAT);
    signs(&s, WIRE_PULSE, 1, 0);
    assert_int_equal(receipts_keep(folder, s.frame, s.n, &s.sign, &err), RC_FORMAT);
    signs(&s, WIRE_ACK, 1, 0xa1);
    assert_int_equal(receipts_keep(folder, s.frame, s.n, &other.sign, &err), RC_AUTH);
    s.frame[s.n - 1] ^= 1;
    assert_int_equal(receipts_keep(folder, s.frame, s.n, &s.sign, &err), RC_AUTH);
    assert_int_equal(receipts_keep(folder, s.frame, 0, &s.sign, &err), RC_AUTH);
    assert_int_equal(access(folder, F_OK), -1);
    seal_keys_close(&s.keys);
    seal_keys_close(&other.keys);
}

static void a_line_that_was_edited_or_signed_by_another_is_named_with_its_place(void **state)
{
    (void)state;
    struct signer s = a_signer();
    struct signer other = a_signer();
    keeps(&s, 1);
    keeps(&other, 1);
    char text[2 * sizeof other.frame + 2];
    FILE *f = fopen(file_of(&other), "re");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    assert_int_equal(fclose(f), 0);
    append(&s, text);
    is_refused(RC_AUTH, ":2: ");
    seal_keys_close(&s.keys);
    seal_keys_close(&other.keys);
}

static void a_folder_that_cannot_be_written_is_said(void **state)
{
    (void)state;
    struct signer s = a_signer();
    struct error err = {0};
    FILE *f = fopen(folder, "we"); /* a file where the folder should be */
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    signs(&s, WIRE_ACK, 1, 0xa1);
    assert_int_equal(receipts_keep(folder, s.frame, s.n, &s.sign, &err), RC_IO);
    assert_non_null(strstr(err.text, folder));
    assert_int_equal(unlink(folder), 0);
    seal_keys_close(&s.keys);
}

int main(void)
{
#define SENTENCE(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        SENTENCE(a_folder_that_is_not_there_holds_none),
        SENTENCE(what_was_signed_is_read_as_it_was_kept),
        SENTENCE(receipts_of_earlier_versions_of_the_protocol_are_read),
        SENTENCE(of_each_key_the_newest_is_found_without_reading_the_rest),
        SENTENCE(a_line_that_a_crash_cut_off_is_no_receipt_and_goes_with_the_next),
        SENTENCE(nothing_but_an_ack_with_an_anchor_is_kept),
        SENTENCE(a_line_that_was_edited_or_signed_by_another_is_named_with_its_place),
        SENTENCE(a_folder_that_cannot_be_written_is_said),
    };
    return cmocka_run_group_tests_name("receipts", tests, NULL, NULL);
}
