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

#include "sim/report/page.h"
#include "tests/support/folder.h"

enum { SITES = 2, ROWS_MAX = 16, PAGE_BYTES_MAX = 1 << 20 };

static char folder[FOLDER_PATH_MAX];
static char page_text[PAGE_BYTES_MAX], again[PAGE_BYTES_MAX];
static struct report_row row[ROWS_MAX];
static struct report_site site[ROWS_MAX][SITES];
static struct report_pattern pattern[ROWS_MAX][1];
static size_t n_rows;

static const char *in_folder(const char *name)
{
    return folder_file(folder, name);
}

static int make_folder(void **state)
{
    (void)state;
    n_rows = 0;
    return folder_make("page", folder);
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const figures[] = {"tradeoff", "roc",      "calibration",
                                          "attack",   "learning", "hospitals"};
    static const char *const ends[] = {".svg", ".png", ".csv", ".gp"};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        for (size_t k = 0; k < 4; k++) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s%s", figures[i], ends[k]);
            (void)unlink(in_folder(name));
        }
    }
    (void)unlink(in_folder("report.html"));
    return rmdir(folder); /* fails if a temporary file is left */
}

/* A row whose hospitals have 200 patients each, on three of the public bins. */
static struct report_row *add_row(const char *ablation, const char *mode, const char *noise,
                                  double epsilon, uint64_t seed, double auroc)
{
    struct report_row *r = &row[n_rows];
    *r = (struct report_row){.epsilon = epsilon,
                             .delta = isinf(epsilon) ? 0.0 : 1e-3,
                             .auroc = auroc,
                             .auroc_low = auroc - 0.02,
                             .auroc_high = auroc + 0.02,
                             .auroc_site_mean = auroc - 0.05,
                             .auprc = 0.61,
                             .ece = 0.04,
                             .seed = seed,
                             .rounds = 20,
                             .steps = 40,
                             .folds = 5,
                             .seconds = 10.0,
                             .noise_multiplier = isinf(epsilon) ? 0.0 : 3.25,
                             .sample_rate = 0.5,
                             .update_bytes = 4000,
                             .n_sites = SITES,
                             .site = site[n_rows]};
    (void)snprintf(r->ablation, sizeof r->ablation, "%s", ablation);
    (void)snprintf(r->mode, sizeof r->mode, "%s", mode);
    (void)snprintf(r->noise, sizeof r->noise, "%s", noise);
    for (size_t k = 0; k < SITES; k++) {
        struct report_site *s = &site[n_rows][k];
        *s = (struct report_site){.has_auroc = true,
                                  .auroc = {auroc - 0.01 * (double)k, auroc - 0.1, auroc + 0.05},
                                  .epsilon_spent = epsilon,
                                  .n_patients = 200,
                                  .counts = {.bins = evaluation_bins_default().n}};
        (void)snprintf(s->name, sizeof s->name, "%s", k == 0 ? "north & east" : "south");
        s->counts.at[EVALUATION_WELL][9] = 120;
        s->counts.at[EVALUATION_WELL][14] = 40;
        s->counts.at[EVALUATION_ILL][14] = 20;
        s->counts.at[EVALUATION_ILL][20] = 20;
    }
    n_rows++;
    return r;
}

static void add_study(void)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const double wobble = 0.001 * ((double)seed - 2.0);
        (void)add_row(REPORT_BASE, "pooled", "none", HUGE_VAL, seed, 0.871 + wobble);
        (void)add_row(REPORT_BASE, "federated", "none", HUGE_VAL, seed, 0.866 + wobble);
        (void)add_row(REPORT_BASE, "federated", "site", 2.0, seed, 0.842 + wobble);
    }
}

static struct report_page page_of_rows(void)
{
    return (struct report_page){.study = "eight <hospitals>",
                                .version = "0.1.0",
                                .row = row,
                                .n_rows = n_rows,
                                .ceiling = (double)NAN};
}

static void read_page(void)
{
    (void)folder_read(in_folder("report.html"), page_text, sizeof page_text);
}

