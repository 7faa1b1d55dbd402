#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "sim/hospital/folder.h"
#include "sim/hospital/hospital.h"
#include "sim/hospital/softmax.h"

static struct dataset *generate(const struct hospital_params *p, uint64_t seed)
{
    struct error err = {0};
    struct dataset *d = NULL;
    if (hospital_generate(p, seed, &d, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return d;
}

static double prevalence_of(const struct dataset *d)
{
    double sum = 0.0;
    for (size_t i = 0; i < d->n_patients; i++) {
        sum += (double)d->label[i];
    }
    return sum / (double)d->n_patients;
}

/* Where a feature's value stands in a row; only for features in values. */
static size_t slot_of(const struct schema *s, const char *name)
{
    size_t at = 0;
    for (size_t k = 0; k < s->n_features; k++) {
        const struct schema_feature *f = &s->feature[k];
        if (strcmp(f->name, name) == 0) {
            return at;
        }
        if (f->type != SCHEMA_CATEGORICAL) {
            at += f->may_miss ? 2 : 1;
        }
    }
    fail_msg("no feature %s", name);
    return 0;
}

/* Mean of a present feature at a site. */
static double site_mean(const struct dataset *d, uint32_t site, size_t slot)
{
    double sum = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < d->n_patients; i++) {
        const float *v = d->values + d->first_row[i] * d->n_values;
        if (d->site[i] == site && v[slot + 1] < 0.5f) {
            sum += (double)v[slot];
            n++;
        }
    }
    assert_true(n > 0);
    return sum / (double)n;
}

/* Largest distance between two sites' means. */
static double spread_over_sites(const struct dataset *d, size_t slot)
{
    double low = 2.0, high = -2.0;
    for (uint32_t s = 0; s < d->n_sites; s++) {
        const double m = site_mean(d, s, slot);
        low = fmin(low, m);
        high = fmax(high, m);
    }
    return high - low;
}

/* Share of missing cells among those that may miss, codes included; of one site or of all. */
static double missing_of(const struct schema *s, const struct dataset *d, size_t site)
{
    size_t missing = 0, cells = 0;
    for (size_t i = 0; i < d->n_patients; i++) {
        if (site < d->n_sites && d->site[i] != site) {
            continue;
        }
        const float *v = d->values + i * d->n_values;
        const int32_t *c = d->codes + i * d->n_codes;
        for (size_t k = 0; k < s->n_features; k++) {
            const struct schema_feature *f = &s->feature[k];
            if (f->type == SCHEMA_CATEGORICAL) {
                missing += *c++ == (int32_t)f->n_categories ? 1 : 0;
                cells++;
            } else {
                if (f->may_miss) {
                    missing += v[1] > 0.5f ? 1 : 0;
                    cells++;
                }
                v += f->may_miss ? 2 : 1;
            }
        }
    }
    return (double)missing / (double)cells;
}

static void assert_same_patients(const struct dataset *a, const struct dataset *b)
{
    assert_int_equal(a->n_patients, b->n_patients);
    assert_memory_equal(a->values, b->values, a->n_rows * a->n_values * sizeof *a->values);
    assert_memory_equal(a->codes, b->codes, a->n_rows * a->n_codes * sizeof *a->codes);
    assert_memory_equal(a->label, b->label, a->n_patients * sizeof *a->label);
    assert_memory_equal(a->patient, b->patient, a->n_patients * sizeof *a->patient);
    assert_memory_equal(a->site, b->site, a->n_patients * sizeof *a->site);
    assert_true(hash_equal(&a->version, &b->version));
}

static void the_same_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    const struct hospital_params p = hospital_params_default();
    struct dataset *a = generate(&p, 5), *b = generate(&p, 5);
    assert_same_patients(a, b);
    dataset_close(&a);
    dataset_close(&b);
}

static void another_seed_gives_other_bytes(void **state)
{
    (void)state;
    const struct hospital_params p = hospital_params_default();
    struct dataset *a = generate(&p, 5), *b = generate(&p, 6);
    assert_false(hash_equal(&a->version, &b->version));
    assert_memory_not_equal(a->values, b->values, 100 * a->n_values * sizeof *a->values);
    dataset_close(&a);
    dataset_close(&b);
}

