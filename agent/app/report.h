/**
 * @file report.h
 * What a command answers with --json: one object on stdout.
 */
#ifndef AGENT_APP_REPORT_H
#define AGENT_APP_REPORT_H

#include <jansson.h>

#include "common/base/error.h"

/** Prints and frees. @retval RC_NOMEM NULL; RC_IO stdout is gone */
RC report_print(json_t *object, struct error *err);
/** JSON has no infinity: null stands for it. */
json_t *report_number(double x);

#endif
