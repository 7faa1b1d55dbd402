/*
 * A PROBE, sealed like every message, over a connection of its own. The difference between "nobody
 * there", "it does not know us" and "it is another one" is what a person needs: the three are
 * mended by different people.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/app/check_internal.h"
#include "agent/app/connection.h"
#include "common/base/clock.h"
#include "common/base/entropy.h"
#include "common/net/net.h"
#include "common/wire/wire.h"

enum { PROBE_WAIT_MS = 5000, PROBE_AGAIN_MS = 1000, CLOCK_TOLERANCE_MS = 60000 };

struct probe {
    const struct site *site;
    const char *address;
    struct seal_card card; /**< the coordinator's */
    struct seal_keys *keys;
    struct net_client *client;
    uint64_t epoch, sequence;
    enum net_state worst; /**< CONNECTING until something better or worse was seen */
    bool connected;       /**< once */
    bool answered;
    int64_t skew_ms; /**< the coordinator's clock minus ours */
    char program[96];
    char refusal[240]; /**< of an answer that was not one */
};

static RC draw_epoch(struct probe *p, struct error *err)
{
    struct entropy e;
    const enum rc rc = entropy_init(&e, err);
    while (rc == RC_OK && p->epoch == 0) {
        p->epoch = entropy_u64(&e) >> 1;
    }
    entropy_release(&e);
    return rc;
}

static RC send_probe(struct probe *p, struct error *err)
{
    unsigned char frame[1024];
    size_t n = 0;
    bool sent = false;
    struct wire_message m = {.kind = WIRE_PROBE, .epoch = p->epoch, .sequence = ++p->sequence};
    (void)snprintf(m.from, sizeof m.from, "%s", p->site->name);
    (void)snprintf(m.to, sizeof m.to, "%s", p->card.name);
    const enum rc rc = wire_seal(&m, NULL, 0, p->keys, frame, sizeof frame, &n, err);
    return rc == RC_OK ? net_client_send(p->client, frame, n, NULL, 0, &sent, err) : rc;
}

/* What is not the answer is passed over: the coordinator may greet a site that connects. */
static RC receive(struct probe *p, struct error *err)
{
    struct error fault = {0};
    bool got = true;
    enum rc rc = RC_OK;
    while (rc == RC_OK && got && !p->answered) {
        struct net_frames f = {0};
        struct wire_message m;
        rc = net_client_receive(p->client, &got, &f, err);
        if (rc != RC_OK || !got) {
            break;
        }
        if (wire_open(f.header, f.header_n, f.raw, f.raw_n, &p->card.sign, &m, &fault) != RC_OK) {
            (void)snprintf(p->refusal, sizeof p->refusal, "%s", fault.text);
        } else if (m.kind == WIRE_PROBED && strcmp(m.from, p->card.name) == 0 &&
                   strcmp(m.to, p->site->name) == 0) {
            p->answered = true;
            p->skew_ms = m.now_ms - clock_wall_ms();
            (void)snprintf(p->program, sizeof p->program, "%.95s", m.text);
        }
    }
    return rc;
}

static bool settled(const struct probe *p)
{
    return p->answered || p->worst == NET_REFUSED || p->worst == NET_WRONG_SERVER;
}