static void the_dataset_keeps_the_contract_of_its_header(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = {0};
    assert_int_equal(hospital_schema(&s, &err), RC_OK);
    struct hospital_params p = hospital_params_default();
    p.hospitals = 11; /* two digits, past the tenth */
    p.patients = 500;
    struct dataset *d = generate(&p, 1);
    const struct schema_layout layout = schema_layout(&s);
    assert_int_equal(d->n_values, layout.n_values);
    assert_int_equal(d->n_codes, layout.n_codes);
    assert_int_equal(d->n_sites, 11);
    assert_int_equal(d->n_rows, d->n_patients);
    assert_string_equal(d->site_name[0], "hospital-01");
    assert_string_equal(d->site_name[10], "hospital-11");
    for (size_t i = 0; i < d->n_patients; i++) {
        assert_int_equal(d->first_row[i], i);
        assert_true(d->site[i] < d->n_sites);
        assert_true(i == 0 || strcmp(d->patient_id[i - 1], d->patient_id[i]) < 0);
        const struct hash want = hash_of(d->patient_id[i], strlen(d->patient_id[i]));
        assert_true(hash_equal(&d->patient[i], &want));
        assert_true(d->label[i] == 0.0f || d->label[i] == 1.0f);
    }
    assert_int_equal(d->first_row[d->n_patients], d->n_rows);
    dataset_close(&d);
    schema_release(&s);
}

static void every_value_lies_in_its_range(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = {0};
    assert_int_equal(hospital_schema(&s, &err), RC_OK);
    struct hospital_params p = hospital_params_default();
    p.case_mix = 2.0; /* extreme patients */
    p.lab_bias = 2.0;
    struct dataset *d = generate(&p, 3);
    for (size_t i = 0; i < d->n_patients; i++) {
        const float *v = d->values + i * d->n_values;
        const int32_t *c = d->codes + i * d->n_codes;
        for (size_t k = 0; k < s.n_features; k++) {
            const struct schema_feature *f = &s.feature[k];
            if (f->type == SCHEMA_CATEGORICAL) {
                assert_in_range(*c, 0, f->n_categories);
                c++;
                continue;
            }
            assert_true(v[0] >= -1.0f && v[0] <= 1.0f);
            assert_true(f->type != SCHEMA_BINARY || v[0] == 0.0f || v[0] == 1.0f);
            if (f->may_miss) {
                assert_true(v[1] == 0.0f || v[1] == 1.0f);
                assert_true(v[1] == 0.0f || v[0] == 0.0f); /* missing: 0 */
            }
            v += f->may_miss ? 2 : 1;
        }
        assert_ptr_equal(v, d->values + (i + 1) * d->n_values);
    }
    dataset_close(&d);
    schema_release(&s);
}

static void every_feature_varies_and_rarely_meets_the_end_of_its_range(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = {0};
    assert_int_equal(hospital_schema(&s, &err), RC_OK);
    struct hospital_params p = hospital_params_default();
    p.patients = 8000;
    struct dataset *d = generate(&p, 3);
    for (size_t k = 0; k < s.n_features; k++) {
        const struct schema_feature *f = &s.feature[k];
        if (f->type == SCHEMA_CATEGORICAL) {
            continue;
        }
        const size_t slot = slot_of(&s, f->name);
        double sum = 0.0, squares = 0.0, ends = 0.0, n = 0.0;
        for (size_t i = 0; i < d->n_patients; i++) {
            const float *v = d->values + i * d->n_values + slot;
            if (f->may_miss && v[1] > 0.5f) {
                continue;
            }
            sum += (double)v[0];
            squares += (double)v[0] * (double)v[0];
            ends += fabsf(v[0]) >= 1.0f ? 1.0 : 0.0;
            n += 1.0;
        }
        const double sd = sqrt(squares / n - sum / n * (sum / n));
        if (sd < 0.05) {
            fail_msg("%s hardly varies: sd %.3f of its half range", f->name, sd);
        }
        /* an unhurt brain scores the top of its scale, a sound lung nearly so: not a cut */
        const bool ceiling = strcmp(f->name, "gcs") == 0;
        if (f->type == SCHEMA_CONTINUOUS && !ceiling && ends / n > 0.02) {
            fail_msg("%s: %.3f of its values stand at the end of the range", f->name, ends / n);
        }
    }
    dataset_close(&d);
    schema_release(&s);
}

