/* The round in hand: its model comes in, it is trained on, committed, and its update goes out. The
 * update that goes out is always what the ledger holds: a copy, or compared with it byte by byte. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/app/screen.h"
#include "agent/app/trainer_internal.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/broadcast/broadcast.h"
#include "common/checkpoint/checkpoint.h"

enum { PULSE_MS = 1000, PAIR_BUSY_BYTES = 2 << 20, RECEIPT_MS = 500 };

static const struct hash *study_of(const struct trainer *t)
{
    return &t->study.agreement.study_hash;
}

static enum rc say(struct trainer *t, enum wire_kind kind, uint64_t round, const char *text,
                   struct error *err)
{
    struct wire_message m = {.kind = kind, .study = *study_of(t), .round = round};
    wire_set_text(&m, text);
    return trainer_say(t, &m, NULL, 0, err);
}

static void forget_model(struct trainer *t)
{
    transfer_in_close(&t->round.model_in, false);
    t->round.wanted = 0;
}

static void forget_result(struct trainer *t)
{
    train_result_release(&t->round.result);
    t->round.has_result = false;
    t->round.waits = false;
    t->round.masked = false;
}

static void forget_update(struct trainer *t)
{
    if (t->update.bytes != NULL) {
        hash_wipe(t->update.bytes, t->update.n);
        free(t->update.bytes);
    }
    t->update = (struct trainer_update){0};
}

void round_release(struct trainer *t)
{
    forget_model(t);
    forget_result(t);
    forget_update(t);
    transfer_in_close(&t->final.in, false);
    t->final.wanted = false;
}

/* Every TRAIN gets one answer, so that the gateway can tell which request an answer is to. */
static enum rc answer_cancelled(struct trainer *t, uint64_t round, struct error *err)
{
    return say(t, WIRE_CANNOT, round, "cancelled", err);
}

enum rc round_cancel(struct trainer *t, uint64_t round, struct error *err)
{
    bool answer = false;
    if (t->round.has_result && t->round.result_round == round) {
        answer = t->round.waits;
        forget_result(t);
    }
    if (t->round.wanted == round && round != 0) {
        answer = true;
        forget_model(t);
    }
    return answer ? answer_cancelled(t, round, err) : RC_OK;
}

/* ---- masked rounds --------------------------------------------------------------------------- */

enum rc round_give_up(struct trainer *t, uint64_t round, const char *why, struct error *err)
{
    if (t->round.running == round && round != 0) { /* train_on answers */
        t->round.cancelled = true;
        (void)snprintf(t->round.given_up, sizeof t->round.given_up, "%s", why);
        return RC_OK;
    }
    const bool waits = t->round.waits && t->round.result_round == round;
    if (waits) {
        forget_result(t);
    } else if (t->round.wanted == round && round != 0) {
        forget_model(t);
    } else {
        return RC_OK;
    }
    return say(t, WIRE_CANNOT, round, why, err);
}

static enum rc mask_result(struct trainer *t, struct error *err)
{
    const uint64_t round = t->round.result_round;
    const size_t n = t->study.model.table.S;
    struct error why = {0};
    assert(t->round.result.update_bytes == 4 * n);
    t->round.waits = false;
    if (masking_mask(t->masking, round, t->round.result.update, n, &why) != RC_OK) {
        forget_result(t);
        return say(t, WIRE_CANNOT, round, why.text, err);
    }
    t->round.masked = true;
    return say(t, WIRE_TRAINED, round, "", err);
}

enum rc round_can_mask(struct trainer *t, struct error *err)
{
    return t->round.waits && masking_is_ready(t, t->round.result_round) ? mask_result(t, err)
                                                                        : RC_OK;
}

/* Trained. A masked round's update is told when it is masked, so that nothing else can be committed. */
static enum rc trained(struct trainer *t, uint64_t round, struct error *err)
{
    if (!masking_wanted(t)) {
        return say(t, WIRE_TRAINED, round, "", err);
    }
    t->round.waits = true;
    const enum masking_state state = masking_state(t->masking);
    if (masking_round(t->masking) == round &&
        (state == MASKING_ANNOUNCED || state == MASKING_DEALT)) {
        return RC_OK; /* round_can_mask, round_give_up, or it is cancelled */
    }
    return mask_result(t, err);
}

/* ---- the update, as the ledger holds it ------------------------------------------------------ */

