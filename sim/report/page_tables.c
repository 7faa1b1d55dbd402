/* The page's tables, from summaries and rows. */
#include <math.h>

#include "sim/report/page_internal.h"

/* The base's cell of a mode without noise, or NULL. */
static const struct report_summary *plain(const struct page_view *v, const char *mode)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct report_summary *s = &v->summary[i];
        if (s->place == 0 && page_same(s->mode, mode) && page_same(s->noise, "none")) {
            return s;
        }
    }
    return NULL;
}

/* Is the study federated, as written? What the tables of hospitals are about. */
static bool is_base_federated(const struct report_summary *s)
{
    return s->place == 0 && page_same(s->mode, "federated");
}

static bool has_ablations(const struct page_view *v)
{
    return v->n > 0 && v->summary[v->n - 1].place > 0;
}

/* ---- attacks in the headline ---------------------------------------------------------------------- */

static void attack_cell(FILE *f, const struct report_attack *a)
{
    const struct interval none = {(double)NAN, (double)NAN, (double)NAN};
    html_interval(f, a != NULL ? &a->tpr : &none, 3);
}

static void attack_cells(FILE *f, const struct page_view *v, const struct report_summary *s)
{
    const struct report_attack *found[2] = {NULL, NULL}; /* coordinator, reader */
    for (size_t i = 0; is_base_federated(s) && i < 2; i++) {
        found[i] = page_attack(v->page, s->noise, s->epsilon, i == 1);
    }
    const struct report_attack *any = found[0] != NULL ? found[0] : found[1];
    attack_cell(f, found[0]);
    attack_cell(f, found[1]);
    html_cell_number(f, any != NULL ? any->bound : (double)NAN, 3);
}

/* Views of canaries, each once: "sum (64 references)". */
static void attack_views(FILE *f, const struct report_page *p)
{
    bool first = true;
    for (size_t i = 0; i < p->n_attacks; i++) {
        const struct report_attack *a = &p->attack[i];
        bool told = !page_same(a->subject, "canary");
        for (size_t k = 0; k < i; k++) {
            told = told || (page_same(p->attack[k].subject, a->subject) &&
                            page_same(p->attack[k].view, a->view) &&
                            p->attack[k].references == a->references);
        }
        if (!told) {
            (void)fprintf(f, "%s<em>", first ? "" : ", ");
            html_text(f, a->view);
            (void)fprintf(f, "</em> (%zu references)", a->references);
            first = false;
        }
    }
}

/* ---- the headline -------------------------------------------------------------------------------- */

void page_headline(FILE *f, const struct page_view *v)
{
    const struct report_summary *best = plain(v, "pooled");
    const bool attacks = v->page->n_attacks > 0;
    html_table_open(f, v, "Accuracy at each privacy budget.");
    (void)fprintf(f,
                  "%s<th>training<th>noise<th class=n>ε<th class=n>δ<th class=n>AUROC<th class=n>± "
                  "seeds%s<th class=n>mean of sites<th class=n>AUPRC<th class=n>ECE",
                  has_ablations(v) ? "<th>ablation" : "",
                  best != NULL ? "<th class=n>against pooled" : "");
    (void)fprintf(f, "%s</tr></thead><tbody>\n",
                  attacks ? "<th class=n>attack success: coordinator<th class=n>reader of the model"
                            "<th class=n>bound"
                          : "");
    for (size_t i = 0; i < v->n; i++) {
        const struct report_summary *s = &v->summary[i];
        const bool begins = i == 0 || s->place != s[-1].place || !page_same(s->mode, s[-1].mode);
        (void)fprintf(f, "<tr%s>", begins ? " class=g" : "");
        if (has_ablations(v)) {
            html_cell_text(f, s->ablation);
        }
        html_cell_text(f, page_same(s->mode, "local_only") ? "local only" : s->mode);
        html_cell_text(f, s->noise);
        html_cells_budget(f, s);
        html_interval(f, &(struct interval){s->auroc, s->auroc_low, s->auroc_high}, 3);
        html_cell_number(f, s->n_seeds > 1 ? s->auroc_sd : (double)NAN, 3);
        if (best != NULL) {
            html_cell_number(f, s == best ? (double)NAN : s->auroc - best->auroc, 3);
        }
        html_cell_number(f, s->auroc_site_mean, 3);
        html_cell_number(f, s->auprc, 3);
        html_cell_number(f, s->ece, 3);
        if (attacks) {
            attack_cells(f, v, s);
        }
        (void)fputs("</tr>\n", f);
    }
    html_table_close(f);
    if (isfinite(v->page->ceiling)) {
        (void)fputs("<p class=note>Ceiling: no model of ", f);
        html_text(f, v->page->ceiling_of != NULL ? v->page->ceiling_of : "these patients");
        (void)fputs(" has an AUROC above ", f);
        html_number(f, v->page->ceiling, 3);
        (void)fputs(", by Monte Carlo from the known law.</p>\n", f);
    }
    if (attacks) {
        (void)fputs(
            "<p class=note>Attack success: true-positive rate on canaries at a "
            "false-positive rate of 1 %, by a coordinator who sees each update or each sum, "
            "and by a reader of the finished model; a dash where that view was not tried. "
            "Federations that the attacker trained to compare with: ",
            f);
        attack_views(f, v->page);
        (void)fputs(". An attack that finds little proves nothing.</p>\n", f);
    }
}

