/* What the machine of rounds asks for, done: records, letters, an opened round, and the merged model. */
#include <string.h>

#include "sim/faults/center_internal.h"

static struct mask_set contributors(const struct round_machine *m)
{
    struct mask_set s = {{0}};
    for (size_t i = 0; i < m->n_sites; i++) {
        if (m->part[i] == ROUND_CONTRIBUTED) {
            mask_set_add(&s, i);
        }
    }
    return s;
}

/* Of the newest finished round, as it was committed. */
static RC outcome_letter(struct world *w, struct letter *l, struct error *err)
{
    struct center *c = &w->center;
    bool found = false, failed = false, contributed[SITES] = {false};
    char reason[240];
    l->round = round_finished(c->machine);
    const enum rc rc = registry_outcome(c->registry, &w->study_hash, l->round, &found, contributed,
                                        sites_of(w), &failed, reason, err);
    if (rc == RC_OK && found) {
        for (size_t i = 0; i < sites_of(w); i++) {
            if (contributed[i]) {
                mask_set_add(&l->set, i);
            }
        }
        l->model = c->model_hash;
    } else {
        l->set = contributors(c->machine);
    }
    return rc == RC_OK ? RC_OK : error_set(err, RC_IO, "cannot read the registry");
}

static RC reply(struct world *w, size_t site, enum kind kind, struct error *err)
{
    const struct round_machine *m = w->center.machine;
    struct letter l = {.kind = kind, .to = site, .round = m->round};
    enum rc rc = RC_OK;
    if (kind == ROUND) {
        l.left_ms = round_left_ms(m, w->now_ms);
        l.model = w->center.model_hash;
    }
    if (kind == OUTCOME) {
        rc = outcome_letter(w, &l, err);
    }
    return rc == RC_OK ? center_send(w, l, NULL, 0, err) : rc;
}

static RC keep(struct world *w, unsigned actions, const struct letter *l, bool *dropped,
               struct error *err)
{
    struct center *c = &w->center;
    struct round_machine *m = c->machine;
    enum rc rc = RC_OK;
    if (actions & ROUND_KEEP_MEMBER) {
        disk_before(w, CENTER);
        rc = registry_keep_member(c->registry, &w->study_hash, l->from, m->member[l->from],
                                  l->reason, w->now_ms, err);
        rc = center_kept(w, rc, "an answer", err);
    }
    if (rc == RC_OK && (actions & ROUND_KEEP_PART)) {
        const bool update = l->kind == UPDATE;
        const uint64_t round = l->kind == ACCEPT ? m->round : l->round;
        disk_before(w, CENTER);
        rc = registry_keep_part(c->registry, &w->study_hash, round, l->from, update ? l->raw : NULL,
                                update ? l->n : 0, update ? NULL : "sits it out", w->now_ms, err);
        if (rc == RC_STATE) {
            disk_after();
            *dropped = true;
            return RC_OK;
        }
        rc = center_kept(w, rc, "a part", err);
    }
    if (rc == RC_OK && (actions & ROUND_KEEP_LOST)) {
        disk_before(w, CENTER);
        rc = registry_lose_round(c->registry, &w->study_hash, m->round - 1,
                                 c->lost[0] != '\0' ? c->lost : "time is up", w->now_ms, err);
        rc = center_kept(w, rc, "a lost round", err);
        c->lost[0] = '\0';
        w->result->lost_rounds++;
    }
    if (rc == RC_OK && (actions & ROUND_KEEP_FAILURE)) {
        bool contributed[SITES] = {false};
        const struct mask_set who = contributors(m);
        for (size_t i = 0; i < m->n_sites; i++) {
            contributed[i] = mask_set_has(&who, i);
        }
        disk_before(w, CENTER);
        rc = registry_commit_failure(c->registry, &w->study_hash, m->round, contributed, m->n_sites,
                                     c->lost[0] != '\0' ? c->lost : "below the quorum", w->now_ms,
                                     err);
        rc = center_kept(w, rc, "the failure", err);
    }
    return rc;
}

static RC replies(struct world *w, unsigned actions, size_t to, struct error *err)
{
    static const struct {
        enum round_action action;
        enum kind kind;
    } message[] = {{ROUND_REPLY_STUDY, STUDY},
                   {ROUND_REPLY_OUTCOME, OUTCOME},
                   {ROUND_REPLY_ROUND, ROUND},
                   {ROUND_REPLY_ACK, ACK},
                   {ROUND_REPLY_DONE, DONE}};
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sizeof message / sizeof message[0]; i++) {
        if (actions & message[i].action) {
            rc = reply(w, to, message[i].kind, err);
        }
    }
    return rc;
}

