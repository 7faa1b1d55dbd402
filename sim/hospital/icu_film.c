/*
 * A chest film, drawn. Coordinates x (the patient's left is right), y (down) in [-1, 1], moved and
 * scaled a little for each patient. With v a channel in its own deviations:
 *
 *     heart    an ellipse whose half axis is 0.26 (1 + 0.22 v_size)
 *     fluid    a level in the lower part of one lung, at y = 0.60 - 0.90 sigmoid(0.9 v_fluid - 0.8)
 *     grain    two gratings cross in both lungs, contrast 0.07 exp(0.65 v_grain), in any direction and
 *              phase: their mean over patients is zero at every pixel
 *     spot     a round shadow with a bright rim anywhere in the lung without fluid, depth
 *              0.3 exp(0.6 v_spot); its sum over pixels is zero
 *     habit    how bright soft tissue, the middle, air in each lung and the room behind are, ribs,
 *              exposure: the patient's own, and says nothing of the state; it is wide enough that no
 *              sum of pixels shows the grain through an image's own deviation, or the spot
 *
 * then the scanner: blur, contrast, noise, one byte a pixel.
 */
#include <math.h>
#include <string.h>

#include "sim/hospital/icu_internal.h"

static const double pi = 3.14159265358979323846;

struct picture {
    double dx, dy, scale;
    double side; /* -1, 1: of the fluid */
    double heart, level;
    double contrast, wave[2], angle[2], phase[2];
    double spot_x, spot_y, depth;
    double room, tissue, middle, air[2], rib_phase, exposure, gain;
};

/* 1 inside, 0 outside of an ellipse, `soft` wide at its edge. */
static double inside(double x, double y, double cx, double cy, double rx, double ry, double soft)
{
    const double d = sqrt((x - cx) * (x - cx) / (rx * rx) + (y - cy) * (y - cy) / (ry * ry));
    return hospital_sigmoid((1.0 - d) * fmin(rx, ry) / soft);
}

static struct picture picture_draw(struct rng *r, const struct icu_patient *p)
{
    const double age = p->film_age_h;
    const double v_size = icu_standard(ICU_HEART_SIZE, p->u[ICU_HEART_SIZE], age);
    const double v_fluid = icu_standard(ICU_FLUID, p->u[ICU_FLUID], age);
    const double v_grain = icu_standard(ICU_GRAIN, p->u[ICU_GRAIN], age);
    const double v_spot = icu_standard(ICU_SPOT, p->u[ICU_SPOT], age);
    struct picture s = {0};
    s.dx = 0.05 * rng_normal(r);
    s.dy = 0.05 * rng_normal(r);
    s.scale = 1.0 + 0.05 * rng_normal(r);
    s.side = rng_uniform(r) < 0.5 ? -1.0 : 1.0;
    s.heart = 0.26 * fmax(1.0 + 0.22 * v_size, 0.3);
    s.level = 0.60 - 0.90 * hospital_sigmoid(0.9 * v_fluid - 0.8);
    s.contrast = fmin(0.07 * exp(0.65 * v_grain), 0.4);
    for (size_t k = 0; k < 2; k++) {
        s.wave[k] = 2.0 * pi / (0.27 + 0.04 * rng_uniform(r));
    }
    s.angle[0] = pi * rng_uniform(r);
    s.angle[1] = s.angle[0] + pi / 2.0;
    for (size_t k = 0; k < 2; k++) {
        s.phase[k] = 2.0 * pi * rng_uniform(r);
    }
    s.depth = fmin(0.3 * exp(0.6 * v_spot), 1.0);
    s.spot_x = -s.side * (0.44 + 0.12 * (2.0 * rng_uniform(r) - 1.0));
    s.spot_y = -0.05 + 0.30 * (2.0 * rng_uniform(r) - 1.0);
    s.room = fmax(0.15 + 0.13 * rng_normal(r), 0.0);
    s.tissue = 0.60 + 0.06 * rng_normal(r);
    s.middle = 0.12 + 0.08 * rng_normal(r);
    s.air[0] = 0.28 + 0.07 * rng_normal(r);
    s.air[1] = 0.28 + 0.07 * rng_normal(r);
    s.rib_phase = 2.0 * pi * rng_uniform(r);
    s.exposure = 0.04 * rng_normal(r);
    s.gain = exp(0.10 * rng_normal(r));
    return s;
}

