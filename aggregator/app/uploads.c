/* Updates on their way in. A site says what it has (UPDATE: hash and size); we fetch it in chunks into
 * a file of ours,
 *
 *   spool/<study>-<round>-<site>-<first 16 digits of the hash>
 *
 * and only when it is whole and its hash is right does the machine hear of it (settling.c). So half an update
 * never enters a sum, and a restart goes on where it was. Of a site whose last update came without a halt one that
 * such a link carries in two seconds is kept in memory, where there is room for it: a restart costs no more than that
 * again. Where others make room it waits for them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dirfd, unlinkat */
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>

#include "aggregator/app/coordinator_internal.h"
#include "common/base/log.h"
#include "common/update/update.h"

enum {
    AT_ONCE_BYTES = TRANSFER_WINDOW * TRANSFER_CHUNK, /* a message: room for it is always there */
    IN_MEMORY_BYTES = 2000 / TRANSFER_SLOW_MS * TRANSFER_CHUNK,
    ROOM_WAIT_MS = 500 /* without room for anybody: then it is a file */
};

/* ---- the spool folder ------------------------------------------------------------------------ */

static enum rc spool_path(const struct coordinator *c, size_t site, const struct upload *u,
                          char out[FOLDER_PATH_MAX], struct error *err)
{
    char hex[HASH_HEX];
    char name[FOLDER_PATH_MAX];
    hash_hex(&u->tensor.hash, hex);
    (void)snprintf(name, sizeof name, "spool/%s-%" PRIu64 "-%s-%.16s", study_of(c)->name, u->round,
                   site_name(c, site), hex);
    return folder_path(c->folder.path, name, out, err);
}

/* What is left of rounds that are over, or of other studies. */
enum rc uploads_open(struct coordinator *c, struct error *err)
{
    char path[FOLDER_PATH_MAX];
    char present[STUDY_NAME_MAX + 32];
    const struct upload last = {.round = study_rounds_most(study_of(c))};
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < c->n_sites; i++) { /* now, not when an update is lost */
        rc = spool_path(c, i, &last, path, err);
    }
    if (rc == RC_OK) {
        rc = folder_path(c->folder.path, "spool", path, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return error_set(err, RC_IO, "cannot make '%s': %s", path, strerror(errno));
    }
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return error_set(err, RC_IO, "cannot read '%s': %s", path, strerror(errno));
    }
    const int n =
        snprintf(present, sizeof present, "%s-%" PRIu64 "-", study_of(c)->name, c->machine.round);
    for (const struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        const bool dots = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        if (!dots && strncmp(e->d_name, present, (size_t)n) != 0) {
            (void)unlinkat(dirfd(folder), e->d_name, 0);
        }
    }
    (void)closedir(folder);
    return RC_OK;
}

/* ---- one upload ------------------------------------------------------------------------------ */

void uploads_drop(struct coordinator *c, size_t site, bool keep)
{
    struct upload *u = &c->site[site].upload;
    if (u->state == UPLOAD_QUEUED && !keep) { /* perhaps it was parked, with chunks in its file */
        char path[FOLDER_PATH_MAX];
        struct error err = {0};
        if (spool_path(c, site, u, path, &err) == RC_OK) {
            (void)unlink(path);
        }
    }
    if (u->in.memory != NULL) {
        c->room_ms = c->now_ms;
    }
    transfer_in_close(&u->in, keep);
    *u = (struct upload){.state = UPLOAD_NONE};
}

void uploads_drop_all(struct coordinator *c, bool keep)
{
    for (size_t i = 0; i < c->n_sites; i++) {
        if (c->site[i].upload.state != UPLOAD_NONE) {
            uploads_drop(c, i, keep);
        }
    }
}

/* Larger than a message, and to be had without a file? */
static bool likes_memory(const struct coordinator *c, size_t site)
{
    const uint64_t bytes = c->site[site].upload.tensor.bytes;
    return c->site[site].link_is_good && bytes > AT_ONCE_BYTES && bytes <= IN_MEMORY_BYTES;
}

/* What those take that are in memory. */
static uint64_t in_memory(const struct coordinator *c)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < c->n_sites; i++) {
        const struct upload *u = &c->site[i].upload;
        const bool there = u->state == UPLOAD_RUNNING || u->state == UPLOAD_ARRIVED;
        if (there && u->in.memory != NULL && u->tensor.bytes > AT_ONCE_BYTES) {
            bytes += u->tensor.bytes;
        }
    }
    return bytes;
}

static bool has_room(const struct coordinator *c, size_t site, uint64_t taken)
{
    return taken + c->site[site].upload.tensor.bytes <= UPLOADS_MEMORY;
}

