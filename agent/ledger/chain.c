/*
 * The audit chain. Each row's link is the hash of the link before it and of everything in the row
 * that may never change, so an edited, exchanged or removed row is found when the ledger is opened.
 * Rows cut off at the very end are not: that takes a witness outside the file (mark.c, anchor.c).
 */
#include <string.h>

#include "agent/ledger/ledger_internal.h"

static void begin(struct hasher *h, const char *what, const struct ledger_end *end)
{
    hasher_init(h);
    hasher_text(h, what);
    hasher_bytes(h, end->link.b, sizeof end->link.b);
    hasher_u64(h, (uint64_t)end->number + 1);
}

struct hash ledger_study_link(const struct ledger_end *end, const struct ledger_plan *p)
{
    struct hasher h;
    begin(&h, p->masked ? "wardround ledger study 2" : "wardround ledger study 1", end);
    hasher_text(&h, p->name);
    hasher_bytes(&h, p->hash.b, sizeof p->hash.b);
    hasher_f64(&h, p->round.q);
    hasher_f64(&h, p->round.sigma);
    hasher_u64(&h, p->round.steps);
    hasher_u64(&h, p->rounds);
    hasher_f64(&h, p->clip);
    hasher_f64(&h, p->epsilon);
    hasher_f64(&h, p->delta);
    hasher_u64(&h, p->min_sites);
    hasher_u64(&h, p->max_colluding);
    if (p->masked) {
        hasher_u64(&h, p->threshold);
        hasher_f64(&h, p->reader_sigma);
    }
    return hasher_final(&h);
}

struct hash ledger_spend_link(const struct ledger_end *end, const struct ledger_spend *s,
                              const struct hash *released)
{
    struct hasher h;
    begin(&h, "wardround ledger spend 1", end);
    hasher_bytes(&h, s->study.b, sizeof s->study.b);
    hasher_u64(&h, s->round);
    hasher_f64(&h, s->mechanism.q);
    hasher_f64(&h, s->mechanism.sigma);
    hasher_u64(&h, s->mechanism.steps);
    hasher_f64(&h, s->clip);
    hasher_bytes(&h, s->cohort.b, sizeof s->cohort.b);
    hasher_bytes(&h, s->model.b, sizeof s->model.b);
    hasher_bytes(&h, released->b, sizeof released->b);
    hasher_u64(&h, (uint64_t)s->now_ms);
    return hasher_final(&h);
}

struct hash ledger_evaluation_link(const struct ledger_end *end, const struct ledger_evaluation *e,
                                   const struct hash *released)
{
    struct hasher h;
    begin(&h, "wardround ledger evaluation 1", end);
    hasher_bytes(&h, e->study.b, sizeof e->study.b);
    hasher_bytes(&h, e->request.b, sizeof e->request.b);
    hasher_f64(&h, e->epsilon);
    hasher_bytes(&h, e->cohort.b, sizeof e->cohort.b);
    hasher_bytes(&h, e->model.b, sizeof e->model.b);
    hasher_bytes(&h, released->b, sizeof released->b);
    hasher_u64(&h, (uint64_t)e->now_ms);
    return hasher_final(&h);
}

enum rc ledger_hash_at(struct statement *st, int column, struct hash *out, struct error *err)
{
    size_t n = 0;
    const void *b = statement_blob(st, column, &n);
    if (n != sizeof out->b) {
        return error_set(err, RC_FORMAT, "the ledger is damaged: a hash of %zu bytes", n);
    }
    memcpy(out->b, b, n);
    return RC_OK;
}

enum rc ledger_plan_at(struct statement *st, struct ledger_plan *out, struct error *err)
{
    const char *name = statement_text(st, 1);
    struct ledger_plan p = {.id = statement_i64(st, 0)};

    if (name == NULL || strlen(name) >= sizeof p.name) {
        return error_set(err, RC_FORMAT, "the ledger is damaged: a study without a name");
    }
    memcpy(p.name, name, strlen(name) + 1);
    const enum rc rc = ledger_hash_at(st, 2, &p.hash, err);
    if (rc != RC_OK) {
        return rc;
    }
    p.round.q = statement_real(st, 3);
    p.round.sigma = statement_real(st, 4);
    p.round.steps = (uint64_t)statement_i64(st, 5);
    p.rounds = (uint64_t)statement_i64(st, 6);
    p.clip = statement_real(st, 7);
    p.epsilon = statement_real(st, 8);
    p.delta = statement_real(st, 9);
    p.min_sites = (size_t)statement_i64(st, 10);
    p.max_colluding = (size_t)statement_i64(st, 11);
    p.ended = !statement_is_null(st, 12);
    p.masked = statement_i64(st, 14) != 0;
    p.threshold = (size_t)statement_i64(st, 15);
    p.reader_sigma = statement_is_null(st, 16) ? 0.0 : statement_real(st, 16);
    if (!p.masked && (p.threshold > 0 || p.reader_sigma > 0.0)) { /* in no link */
        return error_set(err, RC_FORMAT, "the ledger is damaged or was edited: study %lld",
                         (long long)p.id);
    }
    *out = p;
    return RC_OK;
}

