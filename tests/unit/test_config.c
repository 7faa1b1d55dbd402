#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config/config.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

enum shape { SHAPE_ROUND, SHAPE_SQUARE, SHAPE_FLAT };
static const char *const shapes[] = {"round", "square", "flat", NULL};

struct target {
    char name[8];
    double rate, limit, plain;
    size_t rounds;
    uint64_t seed;
    bool quick;
    enum shape shape;
    const struct config_node *list, *extra;
};

#define AT(field) offsetof(struct target, field)
/* clang-format off */
static const struct config_key keys[] = {
    {.name = "name", .type = CONFIG_TEXT, .offset = AT(name), .size = 8, .help = "what it is"},
    {.name = "rate", .type = CONFIG_REAL, .offset = AT(rate), .max = 10, .fallback = "0.5",
     .help = "step size"},
    {.name = "limit", .type = CONFIG_REAL, .offset = AT(limit), .max = (double)INFINITY,
     .fallback = "inf", .help = "a bound, or none"},
    {.name = "plain", .type = CONFIG_REAL, .offset = AT(plain), .fallback = "0", .help = "finite"},
    {.name = "rounds", .type = CONFIG_COUNT, .offset = AT(rounds), .min = 1, .max = 1000,
     .fallback = "20", .help = "how often"},
    {.name = "seed", .type = CONFIG_U64, .offset = AT(seed), .fallback = "1", .help = "any"},
    {.name = "quick", .type = CONFIG_BOOL, .offset = AT(quick), .fallback = "false",
     .help = "true | false"},
    {.name = "shape", .type = CONFIG_CHOICE, .offset = AT(shape), .choices = shapes,
     .fallback = "square", .help = "outline"},
    {.name = "list", .type = CONFIG_NODE, .offset = AT(list), .fallback = "", .help = "items"},
    {.name = "extra", .type = CONFIG_NODE, .offset = AT(extra), .fallback = "", .help = "more"},
};
/* clang-format on */

/* ---- small tools ------------------------------------------------------------------------- */

static struct config_doc *parsed(const char *text)
{
    struct config_doc *doc = NULL;
    struct error err = {0};
    const enum rc rc = config_parse("t.yaml", text, strlen(text), &doc, &err);
    if (rc != RC_OK) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, RC_OK);
    return doc;
}

static void assert_refused(const char *text, size_t n, enum rc kind, const char *message)
{
    struct config_doc *doc = NULL;
    struct error err = {0};
    const enum rc rc = config_parse("t.yaml", text, n, &doc, &err);
    if (rc != kind || strstr(err.text, message) == NULL) {
        print_error("of: %s\nwant: %s\ngot %s: %s\n", text, message, rc_name(rc), err.text);
    }
    assert_int_equal(rc, kind);
    assert_non_null(strstr(err.text, message));
    assert_null(doc);
}

/* Binds `text`; the only issue, or "" if there is none. */
static const char *bound(const char *text, struct target *out, struct config_issues *issues)
{
    struct config_doc *doc = parsed(text);
    memset(issues, 0, sizeof *issues);
    issues->path = "t.yaml";
    config_bind(config_root(doc), keys, COUNT(keys), out, issues);
    out->list = out->extra = NULL; /* they die with the document */
    config_close(&doc);
    assert_true(issues->n <= 1);
    return issues->n == 0 ? "" : issues->line[0];
}

/* ---- the reader -------------------------------------------------------------------------- */

