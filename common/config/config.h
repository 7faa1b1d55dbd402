/**
 * @file config.h
 * YAML files -> checked plain structs. One table a struct says for each key: type, place, bounds,
 * default, help. All problems of a file are found at once, each with file:line:column and, for an
 * unknown key, the nearest known one. Home of <yaml.h>.
 */
#ifndef COMMON_CONFIG_CONFIG_H
#define COMMON_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/error.h"

enum {
    CONFIG_ISSUES_SHOWN = 50,
    CONFIG_FILE_BYTES_MAX = 1 << 20,
    CONFIG_DEPTH_MAX = 16,
    CONFIG_KEYS_MAX = 4096 /**< in one map: comparing them pairwise stays quick */
};

enum config_kind { CONFIG_SCALAR, CONFIG_LIST, CONFIG_MAP };

/** One node of the file. Plain data, owned by its document; read only. */
struct config_node {
    enum config_kind kind;
    size_t line, column;           /**< from 1 */
    bool quoted;                   /**< a quoted scalar is text, never a number */
    const char *text;              /**< SCALAR: UTF-8 without NUL inside; else NULL */
    size_t n;                      /**< LIST: items; MAP: pairs */
    const struct config_node *key; /**< MAP: [n] scalars */
    const struct config_node *at;  /**< LIST and MAP: [n] values */
};

/** Problems found so far: the first 50 as `path:line:column: error: …` lines, the rest counted. */
struct config_issues {
    const char *path; /**< shown in each line; borrowed */
    size_t n;         /**< all of them */
    char line[CONFIG_ISSUES_SHOWN][256];
};

struct config_doc; /* opaque: the tree */

/**
 * Reads one YAML document: UTF-8, no anchors or aliases, no tags or directives, keys that are single
 * words and differ, at most CONFIG_FILE_BYTES_MAX bytes and CONFIG_DEPTH_MAX levels.
 * Every RC_FORMAT text begins `path:line:column: error:`.
 * @retval RC_IO      cannot read; @retval RC_FORMAT not YAML (text has line:column);
 * @retval RC_LIMIT   too large, too deep, or more than CONFIG_KEYS_MAX keys in a map
 */
RC config_open(const char *path, struct config_doc **out, struct error *err);
/** The same from memory; `name` stands for the path in messages. */
RC config_parse(const char *name, const char *text, size_t n, struct config_doc **out,
                struct error *err);
void config_close(struct config_doc **doc);
const struct config_node *config_root(const struct config_doc *doc);
/** The path or name it was read from. */
const char *config_name(const struct config_doc *doc);

enum config_type {
    CONFIG_TEXT,   /**< char[size] at offset, NUL-terminated; longer is an error */
    CONFIG_REAL,   /**< double in [min, max]; NaN never; `inf` only if max is (double)INFINITY */
    CONFIG_COUNT,  /**< size_t in [min, max] */
    CONFIG_U64,    /**< uint64_t in [min, max] */
    CONFIG_BOOL,   /**< bool: true or false */
    CONFIG_CHOICE, /**< int-sized enum: index into `choices` (NULL-terminated) */
    CONFIG_NODE    /**< const struct config_node *: list or map that the caller reads itself; the
                        node lives as long as its document */
};

/** One key of a map. */
struct config_key {
    const char *name;
    enum config_type type;
    size_t offset;
    size_t size;                /**< CONFIG_TEXT: room with NUL */
    double min, max;            /**< numbers; both 0 means unbounded (counts: >= 0) */
    const char *const *choices; /**< CONFIG_CHOICE */
    const char *fallback;       /**< value if absent, as it would be written and within the bounds;
                                     NULL: required; for CONFIG_NODE "" means optional (NULL
                                     pointer) */
    const char *help;           /**< one line for the reference page */
};

/**
 * Fills `target` from `map`. Problems go to `issues` (unknown or missing keys, wrong type or range);
 * fields with problems keep their default or 0. Call again for nested maps. A NULL map is an absent
 * one: everything takes its default, and required keys are missing. At most 128 keys.
 */
void config_bind(const struct config_node *map, const struct config_key *keys, size_t n_keys,
                 void *target, struct config_issues *issues);

/** One more problem at a node, or of the whole file if `at` is NULL. The line is cut at 255 bytes, and
 *  what is not printable in it becomes `?`: it may quote the file. */
void config_issue(struct config_issues *issues, const struct config_node *at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/** The value under a key, or NULL. */
const struct config_node *config_get(const struct config_node *map, const char *key);

/**
 * Strict scalar readers for lists; false and an issue if it is not one. `issues` may be NULL: then
 * the answer is all. A real may be infinite, a text is not bounded: the caller looks.
 */
bool config_as_text(const struct config_node *node, const char **out, struct config_issues *issues);
bool config_as_real(const struct config_node *node, double *out, struct config_issues *issues);
bool config_as_count(const struct config_node *node, size_t *out, struct config_issues *issues);

/** RC_INVALID with the first line and the number of others, if there is any problem. */
RC config_verdict(const struct config_issues *issues, struct error *err);

/** All shown lines, then "… and N more". */
void config_print_issues(const struct config_issues *issues, FILE *to);

/** Reference page of one table in Markdown: key, type, range, default, help. */
void config_print_reference(const struct config_key *keys, size_t n_keys, FILE *to);

/** A map of a file, for its reference page. */
struct config_part {
    const char *title;
    const struct config_key *keys;
    size_t n_keys;
};
/** Each with its title, and an empty line before it. */
void config_print_parts(const struct config_part *part, size_t n, FILE *to);

#endif
