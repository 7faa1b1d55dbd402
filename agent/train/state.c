#include <assert.h>
#include <math.h>
#include <string.h>

#include "agent/train/state_internal.h"

enum { HEAD = 4 };
static const uint64_t MAGIC = 0x3145544154535257u; /* "WRSTATE1" */

size_t state_bytes(const struct model *model)
{
    const size_t P = model->table.P;
    const size_t S = model->table.S;
    return HEAD * sizeof(uint64_t) + (P - S + 2 * P) * sizeof(double);
}

void state_write(const struct model *model, const double *w, const struct optimiser *o,
                 unsigned char *out)
{
    const size_t P = model->table.P;
    const size_t S = model->table.S;
    const uint64_t head[HEAD] = {MAGIC, P, S, o->t};
    memcpy(out, head, sizeof head);
    out += sizeof head;
    memcpy(out, w + S, (P - S) * sizeof *w);
    out += (P - S) * sizeof *w;
    memcpy(out, o->m, P * sizeof *w);
    memcpy(out + P * sizeof *w, o->v, P * sizeof *w);
}

enum rc state_read(const struct model *model, const void *bytes, size_t n, double *w,
                   struct optimiser *o, struct error *err)
{
    const size_t P = model->table.P;
    const size_t S = model->table.S;
    uint64_t head[HEAD] = {0};
    const unsigned char *from = bytes;
    if (n == state_bytes(model)) {
        memcpy(head, from, sizeof head);
    }
    if (head[0] != MAGIC || head[1] != P || head[2] != S) {
        return error_set(err, RC_FORMAT,
                         "the stored site state is not of this model: %zu bytes, want %zu", n,
                         state_bytes(model));
    }
    from += sizeof head;
    memcpy(w + S, from, (P - S) * sizeof *w);
    from += (P - S) * sizeof *w;
    memcpy(o->m, from, P * sizeof *w);
    memcpy(o->v, from + P * sizeof *w, P * sizeof *w);
    o->t = head[3];
    return RC_OK;
}
