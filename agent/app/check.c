/*
 * check: is everything ready? Every line is looked at, also after one has failed: a person mends
 * them in one go. What is not there yet is not a reason to stop.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/app/check_internal.h"
#include "agent/app/report.h"
#include "agent/app/words.h"
#include "agent/sandbox/sandbox.h"

/* A model of 60 MB on its way in and out, and the ledger's copies of a few dozen rounds. */
#define DISK_LEAST (UINT64_C(256) << 20)

void check_line(struct checks *c, const char *name, bool pass, const char *mend, const char *fmt,
                ...)
{
    char text[600];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    c->n_failed += !pass;
    if (c->lines == NULL) {
        (void)printf("%s %s: %s%s%s\n", pass ? "PASS" : "FAIL", name, text,
                     mend != NULL ? "; " : "", mend != NULL ? mend : "");
        (void)fflush(stdout);
        return;
    }
    json_t *o = json_object();
    (void)json_object_set_new(o, "name", json_string(name));
    (void)json_object_set_new(o, "pass", json_boolean(pass));
    (void)json_object_set_new(o, "text", json_string(text));
    (void)json_object_set_new(o, "mend", json_string(mend != NULL ? mend : ""));
    (void)json_array_append_new(c->lines, o);
}

/* ---- configuration and keys ------------------------------------------------------------------ */

static bool check_config(struct checks *c, struct site *site, struct config_issues *issues)
{
    struct error err = {0};
    const bool pass = site_open(c->folder, site, issues, &err) == RC_OK;
    if (pass) {
        check_line(c, "config", true, NULL, "site '%s', %zu features, label '%s'", site->name,
                   site->schema.n_features, schema_label_name(&site->schema));
    } else {
        check_line(c, "config", false,
                   issues->n > 1 ? "`wardround-agent import` lists all problems" : NULL, "%s",
                   err.text);
    }
    issues->n = 0; /* said */
    return pass;
}

static void check_keys(struct checks *c, const struct site *site)
{
    struct error err = {0};
    struct seal_keys *keys = NULL;
    struct seal_card card;
    char file[SEAL_NAME_MAX + 8];
    char path[SITE_PATH_MAX];
    char fingerprint[SEAL_FINGERPRINT];
    struct seal_public sign;
    struct seal_curve curve;

    (void)snprintf(file, sizeof file, "%s.card", site->name);
    enum rc rc = site_keys(c->folder, &keys, &err);
    if (rc != RC_OK) {
        check_line(c, "keys", false, NULL, "%s", err.text);
        return;
    }
    seal_keys_public(keys, &sign, &curve);
    seal_keys_close(&keys);
    rc = site_path(c->folder, file, path, &err);
    if (rc == RC_OK) {
        rc = seal_card_read(path, &card, &err);
    }
    if (rc != RC_OK) {
        check_line(c, "keys", false, "`wardround-agent init` makes it again", "%s", err.text);
    } else if (memcmp(&card.sign, &sign, sizeof sign) != 0 ||
               memcmp(&card.curve, &curve, sizeof curve) != 0) {
        check_line(c, "keys", false, "remove it and run `wardround-agent init`",
                   "'%s' is not the card of keys/site.key", path);
    } else {
        seal_fingerprint(&card, fingerprint);
        check_line(c, "keys", true, NULL, "fingerprint %s", fingerprint);
    }
}

/* ---- what was imported, spent and decided ---------------------------------------------------- */

static bool says_one_thing(const struct dataset *data)
{
    for (size_t i = 1; i < data->n_patients; i++) {
        if (data->label[i] < data->label[0] || data->label[i] > data->label[0]) {
            return false;
        }
    }
    return true;
}

static void check_cohort(struct checks *c, const struct site *site)
{
    struct error err = {0};
    struct dataset *data = NULL;
    if (site_dataset(site, &data, &err) != RC_OK) {
        check_line(c, "cohort", false, NULL, "%s", err.text);
    } else if (data->n_patients < site->policy.min_patients) {
        check_line(c, "cohort", false, "import more, or lower min_patients in site.yaml",
                   "%zu patients, and the policy asks for %zu", data->n_patients,
                   site->policy.min_patients);
    } else if (says_one_thing(data)) {
        check_line(c, "cohort", false, "look at `label` in cohort.yaml, and import again",
                   "every patient's label is the same: nothing can be learned from one class");
    } else {
        check_line(c, "cohort", true, NULL, "%zu patients (the policy asks for %zu)",
                   data->n_patients, site->policy.min_patients);
    }
    dataset_close(&data);
}

