/* How far off an AUROC may be, from public numbers alone: before epsilon is spent. */
#include <math.h>
#include <stdbool.h>

#include "common/evaluation/evaluation_internal.h"

/* Logits of ill and of well patients are normal with one deviation d, and d * d apart: so they are logits of
 * the true risk, and their AUROC is the normal distribution at d / sqrt 2. */
static const double APART = 1.1902321; /* .80 */
static const double SHARE_ILL = 0.20;  /* nobody has released it yet */

static double share_below(double logit, double mean)
{
    return 0.5 * erfc((mean - logit) / (APART * sqrt(2.0)));
}

static void expect_counts(const struct evaluation_bins *bins, double patients,
                          double at[EVALUATION_CLASSES][EVALUATION_BINS_MAX])
{
    const double base = log(SHARE_ILL / (1.0 - SHARE_ILL));
    for (int c = 0; c < EVALUATION_CLASSES; c++) {
        const bool ill = c == EVALUATION_ILL;
        const double mean = base + (ill ? 0.5 : -0.5) * APART * APART;
        const double share = ill ? SHARE_ILL : 1.0 - SHARE_ILL;
        double before = 0.0;
        for (size_t j = 0; j < bins->n; j++) {
            const double below = j + 1 < bins->n ? share_below(bins->edge[j], mean) : 1.0;
            at[c][j] = patients * share * (below - before);
            before = below;
        }
    }
}

double evaluation_foresee(const struct evaluation_bins *bins, double patients, double epsilon,
                          size_t releases)
{
    double at[EVALUATION_CLASSES][EVALUATION_BINS_MAX] = {{0.0}};
    expect_counts(bins, patients, at);
    return evaluation_half_width(bins, at, epsilon, releases);
}
