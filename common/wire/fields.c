/*
 * What a message is: the table of fields, the table of kinds, and the few rules between fields that
 * a table cannot say. docs/PROTOCOL.md says who sends which kind when.
 */
#include <assert.h>
#include <string.h>

#include "common/wire/wire_internal.h"
#include "proto/wardround/v1/message.pb-c.h"

/* Far beyond what a study document can ask for, small enough that sums with them cannot overflow. */
#define COUNT_MAX (UINT64_C(1) << 53)
/* Deadlines of a study end at 30 days (common/study). */
#define LEFT_MS_MAX (UINT64_C(31) * 24 * 3600 * 1000)
/* The year 9999. */
#define NOW_MS_MAX UINT64_C(253402300799999)

/* clang-format off */
#define AT(plain, generated) \
    offsetof(struct wire_message, plain), offsetof(Wardround__V1__Message, has_##generated), \
    offsetof(Wardround__V1__Message, generated)

const struct wire_shape wire_shapes[WIRE_FIELDS] = {
    [WIRE_F_KIND]         = {"kind",         WIRE_ENUM, AT(kind, kind),                 1, 127},
    [WIRE_F_FROM]         = {"from",         WIRE_NAME, AT(from, from),                 0, 0},
    [WIRE_F_TO]           = {"to",           WIRE_NAME, AT(to, to),                     0, 0},
    [WIRE_F_EPOCH]        = {"epoch",        WIRE_U64,  AT(epoch, epoch),               1, UINT64_MAX},
    [WIRE_F_SEQUENCE]     = {"sequence",     WIRE_U64,  AT(sequence, sequence),         1, COUNT_MAX},
    [WIRE_F_STUDY]        = {"study",        WIRE_HASH, AT(study, study),               0, 0},
    [WIRE_F_ROUND]        = {"round",        WIRE_U64,  AT(round, round),               1, WIRE_ROUND_MAX},
    [WIRE_F_EVALUATION]   = {"evaluation",   WIRE_HASH, AT(evaluation, evaluation),     0, 0},
    [WIRE_F_RAW]          = {"raw",          WIRE_HASH, AT(raw, raw),                   0, 0},
    [WIRE_F_RAW_BYTES]    = {"raw_bytes",    WIRE_U64,  AT(raw_bytes, raw_bytes),       1, WIRE_RAW_MAX},
    [WIRE_F_TENSOR]       = {"tensor",       WIRE_HASH, AT(tensor.hash, tensor),        0, 0},
    [WIRE_F_TENSOR_BYTES] = {"tensor_bytes", WIRE_U64,  AT(tensor.bytes, tensor_bytes), 1, WIRE_TENSOR_MAX},
    [WIRE_F_FIRST]        = {"first",        WIRE_U64,  AT(first, first),               0, WIRE_TENSOR_MAX},
    [WIRE_F_UNTIL]        = {"until",        WIRE_U64,  AT(until, until),               0, WIRE_TENSOR_MAX},
    [WIRE_F_RESUME]       = {"resume",       WIRE_BOOL, AT(resume, resume),             0, 1},
    [WIRE_F_TOGETHER]     = {"together",     WIRE_U64,  AT(together, together),         2, WIRE_TENSOR_MAX},
    [WIRE_F_ANCHOR]       = {"anchor",       WIRE_HASH, AT(anchor, anchor),             0, 0},
    [WIRE_F_LEFT_MS]      = {"left_ms",      WIRE_U64,  AT(left_ms, left_ms),           0, LEFT_MS_MAX},
    [WIRE_F_NOW_MS]       = {"now_ms",       WIRE_U64,  AT(now_ms, now_ms),             0, NOW_MS_MAX},
    [WIRE_F_STEP]         = {"step",         WIRE_U64,  AT(step, step),                 0, COUNT_MAX},
    [WIRE_F_STEPS]        = {"steps",        WIRE_U64,  AT(steps, steps),               1, COUNT_MAX},
    [WIRE_F_DONE]         = {"done",         WIRE_BOOL, AT(done, done),                 0, 1},
    [WIRE_F_N_SITES]      = {"n_sites",      WIRE_U64,  AT(n_sites, n_sites),           1, WIRE_SITES_MAX},
    [WIRE_F_CONTRIBUTED]  = {"contributed",  WIRE_BITS, AT(contributed, contributed),   0, 0},
    [WIRE_F_TEXT]         = {"text",         WIRE_TEXT, AT(text, text),                 0, 0},
    [WIRE_F_POLICY]       = {"policy",       WIRE_ENUM, AT(policy, policy),             WIRE_POLICY_YES, WIRE_POLICY_PENDING},
};

#define ENVELOPE (WIRE_BIT(WIRE_F_KIND) | WIRE_BIT(WIRE_F_FROM) | WIRE_BIT(WIRE_F_TO) | \
                  WIRE_BIT(WIRE_F_EPOCH) | WIRE_BIT(WIRE_F_SEQUENCE))
