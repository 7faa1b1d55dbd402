/**
 * @file registry_internal.h
 * What registry.c (the study and its sites), held.c (updates' bytes), outcome.c (ends of rounds), models.c, state.c, studies.c,
 * cards.c and audit.c share.
 */
#ifndef AGGREGATOR_REGISTRY_REGISTRY_INTERNAL_H
#define AGGREGATOR_REGISTRY_REGISTRY_INTERNAL_H

#include "aggregator/registry/registry.h"
#include "common/store/store.h"

enum registry_sql {
    REGISTRY_STUDY_BY_HASH,
    REGISTRY_STUDY_BY_NAME,
    REGISTRY_ADD_STUDY,
    REGISTRY_OPEN_ROUND,
    REGISTRY_MEMBER,
    REGISTRY_SET_MEMBER,
    REGISTRY_MEMBERS,
    REGISTRY_PART,
    REGISTRY_ADD_PART,
    REGISTRY_ANCHOR_OF,
    REGISTRY_SET_WITNESS,
    REGISTRY_WITNESS,
    REGISTRY_PARTS,
    REGISTRY_ADD_HELD,
    REGISTRY_ADD_PLACE,
    REGISTRY_END_OF_PLACES,
    REGISTRY_DROP_PLACES,
    REGISTRY_HELD,
    REGISTRY_DROP_HELD,
    REGISTRY_ADD_OUTCOME,
    REGISTRY_OUTCOME,
    REGISTRY_ADD_CONTRIBUTOR,
    REGISTRY_CONTRIBUTORS,
    REGISTRY_ADD_MODEL,
    REGISTRY_SET_STATE,
    REGISTRY_DROP_PIECES,
    REGISTRY_ADD_PIECE,
    REGISTRY_STATE,
    REGISTRY_PIECES,
    REGISTRY_MODEL,
    REGISTRY_LAST_ENTRY,
    REGISTRY_ADD_ENTRY,
    REGISTRY_ENTRIES,
    REGISTRY_ADD_VERSION,
    REGISTRY_DROP_MODELS,
    REGISTRY_VERSIONS,
    REGISTRY_MODEL_OF,
    REGISTRY_ADD_AGREEMENT,
    REGISTRY_AGREEMENT,
    REGISTRY_ADD_ABORT,
    REGISTRY_ABORT,
    REGISTRY_STUDIES,
    REGISTRY_NAMES_OF_STUDIES,
    REGISTRY_HASH_OF_STUDY,
    REGISTRY_CARDS_LIKE,
    REGISTRY_ADD_CARD,
    REGISTRY_NEWEST_CARD,
    REGISTRY_REVOKE_CARD,
    REGISTRY_CARDS,
    REGISTRY_NAMES_OF_CARDS,
    REGISTRY_ADD_LOST,
    REGISTRY_LOST,
    REGISTRY_ADD_PHASE,
    REGISTRY_PHASE,
    REGISTRY_DROP_PHASES,
    REGISTRY_ADD_EVALUATION,
    REGISTRY_EVALUATION,
    REGISTRY_NEWEST_EVALUATION,
    REGISTRY_CLOSE_EVALUATION,
    REGISTRY_ADD_ANSWER,
    REGISTRY_ANSWER,
    REGISTRY_ANSWERS,
    REGISTRY_DATA_VERSION,
    REGISTRY_SQL_COUNT
};

extern const char *const registry_sql[REGISTRY_SQL_COUNT];

/** Room for one site's or the coordinator's sentence, as registry_outcome hands it out. */
enum { REGISTRY_REASON = 240, REGISTRY_DETAIL = 16 * 1024 };

/** Of server state, in one row. */
enum { REGISTRY_PIECE_BYTES = 1 << 20 };

/** The file of open rounds' updates. */
struct registry_held {
    char path[1024];      /**< "": in memory, in the table `held` */
    int fd;               /**< -1: not open yet */
    int direct;           /**< the same past the page cache; -1: its file system cannot */
    bool unsynced;        /**< written to since it was brought to the disk */
    int64_t floor;        /**< while kept together: what lies below is named by rows on the disk */
    unsigned char *bytes; /**< [room] of the update that is handed out */
    size_t room;
};

struct registry {
    struct store *store;
    struct statement *st[REGISTRY_SQL_COUNT];
    struct statement *lent;       /**< on the row whose bytes are with the caller; NULL: none */
    size_t models_bytes_max;      /**< REGISTRY_MODELS_BYTES; tests make these two small */
    size_t piece_bytes;           /**< REGISTRY_PIECE_BYTES */
    char detail[REGISTRY_DETAIL]; /**< of the audit entry being written */
    struct registry_held held;
    bool tidied_apart; /* registry_tidy_apart */
    bool together;     /* registry_together */
};

