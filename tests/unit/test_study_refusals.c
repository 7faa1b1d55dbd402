/* What a study cannot say, and the sentence at its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/study_text.h"

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
        {6, "model: {name: logistic, points: [words]}",
         "6:33: error: points: has a meaning only with name: additive"},
        {6, "model: {name: additive, points: [words, pixels]}",
         "6:33: error: points: 'pixels' is none of shape, contrasts, words"},
        {6, "model: {name: additive, points: []}",
         "6:33: error: points: must be a list of 1 to 8 names, as in [a, b]"},
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
        {10, "start: {hash: " STUDY_TEXT_ZEROS "}", "10:8: error: missing key 'file'"},
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
        {10, "broadcast: float64",
         "10:12: error: broadcast: 'float64' is none of float32, float16; did you mean 'float32'?"},
        {10, "broadcast: float16\nstart: {file: a.safetensors, hash: " STUDY_TEXT_ZEROS "}",
         "10:12: error: broadcast: with float16 no site could tell that the first model is the "
         "checkpoint of `start`; leave out one of them"},
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
        {13, "  - {name: b, nominal: 50, key: 5F}",
         "13:33: error: key: must be 64 hexadecimal digits, as `sign:` on the site's card"},
        {13, "  - {name: b, nominal: 50, key: " STUDY_TEXT_HEX "}",
         "13:33: error: key: has a meaning only with masked: true, and without it the coordinator "
         "sees each site's update; write that, or leave out the keys"},
        {13, "  - b", "13:5: error: expected a map of `key: value` here"},
        {2, "rounds: 0", "2:9: error: rounds: is 0, must be from 1 to 1000000"},
        {2, "rounds: 5\nepsilon: 1", "3:1: error: unknown key 'epsilon'"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        char want[300];
        (void)snprintf(want, sizeof want, "s.yaml:%s", bad[i].want);
        study_text_one_issue(bad[i].line, bad[i].text, want);
    }
}

/* Every key of every map, with a type that it never has. */
/* It was signed under rules of which this was none: who has it can change nothing. */
static void keys_without_masks_are_no_reason_to_refuse_what_is_signed(void **state)
{
    (void)state;
    struct study s;
    struct config_issues issues = {.n = 0};
    struct error err = {0};
    const struct study_choice choice = {.sigma = 100.0};
    const char *const text =
        study_text_with(13, "  - {name: b, nominal: 50, key: " STUDY_TEXT_HEX "}");
    assert_int_equal(study_text_try(text, &s, &issues, &err), RC_INVALID);
    memset(&issues, 0, sizeof issues);
    assert_int_equal(study_parse_chosen("s.yaml", text, strlen(text), &choice, &s, &issues, &err),
                     RC_OK);
    assert_true(s.site[1].keyed);
    assert_int_equal(s.site[1].line, 13);
    study_release(&s);
}

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
        const enum rc rc =
            study_text_try(study_text_with(bad[i].line, bad[i].text), &s, &issues, &err);
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
        const enum rc rc =
            study_text_try(study_text_with(bad[i].line, bad[i].text), &s, &issues, &err);
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
    assert_int_equal(study_text_try("study: x y\n"
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
    assert_int_equal(
        study_text_try(study_text_with(9, "privacy: {noise: site, epsilon: 1e-9, delta: 1e-12, "
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
    char text[1024];
    const size_t head = (size_t)(strstr(study_text_good, "sites:\n") - study_text_good);
    static const char *const bad[] = {"sites: []\n"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        (void)snprintf(text, sizeof text, "%.*s%s", (int)head, study_text_good, bad[i]);
        assert_int_equal(study_text_try(text, &s, &issues, &err), RC_INVALID);
        assert_int_equal(issues.n, 1);
        assert_string_equal(
            issues.line[0],
            "s.yaml:11:8: error: sites: must be a list of 1 to 1024 sites, or {count, "
            "nominal}");
    }
    for (size_t n = STUDY_SITES_MAX; n <= STUDY_SITES_MAX + 1; n++) {
        const size_t room = strlen(study_text_good) + n * 40;
        char *many = malloc(room);
        assert_non_null(many);
        size_t used = (size_t)snprintf(many, room, "%.*ssites:\n", (int)head, study_text_good);
        for (size_t i = 0; i < n; i++) {
            used += (size_t)snprintf(many + used, room - used, "  - {name: s%zu, nominal: 9}\n", i);
        }
        const enum rc rc = study_text_try(many, &s, &issues, &err);
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
    char text[1024];
    struct error err = {0};
    const size_t head = (size_t)(strstr(study_text_good, "sites:\n") - study_text_good);
    (void)snprintf(text, sizeof text, "%.*ssites: %s\n", (int)head, study_text_good, sites);
    const enum rc rc = study_text_try(text, s, issues, &err);
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
    assert_int_equal(config_parse("sim.yaml", study_text_good, strlen(study_text_good), &doc, &err),
                     RC_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_speaks_at_its_place),
        cmocka_unit_test(keys_without_masks_are_no_reason_to_refuse_what_is_signed),
        cmocka_unit_test(each_wrong_type_is_one_issue),
        cmocka_unit_test(a_misspelt_key_is_an_error_with_a_suggestion),
        cmocka_unit_test(all_problems_of_a_document_are_reported_at_once),
        cmocka_unit_test(a_target_out_of_reach_is_an_issue_at_epsilon),
        cmocka_unit_test(sites_must_be_a_list_of_bounded_length),
        cmocka_unit_test(sites_that_differ_in_nothing_are_counted),
        cmocka_unit_test(only_its_own_issues_count_against_an_embedded_study),
        cmocka_unit_test(a_file_that_is_not_there_or_not_yaml_says_so),
    };
    return cmocka_run_group_tests_name("study_refusals", tests, NULL, NULL);
}
