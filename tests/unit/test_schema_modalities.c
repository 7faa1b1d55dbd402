#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/schema/schema.h"

static struct config_issues issues;

#define HEAD                                                                               \
    "cohort: t\nfiles: [{path: a.csv, site: s}]\npatient: {column: id}\nmissing: [\"\"]\n" \
    "label: {column: y, positive: [1], negative: [0]}\n"
#define TABLE "features: [{name: a, type: binary}]\n"
#define SERIES_FILES \
    ", files: [{path: s.csv}], columns: {patient: id, time: t, variable: v, value: x}"
#define VARIABLES \
    ", variables: [{name: hr, unit: 1/min, range: [20, 220]}, {name: k, range: [2, 8]}]"
#define SERIES                                                                              \
    "{name: vitals, type: series, window: [0, 48], grid: {steps: 12, fill: last}" VARIABLES \
        SERIES_FILES "}"
#define EVENTS \
    "{name: labs, type: series, window: [-6, 18.5], events: 64" VARIABLES SERIES_FILES "}"
#define IMAGE "{name: xray, type: image, size: [5, 7], files: [{path: img}]}"
#define NOTES                                                                                     \
    "{name: notes, type: notes, tokens: 32, vocabulary: 512, ngrams: 2, seed: 9, files: [{path: " \
    "n.csv}],"                                                                                    \
    " columns: {patient: id, text: note}}"
#define ALL "modalities:\n- " SERIES "\n- " EVENTS "\n- " IMAGE "\n- " NOTES "\n"

static struct schema parsed(const char *text)
{
    struct error err = {0};
    struct schema s = {0};
    issues = (struct config_issues){0};
    if (schema_parse("site/cohort.yaml", text, strlen(text), &s, &issues, &err) != RC_OK) {
        fail_msg("%s in\n%s", err.text, text);
    }
    return s;
}

static struct hash hash_of_yaml(const char *text)
{
    struct schema s = parsed(text);
    const struct hash h = schema_hash(&s);
    schema_release(&s);
    return h;
}

/* Exactly one problem, on this line, which says this. */
static void refused(const char *text, size_t line, const char *says)
{
    struct error err = {0};
    struct schema s = {0};
    char place[32];
    issues = (struct config_issues){0};
    (void)snprintf(place, sizeof place, "cohort.yaml:%zu:", line);
    const enum rc rc = schema_parse("cohort.yaml", text, strlen(text), &s, &issues, &err);
    if (rc != RC_INVALID || issues.n != 1 || strncmp(issues.line[0], place, strlen(place)) != 0 ||
        strstr(issues.line[0], says) == NULL) {
        config_print_issues(&issues, stderr);
        fail_msg("wanted one '%s' on line %zu of\n%s", says, line, text);
    }
}

static void every_kind_is_read_and_laid_out(void **state)
{
    (void)state;
    struct schema s = parsed(HEAD TABLE ALL);
    assert_int_equal(s.n_modalities, 4);
    const struct schema_modality *m = &s.modality[0];
    assert_string_equal(m->name, "vitals");
    assert_true(m->kind == SCHEMA_SERIES && m->series.form == SCHEMA_GRID);
    assert_true(m->series.fill == SCHEMA_FILL_LAST && m->series.steps == 12);
    assert_true(m->window.from_hours >= 0 && m->window.to_hours > 47);
    assert_string_equal(m->series.variable[1].code, "k");
    assert_string_equal(m->columns.variable, "v");
    assert_int_equal(m->columns.separator, ',');
    const struct schema_layout l = schema_layout(&s);
    assert_int_equal(l.n_parts, 4);
    assert_int_equal(l.n_values, 2);
    const struct schema_part *p = l.part;
    assert_true(p[0].n_values == 24 && p[0].n_mask == 24 && p[0].n_delta == 24);
    assert_true(p[0].n_codes == 0 && !p[0].has_length && p[0].steps == 12 && p[0].variables == 2);
    assert_true(p[1].n_values == 64 && p[1].n_mask == 0 && p[1].n_delta == 64);
    assert_true(p[1].n_codes == 64 && p[1].has_length && p[1].items == 64);
    assert_true(p[2].n_values == 35 && p[2].channels == 1 && p[2].height == 5 && p[2].width == 7);
    assert_true(p[2].standardise && p[2].n_codes == 0);
    assert_true(p[3].n_codes == 32 && p[3].vocabulary == 512 && p[3].has_length);
    assert_int_equal(p[3].n_values, 0);
    schema_release(&s);
    s = parsed(HEAD "modalities: [" IMAGE "]\n"); /* a cohort of images needs no feature */
    assert_int_equal(s.n_features, 0);
    schema_release(&s);
}

