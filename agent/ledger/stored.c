/* What the ledger holds, for sending again, for the next round, and for people. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agent/ledger/ledger_internal.h"

enum rc ledger_hand_out(struct ledger *l, struct statement *st, const void **data, size_t *n,
                        struct hash *hash, struct error *err)
{
    struct hash want = {{0}};
    size_t size = 0;

    enum rc rc = ledger_hash_at(st, 0, &want, err);
    if (rc != RC_OK) {
        return rc;
    }
    const void *bytes = statement_blob(st, 1, &size);
    const struct hash found = hash_of(bytes, size); /* as it is named today */
    const bool same = hash_equal(&found, &want) || hash_is(&want, bytes, size);
    if (statement_is_null(st, 1) || !same) {
        return error_set(err, RC_FORMAT, "the ledger is damaged: stored bytes have another hash");
    }
    rc = ledger_room(&l->bytes, arena_cost(size, 1), err);
    if (rc != RC_OK) {
        return rc;
    }
    void *copy = arena_take(&l->bytes, size, 1);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    *data = copy;
    *n = size;
    *hash = found;
    return RC_OK;
}

enum rc ledger_stored_hashed(struct ledger *l, const struct hash *study, uint64_t round,
                             bool *found, const void **update, size_t *n, struct hash *hash,
                             struct error *err)
{
    struct statement *st = l->st[LEDGER_RELEASE];
    bool row = false;

    if (round > INT64_MAX) {
        *found = false;
        return RC_OK;
    }
    statement_bind_blob(st, study->b, sizeof study->b);
    statement_bind_i64(st, (int64_t)round);
    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && row) {
        rc = ledger_hand_out(l, st, update, n, hash, err);
        statement_reset(st);
    }
    if (rc == RC_OK) {
        *found = row;
    }
    return rc;
}

enum rc ledger_stored(struct ledger *l, const struct hash *study, uint64_t round, bool *found,
                      const void **update, size_t *n, struct error *err)
{
    struct hash hash;
    return ledger_stored_hashed(l, study, round, found, update, n, &hash, err);
}

enum rc ledger_stored_as(struct ledger *l, const struct hash *study, uint64_t round,
                         const void *update, size_t n, struct hash *hash, struct error *err)
{
    struct statement *st = l->st[LEDGER_RELEASE];
    struct hash stored = {{0}};
    bool row = false;
    bool same = false;

    assert(round <= INT64_MAX);
    statement_bind_blob(st, study->b, sizeof study->b);
    statement_bind_i64(st, (int64_t)round);
    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && row) {
        size_t size = 0;
        const void *bytes = statement_blob(st, 1, &size);
        same = !statement_is_null(st, 1) && size == n && (n == 0 || memcmp(bytes, update, n) == 0);
        rc = ledger_hash_at(st, 0, &stored, err);
        statement_reset(st);
    }
    if (rc == RC_OK && !same) {
        rc = error_set(err, RC_FORMAT, "the ledger holds other bytes than were spent");
    }
    if (rc == RC_OK) {
        *hash = stored;
    }
    return rc;
}

enum rc ledger_site_state(struct ledger *l, const struct hash *study, uint64_t *round,
                          const void **state, size_t *n, struct error *err)
{
    struct statement *st = l->st[LEDGER_SITE_STATE];
    struct hash hash;
    uint64_t newest = 0;
    bool row = false;

    statement_bind_blob(st, study->b, sizeof study->b);
    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && row) {
        newest = (uint64_t)statement_i64(st, 2);
        rc = ledger_hand_out(l, st, state, n, &hash, err);
        statement_reset(st);
    } else if (rc == RC_OK) {
        *state = NULL;
        *n = 0;
    }
    if (rc == RC_OK) {
        *round = newest;
    }
    return rc;
}

enum rc ledger_epsilon(struct ledger *l, const struct hash *study, double delta, double *out,
                       struct error *err)
{
    struct ledger_plan plan = {0};

    if (!(delta > 0.0 && delta < 1.0)) {
        return error_set(err, RC_INVALID, "delta must lie between 0 and 1");
    }
    enum rc rc = ledger_look(l, err);
    if (rc == RC_OK && study == NULL) {
        rc = ledger_compose(l, NULL, LEDGER_SPENT, delta, true, out, NULL, err);
    } else if (rc == RC_OK) {
        rc = ledger_find_plan(l, study, &plan, err);
        if (rc == RC_OK) {
            *out = ledger_cost(l, &plan, plan.spent_steps, delta, true); /* not joined: no steps */
        }
    }
    ledger_look_away(l);
    return rc;
}

enum rc ledger_rows(struct ledger *l, void (*each)(void *ctx, const struct ledger_row *row),
                    void *ctx, struct error *err)
{
    struct statement *st = l->st[LEDGER_ROWS];
    for (;;) {
        struct ledger_row r = {0};
        bool row = false;

        enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        rc = ledger_hash_at(st, 6, &r.update, err);
        if (rc == RC_OK) {
            rc = ledger_hash_at(st, 8, &r.link, err);
        }
        if (rc != RC_OK) {
            statement_reset(st);
            return rc;
        }
        r.sequence = statement_i64(st, 0);
        r.at_ms = statement_i64(st, 7);
        r.round = (uint64_t)statement_i64(st, 1);
        r.mechanism.q = statement_real(st, 2);
        r.mechanism.sigma = statement_real(st, 3);
        r.mechanism.steps = (uint64_t)statement_i64(st, 4);
        r.clip = statement_real(st, 5);
        const char *name = statement_text(st, 9);
        (void)snprintf(r.study, sizeof r.study, "%s", name != NULL ? name : "");
        r.stored = !statement_is_null(st, 10);
        r.update_bytes = (size_t)statement_i64(st, 10);
        each(ctx, &r);
    }
}
