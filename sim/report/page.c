/* report.html: what stands in which order. The tables are in page_tables.c, the pictures in page_figures.c. */
#include "sim/report/page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/report/page_internal.h"

static const char style[] =
    ":root{--ink:#1a1a1a;--soft:#5a5a5a;--rule:#c8c8c8}"
    "body{font:16px/1.5 Georgia,'DejaVu Serif',serif;color:var(--ink);background:#fff;"
    "max-width:60rem;margin:2.5rem auto;padding:0 1.25rem}"
    "h1{font-size:1.9rem;line-height:1.2;margin:0 0 .3rem}h2{font-size:1.25rem;margin:2.4rem 0 "
    ".5rem}"
    ".by,.note,figcaption,caption{color:var(--soft);font-size:.88rem}.by{margin:0 0 1.6rem}"
    "caption,figcaption{text-align:left;color:var(--ink)}caption{padding-bottom:.4rem}"
    "caption b,figcaption b{margin-right:.35em}"
    "table{border-collapse:collapse;border-top:2px solid var(--ink);"
    "border-bottom:2px solid var(--ink);margin:1rem 0 1.4rem;"
    "font:.84rem/1.4 system-ui,'DejaVu Sans',sans-serif;font-variant-numeric:tabular-nums}"
    "caption{font:.88rem/1.4 Georgia,'DejaVu Serif',serif}"
    "thead th{border-bottom:1px solid var(--ink);vertical-align:bottom}"
    "th,td{padding:.2rem .7rem .2rem 0;text-align:left;font-weight:normal;vertical-align:top}"
    "thead th{font-weight:600}td:first-child{white-space:nowrap}thead "
    "th.n{white-space:normal}td.n{white-space:nowrap}.n{text-align:right}"
    "tr.g>*{border-top:1px solid var(--rule)}tr.b>*{font-weight:600}td.out{background:#ececec}"
    ".wide{overflow-x:auto}figure{margin:1.4rem 0;break-inside:avoid}"
    "figure img{display:block;width:100%;max-width:45rem;height:auto}"
    ".pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem}"
    "pre{font:.78rem/1.4 ui-monospace,'DejaVu Sans Mono',monospace;white-space:pre-wrap;"
    "overflow-wrap:anywhere;border-left:3px solid var(--rule);padding-left:.8rem}"
    "dl{font-size:.9rem}dt{font-weight:600;margin-top:.6rem}dd{margin:0 0 0 1.2rem}"
    "@media(max-width:46rem){.pair{grid-template-columns:1fr}}"
    "@page{margin:18mm 16mm}"
    "@media print{body{font-size:10pt;margin:0;max-width:none;padding:0}h2{break-after:avoid}"
    "table{font-size:8pt}caption{font-size:9pt}thead{display:table-header-group}"
    "tr,figure{break-inside:avoid}.wide{overflow:visible}th,td{padding-right:.45rem}"
    "td.n{white-space:normal}" /* an interval goes on two or three lines before a column is cut off */
    "td.k{white-space:nowrap}" /* 1e-05 has nowhere to be cut */
    "figure img{max-width:150mm}.pair figure img{max-width:100%}a{color:inherit}}";

static void put_head(FILE *f, const struct report_page *p)
{
    (void)fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                "style-src 'unsafe-inline'; img-src data:\">\n<title>",
                f);
    html_text(f, p->study);
    (void)fprintf(f, "</title>\n<style>%s</style>\n</head>\n<body>\n<h1>", style);
    html_text(f, p->study);
    (void)fputs(": what each privacy budget costs</h1>\n", f);
}

static size_t ablations_of(const struct page_view *v)
{
    size_t most = 0;
    for (size_t i = 0; i < v->n; i++) {
        most = v->summary[i].place > most ? v->summary[i].place : most;
    }
    return most;
}

