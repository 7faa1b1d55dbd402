/* Multimodal virtual hospitals: the same bytes for simulator and agents, and what each knob changes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/store/store.h"
#include "sim/hospital/icu_internal.h"
#include "sim/hospital/world.h"

static struct icu_params small(void)
{
    struct icu_params p = icu_params_default();
    p.base.hospitals = 3;
    p.base.patients = 90;
    return p;
}

static void assert_near(double x, double want, double by)
{
    if (!(fabs(x - want) <= by)) {
        fail_msg("%g, want %g within %g", x, want, by);
    }
}

struct world {
    struct schema schema;
    struct dataset *data;
};

static struct world generate(const struct icu_params *p, uint64_t seed)
{
    struct error err = {0};
    struct world w = {0};
    if (icu_generate(p, seed, &w.schema, &w.data, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return w;
}

static void world_release(struct world *w)
{
    dataset_close(&w->data);
    schema_release(&w->schema);
}

/* ---- comparing datasets ---------------------------------------------------------------------- */

static const struct dataset_part *part_of(const struct world *w, enum icu_modality m)
{
    return &w->data->part[m - ICU_COURSE]; /* the table is no part */
}

static void assert_same_items(const void *a, const void *b, size_t n, size_t size)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a != NULL && n > 0) {
        assert_memory_equal(a, b, n * size);
    }
}

static void assert_same_part(const struct dataset_part *a, const struct dataset_part *b,
                             size_t rows)
{
    assert_memory_equal(a->first, b->first, (rows + 1) * sizeof *a->first);
    const size_t n = a->first[rows];
    assert_same_items(a->time, b->time, n, sizeof *a->time);
    assert_same_items(a->value, b->value, n, sizeof *a->value);
    assert_same_items(a->variable, b->variable, n, sizeof *a->variable);
    assert_same_items(a->token, b->token, n, sizeof *a->token);
    const size_t pixels = a->shape.height * a->shape.width;
    assert_same_items(a->pixel, b->pixel, pixels > 0 ? n : 0, 1);
}

/* Everything that training sees. */
static void assert_same_patients(const struct dataset *a, const struct dataset *b)
{
    assert_int_equal(a->n_patients, b->n_patients);
    assert_int_equal(a->n_rows, b->n_rows);
    assert_memory_equal(a->patient_id, b->patient_id, a->n_patients * sizeof *a->patient_id);
    assert_memory_equal(a->label, b->label, a->n_patients * sizeof *a->label);
    assert_memory_equal(a->values, b->values, a->n_rows * a->n_values * sizeof *a->values);
    assert_memory_equal(a->codes, b->codes, a->n_rows * a->n_codes * sizeof *a->codes);
    assert_int_equal(a->n_parts, b->n_parts);
    for (size_t i = 0; i < a->n_parts; i++) {
        assert_same_part(&a->part[i], &b->part[i], a->n_rows);
    }
}

static struct world imported(const char *path, size_t n_warnings)
{
    static struct config_issues issues;
    struct error err = {0};
    struct store *store = NULL;
    struct cohort_summary found;
    struct world w = {0};
    issues = (struct config_issues){0};
    if (schema_open(path, &w.schema, &issues, &err) != RC_OK ||
        store_open(":memory:", &cohort_store_kind, &store, &err) != RC_OK ||
        cohort_import(&w.schema, NULL, store, &issues, &found, &err) != RC_OK ||
        dataset_open(&w.schema, store, &w.data, &err) != RC_OK) {
        config_print_issues(&issues, stderr);
        fail_msg("%s", err.text);
    }
    assert_int_equal(found.n_warnings, n_warnings);
    store_close(&store);
    return w;
}

static struct dataset *site_of(const struct dataset *d, uint32_t site)
{
    struct error err = {0};
    struct dataset *out = NULL;
    size_t *index = calloc(d->n_patients, sizeof *index);
    size_t n = 0;
    assert_non_null(index);
    for (size_t i = 0; i < d->n_patients; i++) {
        if (d->site[i] == site) {
            index[n++] = i;
        }
    }
    assert_int_equal(dataset_pick(d, index, n, &out, &err), RC_OK);
    free(index);
    return out;
}

/* ---- the same bytes -------------------------------------------------------------------------- */

static void the_same_seed_gives_the_same_world_and_another_does_not(void **state)
{
    (void)state;
    const struct icu_params p = small();
    struct world a = generate(&p, 5), b = generate(&p, 5), c = generate(&p, 6);
    assert_true(hash_equal(&a.data->version, &b.data->version));
    assert_false(hash_equal(&a.data->version, &c.data->version));
    assert_same_patients(a.data, b.data);
    world_release(&a);
    world_release(&b);
    world_release(&c);
}

