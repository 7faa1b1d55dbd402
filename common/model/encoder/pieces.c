/* What encoders are made of: named parameters, linear maps, norms, dropout. */
#include <stdint.h>
#include <stdio.h>

#include "common/model/encoder/encoder_internal.h"

struct encoder_name encoder_part(const char *prefix, const char *part, size_t number)
{
    struct encoder_name
        n; /* a name that is cut is refused by param_add: declared twice, or too long */
    (void)snprintf(n.text, sizeof n.text, "%s.%s%zu", prefix, part, number);
    return n;
}

enum rc encoder_param(struct param_table *table, const char *prefix, const char *name,
                      enum param_init init, size_t a, size_t b, struct param_id *id,
                      struct error *err)
{
    char full[3 * PARAM_NAME_MAX]; /* what is too long, param_add refuses */
    (void)snprintf(full, sizeof full, "%s.%s", prefix, name);
    return param_add(table, full, PARAM_SHARED, init, b == 0 ? 1 : 2, (size_t[]){a, b}, id, err);
}

enum rc encoder_norm_param(struct param_table *table, const char *prefix, const char *name,
                           enum param_init init, size_t width, struct param_id *id,
                           struct error *err)
{
    char full[3 * PARAM_NAME_MAX];
    (void)snprintf(full, sizeof full, "%s.%s", prefix, name);
    return param_add(table, full, table->norms, init, 1, &width, id, err);
}

enum rc encoder_size(const char *prefix, const char *what, size_t size, size_t most,
                     struct error *err)
{
    if (size == 0) {
        return error_set(err, RC_INVALID, "encoder '%s': %s must be at least 1", prefix, what);
    }
    if (size > most) {
        return error_set(err, RC_INVALID, "encoder '%s': %s must be at most %zu", prefix, what,
                         most);
    }
    return RC_OK;
}

enum rc encoder_linear_declare(struct param_table *table, const char *prefix, const char *name,
                               size_t out, size_t in, struct encoder_linear *l, struct error *err)
{
    char part[PARAM_NAME_MAX];
    (void)snprintf(part, sizeof part, "%s.weight", name);
    enum rc rc = encoder_param(table, prefix, part, PARAM_FAN_IN, out, in, &l->w, err);
    if (rc == RC_OK) {
        (void)snprintf(part, sizeof part, "%s.bias", name);
        rc = encoder_param(table, prefix, part, PARAM_ZERO, out, 0, &l->b, err);
    }
    return rc;
}

struct node *encoder_linear_record(const struct encoder_linear *l, struct tape *t, struct node *x)
{
    return tape_affine(t, x, l->w, l->b);
}

enum rc encoder_norm_declare(struct param_table *table, const char *prefix, const char *name,
                             size_t width, struct encoder_norm *n, struct error *err)
{
    char part[PARAM_NAME_MAX];
    (void)snprintf(part, sizeof part, "%s.gain", name);
    enum rc rc = encoder_norm_param(table, prefix, part, PARAM_ONE, width, &n->gain, err);
    if (rc == RC_OK) {
        (void)snprintf(part, sizeof part, "%s.shift", name);
        rc = encoder_norm_param(table, prefix, part, PARAM_ZERO, width, &n->shift, err);
    }
    return rc;
}

struct node *encoder_norm_record(const struct encoder_norm *n, struct tape *t, struct node *x)
{
    return tape_layer_norm(t, x, n->gain, n->shift);
}

struct node *encoder_drop(struct tape *t, struct node *x, const struct tape_dropout *drop)
{
    return drop == NULL ? x : tape_dropout(t, x, drop);
}
