/*
 * Does what a round sends fit the ring of 32 bits? Asked when sigma is known, before anything is signed or
 * spent. Nothing is cut after the noise, so a number beyond would be a wrong sum, or, where each site looks
 * for itself (common/update), a round that the site sits out: every round, since the noise is of one size.
 *
 * Signals are not bounded here: of shared noise they are cut beforehand (study_share_bits); of a site's own
 * steps public numbers say only what nobody comes near, and a study would be refused for it.
 */
#include <math.h>

#include "common/study/draft_internal.h"

/*
 * Variance of what a round adds to a number by noise alone, in units of one step's, with SGD:
 *
 *   v_t = m v_{t-1} + z_t,  change = sum of v_1 .. v_T
 *
 * A z of step s of this round counts (1 - m^(T-s+1)) / (1 - m) times, one of k steps before the round
 * m^(k+1) (1 - m^T) / (1 - m) times, k = 0, 1, ...: the buffer stays from round to round.
 */
static double variance_of_round(const struct study_local *local)
{
    const double T = (double)local->steps;
    const double m = local->momentum;
    const double last = pow(m, T);
    const double now =
        T - 2.0 * m * (1.0 - last) / (1.0 - m) + m * m * (1.0 - last * last) / (1.0 - m * m);
    const double before = m * m * (1.0 - last) * (1.0 - last) / (1.0 - m * m);
    return (now + before) / ((1.0 - m) * (1.0 - m));
}

/* The site with the smallest divisor has the largest noise in its mean. */
static size_t noisiest(const struct study *s)
{
    size_t least = 0;
    for (size_t i = 1; i < s->n_sites; i++) {
        least = s->site[i].nominal < s->site[least].nominal ? i : least;
    }
    return least;
}

/* Adam's steps have the size of the rate, whatever the noise. A schedule and a pull towards the global model
 * only take away. */
static RC check_own_noise(const struct study *s, struct error *err)
{
    const struct study_privacy *p = &s->privacy;
    if (s->local.optimiser != STUDY_SGD || s->n_sites == 0) {
        return RC_OK;
    }
    const struct study_site *site = &s->site[noisiest(s)];
    const double step =
        s->local.rate * p->noise_multiplier * p->clip / (p->sample_rate * (double)site->nominal);
    const double one = step * sqrt(variance_of_round(&s->local));
    const double most = STUDY_RING_DEVIATIONS * one;
    size_t bits = s->fraction_bits;
    while (bits > 0 && !(most < ldexp(1.0, 31 - (int)bits))) {
        bits--;
    }
    if (bits == s->fraction_bits) {
        return RC_OK;
    }
    char grid[40] = "";
    if (bits >= STUDY_FRACTION_BITS_LEAST) {
        (void)snprintf(grid, sizeof grid, ", or write fraction_bits: %zu", bits);
    }
    return error_set(
        err, RC_LIMIT,
        "noise: site with clip %g, sigma %.4g and rate %g has a deviation of %.3g in a "
        "round at site '%.24s'; updates with fraction_bits: %zu end at %g, so rounds "
        "would be lost; lower clip or rate%s",
        p->clip, p->noise_multiplier, s->local.rate, one, site->name, s->fraction_bits,
        ldexp(1.0, 31 - (int)s->fraction_bits), grid);
}

enum rc study_check_ring(const struct study *s, struct error *err)
{
    switch (s->privacy.noise) {
    case STUDY_NOISE_NONE:
        break;
    case STUDY_NOISE_SITE:
        return check_own_noise(s, err);
    case STUDY_NOISE_SHARED:
        if (study_share_bits(s) == 0) {
            return error_set(
                err, RC_LIMIT,
                "noise: shared cannot be added up here: %zu sites with a noise multiplier of "
                "%.6g and these nominal sizes do not fit a ring of 32 bits; use noise: site",
                s->n_sites, s->privacy.noise_multiplier);
        }
        break;
    }
    return RC_OK;
}
