/*
 * Notes: text as a bounded sequence of ids. With words, each is hashed into a public vocabulary, and
 * so are the n-grams that end with it; with bytes, an id is the byte.
 *
 *   tokens: 256, vocabulary: 4096, unit: words, ngrams: 2, seed: 0
 *   window: [0, 24]         hours after time zero, where a column says when a note was written
 */
#include <string.h>

#include "common/schema/schema_internal.h"

#define N_OF(array) (sizeof(array) / sizeof(array)[0])

static const char *const notes_words[] = {"notes", NULL};
static const char *const unit_words[] = {"words", "bytes", NULL};
static const char *const format_words[] = {"csv", "txt", NULL};

struct notes_map {
    char name[SCHEMA_NAME_MAX], separator[SCHEMA_NAME_MAX];
    int type, unit, format, time_unit;
    size_t tokens, vocabulary, ngrams;
    uint64_t seed;
    const struct config_node *window, *files, *columns;
};

/* clang-format off */
enum { NOTES_PUBLIC = 8, BYTE_VALUES = 256 };
#define AT(field) offsetof(struct notes_map, field)
static const struct config_key notes_keys[] = {
    {.name = "name", .type = CONFIG_TEXT, .offset = AT(name), .size = SCHEMA_NAME_MAX, .help = "what both ends call it"},
    {.name = "type", .type = CONFIG_CHOICE, .offset = AT(type), .choices = notes_words, .help = "notes"},
    {.name = "window", .type = CONFIG_NODE, .offset = AT(window), .fallback = "",
     .help = "[from, to] in hours after time zero; needs a column `time`"},
    {.name = "tokens", .type = CONFIG_COUNT, .offset = AT(tokens), .min = 1, .max = SCHEMA_TOKENS_MAX,
     .help = "the first so many of a patient"},
    {.name = "unit", .type = CONFIG_CHOICE, .offset = AT(unit), .choices = unit_words, .fallback = "words",
     .help = "words: hashed; bytes: as they are"},
    {.name = "vocabulary", .type = CONFIG_COUNT, .offset = AT(vocabulary), .min = 2, .max = SCHEMA_VOCABULARY_MAX,
     .fallback = "256", .help = "ids are below it"},
    {.name = "ngrams", .type = CONFIG_COUNT, .offset = AT(ngrams), .min = 1, .max = SCHEMA_NGRAMS_MAX, .fallback = "1",
     .help = "words in a row that are a token of their own"},
    {.name = "seed", .type = CONFIG_U64, .offset = AT(seed), .fallback = "0", .help = "of the hash; public"},
    /* what only the site knows */
    {.name = "files", .type = CONFIG_NODE, .offset = AT(files), .fallback = "", .help = "list of {path, site, prefix}"},
    {.name = "format", .type = CONFIG_CHOICE, .offset = AT(format), .choices = format_words, .fallback = "csv",
     .help = "csv: a column; txt: folders of ID.txt, or ID.1.txt, ID.2.txt, ..."},
    {.name = "columns", .type = CONFIG_NODE, .offset = AT(columns), .fallback = "", .help = "csv: {patient, text, time}"},
    {.name = "time_unit", .type = CONFIG_CHOICE, .offset = AT(time_unit), .choices = time_unit_words, .fallback = "hours",
     .help = "of the column `time`"},
    {.name = "separator", .type = CONFIG_TEXT, .offset = AT(separator), .size = SCHEMA_NAME_MAX, .fallback = "",
     .help = "of its files (default: the cohort's)"},
};
#undef AT
/* clang-format on */

void notes_print_keys(FILE *to)
{
    static const struct config_part part[] = {
        {"`modalities`: an item of type notes", notes_keys, N_OF(notes_keys)},
    };
    config_print_parts(part, N_OF(part), to);
}

static void bind_tokens(const struct config_node *node, const struct notes_map *map,
                        struct schema_notes *notes, struct config_issues *issues)
{
    notes->unit = (enum schema_unit)map->unit;
    notes->tokens = map->tokens;
    notes->vocabulary = map->vocabulary;
    notes->ngrams = map->ngrams;
    notes->seed = map->seed;
    if (notes->unit == SCHEMA_WORDS && config_get(node, "vocabulary") == NULL) {
        config_issue(issues, node, "missing key 'vocabulary': how many ids words are hashed to");
    }
    if (notes->unit == SCHEMA_BYTES &&
        (notes->vocabulary != BYTE_VALUES || notes->ngrams != 1 || notes->seed != 0)) {
        config_issue(issues, node,
                     "unit: bytes are not hashed; leave out vocabulary, ngrams, seed");
    }
}

static void bind_csv(const struct config_node *node, const struct notes_map *map,
                     struct schema_modality *m, struct config_issues *issues)
{
    long_bind(map->columns, node, LONG_TIME_MAY | LONG_TEXT, &m->columns, issues);
    m->columns.hours_per_unit = time_unit_hours(map->time_unit);
    if (map->separator[0] != '\0' && !separator_read(map->separator, &m->columns.separator)) {
        config_issue(issues, config_get(node, "separator"), SEPARATOR_RULE);
    }
}

enum rc notes_bind(const struct config_node *node, bool bare, const struct schema *s,
                   struct schema_modality *m, struct config_issues *issues, struct error *err)
{
    struct notes_map map = {0};
    (void)s;
    config_bind(node, notes_keys, bare ? NOTES_PUBLIC : N_OF(notes_keys), &map, issues);
    memcpy(m->name, map.name, sizeof m->name);
    m->has_window = window_bind(map.window, &m->window, issues);
    bind_tokens(node, &map, &m->notes, issues);
    if (bare || sources_none(map.files)) {
        return RC_OK;
    }
    m->notes.format = (enum schema_notes_format)map.format;
    if (m->notes.format == SCHEMA_CSV) {
        bind_csv(node, &map, m, issues);
    } else if (map.columns != NULL) {
        config_issue(issues, map.columns, "columns: only `format: csv` has them");
    }
    if (m->has_window && m->columns.time[0] == '\0') {
        config_issue(issues, map.window, "window: needs a column `time` that says when");
    }
    return sources_bind(map.files, node, false, m, issues, err);
}

void notes_hash(struct hasher *h, const struct schema_modality *m)
{
    hasher_u64(h, (uint64_t)m->notes.unit);
    hasher_u64(h, m->notes.tokens);
    hasher_u64(h, m->notes.vocabulary);
    hasher_u64(h, m->notes.ngrams);
    hasher_u64(h, m->notes.seed);
}

void notes_print(const struct schema_modality *m, FILE *to)
{
    (void)fprintf(to, ", tokens: %zu", m->notes.tokens);
    if (m->notes.unit == SCHEMA_BYTES) {
        (void)fputs(", unit: bytes", to);
    } else {
        (void)fprintf(to, ", unit: words, vocabulary: %zu, ngrams: %zu, seed: %llu",
                      m->notes.vocabulary, m->notes.ngrams, (unsigned long long)m->notes.seed);
    }
}

struct schema_part notes_part(const struct schema_modality *m)
{
    return (struct schema_part){.kind = SCHEMA_NOTES,
                                .items = m->notes.tokens,
                                .vocabulary = m->notes.vocabulary,
                                .n_codes = m->notes.tokens,
                                .has_length = true};
}
