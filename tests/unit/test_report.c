#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/report/report.h"
#include "tests/support/folder.h"

/* Of each test; removed with what the test names. */
static char folder[FOLDER_PATH_MAX];

static int make_folder(void **state)
{
    (void)state;
    return folder_make("report", folder);
}

static const char *in_folder(const char *name)
{
    return folder_file(folder, name);
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"results.csv",     "sites.csv",       "tradeoff.svg",
                                        "tradeoff.gp",     "tradeoff.csv",    "again.svg",
                                        "it's & <it>.svg", "it's & <it>.gp",  "it's & <it>.csv",
                                        "table.txt",       "patterns.csv",    "tradeoff.png",
                                        "again.png",       "it's & <it>.png", "curves.csv"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)unlink(in_folder(names[i]));
    }
    return rmdir(folder); /* fails if anything unexpected, such as a temporary file, is left */
}

static struct report_site sites[2] = {
    {.name = "north, \"old\" wing",
     .has_auroc = true,
     .auroc = {0.875, 0.75, 1.0},
     .epsilon_spent = 0.98,
     .accuracy = 0.8,
     .n_patients = 40},
    {.name = "south", .epsilon_spent = 0.98, .accuracy = 0.5, .n_patients = 3},
};

static struct report_row row_of(const char *mode, const char *noise, double epsilon, uint64_t seed,
                                double auroc)
{
    struct report_row r = {
        .epsilon = epsilon,
        .delta = isinf(epsilon) ? 0.0 : 1e-3,
        .auroc = auroc,
        .auroc_low = auroc - 0.02,
        .auroc_high = auroc + 0.02,
        .auroc_site_mean = auroc - 0.07,
        .auprc = 0.8,
        .ece = 0.05,
        .accuracy = 0.82,
        .accuracy_site_mean = 0.79,
        .seed = seed,
        .rounds = 60,
        .folds = 5,
        .seconds = 1.5,
        .noise_multiplier = isinf(epsilon) ? 0.0 : 4.0 / epsilon,
        .sample_rate = 0.25,
        .steps = 120,
        .n_sites = 2,
        .site = sites,
    };
    (void)snprintf(r.ablation, sizeof r.ablation, "%s", REPORT_BASE);
    (void)snprintf(r.mode, sizeof r.mode, "%s", mode);
    (void)snprintf(r.noise, sizeof r.noise, "%s", noise);
    return r;
}

/* A grid as a study would give it. */
static size_t fill_grid(struct report_row *row)
{
    static const double epsilon[] = {0.5, 1.0, 2.0, 4.0, 8.0};
    static const double site[] = {0.868, 0.886, 0.894, 0.899, 0.9005};
    static const double shared[] = {0.884, 0.8935, 0.8985, 0.901, 0.902};
    static const double wobble[] = {-0.006, 0.002, 0.004};
    size_t n = 0;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const double w = wobble[seed - 1];
        row[n++] = row_of("pooled", "none", HUGE_VAL, seed, 0.907 + 0.2 * w);
        row[n++] = row_of("local_only", "none", HUGE_VAL, seed, 0.861 + 0.3 * w);
        row[n++] = row_of("federated", "none", HUGE_VAL, seed, 0.903 + 0.2 * w);
        for (size_t k = 0; k < 5; k++) {
            row[n++] = row_of("federated", "site", epsilon[k], seed, site[k] + w / epsilon[k]);
            row[n++] =
                row_of("federated", "shared", epsilon[k], seed, shared[k] + 0.6 * w / epsilon[k]);
        }
    }
    return n;
}

