/* Masked sums and shared noise: what a study that asks for them must have. The same rules hold for a
 * document and for a study that was changed in memory, hence faults and not yet issues. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/neighbours/neighbours.h"
#include "common/study/draft_internal.h"

struct faults {
    struct study_fault *out; /* [STUDY_MASKING_FAULTS] */
    size_t n;
};

PRINTF_LIKE(4, 5)
static void add(struct faults *f, enum study_section section, const char *key, const char *format,
                ...)
{
    struct study_fault *one = &f->out[f->n++];
    va_list args;
    one->section = section;
    one->key = key;
    va_start(args, format);
    (void)vsnprintf(one->text, sizeof one->text, format, args);
    va_end(args);
}

size_t study_threshold(const struct study *s)
{
    const size_t least = (s->n_sites + s->max_colluding) / 2 + 1;
    return s->threshold > least ? s->threshold : least;
}

double study_reader_sigma(const struct study *s)
{
    const double sigma = s->privacy.noise_multiplier;
    if (s->privacy.noise != STUDY_NOISE_SHARED || s->model.adapter > 0 || s->model.site_norm) {
        return sigma;
    }
    const double all = (double)s->min_sites;
    return sigma * sqrt(all / (all - (double)s->max_colluding));
}

double study_share_of_noise(const struct study *s)
{
    return 1.0 / sqrt((double)(s->min_sites - s->max_colluding));
}

double study_share_most(const struct study *s, size_t site)
{
    return ceil(2.0 * s->privacy.sample_rate * (double)s->site[site].nominal) + 32.0;
}

size_t study_share_bits(const struct study *s)
{
    const double sensitivity = 2.0; /* at most, in units of clip: 1 + sqrt(P) 2^-bits */
    const double noise_least = 128; /* whole numbers: rounded, they add up as normals do */
    const double one = s->privacy.noise_multiplier * study_share_of_noise(s);
    double most = STUDY_RING_DEVIATIONS * sensitivity * one * sqrt((double)s->n_sites);
    for (size_t i = 0; i < s->n_sites; i++) {
        most += study_share_most(s, i);
    }
    size_t bits = 20;
    while (bits > 0 && ldexp(most, (int)bits) > 0x1p31 - 0x1p12) { /* each part rounds twice */
        bits--;
    }
    return ldexp(one, (int)bits) >= noise_least ? bits : 0;
}

/* What to write, if anything is large enough. Of fewer than `present` sites no sum is opened anyway. */
static void add_advice(const struct study *s, struct faults *f, const char *what)
{
    const size_t open = study_threshold(s);
    const size_t most = s->quorum > s->min_sites ? s->quorum : s->min_sites;
    const size_t present = open > most ? open : most;
    struct neighbours g = {.n_sites = s->n_sites,
                           .corrupt = s->max_colluding,
                           .honest = s->min_sites - s->max_colluding};
    if (present <= s->n_sites && neighbours_plan(&g, present)) {
        add(f, STUDY_TOP, "neighbours",
            "neighbours: %s; for sums of %zu of %zu sites, with max_colluding %zu, write "
            "neighbours: %zu and neighbour_threshold: %zu",
            what, present, s->n_sites, s->max_colluding, g.each, g.open);
    } else {
        add(f, STUDY_TOP, "neighbours",
            "neighbours: %s, and for sums of %zu of %zu sites, with max_colluding %zu, no %d are "
            "enough; raise min_sites and quorum, or lower max_colluding",
            what, present, s->n_sites, s->max_colluding, (int)NEIGHBOURS_EACH_MAX);
    }
}

/* Whether everybody masks with everybody, or with whom is drawn. min_sites and max_colluding are sound. */
static void check_neighbours(const struct study *s, struct faults *f)
{
    char what[120];
    const struct neighbours g = {.n_sites = s->n_sites,
                                 .corrupt = s->max_colluding,
                                 .honest = s->min_sites - s->max_colluding,
                                 .each = s->neighbours,
                                 .open = s->neighbour_threshold};
    if (g.each == 0 && g.open == 0) {
        if (s->n_sites > STUDY_MASKED_MAX) {
            (void)snprintf(what, sizeof what, "%zu sites cannot all mask with each other, %d can",
                           s->n_sites, (int)STUDY_MASKED_MAX);
            add_advice(s, f, what);
        }
    } else if (g.each >= g.n_sites || g.open < 1 || g.open > g.each) {
        add(f, STUDY_TOP, "neighbours",
            "neighbours: %zu, of whom neighbour_threshold %zu open a secret; state both, fewer "
            "neighbours than the %zu sites, and a threshold of at most the neighbours",
            g.each, g.open, g.n_sites);
    } else if (neighbours_risk(&g) > NEIGHBOURS_RISK_LOG2) {
        (void)snprintf(what, sizeof what,
                       "with %zu, of whom %zu open a secret, sums can be read in parts (2^%.1f)",
                       g.each, g.open, neighbours_risk(&g));
        add_advice(s, f, what);
    }
}