static void how_files_are_written_does_not_enter_the_hash(void **state)
{
    (void)state;
    const struct hash h = hash_of_yaml(HEAD "modalities: [" SERIES ", " IMAGE ", " NOTES "]\n");
    const struct hash other = hash_of_yaml(
        HEAD "modalities:\n"
             "- {name: vitals, type: series, window: [0.0, 4.8e1], grid: {steps: 12, fill: last},"
             " variables: [{name: hr, code: HEART, unit: 1/min, range: [20, 220], missing: [0]},"
             " {name: k, range: [2, 8.0]}], files: [{path: x, prefix: q, site: z}], separator: tab,"
             " time_unit: days, columns: {patient: p, time: a, variable: b, value: c}}\n"
             "- {name: xray, type: image, size: [5, 7], resize: area, files: [{path: b}]}\n"
             "- {name: notes, type: notes, tokens: 32, vocabulary: 512, ngrams: 2, seed: 9, unit: "
             "words, format: txt, files: [{path: c}]}\n");
    assert_true(hash_equal(&h, &other));
}

static void whatever_a_model_is_fed_enters_the_hash(void **state)
{
    (void)state;
#define S(middle) "{name: a, type: series, " middle SERIES_FILES "}"
#define N(middle) \
    "{name: a, type: notes, " middle ", files: [{path: c}], columns: {patient: p, text: t}}"
    static const char *const modality[] = {
        S("window: [0, 48], grid: {steps: 12}, variables: [{name: b, unit: u, range: [1, 2]}]"),
        S("window: [0, 47], grid: {steps: 12}, variables: [{name: b, unit: u, range: [1, 2]}]"),
        S("window: [1, 48], grid: {steps: 12}, variables: [{name: b, unit: u, range: [1, 2]}]"),
        S("window: [0, 48], grid: {steps: 13}, variables: [{name: b, unit: u, range: [1, 2]}]"),
        S("window: [0, 48], grid: {steps: 12, fill: last}, variables: [{name: b, unit: u, range: "
          "[1, 2]}]"),
        S("window: [0, 48], events: 12, variables: [{name: b, unit: u, range: [1, 2]}]"),
        S("window: [0, 48], events: 13, variables: [{name: b, unit: u, range: [1, 2]}]"),
        S("window: [0, 48], grid: {steps: 12}, variables: [{name: c, unit: u, range: [1, 2]}]"),
        S("window: [0, 48], grid: {steps: 12}, variables: [{name: b, unit: v, range: [1, 2]}]"),
        S("window: [0, 48], grid: {steps: 12}, variables: [{name: b, unit: u, range: [0, 2]}]"),
        S("window: [0, 48], grid: {steps: 12}, variables: [{name: b, unit: u, range: [1, 3]}]"),
        S("window: [0, 48], grid: {steps: 12}, variables: [{name: b, unit: u, range: [1, 3], "
          "scale: log}]"),
        "{name: a, type: image, size: [5, 7], files: [{path: b}]}",
        "{name: b, type: image, size: [5, 7], files: [{path: b}]}",
        "{name: a, type: image, size: [7, 5], files: [{path: b}]}",
        "{name: a, type: image, size: [5, 7], standardise: false, files: [{path: b}]}",
        N("tokens: 8, vocabulary: 256"),
        N("tokens: 9, vocabulary: 256"),
        N("tokens: 8, vocabulary: 257"),
        N("tokens: 8, vocabulary: 256, ngrams: 2"),
        N("tokens: 8, vocabulary: 256, seed: 1"),
        N("tokens: 8, unit: bytes"),
    };
#undef S
#undef N
    enum { COUNT = sizeof modality / sizeof modality[0] };
    struct hash h[COUNT + 3];
    for (size_t i = 0; i < COUNT; i++) {
        char text[1200];
        (void)snprintf(text, sizeof text, HEAD TABLE "modalities: [%s]\n", modality[i]);
        h[i] = hash_of_yaml(text);
    }
    h[COUNT] = hash_of_yaml(HEAD TABLE);
    h[COUNT + 1] = hash_of_yaml(HEAD TABLE "modalities: [" SERIES ", " IMAGE "]\n");
    h[COUNT + 2] = hash_of_yaml(HEAD TABLE "modalities: [" IMAGE ", " SERIES "]\n");
    for (size_t i = 0; i < COUNT + 3; i++) {
        for (size_t j = 0; j < i; j++) {
            if (hash_equal(&h[i], &h[j])) {
                fail_msg("%zu and %zu have one hash", i, j);
            }
        }
    }
}