static void prevalence_is_met_whatever_else_is_asked(void **state)
{
    (void)state;
    struct hospital_params p = hospital_params_default();
    p.patients = 8000;
    const double want[] = {0.05, 0.25, 0.6};
    const double label_noise[] = {0.0, 0.02, 0.5}, signal[] = {1.0, 0.3, 3.0};
    for (size_t k = 0; k < 3; k++) {
        p.prevalence = want[k];
        p.label_noise = label_noise[k];
        p.signal = signal[k];
        struct dataset *d = generate(&p, 11);
        const double got = prevalence_of(d);
        if (fabs(got - want[k]) > 0.025) { /* five standard errors at 0.25 */
            fail_msg("prevalence %.4f, want %.2f", got, want[k]);
        }
        dataset_close(&d);
    }
}

static void cells_go_missing_at_the_rate_asked_for(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = {0};
    assert_int_equal(hospital_schema(&s, &err), RC_OK);
    struct hospital_params p = hospital_params_default();
    p.patients = 4000;
    p.missing = 0.0;
    struct dataset *d = generate(&p, 2);
    assert_true(missing_of(&s, d, SIZE_MAX) <= 0.0);
    dataset_close(&d);

    p.missing = 0.12;
    p.missing_spread = 0.0;
    d = generate(&p, 2);
    assert_true(fabs(missing_of(&s, d, SIZE_MAX) - 0.12) < 0.02);
    double even = 0.0;
    for (size_t site = 0; site < p.hospitals; site++) {
        even = fmax(even, fabs(missing_of(&s, d, site) - 0.12));
    }
    dataset_close(&d);
    p.missing_spread = 1.0;
    d = generate(&p, 2);
    double uneven = 0.0;
    for (size_t site = 0; site < p.hospitals; site++) {
        uneven = fmax(uneven, fabs(missing_of(&s, d, site) - 0.12));
    }
    assert_true(uneven > 3.0 * even);
    dataset_close(&d);
    schema_release(&s);
}

static void lactate_is_measured_in_the_severely_ill(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = {0};
    assert_int_equal(hospital_schema(&s, &err), RC_OK);
    struct hospital_params p = hospital_params_default();
    p.patients = 4000;
    struct dataset *d = generate(&p, 2);
    const size_t slot = slot_of(&s, "lactate");
    double missing[2] = {0}, n[2] = {0};
    for (size_t i = 0; i < d->n_patients; i++) {
        const size_t dead = d->label[i] > 0.5f ? 1 : 0;
        missing[dead] += (double)d->values[i * d->n_values + slot + 1];
        n[dead] += 1.0;
    }
    assert_true(missing[1] / n[1] < missing[0] / n[0] - 0.05);
    dataset_close(&d);
    schema_release(&s);
}

static void hospitals_differ_as_far_as_asked(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = {0};
    assert_int_equal(hospital_schema(&s, &err), RC_OK);
    struct hospital_params p = hospital_params_default();
    p.patients = 8000;
    p.case_mix = 0.0;
    p.lab_bias = 0.0;
    struct dataset *alike = generate(&p, 4);
    p.lab_bias = 1.0;
    struct dataset *biased = generate(&p, 4);
    p.lab_bias = 0.0;
    p.case_mix = 1.0;
    struct dataset *mixed = generate(&p, 4);
    const size_t lab = slot_of(&s, "wbc"), vital = slot_of(&s, "heart_rate");
    assert_true(spread_over_sites(biased, lab) > 3.0 * spread_over_sites(alike, lab));
    assert_true(spread_over_sites(mixed, vital) > 3.0 * spread_over_sites(alike, vital));
    /* calibration moves what the laboratory says and nothing else of the same patients */
    assert_memory_equal(alike->label, biased->label, alike->n_patients * sizeof *alike->label);
    assert_true(fabs(spread_over_sites(biased, vital) - spread_over_sites(alike, vital)) <= 0.0);
    dataset_close(&alike);
    dataset_close(&biased);
    dataset_close(&mixed);
    schema_release(&s);
}

