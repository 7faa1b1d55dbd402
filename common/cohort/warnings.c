/* What an import allows and says all the same, for the hospital's own eyes. */
#include <stdio.h>

#include "common/cohort/import_internal.h"

void summary_warn(struct cohort_summary *sum, const char *fmt, ...)
{
    const size_t i = sum->n_warnings++;
    if (i < COHORT_WARNINGS_SHOWN) {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(sum->warning[i], sizeof sum->warning[i], fmt, ap);
        va_end(ap);
    }
}

void summary_features(struct cohort_summary *sum, const struct reader *r)
{
    for (size_t i = 0; i < r->s->n_features; i++) {
        const struct schema_feature *f = &r->s->feature[i];
        sum->n_missing_cells += r->n_missing[i];
        if (r->n_missing[i] == sum->n_rows) {
            summary_warn(sum, "'%s' is missing in every row", f->name);
        }
        if (r->n_outside[i] > 0) {
            summary_warn(sum, "'%s': %zu of %zu values are outside of %g to %g %s and are clamped",
                         f->name, r->n_outside[i], sum->n_rows - r->n_missing[i], f->low, f->high,
                         f->unit);
        }
    }
}

static void warn_one_class(struct cohort_summary *sum, const char *where, bool positive)
{
    summary_warn(sum, "%s: every label is %s: nothing can be learned or measured there", where,
                 positive ? "positive" : "negative");
}

/* A site with one of several classes alone. */
static enum rc warn_of_classes(struct import *im, struct error *err)
{
    struct statement *sites = im->query[READ_SITES];
    bool row = true;
    enum rc rc = statement_step(sites, &row, err);
    for (; rc == RC_OK && row; rc = statement_step(sites, &row, err)) {
        const int64_t least = statement_i64(sites, 1);
        if (least == statement_i64(sites, 2)) {
            summary_warn(&im->sum, "site '%s': every label is '%s': nothing can be learned there",
                         statement_text(sites, 0), im->s->class_name[least]);
        }
    }
    return rc;
}

/* Labels that teach nothing. */
static enum rc warn_of_labels(struct import *im, struct error *err)
{
    struct statement *sites = im->query[READ_SITES];
    struct cohort_summary *sum = &im->sum;
    bool row = true;

    if (im->s->n_classes > 0) {
        return warn_of_classes(im, err);
    }
    if (sum->n_positive == 0 || sum->n_positive == sum->n_patients) {
        warn_one_class(sum, "the whole cohort", sum->n_positive > 0);
        return RC_OK;
    }
    if (sum->n_sites <= 1) {
        return RC_OK;
    }
    enum rc rc = statement_step(sites, &row, err);
    for (; rc == RC_OK && row; rc = statement_step(sites, &row, err)) {
        if (statement_i64(sites, 1) == statement_i64(sites, 2)) {
            char where[SCHEMA_NAME_MAX + 16];
            (void)snprintf(where, sizeof where, "site '%s'", statement_text(sites, 0));
            warn_one_class(sum, where, statement_i64(sites, 1) == 1);
        }
    }
    return rc;
}

/* What is allowed and yet most likely a mistake in the files or the schema. */
enum rc import_look_for_warnings(struct import *im, struct error *err)
{
    struct cohort_summary *sum = &im->sum;
    const enum rc rc = warn_of_labels(im, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (im->n_later > 0) {
        summary_warn(
            sum,
            "%zu rows are later ones of patients seen before, %zu of them at another site, "
            "and are left out (rows: first)",
            im->n_later, im->n_later_elsewhere);
    }
    summary_features(&im->sum, &im->reader);
    for (size_t i = 0; i < im->s->n_modalities; i++) {
        modality_warn(sum, &im->s->modality[i],
                      im->only_site != NULL && im->s->site_column[0] != '\0', &sum->modality[i]);
    }
    return RC_OK;
}
