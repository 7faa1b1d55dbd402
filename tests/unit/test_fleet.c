/* Whole studies on a virtual clock, and every party killed between any two events of one. */
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
#include <dirent.h>

#include "aggregator/merge/merge.h"
#include "common/base/replay.h"
#include "sim/fleet/fleet.h"
#include "tests/support/cohort.h"
#include "tests/support/study.h"

enum { SITES = 4, ROUNDS = 3 };
#define NOBODY (SIZE_MAX - 1)

struct world {
    struct schema schema;
    struct study study;
    struct study_site site[SITES];
    struct model model;
    struct dataset *data[SITES];
    struct ledger_policy policy[SITES];
    char folder[64];
    /* what was seen leaving: one hash for each (site, round), and how often */
    struct hash released[SITES][ROUNDS + 1];
    size_t times[SITES][ROUNDS + 1];
    bool two_updates, without_row, after_the_end;
    size_t ledgers_open; /* of fleet_params */
    size_t desks;        /* so, too */
    size_t threads;      /* train_threads */
    bool lent;           /* patients are there only while their site trains */
    size_t most_open;    /* ledgers that this process had open when an update left */
    /* what was seen committed: how often, and of the newest the model and a site's state */
    size_t commits[ROUNDS + 1];
    uint64_t newest;
    struct hash model_then, state_then[SITES];
};

static const char *const names[SITES] = {"a", "b", "c", "d"};

static void world_init(struct world *w, enum study_noise noise)
{
    struct error err = {0};
    *w = (struct world){0};
    test_schema(&w->schema);
    w->study = test_study(names, SITES, w->site);
    w->study.model = (struct study_model){.name = "mlp",
                                          .n_hidden = 1,
                                          .hidden = {4},
                                          .embedding = 2,
                                          .activation = "tanh",
                                          .adapter = 2};
    w->study.local.rate = w->study.local.momentum = 0.5;
    w->study.local.steps = 2;
    w->study.privacy = (struct study_privacy){.noise = noise,
                                              .epsilon = noise == STUDY_NOISE_NONE ? HUGE_VAL : 2.0,
                                              .delta = noise == STUDY_NOISE_NONE ? 0.0 : 1e-3,
                                              .clip = 1.0,
                                              .sample_rate = 0.7};
    w->study.seed = 3;
    w->study.rounds = ROUNDS;
    w->study.quorum = w->study.min_sites = 3;
    for (size_t i = 0; i < SITES; i++) {
        w->site[i].nominal = 20;
        w->data[i] = test_dataset(&w->schema, names[i], 18 + i, 40 + i, SIZE_MAX);
        w->policy[i] = (struct ledger_policy){.max_epsilon_per_study = HUGE_VAL,
                                              .max_epsilon_total = HUGE_VAL,
                                              .max_delta_per_study = 0.01,
                                              .min_patients = 1,
                                              .min_sites = 1};
    }
    static double solved; /* the same in every noisy world: solved once */
    if (noise == STUDY_NOISE_NONE || solved == 0.0) {
        assert_int_equal(study_plan(&w->study, &err), RC_OK);
        solved = noise == STUDY_NOISE_NONE ? solved : w->study.privacy.noise_multiplier;
    }
    w->study.privacy.noise_multiplier = noise == STUDY_NOISE_NONE ? 0.0 : solved;
    assert_int_equal(model_open(&w->study.model, &w->schema, &w->model, &err), RC_OK);
}

static void world_release(struct world *w)
{
    for (size_t i = 0; i < SITES; i++) {
        dataset_close(&w->data[i]);
    }
    model_release(&w->model);
    schema_release(&w->schema);
}

/* A fresh folder for ledgers and registry. */
static void folder_make(struct world *w)
{
    const char *tmp = getenv("TMPDIR");
    /* In memory where there is room: two thousand worlds of commits would wait for a disk. */
    tmp = tmp == NULL ? (access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") : tmp;
    (void)snprintf(w->folder, sizeof w->folder, "%s/fleet-XXXXXX", tmp);
    assert_non_null(mkdtemp(w->folder));
}

static void folder_drop(struct world *w)
{
    DIR *d = opendir(w->folder);
    assert_non_null(d);
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        char path[512];
        if (e->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/%s", w->folder, e->d_name);
            (void)unlink(path);
        }
    }
    (void)closedir(d);
    assert_int_equal(rmdir(w->folder), 0);
}

/* Ledgers that this process has open: SQLite may have one of them twice, if somebody has just looked. */
static size_t open_ledgers(const struct world *w)
{
    bool open[SITES] = {false};
    size_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        char path[300];
        char ledger[512];
        char target[512] = "";
        (void)snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
        if (readlink(path, target, sizeof target - 1) < 0) {
            continue;
        }
        for (size_t i = 0; i < SITES; i++) {
            fleet_ledger_path(w->folder, names[i], ledger);
            open[i] = open[i] || strcmp(target, ledger) == 0;
        }
    }
    (void)closedir(d);
    for (size_t i = 0; i < SITES; i++) {
        n += open[i];
    }
    return n;
}

