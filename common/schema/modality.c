/*
 * What stands beside the table: a list of maps, each of one kind. Here is what the kinds share: names,
 * files, columns of long files, windows; and schema_layout's parts.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/schema/schema_internal.h"

#define N_OF(array) (sizeof(array) / sizeof(array)[0])

static const char *const kind_words[] = {"series", "image", "notes", NULL};
static_assert(SCHEMA_SERIES == 0 && SCHEMA_IMAGE == 1 && SCHEMA_NOTES == 2, "order of kind_words");

enum { KINDS = 3 };
static modality_binder *const bind_kind[KINDS] = {series_bind, image_bind, notes_bind};

const char *schema_kind_name(enum schema_kind kind)
{
    return (unsigned)kind < KINDS ? kind_words[kind] : "?";
}

/* ---- what the kinds share ------------------------------------------------------------------- */

const char *const time_unit_words[] = {"seconds", "minutes", "hours", "days", NULL};

double time_unit_hours(int word)
{
    static const double hours[] = {1.0 / 3600.0, 1.0 / 60.0, 1.0, 24.0};
    assert(word >= 0 && (size_t)word < N_OF(hours));
    return hours[word];
}

bool sources_none(const struct config_node *list)
{
    return list != NULL && list->kind == CONFIG_LIST && list->n == 0;
}

bool separator_read(const char *word, char *out)
{
    if (strcmp(word, "tab") == 0) {
        *out = '\t';
    } else if (strlen(word) == 1 && strchr(",;|:\t", word[0]) != NULL) {
        *out = word[0];
    } else {
        return false;
    }
    return true;
}

bool window_bind(const struct config_node *node, struct schema_window *out,
                 struct config_issues *issues)
{
    double from;
    double to;
    if (node == NULL) {
        return false;
    }
    if (!words_are_list(node, "window", 2, 2, issues) ||
        !config_as_real(&node->at[0], &from, issues) ||
        !config_as_real(&node->at[1], &to, issues)) {
        return false;
    }
    if (!(from < to) || from < -1e6 || to > 1e6) {
        config_issue(issues, node, "window: must be [from, to] in hours, with from before to");
        return false;
    }
    *out = (struct schema_window){.from_hours = from, .to_hours = to};
    return true;
}

#define SOURCE_TEXT(key, field, def, say)                                                     \
    {                                                                                         \
        .name = (key), .type = CONFIG_TEXT, .offset = offsetof(struct schema_source, field),  \
        .size = sizeof((struct schema_source *)NULL)->field, .fallback = (def), .help = (say) \
    }
static const struct config_key source_keys[] = {
    SOURCE_TEXT("path", path, NULL, "relative to this file, absolute, or $WARDROUND_DATA/..."),
    SOURCE_TEXT("site", site, "", "an import for another site leaves it closed"),
    SOURCE_TEXT("prefix", prefix, "", "put in front of its ids"),
    SOURCE_TEXT("ids", ids, "", "raw images: a file with one id a line (default: 0, 1, ...)"),
};

enum rc sources_bind(const struct config_node *list, const struct config_node *map, bool with_ids,
                     struct schema_modality *m, struct config_issues *issues, struct error *err)
{
    if (list == NULL) {
        config_issue(issues, map, "missing key 'files'");
        return RC_OK;
    }
    if (!words_are_list(list, "files", 0, SCHEMA_FILES_MAX, issues)) {
        return RC_OK;
    }
    m->file = calloc(list->n + 1, sizeof *m->file); /* none: this site does not have the modality */
    if (m->file == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the files of '%s'", m->name);
    }
    m->n_files = list->n;
    for (size_t i = 0; i < m->n_files; i++) {
        config_bind(&list->at[i], source_keys, N_OF(source_keys) - (with_ids ? 0 : 1), &m->file[i],
                    issues);
        for (size_t j = 0; j < i && m->file[i].path[0] != '\0'; j++) {
            if (strcmp(m->file[i].path, m->file[j].path) == 0) {
                config_issue(issues, &list->at[i], "this file stands here twice");
                break;
            }
        }
    }
    return RC_OK;
}

#define LONG_TEXT_KEY(key, say)                                                         \
    {                                                                                   \
        .name = #key, .type = CONFIG_TEXT, .offset = offsetof(struct schema_long, key), \
        .size = SCHEMA_NAME_MAX, .fallback = "", .help = (say)                          \
    }