static void check_ledger(struct checks *c, const struct site *site)
{
    struct error err = {0};
    struct ledger *ledger = NULL;
    double spent = 0.0;
    enum rc rc = site_ledger(site, &ledger, &err); /* checks the chain over every row */
    if (rc == RC_OK) {
        rc = ledger_epsilon(ledger, NULL, site->policy.max_delta_per_study, &spent, &err);
    }
    ledger_close(&ledger);
    if (rc != RC_OK) {
        check_line(c, "ledger", false,
                   rc == RC_FORMAT ? "restore it from a backup; do not delete it" : NULL, "%s",
                   err.text);
    } else {
        check_line(c, "ledger", true, NULL, "its chain holds; epsilon %.6g of %.6g spent", spent,
                   site->policy.max_epsilon_total);
    }
}

static void count_waiting(void *ctx, const struct consent_row *row)
{
    size_t *n = ctx;
    *n += row->state == CONSENT_OFFERED && row->ended_ms == 0;
}

static void check_consent(struct checks *c, const struct site *site)
{
    struct error err = {0};
    struct consent *consent = NULL;
    size_t waiting = 0;
    enum rc rc = site_consent(site->folder, &consent, &err);
    if (rc == RC_OK) {
        rc = consent_each(consent, count_waiting, &waiting, &err);
    }
    consent_close(&consent);
    if (rc != RC_OK) {
        check_line(c, "consent", false, rc == RC_FORMAT ? "restore it from a backup" : NULL, "%s",
                   err.text);
    } else {
        check_line(c, "consent", true,
                   waiting > 0 ? "`wardround-agent approve` shows what waits" : NULL,
                   waiting == 1 ? "%zu study waits for approval" : "%zu studies wait for approval",
                   waiting);
    }
}

/* ---- the machine ----------------------------------------------------------------------------- */

static void check_disk(struct checks *c)
{
    struct statvfs v;
    if (statvfs(c->folder, &v) != 0) {
        check_line(c, "disk", false, NULL, "cannot ask for the room at '%s': %s", c->folder,
                   strerror(errno));
        return;
    }
    const uint64_t room = (uint64_t)v.f_bavail * (uint64_t)v.f_frsize;
    const bool pass = room >= DISK_LEAST;
    check_line(c, "disk", pass, pass ? NULL : "make room, or move the folder to a larger disk",
               "%llu MiB free, at least %llu are wanted", (unsigned long long)(room >> 20),
               (unsigned long long)(DISK_LEAST >> 20));
}

/* In a child, because there is no way out. What it says comes through a pipe. */
static void check_sandbox(struct checks *c)
{
    struct said {
        struct sandbox_state state;
        struct error err;
    } said = {0};
    int ends[2];
    if (pipe(ends) != 0) {
        check_line(c, "sandbox", false, NULL, "cannot make a pipe: %s", strerror(errno));
        return;
    }
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        const struct sandbox_rules rules = {.n_read = 1, .read = {c->folder}};
        said.err.rc = sandbox_enter(&rules, &said.state, &said.err);
        _exit(write(ends[1], &said, sizeof said) == (ssize_t)sizeof said ? 0 : 1);
    }
    (void)close(ends[1]);
    const bool heard = child > 0 && read(ends[0], &said, sizeof said) == (ssize_t)sizeof said;
    (void)close(ends[0]);
    if (child > 0) {
        (void)waitpid(child, NULL, 0);
    }
    if (!heard) {
        check_line(c, "sandbox", false, NULL, "the process that tried it died");
    } else if (said.err.rc != RC_OK) {
        check_line(c, "sandbox", false, NULL, "%s", said.err.text);
    } else {
        const bool pass = said.state.files && said.state.calls;
        check_line(c, "sandbox", pass,
                   pass ? NULL
                        : "the agent runs, and a flaw in it could reach more than it needs: use "
                          "Debian 12's kernel or newer",
                   "%s", said.state.sentence);
    }
}

enum rc command_check(const struct words *w, bool *yes, struct config_issues *issues,
                      struct error *err)
{
    struct checks c = {.folder = w->folder, .lines = w->json ? json_array() : NULL};
    struct site site = {0};

    const bool read = check_config(&c, &site, issues);
    if (read) {
        check_keys(&c, &site);
    }
    check_modes(&c, read ? &site : NULL);
    if (read) {
        check_cohort(&c, &site);
        check_ledger(&c, &site);
        check_consent(&c, &site);
    }
    check_disk(&c);
    check_sandbox(&c);
    if (read) {
        check_coordinator(&c, &site);
    }
    site_release(&site);
    *yes = c.n_failed == 0;
    if (w->json) {
        json_t *o = json_object();
        (void)json_object_set_new(o, "ready", json_boolean(*yes));
        (void)json_object_set_new(o, "checks", c.lines);
        return report_print(o, err);
    }
    if (!*yes) {
        (void)printf("%zu to mend%s\n", c.n_failed,
                     read ? "" : "; the rest is looked at once the configuration can be read");
    }
    return RC_OK;
}
