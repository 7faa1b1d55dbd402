/* What a study says, field by field. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/accountant/accountant.h"
#include "tests/support/study_text.h"

/* ---- the sample ----------------------------------------------------------------------------- */

static void the_heart_study_is_read_field_by_field(void **state)
{
    (void)state;
    struct study s;
    static struct config_issues issues;
    struct error err = {0};
    if (study_open("configs/studies/heart.yaml", &s, &issues, &err) != RC_OK) {
        config_print_issues(&issues, stderr);
        fail_msg("%s", err.text);
    }
    assert_string_equal(s.name, "heart");
    assert_int_equal(s.seed, 1);
    assert_int_equal(s.rounds, 20);
    assert_int_equal(s.quorum, 3);
    assert_int_equal(s.min_sites, 3);
    assert_int_equal(s.max_colluding, 0);
    assert_int_equal(s.join_deadline_ms, 600000);
    assert_int_equal(s.round_deadline_ms, 600000);
    assert_string_equal(s.model.name, "logistic");
    assert_int_equal(s.model.n_hidden, 0);
    assert_int_equal(s.model.adapter, 0);
    assert_int_equal(s.local.optimiser, STUDY_SGD);
    assert_int_equal(s.local.steps, 1);
    assert_int_equal(s.local.physical_batch, 256);
    assert_int_equal(s.server.rule, STUDY_FEDAVG);
    assert_true(s.server.rate == 1.0);
    assert_true(s.server.average_iterates);
    assert_int_equal(s.privacy.noise, STUDY_NOISE_SITE);
    assert_true(s.privacy.epsilon == 4.0 && s.privacy.delta == 1e-3 && s.privacy.clip == 1.0 &&
                s.privacy.sample_rate == 1.0);
    assert_int_equal(s.fraction_bits, 24);
    static const char *const name[] = {"cleveland", "hungarian", "switzerland", "va"};
    static const size_t nominal[] = {300, 290, 120, 200};
    assert_int_equal(s.n_sites, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(s.site[i].name, name[i]);
        assert_int_equal(s.site[i].nominal, nominal[i]);
    }
    assert_int_equal(study_steps(&s), 20);
    assert_int_equal(study_nominal_total(&s), 910);
    assert_int_equal(study_find_site(&s, "va"), 3);
    assert_int_equal(study_find_site(&s, "VA"), 4);

    const struct mechanism plan = {.q = 1.0, .sigma = s.privacy.noise_multiplier, .steps = 20};
    const double epsilon = accountant_epsilon(&plan, 1, 1e-3);
    assert_true(epsilon <= 4.0 && epsilon > 3.999);
    study_release(&s);
    study_release(&s);
    assert_null(s.site);
}

/* ---- defaults and other shapes ---------------------------------------------------------------- */

static void keys_left_out_take_their_written_defaults(void **state)
{
    (void)state;
    struct study s = study_text_read(study_text_good);
    assert_string_equal(s.name, "trial-1");
    assert_int_equal(s.seed, 1);
    assert_int_equal(s.join_deadline_ms, 600000);
    assert_int_equal(s.local.optimiser, STUDY_SGD);
    assert_true(s.local.rate == 0.5 && s.local.momentum == 0.0);
    assert_true(s.local.beta1 == 0.9 && s.local.beta2 == 0.999 && s.local.epsilon == 1e-8);
    assert_int_equal(s.local.steps, 2);
    assert_true(s.server.rate == 1.0);
    assert_true(s.server.beta1 == 0.9 && s.server.beta2 == 0.99 && s.server.epsilon == 1e-3);
    assert_true(s.privacy.sample_rate == 1.0 && s.privacy.clip == 1.5);
    assert_int_equal(s.fraction_bits, 20);
    assert_int_equal(s.max_colluding, 1);
    assert_int_equal(study_steps(&s), 10);
    assert_string_equal(s.site[2].name, "c.d_E-9");
    study_release(&s);

    s = study_text_read(study_text_with(10, ""));
    assert_int_equal(s.fraction_bits, 24);
    study_release(&s);
    s = study_text_read(study_text_with(8, ""));
    assert_int_equal(s.server.rule, STUDY_FEDAVG);
    assert_true(s.server.rate == 1.0);
    study_release(&s);
}

