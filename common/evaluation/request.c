#include "common/evaluation/request.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "common/dp/laplace.h"

#define MAGIC  "wardround evaluation 1\n"
#define DOMAIN "wardround evaluation v1"

enum {
    MAGIC_BYTES = sizeof MAGIC - 1,
    HEAD = MAGIC_BYTES + sizeof(struct seal_signature),
    FIXED = 2 * HASH_BYTES + 5 * 8 /* of the body, up to the first edge */
};
static_assert(HEAD + FIXED + 8 * (EVALUATION_BINS_MAX - 1) == EVALUATION_REQUEST_BYTES_MAX,
              "the header's arithmetic");

/* Counts of patients, and noise of any epsilon that is taken: 45 / 1e-6. */
#define COUNT_MOST (INT64_C(1) << 40)

/* ---- numbers --------------------------------------------------------------------------------- */

static unsigned char *put_u64(unsigned char *at, uint64_t x)
{
    for (size_t i = 0; i < 8; i++) {
        at[i] = (unsigned char)(x >> (8 * i));
    }
    return at + 8;
}

static unsigned char *put_f64(unsigned char *at, double x)
{
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    return put_u64(at, bits);
}

static uint64_t take_u64(const unsigned char **at)
{
    uint64_t x = 0;
    for (size_t i = 0; i < 8; i++) {
        x |= (uint64_t)(*at)[i] << (8 * i);
    }
    *at += 8;
    return x;
}

static int64_t take_i64(const unsigned char **at)
{
    const uint64_t bits = take_u64(at);
    int64_t x = 0;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double take_f64(const unsigned char **at)
{
    const uint64_t bits = take_u64(at);
    double x = 0.0;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- the request ----------------------------------------------------------------------------- */

static size_t put_body(const struct evaluation_request *r, unsigned char *out)
{
    unsigned char *at = out;
    assert(r->bins.n >= 2);
    assert(r->bins.n <= EVALUATION_BINS_MAX);
    memcpy(at, r->study.b, HASH_BYTES);
    memcpy(at + HASH_BYTES, r->model.b, HASH_BYTES);
    at = put_u64(at + 2 * HASH_BYTES, r->round);
    at = put_f64(at, r->epsilon);
    at = put_u64(at, (uint64_t)r->asked_ms);
    at = put_u64(at, (uint64_t)r->deadline_ms);
    at = put_u64(at, r->bins.n);
    for (size_t i = 0; i + 1 < r->bins.n; i++) {
        at = put_f64(at, r->bins.edge[i]);
    }
    return (size_t)(at - out);
}

struct hash evaluation_request_hash(const struct evaluation_request *r)
{
    unsigned char body[EVALUATION_REQUEST_BYTES_MAX];
    return hash_of(body, put_body(r, body));
}

size_t evaluation_request_sign(const struct evaluation_request *r, const struct seal_keys *keys,
                               unsigned char out[EVALUATION_REQUEST_BYTES_MAX])
{
    struct seal_signature signature;
    const size_t n = put_body(r, out + HEAD);
    seal_sign(keys, DOMAIN, out + HEAD, n, &signature);
    memcpy(out, MAGIC, MAGIC_BYTES);
    memcpy(out + MAGIC_BYTES, signature.b, sizeof signature.b);
    return HEAD + n;
}

static RC take_body(const unsigned char *at, size_t n, struct evaluation_request *out,
                    struct error *err)
{
    struct evaluation_request r = {.round = 0};
    if (n < FIXED) {
        return error_set(err, RC_FORMAT, "an evaluation's request that was cut");
    }
    memcpy(r.study.b, at, HASH_BYTES);
    memcpy(r.model.b, at + HASH_BYTES, HASH_BYTES);
    const unsigned char *next = at + 2 * HASH_BYTES;
    r.round = take_u64(&next);
    r.epsilon = take_f64(&next);
    r.asked_ms = take_i64(&next);
    r.deadline_ms = take_i64(&next);
    const uint64_t bins = take_u64(&next);
    if (bins < 2 || bins > EVALUATION_BINS_MAX || n != FIXED + 8 * (bins - 1)) {
        return error_set(err, RC_FORMAT, "an evaluation's request with bins of another number");
    }
    r.bins.n = (size_t)bins;
    for (size_t i = 0; i + 1 < r.bins.n; i++) {
        r.bins.edge[i] = take_f64(&next);
        if (!isfinite(r.bins.edge[i]) || (i > 0 && !(r.bins.edge[i] > r.bins.edge[i - 1]))) {
            return error_set(err, RC_FORMAT, "an evaluation's request with bins that do not rise");
        }
    }
    if (!(r.epsilon >= LAPLACE_EPSILON_LEAST && r.epsilon <= LAPLACE_EPSILON_MOST) ||
        r.round == 0 || r.asked_ms < 0 || r.deadline_ms < r.asked_ms) {
        return error_set(err, RC_FORMAT, "an evaluation's request with a number out of range");
    }
    *out = r;
    return RC_OK;
}

enum rc evaluation_request_verify(const void *bytes, size_t n,
                                  const struct seal_public *coordinator,
                                  struct evaluation_request *out, struct error *err)
{
    const unsigned char *at = bytes;
    struct seal_signature signature;
    if (n < HEAD || n > EVALUATION_REQUEST_BYTES_MAX || memcmp(at, MAGIC, MAGIC_BYTES) != 0) {
        return error_set(err, RC_FORMAT, "not an evaluation's request, or one of another version");
    }
    memcpy(signature.b, at + MAGIC_BYTES, sizeof signature.b);
    const enum rc rc = seal_verify(coordinator, DOMAIN, at + HEAD, n - HEAD, &signature, err);
    if (rc != RC_OK) {
        return error_context(err, "an evaluation's request");
    }
    return take_body(at + HEAD, n - HEAD, out, err);
}

/* ---- the answer ------------------------------------------------------------------------------ */

size_t evaluation_answer_pack(const struct evaluation_counts *counts,
                              unsigned char out[EVALUATION_ANSWER_BYTES_MAX])
{
    unsigned char *at = out;
    assert(counts->bins <= EVALUATION_BINS_MAX);
    for (size_t c = 0; c < EVALUATION_CLASSES; c++) {
        for (size_t j = 0; j < counts->bins; j++) {
            at = put_u64(at, (uint64_t)counts->at[c][j]);
        }
    }
    return (size_t)(at - out);
}

enum rc evaluation_answer_unpack(const void *bytes, size_t n, size_t bins,
                                 struct evaluation_counts *out, struct error *err)
{
    const unsigned char *next = bytes;
    struct evaluation_counts counts = {.bins = bins};
    assert(bins <= EVALUATION_BINS_MAX);
    if (n != 8 * EVALUATION_CLASSES * bins) {
        return error_set(err, RC_FORMAT, "histograms of %zu bytes, want %zu", n,
                         8 * EVALUATION_CLASSES * bins);
    }
    for (size_t c = 0; c < EVALUATION_CLASSES; c++) {
        for (size_t j = 0; j < bins; j++) {
            counts.at[c][j] = take_i64(&next);
            if (counts.at[c][j] > COUNT_MOST || counts.at[c][j] < -COUNT_MOST) {
                return error_set(err, RC_FORMAT, "a histogram with a count that no hospital has");
            }
        }
    }
    *out = counts;
    return RC_OK;
}
