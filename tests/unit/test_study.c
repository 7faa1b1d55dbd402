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

#include "common/accountant/accountant.h"
#include "common/accountant/planning.h"
#include "common/study/study.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define HEX   "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f"

/* Line numbers below count from here. */
static const char good[] = "study: trial-1\n"                                             /* 1 */
                           "rounds: 5\n"                                                  /* 2 */
                           "quorum: 2\n"                                                  /* 3 */
                           "min_sites: 2\n"                                               /* 4 */
                           "max_colluding: 1\n"                                           /* 5 */
                           "model: {name: logistic}\n"                                    /* 6 */
                           "local: {rate: 0.5, steps: 2}\n"                               /* 7 */
                           "server: {rule: fedavg}\n"                                     /* 8 */
                           "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1.5}\n" /* 9 */
                           "update: {fraction_bits: 20}\n"                                /* 10 */
                           "sites:\n"                                                     /* 11 */
                           "  - {name: a, nominal: 100}\n"                                /* 12 */
                           "  - {name: b, nominal: 50}\n"                                 /* 13 */
                           "  - {name: c.d_E-9, nominal: 7}\n";                           /* 14 */

/* Read from memory, without the file. */
static enum rc read_text(const char *text, struct study *out, struct config_issues *issues,
                         struct error *err)
{
    struct config_doc *doc = NULL;
    memset(issues, 0, sizeof *issues);
    issues->path = "s.yaml";
    enum rc rc = config_parse("s.yaml", text, strlen(text), &doc, err);
    if (rc == RC_OK) {
        rc = study_read(config_root(doc), out, issues, err);
    }
    config_close(&doc);
    return rc;
}

static struct study read_good(const char *text)
{
    struct study s;
    struct config_issues issues;
    struct error err = {0};
    if (read_text(text, &s, &issues, &err) != RC_OK) {
        print_error("%s\n", err.text);
        fail();
    }
    assert_int_equal(issues.n, 0);
    return s;
}

/* `good` with its line number `line` replaced; "" removes it. */
static const char *with_line(size_t line, const char *text)
{
    static char out[2048];
    size_t n = 0, now = 1;
    for (const char *c = good; *c != '\0'; now++) {
        const size_t length = strcspn(c, "\n") + 1;
        if (now != line) {
            n += (size_t)snprintf(out + n, sizeof out - n, "%.*s", (int)length, c);
        } else if (text[0] != '\0') {
            n += (size_t)snprintf(out + n, sizeof out - n, "%s\n", text);
        }
        c += length;
    }
    return out;
}

static void assert_one_issue(size_t line, const char *text, const char *want)
{
    struct study s;
    memset(&s, 0xa5, sizeof s);
    struct study before = s;
    struct config_issues issues;
    struct error err = {0};
    const enum rc rc = read_text(with_line(line, text), &s, &issues, &err);
    if (rc != RC_INVALID || issues.n != 1 || strcmp(issues.line[0], want) != 0) {
        print_error("of:   %s\nwant: %s\n", text, want);
        config_print_issues(&issues, stderr);
        fail();
    }
    assert_memory_equal(&s, &before, sizeof s); /* written only on success */
}

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
    struct study s = read_good(good);
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

    s = read_good(with_line(10, ""));
    assert_int_equal(s.fraction_bits, 24);
    study_release(&s);
    s = read_good(with_line(8, ""));
    assert_int_equal(s.server.rule, STUDY_FEDAVG);
    assert_true(s.server.rate == 1.0);
    study_release(&s);
}

static void deadlines_and_seed_are_kept_apart(void **state)
{
    (void)state;
    struct study s = read_good(
        with_line(2, "rounds: 5\nseed: 77\njoin_deadline_s: 3\nround_deadline_s: 2592000"));
    assert_int_equal(s.seed, 77);
    assert_int_equal(s.join_deadline_ms, 3000);
    assert_true(s.round_deadline_ms == INT64_C(2592000000));
    study_release(&s);
}

