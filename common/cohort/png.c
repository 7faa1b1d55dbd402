/*
 * One PNG -> grey bytes of the public size. 8 bits stay as they are; fewer are spread to 0 … 255. Of 16
 * bits the image's own darkest and brightest value become 0 and 255, since most hold 10 to 14 bits: a
 * function of one record. Colour, palette and transparency are refused: what they would mean as grey
 * is not ours to guess.
 */
#include <assert.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "common/cohort/cohort_internal.h"

enum { PNG_SIDE_MAX = 8192 };

/* ---- another size --------------------------------------------------------------------------- */

/* Which inputs make up output `i` of `N` along one axis of `n`, and how much of each. */
static size_t area_span(size_t i, size_t n, size_t N, size_t *first, double *from, double *to)
{
    *from = (double)i * (double)n / (double)N;
    *to = (double)(i + 1) * (double)n / (double)N;
    *first = (size_t)*from;
    size_t last = (size_t)ceil(*to);
    last = last > n ? n : last;
    return last - *first;
}

/* The mean of what [from, to) covers of a line whose values are `step` apart. */
static double area_at(const float *line, size_t step, size_t i, size_t n, size_t N)
{
    double from;
    double to;
    size_t first;
    const size_t count = area_span(i, n, N, &first, &from, &to);
    double sum = 0;
    for (size_t k = first; k < first + count; k++) {
        const double low = from > (double)k ? from : (double)k;
        const double high = to < (double)(k + 1) ? to : (double)(k + 1);
        sum += (high - low) * (double)line[k * step];
    }
    return sum / (to - from);
}

/* Between the two nearest centres; at the border the last. */
static double bilinear_at(const float *line, size_t step, size_t i, size_t n, size_t N)
{
    double x = ((double)i + 0.5) * (double)n / (double)N - 0.5;
    x = x < 0 ? 0 : x > (double)(n - 1) ? (double)(n - 1) : x;
    const size_t k = (size_t)x;
    const double part = x - (double)k;
    const double here = (double)line[k * step];
    return k + 1 < n ? here + part * ((double)line[(k + 1) * step] - here) : here;
}

void image_resize(enum schema_resize how, const float *from, size_t h, size_t w, float *to,
                  size_t H, size_t W, float *spare)
{
    double (*const at)(const float *, size_t, size_t, size_t, size_t) =
        how == SCHEMA_RESIZE_AREA ? area_at : bilinear_at;
    for (size_t y = 0; y < h; y++) {
        for (size_t X = 0; X < W; X++) {
            spare[y * W + X] = (float)at(from + y * w, 1, X, w, W);
        }
    }
    for (size_t Y = 0; Y < H; Y++) {
        for (size_t X = 0; X < W; X++) {
            to[Y * W + X] = (float)at(spare + X, W, Y, h, H);
        }
    }
}

/* ---- libpng --------------------------------------------------------------------------------- */

struct source {
    jmp_buf failed;
    const unsigned char *data;
    size_t left;
    const char *why;
};