static double shade(const struct picture *s, double px, double py)
{
    const double x = (px - s->dx) / s->scale, y = (py - s->dy) / s->scale;
    const double chest = inside(x, y, 0.0, 0.1, 0.98, 1.15, 0.05);
    const double left = inside(x, y, 0.45, -0.08, 0.34, 0.70, 0.04);
    const double right = inside(x, y, -0.45, -0.08, 0.34, 0.70, 0.04);
    const double lung = left + right;
    double air = s->air[x > 0.0];
    air += 0.03 * sin(14.0 * (y + 0.35 * x * x) + s->rib_phase);
    for (size_t k = 0; k < 2; k++) {
        const double along = x * cos(s->angle[k]) + y * sin(s->angle[k]);
        air += s->contrast * sin(s->wave[k] * along + s->phase[k]);
    }
    const double d2 = (x - s->spot_x) * (x - s->spot_x) + (y - s->spot_y) * (y - s->spot_y);
    const double core =
        exp(-0.5 * d2 / (0.12 * 0.12)); /* half of it on twice the area has the same sum */
    air += s->depth * (core - 0.5 * sqrt(core));
    if (x * s->side > 0.0) { /* the fluid creeps up at the wall */
        const double top = s->level - 0.25 * fmax(x * s->side - 0.45, 0.0);
        const double wet = hospital_sigmoid((y - top) / 0.03);
        air += wet * (s->tissue - air);
    }
    double v = s->room + chest * (s->tissue - s->room);
    v += lung * (air - v);
    const double middle = inside(x, y, 0.0, 0.0, 0.13, 1.3, 0.04);
    const double heart = inside(x, y, 0.10, 0.28, s->heart, 0.30, 0.03);
    v += fmax(middle, heart) * (s->tissue + s->middle - v);
    return v;
}

/* By a Gaussian of `sigma` pixels along rows, then columns; the border repeats. */
static void blur(double *image, double *spare, size_t side, double sigma)
{
    double w[9], sum = 0.0;
    const ptrdiff_t reach = 4, n = (ptrdiff_t)side;
    if (sigma < 0.05) {
        return;
    }
    for (ptrdiff_t k = -reach; k <= reach; k++) {
        w[k + reach] = exp(-0.5 * (double)(k * k) / (sigma * sigma));
        sum += w[k + reach];
    }
    for (int pass = 0; pass < 2; pass++) {
        const ptrdiff_t step = pass == 0 ? 1 : n, line = pass == 0 ? n : 1;
        for (ptrdiff_t i = 0; i < n; i++) {
            for (ptrdiff_t j = 0; j < n; j++) {
                double mean = 0.0;
                for (ptrdiff_t k = -reach; k <= reach; k++) {
                    const ptrdiff_t at = j + k < 0 ? 0 : j + k >= n ? n - 1 : j + k;
                    mean += w[k + reach] * image[i * line + at * step];
                }
                spare[i * line + j * step] = mean / sum;
            }
        }
        memcpy(image, spare, side * side * sizeof *image);
    }
}

void icu_film_draw(struct rng *r, const struct icu_site *s, const struct icu_patient *p,
                   size_t side, unsigned char *pixel, double *spare)
{
    const struct picture picture = picture_draw(r, p);
    double *image = spare; /* [side, side] */
    for (size_t i = 0; i < side; i++) {
        for (size_t j = 0; j < side; j++) {
            image[i * side + j] = shade(&picture, (2.0 * (double)j + 1.0) / (double)side - 1.0,
                                        (2.0 * (double)i + 1.0) / (double)side - 1.0);
        }
    }
    blur(image, spare + side * side, side, s->blur * (double)side / 32.0);
    for (size_t i = 0; i < side * side; i++) {
        double v = 0.5 + picture.exposure + 0.85 * picture.gain * s->contrast * (image[i] - 0.45);
        v += s->noise * rng_normal(r);
        pixel[i] = (unsigned char)floor(255.0 * fmin(fmax(v, 0.0), 1.0) + 0.5);
    }
}
