/**
 * @file registry.h
 * The coordinator's memory (SQLite): enrolled cards, studies and their sites' answers, received
 * updates, model versions, outcomes, audit entries. A model version exists exactly when the
 * transaction did that holds it together with its outcome and audit entry.
 *
 * Of a study's models all hashes are kept, and the bytes of the newest ones up to
 * REGISTRY_MODELS_BYTES, always those of the newest.
 */
#ifndef AGGREGATOR_REGISTRY_REGISTRY_H
#define AGGREGATOR_REGISTRY_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/round/round.h"
#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/seal/seal.h"

enum { REGISTRY_MODELS_BYTES = 256 << 20 }; /* 20 rounds of 60 MB would be 1.2 GB a study */

struct registry; /* opaque: one connection, one thread */

struct store_kind;
extern const struct store_kind registry_store_kind; /**< for repair tools and tests */

/** Opens or creates, and checks the audit chain. @retval see store_open; RC_FORMAT also where an
 *  audit entry was changed or is missing */
RC registry_open(const char *path, struct registry **out, struct error *err);
void registry_close(struct registry **r);

/**
 * Starts or resumes a study. New: stores name, hash, roster size and model 0 in one transaction.
 * Known with the same hash: *resumed = true and nothing changes.
 * @retval RC_STATE the name is known with another hash, or the hash with another name or roster
 * @retval RC_INVALID n_sites not in 1 … ROUND_SITES_MAX
 */
RC registry_start(struct registry *r, const char *name, const struct hash *study, size_t n_sites,
                  const void *model0, size_t model_bytes, int64_t now_ms, bool *resumed,
                  struct error *err);

/**
 * Fills state, round, members and parts of `m` (after round_init) from what was committed, ready
 * for round_restore. A site that accepted after the present round had opened sits it out, also
 * where its part had not been kept yet.
 * @retval RC_STATE the study was not started, or `m` has another number of sites
 */
RC registry_restore(struct registry *r, const struct hash *study, struct round_machine *m,
                    struct error *err);

/**
 * A site's ACCEPT or DECLINE; repeating is harmless, the first reason stays. An accepted site may
 * decline later. @retval RC_STATE ACCEPT after DECLINE: no means no; or not started
 */
RC registry_keep_member(struct registry *r, const struct hash *study, size_t site,
                        enum round_member answer, const char *reason, int64_t now_ms,
                        struct error *err);

/**
 * A round is being announced: after the step's KEEP_* and before ROUND_CAST_ROUND, so that a
 * coordinator killed before the round has any part does not go back to JOINING. Repeating is
 * harmless.
 * @retval RC_STATE not the present round (the one after the newest model or lost round), or the study
 *                  has failed
 */
RC registry_open_round(struct registry *r, const struct hash *study, uint64_t round, int64_t now_ms,
                       struct error *err);

/**
 * A site's verified update of a round, or (update NULL) that it sits the round out with a reason.
 * The same again is harmless.
 * @retval RC_STATE other bytes for a round already held, an update after sitting out or the
 *                  reverse, or a round that is over or not yet open
 */
RC registry_keep_part(struct registry *r, const struct hash *study, uint64_t round, size_t site,
                      const void *update, size_t n, const char *reason, int64_t now_ms,
                      struct error *err);

/**
 * What a site says of its own ledger with an update: a number that only the ledger with the update's row
 * in it can compute. Kept to be said again, so that a site whose files were put back from an old copy
 * hears of it.
 */
struct registry_anchor {
    struct hash sign; /**< the site's signing key, by which it is remembered over studies */
    struct hash anchor;
};
/** One of the updates that registry_keep_updates keeps together. */
struct registry_update {
    size_t site;
    const struct hash *hash; /**< verified by the caller; believed here, and checked when
                                               the bytes are handed out */
    const struct registry_anchor *anchor; /**< NULL: none */
    bool kept;                            /**< out: it is, now or since before */
    bool
        refused; /**< out: this one would be RC_STATE, for `why`; the others are not held up by it */
    char why[160];
};
/**
 * registry_keep_part of updates, with their anchors, in one transaction: the bytes of all are brought to the disk at once, and their
 * rows committed at once.
 * @param bytes called for each that is to be written, in order, for bytes that live until the next call;
 *              *data = NULL leaves it out (neither kept nor refused). Must not call the registry
 * @retval RC_IO none of them is kept
 */
