#include "sim/app/progress.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"

void progress_init(struct progress *p, const char *what, bool quiet)
{
    *p = (struct progress){.what = what,
                           .terminal = isatty(STDERR_FILENO) == 1,
                           .quiet = quiet,
                           .begun_ms = clock_monotonic_ms()};
}

const char *progress_duration(double seconds, char text[32])
{
    const unsigned s = (unsigned)(seconds + 0.5);
    if (s >= 3600) {
        (void)snprintf(text, 32, "%u h %02u min", s / 3600, s / 60 % 60);
    } else if (s >= 60) {
        (void)snprintf(text, 32, "%u min %02u s", s / 60, s % 60);
    } else {
        (void)snprintf(text, 32, "%u s", s);
    }
    return text;
}

void progress_show(void *ctx, size_t done, size_t of)
{
    progress_show_left(ctx, done, of, (double)NAN);
}

void progress_show_left(void *ctx, size_t done, size_t of, double left_s)
{
    struct progress *p = ctx;
    char left[32];
    if (p->quiet || done == 0) {
        return;
    }
    if (isnan(left_s)) {
        const double spent = (double)(clock_monotonic_ms() - p->begun_ms) / 1000.0;
        left_s = spent * (double)(of - done) / (double)done;
    }
    (void)progress_duration(left_s, left);
    if (p->terminal) {
        enum { WIDTH = 40 };
        char bar[WIDTH + 1];
        for (size_t i = 0; i < WIDTH; i++) {
            bar[i] = i < done * WIDTH / of ? '#' : '.';
        }
        bar[WIDTH] = '\0';
        (void)fprintf(stderr, "\r[%s] %zu/%zu %s, %s left      ", bar, done, of, p->what, left);
        return;
    }
    const size_t tenths = done * 10 / of;
    if (tenths > p->tenths_said) {
        p->tenths_said = tenths;
        (void)fprintf(stderr, "progress: %zu of %zu %s, about %s left\n", done, of, p->what, left);
    }
}

void progress_end(struct progress *p)
{
    if (p->terminal && !p->quiet) {
        (void)fputc('\n', stderr);
    }
}