/* One line on what was run, all of it counted. */
static void put_setting(FILE *f, const struct page_view *v)
{
    const struct report_row *row = &v->page->row[0];
    size_t patients = 0, seeds = 0;
    for (size_t i = 0; i < row->n_sites; i++) {
        patients += row->site[i].n_patients;
    }
    for (size_t i = 0; i < v->n; i++) {
        seeds = v->summary[i].n_seeds > seeds ? v->summary[i].n_seeds : seeds;
    }
    (void)fprintf(f, "<p class=by>%zu hospitals, %zu patients tested; ", row->n_sites, patients);
    if (row->folds > 1) {
        (void)fprintf(f, "%zu folds by patient, ", row->folds);
    } else {
        (void)fputs("one fixed split, ", f);
    }
    (void)fprintf(f, "%zu seed%s, %zu models in %zu cells", seeds, seeds == 1 ? "" : "s",
                  v->page->n_rows * (row->folds > 0 ? row->folds : 1), v->n);
    if (ablations_of(v) > 0) {
        (void)fprintf(f, " of the study and %zu ablations", ablations_of(v));
    }
    (void)fputs(". wardround-sim ", f);
    html_text(f, v->page->version);
    (void)fputs("</p>\n", f);
}

static void put_reading(FILE *f)
{
    (void)fputs(
        "<p class=note>Every patient is scored by a model that never saw that patient. Intervals "
        "in "
        "brackets are 95 %, "
        "means over seeds of each seed's interval: the uncertainty of <em>one</em> model on these "
        "patients. "
        "±&nbsp;is the standard deviation over seeds. ε and δ are of one trained model and one "
        "patient "
        "at one hospital, added or removed. <em>Site</em> noise is each hospital's own and holds "
        "against everybody, the coordinator included; <em>shared</em> noise is in the masked sum "
        "alone; <em>pooled</em> has all patients in one place.</p>\n",
        f);
}

static enum rc path_in(const char *folder, const char *name, const char *end,
                       char path[REPORT_PATH_MAX], struct error *err)
{
    const int n = snprintf(path, REPORT_PATH_MAX, "%s/%s%s", folder, name, end);
    return n > 0 && n < REPORT_PATH_MAX ? RC_OK
                                        : error_set(err, RC_LIMIT, "the folder's name is too long");
}

static enum rc put_figure(FILE *f, const char *folder, const char *name, size_t number,
                          const char *caption, struct error *err)
{
    char path[REPORT_PATH_MAX];
    enum rc rc = path_in(folder, name, ".svg", path, err);
    if (rc == RC_OK) {
        (void)fputs("<figure>", f);
        rc = html_picture(f, path, caption, err);
    }
    (void)fprintf(f,
                  "<figcaption><b>Figure %zu.</b>%s <span class=note>(%s.csv, %s.gp)</span>"
                  "</figcaption></figure>\n",
                  number, caption, name, name);
    return rc;
}

static bool any_shown(const struct page_view *v)
{
    for (size_t i = 0; i < v->n; i++) {
        if (page_is_shown(&v->cell[i])) {
            return true;
        }
    }
    return false;
}

static enum rc draw_all(const char *folder, const struct page_view *v, struct error *err)
{
    const struct report_page *p = v->page;
    char path[REPORT_PATH_MAX];
    enum rc rc = path_in(folder, "tradeoff", ".svg", path, err);
    if (rc == RC_OK) {
        rc = report_write_figure(path, p->study, p->row, p->n_rows, p->ceiling, err);
    }
    if (rc == RC_OK && p->n_attacks > 0) {
        rc = path_in(folder, "attack", ".svg", path, err);
        rc = rc == RC_OK ? page_draw_attack(v, path, err) : rc;
    }
    if (rc == RC_OK && any_shown(v)) {
        rc = path_in(folder, "roc", ".svg", path, err);
        rc = rc == RC_OK ? page_draw_roc(v, path, err) : rc;
    }
    if (rc == RC_OK && any_shown(v)) {
        rc = path_in(folder, "calibration", ".svg", path, err);
        rc = rc == RC_OK ? page_draw_calibration(v, path, err) : rc;
    }
    if (rc == RC_OK && page_has_curves(v)) {
        rc = path_in(folder, "learning", ".svg", path, err);
        rc = rc == RC_OK ? page_draw_learning(v, path, err) : rc;
    }
    if (rc == RC_OK && page_has_worth(v)) {
        rc = path_in(folder, "hospitals", ".svg", path, err);
        rc = rc == RC_OK ? page_draw_worth(v, path, err) : rc;
    }
    return rc;
}

