/* status: who is enrolled, where each study is, and what a running aggregator is doing. Only reads. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/app/folder.h"
#include "aggregator/app/overview.h"
#include "aggregator/app/report.h"
#include "aggregator/app/words.h"
#include "common/base/clock.h"

enum { PENDING_MAX = 240 };

/* What belongs to the moment rather than to the registry. */
struct now {
    bool running;
    int64_t pid;  /* 0: not known */
    json_t *live; /* live.json of the one that runs; NULL: none (yet) */
};

static const char *const member_name[] = {
    [ROUND_UNKNOWN] = "unknown",
    [ROUND_ACCEPTED] = "accepted",
    [ROUND_MEMBER_DECLINED] = "declined",
};
static const char *const part_name[] = {
    [ROUND_WAITED_FOR] = "waited_for",
    [ROUND_CONTRIBUTED] = "contributed",
    [ROUND_SAT_OUT] = "sat_out",
    [ROUND_NOT_DRAWN] = "not_drawn",
};

/* A live.json without a live process is what the last one left behind. */
static RC look(const struct folder *f, struct now *now, struct error *err)
{
    char path[FOLDER_PATH_MAX];
    enum rc rc = folder_running(f, &now->running, &now->pid, err);
    if (rc == RC_OK) {
        rc = folder_path(f->path, "live.json", path, err);
    }
    if (rc != RC_OK || !now->running) {
        return rc;
    }
    now->live = json_load_file(path, 0, NULL);
    const json_int_t writer = json_integer_value(json_object_get(now->live, "pid"));
    if (now->pid > 0 && writer != (json_int_t)now->pid) {
        json_decref(now->live); /* of an earlier life */
        now->live = NULL;
    }
    return RC_OK;
}

/* The running aggregator's words about a site of this study, or NULL. */
static const json_t *live_site(const struct now *now, const struct registry_study *study,
                               const char *name)
{
    char hex[HASH_HEX];
    size_t i;
    const json_t *site;
    const char *of = json_string_value(json_object_get(now->live, "hash"));
    hash_hex(&study->hash, hex);
    if (of == NULL || strcmp(of, hex) != 0) {
        return NULL;
    }
    json_array_foreach(json_object_get(now->live, "sites"), i, site)
    {
        const char *found = json_string_value(json_object_get(site, "name"));
        if (found != NULL && strcmp(found, name) == 0) {
            return site;
        }
    }
    return NULL;
}

/* The file is as old as the last thing that happened. */
static int64_t heard_s(const struct now *now, const json_t *site)
{
    const int64_t written_ms = json_integer_value(json_object_get(now->live, "written_ms"));
    const int64_t age_s = (clock_wall_ms() - written_ms) / 1000;
    return json_integer_value(json_object_get(site, "heard_s")) + (age_s > 0 ? age_s : 0);
}

/* Why a site's answer is missing: to the study, or to the round that is open. "" if nothing is. */
static void pending(const struct now *now, const struct overview_study *s,
                    const struct overview_site *site, char out[PENDING_MAX])
{
    const json_t *live = live_site(now, &s->study, site->name);
    const bool connected = json_is_true(json_object_get(live, "connected"));
    const bool unknown = site->member == ROUND_UNKNOWN;
    const bool waited =
        s->study.round_open > 0 && site->member == ROUND_ACCEPTED && site->part == ROUND_WAITED_FOR;
    out[0] = '\0';
    if (!unknown && (!waited || overview_has_ended(&s->study))) {
        return;
    }
    if (site->revoked) {
        (void)snprintf(out, PENDING_MAX, "%s", REPORT_REVOKED);
    } else if (overview_has_ended(&s->study)) {
        (void)snprintf(out, PENDING_MAX, "%s", REPORT_NO_ANSWER);
    } else if (live == NULL) {
        (void)snprintf(out, PENDING_MAX, "%s", unknown ? "no answer yet" : "waited for");
    } else if (!json_is_true(json_object_get(live, "enrolled"))) {
        (void)snprintf(out, PENDING_MAX, "%s", REPORT_NOT_ENROLLED);
    } else if (!connected) {
        (void)snprintf(out, PENDING_MAX, "%s%s", unknown ? "" : "waited for; ", REPORT_NEVER_HEARD);
    } else {
        (void)snprintf(out, PENDING_MAX, "%s; heard of %" PRId64 " s ago",
                       unknown ? REPORT_NOT_ACCEPTED : "waited for", heard_s(now, live));
    }
}

/* ---- for people ------------------------------------------------------------------------------ */

static void say_progress(const json_t *live)
{
    const json_t *steps = json_object_get(live, "steps");
    if (json_integer_value(steps) > 0) {
        (void)printf(", step %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT,
                     json_integer_value(json_object_get(live, "step")), json_integer_value(steps));
    }
    if (json_is_true(json_object_get(live, "stalled"))) {
        (void)printf(", stands still");
    }
}

