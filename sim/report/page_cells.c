/* Which cells there are, what they are called, and what their histograms say. */
#include <math.h>
#include <string.h>

#include "sim/report/page_internal.h"

static struct evaluation_counts pooled_counts(const struct report_row *row)
{
    struct evaluation_counts sum = {0};
    for (size_t i = 0; i < row->n_sites; i++) {
        if (row->site[i].counts.bins > 0) {
            evaluation_add(&sum, &row->site[i].counts);
        }
    }
    return sum;
}

/* a += share b */
static void add_interval(struct interval *a, const struct interval *b, double share)
{
    a->value += share * b->value;
    a->low += share * b->low;
    a->high += share * b->high;
}

/* Each seed counts by its patients in the group, one that has none there not at all. */
static void add_groups(struct evaluation_group *a, const struct evaluation_group *b, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        a[k].from = b[k].from;
        a[k].to = b[k].to;
        if (isfinite(b[k].observed.value)) {
            a[k].n += b[k].n;
            a[k].predicted += b[k].n * b[k].predicted;
            add_interval(&a[k].observed, &b[k].observed, b[k].n);
        }
    }
}

/* Sums over seeds become means: of the patients in a seed, of the shares in a patient. */
static void finish_groups(struct evaluation_group *a, size_t n, size_t seeds)
{
    for (size_t k = 0; k < n; k++) {
        const double all = a[k].n; /* 0: no seed has anybody there, and no figure */
        const struct interval sum = a[k].observed;
        a[k].observed = (struct interval){sum.value / all, sum.low / all, sum.high / all};
        a[k].predicted /= all;
        a[k].n = all / (double)seeds;
    }
}

static void add_evaluation(struct evaluation *a, const struct evaluation *b, double share)
{
    a->bins = b->bins;
    for (size_t c = 0; c < EVALUATION_CLASSES; c++) {
        a->n[c] += share * b->n[c];
        for (size_t j = 0; j < b->bins; j++) {
            a->clean[c][j] += share * b->clean[c][j];
        }
    }
    add_interval(&a->auroc, &b->auroc, share);
    add_interval(&a->auprc, &b->auprc, share);
    add_interval(&a->ece, &b->ece, share);
    add_interval(&a->sensitivity, &b->sensitivity, share);
    add_interval(&a->ppv, &b->ppv, share);
    add_interval(&a->nna, &b->nna, share);
}

static enum rc measure(const struct report_page *page, struct page_cell *cell, struct error *err)
{
    const struct evaluation_bins bins = evaluation_bins_default();
    struct evaluation sum = {0};
    size_t seeds = 0;
    for (size_t i = 0; i < page->n_rows; i++) {
        if (!report_summary_has(cell->s, &page->row[i])) {
            continue;
        }
        const struct evaluation_counts counts = pooled_counts(&page->row[i]);
        struct evaluation e;
        struct error why = {0};
        if (counts.bins == 0) {
            continue;
        }
        const enum rc rc =
            evaluation_measure(&bins, &counts, HUGE_VAL, page->row[i].n_sites, &e, &why);
        if (rc == RC_OK) {
            add_evaluation(&sum, &e, 1.0);
            add_groups(cell->e.decile, e.decile, EVALUATION_DECILES);
            add_groups(cell->e.stratum, e.stratum, EVALUATION_STRATA);
            seeds++;
        } else if (rc != RC_STATE) {
            return error_set(err, rc, "%s", why.text);
        }
    }
    cell->measured = seeds > 0;
    if (seeds > 0) {
        add_evaluation(&cell->e, &sum, 1.0 / (double)seeds);
        finish_groups(cell->e.decile, EVALUATION_DECILES, seeds);
        finish_groups(cell->e.stratum, EVALUATION_STRATA, seeds);
    }
    return RC_OK;
}

bool page_same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

bool page_is_shown(const struct page_cell *c)
{
    const struct report_summary *s = c->s;
    return s->place == 0 && c->measured &&
           (page_same(s->mode, "federated") ||
            (page_same(s->mode, "pooled") && page_same(s->noise, "none")));
}

enum rc page_cells(const struct report_page *page, const struct report_summary *s, size_t n,
                   struct page_cell *cell, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        cell[i] = (struct page_cell){.s = &s[i], .measured = true};
        if (page_is_shown(&cell[i])) {
            const enum rc rc = measure(page, &cell[i], err);
            if (rc != RC_OK) {
                return rc;
            }
        } else {
            cell[i].measured = false;
        }
    }
    return RC_OK;
}

void page_label(const struct report_summary *s, char out[PAGE_LABEL_MAX])
{
    char number[REPORT_NUMBER_MAX] = "∞";
    if (isfinite(s->epsilon)) {
        report_number(number, s->epsilon);
    }
    const bool named = s->place > 0;
    const char *mode = page_same(s->mode, "local_only") ? "local only" : s->mode;
    if (page_same(s->noise, "none")) {
        (void)snprintf(out, PAGE_LABEL_MAX, "%s%s%s, no noise", named ? s->ablation : "",
                       named ? ": " : "", mode);
    } else {
        (void)snprintf(out, PAGE_LABEL_MAX, "%s%s%s, %s noise, ε = %s", named ? s->ablation : "",
                       named ? ": " : "", mode, s->noise, number);
    }
}

const struct report_row *page_row(const struct page_view *v, const struct report_summary *s)
{
    for (size_t i = 0; i < v->page->n_rows; i++) {
        if (report_summary_has(s, &v->page->row[i])) {
            return &v->page->row[i];
        }
    }
    return NULL;
}

const struct report_attack *page_attack(const struct report_page *p, const char *noise,
                                        double epsilon, bool reader)
{
    const struct report_attack *found = NULL;
    for (size_t i = 0; i < p->n_attacks; i++) {
        const struct report_attack *a = &p->attack[i];
        const bool here =
            page_same(a->noise, noise) && ((isinf(a->epsilon) && isinf(epsilon)) ||
                                           !(a->epsilon < epsilon || a->epsilon > epsilon));
        if (found == NULL && here && page_same(a->subject, "canary") &&
            page_same(a->view, "model") == reader) {
            found = a;
        }
    }
    return found;
}