static void deadlines_and_seed_are_kept_apart(void **state)
{
    (void)state;
    struct study s = study_text_read(
        study_text_with(2, "rounds: 5\nseed: 77\njoin_deadline_s: 3\nround_deadline_s: 2592000"));
    assert_int_equal(s.seed, 77);
    assert_int_equal(s.join_deadline_ms, 3000);
    assert_true(s.round_deadline_ms == INT64_C(2592000000));
    study_release(&s);
}

static void an_mlp_with_adam_and_fedadam_is_read(void **state)
{
    (void)state;
    struct study s = study_text_read(
        study_text_with(6, "model: {name: mlp, hidden: [32, 16], embedding: 3, activation: gelu,\n"
                           "        layer_norm: true, adapter: 8}"));
    assert_string_equal(s.model.name, "mlp");
    assert_int_equal(s.model.n_hidden, 2);
    assert_int_equal(s.model.hidden[0], 32);
    assert_int_equal(s.model.hidden[1], 16);
    assert_int_equal(s.model.embedding, 3);
    assert_string_equal(s.model.activation, "gelu");
    assert_true(s.model.layer_norm);
    assert_int_equal(s.model.adapter, 8);
    study_release(&s);

    s = study_text_read(study_text_with(6, "model: {name: mlp, hidden: [5]}"));
    assert_int_equal(s.model.embedding, 4);
    assert_string_equal(s.model.activation, "relu");
    assert_false(s.model.layer_norm);
    study_release(&s);

    s = study_text_read(
        study_text_with(7, "local: {optimiser: adam, rate: 0.01, beta1: 0.8, beta2: 0.98,\n"
                           "        epsilon: 1e-6}"));
    assert_int_equal(s.local.optimiser, STUDY_ADAM);
    assert_true(s.local.beta1 == 0.8 && s.local.beta2 == 0.98 && s.local.epsilon == 1e-6);
    study_release(&s);

    s = study_text_read(study_text_with(8, "server: {rule: fedadam, rate: 0.1, epsilon: 1e-2,\n"
                                           "         average_iterates: true}"));
    assert_int_equal(s.server.rule, STUDY_FEDADAM);
    assert_true(s.server.epsilon == 1e-2);
    assert_true(s.server.average_iterates);
    study_release(&s);
}

static void what_changes_in_the_course_of_training_is_read(void **state)
{
    (void)state;
    struct study s = study_text_read(study_text_with(
        7, "local: {rate: 0.5, steps: 2, optimiser: adamw, weight_decay: 0.2, schedule: cosine,\n"
           "  rate_floor: 0.1, warmup_steps: 9, proximal: 0.3}"));
    assert_int_equal(s.local.optimiser, STUDY_ADAMW);
    assert_int_equal(s.local.schedule, STUDY_COSINE);
    assert_true(s.local.weight_decay == 0.2 && s.local.rate_floor == 0.1);
    assert_true(s.local.proximal == 0.3);
    assert_int_equal(s.local.warmup_steps, 9);
    study_release(&s);
    s = study_text_read(study_text_with(7, "local: {rate: 0.5, optimiser: adamw}"));
    assert_true(s.local.weight_decay == 0.01);
    assert_int_equal(s.local.schedule, STUDY_CONSTANT);
    study_release(&s);
}