static void remove_world(const char *folder, size_t n)
{
    static const char *const name[] = {"cohort.yaml", "patients.csv", "course.csv",
                                       "films.u8",    "films.csv",    "notes.csv"};
    char path[256];
    for (size_t s = 0; s < n; s++) {
        for (size_t k = 0; k < sizeof name / sizeof name[0]; k++) {
            (void)snprintf(path, sizeof path, "%s/hospital-%02zu/%s", folder, s + 1, name[k]);
            (void)unlink(path);
        }
        (void)snprintf(path, sizeof path, "%s/hospital-%02zu", folder, s + 1);
        (void)rmdir(path);
    }
    (void)snprintf(path, sizeof path, "%s/cohort.yaml", folder);
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void agents_import_from_their_folders_what_the_simulator_trains_on(void **state)
{
    (void)state;
    struct icu_params p = small();
    char folder[] = "/tmp/test_icu_XXXXXX";
    char path[256];
    struct error err = {0};
    assert_non_null(mkdtemp(folder));
    struct world sim = generate(&p, 3);
    assert_int_equal(icu_write_folders(&p, 3, folder, &err), RC_OK);

    (void)snprintf(path, sizeof path, "%s/cohort.yaml", folder);
    struct world all = imported(path, 0);
    assert_true(hash_equal(&all.data->version, &sim.data->version));
    assert_same_patients(all.data, sim.data);
    for (uint32_t s = 0; s < 3; s++) {
        (void)snprintf(path, sizeof path, "%s/hospital-%02u/cohort.yaml", folder, s + 1);
        struct world one = imported(path, 0);
        struct dataset *same = site_of(sim.data, s);
        const struct hash mine = schema_hash(&one.schema), its = schema_hash(&sim.schema);
        assert_true(hash_equal(&mine, &its));
        assert_same_patients(one.data, same);
        dataset_close(&same);
        world_release(&one);
    }
    assert_int_equal(icu_write_folders(&p, 3, folder, &err), RC_STATE); /* nothing is overwritten */
    world_release(&all);
    world_release(&sim);
    remove_world(folder, 3);
}

static void a_modality_that_nobody_has_is_no_file_and_no_item(void **state)
{
    (void)state;
    struct icu_params p = small();
    p.no_film = 1.0;
    p.no_note = p.several = 0.0;
    char folder[] = "/tmp/test_icu_XXXXXX";
    char path[256];
    struct error err = {0};
    assert_non_null(mkdtemp(folder));
    struct world sim = generate(&p, 3);
    assert_int_equal(part_of(&sim, ICU_FILM)->first[sim.data->n_rows], 0);
    assert_int_equal(icu_write_folders(&p, 3, folder, &err), RC_OK);
    (void)snprintf(path, sizeof path, "%s/cohort.yaml", folder);
    struct world all = imported(path, 1); /* film_age is always missing */
    assert_same_patients(all.data, sim.data);
    world_release(&all);
    world_release(&sim);
    remove_world(folder, 3);
}

static void each_kind_is_asked_for_by_one_word(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        enum hospital_kind kind;
        size_t parts, classes;
    } map[] = {{"{hospitals: 2, patients: 40}", HOSPITAL_KIND_TABLE, 0, 0},
               {"{kind: table, hospitals: 2, patients: 40}", HOSPITAL_KIND_TABLE, 0, 0},
               {"{kind: icu, hospitals: 2, patients: 40}", HOSPITAL_KIND_ICU, 3, 0},
               {"{kind: softmax, hospitals: 2, classes: 4}", HOSPITAL_KIND_SOFTMAX, 0, 4}};
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++) {
        struct config_doc *doc = NULL;
        struct config_issues issues = {0};
        struct hospital_world w;
        struct world made = {0};
        struct error err = {0};
        assert_int_equal(config_parse("m", map[i].yaml, strlen(map[i].yaml), &doc, &err), RC_OK);
        assert_int_equal(hospital_world_read(config_root(doc), &w, &issues, &err), RC_OK);
        assert_int_equal(w.kind, map[i].kind);
        assert_int_equal(hospital_world_sites(&w), 2);
        assert_int_equal(hospital_world_generate(&w, 1, &made.schema, &made.data, &err), RC_OK);
        assert_int_equal(made.data->n_parts, map[i].parts);
        assert_int_equal(made.schema.n_classes, map[i].classes);
        world_release(&made);
        config_close(&doc);
    }
}

/* ---- knobs ----------------------------------------------------------------------------------- */