static void a_tree_has_texts_places_and_quotes(void **state)
{
    (void)state;
    struct config_doc *doc =
        parsed("a: 1\nb:\n  - {x: 'two', y: [3, \"4\"]}\n  - ü: z\nc: |\n  t\n");
    const struct config_node *root = config_root(doc);
    assert_int_equal(root->kind, CONFIG_MAP);
    assert_int_equal(root->n, 3);
    assert_string_equal(root->key[2].text, "c");
    assert_true(root->at[2].quoted);
    assert_string_equal(root->at[2].text, "t\n");
    assert_string_equal(config_get(root, "a")->text, "1");
    assert_false(config_get(root, "a")->quoted);

    const struct config_node *b = config_get(root, "b");
    assert_int_equal(b->kind, CONFIG_LIST);
    assert_int_equal(b->n, 2);
    const struct config_node *y = config_get(&b->at[0], "y");
    assert_int_equal(y->n, 2);
    assert_string_equal(y->at[1].text, "4");
    assert_true(y->at[1].quoted);
    assert_int_equal(y->at[1].line, 3);
    assert_int_equal(y->at[1].column, 23);
    assert_string_equal(config_get(&b->at[1], "ü")->text, "z");
    assert_int_equal(config_get(&b->at[1], "ü")->column, 8); /* characters, not bytes */

    assert_null(config_get(root, "nowhere"));
    assert_null(config_get(b, "x"));
    assert_null(config_get(NULL, "x"));
    assert_string_equal(config_name(doc), "t.yaml");
    config_close(&doc);
    assert_null(doc);
    config_close(&doc);
}

static void empty_lists_and_maps_are_empty(void **state)
{
    (void)state;
    struct config_doc *doc = parsed("--- \na: []\nb: {}\n...\n");
    assert_int_equal(config_get(config_root(doc), "a")->n, 0);
    assert_int_equal(config_get(config_root(doc), "b")->n, 0);
    config_close(&doc);
}

static void what_could_mean_two_things_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"a: 1\nb: 2\na: 3\n", "t.yaml:3:1: error: duplicate key 'a', first on line 1"},
        {"x:\n  - {b: 1, 'b': 2}\n", "t.yaml:2:12: error: duplicate key 'b'"},
        {"a: &x 1\n", "t.yaml:1:4: error: anchors"},
        {"a: &x [1]\n", "t.yaml:1:4: error: anchors"},
        {"a: &x {b: 1}\n", "t.yaml:1:4: error: anchors"},
        {"a: 1\nb: *x\n", "t.yaml:2:4: error: anchors"},
        {"a: !!str 1\n", "t.yaml:1:4: error: tags"},
        {"a: !x [1]\n", "t.yaml:1:4: error: tags"},
        {"a: !x {b: 1}\n", "t.yaml:1:4: error: tags"},
        {"a: ! 1\n", "t.yaml:1:4: error: tags"},
        {"%YAML 1.1\n---\na: 1\n", "error: directives"},
        {"%TAG ! tag:x,2000:\n---\na: 1\n", "error: directives"},
        {"a: 1\n---\nb: 1\n", "t.yaml:2:1: error: a second document"},
        {"? [a, b]\n: 1\n", "t.yaml:1:3: error: a key must be a single word"},
        {"{a: 1}: 2\n", "error: a key must be a single word"},
        {"{'': 1}\n", "t.yaml:1:2: error: a key without a name"},
        {"{: 1}\n", "t.yaml:1:2: error:"},
        {"", "t.yaml:1:1: error: the file is empty"},
        {"# only words\n", "error: the file is empty"},
        {"a: [1, 2\n", "t.yaml:2:1: error:"},
        {"a: 1\n\tb: 2\n", "t.yaml:2:"},
        {"a: b: c\n", "t.yaml:1:5: error:"},
        {"a: \"x\\0y\"\n", "t.yaml:1:4: error: text with a NUL inside"},
        {"a: ok\nb: \xc3\xbc \xff\n", "t.yaml:2:6: error:"},
        {"a: \xed\xa0\x80\n", "t.yaml:1:4: error:"},
        {"a: \x1b[31m\n", "t.yaml:1:4: error:"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_refused(bad[i].text, strlen(bad[i].text), RC_FORMAT, bad[i].message);
    }
    assert_refused("a: \0b\n", 6, RC_FORMAT, "t.yaml:1:4: error:");
    assert_refused("\xff\xfe"
                   "a\0:\0 \0001\0",
                   10, RC_FORMAT, "t.yaml:1:1: error:"); /* UTF-16 */
}

static void a_byte_order_mark_of_utf_8_is_harmless(void **state)
{
    (void)state;
    struct config_doc *doc = parsed("\xef\xbb\xbf"
                                    "a: 1\n");
    assert_string_equal(config_root(doc)->key[0].text, "a");
    config_close(&doc);
}

