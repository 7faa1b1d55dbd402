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

/* A cohort.yaml with one line of it replaced: each part is NULL for "as it is". */
struct parts {
    const char *head, *files, *site, *patient, *missing, *label, *features;
};

static const char *or_else(const char *part, const char *normal)
{
    return part != NULL ? part : normal;
}

static const char *write_yaml(struct parts p)
{
    static char text[8192];
    (void)snprintf(text, sizeof text, "%s%s%s%s%s%s%s", or_else(p.head, "cohort: test\n"),
                   or_else(p.files, "files: [{path: a.csv, site: a}, {path: /b/b.csv, site: b}]\n"),
                   or_else(p.site, "site: {from: file}\n"),
                   or_else(p.patient, "patient: {column: id}\n"),
                   or_else(p.missing, "missing: [\"\", \"?\"]\n"),
                   or_else(p.label, "label: {column: dead, positive: [1], negative: [0, no]}\n"),
                   or_else(p.features,
                           "features:\n"
                           "- {name: age, type: continuous, unit: years, range: [20, 80],"
                           " required: true}\n"
                           "- {name: kind, type: categorical, categories: [3, 6, x]}\n"
                           "- {name: sex, column: gender, type: binary, categories: [f, m]}\n"
                           "- {name: lab, type: continuous, range: [-1, 4.5], missing: [0, -9]}\n"
                           "- {name: ward, type: categorical, categories: [1, 2],"
                           " required: true}\n"));
    return text;
}

static struct config_issues issues;

