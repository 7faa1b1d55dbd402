/* Fusions by name: what they need is checked here, and what is absent dealt with, once for all. */
#include "common/model/fusion/fusion.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/model/fusion/fusion_internal.h"

static const struct fusion_kind *const KINDS[] = {
    &FUSION_CONCAT,    &FUSION_PROJECTED,       &FUSION_GATE,       &FUSION_GMU,
    &FUSION_GMU_HEADS, &FUSION_CROSS_ATTENTION, &FUSION_ASYMMETRIC, &FUSION_ATTENTION,
    &FUSION_MEDFUSE,   &FUSION_HIERARCHICAL,    &FUSION_LATE,       &FUSION_TRI_BRANCH};

enum { N_KINDS = sizeof KINDS / sizeof KINDS[0] };

size_t fusion_count(void)
{
    return N_KINDS;
}

const char *fusion_name(size_t i)
{
    return i < N_KINDS ? KINDS[i]->name : NULL;
}

size_t fusion_width(const struct fusion *f)
{
    if (f->kind->logit) {
        return 1;
    }
    return f->kind->width == NULL ? f->width : f->kind->width(f);
}

bool fusion_ends_in_logit(const struct fusion *f)
{
    return f->kind->logit;
}

bool fusion_reads_positions(const struct fusion *f)
{
    return f->kind->positions;
}

bool fusion_looks_at_positions(const char *name)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strcmp(KINDS[i]->name, name) == 0) {
            return KINDS[i]->positions;
        }
    }
    return false;
}

/* ---- declaring ------------------------------------------------------------------------------- */

static enum rc find(const char *prefix, const char *name, const struct fusion_kind **kind,
                    struct error *err)
{
    char all[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strcmp(KINDS[i]->name, name) == 0) {
            *kind = KINDS[i];
            return RC_OK;
        }
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i == 0 ? "" : ", ",
                                 KINDS[i]->name);
    }
    return error_set(err, RC_INVALID, "fusion '%s': no fusion is named '%s'; there are: %s", prefix,
                     name, all);
}

/* What a fusion needs of a number, where it needs it. */
static enum rc size(const char *prefix, const char *what, size_t n, size_t least, size_t most,
                    struct error *err)
{
    if (n < least || n > most) {
        const bool low = n < least;
        return error_set(err, RC_INVALID, "fusion '%s': %s must be at %s %zu", prefix, what,
                         low ? "least" : "most", low ? least : most);
    }
    return RC_OK;
}

static enum rc sizes(const struct fusion *f, const struct fusion_kind *k, const char *prefix,
                     struct error *err)
{
    enum rc rc = size(prefix, "modalities", f->M, k->M_min, FUSION_MODALITIES_MAX, err);
    for (size_t m = 0; rc == RC_OK && m < f->M; m++) {
        rc = size(prefix, "width of a modality", f->width_in[m], 1, SIZE_MAX, err);
    }
    if (rc == RC_OK && k->projects) {
        rc = size(prefix, "width", f->width, 1, SIZE_MAX, err);
    }
    if (rc == RC_OK && k->heads) {
        rc = size(prefix, "heads", f->heads, 1, FUSION_HEADS_MAX, err);
    }
    if (rc == RC_OK && k->heads && f->width % f->heads != 0) {
        rc = error_set(err, RC_INVALID, "fusion '%s': width %zu is no multiple of %zu heads",
                       prefix, f->width, f->heads);
    }
    if (rc == RC_OK && k->hides) {
        rc = size(prefix, "hidden", f->hidden, 1, SIZE_MAX, err);
    }
    if (rc == RC_OK && k->layers) {
        rc = size(prefix, "layers", f->layers, 1, ENCODER_LAYERS_MAX, err);
    }
    if (rc == RC_OK && f->missing == FUSION_SKIP && !k->skips) {
        rc = error_set(err, RC_INVALID,
                       "fusion '%s': %s needs every modality; 'missing' must be token or zero, "
                       "not skip",
                       prefix, k->name);
    }
    return rc;
}

/* Whether modality m comes in positions. */
static bool in_positions(const struct fusion *f, const struct fusion_kind *k, size_t m)
{
    return k->positions && f->token_in[m] > 0;
}

enum rc fusion_declare(struct param_table *table, const char *prefix, const char *name,
                       struct fusion *f, struct error *err)
{
    const struct fusion_kind *k = NULL;
    enum rc rc = find(prefix, name, &k, err);
    if (rc == RC_OK) {
        rc = sizes(f, k, prefix, err);
    }
    for (size_t m = 0; rc == RC_OK && f->missing == FUSION_TOKEN && m < f->M; m++) {
        const size_t D = in_positions(f, k, m) ? f->token_in[m] : f->width_in[m];
        char token[32];
        (void)snprintf(token, sizeof token, "token%zu", m);
        rc = encoder_param(table, prefix, token, PARAM_FAN_IN, D, 0, &f->token[m], err);
    }
    if (rc == RC_OK && k->declare != NULL) {
        rc = k->declare(f, table, prefix, err);
    }
    if (rc == RC_OK) {
        f->kind = k;
    }
    return rc;
}

/* ---- recording: what is absent --------------------------------------------------------------- */