RC registry_keep_updates(struct registry *r, const struct hash *study, uint64_t round,
                         struct registry_update *update, size_t count,
                         enum rc (*bytes)(void *ctx, size_t index, const void **data, size_t *n,
                                          struct error *err),
                         void *ctx, int64_t now_ms, struct error *err);
/** The anchor that was kept with a site's update of a round. *found = false: none */
RC registry_anchor_of(struct registry *r, const struct hash *study, uint64_t round, size_t site,
                      bool *found, struct hash *out, struct error *err);
/** The newest anchor of a site's key, of whatever study. *found = false: none */
RC registry_newest_anchor(struct registry *r, const struct hash *sign, bool *found,
                          struct hash *out, struct error *err);

/** Calls `each` for the kept updates of a round in order of site index. Stops at the first failure.
 *  `each` must not call the registry. @retval RC_FORMAT bytes that are not those that were kept */
RC registry_each_update(struct registry *r, const struct hash *study, uint64_t round,
                        enum rc (*each)(void *ctx, size_t site, const void *update, size_t n,
                                        struct error *err),
                        void *ctx, struct error *err);

/**
 * One transaction: model version `round`, its outcome (contributors by site index, others with
 * their reasons from registry_keep_part) and the audit entry; the round's updates are dropped.
 * `server_state` (optimiser moments, iterate average; 0 bytes: none) is kept with it, in place of the
 * one before.
 * @retval RC_STATE not the round after the newest model, the study has failed, or `contributed` is
 *                  not exactly the sites whose updates are held
 * @retval RC_IO    not committed
 */
RC registry_commit_round(struct registry *r, const struct hash *study, uint64_t round,
                         const void *model, size_t n, const void *server_state,
                         size_t server_state_bytes, const bool *contributed, size_t n_sites,
                         int64_t now_ms, struct error *err);

/**
 * The same with updates that arrived last, `last` [n_last], of which nothing has to be kept but that they came: their
 * parts, without bytes, are in the same transaction. `contributed` names them, too.
 * @retval RC_STATE also: one of these sites had answered otherwise
 */
RC registry_commit_round_with(struct registry *r, const struct hash *study, uint64_t round,
                              const struct registry_update *last, size_t n_last, const void *model,
                              size_t n, const void *server_state, size_t server_state_bytes,
                              const bool *contributed, size_t n_sites, int64_t now_ms,
                              struct error *err);

/**
 * The end of a round also cuts off the updates' bytes and carries the log into the file, for which it waits for the
 * disk some times more. After _apart it leaves that to registry_tidy, to be called when everybody has been
 * answered; which lets the log grow to REGISTRY_LOG_BYTES. What is durable, and when, is the same.
 */
enum { REGISTRY_LOG_BYTES = 2 << 20 };
void registry_tidy_apart(struct registry *r);
void registry_tidy(struct registry *r);

/**
 * From here to registry_settle whatever is kept is kept in one transaction: each call says what it would have said,
 * and nothing is on the disk, nor may be told to anybody, before registry_settle. Where that fails, or the process
 * ends before, none of it was kept; the registry is then to be closed. After registry_tidy_apart only.
 * @retval RC_IO
 */
RC registry_together(struct registry *r, struct error *err);
RC registry_settle(struct registry *r, struct error *err);

/** The study failed in `round` (0: while joining), for good.
 *  @retval RC_STATE it had already failed, or the round has an outcome */
RC registry_commit_failure(struct registry *r, const struct hash *study, uint64_t round,
                           const bool *contributed, size_t n_sites, const char *reason,
                           int64_t now_ms, struct error *err);

/** The same with updates that arrived last, as registry_commit_round_with. */
RC registry_commit_failure_with(struct registry *r, const struct hash *study, uint64_t round,
                                const struct registry_update *last, size_t n_last,
                                const bool *contributed, size_t n_sites, const char *reason,
                                int64_t now_ms, struct error *err);

/** A masked round's sum cannot be opened: audited as "lost", its updates are dropped, and the next
 *  number is the present one. @retval RC_STATE not the present round, or the study has failed */
