/*
 * cohort.yaml -> struct schema. Each map has its table of keys, read by config_bind; what a table
 * cannot say (lists, and rules between keys) is checked here, each problem at the line it is about.
 * A field with a problem keeps its default, so that the rest can still be checked.
 */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/schema/schema_internal.h"

#define N_OF(array) (sizeof(array) / sizeof(array)[0])

enum { ROWS_ONE, ROWS_MANY, ROWS_FIRST };
static const char *const rows_words[] = {"one", "many", "first", NULL};
static const char *const line_words[] = {"line", NULL};
static const char *const bit_words[] = {"0", "1", NULL};
static const char *const file_words[] = {"file", NULL};
static const char *const type_words[] = {"continuous", "binary", "categorical", NULL};
static_assert(SCHEMA_CONTINUOUS == 0 && SCHEMA_BINARY == 1 && SCHEMA_CATEGORICAL == 2,
              "the order of type_words");

const char *schema_type_name(enum schema_type type)
{
    return (unsigned)type < N_OF(type_words) - 1 ? type_words[type] : "?";
}

/* ---- tables --------------------------------------------------------------------------------- */

struct top_map {
    char name[SCHEMA_NAME_MAX];
    char separator[SCHEMA_NAME_MAX];
    bool header;
    const struct config_node *files, *columns, *patient, *site, *missing, *label, *features,
        *modalities;
};

struct patient_map {
    int from, rows;
    char column[SCHEMA_NAME_MAX], record[SCHEMA_NAME_MAX];
};

struct site_map {
    int from;
    char column[SCHEMA_NAME_MAX];
};

struct label_map {
    char name[SCHEMA_NAME_MAX], column[SCHEMA_NAME_MAX];
    int from;
    const struct config_node *positive, *negative, *classes;
    size_t n_classes; /* where `classes` is a count */
};

struct feature_map {
    char name[SCHEMA_NAME_MAX], column[SCHEMA_NAME_MAX], unit[SCHEMA_NAME_MAX];
    int type;
    bool required;
    const struct config_node *range, *categories, *missing;
};

/* clang-format off */
#define TEXT(key, map, field, def, say) \
    {.name = (key), .type = CONFIG_TEXT, .offset = offsetof(struct map, field), \
     .size = sizeof ((struct map *)NULL)->field, .fallback = (def), .help = (say)}
#define NODE(key, map, field, def, say) \
    {.name = (key), .type = CONFIG_NODE, .offset = offsetof(struct map, field), .fallback = (def), .help = (say)}
#define WORD(key, map, field, words, def, say) \
    {.name = (key), .type = CONFIG_CHOICE, .offset = offsetof(struct map, field), .choices = (words), \
     .fallback = (def), .help = (say)}
#define FLAG(key, map, field, def, say) \
    {.name = (key), .type = CONFIG_BOOL, .offset = offsetof(struct map, field), .fallback = (def), .help = (say)}

