/*
 * Irregular time series: what is measured, in which range, in which window, and in which of two forms
 * a model gets it.
 *
 *   window: [0, 48]                     hours after the files' time zero; from is in it, to is not
 *   grid: {steps: 48, fill: last}       or   events: 256
 *   variables: [{name: HR, unit: 1/min, range: [20, 220]},
 *               {name: creatinine, unit: mg/dl, range: [0.2, 20], scale: log}, …]
 */
#include <stdlib.h>
#include <string.h>

#include "common/schema/schema_internal.h"

#define N_OF(array) (sizeof(array) / sizeof(array)[0])

static const char *const series_words[] = {"series", NULL};
static const char *const fill_words[] = {"zero", "last", NULL};
static const char *const scale_words[] = {"linear", "log", NULL};

struct series_map {
    char name[SCHEMA_NAME_MAX], separator[SCHEMA_NAME_MAX];
    int type, time_unit;
    size_t events;
    const struct config_node *window, *grid, *variables, *files, *columns;
};

struct grid_map {
    size_t steps;
    int fill;
};

struct variable_map {
    char name[SCHEMA_NAME_MAX], unit[SCHEMA_NAME_MAX], code[SCHEMA_NAME_MAX];
    int scale;
    const struct config_node *range, *missing;
};

/* clang-format off */
#define NODE(key, map, def, say) \
    {.name = #key, .type = CONFIG_NODE, .offset = offsetof(struct map, key), .fallback = (def), .help = (say)}
#define TEXT(key, map, def, say) \
    {.name = #key, .type = CONFIG_TEXT, .offset = offsetof(struct map, key), .size = SCHEMA_NAME_MAX, \
     .fallback = (def), .help = (say)}
enum { SERIES_PUBLIC = 6, VARIABLE_PUBLIC = 4 };
static const struct config_key series_keys[] = {
    TEXT(name,      series_map, NULL, "what both ends call it"),
    {.name = "type", .type = CONFIG_CHOICE, .offset = offsetof(struct series_map, type), .choices = series_words,
     .help = "series"},
    NODE(window,    series_map, NULL, "[from, to] in hours after time zero"),
    NODE(grid,      series_map, "",   "{steps, fill}: resampled"),
    {.name = "events", .type = CONFIG_COUNT, .offset = offsetof(struct series_map, events), .min = 0,
     .max = SCHEMA_EVENTS_MAX, .fallback = "0", .help = "event form: the last so many of a patient"},
    NODE(variables, series_map, NULL, "list of {name, unit, range}"),
    /* what only the site knows */
    NODE(files,     series_map, "",   "list of {path, site, prefix}"),
    NODE(columns,   series_map, "",   "{patient, time, variable, value}"),
    {.name = "time_unit", .type = CONFIG_CHOICE, .offset = offsetof(struct series_map, time_unit),
     .choices = time_unit_words, .fallback = "hours", .help = "of the column `time`"},
    TEXT(separator, series_map, "",   "of its files (default: the cohort's)"),
};
static const struct config_key grid_keys[] = {
    {.name = "steps", .type = CONFIG_COUNT, .offset = offsetof(struct grid_map, steps), .min = 1,
     .max = SCHEMA_STEPS_MAX, .help = "bins of equal width in the window"},
    {.name = "fill", .type = CONFIG_CHOICE, .offset = offsetof(struct grid_map, fill), .choices = fill_words,
     .fallback = "zero", .help = "of a bin without a value"},
};
static const struct config_key variable_keys[] = {
    TEXT(name,    variable_map, NULL, "what both ends call it"),
    TEXT(unit,    variable_map, "",   "as clinicians write it"),
    NODE(range,   variable_map, NULL, "[low, high], public and clinical"),
    {.name = "scale", .type = CONFIG_CHOICE, .offset = offsetof(struct variable_map, scale), .choices = scale_words,
     .fallback = "linear", .help = "log: equal ratios are equal steps; range above 0"},
    TEXT(code,    variable_map, "",   "as the files write it (default: the name)"),
    NODE(missing, variable_map, "",   "values that mean: not known"),
};
#undef NODE
#undef TEXT
/* clang-format on */

void series_print_keys(FILE *to)
{
    static const struct config_part part[] = {
        {"`modalities`: an item of type series", series_keys, N_OF(series_keys)},
        {"`grid` of a series", grid_keys, N_OF(grid_keys)},
        {"`variables` of a series: each item", variable_keys, N_OF(variable_keys)},
    };
    config_print_parts(part, N_OF(part), to);
}

static void bind_variable(const struct config_node *map, bool bare, struct schema_series *series,
                          size_t i, struct config_issues *issues)
{
    struct variable_map v = {0};
    struct schema_variable *to = &series->variable[i];
    config_bind(map, variable_keys, bare ? VARIABLE_PUBLIC : N_OF(variable_keys), &v, issues);
    memcpy(to->name, v.name, sizeof to->name);
    memcpy(to->unit, v.unit, sizeof to->unit);
    memcpy(to->code, v.code[0] != '\0' ? v.code : v.name, sizeof to->code);
    to->scale = (enum schema_scaling)v.scale;
    if (v.range != NULL /* else it is named as missing */ &&
        words_read_range(v.range, &to->low, &to->high, issues) && to->scale == SCHEMA_LOG &&
        !(to->low > 0.0)) {
        config_issue(issues, v.range, "range: must be above 0 with `scale: log`");
    }
    to->n_missing = words_read_marks(v.missing, "missing", 0, to->missing, issues);
    for (size_t j = 0; j < i && to->name[0] != '\0'; j++) {
        if (strcmp(to->name, series->variable[j].name) == 0) {
            config_issue(issues, map, "'%s' stands here twice", to->name);
            break;
        }
        if (strcmp(to->code, series->variable[j].code) == 0) {
            config_issue(issues, map, "'%s': its code is also that of '%s'", to->name,
                         series->variable[j].name);
            break;
        }
    }
}

static RC bind_variables(const struct config_node *list, bool bare, struct schema_series *series,
                         struct config_issues *issues, struct error *err)
{
    if (!words_are_list(list, "variables", 1, SCHEMA_VARIABLES_MAX, issues)) {
        return RC_OK;
    }
    series->variable = calloc(list->n, sizeof *series->variable);
    if (series->variable == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the variables");
    }
    series->n_variables = list->n;
    for (size_t i = 0; i < list->n; i++) {
        bind_variable(&list->at[i], bare, series, i, issues);
    }
    return RC_OK;
}

static void bind_form(const struct config_node *node, const struct series_map *map,
                      struct schema_series *series, struct config_issues *issues)
{
    struct grid_map grid = {0};
    if ((map->grid != NULL) == (config_get(node, "events") != NULL)) {
        config_issue(issues, node, "write either `grid: {steps: N}` or `events: N`");
        return;
    }
    if (map->grid != NULL) {
        config_bind(map->grid, grid_keys, N_OF(grid_keys), &grid, issues);
        series->form = SCHEMA_GRID;
        series->steps = grid.steps;
        series->fill = (enum schema_fill)grid.fill;
        return;
    }
    if (map->events == 0) {
        config_issue(issues, config_get(node, "events"), "events: must be at least 1");
    }
    series->form = SCHEMA_EVENTS;
    series->events = map->events;
}

enum rc series_bind(const struct config_node *node, bool bare, const struct schema *s,
                    struct schema_modality *m, struct config_issues *issues, struct error *err)
{
    struct series_map map = {0};
    (void)s;
    config_bind(node, series_keys, bare ? SERIES_PUBLIC : N_OF(series_keys), &map, issues);
    memcpy(m->name, map.name, sizeof m->name);
    m->has_window = window_bind(map.window, &m->window, issues);
    bind_form(node, &map, &m->series, issues);
    enum rc rc = bind_variables(map.variables, bare, &m->series, issues, err);
    if (rc == RC_OK && m->series.steps * m->series.n_variables > SCHEMA_GRID_MAX) {
        config_issue(issues, node, "grid: steps times variables must be at most %d",
                     SCHEMA_GRID_MAX);
    }
    if (bare || rc != RC_OK || sources_none(map.files)) {
        return rc;
    }
    long_bind(map.columns, node, LONG_TIME | LONG_VALUES, &m->columns, issues);
    m->columns.hours_per_unit = time_unit_hours(map.time_unit);
    if (map.separator[0] != '\0' && !separator_read(map.separator, &m->columns.separator)) {
        config_issue(issues, config_get(node, "separator"), SEPARATOR_RULE);
    }
    return sources_bind(map.files, node, false, m, issues, err);
}

void series_hash(struct hasher *h, const struct schema_modality *m)
{
    const struct schema_series *s = &m->series;
    bool logarithmic = false;
    hasher_u64(h, (uint64_t)s->form);
    hasher_u64(h, (uint64_t)s->fill);
    hasher_u64(h, s->steps);
    hasher_u64(h, s->events);
    hasher_u64(h, s->n_variables);
    for (size_t i = 0; i < s->n_variables; i++) {
        hasher_text(h, s->variable[i].name);
        hasher_text(h, s->variable[i].unit);
        hasher_f64(h, s->variable[i].low);
        hasher_f64(h, s->variable[i].high);
        logarithmic = logarithmic || s->variable[i].scale == SCHEMA_LOG;
    }
    if (!logarithmic) {
        return; /* the hash of linear scales is what it was before there were others */
    }
    hasher_text(h, "scales");
    for (size_t i = 0; i < s->n_variables; i++) {
        hasher_u64(h, (uint64_t)s->variable[i].scale);
    }
}

void series_print(const struct schema_modality *m, FILE *to)
{
    const struct schema_series *s = &m->series;
    if (s->form == SCHEMA_GRID) {
        (void)fprintf(to, ", grid: {steps: %zu, fill: %s}", s->steps, fill_words[s->fill]);
    } else {
        (void)fprintf(to, ", events: %zu", s->events);
    }
    for (size_t i = 0; i < s->n_variables; i++) {
        const struct schema_variable *v = &s->variable[i];
        (void)fputs(i == 0 ? ", variables: [{name: " : ", {name: ", to);
        print_quoted(v->name, to);
        (void)fputs(", unit: ", to);
        print_quoted(v->unit, to);
        (void)fprintf(to, ", range: [%.17g, %.17g]%s}", v->low, v->high,
                      v->scale == SCHEMA_LOG ? ", scale: log" : "");
    }
    (void)fputs("]", to);
}

struct schema_part series_part(const struct schema_modality *m)
{
    const struct schema_series *s = &m->series;
    struct schema_part p = {.kind = SCHEMA_SERIES,
                            .form = s->form,
                            .fill = s->fill,
                            .steps = s->steps,
                            .variables = s->n_variables,
                            .items = s->events};
    if (s->form == SCHEMA_GRID) {
        p.n_values = s->steps * s->n_variables;
        p.n_mask = p.n_values;
        p.n_delta = p.n_values;
    } else {
        p.n_values = s->events;
        p.n_delta = s->events;
        p.n_codes = s->events;
        p.has_length = true;
    }
    return p;
}
