/* start: the checkpoint that a study begins from. */
#include <stdio.h>
#include <string.h>

#include "common/study/draft_internal.h"

struct start_words {
    char file[STUDY_PATH_MAX];
    char hash[HASH_HEX];
    const struct config_node *fresh;
};

/* clang-format off */
#define AT(field) offsetof(struct start_words, field)
const struct config_key study_start_keys[STUDY_START_KEYS] = {
    {.name = "file", .type = CONFIG_TEXT, .offset = AT(file), .size = STUDY_PATH_MAX,
     .help = "coordinator: path of a safetensors file, from this file's folder; its tensors have the model's names and shapes, in F32"},
    {.name = "hash", .type = CONFIG_TEXT, .offset = AT(hash), .size = HASH_HEX,
     .help = "64 hexadecimal digits: BLAKE2b of the numbers taken, which sites compare; of a whole model the `id` in its file. Write 64 zeros, and the coordinator says what to write"},
    {.name = "new", .type = CONFIG_NODE, .offset = AT(fresh), .fallback = "",
     .help = "list of blocks that begin as without a checkpoint, whether the file has them or not"},
};
#undef AT
/* clang-format on */

static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hash(const char *hex, struct hash *out)
{
    if (strlen(hex) != HASH_HEX - 1) {
        return false;
    }
    for (size_t i = 0; i < HASH_BYTES; i++) {
        const int high = digit(hex[2 * i]);
        const int low = digit(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out->b[i] = (unsigned char)(16 * high + low);
    }
    return true;
}

/* From the document's folder. */
static void take_file(const struct config_node *map, const char *path, struct study_start *out,
                      struct config_issues *issues)
{
    const char *document = issues->path == NULL ? "" : issues->path;
    const char *slash = strrchr(document, '/');
    const size_t folder = path[0] == '/' || slash == NULL ? 0 : (size_t)(slash - document) + 1;
    const int n = snprintf(out->file, sizeof out->file, "%.*s%s", (int)folder, document, path);
    if (n < 0 || n >= (int)sizeof out->file) {
        config_issue(issues, config_get(map, "file"), "file: too long a path");
    }
}

void study_read_start(const struct config_node *map, struct study_start *out,
                      struct config_issues *issues)
{
    struct start_words w;
    const size_t before = issues->n;
    memset(&w, 0, sizeof w);
    config_bind(map, study_start_keys, STUDY_START_KEYS, &w, issues);
    if (issues->n != before) {
        return;
    }
    out->there = true;
    out->line = map->line;
    take_file(map, w.file, out, issues);
    if (!parse_hash(w.hash, &out->numbers)) {
        config_issue(issues, config_get(map, "hash"),
                     "hash: must be 64 hexadecimal digits in lower case; write 64 zeros, and the "
                     "coordinator says what to write");
    }
    if (w.fresh != NULL) {
        out->n_fresh = study_read_names(w.fresh, "new", out->fresh, issues);
    }
}