static void a_public_size_is_round_and_not_the_count(void **state)
{
    (void)state;
    const struct hospital_params p = hospital_params_default();
    struct hospital_site site[8];
    hospital_roster(&p, 9, site);
    struct dataset *d = generate(&p, 9);
    size_t count[8] = {0}, equal = 0;
    for (size_t i = 0; i < d->n_patients; i++) {
        count[d->site[i]]++;
    }
    size_t smallest = SIZE_MAX, largest = 0;
    for (size_t s = 0; s < 8; s++) {
        assert_string_equal(site[s].name, d->site_name[s]);
        assert_int_equal(site[s].nominal % 10, 0);
        assert_true(site[s].nominal > 0);
        const double gap = fabs((double)count[s] - (double)site[s].nominal);
        assert_true(gap < 5.0 + 5.0 * sqrt((double)site[s].nominal)); /* five Poisson sds */
        equal += count[s] == site[s].nominal ? 1 : 0;
        smallest = site[s].nominal < smallest ? site[s].nominal : smallest;
        largest = site[s].nominal > largest ? site[s].nominal : largest;
    }
    assert_true(equal < 8);
    assert_true(largest > smallest);
    assert_true(fabs((double)d->n_patients - 1600.0) < 200.0); /* five Poisson sds */
    dataset_close(&d);
}

static void a_public_size_has_two_figures(void **state)
{
    (void)state;
    struct hospital_params p = hospital_params_default();
    p.hospitals = 1;
    struct hospital_site site;
    static const size_t planned[] = {10, 14, 16, 994, 995, 1049, 1051, 123456};
    static const size_t nominal[] = {10, 10, 20, 990, 1000, 1000, 1100, 120000};
    for (size_t k = 0; k < sizeof planned / sizeof planned[0]; k++) {
        p.patients = planned[k];
        hospital_roster(&p, 1, &site);
        assert_int_equal(site.nominal, nominal[k]);
    }
}

static void the_ceiling_leaves_room_below_certainty(void **state)
{
    (void)state;
    struct error err = {0};
    struct hospital_params p = hospital_params_default();
    double ceiling = 0.0, other = 0.0;
    assert_int_equal(hospital_bayes_auroc(&p, 1, 20000, &ceiling, &err), RC_OK);
    if (!(ceiling > 0.8 && ceiling < 0.95)) {
        fail_msg("ceiling %.4f", ceiling);
    }
    p.signal = 2.0;
    assert_int_equal(hospital_bayes_auroc(&p, 1, 20000, &other, &err), RC_OK);
    assert_true(other > ceiling + 0.02);
    p.signal = 1.0;
    p.label_noise = 0.5;
    assert_int_equal(hospital_bayes_auroc(&p, 1, 20000, &other, &err), RC_OK);
    assert_true(other < ceiling - 0.1);
    p.label_noise = 1.0; /* coins: nothing to learn */
    assert_int_equal(hospital_bayes_auroc(&p, 1, 20000, &other, &err), RC_OK);
    assert_true(fabs(other - 0.5) < 1e-12);
    p.label_noise = 0.0;
    p.signal = 0.0;
    assert_int_equal(hospital_bayes_auroc(&p, 1, 20000, &other, &err), RC_OK);
    assert_true(fabs(other - 0.5) < 1e-12);
    assert_int_equal(hospital_bayes_auroc(&p, 1, 1, &other, &err), RC_INVALID);
}

static void features_say_something_but_less_than_the_ceiling(void **state)
{
    (void)state;
    /* One feature alone, as a score: above chance, below the ceiling. */
    struct error err = {0};
    struct schema s = {0};
    assert_int_equal(hospital_schema(&s, &err), RC_OK);
    struct hospital_params p = hospital_params_default();
    p.patients = 3000;
    p.missing = 0.0;
    struct dataset *d = generate(&p, 8);
    double ceiling = 0.0;
    assert_int_equal(hospital_bayes_auroc(&p, 8, 20000, &ceiling, &err), RC_OK);
    const size_t slot = slot_of(&s, "gcs");
    double right = 0.0, pairs = 0.0;
    for (size_t i = 0; i < d->n_patients; i++) {
        for (size_t j = 0; j < d->n_patients; j++) {
            if (d->label[i] > 0.5f && d->label[j] < 0.5f) {
                const float a = d->values[i * d->n_values + slot];
                const float b = d->values[j * d->n_values + slot];
                right += a < b ? 1.0 : a > b ? 0.0 : 0.5; /* low is bad */
                pairs += 1.0;
            }
        }
    }
    assert_true(right / pairs > 0.6);
    assert_true(right / pairs < ceiling - 0.02);
    dataset_close(&d);
    schema_release(&s);
}

