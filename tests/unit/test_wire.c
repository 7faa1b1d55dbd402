/*
 * Besides the tests:  test_wire --golden            prints the lines of the newest tests/golden/wire_v*.txt
 *                     test_wire --corpus FOLDER     writes one file for each kind, for the fuzzer
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/wire/wire.h"

enum { ROOM = 2 * WIRE_PACKED_MAX };

/* ---- the format, written a second time from the protocol's text ------------------------------ */

struct spec {
    enum wire_kind kind;
    const char *name, *must, *may;
};
static const struct spec specs[] = {
    {WIRE_HELLO, "HELLO", "text", ""},
    {WIRE_ACCEPT, "ACCEPT", "study", ""},
    {WIRE_DECLINE, "DECLINE", "study text", ""},
    {WIRE_UPDATE, "UPDATE", "study round tensor tensor_bytes", "anchor"},
    {WIRE_CANNOT, "CANNOT", "study round text", ""},
    {WIRE_GOODBYE, "GOODBYE", "study", ""},
    {WIRE_PROBE, "PROBE", "", ""},
    {WIRE_MASK_KEY, "MASK_KEY", "study round raw raw_bytes", ""},
    {WIRE_MASK_SHARES, "MASK_SHARES", "study round raw raw_bytes", ""},
    {WIRE_MASK_VOTE, "MASK_VOTE", "study round raw raw_bytes", ""},
    {WIRE_MASK_REVEAL, "MASK_REVEAL", "study round raw raw_bytes", ""},
    {WIRE_MASK_LIST, "MASK_LIST", "study round raw raw_bytes", ""},
    {WIRE_SCORES, "SCORES", "study evaluation raw raw_bytes", ""},
    {WIRE_UNSCORED, "UNSCORED", "study evaluation text", ""},
    {WIRE_STUDY, "STUDY", "study raw raw_bytes", "anchor"},
    {WIRE_ROUND, "ROUND", "study round tensor tensor_bytes left_ms", ""},
    {WIRE_ACK, "ACK", "study round", "anchor"},
    {WIRE_OUTCOME, "OUTCOME", "study round tensor tensor_bytes n_sites contributed text", ""},
    {WIRE_DONE, "DONE", "study done text", "round tensor tensor_bytes n_sites contributed"},
    {WIRE_PROBED, "PROBED", "now_ms text", ""},
    {WIRE_MASK_MEMBERS, "MASK_MEMBERS", "study round raw raw_bytes", ""},
    {WIRE_MASK_PARCELS, "MASK_PARCELS", "study round raw raw_bytes", ""},
    {WIRE_MASK_SURVIVORS, "MASK_SURVIVORS", "study round raw raw_bytes", ""},
    {WIRE_MASK_VOTES, "MASK_VOTES", "study round raw raw_bytes", ""},
    {WIRE_EVALUATE, "EVALUATE", "study evaluation raw raw_bytes", ""},
    {WIRE_PULSE, "PULSE", "study round step steps", ""},
    {WIRE_CHUNK, "CHUNK", "tensor tensor_bytes first raw raw_bytes", "study"},
    {WIRE_CREDIT, "CREDIT", "tensor tensor_bytes first until resume", "study together"},
    {WIRE_TRAIN, "TRAIN", "study round tensor tensor_bytes left_ms", ""},
    {WIRE_CANCEL, "CANCEL", "study round", ""},
    {WIRE_COMMIT, "COMMIT", "study round", ""},
    {WIRE_RECEIPT, "RECEIPT", "study round raw raw_bytes", ""},
    {WIRE_POLICY, "POLICY", "study policy", "text"},
    {WIRE_TRAINED, "TRAINED", "study round", ""},
    {WIRE_STORED, "STORED", "study round tensor tensor_bytes anchor", ""},
    {WIRE_COMMITTED, "COMMITTED", "study round tensor tensor_bytes anchor", ""},
    {WIRE_NOT_COMMITTED, "NOT_COMMITTED", "study round text", ""},
    {WIRE_WITHDRAWN, "WITHDRAWN", "study text", ""},
    {WIRE_READY, "READY", "", "text"},
};
static const char envelope[] = "version kind from to epoch sequence";

static const struct field {
    const char *name;
    unsigned number;
    unsigned wire_type; /* 0 varint, 1 fixed64, 2 bytes */
} fields[] = {
    {"version", 1, 0},   {"kind", 2, 0},       {"from", 3, 2},       {"to", 4, 2},
    {"epoch", 5, 1},     {"sequence", 6, 0},   {"study", 7, 2},      {"round", 8, 0},
    {"raw", 16, 2},      {"raw_bytes", 17, 0}, {"tensor", 18, 2},    {"tensor_bytes", 19, 0},
    {"first", 20, 0},    {"until", 21, 0},     {"resume", 22, 0},    {"anchor", 24, 2},
    {"together", 23, 0}, {"left_ms", 32, 0},   {"now_ms", 33, 0},    {"step", 34, 0},
    {"steps", 35, 0},    {"done", 48, 0},      {"n_sites", 49, 0},   {"contributed", 50, 2},
    {"text", 64, 2},     {"policy", 65, 0},    {"evaluation", 9, 2},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool lists(const char *list, const char *name)
{
    const size_t n = strlen(name);
    for (const char *at = strstr(list, name); at != NULL; at = strstr(at + 1, name)) {
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) {
            return true;
        }
    }
    return false;
}

static struct hash hash_filled(unsigned char with)
{
    struct hash h;
    memset(h.b, with, sizeof h.b);
    return h;
}

static const char raw_frame[] = "the signed study, or some bytes of a tensor";

