/* `keys`: what the hospital's own files may say, from the tables that they are read by. */
#include <stdio.h>

#include "agent/app/site.h"
#include "agent/app/words.h"

enum rc command_keys(const struct words *w, bool *yes, struct config_issues *issues,
                     struct error *err)
{
    (void)w;
    (void)yes;
    (void)issues;
    (void)err;
    (void)printf("# site.yaml\n");
    site_print_reference(stdout);
    (void)printf("\n# cohort.yaml\n");
    schema_print_reference(stdout);
    return RC_OK;
}
