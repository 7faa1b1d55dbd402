#include "agent/app/site.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <poll.h>

#include "agent/app/people.h"
#include "agent/train/train.h"
#include "common/base/clock.h"
#include "common/store/store.h"

/* ---- site.yaml ------------------------------------------------------------------------------- */

struct site_file {
    char name[SCHEMA_NAME_MAX];
    char address[SEAL_ADDRESS_MAX];
    size_t threads;
    const struct config_node *policy, *auto_approve;
};

/* clang-format off */
static const struct config_key file_keys[] = {
    {.name = "site", .type = CONFIG_TEXT, .offset = offsetof(struct site_file, name), .size = SCHEMA_NAME_MAX,
     .help = "this hospital, as it stands on its card and on studies' rosters"},
    {.name = "policy", .type = CONFIG_NODE, .offset = offsetof(struct site_file, policy),
     .help = "map: what this hospital allows"},
    {.name = "address", .type = CONFIG_TEXT, .offset = offsetof(struct site_file, address), .size = SEAL_ADDRESS_MAX,
     .fallback = "", .help = "tcp://host:port of the coordinator as seen from here; empty: as its card says"},
    {.name = "threads", .type = CONFIG_COUNT, .offset = offsetof(struct site_file, threads), .min = 1, .max = TRAIN_THREADS_MAX,
     .fallback = "1", .help = "of training; each takes memory for a physical batch of its own, and the model is the same to the byte"},
    {.name = "auto_approve", .type = CONFIG_NODE, .offset = offsetof(struct site_file, auto_approve), .fallback = "",
     .help = "list of {coordinator, max_epsilon}: studies that need no person's approval"},
};

static const struct config_key auto_keys[] = {
    {.name = "coordinator", .type = CONFIG_TEXT, .offset = offsetof(struct site_auto, coordinator), .size = SEAL_NAME_MAX,
     .help = "the name on the coordinator's card"},
    {.name = "max_epsilon", .type = CONFIG_REAL, .offset = offsetof(struct site_auto, max_epsilon), .min = 0, .max = HUGE_VAL,
     .help = "largest epsilon of one study, at the study's own delta"},
};
/* clang-format on */

void site_print_reference(FILE *to)
{
    size_t n = 0;
    const struct config_key *policy = ledger_policy_keys(&n);
    const struct config_part part[] = {
        {"The site", file_keys, sizeof file_keys / sizeof file_keys[0]},
        {"`policy`: what this hospital allows", policy, n},
        {"`auto_approve`: each item", auto_keys, sizeof auto_keys / sizeof auto_keys[0]},
    };
    config_print_parts(part, sizeof part / sizeof part[0], to);
}

static void read_auto(const struct config_node *list, struct site *s, struct config_issues *issues)
{
    if (list == NULL) {
        return;
    }
    if (list->kind != CONFIG_LIST || list->n > SITE_AUTO_MAX) {
        config_issue(issues, list, "'auto_approve' must be a list of at most %d maps",
                     (int)SITE_AUTO_MAX);
        return;
    }
    for (size_t i = 0; i < list->n; i++) {
        config_bind(&list->at[i], auto_keys, sizeof auto_keys / sizeof auto_keys[0],
                    &s->auto_approve[i], issues);
    }
    s->n_auto = list->n;
}

static enum rc read_site(const char *path, struct site *s, struct config_issues *issues,
                         struct error *err)
{
    struct config_doc *doc = NULL;
    struct site_file f = {0};

    enum rc rc = config_open(path, &doc, err);
    if (rc == RC_OK) {
        issues->path = path;
        config_bind(config_root(doc), file_keys, sizeof file_keys / sizeof file_keys[0], &f,
                    issues);
        read_auto(f.auto_approve, s, issues);
        if (config_get(config_root(doc), "policy") != NULL) { /* else it is named as missing */
            error_ignore(ledger_policy_read(f.policy, &s->policy, issues, err));
        }
        rc = config_verdict(issues, err);
    }
    if (rc == RC_OK) {
        memcpy(s->name, f.name, sizeof s->name);
        memcpy(s->address, f.address, sizeof s->address);
        s->threads = f.threads;
    }
    config_close(&doc);
    return rc;
}

enum rc site_path(const char *folder, const char *name, char path[SITE_PATH_MAX], struct error *err)
{
    if (snprintf(path, SITE_PATH_MAX, "%s/%s", folder, name) >= SITE_PATH_MAX) {
        return error_set(err, RC_LIMIT, "the folder's name is too long: at most %d bytes",
                         (int)SITE_PATH_MAX - SEAL_NAME_MAX - 32);
    }
    return RC_OK;
}

