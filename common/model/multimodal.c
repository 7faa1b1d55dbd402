/*
 * h_m = adapter_m(encoder_m(x_m)) of every modality, a vector, or one for each position where the fusion
 * looks at positions and the encoder has them;  z = fusion(h_1, …, h_M of those that are there);
 * logit = w2 relu(W1 z + b1) + b2, unless the fusion ends in a logit itself.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/encoder/encoder_internal.h"
#include "common/model/fusion/fusion.h"
#include "common/model/modality.h"
#include "common/model/registry_internal.h"

enum { MODALITIES_MAX = FUSION_MODALITIES_MAX };

/* Of the slices that its encoder declared. */
struct place {
    char name[SCHEMA_NAME_MAX]; /* "" of the table */
    size_t first, end;
};

struct multimodal {
    size_t M;
    struct place place[MODALITIES_MAX];
    bool has_table; /**< the first one */
    struct modality modality[MODALITIES_MAX];
    struct fusion fusion;
    struct encoder_linear hidden, head;
};

static enum fusion_missing missing_of(const char *word)
{
    if (strcmp(word, "token") == 0) {
        return FUSION_TOKEN;
    }
    return strcmp(word, "zero") == 0 ? FUSION_ZERO : FUSION_SKIP;
}

/* The index of the modality that the study calls primary: "table", or a part's name. */
static enum rc primary_of(const struct multimodal *x, const struct study_model *s,
                          const struct schema *schema, size_t *primary, struct error *err)
{
    char all[256] = "";
    size_t used = 0;
    *primary = 0;
    if (s->primary[0] == '\0') {
        return RC_OK;
    }
    for (size_t i = 0; i < x->M; i++) {
        const char *name =
            x->has_table && i == 0 ? "table" : schema->modality[x->modality[i].part].name;
        if (strcmp(name, s->primary) == 0) {
            *primary = i;
            return RC_OK;
        }
        if (used < sizeof all) {
            used +=
                (size_t)snprintf(all + used, sizeof all - used, "%s%s", i == 0 ? "" : ", ", name);
        }
    }
    return error_set(err, RC_INVALID,
                     "model: primary: no modality is named '%s'; the cohort has: %s", s->primary,
                     all);
}

static enum rc fuse_declare(struct model *m, const struct schema *schema, struct error *err)
{
    struct multimodal *x = m->multi;
    const struct study_model *s = &m->spec;
    x->fusion = (struct fusion){.M = x->M,
                                .width = s->width,
                                .heads = s->heads,
                                .layers = s->layers,
                                .learned = strcmp(s->branch_weights, "learned") == 0,
                                .hidden = 2 * s->width,
                                .missing = missing_of(s->missing)};
    bool any = false;
    for (size_t i = 0; i < x->M; i++) {
        x->fusion.width_in[i] = x->modality[i].width;
        x->fusion.token_in[i] =
            modality_gives_positions(&x->modality[i]) ? x->modality[i].width : 0;
        any = any || x->fusion.token_in[i] > 0;
    }
    enum rc rc = primary_of(x, s, schema, &x->fusion.primary, err);
    if (rc == RC_OK) {
        rc = fusion_declare(&m->table, "fusion", s->fusion, &x->fusion, err);
    }
    /* With one position each, a softmax over keys is 1 and these are linear maps in disguise. */
    if (rc == RC_OK && fusion_reads_positions(&x->fusion) && !any) {
        rc = error_set(err, RC_INVALID,
                       "model: fusion '%s' looks at positions, and every modality has only one; "
                       "choose encoders that have more (table: transformer, notes: transformer), "
                       "or another fusion, such as " FUSION_DEFAULT,
                       s->fusion);
    }
    if (rc != RC_OK || fusion_ends_in_logit(&x->fusion)) {
        return rc;
    }
    rc = encoder_linear_declare(&m->table, "head", "hidden", s->width, fusion_width(&x->fusion),
                                &x->hidden, err);
    return rc == RC_OK
               ? encoder_linear_declare(&m->table, "head", "out", 1, s->width, &x->head, err)
               : rc;
}

enum rc multimodal_declare(struct model *m, const struct schema *schema, struct error *err)
{
    if (schema->n_classes > 0) {
        return error_set(err, RC_INVALID,
                         "model 'multimodal' says yes or no, and the label '%s' is one of %zu "
                         "classes; use logistic or mlp",
                         schema_label_name(schema), schema->n_classes);
    }
    struct multimodal *x = calloc(1, sizeof *x);
    enum rc rc = RC_OK;
    if (x == NULL) {
        return error_set(err, RC_NOMEM, "no memory for model 'multimodal'");
    }
    m->multi = x;
    x->has_table = m->layout.n_values + m->layout.n_codes > 0;
    if (x->has_table) {
        rc = modality_table(&m->table, &m->spec, schema, &x->modality[0], err);
        x->M = 1;
    }
    for (size_t i = 0; rc == RC_OK && i < m->layout.n_parts; i++) {
        if (x->M == MODALITIES_MAX) {
            return error_set(err, RC_LIMIT, "model 'multimodal' takes at most %d modalities",
                             (int)MODALITIES_MAX);
        }
        struct place *p = &x->place[x->M];
        (void)snprintf(p->name, sizeof p->name, "%s", schema->modality[i].name);
        p->first = m->table.n;
        rc = modality_part(&m->table, &m->spec, &m->layout, i, schema->modality[i].name,
                           &x->modality[x->M++], err);
        p->end = m->table.n;
    }
    return rc == RC_OK ? fuse_declare(m, schema, err) : rc;
}

