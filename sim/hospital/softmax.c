#include "sim/hospital/softmax.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "sim/hospital/hospital_internal.h"

struct written {
    int kind;
    struct softmax_params p;
};

#define AT(field) offsetof(struct written, field)
/* clang-format off */
static const struct config_key keys[] = {
    {.name = "kind", .type = CONFIG_CHOICE, .offset = AT(kind), .choices = hospital_kinds, .fallback = "softmax",
     .help = "softmax: several classes by a softmax law"},
    {.name = "hospitals", .type = CONFIG_COUNT, .offset = AT(p.hospitals), .min = 1, .max = HOSPITAL_SITES_MAX,
     .fallback = "8", .help = "number of virtual hospitals"},
    {.name = "records", .type = CONFIG_COUNT, .offset = AT(p.records), .min = 1, .max = HOSPITAL_PATIENTS_MAX,
     .fallback = "60", .help = "of each hospital, exactly"},
    {.name = "features", .type = CONFIG_COUNT, .offset = AT(p.features), .min = 1, .max = SCHEMA_FEATURES_MAX,
     .fallback = "784", .help = "numbers a record: 28 x 28 pixels"},
    {.name = "classes", .type = CONFIG_COUNT, .offset = AT(p.classes), .min = 3, .max = SCHEMA_CLASSES_MAX,
     .fallback = "10", .help = "of the label"},
    {.name = "signal", .type = CONFIG_REAL, .offset = AT(p.signal), .max = 100, .fallback = "5",
     .help = "standard deviation of a class's logit over records: how far a record decides its label"},
    {.name = "label_skew", .type = CONFIG_REAL, .offset = AT(p.label_skew), .max = 10, .fallback = "1",
     .help = "standard deviation over hospitals of a class's logit: how unlike their labels are"},
};
/* clang-format on */
#undef AT

enum rc softmax_params_read(const struct config_node *map, struct softmax_params *out,
                            struct config_issues *issues, struct error *err)
{
    const size_t before = issues->n;
    struct written w = {0};
    config_bind(map, keys, sizeof keys / sizeof keys[0], &w, issues);
    if (issues->n == before && w.p.records > HOSPITAL_PATIENTS_MAX / w.p.hospitals) {
        config_issue(issues, map, "%zu hospitals of %zu records are more than %d records",
                     w.p.hospitals, w.p.records, HOSPITAL_PATIENTS_MAX);
    }
    if (issues->n > before) {
        return config_verdict(issues, err);
    }
    *out = w.p;
    return RC_OK;
}

static enum rc make_schema(const struct softmax_params *p, struct schema *out, struct error *err)
{
    struct schema s = {.separator = ',', .has_header = true};
    (void)snprintf(s.name, sizeof s.name, "softmax-hospitals");
    (void)snprintf(s.patient_column, sizeof s.patient_column, "patient");
    (void)snprintf(s.site_column, sizeof s.site_column, "site");
    (void)snprintf(s.label_column, sizeof s.label_column, "class");
    s.feature = calloc(p->features, sizeof *s.feature);
    s.class_name = calloc(p->classes, sizeof *s.class_name);
    if (s.feature == NULL || s.class_name == NULL) {
        schema_release(&s);
        return error_set(err, RC_NOMEM, "no room for a schema of %zu features", p->features);
    }
    s.n_features = p->features;
    s.n_classes = p->classes;
    for (size_t j = 0; j < p->features; j++) {
        struct schema_feature *f = &s.feature[j];
        *f = (struct schema_feature){.type = SCHEMA_CONTINUOUS, .low = -1, .high = 1};
        (void)snprintf(f->name, sizeof f->name, "x%04zu", j);
        memcpy(f->column, f->name, sizeof f->column);
    }
    for (size_t c = 0; c < p->classes; c++) {
        (void)snprintf(s.class_name[c], sizeof s.class_name[c], "%zu", c);
    }
    *out = s;
    return RC_OK;
}

/* ---- the law --------------------------------------------------------------------------------- */

/* Weights lie feature by feature, so that a record's numbers go over them once. */
struct law {
    const struct softmax_params *p;
    float *w;             /* [D, C] signal sqrt(3 / D) w_c */
    float *u;             /* [C] of one record */
    float *skew;          /* [C] of one hospital */
    unsigned char *level; /* [D] */
};

static void law_release(struct law *l)
{
    free(l->w);
    free(l->u);
    free(l->skew);
    free(l->level);
    *l = (struct law){0};
}

static enum rc law_open(const struct softmax_params *p, uint64_t seed, struct law *out,
                        struct error *err)
{
    const size_t D = p->features;
    const size_t C = p->classes;
    const double scale = p->signal * sqrt(3.0 / (double)D);
    struct rng r;
    struct law l = {.p = p,
                    .w = calloc(D * C, sizeof(float)),
                    .u = calloc(C, sizeof(float)),
                    .skew = calloc(C, sizeof(float)),
                    .level = calloc(D, 1)};
    if (l.w == NULL || l.u == NULL || l.skew == NULL || l.level == NULL) {
        law_release(&l);
        return error_set(err, RC_NOMEM, "no room for a law of %zu features", D);
    }
    rng_init(&r, seed, "softmax/law");
    for (size_t i = 0; i < D * C; i++) {
        l.w[i] = (float)(scale * rng_normal(&r));
    }
    *out = l;
    return RC_OK;
}

