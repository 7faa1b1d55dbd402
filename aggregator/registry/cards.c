/* Who may connect. A name has at most one card that is not revoked; keys belong to one name for
 * ever, and revoked ones never come back. */
#include <stdio.h>
#include <string.h>

#include "aggregator/registry/registry_internal.h"

enum { CARD_TEXT_MAX = 4096 };

static const struct hash no_study; /* zeros: enrolment is about none */

static RC note_card(struct registry *r, const char *what, const struct seal_card *card,
                    const char *reason, int64_t now_ms, struct error *err)
{
    char fingerprint[SEAL_FINGERPRINT];
    seal_fingerprint(card, fingerprint);
    (void)snprintf(r->detail, sizeof r->detail, "'%s', fingerprint %s%s%s", card->name, fingerprint,
                   reason[0] != '\0' ? ": " : "", reason);
    return registry_note(r, &no_study, what, r->detail, now_ms, err);
}

/* ---- enrolling ------------------------------------------------------------------------------- */

static bool column_is(struct statement *st, int column, const unsigned char key[32])
{
    size_t n = 0;
    const void *b = statement_blob(st, column, &n);
    return n == 32 && memcmp(b, key, n) == 0; /* public keys */
}

/* One row of REGISTRY_CARDS_LIKE: it has a key of this card, or its name. */
static RC compare(struct statement *st, const struct seal_card *card, bool *known,
                  struct error *err)
{
    const char *text = statement_text(st, 0);
    const char *name = text != NULL ? text : "";
    const bool same_name = strcmp(name, card->name) == 0;
    const bool same_sign = column_is(st, 1, card->sign.b);
    const bool same_curve = column_is(st, 2, card->curve.b);

    if (!same_sign && !same_curve) {
        return error_set(err, RC_STATE,
                         "'%s' is enrolled with other keys; if they were replaced, revoke '%s' "
                         "first",
                         name, name);
    }
    if (!statement_is_null(st, 3)) {
        return error_set(err, RC_STATE,
                         "these keys were revoked (as '%s') and never come back: the site moves "
                         "keys/site.key and its card away, runs `wardround-agent init` again and "
                         "sends the new card",
                         name);
    }
    if (!same_name || !same_sign || !same_curve) {
        return error_set(err, RC_STATE,
                         "a key of this card is enrolled as '%s': every site makes "
                         "its own keys",
                         name);
    }
    *known = true;
    return RC_OK;
}

/* RC_STATE if any enrolled card stands against this one; *known: it is enrolled already. */
static RC check_others(struct registry *r, const struct seal_card *card, bool *known,
                       struct error *err)
{
    struct statement *st = r->st[REGISTRY_CARDS_LIKE];

    statement_bind_blob(st, card->sign.b, sizeof card->sign.b);
    statement_bind_blob(st, card->curve.b, sizeof card->curve.b);
    statement_bind_text(st, card->name);
    for (;;) {
        bool row = false;
        enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        rc = compare(st, card, known, err);
        if (rc != RC_OK) {
            statement_reset(st);
            return rc;
        }
    }
}

enum rc registry_enrol(struct registry *r, const struct seal_card *card, int64_t now_ms,
                       struct error *err)
{
    struct statement *st = r->st[REGISTRY_ADD_CARD];
    char text[CARD_TEXT_MAX];
    bool known = false;

