/* Whether a site describes the modalities that a study reads, key for key. */
#include <string.h>

#include "common/agreement/agreement_internal.h"

static const struct schema_modality *find(const struct schema *s, const char *name)
{
    for (size_t i = 0; i < s->n_modalities; i++) {
        if (strcmp(s->modality[i].name, name) == 0) {
            return &s->modality[i];
        }
    }
    return NULL;
}

static bool same_number(double a, double b)
{
    return !(a < b) && !(a > b);
}

static bool same_window(const struct schema_modality *a, const struct schema_modality *b)
{
    return a->has_window == b->has_window &&
           same_number(a->window.from_hours, b->window.from_hours) &&
           same_number(a->window.to_hours, b->window.to_hours);
}

/* One sentence for keys whose study value fits on a line. */
static RC differs(const char *name, const char *key, const char *value, struct error *err)
{
    return error_set(err, RC_INVALID,
                     "modality '%s' has another `%s` in the study than in this site's cohort.yaml; "
                     "write `%s` there",
                     name, key, value);
}

static RC compare_variable(const char *name, const struct schema_variable *want,
                           const struct schema_variable *own, struct error *err)
{
    if (strcmp(want->name, own->name) != 0) {
        return error_set(
            err, RC_INVALID,
            "modality '%s': where the study has variable '%s', this site's cohort.yaml "
            "has '%s'; write the study's, in its order",
            name, want->name, own->name);
    }
    if (strcmp(want->unit, own->unit) != 0) {
        return error_set(err, RC_INVALID,
                         "variable '%s' of '%s' has the unit '%.40s' in the study and '%.40s' in "
                         "this site's cohort.yaml; convert the values, then write the study's unit",
                         want->name, name, want->unit, own->unit);
    }
    if (!same_number(want->low, own->low) || !same_number(want->high, own->high)) {
        return error_set(err, RC_INVALID,
                         "variable '%s' of '%s' has the range [%.15g, %.15g] in the study and "
                         "[%.15g, %.15g] in this site's cohort.yaml; write the study's",
                         want->name, name, want->low, want->high, own->low, own->high);
    }
    return RC_OK;
}

static RC compare_series(const char *name, const struct schema_series *want,
                         const struct schema_series *own, struct error *err)
{
    char value[80];
    if (want->form != own->form || want->steps != own->steps || want->events != own->events ||
        want->fill != own->fill) {
        if (want->form == SCHEMA_GRID) {
            (void)snprintf(value, sizeof value, "grid: {steps: %zu, fill: %s}", want->steps,
                           want->fill == SCHEMA_FILL_LAST ? "last" : "zero");
        } else {
            (void)snprintf(value, sizeof value, "events: %zu", want->events);
        }
        return differs(name, want->form == SCHEMA_GRID ? "grid" : "events", value, err);
    }
    if (want->n_variables != own->n_variables) {
        return error_set(err, RC_INVALID,
                         "modality '%s' has %zu variables in the study and %zu in this site's "
                         "cohort.yaml; write the study's, in its order",
                         name, want->n_variables, own->n_variables);
    }
    for (size_t i = 0; i < want->n_variables; i++) {
        const enum rc rc = compare_variable(name, &want->variable[i], &own->variable[i], err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    return RC_OK;
}

static RC compare_image(const char *name, const struct schema_image *want,
                        const struct schema_image *own, struct error *err)
{
    char value[80];
    if (want->height != own->height || want->width != own->width) {
        (void)snprintf(value, sizeof value, "size: [%zu, %zu]", want->height, want->width);
        return differs(name, "size", value, err);
    }
    if (want->standardise != own->standardise) {
        return differs(name, "standardise",
                       want->standardise ? "standardise: true" : "standardise: false", err);
    }
    return RC_OK;
}

static RC compare_notes(const char *name, const struct schema_notes *want,
                        const struct schema_notes *own, struct error *err)
{
    char value[160];
    if (want->tokens != own->tokens || want->unit != own->unit ||
        want->vocabulary != own->vocabulary || want->ngrams != own->ngrams ||
        want->seed != own->seed) {
        if (want->unit == SCHEMA_BYTES) {
            (void)snprintf(value, sizeof value, "tokens: %zu, unit: bytes", want->tokens);
        } else {
            (void)snprintf(value, sizeof value,
                           "tokens: %zu, unit: words, vocabulary: %zu, ngrams: %zu, seed: %llu",
                           want->tokens, want->vocabulary, want->ngrams,
                           (unsigned long long)want->seed);
        }
        return error_set(err, RC_INVALID,
                         "modality '%s' is read otherwise in the study than in this site's "
                         "cohort.yaml; write `%s` there",
                         name, value);
    }
    return RC_OK;
}

static RC compare(const struct schema_modality *want, const struct schema_modality *own,
                  struct error *err)
{
    char value[96];
    if (want->kind != own->kind) {
        return error_set(err, RC_INVALID,
                         "modality '%s' is of type %s in the study and %s in this site's "
                         "cohort.yaml; they must be the same",
                         want->name, schema_kind_name(want->kind), schema_kind_name(own->kind));
    }
    if (!same_window(want, own)) {
        if (want->has_window) {
            (void)snprintf(value, sizeof value, "window: [%.15g, %.15g]", want->window.from_hours,
                           want->window.to_hours);
        } else {
            (void)snprintf(value, sizeof value, "no window");
        }
        return differs(want->name, "window", value, err);
    }
    switch (want->kind) {
    case SCHEMA_SERIES:
        return compare_series(want->name, &want->series, &own->series, err);
    case SCHEMA_IMAGE:
        return compare_image(want->name, &want->image, &own->image, err);
    case SCHEMA_NOTES:
        break;
    }
    return compare_notes(want->name, &want->notes, &own->notes, err);
}

enum rc agreement_fits_modalities(const struct schema *want, const struct schema *own,
                                  struct error *err)
{
    for (size_t i = 0; i < want->n_modalities; i++) {
        const struct schema_modality *m = &want->modality[i];
        const struct schema_modality *mine = find(own, m->name);
        if (mine == NULL) {
            return error_set(
                err, RC_INVALID,
                "the study reads modality '%s' (%s), which this site's cohort.yaml does "
                "not describe; add it under modalities:, with `files: []` if this site "
                "has none",
                m->name, schema_kind_name(m->kind));
        }
        const enum rc rc = compare(m, mine, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    for (size_t i = 0; i < own->n_modalities; i++) {
        if (find(want, own->modality[i].name) == NULL) {
            return error_set(
                err, RC_INVALID,
                "this site's cohort.yaml describes modality '%s', which the study does "
                "not read; take it out, or use a cohort.yaml of its own for this study",
                own->modality[i].name);
        }
    }
    for (size_t i = 0; i < want->n_modalities; i++) {
        if (strcmp(want->modality[i].name, own->modality[i].name) != 0) {
            return error_set(err, RC_INVALID,
                             "modality %zu of the study is '%s', of this site's cohort.yaml '%s'; "
                             "put its modalities into the study's order",
                             i + 1, want->modality[i].name, own->modality[i].name);
        }
    }
    return RC_OK;
}
