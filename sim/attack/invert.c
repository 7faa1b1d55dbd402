/*
 * From one update back to a patient: the update of a step in which one patient was sampled alone, and a
 * hundred candidates of whom it is one.
 *
 * A first layer gives its input away: with the gradients G_o of its outputs, the update of its weights is
 * G_o x and that of its biases G_o, so
 *     x = sum_o dB_o dW_o / sum_o dB_o^2        (Phong et al. 2018, over all rows)
 * is exact without noise, whatever the rest of the network is. Where there is no such layer, as in front of
 * a convolution, records are sought whose gradient is the update: over candidates, the one that is nearest.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/train/release.h"
#include "common/accountant/accountant.h"
#include "common/base/replay.h"
#include "common/base/rng.h"
#include "common/checkpoint/checkpoint.h"
#include "sim/attack/attack_internal.h"

enum { CANDIDATES = 100 };

const char *attack_inversion_name(enum attack_inversion_kind k)
{
    static const char *const name[] = {"first layer", "all gradients", "gradients of the image"};
    return name[k];
}

/* Everything of one plan's inversions. */
struct work {
    const struct attack_inverted *of;
    size_t n;                         /* candidates */
    size_t patient[CANDIDATES];       /* in of->data */
    double *gradient;                 /* [n, P] clipped */
    double *sum, *seen;               /* [P] */
    size_t weight, bias, width, rows; /* the table's first layer; rows = 0: there is none */
    bool *image;                      /* [P] parameters of an image's encoder */
    bool has_image;
};

static const struct param *named(const struct param_table *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->param[i].name, name) == 0 && t->param[i].scope == PARAM_SHARED) {
            return &t->param[i];
        }
    }
    return NULL;
}

/* The layer that reads the table's numbers first in its columns. */
static void find_first_layer(struct work *k)
{
    static const char *const layer[][2] = {{"table.in.weight", "table.in.bias"},
                                           {"hidden0.weight", "hidden0.bias"},
                                           {"head.weight", "head.bias"}};
    const struct model *m = k->of->model;
    for (size_t i = 0; k->rows == 0 && i < sizeof layer / sizeof layer[0]; i++) {
        const struct param *w = named(&m->table, layer[i][0]);
        const struct param *b = named(&m->table, layer[i][1]);
        const bool head = i == 2; /* reads the table in linear models alone */
        if (w != NULL && b != NULL && w->rank == 2 && w->dim[1] >= m->layout.n_values &&
            m->layout.n_values > 0 &&
            (!head || strcmp(m->spec.name, "logistic") == 0 ||
             strcmp(m->spec.name, "additive") == 0)) {
            k->weight = w->offset;
            k->bias = b->offset;
            k->width = w->dim[1];
            k->rows = w->dim[0];
        }
    }
}

static void find_images(struct work *k)
{
    const struct param_table *t = &k->of->model->table;
    for (size_t i = 0; i < t->n; i++) {
        bool image = false;
        for (size_t m = 0; m < k->of->schema->n_modalities; m++) {
            const struct schema_modality *of = &k->of->schema->modality[m];
            image = image || (of->kind == SCHEMA_IMAGE && param_is_in(&t->param[i], of->name));
        }
        for (size_t j = 0; image && j < t->param[i].size; j++) {
            k->image[t->param[i].offset + j] = true;
        }
        k->has_image = k->has_image || image;
    }
}

static enum rc open_work(struct work *k, real *params, struct error *err)
{
    const struct attack_inverted *of = k->of;
    const size_t P = of->model->table.P;
    struct attack_gradient *gradient = NULL;
    struct rng r;
    size_t *index = calloc(of->data->n_patients + 1, sizeof *index);
    k->n = of->data->n_patients < CANDIDATES ? of->data->n_patients : CANDIDATES;
    k->gradient = calloc(k->n * P + 1, sizeof *k->gradient);
    k->sum = calloc(P + 1, sizeof *k->sum);
    k->seen = calloc(P + 1, sizeof *k->seen);
    k->image = calloc(P + 1, sizeof *k->image);
    enum rc rc = RC_OK;
    if (index == NULL || k->gradient == NULL || k->sum == NULL || k->seen == NULL ||
        k->image == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu candidates", k->n);
        goto out;
    }
    for (size_t p = 0; p < of->data->n_patients; p++) {
        index[p] = p;
    }
    rng_init(&r, of->seed, "candidates");
    rng_shuffle(&r, index, of->data->n_patients);
    memcpy(k->patient, index, k->n * sizeof *index);
    find_first_layer(k);
    find_images(k);
    rc = checkpoint_first(of->study, of->model, params, err);
    if (rc == RC_OK) {
        rc = attack_gradient_open(of->model, &gradient, err);
    }
    for (size_t c = 0; rc == RC_OK && c < k->n; c++) {
        rc = attack_gradient_add(gradient, of->data, of->data->first_row[k->patient[c]],
                                 k->patient[c], params, of->study->privacy.clip,
                                 k->gradient + c * P, err);
    }
out:
    attack_gradient_close(&gradient);
    free(index);
    return rc;
}

