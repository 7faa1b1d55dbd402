/* One schedule: the parties, the clock, who dies when, and the end. */
#include "sim/faults/faults.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dirent.h>

#include "sim/faults/faults_internal.h"

/* The network is sound and everybody back from quiet_ms on. Then at most: joining, each number with all
 * its phases, and the polls that tell of the end. */
enum { JOINED_MS = 50000, NUMBER_MS = 40000, POLLS_MS = 150000, STEPS_MAX = 60000 };

size_t sites_of(const struct world *w)
{
    return w->s.terms.n_sites;
}

bool is_honest(const struct world *w, size_t site)
{
    return !w->s.colludes[site] && site != w->s.liar_site;
}

bool liars(const struct world *w)
{
    return w->s.lie != LIE_NONE || w->s.liar_site < sites_of(w);
}

void note(const struct world *w, const char *format, ...)
{
    if (w->p->history == NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vfprintf(w->p->history, format, args);
    va_end(args);
    (void)fputc('\n', w->p->history);
}

void broken(struct world *w, unsigned promise, const char *format, ...)
{
    struct faults_result *r = w->result;
    if (r->broken != 0) {
        return;
    }
    va_list args;
    va_start(args, format);
    r->broken = promise;
    (void)vsnprintf(r->why, sizeof r->why, format, args);
    va_end(args);
    note(w, "BROKEN: promise %u: %s", promise, r->why);
}

/* ---- a world --------------------------------------------------------------------------------- */

static void agree(struct world *w)
{
    struct study *s = &w->study;
    (void)snprintf(s->name, sizeof s->name, "bad day");
    s->local.steps = 1;
    s->privacy = (struct study_privacy){.noise = STUDY_NOISE_NONE,
                                        .epsilon = (double)INFINITY,
                                        .delta = 1e-5,
                                        .clip = 1.0,
                                        .sample_rate = 0.5};
    if (w->s.shared) {
        s->privacy.noise = STUDY_NOISE_SHARED;
        s->privacy.epsilon = 8.0;
        s->privacy.noise_multiplier = 20.0;
    }
    s->rounds = (size_t)w->s.rounds;
    s->spare_rounds = (size_t)w->s.lost_max;
    s->quorum = s->min_sites = w->s.terms.min_sites;
    s->max_colluding = w->s.terms.max_colluding;
    s->neighbours = w->s.terms.neighbours;
    s->neighbour_threshold = w->s.terms.shares;
    s->masked = true;
    s->n_sites = sites_of(w);
    s->site = w->roster;
    w->study_hash = hash_of("the study of a bad day", 22);
}

/* Identities are those of the names, made once a process: whom a site draws depends on them, too. */
static RC meet(struct world *w, struct error *err)
{
    static struct seal_keys *keys[SITES];
    const char *name[SITES];
    enum rc rc = mask_start(err);
    for (size_t i = 0; rc == RC_OK && i < sites_of(w); i++) {
        struct seal_curve curve;
        w->site[i].index = i;
        (void)snprintf(w->roster[i].name, sizeof w->roster[i].name, "site%zu", i);
        w->roster[i].nominal = 100;
        name[i] = w->roster[i].name;
        rc = keys[i] == NULL ? seal_keys_of_name(name[i], &keys[i], err) : RC_OK;
        if (rc == RC_OK) {
            w->site[i].keys = keys[i];
            seal_keys_public(w->site[i].keys, &w->sign[i], &curve);
        }
    }
    if (rc == RC_OK) {
        w->roster_hash = mask_roster(name, w->sign, sites_of(w));
        rc = tracker_open(w, err);
    }
    return rc == RC_OK ? disks_lay(w, err) : rc;
}

static int64_t away_ms(const struct world *w, size_t party)
{
    const uint64_t points = party == CENTER ? w->center.points : w->site[party].points;
    for (size_t i = 0; i < w->s.n_kills; i++) {
        if (w->s.kill[i].party == party && w->s.kill[i].point == points) {
            return w->s.kill[i].away_ms;
        }
    }
    return 700; /* a supervisor starts it again */
}

static RC dies(struct world *w, size_t party, const char *why, struct error *err)
{
    note(w, "  dies: %s", why);
    int64_t back_ms = away_ms(w, party);
    if (w->now_ms + back_ms > w->s.quiet_ms && w->now_ms < w->s.quiet_ms) {
        back_ms = w->s.quiet_ms - w->now_ms;
    }
    if (party == CENTER) {
        center_stop(&w->center);
    } else {
        hospital_stop(&w->site[party]);
    }
    return do_later(w, (struct letter){.kind = COME_BACK, .to = party}, back_ms, err);
}

static RC start(struct world *w, size_t party, struct error *err)
{
    enum rc rc = party == CENTER ? center_start(w, err) : hospital_start(w, &w->site[party], err);
    if (rc == RC_IO) {
        const struct error why = *err;
        rc = dies(w, party, why.text, err);
    }
    return rc;
}

/* ---- one thing after another ----------------------------------------------------------------- */

static bool up(const struct world *w, size_t party)
{
    return party == CENTER ? w->center.up : w->site[party].up;
}

static const char *named(size_t party, char out[16])
{
    (void)(party == CENTER ? snprintf(out, 16, "coordinator")
                           : snprintf(out, 16, "site %zu", party));
    return out;
}

static int64_t next_timer(const struct world *w, size_t *party)
{
    int64_t at = INT64_MAX;
    if (w->center.up) {
        at = center_deadline(&w->center);
        *party = CENTER;
    }
    for (size_t i = 0; i < sites_of(w); i++) {
        if (w->site[i].up && w->site[i].session.deadline_ms < at) {
            at = w->site[i].session.deadline_ms;
            *party = i;
        }
    }
    return at;
}

static RC deliver(struct world *w, const struct letter *l, struct error *err)
{
    char who[16];
    if (l->kind == COME_BACK) {
        note(w, "%lld ms: %s comes back", (long long)w->now_ms, named(l->to, who));
        return start(w, l->to, err);
    }
    if (l->kind == WITHDRAW_DUE) { /* people say it again until it is in the ledger */
        return hospital_withdraw(w, &w->site[l->to], err);
    }
    const uint64_t life = l->to == CENTER ? w->center.life : w->site[l->to].life;
    if (!up(w, l->to) || (l->from == l->to && l->life != life)) {
        return RC_OK;
    }
    note(w, "%lld ms: %s: %s%s of round %llu", (long long)w->now_ms, named(l->to, who),
         kind_name(l->kind),
         l->kind == ANSWER ? session_event_name((enum session_event)l->answer) : "",
         (unsigned long long)l->round);
    return l->to == CENTER ? center_handle(w, l, err) : hospital_handle(w, &w->site[l->to], l, err);
}

static RC one_step(struct world *w, struct error *err)
{
    struct letter l = {.to = CENTER};
    size_t party = CENTER;
    char who[16];
    const int64_t timer = next_timer(w, &party);
    const int64_t letter = next_letter_ms(w);
    enum rc rc;
    if (timer < letter) {
        w->now_ms = timer > w->now_ms ? timer : w->now_ms;
        note(w, "%lld ms: %s: its time is up", (long long)w->now_ms, named(party, who));
        rc = party == CENTER ? center_time_out(w, err) : hospital_time_out(w, &w->site[party], err);
    } else {
        (void)next_letter(w, &l);
        w->now_ms = l.at_ms > w->now_ms ? l.at_ms : w->now_ms;
        party = l.to;
        rc = deliver(w, &l, err);
        free(l.raw);
    }
    if (rc == RC_IO) {
        const struct error why = *err;
        rc = dies(w, party, why.text, err);
    }
    return rc;
}

static bool ended(const struct world *w)
{
    if (!w->center.up) {
        return false;
    }
    const enum round_state s = w->center.machine->state;
    bool all = s == ROUND_DONE || s == ROUND_FAILED;
    for (size_t i = 0; all && i < sites_of(w); i++) {
        all = w->site[i].up && w->site[i].session.state == SESSION_DONE;
    }
    return all;
}

static RC run(struct world *w, struct error *err)
{
    const int64_t end_ms =
        w->s.quiet_ms + JOINED_MS + POLLS_MS + NUMBER_MS * (int64_t)(w->s.rounds + w->s.lost_max);
    enum rc rc = start(w, CENTER, err);
    for (size_t i = 0; rc == RC_OK && i < sites_of(w); i++) {
        rc = start(w, i, err);
    }
    if (rc == RC_OK && w->s.withdraws < sites_of(w)) {
        rc = do_later(w, (struct letter){.kind = WITHDRAW_DUE, .to = w->s.withdraws},
                      w->s.withdraw_ms, err);
    }
    bool in_time = true;
    while (rc == RC_OK && w->result->broken == 0 && !ended(w)) {
        if (w->now_ms > end_ms || w->result->steps == STEPS_MAX) {
            in_time = false;
            break;
        }
        w->result->steps++;
        rc = one_step(w, err);
    }
    if (rc == RC_STATE) { /* a driver met what the machines had promised not to do */
        broken(w, 9, "%.200s", err->text);
        rc = RC_OK;
    }
    if (rc == RC_OK) {
        tracker_end(w, in_time);
        w->result->done = w->center.up && w->center.machine->state == ROUND_DONE;
    }
    return rc;
}

void faults_sweep(const char *folder)
{
    char path[1024];
    DIR *d = opendir(folder);
    const struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (strstr(e->d_name, ".db") != NULL &&
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name) < (int)sizeof path) {
            (void)unlink(path);
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

enum rc faults_run(const struct faults_params *p, struct faults_result *out, struct error *err)
{
    const size_t least = p->neighbours ? FAULTS_DRAWN_LEAST : FAULTS_SITES_LEAST;
    const size_t most = p->neighbours ? FAULTS_DRAWN_MOST : FAULTS_SITES_MOST;
    if (p->n_sites != 0 && (p->n_sites < least || p->n_sites > most)) {
        return error_set(err, RC_INVALID, "such a bad day has %zu to %zu sites, not %zu", least,
                         most, p->n_sites);
    }
    struct world *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return error_set(err, RC_NOMEM, "no memory for a schedule");
    }
    struct faults_result result = {0};
    w->p = p;
    w->result = &result;
    schedule_draw(p, &w->s);
    rng_init(&w->rng, p->seed, "network");
    if (p->history != NULL) {
        schedule_print(&w->s, p->history);
    }
    result.sites = sites_of(w);
    result.lying_coordinator = w->s.lie != LIE_NONE;
    result.lying_site = w->s.liar_site < sites_of(w);
    for (size_t i = 0; i < sites_of(w); i++) {
        result.colluding += w->s.colludes[i];
        result.strangers += w->s.stranger[i];
    }
    agree(w);
    memo_use();
    faults_sweep(p->folder);
    enum rc rc = meet(w, err);
    if (rc == RC_OK) {
        rc = run(w, err);
    }
    for (size_t i = 0; i < sites_of(w); i++) {
        hospital_stop(&w->site[i]);
    }
    center_stop(&w->center);
    tracker_close(w);
    network_release(w);
    free(w);
    faults_sweep(p->folder);
    if (rc == RC_OK) {
        *out = result;
    }
    return rc;
}
