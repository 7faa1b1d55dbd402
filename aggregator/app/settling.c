/* Updates that have arrived become durable together: all of one turn of the loop are written, brought to the
 * disk once and committed once. Only then does the machine hear of them, one after the other, and their sites
 * are answered. While they pass by they are added up, so that a round that ends in the life in which it began
 * reads none of them back. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/app/coordinator_internal.h"
#include "aggregator/merge/merge.h"
#include "common/base/log.h"

enum { TOGETHER_MAX = 32 };

struct together {
    struct coordinator *c;
    uint64_t round;
    size_t n;
    struct registry_update update[TOGETHER_MAX];
    struct registry_anchor anchor[TOGETHER_MAX];
    struct hash hash[TOGETHER_MAX];
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
    if (study_of(c)->server.combine != STUDY_MEAN) {
        return; /* a robust mean wants them one beside the other */
    }
    if (c->sum == NULL &&
        merge_open(study_of(c), c->model.span, c->model.table.S, &c->sum, &ignored) != RC_OK) {
        return;
    }
    c->site[site].summed = merge_add(c->sum, site, bytes, n, &ignored) == RC_OK;
}

/* ---- keeping --------------------------------------------------------------------------------- */

/* registry_keep_updates' callback. What cannot be read is left out: its site offers it again. */
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
    *n = size;
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
    for (size_t i = 0; rc == RC_OK && i < c->n_sites && t->n < TOGETHER_MAX; i++) {
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
static void note_kept(struct together *t, size_t k)
{
    struct coordinator *c = t->c;
    struct site *s = &c->site[t->update[k].site];
    char hex[HASH_HEX];
    s->has_kept = true;
    s->kept = t->hash[k];
    s->knows_anchor = true;
    s->anchor = t->anchor[k].anchor;
    hash_hex(&s->kept, hex);
    log_event(LOG_LEVEL_INFO, "update_kept", "site=%s round=%llu bytes=%llu update=%s",
              site_name(c, t->update[k].site), (unsigned long long)t->round,
              (unsigned long long)s->upload.tensor.bytes, hex);
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
            note_kept(t, k);
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