RC registry_lose_round(struct registry *r, const struct hash *study, uint64_t round,
                       const char *reason, int64_t now_ms, struct error *err);
/** What a phase of the present masked round ended with (aggregator/unmasking, KEEP), until the round is
 *  over. The same again is harmless. @retval RC_STATE as registry_lose_round, or other bytes are kept */
RC registry_keep_phase(struct registry *r, const struct hash *study, uint64_t round, size_t phase,
                       const void *bytes, size_t n, struct error *err);
/** Bytes live until the next call. *found = false: the phase is not over */
RC registry_phase(struct registry *r, const struct hash *study, uint64_t round, size_t phase,
                  bool *found, const void **bytes, size_t *n, struct error *err);

/** Newest model (round 0 is the initial one). Bytes live until the next call.
 *  @retval RC_FORMAT damaged */
RC registry_model(struct registry *r, const struct hash *study, uint64_t *round, const void **model,
                  size_t *n, struct error *err);

/** The server state of the newest model; all zeros with the initial one.
 *  @param[out] out [n] changed also on failure
 *  @retval RC_FORMAT damaged, or it has another size */
RC registry_state(struct registry *r, const struct hash *study, unsigned char *out, size_t n,
                  struct error *err);

/** Who contributed to a finished round: contributed[n_sites]; *failed and reason if it failed. */
RC registry_outcome(struct registry *r, const struct hash *study, uint64_t round, bool *found,
                    bool *contributed, size_t n_sites, bool *failed, char reason[240],
                    struct error *err);

/** Why a site is not among the contributors of a round: what it said, or that it did not answer;
 *  "" if it sent its update. */
RC registry_absence(struct registry *r, const struct hash *study, uint64_t round, size_t site,
                    char reason[240], struct error *err);

/** One entry of the audit chain: its link is the BLAKE2b of the link before it and the entry. */
struct registry_entry {
    int64_t sequence, at_ms;
    struct hash study; /**< all zeros: of no study */
    const char *what; /**< start, accept, decline, open, round, lost, failure; enrol, revoke, abort,
                    evaluate, evaluated */
    const char *detail; /**< such as "3 of 4: 0 1 3; model <hash>" */
    struct hash link;
};
/** In order of commitment. `each` must not call the registry. */
RC registry_audit(struct registry *r, void (*each)(void *ctx, const struct registry_entry *entry),
                  void *ctx, struct error *err);

/* ---- evaluations of finished studies (common/evaluation) ------------------------------------- */

enum { REGISTRY_REQUEST_BYTES = 1024 };
struct registry_evaluation {
    struct hash request;                         /**< its name */
    unsigned char bytes[REGISTRY_REQUEST_BYTES]; /**< as it was signed */
    size_t n;
    int64_t asked_ms, deadline_ms;
    int64_t closed_ms; /**< 0: it is open */
};
/** A person wants one; the running aggregator sees it, a later one finds it. Audited as "evaluate".
 *  @retval RC_STATE the study has no finished model, or another evaluation of it is open */
RC registry_ask_evaluation(struct registry *r, const struct hash *study,
                           const struct registry_evaluation *e, const char *detail,
                           struct error *err);
/** The one that was asked for last. *found = false: none ever. */
RC registry_newest_evaluation(struct registry *r, const struct hash *study, bool *found,
                              struct registry_evaluation *out, struct error *err);
/** A site's histograms, or (answer NULL) why there are none. The first answer stands, the same again is
 *  harmless. @retval RC_STATE another one is kept, the evaluation is over, or nobody asked for it */
RC registry_keep_answer(struct registry *r, const struct hash *request, size_t site,
                        const void *answer, size_t n, const char *reason, int64_t now_ms,
                        struct error *err);
/** In order of sites; answer is NULL where only a reason is kept. `each` must not call the registry. */
RC registry_each_answer(struct registry *r, const struct hash *request,
                        enum rc (*each)(void *ctx, size_t site, const void *answer, size_t n,
                                        const char *reason, struct error *err),
                        void *ctx, struct error *err);
/** No answer is taken any more. Audited as "evaluated"; repeating is harmless. */
RC registry_close_evaluation(struct registry *r, const struct hash *request, const char *detail,
                             int64_t now_ms, struct error *err);

/* ---- enrolment --------------------------------------------------------------------------------- */

