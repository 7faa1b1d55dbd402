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

enum { REPORT_TIME = 32, REPORT_REASON = 240 /* as the registry keeps it */ };

/* Why a site's answer to a study is missing: `run` and `status` say it in the same words. */
#define REPORT_REVOKED      "its card is revoked"
#define REPORT_NOT_ENROLLED "not enrolled yet"
#define REPORT_NEVER_HEARD  "never heard of since this start"
#define REPORT_NO_ANSWER    "did not answer the study"
#define REPORT_NOT_ACCEPTED                                                         \
    "connected, has not accepted the study yet (a person there must approve it or " \
    "confirm cards, or its policy forbids it: its log says which)"

/** Prints and frees. @retval RC_NOMEM NULL; RC_IO stdout is gone */
RC report_print(json_t *object, struct error *err);
json_t *report_count(uint64_t n);
json_t *report_hash(const struct hash *h);
/** "2026-11-24 09:12 UTC". */
void report_time(int64_t at_ms, char out[REPORT_TIME]);

#endif
