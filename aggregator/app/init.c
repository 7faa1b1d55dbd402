/*
 * init: folder, keys, card, registry. Every step that is done already stays as it is, so that an init
 * that was cut short is finished by the next one, and one that was not changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aggregator/app/folder.h"
#include "aggregator/app/words.h"

/* ---- what is asked for ----------------------------------------------------------------------- */

/* Name and address must be fit for a card before anything is made; keys of no file try it out. */
static RC try_out(const struct folder *f, struct error *err)
{
    struct seal_keys *keys = NULL;
    struct seal_card card;
    enum rc rc = seal_keys_random(&keys, err);
    if (rc == RC_OK) {
        rc = seal_card_make(keys, SEAL_COORDINATOR, f->name, f->address, &card, err);
    }
    seal_keys_close(&keys);
    return rc;
}

/* Every address of this machine, at the port that sites are told. */
static void bind_of(const char *address, char out[FOLDER_BIND_MAX])
{
    const char *colon = strrchr(address, ':');
    (void)snprintf(out, FOLDER_BIND_MAX, "tcp://*%s", colon != NULL ? colon : "");
}

/* Whatever is wrong here is wrong with the words. */
static RC from_words(const struct words *w, struct folder *f, enum verdict *verdict,
                     struct error *err)
{
    *verdict = VERDICT_WRONG_USE;
    if (w->name == NULL || w->address == NULL) {
        return error_set(err, RC_INVALID,
                         "a new coordinator needs --name NAME and --address tcp://HOST:PORT, where "
                         "sites will connect to");
    }
    if (strlen(w->name) >= sizeof f->name || strlen(w->address) >= sizeof f->address ||
        (w->bind != NULL && strlen(w->bind) >= sizeof f->bind)) {
        return error_set(err, RC_INVALID, "that is too long: a name has at most %d characters",
                         (int)SEAL_NAME_MAX - 1);
    }
    if (w->bind != NULL && !folder_is_endpoint(w->bind)) {
        return error_set(err, RC_INVALID,
                         "--bind must be an address and a port of this machine, such as "
                         "tcp://*:7400, not '%.80s'",
                         w->bind);
    }
    (void)snprintf(f->path, sizeof f->path, "%s", w->folder);
    (void)snprintf(f->name, sizeof f->name, "%s", w->name);
    (void)snprintf(f->address, sizeof f->address, "%s", w->address);
    bind_of(w->address, f->bind);
    if (w->bind != NULL) {
        (void)snprintf(f->bind, sizeof f->bind, "%s", w->bind);
    }
    const enum rc rc = try_out(f, err);
    if (rc != RC_INVALID) {
        *verdict = VERDICT_YES;
    }
    return rc;
}

