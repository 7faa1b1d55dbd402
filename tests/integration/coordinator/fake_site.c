#include "tests/integration/coordinator/fake_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"

static struct error err;

#define MUST(call)                               \
    do {                                         \
        if ((call) != RC_OK) {                   \
            fail_msg("%s: %s", #call, err.text); \
        }                                        \
    } while (0)

void fake_init(struct fake_site *s, const char *name)
{
    *s = (struct fake_site){.name = name};
    MUST(seal_keys_random(&s->keys, &err));
    MUST(seal_card_make(s->keys, SEAL_SITE, name, "", &s->card, &err));
}

void fake_release(struct fake_site *s)
{
    fake_disconnect(s);
    seal_keys_close(&s->keys);
    free(s->heard_raw);
    s->heard_raw = NULL;
}

void fake_connect(struct fake_site *s, const struct seal_card *coordinator, unsigned port)
{
    static uint64_t lives = 1000;
    char endpoint[64];
    fake_disconnect(s);
    s->coordinator = *coordinator;
    s->epoch = ++lives;
    s->sequence = 0;
    s->order = (struct wire_order){0};
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", port);
    MUST(net_client_open(endpoint, &coordinator->curve, s->keys, &s->client, &err));
}

void fake_disconnect(struct fake_site *s)
{
    net_client_close(&s->client);
}

/* ---- saying ---------------------------------------------------------------------------------- */

void fake_send_bytes(struct fake_site *s, const void *header, size_t n, const void *raw,
                     size_t raw_n)
{
    const int64_t until = clock_monotonic_ms() + FAKE_WAIT_MS;
    bool sent = false;
    while (!sent) {
        struct net_wait w = {.client = s->client};
        bool changed = false;
        (void)net_client_state(s->client, clock_monotonic_ms(), &changed);
        MUST(net_client_send(s->client, header, n, raw, raw_n, &sent, &err));
        if (!sent) {
            MUST(net_wait(&w, 20, &err));
        }
        if (clock_monotonic_ms() > until) {
            fail_msg("%s could not send", s->name);
        }
    }
}

size_t fake_seal(struct fake_site *s, struct wire_message *m, const void *raw, size_t raw_n,
                 const struct seal_keys *keys, unsigned char out[NET_HEADER_MAX])
{
    size_t n = 0;
    if (m->from[0] == '\0') {
        (void)snprintf(m->from, sizeof m->from, "%s", s->name);
    }
    if (m->to[0] == '\0') {
        (void)snprintf(m->to, sizeof m->to, "%s", s->coordinator.name);
    }
    m->epoch = m->epoch != 0 ? m->epoch : s->epoch;
    m->sequence = m->sequence != 0 ? m->sequence : ++s->sequence;
    MUST(wire_seal(m, raw, raw_n, keys != NULL ? keys : s->keys, out, NET_HEADER_MAX, &n, &err));
    return n;
}

void fake_send(struct fake_site *s, struct wire_message *m, const void *raw, size_t raw_n)
{
    unsigned char header[NET_HEADER_MAX];
    const size_t n = fake_seal(s, m, raw, raw_n, NULL, header);
    fake_send_bytes(s, header, n, raw, raw_n);
}

void fake_say(struct fake_site *s, enum wire_kind kind, uint64_t round, const char *text)
{
    struct wire_message m = {.kind = kind, .round = round};
    if (kind != WIRE_HELLO && kind != WIRE_PROBE) {
        m.study = s->study;
    }
    if (text != NULL) {
        wire_set_text(&m, text);
    }
    fake_send(s, &m, NULL, 0);
}

/* ---- hearing --------------------------------------------------------------------------------- */

bool fake_next(struct fake_site *s, int64_t ms)
{
    const int64_t until = clock_monotonic_ms() + ms;
    for (;;) {
        struct net_frames f = {0};
        bool got = false;
        bool changed = false;
        (void)net_client_state(s->client, clock_monotonic_ms(), &changed);
        MUST(net_client_receive(s->client, &got, &f, &err));
        if (got) {
            MUST(wire_open(f.header, f.header_n, f.raw, f.raw_n, &s->coordinator.sign, &s->heard,
                           &err));
            MUST(wire_order_take(&s->order, &s->heard, &err));
            assert_string_equal(s->heard.from, s->coordinator.name);
            assert_string_equal(s->heard.to, s->name);
            free(s->heard_raw);
            s->heard_raw = f.raw_n > 0 ? malloc(f.raw_n) : NULL;
            if (f.raw_n > 0) {
                assert_non_null(s->heard_raw);
                memcpy(s->heard_raw, f.raw, f.raw_n);
            }
            return true;
        }
        const int64_t left = until - clock_monotonic_ms();
        if (left <= 0) {
            return false;
        }
        struct net_wait w = {.client = s->client};
        MUST(net_wait(&w, left < 50 ? left : 50, &err));
    }
}

static void serve_update(struct fake_site *s)
{
    const struct wire_message *m = &s->heard;
    uint64_t index = 0;
    uint64_t offset = 0;
    size_t n = 0;
    if (s->update_bytes == NULL || !hash_equal(&m->tensor.hash, &s->update.hash)) {
        return;
    }
    MUST(transfer_out_credit(&s->update, m->first, m->until, m->resume, &err));
    while (transfer_out_next(&s->update, &index, &offset, &n)) {
        struct wire_message chunk = {
            .kind = WIRE_CHUNK, .study = s->study, .tensor = s->heard.tensor, .first = index};
        fake_send(s, &chunk, s->update_bytes + offset, n);
        transfer_out_sent(&s->update);
    }
}

static bool hear(struct fake_site *s, enum wire_kind kind, int64_t ms)
{
    const int64_t until = clock_monotonic_ms() + ms;
    for (int64_t left = ms; left >= 0; left = until - clock_monotonic_ms()) {
        if (!fake_next(s, left)) {
            return false;
        }
        if (s->heard.kind == WIRE_CREDIT) {
            serve_update(s);
        }
        if (s->heard.kind == kind) {
            return true;
        }
    }
    return false;
}

const struct wire_message *fake_hear(struct fake_site *s, enum wire_kind kind)
{
    if (!hear(s, kind, FAKE_WAIT_MS)) {
        fail_msg("%s waited in vain for %s", s->name, wire_kind_name(kind));
    }
    return &s->heard;
}

bool fake_hears_nothing(struct fake_site *s, enum wire_kind kind, int64_t ms)
{
    return !hear(s, kind, ms);
}

/* ---- longer exchanges ------------------------------------------------------------------------ */

void fake_hello(struct fake_site *s)
{
    struct agreement a = {0};
    fake_say(s, WIRE_HELLO, 0, "fake site");
    (void)fake_hear(s, WIRE_STUDY);
    MUST(agreement_verify(s->heard_raw, s->heard.raw_bytes, &s->coordinator.sign, &a, &err));
    assert_true(hash_equal(&a.study_hash, &s->heard.study));
    s->study = a.study_hash;
    agreement_release(&a);
}

void fake_offer(struct fake_site *s, uint64_t round, const unsigned char *bytes, size_t n)
{
    const struct hash hash = hash_of(bytes, n);
    struct wire_message m = {.kind = WIRE_UPDATE,
                             .study = s->study,
                             .round = round,
                             .tensor = {.hash = hash, .bytes = n},
                             .anchor = s->anchor};
    if (!hash_equal(&hash, &s->update.hash)) {
        transfer_out_init(&s->update, &hash, n);
    }
    s->update_bytes = bytes;
    fake_send(s, &m, NULL, 0);
}

void fake_upload(struct fake_site *s, uint64_t round, const unsigned char *bytes, size_t n)
{
    fake_offer(s, round, bytes, n);
    do {
        (void)fake_hear(s, WIRE_ACK);
    } while (s->heard.round != round);
}

unsigned char *fake_download(struct fake_site *s, const struct wire_tensor *tensor)
{
    const struct wire_tensor want = *tensor; /* it may stand in what is heard next */
    struct transfer_in in = {0};
    const void *mapped = NULL;
    size_t n = 0;
    MUST(transfer_in_open(&in, NULL, &want.hash, want.bytes, clock_monotonic_ms(), &err));
    while (!in.complete) {
        struct wire_message m = {.kind = WIRE_CREDIT, .study = s->study, .tensor = want};
        if (transfer_in_credit(&in, clock_monotonic_ms(), &m.first, &m.until, &m.resume)) {
            fake_send(s, &m, NULL, 0);
        }
        (void)fake_hear(s, WIRE_CHUNK);
        error_ignore(transfer_in_chunk(&in, s->heard.first, s->heard_raw, s->heard.raw_bytes,
                                       clock_monotonic_ms(), &err));
    }
    MUST(transfer_in_map(&in, &mapped, &n, &err));
    unsigned char *bytes = malloc(n);
    assert_non_null(bytes);
    memcpy(bytes, mapped, n);
    transfer_in_close(&in, false);
    return bytes;
}
