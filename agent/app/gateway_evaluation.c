/* Evaluations cross the gateway as they are: the request was signed by the coordinator for the trainer, the
 * histograms are in the trainer's ledger. Nothing is kept here: a coordinator that lacks an answer asks again. */
#include "agent/app/gateway_internal.h"

enum rc evaluation_from_coordinator(struct gateway *g, const struct wire_message *m,
                                    const void *raw, size_t raw_n, struct error *err)
{
    if (!g->trainer_up || pair_queued(g->pair) > 0) { /* it is busy; we are asked again */
        return RC_OK;
    }
    g->out = (struct wire_message){.kind = WIRE_EVALUATE,
                                   .study = m->study,
                                   .evaluation = m->evaluation};
    return pair_send(g->pair, &g->out, raw, raw_n, err);
}

enum rc evaluation_from_trainer(struct gateway *g, const struct wire_message *m, const void *raw,
                                size_t raw_n, struct error *err)
{
    bool sent = false;
    g->out = (struct wire_message){.kind = m->kind, .study = m->study, .evaluation = m->evaluation};
    wire_set_text(&g->out, m->text);
    return gateway_say(g, &g->out, raw, raw_n, &sent, err);
}
