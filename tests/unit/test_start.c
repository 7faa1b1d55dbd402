/* Studies that begin from a public checkpoint, whose file this test writes by hand. */
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

#include "common/checkpoint/checkpoint.h"
#include "sim/fleet/fleet.h"
#include "tests/support/cohort.h"

struct world {
    struct schema schema;
    struct study study;
    struct study_site site[1];
    struct model model;
    struct dataset *data;
    char path[64];
    /* what the file holds */
    char header[8192];
    real number[2048];
    size_t n;
};

static void world_init(struct world *w)
{
    struct error err = {0};
    memset(w, 0, sizeof *w);
    test_schema(&w->schema);
    w->site[0] = (struct study_site){.name = "a", .nominal = 20};
    w->study = (struct study){
        .name = "s",
        .model = {.name = "mlp",
                  .n_hidden = 1,
                  .hidden = {5},
                  .embedding = 2,
                  .activation = "relu",
                  .adapter = 2},
        .local = {.rate = 0.5, .steps = 2, .physical_batch = 16},
        .server = {.rule = STUDY_FEDAVG, .rate = 1.0},
        .privacy = {.noise = STUDY_NOISE_NONE,
                    .epsilon = HUGE_VAL,
                    .clip = 1.0,
                    .sample_rate = 1.0},
        .seed = 3,
        .rounds = 2,
        .quorum = 1,
        .min_sites = 1,
        .fraction_bits = 24,
        .join_deadline_ms = 600000,
        .round_deadline_ms = 600000,
        .n_sites = 1,
        .site = w->site,
    };
    assert_int_equal(model_open(&w->study.model, &w->schema, &w->model, &err), RC_OK);
    w->data = test_dataset(&w->schema, "a", 20, 40, SIZE_MAX);
    (void)snprintf(w->path, sizeof w->path, "/tmp/wardround_start_XXXXXX");
    const int fd = mkstemp(w->path);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf(w->study.start.file, sizeof w->study.start.file, "%s", w->path);
    w->study.start.there = true;
}

static void world_release(struct world *w)
{
    (void)unlink(w->path);
    dataset_close(&w->data);
    model_release(&w->model);
    schema_release(&w->schema);
}

/* One more tensor behind the others. */
static void add(struct world *w, const char *name, const char *type, size_t rank, const size_t *dim,
                size_t size)
{
    char *to = w->header + strlen(w->header);
    char shape[64] = "";
    for (size_t i = 0; i < rank; i++) {
        (void)snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%zu",
                       i > 0 ? "," : "", dim[i]);
    }
    (void)snprintf(to, sizeof w->header - (size_t)(to - w->header),
                   "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                   w->header[0] == '\0' ? "" : ",", name, type, shape, 4 * w->n, 4 * (w->n + size));
    for (size_t i = 0; i < size; i++, w->n++) {
        w->number[w->n] = (real)0.001 * (real)(w->n + 1);
    }
}

/* All shared slices, the last first: a file's order is its own. */
static void add_model(struct world *w, const char *without)
{
    w->header[0] = '\0';
    w->n = 0;
    for (size_t i = w->model.table.n; i-- > 0;) {
        const struct param *p = &w->model.table.param[i];
        if (p->scope == PARAM_SHARED && strcmp(p->name, without) != 0) {
            add(w, p->name, "F32", p->rank, p->dim, p->size);
        }
    }
}

static void write_file(const struct world *w, size_t cut)
{
    char text[sizeof w->header + 4];
    FILE *f = fopen(w->path, "wbe");
    assert_non_null(f);
    const uint64_t n = (uint64_t)snprintf(text, sizeof text, "{%s}", w->header);
    assert_int_equal(fwrite(&n, sizeof n, 1, f), 1);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fwrite(w->number, 1, w->n * sizeof(real) - cut, f), w->n * sizeof(real) - cut);
    assert_int_equal(fclose(f), 0);
}

