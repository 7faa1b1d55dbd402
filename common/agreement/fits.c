/* Whether a site can give what a study reads, and if not, what a person must change. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/agreement/agreement_internal.h"
#include "common/base/text.h"

enum { LIST_ROOM = 72 };

static const struct schema_feature *find(const struct schema *s, const char *name)
{
    for (size_t i = 0; i < s->n_features; i++) {
        if (strcmp(s->feature[i].name, name) == 0) {
            return &s->feature[i];
        }
    }
    return NULL;
}

/* "0, 1, 2, 3", cut with "..." where it does not fit. */
static const char *list(char (*word)[SCHEMA_NAME_MAX], size_t n_words, char out[LIST_ROOM])
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n_words; i++) {
        const int n = snprintf(out + used, LIST_ROOM - used, "%s%s", i > 0 ? ", " : "", word[i]);
        if (n < 0 || (size_t)n >= LIST_ROOM - used - sizeof ", ...") {
            (void)snprintf(out + used, LIST_ROOM - used, "%s...", i > 0 ? ", " : "");
            break;
        }
        used += (size_t)n;
    }
    return out;
}

/* "one of 3 classes: a, b, c" */
static const char *describe_label(const struct schema *s, char out[2 * LIST_ROOM])
{
    char words[LIST_ROOM];
    if (s->n_classes == 0) {
        (void)snprintf(out, 2 * LIST_ROOM, "yes or no");
    } else {
        (void)snprintf(out, 2 * LIST_ROOM, "one of %zu classes: %s", s->n_classes,
                       list(s->class_name, s->n_classes, words));
    }
    return out;
}

/* "continuous, 80 to 200 mmHg" or "categorical: 0, 1, 2, 3" */
static const char *describe(const struct schema_feature *f, char out[2 * LIST_ROOM])
{
    char words[LIST_ROOM];
    if (f->type == SCHEMA_CONTINUOUS) {
        (void)snprintf(out, 2 * LIST_ROOM, "%s, %.15g to %.15g%s%.40s", schema_type_name(f->type),
                       f->low, f->high, f->unit[0] != '\0' ? " " : "", f->unit);
    } else {
        (void)snprintf(out, 2 * LIST_ROOM, "%s: %s", schema_type_name(f->type),
                       list(f->category, f->n_categories, words));
    }
    return out;
}

static bool same_number(double a, double b)
{
    return !(a < b) && !(a > b);
}

static bool same_categories(const struct schema_feature *a, const struct schema_feature *b)
{
    if (a->n_categories != b->n_categories) {
        return false;
    }
    for (size_t i = 0; i < a->n_categories; i++) {
        if (!schema_same(a->category[i], b->category[i])) {
            return false;
        }
    }
    return true;
}

/* The first thing in which they differ, said with both sides and what to write. */
static RC compare(const struct schema_feature *want, const struct schema_feature *own,
                  struct error *err)
{
    char a[LIST_ROOM], b[LIST_ROOM];
    const char *name = want->name;
    if (want->type != own->type) {
        return error_set(err, RC_INVALID,
                         "feature '%s' is %s in the study and %s in this site's cohort.yaml; they "
                         "must be the same",
                         name, schema_type_name(want->type), schema_type_name(own->type));
    }
    if (strcmp(want->unit, own->unit) != 0) {
        return error_set(err, RC_INVALID,
                         "feature '%s' has the unit '%.40s' in the study and '%.40s' in this "
                         "site's cohort.yaml; convert the values, then write the study's unit",
                         name, want->unit, own->unit);
    }
    if (want->type == SCHEMA_CONTINUOUS &&
        !(same_number(want->low, own->low) && same_number(want->high, own->high))) {
        return error_set(err, RC_INVALID,
                         "feature '%s' has the range [%.15g, %.15g] in the study and [%.15g, "
                         "%.15g] in this site's cohort.yaml; write the study's",
                         name, want->low, want->high, own->low, own->high);
    }
    if (want->type != SCHEMA_CONTINUOUS && !same_categories(want, own)) {
        return error_set(err, RC_INVALID,
                         "feature '%s' has the categories %s in the study and %s in this site's "
                         "cohort.yaml; write the study's, in its order",
                         name, list(want->category, want->n_categories, a),
                         list(own->category, own->n_categories, b));
    }
    if (want->may_miss != own->may_miss) {
        return error_set(err, RC_INVALID,
                         "feature '%s' %s in the study, but not in this site's cohort.yaml; write "
                         "`required: %s` there",
                         name, want->may_miss ? "may be missing" : "is required",
                         want->may_miss ? "false" : "true");
    }
    return RC_OK;
}

static RC check(const struct schema *want, const struct schema *own, struct error *err)
{
    char text[2 * LIST_ROOM];
    for (size_t i = 0; i < want->n_features; i++) {
        const struct schema_feature *f = &want->feature[i];
        const struct schema_feature *mine = find(own, f->name);
        if (mine == NULL) {
            return error_set(err, RC_INVALID,
                             "the study reads feature '%s' (%s), which this site's cohort.yaml "
                             "does not describe; add it under features:",
                             f->name, describe(f, text));
        }
        const enum rc same = compare(f, mine, err);
        if (same != RC_OK) {
            return same;
        }
    }
    for (size_t i = 0; i < own->n_features; i++) {
        if (find(want, own->feature[i].name) == NULL) {
            return error_set(err, RC_INVALID,
                             "this site's cohort.yaml describes feature '%s', which the study does "
                             "not read; take it out, or use a cohort.yaml of its own for this "
                             "study",
                             own->feature[i].name);
        }
    }
    for (size_t i = 0; i < want->n_features; i++) { /* as many, and the same names */
        if (strcmp(want->feature[i].name, own->feature[i].name) != 0) {
            return error_set(err, RC_INVALID,
                             "feature %zu of the study is '%s', of this site's cohort.yaml '%s'; "
                             "put its features into the study's order",
                             i + 1, want->feature[i].name, own->feature[i].name);
        }
    }
    const enum rc rc = agreement_fits_modalities(want, own, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (strcmp(schema_label_name(want), schema_label_name(own)) != 0) {
        return error_set(err, RC_INVALID,
                         "the study predicts '%s' and this site's cohort.yaml '%s'; if they mean "
                         "the same, write `name: %s` under label:",
                         schema_label_name(want), schema_label_name(own), schema_label_name(want));
    }
    bool same_classes = want->n_classes == own->n_classes;
    for (size_t i = 0; same_classes && i < want->n_classes; i++) {
        same_classes = schema_same(want->class_name[i], own->class_name[i]);
    }
    if (!same_classes) {
        char theirs[2 * LIST_ROOM];
        char mine[2 * LIST_ROOM];
        return error_set(err, RC_INVALID,
                         "the label '%s' is %s in the study, and %s in this site's cohort.yaml; "
                         "write under label: what the study says, in its order",
                         schema_label_name(want), describe_label(want, theirs),
                         describe_label(own, mine));
    }
    return error_set(err, RC_INVALID,
                     "this site's cohort.yaml does not describe what the study reads");
}

enum rc agreement_fits(const struct agreement *a, const struct schema *own, struct error *err)
{
    const struct hash want = schema_hash(&a->schema), have = schema_hash(own);
    if (hash_equal(&want, &have)) {
        return RC_OK;
    }
    const enum rc rc = check(&a->schema, own, err);
    text_make_printable(err->text); /* names in it are the coordinator's */
    return rc;
}