/* Looks into the site's ledger as another reader would, at the moment the update leaves. */
static void seen_leaving(void *ctx, size_t site, uint64_t round, const void *update, size_t n)
{
    struct world *w = ctx;
    const struct hash h = hash_of(update, n);
    if (w->times[site][round]++ > 0 && !hash_equal(&h, &w->released[site][round])) {
        w->two_updates = true;
    }
    w->released[site][round] = h;
    if (w->folder[0] == '\0') {
        return;
    }
    if (w->ledgers_open > 0 && open_ledgers(w) > w->most_open) {
        w->most_open = open_ledgers(w);
    }
    struct error err = {0};
    struct ledger *l = NULL;
    char path[512];
    const struct hash schema = schema_hash(&w->schema);
    const struct hash study = study_hash(&w->study, &schema);
    const void *bytes = NULL;
    size_t stored = 0;
    bool found = false;
    fleet_ledger_path(w->folder, names[site], path);
    if (ledger_open(path, &w->policy[site], &l, &err) != RC_OK ||
        ledger_stored(l, &study, round, &found, &bytes, &stored, &err) != RC_OK || !found ||
        stored != n || memcmp(bytes, update, n) != 0) {
        w->without_row = true;
    }
    struct ledger_forecast f = {0};
    if (l != NULL && (ledger_what_if(l, &w->study, &study, 20, &f, &err) != RC_OK ||
                      strstr(f.reason, "has ended") != NULL)) {
        w->after_the_end = true;
    }
    ledger_close(&l);
}

static enum rc seen_committed(void *ctx, struct fleet *f, uint64_t round, const real *model,
                              struct error *err)
{
    struct world *w = ctx;
    w->commits[round]++;
    assert_true(round > w->newest);
    w->newest = round;
    w->model_then = hash_of(model, w->model.table.S * sizeof *model);
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < SITES; i++) {
        const void *state = NULL;
        size_t n = 0;
        rc = fleet_state(f, i, &state, &n, err);
        w->state_then[i] = hash_of(state, n);
    }
    return rc;
}

/* Each round that is finished was seen once, the last with what the study ends with. */
static void commits_were_seen(const struct world *w, const struct fleet_result *r)
{
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        assert_int_equal(w->commits[round], round <= r->rounds ? 1 : 0);
    }
    if (r->rounds > 0) {
        const struct hash model = hash_of(r->model, w->model.table.S * sizeof *r->model);
        assert_true(hash_equal(&model, &w->model_then));
    }
    for (size_t i = 0; r->done && i < SITES; i++) {
        const struct hash state = hash_of(r->site[i].state, r->site[i].state_bytes);
        assert_true(!r->site[i].contributed || hash_equal(&state, &w->state_then[i]));
    }
}

/* Kills and decisions of one world. */
struct day {
    const struct fleet_kill *kill;
    size_t n_kills;
    const struct fleet_decision *decision;
    size_t n_decisions;
};

/* As if they came from elsewhere; no site has more than 64. */
static enum rc lend(void *ctx, size_t site, struct dataset **out, struct error *err)
{
    const struct dataset *d = ((const struct world *)ctx)->data[site];
    size_t all[64];
    for (size_t p = 0; p < d->n_patients; p++) {
        all[p] = p;
    }
    const enum rc rc = dataset_pick(d, all, d->n_patients, out, err);
    if (rc == RC_OK) {
        (*out)->version = d->version;
    }
    return rc;
}

static void run_day(struct world *w, const struct day *day, struct fleet_result *out)
{
    struct error err = {0};
    size_t n_patients[SITES];
    for (size_t i = 0; i < SITES; i++) {
        n_patients[i] = w->data[i]->n_patients;
    }
    const struct fleet_params p = {
        .study = &w->study,
        .schema = &w->schema,
        .model = &w->model,
        .data = w->lent ? NULL : (const struct dataset *const *)w->data,
        .cohorts = {.ctx = w, .n_patients = n_patients, .open = lend},
        .policy = w->policy,
        .folder = w->folder[0] == '\0' ? NULL : w->folder,
        .ledgers_open = w->ledgers_open,
        .desks = w->desks,
        .train_threads = w->threads,
        .seed = 5,
        .kill = day->kill,
        .n_kills = day->n_kills,
        .decision = day->decision,
        .n_decisions = day->n_decisions,
        .watch = {.ctx = w, .release = seen_leaving, .committed = seen_committed}};
    memset(w->commits, 0, sizeof w->commits);
    w->newest = 0;
    const enum rc rc = fleet_run(&p, out, &err);
    if (rc != RC_OK) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, RC_OK);
    commits_were_seen(w, out);
}

static void run(struct world *w, const struct fleet_kill *kill, size_t n_kills,
                struct fleet_result *out)
{
    run_day(w, &(struct day){.kill = kill, .n_kills = n_kills}, out);
}

