/* Ablations and missing patterns, over three hospitals with a table, a course and notes. */
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

#include "sim/sweep/sweep_internal.h"

enum { PATIENTS = 72, TEXT = 4096 };

static const char cohort[] =
    "cohort: w\nfiles: [{path: w.csv}]\nseparator: \",\"\nheader: true\n"
    "patient: {column: id, rows: one}\nsite: {column: site}\nmissing: [\"\"]\n"
    "label: {column: y, positive: [1], negative: [0]}\n"
    "features: [{name: x, type: continuous, range: [0, 72]}]\n"
    "modalities:\n"
    "  - name: course\n    type: series\n    files: [{path: course.csv}]\n"
    "    columns: {patient: id, time: t, variable: v, value: x}\n    time_unit: hours\n"
    "    window: [0, 2]\n    grid: {steps: 2, fill: last}\n"
    "    variables: [{name: pulse, unit: 1/min, range: [0, 200]}]\n"
    "  - name: notes\n    type: notes\n    files: [{path: notes.csv}]\n"
    "    columns: {patient: id, text: text}\n    tokens: 4\n    vocabulary: 16\n    ngrams: 1\n";

static const char sim[] =
    "name: t\ncohort: cohort.yaml\n"
    "study:\n  study: t\n  rounds: 3\n  quorum: 3\n  min_sites: 3\n%s"
    "  model: {name: multimodal, fusion: late, width: 4, heads: 1, modality_dropout: 0.2}\n"
    "  local: {rate: 0.05, optimiser: adam, steps: 8}\n"
    "  privacy: {noise: none, epsilon: inf, clip: 10.0}\n"
    "  sites:\n    - {name: a, nominal: 16}\n    - {name: b, nominal: 16}\n"
    "    - {name: c, nominal: 16}\n"
    "split: {folds: 2}\n"
    "tradeoff:\n  modes: [%s]\n  epsilons: [inf]\n  seeds: [1]\n%s";

static const char *const names[] = {"w.csv", "course.csv", "notes.csv", "cohort.yaml", "sim.yaml"};

/* What the files say. */
struct world {
    bool odd_notes, odd_c; /* other words; numbers the other way round at site c */
    bool masked;
};

static char folder[64];

static FILE *file(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    return f;
}

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/sweep-ablation-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

static bool has_course(int i)
{
    return i % 4 != 0;
}

static bool has_notes(int i)
{
    return i % 3 != 0;
}

/* Patients with the table alone are all healthy: one class only. */
static bool is_ill(int i)
{
    return (has_course(i) || has_notes(i)) && i * 7 % PATIENTS > 36 + i % 9;
}

static void write_cohort(struct world w)
{
    FILE *table = file("w.csv");
    FILE *course = file("course.csv");
    FILE *notes = file("notes.csv");
    FILE *yaml = file("cohort.yaml");
    (void)fprintf(table, "id,site,x,y\n");
    (void)fprintf(course, "id,t,v,x\n");
    (void)fprintf(notes, "id,text\n");
    (void)fputs(cohort, yaml);
    for (int i = 0; i < PATIENTS; i++) {
        const char site = (char)('a' + i * 5 % 3);
        const int x = site == 'c' && w.odd_c ? PATIENTS - 1 - i * 7 % PATIENTS : i * 7 % PATIENTS;
        (void)fprintf(table, "p%02d,%c,%d,%d\n", i, site, x, is_ill(i));
        if (has_course(i)) {
            (void)fprintf(course, "p%02d,0.5,pulse,%d\n", i, 60 + x);
        }
        if (has_notes(i)) {
            (void)fprintf(notes, "p%02d,%s\n", i, is_ill(i) != w.odd_notes ? "poor" : "well");
        }
    }
    assert_int_equal(fclose(table) | fclose(course) | fclose(notes) | fclose(yaml), 0);
}