static const struct config_key top_keys[] = {
    TEXT("cohort",    top_map, name,      NULL,    "name, for messages"),
    NODE("files",     top_map, files,     NULL,    "list of {path, site}"),
    TEXT("separator", top_map, separator, ",",     "one character, or tab"),
    FLAG("header",    top_map, header,    "true",  "the first row names the columns"),
    NODE("columns",   top_map, columns,   "",      "their names, where there is no header"),
    NODE("patient",   top_map, patient,   NULL,    "{from: line} or {column, rows}"),
    NODE("site",      top_map, site,      "",      "{from: file} or {column}"),
    NODE("missing",   top_map, missing,   "",      "cells that mean: not known"),
    NODE("label",     top_map, label,     NULL,    "{name, column, positive, negative} or {name, column, classes}"),
    NODE("features",  top_map, features,  "",      "list of features, in the model's order"),
    NODE("modalities", top_map, modalities, "",    "list of series, images and notes beside the features"),
};
/* What a study carries: no files, so that none of their keys may stand in it. */
static const struct config_key bare_keys[] = {
    NODE("label",    top_map, label,    NULL, "{name}"),
    NODE("features", top_map, features, "",   "list of features, in the model's order"),
    NODE("modalities", top_map, modalities, "", "list of series, images and notes beside the features"),
};
static const struct config_key bare_label_keys[] = {
    TEXT("name", label_map, name, NULL, "what both ends call it"),
    NODE("classes", label_map, classes, "", "their names, where it is one of several"),
};
static const struct config_key bare_feature_keys[] = {
    TEXT("name",       feature_map, name,       NULL,    "what both ends call it"),
    WORD("type",       feature_map, type,       type_words, NULL, "what kind of values it has"),
    TEXT("unit",       feature_map, unit,       "",      "as clinicians write it"),
    FLAG("required",   feature_map, required,   "false", "true: a missing cell is an error"),
    NODE("range",      feature_map, range,      "",      "continuous: [low, high], public and clinical"),
    NODE("categories", feature_map, categories, "",      "categorical and binary"),
};
static const struct config_key file_keys[] = {
    TEXT("path", schema_file, path, NULL, "relative to this file, absolute, or $WARDROUND_DATA/..."),
    TEXT("site", schema_file, site, "",   "of all its rows"),
    TEXT("prefix", schema_file, prefix, "", "put in front of its ids"),
    WORD("label", schema_file, label, bit_words, "0", "of all its rows, where the label is {from: file}"),
};
static const struct config_key patient_keys[] = {
    WORD("from",   patient_map, from,   line_words, "line", "line: the id is <site>-<line number>"),
    TEXT("column", patient_map, column, "",                 "the column that holds the id"),
    WORD("rows",   patient_map, rows,   rows_words, "one",  "many: several rows a patient are right; first: later ones are left out"),
    TEXT("record", patient_map, record, "",                 "the column that names the row, where other files call it otherwise"),
};
static const struct config_key site_keys[] = {
    WORD("from",   site_map, from,   file_words, "file", "file: each file names its site"),
    TEXT("column", site_map, column, "",                 "the column that holds the site"),
};
static const struct config_key label_keys[] = {
    TEXT("name",     label_map, name,     "",   "what both ends call it (default: the column)"),
    WORD("from",     label_map, from,     file_words, "file", "file: each file says it of all its rows"),
    TEXT("column",   label_map, column,   "",   "where it stands"),
    NODE("positive", label_map, positive, "",   "cells that mean 1"),
    NODE("negative", label_map, negative, "",   "cells that mean 0"),
    NODE("classes",  label_map, classes,  "",   "instead of both: the cells of 3 or more classes, or how many there are"),
};
/* Instead of the row of the same name, where the value is one word. */
static const struct config_key class_count_key =
    {.name = "classes", .type = CONFIG_COUNT, .offset = offsetof(struct label_map, n_classes),
     .min = 3, .max = SCHEMA_CLASSES_MAX, .help = "how many there are, named 0, 1, 2 …"};
static const struct config_key feature_keys[] = {
    TEXT("name",       feature_map, name,       NULL,    "what both ends call it"),
    TEXT("column",     feature_map, column,     "",      "where it stands (default: the name)"),
    WORD("type",       feature_map, type,       type_words, NULL, "what kind of values it has"),
    TEXT("unit",       feature_map, unit,       "",      "as clinicians write it"),
    FLAG("required",   feature_map, required,   "false", "true: a missing cell is an error"),
    NODE("range",      feature_map, range,      "",      "continuous: [low, high], public and clinical"),
    NODE("categories", feature_map, categories, "",      "categorical; binary: [no, yes] instead of [0, 1]"),
    NODE("missing",    feature_map, missing,    "",      "cells that mean: not known, in this column only"),
};
#undef TEXT
#undef NODE
#undef WORD
#undef FLAG
/* clang-format on */

void schema_print_reference(FILE *to)
{
    static const struct config_part part[] = {
        {"The cohort", top_keys, N_OF(top_keys)},
        {"`files`: each item", file_keys, N_OF(file_keys)},
        {"`patient`", patient_keys, N_OF(patient_keys)},
        {"`site`", site_keys, N_OF(site_keys)},
        {"`label`", label_keys, N_OF(label_keys)},
        {"`features`: each item", feature_keys, N_OF(feature_keys)},
    };
    config_print_parts(part, N_OF(part), to);
    modalities_print_keys(to);
}

