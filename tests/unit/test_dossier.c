/* The ledger on paper: nothing is left out, nothing runs, nothing is written over. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/dossier/dossier.h"
#include "agent/dossier/dossier_internal.h"
#include "common/accountant/accountant.h"
#include "common/store/store.h"
#include "tests/support/ledger.h"

static char folder[256], path[300], out[300];

static int make_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/wr_report_XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/ledger.db", folder);
    (void)snprintf(out, sizeof out, "%s/out", folder);
    return 0;
}

static const char *const names[] = {"ledger.html",     "studies.csv",     "rounds.csv",
                                    "ledger.html.new", "studies.csv.new", "rounds.csv.new"};

static const char *in_out(const char *name)
{
    static char file[400];
    (void)snprintf(file, sizeof file, "%s/%s", out, name);
    return file;
}

static int remove_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)unlink(in_out(names[i]));
    }
    (void)rmdir(out);
    (void)unlink(out);
    test_ledger_remove(path);
    return rmdir(folder);
}

/* ---- a ledger, and what is written of it ------------------------------------------------------ */

static const struct ledger_policy policy = {.max_epsilon_per_study = 41.25,
                                            .max_epsilon_total = 83.5,
                                            .max_delta_per_study = 2e-3,
                                            .min_patients = 23,
                                            .min_sites = 2,
                                            .max_colluding = 1};

static void must(enum rc rc, const struct error *err)
{
    if (rc != RC_OK) {
        fail_msg("%s", err->text);
    }
}

static void a_study_of(struct ledger *l, const char *name, double sigma, uint64_t rounds)
{
    static const char *const updates[] = {"first", "the second"};
    struct study s = test_ledger_study(name, 0.25, sigma);
    s.privacy.epsilon = 4.75;
    test_ledger_join(l, &s, 1795833000000);
    for (uint64_t i = 1; i <= rounds; i++) {
        struct ledger_spend p = test_ledger_round(&s, i, updates[i - 1]);
        p.now_ms = 1795833235123 + (int64_t)i;
        test_ledger_spend(l, &p);
    }
}

static void a_ledger(void)
{
    struct error err = {0};
    struct ledger *l = NULL;
    must(ledger_open(path, &policy, &l, &err), &err);
    a_study_of(l, "heart", 1.9375, 2);
    a_study_of(l, "lung", 2.5, 1);
    const struct hash h = hash_of("heart", 5);
    must(ledger_end_study(l, &h, 1795833300000, &err), &err);
    ledger_close(&l);
}

static struct dossier gathered(void)
{
    struct error err = {0};
    struct ledger *l = NULL;
    struct dossier r = {
        .site = "north", .version = "9.8.7", .now_ms = 1795834000000, .policy = policy};
    must(ledger_open_view(path, &policy, &l, &err), &err);
    must(dossier_gather(l, &r, &err), &err);
    ledger_close(&l);
    return r;
}

/* What one of the three would hold; freed by the caller. */
static char *text_of(void (*write)(FILE *f, const struct dossier *r), const struct dossier *r)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    write(f, r);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(strlen(text), n);
    return text;
}

static void has(const char *text, const char *piece)
{
    if (strstr(text, piece) == NULL) {
        fail_msg("'%s' is not in:\n%s", piece, text);
    }
}

static void has_number(const char *text, double x, bool whole)
{
    char number[TEXT_NUMBER_MAX];
    (void)snprintf(number, sizeof number, "%.6g", x);
    if (whole) {
        text_number(number, x);
    }
    has(text, number);
}

static void has_hash(const char *text, const struct hash *h)
{
    char hex[HASH_HEX];
    hash_hex(h, hex);
    has(text, hex);
}

/* ---- text from outside ------------------------------------------------------------------------ */

static char *through(void (*put)(FILE *f, const char *text), const char *text)
{
    static char done[512];
    FILE *f = fmemopen(done, sizeof done, "w");
    assert_non_null(f);
    put(f, text);
    assert_int_equal(fclose(f), 0);
    return done;
}

