/* What a world leaves behind, as bytes: doubles, little endian.
 *
 *   epsilon [n_sites]            what each ledger spent
 *   score   [tested patients, C] of the fold, in the dataset's order
 *   curve   [sweep_curve_points] AUROC of the fold, round after round; a NAN is one
 */
#include <stdlib.h>
#include <string.h>

#include "sim/sweep/sweep_internal.h"

static void put(unsigned char *at, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    for (size_t i = 0; i < sizeof bits; i++) {
        at[i] = (unsigned char)(bits >> (8 * i));
    }
}

static double get(const unsigned char *at)
{
    uint64_t bits = 0;
    double x;
    for (size_t i = 0; i < sizeof bits; i++) {
        bits |= (uint64_t)at[i] << (8 * i);
    }
    memcpy(&x, &bits, sizeof x);
    return x;
}

static size_t points_of(const struct sweep_world *w)
{
    return sweep_curve_points(w->s, w->cell.mode, w->plan.rounds);
}

size_t sweep_outcome_bytes(const struct sweep_world *w)
{
    const struct dataset *d = w->s->data;
    size_t n = d->n_sites;
    for (size_t p = 0; p < d->n_patients; p++) {
        n += w->part[p] == w->fold ? 1 : 0;
    }
    n = d->n_sites + (n - d->n_sites) * sweep_outputs(w->s);
    return (n + points_of(w)) * sizeof(double);
}

void sweep_outcome_pack(const struct sweep_world *w, unsigned char *out)
{
    const struct dataset *d = w->s->data;
    const size_t C = sweep_outputs(w->s);
    for (size_t i = 0; i < d->n_sites; i++, out += sizeof(double)) {
        put(out, w->epsilon[i]);
    }
    for (size_t p = 0; p < d->n_patients; p++) {
        for (size_t c = 0; c < C && w->part[p] == w->fold; c++, out += sizeof(double)) {
            put(out, w->score[p * C + c]);
        }
    }
    for (size_t k = 0; k < points_of(w); k++, out += sizeof(double)) {
        put(out, w->curve[k]);
    }
}

enum rc sweep_outcome_unpack(struct sweep_world *w, const unsigned char *in, size_t n,
                             struct error *err)
{
    const struct dataset *d = w->s->data;
    const size_t C = sweep_outputs(w->s);
    const size_t want = sweep_outcome_bytes(w);
    if (n != want) {
        return error_set(err, RC_FORMAT, "the outcome of a fold has %zu bytes, want %zu", n, want);
    }
    for (size_t i = 0; i < d->n_sites; i++, in += sizeof(double)) {
        w->epsilon[i] = get(in);
    }
    for (size_t p = 0; p < d->n_patients; p++) {
        for (size_t c = 0; c < C && w->part[p] == w->fold; c++, in += sizeof(double)) {
            w->score[p * C + c] = get(in);
        }
    }
    for (size_t k = 0; k < points_of(w); k++, in += sizeof(double)) {
        w->curve[k] = get(in);
    }
    return RC_OK;
}
