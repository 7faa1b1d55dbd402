#include "tests/integration/site/fake_coordinator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/kernel/real.h"
#include "common/model/model.h"

enum { TURN_MS = 20 };

static struct error err;

/* What cannot fail in a test that is set up right. */
static void must(enum rc rc)
{
    if (rc != RC_OK) {
        fail_msg("%s", err.text);
    }
}

static void give_up(const struct fake_coordinator *c, const char *what, const char *also)
{
    char command[256];
    (void)snprintf(command, sizeof command, "tail -n 20 '%s' >&2", c->agent->log);
    (void)!system(command);
    fail_msg("waited in vain for %s %s", what, also);
}

/* ---- a study --------------------------------------------------------------------------------- */

/* Small numbers, not all alike. */
static void make_model(struct fake_coordinator *c, size_t bytes)
{
    free(c->model);
    c->model = calloc(1, bytes);
    assert_non_null(c->model);
    for (size_t i = 0; i < bytes; i += sizeof(real)) {
        const real number = (real)(i % 97) / (real)1000 - (real)0.05;
        memcpy(c->model + i, &number, sizeof number);
    }
    c->tensor = (struct wire_tensor){.hash = hash_of(c->model, bytes), .bytes = bytes};
    transfer_out_init(&c->out, &c->tensor.hash, bytes);
    assert_true(transfer_chunks(bytes) >= 4); /* order is to matter */
}

void fake_other_model(struct fake_coordinator *c)
{
    c->model[0] ^= 1;
    c->tensor.hash = hash_of(c->model, c->tensor.bytes);
    transfer_out_init(&c->out, &c->tensor.hash, c->tensor.bytes);
}

/* A line of the roster; with its key, where sums are masked. */
static void write_site(const struct fake_coordinator *c, const struct seal_card *card, char *text,
                       size_t room)
{
    const size_t used = strlen(text);
    char key[HASH_HEX];
    struct hash sign;
    memcpy(sign.b, card->sign.b, sizeof sign.b);
    hash_hex(&sign, key);
    (void)snprintf(text + used, room - used, "  - {name: %s, nominal: 60%s%s}\n", card->name,
                   c->n_peers > 0 ? ", key: " : "", c->n_peers > 0 ? key : "");
}

void fake_study(struct fake_coordinator *c, const char *name, const char *features,
                const struct seal_keys *keys)
{
    static struct config_issues issues;
    char text[2048];
    char path[128];
    struct agreement a = {0};
    struct model model = {0};
    (void)snprintf(text, sizeof text,
                   "cohort: invented\nfiles:\n  - {path: p.csv, site: north}\n%s",
                   features != NULL ? features : agent_features);
    agent_file(c->agent, "cohort.yaml", text);
    (void)snprintf(text, sizeof text,
                   "study: %s\nseed: 7\ncohort: cohort.yaml\nrounds: 9\nquorum: %zu\nmin_sites: "
                   "%zu\nmasked: %s\n"
                   "join_deadline_s: 60\nround_deadline_s: 60\n"
                   "model: {name: mlp, hidden: [500, 500], activation: relu}\n"
                   "local: {optimiser: sgd, rate: 0.5, steps: 1}\n"
                   "privacy: {noise: none, epsilon: inf, clip: 1.0, sample_rate: 1.0}\n"
                   "update: {fraction_bits: 24}\nsites:\n",
                   name, c->n_peers + 1, c->n_peers + 1, c->n_peers > 0 ? "true" : "false");
    write_site(c, &c->site, text, sizeof text);
    for (size_t i = 0; i < c->n_peers; i++) {
        write_site(c, &c->peer[i], text, sizeof text);
    }
    agent_file(c->agent, "study.yaml", text);
    (void)snprintf(path, sizeof path, "%s/study.yaml", c->agent->root);
    memset(&issues, 0, sizeof issues);
    free(c->signed_bytes);
    c->signed_bytes = NULL;
    must(agreement_open(path, NULL, &a, &issues, &err));
    must(agreement_sign(&a, keys != NULL ? keys : c->keys, &c->signed_bytes, &c->signed_n, &err));
    must(model_open(&a.study.model, &a.schema, &model, &err));
    c->study = a.study_hash;
    make_model(c, model.table.S * sizeof(real));
    model_release(&model);
    agreement_release(&a);
}

void fake_open(struct fake_coordinator *c, struct agent *a)
{
    char address[64];
    *c = (struct fake_coordinator){.agent = a, .epoch = 1};
    agent_root(a);
    must(seal_keys_random(&c->keys, &err));
    must(net_server_open("tcp://127.0.0.1:0", c->keys, &c->server, &err));
    (void)snprintf(address, sizeof address, "tcp://127.0.0.1:%u", net_server_port(c->server));
    must(seal_card_make(c->keys, SEAL_COORDINATOR, "hub", address, &c->card, &err));
    agent_make(a, &c->card, net_server_port(c->server));
    c->site = a->card;
    must(net_server_allow(c->server, 0, &c->site.curve, &err));
    fake_study(c, "trial", NULL, NULL);
}