/* Until then; on links that are not much faster than good the files are. */
static int64_t waits_until(const struct coordinator *c, size_t site)
{
    const int64_t queued_ms = c->site[site].upload.moved_ms;
    return (queued_ms > c->room_ms ? queued_ms : c->room_ms) + ROOM_WAIT_MS;
}

static bool waits_for_room(const struct coordinator *c, size_t site, uint64_t taken)
{
    return c->site[site].upload.state == UPLOAD_QUEUED && likes_memory(c, site) &&
           !has_room(c, site, taken) && c->now_ms < waits_until(c, site);
}

bool uploads_wait_for_room(const struct coordinator *c)
{
    const uint64_t taken = in_memory(c);
    bool any = false;
    for (size_t i = 0; !any && i < c->n_sites; i++) {
        any = waits_for_room(c, i, taken);
    }
    return any;
}

static void begin(struct coordinator *c, size_t site)
{
    struct upload *u = &c->site[site].upload;
    char path[FOLDER_PATH_MAX];
    struct error fault = {0};

    const bool at_once = c->site[site].link_is_good && u->tensor.bytes <= AT_ONCE_BYTES;
    const bool memory = at_once || (likes_memory(c, site) && has_room(c, site, in_memory(c)));
    enum rc rc = spool_path(c, site, u, path, &fault);
    if (rc == RC_OK) {
        rc = transfer_in_open(&u->in, memory ? NULL : path, &u->tensor.hash, u->tensor.bytes,
                              c->now_ms, &fault);
    }
    if (rc !=
        RC_OK) { /* the disk's fault or ours: the site offers it again, the deadline decides */
        log_event(LOG_LEVEL_ERROR, "upload_not_begun", "site=%s round=%" PRIu64 " reason=\"%s\"",
                  site_name(c, site), u->round, fault.text);
        *u = (struct upload){.state = UPLOAD_NONE};
        return;
    }
    if (c->site[site].link_is_good) {
        transfer_in_wide(&u->in);
    }
    u->state = UPLOAD_RUNNING;
    u->moved_ms = c->now_ms;
    if (u->in.complete) {
        u->state = UPLOAD_ARRIVED;
        u->arrived_ms = c->now_ms;
    }
}

/* ---- messages -------------------------------------------------------------------------------- */

bool uploads_wanted(const struct coordinator *c, size_t site, uint64_t round)
{
    const struct round_machine *m = &c->machine;
    return m->state == ROUND_OPEN && round == m->round && m->member[site] == ROUND_ACCEPTED &&
           m->part[site] == ROUND_WAITED_FOR && (!masked_is(c) || masked_wants_update(c, site));
}

static bool right_size(struct coordinator *c, size_t site, const struct wire_message *m)
{
    const size_t want = update_bytes(c->model.table.S);
    if (m->tensor.bytes == want) {
        return true;
    }
    char why[REASON_MAX];
    (void)snprintf(why, sizeof why, "an update of %" PRIu64 " bytes, this study's have %zu",
                   m->tensor.bytes, want);
    refuse(c, REFUSED_SIZE, site_name(c, site), why);
    return false;
}

/* Its part stands. The same bytes again are harmless and acknowledged again; others are refused. */
static enum rc offered_again(struct coordinator *c, size_t site, const struct wire_message *m,
                             struct error *err)
{
    const struct round_machine *r = &c->machine;
    const struct site *s = &c->site[site];
    const struct said said = {.event = ROUND_GOT_UPDATE, .site = site, .round = m->round};
    const bool ours = r->round == m->round && r->part[site] == ROUND_CONTRIBUTED &&
                      (r->state == ROUND_OPEN || r->state == ROUND_MERGING);
    if (ours && (!s->has_kept || !hash_equal(&s->kept, &m->tensor.hash))) {
        refuse(c, REFUSED_OTHER, site_name(c, site), "another update for this round is kept");
        return RC_OK;
    }
    return coordinator_step(c, &said, err);
}

enum rc uploads_offer(struct coordinator *c, size_t site, const struct wire_message *m,
                      struct error *err)
{
    struct upload *u = &c->site[site].upload;
    if (!uploads_wanted(c, site, m->round)) {
        return offered_again(c, site, m, err);
    }
    if (!right_size(c, site, m)) {
        return RC_OK;
    }
    if (u->state != UPLOAD_NONE && u->round == m->round &&
        hash_equal(&u->tensor.hash, &m->tensor.hash)) {
        transfer_in_again(&u->in, c->now_ms);
        return RC_OK;
    }
    uploads_drop(c, site, false); /* at most one a site, so a site fills no disk */
    *u = (struct upload){.state = UPLOAD_QUEUED,
                         .ticket = ++c->tickets,
                         .round = m->round,
                         .tensor = m->tensor,
                         .anchor = m->anchor,
                         .moved_ms = c->now_ms};
    c->live_due = true;
    return RC_OK;
}