static void an_undisturbed_study_ends_with_everybody_in_it(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result r = {0};
    world_init(&w, STUDY_NOISE_SITE);
    run(&w, NULL, 0, &r);
    assert_true(r.done);
    assert_int_equal(r.rounds, ROUNDS);
    assert_int_equal(r.contributors, SITES);
    assert_int_equal(r.refused, 0);
    for (size_t i = 0; i < SITES; i++) {
        assert_true(r.site[i].epsilon_spent <= 2.0);
        assert_true(r.site[i].epsilon_spent > 1.99);
        for (size_t round = 1; round <= ROUNDS; round++) {
            assert_int_equal(w.times[i][round], 1);
        }
    }
    fleet_result_release(&r);
    world_release(&w);
}

/* The oracle: the same study as a plain loop, without machines, ledger or queue. */
static void is_the_plain_loop(struct world *world)
{
    struct error err = {0};
    struct world w = *world;
    struct fleet_result r = {0};
    struct merge *merge = NULL;
    struct train_result kept[SITES] = {{0}};
    const size_t S = w.model.table.S;
    real *model = calloc(w.model.table.P, sizeof *model);
    unsigned char *server = calloc(1, merge_state_bytes(&w.study, S) + 1);
    param_init_values(&w.model.table, w.study.seed, model);
    assert_int_equal(merge_open(&w.study, w.model.span, S, &merge, &err), RC_OK);
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        merge_restart(merge);
        for (size_t i = 0; i < SITES; i++) {
            struct entropy e;
            struct train_result next = {0};
            const struct train_job job = {.study = &w.study,
                                          .model = &w.model,
                                          .data = w.data[i],
                                          .site = i,
                                          .round = round,
                                          .global = model,
                                          .site_state = kept[i].site_state,
                                          .site_state_bytes = kept[i].site_state_bytes};
            replay_init(&e, 1, "not drawn from");
            assert_int_equal(train_round(&job, &e, &next, &err), RC_OK);
            train_result_release(&kept[i]);
            kept[i] = next;
            assert_int_equal(merge_add(merge, i, next.update, next.update_bytes, &err), RC_OK);
        }
        assert_false(merge_again(merge));
        assert_int_equal(
            merge_finish(merge, round, model, server, merge_state_bytes(&w.study, S), &err), RC_OK);
    }
    run(&w, NULL, 0, &r);
    assert_int_equal(r.contributors, SITES);
    assert_memory_equal(r.model, model, S * sizeof *model);
    for (size_t i = 0; i < SITES; i++) {
        assert_int_equal(r.site[i].state_bytes, kept[i].site_state_bytes);
        assert_memory_equal(r.site[i].state, kept[i].site_state, kept[i].site_state_bytes);
        train_result_release(&kept[i]);
    }
    free(model);
    free(server);
    merge_close(&merge);
    fleet_result_release(&r);
}

static void a_study_is_the_plain_loop_of_training_and_merging(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, STUDY_NOISE_NONE);
    is_the_plain_loop(&w);
    world_release(&w);
}

/* What has state between rounds, at the site and at the server, and a mean of single updates. */
static void ask_for_more(struct study *s)
{
    s->local.optimiser = STUDY_ADAMW;
    s->local.rate = 0.05;
    s->local.beta1 = 0.9;
    s->local.beta2 = 0.99;
    s->local.epsilon = 1e-8;
    s->local.weight_decay = 0.1;
    s->local.schedule = STUDY_COSINE;
    s->local.warmup_steps = 2;
    s->local.proximal = 0.1;
    s->server.rule = STUDY_FEDYOGI;
    s->server.combine = STUDY_TRIMMED_MEAN;
    s->server.trim = 1;
    s->server.rate = 0.1;
    s->server.beta1 = 0.9;
    s->server.beta2 = 0.99;
    s->server.epsilon = 1e-3;
    s->server.average_iterates = true;
}

static void so_it_is_with_adamw_fedyogi_and_a_trimmed_mean(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, STUDY_NOISE_NONE);
    ask_for_more(&w.study);
    is_the_plain_loop(&w);
    world_release(&w);
}

static void the_same_parameters_give_the_same_bytes(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result a = {0};
    struct fleet_result b = {0};
    world_init(&w, STUDY_NOISE_SITE);
    run(&w, NULL, 0, &a);
    run(&w, NULL, 0, &b);
    assert_memory_equal(a.model, b.model, w.model.table.S * sizeof(real));
    fleet_result_release(&a);
    fleet_result_release(&b);
    world_release(&w);
}

static void a_study_on_disk_is_the_study_in_memory(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result a = {0};
    struct fleet_result b = {0};
    world_init(&w, STUDY_NOISE_NONE);
    run(&w, NULL, 0, &a);
    folder_make(&w);
    run(&w, NULL, 0, &b);
    assert_memory_equal(a.model, b.model, w.model.table.S * sizeof(real));
    folder_drop(&w);
    fleet_result_release(&a);
    fleet_result_release(&b);
    world_release(&w);
}

