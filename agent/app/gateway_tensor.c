/* Tensors on their way through the gateway. Both directions are the same two machines back to back:
 * what comes in is spooled, a model to a file of the gateway's own and an update in memory, then served. Who gets
 * the whole verifies it, trainer or coordinator; only when they ask for all of it again is it hashed here. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <dirent.h>

#include "agent/app/gateway_internal.h"
#include "common/base/clock.h"
#include "common/base/log.h"

enum { ANNOUNCE_MS = 5000, PAIR_BUSY_BYTES = 2 << 20 };

static bool is(const struct wire_tensor *t, const struct hash *h)
{
    return t->bytes > 0 && hash_equal(&t->hash, h);
}

/* Leftovers of earlier lives: anything of this kind but `keep`. */
static void sweep_spool(const struct gateway *g, const char *what, const char *keep)
{
    char folder[SITE_PATH_MAX];
    struct error ignored = {0};
    DIR *d = site_path(g->p->folder, "gateway", folder, &ignored) == RC_OK ? opendir(folder) : NULL;
    if (d == NULL) {
        return;
    }
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        const size_t n = strlen(what);
        if (strncmp(e->d_name, what, n) == 0 && e->d_name[n] == '-' &&
            strcmp(e->d_name, keep) != 0) {
            (void)unlinkat(dirfd(d), e->d_name, 0);
        }
    }
    (void)closedir(d);
}

/* The spool files are named by content: what a restart finds is resumed or is of no use. */
static enum rc spool_path(const struct gateway *g, const char *what, const struct hash *h,
                          char path[SITE_PATH_MAX], struct error *err)
{
    char hex[HASH_HEX];
    char file[48];
    char name[64];
    hash_hex(h, hex);
    (void)snprintf(file, sizeof file, "%s-%.16s", what, hex);
    (void)snprintf(name, sizeof name, "gateway/%s", file);
    sweep_spool(g, what, file);
    return site_path(g->p->folder, name, path, err);
}

void tensor_begin(struct gateway *g)
{
    sweep_spool(g, "update", "");
}

/* ---- model: coordinator -> trainer ----------------------------------------------------------- */

static void close_model(struct gateway *g)
{
    if (g->model.in.complete) {
        g->model.link_is_good = transfer_in_went_well(&g->model.in);
    }
    transfer_in_close(&g->model.in, false);
    g->model.out = (struct transfer_out){0};
}

/* All of it was handed on, and is asked for from the beginning: perhaps it was not what it should be. */
static void doubt(struct gateway *g, struct transfer_in *in, const struct transfer_out *out,
                  const struct wire_message *credit)
{
    struct error fault = {0};
    if (!credit->resume || credit->first > 0 || out->next < out->chunks || !in->complete) {
        return;
    }
    const enum rc rc = transfer_in_doubt(in, clock_monotonic_ms(), &fault);
    if (rc != RC_OK) {
        refusals_note(&g->refusals, REFUSED_CHUNK, fault.text);
    }
}

void tensor_want_model(struct gateway *g, const struct wire_tensor *tensor)
{
    if (!is(&g->model.wanted, &tensor->hash)) {
        close_model(g);
    }
    g->model.wanted = *tensor;
}

void tensor_forget_model(struct gateway *g)
{
    close_model(g);
    g->model.wanted = (struct wire_tensor){0};
}

/* What arrives at once over a good link needs no file: cut, no more goes again than was on its way. */
static enum rc open_model(struct gateway *g, struct error *err)
{
    struct gateway_model *model = &g->model;
    const uint64_t bytes = model->wanted.bytes;
    const bool at_once = model->link_is_good && bytes <= (uint64_t)TRANSFER_WINDOW * TRANSFER_CHUNK;
    char path[SITE_PATH_MAX];
    enum rc rc = at_once ? RC_OK : spool_path(g, "model", &model->wanted.hash, path, err);
    if (rc == RC_OK) {
        rc = transfer_in_open(&model->in, at_once ? NULL : path, &model->wanted.hash, bytes,
                              clock_monotonic_ms(), err);
    }
    if (rc == RC_OK && model->link_is_good) {
        transfer_in_wide(&model->in);
    }
    return rc;
}