static void a_row_in_json_has_the_promised_keys(void **state)
{
    (void)state;
    const struct report_row r = row_of("federated", "site", 1.0, 7, 0.9);
    json_t *o = report_row_json(&r);
    assert_non_null(o);
    static const char *const numbers[] = {"auroc",
                                          "auroc_low",
                                          "auroc_high",
                                          "auroc_site_mean",
                                          "epsilon",
                                          "delta",
                                          "rounds",
                                          "seconds",
                                          "seed",
                                          "auprc",
                                          "ece",
                                          "accuracy",
                                          "accuracy_site_mean",
                                          "folds",
                                          "noise_multiplier",
                                          "sample_rate",
                                          "steps"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (!json_is_number(json_object_get(o, numbers[i]))) {
            fail_msg("%s is not a number", numbers[i]);
        }
    }
    assert_string_equal(json_string_value(json_object_get(o, "mode")), "federated");
    assert_string_equal(json_string_value(json_object_get(o, "noise")), "site");
    assert_int_equal(json_integer_value(json_object_get(o, "seed")), 7);
    assert_true(json_real_value(json_object_get(o, "auroc_low")) == 0.9 - 0.02);
    const json_t *list = json_object_get(o, "sites");
    assert_int_equal(json_array_size(list), 2);
    const json_t *first = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "north, \"old\" wing");
    assert_true(json_real_value(json_object_get(first, "auroc")) == 0.875);
    assert_true(json_real_value(json_object_get(first, "epsilon_spent")) == 0.98);
    json_decref(o);
}

static void what_json_cannot_say_is_null(void **state)
{
    (void)state;
    struct report_row r = row_of("pooled", "none", HUGE_VAL, UINT64_MAX, 0.9);
    r.auroc_site_mean = (double)NAN;
    json_t *o = report_row_json(&r);
    assert_non_null(o);
    assert_true(json_is_null(json_object_get(o, "epsilon")));
    assert_true(json_is_null(json_object_get(o, "auroc_site_mean")));
    const json_t *second = json_array_get(json_object_get(o, "sites"), 1);
    assert_true(json_is_null(json_object_get(second, "auroc")));
    assert_string_equal(json_string_value(json_object_get(o, "seed")), "18446744073709551615");
    json_decref(o);
}

static void many_rows_are_one_object(void **state)
{
    (void)state;
    const struct report_row r[2] = {row_of("pooled", "none", HUGE_VAL, 1, 0.9),
                                    row_of("federated", "site", 1.0, 1, 0.8)};
    json_t *o = report_rows_json("heart", r, 2);
    assert_int_equal(json_array_size(json_object_get(o, "rows")), 2);
    assert_string_equal(json_string_value(json_object_get(o, "study")), "heart");
    json_decref(o);
    assert_null(
        report_rows_json("\xff", r, 2)); /* not UTF-8: nothing rather than something broken */
}

static void rows_of_one_cell_become_mean_and_deviation(void **state)
{
    (void)state;
    struct report_row r[6] = {
        row_of("federated", "site", 1.0, 1, 0.80),  row_of("local_only", "none", HUGE_VAL, 1, 0.70),
        row_of("federated", "site", 4.0, 1, 0.88),  row_of("federated", "site", 1.0, 2, 0.84),
        row_of("pooled", "none", HUGE_VAL, 1, 0.9), row_of("federated", "none", HUGE_VAL, 1, 0.89)};
    r[0].auroc_site_mean = (double)NAN;
    struct report_summary s[6];
    assert_int_equal(report_summaries(r, 6, s), 5);
    assert_string_equal(s[0].mode, "pooled");
    assert_string_equal(s[1].noise, "none");
    assert_true(s[2].epsilon == 4.0); /* strongest privacy last */
    assert_true(s[3].epsilon == 1.0);
    assert_string_equal(s[4].mode, "local_only");
    assert_int_equal(s[3].n_seeds, 2);
    assert_true(fabs(s[3].auroc - 0.82) < 1e-12);
    assert_true(fabs(s[3].auroc_sd - 0.04 / sqrt(2.0)) < 1e-12);
    assert_true(fabs(s[3].auroc_low - 0.80) < 1e-12);
    assert_true(fabs(s[3].auroc_site_mean - 0.77) < 1e-12); /* of the one row that has it */
    assert_true(s[0].auroc_sd == 0.0);
}

static void another_delta_is_another_cell(void **state)
{
    (void)state;
    struct report_row r[2] = {row_of("federated", "site", 1.0, 1, 0.80),
                              row_of("federated", "site", 1.0, 1, 0.84)};
    r[1].delta = 1e-5;
    struct report_summary s[2];
    assert_int_equal(report_summaries(r, 2, s), 2);
    assert_true(s[0].delta > s[1].delta);
}