static enum rc try_open(struct world w, const char *modes, const char *ablations, size_t jobs,
                        bool grid, struct sweep *s, struct error *err)
{
    static struct config_issues issues;
    const struct sweep_overrides o = {.has_jobs = true, .jobs = jobs};
    char path[128];
    char text[TEXT];
    write_cohort(w);
    FILE *yaml = file("sim.yaml");
    assert_true(snprintf(text, sizeof text, sim, w.masked ? "  masked: true\n" : "", modes,
                         ablations) < TEXT);
    (void)fputs(text, yaml);
    assert_int_equal(fclose(yaml), 0);
    (void)snprintf(path, sizeof path, "%s/sim.yaml", folder);
    issues = (struct config_issues){0};
    return sweep_open(path, grid, &o, s, &issues, err);
}

static void run(struct world w, const char *modes, const char *ablations, size_t jobs,
                struct sweep *s, struct sweep_results *r)
{
    struct error err = {0};
    *s = (struct sweep){0};
    *r = (struct sweep_results){0};
    enum rc rc = try_open(w, modes, ablations, jobs, true, s, &err);
    if (rc == RC_OK) {
        rc = sweep_run(s, NULL, r, &err);
    }
    if (rc != RC_OK) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, RC_OK);
}

static void drop(struct sweep *s, struct sweep_results *r)
{
    sweep_results_release(r);
    sweep_release(s);
}

static const struct report_row *find(const struct sweep_results *r, const char *ablation,
                                     const char *mode)
{
    size_t i = 0;
    while (i < r->n &&
           (strcmp(r->row[i].ablation, ablation) != 0 || strcmp(r->row[i].mode, mode) != 0)) {
        i++;
    }
    assert_true(i < r->n);
    return &r->row[i];
}

/* All that was measured, to the bit. */
static bool same(const struct report_row *a, const struct report_row *b)
{
    bool same = a->auroc == b->auroc && a->ece == b->ece && a->auprc == b->auprc;
    for (size_t i = 0; i < a->n_patterns; i++) {
        same = same && a->pattern[i].auroc.value == b->pattern[i].auroc.value;
    }
    return same;
}

static const struct world as_it_is;

static void every_ablation_crosses_the_grid_and_the_base_comes_first(void **state)
{
    (void)state;
    struct sweep s[2];
    struct sweep_results r[2];
    run(as_it_is, "pooled, federated", "", 1, &s[0], &r[0]);
    run(as_it_is, "pooled, federated",
        "  ablations:\n"
        "    - {name: no modality dropout, model: {modality_dropout: 0}}\n"
        "    - {name: the same, model: {fusion: late}}\n"
        "    - {name: gmu, model: {fusion: gmu}}\n"
        "    - {name: logistic, model: {name: logistic}}\n",
        1, &s[1], &r[1]);
    assert_int_equal(r[0].n, 2);
    assert_int_equal(r[1].n, 10);
    assert_int_equal(sweep_worlds(&s[1]), 20);
    assert_string_equal(r[1].row[0].ablation, "base");
    assert_string_equal(r[1].row[2].ablation, "no modality dropout");
    assert_string_equal(r[1].row[8].ablation, "logistic");
    for (size_t i = 0; i < 2; i++) {
        assert_true(same(&r[0].row[i], &r[1].row[i]));     /* nobody is moved by the others */
        assert_true(same(&r[0].row[i], &r[1].row[4 + i])); /* nothing changed is nothing changed */
        assert_false(same(&r[0].row[i], &r[1].row[2 + i]));
        assert_false(same(&r[0].row[i], &r[1].row[6 + i]));
        assert_false(same(&r[0].row[i], &r[1].row[8 + i]));
    }
    drop(&s[0], &r[0]);
    drop(&s[1], &r[1]);
}

static void a_modality_left_out_is_neither_learned_from_nor_looked_at(void **state)
{
    (void)state;
    static const char list[] = "  ablations:\n"
                               "    - {name: no notes, without: [notes]}\n"
                               "    - {name: no table, without: [table]}\n"
                               "    - {name: notes, without: [course, table]}\n";
    struct sweep s[2];
    struct sweep_results r[2];
    run(as_it_is, "federated", list, 1, &s[0], &r[0]);
    run((struct world){.odd_notes = true}, "federated", list, 1, &s[1], &r[1]);
    assert_true(same(find(&r[0], "no notes", "federated"), find(&r[1], "no notes", "federated")));
    assert_false(same(find(&r[0], "base", "federated"), find(&r[1], "base", "federated")));
    assert_false(same(find(&r[0], "no table", "federated"), find(&r[1], "no table", "federated")));
    /* whoever has the table alone has nothing that this model reads, and gets one score all the same */
    assert_int_equal(find(&r[0], "notes", "federated")->pattern[0].n_patients, 36);
    drop(&s[0], &r[0]);
    drop(&s[1], &r[1]);
}

