/**
 * @file consent.h
 * What people at this hospital have decided about each study: offered (waiting), approved,
 * withdrawn; and whether the study has ended, after which there is nothing left to decide. A small SQLite file of its own (consent.db), open to the trainer and to the commands
 * at the same time. Withdrawn is final.
 */
#ifndef AGENT_CONSENT_CONSENT_H
#define AGENT_CONSENT_CONSENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/hash.h"

struct consent; /* opaque: one connection, one thread */

struct store_kind;
extern const struct store_kind consent_store_kind;

enum consent_state { CONSENT_UNKNOWN, CONSENT_OFFERED, CONSENT_APPROVED, CONSENT_WITHDRAWN };

enum { CONSENT_NAME_MAX = 64, CONSENT_BY_MAX = 128, CONSENT_REASON_MAX = 200 };

/** One study as people see it. */
struct consent_row {
    struct hash study;
    char name[CONSENT_NAME_MAX], coordinator[CONSENT_NAME_MAX];
    enum consent_state state;
    char by[CONSENT_BY_MAX];         /**< who decided: login name, or "policy"; "" while offered */
    char reason[CONSENT_REASON_MAX]; /**< why it was withdrawn, for the coordinator; "": not said */
    int64_t offered_ms, decided_ms;
    int64_t ended_ms;     /**< wall clock; 0: not ended, or withdrawn before */
    bool done;            /**< it ended with a model */
    const char *document; /**< the study document; lives until `each` returns */
};

RC consent_open(const char *path, struct consent **out, struct error *err);
/** What is there, to be read only: consent_each, consent_state, consent_reason. @retval as store_open_reading */
RC consent_open_reading(const char *path, struct consent **out, struct error *err);
void consent_close(struct consent **c);

/** A verified study has arrived. Repeating it is harmless. @retval RC_STATE the hash is known under
 *  another name, or the name with another hash, or the study has ended here */
RC consent_offer(struct consent *c, const struct hash *study, const char *name,
                 const char *coordinator, const char *document, int64_t now_ms, struct error *err);
/**
 * APPROVED or WITHDRAWN. Repeating a decision is harmless: who decided it first stands.
 * @param name the study's name, or the first 8 or more hexadecimal digits of its hash
 * @param by   not empty; cut at CONSENT_BY_MAX - 1 bytes
 * @param[out] study which one it was
 * @retval RC_INVALID no such study was offered (lists those waiting), or the name fits several
 * @retval RC_STATE   withdrawn before: final; or the study has ended (says when)
 */
RC consent_decide(struct consent *c, const char *name, enum consent_state decision, const char *by,
                  int64_t now_ms, struct hash *study, struct error *err);
/** The same for WITHDRAWN, with a reason. @retval RC_LIMIT the reason is too long */
RC consent_withdraw(struct consent *c, const char *name, const char *by, const char *reason,
                    int64_t now_ms, struct hash *study, struct error *err);
/** The study is over, done or not: nothing is left to approve or to withdraw from. Harmless for one that
 *  was never offered, was withdrawn, or has ended before. */
RC consent_end(struct consent *c, const struct hash *study, bool done, int64_t now_ms,
               struct error *err);
/** CONSENT_UNKNOWN if the study was never offered. */
RC consent_state(struct consent *c, const struct hash *study, enum consent_state *out,
                 struct error *err);
/** "" unless it was withdrawn with one. */
RC consent_reason(struct consent *c, const struct hash *study, char out[CONSENT_REASON_MAX],
                  struct error *err);
/** In order of arrival. `each` must not call the consent file. */
RC consent_each(struct consent *c, void (*each)(void *ctx, const struct consent_row *row),
                void *ctx, struct error *err);

const char *consent_state_name(enum consent_state state);

#endif