/* Computed by the program before there were modalities (commit 87cc2c4). */
static void the_hash_of_a_table_alone_is_what_it_always_was(void **state)
{
    (void)state;
    static const struct {
        const char *path, *hex;
    } was[] = {
        {"configs/sites/example/cohort.yaml",
         "092f56028610b78c766f9a7b1cd7f0604c25e821a1cc2b3e847906016062d8b9"},
        {"configs/sites/heart/cohort.yaml",
         "1d3966762781ca7ac9a5ee1c1e23e581391b1b8175ede1b5fe47bbb2a713b6be"},
        {"configs/sites/heart_flamby/cohort.yaml",
         "c525e4ce523fe7a2d19704cebd9decee76254163858fbd4e95992b1b2bfba582"},
        {"configs/sites/rehearsal/cohort.yaml",
         "d2c6e1c0bbbfb1c646cccf5668c219f9cda0e0f1dbeac07272bc68cff577d4d6"},
    };
    for (size_t i = 0; i < sizeof was / sizeof was[0]; i++) {
        struct error err = {0};
        struct schema s = {0};
        char hex[HASH_HEX];
        issues = (struct config_issues){0};
        assert_int_equal(schema_open(was[i].path, &s, &issues, &err), RC_OK);
        const struct hash h = schema_hash(&s);
        hash_hex(&h, hex);
        assert_string_equal(hex, was[i].hex);
        schema_release(&s);
    }
}

/* What a study carries gives the same hash and the same text again. */
static void travels(const struct schema *s)
{
    struct error err = {0};
    struct schema bare = {0};
    char *text = NULL;
    char *again = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    schema_print_features(s, f);
    assert_int_equal(fclose(f), 0);
    issues = (struct config_issues){0};
    if (schema_parse_features("f", text, n, &bare, &issues, &err) != RC_OK) {
        fail_msg("%s in\n%s", err.text, text);
    }
    const struct hash was = schema_hash(s);
    const struct hash is = schema_hash(&bare);
    assert_true(hash_equal(&was, &is));
    for (size_t i = 0; i < bare.n_modalities; i++) {
        assert_int_equal(bare.modality[i].n_files, 0);
    }
    f = open_memstream(&again, &n);
    assert_non_null(f);
    schema_print_features(&bare, f);
    assert_int_equal(fclose(f), 0);
    assert_string_equal(text, again);
    free(text);
    free(again);
    schema_release(&bare);
}

static void modalities_travel_unchanged_and_samples_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        size_t n_features, n_modalities;
    } sample[] = {
        {"configs/sites/physionet/cohort.yaml", 5, 1},
        {"configs/sites/physionet/hourly.yaml", 5, 1},
        {"configs/sites/pneumonia/cohort.yaml", 0, 1},
        {"configs/sites/pneumonia/split.yaml", 1, 0},
        {"configs/sites/pneumonia/split_validation.yaml", 1, 0},
        {"configs/sites/eicu/cohort.yaml", 39, 2},
    };
    struct schema s = parsed(HEAD TABLE ALL);
    travels(&s);
    schema_release(&s);
    s = parsed(HEAD
               "modalities: [{name: n, type: notes, tokens: 7, unit: bytes, files: [{path: f}],"
               " columns: {patient: p, text: t}}]\n");
    travels(&s);
    schema_release(&s);
    for (size_t i = 0; i < sizeof sample / sizeof sample[0]; i++) {
        struct error err = {0};
        issues = (struct config_issues){0};
        if (schema_open(sample[i].path, &s, &issues, &err) != RC_OK) {
            fail_msg("%s", err.text);
        }
        assert_int_equal(s.n_features, sample[i].n_features);
        assert_int_equal(s.n_modalities, sample[i].n_modalities);
        travels(&s);
        schema_release(&s);
    }
}

