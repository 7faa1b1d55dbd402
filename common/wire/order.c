#include "common/wire/wire_internal.h"

static bool is_past(const struct wire_order *o, uint64_t epoch)
{
    const size_t n = o->n_past < WIRE_EPOCHS_KEPT ? o->n_past : WIRE_EPOCHS_KEPT;
    for (size_t i = 0; i < n; i++) {
        if (o->past[i] == epoch) {
            return true;
        }
    }
    return false;
}

RC wire_order_take(struct wire_order *o, const struct wire_message *m, struct error *err)
{
    const char *kind = wire_kind_name(m->kind);
    if (m->epoch == 0 || m->sequence == 0) {
        return error_set(err, RC_STATE, "%s: without epoch and sequence", kind);
    }
    if (m->epoch == o->epoch) {
        if (m->sequence <= o->sequence) {
            return error_set(err, RC_STATE, "%s from %s: replayed or late (number %llu after %llu)",
                             kind, m->from, (unsigned long long)m->sequence,
                             (unsigned long long)o->sequence);
        }
        o->sequence = m->sequence;
        return RC_OK;
    }
    if (is_past(o, m->epoch)) {
        return error_set(err, RC_STATE, "%s from %s: from before its sender's restart", kind,
                         m->from);
    }
    if (o->epoch != 0) {
        o->past[o->n_past % WIRE_EPOCHS_KEPT] = o->epoch;
        o->n_past++;
    }
    o->epoch = m->epoch;
    o->sequence = m->sequence;
    return RC_OK;
}
