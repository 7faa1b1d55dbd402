#include "common/metrics/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/metrics/metrics_internal.h"

/* A run of equal scores: by_score[begin … end). */
struct tie {
    size_t begin, end, n_ill, n_well;
};

static int by_rising_score(const void *left, const void *right)
{
    double a = ((const struct scored *)left)->score;
    double b = ((const struct scored *)right)->score;
    return (a > b) - (a < b);
}

enum rc ranking_open(const double *score, const double *label, size_t n, struct ranking *out,
                     struct error *err)
{
    struct ranking r = {.n = n};

    for (size_t i = 0; i < n; i++) {
        if (!isfinite(score[i])) {
            return error_set(err, RC_INVALID, "score of row %zu is not finite", i);
        }
        if (label[i] != 0.0 && label[i] != 1.0) {
            return error_set(err, RC_INVALID, "label of row %zu is neither 0 nor 1", i);
        }
        r.n_ill += label[i] == 1.0;
    }
    r.n_well = n - r.n_ill;
    if (r.n_ill == 0 || r.n_well == 0) {
        return error_set(err, RC_STATE, "both classes are needed, there is one or none");
    }
    if (n > SIZE_MAX / sizeof *r.by_score) {
        return error_set(err, RC_NOMEM, "no room to sort %zu scores", n);
    }
    r.by_score = malloc(n * sizeof *r.by_score);
    if (r.by_score == NULL) {
        return error_set(err, RC_NOMEM, "no room to sort %zu scores", n);
    }
    for (size_t i = 0; i < n; i++) {
        r.by_score[i] = (struct scored){.score = score[i], .at = i, .ill = label[i] == 1.0};
    }
    qsort(r.by_score, n, sizeof *r.by_score, by_rising_score);
    *out = r;
    return RC_OK;
}

void ranking_close(struct ranking *r)
{
    free(r->by_score);
    r->by_score = NULL;
}

/* The run of equal scores that begins at `begin`. */
static struct tie tie_from(const struct ranking *r, size_t begin)
{
    struct tie t = {.begin = begin, .end = begin};

    assert(r->by_score != NULL);
    for (; t.end < r->n && r->by_score[t.end].score == r->by_score[begin].score; t.end++) {
        t.n_ill += r->by_score[t.end].ill;
        t.n_well += !r->by_score[t.end].ill;
    }
    return t;
}

/* The run of equal scores that ends before `end` > 0: thresholds from the strictest down. */
static struct tie tie_until(const struct ranking *r, size_t end)
{
    struct tie t = {.begin = end, .end = end};

    assert(r->by_score != NULL);
    for (; t.begin > 0 && r->by_score[t.begin - 1].score == r->by_score[end - 1].score; t.begin--) {
        t.n_ill += r->by_score[t.begin - 1].ill;
        t.n_well += !r->by_score[t.begin - 1].ill;
    }
    return t;
}

/* The midrank among all less the midrank among the ill: one pass over the runs of equal scores gives both.
 * Multiples of one half, so they and their sum are exact. */
void ranking_placements(const struct ranking *r, double *place)
{
    size_t ill_below = 0;
    size_t well_below = 0;
    struct tie t = {0};

    for (size_t i = 0; i < r->n; i = t.end) {
        t = tie_from(r, i);
        for (size_t j = t.begin; j < t.end; j++) {
            size_t above = r->n_ill - ill_below - t.n_ill;
            place[r->by_score[j].at] = r->by_score[j].ill
                                           ? (double)well_below + 0.5 * (double)t.n_well
                                           : (double)above + 0.5 * (double)t.n_ill;
        }
        ill_below += t.n_ill;
        well_below += t.n_well;
    }
}

/* Sum of the placements of one class over the number of pairs: the AUROC. */
static double mean_placement(const double *place, const double *label, size_t n, double n_pairs)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        sum += label[i] == 1.0 ? place[i] : 0.0;
    }
    return sum / n_pairs;
}

/* DeLong's variance S10 / n_ill + S01 / n_well of a mean of placements; two of each class at least. */
static double placement_variance(const double *place, const double *label, size_t n,
                                 const struct ranking *r)
{
    const double n_ill = (double)r->n_ill;
    const double n_well = (double)r->n_well;
    double mean = mean_placement(place, label, n, n_ill * n_well);
    double s10 = 0.0;
    double s01 = 0.0;

    for (size_t i = 0; i < n; i++) {
        bool ill = label[i] == 1.0;
        double apart = place[i] / (ill ? n_well : n_ill) - mean;
        *(ill ? &s10 : &s01) += apart * apart;
    }
    return s10 / (n_ill - 1.0) / n_ill + s01 / (n_well - 1.0) / n_well;
}

/* value +- z sd, cut to what is possible. */
static struct interval wald(double value, double variance, double least, double most)
{
    double half = METRICS_Z95 * sqrt(variance);
    return (struct interval){.value = value,
                             .low = fmax(least, value - half),
                             .high = fmin(most, value + half)};
}

enum rc metrics_auroc(const double *score, const double *label, size_t n, struct interval *out,
                      struct error *err)
{
    struct ranking r = {0};
    double *place = NULL;
    double value = 0.0;
    enum rc rc = ranking_open(score, label, n, &r, err);
    if (rc != RC_OK) {
        goto out;
    }
    place = calloc(n, sizeof *place);
    if (place == NULL) {
        rc = error_set(err, RC_NOMEM, "no room for the ranks of %zu scores", n);
        goto out;
    }
    ranking_placements(&r, place);
    value = mean_placement(place, label, n, (double)r.n_ill * (double)r.n_well);
    if (r.n_ill < 2 || r.n_well < 2) {
        *out = (struct interval){.value = value, .low = 0.0, .high = 1.0};
    } else {
        *out = wald(value, placement_variance(place, label, n, &r), 0.0, 1.0);
    }
out:
    free(place);
    ranking_close(&r);
    return rc;
}