static void the_servers_words_are_read(void **state)
{
    (void)state;
    struct study s = study_text_read(study_text_with(8, "server: {rule: fedavgm}"));
    assert_int_equal(s.server.rule, STUDY_FEDAVGM);
    assert_true(s.server.momentum == 0.9);
    assert_int_equal(s.server.combine, STUDY_MEAN);
    assert_int_equal(s.server.trim, 0);
    study_release(&s);
    s = study_text_read(study_text_with(8, "server: {rule: fedyogi, beta1: 0.5}"));
    assert_int_equal(s.server.rule, STUDY_FEDYOGI);
    assert_true(s.server.momentum == 0.0 && s.server.beta1 == 0.5);
    study_release(&s);
}

static const char some_lack[] =
    "study: s\nrounds: 5\nquorum: 2\nmin_sites: 2\nmodel: {name: %s}\nlocal: {rate: 1}\n"
    "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1}\nsites:\n"
    "  - {name: a, nominal: 1%s}\n  - {name: b, nominal: 1%s}\n  - {name: c, nominal: 1%s}\n";

static const char *lacking(const char *model, const char *a, const char *b, const char *c)
{
    static char text[2048];
    (void)snprintf(text, sizeof text, some_lack, model, a, b, c);
    return text;
}

static void what_a_site_lacks_is_read_and_hashed(void **state)
{
    (void)state;
    const struct hash schema = hash_of("schema", 6);
    struct study s =
        study_text_read(lacking("multimodal", ", lacks: [notes]", "", ", lacks: [xray film]"));
    assert_int_equal(s.model.n_lacked, 2);
    assert_string_equal(s.model.lacked[0], "notes");
    assert_string_equal(s.model.lacked[1], "xray film");
    assert_true(study_lacks(&s, 0, 0) && !study_lacks(&s, 0, 1));
    assert_true(!study_lacks(&s, 1, 0) && !study_lacks(&s, 1, 1));
    assert_true(!study_lacks(&s, 2, 0) && study_lacks(&s, 2, 1));
    const struct hash before = study_hash(&s, &schema);
    s.site[1].lacks ^= 2;
    struct hash after = study_hash(&s, &schema);
    assert_false(hash_equal(&before, &after));
    s.site[1].lacks ^= 2;
    s.model.lacked[1][0] ^= 1;
    after = study_hash(&s, &schema);
    assert_false(hash_equal(&before, &after));
    study_release(&s);
}

static void points_are_a_set_and_hashed_where_there_are_any(void **state)
{
    (void)state;
    static const char *const model[5] = {
        "model: {name: additive}", "model: {name: additive, points: [shape]}",
        "model: {name: additive, points: [contrasts, words]}",
        "model: {name: additive, points: [words, contrasts]}",
        "model: {name: additive, points: [shape, contrasts, words]}"};
    static const size_t want[5] = {0, 1, 6, 6, 7};
    const struct hash schema = hash_of("schema", 6);
    struct hash h[5];
    for (size_t i = 0; i < 5; i++) {
        struct study s = study_text_read(study_text_with(6, model[i]));
        assert_int_equal(s.model.points, want[i]);
        h[i] = study_hash(&s, &schema);
        study_release(&s);
    }
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_int_equal(hash_equal(&h[i], &h[k]), want[i] == want[k]);
        }
    }
}

static void frozen_blocks_are_read_and_hashed(void **state)
{
    (void)state;
    const struct hash schema = hash_of("schema", 6);
    struct study s = study_text_read(
        study_text_with(6, "model: {name: mlp, hidden: [3], frozen: [hidden0, head.bias]}"));
    assert_int_equal(s.model.n_frozen, 2);
    assert_string_equal(s.model.frozen[0], "hidden0");
    assert_string_equal(s.model.frozen[1], "head.bias");
    const struct hash before = study_hash(&s, &schema);
    s.model.frozen[1][0] ^= 1;
    const struct hash after = study_hash(&s, &schema);
    assert_false(hash_equal(&before, &after));
    study_release(&s);
}

