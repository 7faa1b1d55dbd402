/**
 * @file page.h
 * A sweep's rows, with what only the program knows (configuration, ceiling, memory), for sim/report's page.
 */
#ifndef SIM_APP_PAGE_H
#define SIM_APP_PAGE_H

#include "sim/sweep/sweep.h"

/**
 * Writes FOLDER/report.html and its figures.
 * @param config path of the configuration that the rows come from
 * @retval others as report_write_page
 */
RC page_write(const char *folder, const char *config, const struct sweep *s,
              const struct sweep_results *rows, struct error *err);

#endif
