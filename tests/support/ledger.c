#include "tests/support/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

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