/* Also a study that averaged before there was a choice keeps its hash. */
static void
the_round_that_an_average_begins_with_is_read_and_hashed_where_it_is_not_the_first(void **state)
{
    (void)state;
    static const char *const server[4] = {
        "server: {average_iterates: true}",
        "server: {average_iterates: true, average_from: 1}",
        "server: {average_iterates: true, average_from: 3}",
        "server: {average_iterates: true, average_from: 5}",
    };
    static const size_t want[4] = {1, 1, 3, 5};
    const struct hash schema = hash_of("schema", 6);
    struct hash h[4];
    for (size_t i = 0; i < 4; i++) {
        struct study s = study_text_read(study_text_with(8, server[i]));
        assert_int_equal(s.server.average_from, want[i]);
        h[i] = study_hash(&s, &schema);
        study_release(&s);
    }
    assert_true(hash_equal(&h[0], &h[1]));
    assert_false(hash_equal(&h[0], &h[2]));
    assert_false(hash_equal(&h[2], &h[3]));
    struct study without = study_text_read(study_text_good);
    assert_false(without.server.average_iterates);
    assert_int_equal(without.server.average_from, 0);
    study_release(&without);
}

static void a_checkpoint_to_start_from_is_read_and_hashed_by_what_is_in_it(void **state)
{
    (void)state;
    const struct hash schema = hash_of("schema", 6);
    struct study s = {0};
    struct config_issues issues = {0};
    struct error err = {0};
    const char *text =
        study_text_with(10, "start: {file: models/public.safetensors, hash: " STUDY_TEXT_HEX
                            ", new: [head, notes]}");
    assert_int_equal(study_parse("in/a/folder/s.yaml", text, strlen(text), &s, &issues, &err),
                     RC_OK);
    assert_true(s.start.there);
    assert_string_equal(s.start.file, "in/a/folder/models/public.safetensors");
    assert_int_equal(s.start.numbers.b[1], 0x11);
    assert_int_equal(s.start.numbers.b[31], 0x0f);
    assert_int_equal(s.start.n_fresh, 2);
    assert_string_equal(s.start.fresh[1], "notes");
    const struct hash before = study_hash(&s, &schema);
    s.start.line++;
    s.start.file[0] = 'x'; /* the coordinator's own business */
    struct hash after = study_hash(&s, &schema);
    assert_true(hash_equal(&before, &after));
    s.start.numbers.b[31] ^= 1;
    after = study_hash(&s, &schema);
    assert_false(hash_equal(&before, &after));
    s.start.numbers.b[31] ^= 1;
    s.start.fresh[1][0] ^= 1;
    after = study_hash(&s, &schema);
    assert_false(hash_equal(&before, &after));
    study_release(&s);
    s = study_text_read(
        study_text_with(10, "start: {file: /abs/p.safetensors, hash: " STUDY_TEXT_ZEROS "}"));
    assert_string_equal(s.start.file, "/abs/p.safetensors");
    study_release(&s);
    s = study_text_read(study_text_good);
    assert_false(s.start.there);
    study_release(&s);
}

