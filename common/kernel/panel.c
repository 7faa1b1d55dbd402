#include <string.h>

#include "common/kernel/conv_tile_internal.h"
#include "common/kernel/panel_internal.h"

/* Columns of a panel's row. */
static size_t pitch(size_t O)
{
    return (O + TILE_ALIGN - 1) / TILE_ALIGN * TILE_ALIGN;
}

size_t panel_size(size_t K, size_t O)
{
    return K * pitch(O);
}

void panel_of_rows(real *restrict panel, const real *restrict w, size_t ld, size_t K, size_t O)
{
    for (size_t k = 0; k < K; k++) {
        memcpy(panel + k * pitch(O), w + k * ld, O * sizeof *panel);
        memset(panel + k * pitch(O) + O, 0, (pitch(O) - O) * sizeof *panel);
    }
}

void panel_of_columns(real *restrict panel, const real *restrict w, size_t ld, size_t K, size_t O)
{
    for (size_t k = 0; k < K; k++) {
        for (size_t o = 0; o < O; o++) {
            panel[k * pitch(O) + o] = w[o * ld + k];
        }
        memset(panel + k * pitch(O) + O, 0, (pitch(O) - O) * sizeof *panel);
    }
}

void panel_product(real *y, size_t ld, struct panel_left x, const real *panel, size_t N, size_t O,
                   size_t K, bool add)
{
    const struct tile *tile = tile_variant(0);
    struct tile_job job = {.runs = 1, .run = K, .x_step = x.step, .w_step = pitch(O), .add = add};
    for (size_t o = 0; o < O; o += tile->cols) {
        job.O = O - o < tile->cols ? O - o : tile->cols;
        job.w = panel + o;
        for (size_t n = 0; n < N; n += tile->rows) {
            job.n = N - n < tile->rows ? N - n : tile->rows;
            for (size_t p = 0; p < tile->rows; p++) {
                const size_t row =
                    n + (p < job.n ? p : job.n - 1); /* a short group repeats its last */
                job.x[p] = x.x + row * x.row;
                job.y[p] = y + row * ld + o;
            }
            tile->run(&job);
        }
    }
}
