/**
 * @file registry_internal.h
 * What registry.c (the study and its sites), outcome.c (models and ends) and audit.c share.
 */
#ifndef AGGREGATOR_REGISTRY_REGISTRY_INTERNAL_H
#define AGGREGATOR_REGISTRY_REGISTRY_INTERNAL_H

#include "aggregator/registry/registry.h"
#include "common/base/arena.h"
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
    REGISTRY_PARTS,
    REGISTRY_ADD_HELD,
    REGISTRY_HELD,
    REGISTRY_DROP_HELD,
    REGISTRY_ADD_OUTCOME,
    REGISTRY_OUTCOME,
    REGISTRY_ADD_CONTRIBUTOR,
    REGISTRY_CONTRIBUTORS,
    REGISTRY_ADD_MODEL,
    REGISTRY_SET_STATE,
    REGISTRY_MODEL,
    REGISTRY_LAST_ENTRY,
    REGISTRY_ADD_ENTRY,
    REGISTRY_ENTRIES,
    REGISTRY_SQL_COUNT
};

extern const char *const registry_sql[REGISTRY_SQL_COUNT];

/** Room for one site's or the coordinator's sentence, as registry_outcome hands it out. */
enum { REGISTRY_REASON = 240, REGISTRY_DETAIL = 16 * 1024 };

struct registry {
    struct store *store;
    struct statement *st[REGISTRY_SQL_COUNT];
    struct arena bytes;           /**< what the last question handed out */
    char detail[REGISTRY_DETAIL]; /**< of the audit entry being written */
};

/** Where a study stands. */
struct registry_study {
    int64_t id; /**< 0: not started */
    char name[64];
    struct hash hash;
    size_t n_sites;
    uint64_t newest;  /**< newest model: rounds up to here have a good outcome */
    uint64_t present; /**< open round, as far as the file tells; 0: joining */
    bool failed;
    uint64_t failed_round; /**< 0: while joining */
};

/* ---- registry.c ------------------------------------------------------------------------------ */

/** @retval RC_STATE not started, unless `may_be_new` */
RC registry_find(struct registry *r, const struct hash *study, bool may_be_new,
                 struct registry_study *out, struct error *err);

/** BEGIN, and the study, which must have been started. */
RC registry_begin(struct registry *r, const struct hash *study, struct registry_study *out,
                  struct error *err);

/** A hash column. @retval RC_FORMAT not 32 bytes */
RC registry_hash_at(struct statement *st, int column, struct hash *out, struct error *err);

/** Part of one site in one round; *answered = false if there is none. */
RC registry_part(struct registry *r, const struct registry_study *s, uint64_t round, size_t site,
                 bool *answered, bool *contributed, struct hash *update, char reason[240],
                 struct error *err);

/* ---- audit.c --------------------------------------------------------------------------------- */

/** Adds an entry to the transaction that is open. */
RC registry_note(struct registry *r, const struct hash *study, const char *what, const char *detail,
                 int64_t now_ms, struct error *err);

RC registry_check_audit(struct registry *r, struct error *err);

#endif
