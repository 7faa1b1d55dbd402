/* A cohort dealt out to hospitals by label. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/hospital/icu.h"
#include "sim/hospital/partition.h"

static struct dataset *whole;

static int make(void **state)
{
    (void)state;
    struct icu_params p = icu_params_default();
    struct schema s = {0};
    struct error err = {0};
    p.base.hospitals = 2;
    p.base.patients = 800;
    p.base.prevalence = 0.4;
    if (icu_generate(&p, 1, &s, &whole, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    schema_release(&s);
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    dataset_close(&whole);
    return 0;
}

static struct dataset *dealt(size_t hospitals, double alpha, uint64_t seed)
{
    const struct hospital_partition p = {.hospitals = hospitals, .alpha = alpha, .patients_min = 5};
    struct dataset *d = NULL;
    struct error err = {0};
    if (hospital_partition_deal(&p, seed, whole, &d, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return d;
}

/* Share of deaths at a site, less that of all, largest over sites. */
static double unlike(const struct dataset *d)
{
    double most = 0.0, all = 0.0;
    for (size_t i = 0; i < d->n_patients; i++) {
        all += (double)d->label[i] / (double)d->n_patients;
    }
    for (uint32_t s = 0; s < d->n_sites; s++) {
        double died = 0.0, n = 0.0;
        for (size_t i = 0; i < d->n_patients; i++) {
            died += d->site[i] == s ? (double)d->label[i] : 0.0;
            n += d->site[i] == s ? 1.0 : 0.0;
        }
        assert_true(n >= 5.0);
        most = fmax(most, fabs(died / n - all));
    }
    return most;
}

static void everything_of_a_patient_goes_with_him(void **state)
{
    (void)state;
    struct dataset *d = dealt(5, 1.0, 3);
    const size_t rows = d->n_rows;
    assert_int_equal(d->n_sites, 5);
    assert_string_equal(d->site_name[0], "hospital-01");
    assert_string_equal(d->site_name[4], "hospital-05");
    assert_int_equal(d->n_patients, whole->n_patients);
    assert_memory_equal(d->patient_id, whole->patient_id, d->n_patients * sizeof *d->patient_id);
    assert_memory_equal(d->label, whole->label, d->n_patients * sizeof *d->label);
    assert_memory_equal(d->values, whole->values, rows * d->n_values * sizeof *d->values);
    assert_int_equal(d->n_parts, whole->n_parts);
    for (size_t i = 0; i < d->n_parts; i++) {
        const struct dataset_part *a = &d->part[i], *b = &whole->part[i];
        assert_memory_equal(a->first, b->first, (rows + 1) * sizeof *a->first);
        if (a->value != NULL) {
            assert_memory_equal(a->value, b->value, a->first[rows] * sizeof *a->value);
        }
        if (a->pixel != NULL) {
            assert_memory_equal(a->pixel, b->pixel, a->first[rows]);
        }
    }
    assert_false(hash_equal(&d->version, &whole->version));
    dataset_close(&d);
}

static void the_same_seed_deals_the_same_hands(void **state)
{
    (void)state;
    struct dataset *a = dealt(4, 0.5, 7), *b = dealt(4, 0.5, 7), *c = dealt(4, 0.5, 8);
    assert_true(hash_equal(&a->version, &b->version));
    assert_false(hash_equal(&a->version, &c->version));
    dataset_close(&a);
    dataset_close(&b);
    dataset_close(&c);
}

static void hospitals_are_the_more_unlike_the_smaller_alpha_is(void **state)
{
    (void)state;
    double small = 0.0, middle = 0.0, large = 0.0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct dataset *a = dealt(4, 0.3, seed), *b = dealt(4, 3.0, seed),
                       *c = dealt(4, 1000, seed);
        small += unlike(a) / 10;
        middle += unlike(b) / 10;
        large += unlike(c) / 10;
        dataset_close(&a);
        dataset_close(&b);
        dataset_close(&c);
    }
    assert_true(small > middle + 0.1);
    assert_true(middle > large + 0.05);
    assert_true(large < 0.12); /* chance alone, at 200 patients a hospital */
}

static void hands_that_cannot_be_dealt_are_refused(void **state)
{
    (void)state;
    const struct hospital_partition p = {.hospitals = 200, .alpha = 0.05, .patients_min = 4};
    struct dataset *d = NULL;
    struct error err = {0};
    assert_int_equal(hospital_partition_deal(&p, 1, whole, &d, &err), RC_INVALID);
    assert_null(d);
    assert_non_null(strstr(err.text, "larger alpha"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_of_a_patient_goes_with_him),
        cmocka_unit_test(the_same_seed_deals_the_same_hands),
        cmocka_unit_test(hospitals_are_the_more_unlike_the_smaller_alpha_is),
        cmocka_unit_test(hands_that_cannot_be_dealt_are_refused),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
