/* evaluate: how good a finished model is on this hospital's own cohort. For its own eyes. */
#include <math.h>
#include <stdio.h>

#include "agent/app/report.h"
#include "agent/app/score.h"
#include "agent/app/words.h"
#include "common/metrics/metrics.h"

enum { ECE_BINS = 10 };
static const double SPECIFICITY = 0.9;

struct evaluation {
    struct scorer scorer;
    struct dataset *data;
    struct arena memory;
    size_t C;              /* 1, or the label's classes */
    double *row_score;     /* [n_rows, C] */
    double *score, *label; /* [n_patients, C], [n_patients] */
    size_t n, n_positive;
    double accuracy; /* of classes */
    bool has_ranks;  /* both classes are there: the next three exist; of several the AUROC alone */
    struct interval auroc, sensitivity;
    double auprc;
    double ece, mean_score;
};

/* A patient's score is the mean of its rows', as in the simulator. */
static enum rc score_patients(struct evaluation *e, struct error *err)
{
    const struct dataset *d = e->data;
    const size_t C = scorer_outputs(&e->scorer);
    enum rc rc = arena_init(&e->memory,
                            arena_cost(d->n_rows * C, sizeof(double)) +
                                arena_cost(d->n_patients * C, sizeof(double)) +
                                arena_cost(d->n_patients, sizeof(double)),
                            err);
    if (rc != RC_OK) {
        return rc;
    }
    e->n = d->n_patients;
    e->C = C;
    e->row_score = arena_take(&e->memory, d->n_rows * C, sizeof(double));
    e->score = arena_take(&e->memory, d->n_patients * C, sizeof(double));
    e->label = arena_take(&e->memory, d->n_patients, sizeof(double));
    rc = scorer_score_dataset(&e->scorer, d, e->row_score, err);
    if (rc != RC_OK) {
        return rc;
    }
    for (size_t p = 0; p < d->n_patients; p++) {
        const size_t rows = d->first_row[p + 1] - d->first_row[p];
        for (size_t i = d->first_row[p] * C; i < d->first_row[p + 1] * C; i++) {
            e->score[p * C + i % C] += e->row_score[i] / (double)rows;
        }
        e->label[p] = (double)d->label[p];
        e->n_positive += C == 1 && e->label[p] > 0.5;
        e->mean_score += C == 1 ? e->score[p] / (double)d->n_patients : 0.0;
    }
    return RC_OK;
}

/* Of several classes. Calibration is that of the likeliest one: is it right as often as it says? */
static enum rc measure_classes(struct evaluation *e, struct error *err)
{
    const enum rc rc = metrics_class_auroc(e->score, e->label, e->n, e->C, &e->auroc, err);
    e->has_ranks = rc == RC_OK;
    e->accuracy = metrics_class_accuracy(e->score, e->label, e->n, e->C);
    for (size_t p = 0; p < e->n; p++) {
        const size_t best = metrics_likeliest(e->score + p * e->C, e->C);
        e->label[p] = best == (size_t)e->label[p] ? 1.0 : 0.0;
        e->score[p] = e->score[p * e->C + best]; /* p <= p C: what is read later stays */
    }
    e->ece = metrics_ece(e->score, e->label, e->n, ECE_BINS);
    return rc == RC_STATE ? RC_OK : rc;
}

static enum rc measure(struct evaluation *e, struct error *err)
{
    if (e->C > 1) {
        return measure_classes(e, err);
    }
    enum rc rc = metrics_auroc(e->score, e->label, e->n, &e->auroc, err);
    if (rc == RC_OK) {
        rc = metrics_auprc(e->score, e->label, e->n, &e->auprc, err);
    }
    if (rc == RC_OK) {
        rc = metrics_sensitivity_interval(e->score, e->label, e->n, SPECIFICITY, &e->sensitivity,
                                          err);
    }
    e->has_ranks = rc == RC_OK;
    e->ece = metrics_ece(e->score, e->label, e->n, ECE_BINS);
    return rc == RC_STATE ? RC_OK : rc; /* one class only is a cohort's right */
}

static double observed(const struct evaluation *e)
{
    return (double)e->n_positive / (double)e->n;
}

/* How far these figures can be believed, or "". */
static void caveat(const struct evaluation *e, char out[240])
{
    const struct scorer *s = &e->scorer;
    out[0] = '\0';
    if (s->trained_round > 0) {
        (void)snprintf(
            out, 240,
            "This site trained this study (newest round %llu in its ledger): on patients "
            "that a model has learned from its figures are too good. Believe those of "
            "patients who came later.",
            (unsigned long long)s->trained_round);
    } else if (!s->ledger_known) {
        (void)snprintf(
            out, 240,
            "There is no ledger here that says whether this model has learned from these "
            "patients; if it has, its figures are too good.");
    }
}

/* ---- to read ---------------------------------------------------------------------------------- */

static void print_figure(const char *name, double x)
{
    (void)printf("%-38s%8.3f\n", name, x);
}

static void print_interval(const char *name, const struct interval *x)
{
    (void)printf("%-38s%8.3f   %.3f to %.3f\n", name, x->value, x->low, x->high);
}

static void print_figures_of_classes(const struct evaluation *e)
{
    (void)printf("%-38s%8s   %s\n", "", "value", "95 % interval");
    if (e->has_ranks) {
        print_interval("AUROC, mean of each class against all", &e->auroc);
    } else {
        (void)printf("Every label is the same: an AUROC does not exist here.\n");
    }
    print_figure("accuracy", e->accuracy);
    print_figure("calibration error (ECE, 10 bins)", e->ece);
}

