/* Lists of words and numbers in a cohort.yaml, each problem at the line it is about. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "common/schema/schema_internal.h"

#define RANGE_MAX 1e15 /* no clinical quantity is larger; keeps the scaling far from overflow */

bool words_are_list(const struct config_node *node, const char *what, size_t least, size_t most,
                    struct config_issues *issues)
{
    if (node == NULL) {
        return false; /* absent: either fine or said by config_bind */
    }
    if (node->kind != CONFIG_LIST) {
        config_issue(issues, node, "%s: must be a list", what);
        return false;
    }
    if (node->n < least || node->n > most) {
        config_issue(issues, node, "%s: %zu entries, must be %zu to %zu", what, node->n, least,
                     most);
        return false;
    }
    return true;
}

void words_read_one(const struct config_node *node, const char *what, char room[SCHEMA_NAME_MAX],
                    struct config_issues *issues)
{
    const char *text;
    if (!config_as_text(node, &text, issues)) {
        return;
    }
    if (strlen(text) >= SCHEMA_NAME_MAX) {
        config_issue(issues, node, "%s: longer than %d bytes", what, SCHEMA_NAME_MAX - 1);
        return;
    }
    memcpy(room, text, strlen(text) + 1);
}

/* Number of a word, NaN if it is none. */
static double number_of(const char *word)
{
    double x = (double)NAN;
    (void)schema_number(word, &x); /* a word that is no number leaves the NaN */
    return x;
}

size_t words_read(const struct config_node *list, const char *what, size_t least, size_t most,
                  char (*room)[SCHEMA_NAME_MAX], struct config_issues *issues)
{
    double number[SCHEMA_CATEGORIES_MAX]; /* parsed once: the comparison below is quadratic */
    assert(most <= SCHEMA_CATEGORIES_MAX);

    if (!words_are_list(list, what, least, most, issues)) {
        return 0;
    }
    for (size_t i = 0; i < list->n; i++) {
        words_read_one(&list->at[i], what, room[i], issues);
        number[i] = number_of(room[i]);
        for (size_t j = 0; j < i; j++) {
            const bool same =
                isnan(number[i]) ? strcmp(room[i], room[j]) == 0 : number[i] - number[j] == 0.0;
            if (same) {
                config_issue(issues, &list->at[i], "%s: '%s' stands here twice", what, room[i]);
                break;
            }
        }
    }
    return list->n;
}

size_t words_read_marks(const struct config_node *list, const char *what, size_t least,
                        char (*room)[SCHEMA_NAME_MAX], struct config_issues *issues)
{
    return words_read(list, what, least, SCHEMA_MARKS_MAX, room, issues);
}

bool words_hold(char (*mark)[SCHEMA_NAME_MAX], size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++) {
        if (schema_same(mark[i], word)) {
            return true;
        }
    }
    return false;
}

void words_keep_apart(const struct config_node *list, const char *what,
                      char (*word)[SCHEMA_NAME_MAX], size_t n_words, const char *other,
                      char (*mark)[SCHEMA_NAME_MAX], size_t n_marks, struct config_issues *issues)
{
    for (size_t i = 0; i < n_words; i++) {
        if (words_hold(mark, n_marks, word[i])) {
            config_issue(issues, &list->at[i], "%s: '%s' is also %s", what, word[i], other);
        }
    }
}

bool words_read_range(const struct config_node *range, double *low_out, double *high_out,
                      struct config_issues *issues)
{
    double low;
    double high;
    if (!words_are_list(range, "range", 2, 2, issues) ||
        !config_as_real(&range->at[0], &low, issues) ||
        !config_as_real(&range->at[1], &high, issues)) {
        return false;
    }
    if (!(low < high) || fabs(low) > RANGE_MAX || fabs(high) > RANGE_MAX) {
        config_issue(issues, range, "range: must be [low, high] with low below high");
        return false;
    }
    *low_out = low;
    *high_out = high;
    return true;
}
