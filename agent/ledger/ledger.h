/**
 * @file ledger.h
 * The hospital's own account of privacy, and the gate in front of everything that leaves it.
 *
 * A round's mechanism and its finished update are committed in ONE transaction before the update is
 * handed to anybody; the site's adapters and optimiser state commit with them. A restart finds the
 * stored bytes and sends them again. (study, round) is unique for ever. The ledger stores
 * mechanisms, not epsilons, and composes them over rounds, restarts and studies at each question:
 * a study by itself tightly, several by a Rényi filter, since they are chosen one after another.
 *
 * Joining a study promises it its remaining rounds: what is promised counts as spent when the next
 * study asks, so that no joined study runs dry midway. ledger_end_study gives an unused promise
 * back.
 */
#ifndef AGENT_LEDGER_LEDGER_H
#define AGENT_LEDGER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/accountant/accountant.h"
#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/config/config.h"
#include "common/study/study.h"

/** The site's policy: written by the hospital (site.yaml), never by a coordinator. */
struct ledger_policy {
    double max_epsilon_per_study;  /**< INFINITY allows studies without noise */
    double max_epsilon_total;      /**< over all studies, at delta = max_delta_per_study */
    double max_delta_per_study;    /**< in (0, 1) */
    size_t min_patients;           /**< smallest cohort that may take part */
    size_t min_sites;              /**< floor for the study's min_sites; default 1 */
    size_t max_colluding;          /**< floor for the study's max_colluding; default 0 */
    size_t threshold;              /**< floor for a masked study's threshold; default 0 */
    bool masked;                   /**< masked sums are required; default no */
    bool shared_noise;             /**< noise shared between sites is allowed; default no */
    double max_evaluation_epsilon; /**< of all evaluations of one study together; default 0: none */
};

/** Reads the `policy:` map of a site.yaml. `map` may be NULL (no such map: every key is missing).
 *  @retval RC_INVALID at least one problem, all of them in `issues` */
RC ledger_policy_read(const struct config_node *map, struct ledger_policy *out,
                      struct config_issues *issues, struct error *err);

/** The table behind it, for the reference page. */
const struct config_key *ledger_policy_keys(size_t *n);

struct ledger; /* opaque: one connection, one thread */

struct store_kind;
extern const struct store_kind ledger_store_kind; /**< for repair tools and tests */

/**
 * Opens or creates, checks the hash chain over every row, and compares it with the high-water mark
 * beside it (PATH.mark): a ledger that was cut or put back from an old copy is refused. Several processes may have the same
 * file open (the trainer, and a person asking what-if): each question and each spend is one
 * transaction, and the file itself refuses a second spend of a round.
 * @param path a file or ":memory:"
 * @retval RC_INVALID a policy with a number out of range
 * @retval RC_FORMAT  not a ledger, or a damaged or edited one
 * @retval RC_STATE   older than its own mark, or written by a newer program; otherwise see store_open
 */
RC ledger_open(const char *path, const struct ledger_policy *policy, struct ledger **out,
               struct error *err);
/**
 * The ledger as it stands at this moment, for a report: one view from here to ledger_close, in which nothing is
 * checked yet and nothing can change, and which keeps no trainer from writing. An edited ledger opens as well;
 * ledger_verify tells. Works on a read-only disk. For ledger_verify, ledger_studies, ledger_rows, ledger_totals and
 * ledger_epsilon only.
 * @retval RC_FORMAT, RC_STATE, RC_IO as store_open_reading
 */
RC ledger_open_view(const char *path, const struct ledger_policy *policy, struct ledger **out,
                    struct error *err);
void ledger_close(struct ledger **l);

/**
 * What a study would cost this site, and what the policy says of it. All but epsilon_study are at
 * delta = max_delta_per_study.
 */
