#include "tests/support/study.h"

#include <stdio.h>

struct study test_study(const char *const *names, size_t n, struct study_site *site)
{
    for (size_t i = 0; i < n; i++) {
        site[i] = (struct study_site){0};
        (void)snprintf(site[i].name, sizeof site[i].name, "%s", names[i]);
    }
    return (struct study){
        .name = "s",
        .local = {.rate = 1.0, .steps = 1, .physical_batch = 16},
        .server = {.rule = STUDY_FEDAVG, .rate = 1.0},
        .privacy = {.noise = STUDY_NOISE_SITE,
                    .epsilon = 1.0,
                    .delta = 1e-3,
                    .clip = 0.5,
                    .sample_rate = 0.5,
                    .noise_multiplier = 2.0},
        .seed = 1,
        .rounds = 3,
        .quorum = n,
        .min_sites = n,
        .fraction_bits = 24,
        .join_deadline_ms = 600000,
        .round_deadline_ms = 600000,
        .n_sites = n,
        .site = site,
    };
}