static void site_open(struct law *l, uint64_t seed, size_t site)
{
    char stream[64];
    struct rng r;
    (void)snprintf(stream, sizeof stream, "softmax/site/%zu", site);
    rng_init(&r, seed, stream);
    for (size_t c = 0; c < l->p->classes; c++) {
        l->skew[c] = (float)(l->p->label_skew * rng_normal(&r));
    }
}

/* One record; its logits become probabilities in l->u. @param[out] x [D] */
static void record_draw(struct law *l, struct rng *r, float *x)
{
    const size_t D = l->p->features;
    const size_t C = l->p->classes;
    float most = -HUGE_VALF;
    float sum = 0.0F;
    rng_bytes(r, l->level, D);
    memcpy(l->u, l->skew, C * sizeof *l->u);
    for (size_t j = 0; j < D; j++) {
        const float *w_j = l->w + j * C; /* [C] */
        x[j] = (float)(2 * l->level[j] - 255) / 255.0F;
        for (size_t c = 0; c < C; c++) {
            l->u[c] += w_j[c] * x[j];
        }
    }
    for (size_t c = 0; c < C; c++) {
        most = l->u[c] > most ? l->u[c] : most;
    }
    for (size_t c = 0; c < C; c++) {
        l->u[c] = expf(l->u[c] - most);
        sum += l->u[c];
    }
    for (size_t c = 0; c < C; c++) {
        l->u[c] /= sum;
    }
}

static size_t class_draw(const struct law *l, struct rng *r)
{
    double at = rng_uniform(r);
    for (size_t c = 0; c + 1 < l->p->classes; c++) {
        at -= (double)l->u[c];
        if (at < 0.0) {
            return c;
        }
    }
    return l->p->classes - 1;
}

/* ---- a world --------------------------------------------------------------------------------- */

/* Everything follows from these; labels too, so that another law would be another version. */
static struct hash version_of(const struct softmax_params *p, uint64_t seed,
                              const struct dataset *d)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround softmax hospitals 1");
    hasher_u64(&h, seed);
    hasher_u64(&h, p->hospitals);
    hasher_u64(&h, p->records);
    hasher_u64(&h, p->features);
    hasher_u64(&h, p->classes);
    hasher_f64(&h, p->signal);
    hasher_f64(&h, p->label_skew);
    hasher_bytes(&h, d->label, d->n_patients * sizeof *d->label);
    return hasher_final(&h);
}

static void fill_site(struct law *l, uint64_t seed, size_t site, int digits, struct dataset *d)
{
    char stream[64];
    struct rng r;
    site_open(l, seed, site);
    hospital_name(l->p->hospitals, site, d->site_name[site]);
    (void)snprintf(stream, sizeof stream, "softmax/records/%zu", site);
    rng_init(&r, seed, stream);
    for (size_t i = 0; i < l->p->records; i++) {
        const size_t at = site * l->p->records + i;
        record_draw(l, &r, d->values + at * d->n_values);
        d->label[at] = (float)class_draw(l, &r);
        (void)snprintf(d->patient_id[at], sizeof d->patient_id[at], "h%0*zu-%07zu", digits,
                       site + 1, i + 1);
        d->patient[at] = hash_of(d->patient_id[at], strlen(d->patient_id[at]));
        d->site[at] = (uint32_t)site;
        d->first_row[at] = at;
    }
}

enum rc softmax_generate(const struct softmax_params *p, uint64_t seed, struct schema *schema,
                         struct dataset **out, struct error *err)
{
    const size_t n = p->hospitals * p->records;
    struct schema s = {0};
    struct law l = {0};
    struct dataset *d = NULL;
    enum rc rc = make_schema(p, &s, err);
    if (rc == RC_OK) {
        rc = law_open(p, seed, &l, err);
    }
    if (rc == RC_OK) {
        rc = dataset_reserve(n, n, schema_layout(&s).n_values, 0, p->hospitals, &d, err);
    }
    if (rc != RC_OK) {
        rc = error_context(err, "%zu virtual hospitals", p->hospitals);
        goto out;
    }
    for (size_t site = 0; site < p->hospitals; site++) {
        fill_site(&l, seed, site, hospital_digits(p->hospitals), d);
    }
    d->first_row[n] = n;
    d->version = version_of(p, seed, d);
    *out = d;
    *schema = s;
    d = NULL;
    s = (struct schema){0};
out:
    law_release(&l);
    dataset_close(&d);
    schema_release(&s);
    return rc;
}

enum rc softmax_best_accuracy(const struct softmax_params *p, uint64_t seed, size_t n, double *out,
                              struct error *err)
{
    struct law l = {0};
    struct rng r;
    double sum = 0.0;
    float *x = calloc(p->features, sizeof *x);
    if (n == 0) {
        free(x);
        return error_set(err, RC_INVALID, "an accuracy of no records");
    }
    enum rc rc = x == NULL ? error_set(err, RC_NOMEM, "no room for %zu features", p->features)
                           : law_open(p, seed, &l, err);
    if (rc == RC_OK) {
        rng_init(&r, seed, "softmax/ceiling");
        for (size_t i = 0; i < n; i++) {
            float most = 0.0F;
            site_open(&l, seed, i % p->hospitals);
            record_draw(&l, &r, x);
            for (size_t c = 0; c < p->classes; c++) {
                most = l.u[c] > most ? l.u[c] : most;
            }
            sum += (double)most;
        }
        *out = sum / (double)n;
    }
    law_release(&l);
    free(x);
    return rc;
}
