/* The sentences of the page: what a data-protection officer has to know to judge the figures. Each claim stands in
 * docs/PRIVACY.md with its argument; here it is said without formulas. */
#include <math.h>

#include "agent/dossier/dossier_internal.h"

void words_figure(FILE *f, double x)
{
    if (isnan(x)) {
        (void)fputs("not known", f);
    } else if (isinf(x)) {
        (void)fputs("infinite", f);
    } else {
        (void)fprintf(f, "%.6g", x);
    }
}

void words_percent(FILE *f, double x)
{
    if (isnan(x)) {
        (void)fputs("not known", f);
    } else {
        const double unit = x > 0.0 ? pow(10.0, floor(log10(100.0 * x)) - 2.0) : 1.0;
        const double up = ceil(100.0 * x / unit - 1e-9) * unit; /* "at most" must stay true */
        (void)fprintf(f, "%.3g&nbsp;%%", up);
    }
}

static void of_epsilon(FILE *f, const char *what, double epsilon, double delta)
{
    (void)fprintf(f, "<tr><td>%s</td><td class=n>", what);
    words_figure(f, epsilon);
    (void)fputs("</td><td class=n>", f);
    words_percent(f, isnan(epsilon) ? epsilon : dossier_bound(epsilon, delta, DOSSIER_FPR));
    (void)fputs("</td></tr>\n", f);
}

void words_meaning(FILE *f, const struct dossier *r)
{
    const double delta = r->policy.max_delta_per_study;
    const double spent = r->has_totals ? r->totals.spent : (double)NAN;
    const double promised = r->has_totals ? r->totals.promised : (double)NAN;
    (void)fprintf(
        f,
        "<h2>What the figures mean</h2>\n"
        "<p>The unit is <b>one patient at this site, added or removed</b> with all of their rows. "
        "Epsilon bounds how much more likely anything that has left this site can be if that "
        "patient "
        "was in the cohort than if not: at most e<sup>epsilon</sup> times, but for a chance of "
        "delta "
        "(%.4g). It holds against the coordinator, all other sites together, and every reader of "
        "the "
        "model, whatever else they know. A patient who is known to several sites is protected at "
        "each "
        "of them separately; the epsilons then add up.</p>\n"
        "<p>Inside one study, whose plan is fixed before its first step, epsilon is computed "
        "tightly from "
        "the distribution of the privacy loss, at that study's delta. Over several studies, which "
        "are "
        "chosen one after another, R&eacute;nyi curves are added and a R&eacute;nyi filter keeps "
        "the "
        "policy's total, however the studies were chosen. The figures here were computed anew from "
        "the "
        "rows below when this page was written.</p>\n"
        "<p>As a bound on an attacker: somebody sees everything that left, knows all other "
        "patients, may "
        "even have chosen the patient in question, and wants to find out whether this patient took "
        "part. "
        "If he accepts a false alarm in 1 of 100 cases, he finds <b>at most</b> the share of the "
        "participants in the last column. Guessing finds 1&nbsp;%%; a bound of 100&nbsp;%% is no "
        "protection. These are from epsilon and delta alone; a study's own bound, further down, is "
        "tighter.</p>\n"
        "<table><thead><tr><th>all studies, at delta %.4g</th><th>epsilon</th><th>finds at "
        "most</th>"
        "</tr></thead><tbody>\n",
        delta, delta);
    of_epsilon(f, "what has been committed until now", spent, delta);
    of_epsilon(f, "if every round comes that was promised to joined studies", promised, delta);
    of_epsilon(f, "if the policy's total is used up", r->policy.max_epsilon_total, delta);
    (void)fputs(
        "</tbody></table>\n"
        "<p>Epsilon is a bound for the worst case and not a measurement. It does not say that "
        "somebody was found, and it does not hide what is true of a whole group: that smokers are "
        "at risk is learnt with or without a given smoker.</p>\n",
        f);
}

