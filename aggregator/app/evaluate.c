/* evaluate: how good a finished model is on the patients that its sites have held out. With --epsilon a wish
 * in the registry, which `run` carries out, or this command itself where nobody runs, also one that was left;
 * then the figures, computed anew from the histograms that were kept. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <poll.h>

#include "aggregator/app/folder.h"
#include "aggregator/app/overview.h"
#include "aggregator/app/report.h"
#include "aggregator/app/run.h"
#include "aggregator/app/words.h"
#include "common/base/clock.h"
#include "common/evaluation/request.h"

enum { DEADLINE_S = 600, LOOK_EVERY_MS = 200, GRACE_MS = 10000 };

/* What was asked, who answered, and what follows. */
struct result {
    struct registry_evaluation kept;
    struct evaluation_request request;
    struct agreement agreement;
    struct evaluation_counts sum;
    size_t contributed;
    bool has_scores[ROUND_SITES_MAX];
    char reason[ROUND_SITES_MAX][REPORT_REASON];
    bool measured;         /* false: nobody contributed, or the noise left one class only */
    struct error why;      /* not measured */
    struct evaluation all; /* if measured */
};

/* ---- asking ---------------------------------------------------------------------------------- */

struct named {
    const char *name;
    bool found;
    struct registry_study study;
};

static void note_study(void *ctx, const struct registry_study *study)
{
    struct named *n = ctx;
    if (strcmp(study->name, n->name) == 0) {
        n->found = true;
        n->study = *study;
    }
}

static RC find_study(struct registry *r, const char *name, struct registry_study *out,
                     struct error *err)
{
    struct named n = {.name = name};
    const enum rc rc = registry_each_study(r, note_study, &n, err);
    if (rc == RC_OK && !n.found) {
        return error_set(err, RC_INVALID,
                         "no study is named '%.40s'; `wardround-aggregator status DIR` lists them",
                         name);
    }
    *out = n.study;
    return rc;
}

static RC sign_request(const struct words *w, const struct folder *f, struct registry *r,
                       const struct registry_study *study, struct registry_evaluation *out,
                       struct error *err)
{
    const int64_t now = clock_wall_ms();
    const uint64_t left_s = w->deadline_s > 0 ? w->deadline_s : DEADLINE_S;
    struct evaluation_request request = {.study = study->hash,
                                         .epsilon = w->epsilon,
                                         .asked_ms = now,
                                         .deadline_ms = now + (int64_t)left_s * 1000,
                                         .bins = evaluation_bins_default()};
    struct seal_keys *keys = NULL;
    const void *model = NULL;
    size_t n = 0;
    enum rc rc = registry_model(r, &study->hash, &request.round, &model, &n, err);
    if (rc != RC_OK) {
        return rc;
    }
    request.model = hash_of(model, n);
    rc = folder_keys(f, &keys, err);
    if (rc == RC_OK) {
        out->n = evaluation_request_sign(&request, keys, out->bytes);
        out->request = evaluation_request_hash(&request);
        out->asked_ms = request.asked_ms;
        out->deadline_ms = request.deadline_ms;
    }
    seal_keys_close(&keys);
    return rc;
}

/* An AUROC that may be so far off is not told from a guess. */
static const double FAR_OFF = 0.25;

/* What sites answer costs their patients epsilon for good: not for figures that say nothing. */
static RC foresee(const struct words *w, const struct study *s, struct error *err)
{
    const struct evaluation_bins bins = evaluation_bins_default();
    /* nominal sizes are of those who train */
    const double patients = (double)study_nominal_total(s) * s->held_out / (1.0 - s->held_out);
    const double noised = evaluation_foresee(&bins, patients, w->epsilon, s->n_sites);
    if (w->anyway || noised < FAR_OFF) {
        return RC_OK;
    }
    return error_set(err, RC_STATE,
                     "nobody was asked: with noise of epsilon %g at %zu sites, an AUROC of .80 of "
                     "their %.0f or so patients would be told to within .%02.0f (.%02.0f without "
                     "noise); give more epsilon, or say --anyway",
                     w->epsilon, s->n_sites, patients, 100.0 * noised,
                     100.0 * evaluation_foresee(&bins, patients, HUGE_VAL, s->n_sites));
}