static void what_sites_lack_must_make_sense(void **state)
{
    (void)state;
    static const struct {
        const char *model, *a, *b, *c, *want;
    } bad[] = {
        {"logistic", ", lacks: [notes]", "", "",
         "9:34: error: lacks: has a meaning only with name: multimodal"},
        {"multimodal", ", lacks: [x]", ", lacks: [x]", ", lacks: [x]",
         "11:34: error: lacks: no site has 'x'; take it out of the cohort.yaml"},
        {"multimodal", ", lacks: [x]", ", lacks: [x]", "",
         "10:34: error: lacks: leaves 'x' to 1 of the sites, which are promised at least 2 in "
         "every sum (min_sites)"},
        {"multimodal", ", lacks: [x, x]", "", "", "9:38: error: lacks: 'x' is in the list already"},
        {"multimodal", ", lacks: notes", "", "",
         "9:34: error: lacks: 'notes' must be a list or a map"},
        {"multimodal", ", lacks: {x: 1}", "", "",
         "9:34: error: lacks: must be a list of modalities, as in [notes]"},
        {"multimodal", ", lacks: [[x]]", "", "", "9:35: error: "},
        {"multimodal", ", lacks: [a, b, c, d]", ", lacks: [e, f, g, h, i]", "",
         "10:47: error: lacks: sites may lack at most 8 different modalities"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct study s = {0};
        struct config_issues issues;
        struct error err = {0};
        const char *text = lacking(bad[i].model, bad[i].a, bad[i].b, bad[i].c);
        assert_int_equal(study_text_try(text, &s, &issues, &err), RC_INVALID);
        if (strstr(err.text, bad[i].want) == NULL) {
            fail_msg("'%s', want '%s'", err.text, bad[i].want);
        }
    }
}

/* Three sites. @param want NULL: it is read; else a part of what is said of it */
static void with_quorum(const char *quorum, const char *server, const char *noise, const char *want)
{
    struct study s = {0};
    struct config_issues issues;
    struct error err = {0};
    char text[1024];
    bool said = false;
    (void)snprintf(text, sizeof text,
                   "study: s\nrounds: 5\nquorum: %s\nmin_sites: 2\nmodel: {name: logistic}\n"
                   "local: {rate: 1}\nserver: %s\n"
                   "privacy: {noise: %s, epsilon: 2, delta: 1e-4, clip: 1}\n"
                   "sites: [{name: a, nominal: 1}, {name: b, nominal: 1}, {name: c, nominal: 1}]\n",
                   quorum, server, noise);
    const enum rc rc = study_text_try(text, &s, &issues, &err);
    assert_int_equal(rc, want == NULL ? RC_OK : RC_INVALID);
    for (size_t i = 0; i < issues.n; i++) {
        said = said || (want != NULL && strstr(issues.line[i], want) != NULL);
    }
    assert_true(said || want == NULL);
    study_release(&s);
}

static void robust_means_want_three_sites_in_every_round_and_their_updates(void **state)
{
    (void)state;
    with_quorum("3", "{combine: median}", "site", NULL);
    with_quorum("3", "{combine: trimmed_mean}", "site", NULL);
    with_quorum("2", "{combine: median}", "site",
                "7:19: error: combine: median needs 3 sites in every round, and quorum promises "
                "only 2; raise quorum, or use combine: mean");
    with_quorum("3", "{combine: trimmed_mean, trim: 2}", "site",
                "7:39: error: trim: is 2 at each end, which leaves none of the 3 sites that a "
                "round may have (quorum); at most 1");
}

/* ---- masked sums and shared noise -------------------------------------------------------------- */

/* Line 1 is `numbers`; the roster has n sites. @param want NULL: it is read; else a line of the issues */
static struct study masked_study(const char *numbers, const char *local, const char *server,
                                 const char *noise, size_t n, const char *want)
{
    struct study s = {0};
    struct config_issues issues;
    struct error err = {0};
    char text[16384];
    bool said = false;
    size_t at = (size_t)snprintf(
        text, sizeof text,
        "%s\nstudy: m\nrounds: 20\nmodel: {name: logistic}\nlocal: %s\nserver: %s\n"
        "privacy: {noise: %s, epsilon: 2, delta: 1e-4, clip: 1}\nsites:\n",
        numbers, local, server, noise);
    for (size_t i = 0; i < n; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, " - {name: s%zu, nominal: 100}\n", i);
    }
    assert_true(at < sizeof text);
    const enum rc rc = study_text_try(text, &s, &issues, &err);
    for (size_t i = 0; i < issues.n; i++) {
        said = said || (want != NULL && strstr(issues.line[i], want) != NULL);
    }
    if (rc != (want == NULL ? RC_OK : RC_INVALID) || (want != NULL && !said)) {
        fail_msg("%s in %.400s", err.text, text);
    }
    assert_true(want == NULL || issues.n == 1); /* one mistake, one line */
    return s;
}

