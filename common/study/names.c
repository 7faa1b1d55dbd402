#include <stdio.h>
#include <string.h>

#include "common/study/draft_internal.h"

size_t study_read_names(const struct config_node *list, const char *key,
                        char name[STUDY_BLOCKS_MAX][STUDY_NAME_MAX], struct config_issues *issues)
{
    size_t n = 0;
    const char *text;
    if (list->kind != CONFIG_LIST || list->n == 0 || list->n > STUDY_BLOCKS_MAX) {
        config_issue(issues, list, "%s: must be a list of 1 to %d names, as in [a, b]", key,
                     (int)STUDY_BLOCKS_MAX);
        return 0;
    }
    for (size_t i = 0; i < list->n; i++) {
        const struct config_node *node = &list->at[i];
        if (!config_as_text(node, &text, issues)) {
            continue;
        }
        if (text[0] == '\0' || strlen(text) >= STUDY_NAME_MAX) {
            config_issue(issues, node, "%s: a name has 1 to %d letters", key,
                         (int)STUDY_NAME_MAX - 1);
            continue;
        }
        for (size_t k = 0; k < n; k++) {
            if (strcmp(name[k], text) == 0) {
                config_issue(issues, node, "%s: '%s' is in the list already", key, text);
            }
        }
        (void)snprintf(name[n++], STUDY_NAME_MAX, "%s", text);
    }
    return n;
}