static const struct config_key long_keys[] = {
    LONG_TEXT_KEY(patient, "the patient's id, or the row's where the cohort has `record`"),
    LONG_TEXT_KEY(time, "since the files' time zero, a number"),
    LONG_TEXT_KEY(variable, "which variable the row is about"),
    LONG_TEXT_KEY(value, "its value"),
    LONG_TEXT_KEY(text, "a note"),
};

void modalities_print_keys(FILE *to)
{
    static const struct config_part part[] = {
        {"`files` of a modality: each item", source_keys, N_OF(source_keys)},
        {"`columns` of series and notes", long_keys, N_OF(long_keys)},
    };
    series_print_keys(to);
    image_print_keys(to);
    notes_print_keys(to);
    config_print_parts(part, N_OF(part), to);
}

void long_bind(const struct config_node *columns, const struct config_node *map, unsigned want,
               struct schema_long *out, struct config_issues *issues)
{
    if (columns == NULL) {
        config_issue(issues, map, "missing key 'columns'");
        return;
    }
    config_bind(columns, long_keys, N_OF(long_keys), out, issues);
    const struct {
        const char *key, *name;
        bool wanted, allowed;
    } column[] = {
        {"patient", out->patient, true, true},
        {"time", out->time, (want & LONG_TIME) != 0, (want & (LONG_TIME | LONG_TIME_MAY)) != 0},
        {"variable", out->variable, (want & LONG_VALUES) != 0, (want & LONG_VALUES) != 0},
        {"value", out->value, (want & LONG_VALUES) != 0, (want & LONG_VALUES) != 0},
        {"text", out->text, (want & LONG_TEXT) != 0, (want & LONG_TEXT) != 0},
    };
    for (size_t i = 0; i < N_OF(column); i++) {
        const bool there = column[i].name[0] != '\0';
        if (column[i].wanted && !there) {
            config_issue(issues, columns, "columns: missing key '%s'", column[i].key);
        } else if (there && !column[i].allowed) {
            config_issue(issues, config_get(columns, column[i].key),
                         "columns: a modality of this type has no '%s'", column[i].key);
        }
        for (size_t j = 0; there && j < i; j++) {
            if (strcmp(column[i].name, column[j].name) == 0) {
                config_issue(issues, config_get(columns, column[i].key),
                             "columns: '%s' is also that of '%s'", column[i].name, column[j].key);
                break;
            }
        }
    }
}

/* ---- the list ------------------------------------------------------------------------------- */

/* The kind, or KINDS, reported. */
static int kind_of(const struct config_node *map, struct config_issues *issues)
{
    const struct config_node *type = config_get(map, "type");
    for (int k = 0; type != NULL && type->kind == CONFIG_SCALAR && k < KINDS; k++) {
        if (strcmp(type->text, kind_words[k]) == 0) {
            return k;
        }
    }
    config_issue(issues, type != NULL ? type : map,
                 "a modality needs `type: series`, `type: image` or `type: notes`");
    return KINDS;
}