static struct schema parsed(const char *text)
{
    struct error err = {0};
    struct schema s = {0};
    issues = (struct config_issues){0};
    if (schema_parse("site/cohort.yaml", text, strlen(text), &s, &issues, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return s;
}

static struct hash hash_of_yaml(struct parts p)
{
    struct schema s = parsed(write_yaml(p));
    const struct hash h = schema_hash(&s);
    schema_release(&s);
    return h;
}

/* The first problem and how many there are. */
static void refused(struct parts p, size_t n, const char *part_of_first)
{
    struct error err = {0};
    struct schema s = {.n_files = 77};
    const char *text = write_yaml(p);
    issues = (struct config_issues){0};
    assert_int_equal(schema_parse("site/cohort.yaml", text, strlen(text), &s, &issues, &err),
                     RC_INVALID);
    if (strstr(issues.line[0], part_of_first) == NULL || issues.n != n) {
        config_print_issues(&issues, stderr);
        fail_msg("wanted %zu, '%s'", n, part_of_first);
    }
    assert_non_null(strstr(issues.line[0], "site/cohort.yaml:"));
    assert_int_equal(s.n_files, 77); /* outputs are written on success only */
}

static void a_cohort_yaml_becomes_a_schema(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = parsed(write_yaml((struct parts){0}));
    char full[SCHEMA_FULL_PATH_MAX];
    assert_string_equal(s.name, "test");
    assert_int_equal(s.n_files, 2);
    assert_string_equal(s.file[1].site, "b");
    assert_int_equal(schema_path(&s, s.file[0].path, full, &err), RC_OK);
    assert_string_equal(full, "site/a.csv");
    assert_int_equal(schema_path(&s, s.file[1].path, full, &err), RC_OK);
    assert_string_equal(full, "/b/b.csv");
    assert_true(s.separator == ',' && s.has_header && !s.many_rows);
    assert_int_equal(s.patient_from, SCHEMA_PATIENT_COLUMN);
    assert_string_equal(s.patient_column, "id");
    assert_int_equal(s.n_missing, 2);
    assert_string_equal(s.missing[0], "");
    assert_string_equal(schema_label_name(&s), "dead");
    assert_int_equal(s.n_positive, 1);
    assert_int_equal(s.n_negative, 2);
    assert_int_equal(s.n_features, 5);
    assert_true(s.feature[0].low < 20.5 && s.feature[0].high > 79.5 && !s.feature[0].may_miss);
    assert_string_equal(s.feature[0].column, "age");
    assert_string_equal(s.feature[0].unit, "years");
    assert_int_equal(s.feature[1].n_categories, 3);
    assert_true(s.feature[1].may_miss);
    assert_string_equal(s.feature[2].column, "gender");
    assert_string_equal(s.feature[2].category[1], "m");
    assert_int_equal(s.feature[3].n_missing, 2);
    schema_release(&s);
    schema_release(&s); /* idempotent */
}

static void the_layout_has_an_indicator_only_for_what_may_miss(void **state)
{
    (void)state;
    struct schema s = parsed(write_yaml((struct parts){0}));
    const struct schema_layout layout = schema_layout(&s);
    assert_int_equal(layout.n_values, 1 + 2 + 2); /* age, sex, lab */
    assert_int_equal(layout.n_codes, 2);
    assert_int_equal(schema_code_count(&s, 0), 4); /* 3, 6, x, missing */
    assert_int_equal(schema_code_count(&s, 1), 2); /* required */
    schema_release(&s);
}

static void scaling_uses_the_public_range_and_clamps(void **state)
{
    (void)state;
    const struct schema_feature f = {.type = SCHEMA_CONTINUOUS, .low = 100, .high = 600};
    assert_true(fabsf(schema_scale(&f, 350)) < 1e-7F);
    assert_true(fabsf(schema_scale(&f, 225) + 0.5F) < 1e-7F);
    assert_true(fabsf(schema_scale(&f, 475) - 0.5F) < 1e-7F);
    const double beyond[] = {100, 99, -1e308, 0, 600, 601, 1e308};
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        const float want = i < 4 ? -1.0F : 1.0F;
        assert_memory_equal(&(float){schema_scale(&f, beyond[i])}, &want, sizeof want);
    }
}

static void file_layout_does_not_enter_the_hash(void **state)
{
    (void)state;
    const struct hash h = hash_of_yaml((struct parts){0});
    const struct parts same[] = {
        {.head = "cohort: another\nseparator: \";\"\n"},
        {.head = "cohort: test\nheader: false\n"
                 "columns: [id, dead, age, kind, gender, lab, ward, other]\n"},
        {.files = "files: [{path: c.csv}]\n", .site = "site: {column: hospital}\n"},
        {.patient = "patient: {from: line}\n"},
        {.patient = "patient: {column: mrn, rows: many}\n"},
        {.missing = "missing: [\"n/a\"]\n"},
        {.label = "label: {name: dead, column: d, positive: [\"yes\"], negative: [\"no\"]}\n"},
        {.features = "features:\n"
                     "- {name: age, column: alter, type: continuous, unit: years,"
                     " range: [20.0, 8e1], required: true, missing: [-1]}\n"
                     "- {name: kind, type: categorical, categories: [3.0, \"6\", x]}\n"
                     "- {name: sex, type: binary, categories: [f, m]}\n"
                     "- {name: lab, type: continuous, range: [-1, 4.5]}\n"
                     "- {name: ward, type: categorical, categories: [1, 2], required: true}\n"},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        const struct hash other = hash_of_yaml(same[i]);
        assert_true(hash_equal(&h, &other));
    }
}

static void whatever_the_model_sees_enters_the_hash(void **state)
{
    (void)state;
    static const char *const feature[] = {
        "{name: a, type: continuous, unit: u, range: [1, 2]}",
        "{name: b, type: continuous, unit: u, range: [1, 2]}",
        "{name: a, type: continuous, unit: v, range: [1, 2]}",
        "{name: a, type: continuous, unit: u, range: [0, 2]}",
        "{name: a, type: continuous, unit: u, range: [1, 3]}",
        "{name: a, type: continuous, unit: u, range: [1, 2], required: true}",
        "{name: a, type: binary, unit: u}",
        "{name: a, type: binary, unit: u, categories: [1, 0]}",
        "{name: a, type: categorical, unit: u, categories: [0, 1]}",
        "{name: a, type: categorical, unit: u, categories: [0, 1, 2]}",
        "{name: a, type: categorical, unit: u, categories: [0, x]}",
        "{name: a, type: continuous, unit: u, range: [1, 2]}, {name: b, type: binary}",
        "{name: b, type: binary}, {name: a, type: continuous, unit: u, range: [1, 2]}",
    };
    enum { N = sizeof feature / sizeof feature[0] };
    struct hash h[N + 1];
    for (size_t i = 0; i < N; i++) {
        char text[400];
        (void)snprintf(text, sizeof text, "features: [%s]\n", feature[i]);
        h[i] = hash_of_yaml((struct parts){.features = text});
    }
    h[N] = hash_of_yaml((struct parts){
        .label = "label: {column: other, positive: [1], negative: [0]}\n",
        .features = "features: [{name: a, type: continuous, unit: u, range: [1, 2]}]\n"});
    for (size_t i = 0; i <= N; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(hash_equal(&h[i], &h[j]));
        }
    }
}

