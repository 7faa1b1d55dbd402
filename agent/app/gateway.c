/* The gateway process: one loop over the coordinator's connection and the trainer's socket pair. It
 * holds this site's secret keys and can open neither cohort nor ledger. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/app/gateway_internal.h"
#include "agent/app/whole_file.h"
#include "agent/sandbox/sandbox.h"
#include "common/base/clock.h"
#include "common/base/entropy.h"
#include "common/base/heap.h"
#include "common/base/log.h"

enum { LONGEST_WAIT_MS = 1000 };

enum rc gateway_say_named(struct gateway *g, struct wire_message *m, const void *raw, bool *sent,
                          struct error *err)
{
    size_t n = 0;
    (void)snprintf(m->from, sizeof m->from, "%s", g->site.name);
    (void)snprintf(m->to, sizeof m->to, "%s", g->coordinator.name);
    m->epoch = g->epoch;
    m->sequence = ++g->sequence;
    const enum rc rc = wire_seal_named(m, g->keys, g->frame, sizeof g->frame, &n, err);
    if (rc != RC_OK) {
        return rc;
    }
    *sent = false;
    const enum rc handed = net_client_send(g->client, g->frame, n, raw, m->raw_bytes, sent, err);
    g->counts.sent += *sent;
    return handed;
}

enum rc gateway_say(struct gateway *g, struct wire_message *m, const void *raw, size_t raw_n,
                    bool *sent, struct error *err)
{
    const enum rc rc = wire_set_raw(m, raw, raw_n, err);
    return rc == RC_OK ? gateway_say_named(g, m, raw, sent, err) : rc;
}

/* ---- start and stop -------------------------------------------------------------------------- */

static enum rc read_site(struct gateway *g, struct error *err)
{
    struct config_issues *issues = calloc(1, sizeof *issues); /* large */
    if (issues == NULL) {
        return error_set(err, RC_NOMEM, "no memory to read site.yaml");
    }
    enum rc rc = site_open(g->p->folder, &g->site, issues, err);
    free(issues);
    if (rc == RC_OK) {
        rc = site_coordinator(g->p->folder, &g->coordinator, err);
    }
    return rc == RC_OK ? site_keys(g->p->folder, &g->keys, err) : rc;
}

/* What was needed of the folder is read: from here on it may open its spool alone. */
static enum rc enter_sandbox(struct gateway *g, struct sandbox_state *state, struct error *err)
{
    char spool[SITE_PATH_MAX];
    const enum rc rc = site_path(g->p->folder, "gateway", spool, err);
    if (rc != RC_OK) {
        return rc;
    }
    const struct sandbox_rules rules = {.n_write = 1, .write = {spool}, .network = true};
    return sandbox_enter(&rules, state, err);
}

static enum rc make_epoch(struct gateway *g, struct error *err)
{
    struct entropy entropy;
    const enum rc rc = entropy_init(&entropy, err);
    while (rc == RC_OK && g->epoch == 0) {
        g->epoch = entropy_u64(&entropy) >> 1; /* fits a signed number of any reader */
    }
    entropy_release(&entropy);
    return rc;
}

static enum rc start(struct gateway *g, struct sandbox_state *state, struct error *err)
{
    g->model.in.fd = -1;
    g->update.in.fd = -1;
    enum rc rc = sandbox_harden(true, err);
    if (rc == RC_OK) {
        rc = read_site(g, err);
    }
    if (rc == RC_OK) {
        rc = enter_sandbox(g, state, err);
    }
    if (rc == RC_OK) {
        rc = make_epoch(g, err);
    }
    if (rc == RC_OK) {
        rc = pair_open(g->p->pair_fd, "gateway", "trainer", &g->pair, err);
    }
    if (rc == RC_OK) {
        pair_leave_chunks(g->pair); /* the coordinator verifies updates */
        tensor_begin(g);
    }
    if (rc == RC_OK) {
        const char *address = g->site.address[0] != '\0' ? g->site.address : g->coordinator.address;
        rc = net_client_open(address, &g->coordinator.curve, g->keys, &g->client, err);
    }
    return rc;
}