void fake_restart(struct fake_coordinator *c)
{
    char address[64];
    (void)snprintf(address, sizeof address, "tcp://127.0.0.1:%u", net_server_port(c->server));
    net_server_close(&c->server);
    must(net_server_open(address, c->keys, &c->server, &err));
    must(net_server_allow(c->server, 0, &c->site.curve, &err));
    c->epoch++;
    c->sequence = 0;
}

void fake_close(struct fake_coordinator *c)
{
    net_server_close(&c->server);
    seal_keys_close(&c->keys);
    free(c->signed_bytes);
    free(c->model);
    free(c->heard_raw);
    *c = (struct fake_coordinator){0};
}

/* ---- saying ---------------------------------------------------------------------------------- */

size_t fake_seal(struct fake_coordinator *c, struct wire_message *m, const void *raw, size_t raw_n,
                 const struct seal_keys *keys, unsigned char out[NET_HEADER_MAX])
{
    size_t n = 0;
    if (m->from[0] == '\0') {
        (void)snprintf(m->from, sizeof m->from, "%s", c->card.name);
    }
    if (m->to[0] == '\0') {
        (void)snprintf(m->to, sizeof m->to, "%s", c->site.name);
    }
    m->epoch = m->epoch != 0 ? m->epoch : c->epoch;
    m->sequence = m->sequence != 0 ? m->sequence : ++c->sequence;
    must(wire_seal(m, raw, raw_n, keys != NULL ? keys : c->keys, out, NET_HEADER_MAX, &n, &err));
    return n;
}

void fake_send_bytes(struct fake_coordinator *c, const void *header, size_t n, const void *raw,
                     size_t raw_n)
{
    const int64_t until = clock_monotonic_ms() + FAKE_WAIT_MS;
    for (bool sent = false; !sent;) {
        struct net_wait w = {.server = c->server};
        must(net_server_send(c->server, 0, header, n, raw, raw_n, &sent, &err));
        if (!sent) {
            must(net_wait(&w, TURN_MS, &err));
        }
        if (clock_monotonic_ms() > until) {
            give_up(c, "a place in the queue", "");
        }
    }
}

void fake_send(struct fake_coordinator *c, struct wire_message *m, const void *raw, size_t raw_n)
{
    unsigned char header[NET_HEADER_MAX];
    const size_t n = fake_seal(c, m, raw, raw_n, NULL, header);
    fake_send_bytes(c, header, n, raw, raw_n);
}

void fake_say(struct fake_coordinator *c, enum wire_kind kind, uint64_t round, const char *text)
{
    struct wire_message m = {.kind = kind, .study = c->study, .round = round};
    if (kind == WIRE_OUTCOME) {
        m.tensor = c->tensor;
        m.n_sites = 1;
        m.contributed[0] = 1;
    }
    if (text != NULL) {
        wire_set_text(&m, text);
    }
    fake_send(c, &m, NULL, 0);
}

void fake_send_study(struct fake_coordinator *c)
{
    struct wire_message m = {.kind = WIRE_STUDY, .study = c->study, .anchor = c->anchor};
    fake_send(c, &m, c->signed_bytes, c->signed_n);
}

void fake_open_round(struct fake_coordinator *c, uint64_t round)
{
    struct wire_message m = {.kind = WIRE_ROUND,
                             .study = c->study,
                             .round = round,
                             .tensor = c->tensor,
                             .left_ms = 60000};
    fake_send(c, &m, NULL, 0);
}

void fake_chunk(struct fake_coordinator *c, const struct wire_tensor *tensor, uint64_t index,
                const void *bytes, size_t n)
{
    struct wire_message m = {
        .kind = WIRE_CHUNK, .study = c->study, .tensor = *tensor, .first = index};
    fake_send(c, &m, bytes, n);
}

void fake_credit(struct fake_coordinator *c, const struct wire_tensor *tensor, uint64_t first,
                 uint64_t until)
{
    struct wire_message m = {.kind = WIRE_CREDIT,
                             .study = c->study,
                             .tensor = *tensor,
                             .first = first,
                             .until = until,
                             .resume = true};
    fake_send(c, &m, NULL, 0);
}

/* ---- hearing --------------------------------------------------------------------------------- */

