/*
 * Bytes -> libyaml events -> a flat list of items in document order -> a tree of nodes in one arena.
 * Everything of YAML that lets one file mean two things is refused on the way: anchors, aliases,
 * tags, directives, duplicate or compound keys, several documents, NULs inside text.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "common/base/arena.h"
#include "common/config/config.h"

struct config_doc {
    struct arena memory; /* the tree, its texts and its name */
    const struct config_node *root;
    const char *name;
};

/* A node before its children are known. Children follow their parent. */
struct item {
    enum config_kind kind;
    bool quoted;
    size_t line, column;
    size_t text; /* SCALAR: offset into the text pool */
    size_t n;    /* LIST: children; MAP: keys and values together */
};

struct reader {
    const char *name;
    const unsigned char *bytes;
    size_t n_bytes;
    yaml_parser_t yaml;
    struct item *item;
    size_t n_items, room_items;
    char *text;
    size_t n_text, room_text;
    size_t open[CONFIG_DEPTH_MAX]; /* items whose children are being read */
    size_t depth;
    bool had_document, at_end;
};

/* ---- saying where --------------------------------------------------------------------------- */

static enum rc refuse(const struct reader *r, enum rc rc, yaml_mark_t at, const char *what,
                      struct error *err)
{
    return error_set(err, rc, "%.120s:%zu:%zu: error: %s", r->name, at.line + 1, at.column + 1,
                     what);
}

