/* How long the accountant takes for each row of a table with columns q, sigma, T, delta: medians of a few
 * runs.   build/bin/bench_accountant ../shared/reference/accounting_reference.csv */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/accountant/accountant.h"
#include "tests/bench/bench_words.h"

enum { ROWS = 256, RUNS = 5 };

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, by_size);
    return x[n / 2];
}

int main(int argc, char **argv)
{
    bench_help(argc, argv,
               "bench_accountant TABLE: milliseconds of the accountant for each row of a table "
               "(columns q, sigma, T,\n"
               "delta), median of a few runs\n"
               "  bench_accountant ../shared/reference/accounting_reference.csv\n");
    char line[4096];
    double each[ROWS];
    size_t n = 0;
    FILE *f = argc == 2 ? fopen(argv[1], "rbe") : NULL;
    if (f == NULL || fgets(line, sizeof line, f) == NULL) {
        (void)fprintf(stderr, "bench_accountant: name a table that can be read, with columns "
                              "q, sigma, T, delta first\n");
        return 2;
    }
    (void)printf("%8s %8s %10s %14s %10s\n", "q", "sigma", "steps", "epsilon", "ms");
    while (n < ROWS && fgets(line, sizeof line, f) != NULL) {
        double column[4] = {0};
        double run[RUNS];
        double epsilon = 0.0;
        char *at = line;
        for (size_t i = 0; i < 4; i++) {
            column[i] = strtod(at, &at);
            at += *at == ',';
        }
        const struct mechanism m = {.q = column[0],
                                    .sigma = column[1],
                                    .steps = (uint64_t)column[2]};
        for (size_t i = 0; i < RUNS; i++) {
            const double begun = now_ms();
            epsilon = accountant_epsilon(&m, 1, column[3]);
            run[i] = now_ms() - begun;
        }
        each[n] = median(run, RUNS);
        (void)printf("%8g %8g %10.0f %14.8g %10.2f\n", m.q, m.sigma, column[2], epsilon, each[n]);
        n++;
    }
    (void)fclose(f);
    if (n > 0) {
        const double middle = median(each, n);
        (void)printf("%zu rows, median %.2f ms, worst %.1f ms\n", n, middle, each[n - 1]);
    }
    return 0;
}
