/* Grids over a generated cohort: figures, overrides, refusals, and the same bytes on any threads. */
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

#include "common/accountant/planning.h"
#include "common/checkpoint/checkpoint.h"
#include "common/metrics/metrics.h"
#include "sim/sweep/pool_internal.h"

static const char base[] = "name: t\n"
                           "generate: {hospitals: 3, patients: 240, prevalence: 0.4}\n"
                           "study:\n"
                           "  study: t\n"
                           "  rounds: 4\n"
                           "  quorum: 3\n"
                           "  min_sites: 3\n"
                           "  model: {name: logistic}\n"
                           "  local: {rate: 2.0}\n"
                           "  privacy: {noise: none, epsilon: inf, clip: 1.0}\n"
                           "  sites:\n"
                           "    - {name: hospital-01, nominal: 60}\n"
                           "    - {name: hospital-02, nominal: 60}\n"
                           "    - {name: hospital-03, nominal: 60}\n"
                           "split: {folds: 3}\n"
                           "tradeoff:\n"
                           "  modes: [pooled, federated, local_only]\n"
                           "  epsilons: [inf, 2]\n"
                           "  delta: 1.0e-3\n"
                           "  seeds: [1, 2]\n";

/* Opens `text` as a file. */
static enum rc open_text(const char *text, bool grid, const struct sweep_overrides *o,
                         struct sweep *s, struct error *err)
{
    static struct config_issues issues;
    char path[64] = "/tmp/sweep-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    issues = (struct config_issues){0};
    const enum rc rc = sweep_open(path, grid, o, s, &issues, err);
    (void)unlink(path);
    return rc;
}

static void must_open(const char *text, bool grid, const struct sweep_overrides *o, struct sweep *s)
{
    struct error err = {0};
    const enum rc rc = open_text(text, grid, o, s, &err);
    if (rc != RC_OK) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, RC_OK);
}

static void must_run(const struct sweep *s, struct sweep_results *r)
{
    struct error err = {0};
    const enum rc rc = sweep_run(s, NULL, r, &err);
    if (rc != RC_OK) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, RC_OK);
}

static void a_grid_has_a_row_for_each_mode_epsilon_and_seed(void **state)
{
    (void)state;
    const struct sweep_overrides none = {0};
    struct sweep s = {0};
    struct sweep_results r = {0};
    must_open(base, true, &none, &s);
    must_run(&s, &r);
    assert_int_equal(r.n, 3 * 2 * 2);
    for (size_t i = 0; i < r.n; i++) {
        const struct report_row *row = &r.row[i];
        assert_true(row->auroc > 0.5 && row->auroc < 1.0);
        assert_true(row->auroc_low <= row->auroc && row->auroc <= row->auroc_high);
        assert_int_equal(row->n_sites, 3);
        assert_int_equal(row->folds, 3);
        assert_string_equal(row->noise, isfinite(row->epsilon) ? "site" : "none");
        for (size_t k = 0; k < row->n_sites; k++) {
            if (isfinite(row->epsilon)) {
                assert_true(row->site[k].epsilon_spent <= row->epsilon);
                assert_true(row->site[k].epsilon_spent > 0.999 * row->epsilon);
            } else {
                assert_true(isinf(row->site[k].epsilon_spent));
            }
        }
    }
    sweep_results_release(&r);
    sweep_release(&s);
}

/* `base` with this line of privacy, 40 rounds at most and the epsilons of a list. */
static const char *planned(const char *privacy, const char *epsilons)
{
    static char text[2048];
    const char *rounds = strstr(base, "  rounds: 4\n");
    const char *old = strstr(base, "  privacy: ");
    const char *list = strstr(base, "[inf, 2]");
    (void)snprintf(text, sizeof text, "%.*s  rounds: 40\n%.*s  privacy: %s\n%.*s%s%s",
                   (int)(rounds - base), base, (int)(old - strchr(rounds, '\n') - 1),
                   strchr(rounds, '\n') + 1, privacy, (int)(list - strchr(old, '\n') - 1),
                   strchr(old, '\n') + 1, epsilons, list + strlen("[inf, 2]"));
    return text;
}

