/* `keys`: what the coordinator's files may say, from the tables that they are read by. */
#include <stdio.h>

#include "aggregator/app/folder.h"
#include "aggregator/app/words.h"
#include "common/study/study.h"

enum rc command_keys(const struct words *w, enum verdict *verdict, struct config_issues *issues,
                     struct error *err)
{
    (void)w;
    (void)verdict;
    (void)issues;
    (void)err;
    (void)printf("# Study documents\n");
    study_print_reference(stdout);
    (void)printf("\n# aggregator.yaml\n");
    folder_print_reference(stdout);
    return RC_OK;
}
