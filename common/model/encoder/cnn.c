#include "common/model/encoder/cnn.h"

#include <stdbool.h>
#include <stdio.h>

#include "common/model/encoder/encoder_internal.h"
#include "common/tape/image.h"

size_t cnn_width(const struct cnn_spec *spec)
{
    return spec->first << (spec->stages - 1);
}

size_t cnn_cells(const struct cnn_spec *spec, size_t height, size_t width)
{
    for (size_t s = 1; s < spec->stages; s++) { /* a stride of 2, and a row of zeros around */
        height = (height + 1) / 2;
        width = (width + 1) / 2;
    }
    return height * width;
}

/* in -> out channels over `size` x `size` pixels. */
static enum rc layer_declare(struct cnn_layer *l, struct param_table *table, const char *prefix,
                             const char *name, size_t in, size_t out, size_t size,
                             struct error *err)
{
    char full[2 * PARAM_NAME_MAX];
    (void)snprintf(full, sizeof full, "%s.%s", prefix, name);
    enum rc rc =
        encoder_param(table, full, "weight", PARAM_FAN_IN, out, size * size * in, &l->weight, err);
    if (rc == RC_OK) {
        rc = encoder_norm_param(table, full, "gain", PARAM_ONE, out, &l->gain, err);
    }
    if (rc == RC_OK) {
        rc = encoder_norm_param(table, full, "shift", PARAM_ZERO, out, &l->shift, err);
    }
    return rc;
}

static enum rc stage_declare(struct cnn *m, size_t s, struct param_table *table, const char *prefix,
                             struct error *err)
{
    struct cnn_stage *stage = &m->stage[s];
    const size_t out = m->spec.first << s;
    const size_t in = s == 0 ? out : out / 2;
    char name[3][32];
    (void)snprintf(name[0], sizeof name[0], "stage%zu.a", s + 1);
    (void)snprintf(name[1], sizeof name[1], "stage%zu.b", s + 1);
    (void)snprintf(name[2], sizeof name[2], "stage%zu.shortcut", s + 1);
    enum rc rc = layer_declare(&stage->a, table, prefix, name[0], in, out, 3, err);
    if (rc == RC_OK) {
        rc = layer_declare(&stage->b, table, prefix, name[1], out, out, 3, err);
    }
    if (rc == RC_OK && s > 0) {
        rc = layer_declare(&stage->shortcut, table, prefix, name[2], in, out, 1, err);
    }
    return rc;
}

enum rc cnn_declare(struct cnn *m, struct param_table *table, const char *prefix,
                    const struct cnn_spec *spec, struct error *err)
{
    if (spec->stages == 0 || spec->stages > CNN_STAGES_MAX) {
        return error_set(err, RC_INVALID, "image encoder '%s': %zu stages, want 1 to %d", prefix,
                         spec->stages, CNN_STAGES_MAX);
    }
    if (spec->channels == 0 || spec->first == 0) {
        return error_set(err, RC_INVALID, "image encoder '%s': no channels", prefix);
    }
    if (spec->groups == 0 || spec->first % spec->groups != 0) {
        return error_set(err, RC_INVALID,
                         "image encoder '%s': %zu groups do not divide %zu channels", prefix,
                         spec->groups, spec->first);
    }
    *m = (struct cnn){.spec = *spec};
    enum rc rc =
        layer_declare(&m->stem, table, prefix, "stem", spec->channels, spec->first, 3, err);
    for (size_t s = 0; rc == RC_OK && s < spec->stages; s++) {
        rc = stage_declare(m, s, table, prefix, err);
    }
    return rc;
}

/* GN(conv(x)) */
static struct node *layer_record(const struct cnn *m, struct tape *t, const struct cnn_layer *l,
                                 struct node *x, struct window window)
{
    x = tape_conv2d(t, x, l->weight, window);
    return tape_group_norm(t, x, l->gain, l->shift, m->spec.groups);
}

/* relu(GN(conv(x))) */
static struct node *relu_layer_record(const struct cnn *m, struct tape *t,
                                      const struct cnn_layer *l, struct node *x,
                                      struct window window)
{
    x = tape_conv2d(t, x, l->weight, window);
    return tape_group_norm_relu(t, x, l->gain, l->shift, m->spec.groups);
}

static struct node *stage_record(const struct cnn *m, struct tape *t, size_t s, struct node *x)
{
    const struct cnn_stage *stage = &m->stage[s];
    const size_t stride = s == 0 ? 1 : 2;
    struct node *h = relu_layer_record(m, t, &stage->a, x, window_square(3, stride, 1));
    h = layer_record(m, t, &stage->b, h, window_square(3, 1, 1));
    if (s > 0) {
        x = layer_record(m, t, &stage->shortcut, x, window_square(1, stride, 0));
    }
    return tape_relu(t, tape_add(t, h, x));
}

/* The last map [B, H', W', cnn_width]. */
static struct node *map_record(const struct cnn *m, struct tape *t, struct node *x)
{
    struct node *h = relu_layer_record(m, t, &m->stem, x, window_square(3, 1, 1));
    for (size_t s = 0; s < m->spec.stages; s++) {
        h = stage_record(m, t, s, h);
    }
    return h;
}

struct node *cnn_record(const struct cnn *m, struct tape *t, struct node *x)
{
    return tape_global_average(t, map_record(m, t, x));
}

struct node *cnn_record_cells(const struct cnn *m, struct tape *t, struct node *x)
{
    struct node *h = map_record(m, t, x);
    if (h == NULL) {
        return NULL;
    }
    const size_t *dim = h->shape.dim;
    return tape_reshape(t, h, 2, (size_t[]){dim[1] * dim[2], dim[3]});
}