static void depth_has_a_limit_and_the_limit_is_reachable(void **state)
{
    (void)state;
    char text[2 * CONFIG_DEPTH_MAX + 3];
    for (size_t depth = CONFIG_DEPTH_MAX; depth <= CONFIG_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        if (depth == CONFIG_DEPTH_MAX) {
            struct config_doc *doc = parsed(text);
            config_close(&doc);
        } else {
            assert_refused(text, 2 * depth, RC_LIMIT, "t.yaml:1:17: error: nested too deeply");
        }
    }
}

static void size_and_keys_have_limits(void **state)
{
    (void)state;
    char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, ' ', CONFIG_FILE_BYTES_MAX + 1);
    text[0] = 'a';
    text[1] = ':';
    struct config_doc *doc = NULL;
    struct error err = {0};
    assert_int_equal(config_parse("t", text, CONFIG_FILE_BYTES_MAX, &doc, &err), RC_OK);
    config_close(&doc);
    assert_refused(text, CONFIG_FILE_BYTES_MAX + 1, RC_LIMIT, "larger than 1048576 bytes");

    size_t n = 0;
    for (int i = 0; i <= CONFIG_KEYS_MAX; i++) {
        n += (size_t)snprintf(text + n, 16, "k%d: 1\n", i);
    }
    assert_refused(text, n, RC_LIMIT, "t.yaml:4097:1: error: too many keys");
    free(text);
}