#define STUDY    WIRE_BIT(WIRE_F_STUDY)
#define ROUND    WIRE_BIT(WIRE_F_ROUND)
#define REQUEST  WIRE_BIT(WIRE_F_EVALUATION)
#define RAW      (WIRE_BIT(WIRE_F_RAW) | WIRE_BIT(WIRE_F_RAW_BYTES))
#define TENSOR   (WIRE_BIT(WIRE_F_TENSOR) | WIRE_BIT(WIRE_F_TENSOR_BYTES))
#define FIRST    WIRE_BIT(WIRE_F_FIRST)
#define UNTIL    WIRE_BIT(WIRE_F_UNTIL)
#define RESUME   WIRE_BIT(WIRE_F_RESUME)
#define TOGETHER WIRE_BIT(WIRE_F_TOGETHER)
#define ANCHOR   WIRE_BIT(WIRE_F_ANCHOR)
#define LEFT     WIRE_BIT(WIRE_F_LEFT_MS)
#define NOW      WIRE_BIT(WIRE_F_NOW_MS)
#define STEPS    (WIRE_BIT(WIRE_F_STEP) | WIRE_BIT(WIRE_F_STEPS))
#define DONE     WIRE_BIT(WIRE_F_DONE)
#define SITES    (WIRE_BIT(WIRE_F_N_SITES) | WIRE_BIT(WIRE_F_CONTRIBUTED))
#define TEXT     WIRE_BIT(WIRE_F_TEXT)
#define POLICY   WIRE_BIT(WIRE_F_POLICY)

/* Which fields a kind has beside the envelope. */
struct row {
    enum wire_kind kind;
    const char *name;
    uint32_t must, may;
};

