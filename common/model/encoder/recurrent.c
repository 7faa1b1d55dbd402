/*
 * Series through recurrent layers. What is seen, and how long ago, is part of the input (Lipton et al.
 * 2016; Che et al. 2018, "GRU-simple"):
 *
 *   x_t = [values_t; seen_t; since_t]    h = GRU(x) or LSTM(x), layer on layer    vector = last state
 */
#include "common/model/encoder/encoder_internal.h"

struct node *encoder_series_record(struct tape *t, const struct encoder_series *x)
{
    const size_t dim[2] = {x->T, x->V};
    struct node *part[3] = {tape_input_shaped(t, x->values, 2, dim),
                            tape_input_shaped(t, x->seen, 2, dim),
                            tape_input_shaped(t, x->since, 2, dim)};
    return tape_concat_all(t, 3, part);
}

static enum rc check(const char *prefix, size_t variables, size_t width, size_t layers,
                     struct error *err)
{
    enum rc rc = encoder_size(prefix, "variables", variables, SIZE_MAX, err);
    if (rc == RC_OK) {
        rc = encoder_size(prefix, "width", width, SIZE_MAX, err);
    }
    if (rc == RC_OK) {
        rc = encoder_size(prefix, "layers", layers, ENCODER_LAYERS_MAX, err);
    }
    return rc;
}

/* ---- GRU ------------------------------------------------------------------------------------- */

enum rc gru_encoder_declare(struct param_table *table, const char *prefix, struct gru_encoder *e,
                            struct error *err)
{
    const size_t H = e->width;
    enum rc rc = check(prefix, e->variables, H, e->layers, err);
    for (size_t i = 0; rc == RC_OK && i < e->layers; i++) {
        const struct encoder_name name = encoder_part(prefix, "gru", i);
        const size_t D = i == 0 ? 3 * e->variables : H;
        struct tape_gru_params *p = &e->layer[i];
        rc = encoder_param(table, name.text, "in.weight", PARAM_FAN_IN, 3 * H, D, &p->w, err);
        if (rc == RC_OK) {
            rc = encoder_param(table, name.text, "in.bias", PARAM_ZERO, 3 * H, 0, &p->b, err);
        }
        if (rc == RC_OK) {
            rc =
                encoder_param(table, name.text, "state.weight", PARAM_FAN_IN, 3 * H, H, &p->u, err);
        }
        if (rc == RC_OK) {
            rc = encoder_param(table, name.text, "state.bias", PARAM_ZERO, 3 * H, 0, &p->d, err);
        }
    }
    return rc;
}

static struct node *gru_states(const struct gru_encoder *e, struct tape *t,
                               const struct encoder_series *x)
{
    struct node *h = encoder_series_record(t, x);
    for (size_t i = 0; i < e->layers; i++) {
        h = tape_gru(t, h, &e->layer[i], x->length);
    }
    return h;
}

struct node *gru_encoder_record(const struct gru_encoder *e, struct tape *t,
                                const struct encoder_series *x, const struct tape_dropout *drop)
{
    return encoder_drop(t, tape_last(t, gru_states(e, t, x), x->length), drop);
}

struct encoder_positions gru_encoder_positions(const struct gru_encoder *e, struct tape *t,
                                               const struct encoder_series *x,
                                               const struct tape_dropout *drop)
{
    const uint8_t *there = tape_within(t, x->length, x->T);
    return (struct encoder_positions){.x = encoder_drop(t, gru_states(e, t, x), drop),
                                      .key = there};
}

/* ---- LSTM ------------------------------------------------------------------------------------ */

enum rc lstm_encoder_declare(struct param_table *table, const char *prefix, struct lstm_encoder *e,
                             struct error *err)
{
    const size_t H = e->width;
    enum rc rc = check(prefix, e->variables, H, e->layers, err);
    for (size_t i = 0; rc == RC_OK && i < e->layers; i++) {
        const size_t D = i == 0 ? 3 * e->variables : H;
        const struct encoder_name name = encoder_part(prefix, "lstm", i);
        struct encoder_linear *l = &e->layer[i];
        rc =
            encoder_param(table, name.text, "gates.weight", PARAM_FAN_IN, 4 * H, D + H, &l->w, err);
        if (rc == RC_OK) {
            rc = encoder_param(table, name.text, "gates.bias", PARAM_GATES, 4 * H, 0, &l->b, err);
        }
    }
    return rc;
}

static struct node *lstm_states(const struct lstm_encoder *e, struct tape *t,
                                const struct encoder_series *x)
{
    struct node *h = encoder_series_record(t, x);
    for (size_t i = 0; i < e->layers; i++) {
        h = tape_lstm(t, h, e->layer[i].w, e->layer[i].b, x->length);
    }
    return h;
}

struct node *lstm_encoder_record(const struct lstm_encoder *e, struct tape *t,
                                 const struct encoder_series *x, const struct tape_dropout *drop)
{
    return encoder_drop(t, tape_last(t, lstm_states(e, t, x), x->length), drop);
}

struct encoder_positions lstm_encoder_positions(const struct lstm_encoder *e, struct tape *t,
                                                const struct encoder_series *x,
                                                const struct tape_dropout *drop)
{
    const uint8_t *there = tape_within(t, x->length, x->T);
    return (struct encoder_positions){.x = encoder_drop(t, lstm_states(e, t, x), drop),
                                      .key = there};
}