static void masked_sums_say_what_they_need(void **state)
{
    (void)state;
    static const struct {
        const char *numbers, *server;
        size_t n;
        const char *want;
    } bad[] = {
        {"quorum: 2\nmin_sites: 2\nmasked: true", "{}", 2,
         "3:9: error: masked: true, with fewer than 3 sites, hides nothing: the sum less one's own "
         "update is the other's; only noise: site protects here, without masks"},
        {"quorum: 2\nmin_sites: 2\nmasked: true", "{}", 3,
         "2:12: error: min_sites: is 2, and a masked sum must be of at least 3 (max_colluding + 2, "
         "never below 3)"},
        {"quorum: 4\nmin_sites: 4\nmax_colluding: 3\nmasked: true", "{}", 5,
         "2:12: error: min_sites: is 4, and a masked sum must be of at least 5 (max_colluding + 2, "
         "never below 3)"},
        {"quorum: 4\nmin_sites: 4\nmax_colluding: 1\nmasked: true\nthreshold: 3", "{}", 5,
         "5:12: error: threshold: is 3; of 5 sites with max_colluding 1 at least 4 must open a sum "
         "(2 t > n + c), or a round could have two"},
        {"quorum: 4\nmin_sites: 4\nmasked: true\nthreshold: 6", "{}", 5,
         "4:12: error: threshold: is 6, but there are only 5 sites"},
        {"quorum: 4\nmin_sites: 4\nmasked: true\nthreshold: 5", "{}", 5,
         "1:9: error: quorum: is 4, but a sum of 5 sites is opened by at least 5 (2 t > n + c, or "
         "threshold)"},
        {"quorum: 3\nmin_sites: 3\nmasked: true", "{}", 7,
         "1:9: error: quorum: is 3, but a sum of 7 sites is opened by at least 4"},
        {"quorum: 3\nmin_sites: 3\nmasked: true", "{combine: median}", 5,
         "8:19: error: combine: looks at each site's update, and of masked ones only the sum can "
         "be "
         "read; use combine: mean, or leave out masked"},
        {"quorum: 3\nmin_sites: 3\nmasked: true", "{}", 129,
         "1:1: error: neighbours: 129 sites cannot all mask with each other, 128 can; for sums of "
         "65 "
         "of 129 sites, with max_colluding 0, write neighbours: "},
        {"quorum: 206\nmin_sites: 130\nmax_colluding: 110\nmasked: true", "{}", 300,
         "1:1: error: neighbours: 300 sites cannot all mask with each other, 128 can, and for sums "
         "of "
         "206 of 300 sites, with max_colluding 110, no 128 are enough"},
        {"quorum: 120\nmin_sites: 120\nmax_colluding: 9\nmasked: true", "{}", 130,
         "1:1: error: neighbours: 130 sites cannot all mask with each other, 128 can; for sums of "
         "120 "
         "of 130 sites, with max_colluding 9, write neighbours: 20 and neighbour_threshold: 10"},
        {"quorum: 120\nmin_sites: 120\nmax_colluding: 9\nmasked: true\nneighbours: 20\n"
         "neighbour_threshold: 8",
         "{}", 130,
         "5:13: error: neighbours: with 20, of whom 8 open a secret, sums can be read in "
         "parts (2^"},
        {"quorum: 9\nmin_sites: 9\nmasked: true\nneighbours: 6", "{}", 12,
         "4:13: error: neighbours: 6, of whom neighbour_threshold 0 open a secret; state both"},
        {"quorum: 9\nmin_sites: 9\nneighbours: 6", "{}", 12,
         "3:13: error: neighbours: has a meaning only with masked: true"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        (void)masked_study(bad[i].numbers, "{rate: 1}", bad[i].server, "site", bad[i].n,
                           bad[i].want);
    }
    struct study s = masked_study("quorum: 4\nmin_sites: 4\nmax_colluding: 1\nmasked: true",
                                  "{rate: 1, steps: 3}", "{}", "site", 5, NULL);
    assert_true(s.masked);
    assert_int_equal(study_threshold(&s), 4); /* the least t with 2t > 5 + 1 */
    study_release(&s);
    s = masked_study("quorum: 5\nmin_sites: 4\nmasked: true\nthreshold: 5", "{rate: 1}", "{}",
                     "site", 5, NULL);
    assert_int_equal(study_threshold(&s), 5);
    study_release(&s);
    s = masked_study("quorum: 120\nmin_sites: 120\nmax_colluding: 9\nmasked: true\n"
                     "neighbours: 20\nneighbour_threshold: 10",
                     "{rate: 1}", "{}", "site", 130, NULL);
    assert_int_equal(s.neighbours, 20);
    assert_int_equal(s.neighbour_threshold, 10);
    study_release(&s);
}

static void shared_noise_is_for_one_plain_step_of_three_masked_sites(void **state)
{
    (void)state;
    static const char masked[] = "quorum: 4\nmin_sites: 4\nmax_colluding: 1\nmasked: true";
    static const struct {
        const char *numbers, *local;
        size_t n;
        const char *want;
    } bad[] = {
        {"quorum: 2\nmin_sites: 2\nmasked: true", "{rate: 1}", 2,
         "9:18: error: noise: shared, with fewer than 3 sites, hides nothing: the sum less one's "
         "own "
         "update is the other's; only noise: site protects here, without masks"},
        {"quorum: 3\nmin_sites: 3", "{rate: 1}", 4,
         "8:18: error: noise: shared needs masked: true"},
        {masked, "{rate: 1, steps: 2}", 5,
         "8:25: error: steps: is 2, and with noise: shared a round is one step"},
        {masked, "{rate: 1, optimiser: adam}", 5,
         "8:29: error: optimiser: with noise: shared a site sends its gradient as it is"},
        {masked, "{rate: 1, momentum: 0.5}", 5,
         "8:28: error: momentum: with noise: shared a site sends its gradient as it is"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        (void)masked_study(bad[i].numbers, bad[i].local, "{}", "shared", bad[i].n, bad[i].want);
    }
    struct study s = masked_study(masked, "{rate: 1}", "{rule: fedadam}", "shared", 5, NULL);
    struct study site = masked_study(masked, "{rate: 1}", "{rule: fedadam}", "site", 5, NULL);
    assert_int_equal(s.privacy.noise, STUDY_NOISE_SHARED);
    assert_true(s.privacy.noise_multiplier == site.privacy.noise_multiplier); /* of the sum */

    struct error err = {0};
    s.masked = false; /* an override */
    assert_int_equal(study_plan(&s, &err), RC_INVALID);
    s.masked = true;
    s.local.steps = 2;
    assert_int_equal(study_plan(&s, &err), RC_INVALID);
    study_release(&s);
    study_release(&site);
}

/* Studies of version 2 that mask nothing were out before masks were. */
static void only_masked_studies_hash_what_they_say_of_masks(void **state)
{
    (void)state;
    struct study s =
        study_text_read(study_text_with(7, "local: {rate: 0.5, warmup_steps: 1, steps: 2}"));
    const struct hash schema = hash_of("schema", 6);
    const struct hash before = study_hash(&s, &schema);
    char hex[HASH_HEX];
    hash_hex(&before, hex);
    assert_string_equal(hex, "ca49cff5fb55e899203ec9c170a6163dc377e024e4f06bf941e7a00869314722");
    s.masked = true;
    const struct hash masked = study_hash(&s, &schema);
    s.threshold = 3;
    const struct hash more = study_hash(&s, &schema);
    assert_false(hash_equal(&before, &masked));
    assert_false(hash_equal(&masked, &more));
    study_release(&s);
}

/* The first thousand patients of a site, by their number. */
static size_t held_out_of_a_thousand(double share, const struct study *s,
                                     const struct study *within)
{
    struct study with = *s;
    size_t n = 0;
    with.held_out = share;
    for (uint64_t i = 0; i < 1000; i++) {
        const struct hash patient = hash_of(&i, sizeof i);
        const bool held = study_holds_out(&with, &patient);
        n += held;
        assert_true(!held || within == NULL || study_holds_out(within, &patient));
    }
    return n;
}

static void a_share_of_the_patients_is_held_out_whatever_the_study(void **state)
{
    (void)state;
    struct study s = study_text_read(study_text_with(10, "held_out: 0.3"));
    struct study other = study_text_read(study_text_with(1, "study: another"));
    const struct hash patient = hash_of("p", 1);
    assert_true(s.held_out > 0.29 && s.held_out < 0.31);
    assert_true(other.held_out == 0.0); /* who does not ask for it trains on all */
    assert_false(study_holds_out(&other, &patient));
    const size_t n = held_out_of_a_thousand(0.3, &s, NULL);
    assert_true(n > 240 && n < 360);
    assert_int_equal(held_out_of_a_thousand(0.3, &other, &s), n); /* the same ones */
    assert_true(held_out_of_a_thousand(0.1, &other, &s) < n / 2); /* and of these */
    study_release(&s);
    study_release(&other);
    study_text_one_issue(10, "held_out: 0.6",
                         "s.yaml:10:11: error: held_out: is 0.6, must be from 0 to 0.5");
}

static void without_noise_there_is_no_sigma(void **state)
{
    (void)state;
    struct study s =
        study_text_read(study_text_with(9, "privacy: {noise: none, epsilon: inf, clip: 10}"));
    assert_int_equal(s.privacy.noise, STUDY_NOISE_NONE);
    assert_true(isinf(s.privacy.epsilon));
    assert_true(s.privacy.noise_multiplier == 0.0);
    study_release(&s);
}

static void a_signing_key_of_two_sites_is_found(void **state)
{
    (void)state;
    struct study s =
        masked_study("quorum: 4\nmin_sites: 4\nmasked: true", "{rate: 1}", "{}", "site", 6, NULL);
    static const size_t first[] = {0, 1, 2, 3, 2, 5}; /* without keys no two are the same */
    assert_int_equal(s.n_sites, COUNT(first));
    s.site[2].keyed = s.site[3].keyed = s.site[4].keyed = true;
    s.site[2].key[31] = s.site[4].key[31] = 7;
    for (size_t i = 0; i < s.n_sites; i++) {
        assert_int_equal(study_key_first(&s, i), first[i]);
    }
    study_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_heart_study_is_read_field_by_field),
        cmocka_unit_test(a_signing_key_of_two_sites_is_found),
        cmocka_unit_test(keys_left_out_take_their_written_defaults),
        cmocka_unit_test(deadlines_and_seed_are_kept_apart),
        cmocka_unit_test(an_mlp_with_adam_and_fedadam_is_read),
        cmocka_unit_test(what_changes_in_the_course_of_training_is_read),
        cmocka_unit_test(the_servers_words_are_read),
        cmocka_unit_test(what_a_site_lacks_is_read_and_hashed),
        cmocka_unit_test(points_are_a_set_and_hashed_where_there_are_any),
        cmocka_unit_test(frozen_blocks_are_read_and_hashed),
        cmocka_unit_test(
            the_round_that_an_average_begins_with_is_read_and_hashed_where_it_is_not_the_first),
        cmocka_unit_test(a_checkpoint_to_start_from_is_read_and_hashed_by_what_is_in_it),
        cmocka_unit_test(what_sites_lack_must_make_sense),
        cmocka_unit_test(robust_means_want_three_sites_in_every_round_and_their_updates),
        cmocka_unit_test(masked_sums_say_what_they_need),
        cmocka_unit_test(shared_noise_is_for_one_plain_step_of_three_masked_sites),
        cmocka_unit_test(only_masked_studies_hash_what_they_say_of_masks),
        cmocka_unit_test(a_share_of_the_patients_is_held_out_whatever_the_study),
        cmocka_unit_test(without_noise_there_is_no_sigma),
    };
    return cmocka_run_group_tests_name("study", tests, NULL, NULL);
}
