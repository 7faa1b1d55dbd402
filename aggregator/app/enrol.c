/* enrol and revoke: who may connect. Both work while `run` is running: it looks before every message. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "aggregator/app/folder.h"
#include "aggregator/app/words.h"
#include "common/base/clock.h"

enum { FINGERPRINT_DIGITS = 40 };

/* ---- comparing ------------------------------------------------------------------------------- */

/* Digits in any groups, as people write them down. */
static bool is_fingerprint(const char *text)
{
    size_t digits = 0;
    for (const char *c = text; *c != '\0'; c++) {
        digits += *c >= '0' && *c <= '9';
    }
    return digits == FINGERPRINT_DIGITS && strspn(text, "0123456789- ") == strlen(text);
}

static RC compare_typed(const struct words *w, const struct seal_card *card,
                        const char *fingerprint, struct error *err)
{
    if (seal_fingerprint_matches(card, w->fingerprint)) {
        return RC_OK;
    }
    return error_set(err, RC_AUTH,
                     "the card '%.60s' has the fingerprint %s, another one than was given; ask the "
                     "site to read out its own: if they differ, the card was exchanged on its way",
                     w->arg, fingerprint);
}

/* *yes: a person says that the fingerprint is the one that the site read out. */
static RC ask(const struct seal_card *card, enum verdict *verdict, struct error *err)
{
    char line[16] = "";
    (void)printf("Has somebody at '%s' read you this fingerprint, by telephone or in person? Type "
                 "yes to enrol: ",
                 card->name);
    if (fflush(stdout) != 0) {
        return error_set(err, RC_IO, "cannot write to stdout");
    }
    if (fgets(line, sizeof line, stdin) == NULL || strcmp(line, "yes\n") != 0) {
        *verdict = VERDICT_NO;
        (void)printf("'%s' is not enrolled; ask somebody there to read you the fingerprint that "
                     "`wardround-agent init` shows, and run this again\n",
                     card->name);
    }
    return RC_OK;
}

static RC compare(const struct words *w, const struct seal_card *card, enum verdict *verdict,
                  struct error *err)
{
    char fingerprint[SEAL_FINGERPRINT];
    seal_fingerprint(card, fingerprint);
    (void)printf("%s '%s', fingerprint %s\n", seal_role_name(card->role), card->name, fingerprint);
    if (w->fingerprint != NULL && !is_fingerprint(w->fingerprint)) {
        *verdict = VERDICT_WRONG_USE;
        return error_set(err, RC_INVALID,
                         "'%.60s' is no fingerprint: give all %d digits that the site read out",
                         w->fingerprint, FINGERPRINT_DIGITS);
    }
    if (w->fingerprint != NULL) {
        return compare_typed(w, card, fingerprint, err);
    }
    if (isatty(STDIN_FILENO) != 0) {
        return ask(card, verdict, err);
    }
    *verdict = VERDICT_WRONG_USE;
    return error_set(err, RC_INVALID,
                     "nobody is at the terminal to compare the fingerprint; give the one that the "
                     "site read out: --fingerprint 12345-...");
}

/* ---- enrol ----------------------------------------------------------------------------------- */

static RC read_card(const struct words *w, struct seal_card *card, struct error *err)
{
    const enum rc rc = seal_card_read(w->arg, card, err);
    if (rc != RC_OK || card->role == SEAL_SITE) {
        return rc;
    }
    return error_set(err, RC_INVALID,
                     "'%.100s' is the card of a %s, and sites are enrolled; ask the site for the "
                     "card that its `wardround-agent init` made",
                     w->arg, seal_role_name(card->role));
}

enum rc command_enrol(const struct words *w, enum verdict *verdict, struct config_issues *issues,
                      struct error *err)
{
    struct folder f = {0};
    struct seal_card card = {0};
    struct registry *r = NULL;

    enum rc rc = folder_open(w->folder, &f, issues, err);
    if (rc == RC_OK) {
        rc = read_card(w, &card, err);
    }
    if (rc == RC_OK) {
        rc = folder_registry(&f, &r, err);
    }
    if (rc == RC_OK) {
        rc = compare(w, &card, verdict, err);
    }
    if (rc == RC_OK && *verdict == VERDICT_YES) {
        rc = registry_enrol(r, &card, clock_wall_ms(), err);
    }
    if (rc == RC_OK && *verdict == VERDICT_YES) {
        (void)printf("enrolled: '%s' may connect from now on\n", card.name);
    }
    registry_close(&r);
    return rc;
}

/* ---- revoke ---------------------------------------------------------------------------------- */

enum rc command_revoke(const struct words *w, enum verdict *verdict, struct config_issues *issues,
                       struct error *err)
{
    struct folder f = {0};
    struct registry *r = NULL;

    (void)verdict;
    enum rc rc = folder_open(w->folder, &f, issues, err);
    if (rc == RC_OK) {
        rc = folder_registry(&f, &r, err);
    }
    if (rc == RC_OK) {
        rc = registry_revoke(r, w->arg, w->reason, clock_wall_ms(), err);
    }
    if (rc == RC_OK) {
        (void)printf("revoked: '%s' is not listened to from now on, and its keys never again; to "
                     "come back it moves keys/site.key and its card away, runs `wardround-agent "
                     "init` again, and you enrol the new card\n",
                     w->arg);
    }
    registry_close(&r);
    return rc;
}
