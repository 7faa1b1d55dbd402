/* What is hashed of a study, what is carried to others, and what a copy shares. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/study_text.h"

static void a_copy_shares_nothing(void **state)
{
    (void)state;
    struct study a = study_text_read(study_text_good), b;
    struct error err = {0};
    const struct hash schema = hash_of("schema", 6);
    assert_int_equal(study_copy(&a, &b, &err), RC_OK);
    const struct hash before = study_hash(&a, &schema);
    const struct hash same = study_hash(&b, &schema);
    assert_true(hash_equal(&before, &same));
    assert_ptr_not_equal(a.site, b.site);
    b.site[0].nominal = 1;
    b.rounds = 6;
    const struct hash after = study_hash(&a, &schema);
    assert_true(hash_equal(&before, &after));
    study_release(&a);
    assert_int_equal(b.n_sites, 3);
    assert_string_equal(b.site[1].name, "b");
    study_release(&b);
}

static void a_multimodal_model_s_hash_changes_with_every_word_and_number(void **state)
{
    (void)state;
    static const size_t field[] = {
        offsetof(struct study, model.fusion[0]), offsetof(struct study, model.missing[0]),
        offsetof(struct study, model.table[0]),  offsetof(struct study, model.series[0]),
        offsetof(struct study, model.image[0]),  offsetof(struct study, model.notes[0]),
        offsetof(struct study, model.width),     offsetof(struct study, model.heads),
        offsetof(struct study, model.layers),    offsetof(struct study, model.dropout),
        offsetof(struct study, model.embedding), offsetof(struct study, model.modality_dropout),
        offsetof(struct study, model.shift),
    };
    struct study s =
        study_text_read(study_text_with(6, "model: {name: multimodal, fusion: gmu, series: lstm}"));
    const struct hash schema = hash_of("schema", 6);
    struct hash seen[1 + COUNT(field)] = {study_hash(&s, &schema)};
    assert_string_equal(s.model.fusion, "gmu");
    assert_string_equal(s.model.missing, "skip");
    assert_string_equal(s.model.series, "lstm");
    assert_string_equal(s.model.notes, "bag");
    assert_int_equal(s.model.width, 64);
    for (size_t i = 0; i < COUNT(field); i++) {
        unsigned char *byte = (unsigned char *)&s + field[i];
        *byte ^= 1;
        seen[1 + i] = study_hash(&s, &schema);
        *byte ^= 1;
        for (size_t j = 0; j <= i; j++) {
            assert_false(hash_equal(&seen[1 + i], &seen[j]));
        }
    }
    study_release(&s);
}

/* Ledgers and registries know a study by its hash: one that asks for nothing new keeps it. */
static void a_study_that_uses_nothing_new_has_the_hash_that_it_had(void **state)
{
    (void)state;
    struct study s = study_text_read(study_text_good);
    const struct hash schema = hash_of("schema", 6);
    char hex[HASH_HEX];
    s.privacy.noise_multiplier = 1.5; /* solved, and its last digit is the processor's */
    const struct hash h = study_hash(&s, &schema);
    hash_hex(&h, hex);
    assert_string_equal(hex, "9f79e8b5b63b046d744e96fd337c6bca81c4688fae997a70066bef3db5482b77");
    study_release(&s);
}

/* Hashed where they mean something: other studies keep the hash that they had before there were any. */
static void what_only_some_fusions_have_is_hashed_with_them(void **state)
{
    (void)state;
    static const char *const model[4] = {
        "model: {name: multimodal, fusion: asymmetric}",
        "model: {name: multimodal, fusion: asymmetric, primary: vitals}",
        "model: {name: multimodal, fusion: tri_branch}",
        "model: {name: multimodal, fusion: tri_branch, branch_weights: learned}"};
    static const char *const primary[4] = {"", "vitals", "", ""};
    static const char *const weights[4] = {"", "", "equal", "learned"};
    const struct hash schema = hash_of("schema", 6);
    struct hash seen[4];
    for (size_t i = 0; i < 4; i++) {
        struct study s = study_text_read(study_text_with(6, model[i]));
        assert_string_equal(s.model.primary, primary[i]);
        assert_string_equal(s.model.branch_weights, weights[i]);
        seen[i] = study_hash(&s, &schema);
        study_release(&s);
    }
    assert_false(hash_equal(&seen[0], &seen[1]));
    assert_false(hash_equal(&seen[2], &seen[3]));
}

