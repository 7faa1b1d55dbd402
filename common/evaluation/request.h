/**
 * @file request.h
 * How an evaluation crosses the network: what the coordinator asks, signed, and what a site answers.
 *
 *   request:  "wardround evaluation 1\n" | signature [64] | body
 *     body:   study [32] | model [32] | u64 round | f64 epsilon | i64 asked_ms | i64 deadline_ms |
 *             u64 bins | f64 edge [bins - 1]
 *     signature: Ed25519, domain "wardround evaluation v1", over the body; its BLAKE2b is the request's name
 *   answer:   i64 of each bin, of well and then of ill patients, noise and all
 *
 * All numbers are little endian.
 */
#ifndef COMMON_EVALUATION_REQUEST_H
#define COMMON_EVALUATION_REQUEST_H

#include "common/base/hash.h"
#include "common/evaluation/evaluation.h"
#include "common/seal/seal.h"

enum {
    EVALUATION_REQUEST_BYTES_MAX = 23 + 64 + 2 * 32 + 5 * 8 + 8 * (EVALUATION_BINS_MAX - 1),
    EVALUATION_ANSWER_BYTES_MAX = 8 * EVALUATION_CLASSES * EVALUATION_BINS_MAX
};

/** Plain data. */
struct evaluation_request {
    struct hash study; /**< finished */
    struct hash model; /**< its last one: BLAKE2b of the parameters */
    uint64_t round;    /**< that made it */
    double epsilon;    /**< that each site's answer costs; as laplace_discrete takes it */
    int64_t asked_ms, deadline_ms; /**< wall clock of the coordinator */
    struct evaluation_bins bins;
};

/** Of the body: names the request everywhere. */
struct hash evaluation_request_hash(const struct evaluation_request *r);

/** @param r in order  @return bytes written */
size_t evaluation_request_sign(const struct evaluation_request *r, const struct seal_keys *keys,
                               unsigned char out[EVALUATION_REQUEST_BYTES_MAX]);
/**
 * Nothing of it is looked at before its signature.
 * @retval RC_AUTH   not signed by this coordinator
 * @retval RC_FORMAT not a request, or one with a number out of range, or bins that do not rise
 */
RC evaluation_request_verify(const void *bytes, size_t n, const struct seal_public *coordinator,
                             struct evaluation_request *out, struct error *err);

/** @return bytes written */
size_t evaluation_answer_pack(const struct evaluation_counts *counts,
                              unsigned char out[EVALUATION_ANSWER_BYTES_MAX]);
/** @retval RC_FORMAT another number of bins, or a count beyond any cohort and any noise */
RC evaluation_answer_unpack(const void *bytes, size_t n, size_t bins, struct evaluation_counts *out,
                            struct error *err);

#endif