void page_attacks(FILE *f, const struct page_view *v)
{
    html_table_open(f, v, "Membership attacks, all views.");
    (void)fputs("<th>subject<th>view<th>noise<th class=n>ε<th>method<th class=n>references<th "
                "class=n>trials<th "
                "class=n>found at FPR 1 %<th class=n>bound<th class=n>ε at least"
                "</tr></thead><tbody>\n",
                f);
    for (size_t i = 0; i < v->page->n_attacks; i++) {
        const struct report_attack *a = &v->page->attack[i];
        (void)fputs("<tr>", f);
        html_cell_text(f, a->subject);
        html_cell_text(f, a->view);
        html_cell_text(f, a->noise);
        html_cell_epsilon(f, a->epsilon);
        html_cell_text(f, a->method);
        (void)fprintf(f, "<td class=n>%zu</td><td class=n>%zu</td>", a->references, a->trials);
        html_interval(f, &a->tpr, 3);
        html_cell_number(f, a->bound, 3);
        html_cell_number(f, a->epsilon_low, 2);
        (void)fputs("</tr>\n", f);
    }
    html_table_close(f);
    (void)fputs(
        "<p class=note>Trials are coins: each put one subject into one run, or kept it out. The "
        "views: <em>update</em>, a coordinator who sees each hospital's update; <em>sum</em>, one "
        "who sees masked sums alone; <em>model</em>, a reader of the finished model. Intervals are "
        "95 % (Clopper and Pearson). The bound is the most that any attacker can find at a "
        "false-positive rate of 1 %; that rate is measured, too, so that an interval may lie above "
        "its bound by chance: wardround-sim attack fails where it does even at the upper end of "
        "the rate's own interval. ε at least: what the attack proves, at a risk of 5 %. An attack "
        "that finds little proves nothing.</p>\n",
        f);
}

/* ---- hospitals ------------------------------------------------------------------------------------ */

/* A mean over seeds, of seeds that have the number. */
struct mean {
    struct interval sum;
    size_t n;
};

static void mean_add(struct mean *m, const struct interval *x)
{
    m->sum.value += x->value;
    m->sum.low += x->low;
    m->sum.high += x->high;
    m->n++;
}

static struct interval mean_of(const struct mean *m)
{
    const double share = m->n > 0 ? 1.0 / (double)m->n : (double)NAN;
    return (struct interval){share * m->sum.value, share * m->sum.low, share * m->sum.high};
}

static struct interval site_auroc(const struct page_view *v, const struct report_summary *s,
                                  size_t site)
{
    struct mean m = {0};
    for (size_t i = 0; i < v->page->n_rows; i++) {
        const struct report_row *r = &v->page->row[i];
        if (report_summary_has(s, r) && site < r->n_sites && r->site[site].has_auroc) {
            mean_add(&m, &r->site[site].auroc);
        }
    }
    return mean_of(&m);
}

