/**
 * @file connection.h
 * How the gateway stands with the coordinator, said to `check`, which must not ask for itself while
 * the agent runs: a second connection under the same key would take its answers. One line in the
 * spool, gateway/connection:
 *
 *   connected 1764201234567 1764201230000      state, written, heard of the coordinator (wall clock)
 */
#ifndef AGENT_APP_CONNECTION_H
#define AGENT_APP_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/net/net.h"

#define CONNECTION_FILE "gateway/connection"

/** A gateway writes at each change and every so often; what is older was left behind by one that is
 *  gone or hangs. */
enum { CONNECTION_EVERY_MS = 3000, CONNECTION_STALE_MS = 15000 };

struct connection {
    enum net_state state;
    int64_t written_ms; /**< wall clock */
    int64_t heard_ms;   /**< the last message that its key had signed; 0: none in this life */
};

/** Replaces the file (0600). Not synced: after a crash of the machine it is stale anyway. */
RC connection_write(const char *folder, const struct connection *c, struct error *err);
/** @retval RC_IO not there; RC_FORMAT not such a line */
RC connection_read(const char *folder, struct connection *out, struct error *err);
/** Too old, or of a clock that was ahead. */
bool connection_is_stale(const struct connection *c, int64_t now_ms);

#endif
