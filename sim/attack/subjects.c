/* Who is asked about: patients drawn by a seed, as they are or with a canary in their place. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/train/train.h"
#include "common/base/rng.h"
#include "sim/attack/attack_internal.h"

/* Records that a canary is the best of. */
enum { CANDIDATES = 8 };

const char *attack_subject_name(enum attack_subject s)
{
    static const char *const name[] = {"patient", "canary"};
    return name[s];
}

static size_t data_site(const struct dataset *data, const char *name)
{
    size_t i = 0;
    while (i < data->n_sites && strcmp(data->site_name[i], name) != 0) {
        i++;
    }
    return i;
}

static bool is_subject(const struct attack_group *g, size_t patient, size_t *which)
{
    for (size_t j = 0; j < g->n; j++) {
        if (g->patient[j] == patient) {
            *which = j;
            return true;
        }
    }
    return false;
}

/* `each` of a site, and what is left of it. */
static enum rc choose(const struct study *study, const struct dataset *data, size_t site,
                      struct rng *r, struct attack_group *g, size_t *index, struct error *err)
{
    const size_t here = data_site(data, study->site[site].name);
    size_t n = 0;
    for (size_t p = 0; p < data->n_patients; p++) {
        if (data->site[p] == here) {
            index[n++] = p;
        }
    }
    if (n < 2 * g->each) {
        return error_set(err, RC_INVALID,
                         "site '%s' has too few patients for %zu subjects of an attack: at most "
                         "half of them may be",
                         study->site[site].name, g->each);
    }
    rng_shuffle(r, index, n);
    memcpy(g->patient + site * g->each, index, g->each * sizeof *index);
    return dataset_pick(data, index + g->each, n - g->each, &g->others[site], err);
}

enum rc attack_group_open(const struct study *study, const struct dataset *data,
                          enum attack_subject kind, size_t each, uint64_t seed,
                          struct attack_group *out, struct error *err)
{
    struct attack_group g = {.kind = kind, .n_sites = study->n_sites, .each = each, .data = data};
    struct rng r;
    enum rc rc = RC_OK;
    size_t *index = calloc(data->n_patients + 1, sizeof *index);
    g.n = g.n_sites * each;
    g.patient = calloc(g.n + 1, sizeof *g.patient);
    g.others = calloc(g.n_sites + 1, sizeof(struct dataset *));
    if (index == NULL || g.patient == NULL || g.others == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu subjects", g.n);
        goto out;
    }
    rng_init(&r, seed, attack_subject_name(kind));
    for (size_t i = 0; i < g.n_sites; i++) {
        rc = choose(study, data, i, &r, &g, index, err);
        if (rc != RC_OK) {
            goto out;
        }
    }
    if (kind == ATTACK_CANARY) {
        for (size_t p = 0; p < data->n_patients; p++) {
            index[p] = p;
        }
        rc = dataset_pick(data, index, data->n_patients, &g.made, err);
        if (rc != RC_OK) {
            goto out;
        }
        g.data = g.made;
    }
    *out = g;
    g = (struct attack_group){0}; /* ownership moved */
out:
    free(index);
    attack_group_release(&g);
    return rc;
}

enum rc attack_group_ready(struct attack_group *g, struct error *err)
{
    enum rc rc = RC_OK;
    g->alone = calloc(g->n + 1, sizeof(struct dataset *));
    if (g->alone == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu subjects", g->n);
    }
    for (size_t j = 0; rc == RC_OK && j < g->n; j++) {
        rc = dataset_pick(g->data, &g->patient[j], 1, &g->alone[j], err);
    }
    return rc;
}

void attack_group_release(struct attack_group *g)
{
    for (size_t j = 0; g->alone != NULL && j < g->n; j++) {
        dataset_close(&g->alone[j]);
    }
    free(g->alone);
    for (size_t i = 0; g->others != NULL && i < g->n_sites; i++) {
        dataset_close(&g->others[i]);
    }
    dataset_close(&g->made);
    free(g->others);
    free(g->patient);
    *g = (struct attack_group){0};
}

