/* What each modality says about a patient's state: the table of channels, and Bayes' rule on it. */
#include <assert.h>
#include <math.h>

#include "sim/hospital/icu_internal.h"

const size_t icu_first_channel[ICU_MODALITIES + 1] = {
    [ICU_TABLE] = ICU_YEARS,     [ICU_COURSE] = ICU_HEART_RATE,   [ICU_FILM] = ICU_HEART_SIZE,
    [ICU_NOTE] = ICU_SAYS_BRAIN, [ICU_MODALITIES] = ICU_CHANNELS,
};

const double icu_risk[ICU_STATES] = {
    [ICU_AGE] = 0.5,
    [ICU_ORGAN + HOSPITAL_HEART] = 0.7,
    [ICU_ORGAN + HOSPITAL_LUNG] = 0.8,
    [ICU_ORGAN + HOSPITAL_KIDNEY] = 0.5,
    [ICU_ORGAN + HOSPITAL_INFECTION] = 0.5,
    [ICU_ORGAN + HOSPITAL_BRAIN] = 0.8,
};
const double icu_both = 0.3;

static const double organ_share = 0.65; /* correlation of an organ with severity */
static const double age_severity = 0.25;
static const double film_memory_h = 72.0;

struct channel {
    double age, severity, organ[HOSPITAL_ORGANS]; /* heart, lung, kidney, infection, brain */
    double r;
};

/* clang-format off */
static const struct channel table[ICU_CHANNELS] = {
    [ICU_YEARS]           = {1, 0, {0, 0, 0, 0, 0}, 0.0004}, /* whole years */
    [ICU_ADMISSION]       = {0, 1, {0, 0, 0, 0, 0}, 3.0},
    [ICU_UREA]            = {0, 0, {0, 0, 1, 0, 0}, 1.2},
    [ICU_BILIRUBIN]       = {0, 0, {0, 0, 0.5, 0.5, 0}, 2.0},
    [ICU_WBC]             = {0, 0, {0, 0, 0, 1, 0}, 1.5},
    [ICU_PLATELETS]       = {0, 0, {0, 0, -0.5, -0.7, 0}, 2.0},
    [ICU_ALBUMIN]         = {0, -1, {0, 0, 0, 0, 0}, 2.5},
    [ICU_TROPONIN]        = {0, 0, {1, 0, 0, 0, 0}, 1.5},
    [ICU_OXYGENATION]     = {0, 0, {0, -1, 0, 0, 0}, 1.5},
    [ICU_COMA]            = {0, 0, {0, 0, 0, 0, 1}, 1.0},
    [ICU_FEVER]           = {0, 0, {0, 0, 0, 1, 0}, 1.0},
    [ICU_HEART_RATE]      = {0, 0, {0.8, 0, 0, 0.5, 0}, 2.0},
    [ICU_BREATHING]       = {0, 0, {0, 1, 0, 0, 0}, 2.0},
    [ICU_LABILITY]        = {0, 0, {1, 0, 0, 0, 0}, 0.9},
    [ICU_IRREGULARITY]    = {0, 0, {0, 0, 0, 0, 1}, 0.9},
    [ICU_DESATURATION]    = {0, 0, {0, 1, 0, 0, 0}, 0.9},
    [ICU_LACTATE_RISE]    = {0, 0, {0.6, 0, 0, 0.8, 0}, 1.0},
    [ICU_CREATININE_RISE] = {0, 0, {0, 0, 1, 0, 0}, 1.0},
    [ICU_HEART_SIZE]      = {0, 0, {1, 0, 0, 0, 0}, 2.5},
    [ICU_FLUID]           = {0, 0, {0.6, 0, 0.8, 0, 0}, 2.5},
    [ICU_GRAIN]           = {0, 0, {0.5, 1, 0, 0, 0}, 0.05},
    [ICU_SPOT]            = {0, 0, {0, 0, 0.5, 1, 0}, 0.1},
    [ICU_SAYS_BRAIN]      = {0, 0, {0, 0, 0, 0, 1}, 0.7},
    [ICU_SAYS_CIRCULATION]= {0, 0, {1, 0, 0, 0, 0}, 1.2},
    [ICU_SAYS_LUNG]       = {0, 0, {0, 1, 0, 0, 0}, 1.2},
    [ICU_SAYS_INFECTION]  = {0, 0, {0, 0, 0, 1, 0}, 1.2},
    [ICU_SAYS_COURSE]     = {0, 1, {0, 0, 0, 0, 0}, 1.5},
};
/* clang-format on */

