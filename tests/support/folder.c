#include "tests/support/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

int folder_make(const char *name, char folder[FOLDER_PATH_MAX])
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(folder, FOLDER_PATH_MAX, "%s/%s-XXXXXX", base != NULL ? base : "/tmp", name);
    return mkdtemp(folder) != NULL ? 0 : -1;
}

const char *folder_file(const char *folder, const char *name)
{
    static char path[4][2 * FOLDER_PATH_MAX];
    static size_t turn;
    char *p = path[turn++ % 4];
    (void)snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

size_t folder_read(const char *path, char *text, size_t room)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    const size_t n = fread(text, 1, room - 1, f);
    assert_true(n < room - 1);
    text[n] = '\0';
    (void)fclose(f);
    return n;
}
