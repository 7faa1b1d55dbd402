/**
 * @file report.h
 * What commands print: one JSON object, or times and states as words.
 */
#ifndef AGGREGATOR_APP_REPORT_H
#define AGGREGATOR_APP_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "common/base/error.h"
#include "common/base/hash.h"

enum { REPORT_TIME = 32 };

/** Prints and frees. @retval RC_NOMEM NULL; RC_IO stdout is gone */
RC report_print(json_t *object, struct error *err);
json_t *report_count(uint64_t n);
json_t *report_hash(const struct hash *h);
/** "2026-11-24 09:12 UTC". */
void report_time(int64_t at_ms, char out[REPORT_TIME]);

#endif
