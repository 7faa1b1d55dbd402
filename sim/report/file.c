#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/report/report_internal.h"

enum rc report_temp_name(char temp[REPORT_PATH_MAX], const char *path, struct error *err)
{
    const int n = snprintf(temp, REPORT_PATH_MAX, "%s.tmp.%ld", path, (long)getpid());
    if (n < 0 || n >= REPORT_PATH_MAX) {
        return error_set(err, RC_LIMIT, "the path '%.60s…' is too long to write to", path);
    }
    return RC_OK;
}

enum rc report_file_open(struct report_file *file, const char *path, struct error *err)
{
    assert(file->f == NULL);
    const enum rc rc = report_temp_name(file->temp, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    (void)snprintf(file->path, sizeof file->path, "%s", path); /* shorter than temp */
    file->f = fopen(file->temp, "we");
    if (file->f == NULL) {
        return error_set(err, RC_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    return RC_OK;
}

enum rc report_file_commit(struct report_file *file, struct error *err)
{
    assert(file->f != NULL);
    /* A full disk shows at any of these; the first reason is the one to tell. */
    int reason = ferror(file->f) != 0 ? EIO : 0;
    if (fflush(file->f) != 0 && reason == 0) {
        reason = errno;
    }
    if (reason == 0 && fsync(fileno(file->f)) != 0) {
        reason = errno;
    }
    if (fclose(file->f) != 0 && reason == 0) {
        reason = errno;
    }
    file->f = NULL;
    if (reason == 0 && rename(file->temp, file->path) != 0) {
        reason = errno;
    }
    if (reason != 0) {
        (void)unlink(file->temp);
        return error_set(err, RC_IO, "cannot write '%s': %s", file->path, strerror(reason));
    }
    return RC_OK;
}

void report_number(char out[REPORT_NUMBER_MAX], double x)
{
    if (isnan(x)) {
        out[0] = '\0';
        return;
    }
    if (isinf(x)) {
        (void)snprintf(out, REPORT_NUMBER_MAX, "%s", x > 0.0 ? "inf" : "-inf");
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(out, REPORT_NUMBER_MAX, "%.*g", digits, x);
        const double back = strtod(out, NULL);
        if (memcmp(&back, &x, sizeof x) == 0) {
            return;
        }
    }
}

void report_csv_number(FILE *f, double x, char after)
{
    char text[REPORT_NUMBER_MAX];
    report_number(text, x);
    (void)fprintf(f, "%s%c", text, after);
}

void report_csv_text(FILE *f, const char *text, char after)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        (void)fprintf(f, "%s%c", text, after);
        return;
    }
    (void)fputc('"', f);
    for (; *text != '\0'; text++) {
        if (*text == '"') {
            (void)fputc('"', f);
        }
        (void)fputc(*text, f);
    }
    (void)fprintf(f, "\"%c", after);
}

void report_file_abandon(struct report_file *file)
{
    assert(file->f != NULL);
    (void)fclose(file->f);
    file->f = NULL;
    (void)unlink(file->temp);
}
