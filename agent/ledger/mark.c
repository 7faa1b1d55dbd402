/*
 * The high-water mark: how far the ledger had come, in a file beside it (LEDGER.mark), written anew after
 * each commit to one of the two chains:
 *
 *   wardround ledger mark 1
 *   study  NUMBER LINK
 *   spend  NUMBER LINK
 *
 * A ledger that was put back from an older copy, or whose last rows were cut off, is whole in itself; it
 * lacks the row that the mark names. A mark that lags (killed between commit and mark) is no fault: its
 * rows are there. Both put back together are not noticed here; anchor.c is for that.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/ledger/ledger_internal.h"
#include "common/base/file.h"

enum { MARK_BYTES = 512 };

static const char head[] = "wardround ledger mark 1\n";

static RC of_ledger(struct ledger *l, struct ledger_mark *out, struct error *err)
{
    enum rc rc = ledger_chain_end(l, LEDGER_LAST_STUDY, &out->study, err);
    if (rc == RC_OK) {
        rc = ledger_chain_end(l, LEDGER_LAST_SPEND, &out->spend, err);
    }
    if (rc == RC_OK) {
        rc = ledger_chain_end(l, LEDGER_LAST_EVALUATION, &out->evaluation, err);
    }
    return rc;
}

static RC write_mark(const struct ledger *l, const struct ledger_mark *m, struct error *err)
{
    char study[HASH_HEX];
    char spend[HASH_HEX];
    char evaluation[HASH_HEX];
    char text[MARK_BYTES];
    hash_hex(&m->study.link, study);
    hash_hex(&m->spend.link, spend);
    hash_hex(&m->evaluation.link, evaluation);
    int n = snprintf(text, sizeof text, "%sstudy %" PRId64 " %s\nspend %" PRId64 " %s\n", head,
                     m->study.number, study, m->spend.number, spend);
    if (m->evaluation.number > 0) {
        n += snprintf(text + n, sizeof text - (size_t)n, "evaluation %" PRId64 " %s\n",
                      m->evaluation.number, evaluation);
    }
    return file_replace(l->mark, text, (size_t)n, err);
}

/* "KEY NUMBER LINK\n" @return what follows; NULL: it is not that */
static const char *parse_end(const char *at, const char *key, struct ledger_end *out)
{
    char name[12];
    char hex[HASH_HEX];
    int used = 0;
    if (sscanf(at, "%11[a-z] %" SCNd64 " %64[0-9a-f]%n", name, &out->number, hex, &used) != 3 ||
        strcmp(name, key) != 0 || strlen(hex) != 64 || at[used] != '\n' || out->number < 0) {
        return NULL;
    }
    for (size_t i = 0; i < HASH_BYTES; i++) {
        unsigned byte = 0;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            return NULL;
        }
        out->link.b[i] = (unsigned char)byte;
    }
    return at + used + 1;
}

static RC read_mark(const struct ledger *l, struct ledger_mark *out, struct error *err)
{
    char text[MARK_BYTES];
    FILE *f = fopen(l->mark, "rbe");
    out->there = f != NULL;
    if (f == NULL) {
        return errno == ENOENT
                   ? RC_OK
                   : error_set(err, RC_IO, "cannot read '%s': %s", l->mark, strerror(errno));
    }
    const size_t n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    const char *at = strncmp(text, head, strlen(head)) == 0 ? text + strlen(head) : NULL;
    at = at != NULL ? parse_end(at, "study", &out->study) : NULL;
    at = at != NULL ? parse_end(at, "spend", &out->spend) : NULL;
    if (at != NULL && *at != '\0') { /* only of a ledger that has any */
        at = parse_end(at, "evaluation", &out->evaluation);
    }
    if (at == NULL || *at != '\0') {
        return error_set(err, RC_FORMAT,
                         "'%s' is no mark of this ledger: put back the newest copies of both",
                         l->mark);
    }
    return RC_OK;
}

static RC has_row(struct ledger *l, enum ledger_sql sql, const struct ledger_end *end,
                  const char *what, struct error *err)
{
    struct statement *st = l->st[sql];
    struct hash link = {{0}};
    bool row = false;
    if (end->number == 0) {
        return RC_OK;
    }
    statement_bind_i64(st, end->number);
    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && row) {
        rc = ledger_hash_at(st, 0, &link, err);
        statement_reset(st);
    }
    if (rc == RC_OK && (!row || !hash_equal(&link, &end->link))) {
        rc = error_set(err, RC_STATE,
                       "the ledger is older than its own mark: %s %lld is %s; it was cut or put "
                       "back from an old copy, and what was spent since is not in it: put back "
                       "the newest copy",
                       what, (long long)end->number, row ? "another one" : "missing");
    }
    return rc;
}

/* In a transaction, so that two programs never write the mark at once, nor an older one over a newer. The
 * first open of a ledger writes its mark, so one that is missing beside rows was taken away: it is not
 * made again just by looking, which would hide that, but by what is spent next. */
static RC within(struct ledger *l, bool committed, struct error *err)
{
    if (l->mark[0] == '\0') {
        return RC_OK;
    }
    struct ledger_mark marked = l->marked;
    struct ledger_mark now = {0};
    enum rc rc = l->mark_fault.rc;
    if (!l->view) {
        rc = read_mark(l, &marked, err);
    } else if (rc != RC_OK) {
        *err = l->mark_fault;
    }
    if (rc == RC_OK && marked.there) {
        rc = has_row(l, LEDGER_STUDY_LINK, &marked.study, "study", err);
    }
    if (rc == RC_OK && marked.there) {
        rc = has_row(l, LEDGER_SPEND_LINK, &marked.spend, "spend", err);
    }
    if (rc == RC_OK && marked.there) {
        rc = has_row(l, LEDGER_EVALUATION_LINK, &marked.evaluation, "evaluation", err);
    }
    if (rc != RC_OK || l->view) {
        return rc;
    }
    rc = of_ledger(l, &now, err);
    if (rc == RC_OK && !marked.there && !committed &&
        (now.spend.number > 0 || now.evaluation.number > 0)) {
        return RC_OK;
    }
    const bool lags = !marked.there || now.study.number > marked.study.number ||
                      now.spend.number > marked.spend.number ||
                      now.evaluation.number > marked.evaluation.number;
    return rc == RC_OK && lags ? write_mark(l, &now, err) : rc;
}

enum rc ledger_mark_within(struct ledger *l, struct error *err)
{
    return within(l, false, err);
}

enum rc ledger_mark_there(struct ledger *l, bool *there, struct error *err)
{
    struct ledger_mark marked = l->marked;
    const enum rc rc = l->view || l->mark[0] == '\0' ? RC_OK : read_mark(l, &marked, err);
    *there = marked.there || l->mark[0] == '\0';
    return rc;
}

void ledger_mark_keep(struct ledger *l)
{
    l->mark_fault = (struct error){.rc = RC_OK};
    error_ignore(read_mark(l, &l->marked, &l->mark_fault)); /* told by ledger_mark_within */
}

enum rc ledger_mark(struct ledger *l, struct error *err)
{
    enum rc rc = store_begin(l->store, err);
    if (rc == RC_OK) {
        rc = within(l, true, err);
    }
    store_rollback(l->store);
    return rc;
}