/* libyaml counts characters for its marks but bytes for what is not even a character. */
static yaml_mark_t mark_of_byte(const struct reader *r, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    for (size_t i = 0; i < offset && i < r->n_bytes; i++) {
        if (r->bytes[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if ((r->bytes[i] & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

static enum rc parser_problem(const struct reader *r, struct error *err)
{
    const char *problem = r->yaml.problem != NULL ? r->yaml.problem : "not YAML";
    switch (r->yaml.error) {
    case YAML_MEMORY_ERROR:
        return error_set(err, RC_NOMEM, "%.120s: no memory to parse it", r->name);
    case YAML_READER_ERROR:
        return refuse(r, RC_FORMAT, mark_of_byte(r, r->yaml.problem_offset), problem, err);
    case YAML_NO_ERROR:
    case YAML_SCANNER_ERROR:
    case YAML_PARSER_ERROR:
    case YAML_COMPOSER_ERROR:
    case YAML_WRITER_ERROR:
    case YAML_EMITTER_ERROR:
        break;
    }
    return refuse(r, RC_FORMAT, r->yaml.problem_mark, problem, err);
}

/* ---- events to items ------------------------------------------------------------------------- */

/* At least `need` elements of `size` bytes, at least doubled each time. */
static enum rc make_room(void **block, size_t *room, size_t need, size_t size, struct error *err)
{
    if (need <= *room) {
        return RC_OK;
    }
    const size_t wanted = need > 2 * *room ? need + 64 : 2 * *room;
    void *more = realloc(*block, wanted * size); /* the file's size bounds both factors */
    if (more == NULL) {
        return error_set(err, RC_NOMEM, "no memory for a config file");
    }
    *block = more;
    *room = wanted;
    return RC_OK;
}

static enum rc add_item(struct reader *r, enum config_kind kind, yaml_mark_t at, struct error *err)
{
    if (r->depth > 0) {
        struct item *parent = &r->item[r->open[r->depth - 1]];
        const bool is_key = parent->kind == CONFIG_MAP && parent->n % 2 == 0;
        if (is_key && kind != CONFIG_SCALAR) {
            return refuse(r, RC_FORMAT, at, "a key must be a single word", err);
        }
        if (is_key && parent->n / 2 == CONFIG_KEYS_MAX) {
            return refuse(r, RC_LIMIT, at, "too many keys in one map", err);
        }
        parent->n++;
    }
    void *block = r->item;
    const enum rc rc = make_room(&block, &r->room_items, r->n_items + 1, sizeof *r->item, err);
    r->item = block;
    if (rc != RC_OK) {
        return rc;
    }
    r->item[r->n_items] = (struct item){.kind = kind, .line = at.line + 1, .column = at.column + 1};
    r->n_items++;
    return RC_OK;
}

static enum rc add_scalar(struct reader *r, const yaml_event_t *e, struct error *err)
{
    const char *value = (const char *)e->data.scalar.value;
    const size_t n = e->data.scalar.length;
    if (memchr(value, '\0', n) != NULL) {
        return refuse(r, RC_FORMAT, e->start_mark, "text with a NUL inside", err);
    }
    enum rc rc = add_item(r, CONFIG_SCALAR, e->start_mark, err);
    if (rc != RC_OK) {
        return rc;
    }
    void *block = r->text;
    rc = make_room(&block, &r->room_text, r->n_text + n + 1, 1, err);
    r->text = block;
    if (rc != RC_OK) {
        return rc;
    }
    struct item *item = &r->item[r->n_items - 1];
    item->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    item->text = r->n_text;
    memcpy(r->text + r->n_text, value, n);
    r->text[r->n_text + n] = '\0';
    r->n_text += n + 1;
    return RC_OK;
}

static enum rc open_item(struct reader *r, enum config_kind kind, yaml_mark_t at, struct error *err)
{
    if (r->depth == CONFIG_DEPTH_MAX) {
        return refuse(r, RC_LIMIT, at, "nested too deeply", err);
    }
    const enum rc rc = add_item(r, kind, at, err);
    if (rc == RC_OK) {
        r->open[r->depth++] = r->n_items - 1;
    }
    return rc;
}

static enum rc open_document(struct reader *r, const yaml_event_t *e, struct error *err)
{
    if (r->had_document) {
        return refuse(r, RC_FORMAT, e->start_mark, "a second document; one file holds one", err);
    }
    if (e->data.document_start.version_directive != NULL ||
        e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end) {
        return refuse(r, RC_FORMAT, e->start_mark, "directives (%) are not used here", err);
    }
    r->had_document = true;
    return RC_OK;
}

/* Anchors and tags on any event that can carry them; NULL if there is none. */
static const char *forbidden(const yaml_event_t *e)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (e->type == YAML_ALIAS_EVENT) {
        anchor = e->data.alias.anchor;
    } else if (e->type == YAML_SCALAR_EVENT) {
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
    }
    return anchor != NULL ? "anchors and aliases (&, *) are not used here; write it out"
           : tag != NULL  ? "tags (!) are not used here"
                          : NULL;
}

static enum rc take_event(struct reader *r, const yaml_event_t *e, struct error *err)
{
    const char *wrong = forbidden(e);
    if (wrong != NULL) {
        return refuse(r, RC_FORMAT, e->start_mark, wrong, err);
    }
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return open_document(r, e, err);
    case YAML_SCALAR_EVENT:
        return add_scalar(r, e, err);
    case YAML_SEQUENCE_START_EVENT:
        return open_item(r, CONFIG_LIST, e->start_mark, err);
    case YAML_MAPPING_START_EVENT:
        return open_item(r, CONFIG_MAP, e->start_mark, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        assert(r->depth > 0); /* libyaml balances its events */
        r->depth--;
        return RC_OK;
    case YAML_STREAM_END_EVENT:
        r->at_end = true;
        return RC_OK;
    case YAML_ALIAS_EVENT: /* refused above */
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_NO_EVENT:
        break;
    }
    return RC_OK;
}

static enum rc read_items(struct reader *r, struct error *err)
{
    while (!r->at_end) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->yaml, &event)) {
            return parser_problem(r, err);
        }
        const enum rc rc = take_event(r, &event, err);
        yaml_event_delete(&event);
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (r->n_items == 0) {
        return error_set(err, RC_FORMAT, "%.120s:1:1: error: the file is empty", r->name);
    }
    return RC_OK;
}

/* ---- items to tree --------------------------------------------------------------------------- */

struct builder {
    const struct item *item; /* the next one to place */
    const char *text;
    struct config_node *node; /* the next free one */
};

/* Places the next item at `to`, and all below it. As deep as CONFIG_DEPTH_MAX at most. */
static void place(struct builder *b, struct config_node *to)
{
    const struct item *item = b->item++;
    *to = (struct config_node){.kind = item->kind, .line = item->line, .column = item->column};
    if (item->kind == CONFIG_SCALAR) {
        to->quoted = item->quoted;
        to->text = b->text + item->text;
        return;
    }
    const bool map = item->kind == CONFIG_MAP;
    const size_t n = map ? item->n / 2 : item->n;
    struct config_node *key = b->node, *at = b->node + (map ? n : 0);
    b->node += item->n;
    to->n = n;
    to->key = map ? key : NULL;
    to->at = at;
    for (size_t i = 0; i < n; i++) {
        if (map) {
            place(b, &key[i]);
        }
        place(b, &at[i]);
    }
}

/* In every map of the tree: each key has a name, and a name of its own. */
static enum rc check_keys(const struct reader *r, const struct config_node *node, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; i < node->n && rc == RC_OK; i++) {
        if (node->kind == CONFIG_MAP) {
            const struct config_node *key = &node->key[i];
            size_t j = 0;
            while (strcmp(node->key[j].text, key->text) != 0) {
                j++;
            }
            if (key->text[0] == '\0') {
                return error_set(err, RC_FORMAT, "%.120s:%zu:%zu: error: a key without a name",
                                 r->name, key->line, key->column);
            }
            if (j < i) {
                return error_set(err, RC_FORMAT,
                                 "%.120s:%zu:%zu: error: duplicate key '%.40s', first on line %zu",
                                 r->name, key->line, key->column, key->text, node->key[j].line);
            }
        }
        rc = check_keys(r, &node->at[i], err);
    }
    return rc;
}

static enum rc build(const struct reader *r, struct config_doc *doc, struct error *err)
{
    const size_t n_name = strlen(r->name) + 1;
    const enum rc rc = arena_init(&doc->memory,
                                  arena_cost(r->n_items, sizeof(struct config_node)) +
                                      arena_cost(r->n_text + 1, 1) + arena_cost(n_name, 1),
                                  err);
    if (rc != RC_OK) {
        return rc;
    }
    struct config_node *node = arena_take(&doc->memory, r->n_items, sizeof *node);
    char *text = arena_take(&doc->memory, r->n_text + 1, 1);
    char *name = arena_take(&doc->memory, n_name, 1);
    if (r->n_text > 0) {
        memcpy(text, r->text, r->n_text);
    }
    memcpy(name, r->name, n_name);

    struct builder b = {.item = r->item, .text = text, .node = node + 1};
    place(&b, node);
    assert(b.node == node + r->n_items);
    doc->root = node;
    doc->name = name;
    return check_keys(r, node, err);
}

/* ---- the public side ------------------------------------------------------------------------- */

enum rc config_parse(const char *name, const char *text, size_t n, struct config_doc **out,
                     struct error *err)
{
    struct reader r = {.name = name, .bytes = (const unsigned char *)text, .n_bytes = n};
    struct config_doc *doc = NULL;
    enum rc rc;

    if (n > CONFIG_FILE_BYTES_MAX) {
        return error_set(err, RC_LIMIT, "%.120s: larger than %d bytes", name,
                         (int)CONFIG_FILE_BYTES_MAX);
    }
    if (!yaml_parser_initialize(&r.yaml)) {
        return error_set(err, RC_NOMEM, "%.120s: no memory to parse it", name);
    }
    yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING); /* else a BOM could choose UTF-16 */
    yaml_parser_set_input_string(&r.yaml, r.bytes, n);
    rc = read_items(&r, err);
    if (rc != RC_OK) {
        goto out;
    }
    doc = calloc(1, sizeof *doc);
    if (doc == NULL) {
        rc = error_set(err, RC_NOMEM, "%.120s: no memory to keep it", name);
        goto out;
    }
    rc = build(&r, doc, err);
    if (rc != RC_OK) {
        goto out;
    }
    *out = doc;
    doc = NULL;
out:
    config_close(&doc);
    free(r.item);
    free(r.text);
    yaml_parser_delete(&r.yaml);
    return rc;
}

enum rc config_open(const char *path, struct config_doc **out, struct error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    enum rc rc;

    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        rc = error_set(err, RC_IO, "%.120s: cannot open: %s", path, strerror(errno));
        goto out;
    }
    bytes = malloc(CONFIG_FILE_BYTES_MAX + 1);
    if (bytes == NULL) {
        rc = error_set(err, RC_NOMEM, "%.120s: no memory to read it", path);
        goto out;
    }
    n = fread(bytes, 1, CONFIG_FILE_BYTES_MAX + 1, f);
    if (ferror(f)) {
        rc = error_set(err, RC_IO, "%.120s: cannot read: %s", path, strerror(errno));
        goto out;
    }
    rc = config_parse(path, bytes, n, out, err);
out:
    free(bytes);
    if (f != NULL) {
        (void)fclose(f);
    }
    return rc;
}

void config_close(struct config_doc **doc)
{
    if (*doc == NULL) {
        return;
    }
    arena_release(&(*doc)->memory);
    free(*doc);
    *doc = NULL;
}

const struct config_node *config_root(const struct config_doc *doc)
{
    return doc->root;
}

const char *config_name(const struct config_doc *doc)
{
    return doc->name;
}
