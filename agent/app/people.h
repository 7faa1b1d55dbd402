/**
 * @file people.h
 * The person at the keyboard: who it is, what is asked of them, and how a date is shown.
 */
#ifndef AGENT_APP_PEOPLE_H
#define AGENT_APP_PEOPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PEOPLE_DAY = 32 };

/** Login name of who started this program, also behind sudo. Never empty. */
void people_name(char *out, size_t room);
/** "2026-11-24 09:12 UTC" */
void people_day(int64_t wall_ms, char out[PEOPLE_DAY]);
/** Asks on the terminal; false if there is none, or nothing was typed. */
bool people_ask(const char *question, char *out, size_t room);

#endif
