#include <assert.h>
#include <math.h>
#include <string.h>

#include "common/config/config.h"
#include "common/config/scalar_internal.h"

enum { WHY_BYTES = 200, KNOWN_MAX = 128 };

const struct config_node *config_get(const struct config_node *map, const char *key)
{
    if (map == NULL || map->kind != CONFIG_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->n; i++) {
        if (strcmp(map->key[i].text, key) == 0) {
            return &map->at[i];
        }
    }
    return NULL;
}

/* ---- single values for lists --------------------------------------------------------------- */

/* `fmt` of the sentence about a node that is no such value; texts are shown as far as they help. */
static void not_such(const struct config_node *node, const char *wrong,
                     struct config_issues *issues)
{
    if (issues == NULL) {
        return;
    }
    if (node->kind == CONFIG_SCALAR && node->text[0] != '\0') {
        config_issue(issues, node, "'%.40s' %s", node->text, wrong);
    } else {
        config_issue(issues, node, "this %s", wrong);
    }
}

bool config_as_text(const struct config_node *node, const char **out, struct config_issues *issues)
{
    const char *wrong = scalar_text(node, out);
    if (wrong != NULL) {
        not_such(node, wrong, issues);
    }
    return wrong == NULL;
}

bool config_as_real(const struct config_node *node, double *out, struct config_issues *issues)
{
    const char *wrong = scalar_real(node, out);
    if (wrong != NULL) {
        not_such(node, wrong, issues);
    }
    return wrong == NULL;
}

bool config_as_count(const struct config_node *node, size_t *out, struct config_issues *issues)
{
    const char *wrong = scalar_count(node, out);
    if (wrong != NULL) {
        not_such(node, wrong, issues);
    }
    return wrong == NULL;
}

/* ---- one key into its place ---------------------------------------------------------------- */

/* What a value may become before it is written, by the key's type. */
union value {
    const char *text;
    double real;
    size_t count;
    uint64_t u64;
    bool truth;
    int choice; /* enums are as wide as int */
    const struct config_node *node;
};

static bool out_of_bounds(const struct config_key *key, double value, char why[WHY_BYTES])
{
    if (scalar_unbounded(key)) {
        if (isfinite(value)) {
            return false;
        }
        (void)snprintf(why, WHY_BYTES, "must be finite");
        return true;
    }
    /* An infinity is meant only where the bound itself is infinite. */
    if (value >= key->min && value <= key->max) {
        return false;
    }
    char range[SCALAR_RANGE_BYTES];
    scalar_range(key, range);
    (void)snprintf(why, WHY_BYTES, "is %.15g, must be %s", value, range);
    return true;
}

static bool read_choice(const struct config_key *key, const char *word, int *out,
                        char why[WHY_BYTES])
{
    size_t n = 0;
    for (; key->choices[n] != NULL; n++) {
        if (strcmp(word, key->choices[n]) == 0) {
            *out = (int)n;
            return true;
        }
    }
    const char *meant = scalar_nearest(word, key->choices, n);
    int used = snprintf(why, WHY_BYTES, "'%.40s' is none of", word);
    for (size_t i = 0; i < n && used > 0 && used < WHY_BYTES; i++) {
        used += snprintf(why + used, WHY_BYTES - (size_t)used, "%s %s", i == 0 ? "" : ",",
                         key->choices[i]);
    }
    if (meant != NULL && used > 0 && used < WHY_BYTES) {
        (void)snprintf(why + used, WHY_BYTES - (size_t)used, "; did you mean '%s'?", meant);
    }
    return false;
}