static void print_figures(const struct evaluation *e)
{
    if (e->has_ranks) {
        (void)printf("%-38s%8s   %s\n", "", "value", "95 % interval");
        print_interval("AUROC", &e->auroc);
        print_figure("AUPRC", e->auprc);
        print_interval("sensitivity at 90 % specificity", &e->sensitivity);
    } else {
        (void)printf("Every label is the same: AUROC, AUPRC and sensitivity do not exist here.\n");
    }
    print_figure("calibration error (ECE, 10 bins)", e->ece);
    print_figure("mean score", e->mean_score);
    print_figure("observed share of positives", observed(e));
}

static void print_text(const struct evaluation *e)
{
    const struct agreement *a = &e->scorer.model.agreement;
    char id[SCORER_ID_ROOM];
    char words[240];
    scorer_short_id(&e->scorer, id);
    caveat(e, words);
    (void)printf("model %s: study '%s', round %llu of %zu, epsilon %g at delta %g\n"
                 "site '%s': %zu patients, ",
                 id, a->study.name, (unsigned long long)e->scorer.model.round, a->study.rounds,
                 a->study.privacy.epsilon, a->study.privacy.delta, e->scorer.site.name, e->n);
    (void)printf(e->C > 1 ? "%zu classes\n\n" : "%zu positive\n\n",
                 e->C > 1 ? e->C : e->n_positive);
    if (e->C > 1) {
        print_figures_of_classes(e);
    } else {
        print_figures(e);
    }
    if (words[0] != '\0') {
        (void)printf("\n%s\n", words);
    }
}

/* ---- for programs ----------------------------------------------------------------------------- */

static json_t *interval_object(const struct evaluation *e, const struct interval *x)
{
    if (!e->has_ranks) {
        return json_null();
    }
    json_t *o = json_object();
    (void)json_object_set_new(o, "value", json_real(x->value));
    (void)json_object_set_new(o, "low", json_real(x->low));
    (void)json_object_set_new(o, "high", json_real(x->high));
    return o;
}

static void add_yes_or_no(const struct evaluation *e, json_t *o)
{
    (void)json_object_set_new(o, "positive", json_integer((json_int_t)e->n_positive));
    (void)json_object_set_new(o, "auprc", e->has_ranks ? json_real(e->auprc) : json_null());
    (void)json_object_set_new(o, "specificity", json_real(SPECIFICITY));
    (void)json_object_set_new(o, "sensitivity", interval_object(e, &e->sensitivity));
    (void)json_object_set_new(o, "mean_score", report_number(e->mean_score));
    (void)json_object_set_new(o, "observed", report_number(observed(e)));
}

static enum rc print_object(const struct evaluation *e, struct error *err)
{
    const struct scorer *s = &e->scorer;
    const struct study *study = &s->model.agreement.study;
    char id[HASH_HEX];
    char hash[HASH_HEX];
    char cohort[HASH_HEX];
    char words[240];
    json_t *o = json_object();
    hash_hex(&s->model.id, id);
    hash_hex(&s->model.agreement.study_hash, hash);
    hash_hex(&e->data->version, cohort);
    caveat(e, words);
    (void)json_object_set_new(o, "model", json_string(id));
    (void)json_object_set_new(o, "study", json_string(study->name));
    (void)json_object_set_new(o, "study_hash", json_string(hash));
    (void)json_object_set_new(o, "round", json_integer((json_int_t)s->model.round));
    (void)json_object_set_new(o, "epsilon", report_number(study->privacy.epsilon));
    (void)json_object_set_new(o, "delta", json_real(study->privacy.delta));
    (void)json_object_set_new(o, "site", json_string(s->site.name));
    (void)json_object_set_new(o, "cohort", json_string(cohort));
    (void)json_object_set_new(o, "adapter", json_string(scorer_adapter_name(s)));
    (void)json_object_set_new(o, "patients", json_integer((json_int_t)e->n));
    (void)json_object_set_new(o, "auroc", interval_object(e, &e->auroc));
    (void)json_object_set_new(o, "ece", report_number(e->ece));
    (void)json_object_set_new(o, "ece_bins", json_integer(ECE_BINS));
    if (e->C > 1) {
        (void)json_object_set_new(o, "classes", json_integer((json_int_t)e->C));
        (void)json_object_set_new(o, "accuracy", report_number(e->accuracy));
    } else {
        add_yes_or_no(e, o);
    }
    (void)json_object_set_new(o, "trained_here",
                              s->ledger_known ? json_boolean(s->trained_round > 0) : json_null());
    (void)json_object_set_new(o, "caveat", json_string(words));
    return report_print(o, err);
}

enum rc command_evaluate(const struct words *w, bool *yes, struct config_issues *issues,
                         struct error *err)
{
    struct evaluation e = {0};

    enum rc rc = scorer_open(w->folder, w->model, &e.scorer, issues, err);
    if (rc == RC_OK) {
        rc = site_dataset(&e.scorer.site, &e.data, err);
    }
    if (rc == RC_OK) {
        rc = score_patients(&e, err);
    }
    if (rc == RC_OK) {
        rc = measure(&e, err);
    }
    if (rc == RC_OK && w->json) {
        rc = print_object(&e, err);
    } else if (rc == RC_OK) {
        print_text(&e);
    }
    *yes = true;
    arena_wipe(&e.memory);
    arena_release(&e.memory);
    dataset_close(&e.data);
    scorer_release(&e.scorer);
    return rc;
}