static const struct row rows[] = {
    {WIRE_HELLO,         "HELLO",         TEXT,                          0},
    {WIRE_ACCEPT,        "ACCEPT",        STUDY,                         0},
    {WIRE_DECLINE,       "DECLINE",       STUDY | TEXT,                  0},
    {WIRE_UPDATE,        "UPDATE",        STUDY | ROUND | TENSOR,        ANCHOR},
    {WIRE_CANNOT,        "CANNOT",        STUDY | ROUND | TEXT,          0},
    {WIRE_GOODBYE,       "GOODBYE",       STUDY,                         0},
    {WIRE_PROBE,         "PROBE",         0,                             0},
    {WIRE_MASK_KEY,      "MASK_KEY",      STUDY | ROUND | RAW,           0},
    {WIRE_MASK_SHARES,   "MASK_SHARES",   STUDY | ROUND | RAW,           0},
    {WIRE_MASK_VOTE,     "MASK_VOTE",     STUDY | ROUND | RAW,           0},
    {WIRE_MASK_REVEAL,   "MASK_REVEAL",   STUDY | ROUND | RAW,           0},
    {WIRE_SCORES,        "SCORES",        STUDY | REQUEST | RAW,         0},
    {WIRE_UNSCORED,      "UNSCORED",      STUDY | REQUEST | TEXT,        0},
    {WIRE_MASK_LIST,     "MASK_LIST",     STUDY | ROUND | RAW,           0},
    {WIRE_STUDY,         "STUDY",         STUDY | RAW,                   ANCHOR},
    {WIRE_ROUND,         "ROUND",         STUDY | ROUND | TENSOR | LEFT, 0},
    {WIRE_ACK,           "ACK",           STUDY | ROUND,                 ANCHOR},
    {WIRE_OUTCOME,       "OUTCOME",       STUDY | ROUND | TENSOR | SITES | TEXT, 0},
    {WIRE_DONE,          "DONE",          STUDY | DONE | TEXT,           ROUND | TENSOR | SITES},
    {WIRE_PROBED,        "PROBED",        NOW | TEXT,                    0},
    {WIRE_MASK_MEMBERS,  "MASK_MEMBERS",  STUDY | ROUND | RAW,           0},
    {WIRE_MASK_PARCELS,  "MASK_PARCELS",  STUDY | ROUND | RAW,           0},
    {WIRE_MASK_SURVIVORS, "MASK_SURVIVORS", STUDY | ROUND | RAW,         0},
    {WIRE_MASK_VOTES,    "MASK_VOTES",    STUDY | ROUND | RAW,           0},
    {WIRE_EVALUATE,      "EVALUATE",      STUDY | REQUEST | RAW,         0},
    {WIRE_PULSE,         "PULSE",         STUDY | ROUND | STEPS,         0},
    {WIRE_CHUNK,         "CHUNK",         TENSOR | FIRST | RAW,          STUDY},
    {WIRE_CREDIT,        "CREDIT",        TENSOR | FIRST | UNTIL | RESUME, STUDY | TOGETHER},
    {WIRE_TRAIN,         "TRAIN",         STUDY | ROUND | TENSOR | LEFT, 0},
    {WIRE_CANCEL,        "CANCEL",        STUDY | ROUND,                 0},
    {WIRE_COMMIT,        "COMMIT",        STUDY | ROUND,                 0},
    {WIRE_RECEIPT,       "RECEIPT",       STUDY | ROUND | RAW,           0},
    {WIRE_POLICY,        "POLICY",        STUDY | POLICY,                TEXT},
    {WIRE_TRAINED,       "TRAINED",       STUDY | ROUND,                 0},
    {WIRE_STORED,        "STORED",        STUDY | ROUND | TENSOR | ANCHOR, 0},
    {WIRE_COMMITTED,     "COMMITTED",     STUDY | ROUND | TENSOR | ANCHOR, 0},
    {WIRE_NOT_COMMITTED, "NOT_COMMITTED", STUDY | ROUND | TEXT,          0},
    {WIRE_WITHDRAWN,     "WITHDRAWN",     STUDY | TEXT,                  0},
    {WIRE_READY,         "READY",         0,                             TEXT},
};

/* Fields that come together or not at all. */
static const uint32_t groups[] = {RAW, TENSOR, STEPS, SITES};
/* clang-format on */

enum { ROWS = sizeof rows / sizeof rows[0], GROUPS = sizeof groups / sizeof groups[0] };

/* The two sides of every copy are equally wide. */
static_assert(sizeof(size_t) == sizeof(uint64_t), "counts are copied as 64 bits");
static_assert(sizeof(enum wire_kind) == sizeof(Wardround__V1__Kind), "kind is copied");
static_assert(sizeof(enum wire_policy) == sizeof(Wardround__V1__Policy), "policy is copied");
static_assert((int)WIRE_READY == (int)WARDROUND__V1__KIND__KIND_READY, "kinds are the wire's");
static_assert(WIRE_FIELDS <= 32, "a set of fields is 32 bits");

