#include "tests/support/ledger.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/accountant/accountant.h"
#include "tests/support/folder.h"

static void must(enum rc rc, const struct error *err)
{
    if (rc != RC_OK) {
        fail_msg("%s", err->text);
    }
}

struct study test_ledger_study(const char *name, double q, double sigma)
{
    struct study s = {
        .local = {.steps = 3},
        .privacy = {.noise = STUDY_NOISE_SITE,
                    .epsilon = 4.0,
                    .delta = 1e-4,
                    .clip = 1.5,
                    .sample_rate = q,
                    .noise_multiplier = sigma},
        .rounds = 7,
        .quorum = 2,
        .min_sites = 2,
        .max_colluding = 1,
    };
    (void)snprintf(s.name, sizeof s.name, "%s", name);
    return s;
}

struct hash test_ledger_hash(const struct study *s)
{
    return hash_of(s->name, strlen(s->name));
}

struct ledger *test_ledger_open(const char *path, const struct ledger_policy *policy)
{
    struct error err = {0};
    struct ledger *l = NULL;
    must(ledger_open(path, policy, &l, &err), &err);
    return l;
}

void test_ledger_join(struct ledger *l, const struct study *s, int64_t now_ms)
{
    struct error err = {0};
    const struct hash h = test_ledger_hash(s);
    must(ledger_join(l, s, &h, 117, now_ms, &err), &err);
}

struct ledger_spend test_ledger_round(const struct study *s, uint64_t round, const char *update)
{
    return (struct ledger_spend){
        .study = test_ledger_hash(s),
        .round = round,
        .mechanism = {.q = s->privacy.sample_rate,
                      .sigma = s->privacy.noise_multiplier,
                      .steps = s->local.steps},
        .clip = s->privacy.clip,
        .cohort = hash_of("cohort", 6),
        .model = hash_of("model", 5),
        .update = update,
        .update_bytes = strlen(update),
        .site_state = "",
        .now_ms = 2000 + (int64_t)round,
    };
}

void test_ledger_spend(struct ledger *l, const struct ledger_spend *p)
{
    struct error err = {0};
    must(ledger_spend(l, p, &err), &err);
}

void test_ledger_remove(const char *path)
{
    static const char *const end[] = {"", "-wal", "-shm", ".mark", ".mark.new", ".old"};
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++) {
        char file[512];
        (void)snprintf(file, sizeof file, "%s%s", path, end[i]);
        (void)unlink(file);
    }
}

char test_ledger_folder[FOLDER_PATH_MAX];
char test_ledger_path[FOLDER_PATH_MAX + 16];

int test_ledger_make_folder(void **state)
{
    (void)state;
    const int rc = folder_make("ledger", test_ledger_folder);
    (void)snprintf(test_ledger_path, sizeof test_ledger_path, "%s/ledger.db", test_ledger_folder);
    return rc;
}

int test_ledger_remove_folder(void **state)
{
    (void)state;
    test_ledger_remove(test_ledger_path);
    return rmdir(test_ledger_folder);
}

const struct ledger_policy test_ledger_generous = {.max_epsilon_per_study = 100.0,
                                                   .max_epsilon_total = 1000.0,
                                                   .max_delta_per_study = 1e-3,
                                                   .min_patients = 20,
                                                   .min_sites = 1};

double test_ledger_cost(double q, double sigma, uint64_t steps, double delta)
{
    const struct mechanism m = {.q = q, .sigma = sigma, .steps = steps};
    return accountant_epsilon(&m, 1, delta);
}

void test_ledger_join_now(struct ledger *l, const struct study *s)
{
    test_ledger_join(l, s, 1000);
}

const char *const test_ledger_state = "adapters and momentum";

struct ledger_spend test_ledger_round_with_state(const struct study *s, uint64_t round,
                                                 const char *update)
{
    struct ledger_spend p = test_ledger_round(s, round, update);
    p.site_state = test_ledger_state;
    p.site_state_bytes = strlen(test_ledger_state);
    return p;
}

void test_ledger_spend_round(struct ledger *l, const struct study *s, uint64_t round,
                             const char *update)
{
    const struct ledger_spend p = test_ledger_round_with_state(s, round, update);
    test_ledger_spend(l, &p);
}

bool test_ledger_has(struct ledger *l, const struct study *s, uint64_t round, const char *want)
{
    struct error err = {0};
    const struct hash h = test_ledger_hash(s);
    const void *data = NULL;
    size_t n = 0;
    bool found = false;
    assert_int_equal(ledger_stored(l, &h, round, &found, &data, &n, &err), RC_OK);
    if (found && want != NULL) {
        assert_int_equal(n, strlen(want));
        assert_memory_equal(data, want, n);
    }
    return found;
}

uint64_t test_ledger_state_round(struct ledger *l, const struct study *s)
{
    struct error err = {0};
    const struct hash h = test_ledger_hash(s);
    const void *data = NULL;
    size_t n = 0;
    uint64_t round = 99;
    assert_int_equal(ledger_site_state(l, &h, &round, &data, &n, &err), RC_OK);
    if (round == 0) {
        assert_int_equal(n, 0);
    } else {
        assert_int_equal(n, strlen(test_ledger_state));
        assert_memory_equal(data, test_ledger_state, n);
    }
    return round;
}

double test_ledger_total(struct ledger *l, double delta)
{
    struct error err = {0};
    double e = -1.0;
    assert_int_equal(ledger_epsilon(l, NULL, delta, &e, &err), RC_OK);
    return e;
}

double test_ledger_of_study(struct ledger *l, const struct study *s, double delta)
{
    struct error err = {0};
    const struct hash h = test_ledger_hash(s);
    double e = -1.0;
    assert_int_equal(ledger_epsilon(l, &h, delta, &e, &err), RC_OK);
    return e;
}

/* Bit for bit: the two are the same question. */
void test_ledger_same_bits(double a, double b)
{
    assert_memory_equal(&a, &b, sizeof a);
}

/* 21 rounds of one step, five sites, of which at least four count and one may collude. */
struct study test_ledger_shared_study(void)
{
    struct study s = test_ledger_study("shared", 0.25, 1.9);
    s.local.steps = 1;
    s.rounds = 21;
    s.privacy.noise = STUDY_NOISE_SHARED;
    s.masked = true;
    s.min_sites = 4;
    s.max_colluding = 1;
    s.n_sites = 5;
    return s;
}

void test_ledger_see(void *ctx, const struct ledger_row *row)
{
    struct test_ledger_seen *s = ctx;
    s->row[s->n++] = *row;
}

const char *test_ledger_beside(const char *end)
{
    static char name[2][320];
    static size_t at;
    at = 1 - at;
    (void)snprintf(name[at], sizeof name[at], "%s%s", test_ledger_path, end);
    return name[at];
}

long long test_ledger_marked(void)
{
    long long newest = -1;
    FILE *f = fopen(test_ledger_beside(".mark"), "re");
    assert_non_null(f);
    for (long place = 0; place < 2; place++) { /* of 512 bytes, the second one perhaps empty */
        long long n = -1;
        assert_int_equal(fseek(f, place * 512, SEEK_SET), 0);
        if (fscanf(f, "wardround ledger mark 2 study %*d %*[0-9a-f] spend %lld %*[0-9a-f]", &n) ==
            1) {
            newest = n > newest ? n : newest;
        }
    }
    (void)fclose(f);
    assert_true(newest >= 0);
    return newest;
}
