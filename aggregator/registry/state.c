/* The server's own state between rounds (optimiser moments, sum of iterates), of the newest model
 * only. In pieces, since SQLite copies every row that passes through it. */
#include <string.h>

#include "aggregator/registry/registry_internal.h"

enum rc registry_set_state(struct registry *r, int64_t study, uint64_t round, const void *state,
                           size_t n, const struct hash *hash, struct error *err)
{
    const unsigned char *bytes = state;
    struct statement *st = r->st[REGISTRY_SET_STATE];

    statement_bind_i64(st, study);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_blob(st, hash->b, sizeof hash->b);
    enum rc rc = statement_run(st, err);
    if (rc == RC_OK) {
        st = r->st[REGISTRY_DROP_PIECES];
        statement_bind_i64(st, study);
        rc = statement_run(st, err);
    }
    st = r->st[REGISTRY_ADD_PIECE];
    for (size_t at = 0; rc == RC_OK && at < n; at += r->piece_bytes) {
        statement_bind_i64(st, study);
        statement_bind_i64(st, (int64_t)(at / r->piece_bytes));
        statement_bind_blob(st, bytes + at, n - at < r->piece_bytes ? n - at : r->piece_bytes);
        rc = statement_run(st, err);
    }
    return rc;
}

static RC is_damaged(const struct registry_standing *s, struct error *err)
{
    return error_set(err, RC_FORMAT,
                     "the registry is damaged: the server state of study '%s' is not the one that "
                     "was kept",
                     s->name);
}

static RC hash_kept(struct registry *r, const struct registry_standing *s, struct hash *out,
                    struct error *err)
{
    struct statement *st = r->st[REGISTRY_STATE];
    bool row = false;

    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)s->newest);
    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && !row) {
        rc = is_damaged(s, err);
    } else if (rc == RC_OK) {
        rc = registry_hash_at(st, 0, out, err);
        statement_reset(st);
    }
    return rc;
}

static RC join_pieces(struct registry *r, const struct registry_standing *s, unsigned char *out,
                      size_t n, struct error *err)
{
    struct statement *st = r->st[REGISTRY_PIECES];
    size_t at = 0;

    statement_bind_i64(st, s->id);
    for (;;) {
        bool row = false;
        size_t size = 0;
        const enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (!row) {
            return at == n ? RC_OK : is_damaged(s, err);
        }
        const void *bytes = statement_blob(st, 0, &size);
        if (size > n - at) {
            statement_reset(st);
            return is_damaged(s, err);
        }
        if (size > 0) {
            memcpy(out + at, bytes, size);
        }
        at += size;
    }
}

enum rc registry_state(struct registry *r, const struct hash *study, unsigned char *out, size_t n,
                       struct error *err)
{
    struct registry_standing s = {0};
    struct hash want = {{0}};

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK && s.newest == 0) {
        memset(out, 0, n);
        goto out;
    }
    if (rc == RC_OK) {
        rc = hash_kept(r, &s, &want, err);
    }
    if (rc == RC_OK) {
        rc = join_pieces(r, &s, out, n, err);
    }
    if (rc == RC_OK) {
        rc = hash_is(&want, out, n) ? RC_OK : is_damaged(&s, err);
    }
out:
    store_rollback(r->store);
    return rc;
}