enum rc tensor_credit_from_trainer(struct gateway *g, const struct wire_message *m,
                                   struct error *err)
{
    struct gateway_model *model = &g->model;
    if (!is(&model->wanted, &m->tensor.hash)) {
        return RC_OK; /* of a round that we have left */
    }
    if (!model->in.open) {
        const enum rc rc = open_model(g, err);
        if (rc != RC_OK) {
            return rc;
        }
        transfer_in_hand_on(&model->in);
        transfer_out_init(&model->out, &model->wanted.hash, model->wanted.bytes);
        transfer_hashes_of(&model->chunks, &model->wanted.hash, model->wanted.bytes);
    }
    doubt(g, &model->in, &model->out, m);
    transfer_out_together(&model->out, m->together);
    return transfer_out_credit(&model->out, m->first, m->until, m->resume, err);
}

/* A full disk is waited out: the transfer asks again after its stall. */
static enum rc take_chunk(struct gateway *g, struct transfer_in *in, struct transfer_hashes *chunks,
                          const struct wire_message *m, const void *raw, size_t raw_n,
                          struct error *err)
{
    struct error fault = {0};
    const enum rc rc = transfer_in_chunk(in, m->first, raw, raw_n, clock_monotonic_ms(), &fault);
    if (rc == RC_OK) {
        transfer_hashes_keep(chunks, &in->hash, m->first, raw_n, &m->raw);
    }
    if (rc == RC_IO) {
        log_event(LOG_LEVEL_ERROR, "spool_full", "reason=\"%s\"", fault.text);
        return RC_OK;
    }
    if (rc == RC_FORMAT) {
        refusals_note(&g->refusals, REFUSED_CHUNK, fault.text);
        return RC_OK;
    }
    if (rc == RC_STATE) {
        refusals_note(&g->refusals, REFUSED_LATE_CHUNK, fault.text);
        return RC_OK;
    }
    return rc == RC_OK ? RC_OK : error_set(err, rc, "%s", fault.text);
}

enum rc tensor_chunk_from_coordinator(struct gateway *g, const struct wire_message *m,
                                      const void *raw, size_t raw_n, struct error *err)
{
    if (!g->model.in.open || !hash_equal(&m->tensor.hash, &g->model.in.hash)) {
        refusals_note(&g->refusals, REFUSED_LATE_CHUNK, "of a model that is not being fetched");
        return RC_OK;
    }
    return take_chunk(g, &g->model.in, &g->model.chunks, m, raw, raw_n, err);
}

/* A chunk of ours to be handed on. What came in a former life was not hashed by this one. */
static enum rc chunk_of(struct wire_message *out, const struct wire_tensor *tensor,
                        const struct transfer_hashes *chunks, uint64_t index, const void *bytes,
                        size_t n, struct error *err)
{
    const struct hash *known = transfer_hashes_find(chunks, &tensor->hash, index, n);
    *out = (struct wire_message){.kind = WIRE_CHUNK, .tensor = *tensor, .first = index};
    if (known == NULL) {
        return wire_set_raw(out, bytes, n, err);
    }
    out->raw = *known;
    out->raw_bytes = n;
    return RC_OK;
}

static enum rc serve_trainer(struct gateway *g, struct error *err)
{
    struct gateway_model *model = &g->model;
    enum rc rc = RC_OK;
    if (!model->in.open || !model->in.complete) {
        return RC_OK;
    }
    const void *whole = NULL;
    size_t whole_n = 0;
    uint64_t index = 0;
    uint64_t offset = 0;
    size_t n = 0;
    if (transfer_out_next(&model->out, &index, &offset, &n)) {
        rc = transfer_in_map(&model->in, &whole, &whole_n, err);
    }
    while (rc == RC_OK && pair_queued(g->pair) < PAIR_BUSY_BYTES &&
           transfer_out_next(&model->out, &index, &offset, &n)) {
        const unsigned char *bytes = (const unsigned char *)whole + offset;
        rc = chunk_of(&g->out, &model->wanted, &model->chunks, index, bytes, n, err);
        if (rc == RC_OK) {
            rc = pair_send_named(g->pair, &g->out, bytes, err);
        }
        transfer_out_sent(&model->out);
    }
    return rc;
}

