#include "common/kernel/norm.h"

#include <math.h>
#include <stdbool.h>

#include "common/kernel/wide.h"

/* Halves onto each other: four additions deep. */
WIDE_PART double add_lanes(double *lane)
{
    for (size_t half = LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++) {
            lane[l] += lane[l + half];
        }
    }
    return lane[0];
}

WIDE_PART double mean_of(const real *x, size_t D)
{
    double lane[LANES] = {0.0};
    size_t d = 0;
    for (; d + LANES <= D; d += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            lane[l] += (double)x[d + l];
        }
    }
    for (size_t l = 0; d + l < D; l++) {
        lane[l] += (double)x[d + l];
    }
    return add_lanes(lane) / (double)D;
}

WIDE_PART double variance_of(const real *x, double mean, size_t D)
{
    double lane[LANES] = {0.0};
    size_t d = 0;
    for (; d + LANES <= D; d += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            const double c = (double)x[d + l] - mean;
            lane[l] += c * c;
        }
    }
    for (size_t l = 0; d + l < D; l++) {
        const double c = (double)x[d + l] - mean;
        lane[l] += c * c;
    }
    return add_lanes(lane) / (double)D;
}

WIDE void layer_norm_forward(real *restrict y, real *restrict xhat, real *restrict rstd,
                             const real *restrict x, const real *restrict gain,
                             const real *restrict shift, size_t N, size_t D)
{
    const double floor_var = 1e-5; /* keeps a constant row finite; PyTorch's default */
    for (size_t n = 0; n < N; n++) {
        const real *x_n = x + n * D; /* [D] */
        real *h_n = xhat + n * D;    /* [D] */
        real *y_n = y + n * D;       /* [D] */
        const double mean = mean_of(x_n, D);
        const double r = 1.0 / sqrt(variance_of(x_n, mean, D) + floor_var);
        rstd[n] = (real)r;
        for (size_t d = 0; d < D; d++) {
            const real h = (real)(((double)x_n[d] - mean) * r);
            h_n[d] = h;
            y_n[d] = gain[d] * h + shift[d];
        }
    }
}

/* With g = gain * dy: the means of g and of g xhat. */
WIDE_PART void means(double *mean_g, double *mean_gh, const real *dy, const real *h,
                     const real *gain, size_t D)
{
    double lane_g[LANES] = {0.0};
    double lane_gh[LANES] = {0.0};
    size_t d = 0;
    for (; d + LANES <= D; d += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            const double g = (double)gain[d + l] * (double)dy[d + l];
            lane_g[l] += g;
            lane_gh[l] += g * (double)h[d + l];
        }
    }
    for (size_t l = 0; d + l < D; l++) {
        const double g = (double)gain[d + l] * (double)dy[d + l];
        lane_g[l] += g;
        lane_gh[l] += g * (double)h[d + l];
    }
    *mean_g = add_lanes(lane_g) / (double)D;
    *mean_gh = add_lanes(lane_gh) / (double)D;
}

WIDE_PART void backward(bool add, real *restrict dx, const real *restrict dy,
                        const real *restrict xhat, const real *restrict rstd,
                        const real *restrict gain, size_t N, size_t D)
{
    for (size_t n = 0; n < N; n++) {
        const real *dy_n = dy + n * D;  /* [D] */
        const real *h_n = xhat + n * D; /* [D] */
        real *dx_n = dx + n * D;        /* [D] */
        double mean_g;
        double mean_gh;
        means(&mean_g, &mean_gh, dy_n, h_n, gain, D);
        /* dx = rstd (g - mean(g) - xhat mean(g xhat)) */
        for (size_t d = 0; d < D; d++) {
            const double g = (double)gain[d] * (double)dy_n[d];
            const double dx_d = (double)rstd[n] * (g - mean_g - (double)h_n[d] * mean_gh);
            dx_n[d] = (add ? dx_n[d] : 0) + (real)dx_d;
        }
    }
}

WIDE void layer_norm_backward_input(real *restrict dx, const real *restrict dy,
                                    const real *restrict xhat, const real *restrict rstd,
                                    const real *restrict gain, size_t N, size_t D)
{
    backward(true, dx, dy, xhat, rstd, gain, N, D);
}

WIDE void layer_norm_backward_input_set(real *restrict dx, const real *restrict dy,
                                        const real *restrict xhat, const real *restrict rstd,
                                        const real *restrict gain, size_t N, size_t D)
{
    backward(false, dx, dy, xhat, rstd, gain, N, D);
}