/* The states, labels, … of two worlds that differ in what is only drawn of them. */
static void assert_same_states(const struct icu_params *p, const struct icu_params *q)
{
    const double total = hospital_weight_total(&p->base, 4);
    for (size_t site = 0; site < 3; site++) {
        const struct icu_site a = icu_site_draw(p, 4, site, total);
        const struct icu_site b = icu_site_draw(q, 4, site, total);
        for (size_t i = 0; i < 20; i++) {
            const struct icu_patient x = icu_patient_draw(p, 4, site, &a, "patient", i);
            const struct icu_patient y = icu_patient_draw(q, 4, site, &b, "patient", i);
            assert_memory_equal(x.z, y.z, sizeof x.z);
            assert_memory_equal(&x.chance, &y.chance, sizeof x.chance);
        }
    }
}

static void a_knob_moves_what_it_names_and_leaves_the_patients(void **state)
{
    (void)state;
    const struct icu_params p = small();
    struct world a = generate(&p, 4);
    struct icu_params scanner = p, style = p, lab = p;
    scanner.scanner_gain = 0.5;
    style.style = 1.0;
    lab.base.lab_bias = 1.0;
    const struct icu_params *const other[] = {&scanner, &style, &lab};
    for (size_t i = 0; i < 3; i++) {
        struct world b = generate(other[i], 4);
        const size_t rows = a.data->n_rows;
        assert_same_states(&p, other[i]);
        assert_memory_equal(a.data->label, b.data->label,
                            a.data->n_patients * sizeof *a.data->label);
        assert_same_part(part_of(&a, ICU_COURSE), part_of(&b, ICU_COURSE), rows);
        const struct dataset_part *film = part_of(&a, ICU_FILM), *note = part_of(&a, ICU_NOTE);
        const bool same_film =
            memcmp(film->pixel, part_of(&b, ICU_FILM)->pixel, film->first[rows]) == 0;
        const bool same_note = note->first[rows] == part_of(&b, ICU_NOTE)->first[rows] &&
                               memcmp(note->token, part_of(&b, ICU_NOTE)->token,
                                      note->first[rows] * sizeof *note->token) == 0;
        const bool same_table = memcmp(a.data->values, b.data->values,
                                       rows * a.data->n_values * sizeof *a.data->values) == 0;
        assert_int_equal(same_film, i != 0);
        assert_int_equal(same_note, i != 1);
        assert_int_equal(same_table, i != 2);
        world_release(&b);
    }
    world_release(&a);
}

static void modalities_are_missing_as_often_as_asked(void **state)
{
    (void)state;
    struct icu_params p = icu_params_default();
    p.pattern_spread = 0.0;
    const struct icu_site s = icu_site_draw(&p, 1, 0, hospital_weight_total(&p.base, 1));
    size_t complete = 0, no_film = 0, no_note = 0, several = 0;
    const size_t n = 20000;
    for (size_t i = 0; i < n; i++) {
        const struct icu_patient x = icu_patient_draw(&p, 1, 0, &s, "patient", i);
        const int lacks = !x.has[ICU_COURSE] + !x.has[ICU_FILM] + !x.has[ICU_NOTE];
        assert_true(x.has[ICU_TABLE]);
        assert_true(lacks <= 2);
        complete += lacks == 0;
        several += lacks == 2;
        no_film += lacks == 1 && !x.has[ICU_FILM];
        no_note += lacks == 1 && !x.has[ICU_NOTE];
    }
    const double sd = 3.5 * 0.5 / sqrt((double)n);
    assert_near((double)complete / (double)n, 0.423, sd);
    assert_near((double)no_film / (double)n, 0.317, sd);
    assert_near((double)no_note / (double)n, 0.184, sd);
    assert_near((double)several / (double)n, 0.076, sd);
}

static void hospitals_lack_modalities_in_shares_of_their_own(void **state)
{
    (void)state;
    struct icu_params p = icu_params_default();
    const double total = hospital_weight_total(&p.base, 1);
    const struct icu_site a = icu_site_draw(&p, 1, 0, total), b = icu_site_draw(&p, 1, 1, total);
    double sum = 0.0;
    for (size_t k = 0; k < 4; k++) {
        sum += a.share[k];
    }
    assert_near(sum, 1.0, 1e-12);
    assert_true(fabs(a.share[1] - b.share[1]) > 0.01);
}

