/* Updates that have arrived become durable together: for a tenth of a second they wait for others, then all are
 * written, brought to the disk once and committed once. Only then does the machine hear of them, one after the
 * other, and their sites are answered. While they pass by they are added up, so that a round that ends in the life
 * in which it began reads none of them back.
 *
 * With those that end their round it goes the other way round: they are added up, the machine hears of them, and
 * the transaction of the outcome has that they came. Their bytes would be dropped in it, so they are never written;
 * nobody is answered before it. Killed earlier, the coordinator has none of them, and their sites send them again. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/app/coordinator_internal.h"
#include "aggregator/merge/merge.h"
#include "common/base/log.h"
#include "common/update/update.h"

struct together {
    struct coordinator *c;
    uint64_t round;
    size_t n;
    struct registry_update update[SETTLE_MAX];
    struct registry_anchor anchor[SETTLE_MAX];
    struct hash hash[SETTLE_MAX];
    unsigned char *bytes; /* [room] of one update */
    size_t room;
};

/* ---- the sum --------------------------------------------------------------------------------- */

void settling_forget(struct coordinator *c)
{
    for (size_t i = 0; i < c->n_sites; i++) {
        struct site *s = &c->site[i];
        s->has_kept = s->knows_anchor = s->summed = false;
    }
    merge_close(&c->sum);
}

struct merge *settling_take_sum(struct coordinator *c)
{
    struct merge *sum = c->sum;
    bool whole = sum != NULL;
    for (size_t i = 0; i < c->n_sites; i++) {
        whole = whole && c->site[i].summed == (c->machine.part[i] == ROUND_CONTRIBUTED);
    }
    c->sum = NULL;
    if (!whole) {
        merge_close(&sum);
    }
    return sum;
}

/* Not summed is no fault: then the round's updates are read back. */
static void add_to_sum(struct coordinator *c, size_t site, const void *bytes, size_t n)
{
    struct error ignored = {0};
    if (study_of(c)->server.combine != STUDY_MEAN || c->site[site].summed) {
        return; /* a robust mean wants them one beside the other */
    }
    if (c->sum == NULL &&
        merge_open(study_of(c), c->model.span, c->model.table.S, &c->sum, &ignored) != RC_OK) {
        return;
    }
    c->site[site].summed = merge_add(c->sum, site, bytes, n, &ignored) == RC_OK;
}

/* ---- keeping --------------------------------------------------------------------------------- */

/* Added up on their way. registry_keep_updates' callback: what cannot be read is left out, and its site offers it again. */
static enum rc bytes_of(void *ctx, size_t index, const void **data, size_t *n, struct error *err)
{
    struct together *t = ctx;
    const size_t site = t->update[index].site;
    struct transfer_in *in = &t->c->site[site].upload.in;
    struct error fault = {0};
    const size_t size = (size_t)in->bytes;
    *data = transfer_in_memory(in);
    *n = size;
    if (*data != NULL) {
        add_to_sum(t->c, site, *data, size);
        return RC_OK;
    }
    if (size > t->room) {
        free(t->bytes);
        t->bytes = malloc(size);
        t->room = t->bytes != NULL ? size : 0;
    }
    if (t->bytes == NULL) {
        return error_set(err, RC_NOMEM, "no memory for an update of %zu bytes", size);
    }
    if (transfer_in_read(in, t->bytes, &fault) != RC_OK) {
        log_event(LOG_LEVEL_ERROR, "update_not_read", "site=%s reason=\"%s\"",
                  site_name(t->c, site), fault.text);
        return RC_OK;
    }
    add_to_sum(t->c, site, t->bytes, size);
    *data = t->bytes;
    return RC_OK;
}

/* The round has moved on without it, or the sum: whatever the machine says, its bytes are not needed. */
static enum rc moved_on(struct coordinator *c, size_t site, struct error *err)
{
    const struct said said = {.event = ROUND_GOT_UPDATE,
                              .site = site,
                              .round = c->site[site].upload.round};
    uploads_drop(c, site, false);
    return coordinator_step(c, &said, err);
}