/* Who can be in a sum, and who can open it. A number that is 0 was not read. */
static void check_sum(const struct study *s, struct faults *f)
{
    const size_t least = s->max_colluding + 2 > 3 ? s->max_colluding + 2 : 3;
    const size_t before = f->n;
    if (s->min_sites > 0 && s->min_sites < least && s->max_colluding < s->min_sites) {
        add(f, STUDY_TOP, "min_sites",
            "min_sites: is %zu, and a masked sum must be of at least %zu (max_colluding + 2, never "
            "below 3): those who know the others' updates could else read one site's out of it",
            s->min_sites, least);
    }
    if (s->n_sites == 0 || f->n > before) {
        return;
    }
    if (s->min_sites >= least && s->min_sites <= s->n_sites && s->n_sites <= STUDY_SITES_MAX) {
        check_neighbours(s, f);
        if (f->n > before) {
            return;
        }
    }
    if (s->threshold > s->n_sites) {
        add(f, STUDY_TOP, "threshold", "threshold: is %zu, but there are only %zu sites",
            s->threshold, s->n_sites);
    } else if (s->threshold > 0 && 2 * s->threshold <= s->n_sites + s->max_colluding) {
        add(f, STUDY_TOP, "threshold",
            "threshold: is %zu; of %zu sites with max_colluding %zu at least %zu must open a sum "
            "(2 t > n + c), or a round could have two",
            s->threshold, s->n_sites, s->max_colluding, (s->n_sites + s->max_colluding) / 2 + 1);
    } else if (s->quorum > 0 && study_threshold(s) > s->quorum) {
        add(f, STUDY_TOP, "quorum",
            "quorum: is %zu, but a sum of %zu sites is opened by at least %zu (2 t > n + c, or "
            "threshold): smaller rounds would all be lost",
            s->quorum, s->n_sites, study_threshold(s));
    }
}

/* What a site adds is too little to be looked at by itself, also by the site. */
static void check_shared(const struct study *s, struct faults *f)
{
    if (s->local.steps > 1) {
        add(f, STUDY_LOCAL, "steps",
            "steps: is %zu, and with noise: shared a round is one step: a second one would begin "
            "from what only the sum of all sites hides; write 1, and more rounds",
            s->local.steps);
    }
    if (s->local.optimiser != STUDY_SGD) {
        add(f, STUDY_LOCAL, "optimiser",
            "optimiser: with noise: shared a site sends its gradient as it is; use sgd, and an "
            "adaptive server rule");
    } else if (s->local.momentum > 0.0) {
        add(f, STUDY_LOCAL, "momentum",
            "momentum: with noise: shared a site sends its gradient as it is; leave it out, and "
            "use the server's rule fedavgm");
    }
}

size_t study_masking_faults(const struct study *s, struct study_fault out[STUDY_MASKING_FAULTS])
{
    struct faults f = {.out = out};
    const bool shared = s->privacy.noise == STUDY_NOISE_SHARED;

    if ((shared || s->masked) && s->n_sites > 0 && s->n_sites < 3) {
        add(&f, shared ? STUDY_PRIVACY : STUDY_TOP, shared ? "noise" : "masked",
            "%s, with fewer than 3 sites, hides nothing: the sum less one's own update is the "
            "other's; only noise: site protects here, without masks",
            shared ? "noise: shared" : "masked: true");
        return f.n;
    }
    if (shared && !s->masked) {
        add(&f, STUDY_PRIVACY, "noise",
            "noise: shared needs masked: true: a single site's update has only a share of the "
            "noise, so nothing but the sum may be read");
    }
    if (s->masked && s->server.combine != STUDY_MEAN) {
        add(&f, STUDY_SERVER, "combine",
            "combine: looks at each site's update, and of masked ones only the sum can be read; "
            "use combine: mean, or leave out masked");
    }
    if (s->masked) {
        check_sum(s, &f);
    } else if (s->threshold > 0 || s->neighbours > 0 || s->neighbour_threshold > 0) {
        const char *key = s->threshold > 0 ? "threshold" : "neighbours";
        add(&f, STUDY_TOP, key, "%s: has a meaning only with masked: true", key);
    }
    if (s->spare_rounds > 0 && !s->masked) {
        add(&f, STUDY_TOP, "spare_rounds",
            "spare_rounds: has a meaning only with masked: true; any other round that fails is the "
            "end of the study");
    } else if (s->spare_rounds > 0 && s->wish.passes > 0.0) {
        add(&f, STUDY_TOP, "spare_rounds",
            "spare_rounds: a plan (passes) does not know of them; state sample_rate and rounds");
    }
    if (shared && s->masked) {
        check_shared(s, &f);
    }
    return f.n;
}

enum rc study_check_masking(const struct study *s, struct error *err)
{
    struct study_fault fault[STUDY_MASKING_FAULTS];
    return study_masking_faults(s, fault) == 0 ? RC_OK
                                               : error_set(err, RC_INVALID, "%s", fault[0].text);
}
