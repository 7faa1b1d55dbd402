#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/scalar_internal.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* YAML's three spellings of "nothing"; quoted, they are words like any other. */
static bool is_nothing(const struct config_node *node)
{
    return !node->quoted && (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
                             strcmp(node->text, "null") == 0);
}

const char *scalar_text(const struct config_node *node, const char **out)
{
    if (node->kind != CONFIG_SCALAR) {
        return node->kind == CONFIG_LIST ? "is a list, not a single value"
                                         : "is a map, not a single value";
    }
    if (is_nothing(node)) {
        return "has no value";
    }
    *out = node->text;
    return NULL;
}

/* The text of a number or truth value: single, there, and not in quotes. */
static const char *plain_word(const struct config_node *node, const char **out)
{
    const char *wrong = scalar_text(node, out);
    if (wrong == NULL && node->quoted) {
        wrong = "is text because of its quotes; write it without";
    }
    return wrong;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit before or after the point. */
static bool is_decimal(const char *s)
{
    size_t n = 0;
    s += *s == '+' || *s == '-';
    for (; is_digit(*s); s++) {
        n++;
    }
    if (*s == '.') {
        for (s++; is_digit(*s); s++) {
            n++;
        }
    }
    if (n == 0) {
        return false;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-';
        if (!is_digit(*s)) {
            return false;
        }
        while (is_digit(*s)) {
            s++;
        }
    }
    return *s == '\0';
}

const char *scalar_real(const struct config_node *node, double *out)
{
    const char *word;
    const char *wrong = plain_word(node, &word);
    if (wrong != NULL) {
        return wrong;
    }
    const char *size = word + (*word == '+' || *word == '-');
    if (strcmp(size, "inf") == 0 || strcmp(size, ".inf") == 0) {
        *out = *word == '-' ? -(double)INFINITY : (double)INFINITY;
        return NULL;
    }
    if (!is_decimal(word)) {
        return strchr(word, ',') != NULL ? "is not a number; the decimal sign is a point"
                                         : "is not a number";
    }
    errno = 0;
    char *end;
    const double value = strtod(word, &end);
    if (*end != '\0') {
        return "is not a number"; /* a locale with another decimal sign */
    }
    if (errno == ERANGE) {
        return fabs(value) > 1 ? "is too large for a number" : "is too close to 0 for a number";
    }
    *out = value;
    return NULL;
}

const char *scalar_u64(const struct config_node *node, uint64_t *out)
{
    const char *word;
    const char *wrong = plain_word(node, &word);
    if (wrong != NULL) {
        return wrong;
    }
    if (word[strspn(word, "0123456789")] != '\0') {
        return "is not a whole number in plain digits";
    }
    if (word[0] == '0' && word[1] != '\0') {
        return "has a leading 0, which elsewhere means octal; write it without";
    }
    errno = 0;
    const unsigned long long value = strtoull(word, NULL, 10);
    if (errno == ERANGE) {
        return "is too large for a whole number";
    }
    *out = value;
    return NULL;
}

const char *scalar_count(const struct config_node *node, size_t *out)
{
    uint64_t value;
    const char *wrong = scalar_u64(node, &value);
    if (wrong != NULL) {
        return wrong;
    }
    if (value > SIZE_MAX) {
        return "is too large for a whole number";
    }
    *out = (size_t)value;
    return NULL;
}

const char *scalar_bool(const struct config_node *node, bool *out)
{
    const char *word;
    const char *wrong = plain_word(node, &word);
    if (wrong != NULL) {
        return wrong;
    }
    if (strcmp(word, "true") != 0 && strcmp(word, "false") != 0) {
        return "is neither true nor false";
    }
    *out = word[0] == 't';
    return NULL;
}

/* ---- did you mean ------------------------------------------------------------------------- */

enum { WORD_MAX = 63 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: insert, delete, replace, swap neighbours; case does not count.
 * Rows are prefixes of a; three of them are enough. */
static size_t edit_distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t row[3][WORD_MAX + 1];
    for (size_t j = 0; j <= n_b; j++) {
        row[0][j] = j;
    }
    for (size_t i = 1; i <= n_a; i++) {
        size_t *now = row[i % 3];
        const size_t *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            const char x = lower(a[i - 1]), y = lower(b[j - 1]);
            now[j] = least(last[j - 1] + (x != y), least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y) {
                now[j] = least(now[j], before[j - 2] + 1);
            }
        }
    }
    return row[n_a % 3][n_b];
}

const char *scalar_nearest(const char *word, const char *const *known, size_t n)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    const size_t n_word = strlen(word);
    for (size_t k = 0; k < n && n_word <= WORD_MAX; k++) {
        const size_t n_known = strlen(known[k]);
        if (n_known > WORD_MAX) {
            continue;
        }
        const size_t distance = edit_distance(word, n_word, known[k], n_known);
        if (distance < best_distance && distance <= 1 + n_known / 3 && distance < n_known) {
            best = known[k];
            best_distance = distance;
        }
    }
    return best;
}

/* ---- bounds in words ---------------------------------------------------------------------- */

bool scalar_unbounded(const struct config_key *key)
{
    /* +0 and -0 alike; not ==, which -Wfloat-equal users rightly dislike */
    return !(key->min < 0.0 || key->min > 0.0 || key->max < 0.0 || key->max > 0.0);
}

void scalar_range(const struct config_key *key, char out[SCALAR_RANGE_BYTES])
{
    out[0] = '\0';
    if (scalar_unbounded(key)) {
        return;
    }
    const bool low = isfinite(key->min), high = isfinite(key->max);
    if (low && high) {
        (void)snprintf(out, SCALAR_RANGE_BYTES, "from %.15g to %.15g", key->min, key->max);
    } else if (low) {
        (void)snprintf(out, SCALAR_RANGE_BYTES, "at least %.15g", key->min);
    } else if (high) {
        (void)snprintf(out, SCALAR_RANGE_BYTES, "at most %.15g", key->max);
    }
}