/* Golden bytes were made of these values: never change one. */
static void give(struct wire_message *m, const char *name)
{
    const struct hash raw = hash_of(raw_frame, sizeof raw_frame);
    const char *const text = "Zwölf of 13: Köln is late \xe2\x80\x94 no more";
    m->study = strcmp(name, "study") == 0 ? hash_filled(0x51) : m->study;
    m->round = strcmp(name, "round") == 0 ? 300 : m->round;
    m->evaluation = strcmp(name, "evaluation") == 0 ? hash_filled(0xe7) : m->evaluation;
    m->raw = strcmp(name, "raw") == 0 ? raw : m->raw;
    m->raw_bytes = strcmp(name, "raw_bytes") == 0 ? sizeof raw_frame : m->raw_bytes;
    m->tensor.hash = strcmp(name, "tensor") == 0 ? hash_filled(0x7e) : m->tensor.hash;
    m->tensor.bytes = strcmp(name, "tensor_bytes") == 0 ? 600001 : m->tensor.bytes;
    m->first = strcmp(name, "first") == 0 ? 2 : m->first;
    m->until = strcmp(name, "until") == 0 ? 3 : m->until;
    m->resume = strcmp(name, "resume") == 0 ? true : m->resume;
    m->together = strcmp(name, "together") == 0 ? 8 : m->together;
    m->anchor = strcmp(name, "anchor") == 0 ? hash_filled(0xa2) : m->anchor;
    m->left_ms = strcmp(name, "left_ms") == 0 ? 3600000 : m->left_ms;
    m->now_ms = strcmp(name, "now_ms") == 0 ? 1750000000123 : m->now_ms;
    m->step = strcmp(name, "step") == 0 ? 7 : m->step;
    m->steps = strcmp(name, "steps") == 0 ? 40 : m->steps;
    m->done = strcmp(name, "done") == 0 ? true : m->done;
    m->n_sites = strcmp(name, "n_sites") == 0 ? 13 : m->n_sites;
    if (strcmp(name, "contributed") == 0) {
        m->contributed[0] = 0xfb;
        m->contributed[1] = 0x1f;
    }
    if (strcmp(name, "text") == 0) {
        wire_set_text(m, text);
    }
    m->policy = strcmp(name, "policy") == 0 ? WIRE_POLICY_PENDING : m->policy;
}

/* With all that the kind must have, and all that it may have. */
static struct wire_message sample(const struct spec *spec, bool full)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.kind = spec->kind;
    (void)snprintf(m.from, sizeof m.from, "st.-josef_2");
    (void)snprintf(m.to, sizeof m.to, "Coordinator");
    m.epoch = 0x0102030405060708;
    m.sequence = 129;
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (lists(spec->must, fields[i].name) || (full && lists(spec->may, fields[i].name))) {
            give(&m, fields[i].name);
        }
    }
    if (m.kind == WIRE_POLICY && !full) {
        m.policy = WIRE_POLICY_YES; /* the one that goes without a reason */
    }
    return m;
}

static const struct spec *spec_of(enum wire_kind kind)
{
    for (size_t i = 0; i < COUNT(specs); i++) {
        if (specs[i].kind == kind) {
            return &specs[i];
        }
    }
    fail_msg("no kind %d", kind);
    return NULL;
}

static struct wire_message full(enum wire_kind kind)
{
    return sample(spec_of(kind), true);
}

/* ---- bytes by hand --------------------------------------------------------------------------- */

struct bytes {
    unsigned char b[ROOM];
    size_t n;
};

static struct bytes packed(const struct wire_message *m)
{
    struct bytes out = {.n = 0};
    struct error err = {0};
    if (wire_pack(m, out.b, sizeof out.b, &out.n, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return out;
}

static void add_varint(struct bytes *to, uint64_t x)
{
    for (; x >= 0x80; x >>= 7) {
        to->b[to->n++] = (unsigned char)(x | 0x80);
    }
    to->b[to->n++] = (unsigned char)x;
}

static void add_number(struct bytes *to, unsigned number, uint64_t x)
{
    add_varint(to, (uint64_t)number << 3);
    add_varint(to, x);
}

static void add_bytes(struct bytes *to, unsigned number, const void *data, size_t n)
{
    add_varint(to, (uint64_t)number << 3 | 2);
    add_varint(to, n);
    memcpy(to->b + to->n, data, n);
    to->n += n;
}

static uint64_t read_varint(const struct bytes *from, size_t *at)
{
    uint64_t x = 0;
    unsigned shift = 0;
    unsigned char b = 0x80;
    while ((b & 0x80) != 0) {
        assert_true(*at < from->n);
        b = from->b[(*at)++];
        x |= (uint64_t)(b & 0x7f) << shift;
        shift += 7;
    }
    return x;
}

/* Where field `number` begins and ends; false: it is not there. */
static bool find(const struct bytes *from, unsigned number, size_t *begin, size_t *end)
{
    for (size_t at = 0; at < from->n;) {
        *begin = at;
        const uint64_t tag = read_varint(from, &at);
        switch (tag & 7) {
        case 0:
            (void)read_varint(from, &at);
            break;
        case 1:
            at += 8;
            break;
        case 2: {
            const uint64_t length = read_varint(from, &at);
            at += length;
            break;
        }
        default:
            fail_msg("wire type %u", (unsigned)(tag & 7));
        }
        *end = at;
        if (tag >> 3 == number) {
            return true;
        }
    }
    return false;
}

static struct bytes without(const struct bytes *from, unsigned number)
{
    struct bytes out = *from;
    size_t begin = 0;
    size_t end = 0;
    assert_true(find(from, number, &begin, &end));
    memmove(out.b + begin, out.b + end, out.n - end);
    out.n -= end - begin;
    return out;
}

/* The output of a refusal stays as it was. */
static void assert_refused(const struct bytes *body, enum rc want, const char *says)
{
    struct wire_message out;
    struct wire_message before;
    struct error err = {0};
    memset(&out, 0xa5, sizeof out);
    memset(&before, 0xa5, sizeof before);
    const enum rc rc = wire_unpack(body->b, body->n, &out, &err);
    if (rc != want || strstr(err.text, says) == NULL) {
        fail_msg("want %s with '%s', got %s: %s", rc_name(want), says, rc_name(rc), err.text);
    }
    assert_int_equal(err.rc, rc);
    assert_memory_equal(&out, &before, sizeof out);
}

static void assert_not_packed(const struct wire_message *m, const char *says)
{
    struct bytes out = {.n = 77};
    struct error err = {0};
    const enum rc rc = wire_pack(m, out.b, sizeof out.b, &out.n, &err);
    if (rc != RC_INVALID || strstr(err.text, says) == NULL) {
        fail_msg("want RC_INVALID with '%s', got %s: %s", says, rc_name(rc), err.text);
    }
    assert_int_equal(out.n, 77);
}

static void assert_unpacks_to(const struct bytes *body, const struct wire_message *want)
{
    struct wire_message out;
    struct error err = {0};
    memset(&out, 0xa5, sizeof out);
    if (wire_unpack(body->b, body->n, &out, &err) != RC_OK) {
        fail_msg("%s: %s", wire_kind_name(want->kind), err.text);
    }
    assert_memory_equal(&out, want, sizeof out);
}

/* ---- fields and kinds ------------------------------------------------------------------------ */

static void every_kind_is_read_as_it_was_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(specs); i++) {
        for (int with_may = 0; with_may < 2; with_may++) {
            const struct wire_message m = sample(&specs[i], with_may != 0);
            const struct bytes body = packed(&m);
            assert_unpacks_to(&body, &m);
            assert_string_equal(wire_kind_name(m.kind), specs[i].name);
        }
    }
    assert_string_equal(wire_kind_name(WIRE_UNSPECIFIED), "unknown");
}

