#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sweep/memory_internal.h"

/* The line of /proc/self/status that begins with `key`; its numbers are in kB. */
static size_t status(const char *key)
{
    char line[256];
    size_t bytes = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            bytes = (size_t)strtoull(line + strlen(key), NULL, 10) * 1024;
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return bytes;
}

size_t memory_now(void)
{
    return status("VmRSS:");
}

size_t memory_most(void)
{
    return status("VmHWM:");
}

void memory_watch(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "we");
    if (f != NULL) {
        (void)fputs("5", f);
        (void)fclose(f);
    }
}
