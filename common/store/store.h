/**
 * @file store.h
 * SQLite, opened one way: WAL, synchronous=FULL, foreign keys, a busy timeout, an application id,
 * and numbered migrations. Home of <sqlite3.h>. Other modules see statements only through here.
 *
 * A new file is readable by its owner alone (mode 0600; SQLite gives its -wal and -shm the same),
 * and what is deleted is overwritten with zeros: these files hold patients and ledgers.
 */
#ifndef COMMON_STORE_STORE_H
#define COMMON_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

/** How long a locked file is waited for before RC_IO: longer than any transaction of ours. The longest
 *  is a round of a 60 MB model with its server state: 5 to 16 s on a busy disk. */
enum { STORE_BUSY_MS = 60000 };

struct store;     /* opaque: one connection, one thread at a time */
struct statement; /* opaque: prepared once, owned by its store, finalised at store_close */

/** How a kind of file is made. Migration i brings user_version i to i+1; never edited once landed. */
struct store_kind {
    uint32_t application_id; /**< not 0: that is what a stranger's file has */
    const char *what;        /**< "privacy ledger": for messages */
    size_t n_migrations;
    const char *const *migration; /**< [n_migrations] SQL, each run in one transaction */
};

/**
 * For a simulation, before it opens any: this process has one thread, and nobody else opens its files. Locks and
 * the index of the write-ahead log then stay in its memory instead of in files beside; what is durable, and
 * when, is as ever.
 */
void store_alone(void);

/**
 * The same of the files in folders of `folder` (not of those in itself), for a process that has many threads: nobody
 * else opens them, and whoever tries is told that they are locked. Before it opens any; the last one named counts,
 * "": none.
 */
void store_alone_below(const char *folder);

/**
 * Opens or creates. ":memory:" gives a private database in memory, for simulations.
 * @retval RC_INVALID no path
 * @retval RC_IO      cannot open; @retval RC_FORMAT another application's file or not a database
 * @retval RC_STATE   written by a newer program; @retval RC_NOMEM
 */
RC store_open(const char *path, const struct store_kind *kind, struct store **out,
              struct error *err);
/**
 * Opens what is there, to be read only: nothing is made, migrated or changed, also on a read-only disk or in a
 * folder where this user may not write (then only if no log of another process is beside it).
 * @retval RC_INVALID, RC_FORMAT, RC_NOMEM as store_open
 * @retval RC_IO    not there, or not readable
 * @retval RC_STATE written by a newer program, or by an older one and not migrated yet
 */
RC store_open_reading(const char *path, const struct store_kind *kind, struct store **out,
                      struct error *err);
/** Finalises all statements; rolls back what was not committed. */
void store_close(struct store **s);

/** One statement of ours, kept until store_close. @retval RC_IO refused; @retval RC_NOMEM */
RC store_prepare(struct store *s, const char *sql, struct statement **out, struct error *err);
/** The same, compiled by its first bind or step: for many of which few are used. `sql` lives as long as the
 *  store; what is wrong with it is told by the step. @retval RC_NOMEM */
RC store_prepare_later(struct store *s, const char *sql, struct statement **out, struct error *err);

/** Before store_close does it: for statements of one task. NULL is fine. */
void statement_close(struct statement **st);

/**
 * Bind parameters by position from 1, in order of the calls; `statement_reset` starts anew. All
 * parameters are bound before the first step: a forgotten one aborts, it does not become NULL.
 * What cannot be bound (NaN, no memory) is reported by the step that follows.
 */
void statement_reset(struct statement *st);
void statement_bind_i64(struct statement *st, int64_t x);
void statement_bind_real(struct statement *st, double x);
/** Text and blobs are borrowed until the next reset. A blob of 0 bytes is a blob, not NULL. */
void statement_bind_text(struct statement *st, const char *text);
void statement_bind_blob(struct statement *st, const void *data, size_t n);
void statement_bind_null(struct statement *st);

/**
 * One row, or none: *row says which. After the last row, and after a failure, the statement resets
 * itself: bindings are gone, the next bind is parameter 1 again.
 * @retval RC_STATE   a constraint (CHECK, UNIQUE, type of a STRICT column)
 * @retval RC_NUMERIC a NaN was bound; @retval RC_LIMIT a value too large for SQLite
 * @retval RC_FORMAT  the file is damaged; @retval RC_IO disk or lock; @retval RC_NOMEM
 */
RC statement_step(struct statement *st, bool *row, struct error *err);
/** Steps to the end, rows are dropped, and resets. Fails as statement_step. */
RC statement_run(struct statement *st, struct error *err);

/**
 * Columns of the present row, from 0; pointers live until the next step or reset. NULL reads as 0,
 * 0.0 and NULL. Text may hold what another program wrote: validate it.
 */
int64_t statement_i64(struct statement *st, int column);
double statement_real(struct statement *st, int column);
const char *statement_text(struct statement *st, int column);
const void *statement_blob(struct statement *st, int column, size_t *n);
bool statement_is_null(struct statement *st, int column);

/** BEGIN IMMEDIATE … COMMIT. A failed commit is rolled back. @retval RC_IO locked or disk */
RC store_begin(struct store *s, struct error *err);
/** One view of the file for as long as it takes, without keeping anybody from writing: what others commit
 *  meanwhile is not in it. Ended by store_rollback. @retval RC_FORMAT damaged, RC_IO */
RC store_begin_reading(struct store *s, struct error *err);
/** @retval RC_STATE SQLite had already rolled back (as on a full disk) */
RC store_commit(struct store *s, struct error *err);
/** Safe to call with no transaction open: for `goto out`. */
void store_rollback(struct store *s);

/**
 * From here to store_settle all transactions are parts of one: what is committed is seen by this connection, is on
 * the disk with store_settle and not before, and is gone if the process ends or store_settle fails. One that is rolled
 * back takes no other with it. For many small ones that wait for the disk once.
 * @retval as store_begin
 */
RC store_together(struct store *s, struct error *err);
/** @retval as store_commit: then nothing of it is committed */
RC store_settle(struct store *s, struct error *err);

/**
 * A copy of the whole file as it stands, in one piece, also while others write: all of it, or no file.
 * @retval RC_STATE the name is taken: nothing is written over
 * @retval RC_IO    not there; what there was of it is gone
 */
RC store_backup(struct store *s, const char *path, struct error *err);

/** After a large transaction: its log goes into the file and leaves the disk, unless another process is
 *  reading. A failure is none of the caller's: what is committed stays so, and SQLite tries again with
 *  the next commits. */
void store_checkpoint(struct store *s);
/** The same when nobody waits and much is to follow: the log keeps its place on the disk and is begun anew by the next
 *  commit, which is quicker than letting it grow again. */
void store_carry_over(struct store *s);
/** Before a transaction that writes so many bytes: pages that do not fit into SQLite's 2 MB would be written to the log
 *  before its commit, waited for, and read from there again. It has room for them until store_close; no more than 64 MB. */
void store_expect(struct store *s, size_t bytes);
/** Pages that this connection's commits have brought into the log since either of the two. */
size_t store_pages_waiting(const struct store *s);
/** How large the log is now; 0: in memory, or not there. */
size_t store_log_bytes(struct store *s);
/** From now on a commit carries the log into the file by itself only when it has so many pages (SQLite: 1000). For
 *  whoever calls store_checkpoint when nobody waits. */
void store_log_pages(struct store *s, int pages);

#endif