static void a_site_left_out_does_not_train_and_is_tested_by_the_others(void **state)
{
    (void)state;
    static const char list[] = "  ablations:\n    - {name: two, without_sites: [c]}\n";
    struct sweep s[2];
    struct sweep_results r[2];
    run(as_it_is, "pooled, federated, local_only", list, 1, &s[0], &r[0]);
    run((struct world){.odd_c = true}, "pooled, federated, local_only", list, 1, &s[1], &r[1]);
    static const char *const modes[] = {"pooled", "federated", "local_only"};
    for (size_t m = 0; m < 3; m++) {
        const struct report_row *x = find(&r[0], "two", modes[m]);
        const struct report_row *y = find(&r[1], "two", modes[m]);
        assert_int_equal(x->n_sites, 3);
        assert_true(x->site[0].auroc.value == y->site[0].auroc.value);
        assert_true(x->site[1].auroc.value == y->site[1].auroc.value);
        assert_true(x->site[2].epsilon_spent == 0.0);
        assert_true(isinf(x->site[0].epsilon_spent));
        assert_int_equal(x->site[2].n_patients, m == 2 ? 0 : PATIENTS / 3);
        assert_int_equal(x->site[2].has_auroc, m != 2);
        const struct report_row *base[2] = {find(&r[0], "base", modes[m]),
                                            find(&r[1], "base", modes[m])};
        /* where c does train, its odd numbers are felt by the others */
        assert_int_equal(base[0]->site[0].auroc.value != base[1]->site[0].auroc.value, m != 2);
        assert_true(isinf(base[0]->site[2].epsilon_spent));
    }
    drop(&s[0], &r[0]);
    drop(&s[1], &r[1]);
}

static void the_first_sites_of_the_roster_train_where_the_grid_says_how_many(void **state)
{
    (void)state;
    struct sweep s[2];
    struct sweep_results r[2];
    run(as_it_is, "federated, local_only", "  sites: [3, 1, 2]\n", 1, &s[0], &r[0]);
    run(as_it_is, "federated, local_only",
        "  ablations: [{name: other, without_sites: [b, c]}, {name: less, without_sites: [c]}]\n",
        1, &s[1], &r[1]);
    assert_int_equal(s[0].n_ablations, 3); /* all three are the study itself */
    assert_string_equal(s[0].ablation[1].name, "1 site");
    assert_string_equal(s[0].ablation[2].name, "2 sites");
    static const char *const same[][2] = {{"1 site", "other"}, {"2 sites", "less"}};
    for (size_t i = 0; i < 2; i++) {
        const struct report_row *x = find(&r[0], same[i][0], "federated");
        const struct report_row *y = find(&r[1], same[i][1], "federated");
        assert_true(x->site[0].auroc.value == y->site[0].auroc.value);
        assert_int_equal(x->site[2].n_patients, PATIENTS / 3); /* tested by the others' model */
    }
    assert_true(find(&r[0], "1 site", "federated")->site[1].epsilon_spent == 0.0);
    assert_true(isinf(find(&r[0], "2 sites", "federated")->site[1].epsilon_spent));
    assert_true(find(&r[0], "2 sites", "federated")->site[2].epsilon_spent == 0.0);
    drop(&s[0], &r[0]);
    drop(&s[1], &r[1]);
}

static void a_number_of_sites_that_cannot_be_is_refused_at_its_place(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"  sites: [2, 4]\n", "20:14: error: sites: a number from 1 to the study's 3"},
        {"  sites: []\n", "20:10: error: 'sites' is empty; list at least one"},
        {"  sites: [0]\n", "20:11: error: sites: a number from 1"},
        {"  sites: [2, 2]\n", "20:14: error: sites: '2 sites' is there already"},
        {"  sites: [two]\n", "20:11: error: "},
        {"  sites: 2\n", "20:10: error: sites: '2' must be a list"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct sweep s = {0};
        struct error err = {0};
        assert_int_equal(try_open(as_it_is, "federated", wrong[i][0], 1, true, &s, &err),
                         RC_INVALID);
        if (strstr(err.text, wrong[i][1]) == NULL) {
            fail_msg("%s   gives   %s\n   and not %s", wrong[i][0], err.text, wrong[i][1]);
        }
    }
}

