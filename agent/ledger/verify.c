/* For an auditor: everything anew, and a copy to take away. */
#include "agent/ledger/ledger_internal.h"

/* Each row: hash, bytes, number. */
static RC check_bytes(struct statement *st, const char *what, size_t *rows, struct error *err)
{
    *rows = 0;
    for (;;) {
        struct hash want = {{0}};
        size_t size = 0;
        bool row = false;
        enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        rc = ledger_hash_at(st, 0, &want, err);
        if (rc == RC_OK) {
            const void *bytes = statement_blob(st, 1, &size);
            if (statement_is_null(st, 1) || !hash_is(&want, bytes, size)) {
                rc = error_set(err, RC_FORMAT,
                               "the ledger is damaged or was edited: the stored bytes of %s %lld "
                               "have another hash",
                               what, (long long)statement_i64(st, 2));
            }
        }
        if (rc != RC_OK) {
            statement_reset(st);
            return rc;
        }
        ++*rows;
    }
}

enum rc ledger_verify(struct ledger *l, struct ledger_verified *out, struct error *err)
{
    struct ledger_verified v = {0};
    enum rc rc = ledger_look(l, err);
    if (rc == RC_OK) {
        rc = ledger_chain_check(l, &v, err);
    }
    if (rc == RC_OK) {
        rc = ledger_mark_within(l, err);
    }
    if (rc == RC_OK) {
        rc = check_bytes(l->st[LEDGER_ALL_RELEASES], "spend", &v.updates, err);
    }
    if (rc == RC_OK) {
        rc = check_bytes(l->st[LEDGER_ALL_SITE_STATES], "the site's state in study", &v.site_states,
                         err);
    }
    if (rc == RC_OK) {
        rc = check_bytes(l->st[LEDGER_ALL_EVALUATIONS], "evaluation", &v.evaluations, err);
    }
    if (rc == RC_OK) {
        rc = ledger_mark_there(l, &v.marked, err);
    }
    ledger_look_away(l);
    if (rc == RC_OK) {
        *out = v;
    }
    return rc;
}

enum rc ledger_backup(struct ledger *l, const char *path, struct error *err)
{
    return store_backup(l->store, path, err);
}