static void zero_numbers_are_there_and_not_missing(void **state)
{
    (void)state;
    struct wire_message m = full(WIRE_CREDIT);
    m.first = 0;
    m.until = 0;
    m.resume = false;
    struct bytes body = packed(&m);
    assert_unpacks_to(&body, &m);

    m = full(WIRE_DONE);
    m.done = false;
    memset(m.contributed, 0, sizeof m.contributed);
    body = packed(&m);
    assert_unpacks_to(&body, &m);

    m = full(WIRE_ROUND);
    m.left_ms = 0;
    body = packed(&m);
    assert_unpacks_to(&body, &m);
}

static void a_missing_field_is_refused_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(specs); i++) {
        const struct wire_message m = sample(&specs[i], true);
        const struct bytes body = packed(&m);
        for (size_t f = 0; f < COUNT(fields); f++) {
            if (lists(envelope, fields[f].name) || lists(specs[i].must, fields[f].name)) {
                const struct bytes cut = without(&body, fields[f].number);
                char says[64];
                (void)snprintf(says, sizeof says, "%s is missing", fields[f].name);
                assert_refused(&cut, RC_FORMAT, says);
            }
        }
    }
}

static void a_field_of_another_kind_is_refused_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(specs); i++) {
        for (size_t f = 0; f < COUNT(fields); f++) {
            const char *name = fields[f].name;
            if (lists(envelope, name) || lists(specs[i].must, name) || lists(specs[i].may, name)) {
                continue;
            }
            char says[64];
            (void)snprintf(says, sizeof says, "%s does not belong", name);
            const struct wire_message m = sample(&specs[i], true);
            struct bytes body = packed(&m);
            const unsigned char some[32] = "32 bytes of printable text......";
            if (fields[f].wire_type == 2) {
                add_bytes(&body, fields[f].number, some, sizeof some);
            } else {
                add_number(&body, fields[f].number, 1);
            }
            assert_refused(&body, RC_FORMAT, says);

            struct wire_message wrong = m;
            give(&wrong, name);
            assert_not_packed(&wrong, "does not belong");
        }
    }
}

static void a_zero_is_no_way_to_smuggle_a_field_in(void **state)
{
    (void)state;
    const struct wire_message m = full(WIRE_ACCEPT);
    struct bytes body = packed(&m);
    add_number(&body, 8, 0);
    assert_refused(&body, RC_FORMAT, "ACCEPT: round does not belong");

    body = packed(&m);
    add_bytes(&body, 64, "", 0);
    assert_refused(&body, RC_FORMAT, "ACCEPT: text is empty");
}

static void the_envelope_is_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a b", "Köln", "a/b", "a\nb"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct wire_message m = full(WIRE_ACCEPT);
        (void)snprintf(m.from, sizeof m.from, "%s", bad[i]);
        assert_not_packed(&m, "from is not a name");
        m = full(WIRE_ACCEPT);
        (void)snprintf(m.to, sizeof m.to, "%s", bad[i]);
        assert_not_packed(&m, "to is not a name");
        if (bad[i][0] != '\0') {
            m = full(WIRE_ACCEPT);
            const struct bytes good = packed(&m);
            struct bytes body = without(&good, 3);
            add_bytes(&body, 3, bad[i], strlen(bad[i]));
            assert_refused(&body, RC_FORMAT, "from is not a name");
        }
    }
    struct wire_message m = full(WIRE_ACCEPT);
    memset(m.from, 'a', sizeof m.from); /* no NUL at all */
    assert_not_packed(&m, "from is not a name");

    m = full(WIRE_ACCEPT);
    struct bytes body = packed(&m);
    add_bytes(&body, 4, m.text, WIRE_NAME_MAX);
    assert_refused(&body, RC_FORMAT, "to is too long");

    m = full(WIRE_ACCEPT);
    m.epoch = 0;
    assert_not_packed(&m, "epoch is too small");
    m = full(WIRE_ACCEPT);
    m.sequence = 0;
    assert_not_packed(&m, "sequence is too small");
}

static void an_unknown_kind_field_or_version_is_refused(void **state)
{
    (void)state;
    static const unsigned kinds[] = {0, 15, 27, 63, 4711};
    const struct wire_message m = full(WIRE_ACCEPT);
    const struct bytes good = packed(&m);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct bytes body = without(&good, 2);
        add_number(&body, 2, kinds[i]);
        assert_refused(&body, RC_FORMAT, "is unknown");
        struct wire_message wrong = m;
        wrong.kind = (enum wire_kind)kinds[i];
        assert_not_packed(&wrong, "is unknown");
    }
    struct bytes body = good;
    add_number(&body, 500, 1);
    assert_refused(&body, RC_FORMAT, "field number 500 is unknown");

    /* Another version may have other fields and kinds: it is told first. */
    body = without(&good, 1);
    add_number(&body, 1, 4);
    add_number(&body, 500, 1);
    add_number(&body, 2, 99);
    assert_refused(&body, RC_STATE, "protocol version 4");

    /* Version 1 had the same fields, but hashed many bytes otherwise. */
    body = without(&good, 1);
    add_number(&body, 1, 1);
    assert_refused(&body, RC_STATE, "update the older of the two programs");

    body = without(&good, 1);
    assert_refused(&body, RC_FORMAT, "version is missing");
}