/* With its anchor. `t->update.bytes` are those of the ledger. */
static enum rc offer(struct trainer *t, enum wire_kind kind, uint64_t round, const struct hash *h,
                     size_t n, struct error *err)
{
    bool found = false;
    transfer_out_init(&t->update.out, h, n);
    struct wire_message m = {
        .kind = kind, .study = *study_of(t), .round = round, .tensor = {.hash = *h, .bytes = n}};
    const enum rc rc = ledger_anchor(t->ledger, study_of(t), round, &found, &m.anchor, err);
    return rc == RC_OK ? trainer_say(t, &m, NULL, 0, err) : rc;
}

/* What was just spent: the trained bytes themselves, once the ledger was seen to hold these. */
static enum rc offer_spent(struct trainer *t, uint64_t round, struct error *err)
{
    struct train_result *r = &t->round.result;
    const size_t n = r->update_bytes;
    struct hash h = {{0}};
    enum rc rc = ledger_stored_as(t->ledger, study_of(t), round, r->update, n, &h, err);
    if (rc != RC_OK) {
        return rc;
    }
    forget_update(t);
    t->update.bytes = r->update;
    t->update.n = n;
    r->update = NULL;
    return offer(t, WIRE_COMMITTED, round, &h, n, err);
}

/* Copies it out, so that serving chunks does not read it anew for each. *found as in the ledger. */
static enum rc offer_stored(struct trainer *t, enum wire_kind kind, uint64_t round, bool *found,
                            struct error *err)
{
    const void *bytes = NULL;
    struct hash h = {{0}};
    size_t n = 0;
    enum rc rc = ledger_stored_hashed(t->ledger, study_of(t), round, found, &bytes, &n, &h, err);
    if (rc != RC_OK || !*found) {
        return rc;
    }
    forget_update(t);
    t->update.bytes = malloc(n);
    if (t->update.bytes == NULL) {
        return error_set(err, RC_NOMEM, "no memory for an update of %zu bytes", n);
    }
    memcpy(t->update.bytes, bytes, n);
    t->update.n = n;
    return offer(t, kind, round, &h, n, err);
}

enum rc round_credit(struct trainer *t, const struct wire_message *m, struct error *err)
{
    if (t->update.bytes == NULL || !hash_equal(&m->tensor.hash, &t->update.out.hash)) {
        return RC_OK; /* of an update that was settled meanwhile */
    }
    transfer_out_together(&t->update.out, m->together);
    return transfer_out_credit(&t->update.out, m->first, m->until, m->resume, err);
}

/* All of it in one message has the hash that the ledger's row has, and is not hashed again. */
static enum rc say_chunk(struct trainer *t, uint64_t index, uint64_t offset, size_t n,
                         struct error *err)
{
    const struct transfer_out *out = &t->update.out;
    const unsigned char *bytes = t->update.bytes + offset;
    struct wire_message m = {.kind = WIRE_CHUNK,
                             .tensor = {.hash = out->hash, .bytes = out->bytes},
                             .first = index};
    if (n < out->bytes) {
        return trainer_say(t, &m, bytes, n, err);
    }
    m.raw = out->hash;
    m.raw_bytes = n;
    return pair_send_named(t->pair, &m, bytes, err);
}

static enum rc serve_update(struct trainer *t, struct error *err)
{
    enum rc rc = RC_OK;
    uint64_t index = 0;
    uint64_t offset = 0;
    size_t n = 0;
    while (rc == RC_OK && t->update.bytes != NULL && pair_queued(t->pair) < PAIR_BUSY_BYTES &&
           transfer_out_next(&t->update.out, &index, &offset, &n)) {
        rc = say_chunk(t, index, offset, n, err);
        transfer_out_sent(&t->update.out);
    }
    return rc;
}

/* ---- training -------------------------------------------------------------------------------- */

enum rc round_train(struct trainer *t, const struct wire_message *m, struct error *err)
{
    bool found = false;
    if (!t->study.joined) {
        return say(t, WIRE_CANNOT, m->round, "the site has not joined this study", err);
    }
    enum rc rc = t->round.wanted != 0 ? answer_cancelled(t, t->round.wanted, err) : RC_OK;
    forget_model(t);
    if (rc == RC_OK && t->round.waits) {
        rc = answer_cancelled(t, t->round.result_round, err);
        forget_result(t);
    }
    if (rc == RC_OK) {
        rc = offer_stored(t, WIRE_STORED, m->round, &found, err);
    }
    if (rc != RC_OK || found) {
        return rc;
    }
    if (m->tensor.bytes != broadcast_bytes(&t->study.agreement.study, t->study.model.table.S)) {
        return say(t, WIRE_CANNOT, m->round, "the round's model has another size than the study's",
                   err);
    }
    forget_result(t);
    t->round.wanted = m->round;
    t->round.model = m->tensor;
    rc = transfer_in_open(&t->round.model_in, NULL, &m->tensor.hash, m->tensor.bytes,
                          clock_monotonic_ms(), err);
    if (rc == RC_OK) {
        transfer_in_near(&t->round.model_in);
    }
    return rc == RC_OK && masking_wanted(t) ? masking_opened(t, m->round, &m->tensor.hash, err)
                                            : rc;
}

