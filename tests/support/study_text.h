/**
 * @file study_text.h
 * A small study as text, for tests to change a line of. What is not read as it should be fails the test.
 */
#ifndef TESTS_SUPPORT_STUDY_TEXT_H
#define TESTS_SUPPORT_STUDY_TEXT_H

#include "common/study/study.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

#define STUDY_TEXT_ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define STUDY_TEXT_HEX   "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f"

/** Three sites, five rounds of two steps, each site's own noise; 14 lines, which issues name. */
extern const char study_text_good[];

/** Reads a text that stands in no file; its name in issues is s.yaml. */
enum rc study_text_try(const char *text, struct study *out, struct config_issues *issues,
                       struct error *err);
/** The same, of a text that is right. */
struct study study_text_read(const char *text);

/** study_text_good with its line number `line` replaced; "" removes it. Valid until the next call. */
const char *study_text_with(size_t line, const char *text);
/** The one issue of study_text_with(line, text) is `want`, and nothing was written. */
void study_text_one_issue(size_t line, const char *text, const char *want);

#endif