static void on_the_page_text_is_text(void **state)
{
    (void)state;
    assert_string_equal(through(text_html, "<script>alert('x')</script>"),
                        "&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62;");
    assert_string_equal(through(text_html, "a & \"b\""), "a &#38; &#34;b&#34;");
    assert_string_equal(through(text_html, "Zürich 東京 😀"), "Zürich 東京 😀");
    assert_string_equal(through(text_html, "a\nb\x7f"), "a\uFFFDb\uFFFD");
    assert_string_equal(through(text_html, "safe\u202Egnp.exe\u200B\uFEFF"),
                        "safe\uFFFDgnp.exe\uFFFD\uFFFD"); /* cannot turn the line around */
    /* No UTF-8: a lone byte, an end too early, an overlong '<', a surrogate, beyond the last one. */
    assert_string_equal(through(text_html, "\xff|\xe6\x9d|\xc0\xbc|"),
                        "\uFFFD|\uFFFD\uFFFD|\uFFFD\uFFFD|");
    assert_string_equal(through(text_html, "\xed\xa0\x80|\xf4\x90\x80\x80"),
                        "\uFFFD\uFFFD\uFFFD|\uFFFD\uFFFD\uFFFD\uFFFD");
    assert_string_equal(through(text_html, "\xe6"), "\uFFFD");
}

static void a_spreadsheet_computes_no_cell(void **state)
{
    (void)state;
    static const char *const cell[][2] = {
        {"heart", "\"heart\""},
        {"=1+1", "\"'=1+1\""},
        {"+1", "\"'+1\""},
        {"-1", "\"'-1\""},
        {"@SUM(A1)", "\"'@SUM(A1)\""},
        {" =1", "\" '=1\""},
        {"\t=1", "\"\uFFFD=1\""}, /* no tab is left */
        {"\uFF1D1", "\"'\uFF1D1\""},
        {"a;=1", "\"a;'=1\""}, /* where ; parts cells */
        {"a,\"=1", "\"a,\"\"'=1\""},
        {"a-b=c", "\"a-b=c\""},
        {"say \"yes\"", "\"say \"\"yes\"\"\""},
        {"a\r\nb", "\"a\uFFFD\uFFFDb\""},
        {"", "\"\""},
    };
    for (size_t i = 0; i < sizeof cell / sizeof cell[0]; i++) {
        assert_string_equal(through(text_csv, cell[i][0]), cell[i][1]);
    }
}

static void numbers_and_times_read_back(void **state)
{
    (void)state;
    static const double x[] = {0.1, 1.0 / 3.0, 1e-300, 4.0, 123456789.125};
    char text[TEXT_NUMBER_MAX];
    char time[TEXT_TIME_MAX];
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++) {
        text_number(text, x[i]);
        assert_true(strtod(text, NULL) == x[i]);
    }
    text_number(text, HUGE_VAL);
    assert_string_equal(text, "inf");
    text_number(text, (double)NAN);
    assert_string_equal(text, "");
    text_time(time, 1795833235123);
    assert_string_equal(time, "2026-11-28T02:33:55.123Z");
    text_time(time, 0);
    assert_string_equal(time, "1970-01-01T00:00:00.000Z");
    text_time(time, INT64_MAX);
    assert_string_equal(time, "");
    text_time(time, -1);
    assert_string_equal(time, "");
}

static const char *percent_of(double x)
{
    static char done[64];
    FILE *f = fmemopen(done, sizeof done, "w");
    assert_non_null(f);
    words_percent(f, x);
    assert_int_equal(fclose(f), 0);
    return done;
}

static void a_bound_is_never_rounded_down(void **state)
{
    (void)state;
    assert_string_equal(percent_of(0.05111), "5.12&nbsp;%");
    assert_string_equal(percent_of(0.0511), "5.11&nbsp;%");
    assert_string_equal(percent_of(0.01), "1&nbsp;%");
    assert_string_equal(percent_of(0.3331), "33.4&nbsp;%");
    assert_string_equal(percent_of(0.9991), "100&nbsp;%");
    assert_string_equal(percent_of(1.0), "100&nbsp;%");
    assert_string_equal(percent_of((double)NAN), "not known");
}

/* ---- the whole -------------------------------------------------------------------------------- */

