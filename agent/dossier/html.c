/* The page: one file, no script, nothing from elsewhere, black on white on paper. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "agent/dossier/dossier_internal.h"

static const char style[] =
    "body{font:15px/1.45 system-ui,sans-serif;color:#111;max-width:64rem;margin:2rem "
    "auto;padding:0 1rem}"
    "h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem;border-bottom:1px solid #888}"
    "h3{margin-bottom:.3rem}table{border-collapse:collapse;margin:.5rem 0}"
    "th,td{border:1px solid #999;padding:.2rem .5rem;text-align:left;vertical-align:top}"
    "thead{display:table-header-group}tr{break-inside:avoid}.n{text-align:right;white-space:nowrap}"
    "code{font:12px/1.3 ui-monospace,monospace;overflow-wrap:anywhere}"
    ".sound,.broken{border:3px solid #060;padding:.5rem 1rem}.broken{border:6px double "
    "#a00;font-weight:bold}"
    "dt{font-weight:bold}.rounds{font-size:12px}.rounds code{font-size:10px}"
    "@media "
    "print{body{font-size:10pt;margin:0;max-width:none}h2,h3{break-after:avoid}a{color:inherit}}";

/* "2026-11-28 02:33:55 UTC" */
static void put_time(FILE *f, int64_t ms)
{
    char text[TEXT_TIME_MAX];
    text_time(text, ms);
    if (text[0] == '\0') {
        (void)fputs("no date", f);
        return;
    }
    char *t = strchr(text, 'T');
    char *dot = strchr(text, '.');
    *t = ' ';
    *dot = '\0';
    (void)fprintf(f, "%s UTC", text);
}

static void put_hash(FILE *f, const struct hash *h)
{
    char hex[HASH_HEX];
    hash_hex(h, hex);
    (void)fprintf(f, "<code>%s</code>", hex);
}

static void field(FILE *f, const char *name)
{
    (void)fprintf(f, "</td></tr>\n<tr><th>%s</th><td>", name);
}

/* ---- head, policy, totals --------------------------------------------------------------------- */

static void put_verdict(FILE *f, const struct dossier *r)
{
    if (r->n_faults == 0) {
        (void)fprintf(
            f,
            "<p class=sound><b>Verified.</b> Every row is chained as it was written (studies "
            "%zu, rounds %zu, evaluations %zu), and all stored bytes have their hashes (updates "
            "%zu, kept states %zu, evaluations as well). ",
            r->verified.studies, r->verified.spends, r->verified.evaluations, r->verified.updates,
            r->verified.site_states);
        (void)fprintf(f, "Every row that a coordinator has signed for is there (receipts %zu). ",
                      r->receipts);
        (void)fputs(r->verified.marked
                        ? "The ledger reaches as far as the mark beside it.</p>\n"
                        : "<b>There was no mark beside it to compare with, so an end that was cut "
                          "off, or an "
                          "old copy that was put back, would not have been noticed.</b></p>\n",
                    f);
        return;
    }
    (void)fputs("<div class=broken><p>NOT VERIFIED. This ledger is broken. Do not rely on any "
                "figure below: "
                "they are what its rows say now, and rows may be missing or changed. What was "
                "found:</p><ul>\n",
                f);
    for (size_t i = 0; i < r->n_faults; i++) {
        (void)fputs("<li>", f);
        text_html(f, r->fault[i].text);
        (void)fputs("</li>\n", f);
    }
    (void)fputs(
        "</ul><p>Until this is explained nothing more should leave the site; the agent refuses "
        "such a "
        "ledger. Keep the file as it is, and compare it with backups and with earlier reports.</p>"
        "</div>\n",
        f);
}

static void put_head(FILE *f, const struct dossier *r)
{
    (void)fputs(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'\">\n<title>Privacy ledger of ",
        f);
    text_html(f, r->site);
    (void)fprintf(f, "</title>\n<style>%s</style>\n</head>\n<body>\n<h1>Privacy ledger of site ",
                  style);
    text_html(f, r->site);
    (void)fputs("</h1>\n<p>What this site has released about its patients by federated learning, "
                "and what that "
                "can reveal of one patient at most. Written ",
                f);
    put_time(f, r->now_ms);
    (void)fputs(" by wardround-agent ", f);
    text_html(f, r->version);
    (void)fputs(", as of that moment. The same rows for a spreadsheet are in studies.csv and "
                "rounds.csv beside "
                "this page.</p>\n",
                f);
    put_verdict(f, r);
    if (r->remark != NULL) {
        (void)fputs("<p class=broken>", f);
        text_html(f, r->remark);
        (void)fputs("</p>\n", f);
    }
}