static void the_hourly_sample_is_the_other_one_but_for_its_steps(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s, hourly;
    issues = (struct config_issues){0};
    assert_int_equal(schema_open("configs/sites/physionet/cohort.yaml", &s, &issues, &err), RC_OK);
    assert_int_equal(schema_open("configs/sites/physionet/hourly.yaml", &hourly, &issues, &err),
                     RC_OK);
    const struct schema_series *a = &s.modality[0].series;
    struct schema_series *b = &hourly.modality[0].series;
    struct hash of_s = schema_hash(&s);
    struct hash of_hourly = schema_hash(&hourly);
    assert_false(hash_equal(&of_s, &of_hourly));
    assert_int_equal(b->steps, 48);
    b->steps = a->steps;
    of_hourly = schema_hash(&hourly);
    assert_true(hash_equal(&of_s, &of_hourly)); /* all that is public */
    for (size_t v = 0; v < a->n_variables; v++) {
        assert_memory_equal(&a->variable[v], &b->variable[v], sizeof a->variable[v]);
    }
    assert_string_equal(s.file[0].path, hourly.file[0].path);
    schema_release(&s);
    schema_release(&hourly);
}

static void no_sample_reads_a_field_that_tells_the_outcome(void **state)
{
    (void)state;
    static const char *const path[] = {"configs/sites/physionet/cohort.yaml",
                                       "configs/sites/eicu/cohort.yaml"};
    static const char *const leak[] = {"length_of_stay", "survival", "saps_i",    "sofa",
                                       "died",           "actual",   "discharge", "predicted"};
    for (size_t i = 0; i < 2; i++) {
        struct error err = {0};
        struct schema s = {0};
        issues = (struct config_issues){0};
        assert_int_equal(schema_open(path[i], &s, &issues, &err), RC_OK);
        for (size_t f = 0; f < s.n_features; f++) {
            for (size_t k = 0; k < sizeof leak / sizeof leak[0]; k++) {
                assert_null(strstr(s.feature[f].column, leak[k]));
            }
        }
        schema_release(&s);
    }
}