/* ---- update: trainer -> coordinator ---------------------------------------------------------- */

void tensor_settle_update(struct gateway *g)
{
    if (g->update.sent) {
        log_event(LOG_LEVEL_INFO, "update_delivered",
                  "round=%llu chunks=%llu sent=%llu most_for_one=%llu",
                  (unsigned long long)g->update.round, (unsigned long long)g->update.out.chunks,
                  (unsigned long long)g->update.out.sent, (unsigned long long)g->update.out.most);
    }
    transfer_in_close(&g->update.in, false);
    const struct transfer_hashes chunks = g->update.chunks; /* its memory serves the next one */
    g->update = (struct gateway_update){.in = {.fd = -1}, .chunks = chunks};
}

void tensor_new_update(struct gateway *g, const struct wire_message *m)
{
    if (g->update.round == m->round && is(&g->update.tensor, &m->tensor.hash)) {
        return;
    }
    tensor_settle_update(g);
    g->update.round = m->round;
    g->update.tensor = m->tensor;
    g->update.anchor = m->anchor;
}

enum rc tensor_send_update(struct gateway *g, struct error *err)
{
    struct gateway_update *u = &g->update;
    if (u->round != g->session.round) {
        return error_set(err, RC_STATE, "the trainer named no update for round %llu",
                         (unsigned long long)g->session.round);
    }
    u->sending = true;
    u->sent = false;
    u->announce_due_ms = 0;
    if (u->in.open) {
        return RC_OK;
    }
    const enum rc rc =
        transfer_in_open(&u->in, NULL, &u->tensor.hash, u->tensor.bytes, clock_monotonic_ms(), err);
    if (rc == RC_OK) {
        transfer_in_hand_on(&u->in);
        transfer_in_near(&u->in);
        transfer_out_init(&u->out, &u->tensor.hash, u->tensor.bytes);
        transfer_hashes_of(&u->chunks, &u->tensor.hash, u->tensor.bytes);
    }
    return rc;
}

enum rc tensor_chunk_from_trainer(struct gateway *g, const struct wire_message *m, const void *raw,
                                  size_t raw_n, struct error *err)
{
    if (!g->update.in.open || !hash_equal(&m->tensor.hash, &g->update.in.hash)) {
        return RC_OK;
    }
    return take_chunk(g, &g->update.in, &g->update.chunks, m, raw, raw_n, err);
}

enum rc tensor_credit_from_coordinator(struct gateway *g, const struct wire_message *m,
                                       struct error *err)
{
    struct error fault = {0};
    if (!g->update.in.open || !g->update.in.complete || !is(&g->update.tensor, &m->tensor.hash)) {
        refusals_note(&g->refusals, REFUSED_LATE_CREDIT, "for an update that is not on offer");
        return RC_OK; /* it was settled meanwhile */
    }
    (void)err;
    doubt(g, &g->update.in, &g->update.out, m);
    transfer_out_together(&g->update.out, m->together);
    if (transfer_out_credit(&g->update.out, m->first, m->until, m->resume, &fault) != RC_OK) {
        refusals_note(&g->refusals, REFUSED_CREDIT, fault.text);
    }
    g->update.announce_due_ms = clock_monotonic_ms() + ANNOUNCE_MS;
    return RC_OK;
}

