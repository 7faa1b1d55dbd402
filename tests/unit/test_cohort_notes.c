#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/imported.h"

#define TABLE                                                             \
    "cohort: t\nfiles: [{path: a.csv, site: s}]\npatient: {column: id}\n" \
    "missing: [\"\"]\nlabel: {column: y, positive: [1], negative: [0]}\n"
#define NOTES(how, where) TABLE "modalities: [{name: notes, type: notes, " how ", " where "}]\n"
#define TIMED                                                                                   \
    "window: [0, 24], files: [{path: n.csv}], columns: {patient: id, time: hour, text: note}, " \
    "time_unit: hours"
#define UNTIMED "files: [{path: n.csv}], columns: {patient: id, text: note}"

static const char table[] = "id,y\np,0\nq,1\n";

#define OPEN(i, yaml, ...) imported_open(i, yaml, NULL, (const char *const[6]){__VA_ARGS__})
#define REFUSED(i, ...)                                             \
    do {                                                            \
        static const char *const line_[] = {__VA_ARGS__};           \
        imported_refused(i, line_, sizeof line_ / sizeof line_[0]); \
        imported_close(i);                                          \
    } while (0)

/* What a byte sequence says, as a text. */
static void assert_bytes(const struct batch *b, size_t row, size_t tokens, const char *want)
{
    const int32_t *code = b->part[0].codes + row * tokens;
    assert_int_equal(b->part[0].length[row], strlen(want));
    for (size_t i = 0; i < tokens; i++) {
        assert_int_equal(code[i], i < strlen(want) ? (unsigned char)want[i] : 0);
    }
}

static void ids_are_those_of_an_independent_program(void **state)
{
    (void)state;
    char line[1024];
    size_t n_lines = 0;
    FILE *f = fopen("tests/golden/note_ids.txt", "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        struct schema_notes n = {.tokens = 64};
        int32_t id[64];
        char *text = strchr(line, '|');
        assert_non_null(text);
        char *want = strchr(text + 1, '|');
        assert_non_null(want);
        char *end;
        n.vocabulary = strtoull(line, &end, 10);
        n.ngrams = strtoull(end, &end, 10);
        n.seed = strtoull(end, &end, 10);
        const size_t bytes = (size_t)(want - text) - 1;
        const size_t count = notes_tokens(&n, (const unsigned char *)text + 1, bytes, 0, id);
        assert_int_equal(notes_tokens(&n, (const unsigned char *)text + 1, bytes, 0, NULL), count);
        want++;
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(strtol(want, &want, 10), id[i]);
        }
        assert_string_equal(want, "\n");
        n_lines++;
    }
    assert_int_equal(n_lines, 15);
    assert_int_equal(fclose(f), 0);
}

static void notes_of_a_patient_follow_each_other_in_time(void **state)
{
    (void)state;
    static const char csv[] = "id,hour,note\np,5,two\nq,1,\np,0,one\nz,1,x\np,24,late\np,-1,early\n"
                              "p,5,\"th,ree\n\"\nq,2,...\n";
    struct imported i;
    OPEN(&i, NOTES("tokens: 16, unit: bytes", TIMED), table, csv);
    const struct batch *b = imported_batch(&i);
    assert_int_equal(b->B, 2);
    assert_bytes(b, 0, 16, "one\ntwo\nth,ree\n");
    assert_bytes(b, 1, 16, "...");
    assert_int_equal(i.sum.modality[0].n_items, 4);
    assert_int_equal(i.sum.modality[0].n_beside, 2);
    assert_int_equal(i.sum.modality[0].n_missing, 1);
    assert_int_equal(i.sum.modality[0].n_unknown, 1);
    imported_close(&i);
    OPEN(&i, NOTES("tokens: 6, unit: bytes", UNTIMED), table, "note,id\nb,p\na,p\nc,q\n");
    b = imported_batch(&i); /* without a time as in the file */
    assert_bytes(b, 0, 6, "b\na");
    assert_bytes(b, 1, 6, "c");
    imported_close(&i);
    OPEN(&i, NOTES("tokens: 5, unit: bytes", UNTIMED), table, "note,id\nabc,p\ndef,p\n");
    assert_bytes(imported_batch(&i), 0, 5, "abc\nd"); /* the first ones */
    imported_close(&i);
}