/* The base study's own plan, of its own epsilon, is none of theirs: here it is spoilt. */
static void each_epsilon_is_planned_for_itself(void **state)
{
    (void)state;
    static const char privacy[] =
        "{noise: site, epsilon: 2, delta: 1.0e-3, clip: 1.0, passes: 0.4, steps_least: 5}";
    const struct sweep_overrides none = {0};
    struct sweep s = {0};
    struct sweep_results r = {0};
    must_open(planned(privacy, "[inf, 8, 0.5]"), true, &none, &s);
    s.study.rounds = 33;
    s.study.privacy.sample_rate = 0.9;
    s.study.privacy.noise_multiplier = 0.1;
    must_run(&s, &r);
    assert_int_equal(r.n, 3 * 3 * 2);
    static const double epsilons[] = {HUGE_VAL, 8, 0.5};
    struct planning_choice want[3];
    for (size_t e = 0; e < 3; e++) {
        struct planning_choice c[PLANNING_CHOICES];
        struct error err = {0};
        size_t n = 0, best = 0;
        const bool planned_for = isfinite(epsilons[e]); /* else the fewest steps */
        const struct planning_wish wish = {.epsilon = planned_for ? epsilons[e] : 2,
                                           .delta = 1e-3,
                                           .passes = 0.4,
                                           .steps_least = 5,
                                           .steps_most = 40};
        assert_int_equal(planning_choose(&wish, c, &n, &best, &err), RC_OK);
        want[e] = c[planned_for ? best : 0];
    }
    for (size_t i = 0; i < r.n; i++) {
        const struct report_row *row = &r.row[i];
        const size_t e = isinf(row->epsilon) ? 0 : row->epsilon == 8 ? 1 : 2;
        assert_true(row->epsilon == epsilons[e]);
        assert_int_equal(row->steps, want[e].steps);
        assert_int_equal(row->rounds, want[e].steps);
        assert_true(row->sample_rate == want[e].q);
        assert_true(row->noise_multiplier == (isinf(row->epsilon) ? 0.0 : want[e].sigma));
        for (size_t k = 0; k < row->n_sites; k++) { /* it is what the ledgers were asked for */
            assert_true(isinf(row->epsilon) || (row->site[k].epsilon_spent <= row->epsilon &&
                                                row->site[k].epsilon_spent > 0.99 * row->epsilon));
        }
    }
    sweep_results_release(&r);
    sweep_release(&s);
}

/* `base`, masked, with shared noise and its local steps replaced. */
static const char *with_shared_noise(const char *steps)
{
    static char text[2048];
    const char *local = strstr(base, "  local: ");
    const char *delta = strstr(base, "  delta: 1.0e-3\n");
    (void)snprintf(text, sizeof text,
                   "%.*s  masked: true\n  local: {rate: 0.5%s}\n%.*s  noise: shared\n%s",
                   (int)(local - base), base, steps, (int)(delta - strchr(local, '\n') - 1),
                   strchr(local, '\n') + 1, delta);
    return text;
}

static void noise_is_shared_among_sites_and_a_site_alone_adds_its_own(void **state)
{
    (void)state;
    const struct sweep_overrides none = {0};
    const struct sweep_overrides alone = {.has_noise = true, .noise = STUDY_NOISE_SITE};
    struct sweep s = {0};
    struct sweep_results shared = {0};
    struct sweep_results site = {0};
    struct error err = {0};
    must_open(with_shared_noise(""), true, &none, &s);
    must_run(&s, &shared);
    sweep_release(&s);
    must_open(with_shared_noise(""), true, &alone, &s);
    must_run(&s, &site);
    sweep_release(&s);
    assert_int_equal(shared.n, site.n);
    for (size_t i = 0; i < shared.n; i++) {
        const struct report_row *a = &shared.row[i];
        const struct report_row *b = &site.row[i];
        const bool federated = strcmp(a->mode, "federated") == 0;
        const bool noisy = isfinite(a->epsilon);
        assert_string_equal(a->noise, !noisy ? "none" : federated ? "shared" : "site");
        assert_true(a->noise_multiplier == b->noise_multiplier); /* of the sum as of a site */
        assert_true((a->auroc == b->auroc) == !(noisy && federated));
        for (size_t k = 0; noisy && k < a->n_sites; k++) { /* the ledgers count it in full */
            assert_true(a->site[k].epsilon_spent <= a->epsilon);
            assert_true(a->site[k].epsilon_spent > 0.999 * a->epsilon);
        }
    }
    sweep_results_release(&shared);
    sweep_results_release(&site);
    must_open(with_shared_noise(", steps: 2"), true, &none, &s);
    assert_int_equal(sweep_run(&s, NULL, &shared, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "with noise: shared a round is one step"));
    sweep_release(&s);
}

/* A grid of both kinds of noise: `list` in the place of the word. */
static const char *with_noises(const char *list)
{
    static char text[2048];
    const char *shared = with_shared_noise("");
    const char *word = strstr(shared, "  noise: shared");
    (void)snprintf(text, sizeof text, "%.*s  noise: %s%s", (int)(word - shared), shared, list,
                   word + strlen("  noise: shared"));
    return text;
}

static const struct report_row *find_row(const struct sweep_results *r,
                                         const struct report_row *like)
{
    const struct report_row *found = NULL;
    for (size_t i = 0; i < r->n; i++) {
        const struct report_row *row = &r->row[i];
        if (strcmp(row->mode, like->mode) == 0 && strcmp(row->noise, like->noise) == 0 &&
            row->epsilon == like->epsilon && row->seed == like->seed) {
            assert_null(found); /* twice would count as two observations */
            found = row;
        }
    }
    return found;
}

