/* x_t = W [values_t; seen_t; since_t] + b + sinusoid(t);  vector = mean over steps of transformer(x). */
#include "common/model/encoder/encoder_internal.h"

enum rc series_transformer_declare(struct param_table *table, const char *prefix,
                                   struct series_transformer *e, struct error *err)
{
    enum rc rc = encoder_size(prefix, "variables", e->variables, SIZE_MAX, err);
    if (rc == RC_OK) {
        rc = transformer_declare(table, prefix, &e->body, err);
    }
    if (rc == RC_OK) {
        rc = encoder_linear_declare(table, prefix, "in", e->body.width, 3 * e->variables, &e->in,
                                    err);
    }
    return rc;
}

struct encoder_positions series_transformer_positions(const struct series_transformer *e,
                                                      struct tape *t,
                                                      const struct encoder_series *x,
                                                      const struct tape_dropout *drop)
{
    const uint8_t *there = tape_within(t, x->length, x->T);
    struct node *h = encoder_linear_record(&e->in, t, encoder_series_record(t, x));
    h = transformer_record(&e->body, t, tape_sinusoids(t, h), there, drop);
    return (struct encoder_positions){.x = h, .key = there};
}

struct node *series_transformer_record(const struct series_transformer *e, struct tape *t,
                                       const struct encoder_series *x,
                                       const struct tape_dropout *drop)
{
    const struct encoder_positions p = series_transformer_positions(e, t, x, drop);
    return tape_masked_mean(t, p.x, p.key);
}
