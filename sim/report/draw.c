/* A picture by gnuplot, beside the script and the table that it is drawn from. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "sim/report/report_internal.h"

/* A gnuplot string in single quotes: nothing in it is expanded, '' is a quote. */
void draw_quoted(FILE *f, const char *text, size_t shown_max)
{
    size_t n = strlen(text);
    if (n > shown_max) { /* cut before a character, not inside one */
        n = shown_max;
        while (n > 0 && ((unsigned char)text[n] & 0xC0u) == 0x80u) {
            n--;
        }
    }
    (void)fputc('\'', f);
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)text[i];
        (void)fputc(c < 0x20 || c == 0x7F ? ' ' : text[i], f);
        if (text[i] == '\'') {
            (void)fputc('\'', f);
        }
    }
    (void)fprintf(f, "%s'", n < strlen(text) ? "…" : "");
}

enum rc draw_places_find(const char *path, struct draw_places *at, struct error *err)
{
    const char *slash = strrchr(path, '/');
    const size_t name = slash == NULL ? 0 : (size_t)(slash - path) + 1, n = strlen(path);
    if (n < name + 5 || strcmp(path + n - 4, ".svg") != 0) {
        return error_set(err, RC_INVALID, "the figure '%s' is not named with .svg at its end",
                         path);
    }
    char longest[REPORT_PATH_MAX];
    enum rc rc = report_temp_name(longest, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    const int folder = name > 0 ? (int)name : 2, stem = (int)n - 4;
    (void)snprintf(at->folder, sizeof at->folder, "%.*s", folder, name > 0 ? path : "./");
    (void)snprintf(at->script_path, sizeof at->script_path, "%.*s.gp", stem, path);
    (void)snprintf(at->data_path, sizeof at->data_path, "%.*s.csv", stem, path);
    (void)snprintf(at->data, sizeof at->data, "./%.*s", (int)(REPORT_PATH_MAX - 3),
                   at->data_path + name);
    at->script = at->script_path + name;
    at->picture = path + name;
    return RC_OK;
}

void draw_head(FILE *f, const struct draw_places *at, size_t width, size_t height)
{
    (void)fprintf(f, "set encoding utf8\nout = './' . ");
    draw_quoted(f, at->picture, SIZE_MAX);
    (void)fprintf(f,
                  "\nif (exists('ARG1')) { if (strlen(ARG1) > 0) { out = ARG1 } }\n"
                  "if (strstrt(out, '.png') > 0) {\n"
                  "    set terminal pngcairo size %zu,%zu font 'sans-serif,13' fontscale 1.5 "
                  "linewidth 2 pointscale 2 enhanced background rgb 'white'\n"
                  "} else {\n"
                  "    set terminal svg size %zu,%zu font 'sans-serif,13' enhanced "
                  "background rgb 'white'\n"
                  "}\n"
                  "set output out\n"
                  "set datafile separator comma\n"
                  "set datafile missing NaN\n"
                  "set border 3 lw 1 lc rgb '#404040'\n"
                  "set tics textcolor rgb '#202020'\n"
                  "set errorbars small\n"
                  "unset key\n",
                  2 * width, 2 * height, width, height);
}

static enum rc run(const struct draw_places *at, const char *path, struct error *err)
{
    char temp[REPORT_PATH_MAX];
    enum rc rc = report_temp_name(temp, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    const char *slash = strrchr(temp, '/');
    rc = report_gnuplot(at->folder, at->script, slash == NULL ? temp : slash + 1, err);
    if (rc == RC_OK && rename(temp, path) != 0) {
        rc = error_set(err, RC_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    if (rc != RC_OK) {
        (void)unlink(temp);
        rc = error_context(err, "figure '%s'", path);
    }
    return rc;
}

enum rc draw_run(const struct draw_places *at, const char *path, struct error *err)
{
    char png[REPORT_PATH_MAX];
    const enum rc rc = run(at, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    (void)snprintf(png, sizeof png, "%.*s.png", (int)strlen(path) - 4, path);
    return run(at, png, err);
}
