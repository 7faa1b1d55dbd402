/**
 * @file text.h
 * Text from outside on its way to people.
 */
#ifndef COMMON_BASE_TEXT_H
#define COMMON_BASE_TEXT_H

/**
 * Control characters (C0, DEL, C1) and bytes that are not UTF-8 become "?", each byte one: nothing
 * that is left can move a terminal's cursor, or begin a line of a log.
 */
void text_make_printable(char *text);

#endif
