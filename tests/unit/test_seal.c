#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "common/seal/keys_internal.h"
#include "common/seal/seal.h"

enum { KEY_FILE_BYTES = 113, PATH_ROOM = 256, TEXT_ROOM = 4096 };
#define ADDRESS "tcp://wardround.example.org:7400"

static char folder[] = "/tmp/wardround_seal_XXXXXX";

/* One of a few static places: used at once. */
static const char *in_folder(const char *name)
{
    static char path[4][PATH_ROOM];
    static size_t turn;
    turn = (turn + 1) % 4;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[PATH_ROOM];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static size_t read_file(const char *path, unsigned char *out, size_t room)
{
    FILE *f = fopen(path, "rbe");
    assert_non_null(f);
    const size_t n = fread(out, 1, room, f);
    assert_int_equal(fclose(f), 0);
    return n;
}

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static struct seal_keys *opened(const char *path)
{
    struct seal_keys *k = NULL;
    struct error err = {0};
    if (seal_keys_open(path, &k, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return k;
}

static struct seal_keys *fresh_keys(void)
{
    struct seal_keys *k = NULL;
    struct error err = {0};
    assert_int_equal(seal_keys_random(&k, &err), RC_OK);
    return k;
}

static void assert_open_refuses(const char *path, enum rc want, const char *word)
{
    struct seal_keys *k = NULL;
    struct error err = {0};
    assert_int_equal(seal_keys_open(path, &k, &err), want);
    assert_null(k);
    assert_int_equal(err.rc, want);
    if (strncmp(err.text, path, strlen(path)) != 0 || strstr(err.text, word) == NULL) {
        fail_msg("'%s' does not begin with the path or does not say '%s'", err.text, word);
    }
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void keys_from_a_file_are_the_same_each_time_and_no_one_elses(void **state)
{
    (void)state;
    struct error err = {0};
    struct seal_public sign[3];
    struct seal_curve curve[3];
    assert_int_equal(seal_keys_create(in_folder("a.keys"), &err), RC_OK);
    assert_int_equal(seal_keys_create(in_folder("b.keys"), &err), RC_OK);
    const char *const name[3] = {"a.keys", "a.keys", "b.keys"};
    for (size_t i = 0; i < 3; i++) {
        struct seal_keys *k = opened(in_folder(name[i]));
        seal_keys_public(k, &sign[i], &curve[i]);
        struct seal_curve_secret secret;
        unsigned char derived[32];
        seal_keys_curve_secret(k, &secret);
        assert_int_equal(crypto_scalarmult_base(derived, secret.b), 0);
        assert_memory_equal(derived, curve[i].b, sizeof derived);
        seal_wipe(&secret, sizeof secret);
        assert_true(sodium_is_zero(secret.b, sizeof secret.b));
        seal_keys_close(&k);
        assert_null(k);
        seal_keys_close(&k);
    }
    assert_memory_equal(&sign[0], &sign[1], sizeof sign[0]);
    assert_memory_equal(&curve[0], &curve[1], sizeof curve[0]);
    assert_memory_not_equal(&sign[0], &sign[2], sizeof sign[0]);
    assert_memory_not_equal(&curve[0], &curve[2], sizeof curve[0]);
    assert_memory_not_equal(&sign[0], &curve[0], sizeof sign[0]);
}

static void a_key_file_is_for_its_owner_alone_whatever_the_umask(void **state)
{
    (void)state;
    struct error err = {0};
    struct stat info;
    const char *path = in_folder("umask.keys");
    const mode_t before = umask(0);
    assert_int_equal(seal_keys_create(path, &err), RC_OK);
    (void)umask(before);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(info.st_size, KEY_FILE_BYTES);
}

static void keys_are_never_written_over(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned char before[KEY_FILE_BYTES], after[KEY_FILE_BYTES];
    const char *path = in_folder("once.keys");
    assert_int_equal(seal_keys_create(path, &err), RC_OK);
    (void)read_file(path, before, sizeof before);
    assert_int_equal(seal_keys_create(path, &err), RC_STATE);
    assert_non_null(strstr(err.text, "there already"));
    (void)read_file(path, after, sizeof after);
    assert_memory_equal(before, after, sizeof before);

    assert_int_equal(symlink("nowhere", in_folder("dangling.keys")), 0);
    assert_int_equal(seal_keys_create(in_folder("dangling.keys"), &err), RC_STATE);
    assert_int_not_equal(access(in_folder("nowhere"), F_OK), 0);
}

static void keys_that_do_not_reach_the_disk_leave_no_file(void **state)
{
    (void)state;
    struct error err = {0};
    const char *path = in_folder("full.keys");
    struct rlimit normal, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &normal), 0);
    small = normal;
    small.rlim_cur = 50;
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const enum rc rc = seal_keys_create(path, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &normal), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(rc, RC_IO);
    assert_non_null(strstr(err.text, "cannot write"));
    assert_int_not_equal(access(path, F_OK), 0);

    assert_int_equal(seal_keys_create(in_folder("no/such.keys"), &err), RC_IO);
}

static void keys_that_others_may_read_or_write_are_refused(void **state)
{
    (void)state;
    struct error err = {0};
    const char *path = in_folder("mode.keys");
    assert_int_equal(seal_keys_create(path, &err), RC_OK);
    for (mode_t bit = 01; bit <= 040; bit <<= 1) {
        assert_int_equal(chmod(path, 0600 | bit), 0);
        assert_open_refuses(path, RC_AUTH, "chmod 600");
    }
    assert_int_equal(chmod(path, 0400), 0); /* stricter than needed is fine */
    struct seal_keys *k = opened(path);
    seal_keys_close(&k);
}

static void keys_of_another_user_are_refused(void **state)
{
    (void)state;
    struct error err = {0};
    const char *path = in_folder("owner.keys");
    assert_int_equal(seal_keys_create(path, &err), RC_OK);
    if (chown(path, 12345, (gid_t)-1) != 0) {
        skip(); /* only root can give a file away */
    }
    assert_open_refuses(path, RC_AUTH, "belongs to user 12345");
}

static void a_link_a_folder_or_a_fifo_is_no_key_file(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(seal_keys_create(in_folder("real.keys"), &err), RC_OK);
    assert_int_equal(symlink(in_folder("real.keys"), in_folder("link.keys")), 0);
    assert_open_refuses(in_folder("link.keys"), RC_AUTH, "symbolic link");
    assert_open_refuses(folder, RC_FORMAT, "regular file");
    assert_int_equal(mkfifo(in_folder("fifo.keys"), 0600), 0);
    assert_open_refuses(in_folder("fifo.keys"), RC_FORMAT, "regular file");
    assert_open_refuses(in_folder("absent.keys"), RC_IO, "cannot open");
}

static void a_damaged_key_file_is_refused_byte_by_byte(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned char good[KEY_FILE_BYTES + 1], bad[KEY_FILE_BYTES + 1];
    const char *path = in_folder("damaged.keys");
    assert_int_equal(seal_keys_create(path, &err), RC_OK);
    assert_int_equal(read_file(path, good, sizeof good), KEY_FILE_BYTES);
    for (size_t i = 0; i < KEY_FILE_BYTES; i++) {
        memcpy(bad, good, sizeof bad);
        bad[i] ^= (unsigned char)(1U << (i % 8));
        write_file(path, bad, KEY_FILE_BYTES);
        assert_open_refuses(path, RC_FORMAT, i < 17 ? "is not a file of" : "damaged");
        write_file(path, good, i);
        assert_open_refuses(path, RC_FORMAT, i < 17 ? "is not a file of" : "damaged");
    }
    good[KEY_FILE_BYTES] = '\n';
    write_file(path, good, KEY_FILE_BYTES + 1);
    assert_open_refuses(path, RC_FORMAT, "damaged");
    write_file(path, good, KEY_FILE_BYTES);
    struct seal_keys *k = opened(path);
    seal_keys_close(&k);
}

/* In a child, since the answer is a crash. */
static int status_of_reading(const struct seal_keys *k)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        const volatile unsigned char seen = k->secret->sign[0];
        (void)seen;
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void secret_keys_cannot_be_read_between_uses(void **state)
{
    (void)state;
    struct seal_keys *k = fresh_keys();
    struct seal_signature signature;
    struct seal_curve_secret secret;
    assert_true(WIFSIGNALED(status_of_reading(k)));
    seal_sign(k, "d", "x", 1, &signature);
    assert_true(WIFSIGNALED(status_of_reading(k)));
    seal_keys_curve_secret(k, &secret);
    assert_true(WIFSIGNALED(status_of_reading(k)));
    (void)seal_keys_borrow(k);
    assert_int_equal(status_of_reading(k), 0);
    seal_keys_return(k);
    seal_wipe(&secret, sizeof secret);
    seal_keys_close(&k);
}

static void
keys_that_are_unlocked_for_a_turn_are_readable_from_their_first_use_to_its_end(void **state)
{
    (void)state;
    struct seal_keys *k = fresh_keys();
    struct seal_signature signature;
    for (int turn = 0; turn < 2; turn++) {
        seal_keys_unlock(k);
        assert_true(WIFSIGNALED(status_of_reading(k)));
        seal_sign(k, "d", "x", 1, &signature);
        seal_sign(k, "d", "x", 1, &signature);
        assert_int_equal(status_of_reading(k), 0);
        seal_keys_lock(k);
        assert_true(WIFSIGNALED(status_of_reading(k)));
    }
    seal_keys_unlock(k);
    seal_keys_lock(k); /* a turn in which nothing was signed */
    assert_true(WIFSIGNALED(status_of_reading(k)));
    seal_keys_close(&k);
}

/* ---- signatures ------------------------------------------------------------------------------ */

static enum rc verify(const struct seal_public *key, const char *domain, const void *data, size_t n,
                      const struct seal_signature *signature)
{
    struct error err = {0};
    const enum rc rc = seal_verify(key, domain, data, n, signature, &err);
    assert_int_equal(err.rc, rc);
    return rc;
}

static void keys_of_a_name_are_the_same_and_those_of_others_are_not(void **state)
{
    (void)state;
    static const char *const name[3] = {"north", "north", "south"};
    struct error err = {0};
    struct seal_public sign[3];
    struct seal_curve curve[3];
    for (size_t i = 0; i < 3; i++) {
        struct seal_keys *k = NULL;
        assert_int_equal(seal_keys_of_name(name[i], &k, &err), RC_OK);
        seal_keys_public(k, &sign[i], &curve[i]);
        seal_keys_close(&k);
    }
    assert_memory_equal(&sign[0], &sign[1], sizeof sign[0]);
    assert_memory_equal(&curve[0], &curve[1], sizeof curve[0]);
    assert_memory_not_equal(&sign[0], &sign[2], sizeof sign[0]);
    assert_memory_not_equal(&curve[0], &curve[2], sizeof curve[0]);
    assert_memory_not_equal(&sign[0], &curve[0], sizeof sign[0]);
}

static void a_signature_holds_for_its_bytes_its_domain_and_its_key_alone(void **state)
{
    (void)state;
    struct seal_keys *k = fresh_keys();
    struct seal_public key;
    struct seal_curve curve;
    struct seal_signature signature, again;
    unsigned char data[37];
    const char domain[] = "wardround test v1";
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (unsigned char)(7 * i);
    }
    seal_keys_public(k, &key, &curve);
    seal_sign(k, domain, data, sizeof data, &signature);
    seal_sign(k, domain, data, sizeof data, &again);
    assert_memory_equal(&signature, &again, sizeof signature); /* no nonce to go wrong */
    assert_int_equal(verify(&key, domain, data, sizeof data, &signature), RC_OK);

    for (size_t i = 0; i < sizeof data; i++) {
        data[i] ^= 0x10;
        assert_int_equal(verify(&key, domain, data, sizeof data, &signature), RC_AUTH);
        data[i] ^= 0x10;
        assert_int_equal(verify(&key, domain, data, i, &signature), RC_AUTH);
    }
    for (size_t i = 0; i < sizeof signature.b; i++) {
        again.b[i] ^= 0x01;
        assert_int_equal(verify(&key, domain, data, sizeof data, &again), RC_AUTH);
        again.b[i] ^= 0x01;
    }
    for (size_t i = 0; i < sizeof key.b; i++) {
        key.b[i] ^= 0x80;
        assert_int_equal(verify(&key, domain, data, sizeof data, &signature), RC_AUTH);
        key.b[i] ^= 0x80;
    }
    assert_int_equal(verify(&key, "wardround test v2", data, sizeof data, &signature), RC_AUTH);
    assert_int_equal(verify(&key, "", data, sizeof data, &signature), RC_AUTH);
    assert_int_equal(verify(&key, domain, data, sizeof data, &signature), RC_OK);
    seal_keys_close(&k);
}

static void the_border_between_domain_and_data_is_signed(void **state)
{
    (void)state;
    struct seal_keys *k = fresh_keys();
    struct seal_public key;
    struct seal_curve curve;
    struct seal_signature signature;
    seal_keys_public(k, &key, &curve);
    seal_sign(k, "ab", "cd", 2, &signature);
    assert_int_equal(verify(&key, "ab", "cd", 2, &signature), RC_OK);
    assert_int_equal(verify(&key, "abc", "d", 1, &signature), RC_AUTH);
    assert_int_equal(verify(&key, "a", "bcd", 3, &signature), RC_AUTH);
    seal_sign(k, "empty", "", 0, &signature);
    assert_int_equal(verify(&key, "empty", "", 0, &signature), RC_OK);
    seal_keys_close(&k);
}

static void a_key_of_small_order_signs_nothing(void **state)
{
    (void)state;
    struct seal_public key = {{1}}; /* the neutral element: without a check any message verifies */
    struct seal_signature signature = {{1}};
    assert_int_equal(verify(&key, "d", "x", 1, &signature), RC_AUTH);
    memset(&key, 0, sizeof key);
    assert_int_equal(verify(&key, "d", "x", 1, &signature), RC_AUTH);
}

/* ---- cards ----------------------------------------------------------------------------------- */

static struct seal_card card_of(const struct seal_keys *k, enum seal_role role, const char *name)
{
    struct seal_card card;
    struct error err = {0};
    const enum rc rc =
        seal_card_make(k, role, name, role == SEAL_COORDINATOR ? ADDRESS : "", &card, &err);
    assert_int_equal(rc, RC_OK);
    return card;
}

static size_t text_of(const struct seal_card *card, char text[TEXT_ROOM])
{
    const size_t n = seal_card_text(card, text, TEXT_ROOM);
    assert_true(n > 0);
    assert_int_equal(strlen(text), n);
    return n;
}

static void a_card_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct seal_keys *k = fresh_keys();
    struct error err = {0};
    const struct seal_card made[2] = {card_of(k, SEAL_SITE, "va"),
                                      card_of(k, SEAL_COORDINATOR, "Study_Office-2.b")};
    for (size_t i = 0; i < 2; i++) {
        struct seal_card read;
        const char *path = in_folder("va.card.yaml");
        assert_int_equal(seal_card_write(path, &made[i], &err), RC_OK); /* the second replaces */
        assert_int_not_equal(access(in_folder("va.card.yaml.new"), F_OK), 0);
        assert_int_equal(seal_card_read(path, &read, &err), RC_OK);
        assert_memory_equal(&read, &made[i], sizeof read);
    }
    assert_string_equal(seal_role_name(made[0].role), "site");
    assert_string_equal(seal_role_name(made[1].role), "coordinator");
    assert_string_equal(seal_role_name((enum seal_role)7), "?");
    seal_keys_close(&k);
}

