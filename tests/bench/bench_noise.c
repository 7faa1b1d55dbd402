/* Noise in production form: round a sum to the grid, draw, round, add, scale. Millions of numbers a second on
 * one core, medians of several runs; and the plain way (one number at a time, libm) in the same run.
 *   build/bin/bench_noise [NUMBERS] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/dp/noise.h"
#include "tests/bench/bench_words.h"

enum { RUNS = 9 };

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void plainly(const double *S, size_t P, double gamma, double spread, struct entropy *e,
                    double *mean)
{
    const double two_pi = 2.0 * acos(-1.0);
    for (size_t i = 0; i + 1 < P; i += 2) {
        const double u = (double)((entropy_u64(e) >> 11) + 1) * 0x1p-53;
        const double v = (double)(entropy_u64(e) >> 11) * 0x1p-53;
        const double r = spread * sqrt(-2.0 * log(u));
        mean[i] = (double)(llround(S[i] / gamma) + llround(r * cos(two_pi * v))) * gamma;
        mean[i + 1] = (double)(llround(S[i + 1] / gamma) + llround(r * sin(two_pi * v))) * gamma;
    }
}

int main(int argc, char **argv)
{
    bench_help(argc, argv,
               "bench_noise [NUMBERS]: millions of noised numbers a second on one core, and the "
               "plain way beside\n"
               "  bench_noise 4000000\n");
    bench_words("bench_noise", argc, 1);
    const size_t P =
        argc > 1 ? bench_number("bench_noise", "NUMBERS", argv[1], 1, 1000000000) : 4000000;
    double *S = calloc(P + 2, sizeof *S);
    double *mean = calloc(P + 2, sizeof *mean);
    double seconds[2][RUNS];
    struct entropy e;
    struct error err = {0};
    if (S == NULL || mean == NULL || entropy_init(&e, &err) != RC_OK) {
        (void)fprintf(stderr, "bench_noise: no memory, or no randomness\n");
        return 1;
    }
    for (size_t i = 0; i < P; i++) {
        S[i] = sin((double)i);
    }
    for (size_t k = 0; k < RUNS; k++) {
        double begun = now();
        if (noise_release(S, P, 1.0, 1.1, 64.0, &e, mean, &err) != RC_OK) {
            (void)fprintf(stderr, "bench_noise: %s\n", err.text);
            return 1;
        }
        seconds[0][k] = now() - begun;
        begun = now();
        plainly(S, P, noise_grid(1.0), noise_deviation(1.0, 1.1, P) / noise_grid(1.0), &e, mean);
        seconds[1][k] = now() - begun;
    }
    for (size_t k = 0; k < 2; k++) {
        qsort(seconds[k], RUNS, sizeof seconds[k][0], by_size);
    }
    const double ours = (double)P / seconds[0][RUNS / 2] / 1e6;
    const double plain = (double)P / seconds[1][RUNS / 2] / 1e6;
    (void)printf("%zu numbers: %.1f million/s released, %.1f plainly; ratio %.2f\n", P, ours, plain,
                 ours / plain);
    entropy_release(&e);
    free(S);
    free(mean);
    return 0;
}