struct ledger_forecast {
    double epsilon_study;    /**< of the whole study, at its own delta: what it has spent here and
                                  the rounds that may still come. With shared noise against the
                                  coordinator and max_colluding sites */
    double epsilon_reader;   /**< the same against who reads models only: less with shared noise
                                  and max_colluding above 0 (study_reader_sigma), else the same */
    double epsilon_spent;    /**< of everything in the ledger now */
    double epsilon_promised; /**< of that and what other joined studies may still spend */
    double epsilon_after;    /**< of that and this study's remaining rounds. To the bit what
                                  ledger_epsilon says once every promised round was spent. */
    double epsilon_filter;   /**< of the same by the Rényi filter of the policy's total: what is
                                  compared with it. For a first study epsilon_after */
    double epsilon_left;     /**< max_epsilon_total - epsilon_promised, not below 0. A figure for
                                  people: epsilons add up to less than their sum. */
    bool allowed;
    char reason[240]; /**< one sentence: all objections, asked and allowed, and what is left; ""
                           if allowed. May go to the
                           coordinator: it does not hold the size of the cohort. */
};

/**
 * Pure question: nothing is written. Rounds of this study that are already in the ledger are not
 * counted twice; rounds that were skipped before the newest one can no longer come.
 * Comparisons are exact: sigma is rounded up when it is solved, so a study never costs more than
 * the epsilon it states, and a policy of just that epsilon allows it.
 * @param n_patients the site's real number, compared with min_patients here only
 * @retval RC_INVALID the study's numbers make no mechanism
 */
RC ledger_what_if(struct ledger *l, const struct study *study, const struct hash *study_hash,
                  size_t n_patients, struct ledger_forecast *out, struct error *err);

/**
 * Consent to one study: checks the policy as above and writes the study's row (name, hash, plan).
 * Repeating it for the same hash is the same answer, unless policy or cohort changed between.
 * @retval RC_LIMIT   refused; err->text is the forecast's sentence
 * @retval RC_STATE   the name is known with another hash, or the study has ended here
 * @retval RC_INVALID as ledger_what_if
 */
RC ledger_join(struct ledger *l, const struct study *study, const struct hash *study_hash,
               size_t n_patients, int64_t now_ms, struct error *err);

/**
 * The study is over for this site (done, failed, or we withdraw): it can spend nothing more, for
 * ever, and the rounds it had left no longer count as promised. What it spent stays spent.
 * Repeating it is harmless. @retval RC_STATE not joined
 */
RC ledger_end_study(struct ledger *l, const struct hash *study, int64_t now_ms, struct error *err);

/** What a finished round wants to commit. Pointers are borrowed for the call. */
struct ledger_spend {
    struct hash study;          /**< study_hash: must have been joined */
    uint64_t round;             /**< from 1 */
    struct mechanism mechanism; /**< steps really taken, q, sigma */
    double clip;
    struct hash cohort; /**< dataset version it was trained on */
    struct hash model;  /**< global model it started from */
    const void *update; /**< the bytes that will leave */
    size_t update_bytes;
    const void *site_state; /**< adapters and optimiser: stay here */
    size_t site_state_bytes;
    int64_t now_ms;
};

/**
 * Commits mechanism, update and site state together, after checking that the mechanism is the one
 * the study was joined with and that the policy still covers all that is spent and promised.
 * @retval RC_STATE  this round is already there (ask ledger_stored), it is older than the newest
 *                   one there or beyond the plan, the study is not joined or has ended, or the
 *                   mechanism differs from the plan
 * @retval RC_LIMIT  beyond policy; nothing written
 * @retval RC_IO     nothing may leave; whether it was committed the next ledger_open tells
 */
RC ledger_spend(struct ledger *l, const struct ledger_spend *spend, struct error *err);

/** The stored update of a round. *found = false if there is none. Bytes live until the next call.
 *  @retval RC_FORMAT the bytes are not those that were stored: they must not leave */
RC ledger_stored(struct ledger *l, const struct hash *study, uint64_t round, bool *found,
                 const void **update, size_t *n, struct error *err);
/** The same, and the hash that the bytes were found to have. */
RC ledger_stored_hashed(struct ledger *l, const struct hash *study, uint64_t round, bool *found,
                        const void **update, size_t *n, struct hash *hash, struct error *err);

/**
 * Does the ledger hold these very bytes for the round? Then their hash as it was committed: what was just spent
 * need not be copied out and hashed again to be sent.
 * @retval RC_FORMAT it holds others, or none: these must not leave
 */
