/* x_t = sqrt(D) E[code_t] + sinusoid(t) (Vaswani et al. 2017, 3.4, 3.5);  vector = mean over what is
 * there of transformer(x). */
#include <math.h>

#include "common/model/encoder/encoder_internal.h"

enum rc text_transformer_declare(struct param_table *table, const char *prefix,
                                 struct text_transformer *e, struct error *err)
{
    enum rc rc = encoder_size(prefix, "vocabulary", e->vocabulary, INT32_MAX, err);
    if (rc == RC_OK) {
        rc = transformer_declare(table, prefix, &e->body, err);
    }
    if (rc == RC_OK) {
        rc = encoder_param(table, prefix, "table", PARAM_FAN_IN, e->vocabulary, e->body.width,
                           &e->table, err);
    }
    return rc;
}

struct encoder_positions text_transformer_positions(const struct text_transformer *e,
                                                    struct tape *t, const struct encoder_codes *x,
                                                    const struct tape_dropout *drop)
{
    const uint8_t *there = tape_coded(t, x->code, x->T);
    struct node *h = tape_embedding_sequence(t, e->table, x->code, x->T);
    h = tape_sinusoids(t, tape_scale(t, h, sqrt((double)e->body.width), 0.0));
    h = transformer_record(&e->body, t, encoder_drop(t, h, drop), there, drop);
    return (struct encoder_positions){.x = h, .key = there};
}

struct node *text_transformer_record(const struct text_transformer *e, struct tape *t,
                                     const struct encoder_codes *x, const struct tape_dropout *drop)
{
    const struct encoder_positions p = text_transformer_positions(e, t, x, drop);
    return tape_masked_mean(t, p.x, p.key);
}
