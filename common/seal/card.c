/*
 * Cards. What is signed (domain "wardround card v1") is the role's number, name and address in
 * fields of fixed width with NULs behind, and both public keys. The file holds the same as YAML,
 * and the fingerprint, which must be right: it is there for people, and they would believe it.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "common/base/file.h"
#include "common/config/config.h"
#include "common/seal/keys_internal.h"
#include "common/seal/seal_internal.h"

#define DOMAIN      "wardround card v1"
#define COUNT(a)    (sizeof(a) / sizeof(a)[0])
#define HEX(bytes)  (2 * (bytes) + 1)
#define CARD_FORMAT 1

enum { CARD_TEXT_MAX = 2048, CARD_PATH_MAX = 4096 };

static const char *const roles[] = {[SEAL_SITE] = "site", [SEAL_COORDINATOR] = "coordinator", NULL};
static_assert(sizeof(enum seal_role) == sizeof(int), "a choice is written as an int");

const char *seal_role_name(enum seal_role role)
{
    return (unsigned)role < COUNT(roles) - 1 ? roles[role] : "?";
}

/* ---- names and addresses --------------------------------------------------------------------- */

static const char letters_and_digits[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool seal_is_name(const char *text)
{
    const size_t n = strlen(text);
    size_t word = 0;
    while (text[word] != '\0' &&
           (strchr(letters_and_digits, text[word]) != NULL || strchr("._-", text[word]) != NULL)) {
        word++;
    }
    return n > 0 && n < SEAL_NAME_MAX && word == n && strchr("._-", text[0]) == NULL;
}

/* tcp://host:port with a name, an IPv4 address, or an IPv6 address in brackets. */
static bool is_address(const char *text)
{
    static const char scheme[] = "tcp://";
    if (strlen(text) >= SEAL_ADDRESS_MAX || strncmp(text, scheme, strlen(scheme)) != 0) {
        return false;
    }
    const char *host = text + strlen(scheme);
    const char *colon = strrchr(host, ':');
    if (colon == NULL || colon == host) {
        return false;
    }
    size_t n = 0;
    if (host[0] == '[') {
        n = 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
        n += n > 1 && host[n] == ']';
        if (host[n - 1] != ']') {
            return false;
        }
    } else {
        while (host[n] != '\0' &&
               (strchr(letters_and_digits, host[n]) != NULL || strchr(".-_", host[n]) != NULL)) {
            n++;
        }
    }
    if (host + n != colon) {
        return false;
    }
    const char *port = colon + 1;
    const size_t n_port = strspn(port, "0123456789");
    if (n_port == 0 || n_port > 5 || port[n_port] != '\0' || port[0] == '0') {
        return false;
    }
    unsigned number = 0;
    for (size_t i = 0; i < n_port; i++) {
        number = 10 * number + (unsigned)(port[i] - '0');
    }
    return number <= 65535;
}

static RC check(enum seal_role role, const char *name, const char *address, struct error *err)
{
    if (!seal_is_name(name)) {
        return error_set(err, RC_INVALID,
                         "'%.70s' is no name: begin with a letter or digit, then also . _ -, at "
                         "most %d characters",
                         name, (int)SEAL_NAME_MAX - 1);
    }
    if (role == SEAL_SITE && address[0] != '\0') {
        return error_set(err, RC_INVALID,
                         "a site's card has no address: it is the site that connects");
    }
    if (role == SEAL_COORDINATOR && !is_address(address)) {
        return error_set(err, RC_INVALID,
                         "'%.100s' is no address: write where sites connect to, as in "
                         "tcp://wardround.example.org:7400",
                         address);
    }
    return RC_OK;
}

/* ---- the signature --------------------------------------------------------------------------- */

/* What is signed. Bytes only: no padding, the same on every machine. */
struct signed_body {
    unsigned char role;
    char name[SEAL_NAME_MAX];
    char address[SEAL_ADDRESS_MAX];
    struct seal_public sign;
    struct seal_curve curve;
};
static_assert(sizeof(struct signed_body) == 1 + SEAL_NAME_MAX + SEAL_ADDRESS_MAX + 64,
              "no padding in what is signed");

static void fill_body(const struct seal_card *card, struct signed_body *body)
{
    memset(body, 0, sizeof *body);
    body->role = (unsigned char)card->role;
    memcpy(body->name, card->name, strlen(card->name));
    memcpy(body->address, card->address, strlen(card->address));
    body->sign = card->sign;
    body->curve = card->curve;
}

enum rc seal_card_make(const struct seal_keys *k, enum seal_role role, const char *name,
                       const char *address, struct seal_card *out, struct error *err)
{
    struct seal_card card;
    struct signed_body body;
    const enum rc rc = check(role, name, address, err);
    if (rc != RC_OK) {
        return rc;
    }
    memset(&card, 0, sizeof card);
    card.role = role;
    memcpy(card.name, name, strlen(name));
    memcpy(card.address, address, strlen(address));
    seal_keys_public(k, &card.sign, &card.curve);
    fill_body(&card, &body);
    seal_sign(k, DOMAIN, &body, sizeof body, &card.signature);
    *out = card;
    return RC_OK;
}

/* ---- as text --------------------------------------------------------------------------------- */

size_t seal_card_text(const struct seal_card *card, char *out, size_t room)
{
    char sign[HEX(sizeof card->sign.b)];
    char curve[HEX(sizeof card->curve.b)];
    char signature[HEX(sizeof card->signature.b)];
    char fingerprint[SEAL_FINGERPRINT];
    char address[SEAL_ADDRESS_MAX + sizeof "address: \"\"\n"] = "";

    (void)sodium_bin2hex(sign, sizeof sign, card->sign.b, sizeof card->sign.b);
    (void)sodium_bin2hex(curve, sizeof curve, card->curve.b, sizeof card->curve.b);
    (void)sodium_bin2hex(signature, sizeof signature, card->signature.b, sizeof card->signature.b);
    seal_fingerprint(card, fingerprint);
    if (card->address[0] != '\0') {
        (void)snprintf(address, sizeof address, "address: \"%s\"\n", card->address);
    }
    const int n = snprintf(
        out, room,
        "# A public card. Compare its fingerprint by telephone before you trust or enrol it.\n"
        "card: %d\n"
        "role: %s\n"
        "name: \"%s\"\n"
        "%s"
        "fingerprint: \"%s\"\n"
        "sign: \"%s\"\n"
        "curve: \"%s\"\n"
        "signature: \"%s\"\n",
        CARD_FORMAT, seal_role_name(card->role), card->name, address, fingerprint, sign, curve,
        signature);
    return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

/* The words of a card's file. */
struct card_map {
    size_t format;
    int role;
    char name[SEAL_NAME_MAX], address[SEAL_ADDRESS_MAX], fingerprint[SEAL_FINGERPRINT];
    char sign[HEX(32)], curve[HEX(32)], signature[HEX(64)];
};

/* clang-format off */
#define AT(field)         offsetof(struct card_map, field)
#define TEXT(field, help_text) \
    .type = CONFIG_TEXT, .offset = AT(field), .size = sizeof ((struct card_map *)NULL)->field, .help = (help_text)
static const struct config_key card_keys[] = {
    {.name = "card", .type = CONFIG_COUNT, .offset = AT(format), .min = CARD_FORMAT, .max = CARD_FORMAT,
     .help = "version of this format"},
    {.name = "role", .type = CONFIG_CHOICE, .offset = AT(role), .choices = roles, .help = "whose card"},
    {.name = "name", TEXT(name, "as on the roster")},
    {.name = "address", TEXT(address, "coordinator: where sites connect to"), .fallback = ""},
    {.name = "fingerprint", TEXT(fingerprint, "for people")},
    {.name = "sign", TEXT(sign, "Ed25519, hexadecimal")},
    {.name = "curve", TEXT(curve, "Curve25519, hexadecimal")},
    {.name = "signature", TEXT(signature, "of all the above by the key `sign`, hexadecimal")},
};
#undef AT
#undef TEXT
/* clang-format on */

static void read_hex(const struct config_node *map, const char *key, const char *text,
                     unsigned char *out, size_t n, struct config_issues *issues)
{
    size_t got = 0;
    const char *end = NULL;
    const struct config_node *at = config_get(map, key);
    if (at == NULL || at->text == NULL || strcmp(at->text, text) != 0) {
        return; /* missing, no text, or too long: said by config_bind */
    }
    if (sodium_hex2bin(out, n, text, strlen(text), NULL, &got, &end) != 0 || got != n ||
        *end != '\0') {
        config_issue(issues, at, "%s: must be %zu hexadecimal digits", key, 2 * n);
    }
}

static void read_map(const struct config_node *map, struct card_map *words, struct seal_card *card,
                     struct config_issues *issues)
{
    struct error why;
    config_bind(map, card_keys, COUNT(card_keys), words, issues);
    read_hex(map, "sign", words->sign, card->sign.b, sizeof card->sign.b, issues);
    read_hex(map, "curve", words->curve, card->curve.b, sizeof card->curve.b, issues);
    read_hex(map, "signature", words->signature, card->signature.b, sizeof card->signature.b,
             issues);
    if (issues->n > 0) {
        return;
    }
    card->role = (enum seal_role)words->role;
    memcpy(card->name, words->name, sizeof card->name);
    memcpy(card->address, words->address, sizeof card->address);
    if (check(card->role, card->name, card->address, &why) != RC_OK) {
        config_issue(issues, config_get(map, "name"), "%s", why.text);
    }
}

static RC authentic(const char *path, const struct card_map *words, const struct seal_card *card,
                    struct error *err)
{
    struct signed_body body;
    fill_body(card, &body);
    enum rc rc = seal_verify(&card->sign, DOMAIN, &body, sizeof body, &card->signature, err);
    if (rc == RC_OK && !seal_fingerprint_matches(card, words->fingerprint)) {
        rc = RC_AUTH;
    }
    if (rc != RC_OK) {
        return error_set(err, RC_AUTH,
                         "%.120s: this card was changed after it was signed; ask its owner to send "
                         "it again",
                         path);
    }
    return RC_OK;
}

static RC from_document(const struct config_doc *doc, struct seal_card *out, struct error *err)
{
    const char *path = config_name(doc);
    struct config_issues issues;
    struct card_map words;
    struct seal_card card;

    memset(&card, 0, sizeof card);
    issues.path = path;
    issues.n = 0;
    read_map(config_root(doc), &words, &card, &issues);
    enum rc rc = config_verdict(&issues, err);
    if (rc == RC_OK) {
        rc = authentic(path, &words, &card, err);
    }
    if (rc == RC_OK) {
        *out = card;
    }
    return rc;
}

enum rc seal_card_parse(const char *name, const char *text, size_t n, struct seal_card *out,
                        struct error *err)
{
    struct config_doc *doc = NULL;
    enum rc rc = seal_start(err);
    if (rc == RC_OK) {
        rc = config_parse(name, text, n, &doc, err);
    }
    if (rc == RC_OK) {
        rc = from_document(doc, out, err);
    }
    config_close(&doc);
    return rc;
}

enum rc seal_card_read(const char *path, struct seal_card *out, struct error *err)
{
    struct config_doc *doc = NULL;
    enum rc rc = seal_start(err);
    if (rc == RC_OK) {
        rc = config_open(path, &doc, err);
    }
    if (rc == RC_OK) {
        rc = from_document(doc, out, err);
    }
    config_close(&doc);
    return rc;
}

/* Whole or not at all: a crash leaves the old card, or the new one. */
enum rc seal_card_write(const char *path, const struct seal_card *card, struct error *err)
{
    char text[CARD_TEXT_MAX];
    char next[CARD_PATH_MAX];
    const size_t n = seal_card_text(card, text, sizeof text);
    assert(n > 0); /* every field of a card is bounded */

    const int n_next = snprintf(next, sizeof next, "%s.new", path);
    if (n_next < 0 || (size_t)n_next >= sizeof next) {
        return error_set(err, RC_INVALID, "%.120s: too long a path", path);
    }
    const int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                        S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH);
    if (fd < 0) {
        return error_set(err, RC_IO, "%.120s: cannot create: %s", next, strerror(errno));
    }
    enum rc rc = seal_write_synced(fd, next, text, n, err);
    (void)close(fd); /* synced, or given up */
    if (rc == RC_OK && rename(next, path) != 0) {
        rc = error_set(err, RC_IO, "%.120s: cannot replace it: %s", path, strerror(errno));
    }
    if (rc != RC_OK) {
        (void)unlink(next);
        return rc;
    }
    return file_sync_folder(path, err);
}
