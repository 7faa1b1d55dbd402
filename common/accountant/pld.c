#include "common/accountant/pld.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/accountant/pld_internal.h"

/* Of the smallest probability that is asked for: what may be left out at an end of the grid, and of
 * the steps before they are composed. */
#define WINDOW_SHARE 1e-6
#define CUT_SHARE    1e-8
/* Losses beyond are not for a grid: e^500 is at the edge of double, and no privacy. */
#define LOSS_MOST 500.0

enum direction { REMOVE, ADD };

struct pld {
    double h;
    size_t n;
    int64_t first;      /* the lowest loss is first * h */
    double *mass[2];    /* [n] by loss, for each direction; one piece of memory */
    double infinite[2]; /* at infinite loss, with all that may have been lost on the way */
    double rounding;    /* of the losses themselves */
};

/* ---- the grid -------------------------------------------------------------------------------- */

/* Where the composed loss may lie, from Rényi's curve R of all steps: for both directions
 * P(L > b) <= exp((a-1)(R(a) - b)) and P(L < -b) <= exp((a-1) R(a) - a b). */
struct window {
    double low, high; /* losses from -low to high */
    double order;     /* the one that gave `high` */
};

static struct window window_of(const struct rdp_curve *curve, double left_out)
{
    struct window w = {.low = HUGE_VAL, .high = HUGE_VAL};
    const double *order = NULL;
    const size_t orders = rdp_orders(&order);
    const double nats = -log(left_out);

    for (size_t i = 0; i < orders; i++) {
        const double high = curve->at[i] + nats / (order[i] - 1.0);
        const double low = ((order[i] - 1.0) * curve->at[i] + nats) / order[i];
        if (high < w.high) {
            w.high = high;
            w.order = order[i];
        }
        w.low = fmin(w.low, low);
    }
    return w;
}

static double steps_of(const struct mechanism *m, size_t n)
{
    double steps = 0.0;
    for (size_t i = 0; i < n; i++) {
        steps += mechanism_costs(&m[i]) ? (double)m[i].steps : 0.0;
    }
    return steps;
}

/* ---- composing ------------------------------------------------------------------------------- */

