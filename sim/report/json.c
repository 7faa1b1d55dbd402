#include <math.h>

#include "sim/report/report.h"

/* JSON has no infinity and no NaN. */
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *seed_json(uint64_t seed)
{
    if (seed <= (uint64_t)INT64_MAX) {
        return json_integer((json_int_t)seed);
    }
    return json_sprintf("%llu", (unsigned long long)seed);
}

/* Adds what json_object_set_new steals; one failure anywhere makes the whole object NULL. */
static void put(json_t **object, const char *key, json_t *value)
{
    if (*object == NULL) {
        json_decref(value);
    } else if (json_object_set_new(*object, key, value) != 0) { /* also if value is NULL */
        json_decref(*object);
        *object = NULL;
    }
}

static void append(json_t **array, json_t *value)
{
    if (*array == NULL) {
        json_decref(value);
    } else if (json_array_append_new(*array, value) != 0) {
        json_decref(*array);
        *array = NULL;
    }
}

static json_t *site_json(const struct report_site *site)
{
    json_t *o = json_object();
    put(&o, "name", json_string(site->name));
    put(&o, "auroc", site->has_auroc ? number(site->auroc.value) : json_null());
    put(&o, "epsilon_spent", number(site->epsilon_spent));
    put(&o, "auroc_low", site->has_auroc ? number(site->auroc.low) : json_null());
    put(&o, "auroc_high", site->has_auroc ? number(site->auroc.high) : json_null());
    put(&o, "accuracy", number(site->accuracy));
    put(&o, "patients", json_integer((json_int_t)site->n_patients));
    return o;
}

static json_t *pattern_json(const struct report_pattern *p)
{
    json_t *o = json_object();
    put(&o, "modalities", json_string(p->name));
    put(&o, "patients", json_integer((json_int_t)p->n_patients));
    put(&o, "positives", json_integer((json_int_t)p->n_positive));
    put(&o, "auroc", p->has_auroc ? number(p->auroc.value) : json_null());
    put(&o, "auroc_low", p->has_auroc ? number(p->auroc.low) : json_null());
    put(&o, "auroc_high", p->has_auroc ? number(p->auroc.high) : json_null());
    if (!p->has_auroc) {
        put(&o, "why_no_auroc", json_string(p->n_patients == 0 ? "nobody" : "one class only"));
    }
    return o;
}

static json_t *point_json(const struct report_point *p)
{
    json_t *o = json_object();
    put(&o, "round", json_integer((json_int_t)p->round));
    put(&o, "auroc", number(p->auroc));
    return o;
}

json_t *report_row_json(const struct report_row *row)
{
    json_t *sites = json_array();
    for (size_t s = 0; s < row->n_sites; s++) {
        append(&sites, site_json(&row->site[s]));
    }
    json_t *patterns = row->n_patterns > 0 ? json_array() : NULL;
    for (size_t p = 0; p < row->n_patterns; p++) {
        append(&patterns, pattern_json(&row->pattern[p]));
    }
    json_t *curve = row->n_curve > 0 ? json_array() : NULL;
    for (size_t k = 0; k < row->n_curve; k++) {
        append(&curve, point_json(&row->curve[k]));
    }
    json_t *o = json_object();
    put(&o, "ablation", json_string(row->ablation));
    put(&o, "mode", json_string(row->mode));
    put(&o, "noise", json_string(row->noise));
    put(&o, "auroc", number(row->auroc));
    put(&o, "auroc_low", number(row->auroc_low));
    put(&o, "auroc_high", number(row->auroc_high));
    put(&o, "auroc_site_mean", number(row->auroc_site_mean));
    put(&o, "epsilon", number(row->epsilon));
    put(&o, "delta", number(row->delta));
    put(&o, "rounds", json_integer((json_int_t)row->rounds));
    put(&o, "seconds", number(row->seconds));
    if (row->seconds_rounds > 0.0) {
        put(&o, "seconds_rounds", number(row->seconds_rounds));
    }
    put(&o, "seed", seed_json(row->seed));
    put(&o, "sites", sites);
    put(&o, "auprc", number(row->auprc));
    put(&o, "ece", number(row->ece));
    put(&o, "accuracy", number(row->accuracy));
    put(&o, "accuracy_site_mean", number(row->accuracy_site_mean));
    put(&o, "folds", json_integer((json_int_t)row->folds));
    put(&o, "noise_multiplier", number(row->noise_multiplier));
    put(&o, "sample_rate", number(row->sample_rate));
    put(&o, "steps", json_integer((json_int_t)row->steps));
    if (row->n_patterns > 0) {
        put(&o, "patterns", patterns); /* NULL: no memory, and so is the whole */
    }
    if (row->n_curve > 0) {
        put(&o, "curve", curve);
    }
    return o;
}

json_t *report_rows_json(const char *study, const struct report_row *row, size_t n)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < n; i++) {
        append(&rows, report_row_json(&row[i]));
    }
    json_t *o = json_object();
    put(&o, "study", json_string(study));
    put(&o, "rows", rows);
    return o;
}
