/**
 * @file folder.h
 * A folder of its own for each test, for what a test writes and reads again.
 */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

#include <stddef.h>

enum { FOLDER_PATH_MAX = 256 };

/** In $TMPDIR, or /tmp. @return 0; as a set-up of cmocka, anything else fails the test */
int folder_make(const char *name, char folder[FOLDER_PATH_MAX]);
/** "folder/name". Four of them are valid at a time. */
const char *folder_file(const char *folder, const char *name);
/** The whole file, and a NUL behind it. The test fails if it cannot be read or does not fit.
 *  @return bytes, without the NUL */
size_t folder_read(const char *path, char *text, size_t room);

#endif
