#include "tests/support/reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void reference_open(struct reference *t, const char *name)
{
    const char *folder = getenv("WARDROUND_REFERENCE");
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : "../shared/reference",
                   name);
    t->file = fopen(path, "rbe");
    if (t->file == NULL) {
        print_message("no %s (WARDROUND_REFERENCE names its folder): not compared\n", name);
        skip();
    }
    assert_non_null(fgets(t->head, sizeof t->head, t->file));
}

void reference_close(struct reference *t)
{
    (void)fclose(t->file);
}

bool reference_next(struct reference *t)
{
    return fgets(t->line, sizeof t->line, t->file) != NULL;
}

/* The comma at the end of a cell; one between quotation marks is part of it. */
static const char *end_of_cell(const char *cell)
{
    bool quoted = false;
    while (*cell != '\0' && (quoted || *cell != ',')) {
        quoted = quoted != (*cell == '"');
        cell++;
    }
    return *cell == ',' ? cell : NULL;
}

double reference_number(const struct reference *t, const char *column)
{
    const char *head = t->head;
    const char *cell = t->line;
    const size_t length = strlen(column);
    while (strncmp(head, column, length) != 0 || strchr(",\r\n", head[length]) == NULL) {
        head = end_of_cell(head);
        cell = end_of_cell(cell);
        assert_non_null(head);
        assert_non_null(cell);
        head++;
        cell++;
    }
    char *end = NULL;
    const double x = strtod(cell, &end);
    return end == cell ? (double)NAN : x;
}