/* ---- files, columns, patients, sites -------------------------------------------------------- */

static RC bind_files(const struct top_map *top, struct schema *s, struct config_issues *issues,
                     struct error *err)
{
    if (!words_are_list(top->files, "files", 1, SCHEMA_FILES_MAX, issues)) {
        return RC_OK;
    }
    s->file = calloc(top->files->n, sizeof *s->file);
    if (s->file == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the list of files");
    }
    s->n_files = top->files->n;
    for (size_t i = 0; i < s->n_files; i++) {
        config_bind(&top->files->at[i], file_keys, N_OF(file_keys), &s->file[i], issues);
        for (size_t j = 0; j < i && s->file[i].path[0] != '\0'; j++) {
            if (strcmp(s->file[i].path, s->file[j].path) == 0) {
                config_issue(issues, &top->files->at[i], "this file stands here twice");
                break;
            }
        }
    }
    return RC_OK;
}

/* What libcsv and numbers use themselves cannot separate cells. */
static void bind_separator(const struct top_map *top, const struct config_node *root,
                           struct schema *s, struct config_issues *issues)
{
    if (!separator_read(top->separator, &s->separator)) {
        config_issue(issues, config_get(root, "separator"), SEPARATOR_RULE);
    }
}

static RC bind_columns(const struct top_map *top, const struct config_node *root, struct schema *s,
                       struct config_issues *issues, struct error *err)
{
    s->has_header = top->header;
    if (s->has_header && top->columns != NULL) {
        config_issue(issues, top->columns,
                     "columns: the header names them; leave this out, or say `header: false`");
        return RC_OK;
    }
    if (!s->has_header && config_get(root, "columns") == NULL) {
        config_issue(issues, root, "missing key 'columns': without a header they are named here");
        return RC_OK;
    }
    if (s->has_header || !words_are_list(top->columns, "columns", 1, SCHEMA_COLUMNS_MAX, issues)) {
        return RC_OK;
    }
    s->column = calloc(top->columns->n, sizeof *s->column);
    if (s->column == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the columns");
    }
    s->n_columns = top->columns->n;
    for (size_t i = 0; i < s->n_columns; i++) {
        words_read_one(&top->columns->at[i], "columns", s->column[i], issues);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(s->column[i], s->column[j]) == 0) {
                config_issue(issues, &top->columns->at[i], "columns: '%s' stands here twice",
                             s->column[i]);
                break;
            }
        }
    }
    return RC_OK;
}

/* Says so where a column is named that a file without header does not have. */
static void check_column(const struct schema *s, const struct config_node *map, const char *column,
                         struct config_issues *issues)
{
    if (column[0] == '\0' || s->n_columns == 0) {
        return;
    }
    for (size_t i = 0; i < s->n_columns; i++) {
        if (strcmp(s->column[i], column) == 0) {
            return;
        }
    }
    const struct config_node *at = config_get(map, "column");
    config_issue(issues, at != NULL ? at : map, "'%s' is not in `columns`", column);
}

static void bind_site(const struct top_map *top, struct schema *s, struct config_issues *issues)
{
    struct site_map map = {0};
    const bool by_column = config_get(top->site, "column") != NULL;
    if (top->site != NULL) {
        config_bind(top->site, site_keys, N_OF(site_keys), &map, issues);
        if (by_column == (config_get(top->site, "from") != NULL)) {
            config_issue(issues, top->site, "site: write either `from: file` or `column: NAME`");
        } else if (by_column && map.column[0] == '\0') {
            config_issue(issues, top->site, "site: the column has no name");
        }
        memcpy(s->site_column, map.column, sizeof s->site_column);
        check_column(s, top->site, s->site_column, issues);
    }
    for (size_t i = 0; i < s->n_files; i++) {
        if (by_column && s->file[i].site[0] != '\0') {
            config_issue(issues, &top->files->at[i],
                         "the site stands in a column; leave `site` out here");
        } else if (!by_column && s->file[i].site[0] == '\0') {
            config_issue(issues, &top->files->at[i],
                         "missing key 'site' (or say at the top: `site: {column: NAME}`)");
        }
    }
}