static void tables_quote_what_needs_quoting(void **state)
{
    (void)state;
    struct error err = {0};
    struct report_row r[2] = {row_of("federated", "site", 0.1, 3, 0.9),
                              row_of("pooled", "none", HUGE_VAL, 3, 0.1 + 0.2)};
    r[0].auroc_site_mean = (double)NAN;
    r[1].n_sites = 0;
    assert_int_equal(report_write_csv(in_folder("results.csv"), r, 2, &err), RC_OK);
    assert_int_equal(report_write_sites_csv(in_folder("sites.csv"), r, 2, &err), RC_OK);
    char text[4096];
    (void)folder_read(in_folder("results.csv"), text, sizeof text);
    assert_string_equal(
        text,
        "ablation,mode,noise,epsilon,delta,seed,auroc,auroc_low,auroc_high,auroc_site_mean,auprc,"
        "ece,accuracy,accuracy_site_mean,rounds,folds,noise_multiplier,n_sites,seconds,"
        "sample_rate,steps\n"
        "base,federated,site,0.1,0.001,3,0.9,0.88,0.92,,0.8,0.05,0.82,0.79,60,5,40,2,1.5,0.25,120\n"
        "base,pooled,none,inf,0,3,0.30000000000000004,0.28,0.32000000000000006,"
        "0.23000000000000004,0.8,0.05,0.82,0.79,60,5,0,0,1.5,0.25,120\n");
    (void)folder_read(in_folder("sites.csv"), text, sizeof text);
    assert_string_equal(
        text, "ablation,mode,noise,epsilon,delta,seed,site,patients,auroc,auroc_low,"
              "auroc_high,accuracy,epsilon_spent\n"
              "base,federated,site,0.1,0.001,3,\"north, \"\"old\"\" wing\",40,0.875,0.75,1,"
              "0.8,0.98\n"
              "base,federated,site,0.1,0.001,3,south,3,,,,0.5,0.98\n");
}

static struct report_pattern patterns[2] = {
    {.name = "table+notes",
     .has_auroc = true,
     .auroc = {0.75, 0.5, 1.0},
     .n_patients = 8,
     .n_positive = 3},
    {.name = "table", .n_patients = 2},
};

/* One row of the study and one of an ablation, both with patterns. */
static void fill_ablation(struct report_row r[2])
{
    r[0] = row_of("federated", "none", HUGE_VAL, 3, 0.9);
    r[1] = row_of("federated", "none", HUGE_VAL, 3, 0.8);
    (void)snprintf(r[1].ablation, sizeof r[1].ablation, "it's \"a\", gate");
    for (size_t i = 0; i < 2; i++) {
        r[i].n_patterns = 2;
        r[i].pattern = patterns;
    }
}

static void an_ablation_is_a_cell_of_its_own_after_those_before_it(void **state)
{
    (void)state;
    struct report_row r[5] = {row_of("federated", "none", HUGE_VAL, 1, 0.9),
                              row_of("pooled", "none", HUGE_VAL, 1, 0.9),
                              row_of("pooled", "none", HUGE_VAL, 1, 0.8),
                              row_of("pooled", "none", HUGE_VAL, 1, 0.7),
                              row_of("federated", "none", HUGE_VAL, 2, 0.8)};
    (void)snprintf(r[2].ablation, sizeof r[2].ablation, "z");
    (void)snprintf(r[3].ablation, sizeof r[3].ablation, "a");
    struct report_summary s[5];
    assert_int_equal(report_summaries(r, 5, s), 4);
    assert_string_equal(s[0].mode, "pooled");
    assert_string_equal(s[1].mode, "federated");
    assert_int_equal(s[1].n_seeds, 2);
    assert_string_equal(s[2].ablation, "z"); /* as in the rows, not as in the alphabet */
    assert_string_equal(s[3].ablation, "a");
    assert_true(fabs(s[3].auroc - 0.7) < 1e-12);
}

