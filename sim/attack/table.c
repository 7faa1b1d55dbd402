/* Rows as text. */
#include <math.h>
#include <stdio.h>

#include "sim/attack/attack.h"

static void print_rate(FILE *to, const struct attack_rate *r)
{
    (void)fprintf(to, "  %6.2f [%6.2f, %6.2f]", 100.0 * r->value, 100.0 * r->low, 100.0 * r->high);
}

void attack_print_table(FILE *to, const struct attack_row *row, size_t n)
{
    (void)fprintf(to, "%-8s %-7s %-7s %-6s %6s %5s %7s %-27s %7s %-26s %7s  %-13s\n", "epsilon",
                  "noise", "subject", "view", "runs", "refs", "trials", "  TPR at FPR 1 %", "bound",
                  "  balanced accuracy %", "bound", "epsilon is >=");
    for (size_t i = 0; i < n; i++) {
        const struct attack_row *r = &row[i];
        char epsilon[32];
        (void)snprintf(epsilon, sizeof epsilon, "%g", r->epsilon);
        (void)fprintf(to, "%-8s %-7s %-7s %-6s %6zu %5zu %7zu", epsilon, study_noise_name(r->noise),
                      attack_subject_name(r->subject), attack_view_name(r->view), r->runs,
                      r->references, r->in + r->out);
        print_rate(to, &r->hundredth.tpr);
        (void)fprintf(to, "  %7.2f", 100.0 * r->hundredth.bound);
        print_rate(to, &r->balanced);
        (void)fprintf(to, "  %7.2f  %.3f", 100.0 * r->bound_balanced, r->epsilon_low);
        if (!isnan(r->epsilon_low_gaussian)) {
            (void)fprintf(to, " (Gaussian: %.3f)", r->epsilon_low_gaussian);
        }
        (void)fprintf(to, "%s\n", attack_row_within(r) ? "" : "  BEYOND ITS BOUND");
    }
    for (size_t i = 0; i < n; i++) {
        const struct attack_row *r = &row[i];
        if (r->has_thousandth) {
            (void)fprintf(to, "epsilon %g, %s, %s: TPR at FPR 0.1 %%", r->epsilon,
                          attack_subject_name(r->subject), attack_view_name(r->view));
            print_rate(to, &r->thousandth.tpr);
            (void)fprintf(to, ", bound %.2f\n", 100.0 * r->thousandth.bound);
        }
    }
}

static void number(FILE *to, double x, char end)
{
    if (isnan(x)) {
        (void)fputc(end, to);
    } else {
        (void)fprintf(to, "%.10g%c", x, end);
    }
}

static void rate(FILE *to, const struct attack_rate *r)
{
    number(to, r->value, ',');
    number(to, r->low, ',');
    number(to, r->high, ',');
}

void attack_print_csv(FILE *to, const struct attack_row *row, size_t n)
{
    static const struct attack_rate none = {(double)NAN, (double)NAN, (double)NAN};
    (void)fprintf(to, "noise,epsilon,delta,subject,view,method,references,runs,in,out,"
                      "tpr,tpr_low,tpr_high,fpr,fpr_low,fpr_high,tpr_bound,tpr_bound_at_fpr_high,"
                      "tpr_thousandth,tpr_thousandth_low,tpr_thousandth_high,tpr_thousandth_bound,"
                      "balanced,balanced_low,balanced_high,balanced_bound,epsilon_low,"
                      "epsilon_low_gaussian,within,seconds\n");
    for (size_t i = 0; i < n; i++) {
        const struct attack_row *r = &row[i];
        (void)fprintf(to, "%s,", study_noise_name(r->noise));
        number(to, r->epsilon, ',');
        number(to, r->delta, ',');
        (void)fprintf(to, "%s,%s,\"%s\",%zu,%zu,%zu,%zu,", attack_subject_name(r->subject),
                      attack_view_name(r->view), r->method, r->references, r->runs, r->in, r->out);
        rate(to, &r->hundredth.tpr);
        rate(to, &r->hundredth.fpr);
        number(to, r->hundredth.bound, ',');
        number(to, r->hundredth.bound_at_high, ',');
        rate(to, r->has_thousandth ? &r->thousandth.tpr : &none);
        number(to, r->has_thousandth ? r->thousandth.bound : (double)NAN, ',');
        rate(to, &r->balanced);
        number(to, r->bound_balanced, ',');
        number(to, r->epsilon_low, ',');
        number(to, r->epsilon_low_gaussian, ',');
        (void)fprintf(to, "%d,", (int)attack_row_within(r));
        number(to, r->seconds, '\n');
    }
}

void attack_print_inversions(FILE *to, const struct attack_inversion *row, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct attack_inversion *r = &row[i];
        (void)fprintf(to,
                      "epsilon %g: one update of one patient, named among %zu by %s:", r->epsilon,
                      r->candidates, attack_inversion_name(r->kind));
        print_rate(to, &r->named);
        (void)fprintf(to, " %% of %zu, bound of the step %.2f\n", r->updates, 100.0 * r->bound);
    }
}

void attack_print_inversions_csv(FILE *to, const struct attack_inversion *row, size_t n)
{
    (void)fprintf(to, "noise,epsilon,by,candidates,updates,named,named_low,named_high,bound\n");
    for (size_t i = 0; i < n; i++) {
        const struct attack_inversion *r = &row[i];
        (void)fprintf(to, "%s,", study_noise_name(r->noise));
        number(to, r->epsilon, ',');
        (void)fprintf(to, "%s,%zu,%zu,", attack_inversion_name(r->kind), r->candidates, r->updates);
        rate(to, &r->named);
        number(to, r->bound, '\n');
    }
}
