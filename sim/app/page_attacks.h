/**
 * @file page_attacks.h
 * attacks.csv, as `wardround-sim attack` leaves it in a folder, for the page of the tradeoff in the same one.
 */
#ifndef SIM_APP_PAGE_ATTACKS_H
#define SIM_APP_PAGE_ATTACKS_H

#include "sim/report/page.h"

enum { PAGE_ATTACKS_MAX = 512 };

/**
 * @param[out] out [PAGE_ATTACKS_MAX] @param[out] n 0: there is no such file
 * @retval RC_FORMAT the file is another's: says which line
 */
RC page_attacks_read(const char *folder, struct report_attack *out, size_t *n, struct error *err);

#endif