static void few_open_ledgers_change_no_byte(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result a = {0};
    world_init(&w, STUDY_NOISE_SITE);
    run(&w, NULL, 0, &a);
    for (w.ledgers_open = 1; w.ledgers_open < SITES; w.ledgers_open++) {
        struct fleet_result b = {0};
        w.most_open = 0;
        folder_make(&w);
        run(&w, NULL, 0, &b);
        assert_true(b.done);
        assert_int_equal(b.events, a.events);
        assert_memory_equal(a.model, b.model, w.model.table.S * sizeof(real));
        for (size_t i = 0; i < SITES; i++) {
            assert_true(a.site[i].epsilon_spent == b.site[i].epsilon_spent);
            assert_int_equal(a.site[i].state_bytes, b.site[i].state_bytes);
            assert_memory_equal(a.site[i].state, b.site[i].state, a.site[i].state_bytes);
        }
        assert_int_equal(w.most_open, w.ledgers_open);
        assert_false(w.without_row);
        folder_drop(&w);
        fleet_result_release(&b);
        w.folder[0] = '\0';
    }
    fleet_result_release(&a);
    world_release(&w);
}

static void a_site_whose_policy_is_stricter_declines_and_the_others_go_on(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result r = {0};
    world_init(&w, STUDY_NOISE_SITE);
    w.policy[2].max_epsilon_per_study = 1.0;
    w.policy[2].max_epsilon_total = 6.0;
    run(&w, NULL, 0, &r);
    assert_true(r.done);
    assert_int_equal(r.contributors, SITES - 1);
    assert_non_null(strstr(r.site[2].declined, "epsilon 2.00 (at most 1.00)"));
    assert_non_null(strstr(r.site[2].declined, "left"));
    assert_null(strchr(r.site[2].declined, '\n'));
    assert_true(r.site[2].epsilon_spent == 0.0);
    assert_int_equal(w.times[2][1], 0);
    fleet_result_release(&r);
    world_release(&w);
}

static enum rc no_more(void *ctx, struct fleet *f, uint64_t round, const real *model,
                       struct error *err)
{
    (void)ctx;
    (void)f;
    (void)model;
    return round < 2 ? RC_OK : error_set(err, RC_NOMEM, "seen enough");
}

static void who_watches_can_end_the_world(void **state)
{
    (void)state;
    struct world w;
    struct error err = {0};
    struct fleet_result r = {0};
    world_init(&w, STUDY_NOISE_NONE);
    const struct fleet_params p = {.study = &w.study,
                                   .schema = &w.schema,
                                   .model = &w.model,
                                   .data = (const struct dataset *const *)w.data,
                                   .policy = w.policy,
                                   .watch = {.committed = no_more}};
    assert_int_equal(fleet_run(&p, &r, &err), RC_NOMEM);
    assert_string_equal(err.text, "seen enough");
    assert_null(r.model);
    world_release(&w);
}

static void below_quorum_the_study_fails_and_says_so(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result r = {0};
    world_init(&w, STUDY_NOISE_SITE);
    w.policy[1].max_epsilon_per_study = 1.0;
    w.policy[2].min_patients = 1000;
    run(&w, NULL, 0, &r);
    assert_false(r.done);
    assert_int_equal(r.rounds, 0);
    assert_non_null(strstr(r.reason, "quorum is 3"));
    for (size_t i = 0; i < SITES; i++) {
        assert_true(r.site[i].epsilon_spent ==
                    0.0); /* nothing was spent on a study that never was */
    }
    fleet_result_release(&r);
    world_release(&w);
}

static void a_study_that_diverges_says_where_and_what_to_lower(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result r = {0};
    world_init(&w, STUDY_NOISE_NONE);
    w.study.local.rate = 1e30;
    run(&w, NULL, 0, &r);
    assert_false(r.done);
    assert_non_null(
        strstr(r.reason, "0 of 4 contributed, quorum is 3; the update was not finite at "));
    for (size_t i = 0; i < SITES; i++) {
        assert_non_null(strstr(r.reason, w.study.site[i].name));
    }
    assert_non_null(strstr(r.reason, ": lower local.rate"));
    fleet_result_release(&r);
    world_release(&w);
}

static void of_many_that_diverge_the_first_are_named(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result r = {0};
    world_init(&w, STUDY_NOISE_NONE);
    w.study.local.rate = 1e30;
    for (size_t i = 0; i < SITES; i++) {
        memset(w.site[i].name, 'a' + (int)i, STUDY_NAME_MAX - 1);
    }
    run(&w, NULL, 0, &r);
    assert_false(r.done);
    assert_non_null(strstr(r.reason, w.study.site[0].name));
    assert_non_null(strstr(r.reason, "a and 3 more: lower local.rate"));
    fleet_result_release(&r);
    world_release(&w);
}

/* Whether sites ask their ledgers one after another or together, with room for all or for one, and train together
 * on patients of their own or on such as they are lent. */