static void a_grid_of_both_noises_has_the_rows_of_either_and_each_once(void **state)
{
    (void)state;
    static const char *const lists[] = {"site", "shared", "[site, shared]", "[shared, site]"};
    const struct sweep_overrides none = {0};
    struct sweep s = {0};
    struct sweep_results r[4] = {{0}};
    for (size_t i = 0; i < 4; i++) {
        must_open(with_noises(lists[i]), true, &none, &s);
        must_run(&s, &r[i]);
        assert_int_equal(r[i].n, sweep_rows(&s));
        sweep_release(&s);
    }
    for (size_t both = 2; both < 4; both++) {
        size_t only_shared = 0;
        for (size_t one = 0; one < 2; one++) {
            for (size_t i = 0; i < r[one].n; i++) {
                const struct report_row *row = find_row(&r[both], &r[one].row[i]);
                if (row == NULL) {
                    fail_msg("a row of %s alone is not there", lists[one]);
                    return;
                }
                assert_true(row->auroc == r[one].row[i].auroc);
                assert_true(row->noise_multiplier == r[one].row[i].noise_multiplier);
                only_shared += strcmp(row->noise, "shared") == 0;
            }
        }
        assert_int_equal(r[both].n, r[0].n + only_shared);
        assert_true(only_shared > 0);
    }
    for (size_t i = 0; i < 4; i++) {
        sweep_results_release(&r[i]);
    }
}

static void a_list_of_noises_has_site_and_shared_once_each(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"[site, none]", "without noise is the epsilon inf"},
        {"[site, site]", "in the list twice"},
        {"[]", "'noise' is a list of 1 to"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct sweep_overrides none = {0};
        struct sweep s = {0};
        struct error err = {0};
        assert_int_equal(open_text(with_noises(bad[i][0]), true, &none, &s, &err), RC_INVALID);
        assert_non_null(strstr(err.text, bad[i][1]));
    }
}

/* q = 1 and one step a round: the mean of the sites' steps, weighted by nominal sizes, is the step of all
 * patients in one place, but for the rounding of updates. Else pooled rows would not be what they are
 * compared as. */
static void with_everybody_in_every_step_a_federation_is_training_in_one_place(void **state)
{
    (void)state;
    static char text[2048];
    const struct sweep_overrides none = {0};
    struct sweep s = {0};
    struct sweep_results r = {0};
    const char *privacy = strstr(base, "  privacy: ");
    (void)snprintf(text, sizeof text,
                   "%.*s  privacy: {noise: none, epsilon: inf, clip: 1.0, sample_rate: 1.0}\n"
                   "  sites:\n"
                   "    - {name: hospital-01, nominal: 30}\n"
                   "    - {name: hospital-02, nominal: 60}\n"
                   "    - {name: hospital-03, nominal: 90}\n"
                   "split: {folds: 3}\n"
                   "tradeoff: {modes: [pooled, federated], epsilons: [inf], seeds: [1, 2]}\n",
                   (int)(privacy - base), base);
    must_open(text, true, &none, &s);
    must_run(&s, &r);
    assert_int_equal(r.n, 4);
    for (size_t i = 0; i < 2; i++) {
        const struct report_row *pooled = &r.row[i];
        const struct report_row *federated = &r.row[2 + i];
        assert_string_equal(pooled->mode, "pooled");
        assert_string_equal(federated->mode, "federated");
        assert_int_equal(pooled->seed, federated->seed);
        assert_float_equal(pooled->auroc, federated->auroc, 2e-4);
        assert_float_equal(pooled->auprc, federated->auprc, 1e-3);
        assert_float_equal(pooled->ece, federated->ece, 1e-4);
    }
    sweep_results_release(&r);
    sweep_release(&s);
}

/* `base` with `curves: N` and perhaps other words in the place of its own. */
static const char *with_curves(size_t n, const char *what, const char *with)
{
    static char text[2048];
    const char *grid = strstr(base, "tradeoff:\n");
    const char *at = strstr(base, what);
    assert_non_null(at);
    assert_true(at < grid);
    (void)snprintf(text, sizeof text, "%.*s%s%.*stradeoff:\n  curves: %zu\n%s", (int)(at - base),
                   base, with, (int)(grid - at) - (int)strlen(what), at + strlen(what), n,
                   grid + strlen("tradeoff:\n"));
    return text;
}

static void the_number_of_threads_changes_no_byte(void **state)
{
    (void)state;
    struct sweep_results r[2] = {{0}};
    for (size_t jobs = 1; jobs <= 2; jobs++) {
        const struct sweep_overrides o = {.has_jobs = true, .jobs = jobs};
        struct sweep s = {0};
        must_open(with_curves(3, "t\n", "t\n"), true, &o, &s);
        must_run(&s, &r[jobs - 1]);
        sweep_release(&s);
    }
    assert_int_equal(r[0].n, r[1].n);
    for (size_t i = 0; i < r[0].n; i++) {
        r[0].row[i].seconds = r[1].row[i].seconds = 0.0; /* what a clock says */
        assert_true(r[0].row[i].auroc == r[1].row[i].auroc);
        assert_true(r[0].row[i].ece == r[1].row[i].ece);
        assert_true(r[0].row[i].auroc_site_mean == r[1].row[i].auroc_site_mean);
        assert_int_equal(r[0].row[i].n_curve, r[1].row[i].n_curve);
        for (size_t k = 0; k < r[0].row[i].n_curve; k++) {
            assert_true(r[0].row[i].curve[k].auroc == r[1].row[i].curve[k].auroc);
        }
    }
    sweep_results_release(&r[0]);
    sweep_results_release(&r[1]);
}

