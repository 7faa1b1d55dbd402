#include "aggregator/app/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pwd.h>

/* ---- aggregator.yaml ------------------------------------------------------------------------- */

/* clang-format off */
static const struct config_key keys[] = {
    {.name = "name", .type = CONFIG_TEXT, .offset = offsetof(struct folder, name), .size = SEAL_NAME_MAX,
     .help = "this coordinator, as it stands on its card"},
    {.name = "address", .type = CONFIG_TEXT, .offset = offsetof(struct folder, address), .size = SEAL_ADDRESS_MAX,
     .help = "tcp://host:port where sites connect to; on the card (run init again after changing it)"},
    {.name = "bind", .type = CONFIG_TEXT, .offset = offsetof(struct folder, bind), .size = FOLDER_BIND_MAX,
     .help = "tcp://host:port that `run` listens on; * as host: every address of this machine"},
    {.name = "linger_s", .type = CONFIG_REAL, .offset = offsetof(struct folder, linger_s), .min = 0, .max = 86400,
     .fallback = "30", .help = "seconds that `run` still answers when its study has ended, so that all sites hear of it"},
};
/* clang-format on */

void folder_print_reference(FILE *to)
{
    static const struct config_part part = {"The coordinator", keys, sizeof keys / sizeof keys[0]};
    config_print_parts(&part, 1, to);
}

bool folder_is_endpoint(const char *text)
{
    static const char scheme[] = "tcp://";
    if (strncmp(text, scheme, strlen(scheme)) != 0) {
        return false;
    }
    const char *host = text + strlen(scheme);
    const char *colon = strrchr(host, ':');
    if (colon == NULL || colon == host || strpbrk(host, " \t/") != NULL) {
        return false;
    }
    const size_t n = strspn(colon + 1, "0123456789");
    unsigned port = 0;
    for (size_t i = 1; i <= n && i <= 5; i++) {
        port = 10 * port + (unsigned)(colon[i] - '0');
    }
    return n > 0 && n <= 5 && colon[1 + n] == '\0' && port <= 65535;
}

/* A file that is there, but not for us. */
static RC not_ours(const char *path, const char *file, struct error *err)
{
    char owner[48] = "";
    char me[40];
    struct stat st;
    const struct passwd *user = getpwuid(geteuid());
    if (user != NULL) {
        (void)snprintf(me, sizeof me, "'%.32s'", user->pw_name);
    } else {
        (void)snprintf(me, sizeof me, "%u", (unsigned)geteuid());
    }
    if (stat(path, &st) == 0) {
        user = getpwuid(st.st_uid);
        (void)snprintf(owner, sizeof owner, "%s%.32s%s", user != NULL ? ", '" : "",
                       user != NULL ? user->pw_name : "", user != NULL ? "'" : "");
    }
    return error_set(err, RC_IO,
                     "'%.80s' may not be read by user %s; run this as the user that owns the "
                     "folder%s",
                     file, me, owner);
}

enum rc folder_look(const char *path, bool *there, struct error *err)
{
    char file[FOLDER_PATH_MAX];
    enum rc rc = folder_path(path, "aggregator.yaml", file, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (access(file, R_OK) == 0) {
        *there = true;
        return RC_OK;
    }
    if (errno == EACCES) {
        return not_ours(path, file, err);
    }
    *there = false;
    return RC_OK;
}

static RC read_yaml(const char *file, struct folder *f, struct config_issues *issues,
                    struct error *err)
{
    struct config_doc *doc = NULL;
    enum rc rc = config_open(file, &doc, err);
    if (rc == RC_OK) {
        const struct config_node *root = config_root(doc);
        issues->path = file;
        config_bind(root, keys, sizeof keys / sizeof keys[0], f, issues);
        if (f->bind[0] != '\0' && !folder_is_endpoint(f->bind)) {
            config_issue(issues, config_get(root, "bind"),
                         "'bind' must be an address and a port, such as tcp://*:7400");
        }
        rc = config_verdict(issues, err);
    }
    config_close(&doc);
    issues->path = NULL;
    return rc;
}

enum rc folder_open(const char *path, struct folder *out, struct config_issues *issues,
                    struct error *err)
{
    char file[FOLDER_PATH_MAX];
    struct folder f = {0};
    bool there = false;