static void files_are_read_and_missing_ones_reported(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_config_XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64];
    (void)snprintf(path, sizeof path, "%s/a.yaml", folder);
    struct config_doc *doc = NULL;
    struct error err = {0};
    assert_int_equal(config_open(path, &doc, &err), RC_IO);
    assert_non_null(strstr(err.text, "a.yaml: cannot open"));
    assert_int_equal(config_open(folder, &doc, &err), RC_IO);

    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(fputs("a: 1\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(config_open(path, &doc, &err), RC_OK);
    assert_string_equal(config_name(doc), path);
    config_close(&doc);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- binding ----------------------------------------------------------------------------- */

static void values_and_defaults_reach_their_fields(void **state)
{
    (void)state;
    struct target t;
    struct config_issues issues;
    memset(&t, 0xa5, sizeof t);
    assert_string_equal(bound("name: abc", &t, &issues), "");
    assert_string_equal(t.name, "abc");
    assert_true(t.rate == 0.5 && isinf(t.limit) && t.plain == 0.0);
    assert_int_equal(t.rounds, 20);
    assert_int_equal(t.seed, 1);
    assert_false(t.quick);
    assert_int_equal(t.shape, SHAPE_SQUARE);

    assert_string_equal(bound("{name: '', rate: 1.5e-1, limit: .inf, plain: -.5, rounds: 1000,\n"
                              " seed: 18446744073709551615, quick: true, shape: 'flat'}",
                              &t, &issues),
                        "");
    assert_string_equal(t.name, "");
    assert_true(t.rate == 0.15 && isinf(t.limit) && t.plain == -0.5);
    assert_int_equal(t.rounds, 1000);
    assert_true(t.seed == UINT64_MAX);
    assert_true(t.quick);
    assert_int_equal(t.shape, SHAPE_FLAT);
}

static void nodes_are_handed_over_and_optional_ones_are_null(void **state)
{
    (void)state;
    struct config_doc *doc = parsed("{name: a, list: [1, 2.5]}");
    struct config_issues issues = {0};
    struct target t;
    config_bind(config_root(doc), keys, COUNT(keys), &t, &issues);
    assert_int_equal(issues.n, 0);
    assert_null(t.extra);
    assert_non_null(t.list);
    double real = 0;
    size_t count = 0;
    assert_true(config_as_count(&t.list->at[0], &count, &issues));
    assert_int_equal(count, 1);
    assert_true(config_as_real(&t.list->at[1], &real, &issues));
    assert_true(real == 2.5);
    assert_false(config_as_count(&t.list->at[1], &count, NULL));
    assert_int_equal(issues.n, 0);
    assert_false(config_as_count(&t.list->at[1], &count, &issues));
    assert_false(config_as_real(t.list, &real, &issues));
    assert_string_equal(issues.line[0],
                        "config:1:21: error: '2.5' is not a whole number in plain digits");
    assert_string_equal(issues.line[1], "config:1:17: error: this is a list, not a single value");
    assert_int_equal(count, 1); /* untouched */
    config_close(&doc);
}

static void each_wrong_value_is_reported_and_leaves_the_default(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
    } bad[] = {
        {"rate: 1,1", "rate: '1,1' is not a number; the decimal sign is a point"},
        {"rate: nan", "rate: 'nan' is not a number"},
        {"rate: .nan", "rate: '.nan' is not a number"},
        {"rate: .NaN", "rate: '.NaN' is not a number"},
        {"rate: 0x1p3", "rate: '0x1p3' is not a number"},
        {"rate: 1e", "is not a number"},
        {"rate: .", "is not a number"},
        {"rate: 1.2.3", "is not a number"},
        {"rate: --1", "is not a number"},
        {"rate: 1_0", "is not a number"},
        {"rate: 1 2", "is not a number"},
        {"rate: 1:30", "is not a number"},
        {"rate: infinity", "is not a number"},
        {"rate: inf", "rate: is inf, must be from 0 to 10"},
        {"rate: 10.5", "rate: is 10.5, must be from 0 to 10"},
        {"rate: -0.1", "rate: is -0.1, must be from 0 to 10"},
        {"rate: 1e999", "rate: '1e999' is too large for a number"},
        {"rate: 1e-999", "rate: '1e-999' is too close to 0 for a number"},
        {"rate: '1'", "rate: '1' is text because of its quotes"},
        {"rate: \"1\"", "rate: '1' is text because of its quotes"},
        {"rate:", "rate: has no value"},
        {"rate: ~", "rate: '~' has no value"},
        {"rate: null", "rate: 'null' has no value"},
        {"rate: [1]", "rate: is a list, not a single value"},
        {"rate: {a: 1}", "rate: is a map, not a single value"},
        {"limit: -inf", "limit: is -inf, must be at least 0"},
        {"plain: inf", "plain: must be finite"},
        {"rounds: 0", "rounds: is 0, must be from 1 to 1000"},
        {"rounds: 1001", "rounds: is 1001, must be from 1 to 1000"},
        {"rounds: 0x10", "is not a whole number in plain digits"},
        {"rounds: 0o17", "is not a whole number"},
        {"rounds: 017", "rounds: '017' has a leading 0"},
        {"rounds: 20.0", "is not a whole number"},
        {"rounds: 2e1", "is not a whole number"},
        {"rounds: +20", "is not a whole number"},
        {"rounds: -1", "is not a whole number"},
        {"rounds: '20'", "is text because of its quotes"},
        {"rounds: 18446744073709551616", "is too large for a whole number"},
        {"seed: 18446744073709551616", "is too large for a whole number"},
        {"seed: 1.5", "is not a whole number"},
        {"quick: yes", "quick: 'yes' is neither true nor false"},
        {"quick: True", "is neither true nor false"},
        {"quick: 1", "is neither true nor false"},
        {"quick: 'true'", "is text because of its quotes"},
        {"shape: sqare", "'sqare' is none of round, square, flat; did you mean 'square'?"},
        {"shape: 1", "'1' is none of round, square, flat"},
        {"shape: [flat]", "is a list, not a single value"},
        {"list: 5", "list: '5' must be a list or a map"},
        {"list:", "list: must be a list or a map"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        char text[128];
        struct target t;
        struct config_issues issues;
        (void)snprintf(text, sizeof text, "name: a\n%s\n", bad[i].line);
        const char *line = bound(text, &t, &issues);
        if (strstr(line, bad[i].message) == NULL || strncmp(line, "t.yaml:2:", 9) != 0) {
            print_error("of: %s\nwant: %s\ngot:  %s\n", bad[i].line, bad[i].message, line);
            fail();
        }
        assert_true(t.rate == 0.5 && isinf(t.limit) && t.plain == 0.0);
        assert_int_equal(t.rounds, 20);
        assert_int_equal(t.seed, 1);
        assert_false(t.quick);
        assert_int_equal(t.shape, SHAPE_SQUARE);
    }
}

static void text_is_never_cut_to_fit(void **state)
{
    (void)state;
    struct target t;
    struct config_issues issues;
    assert_string_equal(bound("name: abcdefg", &t, &issues), "");
    assert_string_equal(bound("name: abcdefgh", &t, &issues),
                        "t.yaml:1:7: error: name: is longer than 7 bytes");
    assert_string_equal(t.name, "");
    assert_string_equal(bound("name: 12", &t, &issues), ""); /* a word, whatever it looks like */
    assert_string_equal(bound("name: null", &t, &issues),
                        "t.yaml:1:7: error: name: 'null' has no value");
    assert_string_equal(bound("name: 'null'", &t, &issues), "");
}

static void an_unknown_key_suggests_the_nearest_known_one(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
    } bad[] = {
        {"raet: 1", "t.yaml:2:1: error: unknown key 'raet'; did you mean 'rate'?"},
        {"ronds: 1", "unknown key 'ronds'; did you mean 'rounds'?"},
        {"Rounds: 1", "unknown key 'Rounds'; did you mean 'rounds'?"},
        {"sede: 1", "unknown key 'sede'; did you mean 'seed'?"},
        {"'quick ': true", "unknown key 'quick '; did you mean 'quick'?"},
        {"zebra_crossing: 1", "unknown key 'zebra_crossing'"},
        {"<<: {rate: 1}", "unknown key '<<'"},
        {"\"a\\x9b\\n\xc3\xbc\": 1",
         "unknown key 'a???ü'"}, /* control characters are not printed */
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        char text[128];
        struct target t;
        struct config_issues issues;
        (void)snprintf(text, sizeof text, "name: a\n%s\n", bad[i].line);
        assert_non_null(strstr(bound(text, &t, &issues), bad[i].message));
        if (strstr(bad[i].message, "did you") == NULL) {
            assert_null(strstr(issues.line[0], "did you"));
        }
    }
}

static void all_problems_are_reported_at_once_with_their_places(void **state)
{
    (void)state;
    struct config_doc *doc = parsed("rate: fast\n"
                                    "ruonds: 3\n"
                                    "quick:   maybe\n"
                                    "list: 3\n"
                                    "limit: -1\n");
    struct config_issues issues = {.path = "dir/a.yaml"};
    struct target t;
    config_bind(config_root(doc), keys, COUNT(keys), &t, &issues);
    config_close(&doc);
    static const char *const want[] = {
        "dir/a.yaml:1:7: error: rate: 'fast' is not a number",
        "dir/a.yaml:2:1: error: unknown key 'ruonds'; did you mean 'rounds'?",
        "dir/a.yaml:3:10: error: quick: 'maybe' is neither true nor false",
        "dir/a.yaml:4:7: error: list: '3' must be a list or a map",
        "dir/a.yaml:5:8: error: limit: is -1, must be at least 0",
        "dir/a.yaml:1:1: error: missing key 'name'",
    };
    assert_int_equal(issues.n, COUNT(want));
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_string_equal(issues.line[i], want[i]);
    }
    struct error err = {0};
    assert_int_equal(config_verdict(&issues, &err), RC_INVALID);
    assert_string_equal(err.text,
                        "dir/a.yaml:1:7: error: rate: 'fast' is not a number (and 5 more)");
}