static void write_page(const struct report_page *page)
{
    struct error err = {0};
    if (report_write_page(folder, page, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    read_page();
}

static void says(const char *words)
{
    if (strstr(page_text, words) == NULL) {
        fail_msg("the page does not say: %s", words);
    }
}

static void says_not(const char *words)
{
    if (strstr(page_text, words) != NULL) {
        fail_msg("the page says: %s", words);
    }
}

static void the_headline_has_each_cell_with_its_interval_and_what_it_loses(void **state)
{
    (void)state;
    add_study();
    const struct report_page page = page_of_rows();
    write_page(&page);
    says("2 hospitals, 400 patients tested; 5 folds by patient, 3 seeds, 45 models in 3 cells");
    says("<td>federated</td><td>site</td><td class=n>2</td><td class=\"n k\">0.001</td>"
         "<td class=n>.842 [.822, .862]</td><td class=n>.001</td><td class=n>−.029</td>");
    says("<td>federated, site noise, ε = 2</td><td class=n>2</td><td class=\"n k\">0.001</td>"
         "<td class=n>7.39</td>");
    says("<td class=n>0.5</td><td class=n>40</td><td class=n>3.2500</td><td class=n>1–3</td>");
    says("at most e<sup>ε</sup> times as likely");
    says("<td class=n>4.0</td><td class=n>80</td>"); /* kB of an update, and of twenty */
    says_not("Shared noise");
}

static void what_was_not_measured_does_not_appear(void **state)
{
    (void)state;
    add_study();
    for (size_t i = 0; i < n_rows; i++) {
        for (size_t k = 0; k < SITES; k++) {
            site[i][k].counts.bins = 0;
        }
    }
    const struct report_page page = page_of_rows();
    write_page(&page);
    says_not("attack");
    says_not("Ceiling:");
    says_not("by what patients have");
    says_not("Trained by some of the hospitals");
    says_not("<h2>Configuration");
    says_not("Memory");
    says_not("Receiver operating");
    says_not("Risk strata");
    says_not("<h2>Learning");
    assert_int_equal(access(in_folder("learning.svg"), F_OK), -1);
    assert_int_equal(access(in_folder("hospitals.svg"), F_OK), -1);
}

static const struct report_attack attacks[] = {
    {"canary", "update", "site", 2.0, 1e-3, "ratio", 16, 1000, {0.05, 0.04, 0.06}, 0.12, 0.3},
    {"canary", "model", "site", 2.0, 1e-3, "ratio", 16, 1000, {0.031, 0.02, 0.05}, 0.12, 0.1},
    {"canary", "update", "none", HUGE_VAL, 0.0, "match", 8, 1000, {1.0, 0.99, 1.0}, 1.0, 4.0},
    {"canary", "sum", "none", HUGE_VAL, 0.0, "match", 8, 1000, {1.0, 0.99, 1.0}, 1.0, 4.0},
    {"canary", "model", "none", HUGE_VAL, 0.0, "ratio", 16, 1000, {0.93, 0.9, 0.95}, 1.0, 4.0},
};

/* Attacks, a ceiling, a configuration, sets of modalities, and a hospital left out. */
static struct report_page everything(void)
{
    add_study();
    for (uint64_t seed = 1; seed <= 3; seed++) {
        add_row("without south", "federated", "none", HUGE_VAL, seed, 0.846)->site[1].left_out =
            true;
    }
    for (size_t i = 0; i < n_rows; i++) {
        pattern[i][0] = (struct report_pattern){.name = "table+film",
                                                .n_patients = 55,
                                                .n_positive = 9,
                                                .has_auroc = true,
                                                .auroc = {0.75, 0.7, 0.8}};
        row[i].pattern = pattern[i];
        row[i].n_patterns = 1;
    }
    struct report_page page = page_of_rows();
    page.config = "name: <script>alert(1)</script> & more\n";
    page.attack = attacks;
    page.n_attacks = sizeof attacks / sizeof attacks[0];
    page.ceiling = 0.9123;
    page.ceiling_of = "the patients as recorded";
    return page;
}

static void what_was_measured_stands_in_its_table(void **state)
{
    (void)state;
    const struct report_page page = everything();
    write_page(&page);
    /* Table 1 has what a coordinator finds and what a reader of the model does, with their bound */
    says("<td class=n>.050 [.040, .060]</td><td class=n>.031 [.020, .050]</td>"
         "<td class=n>.120</td></tr>");
    says("<td class=n>1.000 [.990, 1.000]</td><td class=n>.930 [.900, .950]</td>"
         "<td class=n>1.000</td></tr>");
    says("compare with: <em>update</em> (16 references), <em>model</em> (16 references), "
         "<em>update</em> (8 references), <em>sum</em> (8 references).");
    assert_int_equal(access(in_folder("attack.png"), R_OK), 0);
    /* two views that find everything are two marks, not one upon the other */
    static char script[1 << 14];
    (void)folder_read(in_folder("attack.gp"), script, sizeof script);
    assert_non_null(strstr(script, "with points pt 8"));
    assert_non_null(strstr(script, "with points pt 6"));
    assert_non_null(strstr(script, "with points pt 4"));
    says("gradient is clipped as in the rows with noise");
    says("an interval may lie above its bound by chance"); /* what a reader would ask of it */
    says("no model of the patients as recorded has an AUROC above .912");
    /* an ablation may also be "2 sites", all that train: not what is left out */
    says("Trained by some of the hospitals, tested at each");
    says("<thead><tr><th>ablation<th>noise<th class=n>ε<th class=n>north");
    /* left out: 0.846 against 0.866 in the north; 0.836 against 0.856 in the south, shaded */
    says("<td>without south</td><td>none</td><td class=n>∞</td>"
         "<td class=\"n\">.846 (−.020)</td><td class=\"n out\">.836 (−.020)</td>");
    says("<td>table+film</td><td class=n>55</td><td class=n>9</td>"
         "<td class=n>.750 [.700, .800]</td>");
    /* it stands by itself, and runs nothing that others wrote */
    says("<h1>eight &lt;hospitals&gt;: ");
    says("north &amp; east");
    says("name: &lt;script&gt;alert(1)&lt;/script&gt; &amp; more");
    says("default-src 'none'");
    says_not("<script");
    says_not("<link");
    says_not("<a ");
    says_not("url(");
    size_t pictures = 0;
    for (const char *at = page_text; (at = strstr(at, "src=\"")) != NULL; at++) {
        assert_memory_equal(at, "src=\"data:image/svg+xml", 23);
        pictures++;
    }
    assert_int_equal(pictures, 4);
}

/* Seeds of .50 and .60, .70 and .80 and .90; the ablation's and the pool's noise are not drawn. */
static void learning_curves_are_means_over_seeds_of_the_cells_that_are_shown(void **state)
{
    (void)state;
    static struct report_point point[ROWS_MAX][2];
    char text[2048];
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const double x = 0.1 * (double)seed;
        (void)add_row(REPORT_BASE, "federated", "site", 2.0, seed, 0.842);
        point[n_rows - 1][0] =
            (struct report_point){.round = 5, .auroc = seed == 3 ? (double)NAN : 0.4 + x};
        point[n_rows - 1][1] = (struct report_point){.round = 20, .auroc = 0.6 + x};
        (void)add_row(REPORT_BASE, "pooled", "site", 2.0, seed, 0.842);
        (void)add_row("other", "federated", "site", 2.0, seed, 0.842);
        (void)add_row(REPORT_BASE, "local_only", "none", HUGE_VAL, seed, 0.842);
        for (size_t i = n_rows - 3; i < n_rows; i++) {
            memcpy(point[i], point[n_rows - 4], sizeof point[i]);
        }
    }
    for (size_t i = 0; i < n_rows; i++) {
        const bool alone = strcmp(row[i].mode, "local_only") == 0;
        row[i].n_curve = alone ? 0 : 2;
        row[i].curve = alone ? NULL : point[i];
    }
    const struct report_page page = page_of_rows();
    write_page(&page);
    says("<h2>Learning</h2>");
    says("scored with the shared parameters of that round and the hospital's own");
    (void)folder_read(in_folder("learning.csv"), text, sizeof text);
    double at[2][4] = {{0}};
    const char *line = strchr(text, '\n');
    assert_memory_equal(text, "label,x,y,low,high,series\n", 26);
    for (size_t k = 0; k < 2; k++, line = strchr(line + 1, '\n')) {
        static const char label[] = "\"federated, site noise, ε = 2: 0.800\"";
        assert_memory_equal(line + 1, label, sizeof label - 1);
        assert_int_equal(sscanf(line + sizeof label, ",%lf,%lf,%lf,%lf,0", &at[k][0], &at[k][1],
                                &at[k][2], &at[k][3]),
                         4);
    }
    assert_string_equal(line, "\n"); /* nothing else is drawn */
    const double spread[] = {sqrt(0.005), 0.1};
    for (size_t k = 0; k < 2; k++) {
        assert_true(at[k][0] == (k == 0 ? 5.0 : 20.0));
        assert_true(fabs(at[k][1] - (k == 0 ? 0.55 : 0.8)) < 1e-12);
        assert_true(fabs(at[k][1] - at[k][2] - spread[k]) < 1e-12);
        assert_true(fabs(at[k][3] - at[k][1] - spread[k]) < 1e-12);
    }
    assert_int_equal(access(in_folder("learning.png"), R_OK), 0);
}

/* Two hospitals, and the first of them alone; pooled noise and an ablation of another kind are not drawn. */
static void further_hospitals_are_drawn_where_federations_of_fewer_are_there(void **state)
{
    (void)state;
    char text[2048];
    add_study();
    const size_t base = n_rows;
    (void)add_row("1 site", "federated", "site", 2.0, 1, 0.75);
    (void)add_row("1 site", "federated", "site", 2.0, 2, 0.77);
    (void)add_row("1 site", "pooled", "none", HUGE_VAL, 1, 0.80);
    (void)add_row("1 site", "local_only", "none", HUGE_VAL, 1, 0.70);
    (void)add_row("other", "federated", "site", 2.0, 1, 0.60);
    for (size_t i = 0; i < n_rows; i++) {
        row[i].first_sites = i < base ? SITES : i + 1 < n_rows ? 1 : 0;
    }
    const struct report_page page = page_of_rows();
    write_page(&page);
    says("AUROC against how many hospitals train together");
    says("hospitals.csv, hospitals.gp");
    (void)folder_read(in_folder("hospitals.csv"), text, sizeof text);
    const struct {
        const char *label;
        double x, y;
        unsigned series;
    } want[] = {{"\"federated, no noise\"", 2, 0.866, 0},
                {"\"federated, site noise, ε = 2\"", 1, 0.76, 1},
                {"\"federated, site noise, ε = 2\"", 2, 0.842, 1},
                {"\"pooled, no noise\"", 1, 0.80, 2},
                {"\"pooled, no noise\"", 2, 0.871, 2}};
    const char *line = strchr(text, '\n');
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++, line = strchr(line + 1, '\n')) {
        double x = 0.0, y = 0.0, low = 0.0, high = 0.0;
        unsigned series = 9;
        assert_memory_equal(line + 1, want[i].label, strlen(want[i].label));
        assert_int_equal(sscanf(line + 1 + strlen(want[i].label), ",%lf,%lf,%lf,%lf,%u", &x, &y,
                                &low, &high, &series),
                         5);
        assert_true(fabs(x - want[i].x) < 1e-12);
        assert_true(fabs(y - want[i].y) < 1e-12);
        assert_int_equal(series, want[i].series);
        /* one seed: DeLong's interval; else a standard deviation over seeds */
        const double bar = i == 3 ? 0.02 : i == 1 ? sqrt(0.0002) : 0.001;
        assert_true(fabs(y - low - bar) < 1e-12);
        assert_true(fabs(high - y - bar) < 1e-12);
    }
    assert_string_equal(line, "\n"); /* nothing else is drawn */
    assert_int_equal(access(in_folder("hospitals.png"), R_OK), 0);
    (void)folder_read(in_folder("tradeoff.csv"), text, sizeof text);
    assert_non_null(strstr(text, "other")); /* an ablation of the figure against epsilon */
    assert_null(strstr(text, "1 site"));
}

