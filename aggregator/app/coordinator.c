/* A study from its document, or from what the registry holds of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aggregator/app/coordinator_internal.h"
#include "common/base/clock.h"
#include "common/base/entropy.h"
#include "common/broadcast/broadcast.h"
#include "common/checkpoint/checkpoint.h"

static enum rc read_study(struct coordinator *c, const char *path, struct config_issues *issues,
                          struct error *err)
{
    if (access(path, R_OK) != 0) {
        return error_set(
            err, RC_IO,
            "cannot read the study document '%.120s': %s; --study wants its path, such "
            "as configs/studies/first.yaml",
            path, strerror(errno));
    }
    enum rc rc = agreement_open(path, NULL, &c->agreement, issues, err);
    if (rc == RC_OK) {
        rc = masked_check(c, err);
    }
    return rc == RC_OK ? agreement_sign(&c->agreement, c->keys, &c->signed_bytes, &c->signed_n, err)
                       : rc;
}

/* What was signed, and agreed on by the sites: the document may be gone. */
static enum rc recall_study(struct coordinator *c, const struct hash *kept, struct error *err)
{
    const void *bytes = NULL;
    size_t n = 0;
    enum rc rc = registry_agreement(c->registry, kept, &bytes, &n, err);
    if (rc == RC_OK) {
        rc = agreement_verify(bytes, n, &c->card.sign, &c->agreement, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    c->signed_bytes = malloc(n + 1);
    if (c->signed_bytes == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the study");
    }
    memcpy(c->signed_bytes, bytes, n);
    c->signed_n = n;
    return RC_OK;
}

static enum rc open_study(struct coordinator *c, const char *path, const struct hash *kept,
                          struct config_issues *issues, struct error *err)
{
    enum rc rc = path != NULL ? read_study(c, path, issues, err) : recall_study(c, kept, err);
    if (rc == RC_OK) {
        rc = model_open(&study_of(c)->model, &c->agreement.schema, &c->model, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    c->n_sites = study_of(c)->n_sites;
    c->params = calloc(c->model.table.S + 1, sizeof *c->params);
    c->site = calloc(c->n_sites, sizeof *c->site);
    c->peer = calloc(NET_PEERS_MAX, sizeof *c->peer);
    c->sent = malloc(broadcast_bytes(study_of(c), c->model.table.S) + 1);
    if (c->params == NULL || c->sent == NULL || c->site == NULL || c->peer == NULL) {
        return error_set(err, RC_NOMEM, "no memory for a study of %zu sites", c->n_sites);
    }
    for (size_t i = 0; i < c->n_sites; i++) {
        c->site[i].upload.in.fd = -1;
        c->site[i].download.credit_ms = -1;
    }
    return RC_OK;
}

struct known {
    const struct hash *study;
    bool found;
};

static void note_known(void *ctx, const struct registry_study *study)
{
    struct known *k = ctx;
    k->found = k->found || hash_equal(&study->hash, k->study);
}

/* The model of round 0. Once it is in the registry nobody asks for the checkpoint's file again, nor whether it
 * may begin. */
static enum rc first_model(struct coordinator *c, real *first, struct error *err)
{
    struct known k = {.study = coordinator_study(c)};
    enum rc rc = registry_each_study(c->registry, note_known, &k, err);
    if (rc != RC_OK || k.found) {
        return rc;
    }
    rc = masked_check_cards(c, err);
    return rc != RC_OK ? rc : checkpoint_first(study_of(c), &c->model, first, err);
}

static enum rc start_study(struct coordinator *c, bool *resumed, struct error *err)
{
    const struct study *study = study_of(c);
    real *first = calloc(c->model.table.P + 1, sizeof *first); /* adapters draw, too */
    if (first == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the first model");
    }
    enum rc rc = first_model(c, first, err);
    if (rc == RC_OK) {
        rc = registry_start(c->registry, study->name, coordinator_study(c), c->n_sites, first,
                            c->model.table.S * sizeof *first, c->wall_ms, resumed, err);
    }
    free(first);
    if (rc == RC_OK) {
        rc = registry_keep_agreement(c->registry, coordinator_study(c), study->rounds,
                                     c->signed_bytes, c->signed_n, c->wall_ms, err);
    }
    if (rc == RC_OK) {
        rc = merging_load(c, err);
    }
    return rc;
}

static enum rc note_kept(void *ctx, size_t site, const void *update, size_t n, struct error *err)
{
    struct coordinator *c = ctx;
    (void)err;
    if (site < c->n_sites) {
        c->site[site].has_kept = true;
        c->site[site].kept = hash_of(update, n);
    }
    return RC_OK;
}

/* registry_each_study's callback: a study that is over changes no more. */
static void note_end(void *ctx, const struct registry_study *study)
{
    struct coordinator *c = ctx;
    const bool over = study->state == REGISTRY_FINISHED || study->state == REGISTRY_STUDY_FAILED;
    if (over && hash_equal(&study->hash, coordinator_study(c))) {
        c->over_since_ms = study->changed_ms;
    }
}

/* What a restart finds: the machine as it was, and which updates it has. */
static enum rc resume(struct coordinator *c, unsigned *actions, struct error *err)
{
    struct round_machine *m = &c->machine;
    bool found = false;
    bool failed = false;
    bool contributed[ROUND_SITES_MAX];
    enum rc rc = registry_restore(c->registry, coordinator_study(c), m, err);
    if (rc == RC_OK) {
        rc = registry_each_study(c->registry, note_end, c, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (m->state == ROUND_OPEN) {
        rc = registry_each_update(c->registry, coordinator_study(c), m->round, note_kept, c, err);
    }
    *actions = round_restore(m, c->now_ms);
    if (rc == RC_OK && m->masked && m->state == ROUND_OPEN) {
        rc = masked_resume(c, err);
    }
    if (rc == RC_OK && round_finished(m) > 0) {
        rc = answer_recall_round(c, round_finished(m), err);
    }
    if (rc == RC_OK && m->state == ROUND_FAILED) {
        rc = registry_outcome(c->registry, coordinator_study(c), m->round, &found, contributed,
                              c->n_sites, &failed, c->failure, err);
    }
    return rc;
}

enum rc coordinator_open(struct coordinator *c, const char *study_path, const struct hash *kept,
                         struct config_issues *issues, struct error *err)
{
    struct entropy entropy = {0};
    unsigned actions = ROUND_NOTHING;
    bool resumed = false;

    c->now_ms = clock_monotonic_ms();
    c->wall_ms = clock_wall_ms();
    c->ended_ms = -1;
    enum rc rc = folder_keys(&c->folder, &c->keys, err);
    if (rc == RC_OK) {
        rc = folder_card(&c->folder, &c->card, err);
    }
    if (rc == RC_OK) {
        rc = folder_registry(&c->folder, &c->registry, err);
    }
    if (rc == RC_OK) {
        registry_tidy_apart(c->registry);
        rc = open_study(c, study_path, kept, issues, err);
    }
    if (rc == RC_OK) {
        rc = entropy_init(&entropy, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    while (c->epoch == 0) {
        entropy_bytes(&entropy, &c->epoch, sizeof c->epoch);
    }
    entropy_release(&entropy);
    rc = start_study(c, &resumed, err);
    if (rc == RC_OK) {
        rc = net_server_open(c->folder.bind, c->keys, &c->server, err);
        if (rc != RC_OK) {
            rc = error_context(err, "`bind:` in %.80s/aggregator.yaml", c->folder.path);
        }
    }
    if (rc == RC_OK) {
        rc = peers_load(c, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    const struct study *s = study_of(c);
    round_init(&c->machine, s->n_sites, s->quorum, s->rounds, s->join_deadline_ms,
               s->round_deadline_ms, c->now_ms);
    if (s->masked) {
        round_mask(&c->machine, s->spare_rounds, masked_opening_ms(c));
    }
    if (resumed) {
        rc = resume(c, &actions, err);
    }
    if (rc == RC_OK) {
        rc = uploads_open(c, err);
    }
    if (rc == RC_OK) {
        tell_ready(c, resumed);
        rc = coordinator_act(c, actions, NULL, err);
    }
    if (rc == RC_OK && resumed) {
        rc = masked_settle(c, err);
    }
    return rc;
}

void coordinator_close(struct coordinator *c)
{
    if (c->site != NULL) {
        uploads_drop_all(c, true);
    }
    masked_close(c);
    if (c->site != NULL) {
        settling_forget(c);
    }
    net_server_close(&c->server);
    registry_close(&c->registry);
    model_release(&c->model);
    agreement_release(&c->agreement);
    seal_keys_close(&c->keys);
    transfer_hashes_release(&c->chunks);
    free(c->signed_bytes);
    free(c->params);
    free(c->sent);
    free(c->site);
    free(c->peer);
    c->signed_bytes = NULL;
    c->params = NULL;
    c->sent = NULL;
    c->site = NULL;
    c->peer = NULL;
}