static enum rc gather(struct coordinator *c, struct together *t, struct error *err)
{
    enum rc rc = RC_OK;
    *t = (struct together){.c = c, .round = c->machine.round};
    for (size_t i = 0; rc == RC_OK && i < c->n_sites && t->n < SETTLE_MAX; i++) {
        const struct upload *u = &c->site[i].upload;
        if (u->state != UPLOAD_ARRIVED) {
            continue;
        }
        if (!uploads_wanted(c, i, u->round)) {
            rc = moved_on(c, i, err);
            continue;
        }
        t->hash[t->n] = u->in.hash; /* verified when the last chunk came */
        t->anchor[t->n] = (struct registry_anchor){.sign = site_key(c, i), .anchor = u->anchor};
        const bool anchored = !hash_equal(&u->anchor, &(struct hash){{0}});
        t->update[t->n] = (struct registry_update){.site = i,
                                                   .hash = &t->hash[t->n],
                                                   .anchor = anchored ? &t->anchor[t->n] : NULL};
        t->n++;
    }
    return rc;
}

/* ---- and then -------------------------------------------------------------------------------- */

/* It is durable. The hash in the log is the one that stands in the site's ledger: whoever audits compares them. */
static void note_kept(struct coordinator *c, size_t site, uint64_t round, const struct hash *hash,
                      const struct registry_anchor *anchor)
{
    struct site *s = &c->site[site];
    char hex[HASH_HEX];
    s->has_kept = true;
    s->kept = *hash;
    s->knows_anchor = true;
    s->anchor = anchor->anchor;
    hash_hex(&s->kept, hex);
    log_event(LOG_LEVEL_INFO, "update_kept", "site=%s round=%llu bytes=%zu update=%s",
              site_name(c, site), (unsigned long long)round, update_bytes(c->model.table.S), hex);
}

/* The machine hears of it, and its site is answered. */
static enum rc tell_machine(struct coordinator *c, size_t site, uint64_t round, struct error *err)
{
    const struct said said = {.event = ROUND_GOT_UPDATE, .site = site, .round = round};
    const enum rc rc = coordinator_step(c, &said, err);
    const struct round_machine *m = &c->machine;
    const bool present = m->round == round && (m->state == ROUND_OPEN || m->state == ROUND_MERGING);
    if (rc == RC_OK && present && m->part[site] != ROUND_CONTRIBUTED) {
        return error_set(err, RC_STATE,
                         "site '%s': its update of round %" PRIu64 " is kept, but the round does "
                         "not count it; run the same command again to resume",
                         site_name(c, site), round);
    }
    return rc;
}

static enum rc settle(struct together *t, struct error *err)
{
    struct coordinator *c = t->c;
    enum rc rc = registry_keep_updates(c->registry, coordinator_study(c), t->round, t->update, t->n,
                                       bytes_of, t, c->wall_ms, err);
    free(t->bytes);
    if (rc != RC_OK) {
        return rc; /* the spool files stay */
    }
    for (size_t k = 0; k < t->n; k++) {
        const struct registry_update *u = &t->update[k];
        if (u->kept) {
            note_kept(c, u->site, t->round, &t->hash[k], &t->anchor[k]);
        }
        if (u->refused) { /* the sender's fault: no reply */
            refuse(c, REFUSED_OTHER, site_name(c, u->site), u->why);
        }
        uploads_drop(c, u->site, !u->kept && !u->refused);
    }
    for (size_t k = 0; rc == RC_OK && k < t->n; k++) {
        if (t->update[k].kept) {
            rc = tell_machine(c, t->update[k].site, t->round, err);
        }
    }
    return rc;
}

/* ---- those that end a round ------------------------------------------------------------------ */

/* Would the machine merge if it heard of these, and of nobody else? Then nobody is waited for but them. */
static bool ends_round(const struct coordinator *c, const struct together *t)
{
    const struct round_machine *m = &c->machine;
    size_t waited = 0;
    size_t here = 0;
    for (size_t i = 0; i < c->n_sites; i++) {
        waited += m->member[i] == ROUND_ACCEPTED && m->part[i] == ROUND_WAITED_FOR;
    }
    for (size_t k = 0; k < t->n; k++) {
        here += uploads_wanted(c, t->update[k].site, t->round);
    }
    return here == t->n && here == waited && !masked_is(c) &&
           round_contributors(m) + here >= m->quorum;
}

