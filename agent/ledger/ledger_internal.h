/**
 * @file ledger_internal.h
 * What the files of this folder share: the open ledger, the composition, the chain.
 */
#ifndef AGENT_LEDGER_LEDGER_INTERNAL_H
#define AGENT_LEDGER_LEDGER_INTERNAL_H

#include "agent/ledger/ledger.h"
#include "common/base/arena.h"
#include "common/base/file.h"
#include "common/store/store.h"

enum ledger_sql {
    LEDGER_PLAN_BY_HASH,
    LEDGER_HASH_BY_NAME,
    LEDGER_COUNT_STUDIES,
    LEDGER_ACCOUNTS,
    LEDGER_LAST_STUDY,
    LEDGER_LAST_SPEND,
    LEDGER_ADD_STUDY,
    LEDGER_END_STUDY,
    LEDGER_ADD_SPEND,
    LEDGER_ADD_RELEASE,
    LEDGER_SET_SITE_STATE,
    LEDGER_RELEASE,
    LEDGER_SITE_STATE,
    LEDGER_STUDY_LINK,
    LEDGER_ALL_RELEASES,
    LEDGER_ALL_SITE_STATES,
    LEDGER_SPEND_LINK,
    LEDGER_KEY,
    LEDGER_ADD_KEY,
    LEDGER_LINKS_OF,
    LEDGER_LINKS,
    LEDGER_ALL_STUDIES,
    LEDGER_ALL_SPENDS,
    LEDGER_ROWS,
    LEDGER_STUDIES,
    LEDGER_MASKED,
    LEDGER_SET_MASKED,
    LEDGER_EVALUATION_COSTS,
    LEDGER_EVALUATION_KINDS,
    LEDGER_LAST_EVALUATION,
    LEDGER_EVALUATION_LINK,
    LEDGER_ADD_EVALUATION,
    LEDGER_EVALUATION,
    LEDGER_ALL_EVALUATIONS,
    LEDGER_SQL_COUNT
};

extern const char *const ledger_sql[LEDGER_SQL_COUNT];

/** A study's row. The two step counts are of now; the rest is what was joined. */
struct ledger_plan {
    int64_t id; /**< 0: not joined */
    char name[STUDY_NAME_MAX];
    struct hash hash;
    struct mechanism round; /**< one round */
    uint64_t rounds;
    double clip;
    double epsilon, delta; /**< what the study states */
    size_t min_sites, max_colluding;
    bool masked;
    size_t threshold;    /**< study_threshold of a masked study; else 0 */
    double reader_sigma; /**< study_reader_sigma with shared noise; else 0 */
    bool ended;
    uint64_t newest;         /**< newest round in the ledger; 0: none */
    uint64_t spent_steps;    /**< in the ledger */
    uint64_t promised_steps; /**< may still come */
};

/* A composition costs milliseconds and is asked again at each spend with the same answer: what is
 * spent and promised together changes only when a study joins, ends or skips. */
enum { LEDGER_MEMO = 32 };

struct ledger_memo {
    struct hash asked; /**< of mechanisms and question */
    double epsilon;
    bool used;
};

/** Number and link of the newest row of one chain; zero for an empty one. */
struct ledger_end {
    int64_t number;
    struct hash link;
};

/** What the file beside a ledger says of it. */
struct ledger_mark {
    bool there;
    int version;  /**< of its file */
    size_t place; /**< in which of the two it stands */
    struct ledger_end study, spend, evaluation;
};

struct ledger {
    struct store *store;
    struct statement *st[LEDGER_SQL_COUNT];
    unsigned char key[HASH_BYTES]; /**< of anchors */
    bool has_key;                  /**< it was read */
    char mark[FILE_PATH_MAX];      /**< path of the high-water mark; "": in memory, none */
    bool view; /**< opened by ledger_open_view: a transaction is open until the end */
    struct ledger_mark
        marked; /**< of a view: read before it began, so that it cannot be ahead of it */
    struct error mark_fault; /**< of a view: why the mark could not be read; rc RC_OK if it could */
    struct ledger_policy policy;
    struct arena accounts; /**< scratch of one composition */
    struct arena bytes;    /**< what the last question handed out */
    struct ledger_memo memo[LEDGER_MEMO];
    size_t memo_next;
};

/* ---- ledger.c -------------------------------------------------------------------------------- */

/** One view of all tables for a question: a transaction, or that of ledger_open_view. */
RC ledger_look(struct ledger *l, struct error *err);
/** Its end; safe without a beginning. */
void ledger_look_away(struct ledger *l);

/** Empties `a` and makes room in it for `size` bytes, keeping the old block if it is enough. */
RC ledger_room(struct arena *a, size_t size, struct error *err);

/** A study as it was joined, with what it has spent and may still spend; id 0: not joined. */
RC ledger_find_plan(struct ledger *l, const struct hash *hash, struct ledger_plan *out,
                    struct error *err);
/** The same. @retval RC_STATE not joined */
RC ledger_must_find_plan(struct ledger *l, const struct hash *hash, struct ledger_plan *out,
                         struct error *err);

/* ---- account.c ------------------------------------------------------------------------------- */

/** Whose rounds count. "This one" is the plan that a question is about. */
enum ledger_share {
    LEDGER_SPENT,    /**< what is in the ledger */
    LEDGER_PROMISED, /**< and what other joined studies may still spend */
    LEDGER_AFTER     /**< and what this one may still spend */
};