static void a_root_that_is_no_map_is_one_issue(void **state)
{
    (void)state;
    struct target t;
    struct config_issues issues;
    assert_string_equal(bound("- 1\n- 2\n", &t, &issues),
                        "t.yaml:1:1: error: expected a map of `key: value` here");
    assert_true(t.rate == 0.5); /* defaults all the same */
    assert_string_equal(bound("word", &t, &issues),
                        "t.yaml:1:1: error: expected a map of `key: value` here");
    memset(&issues, 0, sizeof issues);
    config_bind(NULL, keys, COUNT(keys), &t, &issues);
    assert_int_equal(issues.n, 1);
    assert_string_equal(issues.line[0], "config: error: missing key 'name'");
}

/* ---- issues and the reference page --------------------------------------------------------- */

static char *printed(const struct config_issues *issues, bool reference)
{
    static char text[CONFIG_ISSUES_SHOWN * 300];
    FILE *f = tmpfile();
    assert_non_null(f);
    if (reference) {
        config_print_reference(keys, COUNT(keys), f);
    } else {
        config_print_issues(issues, f);
    }
    rewind(f);
    const size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    assert_int_equal(fclose(f), 0);
    return text;
}

static void beyond_fifty_issues_are_counted(void **state)
{
    (void)state;
    struct config_issues issues = {.path = "p"};
    struct error err = {0};
    assert_int_equal(config_verdict(&issues, &err), RC_OK);
    assert_string_equal(printed(&issues, false), "");
    const struct config_node at = {.line = 3, .column = 4};
    for (int i = 0; i < CONFIG_ISSUES_SHOWN + 7; i++) {
        config_issue(&issues, &at, "number %d", i);
    }
    assert_int_equal(issues.n, CONFIG_ISSUES_SHOWN + 7);
    const char *text = printed(&issues, false);
    assert_non_null(strstr(text, "p:3:4: error: number 49\n… and 7 more\n"));
    assert_null(strstr(text, "number 50"));
}

