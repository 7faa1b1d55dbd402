/* Residual bottleneck (Houlsby et al. 2019): h + W2 relu(W1 h + b1) + b2, W2 = 0, b2 = 0. */
#include "common/model/registry_internal.h"

enum rc adapter_declare(struct model *m, size_t width, struct error *err)
{
    const size_t r = m->spec.adapter;
    if (r == 0) {
        return RC_OK;
    }
    enum rc rc = param_add(&m->table, "adapter.down.weight", PARAM_SITE, PARAM_FAN_IN, 2,
                           (size_t[]){r, width}, &m->down.w, err);
    if (rc == RC_OK) {
        rc = param_add(&m->table, "adapter.down.bias", PARAM_SITE, PARAM_ZERO, 1, &r, &m->down.b,
                       err);
    }
    if (rc == RC_OK) {
        rc = param_add(&m->table, "adapter.up.weight", PARAM_SITE, PARAM_ZERO, 2,
                       (size_t[]){width, r}, &m->up.w, err);
    }
    if (rc == RC_OK) {
        rc = param_add(&m->table, "adapter.up.bias", PARAM_SITE, PARAM_ZERO, 1, &width, &m->up.b,
                       err);
    }
    return rc;
}

struct node *adapter_record(const struct model *m, struct tape *t, struct node *h)
{
    if (m->spec.adapter == 0) {
        return h;
    }
    struct node *low = tape_relu(t, tape_bias(t, tape_linear(t, h, m->down.w), m->down.b));
    return tape_add(t, h, tape_bias(t, tape_linear(t, low, m->up.w), m->up.b));
}
