#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/schema/schema.h"

static const char *skip_digits(const char *s)
{
    return s + strspn(s, "0123456789");
}

/* strtod alone would take nan, inf, 0x1p3 and leading spaces. */
static bool is_decimal(const char *s)
{
    s += *s == '+' || *s == '-';
    const char *end = skip_digits(s);
    size_t n_digits = (size_t)(end - s);
    if (*end == '.') {
        s = end + 1;
        end = skip_digits(s);
        n_digits += (size_t)(end - s);
    }
    if (n_digits == 0) {
        return false;
    }
    if (*end == 'e' || *end == 'E') {
        s = end + 1;
        s += *s == '+' || *s == '-';
        end = skip_digits(s);
        if (end == s) {
            return false;
        }
    }
    return *end == '\0';
}

bool schema_number(const char *text, double *out)
{
    if (!is_decimal(text)) {
        return false;
    }
    char *end;
    const double x = strtod(text, &end); /* too small for a double: the nearest, as it should be */
    if (*end != '\0' || !isfinite(x)) {  /* a locale with another decimal sign; 1e999 */
        return false;
    }
    *out = x;
    return true;
}

bool schema_same(const char *a, const char *b)
{
    double x;
    double y;
    if (strcmp(a, b) == 0) {
        return true;
    }
    return schema_number(a, &x) && schema_number(b, &y) && !(x < y || x > y);
}