static enum rc read_params(const char *text, struct hospital_params *out,
                           struct config_issues *issues)
{
    struct error err = {0};
    struct config_doc *doc = NULL;
    if (config_parse("demo.yaml", text, strlen(text), &doc, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    *issues = (struct config_issues){.path = config_name(doc)};
    const enum rc rc = hospital_params_read(config_root(doc), out, issues, &err);
    config_close(&doc);
    return rc;
}

static void a_map_becomes_parameters(void **state)
{
    (void)state;
    static struct config_issues issues;
    struct hospital_params p = {0};
    assert_int_equal(read_params("{hospitals: 3, patients: 90, prevalence: 0.4, lab_bias: 0}", &p,
                                 &issues),
                     RC_OK);
    assert_int_equal(p.hospitals, 3);
    assert_int_equal(p.patients, 90);
    assert_true(p.prevalence == 0.4 && p.lab_bias == 0.0);
    assert_true(p.case_mix == hospital_params_default().case_mix);
    assert_int_equal(read_params("{hospitals: 5, mean_size: 70}", &p, &issues), RC_OK);
    assert_int_equal(p.patients, 350);
    assert_int_equal(hospital_params_default().patients, 1600);
    assert_int_equal(hospital_params_default().hospitals, 8);
}

static void a_wrong_map_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static struct config_issues issues;
    struct hospital_params p = {.hospitals = 77};
    static const char *const wrong[] = {
        "{hospitals: 0}",
        "{hospitals: 3, patients: 20}",          /* fewer than ten each */
        "{patients: 100, mean_size: 10}",        /* both */
        "{hospitals: 1024, mean_size: 1000000}", /* too many in all */
        "{prevalence: 1.5}",
        "{prevalance: 0.5}",
        "{missing: .nan}",
    };
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        assert_int_equal(read_params(wrong[k], &p, &issues), RC_INVALID);
        assert_int_equal(issues.n, 1);
        assert_int_equal(p.hospitals, 77);
    }
    assert_non_null(strstr(issues.line[0], "demo.yaml:1:"));
}

static void the_schema_owns_what_it_names(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = {0}, again = {0};
    assert_int_equal(hospital_schema(&s, &err), RC_OK);
    assert_int_equal(hospital_schema(&again, &err), RC_OK);
    const struct hash a = schema_hash(&s), b = schema_hash(&again);
    assert_true(hash_equal(&a, &b));
    assert_int_equal(s.n_features, 14);
    assert_int_equal(schema_code_count(&s, 0), 5); /* four admissions and missing */
    for (size_t k = 0; k < s.n_features; k++) {
        for (size_t j = 0; j < k; j++) {
            assert_string_not_equal(s.feature[k].name, s.feature[j].name);
        }
        assert_true(s.feature[k].type != SCHEMA_CONTINUOUS || s.feature[k].low < s.feature[k].high);
    }
    schema_release(&s);
    schema_release(&again);
}

/* Imports the cohort.yaml in `folder` as site `name`. */
static struct dataset *import_folder(const char *folder, const char *name)
{
    static struct config_issues issues;
    struct error err = {0};
    struct schema schema = {0};
    struct store *store = NULL;
    struct cohort_summary found;
    struct dataset *d = NULL;
    char path[256];
    memset(&issues, 0, sizeof issues);
    (void)snprintf(path, sizeof path, "%s/cohort.yaml", folder);
    enum rc rc = schema_open(path, &schema, &issues, &err);
    if (rc == RC_OK) {
        rc = store_open(":memory:", &cohort_store_kind, &store, &err);
    }
    if (rc == RC_OK) {
        rc = cohort_import(&schema, name, store, &issues, &found, &err);
    }
    if (rc == RC_OK) {
        rc = dataset_open(&schema, store, &d, &err);
    }
    if (rc != RC_OK) {
        fail_msg("%s", err.text);
    }
    store_close(&store);
    schema_release(&schema);
    return d;
}