static void a_curve_has_evenly_spaced_rounds_and_no_site_alone_has_one(void **state)
{
    (void)state;
    static const struct {
        size_t asked, n, round[4];
    } want[] = {{0, 0, {0}}, {1, 1, {4}}, {2, 2, {2, 4}}, {3, 3, {1, 2, 4}}, {9, 4, {1, 2, 3, 4}}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const struct sweep_overrides o = {.has_seed = true, .seed = 1};
        struct sweep s = {0};
        struct sweep_results r = {0};
        must_open(with_curves(want[i].asked, "rounds: 4", "rounds: 4"), true, &o, &s);
        must_run(&s, &r);
        assert_int_equal(r.n, 3 * 2);
        for (size_t k = 0; k < r.n; k++) {
            const struct report_row *row = &r.row[k];
            const bool alone = strcmp(row->mode, "local_only") == 0;
            assert_int_equal(row->n_curve, alone ? 0 : want[i].n);
            for (size_t p = 0; p < row->n_curve; p++) {
                assert_int_equal(row->curve[p].round, want[i].round[p]);
                assert_true(row->curve[p].auroc > 0.0 && row->curve[p].auroc <= 1.0);
            }
        }
        sweep_results_release(&r);
        sweep_release(&s);
    }
}

/* Sites' own parameters are scored with their own. */
static const char *const curve_models[] = {"  model: {name: logistic}\n",
                                           "  model: {name: mlp, hidden: [3], adapter: 2}\n"};

/* The AUROC of a fold by the scores that its world left behind. */
static double auroc_of(const struct sweep_world *w)
{
    struct error err = {0};
    struct interval auroc = {0};
    const struct dataset *d = w->s->data;
    double *x = calloc(2 * d->n_patients, sizeof *x);
    double *y = x + d->n_patients;
    size_t n = 0;
    for (size_t p = 0; p < d->n_patients; p++) {
        if (w->part[p] == w->fold) {
            x[n] = w->score[p];
            y[n++] = (double)d->label[p];
        }
    }
    assert_int_equal(metrics_auroc(x, y, n, &auroc, &err), RC_OK);
    free(x);
    return auroc.value;
}

/* The base, and the base without a site: who is left out is scored, too. */
static void the_last_point_is_the_auroc_of_the_scores_that_are_left_behind(void **state)
{
    (void)state;
    static const char left_out[] =
        "tradeoff:\n  curves: 2\n  ablations: [{name: two, without_sites: [hospital-02]}]\n";
    for (size_t m = 0; m < 2; m++) {
        const struct sweep_overrides none = {0};
        struct error err = {0};
        struct sweep s = {0};
        char text[2048];
        const char *with = with_curves(2, "  model: {name: logistic}\n", curve_models[m]);
        const char *grid = strstr(with, "tradeoff:\n");
        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(grid - with), with, left_out,
                       strstr(grid, "  modes:"));
        must_open(text, true, &none, &s);
        struct pool pool = {.s = &s};
        assert_int_equal(pool_open(&pool, &err), RC_OK);
        for (size_t row = 0; row < sweep_rows(&s); row += s.n_seeds) {
            struct sweep_world w = pool_world(&pool, row * s.folds + 1);
            if (w.cell.mode != SWEEP_LOCAL_ONLY) {
                assert_int_equal(sweep_world_run(&w, &err), RC_OK);
                assert_true(w.curve[1] == auroc_of(&w));
                assert_true(w.curve[0] != w.curve[1]);
            }
        }
        pool_release(&pool);
        sweep_release(&s);
    }
}

/* A study for each number of rounds: without noise the first rounds of six are those of two and four. */
static void a_point_between_is_what_a_study_that_ends_there_finds(void **state)
{
    (void)state;
    enum { ROUNDS = 6, N = 3 };
    const struct sweep_overrides o = {
        .has_seed = true, .seed = 1, .has_epsilon = true, .epsilon = HUGE_VAL};
    for (size_t m = 0; m < 2; m++) {
        struct report_point curve[2][N];
        for (size_t rounds = ROUNDS; rounds >= 2; rounds -= 2) {
            char text[256];
            struct sweep s = {0};
            struct sweep_results r = {0};
            (void)snprintf(text, sizeof text, "  rounds: %zu\n  quorum: 3\n  min_sites: 3\n%s",
                           rounds, curve_models[m]);
            must_open(with_curves(rounds / 2,
                                  "  rounds: 4\n  quorum: 3\n  min_sites: 3\n"
                                  "  model: {name: logistic}\n",
                                  text),
                      true, &o, &s);
            must_run(&s, &r);
            for (size_t mode = 0; mode < 2; mode++) {
                const struct report_row *row = &r.row[mode];
                assert_int_equal(row->n_curve, rounds / 2);
                for (size_t k = 0; rounds == ROUNDS && k < N; k++) {
                    curve[mode][k] = row->curve[k];
                }
                for (size_t k = 0; k < row->n_curve; k++) {
                    assert_int_equal(row->curve[k].round, curve[mode][k].round);
                    assert_true(row->curve[k].auroc == curve[mode][k].auroc);
                }
            }
            sweep_results_release(&r);
            sweep_release(&s);
        }
    }
}

