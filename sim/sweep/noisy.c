/* A row as its coordinator would learn of it: every site releases its histograms with noise of its own. */
#include <stdio.h>

#include "common/base/replay.h"
#include "sim/sweep/sweep_internal.h"

enum rc sweep_noisy(const struct report_row *row, double epsilon, uint64_t seed,
                    struct evaluation *out, struct error *err)
{
    const struct evaluation_bins bins = evaluation_bins_default();
    struct evaluation_counts sum = {0};
    for (size_t i = 0; i < row->n_sites; i++) {
        char stream[48];
        struct entropy noise;
        struct evaluation_counts released;
        (void)snprintf(stream, sizeof stream, "evaluation of site %zu", i);
        replay_init(&noise, seed, stream);
        evaluation_release(&row->site[i].counts, epsilon, &noise, &released);
        entropy_release(&noise);
        evaluation_add(&sum, &released);
    }
    return evaluation_measure(&bins, &sum, epsilon, row->n_sites, out, err);
}
