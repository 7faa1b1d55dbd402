/**
 * @file notify.h
 * A word to the service manager that started us (sd_notify(3), without its library): one datagram
 * to the socket that $NOTIFY_SOCKET names, a path or, with a leading "@", an abstract address.
 */
#ifndef COMMON_BASE_NOTIFY_H
#define COMMON_BASE_NOTIFY_H

#include "common/base/error.h"

/**
 * @param state such as "READY=1", "STOPPING=1", "STATUS=round 3 of 20"; lines joined by newlines
 * @retval RC_OK      told, or nobody asked to be (the variable is not set)
 * @retval RC_INVALID the variable names no socket; @retval RC_IO nobody listens there
 */
RC notify_manager(const char *state, struct error *err);

#endif