static void overrides_choose_one_cell(void **state)
{
    (void)state;
    const struct sweep_overrides o = {.has_epsilon = true,
                                      .epsilon = 1.5,
                                      .has_delta = true,
                                      .delta = 1e-4,
                                      .has_seed = true,
                                      .seed = 9};
    struct sweep s = {0};
    struct sweep_results r = {0};
    must_open(base, false, &o, &s);
    must_run(&s, &r);
    assert_int_equal(r.n, 1);
    assert_string_equal(r.row[0].mode, "federated");
    assert_string_equal(r.row[0].noise, "site");
    assert_true(r.row[0].epsilon == 1.5 && r.row[0].delta == 1e-4);
    assert_int_equal(r.row[0].seed, 9);
    sweep_results_release(&r);
    sweep_release(&s);
}

static void folds_are_by_patient_and_keep_sites_and_labels_even(void **state)
{
    (void)state;
    const struct sweep_overrides none = {0};
    struct sweep s = {0};
    must_open(base, false, &none, &s);
    const size_t n = s.data->n_patients;
    size_t *part = calloc(n, sizeof *part);
    size_t *scratch = calloc(sweep_split_scratch(&s), sizeof *scratch);
    sweep_split(&s, 4, part, scratch);
    for (size_t site = 0; site < s.data->n_sites; site++) {
        size_t count[3] = {0};
        for (size_t p = 0; p < n; p++) {
            assert_true(part[p] < 3);
            count[part[p]] += s.data->site[p] == site;
            for (size_t fold = 0; fold < 3; fold++) {
                assert_int_equal(sweep_trains(&s, part, p, fold), part[p] != fold);
            }
        }
        for (size_t fold = 1; fold < 3; fold++) {
            assert_true(count[fold] + 2 >= count[0] && count[0] + 2 >= count[fold]);
        }
    }
    free(part);
    free(scratch);
    sweep_release(&s);
}

static const char of_classes[] =
    "name: c\n"
    "generate: {kind: softmax, hospitals: 20, records: 40, features: 6, classes: 4, label_skew: "
    "0}\n"
    "study:\n"
    "  study: c\n"
    "  rounds: 20\n"
    "  quorum: 5\n"
    "  min_sites: 2\n"
    "  sites_per_round: 5\n"
    "  model: {name: logistic}\n"
    "  local: {rate: 1.0, steps: 6}\n"
    "  privacy: {noise: none, epsilon: inf, clip: 10, sample_rate: 0.2}\n"
    "  sites: {count: 20, nominal: 30}\n"
    "split: {hold_out: 0.25}\n"
    "tradeoff: {modes: [pooled, federated], epsilons: [inf, 20], delta: 1.0e-3, seeds: [1]}\n";

/* Rounds of some sites, a label of several classes, patients held out: all of it in one grid. */
static void a_label_of_several_classes_is_learned_and_scored(void **state)
{
    (void)state;
    const struct sweep_overrides none = {0};
    struct sweep s = {0};
    struct sweep_results r = {0};
    struct error err = {0};
    double best = 0.0;
    const struct softmax_params law = {
        .hospitals = 20, .records = 40, .features = 6, .classes = 4, .signal = 5};
    assert_int_equal(softmax_best_accuracy(&law, 1, 4000, &best, &err), RC_OK);
    must_open(of_classes, true, &none, &s);
    must_run(&s, &r);
    assert_int_equal(r.n, 4);
    for (size_t i = 0; i < r.n; i++) {
        const struct report_row *row = &r.row[i];
        size_t tested = 0;
        assert_true(row->auroc_low < row->auroc && row->auroc < row->auroc_high);
        assert_true(isnan(row->auprc));
        assert_true(row->ece >= 0.0 && row->ece < 1.0);
        assert_int_equal(row->folds, 1);
        for (size_t k = 0; k < row->n_sites; k++) {
            assert_int_equal(row->site[k].n_patients, 10);
            tested += row->site[k].n_patients;
        }
        assert_int_equal(tested, 200);
        if (isinf(row->epsilon)) {
            assert_true(row->accuracy > best - 0.12 && row->accuracy < best + 0.08);
            assert_true(row->auroc > 0.85);
        } else {
            assert_true(row->accuracy < best);
        }
    }
    sweep_results_release(&r);
    sweep_release(&s);
}