/* Keys, signature and digits were computed by a second implementation (RFC 8032 in Python). */
static const char old_card[] =
    "# A public card. Compare its fingerprint by telephone before you trust or enrol it.\n"
    "card: 1\n"
    "role: coordinator\n"
    "name: \"office\"\n"
    "address: \"tcp://wardround.example.org:7400\"\n"
    "fingerprint: \"37160-10503-88797-49035-22140-34629-59137-02595\"\n"
    "sign: \"03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8\"\n"
    "curve: \"358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254\"\n"
    "signature: "
    "\"26b8f10cbc9f39aeaae0794037e20ba55c168c8f4eb1209b49a837d6dd5d24517f65d05e7720cf9aa7daf867b5b7"
    "9bee95f545cb2100d6d8d4d55c1061b79203\"\n";

static void a_card_of_the_first_version_is_still_read(void **state)
{
    (void)state;
    struct seal_card card;
    struct error err = {0};
    char text[TEXT_ROOM], fingerprint[SEAL_FINGERPRINT];
    unsigned char file[KEY_FILE_BYTES] = "wardround keys 1\n";
    for (size_t i = 0; i < 64; i++) {
        file[17 + i] = (unsigned char)i;
    }
    const struct hash check = hash_of(file, 81);
    memcpy(file + 81, check.b, sizeof check.b);
    write_file(in_folder("old.keys"), file, sizeof file);
    struct seal_keys *k = opened(in_folder("old.keys"));
    card = card_of(k, SEAL_COORDINATOR, "office");
    seal_keys_close(&k);
    (void)text_of(&card, text);
    assert_string_equal(text, old_card); /* Ed25519 has no randomness */
    if (seal_card_parse("old", old_card, strlen(old_card), &card, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(card.name, "office");
    assert_string_equal(card.address, ADDRESS);
    assert_int_equal(card.role, SEAL_COORDINATOR);
    seal_fingerprint(&card, fingerprint);
    assert_string_equal(fingerprint, "37160-10503-88797-49035-22140-34629-59137-02595");
}

static void a_card_with_any_byte_changed_is_refused_or_the_same_card(void **state)
{
    (void)state;
    static const unsigned char masks[] = {0x01, 0x02, 0x20, 0x80, 0xff};
    struct seal_keys *k = fresh_keys();
    const struct seal_card card = card_of(k, SEAL_COORDINATOR, "office");
    char text[TEXT_ROOM];
    const size_t n = text_of(&card, text);
    size_t n_same = 0;
    for (size_t i = 0; i < n * sizeof masks; i++) {
        struct seal_card read;
        struct error err = {0};
        char *at = &text[i / sizeof masks];
        const char before = *at;
        *at = (char)((unsigned char)before ^ masks[i % sizeof masks]);
        const enum rc rc = seal_card_parse("c", text, n, &read, &err);
        if (rc == RC_OK) { /* in the comment, or the case of a digit */
            assert_memory_equal(&read, &card, sizeof read);
            n_same++;
        } else {
            assert_true(rc == RC_AUTH || rc == RC_FORMAT || rc == RC_INVALID);
            assert_memory_equal(err.text, "c:", 2);
        }
        *at = before;
    }
    assert_true(n_same < n);             /* most of a card is not comment */
    for (size_t i = 0; i + 1 < n; i++) { /* the last byte is a line's end */
        struct seal_card read;
        struct error err = {0};
        assert_int_not_equal(seal_card_parse("c", text, i, &read, &err), RC_OK);
    }
    seal_keys_close(&k);
}

/* `text` with the first `what` replaced. */
static void swap(char text[TEXT_ROOM], const char *what, const char *with)
{
    char rest[TEXT_ROOM];
    char *at = strstr(text, what);
    assert_non_null(at);
    (void)snprintf(rest, sizeof rest, "%s", at + strlen(what));
    (void)snprintf(at, TEXT_ROOM - (size_t)(at - text), "%s%s", with, rest);
}

static void assert_card_refused(const char *text, enum rc want, const char *word)
{
    struct seal_card read;
    struct error err = {0};
    const enum rc rc = seal_card_parse("x.card", text, strlen(text), &read, &err);
    if (rc != want || strstr(err.text, word) == NULL || strncmp(err.text, "x.card:", 7) != 0) {
        fail_msg("%s '%s', want %s with '%s' for\n%s", rc_name(rc), err.text, rc_name(want), word,
                 text);
    }
}

static void what_a_card_says_is_signed_or_checked(void **state)
{
    (void)state;
    static const struct {
        const char *what, *with;
        enum rc rc;
        const char *word;
    } change[] = {
        {"name: \"office\"", "name: \"offIce\"", RC_AUTH, "changed after it was signed"},
        {"role: coordinator\n", "role: site\n", RC_INVALID, "no address"},
        {":7400", ":7401", RC_AUTH, "changed after it was signed"},
        {"fingerprint: \"", "fingerprint: \"0", RC_INVALID, "fingerprint"},
        {"card: 1", "card: 2", RC_INVALID, "card: is 2"},
        {"name: \"office\"", "name: \"of/ce\"", RC_INVALID, "is no name"},
        {"name: \"office\"", "name: office\nowner: me", RC_INVALID, "unknown key 'owner'"},
        {"name: \"office\"\n", "", RC_INVALID, "missing key 'name'"},
        {"role: coordinator", "role: bishop", RC_INVALID, "none of site, coordinator"},
        {"sign: \"", "sign: \"zz", RC_INVALID, "sign: is longer"},
        {"curve: \"", "curve: \"\" #", RC_INVALID, "64 hexadecimal digits"},
        {"signature: \"", "signature: \"00\" #", RC_INVALID, "128 hexadecimal digits"},
        {"card: 1", "card: [", RC_FORMAT, "error"},
        {"card: 1", "card: 1\ncard: 1", RC_FORMAT, "duplicate key"},
    };
    struct seal_keys *k = fresh_keys();
    const struct seal_card card = card_of(k, SEAL_COORDINATOR, "office");
    char text[TEXT_ROOM];
    for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
        (void)text_of(&card, text);
        swap(text, change[i].what, change[i].with);
        assert_card_refused(text, change[i].rc, change[i].word);
    }
    char fingerprint[SEAL_FINGERPRINT], other[SEAL_FINGERPRINT];
    seal_fingerprint(&card, fingerprint);
    memcpy(other, fingerprint, sizeof other);
    other[46] = (char)(other[46] == '9' ? '0' : other[46] + 1);
    (void)text_of(&card, text);
    swap(text, fingerprint, other);
    assert_card_refused(text, RC_AUTH, "changed after it was signed");
    seal_keys_close(&k);
}

static void all_problems_of_a_card_are_counted(void **state)
{
    (void)state;
    assert_card_refused("card: 1\nrole: site\nwho: me\n", RC_INVALID, "(and 5 more)");
    assert_card_refused("- 1\n", RC_INVALID, "expected a map");
}

static void a_card_that_somebody_elses_key_signed_is_refused(void **state)
{
    (void)state;
    struct seal_keys *mine = fresh_keys(), *theirs = fresh_keys();
    struct seal_card card = card_of(mine, SEAL_SITE, "va");
    const struct seal_card other = card_of(theirs, SEAL_SITE, "va");
    char text[TEXT_ROOM];
    card.curve = other.curve; /* another transport key under a known signature key */
    (void)text_of(&card, text);
    assert_card_refused(text, RC_AUTH, "changed after it was signed");
    card = other;
    card.sign = card_of(mine, SEAL_SITE, "va").sign;
    (void)text_of(&card, text);
    assert_card_refused(text, RC_AUTH, "changed after it was signed");
    seal_keys_close(&mine);
    seal_keys_close(&theirs);
}

static void names_and_addresses_have_a_shape(void **state)
{
    (void)state;
    static const char long_63[] = "a12345678901234567890123456789012345678901234567890123456789012";
    static const char *const good_name[] = {"va", "A", "9", "a.b_c-d", long_63};
    static const char *const bad_name[] = {
        "",         ".",   "-a",
        "_a",       "..",  "a/b",
        "a b",      "a\n", "a\"",
        "\xc3\xa9", "a1:", "a123456789012345678901234567890123456789012345678901234567890123"};
    static const char *const good_address[] = {ADDRESS, "tcp://1.2.3.4:1", "tcp://[::1]:65535",
                                               "tcp://[fe80::1]:7400", "tcp://x-1_y:80"};
    static const char *const bad_address[] = {
        "",          "tcp://",         "tcp://host",      "tcp://:7400",      "host:7400",
        "tcp://h:0", "tcp://h:65536",  "tcp://h:080",     "tcp://h:7400/",    "tcp://h:74 00",
        "ipc://h:1", "tcp://h o:7400", "tcp://*:7400",    "tcp://[::1:7400",  "tcp://[]:7400",
        "tcp://h\"", "tcp://h:\"1",    "tcp://::1:7400",  "tcp://h:99999999", "tcp://h:-1",
        "tcp://h:",  "tcp://[x]:7400", "tcp://h\xc3:7400"};
    struct seal_keys *k = fresh_keys();
    struct seal_card card;
    struct error err = {0};
    for (size_t i = 0; i < sizeof good_name / sizeof good_name[0]; i++) {
        assert_int_equal(seal_card_make(k, SEAL_SITE, good_name[i], "", &card, &err), RC_OK);
    }
    for (size_t i = 0; i < sizeof bad_name / sizeof bad_name[0]; i++) {
        const enum rc rc = seal_card_make(k, SEAL_SITE, bad_name[i], "", &card, &err);
        if (rc != RC_INVALID) {
            fail_msg("name '%s' passes", bad_name[i]);
        }
        assert_non_null(strstr(err.text, "is no name"));
    }
    for (size_t i = 0; i < sizeof good_address / sizeof good_address[0]; i++) {
        const enum rc rc = seal_card_make(k, SEAL_COORDINATOR, "c", good_address[i], &card, &err);
        if (rc != RC_OK) {
            fail_msg("%s: %s", good_address[i], err.text);
        }
    }
    for (size_t i = 0; i < sizeof bad_address / sizeof bad_address[0]; i++) {
        const enum rc rc = seal_card_make(k, SEAL_COORDINATOR, "c", bad_address[i], &card, &err);
        if (rc != RC_INVALID) {
            fail_msg("address '%s' passes", bad_address[i]);
        }
        assert_non_null(strstr(err.text, "is no address"));
    }
    char far_host[SEAL_ADDRESS_MAX + 8] = "tcp://";
    memset(far_host + 6, 'a', SEAL_ADDRESS_MAX);
    memcpy(far_host + SEAL_ADDRESS_MAX - 4, ":80", 4); /* as long as it may be */
    assert_int_equal(seal_card_make(k, SEAL_COORDINATOR, "c", far_host, &card, &err), RC_OK);
    memcpy(far_host + SEAL_ADDRESS_MAX - 4, "a:80", 5);
    assert_int_equal(seal_card_make(k, SEAL_COORDINATOR, "c", far_host, &card, &err), RC_INVALID);
    assert_int_equal(seal_card_make(k, SEAL_SITE, "s", ADDRESS, &card, &err), RC_INVALID);
    seal_keys_close(&k);
}

static void a_card_that_does_not_reach_the_disk_leaves_the_old_one(void **state)
{
    (void)state;
    struct seal_keys *k = fresh_keys();
    struct error err = {0};
    const char *path = in_folder("kept.card.yaml");
    const struct seal_card before = card_of(k, SEAL_SITE, "before");
    const struct seal_card after = card_of(k, SEAL_SITE, "after");
    assert_int_equal(seal_card_write(path, &before, &err), RC_OK);

    struct rlimit normal, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &normal), 0);
    small = normal;
    small.rlim_cur = 100;
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const enum rc rc = seal_card_write(path, &after, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &normal), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(rc, RC_IO);

    struct seal_card read;
    assert_int_equal(seal_card_read(path, &read, &err), RC_OK);
    assert_memory_equal(&read, &before, sizeof read);
    assert_int_not_equal(access(in_folder("kept.card.yaml.new"), F_OK), 0);
    assert_int_equal(seal_card_write(in_folder("no/such.card"), &after, &err), RC_IO);
    assert_int_equal(mkdir(in_folder("folder.card"), 0700), 0);
    assert_int_equal(seal_card_write(in_folder("folder.card"), &after, &err), RC_IO);
    assert_int_equal(seal_card_read(in_folder("absent.card"), &read, &err), RC_IO);
    assert_non_null(strstr(err.text, "absent.card: cannot open"));
    seal_keys_close(&k);
}