/* All that contribute are in one sum, without any having been written? */
static bool all_summed(struct together *t, struct error *err)
{
    struct coordinator *c = t->c;
    bool all = true;
    for (size_t k = 0; all && k < t->n; k++) {
        const void *data = NULL;
        size_t n = 0;
        all = bytes_of(t, k, &data, &n, err) == RC_OK && c->site[t->update[k].site].summed;
    }
    for (size_t i = 0; all && i < c->n_sites; i++) {
        all = c->machine.part[i] != ROUND_CONTRIBUTED || c->site[i].summed;
    }
    return all;
}

static enum rc close_round(struct together *t, struct error *err)
{
    struct coordinator *c = t->c;
    struct closing *last = &c->closing;
    enum rc rc = RC_OK;
    last->n = t->n;
    for (size_t k = 0; k < t->n; k++) {
        last->hash[k] = t->hash[k];
        last->anchor[k] = t->anchor[k];
        last->update[k] = t->update[k];
        last->update[k].hash = &last->hash[k];
        last->update[k].anchor = t->update[k].anchor != NULL ? &last->anchor[k] : NULL;
    }
    for (size_t k = 0; rc == RC_OK && k < t->n; k++) {
        rc = tell_machine(c, t->update[k].site, t->round, err);
    }
    if (rc == RC_OK && !c->merge_due) {
        rc = error_set(err, RC_STATE,
                       "round %" PRIu64 " does not end with its last update; run "
                       "the same command again to resume",
                       t->round);
    }
    return rc == RC_OK ? merging_run(c, err) : rc;
}

enum rc settling_closed(struct coordinator *c, struct error *err)
{
    const struct closing last = c->closing;
    enum rc rc = RC_OK;
    c->closing.n = 0;
    for (size_t k = 0; k < last.n; k++) {
        note_kept(c, last.update[k].site, c->machine.round, &last.hash[k], &last.anchor[k]);
    }
    for (size_t k = 0; rc == RC_OK && k < last.n; k++) {
        rc = answer_reply(c, last.update[k].site, WIRE_ACK, err);
    }
    return rc;
}

/* ---- when ------------------------------------------------------------------------------------ */

/* Others are waited for, and may come at any moment. */
static bool may_wait(const struct coordinator *c, int64_t *due_ms)
{
    int64_t first_ms = INT64_MAX;
    size_t bytes = 0;
    size_t n = 0;
    size_t missing = 0;
    for (size_t i = 0; i < c->n_sites; i++) {
        const struct upload *u = &c->site[i].upload;
        if (u->state != UPLOAD_ARRIVED) {
            missing += uploads_wanted(c, i, c->machine.round);
            continue;
        }
        n++;
        bytes += transfer_in_memory(&u->in) != NULL ? (size_t)u->tensor.bytes : 0;
        first_ms = u->arrived_ms < first_ms ? u->arrived_ms : first_ms;
    }
    if (n == 0 || missing == 0 || n >= SETTLE_MAX || bytes >= SETTLE_BYTES ||
        (bytes >= SETTLE_SOONER && uploads_wait_for_room(c)) ||
        c->now_ms - first_ms >= SETTLE_WAIT_MS) {
        return false;
    }
    *due_ms = first_ms + SETTLE_WAIT_MS < *due_ms ? first_ms + SETTLE_WAIT_MS : *due_ms;
    return true;
}

enum rc uploads_settle_due(struct coordinator *c, int64_t *due_ms, struct error *err)
{
    struct together t;
    if (may_wait(c, due_ms)) {
        return RC_OK;
    }
    enum rc rc = gather(c, &t, err);
    if (rc != RC_OK || t.n == 0) {
        return rc;
    }
    const bool ends = ends_round(c, &t) && all_summed(&t, err);
    if (ends) {
        rc = close_round(&t, err);
    }
    free(t.bytes);
    return ends ? rc : uploads_settle(c, err);
}

enum rc uploads_settle(struct coordinator *c, struct error *err)
{
    for (;;) {
        struct together t;
        enum rc rc = gather(c, &t, err);
        if (rc == RC_OK && t.n > 0) {
            rc = settle(&t, err);
        }
        if (rc != RC_OK || t.n == 0) {
            return rc;
        }
    }
}
