/* Categorical features: one table each, with a row of its own for "missing". */
#include <stdio.h>

#include "common/model/registry_internal.h"

enum rc codes_declare(struct model *m, const struct schema *schema, size_t width,
                      enum param_init init, struct error *err)
{
    for (size_t k = 0; k < m->layout.n_codes; k++) {
        char name[32];
        (void)snprintf(name, sizeof name, "code%zu", k);
        const enum rc rc =
            param_add(&m->table, name, PARAM_SHARED, init, 2,
                      (size_t[]){schema_code_count(schema, k), width}, &m->code_table[k], err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    return RC_OK;
}

struct node *codes_record(const struct model *m, struct tape *t, const struct batch *batch,
                          size_t k)
{
    const int32_t *code = batch->codes == NULL ? NULL : batch->codes + k; /* [B] at n_codes */
    return tape_embedding(t, m->code_table[k], code, m->layout.n_codes);
}