    if (card->role != SEAL_SITE) {
        return error_set(err, RC_INVALID, "'%s' is a %s's card, and only sites are enrolled",
                         card->name, seal_role_name(card->role));
    }
    if (seal_card_text(card, text, sizeof text) == 0) {
        return error_set(err, RC_LIMIT, "the card of '%s' is too long", card->name);
    }
    enum rc rc = registry_lock(r, err);
    if (rc == RC_OK) {
        rc = check_others(r, card, &known, err);
    }
    if (rc != RC_OK || known) {
        goto out;
    }
    statement_bind_text(st, card->name);
    statement_bind_blob(st, card->sign.b, sizeof card->sign.b);
    statement_bind_blob(st, card->curve.b, sizeof card->curve.b);
    statement_bind_text(st, text);
    statement_bind_i64(st, now_ms);
    rc = statement_run(st, err);
    if (rc == RC_OK) {
        rc = note_card(r, "enrol", card, "", now_ms, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
out:
    store_rollback(r->store);
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The text in a column, as the card that its owner signed. */
static RC card_at(struct statement *st, int column, struct seal_card *out, struct error *err)
{
    const char *text = statement_text(st, column);
    if (text == NULL) {
        return error_set(err, RC_FORMAT, "the registry is damaged: a card without text");
    }
    if (seal_card_parse("a card", text, strlen(text), out, err) != RC_OK) {
        err->rc = RC_FORMAT;
        return error_context(err, "the registry is damaged");
    }
    return RC_OK;
}

/* One row of REGISTRY_CARDS. What the text says and what is looked up must be the same. */
static RC newest_at(struct statement *st, struct seal_card *out, struct error *err)
{
    const enum rc rc = card_at(st, 1, out, err);
    if (rc != RC_OK) {
        return rc;
    }
    const char *name = statement_text(st, 0);
    if (name == NULL || strcmp(name, out->name) != 0 || !column_is(st, 4, out->sign.b) ||
        !column_is(st, 5, out->curve.b) || out->role != SEAL_SITE) {
        return error_set(err, RC_FORMAT, "the registry is damaged: the card of '%s' is another one",
                         out->name);
    }
    return RC_OK;
}

enum rc registry_each_card(struct registry *r,
                           void (*each)(void *ctx, const struct seal_card *card,
                                        int64_t enrolled_ms, int64_t revoked_ms),
                           void *ctx, struct error *err)
{
    struct statement *st = r->st[REGISTRY_CARDS];

    registry_take_back(r);
    for (;;) {
        struct seal_card card = {0};
        bool row = false;

        enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        rc = newest_at(st, &card, err);
        if (rc != RC_OK) {
            statement_reset(st);
            return rc;
        }
        each(ctx, &card, statement_i64(st, 2), statement_i64(st, 3));
    }
}

enum rc registry_version(struct registry *r, uint64_t *version, struct error *err)
{
    struct statement *st = r->st[REGISTRY_DATA_VERSION];
    bool row = false;

    registry_take_back(r);
    const enum rc rc = statement_step(st, &row, err);
    if (rc != RC_OK) {
        return rc;
    }
    *version = row ? (uint64_t)statement_i64(st, 0) : 0;
    statement_reset(st);
    return RC_OK;
}

/* ---- revoking -------------------------------------------------------------------------------- */

static RC nobody(struct registry *r, const char *name, struct error *err)
{
    char names[160];
    const enum rc rc =
        registry_list(r->st[REGISTRY_NAMES_OF_CARDS], "nobody yet", names, sizeof names, err);
    return rc == RC_OK ? error_set(err, RC_INVALID, "no site '%.40s' is enrolled; enrolled are: %s",
                                   name, names)
                       : rc;
}

enum rc registry_revoke(struct registry *r, const char *name, const char *reason, int64_t now_ms,
                        struct error *err)
{
    struct statement *newest = r->st[REGISTRY_NEWEST_CARD];
    struct statement *st = r->st[REGISTRY_REVOKE_CARD];
    struct seal_card card = {0};
    char why[REGISTRY_REASON];
    bool row = false;
    bool revoked = false;
    int64_t id = 0;

    enum rc rc = registry_lock(r, err);
    if (rc == RC_OK) {
        statement_bind_text(newest, name);
        rc = statement_step(newest, &row, err);
    }
    if (rc == RC_OK && !row) {
        rc = nobody(r, name, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    id = statement_i64(newest, 0);
    revoked = !statement_is_null(newest, 1);
    rc = card_at(newest, 2, &card, err);
    statement_reset(newest);
    if (rc != RC_OK || revoked) {
        goto out;
    }
    registry_reason(why, reason);
    statement_bind_i64(st, now_ms);
    statement_bind_text(st, why);
    statement_bind_i64(st, id);
    rc = statement_run(st, err);
    if (rc == RC_OK) {
        rc = note_card(r, "revoke", &card, why, now_ms, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
out:
    store_rollback(r->store);
    return rc;
}
