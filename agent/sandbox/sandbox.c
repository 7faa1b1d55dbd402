#include "agent/sandbox/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent/sandbox/sandbox_internal.h"

static RC refused(const char *what, struct error *err)
{
    return error_set(err, RC_IO, "the system refuses %s: %s", what, strerror(errno));
}

enum rc sandbox_harden(bool with_parent, struct error *err)
{
    const struct rlimit none = {0, 0};

    (void)umask(077);
    if (setrlimit(RLIMIT_CORE, &none) != 0) {
        return refused("to forbid core dumps", err);
    }
    if (prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) != 0) {
        return refused("to forbid tracing", err);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0) {
        return refused("to forbid new privileges", err);
    }
    if (with_parent && prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL) != 0) {
        return refused("to end this process with its parent", err);
    }
    return RC_OK;
}

enum rc sandbox_enter(const struct sandbox_rules *rules, struct sandbox_state *out,
                      struct error *err)
{
    char files[100];
    int abi = 0;
    bool calls = false;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0) {
        return refused("to forbid new privileges", err);
    }
    enum rc rc = sandbox_restrict_files(rules, &abi, err);
    if (rc == RC_OK) {
        rc = sandbox_restrict_calls(rules->network, &calls, err);
    }
    if (rc != RC_OK) {
        return error_context(err, "sandbox");
    }
    out->files = abi > 0;
    out->calls = calls;
    if (out->files) {
        (void)snprintf(files, sizeof files, "files by Landlock (ABI %d)", abi);
    } else {
        (void)snprintf(files, sizeof files,
                       "files NOT restricted: this kernel has no Landlock (Linux 5.13 has)");
    }
    (void)snprintf(out->sentence, sizeof out->sentence, "%s, %s", files,
                   calls ? "system calls by seccomp"
                         : "system calls NOT restricted: this kernel has no seccomp filter");
    return RC_OK;
}