static void sites_at_their_desks_change_no_byte(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result calm = {0};
    world_init(&w, STUDY_NOISE_SITE);
    run(&w, NULL, 0, &calm);
    const size_t S = w.model.table.S;
    world_release(&w);
    for (size_t open = 0; open <= 3; open++) {
        struct fleet_result r = {0};
        world_init(&w, STUDY_NOISE_SITE);
        folder_make(&w);
        w.ledgers_open = open;
        w.desks = open < 3 ? 3 : 0;
        w.threads = open;
        w.lent = open != 1;
        run(&w, NULL, 0, &r);
        assert_memory_equal(r.model, calm.model, S * sizeof(real));
        assert_int_equal(r.events, calm.events);
        assert_int_equal(r.refused, 0);
        assert_false(w.without_row);
        assert_false(w.two_updates);
        for (size_t i = 0; i < SITES; i++) {
            assert_true(r.site[i].epsilon_spent == calm.site[i].epsilon_spent);
            assert_int_equal(r.site[i].state_bytes, calm.site[i].state_bytes);
            assert_memory_equal(r.site[i].state, calm.site[i].state, calm.site[i].state_bytes);
            assert_true(r.site[i].contributed);
        }
        fleet_result_release(&r);
        folder_drop(&w);
        world_release(&w);
    }
    fleet_result_release(&calm);
}

/* Of those who decline together each says why, in the roster's order. */
static void a_site_that_declines_at_its_desk_says_so(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result r = {0};
    world_init(&w, STUDY_NOISE_SITE);
    folder_make(&w);
    w.ledgers_open = 2;
    w.desks = 4;
    w.policy[2].max_epsilon_per_study = 1.0;
    run(&w, NULL, 0, &r);
    assert_true(r.done);
    assert_int_equal(r.contributors, SITES - 1);
    assert_non_null(strstr(r.site[2].declined, "epsilon"));
    assert_string_equal(r.site[1].declined, "");
    fleet_result_release(&r);
    folder_drop(&w);
    world_release(&w);
}

/* Rounds of two of the four. */
static void sampled_init(struct world *w, enum study_noise noise)
{
    world_init(w, noise);
    w->study.sites_per_round = w->study.quorum = w->study.min_sites = 2;
}

static void a_site_that_is_not_drawn_neither_trains_nor_spends(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result r = {0};
    sampled_init(&w, STUDY_NOISE_SITE);
    folder_make(&w);
    run(&w, NULL, 0, &r);
    assert_true(r.done);
    assert_int_equal(r.contributors, 2);
    assert_int_equal(r.refused, 0);
    size_t rested = 0;
    for (size_t i = 0; i < SITES; i++) {
        struct error err = {0};
        struct ledger *l = NULL;
        const struct hash schema = schema_hash(&w.schema);
        const struct hash study = study_hash(&w.study, &schema);
        char path[512];
        double once = 0.0;
        size_t times = 0;
        fleet_ledger_path(w.folder, names[i], path);
        assert_int_equal(ledger_open(path, &w.policy[i], &l, &err), RC_OK);
        for (size_t round = 1; round <= ROUNDS; round++) {
            const void *bytes;
            size_t n;
            bool found = false;
            times += w.times[i][round];
            assert_int_equal(ledger_stored(l, &study, round, &found, &bytes, &n, &err), RC_OK);
            assert_int_equal(found, w.times[i][round] == 1);
        }
        assert_int_equal(ledger_epsilon(l, &study, w.study.privacy.delta, &once, &err), RC_OK);
        assert_true(once == r.site[i].epsilon_spent);
        assert_true(times < ROUNDS ? once < 1.99 : once <= 2.0); /* planned for every round */
        assert_true((times == 0) == !(once > 0.0));
        rested += ROUNDS - times;
        ledger_close(&l);
    }
    assert_int_equal(rested, ROUNDS * (SITES - 2));
    folder_drop(&w);
    fleet_result_release(&r);
    world_release(&w);
}

static void killed_anywhere_the_same_sites_are_drawn_and_the_model_is_the_same(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result calm = {0};
    sampled_init(&w, STUDY_NOISE_NONE);
    run(&w, NULL, 0, &calm);
    world_release(&w);
    assert_true(calm.done);
    for (uint64_t after = 0; after <= calm.events; after += 3) {
        struct fleet_result r = {0};
        const struct fleet_kill kill = {after, after % 2 == 0 ? FLEET_COORDINATOR : after % SITES};
        sampled_init(&w, STUDY_NOISE_NONE);
        folder_make(&w);
        run(&w, &kill, 1, &r);
        assert_true(r.done);
        assert_memory_equal(r.model, calm.model, w.model.table.S * sizeof(real));
        assert_false(w.two_updates);
        assert_false(w.without_row);
        fleet_result_release(&r);
        folder_drop(&w);
        world_release(&w);
    }
    fleet_result_release(&calm);
}