static void words_are_hashed_and_a_note_without_any_is_absent(void **state)
{
    (void)state;
    struct imported i;
    OPEN(&i,
         NOTES("tokens: 4, vocabulary: 512, ngrams: 2",
               UNTIMED) "features: [{name: y2, column: id2,"
                        " type: binary}]\n",
         "id,y,id2\np,0,\nq,1,\n", "note,id\nChest pain,p\npain,p\n\"--, ;\",q\n");
    const struct batch *b = imported_batch(&i);
    assert_int_equal(b->part[0].length[0], 4);
    assert_int_equal(b->part[0].codes[1],
                     b->part[0].codes[3]);                   /* pain, and pain of the next note */
    assert_true(b->part[0].codes[2] != b->part[0].codes[1]); /* (chest, pain) */
    assert_int_equal(b->present[1], 1);
    assert_int_equal(b->present[3], 0);
    assert_int_equal(b->part[0].length[1], 0);
    for (size_t k = 0; k < 8; k++) {
        assert_in_range(b->part[0].codes[k], 0, 511);
    }
    imported_close(&i);
}

static void broken_texts_are_named_at_their_lines(void **state)
{
    (void)state;
    struct imported i;
    OPEN(&i, NOTES("tokens: 16, unit: bytes", TIMED), table,
         "id,hour,note\np,0,caf\xe9\np,noon,x\n,1,x\np,1,a \"b\" c\np,1\n");
    REFUSED(&i, "n.csv:2:3: error: not UTF-8", "n.csv:3:2: error: 'hour' is not a number",
            "n.csv:4:1: error: 'id' is missing", "n.csv:5:3: error: a quote inside a cell",
            "n.csv:6:2: error: 2 fields, want 3");
}

static void a_note_may_be_longer_than_a_cell_of_a_table(void **state)
{
    (void)state;
    enum { LONG = COHORT_CELL_BYTES_MAX + 1000 };
    struct imported i;
    char *csv = malloc(LONG + 100);
    assert_non_null(csv);
    size_t n = (size_t)snprintf(csv, 100, "id,note\np,");
    memset(csv + n, 'x', LONG);
    (void)snprintf(csv + n + LONG, 50, "\n");
    OPEN(&i, NOTES("tokens: 65536, unit: bytes", UNTIMED), table, csv);
    assert_int_equal(imported_batch(&i)->part[0].length[0], 65536);
    imported_close(&i);
    free(csv);
}

/* ---- folders -------------------------------------------------------------------------------- */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/wardround-notes-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static const char *const names[] = {"p.1.txt", "p.2.txt",   "q.txt",
                                    "z.txt",   "README.md", "q.3.x.txt"};

static int remove_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    return rmdir(folder);
}

static void put(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void a_folder_of_texts_is_read_by_its_names(void **state)
{
    (void)state;
    char yaml[800];
    struct imported i;
    (void)snprintf(yaml, sizeof yaml,
                   NOTES("tokens: 9, unit: bytes", "format: txt, files: [{path: %s}]"), folder);
    OPEN(&i, yaml, table); /* an empty folder */
    char line[128];
    (void)snprintf(line, sizeof line, "%s: error: no file in it ends in .txt", folder);
    imported_refused(&i, (const char *const[]){line}, 1);
    imported_close(&i);
    put("p.2.txt", "two");
    put("p.1.txt", "one");
    put("q.txt", "Q");
    put("z.txt", "unknown \xff");
    put("README.md", "other");
    OPEN(&i, yaml, table);
    const struct batch *b = imported_batch(&i);
    assert_bytes(b, 0, 9, "one\ntwo");
    assert_bytes(b, 1, 9, "Q");
    assert_int_equal(i.sum.modality[0].n_unknown, 1);
    assert_int_equal(i.sum.modality[0].n_unlisted, 1);
    imported_close(&i);
    put("p.2.txt", "tw\xf6");
    OPEN(&i, yaml, table);
    (void)snprintf(line, sizeof line, "%s: error: file 2 in order of names: not UTF-8", folder);
    imported_refused(&i, (const char *const[]){line}, 1); /* a name may be an id: it is not said */
    imported_close(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_an_independent_program),
        cmocka_unit_test(notes_of_a_patient_follow_each_other_in_time),
        cmocka_unit_test(words_are_hashed_and_a_note_without_any_is_absent),
        cmocka_unit_test(broken_texts_are_named_at_their_lines),
        cmocka_unit_test(a_note_may_be_longer_than_a_cell_of_a_table),
        cmocka_unit_test_setup_teardown(a_folder_of_texts_is_read_by_its_names, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