static void a_pattern_of_one_class_has_no_auroc_and_says_so(void **state)
{
    (void)state;
    struct error err = {0};
    struct report_row r[2];
    char text[4096];
    fill_ablation(r);
    json_t *o = report_row_json(&r[1]);
    assert_string_equal(json_string_value(json_object_get(o, "ablation")), "it's \"a\", gate");
    const json_t *all = json_array_get(json_object_get(o, "patterns"), 0);
    const json_t *bare = json_array_get(json_object_get(o, "patterns"), 1);
    assert_true(fabs(json_real_value(json_object_get(all, "auroc")) - 0.75) < 1e-12);
    assert_int_equal(json_integer_value(json_object_get(all, "positives")), 3);
    assert_null(json_object_get(all, "why_no_auroc"));
    assert_true(json_is_null(json_object_get(bare, "auroc")));
    assert_string_equal(json_string_value(json_object_get(bare, "why_no_auroc")), "one class only");
    json_decref(o);

    assert_int_equal(report_write_patterns_csv(in_folder("patterns.csv"), r, 2, &err), RC_OK);
    (void)folder_read(in_folder("patterns.csv"), text, sizeof text);
    assert_string_equal(
        text, "ablation,mode,noise,epsilon,delta,seed,modalities,patients,positives,"
              "auroc,auroc_low,auroc_high,note\n"
              "base,federated,none,inf,0,3,table+notes,8,3,0.75,0.5,1,\n"
              "base,federated,none,inf,0,3,table,2,0,,,,one class only\n"
              "\"it's \"\"a\"\", gate\",federated,none,inf,0,3,table+notes,8,3,0.75,0.5,1,\n"
              "\"it's \"\"a\"\", gate\",federated,none,inf,0,3,table,2,0,,,,one class only\n");

    struct report_summary s[2];
    FILE *f = fopen(in_folder("table.txt"), "wb");
    assert_non_null(f);
    report_print_patterns(f, s, report_summaries(r, 2, s), r, 2);
    (void)fclose(f);
    (void)folder_read(in_folder("table.txt"), text, sizeof text);
    assert_non_null(strstr(text, "table+notes         8          3  0.750 [0.500, 1.000]"));
    assert_non_null(strstr(text, "table               2          0        one class only"));
}

static void a_learning_curve_is_a_line_per_point_and_a_list_in_json(void **state)
{
    (void)state;
    struct error err = {0};
    struct report_point point[2] = {{.round = 5, .auroc = (double)NAN},
                                    {.round = 10, .auroc = 0.75}};
    struct report_row r[2] = {row_of("federated", "site", 1.0, 7, 0.9),
                              row_of("local_only", "none", HUGE_VAL, 7, 0.9)};
    char text[1024];
    r[0].n_curve = 2;
    r[0].curve = point;
    json_t *o = report_row_json(&r[0]);
    const json_t *curve = json_object_get(o, "curve");
    assert_int_equal(json_array_size(curve), 2);
    assert_true(json_is_null(json_object_get(json_array_get(curve, 0), "auroc")));
    assert_true(json_real_value(json_object_get(json_array_get(curve, 1), "auroc")) == 0.75);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(curve, 1), "round")), 10);
    json_decref(o);
    o = report_row_json(&r[1]);
    assert_null(json_object_get(o, "curve"));
    json_decref(o);

    assert_int_equal(report_write_curves_csv(in_folder("curves.csv"), r, 2, &err), RC_OK);
    (void)folder_read(in_folder("curves.csv"), text, sizeof text);
    assert_string_equal(text, "ablation,mode,noise,epsilon,delta,seed,round,auroc\n"
                              "base,federated,site,1,0.001,7,5,\n"
                              "base,federated,site,1,0.001,7,10,0.75\n");
}

static void the_tables_name_ablations_where_there_are_any(void **state)
{
    (void)state;
    struct report_row r[2];
    char text[4096];
    fill_ablation(r);
    for (size_t n = 1; n <= 2; n++) {
        struct report_summary s[2];
        FILE *f = fopen(in_folder("table.txt"), "wb");
        assert_non_null(f);
        report_print_table(f, s, report_summaries(r, n, s));
        (void)fclose(f);
        (void)folder_read(in_folder("table.txt"), text, sizeof text);
        assert_true((strncmp(text, "ablation", 8) == 0) == (n == 2));
        assert_true((strstr(text, "it's \"a\", gate  federated") != NULL) == (n == 2));
    }
}