/* A field that a later hand adds must be added to study_hash and to the list below. */
static void the_hash_changes_with_every_field(void **state)
{
    (void)state;
    _Static_assert(sizeof(struct study_model) == 64 + 8 + 32 + 8 + 16 + 8 + 8 + 24 + 8 + 4 * 16 +
                                                     3 * 8 + 2 * 8 + 8 + 64 + 8 + 8 +
                                                     2 * (8 + STUDY_BLOCKS_MAX * STUDY_NAME_MAX),
                   "hash the new field");
    _Static_assert(sizeof(struct study_local) == 2 * 4 + 8 * 8 + 3 * 8, "hash the new field");
    _Static_assert(sizeof(struct study_server_rule) == 2 * 4 + 5 * 8 + 3 * 8, "hash the new field");
    _Static_assert(sizeof(struct study_privacy) == 8 + 5 * 8, "hash the new field");
    _Static_assert(sizeof(struct study_site) == 64 + 8 + 8 + 40 + 8, "hash the new field");
    _Static_assert(sizeof(struct study_start) ==
                       40 + 8 + STUDY_BLOCKS_MAX * STUDY_NAME_MAX + 8 +
                           STUDY_PATH_MAX /* line and file: not hashed, see below */,
                   "hash the new field");
    _Static_assert(sizeof(struct study) ==
                       64 + sizeof(struct study_model) + sizeof(struct study_local) +
                           sizeof(struct study_server_rule) + sizeof(struct study_privacy) +
                           sizeof(struct study_wish) /* not hashed: what came of it is */ + 17 * 8 +
                           sizeof(struct study_start) +
                           STUDY_PATH_MAX /* cohort: not hashed, see below */,
                   "hash the new field");

    struct study s = study_text_read(study_text_with(6, "model: {name: mlp, hidden: [3, 4]}"));
    struct hash schema = hash_of("schema", 6);
    struct hash seen[72];
    size_t n = 0;
    seen[n++] = study_hash(&s, &schema);

    static const size_t field[] = {
        offsetof(struct study, name[0]),
        offsetof(struct study, model.name[0]),
        offsetof(struct study, model.n_hidden),
        offsetof(struct study, model.hidden[0]),
        offsetof(struct study, model.hidden[1]),
        offsetof(struct study, model.embedding),
        offsetof(struct study, model.activation[0]),
        offsetof(struct study, model.layer_norm),
        offsetof(struct study, model.site_norm),
        offsetof(struct study, model.adapter),
        offsetof(struct study, model.points),
        offsetof(struct study, model.n_lacked),
        offsetof(struct study, model.n_frozen),
        offsetof(struct study, local.optimiser),
        offsetof(struct study, local.rate),
        offsetof(struct study, local.momentum),
        offsetof(struct study, local.beta1),
        offsetof(struct study, local.beta2),
        offsetof(struct study, local.epsilon),
        offsetof(struct study, local.schedule),
        offsetof(struct study, local.weight_decay),
        offsetof(struct study, local.rate_floor),
        offsetof(struct study, local.proximal),
        offsetof(struct study, local.warmup_steps),
        offsetof(struct study, local.steps),
        offsetof(struct study, local.physical_batch),
        offsetof(struct study, server.rule),
        offsetof(struct study, server.rate),
        offsetof(struct study, server.beta1),
        offsetof(struct study, server.beta2),
        offsetof(struct study, server.epsilon),
        offsetof(struct study, server.average_iterates),
        offsetof(struct study, server.combine),
        offsetof(struct study, server.momentum),
        offsetof(struct study, server.trim),
        offsetof(struct study, privacy.noise),
        offsetof(struct study, privacy.epsilon),
        offsetof(struct study, privacy.delta),
        offsetof(struct study, privacy.clip),
        offsetof(struct study, privacy.sample_rate),
        offsetof(struct study, privacy.noise_multiplier),
        offsetof(struct study, seed),
        offsetof(struct study, rounds),
        offsetof(struct study, quorum),
        offsetof(struct study, min_sites),
        offsetof(struct study, max_colluding),
        offsetof(struct study, threshold),
        offsetof(struct study, neighbours),
        offsetof(struct study, neighbour_threshold),
        offsetof(struct study, masked),
        offsetof(struct study, broadcast),
        offsetof(struct study, spare_rounds),
        offsetof(struct study, sites_per_round),
        offsetof(struct study, fraction_bits),
        offsetof(struct study, held_out),
        offsetof(struct study, join_deadline_ms),
        offsetof(struct study, round_deadline_ms),
        offsetof(struct study, n_sites),
        offsetof(struct study, start.there),
    };
    for (size_t i = 0; i < COUNT(field); i++) {
        unsigned char *byte = (unsigned char *)&s + field[i];
        *byte ^= 1;
        seen[n++] = study_hash(&s, &schema);
        *byte ^= 1;
    }
    s.site[1].name[0] = 'x';
    seen[n++] = study_hash(&s, &schema);
    s.site[1].name[0] = 'b';
    s.site[1].nominal++;
    seen[n++] = study_hash(&s, &schema);
    s.site[1].nominal--;
    s.masked = true;
    s.site[1].keyed = true;
    seen[n++] = study_hash(&s, &schema);
    s.site[1].key[3] = 1;
    seen[n++] = study_hash(&s, &schema);
    s.site[1].key[3] = 0;
    s.site[1].keyed = s.masked = false;
    schema.b[31] ^= 1;
    seen[n++] = study_hash(&s, &schema);
    schema.b[31] ^= 1;

    assert_true(n <= COUNT(seen));
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (hash_equal(&seen[i], &seen[j])) {
                fail_msg("change %zu gives the hash of change %zu", i, j);
            }
        }
    }
    const struct hash again = study_hash(&s, &schema);
    assert_true(hash_equal(&again, &seen[0]));
    study_release(&s);
}

