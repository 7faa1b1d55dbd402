/**
 * @file hold.h
 * A file, or a folder of them, that one process works on at a time, from the first look to the last: for long work
 * whose results a second process would make twice. SQLite's own locks last as long as a transaction.
 */
#ifndef COMMON_STORE_HOLD_H
#define COMMON_STORE_HOLD_H

#include "common/base/error.h"

/**
 * Before store_open. A path where nothing is becomes a file. Whoever is killed lets go of it.
 * @param otherwise where the user may name another place, as "--out"
 * @param held a descriptor for store_let_go; -1 where there is none
 * @retval RC_STATE another process holds it; RC_IO
 */
RC store_hold(const char *path, const char *otherwise, int *held, struct error *err);
/** After store_close: closing it gives up SQLite's own locks. -1 is fine. */
void store_let_go(int *held);

/** A file that nobody else has open, with the log that SQLite may have left beside it: another file of that name
 *  would take it for its own. What is not there is fine. */
void store_discard(const char *path);

#endif
