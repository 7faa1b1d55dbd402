#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/hospital/hospital.h"
#include "sim/hospital/hospital_internal.h"

/*
 * The measured half of the model, one line a continuous feature:
 *
 *     u = base + gain_age a + sum_j gain_j z_j + sd N(0, 1) + bias
 *     x = u (PLAIN), exp(u) (LOG), top - exp(u) (DEFICIT), rounded to the device's step
 *
 * bias = lab_bias * sqrt(variance of u) * N(0, 1), drawn once for a hospital; laboratory values
 * only. `missing` multiplies the site's share of missing cells; over all features that may miss
 * the multipliers average 1. Low and high are the public clinical range, where values are cut.
 */
enum link { PLAIN, LOG, DEFICIT };

enum { AGE, SEX, ADMISSION, DIABETES, FIRST_MEASURED, FEATURES = 14 };
enum { MEASURED = FEATURES - FIRST_MEASURED, ADMISSIONS = 4 };

struct measured {
    const char *name, *unit;
    double low, high, step;
    enum link link;
    double top, base, sd, gain_age;
    double gain[HOSPITAL_ORGANS]; /* heart, lung, kidney, infection, brain */
    bool laboratory;
    double missing;
};

static const struct measured table[MEASURED] = {
    {"heart_rate", "1/min", 30, 190, 1, PLAIN, 0, 88, 11, -2, {11, 3, 0, 6, 0}, false, 0.3},
    {"systolic", "mmHg", 50, 220, 1, PLAIN, 0, 122, 15, 4, {-13, 0, 2, -5, 0}, false, 0.4},
    {"respiratory_rate", "1/min", 4, 50, 1, PLAIN, 0, 19, 3, 0, {0, 4, 0, 1.5, 0}, false, 0.6},
    {"spo2", "%", 70, 100, 1, DEFICIT, 100, 1.2, 0.4, 0.05, {0.1, 0.55, 0, 0, 0}, false, 0.4},
    {"temperature", "degC", 33, 42, 0.1, PLAIN, 0, 37, 0.5, -0.05, {0, 0, 0, 0.6, 0}, false, 0.6},
    {"gcs", "points", 3, 15, 1, DEFICIT, 15.5, -0.1, 0.6, 0.1, {0, 0, 0, 0, 1.0}, false, 0.8},
    {"creatinine", "mg/dL", 0.2, 8, 0.1, LOG, 0, 0.1, 0.3, 0.08, {0, 0, 0.5, 0, 0}, true, 1.2},
    {"lactate", "mmol/L", 0.2, 15, 0.1, LOG, 0, 0.5, 0.35, 0, {0.4, 0, 0, 0.25, 0}, true, 3.6},
    {"wbc", "10^9/L", 0.5, 40, 0.1, LOG, 0, 2.25, 0.35, -0.03, {0, 0, 0, 0.3, 0}, true, 1.3},
    {"platelets", "10^9/L", 10, 600, 1, LOG, 0, 5.3, 0.35, -0.03, {0, 0, -0.1, -0.2, 0}, true, 2.0},
};

static const double admission_missing = 0.2, diabetes_missing = 0.6;

static const char *const admission_name[ADMISSIONS] = {"elective", "urgent", "emergency",
                                                       "transfer"};

enum { SEX_VALUE_SLOTS = 1, FLAGGED_SLOTS = 2 }; /* a value; a value and its missing indicator */

enum rc hospital_schema(struct schema *out, struct error *err)
{
    static const char yes_no[2][SCHEMA_NAME_MAX] = {"0", "1"};
    struct schema s = {0};
    enum rc rc = RC_OK;

    (void)snprintf(s.name, sizeof s.name, "virtual-hospitals");
    s.separator = ',';
    s.has_header = true;
    s.patient_from = SCHEMA_PATIENT_COLUMN;
    (void)snprintf(s.patient_column, sizeof s.patient_column, "patient");
    (void)snprintf(s.site_column, sizeof s.site_column, "site");
    s.n_missing = 1; /* the empty cell */
    (void)snprintf(s.label_column, sizeof s.label_column, "death");
    s.n_positive = 1;
    s.n_negative = 1;
    (void)snprintf(s.positive[0], sizeof s.positive[0], "1");
    (void)snprintf(s.negative[0], sizeof s.negative[0], "0");