enum rc site_look(const char *path, bool *there, struct error *err)
{
    char name[128];
    if (access(path, R_OK) == 0) {
        *there = true;
        return RC_OK;
    }
    if (errno == ENOENT || errno == ENOTDIR) {
        *there = false;
        return RC_OK;
    }
    if (errno != EACCES) {
        return error_set(err, RC_IO, "cannot look at '%s': %s", path, strerror(errno));
    }
    people_name(name, sizeof name);
    return error_set(err, RC_AUTH,
                     "'%s' may not be read by user %s; run this as the user that owns the folder",
                     path, name);
}

enum rc site_open(const char *folder, struct site *out, struct config_issues *issues,
                  struct error *err)
{
    char path[SITE_PATH_MAX];
    struct site s = {0};
    bool there = false;

    enum rc rc = site_path(folder, "site.yaml", path, err);
    if (rc == RC_OK) {
        rc = site_look(path, &there, err);
    }
    if (rc == RC_OK && !there) {
        rc = error_set(err, RC_IO,
                       "'%s' is no site folder: it has no site.yaml; begin with `wardround-agent "
                       "init %s --name NAME`",
                       folder, folder);
    }
    if (rc == RC_OK) {
        rc = read_site(path, &s, issues, err);
    }
    if (rc == RC_OK) {
        rc = site_path(folder, "cohort.yaml", path, err);
    }
    if (rc == RC_OK) {
        rc = schema_open(path, &s.schema, issues, err);
    }
    if (rc == RC_OK) {
        (void)snprintf(s.folder, sizeof s.folder, "%s", folder); /* it fitted with a name behind */
        *out = s;
        s = (struct site){0};
    }
    schema_release(&s.schema);
    issues->path = NULL;
    return rc;
}

void site_release(struct site *s)
{
    schema_release(&s->schema);
}

/* ---- one agent a folder ---------------------------------------------------------------------- */

/* The lock is on the open file, which the agent's processes share: it is free when the last of them
 * is gone. They die together, but not in one instant. */
enum { LOCK_WAIT_MS = 2000 };

static enum rc say_who_holds(const char *folder, int fd, struct error *err)
{
    char number[16] = "";
    const ssize_t n = pread(fd, number, sizeof number - 1, 0);
    number[n > 0 ? strspn(number, "0123456789") : 0] = '\0';
    return error_set(err, RC_STATE,
                     "an agent runs on '%s' already (process %s); stop it first: one agent a "
                     "folder",
                     folder, number[0] != '\0' ? number : "unknown");
}

enum rc site_lock(const char *folder, int *fd, struct error *err)
{
    char path[SITE_PATH_MAX];
    int file = -1;

