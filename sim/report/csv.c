#include <inttypes.h>
#include <math.h>

#include "sim/report/report_internal.h"

/* The cell and seed that a line belongs to: the same first columns in all tables. */
#define KEY "ablation,mode,noise,epsilon,delta,seed,"

static void write_key(FILE *f, const struct report_row *r)
{
    report_csv_text(f, r->ablation, ',');
    report_csv_text(f, r->mode, ',');
    report_csv_text(f, r->noise, ',');
    report_csv_number(f, r->epsilon, ',');
    report_csv_number(f, r->delta, ',');
    (void)fprintf(f, "%" PRIu64 ",", r->seed);
}

enum rc report_write_csv(const char *path, const struct report_row *row, size_t n,
                         struct error *err)
{
    struct report_file file = {0};
    enum rc rc = report_file_open(&file, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    (void)fprintf(file.f, KEY "auroc,auroc_low,auroc_high,"
                              "auroc_site_mean,auprc,ece,accuracy,accuracy_site_mean,rounds,folds,"
                              "noise_multiplier,n_sites,seconds,sample_rate,steps\n");
    for (size_t i = 0; i < n; i++) {
        const struct report_row *r = &row[i];
        write_key(file.f, r);
        report_csv_number(file.f, r->auroc, ',');
        report_csv_number(file.f, r->auroc_low, ',');
        report_csv_number(file.f, r->auroc_high, ',');
        report_csv_number(file.f, r->auroc_site_mean, ',');
        report_csv_number(file.f, r->auprc, ',');
        report_csv_number(file.f, r->ece, ',');
        report_csv_number(file.f, r->accuracy, ',');
        report_csv_number(file.f, r->accuracy_site_mean, ',');
        (void)fprintf(file.f, "%zu,%zu,", r->rounds, r->folds);
        report_csv_number(file.f, r->noise_multiplier, ',');
        (void)fprintf(file.f, "%zu,", r->n_sites);
        report_csv_number(file.f, r->seconds, ',');
        report_csv_number(file.f, r->sample_rate, ',');
        (void)fprintf(file.f, "%zu\n", r->steps);
    }
    return report_file_commit(&file, err);
}

/* Value and limits, or three empty cells. */
static void write_interval(FILE *f, bool exists, const struct interval *x)
{
    report_csv_number(f, exists ? x->value : (double)NAN, ',');
    report_csv_number(f, exists ? x->low : (double)NAN, ',');
    report_csv_number(f, exists ? x->high : (double)NAN, ',');
}

enum rc report_write_sites_csv(const char *path, const struct report_row *row, size_t n,
                               struct error *err)
{
    struct report_file file = {0};
    enum rc rc = report_file_open(&file, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    (void)fprintf(file.f, KEY "site,patients,auroc,auroc_low,auroc_high,"
                              "accuracy,epsilon_spent\n");
    for (size_t i = 0; i < n; i++) {
        for (size_t s = 0; s < row[i].n_sites; s++) {
            const struct report_site *site = &row[i].site[s];
            write_key(file.f, &row[i]);
            report_csv_text(file.f, site->name, ',');
            (void)fprintf(file.f, "%zu,", site->n_patients);
            write_interval(file.f, site->has_auroc, &site->auroc);
            report_csv_number(file.f, site->accuracy, ',');
            report_csv_number(file.f, site->epsilon_spent, '\n');
        }
    }
    return report_file_commit(&file, err);
}

enum rc report_write_patterns_csv(const char *path, const struct report_row *row, size_t n,
                                  struct error *err)
{
    struct report_file file = {0};
    enum rc rc = report_file_open(&file, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    (void)fprintf(file.f, KEY "modalities,patients,positives,auroc,auroc_low,auroc_high,note\n");
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < row[i].n_patterns; k++) {
            const struct report_pattern *p = &row[i].pattern[k];
            write_key(file.f, &row[i]);
            report_csv_text(file.f, p->name, ',');
            (void)fprintf(file.f, "%zu,%zu,", p->n_patients, p->n_positive);
            write_interval(file.f, p->has_auroc, &p->auroc);
            report_csv_text(file.f,
                            p->has_auroc         ? ""
                            : p->n_patients == 0 ? "nobody"
                                                 : "one class only",
                            '\n');
        }
    }
    return report_file_commit(&file, err);
}

enum rc report_write_curves_csv(const char *path, const struct report_row *row, size_t n,
                                struct error *err)
{
    struct report_file file = {0};
    enum rc rc = report_file_open(&file, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    (void)fprintf(file.f, KEY "round,auroc\n");
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < row[i].n_curve; k++) {
            write_key(file.f, &row[i]);
            (void)fprintf(file.f, "%zu,", row[i].curve[k].round);
            report_csv_number(file.f, row[i].curve[k].auroc, '\n');
        }
    }
    return report_file_commit(&file, err);
}
