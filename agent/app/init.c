/* init: the folder, this hospital's keys and card, and templates of what people write. What is there
 * stays as it is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/app/report.h"
#include "agent/app/site.h"
#include "agent/app/words.h"

static const char site_template[] =
    "# What this hospital allows, whoever asks. Only the hospital changes this file.\n"
    "site: \"%s\"            # as on this hospital's card and on studies' rosters\n"
    "policy:\n"
    "  max_epsilon_per_study: 2   # largest epsilon of one study: smaller is more private\n"
    "  max_epsilon_total: 8       # of all studies together; the ledger adds them up\n"
    "  max_delta_per_study: 1.0e-3\n"
    "  min_patients: 30           # a smaller cohort takes part in nothing\n"
    "  min_sites: 3               # least number of sites that a study must promise to add up\n"
    "  max_colluding: 1           # a study must hold against this many sites that share what they "
    "know\n"
    "  # masked: true           # only studies in which the coordinator reads nothing but sums\n"
    "  # shared_noise: true     # studies whose noise is shared: it protects only while the others "
    "add theirs\n"
    "  # max_evaluation_epsilon: 1   # how good a finished model is here may be told, with noise "
    "that costs this\n"
    "# address: tcp://host:7400   # where the coordinator is as seen from here, if not as on its "
    "card\n"
    "# threads: 1                 # of training, up to 8; each takes memory of its own\n"
    "# auto_approve:              # studies that need no person's approval\n"
    "#   - {coordinator: NAME, max_epsilon: 1}\n";

static const char cohort_template[] =
    "# How this hospital's files are written, and what a patient looks like. Every key is "
    "explained in\n"
    "# common/schema/README.md. Change the examples, then run `wardround-agent import`.\n"
    "cohort: patients\n"
    "files:\n"
    "  - {path: patients.csv, site: \"%s\"} # from this folder, or absolute\n"
    "separator: \",\"\n"
    "header: true\n"
    "patient: {column: patient_id, rows: one}\n"
    "site: {from: file}\n"
    "missing: [\"\"]         # cells that mean: not known\n"
    "label: {name: outcome, column: outcome, positive: [\"1\"], negative: [\"0\"]}\n"
    "\n"
    "# As the study's coordinator names them, in the same order. Columns not named here go "
    "nowhere.\n"
    "features:\n"
    "  - {name: age, type: continuous, unit: years, range: [18, 100], required: true}\n"
    "  - {name: sex, type: binary, categories: [female, male]}\n"
    "  - {name: admission, type: categorical, categories: [emergency, elective, transfer]}\n";

struct made {
    bool folder, keys, card, site, cohort;
    bool ledger; /* of before: it is kept */
};

static enum rc make_folder(const char *path, bool *made, struct error *err)
{
    struct stat st;
    if (mkdir(path, 0700) == 0) {
        *made = true;
        return RC_OK;
    }
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return RC_OK;
    }
    return error_set(err, RC_IO, "cannot make the folder '%s': %s", path,
                     errno == EEXIST ? "a file has that name" : strerror(errno));
}

static bool is_there(const char *folder, const char *name)
{
    char path[SITE_PATH_MAX];
    struct error ignored;
    return site_path(folder, name, path, &ignored) == RC_OK && access(path, F_OK) == 0;
}

/* ---- the name -------------------------------------------------------------------------------- */

/* From site.yaml alone: cohort.yaml and policy may still be half written. "" if it has none. */
static enum rc name_of_folder(const char *folder, char name[SEAL_NAME_MAX], struct error *err)
{
    char path[SITE_PATH_MAX];
    struct config_doc *doc = NULL;
    const char *text = NULL;
    bool there = false;
    enum rc rc = site_path(folder, "site.yaml", path, err);
    name[0] = '\0';
    if (rc == RC_OK) {
        rc = site_look(path, &there, err);
    }
    if (rc != RC_OK || !there) {
        return rc;
    }
    rc = config_open(path, &doc, err);
    if (rc == RC_OK) {
        const struct config_node *node = config_get(config_root(doc), "site");
        if (node == NULL || !config_as_text(node, &text, NULL)) {
            rc =
                error_set(err, RC_INVALID, "%s: it does not say `site: NAME`; add that line", path);
        } else {
            (void)snprintf(name, SEAL_NAME_MAX, "%s", text);
        }
    }
    config_close(&doc);
    return rc;
}