/* Found out where the first of its worlds begins, the sweep's hours would be lost with it. */
static void a_federation_too_small_for_masks_is_refused_before_anything_is_trained(void **state)
{
    (void)state;
    static const struct {
        const char *modes, *more, *says; /* says NULL: it is fine */
    } of[] = {
        {"pooled, federated", "  sites: [3, 2]\n", "21:14: error: '2 sites': masked: true, with"},
        {"federated", "  ablations: [{name: less, without_sites: [a]}]\n",
         "21:15: error: 'less': masked: true, with fewer than 3"},
        {"federated", "  sites: [3]\n", NULL},
        {"pooled, local_only", "  sites: [2]\n", NULL}, /* nobody masks there */
    };
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        struct sweep s = {0};
        struct error err = {0};
        const struct world w = {.masked = true};
        const enum rc rc = try_open(w, of[i].modes, of[i].more, 1, true, &s, &err);
        assert_int_equal(rc, of[i].says == NULL ? RC_OK : RC_INVALID);
        if (of[i].says != NULL && strstr(err.text, of[i].says) == NULL) {
            fail_msg("%s   gives   %s\n   and not %s", of[i].more, err.text, of[i].says);
        }
        sweep_release(&s);
    }
}

static void the_number_of_threads_changes_no_byte_of_an_ablation(void **state)
{
    (void)state;
    struct sweep s[2];
    struct sweep_results r[2];
    for (size_t i = 0; i < 2; i++) {
        run(as_it_is, "federated",
            "  ablations:\n"
            "    - {name: gate, model: {fusion: gate}}\n"
            "    - {name: less, without: [course], without_sites: [a]}\n",
            1 + 2 * i, &s[i], &r[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_true(same(&r[0].row[i], &r[1].row[i]));
    }
    drop(&s[0], &r[0]);
    drop(&s[1], &r[1]);
}

static void a_pattern_counts_whom_the_files_name_and_ranks_them_alone(void **state)
{
    (void)state;
    static const char *const name[] = {"table+course+notes", "table+course", "table+notes",
                                       "table"};
    struct sweep s;
    struct sweep_results r;
    run(as_it_is, "federated", "", 1, &s, &r);
    const struct report_row *row = &r.row[0];
    assert_int_equal(row->n_patterns, 4);
    for (size_t k = 0; k < 4; k++) {
        size_t n = 0;
        size_t ill = 0;
        for (int i = 0; i < PATIENTS; i++) {
            const bool of = has_course(i) == (k < 2) && has_notes(i) == (k % 2 == 0);
            n += of;
            ill += of && is_ill(i);
        }
        assert_string_equal(row->pattern[k].name, name[k]);
        assert_int_equal(row->pattern[k].n_patients, n);
        assert_int_equal(row->pattern[k].n_positive, ill);
        assert_int_equal(row->pattern[k].has_auroc, ill > 0 && ill < n);
    }
    assert_false(row->pattern[3].has_auroc);

    /* Scores by hand: right within the first pattern, wrong within the second. */
    double score[PATIENTS];
    size_t part[PATIENTS] = {0};
    for (int i = 0; i < PATIENTS; i++) { /* p00, p01, … are in the order of ids */
        score[i] = is_ill(i) == has_notes(i) ? 0.8 : 0.3;
    }
    const struct sweep_cell cell = sweep_cell_at(&s, 0);
    struct report_pattern pattern[4];
    memset(pattern, 0, sizeof pattern);
    struct report_row by_hand = {.pattern = pattern};
    struct error err = {0};
    assert_int_equal(sweep_patterns(&s, &cell, part, score, &by_hand, &err), RC_OK);
    assert_true(pattern[0].auroc.value == 1.0);
    assert_true(pattern[1].auroc.value == 0.0);
    drop(&s, &r);
}

static void a_table_alone_has_no_patterns(void **state)
{
    (void)state;
    struct sweep s = {0};
    struct dataset d = {.n_patients = 1, .n_values = 1};
    s.data = &d;
    assert_int_equal(sweep_patterns_most(&s), 0);
}

static void a_run_is_of_the_base_alone(void **state)
{
    (void)state;
    struct sweep s = {0};
    struct error err = {0};
    assert_int_equal(try_open(as_it_is, "federated",
                              "  ablations: [{name: gmu, model: {fusion: gmu}}]\n", 1, false, &s,
                              &err),
                     RC_OK);
    assert_int_equal(sweep_rows(&s), 1);
    sweep_release(&s);
    assert_int_equal(try_open(as_it_is, "federated",
                              "  ablations: [{name: gmu, model: {fusion: gm}}]\n", 1, false, &s,
                              &err),
                     RC_INVALID);
}

static void what_an_ablation_cannot_mean_is_refused_at_its_place(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"{name: x, model: {fusion: gmx}}", "21:39: error: fusion: 'gmx'"},
        {"{name: x, model: {fusoin: gmu}}", "did you mean 'fusion'"},
        {"{name: x, model: {hidden: [4]}}", "21:39: error: hidden"},
        {"{name: x, model: {width: 6, heads: 4}}", "21:48: error: heads: must divide width"},
        {"{name: x, model: {fusion: concat}}", "21:13: error: fusion 'fusion': concat needs every"},
        {"{name: x, model: []}", "model: must be a map"},
        {"{name: x, without: [nites]}",
         "21:33: error: without: no modality is named 'nites'; name table, course or notes"},
        {"{name: x, without: [notes, notes]}", "21:40: error: without: 'notes' stands here twice"},
        {"{name: x, without: [table, course, notes]}", "nothing is left to learn from"},
        {"{name: x, without: {notes: 1}}", "21:32: error: without: must be a list"},
        {"{name: x, without_sites: [d]}",
         "21:39: error: without_sites: no site of the study is named 'd'"},
        {"{name: x, without_sites: [a, b, c]}", "21:45: error: without_sites: no site is left"},
        {"{name: x}", "21:13: error: an ablation changes something"},
        {"{model: {fusion: gmu}}", "missing key 'name'"},
        {"{name: base, without: [notes]}", "21:20: error: name: 'base' is the study itself"},
        {"{name: x, without: [notes]}, {name: x, without: [course]}",
         "21:49: error: name: 'x' is another ablation's"},
        {"gmu", "21:13: error: an ablation is a map"},
        {"{name: x, epsilon: 3, without: [notes]}", "unknown key 'epsilon'"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char list[256];
        struct sweep s = {0};
        struct error err = {0};
        (void)snprintf(list, sizeof list, "  ablations: [\n            %s]\n", wrong[i][0]);
        assert_int_equal(try_open(as_it_is, "federated", list, 1, true, &s, &err), RC_INVALID);
        if (strstr(err.text, wrong[i][1]) == NULL) {
            fail_msg("%s\n   gives   %s\n   and not %s", wrong[i][0], err.text, wrong[i][1]);
        }
    }
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(every_ablation_crosses_the_grid_and_the_base_comes_first),
        IN_FOLDER(a_modality_left_out_is_neither_learned_from_nor_looked_at),
        IN_FOLDER(a_site_left_out_does_not_train_and_is_tested_by_the_others),
        IN_FOLDER(the_first_sites_of_the_roster_train_where_the_grid_says_how_many),
        IN_FOLDER(a_number_of_sites_that_cannot_be_is_refused_at_its_place),
        IN_FOLDER(a_federation_too_small_for_masks_is_refused_before_anything_is_trained),
        IN_FOLDER(the_number_of_threads_changes_no_byte_of_an_ablation),
        IN_FOLDER(a_pattern_counts_whom_the_files_name_and_ranks_them_alone),
        cmocka_unit_test(a_table_alone_has_no_patterns),
        IN_FOLDER(a_run_is_of_the_base_alone),
        IN_FOLDER(what_an_ablation_cannot_mean_is_refused_at_its_place),
    };
    return cmocka_run_group_tests_name("sweep_ablation", tests, NULL, NULL);
}