/* <site>-<line> is one patient only if a site has one file. */
static void check_line_ids(const struct top_map *top, const struct schema *s,
                           struct config_issues *issues)
{
    if (s->site_column[0] != '\0' && s->n_files > 1) {
        config_issue(issues, top->patient,
                     "patient: numbering by line over several files needs "
                     "a site for each file");
    }
    for (size_t i = 0; i < s->n_files; i++) {
        for (size_t j = 0; j < i && s->file[i].site[0] != '\0'; j++) {
            if (strcmp(s->file[i].site, s->file[j].site) == 0) {
                config_issue(issues, &top->files->at[i],
                             "a second file of '%s': numbering by line would mix up patients",
                             s->file[i].site);
                break;
            }
        }
    }
}

static void bind_patient(const struct top_map *top, struct schema *s, struct config_issues *issues)
{
    struct patient_map map = {0};
    if (top->patient == NULL) {
        return;
    }
    config_bind(top->patient, patient_keys, N_OF(patient_keys), &map, issues);
    const bool by_column = config_get(top->patient, "column") != NULL;
    if (by_column == (config_get(top->patient, "from") != NULL)) {
        config_issue(issues, top->patient, "patient: write either `from: line` or `column: NAME`");
    } else if (by_column && map.column[0] == '\0') {
        config_issue(issues, top->patient, "patient: the column has no name");
    }
    s->patient_from = by_column ? SCHEMA_PATIENT_COLUMN : SCHEMA_PATIENT_LINE;
    s->many_rows = map.rows == ROWS_MANY;
    s->first_row_only = map.rows == ROWS_FIRST;
    memcpy(s->patient_column, map.column, sizeof s->patient_column);
    memcpy(s->record_column, map.record, sizeof s->record_column);
    check_column(s, top->patient, s->patient_column, issues);
    check_column(s, top->patient, s->record_column, issues);
    if (by_column) {
        return;
    }
    if (map.rows != ROWS_ONE) {
        config_issue(issues, top->patient, "patient: numbered by line, each has one row");
    }
    check_line_ids(top, s, issues);
}

/* ---- label and features --------------------------------------------------------------------- */

static void need(const struct config_node *map, const char *key, struct config_issues *issues)
{
    if (config_get(map, key) == NULL) {
        config_issue(issues, map, "missing key '%s'", key);
    }
}

static void bind_file_labels(const struct top_map *top, const struct schema *s, bool from_file,
                             struct config_issues *issues)
{
    for (size_t i = 0; i < s->n_files; i++) {
        const struct config_node *label = config_get(&top->files->at[i], "label");
        if (from_file && label == NULL) {
            config_issue(issues, &top->files->at[i], "missing key 'label' (label: {from: file})");
        } else if (!from_file && label != NULL) {
            config_issue(issues, label, "the label stands in a column; leave `label` out here");
        }
    }
}

/* A list of names, or a count: then the names are 0, 1, 2, … */
static RC bind_classes(const struct config_node *node, size_t count, struct schema *s,
                       struct config_issues *issues, struct error *err)
{
    const bool counted = node->kind == CONFIG_SCALAR;
    if (!counted && node->kind == CONFIG_LIST && node->n < 3) {
        config_issue(issues, node,
                     "classes: %zu, must be 3 to %d; two are said by positive: and negative:",
                     node->n, (int)SCHEMA_CLASSES_MAX);
        return RC_OK;
    }
    if (counted ? count < 3 : !words_are_list(node, "classes", 3, SCHEMA_CLASSES_MAX, issues)) {
        return RC_OK; /* said */
    }
    const size_t n = counted ? count : node->n;
    s->class_name = calloc(n, sizeof *s->class_name);
    if (s->class_name == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu classes", n);
    }
    s->n_classes = n;
    if (!counted) {
        (void)words_read(node, "classes", 3, SCHEMA_CLASSES_MAX, s->class_name, issues);
        words_keep_apart(node, "classes", s->class_name, n, "missing", s->missing, s->n_missing,
                         issues);
    }
    for (size_t i = 0; counted && i < n; i++) {
        (void)snprintf(s->class_name[i], sizeof s->class_name[i], "%zu", i);
        if (words_hold(s->missing, s->n_missing, s->class_name[i])) {
            config_issue(issues, node, "classes: '%zu' is also missing", i);
        }
    }
    return RC_OK;
}

