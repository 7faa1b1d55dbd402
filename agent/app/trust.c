/*
 * trust: a card becomes the coordinator's, or with --peer another hospital's, once a person has
 * compared its fingerprint with what its owner told them. The fingerprint of an unconfirmed card is
 * not shown: it would only be copied back.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/app/people.h"
#include "agent/app/report.h"
#include "agent/app/site.h"
#include "agent/app/words.h"

enum standing { NEW, SAME, MOVED, OTHER };

static const char *owner(const struct words *w)
{
    return w->peer ? "the other hospital" : "the coordinator";
}

/* A card that was changed keeps the sentence that says so. */
static enum rc read_card(const struct words *w, struct seal_card *card, struct error *err)
{
    const enum rc rc = seal_card_read(w->arg, card, err);
    if (rc == RC_OK || rc == RC_AUTH || rc == RC_NOMEM) {
        return rc;
    }
    return error_set(err, rc, "'%.120s' %s; ask %s for its NAME.card", w->arg,
                     access(w->arg, R_OK) == 0   ? "is no card"
                     : access(w->arg, F_OK) == 0 ? "may not be read by this user"
                                                 : "is not there",
                     owner(w));
}

bool trust_is_fingerprint(const char *typed)
{
    size_t n = 0;
    for (; *typed != '\0'; typed++) {
        n += *typed >= '0' && *typed <= '9';
        if (strchr("0123456789 -.:/", *typed) == NULL) {
            return false;
        }
    }
    return n == 40;
}

static enum rc check_role(const struct words *w, const struct seal_card *card, struct error *err)
{
    const enum seal_role want = w->peer ? SEAL_SITE : SEAL_COORDINATOR;
    if (card->role == want) {
        return RC_OK;
    }
    return error_set(err, RC_INVALID, "'%.120s' is the card of a %s, '%s'; %s", w->arg,
                     seal_role_name(card->role), card->name,
                     w->peer ? "leave out --peer to trust a coordinator"
                             : "to trust another hospital, add --peer");
}

/* Another hospital's card may be our own by mistake. */
static enum rc check_not_own(const struct words *w, const struct seal_card *card, struct error *err)
{
    struct seal_keys *keys = NULL;
    struct seal_public own;
    struct seal_curve ignored;
    const enum rc rc = site_keys(w->folder, &keys, err);
    if (rc != RC_OK) {
        return rc;
    }
    seal_keys_public(keys, &own, &ignored);
    seal_keys_close(&keys);
    if (memcmp(&own, &card->sign, sizeof own) == 0) {
        return error_set(err, RC_INVALID,
                         "'%.120s' is this hospital's own card; trust the one that %s sent", w->arg,
                         owner(w));
    }
    return RC_OK;
}

static enum rc place_of(const struct words *w, const struct seal_card *card,
                        char path[SITE_PATH_MAX], struct error *err)
{
    char file[SEAL_NAME_MAX + 32];
    if (w->peer) {
        (void)snprintf(file, sizeof file, "keys/peers/%s.card", card->name);
    } else {
        (void)snprintf(file, sizeof file, "keys/coordinator.card");
    }
    return site_path(w->folder, file, path, err);
}

/* The fingerprint covers role, name and keys; only the address may move without a new telephone
 * call, because the trusted key has signed the new one. */
static enum rc compare(const char *path, const struct seal_card *card, struct seal_card *there,
                       enum standing *out, struct error *err)
{
    char a[SEAL_FINGERPRINT];
    char b[SEAL_FINGERPRINT];
    *out = NEW;
    if (access(path, F_OK) != 0) {
        return RC_OK;
    }
    const enum rc rc = seal_card_read(path, there, err);
    if (rc != RC_OK) {
        return error_context(err, "the trusted card cannot be read; remove it to begin anew");
    }
    seal_fingerprint(card, a);
    seal_fingerprint(there, b);
    if (strcmp(a, b) != 0) {
        *out = OTHER;
    } else {
        *out = strcmp(card->address, there->address) == 0 ? SAME : MOVED;
    }
    return RC_OK;
}

