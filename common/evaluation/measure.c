/*
 * The coordinator's half: noised sums into figures, each with an interval.
 *
 * Parametric bootstrap (Efron, Tibshirani 1993, section 6.5): from the cleaned histogram counts are drawn
 * (Poisson), the noise of every release is added, and the result goes the same way as the real sums. The mean
 * of what comes out, less what went in, is the bias of that way, and is taken off where it is more than
 * chance; the spread is the uncertainty. Areas and the calibration error get a normal interval; shares of
 * patients get Wilson's (1927) for as many patients as would have that variance (an effective sample size:
 * Korn, Graubard 1998).
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/dp/laplace.h"
#include "common/evaluation/evaluation_internal.h"

enum { RESAMPLES = 400, RELEASES_DRAWN = 8 };
static const double z95 = 1.959963984540054;
static const double MISSING = (double)NAN;

/* Of both classes. */
struct cells {
    double at[EVALUATION_CLASSES][EVALUATION_BINS_MAX];
};

struct noise {
    double epsilon, variance; /* of one release */
    size_t releases;
};

/* Resamples need many numbers of no secret: SplitMix64 (Steele, Lea, Flood 2014), thirty times as quick as
 * rng.h, which seeds it. */
struct dice {
    uint64_t state;
};

static double uniform(struct dice *d)
{
    d->state += 0x9E3779B97F4A7C15u;
    uint64_t z = d->state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static double normal_number(struct dice *d) /* Box, Muller 1958 */
{
    const double u = 1.0 - uniform(d);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * uniform(d));
}

static double poisson(struct dice *r, double mean)
{
    if (mean > 25.0) { /* a normal is good enough for a spread */
        return fmax(0.0, round(mean + sqrt(mean) * normal_number(r)));
    }
    double count = -1.0; /* Knuth: steps of an exponential walk within the mean */
    for (double left = mean; left >= 0.0; left += log1p(-uniform(r))) {
        count += 1.0;
    }
    return count;
}

static double noise_of(struct dice *r, const struct noise *noise)
{
    if (!isfinite(noise->epsilon)) {
        return 0.0;
    }
    if (noise->releases > RELEASES_DRAWN) {
        return round(sqrt(noise->variance * (double)noise->releases) * normal_number(r));
    }
    double sum = 0.0;
    for (size_t i = 0; i < noise->releases; i++) {
        sum += floor(-log1p(-uniform(r)) / noise->epsilon); /* a geometric */
        sum -= floor(-log1p(-uniform(r)) / noise->epsilon);
    }
    return sum;
}

static double clean(struct cells *cells, size_t class, size_t bins)
{
    double total = 0.0;
    evaluation_clean(cells->at[class], bins);
    for (size_t j = 0; j < bins; j++) {
        total += cells->at[class][j];
    }
    return total;
}

/* @return false: a class came out empty */
static bool draw(struct dice *r, const struct evaluation_grid *grid, const struct cells *from,
                 const struct noise *noise, double out[EVALUATION_NUMBERS])
{
    struct cells cells = {0};
    bool full = true;
    for (size_t c = 0; c < EVALUATION_CLASSES; c++) {
        for (size_t j = 0; j < grid->bins; j++) {
            cells.at[c][j] = poisson(r, from->at[c][j]) + noise_of(r, noise);
        }
        full = clean(&cells, c, grid->bins) > 0.0 && full;
    }
    if (full) {
        evaluation_numbers(grid, cells.at[EVALUATION_ILL], cells.at[EVALUATION_WELL], out);
    }
    return full;
}

/* Of numbers seen one after the other (Welford 1962). */
struct spread {
    size_t seen;
    double mean, squares;
};

static void see(struct spread *s, double x)
{
    const double step = x - s->mean;
    s->seen++;
    s->mean += step / (double)s->seen;
    s->squares += step * (x - s->mean);
}

static double variance_of(const struct spread *s)
{
    return s->seen > 1 ? s->squares / (double)(s->seen - 1) : 1.0;
}