static enum rc find_name(const struct words *w, char name[SEAL_NAME_MAX], struct error *err)
{
    struct seal_keys *trial = NULL;
    struct seal_card card;
    enum rc rc = name_of_folder(w->folder, name, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (w->name != NULL && name[0] != '\0' && strcmp(name, w->name) != 0) {
        return error_set(err, RC_INVALID,
                         "site.yaml in '%s' says this is '%s', not '%.63s'; one folder is one "
                         "hospital",
                         w->folder, name, w->name);
    }
    if (name[0] == '\0' && w->name == NULL) {
        return error_set(err, RC_INVALID,
                         "say this hospital's name: wardround-agent init %s --name NAME",
                         w->folder);
    }
    /* is it one? The card is made for that alone, and nothing is written yet */
    rc = seal_keys_random(&trial, err);
    if (rc == RC_OK) {
        rc = seal_card_make(trial, SEAL_SITE, name[0] != '\0' ? name : w->name, "", &card, err);
    }
    seal_keys_close(&trial);
    if (rc == RC_OK) {
        memcpy(name, card.name, SEAL_NAME_MAX);
    }
    return rc;
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum rc write_template(const char *folder, const char *file, const char *template,
                              const char *name, bool *made, struct error *err)
{
    char path[SITE_PATH_MAX];
    char text[sizeof site_template + sizeof cohort_template + SEAL_NAME_MAX];
    enum rc rc = site_path(folder, file, path, err);
    if (rc != RC_OK || access(path, F_OK) == 0) {
        return rc;
    }
    const char *hole = strstr(template, "%s");
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(hole - template), template, name, hole + 2);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const ssize_t n = (ssize_t)strlen(text);
    if (fd < 0 || write(fd, text, (size_t)n) != n || fsync(fd) != 0) {
        rc = error_set(err, RC_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    if (fd >= 0 && close(fd) != 0 && rc == RC_OK) {
        rc = error_set(err, RC_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    *made = rc == RC_OK;
    return rc;
}

static enum rc make_keys(const char *folder, const char *card_file, bool *made, struct error *err)
{
    char path[SITE_PATH_MAX];
    enum rc rc = site_path(folder, "keys/site.key", path, err);
    if (rc != RC_OK || access(path, F_OK) == 0) {
        return rc;
    }
    if (is_there(folder, card_file)) {
        return error_set(
            err, RC_STATE,
            "'%s' is gone, and %.80s is there; restore the key from its copy (or remove "
            "the card, make new keys, and have the coordinator enrol the new card)",
            path, card_file);
    }
    rc = seal_keys_create(path, err);
    *made = rc == RC_OK;
    return rc;
}

static enum rc make_card(const char *folder, const char *card_file, const char *name, bool *made,
                         struct seal_card *out, struct error *err)
{
    char path[SITE_PATH_MAX];
    struct seal_keys *keys = NULL;
    struct seal_card there;
    enum rc rc = site_keys(folder, &keys, err);
    if (rc == RC_OK) {
        rc = seal_card_make(keys, SEAL_SITE, name, "", out, err);
    }
    seal_keys_close(&keys);
    if (rc == RC_OK) {
        rc = site_path(folder, card_file, path, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (access(path, F_OK) != 0) {
        rc = seal_card_write(path, out, err);
        *made = rc == RC_OK;
        return rc;
    }
    rc = seal_card_read(path, &there, err);
    if (rc == RC_OK && (memcmp(&there.sign, &out->sign, sizeof there.sign) != 0 ||
                        memcmp(&there.curve, &out->curve, sizeof there.curve) != 0)) {
        rc = error_set(err, RC_AUTH,
                       "'%s' is not the card of keys/site.key; remove it and run init again", path);
    }
    return rc;
}

/* ---- saying ---------------------------------------------------------------------------------- */

static void say_line(bool made, const char *file, const char *what)
{
    (void)printf("%-6s %-20s %s\n", made ? "made" : "there", file, what);
}

static enum rc say(const struct words *w, const char *card_file, const struct seal_card *card,
                   const struct made *m, struct error *err)
{
    char fingerprint[SEAL_FINGERPRINT];
    seal_fingerprint(card, fingerprint);
    if (w->json) {
        json_t *o = json_object();
        (void)json_object_set_new(o, "site", json_string(card->name));
        (void)json_object_set_new(o, "card", json_string(card_file));
        (void)json_object_set_new(o, "fingerprint", json_string(fingerprint));
        (void)json_object_set_new(o, "made_keys", json_boolean(m->keys));
        (void)json_object_set_new(o, "made_card", json_boolean(m->card));
        (void)json_object_set_new(o, "made_site_yaml", json_boolean(m->site));
        (void)json_object_set_new(o, "made_cohort_yaml", json_boolean(m->cohort));
        (void)json_object_set_new(o, "found_ledger", json_boolean(m->ledger));
        return report_print(o, err);
    }
    say_line(m->keys, "keys/site.key", "secret: keep a copy offline, give it to nobody");
    say_line(m->card, card_file, "public: send it to the coordinator");
    say_line(m->site, "site.yaml", "what this hospital allows: read it and change it");
    say_line(m->cohort, "cohort.yaml", "how the files are written: describe yours");
    if (m->ledger) {
        say_line(false, "ledger.db", "what was spent here goes on counting, whatever the card");
    }
    (void)printf("\nfingerprint of %s: %s\n", card->name, fingerprint);
    if (m->keys || m->card) {
        (void)printf(
            "Next: send %s to the coordinator and tell this fingerprint by telephone; then\n"
            "  wardround-agent import %s\n"
            "  wardround-agent trust %s COORDINATOR.card\n",
            card_file, w->folder, w->folder);
    } else {
        (void)printf("Everything is there; nothing was changed.\n");
    }
    return RC_OK;
}

enum rc command_init(const struct words *w, bool *yes, struct config_issues *issues,
                     struct error *err)
{
    (void)issues;
    char name[SEAL_NAME_MAX];
    char card_file[SEAL_NAME_MAX + 8];
    char path[SITE_PATH_MAX];
    struct made m = {0};
    struct seal_card card;
    bool ignored = false;

    enum rc rc = find_name(w, name, err);
    if (rc == RC_OK) {
        (void)snprintf(card_file, sizeof card_file, "%s.card", name);
        rc = make_folder(w->folder, &m.folder, err);
    }
    static const char *const folders[] = {"keys", "keys/peers"};
    for (size_t i = 0; rc == RC_OK && i < sizeof folders / sizeof folders[0]; i++) {
        rc = site_path(w->folder, folders[i], path, err);
        if (rc == RC_OK) {
            rc = make_folder(path, &ignored, err);
        }
    }
    if (rc == RC_OK) {
        rc = make_keys(w->folder, card_file, &m.keys, err);
    }
    if (rc == RC_OK) {
        rc = make_card(w->folder, card_file, name, &m.card, &card, err);
    }
    if (rc == RC_OK) {
        rc = write_template(w->folder, "site.yaml", site_template, name, &m.site, err);
    }
    if (rc == RC_OK) {
        rc = write_template(w->folder, "cohort.yaml", cohort_template, name, &m.cohort, err);
    }
    m.ledger = rc == RC_OK && is_there(w->folder, "ledger.db");
    if (rc == RC_OK) {
        rc = say(w, card_file, &card, &m, err);
    }
    *yes = true;
    return rc;
}
