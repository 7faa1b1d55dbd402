#include "common/kernel/conv.h"

#include <assert.h>
#include <string.h>

#include "common/kernel/conv_tile_internal.h"

bool conv_fits(const struct conv_shape *s)
{
    const bool sizes = s->H > 0 && s->W > 0 && s->C > 0 && s->O > 0 && s->KH > 0 && s->KW > 0;
    const bool steps = s->stride >= 1 && s->dilation >= 1 && (s->stride == 1 || s->dilation == 1);
    return sizes && steps && s->top + s->H + s->bottom >= (s->KH - 1) * s->dilation + 1 &&
           s->left + s->W + s->right >= s->KW;
}

size_t conv_out_height(const struct conv_shape *s)
{
    return (s->top + s->H + s->bottom - (s->KH - 1) * s->dilation - 1) / s->stride + 1;
}

size_t conv_out_width(const struct conv_shape *s)
{
    return (s->left + s->W + s->right - s->KW) / s->stride + 1;
}

static size_t up(size_t n)
{
    return (n + TILE_ALIGN - 1) / TILE_ALIGN * TILE_ALIGN;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* ---- the padded sample ----------------------------------------------------------------------- */

/* Some [H, W, C] amid zeros: [top + H + bottom, left + W + right, pitch]. */
struct frame {
    size_t H, W, C, pitch;
    size_t top, bottom, left, right;
};

static size_t frame_row(const struct frame *f)
{
    return (f->left + f->W + f->right) * f->pitch;
}

static size_t frame_size(const struct frame *f)
{
    return (f->top + f->H + f->bottom) * frame_row(f);
}

static struct frame frame_of_x(const struct conv_shape *s)
{
    return (struct frame){s->H, s->W, s->C, s->C, s->top, s->bottom, s->left, s->right};
}

/* dy with room for every tap that reaches over its edge: rows -(KH - 1)*dilation .. (top + H - 1)/stride. */
static struct frame frame_of_dy(const struct conv_shape *s)
{
    const size_t OH = conv_out_height(s);
    const size_t OW = conv_out_width(s);
    const size_t need_h = (s->top + s->H - 1) / s->stride + 1;
    const size_t need_w = (s->left + s->W - 1) / s->stride + 1;
    return (struct frame){.H = OH,
                          .W = OW,
                          .C = s->O,
                          .pitch = up(s->O),
                          .top = (s->KH - 1) * s->dilation,
                          .bottom = need_h > OH ? need_h - OH : 0,
                          .left = s->KW - 1,
                          .right = need_w > OW ? need_w - OW : 0};
}

static void frame_fill(real *restrict to, const real *restrict from, const struct frame *f)
{
    const size_t row = frame_row(f);
    for (size_t i = 0; i < f->H; i++) {
        real *to_i = to + (f->top + i) * row + f->left * f->pitch; /* [W, pitch] */
        const real *from_i = from + i * f->W * f->C;               /* [W, C] */
        if (f->pitch == f->C) {
            memcpy(to_i, from_i, f->W * f->C * sizeof *to);
            continue;
        }
        for (size_t j = 0; j < f->W; j++) {
            memcpy(to_i + j * f->pitch, from_i + j * f->C, f->C * sizeof *to);
        }
    }
}

/* ---- tiles over a grid of positions ---------------------------------------------------------- */

/* One use of the tile for every position (i, j) < (rows, cols) and all O columns. */
struct sweep {
    size_t rows, cols;
    const real *x;
    size_t x_row, x_col; /* from one position to the next */
    real *y;
    size_t y_row, y_col;
    const real *w;
    size_t O;
};

static void sweep_tiles(const struct tile *tile, struct tile_job job, const struct sweep *g)
{
    const size_t n = g->rows * g->cols;
    for (size_t o = 0; o < g->O; o += tile->cols) {
        job.O = g->O - o < tile->cols ? g->O - o : tile->cols;
        job.w = g->w + o;
        size_t i = 0;
        size_t j = 0;
        for (size_t at = 0; at < n; at += tile->rows) {
            job.n = n - at < tile->rows ? n - at : tile->rows;
            for (size_t p = 0; p < tile->rows; p++) {
                job.x[p] = g->x + i * g->x_row + j * g->x_col;
                job.y[p] = g->y + i * g->y_row + j * g->y_col + o;
                if (p + 1 < job.n || job.n == tile->rows) { /* a short group repeats its last */
                    j++;
                    i += j == g->cols;
                    j = j == g->cols ? 0 : j;
                }
            }
            tile->run(&job);
        }
    }
}

/* ---- forward --------------------------------------------------------------------------------- */

void conv_forward(real *restrict y, const real *restrict x, const real *restrict w,
                  const struct conv_shape *s, size_t B, real *restrict scratch)
{
    assert(conv_fits(s));
    const struct tile *tile = tile_variant(0);
    const struct frame f = frame_of_x(s);
    const size_t K = s->KH * s->KW * s->C;
    const size_t OH = conv_out_height(s);
    const size_t OW = conv_out_width(s);
    real *packed = scratch;            /* [K, up(O)] */
    real *x_b = packed + K * up(s->O); /* [frame] */
    memset(scratch, 0, (K * up(s->O) + frame_size(&f)) * sizeof *scratch);
    for (size_t o = 0; o < s->O; o++) {
        for (size_t k = 0; k < K; k++) {
            packed[k * up(s->O) + o] = w[o * K + k];
        }
    }
    const struct tile_job job = {.runs = s->KH,
                                 .run = s->KW * s->C,
                                 .x_run = s->dilation * frame_row(&f),
                                 .x_step = 1,
                                 .w_run = s->KW * s->C * up(s->O),
                                 .w_step = up(s->O)};
    for (size_t b = 0; b < B; b++) {
        frame_fill(x_b, x + b * s->H * s->W * s->C, &f);
        const struct sweep g = {.rows = OH,
                                .cols = OW,
                                .x = x_b,
                                .x_row = s->stride * frame_row(&f),
                                .x_col = s->stride * s->C,
                                .y = y + b * OH * OW * s->O,
                                .y_row = OW * s->O,
                                .y_col = s->O,
                                .w = packed,
                                .O = s->O};
        sweep_tiles(tile, job, &g);
    }
}

/* ---- input gradient -------------------------------------------------------------------------- */

/* Along one axis: the padded rows P = stride*q + r of the input, and the taps k = r + stride*a that meet
 * them, at output i = q - a*dilation. */
struct phase {
    size_t taps;  /* a < taps */
    size_t first; /* the first such row of x */
    size_t count; /* how many */
    size_t at; /* its q, less the reach of the taps: where the window starts in the frame of dy */
};

static struct phase phase_of(size_t r, size_t K, size_t size, size_t before, size_t stride,
                             size_t dilation)
{
    struct phase p = {0};
    if (r >= K) {
        return p;
    }
    p.taps = (K - r + stride - 1) / stride;
    p.first = (r + stride - before % stride) % stride;
    p.count = p.first < size ? (size - p.first + stride - 1) / stride : 0;
    p.at = (p.first + before) / stride + (K - 1) * dilation - (p.taps - 1) * dilation;
    return p;
}

/* The taps of one phase, last first, as a panel [taps_h, taps_w, up(O), up(C)]. */
static void pack_phase(real *restrict packed, const real *restrict w, const struct conv_shape *s,
                       size_t r_h, size_t r_w, size_t taps_h, size_t taps_w)
{
    for (size_t a = 0; a < taps_h * taps_w; a++) {
        const size_t ky = r_h + s->stride * (taps_h - 1 - a / taps_w);
        const size_t kx = r_w + s->stride * (taps_w - 1 - a % taps_w);
        for (size_t o = 0; o < s->O; o++) {
            memcpy(packed + (a * up(s->O) + o) * up(s->C),
                   w + ((o * s->KH + ky) * s->KW + kx) * s->C, s->C * sizeof *w);
        }
    }
}

static void input(real *restrict dx, const real *restrict dy, const real *restrict w,
                  const struct conv_shape *s, size_t B, bool add, real *restrict scratch)
{
    assert(conv_fits(s));
    const struct tile *tile = tile_variant(0);
    const struct frame f = frame_of_dy(s);
    const size_t row = frame_row(&f);
    const size_t size_y = f.H * f.W * f.C;
    real *dy_b = scratch;                 /* [frame] */
    real *packed = dy_b + frame_size(&f); /* [KH*KW, up(O), up(C)], phase after phase */
    memset(scratch, 0, (frame_size(&f) + s->KH * s->KW * up(s->O) * up(s->C)) * sizeof *scratch);
    for (size_t b = 0; b < B; b++) {
        frame_fill(dy_b, dy + b * size_y, &f);
        real *panel = packed;
        for (size_t r = 0; r < s->stride * s->stride; r++) {
            const size_t r_h = r / s->stride;
            const size_t r_w = r % s->stride;
            const struct phase h = phase_of(r_h, s->KH, s->H, s->top, s->stride, s->dilation);
            const struct phase v = phase_of(r_w, s->KW, s->W, s->left, s->stride, 1);
            if (b == 0) {
                pack_phase(panel, w, s, r_h, r_w, h.taps, v.taps);
            }
            const struct tile_job job = {.runs = h.taps,
                                         .run = v.taps * f.pitch,
                                         .x_run = s->dilation * row,
                                         .x_step = 1,
                                         .w_run = v.taps * f.pitch * up(s->C),
                                         .w_step = up(s->C),
                                         .add = add};
            const struct sweep g = {.rows = h.taps * v.taps == 0 ? 0 : h.count,
                                    .cols = v.count,
                                    .x = dy_b + h.at * row + v.at * f.pitch,
                                    .x_row = row,
                                    .x_col = f.pitch,
                                    .y = dx + ((b * s->H + h.first) * s->W + v.first) * s->C,
                                    .y_row = s->stride * s->W * s->C,
                                    .y_col = s->stride * s->C,
                                    .w = panel,
                                    .O = s->C};
            sweep_tiles(tile, job, &g);
            panel += h.taps * v.taps * up(s->O) * up(s->C);
        }
    }
}

void conv_backward_input(real *restrict dx, const real *restrict dy, const real *restrict w,
                         const struct conv_shape *s, size_t B, real *restrict scratch)
{
    input(dx, dy, w, s, B, true, scratch);
}

void conv_backward_input_set(real *restrict dx, const real *restrict dy, const real *restrict w,
                             const struct conv_shape *s, size_t B, real *restrict scratch)
{
    if (s->stride > s->KH || s->stride > s->KW) { /* pixels that no window sees */
        memset(dx, 0, B * s->H * s->W * s->C * sizeof *dx);
    }
    input(dx, dy, w, s, B, false, scratch);
}

/* ---- weight gradient ------------------------------------------------------------------------- */

/* to [K, O] (+)= x_b's windows times dy_b; sum: one `to` for all samples. */
static void weights(real *restrict to, const real *restrict dy, const real *restrict x,
                    const struct conv_shape *s, size_t B, bool sum, real *restrict scratch)
{
    assert(conv_fits(s));
    const struct tile *tile = tile_variant(0);
    const struct frame f = frame_of_x(s);
    const size_t K = s->KH * s->KW * s->C;
    const struct frame rows = {conv_out_height(s), conv_out_width(s), s->O, up(s->O), 0, 0, 0, 0};
    real *x_b = scratch;               /* [frame] */
    real *dy_b = x_b + frame_size(&f); /* [OH, OW, up(O)], where the rows of dy are too narrow */
    memset(scratch, 0, (frame_size(&f) + frame_size(&rows)) * sizeof *scratch);
    const struct tile_job job = {.runs = rows.H,
                                 .run = rows.W,
                                 .x_run = s->stride * frame_row(&f),
                                 .x_step = s->stride * s->C,
                                 .w_run = rows.W * rows.pitch,
                                 .w_step = rows.pitch,
                                 .add = sum};
    for (size_t b = 0; b < B; b++) {
        const real *from = dy + b * rows.H * rows.W * rows.C;
        frame_fill(x_b, x + b * s->H * s->W * s->C, &f);
        if (rows.pitch != rows.C) {
            frame_fill(dy_b, from, &rows);
        }
        const struct sweep g = {.rows = s->KH,
                                .cols = s->KW * s->C,
                                .x = x_b,
                                .x_row = s->dilation * frame_row(&f),
                                .x_col = 1,
                                .y = to + (sum ? 0 : b * K * s->O),
                                .y_row = s->KW * s->C * s->O,
                                .y_col = s->O,
                                .w = rows.pitch != rows.C ? dy_b : from,
                                .O = s->O};
        sweep_tiles(tile, job, &g);
    }
}

void conv_weight_each(real *restrict each, const real *restrict dy, const real *restrict x,
                      const struct conv_shape *s, size_t B, real *restrict scratch)
{
    weights(each, dy, x, s, B, false, scratch);
}

void conv_weight_add(real *restrict dw, const real *restrict kept, const struct conv_shape *s)
{
    const size_t K = s->KH * s->KW * s->C;
    for (size_t o = 0; o < s->O; o++) {
        for (size_t k = 0; k < K; k++) {
            dw[o * K + k] += kept[k * s->O + o];
        }
    }
}

void conv_weight_sum(real *restrict dw, const real *restrict dy, const real *restrict x,
                     const struct conv_shape *s, size_t B, real *restrict scratch)
{
    real *kept = scratch; /* [K, O] */
    const size_t size = s->KH * s->KW * s->C * s->O;
    memset(kept, 0, size * sizeof *kept);
    weights(kept, dy, x, s, B, true, scratch + size);
    conv_weight_add(dw, kept, s);
}

size_t conv_scratch(const struct conv_shape *s)
{
    const struct frame x = frame_of_x(s);
    const struct frame dy = frame_of_dy(s);
    const size_t taps = s->KH * s->KW;
    const size_t rows = conv_out_height(s) * conv_out_width(s) * up(s->O);
    const size_t forward = taps * s->C * up(s->O) + frame_size(&x);
    const size_t input = frame_size(&dy) + taps * up(s->O) * up(s->C);
    const size_t weight = taps * s->C * s->O + frame_size(&x) + rows;
    return larger(forward, larger(input, weight));
}