/* Whose gradient is nearest to what was seen, in the parameters that count (NULL: all shared ones)? */
static size_t nearest_gradient(const struct work *k, const bool *counts)
{
    const struct param_table *t = &k->of->model->table;
    size_t best = 0;
    double least = HUGE_VAL;
    for (size_t c = 0; c < k->n; c++) {
        double distance = 0.0;
        for (size_t i = 0; i < t->S; i++) {
            const double d = k->seen[i] - k->gradient[c * t->P + i];
            distance += counts == NULL || counts[i] ? d * d : 0.0;
        }
        best = distance < least ? c : best;
        least = fmin(least, distance);
    }
    return best;
}

/* Whose numbers are nearest to what the first layer was fed? */
static size_t nearest_record(const struct work *k)
{
    const struct dataset *d = k->of->data;
    const size_t n = d->n_values;
    double scale = 0.0;
    size_t best = 0;
    double least = HUGE_VAL;
    for (size_t o = 0; o < k->rows; o++) {
        scale += k->seen[k->bias + o] * k->seen[k->bias + o];
    }
    for (size_t c = 0; c < k->n; c++) {
        const float *x = d->values + d->first_row[k->patient[c]] * n;
        double distance = 0.0;
        for (size_t i = 0; i < n; i++) {
            double read = 0.0;
            for (size_t o = 0; o < k->rows; o++) {
                read += k->seen[k->bias + o] * k->seen[k->weight + o * k->width + i];
            }
            const double off = read - scale * (double)x[i]; /* scale may be 0 */
            distance += off * off;
        }
        best = distance < least ? c : best;
        least = fmin(least, distance);
    }
    return best;
}

static bool tries(const struct work *k, enum attack_inversion_kind kind)
{
    return kind == ATTACK_FIRST_LAYER ? k->rows > 0 : kind != ATTACK_MATCH_IMAGE || k->has_image;
}

static size_t name_one(const struct work *k, enum attack_inversion_kind kind)
{
    return kind == ATTACK_FIRST_LAYER
               ? nearest_record(k)
               : nearest_gradient(k, kind == ATTACK_MATCH_IMAGE ? k->image : NULL);
}

/* For a hundred candidates: P(names i | i) <= T(P(names i | nobody)), and the latter add up to 1. T is
 * concave, so on average no more than T(1 / n) are named rightly. */
static enum rc bound_of(const struct work *k, double *bound, struct error *err)
{
    const struct study_privacy *dp = &k->of->study->privacy;
    const struct mechanism step = {.q = 1.0, .sigma = dp->noise_multiplier, .steps = 1};
    *bound = 1.0;
    return dp->noise == STUDY_NOISE_NONE ? RC_OK
                                         : accountant_tpr(&step, 1, 1.0 / (double)k->n, bound, err);
}

enum rc attack_invert(const struct attack_inverted *of,
                      struct attack_inversion out[ATTACK_INVERSIONS], size_t *n, struct error *err)
{
    struct work k = {.of = of};
    size_t right[ATTACK_INVERSIONS] = {0};
    double bound = 1.0;
    const struct param_table *table = &of->model->table;
    real *params = calloc(table->P + 1, sizeof *params);
    enum rc rc = params == NULL ? error_set(err, RC_NOMEM, "no memory for a model")
                                : open_work(&k, params, err);
    if (rc == RC_OK) {
        rc = bound_of(&k, &bound, err);
    }
    struct entropy noise;
    replay_init(&noise, of->seed, "inversions");
    for (size_t i = 0; rc == RC_OK && i < of->updates; i++) {
        const size_t who = i % k.n;
        memcpy(k.sum, k.gradient + who * table->P, table->P * sizeof *k.sum);
        rc = release_mean(table, &of->study->privacy, 1.0, k.sum, &noise, k.seen, err);
        for (int kind = 0; rc == RC_OK && kind < ATTACK_INVERSIONS; kind++) {
            const enum attack_inversion_kind which = (enum attack_inversion_kind)kind;
            right[kind] += tries(&k, which) && name_one(&k, which) == who;
        }
    }
    entropy_release(&noise);
    *n = 0;
    for (int kind = 0; rc == RC_OK && kind < ATTACK_INVERSIONS; kind++) {
        if (tries(&k, (enum attack_inversion_kind)kind)) {
            out[(*n)++] =
                (struct attack_inversion){.kind = (enum attack_inversion_kind)kind,
                                          .noise = of->study->privacy.noise,
                                          .epsilon = of->study->privacy.noise == STUDY_NOISE_NONE
                                                         ? HUGE_VAL
                                                         : of->study->privacy.epsilon,
                                          .candidates = k.n,
                                          .updates = of->updates,
                                          .named = attack_rate_of(right[kind], of->updates),
                                          .bound = bound};
        }
    }
    free(params);
    free(k.gradient);
    free(k.sum);
    free(k.seen);
    free(k.image);
    return rc;
}