/* `edit` makes the sample of `kind` wrong in the way that `says` tells. Bytes that say the same are
 * made by hand where they can be. */
static void numbers_out_of_their_range_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum wire_kind kind;
        unsigned number;
        uint64_t value;
        const char *says;
    } wrong[] = {
        {WIRE_ACK, 8, 0, "round is too small"},
        {WIRE_ACK, 8, (uint64_t)WIRE_ROUND_MAX + 1, "round is too large"},
        {WIRE_ACK, 8, UINT64_MAX, "round is too large"},
        {WIRE_UPDATE, 19, 0, "tensor_bytes is too small"},
        {WIRE_UPDATE, 19, (uint64_t)WIRE_TENSOR_MAX + 1, "tensor_bytes is too large"},
        {WIRE_STUDY, 17, 0, "raw_bytes is too small"},
        {WIRE_STUDY, 17, WIRE_RAW_MAX + 1, "raw_bytes is too large"},
        {WIRE_CHUNK, 20, 600001, "first is beyond the end"},
        {WIRE_CHUNK, 20, UINT64_MAX, "first is too large"},
        {WIRE_CHUNK, 19, 10, "raw_bytes is more than the tensor"},
        {WIRE_CREDIT, 20, 4, "not in this order"},
        {WIRE_CREDIT, 21, 600002, "not in this order"},
        {WIRE_ROUND, 32, UINT64_MAX, "left_ms is too large"}, /* -1 */
        {WIRE_ROUND, 32, UINT64_C(31) * 24 * 3600 * 1000 + 1, "left_ms is too large"},
        {WIRE_PROBED, 33, UINT64_MAX - 5, "now_ms is too large"},
        {WIRE_PROBED, 33, INT64_MAX, "now_ms is too large"},
        {WIRE_PULSE, 35, 0, "steps is too small"},
        {WIRE_PULSE, 34, 41, "step is beyond steps"},
        {WIRE_OUTCOME, 49, 0, "n_sites is too small"},
        {WIRE_OUTCOME, 49, WIRE_SITES_MAX + 1, "n_sites is too large"},
        {WIRE_OUTCOME, 49, 12, "contributed marks sites beyond"},
        {WIRE_OUTCOME, 49, 17, "contributed is 2 bytes for 17 sites"},
        {WIRE_POLICY, 65, 0, "policy is too small"},
        {WIRE_POLICY, 65, 4, "policy is too large"},
        {WIRE_POLICY, 65, WIRE_POLICY_YES, "text is the reason"},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const struct wire_message m = full(wrong[i].kind);
        const struct bytes good = packed(&m);
        struct bytes body = without(&good, wrong[i].number);
        add_number(&body, wrong[i].number, wrong[i].value);
        assert_refused(&body, RC_FORMAT, wrong[i].says);
    }
    struct wire_message m = full(WIRE_ROUND);
    m.left_ms = -1;
    assert_not_packed(&m, "left_ms is too large");
    m = full(WIRE_CHUNK);
    m.first = m.tensor.bytes;
    assert_not_packed(&m, "first is beyond the end");
    m = full(WIRE_OUTCOME);
    m.contributed[127] = 0x80;
    assert_not_packed(&m, "contributed marks sites beyond");
}

static void what_belongs_together_comes_together(void **state)
{
    (void)state;
    /* DONE of a study that finished no round, with and without its roster. */
    struct wire_message m = full(WIRE_DONE);
    m.round = 0;
    memset(&m.tensor, 0, sizeof m.tensor);
    memset(m.contributed, 0, sizeof m.contributed);
    struct bytes body = packed(&m);
    assert_unpacks_to(&body, &m);
    m.n_sites = 0;
    body = packed(&m);
    assert_unpacks_to(&body, &m);

    static const unsigned halves[] = {18, 19, 49, 50}; /* tensor, n_sites and their other half */
    for (size_t i = 0; i < COUNT(halves); i++) {
        m = full(WIRE_DONE);
        body = packed(&m);
        body = without(&body, halves[i]);
        assert_refused(&body, RC_FORMAT, "both or neither");
    }
    m = full(WIRE_DONE);
    body = packed(&m);
    body = without(&body, 8);
    assert_refused(&body, RC_FORMAT, "tensor without round");
    m.round = 0;
    assert_not_packed(&m, "tensor without round");
    m = full(WIRE_DONE);
    memset(&m.tensor, 0, sizeof m.tensor);
    assert_not_packed(&m, "round without tensor");
    m.tensor.bytes = 1;
    assert_not_packed(&m, "tensor is zero");

    m = full(WIRE_POLICY);
    m.text[0] = '\0';
    assert_not_packed(&m, "text is the reason");
}

static void a_hash_has_32_bytes_that_are_not_all_zero(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 31, 33};
    const unsigned char bytes[64] = {1, 2, 3};
    const struct wire_message m = full(WIRE_ACCEPT);
    const struct bytes good = packed(&m);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct bytes body = without(&good, 7);
        add_bytes(&body, 7, bytes, lengths[i]);
        assert_refused(&body, RC_FORMAT, "ACCEPT: study is ");
    }
    struct bytes body = without(&good, 7);
    add_bytes(&body, 7, bytes + 16, HASH_BYTES);
    assert_refused(&body, RC_FORMAT, "study is zero");
}

/* ---- texts ----------------------------------------------------------------------------------- */

static const char *const good_texts[] = {
    "a",
    " ~",
    "\xc3\xbc",
    "\xc2\xa0",
    "\xe0\xa0\x80",
    "\xe6\x97\xa5\xe6\x9c\xac",
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xf0\x9f\x98\x80",
    "\xf4\x8f\xbf\xbd",
    "\xef\xbf\xbd",
};
static const struct {
    const char *text;
    size_t n;
} bad_texts[] = {
    {"a\nb", 3}, /* another line in the log */
    {"\t", 1},
    {"\x1b[2J", 4},
    {"\x7f", 1},
    {"\xc2\x85", 2},
    {"\xc2\x9b", 2}, /* C1 */
    {"\x80", 1},
    {"\xff", 1},
    {"\xc0\xaf", 2},
    {"\xc1\xbf", 2},
    {"\xe0\x80\xaf", 3},
    {"\xe0\x9f\xbf", 3},
    {"\xf0\x80\x80\xaf", 4},
    {"\xf0\x8f\xbf\xbf", 4}, /* overlong */
    {"\xed\xa0\x80", 3},
    {"\xed\xbf\xbf", 3}, /* surrogates */
    {"\xf4\x90\x80\x80", 4},
    {"\xf5\x80\x80\x80", 4},
    {"\xe2\x82", 2},
    {"\xe2\x82"
     "a",
     3},
    {"\xf0\x9f\x98", 3},
    {"\xe2\x80\xa8", 3},
    {"\xe2\x80\xae", 3},
    {"\xe2\x81\xa6", 3},
    {"\xef\xbb\xbf", 3},
    {"\xef\xbf\xbf", 3},
    {"\xf0\x9f\xbf\xbe", 4},
};