/* Mean less `value`, and variance, of one number over resamples that have it. */
static void spread_of(const double *drawn, size_t n, size_t number, double value, double *bias,
                      double *variance)
{
    struct spread s = {0};
    for (size_t b = 0; b < n; b++) {
        const double x = drawn[b * EVALUATION_NUMBERS + number];
        if (!isnan(x)) {
            see(&s, x);
        }
    }
    *variance = variance_of(&s);
    /* What is less than a quarter of the standard error is mostly the resamples' own (Efron, Tibshirani
     * 1993, section 10.3). */
    *bias = s.seen > 0 && fabs(s.mean - value) > 0.25 * sqrt(*variance) ? s.mean - value : 0.0;
}

static double in_unit(double x)
{
    return fmin(1.0, fmax(0.0, x));
}

static struct interval normal(double value, double bias, double variance)
{
    const double v = in_unit(value - bias);
    const double half = z95 * sqrt(variance);
    return (struct interval){v, fmax(0.0, v - half), fmin(1.0, v + half)};
}

/* @param n patients that the share is of, as far as is known */
static struct interval share(double value, double bias, double variance, double n)
{
    if (isnan(value)) {
        return (struct interval){MISSING, MISSING, MISSING};
    }
    const double v = in_unit(value - bias);
    const double inside = (v * n + 0.5 * z95 * z95) / (n + z95 * z95);
    const double m = fmin(n, inside * (1.0 - inside) / fmax(variance, 1e-12));
    const double zz = z95 * z95;
    const double middle = (v + zz / (2.0 * m)) / (1.0 + zz / m);
    const double half = z95 * sqrt(v * (1.0 - v) / m + zz / (4.0 * m * m)) / (1.0 + zz / m);
    return (struct interval){v, fmin(v, fmax(0.0, middle - half)),
                             fmax(v, fmin(1.0, middle + half))};
}

static void fill_group(struct evaluation_group *g, const struct evaluation_grid *grid,
                       const struct cells *cells, const size_t *of, size_t which)
{
    double predicted = 0.0;
    for (size_t j = 0; j < grid->bins; j++) {
        if (of[j] == which) {
            const double n = cells->at[EVALUATION_ILL][j] + cells->at[EVALUATION_WELL][j];
            g->n += n;
            predicted += n * grid->predicted[j];
        }
    }
    g->predicted = g->n > 0.0 ? predicted / g->n : MISSING;
}

static void fill(const struct evaluation_grid *grid, const struct cells *cells, const double *value,
                 const double *drawn, size_t n_drawn, struct evaluation *out)
{
    struct interval found[EVALUATION_NUMBERS];
    for (size_t k = 0; k < EVALUATION_DECILES; k++) {
        struct evaluation_group *g = &out->decile[k];
        g->from = (double)k / EVALUATION_DECILES;
        g->to = (double)(k + 1) / EVALUATION_DECILES;
        fill_group(g, grid, cells, grid->decile, k);
    }
    for (size_t k = 0; k < EVALUATION_STRATA; k++) {
        struct evaluation_group *g = &out->stratum[k];
        g->from = evaluation_strata[k];
        g->to = evaluation_strata[k + 1];
        fill_group(g, grid, cells, grid->stratum, k);
    }
    for (size_t i = 0; i < EVALUATION_NUMBERS; i++) {
        double bias, variance;
        spread_of(drawn, n_drawn, i, value[i], &bias, &variance);
        if (i < EVALUATION_SENSITIVITY) {
            found[i] = normal(value[i], bias, variance);
            continue;
        }
        const size_t k = i - EVALUATION_OBSERVED; /* wraps, and is not used, for the other two */
        const double n = i == EVALUATION_SENSITIVITY ? out->n[EVALUATION_ILL]
                         : i == EVALUATION_PPV
                             ? 0.1 * (out->n[EVALUATION_ILL] + out->n[EVALUATION_WELL])
                         : k < EVALUATION_DECILES ? out->decile[k].n
                                                  : out->stratum[k - EVALUATION_DECILES].n;
        found[i] = share(value[i], bias, variance, n);
    }
    out->auroc = found[EVALUATION_AUROC];
    out->auprc = found[EVALUATION_AUPRC];
    out->ece = found[EVALUATION_ECE];
    out->sensitivity = found[EVALUATION_SENSITIVITY];
    out->ppv = found[EVALUATION_PPV];
    out->nna = (struct interval){1.0 / out->ppv.value, 1.0 / out->ppv.high, 1.0 / out->ppv.low};
    for (size_t k = 0; k < EVALUATION_DECILES; k++) {
        out->decile[k].observed = found[EVALUATION_OBSERVED + k];
    }
    for (size_t k = 0; k < EVALUATION_STRATA; k++) {
        out->stratum[k].observed = found[EVALUATION_OBSERVED + EVALUATION_DECILES + k];
    }
}

