#include "common/model/model.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kernel/loss.h"
#include "common/model/registry_internal.h"

static const struct model_kind kinds[] = {
    {"logistic", logistic_declare, logistic_record, NULL},
    {"mlp", mlp_declare, mlp_record, NULL},
    {"multimodal", multimodal_declare, multimodal_record, multimodal_loss},
    {"additive", additive_declare, additive_record, NULL},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

size_t model_names(const char *const **name)
{
    static const char *const names[] = {"logistic", "mlp", "multimodal", "additive"};
    static_assert(sizeof names / sizeof names[0] == KINDS, "one name a kind");
    *name = names;
    return KINDS;
}

/* Adapters, too, are the site's; a wish for norms that does nothing is said. */
static bool has_site_norm(const struct param_table *table)
{
    for (size_t i = 0; i < table->n; i++) {
        if (table->param[i].scope == PARAM_SITE &&
            strstr(table->param[i].name, "adapter.") == NULL) {
            return true;
        }
    }
    return false;
}

/* "table, notes, fusion, head": what stands before the first point in the parameters' names. */
static void list_blocks(const struct param_table *t, char *out, size_t room)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < t->n && used < room; i++) {
        char block[PARAM_NAME_MAX];
        bool seen = false;
        (void)snprintf(block, sizeof block, "%.*s", (int)strcspn(t->param[i].name, "."),
                       t->param[i].name);
        for (size_t k = 0; k < i; k++) {
            seen = seen || param_is_in(&t->param[k], block);
        }
        if (!seen) {
            const int n = snprintf(out + used, room - used, "%s%s", used > 0 ? ", " : "", block);
            used += n > 0 ? (size_t)n : 0;
        }
    }
}

static RC freeze(struct model *m, struct error *err)
{
    char names[200];
    size_t left = 0;
    for (size_t k = 0; k < m->spec.n_frozen; k++) {
        size_t found = 0;
        for (size_t i = 0; i < m->table.n; i++) {
            struct param *p = &m->table.param[i];
            found += param_is_in(p, m->spec.frozen[k]);
            p->frozen = p->frozen || param_is_in(p, m->spec.frozen[k]);
        }
        if (found == 0) {
            list_blocks(&m->table, names, sizeof names);
            return error_set(err, RC_INVALID,
                             "frozen: the model has no parameters named '%s'; its blocks are: %s",
                             m->spec.frozen[k], names);
        }
    }
    for (size_t i = 0; i < m->table.n; i++) {
        left += !m->table.param[i].frozen;
    }
    return left > 0 ? RC_OK
                    : error_set(err, RC_INVALID, "frozen: nothing of the model is left to train");
}

/* The shared slices of one encoder were declared one after another, so they lie together. */
static struct study_span span_of(const struct param_table *t, size_t first, size_t end)
{
    struct study_span s = {t->S, 0};
    size_t n = 0;
    for (size_t i = first; i < end; i++) {
        const struct param *p = &t->param[i];
        if (p->scope == PARAM_SHARED) {
            s.first = p->offset < s.first ? p->offset : s.first;
            s.end = p->offset + p->size > s.end ? p->offset + p->size : s.end;
            n += p->size;
        }
    }
    assert(n == 0 || n == s.end - s.first);
    return n > 0 ? s : (struct study_span){0, 0};
}

static RC find_spans(struct model *m, struct error *err)
{
    static_assert((int)STUDY_BLOCKS_MAX == (int)SCHEMA_MODALITIES_MAX,
                  "a site may lack any of them");
    for (size_t k = 0; k < m->spec.n_lacked; k++) {
        size_t first = 0, end = 0;
        if (!multimodal_slices(m, m->spec.lacked[k], &m->lacked_part[k], &first, &end)) {
            char names[160];
            multimodal_list(m, names, sizeof names);
            return error_set(err, RC_INVALID,
                             "a site lacks '%s', which is no modality of the cohort; there are: %s",
                             m->spec.lacked[k], names[0] != '\0' ? names : "none");
        }
        m->span[k] = span_of(&m->table, first, end);
    }
    return RC_OK;
}