static void keep(struct fake_coordinator *c, const struct net_frames *f)
{
    must(wire_open(f->header, f->header_n, f->raw, f->raw_n, &c->site.sign, &c->heard, &err));
    must(wire_order_take(&c->order, &c->heard, &err));
    assert_string_equal(c->heard.from, c->site.name);
    assert_string_equal(c->heard.to, c->card.name);
    free(c->heard_raw);
    c->heard_raw = NULL;
    if (f->raw_n > 0) {
        c->heard_raw = malloc(f->raw_n);
        assert_non_null(c->heard_raw);
        memcpy(c->heard_raw, f->raw, f->raw_n);
    }
    c->n_updates += c->heard.kind == WIRE_UPDATE;
    c->n_update_chunks += c->heard.kind == WIRE_CHUNK;
}

void fake_serve(struct fake_coordinator *c)
{
    const struct wire_message *m = &c->heard;
    uint64_t index = 0;
    uint64_t offset = 0;
    size_t n = 0;
    if (c->mute || m->kind != WIRE_CREDIT || !hash_equal(&m->tensor.hash, &c->tensor.hash)) {
        return;
    }
    must(transfer_out_credit(&c->out, m->first, m->until, m->resume, &err));
    while (transfer_out_next(&c->out, &index, &offset, &n)) {
        fake_chunk(c, &c->tensor, index, c->model + offset, n);
        transfer_out_sent(&c->out);
    }
}

/* The next message, if there is one within a moment. */
static bool one_turn(struct fake_coordinator *c)
{
    struct net_frames f = {0};
    struct net_wait w = {.server = c->server};
    size_t peer = 0;
    bool got = false;
    must(net_server_receive(c->server, &got, &peer, &f, &err));
    if (got) {
        keep(c, &f);
        fake_serve(c);
    } else {
        must(net_wait(&w, TURN_MS, &err));
    }
    return got;
}

const struct wire_message *fake_hear(struct fake_coordinator *c, enum wire_kind kind)
{
    const int64_t until = clock_monotonic_ms() + FAKE_WAIT_MS;
    while (!one_turn(c) || c->heard.kind != kind) {
        if (clock_monotonic_ms() > until) {
            give_up(c, "message", wire_kind_name(kind));
        }
    }
    return &c->heard;
}

void fake_await_log(struct fake_coordinator *c, const char *text, const char *also)
{
    const int64_t until = clock_monotonic_ms() + FAKE_WAIT_MS;
    while (agent_logged(c->agent, text, also) == 0) {
        (void)one_turn(c);
        if (clock_monotonic_ms() > until) {
            give_up(c, text, also);
        }
    }
}

void fake_greet(struct fake_coordinator *c)
{
    (void)fake_hear(c, WIRE_HELLO);
}

/* ---- longer exchanges ------------------------------------------------------------------------ */

void fake_fetch(struct fake_coordinator *c, struct hash *out)
{
    const struct wire_tensor want = c->heard.tensor;
    struct transfer_in in = {0};
    assert_int_equal(c->heard.kind, WIRE_UPDATE);
    must(transfer_in_open(&in, NULL, &want.hash, want.bytes, clock_monotonic_ms(), &err));
    while (!in.complete) {
        struct wire_message m = {.kind = WIRE_CREDIT, .study = c->study, .tensor = want};
        if (transfer_in_credit(&in, clock_monotonic_ms(), &m.first, &m.until, &m.resume)) {
            fake_send(c, &m, NULL, 0);
        }
        (void)fake_hear(c, WIRE_CHUNK);
        assert_true(hash_equal(&c->heard.tensor.hash, &want.hash));
        must(transfer_in_chunk(&in, c->heard.first, c->heard_raw, c->heard.raw_bytes,
                               clock_monotonic_ms(), &err));
    }
    transfer_in_close(&in, false);
    *out = want.hash;
}

void fake_ack(struct fake_coordinator *c, uint64_t round, const struct hash *anchor)
{
    struct wire_message m = {
        .kind = WIRE_ACK, .study = c->study, .round = round, .anchor = *anchor};
    fake_send(c, &m, NULL, 0);
}

void fake_whole_round(struct fake_coordinator *c, uint64_t round)
{
    struct hash update;
    char hex[HASH_HEX];
    char key[32];
    fake_open_round(c, round);
    do {
        (void)fake_hear(c, WIRE_UPDATE);
    } while (c->heard.round != round);
    const struct hash anchor = c->heard.anchor;
    fake_fetch(c, &update);
    hash_hex(&update, hex);
    (void)snprintf(key, sizeof key, "%llu", (unsigned long long)round);
    json_t *spent = agent_spent(c->agent);
    assert_string_equal(json_string_value(json_object_get(spent, key)), hex);
    json_decref(spent);
    fake_ack(c, round, &anchor);
    fake_say(c, WIRE_OUTCOME, round, "1 of 1: north");
    (void)snprintf(key, sizeof key, "round=%llu", (unsigned long long)round);
    fake_await_log(c, "round_outcome", key);
}
