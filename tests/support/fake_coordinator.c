/*
 * A coordinator as far as `wardround-agent` needs one for its commands, for the integration tests.
 *
 *   fake_coordinator card FOLDER NAME ADDRESS        FOLDER/NAME.key and FOLDER/NAME.card; prints the
 *                                                    fingerprint
 *   fake_coordinator fingerprint CARD
 *   fake_coordinator offer SITE_DIR KEY STUDY.yaml   as if the study had arrived at the site; prints
 *                                                    its hash
 *   fake_coordinator answer KEY NAME CARD SKEW_MS    admits CARD's site ("-": nobody), answers its
 *                                                    PROBEs; prints its port first, then "probed" for
 *                                                    each; until stdin ends
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/consent/consent.h"
#include "common/agreement/agreement.h"
#include "common/base/clock.h"
#include "common/net/net.h"
#include "common/seal/seal.h"
#include "common/wire/wire.h"

static RC make_card(char **argv, struct error *err)
{
    char path[512];
    char fingerprint[SEAL_FINGERPRINT];
    struct seal_keys *keys = NULL;
    struct seal_card card;
    (void)snprintf(path, sizeof path, "%s/%s.key", argv[0], argv[1]);
    enum rc rc = seal_keys_create(path, err);
    if (rc == RC_OK) {
        rc = seal_keys_open(path, &keys, err);
    }
    if (rc == RC_OK) {
        rc = seal_card_make(keys, SEAL_COORDINATOR, argv[1], argv[2], &card, err);
    }
    if (rc == RC_OK) {
        (void)snprintf(path, sizeof path, "%s/%s.card", argv[0], argv[1]);
        rc = seal_card_write(path, &card, err);
    }
    if (rc == RC_OK) {
        seal_fingerprint(&card, fingerprint);
        (void)puts(fingerprint);
    }
    seal_keys_close(&keys);
    return rc;
}

static RC print_fingerprint(char **argv, struct error *err)
{
    char fingerprint[SEAL_FINGERPRINT];
    struct seal_card card;
    const enum rc rc = seal_card_read(argv[0], &card, err);
    if (rc == RC_OK) {
        seal_fingerprint(&card, fingerprint);
        (void)puts(fingerprint);
    }
    return rc;
}

static RC write_agreement(const char *site, const char *hex, const void *bytes, size_t n,
                          struct error *err)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/studies", site);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s/studies/%s.agreement", site, hex);
    FILE *f = fopen(path, "wbe");
    const bool written = f != NULL && fwrite(bytes, 1, n, f) == n;
    const bool closed = f != NULL && fclose(f) == 0;
    return written && closed ? RC_OK : error_set(err, RC_IO, "cannot write '%s'", path);
}

static RC offer(char **argv, struct error *err)
{
    static struct config_issues issues;
    char path[512];
    char hex[HASH_HEX];
    struct seal_keys *keys = NULL;
    struct agreement a = {0};
    struct consent *consent = NULL;
    unsigned char *bytes = NULL;
    size_t n = 0;
    enum rc rc = seal_keys_open(argv[1], &keys, err);
    if (rc == RC_OK) {
        rc = agreement_open(argv[2], NULL, &a, &issues, err);
    }
    if (rc == RC_OK) {
        rc = agreement_sign(&a, keys, &bytes, &n, err);
    }
    if (rc == RC_OK) {
        hash_hex(&a.study_hash, hex);
        rc = write_agreement(argv[0], hex, bytes, n, err);
    }
    if (rc == RC_OK) {
        (void)snprintf(path, sizeof path, "%s/consent.db", argv[0]);
        rc = consent_open(path, &consent, err);
    }
    if (rc == RC_OK) {
        rc = consent_offer(consent, &a.study_hash, a.study.name, "unibas", a.document,
                           clock_wall_ms(), err);
    }
    if (rc == RC_OK) {
        (void)puts(hex);
    }
    consent_close(&consent);
    free(bytes);
    agreement_release(&a);
    seal_keys_close(&keys);
    return rc;
}

static RC answer_one(struct net_server *server, const struct seal_keys *keys, const char *name,
                     const struct seal_card *site, int64_t skew_ms, struct error *err)
{
    static uint64_t sequence;
    unsigned char frame[1024];
    struct net_frames f = {0};
    struct wire_message m;
    bool got = false;
    bool sent = false;
    size_t peer = 0;
    size_t n = 0;
    enum rc rc = net_server_receive(server, &got, &peer, &f, err);
    if (rc != RC_OK || !got) {
        return rc;
    }
    rc = wire_open(f.header, f.header_n, f.raw, f.raw_n, &site->sign, &m, err);
    if (rc != RC_OK || m.kind != WIRE_PROBE) {
        return rc;
    }
    (void)puts("probed");
    (void)fflush(stdout);
    m = (struct wire_message){.kind = WIRE_PROBED,
                              .epoch = 1,
                              .sequence = ++sequence,
                              .now_ms = clock_wall_ms() + skew_ms};
    (void)snprintf(m.from, sizeof m.from, "%s", name);
    (void)snprintf(m.to, sizeof m.to, "%s", site->name);
    (void)snprintf(m.text, sizeof m.text, "fake 1");
    rc = wire_seal(&m, NULL, 0, keys, frame, sizeof frame, &n, err);
    return rc == RC_OK ? net_server_send(server, peer, frame, n, NULL, 0, &sent, err) : rc;
}

static RC answer(char **argv, struct error *err)
{
    struct seal_keys *keys = NULL;
    struct net_server *server = NULL;
    struct seal_card site = {0};
    struct net_wait w = {.n_fds = 1, .fd = {{.fd = STDIN_FILENO}}};
    enum rc rc = seal_keys_open(argv[0], &keys, err);
    if (rc == RC_OK) {
        rc = net_server_open("tcp://127.0.0.1:0", keys, &server, err);
    }
    if (rc == RC_OK && strcmp(argv[2], "-") != 0) {
        rc = seal_card_read(argv[2], &site, err);
        if (rc == RC_OK) {
            rc = net_server_allow(server, 0, &site.curve, err);
        }
    }
    if (rc == RC_OK) {
        (void)printf("%u\n", net_server_port(server));
        (void)fflush(stdout);
    }
    w.server = server;
    while (rc == RC_OK && !w.fd[0].readable) {
        rc = net_wait(&w, -1, err);
        if (rc == RC_OK) {
            rc = answer_one(server, keys, argv[1], &site, strtoll(argv[3], NULL, 10), err);
        }
    }
    net_server_close(&server);
    seal_keys_close(&keys);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int n_args;
        enum rc (*run)(char **argv, struct error *err);
    } commands[] = {{"card", 3, make_card},
                    {"fingerprint", 1, print_fingerprint},
                    {"offer", 3, offer},
                    {"answer", 4, answer}};
    struct error err = {0};
    for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0 && argc == 2 + commands[i].n_args) {
            const enum rc rc = commands[i].run(argv + 2, &err);
            if (rc != RC_OK) {
                (void)fprintf(stderr, "fake_coordinator: %s\n", err.text);
            }
            return rc == RC_OK ? 0 : 1;
        }
    }
    (void)fprintf(stderr, "fake_coordinator: see the top of its source\n");
    return 2;
}
