/* What `run` says on stdout: lines for people, or with --json one object a line. The log (stderr) has
 * the details. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "aggregator/app/coordinator_internal.h"
#include "common/base/log.h"
#include "common/base/text.h"

enum { SHORT_HASH = 16 };

/* The progress line is left behind a carriage return; what follows begins by clearing it. */
static void clear_line(struct coordinator *c)
{
    if (c->shown[0] != '\0') {
        (void)fputs("\033[K", stdout);
        (void)fflush(stdout); /* before stderr, which does not wait for it */
        c->shown[0] = '\0';
    }
}

/* Takes the object. */
static void put_json(json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT);
    if (line != NULL) {
        (void)puts(line);
    }
    (void)fflush(stdout);
    free(line);
    json_decref(object);
}

static const char *absence(struct coordinator *c, uint64_t round, size_t site, char out[REASON_MAX])
{
    struct error err = {0};
    if (absence_in_round(c, round, site, out, &err) != RC_OK) {
        (void)snprintf(out, REASON_MAX, "unknown: %s", err.text);
    }
    text_make_printable(out);
    return out;
}

/* ---- start ----------------------------------------------------------------------------------- */

/* The address as it is in effect: port 0 is the system's choice. */
static void set_address(struct coordinator *c)
{
    const char *colon = strrchr(c->folder.bind, ':');
    const size_t n = colon != NULL ? (size_t)(colon - c->folder.bind) : strlen(c->folder.bind);
    (void)snprintf(c->address, sizeof c->address, "%.*s:%u", (int)n, c->folder.bind,
                   net_server_port(c->server));
}

/* So many numbers its rounds take, as far as is known: a masked one that was lost has taken one. */
static uint64_t numbers(const struct coordinator *c)
{
    return c->machine.rounds + c->machine.lost;
}

/* Of the present phase; 0 where nothing is waited for. */
static int64_t left_s(const struct coordinator *c)
{
    const int64_t deadline_ms = c->machine.deadline_ms;
    return deadline_ms == ROUND_NEVER || deadline_ms < c->now_ms ? 0
                                                                 : (deadline_ms - c->now_ms) / 1000;
}

/* What each patient's risk pays for, as it was solved or planned: the sites are about to be asked. */
static void say_plan(const struct study *s)
{
    const struct study_privacy *p = &s->privacy;
    if (p->noise == STUDY_NOISE_NONE) {
        (void)printf("  no noise, no bound on epsilon");
    } else {
        (void)printf("  epsilon %g at delta %g for each patient", p->epsilon, p->delta);
    }
    (void)printf(": %zu steps at sampling rate %.6g, noise multiplier %.6f\n", study_steps(s),
                 p->sample_rate, p->noise_multiplier);
    if (s->wish.passes > 0.0) {
        (void)printf("  planned for %g passes over a site's data in at least %zu steps and at most "
                     "%zu rounds\n",
                     s->wish.passes, s->wish.steps_least, s->wish.rounds_most);
    }
}

static json_t *plan_json(const struct study *s)
{
    const struct study_privacy *p = &s->privacy;
    json_t *epsilon = isfinite(p->epsilon) ? json_real(p->epsilon) : json_null();
    return json_pack("{s:o,s:f,s:I,s:I,s:f,s:f,s:b}", "epsilon", epsilon, "delta", p->delta,
                     "rounds", (json_int_t)s->rounds, "steps", (json_int_t)study_steps(s),
                     "sample_rate", p->sample_rate, "noise_multiplier", p->noise_multiplier,
                     "planned", (int)(s->wish.passes > 0.0));
}