    enum rc rc = folder_path(path, "aggregator.yaml", file, err);
    if (rc == RC_OK) {
        rc = folder_look(path, &there, err);
    }
    if (rc == RC_OK && !there) {
        rc = error_set(err, RC_STATE,
                       "'%.80s' is no coordinator's folder: it has no aggregator.yaml; begin with "
                       "`wardround-aggregator init DIR --name NAME --address tcp://HOST:PORT`",
                       path);
    }
    if (rc == RC_OK) {
        rc = read_yaml(file, &f, issues, err);
    }
    if (rc == RC_OK) {
        (void)snprintf(f.path, sizeof f.path, "%s", path); /* it fitted with a name behind */
        *out = f;
    }
    return rc;
}

enum rc folder_path(const char *path, const char *name, char out[FOLDER_PATH_MAX],
                    struct error *err)
{
    /* room for the name of any of our files behind it, also "-wal" */
    if (strlen(path) + SEAL_NAME_MAX + 32 > FOLDER_PATH_MAX ||
        snprintf(out, FOLDER_PATH_MAX, "%s/%s", path, name) >= FOLDER_PATH_MAX) {
        return error_set(err, RC_LIMIT, "the folder's name is too long: at most %d bytes",
                         (int)FOLDER_PATH_MAX - SEAL_NAME_MAX - 32);
    }
    return RC_OK;
}

/* ---- one `run` a folder ---------------------------------------------------------------------- */

/* A lock of the process (fcntl): gone with it however it ends, and others can ask whose it is. */
static struct flock whole_file(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
}

static RC say_who_runs(const struct folder *f, int file, struct error *err)
{
    struct flock holder = whole_file(F_WRLCK);
    char who[32] = "unknown";
    if (fcntl(file, F_GETLK, &holder) == 0 && holder.l_type != F_UNLCK && holder.l_pid > 0) {
        (void)snprintf(who, sizeof who, "%lld", (long long)holder.l_pid);
    }
    return error_set(err, RC_STATE,
                     "an aggregator runs on '%.80s' already (process %s); stop it first, or wait "
                     "for it: one a folder",
                     f->path, who);
}

enum rc folder_lock(const struct folder *f, int *fd, struct error *err)
{
    char path[FOLDER_PATH_MAX];
    const enum rc rc = folder_path(f->path, "aggregator.lock", path, err);
    if (rc != RC_OK) {
        return rc;
    }
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) {
        return error_set(err, RC_IO, "cannot open '%s': %s", path, strerror(errno));
    }
    struct flock want = whole_file(F_WRLCK);
    if (fcntl(file, F_SETLK, &want) == 0) {
        *fd = file;
        return RC_OK;
    }
    const int why = errno;
    const enum rc refused =
        why == EACCES || why == EAGAIN
            ? say_who_runs(f, file, err)
            : error_set(err, RC_IO, "cannot lock '%s': %s", path, strerror(why));
    (void)close(file);
    return refused;
}

enum rc folder_running(const struct folder *f, bool *running, int64_t *pid, struct error *err)
{
    char path[FOLDER_PATH_MAX];
    struct flock holder = whole_file(F_WRLCK);

    *running = false;
    *pid = 0;
    enum rc rc = folder_path(f->path, "aggregator.lock", path, err);
    if (rc != RC_OK || access(path, F_OK) != 0) {
        return rc; /* nobody ever ran */
    }
    const int file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0 || fcntl(file, F_GETLK, &holder) != 0) {
        rc = error_set(err, RC_IO, "cannot open '%s': %s", path, strerror(errno));
    } else {
        *running = holder.l_type != F_UNLCK;
        *pid = *running && holder.l_pid > 0 ? (int64_t)holder.l_pid : 0;
    }
    if (file >= 0) {
        (void)close(file);
    }
    return rc;
}

/* ---- what else is in the folder -------------------------------------------------------------- */

enum rc folder_registry(const struct folder *f, struct registry **out, struct error *err)
{
    char path[FOLDER_PATH_MAX];
    enum rc rc = folder_path(f->path, "registry.db", path, err);
    if (rc == RC_OK && access(path, R_OK) != 0 && errno == EACCES) {
        return not_ours(f->path, path, err);
    }
    if (rc == RC_OK && access(path, F_OK) != 0) {
        rc = error_set(err, RC_STATE,
                       "'%.120s' is gone; restore it from a backup (without it nobody is enrolled "
                       "and every study is forgotten)",
                       path);
    }
    return rc == RC_OK ? registry_open(path, out, err) : rc;
}

enum rc folder_keys(const struct folder *f, struct seal_keys **out, struct error *err)
{
    char path[FOLDER_PATH_MAX];
    enum rc rc = folder_path(f->path, "keys/coordinator.key", path, err);
    if (rc == RC_OK && access(path, F_OK) != 0 && errno == ENOENT) {
        rc = error_set(err, RC_STATE,
                       "the key '%.120s' is gone; restore it from a backup, or run init again if "
                       "it never got that far",
                       path);
    }
    return rc == RC_OK ? seal_keys_open(path, out, err) : rc;
}

enum rc folder_card(const struct folder *f, struct seal_card *out, struct error *err)
{
    char name[SEAL_NAME_MAX + 8];
    char path[FOLDER_PATH_MAX];
    struct seal_card card;

    (void)snprintf(name, sizeof name, "%s.card", f->name);
    enum rc rc = folder_path(f->path, name, path, err);
    if (rc == RC_OK && access(path, F_OK) != 0) {
        rc = error_set(err, RC_STATE,
                       "'%.80s' has no card; run `wardround-aggregator init %.80s`, which makes it "
                       "from the key",
                       f->path, f->path);
    }
    if (rc == RC_OK) {
        rc = seal_card_read(path, &card, err);
    }
    if (rc == RC_OK && (card.role != SEAL_COORDINATOR || strcmp(card.name, f->name) != 0)) {
        rc = error_set(err, RC_AUTH,
                       "'%.120s' is the card of %s '%s', not ours; move it away and run init again",
                       path, seal_role_name(card.role), card.name);
    }
    if (rc == RC_OK) {
        *out = card;
    }
    return rc;
}
