/** @file sandbox_internal.h The two mechanisms: files.c and calls.c. */
#ifndef AGENT_SANDBOX_SANDBOX_INTERNAL_H
#define AGENT_SANDBOX_SANDBOX_INTERNAL_H

#include "agent/sandbox/sandbox.h"

/** Landlock. *abi = 0: this kernel has none, and nothing was done. */
RC sandbox_restrict_files(const struct sandbox_rules *rules, int *abi, struct error *err);
/** Seccomp. *there = false: this kernel has none, and nothing was done. */
RC sandbox_restrict_calls(bool network, bool *there, struct error *err);

#endif
