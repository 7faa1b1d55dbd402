/* One training step, plain and private: forward, backward, clip, update. Medians over steps, in ms.
 *
 *   build/bin/bench_train --model tab|ts|img|tx|multi [--mode plain|dp|both] [--batch B] [--physical B]
 *                         [--threads N] [--noise 0|1] [--steps N] [--clock cpu|wall] [--json]
 *
 * `plain` is what training without privacy does: the same recording and sweep, the sum of all
 * gradients by one product per weight, no norms. `both` takes the two in turns and prints both, so that
 * their ratio is of one run. On a busy machine --clock cpu with one thread is nearer to a quiet one's. gflops: 3 times the forward products, 2 operations a multiply-add; the
 * 1024^3 sgemm of one thread is measured before and after the steps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "common/base/rng.h"
#include "common/dp/noise.h"
#include "common/dp/slices.h"
#include "common/kernel/linear.h"
#include "tests/bench/bench_models.h"
#include "tests/bench/bench_words.h"

enum { STEPS_MAX = 2000, BATCH_MAX = 65536, WARM = 3, PEAKS = 8, SIDE = 1024 };

enum mode { PLAIN, DP, BOTH };

struct options {
    enum bench_kind model;
    enum mode mode;
    size_t batch, physical, threads, steps;
    bool noise, json;
};

struct work {
    struct bench_model model;
    struct bench_batch batch;
    struct slices *slices;
    struct entropy entropy;
    double *w, *sum, *mean; /* [P] */
    real *params;           /* [P] */
    bool noised;            /* this step: its mean is in `mean` */
    double divisor;         /* what `update` still divides by */
};

struct times {
    double step[STEPS_MAX], noise[STEPS_MAX];
    size_t n;
};

static clockid_t which_clock = CLOCK_MONOTONIC;

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(which_clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_size);
    return v[n / 2];
}

static void die(const char *why)
{
    (void)fprintf(stderr, "bench_train: %s\n", why);
    exit(1);
}

static void *reserve(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);
    if (p == NULL) {
        die("no memory");
    }
    return p;
}

/* ---- options --------------------------------------------------------------------------------- */

static void wrong_use(const char *flag, const char *word, const char *const *names, size_t n)
{
    (void)fprintf(stderr, "bench_train: %s'%.40s' is none of:", flag, word);
    for (size_t i = 0; i < n; i++) {
        (void)fprintf(stderr, " %s", names[i]);
    }
    (void)fputc('\n', stderr);
    exit(2);
}

static size_t choice(const char *flag, const char *word, const char *const *names, size_t n)
{
    size_t i = 0;
    while (i < n && strcmp(word, names[i]) != 0) {
        i++;
    }
    if (i == n) {
        wrong_use(flag, word, names, n);
    }
    return i;
}

static size_t number(const char *flag, const char *value, size_t least, size_t most)
{
    return bench_number("bench_train", flag, value, least, most);
}

static void set(struct options *o, const char *flag, const char *value)
{
    static const char *const modes[] = {"plain", "dp", "both"};
    static const char *const flags[] = {"--model", "--mode",  "--batch", "--physical", "--threads",
                                        "--noise", "--steps", "--clock", "--json"};
    static const char *const clocks[] = {"cpu", "wall"};
    const size_t which = choice("", flag, flags, 9);
    if (value == NULL) {
        (void)fprintf(stderr, "bench_train: %s wants a value\n", flag);
        exit(2);
    }
    switch (which) {
    case 0:
        o->model = (enum bench_kind)choice("--model ", value, bench_name, BENCH_KINDS);
        break;
    case 1:
        o->mode = (enum mode)choice("--mode ", value, modes, 3);
        break;
    case 2:
        o->batch = number(flag, value, 1, BATCH_MAX);
        break;
    case 3:
        o->physical = number(flag, value, 1, BATCH_MAX);
        break;
    case 4:
        o->threads = number(flag, value, 1, SLICES_THREADS_MAX);
        break;
    case 5:
        o->noise = number(flag, value, 0, 1) == 1;
        break;
    case 6:
        o->steps = number(flag, value, 1, STEPS_MAX);
        break;
    default:
        which_clock =
            choice("--clock ", value, clocks, 2) == 0 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    }
}

