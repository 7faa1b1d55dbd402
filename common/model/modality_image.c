/* Encoders of images. */
#include <inttypes.h>
#include <stdio.h>

#include "common/base/rng.h"
#include "common/model/modality_internal.h"

static const float *pixels_of(const struct modality *m, const struct batch *batch)
{
    return batch->part == NULL ? NULL : batch->part[m->part].values;
}

/* Pixel (y, x) of the moved image is (y + down, x + right), or the nearest on the edge. */
static void move(const struct schema_part *p, const float *from, int down, int right, float *to)
{
    const int H = (int)p->height;
    const int W = (int)p->width;
    for (int y = 0; y < H; y++) {
        const int row = y + down < 0 ? 0 : y + down >= H ? H - 1 : y + down;
        for (int x = 0; x < W; x++) {
            const int column = x + right < 0 ? 0 : x + right >= W ? W - 1 : x + right;
            to[y * W + x] = from[row * W + column];
        }
    }
}

/* While training each image is somewhere else in each step, by the coins of its patient: a function of
 * one record, like dropout. */
static const float *moved_pixels(const struct modality *m, struct tape *t,
                                 const struct batch *batch)
{
    const size_t n = m->layout.height * m->layout.width;
    if (m->shift == 0 || !batch->training) {
        return pixels_of(m, batch);
    }
    float *to = (float *)(void *)tape_bytes(t, t->B * n * sizeof *to);
    for (size_t b = 0; to != NULL && b < t->B; b++) {
        struct rng r;
        char stream[48];
        const size_t places = 2 * m->shift + 1;
        (void)snprintf(stream, sizeof stream, "shift %016" PRIx64, batch->sample[b]);
        rng_init(&r, batch->coins, stream);
        const int down = (int)rng_below(&r, places) - (int)m->shift;
        const int right = (int)rng_below(&r, places) - (int)m->shift;
        move(&m->layout, pixels_of(m, batch) + b * n, down, right, to + b * n);
    }
    return to;
}

/* W x + b where the widths differ. */
static enum rc fit_declare(struct modality *m, struct param_table *table, const char *name,
                           size_t from, struct error *err)
{
    return from == m->width
               ? RC_OK
               : encoder_linear_declare(table, name, "out", m->width, from, &m->out, err);
}

static struct node *fit_record(const struct modality *m, struct tape *t, struct node *h,
                               size_t from)
{
    return from == m->width ? h : encoder_linear_record(&m->out, t, h);
}

/* Three stages of a quarter of the width, half of it and all of it. */
static enum rc cnn_of(struct modality *m, struct param_table *table, const char *name,
                      const struct study_model *spec, struct error *err)
{
    const size_t first = m->width / 4 < 4 ? 4 : m->width / 4 / 4 * 4;
    const struct cnn_spec s = {
        .channels = m->layout.channels, .first = first, .stages = 3, .groups = 4};
    (void)spec;
    const enum rc rc = cnn_declare(&m->cnn, table, name, &s, err);
    return rc == RC_OK ? fit_declare(m, table, name, cnn_width(&s), err) : rc;
}

static struct node *image_of(const struct modality *m, struct tape *t, const struct batch *batch)
{
    return tape_input_shaped(t, moved_pixels(m, t, batch), 3,
                             (size_t[]){m->layout.height, m->layout.width, m->layout.channels});
}

static struct node *cnn_of_record(const struct modality *m, struct tape *t,
                                  const struct batch *batch, const struct tape_dropout *drop)
{
    struct node *h = cnn_record(&m->cnn, t, image_of(m, t, batch));
    return encoder_drop(t, fit_record(m, t, h, cnn_width(&m->cnn.spec)), drop);
}

static struct encoder_positions cnn_of_positions(const struct modality *m, struct tape *t,
                                                 const struct batch *batch,
                                                 const struct tape_dropout *drop)
{
    struct node *h = cnn_record_cells(&m->cnn, t, image_of(m, t, batch));
    h = fit_record(m, t, h, cnn_width(&m->cnn.spec));
    return (struct encoder_positions){.x = encoder_drop(t, h, drop)};
}

static size_t cells(const struct modality *m)
{
    return cnn_cells(&m->cnn.spec, m->layout.height, m->layout.width);
}

/* The largest square, of at most a quarter of the side, that divides both sides. */
static size_t patch_of(size_t height, size_t width)
{
    size_t p = (height < width ? height : width) / 4;
    while (p > 1 && (height % p != 0 || width % p != 0)) {
        p--;
    }
    return p < 1 ? 1 : p;
}

static enum rc vit_of(struct modality *m, struct param_table *table, const char *name,
                      const struct study_model *spec, struct error *err)
{
    m->vit = (struct vit){.height = m->layout.height,
                          .width = m->layout.width,
                          .channels = m->layout.channels,
                          .patch = patch_of(m->layout.height, m->layout.width),
                          .body = modality_body(spec)};
    return vit_declare(table, name, &m->vit, err);
}

static struct node *vit_of_record(const struct modality *m, struct tape *t,
                                  const struct batch *batch, const struct tape_dropout *drop)
{
    const struct encoder_image x = {.pixels = moved_pixels(m, t, batch)};
    return vit_record(&m->vit, t, &x, drop);
}

static struct encoder_positions vit_of_positions(const struct modality *m, struct tape *t,
                                                 const struct batch *batch,
                                                 const struct tape_dropout *drop)
{
    const struct encoder_image x = {.pixels = moved_pixels(m, t, batch)};
    return vit_positions(&m->vit, t, &x, drop);
}

static size_t patches(const struct modality *m)
{
    return vit_patches(&m->vit);
}

const struct modality_kind MODALITY_IMAGE[] = {
    {"cnn", cnn_of, cnn_of_record, cnn_of_positions, cells},
    {"vit", vit_of, vit_of_record, vit_of_positions, patches},
    {.word = NULL},
};