static enum rc confirm(const struct words *w, const struct seal_card *card, enum standing standing,
                       const struct seal_card *there, struct error *err)
{
    char typed[128];
    char question[256];
    const char *fingerprint = w->fingerprint;
    if (fingerprint == NULL && standing == OTHER) {
        return error_set(err, RC_STATE,
                         "another card is trusted already, of '%s'; to replace it, add "
                         "--fingerprint with what %s told you by telephone",
                         there->name, owner(w));
    }
    if (fingerprint == NULL) {
        (void)snprintf(question, sizeof question,
                       "Fingerprint of '%s', as %s told you by telephone: ", card->name, owner(w));
        if (!people_ask(question, typed, sizeof typed)) {
            return error_set(
                err, RC_INVALID,
                "nobody confirmed the card: add --fingerprint with what %s told you by "
                "telephone, or run this on a terminal",
                owner(w));
        }
        fingerprint = typed;
    }
    if (!trust_is_fingerprint(fingerprint)) {
        return error_set(err, RC_INVALID,
                         "a fingerprint is 40 digits in groups of five, as %s reads it to you; "
                         "nothing is trusted yet",
                         owner(w));
    }
    if (seal_fingerprint_matches(card, fingerprint) == 0) {
        return error_set(err, RC_AUTH,
                         "that is not this card's fingerprint: the card may have been exchanged on "
                         "its way; nothing is trusted, ask %s again",
                         owner(w));
    }
    return RC_OK;
}

static enum rc say(const struct words *w, const struct seal_card *card, enum standing standing,
                   const struct seal_card *there, struct error *err)
{
    char fingerprint[SEAL_FINGERPRINT];
    seal_fingerprint(card, fingerprint);
    if (w->json) {
        static const char *const names[] = {
            [NEW] = "new", [SAME] = "same", [MOVED] = "moved", [OTHER] = "replaced"};
        json_t *o = json_object();
        (void)json_object_set_new(o, "name", json_string(card->name));
        (void)json_object_set_new(o, "role", json_string(seal_role_name(card->role)));
        (void)json_object_set_new(o, "address", json_string(card->address));
        (void)json_object_set_new(o, "fingerprint", json_string(fingerprint));
        (void)json_object_set_new(o, "standing", json_string(names[standing]));
        return report_print(o, err);
    }
    if (standing == OTHER) {
        (void)printf("'%s' is no longer trusted: replaced\n", there->name);
    }
    (void)printf("%s %s '%s'%s%s\nfingerprint: %s\n",
                 standing == SAME ? "trusted already:" : "trusted:", seal_role_name(card->role),
                 card->name, card->address[0] != '\0' ? " at " : "", card->address, fingerprint);
    if (standing == MOVED) {
        (void)printf("its address was %s\n", there->address);
    }
    if (!w->peer) {
        (void)printf("Next: wardround-agent check %s\n", w->folder);
    }
    return RC_OK;
}

enum rc command_trust(const struct words *w, bool *yes, struct config_issues *issues,
                      struct error *err)
{
    (void)issues;
    char path[SITE_PATH_MAX];
    struct seal_card card;
    struct seal_card there = {0};
    enum standing standing = NEW;

    enum rc rc = read_card(w, &card, err);
    if (rc == RC_OK) {
        rc = check_role(w, &card, err);
    }
    if (rc == RC_OK) {
        rc = check_not_own(w, &card, err);
    }
    if (rc == RC_OK) {
        rc = place_of(w, &card, path, err);
    }
    if (rc == RC_OK) {
        rc = compare(path, &card, &there, &standing, err);
    }
    if (rc == RC_OK && (standing == NEW || standing == OTHER || w->fingerprint != NULL)) {
        rc = confirm(w, &card, standing, &there, err);
    }
    if (rc == RC_OK && standing != SAME) {
        rc = seal_card_write(path, &card, err);
    }
    if (rc == RC_OK) {
        rc = say(w, &card, standing, &there, err);
    }
    *yes = true;
    return rc;
}
