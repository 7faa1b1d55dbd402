#include "agent/app/report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum rc report_print(json_t *object, struct error *err)
{
    if (object == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the JSON object");
    }
    const int failed = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(object);
    if (failed != 0 || fputc('\n', stdout) == EOF || fflush(stdout) != 0) {
        return error_set(err, RC_IO, "cannot write to stdout: %s", strerror(errno));
    }
    return RC_OK;
}

json_t *report_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}
