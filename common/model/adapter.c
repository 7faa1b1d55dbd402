#include <stdio.h>

#include "common/model/modality.h"

static enum rc slice(struct param_table *table, const char *prefix, const char *name,
                     enum param_init init, size_t rank, const size_t *dims, struct param_id *id,
                     struct error *err)
{
    char text[PARAM_NAME_MAX];
    if (snprintf(text, sizeof text, "%s.%s", prefix, name) >= (int)sizeof text) {
        return error_set(err, RC_LIMIT, "the name '%.20s...' is too long for a parameter", prefix);
    }
    return param_add(table, text, PARAM_SITE, init, rank, dims, id, err);
}

enum rc adapter_declare(struct param_table *table, const char *prefix, size_t bottleneck,
                        size_t width, struct adapter *a, struct error *err)
{
    const size_t r = bottleneck;
    *a = (struct adapter){.there = r > 0};
    if (r == 0) {
        return RC_OK;
    }
    enum rc rc =
        slice(table, prefix, "down.weight", PARAM_FAN_IN, 2, (size_t[]){r, width}, &a->down.w, err);
    if (rc == RC_OK) {
        rc = slice(table, prefix, "down.bias", PARAM_ZERO, 1, &r, &a->down.b, err);
    }
    if (rc == RC_OK) {
        rc = slice(table, prefix, "up.weight", PARAM_ZERO, 2, (size_t[]){width, r}, &a->up.w, err);
    }
    if (rc == RC_OK) {
        rc = slice(table, prefix, "up.bias", PARAM_ZERO, 1, &width, &a->up.b, err);
    }
    return rc;
}

struct node *adapter_record(const struct adapter *a, struct tape *t, struct node *h)
{
    if (!a->there) {
        return h;
    }
    struct node *low = tape_relu(t, encoder_linear_record(&a->down, t, h));
    return tape_add(t, h, encoder_linear_record(&a->up, t, low));
}