void words_not_in_here(FILE *f)
{
    (void)fputs(
        "<h2>What is not in the ledger</h2>\n<ul>\n"
        "<li>No patient's value, no name, no count of patients, no score. The updates' bytes are "
        "in the "
        "ledger; this page has their length and their hash.</li>\n"
        "<li>The hash of the cohort, which the ledger has, is left out on purpose: whoever knows "
        "all "
        "patients but one could try guesses of that one against it. The chain links were computed "
        "over it, "
        "so <b>keep this report inside the hospital</b>, and do not publish links.</li>\n"
        "<li>Messages without data of patients: acceptance, round numbers, acknowledgements, how "
        "far a round "
        "has come.</li>\n"
        "<li>Not accounted: that a study was declined because the cohort is below the policy's "
        "least number "
        "(one bit), that a round's training broke down (one bit), the words a person wrote for a "
        "withdrawal, and the times at which messages were sent.</li>\n"
        "<li>Scores of new patients, evaluations and everything else that is done with a finished "
        "model "
        "inside the hospital, and every release of data by other ways than this program.</li>\n"
        "<li>Rounds that were trained and never committed: nothing of them left.</li>\n"
        "</ul>\n",
        f);
}

static void last_link(FILE *f, const char *what, size_t n, const struct hash *link)
{
    char hex[HASH_HEX];
    if (n > 0) {
        hash_hex(link, hex);
        (void)fprintf(f, "<li>%s: <code>%s</code></li>\n", what, hex);
    }
}

void words_chain(FILE *f, const struct dossier *r)
{
    (void)fputs(
        "<h2>What the chain can show, and what it cannot</h2>\n"
        "<p>Every study and every round is a row with a link: a hash of the link before it "
        "and of the row. "
        "Beside the ledger lies a mark of how far it had come.</p>\n<ul>\n"
        "<li><b>Found:</b> a row that was edited, exchanged, inserted or removed; updates "
        "or kept states whose "
        "bytes changed; an end that was cut off or an old copy that was put back, by the mark "
        "or by the "
        "receipts: what coordinators signed when an update arrived. Without their keys nobody "
        "can make one. "
        "A coordinator also says what it remembers when it offers a study.</li>\n"
        "<li><b>Not found from inside:</b> ledger, mark and receipts put back together, until "
        "a coordinator "
        "that remembers is asked; rounds that were never written because another program "
        "sent them.</li>\n"
        "<li><b>Not in the chain:</b> when a study was joined, when it ended, and whether "
        "it has (how it ended is "
        "from the record of consents). Times of rounds are in the chain, and are what this "
        "computer's clock said.</li>\n"
        "</ul>\n"
        "<p><b>This report is a witness:</b> keep it where the people who run the program "
        "cannot change it. "
        "A later report must show the same links in the same rows; if it does not, or has "
        "fewer rows, the ledger "
        "was rewritten or put back since.</p>\n<ul>\n",
        f);
    if (r->n_studies > 0) {
        last_link(f, "last study's link", r->n_studies, &r->study[r->n_studies - 1].ledger.link);
    }
    if (r->n_rows > 0) {
        last_link(f, "last round's link", r->n_rows, &r->row[r->n_rows - 1].link);
    }
    (void)fputs(
        "</ul>\n<p>To check again: <code>wardround-agent ledger SITE --verify</code>.</p>\n", f);
}

void words_terms(FILE *f)
{
    (void)fputs(
        "<h2>Words</h2>\n<dl>\n"
        "<dt>sampling rate q</dt><dd>the chance with which each patient is in a step, by a secret "
        "coin of its own</dd>\n"
        "<dt>clip</dt><dd>the most that one patient can move the sum of a step (Euclidean "
        "length)</dd>\n"
        "<dt>noise multiplier sigma</dt><dd>standard deviation of the noise as a multiple of that "
        "most; 0 is no noise "
        "and no promise</dd>\n"
        "<dt>noise mode</dt><dd><i>site</i>: this hospital adds all of the noise itself and needs "
        "nobody else's honesty; "
        "<i>none</i>: no noise</dd>\n"
        "<dt>round, step</dt><dd>a round is what leaves at once: the outcome of its steps</dd>\n"
        "<dt>committed</dt><dd>written into the ledger, after which the update may leave; what is "
        "committed counts "
        "as spent whether it arrived or not</dd>\n"
        "<dt>promised</dt><dd>rounds that a joined study may still come for; they count as taken "
        "for whoever asks "
        "next</dd>\n"
        "<dt>hash</dt><dd>BLAKE2b with 256 bits</dd>\n</dl>\n",
        f);
}
