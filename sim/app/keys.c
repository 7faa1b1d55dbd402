#include "sim/app/keys.h"

#include <stdio.h>

#include <argp.h>

#include "sim/app/words.h"
#include "sim/sweep/sweep.h"

static const char doc[] =
    "Every key of a CONFIG, as Markdown tables: type, range, default, meaning.\v"
    "Examples:\n"
    "  wardround-sim keys | less\n"
    "  wardround-sim keys > keys.md\n"
    "\n"
    "Exit: 0 done, 1 failed, 2 wrong use.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    if (key == ARGP_KEY_ARG) {
        argp_error(state, "'%.40s' is one word too many: keys takes none", arg);
    }
    return key == ARGP_KEY_ARG ? 0 : ARGP_ERR_UNKNOWN;
}

static enum rc carry_out(void *words, struct config_issues *issues, struct error *err)
{
    (void)words;
    (void)issues;
    (void)err;
    (void)printf("# A simulation\n");
    sweep_print_reference(stdout);
    (void)printf("\n# `study`: a map in it, or a document of its own\n");
    study_print_reference(stdout);
    return RC_OK;
}

int keys_main(int argc, char **argv)
{
    static const struct argp argp = {NULL, parse, "", doc, NULL, NULL, NULL};
    const struct words_command command = {"keys", &argp, carry_out};
    return words_command(&command, argc, argv, NULL);
}