static RC bind_label(const struct top_map *top, struct schema *s, struct config_issues *issues,
                     struct error *err)
{
    struct label_map map = {0};
    if (top->label == NULL) {
        return RC_OK;
    }
    struct config_key table[N_OF(label_keys)];
    const struct config_node *classes = config_get(top->label, "classes");
    memcpy(table, label_keys, sizeof label_keys);
    if (classes != NULL && classes->kind == CONFIG_SCALAR) {
        table[N_OF(label_keys) - 1] = class_count_key; /* the last is `classes` */
    }
    config_bind(top->label, table, N_OF(table), &map, issues);
    memcpy(s->label_name, map.name, sizeof s->label_name);
    memcpy(s->label_column, map.column, sizeof s->label_column);
    bind_file_labels(top, s, config_get(top->label, "from") != NULL, issues);
    if (config_get(top->label, "from") != NULL) {
        if (config_get(top->label, "column") != NULL || map.positive != NULL ||
            map.negative != NULL || classes != NULL || s->label_name[0] == '\0') {
            config_issue(issues, top->label,
                         "label: `from: file` goes with a `name` and nothing else; the files say "
                         "`label: 0` or `label: 1`");
        }
        return RC_OK;
    }
    need(top->label, "column", issues);
    if (classes != NULL) {
        check_column(s, top->label, s->label_column, issues);
        if (map.positive != NULL || map.negative != NULL) {
            config_issue(issues, top->label,
                         "label: write either `classes`, or `positive` and `negative`");
        }
        return bind_classes(classes, map.n_classes, s, issues, err);
    }
    need(top->label, "positive", issues);
    need(top->label, "negative", issues);
    check_column(s, top->label, s->label_column, issues);
    s->n_positive = words_read_marks(map.positive, "positive", 1, s->positive, issues);
    s->n_negative = words_read_marks(map.negative, "negative", 1, s->negative, issues);
    words_keep_apart(map.negative, "negative", s->negative, s->n_negative, "positive", s->positive,
                     s->n_positive, issues);
    words_keep_apart(map.positive, "positive", s->positive, s->n_positive, "missing", s->missing,
                     s->n_missing, issues);
    words_keep_apart(map.negative, "negative", s->negative, s->n_negative, "missing", s->missing,
                     s->n_missing, issues);
    return RC_OK;
}

static void bind_range(const struct config_node *node, const struct feature_map *map,
                       struct schema_feature *f, struct config_issues *issues)
{
    if (map->range == NULL) {
        config_issue(issues, node, "'%s': a continuous feature needs `range: [low, high]`",
                     f->name);
        return;
    }
    (void)words_read_range(map->range, &f->low, &f->high, issues); /* false: said */
}

static RC bind_categories(const struct config_node *node, const struct feature_map *map,
                          struct schema_feature *f, struct config_issues *issues, struct error *err)
{
    const bool binary = f->type == SCHEMA_BINARY;
    if (!binary && map->categories == NULL) {
        config_issue(issues, node, "'%s': a categorical feature needs `categories`", f->name);
        return RC_OK;
    }
    const size_t most = binary ? 2 : SCHEMA_CATEGORIES_MAX;
    const size_t n = map->categories == NULL ? 2 : map->categories->n;
    f->category = calloc(n < most ? n + 1 : most, sizeof *f->category); /* more are refused below */
    if (f->category == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the categories of '%s'", f->name);
    }
    if (map->categories == NULL) {
        memcpy(f->category[0], "0", 2);
        memcpy(f->category[1], "1", 2);
        f->n_categories = 2;
    } else {
        f->n_categories = words_read(map->categories, "categories", 2, most, f->category, issues);
    }
    return RC_OK;
}