static void only_printable_utf8_is_text(void **state)
{
    (void)state;
    struct wire_message m = full(WIRE_DECLINE);
    for (size_t i = 0; i < COUNT(good_texts); i++) {
        (void)snprintf(m.text, sizeof m.text, "%s", good_texts[i]);
        m.text[strlen(good_texts[i]) + 1] = '\0';
        memset(m.text + strlen(good_texts[i]), 0, sizeof m.text - strlen(good_texts[i]));
        const struct bytes body = packed(&m);
        assert_unpacks_to(&body, &m);
    }
    m = full(WIRE_DECLINE);
    const struct bytes good = packed(&m);
    for (size_t i = 0; i < COUNT(bad_texts); i++) {
        struct bytes body = without(&good, 64);
        add_bytes(&body, 64, bad_texts[i].text, bad_texts[i].n);
        assert_refused(&body, RC_FORMAT, "text is not a sentence");
        memset(m.text, 0, sizeof m.text);
        (void)snprintf(m.text, sizeof m.text, "%s", bad_texts[i].text);
        assert_not_packed(&m, "text is not a sentence");
    }
    m.text[0] = '\0';
    assert_not_packed(&m, "text is not a sentence");
    memset(m.text, 'a', sizeof m.text); /* no NUL at all */
    assert_not_packed(&m, "text is not a sentence");
}

static void a_nul_in_a_name_or_text_is_refused(void **state)
{
    (void)state;
    const struct wire_message m = full(WIRE_DECLINE);
    const struct bytes good = packed(&m);
    static const unsigned numbers[] = {3, 4, 64};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct bytes body = without(&good, numbers[i]);
        add_bytes(&body, numbers[i], "admin\0x", 7);
        assert_refused(&body, RC_FORMAT, "holds a NUL");
        body = without(&good, numbers[i]);
        add_bytes(&body, numbers[i], "admin", 6);
        assert_refused(&body, RC_FORMAT, "holds a NUL");
    }
}

static void any_sentence_can_be_made_fit_to_send(void **state)
{
    (void)state;
    struct wire_message m = full(WIRE_DECLINE);
    wire_set_text(&m, "file 'a\tb\xff\xe2\x82': Stra\xc3\x9f"
                      "e\n");
    assert_string_equal(m.text, "file 'a?b?"
                                "?"
                                "?': Stra\xc3\x9f"
                                "e?");
    for (size_t i = 0; i < COUNT(bad_texts); i++) {
        wire_set_text(&m, bad_texts[i].text);
        (void)packed(&m);
    }
    /* Cut between characters: 2047 bytes are 682 characters of 3 bytes and one byte of the next. */
    char longer[3 * WIRE_TEXT_MAX + 1] = {0};
    for (size_t i = 0; i < WIRE_TEXT_MAX; i++) {
        for (size_t b = 0; b < 3; b++) {
            longer[3 * i + b] = "\xe2\x82\xac"[b];
        }
    }
    wire_set_text(&m, longer);
    assert_int_equal(strlen(m.text), 682 * 3);
    (void)packed(&m);
    wire_set_text(&m, "");
    assert_string_equal(m.text, "");
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static void the_largest_message_fits_where_it_is_promised_to(void **state)
{
    (void)state;
    struct wire_message m = full(WIRE_OUTCOME);
    memset(m.from, 'f', sizeof m.from - 1);
    memset(m.to, 't', sizeof m.to - 1);
    memset(m.text, 'x', sizeof m.text - 1);
    memset(m.contributed, 0xff, sizeof m.contributed);
    m.n_sites = WIRE_SITES_MAX;
    m.round = WIRE_ROUND_MAX;
    m.tensor.bytes = WIRE_TENSOR_MAX;
    m.epoch = UINT64_MAX;
    m.sequence = UINT64_C(1) << 53;
    const struct bytes body = packed(&m);
    assert_true(body.n <= WIRE_PACKED_MAX);
    assert_unpacks_to(&body, &m);
}

static void packing_never_writes_beyond_its_room(void **state)
{
    (void)state;
    const struct wire_message m = full(WIRE_OUTCOME);
    const size_t size = packed(&m).n;
    for (size_t room = 0; room < size; room++) {
        struct bytes out = {.n = 77};
        struct error err = {0};
        memset(out.b, 0x5a, sizeof out.b);
        assert_int_equal(wire_pack(&m, out.b, room, &out.n, &err), RC_LIMIT);
        assert_int_equal(out.n, 77);
        for (size_t i = room; i < size; i++) {
            assert_int_equal(out.b[i], 0x5a);
        }
    }
}

static void a_message_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(specs); i++) {
        const struct wire_message m = sample(&specs[i], false);
        struct bytes body = packed(&m);
        for (size_t n = body.n; n-- > 0;) {
            body.n = n;
            assert_refused(&body, RC_FORMAT, "");
        }
    }
}

static void an_oversized_header_is_refused_before_parsing(void **state)
{
    (void)state;
    static unsigned char large[WIRE_HEADER_MAX + 1];
    struct wire_message out;
    struct error err = {0};
    assert_int_equal(wire_unpack(large, sizeof large, &out, &err), RC_LIMIT);
    assert_non_null(strstr(err.text, "65537 bytes"));
}