/* The same of each site, not those of another seed, and never in training. */
static void who_is_held_out_follows_from_the_files_seed(void **state)
{
    (void)state;
    const struct sweep_overrides none = {0};
    const struct sweep_overrides seed = {.has_seed = true, .seed = 77};
    struct sweep a = {0}, b = {0};
    must_open(of_classes, false, &none, &a);
    must_open(of_classes, false, &seed, &b);
    const size_t n = a.data->n_patients;
    size_t *part = calloc(n, sizeof *part);
    size_t *scratch = calloc(sweep_split_scratch(&a), sizeof *scratch);
    size_t count = 0;
    assert_memory_equal(a.test, b.test,
                        n * sizeof *a.test); /* a seed of the grid changes weights alone */
    sweep_split(&a, 5, part, scratch);
    for (size_t p = 0; p < n; p++) {
        count += a.test[p];
        assert_int_equal(part[p] == 0, a.test[p]);
        assert_int_equal(sweep_trains(&a, part, p, 0), !a.test[p]);
    }
    assert_int_equal(count, n / 4);
    free(part);
    free(scratch);
    sweep_release(&a);
    sweep_release(&b);
}

static void folds_keep_all_classes_even(void **state)
{
    (void)state;
    const struct sweep_overrides none = {0};
    struct sweep s = {0};
    must_open(of_classes, false, &none, &s);
    s.tune = true; /* folds inside what is not held out */
    s.folds = 3;
    const size_t n = s.data->n_patients;
    size_t *part = calloc(n, sizeof *part);
    size_t *scratch = calloc(sweep_split_scratch(&s), sizeof *scratch);
    size_t count[4][3] = {{0}};
    sweep_split(&s, 5, part, scratch);
    for (size_t p = 0; p < n; p++) {
        assert_int_equal(part[p] == SWEEP_NEVER, s.test[p]);
        if (part[p] != SWEEP_NEVER) {
            count[(size_t)s.data->label[p]][part[p]]++;
        }
    }
    for (size_t c = 0; c < 4; c++) {
        for (size_t fold = 1; fold < 3; fold++) { /* within one a stratum, of 20 sites */
            assert_true(count[c][fold] + 20 >= count[c][0] && count[c][0] + 20 >= count[c][fold]);
        }
    }
    free(part);
    free(scratch);
    sweep_release(&s);
}

/* `what` in the base text becomes `with`. */
static char *changed(const char *what, const char *with)
{
    const char *at = strstr(base, what);
    assert_non_null(at);
    const size_t room = sizeof base + strlen(with);
    char *text = calloc(1, room);
    (void)snprintf(text, room, "%.*s%s%s", (int)(at - base), base, with, at + strlen(what));
    return text;
}