static void prevalence_is_met(void **state)
{
    (void)state;
    struct icu_params p = small();
    p.base.patients = 3000;
    p.base.prevalence = 0.3;
    const double alpha = icu_intercept(&p, 2), total = hospital_weight_total(&p.base, 2);
    double died = 0.0, n = 0.0;
    for (size_t site = 0; site < 3; site++) {
        const struct icu_site s = icu_site_draw(&p, 2, site, total);
        for (size_t i = 0; i < (size_t)s.character.planned; i++) {
            const struct icu_patient x = icu_patient_draw(&p, 2, site, &s, "patient", i);
            died += x.chance < hospital_probability(&p.base, alpha, x.drive) ? 1.0 : 0.0;
            n += 1.0;
        }
    }
    assert_near(died / n, 0.3, 3.5 * sqrt(0.3 * 0.7 / n));
}

static void films_of_another_size_show_the_same(void **state)
{
    (void)state;
    struct icu_params p = icu_params_default();
    const struct icu_site s = icu_site_draw(&p, 1, 0, hospital_weight_total(&p.base, 1));
    unsigned char small_film[32 * 32], large[64 * 64];
    double *spare = calloc(2 * 64 * 64, sizeof *spare);
    assert_non_null(spare);
    struct icu_site clean = s;
    clean.noise = 0.0;
    for (size_t i = 0; i < 8; i++) {
        const struct icu_patient x = icu_patient_draw(&p, 1, 0, &clean, "patient", i);
        struct rng r = icu_stream(1, "film", 0, i), again = r;
        icu_film_draw(&r, &clean, &x, 32, small_film, spare);
        icu_film_draw(&again, &clean, &x, 64, large, spare);
        double sum = 0.0;
        for (size_t y = 0; y < 32; y++) {
            for (size_t z = 0; z < 32; z++) {
                const unsigned char *q = large + 2 * y * 64 + 2 * z;
                sum += fabs((q[0] + q[1] + q[64] + q[65]) / 4.0 - small_film[y * 32 + z]);
            }
        }
        assert_true(sum / 1024.0 < 4.0); /* of 255 */
    }
    free(spare);
}

static void a_mixed_up_unit_is_the_only_thing_that_changes(void **state)
{
    (void)state;
    struct icu_params p = small();
    p.base.hospitals = 1;
    struct icu_params q = p;
    q.unit_mixups = 1.0;
    struct world a = generate(&p, 9), b = generate(&q, 9);
    size_t differ = 0;
    for (size_t i = 0; i < a.data->n_rows * a.data->n_values; i++) {
        differ += fabsf(a.data->values[i] - b.data->values[i]) > 0.0F;
    }
    assert_true(differ > a.data->n_rows);      /* urea and bilirubin of nearly everybody */
    assert_true(differ <= 2 * a.data->n_rows); /* and nothing else */
    assert_same_part(part_of(&a, ICU_COURSE), part_of(&b, ICU_COURSE), a.data->n_rows);
    world_release(&a);
    world_release(&b);
}

static void a_map_that_asks_for_too_much_is_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *says;
    } bad[] = {
        {"{kind: icu, no_image: 0.6, no_notes: 0.5}", "shares of all patients"},
        {"{kind: icu, image_side: 33}", "image_side"},
        {"{kind: icu, scaner_gain: 0.1}", "scanner_gain"},
        {"{kind: icu, hospitals: 4, patients: 12}", "each needs at least"},
        {"{kind: icu, patients: 100, mean_size: 20}", "say one of them"},
        {"{kind: film}", "kind"},
        {"{scanner_gain: 0.1}", "scanner_gain"}, /* a table has no scanner */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct config_doc *doc = NULL;
        struct config_issues issues = {.path = "m"};
        struct hospital_world w;
        struct error err = {0};
        assert_int_equal(config_parse("m", bad[i].yaml, strlen(bad[i].yaml), &doc, &err), RC_OK);
        assert_int_equal(hospital_world_read(config_root(doc), &w, &issues, &err), RC_INVALID);
        if (strstr(issues.line[0], bad[i].says) == NULL) {
            fail_msg("%s: %s", bad[i].yaml, issues.line[0]);
        }
        config_close(&doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_world_and_another_does_not),
        cmocka_unit_test(agents_import_from_their_folders_what_the_simulator_trains_on),
        cmocka_unit_test(a_modality_that_nobody_has_is_no_file_and_no_item),
        cmocka_unit_test(each_kind_is_asked_for_by_one_word),
        cmocka_unit_test(a_knob_moves_what_it_names_and_leaves_the_patients),
        cmocka_unit_test(modalities_are_missing_as_often_as_asked),
        cmocka_unit_test(hospitals_lack_modalities_in_shares_of_their_own),
        cmocka_unit_test(prevalence_is_met),
        cmocka_unit_test(films_of_another_size_show_the_same),
        cmocka_unit_test(a_mixed_up_unit_is_the_only_thing_that_changes),
        cmocka_unit_test(a_map_that_asks_for_too_much_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