    s.feature = calloc(FEATURES, sizeof *s.feature);
    if (s.feature == NULL) {
        rc = error_set(err, RC_NOMEM, "no room for the schema of the virtual hospitals");
        goto out;
    }
    s.n_features = FEATURES;
    s.feature[AGE] =
        (struct schema_feature){.name = "age", .unit = "years", .low = 18, .high = 100};
    s.feature[SEX] = (struct schema_feature){.name = "sex", .type = SCHEMA_BINARY};
    s.feature[ADMISSION] = (struct schema_feature){.name = "admission_type",
                                                   .type = SCHEMA_CATEGORICAL,
                                                   .may_miss = true};
    s.feature[DIABETES] =
        (struct schema_feature){.name = "diabetes", .type = SCHEMA_BINARY, .may_miss = true};
    for (size_t k = 0; k < MEASURED; k++) {
        struct schema_feature *f = &s.feature[FIRST_MEASURED + k];
        (void)snprintf(f->name, sizeof f->name, "%s", table[k].name);
        (void)snprintf(f->unit, sizeof f->unit, "%s", table[k].unit);
        f->low = table[k].low;
        f->high = table[k].high;
        f->may_miss = true;
    }
    for (size_t k = 0; k < FEATURES; k++) {
        struct schema_feature *f = &s.feature[k];
        memcpy(f->column, f->name, sizeof f->column);
        if (f->type == SCHEMA_CONTINUOUS) {
            continue;
        }
        f->n_categories = f->type == SCHEMA_BINARY ? 2 : ADMISSIONS;
        f->category = calloc(f->n_categories, sizeof *f->category);
        if (f->category == NULL) {
            rc = error_set(err, RC_NOMEM, "no room for the categories of %s", f->name);
            goto out;
        }
        for (size_t c = 0; c < f->n_categories; c++) {
            (void)snprintf(f->category[c], sizeof f->category[c], "%s",
                           f->type == SCHEMA_BINARY ? yes_no[c] : admission_name[c]);
        }
    }
    *out = s;
    s = (struct schema){0};
out:
    schema_release(&s);
    return rc;
}

int hospital_digits(size_t hospitals)
{
    int digits = 2;
    for (size_t top = 100; top <= hospitals; top *= 10) {
        digits++;
    }
    return digits;
}

void hospital_name(size_t hospitals, size_t site, char out[SCHEMA_NAME_MAX])
{
    (void)snprintf(out, SCHEMA_NAME_MAX, "hospital-%0*zu", hospital_digits(hospitals), site + 1);
}

void hospital_roster(const struct hospital_params *p, uint64_t seed, struct hospital_site *site)
{
    const double weight_total = hospital_weight_total(p, seed);
    for (size_t s = 0; s < p->hospitals; s++) {
        const double planned = hospital_character(p, seed, s, weight_total).planned;
        double step = 10.0;
        while (planned >= 100.0 * step) {
            step *= 10.0;
        }
        hospital_name(p->hospitals, s, site[s].name);
        site[s].nominal = (size_t)(step * fmax(1.0, floor(planned / step + 0.5)));
    }
}

/* Poisson by arrivals: events of rate 1 in [0, planned). */
size_t hospital_realised_size(uint64_t seed, size_t site, double planned)
{
    char stream[64];
    (void)snprintf(stream, sizeof stream, "hospital/count/%zu", site);
    struct rng r;
    rng_init(&r, seed, stream);
    size_t n = 0;
    double at = -log(1.0 - rng_uniform(&r));
    while (at < planned) {
        n++;
        at -= log(1.0 - rng_uniform(&r));
    }
    return n > 0 ? n : 1;
}

/* The site's laboratory offsets, on the scale before the link. */
static void calibration_draw(const struct hospital_params *p, uint64_t seed, size_t site,
                             double bias[MEASURED])
{
    char stream[64];
    (void)snprintf(stream, sizeof stream, "hospital/calibration/%zu", site);
    struct rng r;
    rng_init(&r, seed, stream);
    for (size_t k = 0; k < MEASURED; k++) {
        double variance = table[k].sd * table[k].sd;
        for (size_t j = 0; j < HOSPITAL_ORGANS; j++) {
            variance += table[k].gain[j] * table[k].gain[j];
        }
        const double z = rng_normal(&r);
        bias[k] = table[k].laboratory ? p->lab_bias * sqrt(variance) * z : 0.0;
    }
}

/* Sicker patients are admitted as emergencies, not by appointment. */
static int32_t admission_draw(struct rng *r, const struct hospital_character *c,
                              const struct hospital_latent *z)
{
    const double weight[ADMISSIONS] = {exp(0.2 - 0.9 * z->severity), exp(-0.2),
                                       exp(0.6 + 0.4 * z->severity),
                                       exp(-1.2 + 0.3 * z->severity + c->transfer)};
    double total = 0.0;
    for (size_t k = 0; k < ADMISSIONS; k++) {
        total += weight[k];
    }
    double at = rng_uniform(r) * total;
    for (int32_t k = 0; k < ADMISSIONS - 1; k++) {
        at -= weight[k];
        if (at < 0.0) {
            return k;
        }
    }
    return ADMISSIONS - 1;
}

static double measured_draw(struct rng *r, const struct measured *m,
                            const struct hospital_latent *z, double bias)
{
    double u = m->base + m->gain_age * z->age + m->sd * rng_normal(r) + bias;
    for (size_t j = 0; j < HOSPITAL_ORGANS; j++) {
        u += m->gain[j] * z->organ[j];
    }
    double x = u;
    switch (m->link) {
    case PLAIN:
        break;
    case LOG:
        x = exp(u);
        break;
    case DEFICIT:
        x = m->top - exp(u);
        break;
    }
    return m->step * floor(x / m->step + 0.5);
}