static struct interval pattern_auroc(const struct page_view *v, const struct report_summary *s,
                                     size_t pattern)
{
    struct mean m = {0};
    for (size_t i = 0; i < v->page->n_rows; i++) {
        const struct report_row *r = &v->page->row[i];
        if (report_summary_has(s, r) && pattern < r->n_patterns && r->pattern[pattern].has_auroc) {
            mean_add(&m, &r->pattern[pattern].auroc);
        }
    }
    return mean_of(&m);
}

static bool in_site_table(const struct report_summary *s)
{
    return is_base_federated(s) || (s->place == 0 && page_same(s->noise, "none"));
}

/* A column for each cell that hospitals, or sets of modalities, are compared in; the head's end. */
static void site_heads(FILE *f, const struct page_view *v)
{
    for (size_t i = 0; i < v->n; i++) {
        char label[PAGE_LABEL_MAX];
        if (in_site_table(&v->summary[i])) {
            page_label(&v->summary[i], label);
            (void)fputs("<th class=n>", f);
            html_text(f, label);
        }
    }
    (void)fputs("</tr></thead><tbody>\n", f);
}

void page_sites(FILE *f, const struct page_view *v)
{
    const struct report_row *first = &v->page->row[0];
    html_table_open(f, v, "AUROC at each hospital.");
    (void)fputs("<th>hospital<th class=n>patients<th class=n>positive", f);
    site_heads(f, v);
    for (size_t k = 0; k < first->n_sites; k++) {
        const struct report_site *site = &first->site[k];
        (void)fputs("<tr>", f);
        html_cell_text(f, site->name);
        (void)fprintf(f, "<td class=n>%zu</td>", site->n_patients);
        int64_t ill = 0;
        for (size_t j = 0; j < site->counts.bins; j++) {
            ill += site->counts.at[EVALUATION_ILL][j];
        }
        html_cell_number(f, site->counts.bins > 0 ? (double)ill : (double)NAN, 0);
        for (size_t i = 0; i < v->n; i++) {
            if (in_site_table(&v->summary[i])) {
                const struct interval a = site_auroc(v, &v->summary[i], k);
                html_interval(f, &a, 3);
            }
        }
        (void)fputs("</tr>\n", f);
    }
    html_table_close(f);
}

static bool leaves_out(const struct page_view *v, const struct report_summary *s)
{
    const struct report_row *r = page_row(v, s);
    bool any = false;
    for (size_t k = 0; r != NULL && k < r->n_sites; k++) {
        any = any || r->site[k].left_out;
    }
    return any && page_same(s->mode, "federated");
}

/* Rows: who was left out of training; columns: on whom the model is tested. Differences from the base at
 * the same noise and epsilon. */
void page_left_out(FILE *f, const struct page_view *v)
{
    bool any = false;
    for (size_t i = 0; i < v->n; i++) {
        any = any || leaves_out(v, &v->summary[i]);
    }
    if (!any) {
        return;
    }
    const struct report_row *first = &v->page->row[0];
    html_table_open(f, v,
                    "Trained by some of the hospitals, tested at each: AUROC, and in brackets "
                    "the difference from the study with all hospitals. Shaded: never trained on.");
    (void)fputs("<th>ablation<th>noise<th class=n>ε", f);
    for (size_t k = 0; k < first->n_sites; k++) {
        (void)fputs("<th class=n>", f);
        html_text(f, first->site[k].name);
    }
    (void)fputs("</tr></thead><tbody>\n", f);
    for (size_t i = 0; i < v->n; i++) {
        const struct report_summary *s = &v->summary[i];
        const struct report_summary *base = NULL;
        if (!leaves_out(v, s)) {
            continue;
        }
        for (size_t j = 0; j < v->n; j++) {
            const struct report_summary *b = &v->summary[j];
            const bool level = (isinf(b->epsilon) && isinf(s->epsilon)) ||
                               !(b->epsilon < s->epsilon || b->epsilon > s->epsilon);
            base = is_base_federated(b) && page_same(b->noise, s->noise) && level ? b : base;
        }
        (void)fputs("<tr>", f);
        html_cell_text(f, s->ablation);
        html_cell_text(f, s->noise);
        html_cell_epsilon(f, s->epsilon);
        for (size_t k = 0; k < first->n_sites; k++) {
            const double with = base != NULL ? site_auroc(v, base, k).value : (double)NAN;
            const double without = site_auroc(v, s, k).value;
            (void)fprintf(f, "<td class=\"n%s\">", page_row(v, s)->site[k].left_out ? " out" : "");
            html_number(f, without, 3);
            if (isfinite(with) && isfinite(without)) {
                (void)fputs(" (", f);
                html_number(f, without - with, 3);
                (void)fputc(')', f);
            }
            (void)fputs("</td>", f);
        }
        (void)fputs("</tr>\n", f);
    }
    html_table_close(f);
}