static enum rc put_results(FILE *f, const char *folder, const struct page_view *v,
                           struct error *err)
{
    const struct report_page *p = v->page;
    size_t figure = 1;
    (void)fputs("<h2>Accuracy and privacy</h2>\n", f);
    page_headline(f, v);
    put_reading(f);
    enum rc rc = put_figure(f, folder, "tradeoff", figure++,
                            "AUROC against the privacy budget. Lines across have no privacy to "
                            "trade: pooled and local-only training without noise, and the ceiling "
                            "where the patients' law is known.",
                            err);
    if (rc == RC_OK && p->n_attacks > 0) {
        rc = put_figure(
            f, folder, "attack", figure++,
            "What membership attacks find of the canaries that were in the training, with the "
            "tight bound for any attacker who sees every step.",
            err);
        page_attacks(f, v);
    }
    (void)fputs("<h2>Hospitals</h2>\n", f);
    page_sites(f, v);
    if (rc == RC_OK && page_has_worth(v)) {
        rc = put_figure(f, folder, "hospitals", figure++,
                        "AUROC against how many hospitals train together, the first of the roster. "
                        "The patients of all hospitals are tested in every point.",
                        err);
    }
    page_left_out(f, v);
    page_patterns(f, v);
    if (rc == RC_OK && any_shown(v)) {
        (void)fputs("<h2>Discrimination and calibration</h2>\n<div class=pair>\n", f);
        rc = put_figure(f, folder, "roc", figure++, "Receiver operating characteristic.", err);
        if (rc == RC_OK) {
            rc = put_figure(f, folder, "calibration", figure++,
                            "Predicted against observed risk by tenths of the scale.", err);
        }
        (void)fputs("</div>\n", f);
        page_operating(f, v);
        page_strata(f, v);
    }
    if (rc == RC_OK && page_has_curves(v)) {
        (void)fputs("<h2>Learning</h2>\n", f);
        rc = put_figure(
            f, folder, "learning", figure++,
            "AUROC of each fold's tested patients while its model is trained, a mean over folds "
            "and seeds: each is scored with the shared parameters of that round and the "
            "hospital's own. Where a study averages its iterates the last round's model is that "
            "mean, and the line ends with a step. Hospitals alone have no rounds together and no "
            "line.",
            err);
    }
    return rc;
}

static void put_appendix(FILE *f, const struct page_view *v)
{
    (void)fputs("<h2>Time, messages, memory</h2>\n", f);
    page_cost(f, v);
    (void)fputs("<h2>Plans and what they promise</h2>\n", f);
    page_plans(f, v);
    if (v->page->config != NULL) {
        (void)fputs("<h2>Configuration</h2>\n<pre>", f);
        html_text(f, v->page->config);
        (void)fputs("</pre>\n", f);
    }
    (void)fputs(
        "<p class=note>Noise in a simulation is replayed from a seed: it measures, it protects "
        "nobody. Beside this page: results.csv, sites.csv and, of several modalities, "
        "patterns.csv, where they were asked for curves.csv, have every row; each figure is there "
        "as SVG and PNG with its table (.csv) "
        "and script (.gp: gnuplot draws it again).</p>\n</body>\n</html>\n",
        f);
}

static enum rc write_page(const char *folder, const struct page_view *v, struct error *err)
{
    char path[REPORT_PATH_MAX];
    struct report_file file = {0};
    enum rc rc = path_in(folder, "report", ".html", path, err);
    if (rc == RC_OK) {
        rc = report_file_open(&file, path, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    put_head(file.f, v->page);
    put_setting(file.f, v);
    rc = put_results(file.f, folder, v, err);
    if (rc != RC_OK) {
        report_file_abandon(&file);
        return rc;
    }
    put_appendix(file.f, v);
    return report_file_commit(&file, err);
}

enum rc report_write_page(const char *folder, const struct report_page *page, struct error *err)
{
    struct report_summary *s = calloc(page->n_rows + 1, sizeof *s);
    struct page_cell *cell = calloc(page->n_rows + 1, sizeof *cell);
    size_t tables = 0;
    struct page_view v = {.page = page, .cell = cell, .summary = s, .tables = &tables};
    enum rc rc = RC_OK;
    if (s == NULL || cell == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for a report of %zu rows", page->n_rows);
        goto out;
    }
    v.n = report_summaries(page->row, page->n_rows, s);
    rc = page_cells(page, s, v.n, cell, err);
    if (rc == RC_OK) {
        rc = draw_all(folder, &v, err);
    }
    if (rc == RC_OK) {
        rc = write_page(folder, &v, err);
    }
out:
    free(s);
    free(cell);
    return rc;
}
