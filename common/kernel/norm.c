#include "common/kernel/norm.h"

#include <tgmath.h>

void layer_norm_forward(real *restrict y, real *restrict xhat, real *restrict rstd,
                        const real *restrict x, const real *restrict gain,
                        const real *restrict shift, size_t N, size_t D)
{
    const double floor_var = 1e-5; /* keeps a constant row finite; PyTorch's default */
    for (size_t n = 0; n < N; n++) {
        const real *x_n = x + n * D; /* [D] */
        double mean = 0.0;
        double var = 0.0;
        for (size_t d = 0; d < D; d++) {
            mean += (double)x_n[d];
        }
        mean /= (double)D;
        for (size_t d = 0; d < D; d++) {
            const double c = (double)x_n[d] - mean;
            var += c * c;
        }
        const double r = 1.0 / sqrt(var / (double)D + floor_var);
        rstd[n] = (real)r;
        for (size_t d = 0; d < D; d++) {
            const real h = (real)(((double)x_n[d] - mean) * r);
            xhat[n * D + d] = h;
            y[n * D + d] = gain[d] * h + shift[d];
        }
    }
}

void layer_norm_backward_input(real *restrict dx, const real *restrict dy,
                               const real *restrict xhat, const real *restrict rstd,
                               const real *restrict gain, size_t N, size_t D)
{
    for (size_t n = 0; n < N; n++) {
        const real *dy_n = dy + n * D;  /* [D] */
        const real *h_n = xhat + n * D; /* [D] */
        /* with g = gain * dy:  dx = rstd (g - mean(g) - xhat mean(g xhat)) */
        double mean_g = 0.0;
        double mean_gh = 0.0;
        for (size_t d = 0; d < D; d++) {
            const double g = (double)gain[d] * (double)dy_n[d];
            mean_g += g;
            mean_gh += g * (double)h_n[d];
        }
        mean_g /= (double)D;
        mean_gh /= (double)D;
        for (size_t d = 0; d < D; d++) {
            const double g = (double)gain[d] * (double)dy_n[d];
            dx[n * D + d] += (real)((double)rstd[n] * (g - mean_g - (double)h_n[d] * mean_gh));
        }
    }
}