static void say_ready(struct coordinator *c, bool resumed, const char *fingerprint, const char *hex)
{
    const struct study *s = study_of(c);
    const struct round_machine *m = &c->machine;
    (void)printf("coordinator %s, fingerprint %s\n", c->card.name, fingerprint);
    (void)printf("listening on %s\n", c->address);
    (void)printf("study %s (%.*s): %zu rounds, quorum %zu of %zu sites", s->name, SHORT_HASH, hex,
                 s->rounds, s->quorum, s->n_sites);
    if (resumed) {
        (void)printf("; resumed, %" PRIu64 " rounds are finished", round_finished(&c->machine));
    }
    (void)printf("\n");
    say_plan(s);
    if (resumed && m->state == ROUND_JOINING) {
        (void)printf("sites have %" PRId64 " s afresh to accept it\n", left_s(c));
    } else if (resumed && m->state == ROUND_OPEN) {
        (void)printf("round %" PRIu64 " has %" PRId64 " s afresh\n", m->round, left_s(c));
    }
    for (size_t i = 0; i < c->n_sites; i++) {
        if (!c->peer[i].allowed) {
            (void)printf("  %s: %s; wardround-aggregator enrol %s %s.card\n", site_name(c, i),
                         c->peer[i].known ? "its card is revoked" : "not enrolled yet",
                         c->folder.path, site_name(c, i));
        }
    }
    (void)fflush(stdout);
}

void tell_ready(struct coordinator *c, bool resumed)
{
    char fingerprint[SEAL_FINGERPRINT];
    char hex[HASH_HEX];
    seal_fingerprint(&c->card, fingerprint);
    hash_hex(coordinator_study(c), hex);
    set_address(c);
    c->terminal = !c->json && isatty(STDOUT_FILENO) == 1;
    if (c->terminal && isatty(STDERR_FILENO) == 1) {
        log_erases_progress();
    }
    c->live_due = true; /* a study that only waits is to be seen as well */
    log_event(LOG_LEVEL_INFO, "aggregator_ready", "address=%s port=%u study=%s hash=%s resumed=%s",
              c->address, net_server_port(c->server), study_of(c)->name, hex,
              resumed ? "yes" : "no");
    for (size_t i = 0; i < c->n_sites; i++) {
        if (!c->peer[i].allowed) {
            log_event(LOG_LEVEL_WARN, "site_not_enrolled", "site=%s", site_name(c, i));
        }
    }
    if (c->errand) {
        return;
    }
    if (!c->json) {
        say_ready(c, resumed, fingerprint, hex);
        return;
    }
    put_json(json_pack("{s:s,s:s,s:s,s:s,s:i,s:s,s:s,s:b,s:I,s:I,s:o}", "event", "ready",
                       "coordinator", c->card.name, "fingerprint", fingerprint, "address",
                       c->address, "port", (int)net_server_port(c->server), "study",
                       study_of(c)->name, "hash", hex, "resumed", (int)resumed, "rounds_finished",
                       (json_int_t)round_finished(&c->machine), "left_s", (json_int_t)left_s(c),
                       "plan", plan_json(study_of(c))));
}

/* ---- the study ------------------------------------------------------------------------------- */

void tell_joined(struct coordinator *c, size_t site, bool accepted, const char *reason)
{
    char why[REASON_MAX];
    (void)snprintf(why, sizeof why, "%s", reason);
    text_make_printable(why);
    if (c->json) {
        put_json(json_pack("{s:s,s:s,s:b,s:s}", "event", "joined", "site", site_name(c, site),
                           "accepted", (int)accepted, "reason", why));
        return;
    }
    clear_line(c);
    (void)printf("%s %s%s%s\n", site_name(c, site), accepted ? "accepted the study" : "declined",
                 why[0] != '\0' ? ": " : "", why);
    (void)fflush(stdout);
}

/* Those who contributed as a list, the others with their reasons. */
static json_t *contributors(const struct coordinator *c, const bool *contributed)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->n_sites; i++) {
        if (contributed[i]) {
            (void)json_array_append_new(list, json_string(site_name(c, i)));
        }
    }
    return list;
}

