/*
 * What ties the ledger to a witness outside: of each spend a number that only this ledger can compute, since
 * the key is in it. It goes with the update, the coordinator signs that it has it, and the signed receipt
 * stays at the site (agent/receipts). Keyed, because a row's link is the hash of, among others, the cohort:
 * whoever could guess all of a cohort but one patient could have confirmed the rest by it.
 */
#include <string.h>

#include "agent/ledger/ledger_internal.h"
#include "common/base/entropy.h"

static RC new_key(struct ledger *l, struct error *err)
{
    struct entropy e;
    enum rc rc = entropy_init(&e, err);
    if (rc != RC_OK) {
        return rc;
    }
    entropy_bytes(&e, l->key, sizeof l->key);
    entropy_release(&e);
    struct statement *st = l->st[LEDGER_ADD_KEY];
    statement_bind_blob(st, l->key, sizeof l->key);
    return statement_run(st, err);
}

static RC read_key(struct ledger *l, bool *found, struct error *err)
{
    struct statement *st = l->st[LEDGER_KEY];
    struct hash key = {{0}};
    enum rc rc = statement_step(st, found, err);
    if (rc == RC_OK && *found) {
        rc = ledger_hash_at(st, 0, &key, err);
        memcpy(l->key, key.b, sizeof l->key);
        hash_wipe(&key, sizeof key);
        statement_reset(st);
    }
    return rc;
}

enum rc ledger_make_key(struct ledger *l, struct error *err)
{
    bool found = false;
    enum rc rc = read_key(l, &found, err);
    return rc == RC_OK && !found ? new_key(l, err) : rc;
}

/* Once a life. One that was made before there were keys gets its own now. */
static RC need_key(struct ledger *l, struct error *err)
{
    bool found = false;
    if (l->has_key) {
        return RC_OK;
    }
    enum rc rc = read_key(l, &found, err);
    if (rc == RC_OK && !found && !l->view) {
        rc = store_begin(l->store, err); /* two programs that open it at once make one key */
        if (rc == RC_OK) {
            rc = ledger_make_key(l, err);
        }
        if (rc == RC_OK) {
            rc = store_commit(l->store, err);
        }
        store_rollback(l->store);
    }
    l->has_key = rc == RC_OK;
    return rc;
}

/* Links of a spend and of its study in columns 0 and 1. */
static RC anchor_at(struct ledger *l, struct statement *st, struct hash *out, struct error *err)
{
    struct hash spend = {{0}};
    struct hash study = {{0}};
    struct hasher h;
    enum rc rc = ledger_hash_at(st, 0, &spend, err);
    if (rc == RC_OK) {
        rc = ledger_hash_at(st, 1, &study, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    hasher_init_keyed(&h, l->key);
    hasher_text(&h, "wardround ledger anchor 1");
    hasher_bytes(&h, spend.b, sizeof spend.b);
    hasher_bytes(&h, study.b, sizeof study.b);
    *out = hasher_final(&h);
    return RC_OK;
}

enum rc ledger_anchor(struct ledger *l, const struct hash *study, uint64_t round, bool *found,
                      struct hash *out, struct error *err)
{
    struct statement *st = l->st[LEDGER_LINKS_OF];
    bool row = false;
    if (round > INT64_MAX) {
        *found = false;
        return RC_OK;
    }
    enum rc rc = need_key(l, err);
    if (rc != RC_OK) {
        return rc;
    }
    statement_bind_blob(st, study->b, sizeof study->b);
    statement_bind_i64(st, (int64_t)round);
    rc = statement_step(st, &row, err);
    if (rc == RC_OK && row) {
        rc = anchor_at(l, st, out, err);
        statement_reset(st);
    }
    if (rc == RC_OK) {
        *found = row;
    }
    return rc;
}

enum rc ledger_has_anchor(struct ledger *l, const struct hash *anchor, bool *found,
                          struct error *err)
{
    struct statement *st = l->st[LEDGER_LINKS];
    bool has = false;
    enum rc rc = need_key(l, err);
    if (rc != RC_OK) {
        return rc;
    }
    for (;;) {
        struct hash here = {{0}};
        bool row = false;
        rc = statement_step(st, &row, err);
        if (rc == RC_OK && row) {
            rc = anchor_at(l, st, &here, err);
            has = rc == RC_OK && hash_equal(&here, anchor);
        }
        if (rc != RC_OK || !row || has) {
            if (row) {
                statement_reset(st);
            }
            if (rc == RC_OK) {
                *found = has;
            }
            return rc;
        }
    }
}