static const struct row *row_of(enum wire_kind kind)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].kind == kind) {
            return &rows[i];
        }
    }
    return NULL;
}

const char *wire_kind_name(enum wire_kind kind)
{
    const struct row *row = row_of(kind);
    return row != NULL ? row->name : "unknown";
}

size_t wire_bit_bytes(size_t n_sites)
{
    return (n_sites + 7) / 8;
}

static size_t size_of(enum wire_type type)
{
    static const size_t size[] = {
        [WIRE_U64] = sizeof(uint64_t),   [WIRE_ENUM] = sizeof(enum wire_kind),
        [WIRE_BOOL] = sizeof(bool),      [WIRE_HASH] = sizeof(struct hash),
        [WIRE_NAME] = 1 /* up to NUL */, [WIRE_TEXT] = 1,
        [WIRE_BITS] = WIRE_SITES_MAX / 8};
    return size[type];
}

static bool is_zero(const unsigned char *b, size_t n)
{
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++) {
        any |= b[i];
    }
    return any == 0;
}

uint32_t wire_present(const struct wire_message *m)
{
    const struct row *row = row_of(m->kind);
    uint32_t present = ENVELOPE | (row != NULL ? row->must : 0);
    for (size_t i = 0; i < WIRE_FIELDS; i++) {
        const struct wire_shape *shape = &wire_shapes[i];
        if (!is_zero((const unsigned char *)m + shape->at, size_of(shape->type))) {
            present |= WIRE_BIT(i);
        }
    }
    for (size_t i = 0; i < GROUPS; i++) {
        present |= (present & groups[i]) != 0 ? groups[i] : 0;
    }
    return present;
}

/* ---- values ---------------------------------------------------------------------------------- */

static uint64_t number_at(const struct wire_shape *shape, const unsigned char *at)
{
    uint64_t wide = 0;
    uint32_t narrow = 0;
    bool yes = false;
    switch (shape->type) {
    case WIRE_ENUM:
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    case WIRE_BOOL:
        memcpy(&yes, at, sizeof yes);
        return yes;
    case WIRE_U64:
    case WIRE_HASH:
    case WIRE_NAME:
    case WIRE_TEXT:
    case WIRE_BITS:
        break;
    }
    memcpy(&wide, at, sizeof wide);
    return wide;
}