/* Between two steps: news, and a sign of life that grows. */
static bool go_on(void *ctx, size_t step, size_t steps)
{
    struct trainer *t = ctx;
    const int64_t now = clock_monotonic_ms();
    enum rc rc = trainer_listen(t, &t->round.fault);
    if (rc == RC_OK && round_receipt_is_due(t, false)) {
        rc = round_keep_receipt(t, &t->round.fault);
    }
    if (rc == RC_OK && now >= t->pulse_due_ms) {
        t->pulse_due_ms = now + PULSE_MS;
        struct wire_message m = {.kind = WIRE_PULSE,
                                 .study = *study_of(t),
                                 .round = t->round.running,
                                 .step = step,
                                 .steps = steps};
        rc = trainer_say(t, &m, NULL, 0, &t->round.fault);
        screen_progress("study %s: round %llu of %zu, step %zu of %zu",
                        t->study.agreement.study.name, (unsigned long long)t->round.running,
                        t->study.agreement.study.rounds, step, steps);
        t->round.cancelled = t->round.cancelled || study_is_withdrawn(t);
    }
    return rc == RC_OK && !t->round.cancelled;
}

static enum rc train_on(struct trainer *t, const real *global, struct error *err)
{
    const struct agreement *a = &t->study.agreement;
    if (!train_begins(&a->study, &t->study.model, t->round.wanted, global)) {
        log_event(LOG_LEVEL_ERROR, "first_model_refused", "study=%s", a->study.name);
        return say(t, WIRE_CANNOT, t->round.wanted, TRAIN_BEGINS_NOT, err);
    }
    uint64_t state_round = 0;
    const void *state = NULL;
    size_t state_n = 0;
    enum rc rc = ledger_site_state(t->ledger, &a->study_hash, &state_round, &state, &state_n, err);
    if (rc != RC_OK) {
        return rc;
    }
    const uint64_t round = t->round.wanted;
    const struct train_job job = {.study = &a->study,
                                  .model = &t->study.model,
                                  .data = t->data,
                                  .site = t->study.index,
                                  .round = round,
                                  .global = global,
                                  .site_state = state_round == 0 ? NULL : state,
                                  .site_state_bytes = state_n,
                                  .threads = t->site.threads,
                                  .go_on = go_on,
                                  .go_on_ctx = t};
    struct error failure = {0};
    forget_result(t);
    t->round.running = round;
    t->round.cancelled = false;
    t->round.given_up[0] = '\0';
    t->round.fault = (struct error){0};
    t->pulse_due_ms = 0; /* one at once: whoever watches sees each round */
    rc = train_round(&job, &t->entropy, &t->round.result, &failure);
    t->round.running = 0;
    if (t->round.fault.rc != RC_OK) {
        *err = t->round.fault;
        return err->rc;
    }
    if (rc == RC_STATE) { /* cancelled: the session knows, it asked for it */
        log_event(LOG_LEVEL_INFO, "training_cancelled", "round=%llu", (unsigned long long)round);
        rc = study_poll_consent(t, err); /* a withdrawal is said before what follows from it */
        const char *why = t->round.given_up[0] != '\0' ? t->round.given_up : "cancelled";
        return rc == RC_OK ? say(t, WIRE_CANNOT, round, why, err) : rc;
    }
    if (rc == RC_NUMERIC) { /* why stays here: it was read off numbers not accounted for */
        return say(t, WIRE_CANNOT, round, WIRE_DIVERGED, err);
    }
    if (rc != RC_OK) {
        return error_set(err, rc, "%s", failure.text);
    }
    t->round.has_result = true;
    t->round.result_round = round;
    t->round.result_model = t->round.model.hash;
    return trained(t, round, err);
}

/* Numbers in 16 bits become as many of ours. */
static enum rc train_on_sent(struct trainer *t, const void *sent, struct error *err)
{
    struct error why = {0};
    const size_t n = t->study.model.table.S;
    real *global = malloc(n * sizeof *global + 1);
    if (global == NULL) {
        return error_set(err, RC_NOMEM, "no memory for a model");
    }
    enum rc rc = broadcast_unpack(&t->study.agreement.study, sent, n, global, &why);
    rc = rc == RC_OK ? train_on(t, global, err)
                     : say(t, WIRE_CANNOT, t->round.wanted, why.text, err);
    free(global);
    return rc;
}

