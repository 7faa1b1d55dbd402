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
#include "common/agreement/agreement.h"
#include "common/agreement/agreement_internal.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const char document[] = "study: trial\n"
                               "rounds: 5\n"
                               "quorum: 2\n"
                               "min_sites: 2\n"
                               "cohort: site/cohort.yaml\n"
                               "model: {name: logistic}\n"
                               "local: {rate: 0.5, steps: 2}\n"
                               "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1.5}\n"
                               "sites: [{name: a, nominal: 100}, {name: b, nominal: 50}]\n";

static const char features[] =
    "label: {name: \"dead\"}\n"
    "features:\n"
    "- {name: \"age\", type: continuous, unit: \"years\", range: [20, 80.5], required: true}\n"
    "- {name: \"sex\", type: binary, unit: \"\", categories: [\"f\", \"m\"], required: false}\n"
    "- {name: \"ca\", type: categorical, unit: \"\", categories: [\"0\", \"1\", \"2\", \"3\"], "
    "required: false}\n";

static struct config_issues issues;
static char folder[] = "/tmp/wardround_agreement_XXXXXX";
static struct seal_keys *coordinator;
static struct seal_public coordinator_key;

static int set_up(void **state)
{
    (void)state;
    struct error err = {0};
    struct seal_curve curve;
    if (mkdtemp(folder) == NULL || seal_keys_random(&coordinator, &err) != RC_OK) {
        return 1;
    }
    seal_keys_public(coordinator, &coordinator_key, &curve);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[256];
    seal_keys_close(&coordinator);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    static char path[2][256];
    static size_t turn;
    turn = !turn;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static double solved_sigma(void)
{
    struct error err = {0};
    double sigma = 0;
    assert_int_equal(accountant_sigma(2, 1e-4, 1, 10, &sigma, &err), RC_OK);
    return sigma;
}

/* ---- what somebody who holds the key could sign ---------------------------------------------- */

static unsigned char raw[AGREEMENT_BYTES_MAX + 16];
static size_t n_raw;

static void add(const void *data, size_t n)
{
    memcpy(raw + n_raw, data, n);
    n_raw += n;
}

static void add_length(size_t n)
{
    const unsigned char b[4] = {(unsigned char)n, (unsigned char)(n >> 8), (unsigned char)(n >> 16),
                                (unsigned char)(n >> 24)};
    add(b, sizeof b);
}

/* Signs whatever stands behind the head. */
static void sign_raw(const struct seal_keys *keys, const char *domain)
{
    struct seal_signature signature;
    seal_sign(keys, domain, raw + AGREEMENT_HEAD, n_raw - AGREEMENT_HEAD, &signature);
    memcpy(raw, AGREEMENT_MAGIC, sizeof AGREEMENT_MAGIC - 1);
    memcpy(raw + sizeof AGREEMENT_MAGIC - 1, signature.b, sizeof signature.b);
}

static void make_raw(const char *doc, const char *schema, double sigma)
{
    n_raw = AGREEMENT_HEAD;
    add_length(strlen(doc));
    add(doc, strlen(doc));
    add_length(strlen(schema));
    add(schema, strlen(schema));
    add(&sigma, sizeof sigma); /* the machines that run tests are little-endian */
    sign_raw(coordinator, AGREEMENT_DOMAIN);
}

static struct agreement verified(void)
{
    struct agreement a;
    struct error err = {0};
    if (agreement_verify(raw, n_raw, &coordinator_key, &a, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return a;
}

static void assert_refused(enum rc want, const char *word)
{
    struct agreement a, untouched;
    struct error err = {0};
    memset(&a, 0x5a, sizeof a);
    memcpy(&untouched, &a, sizeof a);
    const enum rc rc = agreement_verify(raw, n_raw, &coordinator_key, &a, &err);
    if (rc != want || strstr(err.text, word) == NULL) {
        fail_msg("%s '%s', want %s with '%s'", rc_name(rc), err.text, rc_name(want), word);
    }
    assert_memory_equal(&a, &untouched, sizeof a);
}

/* ---- the coordinator ------------------------------------------------------------------------- */

static struct agreement opened(const char *path, const char *cohort)
{
    struct agreement a;
    struct error err = {0};
    memset(&issues, 0, sizeof issues);
    if (agreement_open(path, cohort, &a, &issues, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return a;
}

static void every_sample_study_reaches_its_sites_as_it_was_opened(void **state)
{
    (void)state;
    static const struct {
        const char *study, *cohort;
    } sample[] = {{"configs/studies/heart.yaml", "configs/sites/heart/cohort.yaml"},
                  {"configs/studies/heart_no_noise.yaml", "configs/sites/heart/cohort.yaml"},
                  {"configs/studies/example.yaml", "configs/sites/example/cohort.yaml"}};
    for (size_t i = 0; i < COUNT(sample); i++) {
        struct error err = {0};
        struct study study;
        struct schema schema;
        struct agreement a = opened(sample[i].study, NULL), b;
        unsigned char *bytes = NULL;
        size_t n = 0;
        assert_int_equal(study_open(sample[i].study, &study, &issues, &err), RC_OK);
        assert_int_equal(schema_open(sample[i].cohort, &schema, &issues, &err), RC_OK);
        const struct hash s = schema_hash(&schema), want = study_hash(&study, &s);
        assert_true(hash_equal(&a.study_hash, &want)); /* as the simulator names it */

        assert_int_equal(agreement_sign(&a, coordinator, &bytes, &n, &err), RC_OK);
        if (agreement_verify(bytes, n, &coordinator_key, &b, &err) != RC_OK) {
            fail_msg("%s", err.text);
        }
        assert_true(hash_equal(&a.study_hash, &b.study_hash));
        assert_string_equal(a.document, b.document);
        assert_string_equal(a.schema_text, b.schema_text);
        assert_memory_equal(&a.study.privacy, &b.study.privacy, sizeof a.study.privacy);
        assert_string_equal(b.study.cohort, "");
        assert_int_equal(b.schema.n_files, 0);
        assert_int_equal(agreement_fits(&b, &schema, &err), RC_OK);
        free(bytes);
        study_release(&study);
        schema_release(&schema);
        agreement_release(&a);
        agreement_release(&a); /* idempotent */
        agreement_release(&b);
    }
}

static void write_cohort(const char *path, const char *label)
{
    char text[1024];
    (void)snprintf(text, sizeof text,
                   "cohort: c\nfiles: [{path: a.csv, site: a}]\npatient: {column: id}\n"
                   "label: {name: %s, column: died, positive: [1], negative: [0]}\n"
                   "features: [{name: age, column: y, type: continuous, range: [20, 80.5]}]\n",
                   label);
    write_text(path, text);
}

static void the_cohort_is_found_beside_the_document_or_where_one_says(void **state)
{
    (void)state;
    char text[1024], absolute[300];
    (void)snprintf(text, sizeof text, "mkdir -p '%s/site' '%s/other'", folder, folder);
    assert_int_equal(system(text), 0);
    write_cohort(in_folder("site/cohort.yaml"), "beside");
    write_cohort(in_folder("other/cohort.yaml"), "said");
    write_text(in_folder("study.yaml"), document);

    struct agreement a = opened(in_folder("study.yaml"), NULL);
    assert_string_equal(schema_label_name(&a.schema), "beside");
    agreement_release(&a);
    a = opened(in_folder("study.yaml"), in_folder("other/cohort.yaml"));
    assert_string_equal(schema_label_name(&a.schema), "said");
    agreement_release(&a);

    (void)snprintf(absolute, sizeof absolute, "%s/other/cohort.yaml", folder);
    const char *at = strstr(document, "site/cohort.yaml");
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - document), document, absolute,
                   at + strlen("site/cohort.yaml"));
    write_text(in_folder("absolute.yaml"), text);
    a = opened(in_folder("absolute.yaml"), NULL);
    assert_string_equal(schema_label_name(&a.schema), "said");
    agreement_release(&a);

    char before[1024]; /* a document without a folder in its path */
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    a = opened("study.yaml", NULL);
    assert_int_equal(chdir(before), 0);
    assert_string_equal(schema_label_name(&a.schema), "beside");
    agreement_release(&a);
}

static void a_study_that_cannot_be_offered_says_why(void **state)
{
    (void)state;
    struct agreement a;
    struct error err = {0};
    char text[1024];
    const char *at = strstr(document, "cohort: ");
    (void)snprintf(text, sizeof text, "%.*s%s", (int)(at - document), document,
                   strchr(at, '\n') + 1);
    write_text(in_folder("bare.yaml"), text);
    memset(&issues, 0, sizeof issues);
    assert_int_equal(agreement_open(in_folder("bare.yaml"), NULL, &a, &issues, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "bare.yaml: error: missing key 'cohort'"));
    assert_int_equal(issues.n, 1);

    memset(&issues, 0, sizeof issues);
    assert_int_equal(
        agreement_open(in_folder("bare.yaml"), in_folder("none.yaml"), &a, &issues, &err), RC_IO);
    assert_int_equal(agreement_open(in_folder("none.yaml"), NULL, &a, &issues, &err), RC_IO);

    write_text(in_folder("bad.yaml"), "study: x\nrounds: many\n");
    assert_int_equal(agreement_open(in_folder("bad.yaml"), NULL, &a, &issues, &err), RC_INVALID);
    assert_true(issues.n > 3);
    assert_non_null(strstr(issues.line[0], "bad.yaml:2:9: error: rounds"));

    (void)snprintf(text, sizeof text, "%ssites_per_round: 2\n", document);
    write_text(in_folder("drawn.yaml"), text);
    memset(&issues, 0, sizeof issues);
    assert_int_equal(agreement_open(in_folder("drawn.yaml"), NULL, &a, &issues, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "sites_per_round: is only simulated so far"));

    memset(&issues, 0, sizeof issues);
    write_text(in_folder("bad_cohort.yaml"), "cohort: c\nfeatures: []\n");
    assert_int_equal(agreement_open(in_folder("bare.yaml"), in_folder("bad_cohort.yaml"), &a,
                                    &issues, &err),
                     RC_INVALID);
    assert_non_null(strstr(issues.line[0], "bad_cohort.yaml:"));
}

static void a_study_too_large_to_travel_is_not_signed(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned char *bytes = NULL;
    size_t n = 0;
    make_raw(document, features, solved_sigma());
    struct agreement a = verified();
    const size_t most = AGREEMENT_BYTES_MAX - AGREEMENT_HEAD - 16 - strlen(a.schema_text);
    char *large = malloc(most + 2);
    assert_non_null(large);
    (void)snprintf(large, most, "%s#", document);
    memset(large + strlen(large), 'x', most + 1 - strlen(large));
    large[most + 1] = '\0';
    free(a.document);
    a.document = large;
    assert_int_equal(agreement_sign(&a, coordinator, &bytes, &n, &err), RC_LIMIT);
    assert_non_null(strstr(err.text, "shorten"));
    assert_null(bytes);
    large[most] = '\0'; /* to the byte */
    assert_int_equal(agreement_sign(&a, coordinator, &bytes, &n, &err), RC_OK);
    assert_int_equal(n, AGREEMENT_BYTES_MAX);
    struct agreement b;
    if (agreement_verify(bytes, n, &coordinator_key, &b, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    agreement_release(&b);
    free(bytes);
    agreement_release(&a);
}

/* ---- the site -------------------------------------------------------------------------------- */

static void an_agreement_with_any_byte_changed_or_missing_is_refused(void **state)
{
    (void)state;
    make_raw(document, features, solved_sigma());
    const size_t whole = n_raw;
    for (size_t i = 0; i < whole; i++) {
        raw[i] ^= (unsigned char)(1U << (i % 8));
        const int in_magic = i < sizeof AGREEMENT_MAGIC - 1;
        assert_refused(in_magic ? RC_FORMAT : RC_AUTH,
                       in_magic ? "not an agreement" : "not signed");
        raw[i] ^= (unsigned char)(1U << (i % 8));
        n_raw = i;
        assert_refused(i < AGREEMENT_HEAD ? RC_FORMAT : RC_AUTH, "");
        n_raw = whole;
    }
    raw[n_raw++] = 0;
    assert_refused(RC_AUTH, "not signed by the coordinator");
    n_raw = AGREEMENT_BYTES_MAX + 1;
    assert_refused(RC_LIMIT, "at most");
}

static void only_the_trusted_coordinator_signs_studies_and_only_as_studies(void **state)
{
    (void)state;
    struct seal_keys *other = NULL;
    struct error err = {0};
    assert_int_equal(seal_keys_random(&other, &err), RC_OK);
    make_raw(document, features, solved_sigma());
    sign_raw(other, AGREEMENT_DOMAIN);
    assert_refused(RC_AUTH, "trust");
    sign_raw(coordinator, "wardround message v1");
    assert_refused(RC_AUTH, "trust");
    n_raw = AGREEMENT_HEAD; /* nothing in it is looked at before */
    add("not a study", 11);
    sign_raw(other, AGREEMENT_DOMAIN);
    assert_refused(RC_AUTH, "trust");
    seal_keys_close(&other);
}

static void a_signed_body_must_still_be_well_formed(void **state)
{
    (void)state;
    const double sigma = solved_sigma();
    for (size_t n = 0; n < 4; n++) {
        n_raw = AGREEMENT_HEAD;
        add("\1\0\0\0", n);
        sign_raw(coordinator, AGREEMENT_DOMAIN);
        assert_refused(RC_FORMAT, "ends before the study document");
    }
    n_raw = AGREEMENT_HEAD;
    add_length(0xffffffff);
    add(document, strlen(document));
    sign_raw(coordinator, AGREEMENT_DOMAIN);
    assert_refused(RC_FORMAT, "ends within the study document");

    n_raw = AGREEMENT_HEAD;
    add_length(strlen(document));
    add(document, strlen(document));
    sign_raw(coordinator, AGREEMENT_DOMAIN);
    assert_refused(RC_FORMAT, "ends before the features");

    make_raw(document, features, sigma);
    n_raw--;
    sign_raw(coordinator, AGREEMENT_DOMAIN);
    assert_refused(RC_FORMAT, "7 bytes where the noise multiplier is");
    n_raw += 2;
    sign_raw(coordinator, AGREEMENT_DOMAIN);
    assert_refused(RC_FORMAT, "9 bytes where");

    make_raw(document, features, sigma);
    raw[AGREEMENT_HEAD + 4 + 3] = '\0';
    sign_raw(coordinator, AGREEMENT_DOMAIN);
    assert_refused(RC_FORMAT, "a NUL in the study document");

    make_raw("study: [", features, sigma);
    assert_refused(RC_FORMAT, "study document:2:1: error");
    make_raw("study: x\n", features, sigma);
    assert_refused(RC_INVALID, "study document:1:");
    char drawn[2048];
    (void)snprintf(drawn, sizeof drawn, "%ssites_per_round: 2\n", document);
    make_raw(drawn, features, sigma);
    assert_refused(RC_INVALID, "sites_per_round: is only simulated so far");
    make_raw(document, "- 1\n", sigma);
    assert_refused(RC_INVALID, "study features:1:1: error");
    make_raw(document, "files: [{path: /etc/passwd}]\nlabel: {name: x}\nfeatures: [1]\n", sigma);
    assert_refused(RC_INVALID, "unknown key 'files'");
}

static void the_signed_sigma_counts_and_not_the_solved_one(void **state)
{
    (void)state;
    const double sigma = solved_sigma(), more = nextafter(sigma, 10);
    make_raw(document, features, sigma);
    struct agreement a = verified();
    make_raw(document, features, more);
    struct agreement b = verified();
    assert_memory_equal(&a.study.privacy.noise_multiplier, &sigma, sizeof sigma);
    assert_memory_equal(&b.study.privacy.noise_multiplier, &more, sizeof more);
    assert_false(hash_equal(&a.study_hash, &b.study_hash));
    const struct hash s = schema_hash(&b.schema), h = study_hash(&b.study, &s);
    assert_true(hash_equal(&h, &b.study_hash));
    agreement_release(&a);
    agreement_release(&b);
}

static void a_sigma_that_costs_more_than_the_study_states_is_refused(void **state)
{
    (void)state;
    static const double never[] = {0, -1, 1e-7, 1e-300, 1e7};
    make_raw(document, features, solved_sigma() - 1e-6);
    assert_refused(RC_INVALID, "more than the 2 that the study states");
    make_raw(document, features, 0.5);
    assert_refused(RC_INVALID, "the noise multiplier 0.5 costs epsilon");
    for (size_t i = 0; i < COUNT(never); i++) {
        make_raw(document, features, never[i]);
        assert_refused(RC_INVALID, "must lie between");
    }
    const double odd[] = {(double)NAN, HUGE_VAL, -HUGE_VAL};
    for (size_t i = 0; i < COUNT(odd); i++) {
        make_raw(document, features, odd[i]);
        assert_refused(RC_INVALID, "must lie between");
    }
}

/* ---- a study that leaves its rate and rounds to a plan --------------------------------------- */

static const char wish[] =
    "study: trial\n"
    "rounds: 100\n"
    "quorum: 2\n"
    "min_sites: 2\n"
    "cohort: site/cohort.yaml\n"
    "model: {name: logistic}\n"
    "local: {rate: 0.5, steps: 2}\n"
    "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1.5, passes: 30}\n"
    "sites: [{name: a, nominal: 100}, {name: b, nominal: 50}]\n";

static void make_planned(double sigma, double rate, uint64_t rounds)
{
    make_raw(wish, features, sigma);
    add(&rate, sizeof rate);
    add(&rounds, sizeof rounds);
    sign_raw(coordinator, AGREEMENT_DOMAIN);
}

static void a_plan_reaches_its_sites_as_it_was_made(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned char *bytes = NULL;
    size_t n = 0;
    char text[512];
    (void)snprintf(text, sizeof text, "mkdir -p '%s/site'", folder);
    assert_int_equal(system(text), 0);
    write_cohort(in_folder("site/cohort.yaml"), "died");
    write_text(in_folder("wish.yaml"), wish);
    struct agreement a = opened(in_folder("wish.yaml"), NULL), b;
    assert_int_equal(a.study.rounds, 10); /* 20 steps, everybody in each */
    assert_true(a.study.privacy.sample_rate == 1);
    assert_int_equal(agreement_sign(&a, coordinator, &bytes, &n, &err), RC_OK);
    if (agreement_verify(bytes, n, &coordinator_key, &b, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    assert_true(hash_equal(&a.study_hash, &b.study_hash));
    assert_memory_equal(&a.study.privacy, &b.study.privacy, sizeof a.study.privacy);
    assert_int_equal(b.study.rounds, 10);
    assert_int_equal(b.study.wish.rounds_most, 100);
    free(bytes);
    agreement_release(&a);
    agreement_release(&b);
}

static void the_signed_plan_counts_if_it_is_one_of_the_rule(void **state)
{
    (void)state;
    make_planned(40, 0.75, 20);
    struct agreement a = verified(); /* not what this machine would choose */
    assert_int_equal(a.study.rounds, 20);
    assert_true(a.study.privacy.sample_rate == 0.75 && a.study.privacy.noise_multiplier == 40);
    agreement_release(&a);

    make_planned(1, 0.75, 20);
    assert_refused(RC_INVALID, "more than the 2 that the study states");
    make_planned(40, 0.8, 20);
    assert_refused(RC_INVALID, "30 passes in 40 steps give 0.75");
    make_planned(40, 1, 15);
    assert_refused(RC_INVALID, "not among those that the rule compares");
    make_planned(40, 0.1, 160);
    assert_refused(RC_INVALID, "from 1 to 100");
    make_planned(40, 0.1, UINT64_MAX);
    assert_refused(RC_INVALID, "from 1 to 100");
    make_planned(40, 0.1, 0);
    assert_refused(RC_INVALID, "from 1 to 100");
}

static void plan_and_document_must_want_each_other(void **state)
{
    (void)state;
    make_raw(wish, features, 40);
    assert_refused(RC_FORMAT, "leaves its rate and rounds to a plan, and none came");
    make_raw(document, features, solved_sigma());
    const double rate = 1;
    const uint64_t rounds = 5;
    add(&rate, sizeof rate);
    add(&rounds, sizeof rounds);
    sign_raw(coordinator, AGREEMENT_DOMAIN);
    assert_refused(RC_FORMAT, "states its rate and rounds itself");
    make_planned(40, 0.75, 20);
    n_raw--;
    sign_raw(coordinator, AGREEMENT_DOMAIN);
    assert_refused(RC_FORMAT, "23 bytes where");
}

static void without_noise_sigma_is_nothing_else_than_zero(void **state)
{
    (void)state;
    char text[1024];
    const double odd[] = {1, -1, 1e-300, (double)NAN, HUGE_VAL};
    const char *at = strstr(document, "privacy:");
    (void)snprintf(text, sizeof text, "%.*sprivacy: {noise: none, epsilon: inf, clip: 1.5}\n%s",
                   (int)(at - document), document, strchr(at, '\n') + 1);
    make_raw(text, features, 0);
    struct agreement a = verified(), b;
    make_raw(text, features, -0.0);
    b = verified();
    assert_true(hash_equal(&a.study_hash, &b.study_hash));
    agreement_release(&a);
    agreement_release(&b);
    for (size_t i = 0; i < COUNT(odd); i++) {
        make_raw(text, features, odd[i]);
        assert_refused(RC_INVALID, "it must be 0");
    }
}

/* ---- does a site fit ------------------------------------------------------------------------- */

/* A site's cohort.yaml with these features and label. */
static enum rc fits(const struct agreement *a, const char *label, const char *list,
                    struct error *err)
{
    char text[2048];
    struct schema own;
    (void)snprintf(text, sizeof text,
                   "cohort: c\nfiles: [{path: a.csv, site: a}]\npatient: {column: id}\n"
                   "label: {%s, positive: [1], negative: [0]}\nfeatures:\n%s",
                   label, list);
    memset(&issues, 0, sizeof issues);
    if (schema_parse("own", text, strlen(text), &own, &issues, err) != RC_OK) {
        fail_msg("%s", err->text);
    }
    const enum rc rc = agreement_fits(a, &own, err);
    schema_release(&own);
    return rc;
}

#define AGE                                                                                     \
    "- {name: age, column: years, type: continuous, unit: years, range: [20, 80.5], required: " \
    "true}\n"
#define SEX "- {name: sex, type: binary, categories: [f, m]}\n"
#define CA  "- {name: ca, type: categorical, categories: [0, 1.0, 2, 3e0]}\n"

static void a_site_that_differs_is_told_the_first_thing_to_change(void **state)
{
    (void)state;
    static const char *const label = "name: dead, column: status";
    static const struct {
        const char *features, *want;
    } site[] = {
        {AGE SEX, "the study reads feature 'ca' (categorical: 0, 1, 2, 3), which this site's "
                  "cohort.yaml does not describe; add it under features:"},
        {SEX CA, "the study reads feature 'age' (continuous, 20 to 80.5 years), which"},
        {AGE CA, "the study reads feature 'sex' (binary: f, m), which"},
        {AGE SEX CA "- {name: bmi, type: continuous, range: [10, 60]}\n",
         "describes feature 'bmi', which the study does not read; take it out"},
        {AGE CA SEX, "feature 2 of the study is 'sex', of this site's cohort.yaml 'ca'; put its "
                     "features into the study's order"},
        {AGE SEX "- {name: ca, type: continuous, range: [0, 3]}\n",
         "feature 'ca' is categorical in the study and continuous in this site's"},
        {"- {name: age, type: continuous, unit: months, range: [20, 80.5], required: true}\n" SEX
             CA,
         "feature 'age' has the unit 'years' in the study and 'months'"},
        {"- {name: age, type: continuous, unit: years, range: [20, 80], required: true}\n" SEX CA,
         "has the range [20, 80.5] in the study and [20, 80]"},
        {"- {name: age, type: continuous, unit: years, range: [19, 80.5], required: true}\n" SEX CA,
         "has the range [20, 80.5] in the study and [19, 80.5]"},
        {AGE SEX "- {name: ca, type: categorical, categories: [0, 1, 3, 2]}\n",
         "has the categories 0, 1, 2, 3 in the study and 0, 1, 3, 2 in"},
        {AGE SEX "- {name: ca, type: categorical, categories: [0, 1, 2]}\n",
         "has the categories 0, 1, 2, 3 in the study and 0, 1, 2 in"},
        {AGE "- {name: sex, type: binary, categories: [m, f]}\n" CA,
         "has the categories f, m in the study and m, f in"},
        {"- {name: age, type: continuous, unit: years, range: [20, 80.5]}\n" SEX CA,
         "feature 'age' is required in the study, but not in this site's cohort.yaml; write "
         "`required: true` there"},
        {AGE "- {name: sex, type: binary, categories: [f, m], required: true}\n" CA,
         "feature 'sex' may be missing in the study, but not in this site's cohort.yaml; write "
         "`required: false` there"},
    };
    make_raw(document, features, solved_sigma());
    struct agreement a = verified();
    struct error err = {0};
    assert_int_equal(fits(&a, label, AGE SEX CA, &err), RC_OK);
    for (size_t i = 0; i < COUNT(site); i++) {
        const enum rc rc = fits(&a, label, site[i].features, &err);
        if (rc != RC_INVALID || strstr(err.text, site[i].want) == NULL) {
            fail_msg("%s '%s', want '%s'", rc_name(rc), err.text, site[i].want);
        }
    }
    assert_int_equal(fits(&a, "column: dead", AGE SEX CA, &err), RC_OK);
    assert_int_equal(fits(&a, "column: died", AGE SEX CA, &err), RC_INVALID);
    assert_string_equal(err.text,
                        "the study predicts 'dead' and this site's cohort.yaml 'died'; if they "
                        "mean the same, write `name: dead` under label:");
    agreement_release(&a);
    static const char classes[] =
        "label: {name: \"dead\", classes: [\"no\", \"early\", \"late\"]}\nfeatures:\n" AGE SEX CA;
    char bare[sizeof classes];
    (void)snprintf(bare, sizeof bare, "%s", classes);
    char *column = strstr(bare, " column: years,");
    memmove(column, column + strlen(" column: years,"),
            strlen(column + strlen(" column: years,")) + 1);
    make_raw(document, bare, solved_sigma());
    a = verified();
    assert_int_equal(fits(&a, label, AGE SEX CA, &err), RC_INVALID);
    assert_string_equal(err.text,
                        "the label 'dead' is one of 3 classes: no, early, late in the study, and "
                        "yes or no in this site's cohort.yaml; write under label: what the study "
                        "says, in its order");
    agreement_release(&a);
}

#define VITALS(window, form, variables) \
    "- {name: vitals, type: series, window: " window ", " form ", variables: [" variables "]"
#define HR     "{name: hr, unit: 1/min, range: [20, 220]}, {name: k, range: [2, 8]}"
#define XRAY   "- {name: xray, type: image, size: [8, 9]"
#define LETTER "- {name: letter, type: notes, tokens: 7, vocabulary: 99"
#define NONE   ", files: []}\n"

static void a_site_whose_modalities_differ_is_told_the_first_thing_to_change(void **state)
{
    (void)state;
    static const char *const label = "name: dead, column: status";
    static const char study[] =
        "label: {name: dead}\nfeatures:\n"
        "- {name: sex, type: binary, categories: [f, m]}\nmodalities:\n" VITALS(
            "[0, 48]", "grid: {steps: 4, fill: last}", HR) "}\n" XRAY "}\n" LETTER "}\n";
    static const char grid[] = VITALS("[0, 48]", "grid: {steps: 4, fill: last}", HR) NONE;
    static const struct {
        const char *series, *image, *notes, *want;
    } site[] = {
        {"", XRAY NONE, LETTER NONE, "reads modality 'vitals' (series), which this site's"},
        {grid, "- {name: xray, type: notes, tokens: 7, vocabulary: 9" NONE, LETTER NONE,
         "modality 'xray' is of type image in the study and notes in"},
        {VITALS("[0, 24]", "grid: {steps: 4, fill: last}", HR) NONE, XRAY NONE, LETTER NONE,
         "another `window` in the study than in this site's cohort.yaml; write `window: [0, 48]`"},
        {VITALS("[0, 48]", "events: 4", HR) NONE, XRAY NONE, LETTER NONE,
         "write `grid: {steps: 4, fill: last}` there"},
        {VITALS("[0, 48]", "grid: {steps: 4}", HR) NONE, XRAY NONE, LETTER NONE,
         "write `grid: {steps: 4, fill: last}` there"},
        {VITALS("[0, 48]", "grid: {steps: 4, fill: last}", "{name: hr, range: [0, 1]}") NONE,
         XRAY NONE, LETTER NONE, "has 2 variables in the study and 1 in"},
        {VITALS("[0, 48]", "grid: {steps: 4, fill: last}",
                "{name: k, range: [2, 8]}, {name: hr, unit: 1/min, range: [20, 220]}") NONE,
         XRAY NONE, LETTER NONE,
         "where the study has variable 'hr', this site's cohort.yaml has 'k'"},
        {VITALS("[0, 48]", "grid: {steps: 4, fill: last}",
                "{name: hr, unit: Hz, range: [20, 220]}, {name: k, range: [2, 8]}") NONE,
         XRAY NONE, LETTER NONE,
         "variable 'hr' of 'vitals' has the unit '1/min' in the study and 'Hz'"},
        {VITALS("[0, 48]", "grid: {steps: 4, fill: last}",
                "{name: hr, unit: 1/min, range: [20, 220]}, {name: k, range: [2, 9]}") NONE,
         XRAY NONE, LETTER NONE,
         "variable 'k' of 'vitals' has the range [2, 8] in the study and [2, 9]"},
        {grid, "- {name: xray, type: image, size: [9, 8]" NONE, LETTER NONE,
         "write `size: [8, 9]`"},
        {grid, XRAY ", standardise: false" NONE, LETTER NONE, "write `standardise: true`"},
        {grid, XRAY NONE, LETTER ", seed: 1" NONE,
         "write `tokens: 7, unit: words, vocabulary: 99, ngrams: 1, seed: 0` there"},
        {grid, XRAY NONE, LETTER NONE "- {name: more, type: image, size: [1, 1]" NONE,
         "describes modality 'more', which the study does not read"},
        {XRAY NONE, grid, LETTER NONE,
         "modality 1 of the study is 'vitals', of this site's cohort.yaml 'xray'"},
    };
    make_raw(document, study, solved_sigma());
    struct agreement a = verified();
    struct error err = {0};
    char text[4096];
    (void)snprintf(text, sizeof text, SEX "modalities:\n%s" XRAY NONE LETTER NONE, grid);
    assert_int_equal(fits(&a, label, text, &err), RC_OK);
    assert_int_equal(fits(&a, label, SEX, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "with `files: []` if this site has none"));
    for (size_t i = 0; i < COUNT(site); i++) {
        (void)snprintf(text, sizeof text, SEX "modalities:\n%s%s%s", site[i].series, site[i].image,
                       site[i].notes);
        const enum rc rc = fits(&a, label, text, &err);
        if (rc != RC_INVALID || strstr(err.text, site[i].want) == NULL) {
            fail_msg("%s '%s', want '%s'", rc_name(rc), err.text, site[i].want);
        }
    }
    agreement_release(&a);
}

/* Does site "a" fit, whose files are as given? */
static enum rc fits_site(const struct agreement *a, const char *files, const char **not_said,
                         struct error *err)
{
    char text[1024];
    struct schema own;
    (void)snprintf(
        text, sizeof text,
        "cohort: c\nfiles: [{path: a.csv, site: a}]\npatient: {column: id}\n"
        "label: {name: dead, column: status, positive: [1], negative: [0]}\nfeatures:\n" SEX
        "modalities:\n" LETTER ", columns: {patient: id, text: note}, files: %s}\n",
        files);
    memset(&issues, 0, sizeof issues);
    if (schema_parse("own", text, strlen(text), &own, &issues, err) != RC_OK) {
        fail_msg("%s", err->text);
    }
    const enum rc rc = agreement_fits_site(a, &own, "a", err);
    const char *name = agreement_not_said(a, &own, "a");
    *not_said = name == NULL ? NULL : "letter";
    assert_true(name == NULL || strcmp(name, "letter") == 0);
    schema_release(&own);
    return rc;
}

/* Two of three sites lack what no cohort has: without the cohort the words about few sites came first. */
static void a_modality_that_no_cohort_has_is_named_at_its_place(void **state)
{
    (void)state;
    static const char cohort[] =
        "cohort: c\nfiles: [{path: a.csv, site: a}]\npatient: {column: id}\n"
        "label: {name: dead, column: status, positive: [1], negative: [0]}\nfeatures:\n" SEX
        "modalities:\n" LETTER ", columns: {patient: id, text: note}, files: [{path: n.csv}]}\n";
    static const char study[] =
        "study: trial\nrounds: 5\nquorum: 2\nmin_sites: 2\n"
        "cohort: lacks_cohort.yaml\nmodel: {name: multimodal}\n"
        "local: {rate: 0.5}\nprivacy: {noise: none, epsilon: inf, clip: 1}\n"
        "sites:\n- {name: a, nominal: 100, lacks: [%s]}\n"
        "- {name: b, nominal: 50, lacks: [%s]}\n- {name: c, nominal: 50}\n";
    struct agreement a;
    struct error err = {0};
    struct schema schema = {0};
    char text[1024];
    write_text(in_folder("lacks_cohort.yaml"), cohort);
    (void)snprintf(text, sizeof text, study, "leter", "letter, leter");
    write_text(in_folder("lacks.yaml"), text);
    memset(&issues, 0, sizeof issues);
    assert_int_equal(agreement_open(in_folder("lacks.yaml"), NULL, &a, &issues, &err), RC_INVALID);
    assert_int_equal(issues.n, 2);
    assert_non_null(strstr(issues.line[0], "lacks.yaml:10:35: error: lacks: 'leter' is no modality "
                                           "of the cohort; there are: letter"));
    assert_non_null(strstr(issues.line[1], "lacks.yaml:11:42: error: lacks: 'leter' is no"));

    memset(&issues, 0, sizeof issues);
    assert_int_equal(schema_parse("own", cohort, strlen(cohort), &schema, &issues, &err), RC_OK);
    assert_int_equal(agreement_lacks_known_in(in_folder("lacks.yaml"), &schema, &issues, &err),
                     RC_INVALID);
    assert_int_equal(issues.n, 2);
    schema_release(&schema);

    (void)snprintf(text, sizeof text, study, "letter", ""); /* a modality, and two sites have it */
    write_text(in_folder("lacks.yaml"), text);
    memset(&issues, 0, sizeof issues);
    a = opened(in_folder("lacks.yaml"), NULL);
    agreement_release(&a);
}

static void a_site_is_told_where_the_study_is_wrong_about_what_it_lacks(void **state)
{
    (void)state;
    static const char study[] =
        "label: {name: dead}\nfeatures:\n"
        "- {name: sex, type: binary, categories: [f, m]}\nmodalities:\n" LETTER "}\n";
    static const struct {
        const char *lacks, *files;
        enum rc rc;
        bool not_said;
    } site[] = {
        {"", "[{path: n.csv}]", RC_OK, false},
        {"", "[]", RC_OK, true},
        {"", "[{path: n.csv, site: b}]", RC_OK, true}, /* not its own */
        {", lacks: [letter]", "[]", RC_OK, false},
        {", lacks: [letter]", "[{path: n.csv, site: b}]", RC_OK, false},
        {", lacks: [letter]", "[{path: n.csv}]", RC_INVALID, false},
        {", lacks: [letter]", "[{path: n.csv, site: a}]", RC_INVALID, false},
    };
    for (size_t i = 0; i < COUNT(site); i++) {
        char text[1024];
        struct error err = {0};
        const char *not_said = NULL;
        (void)snprintf(text, sizeof text,
                       "study: trial\nrounds: 5\nquorum: 1\nmin_sites: 1\n"
                       "model: {name: multimodal}\nlocal: {rate: 0.5, steps: 2}\n"
                       "privacy: {noise: site, epsilon: 2, delta: 1e-4, clip: 1.5}\n"
                       "sites: [{name: a, nominal: 100%s}, {name: b, nominal: 50}]\n",
                       site[i].lacks);
        make_raw(text, study, solved_sigma());
        struct agreement a = verified();
        assert_int_equal(fits_site(&a, site[i].files, &not_said, &err), site[i].rc);
        assert_int_equal(not_said != NULL, site[i].not_said);
        if (site[i].rc != RC_OK) {
            assert_non_null(strstr(err.text,
                                   "the study says that this site lacks 'letter', and "
                                   "its cohort.yaml names files of it; write `files: []`"));
        }
        (void)snprintf(a.study.site[0].name, sizeof a.study.site[0].name, "other");
        assert_int_equal(fits_site(&a, site[i].files, &not_said, &err), RC_INVALID);
        assert_non_null(strstr(err.text, "the study's roster has no site 'a'"));
        agreement_release(&a);
    }
}

static void a_study_with_hostile_names_cannot_write_to_a_terminal(void **state)
{
    (void)state;
    struct error err = {0};
    char text[1024];
    (void)snprintf(
        text, sizeof text,
        "label: {name: \"dead\"}\nfeatures:\n"
        "- {name: \"\\e[2J\\nok\\x9b\", type: binary, categories: [\"\\x07\", \"m\"]}\n");
    make_raw(document, text, solved_sigma());
    struct agreement a = verified();
    assert_int_equal(fits(&a, "column: dead", AGE, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "feature '?[2J?ok?\?' (binary: ?, m)"));
    agreement_release(&a);
}

static void a_long_list_of_categories_is_cut_where_it_says_so(void **state)
{
    (void)state;
    struct error err = {0};
    char text[4096] = "label: {name: \"dead\"}\nfeatures:\n"
                      "- {name: \"icd\", type: categorical, categories: [";
    for (size_t i = 0; i < 100; i++) {
        const size_t n = strlen(text);
        (void)snprintf(text + n, sizeof text - n, "%s\"code %zu\"", i > 0 ? ", " : "", i);
    }
    (void)snprintf(text + strlen(text), 8, "]}\n");
    make_raw(document, text, solved_sigma());
    struct agreement a = verified();
    assert_int_equal(fits(&a, "column: dead", AGE, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "code 0, code 1, "));
    assert_non_null(strstr(err.text, ", ...), which this site's cohort.yaml does not"));
    agreement_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_study_reaches_its_sites_as_it_was_opened),
        cmocka_unit_test(the_cohort_is_found_beside_the_document_or_where_one_says),
        cmocka_unit_test(a_study_that_cannot_be_offered_says_why),
        cmocka_unit_test(a_modality_that_no_cohort_has_is_named_at_its_place),
        cmocka_unit_test(a_study_too_large_to_travel_is_not_signed),
        cmocka_unit_test(an_agreement_with_any_byte_changed_or_missing_is_refused),
        cmocka_unit_test(only_the_trusted_coordinator_signs_studies_and_only_as_studies),
        cmocka_unit_test(a_signed_body_must_still_be_well_formed),
        cmocka_unit_test(the_signed_sigma_counts_and_not_the_solved_one),
        cmocka_unit_test(a_sigma_that_costs_more_than_the_study_states_is_refused),
        cmocka_unit_test(a_plan_reaches_its_sites_as_it_was_made),
        cmocka_unit_test(the_signed_plan_counts_if_it_is_one_of_the_rule),
        cmocka_unit_test(plan_and_document_must_want_each_other),
        cmocka_unit_test(without_noise_sigma_is_nothing_else_than_zero),
        cmocka_unit_test(a_site_that_differs_is_told_the_first_thing_to_change),
        cmocka_unit_test(a_site_whose_modalities_differ_is_told_the_first_thing_to_change),
        cmocka_unit_test(a_site_is_told_where_the_study_is_wrong_about_what_it_lacks),
        cmocka_unit_test(a_study_with_hostile_names_cannot_write_to_a_terminal),
        cmocka_unit_test(a_long_list_of_categories_is_cut_where_it_says_so),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
