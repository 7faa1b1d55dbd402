#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <dirent.h>

#include "common/checkpoint/checkpoint_internal.h"

/* ---- a model in a folder of its own ----------------------------------------------------------- */

enum { ROUND = 7, FILE_ROOM = 1 << 20 };

static char folder[64];
static char path[128];
static struct agreement agreement;
static struct model model;
static real *params;

/* An mlp with adapters: site parameters stand behind the shared ones and must stay out. */
static const char mlp[] = "model: {name: mlp, hidden: [5, 3], embedding: 2, adapter: 2}\n";

static char *with_mlp(const char *document)
{
    const char *begin = strstr(document, "model:");
    const char *end = strstr(document, "local:");
    const size_t room = strlen(document) + sizeof mlp;
    char *out = calloc(1, room);
    assert_non_null(begin);
    assert_non_null(end);
    assert_non_null(out);
    (void)snprintf(out, room, "%.*s%s%s", (int)(begin - document), document, mlp, end);
    return out;
}

static int set_up(void **state)
{
    (void)state;
    struct error err = {0};
    struct config_issues issues = {0};
    struct agreement logistic = {0};

    (void)snprintf(folder, sizeof folder, "/tmp/test_checkpoint.XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (agreement_open("configs/studies/example.yaml", "configs/sites/example/cohort.yaml",
                       &logistic, &issues, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    char *document = with_mlp(logistic.document);
    const struct study_choice choice = study_choice_of(&logistic.study);
    if (agreement_from_text(document, logistic.schema_text, &choice, &agreement, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    free(document);
    agreement_release(&logistic);
    assert_int_equal(model_open(&agreement.study.model, &agreement.schema, &model, &err), RC_OK);
    assert_true(model.table.S < model.table.P);
    params = calloc(model.table.P, sizeof *params);
    assert_non_null(params);
    param_init_values(&model.table, 3, params);
    params[0] = -0.0F;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char fresh[160];
    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    assert_int_equal(access(fresh, F_OK), -1); /* whatever the test did */
    free(params);
    model_release(&model);
    agreement_release(&agreement);
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

static void write_model(uint64_t round)
{
    struct error err = {0};
    if (checkpoint_write(path, &agreement, &model, round, params, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
}

static size_t file_bytes(unsigned char *to)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    const size_t n = fread(to, 1, FILE_ROOM, f);
    assert_true(n < FILE_ROOM);
    (void)fclose(f);
    return n;
}

static void put_file(const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* Reads what is at `path` and expects a refusal that names the file and says `text`. */
static void refused(enum rc want, const char *text)
{
    struct checkpoint c;
    struct error err = {0};
    memset(&c, 0x5a, sizeof c);
    const struct checkpoint before = c;
    const enum rc rc = checkpoint_read(path, &c, &err);
    if (rc != want || strstr(err.text, path) == NULL || strstr(err.text, text) == NULL) {
        fail_msg("%s (%s), wanted %s", rc_name(rc), err.text, text);
    }
    assert_memory_equal(&c, &before, sizeof c);
}

/* The header of a good file as a tree, to be changed and written back over the same parameters. */
static json_t *header_of(const unsigned char *file)
{
    uint64_t n = 0;
    for (size_t i = 0; i < 8; i++) {
        n |= (uint64_t)file[i] << (8 * i);
    }
    json_t *header = json_loadb((const char *)file + 8, n, 0, NULL);
    assert_non_null(header);
    return header;
}

static void put_text(const char *text, size_t n, const void *data, size_t n_data)
{
    unsigned char *file = calloc(1, 8 + n + n_data);
    assert_non_null(file);
    for (size_t i = 0; i < 8; i++) {
        file[i] = (unsigned char)((uint64_t)n >> (8 * i));
    }
    memcpy(file + 8, text, n);
    memcpy(file + 8 + n, data, n_data);
    put_file(file, 8 + n + n_data);
    free(file);
}

static void put_header(const json_t *header, const void *data, size_t n)
{
    char *text = json_dumps(header, JSON_COMPACT);
    assert_non_null(text);
    put_text(text, strlen(text), data, n);
    free(text);
}

/* ---- there and back --------------------------------------------------------------------------- */

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct error err = {0};
    struct checkpoint c = {0};
    write_model(ROUND);
    if (checkpoint_read(path, &c, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    const size_t n = model.table.S * sizeof *params;
    const struct hash id = hash_of(params, n);
    assert_int_equal(c.round, ROUND);
    assert_true(hash_equal(&c.id, &id));
    assert_memory_equal(c.params, params, n);
    assert_int_equal(c.model.table.S, model.table.S);
    assert_int_equal(c.model.table.P, model.table.P);
    assert_true(hash_equal(&c.agreement.study_hash, &agreement.study_hash));
    assert_string_equal(c.agreement.document, agreement.document);
    assert_memory_equal(&c.agreement.study.privacy, &agreement.study.privacy,
                        sizeof agreement.study.privacy); /* sigma to the bit */
    checkpoint_release(&c);
    checkpoint_release(&c);
}

/* A study whose rate and rounds were planned: they stand in the file, since its document has none. */
static void a_planned_study_is_in_its_model_as_it_was_planned(void **state)
{
    (void)state;
    struct error err = {0};
    struct checkpoint c = {0};
    struct agreement planned = {0};
    char *document = calloc(1, strlen(agreement.document) + 256);
    assert_non_null(document);
    const char *at = strstr(agreement.document, "privacy:");
    const char *next = strstr(agreement.document, "update:");
    assert_non_null(at);
    assert_non_null(next);
    (void)snprintf(document, strlen(agreement.document) + 256, "%.*s%s%s",
                   (int)(at - agreement.document), agreement.document,
                   "privacy: {noise: site, epsilon: 3, delta: 1e-4, clip: 1, passes: 4, "
                   "steps_least: 6}\n",
                   next);
    const size_t local = agreement.study.local.steps;
    const size_t rounds = (6 + local - 1) / local * 2; /* the second that the rule compares */
    const struct study_choice choice = {.sigma = 60,
                                        .planned = true,
                                        .sample_rate = 4.0 / (double)(rounds * local),
                                        .rounds = rounds};
    if (agreement_from_text(document, agreement.schema_text, &choice, &planned, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(checkpoint_write(path, &planned, &model, 1, params, &err), RC_OK);
    if (checkpoint_read(path, &c, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    assert_true(hash_equal(&c.agreement.study_hash, &planned.study_hash));
    assert_int_equal(c.agreement.study.rounds, rounds);
    checkpoint_release(&c);

    unsigned char *file = calloc(1, FILE_ROOM);
    assert_non_null(file);
    const size_t n = file_bytes(file);
    static const struct {
        const char *key, *value, *want;
    } bad[] = {{"planned_rounds", NULL, "are no plan"},
               {"planned_sample_rate", NULL, "are no plan"},
               {"planned_sample_rate", "x", "are no plan"},
               {"planned_rounds", "-1", "are no plan"},
               {"planned_rounds", "999999", "the plan has 999999 rounds"},
               {"planned_sample_rate", "0.5", "the plan has a sampling rate of 0.5"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *header = header_of(file);
        json_t *m = json_object_get(header, "__metadata__");
        assert_int_equal(bad[i].value == NULL
                             ? json_object_del(m, bad[i].key)
                             : json_object_set_new(m, bad[i].key, json_string(bad[i].value)),
                         0);
        const size_t data = model.table.S * sizeof *params;
        put_header(header, file + n - data, data);
        refused(bad[i].value != NULL && bad[i].want[0] == 't' ? RC_INVALID : RC_FORMAT,
                bad[i].want);
        json_decref(header);
    }
    free(file);
    free(document);
    agreement_release(&planned);
}

static void the_same_model_gives_the_same_bytes(void **state)
{
    (void)state;
    unsigned char *a = calloc(2, FILE_ROOM);
    assert_non_null(a);
    unsigned char *b = a + FILE_ROOM;
    struct error err = {0};
    struct checkpoint c = {0};
    write_model(ROUND);
    const size_t n = file_bytes(a);
    assert_int_equal(checkpoint_read(path, &c, &err), RC_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(checkpoint_write(path, &c.agreement, &c.model, c.round, c.params, &err),
                     RC_OK);
    assert_int_equal(file_bytes(b), n);
    assert_memory_equal(a, b, n);
    checkpoint_release(&c);
    free(a);
}

/* What the format's own readers rely on: hf safetensors' README, "Format". */
static void it_is_safetensors(void **state)
{
    (void)state;
    unsigned char *file = calloc(1, FILE_ROOM);
    assert_non_null(file);
    write_model(ROUND);
    const size_t n = file_bytes(file);
    const size_t data = model.table.S * sizeof *params;
    assert_int_equal((n - data) % 8, 0); /* parameters are aligned */
    assert_int_equal(file[8], '{');
    json_t *header = header_of(file);
    const char *key;
    json_t *value;
    json_int_t end = 0;
    json_object_foreach(json_object_get(header, "__metadata__"), key, value)
    {
        assert_true(json_is_string(value));
    }
    size_t n_shared = 0;
    for (size_t i = 0; i < model.table.n; i++) {
        const struct param *p = &model.table.param[i];
        const json_t *t = json_object_get(header, p->name);
        if (p->scope == PARAM_SITE) {
            assert_null(t);
            continue;
        }
        n_shared++;
        json_int_t size = 4;
        const json_t *shape = json_object_get(t, "shape");
        assert_int_equal(json_array_size(shape), p->rank);
        for (size_t k = 0; k < p->rank; k++) {
            size *= json_integer_value(json_array_get(shape, k));
        }
        const json_t *at = json_object_get(t, "data_offsets");
        assert_string_equal(json_string_value(json_object_get(t, "dtype")), "F32");
        assert_int_equal(json_integer_value(json_array_get(at, 0)), end);
        end += size;
        assert_int_equal(json_integer_value(json_array_get(at, 1)), end);
    }
    assert_int_equal(end, data);
    assert_int_equal(json_object_size(header), n_shared + 1);
    assert_memory_equal(file + n - data, params, data);
    json_decref(header);
    free(file);
}

static void its_owner_alone_may_read_it(void **state)
{
    (void)state;
    struct stat info;
    const mode_t before = umask(0);
    write_model(ROUND);
    (void)umask(before);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
}

static void its_folder_is_made(void **state)
{
    (void)state;
    struct error err = {0};
    struct checkpoint c = {0};
    char inner[160];
    (void)snprintf(inner, sizeof inner, "%s/models/m.safetensors", folder);
    assert_int_equal(checkpoint_write_new(inner, &agreement, &model, 1, params, &err), RC_IO);
    assert_non_null(strstr(err.text, "make it first")); /* a person's slip makes none */
    *strrchr(inner, '/') = '\0';
    assert_int_equal(access(inner, F_OK), -1);
    (void)snprintf(inner, sizeof inner, "%s/models/m.safetensors", folder);
    assert_int_equal(checkpoint_write(inner, &agreement, &model, 1, params, &err), RC_OK);
    assert_int_equal(checkpoint_read(inner, &c, &err), RC_OK);
    checkpoint_release(&c);
    assert_int_equal(unlink(inner), 0);
    *strrchr(inner, '/') = '\0';
    assert_int_equal(rmdir(inner), 0);
}

/* ---- writing fails ---------------------------------------------------------------------------- */

static void a_full_disk_leaves_the_old_file_whole(void **state)
{
    (void)state;
    struct error err = {0};
    struct checkpoint c = {0};
    struct rlimit limit;
    write_model(ROUND);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    const struct rlimit before = limit;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    params[1] += 1.0F;
    /* Inside the header, at its end, inside the parameters. */
    const size_t data = model.table.S * sizeof *params;
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    const size_t full = (size_t)info.st_size;
    const size_t room[] = {0, 100, full - data, full - 1};
    for (size_t i = 0; i < sizeof room / sizeof room[0]; i++) {
        limit.rlim_cur = room[i];
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        const enum rc rc = checkpoint_write(path, &agreement, &model, 8, params, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(rc, RC_IO);
        assert_non_null(strstr(err.text, path));
        assert_non_null(strstr(err.text, strerror(EFBIG)));
        assert_non_null(strstr(err.text, "nothing was changed"));
        assert_int_equal(checkpoint_read(path, &c, &err), RC_OK);
        assert_int_equal(c.round, ROUND);
        checkpoint_release(&c);
    }
    (void)signal(SIGXFSZ, handler);
}

static size_t files_in(const char *name)
{
    size_t n = 0;
    DIR *d = opendir(name);
    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    (void)closedir(d);
    return n;
}

static void a_new_file_takes_no_name_that_is_taken(void **state)
{
    (void)state;
    struct error err = {0};
    struct checkpoint c = {0};
    struct stat info;
    (void)unlink(path);
    assert_int_equal(checkpoint_write_new(path, &agreement, &model, ROUND, params, &err), RC_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    const size_t before = files_in(folder);
    assert_int_equal(checkpoint_write_new(path, &agreement, &model, 8, params, &err), RC_STATE);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "name another file"));
    assert_int_equal(files_in(folder), before);
    assert_int_equal(checkpoint_read(path, &c, &err), RC_OK);
    assert_int_equal(c.round, ROUND);
    checkpoint_release(&c);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("nowhere", path), 0); /* a name, too, though it leads to nothing */
    assert_int_equal(checkpoint_write_new(path, &agreement, &model, 8, params, &err), RC_STATE);
    assert_int_equal(unlink(path), 0);
}

static void a_place_that_cannot_be_written_is_named(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(checkpoint_write("/proc/none/model", &agreement, &model, 1, params, &err),
                     RC_IO);
    assert_non_null(strstr(err.text, "/proc/none/model"));
    assert_int_equal(mkdir(path, 0700), 0); /* a folder stands where the file should */
    assert_int_equal(checkpoint_write(path, &agreement, &model, 1, params, &err), RC_IO);
    assert_int_equal(rmdir(path), 0);
}

static void a_model_that_diverged_is_not_written(void **state)
{
    (void)state;
    struct error err = {0};
    write_model(ROUND);
    params[model.table.S - 1] = (real)NAN;
    assert_int_equal(checkpoint_write(path, &agreement, &model, 8, params, &err), RC_INVALID);
    params[model.table.S - 1] = (real)INFINITY;
    assert_int_equal(checkpoint_write(path, &agreement, &model, 8, params, &err), RC_INVALID);
    params[model.table.S - 1] = 0.0F;
    params[model.table.S] = (real)NAN; /* a site's own number: not of this file */
    assert_int_equal(checkpoint_write(path, &agreement, &model, 8, params, &err), RC_OK);
    assert_int_equal(checkpoint_write(path, &agreement, &model, 21, params, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "20 rounds"));
}

/* ---- reading refuses -------------------------------------------------------------------------- */

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    unsigned char *file = calloc(1, FILE_ROOM);
    struct checkpoint c = {0};
    struct error err = {0};
    assert_non_null(file);
    write_model(ROUND);
    const size_t n = file_bytes(file);
    for (size_t cut = 0; cut < n; cut += cut < 64 ? 1 : 97) {
        put_file(file, cut);
        const enum rc rc = checkpoint_read(path, &c, &err);
        if (rc != RC_FORMAT) {
            fail_msg("%zu of %zu bytes: %s", cut, n, rc_name(rc));
        }
    }
    file[n] = 0;
    put_file(file, n + 1);
    refused(RC_FORMAT, "bytes of parameters");
    put_file(file, n + 4);
    refused(RC_FORMAT, "bytes of parameters");
    free(file);
}

static void a_flipped_bit_is_found(void **state)
{
    (void)state;
    unsigned char *file = calloc(1, FILE_ROOM);
    struct checkpoint c = {0};
    struct error err = {0};
    assert_non_null(file);
    write_model(ROUND);
    const size_t n = file_bytes(file);
    const size_t data = n - model.table.S * sizeof *params;
    size_t n_tried = 0;
    for (size_t at = 0; at < n; at += at < data ? 61 : 7) {
        const unsigned char bit = (unsigned char)(1U << (at % 8));
        file[at] ^= bit;
        put_file(file, n);
        const enum rc rc = checkpoint_read(path, &c, &err);
        if (rc == RC_OK) { /* white space of the header, or a comment of the document */
            assert_true(at < data);
            assert_memory_equal(c.params, params, model.table.S * sizeof *params);
            assert_true(hash_equal(&c.agreement.study_hash, &agreement.study_hash));
            checkpoint_release(&c);
        }
        file[at] ^= bit;
        n_tried++;
    }
    assert_true(n_tried > 100);
    free(file);
}

static void numbers_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    unsigned char *file = calloc(1, FILE_ROOM);
    assert_non_null(file);
    write_model(ROUND);
    const size_t n = file_bytes(file);
    const real nan = (real)NAN;
    memcpy(file + n - sizeof nan, &nan, sizeof nan);
    put_file(file, n);
    refused(RC_INVALID, "is not finite");
    free(file);
}

static void a_header_out_of_bounds_is_refused(void **state)
{
    (void)state;
    static const unsigned char huge[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    put_file(huge, sizeof huge);
    refused(RC_FORMAT, "no safetensors file");
    put_file("", 0);
    refused(RC_FORMAT, "no safetensors file");
    put_text("", 0, "", 0);
    refused(RC_FORMAT, "no safetensors file");

    const size_t large = CHECKPOINT_HEADER_BYTES_MAX + 1;
    char *text = malloc(large);
    assert_non_null(text);
    memset(text, ' ', large);
    put_text(text, large, "", 0);
    refused(RC_LIMIT, "more than");
    memset(text, '[', large - 1);
    put_text(text, large - 1, "", 0);
    refused(RC_LIMIT, "nested too deeply");
    memset(text, ',', large - 1);
    text[0] = '[';
    put_text(text, large - 1, "", 0);
    refused(RC_LIMIT, "lists too much");
    free(text);

    static const char *const bad[] = {"{}x",      "{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}",
                                      "\"text\"", "{\"a\":\"\xff\"}",  "{\"a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_text(bad[i], strlen(bad[i]), "", 0);
        refused(RC_FORMAT, "its header is no");
    }
}

static void another_programs_file_is_told_apart(void **state)
{
    (void)state;
    static const char *const bad[] = {"{}",
                                      "{\"__metadata__\":{}}",
                                      "{\"__metadata__\":[]}",
                                      "{\"__metadata__\":{\"format\":\"pt\"}}",
                                      "{\"__metadata__\":{\"format\":\"wardround-model 2\"}}",
                                      "{\"__metadata__\":{\"format\":1}}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_text(bad[i], strlen(bad[i]), "", 0);
        refused(RC_FORMAT, "no " CHECKPOINT_FORMAT);
    }
}

static void each_piece_of_metadata_is_checked(void **state)
{
    (void)state;
    unsigned char *file = calloc(1, FILE_ROOM);
    assert_non_null(file);
    write_model(ROUND);
    const size_t n = file_bytes(file);
    const size_t data = model.table.S * sizeof *params;
    /* clang-format off */
    const struct { const char *key, *value; enum rc rc; const char *text; } wrong[] = {
        {"format", NULL, RC_FORMAT, "no wardround-model 1"},
        {"document", NULL, RC_FORMAT, "lack 'document'"},
        {"schema", NULL, RC_FORMAT, "lack 'schema'"},
        {"sigma", NULL, RC_FORMAT, "lack 'sigma'"},
        {"round", NULL, RC_FORMAT, "lack 'round'"},
        {"id", NULL, RC_INVALID, "parameters are not those"},
        {"study", NULL, RC_INVALID, "'study'"},
        {"study_hash", NULL, RC_INVALID, "'study_hash'"},
        {"schema_hash", NULL, RC_INVALID, "'schema_hash'"},
        {"noise", NULL, RC_INVALID, "'noise'"},
        {"epsilon", NULL, RC_INVALID, "'epsilon'"},
        {"delta", NULL, RC_INVALID, "'delta'"},
        {"document", "study: x", RC_INVALID, "the study inside"},
        {"schema", "features: []", RC_INVALID, "the study inside"},
        {"sigma", "nan", RC_FORMAT, "'sigma'"},
        {"sigma", "-1", RC_FORMAT, "'sigma'"},
        {"sigma", "0x1p3", RC_FORMAT, "'sigma'"},
        {"sigma", "", RC_FORMAT, "'sigma'"},
        {"round", "21", RC_INVALID, "'round'"},
        {"round", "-1", RC_INVALID, "'round'"},
        {"round", "07", RC_INVALID, "'round'"},
        {"round", "", RC_INVALID, "'round'"},
        {"round", "99999999999999999999", RC_INVALID, "'round'"},
        {"epsilon", "0.01", RC_INVALID, "'epsilon'"},
        {"id", "00", RC_INVALID, "parameters are not those"},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        json_t *header = header_of(file);
        json_t *m = json_object_get(header, "__metadata__");
        if (wrong[i].value == NULL) {
            assert_int_equal(json_object_del(m, wrong[i].key), 0);
        } else {
            assert_int_equal(json_object_set_new(m, wrong[i].key, json_string(wrong[i].value)), 0);
        }
        put_header(header, file + n - data, data);
        refused(wrong[i].rc, wrong[i].text);
        json_decref(header);
    }
    free(file);
}

/* A weaker noise than the document's epsilon needs must not pass for that study. */
static void another_sigma_is_another_study(void **state)
{
    (void)state;
    unsigned char *file = calloc(1, FILE_ROOM);
    struct checkpoint c = {0};
    struct error err = {0};
    assert_non_null(file);
    write_model(ROUND);
    const size_t n = file_bytes(file);
    const size_t data = model.table.S * sizeof *params;
    json_t *header = header_of(file);
    json_t *m = json_object_get(header, "__metadata__");
    assert_int_equal(json_object_set_new(m, "sigma", json_string("0.5")), 0);
    put_header(header, file + n - data, data);
    assert_int_equal(checkpoint_read(path, &c, &err), RC_INVALID);
    json_decref(header);
    free(file);
}

static void notes_of_other_tools_are_let_be(void **state)
{
    (void)state;
    unsigned char *file = calloc(1, FILE_ROOM);
    struct checkpoint c = {0};
    struct error err = {0};
    assert_non_null(file);
    write_model(ROUND);
    const size_t n = file_bytes(file);
    const size_t data = model.table.S * sizeof *params;
    json_t *header = header_of(file);
    json_t *m = json_object_get(header, "__metadata__");
    assert_int_equal(json_object_set_new(m, "seen_by", json_string("a {[ tool \\\" ,")), 0);
    put_header(header, file + n - data, data);
    assert_int_equal(checkpoint_read(path, &c, &err), RC_OK);
    checkpoint_release(&c);
    json_decref(header);
    free(file);
}

static void each_tensor_must_be_the_models(void **state)
{
    (void)state;
    unsigned char *file = calloc(1, FILE_ROOM);
    assert_non_null(file);
    write_model(ROUND);
    const size_t n = file_bytes(file);
    const size_t data = model.table.S * sizeof *params;
    const char *name = model.table.param[0].name;
    static const char *const wrong[] = {
        "null",
        "[]",
        "{}",
        "{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,4]}",
        "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}",
        "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,4]}",
        "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,9223372036854775807]}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        json_t *header = header_of(file);
        json_t *t = json_loads(wrong[i], JSON_DECODE_ANY, NULL);
        assert_int_equal(json_object_set_new(header, name, t), 0);
        put_header(header, file + n - data, data);
        refused(RC_INVALID, name);
        json_decref(header);
    }
    /* Two tensors in one place; one too few; one too many; one key that says more. */
    json_t *header = header_of(file);
    const char *other = model.table.param[1].name;
    assert_int_equal(json_object_set(json_object_get(header, other), "data_offsets",
                                     json_object_get(json_object_get(header, name),
                                                     "data_offsets")),
                     0);
    put_header(header, file + n - data, data);
    refused(RC_INVALID, other);
    json_decref(header);
    header = header_of(file);
    assert_int_equal(json_object_del(header, name), 0);
    put_header(header, file + n - data, data);
    refused(RC_INVALID, "tensors where the model has");
    assert_int_equal(json_object_set_new(header, "adapter.up.bias", json_object()), 0);
    put_header(header, file + n - data, data);
    refused(RC_INVALID, name);
    json_decref(header);
    header = header_of(file);
    assert_int_equal(json_object_set_new(header, "adapter.up.bias", json_object()), 0);
    put_header(header, file + n - data, data);
    refused(RC_INVALID, "tensors where the model has");
    json_decref(header);
    free(file);
}

static void what_is_no_file_is_refused_at_once(void **state)
{
    (void)state;
    refused(RC_IO, strerror(ENOENT));
    assert_int_equal(mkdir(path, 0700), 0);
    refused(RC_IO, "not a file");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(RC_IO, "not a file");
    assert_int_equal(unlink(path), 0);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), (off_t)CHECKPOINT_BYTES_MAX + 1), 0);
    (void)fclose(f);
    refused(RC_LIMIT, "more than");
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_is_written_is_read),
        IN_FOLDER(a_planned_study_is_in_its_model_as_it_was_planned),
        IN_FOLDER(the_same_model_gives_the_same_bytes),
        IN_FOLDER(it_is_safetensors),
        IN_FOLDER(its_owner_alone_may_read_it),
        IN_FOLDER(its_folder_is_made),
        IN_FOLDER(a_full_disk_leaves_the_old_file_whole),
        IN_FOLDER(a_new_file_takes_no_name_that_is_taken),
        IN_FOLDER(a_place_that_cannot_be_written_is_named),
        IN_FOLDER(a_model_that_diverged_is_not_written),
        IN_FOLDER(a_file_cut_anywhere_is_refused),
        IN_FOLDER(a_flipped_bit_is_found),
        IN_FOLDER(numbers_that_are_not_finite_are_refused),
        IN_FOLDER(a_header_out_of_bounds_is_refused),
        IN_FOLDER(another_programs_file_is_told_apart),
        IN_FOLDER(each_piece_of_metadata_is_checked),
        IN_FOLDER(another_sigma_is_another_study),
        IN_FOLDER(notes_of_other_tools_are_let_be),
        IN_FOLDER(each_tensor_must_be_the_models),
        IN_FOLDER(what_is_no_file_is_refused_at_once),
    };
#undef IN_FOLDER
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