static RC ask(struct probe *p, struct error *err)
{
    const int64_t until = clock_monotonic_ms() + PROBE_WAIT_MS;
    int64_t next = 0;
    enum rc rc = RC_OK;
    for (int64_t now = clock_monotonic_ms(); rc == RC_OK && !settled(p) && now < until;
         now = clock_monotonic_ms()) {
        bool changed = false;
        p->worst = net_client_state(p->client, now, &changed);
        if (p->worst == NET_CONNECTED && now >= next) {
            p->connected = true;
            next = now + PROBE_AGAIN_MS;
            rc = send_probe(p, err);
        }
        struct net_wait w = {.client = p->client};
        if (rc == RC_OK) {
            rc = net_wait(&w, 100, err);
        }
        if (rc == RC_OK) {
            rc = receive(p, err);
        }
    }
    return rc;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void say_clock(struct checks *c, int64_t skew_ms)
{
    const int64_t far = skew_ms < 0 ? -skew_ms : skew_ms;
    if (far <= CLOCK_TOLERANCE_MS) {
        check_line(c, "clock", true, NULL, "%lld s from the coordinator's",
                   (long long)((far + 500) / 1000));
        return;
    }
    check_line(c, "clock", false, "set both by a time service (NTP)",
               "%lld s %s the coordinator's, at most %d are fine", (long long)(far / 1000),
               skew_ms > 0 ? "behind" : "ahead of", CLOCK_TOLERANCE_MS / 1000);
}

static void say_reached(struct checks *c, const struct probe *p)
{
    char mend[SEAL_NAME_MAX + 96];
    if (p->answered) {
        check_line(c, "reach", true, NULL, "'%s' answers at %s with its own key (%s)", p->card.name,
                   p->address, p->program);
        say_clock(c, p->skew_ms);
    } else if (p->worst == NET_REFUSED) {
        (void)snprintf(mend, sizeof mend,
                       "send it %s.card and tell the fingerprint, or ask whether it was revoked",
                       p->site->name);
        check_line(c, "reach", false, mend,
                   "'%s' answers at %s and refuses this site's key: it is not enrolled there",
                   p->card.name, p->address);
    } else if (p->worst == NET_WRONG_SERVER) {
        check_line(c, "reach", false,
                   "ask the coordinator for its card; do not trust another one unasked",
                   "somebody answers at %s, and not with the key of '%s' that is trusted here",
                   p->address, p->card.name);
    } else if (p->connected) {
        check_line(c, "reach", false, "ask the coordinator whether it serves this site",
                   "'%s' at %s took the connection and did not answer in %d s%s%s", p->card.name,
                   p->address, PROBE_WAIT_MS / 1000, p->refusal[0] != '\0' ? ": " : "", p->refusal);
    } else {
        check_line(c, "reach", false,
                   "is it running, is the address right (`address:` in site.yaml), does a firewall "
                   "let this machine out?",
                   "nobody answers at %s in %d s", p->address, PROBE_WAIT_MS / 1000);
    }
}

/* What its gateway has written, since it must not be asked past it. */
static void say_kept(struct checks *c, const struct probe *p)
{
    struct error err = {0};
    struct connection now = {0};
    const int64_t now_ms = clock_wall_ms();
    if (connection_read(c->folder, &now, &err) != RC_OK || connection_is_stale(&now, now_ms)) {
        check_line(c, "reach", false,
                   "ask again if it was started just now; else look into its log, or stop it and "
                   "start it again",
                   "an agent holds this folder and does not keep the connection: its gateway has "
                   "not said for %d s how it is",
                   CONNECTION_STALE_MS / 1000);
    } else if (now.state != NET_CONNECTED) {
        check_line(c, "reach", false, NULL, "the agent is running, at %s: %s", p->address,
                   net_state_sentence(now.state));
    } else if (now.heard_ms == 0) {
        check_line(c, "reach", true, NULL,
                   "the agent is running and connected to '%s' at %s, which has not sent it a "
                   "message yet",
                   p->card.name, p->address);
    } else {
        const int64_t ago = now_ms - now.heard_ms;
        check_line(c, "reach", true, NULL,
                   "the agent is running and connected to '%s' at %s, which it has heard of %lld s "
                   "ago",
                   p->card.name, p->address, (long long)((ago > 0 ? ago : 0) / 1000));
    }
}

/* A second connection under the same key would take the running agent's answers from it. */
static bool agent_runs(const char *folder)
{
    char path[SITE_PATH_MAX];
    struct error ignored;
    if (site_path(folder, "agent.lock", path, &ignored) != RC_OK) {
        return false;
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return held;
}

void check_coordinator(struct checks *c, const struct site *site)
{
    struct error err = {0};
    char fingerprint[SEAL_FINGERPRINT];
    struct probe p = {.site = site};
    enum rc rc = site_coordinator(c->folder, &p.card, &err);
    if (rc != RC_OK) {
        check_line(c, "coordinator", false, NULL, "%s", err.text);
        return;
    }
    seal_fingerprint(&p.card, fingerprint);
    p.address = site->address[0] != '\0' ? site->address : p.card.address;
    check_line(c, "coordinator", true, NULL, "'%s', fingerprint %s", p.card.name, fingerprint);
    if (agent_runs(c->folder)) {
        say_kept(c, &p);
        return;
    }
    rc = site_keys(c->folder, &p.keys, &err);
    if (rc != RC_OK) { /* said under "keys" */
        check_line(c, "reach", false, "mend the keys first", "not tried");
        return;
    }
    rc = draw_epoch(&p, &err);
    if (rc == RC_OK) {
        rc = net_client_open(p.address, &p.card.curve, p.keys, &p.client, &err);
    }
    if (rc == RC_OK) {
        rc = ask(&p, &err);
    }
    net_client_close(&p.client);
    seal_keys_close(&p.keys);
    if (rc != RC_OK) {
        check_line(c, "reach", false, NULL, "%s", err.text);
    } else {
        say_reached(c, &p);
    }
}