static struct dice begin_dice(void)
{
    struct rng seed;
    rng_init(&seed, 0, "resamples of an evaluation"); /* the same figures every time */
    return (struct dice){rng_u64(&seed)};
}

double evaluation_half_width(const struct evaluation_bins *bins,
                             double mean[EVALUATION_CLASSES][EVALUATION_BINS_MAX], double epsilon,
                             size_t releases)
{
    const struct noise noise = {epsilon, laplace_variance(epsilon), releases};
    struct evaluation_grid grid;
    struct cells cells;
    struct dice r = begin_dice();
    struct spread s = {0};
    evaluation_grid_init(bins, &grid);
    memcpy(cells.at, mean, sizeof cells.at);
    for (size_t b = 0; b < RESAMPLES; b++) {
        double number[EVALUATION_NUMBERS];
        if (draw(&r, &grid, &cells, &noise, number)) {
            see(&s, number[EVALUATION_AUROC]);
        }
    }
    return s.seen > RESAMPLES / 2 ? fmin(0.5, z95 * sqrt(variance_of(&s))) : 0.5;
}

enum rc evaluation_measure(const struct evaluation_bins *bins, const struct evaluation_counts *sum,
                           double epsilon, size_t releases, struct evaluation *out,
                           struct error *err)
{
    const struct noise noise = {epsilon, laplace_variance(epsilon), releases};
    struct evaluation made = {.bins = bins->n};
    struct evaluation_grid grid;
    struct cells cells = {0};
    double value[EVALUATION_NUMBERS];

    if (bins->n < 2 || bins->n > EVALUATION_BINS_MAX || sum->bins != bins->n) {
        return error_set(err, RC_INVALID, "counts of %zu bins do not fit %zu bins", sum->bins,
                         bins->n);
    }
    for (size_t c = 0; c < EVALUATION_CLASSES; c++) {
        for (size_t j = 0; j < bins->n; j++) {
            cells.at[c][j] = (double)sum->at[c][j];
        }
        made.n[c] = clean(&cells, c, bins->n);
        if (!(made.n[c] > 0.0)) {
            return error_set(err, RC_STATE,
                             "after its noise the sum has no patient whose label is %zu: there are "
                             "too few, or epsilon is too small",
                             c);
        }
        for (size_t j = 0; j < bins->n; j++) {
            made.clean[c][j] = cells.at[c][j];
        }
    }
    double *drawn = calloc((size_t)RESAMPLES * EVALUATION_NUMBERS, sizeof *drawn);
    if (drawn == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %d resamples", RESAMPLES);
    }
    evaluation_grid_init(bins, &grid);
    evaluation_numbers(&grid, cells.at[EVALUATION_ILL], cells.at[EVALUATION_WELL], value);
    struct dice r = begin_dice();
    size_t n_drawn = 0;
    for (size_t b = 0; b < RESAMPLES; b++) {
        n_drawn += draw(&r, &grid, &cells, &noise, &drawn[n_drawn * EVALUATION_NUMBERS]);
    }
    fill(&grid, &cells, value, drawn, n_drawn, &made);
    free(drawn);
    *out = made;
    return RC_OK;
}