static _Noreturn void on_error(png_structp png, png_const_charp message)
{
    struct source *s = png_get_error_ptr(png);
    (void)message; /* it may quote the file */
    if (s->why == NULL) {
        s->why = "a damaged PNG: copy it again";
    }
    longjmp(s->failed, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void read_bytes(png_structp png, png_bytep to, size_t n)
{
    struct source *s = png_get_io_ptr(png);
    if (n > s->left) {
        s->why = "a PNG that ends too early: copy it again";
        png_error(png, "end");
    }
    memcpy(to, s->data, n);
    s->data += n;
    s->left -= n;
}

/* What longjmp must find unchanged stands in a struct, not in registers. */
struct decoded {
    png_structp png;
    png_infop info;
    unsigned char *rows;
    png_bytep *row;
    size_t height, width;
    bool wide; /* 16 bits */
};

static void decoded_release(struct decoded *d, size_t n)
{
    png_destroy_read_struct(&d->png, &d->info, NULL);
    if (d->rows != NULL) {
        hash_wipe(d->rows, n);
    }
    free(d->rows);
    free(d->row);
}

static size_t row_bytes(const struct decoded *d)
{
    return d->width * (d->wide ? 2 : 1);
}

/* Everything that may jump. @return false: s->why, or no memory where that is NULL */
static bool decode(struct source *s, struct decoded *d)
{
    if (setjmp(s->failed) != 0) {
        return false;
    }
    png_set_read_fn(d->png, s, read_bytes);
    png_set_user_limits(d->png, PNG_SIDE_MAX, PNG_SIDE_MAX);
    png_set_chunk_malloc_max(d->png, 1 << 20);
    png_read_info(d->png, d->info);
    if (png_get_color_type(d->png, d->info) != PNG_COLOR_TYPE_GRAY ||
        png_get_valid(d->png, d->info, PNG_INFO_tRNS) != 0) {
        s->why = "not a grey PNG without transparency: convert it";
        return false;
    }
    d->wide = png_get_bit_depth(d->png, d->info) == 16;
    png_set_expand_gray_1_2_4_to_8(d->png);
    (void)png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
    d->height = png_get_image_height(d->png, d->info);
    d->width = png_get_image_width(d->png, d->info);
    assert(png_get_rowbytes(d->png, d->info) == row_bytes(d));
    d->rows = calloc(d->height, row_bytes(d));
    d->row = calloc(d->height, sizeof *d->row);
    if (d->rows == NULL || d->row == NULL) {
        s->why = NULL;
        return false;
    }
    for (size_t y = 0; y < d->height; y++) {
        d->row[y] = d->rows + y * row_bytes(d);
    }
    png_read_image(d->png, d->row);
    png_read_end(d->png, NULL);
    return true;
}

static float grey(const struct decoded *d, size_t i)
{
    return d->wide ? (float)(256 * d->rows[2 * i] + d->rows[2 * i + 1]) : (float)d->rows[i];
}

/* @param value [height * width] @param spare [d->height * width] */
static void to_bytes(const struct schema_image *image, const struct decoded *d, float *from,
                     float *value, float *spare, unsigned char *pixels)
{
    const size_t n = image->height * image->width;
    for (size_t i = 0; i < d->height * d->width; i++) {
        from[i] = grey(d, i);
    }
    if (d->height == image->height && d->width == image->width) {
        memcpy(value, from, n * sizeof *value);
    } else {
        image_resize(image->resize, from, d->height, d->width, value, image->height, image->width,
                     spare);
    }
    float low = 0;
    float high = 255;
    if (d->wide) {
        low = high = value[0];
        for (size_t i = 1; i < n; i++) {
            low = value[i] < low ? value[i] : low;
            high = value[i] > high ? value[i] : high;
        }
    }
    for (size_t i = 0; i < n; i++) {
        const float part = high > low ? (value[i] - low) / (high - low) : 0.0F;
        pixels[i] = (unsigned char)lrintf(255.0F * part);
    }
}

static RC use(const struct schema_image *image, const struct decoded *d, unsigned char *pixels,
              struct error *err)
{
    struct arena memory = {0};
    const size_t n = image->height * image->width;
    const size_t n_from = d->height * d->width;
    if (image->resize == SCHEMA_RESIZE_REFUSE &&
        (d->height != image->height || d->width != image->width)) {
        return error_set(err, RC_INVALID,
                         "%zu x %zu pixels, want %zu x %zu; cut it to that, or say `resize: area`",
                         d->height, d->width, image->height, image->width);
    }
    const enum rc rc = arena_init(&memory,
                                  arena_cost(n_from, sizeof(float)) + arena_cost(n, sizeof(float)) +
                                      arena_cost(d->height * image->width, sizeof(float)),
                                  err);
    if (rc != RC_OK) {
        return rc;
    }
    float *from = arena_take(&memory, n_from, sizeof(float));
    float *value = arena_take(&memory, n, sizeof(float));
    float *spare = arena_take(&memory, d->height * image->width, sizeof(float));
    to_bytes(image, d, from, value, spare, pixels);
    arena_wipe(&memory);
    arena_release(&memory);
    return RC_OK;
}

enum rc png_read(const struct schema_image *image, const void *data, size_t n,
                 unsigned char *pixels, struct error *err)
{
    struct source s = {.data = data, .left = n};
    struct decoded d = {0};
    enum rc rc;
    if (n < 8 || png_sig_cmp(data, 0, 8) != 0) {
        return error_set(err, RC_INVALID, "not a PNG");
    }
    d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &s, on_error, on_warning);
    d.info = d.png != NULL ? png_create_info_struct(d.png) : NULL;
    if (d.info == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory to read a PNG");
    } else if (!decode(&s, &d)) {
        rc = s.why != NULL ? error_set(err, RC_INVALID, "%s", s.why)
                           : error_set(err, RC_NOMEM, "no memory to read a PNG");
    } else {
        rc = use(image, &d, pixels, err);
    }
    decoded_release(&d, d.rows != NULL ? d.height * row_bytes(&d) : 0);
    return rc;
}