static struct options options(int argc, char **argv)
{
    struct options o = {.mode = PLAIN, .batch = 256, .threads = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            o.json = true;
        } else {
            set(&o, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
            i++;
        }
    }
    if (o.physical == 0) { /* small rows want more of them in a product */
        o.physical = o.model == BENCH_TAB ? 128 : 64;
    }
    if (o.steps == 0) {
        o.steps = o.model == BENCH_TAB ? 501 : 21;
    }
    return o;
}

/* ---- work ------------------------------------------------------------------------------------ */

static float *normals(struct rng *r, size_t n)
{
    float *v = reserve(n, sizeof *v);
    for (size_t i = 0; i < n; i++) {
        v[i] = (float)rng_normal(r);
    }
    return v;
}

static struct bench_batch invent(const struct bench_model *m, size_t B)
{
    struct rng r;
    rng_init(&r, 1, "bench_train");
    const bool all = m->kind == BENCH_MULTI;
    int32_t *words = reserve(B * TX_TOKENS, sizeof *words);
    for (size_t i = 0; i < B * TX_TOKENS; i++) {
        words[i] = (int32_t)rng_below(&r, TX_WORDS);
    }
    float *label = reserve(B, sizeof *label);
    for (size_t i = 0; i < B; i++) {
        label[i] = (float)rng_below(&r, 2);
    }
    return (struct bench_batch){
        .tab = normals(&r, all || m->kind == BENCH_TAB ? B * TAB_IN : 0),
        .ts = normals(&r, all || m->kind == BENCH_TS ? B * TS_STEPS * TS_IN : 0),
        .img = normals(&r, all || m->kind == BENCH_IMG ? B * IMG_SIDE * IMG_SIDE : 0),
        .words = words,
        .label = label};
}

static struct node *record(void *ctx, size_t thread, struct tape *t, size_t at)
{
    (void)thread;
    const struct work *k = ctx;
    return bench_model_loss(&k->model, t, &k->batch, at);
}

/* sgd at a rate that changes little, and an empty sum for the next step. */
static void update(void *ctx, size_t from, size_t to)
{
    const struct work *k = ctx;
    const double rate = 1e-3;
    const double divisor = k->divisor;
    const double *mean = k->noised ? k->mean : k->sum;
    double *restrict w = k->w;
    double *sum = k->sum;
    real *restrict params = k->params;
    for (size_t i = from; i < to; i++) {
        w[i] -= rate * (mean[i] / divisor);
        params[i] = (real)w[i];
        sum[i] = 0.0;
    }
}

/* Abadi et al. 2016, Alg. 1, with C = 1. */
static void step(struct work *k, const struct options *o, bool private, struct times *times)
{
    struct error err = {0};
    struct clip_counts counts = {0};
    const size_t P = k->model.table.P;
    double loss = 0.0;

    double begun = now();
    if (slices_accumulate(k->slices, k->params, o->batch, private ? 1.0 : 0.0, k->sum, &counts,
                          &loss, &err) != RC_OK) {
        die(err.text);
    }
    double spent = now() - begun;
    k->noised = private && o->noise;
    k->divisor = k->noised ? 1.0 : (double)o->batch;
    begun = now();
    if (k->noised) {
        if (noise_release(k->sum, P, 1.0, 1.0, (double)o->batch, &k->entropy, k->mean, &err) !=
            RC_OK) {
            die(err.text);
        }
        times->noise[times->n] = now() - begun;
        begun = now();
    }
    slices_ranges(k->slices, update, k, P);
    spent += now() - begun;
    times->step[times->n++] = spent;
    if (!isfinite(loss)) {
        die("the loss is not finite");
    }
}

/* ---- the machine ----------------------------------------------------------------------------- */

static void measure_peak(double *gflops, size_t n)
{
    real *a = reserve((size_t)SIDE * SIDE, sizeof *a);
    real *b = reserve((size_t)SIDE * SIDE, sizeof *b);
    real *c = reserve((size_t)SIDE * SIDE, sizeof *c);
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
        a[i] = (real)(i % 7) * (real)0.1;
        b[i] = (real)(i % 5) * (real)0.1;
    }
    linear_backward_input_set(c, a, b, SIDE, SIDE, SIDE); /* warm */
    for (size_t i = 0; i < n; i++) {
        const double begun = now();
        linear_backward_input_set(c, a, b, SIDE, SIDE, SIDE);
        gflops[i] = 2.0 * SIDE * SIDE * SIDE / (now() - begun) * 1e-9;
    }
    free(a);
    free(b);
    free(c);
}