enum rc model_open(const struct study_model *spec, const struct schema *schema, struct model *out,
                   struct error *err)
{
    struct model m = {.spec = *spec, .layout = schema_layout(schema)};
    enum rc rc;

    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].name, spec->name) == 0) {
            m.kind = &kinds[i];
        }
    }
    if (m.kind == NULL) {
        rc = error_set(err, RC_INVALID, "no model is named '%s'; there are: %s, %s, %s, %s",
                       spec->name, kinds[0].name, kinds[1].name, kinds[2].name, kinds[3].name);
        static_assert(KINDS == 4, "every name is in the sentence above");
        goto out;
    }
    if (m.layout.n_values + m.layout.n_codes == 0 && m.kind != &kinds[2] && m.kind != &kinds[3]) {
        rc = error_set(err, RC_INVALID, "the cohort has no feature for model '%s'", spec->name);
        goto out;
    }
    if (spec->adapter > 0 && (m.kind == &kinds[0] || m.kind == &kinds[3])) {
        rc = error_set(err, RC_INVALID,
                       "model '%s' has no hidden layer for an adapter; use mlp or adapter: 0",
                       spec->name);
        goto out;
    }
    m.code_table = calloc(m.layout.n_codes + 1, sizeof *m.code_table);
    if (m.code_table == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for model '%s'", spec->name);
        goto out;
    }
    m.table.norms = spec->site_norm ? PARAM_SITE : PARAM_SHARED;
    rc = m.kind->declare(&m, schema, err);
    if (rc != RC_OK) {
        goto out;
    }
    if (spec->site_norm && !has_site_norm(&m.table)) {
        rc = error_set(err, RC_INVALID,
                       "site_norm: nothing in this model is normalised; leave it out, or choose "
                       "encoders or a fusion that normalise");
        goto out;
    }
    param_table_seal(&m.table);
    rc = freeze(&m, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = find_spans(&m, err);
    if (rc != RC_OK) {
        goto out;
    }
    *out = m;
    m = (struct model){0}; /* ownership moved */
out:
    model_release(&m);
    return rc;
}

void model_release(struct model *m)
{
    free(m->code_table);
    free(m->square);
    free(m->multi);
    param_table_release(&m->table);
    *m = (struct model){0};
}

struct node *model_logit(const struct model *m, struct tape *t, const struct batch *batch)
{
    return m->kind->record(m, t, batch);
}

struct node *model_loss(const struct model *m, struct tape *t, const struct batch *batch)
{
    if (m->kind->loss != NULL) {
        return m->kind->loss(m, t, batch);
    }
    struct node *z = model_logit(m, t, batch);
    return m->layout.n_outputs > 1 ? tape_cross_entropy(t, z, batch->class_of)
                                   : tape_bce(t, z, batch->label);
}

enum rc model_step_cost(const struct model *m, struct tape *t, size_t B, size_t *cost,
                        struct error *err)
{
    struct batch nobody = {.B = B};
    tape_start(t, NULL, &m->table, NULL, B);
    (void)model_logit(m, t, &nobody);
    enum rc rc = tape_verdict(t, err);
    if (rc != RC_OK) {
        return rc;
    }
    const size_t scoring = t->cost;
    nobody.training = true;
    tape_start(t, NULL, &m->table, NULL, B);
    struct node *loss = model_loss(m, t, &nobody);
    rc = tape_verdict(t, err);
    if (rc == RC_OK) {
        tape_backward(t, loss);
        *cost = t->cost > scoring ? t->cost : scoring;
    }
    return rc;
}

/* Of one record, in double: exp(z_c - max) over their sum. */
static void softmax_of(const real *z, size_t C, double *p)
{
    double most = (double)z[0];
    double sum = 0.0;
    for (size_t c = 1; c < C; c++) {
        most = (double)z[c] > most ? (double)z[c] : most;
    }
    for (size_t c = 0; c < C; c++) {
        p[c] = exp((double)z[c] - most);
        sum += p[c];
    }
    for (size_t c = 0; c < C; c++) {
        p[c] /= sum;
    }
}

enum rc model_score(const struct model *m, const real *params, const struct batch *batch,
                    size_t physical, double *probability, struct error *err)
{
    const size_t C = m->layout.n_outputs;
    struct arena arena = {0};
    enum rc rc;
    size_t cost = 0;

    struct tape *t = malloc(sizeof *t);
    if (t == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for a tape");
        goto out;
    }
    rc = model_step_cost(m, t, physical, &cost, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = arena_init(&arena, cost, err);
    if (rc != RC_OK) {
        goto out;
    }
    for (size_t at = 0; at < batch->B; at += physical) {
        const size_t n = batch->B - at < physical ? batch->B - at : physical;
        struct batch_part parts[SCHEMA_MODALITIES_MAX];
        const struct batch part = batch_slice(batch, &m->layout, at, n, parts);
        const size_t mark = arena_mark(&arena);
        tape_start(t, &arena, &m->table, params, n);
        const struct node *z = model_logit(m, t, &part);
        rc = tape_verdict(t, err);
        if (rc != RC_OK) {
            goto out;
        }
        for (size_t i = 0; i < n; i++) {
            if (C > 1) {
                softmax_of(z->v + i * C, C, probability + (at + i) * C);
            } else {
                probability[at + i] = (double)sigmoid(z->v[i]);
            }
        }
        arena_rewind(&arena, mark);
    }
out:
    arena_release(&arena);
    free(t);
    return rc;
}
