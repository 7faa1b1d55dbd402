/* From the kept updates to the next model: sum, server's rule, one transaction. Everything that this
 * takes besides the model lives only as long as it lasts: between rounds an aggregator is small. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/app/coordinator_internal.h"
#include "aggregator/merge/merge.h"
#include "common/base/log.h"
#include "common/broadcast/broadcast.h"

static size_t model_bytes(const struct coordinator *c)
{
    return c->model.table.S * sizeof *c->params;
}

/* What rounds send, once `tensor` names the model. */
static void name_sent(struct coordinator *c)
{
    const size_t n = broadcast_bytes(study_of(c), c->model.table.S);
    c->sent_as = n == c->tensor.bytes
                     ? c->tensor
                     : (struct wire_tensor){.hash = hash_of(c->sent, n), .bytes = n};
}

/* A connection of its own, closed at once: what the registry hands out stays with the connection that
 * was asked. */
enum rc merging_load(struct coordinator *c, struct error *err)
{
    struct registry *registry = NULL;
    const void *model = NULL;
    uint64_t round = 0;
    size_t n = 0;

    enum rc rc = folder_registry(&c->folder, &registry, err);
    if (rc == RC_OK) {
        rc = registry_model(registry, coordinator_study(c), &round, &model, &n, err);
    }
    if (rc == RC_OK && n != model_bytes(c)) {
        rc = error_set(err, RC_FORMAT, "the registry is damaged: its model is not of this study");
    }
    if (rc == RC_OK) {
        memcpy(c->params, model, n);
        c->tensor = (struct wire_tensor){.hash = hash_of(c->params, n), .bytes = n};
        rc = broadcast_pack(study_of(c), c->params, c->model.table.S, c->sent, err);
        name_sent(c);
    }
    registry_close(&registry);
    return rc;
}

struct sum {
    const struct coordinator *c;
    struct merge *merge;
};

static enum rc add_update(void *ctx, size_t site, const void *update, size_t n, struct error *err)
{
    const struct sum *s = ctx;
    if (site >= s->c->n_sites || s->c->machine.part[site] != ROUND_CONTRIBUTED) {
        return RC_OK;
    }
    return merge_add(s->merge, site, update, n, err);
}

/* The server's state, in memory only while a round is being finished. */
struct state {
    unsigned char *bytes;
    size_t n;
};

static enum rc load_state(struct coordinator *c, struct state *state, struct error *err)
{
    const size_t n = merge_state_bytes(study_of(c), c->model.table.S);
    *state = (struct state){.bytes = malloc(n + 1), .n = n};
    if (state->bytes == NULL) {
        return error_set(err, RC_NOMEM, "no memory to merge round %llu",
                         (unsigned long long)c->machine.round);
    }
    return registry_state(c->registry, coordinator_study(c), state->bytes, n, err);
}

/* After a restart, and for means that see the sites side by side. */
static enum rc read_back(struct coordinator *c, struct sum *sum, struct error *err)
{
    enum rc rc = merge_open(study_of(c), c->model.span, c->model.table.S, &sum->merge, err);
    bool again = rc == RC_OK;
    while (again) {
        rc = registry_each_update(c->registry, coordinator_study(c), c->machine.round, add_update,
                                  sum, err);
        again = rc == RC_OK && merge_again(sum->merge);
    }
    return rc;
}

/* params, the newest model, becomes that of the present round, and state what goes with it. The state
 * comes late: with the sum is one update at a time, with the state none. */
static enum rc next_model(struct coordinator *c, struct state *state, struct error *err)
{
    struct sum sum = {.c = c, .merge = settling_take_sum(c)};
    enum rc rc = sum.merge != NULL ? RC_OK : read_back(c, &sum, err);
    if (rc == RC_OK && masked_is(c)) {
        size_t count = 0;
        const struct mask_stream *stream = unmasking_streams(c->unmasking, &count);
        merge_unmask(sum.merge, stream, count);
        masked_close(c); /* what opens the sum is wiped */
    }
    if (rc == RC_OK) {
        rc = load_state(c, state, err);
    }
    if (rc == RC_OK) {
        const uint64_t nth = c->machine.round - c->machine.lost; /* of the study's rounds */
        rc = merge_finish(sum.merge, nth, c->params, state->bytes, state->n, err);
    }
    if (rc == RC_OK) { /* before it is committed: what cannot be sent ends the study here */
        rc = broadcast_pack(study_of(c), c->params, c->model.table.S, c->sent, err);
    }
    merge_close(&sum.merge);
    return rc;
}

static enum rc commit(struct coordinator *c, const struct state *state, struct error *err)
{
    const struct round_machine *m = &c->machine;
    bool contributed[ROUND_SITES_MAX];
    for (size_t i = 0; i < c->n_sites; i++) {
        contributed[i] = m->part[i] == ROUND_CONTRIBUTED;
    }
    return registry_commit_round_with(c->registry, coordinator_study(c), m->round,
                                      c->closing.update, c->closing.n, c->params, model_bytes(c),
                                      state->bytes, state->n, contributed, c->n_sites, c->wall_ms,
                                      err);
}

/* NOT_COMMITTED must be certain: only the arithmetic can say it. Whatever the registry reports may
 * have happened all the same, so the program stops, and the next start finds out. */
static enum rc merged(struct coordinator *c, enum rc rc, const struct error *fault,
                      struct error *err)
{
    struct said said = {.event = ROUND_NOT_COMMITTED};
    if (rc == RC_NUMERIC) {
        log_event(LOG_LEVEL_ERROR, "round_not_committed", "round=%llu reason=\"%s\"",
                  (unsigned long long)c->machine.round, fault->text);
        (void)snprintf(c->why, sizeof c->why, "%s", fault->text);
        return coordinator_step(c, &said, err);
    }
    if (rc != RC_OK) {
        return error_set(err, rc, "%s", fault->text);
    }
    const uint64_t round = c->machine.round;
    rc = settling_closed(c, err);
    if (rc != RC_OK) {
        return rc;
    }
    c->tensor.hash = hash_of(c->params, model_bytes(c));
    name_sent(c);
    settling_forget(c);
    c->tidy_due = true;
    said.event = ROUND_COMMITTED;
    rc = answer_recall_round(c, round, err);
    if (rc == RC_OK) {
        log_event(LOG_LEVEL_INFO, "round_committed", "round=%llu contributors=%zu",
                  (unsigned long long)round, round_contributors(&c->machine));
        tell_round(c);
        rc = coordinator_step(c, &said, err);
    }
    return rc;
}

enum rc merging_run(struct coordinator *c, struct error *err)
{
    assert(c->machine.state == ROUND_MERGING);
    struct error fault = {0};
    struct state state = {0};
    c->merge_due = false;
    enum rc rc = next_model(c, &state, &fault);
    if (rc == RC_OK) {
        rc = commit(c, &state, &fault);
    }
    free(state.bytes);
    return merged(c, rc, &fault, err);
}