static bool of_film(enum icu_channel k)
{
    return k >= icu_first_channel[ICU_FILM] && k < icu_first_channel[ICU_FILM + 1];
}

double icu_softplus(double x)
{
    return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

double icu_channel_at(enum icu_channel k, double film_age_h, double g[ICU_STATES])
{
    const struct channel *c = &table[k];
    const double rho = of_film(k) ? exp(-film_age_h / film_memory_h) : 1.0;
    double square = 0.0;
    g[ICU_AGE] = c->age;
    g[ICU_SEVERITY] = c->severity;
    for (size_t j = 0; j < HOSPITAL_ORGANS; j++) {
        g[ICU_ORGAN + j] = c->organ[j];
    }
    for (size_t j = 0; j < ICU_STATES; j++) {
        square += g[j] * g[j];
        g[j] *= rho;
    }
    return c->r + (1.0 - rho * rho) * square;
}

double icu_standard(enum icu_channel k, double u, double film_age_h)
{
    double g[ICU_STATES];
    double variance = icu_channel_at(k, film_age_h, g);
    /* z = (a, s, o): each is a sum of independent normals a, e_s, e_j */
    const double own = sqrt(1.0 - organ_share * organ_share);
    double severity = g[ICU_SEVERITY];
    for (size_t j = 0; j < HOSPITAL_ORGANS; j++) {
        severity += organ_share * g[ICU_ORGAN + j];
        variance += own * own * g[ICU_ORGAN + j] * g[ICU_ORGAN + j];
    }
    const double age = g[ICU_AGE] + age_severity * severity;
    variance += severity * severity + age * age;
    return u / sqrt(variance);
}

/* ---- Bayes' rule ----------------------------------------------------------------------------- */

/* Gaussian in information form: density ~ exp(-z' J z / 2 + h' z). */
struct belief {
    double J[ICU_STATES][ICU_STATES], h[ICU_STATES];
};

/* One more thing known: g . z = u + sqrt(r) N(0, 1). */
static void learn(struct belief *b, const double g[ICU_STATES], double u, double r)
{
    for (size_t i = 0; i < ICU_STATES; i++) {
        for (size_t j = 0; j < ICU_STATES; j++) {
            b->J[i][j] += g[i] * g[j] / r;
        }
        b->h[i] += g[i] * u / r;
    }
}

static struct belief prior(const struct hospital_character *c)
{
    struct belief b = {0};
    double g[ICU_STATES] = {[ICU_AGE] = 1.0};
    learn(&b, g, c->age, 1.0);
    g[ICU_AGE] = -age_severity;
    g[ICU_SEVERITY] = 1.0;
    learn(&b, g, c->severity, 1.0);
    g[ICU_AGE] = 0.0;
    g[ICU_SEVERITY] = -organ_share;
    for (size_t j = 0; j < HOSPITAL_ORGANS; j++) {
        g[ICU_ORGAN + j] = 1.0;
        learn(&b, g, 0.0, 1.0 - organ_share * organ_share);
        g[ICU_ORGAN + j] = 0.0;
    }
    return b;
}

/* J = L L', in the lower triangle. */
static void factor(double J[ICU_STATES][ICU_STATES])
{
    for (size_t j = 0; j < ICU_STATES; j++) {
        for (size_t i = j; i < ICU_STATES; i++) {
            double sum = J[i][j];
            for (size_t k = 0; k < j; k++) {
                sum -= J[i][k] * J[j][k];
            }
            J[i][j] = i == j ? sqrt(sum) : sum / J[j][j];
        }
    }
}

/* x := L^-1 x */
static void forward(double J[ICU_STATES][ICU_STATES], double x[ICU_STATES])
{
    for (size_t i = 0; i < ICU_STATES; i++) {
        for (size_t k = 0; k < i; k++) {
            x[i] -= J[i][k] * x[k];
        }
        x[i] /= J[i][i];
    }
}

static double dot(const double *x, const double *y)
{
    double sum = 0.0;
    for (size_t i = 0; i < ICU_STATES; i++) {
        sum += x[i] * y[i];
    }
    return sum;
}

/* ---- the mean of the logistic law ------------------------------------------------------------ */

/* Gauss and Hermite for N(0, 1), 7 points: exact for polynomials up to degree 13. */
enum { NODES = 7 };
static const double node[NODES] = {-3.7504397177257425, -2.3667594107345415,
                                   -1.1544053947399682, 0.0,
                                   1.1544053947399682,  2.3667594107345415,
                                   3.7504397177257425};
static const double weight[NODES] = {0.0005482688559722, 0.0307571239675865, 0.2401231786050127,
                                     0.4571428571428571, 0.2401231786050127, 0.0307571239675865,
                                     0.0005482688559722};

/*
 * Of z | u ~ N(m, V) the drive needs three projections: A = z_heart, B = z_infection, and the line
 * b . z. With L^-1 of their rows, and Gram and Schmidt, they are m + lower triangle times three
 * independent normals, so that the mean is a sum over three axes of nodes.
 */
double icu_posterior(const struct icu_params *p, double intercept, const struct icu_site *s,
                     const struct icu_patient *patient, const bool look[ICU_CHANNELS])
{
    struct belief b = prior(&s->character);
    for (size_t k = 0; k < ICU_CHANNELS; k++) {
        if (look[k] && patient->seen[k]) {
            double g[ICU_STATES];
            const double r = icu_channel_at((enum icu_channel)k, patient->film_age_h, g);
            learn(&b, g, patient->u[k], r);
        }
    }
    double row[3][ICU_STATES] = {{[ICU_BOTH_A] = 1.0}, {[ICU_BOTH_B] = 1.0}};
    for (size_t i = 0; i < ICU_STATES; i++) {
        row[2][i] = icu_risk[i];
    }
    factor(b.J);
    forward(b.J, b.h);
    double mean[3], t[3][3] = {{0}};
    for (size_t i = 0; i < 3; i++) {
        forward(b.J, row[i]);
        mean[i] = dot(row[i], b.h);
    }
    for (size_t i = 0; i < 3; i++) { /* covariance row_i . row_j = t t' */
        for (size_t j = 0; j <= i; j++) {
            double sum = dot(row[i], row[j]);
            for (size_t k = 0; k < j; k++) {
                sum -= t[i][k] * t[j][k];
            }
            t[i][j] = i == j ? sqrt(fmax(sum, 0.0)) : t[j][j] > 0.0 ? sum / t[j][j] : 0.0;
        }
    }
    double death = 0.0;
    for (size_t i = 0; i < NODES; i++) {
        const double A = mean[0] + t[0][0] * node[i];
        for (size_t j = 0; j < NODES; j++) {
            const double B = mean[1] + t[1][0] * node[i] + t[1][1] * node[j];
            const double both = icu_both * icu_softplus(A) * icu_softplus(B);
            for (size_t k = 0; k < NODES; k++) {
                const double line =
                    mean[2] + t[2][0] * node[i] + t[2][1] * node[j] + t[2][2] * node[k];
                death += weight[i] * weight[j] * weight[k] *
                         hospital_sigmoid(intercept + p->base.signal * (line + both));
            }
        }
    }
    return (1.0 - p->base.label_noise) * death + p->base.label_noise * p->base.prevalence;
}