static void a_long_or_hostile_issue_stays_one_printable_line(void **state)
{
    (void)state;
    struct config_issues issues = {.path = "p"};
    config_issue(&issues, NULL, "a\nb\x1b[0m\x7f %0400d", 1);
    assert_int_equal(strlen(issues.line[0]), sizeof issues.line[0] - 1);
    assert_memory_equal(issues.line[0], "p: error: a?b?[0m? 000", 22);
    config_issue(&issues, NULL, "%.2s|%.1s", "é", "é"); /* the second is cut in its middle */
    assert_string_equal(issues.line[1], "p: error: é|?");
}

static void the_reference_page_is_a_table_of_every_key(void **state)
{
    (void)state;
    const char *text = printed(NULL, true);
    static const char *const want[] = {
        "| key | type | range | default | help |\n|---|---|---|---|---|\n",
        "| `name` | text | up to 7 bytes | required | what it is |\n",
        "| `rate` | number | from 0 to 10 | `0.5` | step size |\n",
        "| `limit` | number | at least 0 | `inf` | a bound, or none |\n",
        "| `rounds` | whole number | from 1 to 1000 | `20` | how often |\n",
        "| `quick` | true or false |  | `false` | true \\| false |\n",
        "| `shape` | one of | `round`, `square`, `flat` | `square` | outline |\n",
        "| `list` | list or map |  | none | items |\n",
    };
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_non_null(strstr(text, want[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_has_texts_places_and_quotes),
        cmocka_unit_test(empty_lists_and_maps_are_empty),
        cmocka_unit_test(what_could_mean_two_things_is_refused_with_its_place),
        cmocka_unit_test(a_byte_order_mark_of_utf_8_is_harmless),
        cmocka_unit_test(depth_has_a_limit_and_the_limit_is_reachable),
        cmocka_unit_test(size_and_keys_have_limits),
        cmocka_unit_test(files_are_read_and_missing_ones_reported),
        cmocka_unit_test(values_and_defaults_reach_their_fields),
        cmocka_unit_test(nodes_are_handed_over_and_optional_ones_are_null),
        cmocka_unit_test(each_wrong_value_is_reported_and_leaves_the_default),
        cmocka_unit_test(text_is_never_cut_to_fit),
        cmocka_unit_test(an_unknown_key_suggests_the_nearest_known_one),
        cmocka_unit_test(all_problems_are_reported_at_once_with_their_places),
        cmocka_unit_test(a_root_that_is_no_map_is_one_issue),
        cmocka_unit_test(beyond_fifty_issues_are_counted),
        cmocka_unit_test(a_long_or_hostile_issue_stays_one_printable_line),
        cmocka_unit_test(the_reference_page_is_a_table_of_every_key),
    };
    return cmocka_run_group_tests_name("common/config", tests, NULL, NULL);
}