/* What else of a study has such a name: the features, and a model's own blocks (`frozen`). */
static bool is_reserved(const char *name)
{
    static const char *const words[] = {"table", "fusion", "head"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(name, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static RC bind_one(const struct config_node *map, bool bare, struct schema *s, size_t i,
                   struct config_issues *issues, struct error *err)
{
    struct schema_modality *m = &s->modality[i];
    if (map->kind != CONFIG_MAP) {
        config_issue(issues, map, "modalities: each is a map with name and type");
        return RC_OK;
    }
    const int kind = kind_of(map, issues);
    if (kind == KINDS) {
        return RC_OK;
    }
    m->kind = (enum schema_kind)kind;
    m->columns.separator = s->separator;
    const enum rc rc = bind_kind[kind](map, bare, s, m, issues, err);
    if (is_reserved(m->name)) {
        config_issue(issues, map,
                     "name: '%s' is what studies call a part of the model itself; give the "
                     "modality another",
                     m->name);
    }
    for (size_t j = 0; j < i; j++) {
        if (m->name[0] != '\0' && strcmp(m->name, s->modality[j].name) == 0) {
            config_issue(issues, map, "'%s' stands here twice", m->name);
            break;
        }
    }
    return rc;
}

enum rc modalities_bind(const struct config_node *list, bool bare, struct schema *s,
                        struct config_issues *issues, struct error *err)
{
    enum rc rc = RC_OK;
    if (!words_are_list(list, "modalities", 1, SCHEMA_MODALITIES_MAX, issues)) {
        return RC_OK;
    }
    s->modality = calloc(list->n, sizeof *s->modality);
    if (s->modality == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the modalities");
    }
    s->n_modalities = list->n;
    for (size_t i = 0; rc == RC_OK && i < list->n; i++) {
        rc = bind_one(&list->at[i], bare, s, i, issues, err);
    }
    if (!bare && s->many_rows && s->record_column[0] == '\0') {
        config_issue(
            issues, list,
            "modalities: with `rows: many` their files must name a row, not a patient; say "
            "which column holds its name: `patient: {record: COLUMN}`");
    }
    return rc;
}

void modalities_release(struct schema *s)
{
    for (size_t i = 0; s->modality != NULL && i < s->n_modalities; i++) {
        free(s->modality[i].file);
        free(s->modality[i].series.variable);
    }
    free(s->modality);
}

void modalities_hash(struct hasher *h, const struct schema *s)
{
    if (s->n_modalities == 0) {
        return; /* the hash of a table alone is what it always was */
    }
    hasher_text(h, "modalities");
    hasher_u64(h, s->n_modalities);
    for (size_t i = 0; i < s->n_modalities; i++) {
        const struct schema_modality *m = &s->modality[i];
        hasher_text(h, m->name);
        hasher_u64(h, (uint64_t)m->kind);
        hasher_u64(h, m->has_window);
        if (m->has_window) {
            hasher_f64(h, m->window.from_hours);
            hasher_f64(h, m->window.to_hours);
        }
        switch (m->kind) {
        case SCHEMA_SERIES:
            series_hash(h, m);
            break;
        case SCHEMA_IMAGE:
            image_hash(h, m);
            break;
        case SCHEMA_NOTES:
            notes_hash(h, m);
            break;
        }
    }
}

void modalities_print(const struct schema *s, FILE *to)
{
    for (size_t i = 0; i < s->n_modalities; i++) {
        const struct schema_modality *m = &s->modality[i];
        (void)fputs(i == 0 ? "modalities:\n- {name: " : "- {name: ", to);
        print_quoted(m->name, to);
        (void)fprintf(to, ", type: %s", schema_kind_name(m->kind));
        if (m->has_window) {
            (void)fprintf(to, ", window: [%.17g, %.17g]", m->window.from_hours, m->window.to_hours);
        }
        switch (m->kind) {
        case SCHEMA_SERIES:
            series_print(m, to);
            break;
        case SCHEMA_IMAGE:
            image_print(m, to);
            break;
        case SCHEMA_NOTES:
            notes_print(m, to);
            break;
        }
        (void)fputs("}\n", to);
    }
}

struct schema_part schema_part(const struct schema_modality *m)
{
    switch (m->kind) {
    case SCHEMA_SERIES:
        return series_part(m);
    case SCHEMA_IMAGE:
        return image_part(m);
    case SCHEMA_NOTES:
        break;
    }
    return notes_part(m);
}

/* ---- batches -------------------------------------------------------------------------------- */

struct batch batch_slice(const struct batch *b, const struct schema_layout *layout, size_t at,
                         size_t n, struct batch_part room[SCHEMA_MODALITIES_MAX])
{
    assert(at <= b->B && n <= b->B - at);
    struct batch out = {.B = n,
                        .values = b->values != NULL ? b->values + at * layout->n_values : NULL,
                        .codes = b->codes != NULL ? b->codes + at * layout->n_codes : NULL,
                        .label = b->label != NULL ? b->label + at : NULL,
                        .class_of = b->class_of != NULL ? b->class_of + at : NULL};
    out.present = b->present != NULL ? b->present + at * (1 + layout->n_parts) : NULL;
    for (size_t i = 0; b->part != NULL && i < layout->n_parts; i++) {
        const struct schema_part *p = &layout->part[i];
        const struct batch_part *from = &b->part[i];
        room[i] = (struct batch_part){
            .values = from->values != NULL ? from->values + at * p->n_values : NULL,
            .mask = from->mask != NULL ? from->mask + at * p->n_mask : NULL,
            .delta = from->delta != NULL ? from->delta + at * p->n_delta : NULL,
            .codes = from->codes != NULL ? from->codes + at * p->n_codes : NULL,
            .length = from->length != NULL ? from->length + at : NULL,
        };
        out.part = room;
    }
    return out;
}
