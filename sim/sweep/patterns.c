/* Figures for the patients who have the same modalities: what is missing decides what a model can know. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sweep/sweep_internal.h"

/* One bit a modality, the table first, as struct batch has them; of any of a patient's rows. */
static uint32_t modalities_of(const struct dataset *d, size_t p)
{
    uint32_t bits = d->n_values + d->n_codes > 0;
    for (size_t r = d->first_row[p]; r < d->first_row[p + 1]; r++) {
        for (size_t i = 0; i < d->n_parts; i++) {
            if (d->part[i].first[r + 1] > d->part[i].first[r]) {
                bits |= UINT32_C(2) << i;
            }
        }
    }
    return bits;
}

static size_t count(uint32_t bits)
{
    size_t n = 0;
    for (; bits != 0; bits &= bits - 1) {
        n++;
    }
    return n;
}

/* Most modalities first; of as many, those that come first in the cohort. */
static bool before(uint32_t a, uint32_t b)
{
    return count(a) != count(b) ? count(a) > count(b) : a < b;
}

/* Those that somebody has, in order; at most one for each patient. */
static size_t all_patterns(const struct dataset *d, uint32_t *pattern)
{
    size_t n = 0;
    for (size_t p = 0; p < d->n_patients; p++) {
        const uint32_t bits = modalities_of(d, p);
        size_t at = 0;
        while (at < n && before(pattern[at], bits)) {
            at++;
        }
        if (at < n && pattern[at] == bits) {
            continue;
        }
        memmove(&pattern[at + 1], &pattern[at], (n - at) * sizeof *pattern);
        pattern[at] = bits;
        n++;
    }
    return n;
}

enum { PATTERNS_MAX = 2 << SCHEMA_MODALITIES_MAX };

size_t sweep_patterns_most(const struct sweep *s)
{
    uint32_t pattern[PATTERNS_MAX];
    return s->data->n_parts == 0 || sweep_outputs(s) > 1 ? 0 : all_patterns(s->data, pattern);
}

static void name_of(const struct schema *schema, uint32_t bits, struct report_pattern *out)
{
    size_t used = 0;
    for (size_t i = 0; i <= schema->n_modalities && used < sizeof out->name; i++) {
        if ((bits >> i & 1) != 0) {
            used += (size_t)snprintf(out->name + used, sizeof out->name - used, "%s%s",
                                     used == 0 ? "" : "+",
                                     i == 0 ? "table" : schema->modality[i - 1].name);
        }
    }
    if (bits == 0) {
        (void)snprintf(out->name, sizeof out->name, "nothing");
    }
}

enum rc sweep_patterns(const struct sweep *s, const struct sweep_cell *cell, const size_t *part,
                       const double *score, struct report_row *row, struct error *err)
{
    const struct dataset *d = s->data;
    uint32_t pattern[PATTERNS_MAX];
    const size_t n_patterns = sweep_patterns_most(s) == 0 ? 0 : all_patterns(d, pattern);
    double *x = calloc(d->n_patients + 1, sizeof *x);
    double *y = calloc(d->n_patients + 1, sizeof *y);
    enum rc rc = RC_OK;
    if (x == NULL || y == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu scores", d->n_patients);
    }
    for (size_t i = 0; rc == RC_OK && i < n_patterns; i++) {
        struct report_pattern *out = &row->pattern[row->n_patterns++];
        struct error why = {0};
        size_t n = 0;
        name_of(&s->schema, pattern[i], out);
        for (size_t p = 0; p < d->n_patients; p++) {
            if (sweep_tests(s, cell, part, p) && modalities_of(d, p) == pattern[i]) {
                x[n] = score[p];
                y[n++] = (double)d->label[p];
                out->n_positive += d->label[p] > 0.5f;
            }
        }
        out->n_patients = n;
        rc = metrics_auroc(x, y, n, &out->auroc, &why);
        out->has_auroc = rc == RC_OK;
        if (rc == RC_STATE) { /* one class, or nobody */
            rc = RC_OK;
        } else if (rc != RC_OK) {
            rc = error_set(err, rc, "patients with %s: %s", out->name, why.text);
        }
    }
    free(x);
    free(y);
    return rc;
}
