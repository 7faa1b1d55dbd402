/**
 * @file schema_internal.h
 * The parts of reading, hashing and printing a schema: words (lists), bind (table), modality and one
 * file a kind of modality. For this folder.
 */
#ifndef COMMON_SCHEMA_SCHEMA_INTERNAL_H
#define COMMON_SCHEMA_SCHEMA_INTERNAL_H

#include "common/schema/schema.h"

/* ---- words ---------------------------------------------------------------------------------- */

/** @return false: absent (NULL; no issue), no list, or of another length */
bool words_are_list(const struct config_node *node, const char *what, size_t least, size_t most,
                    struct config_issues *issues);
/** One list item into its room; an empty word is one that cohorts use: "" means an empty cell. */
void words_read_one(const struct config_node *node, const char *what, char room[SCHEMA_NAME_MAX],
                    struct config_issues *issues);
/** At most `most` words that differ, also as numbers. */
size_t words_read(const struct config_node *list, const char *what, size_t least, size_t most,
                  char (*room)[SCHEMA_NAME_MAX], struct config_issues *issues);
size_t words_read_marks(const struct config_node *list, const char *what, size_t least,
                        char (*room)[SCHEMA_NAME_MAX], struct config_issues *issues);
bool words_hold(char (*mark)[SCHEMA_NAME_MAX], size_t n, const char *word);
/** No word may mean two things. */
void words_keep_apart(const struct config_node *list, const char *what,
                      char (*word)[SCHEMA_NAME_MAX], size_t n_words, const char *other,
                      char (*mark)[SCHEMA_NAME_MAX], size_t n_marks, struct config_issues *issues);
/** [low, high] with low below high. @return false: a problem, reported; nothing is written */
bool words_read_range(const struct config_node *range, double *low, double *high,
                      struct config_issues *issues);

/* ---- modalities ----------------------------------------------------------------------------- */

/** @param bare as a study carries it: keys about files are unknown */
RC modalities_bind(const struct config_node *list, bool bare, struct schema *s,
                   struct config_issues *issues, struct error *err);
void modalities_release(struct schema *s);
void modalities_hash(struct hasher *h, const struct schema *s);
struct schema_part schema_part(const struct schema_modality *m);
void modalities_print(const struct schema *s, FILE *to);

/** A map of one kind. @param top the cohort's `separator` and `missing` are known already */
typedef enum rc modality_binder(const struct config_node *map, bool bare, const struct schema *s,
                                struct schema_modality *m, struct config_issues *issues,
                                struct error *err);
modality_binder series_bind, image_bind, notes_bind;
void modalities_print_keys(FILE *to);
void series_print_keys(FILE *to);
void image_print_keys(FILE *to);
void notes_print_keys(FILE *to);
void series_hash(struct hasher *h, const struct schema_modality *m);
void image_hash(struct hasher *h, const struct schema_modality *m);
void notes_hash(struct hasher *h, const struct schema_modality *m);
/** The keys after name and type, each with ", " before it. */
void series_print(const struct schema_modality *m, FILE *to);
void image_print(const struct schema_modality *m, FILE *to);
void notes_print(const struct schema_modality *m, FILE *to);
struct schema_part series_part(const struct schema_modality *m);
struct schema_part image_part(const struct schema_modality *m);
struct schema_part notes_part(const struct schema_modality *m);

/** `separator: tab` and the like. @return false: none of those, nothing is written */
bool separator_read(const char *word, char *out);
#define SEPARATOR_RULE "separator: must be \",\", \";\", \"|\", \":\" or tab"

/** `files` of a modality. @param with_ids may an entry have `ids`? */
RC sources_bind(const struct config_node *list, const struct config_node *map, bool with_ids,
                struct schema_modality *m, struct config_issues *issues, struct error *err);
/** `files: []`: this site does not have the modality, and need not say how its files are written. */
bool sources_none(const struct config_node *list);
/** `window: [from, to]`. @return false: absent, or a problem, reported */
bool window_bind(const struct config_node *node, struct schema_window *out,
                 struct config_issues *issues);
/** `columns: {patient, time, variable, value, text}`, of which a kind wants some. */
enum { LONG_TIME = 1, LONG_TIME_MAY = 2, LONG_VALUES = 4, LONG_TEXT = 8 };
void long_bind(const struct config_node *columns, const struct config_node *map, unsigned want,
               struct schema_long *out, struct config_issues *issues);
/** Words of `time_unit`, and how many hours each is. */
extern const char *const time_unit_words[];
double time_unit_hours(int word);

void print_quoted(const char *text, FILE *to);

#endif