/* Letters of ASCII whatever the locale is. */
static bool is_name(const char *name)
{
    const size_t n = strnlen(name, WIRE_NAME_MAX);
    return n > 0 && n < WIRE_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static bool is_text(const char *text)
{
    const size_t n = strnlen(text, WIRE_TEXT_MAX);
    size_t at = 0;
    while (at < n) {
        const size_t step = wire_printable(text + at, n - at);
        if (step == 0) {
            return false;
        }
        at += step;
    }
    return n > 0 && n < WIRE_TEXT_MAX;
}

static bool bits_end(const struct wire_message *m)
{
    for (size_t i = m->n_sites; i < WIRE_SITES_MAX; i++) {
        if ((m->contributed[i / 8] >> (i % 8)) & 1) {
            return false;
        }
    }
    return true;
}

/* NULL: in order; else what is wrong with the field. */
static const char *fault_of(const struct wire_message *m, const struct wire_shape *shape)
{
    const unsigned char *at = (const unsigned char *)m + shape->at;
    switch (shape->type) {
    case WIRE_U64:
    case WIRE_ENUM:
    case WIRE_BOOL: {
        const uint64_t x = number_at(shape, at);
        return x < shape->min ? "is too small" : x > shape->max ? "is too large" : NULL;
    }
    case WIRE_HASH:
        return is_zero(at, sizeof(struct hash)) ? "is zero" : NULL;
    case WIRE_NAME:
        return is_name((const char *)at)
                   ? NULL
                   : "is not a name (1 to 63 letters, digits, '.', '_' or '-')";
    case WIRE_TEXT:
        return is_text((const char *)at) ? NULL
                                         : "is not a sentence (1 to 2047 bytes of printable UTF-8)";
    case WIRE_BITS:
        return bits_end(m) ? NULL : "marks sites beyond n_sites";
    }
    return NULL;
}

/* ---- rules between fields -------------------------------------------------------------------- */

/* Of fields that are present and in their ranges. NULL: in order. */
static const char *conflict_of(const struct wire_message *m, uint32_t present)
{
    if ((present & STEPS) != 0 && m->step > m->steps) {
        return "step is beyond steps";
    }
    /* The size of a chunk is the transfer's business; at least none is empty. */
    if (m->kind == WIRE_CHUNK && m->first >= m->tensor.bytes) {
        return "first is beyond the end of the tensor";
    }
    if (m->kind == WIRE_CHUNK && m->raw_bytes > m->tensor.bytes) {
        return "raw_bytes is more than the tensor";
    }
    if (m->kind == WIRE_CREDIT && (m->first > m->until || m->until > m->tensor.bytes)) {
        return "first, until and tensor_bytes are not in this order";
    }
    if (m->version == 2 && (present & TOGETHER) != 0) {
        return "together is not known to version 2";
    }
    if (m->kind == WIRE_DONE && (present & ROUND) != 0) {
        const uint32_t with = TENSOR | SITES;
        return (present & with) == with ? NULL : "round without tensor, n_sites and contributed";
    }
    if (m->kind == WIRE_DONE && (present & TENSOR) != 0) {
        return "tensor without round";
    }
    if (m->kind == WIRE_POLICY && ((present & TEXT) != 0) != (m->policy != WIRE_POLICY_YES)) {
        return "text is the reason, and goes with every policy but yes";
    }
    return NULL;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static RC check_presence(const struct row *row, uint32_t present, enum rc as, struct error *err)
{
    const uint32_t must = ENVELOPE | row->must;
    for (size_t i = 0; i < WIRE_FIELDS; i++) {
        const bool is_there = (present & WIRE_BIT(i)) != 0;
        if (!is_there && (must & WIRE_BIT(i)) != 0) {
            return error_set(err, as, "%s: %s is missing", row->name, wire_shapes[i].name);
        }
        if (is_there && ((must | row->may) & WIRE_BIT(i)) == 0) {
            return error_set(err, as, "%s: %s does not belong to it", row->name,
                             wire_shapes[i].name);
        }
    }
    for (size_t i = 0; i < GROUPS; i++) {
        if ((present & groups[i]) != 0 && (present & groups[i]) != groups[i]) {
            return error_set(err, as,
                             "%s: tensor and tensor_bytes, n_sites and contributed: both or "
                             "neither",
                             row->name);
        }
    }
    return RC_OK;
}

RC wire_check(const struct wire_message *m, uint32_t present, enum rc as, struct error *err)
{
    const struct row *row = row_of(m->kind);
    if ((present & WIRE_BIT(WIRE_F_KIND)) == 0) {
        return error_set(err, as, "message: kind is missing");
    }
    if (row == NULL) {
        return error_set(err, as, "message: kind %u is unknown", (unsigned)m->kind);
    }
    const enum rc rc = check_presence(row, present, as, err);
    if (rc != RC_OK) {
        return rc;
    }
    for (size_t i = 0; i < WIRE_FIELDS; i++) {
        const char *fault = (present & WIRE_BIT(i)) != 0 ? fault_of(m, &wire_shapes[i]) : NULL;
        if (fault != NULL) {
            return error_set(err, as, "%s: %s %s", row->name, wire_shapes[i].name, fault);
        }
    }
    const char *conflict = conflict_of(m, present);
    if (conflict != NULL) {
        return error_set(err, as, "%s: %s", row->name, conflict);
    }
    return RC_OK;
}