static void the_coordinators_own_cohort_path_is_read_and_not_hashed(void **state)
{
    (void)state;
    char text[1024 + STUDY_PATH_MAX], path[STUDY_PATH_MAX + 1] = "";
    (void)snprintf(text, sizeof text, "cohort: ../site/cohort.yaml\n%s", study_text_good);
    struct study with = study_text_read(text), without = study_text_read(study_text_good);
    const struct hash schema = hash_of("schema", 6);
    const struct hash a = study_hash(&with, &schema), b = study_hash(&without, &schema);
    assert_string_equal(with.cohort, "../site/cohort.yaml");
    assert_string_equal(without.cohort, "");
    assert_true(hash_equal(&a, &b));
    study_release(&with);
    study_release(&without);

    memset(path, 'x', STUDY_PATH_MAX);
    (void)snprintf(text, sizeof text, "rounds: 5\ncohort: %s", path);
    study_text_one_issue(2, text, "s.yaml:3:9: error: cohort: is longer than 511 bytes");
}

static void a_document_in_memory_is_the_same_as_in_its_file(void **state)
{
    (void)state;
    static char text[16384];
    static const char path[] = "configs/studies/heart.yaml";
    struct config_issues issues = {0};
    struct error err = {0};
    struct study a, b;
    FILE *f = fopen(path, "rbe");
    assert_non_null(f);
    const size_t n = fread(text, 1, sizeof text, f);
    assert_int_equal(fclose(f), 0);
    assert_true(n < sizeof text);
    assert_int_equal(study_open(path, &a, &issues, &err), RC_OK);
    assert_int_equal(study_parse("mem", text, n, &b, &issues, &err), RC_OK);
    const struct hash schema = hash_of("schema", 6);
    const struct hash x = study_hash(&a, &schema), y = study_hash(&b, &schema);
    assert_true(hash_equal(&x, &y));
    assert_string_equal(a.cohort, b.cohort);
    study_release(&a);
    study_release(&b);

    assert_int_equal(study_parse("mem", "rounds: 0\n", 10, &b, &issues, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "mem:1:9: error: rounds"));
    assert_int_equal(study_parse("mem", "a: [", 4, &b, &issues, &err), RC_FORMAT);
    assert_memory_equal(err.text, "mem:", 4);
}

static void noises_have_names(void **state)
{
    (void)state;
    assert_string_equal(study_noise_name(STUDY_NOISE_NONE), "none");
    assert_string_equal(study_noise_name(STUDY_NOISE_SITE), "site");
    assert_string_equal(study_noise_name(STUDY_NOISE_SHARED), "shared");
    assert_string_equal(study_noise_name((enum study_noise)7), "?");
}

static void the_reference_names_every_map_and_key(void **state)
{
    (void)state;
    static char text[16384];
    FILE *f = tmpfile();
    assert_non_null(f);
    study_print_reference(f);
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    assert_int_equal(fclose(f), 0);
    static const char *const want[] = {"| `study` |",       "| `hidden` |",
                                       "| `optimiser` |",   "| `average_iterates` |",
                                       "| `sample_rate` |", "| `fraction_bits` |",
                                       "| `passes` |",      "| `steps_least` |",
                                       "| `nominal` |"};
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_non_null(strstr(text, want[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_shares_nothing),
        cmocka_unit_test(a_multimodal_model_s_hash_changes_with_every_word_and_number),
        cmocka_unit_test(a_study_that_uses_nothing_new_has_the_hash_that_it_had),
        cmocka_unit_test(what_only_some_fusions_have_is_hashed_with_them),
        cmocka_unit_test(the_hash_changes_with_every_field),
        cmocka_unit_test(the_coordinators_own_cohort_path_is_read_and_not_hashed),
        cmocka_unit_test(a_document_in_memory_is_the_same_as_in_its_file),
        cmocka_unit_test(noises_have_names),
        cmocka_unit_test(the_reference_names_every_map_and_key),
    };
    return cmocka_run_group_tests_name("study_hash", tests, NULL, NULL);
}
