#include "sim/hospital/folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/hospital/hospital_internal.h"

enum rc hospital_create(const char *folder, const char *name, FILE **out, struct error *err)
{
    char path[512];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) {
        return error_set(err, RC_LIMIT, "the folder's name is too long");
    }
    FILE *f = fopen(path, "wbxe");
    if (f == NULL) {
        return error_set(err, errno == EEXIST ? RC_STATE : RC_IO,
                         "cannot write '%s': %s; choose an empty folder", path, strerror(errno));
    }
    *out = f;
    return RC_OK;
}

enum rc hospital_make_folder(const char *folder, struct error *err)
{
    return mkdir(folder, 0777) != 0 && errno != EEXIST
               ? error_set(err, RC_IO, "cannot make folder '%s': %s", folder, strerror(errno))
               : RC_OK;
}

enum rc hospital_finish(FILE *f, const char *folder, struct error *err)
{
    const bool failed = ferror(f) != 0;
    return fclose(f) != 0 || failed
               ? error_set(err, RC_IO, "cannot write to '%s': %s", folder, strerror(errno))
               : RC_OK;
}

/* ---- patients.csv ---------------------------------------------------------------------------- */

static void write_header(FILE *f, const struct schema *s)
{
    (void)fputs("patient", f);
    for (size_t k = 0; k < s->n_features; k++) {
        (void)fprintf(f, ",%s", s->feature[k].name);
    }
    (void)fprintf(f, ",%s\n", schema_label_name(s));
}

/* One cell, the inverse of what an import does; moves past the slots of the feature. */
static void write_cell(FILE *f, const struct schema_feature *feature, const float **value,
                       const int32_t **code)
{
    (void)fputc(',', f);
    if (feature->type == SCHEMA_CATEGORICAL) {
        const size_t at = (size_t) * (*code)++;
        (void)fputs(at < feature->n_categories ? feature->category[at] : "", f);
        return;
    }
    const double x = (double)*(*value)++;
    const bool missing = feature->may_miss && *(*value)++ > 0.5F;
    if (missing) {
        return;
    }
    if (feature->type == SCHEMA_BINARY) {
        (void)fputs(feature->category[x > 0.5 ? 1 : 0], f);
        return;
    }
    (void)fprintf(f, "%.9g",
                  (x * (feature->high - feature->low) + feature->high + feature->low) / 2);
}

static void write_patients(FILE *f, const struct schema *s, const struct dataset *d, size_t site)
{
    write_header(f, s);
    for (size_t p = 0; p < d->n_patients; p++) {
        if (d->site[p] != site) {
            continue;
        }
        const size_t row = d->first_row[p];
        const float *value = d->values + row * d->n_values;
        const int32_t *code = d->codes + row * d->n_codes;
        (void)fputs(d->patient_id[p], f);
        for (size_t k = 0; k < s->n_features; k++) {
            write_cell(f, &s->feature[k], &value, &code);
        }
        (void)fprintf(f, ",%d\n", d->label[p] > 0.5F ? 1 : 0);
    }
}

/* ---- cohort.yaml ----------------------------------------------------------------------------- */

/* As a person would write it, where that is the same number. */
static void write_number(FILE *f, double x)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%.15g", x);
    if (strtod(text, NULL) != x) {
        (void)snprintf(text, sizeof text, "%.17g", x);
    }
    (void)fputs(text, f);
}

static void write_feature(FILE *f, const struct schema_feature *feature)
{
    static const char *const type[] = {"continuous", "binary", "categorical"};
    (void)fprintf(f, "  - {name: %s, type: %s", feature->name, type[feature->type]);
    if (feature->type == SCHEMA_CONTINUOUS) {
        (void)fprintf(f, ", unit: \"%s\", range: [", feature->unit);
        write_number(f, feature->low);
        (void)fputs(", ", f);
        write_number(f, feature->high);
        (void)fputs("]", f);
    }
    if (feature->type == SCHEMA_CATEGORICAL) {
        (void)fputs(", categories: [", f);
        for (size_t c = 0; c < feature->n_categories; c++) {
            (void)fprintf(f, "%s%s", c == 0 ? "" : ", ", feature->category[c]);
        }
        (void)fputs("]", f);
    }
    (void)fprintf(f, "%s}\n", feature->may_miss ? "" : ", required: true");
}

static void write_cohort(FILE *f, const struct schema *s, const char *site)
{
    (void)fprintf(f,
                  "# A generated hospital: its patients do not exist.\n"
                  "cohort: %s\n"
                  "files:\n"
                  "  - {path: patients.csv, site: %s}\n"
                  "separator: \",\"\n"
                  "header: true\n"
                  "patient: {column: patient, rows: one}\n"
                  "site: {from: file}\n"
                  "missing: [\"\"]\n"
                  "label: {column: %s, positive: [1], negative: [0]}\n\n"
                  "features:\n",
                  s->name, site, schema_label_name(s));
    for (size_t k = 0; k < s->n_features; k++) {
        write_feature(f, &s->feature[k]);
    }
}

enum rc hospital_write_folder(const struct schema *schema, const struct dataset *data, size_t site,
                              const char *folder, struct error *err)
{
    FILE *f = NULL;
    enum rc rc = hospital_make_folder(folder, err);
    if (rc == RC_OK) {
        rc = hospital_create(folder, "patients.csv", &f, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    write_patients(f, schema, data, site);
    rc = hospital_finish(f, folder, err);
    if (rc == RC_OK) {
        rc = hospital_create(folder, "cohort.yaml", &f, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    write_cohort(f, schema, data->site_name[site]);
    return hospital_finish(f, folder, err);
}