static void every_figure_is_on_the_page_and_in_the_tables(void **state)
{
    (void)state;
    a_ledger();
    struct dossier r = gathered();
    r.study[0].state = DOSSIER_WITHDRAWN;
    char *page = text_of(dossier_html, &r);
    char *studies = text_of(dossier_studies_csv, &r);
    char *rounds = text_of(dossier_rounds_csv, &r);
    assert_int_equal(r.n_faults, 0);
    assert_true(r.n_studies == 2 && r.n_rows == 3 && r.has_totals);
    static const char *const said[] = {"site north",
                                       "9.8.7",
                                       "2026-11-28 02:46:40 UTC",
                                       "Verified.",
                                       "studies 2, rounds 3",
                                       "41.25",
                                       "83.5",
                                       "0.002",
                                       ">23<",
                                       "one patient at this site, added or removed",
                                       "withdrawn",
                                       "running",
                                       "2 committed of 7 planned, 3 steps each",
                                       "1 committed of 7 planned",
                                       "1.9375",
                                       "2026-11-28 02:30:00 UTC",
                                       "2026-11-28 02:35:00 UTC",
                                       "02:33:55 UTC",
                                       "mode site",
                                       "4.75",
                                       "q 0.25, sigma 2.5, 3 steps, clip 1.5",
                                       ">5<",
                                       ">10<"};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        has(page, said[i]);
    }
    has_number(page, r.totals.spent, false);
    has_number(page, r.totals.promised, false);
    has_number(page, r.totals.left, false);
    has_number(page, r.totals.filter, false);
    for (size_t i = 0; i < 2; i++) {
        const struct dossier_study *s = &r.study[i];
        const struct mechanism m = {.q = 0.25,
                                    .sigma = s->ledger.round.sigma,
                                    .steps = s->ledger.spent_steps};
        struct error err = {0};
        double tpr = 0.0;
        must(accountant_tpr(&m, 1, 0.01, &tpr, &err), &err);
        assert_true(s->tpr_spent == tpr && tpr > 0.01 && tpr <= s->tpr_most);
        assert_true(tpr <= dossier_bound(s->ledger.epsilon_spent, s->ledger.delta, 0.01));
        has(page, percent_of(tpr));
        has_number(page, s->ledger.epsilon_spent, false);
        has_number(page, s->ledger.epsilon_most, false);
        has_number(studies, s->ledger.epsilon_spent, true);
        has_number(studies, s->ledger.epsilon_most, true);
        has_number(studies, s->tpr_spent, true);
        has_number(studies, s->tpr_most, true);
        has_hash(page, &s->ledger.hash);
        has_hash(page, &s->ledger.link);
        has_hash(studies, &s->ledger.hash);
        has_hash(studies, &s->ledger.link);
    }
    has(studies, ",withdrawn,2026-11-28T02:30:00.000Z,2026-11-28T02:35:00.000Z,site,0.25,1.9375,3,"
                 "1.5,7,2,6,0,0.0001,4.75,");
    has(studies, ",running,2026-11-28T02:30:00.000Z,,site,0.25,2.5,3,1.5,7,1,3,18,0.0001,4.75,");
    for (size_t i = 0; i < 3; i++) {
        has_hash(page, &r.row[i].update);
        has_hash(page, &r.row[i].link);
        has_hash(rounds, &r.row[i].update);
        has_hash(rounds, &r.row[i].link);
    }
    has(rounds, "\r\n2,2026-11-28T02:33:55.125Z,\"heart\",2,0.25,1.9375,3,1.5,10,\"");
    free(page);
    free(studies);
    free(rounds);
    dossier_release(&r);
}

/* Whoever knows all patients but one could try guesses of that one against it. */
static void the_cohorts_hash_stays_in_the_ledger(void **state)
{
    (void)state;
    void (*const all[])(FILE *, const struct dossier *) = {dossier_html, dossier_studies_csv,
                                                           dossier_rounds_csv};
    char hex[HASH_HEX];
    const struct hash cohort = hash_of("cohort", 6);
    hash_hex(&cohort, hex);
    hex[16] = '\0'; /* nor the beginning of it */
    a_ledger();
    struct dossier r = gathered();
    for (size_t i = 0; i < 3; i++) {
        char *text = text_of(all[i], &r);
        assert_null(strstr(text, hex));
        assert_null(strstr(text, ">117<")); /* patients */
        assert_null(strstr(text, ",117,"));
        free(text);
    }
    dossier_release(&r);
}

