/* Any bytes are a config file: a tree that keeps its promises, or an error with its place. */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {"none", "site", "shared", NULL};

struct target {
    char name[16];
    double rate, bound;
    size_t count;
    uint64_t seed;
    bool truth;
    int choice;
    const struct config_node *node;
};

#define AT(field) offsetof(struct target, field)
/* clang-format off */
static const struct config_key keys[] = {
    {.name = "name", .type = CONFIG_TEXT, .offset = AT(name), .size = 16},
    {.name = "rate", .type = CONFIG_REAL, .offset = AT(rate), .min = -1, .max = 1, .fallback = "0.5"},
    {.name = "bound", .type = CONFIG_REAL, .offset = AT(bound), .max = (double)INFINITY, .fallback = "inf"},
    {.name = "count", .type = CONFIG_COUNT, .offset = AT(count), .min = 1, .max = 9, .fallback = "1"},
    {.name = "seed", .type = CONFIG_U64, .offset = AT(seed), .fallback = "1"},
    {.name = "truth", .type = CONFIG_BOOL, .offset = AT(truth), .fallback = "true"},
    {.name = "choice", .type = CONFIG_CHOICE, .offset = AT(choice), .choices = words, .fallback = "site"},
    {.name = "node", .type = CONFIG_NODE, .offset = AT(node), .fallback = ""},
};
/* clang-format on */

static void check_tree(const struct config_node *node, size_t depth)
{
    assert(depth <= CONFIG_DEPTH_MAX + 1);
    assert(node->line >= 1 && node->column >= 1);
    assert((node->kind == CONFIG_SCALAR) == (node->text != NULL));
    assert((node->kind == CONFIG_MAP) == (node->key != NULL));
    for (size_t i = 0; i < node->n; i++) {
        if (node->kind == CONFIG_MAP) {
            assert(node->key[i].kind == CONFIG_SCALAR && node->key[i].text[0] != '\0');
            assert(config_get(node, node->key[i].text) == &node->at[i]); /* no duplicates */
        }
        check_tree(&node->at[i], depth + 1);
    }
}

static void check_fields(const struct target *t)
{
    assert(memchr(t->name, '\0', sizeof t->name) != NULL);
    assert(t->rate >= -1 && t->rate <= 1);
    assert(t->bound >= 0);
    assert(t->count >= 1 && t->count <= 9);
    assert(t->choice >= 0 && t->choice <= 2);
    assert(t->node == NULL || t->node->kind != CONFIG_SCALAR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_doc *doc = NULL;
    struct error err = {0};
    const enum rc rc = config_parse("fuzz", (const char *)data, size, &doc, &err);
    if (rc != RC_OK) {
        assert(doc == NULL);
        assert(err.rc == rc && (rc == RC_FORMAT || rc == RC_LIMIT));
        assert(strncmp(err.text, "fuzz:", 5) == 0);
        return 0;
    }
    check_tree(config_root(doc), 1);

    static struct config_issues issues; /* large; emptied at each call */
    struct target target;
    memset(&issues, 0, sizeof issues);
    config_bind(config_root(doc), keys, sizeof keys / sizeof keys[0], &target, &issues);
    check_fields(&target);
    for (size_t i = 0; i < issues.n && i < CONFIG_ISSUES_SHOWN; i++) {
        for (const unsigned char *c = (const unsigned char *)issues.line[i]; *c != '\0'; c++) {
            assert(*c >= 0x20 && *c != 0x7f);
        }
    }
    assert((config_verdict(&issues, &err) == RC_OK) == (issues.n == 0));
    config_close(&doc);
    return 0;
}