/**
 * Admits a site's card. The same keys under the same name again are harmless. Audited as "enrol".
 * @retval RC_INVALID a coordinator's card
 * @retval RC_STATE the name is enrolled with other keys (revoke it first), or the keys under another
 *                  name, or the card was revoked: new keys are needed
 */
RC registry_enrol(struct registry *r, const struct seal_card *card, int64_t now_ms,
                  struct error *err);
/** For good for these keys; audited as "revoke". Repeating is harmless, the first reason stays.
 *  @retval RC_INVALID nobody of that name (lists who is enrolled) */
RC registry_revoke(struct registry *r, const char *name, const char *reason, int64_t now_ms,
                   struct error *err);
/** The newest card of every name, sorted by name, verified as it is read; revoked_ms is 0 unless
 *  revoked. `each` must not call the registry. @retval RC_FORMAT a card was changed in the file */
RC registry_each_card(struct registry *r,
                      void (*each)(void *ctx, const struct seal_card *card, int64_t enrolled_ms,
                                   int64_t revoked_ms),
                      void *ctx, struct error *err);

/** A number that is another one after a different process has committed to the file, and only then;
 *  takes microseconds. A running aggregator asks before every message. */
RC registry_version(struct registry *r, uint64_t *version, struct error *err);

/* ---- people and studies ------------------------------------------------------------------------ */

/**
 * The signed agreement of a started study and its number of rounds, kept so that models can be
 * exported without the study's file. The first one stays.
 * @param rounds at least 1
 */
RC registry_keep_agreement(struct registry *r, const struct hash *study, uint64_t rounds,
                           const void *bytes, size_t n, int64_t now_ms, struct error *err);
/** Bytes live until the next call. @retval RC_STATE none kept */
RC registry_agreement(struct registry *r, const struct hash *study, const void **bytes, size_t *n,
                      struct error *err);

/** A person wants a study to stop; the running aggregator sees it, a later one finds it. Audited as
 *  "abort"; repeating is harmless, the first reason stays.
 *  @retval RC_INVALID no study of that name (lists them); RC_STATE it has ended already */
RC registry_request_abort(struct registry *r, const char *study, const char *reason, int64_t now_ms,
                          struct error *err);
RC registry_abort_requested(struct registry *r, const struct hash *study, bool *requested,
                            char reason[240], struct error *err);

enum registry_study_state {
    REGISTRY_JOINING,
    REGISTRY_RUNNING,
    REGISTRY_FINISHED, /**< as many models as the study has rounds, if an agreement is kept */
    REGISTRY_STUDY_FAILED
};
struct registry_study {
    char name[64];
    struct hash hash;
    size_t n_sites, n_accepted, n_declined;
    enum registry_study_state state;
    uint64_t rounds;          /**< that the study has; 0: no agreement is kept */
    uint64_t rounds_finished; /**< the newest one that has a model */
    uint64_t rounds_lost;     /**< numbers that masked rounds took and lost */
    uint64_t round_open;      /**< 0: none */
    bool abort_requested;
    char reason[240]; /**< of a failure */
    int64_t started_ms, changed_ms;
};
/** In order of their start. `each` must not call the registry. */
RC registry_each_study(struct registry *r,
                       void (*each)(void *ctx, const struct registry_study *study), void *ctx,
                       struct error *err);
/** What one site said to a study; ROUND_UNKNOWN and "" if nothing yet. */
RC registry_member(struct registry *r, const struct hash *study, size_t site,
                   enum round_member *answer, char reason[240], struct error *err);

/** Hash and size of every model version there was of a study, and which are still stored. */
struct registry_model_row {
    uint64_t round;
    struct hash model;
    size_t bytes;
    int64_t at_ms;
    bool stored; /**< its bytes are here: registry_model_of */
};
/** In order of rounds. `each` must not call the registry. */
RC registry_each_model(struct registry *r, const struct hash *study,
                       void (*each)(void *ctx, const struct registry_model_row *row), void *ctx,
                       struct error *err);
/** One version's bytes; live until the next call. @retval RC_STATE not stored; RC_FORMAT damaged */
RC registry_model_of(struct registry *r, const struct hash *study, uint64_t round,
                     const void **model, size_t *n, struct error *err);

#endif
