/* The signed bytes: see agreement.h. Nothing is parsed before its lengths add up. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/agreement/agreement_internal.h"

enum { LENGTH_BYTES = 4, SIGMA_BYTES = 8, PLAN_BYTES = 16 };

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
    const size_t plan = study_choice_of(&a->study).planned ? PLAN_BYTES : 0;
    return LENGTH_BYTES + strlen(a->document) + LENGTH_BYTES + strlen(a->schema_text) +
           SIGMA_BYTES + plan;
}

static unsigned char *put_real(unsigned char *to, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return put_le(to, bits, sizeof bits);
}

void agreement_put_body(const struct agreement *a, unsigned char *out)
{
    const struct study_choice choice = study_choice_of(&a->study);
    out = put_text(out, a->document);
    out = put_text(out, a->schema_text);
    out = put_real(out, choice.sigma);
    if (choice.planned) {
        out = put_real(out, choice.sample_rate);
        (void)put_le(out, choice.rounds, 8);
    }
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

static double get_real(struct cursor *c)
{
    const uint64_t bits = get_le(c, sizeof bits);
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Whether there is a plan is seen by its length; whether there should be one, the document says. */
static RC get_choice(struct cursor *c, struct study_choice *out, struct error *err)
{
    struct study_choice choice = {.planned = c->left == SIGMA_BYTES + PLAN_BYTES};
    if (c->left != SIGMA_BYTES && !choice.planned) {
        return error_set(err, RC_FORMAT,
                         "not an agreement: %zu bytes where the noise multiplier is", c->left);
    }
    choice.sigma = get_real(c);
    if (choice.planned) {
        choice.sample_rate = get_real(c);
        const uint64_t rounds = get_le(c, 8);
        choice.rounds = rounds <= STUDY_ROUNDS_MAX ? (size_t)rounds : 0; /* 0 is refused, too */
    }
    *out = choice;
    return RC_OK;
}

/* What follows from both texts and the choice. */
static RC complete(struct agreement *a, const struct study_choice *choice, struct error *err)
{
    struct config_issues *issues = calloc(1, sizeof *issues); /* large for a stack */
    if (issues == NULL) {
        return error_set(err, RC_NOMEM, "no memory to read a study");
    }
    enum rc rc = study_parse_chosen("study document", a->document, strlen(a->document), choice,
                                    &a->study, issues, err);
    if (rc == RC_OK && agreement_simulated_only(&a->study) != NULL) {
        rc = error_set(err, RC_INVALID, "%s", agreement_simulated_only(&a->study));
    }
    if (rc == RC_OK) {
        memset(a->study.cohort, 0, sizeof a->study.cohort); /* paths of another machine */
        memset(a->study.start.file, 0, sizeof a->study.start.file);
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
    struct study_choice choice = {0};

    memset(&a, 0, sizeof a);
    enum rc rc = get_text(&c, "study document", &a.document, err);
    if (rc == RC_OK) {
        rc = get_text(&c, "features", &a.schema_text, err);
    }
    if (rc == RC_OK) {
        rc = get_choice(&c, &choice, err);
    }
    if (rc == RC_OK) {
        rc = complete(&a, &choice, err);
    }
    if (rc == RC_OK) {
        *out = a;
    } else {
        agreement_release(&a);
    }
    return rc;
}

enum rc agreement_from_text(const char *document, const char *schema_text,
                            const struct study_choice *choice, struct agreement *out,
                            struct error *err)
{
    struct agreement a;

    memset(&a, 0, sizeof a);
    a.document = strdup(document);
    a.schema_text = strdup(schema_text);
    enum rc rc = a.document != NULL && a.schema_text != NULL
                     ? complete(&a, choice, err)
                     : error_set(err, RC_NOMEM, "no memory to read a study");
    if (rc == RC_OK) {
        *out = a;
    } else {
        agreement_release(&a);
    }
    return rc;
}