static void an_mlp_with_adam_and_fedadam_is_read(void **state)
{
    (void)state;
    struct study s = read_good(
        with_line(6, "model: {name: mlp, hidden: [32, 16], embedding: 3, activation: gelu,\n"
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

    s = read_good(with_line(6, "model: {name: mlp, hidden: [5]}"));
    assert_int_equal(s.model.embedding, 4);
    assert_string_equal(s.model.activation, "relu");
    assert_false(s.model.layer_norm);
    study_release(&s);

    s = read_good(with_line(7, "local: {optimiser: adam, rate: 0.01, beta1: 0.8, beta2: 0.98,\n"
                               "        epsilon: 1e-6}"));
    assert_int_equal(s.local.optimiser, STUDY_ADAM);
    assert_true(s.local.beta1 == 0.8 && s.local.beta2 == 0.98 && s.local.epsilon == 1e-6);
    study_release(&s);

    s = read_good(with_line(8, "server: {rule: fedadam, rate: 0.1, epsilon: 1e-2,\n"
                               "         average_iterates: true}"));
    assert_int_equal(s.server.rule, STUDY_FEDADAM);
    assert_true(s.server.epsilon == 1e-2);
    assert_true(s.server.average_iterates);
    study_release(&s);
}

static void what_changes_in_the_course_of_training_is_read(void **state)
{
    (void)state;
    struct study s = read_good(with_line(
        7, "local: {rate: 0.5, steps: 2, optimiser: adamw, weight_decay: 0.2, schedule: cosine,\n"
           "  rate_floor: 0.1, warmup_steps: 9, proximal: 0.3}"));
    assert_int_equal(s.local.optimiser, STUDY_ADAMW);
    assert_int_equal(s.local.schedule, STUDY_COSINE);
    assert_true(s.local.weight_decay == 0.2 && s.local.rate_floor == 0.1);
    assert_true(s.local.proximal == 0.3);
    assert_int_equal(s.local.warmup_steps, 9);
    study_release(&s);
    s = read_good(with_line(7, "local: {rate: 0.5, optimiser: adamw}"));
    assert_true(s.local.weight_decay == 0.01);
    assert_int_equal(s.local.schedule, STUDY_CONSTANT);
    study_release(&s);
}

static void the_servers_words_are_read(void **state)
{
    (void)state;
    struct study s = read_good(with_line(8, "server: {rule: fedavgm}"));
    assert_int_equal(s.server.rule, STUDY_FEDAVGM);
    assert_true(s.server.momentum == 0.9);
    assert_int_equal(s.server.combine, STUDY_MEAN);
    assert_int_equal(s.server.trim, 0);
    study_release(&s);
    s = read_good(with_line(8, "server: {rule: fedyogi, beta1: 0.5}"));
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
        read_good(lacking("multimodal", ", lacks: [notes]", "", ", lacks: [xray film]"));
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

static void frozen_blocks_are_read_and_hashed(void **state)
{
    (void)state;
    const struct hash schema = hash_of("schema", 6);
    struct study s =
        read_good(with_line(6, "model: {name: mlp, hidden: [3], frozen: [hidden0, head.bias]}"));
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
        struct study s = read_good(with_line(8, server[i]));
        assert_int_equal(s.server.average_from, want[i]);
        h[i] = study_hash(&s, &schema);
        study_release(&s);
    }
    assert_true(hash_equal(&h[0], &h[1]));
    assert_false(hash_equal(&h[0], &h[2]));
    assert_false(hash_equal(&h[2], &h[3]));
    struct study without = read_good(good);
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
    const char *text = with_line(10, "start: {file: models/public.safetensors, hash: " HEX
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
    s = read_good(with_line(10, "start: {file: /abs/p.safetensors, hash: " ZEROS "}"));
    assert_string_equal(s.start.file, "/abs/p.safetensors");
    study_release(&s);
    s = read_good(good);
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
        assert_int_equal(read_text(text, &s, &issues, &err), RC_INVALID);
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
    const enum rc rc = read_text(text, &s, &issues, &err);
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
        at += (size_t)snprintf(text + at, sizeof text - at, " - {name: s%zu, nominal: 1}\n", i);
    }
    assert_true(at < sizeof text);
    const enum rc rc = read_text(text, &s, &issues, &err);
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
    struct study s = read_good(with_line(7, "local: {rate: 0.5, warmup_steps: 1, steps: 2}"));
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
    struct study s = read_good(with_line(10, "held_out: 0.3"));
    struct study other = read_good(with_line(1, "study: another"));
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
    assert_one_issue(10, "held_out: 0.6",
                     "s.yaml:10:11: error: held_out: is 0.6, must be from 0 to 0.5");
}

static void without_noise_there_is_no_sigma(void **state)
{
    (void)state;
    struct study s = read_good(with_line(9, "privacy: {noise: none, epsilon: inf, clip: 10}"));
    assert_int_equal(s.privacy.noise, STUDY_NOISE_NONE);
    assert_true(isinf(s.privacy.epsilon));
    assert_true(s.privacy.noise_multiplier == 0.0);
    study_release(&s);
}

/* ---- what is refused --------------------------------------------------------------------------- */

static void every_rule_speaks_at_its_place(void **state)
{
    (void)state;
    static const struct {
        size_t line;
        const char *text, *want;
    } bad[] = {
        {1, "study: 'a b'",
         "1:8: error: study: 'a b' is no name; begin with a letter or digit, then also . _ -"},
        {1, "study: ../x",
         "1:8: error: study: '../x' is no name; begin with a letter or digit, then also . _ -"},
        {3, "quorum: 4", "3:9: error: quorum: is 4, but there are only 3 sites"},
        {3, "quorum: 1",
         "3:9: error: quorum: is 1, but the sites are promised at least 2 in every sum "
         "(min_sites)"},
        {5, "max_colluding: 2",
         "5:16: error: max_colluding: is 2, must be below min_sites, which is 2"},
        {6, "model: {name: mlp}",
         "6:15: error: missing key 'hidden': an mlp needs the widths of its layers, as in [32, "
         "16]"},
        {6, "model: {name: logistic, hidden: [3]}",
         "6:33: error: hidden: has a meaning only with name: mlp"},
        {6, "model: {name: logistic, activation: tanh}",
         "6:37: error: activation: has a meaning only with name: mlp"},
        {6, "model: {name: logistic, adapter: 4}",
         "6:34: error: adapter: logistic has no hidden layer for it; use 0, or name: mlp"},
        {6, "model: {name: additive, adapter: 4}",
         "6:34: error: adapter: additive has no hidden layer for it; use 0, or name: mlp"},
        {6, "model: {name: mlp, hidden: []}",
         "6:28: error: hidden: must be a list of 1 to 4 widths, as in [32, 16]"},
        {6, "model: {name: mlp, hidden: [1, 2, 3, 4, 5]}",
         "6:28: error: hidden: must be a list of 1 to 4 widths, as in [32, 16]"},
        {6, "model: {name: mlp, hidden: [4, 0]}",
         "6:32: error: hidden: is 0, must be from 1 to 4096"},
        {6, "model: {name: mlp, hidden: [4, 1.5]}",
         "6:32: error: '1.5' is not a whole number in plain digits"},
        {6, "model: {name: mlp, hidden: [4], activation: swish}",
         "6:45: error: activation: 'swish' is none of relu, gelu, tanh"},
        {6, "model: {name: multimodal, fusion: gmu, primary: table}",
         "6:49: error: primary: has a meaning only with fusion: asymmetric"},
        {6, "model: {name: mlp, hidden: [4], frozen: []}",
         "6:41: error: frozen: must be a list of 1 to 8 names, as in [a, b]"},
        {6, "model: {name: mlp, hidden: [4], frozen: [head, head]}",
         "6:48: error: frozen: 'head' is in the list already"},
        {6, "model: {name: multimodal, branch_weights: learned}",
         "6:43: error: branch_weights: has a meaning only with fusion: tri_branch"},
        {6, "model: logistic", "6:8: error: model: 'logistic' must be a list or a map"},
        {7, "local: {rate: 1, optimiser: adam, momentum: 0.9}",
         "7:45: error: momentum: has a meaning only with optimiser: sgd"},
        {7, "local: {rate: 1, beta2: 0.9}",
         "7:25: error: beta2: has a meaning only with optimiser: adam or adamw"},
        {7, "local: {rate: 1, optimiser: sdg}",
         "7:29: error: optimiser: 'sdg' is none of sgd, adam, adamw; did you mean 'sgd'?"},
        {7, "local: {rate: 1, optimiser: adamw, momentum: 0.9}",
         "7:46: error: momentum: has a meaning only with optimiser: sgd"},
        {7, "local: {rate: 1, optimiser: adam, weight_decay: 0.1}",
         "7:49: error: weight_decay: has a meaning only with optimiser: adamw"},
        {7, "local: {rate: 1, rate_floor: 0.1}",
         "7:30: error: rate_floor: has a meaning only with schedule: cosine"},
        {7, "local: {rate: 1, steps: 2, warmup_steps: 10}",
         "7:42: error: warmup_steps: is 10, must be below the 10 steps of the study"},
        {7, "local: {rate: 1, steps: 1, proximal: 0.1}",
         "7:38: error: proximal: does nothing where a round has one step; write more steps, or "
         "leave it out"},
        {7, "local: {rate: 0}", "7:15: error: rate: is 0, must be from 1e-09 to 1000"},
        {7, "local: {}", "7:8: error: missing key 'rate'"},
        {8, "server: {beta1: 0.5}",
         "8:17: error: beta1: has a meaning only with rule: fedadam or fedyogi"},
        {8, "server: {rule: fedyogi, momentum: 0.5}",
         "8:35: error: momentum: has a meaning only with rule: fedavgm"},
        {8, "server: {combine: mean, trim: 1}",
         "8:31: error: trim: has a meaning only with combine: trimmed_mean"},
        {8, "server: {average_from: 2}",
         "8:24: error: average_from: has a meaning only with average_iterates: true"},
        {8, "server: {average_iterates: false, average_from: 2}",
         "8:49: error: average_from: has a meaning only with average_iterates: true"},
        {8, "server: {average_iterates: true, average_from: 0}",
         "8:48: error: average_from: is 0, must be from 1 to 1000000"},
        {8, "server: {average_iterates: true, average_from: 6}",
         "8:48: error: average_from: is 6, must be at most the 5 rounds of the study"},
        {10, "start: {file: a.safetensors}", "10:8: error: missing key 'hash'"},
        {10, "start: {file: a.safetensors, hash: 00}",
         "10:36: error: hash: must be 64 hexadecimal digits in lower case; write 64 zeros, and the "
         "coordinator says what to write"},
        {10, "start: {hash: " ZEROS "}", "10:8: error: missing key 'file'"},
        {9, "privacy: {noise: site, epsilon: inf, delta: 1e-4, clip: 1}",
         "9:33: error: epsilon: noise needs a finite one; write it, or noise: none"},
        {9, "privacy: {noise: site, epsilon: 0, delta: 1e-4, clip: 1}",
         "9:33: error: epsilon: must be above 0"},
        {9, "privacy: {noise: none, epsilon: 8, clip: 1}",
         "9:33: error: epsilon: without noise nothing bounds it; write inf, or noise: site"},
        {9, "privacy: {noise: shared, epsilon: 8, delta: 1e-4, clip: 1}",
         "9:18: error: noise: shared needs masked: true: a single site's update has only a share "
         "of "
         "the noise, so nothing but the sum may be read"},
        {10, "spare_rounds: 3",
         "10:15: error: spare_rounds: has a meaning only with masked: true; any other round that "
         "fails is the end of the study"},
        {10, "sites_per_round: 4",
         "10:18: error: sites_per_round: is 4, but there are only 3 sites"},
        {10, "sites_per_round: 1",
         "10:18: error: sites_per_round: is 1, but a round counts with 2 sites (quorum) or not at "
         "all"},
        {10, "threshold: 3", "10:12: error: threshold: has a meaning only with masked: true"},
        {9, "privacy: {noise: site, epsilon: 8, clip: 1}",
         "9:10: error: missing key 'delta': with noise it must be stated"},
        {9, "privacy: {noise: site, epsilon: 8, delta: 0, clip: 1}",
         "9:43: error: delta: must be above 0"},
        {9, "privacy: {noise: site, epsilon: 8, delta: 1, clip: 1}",
         "9:43: error: delta: must be below 1"},
        {9, "privacy: {noise: site, epsilon: 8, delta: 1.5, clip: 1}",
         "9:43: error: delta: is 1.5, must be from 0 to 1"},
        {9, "privacy: {noise: site, epsilon: 8, delta: 1e-4, clip: 0}",
         "9:55: error: clip: is 0, must be from 1e-06 to 1000000"},
        {9, "privacy: {noise: site, epsilon: 8, delta: 1e-4}", "9:10: error: missing key 'clip'"},
        {9, "privacy: {noise: site, epsilon: 8, delta: 1e-4, clip: 1, sample_rate: 0}",
         "9:71: error: sample_rate: is 0, must be from 1e-06 to 1"},
        {9, "privacy: {noise: site, epsilon: 8, delta: 1e-4, clip: 1, sample_rate: 1.01}",
         "9:71: error: sample_rate: is 1.01, must be from 1e-06 to 1"},
        {9, "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1.5, passes: 20}",
         "2:9: error: rounds: is 5, but the shortest plan has 20 steps (steps_least), 2 in a "
         "round; "
         "write at least 10, or a smaller steps_least"},
        {9, "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1, passes: 20, steps_least: 11}",
         "2:9: error: rounds: is 5, but the shortest plan has 12 steps (steps_least), 2 in a "
         "round; "
         "write at least 6, or a smaller steps_least"},
        {9,
         "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1, steps_least: 9, passes: 20,\n"
         "  sample_rate: 0.5}",
         "10:16: error: sample_rate: is chosen by the plan that passes (line 9) asks for; write "
         "one of the two"},
        {9, "privacy: {noise: none, epsilon: inf, clip: 1, passes: 20}",
         "9:55: error: passes: without noise there is nothing to plan; write sample_rate, or "
         "noise: "
         "site"},
        {9, "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1, steps_least: 9}",
         "9:71: error: steps_least: has a meaning only with passes"},
        {9, "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1, passes: 0, steps_least: 9}",
         "9:66: error: passes: is 0, must be from 0.01 to 1000000"},
        {9, "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1, passes: 2e6, steps_least: 9}",
         "9:66: error: passes: is 2000000, must be from 0 to 1000000"},
        {9, "privacy: {noise: site, epsilon: nan, delta: 1e-4, clip: 1}",
         "9:33: error: epsilon: 'nan' is not a number"},
        {9, "privacy: {noise: site, epsilon: '4', delta: 1e-4, clip: 1}",
         "9:33: error: epsilon: '4' is text because of its quotes; write it without"},
        {9, "privacy: {noise: site, epsilon: -4, delta: 1e-4, clip: 1}",
         "9:33: error: epsilon: is -4, must be at least 0"},
        {9, "privacy: {noise: sites, epsilon: 4, delta: 1e-4, clip: 1}",
         "9:18: error: noise: 'sites' is none of none, site, shared; did you mean 'site'?"},
        {9, "privacy: {noise: site, epsilon: 4, delta: 1e-4, clip: 1, noise_multiplier: 1}",
         "9:58: error: unknown key 'noise_multiplier'"},
        {9, "", "1:1: error: missing key 'privacy'"},
        {10, "update: {fraction_bits: 31}",
         "10:25: error: fraction_bits: is 31, must be from 8 to 30"},
        {10, "update: {fraction_bits: 7}",
         "10:25: error: fraction_bits: is 7, must be from 8 to 30"},
        {13, "  - {name: a, nominal: 50}",
         "13:12: error: name: 'a' is already the name of the site on line 12"},
        {13, "  - {name: a/b, nominal: 50}",
         "13:12: error: name: 'a/b' is no name; begin with a letter or digit, then also . _ -"},
        {13, "  - {name: '', nominal: 50}", "13:12: error: name: is empty"},
        {13, "  - {nominal: 50}", "13:5: error: missing key 'name'"},
        {13, "  - {name: b}", "13:5: error: missing key 'nominal'"},
        {13, "  - {name: b, nominal: 0}",
         "13:24: error: nominal: is 0, must be from 1 to 1000000000"},
        {13, "  - b", "13:5: error: expected a map of `key: value` here"},
        {2, "rounds: 0", "2:9: error: rounds: is 0, must be from 1 to 1000000"},
        {2, "rounds: 5\nepsilon: 1", "3:1: error: unknown key 'epsilon'"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        char want[300];
        (void)snprintf(want, sizeof want, "s.yaml:%s", bad[i].want);
        assert_one_issue(bad[i].line, bad[i].text, want);
    }
}

/* Every key of every map, with a type that it never has. */
static void each_wrong_type_is_one_issue(void **state)
{
    (void)state;
    static const struct {
        size_t line;
        const char *text, *key;
    } bad[] = {
        {1, "study: [a]", "study"},
        {2, "rounds: many", "rounds"},
        {2, "rounds: 5\nseed: x", "seed"},
        {3, "quorum: 2.0", "quorum"},
        {4, "min_sites: true", "min_sites"},
        {5, "max_colluding: -1", "max_colluding"},
        {2, "rounds: 5\njoin_deadline_s: 10m", "join_deadline_s"},
        {2, "rounds: 5\nround_deadline_s: 1e3", "round_deadline_s"},
        {6, "model: 3", "model"},
        {7, "local: 3", "local"},
        {8, "server: 3", "server"},
        {9, "privacy: 3", "privacy"},
        {10, "update: 3", "update"},
        {6, "model: {name: [logistic]}", "name"},
        {6, "model: {name: mlp, hidden: 3}", "hidden"},
        {6, "model: {name: mlp, hidden: [3], embedding: x}", "embedding"},
        {6, "model: {name: mlp, hidden: [3], activation: 1}", "activation"},
        {6, "model: {name: mlp, hidden: [3], layer_norm: yes}", "layer_norm"},
        {6, "model: {name: mlp, hidden: [3], adapter: x}", "adapter"},
        {7, "local: {rate: fast}", "rate"},
        {7, "local: {rate: 1, optimiser: 1}", "optimiser"},
        {7, "local: {rate: 1, momentum: x}", "momentum"},
        {7, "local: {rate: 1, optimiser: adam, beta1: x}", "beta1"},
        {7, "local: {rate: 1, optimiser: adam, beta2: x}", "beta2"},
        {7, "local: {rate: 1, optimiser: adam, epsilon: x}", "epsilon"},
        {7, "local: {rate: 1, steps: x}", "steps"},
        {7, "local: {rate: 1, physical_batch: x}", "physical_batch"},
        {8, "server: {rule: 1}", "rule"},
        {8, "server: {rate: x}", "rate"},
        {8, "server: {rule: fedadam, beta1: x}", "beta1"},
        {8, "server: {rule: fedadam, beta2: x}", "beta2"},
        {8, "server: {rule: fedadam, epsilon: x}", "epsilon"},
        {8, "server: {average_iterates: 1}", "average_iterates"},
        {8, "server: {average_iterates: true, average_from: x}", "average_from"},
        {9, "privacy: {noise: 1, epsilon: 2, delta: 1e-4, clip: 1}", "noise"},
        {9, "privacy: {noise: site, epsilon: x, delta: 1e-4, clip: 1}", "epsilon"},
        {9, "privacy: {noise: site, epsilon: 2, delta: x, clip: 1}", "delta"},
        {9, "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: x}", "clip"},
        {9, "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1, sample_rate: x}",
         "sample_rate"},
        {9, "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1, passes: x}", "passes"},
        {9, "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1, passes: 9, steps_least: x}",
         "steps_least"},
        {10, "update: {fraction_bits: x}", "fraction_bits"},
        {13, "  - {name: [b], nominal: 50}", "name"},
        {13, "  - {name: b, nominal: x}", "nominal"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct study s;
        struct config_issues issues;
        struct error err = {0};
        char want[64];
        (void)snprintf(want, sizeof want, "error: %s: ", bad[i].key);
        const enum rc rc = read_text(with_line(bad[i].line, bad[i].text), &s, &issues, &err);
        if (rc != RC_INVALID || issues.n != 1 || strstr(issues.line[0], want) == NULL) {
            print_error("of: %s\n", bad[i].text);
            config_print_issues(&issues, stderr);
            fail();
        }
    }
}

/* The name of each key, misspelt: an unknown key with its suggestion, and never a quiet default. */
static void a_misspelt_key_is_an_error_with_a_suggestion(void **state)
{
    (void)state;
    static const struct {
        size_t line;
        const char *text, *wrong, *meant;
    } bad[] = {
        {2, "rounds: 5\nsede: 3", "sede", "seed"},
        {2, "rounds: 5\njoin_deadline: 3", "join_deadline", "join_deadline_s"},
        {5, "max_coluding: 0", "max_coluding", "max_colluding"},
        {6, "model: {name: mlp, hidden: [3], layernorm: true}", "layernorm", "layer_norm"},
        {6, "model: {name: logistic, adaptor: 8}", "adaptor", "adapter"},
        {7, "local: {rate: 1, optimizer: adam}", "optimizer", "optimiser"},
        {7, "local: {rate: 1, step: 7}", "step", "steps"},
        {8, "server: {Rule: fedadam}", "Rule", "rule"},
        {8, "servre: {rule: fedadam}", "servre", "server"},
        {9, "privacy: {noise: none, epsilon: inf, delat: 1e-4, clip: 1}", "delat", "delta"},
        {9, "privacy: {noise: site, epsilon: 1, delta: 1e-4, clip: 1, samplerate: 0.1}",
         "samplerate", "sample_rate"},
        {10, "update: {fraction_bit: 20}", "fraction_bit", "fraction_bits"},
        {10, "updates: {fraction_bits: 20}", "updates", "update"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct study s;
        struct config_issues issues;
        struct error err = {0};
        char want[128];
        (void)snprintf(want, sizeof want, "unknown key '%s'; did you mean '%s'?", bad[i].wrong,
                       bad[i].meant);
        const enum rc rc = read_text(with_line(bad[i].line, bad[i].text), &s, &issues, &err);
        if (rc != RC_INVALID || issues.n != 1 || strstr(issues.line[0], want) == NULL) {
            print_error("of: %s\n", bad[i].text);
            config_print_issues(&issues, stderr);
            fail();
        }
    }
}

static void all_problems_of_a_document_are_reported_at_once(void **state)
{
    (void)state;
    struct study s;
    struct config_issues issues;
    struct error err = {0};
    assert_int_equal(read_text("study: x y\n"
                               "rounds: 1,1\n"
                               "qourum: 2\n"
                               "min_sites: 3\n"
                               "model: {name: mpl}\n"
                               "local: {rate: 1, momentum: 2}\n"
                               "privacy: {noise: site, epsilon: inf, clip: -1}\n"
                               "sites:\n"
                               "  - {name: a, nominal: 1e2}\n"
                               "  - {name: a, nominal: 5, size: 6}\n",
                               &s, &issues, &err),
                     RC_INVALID);
    static const char *const want[] = {
        "s.yaml:2:9: error: rounds: '1,1' is not a whole number in plain digits",
        "s.yaml:3:1: error: unknown key 'qourum'; did you mean 'quorum'?",
        "s.yaml:1:1: error: missing key 'quorum'",
        ("s.yaml:5:15: error: name: 'mpl' is none of logistic, mlp, multimodal, additive; did you "
         "mean 'mlp'?"),
        "s.yaml:6:28: error: momentum: is 2, must be from 0 to 0.9999",
        "s.yaml:7:44: error: clip: is -1, must be from 1e-06 to 1000000",
        "s.yaml:9:24: error: nominal: '1e2' is not a whole number in plain digits",
        "s.yaml:10:27: error: unknown key 'size'",
        "s.yaml:1:8: error: study: 'x y' is no name; begin with a letter or digit, then also . _ -",
        "s.yaml:4:12: error: min_sites: is 3, but there are only 2 sites",
        "s.yaml:7:33: error: epsilon: noise needs a finite one; write it, or noise: none",
        "s.yaml:7:10: error: missing key 'delta': with noise it must be stated",
        "s.yaml:10:12: error: name: 'a' is already the name of the site on line 9",
    };
    if (issues.n != COUNT(want)) {
        config_print_issues(&issues, stderr);
    }
    assert_int_equal(issues.n, COUNT(want));
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_string_equal(issues.line[i], want[i]);
    }
    assert_non_null(strstr(err.text, "(and 12 more)"));
}

static void a_target_out_of_reach_is_an_issue_at_epsilon(void **state)
{
    (void)state;
    struct study s;
    struct config_issues issues;
    struct error err = {0};
    assert_int_equal(read_text(with_line(9, "privacy: {noise: site, epsilon: 1e-9, delta: 1e-12, "
                                            "clip: 1}"),
                               &s, &issues, &err),
                     RC_INVALID);
    assert_int_equal(issues.n, 1);
    assert_non_null(strstr(issues.line[0], "s.yaml:9:33: error: no noise multiplier"));
}

static void sites_must_be_a_list_of_bounded_length(void **state)
{
    (void)state;
    struct study s;
    struct config_issues issues;
    struct error err = {0};
    char text[sizeof good + 16];
    const size_t head = (size_t)(strstr(good, "sites:\n") - good);
    static const char *const bad[] = {"sites: []\n"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        (void)snprintf(text, sizeof text, "%.*s%s", (int)head, good, bad[i]);
        assert_int_equal(read_text(text, &s, &issues, &err), RC_INVALID);
        assert_int_equal(issues.n, 1);
        assert_string_equal(
            issues.line[0],
            "s.yaml:11:8: error: sites: must be a list of 1 to 1024 sites, or {count, "
            "nominal}");
    }
    for (size_t n = STUDY_SITES_MAX; n <= STUDY_SITES_MAX + 1; n++) {
        const size_t room = sizeof good + n * 40;
        char *many = malloc(room);
        assert_non_null(many);
        size_t used = (size_t)snprintf(many, room, "%.*ssites:\n", (int)head, good);
        for (size_t i = 0; i < n; i++) {
            used += (size_t)snprintf(many + used, room - used, "  - {name: s%zu, nominal: 9}\n", i);
        }
        const enum rc rc = read_text(many, &s, &issues, &err);
        free(many);
        assert_int_equal(rc, n <= STUDY_SITES_MAX ? RC_OK : RC_INVALID);
        if (rc == RC_OK) {
            assert_int_equal(study_nominal_total(&s), 9 * n);
            study_release(&s);
        }
    }
}

static void with_sites(const char *sites, enum rc want, struct study *s,
                       struct config_issues *issues)
{
    char text[sizeof good + 160];
    struct error err = {0};
    const size_t head = (size_t)(strstr(good, "sites:\n") - good);
    (void)snprintf(text, sizeof text, "%.*ssites: %s\n", (int)head, good, sites);
    const enum rc rc = read_text(text, s, issues, &err);
    if (rc != want) {
        print_error("%s: %s\n", sites, err.text);
    }
    assert_int_equal(rc, want);
}

static void sites_that_differ_in_nothing_are_counted(void **state)
{
    (void)state;
    struct study counted, listed;
    struct config_issues issues;
    const struct hash schema = hash_of("schema", 6);
    with_sites("{count: 3, nominal: 60}", RC_OK, &counted, &issues);
    assert_int_equal(counted.n_sites, 3);
    with_sites("[{name: hospital-01, nominal: 60}, {name: hospital-02, nominal: 60}, {name: "
               "hospital-03, nominal: 60}]",
               RC_OK, &listed, &issues);
    const struct hash a = study_hash(&counted, &schema), b = study_hash(&listed, &schema);
    assert_true(hash_equal(&a, &b)); /* it is the same document, written shorter */
    study_release(&counted);
    study_release(&listed);
    with_sites("{count: 1000, nominal: 7, prefix: s}", RC_OK, &counted, &issues);
    assert_string_equal(counted.site[0].name, "s0001");
    assert_string_equal(counted.site[999].name, "s1000");
    assert_int_equal(counted.site[999].nominal, 7);
    study_release(&counted);
    with_sites("{count: 1025, nominal: 7}", RC_INVALID, &counted, &issues);
    assert_string_equal(issues.line[0],
                        "s.yaml:11:16: error: count: is 1025, must be from 1 to 1024");
    with_sites("{count: 3, nominal: 7, prefix: \"a b\"}", RC_INVALID, &counted, &issues);
    assert_non_null(strstr(issues.line[0], "prefix: 'a b' begins no name"));
    with_sites("{count: 2, nominal: 7}", RC_OK, &counted, &issues);
    study_release(&counted);
    with_sites("{count: 1, nominal: 7}", RC_INVALID, &counted,
               &issues); /* quorum and min_sites are 2 */
    assert_int_equal(issues.n, 2);
}

static void only_its_own_issues_count_against_an_embedded_study(void **state)
{
    (void)state;
    struct config_doc *doc = NULL;
    struct error err = {0};
    struct config_issues issues = {.path = "sim.yaml"};
    config_issue(&issues, NULL, "something else in the simulator's file");
    assert_int_equal(config_parse("sim.yaml", good, strlen(good), &doc, &err), RC_OK);
    struct study s;
    assert_int_equal(study_read(config_root(doc), &s, &issues, &err), RC_OK);
    config_close(&doc);
    assert_int_equal(issues.n, 1);
    assert_string_equal(s.name, "trial-1"); /* nothing of it lives in the document */
    study_release(&s);
}

static void a_file_that_is_not_there_or_not_yaml_says_so(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_study_XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64];
    (void)snprintf(path, sizeof path, "%s/s.yaml", folder);
    struct study s;
    static struct config_issues issues;
    struct error err = {0};
    assert_int_equal(study_open(path, &s, &issues, &err), RC_IO);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(fputs("study: x\nstudy: y\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(study_open(path, &s, &issues, &err), RC_FORMAT);
    assert_non_null(strstr(err.text, "s.yaml:2:1: error: duplicate key 'study'"));
    assert_int_equal(issues.n, 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- plan, copy, hash -------------------------------------------------------------------------- */

static void the_plan_follows_its_numbers(void **state)
{
    (void)state;
    struct study s = read_good(good);
    struct error err = {0};
    const double sigma = s.privacy.noise_multiplier;
    const struct mechanism m = {.q = 1.0, .sigma = sigma, .steps = 10}; /* 5 rounds of 2 steps */
    const double epsilon = accountant_epsilon(&m, 1, 1e-4);
    assert_true(epsilon <= 2.0 && epsilon > 1.999);

    s.privacy.epsilon = 1; /* half of it */
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier > 1.5 * sigma);
    s.privacy.epsilon = 2;
    s.rounds = 10; /* twice the steps */
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier > 1.3 * sigma);
    s.rounds = 5;
    s.privacy.sample_rate = 0.1;
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier < 0.7 * sigma);
    s.privacy.sample_rate = 1;
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier == sigma);

    s.privacy.epsilon = (double)INFINITY; /* an override that forgot the noise */
    assert_int_equal(study_plan(&s, &err), RC_INVALID);
    assert_true(s.privacy.noise_multiplier == sigma);
    s.privacy.noise = STUDY_NOISE_NONE;
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier == 0);
    s.privacy.epsilon = 2; /* and one that forgot to add it */
    assert_int_equal(study_plan(&s, &err), RC_INVALID);
    s.privacy.noise = STUDY_NOISE_SHARED;
    assert_int_equal(study_plan(&s, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "noise: shared needs masked: true"));
    s.privacy.noise = STUDY_NOISE_SITE;
    static const double out_of_range[] = {0, -1, (double)NAN};
    for (size_t i = 0; i < COUNT(out_of_range); i++) {
        s.privacy.epsilon = out_of_range[i];
        assert_int_equal(study_plan(&s, &err), RC_INVALID);
    }
    s.privacy.epsilon = 2;
    s.privacy.delta = 0;
    assert_int_equal(study_plan(&s, &err), RC_INVALID);
    study_release(&s);
}

/* ---- a plan by the rule ---------------------------------------------------------------------- */

#define PLANNED_ROUNDS                                                                     \
    "rounds: 100\nprivacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1.5, passes: 20, " \
    "steps_least: %d}"

/* `good` with a wish, at most 100 rounds of 2 steps, and this fewest number of steps. */
static const char *wishing(int steps_least)
{
    static char out[2048];
    char rest[2048];
    (void)snprintf(rest, sizeof rest, "%s", with_line(9, ""));
    char line[256];
    (void)snprintf(line, sizeof line, PLANNED_ROUNDS, steps_least);
    const char *at = strstr(rest, "rounds: 5\n");
    (void)snprintf(out, sizeof out, "%.*s%s\n%s", (int)(at - rest), rest, line,
                   at + strlen("rounds: 5\n"));
    return out;
}

static void a_wish_is_planned_by_the_rule_in_whole_rounds(void **state)
{
    (void)state;
    for (int least = 15; least <= 101; least += 43) { /* 2 steps a round: 16, 58, 102 */
        struct study s = read_good(wishing(least));
        struct error err = {0};
        struct planning_choice c[PLANNING_CHOICES];
        size_t n = 0, best = 0;
        const struct planning_wish wish = {.epsilon = 2,
                                           .delta = 1e-4,
                                           .passes = 20,
                                           .steps_least = (uint64_t)(least + 1) / 2 * 2,
                                           .steps_most = 200};
        assert_int_equal(planning_choose(&wish, c, &n, &best, &err), RC_OK);
        assert_int_equal(study_steps(&s), c[best].steps);
        assert_int_equal(s.rounds * 2, c[best].steps);
        assert_true(s.privacy.sample_rate == c[best].q);
        assert_true(s.privacy.noise_multiplier == c[best].sigma);
        assert_int_equal(s.wish.rounds_most, 100);
        study_release(&s);
    }
    struct study s = read_good(good); /* and who has none gets none */
    assert_true(s.wish.passes == 0 && s.wish.steps_least == 0 && s.wish.rounds_most == 0);
    study_release(&s);
}

/* A document that leaves 20, 40 or 80 rounds to the plan, and averages from this one on. */
static const char *wishing_and_averaging(size_t from)
{
    static char out[2048];
    static const char line[] = "server: {rule: fedavg}\n";
    const char *wish = wishing(40);
    const char *at = strstr(wish, line);
    assert_non_null(at);
    (void)snprintf(out, sizeof out, "%.*sserver: {average_iterates: true, average_from: %zu}\n%s",
                   (int)(at - wish), wish, from, at + sizeof line - 1);
    return out;
}

static void an_average_begins_in_the_shortest_plan_at_the_latest(void **state)
{
    (void)state;
    struct study s = read_good(wishing_and_averaging(20));
    assert_int_equal(s.server.average_from, 20);
    study_release(&s);
    struct config_issues issues;
    struct error err = {0};
    assert_int_equal(read_text(wishing_and_averaging(21), &s, &issues, &err), RC_INVALID);
    assert_int_equal(issues.n, 1);
    assert_non_null(strstr(issues.line[0], "average_from: is 21, must be at most the 20 rounds of "
                                           "the shortest plan"));
}

static void a_wish_is_planned_anew_for_another_epsilon_and_for_none(void **state)
{
    (void)state;
    struct study s = read_good(wishing(40));
    struct error err = {0};
    const double sigma = s.privacy.noise_multiplier;
    s.rounds = 77; /* only what came of it */
    s.privacy.sample_rate = 1;
    s.privacy.epsilon = 1;
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_int_equal(s.rounds, 20);
    assert_true(s.privacy.sample_rate == 0.5 && s.privacy.noise_multiplier > sigma);
    s.rounds = 77;
    s.privacy.noise = STUDY_NOISE_NONE;
    s.privacy.epsilon = (double)INFINITY;
    assert_int_equal(study_plan(&s, &err), RC_OK);
    assert_int_equal(s.rounds, 20);
    assert_true(s.privacy.sample_rate == 0.5 && s.privacy.noise_multiplier == 0);
    study_release(&s);
}

static void only_what_comes_of_a_wish_is_hashed(void **state)
{
    (void)state;
    struct study s = read_good(wishing(40));
    const struct hash schema = hash_of("schema", 6);
    const struct hash before = study_hash(&s, &schema);
    s.wish = (struct study_wish){0};
    const struct hash after = study_hash(&s, &schema);
    assert_true(hash_equal(&before, &after));
    study_release(&s);
}

static enum rc take(const char *text, const struct study_choice *choice, struct study *out,
                    struct error *err)
{
    static struct config_issues issues;
    memset(&issues, 0, sizeof issues);
    return study_parse_chosen("s.yaml", text, strlen(text), choice, out, &issues, err);
}

static void a_plan_of_somebody_else_is_checked_and_not_made_again(void **state)
{
    (void)state;
    char text[2048];
    (void)snprintf(text, sizeof text, "%s", wishing(40)); /* 20, 40 or 80 rounds of 2 steps */
    struct study s = read_good(text), t;
    struct error err = {0};
    const struct hash schema = hash_of("schema", 6);
    const struct study_choice chosen = study_choice_of(&s);
    assert_true(chosen.planned);
    assert_int_equal(take(text, &chosen, &t, &err), RC_OK);
    const struct hash a = study_hash(&s, &schema), b = study_hash(&t, &schema);
    assert_true(hash_equal(&a, &b));
    study_release(&t);

    struct study_choice other = chosen; /* not the best, and yet one that the rule compares */
    other.rounds = s.rounds == 40 ? 80 : 40;
    other.sample_rate = 20.0 / (double)(2 * other.rounds);
    other.sigma = 50;
    assert_int_equal(take(text, &other, &t, &err), RC_OK);
    assert_int_equal(t.rounds, other.rounds);
    assert_true(t.privacy.sample_rate == other.sample_rate && t.privacy.noise_multiplier == 50);
    study_release(&t);

    const struct {
        struct study_choice choice;
        enum rc rc;
        const char *word;
    } bad[] = {
        {{chosen.sigma, false, 0, 0}, RC_FORMAT, "none came with it"},
        {{0.99 * chosen.sigma, true, chosen.sample_rate, chosen.rounds}, RC_INVALID, "more than"},
        {{chosen.sigma, true, nextafter(chosen.sample_rate, 1), chosen.rounds}, RC_INVALID, "give"},
        {{chosen.sigma, true, nextafter(chosen.sample_rate, 0), chosen.rounds}, RC_INVALID, "give"},
        {{chosen.sigma, true, (double)NAN, chosen.rounds}, RC_INVALID, "give"},
        {{50, true, 0.5, 21}, RC_INVALID, "not among those"},
        {{50, true, 1, 10}, RC_INVALID, "not among those"},
        {{50, true, 0.0625, 160}, RC_INVALID, "from 1 to 100"},
        {{50, true, 1, 0}, RC_INVALID, "from 1 to 100"},
        {{50, true, 1, SIZE_MAX}, RC_INVALID, "from 1 to 100"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct study untouched;
        memset(&t, 0xa5, sizeof t);
        untouched = t;
        if (take(text, &bad[i].choice, &t, &err) != bad[i].rc ||
            strstr(err.text, bad[i].word) == NULL) {
            fail_msg("%zu: %s '%s', want '%s'", i, rc_name(err.rc), err.text, bad[i].word);
        }
        assert_memory_equal(&t, &untouched, sizeof t);
    }
    assert_int_equal(take(good, &chosen, &t, &err), RC_FORMAT);
    assert_non_null(strstr(err.text, "states its rate and rounds itself"));
    study_release(&s);
}

static void a_copy_shares_nothing(void **state)
{
    (void)state;
    struct study a = read_good(good), b;
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
        read_good(with_line(6, "model: {name: multimodal, fusion: gmu, series: lstm}"));
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
    struct study s = read_good(good);
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
        struct study s = read_good(with_line(6, model[i]));
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
                                                     3 * 8 + 2 * 8 + 8 + 64 + 8 +
                                                     2 * (8 + STUDY_BLOCKS_MAX * STUDY_NAME_MAX),
                   "hash the new field");
    _Static_assert(sizeof(struct study_local) == 2 * 4 + 8 * 8 + 3 * 8, "hash the new field");
    _Static_assert(sizeof(struct study_server_rule) == 2 * 4 + 5 * 8 + 3 * 8, "hash the new field");
    _Static_assert(sizeof(struct study_privacy) == 8 + 5 * 8, "hash the new field");
    _Static_assert(sizeof(struct study_site) == 64 + 8 + 8 + 40, "hash the new field");
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

    struct study s = read_good(with_line(6, "model: {name: mlp, hidden: [3, 4]}"));
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
    (void)snprintf(text, sizeof text, "cohort: ../site/cohort.yaml\n%s", good);
    struct study with = read_good(text), without = read_good(good);
    const struct hash schema = hash_of("schema", 6);
    const struct hash a = study_hash(&with, &schema), b = study_hash(&without, &schema);
    assert_string_equal(with.cohort, "../site/cohort.yaml");
    assert_string_equal(without.cohort, "");
    assert_true(hash_equal(&a, &b));
    study_release(&with);
    study_release(&without);

    memset(path, 'x', STUDY_PATH_MAX);
    (void)snprintf(text, sizeof text, "rounds: 5\ncohort: %s", path);
    assert_one_issue(2, text, "s.yaml:3:9: error: cohort: is longer than 511 bytes");
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

/* What the ledger computes and compares, to the last bit. */
static void a_carried_sigma_is_compared_exactly(void **state)
{
    (void)state;
    struct study s = read_good(good);
    struct error err = {0};
    const double solved = s.privacy.noise_multiplier;
    const double carried = 1.2345678901234567 * solved;
    const struct mechanism m = {.q = 1.0, .sigma = carried, .steps = 10};
    const double cost = accountant_epsilon(&m, 1, 1e-4);

    s.privacy.epsilon = cost;
    assert_int_equal(study_take_sigma(&s, carried, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier == carried);
    s.privacy.epsilon = nextafter(cost, 0);
    s.privacy.noise_multiplier = solved;
    assert_int_equal(study_take_sigma(&s, carried, &err), RC_INVALID);
    assert_true(s.privacy.noise_multiplier == solved); /* untouched */
    char number[32];
    (void)snprintf(number, sizeof number, "%.17g", cost);
    assert_non_null(strstr(err.text, number));
    (void)snprintf(number, sizeof number, "%.17g", s.privacy.epsilon);
    assert_non_null(strstr(err.text, number));

    s.privacy.epsilon = 2;
    assert_int_equal(study_take_sigma(&s, solved, &err), RC_OK);
    assert_int_equal(study_take_sigma(&s, solved - 1e-6, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, 1e6, &err), RC_OK);
    assert_int_equal(study_take_sigma(&s, 1.0000001e6, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, (double)NAN, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, HUGE_VAL, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, 0, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, -1, &err), RC_INVALID);

    s.privacy.noise = STUDY_NOISE_NONE;
    assert_int_equal(study_take_sigma(&s, solved, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, (double)NAN, &err), RC_INVALID);
    assert_int_equal(study_take_sigma(&s, 0, &err), RC_OK);
    assert_true(s.privacy.noise_multiplier == 0);
    study_release(&s);
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
        cmocka_unit_test(the_heart_study_is_read_field_by_field),
        cmocka_unit_test(keys_left_out_take_their_written_defaults),
        cmocka_unit_test(deadlines_and_seed_are_kept_apart),
        cmocka_unit_test(an_mlp_with_adam_and_fedadam_is_read),
        cmocka_unit_test(what_changes_in_the_course_of_training_is_read),
        cmocka_unit_test(what_a_site_lacks_is_read_and_hashed),
        cmocka_unit_test(frozen_blocks_are_read_and_hashed),
        cmocka_unit_test(a_checkpoint_to_start_from_is_read_and_hashed_by_what_is_in_it),
        cmocka_unit_test(what_sites_lack_must_make_sense),
        cmocka_unit_test(the_servers_words_are_read),
        cmocka_unit_test(robust_means_want_three_sites_in_every_round_and_their_updates),
        cmocka_unit_test(masked_sums_say_what_they_need),
        cmocka_unit_test(shared_noise_is_for_one_plain_step_of_three_masked_sites),
        cmocka_unit_test(only_masked_studies_hash_what_they_say_of_masks),
        cmocka_unit_test(a_share_of_the_patients_is_held_out_whatever_the_study),
        cmocka_unit_test(without_noise_there_is_no_sigma),
        cmocka_unit_test(every_rule_speaks_at_its_place),
        cmocka_unit_test(each_wrong_type_is_one_issue),
        cmocka_unit_test(a_misspelt_key_is_an_error_with_a_suggestion),
        cmocka_unit_test(all_problems_of_a_document_are_reported_at_once),
        cmocka_unit_test(a_target_out_of_reach_is_an_issue_at_epsilon),
        cmocka_unit_test(sites_must_be_a_list_of_bounded_length),
        cmocka_unit_test(sites_that_differ_in_nothing_are_counted),
        cmocka_unit_test(only_its_own_issues_count_against_an_embedded_study),
        cmocka_unit_test(a_file_that_is_not_there_or_not_yaml_says_so),
        cmocka_unit_test(the_plan_follows_its_numbers),
        cmocka_unit_test(
            the_round_that_an_average_begins_with_is_read_and_hashed_where_it_is_not_the_first),
        cmocka_unit_test(an_average_begins_in_the_shortest_plan_at_the_latest),
        cmocka_unit_test(a_wish_is_planned_by_the_rule_in_whole_rounds),
        cmocka_unit_test(a_wish_is_planned_anew_for_another_epsilon_and_for_none),
        cmocka_unit_test(only_what_comes_of_a_wish_is_hashed),
        cmocka_unit_test(a_plan_of_somebody_else_is_checked_and_not_made_again),
        cmocka_unit_test(a_copy_shares_nothing),
        cmocka_unit_test(the_hash_changes_with_every_field),
        cmocka_unit_test(a_study_that_uses_nothing_new_has_the_hash_that_it_had),
        cmocka_unit_test(a_multimodal_model_s_hash_changes_with_every_word_and_number),
        cmocka_unit_test(what_only_some_fusions_have_is_hashed_with_them),
        cmocka_unit_test(the_coordinators_own_cohort_path_is_read_and_not_hashed),
        cmocka_unit_test(a_document_in_memory_is_the_same_as_in_its_file),
        cmocka_unit_test(a_carried_sigma_is_compared_exactly),
        cmocka_unit_test(noises_have_names),
        cmocka_unit_test(the_reference_names_every_map_and_key),
    };
    return cmocka_run_group_tests_name("common/study", tests, NULL, NULL);
}