/* Of all patients: bin 9 holds 240 well, bin 14 80 well and 40 ill, bin 20 40 ill. 10 % of the 320 well
 * are 32 of the 80 in the middle: 40 ill above, and 32/80 of the 40 beside them, are .7 of 80. */
static void operating_points_come_from_the_hospitals_histograms(void **state)
{
    (void)state;
    static const char row_of_table[] = "ECE</tr></thead><tbody>\n<tr><td>pooled, no noise</td>"
                                       "<td class=n>";
    add_study();
    const struct report_page page = page_of_rows();
    struct report_page nothing = page;
    struct error err = {0};
    write_page(&page);
    const char *at = strstr(page_text, row_of_table);
    assert_non_null(at);
    const double sensitivity = strtod(at + sizeof row_of_table - 1, NULL);
    if (!(fabs(sensitivity - 0.7) < 0.02)) {
        fail_msg("sensitivity %g, want 0.7 but for the bootstrap's bias", sensitivity);
    }
    says("<td class=n>100.0 % (40)</td>"); /* the highest stratum that has anybody */
    says(".wide{overflow:visible}"); /* on paper nobody scrolls: numbers may go on two lines */
    says("td.n{white-space:normal}");

    /* one seed of three has nobody there: what the other two have found stands, of 27 in a seed */
    assert_string_equal(row[0].mode, "pooled");
    for (size_t k = 0; k < SITES; k++) {
        site[0][k].counts.at[EVALUATION_ILL][20] = 0;
        site[0][k].counts.at[EVALUATION_ILL][14] = 40;
    }
    site[0][0].counts.at[EVALUATION_WELL][evaluation_bins_default().n - 1] = 1;
    write_page(&page);
    says("<td class=n>100.0 % (27)</td>");
    says("<td class=n>0.0 % (0.3)</td>");

    /* a page that cannot be made leaves this one; the same rows make it again */
    memcpy(again, page_text, sizeof again);
    nothing.n_rows = 0;
    assert_int_equal(report_write_page(folder, &nothing, &err), RC_INVALID);
    read_page();
    assert_string_equal(page_text, again);
    write_page(&page);
    assert_string_equal(page_text, again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
        IN_FOLDER(the_headline_has_each_cell_with_its_interval_and_what_it_loses),
        IN_FOLDER(what_was_not_measured_does_not_appear),
        IN_FOLDER(what_was_measured_stands_in_its_table),
        IN_FOLDER(further_hospitals_are_drawn_where_federations_of_fewer_are_there),
        IN_FOLDER(learning_curves_are_means_over_seeds_of_the_cells_that_are_shown),
        IN_FOLDER(operating_points_come_from_the_hospitals_histograms),
#undef IN_FOLDER
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