/* Of a site that has answered all that it was asked. */
static void say_heard(const struct now *now, const json_t *live)
{
    if (json_is_true(json_object_get(live, "connected"))) {
        (void)printf("; heard of %" PRId64 " s ago", heard_s(now, live));
        say_progress(live);
    } else if (live != NULL) {
        (void)printf("; %s", REPORT_NEVER_HEARD);
    }
}

static void say_site(const struct overview_study *s, const struct overview_site *site,
                     const struct now *now)
{
    const json_t *live = live_site(now, &s->study, site->name);
    char why[PENDING_MAX];
    pending(now, s, site, why);
    if (site->member == ROUND_UNKNOWN) {
        (void)printf("    %-20s %s\n", site->name, why);
        return;
    }
    (void)printf("    %-20s %s", site->name, member_name[site->member]);
    if (site->said[0] != '\0') {
        (void)printf(": %s", site->said);
    }
    if (s->round_settled > 0) {
        (void)printf("; round %" PRIu64 ": %s", s->round_settled,
                     site->contributed ? "contributed" : site->absence);
    }
    if (why[0] != '\0') {
        (void)printf("; round %" PRIu64 ": %s", s->study.round_open, why);
        say_progress(site->revoked ? NULL : live);
        (void)printf("\n");
        return;
    }
    if (s->study.round_open > 0 && site->member == ROUND_ACCEPTED) {
        (void)printf("; round %" PRIu64 ": %s", s->study.round_open,
                     site->part == ROUND_CONTRIBUTED ? "its update is here" : "sits out");
    }
    if (!site->revoked) {
        say_heard(now, live);
    } else if (strcmp(site->absence, REPORT_REVOKED) != 0) {
        (void)printf("; %s", REPORT_REVOKED);
    }
    (void)printf("\n");
}

static void say_study(const struct overview_study *s, const struct now *now)
{
    const struct registry_study *study = &s->study;
    char hex[HASH_HEX];
    char of[32] = "";
    char when[REPORT_TIME];

    hash_hex(&study->hash, hex);
    report_time(study->changed_ms, when);
    if (study->rounds > 0) {
        (void)snprintf(of, sizeof of, " of %" PRIu64, study->rounds + study->rounds_lost);
    }
    (void)printf("  %s (%.16s): %s, ", study->name, hex, overview_state_name(study->state));
    if (study->round_open > 0) {
        (void)printf("round %" PRIu64 "%s", study->round_open, of);
    } else {
        (void)printf("%" PRIu64 "%s rounds done", study->rounds_finished, of);
    }
    if (study->rounds_lost > 0) {
        (void)printf(" (%" PRIu64 " lost)", study->rounds_lost);
    }
    (void)printf("; %zu of %zu accepted, %zu declined", study->n_accepted, study->n_sites,
                 study->n_declined);
    if (s->quorum > 0) {
        (void)printf(", quorum %zu", s->quorum);
    }
    (void)printf("; last change %s\n", when);
    if (study->reason[0] != '\0') {
        (void)printf("    it failed: %s\n", study->reason);
    } else if (study->abort_requested && study->state != REGISTRY_FINISHED) {
        (void)printf("    it is to stop: `run` has yet to tell the sites\n");
    }
    if (s->refused[0] != '\0') {
        (void)printf(
            "    this program does not read what was agreed on, so sites are numbers: %s\n",
            s->refused);
    }
    for (size_t i = 0; i < s->n_sites; i++) {
        say_site(s, &s->site[i], now);
    }
}

static void say(const struct folder *f, const struct overview *o, const struct now *now)
{
    char fingerprint[SEAL_FINGERPRINT];
    char when[REPORT_TIME];

    seal_fingerprint(&o->card, fingerprint);
    (void)printf("coordinator '%s', %s, fingerprint %s\n", f->name, f->address, fingerprint);
    if (now->running && now->pid > 0) {
        (void)printf("running: process %" PRId64 "\n", now->pid);
    } else {
        (void)printf("%s\n", now->running ? "running" : "not running");
    }
    const json_int_t knocked =
        json_integer_value(json_object_get(json_object_get(now->live, "door"), "refused_key"));
    if (knocked > 0) {
        (void)printf("refused at the door: %" JSON_INTEGER_FORMAT " connections with keys of no "
                     "enrolled card; if a site waits, enrol its card: wardround-aggregator enrol "
                     "%s SITE.card\n",
                     knocked, f->path);
    }
    (void)printf("sites:%s\n", o->n_cards > 0 ? "" : " nobody is enrolled yet");
    for (size_t i = 0; i < o->n_cards; i++) {
        const struct overview_card *c = &o->card_of_site[i];
        const bool revoked = c->revoked_ms != 0;
        seal_fingerprint(&c->card, fingerprint);
        report_time(revoked ? c->revoked_ms : c->enrolled_ms, when);
        (void)printf("  %-20s %s  %s %s\n", c->card.name, fingerprint,
                     revoked ? "REVOKED" : "enrolled", when);
    }
    (void)printf("studies:%s\n", o->n_studies > 0 ? "" : " none yet");
    for (size_t i = 0; i < o->n_studies; i++) {
        say_study(&o->study[i], now);
    }
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static json_t *card_json(const struct overview_card *c)
{
    char fingerprint[SEAL_FINGERPRINT];
    seal_fingerprint(&c->card, fingerprint);
    return json_pack("{s:s, s:s, s:I, s:o}", "name", c->card.name, "fingerprint", fingerprint,
                     "enrolled_ms", (json_int_t)c->enrolled_ms, "revoked_ms",
                     c->revoked_ms != 0 ? json_integer((json_int_t)c->revoked_ms) : json_null());
}

static json_t *site_json(const struct overview_study *s, const struct overview_site *site,
                         const struct now *now)
{
    char why[PENDING_MAX];
    pending(now, s, site, why);
    json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:s}", "name", site->name, "member",
                          member_name[site->member], "reason", site->said, "revoked",
                          (int)site->revoked, "pending", why);
    if (s->round_settled > 0) {
        (void)json_object_set_new(o, "contributed", json_boolean(site->contributed));
        (void)json_object_set_new(o, "absence", json_string(site->absence));
    }
    if (s->study.round_open > 0 && site->member == ROUND_ACCEPTED) {
        (void)json_object_set_new(o, "part", json_string(part_name[site->part]));
    }
    return o;
}

