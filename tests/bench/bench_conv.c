/* The three convolutions of the image benchmark (3x3, padding 1), one thread: forward, input gradient, weight
 * gradient kept per sample and summed, as GFLOP/s against the 1024^3 product of BLAS in the same run. Medians
 * of processor time: the neighbours on a shared machine do not count.
 *   build/bin/bench_conv [BATCH] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/kernel/conv.h"
#include "common/kernel/linear.h"
#include "tests/bench/bench_words.h"

enum { RUNS = 15, PEAK = 1024 };

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static real *filled(size_t n)
{
    real *v = malloc(n * sizeof *v);
    if (v == NULL) {
        (void)fprintf(stderr, "bench_conv: no memory\n");
        exit(1);
    }
    for (size_t i = 0; i < n; i++) {
        v[i] = (real)((double)(i * 2654435761u % 1000u) / 1000.0 - 0.5);
    }
    return v;
}

struct arrays {
    struct conv_shape s;
    size_t B;
    real *x, *y, *w, *each, *scratch;
};

static void forward(struct arrays *a)
{
    conv_forward(a->y, a->x, a->w, &a->s, a->B, a->scratch);
}

static void input(struct arrays *a)
{
    conv_backward_input(a->x, a->y, a->w, &a->s, a->B, a->scratch);
}

static void kept(struct arrays *a)
{
    conv_weight_each(a->each, a->y, a->x, &a->s, a->B, a->scratch);
}

static void summed(struct arrays *a)
{
    conv_weight_sum(a->each, a->y, a->x, &a->s, a->B, a->scratch);
}

static void product(struct arrays *a)
{
    linear_forward(a->y, a->x, a->w, NULL, PEAK, PEAK, PEAK);
}

static double seconds(void (*run)(struct arrays *), struct arrays *a)
{
    double s[RUNS];
    run(a); /* warm */
    for (size_t i = 0; i < RUNS; i++) {
        const double begun = now();
        run(a);
        s[i] = now() - begun;
    }
    qsort(s, RUNS, sizeof *s, by_size);
    return s[RUNS / 2];
}

int main(int argc, char **argv)
{
    bench_help(argc, argv,
               "bench_conv [BATCH]: three convolutions, forward and backward, against BLAS in the "
               "same run, as JSON\n"
               "  bench_conv 64\n");
    static const size_t size[3][3] = {{64, 1, 16}, {32, 16, 32}, {16, 32, 64}};
    static const struct {
        const char *name;
        void (*run)(struct arrays *);
    } part[4] = {{"forward", forward}, {"input", input}, {"each", kept}, {"sum", summed}};
    bench_words("bench_conv", argc, 1);
    const size_t B = argc > 1 ? bench_number("bench_conv", "BATCH", argv[1], 1, 65536) : 64;
    struct arrays p = {.x = filled((size_t)PEAK * PEAK),
                       .y = filled((size_t)PEAK * PEAK),
                       .w = filled((size_t)PEAK * PEAK)};
    const double peak = 2.0 * PEAK * PEAK * PEAK / seconds(product, &p) * 1e-9;
    (void)printf("{\"batch\":%zu,\"sgemm_peak_gflops\":%.1f,\"layers\":[", B, peak);
    for (size_t i = 0; i < 3; i++) {
        const struct conv_shape s = {size[i][0], size[i][0], size[i][1], size[i][2], 3, 3,
                                     1,          1,          1,          1,          1, 1};
        const size_t K = 9 * s.C;
        struct arrays a = {.s = s,
                           .B = B,
                           .x = filled(B * s.H * s.W * s.C),
                           .y = filled(B * s.H * s.W * s.O),
                           .w = filled(s.O * K),
                           .each = filled(B * s.O * K),
                           .scratch = filled(conv_scratch(&s))};
        const double flop = 2.0 * (double)(B * s.H * s.W * s.O * K);
        (void)printf("%s{\"shape\":\"%zux%zu, %zu to %zu\"", i > 0 ? "," : "", s.H, s.W, s.C, s.O);
        for (size_t k = 0; k < 4; k++) {
            const double t = seconds(part[k].run, &a);
            (void)printf(",\"%s\":{\"ms\":%.2f,\"gflops\":%.1f,\"of_peak\":%.2f}", part[k].name,
                         1e3 * t, flop / t * 1e-9, flop / t * 1e-9 / peak);
        }
        (void)printf("}");
        free(a.x);
        free(a.y);
        free(a.w);
        free(a.each);
        free(a.scratch);
    }
    (void)printf("]}\n");
    free(p.x);
    free(p.y);
    free(p.w);
    return 0;
}
