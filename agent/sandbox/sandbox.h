/**
 * @file sandbox.h
 * What a process may still do after it has said what it needs: files by Landlock (Linux 5.13),
 * system calls by seccomp (libseccomp), no new privileges, no core dumps, not traceable. Where the
 * kernel lacks one of them the answer says so, and the program says it loudly. Home of <seccomp.h>
 * and <linux/landlock.h>.
 */
#ifndef AGENT_SANDBOX_SANDBOX_H
#define AGENT_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"

enum { SANDBOX_PATHS_MAX = 32 };

/** Paths are files or folders with everything below them; one that does not exist is skipped. */
struct sandbox_rules {
    size_t n_read, n_write;
    const char *read[SANDBOX_PATHS_MAX];  /**< open and list */
    const char *write[SANDBOX_PATHS_MAX]; /**< also create, change, remove */
    bool network; /**< internet sockets, for the gateway; without it no socket of any kind can be
                       made, bound or connected (those already open work on) */
};

/** What was achieved. */
struct sandbox_state {
    bool files, calls;
    char sentence
        [200]; /**< "files by Landlock (ABI 7), system calls by seccomp", or what is missing */
};

/** At the very start of any process that will hold secrets or patients: no core dumps (rlimit and
 *  PR_SET_DUMPABLE 0), no new privileges, umask 077, dies with its parent if `with_parent`. */
RC sandbox_harden(bool with_parent, struct error *err);

/**
 * For this thread and its later children; before any other thread is started. Cannot be undone.
 * @retval RC_IO the kernel has the mechanism and refused it: the program must stop
 */
RC sandbox_enter(const struct sandbox_rules *rules, struct sandbox_state *out, struct error *err);

#endif
