/* z = w x + b + sum_k e_k[code_k], all zero at the start: the problem is convex. One z, or one for each of
 * several classes: softmax regression. */
#include "common/model/registry_internal.h"

enum rc logistic_declare(struct model *m, const struct schema *schema, struct error *err)
{
    enum rc rc = RC_OK;
    if (m->layout.n_values > 0) {
        rc = param_add(&m->table, "head.weight", PARAM_SHARED, PARAM_ZERO, 2,
                       (size_t[]){m->layout.n_outputs, m->layout.n_values}, &m->head.w, err);
    }
    if (rc == RC_OK) {
        rc = param_add(&m->table, "head.bias", PARAM_SHARED, PARAM_ZERO, 1, &m->layout.n_outputs,
                       &m->head.b, err);
    }
    if (rc == RC_OK) {
        rc = codes_declare(m, schema, m->layout.n_outputs, PARAM_ZERO, err);
    }
    return rc;
}

struct node *logistic_record(const struct model *m, struct tape *t, const struct batch *batch)
{
    struct node *z = NULL;
    if (m->layout.n_values > 0) {
        z = tape_linear(t, tape_input(t, batch->values, m->layout.n_values), m->head.w);
    }
    for (size_t k = 0; k < m->layout.n_codes; k++) {
        struct node *e = codes_record(m, t, batch, k);
        z = k == 0 && m->layout.n_values == 0 ? e : tape_add(t, z, e);
    }
    return tape_bias(t, z, m->head.b);
}
