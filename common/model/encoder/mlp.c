/* h = [x; E_1[code_1]; …];  h = act(LN(W h + b)) for each width;  z = head(adapter(h)). */
#include <stdio.h>
#include <string.h>

#include "common/model/registry_internal.h"

static enum rc layer_declare(struct model *m, size_t i, size_t in, size_t out, struct error *err)
{
    struct model_layer *l = &m->layer[i];
    char name[4][32];
    static const char *const part[4] = {"weight", "bias", "gain", "shift"};
    for (size_t j = 0; j < 4; j++) {
        (void)snprintf(name[j], sizeof name[j], "hidden%zu.%s", i, part[j]);
    }
    enum rc rc = param_add(&m->table, name[0], PARAM_SHARED, PARAM_FAN_IN, 2, (size_t[]){out, in},
                           &l->w, err);
    if (rc == RC_OK) {
        rc = param_add(&m->table, name[1], PARAM_SHARED, PARAM_ZERO, 1, &out, &l->b, err);
    }
    if (rc == RC_OK && m->spec.layer_norm) {
        rc = param_add(&m->table, name[2], m->table.norms, PARAM_ONE, 1, &out, &l->gain, err);
    }
    if (rc == RC_OK && m->spec.layer_norm) {
        rc = param_add(&m->table, name[3], m->table.norms, PARAM_ZERO, 1, &out, &l->shift, err);
    }
    return rc;
}

enum rc mlp_declare(struct model *m, const struct schema *schema, struct error *err)
{
    if (m->spec.n_hidden == 0) {
        return error_set(err, RC_INVALID, "model 'mlp' needs at least one hidden width");
    }
    if (m->layout.n_codes > 0 && m->spec.embedding == 0) {
        return error_set(err, RC_INVALID, "model 'mlp' needs an embedding width of at least 1");
    }
    enum rc rc = codes_declare(m, schema, m->spec.embedding, PARAM_FAN_IN, err);
    size_t width = m->layout.n_values + m->layout.n_codes * m->spec.embedding;
    for (size_t i = 0; rc == RC_OK && i < m->spec.n_hidden; i++) {
        rc = layer_declare(m, i, width, m->spec.hidden[i], err);
        width = m->spec.hidden[i];
    }
    if (rc == RC_OK) {
        rc = adapter_declare(&m->table, "adapter", m->spec.adapter, width, &m->adapter, err);
    }
    if (rc == RC_OK) {
        rc = param_add(&m->table, "head.weight", PARAM_SHARED, PARAM_FAN_IN, 2,
                       (size_t[]){m->layout.n_outputs, width}, &m->head.w, err);
    }
    if (rc == RC_OK) {
        rc = param_add(&m->table, "head.bias", PARAM_SHARED, PARAM_ZERO, 1, &m->layout.n_outputs,
                       &m->head.b, err);
    }
    return rc;
}

static struct node *activate(const struct model *m, struct tape *t, struct node *h)
{
    if (strcmp(m->spec.activation, "gelu") == 0) {
        return tape_gelu(t, h);
    }
    if (strcmp(m->spec.activation, "tanh") == 0) {
        return tape_tanh(t, h);
    }
    return tape_relu(t, h);
}

struct node *mlp_record(const struct model *m, struct tape *t, const struct batch *batch)
{
    struct node *h = tape_input(t, batch->values, m->layout.n_values);
    for (size_t k = 0; k < m->layout.n_codes; k++) {
        h = tape_concat(t, h, codes_record(m, t, batch, k));
    }
    for (size_t i = 0; i < m->spec.n_hidden; i++) {
        const struct model_layer *l = &m->layer[i];
        h = tape_bias(t, tape_linear(t, h, l->w), l->b);
        h = m->spec.layer_norm ? tape_layer_norm(t, h, l->gain, l->shift) : h;
        h = activate(m, t, h);
    }
    h = adapter_record(&m->adapter, t, h);
    return tape_bias(t, tape_linear(t, h, m->head.w), m->head.b);
}