/* What a what-if says before is what the ledger says after. */
static void what_was_foretold_is_what_the_ledger_says(void **state)
{
    (void)state;
    struct error err = {0};
    struct world w;
    struct fleet_result r = {0};
    struct ledger *l = NULL;
    struct ledger_forecast f = {0};
    char path[512];
    double after = 0.0;
    double study_after = 0.0;
    world_init(&w, STUDY_NOISE_SITE);
    folder_make(&w);
    const struct hash schema = schema_hash(&w.schema);
    const struct hash study = study_hash(&w.study, &schema);
    fleet_ledger_path(w.folder, names[1], path);
    assert_int_equal(ledger_open(path, &w.policy[1], &l, &err), RC_OK);
    assert_int_equal(ledger_what_if(l, &w.study, &study, w.data[1]->n_patients, &f, &err), RC_OK);
    ledger_close(&l);
    run(&w, NULL, 0, &r);
    assert_int_equal(ledger_open(path, &w.policy[1], &l, &err), RC_OK);
    assert_int_equal(ledger_epsilon(l, NULL, w.policy[1].max_delta_per_study, &after, &err), RC_OK);
    assert_int_equal(ledger_epsilon(l, &study, w.study.privacy.delta, &study_after, &err), RC_OK);
    assert_true(f.allowed);
    assert_true(f.epsilon_after == after);
    assert_true(f.epsilon_study == study_after);
    assert_true(r.site[1].epsilon_spent == study_after);
    ledger_close(&l);
    folder_drop(&w);
    fleet_result_release(&r);
    world_release(&w);
}

/* A study that ended early gives back what it had been promised and did not use. */
static void a_failed_study_leaves_no_promise_behind(void **state)
{
    (void)state;
    struct error err = {0};
    struct world w;
    struct fleet_result r = {0};
    struct ledger *l = NULL;
    struct ledger_forecast f = {0};
    char path[512];
    world_init(&w, STUDY_NOISE_SITE);
    folder_make(&w);
    w.policy[1].max_epsilon_per_study = 1.0; /* these two decline, and quorum is 3 */
    w.policy[2].max_epsilon_per_study = 1.0;
    w.policy[0].max_epsilon_total = 2.5; /* room for one such study, not for two */
    w.policy[0].max_delta_per_study = w.study.privacy.delta;
    run(&w, NULL, 0, &r);
    assert_false(r.done);
    fleet_ledger_path(w.folder, names[0], path);
    assert_int_equal(ledger_open(path, &w.policy[0], &l, &err), RC_OK);
    (void)snprintf(w.study.name, sizeof w.study.name, "next");
    const struct hash schema = schema_hash(&w.schema);
    const struct hash study = study_hash(&w.study, &schema);
    assert_int_equal(ledger_what_if(l, &w.study, &study, w.data[0]->n_patients, &f, &err), RC_OK);
    assert_true(f.allowed);
    ledger_close(&l);
    folder_drop(&w);
    fleet_result_release(&r);
    world_release(&w);
}

/* ---- people decide in mid-study -------------------------------------------------------------- */

/* The site's ledger as another reader finds it: what left is there, and no more can be spent. */
static void ledger_has_ended(struct world *w, size_t site)
{
    struct error err = {0};
    struct ledger *l = NULL;
    char path[512];
    const struct hash schema = schema_hash(&w->schema);
    const struct hash study = study_hash(&w->study, &schema);
    struct ledger_forecast f = {0};
    fleet_ledger_path(w->folder, names[site], path);
    assert_int_equal(ledger_open(path, &w->policy[site], &l, &err), RC_OK);
    assert_int_equal(ledger_what_if(l, &w->study, &study, 18 + site, &f, &err), RC_OK);
    assert_true(f.epsilon_promised == f.epsilon_spent); /* what was left is free again */
    for (size_t round = 1; round <= ROUNDS; round++) {
        const void *bytes = NULL;
        size_t n = 0;
        bool found = false;
        assert_int_equal(ledger_stored(l, &study, round, &found, &bytes, &n, &err), RC_OK);
        assert_true(found || w->times[site][round] == 0);
        const struct ledger_spend more = {.study = study,
                                          .round = round,
                                          .mechanism = {.q = 0.7, .sigma = 1.0, .steps = 2},
                                          .update = "u",
                                          .update_bytes = 1,
                                          .site_state = "s",
                                          .site_state_bytes = 1};
        assert_int_equal(ledger_spend(l, &more, &err), RC_STATE);
    }
    ledger_close(&l);
}

/* One of very many worlds. With noise everybody is in every step: that is accounted in closed form, and a
 * thousand worlds ask for epsilon ten thousand times. */
static void one_world_init(struct world *w, enum study_noise noise)
{
    struct error err = {0};
    world_init(w, noise);
    if (noise == STUDY_NOISE_SITE) {
        w->study.privacy.sample_rate = 1.0;
        assert_int_equal(study_plan(&w->study, &err), RC_OK);
    }
}

/* A world with one decision and perhaps a kill right after it. */
static void run_decided(struct world *w, enum study_noise noise,
                        const struct fleet_decision *decision, size_t killed,
                        struct fleet_result *r)
{
    const struct fleet_kill kill = {decision->after, killed};
    one_world_init(w, noise);
    folder_make(w);
    run_day(w,
            &(struct day){.kill = &kill,
                          .n_kills = killed == NOBODY ? 0 : 1,
                          .decision = decision,
                          .n_decisions = 1},
            r);
    assert_false(w->two_updates);
    assert_false(w->without_row);
    assert_false(w->after_the_end);
    for (size_t i = 0; i < SITES; i++) {
        ledger_has_ended(w, i);
    }
}

