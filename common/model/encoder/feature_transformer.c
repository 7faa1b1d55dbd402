/*
 * A table's row as a set of tokens (FT-Transformer, Gorishniy et al. 2021, 3.3):
 *
 *   token_f = x_f w_f + b_f    token_k = E_k[code_k]    tokens = [summary; token_f…; token_k…]
 *   vector = relu(norm(transformer(tokens) at summary)), norms in front
 *
 * What is missing is not imputed: nobody looks at its token.
 */
#include <stdio.h>

#include "common/model/encoder/encoder_internal.h"

static enum rc tokens_declare(struct param_table *table, const char *prefix,
                              struct feature_transformer *e, struct error *err)
{
    const size_t D = e->body.width;
    enum rc rc = encoder_param(table, prefix, "summary", PARAM_FAN_IN, D, 0, &e->summary, err);
    if (rc == RC_OK && e->numbers > 0) {
        rc = encoder_param(table, prefix, "number.weight", PARAM_FAN_IN, e->numbers, D, &e->token_w,
                           err);
    }
    if (rc == RC_OK && e->numbers > 0) {
        rc = encoder_param(table, prefix, "number.bias", PARAM_FAN_IN, e->numbers, D, &e->token_b,
                           err);
    }
    for (size_t k = 0; rc == RC_OK && k < e->columns; k++) {
        char name[32];
        (void)snprintf(name, sizeof name, "code%zu", k);
        rc = encoder_size(prefix, "categories of a column", e->categories[k], SIZE_MAX, err);
        if (rc == RC_OK) {
            rc = encoder_param(table, prefix, name, PARAM_FAN_IN, e->categories[k], D,
                               &e->column[k], err);
        }
    }
    return rc;
}

enum rc feature_transformer_declare(struct param_table *table, const char *prefix,
                                    struct feature_transformer *e, struct error *err)
{
    enum rc rc = encoder_size(prefix, "features", e->numbers + e->columns, SIZE_MAX, err);
    if (rc == RC_OK && e->columns > ENCODER_COLUMNS_MAX) {
        rc = error_set(err, RC_LIMIT, "encoder '%s' takes at most %d categorical features", prefix,
                       ENCODER_COLUMNS_MAX);
    }
    if (rc == RC_OK) {
        e->body.norm_first = true;
        rc = transformer_declare(table, prefix, &e->body, err);
    }
    if (rc == RC_OK) {
        rc = tokens_declare(table, prefix, e, err);
    }
    if (rc == RC_OK) {
        rc = encoder_norm_declare(table, prefix, "last", e->body.width, &e->last, err);
    }
    return rc;
}

/* [summary; token_f…; token_k…] through the transformer */
static struct encoder_positions look(const struct feature_transformer *e, struct tape *t,
                                     const struct encoder_table *x, const struct tape_dropout *drop)
{
    struct node *column[ENCODER_COLUMNS_MAX];
    for (size_t k = 0; k < e->columns; k++) {
        column[k] =
            tape_embedding(t, e->column[k], x->codes == NULL ? NULL : x->codes + k, e->columns);
    }
    struct node *h = e->columns == 0 ? NULL : tape_stack(t, e->columns, column);
    if (e->numbers > 0) {
        struct node *f =
            tape_features(t, tape_input(t, x->values, e->numbers), e->token_w, e->token_b);
        h = h == NULL ? f : tape_chain(t, f, h);
    }
    struct node *summary = tape_token(t, tape_select(t, h, 0), e->summary, NULL);
    h = tape_chain(t, tape_stack(t, 1, &summary), h);
    const uint8_t *key = tape_flanked(t, 1, x->there, e->numbers + e->columns, 0);
    return (struct encoder_positions){.x = transformer_record(&e->body, t, h, key, drop),
                                      .key = key};
}

struct node *feature_transformer_record(const struct feature_transformer *e, struct tape *t,
                                        const struct encoder_table *x,
                                        const struct tape_dropout *drop)
{
    struct node *h = tape_select(t, look(e, t, x, drop).x, 0);
    return tape_relu(t, encoder_norm_record(&e->last, t, h));
}

struct encoder_positions feature_transformer_positions(const struct feature_transformer *e,
                                                       struct tape *t,
                                                       const struct encoder_table *x,
                                                       const struct tape_dropout *drop)
{
    struct encoder_positions p = look(e, t, x, drop);
    p.x = tape_relu(t, encoder_norm_record(&e->last, t, p.x));
    return p;
}