static json_t *study_json(const struct overview_study *s, const struct now *now)
{
    const struct registry_study *study = &s->study;
    json_t *sites = json_array();
    json_t *o = json_object();
    for (size_t i = 0; i < s->n_sites; i++) {
        (void)json_array_append_new(sites, site_json(s, &s->site[i], now));
    }
    (void)json_object_set_new(o, "name", json_string(study->name));
    (void)json_object_set_new(o, "hash", report_hash(&study->hash));
    (void)json_object_set_new(o, "state", json_string(overview_state_name(study->state)));
    (void)json_object_set_new(o, "reason", json_string(study->reason));
    (void)json_object_set_new(o, "refused", json_string(s->refused));
    (void)json_object_set_new(o, "rounds", report_count(study->rounds));
    (void)json_object_set_new(o, "rounds_finished", report_count(study->rounds_finished));
    (void)json_object_set_new(o, "rounds_lost", report_count(study->rounds_lost));
    (void)json_object_set_new(o, "round_open", report_count(study->round_open));
    (void)json_object_set_new(o, "round_settled", report_count(s->round_settled));
    (void)json_object_set_new(o, "quorum", report_count(s->quorum));
    (void)json_object_set_new(o, "accepted", report_count(study->n_accepted));
    (void)json_object_set_new(o, "declined", report_count(study->n_declined));
    (void)json_object_set_new(o, "abort_requested", json_boolean(study->abort_requested));
    (void)json_object_set_new(o, "started_ms", json_integer((json_int_t)study->started_ms));
    (void)json_object_set_new(o, "changed_ms", json_integer((json_int_t)study->changed_ms));
    (void)json_object_set_new(o, "sites", sites);
    return o;
}

static RC print_json(const struct folder *f, const struct overview *o, const struct now *now,
                     struct error *err)
{
    char fingerprint[SEAL_FINGERPRINT];
    json_t *all = json_object();
    json_t *sites = json_array();
    json_t *studies = json_array();

    seal_fingerprint(&o->card, fingerprint);
    for (size_t i = 0; i < o->n_cards; i++) {
        (void)json_array_append_new(sites, card_json(&o->card_of_site[i]));
    }
    for (size_t i = 0; i < o->n_studies; i++) {
        (void)json_array_append_new(studies, study_json(&o->study[i], now));
    }
    (void)json_object_set_new(all, "name", json_string(f->name));
    (void)json_object_set_new(all, "address", json_string(f->address));
    (void)json_object_set_new(all, "fingerprint", json_string(fingerprint));
    (void)json_object_set_new(all, "running", json_boolean(now->running));
    (void)json_object_set_new(all, "pid",
                              now->pid > 0 ? json_integer((json_int_t)now->pid) : json_null());
    (void)json_object_set_new(all, "sites", sites);
    (void)json_object_set_new(all, "studies", studies);
    (void)json_object_set_new(all, "live",
                              now->live != NULL ? json_incref(now->live) : json_null());
    return report_print(all, err);
}

/* ---- the command ----------------------------------------------------------------------------- */

enum rc command_status(const struct words *w, enum verdict *verdict, struct config_issues *issues,
                       struct error *err)
{
    struct folder f = {0};
    struct overview o = {0};
    struct now now = {0};
    struct registry *r = NULL;

    (void)verdict;
    enum rc rc = folder_open(w->folder, &f, issues, err);
    if (rc == RC_OK) {
        rc = folder_registry(&f, &r, err);
    }
    if (rc == RC_OK) {
        rc = overview_read(&f, r, &o, err);
    }
    if (rc == RC_OK) {
        rc = look(&f, &now, err);
    }
    if (rc == RC_OK && w->json) {
        rc = print_json(&f, &o, &now, err);
    } else if (rc == RC_OK) {
        say(&f, &o, &now);
    }
    json_decref(now.live);
    overview_release(&o);
    registry_close(&r);
    return rc;
}