/* The two would not stand in each other's way, and nobody would know whose keys are whose. */
static RC no_hospital(const char *path, struct error *err)
{
    static const char *const theirs[] = {"site.yaml", "keys/site.key"};
    char file[FOLDER_PATH_MAX];
    for (size_t i = 0; i < sizeof theirs / sizeof theirs[0]; i++) {
        const enum rc rc = folder_path(path, theirs[i], file, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (access(file, F_OK) == 0) {
            return error_set(err, RC_STATE,
                             "'%.80s' is a hospital's folder: it has %s; name another one for the "
                             "coordinator",
                             path, theirs[i]);
        }
    }
    return RC_OK;
}

/* On a folder that is there, words may only say what it says itself. */
static RC agrees(const struct words *w, const struct folder *f, struct error *err)
{
    const struct {
        const char *key, *said, *is;
    } pair[] = {{"name", w->name, f->name},
                {"address", w->address, f->address},
                {"bind", w->bind, f->bind}};
    for (size_t i = 0; i < sizeof pair / sizeof pair[0]; i++) {
        if (pair[i].said != NULL && strcmp(pair[i].said, pair[i].is) != 0) {
            return error_set(err, RC_STATE,
                             "'%.60s' is there already with %s '%.60s', and init changes nothing; "
                             "%s",
                             f->path, pair[i].key, pair[i].is,
                             i == 0 ? "choose another folder"
                                    : "edit aggregator.yaml and run init again");
        }
    }
    return RC_OK;
}

/* ---- the files ------------------------------------------------------------------------------- */

static RC make_folder(const char *path, struct error *err)
{
    struct stat st;
    if (mkdir(path, 0700) == 0) {
        return RC_OK;
    }
    const int why = errno;
    if (why == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return RC_OK;
    }
    return error_set(err, RC_IO, "cannot make the folder '%.120s': %s", path,
                     why == EEXIST ? "a file of that name is in the way" : strerror(why));
}

static RC make_inner(const struct folder *f, const char *name, struct error *err)
{
    char path[FOLDER_PATH_MAX];
    const enum rc rc = folder_path(f->path, name, path, err);
    return rc == RC_OK ? make_folder(path, err) : rc;
}

static bool write_all(int fd, const char *text)
{
    size_t n = strlen(text);
    while (n > 0) {
        const ssize_t done = write(fd, text, n);
        if (done < 0 && errno != EINTR) {
            return false;
        }
        if (done > 0) {
            text += done;
            n -= (size_t)done;
        }
    }
    return fsync(fd) == 0;
}

/* Under another name first: an aggregator.yaml that is there is whole. */
static RC write_yaml(const struct folder *f, struct error *err)
{
    char text[2048];
    char path[FOLDER_PATH_MAX];
    char fresh[FOLDER_PATH_MAX];

    enum rc rc = folder_path(f->path, "aggregator.yaml", path, err);
    if (rc == RC_OK) {
        rc = folder_path(f->path, "aggregator.yaml.new", fresh, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    (void)snprintf(
        text, sizeof text,
        "# A coordinator of Wardround. Its keys are in keys/coordinator.key: keep a copy "
        "of them.\n"
        "name: \"%s\"\n"
        "# where sites connect to; it is on the card: after a change run init again\n"
        "address: \"%s\"\n"
        "# what `run` listens on; * is every address of this machine\n"
        "bind: \"%s\"\n",
        f->name, f->address, f->bind);
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool ok = fd >= 0 && write_all(fd, text);
    if (fd >= 0) {
        ok = close(fd) == 0 && ok;
    }
    if (!ok || rename(fresh, path) != 0) {
        return error_set(err, RC_IO, "cannot write '%.120s': %s", path, strerror(errno));
    }
    return RC_OK;
}

/* ---- keys, card, registry -------------------------------------------------------------------- */

struct made {
    bool folder, keys, card, registry;
};

static bool is_there(const struct folder *f, const char *name)
{
    char path[FOLDER_PATH_MAX];
    struct error err;
    return folder_path(f->path, name, path, &err) == RC_OK && access(path, F_OK) == 0;
}

static void card_name(const struct folder *f, char out[SEAL_NAME_MAX + 8])
{
    (void)snprintf(out, SEAL_NAME_MAX + 8, "%s.card", f->name);
}

/* Keys are made before card and registry: where one of these is there without them, they were lost,
 * and new ones would silently be somebody else. */
static RC complete_keys(const struct folder *f, struct made *made, struct error *err)
{
    char card[SEAL_NAME_MAX + 8];
    char path[FOLDER_PATH_MAX];

    if (is_there(f, "keys/coordinator.key")) {
        return RC_OK;
    }
    card_name(f, card);
    if (is_there(f, card) || is_there(f, "registry.db")) {
        return error_set(err, RC_STATE,
                         "keys/coordinator.key is gone from '%.60s'; restore it from a backup (to "
                         "begin anew, move the whole folder away: every site must then trust a new "
                         "card)",
                         f->path);
    }
    enum rc rc = folder_path(f->path, "keys/coordinator.key", path, err);
    if (rc == RC_OK) {
        rc = seal_keys_create(path, err);
    }
    made->keys = rc == RC_OK;
    return rc;
}

static RC complete_card(const struct folder *f, struct made *made, struct seal_card *out,
                        struct error *err)
{
    char name[SEAL_NAME_MAX + 8];
    char path[FOLDER_PATH_MAX];
    struct seal_keys *keys = NULL;
    struct seal_card now;
    struct seal_card before;

    card_name(f, name);
    enum rc rc = folder_path(f->path, name, path, err);
    if (rc == RC_OK) {
        rc = folder_keys(f, &keys, err);
    }
    if (rc == RC_OK) {
        rc = seal_card_make(keys, SEAL_COORDINATOR, f->name, f->address, &now, err);
    }
    seal_keys_close(&keys);
    if (rc != RC_OK) {
        return rc;
    }
    const bool there = is_there(f, name);
    if (there) {
        rc = folder_card(f, &before, err);
    }
    if (rc == RC_OK && there && memcmp(before.sign.b, now.sign.b, sizeof now.sign.b) != 0) {
        rc = error_set(err, RC_AUTH,
                       "'%.100s' was not made from the key in this folder; restore the right one "
                       "of the two from a backup",
                       path);
    }
    /* Signatures are deterministic: the same words give the same card. */
    if (rc == RC_OK && (!there || strcmp(before.address, now.address) != 0)) {
        rc = seal_card_write(path, &now, err);
        made->card = rc == RC_OK;
    }
    if (rc == RC_OK) {
        *out = now;
    }
    return rc;
}

static RC complete_registry(const struct folder *f, struct made *made, struct error *err)
{
    char path[FOLDER_PATH_MAX];
    struct registry *r = NULL;

    const bool there = is_there(f, "registry.db");
    enum rc rc = folder_path(f->path, "registry.db", path, err);
    if (rc == RC_OK) {
        rc = registry_open(path, &r, err);
    }
    registry_close(&r);
    made->registry = rc == RC_OK && !there;
    return rc;
}

static RC complete(const struct folder *f, struct made *made, struct seal_card *card,
                   struct error *err)
{
    enum rc rc = make_inner(f, "keys", err);
    if (rc == RC_OK) {
        rc = make_inner(f, "spool", err);
    }
    if (rc == RC_OK) {
        rc = make_inner(f, "models", err);
    }
    if (rc == RC_OK) {
        rc = complete_keys(f, made, err);
    }
    if (rc == RC_OK) {
        rc = complete_card(f, made, card, err);
    }
    return rc == RC_OK ? complete_registry(f, made, err) : rc;
}

/* ---- the command ----------------------------------------------------------------------------- */

static void say(const struct folder *f, const struct made *made, const struct seal_card *card)
{
    char fingerprint[SEAL_FINGERPRINT];
    seal_fingerprint(card, fingerprint);
    if (made->folder) {
        (void)printf("made coordinator '%s' in %s\n", f->name, f->path);
    } else if (made->keys || made->registry) {
        (void)printf("coordinator '%s' in %s was made only in part; now it is whole\n", f->name,
                     f->path);
    } else if (made->card) {
        (void)printf("coordinator '%s' in %s has a new card (same keys, same fingerprint); send it "
                     "to the sites\n",
                     f->name, f->path);
    } else {
        (void)printf("coordinator '%s' is in %s already; nothing was changed\n", f->name, f->path);
    }
    (void)printf("  card         %s/%s.card (public: send it to every site)\n"
                 "  fingerprint  %s\n"
                 "  address      %s (sites connect to it)\n"
                 "  bind         %s (this machine listens on it)\n",
                 f->path, f->name, fingerprint, f->address, f->bind);
    (void)printf("next: send the card to the sites and read the fingerprint to them by telephone "
                 "when they ask;\n"
                 "      enrol each site's card: wardround-aggregator enrol %s SITE.card\n",
                 f->path);
}

enum rc command_init(const struct words *w, enum verdict *verdict, struct config_issues *issues,
                     struct error *err)
{
    struct folder f = {0};
    struct made made = {0};
    struct seal_card card = {0};
    bool there = false;

    enum rc rc = folder_look(w->folder, &there, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (there) {
        rc = folder_open(w->folder, &f, issues, err);
        if (rc == RC_OK) {
            rc = agrees(w, &f, err);
        }
    } else {
        rc = no_hospital(w->folder, err);
        if (rc == RC_OK) {
            rc = from_words(w, &f, verdict, err);
        }
        if (rc == RC_OK) {
            rc = make_folder(f.path, err);
        }
        if (rc == RC_OK) {
            rc = write_yaml(&f, err);
            made.folder = true;
        }
    }
    if (rc == RC_OK) {
        rc = complete(&f, &made, &card, err);
    }
    if (rc == RC_OK) {
        say(&f, &made, &card);
    }
    return rc;
}