static void bytes_that_unpack_to_much_are_refused(void **state)
{
    (void)state;
    static unsigned char large[WIRE_HEADER_MAX];
    struct wire_message out;
    struct error err = {0};
    /* Unknown fields of two bytes: protobuf-c would keep each in 24 and a heap block. */
    for (size_t i = 0; i + 1 < sizeof large; i += 2) {
        large[i] = 15 << 3;
        large[i + 1] = 1;
    }
    assert_int_equal(wire_unpack(large, sizeof large, &out, &err), RC_LIMIT);
    assert_non_null(strstr(err.text, "unpack to more than"));

    /* A known one again and again: each is copied, the last wins. */
    struct bytes text = {.n = 0};
    char many[1000];
    memset(many, 'a', sizeof many);
    add_bytes(&text, 64, many, sizeof many);
    size_t n = 0;
    for (; n + text.n <= sizeof large; n += text.n) {
        memcpy(large + n, text.b, text.n);
    }
    assert_int_equal(wire_unpack(large, n, &out, &err), RC_LIMIT);
}

static void any_byte_changed_is_refused_or_read_as_something_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(specs); i++) {
        const struct wire_message m = sample(&specs[i], true);
        struct bytes body = packed(&m);
        for (size_t at = 0; at < body.n; at++) {
            const unsigned char was = body.b[at];
            for (unsigned x = 1; x < 256; x++) {
                body.b[at] = (unsigned char)(was ^ x);
                struct wire_message out;
                struct error err = {0};
                const enum rc rc = wire_unpack(body.b, body.n, &out, &err);
                if (rc == RC_OK) {
                    const struct bytes again = packed(&out);
                    assert_unpacks_to(&again, &out);
                } else {
                    assert_true(rc == RC_FORMAT || rc == RC_STATE || rc == RC_LIMIT);
                    assert_true(err.text[0] != '\0');
                }
            }
            body.b[at] = was;
        }
    }
}

/* ---- signatures ------------------------------------------------------------------------------ */

struct party {
    struct seal_keys *keys;
    struct seal_public sign;
};