enum rc ledger_chain_end(struct ledger *l, enum ledger_sql last, struct ledger_end *out,
                         struct error *err)
{
    struct ledger_end end = {0};
    bool row = false;
    enum rc rc = statement_step(l->st[last], &row, err);
    if (rc == RC_OK && row) {
        end.number = statement_i64(l->st[last], 0);
        rc = ledger_hash_at(l->st[last], 1, &end.link, err);
        statement_reset(l->st[last]);
    }
    if (rc == RC_OK) {
        *out = end;
    }
    return rc;
}

/* ---- checking -------------------------------------------------------------------------------- */

static RC damaged(const char *what, int64_t number, struct error *err)
{
    return error_set(err, RC_FORMAT, "the ledger is damaged or was edited: %s %lld does not fit %s",
                     what, (long long)number, "the chain of hashes");
}

/* One step along a chain: number and link of the row must be those that follow `end`. */
static RC follow(struct ledger_end *end, const char *what, int64_t number, const struct hash *link,
                 const struct hash *want, struct error *err)
{
    if (number != end->number + 1 || !hash_equal(link, want)) {
        return damaged(what, number, err);
    }
    *end = (struct ledger_end){.number = number, .link = *link};
    return RC_OK;
}

static RC check_study(struct statement *st, struct ledger_end *end, struct error *err)
{
    struct ledger_plan p = {0};
    struct hash link = {{0}};

    enum rc rc = ledger_plan_at(st, &p, err);
    if (rc == RC_OK) {
        rc = ledger_hash_at(st, 13, &link, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (ledger_plan_fault(&p) != NULL) {
        return damaged("study", p.id, err);
    }
    const struct hash want = ledger_study_link(end, &p);
    return follow(end, "study", p.id, &link, &want, err);
}

static RC check_spend(struct statement *st, struct ledger_end *end, struct error *err)
{
    struct ledger_spend s = {
        .round = (uint64_t)statement_i64(st, 1),
        .mechanism = {.q = statement_real(st, 2),
                      .sigma = statement_real(st, 3),
                      .steps = (uint64_t)statement_i64(st, 4)},
        .clip = statement_real(st, 5),
        .now_ms = statement_i64(st, 9),
    };
    const int64_t sequence = statement_i64(st, 0);
    struct hash released = {{0}};
    struct hash link = {{0}};

    enum rc rc = ledger_hash_at(st, 6, &s.cohort, err);
    if (rc == RC_OK) {
        rc = ledger_hash_at(st, 7, &s.model, err);
    }
    if (rc == RC_OK) {
        rc = ledger_hash_at(st, 8, &released, err);
    }
    if (rc == RC_OK) {
        rc = ledger_hash_at(st, 10, &link, err);
    }
    if (rc == RC_OK) {
        rc = ledger_hash_at(st, 12, &s.study, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    /* Composing takes q, sigma and the steps of a round from the study's row. */
    if (s.mechanism.q != statement_real(st, 13) || s.mechanism.sigma != statement_real(st, 14) ||
        s.mechanism.steps != (uint64_t)statement_i64(st, 15) ||
        s.round > (uint64_t)statement_i64(st, 16)) {
        return damaged("spend", sequence, err);
    }
    const struct hash want = ledger_spend_link(end, &s, &released);
    return follow(end, "spend", sequence, &link, &want, err);
}

static RC check_evaluation(struct statement *st, struct ledger_end *end, struct error *err)
{
    struct ledger_evaluation e = {.epsilon = statement_real(st, 4), .now_ms = statement_i64(st, 7)};
    struct hash released = {{0}};
    struct hash link = {{0}};
    const struct {
        int column;
        struct hash *to;
    } hashes[] = {{0, &released}, {3, &e.request}, {5, &e.cohort},
                  {6, &e.model},  {8, &link},      {10, &e.study}};
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
        const enum rc rc = ledger_hash_at(st, hashes[i].column, hashes[i].to, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    const struct hash want = ledger_evaluation_link(end, &e, &released);
    return follow(end, "evaluation", statement_i64(st, 2), &link, &want, err);
}

static RC walk(struct statement *st,
               enum rc (*check)(struct statement *st, struct ledger_end *end, struct error *err),
               size_t *rows, struct error *err)
{
    struct ledger_end end = {0};
    *rows = 0;
    for (;;) {
        bool row = false;
        enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        rc = check(st, &end, err);
        if (rc != RC_OK) {
            statement_reset(st);
            return rc;
        }
        ++*rows;
    }
}

enum rc ledger_chain_check(struct ledger *l, struct ledger_verified *out, struct error *err)
{
    enum rc rc = walk(l->st[LEDGER_ALL_STUDIES], check_study, &out->studies, err);
    if (rc == RC_OK) {
        rc = walk(l->st[LEDGER_ALL_SPENDS], check_spend, &out->spends, err);
    }
    if (rc == RC_OK) {
        rc = walk(l->st[LEDGER_ALL_EVALUATIONS], check_evaluation, &out->evaluations, err);
    }
    return rc;
}