RC ledger_stored_as(struct ledger *l, const struct hash *study, uint64_t round, const void *update,
                    size_t n, struct hash *hash, struct error *err);

/** The site state after the newest spent round of a study (round 0 and n = 0: none yet). Bytes live
 *  until the next call. @retval RC_FORMAT damaged */
RC ledger_site_state(struct ledger *l, const struct hash *study, uint64_t *round,
                     const void **state, size_t *n, struct error *err);

/**
 * A number that only this ledger can compute of a round it has spent: a keyed hash of the row's place in
 * both chains. It leaves with the update and says nothing to who lacks the key; a receipt that names it
 * (agent/receipts) proves that the row, and all before it, were there. *found = false: no such round.
 */
RC ledger_anchor(struct ledger *l, const struct hash *study, uint64_t round, bool *found,
                 struct hash *out, struct error *err);
/** Is it the anchor of any row? If not, this is an older copy, or another ledger, or its rows were
 *  written anew. */
RC ledger_has_anchor(struct ledger *l, const struct hash *anchor, bool *found, struct error *err);

/* ---- evaluations: how good a model is on patients that it was not trained on -------------------- */

/**
 * Noised score histograms of one request, which cost this site a pure epsilon (common/evaluation).
 * Pointers are borrowed for the call.
 */
struct ledger_evaluation {
    struct hash study;   /**< must have been joined; may have ended */
    struct hash request; /**< of the coordinator's signed request: each is spent once, for ever */
    double epsilon;      /**< > 0, finite */
    struct hash cohort;  /**< dataset version that was scored */
    struct hash model;   /**< that scored it */
    const void *bytes;   /**< that will leave, noise and all */
    size_t n;
    int64_t now_ms;
};

/**
 * Commits cost and bytes together, before anything leaves. It is allowed if all evaluations of the study
 * stay within max_evaluation_epsilon, and everything spent and promised, this included, within
 * max_epsilon_total by the filter: an evaluation is asked for after its model was seen, so it counts like
 * another study. Beside a first study that has taken the whole total there is no room for one.
 * @retval RC_LIMIT   beyond policy; says what was asked and allowed; nothing written
 * @retval RC_STATE   this request is already there (ask ledger_evaluated), or the study is not joined
 * @retval RC_INVALID epsilon is no number above 0
 * @retval RC_IO      as ledger_spend
 */
RC ledger_evaluate(struct ledger *l, const struct ledger_evaluation *e, struct error *err);

/** The stored bytes of a request. *found = false if there are none. Bytes live until the next call.
 *  @retval RC_FORMAT the bytes are not those that were stored: they must not leave */
RC ledger_evaluated(struct ledger *l, const struct hash *request, bool *found, const void **bytes,
                    size_t *n, struct error *err);

/** One evaluation for people. */
struct ledger_evaluation_row {
    int64_t number, at_ms;
    char study[STUDY_NAME_MAX];
    double epsilon;
    struct hash request, released; /**< released: of the stored bytes */
    size_t bytes;
    struct hash link;
};
/** In order of commitment. `each` must not call the ledger. @retval RC_FORMAT damaged */
RC ledger_evaluations(struct ledger *l,
                      void (*each)(void *ctx, const struct ledger_evaluation_row *row), void *ctx,
                      struct error *err);

/**
 * Nobody waits: what commits have left to do is done now, if it is much. Whoever calls this between rounds finds that
 * a spend does not do it any more, which would keep a whole round waiting (from the first call on, and up to 16 MB
 * of log). What is durable, and when, is the same. A failure is none of the caller's: it is tried again.
 */
void ledger_rest(struct ledger *l);

/** How many studies were ever joined. */
RC ledger_joined(struct ledger *l, size_t *n, struct error *err);

/** Epsilon at delta of everything spent, or of one study (study != NULL; 0 if never joined).
 *  @retval RC_INVALID delta not in (0, 1) */
RC ledger_epsilon(struct ledger *l, const struct hash *study, double delta, double *out,
                  struct error *err);

/** What ledger_verify has looked at. */
struct ledger_verified {
    size_t studies, spends, updates, site_states, evaluations;
    bool marked; /**< there was a mark to compare with; false only in a view whose mark is gone */
};