enum rc attack_group_pick(const struct attack_group *g, const struct study *study, size_t site,
                          const bool *in, struct dataset **out, struct error *err)
{
    const struct dataset *d = g->data;
    const size_t here = data_site(d, study->site[site].name);
    size_t n = 0;
    size_t *index = calloc(d->n_patients + 1, sizeof *index);
    if (index == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu patients", d->n_patients);
    }
    for (size_t p = 0; p < d->n_patients; p++) {
        size_t j = 0;
        if (d->site[p] == here && (!is_subject(g, p, &j) || in[j])) {
            index[n++] = p;
        }
    }
    const enum rc rc = dataset_pick(d, index, n, out, err);
    free(index);
    return rc;
}

/* ---- canaries ---------------------------------------------------------------------------------- */

static float sign(struct rng *r)
{
    return rng_below(r, 2) == 0 ? -1.0f : 1.0f;
}

/* Every feature is there, and at an end of its range. */
static void extreme_row(const struct schema *s, struct rng *r, float *values, int32_t *codes)
{
    size_t code = 0;
    for (size_t i = 0; i < s->n_features; i++) {
        const struct schema_feature *f = &s->feature[i];
        if (f->type == SCHEMA_CATEGORICAL) {
            *codes++ = (int32_t)rng_below(r, schema_code_count(s, code++));
            continue;
        }
        *values++ = f->type == SCHEMA_BINARY ? 0.5f + 0.5f * sign(r) : sign(r);
        if (f->may_miss) {
            *values++ = 0.0f;
        }
    }
}

/* What there is of a modality, with numbers that no patient has together. A film gets dashes, black and
 * white: single pixels would be averaged away. */
static void extreme_part(const struct dataset_part *part, size_t row, struct rng *r)
{
    enum { DASH = 8 };
    unsigned char colour = 0;
    for (size_t i = part->first[row]; i < part->first[row + 1]; i++) {
        switch (part->shape.kind) {
        case SCHEMA_SERIES:
            part->value[i] = sign(r);
            break;
        case SCHEMA_NOTES:
            part->token[i] = (int32_t)rng_below(r, part->shape.vocabulary);
            break;
        case SCHEMA_IMAGE:
            colour = (i - part->first[row]) % DASH > 0 ? colour : rng_below(r, 2) == 0 ? 0 : 255;
            part->pixel[i] = colour;
            break;
        }
    }
}

static void write_canary(const struct attack_group *g, const struct schema *schema, size_t patient,
                         uint64_t seed)
{
    const struct dataset *d = g->made;
    struct rng r;
    rng_init(&r, seed, "canary");
    for (size_t row = d->first_row[patient]; row < d->first_row[patient + 1]; row++) {
        extreme_row(schema, &r, d->values + row * d->n_values, d->codes + row * d->n_codes);
        for (size_t k = 0; k < d->n_parts; k++) {
            extreme_part(&d->part[k], row, &r);
        }
    }
}

enum rc attack_canaries_make(struct attack_group *g, const struct schema *schema,
                             const struct model *model, const real *params, uint64_t seed,
                             struct error *err)
{
    const size_t tries = CANDIDATES * g->n;
    double *probability = calloc(tries + 1, sizeof *probability);
    size_t *row = calloc(g->n + 1, sizeof *row);
    enum rc rc = RC_OK;
    if (probability == NULL || row == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu canaries", g->n);
    }
    for (size_t c = 0; rc == RC_OK && c < CANDIDATES; c++) {
        for (size_t j = 0; j < g->n; j++) {
            write_canary(g, schema, g->patient[j], seed + c * g->n + j);
            row[j] = g->made->first_row[g->patient[j]];
        }
        rc =
            train_score(model, params, g->made, row, g->patient, g->n, probability + c * g->n, err);
    }
    for (size_t j = 0; rc == RC_OK && j < g->n; j++) {
        size_t best = 0;
        for (size_t c = 1; c < CANDIDATES; c++) {
            const double surer = fabs(probability[c * g->n + j] - 0.5);
            best = surer > fabs(probability[best * g->n + j] - 0.5) ? c : best;
        }
        write_canary(g, schema, g->patient[j], seed + best * g->n + j);
        g->made->label[g->patient[j]] = probability[best * g->n + j] < 0.5 ? 1.0f : 0.0f;
    }
    free(probability);
    free(row);
    return rc;
}
