/**
 * @file agreement_internal.h
 * The body of an agreement, apart from its signature: also for the fuzzer, who cannot sign.
 */
#ifndef COMMON_AGREEMENT_AGREEMENT_INTERNAL_H
#define COMMON_AGREEMENT_AGREEMENT_INTERNAL_H

#include "common/agreement/agreement.h"

#define AGREEMENT_MAGIC  "wardround agreement 1\n"
#define AGREEMENT_DOMAIN "wardround study v1"

/** Bytes in front of the body. */
enum { AGREEMENT_HEAD = sizeof AGREEMENT_MAGIC - 1 + 64 };

size_t agreement_body_bytes(const struct agreement *a);
/** Writes agreement_body_bytes. */
void agreement_put_body(const struct agreement *a, unsigned char *out);

/** What agreement_verify does after the signature. */
RC agreement_parse_body(const void *body, size_t n, struct agreement *out, struct error *err);

/** Is there something in the study that is only simulated so far? NULL: no. A sentence, key first. */
const char *agreement_simulated_only(const struct study *s);

/** The modalities' share of agreement_fits: RC_OK where they are the same. */
RC agreement_fits_modalities(const struct schema *want, const struct schema *own,
                             struct error *err);

#endif