static void an_absent_folder_is_a_sentence(void **state)
{
    (void)state;
    struct error err = {0};
    const struct report_row r = row_of("federated", "site", 1.0, 1, 0.9);
    assert_int_equal(report_write_csv(in_folder("absent/results.csv"), &r, 1, &err), RC_IO);
    assert_non_null(strstr(err.text, "absent/results.csv': No such file"));
    assert_int_equal(report_write_sites_csv(in_folder("absent/sites.csv"), &r, 1, &err), RC_IO);
    assert_int_equal(report_write_svg(in_folder("absent/t.svg"), "s", &r, 1, &err), RC_IO);
    assert_non_null(strstr(err.text, "No such file"));
}

static void a_place_that_cannot_be_taken_leaves_no_file(void **state)
{
    (void)state;
    /* A folder stands in the way: the writing succeeds, the renaming does not. */
    struct error err = {0};
    const struct report_row r = row_of("federated", "site", 1.0, 1, 0.9);
    assert_int_equal(mkdir(in_folder("blocked"), 0700), 0);
    assert_int_equal(report_write_csv(in_folder("blocked"), &r, 1, &err), RC_IO);
    assert_non_null(strstr(err.text, "cannot write"));
    assert_int_equal(rmdir(in_folder("blocked")), 0);
}

static void an_endless_path_is_refused(void **state)
{
    (void)state;
    static char path[8000];
    memset(path, 'x', sizeof path - 5);
    memcpy(path + sizeof path - 5, ".svg", 5);
    struct error err = {0};
    const struct report_row r = row_of("federated", "site", 1.0, 1, 0.9);
    assert_int_equal(report_write_csv(path, &r, 1, &err), RC_LIMIT);
    assert_int_equal(report_write_svg(path, "s", &r, 1, &err), RC_LIMIT);
}

static bool have_gnuplot(void)
{
    return system("gnuplot --version >/dev/null 2>&1") == 0; /* NOLINT(cert-env33-c) */
}

static void skip_without_gnuplot(void)
{
    if (!have_gnuplot()) {
        print_message("gnuplot is not installed (package gnuplot-nox): skipped\n");
        skip();
    }
}

static char svg[400000], svg_again[400000];

static void the_figure_names_its_series(void **state)
{
    (void)state;
    skip_without_gnuplot();
    struct error err = {0};
    static struct report_row r[64];
    const size_t n = fill_grid(r);
    assert_int_equal(
        report_write_svg(in_folder("tradeoff.svg"), "Heart & <four> hospitals", r, n, &err), RC_OK);
    (void)folder_read(in_folder("tradeoff.svg"), svg, sizeof svg);
    assert_non_null(strstr(svg, "Heart &amp; &lt;four"));
    assert_non_null(strstr(svg, "federated, site noise"));
    assert_non_null(strstr(svg, "federated, shared noise"));
    assert_non_null(strstr(svg, "local only"));
    assert_non_null(strstr(svg, "#0072B2") != NULL ? svg : strstr(svg, "0, 114, 178"));
    assert_non_null(strstr(svg, "∞"));
    assert_non_null(strstr(svg, "3 seeds"));
    assert_non_null(strstr(svg, "</svg>"));
}