bool multimodal_slices(const struct model *m, const char *modality, size_t *part, size_t *first,
                       size_t *end)
{
    for (size_t i = 0; m->multi != NULL && i < m->multi->M; i++) {
        const struct place *p = &m->multi->place[i];
        if (p->name[0] != '\0' && strcmp(p->name, modality) == 0) {
            *part = m->multi->modality[i].part;
            *first = p->first;
            *end = p->end;
            return true;
        }
    }
    return false;
}

void multimodal_list(const struct model *m, char *out, size_t room)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; m->multi != NULL && i < m->multi->M && used < room; i++) {
        const char *name = m->multi->place[i].name;
        const int n = snprintf(out + used, room - used, "%s%s",
                               used > 0 && name[0] != '\0' ? ", " : "", name);
        used += n > 0 ? (size_t)n : 0;
    }
}

/* [B, M] of those that the model reads. NULL while measuring; of a table alone: all there. */
static const uint8_t *present_of(const struct multimodal *x, const struct model *m, struct tape *t,
                                 const struct batch *batch)
{
    const size_t columns = 1 + m->layout.n_parts;
    uint8_t *present = tape_bytes(t, t->B * x->M);
    for (size_t b = 0; present != NULL && b < t->B; b++) {
        const uint8_t *all = batch->present == NULL ? NULL : batch->present + b * columns;
        for (size_t i = 0; i < x->M; i++) {
            present[b * x->M + i] = all == NULL || all[x->has_table ? i : i + 1];
        }
    }
    return present;
}

/* What is fused of a batch. */
struct encoded {
    struct node *h[MODALITIES_MAX], *tokens[MODALITIES_MAX];
    const uint8_t *key[MODALITIES_MAX];
    struct tape_dropout numbers;
    const struct tape_dropout *drop; /* numbers, or NULL */
    struct fusion_input in;
};

static void encode(const struct model *m, struct tape *t, const struct batch *batch,
                   struct encoded *e)
{
    const struct multimodal *x = m->multi;
    const struct study_model *s = &m->spec;
    const struct tape_dropout modalities = {.rate = s->modality_dropout,
                                            .seed = batch->coins,
                                            .sample = batch->sample};
    *e = (struct encoded){
        .numbers = {.rate = s->dropout, .seed = batch->coins, .sample = batch->sample}};
    e->drop = batch->training && s->dropout > 0.0 ? &e->numbers : NULL;
    const uint8_t *present = present_of(x, m, t, batch);
    if (batch->training && s->modality_dropout > 0.0) {
        present = fusion_thin(t, present, x->M, &modalities);
    }
    for (size_t i = 0; i < x->M; i++) {
        if (modality_gives_positions(&x->modality[i])) {
            const struct encoder_positions p =
                modality_positions(&x->modality[i], t, batch, e->drop);
            e->tokens[i] = p.x;
            e->key[i] = p.key;
        } else {
            e->h[i] = modality_record(&x->modality[i], t, batch, e->drop);
        }
    }
    e->in = (struct fusion_input){
        .M = x->M, .h = e->h, .tokens = e->tokens, .key = e->key, .present = present};
}

static struct node *logit_of(const struct multimodal *x, struct tape *t, const struct encoded *e)
{
    struct node *z = fusion_record(&x->fusion, t, &e->in, e->drop);
    if (fusion_ends_in_logit(&x->fusion)) {
        return z;
    }
    z = encoder_drop(t, tape_relu(t, encoder_linear_record(&x->hidden, t, z)), e->drop);
    return encoder_linear_record(&x->head, t, z);
}

struct node *multimodal_record(const struct model *m, struct tape *t, const struct batch *batch)
{
    struct encoded e;
    encode(m, t, batch, &e);
    return logit_of(m->multi, t, &e);
}

struct node *multimodal_loss(const struct model *m, struct tape *t, const struct batch *batch)
{
    struct encoded e;
    encode(m, t, batch, &e);
    return fusion_ends_in_logit(&m->multi->fusion)
               ? fusion_loss(&m->multi->fusion, t, &e.in, batch->label, e.drop)
               : tape_bce(t, logit_of(m->multi, t, &e), batch->label);
}