static RC cast(struct world *w, enum kind kind, struct error *err)
{
    const struct round_machine *m = w->center.machine;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < m->n_sites; i++) {
        const bool accepted = m->member[i] == ROUND_ACCEPTED;
        if (kind == DONE || (accepted && kind == OUTCOME) ||
            (accepted && m->part[i] == ROUND_WAITED_FOR)) {
            rc = reply(w, i, kind, err);
        }
    }
    return rc;
}

static RC open_round(struct world *w, struct error *err)
{
    struct center *c = &w->center;
    disk_before(w, CENTER);
    enum rc rc =
        registry_open_round(c->registry, &w->study_hash, c->machine->round, w->now_ms, err);
    rc = center_kept(w, rc, "that a round opens", err);
    if (rc == RC_OK &&
        (c->face[0].u == NULL || unmasking_round(c->face[0].u) != c->machine->round)) {
        rc = center_open_faces(w, err);
    }
    return rc == RC_OK ? cast(w, ROUND, err) : rc;
}

enum rc center_act(struct world *w, unsigned actions, const struct letter *l, struct error *err)
{
    bool dropped = false;
    w->result->refused += (actions & ROUND_PROTOCOL_ERROR) != 0;
    enum rc rc = keep(w, actions, l, &dropped, err);
    if (rc != RC_OK || dropped) {
        return rc;
    }
    if (l != NULL && l->from != CENTER) {
        rc = replies(w, actions, l->from, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_OUTCOME)) {
        rc = cast(w, OUTCOME, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_ROUND)) {
        rc = open_round(w, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_DONE)) {
        center_close_faces(&w->center);
        rc = cast(w, DONE, err);
    }
    if (rc == RC_OK && (actions & ROUND_MERGE)) {
        rc = do_later(w, (struct letter){.kind = MERGE_DUE, .to = CENTER, .life = w->center.life},
                      3, err);
    }
    return rc;
}

/* ---- merging --------------------------------------------------------------------------------- */

struct sum {
    const struct mask_set *of;
    struct mask_set seen;
    uint32_t numbers[WORDS];
};

static RC add_update(void *ctx, size_t site, const void *update, size_t n, struct error *err)
{
    struct sum *s = ctx;
    uint32_t y[WORDS];
    if (!mask_set_has(s->of, site)) {
        return RC_OK;
    }
    if (n != sizeof y) {
        return error_set(err, RC_FORMAT, "an update of %zu bytes", n);
    }
    memcpy(y, update, sizeof y);
    for (size_t i = 0; i < WORDS; i++) {
        s->numbers[i] += y[i];
    }
    mask_set_add(&s->seen, site);
    return RC_OK;
}

enum rc center_merge(struct world *w, struct error *err)
{
    struct center *c = &w->center;
    const struct round_machine *m = c->machine;
    const struct unmasking *u = c->face[0].u;
    struct sum sum = {.of = unmasking_survivors(u)};
    bool contributed[SITES] = {false};
    uint32_t model[WORDS];
    size_t n;
    enum rc rc = registry_each_update(c->registry, &w->study_hash, m->round, add_update, &sum, err);
    if (rc != RC_OK) {
        return error_set(err, RC_IO, "cannot read the updates");
    }
    const struct mask_stream *stream = unmasking_streams(u, &n);
    mask_apply(sum.numbers, WORDS, 0, stream, n);
    tracker_opened(w, m->round, unmasking_survivors(u), sum.numbers);
    const struct mask_set who = contributors(m);
    for (size_t i = 0; i < m->n_sites; i++) {
        contributed[i] = mask_set_has(&who, i);
    }
    for (size_t i = 0; i < WORDS; i++) {
        model[i] = c->model[i] + sum.numbers[i];
    }
    disk_before(w, CENTER);
    rc = registry_commit_round(c->registry, &w->study_hash, m->round, model, sizeof model, NULL, 0,
                               contributed, m->n_sites, w->now_ms, err);
    rc = center_kept(w, rc, "model and outcome", err);
    if (rc != RC_OK) {
        return rc;
    }
    memcpy(c->model, model, sizeof model);
    c->model_hash = hash_of(model, sizeof model);
    return do_later(w, (struct letter){.kind = MERGED, .to = CENTER, .life = c->life}, 2, err);
}
