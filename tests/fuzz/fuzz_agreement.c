/*
 * Any bytes are the body of an agreement whose signature held: the worst coordinator. With an even
 * first byte the rest is the body as it stands; with an odd one it is document, NUL, features, NUL,
 * what was chosen, and their lengths are made right, so that mutations reach the parsers behind them.
 *
 * Whatever is taken is a study whose sigma keeps the stated epsilon and whose plan keeps its passes
 * and rounds, with bare features, and gives the same bytes when it is written again.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/accountant/accountant.h"
#include "common/agreement/agreement_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t put_piece(uint8_t *to, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < 4; i++) {
        to[i] = (uint8_t)(n >> (8 * i));
    }
    memcpy(to + 4, from, n);
    return 4 + n;
}

/* Bytes of the piece up to its NUL or the end. */
static size_t piece(const uint8_t *at, size_t left)
{
    const uint8_t *end = left > 0 ? memchr(at, '\0', left) : NULL;
    return end != NULL ? (size_t)(end - at) : left;
}

/* @return bytes of the body; `out` has room for size + 8 */
static size_t make_body(const uint8_t *data, size_t size, uint8_t *out)
{
    if (data[0] % 2 == 0) {
        memcpy(out, data + 1, size - 1);
        return size - 1;
    }
    const uint8_t *at = data + 1;
    size_t left = size - 1, n = 0;
    for (size_t i = 0; i < 2; i++) {
        const size_t length = piece(at, left);
        n += put_piece(out + n, at, length);
        const size_t used = length < left ? length + 1 : left;
        at += used;
        left -= used;
    }
    memcpy(out + n, at, left);
    return n + left;
}

static void check_plan(const struct study *s)
{
    const struct study_privacy *p = &s->privacy;
    if (p->noise == STUDY_NOISE_NONE) {
        assert(!(p->noise_multiplier < 0) && !(p->noise_multiplier > 0));
        return;
    }
    const struct mechanism m = {.q = p->sample_rate,
                                .sigma = p->noise_multiplier,
                                .steps = study_steps(s)};
    assert(accountant_epsilon_against(&m, 1, p->delta, p->epsilon) <= p->epsilon);
    if (s->wish.passes > 0) {
        assert(p->sample_rate * (double)study_steps(s) <= s->wish.passes * (1 + 1e-15));
        assert(s->rounds >= 1 && s->rounds <= s->wish.rounds_most);
        assert(study_steps(s) >= s->wish.steps_least);
    }
}

static void check_taken(struct agreement *a, const uint8_t *body, size_t n)
{
    struct error err = {0};
    check_plan(&a->study);
    assert(a->study.cohort[0] == '\0');
    assert(a->schema.n_files == 0 && a->schema.n_features + a->schema.n_modalities > 0);
    for (size_t i = 0; i < a->schema.n_modalities; i++) {
        assert(a->schema.modality[i].n_files == 0);
    }
    enum rc rc = agreement_fits(a, &a->schema, &err);
    assert(rc == RC_OK);

    assert(agreement_body_bytes(a) == n);
    uint8_t *again = malloc(n);
    assert(again != NULL);
    agreement_put_body(a, again);
    const size_t sigma = a->study.privacy.noise == STUDY_NOISE_NONE ? 8 : 0; /* -0 is 0 */
    assert(memcmp(again, body, n - sigma) == 0);
    free(again);

    struct schema other = a->schema; /* a site that lacks the last modality, or feature */
    if (other.n_modalities > 0) {
        other.n_modalities--;
    } else {
        other.n_features--;
    }
    rc = agreement_fits(a, &other, &err);
    assert(rc == RC_INVALID);
    for (const unsigned char *c = (const unsigned char *)err.text; *c != '\0'; c++) {
        assert(*c >= 0x20 && *c != 0x7f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agreement a;
    struct error err = {0};
    if (size == 0) {
        return 0;
    }
    uint8_t *body = malloc(size + 8);
    assert(body != NULL);
    const size_t n = make_body(data, size, body);
    uint8_t *exact = malloc(n + 1); /* a read past the end is seen */
    assert(exact != NULL);
    memcpy(exact + 1, body, n);
    const enum rc rc = agreement_parse_body(exact + 1, n, &a, &err);
    if (rc == RC_OK) {
        check_taken(&a, body, n);
        agreement_release(&a);
    } else {
        assert(err.rc == rc);
        assert(rc == RC_FORMAT || rc == RC_INVALID || rc == RC_LIMIT);
    }
    free(exact);
    free(body);
    return 0;
}
