#include "common/base/words.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The program's name while argp has the say, else NULL: an exit handler takes no argument. */
static const char *parsing;

static void look_at_stdout(void)
{
    const bool failed = parsing != NULL && ferror(stdout) != 0;
    if (parsing != NULL && (fflush(stdout) != 0 || failed)) {
        (void)fprintf(stderr,
                      "%s: not all of this could be written to stdout: it is not complete\n",
                      parsing);
        _exit(EXIT_FAILURE);
    }
}

void words_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    if (atexit(look_at_stdout) != 0) {
        abort(); /* C promises room for 32 */
    }
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    parsing = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";
    (void)argp_parse(argp, argc, argv, 0, NULL, input);
    parsing = NULL;
}