static struct complex times(struct complex a, struct complex b)
{
    return (struct complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static struct complex power(struct complex base, uint64_t exponent)
{
    const double square = base.re * base.re + base.im * base.im;
    struct complex result = {1.0, 0.0};
    if (square <= 0.0 || log(square) * (double)exponent < -160.0) { /* below e^-80 */
        return (struct complex){0.0, 0.0};
    }
    for (uint64_t left = exponent; left > 0; left >>= 1) {
        if (left & 1) {
            result = times(result, base);
        }
        base = times(base, base);
    }
    return result;
}

/* The spectra of two real sequences, transformed as one: at k and n - k. */
struct spectra {
    struct complex at[2];
};

static struct spectra unpack(struct complex a, struct complex b)
{
    return (struct spectra){
        {{0.5 * (a.re + b.re), 0.5 * (a.im - b.im)}, {0.5 * (a.im + b.im), 0.5 * (b.re - a.re)}}};
}

static void pack(struct spectra s, struct complex *a, struct complex *b)
{
    *a = (struct complex){s.at[0].re - s.at[1].im, s.at[0].im + s.at[1].re};
    *b = (struct complex){s.at[0].re + s.at[1].im, s.at[1].re - s.at[0].im};
}

/* Both directions' spectra to the power of the steps, times what is in `total` (NULL: nothing yet). */
static void compose_spectra(struct complex *x, struct complex *total, size_t n, uint64_t steps)
{
    for (size_t k = 0; k <= n / 2; k++) {
        const size_t mirror = (n - k) & (n - 1);
        struct spectra s = unpack(x[k], x[mirror]);
        for (size_t d = 0; d < 2; d++) {
            s.at[d] = power(s.at[d], steps);
        }
        if (total != NULL) {
            const struct spectra t = unpack(total[k], total[mirror]);
            for (size_t d = 0; d < 2; d++) {
                s.at[d] = times(s.at[d], t.at[d]);
            }
        }
        pack(s, &x[k], &x[mirror]);
    }
}

struct bench {
    struct complex *x, *work, *root, *total; /* [n]; total: only for several kinds */
};

static enum rc bench_reserve(struct bench *b, size_t n, bool several, struct error *err)
{
    b->x = malloc(n * sizeof *b->x);
    b->work = malloc(n * sizeof *b->work);
    b->root = malloc(n * sizeof *b->root);
    b->total = several ? malloc(n * sizeof *b->total) : NULL;
    if (b->x == NULL || b->work == NULL || b->root == NULL || (several && b->total == NULL)) {
        return error_set(err, RC_NOMEM, "no memory to account on %zu points", n);
    }
    fft_roots(b->root, n);
    return RC_OK;
}

static void bench_release(struct bench *b)
{
    free(b->x);
    free(b->work);
    free(b->root);
    free(b->total);
}

/* One kind of step, all of them, into the spectrum b->x. */
static void compose_kind(struct pld *p, const struct mechanism *kind, struct pld_step *s,
                         bool first, double log_moment[2], struct bench *b)
{
    if (!first) {
        memcpy(b->total, b->x, p->n * sizeof *b->x);
    }
    memset(b->x, 0, p->n * sizeof *b->x);
    pld_step_put(s, b->x, p->n);
    fft(b->x, b->work, b->root, p->n);
    compose_spectra(b->x, first ? NULL : b->total, p->n, kind->steps);
    for (size_t d = 0; d < 2; d++) {
        p->infinite[d] += (double)kind->steps * s->infinite[d];
        log_moment[d] += (double)kind->steps * s->log_moment[d];
    }
}

/* All kinds of steps into the spectrum b->x. */
static void compose(struct pld *p, const struct mechanism *m, size_t n, double smallest,
                    const struct window *w, struct bench *b)
{
    struct mechanism kind;
    struct mechanism done;
    const struct mechanism *last = NULL;
    double log_moment[2] = {0.0, 0.0};
    const double steps = steps_of(m, n);
    bool first = true;

    while (mechanism_next(m, n, last, &kind)) {
        if (mechanism_costs(&kind) && kind.steps > 0) {
            struct pld_step s = {.q = kind.q,
                                 .sigma = kind.sigma,
                                 .pure = kind.pure,
                                 .h = p->h,
                                 .cut = CUT_SHARE * smallest / steps,
                                 .order = w->order};
            compose_kind(p, &kind, &s, first, log_moment, b);
            first = false;
        }
        done = kind;
        last = &done;
    }
    for (size_t d = 0; d < 2; d++) { /* what has wrapped around the grid's upper end */
        p->infinite[d] += exp(log_moment[d] - (w->order - 1.0) * w->high);
        p->infinite[d] += 16.0 * DBL_EPSILON * (steps + log2((double)p->n)); /* of the transform */
    }
    p->rounding = DBL_EPSILON * steps * sqrt((double)p->n);
}

/* From the spectrum to masses by loss. */
static void take_masses(struct pld *p, struct bench *b)
{
    const size_t n = p->n;
    for (size_t k = 0; k < n; k++) {
        b->x[k].im = -b->x[k].im;
    }
    fft(b->x, b->work, b->root, n);
    for (size_t i = 0; i < n; i++) {
        const size_t at = ((size_t)p->first + i) & (n - 1);
        p->mass[REMOVE][i] = fmax(0.0, b->x[at].re / (double)n);
        p->mass[ADD][i] = fmax(0.0, -b->x[at].im / (double)n);
    }
}

enum rc pld_open(const struct mechanism *m, size_t n, const struct rdp_curve *curve,
                 double smallest, size_t points, struct pld **out, struct error *err)
{
    struct pld *p = NULL;
    struct bench b = {0};
    enum rc rc = RC_OK;

    assert(smallest > 0.0 && smallest < 1.0);
    assert(points >= PLD_POINTS_MIN && points <= PLD_POINTS_MAX && (points & (points - 1)) == 0);
    if (!(steps_of(m, n) > 0.0)) {
        return error_set(err, RC_INVALID, "there is no step to account for");
    }
    const struct window w = window_of(curve, WINDOW_SHARE * smallest);
    if (!(w.high < LOSS_MOST && w.low < LOSS_MOST)) {
        return error_set(err, RC_LIMIT, "losses beyond %g do not fit a grid", LOSS_MOST);
    }
    p = calloc(1, sizeof *p);
    if (p != NULL) {
        p->mass[REMOVE] = malloc(2 * points * sizeof(double));
    }
    if (p == NULL || p->mass[REMOVE] == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory to account on %zu points", points);
        goto out;
    }
    p->mass[ADD] = p->mass[REMOVE] + points;
    p->n = points;
    p->h = (w.low + w.high) / (double)(points - 2);
    p->first = -(int64_t)ceil(w.low / p->h);
    rc = bench_reserve(&b, points, n > 1, err);
    if (rc == RC_OK) {
        compose(p, m, n, smallest, &w, &b);
        take_masses(p, &b);
        *out = p;
        p = NULL;
    }
out:
    bench_release(&b);
    pld_close(&p);
    return rc;
}

void pld_close(struct pld **p)
{
    if (*p != NULL) {
        free((*p)->mass[REMOVE]);
        free(*p);
        *p = NULL;
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

/*
 * From the highest loss down: with A = sum of masses above eps and B = sum of mass exp(-loss),
 * delta(eps) = A - exp(eps) B. B is carried relative to the present point, so that nothing overflows.
 */
static double epsilon_of(const struct pld *p, enum direction d, double delta)
{
    const double room = delta - p->infinite[d];
    const double fade = exp(-p->h);
    double a = 0.0;
    double b = 0.0; /* times exp(loss of the point) */

    if (!(room > 0.0)) {
        return HUGE_VAL;
    }
    for (size_t i = p->n; i-- > 0;) {
        const int64_t at = p->first + (int64_t)i;
        b *= fade; /* relative to point i, of all above it */
        if (a - b > room ||
            at < 0) { /* passed between here and the point above, at the latest at 0 */
            const double exact = (double)at * p->h + log((a - room) / b);
            return a > room ? fmax(0.0, exact) : 0.0;
        }
        a += p->mass[d][i];
        b += p->mass[d][i];
    }
    return 0.0;
}

double pld_epsilon(const struct pld *p, double delta)
{
    assert(delta > 0.0 && delta < 1.0);
    return fmax(epsilon_of(p, REMOVE, delta), epsilon_of(p, ADD, delta)) + p->rounding;
}

double pld_delta(const struct pld *p, double epsilon)
{
    double most = 0.0;
    assert(epsilon >= 0.0);
    for (size_t d = 0; d < 2; d++) {
        double delta = p->infinite[d];
        for (size_t i = p->n; i-- > 0;) {
            const double loss = (double)(p->first + (int64_t)i) * p->h + p->rounding;
            if (loss <= epsilon) {
                break;
            }
            delta -= p->mass[d][i] * expm1(epsilon - loss);
        }
        most = fmax(most, delta);
    }
    return fmin(1.0, most);
}

double pld_tpr(const struct pld *p, double fpr)
{
    double tpr = p->infinite[REMOVE];
    double left = fpr;
    assert(fpr >= 0.0 && fpr <= 1.0);
    for (size_t i = p->n; i-- > 0;) {
        const double with = p->mass[REMOVE][i];
        const double loss = (double)(p->first + (int64_t)i) * p->h + p->rounding;
        const double without = with * exp(-loss);
        if (without >= left) {
            return fmin(1.0, tpr + left * exp(loss));
        }
        tpr += with;
        left -= without;
    }
    return fmin(1.0, tpr);
}