static void each_mistake_is_named_at_its_place(void **state)
{
    (void)state;
    static const struct {
        struct parts parts;
        size_t n;
        const char *says;
    } mistake[] = {
        {{.head = "cohort: test\nseperator: \";\"\n"}, 1, "cohort.yaml:2:1: error: unknown key"},
        {{.head = "cohort: test\nseparator: \"::\"\n"}, 1, "cohort.yaml:2:12: error: separator"},
        {{.head = "cohort: test\nseparator: \" \"\n"}, 1, "separator"},
        {{.head = ""}, 1, "missing key 'cohort'"},
        {{.head = "cohort: t\nheader: false\n"}, 1, "missing key 'columns'"},
        {{.head = "cohort: t\ncolumns: [a]\n"}, 1, "the header names them"},
        {{.head = "cohort: t\nheader: false\ncolumns: [id, id, dead, age, kind, gender, lab, "
                  "ward]\n"},
         1,
         "'id' stands here twice"},
        {{.head = "cohort: t\nheader: false\ncolumns: [id, age]\n"}, 5, "'dead' is not in"},
        {{.files = "files: []\n"}, 1, "files: 0 entries"},
        {{.files = "files: [{path: a, site: a}, {path: a, site: b}]\n"}, 1, "twice"},
        {{.files = "files: [{path: a, site: a}, {path: b}]\n"}, 1, "missing key 'site'"},
        {{.files = "files: [{site: a}]\n"}, 1, "missing key 'path'"},
        {{.site = "site: {column: where}\n"}, 2, "leave `site` out"},
        {{.site = "site: {}\n"}, 1, "either `from: file` or"},
        {{.site = "site: {from: file, column: where}\n"}, 3, "either `from: file` or"},
        {{.patient = "patient: {rows: one}\n"}, 1, "either `from: line` or"},
        {{.patient = "patient: {from: line, column: id}\n"}, 1, "either `from: line` or"},
        {{.patient = "patient: {from: line, rows: many}\n"}, 1, "each has one row"},
        {{.patient = "patient: {column: \"\"}\n"}, 1, "no name"},
        {{.files = "files: [{path: a, site: a}, {path: b, site: a}]\n",
          .patient = "patient: {from: line}\n"},
         1,
         "would mix up patients"},
        {{.files = "files: [{path: a}, {path: b}]\n",
          .site = "site: {column: where}\n",
          .patient = "patient: {from: line}\n"},
         1,
         "needs a site for each file"},
        {{.missing = "missing: [\"?\", \"?\"]\n"}, 1, "twice"},
        {{.missing = "missing: [0, 0.0]\n"}, 2, "twice"},
        {{.missing = "missing: [3]\n"}, 1, "category '3' is also missing"},
        {{.label = "label: {column: dead, positive: [1, 2], negative: [2.0]}\n"},
         1,
         "also positive"},
        {{.label = "label: {column: dead, positive: [\"?\"], negative: [0]}\n"}, 1, "also missing"},
        {{.label = "label: {column: dead, positive: [], negative: [0]}\n"},
         1,
         "positive: 0 entries"},
        {{.label = "label: {column: dead, positive: [1]}\n"}, 1, "missing key 'negative'"},
        {{.label = "label: {column: dead, classes: [a, b]}\n"}, 1, "classes: 2, must be 3 to 256"},
        {{.label = "label: {column: dead, classes: 2}\n"},
         1,
         "classes: is 2, must be from 3 to 256"},
        {{.label = "label: {column: dead, classes: [a, b, a]}\n"}, 1, "'a' stands here twice"},
        {{.label = "label: {column: dead, classes: [a, b, \"?\"]}\n"}, 1, "'?' is also missing"},
        {{.label = "label: {column: dead, classes: many}\n"}, 1, "'many' is not a whole number"},
        {{.label = "label: {column: dead, classes: 3, positive: [1]}\n"},
         1,
         "write either `classes`"},
        {{.label = "label: {classes: 3}\n"}, 1, "missing key 'column'"},
        {{.missing = "missing: [0]\n", .label = "label: {column: dead, classes: 3}\n"},
         1,
         "classes: '0' is also missing"},
        {{.label = "label: {column: age, positive: [1], negative: [0]}\n"},
         1,
         "the label cannot be a feature"},
        {{.patient = "patient: {column: lab}\n"}, 1, "id or site cannot be a feature"},
        {{.features = "features: []\n"}, 1, "features: 0 entries"},
        {{.features = "features: [{name: a, type: number}]\n"}, 1, "none of continuous"},
        {{.features = "features: [{name: a}]\n"}, 1, "missing key 'type'"},
        {{.features = "features: [{name: a, type: continuous}]\n"}, 1, "needs `range"},
        {{.features = "features: [{name: a, type: continuous, range: [2, 2]}]\n"}, 1, "low below"},
        {{.features = "features: [{name: a, type: continuous, range: [0, inf]}]\n"},
         1,
         "low below"},
        {{.features = "features: [{name: a, type: continuous, range: [0]}]\n"}, 1, "range: 1 entr"},
        {{.features = "features: [{name: a, type: continuous, range: [0, \"1,5\"]}]\n"}, 1, "1,5"},
        {{.features = "features: [{name: a, type: continuous, range: [0, 1], categories: [1]}]\n"},
         1,
         "not categories"},
        {{.features = "features: [{name: a, type: binary, range: [0, 1]}]\n"}, 1, "only a contin"},
        {{.features = "features: [{name: a, type: binary, categories: [0, 1, 2]}]\n"}, 1, "3 entr"},
        {{.features = "features: [{name: a, type: binary, missing: [0]}]\n"},
         1,
         "category '0' is also missing"},
        {{.features = "features: [{name: a, type: categorical}]\n"}, 1, "needs `categories`"},
        {{.features = "features: [{name: a, type: categorical, categories: [1]}]\n"}, 1, "1 entr"},
        {{.features = "features: [{name: a, type: categorical, categories: [3, x, 3.0]}]\n"},
         1,
         "'3.0' stands here twice"},
        {{.features = "features: [{name: a, type: binary}, {name: a, type: binary}]\n"},
         1,
         "'a' stands here twice"},
        {{.features = "features: [{name: a, type: binary}, {name: b, column: a, type: binary}]\n"},
         1,
         "also that of 'a'"},
    };
    for (size_t i = 0; i < sizeof mistake / sizeof mistake[0]; i++) {
        refused(mistake[i].parts, mistake[i].n, mistake[i].says);
    }
}