/* The value of a node by the key's type and bounds, or false and why not. */
static bool read_value(const struct config_key *key, const struct config_node *node,
                       union value *out, char why[WHY_BYTES])
{
    const char *wrong = NULL;
    const char *word = NULL;
    switch (key->type) {
    case CONFIG_TEXT:
        wrong = scalar_text(node, &out->text);
        if (wrong == NULL && strlen(out->text) >= key->size) {
            (void)snprintf(why, WHY_BYTES, "is longer than %zu bytes", key->size - 1);
            return false;
        }
        break;
    case CONFIG_REAL:
        wrong = scalar_real(node, &out->real);
        if (wrong == NULL && out_of_bounds(key, out->real, why)) {
            return false;
        }
        break;
    case CONFIG_COUNT:
        wrong = scalar_count(node, &out->count);
        if (wrong == NULL && out_of_bounds(key, (double)out->count, why)) {
            return false;
        }
        break;
    case CONFIG_U64:
        wrong = scalar_u64(node, &out->u64);
        if (wrong == NULL && out_of_bounds(key, (double)out->u64, why)) {
            return false;
        }
        break;
    case CONFIG_BOOL:
        wrong = scalar_bool(node, &out->truth);
        break;
    case CONFIG_CHOICE:
        wrong = scalar_text(node, &word);
        if (wrong == NULL && !read_choice(key, word, &out->choice, why)) {
            return false;
        }
        break;
    case CONFIG_NODE:
        out->node = node;
        wrong = node->kind == CONFIG_SCALAR ? "must be a list or a map" : NULL;
        break;
    }
    if (wrong != NULL && node->kind == CONFIG_SCALAR && node->text[0] != '\0') {
        (void)snprintf(why, WHY_BYTES, "'%.40s' %s", node->text, wrong);
    } else if (wrong != NULL) {
        (void)snprintf(why, WHY_BYTES, "%s", wrong);
    }
    return wrong == NULL;
}

static void write_value(const struct config_key *key, const union value *value, void *target)
{
    unsigned char *place = (unsigned char *)target + key->offset;
    switch (key->type) {
    case CONFIG_TEXT:
        memset(place, 0, key->size);
        memcpy(place, value->text, strlen(value->text));
        break;
    case CONFIG_REAL:
        memcpy(place, &value->real, sizeof value->real);
        break;
    case CONFIG_COUNT:
        memcpy(place, &value->count, sizeof value->count);
        break;
    case CONFIG_U64:
        memcpy(place, &value->u64, sizeof value->u64);
        break;
    case CONFIG_BOOL:
        memcpy(place, &value->truth, sizeof value->truth);
        break;
    case CONFIG_CHOICE:
        memcpy(place, &value->choice, sizeof value->choice);
        break;
    case CONFIG_NODE:
        *(const struct config_node **)(void *)place = value->node;
        break;
    }
}

/* Before the file is looked at, every field is its default, or 0. */
static void write_default(const struct config_key *key, void *target)
{
    union value value;
    memset(&value, 0, sizeof value);
    if (key->type == CONFIG_TEXT) {
        value.text = "";
    }
    if (key->fallback != NULL && key->type != CONFIG_NODE) {
        const bool word = key->type == CONFIG_TEXT || key->type == CONFIG_CHOICE;
        const struct config_node node = {.kind = CONFIG_SCALAR,
                                         .quoted = word,
                                         .text = key->fallback};
        char why[WHY_BYTES];
        const bool fits = read_value(key, &node, &value, why);
        assert(fits); /* the table is ours */
    }
    write_value(key, &value, target);
}

/* ---- a whole map ---------------------------------------------------------------------------- */

static void report_unknown(const struct config_node *name, const struct config_key *keys,
                           size_t n_keys, struct config_issues *issues)
{
    const char *known[KNOWN_MAX];
    assert(n_keys <= KNOWN_MAX);
    for (size_t k = 0; k < n_keys; k++) {
        known[k] = keys[k].name;
    }
    const char *meant = scalar_nearest(name->text, known, n_keys);
    if (meant != NULL) {
        config_issue(issues, name, "unknown key '%.60s'; did you mean '%s'?", name->text, meant);
    } else {
        config_issue(issues, name, "unknown key '%.60s'", name->text);
    }
}

void config_bind(const struct config_node *map, const struct config_key *keys, size_t n_keys,
                 void *target, struct config_issues *issues)
{
    for (size_t k = 0; k < n_keys; k++) {
        write_default(&keys[k], target);
    }
    if (map != NULL && map->kind != CONFIG_MAP) {
        config_issue(issues, map, "expected a map of `key: value` here");
        return;
    }
    for (size_t i = 0; map != NULL && i < map->n; i++) {
        size_t k = 0;
        while (k < n_keys && strcmp(keys[k].name, map->key[i].text) != 0) {
            k++;
        }
        union value value;
        char why[WHY_BYTES];
        if (k == n_keys) {
            report_unknown(&map->key[i], keys, n_keys, issues);
        } else if (read_value(&keys[k], &map->at[i], &value, why)) {
            write_value(&keys[k], &value, target);
        } else {
            config_issue(issues, &map->at[i], "%s: %s", keys[k].name, why);
        }
    }
    for (size_t k = 0; k < n_keys; k++) {
        if (keys[k].fallback == NULL && config_get(map, keys[k].name) == NULL) {
            config_issue(issues, map, "missing key '%s'", keys[k].name);
        }
    }
}
