/*
 * Series as events, none of them put into bins (STraTS, Tipirneni and Reddy 2022, 3.2, 3.3): one token
 * for each (variable f_i, value v_i, time t_i), in any order.
 *
 *   e_i = E[f_i] + g(v_i) + h(t_i)    g, h: x -> W2 tanh(W1 x + b1), of sqrt(D) hidden numbers
 *   c = transformer(e)    a = softmax over events of u tanh(W c_i + b)    vector = sum_i a_i c_i
 *
 * Of no events: 0.
 */
#include <assert.h>
#include <stdio.h>

#include "common/model/encoder/encoder_internal.h"

static enum rc curve_declare(struct param_table *table, const char *prefix, const char *name,
                             size_t D, struct event_curve *c, struct error *err)
{
    size_t hidden = 1;
    while ((hidden + 1) * (hidden + 1) <= D) {
        hidden++;
    }
    char in[PARAM_NAME_MAX], out[PARAM_NAME_MAX];
    (void)snprintf(in, sizeof in, "%s.in", name);
    (void)snprintf(out, sizeof out, "%s.out.weight", name);
    const enum rc rc = encoder_linear_declare(table, prefix, in, hidden, 1, &c->in, err);
    return rc == RC_OK ? encoder_param(table, prefix, out, PARAM_FAN_IN, D, hidden, &c->out, err)
                       : rc;
}

enum rc event_transformer_declare(struct param_table *table, const char *prefix,
                                  struct event_transformer *e, struct error *err)
{
    const size_t D = e->body.width;
    enum rc rc = encoder_size(prefix, "variables", e->variables, INT32_MAX, err);
    if (rc == RC_OK) {
        rc = transformer_declare(table, prefix, &e->body, err);
    }
    if (rc == RC_OK) {
        rc = encoder_param(table, prefix, "variable", PARAM_FAN_IN, e->variables, D, &e->variable,
                           err);
    }
    if (rc == RC_OK) {
        rc = curve_declare(table, prefix, "value", D, &e->value, err);
    }
    if (rc == RC_OK) {
        rc = curve_declare(table, prefix, "time", D, &e->time, err);
    }
    if (rc != RC_OK || e->spread) {
        return rc;
    }
    rc = encoder_linear_declare(table, prefix, "share", 2 * D, D, &e->share, err);
    return rc == RC_OK ? encoder_param(table, prefix, "share.out.weight", PARAM_FAN_IN, 1, 2 * D,
                                       &e->share_out, err)
                       : rc;
}

static struct node *curve_record(const struct event_curve *c, struct tape *t, const float *x,
                                 size_t T)
{
    struct node *h = tape_input_shaped(t, x, 2, (size_t[]){T, 1});
    return tape_linear(t, tape_tanh(t, encoder_linear_record(&c->in, t, h)), c->out);
}

struct encoder_positions event_transformer_positions(const struct event_transformer *e,
                                                     struct tape *t, const struct encoder_events *x,
                                                     const struct tape_dropout *drop)
{
    const uint8_t *there = tape_coded(t, x->code, x->T);
    struct node *h = tape_embedding_sequence(t, e->variable, x->code, x->T);
    h = tape_add(t, h, curve_record(&e->value, t, x->values, x->T));
    h = tape_add(t, h, curve_record(&e->time, t, x->when, x->T));
    h = transformer_record(&e->body, t, encoder_drop(t, h, drop), there, drop);
    return (struct encoder_positions){.x = h, .key = there};
}

struct node *event_transformer_record(const struct event_transformer *e, struct tape *t,
                                      const struct encoder_events *x,
                                      const struct tape_dropout *drop)
{
    assert(!e->spread);
    const struct encoder_positions c = event_transformer_positions(e, t, x, drop);
    struct node *a = tape_tanh(t, encoder_linear_record(&e->share, t, c.x));
    a = tape_reshape(t, tape_linear(t, a, e->share_out), 1, &x->T); /* [B, T] */
    a = tape_reshape(t, tape_softmax_there(t, a, c.key), 2, (size_t[]){1, x->T});
    return tape_reshape(t, tape_matmul(t, a, c.x), 1, &e->body.width);
}
