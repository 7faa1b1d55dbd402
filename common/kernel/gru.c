#include "common/kernel/gru.h"

#include <string.h>

#include "common/kernel/curve.h"
#include "common/kernel/linear_internal.h"
#include "common/kernel/wide.h"

static size_t steps(const int32_t *length, size_t b, size_t T)
{
    return length == NULL ? T : (size_t)length[b];
}

/* One sample, one step: p [3H] from W x + b to r, z, n; q [3H] holds U h + d. */
WIDE static void unit_forward(real *restrict h, real *restrict p, const real *restrict q,
                              const real *restrict h_before, size_t H)
{
    for (size_t j = 0; j < 2 * H; j++) {
        p[j] = curve_sigmoid(p[j] + q[j]);
    }
    for (size_t j = 0; j < H; j++) {
        const real n = curve_tanh(p[2 * H + j] + p[j] * q[2 * H + j]);
        p[2 * H + j] = n;
        h[j] = n + p[H + j] * (h_before[j] - n);
    }
}

/* p and q become the gradients of the two sums. back [H]: what came from later steps in, what goes
 * to the step before without passing U out. */
WIDE static void unit_backward(real *restrict p, real *restrict q, real *restrict back,
                               const real *restrict dh, const real *restrict h_before, size_t H)
{
    for (size_t j = 0; j < H; j++) {
        const real r = p[j];
        const real z = p[H + j];
        const real n = p[2 * H + j];
        const real d = dh[j] + back[j];
        const real dn = d * (1 - z) * (1 - n * n);
        const real dz = d * (h_before[j] - n) * z * (1 - z);
        const real dr = dn * q[2 * H + j] * r * (1 - r);
        p[j] = dr;
        q[j] = dr;
        p[H + j] = dz;
        q[H + j] = dz;
        p[2 * H + j] = dn;
        q[2 * H + j] = dn * r;
        back[j] = d * z;
    }
}

/* Rows for the steps there are; zeros where the sequence has ended, and for what h will fill. */
static void lay_out(real *restrict a, real *restrict e, real *restrict p, real *restrict q,
                    const real *restrict x, const real *restrict b, const real *restrict d,
                    const int32_t *length, size_t B, size_t T, size_t D, size_t H)
{
    memset(e, 0, B * T * H * sizeof *e);
    for (size_t n = 0; n < B; n++) {
        const size_t L = steps(length, n, T);
        memcpy(a + n * T * D, x + n * T * D, L * D * sizeof *a);
        memset(a + (n * T + L) * D, 0, (T - L) * D * sizeof *a);
        for (size_t t = 0; t < L; t++) {
            memcpy(p + (n * T + t) * 3 * H, b, 3 * H * sizeof *p);
            memcpy(q + (n * T + t) * 3 * H, d, 3 * H * sizeof *q);
        }
        memset(p + (n * T + L) * 3 * H, 0, (T - L) * 3 * H * sizeof *p);
        memset(q + (n * T + L) * 3 * H, 0, (T - L) * 3 * H * sizeof *q);
    }
}

void gru_forward(real *restrict h, real *restrict a, real *restrict e, real *restrict p,
                 real *restrict q, const real *restrict x, const real *restrict w,
                 const real *restrict u, const real *restrict b, const real *restrict d,
                 const int32_t *restrict length, size_t B, size_t T, size_t D, size_t H)
{
    const size_t G = 3 * H;
    lay_out(a, e, p, q, x, b, d, length, B, T, D, H);
    product_nt(B * T, G, D, a, D, w, D, p, G); /* all steps' inputs at once */
    for (size_t t = 0; t < T; t++) {
        if (t > 0) {
            product_nt(B, G, H, e + t * H, T * H, u, H, q + t * G, T * G);
        }
        for (size_t n = 0; n < B; n++) {
            const size_t at = n * T + t;
            if (t >= steps(length, n, T)) {
                memset(h + at * H, 0, H * sizeof *h);
                continue;
            }
            unit_forward(h + at * H, p + at * G, q + at * G, e + at * H, H);
            if (t + 1 < steps(length, n, T)) {
                memcpy(e + (at + 1) * H, h + at * H, H * sizeof *e);
            }
        }
    }
}

void gru_forward_plain(real *restrict h, const real *restrict x, const real *restrict w,
                       const real *restrict u, const real *restrict b, const real *restrict d,
                       const int32_t *restrict length, size_t B, size_t T, size_t D, size_t H)
{
    memset(h, 0, B * T * H * sizeof *h);
    for (size_t m = 0; m < B; m++) {
        for (size_t t = 0; t < steps(length, m, T); t++) {
            const size_t at = m * T + t;
            for (size_t j = 0; j < H; j++) {
                real in[3]; /* r, z, n */
                real back[3];
                for (size_t k = 0; k < 3; k++) {
                    in[k] = b[k * H + j];
                    back[k] = d[k * H + j];
                    for (size_t i = 0; i < D; i++) {
                        in[k] += w[(k * H + j) * D + i] * x[at * D + i];
                    }
                    for (size_t i = 0; t > 0 && i < H; i++) {
                        back[k] += u[(k * H + j) * H + i] * h[(at - 1) * H + i];
                    }
                }
                const real r = curve_sigmoid(in[0] + back[0]);
                const real z = curve_sigmoid(in[1] + back[1]);
                const real n = curve_tanh(in[2] + r * back[2]);
                const real before = t == 0 ? 0 : h[(at - 1) * H + j];
                h[at * H + j] = (1 - z) * n + z * before;
            }
        }
    }
}

void gru_backward(real *restrict dx, real *restrict p, real *restrict q, real *restrict back,
                  const real *restrict dh, const real *restrict e, const real *restrict w,
                  const real *restrict u, const int32_t *restrict length, size_t B, size_t T,
                  size_t D, size_t H)
{
    const size_t G = 3 * H;
    memset(back, 0, B * H * sizeof *back);
    for (size_t t = T; t-- > 0;) {
        for (size_t n = 0; n < B; n++) {
            const size_t at = n * T + t;
            if (t < steps(length, n, T)) { /* p and q are zero beyond it already */
                unit_backward(p + at * G, q + at * G, back + n * H, dh + at * H, e + at * H, H);
            }
        }
        if (t > 0) { /* U^T dq_t */
            product_nn(B, H, G, q + t * G, T * G, u, H, back, H);
        }
    }
    if (dx != NULL) {
        product_nn(B * T, D, G, p, G, w, D, dx, D);
    }
}