static RC ask(const struct words *w, const struct folder *f, struct registry *r,
              const struct registry_study *study, struct error *err)
{
    struct registry_evaluation e = {.asked_ms = 0};
    struct agreement a = {0};
    struct seal_card card;
    char detail[64];
    enum rc rc = folder_card(f, &card, err);
    if (rc == RC_OK) {
        rc = overview_agreement(r, &card, &study->hash, &a, err);
    }
    if (rc == RC_OK && !(a.study.held_out > 0.0)) {
        rc = error_set(err, RC_STATE,
                       "study '%s' has trained on all patients, and nobody can say how good its "
                       "model is on others; a study that is to be evaluated says `held_out: 0.2`",
                       study->name);
    }
    if (rc == RC_OK && a.schema.n_classes > 0) {
        rc =
            error_set(err, RC_STATE,
                      "the label of study '%s' is one of several classes, and the histograms of an "
                      "evaluation are of yes and no",
                      study->name);
    }
    if (rc == RC_OK) {
        rc = foresee(w, &a.study, err);
    }
    agreement_release(&a);
    if (rc == RC_OK) {
        rc = sign_request(w, f, r, study, &e, err);
    }
    if (rc == RC_OK) {
        (void)snprintf(detail, sizeof detail, "epsilon %g", w->epsilon);
        rc = registry_ask_evaluation(r, &study->hash, &e, detail, err);
    }
    return rc;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static RC newest(struct registry *r, const struct registry_study *study,
                 struct registry_evaluation *out, struct error *err)
{
    bool found = false;
    const enum rc rc = registry_newest_evaluation(r, &study->hash, &found, out, err);
    return rc == RC_OK && !found
               ? error_set(err, RC_STATE,
                           "study '%s' was never evaluated; with --epsilon its sites are asked",
                           study->name)
               : rc;
}

static RC carry_out(const struct words *w, const struct registry_study *study,
                    struct config_issues *issues, struct error *err)
{
    const struct run_wish wish = {.folder = w->folder, .kept = &study->hash, .errand = true};
    enum verdict ignored = VERDICT_YES;
    return run_carry_out(&wish, &ignored, issues, err);
}

/* Whoever may answer is asked, by what runs in this folder, or by us as soon as nothing does. */
static RC wait_for_answers(const struct words *w, const struct folder *f, struct registry *r,
                           const struct registry_study *study, struct config_issues *issues,
                           struct error *err)
{
    for (;;) {
        struct registry_evaluation e = {.asked_ms = 0};
        bool running = false;
        int64_t pid = 0;
        enum rc rc = folder_running(f, &running, &pid, err); /* first: it closes, then it ends */
        if (rc == RC_OK) {
            rc = newest(r, study, &e, err);
        }
        if (rc != RC_OK || e.closed_ms != 0) {
            return rc;
        }
        if (!running) {
            return carry_out(w, study, issues, err);
        }
        if (clock_wall_ms() > e.deadline_ms + GRACE_MS) {
            return error_set(err, RC_STATE,
                             "the running aggregator has not carried it out: it runs another "
                             "study; when that is over, say evaluate again without --epsilon");
        }
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
}

/* What was asked and then left, by a killed command or a `run` that has ended: nobody else would close it. */
static RC go_on(const struct words *w, const struct folder *f, struct registry *r,
                const struct registry_study *study, struct config_issues *issues, struct error *err)
{
    struct registry_evaluation e = {.asked_ms = 0};
    bool running = false;
    int64_t pid = 0;
    enum rc rc = folder_running(f, &running, &pid, err);
    if (rc == RC_OK) {
        rc = newest(r, study, &e, err);
    }
    return rc != RC_OK || running || e.closed_ms != 0 ? rc : carry_out(w, study, issues, err);
}

/* ---- figures --------------------------------------------------------------------------------- */

static RC add_answer(void *ctx, size_t site, const void *answer, size_t n, const char *reason,
                     struct error *err)
{
    struct result *x = ctx;
    struct evaluation_counts counts;
    if (site >= x->agreement.study.n_sites) {
        return RC_OK;
    }
    if (answer == NULL) {
        (void)snprintf(x->reason[site], sizeof x->reason[site], "%s", reason);
        return RC_OK;
    }
    const enum rc rc = evaluation_answer_unpack(answer, n, x->request.bins.n, &counts, err);
    if (rc == RC_OK) {
        evaluation_add(&x->sum, &counts);
        x->has_scores[site] = true;
        x->contributed++;
    }
    return rc;
}

static RC still_open(const struct registry_study *study, const struct registry_evaluation *e,
                     struct error *err)
{
    const int64_t left_ms = e->deadline_ms - clock_wall_ms();
    return left_ms > 0 ? error_set(err, RC_STATE,
                                   "study '%s' is being evaluated: sites have %" PRId64
                                   " s left; say it again then",
                                   study->name, (left_ms + 999) / 1000)
                       : error_set(err, RC_STATE,
                                   "study '%s' is being evaluated and its time is over; say it "
                                   "again when the running aggregator has ended",
                                   study->name);
}

static RC compute(const struct folder *f, struct registry *r, const struct registry_study *study,
                  struct result *x, struct error *err)
{
    struct seal_card card;
    enum rc rc = newest(r, study, &x->kept, err);
    if (rc == RC_OK && x->kept.closed_ms == 0) {
        rc = still_open(study, &x->kept, err);
    }
    if (rc == RC_OK) {
        rc = folder_card(f, &card, err);
    }
    if (rc == RC_OK) {
        rc = evaluation_request_verify(x->kept.bytes, x->kept.n, &card.sign, &x->request, err);
    }
    if (rc == RC_OK) {
        rc = overview_agreement(r, &card, &study->hash, &x->agreement, err);
    }
    if (rc == RC_OK) {
        rc = registry_each_answer(r, &x->kept.request, add_answer, x, err);
    }
    if (rc != RC_OK || x->contributed == 0) {
        return rc;
    }
    rc = evaluation_measure(&x->request.bins, &x->sum, x->request.epsilon, x->contributed, &x->all,
                            &x->why);
    x->measured = rc == RC_OK;
    return rc == RC_STATE || rc == RC_OK ? RC_OK : error_set(err, rc, "%s", x->why.text);
}

/* ---- to read --------------------------------------------------------------------------------- */

static void print_interval(const char *name, const struct interval *i)
{
    (void)printf("%-40s%8.3f   %.3f to %.3f\n", name, i->value, i->low, i->high);
}

static void print_strata(const struct evaluation *e)
{
    (void)printf("\nrisk            patients  predicted  observed   95 %% interval\n");
    for (size_t k = 0; k < EVALUATION_STRATA; k++) {
        const struct evaluation_group *g = &e->stratum[k];
        (void)printf("%3.0f to %3.0f %%  %12.0f", 100.0 * g->from, 100.0 * g->to, g->n);
        if (isnan(g->observed.value)) {
            (void)printf("          -         -\n");
        } else {
            (void)printf("%11.3f%10.3f   %.3f to %.3f\n", g->predicted, g->observed.value,
                         g->observed.low, g->observed.high);
        }
    }
}

static void print_text(const struct result *x)
{
    const struct study *s = &x->agreement.study;
    const struct evaluation *e = &x->all;
    char when[REPORT_TIME];
    report_time(x->kept.closed_ms, when);
    (void)printf("study '%s', model of round %" PRIu64 ", on held-out patients: %zu of %zu "
                 "contributed, each with noise of epsilon %g of its own (%s)\n",
                 s->name, x->request.round, x->contributed, s->n_sites, x->request.epsilon, when);
    for (size_t i = 0; i < s->n_sites; i++) {
        if (!x->has_scores[i]) {
            (void)printf("  %s: %s\n", s->site[i].name, x->reason[i]);
        }
    }
    if (!x->measured) {
        (void)printf("there are no figures: %s\n",
                     x->contributed == 0 ? "nobody has contributed" : x->why.text);
        return;
    }
    (void)printf("patients, estimated: %.0f ill, %.0f well\n\n", e->n[EVALUATION_ILL],
                 e->n[EVALUATION_WELL]);
    (void)printf("%-40s%8s   %s\n", "", "value", "95 % interval, noise and sampling");
    print_interval("AUROC", &e->auroc);
    print_interval("AUPRC", &e->auprc);
    print_interval("calibration error (ECE, deciles)", &e->ece);
    print_interval("sensitivity at 90 % specificity", &e->sensitivity);
    print_interval("PPV of the 10 % at highest risk", &e->ppv);
    print_interval("number needed to alert there", &e->nna);
    print_strata(e);
}

/* ---- for programs ---------------------------------------------------------------------------- */

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *interval(const struct interval *i)
{
    return json_pack("{s:o,s:o,s:o}", "value", number(i->value), "low", number(i->low), "high",
                     number(i->high));
}

static json_t *groups(const struct evaluation_group *g, size_t n)
{
    json_t *list = json_array();
    for (size_t k = 0; k < n; k++) {
        (void)json_array_append_new(list, json_pack("{s:f,s:f,s:o,s:o,s:o}", "from", g[k].from,
                                                    "to", g[k].to, "patients", number(g[k].n),
                                                    "predicted", number(g[k].predicted), "observed",
                                                    interval(&g[k].observed)));
    }
    return list;
}

static json_t *figures(const struct evaluation *e)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "ill",
                     number(e->n[EVALUATION_ILL]), "well", number(e->n[EVALUATION_WELL]), "auroc",
                     interval(&e->auroc), "auprc", interval(&e->auprc), "ece", interval(&e->ece),
                     "sensitivity", interval(&e->sensitivity), "ppv", interval(&e->ppv), "nna",
                     interval(&e->nna), "strata", groups(e->stratum, EVALUATION_STRATA), "deciles",
                     groups(e->decile, EVALUATION_DECILES));
}