static enum rc announce(struct gateway *g, int64_t now_ms, struct error *err)
{
    bool sent = false;
    if (!g->update.sending || now_ms < g->update.announce_due_ms) {
        return RC_OK;
    }
    g->update.announce_due_ms = now_ms + ANNOUNCE_MS;
    g->out = (struct wire_message){.kind = WIRE_UPDATE,
                                   .study = g->study,
                                   .round = g->update.round,
                                   .tensor = g->update.tensor,
                                   .anchor = g->update.anchor};
    return gateway_say(g, &g->out, NULL, 0, &sent, err);
}

static enum rc serve_coordinator(struct gateway *g, struct error *err)
{
    struct gateway_update *u = &g->update;
    enum rc rc = RC_OK;
    if (!u->in.open || !u->in.complete) {
        return RC_OK;
    }
    const void *whole = NULL;
    size_t whole_n = 0;
    rc = transfer_in_map(&u->in, &whole, &whole_n, err);
    const int64_t now = clock_monotonic_ms();
    if (rc == RC_OK) {
        rc = announce(g, now, err);
    }
    uint64_t index = 0;
    uint64_t offset = 0;
    size_t n = 0;
    bool sent = true;
    while (rc == RC_OK && sent && u->sending && transfer_out_next(&u->out, &index, &offset, &n)) {
        const unsigned char *bytes = (const unsigned char *)whole + offset;
        sent = false;
        rc = chunk_of(&g->out, &u->tensor, &u->chunks, index, bytes, n, err);
        if (rc == RC_OK) {
            rc = gateway_say_named(g, &g->out, bytes, &sent, err);
        }
        if (sent) {
            transfer_out_sent(&u->out);
            u->announce_due_ms = now + ANNOUNCE_MS;
        }
    }
    const bool all = u->out.next == u->out.chunks && u->out.chunks > 0;
    if (rc == RC_OK && all && u->sending && !u->sent) {
        u->sent = true;
        rc = session_sent(g, err);
    }
    return rc;
}

/* ---- both ------------------------------------------------------------------------------------ */

static enum rc ask(struct gateway *g, struct transfer_in *in, bool trainer, struct error *err)
{
    g->out = (struct wire_message){.kind = WIRE_CREDIT,
                                   .tensor = {.hash = in->hash, .bytes = in->bytes}};
    if (!in->open || !transfer_in_credit(in, clock_monotonic_ms(), &g->out.first, &g->out.until,
                                         &g->out.resume)) {
        return RC_OK;
    }
    g->out.together = in->together > 1 ? in->together : 0;
    bool sent = false;
    return trainer ? pair_send(g->pair, &g->out, NULL, 0, err)
                   : gateway_say(g, &g->out, NULL, 0, &sent, err);
}

enum rc tensor_pump(struct gateway *g, struct error *err)
{
    enum rc rc = ask(g, &g->model.in, false, err);
    if (rc == RC_OK) {
        rc = ask(g, &g->update.in, true, err);
    }
    if (rc == RC_OK) {
        rc = serve_trainer(g, err);
    }
    return rc == RC_OK ? serve_coordinator(g, err) : rc;
}

void tensor_reconnected(struct gateway *g, int64_t now_ms)
{
    g->model.link_is_good = false;
    if (g->model.in.open && !g->model.in.complete) {
        transfer_in_again(&g->model.in, now_ms);
    }
    g->update.announce_due_ms = 0;
}

int64_t tensor_due_ms(const struct gateway *g)
{
    int64_t due = INT64_MAX;
    if (g->model.in.open && !g->model.in.complete) {
        due = g->model.in.due_ms;
    }
    if (g->update.in.open && !g->update.in.complete && g->update.in.due_ms < due) {
        due = g->update.in.due_ms;
    }
    if (g->update.sending && g->update.in.open && g->update.in.complete &&
        g->update.announce_due_ms < due) {
        due = g->update.announce_due_ms;
    }
    return due;
}

void tensor_release(struct gateway *g)
{
    transfer_in_close(&g->model.in, true); /* kept: a later life resumes it */
    transfer_in_close(&g->update.in, true);
    transfer_hashes_release(&g->model.chunks);
    transfer_hashes_release(&g->update.chunks);
}