static void policy_line(FILE *f, const char *name, double x, const char *words)
{
    (void)fprintf(f, "<tr><td><code>%s</code></td><td class=n>", name);
    words_figure(f, x);
    (void)fprintf(f, "</td><td>%s</td></tr>\n", words);
}

static void put_policy(FILE *f, const struct ledger_policy *p)
{
    (void)fputs(
        "<h2>What the hospital allows</h2>\n<p>The policy in site.yaml as it is now. It is the "
        "hospital's "
        "own file; no message of a coordinator can change it. An earlier policy may have been "
        "another one: the ledger does not keep it.</p>\n"
        "<table><thead><tr><th>limit</th><th>value</th><th>in words</th></tr></thead><tbody>\n",
        f);
    policy_line(f, "max_epsilon_per_study", p->max_epsilon_per_study,
                "No study may cost more than this, with all of its rounds. Infinite: studies "
                "without noise are "
                "allowed.");
    policy_line(f, "max_epsilon_total", p->max_epsilon_total,
                "All studies together, for ever, may not cost more than this. Infinite: there is "
                "no limit.");
    policy_line(f, "max_delta_per_study", p->max_delta_per_study,
                "The chance with which epsilon may fail to hold, at most.");
    policy_line(
        f, "min_patients", (double)p->min_patients,
        "With a smaller cohort this site takes part in nothing. It is a limit, not the number of "
        "patients.");
    policy_line(f, "min_sites", (double)p->min_sites,
                "A study that could publish what fewer sites computed together is declined.");
    policy_line(
        f, "max_colluding", (double)p->max_colluding,
        "A study must hold against at least so many other sites that share what they know.");
    policy_line(f, "masked", p->masked ? 1.0 : 0.0,
                "1: only studies in which the coordinator reads nothing but sums.");
    policy_line(f, "threshold", (double)p->threshold,
                "In these, at least so many sites must agree to open a sum.");
    policy_line(f, "shared_noise", p->shared_noise ? 1.0 : 0.0,
                "0: this site adds all the noise that its patients need. 1: noise may be shared; "
                "it then protects only while enough sites add theirs.");
    policy_line(f, "max_evaluation_epsilon", p->max_evaluation_epsilon,
                "How well a study's model does here may be told with noise, and all such "
                "evaluations of one study may cost no more than this. 0: it is never told.");
    (void)fputs("</tbody></table>\n", f);
}

static void total_line(FILE *f, const char *what, bool known, double x, const char *words)
{
    (void)fprintf(f, "<tr><td>%s</td><td class=n>", what);
    words_figure(f, known ? x : (double)NAN);
    (void)fprintf(f, "</td><td>%s</td></tr>\n", words);
}

static void put_totals(FILE *f, const struct dossier *r)
{
    const struct ledger_totals *t = &r->totals;
    (void)fprintf(
        f,
        "<h2>All studies together</h2>\n<p>Epsilon at delta %.4g, for one patient at this site, "
        "added "
        "or removed.</p>\n<table><thead><tr><th></th><th>epsilon</th><th>in words</th></tr></thead>"
        "<tbody>\n",
        r->policy.max_delta_per_study);
    total_line(f, "spent", r->has_totals, t->spent, "everything that was committed until now");
    total_line(f, "spent and promised", r->has_totals, t->promised,
               "that, and all rounds that joined studies may still come for");
    total_line(f, "left", r->has_totals, t->left,
               "the policy's total less what is spent and promised; epsilons of several studies "
               "add up to less than "
               "their sum");
    total_line(f, "by the filter", r->has_totals, t->filter,
               "spent and promised as the gate counts it (R&eacute;nyi filter at one order that "
               "the policy fixes; of "
               "a single study its own tight figure). This is what is compared with the total. "
               "Infinite: a first "
               "study that uses more than the filter has room for, and must stay the only one");
    (void)fputs("</tbody></table>\n", f);
}

/* ---- studies and rounds ----------------------------------------------------------------------- */

