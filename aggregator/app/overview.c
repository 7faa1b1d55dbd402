#include "aggregator/app/overview.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/app/report.h"
#include "common/base/text.h"

static RC no_memory(struct error *err)
{
    return error_set(err, RC_NOMEM, "no memory for the overview");
}

/* ---- lists that grow as the registry tells them ---------------------------------------------- */

struct gathering {
    struct overview *o;
    bool full; /* no memory: the registry's callbacks cannot fail */
};

/* One more zeroed element of `size` bytes, or NULL. */
static void *one_more(void *list, size_t n, size_t size)
{
    void *grown = realloc(list, (n + 1) * size);
    if (grown != NULL) {
        memset((char *)grown + n * size, 0, size);
    }
    return grown;
}

static void add_card(void *ctx, const struct seal_card *card, int64_t enrolled_ms,
                     int64_t revoked_ms)
{
    struct gathering *g = ctx;
    struct overview *o = g->o;
    struct overview_card *grown = one_more(o->card_of_site, o->n_cards, sizeof *grown);
    if (grown == NULL) {
        g->full = true;
        return;
    }
    o->card_of_site = grown;
    grown[o->n_cards++] = (struct overview_card){*card, enrolled_ms, revoked_ms};
}

static void add_study(void *ctx, const struct registry_study *study)
{
    struct gathering *g = ctx;
    struct overview *o = g->o;
    struct overview_study *grown = one_more(o->study, o->n_studies, sizeof *grown);
    if (grown == NULL) {
        g->full = true;
        return;
    }
    o->study = grown;
    grown[o->n_studies++].study = *study;
}

/* ---- the sites of a study -------------------------------------------------------------------- */

enum rc overview_agreement(struct registry *r, const struct seal_card *card,
                           const struct hash *study, struct agreement *out, struct error *err)
{
    const void *bytes = NULL;
    size_t n = 0;
    const enum rc rc = registry_agreement(r, study, &bytes, &n, err);
    return rc == RC_OK ? agreement_verify(bytes, n, &card->sign, out, err) : rc;
}

/* Names and quorum. Without an agreement (the coordinator died before it was kept), or with one that this
 * program refuses, sites are numbers: one old study is no reason to show none. */
static RC name_sites(struct registry *r, const struct seal_card *card, struct overview_study *s,
                     struct error *err)
{
    struct agreement a = {0};
    struct error why = {0};
    const enum rc rc = overview_agreement(r, card, &s->study.hash, &a, &why);
    if (rc == RC_NOMEM || rc == RC_IO) {
        *err = why;
        return error_context(err, "study '%s'", s->study.name);
    }
    if (rc != RC_OK && rc != RC_STATE) {
        (void)snprintf(s->refused, sizeof s->refused, "%s", why.text);
    }
    for (size_t i = 0; i < s->n_sites; i++) {
        if (rc == RC_OK && i < a.study.n_sites) {
            (void)snprintf(s->site[i].name, sizeof s->site[i].name, "%s", a.study.site[i].name);
        } else {
            (void)snprintf(s->site[i].name, sizeof s->site[i].name, "site %zu", i);
        }
    }
    s->quorum = a.study.quorum;
    agreement_release(&a);
    return RC_OK;
}

/* The machine as a restart would find it. */
static RC read_machine(struct registry *r, struct overview_study *s, struct error *err)
{
    const uint64_t known = s->study.rounds;
    const uint64_t least = s->study.rounds_finished + 1;
    struct round_machine m;

    round_init(&m, s->n_sites, 1, known > 0 ? known : least, 1, 1, 0);
    /* How many rounds it may lose is not looked at: `run` may have lost one since the study was read. */
    round_mask(&m, UINT64_MAX - m.rounds, 0);
    const enum rc rc = registry_restore(r, &s->study.hash, &m, err);
    for (size_t i = 0; rc == RC_OK && i < s->n_sites; i++) {
        s->site[i].member = m.member[i];
        s->site[i].part = m.part[i];
    }
    if (rc == RC_OK && m.state == ROUND_FAILED) {
        s->round_settled = m.round;
    }
    return rc;
}

