#include "common/kernel/lstm.h"

#include <string.h>

#include "common/kernel/curve.h"
#include "common/kernel/linear_internal.h"
#include "common/kernel/wide.h"

static size_t steps(const int32_t *length, size_t b, size_t T)
{
    return length == NULL ? T : (size_t)length[b];
}

/* One sample, one step. z [4H]: sums in, gates out. c_before NULL: zeros. */
WIDE static void cell_forward(real *restrict h, real *restrict c, real *restrict z,
                              const real *restrict c_before, size_t H)
{
    real *i = z;
    real *f = z + H;
    real *g = z + 2 * H;
    real *o = z + 3 * H;
    for (size_t j = 0; j < 2 * H; j++) {
        z[j] = curve_sigmoid(z[j]);
    }
    for (size_t j = 0; j < H; j++) {
        g[j] = curve_tanh(g[j]);
        o[j] = curve_sigmoid(o[j]);
    }
    for (size_t j = 0; j < H; j++) {
        c[j] = i[j] * g[j] + (c_before == NULL ? 0 : f[j] * c_before[j]);
    }
    for (size_t j = 0; j < H; j++) {
        h[j] = o[j] * curve_tanh(c[j]);
    }
}

/* z: gates in, gradient of their sums out. dc [H]: that of c_t in, of c_{t-1} out. dh [H] is the
 * outputs' gradient, back [H] what came from later steps. */
WIDE static void cell_backward(real *restrict z, real *restrict dc, const real *restrict dh,
                               const real *restrict back, const real *restrict c,
                               const real *restrict c_before, size_t H)
{
    for (size_t j = 0; j < H; j++) {
        const real i = z[j];
        const real f = z[H + j];
        const real g = z[2 * H + j];
        const real o = z[3 * H + j];
        const real s = curve_tanh(c[j]);
        const real e = dh[j] + back[j];
        const real d = dc[j] + e * o * (1 - s * s);
        z[j] = d * g * i * (1 - i);
        z[H + j] = c_before == NULL ? 0 : d * c_before[j] * f * (1 - f);
        z[2 * H + j] = d * i * (1 - g * g);
        z[3 * H + j] = e * s * o * (1 - o);
        dc[j] = d * f;
    }
}

/* a = (x_t; room for h_{t-1}) and z = b, zero where the sequence has ended. */
static void lay_out(real *restrict a, real *restrict z, const real *restrict x,
                    const real *restrict b, const int32_t *length, size_t B, size_t T, size_t D,
                    size_t H)
{
    for (size_t n = 0; n < B; n++) {
        const size_t L = steps(length, n, T);
        for (size_t t = 0; t < L; t++) {
            real *a_t = a + (n * T + t) * (D + H); /* [D + H] */
            memcpy(a_t, x + (n * T + t) * D, D * sizeof *a);
            memset(a_t + D, 0, H * sizeof *a);
            memcpy(z + (n * T + t) * 4 * H, b, 4 * H * sizeof *z);
        }
        memset(a + (n * T + L) * (D + H), 0, (T - L) * (D + H) * sizeof *a);
        memset(z + (n * T + L) * 4 * H, 0, (T - L) * 4 * H * sizeof *z);
    }
}

void lstm_forward(real *restrict h, real *restrict a, real *restrict z, real *restrict c,
                  const real *restrict x, const real *restrict w, const real *restrict b,
                  const int32_t *restrict length, size_t B, size_t T, size_t D, size_t H)
{
    const size_t K = D + H;
    lay_out(a, z, x, b, length, B, T, D, H);
    product_nt(B * T, 4 * H, D, a, K, w, K, z, 4 * H); /* all steps' inputs at once */
    for (size_t t = 0; t < T; t++) {
        if (t > 0) {
            product_nt(B, 4 * H, H, a + t * K + D, T * K, w + D, K, z + t * 4 * H, T * 4 * H);
        }
        for (size_t n = 0; n < B; n++) {
            const size_t at = n * T + t;
            if (t >= steps(length, n, T)) {
                memset(h + at * H, 0, H * sizeof *h);
                memset(c + at * H, 0, H * sizeof *c);
                continue;
            }
            cell_forward(h + at * H, c + at * H, z + at * 4 * H, t == 0 ? NULL : c + (at - 1) * H,
                         H);
            if (t + 1 < steps(length, n, T)) {
                memcpy(a + (at + 1) * K + D, h + at * H, H * sizeof *a);
            }
        }
    }
}

void lstm_forward_plain(real *restrict h, real *restrict c, const real *restrict x,
                        const real *restrict w, const real *restrict b,
                        const int32_t *restrict length, size_t B, size_t T, size_t D, size_t H)
{
    memset(h, 0, B * T * H * sizeof *h);
    memset(c, 0, B * T * H * sizeof *c);
    for (size_t n = 0; n < B; n++) {
        for (size_t t = 0; t < steps(length, n, T); t++) {
            const size_t at = n * T + t;
            for (size_t j = 0; j < H; j++) {
                real sum[4]; /* i, f, g, o */
                for (size_t k = 0; k < 4; k++) {
                    const real *w_k = w + (k * H + j) * (D + H); /* [D + H] */
                    sum[k] = b[k * H + j];
                    for (size_t d = 0; d < D; d++) {
                        sum[k] += w_k[d] * x[at * D + d];
                    }
                    for (size_t e = 0; t > 0 && e < H; e++) {
                        sum[k] += w_k[D + e] * h[(at - 1) * H + e];
                    }
                }
                const real before = t == 0 ? 0 : c[(at - 1) * H + j];
                c[at * H + j] =
                    curve_sigmoid(sum[1]) * before + curve_sigmoid(sum[0]) * curve_tanh(sum[2]);
                h[at * H + j] = curve_sigmoid(sum[3]) * curve_tanh(c[at * H + j]);
            }
        }
    }
}

void lstm_backward(real *restrict dx, real *restrict z, real *restrict back,
                   const real *restrict dh, const real *restrict c, const real *restrict w,
                   const int32_t *restrict length, size_t B, size_t T, size_t D, size_t H)
{
    const size_t K = D + H;
    real *to_h = back;         /* [B, H] */
    real *to_c = back + B * H; /* [B, H] */
    memset(back, 0, 2 * B * H * sizeof *back);
    for (size_t t = T; t-- > 0;) {
        for (size_t n = 0; n < B; n++) {
            const size_t at = n * T + t;
            if (t < steps(length, n, T)) { /* z is zero beyond it already */
                cell_backward(z + at * 4 * H, to_c + n * H, dh + at * H, to_h + n * H, c + at * H,
                              t == 0 ? NULL : c + (at - 1) * H, H);
            }
        }
        if (t > 0) { /* W_h^T dz_t */
            memset(to_h, 0, B * H * sizeof *to_h);
            product_nn(B, H, 4 * H, z + t * 4 * H, T * 4 * H, w + D, K, to_h, H);
        }
    }
    if (dx != NULL) {
        product_nn(B * T, D, 4 * H, z, 4 * H, w, K, dx, D);
    }
}