/** Why a plan makes no mechanism, or NULL. */
const char *ledger_plan_fault(const struct ledger_plan *plan);

/**
 * Epsilon of all studies at delta; `self` may be NULL, or a plan that is not in the file yet.
 * @param tight false: of one study a larger figure will do, if it is within the policy's total
 * @param[out] sum as if all had been planned beforehand: of one study tight, of several Rényi's sum
 * @param[out] filter what holds of them however they were chosen, to be compared with the policy's
 *             total: of one study the same, of several the Rényi filter's. Infinite if one of several is
 *             beyond the filter by itself and was allowed as the only one. NULL: not asked
 */
RC ledger_compose(struct ledger *l, const struct ledger_plan *self, enum ledger_share share,
                  double delta, bool tight, double *sum, double *filter, struct error *err);

/** Epsilon of one mechanism at delta; INFINITY without noise, whatever delta.
 *  @param tight false: a larger figure will do, if it is within the policy's limit for a study */
double ledger_cost(struct ledger *l, const struct ledger_plan *plan, uint64_t steps, double delta,
                   bool tight);
/** The same against who reads models only. Tight; where that is no other figure, `cost`. */
double ledger_reader_cost(struct ledger *l, const struct ledger_plan *plan, uint64_t steps,
                          double delta, double cost);

/**
 * The gate: is the plan, with its step counts as they would be, within the policy? With `full` all
 * of `out` is filled, and tight. Else only what the answer needs: `allowed`, and if it is no, the reason
 * and the figures in it.
 */
RC ledger_judge(struct ledger *l, const struct ledger_plan *plan, bool cohort_too_small, bool full,
                struct ledger_forecast *out, struct error *err);

/** Rounds and evaluations of one study together, as if planned beforehand. `l` is only asked. */
RC ledger_cost_of_all(struct ledger *l, const struct ledger_plan *plan, double *out,
                      struct error *err);

/* ---- evaluation.c ---------------------------------------------------------------------------- */

/** Evaluations by their epsilon, as mechanisms. @param study its number; 0: of all studies
 *  @param[out] m [most], n how many */
RC ledger_evaluation_costs(struct ledger *l, int64_t study, struct mechanism *m, size_t most,
                           size_t *n, struct error *err);
/** The sum of a study's epsilons. */
RC ledger_evaluation_sum(struct ledger *l, int64_t study, double *out, struct error *err);
/** How many epsilons there are among all evaluations. */
RC ledger_evaluation_kinds(struct ledger *l, size_t *n, struct error *err);

/* ---- stored.c -------------------------------------------------------------------------------- */

/** Hash in column 0, bytes in column 1 of the present row -> the ledger's own buffer.
 *  @retval RC_FORMAT they do not belong together */
RC ledger_hand_out(struct ledger *l, struct statement *st, const void **data, size_t *n,
                   struct hash *hash, struct error *err);

/* ---- mark.c ---------------------------------------------------------------------------------- */

/**
 * Compares the ledger with its high-water mark and brings the mark up to date.
 * @retval RC_STATE  the ledger lacks what the mark names
 * @retval RC_FORMAT the mark is none @retval RC_IO it cannot be read or written
 */
RC ledger_mark(struct ledger *l, struct error *err);
/** The same in a transaction that is open. A view is compared with the mark that was kept; nothing is written. */
RC ledger_mark_within(struct ledger *l, struct error *err);
/** Is there one beside the ledger? A ledger in memory has none and lacks none. */
RC ledger_mark_there(struct ledger *l, bool *there, struct error *err);
/** Reads the mark for a view that is about to begin. */
void ledger_mark_keep(struct ledger *l);

/* ---- anchor.c -------------------------------------------------------------------------------- */

/** Within a transaction that writes: the ledger has a key from now on. */
RC ledger_make_key(struct ledger *l, struct error *err);

/* ---- chain.c --------------------------------------------------------------------------------- */

/** @param last LEDGER_LAST_STUDY, LEDGER_LAST_SPEND or LEDGER_LAST_EVALUATION */
RC ledger_chain_end(struct ledger *l, enum ledger_sql last, struct ledger_end *out,
                    struct error *err);

/** Links of a new row, its number being end->number + 1; of all fields that never change. */
struct hash ledger_study_link(const struct ledger_end *end, const struct ledger_plan *plan);
/** `released` is the hash of the update; the bytes behind the spend's pointers are not read. */
struct hash ledger_spend_link(const struct ledger_end *end, const struct ledger_spend *spend,
                              const struct hash *released);

/** `released` is the hash of the bytes, which are not read. */
struct hash ledger_evaluation_link(const struct ledger_end *end, const struct ledger_evaluation *e,
                                   const struct hash *released);

/** Walks and checks all rows, in the transaction that is open; counts them in `out`.
 *  @retval RC_FORMAT a row was changed or is missing */
RC ledger_chain_check(struct ledger *l, struct ledger_verified *out, struct error *err);

/** The first columns of a PLAN_COLUMNS row; counts are left 0. @retval RC_FORMAT damaged */
RC ledger_plan_at(struct statement *st, struct ledger_plan *out, struct error *err);
/** A hash column. @retval RC_FORMAT not 32 bytes */
RC ledger_hash_at(struct statement *st, int column, struct hash *out, struct error *err);

#endif
