/*
 * live.json: what `run` is doing, for `status` and for scripts; replaced whole, at most once a
 * second. One object:
 *
 *   running, pid, written_ms, address, port
 *   study, hash, state (joining open merging done failed), round, rounds, quorum, reason,
 *   left_s (absent where nothing is waited for)
 *   sites: [{name, enrolled, connected, member (unknown accepted declined), and in an open round
 *            part (waited_for contributed sat_out); heard_s, step, steps, still_s, stalled,
 *            chunks, chunks_of where they are known}]
 *   refused: {kind: count}, late: {chunks, credits},
 *   door: {admitted, refused_key, dropped_revoked, dropped_malformed, dropped_endless,
 *          unsent_gone, unsent_full}
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "aggregator/app/coordinator_internal.h"
#include "common/base/log.h"

enum { LEAST_MS = 1000 };

static void set_int(json_t *o, const char *key, int64_t value)
{
    (void)json_object_set_new(o, key, json_integer((json_int_t)value));
}

static void set_count(json_t *o, const char *key, uint64_t value)
{
    (void)json_object_set_new(o, key, json_integer((json_int_t)value));
}

static void set_text(json_t *o, const char *key, const char *text)
{
    (void)json_object_set_new(o, key, json_string(text));
}

static json_t *site_of(const struct coordinator *c, size_t i)
{
    static const char *const member[] = {
        [ROUND_UNKNOWN] = "unknown",
        [ROUND_ACCEPTED] = "accepted",
        [ROUND_MEMBER_DECLINED] = "declined",
    };
    static const char *const part[] = {
        [ROUND_WAITED_FOR] = "waited_for",
        [ROUND_CONTRIBUTED] = "contributed",
        [ROUND_SAT_OUT] = "sat_out",
        [ROUND_NOT_DRAWN] = "not_drawn",
    };
    const struct round_machine *m = &c->machine;
    const struct site *s = &c->site[i];
    json_t *o =
        json_pack("{s:s,s:b,s:b,s:s}", "name", site_name(c, i), "enrolled", (int)c->peer[i].allowed,
                  "connected", (int)s->heard, "member", member[m->member[i]]);
    if (m->state == ROUND_OPEN && m->member[i] == ROUND_ACCEPTED) {
        set_text(o, "part", part[m->part[i]]);
    }
    if (s->heard) {
        set_int(o, "heard_s", (c->now_ms - s->heard_ms) / 1000);
    }
    if (s->progress_round == m->round && s->steps > 0) {
        set_count(o, "step", s->step);
        set_count(o, "steps", s->steps);
        set_int(o, "still_s", (c->now_ms - s->moved_ms) / 1000);
    }
    (void)json_object_set_new(o, "stalled", json_boolean(s->stalled));
    if (s->upload.state == UPLOAD_RUNNING) {
        set_count(o, "chunks", s->upload.in.held);
        set_count(o, "chunks_of", s->upload.in.chunks);
    }
    return o;
}

static json_t *counts_of(const struct coordinator *c)
{
    json_t *o = json_object();
    for (enum refusal k = 0; k < REFUSALS; k++) {
        set_count(o, refusal_name(k), c->refusals.n[k]);
    }
    return o;
}

static json_t *door_of(const struct net_counts *n)
{
    json_t *o = json_object();
    set_count(o, "admitted", n->admitted);
    set_count(o, "refused_key", n->refused_key);
    set_count(o, "dropped_revoked", n->dropped_revoked);
    set_count(o, "dropped_malformed", n->dropped_malformed);
    set_count(o, "dropped_endless", n->dropped_endless);
    set_count(o, "unsent_gone", n->unsent_gone);
    set_count(o, "unsent_full", n->unsent_full);
    return o;
}

static json_t *all_of(const struct coordinator *c, bool running)
{
    const struct round_machine *m = &c->machine;
    char hex[HASH_HEX];
    hash_hex(coordinator_study(c), hex);
    json_t *o =
        json_pack("{s:b,s:s,s:s,s:s,s:s}", "running", (int)running, "address", c->address, "study",
                  study_of(c)->name, "hash", hex, "state", round_state_name(m->state));
    json_t *late = json_object();
    json_t *sites = json_array();
    set_int(o, "pid", getpid());
    set_int(o, "written_ms", c->wall_ms);
    set_int(o, "port", net_server_port(c->server));
    set_count(o, "round", m->round);
    set_count(o, "rounds", m->rounds);
    set_count(o, "quorum", m->quorum);
    set_text(o, "reason", c->failure);
    if (m->deadline_ms != ROUND_NEVER) {
        set_int(o, "left_s", m->deadline_ms > c->now_ms ? (m->deadline_ms - c->now_ms) / 1000 : 0);
    }
    for (size_t i = 0; i < c->n_sites; i++) {
        (void)json_array_append_new(sites, site_of(c, i));
    }
    set_count(late, "chunks", c->refusals.late_chunks);
    set_count(late, "credits", c->refusals.late_credits);
    (void)json_object_set_new(o, "sites", sites);
    (void)json_object_set_new(o, "refused", counts_of(c));
    (void)json_object_set_new(o, "late", late);
    (void)json_object_set_new(o, "door", door_of(net_server_counts(c->server)));
    return o;
}

void live_write(struct coordinator *c, bool running)
{
    char path[FOLDER_PATH_MAX];
    char fresh[FOLDER_PATH_MAX];
    struct error err = {0};
    if (running && (!c->live_due || c->now_ms - c->live_ms < LEAST_MS)) {
        return;
    }
    c->live_due = false;
    c->live_ms = c->now_ms;
    if (folder_path(c->folder.path, "live.json", path, &err) != RC_OK ||
        folder_path(c->folder.path, "live.json.new", fresh, &err) != RC_OK) {
        return; /* the folder's other paths are as long: they have said so */
    }
    json_t *o = all_of(c, running);
    const bool written = json_dump_file(o, fresh, JSON_INDENT(1)) == 0 && rename(fresh, path) == 0;
    json_decref(o);
    if (!written && !c->live_failed) { /* only a view: the study goes on without it */
        log_event(LOG_LEVEL_WARN, "live_not_written", "file=%s reason=\"%s\"", path,
                  strerror(errno));
    }
    c->live_failed = !written;
}
