/**
 * @file reference.h
 * Tables of other people's numbers, which live outside the repository: $WARDROUND_REFERENCE, else
 * ../shared/reference. Where one is absent the test is skipped and says so.
 */
#ifndef TESTS_SUPPORT_REFERENCE_H
#define TESTS_SUPPORT_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { REFERENCE_LINE = 2048 };

struct reference {
    FILE *file;
    char head[REFERENCE_LINE];
    char line[REFERENCE_LINE];
};

void reference_open(struct reference *t, const char *name);
void reference_close(struct reference *t);

/** The next row; false after the last. */
bool reference_next(struct reference *t);

/** A cell of the row by the name of its column, which must exist; NaN where it is no number. */
double reference_number(const struct reference *t, const char *column);

#endif
