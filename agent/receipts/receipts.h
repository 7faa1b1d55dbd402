/**
 * @file receipts.h
 * What a coordinator has signed about this site's ledger: the witness outside of it. A receipt is the
 * coordinator's ACK of an update, kept as it was signed; it names study, round and the anchor of the
 * ledger's row (ledger_anchor). A ledger that lacks the row was cut, put back from an old copy, or
 * written anew, and nobody without the coordinator's key can make a receipt that says otherwise.
 *
 * A folder of text files, one for each key that has signed, named after it; a line is one signed frame in
 * hexadecimal, appended and brought to the disk. A line that a crash left unfinished is no receipt.
 */
#ifndef AGENT_RECEIPTS_RECEIPTS_H
#define AGENT_RECEIPTS_RECEIPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/wire/wire.h"

/** What one receipt says. Plain data. */
struct receipt {
    struct seal_public signer;
    char from[WIRE_NAME_MAX], to[WIRE_NAME_MAX];
    struct hash study;
    uint64_t round;
    struct hash anchor;
};

/** @retval RC_AUTH not signed by `signer` @retval RC_FORMAT no ACK with an anchor */
RC receipt_open(const void *frame, size_t n, const struct seal_public *signer, struct receipt *out,
                struct error *err);

/** Checks and appends; makes the folder where it is missing (0700). An unfinished last line goes first.
 *  @retval RC_AUTH, RC_FORMAT as receipt_open @retval RC_IO, RC_LIMIT not kept */
RC receipts_keep(const char *folder, const void *frame, size_t n, const struct seal_public *signer,
                 struct error *err);

/**
 * Calls `each` for every receipt, or of each file for the newest one; the first failure ends it. A
 * folder that is not there holds none.
 * @retval RC_AUTH, RC_FORMAT a line that is no receipt of its file's key; the text has file and line
 * @retval RC_IO
 */
RC receipts_each(const char *folder, bool newest_only,
                 enum rc (*each)(void *ctx, const struct receipt *receipt, struct error *err),
                 void *ctx, struct error *err);

#endif
