/* Model versions: of every one its hash and size, of the newest their bytes. */
#include "aggregator/registry/registry_internal.h"

enum rc registry_add_model(struct registry *r, int64_t study, uint64_t round, const void *model,
                           size_t n, const struct hash *hash, int64_t now_ms, struct error *err)
{
    struct statement *st = r->st[REGISTRY_ADD_MODEL];
    statement_bind_i64(st, study);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_blob(st, hash->b, sizeof hash->b);
    statement_bind_i64(st, now_ms);
    statement_bind_blob(st, model, n);
    const enum rc rc = statement_run(st, err);
    if (rc != RC_OK) {
        return rc;
    }
    st = r->st[REGISTRY_ADD_VERSION];
    statement_bind_i64(st, study);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_blob(st, hash->b, sizeof hash->b);
    statement_bind_i64(st, (int64_t)n);
    statement_bind_i64(st, now_ms);
    return statement_run(st, err);
}

enum rc registry_drop_models(struct registry *r, int64_t study, uint64_t newest, struct error *err)
{
    struct statement *st = r->st[REGISTRY_DROP_MODELS];
    statement_bind_i64(st, study);
    statement_bind_i64(st, (int64_t)newest);
    statement_bind_i64(st, study);
    statement_bind_i64(st, (int64_t)r->models_bytes_max);
    return statement_run(st, err);
}

/* ---- lending ---------------------------------------------------------------------------------- */

enum rc registry_checked_blob(struct statement *st, int hash, const char *what, const void **data,
                              size_t *n, struct error *err)
{
    struct hash want = {{0}};

    *data = NULL;
    *n = 0;
    if (statement_is_null(st, hash)) {
        return RC_OK;
    }
    const enum rc rc = registry_hash_at(st, hash, &want, err);
    if (rc != RC_OK) {
        return rc;
    }
    *data = statement_blob(st, hash + 1, n);
    const bool same = hash_is(&want, *data, *n);
    *data = *n > 0 ? *data : ""; /* SQLite's pointer to nothing is NULL */
    return same ? RC_OK
                : error_set(err, RC_FORMAT, "the registry is damaged: %s has another hash", what);
}

enum rc registry_model(struct registry *r, const struct hash *study, uint64_t *round,
                       const void **model, size_t *n, struct error *err)
{
    struct statement *st = r->st[REGISTRY_MODEL];
    struct registry_standing s = {0};
    const void *bytes = NULL;
    size_t size = 0;
    bool row = false;

    enum rc rc = registry_find(r, study, false, &s, err);
    if (rc != RC_OK) {
        return rc;
    }
    statement_bind_i64(st, s.id);
    rc = statement_step(st, &row, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (!row) {
        return error_set(err, RC_FORMAT, "the registry is damaged: study '%s' has no model",
                         s.name);
    }
    r->lent = st;
    rc = registry_checked_blob(st, 1, "a model", &bytes, &size, err);
    if (rc != RC_OK) {
        registry_take_back(r);
        return rc;
    }
    *round = (uint64_t)statement_i64(st, 0);
    *model = bytes;
    *n = size;
    return RC_OK;
}

enum rc registry_model_of(struct registry *r, const struct hash *study, uint64_t round,
                          const void **model, size_t *n, struct error *err)
{
    struct statement *st = r->st[REGISTRY_MODEL_OF];
    struct registry_standing s = {0};
    const void *bytes = NULL;
    size_t size = 0;
    bool row = false;

    enum rc rc = registry_find(r, study, false, &s, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (round <= s.newest) {
        statement_bind_i64(st, s.id);
        statement_bind_i64(st, (int64_t)round);
        rc = statement_step(st, &row, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (!row) {
        return error_set(err, RC_STATE, "study '%s': the model of round %llu is %s", s.name,
                         (unsigned long long)round,
                         round > s.newest ? "not there yet" : "no longer stored");
    }
    r->lent = st;
    rc = registry_checked_blob(st, 0, "a model", &bytes, &size, err);
    if (rc != RC_OK) {
        registry_take_back(r);
        return rc;
    }
    *model = bytes;
    *n = size;
    return RC_OK;
}

enum rc registry_each_model(struct registry *r, const struct hash *study,
                            void (*each)(void *ctx, const struct registry_model_row *row),
                            void *ctx, struct error *err)
{
    struct statement *st = r->st[REGISTRY_VERSIONS];
    struct registry_standing s = {0};

    enum rc rc = registry_find(r, study, false, &s, err);
    if (rc != RC_OK) {
        return rc;
    }
    statement_bind_i64(st, s.id);
    for (;;) {
        struct registry_model_row m = {0};
        bool row = false;

        rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        m.round = (uint64_t)statement_i64(st, 0);
        m.bytes = (size_t)statement_i64(st, 2);
        m.at_ms = statement_i64(st, 3);
        m.stored = statement_i64(st, 4) != 0;
        rc = registry_hash_at(st, 1, &m.model, err);
        if (rc != RC_OK) {
            statement_reset(st);
            return rc;
        }
        each(ctx, &m);
    }
}
