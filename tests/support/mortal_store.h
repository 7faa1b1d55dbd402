/**
 * @file mortal_store.h
 * A way to die on a store: the process kills itself (SIGKILL) before or after a chosen call into
 * common/store, or to a file of its own (fsync, rename). Programs that use it are linked with --wrap for
 * each of the calls: see wr::test_mortal_store.
 */
#ifndef TESTS_SUPPORT_MORTAL_STORE_H
#define TESTS_SUPPORT_MORTAL_STORE_H

/** Before (even) or after (odd) the n-th call, n = die_at / 2. -1: never. */
extern int mortal_die_at;

/** Count calls from here. */
void mortal_restart(void);

#endif
