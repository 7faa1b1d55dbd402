#include "tests/support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

uint64_t seed_of_run(void)
{
    const char *given = getenv("WARDROUND_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 20261128;
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}