/* A list of binary categories may be absent; then [0, 1] has no node to point at. */
static void keep_missing_apart(struct schema *s, const struct config_node *node,
                               const struct feature_map *map, struct schema_feature *f,
                               struct config_issues *issues)
{
    for (size_t c = 0; c < f->n_categories; c++) {
        if (words_hold(s->missing, s->n_missing, f->category[c]) ||
            words_hold(f->missing, f->n_missing, f->category[c])) {
            config_issue(issues, map->categories != NULL ? &map->categories->at[c] : node,
                         "'%s': category '%s' is also missing", f->name, f->category[c]);
        }
    }
}

/* The label must not be among the inputs, nor what names a person or a hospital. */
static void check_feature_column(const struct schema *s, size_t i, const struct config_node *node,
                                 struct config_issues *issues)
{
    const struct schema_feature *f = &s->feature[i];
    if (f->column[0] == '\0') {
        return;
    }
    if (strcmp(f->column, s->label_column) == 0) {
        config_issue(issues, node, "'%s': the label cannot be a feature", f->name);
    }
    if (strcmp(f->column, s->patient_column) == 0 || strcmp(f->column, s->site_column) == 0 ||
        strcmp(f->column, s->record_column) == 0) {
        config_issue(issues, node, "'%s': the patient's id or site cannot be a feature", f->name);
    }
    for (size_t j = 0; j < i; j++) {
        if (strcmp(f->name, s->feature[j].name) == 0) {
            config_issue(issues, node, "'%s' stands here twice", f->name);
            break;
        }
        if (strcmp(f->column, s->feature[j].column) == 0) {
            config_issue(issues, node, "'%s': its column is also that of '%s'", f->name,
                         s->feature[j].name);
            break;
        }
    }
    check_column(s, node, f->column, issues);
}