static void a_card_whose_room_is_too_small_has_no_text(void **state)
{
    (void)state;
    struct seal_keys *k = fresh_keys();
    const struct seal_card card = card_of(k, SEAL_SITE, "va");
    char text[TEXT_ROOM];
    const size_t n = text_of(&card, text);
    for (size_t room = 1; room <= n; room++) {
        assert_int_equal(seal_card_text(&card, text, room), 0);
    }
    assert_int_equal(seal_card_text(&card, text, n + 1), n);
    seal_keys_close(&k);
}

static void a_fingerprint_is_of_role_name_and_keys(void **state)
{
    (void)state;
    struct seal_keys *k = fresh_keys();
    struct error err = {0};
    struct seal_card card = card_of(k, SEAL_COORDINATOR, "office"), moved;
    char own[SEAL_FINGERPRINT], other[SEAL_FINGERPRINT];
    seal_fingerprint(&card, own);
    assert_int_equal(strlen(own), SEAL_FINGERPRINT - 1);
    for (size_t i = 0; i < strlen(own); i++) {
        assert_true(i % 6 == 5 ? own[i] == '-' : own[i] >= '0' && own[i] <= '9');
    }
    assert_int_equal(seal_card_make(k, SEAL_COORDINATOR, "office", "tcp://x:1", &moved, &err),
                     RC_OK);
    seal_fingerprint(&moved, other);
    assert_string_equal(own, other);

    struct seal_card changed[4] = {card, card, card, card};
    changed[0].role = SEAL_SITE;
    changed[1].name[0] = 'O';
    changed[2].sign.b[31] ^= 0x40;
    changed[3].curve.b[0] ^= 0x01;
    for (size_t i = 0; i < 4; i++) {
        seal_fingerprint(&changed[i], other);
        assert_string_not_equal(own, other);
        assert_false(seal_fingerprint_matches(&changed[i], own));
    }
    seal_keys_close(&k);
}