static RC print_object(const struct result *x, struct error *err)
{
    const struct study *s = &x->agreement.study;
    json_t *there = json_array();
    json_t *absent = json_array();
    for (size_t i = 0; i < s->n_sites; i++) {
        if (x->has_scores[i]) {
            (void)json_array_append_new(there, json_string(s->site[i].name));
        } else {
            (void)json_array_append_new(absent, json_pack("{s:s,s:s}", "site", s->site[i].name,
                                                          "reason", x->reason[i]));
        }
    }
    return report_print(
        json_pack("{s:s,s:I,s:o,s:o,s:f,s:I,s:I,s:I,s:o,s:o,s:o}", "study", s->name, "round",
                  (json_int_t)x->request.round, "model", report_hash(&x->request.model), "request",
                  report_hash(&x->kept.request), "epsilon", x->request.epsilon, "asked_ms",
                  (json_int_t)x->kept.asked_ms, "closed_ms", (json_int_t)x->kept.closed_ms, "sites",
                  (json_int_t)s->n_sites, "contributed", there, "absent", absent, "figures",
                  x->measured ? figures(&x->all) : json_null()),
        err);
}

enum rc command_evaluate(const struct words *w, enum verdict *verdict, struct config_issues *issues,
                         struct error *err)
{
    static struct result x; /* large */
    struct folder f = {0};
    struct registry *r = NULL;
    struct registry_study study = {.n_sites = 0};

    enum rc rc = folder_open(w->folder, &f, issues, err);
    if (rc == RC_OK) {
        rc = folder_registry(&f, &r, err);
    }
    if (rc == RC_OK) {
        rc = find_study(r, w->arg, &study, err);
    }
    if (rc == RC_OK && w->epsilon > 0.0) {
        rc = ask(w, &f, r, &study, err);
        if (rc == RC_OK) {
            rc = wait_for_answers(w, &f, r, &study, issues, err);
        }
    } else if (rc == RC_OK) {
        rc = go_on(w, &f, r, &study, issues, err);
    }
    if (rc == RC_OK) {
        rc = compute(&f, r, &study, &x, err);
    }
    if (rc == RC_OK && w->json) {
        rc = print_object(&x, err);
    } else if (rc == RC_OK) {
        print_text(&x);
    }
    *verdict = rc == RC_OK && !x.measured ? VERDICT_NO : *verdict;
    agreement_release(&x.agreement);
    registry_close(&r);
    return rc;
}