    enum rc rc = site_path(folder, "agent.lock", path, err);
    if (rc == RC_OK) {
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file < 0) {
            rc = error_set(err, RC_IO, "cannot open '%s': %s", path, strerror(errno));
        }
    }
    const int64_t until = clock_monotonic_ms() + LOCK_WAIT_MS;
    while (rc == RC_OK && flock(file, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            rc = error_set(err, RC_IO, "cannot lock '%s': %s", path, strerror(errno));
        } else if (clock_monotonic_ms() >= until) {
            rc = say_who_holds(folder, file, err);
        } else {
            (void)poll(NULL, 0, 50);
        }
    }
    if (rc == RC_OK &&
        (ftruncate(file, 0) != 0 || dprintf(file, "%lld\n", (long long)getpid()) < 0)) {
        rc = error_set(err, RC_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    if (rc == RC_OK) {
        *fd = file;
        file = -1;
    }
    if (file >= 0) {
        (void)close(file);
    }
    return rc;
}

/* ---- what else is in the folder -------------------------------------------------------------- */

enum rc site_dataset(const struct site *s, struct dataset **out, struct error *err)
{
    char path[SITE_PATH_MAX];
    struct store *store = NULL;
    struct dataset *data = NULL;
    bool there = false;

    enum rc rc = site_path(s->folder, "site.db", path, err);
    if (rc == RC_OK) {
        rc = site_look(path, &there, err);
    }
    if (rc == RC_OK && !there) {
        return error_set(err, RC_STATE,
                         "no cohort was imported; run `wardround-agent import %s` first",
                         s->folder);
    }
    if (rc == RC_OK) {
        rc = store_open(path, &cohort_store_kind, &store, err);
    }
    if (rc == RC_OK) {
        rc = dataset_open(&s->schema, store, &data, err);
        if (rc == RC_STATE) {
            rc = error_context(err, "run `wardround-agent import %s` first", s->folder);
        }
    }
    if (rc == RC_OK && (data->n_sites != 1 || strcmp(data->site_name[0], s->name) != 0)) {
        rc = error_set(err, RC_INVALID,
                       "site.yaml says '%s', and site.db holds patients of '%s'; import again",
                       s->name, data->n_sites > 0 ? data->site_name[0] : "nobody");
    }
    if (rc == RC_OK) {
        *out = data;
        data = NULL;
    }
    dataset_close(&data);
    store_close(&store);
    return rc;
}

static enum rc count(void *ctx, const struct receipt *r, struct error *err)
{
    (void)r;
    (void)err;
    ++*(size_t *)ctx;
    return RC_OK;
}

/* Is there a sign that this folder had a ledger: a receipt, or its mark? */
static enum rc had_ledger(const char *folder, bool *yes, struct error *err)
{
    char path[SITE_PATH_MAX];
    size_t n = 0;
    enum rc rc = site_path(folder, SITE_RECEIPTS, path, err);
    if (rc == RC_OK) {
        rc = receipts_each(path, true, count, &n, err);
    }
    *yes = n > 0;
    if (rc == RC_OK && n == 0) { /* or the ledger has left its mark */
        rc = site_path(folder, "ledger.db.mark", path, err);
        if (rc == RC_OK) {
            rc = site_look(path, yes, err);
        }
    }
    return rc;
}

/*
 * The ledger is made once, by the first import. Afterwards a folder without it has lost it: an empty
 * new one would forget everything that was spent.
 */
static enum rc must_have_ledger(const char *folder, const char *path, struct error *err)
{
    char cohort[SITE_PATH_MAX];
    bool there = false;
    enum rc rc = site_path(folder, "site.db", cohort, err);
    if (rc == RC_OK) {
        rc = site_look(path, &there, err);
    }
    if (rc != RC_OK || there) {
        return rc;
    }
    rc = site_look(cohort, &there, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (!there) {
        rc = had_ledger(folder, &there, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (there) {
        return error_set(
            err, RC_STATE,
            "the ledger '%.90s' is gone; restore it from a backup (lost for good: begin in "
            "another folder, with a new card that coordinators enrol)",
            path);
    }
    return error_set(err, RC_STATE, "'%s' has no ledger yet; run `wardround-agent import %s` first",
                     folder, folder);
}

/* ---- receipts -------------------------------------------------------------------------------- */

static enum rc collect(void *ctx, const struct receipt *r, struct error *err)
{
    struct site_witnesses *w = ctx;
    if (w->n == w->room) {
        const size_t room = w->room == 0 ? 16 : 2 * w->room;
        struct receipt *more = realloc(w->receipt, room * sizeof *more);
        if (more == NULL) {
            return error_set(err, RC_NOMEM, "no memory for %zu receipts", room);
        }
        w->receipt = more;
        w->room = room;
    }
    w->receipt[w->n++] = *r;
    return RC_OK;
}

enum rc site_witnesses(const struct site *s, bool newest_only, struct site_witnesses *out,
                       struct error *err)
{
    struct site_witnesses w = {0};
    char path[SITE_PATH_MAX];
    enum rc rc = site_path(s->folder, SITE_RECEIPTS, path, err);
    if (rc == RC_OK) {
        rc = receipts_each(path, newest_only, collect, &w, err);
    }
    if (rc == RC_OK) {
        *out = w;
        w = (struct site_witnesses){0};
    }
    site_witnesses_release(&w);
    return rc;
}

void site_witnesses_release(struct site_witnesses *w)
{
    free(w->receipt);
    *w = (struct site_witnesses){0};
}

enum rc site_witnessed(const struct site_witnesses *w, struct ledger *ledger, struct error *err)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct receipt *r = &w->receipt[i];
        struct hash ours = {{0}};
        bool found = false;
        const enum rc rc = ledger_anchor(ledger, &r->study, r->round, &found, &ours, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (!found || !hash_equal(&ours, &r->anchor)) {
            return error_set(
                err, RC_STATE,
                "put back the newest copy of the ledger: coordinator '%s' has signed that "
                "round %llu of a study was in it, and it is %s",
                r->from, (unsigned long long)r->round,
                found ? "there with another content" : "not there");
        }
    }
    return RC_OK;
}

/* Opening compares it with the newest receipts; `ledger --verify` with all. */
static enum rc open_ledger(const struct site *s, const char *path, struct ledger **out,
                           struct error *err)
{
    struct site_witnesses newest = {0};
    struct ledger *l = NULL;
    enum rc rc = site_witnesses(s, true, &newest, err);
    if (rc == RC_OK) {
        rc = ledger_open(path, &s->policy, &l, err);
    }
    if (rc == RC_OK) {
        rc = site_witnessed(&newest, l, err);
    }
    if (rc == RC_OK) {
        *out = l;
        l = NULL;
    }
    site_witnesses_release(&newest);
    ledger_close(&l);
    return rc;
}

enum rc site_ledger(const struct site *s, struct ledger **out, struct error *err)
{
    char path[SITE_PATH_MAX];
    enum rc rc = site_path(s->folder, "ledger.db", path, err);
    if (rc == RC_OK) {
        rc = must_have_ledger(s->folder, path, err);
    }
    if (rc == RC_OK) {
        rc = open_ledger(s, path, out, err);
    }
    return rc;
}

enum rc site_ledger_view(const struct site *s, struct ledger **out, struct error *err)
{
    char path[SITE_PATH_MAX];
    enum rc rc = site_path(s->folder, "ledger.db", path, err);
    if (rc == RC_OK) {
        rc = must_have_ledger(s->folder, path, err);
    }
    return rc == RC_OK ? ledger_open_view(path, &s->policy, out, err) : rc;
}

enum rc site_ledger_first(const struct site *s, struct ledger **out, struct error *err)
{
    char path[SITE_PATH_MAX];
    char cohort[SITE_PATH_MAX];
    bool imported = false;
    enum rc rc = site_path(s->folder, "ledger.db", path, err);
    if (rc == RC_OK) {
        rc = site_path(s->folder, "site.db", cohort, err);
    }
    if (rc == RC_OK) {
        rc = site_look(cohort, &imported, err);
    }
    if (rc == RC_OK && !imported) {
        rc = had_ledger(s->folder, &imported, err);
    }
    if (rc == RC_OK && imported) {
        rc = must_have_ledger(s->folder, path, err);
    }
    if (rc == RC_OK) {
        rc = open_ledger(s, path, out, err);
    }
    return rc;
}

/*
 * The consent file is made when it is first asked for. Once a study was joined, a folder without it has
 * lost it: an empty new one would forget who withdrew from what.
 */
enum rc site_may_lack_consent(const char *folder, struct error *err)
{
    /* The policy is not asked: a broken site.yaml must not keep a hospital in a study. */
    static const struct ledger_policy any = {.max_delta_per_study = 1e-3};
    char ledger_path[SITE_PATH_MAX];
    struct ledger *ledger = NULL;
    size_t n = 0;
    bool there = false;
    enum rc rc = site_path(folder, "ledger.db", ledger_path, err);
    if (rc == RC_OK) {
        rc = site_look(ledger_path, &there, err);
    }
    if (rc != RC_OK || !there) {
        return rc;
    }
    rc = ledger_open(ledger_path, &any, &ledger, err);
    if (rc == RC_OK) {
        rc = ledger_joined(ledger, &n, err);
    }
    ledger_close(&ledger);
    if (rc == RC_OK && n > 0) {
        rc = error_set(err, RC_STATE,
                       "'%s/consent.db' is gone, and the ledger has joined studies: who approved "
                       "them, and who withdrew, is forgotten without it; restore it from a backup",
                       folder);
    }
    return rc;
}

enum rc site_consent(const char *folder, struct consent **out, struct error *err)
{
    char path[SITE_PATH_MAX];
    bool there = false;
    enum rc rc = site_path(folder, "consent.db", path, err);
    if (rc == RC_OK) {
        rc = site_look(path, &there, err);
    }
    if (rc == RC_OK && !there) {
        rc = site_may_lack_consent(folder, err);
    }
    return rc == RC_OK ? consent_open(path, out, err) : rc;
}

enum rc site_coordinator(const char *folder, struct seal_card *out, struct error *err)
{
    char path[SITE_PATH_MAX];
    struct seal_card card;
    bool there = false;

    enum rc rc = site_path(folder, "keys/coordinator.card", path, err);
    if (rc == RC_OK) {
        rc = site_look(path, &there, err);
    }
    if (rc == RC_OK && !there) {
        return error_set(err, RC_STATE,
                         "no coordinator is trusted yet; run `wardround-agent trust %s CARD` with "
                         "the coordinator's card",
                         folder);
    }
    if (rc == RC_OK) {
        rc = seal_card_read(path, &card, err);
    }
    if (rc == RC_OK && card.role != SEAL_COORDINATOR) {
        rc = error_set(err, RC_AUTH,
                       "'%s' is the card of a %s, not of a coordinator; remove it and run "
                       "`wardround-agent trust`",
                       path, seal_role_name(card.role));
    }
    if (rc == RC_OK) {
        *out = card;
    }
    return rc;
}

enum rc site_keys(const char *folder, struct seal_keys **out, struct error *err)
{
    char path[SITE_PATH_MAX];
    bool there = false;
    enum rc rc = site_path(folder, "keys/site.key", path, err);
    if (rc == RC_OK) {
        rc = site_look(path, &there, err);
    }
    if (rc == RC_OK && !there) {
        return error_set(err, RC_STATE,
                         "this site has no keys yet; run `wardround-agent init %s` first", folder);
    }
    return rc == RC_OK ? seal_keys_open(path, out, err) : rc;
}