static void report(const struct options *o, const struct bench_model *m, bool private,
                   struct times *t, double peak, const struct rusage *usage)
{
    const bool noised = private && o->noise;
    const double ms = 1e3 * median(t->step, t->n);
    const double noise_ms = noised ? 1e3 * median(t->noise, t->n) : 0.0;
    const double gflops = 6.0 * bench_model_products(m) * (double)o->batch / ms * 1e-6;
    const char *mode = private ? "dp" : "plain";
    const double rss = (double)usage->ru_maxrss / 1024.0;
    const double rate = (double)o->batch / ms * 1e3;
    if (!o->json) {
        (void)printf("%-5s %-5s batch %zu threads %zu: %.3f ms a step, noise %.3f ms, %.0f "
                     "samples/s, %.1f of %.1f Gflop/s (%.3f), %.1f MB\n",
                     bench_name[o->model], mode, o->batch, o->threads, ms, noise_ms, rate, gflops,
                     peak, gflops / peak, rss);
        return;
    }
    (void)printf("{\"model\":\"%s\",\"mode\":\"%s\",\"batch\":%zu,\"threads\":%zu,"
                 "\"ms_per_step\":%.4f,\"noise_ms\":%.4f,\"samples_per_s\":%.1f,"
                 "\"gflops\":%.2f,\"sgemm_peak_gflops\":%.2f,\"fraction_of_peak\":%.4f,"
                 "\"peak_rss_mb\":%.1f}\n",
                 bench_name[o->model], mode, o->batch, o->threads, ms, noise_ms, rate, gflops, peak,
                 gflops / peak, rss);
}

int main(int argc, char **argv)
{
    bench_help(argc, argv,
               "bench_train [--model tab|ts|img|tx|multi] [--mode plain|dp|both] [--batch B] "
               "[--physical B]\n"
               "[--threads N] [--noise 0|1] [--steps N] [--clock wall|cpu] [--json]: a training "
               "step's time\n"
               "  bench_train --model tab --mode both --batch 256 --json\n"
               "  bench_train --model multi --mode dp --batch 256 --threads 2 --noise 1\n");
    const struct options o = options(argc, argv);
    static struct times times[2];
    static double peaks[2 * PEAKS];
    struct error err = {0};
    static struct work k;
    if (bench_model_open(o.model, &k.model, &err) != RC_OK ||
        entropy_init(&k.entropy, &err) != RC_OK) {
        die(err.text);
    }
    const size_t P = k.model.table.P;
    k.batch = invent(&k.model, o.batch);
    k.w = reserve(P, sizeof *k.w);
    k.sum = reserve(P, sizeof *k.sum);
    k.mean = reserve(P, sizeof *k.mean);
    k.params = reserve(P, sizeof *k.params);
    param_init_values(&k.model.table, 1, k.params);
    for (size_t i = 0; i < P; i++) {
        k.w[i] = (double)k.params[i];
    }
    const struct slices_plan plan = {.table = &k.model.table,
                                     .physical = o.batch < o.physical ? o.batch : o.physical,
                                     .threads = o.threads,
                                     .record = record,
                                     .ctx = &k};
    if (slices_open(&plan, &k.slices, &err) != RC_OK) {
        die(err.text);
    }
    measure_peak(peaks, PEAKS);
    for (size_t i = 0; i < WARM + o.steps; i++) {
        if (i == WARM) {
            times[PLAIN].n = 0;
            times[DP].n = 0;
        }
        if (o.mode != DP) {
            step(&k, &o, false, &times[PLAIN]);
        }
        if (o.mode != PLAIN) {
            step(&k, &o, true, &times[DP]);
        }
    }
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    measure_peak(peaks + PEAKS, PEAKS);
    const double peak = median(peaks, 2 * (size_t)PEAKS);
    for (int mode = PLAIN; mode <= DP; mode++) {
        if (o.mode == BOTH || o.mode == (enum mode)mode) {
            report(&o, &k.model, mode == DP, &times[mode], peak, &usage);
        }
    }
    slices_close(&k.slices);
    entropy_release(&k.entropy);
    bench_model_release(&k.model);
    return 0;
}