/* A laboratory looks harder at the severely ill: 2/(1 + exp(0.6 s)) has mean 1 over s ~ N(0, .). */
static bool is_missing(struct rng *r, double share, bool laboratory,
                       const struct hospital_latent *z)
{
    if (laboratory) {
        share *= 2.0 * hospital_sigmoid(-0.6 * z->severity);
    }
    return rng_uniform(r) < fmin(share, 0.95);
}

/* A value and its indicator, the layout of common/schema. */
static float *put_flagged(float *v, float x, bool missing)
{
    v[0] = missing ? 0.0f : x;
    v[1] = missing ? 1.0f : 0.0f;
    return v + FLAGGED_SLOTS;
}

/*
 * @param[out] values [1 + 1 + 2 + 2 MEASURED] age, sex, diabetes, measured; codes [1] admission
 */
static void features_draw(struct rng *r, const struct schema *s, const struct hospital_character *c,
                          const double bias[MEASURED], const struct hospital_latent *z,
                          float *values, int32_t *codes)
{
    float *v = values;
    *v++ = schema_scale(&s->feature[AGE], floor(65.0 + 15.0 * z->age + 0.5));
    *v++ = z->male ? 1.0f : 0.0f;
    const int32_t admission = admission_draw(r, c, z);
    codes[0] = is_missing(r, c->missing * admission_missing, false, z) ? ADMISSIONS : admission;
    v = put_flagged(v, z->diabetes ? 1.0f : 0.0f,
                    is_missing(r, c->missing * diabetes_missing, false, z));
    for (size_t k = 0; k < MEASURED; k++) {
        const struct measured *m = &table[k];
        const double x = measured_draw(r, m, z, bias[k]);
        const bool missing = is_missing(r, c->missing * m->missing, m->laboratory, z);
        v = put_flagged(v, schema_scale(&s->feature[FIRST_MEASURED + k], x), missing);
    }
    assert(v == values + SEX_VALUE_SLOTS + 1 + FLAGGED_SLOTS * (1 + MEASURED));
}

/* Of everything that training could see. */
static struct hash content_hash(const struct dataset *d)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround virtual hospitals");
    hasher_u64(&h, d->n_patients);
    hasher_u64(&h, d->n_values);
    hasher_u64(&h, d->n_codes);
    for (size_t i = 0; i < d->n_patients; i++) {
        hasher_text(&h, d->patient_id[i]);
        hasher_u64(&h, d->site[i]);
    }
    hasher_bytes(&h, d->label, d->n_patients * sizeof *d->label);
    hasher_bytes(&h, d->values, d->n_rows * d->n_values * sizeof *d->values);
    hasher_bytes(&h, d->codes, d->n_rows * d->n_codes * sizeof *d->codes);
    return hasher_final(&h);
}

enum rc hospital_generate(const struct hospital_params *p, uint64_t seed, struct dataset **out,
                          struct error *err)
{
    struct schema s = {0};
    struct dataset *d = NULL;
    const double weight_total = hospital_weight_total(p, seed);
    const int digits = hospital_digits(p->hospitals);
    size_t total = 0, at = 0;
    struct schema_layout layout = {0};
    double intercept = 0.0;

    enum rc rc = hospital_schema(&s, err);
    if (rc != RC_OK) {
        goto out;
    }
    for (size_t site = 0; site < p->hospitals; site++) {
        const struct hospital_character c = hospital_character(p, seed, site, weight_total);
        total += hospital_realised_size(seed, site, c.planned);
    }
    layout = schema_layout(&s);
    rc = dataset_reserve(total, total, layout.n_values, layout.n_codes, p->hospitals, &d, err);
    if (rc != RC_OK) {
        rc = error_context(err, "%zu virtual hospitals", p->hospitals);
        goto out;
    }
    intercept = hospital_intercept(p, seed);
    for (size_t site = 0; site < p->hospitals; site++) {
        const struct hospital_character c = hospital_character(p, seed, site, weight_total);
        const size_t n = hospital_realised_size(seed, site, c.planned);
        double bias[MEASURED];
        calibration_draw(p, seed, site, bias);
        hospital_name(p->hospitals, site, d->site_name[site]);
        char stream[64];
        (void)snprintf(stream, sizeof stream, "hospital/patients/%zu", site);
        struct rng r;
        rng_init(&r, seed, stream);
        for (size_t i = 0; i < n; i++, at++) {
            const struct hospital_latent z = hospital_latent_draw(&r, &c);
            const double death = hospital_probability(p, intercept, z.drive);
            d->label[at] = rng_uniform(&r) < death ? 1.0f : 0.0f;
            features_draw(&r, &s, &c, bias, &z, d->values + at * d->n_values,
                          d->codes + at * d->n_codes);
            (void)snprintf(d->patient_id[at], sizeof d->patient_id[at], "h%0*zu-%07zu", digits,
                           site + 1, i + 1);
            d->patient[at] = hash_of(d->patient_id[at], strlen(d->patient_id[at]));
            d->site[at] = (uint32_t)site;
            d->first_row[at] = at;
        }
    }
    d->first_row[total] = total;
    d->version = content_hash(d);
    *out = d;
    d = NULL;
out:
    dataset_close(&d);
    schema_release(&s);
    return rc;
}
