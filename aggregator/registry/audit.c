/* The audit chain: link = BLAKE2b(link before, number, study, what, detail, time). Entries cut off
 * at the very end are not noticed: that takes a witness outside the file. */
#include <string.h>

#include "aggregator/registry/registry_internal.h"

static struct hash link_of(const struct hash *before, const struct registry_entry *e)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround registry entry 1");
    hasher_bytes(&h, before->b, sizeof before->b);
    hasher_u64(&h, (uint64_t)e->sequence);
    hasher_bytes(&h, e->study.b, sizeof e->study.b);
    hasher_text(&h, e->what);
    hasher_text(&h, e->detail);
    hasher_u64(&h, (uint64_t)e->at_ms);
    return hasher_final(&h);
}

enum rc registry_note(struct registry *r, const struct hash *study, const char *what,
                      const char *detail, int64_t now_ms, struct error *err)
{
    struct statement *st = r->st[REGISTRY_LAST_ENTRY];
    struct registry_entry e = {
        .sequence = 1, .at_ms = now_ms, .study = *study, .what = what, .detail = detail};
    struct hash before = {{0}};
    bool row = false;

    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && row) {
        e.sequence = statement_i64(st, 0) + 1;
        rc = registry_hash_at(st, 1, &before, err);
        statement_reset(st);
    }
    if (rc != RC_OK) {
        return rc;
    }
    const struct hash link = link_of(&before, &e);
    st = r->st[REGISTRY_ADD_ENTRY];
    statement_bind_i64(st, e.sequence);
    statement_bind_blob(st, study->b, sizeof study->b);
    statement_bind_text(st, what);
    statement_bind_text(st, detail);
    statement_bind_i64(st, now_ms);
    statement_bind_blob(st, link.b, sizeof link.b);
    return statement_run(st, err);
}

static RC entry_at(struct statement *st, struct registry_entry *out, struct error *err)
{
    struct registry_entry e = {.sequence = statement_i64(st, 0), .at_ms = statement_i64(st, 4)};

    enum rc rc = registry_hash_at(st, 1, &e.study, err);
    if (rc == RC_OK) {
        rc = registry_hash_at(st, 5, &e.link, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    e.what = statement_text(st, 2);
    e.detail = statement_text(st, 3);
    if (e.what == NULL || e.detail == NULL) {
        return error_set(err, RC_FORMAT, "the registry is damaged: an audit entry without text");
    }
    *out = e;
    return RC_OK;
}

enum rc registry_audit(struct registry *r,
                       void (*each)(void *ctx, const struct registry_entry *entry), void *ctx,
                       struct error *err)
{
    struct statement *st = r->st[REGISTRY_ENTRIES];
    struct hash before = {{0}};
    int64_t sequence = 0;

    registry_take_back(r);
    for (;;) {
        struct registry_entry e = {0};
        bool row = false;

        enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        rc = entry_at(st, &e, err);
        if (rc == RC_OK) {
            const struct hash want = link_of(&before, &e);
            if (e.sequence != sequence + 1 || !hash_equal(&e.link, &want)) {
                rc = error_set(err, RC_FORMAT,
                               "the registry is damaged or was edited: audit entry %lld does not "
                               "fit the chain of hashes",
                               (long long)e.sequence);
            }
        }
        if (rc != RC_OK) {
            statement_reset(st);
            return rc;
        }
        if (each != NULL) {
            each(ctx, &e);
        }
        before = e.link;
        sequence = e.sequence;
    }
}

enum rc registry_check_audit(struct registry *r, struct error *err)
{
    return registry_audit(r, NULL, NULL, err);
}