/* An absent or unknown type was said by config_bind. */
static bool has_type(const struct config_node *node)
{
    const struct config_node *type = config_get(node, "type");
    for (size_t i = 0; type != NULL && type->kind == CONFIG_SCALAR && type_words[i] != NULL; i++) {
        if (strcmp(type->text, type_words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static RC bind_feature(struct schema *s, size_t i, bool bare, const struct config_node *node,
                       struct config_issues *issues, struct error *err)
{
    struct schema_feature *f = &s->feature[i];
    struct feature_map map = {0};
    enum rc rc = RC_OK;

    if (bare) {
        config_bind(node, bare_feature_keys, N_OF(bare_feature_keys), &map, issues);
    } else {
        config_bind(node, feature_keys, N_OF(feature_keys), &map, issues);
    }
    memcpy(f->name, map.name, sizeof f->name);
    memcpy(f->column, map.column[0] != '\0' ? map.column : map.name, sizeof f->column);
    memcpy(f->unit, map.unit, sizeof f->unit);
    f->type = (enum schema_type)map.type;
    f->may_miss = !map.required;
    if (!has_type(node)) {
        return RC_OK; /* what follows depends on it */
    }
    if (f->type == SCHEMA_CONTINUOUS) {
        bind_range(node, &map, f, issues);
        if (map.categories != NULL) {
            config_issue(issues, map.categories,
                         "'%s': a continuous feature has a range, not "
                         "categories",
                         f->name);
        }
    } else {
        rc = bind_categories(node, &map, f, issues, err);
        if (map.range != NULL) {
            config_issue(issues, map.range, "'%s': only a continuous feature has a range", f->name);
        }
    }
    f->n_missing = words_read_marks(map.missing, "missing", 0, f->missing, issues);
    keep_missing_apart(s, node, &map, f, issues);
    check_feature_column(s, i, node, issues);
    return rc;
}

static RC bind_features(const struct top_map *top, const struct config_node *root, bool bare,
                        struct schema *s, struct config_issues *issues, struct error *err)
{
    if (top->features == NULL && top->modalities == NULL) {
        config_issue(issues, root, "missing key 'features'");
    }
    if (!words_are_list(top->features, "features", 1, SCHEMA_FEATURES_MAX, issues)) {
        return RC_OK;
    }
    s->feature = calloc(top->features->n, sizeof *s->feature);
    if (s->feature == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the features");
    }
    s->n_features = top->features->n;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < s->n_features; i++) {
        rc = bind_feature(s, i, bare, &top->features->at[i], issues, err);
    }
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* Of its path, everything before the last slash. */
static void bind_folder(const char *path, struct schema *s, struct config_issues *issues)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return;
    }
    const size_t n = slash == path ? 1 : (size_t)(slash - path); /* the root keeps its slash */
    if (n >= sizeof s->folder) {
        config_issue(issues, NULL, "its path is longer than %d bytes", SCHEMA_PATH_MAX - 1);
        return;
    }
    memcpy(s->folder, path, n);
}

static RC bind(const struct config_doc *doc, struct schema *s, struct config_issues *issues,
               struct error *err)
{
    const struct config_node *root = config_root(doc);
    struct top_map top = {0};
    enum rc rc;

    bind_folder(config_name(doc), s, issues);
    config_bind(root, top_keys, N_OF(top_keys), &top, issues);
    memcpy(s->name, top.name, sizeof s->name);
    bind_separator(&top, root, s, issues);
    s->n_missing = words_read_marks(top.missing, "missing", 0, s->missing, issues);
    rc = bind_files(&top, s, issues, err);
    if (rc == RC_OK) {
        rc = bind_columns(&top, root, s, issues, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    bind_site(&top, s, issues);
    bind_patient(&top, s, issues);
    rc = bind_label(&top, s, issues, err);
    if (rc == RC_OK) {
        rc = bind_features(&top, root, false, s, issues, err);
    }
    return rc == RC_OK ? modalities_bind(top.modalities, false, s, issues, err) : rc;
}

/* Features and label alone. Columns take their features' names, so that the rules hold unchanged. */
static RC bind_bare(const struct config_doc *doc, struct schema *s, struct config_issues *issues,
                    struct error *err)
{
    struct top_map top = {0};
    struct label_map label = {0};
    config_bind(config_root(doc), bare_keys, N_OF(bare_keys), &top, issues);
    if (top.label != NULL) {
        config_bind(top.label, bare_label_keys, N_OF(bare_label_keys), &label, issues);
        memcpy(s->label_name, label.name, sizeof s->label_name);
    }
    enum rc rc = label.classes != NULL ? bind_classes(label.classes, 0, s, issues, err) : RC_OK;
    if (rc == RC_OK) {
        rc = bind_features(&top, config_root(doc), true, s, issues, err);
    }
    return rc == RC_OK ? modalities_bind(top.modalities, true, s, issues, err) : rc;
}

typedef enum rc binder(const struct config_doc *doc, struct schema *s, struct config_issues *issues,
                       struct error *err);

static RC bind_and_close(struct config_doc *doc, binder *bind_it, const char *name,
                         struct schema *out, struct config_issues *issues, struct error *err)
{
    struct schema s = {0};

    issues->path = name;
    enum rc rc = bind_it(doc, &s, issues, err);
    if (rc == RC_OK) {
        rc = config_verdict(issues, err);
    }
    if (rc == RC_OK) {
        *out = s;
    } else {
        schema_release(&s);
    }
    config_close(&doc);
    return rc;
}

enum rc schema_open(const char *path, struct schema *out, struct config_issues *issues,
                    struct error *err)
{
    struct config_doc *doc = NULL;
    const enum rc rc = config_open(path, &doc, err);
    return rc == RC_OK ? bind_and_close(doc, bind, path, out, issues, err) : rc;
}

enum rc schema_parse(const char *name, const char *text, size_t n, struct schema *out,
                     struct config_issues *issues, struct error *err)
{
    struct config_doc *doc = NULL;
    const enum rc rc = config_parse(name, text, n, &doc, err);
    return rc == RC_OK ? bind_and_close(doc, bind, name, out, issues, err) : rc;
}

enum rc schema_parse_features(const char *name, const char *text, size_t n, struct schema *out,
                              struct config_issues *issues, struct error *err)
{
    struct config_doc *doc = NULL;
    const enum rc rc = config_parse(name, text, n, &doc, err);
    return rc == RC_OK ? bind_and_close(doc, bind_bare, name, out, issues, err) : rc;
}