enum rc metrics_auroc_compare(const double *a, const double *b, const double *label, size_t n,
                              struct interval *difference, double *p, struct error *err)
{
    struct ranking of_a = {0};
    struct ranking of_b = {0};
    double *place = NULL; /* [2, n]: of a, which becomes the difference, and of b */
    double *place_b = NULL;
    double value = 0.0;
    double variance = 0.0;
    enum rc rc = ranking_open(a, label, n, &of_a, err);
    if (rc != RC_OK) {
        rc = error_context(err, "first score");
        goto out;
    }
    rc = ranking_open(b, label, n, &of_b, err);
    if (rc != RC_OK) {
        rc = error_context(err, "second score");
        goto out;
    }
    if (of_a.n_ill < 2 || of_a.n_well < 2) {
        rc = error_set(err, RC_STATE, "one patient in a class: the difference has no variance");
        goto out;
    }
    place = calloc(2 * n, sizeof *place);
    if (place == NULL) {
        rc = error_set(err, RC_NOMEM, "no room for the ranks of %zu scores", n);
        goto out;
    }
    place_b = place + n;
    ranking_placements(&of_a, place);
    ranking_placements(&of_b, place_b);
    /* L S L' with L = (1, -1) is the variance of the paired differences: two equal scores get 0,
     * where S_aa + S_bb - 2 S_ab would leave a rounding error. */
    for (size_t i = 0; i < n; i++) {
        place[i] -= place_b[i];
    }
    value = mean_placement(place, label, n, (double)of_a.n_ill * (double)of_a.n_well);
    variance = placement_variance(place, label, n, &of_a);
    *difference = wald(value, variance, -1.0, 1.0);
    *p = value == 0.0 ? 1.0 : erfc(fabs(value) / sqrt(2.0 * variance)); /* variance 0: p = 0 */
out:
    free(place);
    ranking_close(&of_b);
    ranking_close(&of_a);
    return rc;
}

enum rc metrics_auprc(const double *score, const double *label, size_t n, double *out,
                      struct error *err)
{
    struct ranking r = {0};
    struct tie t = {0};
    size_t hits = 0;
    double sum = 0.0;
    enum rc rc = ranking_open(score, label, n, &r, err);
    if (rc != RC_OK) {
        goto out;
    }
    for (size_t end = n; end > 0; end = t.begin) {
        t = tie_until(&r, end);
        hits += t.n_ill;
        sum +=
            (double)t.n_ill * ((double)hits / (double)(n - t.begin)); /* recall step x precision */
    }
    *out = sum / (double)r.n_ill;
out:
    ranking_close(&r);
    return rc;
}

enum rc metrics_sensitivity_at(const double *score, const double *label, size_t n,
                               double specificity, double *out, struct error *err)
{
    struct ranking r = {0};
    struct tie t = {0};
    size_t hits = 0;
    size_t well_below = 0;
    double best = 0.0; /* the threshold above every score: nobody is called ill */
    enum rc rc = RC_OK;
    if (!(specificity >= 0.0 && specificity <= 1.0)) {
        rc = error_set(err, RC_INVALID, "the wanted specificity must lie in [0, 1]");
        goto out;
    }
    rc = ranking_open(score, label, n, &r, err);
    if (rc != RC_OK) {
        goto out;
    }
    well_below = r.n_well;
    for (size_t end = n; end > 0; end = t.begin) {
        t = tie_until(&r, end);
        hits += t.n_ill;
        well_below -= t.n_well;
        /* One division each, so that 9 of 10 is the 0.9 that was asked for. */
        if ((double)well_below / (double)r.n_well < specificity) {
            break;
        }
        best = (double)hits / (double)r.n_ill;
    }
    *out = best;
out:
    ranking_close(&r);
    return rc;
}

double metrics_accuracy(const double *probability, const double *label, size_t n, double threshold)
{
    assert(n > 0);
    size_t right = 0;
    for (size_t i = 0; i < n; i++) {
        right += (probability[i] >= threshold) == (label[i] == 1.0);
    }
    return (double)right / (double)n;
}

/* Guo, Pleiss, Sun, Weinberger 2017, eq. 3; n_b |acc - conf| / n is |sum of (p - y) in b| / n. */
double metrics_ece(const double *probability, const double *label, size_t n, size_t bins)
{
    assert(n > 0);
    assert(bins > 0);
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        if (!(probability[i] >= 0.0 && probability[i] <= 1.0)) {
            return (double)NAN; /* of a diverged model: a result, not a bug of the caller */
        }
    }
    for (size_t b = 0; b < bins; b++) { /* pass by pass: no memory to fail on, and bins are few */
        double gap = 0.0;
        for (size_t i = 0; i < n; i++) {
            size_t at = (size_t)(probability[i] * (double)bins);
            at = at < bins ? at : bins - 1;
            gap += at == b ? probability[i] - label[i] : 0.0;
        }
        sum += fabs(gap);
    }
    return sum / (double)n;
}

void metrics_mean_sd(const double *x, size_t n, double *mean, double *sd)
{
    assert(n > 0);
    double sum = 0.0;
    double squares = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += x[i];
    }
    double middle = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        squares += (x[i] - middle) * (x[i] - middle);
    }
    *mean = middle;
    *sd = n > 1 ? sqrt(squares / (double)(n - 1)) : 0.0;
}