static void a_typed_fingerprint_matches_whatever_separates_its_digits(void **state)
{
    (void)state;
    struct seal_keys *k = fresh_keys();
    const struct seal_card card = card_of(k, SEAL_SITE, "va");
    char own[SEAL_FINGERPRINT], typed[2 * SEAL_FINGERPRINT] = "";
    seal_fingerprint(&card, own);
    assert_true(seal_fingerprint_matches(&card, own));
    size_t n = 0;
    for (size_t i = 0; own[i] != '\0'; i++) { /* digits alone */
        if (own[i] != '-') {
            typed[n++] = own[i];
        }
    }
    typed[n] = '\0';
    assert_int_equal(n, 40);
    assert_true(seal_fingerprint_matches(&card, typed));
    (void)snprintf(typed, sizeof typed, "  %s \n", own);
    assert_true(seal_fingerprint_matches(&card, typed));
    for (char *c = typed; *c != '\0'; c++) {
        *c = (char)(*c == '-' ? ' ' : *c);
    }
    assert_true(seal_fingerprint_matches(&card, typed));

    assert_false(seal_fingerprint_matches(&card, ""));
    (void)snprintf(typed, sizeof typed, "%s0", own);
    assert_false(seal_fingerprint_matches(&card, typed));
    (void)snprintf(typed, sizeof typed, "%sx", own);
    assert_false(seal_fingerprint_matches(&card, typed));
    (void)snprintf(typed, sizeof typed, "%.46s", own);
    assert_false(seal_fingerprint_matches(&card, typed));
    for (size_t i = 0; own[i] != '\0'; i++) {
        if (own[i] != '-') {
            memcpy(typed, own, sizeof own);
            typed[i] = (char)(own[i] == '9' ? '0' : own[i] + 1);
            assert_false(seal_fingerprint_matches(&card, typed));
        }
    }
    seal_keys_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_from_a_file_are_the_same_each_time_and_no_one_elses),
        cmocka_unit_test(a_key_file_is_for_its_owner_alone_whatever_the_umask),
        cmocka_unit_test(keys_are_never_written_over),
        cmocka_unit_test(keys_that_do_not_reach_the_disk_leave_no_file),
        cmocka_unit_test(keys_that_others_may_read_or_write_are_refused),
        cmocka_unit_test(keys_of_another_user_are_refused),
        cmocka_unit_test(a_link_a_folder_or_a_fifo_is_no_key_file),
        cmocka_unit_test(a_damaged_key_file_is_refused_byte_by_byte),
        cmocka_unit_test(secret_keys_cannot_be_read_between_uses),
        cmocka_unit_test(
            keys_that_are_unlocked_for_a_turn_are_readable_from_their_first_use_to_its_end),
        cmocka_unit_test(keys_of_a_name_are_the_same_and_those_of_others_are_not),
        cmocka_unit_test(a_signature_holds_for_its_bytes_its_domain_and_its_key_alone),
        cmocka_unit_test(the_border_between_domain_and_data_is_signed),
        cmocka_unit_test(a_key_of_small_order_signs_nothing),
        cmocka_unit_test(a_card_is_read_as_it_was_written),
        cmocka_unit_test(a_card_of_the_first_version_is_still_read),
        cmocka_unit_test(a_card_with_any_byte_changed_is_refused_or_the_same_card),
        cmocka_unit_test(what_a_card_says_is_signed_or_checked),
        cmocka_unit_test(all_problems_of_a_card_are_counted),
        cmocka_unit_test(a_card_that_somebody_elses_key_signed_is_refused),
        cmocka_unit_test(names_and_addresses_have_a_shape),
        cmocka_unit_test(a_card_that_does_not_reach_the_disk_leaves_the_old_one),
        cmocka_unit_test(a_card_whose_room_is_too_small_has_no_text),
        cmocka_unit_test(a_fingerprint_is_of_role_name_and_keys),
        cmocka_unit_test(a_typed_fingerprint_matches_whatever_separates_its_digits),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
