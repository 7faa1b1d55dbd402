#include "agent/app/roster.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/app/site.h"
#include "common/seal/seal.h"

/* The card in this file, if it is that of a site with this name. */
static bool card_at(const char *folder, const char *file, const char *name, struct seal_card *card)
{
    char path[SITE_PATH_MAX];
    struct error ignored = {0};
    return site_path(folder, file, path, &ignored) == RC_OK && access(path, F_OK) == 0 &&
           seal_card_read(path, card, &ignored) == RC_OK && card->role == SEAL_SITE &&
           strcmp(card->name, name) == 0;
}

static bool has_key(const struct seal_card *card, const struct study_site *site)
{
    return memcmp(card->sign.b, site->key, sizeof site->key) == 0;
}

static bool peer_card(const char *folder, const struct study_site *site, struct seal_card *card)
{
    char file[SEAL_NAME_MAX + 32];
    (void)snprintf(file, sizeof file, "keys/peers/%s.card", site->name);
    return card_at(folder, file, site->name, card);
}

bool roster_confirmed(const char *folder, const struct study_site *site)
{
    struct seal_card card;
    return peer_card(folder, site, &card) && has_key(&card, site);
}

static bool is_own_key(const char *folder, const struct study_site *site)
{
    char file[SEAL_NAME_MAX + 8];
    struct seal_card card;
    (void)snprintf(file, sizeof file, "%s.card", site->name);
    return card_at(folder, file, site->name, &card) && has_key(&card, site);
}

struct mask_terms roster_terms(const struct study *s)
{
    return (struct mask_terms){.n_sites = s->n_sites,
                               .min_sites = s->min_sites,
                               .max_colluding = s->max_colluding,
                               .threshold_least = s->threshold,
                               .neighbours = s->neighbours,
                               .shares = s->neighbour_threshold};
}

/* Who is missing first: one name is enough to begin with. */
static void name_stranger(const char *folder, const struct study_site *first, size_t strangers,
                          char out[STUDY_NAME_MAX + 64])
{
    struct seal_card card;
    const int n =
        snprintf(out, STUDY_NAME_MAX + 64, "not %s%s", first->name,
                 peer_card(folder, first, &card) ? " (the card here has another key)" : "");
    if (strangers > 1) {
        (void)snprintf(out + n, STUDY_NAME_MAX + 64 - (size_t)n, " and %zu more", strangers - 1);
    }
}

void roster_obstacle(const char *folder, const struct study *s, size_t own, char why[ROSTER_WHY])
{
    const struct mask_terms terms = roster_terms(s);
    const struct study_site *first = NULL;
    struct error unfit = {0};
    size_t known = 0;
    why[0] = '\0';
    for (size_t i = 0; i < s->n_sites; i++) {
        const struct study_site *site = &s->site[i];
        if (!site->keyed) {
            (void)snprintf(why, ROSTER_WHY, "its sums are masked, and it has no key for site '%s'",
                           site->name);
            return;
        }
        const size_t same = study_key_first(s, i);
        if (same < i) {
            (void)snprintf(why, ROSTER_WHY,
                           "its sums are masked, and sites '%s' and '%s' have one key; its "
                           "coordinator can write each card's own",
                           s->site[same].name, site->name);
            return;
        }
        if (i == own && !is_own_key(folder, site)) {
            (void)snprintf(why, ROSTER_WHY,
                           "its sums are masked, and it has another key for this site than %s.card",
                           site->name);
            return;
        }
        if (i == own || roster_confirmed(folder, site)) {
            known++;
        } else if (first == NULL) {
            first = site;
        }
    }
    const size_t strangers = s->n_sites - known;
    if (known < s->min_sites ||
        2 * mask_threshold(&terms) <= s->n_sites + s->max_colluding + strangers ||
        mask_terms_check(&terms, strangers, &unfit) != RC_OK) {
        char who[STUDY_NAME_MAX + 64] = "";
        if (first != NULL) {
            name_stranger(folder, first, strangers, who);
        }
        (void)snprintf(
            why, ROSTER_WHY,
            "its sums are masked, and of its %zu sites' cards only %zu were confirmed "
            "here, %s; get the others' and run wardround-agent trust %s NAME.card --peer",
            s->n_sites, known, who, folder);
    }
}
