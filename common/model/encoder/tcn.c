#include "common/model/encoder/tcn.h"

#include <stdbool.h>
#include <stdio.h>

#include "common/model/encoder/encoder_internal.h"
#include "common/tape/image.h"

size_t tcn_reach(const struct tcn_spec *spec)
{
    return 1 + 2 * (spec->size - 1) * (((size_t)1 << spec->blocks) - 1);
}

/* The convolution `which`, 'a' or 'b', of block i: in -> width channels. */
static enum rc layer_declare(const struct tcn *m, struct tcn_layer *l, struct param_table *table,
                             const char *prefix, size_t i, char which, size_t in, struct error *err)
{
    const size_t out = m->spec.width;
    char name[3][32];
    (void)snprintf(name[0], sizeof name[0], "block%zu.%c.direction", i + 1, which);
    (void)snprintf(name[1], sizeof name[1], "block%zu.%c.gain", i + 1, which);
    (void)snprintf(name[2], sizeof name[2], "block%zu.%c.bias", i + 1, which);
    enum rc rc = encoder_param(table, prefix, name[0], PARAM_FAN_IN, out, m->spec.size * in,
                               &l->direction, err);
    if (rc == RC_OK) {
        rc = encoder_param(table, prefix, name[1], PARAM_ONE, out, 0, &l->gain, err);
    }
    if (rc == RC_OK) {
        rc = encoder_param(table, prefix, name[2], PARAM_ZERO, out, 0, &l->bias, err);
    }
    return rc;
}

static bool widens(const struct tcn *m)
{
    return m->spec.channels != m->spec.width;
}

enum rc tcn_declare(struct tcn *m, struct param_table *table, const char *prefix,
                    const struct tcn_spec *spec, struct error *err)
{
    if (spec->blocks == 0 || spec->blocks > TCN_BLOCKS_MAX) {
        return error_set(err, RC_INVALID, "series encoder '%s': %zu blocks, want 1 to %d", prefix,
                         spec->blocks, TCN_BLOCKS_MAX);
    }
    if (spec->channels == 0 || spec->width == 0 || spec->size < 2) {
        return error_set(
            err, RC_INVALID,
            "series encoder '%s': %zu channels, width %zu, windows of %zu: want at least 1, "
            "1 and 2",
            prefix, spec->channels, spec->width, spec->size);
    }
    *m = (struct tcn){.spec = *spec};
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < spec->blocks; i++) {
        const size_t in = i == 0 ? spec->channels : spec->width;
        rc = layer_declare(m, &m->block[i].a, table, prefix, i, 'a', in, err);
        if (rc == RC_OK) {
            rc = layer_declare(m, &m->block[i].b, table, prefix, i, 'b', spec->width, err);
        }
    }
    if (rc == RC_OK && widens(m)) {
        rc = encoder_param(table, prefix, "shortcut.weight", PARAM_FAN_IN, spec->width,
                           spec->channels, &m->shortcut, err);
    }
    if (rc == RC_OK && widens(m)) {
        rc = encoder_param(table, prefix, "shortcut.bias", PARAM_ZERO, spec->width, 0,
                           &m->shortcut_bias, err);
    }
    return rc;
}

static struct node *layer_record(const struct tcn *m, struct tape *t, const struct tcn_layer *l,
                                 struct node *h, size_t dilation)
{
    const struct window window = window_causal(m->spec.size, dilation);
    h = tape_conv1d_weight_norm(t, h, l->direction, l->gain, window);
    return tape_relu_over(t, tape_bias(t, h, l->bias));
}

struct node *tcn_record_steps(const struct tcn *m, struct tape *t, struct node *x)
{
    struct node *h = x;
    for (size_t i = 0; i < m->spec.blocks; i++) {
        const struct tcn_block *block = &m->block[i];
        const size_t dilation = (size_t)1 << i;
        struct node *f = layer_record(m, t, &block->a, h, dilation);
        f = layer_record(m, t, &block->b, f, dilation);
        if (i == 0 && widens(m)) {
            h = tape_affine(t, h, m->shortcut, m->shortcut_bias);
        }
        h = tape_relu(t, tape_add(t, f, h));
    }
    return h;
}

struct node *tcn_record(const struct tcn *m, struct tape *t, struct node *x, const int32_t *length)
{
    return tape_last(t, tcn_record_steps(m, t, x), length);
}
