/* From scores and coins to rates, their intervals and what they prove. */
#include <math.h>
#include <stdlib.h>

#include "common/accountant/pld.h"
#include "sim/attack/attack_internal.h"

enum { THOUSANDTH_TRIALS = 10000 };
static const double RISK = 0.05;

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

struct attack_rate attack_rate_of(size_t k, size_t n)
{
    return (struct attack_rate){.value = n > 0 ? (double)k / (double)n : 0.0,
                                .low = 1.0 - audit_share_most(n - k, n, 0.5 * RISK),
                                .high = audit_share_most(k, n, 0.5 * RISK)};
}

static size_t above(const double *x, size_t n, double threshold)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        k += x[i] > threshold;
    }
    return k;
}

static double bound(const struct pld *pld, double fpr)
{
    return pld == NULL || fpr >= 1.0 ? 1.0 : fmin(1.0, pld_tpr(pld, fpr));
}

/* @param out ascending */
static struct attack_point point(const double *in, size_t n_in, const double *out, size_t n_out,
                                 double fpr, const struct pld *pld)
{
    struct attack_point p = {.tpr = {0.0, 0.0, 1.0}, .fpr = {0.0, 0.0, 1.0}};
    if (n_out > 0) {
        const size_t spared = n_out - 1 - (size_t)(fpr * (double)n_out);
        const double threshold = out[spared];
        p.tpr = attack_rate_of(above(in, n_in, threshold), n_in);
        p.fpr = attack_rate_of(above(out, n_out, threshold), n_out);
    }
    p.bound = bound(pld, fpr);
    p.bound_at_high = bound(pld, p.fpr.high);
    return p;
}

/* A score and whose it is: equal ones are told apart by place, which knows nothing of the coins. */
struct ranked {
    double score;
    size_t place;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    if (x->score != y->score) {
        return x->score > y->score ? 1 : -1;
    }
    return (x->place > y->place) - (x->place < y->place);
}

/* How many of [from, to) were there. */
static size_t there(const struct ranked *r, size_t from, size_t to, const bool *in)
{
    size_t k = 0;
    for (size_t i = from; i < to; i++) {
        k += in[r[i].place];
    }
    return k;
}

/* The half with the higher scores is accused: as many as the coins put in, on average. The interval is of
 * both rates at half the risk each. */
static struct attack_rate balanced(const struct ranked *r, size_t n, const bool *in)
{
    const double risk = 0.25 * RISK;
    const size_t n_in = there(r, 0, n, in);
    const size_t n_out = n - n_in;
    const size_t found = there(r, n / 2, n, in);
    const size_t spared = n / 2 - there(r, 0, n / 2, in);
    const double tpr = n_in > 0 ? (double)found / (double)n_in : 0.0;
    const double tnr = n_out > 0 ? (double)spared / (double)n_out : 0.0;
    return (struct attack_rate){.value = 0.5 * (tpr + tnr),
                                .low = 1.0 - 0.5 * (audit_share_most(n_in - found, n_in, risk) +
                                                    audit_share_most(n_out - spared, n_out, risk)),
                                .high = 0.5 * (audit_share_most(found, n_in, risk) +
                                               audit_share_most(spared, n_out, risk))};
}

/* A tenth of the coins is named at each end of the scores, whatever they are. */
static double lower(const struct ranked *r, size_t n, const bool *in, double delta)
{
    const size_t named = n / 10;
    const struct audit_guesses g = {.coins = n,
                                    .guesses = 2 * named,
                                    .right = there(r, n - named, n, in) + named -
                                             there(r, 0, named, in)};
    return audit_one_run(&g, fmax(delta, 1e-12), RISK);
}

enum rc attack_rates(const double *score, const bool *in, size_t n, const struct pld *pld,
                     struct attack_row *row, struct error *err)
{
    struct ranked *all = calloc(n + 1, sizeof *all);
    double *was_in = calloc(n + 1, sizeof *was_in);
    double *was_out = calloc(n + 1, sizeof *was_out);
    enum rc rc = RC_OK;
    if (all == NULL || was_in == NULL || was_out == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu trials", n);
        goto out;
    }
    row->in = row->out = 0;
    for (size_t i = 0; i < n; i++) {
        all[i] = (struct ranked){score[i], i};
        if (in[i]) {
            was_in[row->in++] = score[i];
        } else {
            was_out[row->out++] = score[i];
        }
    }
    qsort(all, n, sizeof *all, by_score);
    qsort(was_out, row->out, sizeof *was_out, ascending);
    row->hundredth = point(was_in, row->in, was_out, row->out, 0.01, pld);
    row->has_thousandth = n >= THOUSANDTH_TRIALS;
    if (row->has_thousandth) {
        row->thousandth = point(was_in, row->in, was_out, row->out, 0.001, pld);
    }
    row->balanced = balanced(all, n, in);
    row->bound_balanced = pld == NULL ? 1.0 : 0.5 * (1.0 + pld_delta(pld, 0.0));
    row->epsilon_low = lower(all, n, in, row->delta);
out:
    free(all);
    free(was_in);
    free(was_out);
    return rc;
}

enum rc attack_audit_gaussian(const double *score, const bool *in, size_t n, double delta,
                              double *epsilon, struct error *err)
{
    const size_t half = n / 2;
    struct audit_counts c = {0};
    double *first = malloc((half + 1) * sizeof *first);
    if (first == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu trials", n);
    }
    for (size_t i = 0; i < half; i++) {
        first[i] = score[i];
    }
    qsort(first, half, sizeof *first, ascending);
    const double threshold = half > 1 ? first[half / 2 - 1] : 0.0;
    for (size_t i = half; i < n; i++) {
        const bool said = score[i] > threshold;
        c.in += in[i];
        c.out += !in[i];
        c.in_found += in[i] && said;
        c.out_found += !in[i] && said;
    }
    *epsilon = audit_lower(&c, delta, RISK).epsilon_gaussian;
    free(first);
    return RC_OK;
}

bool attack_row_within(const struct attack_row *r)
{
    const struct attack_point *p[] = {&r->hundredth, &r->thousandth};
    const size_t n = r->has_thousandth ? 2 : 1;
    for (size_t i = 0; i < n; i++) {
        if (p[i]->tpr.low > p[i]->bound_at_high) {
            return false;
        }
    }
    return !isfinite(r->epsilon) || r->epsilon_low <= r->epsilon;
}
