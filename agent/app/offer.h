/**
 * @file offer.h
 * A study that the coordinator has offered to this site, read again from the bytes that it signed.
 */
#ifndef AGENT_APP_OFFER_H
#define AGENT_APP_OFFER_H

#include "agent/app/site.h"
#include "common/agreement/agreement.h"

/** What a word of the command line fits, as consent_decide will find it: the name, or the first 8 or
 *  more digits of the hash. */
struct offer {
    size_t n; /**< studies that it fits; the rest is of the last one */
    struct hash study;
    bool over; /**< withdrawn or ended: nothing is left to decide */
};

RC offer_find(struct consent *consent, const char *word, struct offer *out, struct error *err);
/** @retval RC_AUTH not signed by the trusted coordinator; RC_FORMAT another study; RC_IO */
RC offer_open(const struct site *site, const struct hash *study, struct agreement *out,
              struct error *err);
/** Can the study's model be made of this site's features? Who would join hears it before.
 *  @retval RC_INVALID no, as model_open says; RC_NOMEM */
RC offer_model(const struct site *site, const struct study *study, struct error *err);
/** What the study's masks promise, in one sentence; "" where it has none. */
void offer_masks(const struct study *study, char out[240]);

#endif
