/* The signed bytes: see agreement.h. Nothing is parsed before its lengths add up. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/agreement/agreement_internal.h"

enum { LENGTH_BYTES = 4, SIGMA_BYTES = 8 };

/* ---- writing --------------------------------------------------------------------------------- */

static unsigned char *put_le(unsigned char *to, uint64_t x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (unsigned char)(x >> (8 * i));
    }
    return to + n;
}

static unsigned char *put_text(unsigned char *to, const char *text)
{
    const size_t n = strlen(text);
    to = put_le(to, n, LENGTH_BYTES);
    memcpy(to, text, n);
    return to + n;
}

size_t agreement_body_bytes(const struct agreement *a)
{
    return LENGTH_BYTES + strlen(a->document) + LENGTH_BYTES + strlen(a->schema_text) + SIGMA_BYTES;
}

void agreement_put_body(const struct agreement *a, unsigned char *out)
{
    uint64_t sigma;
    memcpy(&sigma, &a->study.privacy.noise_multiplier, sizeof sigma);
    out = put_text(out, a->document);
    out = put_text(out, a->schema_text);
    (void)put_le(out, sigma, SIGMA_BYTES);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct cursor {
    const unsigned char *at;
    size_t left;
};

static uint64_t get_le(struct cursor *c, size_t n)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++) {
        x |= (uint64_t)c->at[i] << (8 * i);
    }
    c->at += n;
    c->left -= n;
    return x;
}

/* A copy with a NUL behind it, for the caller to free. */
static RC get_text(struct cursor *c, const char *what, char **out, struct error *err)
{
    if (c->left < LENGTH_BYTES) {
        return error_set(err, RC_FORMAT, "not an agreement: it ends before the %s", what);
    }
    const size_t n = (size_t)get_le(c, LENGTH_BYTES);
    if (n > c->left) {
        return error_set(err, RC_FORMAT, "not an agreement: it ends within the %s", what);
    }
    if (memchr(c->at, '\0', n) != NULL) {
        return error_set(err, RC_FORMAT, "not an agreement: a NUL in the %s", what);
    }
    char *text = malloc(n + 1);
    if (text == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the %s", what);
    }
    memcpy(text, c->at, n);
    text[n] = '\0';
    c->at += n;
    c->left -= n;
    *out = text;
    return RC_OK;
}

static RC get_sigma(struct cursor *c, double *out, struct error *err)
{
    if (c->left != SIGMA_BYTES) {
        return error_set(err, RC_FORMAT,
                         "not an agreement: %zu bytes where the noise multiplier is", c->left);
    }
    const uint64_t bits = get_le(c, SIGMA_BYTES);
    memcpy(out, &bits, sizeof *out);
    return RC_OK;
}

/* What follows from both texts and sigma. */
static RC complete(struct agreement *a, double sigma, struct error *err)
{
    struct config_issues *issues = calloc(1, sizeof *issues); /* large for a stack */
    if (issues == NULL) {
        return error_set(err, RC_NOMEM, "no memory to read a study");
    }
    enum rc rc =
        study_parse("study document", a->document, strlen(a->document), &a->study, issues, err);
    if (rc == RC_OK) {
        memset(a->study.cohort, 0, sizeof a->study.cohort); /* a path of another machine */
        rc = study_take_sigma(&a->study, sigma, err);
    }
    if (rc == RC_OK) {
        rc = schema_parse_features("study features", a->schema_text, strlen(a->schema_text),
                                   &a->schema, issues, err);
    }
    free(issues);
    if (rc == RC_OK) {
        const struct hash schema = schema_hash(&a->schema);
        a->study_hash = study_hash(&a->study, &schema);
    }
    return rc;
}

enum rc agreement_parse_body(const void *body, size_t n, struct agreement *out, struct error *err)
{
    struct cursor c = {.at = body, .left = n};
    struct agreement a;
    double sigma = 0;

    memset(&a, 0, sizeof a);
    enum rc rc = get_text(&c, "study document", &a.document, err);
    if (rc == RC_OK) {
        rc = get_text(&c, "features", &a.schema_text, err);
    }
    if (rc == RC_OK) {
        rc = get_sigma(&c, &sigma, err);
    }
    if (rc == RC_OK) {
        rc = complete(&a, sigma, err);
    }
    if (rc == RC_OK) {
        *out = a;
    } else {
        agreement_release(&a);
    }
    return rc;
}

enum rc agreement_from_text(const char *document, const char *schema_text, double sigma,
                            struct agreement *out, struct error *err)
{
    struct agreement a;

    memset(&a, 0, sizeof a);
    a.document = strdup(document);
    a.schema_text = strdup(schema_text);
    enum rc rc = a.document != NULL && a.schema_text != NULL
                     ? complete(&a, sigma, err)
                     : error_set(err, RC_NOMEM, "no memory to read a study");
    if (rc == RC_OK) {
        *out = a;
    } else {
        agreement_release(&a);
    }
    return rc;
}