static void stop(struct gateway *g)
{
    tensor_release(g);
    net_client_close(&g->client);
    pair_close(&g->pair);
    seal_keys_close(&g->keys);
    site_release(&g->site);
}

static enum rc finish_path(const struct gateway *g, char path[SITE_PATH_MAX], struct error *err)
{
    return site_path(g->p->folder, GATEWAY_FINISHED, path, err);
}

enum rc gateway_finish(struct gateway *g, struct error *err)
{
    char path[SITE_PATH_MAX];
    enum rc rc = finish_path(g, path, err);
    g->finished = true;
    g->linger_until_ms = clock_monotonic_ms() + GATEWAY_LINGER_MS;
    if (rc == RC_OK) {
        rc = whole_file_write(path, g->end_done ? "done\n" : "failed\n", g->end_done ? 5 : 7, err);
    }
    return rc;
}

/* What an earlier life of this run had finished. */
static void recall_finish(struct gateway *g)
{
    char path[SITE_PATH_MAX];
    unsigned char *text = NULL;
    size_t n = 0;
    struct error none = {0};
    if (!g->p->once || finish_path(g, path, &none) != RC_OK ||
        whole_file_read(path, 16, &text, &n, &none) != RC_OK) {
        return;
    }
    g->finished = true;
    g->end_done = n > 0 && text[0] == 'd';
    free(text);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static enum rc wait_for_news(struct gateway *g, bool *stop_asked, bool *pair_ready,
                             struct error *err)
{
    const int64_t now = clock_monotonic_ms();
    const int64_t due = smaller(smaller(session_due_ms(g), tensor_due_ms(g)), masking_due_ms(g));
    int64_t wait_ms = due == INT64_MAX ? LONGEST_WAIT_MS : due - now;
    wait_ms = wait_ms < 0 ? 0 : smaller(wait_ms, LONGEST_WAIT_MS);
    struct net_wait w = {.client = g->client,
                         .n_fds = 2,
                         .fd = {{.fd = pair_fd(g->pair), .want_write = pair_wants_write(g->pair)},
                                {.fd = g->p->stop_fd}}};
    const enum rc rc = net_wait(&w, wait_ms, err);
    *pair_ready = w.fd[0].readable || w.fd[0].writable;
    *stop_asked = w.fd[1].readable;
    return rc;
}

/* Where the timer of the session only repeats what a coordinator that was away may not have heard. */
static bool repeats_itself(enum session_state state)
{
    return state == SESSION_OFFLINE || state == SESSION_CHECKING || state == SESSION_DECLINED ||
           state == SESSION_READY || state == SESSION_SEND;
}

/* One that is lost may come back by itself; a refusal is a person's to mend. */
static enum log_level level_of(enum net_state state)
{
    if (state == NET_CONNECTED) {
        return LOG_LEVEL_INFO;
    }
    return state == NET_CONNECTING ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR;
}

/* For `check`. A disk that does not take it makes it stale, which says the same. */
static void say_connection(struct gateway *g, enum net_state state, int64_t now_ms)
{
    struct error ignored = {0};
    g->connection.state = state;
    g->connection.written_ms = clock_wall_ms();
    g->connection_due_ms = now_ms + CONNECTION_EVERY_MS;
    error_ignore(connection_write(g->p->folder, &g->connection, &ignored));
}

static enum rc look_at_connection(struct gateway *g)
{
    bool changed = false;
    const uint64_t before = net_client_connections(g->client);
    const int64_t now = clock_monotonic_ms();
    const enum net_state state = net_client_state(g->client, now, &changed);
    if (changed) {
        log_event(level_of(state), "connection", "state=\"%s\"", net_state_sentence(state));
    }
    if (changed || now >= g->connection_due_ms) {
        say_connection(g, state, now);
    }
    if (net_client_connections(g->client) != before) {
        tensor_reconnected(g, now);
        masking_reconnected(g);
        if (repeats_itself(g->session.state)) {
            g->session.deadline_ms = 0; /* as at birth: at once */
        }
    }
    return RC_OK;
}

static enum rc hear_coordinator(struct gateway *g, struct error *err)
{
    enum rc rc = RC_OK;
    for (bool got = true; rc == RC_OK && got;) {
        struct net_frames frames = {0};
        rc = net_client_receive(g->client, &got, &frames, err);
        if (rc == RC_OK && got) {
            g->counts.received++;
            rc = session_from_coordinator(g, &frames, err);
        }
    }
    return rc;
}

static enum rc hear_trainer(struct gateway *g, struct error *err)
{
    enum rc rc = pair_flush(g->pair, err);
    for (bool got = true; rc == RC_OK && got;) {
        const void *raw = NULL;
        size_t raw_n = 0;
        rc = pair_receive(g->pair, &got, &g->in, &raw, &raw_n, err);
        if (rc == RC_OK && got) {
            rc = session_from_trainer(g, &g->in, raw, raw_n, err);
        }
    }
    return rc;
}

static enum rc one_turn(struct gateway *g, bool *stop_asked, struct error *err)
{
    bool pair_ready = false;
    enum rc rc = wait_for_news(g, stop_asked, &pair_ready, err);
    seal_keys_unlock(g->keys); /* a turn signs several messages */
    if (rc == RC_OK) {
        rc = look_at_connection(g);
    }
    if (rc == RC_OK) {
        rc = hear_coordinator(g, err);
    }
    if (rc == RC_OK && pair_ready) {
        rc = hear_trainer(g, err);
    }
    if (rc == RC_OK && g->trainer_up) { /* without a trainer there is nobody to take part */
        rc = session_tick(g, err);
    }
    if (rc == RC_OK) {
        rc = masking_tick(g, err);
    }
    if (rc == RC_OK) {
        rc = tensor_pump(g, err);
    }
    seal_keys_lock(g->keys);
    if (rc == RC_OK && g->trainer_up && !g->ready_said) {
        g->ready_said = true;
        (void)!write(g->p->ready_fd, "1", 1); /* for the service manager alone */
    }
    return rc;
}

/* After the last study with --once: what was handed over gets a moment to leave. */
static bool over(const struct gateway *g)
{
    return g->finished && clock_monotonic_ms() >= g->linger_until_ms;
}

enum process_end gateway_main(const struct process_params *p)
{
    struct gateway *g = calloc(1, sizeof *g);
    struct error err = {0};
    struct sandbox_state state = {0};
    char identity[96];
    char refused[REFUSALS_TEXT];
    bool stop_asked = false;
    if (g == NULL) {
        return PROCESS_AGAIN;
    }
    heap_keep();
    g->p = p;
    enum rc rc = start(g, &state, &err);
    (void)snprintf(identity, sizeof identity, "site=%s proc=gateway", g->site.name);
    log_identity(identity);
    if (rc == RC_OK) {
        log_event(state.files && state.calls ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "gateway_started",
                  "coordinator=%s sandbox=\"%s\"", g->coordinator.name, state.sentence);
    }
    if (rc == RC_OK) {
        recall_finish(g);
    }
    while (rc == RC_OK && !stop_asked && !over(g)) {
        rc = one_turn(g, &stop_asked, &err);
    }
    enum process_end end = PROCESS_DONE;
    if (rc != RC_OK) {
        log_event(LOG_LEVEL_ERROR, "gateway_failed", "reason=\"%s\"", err.text);
        end = rc == RC_IO || rc == RC_NOMEM ? PROCESS_AGAIN : PROCESS_FAILED;
    } else {
        log_event(LOG_LEVEL_INFO, "gateway_stopped", "received=%llu sent=%llu refused=\"%s\"",
                  (unsigned long long)g->counts.received, (unsigned long long)g->counts.sent,
                  refusals_text(&g->refusals, refused));
        end = p->once && !(g->finished && g->end_done) ? PROCESS_FAILED : PROCESS_DONE;
    }
    stop(g);
    free(g);
    log_identity(NULL);
    return end;
}