/** Where a study stands. */
struct registry_standing {
    int64_t id; /**< 0: not started */
    char name[64];
    struct hash hash;
    size_t n_sites;
    uint64_t newest;  /**< newest model */
    uint64_t lost;    /**< masked rounds that are lost */
    uint64_t over;    /**< rounds up to here have an outcome or are lost */
    uint64_t present; /**< open round, as far as the file tells; 0: joining */
    bool failed;
    uint64_t failed_round; /**< 0: while joining */
};

/* ---- registry.c ------------------------------------------------------------------------------ */

/** First in every call that asks anything: ends the life of what the last one handed out, which may
 *  be large, and SQLite's view of the file as it was then. */
void registry_take_back(struct registry *r);

/** registry_take_back and BEGIN. */
RC registry_lock(struct registry *r, struct error *err);

/** With registry_take_back. @retval RC_STATE not started, unless `may_be_new` */
RC registry_find(struct registry *r, const struct hash *study, bool may_be_new,
                 struct registry_standing *out, struct error *err);

/** registry_lock, and the study, which must have been started. */
RC registry_begin(struct registry *r, const struct hash *study, struct registry_standing *out,
                  struct error *err);

/** One sentence, cut to its room; NULL is none. */
void registry_reason(char out[REGISTRY_REASON], const char *text);

/** A hash column. @retval RC_FORMAT not 32 bytes */
RC registry_hash_at(struct statement *st, int column, struct hash *out, struct error *err);

/** Part of one site in one round; *answered = false if there is none. */
RC registry_part(struct registry *r, const struct registry_standing *s, uint64_t round, size_t site,
                 bool *answered, bool *contributed, struct hash *update, char reason[240],
                 struct error *err);

/** @retval RC_STATE not the present round, or the study has failed */
RC registry_check_present(const struct registry_standing *s, uint64_t round, struct error *err);

/** Parts of updates without their bytes, in the transaction that is open, which ends their round.
 *  @retval RC_STATE one may not be kept */
RC registry_add_last(struct registry *r, const struct registry_standing *s, uint64_t round,
                     const struct registry_update *last, size_t n_last, int64_t now_ms,
                     struct error *err);

/** What only an open round needs: updates' bytes and answers of its phases. */
RC registry_drop_round(struct registry *r, const struct registry_standing *s, uint64_t round,
                       struct error *err);

/* ---- held.c ---------------------------------------------------------------------------------- */

/** Of a registry being opened at `path`. @retval RC_LIMIT it is too long */
RC registry_held_name(struct registry *r, const char *path, struct error *err);
void registry_held_close(struct registry *r);

/** Writes an update's bytes and, in the transaction that is open, where they are. @retval RC_IO */
RC registry_hold(struct registry *r, const struct registry_standing *s, uint64_t round, size_t site,
                 const void *update, size_t n, struct error *err);
/** Nothing that rows on the disk name is written over until it is let go: rows that are dropped meanwhile are
 *  on the disk still. */
RC registry_held_guard(struct registry *r, struct error *err);
/** What was written is on the disk: before every commit of a row that names it. @retval RC_IO */
RC registry_held_sync(struct registry *r, struct error *err);
/** After a commit that ended a round: what no row names any more is cut off. */
void registry_held_cut(struct registry *r);
/** Bytes live until the next call. @retval RC_FORMAT they are not there @retval RC_IO, RC_NOMEM */
RC registry_held_read(struct registry *r, int64_t at, size_t n, const void **bytes,
                      struct error *err);
/** Gives the memory of registry_held_read back. */
void registry_held_forget(struct registry *r);

/* ---- models.c -------------------------------------------------------------------------------- */

/** Model and its version, in the transaction that is open. */
RC registry_add_model(struct registry *r, int64_t study, uint64_t round, const void *model,
                      size_t n, const struct hash *hash, int64_t now_ms, struct error *err);

/** The end of old models' bytes; after the server state has left them. */
RC registry_drop_models(struct registry *r, int64_t study, uint64_t newest, struct error *err);

/** Column of bytes beside (after) a column of their hash, which they must have; *n = 0 and NULL for
 *  a NULL column. @param what for the sentence: "a model" */
RC registry_checked_blob(struct statement *st, int hash, const char *what, const void **data,
                         size_t *n, struct error *err);

/* ---- state.c --------------------------------------------------------------------------------- */

/** The server state of `round` in place of the one before, in the transaction that is open. */
RC registry_set_state(struct registry *r, int64_t study, uint64_t round, const void *state,
                      size_t n, const struct hash *hash, struct error *err);

/* ---- studies.c ------------------------------------------------------------------------------- */

/** "a, b, c", cut to its room, from the first column of a statement. "nobody"-like if none. */
RC registry_list(struct statement *st, const char *none, char *out, size_t room, struct error *err);

/* ---- audit.c --------------------------------------------------------------------------------- */

/** Adds an entry to the transaction that is open. */
RC registry_note(struct registry *r, const struct hash *study, const char *what, const char *detail,
                 int64_t now_ms, struct error *err);

RC registry_check_audit(struct registry *r, struct error *err);

#endif