void uploads_chunk(struct coordinator *c, size_t site, const struct wire_message *m,
                   const void *raw, size_t raw_n)
{
    struct upload *u = &c->site[site].upload;
    struct error fault = {0};
    if (u->state != UPLOAD_RUNNING || !hash_equal(&u->tensor.hash, &m->tensor.hash)) {
        c->refusals.late_chunks++; /* of a transfer that is over */
        return;
    }
    const enum rc rc =
        transfer_in_chunk_hashed(&u->in, m->first, raw, raw_n, &c->leaves, c->now_ms, &fault);
    if (rc == RC_STATE) {
        c->refusals.late_chunks++;
        return;
    }
    if (rc == RC_FORMAT) {
        refuse(c, REFUSED_CHUNK, site_name(c, site), fault.text);
        return;
    }
    if (rc != RC_OK) { /* asked for again after the stall: people may make room meanwhile */
        log_event(LOG_LEVEL_ERROR, "chunk_not_written", "site=%s reason=\"%s\"", site_name(c, site),
                  fault.text);
        return;
    }
    c->live_due = true;
    u->moved_ms = c->now_ms;
    if (u->in.complete) {
        c->site[site].link_is_good = transfer_in_went_well(&u->in);
        u->state = UPLOAD_ARRIVED;
        u->arrived_ms = c->now_ms;
    }
}

/* ---- pump ------------------------------------------------------------------------------------ */

static size_t running(const struct coordinator *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_sites; i++) {
        n += c->site[i].upload.state == UPLOAD_RUNNING;
    }
    return n;
}

/* Who has waited longest of those who need not wait for room, or n_sites. */
static size_t next_in_queue(const struct coordinator *c)
{
    const uint64_t taken = in_memory(c);
    size_t next = c->n_sites;
    for (size_t i = 0; i < c->n_sites; i++) {
        const struct upload *u = &c->site[i].upload;
        if (u->state == UPLOAD_QUEUED &&
            (next == c->n_sites || u->ticket < c->site[next].upload.ticket) &&
            !waits_for_room(c, i, taken)) {
            next = i;
        }
    }
    return next;
}

/* A site that froze in the middle must not hold a place that another waits for. What it has sent
 * stays in its file. */
static void park_frozen(struct coordinator *c)
{
    for (size_t i = 0; i < c->n_sites; i++) {
        struct upload *u = &c->site[i].upload;
        if (u->state != UPLOAD_RUNNING) {
            continue;
        }
        if (c->now_ms - u->moved_ms >= UPLOAD_FROZEN_MS) {
            transfer_in_close(&u->in, true);
            c->site[i].link_is_good = false;
            u->state = UPLOAD_QUEUED;
            u->ticket = ++c->tickets;
        }
    }
}

static void fill_places(struct coordinator *c)
{
    size_t next = next_in_queue(c);
    if (next < c->n_sites && running(c) >= UPLOADS_AT_ONCE) {
        park_frozen(c);
    }
    /* Each pass takes one out of the queue: it runs, has arrived, or is given up. */
    while (next < c->n_sites && running(c) < UPLOADS_AT_ONCE) {
        begin(c, next);
        next = next_in_queue(c);
    }
}

enum rc uploads_pump(struct coordinator *c, int64_t *due_ms, struct error *err)
{
    enum rc rc = RC_OK;
    fill_places(c);
    const uint64_t taken = in_memory(c);
    for (size_t i = 0; rc == RC_OK && i < c->n_sites; i++) {
        struct upload *u = &c->site[i].upload;
        struct wire_message m = {.kind = WIRE_CREDIT, .tensor = u->tensor};
        if (u->state == UPLOAD_ARRIVED && u->arrived_ms == c->now_ms) { /* a former life's file */
            *due_ms = c->now_ms;
        }
        if (waits_for_room(c, i, taken)) {
            *due_ms = waits_until(c, i) < *due_ms ? waits_until(c, i) : *due_ms;
        }
        if (u->state != UPLOAD_RUNNING) {
            continue;
        }
        if (transfer_in_credit(&u->in, c->now_ms, &m.first, &m.until, &m.resume)) {
            m.together = u->in.together > 1 ? u->in.together : 0;
            rc = answer_send(c, i, &m, NULL, 0, NULL, err);
        }
        *due_ms = u->in.due_ms < *due_ms ? u->in.due_ms : *due_ms;
    }
    return rc;
}