static void a_mark_too_long_is_refused(void **state)
{
    (void)state;
    refused((struct parts){.missing =
                               "missing: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                               "aaaaaaaaaaaaa]\n"},
            1, "longer than 63 bytes");
}

static void numbers_have_one_spelling(void **state)
{
    (void)state;
    static const char *const yes[] = {"0",  "-3",  "+3",   "3.0", ".5",
                                      "5.", "1e3", "1E-3", "007", "1e-999"};
    static const char *const no[] = {"",     ".",        "-",     "1,5", "nan",   "inf",
                                     "-inf", "0x10",     "1e",    " 1",  "1 ",    "1_0",
                                     "1e+",  "NaN",      "1e999", "--1", "1.2.3", "\xc2\xb2",
                                     "1f",   "infinity", "-1e999"};
    double x;
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        assert_true(schema_number(yes[i], &x));
        assert_true(isfinite(x));
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        x = 12.5;
        assert_false(schema_number(no[i], &x));
        assert_true(x > 12 && x < 13);
    }
    assert_true(schema_same("3", "3.0") && schema_same("3e0", "+3") && schema_same("-0", "0"));
    assert_true(schema_same("x", "x") && !schema_same("x", "X") && !schema_same("3", "x"));
    assert_true(!schema_same("", "0"));
}