static uint64_t events_of_a_calm_study(void)
{
    struct world w;
    struct fleet_result r = {0};
    world_init(&w, STUDY_NOISE_SITE);
    run(&w, NULL, 0, &r);
    const uint64_t events = r.events;
    fleet_result_release(&r);
    world_release(&w);
    return events;
}

static void a_site_that_withdraws_releases_nothing_more_and_the_others_go_on(void **state)
{
    (void)state;
    enum { LEAVING = 1 };
    static const size_t killed[] = {NOBODY, LEAVING, FLEET_COORDINATOR};
    const uint64_t events = events_of_a_calm_study();
    size_t most = 0;
    size_t in_the_last = 0;
    for (size_t k = 0; k < sizeof killed / sizeof killed[0]; k++) {
        for (uint64_t after = 1; after <= events; after += killed[k] == NOBODY ? 2 : 3) {
            struct world w;
            struct fleet_result r = {0};
            const struct fleet_decision leaves = {after, LEAVING};
            size_t left = 0;
            run_decided(&w, killed[k] == NOBODY ? STUDY_NOISE_SITE : STUDY_NOISE_NONE, &leaves,
                        killed[k], &r);
            assert_true(r.done); /* quorum is 3 of 4 */
            for (size_t i = 0; i < SITES; i++) {
                assert_true(i == LEAVING || r.site[i].contributed);
            }
            for (size_t round = 1; round <= ROUNDS; round++) {
                left += w.times[LEAVING][round] > 0;
            }
            assert_true(killed[k] != NOBODY || left >= most); /* later decided, no fewer gone */
            most = left > most ? left : most;
            in_the_last += r.site[LEAVING].contributed;
            assert_true(left == 0 || r.site[LEAVING].epsilon_spent > 0.0); /* and stays spent */
            if (r.site[LEAVING].declined[0] != '\0') {
                assert_non_null(strstr(r.site[LEAVING].declined, "has withdrawn"));
            }
            fleet_result_release(&r);
            folder_drop(&w);
            world_release(&w);
        }
    }
    assert_int_equal(most, ROUNDS); /* too late to matter, and early enough to: both were met */
    assert_true(in_the_last > 0);
    assert_true(in_the_last < events);
}

static void a_withdrawal_below_quorum_fails_the_study(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result r = {0};
    const struct fleet_decision leave[] = {{30, 0}, {31, 3}};
    world_init(&w, STUDY_NOISE_SITE);
    folder_make(&w);
    run_day(&w, &(struct day){.decision = leave, .n_decisions = 2}, &r);
    assert_false(r.done);
    assert_non_null(strstr(r.reason, "quorum is 3"));
    assert_false(w.after_the_end);
    fleet_result_release(&r);
    folder_drop(&w);
    world_release(&w);
}

static void a_study_that_is_stopped_ends_everywhere_and_says_so(void **state)
{
    (void)state;
    static const size_t killed[] = {NOBODY, 2, FLEET_COORDINATOR};
    const uint64_t events = events_of_a_calm_study();
    uint64_t rounds = 0;
    size_t too_late = 0;
    for (size_t k = 0; k < sizeof killed / sizeof killed[0]; k++) {
        for (uint64_t after = 1; after < events; after += killed[k] == NOBODY ? 1 : 3) {
            struct world w;
            struct fleet_result r = {0};
            const struct fleet_decision stop = {after, FLEET_COORDINATOR};
            run_decided(&w, STUDY_NOISE_NONE, &stop, killed[k], &r);
            assert_true(r.done == (r.rounds == ROUNDS)); /* a model that is there was announced */
            if (!r.done) {
                assert_string_equal(r.reason, "stopped by the coordinator's people");
            }
            too_late += r.done;
            rounds = r.done || r.rounds < rounds ? rounds : r.rounds;
            fleet_result_release(&r);
            folder_drop(&w);
            world_release(&w);
        }
    }
    assert_int_equal(rounds, ROUNDS - 1); /* stopped in every round, and after the last */
    assert_true(too_late > 0);
}

/* Kill each party after each number of events of the undisturbed study. */
/* Sanitizers look for other faults, which every fourth event shows as well: gcc's build takes half of
 * those, clang's the other half. */
