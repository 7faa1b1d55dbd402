/* After a crash: the machine again, from what was committed. */
#include <string.h>

#include "aggregator/registry/registry_internal.h"

/* Where the study stands, in the words of the machine. */
static RC restore_phase(const struct registry_standing *s, struct round_machine *m,
                        struct error *err)
{
    const uint64_t done = s->over - (s->lost < s->over ? s->lost : s->over);
    if (done > m->rounds) {
        return error_set(err, RC_FORMAT, "the registry is damaged: model %llu of %llu rounds",
                         (unsigned long long)s->newest, (unsigned long long)m->rounds);
    }
    if (s->lost > m->lost_max) {
        return error_set(err, RC_FORMAT,
                         "the registry is damaged: %llu lost rounds, the study has %llu to spare",
                         (unsigned long long)s->lost, (unsigned long long)m->lost_max);
    }
    m->lost = s->lost;
    m->finished = m->masked ? s->newest : 0;
    if (s->failed) {
        m->state = ROUND_FAILED;
        m->round = s->failed_round;
    } else if (done == m->rounds) {
        m->state = ROUND_DONE;
        m->round = s->newest;
    } else {
        m->state = s->present > 0 ? ROUND_OPEN : ROUND_JOINING;
        m->round = s->present;
    }
    return RC_OK;
}

static RC bad_site(size_t site, struct error *err)
{
    return error_set(err, RC_FORMAT, "the registry is damaged: there is no site %zu", site);
}

static RC restore_members(struct registry *r, const struct registry_standing *s,
                          struct round_machine *m, struct error *err)
{
    struct statement *st = r->st[REGISTRY_MEMBERS];

    statement_bind_i64(st, s->id);
    for (;;) {
        bool row = false;
        const enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        const size_t site = (size_t)statement_i64(st, 0);
        if (site >= m->n_sites) {
            statement_reset(st);
            return bad_site(site, err);
        }
        const bool accepted = statement_i64(st, 1) == 1;
        const bool late = m->round > 0 && (uint64_t)statement_i64(st, 2) >= m->round;
        m->member[site] = accepted ? ROUND_ACCEPTED : ROUND_MEMBER_DECLINED;
        m->part[site] = accepted && late ? ROUND_SAT_OUT : ROUND_WAITED_FOR;
    }
}

static RC restore_parts(struct registry *r, const struct registry_standing *s,
                        struct round_machine *m, struct error *err)
{
    struct statement *st = r->st[REGISTRY_PARTS];

    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)m->round);
    for (;;) {
        bool row = false;
        const enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        const size_t site = (size_t)statement_i64(st, 0);
        if (site >= m->n_sites) {
            statement_reset(st);
            return bad_site(site, err);
        }
        m->part[site] = statement_i64(st, 1) != 0 ? ROUND_CONTRIBUTED : ROUND_SAT_OUT;
    }
}

enum rc registry_restore(struct registry *r, const struct hash *study, struct round_machine *m,
                         struct error *err)
{
    struct round_machine restored = *m;
    struct registry_standing s = {0};

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK && s.n_sites != m->n_sites) {
        rc = error_set(err, RC_STATE, "study '%s' was started with %zu sites, not %zu", s.name,
                       s.n_sites, m->n_sites);
    }
    if (rc == RC_OK) {
        rc = restore_phase(&s, &restored, err);
    }
    if (rc == RC_OK) {
        memset(restored.member, 0, sizeof restored.member);
        memset(restored.part, 0, sizeof restored.part);
        rc = restore_members(r, &s, &restored, err);
    }
    if (rc == RC_OK) {
        rc = restore_parts(r, &s, &restored, err);
    }
    store_rollback(r->store);
    if (rc == RC_OK) {
        *m = restored;
    }
    return rc;
}