static void the_data_folder_comes_from_the_environment(void **state)
{
    (void)state;
    struct error err = {0};
    char full[SCHEMA_FULL_PATH_MAX];
    char *before = getenv("WARDROUND_DATA");
    char kept[1024] = "";
    if (before != NULL) {
        (void)snprintf(kept, sizeof kept, "%s", before);
    }
    struct schema s = parsed(
        write_yaml((struct parts){.files = "files: [{path: $WARDROUND_DATA/h/a.csv, site: a}]\n"}));
    assert_true(schema_path_is_shared(s.file[0].path));
    assert_int_equal(setenv("WARDROUND_DATA", "/somewhere", 1), 0);
    assert_int_equal(schema_path(&s, s.file[0].path, full, &err), RC_OK);
    assert_string_equal(full, "/somewhere/h/a.csv");
    assert_int_equal(unsetenv("WARDROUND_DATA"), 0);
    assert_int_equal(schema_path(&s, s.file[0].path, full, &err), RC_OK);
    assert_string_equal(full, "../shared/data/h/a.csv");
    char *long_value = malloc(SCHEMA_FULL_PATH_MAX + 1);
    assert_non_null(long_value);
    memset(long_value, 'x', SCHEMA_FULL_PATH_MAX);
    long_value[SCHEMA_FULL_PATH_MAX] = '\0';
    assert_int_equal(setenv("WARDROUND_DATA", long_value, 1), 0);
    assert_int_equal(schema_path(&s, s.file[0].path, full, &err), RC_INVALID);
    free(long_value);
    assert_int_equal(
        before != NULL ? setenv("WARDROUND_DATA", kept, 1) : unsetenv("WARDROUND_DATA"), 0);
    schema_release(&s);
}

static void every_sample_is_read_and_both_heart_schemas_agree(void **state)
{
    (void)state;
    static const char *const path[] = {"configs/sites/heart/cohort.yaml",
                                       "configs/sites/heart_joined/cohort.yaml",
                                       "configs/sites/example/cohort.yaml"};
    struct hash h[3];
    for (size_t i = 0; i < 3; i++) {
        struct error err = {0};
        struct schema s = {0};
        issues = (struct config_issues){0};
        if (schema_open(path[i], &s, &issues, &err) != RC_OK) {
            fail_msg("%s", err.text);
        }
        if (i == 0) {
            const struct schema_layout layout = schema_layout(&s);
            assert_int_equal(layout.n_values, 8 * 2); /* five continuous, three binary */
            assert_int_equal(layout.n_codes, 5);
        }
        h[i] = schema_hash(&s);
        schema_release(&s);
    }
    assert_true(hash_equal(&h[0], &h[1]));
    assert_false(hash_equal(&h[0], &h[2]));
}

static void assert_features_travel(const struct schema *s)
{
    struct error err = {0};
    struct schema bare = {0};
    char *text = NULL, *again = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    schema_print_features(s, f);
    assert_int_equal(fclose(f), 0);
    issues = (struct config_issues){0};
    if (schema_parse_features("f", text, n, &bare, &issues, &err) != RC_OK) {
        fail_msg("%s in\n%s", err.text, text);
    }
    const struct hash was = schema_hash(s), is = schema_hash(&bare);
    assert_true(hash_equal(&was, &is));
    assert_int_equal(bare.n_files, 0);
    assert_string_equal(schema_label_name(s), schema_label_name(&bare));
    for (size_t i = 0; i < s->n_features; i++) { /* the hash takes 3.0 for 3: the text does not */
        assert_string_equal(s->feature[i].name, bare.feature[i].name);
        for (size_t c = 0; c < s->feature[i].n_categories; c++) {
            assert_string_equal(s->feature[i].category[c], bare.feature[i].category[c]);
        }
    }
    f = open_memstream(&again, &n);
    assert_non_null(f);
    schema_print_features(&bare, f);
    assert_int_equal(fclose(f), 0);
    assert_string_equal(text, again); /* canonical */
    free(text);
    free(again);
    schema_release(&bare);
}

