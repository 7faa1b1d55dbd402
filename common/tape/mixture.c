/*
 * Probabilities averaged, from logits l and scores s, over those that are there:
 *
 *   a = softmax(s)    p = sum a_k sigmoid(l_k)    logit p = log sum e^s_k sigmoid(l_k)
 *                                                         - log sum e^s_k sigmoid(-l_k)
 *
 * With r and q, each one's part in the two sums: d/dl_k = r_k sigmoid(-l_k) + q_k sigmoid(l_k) and
 * d/ds_k = r_k - q_k. Nothing under- or overflows, since both sums are of logarithms.
 */
#include <math.h>

#include "common/tape/tape_internal.h"

/* log sigmoid(x) */
static double log_sigmoid(double x)
{
    return x < 0.0 ? x - log1p(exp(x)) : -log1p(exp(-x));
}

struct terms {
    const real *logit, *score;
    const uint8_t *there;
    size_t K;
};

/* Logarithm of e^s_k sigmoid(sign l_k). */
static double term(const struct terms *x, size_t k, double sign)
{
    return (x->score == NULL ? 0.0 : (double)x->score[k]) + log_sigmoid(sign * (double)x->logit[k]);
}

/* log sum e^term over those that are there; some are. */
static double log_sum(const struct terms *x, double sign)
{
    double top = -HUGE_VAL;
    double sum = 0.0;
    for (size_t k = 0; k < x->K; k++) {
        top = x->there[k] ? fmax(top, term(x, k, sign)) : top;
    }
    for (size_t k = 0; k < x->K; k++) {
        sum += x->there[k] ? exp(term(x, k, sign) - top) : 0.0;
    }
    return top + log(sum);
}

static struct terms terms_of(const struct node *n, size_t b)
{
    const size_t K = shape_last(&n->in[0]->shape);
    return (struct terms){.logit = n->in[0]->v + b * K,
                          .score = n->in[1] == NULL ? NULL : n->in[1]->v + b * K,
                          .there = (const uint8_t *)n->aux + b * K,
                          .K = K};
}

static bool nobody(const struct terms *x)
{
    for (size_t k = 0; k < x->K; k++) {
        if (x->there[k]) {
            return false;
        }
    }
    return true;
}

static void mixture_sweep(struct tape *t, struct node *n)
{
    for (size_t b = 0; b < t->B; b++) {
        const struct terms x = terms_of(n, b);
        if (nobody(&x)) {
            continue;
        }
        const double yes = log_sum(&x, 1.0);
        const double no = log_sum(&x, -1.0);
        for (size_t k = 0; k < x.K; k++) {
            if (!x.there[k]) {
                continue;
            }
            const double r = exp(term(&x, k, 1.0) - yes);
            const double q = exp(term(&x, k, -1.0) - no);
            const double p = exp(log_sigmoid((double)x.logit[k]));
            n->in[0]->g[b * x.K + k] += n->g[b] * (real)(r * (1.0 - p) + q * p);
            if (n->in[1] != NULL) {
                n->in[1]->g[b * x.K + k] += n->g[b] * (real)(r - q);
            }
        }
    }
}

struct node *tape_mixture(struct tape *t, struct node *logit, struct node *score,
                          const uint8_t *there)
{
    if (logit == NULL) {
        return NULL;
    }
    const struct node *other = score == NULL ? logit : score;
    if (logit->shape.rank != 2 || !shape_equal(&logit->shape, &other->shape)) {
        return tape_mismatch(t, "mixture", logit->shape.dim, logit->shape.rank, other->shape.dim,
                             other->shape.rank);
    }
    struct node *n = tape_push(t, shape_matrix(t->B, 1), score == NULL ? 1 : 2,
                               (struct node *[]){logit, score}, mixture_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->aux = there;
    for (size_t b = 0; b < t->B && !tape_measuring(t); b++) {
        const struct terms x = terms_of(n, b);
        n->v[b] = nobody(&x) ? 0 : (real)(log_sum(&x, 1.0) - log_sum(&x, -1.0));
    }
    return n;
}
