/*
 * The first 48 hours, irregularly sampled. With v a channel in its own deviations, tau = (t - 24)/24,
 * level a patient's own habit (it says nothing of the state), e a reading's error:
 *
 *     heart_rate        88 + 12 v_rate + e                        seen in the mean
 *     respiratory_rate  20 + 3 v_breathing + A sin, A = 1.6 exp(v_irregularity / 2)
 *     mean_pressure     level + A sin,            A = 6 exp(v_lability / 2)
 *     spo2              level - 1.6 v_desaturation tau + e
 *     lactate           exp(level + 0.4 v_lactate tau + e)
 *     creatinine        exp(level + 0.3 v_creatinine tau + e)
 *
 * sin is sin(2 pi t / P + phase), period and phase the patient's own. What rises, falls or swings
 * leaves the mean of a series where it was: it takes an encoder that looks at time.
 */
#include <math.h>
#include <stdio.h>

#include "sim/hospital/icu_internal.h"

static const double pi = 3.14159265358979323846;
static const double hours = 48.0;

struct variable {
    const char *name, *unit;
    double low, high;
    int decimals;
    bool logarithm;
    enum icu_channel mean, trend, swing; /* ICU_CHANNELS: none */
    double base, habit, error; /* middle, sd of the level between patients, of a reading */
    double by_mean, by_trend, by_swing;
    double gap_h; /* mean time between two readings */
};

/* clang-format off */
#define NONE ICU_CHANNELS
static const struct variable variable[] = {
    {"heart_rate", "1/min", 20, 200, 0, false, ICU_HEART_RATE, NONE, NONE, 88, 0, 3, 12, 0, 0, 2.5},
    {"respiratory_rate", "1/min", 4, 60, 0, false, ICU_BREATHING, NONE, ICU_IRREGULARITY, 22, 0, 0.5, 3.5, 0, 2.2, 2},
    {"mean_pressure", "mmHg", 30, 160, 0, false, NONE, NONE, ICU_LABILITY, 82, 5, 1, 0, 0, 7, 2},
    {"spo2", "%", 70, 100, 1, false, NONE, ICU_DESATURATION, NONE, 92, 1, 0.6, 0, -2.2, 0, 2.5},
    {"lactate", "mmol/l", 0.3, 15, 1, true, NONE, ICU_LACTATE_RISE, NONE, 0.8, 0.25, 0.08, 0, 0.35, 0, 6},
    {"creatinine", "mg/dl", 0.2, 10, 2, true, NONE, ICU_CREATININE_RISE, NONE, 0.3, 0.3, 0.06, 0, 0.3, 0, 6},
};
/* clang-format on */

enum { VARIABLES = sizeof variable / sizeof variable[0] };

void icu_course_variables(FILE *f)
{
    for (size_t k = 0; k < VARIABLES; k++) {
        const struct variable *x = &variable[k];
        (void)fprintf(f, "      - {name: %s, unit: \"%s\", range: [%g, %g]}\n", x->name, x->unit,
                      x->low, x->high);
    }
}

static double standard(const struct icu_patient *p, enum icu_channel k)
{
    return k == NONE ? 0.0 : icu_standard(k, p->u[k], 0.0);
}

size_t icu_course_rows(FILE *f, struct rng *r, const struct icu_patient *p, const char *id)
{
    size_t rows = 0;
    for (size_t k = 0; k < VARIABLES; k++) {
        const struct variable *x = &variable[k];
        const double level = x->base + x->habit * rng_normal(r) + x->by_mean * standard(p, x->mean);
        const double rise = x->by_trend * standard(p, x->trend);
        const double size = x->swing == NONE ? 0.0 : x->by_swing * exp(0.5 * standard(p, x->swing));
        const double period = 7.0 + 5.0 * rng_uniform(r);
        const double phase = 2.0 * pi * rng_uniform(r);
        double t = 0.5 * x->gap_h * rng_uniform(r); /* somebody looks soon after arrival */
        while (t < hours) {
            const double tau = (t - hours / 2) / (hours / 2);
            double y = level + rise * tau + size * sin(2.0 * pi * t / period + phase) +
                       x->error * rng_normal(r);
            y = fmin(fmax(x->logarithm ? exp(y) : y, x->low), x->high);
            (void)fprintf(f, "%s,%.0f,%s,%.*f\n", id, floor(60.0 * t), x->name, x->decimals, y);
            rows++;
            t += x->gap_h * (0.5 - 0.5 * log(1.0 - rng_uniform(r)));
        }
    }
    return rows;
}