#if defined(__SANITIZE_ADDRESS__)
enum { FIRST = 0, STRIDE = 8 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { FIRST = 4, STRIDE = 8 };
#else
enum { FIRST = 0, STRIDE = 1 };
#endif
#else
enum { FIRST = 0, STRIDE = 1 };
#endif

static void kill_everywhere(enum study_noise noise)
{
    struct world w;
    struct fleet_result calm = {0};
    one_world_init(&w, noise);
    folder_make(&w);
    run(&w, NULL, 0, &calm);
    folder_drop(&w);
    world_release(&w);
    assert_true(calm.done);

    size_t worlds = 0;
    for (uint64_t after = FIRST; after <= calm.events; after += STRIDE) {
        for (size_t party = 0; party <= SITES; party++) {
            struct fleet_result r = {0};
            const struct fleet_kill kill = {after, party == SITES ? FLEET_COORDINATOR : party};
            one_world_init(&w, noise);
            folder_make(&w);
            run(&w, &kill, 1, &r);
            if (!r.done || r.contributors != SITES || w.two_updates || w.without_row) {
                print_error("party %zu killed after %llu events: done %d, %zu contributed, two "
                            "updates %d, without row %d\n",
                            party, (unsigned long long)after, r.done, r.contributors, w.two_updates,
                            w.without_row);
            }
            assert_true(r.done);
            assert_int_equal(r.contributors, SITES);
            assert_false(w.two_updates);
            assert_false(w.without_row);
            assert_false(w.after_the_end);
            if (noise == STUDY_NOISE_NONE) {
                assert_memory_equal(r.model, calm.model, w.model.table.S * sizeof(real));
            } else {
                for (size_t i = 0; i < SITES; i++) {
                    assert_true(r.site[i].epsilon_spent == calm.site[i].epsilon_spent);
                }
            }
            fleet_result_release(&r);
            folder_drop(&w);
            world_release(&w);
            worlds++;
        }
    }
    print_message("%zu worlds, one kill each, of a study of %llu events\n", worlds,
                  (unsigned long long)calm.events);
    fleet_result_release(&calm);
}

static void killed_anywhere_without_noise_the_model_is_the_same_to_the_byte(void **state)
{
    (void)state;
    kill_everywhere(STUDY_NOISE_NONE);
}

/* Moments, iterates and the updates that a trimmed mean compares are all on the disk. */
static void a_coordinator_killed_anywhere_has_the_same_trimmed_mean_and_moments(void **state)
{
    (void)state;
    struct world w;
    struct fleet_result calm = {0};
    world_init(&w, STUDY_NOISE_NONE);
    ask_for_more(&w.study);
    run(&w, NULL, 0, &calm);
    world_release(&w);
    assert_true(calm.done);
    for (uint64_t after = 0; after <= calm.events; after += 3) {
        struct fleet_result r = {0};
        const struct fleet_kill kill = {after, FLEET_COORDINATOR};
        world_init(&w, STUDY_NOISE_NONE);
        ask_for_more(&w.study);
        folder_make(&w);
        run(&w, &kill, 1, &r);
        assert_true(r.done);
        assert_memory_equal(r.model, calm.model, w.model.table.S * sizeof(real));
        fleet_result_release(&r);
        folder_drop(&w);
        world_release(&w);
    }
    fleet_result_release(&calm);
}

static void killed_anywhere_with_noise_nothing_is_released_twice_or_unspent(void **state)
{
    (void)state;
    kill_everywhere(STUDY_NOISE_SITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_undisturbed_study_ends_with_everybody_in_it),
        cmocka_unit_test(a_study_is_the_plain_loop_of_training_and_merging),
        cmocka_unit_test(so_it_is_with_adamw_fedyogi_and_a_trimmed_mean),
        cmocka_unit_test(the_same_parameters_give_the_same_bytes),
        cmocka_unit_test(a_study_on_disk_is_the_study_in_memory),
        cmocka_unit_test(few_open_ledgers_change_no_byte),
        cmocka_unit_test(a_site_whose_policy_is_stricter_declines_and_the_others_go_on),
        cmocka_unit_test(who_watches_can_end_the_world),
        cmocka_unit_test(below_quorum_the_study_fails_and_says_so),
        cmocka_unit_test(a_study_that_diverges_says_where_and_what_to_lower),
        cmocka_unit_test(of_many_that_diverge_the_first_are_named),
        cmocka_unit_test(sites_at_their_desks_change_no_byte),
        cmocka_unit_test(a_site_that_declines_at_its_desk_says_so),
        cmocka_unit_test(a_site_that_is_not_drawn_neither_trains_nor_spends),
        cmocka_unit_test(killed_anywhere_the_same_sites_are_drawn_and_the_model_is_the_same),
        cmocka_unit_test(what_was_foretold_is_what_the_ledger_says),
        cmocka_unit_test(a_failed_study_leaves_no_promise_behind),
        cmocka_unit_test(a_site_that_withdraws_releases_nothing_more_and_the_others_go_on),
        cmocka_unit_test(a_withdrawal_below_quorum_fails_the_study),
        cmocka_unit_test(a_study_that_is_stopped_ends_everywhere_and_says_so),
        cmocka_unit_test(killed_anywhere_without_noise_the_model_is_the_same_to_the_byte),
        cmocka_unit_test(a_coordinator_killed_anywhere_has_the_same_trimmed_mean_and_moments),
        cmocka_unit_test(killed_anywhere_with_noise_nothing_is_released_twice_or_unspent),
    };
    return cmocka_run_group_tests_name("sim/fleet", tests, NULL, NULL);
}