static RC read_settled(struct registry *r, struct overview_study *s, struct error *err)
{
    bool contributed[ROUND_SITES_MAX] = {false};
    bool found = false;
    bool failed = false;
    char reason[240];

    if (s->round_settled == 0) {
        s->round_settled = s->study.rounds_finished;
    }
    if (s->round_settled == 0) {
        return RC_OK;
    }
    enum rc rc = registry_outcome(r, &s->study.hash, s->round_settled, &found, contributed,
                                  s->n_sites, &failed, reason, err);
    for (size_t i = 0; rc == RC_OK && i < s->n_sites; i++) {
        s->site[i].contributed = contributed[i];
        if (!contributed[i]) {
            rc = registry_absence(r, &s->study.hash, s->round_settled, i, s->site[i].absence, err);
            text_make_printable(s->site[i].absence);
        }
    }
    return rc;
}

bool overview_has_ended(const struct registry_study *study)
{
    return study->state == REGISTRY_FINISHED || study->state == REGISTRY_STUDY_FAILED;
}

/* What the registry has no reason for. */
static void explain(const struct overview *o, const struct registry_study *study,
                    struct overview_site *site)
{
    const bool ended = overview_has_ended(study);
    for (size_t i = 0; i < o->n_cards; i++) {
        const struct overview_card *c = &o->card_of_site[i];
        if (strcmp(c->card.name, site->name) == 0 && c->revoked_ms != 0) {
            site->revoked = !ended || c->revoked_ms <= study->changed_ms;
        }
    }
    if (site->member == ROUND_UNKNOWN && site->absence[0] != '\0') {
        (void)snprintf(site->absence, sizeof site->absence, "%s",
                       site->revoked ? REPORT_REVOKED : REPORT_NO_ANSWER);
    }
}

static RC read_sites(struct registry *r, const struct overview *o, struct overview_study *s,
                     struct error *err)
{
    assert(s->study.n_sites <= ROUND_SITES_MAX);
    s->site = calloc(s->study.n_sites + 1, sizeof *s->site);
    if (s->site == NULL) {
        return no_memory(err);
    }
    s->n_sites = s->study.n_sites;
    text_make_printable(s->study.reason);
    enum rc rc = name_sites(r, &o->card, s, err);
    if (rc == RC_OK) {
        rc = read_machine(r, s, err);
    }
    if (rc == RC_OK) {
        rc = read_settled(r, s, err);
    }
    for (size_t i = 0; rc == RC_OK && i < s->n_sites; i++) {
        enum round_member answer = ROUND_UNKNOWN;
        rc = registry_member(r, &s->study.hash, i, &answer, s->site[i].said, err);
        text_make_printable(s->site[i].said);
        explain(o, &s->study, &s->site[i]);
    }
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------- */

enum rc overview_read(const struct folder *f, struct registry *r, struct overview *out,
                      struct error *err)
{
    struct overview o = {0};
    struct gathering g = {.o = &o};

    enum rc rc = folder_card(f, &o.card, err);
    if (rc == RC_OK) {
        rc = registry_each_card(r, add_card, &g, err);
    }
    if (rc == RC_OK) {
        rc = registry_each_study(r, add_study, &g, err);
    }
    if (rc == RC_OK && g.full) {
        rc = no_memory(err);
    }
    for (size_t i = 0; rc == RC_OK && i < o.n_studies; i++) {
        rc = read_sites(r, &o, &o.study[i], err);
    }
    if (rc == RC_OK) {
        *out = o;
        o = (struct overview){0};
    }
    overview_release(&o);
    return rc;
}

void overview_release(struct overview *o)
{
    for (size_t i = 0; i < o->n_studies; i++) {
        free(o->study[i].site);
    }
    free(o->study);
    free(o->card_of_site);
    *o = (struct overview){0};
}

const char *overview_state_name(enum registry_study_state state)
{
    static const char *const name[] = {
        [REGISTRY_JOINING] = "joining",
        [REGISTRY_RUNNING] = "running",
        [REGISTRY_FINISHED] = "finished",
        [REGISTRY_STUDY_FAILED] = "failed",
    };
    return name[state];
}