static void put_study(FILE *f, const struct dossier_study *one)
{
    const struct ledger_study *s = &one->ledger;
    (void)fprintf(f, "<h3>%" PRId64 ". ", s->number);
    text_html(f, s->name);
    (void)fprintf(f, "</h3>\n<table><tbody><tr><th>state</th><td>%s", text_state(one->state));
    if (!s->sound) {
        (void)fputs("; <b>its numbers are damaged and make no plan</b>", f);
    }
    field(f, "document");
    put_hash(f, &s->hash);
    field(f, "joined");
    put_time(f, s->joined_ms);
    field(f, "ended");
    if (s->ended) {
        put_time(f, s->ended_ms);
    } else {
        (void)fputs("not yet", f);
    }
    field(f, "noise");
    text_htmlf(f, "mode %s, sigma %.6g, clip %.6g, q %.6g", text_noise(s), s->round.sigma, s->clip,
               s->round.q);
    if (s->masked) {
        text_htmlf(f, "; only sums are read, opened by %zu sites", s->threshold);
    }
    if (!(s->round.sigma > 0.0)) {
        (void)fputs(". <b>Nothing is promised to patients in this study.</b>", f);
    }
    field(f, "rounds");
    text_htmlf(f, "%" PRIu64 " committed of %" PRIu64 " planned, %" PRIu64 " steps each",
               s->rounds_spent, s->rounds, s->round.steps);
    field(f, "epsilon");
    text_htmlf(f, "at delta %.4g: ", s->delta);
    words_figure(f, s->epsilon_spent);
    (void)fputs(" committed, at most ", f);
    words_figure(f, s->epsilon_most);
    (void)fputs(" if all its rounds come; the document states ", f);
    words_figure(f, s->epsilon);
    if (s->evaluations > 0) {
        field(f, "evaluations");
        text_htmlf(f, "%" PRIu64 " of its models, by noised histograms of scores, epsilon ",
                   s->evaluations);
        words_figure(f, s->evaluation_epsilon);
        (void)fputs(" in sum and without any delta; with the committed rounds, as if planned "
                    "together: ",
                    f);
        words_figure(f, s->epsilon_all);
    }
    if (s->shared) {
        field(f, "epsilon, reader");
        (void)fputs("the figures above are against the coordinator with max_colluding sites, and "
                    "need min_sites less max_colluding sites that add their share of the noise. "
                    "Against who reads models only: ",
                    f);
        words_figure(f, s->reader_spent);
        (void)fputs(" committed, at most ", f);
        words_figure(f, s->reader_most);
    }
    field(f, "attacker");
    (void)fputs("at 1&nbsp;% false alarms finds at most ", f);
    words_percent(f, one->tpr_spent);
    (void)fputs(" of the participants by what was committed, at most ", f);
    words_percent(f, one->tpr_most);
    (void)fputs(" if all its rounds come", f);
    field(f, "floors");
    text_htmlf(f, "min_sites %zu, max_colluding %zu", s->min_sites, s->max_colluding);
    field(f, "chain link");
    put_hash(f, &s->link);
    (void)fputs("</td></tr></tbody></table>\n", f);
}

static void put_round(FILE *f, const struct ledger_row *s)
{
    (void)fprintf(f, "<tr><td class=n>%" PRId64 "</td><td>", s->sequence);
    put_time(f, s->at_ms);
    (void)fputs("</td><td>", f);
    text_html(f, s->study);
    (void)fprintf(f, "</td><td class=n>%" PRIu64 "</td><td>", s->round);
    text_htmlf(f, "q %.6g, sigma %.6g, %" PRIu64 " steps, clip %.6g", s->mechanism.q,
               s->mechanism.sigma, s->mechanism.steps, s->clip);
    (void)fputs("</td><td class=n>", f);
    if (s->stored) {
        (void)fprintf(f, "%zu", s->update_bytes);
    } else {
        (void)fputs("gone", f);
    }
    (void)fputs("</td><td>", f);
    put_hash(f, &s->update);
    (void)fputs("</td><td>", f);
    put_hash(f, &s->link);
    (void)fputs("</td></tr>\n", f);
}

void dossier_html(FILE *f, const struct dossier *r)
{
    put_head(f, r);
    put_policy(f, &r->policy);
    put_totals(f, r);
    words_meaning(f, r);
    (void)fputs("<h2>Studies</h2>\n", f);
    for (size_t i = 0; i < r->n_studies; i++) {
        put_study(f, &r->study[i]);
    }
    if (r->n_studies == 0) {
        (void)fputs("<p>None was ever joined.</p>\n", f);
    }
    (void)fputs("<h2>Rounds</h2>\n<p>In the order in which they were committed: each is an update "
                "that has left "
                "or may leave.</p>\n<table "
                "class=rounds><thead><tr><th>no.</th><th>committed</th><th>study</th>"
                "<th>round</th><th>mechanism</th><th>bytes</th><th>update (hash)</th><th>chain "
                "link</th></tr>"
                "</thead><tbody>\n",
                f);
    for (size_t i = 0; i < r->n_rows; i++) {
        put_round(f, &r->row[i]);
    }
    (void)fputs("</tbody></table>\n", f);
    words_not_in_here(f);
    words_chain(f, r);
    words_terms(f);
    (void)fputs("</body>\n</html>\n", f);
}
