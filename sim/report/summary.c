#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/report/report_internal.h"

/* Position in a list of known words; unknown ones come after them all. */
static size_t rank_in(const char *word, const char *const *known, size_t n)
{
    size_t k = 0;
    while (k < n && strcmp(word, known[k]) != 0) {
        k++;
    }
    return k;
}

static int by_size(double a, double b)
{
    return (a > b) - (a < b);
}

static int by_word(const char *a, const char *b, const char *const *known, size_t n)
{
    const size_t x = rank_in(a, known, n), y = rank_in(b, known, n);
    return x != y ? (x > y) - (x < y) : strcmp(a, b);
}

static int in_order(const void *left, const void *right)
{
    static const char *const modes[] = {"pooled", "federated", "local_only"};
    static const char *const noises[] = {"none", "site", "shared"};
    const struct report_summary *a = left, *b = right;
    int d = (a->place > b->place) - (a->place < b->place);
    if (d == 0) {
        d = by_word(a->mode, b->mode, modes, 3);
    }
    if (d == 0) {
        d = by_word(a->noise, b->noise, noises, 3);
    }
    if (d == 0) {
        d = -by_size(a->epsilon, b->epsilon);
    }
    return d != 0 ? d : -by_size(a->delta, b->delta);
}

bool report_summary_has(const struct report_summary *s, const struct report_row *r)
{
    return strcmp(s->ablation, r->ablation) == 0 && strcmp(s->mode, r->mode) == 0 &&
           strcmp(s->noise, r->noise) == 0 && by_size(s->epsilon, r->epsilon) == 0 &&
           by_size(s->delta, r->delta) == 0;
}

/* Mean and, if wanted, standard deviation of one field over the rows of a cell that have it. */
static double mean_of(const struct report_summary *s, const struct report_row *row, size_t n,
                      size_t offset, double *sd)
{
    double sum = 0.0, squares = 0.0;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, (const char *)&row[i] + offset, sizeof x);
        if (report_summary_has(s, &row[i]) && isfinite(x)) {
            sum += x;
            count++;
        }
    }
    const double mean = count > 0 ? sum / (double)count : (double)NAN;
    for (size_t i = 0; i < n && sd != NULL; i++) {
        double x;
        memcpy(&x, (const char *)&row[i] + offset, sizeof x);
        if (report_summary_has(s, &row[i]) && isfinite(x)) {
            squares += (x - mean) * (x - mean);
        }
    }
    if (sd != NULL) {
        *sd = count > 1 ? sqrt(squares / (double)(count - 1)) : 0.0;
    }
    return mean;
}

#define MEAN(field)        mean_of(s, row, n, offsetof(struct report_row, field), NULL)
#define MEAN_SD(field, sd) mean_of(s, row, n, offsetof(struct report_row, field), sd)

/* Ablations that were seen before this row. */
static size_t place_of(const struct report_summary *s, size_t groups, const char *ablation)
{
    size_t next = 0;
    for (size_t g = 0; g < groups; g++) {
        if (strcmp(s[g].ablation, ablation) == 0) {
            return s[g].place;
        }
        next = s[g].place + 1 > next ? s[g].place + 1 : next;
    }
    return next;
}

size_t report_summaries(const struct report_row *row, size_t n, struct report_summary *out)
{
    size_t groups = 0;
    for (size_t i = 0; i < n; i++) {
        size_t g = 0;
        while (g < groups && !report_summary_has(&out[g], &row[i])) {
            g++;
        }
        if (g == groups) {
            const size_t place = place_of(out, groups, row[i].ablation);
            out[g] = (struct report_summary){.place = place,
                                             .first_sites = row[i].first_sites,
                                             .epsilon = row[i].epsilon,
                                             .delta = row[i].delta};
            memcpy(out[g].ablation, row[i].ablation, sizeof out[g].ablation);
            memcpy(out[g].mode, row[i].mode, sizeof out[g].mode);
            memcpy(out[g].noise, row[i].noise, sizeof out[g].noise);
            groups++;
        }
        out[g].n_seeds++;
    }
    for (size_t g = 0; g < groups; g++) {
        struct report_summary *s = &out[g];
        s->auroc = MEAN_SD(auroc, &s->auroc_sd);
        s->auroc_low = MEAN(auroc_low);
        s->auroc_high = MEAN(auroc_high);
        s->auroc_site_mean = MEAN_SD(auroc_site_mean, &s->auroc_site_mean_sd);
        s->auprc = MEAN(auprc);
        s->ece = MEAN(ece);
        s->accuracy = MEAN(accuracy);
        s->accuracy_site_mean = MEAN(accuracy_site_mean);
        s->seconds = MEAN(seconds);
        s->noise_multiplier = MEAN(noise_multiplier);
    }
    qsort(out, groups, sizeof *out, in_order);
    return groups;
}

bool report_summary_has_auroc(const struct report_summary *s)
{
    return isfinite(s->auroc) != 0;
}