static json_t *absences(struct coordinator *c, uint64_t round, const bool *contributed)
{
    json_t *list = json_array();
    char reason[REASON_MAX];
    for (size_t i = 0; i < c->n_sites; i++) {
        if (!contributed[i]) {
            (void)json_array_append_new(list, json_pack("{s:s,s:s}", "site", site_name(c, i),
                                                        "reason", absence(c, round, i, reason)));
        }
    }
    return list;
}

static void say_absences(struct coordinator *c, uint64_t round, const bool *contributed)
{
    char reason[REASON_MAX];
    for (size_t i = 0; i < c->n_sites; i++) {
        if (!contributed[i]) {
            (void)printf("  %s: %s\n", site_name(c, i), absence(c, round, i, reason));
        }
    }
}

void tell_round(struct coordinator *c)
{
    const struct ending *e = &c->newest;
    char hex[HASH_HEX];
    size_t n = 0;
    hash_hex(&c->tensor.hash, hex);
    for (size_t i = 0; i < c->n_sites; i++) {
        n += e->contributed[i];
    }
    if (c->json) {
        put_json(json_pack("{s:s,s:I,s:I,s:o,s:o,s:s}", "event", "round", "round",
                           (json_int_t)e->round, "rounds", (json_int_t)study_of(c)->rounds,
                           "contributed", contributors(c, e->contributed), "absent",
                           absences(c, e->round, e->contributed), "model", hex));
        return;
    }
    clear_line(c);
    (void)printf("round %" PRIu64 " of %" PRIu64 ": %zu of %zu contributed:", e->round, numbers(c),
                 n, c->n_sites);
    for (size_t i = 0; i < c->n_sites; i++) {
        if (e->contributed[i]) {
            (void)printf(" %s", site_name(c, i));
        }
    }
    (void)printf("; model %.*s\n", SHORT_HASH, hex);
    say_absences(c, e->round, e->contributed);
    (void)fflush(stdout);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void end_as_json(struct coordinator *c, bool yes, const bool *contributed)
{
    char hex[HASH_HEX];
    hash_hex(&c->tensor.hash, hex);
    json_t *o = json_pack("{s:s,s:b,s:I,s:I,s:s,s:s}", "event", "done", "done", (int)yes, "rounds",
                          (json_int_t)study_of(c)->rounds, "rounds_finished",
                          (json_int_t)round_finished(&c->machine), "reason", yes ? "" : c->failure,
                          "model", hex);
    if (yes) {
        (void)json_object_set_new(o, "file", json_string(c->model_path));
    } else {
        (void)json_object_set_new(o, c->machine.round > 0 ? "contributed" : "accepted",
                                  contributors(c, contributed));
        (void)json_object_set_new(o, "absent", absences(c, c->machine.round, contributed));
    }
    put_json(o);
}

void tell_end(struct coordinator *c, bool yes)
{
    char hex[HASH_HEX];
    bool contributed[ROUND_SITES_MAX];
    for (size_t i = 0; i < c->n_sites; i++) { /* before round 1: who did what it could */
        contributed[i] = c->machine.round > 0 ? c->machine.part[i] == ROUND_CONTRIBUTED
                                              : c->machine.member[i] == ROUND_ACCEPTED;
    }
    hash_hex(&c->tensor.hash, hex);
    if (c->errand) {
        return;
    }
    if (c->json) {
        end_as_json(c, yes, contributed);
        return;
    }
    clear_line(c);
    if (yes) {
        (void)printf("study %s is done: %zu rounds; its model %.*s is %s\n", study_of(c)->name,
                     study_of(c)->rounds, SHORT_HASH, hex, c->model_path);
    } else {
        (void)printf("study %s failed: %s\n", study_of(c)->name, c->failure);
        say_absences(c, c->machine.round, contributed);
    }
    (void)fflush(stdout);
}

void tell_waiting(struct coordinator *c, size_t n)
{
    const int64_t left_s =
        ((int64_t)(c->folder.linger_s * 1000.0) + c->ended_ms - c->now_ms + 999) / 1000;
    if (c->errand) {
        return;
    }
    if (c->json) {
        put_json(json_pack("{s:s,s:I,s:I}", "event", "waiting", "sites", (json_int_t)n, "seconds",
                           (json_int_t)left_s));
        return;
    }
    (void)printf("waiting up to %" PRId64 " s for %zu %s to hear of the end\n", left_s, n,
                 n == 1 ? "site" : "sites");
    (void)fflush(stdout);
}

void tell_evaluated(struct coordinator *c, size_t n)
{
    if (c->errand) {
        return;
    }
    if (c->json) {
        put_json(json_pack("{s:s,s:I,s:I,s:f}", "event", "evaluated", "contributed", (json_int_t)n,
                           "sites", (json_int_t)c->n_sites, "epsilon",
                           c->evaluating.request.epsilon));
        return;
    }
    (void)printf(
        "evaluated: %zu of %zu contributed; wardround-aggregator evaluate %s %s shows it\n", n,
        c->n_sites, c->folder.path, study_of(c)->name);
    (void)fflush(stdout);
}

void tell_counts(struct coordinator *c)
{
    const struct refusals *r = &c->refusals;
    const struct net_counts *door = net_server_counts(c->server);
    if (c->errand) {
        return;
    }
    clear_line(c);
    if (c->json) {
        json_t *o =
            json_pack("{s:s,s:I,s:I,s:I}", "event", "counts", "keys", (json_int_t)door->refused_key,
                      "revoked", (json_int_t)door->dropped_revoked, "frames",
                      (json_int_t)door->dropped_malformed);
        for (enum refusal k = 0; k < REFUSALS; k++) {
            (void)json_object_set_new(o, refusal_name(k), json_integer((json_int_t)r->n[k]));
        }
        put_json(o);
        return;
    }
    if (refusals_total(c) == 0) {
        return;
    }
    (void)printf("refused: %" PRIu64 " connections with unknown keys, %" PRIu64
                 " messages of revoked ones, %" PRIu64 " wrong frames",
                 door->refused_key, door->dropped_revoked,
                 door->dropped_malformed + door->dropped_endless);
    for (enum refusal k = 0; k < REFUSALS; k++) {
        if (r->n[k] > 0) {
            (void)printf(", %" PRIu64 " %s", r->n[k], refusal_name(k));
        }
    }
    (void)printf("\n");
    (void)fflush(stdout);
}

/* ---- progress -------------------------------------------------------------------------------- */

void tell_progress(struct coordinator *c)
{
    const struct round_machine *m = &c->machine;
    char line[sizeof c->shown];
    size_t here = 0;
    if (!c->terminal || (m->state != ROUND_OPEN && m->state != ROUND_JOINING)) {
        return;
    }
    for (size_t i = 0; i < c->n_sites; i++) {
        here +=
            m->state == ROUND_OPEN ? m->part[i] != ROUND_WAITED_FOR : m->member[i] != ROUND_UNKNOWN;
    }
    const long long left = (long long)((m->deadline_ms - c->now_ms) / 1000);
    if (m->state == ROUND_JOINING) {
        (void)snprintf(line, sizeof line, "joining: %zu of %zu sites answered, %lld s left", here,
                       c->n_sites, left);
    } else {
        (void)snprintf(line, sizeof line,
                       "round %" PRIu64 " of %" PRIu64 ": %zu of %zu sites answered, %lld s left",
                       m->round, numbers(c), here, c->n_sites, left);
    }
    if (strcmp(line, c->shown) != 0) {
        (void)snprintf(c->shown, sizeof c->shown, "%s", line);
        /* Whatever comes next begins where this one did, and erases it. */
        (void)printf("\033[K%s\r", line);
        (void)fflush(stdout);
    }
}