static void the_page_runs_nothing_and_asks_nobody(void **state)
{
    (void)state;
    static const char *const never[] = {"<script", "http:", "https:",  "src=", "url(", "@import",
                                        "<link",   "<img",  "<iframe", "href", " on"};
    a_ledger();
    struct dossier r = gathered();
    r.site = "<script src=x onload=y>";
    (void)snprintf(r.study[0].ledger.name, sizeof r.study[0].ledger.name, "<img src=//x>");
    (void)snprintf(r.row[0].study, sizeof r.row[0].study, "=cmd|'/C calc'!A0");
    r.remark = "<iframe src=z>";
    char *page = text_of(dossier_html, &r);
    bool in_tag = false;
    char tag[2048];
    size_t n = 0;
    for (const char *c = page; *c != '\0'; c++) { /* each tag by itself: outside it is text */
        if (*c == '<') {
            assert_false(in_tag);
            in_tag = true;
            n = 0;
        }
        if (in_tag && n + 1 < sizeof tag) {
            tag[n++] = *c;
        }
        if (*c == '>' && in_tag) {
            in_tag = false;
            tag[n] = '\0';
            for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
                if (strstr(tag, never[i]) != NULL) {
                    fail_msg("%s has %s", tag, never[i]);
                }
            }
        }
    }
    has(page, "&#60;img src=//x&#62;");
    has(page, "&#60;iframe src=z&#62;");
    char *rounds = text_of(dossier_rounds_csv, &r);
    has(rounds, ",\"'=cmd|'/C calc'!A0\",1,");
    free(rounds);
    free(page);
    dossier_release(&r);
}

static void edit(const char *sql)
{
    struct error err = {0};
    struct store *s = NULL;
    struct statement *st = NULL;
    must(store_open(path, &ledger_store_kind, &s, &err), &err);
    must(store_prepare(s, "PRAGMA ignore_check_constraints = ON", &st, &err), &err);
    must(statement_run(st, &err), &err);
    must(store_prepare(s, sql, &st, &err), &err);
    must(statement_run(st, &err), &err);
    store_close(&s);
}

static void a_broken_ledger_is_reported_and_said_to_be_broken_first(void **state)
{
    (void)state;
    a_ledger();
    edit("UPDATE spend SET at_ms = 7 WHERE sequence = 2");
    struct dossier r = gathered();
    char *page = text_of(dossier_html, &r);
    assert_int_equal(r.n_faults, 1);
    const char *loud = strstr(page, "NOT VERIFIED");
    assert_non_null(loud);
    assert_true(loud < strstr(page, "<h2>"));
    has(page, "spend 2 does not fit the chain of hashes");
    assert_null(strstr(page, "<b>Verified."));
    assert_true(r.n_rows == 3 && r.has_totals);
    free(page);
    dossier_release(&r);

    edit(
        "UPDATE study SET sigma = -1 WHERE id = 1"); /* the accountant must not be asked about that */
    r = gathered();
    page = text_of(dossier_html, &r);
    assert_false(r.has_totals);
    assert_true(r.n_faults == 2 && isnan(r.study[0].tpr_spent));
    has(page, "nothing can be added up");
    has(page, "<td>spent</td><td class=n>not known</td>");
    has(page, "its numbers are damaged and make no plan");
    free(page);
    dossier_release(&r);
}

static void a_mark_that_is_gone_is_said(void **state)
{
    (void)state;
    char mark[320];
    (void)snprintf(mark, sizeof mark, "%s.mark", path);
    a_ledger();
    assert_int_equal(unlink(mark), 0);
    struct dossier r = gathered();
    char *page = text_of(dossier_html, &r);
    has(page, "There was no mark beside it");
    free(page);
    dossier_release(&r);
}

static void the_bound_of_an_epsilon_is_that_of_any_mechanism(void **state)
{
    (void)state;
    assert_true(fabs(dossier_bound(0.0, 0.0, 0.01) - 0.01) < 1e-15);
    assert_true(fabs(dossier_bound(log(2.0), 1e-3, 0.01) - 0.021) < 1e-12);
    /* Where e^epsilon f is above 1 the other side of the region counts: 1 - 0.99 / e^10. */
    assert_true(fabs(dossier_bound(10.0, 0.0, 0.01) - (1.0 - 0.99 * exp(-10.0))) < 1e-15);
    assert_true(dossier_bound(HUGE_VAL, 0.0, 0.01) == 1.0);
}

/* ---- files ------------------------------------------------------------------------------------ */

static bool is_there(const char *file)
{
    struct stat info;
    return lstat(file, &info) == 0;
}