static struct party party_new(void)
{
    struct party p = {0};
    struct error err = {0};
    struct seal_curve curve;
    if (seal_keys_random(&p.keys, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    seal_keys_public(p.keys, &p.sign, &curve);
    return p;
}

static struct bytes sealed(struct wire_message *m, const void *raw, size_t raw_n,
                           const struct party *by)
{
    struct bytes out = {.n = 0};
    struct error err = {0};
    if (wire_seal(m, raw, raw_n, by->keys, out.b, sizeof out.b, &out.n, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return out;
}

static void assert_not_opened(const struct bytes *frame, const void *raw, size_t raw_n,
                              const struct party *by, enum rc want, const char *says)
{
    struct wire_message out;
    struct wire_message before;
    struct error err = {0};
    memset(&out, 0xa5, sizeof out);
    memset(&before, 0xa5, sizeof before);
    const enum rc rc = wire_open(frame->b, frame->n, raw, raw_n, &by->sign, &out, &err);
    if (rc != want || err.rc != want || strstr(err.text, says) == NULL) {
        fail_msg("want %s with '%s', got %s: %s", rc_name(want), says, rc_name(rc), err.text);
    }
    assert_memory_equal(&out, &before, sizeof out);
}

static void a_sealed_message_opens_with_its_raw_frame(void **state)
{
    (void)state;
    struct party a = party_new();
    for (size_t i = 0; i < COUNT(specs); i++) {
        struct wire_message m = sample(&specs[i], true);
        const bool has_raw = m.raw_bytes > 0;
        m.raw_bytes = 0; /* sealing fills them in */
        memset(&m.raw, 0, sizeof m.raw);
        const struct bytes frame =
            sealed(&m, has_raw ? raw_frame : NULL, has_raw ? sizeof raw_frame : 0, &a);
        const struct wire_message want = sample(&specs[i], true);
        assert_memory_equal(&m, &want, sizeof m);
        struct wire_message out;
        struct error err = {0};
        assert_int_equal(wire_open(frame.b, frame.n, raw_frame, has_raw ? sizeof raw_frame : 0,
                                   &a.sign, &out, &err),
                         RC_OK);
        assert_memory_equal(&out, &m, sizeof m);
        assert_true(frame.n <= 64 + WIRE_PACKED_MAX);
    }
    seal_keys_close(&a.keys);
}

static void a_sealed_message_changed_in_any_byte_is_refused(void **state)
{
    (void)state;
    struct party a = party_new();
    struct wire_message m = full(WIRE_CHUNK);
    struct bytes frame = sealed(&m, raw_frame, sizeof raw_frame, &a);
    for (size_t at = 0; at < frame.n; at++) {
        frame.b[at] ^= (unsigned char)(1U << (at % 8));
        assert_not_opened(&frame, raw_frame, sizeof raw_frame, &a, RC_AUTH, "");
        frame.b[at] ^= (unsigned char)(1U << (at % 8));
    }
    unsigned char raw[sizeof raw_frame];
    memcpy(raw, raw_frame, sizeof raw);
    for (size_t at = 0; at < sizeof raw; at++) {
        raw[at] ^= 1;
        assert_not_opened(&frame, raw, sizeof raw, &a, RC_AUTH, "not the one its header names");
        raw[at] ^= 1;
    }
    seal_keys_close(&a.keys);
}

static void a_sealed_message_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct party a = party_new();
    struct wire_message m = full(WIRE_CHUNK);
    struct bytes frame = sealed(&m, raw_frame, sizeof raw_frame, &a);
    for (size_t n = sizeof raw_frame; n-- > 0;) {
        assert_not_opened(&frame, raw_frame, n, &a, RC_AUTH, "raw frame of");
    }
    assert_not_opened(&frame, NULL, 0, &a, RC_AUTH, "raw frame of 0 bytes");
    for (size_t n = frame.n; n-- > 0;) {
        frame.n = n;
        assert_not_opened(&frame, raw_frame, sizeof raw_frame, &a, RC_AUTH, "");
    }
    seal_keys_close(&a.keys);
}

static void unsigned_and_foreign_frames_are_refused(void **state)
{
    (void)state;
    struct party a = party_new();
    struct party b = party_new();
    struct wire_message m = full(WIRE_ACCEPT);
    struct wire_message n = full(WIRE_ACCEPT);
    (void)snprintf(n.from, sizeof n.from, "other");
    struct bytes of_a = sealed(&m, NULL, 0, &a);
    struct bytes of_b = sealed(&n, NULL, 0, &b);
    assert_not_opened(&of_a, NULL, 0, &b, RC_AUTH, "");

    const struct bytes body = packed(&m);
    assert_not_opened(&body, NULL, 0, &a, RC_AUTH, "");
    struct bytes zeros = {.n = 64 + body.n};
    memcpy(zeros.b + 64, body.b, body.n);
    assert_not_opened(&zeros, NULL, 0, &a, RC_AUTH, "");

    /* Two sites' signatures swapped. */
    unsigned char swap[64];
    memcpy(swap, of_a.b, sizeof swap);
    memcpy(of_a.b, of_b.b, sizeof swap);
    memcpy(of_b.b, swap, sizeof swap);
    assert_not_opened(&of_a, NULL, 0, &a, RC_AUTH, "");
    assert_not_opened(&of_a, NULL, 0, &b, RC_AUTH, "");
    assert_not_opened(&of_b, NULL, 0, &a, RC_AUTH, "");
    assert_not_opened(&of_b, NULL, 0, &b, RC_AUTH, "");

    /* A signature that was made for another use. */
    struct seal_signature other;
    struct bytes frame = {.n = 64 + body.n};
    memcpy(frame.b + 64, body.b, body.n);
    seal_sign(a.keys, "wardround study v1", body.b, body.n, &other);
    memcpy(frame.b, other.b, sizeof other.b);
    assert_not_opened(&frame, NULL, 0, &a, RC_AUTH, "");

    /* Signed, and no message: the signer's own fault is told as such. */
    frame.n = 64 + 3;
    memcpy(frame.b + 64, "\x08\x01\x10", 3);
    seal_sign(a.keys, "wardround message v1", frame.b + 64, 3, &other);
    memcpy(frame.b, other.b, sizeof other.b);
    assert_not_opened(&frame, NULL, 0, &a, RC_FORMAT, "");
    seal_keys_close(&a.keys);
    seal_keys_close(&b.keys);
}

static void a_frame_whose_hash_is_known_is_sealed_under_it_and_hashed_by_its_receiver(void **state)
{
    (void)state;
    struct error err = {0};
    struct party a = party_new();
    struct wire_message m = full(WIRE_STUDY);
    struct bytes named = {.n = 0};
    const struct bytes whole = sealed(&m, raw_frame, sizeof raw_frame, &a);
    assert_int_equal(wire_seal_named(&m, a.keys, named.b, sizeof named.b, &named.n, &err), RC_OK);
    assert_int_equal(named.n, whole.n);
    assert_memory_equal(named.b, whole.b, whole.n);
    m.raw.b[3] ^= 1;
    assert_int_equal(wire_seal_named(&m, a.keys, named.b, sizeof named.b, &named.n, &err), RC_OK);
    assert_not_opened(&named, raw_frame, sizeof raw_frame, &a, RC_AUTH, "not the one its header");
    seal_keys_close(&a.keys);
}

static void raw_frames_only_go_with_their_header(void **state)
{
    (void)state;
    struct party a = party_new();
    struct wire_message m = full(WIRE_ACCEPT);
    const struct bytes frame = sealed(&m, NULL, 0, &a);
    assert_not_opened(&frame, raw_frame, sizeof raw_frame, &a, RC_AUTH, "its header says 0");

    static unsigned char large[WIRE_RAW_MAX + 1];
    struct error err = {0};
    struct bytes out = {.n = 77};
    struct wire_message study = full(WIRE_STUDY);
    const struct wire_message before = study;
    assert_int_equal(wire_seal(&study, large, sizeof large, a.keys, out.b, sizeof out.b, &out.n,
                               &err),
                     RC_INVALID);
    assert_int_equal(wire_seal(&study, NULL, 0, a.keys, out.b, sizeof out.b, &out.n, &err),
                     RC_INVALID);
    assert_non_null(strstr(err.text, "STUDY: raw"));
    assert_int_equal(
        wire_seal(&study, raw_frame, sizeof raw_frame, a.keys, out.b, 63, &out.n, &err), RC_LIMIT);
    assert_int_equal(
        wire_seal(&study, raw_frame, sizeof raw_frame, a.keys, out.b, 100, &out.n, &err), RC_LIMIT);
    assert_int_equal(out.n, 77);
    assert_memory_equal(&study, &before, sizeof study);
    assert_not_opened(&frame, large, sizeof large, &a, RC_LIMIT, "raw frame of");

    assert_int_equal(wire_check_raw(&study, raw_frame, sizeof raw_frame, &err), RC_OK);
    assert_int_equal(wire_check_raw(&study, raw_frame, sizeof raw_frame - 1, &err), RC_FORMAT);
    assert_int_equal(wire_check_raw(&study, large, sizeof raw_frame, &err), RC_FORMAT);

    static unsigned char header[WIRE_HEADER_MAX + 1];
    struct wire_message read;
    assert_int_equal(wire_open(header, sizeof header, NULL, 0, &a.sign, &read, &err), RC_LIMIT);
    seal_keys_close(&a.keys);
}

/* ---- order ----------------------------------------------------------------------------------- */

static enum rc took(struct wire_order *o, uint64_t epoch, uint64_t sequence)
{
    struct wire_message m = full(WIRE_ACCEPT);
    struct error err = {0};
    const struct wire_order before = *o;
    m.epoch = epoch;
    m.sequence = sequence;
    const enum rc rc = wire_order_take(o, &m, &err);
    if (rc != RC_OK) {
        assert_memory_equal(o, &before, sizeof before);
    }
    return rc;
}

static void replayed_and_reordered_messages_are_refused(void **state)
{
    (void)state;
    struct wire_order o;
    memset(&o, 0, sizeof o);
    assert_int_equal(took(&o, 50, 3), RC_OK);
    assert_int_equal(took(&o, 50, 3), RC_STATE);
    assert_int_equal(took(&o, 50, 2), RC_STATE);
    assert_int_equal(took(&o, 50, 9), RC_OK); /* some were lost on the way */
    assert_int_equal(took(&o, 50, 8), RC_STATE);
    assert_int_equal(took(&o, 50, 0), RC_STATE);
    assert_int_equal(took(&o, 0, 10), RC_STATE);

    assert_int_equal(took(&o, 40, 1), RC_OK); /* restarted */
    assert_int_equal(took(&o, 50, 10), RC_STATE);
    assert_int_equal(took(&o, 40, 1), RC_STATE);
    assert_int_equal(took(&o, 40, 2), RC_OK);
}

static void epochs_that_were_replaced_stay_closed(void **state)
{
    (void)state;
    struct wire_order o;
    memset(&o, 0, sizeof o);
    for (uint64_t epoch = 1; epoch <= 20; epoch++) {
        assert_int_equal(took(&o, epoch, 1), RC_OK);
        for (uint64_t past = epoch > WIRE_EPOCHS_KEPT ? epoch - WIRE_EPOCHS_KEPT : 1; past < epoch;
             past++) {
            assert_int_equal(took(&o, past, 1000), RC_STATE);
        }
    }
}

/* ---- golden bytes ---------------------------------------------------------------------------- */

static unsigned hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = strchr(digits, c);
    assert_true(c != '\0' && at != NULL);
    return (unsigned)(at - digits);
}

static void decodes(const char *path, unsigned version)
{
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    static char line[2 * ROOM + 64];
    size_t seen = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        if (line[0] == '#') {
            continue;
        }
        char *hex = strchr(line, ' ');
        assert_non_null(hex);
        *hex++ = '\0';
        hex[strcspn(hex, "\n")] = '\0';
        struct bytes body = {.n = strlen(hex) / 2};
        for (size_t i = 0; i < body.n; i++) {
            body.b[i] = (unsigned char)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
        }
        char *must = strstr(line, ".must"); /* as it was before it had a field that it may have */
        if (must != NULL) {
            *must = '\0';
        }
        assert_string_equal(line, specs[seen].name);
        struct wire_message want = sample(&specs[seen], must == NULL);
        want.version = version;
        want.together = version == 2 ? 0 : want.together;
        assert_unpacks_to(&body, &want);
        seen += must == NULL;
    }
    assert_int_equal(fclose(f), 0);
    assert_int_equal(seen, sizeof specs / sizeof specs[0]);
}

static void bytes_of_older_versions_keep_decoding(void **state)
{
    (void)state;
    decodes("tests/golden/wire_v2.txt", 2);
    decodes("tests/golden/wire_v3.txt", 0);
}

/* Who speaks version 2 is answered in it, and that has no field that it would not know. */
static void an_older_version_is_written_as_it_was(void **state)
{
    (void)state;
    struct wire_message m = full(WIRE_CREDIT);
    m.version = 2;
    assert_not_packed(&m, "together is not known to version 2");
    m.together = 0;
    const struct bytes body = packed(&m);
    assert_unpacks_to(&body, &m);
    assert_int_equal(body.b[0], 8); /* field 1 */
    assert_int_equal(body.b[1], 2);
    struct bytes more = body;
    add_number(&more, 23, 8);
    assert_refused(&more, RC_FORMAT, "together is not known to version 2");
}

static int print_golden(void)
{
    for (size_t i = 0; i < COUNT(specs); i++) {
        const struct wire_message m = sample(&specs[i], true);
        const struct bytes body = packed(&m);
        (void)printf("%s ", specs[i].name);
        for (size_t b = 0; b < body.n; b++) {
            (void)printf("%02x", body.b[b]);
        }
        (void)printf("\n");
    }
    return 0;
}

static int write_corpus(const char *folder)
{
    for (size_t i = 0; i < COUNT(specs); i++) {
        char path[512];
        const struct wire_message m = sample(&specs[i], true);
        const struct bytes body = packed(&m);
        (void)snprintf(path, sizeof path, "%s/%s", folder, specs[i].name);
        FILE *f = fopen(path, "we");
        if (f == NULL || fwrite(body.b, 1, body.n, f) != body.n || fclose(f) != 0) {
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--golden") == 0) {
        return print_golden();
    }
    if (argc == 3 && strcmp(argv[1], "--corpus") == 0) {
        return write_corpus(argv[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_read_as_it_was_written),
        cmocka_unit_test(zero_numbers_are_there_and_not_missing),
        cmocka_unit_test(a_missing_field_is_refused_by_its_name),
        cmocka_unit_test(a_field_of_another_kind_is_refused_by_its_name),
        cmocka_unit_test(a_zero_is_no_way_to_smuggle_a_field_in),
        cmocka_unit_test(the_envelope_is_checked),
        cmocka_unit_test(an_unknown_kind_field_or_version_is_refused),
        cmocka_unit_test(numbers_out_of_their_range_are_refused),
        cmocka_unit_test(what_belongs_together_comes_together),
        cmocka_unit_test(a_hash_has_32_bytes_that_are_not_all_zero),
        cmocka_unit_test(only_printable_utf8_is_text),
        cmocka_unit_test(a_nul_in_a_name_or_text_is_refused),
        cmocka_unit_test(any_sentence_can_be_made_fit_to_send),
        cmocka_unit_test(the_largest_message_fits_where_it_is_promised_to),
        cmocka_unit_test(packing_never_writes_beyond_its_room),
        cmocka_unit_test(a_message_cut_anywhere_is_refused),
        cmocka_unit_test(an_oversized_header_is_refused_before_parsing),
        cmocka_unit_test(bytes_that_unpack_to_much_are_refused),
        cmocka_unit_test(any_byte_changed_is_refused_or_read_as_something_sound),
        cmocka_unit_test(a_sealed_message_opens_with_its_raw_frame),
        cmocka_unit_test(a_sealed_message_changed_in_any_byte_is_refused),
        cmocka_unit_test(a_sealed_message_cut_anywhere_is_refused),
        cmocka_unit_test(unsigned_and_foreign_frames_are_refused),
        cmocka_unit_test(a_frame_whose_hash_is_known_is_sealed_under_it_and_hashed_by_its_receiver),
        cmocka_unit_test(raw_frames_only_go_with_their_header),
        cmocka_unit_test(replayed_and_reordered_messages_are_refused),
        cmocka_unit_test(epochs_that_were_replaced_stay_closed),
        cmocka_unit_test(bytes_of_older_versions_keep_decoding),
        cmocka_unit_test(an_older_version_is_written_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
