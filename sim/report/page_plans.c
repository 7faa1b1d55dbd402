/* What a cell cost, how it was planned and what that promises. */
#include <math.h>

#include "sim/report/page_internal.h"

void page_cost(FILE *f, const struct page_view *v)
{
    html_table_open(f, v, "Cost of one trained model.");
    (void)fputs("<th>cell<th class=n>rounds<th class=n>steps a site<th class=n>seconds of a "
                "model<th class=n>one update, kB<th class=n>sent by a site, kB"
                "</tr></thead><tbody>\n",
                f);
    for (size_t i = 0; i < v->n; i++) {
        const struct report_row *r = page_row(v, &v->summary[i]);
        const bool sends = page_same(v->summary[i].mode, "federated") && r->update_bytes > 0;
        html_row_open(f, &v->summary[i]);
        (void)fprintf(f, "<td class=n>%zu</td><td class=n>%zu</td>", r->rounds, r->steps);
        html_cell_number(f, v->summary[i].seconds / (double)(r->folds > 0 ? r->folds : 1), 2);
        html_cell_number(f, sends ? (double)r->update_bytes / 1e3 : (double)NAN, 1);
        html_cell_number(f, sends ? (double)r->update_bytes * (double)r->rounds / 1e3 : (double)NAN,
                         0);
        (void)fputs("</tr>\n", f);
    }
    html_table_close(f);
    (void)fputs("<p class=note>Seconds are of this machine under its load, mean over seeds and "
                "folds. Updates without their frames",
                f);
    if (v->page->peak_bytes > 0) {
        (void)fprintf(f, ". Memory of the whole process at its most: %.0f MB",
                      (double)v->page->peak_bytes / 1e6);
    }
    (void)fputs(".</p>\n", f);
}

/* "1–10", or "1, 3, 7". */
static void put_seeds(FILE *f, const struct page_view *v, const struct report_summary *s)
{
    uint64_t last = 0, begun = 0;
    bool any = false;
    for (size_t k = 0; k <= v->page->n_rows; k++) {
        const bool here = k < v->page->n_rows && report_summary_has(s, &v->page->row[k]);
        if (!here && k < v->page->n_rows) {
            continue;
        }
        const uint64_t seed = here ? v->page->row[k].seed : 0;
        if (any && here && seed == last + 1) {
            last = seed;
            continue;
        }
        if (any && last > begun) {
            (void)fprintf(f, "–%llu", (unsigned long long)last);
        }
        if (here) {
            (void)fprintf(f, "%s%llu", any ? ", " : "", (unsigned long long)seed);
        }
        begun = last = seed;
        any = true;
    }
}

static double most_spent(const struct report_row *r)
{
    double most = 0.0;
    for (size_t k = 0; k < r->n_sites; k++) {
        most = fmax(most, r->site[k].epsilon_spent);
    }
    return most;
}

/* What each kind of noise promises; each that there is, once. */
struct promise {
    const char *mode, *noise; /* NULL: any mode, any noise */
    const char *name, *says;
};

static const struct promise promises[] = {
    {NULL, "none", "No noise",
     "Nothing is promised. Whoever sees the model, or an update, may learn that a patient took "
     "part, also where updates are masked. Each patient's gradient is clipped as in the rows with "
     "noise (<code>clip</code> in the configuration), so that they differ by the noise alone; a "
     "tight bound costs the rarer class most, and predicted risks are then too low."},
    {"federated", "site", "Federated, site noise",
     "Each hospital adds noise for itself. Holds against everybody who sees what leaves it, the "
     "coordinator and the other hospitals included."},
    {"federated", "shared", "Federated, shared noise",
     "The noise is in the masked sum of the hospitals. Holds against readers of the sums and of "
     "the model, as long as no more than the study's <code>max_colluding</code> hospitals tell "
     "their noise; not against one who sees a single update unmasked."},
    {"local_only", NULL, "Local only, with noise",
     "Each hospital trains alone, with noise. Holds against readers of its model."},
    {"pooled", NULL, "Pooled, with noise",
     "The patients themselves are in one place. Holds against readers of the model, not against "
     "whoever keeps the patients."},
};

static const char guarantee[] =
    "<p>What ε and δ promise: whatever anybody concludes about one patient from what the noise "
    "covers is at most e<sup>ε</sup> times as likely with the patient's record as without it, but "
    "for a chance of δ. Against whom it holds depends on where the noise is.</p>\n";

static bool is_noisy(const struct page_view *v)
{
    for (size_t i = 0; i < v->n; i++) {
        if (!page_same(v->summary[i].noise, "none")) {
            return true;
        }
    }
    return false;
}

static bool is_promised(const struct page_view *v, const struct promise *p)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct report_summary *s = &v->summary[i];
        const bool noise =
            p->noise != NULL ? page_same(s->noise, p->noise) : !page_same(s->noise, "none");
        if (noise && (p->mode == NULL || page_same(s->mode, p->mode))) {
            return true;
        }
    }
    return false;
}

void page_plans(FILE *f, const struct page_view *v)
{
    html_table_open(
        f, v,
        "The plan of each cell, and what it promises: e<sup>ε</sup> is the most by which one "
        "patient's record can change the odds of anything.");
    (void)fputs("<th>cell<th class=n>ε<th class=n>δ<th class=n>e<sup>ε</sup><th class=n>ε by the "
                "ledgers<th class=n>sampling rate<th class=n>steps<th class=n>noise "
                "multiplier<th class=n>seeds</tr></thead><tbody>\n",
                f);
    for (size_t i = 0; i < v->n; i++) {
        const struct report_summary *s = &v->summary[i];
        const struct report_row *r = page_row(v, s);
        const double spent = most_spent(r);
        html_row_open(f, s);
        html_cells_budget(f, s);
        html_cell_number(f, exp(s->epsilon), exp(s->epsilon) < 100.0 ? 2 : 0);
        html_cell_number(f, spent > 0.0 ? spent : (double)NAN, 4);
        (void)fprintf(f, "<td class=n>%.6g</td><td class=n>%zu</td>", r->sample_rate, r->steps);
        html_cell_number(f, s->noise_multiplier > 0.0 ? s->noise_multiplier : (double)NAN, 4);
        (void)fputs("<td class=n>", f);
        put_seeds(f, v, s);
        (void)fputs("</td></tr>\n", f);
    }
    html_table_close(f);
    (void)fputs(is_noisy(v) ? guarantee : "", f);
    (void)fputs("<dl>\n", f);
    for (size_t k = 0; k < sizeof promises / sizeof promises[0]; k++) {
        if (is_promised(v, &promises[k])) {
            (void)fprintf(f, "<dt>%s</dt><dd>%s</dd>\n", promises[k].name, promises[k].says);
        }
    }
    (void)fputs("</dl>\n", f);
}