static void a_hospital_written_to_a_folder_imports_as_it_was(void **state)
{
    (void)state;
    struct hospital_params p = hospital_params_default();
    struct error err = {0};
    struct schema schema = {0};
    char folder[] = "/tmp/wardround-hospital.XXXXXX";
    char at[64];
    p.hospitals = 3;
    p.patients = 240;
    struct dataset *d = generate(&p, 11);
    assert_int_equal(hospital_schema(&schema, &err), RC_OK);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(at, sizeof at, "%s/two", folder);
    assert_int_equal(hospital_write_folder(&schema, d, 1, at, &err), RC_OK);
    assert_int_equal(hospital_write_folder(&schema, d, 1, at, &err), RC_STATE);

    struct dataset *back = import_folder(at, d->site_name[1]);
    size_t k = 0;
    for (size_t i = 0; i < d->n_patients; i++) {
        if (d->site[i] != 1) {
            continue;
        }
        assert_string_equal(back->patient_id[k], d->patient_id[i]);
        assert_true(back->label[k] == d->label[i]);
        for (size_t v = 0; v < d->n_values; v++) { /* nine digits of a float in [-1, 1] */
            assert_float_equal(back->values[k * d->n_values + v], d->values[i * d->n_values + v],
                               1e-6F);
        }
        for (size_t c = 0; c < d->n_codes; c++) {
            assert_int_equal(back->codes[k * d->n_codes + c], d->codes[i * d->n_codes + c]);
        }
        k++;
    }
    assert_int_equal(back->n_patients, k);
    dataset_close(&back);
    dataset_close(&d);
    schema_release(&schema);
    static const char *const files[] = {"patients.csv", "cohort.yaml"};
    for (size_t i = 0; i < 2; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", at, files[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(at), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- several classes by a softmax law -------------------------------------------------------- */

static struct softmax_params of_classes(void)
{
    return (struct softmax_params){.hospitals = 5,
                                   .records = 400,
                                   .features = 20,
                                   .classes = 4,
                                   .signal = 3.0,
                                   .label_skew = 1.0};
}

static struct dataset *softmax(const struct softmax_params *p, uint64_t seed, struct schema *s)
{
    struct error err = {0};
    struct dataset *d = NULL;
    assert_int_equal(softmax_generate(p, seed, s, &d, &err), RC_OK);
    return d;
}

static void hospitals_of_classes_are_equal_in_size_and_the_same_from_one_seed(void **state)
{
    (void)state;
    const struct softmax_params p = of_classes();
    struct schema s[3];
    struct dataset *d[3] = {softmax(&p, 1, &s[0]), softmax(&p, 1, &s[1]), softmax(&p, 2, &s[2])};
    size_t count[5] = {0};
    assert_int_equal(d[0]->n_patients, 2000);
    assert_int_equal(schema_layout(&s[0]).n_values, 20);
    assert_int_equal(schema_layout(&s[0]).n_outputs, 4);
    for (size_t i = 0; i < 2000; i++) {
        count[d[0]->site[i]]++;
        assert_true(d[0]->label[i] >= 0 && d[0]->label[i] < 4);
        for (size_t j = 0; j < 20; j++) {
            assert_true(fabsf(d[0]->values[i * 20 + j]) <= 1.0f);
        }
    }
    for (size_t k = 0; k < 5; k++) {
        assert_int_equal(count[k], 400);
    }
    assert_memory_equal(d[0]->values, d[1]->values, 2000 * 20 * sizeof(float));
    assert_memory_equal(d[0]->label, d[1]->label, 2000 * sizeof(float));
    assert_true(hash_equal(&d[0]->version, &d[1]->version));
    assert_false(hash_equal(&d[0]->version, &d[2]->version));
    assert_memory_not_equal(d[0]->values, d[2]->values, 2000 * 20 * sizeof(float));
    for (size_t k = 0; k < 3; k++) {
        dataset_close(&d[k]);
        schema_release(&s[k]);
    }
}

/* No signal and no skew: the best is a guess. Much signal: nearly always right. */
static void the_best_accuracy_grows_from_a_guess_to_certainty(void **state)
{
    (void)state;
    struct error err = {0};
    struct softmax_params p = of_classes();
    double none = 0.0, some = 0.0, much = 0.0;
    p.label_skew = p.signal = 0.0;
    assert_int_equal(softmax_best_accuracy(&p, 3, 4000, &none, &err), RC_OK);
    p.signal = 3.0;
    assert_int_equal(softmax_best_accuracy(&p, 3, 4000, &some, &err), RC_OK);
    p.signal = 100.0;
    assert_int_equal(softmax_best_accuracy(&p, 3, 4000, &much, &err), RC_OK);
    assert_true(fabs(none - 0.25) < 1e-6);
    assert_true(some > 0.6 && some < 0.9);
    assert_true(much > 0.97);
    assert_int_equal(softmax_best_accuracy(&p, 3, 0, &much, &err), RC_INVALID);
}

/* Labels are drawn from what the law says: of records whose likeliest class has probability q, a share q has
 * it; over all, the ceiling itself. The law is computed here again from its formula. */
static void labels_follow_the_law(void **state)
{
    (void)state;
    struct error err = {0};
    struct softmax_params p = of_classes();
    struct schema s = {0};
    struct rng r;
    double w[20][4], want = 0.0;
    size_t right = 0;
    p.label_skew = 0.0;
    struct dataset *d = softmax(&p, 9, &s);
    rng_init(&r, 9, "softmax/law");
    for (size_t j = 0; j < 20; j++) {
        for (size_t c = 0; c < 4; c++) {
            w[j][c] = 3.0 * sqrt(3.0 / 20.0) * rng_normal(&r);
        }
    }
    for (size_t i = 0; i < d->n_patients; i++) {
        double u[4] = {0}, sum = 0.0;
        size_t best = 0;
        for (size_t c = 0; c < 4; c++) {
            for (size_t j = 0; j < 20; j++) {
                u[c] += w[j][c] * (double)d->values[i * 20 + j];
            }
            sum += exp(u[c]);
            best = u[c] > u[best] ? c : best;
        }
        want += exp(u[best]) / sum / 2000.0;
        right += (size_t)d->label[i] == best;
    }
    double ceiling = 0.0;
    assert_int_equal(softmax_best_accuracy(&p, 9, 20000, &ceiling, &err), RC_OK);
    assert_true(fabs((double)right / 2000.0 - want) < 0.04); /* four standard errors */
    assert_true(fabs(ceiling - want) < 0.02);
    dataset_close(&d);
    schema_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hospitals_of_classes_are_equal_in_size_and_the_same_from_one_seed),
        cmocka_unit_test(the_best_accuracy_grows_from_a_guess_to_certainty),
        cmocka_unit_test(labels_follow_the_law),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(another_seed_gives_other_bytes),
        cmocka_unit_test(the_dataset_keeps_the_contract_of_its_header),
        cmocka_unit_test(every_value_lies_in_its_range),
        cmocka_unit_test(every_feature_varies_and_rarely_meets_the_end_of_its_range),
        cmocka_unit_test(prevalence_is_met_whatever_else_is_asked),
        cmocka_unit_test(cells_go_missing_at_the_rate_asked_for),
        cmocka_unit_test(lactate_is_measured_in_the_severely_ill),
        cmocka_unit_test(hospitals_differ_as_far_as_asked),
        cmocka_unit_test(a_public_size_is_round_and_not_the_count),
        cmocka_unit_test(a_public_size_has_two_figures),
        cmocka_unit_test(the_ceiling_leaves_room_below_certainty),
        cmocka_unit_test(features_say_something_but_less_than_the_ceiling),
        cmocka_unit_test(a_map_becomes_parameters),
        cmocka_unit_test(a_wrong_map_is_refused_and_changes_nothing),
        cmocka_unit_test(the_schema_owns_what_it_names),
        cmocka_unit_test(a_hospital_written_to_a_folder_imports_as_it_was),
    };
    return cmocka_run_group_tests_name("hospital", tests, NULL, NULL);
}
