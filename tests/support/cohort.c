#include "tests/support/cohort.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"

enum { CATEGORIES = 3, FEATURES = 4 };

static void name(char to[SCHEMA_NAME_MAX], const char *from)
{
    (void)snprintf(to, SCHEMA_NAME_MAX, "%s", from);
}

void test_schema(struct schema *out)
{
    *out = (struct schema){.n_features = FEATURES};
    name(out->name, "invented");
    name(out->label_column, "label");
    out->feature = calloc(FEATURES, sizeof *out->feature);
    assert(out->feature != NULL);
    struct schema_feature *f = out->feature;
    name(f[0].name, "age");
    f[0].type = SCHEMA_CONTINUOUS;
    f[0].low = 20;
    f[0].high = 80;
    name(f[1].name, "lab");
    f[1].type = SCHEMA_CONTINUOUS;
    f[1].high = 10;
    f[1].may_miss = true;
    name(f[2].name, "sex");
    f[2].type = SCHEMA_BINARY;
    f[2].may_miss = true;
    name(f[3].name, "ward");
    f[3].type = SCHEMA_CATEGORICAL;
    f[3].may_miss = true;
    f[3].n_categories = CATEGORIES;
    f[3].category = calloc(CATEGORIES, sizeof *f[3].category);
    assert(f[3].category != NULL);
    for (size_t i = 0; i < CATEGORIES; i++) {
        (void)snprintf(f[3].category[i], SCHEMA_NAME_MAX, "%zu", i);
    }
}

void test_schema_of_classes(struct schema *out)
{
    static const char *const class_name[] = {"mild", "moderate", "severe"};
    test_schema(out);
    out->class_name = calloc(3, sizeof *out->class_name);
    assert(out->class_name != NULL);
    out->n_classes = 3;
    for (size_t i = 0; i < 3; i++) {
        name(out->class_name[i], class_name[i]);
    }
}

/* age | lab, missing? | sex, missing? ; ward or "missing" */
static void fill_row(struct rng *r, double severity, float *values, int32_t *code)
{
    values[0] = (float)tanh(0.5 * severity + 0.5 * rng_normal(r));
    const double lab = tanh(severity + 0.5 * rng_normal(r));
    const int lab_missing = rng_uniform(r) < 0.2;
    values[1] = lab_missing ? 0.0f : (float)lab;
    values[2] = lab_missing ? 1.0f : 0.0f;
    const int sex = rng_uniform(r) < 0.5;
    const int sex_missing = rng_uniform(r) < 0.1;
    values[3] = sex_missing ? 0.0f : (float)sex;
    values[4] = sex_missing ? 1.0f : 0.0f;
    *code = (int32_t)rng_below(r, CATEGORIES + 1);
}

struct dataset *test_dataset(const struct schema *s, const char *site, size_t n, uint64_t seed,
                             size_t without)
{
    struct error err = {0};
    struct dataset *d = NULL;
    const struct schema_layout layout = schema_layout(s);
    assert(layout.n_values == 5);
    assert(layout.n_codes == 1);
    const size_t kept = without < n ? n - 1 : n;
    size_t rows = 0;
    for (size_t p = 0; p < n; p++) {
        rows += p == without ? 0 : 1 + p % 2; /* every second patient has two rows */
    }
    const enum rc rc = dataset_reserve(kept, rows, layout.n_values, layout.n_codes, 1, &d, &err);
    assert(rc == RC_OK);
    (void)rc;
    name(d->site_name[0], site);
    d->version = hash_of(&seed, sizeof seed);
    size_t at = 0;
    size_t row = 0;
    for (size_t p = 0; p < n; p++) {
        if (p == without) {
            continue;
        }
        char stream[64];
        struct rng r;
        (void)snprintf(stream, sizeof stream, "patient %zu of %s", p, site);
        rng_init(&r, seed, stream); /* a patient does not depend on who else there is */
        (void)snprintf(d->patient_id[at], SCHEMA_NAME_MAX, "%s-%04zu", site, p);
        d->patient[at] = hash_of(d->patient_id[at], strlen(d->patient_id[at]));
        d->first_row[at] = row;
        const double severity = rng_normal(&r);
        d->label[at] = rng_uniform(&r) < 1.0 / (1.0 + exp(-2.0 * severity)) ? 1.0f : 0.0f;
        if (s->n_classes > 0) {
            d->label[at] = severity < -0.4 ? 0.0f : severity < 0.4 ? 1.0f : 2.0f;
        }
        for (size_t k = 0; k < 1 + p % 2; k++, row++) {
            fill_row(&r, severity, d->values + row * layout.n_values, d->codes + row);
        }
        at++;
    }
    d->first_row[kept] = rows;
    return d;
}
