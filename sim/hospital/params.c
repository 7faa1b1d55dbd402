#include "sim/hospital/hospital.h"
#include "sim/hospital/hospital_internal.h"

enum { MEAN_SIZE_DEFAULT = 200 };

#define AT(field) offsetof(struct hospital_written, field)

const char *const hospital_kinds[] = {"table", "icu", "softmax", NULL};

const struct config_key hospital_keys[HOSPITAL_KEYS] = {
    {.name = "kind",
     .type = CONFIG_CHOICE,
     .offset = AT(kind),
     .choices = hospital_kinds,
     .fallback = "table",
     .help = "table: fourteen features; icu: features, course, film and note; softmax: several "
             "classes"},
    {.name = "hospitals",
     .type = CONFIG_COUNT,
     .offset = AT(p.hospitals),
     .min = 1,
     .max = HOSPITAL_SITES_MAX,
     .fallback = "8",
     .help = "number of virtual hospitals"},
    {.name = "patients",
     .type = CONFIG_COUNT,
     .offset = AT(p.patients),
     .min = 0,
     .max = HOSPITAL_PATIENTS_MAX,
     .fallback = "0",
     .help = "planned patients over all hospitals; 0: take mean_size"},
    {.name = "mean_size",
     .type = CONFIG_COUNT,
     .offset = AT(mean_size),
     .min = 0,
     .max = HOSPITAL_PATIENTS_MAX,
     .fallback = "0",
     .help =
         "planned patients of the mean hospital, instead of patients; 0: 200, of kind icu 2000"},
    {.name = "size_spread",
     .type = CONFIG_REAL,
     .offset = AT(p.size_spread),
     .min = 0,
     .max = 2,
     .fallback = "0.5",
     .help = "standard deviation of the log of a hospital's planned size"},
    {.name = "prevalence",
     .type = CONFIG_REAL,
     .offset = AT(p.prevalence),
     .min = 0.01,
     .max = 0.99,
     .fallback = "0.25",
     .help = "expected share of deaths over all hospitals"},
    {.name = "signal",
     .type = CONFIG_REAL,
     .offset = AT(p.signal),
     .min = 0,
     .max = 10,
     .fallback = "1",
     .help = "how strongly the hidden state of a patient decides the label"},
    {.name = "case_mix",
     .type = CONFIG_REAL,
     .offset = AT(p.case_mix),
     .min = 0,
     .max = 3,
     .fallback = "0.4",
     .help = "spread of mean severity over hospitals, in standard deviations of a patient"},
    {.name = "lab_bias",
     .type = CONFIG_REAL,
     .offset = AT(p.lab_bias),
     .min = 0,
     .max = 3,
     .fallback = "0.3",
     .help = "spread of laboratory calibration over hospitals, in standard deviations"},
    {.name = "missing",
     .type = CONFIG_REAL,
     .offset = AT(p.missing),
     .min = 0,
     .max = 0.8,
     .fallback = "0.12",
     .help = "mean share of missing cells; what is dear to measure is missing more often"},
    {.name = "missing_spread",
     .type = CONFIG_REAL,
     .offset = AT(p.missing_spread),
     .min = 0,
     .max = 2,
     .fallback = "0.4",
     .help = "spread over hospitals of the log of that share"},
    {.name = "label_noise",
     .type = CONFIG_REAL,
     .offset = AT(p.label_noise),
     .min = 0,
     .max = 1,
     .fallback = "0.02",
     .help = "share of labels recorded without regard to the patient"},
};

void hospital_settle(struct hospital_written *w, size_t mean_size)
{
    if (w->p.patients == 0) {
        w->p.patients = w->p.hospitals * (w->mean_size > 0 ? w->mean_size : mean_size);
    }
}

void hospital_check(const struct config_node *map, const struct hospital_written *w,
                    bool patients_given, struct config_issues *issues)
{
    if (patients_given && w->mean_size > 0) {
        config_issue(issues, map, "patients and mean_size are both given: say one of them");
    } else if (w->p.patients > HOSPITAL_PATIENTS_MAX) {
        config_issue(issues, map, "%zu hospitals of %zu patients are more than %d patients",
                     w->p.hospitals, w->mean_size, HOSPITAL_PATIENTS_MAX);
    } else if (w->p.patients / w->p.hospitals < HOSPITAL_PLANNED_MIN) {
        config_issue(issues, map, "%zu patients in %zu hospitals: each needs at least %d",
                     w->p.patients, w->p.hospitals, HOSPITAL_PLANNED_MIN);
    }
}

struct hospital_params hospital_params_default(void)
{
    /* The table is the one place that knows: an empty map is filled with its fallbacks. */
    static const struct config_node empty = {.kind = CONFIG_MAP, .line = 1, .column = 1};
    struct config_issues none = {.path = "hospital_params_default"};
    struct hospital_written w = {0};
    config_bind(&empty, hospital_keys, HOSPITAL_KEYS, &w, &none);
    hospital_settle(&w, MEAN_SIZE_DEFAULT);
    return w.p;
}

enum rc hospital_params_read(const struct config_node *map, struct hospital_params *out,
                             struct config_issues *issues, struct error *err)
{
    const size_t before = issues->n;
    struct hospital_written w = {0};
    config_bind(map, hospital_keys, HOSPITAL_KEYS, &w, issues);
    const bool patients_given = w.p.patients > 0;
    hospital_settle(&w, MEAN_SIZE_DEFAULT);
    if (issues->n == before) {
        hospital_check(map, &w, patients_given, issues);
    }
    if (issues->n > before) {
        return config_verdict(issues, err);
    }
    *out = w.p;
    return RC_OK;
}