/**
 * Everything anew, in one view: all chains, the mark, and the stored bytes of every update, site
 * state and evaluation against their hashes. What it cannot find by itself, receipts do (ledger_anchor): ledger and mark
 * put back together, and a chain that was computed anew from the first edit on.
 * @retval RC_FORMAT damaged or edited; says what  @retval RC_STATE older than its mark
 */
RC ledger_verify(struct ledger *l, struct ledger_verified *out, struct error *err);

/** A copy of the ledger as it stands, also while the agent runs. @retval RC_STATE, RC_IO store_backup */
RC ledger_backup(struct ledger *l, const char *path, struct error *err);

/** One row for people: `ledger_rows` calls `each` in order of commitment. `each` must not call the
 *  ledger. */
struct ledger_row {
    int64_t sequence, at_ms;
    char study[STUDY_NAME_MAX];
    uint64_t round;
    struct mechanism mechanism;
    double clip;
    struct hash update; /**< hash of the stored bytes */
    struct hash link;   /**< of this row in the chain */
    bool stored;        /**< its bytes are there (else the ledger is damaged) */
    size_t update_bytes;
};
RC ledger_rows(struct ledger *l, void (*each)(void *ctx, const struct ledger_row *row), void *ctx,
               struct error *err);

/** One study for people. All but dates, counts and epsilons is what it was joined with. */
struct ledger_study {
    int64_t number; /**< 1, 2, 3 ... in the order of joining */
    char name[STUDY_NAME_MAX];
    struct hash hash;       /**< of the document */
    struct mechanism round; /**< one round */
    uint64_t rounds;        /**< of the plan */
    double clip;
    double epsilon, delta; /**< what the document states */
    size_t min_sites, max_colluding;
    size_t threshold;            /**< of a masked study; else 0 */
    bool masked, shared;         /**< only sums are read; the noise is shared between the sites */
    int64_t joined_ms, ended_ms; /**< neither is in the chain */
    bool ended;
    uint64_t rounds_spent, newest; /**< how many are in the ledger, and the newest; 0: none */
    uint64_t spent_steps, promised_steps;
    struct hash link;
    bool sound; /**< false: its numbers are damaged and make no plan; no epsilon then */
    double
        epsilon_spent; /**< tight, at the study's delta: of what is in the ledger; NAN if not sound */
    double epsilon_most; /**< of that and the rounds that may still come */
    /** The same two against who reads models only; with shared noise those above are against the
     *  coordinator with max_colluding sites. */
    double reader_spent, reader_most;
    uint64_t evaluations;      /**< of its models */
    double evaluation_epsilon; /**< their sum, which needs no delta */
    double epsilon_all; /**< of rounds and evaluations in the ledger, as if planned together, at the
                             study's delta; NAN if not sound */
};
/** Every study that was ever joined, in that order. `each` must not call the ledger. @retval RC_FORMAT damaged;
 *  those before it were told */
RC ledger_studies(struct ledger *l, void (*each)(void *ctx, const struct ledger_study *study),
                  void *ctx, struct error *err);

/** All studies together, at delta = max_delta_per_study. */
struct ledger_totals {
    double delta;
    double spent;    /**< as ledger_epsilon */
    double promised; /**< of that and all that joined studies may still spend */
    double filter; /**< of the same by the filter of the policy's total: what is compared with it */
    double left;   /**< max_epsilon_total - promised, not below 0 */
};
/** @retval RC_FORMAT a study's numbers are damaged: there is no total */
RC ledger_totals(struct ledger *l, struct ledger_totals *out, struct error *err);

/* ---- masked rounds (agent/masking) ------------------------------------------------------------- */

/** The newest number that was kept; 0: none. @retval RC_STATE the study was not joined */
RC ledger_masked_round(struct ledger *l, const struct hash *study, uint64_t *round,
                       struct error *err);
/** Before anything of a masked round is said. @retval RC_STATE not joined, ended, the number is not above
 *  the newest kept, or the study has no such round */
RC ledger_keep_masked_round(struct ledger *l, const struct hash *study, uint64_t round,
                            struct error *err);

#endif
