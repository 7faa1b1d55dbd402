/* abort: a person wants a study to stop. A wish in the registry; `run` carries it out. */
#include <stdio.h>

#include "aggregator/app/folder.h"
#include "aggregator/app/words.h"
#include "common/base/clock.h"

enum rc command_abort(const struct words *w, enum verdict *verdict, struct config_issues *issues,
                      struct error *err)
{
    struct folder f = {0};
    struct registry *r = NULL;
    bool running = false;
    int64_t pid = 0;

    (void)verdict;
    enum rc rc = folder_open(w->folder, &f, issues, err);
    if (rc == RC_OK) {
        rc = folder_registry(&f, &r, err);
    }
    if (rc == RC_OK) {
        rc = registry_request_abort(r, w->arg, w->reason, clock_wall_ms(), err);
    }
    registry_close(&r);
    if (rc == RC_OK) {
        rc = folder_running(&f, &running, &pid, err);
    }
    if (rc == RC_OK) {
        (void)printf("study '%s' is to stop: %s\n", w->arg,
                     running ? "the running aggregator sees it within a second and tells the sites"
                             : "no aggregator runs here; the next `run` of it tells the sites");
    }
    return rc;
}