static void three_files_are_there_for_their_owner_alone(void **state)
{
    (void)state;
    struct error err = {0};
    struct stat info;
    a_ledger();
    struct dossier r = gathered();
    assert_int_equal(dossier_may_write(out, &err), RC_OK);
    must(dossier_write(&r, out, &err), &err);
    assert_int_equal(stat(out, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    for (size_t i = 0; i < 6; i++) {
        assert_true(is_there(in_out(names[i])) == (i < 3));
    }
    assert_int_equal(stat(in_out("ledger.html"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    char *page = text_of(dossier_html, &r);
    assert_int_equal((size_t)info.st_size, strlen(page));
    free(page);
    dossier_release(&r);
}

static void nothing_that_is_there_is_written_over(void **state)
{
    (void)state;
    a_ledger();
    struct dossier r = gathered();
    for (size_t i = 0; i < 6; i++) {
        struct error err = {0};
        char text[8] = "";
        assert_int_equal(mkdir(out, 0700), 0);
        FILE *f = fopen(in_out(names[i]), "we");
        assert_non_null(f);
        assert_true(fputs("mine", f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(dossier_may_write(out, &err), RC_STATE);
        assert_int_equal(dossier_write(&r, out, &err), RC_STATE);
        has(err.text, names[i]);
        has(err.text, "there already");
        f = fopen(in_out(names[i]), "re");
        assert_non_null(f);
        assert_non_null(fgets(text, sizeof text, f));
        assert_int_equal(fclose(f), 0);
        assert_string_equal(text, "mine");
        assert_int_equal(unlink(in_out(names[i])), 0);
        assert_int_equal(rmdir(out), 0); /* and nothing else was in it */
    }
    struct error err = {0};
    assert_int_equal(mkdir(out, 0700), 0);
    assert_int_equal(symlink("/nowhere", in_out("ledger.html")), 0); /* a name is a name */
    assert_int_equal(dossier_write(&r, out, &err), RC_STATE);
    assert_int_equal(unlink(in_out("ledger.html")), 0);
    must(dossier_write(&r, out, &err), &err); /* a folder that was there will do */
    dossier_release(&r);
}

static void a_folder_that_cannot_be_is_a_sentence(void **state)
{
    (void)state;
    struct error err = {0};
    a_ledger();
    struct dossier r = gathered();
    assert_int_equal(dossier_may_write(path, &err), RC_STATE);
    has(err.text, "is a file: name a folder");
    assert_int_equal(dossier_write(&r, path, &err), RC_STATE);
    char deep[320];
    (void)snprintf(deep, sizeof deep, "%s/deeper", out);
    assert_int_equal(dossier_write(&r, deep, &err), RC_IO);
    has(err.text, "cannot make the folder");
    assert_int_equal(dossier_may_write("", &err), RC_INVALID);
    dossier_release(&r);
}

/* In a child that may write files of so many bytes only: too little for the tables, or for the page. */
static void what_cannot_be_written_whole_is_not_there(void **state)
{
    (void)state;
    static const rlim_t most[] = {64, 4096};
    a_ledger();
    struct dossier r = gathered();
    for (size_t i = 0; i < 4; i++) {
        const bool made = i >= 2; /* the folder was there: it stays */
        if (made) {
            assert_int_equal(mkdir(out, 0700), 0);
        }
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct error err = {0};
            const struct rlimit limit = {most[i % 2], most[i % 2]};
            (void)signal(SIGXFSZ, SIG_IGN);
            if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
                _exit(2);
            }
            const enum rc rc = dossier_write(&r, out, &err);
            _exit(rc == RC_IO && strstr(err.text, "nothing was exported") != NULL ? 0 : 3);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        if (made) {
            assert_int_equal(rmdir(out), 0); /* empty */
        }
        assert_false(is_there(out));
    }
    dossier_release(&r);
}

int main(void)
{
#define ON_DISK(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_the_page_text_is_text),
        cmocka_unit_test(a_spreadsheet_computes_no_cell),
        cmocka_unit_test(a_bound_is_never_rounded_down),
        cmocka_unit_test(numbers_and_times_read_back),
        cmocka_unit_test(the_bound_of_an_epsilon_is_that_of_any_mechanism),
        ON_DISK(every_figure_is_on_the_page_and_in_the_tables),
        ON_DISK(the_cohorts_hash_stays_in_the_ledger),
        ON_DISK(the_page_runs_nothing_and_asks_nobody),
        ON_DISK(a_broken_ledger_is_reported_and_said_to_be_broken_first),
        ON_DISK(a_mark_that_is_gone_is_said),
        ON_DISK(three_files_are_there_for_their_owner_alone),
        ON_DISK(nothing_that_is_there_is_written_over),
        ON_DISK(a_folder_that_cannot_be_is_a_sentence),
        ON_DISK(what_cannot_be_written_whole_is_not_there),
    };
#undef ON_DISK
    return cmocka_run_group_tests_name("dossier", tests, NULL, NULL);
}
