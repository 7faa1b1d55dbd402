/**
 * @file conv_tile_body.h
 * The tile's text, compiled by conv_tile.c once for each instruction set. Before each inclusion:
 * TILE_TARGET (attribute), TILE_NAME(f) (the version's name of f), TILE_BYTES (of a vector), TILE_P (rows).
 * No include guard, on purpose.
 */
#define TILE_LANES (TILE_BYTES / sizeof(real))
typedef real TILE_NAME(vec)
    __attribute__((vector_size(TILE_BYTES), aligned(sizeof(real)), may_alias));

/* V vectors of columns; P*V sums, V of w and one of x must fit the registers. */
TILE_TARGET static inline __attribute__((always_inline)) void
TILE_NAME(sums)(const struct tile_job *job, const size_t V)
{
    TILE_NAME(vec) sum[TILE_P][2] = {{{0}}};
    const real *x[TILE_P];
    for (size_t p = 0; p < TILE_P; p++) {
        x[p] = job->x[p];
    }
    for (size_t r = 0; r < job->runs; r++) {
        const real *w = job->w + r * job->w_run;
        for (size_t at = 0; at < job->run * job->x_step; at += job->x_step) {
            for (size_t v = 0; v < V; v++) {
                const TILE_NAME(vec) w_v = *(const TILE_NAME(vec) *)(w + v * TILE_LANES);
                for (size_t p = 0; p < TILE_P; p++) {
                    sum[p][v] += x[p][at] * w_v;
                }
            }
            w += job->w_step;
        }
        for (size_t p = 0; p < TILE_P; p++) {
            x[p] += job->x_run;
        }
    }
    for (size_t p = 0; p < TILE_P; p++) {
        if (p >= job->n) {
            continue;
        }
        real *y = job->y[p];
        if (job->O == V * TILE_LANES) {
            for (size_t v = 0; v < V; v++) {
                TILE_NAME(vec) *y_v = (TILE_NAME(vec) *)(y + v * TILE_LANES);
                if (job->add) {
                    *y_v += sum[p][v];
                } else {
                    *y_v = sum[p][v];
                }
            }
        } else { /* through memory: an index into `sum` itself would keep it out of the registers */
            real whole[2 * TILE_LANES] = {0};
            for (size_t v = 0; v < V; v++) {
                *(TILE_NAME(vec) *)(whole + v * TILE_LANES) = sum[p][v];
            }
            for (size_t o = 0; o < job->O; o++) {
                y[o] = job->add ? y[o] + whole[o] : whole[o];
            }
        }
    }
}

TILE_TARGET static void TILE_NAME(run)(const struct tile_job *job)
{
    if (job->O <= TILE_LANES) {
        TILE_NAME(sums)(job, 1);
    } else {
        TILE_NAME(sums)(job, 2);
    }
}
#undef TILE_LANES