static void the_same_rows_draw_the_same_bytes_again_from_the_script(void **state)
{
    (void)state;
    skip_without_gnuplot();
    struct error err = {0};
    static struct report_row r[64];
    const size_t n = fill_grid(r);
    assert_int_equal(report_write_svg(in_folder("tradeoff.svg"), "heart", r, n, &err), RC_OK);
    const size_t first = folder_read(in_folder("tradeoff.svg"), svg, sizeof svg);
    assert_int_equal(unlink(in_folder("tradeoff.svg")), 0);
    char command[600];
    (void)snprintf(command, sizeof command, "cd '%s' && gnuplot tradeoff.gp", folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
    const size_t second = folder_read(in_folder("tradeoff.svg"), svg_again, sizeof svg_again);
    assert_int_equal(first, second);
    assert_memory_equal(svg, svg_again, first);
}

static void draw(const struct report_row *r, size_t n)
{
    struct error err = {0};
    if (report_write_svg(in_folder("tradeoff.svg"), "heart", r, n, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    (void)folder_read(in_folder("tradeoff.svg"), svg, sizeof svg);
    assert_non_null(strstr(svg, "</svg>"));
    assert_null(strstr(svg, "nan"));
}

static void sparse_grids_are_drawn_too(void **state)
{
    (void)state;
    skip_without_gnuplot();
    const struct report_row one_epsilon[2] = {row_of("federated", "site", 1.0, 1, 0.88),
                                              row_of("federated", "site", 1.0, 2, 0.89)};
    draw(one_epsilon, 2);
    assert_null(strstr(svg, "∞"));
    const struct report_row one_row = row_of("federated", "site", 0.1, 1, 0.88);
    draw(&one_row, 1);
    assert_non_null(strstr(svg, "one seed"));
    const struct report_row infinite = row_of("federated", "none", HUGE_VAL, 1, 0.91);
    draw(&infinite, 1);
    assert_non_null(strstr(svg, "∞"));
    const struct report_row lines[2] = {row_of("pooled", "none", HUGE_VAL, 1, 0.91),
                                        row_of("local_only", "none", HUGE_VAL, 1, 0.91)};
    draw(lines, 2);
    draw(lines, 1);
    const struct report_row perfect = row_of("federated", "site", 1.0, 1, 1.0);
    draw(&perfect, 1);
    struct report_row holes[2] = {one_epsilon[0], one_epsilon[1]};
    holes[0].auroc = holes[0].auroc_low = holes[0].auroc_high = (double)NAN;
    holes[0].epsilon = 2.0;
    draw(holes, 2);
    const struct report_row unheard_of = row_of("gossip", "local", 1.0, 1, 0.8);
    draw(&unheard_of, 1);
}

/* Two ablations at one place would hide each other. */
static void ablations_stand_side_by_side_in_the_figure(void **state)
{
    (void)state;
    skip_without_gnuplot();
    struct report_row r[2];
    static char text[1 << 17];
    double x[2] = {0.0, 0.0};
    fill_ablation(r);
    draw(r, 2);
    (void)folder_read(in_folder("tradeoff.csv"), text, sizeof text);
    const char *line = text;
    for (size_t i = 0; i < 2; i++) {
        line = strchr(line, '\n') + 1;
        const char *cell = strchr(line, '\n');
        for (size_t commas = 0; commas < 3; cell--) { /* the third cell from the end */
            commas += cell[-1] == ',';
        }
        x[i] = strtod(cell + 1, NULL);
    }
    assert_true(x[0] > 0.0);
    assert_true(x[0] < x[1]);
    (void)folder_read(in_folder("tradeoff.svg"), text, sizeof text);
    assert_non_null(strstr(text, "gate: federated, no noise"));
}

static void an_awkward_name_stays_a_name(void **state)
{
    (void)state;
    skip_without_gnuplot();
    struct error err = {0};
    const struct report_row r = row_of("federated", "site", 1.0, 1, 0.88);
    assert_int_equal(report_write_svg(in_folder("it's & <it>.svg"), "a 'b' `date` $(c)\n_{d}", &r,
                                      1, &err),
                     RC_OK);
    (void)folder_read(in_folder("it's & <it>.svg"), svg, sizeof svg);
    assert_non_null(strstr(svg, "`date` $(c) _{d}"));
}

static void a_figure_of_nothing_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct report_row r = row_of("federated", "site", 1.0, 1, (double)NAN);
    assert_int_equal(report_write_svg(in_folder("tradeoff.svg"), "s", &r, 1, &err), RC_INVALID);
    assert_int_equal(report_write_svg(in_folder("tradeoff.svg"), "s", &r, 0, &err), RC_INVALID);
    r.auroc = 0.9;
    assert_int_equal(report_write_svg(in_folder("tradeoff.png"), "s", &r, 1, &err), RC_INVALID);
    assert_int_equal(report_write_svg(in_folder(".svg"), "s", &r, 1, &err), RC_INVALID);
}

static void a_missing_gnuplot_names_its_package(void **state)
{
    (void)state;
    struct error err = {0};
    const struct report_row r = row_of("federated", "site", 1.0, 1, 0.88);
    char path[4096];
    const char *before = getenv("PATH");
    (void)snprintf(path, sizeof path, "%s", before != NULL ? before : "/usr/bin:/bin");
    assert_int_equal(setenv("PATH", folder, 1), 0);
    const enum rc rc = report_write_svg(in_folder("tradeoff.svg"), "s", &r, 1, &err);
    assert_int_equal(setenv("PATH", path, 1), 0);
    assert_int_equal(rc, RC_IO);
    assert_non_null(strstr(err.text, "gnuplot-nox"));
    assert_int_equal(access(in_folder("tradeoff.svg"), F_OK), -1);
}

static void a_failing_gnuplot_leaves_the_old_figure_and_says_why(void **state)
{
    (void)state;
    struct error err = {0};
    const struct report_row r = row_of("federated", "site", 1.0, 1, 0.88);
    FILE *f = fopen(in_folder("tradeoff.svg"), "w");
    (void)fputs("old", f);
    (void)fclose(f);
    f = fopen(in_folder("gnuplot"), "w"); /* stands before the real one */
    (void)fputs("#!/bin/sh\necho half > \"$3\"\necho 'line 3: no such terminal' >&2\nexit 1\n", f);
    (void)fclose(f);
    assert_int_equal(chmod(in_folder("gnuplot"), 0700), 0);
    char path[4096];
    const char *before = getenv("PATH");
    (void)snprintf(path, sizeof path, "%s", before != NULL ? before : "/usr/bin:/bin");
    assert_int_equal(setenv("PATH", folder, 1), 0);
    const enum rc rc = report_write_svg(in_folder("tradeoff.svg"), "s", &r, 1, &err);
    assert_int_equal(setenv("PATH", path, 1), 0);
    assert_int_equal(unlink(in_folder("gnuplot")), 0);
    assert_int_equal(rc, RC_IO);
    assert_non_null(strstr(err.text, "no such terminal"));
    (void)folder_read(in_folder("tradeoff.svg"), svg, sizeof svg);
    assert_string_equal(svg, "old");
}

static void the_table_lines_up(void **state)
{
    (void)state;
    struct report_row r[3] = {row_of("pooled", "none", HUGE_VAL, 1, 0.91234),
                              row_of("federated", "site", 0.5, 1, 0.85),
                              row_of("federated", "site", 0.5, 2, 0.87)};
    r[0].auroc_site_mean = (double)NAN;
    struct report_summary s[3];
    const size_t n = report_summaries(r, 3, s);
    FILE *f = fopen(in_folder("table.txt"), "w");
    report_print_table(f, s, n);
    (void)fclose(f);
    char text[2048];
    (void)folder_read(in_folder("table.txt"), text, sizeof text);
    assert_string_equal(
        text,
        "mode       noise  epsilon     AUROC [low, high]     sd  site mean  seeds  seconds\n"
        "pooled     none         ∞  0.912 [0.892, 0.932]      -          -      1      1.5\n"
        "federated  site       0.5  0.860 [0.840, 0.880]  0.014      0.790      2      1.5\n");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_in_json_has_the_promised_keys),
        cmocka_unit_test(what_json_cannot_say_is_null),
        cmocka_unit_test(many_rows_are_one_object),
        cmocka_unit_test(rows_of_one_cell_become_mean_and_deviation),
        cmocka_unit_test(another_delta_is_another_cell),
        IN_FOLDER(tables_quote_what_needs_quoting),
        cmocka_unit_test(an_ablation_is_a_cell_of_its_own_after_those_before_it),
        IN_FOLDER(a_pattern_of_one_class_has_no_auroc_and_says_so),
        IN_FOLDER(a_learning_curve_is_a_line_per_point_and_a_list_in_json),
        IN_FOLDER(the_tables_name_ablations_where_there_are_any),
        IN_FOLDER(ablations_stand_side_by_side_in_the_figure),
        IN_FOLDER(an_absent_folder_is_a_sentence),
        IN_FOLDER(a_place_that_cannot_be_taken_leaves_no_file),
        IN_FOLDER(an_endless_path_is_refused),
        IN_FOLDER(the_figure_names_its_series),
        IN_FOLDER(the_same_rows_draw_the_same_bytes_again_from_the_script),
        IN_FOLDER(sparse_grids_are_drawn_too),
        IN_FOLDER(an_awkward_name_stays_a_name),
        IN_FOLDER(a_figure_of_nothing_is_refused),
        IN_FOLDER(a_missing_gnuplot_names_its_package),
        IN_FOLDER(a_failing_gnuplot_leaves_the_old_figure_and_says_why),
        IN_FOLDER(the_table_lines_up),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