/* Writes the hash that the reader asks for into the study, as its author would. */
static void take_hash(struct world *w, real *params)
{
    struct error err = {0};
    char hex[3] = "";
    assert_int_equal(checkpoint_first(&w->study, &w->model, params, &err), RC_INVALID);
    const char *at = strstr(err.text, "have the hash ");
    assert_non_null(at);
    assert_non_null(strstr(err.text, w->path));
    at += strlen("have the hash ");
    for (size_t i = 0; i < HASH_BYTES; i++) {
        memcpy(hex, at + 2 * i, 2);
        w->study.start.numbers.b[i] = (unsigned char)strtoul(hex, NULL, 16);
    }
    if (checkpoint_first(&w->study, &w->model, params, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
}

/* The number of the file that belongs at i of slice p. */
static real in_file(const struct world *w, const struct param *p, size_t i)
{
    char key[PARAM_NAME_MAX + 4];
    (void)snprintf(key, sizeof key, "\"%s\":", p->name);
    const char *at = strstr(w->header, key);
    assert_non_null(at);
    at = strstr(at, "data_offsets\":[");
    return w->number[strtoul(at + strlen("data_offsets\":["), NULL, 10) / 4 + i];
}

static void every_shared_number_is_the_files_and_adapters_begin_as_usual(void **state)
{
    (void)state;
    static struct world w;
    world_init(&w);
    real *params = calloc(w.model.table.P, sizeof *params);
    real *usual = calloc(w.model.table.P, sizeof *usual);
    param_init_values(&w.model.table, w.study.seed, usual);
    add_model(&w, "");
    write_file(&w, 0);
    take_hash(&w, params);
    for (size_t k = 0; k < w.model.table.n; k++) {
        const struct param *p = &w.model.table.param[k];
        for (size_t i = 0; i < p->size; i++) {
            const real want = p->scope == PARAM_SHARED ? in_file(&w, p, i) : usual[p->offset + i];
            assert_true(params[p->offset + i] == want);
        }
    }
    /* of a whole model it is the hash that rounds speak of */
    const struct hash whole = hash_of(params, w.model.table.S * sizeof *params);
    assert_true(hash_equal(&whole, &w.study.start.numbers));
    free(params);
    free(usual);
    world_release(&w);
}

static void new_blocks_begin_as_usual_whatever_the_file_has(void **state)
{
    (void)state;
    static struct world w;
    static const size_t other_shape[2] = {3, 3};
    for (int kind = 0; kind < 3; kind++) { /* as the model's, of another shape, not there */
        world_init(&w);
        real *params = calloc(w.model.table.P, sizeof *params);
        real *usual = calloc(w.model.table.P, sizeof *usual);
        param_init_values(&w.model.table, w.study.seed, usual);
        w.study.start.n_fresh = 1;
        (void)snprintf(w.study.start.fresh[0], sizeof w.study.start.fresh[0], "head.weight");
        add_model(&w, kind == 0 ? "" : "head.weight");
        if (kind == 1) {
            add(&w, "head.weight", "F32", 2, other_shape, 9);
        }
        write_file(&w, 0);
        take_hash(&w, params);
        for (size_t k = 0; k < w.model.table.n; k++) {
            const struct param *p = &w.model.table.param[k];
            const bool taken = p->scope == PARAM_SHARED && strcmp(p->name, "head.weight") != 0;
            for (size_t i = 0; i < p->size; i++) {
                assert_true(params[p->offset + i] ==
                            (taken ? in_file(&w, p, i) : usual[p->offset + i]));
            }
        }
        /* whoever begins with another seed has another head and the same checkpoint */
        struct error err = {0};
        w.study.seed++;
        assert_int_equal(checkpoint_first(&w.study, &w.model, params, &err), RC_OK);
        free(params);
        free(usual);
        world_release(&w);
    }
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    static struct world w;
    static const size_t dim[2] = {2, 3};
    static const char *const want[] = {
        "it has no tensor 'head.bias'; if that is to begin as usual, name its block under start",
        "tensor 'tail.weight' is none of the model's; take it out of the file",
        "tensor 'head.bias' is not of type F32; convert it",
        "tensor 'head.bias' has another shape than the model's",
        "it ends too early",
        "has a number that is not finite",
        "the model has no parameters named 'tail'",
        "cannot open it",
        "it is no safetensors file",
        "header is no JSON",
        " bytes of numbers and ",
    };
    for (size_t k = 0; k < sizeof want / sizeof want[0]; k++) {
        struct error err = {0};
        world_init(&w);
        w.study.start.line = 17;
        real *params = calloc(w.model.table.P, sizeof *params);
        add_model(&w, k == 0 || k == 2 || k == 3 ? "head.bias" : "");
        if (k == 1) {
            add(&w, "tail.weight", "F32", 2, dim, 6);
        } else if (k == 2) {
            add(&w, "head.bias", "F64", 1, (size_t[]){1}, 1);
        } else if (k == 3) {
            add(&w, "head.bias", "F32", 2, dim, 6);
        } else if (k == 5) {
            w.number[3] = NAN;
        } else if (k == 6) {
            w.study.start.n_fresh = 1;
            (void)snprintf(w.study.start.fresh[0], sizeof w.study.start.fresh[0], "tail");
        } else if (k == 9) {
            (void)snprintf(w.header, sizeof w.header, "no json");
        }
        write_file(&w, 0);
        if (k == 4) { /* its header and a part of the numbers */
            FILE *f = fopen(w.path, "r+be");
            assert_non_null(f);
            assert_int_equal(fseek(f, 0, SEEK_END), 0);
            const long size = ftell(f);
            assert_int_equal(fclose(f), 0);
            assert_int_equal(truncate(w.path, size - 4), 0);
        } else if (k == 10) { /* a number more than there are tensors for */
            FILE *f = fopen(w.path, "abe");
            assert_non_null(f);
            assert_int_equal(fwrite("more", 1, 4, f), 4);
            assert_int_equal(fclose(f), 0);
        } else if (k == 7) {
            (void)unlink(w.path);
        } else if (k == 8) {
            assert_int_equal(truncate(w.path, 5), 0);
        }
        assert_int_not_equal(checkpoint_first(&w.study, &w.model, params, &err), RC_OK);
        assert_non_null(strstr(err.text, "start, line 17: "));
        const char *also = k == 4 ? "is not where its header says" : want[k];
        if (strstr(err.text, want[k]) == NULL && strstr(err.text, also) == NULL) {
            fail_msg("'%s', want '%s'", err.text, want[k]);
        }
        free(params);
        world_release(&w);
    }
}

static void a_study_begins_from_it_and_sites_compare_the_first_model(void **state)
{
    (void)state;
    static struct world w;
    struct error err = {0};
    struct fleet_result r = {0};
    world_init(&w);
    real *params = calloc(w.model.table.P, sizeof *params);
    add_model(&w, "");
    write_file(&w, 0);
    take_hash(&w, params);
    /* what is frozen stays as the file has it */
    w.study.model.n_frozen = 1;
    (void)snprintf(w.study.model.frozen[0], sizeof w.study.model.frozen[0], "hidden0");
    model_release(&w.model);
    assert_int_equal(model_open(&w.study.model, &w.schema, &w.model, &err), RC_OK);
    const struct ledger_policy policy = {.max_epsilon_per_study = HUGE_VAL,
                                         .max_epsilon_total = HUGE_VAL,
                                         .max_delta_per_study = 0.01,
                                         .min_patients = 1,
                                         .min_sites = 1};
    const struct dataset *data[1] = {w.data};
    const struct fleet_params p = {.study = &w.study,
                                   .schema = &w.schema,
                                   .model = &w.model,
                                   .data = data,
                                   .policy = &policy,
                                   .seed = 5};
    assert_int_equal(fleet_run(&p, &r, &err), RC_OK);
    assert_true(r.done);
    size_t frozen = 0, moved = 0;
    for (size_t k = 0; k < w.model.table.n; k++) {
        const struct param *slice = &w.model.table.param[k];
        for (size_t i = 0; slice->scope == PARAM_SHARED && i < slice->size; i++) {
            const bool same = r.model[slice->offset + i] == in_file(&w, slice, i);
            assert_true(!slice->frozen || same);
            frozen += slice->frozen;
            moved += !same;
        }
    }
    assert_true(frozen > 10 && moved > 3);
    fleet_result_release(&r);

    assert_true(train_begins(&w.study, &w.model, 1, params));
    params[w.model.table.S - 1] += (real)1;
    assert_false(train_begins(&w.study, &w.model, 1, params));
    assert_true(train_begins(&w.study, &w.model, 2, params)); /* trained meanwhile */
    w.study.start.there = false;
    assert_true(train_begins(&w.study, &w.model, 1, params));
    w.study.start.there = true;
    w.study.start.numbers.b[0] ^= 1; /* another file than was agreed on: nothing starts */
    assert_int_equal(fleet_run(&p, &r, &err), RC_INVALID);
    free(params);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shared_number_is_the_files_and_adapters_begin_as_usual),
        cmocka_unit_test(new_blocks_begin_as_usual_whatever_the_file_has),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(a_study_begins_from_it_and_sites_compare_the_first_model),
    };
    return cmocka_run_group_tests_name("studies that begin from a checkpoint", tests, NULL, NULL);
}
