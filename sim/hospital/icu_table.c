/*
 * The row of a patient. One line a measured feature:
 *
 *     v = u in its own deviations + bias of the site's laboratory
 *     x = base + gain v (PLAIN), exp(base + gain v) (LOG),
 *         base +- gain exp(v / 2), a coin says on which side (EITHER_SIDE)
 *
 * rounded to the device's step and cut to the public range by whoever imports it. Each can be turned
 * back, but for the rounding: the row says what its channels say.
 */
#include <math.h>
#include <stdio.h>

#include "sim/hospital/icu_internal.h"

enum link { PLAIN, LOG, EITHER_SIDE };

struct measured {
    enum icu_channel channel;
    const char *name, *unit;
    double low, high;
    int decimals;
    enum link link;
    double base, gain;
    double other_unit; /* factor of the unit that a mixed-up hospital writes; 1: none */
};

/* clang-format off */
static const struct measured measured[] = {
    {ICU_UREA, "urea", "mg/dl", 5, 200, 1, LOG, 3.6, 0.55, 0.1665},
    {ICU_BILIRUBIN, "bilirubin", "mg/dl", 0.1, 20, 1, LOG, 0.3, 0.6, 17.1},
    {ICU_WBC, "wbc", "10^9/l", 0.5, 50, 1, LOG, 2.35, 0.45, 1},
    {ICU_PLATELETS, "platelets", "10^9/l", 5, 700, 0, LOG, 5.2, 0.45, 1},
    {ICU_ALBUMIN, "albumin", "g/dl", 1, 5.5, 2, PLAIN, 3.2, 0.6, 1},
    {ICU_TROPONIN, "troponin", "ng/l", 1, 5000, 1, LOG, 3.4, 1.1, 1},
    {ICU_OXYGENATION, "pf_ratio", "mmHg", 50, 600, 0, PLAIN, 300, 80, 1},
    {ICU_COMA, "bis", "points", 0, 100, 0, PLAIN, 60, -13, 1},
    {ICU_FEVER, "temperature", "degC", 32, 42, 2, EITHER_SIDE, 37, 0.8, 1},
};
/* clang-format on */

enum { MEASURED = sizeof measured / sizeof measured[0], ADMISSIONS = 4 };
static const char *const admission[ADMISSIONS] = {"elective", "observation", "urgent", "emergency"};
static const double admission_from[ADMISSIONS - 1] = {-0.8, 0.0, 0.8};

void icu_table_features(FILE *f)
{
    (void)fputs("  - {name: age, type: continuous, unit: years, range: [16, 110]}\n"
                "  - {name: sex, type: binary, categories: [f, m]}\n"
                "  - {name: diabetes, type: binary}\n"
                "  - {name: admission, type: categorical, categories: [",
                f);
    for (size_t c = 0; c < ADMISSIONS; c++) {
        (void)fprintf(f, "%s%s", c == 0 ? "" : ", ", admission[c]);
    }
    (void)fputs("]}\n  - {name: film_age, type: continuous, unit: h, range: [0, 96]}\n", f);
    for (size_t k = 0; k < MEASURED; k++) {
        const struct measured *m = &measured[k];
        (void)fprintf(f, "  - {name: %s, type: continuous, unit: \"%s\", range: [%g, %g]}\n",
                      m->name, m->unit, m->low, m->high);
    }
}

void icu_table_header(FILE *f)
{
    (void)fputs("patient,site,age,sex,diabetes,admission,film_age", f);
    for (size_t k = 0; k < MEASURED; k++) {
        (void)fprintf(f, ",%s", measured[k].name);
    }
    (void)fputs(",death\n", f);
}

static double drawn(const struct measured *m, double v, bool upper)
{
    if (m->link == EITHER_SIDE) {
        return m->base + (upper ? 1.0 : -1.0) * m->gain * exp(0.5 * v);
    }
    return m->link == LOG ? exp(m->base + m->gain * v) : m->base + m->gain * v;
}

void icu_table_row(FILE *f, struct rng *r, const struct icu_site *s, const struct icu_patient *p,
                   const char *id, bool died)
{
    const double age = floor(fmin(fmax(65.0 + 15.0 * p->u[ICU_YEARS], 16.0), 110.0));
    (void)fprintf(f, "%s,%s,%.0f,%s,%d,", id, s->name, age, p->male ? "m" : "f", p->diabetes);
    if (p->seen[ICU_ADMISSION]) {
        const double v = icu_standard(ICU_ADMISSION, p->u[ICU_ADMISSION], 0.0);
        size_t c = 0;
        while (c < ADMISSIONS - 1 && v >= admission_from[c]) {
            c++;
        }
        (void)fputs(admission[c], f);
    }
    (void)fputc(',', f);
    if (p->has[ICU_FILM]) {
        (void)fprintf(f, "%.0f", p->film_age_h);
    }
    for (size_t k = 0; k < MEASURED; k++) {
        const struct measured *m = &measured[k];
        const bool upper = rng_uniform(r) < 0.65;
        (void)fputc(',', f);
        if (p->seen[m->channel]) {
            const double v = icu_standard(m->channel, p->u[m->channel], 0.0) + s->bias[m->channel];
            (void)fprintf(f, "%.*f", m->decimals,
                          drawn(m, v, upper) * (s->mixed_up ? m->other_unit : 1.0));
        }
    }
    (void)fprintf(f, ",%d\n", died);
}