static void each_mistake_is_named_at_its_line(void **state)
{
    (void)state;
#define M     HEAD TABLE "modalities:\n- "
#define V1(n) "{name: v" #n ", range: [0, 1]}, "
#define V8(n) V1(n##0) V1(n##1) V1(n##2) V1(n##3) V1(n##4) V1(n##5) V1(n##6) V1(n##7)
#define V64   V8(0) V8(1) V8(2) V8(3) V8(4) V8(5) V8(6) V8(7) "{name: last, range: [0, 1]}"
    static const struct {
        const char *text;
        size_t line;
        const char *says;
    } wrong[] = {
        {HEAD, 1, "missing key 'features'"},
        {HEAD TABLE "modalities: []\n", 7, "0 entries, must be 1 to 8"},
        {M "{name: a}\n", 8, "a modality needs `type: series`"},
        {M "{name: a, type: sound}\n", 8, "a modality needs `type: series`"},
        {M IMAGE "\n- " IMAGE "\n", 9, "'xray' stands here twice"},
        {M "{name: head, type: image, size: [5, 7], files: [{path: b}]}\n", 8,
         "name: 'head' is what studies call a part of the model"},
        {M "{name: fusion, type: image, size: [5, 7], files: [{path: b}]}\n", 8,
         "'fusion' is what"},
        {M "{name: table, type: image, size: [5, 7], files: [{path: b}]}\n", 8, "'table' is what"},
        {M "{name: a, type: image, size: [5, 7]}\n", 8, "missing key 'files'"},
        {M "{name: a, type: image, size: [0, 7], files: [{path: b}]}\n", 8, "a side must be 1 to"},
        {M "{name: a, type: image, size: [5], files: [{path: b}]}\n", 8, "must be 2 to 2"},
        {M "{name: a, type: image, size: [5, 7], files: [{path: b, ids: c}]}\n", 8,
         "unknown key 'ids'"},
        {M "{name: a, type: image, size: [5, 7], format: raw, resize: area, files: [{path: b}]}\n",
         8, "raw bytes do not say their size"},
        {M "{name: a, type: series, window: [0, 48]" VARIABLES SERIES_FILES "}\n", 8,
         "write either `grid: {steps: N}` or `events: N`"},
        {M "{name: a, type: series, window: [0, 48], events: 4, grid: {steps: 3}" VARIABLES
             SERIES_FILES "}\n",
         8, "write either"},
        {M "{name: a, type: series, window: [48, 0], events: 4" VARIABLES SERIES_FILES "}\n", 8,
         "with from before to"},
        {M "{name: a, type: series, window: [0, 48], events: 4, variables: [{name: a, range: [1, "
           "2]}, {name: a, code: b, range: [1, 2]}]" SERIES_FILES "}\n",
         8, "'a' stands here twice"},
        {M "{name: a, type: series, window: [0, 48], events: 4, variables: [{name: a, range: [1, "
           "2]}, {name: b, code: a, range: [1, 2]}]" SERIES_FILES "}\n",
         8, "its code is also that of 'a'"},
        {M "{name: a, type: series, window: [0, 48], events: 4, variables: [{name: a, range: [2, "
           "2]}]" SERIES_FILES "}\n",
         8, "must be [low, high]"},
        {M "{name: a, type: series, window: [0, 48], events: 4, variables: [{name: a, range: [0, "
           "2], scale: log}]" SERIES_FILES "}\n",
         8, "must be above 0 with `scale: log`"},
        {M "{name: a, type: series, window: [0, 48], events: 4, variables: [{name: a, range: [1, "
           "2], scale: root}]" SERIES_FILES "}\n",
         8, "linear, log"},
        {M "{name: a, type: series, window: [0, 48], events: 4" VARIABLES
           ", files: [{path: a}], columns: {patient: p, time: t, variable: v}}\n",
         8, "columns: missing key 'value'"},
        {M "{name: a, type: series, window: [0, 48], events: 4" VARIABLES
           ", files: [{path: a}], columns: {patient: p, time: p, variable: v, value: x}}\n",
         8, "'p' is also that of 'patient'"},
        {M
         "{name: a, type: notes, tokens: 4, files: [{path: a}], columns: {patient: p, text: t}}\n",
         8, "missing key 'vocabulary'"},
        {M "{name: a, type: notes, tokens: 4, vocabulary: 9, files: [{path: a}], window: [0, 1],"
           " columns: {patient: p, text: t}}\n",
         8, "needs a column `time`"},
        {M "{name: a, type: notes, tokens: 4, unit: bytes, ngrams: 2, files: [{path: a}],"
           " columns: {patient: p, text: t}}\n",
         8, "bytes are not hashed"},
        {"cohort: t\nfiles: [{path: a.csv, site: s}]\npatient: {column: id, rows: many}\n"
         "label: {column: y, positive: [1], negative: [0]}\nmodalities:\n- " IMAGE "\n",
         6, "which column holds its name"},
        {"cohort: t\nfiles: [{path: a.csv, site: s}]\npatient: {column: id}\n"
         "label: {name: y, from: file}\n" TABLE,
         2, "missing key 'label'"},
        {"cohort: t\nfiles: [{path: a.csv, site: s, label: 1}]\npatient: {column: id}\n"
         "label: {column: y, positive: [1], negative: [0]}\n" TABLE,
         2, "leave `label` out here"},
        {"cohort: t\nfiles: [{path: a.csv, site: s, label: 1}]\npatient: {column: id}\n"
         "label: {from: file}\n" TABLE,
         4, "goes with a `name` and nothing else"},
    };
#undef M
#undef V1
#undef V8
#undef V64
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        refused(wrong[i].text, wrong[i].line, wrong[i].says);
    }
}

static void carried_modalities_know_no_files(void **state)
{
    (void)state;
    static const char text[] = "label: {name: y}\nmodalities:\n- {name: a, type: image, size: [2, "
                               "2], files: [{path: b}]}\n";
    struct error err = {0};
    struct schema s = {0};
    issues = (struct config_issues){0};
    assert_int_equal(schema_parse_features("f", text, strlen(text), &s, &issues, &err), RC_INVALID);
    assert_non_null(strstr(issues.line[0], "unknown key 'files'"));
}

