#include "aggregator/app/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum rc report_print(json_t *object, struct error *err)
{
    if (object == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the JSON object");
    }
    const int failed = json_dumpf(object, stdout, JSON_INDENT(2));
    json_decref(object);
    if (failed != 0 || fputc('\n', stdout) == EOF || fflush(stdout) != 0) {
        return error_set(err, RC_IO, "cannot write to stdout: %s", strerror(errno));
    }
    return RC_OK;
}

json_t *report_count(uint64_t n)
{
    return json_integer((json_int_t)n);
}

json_t *report_hash(const struct hash *h)
{
    char hex[HASH_HEX];
    hash_hex(h, hex);
    return json_string(hex);
}

void report_time(int64_t at_ms, char out[REPORT_TIME])
{
    const time_t at = (time_t)(at_ms / 1000);
    struct tm tm = {0};
    out[0] = '\0';
    if (gmtime_r(&at, &tm) != NULL) {
        (void)strftime(out, REPORT_TIME, "%Y-%m-%d %H:%M UTC", &tm);
    }
}