static void what_cannot_be_run_is_refused_with_a_reason(void **state)
{
    (void)state;
    const struct {
        const char *what, *with, *sentence;
    } bad[] = {
        {"nominal: 60}\nsplit", "nominal: 60}\n    - {name: hospital-09, nominal: 60}\nsplit",
         "'hospital-09' is on the study's roster and has no patient"},
        {"    - {name: hospital-03, nominal: 60}\n", "",
         "quorum: is 3, but there are only 2 sites"},
        {"generate: {hospitals: 3, patients: 240, prevalence: 0.4}\n", "",
         "one of: cohort, generate"},
        {"modes: [pooled, federated, local_only]", "modes: [pool]", "a mode is pooled"},
        {"seeds: [1, 2]", "seeds: []", "list of 1 to"},
        {"split: {folds: 3}", "split: {folds: 3, tune: true}", "tune needs a fixed split"},
        {"split: {folds: 3}", "split: {fold: 3}", "fold"},
        {"split: {folds: 3}", "split: {hold_out: 0.95}",
         "hold_out: is 0.95, must be from 0 to 0.9"},
        {"split: {folds: 3}", "split: {hold_out: 0.5, cohort: c.yaml}",
         "by cohort, or by hold_out"},
        {"split: {folds: 3}", "split: {hold_out: 0.5, folds: 3}",
         "folds: whom hold_out names is tested once"},
        {"epsilons: [inf, 2]", "epsilons: [inf, 2, 2.0]", "'2.0' is in the list twice"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct sweep_overrides none = {0};
        struct sweep s = {0};
        struct error err = {0};
        char *text = changed(bad[i].what, bad[i].with);
        assert_int_equal(open_text(text, true, &none, &s, &err), RC_INVALID);
        if (strstr(err.text, bad[i].sentence) == NULL) {
            print_error("want: %s\ngot:  %s\n", bad[i].sentence, err.text);
        }
        assert_non_null(strstr(err.text, bad[i].sentence));
        free(text);
    }
}

static void without_a_delta_the_grids_is_taken_and_without_a_grid_none(void **state)
{
    (void)state;
    const struct sweep_overrides o = {.has_epsilon = true, .epsilon = 1.0};
    struct sweep s = {0};
    struct error err = {0};
    must_open(base, false, &o, &s);
    assert_true(s.delta == 1e-3);
    sweep_release(&s);
    char *text = changed("tradeoff:\n", "");
    char *end = strstr(text, "  modes:");
    assert_non_null(end);
    *end = '\0';
    assert_int_equal(open_text(text, false, &o, &s, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "--delta"));
    free(text);
}

static void contradicting_overrides_are_refused(void **state)
{
    (void)state;
    const struct sweep_overrides bad[] = {
        {.has_epsilon = true, .epsilon = 1.0, .has_noise = true, .noise = STUDY_NOISE_NONE},
        {.has_noise = true, .noise = STUDY_NOISE_SITE},
        {.has_noise = true, .noise = STUDY_NOISE_SHARED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sweep s = {0};
        struct error err = {0};
        assert_int_equal(open_text(base, false, &bad[i], &s, &err), RC_INVALID);
        assert_true(err.text[0] != '\0');
    }
}

/* ---- a whole study --------------------------------------------------------------------------- */

/* Three files in a folder of their own: who names them is told where. */
struct folder {
    char path[48], sim[96], study[96], cohort[96], csv[96], model[96];
};

static const char whole_study[] =
    "study: w\nseed: %d\nrounds: 3\nquorum: 2\nmin_sites: 2\n"
    "model: {name: logistic}\nlocal: {rate: 1.0}\n"
    "privacy: {noise: none, epsilon: inf, clip: 1.0, sample_rate: 0.5}\n"
    "sites:\n  - {name: b, nominal: 20}\n  - {name: a, nominal: 15}\n";

static const char whole_cohort[] =
    "cohort: w\nfiles: [{path: w.csv}]\nseparator: \",\"\nheader: true\n"
    "patient: {column: id, rows: one}\nsite: {column: site}\nmissing: [\"\"]\n"
    "label: {column: y, positive: [1], negative: [0]}\n"
    "features: [{name: x, type: continuous, range: [0, 40]}]\n";

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void folder_make(struct folder *f, int seed, const char *sim)
{
    char text[1024];
    (void)snprintf(f->path, sizeof f->path, "/tmp/sweep-whole-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    (void)snprintf(f->sim, sizeof f->sim, "%s/sim.yaml", f->path);
    (void)snprintf(f->study, sizeof f->study, "%s/study.yaml", f->path);
    (void)snprintf(f->cohort, sizeof f->cohort, "%s/cohort.yaml", f->path);
    (void)snprintf(f->csv, sizeof f->csv, "%s/w.csv", f->path);
    (void)snprintf(f->model, sizeof f->model, "%s/model.safetensors", f->path);
    put(f->sim, sim);
    put(f->cohort, whole_cohort);
    (void)snprintf(text, sizeof text, whole_study, seed);
    put(f->study, text);
    FILE *csv = fopen(f->csv, "wbe");
    assert_non_null(csv);
    (void)fprintf(csv, "id,site,x,y\n");
    for (int i = 0; i < 40; i++) {
        (void)fprintf(csv, "p%02d,%s,%d,%d\n", i, i % 5 < 2 ? "a" : "b", i, i > 15 + i % 7);
    }
    assert_int_equal(fclose(csv), 0);
}

static void folder_drop(const struct folder *f)
{
    (void)unlink(f->sim);
    (void)unlink(f->study);
    (void)unlink(f->cohort);
    (void)unlink(f->csv);
    (void)unlink(f->model);
    assert_int_equal(rmdir(f->path), 0);
}

static const char whole_sim[] = "name: t\nstudy: study.yaml\ncohort: cohort.yaml\nseed: 7\n";

static void open_whole(struct folder *f, int seed, struct sweep *s)
{
    static struct config_issues issues;
    const struct sweep_overrides none = {0};
    struct error err = {0};
    folder_make(f, seed, whole_sim);
    issues = (struct config_issues){0};
    const enum rc rc = sweep_open(f->sim, false, &none, s, &issues, &err);
    if (rc != RC_OK) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, RC_OK);
    assert_true(s->whole);
}

static void a_whole_study_trains_everybody_and_leaves_a_model_that_can_be_read(void **state)
{
    (void)state;
    struct error err = {0};
    struct folder f;
    struct sweep s = {0};
    struct sweep_whole w = {0};
    struct checkpoint c = {0};
    open_whole(&f, 5, &s);
    assert_int_equal(sweep_whole_run(&s, f.model, &w, &err), RC_OK);
    assert_int_equal(w.rounds, 3);
    assert_int_equal(w.n_contributed, 2);
    assert_string_equal(w.site[0].name, "b"); /* the roster's order */
    assert_true(w.site[0].contributed);
    assert_true(isinf(w.site[0].epsilon_spent));
    assert_int_equal(checkpoint_read(f.model, &c, &err), RC_OK);
    assert_true(hash_equal(&c.id, &w.model));
    assert_true(hash_equal(&c.agreement.study_hash, &s.agreement.study_hash));
    assert_int_equal(c.round, 3);
    assert_int_equal(c.agreement.study.seed, 5);
    checkpoint_release(&c);
    sweep_whole_release(&w);
    sweep_release(&s);
    folder_drop(&f);
}

/* At infinite epsilon the document's seed is the only one: the simulation's changes nothing. */
static void a_whole_studys_model_depends_on_its_document_alone(void **state)
{
    (void)state;
    struct hash model[3];
    for (int i = 0; i < 3; i++) {
        struct error err = {0};
        struct folder f;
        struct sweep s = {0};
        struct sweep_whole w = {0};
        open_whole(&f, i == 2 ? 6 : 5, &s);
        s.seed[0] += (uint64_t)i;
        assert_int_equal(sweep_whole_run(&s, NULL, &w, &err), RC_OK);
        assert_int_equal(access(f.model, F_OK), -1);
        model[i] = w.model;
        sweep_whole_release(&w);
        sweep_release(&s);
        folder_drop(&f);
    }
    assert_true(hash_equal(&model[0], &model[1]));
    assert_false(hash_equal(&model[0], &model[2]));
}

static void a_whole_study_is_not_varied_nor_tested(void **state)
{
    (void)state;
    static const struct {
        const char *sim, *sentence;
        bool grid, epsilon;
    } bad[] = {
        {whole_sim, "add split: {folds: 5} for a tradeoff", true, false},
        {whole_sim, "leave --epsilon, --delta and --noise away", false, true},
        {"name: t\nstudy: study.yaml\ngenerate: {hospitals: 2, patients: 40}\n",
         "needs a cohort:", false, false},
        {"name: t\nstudy: nowhere.yaml\ncohort: cohort.yaml\n", "nowhere.yaml", false, false},
        {"name: t\ncohort: cohort.yaml\n", "missing key 'study'", false, false},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        static struct config_issues issues;
        const struct sweep_overrides o = {.has_epsilon = bad[i].epsilon, .epsilon = 1.0};
        struct error err = {0};
        struct folder f;
        struct sweep s = {0};
        folder_make(&f, 1, bad[i].sim);
        issues = (struct config_issues){0};
        assert_int_not_equal(sweep_open(f.sim, bad[i].grid, &o, &s, &issues, &err), RC_OK);
        if (strstr(err.text, bad[i].sentence) == NULL) {
            print_error("want: %s\ngot:  %s\n", bad[i].sentence, err.text);
        }
        assert_non_null(strstr(err.text, bad[i].sentence));
        folder_drop(&f);
    }
}

/* A document named by its path, with folds: the usual run. */
static void a_study_named_by_its_path_can_be_cross_validated(void **state)
{
    (void)state;
    static struct config_issues issues;
    const struct sweep_overrides none = {0};
    struct error err = {0};
    struct folder f;
    struct sweep s = {0};
    struct sweep_results r = {0};
    folder_make(&f, 1, "name: t\nstudy: study.yaml\ncohort: cohort.yaml\nsplit: {folds: 3}\n");
    issues = (struct config_issues){0};
    assert_int_equal(sweep_open(f.sim, false, &none, &s, &issues, &err), RC_OK);
    assert_false(s.whole);
    must_run(&s, &r);
    assert_int_equal(r.row[0].folds, 3);
    sweep_results_release(&r);
    sweep_release(&s);
    folder_drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grid_has_a_row_for_each_mode_epsilon_and_seed),
        cmocka_unit_test(each_epsilon_is_planned_for_itself),
        cmocka_unit_test(noise_is_shared_among_sites_and_a_site_alone_adds_its_own),
        cmocka_unit_test(a_grid_of_both_noises_has_the_rows_of_either_and_each_once),
        cmocka_unit_test(a_list_of_noises_has_site_and_shared_once_each),
        cmocka_unit_test(with_everybody_in_every_step_a_federation_is_training_in_one_place),
        cmocka_unit_test(the_number_of_threads_changes_no_byte),
        cmocka_unit_test(a_curve_has_evenly_spaced_rounds_and_no_site_alone_has_one),
        cmocka_unit_test(the_last_point_is_the_auroc_of_the_scores_that_are_left_behind),
        cmocka_unit_test(a_point_between_is_what_a_study_that_ends_there_finds),
        cmocka_unit_test(overrides_choose_one_cell),
        cmocka_unit_test(folds_are_by_patient_and_keep_sites_and_labels_even),
        cmocka_unit_test(a_label_of_several_classes_is_learned_and_scored),
        cmocka_unit_test(who_is_held_out_follows_from_the_files_seed),
        cmocka_unit_test(folds_keep_all_classes_even),
        cmocka_unit_test(what_cannot_be_run_is_refused_with_a_reason),
        cmocka_unit_test(without_a_delta_the_grids_is_taken_and_without_a_grid_none),
        cmocka_unit_test(contradicting_overrides_are_refused),
        cmocka_unit_test(a_whole_study_trains_everybody_and_leaves_a_model_that_can_be_read),
        cmocka_unit_test(a_whole_studys_model_depends_on_its_document_alone),
        cmocka_unit_test(a_whole_study_is_not_varied_nor_tested),
        cmocka_unit_test(a_study_named_by_its_path_can_be_cross_validated),
    };
    return cmocka_run_group_tests_name("sim/sweep", tests, NULL, NULL);
}