static void a_site_without_a_modality_describes_it_and_names_no_file(void **state)
{
    (void)state;
    const struct hash with = hash_of_yaml(HEAD TABLE "modalities:\n- " SERIES "\n- " NOTES "\n");
    const struct hash without = hash_of_yaml(
        HEAD TABLE "modalities:\n- {name: vitals, type: series, window: [0, 48], grid: {steps: 12, "
                   "fill: last}" VARIABLES ", files: []}\n- {name: notes, type: notes, tokens: 32, "
                   "vocabulary: 512, ngrams: 2, seed: 9, files: []}\n");
    assert_true(hash_equal(&with, &without));
}

static void equal_ratios_are_equal_steps_of_a_logarithmic_scale(void **state)
{
    (void)state;
    const struct schema_variable v = {.low = 0.25, .high = 64, .scale = SCHEMA_LOG};
    static const struct {
        double x;
        float want;
    } at[] = {{0.25, -1}, {1, -0.5F}, {4, 0},  {16, 0.5F}, {64, 1},
              {65, 1},    {1e308, 1}, {0, -1}, {-3, -1}};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        const float is = schema_scale_variable(&v, at[i].x);
        if (!(fabsf(is - at[i].want) < 1e-6F)) {
            fail_msg("%g became %g, want %g", at[i].x, (double)is, (double)at[i].want);
        }
    }
    const struct schema_variable even = {.low = 0, .high = 64};
    assert_true(fabsf(schema_scale_variable(&even, 16) + 0.5F) < 1e-7F);
}

static void scales_travel_with_the_variables(void **state)
{
    (void)state;
    struct schema s =
        parsed(HEAD TABLE
               "modalities:\n- {name: vitals, type: series, window: [0, 48], events: 4, "
               "variables: [{name: hr, range: [20, 220]}, {name: crea, range: [0.2, 20], scale: "
               "log}]" SERIES_FILES "}\n");
    assert_true(s.modality[0].series.variable[0].scale == SCHEMA_LINEAR);
    assert_true(s.modality[0].series.variable[1].scale == SCHEMA_LOG);
    travels(&s);
    schema_release(&s);
}

static void a_slice_of_a_batch_is_its_rows(void **state)
{
    (void)state;
    enum { B = 5 };
    static float values[B * 24], mask[B * 24], delta[B * 24], table[B * 2], label[B];
    static int32_t codes[B * 32], length[B];
    static uint8_t present[B * 3];
    struct schema s = parsed(HEAD TABLE "modalities: [" SERIES ", " NOTES "]\n");
    const struct schema_layout l = schema_layout(&s);
    const struct batch_part part[2] = {{.values = values, .mask = mask, .delta = delta},
                                       {.codes = codes, .length = length}};
    const struct batch whole = {
        .B = B, .values = table, .label = label, .present = present, .part = part};
    struct batch_part room[SCHEMA_MODALITIES_MAX];
    const struct batch b = batch_slice(&whole, &l, 2, 3, room);
    assert_int_equal(b.B, 3);
    assert_ptr_equal(b.values, table + 4);
    assert_ptr_equal(b.label, label + 2);
    assert_ptr_equal(b.present, present + 6);
    assert_null(b.codes);
    assert_ptr_equal(b.part[0].values, values + 48);
    assert_ptr_equal(b.part[0].mask, mask + 48);
    assert_ptr_equal(b.part[0].delta, delta + 48);
    assert_ptr_equal(b.part[1].codes, codes + 64);
    assert_ptr_equal(b.part[1].length, length + 2);
    assert_null(b.part[1].values);
    schema_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_read_and_laid_out),
        cmocka_unit_test(how_files_are_written_does_not_enter_the_hash),
        cmocka_unit_test(whatever_a_model_is_fed_enters_the_hash),
        cmocka_unit_test(the_hash_of_a_table_alone_is_what_it_always_was),
        cmocka_unit_test(modalities_travel_unchanged_and_samples_are_read),
        cmocka_unit_test(the_hourly_sample_is_the_other_one_but_for_its_steps),
        cmocka_unit_test(no_sample_reads_a_field_that_tells_the_outcome),
        cmocka_unit_test(each_mistake_is_named_at_its_line),
        cmocka_unit_test(carried_modalities_know_no_files),
        cmocka_unit_test(a_site_without_a_modality_describes_it_and_names_no_file),
        cmocka_unit_test(equal_ratios_are_equal_steps_of_a_logarithmic_scale),
        cmocka_unit_test(scales_travel_with_the_variables),
        cmocka_unit_test(a_slice_of_a_batch_is_its_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