void page_patterns(FILE *f, const struct page_view *v)
{
    const struct report_row *first = &v->page->row[0];
    if (first->n_patterns == 0) {
        return;
    }
    html_table_open(f, v, "AUROC by what patients have: the same patients in every column.");
    (void)fputs("<th>modalities<th class=n>patients<th class=n>positive", f);
    site_heads(f, v);
    for (size_t k = 0; k < first->n_patterns; k++) {
        const struct report_pattern *p = &first->pattern[k];
        (void)fputs("<tr>", f);
        html_cell_text(f, p->name);
        (void)fprintf(f, "<td class=n>%zu</td><td class=n>%zu</td>", p->n_patients, p->n_positive);
        for (size_t i = 0; i < v->n; i++) {
            if (in_site_table(&v->summary[i])) {
                const struct interval a = pattern_auroc(v, &v->summary[i], k);
                html_interval(f, &a, 3);
            }
        }
        (void)fputs("</tr>\n", f);
    }
    html_table_close(f);
}

/* ---- operating points ------------------------------------------------------------------------------ */

void page_operating(FILE *f, const struct page_view *v)
{
    html_table_open(f, v, "Operating points.");
    (void)fputs("<th>cell<th class=n>sensitivity at 90 % specificity<th class=n>PPV of the top 10 "
                "%<th class=n>number needed to alert<th class=n>ECE</tr></thead><tbody>\n",
                f);
    for (size_t i = 0; i < v->n; i++) {
        const struct evaluation *e = &v->cell[i].e;
        if (!page_is_shown(&v->cell[i])) {
            continue;
        }
        html_row_open(f, &v->summary[i]);
        html_interval(f, &e->sensitivity, 3);
        html_interval(f, &e->ppv, 3);
        html_interval(f, &e->nna, 2);
        html_interval(f, &e->ece, 3);
        (void)fputs("</tr>\n", f);
    }
    html_table_close(f);
    (void)fputs(
        "<p class=note>From histograms of the scores on the 25 bins of a federated "
        "evaluation, without its noise; bias taken off, so that ECE can differ from that of "
        "Table 1, which holds the sampling.</p>\n",
        f);
}

void page_strata(FILE *f, const struct page_view *v)
{
    html_table_open(
        f, v,
        "Risk strata, by predicted risk: observed share of positives over all seeds, and "
        "patients of one seed, a mean, in brackets.");
    (void)fputs("<th>cell", f);
    const struct evaluation *any = NULL;
    for (size_t i = 0; i < v->n; i++) {
        any = page_is_shown(&v->cell[i]) ? &v->cell[i].e : any;
    }
    for (size_t k = 0; any != NULL && k < EVALUATION_STRATA; k++) {
        (void)fprintf(f, "<th class=n>%.0f–%.0f %%", 100.0 * any->stratum[k].from,
                      100.0 * any->stratum[k].to);
    }
    (void)fputs("</tr></thead><tbody>\n", f);
    for (size_t i = 0; i < v->n; i++) {
        if (!page_is_shown(&v->cell[i])) {
            continue;
        }
        html_row_open(f, &v->summary[i]);
        for (size_t k = 0; k < EVALUATION_STRATA; k++) {
            const struct evaluation_group *g = &v->cell[i].e.stratum[k];
            (void)fputs("<td class=n>", f);
            html_number(f, 100.0 * g->observed.value, 1);
            const bool part =
                g->n < 10.0 && g->n > floor(g->n); /* one patient in one seed of two */
            (void)fprintf(f, "%s (%.*f)</td>", isfinite(g->observed.value) ? " %" : "",
                          part ? 1 : 0, g->n);
        }
        (void)fputs("</tr>\n", f);
    }
    html_table_close(f);
}