static void the_features_of_every_sample_travel_unchanged(void **state)
{
    (void)state;
    static const char *const path[] = {"configs/sites/example/cohort.yaml",
                                       "configs/sites/heart/cohort.yaml",
                                       "configs/sites/heart_flamby/cohort.yaml",
                                       "configs/sites/heart_joined/cohort.yaml"};
    for (size_t i = 0; i < sizeof path / sizeof path[0]; i++) {
        struct error err = {0};
        struct schema s = {0};
        issues = (struct config_issues){0};
        assert_int_equal(schema_open(path[i], &s, &issues, &err), RC_OK);
        assert_features_travel(&s);
        schema_release(&s);
    }
}

static void nasty_names_and_ranges_travel_unchanged(void **state)
{
    (void)state;
    struct schema s = parsed(write_yaml((struct parts){
        .label = "label: {name: \"a: \\\"b\\\" # {c}, \\\\d\", column: dead, positive: [1], "
                 "negative: [0]}\n",
        .features =
            "features:\n"
            "- {name: \"null\", type: binary, categories: [\"~\", \" \"]}\n"
            "- {name: \" a: b, [c] 'd' - \", type: continuous, unit: \"\xc2\xb5mol/l\",\n"
            "   range: [-0.1, 0.30000000000000004]}\n"
            "- {name: \"\\t\\r\\n\\e\\x7f\\x80\\x85\\xa0\\u2028\\u2029\\uFEFF\\uFFFE\\uFFFD\",\n"
            "   type: continuous, unit: \"%d %s\", range: [-1e15, 1.0000000000000002]}\n"
            "- {name: \"\\U0001F600\\U0010FFFF\xf0\x9f\x98\x80\xe6\xbc\xa2\", type: categorical,\n"
            "   unit: \"\", categories: [\"\\\"\", \"\\\\\", \"'\", 1.50, \"true\", \"#\", \"&a\", "
            "\"*a\", "
            "\"!t\", \"{\", \"]\", \"-\", \"? \", \": \", \"|\", \">\", \"@\", \"`\", \"%\", \"a  "
            "b\"]}\n"
            "- {name: \"a \\u2028 b \\u2029 c \\x85 d\", type: binary}\n"
            "- {name: tiny, type: continuous, range: [-2.2250738585072014e-308, 5e-300],"
            " required: true}\n"}));
    assert_string_equal(schema_label_name(&s), "a: \"b\" # {c}, \\d");
    assert_features_travel(&s);
    schema_release(&s);
}

static void classes_are_a_list_or_a_count_and_travel_in_their_order(void **state)
{
    (void)state;
    struct schema named = parsed(write_yaml(
        (struct parts){.label = "label: {column: dead, classes: [\"0\", 1.0, \"2\"]}\n"}));
    assert_int_equal(named.n_classes, 3);
    assert_string_equal(named.class_name[1], "1.0");
    assert_int_equal(schema_layout(&named).n_outputs, 3);
    assert_features_travel(&named);
    schema_release(&named);
    static const char *const label[] = {
        "label: {column: dead, classes: [\"0\", 1.0, \"2\"]}\n",
        "label: {column: dead, classes: [1, 0, 2]}\n",
        "label: {column: dead, classes: [0, 1, x]}\n",
        "label: {column: dead, classes: 4}\n",
        "label: {column: dead, positive: [1], negative: [0]}\n",
    };
    struct hash h[5];
    for (size_t i = 0; i < 5; i++) {
        h[i] = hash_of_yaml((struct parts){.label = label[i]});
        for (size_t j = 0; j < i; j++) {
            assert_false(hash_equal(&h[i], &h[j]));
        }
    }
    const struct hash counted =
        hash_of_yaml((struct parts){.label = "label: {column: dead, classes: 3}\n"});
    assert_true(hash_equal(&counted, &h[0]));
    struct schema plain = parsed(write_yaml((struct parts){0}));
    assert_int_equal(schema_layout(&plain).n_outputs, 1);
    schema_release(&plain);
}