static enum rc train_now(struct trainer *t, struct error *err)
{
    const void *model = NULL;
    size_t n = 0;
    enum rc rc = transfer_in_map(&t->round.model_in, &model, &n, err);
    if (rc == RC_OK && t->study.agreement.study.broadcast == STUDY_FLOAT16) {
        rc = train_on_sent(t, model, err);
    } else if (rc == RC_OK) { /* a mapping of whole pages: aligned for any number */
        rc = train_on(t, (const real *)model, err);
    }
    forget_model(t);
    return rc;
}

/* ---- committing ------------------------------------------------------------------------------ */

enum rc round_commit(struct trainer *t, const struct wire_message *m, struct error *err)
{
    const struct study *study = &t->study.agreement.study;
    if (!t->round.has_result || t->round.result_round != m->round || t->round.waits) {
        return say(t, WIRE_NOT_COMMITTED, m->round, "nothing was trained for this round", err);
    }
    /* What is committed leaves. That of a masked study is readable by nobody, also not by ourselves. */
    assert(t->round.masked == masking_wanted(t));
    const struct ledger_spend spend = {
        .study = *study_of(t),
        .round = m->round,
        .mechanism = {.q = study->privacy.sample_rate,
                      .sigma = study->privacy.noise_multiplier,
                      .steps = study->local.steps},
        .clip = study->privacy.clip,
        .cohort = t->data->version,
        .model = t->round.result_model,
        .update = t->round.result.update,
        .update_bytes = t->round.result.update_bytes,
        .site_state = t->round.result.site_state,
        .site_state_bytes = t->round.result.site_state_bytes,
        .now_ms = clock_wall_ms(),
    };
    struct error failure = {0};
    enum rc rc = ledger_spend(t->ledger, &spend, &failure);
    if (rc == RC_LIMIT || rc == RC_STATE) {
        forget_result(t);
        log_event(LOG_LEVEL_WARN, "round_not_spent", "study=%s round=%llu reason=\"%s\"",
                  study->name, (unsigned long long)m->round, failure.text);
        return say(t, WIRE_NOT_COMMITTED, m->round, failure.text, err);
    }
    if (rc != RC_OK) { /* perhaps committed: a fresh start looks into the ledger */
        return error_set(err, rc, "%s", failure.text);
    }
    log_event(LOG_LEVEL_INFO, "round_spent", "study=%s round=%llu steps=%zu sigma=%g q=%g",
              study->name, (unsigned long long)m->round, study->local.steps,
              study->privacy.noise_multiplier, study->privacy.sample_rate);
    rc = offer_spent(t, m->round, err);
    forget_result(t);
    return rc;
}

/* ---- receipts -------------------------------------------------------------------------------- */

/* An ACK comes with what the round does next: survivors to sign, or the next round. The disk is waited for when
 * these have been answered. */
enum rc round_receipt(struct trainer *t, const void *raw, size_t raw_n, struct error *err)
{
    const enum rc rc = round_keep_receipt(t, err);
    if (rc != RC_OK || raw_n == 0) {
        return rc;
    }
    t->receipt.frame = malloc(raw_n);
    if (t->receipt.frame == NULL) {
        return error_set(err, RC_NOMEM, "no memory for a receipt");
    }
    memcpy(t->receipt.frame, raw, raw_n);
    t->receipt.n = raw_n;
    t->receipt.due_ms = clock_monotonic_ms() + RECEIPT_MS;
    return RC_OK;
}

bool round_receipt_is_due(const struct trainer *t, bool idle)
{
    return t->receipt.frame != NULL && (idle || clock_monotonic_ms() >= t->receipt.due_ms);
}

/* The gateway carried it: what it says is read from the coordinator's signature alone. A receipt that
 * cannot be kept is one witness less and no reason to stop. */
