#include <stdbool.h>
#include <string.h>

#include "agent/train/state_internal.h"

enum { OLD_HEAD = 4, HEAD = 5 };
static const uint64_t OLD_MAGIC =
    0x3145544154535257u;                           /* "WRSTATE1": both moments, whatever the rule */
static const uint64_t MAGIC = 0x3245544154535257u; /* "WRSTATE2" */

static size_t bytes_of(const struct model *model, size_t head, size_t moments)
{
    const size_t P = model->table.P;
    return head * sizeof(uint64_t) + (P - model->table.S + moments * P) * sizeof(double);
}

size_t state_bytes(const struct model *model, const struct study_local *local)
{
    return bytes_of(model, HEAD, optimiser_moments(local));
}

void state_write(const struct model *model, const struct study_local *local, const double *w,
                 const struct optimiser *o, unsigned char *out)
{
    const size_t P = model->table.P;
    const size_t S = model->table.S;
    const size_t moments = optimiser_moments(local);
    const double *moment[OPTIMISER_MOMENTS_MAX] = {o->m, o->v};
    const uint64_t head[HEAD] = {MAGIC, P, S, o->t, moments};
    memcpy(out, head, sizeof head);
    out += sizeof head;
    memcpy(out, w + S, (P - S) * sizeof *w);
    out += (P - S) * sizeof *w;
    for (size_t k = 0; k < moments; k++) {
        memcpy(out + k * P * sizeof *w, moment[k], P * sizeof *w);
    }
}

enum rc state_read(const struct model *model, const struct study_local *local, const void *bytes,
                   size_t n, double *w, struct optimiser *o, struct error *err)
{
    const size_t P = model->table.P;
    const size_t S = model->table.S;
    const unsigned char *from = bytes;
    double *moment[OPTIMISER_MOMENTS_MAX] = {o->m, o->v};
    uint64_t head[HEAD] = {0};
    memcpy(head, from, n < sizeof head ? n : sizeof head);
    const bool old = head[0] == OLD_MAGIC;
    const size_t moments = old ? OPTIMISER_MOMENTS_MAX : optimiser_moments(local);
    const size_t want = bytes_of(model, old ? OLD_HEAD : HEAD, moments);
    if ((!old && head[0] != MAGIC) || n != want || head[1] != P || head[2] != S ||
        (!old && head[4] != moments)) {
        return error_set(err, RC_FORMAT,
                         "the stored site state is not of this model and its optimiser: %zu bytes, "
                         "want %zu",
                         n, want);
    }
    from += (old ? OLD_HEAD : HEAD) * sizeof(uint64_t);
    memcpy(w + S, from, (P - S) * sizeof *w);
    from += (P - S) * sizeof *w;
    for (size_t k = 0; k < moments; k++) {
        memcpy(moment[k], from + k * P * sizeof *w, P * sizeof *w);
    }
    o->t = head[3];
    return RC_OK;
}