static void carried_features_keep_the_rules_and_know_no_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } bad[] = {
        {"features: [{name: a, type: binary}]\n", "missing key 'label'"},
        {"label: {name: d}\n", "missing key 'features'"},
        {"label: {name: d}\nfeatures: []\n", "0 entries"},
        {"label: {}\nfeatures: [{name: a, type: binary}]\n", "missing key 'name'"},
        {"label: {name: d, column: x}\nfeatures: [{name: a, type: binary}]\n",
         "unknown key 'column'"},
        {"label: {name: d}\nfeatures: [{name: a, type: binary, missing: [1]}]\n",
         "unknown key 'missing'"},
        {"label: {name: d}\nfiles: []\nfeatures: [{name: a, type: binary}]\n",
         "unknown key 'files'"},
        {"label: {name: d}\nfeatures: [{name: a, type: binary}, {name: a, type: binary}]\n",
         "'a' stands here twice"},
        {"label: {name: d}\nfeatures: [{name: a, type: continuous}]\n",
         "needs `range: [low, high]`"},
        {"label: {name: d}\nfeatures: [{name: a, type: continuous, range: [2, 1]}]\n",
         "low below high"},
        {"label: {name: d}\nfeatures: [{name: a, type: categorical, categories: [1, 1.0]}]\n",
         "stands here twice"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error err = {0};
        struct schema s = {.n_files = 77};
        issues = (struct config_issues){0};
        const enum rc rc =
            schema_parse_features("carried", bad[i].text, strlen(bad[i].text), &s, &issues, &err);
        if (rc != RC_INVALID || issues.n != 1 || strstr(err.text, bad[i].want) == NULL) {
            config_print_issues(&issues, stderr);
            fail_msg("wanted '%s'", bad[i].want);
        }
        assert_int_equal(s.n_files, 77);
    }
    struct error err = {0};
    struct schema s = {0};
    assert_int_equal(schema_parse_features("x", "a: [", 4, &s, &issues, &err), RC_FORMAT);
}

static void a_file_that_is_not_there_or_not_yaml_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = {0};
    issues = (struct config_issues){0};
    assert_int_equal(schema_open("configs/sites/none.yaml", &s, &issues, &err), RC_IO);
    assert_int_equal(schema_parse("x", "a: [", 4, &s, &issues, &err), RC_FORMAT);
    assert_int_equal(schema_parse("x", "[]", 2, &s, &issues, &err), RC_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cohort_yaml_becomes_a_schema),
        cmocka_unit_test(the_layout_has_an_indicator_only_for_what_may_miss),
        cmocka_unit_test(scaling_uses_the_public_range_and_clamps),
        cmocka_unit_test(file_layout_does_not_enter_the_hash),
        cmocka_unit_test(whatever_the_model_sees_enters_the_hash),
        cmocka_unit_test(each_mistake_is_named_at_its_place),
        cmocka_unit_test(a_mark_too_long_is_refused),
        cmocka_unit_test(numbers_have_one_spelling),
        cmocka_unit_test(the_data_folder_comes_from_the_environment),
        cmocka_unit_test(every_sample_is_read_and_both_heart_schemas_agree),
        cmocka_unit_test(the_features_of_every_sample_travel_unchanged),
        cmocka_unit_test(nasty_names_and_ranges_travel_unchanged),
        cmocka_unit_test(classes_are_a_list_or_a_count_and_travel_in_their_order),
        cmocka_unit_test(carried_features_keep_the_rules_and_know_no_files),
        cmocka_unit_test(a_file_that_is_not_there_or_not_yaml_is_refused),
    };
    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