static enum rc keep_receipt(struct trainer *t, const void *frame, size_t n, struct error *err)
{
    char path[SITE_PATH_MAX];
    struct receipt receipt;
    struct hash ours = {{0}};
    struct error why = {0};
    bool found = false;
    enum rc rc = site_path(t->folder, SITE_RECEIPTS, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = receipt_open(frame, n, &t->coordinator.sign, &receipt, &why);
    if (rc == RC_OK) {
        rc = ledger_anchor(t->ledger, &receipt.study, receipt.round, &found, &ours, &why);
    }
    if (rc == RC_OK && (!found || !hash_equal(&ours, &receipt.anchor))) {
        rc = error_set(&why, RC_FORMAT, "a receipt for what this site never sent");
    }
    if (rc == RC_OK) {
        rc = receipts_keep(path, frame, n, &t->coordinator.sign, &why);
    }
    if (rc == RC_AUTH || rc == RC_FORMAT) {
        refusals_note(&t->refusals, REFUSED_SIGNATURE, why.text);
    } else if (rc != RC_OK) {
        log_event(LOG_LEVEL_ERROR, "receipt_not_kept", "reason=\"%s\"", why.text);
    }
    ledger_rest(t->ledger); /* the coordinator has the update, and is busy with it */
    return RC_OK;
}

enum rc round_keep_receipt(struct trainer *t, struct error *err)
{
    const struct trainer_receipt receipt = t->receipt;
    if (receipt.frame == NULL) {
        return RC_OK;
    }
    t->receipt = (struct trainer_receipt){0};
    const enum rc rc = keep_receipt(t, receipt.frame, receipt.n, err);
    free(receipt.frame);
    return rc;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static struct transfer_in *receiving(struct trainer *t, const struct hash *h)
{
    if (t->round.model_in.open && hash_equal(&t->round.model_in.hash, h)) {
        return &t->round.model_in;
    }
    return t->final.in.open && hash_equal(&t->final.in.hash, h) ? &t->final.in : NULL;
}

enum rc round_chunk(struct trainer *t, const struct wire_message *m, const void *raw, size_t raw_n,
                    struct error *err)
{
    struct transfer_in *in = receiving(t, &m->tensor.hash);
    if (in == NULL) {
        return RC_OK;
    }
    struct error why = {0};
    const uint64_t wrong = in->wrong;
    /* Nobody has hashed these bytes on their way through the pair: the whole is, here. */
    const enum rc rc = transfer_in_chunk(in, m->first, raw, raw_n, clock_monotonic_ms(), &why);
    if (rc == RC_FORMAT && in->wrong > wrong) { /* what came is not what was announced: once more */
        refusals_note(&t->refusals, REFUSED_CHUNK, why.text);
        return RC_OK;
    }
    return rc == RC_OK || rc == RC_STATE ? RC_OK : error_set(err, rc, "%s", why.text);
}

static enum rc ask(struct trainer *t, struct transfer_in *in, struct error *err)
{
    struct wire_message m = {.kind = WIRE_CREDIT, .tensor = {.hash = in->hash, .bytes = in->bytes}};
    if (!in->open || !transfer_in_credit(in, clock_monotonic_ms(), &m.first, &m.until, &m.resume)) {
        return RC_OK;
    }
    m.together = in->together > 1 ? in->together : 0;
    return trainer_say(t, &m, NULL, 0, err);
}

static enum rc save_final(struct trainer *t, struct error *err)
{
    const struct agreement *a = &t->study.agreement;
    char name[STUDY_NAME_MAX + 32];
    char path[SITE_PATH_MAX];
    const void *params = NULL;
    size_t n = 0;
    struct error why = {0};
    (void)snprintf(name, sizeof name, "models/%s.safetensors", a->study.name);
    enum rc rc = site_path(t->folder, name, path, &why);
    if (rc == RC_OK) {
        rc = transfer_in_map(&t->final.in, &params, &n, &why);
    }
    if (rc == RC_OK) {
        rc = checkpoint_write(path, a, &t->study.model, t->final.round, (const real *)params, &why);
    }
    if (rc == RC_OK) {
        log_event(LOG_LEVEL_INFO, "model_saved", "file=\"%s\" round=%llu", path,
                  (unsigned long long)t->final.round);
        screen_say("its model is %s", path); /* follows "study ended: done" */
    } else {
        log_event(LOG_LEVEL_ERROR, "model_not_saved", "reason=\"%s\"", why.text);
    }
    t->final.wanted = false;
    transfer_in_close(&t->final.in, false);
    return say(t, WIRE_GOODBYE, 0, "", err);
}

enum rc round_pump(struct trainer *t, struct error *err)
{
    enum rc rc = ask(t, &t->round.model_in, err);
    if (rc == RC_OK) {
        rc = ask(t, &t->final.in, err);
    }
    if (rc == RC_OK && t->round.wanted != 0 && t->round.model_in.complete) {
        rc = train_now(t, err);
    }
    if (rc == RC_OK && t->final.wanted && t->final.in.complete) {
        rc = save_final(t, err);
    }
    return rc == RC_OK ? serve_update(t, err) : rc;
}