/* A modality's vector, or what stands for it. */
static struct node *vector(const struct fusion *f, struct tape *t, struct node *h,
                           const uint8_t *there, size_t m)
{
    return f->missing == FUSION_TOKEN ? tape_token(t, h, f->token[m], there)
                                      : tape_choose(t, h, NULL, there);
}

/* key [B, N + extra]: of a sample that is there as given, then 0; else `absent`, then 1. */
static const uint8_t *keys(struct tape *t, const uint8_t *given, const uint8_t *there, size_t N,
                           size_t extra, uint8_t absent)
{
    const size_t all = N + extra;
    uint8_t *key = tape_bytes(t, t->B * all);
    for (size_t i = 0; key != NULL && i < t->B * all; i++) {
        const size_t b = i / all;
        const size_t n = i % all;
        if (n >= N) {
            key[i] = !there[b];
        } else {
            key[i] = there[b] ? given == NULL || given[b * N + n] : absent;
        }
    }
    return key;
}

/* Positions of a modality; in the place of an absent one's, zeros, or one more with the token. */
static void positions(const struct fusion *f, struct tape *t, struct node *x, const uint8_t *given,
                      const uint8_t *there, size_t m, struct fusion_parts *p)
{
    const size_t N = x->shape.dim[1];
    const bool token = f->missing == FUSION_TOKEN;
    p->x[m] = tape_choose(t, x, NULL, there);
    p->key[m] = keys(t, given, there, N, token ? 1 : 0, f->missing == FUSION_ZERO);
    if (token) {
        struct node *row = tape_token(t, tape_select(t, p->x[m], 0), f->token[m], there);
        p->x[m] = row == NULL ? NULL : tape_chain(t, p->x[m], tape_stack(t, 1, &row));
    }
}

/* Whether modality m was given as declared; if not, says so. */
static bool fits(const struct fusion *f, struct tape *t, const struct fusion_input *x, size_t m)
{
    const bool p = in_positions(f, f->kind, m);
    const struct node *n = NULL;
    if (p) {
        n = x->tokens == NULL ? NULL : x->tokens[m];
    } else {
        n = x->h[m];
    }
    const size_t rank = p ? 3 : 2;
    const size_t want = p ? f->token_in[m] : f->width_in[m];
    if (n != NULL && n->shape.rank == rank && n->shape.dim[rank - 1] == want) {
        return true;
    }
    if (t->err.rc == RC_OK) { /* else it is the recording of this modality that failed */
        error_ignore(error_set(&t->err, RC_INVALID, "fusion: modality %zu is not %s of %zu numbers",
                               m, p ? "positions" : "a vector", want));
    }
    return false;
}

static bool prepare(const struct fusion *f, struct tape *t, const struct fusion_input *x,
                    const struct tape_dropout *drop, struct fusion_parts *p)
{
    /* copied, so that recordings need the same memory whether or not somebody may be absent */
    const uint8_t *given = tape_flanked(t, 0, x->present, f->M, 0);
    const uint8_t *everybody = tape_flanked(t, 0, NULL, f->M, 0);
    *p = (struct fusion_parts){.M = f->M,
                               .present = f->missing == FUSION_SKIP ? given : everybody,
                               .drop = drop};
    for (size_t m = 0; m < f->M; m++) {
        if (!fits(f, t, x, m)) {
            return false;
        }
        const uint8_t *there = fusion_column(t, given, f->M, m);
        p->here[m] = fusion_column(t, p->present, f->M, m);
        if (in_positions(f, f->kind, m)) {
            positions(f, t, x->tokens[m], x->key == NULL ? NULL : x->key[m], there, m, p);
            continue;
        }
        p->h[m] = vector(f, t, x->h[m], there, m);
        if (f->kind->positions && p->h[m] != NULL) {
            p->x[m] = tape_stack(t, 1, &p->h[m]);
            p->key[m] = p->here[m];
        }
    }
    p->all = fusion_all(t, p->present, f->M);
    return true;
}

static bool fits_all(const struct fusion *f, struct tape *t, const struct fusion_input *x,
                     const struct tape_dropout *drop, struct fusion_parts *p)
{
    if (x->M != f->M) {
        if (t->err.rc == RC_OK) {
            error_ignore(error_set(&t->err, RC_INVALID,
                                   "fusion: %zu modalities are given, declared: %zu", x->M, f->M));
        }
        return false;
    }
    return prepare(f, t, x, drop, p);
}

struct node *fusion_record(const struct fusion *f, struct tape *t, const struct fusion_input *x,
                           const struct tape_dropout *drop)
{
    struct fusion_parts p;
    if (!fits_all(f, t, x, drop, &p)) {
        return NULL;
    }
    struct node *z = f->kind->record(f, t, &p);
    return f->kind->logit ? z : encoder_drop(t, z, drop);
}

struct node *fusion_loss(const struct fusion *f, struct tape *t, const struct fusion_input *x,
                         const float *label, const struct tape_dropout *drop)
{
    struct fusion_parts p;
    assert(f->kind->logit);
    if (!fits_all(f, t, x, drop, &p)) {
        return NULL;
    }
    return f->kind->loss != NULL ? f->kind->loss(f, t, &p, label)
                                 : tape_bce(t, f->kind->record(f, t, &p), label);
}
